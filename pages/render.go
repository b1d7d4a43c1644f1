package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"text/template/parse"
	"time"

	"github.com/go-login/auth"
)

//go:embed templates
var embedded embed.FS

// A Page is what templates get.
type Page struct {
	Name    string // of the template, without .html: "login", "register", … (see Config.Templates)
	Title   string
	Site    string // Config.Site
	Texts   Texts
	URLs    URLs
	User    auth.User // who is logged in, in the application's own type, or nil
	Flashes []auth.Flash
	Form    *Form        // nil on pages without one
	Logins  []auth.Login // on the page "sessions"
	Status  int          // of the answer

	// On the pages "reset", "verify", "confirm" and "undo", which mailed links open:
	// whose account it is about, and (not on "reset") the address that is to be
	// verified, or that the account is to get.
	Subject auth.User
	Address string

	// FormUser is the value of the hidden field form_user, which ties the page's
	// forms to the user who is logged in, or empty. See Core.SealForm of package auth.
	// The name of the form is that of the page, so a page of your own can check it:
	// Core.CheckForm(ctx, "account", r.PostFormValue("form_user")).
	FormUser string

	RequireVerified bool // as in auth.Config
}

// URLs are where links lead, as paths of this site. On pages that know where to
// go after the login, Login and Register have it in their query. Forgot,
// Reset, Verify, Email and Undo are empty if there are no such pages.
type URLs struct {
	Home, Stylesheet        string
	Register, Login, Logout string
	Forgot, Reset           string
	Account, Password       string
	Sessions, Refresh       string
	Verify, Email, Undo     string
	Close                   string
}

// show answers with a page: 422 if there is something wrong with its form.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, name string, f *Form) {
	p.render(w, r, p.page(name, statusOf(f), f))
}

func statusOf(f *Form) int {
	if f != nil && !f.valid() {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

// fail answers a request that is not in order.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, status int) {
	p.render(w, r, p.page("error", status, nil))
}

// error answers a request that failed, and not for what is in its form.
func (p *Pages) error(w http.ResponseWriter, r *http.Request, err error) {
	limited := (*auth.RateLimitError)(nil)
	if !errors.As(err, &limited) {
		p.core.Error(w, r, err)
		return
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(limited.RetryAfter.Seconds())))
	p.fail(w, r, http.StatusTooManyRequests)
}

// page fills in what does not depend on the request.
func (p *Pages) page(name string, status int, f *Form) Page {
	t := &p.texts
	title := map[string]string{
		"login": t.LoginTitle, "register": t.RegisterTitle, "forgot": t.ForgotTitle,
		"reset": t.ResetTitle, "account": t.AccountTitle, "password": t.PasswordTitle,
		"sessions": t.SessionsTitle, "refresh": t.RefreshTitle, "close": t.CloseTitle,
		"verify": t.VerifyTitle, "resend": t.VerifyTitle,
		"email": t.EmailTitle, "confirm": t.ConfirmTitle, "undo": t.UndoTitle, "switch": t.SwitchTitle,
	}[name]
	switch status {
	case http.StatusBadRequest:
		title = t.BadRequest
	case http.StatusNotFound:
		title = t.NotFound
	case http.StatusMethodNotAllowed:
		title = t.MethodNotAllowed
	case http.StatusUnsupportedMediaType:
		title = t.NotAForm
	case http.StatusRequestEntityTooLarge:
		title = t.TooLarge
	case http.StatusTooManyRequests:
		title = t.TooMany
	}
	page := Page{
		Name: name, Title: title, Site: p.cfg.Site, Texts: p.texts, URLs: p.urls, Form: f, Status: status,
		RequireVerified: p.core.RequiresVerified(),
	}
	if f != nil {
		next := auth.ParseNext(f.Next)
		page.URLs.Login, page.URLs.Register = next.AddTo(page.URLs.Login), next.AddTo(page.URLs.Register)
	}
	return page
}

// render answers with a whole page, or with an error.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, page Page) {
	user, err := p.core.User(r.Context())
	if err != nil && !errors.Is(err, auth.ErrNotLoggedIn) {
		p.core.Error(w, r, err)
		return
	}
	if p.hasToken(r) {
		user = nil // for whom the layout has a form, the one that logs out
	}
	// Messages are for the page that the user is about to see.
	if page.User = user; r.Method != http.MethodHead && page.Name != "error" {
		page.Flashes = p.core.Flashes(r.Context())
	}
	if user != nil {
		page.FormUser = p.core.SealForm(r.Context(), page.Name)
	}
	if r.Context().Value(otherUser{}) != nil && user != nil {
		page.Status = http.StatusConflict
		page.Flashes = append(page.Flashes, auth.Flash{Category: "warning", Text: named(p.texts.OtherUser, user)})
	}
	if page.Form != nil && page.Form.once != "" { // now that it is known who is logged in
		page.Form.Once = p.core.FormNonce(r.Context(), page.Form.once)
	}
	var body bytes.Buffer
	if err := p.templates[page.Name].Execute(&body, page); err != nil {
		p.core.Error(w, r, fmt.Errorf("pages: %w", err))
		return
	}
	w.WriteHeader(page.Status)
	_, _ = body.WriteTo(w) // an error means that the client has gone
}

// Named returns a text with the user's name in place of {user}.
func (p Page) Named(text string, user auth.User) string { return named(text, user) }

