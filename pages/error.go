package pages

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// errorPage is shown in place of any page, if the request is not in order or cannot be served.
// It is also what Core.Error shows people, on the application's own pages, too.
func (p *Pages) errorPage() *page {
	t := &p.texts
	return &page{
		name: "error", title: &t.NotFound, who: anybody,
		texts: []text{
			must(&t.BadRequest, "The form cannot be read"),
			must(&t.NotLoggedIn, "You are not logged in"),
			must(&t.Renewed, "Your login has been renewed"),
			must(&t.Forbidden, "You cannot do this here"),
			must(&t.NotFound, "Page not found"),
			must(&t.MethodNotAllowed, "This is not possible here"),
			must(&t.Conflict, "This has been changed in the meantime"),
			must(&t.NotAForm, "This page takes HTML forms only, and no files"),
			must(&t.NotJSON, "Programs send JSON here"),
			must(&t.WrongType, "This field cannot have this value, or is there twice."),
			must(&t.FormBusy, "This form is being processed. Reload the page in a moment"),
			must(&t.TooLarge, "The form is too large"),
			must(&t.Invalid, "Your entries were not accepted"),
			must(&t.TooMany, "Too many attempts"),
			must(&t.Failed, "Something went wrong"),
			must(&t.Busy, "We cannot answer at the moment"),
			may(&t.NotSaved, "Nothing was saved. Go back to the page, reload it, and try again."),
			may(&t.FailedExplain, "The error is ours, and we have recorded it. Please try again later."),
			must(&t.TryIn, "Please try again in {wait}."),
			must(&t.TrySoon, "Please try again in a moment."),
			must(&t.TryAgain, "Try again"),
			must(&t.OneMinute, "one minute"),
			must(&t.Minutes, "{n} minutes"),
			must(&t.OneHour, "one hour"),
			must(&t.Hours, "{n} hours"),
		},
		sample: func(page *Page) { page.Message, page.Again = "text", "/" },
	}
}

// fail answers a request that is not in order with this status, and with the title
// that goes with it.
func (p *Pages) fail(status int) answer {
	page := p.newPage(p.named["error"], nil)
	page.Status, page.Title, page.Message = status, p.titleOf(status, nil), p.adviceOf(status, nil)
	return answer{page: &page, header: http.Header{}}
}

// titleOf returns what an error page says is wrong.
func (p *Pages) titleOf(status int, err error) string {
	t := &p.texts
	switch {
	case errors.Is(err, auth.ErrCheckMail):
		return t.InboxTitle
	case errors.Is(err, auth.ErrReplaced):
		return t.Renewed
	case errors.Is(err, auth.ErrFormBusy), status == http.StatusConflict && err == nil:
		return t.FormBusy
	}
	switch status {
	case http.StatusBadRequest:
		return t.BadRequest
	case http.StatusUnauthorized:
		return t.NotLoggedIn
	case http.StatusForbidden:
		return t.Forbidden
	case http.StatusNotFound:
		return t.NotFound
	case http.StatusMethodNotAllowed:
		return t.MethodNotAllowed
	case http.StatusConflict:
		return t.Conflict
	case http.StatusUnsupportedMediaType:
		return t.NotAForm
	case http.StatusRequestEntityTooLarge:
		return t.TooLarge
	case http.StatusUnprocessableEntity:
		if err == nil {
			return t.LoginTitle // a refused login, on a page without a form
		}
		return t.Invalid
	case http.StatusTooManyRequests:
		return t.TooMany
	case http.StatusServiceUnavailable:
		return t.Busy
	}
	return t.Failed
}

// adviceOf returns what the user can do about an error, or "".
func (p *Pages) adviceOf(status int, err error) string {
	limited, wait := (*auth.RateLimitError)(nil), (*auth.WaitError)(nil)
	switch t := &p.texts; {
	case errors.Is(err, auth.ErrCheckMail):
		return t.InboxHelp
	case errors.As(err, &limited):
		return p.waitFor(limited.RetryAfter)
	case errors.As(err, &wait):
		return p.waitFor(wait.RetryAfter)
	case status == http.StatusServiceUnavailable:
		return t.TrySoon
	case status >= http.StatusInternalServerError:
		return t.FailedExplain
	case errors.Is(err, auth.ErrFormBusy), status == http.StatusConflict && err == nil:
		return ""
	case errors.Is(err, auth.ErrCrossOrigin):
		return t.NotSaved
	}
	switch status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return p.texts.NotSaved
	}
	return ""
}

