package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestRegister(t *testing.T) {
	t.Parallel()
	c := start(t).client()
	page := c.get("/register")
	wantStatus(t, page, http.StatusOK)
	wantText(t, page, "<title>Create your account", "Already have an account?", "Confirm password")
	for _, name := range []string{"username", "email", "password", "confirm_password"} {
		wantField(t, page, name, "")
	}

	page = c.post("/register", "username", "su", "email", "not-an-address", "password", "shorter", "confirm_password", "other")
	wantStatus(t, page, http.StatusUnprocessableEntity)
	wantText(t, page, "The username must have 3 to 20 characters.", "This is not an email address, such as name@example.com.", "The passwords do not match.")
	wantField(t, page, "username", "su")
	wantField(t, page, "email", "not-an-address")
	wantField(t, page, "password", "")
	wantField(t, page, "confirm_password", "")
	wantNoText(t, page, "shorter")

	c.register("susan")
	c.wantUser("") // registering does not log in
	page = c.post("/register", "username", "Susan", "email", "new@example.com", "password", good, "confirm_password", good)
	wantStatus(t, page, http.StatusUnprocessableEntity)
	wantText(t, page, "This username is taken. Choose another one.")
	page = c.post("/register", "username", "other", "email", "SUSAN@example.com", "password", good, "confirm_password", good)
	wantStatus(t, page, http.StatusUnprocessableEntity)
	wantText(t, page, "This email address is registered already. Use another one.")
}

// TestLogin takes the same steps as most users.
func TestLogin(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.client().register("susan")
	for _, login := range []string{"susan", "SUSAN", "susan@example.com", "Susan@Example.COM"} {
		c := s.client()
		wantRedirect(t, c.login(login, good), "/")
		c.wantUser("susan")
		wantText(t, c.get("/profile"), "<title>Profile", "susan@example.com")
		wantText(t, c.get("/settings"), "<title>Settings")
		for _, page := range []string{"/login", "/register"} { // a logged-in user is redirected
			wantRedirect(t, c.get(page), "/")
			wantRedirect(t, c.get(page+"?next=%2Fprofile"), "/profile")
		}
		wantText(t, c.get("/forgot-password"), "You are logged in as <bdi>susan</bdi>.")
	}
	for _, login := range []string{"susan", "susan@example.com", "nobody", "nobody@example.com"} {
		c := s.client()
		page := c.login(login, "a wrong password")
		wantStatus(t, page, http.StatusUnprocessableEntity)
		wantText(t, page, "We could not log you in.")
		wantNoText(t, page, "a wrong password")
		wantField(t, page, "login", login)
		wantField(t, page, "password", "")
		c.wantUser("")
	}
	// Credentials in the query are ignored.
	c := s.client()
	page := c.post("/login?" + form("login", "susan", "password", good).Encode())
	wantStatus(t, page, http.StatusUnprocessableEntity)
	c.wantUser("")
}

