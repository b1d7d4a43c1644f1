package pages

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-login/auth/internal/accept"
)

// errNotJSON says that a program's request has a body of another type.
var errNotJSON = errors.New("pages: the body is not application/json")

// errBadJSON says that a body is not one JSON object in UTF-8.
var errBadJSON = errors.New("pages: the body is not a JSON object")

// A fieldError says that a field of a JSON body occurs twice, or has a value that a form
// cannot have.
type fieldError struct{ field string }

func (e fieldError) Error() string {
	return "pages: the JSON field " + e.field + " is there twice, or has a wrong type"
}

// readJSON reads a JSON object from the request's body into PostForm, as if a form had been
// sent. Texts and numbers become texts. The value of a check box is true or false, and only
// with true is the field in the form. A field that the path's forms do not have is ignored.
func readJSON(w http.ResponseWriter, r *http.Request, route route) error {
	r.PostForm = url.Values{}
	r.Form = r.PostForm
	if r.ContentLength == 0 || r.Body == nil { // then its type does not matter
		return nil
	}
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	encoding := r.Header.Get("Content-Encoding")
	if err != nil || !accept.IsJSON(r.Header) || encoding != "" && !strings.EqualFold(encoding, "identity") ||
		!strings.EqualFold(params["charset"], "utf-8") && params["charset"] != "" {
		return errNotJSON
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return err
	}
	form, err := parseJSON(body, route)
	if err == nil {
		r.PostForm, r.Form = form, form
	}
	return err
}

// parseJSON returns the fields of a JSON object.
func parseJSON(body []byte, route route) (url.Values, error) {
	if !utf8.Valid(body) {
		return nil, errBadJSON
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, errBadJSON
	}
	form, seen := url.Values{}, map[string]bool{}
	for d.More() {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, errBadJSON
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errBadJSON
		}
		if seen[name] {
			return nil, fieldError{name}
		}
		seen[name] = true
		kind := route.takes(name)
		if kind == ignored {
			continue
		}
		text, set, ok := scalar(value, kind)
		if !ok {
			return nil, fieldError{name}
		}
		if set {
			form.Set(name, text)
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, errBadJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) { // more than one value
		return nil, errBadJSON
	}
	return form, nil
}

// ticked is the value of a check box in the templates.
const ticked = "y"

// scalar returns a JSON value as a field of a form has it, and whether the field is in the
// form. ok is false if the form cannot have the value.
func scalar(value json.RawMessage, kind fieldKind) (text string, set, ok bool) {
	switch value[0] {
	case '"':
		ok = kind != aFlag && !hasLoneSurrogate(value) && json.Unmarshal(value, &text) == nil
		return text, true, ok
	case 't', 'f':
		return ticked, value[0] == 't', kind != aText
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return string(value), true, kind != aFlag
	}
	return "", false, false // null, an array, an object
}

// hasLoneSurrogate reports whether a JSON text escapes half of a character. encoding/json
// replaces it, and two passwords would become one.
func hasLoneSurrogate(text []byte) bool {
	high := false // the last escape was the first half of a pair
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			if high {
				return true
			}
			continue
		}
		i++ // the character after the backslash
		unit := uint64(0)
		if text[i] == 'u' {
			for _, digit := range text[i+1 : i+5] { // valid JSON has four
				unit = unit<<4 | uint64(strings.IndexByte("0123456789abcdef", digit|0x20))
			}
			i += 4
		}
		low := unit >= 0xDC00 && unit <= 0xDFFF
		if low != high {
			return true
		}
		high = unit >= 0xD800 && unit <= 0xDBFF
	}
	return high
}

// A fieldKind is what a field of a form holds.
type fieldKind int

const (
	ignored fieldKind = iota // the path has no such field
	aText
	aFlag // a check box
	aAny  // a factor may ask for it, or the application
)

// takes returns what a field of the path's forms holds.
func (t route) takes(name string) fieldKind {
	found := ignored
	for _, page := range t.pages() {
		switch {
		case slices.Contains(page.allFields(), name):
			return aText
		case slices.Contains(page.flags, name):
			return aFlag
		case page.open != "":
			found = aAny
		}
	}
	return found
}

// allFields returns the names of the texts that a page's forms may have, hidden ones included.
func (page *page) allFields() []string {
	fields := slices.Clone(page.fields)
	if page.own {
		fields = append(fields, "form_user")
	}
	if page.once {
		fields = append(fields, "form_once")
	}
	if page.link != nil {
		fields = append(fields, "proof")
	}
	return fields
}
