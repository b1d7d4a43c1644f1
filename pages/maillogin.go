package pages

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// mailLoginPage has a code mailed, and then asks for it. It is also the refresh page of users
// without a password.
func (p *Pages) mailLoginPage() *page {
	t := &p.texts
	return &page{
		name: "maillogin", title: &t.MailLoginTitle,
		texts: []text{
			must(&t.MailLoginTitle, "Log in by email"),
			must(&t.MailLoginButton, "Email me a code"),
			must(&t.MailCodeButton, "Log in"),
			must(&t.MailCode, "Code from the email"),
			must(&t.MailLoginLink, "Email me a code that logs me in"),
			may(&t.MailLoginExplain, "Enter your email address, and we will send you a code that logs you in."),
			must(&t.MailCodeSent, "If there is an account with the address {address}, we have sent a code to it. It works in this browser, for 10 minutes."),
			must(&t.MailCodeAgain, "Send another code"),
			must(&t.MailCodeWrong, "That code was wrong or has expired. You can ask for a new one, or use the link in the email."),
			may(&t.AccountCleared, "Nobody had verified the email address of this account before. So everything that was set up in it was removed: its password, logins, second factors and API tokens."),
		},
		path: "/login/code", url: &p.urls.LoginCode, absent: !p.auth.EmailLogin,
		setting: &setting{"LoginCode", p.auth.URLs.LoginCode, "the page for mailed codes", false},
		who:     visitorsAndUsers, own: true, once: true, fields: []string{"email", "code", "next"}, flags: []string{"remember_me"},
		form: p.mailLoginForm, get: p.showMailLogin,
		again: func(q *request) answer { return p.drawMailLogin(q, p.mailLoginForm(q)) }, post: p.mailLogin,
		sample: func(page *Page) { page.Address = "susan@example.org" },
	}
}

// mailLoginForm asks for the code or, if none was mailed for this browser, for the address.
func (p *Pages) mailLoginForm(q *request) *Form {
	if p.mailedTo(q) == "" {
		return p.askCodeForm(q)
	}
	return p.codeForm(q)
}

func (p *Pages) askCodeForm(q *request) *Form {
	f := newForm(p.urls.LoginCode, p.texts.MailLoginButton, q.typed,
		Field{Name: "email", Label: p.texts.Email, Type: "email", Autocomplete: "email", Required: true},
	)
	f.Next = q.next().String()
	return f
}

func (p *Pages) codeForm(q *request) *Form {
	f := newForm(p.urls.LoginCode, p.texts.MailCodeButton, q.typed,
		Field{Name: "code", Label: p.texts.MailCode, Type: "text", Autocomplete: "one-time-code", Required: true, Code: true},
	)
	if q.user == nil {
		f.Fields = append(f.Fields, Field{Name: "remember_me", Label: p.rememberMe(), Type: "checkbox", Checked: f.get("remember_me") != ""})
	}
	f.Next = q.next().String()
	return f
}

// mailedTo returns the address for which this browser has asked for a code. If a user is
// logged in, only the user's own address counts.
func (p *Pages) mailedTo(q *request) string {
	address := p.core.LoginCodeAddress(q.Context())
	if q.URL.Query().Has("new") || q.user != nil && !isNameOf(q.user, address) {
		return ""
	}
	return address
}

// showMailLogin leads users who are logged in on to where a login would lead, unless they
// confirm their login by mail.
func (p *Pages) showMailLogin(q *request) answer {
	if q.user != nil {
		byMail, err := p.core.ConfirmsByMail(q.Context(), q.user)
		switch {
		case err != nil:
			return answer{err: err}
		case !byMail:
			return answer{to: p.takeNext(q)}
		}
		q.typed = url.Values{"email": {q.user.AuthAccount().Email}}
	}
	return p.drawMailLogin(q, p.mailLoginForm(q))
}

func (p *Pages) drawMailLogin(q *request, f *Form) answer {
	if f.Field("code") != nil {
		q.address = p.mailedTo(q)
	}
	return p.draw(q, f)
}

func (p *Pages) mailLogin(q *request) answer {
	if q.user != nil {
		byMail, err := p.core.ConfirmsByMail(q.Context(), q.user)
		switch {
		case err != nil:
			return answer{err: err}
		case !byMail && namesAnother(q.PostForm, q.user):
			return p.showSwitch(q)
		case !byMail:
			return answer{to: p.takeNext(q)}
		}
	}
	if q.PostForm.Has("code") {
		return p.doOnce(q, "", "", p.useCode)
	}
	f := p.askCodeForm(q)
	if f.require(&p.texts); f.valid() {
		address := f.get("email")
		if q.user != nil {
			address = q.user.AuthAccount().Email
		}
		err := p.core.SendLoginCode(q.Context(), address, q.next())
		if err == nil {
			return answer{to: q.next().AddTo(p.urls.LoginCode)}
		}
		if p.refuse(f, err); f.valid() {
			return answer{err: err}
		}
	}
	return p.draw(q, f)
}

