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
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/oauth"
	"github.com/go-login/auth/pages"
)

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
	want(t, "texts", len(defaults)+1, reflect.TypeFor[oauth.Texts]().NumField())
	// In another language of the package, no page has an English word.
	for _, lang := range []string{"de", "es"} {
		shown := map[string]bool{}
		for _, p := range pagesOf(t, lang) {
			want(t, "language", p.Lang(), lang)
			shown[p.Title()], shown[p.Text()], shown[p.LinkText()] = true, true, true
		}
		want(t, "texts in "+lang, len(shown), len(words))
		for text := range words {
			if text != "" && shown[text] {
				t.Errorf("%s: %q is English", lang, text)
			}
		}
	}
}

// The pages are in the language of the request. The application's texts come first, and a language
// that nobody has is English.
func TestLanguages(t *testing.T) {
	t.Parallel()
	french := oauth.Texts{AgainTitle: "Veuillez recommencer"}
	for _, test := range []struct {
		languages    []string
		texts        oauth.Texts
		translations map[string]oauth.Texts
		accept       string
		lang, title  string
	}{
		{lang: "en", title: "Please begin again"},
		{texts: oauth.Texts{AgainTitle: "Again"}, lang: "en", title: "Again"},
		{texts: oauth.Texts{Lang: "de-AT"}, lang: "de-AT", title: "Bitte fangen Sie noch einmal an"},
		{texts: oauth.Texts{Lang: "de", AgainTitle: "Noch einmal"}, lang: "de", title: "Noch einmal"},
		{languages: []string{"de-CH"}, lang: "de", title: "Bitte fangen Sie noch einmal an"},
		{languages: []string{"en", "es"}, accept: "es", lang: "es", title: "Empiece de nuevo"},
		{languages: []string{"en", "es"}, accept: "fr", lang: "en", title: "Please begin again"},
		{languages: []string{"en", "es"}, texts: oauth.Texts{AgainTitle: "Again"}, accept: "es", lang: "es", title: "Empiece de nuevo"},
		{languages: []string{"en", "es"}, texts: oauth.Texts{AgainTitle: "Again"}, accept: "en", lang: "en", title: "Again"},
		{languages: []string{"en", "es"}, texts: oauth.Texts{Lang: "es", AgainTitle: "Otra vez"}, accept: "es", lang: "es", title: "Otra vez"},
		{languages: []string{"en", "es"}, texts: oauth.Texts{Lang: "es", AgainTitle: "Otra vez"}, accept: "en", lang: "en", title: "Please begin again"},
		{languages: []string{"en", "fr"}, accept: "fr", lang: "en", title: "Please begin again"},
		{languages: []string{"fr"}, texts: french, lang: "fr", title: "Veuillez recommencer"},
		{languages: []string{"en", "fr"}, translations: map[string]oauth.Texts{"fr": french}, accept: "fr", lang: "fr", title: "Veuillez recommencer"},
	} {
		s := newSite(t, func(cfg *settings) { cfg.auth = func(c *auth.Config) { c.Languages = test.languages } })
		s.handler.Texts, s.handler.Translations = test.texts, test.translations
		r := s.browser().Do(request(t, s, test.accept))
		s.page(r, http.StatusBadRequest, "<h1>"+test.title+"</h1>")
		if !strings.Contains(r.Text, `<html lang="`+test.lang+`">`) {
			t.Errorf("%+v: %s", test, r.Text)
		}
		want(t, "Vary has Accept-Language", slices.Contains(r.Header.Values("Vary"), "Accept-Language"), len(test.languages) > 1)
	}
}

// request is a visit of a callback without a login, by a client that prefers a language.
func request(t *testing.T, s *site, language string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Core.Config().BaseURL+"/oauth/work/callback?state=a&code=b", nil)
	must(t, err)
	r.Header.Set("Accept-Language", language)
	return r
}

// If package pages is set up, before or after the handler, it draws the pages in its layout. The browser
// goes to the provider and back by itself.
func TestPagesDrawThePages(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(cfg *settings) { cfg.auth = func(c *auth.Config) { c.Languages = []string{"en", "de"} } })
	_, err := pages.New(s.Core, pages.Config{Site: "Gophers"})
	must(t, err)
	r := s.browser().Do(request(t, s, "de"))
	s.page(r, http.StatusBadRequest, "Bitte fangen Sie noch einmal an – Gophers")
	if !strings.Contains(r.Text, `<html lang="de"`) || !strings.Contains(r.Text, `<link rel="stylesheet"`) || !strings.Contains(r.Text, `<a class="button" href="/login">Zurück</a>`) {
		t.Error(r.Text)
	}
	want(t, "Referrer-Policy", r.Header.Get("Referrer-Policy"), "no-referrer")
	b := s.browser()
	r = b.start()
	s.page(r, http.StatusOK, "Taking you to ")
	provider, found := strings.CutPrefix(r.Header.Get("Refresh"), "0; url=")
	if !found || !strings.HasPrefix(provider, s.provider.Issuer) {
		t.Errorf("the browser goes to %q", r.Header.Get("Refresh"))
	}
	s.page(b.Do(s.provider.VisitURL(provider)), http.StatusForbidden, "This account is not connected")
	// ShowPage comes first.
	s.handler.ShowPage = func(w http.ResponseWriter, _ *http.Request, _ oauth.Page) { w.WriteHeader(http.StatusTeapot) }
	want(t, "status", s.browser().Do(request(t, s, "")).StatusCode, http.StatusTeapot)
}

// pagesOf returns a page of each kind, in one of the package's languages.
func pagesOf(t *testing.T, lang string) (all []oauth.Page) {
	t.Helper()
	seen := map[oauth.PageKind]bool{}
	visit := func(change func(*oauth.Provider), f func(*site, *browser)) {
		s := newSite(t, withProvider(change), func(cfg *settings) { cfg.auth = func(c *auth.Config) { c.Languages = []string{lang} } })
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

// TestIdentitiesPage: a new connection, and the login before one, lead to the page of package
// pages, wherever it is, or Home if it is left out. Handler.IdentitiesPage comes first.
func TestIdentitiesPage(t *testing.T) {
	t.Parallel()
	const page = "/account/identities"
	for _, test := range []struct {
		name   string
		config pages.Config
		own    string
		want   string
	}{
		{"as it is", pages.Config{}, "", page},
		{"with another path", pages.Config{Paths: map[string]string{page: "/links"}}, "", "/links"},
		{"left out", pages.Config{Without: []string{page}}, "", "/"},
		{"of the application", pages.Config{Without: []string{page}}, "/mine", "/mine"},
	} {
		s := newSite(t)
		s.handler.IdentitiesPage = test.own
		_, err := pages.New(s.Core, test.config)
		must(t, err)
		r := s.browser().login() // not connected
		link := html.EscapeString(auth.ParseNext(test.want).AddTo("/login"))
		if !strings.Contains(r.Text, `"`+link+`"`) {
			t.Errorf("%s: there is no link to %s in\n%s", test.name, link, r.Text)
		}
		b := s.browser()
		b.Login(s.account("susan", true, false))
		s.leads(b.login("purpose", "link"), test.want)
	}
}
