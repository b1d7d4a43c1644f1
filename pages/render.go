package pages

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/go-login/auth"
)

// A Page is the data that a template is executed with.
type Page struct {
	Name    string // name of the template without .html: "login", "register", … (see Config.Templates)
	Title   string
	Site    string // Config.Site
	Texts   Texts
	URLs    URLs
	User    auth.User // the user who is logged in, in the application's own type; or nil
	Flashes []auth.Flash
	Form    *Form        // nil on pages without one
	Logins  []auth.Login // on the page "sessions"
	Status  int          // HTTP status of the answer

	// Factors are, on the pages "account", "twofactor" and "recoverycodes", those of
	// auth.Config, with what the user has of them. On the page "factor" they are the ways
	// to go on besides the one that the form asks for.
	Factors    []Factor
	TwoFactor  bool         // on these three pages: a login of the user asks for a second factor
	Setup      *Setup       // on the page "twofactor", if it sets up a factor; or nil
	Unverified bool         // on the page "twofactor": the user must verify the address first
	Next       string       // on the pages "twofactor" and "recoverycodes": where the user wanted to go, or ""
	Trusted    int          // on the page "twofactor": how many browsers the user trusts
	Codes      []string     // on the page "recoverycodes", in the answer that made them: the new codes
	CodesFile  template.URL // in the same answer: a link that downloads the new codes
	Confirms   bool         // on the page "factor": the user is logged in, and confirms that

	// Subject and Address are set on the pages "reset", "verify", "confirm" and "undo",
	// which mailed links open. Subject is the user whose account the link is for. Address
	// is the address that is to be verified, or that the account is to get; "reset" has
	// none. On the page "factor", Subject is the user whose login waits.
	Subject auth.User
	Address string

	// FormUser is the value of the hidden field form_user, which ties the page's forms
	// to the user who is logged in. It is empty if no user is. See Core.SealForm of
	// package auth. The form's name there is that of the page, such as "account". A
	// page of your own checks the field by Core.CheckForm(ctx, "account",
	// r.PostFormValue("form_user")).
	FormUser string

	RequireVerified bool // as in auth.Config
}

// URLs are the pages' URLs, as paths of this site. On pages that know where the login
// leads, Login and Register have it in their query. Without a Mailer, Forgot, Reset,
// Verify, Email and Undo are empty, because these pages do not exist. So are Factor,
// TwoFactor and RecoveryCodes without such factors.
type URLs struct {
	Home, Stylesheet        string
	Register, Login, Logout string
	Forgot, Reset           string
	Account, Password       string
	Sessions, Refresh       string
	Verify, Email, Undo     string
	Close, Factor           string
	TwoFactor               string
	RecoveryCodes           string
}

// newPage returns a Page with everything that does not depend on the request.
func (p *Pages) newPage(entry *page, f *Form) Page {
	page := Page{
		Name: entry.name, Title: *entry.title, Site: p.cfg.Site, Texts: p.texts, URLs: p.urls, Form: f, Status: http.StatusOK,
		RequireVerified: p.auth.RequireVerified,
	}
	if f != nil {
		next := auth.ParseNext(f.Next)
		page.URLs.Login, page.URLs.Register = next.AddTo(page.URLs.Login), next.AddTo(page.URLs.Register)
	}
	return page
}

// render writes a page as HTML. If the page cannot be rendered as a whole, it writes an
// error.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, page *Page) {
	user, err := p.core.EnrollingUser(r.Context()) // the layout has only the name, and a way to log out
	if err != nil && !errors.Is(err, auth.ErrNotLoggedIn) {
		p.core.Error(w, r, err)
		return
	}
	if p.hasToken(r) {
		user = nil // for a user, the layout would have a form: the one that logs out
	}
	// HEAD and error pages leave the messages to the page that the user will see next.
	if page.User = user; r.Method != http.MethodHead && page.Name != "error" {
		page.Flashes = append(p.core.Flashes(r.Context()), page.Flashes...)
	}
	if user != nil {
		page.FormUser = p.core.SealForm(r.Context(), page.Name)
	}
	if page.Form != nil && p.named[page.Name].once { // after User, which a nonce depends on
		page.Form.Once = p.core.FormNonce(r.Context(), page.Name)
	}
	var body bytes.Buffer
	if err := p.templates[page.Name].Execute(&body, *page); err != nil {
		p.core.Error(w, r, fmt.Errorf("pages: %w", err))
		return
	}
	w.WriteHeader(page.Status)
	_, _ = body.WriteTo(w) // an error means that the client has hung up
}

// Named returns a text with the user's name in place of {user}.
func (p Page) Named(text string, user auth.User) string { return named(text, user) }

func named(text string, user auth.User) string {
	return strings.ReplaceAll(text, "{user}", shown(loginOf(user)))
}
