package pages

import (
	"errors"
	"net/http"

	"github.com/go-login/auth"
)

func (p *Pages) loginPage() *page {
	t := &p.texts
	label, failed := p.loginTexts()
	return &page{
		name: "login", title: &t.LoginTitle,
		texts: []text{
			must(&t.LoginTitle, "Log In"),
			must(&t.LoginButton, "Log In"),
			must(&t.RememberMe, "Remember Me"),
			may(&t.NoAccount, "Don't have an account?"),
			must(&t.Login, label),
			must(&t.LoginFailed, failed),
		},
		path: "/login", url: &p.urls.Login, setting: &setting{"Login", p.auth.URLs.Login, "the login page"},
		who:  visitors,
		form: p.loginForm, get: p.show, post: p.login,
	}
}

// loginTexts returns the defaults of Texts.Login and Texts.LoginFailed.
func (p *Pages) loginTexts() (label, failed string) {
	label, names := "Username or Email", "username or email"
	switch p.auth.Identifiers {
	case auth.UsernameOnly:
		label, names = "Username", "username"
	case auth.EmailOnly:
		label, names = "Email", "email"
	}
	failed = "We could not log you in. Check both your " + names + " and your password. After several wrong tries, you may have to wait."
	if p.auth.RequireVerified {
		failed += " If your account is new, first open the link that we mailed to you."
	}
	if p.auth.Mailer != nil {
		failed += " If that does not help, reset your password."
	}
	return label, failed
}

func (p *Pages) loginForm(q *request) *Form {
	t, kind := &p.texts, "text"
	if p.auth.Identifiers == auth.EmailOnly {
		kind = "email"
	}
	f := newForm(p.urls.Login, t.LoginButton, q.typed,
		Field{Name: "login", Label: t.Login, Type: kind, Autocomplete: "username", Required: true},
		Field{Name: "password", Label: t.Password, Type: "password", Autocomplete: "current-password", Required: true},
		Field{Name: "remember_me", Label: t.RememberMe, Type: "checkbox"},
	)
	f.Next = q.next().String()
	return f
}

func (p *Pages) login(q *request) answer {
	f := p.loginForm(q)
	if f.require(p.texts.Required); !f.valid() {
		return p.draw(q, f)
	}
	user, err := p.core.Authenticate(q.Context(), f.get("login"), f.get("password"))
	if err == nil {
		err = p.core.LoginUser(q.Context(), user, auth.Remember(f.get("remember_me") != ""))
	}
	switch {
	case err == nil:
		return answer{to: p.takeNext(q)}
	case errors.Is(err, auth.ErrFactorRequired):
		return answer{to: q.next().AddTo(p.urls.Factor)}
	case errors.Is(err, auth.ErrLoginRefused):
		f.refuseAll(p.texts.LoginFailed)
		return p.draw(q, f)
	}
	return answer{err: err}
}

// switchPage answers a login or a registration for another account than the one that
// is logged in: it offers to log out and come back.
func (p *Pages) switchPage() *page {
	t := &p.texts
	return &page{
		name: "switch", title: &t.SwitchTitle,
		texts: []text{
			must(&t.SwitchTitle, "You Are Already Logged In"),
			must(&t.SwitchButton, "Log Out and Continue"),
			must(&t.SwitchExplain, "You are logged in as {user}. To use another account, log out first."),
			may(&t.StayLink, "Stay logged in as {user}"),
		},
		who: users, form: p.switchForm,
	}
}

func (p *Pages) switchForm(q *request) *Form {
	f := newForm(p.urls.Logout, p.texts.SwitchButton, nil)
	f.Next = q.next().AddTo(q.URL.Path)
	return f
}

func (p *Pages) showSwitch(q *request) answer {
	q.page = p.named["switch"]
	a := p.show(q)
	a.page.Status = http.StatusConflict
	a.page.URLs.Login = q.next().AddTo(p.urls.Login) // which leads users who are logged in on to next
	return a
}
