package pages

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-login/auth"
)

// ParseJSON is what the path /login does with a JSON body. field is the one that is wrong.
func ParseJSON(body []byte) (form url.Values, field string, err error) {
	form, err = parseJSON(body, route{page: &page{fields: []string{"login", "password", "next"}, flags: []string{"remember_me"}}})
	if wrong := (fieldError{}); errors.As(err, &wrong) {
		field = wrong.field
	}
	return form, field, err
}

// Fail is what a browser or a program gets if a handler fails with err.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, err error, asJSON bool) {
	p.write(w, r, answer{err: err}, asJSON)
}

// TextsOf returns all texts of the pages in one of Languages of auth.Config.
func TextsOf(p *Pages, lang string) Texts {
	if other := p.languages[lang]; other != nil {
		return other.texts
	}
	return p.texts
}

// Shipped returns the package's texts in a language, as they are in its file.
func Shipped(lang string) map[string]string { return shipped(lang) }

// Samples returns the pages that are served, as New tries them: with everything that they can
// have, and with nothing.
func (p *Pages) Samples() map[string]string {
	samples := map[string]string{}
	for _, entry := range p.table {
		if entry.name == "" || entry.absent || slices.Contains(p.cfg.Without, entry.path) {
			continue
		}
		user := &auth.Account{ID: "1", Username: "susan", Email: "susan@example.com"}
		list := p.full(entry, user)
		list.Setup = nil // "twofactor" then has its list
		for i, page := range []Page{p.bare(entry, user), p.full(entry, user), p.scripted(entry, user), list} {
			for _, page.User = range entry.who.seenBy(user) {
				var body strings.Builder
				if err := p.templates[entry.name].Execute(&body, page); err != nil {
					panic(err)
				}
				samples[fmt.Sprint(entry.name, i, page.User != nil)] = body.String()
			}
		}
	}
	return samples
}
