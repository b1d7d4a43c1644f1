package pages_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// TestLoggedInGoesOn: a user who is logged in and opens a page of visitors goes on
// to next, if that is a page to go to, and else home.
func TestLoggedInGoesOn(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "/auth"} {
		s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Prefix, c.Home = prefix, "/home" })
		c := s.user2("susan", "/home")
		for next, want := range map[string]string{
			"": "/home", "/mine": "/mine", "/reports/7?a=b&c=%2F": "/reports/7?a=b&c=%2F", "/login2": "/login2", "/%09/x": "/%09/x",
			"//evil.example": "/home", `/\evil.example`: "/home", "https://evil.example/": "/home", "/x\r\nSet-Cookie: a=b": "/home",
			prefix + "/login": "/home", prefix + "/login?next=%2Fmine": "/home", prefix + "/login#x": "/home", prefix + "/./login/": "/home",
			prefix + "/%6cogin": "/home", prefix + "/register?next=%2F": "/home", prefix + "/logout": "/home",
			prefix + "/account/close": prefix + "/account/close", prefix + "/forgot-password": prefix + "/forgot-password",
		} {
			for _, page := range []string{"/login", "/register"} {
				target := prefix + page + "?next=" + url.QueryEscape(next)
				wantRedirect(t, c.get(target), want)
				wantRedirect(t, c.do("HEAD", target, ""), want)
				wantRedirect(t, c.post(target), want)
				wantRedirect(t, c.post(prefix+page, "next", next), want)
			}
			// Who logs in goes to the same places.
			wantRedirect(t, s.client().post(prefix+"/login", "login", "susan", "password", good, "next", next), want)
		}
	}
	// A page that needs a fresh login asks for the password, and comes back to it.
	s := newSite(t, nil)
	c := s.remembered()
	wantRedirect(t, c.get("/login?next=%2Faccount%2Fclose"), "/account/close")
	wantRedirect(t, c.get("/account/close"), "/refresh?next=%2Faccount%2Fclose")
	wantRedirect(t, c.send(c.get("/refresh?next=%2Faccount%2Fclose"), "password", good), "/account/close")
}

// user2 is user, for a site with another home.
func (s *site) user2(login, home string) *client {
	s.t.Helper()
	c := s.client()
	wantRedirect(s.t, c.post(s.path("/login"), "login", login, "password", good), home)
	return c
}

// TestLoggedInGoesOnByCookie: next may be in a cookie, which a HEAD leaves where it
// is.
func TestLoggedInGoesOnByCookie(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"/login", "/register"} {
		s := newSite(t, nextInCookie)
		c := s.client()
		wantRedirect(t, c.get("/mine?a=1"), "/login")
		next := c.linkCookie("-next")
		wantRedirect(t, c.post("/login", "login", "susan", "password", good), "/mine?a=1")
		c.set(next.Name, next.Value) // another tab was sent there meanwhile
		for range 2 {
			wantRedirect(t, c.do("HEAD", page, ""), "/mine?a=1")
		}
		wantRedirect(t, c.get(page), "/mine?a=1")
		wantRedirect(t, c.get(page), "/")
	}
}

// TestSwitch: whoever is logged in and sends the login or the registration for
// another account is told who is logged in, and can log out. Nothing is checked or
// counted, and the answer does not tell who has an account.
func TestSwitch(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("anna")
	c := s.user("susan", good)
	hashes, before := s.manager.Core.PasswordHashes(), len(c.sent)
	bodies := map[string]bool{}
	for _, form := range [][]string{
		{"login", "anna", "password", good}, {"login", "anna@example.com", "password", "wrong"}, {"login", "nobody", "password", good},
		{"login", "nobody@example.com"}, {"login", "susan\x00"}, {"login", "\xff@"}, {"login", "susan@example.org", "password", good},
		{"login", strings.Repeat("a", 10_000)},
	} {
		r := c.post("/login", append(form, "next", "/mine?a=1")...)
		wantStatus(t, r, 409)
		accessible(t, r)
		wantHeaders(t, "switch", r)
		bodies[r.body] = true
	}
	if len(bodies) != 1 {
		t.Errorf("%d answers", len(bodies))
	}
	for _, form := range [][]string{
		{"username", "berta", "email", "berta@example.com", "password", good, "confirm_password", good},
		{"username", "susan", "email", "anna@example.com", "password", good, "confirm_password", good},
		{"username", "anna"},
	} {
		wantStatus(t, c.post("/register", form...), 409)
	}
	if s.manager.Core.PasswordHashes() != hashes || len(c.sent) != before || strings.Contains(s.log(), "login-failed") || s.attempts() > 0 {
		t.Error("something was done")
	}
	if c.get("/mine").body != "susan" {
		t.Error("somebody else is logged in")
	}

	r := c.post("/login", "login", "anna", "password", good, "next", "/mine?a=1")
	main := text(only(t, parse(t, r), tag("main")))
	if heading(t, r) != "You Are Already Logged In" || button(t, r) != "Log Out and Continue" ||
		!strings.Contains(main, "You are logged in as susan. To use another account, log out first.") {
		t.Errorf("the page says %q", main)
	}
	wantRedirect(t, c.get(link(t, r, "Stay logged in as susan")), "/mine?a=1")
	wantRedirect(t, c.send(r), "/login?next=%2Fmine%3Fa%3D1")
	page := c.get("/login?next=%2Fmine%3Fa%3D1")
	if category, text := message(t, page); category != "info" || text != "You have been logged out." {
		t.Errorf("%s: %s", category, text)
	}
	wantRedirect(t, c.send(page, "login", "anna", "password", good), "/mine?a=1")
	if c.get("/mine").body != "anna" {
		t.Error("not switched")
	}
	r = c.post("/register", "username", "berta", "email", "berta@example.com", "password", good, "confirm_password", good)
	wantRedirect(t, c.send(r), "/register")
	wantStatus(t, c.get("/register"), 200)

	// A next in the cookie stays there for the login.
	s = newSite(t, nextInCookie)
	s.create("anna")
	c = s.client()
	wantRedirect(t, c.get("/mine"), "/login")
	next := c.linkCookie("-next")
	wantRedirect(t, c.post("/login", "login", "susan", "password", good), "/mine")
	c.set(next.Name, next.Value)
	wantRedirect(t, c.send(c.post("/login", "login", "anna", "password", good)), "/login")
	wantRedirect(t, c.post("/login", "login", "anna", "password", good), "/mine")
}

