package pages

import (
	"errors"
	"net/http"
	"net/url"
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
