package pages_test

import (
	"slices"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// TestWellKnown: a password manager finds the page that changes the password, below a prefix, too.
func TestWellKnown(t *testing.T) {
	t.Parallel()
	const path = "/.well-known/change-password"
	for _, prefix := range []string{"", "/auth"} {
		s := newSite(t, func(a *auth.Config, c *pages.Config) { c.Prefix, a.URLs.Login = prefix, prefix+"/login" })
		if prefix != "" {
			s.mux.Handle(path, s.pages)
		}
		if !slices.Contains(s.pages.Paths(), path) {
			t.Errorf("it is not among %v", s.pages.Paths())
		}
		wantRedirect(t, s.client().get(path), prefix+"/account/password")
		wantStatus(t, s.client().post(path), 405)
		if prefix != "" {
			wantStatus(t, s.client().get(prefix+path), 404)
		}
	}
}
