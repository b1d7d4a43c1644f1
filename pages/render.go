package pages

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// A Page is the data that a template is executed with.
type Page struct {
	Name    string // name of the template without .html: "login", "register", … (see Config.Templates)
	Title   string
	Site    string // Config.Site
	Logo    string // Config.Logo
	Icon    string // Config.Icon
	Texts   Texts
	URLs    URLs
	User    auth.User // the user who is logged in, in the application's own type; or nil
	Acting  bool      // an administrator acts as the user: see Core.Impersonate of package auth
	Flashes []auth.Flash
	Form    *Form        // nil on pages without one
	Logins  []auth.Login // on the page "sessions"
	Status  int          // HTTP status of the answer
	Message string       // on the page "error": what the user can do, or ""; on the page "notice": its text, or ""
	Again   string       // on the page "error": the URL of a link to try again, or ""

	// Factors are, on the pages "account", "twofactor" and "recoverycodes", those of
	// auth.Config, with what the user has of them. On the page "factor" they are the ways
	// to go on besides the one that the form asks for.
	Factors    []Factor
	TwoFactor  bool                  // on these three pages: a login of the user asks for a second factor
	Setup      *Setup                // on the page "twofactor", if it sets up a factor; or nil
	Unverified bool                  // on the page "twofactor": the user must verify the address first
	Next       string                // on the pages "twofactor" and "recoverycodes": where the user wanted to go, or ""
	Trusted    []auth.TrustedBrowser // on the pages "sessions" and "twofactor": the browsers that the user trusts
	Codes      []string              // on the page "recoverycodes", in the answer that made them: the new codes
	CodesFile  template.URL          // in the same answer: a link that downloads the new codes
	Confirms   bool                  // on the page "factor": the user is logged in, and confirms the login

	// LoginLink says, on the page "maillink", who asked for the mail. On the page "maillogin",
	// Address is where the code was mailed, if it asks for the code.
	LoginLink *auth.LoginLink

	// Passkey is the form for a passkey, on the pages "login", "factor", "refresh" and
	// "passkeys", or nil. If it is the only one, Form is nil.
	Passkey        *PasskeyForm
	Passkeys       []Passkey // on the page "passkeys": those of the user
	Offer          string    // on the page "passkeys", if it offers a passkey after a login: where to go without one
	DropsPassword  bool      // on the page "passkeys": the user can remove the password
	KnownPasskeys  string    // what the script tells the browser about the user's passkeys, as JSON; or ""
	UnknownPasskey string    // a passkey that the browser has shown and the site does not have, as JSON; or ""

	// Providers are the buttons for providers, on the pages "login", "register", "refresh" and
	// "identities". Identities are those of the user, on the page "identities". There,
	// Unverified says that the user must verify the address first.
	Providers  []ProviderForm
	Identities []Identity

	// On the page "refresh", Form is nil for a user without a password. NoWay says that the
	// user has no way to confirm the login here.
	NoWay bool

	// On the page "inbox", Address is where a mail went, Sent is the text that says so (see
	// Page.Mailed), and OtherAddress is the URL of the form for another address.
	Sent, OtherAddress string

	// On the page "notice", which is one of another package, Link is where it leads, and LinkText
	// is the text of that link.
	Link, LinkText string

	// Subject and Address are set on the pages "reset", "verify", "confirm", "undo" and
	// "maillink", which mailed links open. Subject is the user whose account the link is for. Address
	// is the address that is to be verified, or that the account is to get; "reset" and
	// "maillink" have none. On the page "factor", Subject is the user whose login waits.
	Subject auth.User
	Address string

	// FormUser is the value of the hidden field form_user, which ties the page's forms
	// to the user who is logged in. It is empty if no user is. See Core.SealForm of
	// package auth. The form's name there is that of the page, such as "account". A
	// page of your own checks the field by Core.CheckForm(ctx, "account",
	// r.PostFormValue("form_user")).
	FormUser string

	RequireVerified bool // as in auth.Config

	// Data is what Config.Data returned for the request, or nil.
	Data any

	now     time.Time
	scripts *[]string // those that no template has loaded yet
}

// Scripts returns the paths of the scripts that the page needs, for the template "scripts".
// After the first call it returns none, so that several templates of a page can load them.
// A page for which it is never called may run no script.
func (p Page) Scripts() []string {
	if p.scripts == nil {
		return nil
	}
	scripts := *p.scripts
	*p.scripts = nil
	return scripts
}

// URLs are the pages' URLs, as paths of this site. On pages that know where the login
// leads, Login and Register have it in their query. Without a Mailer, Forgot, Reset,
// Inbox, Verify, Email and Undo are empty, because these pages do not exist. So are Factor,
// TwoFactor, RecoveryCodes, Passkeys, PasskeyLogin and PasskeyScript without such factors,
// LoginCode without EmailLogin, Identities without providers, StopImpersonating without
// Impersonation, and those of pages that Config.Without leaves out.
type URLs struct {
	Home, Stylesheet        string
	Script                  string
	Register, Login, Logout string
	Forgot, Reset           string
	Account, Password       string
	Sessions, Refresh       string
	Verify, Email, Undo     string
	Inbox                   string
	Close, Factor           string
	TwoFactor               string
	RecoveryCodes           string
	LoginCode               string
	Passkeys, PasskeyLogin  string
	PasskeyScript           string
	Identities              string
	StopImpersonating       string
}

