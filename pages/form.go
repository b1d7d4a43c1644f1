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

// maxBody is the most that a form may be, in bytes.
const maxBody = 64 << 10

// readForm reads a form from the request's body, never from its query, into PostForm.
// It refuses every other body, because its fields would be read as empty.
func readForm(w http.ResponseWriter, r *http.Request) error {
	body, bare := *r, *r.URL
	bare.RawQuery = "" // ParseForm would read it, too, and may not be able to
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

// The types of forms, of which browsers send the first.
const (
	formType      = "application/x-www-form-urlencoded"
	multipartType = "multipart/form-data"
)

// errNotForm says that a request's body is not a form, or has files in it.
var errNotForm = errors.New("pages: not a form")

// parseForm reads a request's form into its PostForm. The body is limited already,
// so that nothing is too large for the memory and no temporary file is made.
func parseForm(r *http.Request) error {
	if r.ContentLength == 0 { // then it does not matter what it is
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

// FieldErrors says what is wrong with which fields of a form, by name. It is an
// error, so that the ReadForm of a user type and a store's CreateUser can
// return it, wrapped or not: the form is then shown again.
type FieldErrors map[string]string

// Error names the fields.
func (e FieldErrors) Error() string {
	return "pages: wrong fields: " + strings.Join(slices.Sorted(maps.Keys(e)), ", ")
}

// A Form is what a page asks for, what was typed, and what is wrong with it.
type Form struct {
	Action string // the URL to post it to
	Button string
	Fields []Field
	Next   string // the value of the hidden field next, or empty
	Login  string // whose new password it asks for, for password managers; or empty
	Proof  string // the value of the hidden field proof, or empty: which mailed token the form is for
	Once   string // the value of the hidden field form_once, or empty: the form must not be sent twice
	Error  string // what is wrong with the form as a whole

	values url.Values // nil if it is shown for the first time
}

// formErrorID is the id of the element with a Form's Error. No Field has it.
const formErrorID = "form-errors"

// A Field is an input of a form. Its id is its name.
type Field struct {
	Name         string // of letters, digits and _
	Label        string
	Type         string // "text", "email", "password", "checkbox"
	Autocomplete string // what a password manager or browser may fill in
	Required     bool

	Value   string // what was typed; never a password
	Checked bool   // for a checkbox
	Focus   bool   // the cursor belongs here
	Error   string // what is wrong with it
	ErrorID string // the id of the element that says so, for aria-describedby; empty if nothing is wrong
}

// newForm makes a form of fields and of what was posted, which is nil for a
// form that is shown for the first time.
func newForm(action, button string, values url.Values, fields ...Field) *Form {
	f := &Form{Action: action, Button: button, Fields: fields, values: values}
	for i := range f.Fields {
		switch field := &f.Fields[i]; field.Type {
		case "password":
		case "checkbox":
			field.Checked = values.Get(field.Name) != ""
		default:
			field.Value = shown(values.Get(field.Name))
		}
	}
	f.focus()
	return f
}

// shown is a text without what no page can show.
func shown(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// Field returns the field of that name, or nil: for a template that gives each
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

// get returns what was posted as it is, and text without spaces around it,
// which keyboards add.
func (f *Form) get(name string) string { return f.values.Get(name) }

func (f *Form) text(name string) string { return strings.TrimSpace(f.values.Get(name)) }

// refuse notes what is wrong with a field, unless something is already. What is
// wrong with no field that there is, is wrong with the form.
func (f *Form) refuse(name, text string) {
	text = cmp.Or(text, "✗") // wrong it is, even if somebody has no words for it
	if field := f.Field(name); field == nil {
		f.Error = cmp.Or(f.Error, text)
	} else {
		field.Error, field.ErrorID = cmp.Or(field.Error, text), field.Name+"-error"
	}
	f.focus()
}

// refuseFields leaves out fields that have no text.
func (f *Form) refuseFields(errs FieldErrors) {
	for _, name := range slices.Sorted(maps.Keys(errs)) {
		if errs[name] != "" {
			f.refuse(name, errs[name])
		}
	}
}

// refuseAll notes what is wrong with all required fields together.
func (f *Form) refuseAll(text string) {
	f.Error = text
	for i := range f.Fields {
		if f.Fields[i].Required {
			f.Fields[i].ErrorID = formErrorID
		}
	}
	f.focus()
}

// require finds fault with required fields that are blank.
func (f *Form) require(text string) {
	for _, field := range f.Fields {
		if value := f.get(field.Name); field.Required && (value == "" || field.Type != "password" && strings.TrimSpace(value) == "") {
			f.refuse(field.Name, text)
		}
	}
}

func (f *Form) valid() bool { return f.Error == "" && len(f.Wrong()) == 0 }

// focus puts the cursor into the first field that is wrong, or else the first.
func (f *Form) focus() {
	first := max(0, slices.IndexFunc(f.Fields, func(field Field) bool { return field.ErrorID != "" }))
	for i := range f.Fields {
		f.Fields[i].Focus = i == first
	}
}

// refuse notes what an error says about a form's fields, if it does.
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
