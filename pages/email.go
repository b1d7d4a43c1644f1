package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/go-login/auth"
)

func (p *Pages) emailLink() mailedLink {
	return mailedLink{
		page: p.urls.Email, failed: p.urls.Email, used: p.texts.EmailUsed, cookie: "email", kept: keepToken,
		check: func(ctx context.Context, token string) error {
			_, _, err := p.core.CheckEmailToken(ctx, token)
			return err
		},
	}
}

func (p *Pages) emailForm(values url.Values) *Form {
	return newForm(p.urls.Email, p.texts.EmailButton, values,
		Field{Name: "email", Label: p.texts.NewEmail, Type: "email", Autocomplete: "email", Required: true},
	)
}

// showEmail asks for a new address or, after the link that went there, whether to
// use it. Only the first needs a login that is fresh.
func (p *Pages) showEmail(w http.ResponseWriter, r *http.Request) {
	if p.tokenOf(r, p.emailLink()) != "" && !wantsNew(r) {
		p.showConfirm(w, r)
		return
	}
	p.fresh(p.showNewEmail).ServeHTTP(w, r)
}

func (p *Pages) showNewEmail(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, "email", p.emailForm(nil))
}

// email gets the forms of both pages: with an address it is the one that asks for
// it.
func (p *Pages) email(w http.ResponseWriter, r *http.Request) {
	if r.PostForm.Has("email") {
		p.own("email", p.showNewEmail, p.fresh(p.sendEmail)).ServeHTTP(w, r)
		return
	}
	p.own("confirm", p.showNewEmail, http.HandlerFunc(p.confirm)).ServeHTTP(w, r)
}

// sendEmail answers alike whether somebody has the address or not.
func (p *Pages) sendEmail(w http.ResponseWriter, r *http.Request) {
	user, err := p.core.User(r.Context())
	if err != nil {
		p.error(w, r, err)
		return
	}
	f := p.emailForm(r.PostForm)
	f.require(p.texts.Required)
	if address := f.text("email"); p.core.CheckNewEmail(address) == nil && isNameOf(user, address) {
		f.refuse("email", p.texts.EmailSame)
	}
	if f.valid() {
		err := p.core.SendNewEmail(r.Context(), user, f.text("email"), p.urls.Email)
		if err == nil {
			p.flash(w, r, "info", p.texts.EmailSent, p.urls.Account)
			return
		}
		if p.refuse(f, err); f.valid() {
			p.error(w, r, err)
			return
		}
	}
	p.show(w, r, "email", f)
}

func (p *Pages) confirmForm(token string) *Form {
	f := newForm(p.urls.Email, p.texts.ConfirmButton, nil)
	f.Proof, f.once = proofOf(token), "confirm"
	return f
}

// showConfirm is for the user who has asked for the new address. Another one's
// token is no better than none.
func (p *Pages) showConfirm(w http.ResponseWriter, r *http.Request) {
	user, err := p.core.User(r.Context())
	if err != nil {
		p.error(w, r, err)
		return
	}
	link := p.emailLink()
	token := p.tokenOf(r, link)
	subject, address, err := p.core.CheckEmailToken(r.Context(), token)
	if err == nil && subject.AuthAccount().ID != user.AuthAccount().ID {
		err = auth.ErrInvalidToken
	}
	if err != nil {
		p.tokenFailed(w, r, link, err, true)
		return
	}
	page := p.page("confirm", http.StatusOK, p.confirmForm(token))
	page.Subject, page.Address = subject, address
	p.render(w, r, page)
}

func (p *Pages) confirm(w http.ResponseWriter, r *http.Request) {
	p.once(w, r, "confirm", "success", p.texts.EmailChanged, p.confirmOnce)
}

// confirmOnce is behind the guard. The repetition of a form that was done is not:
// its browser may have lost the answer, and with it the cookie of the login.
func (p *Pages) confirmOnce(w http.ResponseWriter, r *http.Request) (target string, done bool) {
	p.core.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		link := p.emailLink()
		token, ok := p.postedToken(w, r, link)
		if !ok {
			return
		}
		if _, err := p.core.ConfirmEmail(r.Context(), token, p.urls.Undo); err != nil {
			p.tokenFailed(w, r, link, err, true)
			return
		}
		p.setToken(w, link, "")
		target, done = p.urls.Account, true
	})).ServeHTTP(w, r)
	return target, done
}

func (p *Pages) undoLink() mailedLink {
	return mailedLink{
		page: p.urls.Undo, failed: p.urls.Forgot, used: p.texts.UndoUsed, cookie: "undo", kept: keepToken,
		check: func(ctx context.Context, token string) error {
			_, _, err := p.core.CheckUndoToken(ctx, token)
			return err
		},
	}
}

func (p *Pages) undoForm(token string) *Form {
	f := newForm(p.urls.Undo, p.texts.UndoButton, nil)
	f.Proof = proofOf(token)
	return f
}

func (p *Pages) showUndo(w http.ResponseWriter, r *http.Request) {
	token := p.tokenOf(r, p.undoLink())
	user, address, err := p.core.CheckUndoToken(r.Context(), token)
	if err != nil {
		p.tokenFailed(w, r, p.undoLink(), err, true)
		return
	}
	page := p.page("undo", http.StatusOK, p.undoForm(token))
	page.Subject, page.Address = user, address
	p.render(w, r, page)
}

// undo goes on with a new password: the account has none any more. The browser is
// logged out, because whoever uses the link may not be the one who logged in.
func (p *Pages) undo(w http.ResponseWriter, r *http.Request) {
	link := p.undoLink()
	token, ok := p.postedToken(w, r, link)
	if !ok {
		return
	}
	user, err := p.undoEmail(r.Context(), token)
	if err != nil {
		p.tokenFailed(w, r, link, err, true)
		return
	}
	p.setToken(w, link, "")
	target := p.urls.Forgot
	if token, err := p.core.ResetToken(r.Context(), user); err == nil { // else the account is disabled
		p.setToken(w, p.resetLink(), token)
		target = p.urls.Reset
	}
	p.flash(w, r, "success", p.texts.EmailUndone, target)
}

// undoEmail logs out first, so that after a failure there is still a link that
// works.
func (p *Pages) undoEmail(ctx context.Context, token string) (auth.User, error) {
	if _, _, err := p.core.CheckUndoToken(ctx, token); errors.Is(err, auth.ErrInvalidToken) {
		return p.core.UndoEmail(ctx, token) // where it is counted
	} else if err != nil {
		return nil, err
	}
	if err := p.core.LogoutUser(ctx); err != nil {
		return nil, err
	}
	return p.core.UndoEmail(ctx, token)
}
