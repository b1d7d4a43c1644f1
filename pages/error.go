package pages

import "net/http"

// errorPage is shown in place of any page, if the request is not in order.
func (p *Pages) errorPage() *page {
	t := &p.texts
	return &page{
		name: "error", title: &t.NotFound, who: anybody,
		texts: []text{
			must(&t.BadRequest, "The form cannot be read"),
			must(&t.NotFound, "Page not found"),
			must(&t.MethodNotAllowed, "This is not possible here"),
			must(&t.NotAForm, "This page takes HTML forms only, and no files"),
			must(&t.FormBusy, "This form is being processed. Reload the page in a moment"),
			must(&t.TooLarge, "The form is too large"),
			must(&t.TooMany, "Too many attempts. Please try again later"),
		},
	}
}

// fail answers a request that is not in order with this status, and with the title
// that goes with it.
func (p *Pages) fail(status int) answer {
	page := p.newPage(p.named["error"], nil)
	page.Status = status
	switch t := &p.texts; status {
	case http.StatusBadRequest:
		page.Title = t.BadRequest
	case http.StatusMethodNotAllowed:
		page.Title = t.MethodNotAllowed
	case http.StatusConflict:
		page.Title = t.FormBusy
	case http.StatusUnsupportedMediaType:
		page.Title = t.NotAForm
	case http.StatusRequestEntityTooLarge:
		page.Title = t.TooLarge
	case http.StatusTooManyRequests:
		page.Title = t.TooMany
	}
	return answer{page: &page, header: http.Header{}}
}
