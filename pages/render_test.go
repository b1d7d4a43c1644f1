package pages_test

import (
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// TestXSS: no field that is shown again lets markup through.
func TestXSS(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Fields = []pages.Field{{Name: "name", Label: "Full <name>", Autocomplete: "name"}}
		c.Site = "<b>Site</b>"
		c.Texts.Registered = "<b>Welcome</b>"
		c.MaxUsername = 64
	})
	susan := s.user("susan", good)
	for _, evil := range []string{
		`<script>alert(1)</script>`, `"><script>alert(1)</script>`, `' onfocus='alert(1)`, `" autofocus onfocus="alert(1)`,
		`<svg onload=alert(1)>`, `{{.}}`, "`${alert(1)}`", "\x00<script>", "\xff<script>", "</title><script>",
	} {
		for _, r := range []response{
			s.client().post("/login", "login", evil, "next", "/"+evil, "remember_me", evil),
			s.client().post("/register", "username", evil, "email", evil, "password", evil, "confirm_password", "x"+evil, "name", evil, "next", evil),
			s.client().post("/forgot-password", "email", evil),
			s.client().post("/verify-email", "email", evil, "next", "/"+evil),
			susan.post("/account/email", "email", evil),
			s.client().get("/login?next=" + url.QueryEscape("/"+evil) + "&login=" + url.QueryEscape(evil)),
			s.client().get("/" + url.PathEscape(evil)),
		} {
			accessible(t, r) // has no script, no handler, one autofocus
			if strings.Contains(r.body, "<svg") || strings.Contains(r.body, "<script") || strings.Contains(r.body, "<b>") {
				t.Errorf("%q is in the page:\n%s", evil, r.body)
			}
		}
		if evil != "\x00<script>" && evil != "\xff<script>" {
			if got := fields(t, s.client().post("/login", "login", evil))["login"].value; got != evil {
				t.Errorf("typed %q and got %q", evil, got)
			}
		}
	}
	// A name that is one: what it shows is what was typed.
	c := s.client()
	wantRedirect(t, c.post("/register", "username", "<b>x</b>", "email", "b@example.com", "password", good, "confirm_password", good), "/login")
	wantRedirect(t, s.client().post("/verify-email", "email", "b@example.com"), "/verify-email")
	visitor := s.client()
	wantRedirect(t, visitor.get(s.mailed(auth.MailVerify, "b@example.com")), "/verify-email")
	if r := visitor.get("/verify-email"); strings.Contains(r.body, "<b>") || !strings.Contains(text(only(t, parse(t, r), tag("main"))), "<b>x</b>") {
		t.Error(r.body)
	}
	r := c.get("/login")
	if _, text := message(t, r); text != "<b>Welcome</b>" {
		t.Error(text)
	}
	r = s.user("<b>x</b>", good).get("/account")
	if main := text(only(t, parse(t, r), tag("main"))); strings.Contains(r.body, "<b>") || !strings.Contains(main, "<b>x</b>") {
		t.Error(main)
	}
}

// TestBrokenTemplate: if a template fails for a user that New did not try, the answer is
// a whole error page, not half a page.
func TestBrokenTemplate(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Templates = fstest.MapFS{"account.html": {Data: []byte(`{{define "content"}}{{if .User.Username}}{{index .User.Roles 0}}{{end}}{{end}}`)}}
	})
	r := s.user("susan", good).get("/account")
	wantStatus(t, r, 500)
	wantHeaders(t, "a broken template", r)
	if strings.Contains(r.body, "<") || !strings.Contains(s.log(), "account.html") {
		t.Errorf("the answer is %q", r.body)
	}
}