// newPage returns a Page with everything that does not depend on the request.
func (p *Pages) newPage(entry *page, f *Form) Page {
	page := Page{
		Name: entry.name, Title: *entry.title, Site: p.cfg.Site, Texts: p.texts, URLs: p.urls, Form: f, Status: http.StatusOK,
		RequireVerified: p.auth.RequireVerified, Logo: p.cfg.Logo, Icon: p.cfg.Icon, now: p.auth.Now(),
	}
	if len(p.core.Providers()) == 0 {
		page.URLs.Identities = ""
	}
	if f != nil {
		f.setReveal(&p.texts)
		next := auth.ParseNext(f.Next)
		for _, url := range []*string{&page.URLs.Login, &page.URLs.Register, &page.URLs.LoginCode} {
			if *url != "" {
				*url = next.AddTo(*url)
			}
		}
	}
	return page
}

// render writes a page as HTML. If the page cannot be rendered as a whole, it writes an
// error.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, page *Page) {
	if err := p.complete(r, page); err != nil {
		p.core.Error(w, r, err)
		return
	}
	if p.cfg.Data != nil {
		var err error
		if page.Data, err = p.cfg.Data(r); err != nil {
			p.core.Error(w, r, err)
			return
		}
	}
	if err := p.execute(w, page); err != nil {
		p.core.Error(w, r, err)
	}
}

// execute writes a page. If its template fails, it writes nothing and returns the error.
func (p *Pages) execute(w http.ResponseWriter, page *Page) error {
	scripts := p.scripts(page)
	page.scripts = &scripts
	var body bytes.Buffer
	if err := p.templates[page.Name].Execute(&body, *page); err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	p.allowScripts(w.Header(), page)
	w.WriteHeader(page.Status)
	_, _ = body.WriteTo(w) // an error means that the client has hung up
	return nil
}

// complete adds to a page what depends on the request: the user, the messages, and the hidden
// fields of the forms.
func (p *Pages) complete(r *http.Request, page *Page) error {
	user, err := p.core.EnrollingUser(r.Context()) // the layout has only the name, and a way to log out
	if err != nil && !errors.Is(err, auth.ErrNotLoggedIn) {
		return err
	}
	if p.hasToken(r) {
		user = nil // for a user, the layout would have a form: the one that logs out
	}
	// HEAD and error pages leave the messages to the page that the user will see next.
	if page.User = user; r.Method != http.MethodHead && page.Name != "error" {
		page.Flashes = append(p.core.Flashes(r.Context()), page.Flashes...)
	}
	p.seal(r, page)
	return nil
}

// seal adds the hidden fields of the page's form, after the page has its User.
func (p *Pages) seal(r *http.Request, page *Page) {
	if page.User != nil {
		_, page.Acting = p.core.Impersonator(r.Context())
		page.FormUser = p.core.SealForm(r.Context(), page.Name)
	}
	if page.Form != nil && len(page.Flashes) > 0 {
		page.Form.describe()
	}
	if page.Form != nil && p.named[page.Name].once { // after the user is loaded, on whom a nonce depends
		page.Form.Once = p.core.FormNonce(r.Context(), page.Name)
	}
}

// HeadTitle returns the title for the browser's tab: with the name of the site, and marked if
// something was not accepted (GOV.UK Design System, "Error message"). Pages that are about
// nothing else have that as their title.
func (p Page) HeadTitle() string {
	title := p.Title
	if p.Status >= http.StatusBadRequest && p.Name != "error" && p.Name != "notice" && p.Name != "switch" {
		title = strings.ReplaceAll(p.Texts.ErrorTitle, "{title}", title)
	}
	if p.Site != "" {
		title += " – " + p.Site
	}
	return title
}

// Named returns a text with the user's name in place of {user}. The name may have another
// direction than the text.
func (p Page) Named(text string, user auth.User) template.HTML {
	return isolate(text, "{user}", shown(loginOf(user)))
}

// isolate returns a text with a value in place of a placeholder, as HTML. A value from right to
// left does not change the order of the text around it.
func isolate(text, placeholder, value string) template.HTML {
	value = "<bdi>" + template.HTMLEscapeString(value) + "</bdi>"
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(text), placeholder, value)) //nolint:gosec // both are escaped
}

// At returns a time as an element of HTML: as Texts.Time says. The script writes it for the
// browser's time zone.
func (p Page) At(t time.Time) template.HTML {
	return p.timeElement(t, t.UTC().Format(p.Texts.Time), "time")
}

// On returns the day of a time as an element of HTML: as Texts.Date says. The script writes the
// day in the browser's time zone.
func (p Page) On(t time.Time) template.HTML {
	return p.timeElement(t, t.UTC().Format(p.Texts.Date), "day")
}

// Ago returns how long ago a time was, as an element of HTML. After a week, it is the day.
func (p Page) Ago(t time.Time) template.HTML {
	text, ago := p.Texts.JustNow, p.now.Sub(t)
	switch days := int(ago.Hours() / 24); {
	case days > 6:
		return p.On(t)
	case days > 1:
		text = counted(p.Texts.DaysAgo, days)
	case days == 1:
		text = p.Texts.DayAgo
	case ago >= time.Hour:
		text = counted(p.Texts.HoursAgo, int(ago.Hours()))
	case ago >= time.Minute:
		text = counted(p.Texts.MinutesAgo, int(ago.Minutes()))
	}
	return p.timeElement(t, text, "")
}

// timeElement returns a time as an element with this text. A mouse over it shows the whole time in
// UTC. The script replaces the text as local says: by the "time", by the "day", or not.
func (p Page) timeElement(t time.Time, text, local string) template.HTML {
	html := template.HTMLEscapeString
	if local != "" {
		local = ` data-time="` + local + `"`
	}
	return template.HTML(`<time dir="auto" datetime="` + t.UTC().Format(time.RFC3339) + `"` + local + ` title="` + html(t.UTC().Format(p.Texts.Time)) + `">` + html(text) + `</time>`) //nolint:gosec // all is escaped
}

func named(text string, user auth.User) string {
	return strings.ReplaceAll(text, "{user}", shown(loginOf(user)))
}
