package pages

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"

	"github.com/go-login/auth"
)

// resetCookie keeps a token between the mailed link and the form's POST, for as
// long as a token is good at most.
const resetCookie = "reset"

func (p *Pages) forgotForm(values url.Values) *Form {
	return newForm(p.urls.Forgot, p.texts.ForgotButton, values,
		Field{Name: "email", Label: p.texts.Email, Type: "email", Autocomplete: "email", Required: true},
	)
}

func (p *Pages) showForgot(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, "forgot", p.forgotForm(nil))
}

// forgot answers alike whether there is such an account or not.
func (p *Pages) forgot(w http.ResponseWriter, r *http.Request) {
	f := p.forgotForm(r.PostForm)
	if f.require(p.texts.Required); f.valid() {
		err := p.core.SendReset(r.Context(), f.get("email"), p.urls.Reset)
		if err == nil {
			p.flash(w, r, "info", p.texts.ResetSent, p.urls.Login)
			return
		}
		if p.refuse(f, err); f.valid() {
			p.core.Error(w, r, err)
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
	f.Login, f.Proof = loginOf(user), proofOf(token)
	return f
}

// proofOf ties a form to its token. The cookie can be replaced while the form is
// open, by another link that somebody has the browser open: the form must not
// set the password of that account then.
func proofOf(token string) string {
	sum := sha256.Sum256([]byte("reset form " + token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// loginOf is what a password manager knows a user by.
func loginOf(user auth.User) string {
	a := user.AuthAccount()
	return cmp.Or(a.Username, a.Email)
}

// showReset opens the mailed link. Mail scanners and previews do so as well: it
// changes nothing.
func (p *Pages) showReset(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	token := query.Get("token")
	if !query.Has("token") {
		token = p.resetToken(r)
	}
	user, err := p.core.CheckResetToken(r.Context(), token)
	if err != nil {
		p.resetFailed(w, r, err, !query.Has("token"))
		return
	}
	if query.Has("token") {
		p.setResetToken(w, token)
		auth.Next{}.Redirect(w, p.urls.Reset)
		return
	}
	p.show(w, r, "reset", p.resetForm(nil, user, token))
}

func (p *Pages) reset(w http.ResponseWriter, r *http.Request) {
	token := p.resetToken(r)
	user, err := p.core.CheckResetToken(r.Context(), token)
	if err != nil {
		p.resetFailed(w, r, err, true)
		return
	}
	f := p.resetForm(r.PostForm, user, token)
	if r.PostForm.Has("proof") && r.PostForm.Get("proof") != f.Proof {
		p.resetFailed(w, r, auth.ErrInvalidToken, false)
		return
	}
	f.require(p.texts.Required)
	if p.checkPasswords(r.Context(), f, user.AuthAccount().Clone()); f.valid() {
		_, err := p.core.ResetPassword(r.Context(), token, f.get("password"))
		if err == nil {
			p.setResetToken(w, "")
			p.flash(w, r, "success", p.texts.ResetDone, p.urls.Login)
			return
		}
		if p.refuse(f, err); f.valid() {
			p.resetFailed(w, r, err, true)
			return
		}
	}
	p.show(w, r, "reset", f)
}

// resetFailed answers alike whatever is wrong with a token. The cookie is
// removed if it is the one with that token.
func (p *Pages) resetFailed(w http.ResponseWriter, r *http.Request, err error, ours bool) {
	if !errors.Is(err, auth.ErrInvalidToken) {
		p.core.Error(w, r, err)
		return
	}
	if _, err := r.Cookie(p.core.Cookie(resetCookie).Name); ours && err == nil {
		p.setResetToken(w, "")
	}
	p.flash(w, r, "warning", p.texts.InvalidToken, p.urls.Forgot)
}

func (p *Pages) resetToken(r *http.Request) string {
	cookie, err := r.Cookie(p.core.Cookie(resetCookie).Name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// setResetToken keeps a token in a cookie, or removes it if it is empty.
func (p *Pages) setResetToken(w http.ResponseWriter, token string) {
	cookie := p.core.Cookie(resetCookie)
	cookie.Value, cookie.MaxAge = token, int(p.core.ResetLifetime().Seconds())
	if token == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, &cookie)
}
