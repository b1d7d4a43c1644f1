package pages

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-login/auth"
)

func (p *Pages) loginPage() *page {
	t := &p.texts
	label, failed := p.loginTexts()
	return &page{
		name: "login", title: &t.LoginTitle,
		texts: []text{
			must(&t.LoginTitle, "Log in"),
			must(&t.LoginButton, "Log in"),
			must(&t.RememberMe, p.rememberText()),
			may(&t.NoAccount, "New here?"),
			must(&t.Login, label),
			must(&t.LoginFailed, failed),
			must(&t.ResetRequired, "An administrator has asked you to choose a new password. Open the link that we mailed to you. If it has expired, ask for a new one."),
		},
		path: "/login", url: &p.urls.Login, setting: &setting{"Login", p.auth.URLs.Login, "the login page", false},
		who: visitors, fields: []string{"login", "password", "next"}, flags: []string{"remember_me", "passkey_able"},
		form: p.loginForm, again: p.showLogin, get: p.showLogin, post: p.login,
		sample: sampleProviders,
	}
}

// loginTexts returns the defaults of Texts.Login and Texts.LoginFailed.
func (p *Pages) loginTexts() (label, failed string) {
	label, names := p.word("Login/both", "Username or email"), p.word("LoginFailed/both", "username or email")
	switch p.auth.Identifiers {
	case auth.UsernameOnly:
		label, names = p.word("Login/username", "Username"), p.word("LoginFailed/username", "username")
	case auth.EmailOnly:
		label, names = p.word("Login/email", "Email"), p.word("LoginFailed/email", "email")
	}
	failed = p.word("LoginFailed/text", "We could not log you in. Check both your {names} and your password. After several wrong tries, you may have to wait.")
	failed = strings.ReplaceAll(failed, "{names}", names)
	if p.auth.RequireVerified {
		failed += " " + p.word("LoginFailed/verified", "If your account is new, first open the link that we mailed to you.")
	}
	if p.auth.Mailer != nil {
		failed += " " + p.word("LoginFailed/mailer", "If that does not help, reset your password.")
	}
	return label, failed
}

// rememberText returns the default of Texts.RememberMe.
func (p *Pages) rememberText() string {
	if p.rememberDays() < 2 {
		return p.word("RememberMe/short", "Keep me logged in")
	}
	return p.word("RememberMe/days", "Keep me logged in for {days} days")
}

func (p *Pages) rememberDays() int { return int(p.auth.Session.RememberFor.Hours() / 24) }

// rememberMe returns the label of the box for staying logged in.
func (p *Pages) rememberMe() string {
	return strings.ReplaceAll(p.texts.RememberMe, "{days}", strconv.Itoa(p.rememberDays()))
}

func (p *Pages) loginForm(q *request) *Form {
	t, kind := &p.texts, "text"
	if p.auth.Identifiers == auth.EmailOnly {
		kind = "email"
	}
	complete := "username"
	if p.passkeys != nil {
		complete += " webauthn" // the browser also offers passkeys here
	}
	f := newForm(p.urls.Login, t.LoginButton, q.typed,
		Field{Name: "login", Label: t.Login, Type: kind, Autocomplete: complete, Required: true},
		Field{Name: "password", Label: t.Password, Type: "password", Autocomplete: "current-password", Required: true},
		Field{Name: "remember_me", Label: p.rememberMe(), Type: "checkbox"},
	)
	f.Next, f.Able = q.next().String(), p.offers()
	return f
}

func (p *Pages) showLogin(q *request) answer {
	f := p.loginForm(q)
	cookies := p.takeLoginName(q, f)
	a := p.drawLogin(q, f)
	a.cookies = append(a.cookies, cookies...)
	return a
}

// drawLogin returns the page with this form, with the buttons for providers and, if there are
// passkeys, with the button for one. What the browser is asked for comes from another URL,
// because a page can be open for longer than that is valid.
func (p *Pages) drawLogin(q *request, f *Form) answer {
	a := p.rememberAtProviders(p.withProviders(q, p.draw(q, f)))
	if p.passkeys != nil {
		a.page.Passkey = &PasskeyForm{
			Action: p.urls.PasskeyLogin, Button: p.texts.PasskeyLogin, Next: f.Next, URL: p.urls.PasskeyLogin, Autofill: true, Remember: true,
		}
	}
	return a
}

func (p *Pages) login(q *request) answer {
	f := p.loginForm(q)
	if f.require(&p.texts); !f.valid() {
		return p.drawLogin(q, f)
	}
	user, err := p.core.Authenticate(q.Context(), f.get("login"), f.get("password"))
	if err == nil {
		err = p.core.LoginUser(q.Context(), user, auth.Remember(f.get("remember_me") != ""))
	}
	switch {
	case err == nil:
		return p.offerPasskey(q, answer{to: p.takeNext(q)})
	case errors.Is(err, auth.ErrFactorRequired):
		return p.owe(q)
	case errors.Is(err, auth.ErrResetRequired): // the password was right, so this tells no attacker who has an account
		f.refuseAll(p.texts.ResetRequired)
		a := p.drawLogin(q, f)
		a.code = "reset-required"
		return a
	case errors.Is(err, auth.ErrLoginRefused):
		f.refuseAll(p.texts.LoginFailed)
		return refusedLogin(p.drawLogin(q, f))
	}
	return answer{err: err}
}

// refusedLogin marks an answer that refuses a login. Programs get the same code for all
// reasons.
func refusedLogin(a answer) answer {
	a.code = "login-refused"
	return a
}

// switchPage answers a login or a registration for another account than the one that
// is logged in: it offers to log out and come back.
func (p *Pages) switchPage() *page {
	t := &p.texts
	return &page{
		name: "switch", title: &t.SwitchTitle,
		texts: []text{
			must(&t.SwitchTitle, "You are already logged in"),
			must(&t.SwitchButton, "Log out and continue"),
			must(&t.SwitchExplain, "You are logged in as {user}. To use another account, log out first."),
			may(&t.StayLink, "Stay logged in as {user}"),
		},
		who: users, form: p.switchForm,
	}
}

func (p *Pages) switchForm(q *request) *Form {
	f := newForm(p.urls.Logout, p.texts.SwitchButton, nil)
	f.Next = q.next().AddTo(p.core.BasePath() + p.below(q.Request))
	return f
}

func (p *Pages) showSwitch(q *request) answer {
	q.page = p.named["switch"]
	a := p.show(q)
	a.page.Status, a.code = http.StatusConflict, "already-logged-in"
	a.page.URLs.Login = q.next().AddTo(p.urls.Login) // which leads users who are logged in on to next
	return a
}
