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

func (p *Pages) passwordForm(values url.Values) *Form {
	t := &p.texts
	return newForm(p.urls.Password, t.PasswordButton, values,
		Field{Name: "current_password", Label: t.CurrentPassword, Type: "password", Autocomplete: "current-password", Required: true},
		Field{Name: "password", Label: t.NewPassword, Type: "password", Autocomplete: "new-password", Required: true},
		Field{Name: "confirm_password", Label: t.ConfirmNewPassword, Type: "password", Autocomplete: "new-password", Required: true},
	)
}

func (p *Pages) showPassword(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, "password", p.passwordForm(nil))
}

func (p *Pages) password(w http.ResponseWriter, r *http.Request) {
	f := p.passwordForm(r.PostForm)
	f.require(p.texts.Required)
	user, err := p.core.User(r.Context())
	right := false
	if err == nil && f.get("current_password") != "" {
		right, err = p.core.CheckPassword(r.Context(), user, f.get("current_password"))
	}
	if err != nil {
		p.core.Error(w, r, err)
		return
	}
	if !right {
		f.refuse("current_password", p.texts.PasswordWrong)
	}
	p.checkPasswords(r.Context(), f, user.AuthAccount().Clone())
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
			p.core.Error(w, r, err)
			return
		}
	}
	p.show(w, r, "password", f)
}
