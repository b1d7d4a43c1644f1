package pages

import "cmp"

func (p *Pages) logoutPage() *page {
	t := &p.texts
	return &page{
		texts: []text{
			must(&t.LogoutButton, "Log out"),
			may(&t.LoggedOut, "You have been logged out."),
		},
		path: "/logout", url: &p.urls.Logout,
		stays: "the pages have a button that logs out",
		who:   anybody, post: p.logout, fields: []string{"next"}, flags: []string{"cancel"},
	}
}

// logout ends the login, or cancels one that waits for a second factor: then the form has the
// field cancel. It also forgets which mail was sent last, so that the next person at the browser
// cannot read the address.
func (p *Pages) logout(q *request) answer {
	text := p.texts.LoggedOut
	if q.PostForm.Has("cancel") {
		text = p.texts.LoginCancelled
	}
	if err := p.core.LogoutUser(q.Context()); err != nil {
		return answer{err: err}
	}
	a := say("info", text, cmp.Or(q.next().String(), p.cfg.Home))
	a.cookies = p.forgetMailing(q)
	return a
}
