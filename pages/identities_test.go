package pages_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

const connected = "/account/identities"

// identityCards returns the texts of the identities on the page.
func identityCards(t *testing.T, r response) (texts []string) {
	t.Helper()
	accessible(t, r)
	for _, card := range all(parse(t, r), tag("li")) {
		texts = append(texts, text(card))
	}
	return texts
}

// TestIdentities: the page lists what is connected, and has buttons for the rest.
func TestIdentities(t *testing.T) {
	t.Parallel()
	s, p := newProviderSite(t, nil)
	c, id := s.user("susan", good), s.account("susan").ID
	const google, work = "Connect Google: /oauth/google purpose=link next=/account/identities", "Connect The Works: /oauth/work purpose=link next=/account/identities"
	if link(t, c.get("/account"), "Manage Connected accounts") != connected {
		t.Error("nothing leads to the page")
	}
	page := c.get(connected)
	wantStatus(t, page, 200)
	wantHeaders(t, "GET", page)
	wantButtons(t, "at first", page, google, work)
	if !strings.Contains(page.body, "You have not connected any account yet.") || heading(t, page) != "Connected accounts" {
		t.Error("not the page of a user without identities")
	}
	p.connect(id, "google", "one", func(i *auth.Identity) { i.LastUsed = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC) })
	p.connect(id, "gone", "two", func(i *auth.Identity) { i.Unusable, i.Email = true, "" })
	page = c.get(connected)
	wantButtons(t, "connected to Google", page, work)
	got := identityCards(t, page)
	if len(got) != 2 ||
		got[0] != "Google one@elsewhere.example Connected 1 Nov 2026 last used 2 Nov 2026 Disconnect" ||
		got[1] != "gone You cannot log in with this account any more. Connected 1 Nov 2026 not used yet Disconnect" {
		t.Errorf("the identities are %q", got)
	}
	s.create("anna", verified)
	if len(identityCards(t, s.user("anna", good).get(connected))) > 0 {
		t.Error("another user sees them")
	}
	wantRedirect(t, s.client().get(connected), "/login?next=%2Faccount%2Fidentities")
}

// TestNoProviders: without providers, the page does not exist, and nothing leads to it.
func TestNoProviders(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.user("susan", good)
	for _, r := range []response{c.get(connected), c.post(connected, "remove", "one"), s.client().get(connected)} {
		wantStatus(t, r, 404)
	}
	if strings.Contains(c.get("/account").body, connected) {
		t.Error("there is a link to it")
	}
	provide(t, s.manager.Core) // after the pages, as package oauth may be set up
	wantStatus(t, c.get(connected), 200)
}

// TestDisconnect: a user disconnects an identity. Other logins end. Another user's identity
// is as unknown as one that does not exist.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	s, p := newProviderSite(t, nil)
	s.create("anna", verified)
	p.connect(s.account("susan").ID, "google", "one")
	p.connect(s.account("susan").ID, "work", "two")
	p.connect(s.account("anna").ID, "google", "annas")
	c, other := s.user("susan", good), s.user("susan", good)
	a, b := c.post(connected, "remove", "annas"), c.post(connected, "remove", "unknown")
	wantStatus(t, a, 404)
	if a.body != b.body || b.status != 404 || len(p.kept[s.account("anna").ID]) != 1 {
		t.Error("another user's identity is not as one that does not exist")
	}
	wantStatus(t, c.post(connected), 400)
	form := formTo(t, c.get(connected), connected, "one")

	// The form is susan's.
	anna := s.user("anna", good)
	wantStatus(t, anna.push(form), 409)

	wantRedirect(t, c.push(form), connected)
	page := c.get(connected)
	if got := identityCards(t, page); len(got) != 1 || !strings.HasPrefix(got[0], "The Works") {
		t.Errorf("the identities are %q", got)
	}
	if flash(t, page) != "The account has been disconnected. Other browsers have been logged out." || !c.loggedIn() || other.loggedIn() {
		t.Errorf("%q; or the other browser is logged in, or the own one is not", flash(t, page))
	}
	if kinds := s.kinds(); kinds != "identity-removed susan@example.com" {
		t.Errorf("the mails are %s", kinds)
	}
}

// TestDisconnectRefused: nobody disconnects the last way in, and nobody whose login is not
// fresh or whose address is not verified disconnects anything.
func TestDisconnectRefused(t *testing.T) {
	t.Parallel()
	s, p := newProviderSite(t, nil)
	id := s.account("susan").ID
	p.connect(id, "google", "one")
	p.connect(id, "gone", "dead", func(i *auth.Identity) { i.Unusable = true })
	c := s.user("susan", good)
	s.update("susan", func(a *auth.Account) { a.PasswordHash = auth.Secret{} })
	r := c.post(connected, "remove", "one")
	wantStatus(t, r, 409)
	if flash(t, r) != "You could not log in any more. First set a password, or connect another account." || len(identityCards(t, r)) != 2 {
		t.Errorf("%q", flash(t, r))
	}
	p.connect(id, "work", "two")
	s.advance(11 * time.Minute)
	wantStatus(t, c.get(connected), 200)
	wantRedirect(t, c.from(connected, connected, "remove", "one"), "/refresh?next=%2Faccount%2Fidentities")
	wantRedirect(t, s.client().from(connected, connected, "remove", "one"), "/login?next=%2Faccount%2Fidentities")
	if len(p.kept[id]) != 3 {
		t.Errorf("kept are %v", p.kept[id])
	}

	s.create("anna")
	anna := s.user("anna", good)
	p.connect(s.account("anna").ID, "google", "annas")
	r = anna.post(connected, "remove", "annas")
	wantStatus(t, r, 403)
	if link(t, r, "Verify your email address") != "/verify-email" || len(identityCards(t, r)) != 1 {
		t.Error("no link to verify the address, or it is disconnected")
	}
}

// TestIdentitiesPrefix: below a prefix, everything is there as well.
func TestIdentitiesPrefix(t *testing.T) {
	t.Parallel()
	s, p := newProviderSite(t, func(_ *auth.Config, c *pages.Config) { c.Prefix = "/auth" })
	c := s.user("susan", good)
	p.connect(s.account("susan").ID, "google", "one")
	wantButtons(t, "with a prefix", c.get("/auth"+connected), "Connect The Works: /oauth/work purpose=link next=/auth/account/identities")
	wantRedirect(t, c.push(formTo(t, c.get("/auth"+connected), "/auth"+connected, "one")), "/auth"+connected)
}
