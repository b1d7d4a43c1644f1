package pages

import (
	"cmp"
	"context"
	"net/http"
	"net/url"

	"github.com/go-login/auth"
)

func (p *Pages) verifyLink() mailedLink {
	return mailedLink{
		page: p.urls.Verify, failed: p.urls.Verify, used: p.texts.VerifyUsed, cookie: "verify", kept: keepToken,
		check: func(ctx context.Context, token string) error {
			_, err := p.core.CheckVerifyToken(ctx, token)
			return err
		},
	}
}

func (p *Pages) verifyForm(token string, next auth.Next) *Form {
	f := newForm(p.urls.Verify, p.texts.VerifyButton, nil)
	f.Proof, f.Next, f.once = proofOf(token), next.String(), "verify"
	return f
}

// showVerify says whose address the link would verify, or, without one, asks
// where to send it again.
func (p *Pages) showVerify(w http.ResponseWriter, r *http.Request) {
	token := p.tokenOf(r, p.verifyLink())
	if token == "" || wantsNew(r) {
		p.showResend(w, r)
		return
	}
	user, err := p.core.CheckVerifyToken(r.Context(), token)
	if err != nil {
		p.tokenFailed(w, r, p.verifyLink(), err, true)
		return
	}
	page := p.page("verify", http.StatusOK, p.verifyForm(token, nextOf(r)))
	page.Subject, page.Address = user, user.AuthAccount().Email
	p.render(w, r, page)
}

// wantsNew reports whether a request is for the form that a page without a token
// has, although there is one.
func wantsNew(r *http.Request) bool { return r.URL.Query().Has("new") }

// verify gets the forms of both pages: with an address it is the one that sends
// the link again.
func (p *Pages) verify(w http.ResponseWriter, r *http.Request) {
	if r.PostForm.Has("email") {
		p.resend(w, r)
		return
	}
	p.once(w, r, "verify", "success", p.texts.Verified, p.verifyOnce)
}

func (p *Pages) verifyOnce(w http.ResponseWriter, r *http.Request) (target string, done bool) {
	link, next := p.verifyLink(), nextOf(r)
	token, ok := p.postedToken(w, r, link)
	if !ok {
		return "", false
	}
	if _, err := p.core.VerifyEmail(r.Context(), token); err != nil {
		p.tokenFailed(w, r, link, err, true)
		return "", false
	}
	p.setToken(w, link, "")
	if _, err := p.core.User(r.Context()); err == nil {
		return cmp.Or(p.core.TakeNext(r).String(), p.cfg.Home), true
	}
	return next.AddTo(p.urls.Login), true
}

func (p *Pages) resendForm(values url.Values, next auth.Next) *Form {
	f := newForm(p.urls.Verify, p.texts.ResendButton, values,
		Field{Name: "email", Label: p.texts.Email, Type: "email", Autocomplete: "email", Required: true},
	)
	f.Next = next.String()
	return f
}

// showResend has nothing to do for those whose address is verified.
func (p *Pages) showResend(w http.ResponseWriter, r *http.Request) {
	next, values := nextOf(r), url.Values{}
	if user, err := p.core.User(r.Context()); err == nil { // other errors are render's
		if user.AuthAccount().EmailVerified {
			next.Redirect(w, p.cfg.Home)
			return
		}
		values.Set("email", user.AuthAccount().Email)
	}
	p.show(w, r, "resend", p.resendForm(values, next))
}

// resend answers alike whether there is such an account or not.
func (p *Pages) resend(w http.ResponseWriter, r *http.Request) {
	next := nextOf(r)
	f := p.resendForm(r.PostForm, next)
	if f.require(p.texts.Required); f.valid() {
		err := p.core.SendVerification(r.Context(), f.get("email"))
		if err == nil {
			p.flash(w, r, "info", p.texts.VerifySent, next.AddTo(p.urls.Verify))
			return
		}
		if p.refuse(f, err); f.valid() {
			p.error(w, r, err)
			return
		}
	}
	p.show(w, r, "resend", f)
}
