package pages_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// TestLimits: an address that has had enough gets a page that says so, whatever
// it asks for.
func TestLimits(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(cfg *auth.Config, _ *pages.Config) {
		cfg.Limits = auth.Limits{Guesses: 3, Mails: 2, Registrations: 1}
	})
	user := s.user("susan", good)
	wantStatus(t, user.get("/account/email"), 200)
	register := func(name string) response {
		return s.client().post("/register", "username", name, "email", name+"@example.com", "password", good, "confirm_password", good)
	}
	wantRedirect(t, register("anna"), "/login")
	for i := range 2 {
		wantRedirect(t, s.client().post("/forgot-password", "email", fmt.Sprint(i, "@example.com")), "/login")
	}
	wantStatus(t, s.client().post("/login", "login", "susan", "password", "wrong"), 422)
	wantStatus(t, s.client().post("/login", "login", "nobody", "password", "wrong"), 422)
	wantStatus(t, user.post("/refresh", "password", "wrong"), 422)
	s.advance(10 * time.Minute)

	refused := map[string]response{
		"wrong":    s.client().post("/login", "login", "susan", "password", "wrong"),
		"right":    s.client().post("/login", "login", "susan", "password", good),
		"unknown":  s.client().post("/login", "login", "nobody", "password", good),
		"refresh":  user.post("/refresh", "password", good),
		"password": user.post("/account/password", "current_password", good, "password", other, "confirm_password", other),
		"register": register("susan"),
		"new":      register("bert"),
		"forgot":   s.client().post("/forgot-password", "email", "susan@example.com"),
		"forgot 2": s.client().post("/forgot-password", "email", "nobody@example.com"),
		"verify":   s.client().post("/verify-email", "email", "susan@example.com"),
		"verify 2": s.client().post("/verify-email", "email", "nobody@example.com"),
		"email":    user.post("/account/email", "email", "new@example.com"),
		"token":    s.client().post("/verify-email", "token", "x"),
		"close":    user.post("/account/close", "current_password", good, "confirm", "y"),
	}
	for what, r := range refused {
		wantStatus(t, r, 429)
		wantHeaders(t, what, r)
		accessible(t, r)
		if heading(t, r) != "Too many attempts. Please try again later" {
			t.Errorf("%s: %s", what, heading(t, r))
		}
		if wait, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || wait != 50*60 {
			t.Errorf("%s: Retry-After is %q", what, r.header.Get("Retry-After"))
		}
	}
	if !user.loggedIn() {
		t.Error("a login was ended")
	}
	s.advance(50 * time.Minute)
	s.user("susan", good)
	wantRedirect(t, register("bert"), "/login")
	wantRedirect(t, s.client().post("/forgot-password", "email", "susan@example.com"), "/login")
}

// TestWrongTokens: forms with tokens that are none count as guesses, on every page
// that a mailed link opens, and looking at them does not.
func TestWrongTokens(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"/reset-password", "/verify-email", "/undo-email", "/account/email"} {
		s := newSite(t, func(cfg *auth.Config, _ *pages.Config) { cfg.Limits.Guesses = 3 })
		c := s.user("susan", good)
		if page == "/reset-password" { // which is for visitors
			c = s.client()
		}
		for range 5 {
			if r := c.get(page + "?token=x"); r.status != 303 {
				t.Errorf("%s, looked at: %d", page, r.status)
			}
		}
		for i := range 5 {
			want := 303
			if i >= 3 {
				want = 429
			}
			if r := c.post(page, "password", good, "confirm_password", good); r.status != want {
				t.Errorf("%s, form %d: %d, want %d", page, i+1, r.status, want)
			}
		}
	}
}

// TestLocked: after five wrong passwords in a row the right one is refused as a
// wrong one is, but not in the owner's browser.
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
