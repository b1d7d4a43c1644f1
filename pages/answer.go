package pages

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/go-login/auth"
)

// An answer is what a page answers a request with. It has one of page, to, err and by.
type answer struct {
	page *Page // the page to show

	to    string     // the path of this site to go to
	flash auth.Flash // the message that is shown there; none if it has no text

	err error        // what failed, if it is not something in the form
	by  http.Handler // writes the answer itself

	cookies []*http.Cookie
	header  http.Header
}

// show shows the page of the request, with its form. It is the get of most pages.
func (p *Pages) show(q *request) answer {
	if q.page.form == nil {
		return p.draw(q, nil)
	}
	return p.draw(q, q.page.form(q))
}

// draw shows the page of the request with this form: with 422 if something in it is
// wrong.
func (p *Pages) draw(q *request, f *Form) answer {
	page := p.newPage(q.page, f)
	page.Subject, page.Address = q.subject, q.address
	if f != nil && !f.valid() {
		page.Status = http.StatusUnprocessableEntity
	}
	return answer{page: &page}
}

// say leads to another page, which shows the text, if there is one.
func say(category, text, to string) answer {
	return answer{to: to, flash: auth.Flash{Category: category, Text: text}}
}

// write writes an answer. This is the one place where a page writes a response, so a
// second form of the pages, such as JSON, would be a second write.
func (p *Pages) write(w http.ResponseWriter, r *http.Request, a answer) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	for _, cookie := range a.cookies {
		http.SetCookie(w, cookie)
	}
	if a.flash.Text != "" {
		if err := p.core.Flash(r.Context(), a.flash.Category, a.flash.Text); err != nil {
			a = answer{err: err}
		}
	}
	limited := (*auth.RateLimitError)(nil)
	switch {
	case a.by != nil:
		a.by.ServeHTTP(w, r)
	case errors.As(a.err, &limited):
		w.Header().Set("Retry-After", strconv.Itoa(int(limited.RetryAfter.Seconds())))
		p.render(w, r, p.fail(http.StatusTooManyRequests).page)
	case a.err != nil:
		p.core.Error(w, r, a.err)
	case a.page != nil:
		p.render(w, r, a.page)
	default:
		auth.Next{}.Redirect(w, a.to)
	}
}
