package pages_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/pages"
)

// TestSwitch: a user who is logged in sends a login or a registration for another
// account. The page says who is logged in and offers to log out. Nothing is checked or
// counted, and the answer does not tell who has an account.
func TestSwitch(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("anna")
	c := s.user("susan", good)
	hashes, before := s.manager.PasswordHashes(), len(c.sent)
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
	if s.manager.PasswordHashes() != hashes || len(c.sent) != before || strings.Contains(s.log(), "login.failed") || s.attempts() > 0 {
		t.Error("something was done")
	}
	if c.get("/mine").body != "susan" {
		t.Error("somebody else is logged in")
	}

	r := c.post("/login", "login", "anna", "password", good, "next", "/mine?a=1")
	main := text(only(t, parse(t, r), tag("main")))
	if heading(t, r) != "You are already logged in" || button(t, r) != "Log out and continue" ||
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

// TestLoginFailedText: the text is the same for all refused logins, and true for each.
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

func TestLoginForm(t *testing.T) { // S78–S81, S85, S91
	t.Parallel()
	for identifiers, want := range map[auth.Identifiers]field{
		auth.UsernameOrEmail: {"Username or email", "text", "username", "", ""},
		auth.UsernameOnly:    {"Username", "text", "username", "", ""},
		auth.EmailOnly:       {"Email", "email", "username", "", ""},
	} {
		s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.Identifiers = identifiers })
		r := s.client().get("/login")
		wantStatus(t, r, 200)
		accessible(t, r)
		got := fields(t, r)
		if got["login"] != want {
			t.Errorf("%+v", got["login"])
		}
		if (got["password"] != field{"Password", "password", "current-password", "", ""}) || (got["remember_me"] != field{"Keep me logged in for 30 days", "checkbox", "", "y", ""}) {
			t.Errorf("%+v", got)
		}
		if heading(t, r) != "Log in" || button(t, r) != "Log in" {
			t.Error("not the form")
		}
		if link(t, r, "Create an account") != "/register" || link(t, r, "Forgot your password?") != "/forgot-password" {
			t.Error("links are missing")
		}
		if main := text(only(t, parse(t, r), tag("main"))); !strings.HasSuffix(main, "Forgot your password? New here? Create an account") {
			t.Errorf("the footer is missing: %q", main)
		}
	}
}

func TestLoginFailed(t *testing.T) { // S79, S87
	t.Parallel()
	for identifiers, names := range map[auth.Identifiers]string{
		auth.UsernameOrEmail: "username or email",
		auth.UsernameOnly:    "username",
		auth.EmailOnly:       "email",
	} {
		want := "We could not log you in. Check both your " + names + " and your password. " +
			"After several wrong tries, you may have to wait. If that does not help, reset your password."
		s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.Identifiers = identifiers })
		c := s.client()
		wantErrors(t, c.post("/login", "login", " ", "password", ""), map[string]string{
			"login": "This field is required.", "password": "This field is required.",
		})
		bodies := map[string]bool{}
		logins := []string{"susan", "nobody@example.com"}
		if identifiers == auth.UsernameOrEmail {
			logins = append(logins, "nobody", "susan@example.com", "a b\x00", "\xff")
		}
		for _, login := range logins {
			r := c.post("/login", "login", login, "password", "wrong "+good, "remember_me", "y", "next", "/mine?a=1")
			wantErrors(t, r, map[string]string{"login": want, "password": want})
			alert := only(t, parse(t, r), with("role", "alert"))
			if attr(alert, "class") != "flash danger" || text(alert) != want {
				t.Errorf("%s: %s", attr(alert, "class"), text(alert))
			}
			if strings.Contains(r.body, good) {
				t.Error("the password is shown")
			}
			doc := parse(t, r)
			if attr(only(t, doc, with("name", "next")), "value") != "/mine?a=1" || !has(only(t, doc, with("name", "remember_me")), "checked") {
				t.Error("next or remember_me is lost")
			}
			typed := fields(t, r)["login"].value
			bodies[strings.ReplaceAll(r.body, `value="`+typed+`"`, "")] = true
		}
		if len(bodies) != 1 {
			t.Errorf("%d answers to wrong logins", len(bodies))
		}
	}
}

