package pages

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/go-login/auth"
)

func (p *Pages) passwordPage() *page {
	t := &p.texts
	return &page{
		name: "password", title: &t.PasswordTitle,
		texts: []text{
			must(&t.PasswordTitle, "Change your password"),
			must(&t.PasswordButton, "Change password"),
			may(&t.PasswordChanged, "Your password has been changed."),
			must(&t.SetPasswordTitle, "Set a password"),
			may(&t.PasswordSet, "You can log in with your password now."),
		},
		path: "/account/password", url: &p.urls.Password,
		who: users, own: true, fields: []string{"current_password", "password", "confirm_password"},
		form: p.passwordForm, get: p.showPassword, post: p.password,
	}
}

// passwordForm asks for the current password, if the account has one.
func (p *Pages) passwordForm(q *request) *Form {
	t := &p.texts
	button, fields := t.PasswordButton, []Field{
		{Name: "current_password", Label: t.CurrentPassword, Type: "password", Autocomplete: "current-password", Required: true},
	}
	fields = append(fields, p.newPassword(t.NewPassword, t.ConfirmNewPassword)...)
	if hasNoPassword(q.user) {
		button, fields = t.SetPasswordTitle, fields[1:]
	}
	f := newForm(p.urls.Password, button, q.typed, fields...)
	f.Login = loginOf(q.user)
	return f
}

// newPassword returns the fields for a new password.
func (p *Pages) newPassword(label, confirm string) []Field {
	least := p.auth.Password.Min
	return []Field{
		{
			Name: "password", Label: label, Type: "password", Autocomplete: "new-password", Required: true,
			MinLength: least, Hint: strings.ReplaceAll(p.texts.PasswordHint, "{min}", strconv.Itoa(least)),
		},
		{Name: "confirm_password", Label: confirm, Type: "password", Autocomplete: "new-password", Required: true},
	}
}

func hasNoPassword(user auth.User) bool { return user.AuthAccount().PasswordHash.IsZero() }

func (p *Pages) showPassword(q *request) answer {
	if err := p.maySetPassword(q); err != nil {
		return answer{err: err}
	}
	return p.drawPassword(q, p.passwordForm(q))
}

func (p *Pages) drawPassword(q *request, f *Form) answer {
	a := p.draw(q, f)
	if hasNoPassword(q.user) {
		a.page.Title = p.texts.SetPasswordTitle
	}
	return a
}

// maySetPassword returns auth.ErrNotFresh if the account has no password to ask for, and the
// login is not fresh either.
func (p *Pages) maySetPassword(q *request) error {
	if !hasNoPassword(q.user) {
		return nil
	}
	return p.core.Check(q.Context(), auth.Fresh(p.cfg.FreshFor))
}

func (p *Pages) password(q *request) answer {
	if err := p.maySetPassword(q); err != nil {
		return answer{err: err}
	}
	f := p.passwordForm(q)
	f.require(&p.texts)
	changed := p.texts.PasswordSet
	if f.Field("current_password") != nil {
		changed = p.texts.PasswordChanged
		if err := p.checkCurrent(q, f); err != nil {
			return answer{err: err}
		}
	}
	if err := p.checkPasswords(q.Context(), f, q.user.AuthAccount().Clone()); err != nil {
		return answer{err: err}
	}
	if f.valid() {
		err := p.core.SetPassword(q.Context(), q.user, f.get("password"))
		switch {
		case err == nil:
			return say("success", changed, p.accountURL())
		case errors.Is(err, auth.ErrConflict): // the password was changed meanwhile
			f.refuse("current_password", p.texts.PasswordWrong)
		default:
			p.refuse(f, err)
		}
		if f.valid() {
			return answer{err: err}
		}
	}
	return p.drawPassword(q, f)
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
