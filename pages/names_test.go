package pages_test

import (
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// TestOwnNameOfAnyKind: a user's own name is recognised even if no new account could
// have it.
func TestOwnNameOfAnyKind(t *testing.T) {
	t.Parallel()
	for _, own := range []struct{ name, typed string }{
		{"admin@localhost", "Admin@LOCALHOST"},
		{"Susan Smith", " susan smith "},
		{"a%b@example.com", "A%b@example.com"},
		{"anna@example.com\u200b", "anna@example.com"},
		{"an\u00adna", "anna"},
	} {
		s := newSite(t, nil)
		c := s.user("susan", good)
		s.store.rename = func(a *auth.Account) {
			if strings.Contains(own.name, "@") {
				a.Email = own.name
			} else {
				a.Username = own.name
			}
		}
		wantRedirect(t, c.post("/login", "login", own.typed, "password", good, "next", "/mine"), "/mine")
		wantStatus(t, c.post("/login", "login", "x"+own.typed, "password", good, "next", "/mine"), 409)
	}
	s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.LocalDomains = true })
	s.create("admin", verified, func(a *auth.Account) { a.Email = "Admin@localhost" })
	r := s.user("admin", good).post("/account/email", "email", "admin@localhost")
	wantErrors(t, r, map[string]string{"email": "This is your email address already."})
}

// TestSameAccount: a login or a registration with a name of the user who is logged in is
// not for another account, whichever names Identifiers allows.
func TestSameAccount(t *testing.T) {
	t.Parallel()
	for _, identifiers := range []auth.Identifiers{auth.UsernameOrEmail, auth.UsernameOnly, auth.EmailOnly} {
		s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.Identifiers = identifiers })
		login := "susan"
		if identifiers == auth.EmailOnly {
			login = "susan@example.com"
		}
		c := s.user(login, good)
		hashes := s.manager.PasswordHashes()
		for _, name := range []string{"susan", " SUSAN ", "ｓｕｓａｎ", "susan@example.com", "Susan@EXAMPLE.com\t", "", "  "} {
			for _, password := range []string{good, "wrong", ""} {
				wantRedirect(t, c.post("/login", "login", name, "password", password, "next", "/mine"), "/mine")
			}
		}
		wantRedirect(t, c.post("/register", "username", "Susan", "email", "SUSAN@example.com", "password", "x", "next", "/mine"), "/mine")
		if s.manager.PasswordHashes() != hashes || s.attempts() > 0 {
			t.Error("a password was checked, or counted")
		}
	}
	// An account without a username, or without an address.
	s := newSite(t, nil)
	s.create("anna", func(a *auth.Account) { a.Username = "" })
	s.create("bert", func(a *auth.Account) { a.Email = "" })
	c := s.user("anna@example.com", good)
	wantRedirect(t, c.post("/login", "login", "ANNA@example.com"), "/")
	r := c.post("/login", "login", "anna")
	wantStatus(t, r, 409)
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "You are logged in as anna@example.com.") {
		t.Errorf("the page says %q", main)
	}
	wantStatus(t, s.user("bert", good).post("/login", "login", "bert@example.com"), 409)
}
