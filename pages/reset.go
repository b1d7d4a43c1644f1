package pages

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/go-login/auth"
)

// resetLink is kept for as long as a token is good at most.
func (p *Pages) resetLink() mailedLink {
	return mailedLink{
		page: p.urls.Reset, failed: p.urls.Forgot, used: p.texts.ResetUsed, cookie: "reset", kept: p.core.ResetLifetime(),
		check: func(ctx context.Context, token string) error {
			_, err := p.core.CheckResetToken(ctx, token)
			return err
		},
	}
}

func (p *Pages) forgotForm(values url.Values) *Form {
	return newForm(p.urls.Forgot, p.texts.ForgotButton, values,
		Field{Name: "email", Label: p.texts.Email, Type: "email", Autocomplete: "email", Required: true},
	)
}

// showForgot has the address of the user who is logged in, if somebody is.
func (p *Pages) showForgot(w http.ResponseWriter, r *http.Request) {
	values := url.Values{}
	if user, err := p.core.User(r.Context()); err == nil { // other errors are render's
		values.Set("email", user.AuthAccount().Email)
	}
	p.show(w, r, "forgot", p.forgotForm(values))
}

// forgot answers alike whether there is such an account or not.
func (p *Pages) forgot(w http.ResponseWriter, r *http.Request) {
	f := p.forgotForm(r.PostForm)
	if f.require(p.texts.Required); f.valid() {
		err := p.core.SendReset(r.Context(), f.get("email"), p.urls.Reset)
		if err == nil {
			target := p.urls.Login
			if _, err := p.core.User(r.Context()); err == nil {
				target = p.urls.Account
			}
			p.flash(w, r, "info", p.texts.ResetSent, target)
			return
		}
		if p.refuse(f, err); f.valid() {
			p.error(w, r, err)
			return
		}
	}
	p.show(w, r, "forgot", f)
}

func (p *Pages) resetForm(values url.Values, user auth.User, token string) *Form {
	t := &p.texts
	f := newForm(p.urls.Reset, t.ResetButton, values,
		Field{Name: "password", Label: t.NewPassword, Type: "password", Autocomplete: "new-password", Required: true},
		Field{Name: "confirm_password", Label: t.ConfirmNewPassword, Type: "password", Autocomplete: "new-password", Required: true},
	)
	f.Login, f.Proof, f.once = loginOf(user), proofOf(token), "reset"
	return f
}

// loginOf is what a password manager knows a user by.
func loginOf(user auth.User) string {
	a := user.AuthAccount()
	return cmp.Or(a.Username, a.Email)
}

func (p *Pages) showReset(w http.ResponseWriter, r *http.Request) {
	token := p.tokenOf(r, p.resetLink())
	user, err := p.core.CheckResetToken(r.Context(), token)
	if err != nil {
		p.tokenFailed(w, r, p.resetLink(), err, true)
		return
	}
	p.showNewPassword(w, r, p.resetForm(nil, user, token), user)
}

// showNewPassword says whose password it is: a user who is logged in may have
// opened the link of another account.
func (p *Pages) showNewPassword(w http.ResponseWriter, r *http.Request, f *Form, user auth.User) {
	page := p.page("reset", statusOf(f), f)
	page.Subject = user
	p.render(w, r, page)
}

func (p *Pages) reset(w http.ResponseWriter, r *http.Request) {
	text := p.texts.ResetDone
	if p.resetsAnother(r) {
		text = p.texts.ResetOther
	}
	p.once(w, r, "reset", "success", text, p.resetOnce)
}

// resetsAnother reports whether the token is of another account than the one that is
// logged in. After the reset of one's own, nobody is.
func (p *Pages) resetsAnother(r *http.Request) bool {
	user, err := p.core.User(r.Context())
	if err != nil {
		return false
	}
	subject, err := p.core.CheckResetToken(r.Context(), p.tokenOf(r, p.resetLink()))
	return err != nil || subject.AuthAccount().ID != user.AuthAccount().ID
}

func (p *Pages) resetOnce(w http.ResponseWriter, r *http.Request) (target string, done bool) {
	link := p.resetLink()
	token, ok := p.postedToken(w, r, link)
	if !ok {
		return "", false
	}
	user, err := p.core.CheckResetToken(r.Context(), token)
	if errors.Is(err, auth.ErrInvalidToken) { // which is counted where it is used, and not where it is looked at
		_, err = p.core.ResetPassword(r.Context(), token, "")
	}
	if err != nil {
		p.tokenFailed(w, r, link, err, true)
		return "", false
	}
	f := p.resetForm(r.PostForm, user, token)
	f.require(p.texts.Required)
	if err := p.checkPasswords(r.Context(), f, user.AuthAccount().Clone()); err != nil {
		p.error(w, r, err)
		return "", false
	}
	if f.valid() {
		_, err := p.core.ResetPassword(r.Context(), token, f.get("password"))
		if err == nil {
			p.setToken(w, link, "")
			if _, err := p.core.User(r.Context()); err == nil { // with another account; this one's logins have ended
				return p.urls.Account, true
			}
			return p.urls.Login, true
		}
		if p.refuse(f, err); f.valid() {
			p.tokenFailed(w, r, link, err, true)
			return "", false
		}
	}
	p.showNewPassword(w, r, f, user)
	return "", false
}
