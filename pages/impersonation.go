package pages

// impersonationPage ends an impersonation. It is a form in the banner that the layout shows
// while an administrator acts as the user.
func (p *Pages) impersonationPage() *page {
	t := &p.texts
	return &page{
		texts: []text{
			must(&t.Acting, "You are acting as {user}."),
			must(&t.StopActingButton, "Stop acting"),
			may(&t.ActingStopped, "You are using your own account again."),
			must(&t.ActingLogin, "An administrator, to help you"),
		},
		path: "/stop-impersonating", url: &p.urls.StopImpersonating,
		stays:  "it ends the impersonations that Impersonation of auth.Config allows",
		absent: p.auth.Impersonation.Permission == "",
		who:    anybody, post: p.stopImpersonating,
	}
}

func (p *Pages) stopImpersonating(q *request) answer {
	if err := p.core.StopImpersonating(q.Context()); err != nil {
		return answer{err: err}
	}
	return say("info", p.texts.ActingStopped, p.cfg.Home)
}
