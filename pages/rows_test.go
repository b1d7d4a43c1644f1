package pages_test

import (
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// The rows of the mission's section 3.2, document B.

func emailOnly(a *auth.Config, _ *pages.Config) { a.Identifiers = auth.EmailOnly }

func TestRegisterForm(t *testing.T) { // S71–S75, S85, S90
	t.Parallel()
	s := newSite(t, nil)
	r := s.client().get("/register")
	wantStatus(t, r, 200)
	accessible(t, r)
	want := map[string]field{
		"username":         {"Username", "text", "username", "", ""},
		"email":            {"Email", "email", "email", "", ""},
		"password":         {"Password", "password", "new-password", "", ""},
		"confirm_password": {"Confirm Password", "password", "new-password", "", ""},
	}
	got := fields(t, r)
	for name, f := range want {
		if got[name] != f {
			t.Errorf("%s is %+v", name, got[name])
		}
	}
	if len(got) != len(want) || button(t, r) != "Register" || heading(t, r) != "Register" {
		t.Error("not the form")
	}
	if main := text(only(t, parse(t, r), tag("main"))); !strings.HasSuffix(main, "Already have an account? Log In") || link(t, r, "Log In") != "/login" {
		t.Errorf("the footer is missing: %q", main)
	}
}

func TestRegisterErrors(t *testing.T) { // S71–S77
	t.Parallel()
	s := newSite(t, nil)
	const (
		required = "This field is required."
		length   = "The username must have 3 to 20 characters."
		invalid  = "The username must not have spaces, an @ or special characters."
		address  = "Invalid email address."
		mismatch = "The passwords do not match."
		taken    = "Username already taken. Please choose a different one."
		taken2   = "Email already registered. Please use a different one."
		short    = "The password must have at least 8 characters."
	)
	for _, test := range []struct {
		username, email, password, confirm string
		want                               map[string]string
	}{
		{"", "", "", "", map[string]string{"username": required, "email": required, "password": required, "confirm_password": required}},
		{" ", "\t", good, good, map[string]string{"username": required, "email": required}},
		{"ab", "anna@example.com", good, good, map[string]string{"username": length}},
		{strings.Repeat("a", 21), "anna@example.com", good, good, map[string]string{"username": length}},
		{"äö", "anna", good, "other", map[string]string{"username": length, "email": address, "confirm_password": mismatch}},
		{"two words", "anna@localhost", good, good, map[string]string{"username": invalid, "email": address}},
		{"an@na", "anna@example.com", good, good, map[string]string{"username": invalid}},
		{"ann\x00", "anna@example.com\x00", good, good, map[string]string{"username": invalid, "email": address}},
		{"ann\xff", "anna\xff@example.com", good, good, map[string]string{"username": invalid, "email": address}},
		{"anna", "anna@example.com", "1234567", "1234567", map[string]string{"password": short}},
		{"anna", "anna@example.com", good, good + " ", map[string]string{"confirm_password": mismatch}},
		{"anna", "anna@example.com", "password1", "password1", map[string]string{"password": "Many people use this password, so it is easy to guess."}},
		{"annabell", "anna@example.com", "annabell1", "annabell1", map[string]string{"password": "This password is a name that is easy to guess."}},
		{"anna", "anna@example.com", good + "\x00", good + "\x00", map[string]string{"password": "The password has characters that are not text."}},
		{"anna", "anna@example.com", strings.Repeat("ab", 600), strings.Repeat("ab", 600), map[string]string{"password": "The password is too long."}},
		{"Susan", "anna@example.com", good, good, map[string]string{"username": taken}},
		{"anna", "SUSAN@example.com", good, good, map[string]string{"email": taken2}},
	} {
		r := s.client().post("/register", "username", test.username, "email", test.email, "password", test.password, "confirm_password", test.confirm)
		wantErrors(t, r, test.want)
		if strings.Contains(r.body, good) {
			t.Error("a password is shown")
		}
		if got := fields(t, r)["email"].value; test.email == "SUSAN@example.com" && got != test.email {
			t.Errorf("what was typed is lost: %q", got)
		}
	}
	if strings.Contains(s.log(), "event=registered") {
		t.Error("somebody is registered")
	}
}

func TestRegister(t *testing.T) { // S71, S73, S84
	t.Parallel()
	s := newSite(t, nil)
	for _, name := range []string{"ann", strings.Repeat("ä", 20)} {
		c := s.client()
		address := "x" + name[:2] + "@example.com"
		if name != "ann" {
			address = "other@example.com"
		}
		r := c.post("/register", "username", name, "email", " "+address+" ", "password", "wqzpfmtk", "confirm_password", "wqzpfmtk")
		wantRedirect(t, r, "/login")
		page := c.get("/login")
		if category, text := message(t, page); category != "success" || text != "Your account has been created! You can now log in." {
			t.Errorf("%s: %s", category, text)
		}
		if strings.Contains(c.get("/login").body, "created") {
			t.Error("the message is shown again")
		}
		if c.loggedIn() {
			t.Error("registering logs in")
		}
		s.user(address, "wqzpfmtk")
	}
}

func TestLoginForm(t *testing.T) { // S78–S81, S85, S91
	t.Parallel()
	for identifiers, want := range map[auth.Identifiers]field{
		auth.UsernameOrEmail: {"Username or Email", "text", "username", "", ""},
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
		if (got["password"] != field{"Password", "password", "current-password", "", ""}) || (got["remember_me"] != field{"Remember Me", "checkbox", "", "y", ""}) {
			t.Errorf("%+v", got)
		}
		if heading(t, r) != "Log In" || button(t, r) != "Log In" {
			t.Error("not the form")
		}
		if link(t, r, "Register") != "/register" || link(t, r, "Forgot your password?") != "/forgot-password" {
			t.Error("links are missing")
		}
		if main := text(only(t, parse(t, r), tag("main"))); !strings.HasSuffix(main, "Forgot your password? Don't have an account? Register") {
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

func TestNextThroughRegister(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	target := link(t, c.get("/login?next=%2Fmine"), "Register")
	page := c.get(target)
	if got := link(t, page, "Log In"); got != "/login?next=%2Fmine" {
		t.Errorf("the way back is %q", got)
	}
	next := attr(only(t, parse(t, page), with("name", "next")), "value")
	r := c.post("/register", "username", "anna", "email", "anna@example.com", "password", good, "confirm_password", good, "next", next)
	wantRedirect(t, r, "/login?next=%2Fmine")
}

func TestLogout(t *testing.T) { // S89
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Home = "/login?home" })
	c := s.client()
	wantRedirect(t, c.post("/login", "login", "susan", "password", good, "remember_me", "y"), "/login?home")
	wantRedirect(t, c.post("/logout"), "/login?home")
	if category, text := message(t, c.get("/login")); category != "info" || text != "You have been logged out." {
		t.Errorf("%s: %s", category, text)
	}
	if c.loggedIn() || c.cookie("-remember") != "" {
		t.Error("still logged in")
	}
	for _, cookie := range c.sent { // none of them is good any more
		replay := s.client()
		r := replay.do("GET", "/mine", "", "Cookie", cookie.Name+"="+cookie.Value)
		wantRedirect(t, r, "/login?next=%2Fmine")
	}
	wantRedirect(t, s.client().post("/logout"), "/login?home") // nobody is no error
}

func TestLoggedInAlready(t *testing.T) { // S18 and S83, but for next
	t.Parallel()
	s := newSite(t, nil)
	c := s.user("susan", good)
	before := len(c.sent)
	for _, target := range []string{"/login", "/register"} {
		wantRedirect(t, c.get(target), "/")
		wantRedirect(t, c.get(target+"?next=%2Fmine"), "/mine")
		wantRedirect(t, c.do("HEAD", target+"?next=%2Fmine", ""), "/mine")
		wantRedirect(t, c.post(target, "login", "susan", "password", "wrong", "next", "/mine", "email", "susan@example.com"), "/mine")
	}
	if len(c.sent) != before {
		t.Error("a cookie was set")
	}
	s.store.fail(errDisk)
	for _, target := range []string{"/login", "/register", "/forgot-password", "/reset-password", "/account", "/nowhere"} {
		wantStatus(t, c.get(target), 503)
		wantStatus(t, c.post(target, "login", "susan", "password", good), 503)
	}
	s.store.fail(nil)
	if !c.loggedIn() {
		t.Error("logged out")
	}
}

func TestGuarded(t *testing.T) { // S93–S95
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Prefix = "/auth" })
	c := s.client()
	wantRedirect(t, c.get("/auth/account"), "/auth/login?next=%2Fauth%2Faccount")
	wantRedirect(t, c.get("/auth/account/password?x=1"), "/auth/login?next=%2Fauth%2Faccount%2Fpassword%3Fx%3D1")
	wantRedirect(t, c.post("/auth/account/password", "current_password", good, "password", "another battery horse", "confirm_password", "another battery horse"), "/auth/login")
	wantStatus(t, c.do("GET", "/auth/account", "", "Accept", "application/json"), 401)
	s.user("susan", good)

	c = s.user("susan", good)
	r := c.get("/auth/account")
	wantStatus(t, r, 200)
	accessible(t, r)
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "Username susan Email susan@example.com") {
		t.Errorf("the account page says %q", main)
	}
	if link(t, r, "Change Password") != "/auth/account/password" {
		t.Error("no way to the password")
	}
	if link(t, r, "Where You Are Logged In") != "/auth/account/sessions" {
		t.Error("no way to the logins")
	}
	if form := only(t, parse(t, r), tag("form")); attr(form, "action") != "/auth/logout" || attr(form, "method") != "post" {
		t.Error("no way out")
	}
}

