package main

import (
	"context"
	"html"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-login/auth/authtest"
)

// startWithProvider runs the program with a provider.
func startWithProvider(t *testing.T) (*site, *authtest.Provider) {
	t.Helper()
	p := authtest.NewProvider(t, authtest.ProviderConfig{})
	return start(t, "-oidc-issuer", p.Issuer, "-oidc-client-id", p.ClientID, "-oidc-client-secret", p.ClientSecret), p
}

// visit presses the provider's button on a page, which must have this text, goes to the
// provider and comes back. It returns where that leads.
func (c *client) visit(p *authtest.Provider, page, button string) string {
	c.t.Helper()
	r := c.get(page)
	wantStatus(c.t, r, http.StatusOK)
	form := regexp.MustCompile(`(?s)<form action="/oauth/oidc" method="post">(.*?)<button type="submit"[^>]*>([^<]*)</button>`).FindStringSubmatch(r.body)
	if len(form) != 3 || form[2] != button+" "+strings.TrimPrefix(p.Issuer, "http://") {
		c.t.Fatalf("the button %q of %s is %q", button, page, form)
	}
	var fields []string
	for _, field := range regexp.MustCompile(`type="hidden" name="(\w+)" value="([^"]*)">`).FindAllStringSubmatch(form[1], -1) {
		fields = append(fields, field[1], html.UnescapeString(field[2]))
	}
	leaving := c.post("/oauth/oidc", fields...)
	wantStatus(c.t, leaving, http.StatusOK) // no redirect: the pages' form-action would block it
	link := regexp.MustCompile(`href="([^"]*)">Continue<`).FindStringSubmatch(leaving.body)
	if link == nil {
		c.t.Fatalf("the page leads nowhere:\n%s", leaving.body)
	}
	return c.get(p.VisitURL(html.UnescapeString(link[1])).URL.RequestURI()).location
}

// disconnect presses the button "Disconnect".
func (c *client) disconnect() response {
	c.t.Helper()
	id := regexp.MustCompile(`name="remove" value="([^"]*)"`).FindStringSubmatch(c.get("/account/identities").body)
	if id == nil {
		c.t.Fatal("nothing is connected")
	}
	return c.post("/account/identities", "remove", html.UnescapeString(id[1]))
}

// TestProvider: a user signs up at a provider, sets a password, disconnects the account there,
// connects it again, confirms the login there, and logs in with it.
func TestProvider(t *testing.T) {
	t.Parallel()
	s, p := startWithProvider(t)
	p.Consent(authtest.ProviderUser{Subject: "42", Email: "susan@example.com", EmailVerified: true})
	c := s.client()
	if to := c.visit(p, "/register?next=%2Fprofile", "Continue with"); to != "/profile" {
		t.Fatalf("the sign-up leads to %q", to)
	}
	wantText(t, c.get("/"), "Hi, susan@example.com!")
	wantText(t, c.get("/account/identities"), "susan@example.com", "Disconnect")
	r := c.disconnect()
	wantStatus(t, r, http.StatusForbidden)
	wantText(t, r, "verify your email address")

	wantRedirect(t, c.post("/verify-email", "email", "susan@example.com"), "/check-inbox")
	link := ""
	for !strings.Contains(link, "/verify-email") {
		_, link = printed(t, s.lines)
	}
	wantRedirect(t, c.open(link), "/verify-email")
	if r := c.press("/verify-email"); r.status != http.StatusSeeOther {
		t.Fatalf("verifying: %d", r.status)
	}
	wantText(t, c.get("/account"), "Set a password")
	r = c.disconnect()
	wantStatus(t, r, http.StatusConflict)
	wantText(t, r, "You could not log in any more. First set a password")
	wantRedirect(t, c.press("/account/password", "password", good, "confirm_password", good), "/account")
	wantText(t, c.get("/account"), "You can log in with your password now.")

	wantRedirect(t, c.disconnect(), "/account/identities")
	wantText(t, c.get("/account/identities"), "The account has been disconnected.", "You have not connected any account yet.")
	if to := c.visit(p, "/account/identities", "Connect"); to != "/account/identities" {
		t.Fatalf("the connection leads to %q", to)
	}
	wantText(t, c.get("/account/identities"), "Disconnect")
	if to := c.visit(p, "/refresh?next=%2Fprofile", "Confirm with"); to != "/profile" {
		t.Errorf("the confirmation leads to %q", to)
	}
	wantRedirect(t, c.post("/logout"), "/")
	wantText(t, c.get("/login"), "Used last")
	if to := c.visit(p, "/login?next=%2Fsettings", "Continue with"); to != "/settings" {
		t.Errorf("the login leads to %q", to)
	}
	wantText(t, c.get("/"), "Hi, susan@example.com!")

	// Somebody else at the provider with the same address is somebody else.
	p.Consent(authtest.ProviderUser{Subject: "43", Email: "susan@example.com", EmailVerified: true})
	other := s.client()
	if to := other.visit(p, "/login", "Continue with"); to != "" {
		t.Errorf("a user with the same address gets to %q", to)
	}
	other.wantUser("")
}

// TestProviderFlags: the flags come together, and the issuer is a URL. Without them there is no
// button, and no page.
func TestProviderFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-oidc-issuer", "https://id.example"},
		{"-oidc-issuer", "https://id.example", "-oidc-client-id", "me"},
		{"-oidc-client-id", "me", "-oidc-client-secret", "secret"},
		{"-oidc-issuer", "id", "-oidc-client-id", "me", "-oidc-client-secret", "secret"},
		{"-oidc-issuer", "http://id.example", "-oidc-client-id", "me", "-oidc-client-secret", "secret"}, // no https
	} {
		dir := t.TempDir()
		files := []string{"-addr", "127.0.0.1:0", "-db", filepath.Join(dir, "test.db"), "-secret-file", filepath.Join(dir, "test.secret")}
		if err := run(context.Background(), append(files, args...), io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	c := start(t).client()
	wantNoText(t, c.get("/login"), "/oauth/")
	wantStatus(t, c.get("/account/identities"), http.StatusNotFound)
}
