package pages

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/go-login/auth"
)

// errNotDone tells Core.FormOnce that a form was not done.
var errNotDone = errors.New("pages: the form was not done")

// doOnce answers a form that must not be done twice. If do has done what the form asks
// for, its answer leads to the next page; done is false for every other answer. If the
// form is sent again after it was done, do does not run: the answer leads to the same
// page and has the same message.
func (p *Pages) doOnce(q *request, category, text string, do func(*request) (a answer, done bool)) answer {
	fields := maps.Clone(q.PostForm)
	delete(fields, "form_once")
	var a answer
	to, _, err := p.core.FormOnce(q.Context(), q.page.name, q.PostForm.Get("form_once"), fields, func(ctx context.Context) (string, error) {
		var done bool
		if a, done = do(q.with(ctx)); !done {
			return "", errNotDone
		}
		return a.to, nil
	})
	switch {
	case err == nil:
		next := say(category, text, to)
		if next.cookies = a.cookies; p.isFactor(to) {
			next.why = auth.ErrFactorRequired // also if the form was done before
		}
		return next
	case errors.Is(err, errNotDone):
		return a
	case errors.Is(err, auth.ErrFormBusy):
		return p.fail(http.StatusConflict)
	}
	return answer{err: err, cookies: a.cookies}
}

// isFactor reports whether an answer leads to the page for a second factor.
func (p *Pages) isFactor(to string) bool {
	path, _, _ := strings.Cut(to, "?")
	return path != "" && path == p.urls.Factor
}
