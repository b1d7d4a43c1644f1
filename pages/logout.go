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

func (p *Pages) logout(q *request) answer {
	if err := p.core.LogoutUser(q.Context()); err != nil {
		return answer{err: err}
	}
	return say("info", p.texts.LoggedOut, cmp.Or(q.next().String(), p.cfg.Home))
}