// TestResetRequired (A3): after ForceReset, a user who types the old password reads what to
// do, and a program gets a code. A wrong password gets the usual answer. So does the right
// one if the account may not log in at all.
func TestResetRequired(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		a.RequireVerified, c.Texts.LoginFailed, a.Limits.Guesses = true, "Refused.", -1
	})
	const asked = "An administrator has asked you to choose a new password. Open the link that we mailed to you. If it has expired, ask for a new one."
	for name, change := range map[string]func(*auth.Account){
		"known": verified, "stranger": func(a *auth.Account) { a.EmailVerified = false }, "former": func(a *auth.Account) { a.EmailVerified, a.Disabled = true, true },
	} {
		s.create(name)
		check(t, s.manager.ForceReset(t.Context(), s.account(name).ID))
		s.update(name, change)
		for password, right := range map[string]bool{good: true, "a wrong password": false} {
			text, code := "Refused.", "login-refused"
			if right && name == "known" {
				text, code = asked, "reset-required"
			}
			wantErrors(t, s.client().post("/login", "login", name, "password", password), map[string]string{"login": text, "password": text})
			r := s.client().json("POST", "/login", "login", name, "password", password)
			if o := answerOf(t, r, 422); o.Code != code || o.Title != text || r.header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s, right %v: %s", name, right, r.body)
			}
		}
	}
}

func TestLogin(t *testing.T) { // S80, S86, S88
	t.Parallel()
	s := newSite(t, nil)
	for _, login := range []string{"susan", " SUSAN ", "susan@example.com"} {
		if c := s.user(login, good); !c.loggedIn() || c.cookie("-remember") != "" {
			t.Error("not logged in, or remembered")
		}
	}
	c := s.client()
	wantRedirect(t, c.get("/mine"), "/login?next=%2Fmine")
	r := c.get("/login?next=%2Fmine")
	next := attr(only(t, parse(t, r), with("name", "next")), "value")
	r = c.post("/login", "login", "susan", "password", "wrong", "next", next)
	next = attr(only(t, parse(t, r), with("name", "next")), "value")
	r = c.post("/login", "login", "susan", "password", good, "next", next, "remember_me", "y")
	wantRedirect(t, r, "/mine")
	if !c.loggedIn() || c.cookie("-remember") == "" {
		t.Error("not logged in, or not remembered")
	}
	// A form of one's own may leave it in the query.
	wantRedirect(t, s.client().post("/login?next=%2Fmine", "login", "susan", "password", good), "/mine")

	s = newSite(t, emailOnly)
	wantStatus(t, s.client().post("/login", "login", "susan", "password", good), 422)
	s.user("susan@example.com", good)
}

// TestLocked: after five wrong passwords in a row, the right one is refused like a wrong
// one, except in the owner's browser.
func TestLocked(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	owner := s.user("susan", good)
	wantRedirect(t, owner.post("/logout"), "/")
	stranger := s.client()
	var wrong response
	for range 5 {
		wrong = stranger.post("/login", "login", "susan", "password", "wrong")
		wantStatus(t, wrong, 422)
	}
	if right := stranger.post("/login", "login", "susan", "password", good); right.status != 422 || right.body != wrong.body {
		t.Errorf("the right password: %d\n%s", right.status, right.body)
	}
	wantRedirect(t, owner.post("/login", "login", "susan", "password", good), "/")
	s.advance(30 * time.Second)
	wantRedirect(t, stranger.post("/login", "login", "susan", "password", good), "/")
}

// TestLoginUnverified: before the address is verified, the right password is answered
// like a wrong one (S128).
func TestLoginUnverified(t *testing.T) {
	t.Parallel()
	s := newSite(t, requireVerified)
	s.create("shown", verified)
	probe := func(login, password string) authtest.Probe {
		return authtest.Probe{Hide: []string{login}, Do: func(c *authtest.Client) {
			if r := c.Post("/login", url.Values{"login": {login}, "password": {password}, "remember_me": {"y"}}); r.StatusCode != http.StatusUnprocessableEntity {
				t.Errorf("%s: %s", login, r.Status)
			}
		}}
	}
	app := authtest.App{Core: s.manager.Core, Handler: s.handler}
	wrong := strings.Repeat("x", len(good))
	authtest.Indistinguishable(t, app, probe("nobod", good), probe("susan", good))
	authtest.Indistinguishable(t, app, probe("nobod", wrong), probe("susan", wrong))
	authtest.Indistinguishable(t, app, probe("shown", wrong), probe("susan", good))
	s.user("shown", good)
}
