package pages

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-login/auth"
)

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

// newPage fills in what does not depend on the request.
func (p *Pages) newPage(entry *page, f *Form) Page {
	page := Page{
		Name: entry.name, Title: *entry.title, Site: p.cfg.Site, Texts: p.texts, URLs: p.urls, Form: f, Status: http.StatusOK,
		RequireVerified: p.core.RequiresVerified(),
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
	user, err := p.core.User(r.Context())
	if err != nil && !errors.Is(err, auth.ErrNotLoggedIn) {
		p.core.Error(w, r, err)
		return
	}
	if p.hasToken(r) {
		user = nil // for a user the layout has a form, the one that logs out
	}
	// Messages are for the page that the user is about to see.
	if page.User = user; r.Method != http.MethodHead && page.Name != "error" {
		page.Flashes = append(p.core.Flashes(r.Context()), page.Flashes...)
	}
	if user != nil {
		page.FormUser = p.core.SealForm(r.Context(), page.Name)
	}
	if page.Form != nil && p.named[page.Name].once { // now that it is known who is logged in
		page.Form.Once = p.core.FormNonce(r.Context(), page.Name)
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
