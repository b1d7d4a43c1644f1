package pages_test

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

func TestCloseForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.user("susan", good)
	if link(t, c.get("/account"), "Close account") != "/account/close" {
		t.Error("no way there")
	}
	r := c.get("/account/close")
	wantStatus(t, r, 200)
	accessible(t, r)
	wantHeaders(t, "/account/close", r)
	want := map[string]field{
		"current_password": {"Current password", "password", "current-password", "", ""},
		"confirm":          {"Close my account for good", "checkbox", "", "y", ""},
	}
	if got := fields(t, r); !reflect.DeepEqual(got, want) || button(t, r) != "Close account" || heading(t, r) != "Close your account" {
		t.Errorf("%v", got)
	}
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "it cannot be opened again") {
		t.Errorf("the page says %q", main)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("anna")
	c, elsewhere, anna := s.user("susan", good), s.user("susan", good), s.user("anna", good)
	id := s.account("susan").ID
	closing := func(password, confirm string) response {
		return c.post("/account/close", "current_password", password, "confirm", confirm, "id", s.account("anna").ID)
	}
	const required, tick, wrong = "This field is required.", "Tick this box to go on.", "This is not your current password."
	wantErrors(t, closing("", ""), map[string]string{"current_password": required, "confirm": tick})
	wantErrors(t, closing("wrong", "y"), map[string]string{"current_password": wrong, "confirm": ""})
	wantErrors(t, closing("\xff", ""), map[string]string{"current_password": wrong, "confirm": tick})
	wantErrors(t, closing(good, ""), map[string]string{"confirm": tick, "current_password": ""})
	wantErrors(t, c.post("/account/close?confirm=y&current_password="+url.QueryEscape(good)), map[string]string{"current_password": required, "confirm": tick})
	wantStatus(t, c.get("/account/close?confirm=y"), 200)
	if !elsewhere.loggedIn() || s.kinds() != "" {
		t.Fatal("something was done")
	}

	wantRedirect(t, closing(good, "y"), "/")
	if text := c.get("/").body; text != "success: Your account has been closed.\n" {
		t.Errorf("the message is %q", text)
	}
	if c.loggedIn() || elsewhere.loggedIn() || !anna.loggedIn() {
		t.Error("the account's logins should have ended, and no other")
	}
	if got := s.kinds(); got != "closed susan@example.com" {
		t.Errorf("the mails are %s", got)
	}
	if _, err := s.store.LoadUser(t.Context(), id); err == nil {
		t.Error("the user is still there")
	}
	wantStatus(t, c.post("/login", "login", "susan", "password", good), 422)
	wantRedirect(t, c.post("/forgot-password", "email", "susan@example.com"), "/check-inbox")
	if got := s.kinds(); got != "" {
		t.Errorf("the mails are %s", got)
	}
	wantRedirect(t, c.post("/account/close", "current_password", good, "confirm", "y"), "/login")
	wantRedirect(t, s.client().register("susan"), "/login") // the names are free
}

// TestCloseFresh: neither a login that is only remembered nor one that is too old may
// close the account.
func TestCloseFresh(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.remembered()
	const refresh = "/refresh?next=%2Faccount%2Fclose"
	wantRedirect(t, c.get("/account/close"), refresh)
	wantRedirect(t, c.from("/account/close", "/account/close", "current_password", good, "confirm", "y"), refresh)
	wantRedirect(t, c.post("/refresh", "password", good, "next", "/account/close"), "/account/close")
	wantStatus(t, c.get("/account/close"), 200)
	s.advance(20*time.Minute + time.Second)
	wantRedirect(t, c.from("/account/close", "/account/close", "current_password", good, "confirm", "y"), refresh)
	wantRedirect(t, s.client().get("/account/close"), "/login?next=%2Faccount%2Fclose")
	if s.account("susan").Disabled || !c.loggedIn() {
		t.Error("something was done")
	}
}

// TestCloseWithoutPassword: if the account has no password, the form does not ask for
// one. Another method has made the login fresh.
func TestCloseWithoutPassword(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.user("susan", good)
	s.update("susan", func(a *auth.Account) { a.PasswordHash = auth.Secret{} })
	r := c.get("/account/close")
	accessible(t, r)
	if got := fields(t, r); len(got) != 1 {
		t.Errorf("%v", got)
	}
	wantErrors(t, c.post("/account/close"), map[string]string{"confirm": "Tick this box to go on."})
	wantRedirect(t, c.send(r, "confirm", "y"), "/")
	if c.loggedIn() {
		t.Error("still logged in")
	}
}

// TestCloseFails: for every failure of the record store, the answer is a failure, or the
// account is closed. Once the account is gone, nobody can log in.
func TestCloseFails(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ {
		store := &records{}
		s := newSite(t, hooked(store))
		c, n := s.user("susan", good), 0
		store.set(func(string) error {
			if n++; n == k {
				return errDisk
			}
			return nil
		})
		r := c.post("/account/close", "current_password", good, "confirm", "y")
		store.set(nil)
		if r.status != 503 {
			wantRedirect(t, r, "/")
			wantStatus(t, s.client().post("/login", "login", "susan", "password", good), 422)
		} else if !c.loggedIn() && !s.account("susan").Disabled {
			t.Errorf("call %d: logged out, and nothing done", k)
		}
		if n < k {
			if k < 3 {
				t.Errorf("the store was asked %d times", n)
			}
			return
		}
	}
}

// TestCloseLeavesNothing: no record has the ID of a closed account.
func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.user("susan", good)
	id := s.account("susan").ID
	s.client().post("/login", "login", "susan", "password", "wrong wrong")
	if records, err := s.store.ListRecords(t.Context(), "attempts", id); err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	wantRedirect(t, c.post("/account/close", "current_password", good, "confirm", "y"), "/")
	for _, kind := range []string{"attempts", "rate", "session", "remember", "reserved", "email-undo", "api-token", "rotated"} {
		if records, err := s.store.ListRecords(t.Context(), kind, id); err != nil || len(records) > 0 {
			t.Errorf("%s: %d are left, %v", kind, len(records), err)
		}
	}
}
