package pages

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/go-login/auth"
)

func (p *Pages) loginForm(values url.Values, next auth.Next) *Form {
	t, kind := &p.texts, "text"
	if p.core.Identifiers() == auth.EmailOnly {
		kind = "email"
	}
	f := newForm(p.urls.Login, t.LoginButton, values,
		Field{Name: "login", Label: t.Login, Type: kind, Autocomplete: "username", Required: true},
		Field{Name: "password", Label: t.Password, Type: "password", Autocomplete: "current-password", Required: true},
		Field{Name: "remember_me", Label: t.RememberMe, Type: "checkbox"},
	)
	f.Next = next.String()
	return f
}

func (p *Pages) showLogin(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, "login", p.loginForm(nil, nextOf(r)))
}

func (p *Pages) login(w http.ResponseWriter, r *http.Request) {
	f := p.loginForm(r.PostForm, nextOf(r))
	if f.require(p.texts.Required); !f.valid() {
		p.show(w, r, "login", f)
		return
	}
	user, err := p.core.Authenticate(r.Context(), f.get("login"), f.get("password"))
	if err == nil {
		err = p.core.LoginUser(r.Context(), user, auth.Remember(f.get("remember_me") != ""))
	}
	switch {
	case err == nil:
		p.core.TakeNext(r).Redirect(w, p.cfg.Home)
	case errors.Is(err, auth.ErrLoginRefused):
		f.refuseAll(p.texts.LoginFailed)
		p.show(w, r, "login", f)
	default:
		p.error(w, r, err)
	}
}

func (p *Pages) logout(w http.ResponseWriter, r *http.Request) {
	if err := p.core.LogoutUser(r.Context()); err != nil {
		p.error(w, r, err)
		return
	}
	p.flash(w, r, "info", p.texts.LoggedOut, p.cfg.Home)
}
