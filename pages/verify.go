package pages

import (
	"cmp"
	"context"
	"net/url"

	"github.com/go-login/auth"
)

func (p *Pages) verifyPage() *page {
	t := &p.texts
	return &page{
		name: "verify", title: &t.VerifyTitle,
		texts: []text{
			must(&t.VerifyTitle, "Verify your email address"),
			must(&t.VerifyButton, "Verify my address"),
			must(&t.VerifyExplain, "If this is the account that you have registered, verify its address. If it is not, do nothing: somebody else has made it, and knows its password."),
			may(&t.Verified, "Your email address has been verified."),
			may(&t.VerifyUsed, "This link has already been used: your email address has been verified. You can log in."),
		},
		path: "/verify-email", url: &p.urls.Verify, mails: true,
		setting: &setting{"Verify", p.auth.URLs.Verify, "the page for verifying", false},
		who:     anybody, once: true, fields: []string{"next"},
		form: p.verifyForm, get: p.showLinked, post: p.useLink,
		link: &link{
			cookie: "verify", kept: keepToken, check: p.checkVerify,
			use: p.verify, done: func(*request) string { return t.Verified },
			used: &t.VerifyUsed, failed: &p.urls.Verify,
		},
	}
}

func (p *Pages) checkVerify(ctx context.Context, token string) (subject auth.User, address string, err error) {
	if subject, err = p.core.CheckVerifyToken(ctx, token); err != nil {
		return nil, "", err
	}
	return subject, subject.AuthAccount().Email, nil
}

func (p *Pages) verifyForm(q *request) *Form {
	f := newForm(p.urls.Verify, p.texts.VerifyButton, nil)
	f.Proof, f.Next = proofOf(q.token), q.next().String()
	return f
}

func (p *Pages) verify(q *request) (answer, error) {
	user, err := p.core.VerifyEmail(q.Context(), q.token)
	if err != nil {
		return answer{}, err
	}
	if _, err := p.core.EnrollingUser(q.Context()); err == nil {
		return answer{to: cmp.Or(p.core.TakeNext(q.Request).String(), p.cfg.Home)}, nil
	}
	a := answer{to: q.next().AddTo(p.urls.Login)}
	return p.keepLoginName(a, user.AuthAccount().Username, user.AuthAccount().Email), nil
}

// resendPage is at the same path without a token. It has the link sent again.
func (p *Pages) resendPage() *page {
	t := &p.texts
	return &page{
		name: "resend", title: &t.VerifyTitle,
		texts: []text{
			must(&t.ResendButton, "Email me a link"),
			may(&t.ResendLink, "Send the verification email again"),
			may(&t.ResendExplain, "Enter the email address of your account, and we will send you a link that verifies it."),
			must(&t.VerifySent, "If there is an account with the address {address} that is not verified yet, we have sent a link to it that verifies the address."),
		},
		path: "/verify-email", url: &p.urls.Verify, mails: true,
		who: anybody, fields: []string{"email", "next"},
		form: p.resendForm, again: p.show, get: p.showResend, post: p.resend,
	}
}

func (p *Pages) resendForm(q *request) *Form {
	f := newForm(p.urls.Verify, p.texts.ResendButton, q.typed,
		Field{Name: "email", Label: p.texts.Email, Type: "email", Autocomplete: "email", Required: true},
	)
	f.Next = q.next().String()
	return f
}

// showResend fills in the address of the user, if one is logged in. If it is verified,
// there is nothing to do.
func (p *Pages) showResend(q *request) answer {
	if user, err := p.core.EnrollingUser(q.Context()); err == nil { // render answers other errors
		if user.AuthAccount().EmailVerified {
			return answer{to: cmp.Or(q.next().String(), p.cfg.Home)}
		}
		q.typed = url.Values{"email": {user.AuthAccount().Email}}
	}
	return p.show(q)
}

// resend answers the same whether there is such an account or not.
func (p *Pages) resend(q *request) answer {
	f := p.resendForm(q)
	if f.require(&p.texts); f.valid() {
		err := p.core.SendVerification(q.Context(), f.get("email"))
		if err == nil {
			return p.mailed(q, "verify", f.get("email"), q.next())
		}
		if p.refuse(f, err); f.valid() {
			return answer{err: err}
		}
	}
	return p.draw(q, f)
}
