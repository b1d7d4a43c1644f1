package pages

import (
	"context"
	"errors"
	"net/url"

	"github.com/go-login/auth"
)

func (p *Pages) forgotPage() *page {
	t := &p.texts
	return &page{
		name: "forgot", title: &t.ForgotTitle,
		texts: []text{
			must(&t.ForgotTitle, "Reset your password"),
			must(&t.ForgotButton, "Email me a link"),
			may(&t.ForgotLink, "Forgot your password?"),
			may(&t.ForgotExplain, "Enter your email address, and we will send you a link that sets a new password."),
			must(&t.ResetSent, "If there is an account with the address {address}, we have sent a link to it that sets a new password."),
		},
		path: "/forgot-password", url: &p.urls.Forgot, mails: true,
		setting: &setting{"Forgot", p.auth.URLs.Forgot, "the page that asks for a reset", false},
		who:     visitorsAndUsers, fields: []string{"email"},
		form: p.forgotForm, again: p.show, get: p.showForgot, post: p.forgot,
	}
}

func (p *Pages) forgotForm(q *request) *Form {
	return newForm(p.urls.Forgot, p.texts.ForgotButton, q.typed,
		Field{Name: "email", Label: p.texts.Email, Type: "email", Autocomplete: "email", Required: true},
	)
}

// showForgot fills in the address of the user, if one is logged in.
func (p *Pages) showForgot(q *request) answer {
	if q.user != nil {
		q.typed = url.Values{"email": {q.user.AuthAccount().Email}}
	}
	return p.show(q)
}

// forgot answers the same whether there is such an account or not.
func (p *Pages) forgot(q *request) answer {
	f := p.forgotForm(q)
	if f.require(&p.texts); f.valid() {
		err := p.core.SendReset(q.Context(), f.get("email"))
		if err == nil {
			return p.mailed(q, "reset", f.get("email"), auth.Next{})
		}
		if p.refuse(f, err); f.valid() {
			return answer{err: err}
		}
	}
	return p.draw(q, f)
}

// loginOrAccount is where to go on: to the account, if a user is logged in, or else to
// the login.
func (p *Pages) loginOrAccount(q *request) string {
	if _, err := p.core.EnrollingUser(q.Context()); err == nil {
		return p.accountURL()
	}
	return p.urls.Login
}

func (p *Pages) resetPage() *page {
	t := &p.texts
	return &page{
		name: "reset", title: &t.ResetTitle,
		texts: []text{
			must(&t.ResetTitle, "Choose a new password"),
			must(&t.ResetButton, "Set new password"),
			may(&t.ResetExplain, "The new password is for the account {user}. It will be logged out in all browsers."),
			may(&t.ResetDone, "Your password has been reset."),
			may(&t.ResetOther, "The password has been reset. You are still logged in to another account."),
			may(&t.ResetUsed, "This link has already been used. You can log in with your new password."),
		},
		path: "/reset-password", url: &p.urls.Reset, mails: true,
		setting: &setting{"Reset", p.auth.URLs.Reset, "the reset page", false},
		who:     visitorsAndUsers, once: true, fields: []string{"password", "confirm_password"},
		form: p.resetForm, get: p.showLinked, post: p.useLink,
		link: &link{
			cookie: "reset", kept: p.auth.Password.ResetLifetime, check: p.checkReset,
			use: p.reset, done: p.resetDone,
			used: &t.ResetUsed, failed: &p.urls.Forgot,
		},
	}
}

func (p *Pages) checkReset(ctx context.Context, token string) (subject auth.User, address string, err error) {
	subject, err = p.core.CheckResetToken(ctx, token)
	return subject, "", err
}

// resetForm names the account in its login, because a user who is logged in may have
// opened the link of another account.
func (p *Pages) resetForm(q *request) *Form {
	t := &p.texts
	f := newForm(p.urls.Reset, t.ResetButton, q.typed, p.newPassword(t.NewPassword, t.ConfirmNewPassword)...)
	f.Login, f.Proof = loginOf(q.subject), proofOf(q.token)
	return f
}

// resetDone says so if a user is logged in whose account the token is not for. The
// reset of the user's own account ends the login.
func (p *Pages) resetDone(q *request) string {
	user, err := p.core.EnrollingUser(q.Context())
	if err != nil {
		return p.texts.ResetDone
	}
	subject, err := p.core.CheckResetToken(q.Context(), q.token)
	if err != nil || subject.AuthAccount().ID != user.AuthAccount().ID {
		return p.texts.ResetOther
	}
	return p.texts.ResetDone
}

func (p *Pages) reset(q *request) (answer, error) {
	var err error
	q.subject, err = p.core.CheckResetToken(q.Context(), q.token)
	if errors.Is(err, auth.ErrInvalidToken) { // ResetPassword counts the invalid token, CheckResetToken does not
		_, err = p.core.ResetPassword(q.Context(), q.token, "")
	}
	if err != nil {
		return answer{}, err
	}
	f := p.resetForm(q)
	f.require(&p.texts)
	if err := p.checkPasswords(q.Context(), f, q.subject.AuthAccount().Clone()); err != nil {
		return answer{}, err
	}
	if f.valid() {
		_, err := p.core.ResetPassword(q.Context(), q.token, f.get("password"))
		if err == nil {
			return answer{to: p.loginOrAccount(q)}, nil // a user who is still logged in has another account
		}
		if p.refuse(f, err); f.valid() {
			return answer{}, err
		}
	}
	return p.draw(q, f), nil
}
