package pages_test

import (
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

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
