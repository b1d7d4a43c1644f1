package oauth_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"html"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/oauth"
)

// german are the texts of ExampleTexts.
var german = oauth.Texts{
	Lang:              "de",
	LeavingTitle:      "Weiter zu {host}",
	ReturningTitle:    "Einen Moment",
	CancelledTitle:    "Sie haben abgebrochen",
	AgainTitle:        "Bitte fangen Sie noch einmal an",
	NotConnectedTitle: "Dieses Konto ist nicht verbunden",
	RefusedTitle:      "So können Sie sich nicht anmelden",
	TooManyTitle:      "Sie haben zu viele Konten verbunden",
	UnavailableTitle:  "{provider} ist zurzeit nicht verfügbar",
	Cancelled:         "Sie wurden nicht mit {provider} angemeldet.",
	Again:             "Diese Anmeldung ist abgelaufen, oder ein anderer Browser hat sie begonnen.",
	NotConnected:      "Mit diesem Konto bei {provider} ist hier kein Konto verbunden. Wenn Sie hier eines haben, melden Sie sich an und verbinden Sie die beiden.",
	Refused:           "Ihr Konto bei {provider} kann dafür nicht verwendet werden.",
	TooMany:           "Sie können {max} Konten verbinden. Trennen Sie eines, und verbinden Sie dann dieses.",
	Unavailable:       "Versuchen Sie es in ein paar Minuten wieder, oder melden Sie sich anders an.",
	ContinueLink:      "Weiter",
	LoginLink:         "Anmelden",
	BackLink:          "Zurück",
}

// pageKinds are all kinds of pages.
func pageKinds() []oauth.PageKind {
	return []oauth.PageKind{
		oauth.PageLeaving, oauth.PageReturning, oauth.PageCancelled, oauth.PageAgain, oauth.PageNotConnected, oauth.PageRefused,
		oauth.PageTooMany, oauth.PageUnavailable,
	}
}

// Each text has the default that its comment says, and is on a page.
func TestTexts(t *testing.T) {
	t.Parallel()
	defaults := map[string]string{}
	file, err := parser.ParseFile(token.NewFileSet(), "page.go", nil, parser.ParseComments)
	must(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Texts" {
			return true
		}
		if fields, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range fields.Fields.List {
				defaults[f.Names[0].Name] = strings.TrimSpace(f.Comment.Text())
			}
		}
		return false
	})
	delete(defaults, "Lang")
	provider := auth.Provider{Label: "The Works"}
	fill := strings.NewReplacer("{provider}", provider.Label, "{host}", "id.example", "{max}", "20")
	words := map[string]bool{}
	for _, kind := range pageKinds() {
		p := oauth.Page{Kind: kind, Provider: provider, Host: "id.example"}
		words[p.Title()], words[p.Text()], words[p.LinkText()] = true, true, true
		want(t, "language", p.Lang(), "en")
	}
	for name, text := range defaults {
		if !words[fill.Replace(text)] {
			t.Errorf("%s: no page says %q", name, text)
		}
	}
	// In another language, no page has an English word. The fields are complete.
	v := reflect.ValueOf(german)
	for i := range v.NumField() {
		if v.Field(i).String() == "" {
			t.Errorf("the German texts have no %s", v.Type().Field(i).Name)
		}
	}
	want(t, "texts", len(defaults)+1, v.NumField())
	shown := map[string]bool{}
	for _, p := range pagesOf(t, german) {
		want(t, "language", p.Lang(), "de")
		shown[p.Title()], shown[p.Text()], shown[p.LinkText()] = true, true, true
	}
	for text := range words {
		if text != "" && shown[text] {
			t.Errorf("%q is English", text)
		}
	}
}

