package pages

import (
	"context"
	"errors"
	"maps"
	"net/http"

	"github.com/go-login/auth"
)

// errAnswered says that a form was not done, and that the request is answered.
var errAnswered = errors.New("pages: answered")

// once answers the post of a form that must not be done twice. do returns where to go
// if it has done what the form asks for; otherwise it has answered the request. A
// repetition of what was done gets the same message, leads to the same page, and does
// nothing.
func (p *Pages) once(w http.ResponseWriter, r *http.Request, form, category, text string, do func(http.ResponseWriter, *http.Request) (target string, done bool)) {
	fields := maps.Clone(r.PostForm)
	delete(fields, "form_once")
	target, _, err := p.core.FormOnce(r.Context(), form, r.PostForm.Get("form_once"), fields, func(ctx context.Context) (string, error) {
		target, done := do(w, r.WithContext(ctx))
		if !done {
			return "", errAnswered
		}
		return target, nil
	})
	switch {
	case err == nil:
		p.flash(w, r, category, text, target)
	case errors.Is(err, errAnswered):
	case errors.Is(err, auth.ErrFormBusy):
		page := p.page("error", http.StatusConflict, nil)
		page.Title = p.texts.FormBusy
		p.render(w, r, page)
	default:
		p.error(w, r, err)
	}
}
