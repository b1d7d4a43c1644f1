package pages

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/go-login/auth"
)

func (p *Pages) showAccount(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, "account", nil)
}

func (p *Pages) passwordForm(values url.Values, user auth.User) *Form {
	t := &p.texts
	f := newForm(p.urls.Password, t.PasswordButton, values,
		Field{Name: "current_password", Label: t.CurrentPassword, Type: "password", Autocomplete: "current-password", Required: true},
		Field{Name: "password", Label: t.NewPassword, Type: "password", Autocomplete: "new-password", Required: true},
		Field{Name: "confirm_password", Label: t.ConfirmNewPassword, Type: "password", Autocomplete: "new-password", Required: true},
	)
	f.Login = loginOf(user)
	return f
}

func (p *Pages) showPassword(w http.ResponseWriter, r *http.Request) {
	user, err := p.core.User(r.Context())
	if err != nil {
		p.error(w, r, err)
		return
	}
	p.show(w, r, "password", p.passwordForm(nil, user))
}

func (p *Pages) password(w http.ResponseWriter, r *http.Request) {
	user, err := p.core.User(r.Context())
	if err != nil {
		p.error(w, r, err)
		return
	}
	f := p.passwordForm(r.PostForm, user)
	f.require(p.texts.Required)
	right := false
	if f.get("current_password") != "" {
		if right, err = p.core.CheckPassword(r.Context(), user, f.get("current_password")); err != nil {
			p.error(w, r, err)
			return
		}
	}
	if !right {
		f.refuse("current_password", p.texts.PasswordWrong)
	}
	if err := p.checkPasswords(r.Context(), f, user.AuthAccount().Clone()); err != nil {
		p.error(w, r, err)
		return
	}
	if f.valid() {
		err := p.core.SetPassword(r.Context(), user, f.get("password"))
		switch {
		case err == nil:
			p.flash(w, r, "success", p.texts.PasswordChanged, p.urls.Account)
			return
		case errors.Is(err, auth.ErrConflict): // it was changed meanwhile
			f.refuse("current_password", p.texts.PasswordWrong)
		default:
			p.refuse(f, err)
		}
		if f.valid() {
			p.error(w, r, err)
			return
		}
	}
	p.show(w, r, "password", f)
}
