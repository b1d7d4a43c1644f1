package pages_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
	"golang.org/x/net/html"
)

// providers is an auth.Identities, as package oauth has one.
type providers struct {
	mu   sync.Mutex
	all  []auth.Provider
	kept map[string][]auth.Identity // by user ID
}

// provide gives an application providers, after the pages were made.
func provide(t *testing.T, core *auth.Core) *providers {
	t.Helper()
	feature, err := core.Feature("oauth")
	check(t, err)
	p := &providers{kept: map[string][]auth.Identity{}, all: []auth.Provider{
		{Name: "google", Label: "Google", Start: "/oauth/google"},
		{Name: "work", Label: "The Works", Start: "/oauth/work", Confirms: true},
	}}
	check(t, feature.ProvideIdentities(p))
	return p
}

// newProviderSite is newSite with the providers. susan's address is verified.
func newProviderSite(t *testing.T, change func(*auth.Config, *pages.Config)) (*site, *providers) {
	t.Helper()
	s := newSite(t, change)
	s.update("susan", verified)
	return s, provide(t, s.manager.Core)
}

func (p *providers) Providers() []auth.Provider {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

func (p *providers) Identities(_ context.Context, userID string) ([]auth.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.kept[userID]), nil
}

func (p *providers) Forget(_ context.Context, userID, id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[userID] = slices.DeleteFunc(p.kept[userID], func(i auth.Identity) bool { return i.ID == id })
	return nil
}

// connect connects a user to a provider. The ID of the identity is provider's ID.
func (p *providers) connect(userID, provider, id string, changes ...func(*auth.Identity)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := auth.Identity{ID: id, Provider: provider, Email: id + "@elsewhere.example", Created: time.Date(2026, 11, 1, 8, 30, 0, 0, time.UTC)}
	for _, change := range changes {
		change(&i)
	}
	p.kept[userID] = append(p.kept[userID], i)
}

// buttons describes the forms of a page that lead to providers: where to, with which fields.
func buttons(t *testing.T, r response) []string {
	t.Helper()
	accessible(t, r)
	var got []string
	for _, form := range all(only(t, parse(t, r), tag("main")), tag("form")) {
		if !strings.HasPrefix(attr(form, "action"), "/oauth/") {
			continue
		}
		if attr(form, "method") != "post" {
			t.Errorf("the form to %s is sent by %s", attr(form, "action"), attr(form, "method"))
		}
		line := text(only(t, form, tag("p"))) + ": " + attr(form, "action")
		for _, n := range all(form, func(n *html.Node) bool { return n.Data == "input" }) {
			line += " " + attr(n, "name") + "=" + attr(n, "value")
			if has(n, "disabled") {
				line += " if " + attr(n, "data-if")
			}
		}
		got = append(got, line)
	}
	return got
}

func wantButtons(t *testing.T, what string, r response, want ...string) {
	t.Helper()
	if got := buttons(t, r); !slices.Equal(got, want) {
		t.Errorf("%s: the buttons are\n%q, want\n%q", what, got, want)
	}
}

// TestProviderButtons: the pages for visitors have a button for each provider, also if
// something in the form is wrong. Without providers there are none.
func TestProviderButtons(t *testing.T) {
	t.Parallel()
	for _, inCookie := range []bool{false, true} {
		s, p := newProviderSite(t, func(a *auth.Config, _ *pages.Config) { a.URLs.NextInCookie = inCookie })
		for _, page := range []string{"/login", "/register"} {
			c := s.client()
			remember := map[string]string{"/login": " remember_me=y if remember_me"}[page] // the form of /register has no such box
			want := []string{"Continue with Google: /oauth/google" + remember, "Continue with The Works: /oauth/work" + remember}
			wantButtons(t, page, c.get(page), want...)
			wrong := c.post(page, "login", "susan", "password", "wrong")
			wantStatus(t, wrong, 422)
			wantButtons(t, page+" with an error", wrong, want...)
			wantButtons(t, page+" with next", c.get(page+"?next=%2Fmine"),
				"Continue with Google: /oauth/google next=/mine"+remember, "Continue with The Works: /oauth/work next=/mine"+remember)
			wantButtons(t, page+" with another site in next", c.get(page+"?next=%2F%2Fevil.example"), want...)
		}
		p.mu.Lock()
		p.all = nil
		p.mu.Unlock()
		for _, page := range []string{"/login", "/register"} {
			wantButtons(t, "without providers, "+page, s.client().get(page))
		}
	}
}

// TestProviderRemember: the box that keeps a user logged in of the login form is for the buttons, too, by a script.
// Without scripts, each button has a box of its own.
func TestProviderRemember(t *testing.T) {
	t.Parallel()
	s, p := newProviderSite(t, nil)
	r := s.client().get("/login")
	doc := parse(t, r)
	scripts := all(doc, tag("script"))
	if len(scripts) != 1 || !strings.HasPrefix(attr(scripts[0], "src"), "/auth.js?v=") || !strings.Contains(r.header.Get("Content-Security-Policy"), "; script-src 'self'") {
		t.Errorf("%d scripts, under %s", len(scripts), r.header.Get("Content-Security-Policy"))
	}
	wantHeaders(t, "with a script", r)
	if n := strings.Count(r.body, `<noscript><p class="check"><input type="checkbox"`); n != 2 {
		t.Errorf("%d boxes without scripts", n)
	}
	if box := fields(t, r)["remember_me"]; box.kind != "checkbox" {
		t.Errorf("the box of the form is %+v", box)
	}
	p.mu.Lock()
	p.all = nil
	p.mu.Unlock()
	if r := s.client().get("/login"); strings.Contains(r.body, "noscript") {
		t.Error("a login page without buttons has boxes for them")
	}
}

