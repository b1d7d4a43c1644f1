package pages_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
	"golang.org/x/net/html"
)

// focused returns the name of the field that has the cursor.
func focused(t *testing.T, r response) string {
	t.Helper()
	return attr(only(t, parse(t, r), func(n *html.Node) bool { return has(n, "autofocus") }), "name")
}

// TestLoginName: after the registration, the login page knows the name, once. It is in no URL.
func TestLoginName(t *testing.T) {
	t.Parallel()
	absent := func(_ *auth.Config, c *pages.Config) { c.Username = pages.Absent }
	for name, test := range map[string]struct {
		change func(*auth.Config, *pages.Config)
		want   string
	}{
		"both":       {nil, "anna"},
		"addresses":  {func(a *auth.Config, c *pages.Config) { a.Identifiers = auth.EmailOnly }, "anna@example.com"},
		"no names":   {absent, "anna@example.com"},
		"with next":  {nil, "anna"},
		"and prefix": {func(_ *auth.Config, c *pages.Config) { c.Prefix = "/auth" }, "anna"},
	} {
		s := newSite(t, test.change)
		c := s.client()
		form := append(registration("anna", good), "next", "/mine")
		r := c.post(s.path("/register"), form...)
		wantRedirect(t, r, s.path("/login?next=%2Fmine"))
		cookie := c.linkCookie("-login")
		if strings.Contains(cookie.Value, "anna") || !cookie.HttpOnly || cookie.MaxAge != 600 {
			t.Errorf("%s: the cookie is %v", name, cookie)
		}
		wantStatus(t, c.do(http.MethodHead, r.location, ""), 200) // keeps it
		wantStatus(t, c.do(http.MethodGet, r.location, "", "Sec-Purpose", "prefetch"), 200)
		page := c.get(r.location)
		accessible(t, page)
		if got := fields(t, page); got["login"].value != test.want || focused(t, page) != "password" {
			t.Errorf("%s: the login is %+v, and the cursor in %s", name, got["login"], focused(t, page))
		}
		if got := fields(t, c.get(r.location)); got["login"].value != "" {
			t.Errorf("%s: the second time, the login is %+v", name, got["login"])
		}
		wantRedirect(t, c.send(page, "login", test.want, "password", good), "/mine")
	}
}

// TestLoginNameRefused: a registration that is refused keeps no name, and a cookie that has expired, was
// made up or is another cookie's fills in nothing.
func TestLoginNameRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	wantStatus(t, c.post("/register", registration("susan", good)...), 422)
	for _, cookie := range c.sent {
		if strings.HasSuffix(cookie.Name, "-login") {
			t.Errorf("there is a cookie %v", cookie)
		}
	}
	wantRedirect(t, c.post("/register", registration("anna", good)...), "/login")
	cookie := c.linkCookie("-login")
	until := s.clock().Add(time.Hour)
	for what, value := range map[string]string{
		"expired": cookie.Value, "made up": "anna", "another one's": s.manager.SealCookie("inbox", []byte("anna"), until),
	} {
		if what == "expired" {
			s.advance(11 * time.Minute)
		}
		c := s.client()
		c.set(cookie.Name, value)
		if r := c.get("/login"); fields(t, r)["login"].value != "" || focused(t, r) != "login" {
			t.Errorf("%s: the login is filled in", what)
		}
	}
	// Whatever is in it is only text.
	c = s.client()
	c.set(cookie.Name, s.manager.SealCookie("login", []byte(`"><script>`+"\x00"), until))
	if r := c.get("/login"); fields(t, r)["login"].value != `"><script>`+"\uFFFD" {
		t.Error(r.body)
	}
}

// TestLoginNameVerified: if the address must be verified first, the login page knows the name after
// that, also in another browser. The page after the registration does not depend on whether the address is taken.
func TestLoginNameVerified(t *testing.T) {
	t.Parallel()
	s := newSite(t, hideAccounts)
	s.update("susan", verified)
	c := s.client()
	for _, address := range []string{"anna@example.com", "susan@example.com"} {
		r := c.do(http.MethodPost, "/register", url.Values{"username": {strings.Split(address, "@")[0] + "1"}, "email": {address}, "password": {good}, "confirm_password": {good}}.Encode())
		wantRedirect(t, r, "/check-inbox")
		for _, line := range r.header.Values("Set-Cookie") {
			if strings.Contains(line, "-login=") {
				t.Errorf("%s: %s", address, line)
			}
		}
		if address == "anna@example.com" {
			other := s.client()
			wantRedirect(t, other.get(s.mailed(auth.MailVerify, address)), "/verify-email")
			wantRedirect(t, other.press("/verify-email"), "/login")
			if got := fields(t, other.get("/login"))["login"].value; got != "anna1" {
				t.Errorf("the login is %q", got)
			}
		}
	}
}