// pagesOf returns a page of each kind, as a handler with these texts shows them.
func pagesOf(t *testing.T, texts oauth.Texts) (all []oauth.Page) {
	t.Helper()
	seen := map[oauth.PageKind]bool{}
	visit := func(change func(*oauth.Provider), f func(*site, *browser)) {
		s := newSite(t, withProvider(change))
		s.handler.Texts = texts
		s.handler.ShowPage = func(w http.ResponseWriter, _ *http.Request, p oauth.Page) {
			if w.WriteHeader(p.Status); !seen[p.Kind] {
				seen[p.Kind], all = true, append(all, p)
			}
			_, _ = fmt.Fprintf(w, `<meta http-equiv="refresh" content="0; url=%s">`, html.EscapeString(p.Link))
		}
		f(s, s.browser())
	}
	none := func(*oauth.Provider) {}
	visit(none, func(_ *site, b *browser) { b.login() })                                                                  // leaving, not connected
	visit(none, func(_ *site, b *browser) { b.Get("/oauth/work/callback?state=a&code=b") })                               // again
	visit(none, func(s *site, b *browser) { s.provider.Deny("access_denied", ""); b.login() })                            // cancelled
	visit(none, func(s *site, b *browser) { s.provider.Misbehave(authtest.WrongNonce); b.login() })                       // refused
	visit(none, func(s *site, b *browser) { s.provider.Misbehave(authtest.Down(authtest.Discovery)); b.start() })         // unavailable
	visit(func(p *oauth.Provider) { p.FormPost = true }, func(s *site, b *browser) { b.Do(s.provider.Visit(b.start())) }) // returning
	visit(none, func(s *site, b *browser) { s.full(b); b.login("purpose", "link") })                                      // too many
	want(t, "kinds of pages", len(all), len(pageKinds()))
	return all
}

// The built-in page is in the language of the texts, and escapes them.
func TestTextsAreEscaped(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.handler.Texts = oauth.Texts{Lang: `"><script>`, AgainTitle: "<b>Noch einmal</b>"}
	r := s.browser().Get("/oauth/work/callback?state=a&code=b")
	s.page(r, http.StatusBadRequest, "<b>Noch einmal</b>")
	if strings.Contains(r.Text, "<b>") || strings.Contains(r.Text, "<script>") {
		t.Error(r.Text)
	}
}

// full makes a user who has connected as many accounts as there may be, and logs the user in. The
// next login at the provider is one more.
func (s *site) full(b *browser) *testapp.User {
	s.t.Helper()
	u := s.account("susan", true, true)
	b.Login(u)
	for i := range 20 {
		s.consent(fmt.Sprint("subject ", i), "", nil)
		b.login("purpose", "link")
	}
	want(s.t, "identities", len(s.identities(u)), 20)
	s.consent("one more", "susan@example.com", true)
	s.mails.Take()
	s.Events()
	return s.user(u.ID)
}

// A user who has connected 20 accounts cannot connect another one, neither at the page nor by the
// address. Nothing is stored, and the page says what to do.
func TestTooManyIdentities(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(trusted))
	b := s.browser()
	u := s.full(b)
	const text = "You can connect 20 accounts. Disconnect one of them, then connect this one."
	s.page(b.login("purpose", "link"), http.StatusConflict, text)
	s.page(s.browser().login(), http.StatusConflict, text)
	for _, e := range s.Events() {
		if e.Kind != auth.EventIdentityAddFailed && (e.Kind != oauth.EventRefused || !strings.Contains(e.Err.Error(), "20 accounts")) {
			t.Errorf("event %s: %v", e.Kind, e.Err)
		}
	}
	want(t, "identities", len(s.identities(u)), 20)
	wantAll(t, "mails", s.mailKinds())
	s.consent("subject 7", "", nil)
	s.leads(b.login("purpose", "link"), "/account/identities") // it is connected already
	must(t, b.in(func(ctx context.Context) error { return s.RemoveIdentity(ctx, s.identities(u)[0].ID) }))
	s.consent("one more", "", nil)
	s.leads(b.login("purpose", "link"), "/account/identities")
	want(t, "identities", len(s.identities(u)), 20)
}

// Two requests that connect the last account that there is room for, in two processes.
func TestTooManyIdentitiesAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	u := s.full(b)
	must(t, b.in(func(ctx context.Context) error { return s.RemoveIdentity(ctx, s.identities(u)[0].ID) }))
	var visits []*http.Request
	for i := range 2 {
		page := b.start("purpose", "link")
		s.consent(fmt.Sprint("another ", i), "", nil)
		visits = append(visits, s.provider.Visit(page))
	}
	store := s.Spy()
	store.HookCalls(func(_ context.Context, c testapp.Call) error {
		if c.Method == "InsertRecord" && strings.Contains(c.Record.Key, "identity/") { // both have seen that there is room
			store.Reset()
			s.leads(b.Do(visits[1]), "/account/identities")
		}
		return nil
	}, nil)
	s.page(b.Do(visits[0]), http.StatusConflict, "You can connect 20 accounts.")
	want(t, "identities", len(s.identities(u)), 20)
}
