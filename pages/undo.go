package pages

import (
	"context"
	"errors"

	"github.com/go-login/auth"
)

// undoPage is what the link in the mail to the old address opens.
func (p *Pages) undoPage() *page {
	t := &p.texts
	return &page{
		name: "undo", title: &t.UndoTitle,
		texts: []text{
			must(&t.UndoTitle, "Change your email address back"),
			must(&t.UndoButton, "Change it back"),
			may(&t.UndoExplain, "Your account will have this address again. Everybody who is logged in to it will be logged out, and you will choose a new password."),
			may(&t.EmailUndone, "Your email address has been changed back. Please choose a new password."),
			may(&t.UndoUsed, "This link has already been used: your email address has been changed back. Ask for a link that sets a new password."),
		},
		path: "/undo-email", url: &p.urls.Undo, mails: true,
		setting: &setting{"EmailUndo", p.auth.URLs.EmailUndo, "the page that changes an address back", false},
		who:     anybody,
		form:    p.undoForm, get: p.showLinked, post: p.useLink,
		link: &link{
			cookie: "undo", kept: keepToken, check: p.core.CheckEmailUndo,
			use: p.undo, done: func(*request) string { return t.EmailUndone },
			used: &t.UndoUsed, failed: &p.urls.Forgot,
		},
	}
}

func (p *Pages) undoForm(q *request) *Form {
	f := newForm(p.urls.Undo, p.texts.UndoButton, nil)
	f.Proof = proofOf(q.token)
	return f
}

// undo leads to a new password, because the account has none any more.
func (p *Pages) undo(q *request) (answer, error) {
	user, err := p.undoEmail(q.Context(), q.token)
	if err != nil {
		return answer{}, err
	}
	token, err := p.core.ResetToken(q.Context(), user)
	if err != nil { // the account is disabled
		return answer{to: p.urls.Forgot}, nil
	}
	return answer{to: p.urls.Reset, cookies: p.cookie(p.named["reset"].link, token)}, nil
}

// undoEmail logs the browser out, because the user who opens the link may not be the
// one who is logged in. It does so first: if it fails, the link still works.
func (p *Pages) undoEmail(ctx context.Context, token string) (auth.User, error) {
	if _, _, err := p.core.CheckEmailUndo(ctx, token); errors.Is(err, auth.ErrInvalidToken) {
		return p.core.UndoEmailChange(ctx, token) // which counts the invalid token
	} else if err != nil {
		return nil, err
	}
	if err := p.core.LogoutUser(ctx); err != nil {
		return nil, err
	}
	return p.core.UndoEmailChange(ctx, token)
}
