package pages_test

import (
	"reflect"
	"testing"
)

func TestPasswordForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	r := s.user("susan", good).get("/account/password")
	wantStatus(t, r, 200)
	accessible(t, r)
	want := map[string]field{
		"current_password": {"Current Password", "password", "current-password", "", ""},
		"password":         {"New Password", "password", "new-password", "", ""},
		"confirm_password": {"Confirm New Password", "password", "new-password", "", ""},
	}
	if got := fields(t, r); !reflect.DeepEqual(got, want) || button(t, r) != "Change Password" || heading(t, r) != "Change Password" {
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
