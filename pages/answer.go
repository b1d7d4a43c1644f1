package pages

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/go-login/auth"
)

// An answer is what a handler returns. It has one of page, to, err and by. If it has page
// and by, people get by, and programs the page's problem.
type answer struct {
	page *Page // the page to show

	to    string     // the path of this site to redirect to
	why   error      // the error because of which the answer leads to it; programs get the error
	flash auth.Flash // the message that the next page shows, if its text is not empty

	err error        // what failed, if it is not about a field of the form
	of  *request     // the form that failed, with err; nil if no form was sent
	by  http.Handler // writes the response in place of write

	code   string            // the code of the Problem, if the page says what is wrong; empty: that of its status
	fields map[string]string // the fields of the Problem, if the page has no form

	cookies []*http.Cookie
	header  http.Header
}

// show returns the page of the request, with its form. It is the get of most pages.
func (p *Pages) show(q *request) answer {
	if q.page.form == nil {
		return p.draw(q, nil)
	}
	return p.draw(q, q.page.form(q))
}

// draw returns the page of the request with this form. The status is 422 if something in
// the form is wrong.
func (p *Pages) draw(q *request, f *Form) answer {
	page := p.newPage(q.page, f)
	page.Subject, page.Address = q.subject, q.address
	if f != nil && !f.valid() {
		page.Status = http.StatusUnprocessableEntity
	}
	return answer{page: &page}
}

// say redirects to another page, which shows the text, unless it is empty.
func say(category, text, to string) answer {
	return answer{to: to, flash: auth.Flash{Category: category, Text: text}}
}

// write writes an answer as the response, in HTML or as JSON. Handlers never write the
// response.
func (p *Pages) write(w http.ResponseWriter, r *http.Request, a answer, asJSON bool) {
	for _, cookie := range a.cookies {
		http.SetCookie(w, cookie)
	}
	if a.flash.Text != "" && !asJSON {
		if err := p.core.Flash(r.Context(), a.flash.Category, a.flash.Text); err != nil {
			a = answer{err: err}
		}
	}
	r = p.failing(r, a.of)
	if limited := (*auth.RateLimitError)(nil); errors.As(a.err, &limited) {
		err := a.err
		a = p.fail(http.StatusTooManyRequests)
		a.header.Set("Retry-After", strconv.Itoa(int(limited.RetryAfter.Seconds())))
		a.by = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.showError(w, r, http.StatusTooManyRequests, err)
		})
	}
	if errors.Is(a.err, auth.ErrLoginRefused) && !errors.Is(a.err, auth.ErrUnverified) {
		a = refusedLogin(warn(p.fail(http.StatusUnprocessableEntity), http.StatusUnprocessableEntity, "danger", p.texts.LoginFailed))
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if asJSON {
		p.writeJSON(w, r, a)
		return
	}
	switch {
	case a.by != nil:
		a.by.ServeHTTP(w, r)
	case a.err != nil:
		p.core.Error(w, r, a.err)
	case a.page != nil:
		p.render(w, r, a.page)
	default:
		auth.Next{}.Redirect(w, a.to)
	}
}