func named(text string, user auth.User) string {
	return strings.ReplaceAll(text, "{user}", shown(loginOf(user)))
}

// loadTemplates reads the templates, and executes each.
func (p *Pages) loadTemplates() error {
	style, err := p.file("auth.css")
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(style))
	p.style = stylesheet{style, hex.EncodeToString(sum[:8])}
	p.urls.Stylesheet += "?v=" + p.style.hash

	layout := template.New("")
	for _, name := range []string{"layout.html", "form.html"} {
		text, err := p.file(name)
		if err != nil {
			return err
		}
		t, err := layout.New(name).Parse(text)
		if err != nil {
			return fmt.Errorf("pages: %w", err)
		}
		if err := onlyDefines(t); err != nil && name != "layout.html" {
			return err
		}
	}
	p.templates = map[string]*template.Template{}
	for _, name := range []string{
		"login", "register", "forgot", "reset", "verify", "resend", "account", "password", "email", "confirm", "undo",
		"sessions", "close", "refresh", "switch", "error",
	} {
		if p.templates[name], err = p.loadTemplate(layout, name); err != nil {
			return err
		}
		if err := p.try(name); err != nil {
			return fmt.Errorf("pages: %s.html: %w", name, err)
		}
	}
	return nil
}

// loadTemplate returns the layout with the content of a page.
func (p *Pages) loadTemplate(layout *template.Template, page string) (*template.Template, error) {
	name := page + ".html"
	text, err := p.file(name)
	if err != nil {
		return nil, err
	}
	t, err := layout.Clone()
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	content, err := t.New(name).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return t.Lookup("layout.html"), onlyDefines(content)
}

// onlyDefines returns an error if a file has text that no page shows.
func onlyDefines(t *template.Template) error {
	if t.Tree == nil || parse.IsEmptyTree(t.Tree.Root) {
		return nil
	}
	return fmt.Errorf("pages: %s has text outside {{define}}…{{end}}, where nobody sees it", t.Name())
}

// file returns the application's file of that name, or else the embedded one.
func (p *Pages) file(name string) (string, error) {
	if p.cfg.Templates != nil {
		text, err := fs.ReadFile(p.cfg.Templates, name)
		if !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return "", fmt.Errorf("pages: %w", err)
			}
			return string(text), nil
		}
	}
	text, err := embedded.ReadFile("templates/" + name)
	return string(text), err
}

// try executes a template for everybody who may see it, with all that a page
// can have and with nothing.
func (p *Pages) try(name string) error {
	var sample auth.User = &auth.Account{ID: "1", Username: "susan", Email: "susan@example.com"}
	if p.cfg.SampleUser != nil {
		sample = p.cfg.SampleUser
	}
	form := func() *Form {
		switch name {
		case "login":
			return p.loginForm(nil, auth.ParseNext("/"))
		case "register":
			return p.registerForm(nil, auth.ParseNext("/"))
		case "forgot":
			return p.forgotForm(nil)
		case "reset":
			return p.resetForm(nil, sample, "")
		case "password":
			return p.passwordForm(nil, sample)
		case "refresh":
			return p.refreshForm(nil, sample, auth.ParseNext("/"))
		case "verify":
			return p.verifyForm("", auth.ParseNext("/"))
		case "resend":
			return p.resendForm(nil, auth.ParseNext("/"))
		case "email":
			return p.emailForm(nil)
		case "confirm":
			return p.confirmForm("")
		case "undo":
			return p.undoForm("")
		case "close":
			return p.closeForm(nil, sample)
		case "switch":
			return newForm(p.urls.Logout, p.texts.SwitchButton, nil)
		}
		return nil
	}
	bare := p.page(name, http.StatusOK, form())
	full := p.page(name, http.StatusNotFound, form())
	full.Flashes, full.FormUser = []auth.Flash{{Category: "info", Text: "text"}}, "text"
	if full.Form != nil {
		full.Form.Error, full.Form.Once = "text", "text"
		for _, field := range full.Form.Fields {
			full.Form.refuse(field.Name, "text")
		}
	}
	switch name {
	case "reset", "verify", "confirm", "undo":
		bare.Subject, full.Subject, full.Address = sample, sample, "susan@example.org"
	case "sessions":
		full.Logins = []auth.Login{{ID: "1", Current: true, Remembered: true, Address: "192.0.2.1", UserAgent: "text"}, {ID: "2"}}
	}
	for _, page := range []Page{bare, full} {
		var users []auth.User
		switch name {
		case "account", "password", "email", "confirm", "sessions", "close", "refresh", "switch":
			users = []auth.User{sample}
		case "forgot", "reset", "verify", "resend", "undo", "error":
			users = []auth.User{sample, nil}
		default:
			users = []auth.User{nil}
		}
		for _, page.User = range users {
			var body strings.Builder
			err := p.templates[name].Execute(&body, page)
			if err != nil && p.cfg.SampleUser == nil && page.User != nil {
				return fmt.Errorf("%w (the User was an auth.Account; Config.SampleUser can be another)", err)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// A stylesheet is served under an URL that has its hash in it.
type stylesheet struct{ text, hash string }

func (p *Pages) serveStyle(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("ETag", `"`+p.style.hash+`"`)
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == p.style.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(p.style.text))
}
