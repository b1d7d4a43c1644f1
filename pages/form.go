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
	var wrong fieldError
	switch tooLarge := (*http.MaxBytesError)(nil); {
	case errors.As(err, &wrong):
		a := p.fail(http.StatusBadRequest)
		a.fields = map[string]string{wrong.field: p.texts.WrongType}
		return a
	case errors.Is(err, errNotJSON):
		a := p.fail(http.StatusUnsupportedMediaType)
		a.page.Title = p.texts.NotJSON
		a.header.Set("Accept-Post", "application/json")
		return a
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
	Able   bool   // with a hidden field passkey_able, which the script of passkeys sends if the device can have a passkey
	Danger bool   // what the button does cannot be undone

	values url.Values // what was typed; nil if the form is shown for the first time
}

// formErrorID is the id of the HTML element with a Form's Error. No Field has this name.
const formErrorID = "form-errors"

// A Field is an input of a form. Its name is also the id of its HTML element.
type Field struct {
	Name         string // of letters, digits and _
	Label        string
	Type         string   // "text", "email", "password", "checkbox", "select", "tel", "url", "number" or "date"
	Options      []Option // of a select; the first one is chosen at first
	Autocomplete string   // HTML's autocomplete: what a password manager or browser may fill in
	Required     bool
	Code         bool   // the field is for a code of a second factor
	Numeric      bool   // a keypad with digits will do
	MinLength    int    // HTML's minlength, or 0: it tells password managers how long a new password must be
	Hint         string // what the field takes; shown below it until the field has an error

	// Of a password: the texts of the button that shows and hides it, and what the page says while
	// caps lock is on. See Texts. The page has neither without scripts.
	Show, Hide, CapsLock string

	Value    string // what was typed; never a password or a code
	Checked  bool   // for a checkbox
	Focus    bool   // the field has the cursor
	Messages bool   // the page's messages describe the field, because it has the cursor
	EnterKey string // HTML's enterkeyhint: "next", or "go" in the last field with text
	Error    string // what is wrong with it
	ErrorID  string // id of the HTML element with the error; empty if nothing is wrong
}

// messagesID is the id of the HTML element with a page's messages.
const messagesID = "page-messages"

// HintID returns the id of the HTML element with the hint, or "" if the hint is not shown.
func (f Field) HintID() string {
	if f.Hint == "" || f.Error != "" {
		return ""
	}
	return f.Name + "-hint"
}

// DescribedBy returns the value of aria-describedby: the ids of the error, the hint, and
// the page's messages, as far as they are there. Screen readers read the messages with the
// field that has the cursor. Otherwise they would skip them.
func (f Field) DescribedBy() string {
	ids := []string{f.ErrorID, f.HintID()}
	if f.Messages {
		ids = append(ids, messagesID)
	}
	return strings.Join(slices.DeleteFunc(ids, func(id string) bool { return id == "" }), " ")
}

// An Option is what can be chosen in a Field of the type "select".
type Option struct {
	Value string // what is sent; no two options have the same
	Label string // what the user sees; the default is Value
}

// offers reports whether a value can be chosen in a select.
func (f *Field) offers(value string) bool {
	return slices.ContainsFunc(f.Options, func(o Option) bool { return o.Value == value })
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
	f.setEnterKeys()
	f.focus()
	return f
}

// setReveal gives each password the texts for its button and for caps lock.
func (f *Form) setReveal(t *Texts) {
	for i := range f.Fields {
		if field := &f.Fields[i]; field.Type == "password" {
			field.Show, field.Hide, field.CapsLock = t.ShowPassword, t.HidePassword, t.CapsLock
		}
	}
}

// setEnterKeys has the keyboard of a telephone lead from field to field, and send the form in
// the last one.
func (f *Form) setEnterKeys() {
	key := "go"
	for i, field := range slices.Backward(f.Fields) {
		if field.Type != "checkbox" {
			f.Fields[i].EnterKey, key = key, "next"
		}
	}
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

// refuseAll notes one error that is about all required fields together. The cursor goes into
// the first of them that is empty: the page shows neither passwords nor codes again.
func (f *Form) refuseAll(text string) {
	f.Error = text
	for i := range f.Fields {
		if f.Fields[i].Required {
			f.Fields[i].ErrorID = formErrorID
		}
	}
	f.focus()
}

// require notes an error for every required field that is blank.
func (f *Form) require(t *Texts) {
	for _, field := range f.Fields {
		text := t.Required
		if field.Type == "checkbox" {
			text = t.RequiredBox
		}
		if value := f.get(field.Name); field.Required && (value == "" || field.Type != "password" && strings.TrimSpace(value) == "") {
			f.refuse(field.Name, text)
		}
	}
}

func (f *Form) valid() bool { return f.Error == "" && len(f.Wrong()) == 0 }

// focus puts the cursor into the first field that is wrong or, if none is, into the first
// field. See refuseAll. If a form that was sent is shown again because the server was busy, it is
// in the first field that must be typed again.
func (f *Form) focus() {
	wrong := func(field Field) bool {
		return field.ErrorID != "" || len(f.values) > 0 && f.valid() && field.Required && field.Type != "checkbox" && field.Value == ""
	}
	empty := func(field Field) bool { return field.ErrorID == formErrorID && field.Value == "" }
	first := max(0, slices.IndexFunc(f.Fields, wrong))
	if f.Error != "" {
		first = max(first, slices.IndexFunc(f.Fields, empty))
	}
	for i := range f.Fields {
		f.Fields[i].Focus = i == first
	}
}

// describe has the page's messages describe the field that has the cursor.
func (f *Form) describe() {
	for i := range f.Fields {
		f.Fields[i].Messages = f.Fields[i].Focus
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
