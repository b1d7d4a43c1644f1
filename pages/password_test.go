package pages_test

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

func TestPasswordForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	r := s.user("susan", good).get("/account/password")
	wantStatus(t, r, 200)
	accessible(t, r)
	want := map[string]field{
		"current_password": {"Current password", "password", "current-password", "", ""},
		"password":         {"New password", "password", "new-password", "", ""},
		"confirm_password": {"Confirm new password", "password", "new-password", "", ""},
	}
	if got := fields(t, r); !reflect.DeepEqual(got, want) || button(t, r) != "Change password" || heading(t, r) != "Change your password" {
		t.Errorf("%v", got)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c, elsewhere := s.user("susan", good), s.user("susan", good)
	change := func(current, password, confirm string) response {
		return c.post("/account/password", "current_password", current, "password", password, "confirm_password", confirm)
	}
	const required, wrong, mismatch = "This field is required.", "This is not your current password.", "The passwords do not match."
	wantErrors(t, change("", "", ""), map[string]string{"current_password": required, "password": required, "confirm_password": required})
	wantErrors(t, change("", other, other), map[string]string{"current_password": required})
	wantErrors(t, change("wrong", other, "x"), map[string]string{"current_password": wrong, "confirm_password": mismatch})
	wantErrors(t, change(good+" ", other, other), map[string]string{"current_password": wrong})
	wantErrors(t, change(good+"\x00", other, other), map[string]string{"current_password": wrong})
	wantErrors(t, change("\xff", other, other), map[string]string{"current_password": wrong})
	wantErrors(t, change(good, "1234567", "1234567"), map[string]string{"password": "The password must have at least 8 characters."})
	wantErrors(t, change(good, "susan2026", "susan2026"), map[string]string{"password": "This password is a name that is easy to guess."})
	if !elsewhere.loggedIn() {
		t.Fatal("a login was ended for nothing")
	}
	before := c.sent[len(c.sent)-1]
	wantRedirect(t, change(good, other, other), "/account")
	if category, text := message(t, c.get("/account")); category != "success" || text != "Your password has been changed." {
		t.Errorf("%s: %s", category, text)
	}
	if !c.loggedIn() || elsewhere.loggedIn() {
		t.Error("this login should stay, and the other end")
	}
	if replay := s.client(); replay.do("GET", "/mine", "", "Cookie", before.Name+"="+before.Value).status == 200 {
		t.Error("the old cookie is still good")
	}
	wantStatus(t, s.client().post("/login", "login", "susan", "password", good), 422)
	s.user("susan", other)
}

// leaks knows one breached password, and counts how often it is asked.
type leaks struct{ asked atomic.Int32 }

const leaked = "hunter hunter 2"

func (l *leaks) Breached(_ context.Context, password string) (bool, error) {
	l.asked.Add(1)
	return password == leaked, nil
}

// TestBreachedPassword: the forms say that a password is breached. They ask the service
// once, although they check the password twice.
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
			r := send(newSite(t, func(a *auth.Config, _ *pages.Config) { a.Password.Breaches = l }))
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

// A countingChecker counts how often it is asked.
type countingChecker struct{ asked atomic.Int64 }

func (b *countingChecker) Breached(context.Context, string) (bool, error) {
	b.asked.Add(1)
	return false, nil
}

// TestBreachFlood: a client's address causes no more requests to the breach service than
// it may make registrations.
func TestBreachFlood(t *testing.T) {
	t.Parallel()
	b := &countingChecker{}
	s := newSite(t, func(c *auth.Config, _ *pages.Config) { c.Password.Breaches, c.Limits.Registrations = b, 5 })
	statuses := map[int]int{}
	for i := range 30 {
		r := s.client().post("/register", "username", "u", "email", "u", "password", fmt.Sprint("quite a sentence ", i), "confirm_password", "")
		statuses[r.status]++
	}
	if b.asked.Load() != 5 || statuses[422] != 5 || statuses[429] != 25 {
		t.Errorf("asked %d times, answers %v", b.asked.Load(), statuses)
	}
}
