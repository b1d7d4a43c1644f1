package pages_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// leaks knows one password, and counts how often it is asked.
type leaks struct{ asked atomic.Int32 }

const leaked = "hunter hunter 2"

func (l *leaks) Breached(_ context.Context, password string) (bool, error) {
	l.asked.Add(1)
	return password == leaked, nil
}

// TestBreachedPassword: the forms say so, and ask once, though they check a
// password and then have it checked again.
func TestBreachedPassword(t *testing.T) {
	t.Parallel()
	const text = "This password has been in a data breach, so others may know it."
	for _, c := range []struct{ password, err string }{{leaked, text}, {"a good long one", ""}} {
		for form, send := range map[string]func(*site) response{
			"register": func(s *site) response {
				return s.client().post("/register", "username", "anna", "email", "anna@example.com", "password", c.password, "confirm_password", c.password)
			},
			"password": func(s *site) response {
				return s.user("susan", good).post("/account/password", "current_password", good, "password", c.password, "confirm_password", c.password)
			},
			"reset": func(s *site) response {
				browser := s.client()
				wantRedirect(t, browser.get(s.link("susan@example.com")), "/reset-password")
				return browser.post("/reset-password", "password", c.password, "confirm_password", c.password)
			},
		} {
			l := &leaks{}
			r := send(newSite(t, func(a *auth.Config, _ *pages.Config) { a.Breaches = l }))
			if n := l.asked.Load(); n != 1 {
				t.Errorf("%s: asked %d times about %q", form, n, c.password)
			}
			if c.err == "" {
				if r.status != 303 {
					t.Errorf("%s: %d\n%s", form, r.status, r.body)
				}
				continue
			}
			wantStatus(t, r, 422)
			if f := fields(t, r)["password"]; f.err != c.err || f.value != "" {
				t.Errorf("%s: %+v", form, f)
			}
		}
	}
}
