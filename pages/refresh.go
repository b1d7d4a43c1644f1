package pages

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"

	"github.com/go-login/auth"
)

func (p *Pages) refreshForm(values url.Values, user auth.User, next auth.Next) *Form {
	t := &p.texts
	f := newForm(p.urls.Refresh, t.RefreshButton, values,
		Field{Name: "password", Label: t.Password, Type: "password", Autocomplete: "current-password", Required: true},
	)
	f.Login, f.Next = loginOf(user), next.String()
	return f
}

func (p *Pages) showRefresh(w http.ResponseWriter, r *http.Request) {
	next := nextOf(r)
	user, err := p.core.User(r.Context())
	if err != nil {
		p.refreshFailed(w, r, next, err)
		return
	}
	p.show(w, r, "refresh", p.refreshForm(nil, user, next))
}

func (p *Pages) refresh(w http.ResponseWriter, r *http.Request) {
	next := nextOf(r)
	user, err := p.core.User(r.Context())
	if err != nil {
		p.refreshFailed(w, r, next, err)
		return
	}
	if login, err := p.core.CurrentLogin(r.Context()); err != nil || login.ID == "" {
		p.error(w, r, cmp.Or(err, auth.ErrNotLoggedIn)) // a request loader's user has no login that could be fresh
		return
	}
	f := p.refreshForm(r.PostForm, user, next)
	if f.require(p.texts.Required); f.valid() {
		right, err := p.core.CheckPassword(r.Context(), user, f.get("password"))
		if err == nil && right {
			err = p.core.ConfirmLogin(r.Context())
		}
		switch {
		case err != nil:
			p.refreshFailed(w, r, next, err)
			return
		case right:
			p.core.TakeNext(r).Redirect(w, p.cfg.Home)
			return
		}
		f.refuse("password", p.texts.PasswordWrong)
	}
	p.show(w, r, "refresh", f)
}

// refreshFailed sends who is not logged in, or not any more, to the login page.
// From there it goes on to the same page as from here.
func (p *Pages) refreshFailed(w http.ResponseWriter, r *http.Request, next auth.Next, err error) {
	if errors.Is(err, auth.ErrNotLoggedIn) && !errors.Is(err, auth.ErrReplaced) {
		auth.Next{}.Redirect(w, next.AddTo(p.urls.Login))
		return
	}
	p.error(w, r, err)
}