func TestNext(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.client().register("susan")
	for page, next := range map[string]string{
		"/profile": "/profile", "/settings": "/settings", "/profile?a=1&b=%2F": "/profile?a=1&b=%2F", "/account/password": "/account/password",
	} {
		c := s.client()
		r := c.get(page)
		wantRedirect(t, r, "/login?next="+url.QueryEscape(next))
		wantField(t, c.get(r.location), "next", next)
		// A typo does not lose the page.
		r = c.post("/login", "login", "susan", "password", "a wrong password", "next", next)
		wantStatus(t, r, http.StatusUnprocessableEntity)
		wantField(t, r, "next", next)
		wantRedirect(t, c.post("/login", "login", "susan", "password", good, "next", next), next)
		c.wantUser("susan")
	}
	for _, next := range []string{"//evil.example", "https://evil.example/", `/\evil.example`, "javascript:alert(1)"} {
		c := s.client()
		wantNoText(t, c.get("/login?next="+url.QueryEscape(next)), "evil", "javascript")
		wantRedirect(t, c.post("/login", "login", "susan", "password", good, "next", next), "/")
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client()
	nav := func() string {
		page := c.get("/").body
		return page[strings.Index(page, "<nav>"):strings.Index(page, "</nav>")]
	}
	wantNav := func(want, not string) {
		t.Helper()
		if got := nav(); !strings.Contains(got, want) || strings.Contains(got, not) {
			t.Errorf("the navigation is %s", got)
		}
	}
	wantNav(">Log in<", ">Log out<")
	c.register("susan")
	wantRedirect(t, c.login("susan", good), "/")
	wantNav(">Log out<", ">Log in<")
	other := s.client()
	wantRedirect(t, other.login("susan", good), "/")

	r := c.get("/logout")
	wantStatus(t, r, http.StatusMethodNotAllowed)
	if r.header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", r.header.Get("Allow"))
	}
	c.wantUser("susan")
	cross := c.request(http.MethodPost, "/logout", nil)
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	wantStatus(t, c.do(cross), http.StatusForbidden)
	c.wantUser("susan")

	copied := s.client()
	for name, cookie := range c.cookies {
		copied.cookies[name] = cookie
	}
	copied.wantUser("susan")
	wantRedirect(t, c.post("/logout"), "/")
	wantText(t, c.get("/"), "You have been logged out.")
	wantNoText(t, c.get("/"), "You have been logged out.")
	wantNav(">Log in<", ">Log out<")
	c.wantUser("")
	copied.wantUser("")
	other.wantUser("susan") // the login of another browser stays
	wantRedirect(t, c.post("/logout"), "/")
}

func TestRemember(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.client().register("susan")
	c := s.client()
	wantRedirect(t, c.login("susan", good), "/")
	c.closeBrowser()
	c.wantUser("")

	wantRedirect(t, c.post("/login", "login", "susan", "password", good, "remember_me", "y"), "/")
	for range 2 {
		c.closeBrowser()
		if len(c.cookies) != 2 { // of the device and the browser
			t.Fatalf("%d cookies are left", len(c.cookies))
		}
		c.wantUser("susan")
	}
	thief := s.client()
	for name, cookie := range c.cookies {
		thief.cookies[name] = cookie
	}
	wantRedirect(t, c.post("/logout"), "/")
	c.wantUser("")
	thief.wantUser("")
	thief.closeBrowser()
	thief.wantUser("")
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	const changed = "another plain sentence"
	s := start(t)
	s.client().register("susan")
	c, other := s.client(), s.client()
	wantRedirect(t, c.login("susan", good), "/")
	wantRedirect(t, other.login("susan", good), "/")
	page := c.post("/account/password", "current_password", "a wrong password", "password", changed, "confirm_password", changed)
	wantStatus(t, page, http.StatusUnprocessableEntity)
	wantText(t, page, "This is not your current password.")
	wantRedirect(t, c.post("/account/password", "current_password", good, "password", changed, "confirm_password", changed), "/account")
	wantText(t, c.get("/account"), "Your password has been changed.")
	c.wantUser("susan")
	other.wantUser("")
	wantStatus(t, other.login("susan", good), http.StatusUnprocessableEntity)
	wantRedirect(t, other.login("susan", changed), "/")
}

// TestSessions: a user who is only remembered has to show the password before
// other logins are ended.
func TestSessions(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, other := s.client(), s.client()
	c.register("susan")
	wantRedirect(t, other.login("susan", good), "/")
	wantRedirect(t, c.post("/login", "login", "susan", "password", good, "remember_me", "y"), "/")
	c.closeBrowser()
	wantText(t, c.get("/settings"), `<a href="/account/sessions">`)
	wantText(t, c.get("/account/sessions"), "This browser", "Log out all other browsers")
	end := func() response {
		r := c.request(http.MethodPost, "/account/sessions", form("others", "1"))
		r.Header.Set("Referer", s.url+"/account/sessions")
		return c.do(r)
	}
	wantRedirect(t, end(), "/refresh?next=%2Faccount%2Fsessions")
	wantText(t, c.get("/refresh?next=%2Faccount%2Fsessions"), "Please confirm your password to access this page.")
	other.wantUser("susan")
	wantStatus(t, c.post("/refresh", "password", "a wrong password"), http.StatusUnprocessableEntity)
	wantRedirect(t, c.post("/refresh", "password", good, "next", "/account/sessions"), "/account/sessions")
	wantRedirect(t, end(), "/account/sessions")
	wantText(t, c.get("/account/sessions"), "All other browsers have been logged out.", "This browser")
	other.wantUser("")
	c.wantUser("susan")
}

