package pages

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/go-login/auth"
)

// A jsonAnswer is what a program gets in place of a page or of a redirect. docs/json.md and
// OpenAPI describe it.
type jsonAnswer struct {
	Next     string        `json:"next,omitempty"` // in place of a redirect: where the user goes on
	Messages []jsonMessage `json:"messages,omitempty"`

	Page   string            `json:"page,omitempty"`
	Title  string            `json:"title,omitempty"`
	User   *jsonUser         `json:"user,omitempty"`
	Form   *jsonForm         `json:"form,omitempty"`
	Acting bool              `json:"acting,omitempty"` // an administrator acts as the user
	Hidden map[string]string `json:"hidden,omitempty"` // fields to send along with every form of the page

	Account   string          `json:"account,omitempty"` // whose account a mailed link, or a login that waits, is for
	Address   string          `json:"address,omitempty"`
	LoginLink *jsonLoginLink  `json:"login_link,omitempty"`
	Passkey   *jsonPasskey    `json:"passkey,omitempty"`
	Providers []jsonProvider  `json:"providers,omitempty"`
	Known     json.RawMessage `json:"known_passkeys,omitempty"`

	TwoFactor  bool           `json:"two_factor,omitempty"`
	Factors    []jsonFactor   `json:"factors,omitempty"`
	Trusted    []jsonTrusted  `json:"trusted_browsers,omitempty"`
	Setup      *jsonSetup     `json:"setup,omitempty"`
	Codes      []string       `json:"codes,omitempty"`
	Sessions   []jsonSession  `json:"sessions,omitempty"`
	Passkeys   []jsonKey      `json:"passkeys,omitempty"`
	Identities []jsonIdentity `json:"identities,omitempty"`
}

type jsonMessage struct {
	Category string `json:"category"`
	Text     string `json:"text"`
}

// A jsonUser has what the library knows of a user. The fields of the application's own type
// are the application's to give away.
type jsonUser struct {
	ID            string `json:"id"`
	Username      string `json:"username,omitempty"`
	Email         string `json:"email,omitempty"`
	EmailVerified bool   `json:"email_verified"`
}

type jsonForm struct {
	Action string      `json:"action"`
	Fields []jsonField `json:"fields"`
}

type jsonField struct {
	Name         string `json:"name"`
	Label        string `json:"label"`
	Type         string `json:"type"`
	Autocomplete string `json:"autocomplete,omitempty"`
	Required     bool   `json:"required"`
	Value        string `json:"value,omitempty"`

	Options []jsonOption `json:"options,omitempty"` // of a select
}

type jsonOption struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

type jsonLoginLink struct {
	Asked     time.Time `json:"asked,omitzero"`
	Address   string    `json:"address,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
	Here      bool      `json:"this_browser"`
	Clears    bool      `json:"clears"`
}

// A jsonPasskey says what to ask the browser for: options, or the URL that has them.
type jsonPasskey struct {
	Action  string          `json:"action"`
	Options json.RawMessage `json:"options,omitempty"`
	URL     string          `json:"url,omitempty"`
}

type jsonProvider struct {
	Action  string `json:"action"`
	Label   string `json:"label"`
	Purpose string `json:"purpose,omitempty"`
}

type jsonFactor struct {
	Name     string `json:"name"`
	Label    string `json:"label"`
	URL      string `json:"url,omitempty"`
	Enrolled bool   `json:"enrolled"`
	Locked   bool   `json:"locked,omitempty"`
	Required bool   `json:"required,omitempty"`
	Recovery bool   `json:"recovery,omitempty"`
	Left     int    `json:"left,omitempty"`
}

type jsonSetup struct {
	Secret string `json:"secret,omitempty"`
	URL    string `json:"url,omitempty"`
	SVG    string `json:"svg,omitempty"`
}

type jsonSession struct {
	ID         string    `json:"id"`
	Current    bool      `json:"current"`
	Remembered bool      `json:"remembered"`
	Created    time.Time `json:"created,omitzero"`
	Seen       time.Time `json:"seen,omitzero"`
	Expires    time.Time `json:"expires,omitzero"`
	Address    string    `json:"address,omitempty"`
	UserAgent  string    `json:"user_agent,omitempty"`
	Methods    []string  `json:"methods,omitempty"`
	Acting     bool      `json:"acting,omitempty"` // an administrator acts as the user in it
}

type jsonTrusted struct {
	ID        string    `json:"id"`
	Current   bool      `json:"current"`
	Created   time.Time `json:"created,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`
	Address   string    `json:"address,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
}

type jsonKey struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Created   time.Time `json:"created,omitzero"`
	LastUsed  time.Time `json:"last_used,omitzero"`
	Synced    bool      `json:"synced"`
	Suspended bool      `json:"suspended,omitempty"`
	OtherSite bool      `json:"other_site,omitempty"`
	Required  bool      `json:"required,omitempty"`
	RenameURL string    `json:"rename_url"`
}

type jsonIdentity struct {
	ID       string    `json:"id"`
	Provider string    `json:"provider"`
	Label    string    `json:"label"`
	Email    string    `json:"email,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	LastUsed time.Time `json:"last_used,omitzero"`
	Unusable bool      `json:"unusable,omitempty"`
}