// TestPrefix mounts the pages elsewhere; links follow (S82).
func TestPrefix(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"/account-area", "/a/b/"} {
		s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Prefix = prefix })
		below := strings.TrimSuffix(prefix, "/")
		visitor, user := s.client(), s.user("susan", good)
		for _, path := range []string{"/register", "/login", "/forgot-password", "/verify-email", "/account", "/account/password", "/account/email", "/account/sessions", "/account/close", "/refresh"} {
			c := visitor
			if strings.HasPrefix(path, "/account") || path == "/refresh" {
				c = user
			}
			r := c.get(below + path)
			wantStatus(t, r, 200)
			for _, n := range all(parse(t, r), tag("a", "link", "form")) {
				target := attr(n, "href") + attr(n, "action")
				if target == "/" {
					continue
				}
				if !strings.HasPrefix(target, below+"/") {
					t.Errorf("%s leads to %s", path, target)
				} else if n.Data != "form" && user.get(target).status == 404 {
					t.Errorf("%s is nowhere", target)
				}
			}
			wantStatus(t, c.get(path), 404)
		}
		wantRedirect(t, visitor.post(below+"/verify-email", "email", "susan@example.com"), below+"/verify-email")
		wantRedirect(t, visitor.get(s.mailed(auth.MailVerify, "susan@example.com")), below+"/verify-email")
		wantRedirect(t, visitor.press(below+"/verify-email"), below+"/login")
		user = s.user("susan", good)
		wantRedirect(t, user.press(below+"/account/email", "email", "new@example.com"), below+"/account")
		wantRedirect(t, user.get(s.mailed(auth.MailNewAddress, "new@example.com")), below+"/account/email")
		wantRedirect(t, user.press(below+"/account/email"), below+"/account")
		wantRedirect(t, visitor.get(s.mailed(auth.MailAddressChanged, "susan@example.com")), below+"/undo-email")
		wantStatus(t, visitor.get(below+"/undo-email"), 200)
		wantRedirect(t, user.post(below+"/logout"), "/")
		link := s.link("new@example.com")
		if !strings.HasPrefix(link, below+"/reset-password?token=") {
			t.Errorf("the mailed link is %s", link)
		}
		wantRedirect(t, visitor.get(link), below+"/reset-password")
		wantStatus(t, visitor.get(below+"/reset-password"), 200)
		wantRedirect(t, visitor.post(below+"/register", "username", "anna", "email", "anna@example.com", "password", good, "confirm_password", good), below+"/login")
	}
}
