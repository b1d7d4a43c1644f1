package pages_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// TestLimits: if a client's address has reached a limit, every page answers 429 and says
// so.
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
		wantRedirect(t, s.client().post("/forgot-password", "email", fmt.Sprint(i, "@example.com")), "/check-inbox")
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
		main := text(only(t, parse(t, r), tag("main")))
		if !strings.Contains(main, "Too many attempts") || !strings.Contains(main, "Please try again in 50 minutes.") {
			t.Errorf("%s: %s", what, main)
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
	wantRedirect(t, s.client().post("/forgot-password", "email", "susan@example.com"), "/check-inbox")
}

// TestStoreFails: a failure of the store is answered with a 5xx and does not count
// against the user.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	wantRedirect(t, c.get(s.link("susan@example.com")), "/reset-password")
	s.store.fail(errDisk)
	for _, r := range []response{
		c.post("/login", "login", "susan", "password", good),
		c.post("/forgot-password", "email", "susan@example.com"),
		c.get("/reset-password"),
		c.post("/reset-password", "password", other, "confirm_password", other),
	} {
		wantStatus(t, r, 503)
		if strings.Contains(r.body, "fire") {
			t.Error("the answer says what is wrong")
		}
	}
	s.store.fail(nil)
	if !strings.Contains(s.log(), "the disk is on fire") {
		t.Error("the log does not say what is wrong")
	}
	wantRedirect(t, c.post("/reset-password", "password", other, "confirm_password", other), "/login")
}
