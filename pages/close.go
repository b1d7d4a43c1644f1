package pages

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/go-login/auth"
)

// closeForm asks for the password, if the account has one.
func (p *Pages) closeForm(values url.Values, user auth.User) *Form {
	t := &p.texts
	var fields []Field
	if !user.AuthAccount().PasswordHash.IsZero() {
		fields = append(fields, Field{Name: "current_password", Label: t.CurrentPassword, Type: "password", Autocomplete: "current-password", Required: true})
	}
	f := newForm(p.urls.Close, t.CloseButton, values, append(fields,
		Field{Name: "confirm", Label: t.CloseConfirm, Type: "checkbox", Required: true},
	)...)
	f.Login = loginOf(user)
	return f
}

func (p *Pages) showClose(w http.ResponseWriter, r *http.Request) {
	user, err := p.core.User(r.Context())
	if err != nil {
		p.error(w, r, err)
		return
	}
	p.show(w, r, "close", p.closeForm(nil, user))
}

func (p *Pages) close(w http.ResponseWriter, r *http.Request) {
	user, err := p.core.User(r.Context())
	if err != nil {
		p.error(w, r, err)
		return
	}
	f := p.closeForm(r.PostForm, user)
	f.require(p.texts.Required)
	if f.Field("current_password") != nil && f.get("current_password") != "" {
		right, err := p.core.CheckPassword(r.Context(), user, f.get("current_password"))
		if err != nil {
			p.error(w, r, err)
			return
		}
		if !right {
			f.refuse("current_password", p.texts.PasswordWrong)
		}
	}
	if f.valid() {
		switch err := p.core.CloseAccount(r.Context(), user); {
		case err == nil:
			p.flash(w, r, "success", p.texts.Closed, p.cfg.Home)
			return
		case errors.Is(err, auth.ErrConflict): // the password was changed meanwhile
			f.refuse("current_password", p.texts.PasswordWrong)
		default:
			p.error(w, r, err)
			return
		}
	}
	p.show(w, r, "close", f)
}