// TestHTTPS checks the cookies of an application behind a proxy with TLS: the
// client fails the test for cookies that are not Secure.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-base-url", "https://app.example", "-smtp", mails.addr)
	if !s.secure {
		t.Fatal("not served at https")
	}
	c := s.client()
	c.register("susan")
	wantRedirect(t, c.post("/login", "login", "susan", "password", good, "remember_me", "y"), "/")
	if len(c.cookies) != 3 { // of the login, the device and the browser
		t.Errorf("the cookies are %v", c.cookies)
	}
	c.wantUser("susan")
	wantRedirect(t, c.post("/logout"), "/")
	link := s.forgot(mails, "susan")
	if !strings.HasPrefix(link, "https://app.example/reset-password?token=") {
		t.Errorf("the link is %s", link)
	}
	c.openForm(link)
	wantRedirect(t, c.reset("another plain sentence"), "/login")

	// A page of another origin, in a modern browser and in an old one.
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "http://app.example"} {
		r := c.request(http.MethodPost, "/login", form("login", "susan", "password", "another plain sentence"))
		r.Header.Set(name, value)
		wantStatus(t, c.do(r), http.StatusForbidden)
	}
}

// TestHeaders checks every kind of answer that has a body.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s := start(t)
	visitor, susan := s.client(), s.client()
	visitor.register("susan")
	wantRedirect(t, susan.login("susan", good), "/")
	for _, answer := range []struct {
		status int
		response
	}{
		{http.StatusOK, visitor.get("/")},
		{http.StatusOK, visitor.get("/login")},
		{http.StatusOK, visitor.get("/register")},
		{http.StatusOK, visitor.get("/forgot-password")},
		{http.StatusUnprocessableEntity, visitor.post("/login")},
		{http.StatusNotFound, visitor.get("/no-such-page")},
		{http.StatusMethodNotAllowed, visitor.get("/logout")},
		{http.StatusRequestEntityTooLarge, visitor.post("/login", "login", strings.Repeat("x", 1<<17))},
		{http.StatusOK, susan.get("/")},
		{http.StatusOK, susan.get("/profile")},
		{http.StatusOK, susan.get("/settings")},
		{http.StatusOK, susan.get("/account")},
		{http.StatusOK, susan.get("/account/password")},
		{http.StatusOK, susan.get("/account/sessions")},
		{http.StatusOK, susan.get("/account/email")},
		{http.StatusUnprocessableEntity, susan.post("/account/email", "email", "x")},
		{http.StatusOK, susan.get("/account/close")},
		{http.StatusUnprocessableEntity, susan.post("/account/close")},
		{http.StatusOK, susan.get("/account/two-factor")},
		{http.StatusForbidden, susan.get("/account/two-factor?set-up=totp")}, // the address is not verified
		{http.StatusOK, susan.get("/refresh")},
	} {
		wantStatus(t, answer.response, answer.status)
		csp := answer.header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("Content-Security-Policy: %s\n%s", csp, answer.body)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := answer.header.Get(name); got != want {
				t.Errorf("%s: %q, want %q\n%s", name, got, want, answer.body)
			}
		}
	}
	style := visitor.get("/auth.css")
	wantStatus(t, style, http.StatusOK)
	if got := style.header.Get("Content-Type"); got != "text/css; charset=utf-8" {
		t.Errorf("the stylesheet is %s", got)
	}
}
