package pages

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/go-login/auth"
)

func (p *Pages) refreshPage() *page {
	t := &p.texts
	return &page{
		name: "refresh", title: &t.RefreshTitle,
		texts: []text{
			must(&t.RefreshTitle, "Confirm your password"),
			must(&t.RefreshButton, "Confirm"),
			must(&t.RefreshNone, "You cannot confirm here that it is you. Log out, and log in again."),
		},
		path: "/refresh", url: &p.urls.Refresh, setting: &setting{"Refresh", p.auth.URLs.Refresh, "the refresh page", false},
		who: enrolling, own: true, refused: p.refreshFailed, fields: []string{"password", passkeyField, "next"},
		form: p.refreshForm, get: p.showRefresh, post: p.refresh,
		sample: func(page *Page) {
			sampleProviders(page)
			page.NoWay = true
		},
	}
}

func (p *Pages) refreshForm(q *request) *Form {
	f := newForm(p.urls.Refresh, p.texts.RefreshButton, q.typed,
		Field{Name: "password", Label: p.texts.Password, Type: "password", Autocomplete: "current-password", Required: true},
	)
	f.Login, f.Next = loginOf(q.user), q.next().String()
	return f
}

func (p *Pages) showRefresh(q *request) answer { return p.drawRefresh(q, p.refreshForm(q)) }

// drawRefresh returns the page with this form, if the account has a password. It also asks
// users for their passkeys, and has buttons for the providers that can confirm the login. A
// user who has nothing of these goes to the page that mails a code.
func (p *Pages) drawRefresh(q *request, f *Form) answer {
	has, err := p.hasPasskey(q)
	if err != nil {
		return answer{err: err}
	}
	confirmers, err := p.confirmers(q)
	if err != nil {
		return answer{err: err}
	}
	switch byMail, err := p.core.ConfirmsByMail(q.Context(), q.user); {
	case err != nil:
		return answer{err: err}
	case byMail:
		a := answer{to: q.next().AddTo(p.urls.LoginCode)}
		if q.Method == http.MethodPost { // the password confirmed nothing
			a.why = auth.ErrNotFresh
		}
		return a
	}
	passwordless := hasNoPassword(q.user)
	if passwordless {
		f = nil
	}
	a := p.draw(q, f)
	a.page.Providers = p.providerForms(q, confirmers, toConfirm)
	a.page.NoWay = passwordless && !has && len(confirmers) == 0
	if has || passwordless || len(confirmers) > 0 {
		a.page.Title = p.texts.FactorTitle
	}
	if has {
		a.page.Passkey = &PasskeyForm{
			Action: p.urls.Refresh, Button: p.texts.PasskeyConfirm, Next: q.next().String(), URL: p.urls.PasskeyLogin,
			Alone: passwordless && len(confirmers) == 0,
		}
	}
	return a
}

// refreshByPasskey confirms the login by a passkey.
func (p *Pages) refreshByPasskey(q *request) answer {
	err := p.core.ConfirmByPasskey(q.Context(), q.PostForm)
	switch {
	case err == nil:
		return answer{to: p.refreshed(q)}
	case errors.Is(err, auth.ErrFactorRequired):
		return p.owe(q)
	case errors.Is(err, auth.ErrWrongFactor):
		return p.passkeyRefused(q, p.showRefresh(q), err)
	}
	return p.refreshFailed(q, err)
}

// refreshed returns where a confirmed login goes on.
func (p *Pages) refreshed(q *request) string {
	return cmp.Or(p.core.TakeNext(q.Request).String(), p.cfg.Home)
}

func (p *Pages) refresh(q *request) answer {
	if login, err := p.core.CurrentLogin(q.Context()); err != nil || login.ID == "" {
		return answer{err: cmp.Or(err, auth.ErrNotLoggedIn)} // a Credential's user has no login that could be fresh
	}
	if p.passkeys != nil && q.PostForm.Has(passkeyField) {
		return p.refreshByPasskey(q)
	}
	f := p.refreshForm(q)
	if f.require(&p.texts); f.valid() {
		right, err := p.core.CheckPassword(q.Context(), q.user, f.get("password"))
		if err == nil && right {
			err = p.core.ConfirmLogin(q.Context())
		}
		switch {
		case errors.Is(err, auth.ErrFactorRequired):
			return p.owe(q)
		case err != nil:
			return p.refreshFailed(q, err)
		case right:
			return answer{to: p.refreshed(q)}
		}
		f.refuse("password", p.texts.PasswordWrong)
	}
	return p.drawRefresh(q, f)
}

// refreshFailed sends a browser that is not logged in, or not any more, to the login
// page. From there it goes on to the same page as from here.
func (p *Pages) refreshFailed(q *request, err error) answer {
	if errors.Is(err, auth.ErrNotLoggedIn) && !errors.Is(err, auth.ErrReplaced) {
		a := answer{to: q.next().AddTo(p.urls.Login), why: err}
		if q.Method == http.MethodPost && !q.json { // the login has ended since the page was shown
			a.flash = p.auth.Message(q.Request, auth.ErrLoggedOut)
		}
		return a
	}
	return answer{err: err}
}
