package pages

import (
	"encoding/json"
	"errors"

	"github.com/go-login/auth"
)

func (p *Pages) closePage() *page {
	t := &p.texts
	return &page{
		name: "close", title: &t.CloseTitle,
		texts: []text{
			must(&t.CloseTitle, "Close your account"),
			must(&t.CloseButton, "Close account"),
			must(&t.CloseConfirm, "Close my account for good"),
			may(&t.KeepLink, "Keep my account"),
			may(&t.CloseExplain, "Nobody can log in to a closed account any more, and it cannot be opened again."),
			may(&t.Closed, "Your account has been closed."),
		},
		path: "/account/close", url: &p.urls.Close,
		who: freshUsers, own: true, fields: []string{"current_password"}, flags: []string{"confirm"},
		form: p.closeForm, get: p.show, post: p.close,
	}
}

// closeForm asks for the password, if the account has one.
func (p *Pages) closeForm(q *request) *Form {
	t := &p.texts
	var fields []Field
	if !hasNoPassword(q.user) {
		fields = append(fields, Field{Name: "current_password", Label: t.CurrentPassword, Type: "password", Autocomplete: "current-password", Required: true})
	}
	f := newForm(p.urls.Close, t.CloseButton, q.typed, append(fields,
		Field{Name: "confirm", Label: t.CloseConfirm, Type: "checkbox", Required: true},
	)...)
	f.Login, f.Danger = loginOf(q.user), true
	return f
}

func (p *Pages) close(q *request) answer {
	f := p.closeForm(q)
	f.require(&p.texts)
	if f.Field("current_password") != nil {
		if err := p.checkCurrent(q, f); err != nil {
			return answer{err: err}
		}
	}
	if f.valid() {
		forget, err := p.forgetAll(q) // before the account is closed, which deletes the passkeys
		if err != nil {
			return answer{err: err}
		}
		switch err := p.core.CloseAccount(q.Context(), q.user); {
		case err == nil && forget != "":
			return p.showClosed(q, forget)
		case err == nil:
			return say("success", p.texts.Closed, p.cfg.Home)
		case errors.Is(err, auth.ErrConflict): // the password was changed meanwhile
			f.refuse("current_password", p.texts.PasswordWrong)
		default:
			return answer{err: err}
		}
	}
	return p.draw(q, f)
}

// closedPage is shown in place of a redirect if the browser must be told that the passkeys
// of the account are gone. Otherwise it would go on offering them.
func (p *Pages) closedPage() *page {
	t := &p.texts
	return &page{
		name: "closed", title: &t.ClosedTitle, who: anybody,
		texts: []text{
			must(&t.ClosedTitle, "Account closed"),
			must(&t.ClosedLink, "Continue"),
		},
	}
}

func (p *Pages) showClosed(q *request, forget string) answer {
	q.page = p.named["closed"]
	a := p.draw(q, nil)
	a.page.KnownPasskeys = forget
	return a
}

// forgetAll returns what has the browser forget all passkeys of the user, as JSON for the
// script; or "" if the user has none.
func (p *Pages) forgetAll(q *request) (string, error) {
	if p.passkeys == nil {
		return "", nil
	}
	if all, err := p.core.Passkeys(q.Context(), q.user); len(all) == 0 || err != nil {
		return "", err
	}
	known, err := p.core.KnownPasskeys(q.Context())
	if err != nil {
		return "", err
	}
	data, err := p.toJSON(known)
	if err != nil {
		return "", err
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(data), &fields); err != nil || fields == nil {
		return "", nil // not that of package passkey: its script has another format
	}
	fields["credentialIds"] = []string{}
	return p.toJSON(fields)
}