func (p *Pages) useCode(q *request) (a answer, done bool) {
	if p.mailedTo(q) == "" { // it was asked for more than 10 minutes ago, or for another user
		q.typed = nil
		f := p.askCodeForm(q)
		f.Error = p.texts.MailCodeWrong
		return refusedLogin(p.draw(q, f)), false
	}
	f := p.codeForm(q)
	if f.require(&p.texts); !f.valid() {
		return p.drawMailLogin(q, f), false
	}
	address := p.mailedTo(q)
	cleared, err := p.core.LoginByCode(q.Context(), f.get("code"), auth.Remember(f.get("remember_me") != ""))
	a, err = p.loggedInByMail(q, cleared, err)
	if errors.Is(err, auth.ErrLoginRefused) {
		f.refuse("code", p.texts.MailCodeWrong)
		q.address = address
		return refusedLogin(p.draw(q, f)), false
	}
	if err != nil {
		return answer{err: err}, false
	}
	return a, true
}

// loggedInByMail returns where a login by mail leads, and says it if the account was emptied.
func (p *Pages) loggedInByMail(q *request, cleared bool, err error) (answer, error) {
	if cleared && p.texts.AccountCleared != "" {
		if failed := p.core.Flash(q.Context(), "warning", p.texts.AccountCleared); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	switch {
	case err == nil:
		return answer{to: p.takeNext(q)}, nil
	case errors.Is(err, auth.ErrFactorRequired):
		return p.owe(q), nil
	}
	return answer{}, err
}

// mailLinkPage is the page that the link of the same mail opens.
func (p *Pages) mailLinkPage() *page {
	t := &p.texts
	return &page{
		name: "maillink", title: &t.MailLinkTitle,
		texts: []text{
			must(&t.MailLinkTitle, "Log in"),
			must(&t.MailLinkButton, "Log in"),
			must(&t.MailLinkExplain, "This logs you in to the account {user} in this browser."),
			must(&t.MailLinkOther, "The email was asked for in another browser. Go on only if that was you:"),
			must(&t.MailLinkAsked, "Requested"),
			must(&t.MailLinkClears, "Nobody has verified the email address of this account yet. The login verifies it, and removes what was set up in the account: its password, logins, second factors and API tokens."),
			may(&t.MailLinkUsed, "This link has already been used. Ask for a new one."),
		},
		path: "/login/code", url: &p.urls.LoginCode, absent: !p.auth.EmailLogin,
		who: visitorsAndUsers, once: true, fields: []string{"next"}, flags: []string{"remember_me"},
		form: p.mailLinkForm, get: p.showMailLink, post: p.useLink,
		link: &link{
			cookie: "login-link", kept: keepLoginLink, check: p.checkMailLink,
			use: p.useMailLink, done: func(*request) string { return "" },
			used: &t.MailLinkUsed, failed: &p.urls.LoginCode,
		},
		sample: func(page *Page) { page.LoginLink = &auth.LoginLink{Address: "192.0.2.1", Clears: true} },
	}
}

// keepLoginLink is how long a link logs in.
const keepLoginLink = 10 * time.Minute

func (p *Pages) checkMailLink(ctx context.Context, token string) (subject auth.User, address string, err error) {
	link, err := p.core.CheckLoginLink(ctx, token)
	return link.User, "", err
}

func (p *Pages) mailLinkForm(q *request) *Form {
	f := newForm(p.urls.LoginCode, p.texts.MailLinkButton, q.typed,
		Field{Name: "remember_me", Label: p.rememberMe(), Type: "checkbox"},
	)
	f.Proof, f.Next = proofOf(q.token), q.next().String()
	return f
}

// showMailLink shows the user whom a link would log in. A user of that account who is logged in
// goes on at once, unless the link is to confirm the login.
func (p *Pages) showMailLink(q *request) answer {
	link, err := p.core.CheckLoginLink(q.Context(), q.token)
	if err != nil {
		return p.keptTokenFailed(q, err)
	}
	q.subject = link.User
	if q.user != nil && q.user.AuthAccount().ID == link.User.AuthAccount().ID {
		byMail, err := p.core.ConfirmsByMail(q.Context(), q.user)
		switch {
		case err != nil:
			return answer{err: err}
		case !byMail:
			return answer{to: p.takeNextOr(q, link.Next)}
		}
	}
	a := p.show(q)
	a.page.LoginLink = &link
	if a.page.Form.Next == "" {
		a.page.Form.Next = link.Next.String()
	}
	return a
}

func (p *Pages) useMailLink(q *request) (answer, error) {
	cleared, err := p.core.LoginByLink(q.Context(), q.token, auth.Remember(q.PostForm.Get("remember_me") != ""))
	return p.loggedInByMail(q, cleared, err)
}

// AskAgain is the URL where a user asks for another code.
func (p Page) AskAgain() string {
	page, _, _ := strings.Cut(p.URLs.LoginCode, "?")
	if p.Form == nil {
		return page + "?new"
	}
	return auth.ParseNext(p.Form.Next).AddTo(page + "?new")
}