// waitFor says how long to wait: in hours if that is exact, or else in minutes.
func (p *Pages) waitFor(d time.Duration) string {
	t := &p.texts
	n, one, many := int((d+time.Minute-1)/time.Minute), t.OneMinute, t.Minutes
	if n > 90 || n == 60 {
		n, one, many = int((d+time.Hour-1)/time.Hour), t.OneHour, t.Hours
	}
	wait := one
	if n > 1 {
		wait = strings.ReplaceAll(many, "{n}", strconv.Itoa(n))
	}
	return strings.ReplaceAll(t.TryIn, "{wait}", wait)
}

// A failure is a request to one of the pages that cannot be served. showError finds it in the
// request's context.
type failure struct {
	pages *Pages
	q     *request // nil: no page's handler was reached
}

type failureKey struct{ core *auth.Core }

// failing returns the request that is passed to Core.Error in place of r.
func (p *Pages) failing(r *http.Request, q *request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), failureKey{p.core}, failure{p, q}))
}

// showError answers Core.Error and failed requests, for people. If a form of ours failed
// because the server or the client was too busy, it shows the form again, with what was
// typed. It asks no store after a failure: that would fail, too, and take its time.
func (p *Pages) showError(w http.ResponseWriter, r *http.Request, status int, err error) {
	p = p.inLanguage(w.Header(), r)
	f, ours := r.Context().Value(failureKey{p.core}).(failure)
	if ours {
		p = f.pages
	}
	p.secure(w.Header(), p.hasToken(r))
	if page := p.formAgain(f.q, status, err); page != nil && !p.hasToken(r) {
		page.User = f.q.user
		p.addData(r, page)
		p.seal(r, page)
		if p.execute(w, page) == nil {
			return
		}
	}
	page := p.newPage(p.named["error"], nil)
	page.Status, page.Title, page.Message = status, p.titleOf(status, err), p.adviceOf(status, err)
	page.Again = p.againURL(r, f.q, status)
	if ours && f.q != nil {
		page.User = f.q.user
	} else if status < http.StatusInternalServerError {
		if user, err := p.core.EnrollingUser(r.Context()); err == nil {
			page.User = user
		}
	}
	if p.hasToken(r) {
		page.User = nil
	}
	p.addData(r, &page)
	p.seal(r, &page)
	if err := p.execute(w, &page); err != nil {
		p.auth.Logger.ErrorContext(r.Context(), "pages: error.html failed", "error", err)
		http.Error(w, http.StatusText(status), status)
	}
}

// addData adds the application's data. If it fails, too, the page goes without.
func (p *Pages) addData(r *http.Request, page *Page) {
	if p.cfg.Data != nil {
		page.Data, _ = p.cfg.Data(r)
	}
}

// formAgain returns the page of a form with what was typed, and says in it why it failed; or
// nil if the error has nothing to do with load, or the page asks for nothing but secrets.
func (p *Pages) formAgain(q *request, status int, err error) *Page {
	if q == nil || q.page.again == nil || status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return nil
	}
	a := q.page.again(q)
	if a.page == nil || a.page.Form == nil {
		return nil
	}
	text := p.titleOf(status, err) + ". " + p.adviceOf(status, err)
	a.page.Status, a.page.Flashes = status, []auth.Flash{{Category: "warning", Text: text}}
	return a.page
}

// againURL is where the user can try again, or "": the page itself, or the page of the form.
func (p *Pages) againURL(r *http.Request, q *request, status int) string {
	switch get := r.Method == http.MethodGet || r.Method == http.MethodHead; {
	case status == http.StatusForbidden, status == http.StatusNotFound, status == http.StatusAccepted:
		return ""
	case get && p.hasToken(r):
		return ""
	case get:
		return auth.ParseNext(p.whole(r.RequestURI)).String()
	case q != nil && q.page.get != nil && q.page.url != nil:
		return q.next().AddTo(*q.page.url)
	}
	return ""
}