// TestOwnNameOfAnyKind: also a name that no new account could have is known as the
// user's own.
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

// TestSameAccount: a login or a registration with a name of the user who is logged
// in is no other account, whatever it is that people log in with.
func TestSameAccount(t *testing.T) {
	t.Parallel()
	for _, identifiers := range []auth.Identifiers{auth.UsernameOrEmail, auth.UsernameOnly, auth.EmailOnly} {
		s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.Identifiers = identifiers })
		login := "susan"
		if identifiers == auth.EmailOnly {
			login = "susan@example.com"
		}
		c := s.user(login, good)
		hashes := s.manager.Core.PasswordHashes()
		for _, name := range []string{"susan", " SUSAN ", "ｓｕｓａｎ", "susan@example.com", "Susan@EXAMPLE.com\t", "", "  "} {
			for _, password := range []string{good, "wrong", ""} {
				wantRedirect(t, c.post("/login", "login", name, "password", password, "next", "/mine"), "/mine")
			}
		}
		wantRedirect(t, c.post("/register", "username", "Susan", "email", "SUSAN@example.com", "password", "x", "next", "/mine"), "/mine")
		if s.manager.Core.PasswordHashes() != hashes || s.attempts() > 0 {
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

// attempts counts susan's records of wrong passwords.
func (s *site) attempts() int {
	s.t.Helper()
	records, err := s.store.ListRecords(s.t.Context(), "attempts", s.account("susan").ID)
	check(s.t, err)
	return len(records)
}

// TestLoginFailedText: one text for all logins that are refused, and true for each.
func TestLoginFailedText(t *testing.T) {
	t.Parallel()
	s := newSite(t, requireVerified)
	s.update("susan", verified)
	s.create("waits", verified)
	for range 5 {
		wantStatus(t, s.client().post("/login", "login", "waits", "password", "wrong"), 422)
	}
	s.create("fresh")
	s.create("gone", verified, disabled)
	answers := map[string]bool{}
	for name, password := range map[string]string{"susan": "wrong", "nobody": good, "waits": good, "fresh": good, "gone": good} {
		r := s.client().post("/login", "login", name, "password", password)
		wantStatus(t, r, 422)
		accessible(t, r)
		answers[strings.ReplaceAll(r.body, `value="`+name+`"`, "")] = true
		alert := text(only(t, parse(t, r), with("role", "alert")))
		for _, hint := range []string{"Check both", "you may have to wait", "open the link that we mailed", "reset your password"} {
			if !strings.Contains(alert, hint) {
				t.Errorf("the text does not say %q: %s", hint, alert)
			}
		}
		if link(t, r, "Forgot your password?") != "/forgot-password" || link(t, r, "Send the verification email again") != "/verify-email" {
			t.Error("no way to what the text says")
		}
	}
	if len(answers) != 1 {
		t.Errorf("%d answers", len(answers))
	}
	// It names nothing that is not there.
	s = newSite(t, func(a *auth.Config, _ *pages.Config) { a.Mailer = nil })
	r := s.client().post("/login", "login", "susan", "password", "wrong")
	if alert := text(only(t, parse(t, r), with("role", "alert"))); strings.Contains(alert, "mail") && !strings.Contains(alert, "username or email") || strings.Contains(alert, "reset") || strings.Contains(alert, "link") {
		t.Errorf("without a mailer it says %q", alert)
	}
}
