package pages

import "github.com/go-login/auth"

func (p *Pages) emailPage() *page {
	t := &p.texts
	return &page{
		name: "email", title: &t.EmailTitle,
		texts: []text{
			must(&t.EmailTitle, "Change your email address"),
			must(&t.EmailButton, "Email a link to this address"),
			must(&t.NewEmail, "New email"),
			may(&t.EmailExplain, "We will send a link to the new address. Nothing changes before you have opened it."),
			must(&t.EmailSame, "This is your email address already."),
			must(&t.EmailSent, "We have sent an email to {address}. Open the link in it to use this address."),
		},
		path: "/account/email", url: &p.urls.Email, mails: true,
		who: freshUsers, own: true, fields: []string{"email"},
		form: p.emailForm, again: p.show, get: p.show, post: p.sendEmail,
	}
}

func (p *Pages) emailForm(q *request) *Form {
	return newForm(p.urls.Email, p.texts.EmailButton, q.typed,
		Field{Name: "email", Label: p.texts.NewEmail, Type: "email", Autocomplete: "email", Required: true},
	)
}

// sendEmail answers the same whether an account has the address or not.
func (p *Pages) sendEmail(q *request) answer {
	f := p.emailForm(q)
	f.require(&p.texts)
	if address := f.text("email"); p.core.ValidateEmail(address) == nil && isNameOf(q.user, address) {
		f.refuse("email", p.texts.EmailSame)
	}
	if f.valid() {
		err := p.core.SendEmailChange(q.Context(), q.user, f.text("email"))
		if err == nil {
			return p.mailed(q, "email", f.text("email"), auth.Next{})
		}
		if p.refuse(f, err); f.valid() {
			return answer{err: err}
		}
	}
	return p.draw(q, f)
}

// confirmPage is what the link in the mail to the new address opens.
func (p *Pages) confirmPage() *page {
	t := &p.texts
	return &page{
		name: "confirm", title: &t.ConfirmTitle,
		texts: []text{
			must(&t.ConfirmTitle, "Confirm your new email address"),
			must(&t.ConfirmButton, "Use this address"),
			may(&t.ConfirmExplain, "Your account will have the new address, and other browsers will be logged out."),
			may(&t.OtherEmailLink, "Use another address"),
			may(&t.EmailChanged, "Your email address has been changed."),
			may(&t.EmailUsed, "This link has already been used: your email address has been changed."),
		},
		path: "/account/email", url: &p.urls.Email, mails: true,
		setting: &setting{"EmailChange", p.auth.URLs.EmailChange, "the page that confirms a new address", true},
		who:     users, own: true, once: true,
		form: p.confirmForm, get: p.showLinked, post: p.useLink,
		link: &link{
			cookie: "email", kept: keepToken, check: p.core.CheckEmailChange, mine: true,
			use: p.confirm, done: func(*request) string { return t.EmailChanged },
			used: &t.EmailUsed, failed: &p.urls.Email,
		},
	}
}

func (p *Pages) confirmForm(q *request) *Form {
	f := newForm(p.urls.Email, p.texts.ConfirmButton, nil)
	f.Proof = proofOf(q.token)
	return f
}

func (p *Pages) confirm(q *request) (answer, error) {
	_, err := p.core.ConfirmEmailChange(q.Context(), q.token)
	return answer{to: p.accountURL()}, err
}