// writeJSON writes an answer as JSON: a Problem if something is wrong, and otherwise a
// jsonAnswer with 200. It never redirects.
func (p *Pages) writeJSON(w http.ResponseWriter, r *http.Request, a answer) {
	switch {
	case a.by != nil && a.page == nil:
		a.by.ServeHTTP(w, r)
		return
	case a.err != nil:
		p.core.Error(w, r, a.err)
		return
	case a.why != nil:
		p.problemWhy(r, a).ServeHTTP(w, r)
		return
	case a.page != nil && a.page.Status >= http.StatusBadRequest:
		p.problemPage(a).ServeHTTP(w, r)
		return
	}
	object := jsonAnswer{Next: a.to}
	if a.page == nil {
		object.Messages = p.messages(r, a)
	} else {
		if err := p.complete(r, a.page); err != nil {
			p.core.Error(w, r, err)
			return
		}
		object = p.object(a.page)
	}
	body, err := json.Marshal(object)
	if err != nil {
		p.core.Error(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // an error means that the client has hung up
}

// messages returns the messages that the browser has not shown yet, and that of the answer.
func (p *Pages) messages(r *http.Request, a answer) []jsonMessage {
	var flashes []auth.Flash
	if r.Method != http.MethodHead {
		flashes = p.core.Flashes(r.Context())
	}
	if a.flash.Text != "" {
		flashes = append(flashes, a.flash)
	}
	return jsonMessages(flashes)
}

func jsonMessages(flashes []auth.Flash) (all []jsonMessage) {
	for _, f := range flashes {
		all = append(all, jsonMessage{f.Category, f.Text})
	}
	return all
}

// problemOf is Core.Problem, except that a refused login is 422, as at the login form. A
// status of 401 would look like a session that has ended.
func (p *Pages) problemOf(r *http.Request, err error) auth.Problem {
	problem := p.core.Problem(r, err)
	if problem.Code == "login-refused" {
		problem.Status = http.StatusUnprocessableEntity
		problem.Header.Del("WWW-Authenticate")
	}
	return problem
}

// problemWhy is the answer where HTML leads away because of an error.
func (p *Pages) problemWhy(r *http.Request, a answer) auth.Problem {
	problem := p.problemOf(r, a.why)
	problem.Next = a.to
	switch {
	case a.flash.Text != "":
		problem.Title = a.flash.Text
	case errors.Is(a.why, auth.ErrFactorRequired):
		problem.Title = p.texts.FactorTitle
	}
	return problem
}

// problemPage is the answer where HTML shows a page that says what is wrong.
func (p *Pages) problemPage(a answer) auth.Problem {
	page := a.page
	problem := auth.Problem{Status: page.Status, Code: cmp.Or(a.code, codeOf(page.Status)), Title: page.Title, Fields: a.fields}
	if n := len(page.Flashes); n > 0 {
		problem.Title = page.Flashes[n-1].Text
	}
	if page.Form == nil || page.Form.valid() {
		return problem
	}
	problem.Title = cmp.Or(page.Form.Error, p.texts.Problems)
	for _, field := range page.Form.Wrong() {
		if problem.Fields == nil {
			problem.Fields = map[string]string{}
		}
		problem.Fields[field.Name] = field.Error
	}
	return problem
}

// codeOf returns the code of a Problem whose answer says no other one.
func codeOf(status int) string {
	switch status {
	case http.StatusForbidden:
		return "unverified" // every other reason has an error
	case http.StatusNotFound:
		return "not-found"
	case http.StatusMethodNotAllowed:
		return "method-not-allowed"
	case http.StatusConflict:
		return "form-busy"
	case http.StatusRequestEntityTooLarge:
		return "too-large"
	case http.StatusUnsupportedMediaType:
		return "unsupported-media-type"
	case http.StatusUnprocessableEntity:
		return "invalid-fields"
	case http.StatusTooManyRequests:
		return "rate-limited"
	}
	return "bad-request"
}

// object returns a page as JSON.
func (p *Pages) object(page *Page) jsonAnswer {
	o := jsonAnswer{
		Messages: jsonMessages(page.Flashes), Acting: page.Acting, Page: page.Name, Title: page.Title, User: userJSON(page.User),
		Hidden: map[string]string{}, Address: page.Address, TwoFactor: page.TwoFactor, Codes: page.Codes,
		Known: json.RawMessage(page.KnownPasskeys),
	}
	if page.Subject != nil {
		o.Account = loginOf(page.Subject)
	}
	hidden := func(name, value string) {
		if value != "" {
			o.Hidden[name] = value
		}
	}
	if p.named[page.Name].own {
		hidden("form_user", page.FormUser)
	}
	hidden("next", page.Next)
	if f := page.Form; f != nil {
		o.Form = formJSON(f)
		hidden("next", f.Next)
		hidden("proof", f.Proof)
		hidden("form_once", f.Once)
	}
	if k := page.Passkey; k != nil {
		o.Passkey = &jsonPasskey{k.Action, json.RawMessage(k.Data), ""}
		if k.Data == "" {
			o.Passkey.URL = k.URL
		}
		hidden("next", k.Next)
	}
	if s := page.Setup; s != nil {
		o.Setup = &jsonSetup{s.Secret, string(s.URL), string(s.SVG)}
	}
	if l := page.LoginLink; l != nil {
		o.LoginLink = &jsonLoginLink{l.Asked, l.Address, shown(l.UserAgent), l.SameBrowser, l.Clears}
	}
	p.lists(&o, page)
	return o
}

// lists adds the lists of a page.
func (p *Pages) lists(o *jsonAnswer, page *Page) {
	for _, f := range page.Providers {
		o.Providers = append(o.Providers, jsonProvider{f.Action, f.Button, f.Purpose})
	}
	for _, f := range page.Factors {
		o.Factors = append(o.Factors, jsonFactor{f.Name, f.Label, f.URL, f.Enrolled, f.Disabled, f.Required, f.Recovery, f.Left})
	}
	for _, l := range page.Logins {
		o.Sessions = append(o.Sessions, jsonSession{l.ID, l.Current, l.Remembered, l.Created, l.Seen, l.Expires, l.Address, l.UserAgent, l.Methods, l.ActorID != ""})
	}
	for _, b := range page.Trusted {
		o.Trusted = append(o.Trusted, jsonTrusted{b.ID, b.Current, b.Created, b.Expires, b.Address, b.UserAgent})
	}
	for _, k := range page.Passkeys {
		o.Passkeys = append(o.Passkeys, jsonKey{k.ID, k.Name, k.Created, k.LastUsed, k.Synced, k.Suspended, k.OtherSite, k.Required, k.RenameURL})
	}
	for _, i := range page.Identities {
		o.Identities = append(o.Identities, jsonIdentity{i.ID, i.Provider, i.Label, i.Email, i.Created, i.LastUsed, i.Unusable})
	}
}

func userJSON(user auth.User) *jsonUser {
	if user == nil {
		return nil
	}
	a := user.AuthAccount()
	return &jsonUser{a.ID, a.Username, a.Email, a.EmailVerified}
}

func formJSON(f *Form) *jsonForm {
	form := &jsonForm{Action: f.Action, Fields: []jsonField{}}
	for _, field := range f.Fields {
		var options []jsonOption
		for _, o := range field.Options {
			options = append(options, jsonOption(o))
		}
		form.Fields = append(form.Fields, jsonField{field.Name, field.Label, field.Type, field.Autocomplete, field.Required, field.Value, options})
	}
	return form
}
