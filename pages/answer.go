package pages

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/go-login/auth"
)

// An answer is what a handler returns. It has one of page, to, err and by.
type answer struct {
	page *Page // the page to show

	to    string     // the path of this site to redirect to
	flash auth.Flash // the message that the next page shows, if its text is not empty

	err error        // what failed, if it is not about a field of the form
	by  http.Handler // writes the response in place of write

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

// write writes an answer as the response. Handlers never write the response. So for
// pages in another format, such as JSON, change only this function.
func (p *Pages) write(w http.ResponseWriter, r *http.Request, a answer) {
	for _, cookie := range a.cookies {
		http.SetCookie(w, cookie)
	}
	if a.flash.Text != "" {
		if err := p.core.Flash(r.Context(), a.flash.Category, a.flash.Text); err != nil {
			a = answer{err: err}
		}
	}
	if limited := (*auth.RateLimitError)(nil); errors.As(a.err, &limited) {
		a = p.fail(http.StatusTooManyRequests)
		a.header.Set("Retry-After", strconv.Itoa(int(limited.RetryAfter.Seconds())))
	}
	for name, values := range a.header {
		w.Header()[name] = values
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
