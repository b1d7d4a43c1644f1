package pages

import (
	"context"
	"errors"

	"github.com/go-login/auth"
)

func (p *Pages) passwordPage() *page {
	t := &p.texts
	return &page{
		name: "password", title: &t.PasswordTitle,
		texts: []text{
			must(&t.PasswordTitle, "Change Password"),
			must(&t.PasswordButton, "Change Password"),
			may(&t.PasswordChanged, "Your password has been changed."),
		},
		path: "/account/password", url: &p.urls.Password,
		who: users, own: true,
		form: p.passwordForm, get: p.show, post: p.password,
	}
}

func (p *Pages) passwordForm(q *request) *Form {
	t := &p.texts
	f := newForm(p.urls.Password, t.PasswordButton, q.typed,
		Field{Name: "current_password", Label: t.CurrentPassword, Type: "password", Autocomplete: "current-password", Required: true},
		Field{Name: "password", Label: t.NewPassword, Type: "password", Autocomplete: "new-password", Required: true},
		Field{Name: "confirm_password", Label: t.ConfirmNewPassword, Type: "password", Autocomplete: "new-password", Required: true},
	)
	f.Login = loginOf(q.user)
	return f
}

func (p *Pages) password(q *request) answer {
	f := p.passwordForm(q)
	f.require(p.texts.Required)
	if err := p.checkCurrent(q, f); err != nil {
		return answer{err: err}
	}
	if err := p.checkPasswords(q.Context(), f, q.user.AuthAccount().Clone()); err != nil {
		return answer{err: err}
	}
	if f.valid() {
		err := p.core.SetPassword(q.Context(), q.user, f.get("password"))
		switch {
		case err == nil:
			return say("success", p.texts.PasswordChanged, p.urls.Account)
		case errors.Is(err, auth.ErrConflict): // the password was changed meanwhile
			f.refuse("current_password", p.texts.PasswordWrong)
		default:
			p.refuse(f, err)
		}
		if f.valid() {
			return answer{err: err}
		}
	}
	return p.draw(q, f)
}

// checkCurrent compares the field current_password with the user's password.
func (p *Pages) checkCurrent(q *request, f *Form) error {
	right := false
	if f.get("current_password") != "" {
		var err error
		if right, err = p.core.CheckPassword(q.Context(), q.user, f.get("current_password")); err != nil {
			return err
		}
	}
	if !right {
		f.refuse("current_password", p.texts.PasswordWrong)
	}
	return nil
}

// checkPasswords applies the policy to a new password, and compares it with its
// repetition. If it returns an error, that is an auth.RateLimitError.
func (p *Pages) checkPasswords(ctx context.Context, f *Form, a auth.Account) error {
	if password := f.get("password"); password != "" {
		err := p.core.ValidatePassword(ctx, password, a)
		if errors.Is(err, auth.ErrRateLimited) {
			return err
		}
		p.refuse(f, err)
	}
	if f.get("confirm_password") != f.get("password") {
		f.refuse("confirm_password", p.texts.PasswordMismatch)
	}
	return nil
}
