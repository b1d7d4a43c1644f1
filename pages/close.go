package pages

import (
	"errors"

	"github.com/go-login/auth"
)

func (p *Pages) closePage() *page {
	t := &p.texts
	return &page{
		name: "close", title: &t.CloseTitle,
		texts: []text{
			must(&t.CloseTitle, "Close Account"),
			must(&t.CloseButton, "Close Account"),
			must(&t.CloseConfirm, "Close my account for good"),
			may(&t.CloseExplain, "Nobody can log in to a closed account any more, and it cannot be opened again."),
			may(&t.Closed, "Your account has been closed."),
		},
		path: "/account/close", url: &p.urls.Close,
		who: freshUsers, own: true,
		form: p.closeForm, get: p.show, post: p.close,
	}
}

// closeForm asks for the password, if the account has one.
func (p *Pages) closeForm(q *request) *Form {
	t := &p.texts
	var fields []Field
	if !q.user.AuthAccount().PasswordHash.IsZero() {
		fields = append(fields, Field{Name: "current_password", Label: t.CurrentPassword, Type: "password", Autocomplete: "current-password", Required: true})
	}
	f := newForm(p.urls.Close, t.CloseButton, q.typed, append(fields,
		Field{Name: "confirm", Label: t.CloseConfirm, Type: "checkbox", Required: true},
	)...)
	f.Login = loginOf(q.user)
	return f
}

func (p *Pages) close(q *request) answer {
	f := p.closeForm(q)
	f.require(p.texts.Required)
	if f.Field("current_password") != nil {
		if err := p.checkCurrent(q, f); err != nil {
			return answer{err: err}
		}
	}
	if f.valid() {
		switch err := p.core.CloseAccount(q.Context(), q.user); {
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
