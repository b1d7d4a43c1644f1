package pages

import (
	"net/http"

	"github.com/go-login/auth"
)

// noticePage is what Core.DefaultNoticePage draws: the pages of package oauth.
func (p *Pages) noticePage() *page {
	return &page{
		name: "notice", title: &p.texts.NotFound, who: visitors, // it has a title of its own
		sample: func(page *Page) {
			page.Message, page.Link, page.LinkText = "text", "/", "text"
		},
	}
}

// showNotice draws a page of another package. It is the same for visitors and users. Its
// URL may have a secret, so it stays out of the Referer, and the page has no form.
func (p *Pages) showNotice(w http.ResponseWriter, r *http.Request, n auth.Notice) {
	p = p.inLanguage(w.Header(), r)
	p.secure(w.Header(), true)
	if n.Forward {
		w.Header().Set("Refresh", "0; url="+n.Link) // a redirect from a form may lead only to form-action of the policy
	}
	page := p.newPage(p.named["notice"], nil)
	page.Status, page.Title, page.Message, page.Link, page.LinkText = n.Status, n.Title, n.Text, n.Link, n.LinkText
	if n.Lang != "" && n.Lang != page.Texts.Lang {
		page.Texts.Lang, page.Texts.Dir = n.Lang, "auto" // the browser finds out
	}
	p.addData(r, &page)
	if err := p.execute(w, &page); err != nil {
		p.core.Error(w, r, err)
	}
}
