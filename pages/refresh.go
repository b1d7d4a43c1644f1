package pages

import (
	"cmp"
	"errors"

	"github.com/go-login/auth"
)

func (p *Pages) refreshPage() *page {
	t := &p.texts
	return &page{
		name: "refresh", title: &t.RefreshTitle,
		texts: []text{
			must(&t.RefreshTitle, "Confirm Your Password"),
			must(&t.RefreshButton, "Confirm"),
		},
		path: "/refresh", url: &p.urls.Refresh, setting: &setting{"Refresh", p.auth.URLs.Refresh, "the refresh page"},
		who: enrolling, own: true, refused: p.refreshFailed,
		form: p.refreshForm, get: p.show, post: p.refresh,
	}
}

func (p *Pages) refreshForm(q *request) *Form {
	f := newForm(p.urls.Refresh, p.texts.RefreshButton, q.typed,
		Field{Name: "password", Label: p.texts.Password, Type: "password", Autocomplete: "current-password", Required: true},
	)
	f.Login, f.Next = loginOf(q.user), q.next().String()
	return f
}

func (p *Pages) refresh(q *request) answer {
	if login, err := p.core.CurrentLogin(q.Context()); err != nil || login.ID == "" {
		return answer{err: cmp.Or(err, auth.ErrNotLoggedIn)} // a Credential's user has no login that could be fresh
	}
	f := p.refreshForm(q)
	if f.require(p.texts.Required); f.valid() {
		right, err := p.core.CheckPassword(q.Context(), q.user, f.get("password"))
		if err == nil && right {
			err = p.core.ConfirmLogin(q.Context())
		}
		switch {
		case errors.Is(err, auth.ErrFactorRequired):
			return answer{to: q.next().AddTo(p.urls.Factor)}
		case err != nil:
			return p.refreshFailed(q, err)
		case right:
			return answer{to: cmp.Or(p.core.TakeNext(q.Request).String(), p.cfg.Home)}
		}
		f.refuse("password", p.texts.PasswordWrong)
	}
	return p.draw(q, f)
}

// refreshFailed sends a browser that is not logged in, or not any more, to the login
// page. From there it goes on to the same page as from here.
func (p *Pages) refreshFailed(q *request, err error) answer {
	if errors.Is(err, auth.ErrNotLoggedIn) && !errors.Is(err, auth.ErrReplaced) {
		return answer{to: q.next().AddTo(p.urls.Login)}
	}
	return answer{err: err}
}