// TestProviderUsedLast: the provider that was used last in this browser is marked.
func TestProviderUsedLast(t *testing.T) {
	t.Parallel()
	s, _ := newProviderSite(t, nil)
	c := s.client()
	base, err := url.Parse(s.url)
	check(t, err)
	for value, want := range map[string][]string{
		"work":   {"Continue with Google: /oauth/google", "Continue with The Works Used last: /oauth/work"},
		"google": {"Continue with Google Used last: /oauth/google", "Continue with The Works: /oauth/work"},
		"other":  {"Continue with Google: /oauth/google", "Continue with The Works: /oauth/work"},
		"":       {"Continue with Google: /oauth/google", "Continue with The Works: /oauth/work"},
	} {
		c.http.Jar.SetCookies(base, []*http.Cookie{{Name: s.manager.Cookie("provider").Name, Value: value, Path: "/"}})
		wantButtons(t, "after "+value, c.get("/register"), want...)
		for i := range want {
			want[i] += " remember_me=y if remember_me"
		}
		wantButtons(t, "after "+value, c.get("/login"), want...)
	}
}

// TestProviderRefresh: a user can confirm the login at a provider that can tell when the user
// has shown who they are, and that the user is connected to.
func TestProviderRefresh(t *testing.T) {
	t.Parallel()
	s, p := newProviderSite(t, nil)
	c, id := s.user("susan", good), s.account("susan").ID
	const target = "/refresh?next=%2Fmine"
	const work = "Confirm with The Works: /oauth/work purpose=confirm next=/mine"
	wantButtons(t, "not connected", c.get(target))
	p.connect(id, "google", "one")
	wantButtons(t, "connected to Google, which confirms nothing", c.get(target))
	p.connect(id, "work", "dead", func(i *auth.Identity) { i.Unusable = true })
	wantButtons(t, "connected to what is not there any more", c.get(target))
	if r := c.get(target); heading(t, r) != "Confirm your password" {
		t.Error(heading(t, r))
	}
	p.connect(id, "work", "two")
	r := c.get(target)
	wantButtons(t, "connected", r, work)
	if heading(t, r) != "Confirm that it is you" || fields(t, r)["password"].kind != "password" {
		t.Error("the password is not asked for as well")
	}
	wantButtons(t, "a wrong password", c.post("/refresh", "password", "wrong", "next", "/mine"), work)

	// Without a password.
	s.update("susan", func(a *auth.Account) { a.PasswordHash = auth.Secret{} })
	const nothing = "You cannot confirm here that it is you. Log out, and log in again."
	r = c.get(target)
	wantButtons(t, "without a password", r, work)
	if len(fields(t, r)) > 0 || strings.Contains(r.body, nothing) {
		t.Error("a user without a password is asked for one, or told that there is no way")
	}
	check(t, p.Forget(t.Context(), id, "two"))
	r = c.get(target)
	wantStatus(t, r, 200)
	wantButtons(t, "without anything", r)
	if len(fields(t, r)) > 0 || !strings.Contains(r.body, nothing) {
		t.Error("a user with no way to confirm the login is not told what to do")
	}
	if link(t, c.get("/account"), "Set a password") != "/account/password" {
		t.Error("no link that sets a password")
	}
	for _, page := range []string{target, "/account/password"} {
		if strings.Contains(c.get(page).body, "Forgot your password?") {
			t.Errorf("%s asks a user without a password whether they have forgotten it", page)
		}
	}
}

// TestProviderRefreshByMail: a user without a password can also have a code mailed.
func TestProviderRefreshByMail(t *testing.T) {
	t.Parallel()
	s, p := newProviderSite(t, func(a *auth.Config, _ *pages.Config) { a.EmailLogin = true })
	c := s.user("susan", good)
	p.connect(s.account("susan").ID, "work", "one")
	if r := c.get("/refresh"); strings.Contains(r.body, "/login/code") {
		t.Error("a user with a password is offered a code")
	}
	s.update("susan", func(a *auth.Account) { a.PasswordHash = auth.Secret{} })
	r := c.get("/refresh?next=%2Fmine")
	wantButtons(t, "without a password", r, "Confirm with The Works: /oauth/work purpose=confirm next=/mine")
	if strings.Contains(r.body, "/login/code") {
		t.Error("a user who can confirm at a provider is offered a code, which would not make the login fresh")
	}
	check(t, p.Forget(t.Context(), s.account("susan").ID, "one"))
	wantRedirect(t, c.get("/refresh?next=%2Fmine"), "/login/code?next=%2Fmine")
}

// TestProviderXSS: what a provider says is shown as text.
func TestProviderXSS(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script>`
	s, p := newProviderSite(t, nil)
	c := s.user("susan", good)
	p.mu.Lock()
	p.all = []auth.Provider{{Name: "evil", Label: evil, Start: `/oauth/evil"><script>`, Confirms: true}, {Name: "js", Label: "JS", Start: "javascript:alert(1)"}}
	p.mu.Unlock()
	p.connect(s.account("susan").ID, "evil", evil, func(i *auth.Identity) { i.Email = evil })
	p.connect(s.account("susan").ID, evil, "2", func(i *auth.Identity) { i.Unusable = true })
	for _, r := range []response{s.client().get("/login"), s.client().get("/register"), c.get("/refresh"), c.get("/account/identities")} {
		accessible(t, r)
		if strings.Contains(r.body, "<script>") || strings.Contains(r.body, "javascript:") {
			t.Errorf("it is in the page:\n%s", r.body)
		}
	}
	if got := identityCards(t, c.get("/account/identities")); len(got) != 2 || !strings.HasPrefix(got[0], evil+" "+evil) || !strings.HasPrefix(got[1], evil) {
		t.Errorf("the identities are %q", got)
	}
}
