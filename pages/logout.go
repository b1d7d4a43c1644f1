package pages

import "cmp"

func (p *Pages) logoutPage() *page {
	t := &p.texts
	return &page{
		texts: []text{
			must(&t.LogoutButton, "Log Out"),
			may(&t.LoggedOut, "You have been logged out."),
		},
		path: "/logout", url: &p.urls.Logout,
		who: anybody, post: p.logout,
	}
}

// logout also cancels a login that waits for a second factor. Then the form has the field
// cancel.
func (p *Pages) logout(q *request) answer {
	text := p.texts.LoggedOut
	if q.PostForm.Has("cancel") {
		text = p.texts.LoginCancelled
	}
	if err := p.core.LogoutUser(q.Context()); err != nil {
		return answer{err: err}
	}
	return say("info", text, cmp.Or(q.next().String(), p.cfg.Home))
}
