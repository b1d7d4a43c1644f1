package pages

import (
	"cmp"
	"errors"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-login/auth"
)

// maxBody is the largest body of a form, in bytes.
const maxBody = 64 << 10

// readForm reads a form from the request's body, never from its query, into PostForm.
// It refuses every other body, because its fields would be read as empty.
func readForm(w http.ResponseWriter, r *http.Request) error {
	body, bare := *r, *r.URL
	bare.RawQuery = "" // otherwise ParseForm would read it, too, and might fail
	body.URL = &bare
	if r.Body != nil {
		body.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	err := parseForm(&body)
	r.PostForm, r.Form = body.PostForm, body.PostForm
	return err
}

// badForm answers a request whose form readForm refuses.
func (p *Pages) badForm(err error) answer {
	switch tooLarge := (*http.MaxBytesError)(nil); {
	case errors.Is(err, errNotForm):
		a := p.fail(http.StatusUnsupportedMediaType)
		a.header.Set("Accept-Post", formType+", "+multipartType)
		return a
	case errors.As(err, &tooLarge), errors.Is(err, multipart.ErrMessageTooLarge):
		return p.fail(http.StatusRequestEntityTooLarge)
	}
	return p.fail(http.StatusBadRequest)
}

// The content types of forms. Browsers send the first one.
const (
	formType      = "application/x-www-form-urlencoded"
	multipartType = "multipart/form-data"
)

// errNotForm says that a request's body is not a form, or has files in it.
var errNotForm = errors.New("pages: the body is not a form without files")

// parseForm reads a request's form into its PostForm. The body is limited already, so
// the form fits into memory and no temporary file is made.
func parseForm(r *http.Request) error {
	if r.ContentLength == 0 { // then its type does not matter
		r.PostForm = url.Values{}
		return nil
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	encoding := r.Header.Get("Content-Encoding")
	switch {
	case err != nil, encoding != "" && !strings.EqualFold(encoding, "identity"):
		return errNotForm
	case kind == formType:
		return r.ParseForm()
	case kind != multipartType || params["boundary"] == "":
		return errNotForm
	}
	if err := r.ParseMultipartForm(maxBody); err != nil {
		return err
	}
	if len(r.MultipartForm.File) > 0 {
		return errNotForm
	}
	return nil
}

// FieldErrors says what is wrong with the fields of a form, by name. It is an error, so
// your user type's ReadForm and your store's CreateUser can return it, wrapped or not.
// The form is then shown again.
type FieldErrors map[string]string

// Error returns the names of the fields.
func (e FieldErrors) Error() string {
	return "pages: wrong fields: " + strings.Join(slices.Sorted(maps.Keys(e)), ", ")
}

// A Form is the form of a page, with what was typed and what is wrong with it.
type Form struct {
	Action string // the URL to post it to
	Button string // the button's text
	Fields []Field
	Next   string // value of the hidden field next, or empty
	Login  string // name of the account whose password the form asks for, for password managers; or empty
	Proof  string // value of the hidden field proof, or empty: it says which mailed token the form is for
	Once   string // value of the hidden field form_once, or empty: with it, the form is not done twice
	Error  string // what is wrong with the form as a whole

	values url.Values // what was typed; nil if the form is shown for the first time
}

// formErrorID is the id of the HTML element with a Form's Error. No Field has this name.
const formErrorID = "form-errors"

// A Field is an input of a form. Its name is also the id of its HTML element.
type Field struct {
	Name         string // of letters, digits and _
	Label        string
	Type         string // "text", "email", "password", "checkbox"
	Autocomplete string // HTML's autocomplete: what a password manager or browser may fill in
	Required     bool
	Code         bool // the field is for a code of a second factor
	Numeric      bool // a keypad with digits will do

	Value   string // what was typed; never a password or a code
	Checked bool   // for a checkbox
	Focus   bool   // the field has the cursor
	Error   string // what is wrong with it
	ErrorID string // id of the HTML element with the error, for aria-describedby; empty if nothing is wrong
}

// newForm returns a form with these fields and what was typed into them. values is nil if
// the form is shown for the first time.
func newForm(action, button string, values url.Values, fields ...Field) *Form {
	f := &Form{Action: action, Button: button, Fields: fields, values: values}
	for i := range f.Fields {
		switch field := &f.Fields[i]; {
		case field.Type == "password", field.Code:
		case field.Type == "checkbox":
			field.Checked = values.Get(field.Name) != ""
		default:
			field.Value = shown(values.Get(field.Name))
		}
	}
	f.focus()
	return f
}

// shown returns a text in which everything that no page can show is replaced.
func shown(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// Field returns the field of this name, or nil. It is for a template that gives each
// field a place of its own.
func (f *Form) Field(name string) *Field {
	for i := range f.Fields {
		if f.Fields[i].Name == name {
			return &f.Fields[i]
		}
	}
	return nil
}

// Wrong returns the fields that have an error.
func (f *Form) Wrong() []Field {
	var wrong []Field
	for _, field := range f.Fields {
		if field.Error != "" {
			wrong = append(wrong, field)
		}
	}
	return wrong
}

// get returns what was typed, and text returns it without surrounding spaces, which
// keyboards add.
func (f *Form) get(name string) string { return f.values.Get(name) }

func (f *Form) text(name string) string { return strings.TrimSpace(f.values.Get(name)) }

// refuse notes what is wrong with a field, unless the field has an error already. If the
// form has no such field, the error is about the form as a whole.
func (f *Form) refuse(name, text string) {
	text = cmp.Or(text, "✗") // the field is wrong, even if the text is empty
	if field := f.Field(name); field == nil {
		f.Error = cmp.Or(f.Error, text)
	} else {
		field.Error, field.ErrorID = cmp.Or(field.Error, text), field.Name+"-error"
	}
	f.focus()
}

// refuseFields notes what is wrong with several fields. It ignores empty texts.
func (f *Form) refuseFields(errs FieldErrors) {
	for _, name := range slices.Sorted(maps.Keys(errs)) {
		if errs[name] != "" {
			f.refuse(name, errs[name])
		}
	}
}

// refuseAll notes one error that is about all required fields together.
func (f *Form) refuseAll(text string) {
	f.Error = text
	for i := range f.Fields {
		if f.Fields[i].Required {
			f.Fields[i].ErrorID = formErrorID
		}
	}
	f.focus()
}

// require notes this error for every required field that is blank.
func (f *Form) require(text string) {
	for _, field := range f.Fields {
		if value := f.get(field.Name); field.Required && (value == "" || field.Type != "password" && strings.TrimSpace(value) == "") {
			f.refuse(field.Name, text)
		}
	}
}

func (f *Form) valid() bool { return f.Error == "" && len(f.Wrong()) == 0 }

// focus puts the cursor into the first field that is wrong or, if none is, into the first
// field.
func (f *Form) focus() {
	first := max(0, slices.IndexFunc(f.Fields, func(field Field) bool { return field.ErrorID != "" }))
	for i := range f.Fields {
		f.Fields[i].Focus = i == first
	}
}

// refuse notes an error in the form, if the error is about one of its fields. Otherwise the
// form stays as it is.
func (p *Pages) refuse(f *Form, err error) {
	t := &p.texts
	var password *auth.PasswordError
	var fields FieldErrors
	switch {
	case errors.Is(err, auth.ErrInvalidUsername):
		f.refuse("username", t.UsernameInvalid)
	case errors.Is(err, auth.ErrUsernameTaken):
		f.refuse("username", t.UsernameTaken)
	case errors.Is(err, auth.ErrInvalidEmail):
		f.refuse("email", t.EmailInvalid)
	case errors.Is(err, auth.ErrEmailTaken):
		f.refuse("email", t.EmailTaken)
	case errors.As(err, &password):
		f.refuse("password", t.password(password))
	case errors.As(err, &fields):
		f.refuseFields(fields)
	}
}
