package pages_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// safari15 sends a page's form as a browser does that does not send
// Sec-Fetch-Site: whether its Origin is real depends on the page's policy.
func (c *client) safari15(page response, fields ...string) response {
	c.t.Helper()
	origin := c.base
	if page.header.Get("Referrer-Policy") == "no-referrer" {
		origin = "null"
	}
	form := only(c.t, only(c.t, parse(c.t, page), tag("main")), tag("form"))
	for _, input := range all(form, with("type", "hidden")) {
		fields = append(fields, attr(input, "name"), attr(input, "value"))
	}
	return c.do(http.MethodPost, attr(form, "action"), urlencoded(fields), "Origin", origin)
}

// urlencoded is a form of names and values.
func urlencoded(fields []string) string {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return form.Encode()
}

// TestFormsWithoutSecFetchSite goes through all pages with such a browser.
func TestFormsWithoutSecFetchSite(t *testing.T) {
	t.Parallel()
	s := newSite(t, requireVerified)
	c := s.client()
	press := func(page, target string, fields ...string) {
		t.Helper()
		r := c.get(page)
		wantStatus(t, r, 200)
		wantRedirect(t, c.safari15(r, fields...), target)
	}
	press("/register", "/login", "username", "anna", "email", "anna@example.com", "password", good, "confirm_password", good)
	press("/verify-email", "/verify-email", "email", "anna@example.com")
	wantRedirect(t, c.get(s.mailed(auth.MailVerify, "anna@example.com")), "/verify-email")
	press("/verify-email", "/login")
	press("/login", "/", "login", "anna", "password", good)
	press("/refresh", "/", "password", good)
	press("/account/password", "/account", "current_password", good, "password", other, "confirm_password", other)
	press("/account/email", "/account", "email", "new@example.com")
	wantRedirect(t, c.get(s.mailed(auth.MailNewAddress, "new@example.com")), "/account/email")
	press("/account/email", "/account")
	wantRedirect(t, c.get(s.mailed(auth.MailAddressChanged, "anna@example.com")), "/undo-email")
	press("/undo-email", "/reset-password")
	press("/reset-password", "/login", "password", good, "confirm_password", good)
	press("/forgot-password", "/login", "email", "anna@example.com")
	wantRedirect(t, c.get(s.mailed(auth.MailReset, "anna@example.com")), "/reset-password")
	// A form that is shown again can be sent, too.
	again := c.safari15(c.get("/reset-password"), "password", "x")
	wantStatus(t, again, 422)
	wantRedirect(t, c.safari15(again, "password", other, "confirm_password", other), "/login")
	again = c.safari15(c.get("/login"), "login", "anna", "password", good)
	wantStatus(t, again, 422)
	wantRedirect(t, c.safari15(again, "login", "anna", "password", other), "/")
	again = c.post("/login", "login", "susan")
	wantStatus(t, again, 409)
	wantRedirect(t, c.safari15(again), "/login")
	press("/login", "/", "login", "anna", "password", other)
	press("/account/close", "/", "current_password", other, "confirm", "y")

	// Origin: null says nothing about where a form is from.
	r := s.client().do("POST", "/login", urlencoded([]string{"login", "susan", "password", good}), "Origin", "null")
	wantStatus(t, r, 403)
}

// TestReferrerPolicy asks for all pages in all ways: no page with a form has
// no-referrer, and no page at a URL with a token has another policy, or a form.
func TestReferrerPolicy(t *testing.T) {
	t.Parallel()
	for _, mails := range []bool{true, false} {
		s := newSite(t, func(a *auth.Config, _ *pages.Config) {
			if !mails {
				a.Mailer = nil
			}
		})
		linked := []string{"/reset-password", "/verify-email", "/account/email", "/undo-email", "/nowhere"}
		forms := 0
		for _, c := range []*client{s.client(), s.user("susan", good)} {
			for _, path := range append(s.pages.Paths(), linked...) {
				if path == "/auth.css" || path == "/logout" {
					continue
				}
				targets := []string{path, path + "?next=%2Fmine", path + "?new"}
				for _, linked := range linked {
					if path == linked {
						targets = append(targets, path+"?token=secret", path+"?next=%2F&token=secret", path+"?token=secret;x", path+"?token=%zz",
							path+"?x;token=secret", path+"?%74oken=secret", path+"?token[]=secret", path+"?tokens=")
					}
				}
				for _, target := range targets {
					for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS"} {
						for _, body := range []string{"", "email=x", "login=anna&password=x", "a=%zz", strings.Repeat("a", 64<<10+1)} {
							if body != "" && method != "POST" {
								continue
							}
							r := c.do(method, target, body)
							want := "same-origin"
							if strings.Contains(target, "oken") {
								want = "no-referrer"
							}
							if got := r.header.Get("Referrer-Policy"); got != want {
								t.Errorf("%s %s: %d with %s", method, target, r.status, got)
							}
							if strings.Contains(r.body, "<form") {
								forms++
								if want == "no-referrer" {
									t.Errorf("%s %s: %d has a form", method, target, r.status)
								}
							}
							if want == "no-referrer" && strings.Contains(r.location, "secret") {
								t.Errorf("%s %s leads to %s", method, target, r.location)
							}
						}
					}
				}
			}
		}
		if forms < 50 {
			t.Errorf("only %d answers had a form", forms)
		}
	}
}
