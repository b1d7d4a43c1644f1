package pages

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/invisible"
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
		p.takeNext(r).Redirect(w, p.cfg.Home)
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
	p.flash(w, r, "info", p.texts.LoggedOut, cmp.Or(nextOf(r).String(), p.cfg.Home))
}

// takeNext returns where a login leads. The pages of visitors are no such place.
func (p *Pages) takeNext(r *http.Request) auth.Next {
	next := p.core.TakeNext(r)
	target, err := url.Parse(next.String())
	if err != nil || slices.Contains([]string{p.urls.Login, p.urls.Register, p.urls.Logout}, path.Clean(target.Path)) {
		return auth.Next{}
	}
	return next
}

// namesAnother reports whether a login or a registration is for another account
// than the user's. It looks only at the names that were typed and at the user's
// own, so the answer does not tell who has an account. A form without a name is
// for no account.
func namesAnother(form url.Values, user auth.User) bool {
	for _, field := range []string{"login", "username", "email"} {
		if name := strings.TrimSpace(form.Get(field)); name != "" && !isNameOf(user, name) {
			return true
		}
	}
	return false
}

// isNameOf reports whether a name is the user's username or address. It does not
// matter which of them people log in with: nobody else can have it.
func isNameOf(user auth.User, name string) bool {
	a, own := user.AuthAccount(), ""
	if own = a.Username; strings.Contains(name, "@") {
		own = a.Email
	}
	key := nameKey(strings.TrimSpace(name))
	return own != "" && (key == nameKey(own) || key == nameKey(invisible.Strip(own)))
}

// nameKey is what tells names apart, also those that are older than the rules of
// UsernameKey and EmailKey.
func nameKey(name string) string {
	a := auth.Account{Username: name}
	if strings.Contains(name, "@") {
		a = auth.Account{Email: name}
	}
	username, email, err := auth.AccountKeys(a)
	if key := cmp.Or(username, email); err == nil && key != nil {
		return *key
	}
	return strings.ToLower(name)
}

// showSwitch answers a form of the login or the registration that is for another
// account than the one that is logged in: it offers to log out and come back.
func (p *Pages) showSwitch(w http.ResponseWriter, r *http.Request) {
	next := nextOf(r)
	f := newForm(p.urls.Logout, p.texts.SwitchButton, nil)
	f.Next = next.AddTo(r.URL.Path)
	page := p.page("switch", http.StatusConflict, f)
	page.URLs.Login = next.AddTo(p.urls.Login) // which leads users who are logged in on to next
	p.render(w, r, page)
}
