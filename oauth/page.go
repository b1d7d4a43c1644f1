package oauth

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/go-login/auth"
)

// A Page is what the handler shows to a user. Package pages draws it, if it is set up. ShowPage can
// draw it in another way.
type Page struct {
	Kind     PageKind
	Status   int
	Provider auth.Provider
	Host     string // PageLeaving: where the provider is, such as "accounts.google.com"

	// Link is where the page leads. Forward says that the browser shall go there by itself: use
	// <meta http-equiv="refresh">, because a redirect from a form is blocked by a
	// Content-Security-Policy with form-action.
	Link    string
	Forward bool

	texts *Texts // nil: the defaults
}

// A PageKind says what a Page is about.
type PageKind string

// The pages.
const (
	PageLeaving      PageKind = "leaving"       // 200: the browser goes to the provider
	PageReturning    PageKind = "returning"     // 200: the browser has come back, and goes on by itself
	PageCancelled    PageKind = "cancelled"     // 200: the user did not agree at the provider
	PageAgain        PageKind = "again"         // 400: the login is over, or was begun in another browser
	PageNotConnected PageKind = "not-connected" // 403: no account here is connected: log in, then connect it
	PageRefused      PageKind = "refused"       // 403: the user, or what the provider says, is refused
	PageTooMany      PageKind = "too-many"      // 409: the user has connected 20 accounts
	PageUnavailable  PageKind = "unavailable"   // 503: the provider cannot be used at the moment
)

// Texts are the words of the handler's own pages, as plain text. If a field is empty, the pages
// use the English default in its comment or, in German and Spanish, its translation. {provider}
// stands for the provider's Label, {host} for where the provider is, and {max} for how many
// accounts a user can connect.
type Texts struct {
	Lang string // en, or the first of Languages of auth.Config: the language of these texts, as in HTML's lang

	// Titles and headings.
	LeavingTitle      string // Taking you to {host}
	ReturningTitle    string // One moment
	CancelledTitle    string // You cancelled
	AgainTitle        string // Please begin again
	NotConnectedTitle string // This account is not connected
	RefusedTitle      string // You cannot log in this way
	TooManyTitle      string // You have connected too many accounts
	UnavailableTitle  string // {provider} cannot be used at the moment

	// What the pages say.
	Cancelled    string // You were not logged in by {provider}.
	Again        string // This login is over, or was begun in another browser.
	NotConnected string // No account here is connected to this account at {provider}. If you have an account here, log in to it, then connect the two.
	Refused      string // Your account at {provider} cannot be used for this.
	TooMany      string // You can connect {max} accounts. Disconnect one of them, then connect this one.
	Unavailable  string // Try again in a few minutes, or use another way.

	// Links.
	ContinueLink string // Continue
	LoginLink    string // Log in
	BackLink     string // Back
}

// words returns what a page of this kind says.
func (t *Texts) words(kind PageKind) (title, text, link string) {
	switch kind {
	case PageLeaving:
		return t.LeavingTitle, "", t.ContinueLink
	case PageReturning:
		return t.ReturningTitle, "", t.ContinueLink
	case PageCancelled:
		return t.CancelledTitle, t.Cancelled, t.BackLink
	case PageAgain:
		return t.AgainTitle, t.Again, t.BackLink
	case PageNotConnected:
		return t.NotConnectedTitle, t.NotConnected, t.LoginLink
	case PageTooMany:
		return t.TooManyTitle, t.TooMany, t.BackLink
	case PageUnavailable:
		return t.UnavailableTitle, t.Unavailable, t.BackLink
	}
	return t.RefusedTitle, t.Refused, t.BackLink
}

// words returns the words of the page.
func (p Page) words() (title, text, link string) {
	t := p.texts
	if t == nil {
		defaults := english()
		t = &defaults
	}
	title, text, link = t.words(p.Kind)
	fill := strings.NewReplacer("{provider}", p.Provider.Label, "{host}", p.Host, "{max}", strconv.Itoa(maxIdentities)).Replace
	return fill(title), fill(text), fill(link)
}

// Title returns the heading of the page. See Handler.Texts.
func (p Page) Title() string { title, _, _ := p.words(); return title }

// Text returns what the page says. It may be empty. See Handler.Texts.
func (p Page) Text() string { _, text, _ := p.words(); return text }

// LinkText returns what the link says. See Handler.Texts.
func (p Page) LinkText() string { _, _, link := p.words(); return link }

// Lang returns the language of these words, as in HTML's lang.
func (p Page) Lang() string {
	if p.texts == nil {
		return "en"
	}
	return p.texts.Lang
}

const pageText = `<!DOCTYPE html>
<html lang="{{.Lang}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{{- if .Forward}}
<meta http-equiv="refresh" content="0; url={{.Link}}">
{{- end}}
<title>{{.Title}}</title>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{- with .Text}}
<p>{{.}}</p>
{{- end}}
<p><a href="{{.Link}}">{{.LinkText}}</a></p>
</main>
</body>
</html>
`

// show writes a page: by ShowPage, by package pages, or by itself.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, p *remote, page Page) {
	page.texts = h.wordsFor(r.Context())
	page.Provider = p.shown(h.core.BasePath())
	if page.Status == 0 {
		page.Status = map[PageKind]int{
			PageAgain: http.StatusBadRequest, PageNotConnected: http.StatusForbidden, PageRefused: http.StatusForbidden,
			PageTooMany: http.StatusConflict, PageUnavailable: http.StatusServiceUnavailable,
		}[page.Kind]
	}
	if page.Status == 0 {
		page.Status = http.StatusOK
	}
	if page.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "60")
	}
	if h.ShowPage != nil {
		h.ShowPage(w, r, page)
		return
	}
	if h.feature.ShowNotice(w, r, auth.Notice{
		Status: page.Status, Lang: page.Lang(), Title: page.Title(), Text: page.Text(),
		Link: page.Link, LinkText: page.LinkText(), Forward: page.Forward,
	}) {
		return
	}
	header := w.Header()
	h.vary(header)
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	w.WriteHeader(page.Status)
	_ = h.page.Execute(w, page) // the client may have gone
}
