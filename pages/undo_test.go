package pages_test

import (
	"testing"
	"time"

	"github.com/go-login/auth"
)

// TestUndo: the user gets the address back, whatever the thief does.
func TestUndo(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	thief, undo := s.stolen()
	wantRedirect(t, thief.post("/account/password", "current_password", good, "password", other, "confirm_password", other), "/account")
	wantRedirect(t, thief.post("/account/email", "email", "thief2@example.com"), "/check-inbox")
	wantRedirect(t, thief.get(s.mailed(auth.MailNewAddress, "thief2@example.com")), "/account/email")
	wantRedirect(t, thief.press("/account/email"), "/account")
	his := s.mailed(auth.MailAddressChanged, "thief@example.com")
	s.advance(72*time.Hour - time.Minute)
	thief = s.user("susan", other)
	wantRedirect(t, thief.get(his), "/undo-email")

	owner := s.client()
	wantRedirect(t, owner.get(undo), "/undo-email")
	wantRedirect(t, owner.press("/undo-email"), "/reset-password")
	wantRedirect(t, thief.post("/undo-email"), "/forgot-password") // his own way back has ended
	if thief.loggedIn() {
		t.Error("the thief is logged in")
	}
	s.kinds()
	wantRedirect(t, s.client().post("/forgot-password", "email", "thief@example.com"), "/check-inbox")
	wantRedirect(t, s.client().post("/forgot-password", "email", "thief2@example.com"), "/check-inbox")
	if got := s.kinds(); got != "" {
		t.Errorf("the mails are %s", got)
	}
	wantRedirect(t, owner.press("/reset-password", "password", "a third battery", "confirm_password", "a third battery"), "/login")
	s.user("susan", "a third battery")
}

// TestUndoTaken: the application has given the old address to another account, by its
// own SQL statements.
func TestUndoTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	_, undo := s.stolen()
	s.create("bert", func(a *auth.Account) { a.Email = "susan@example.com" })
	c := s.client()
	wantRedirect(t, c.get(undo), "/undo-email")
	wantRedirect(t, c.press("/undo-email"), "/forgot-password")
	c.flashed("/forgot-password", "warning: This email address is registered already. Use another one.")
	if a := s.account("susan"); a.Email != "thief@example.com" || c.cookie("-reset") != "" {
		t.Errorf("the address is %s", a.Email)
	}
}

func TestUndoExpired(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	_, undo := s.stolen()
	c := s.client()
	wantRedirect(t, c.get(undo), "/undo-email")
	form := c.get("/undo-email")
	s.advance(72 * time.Hour)
	wantRedirect(t, c.send(form), "/forgot-password")
	wantRedirect(t, s.client().get(undo), "/forgot-password")
	if s.account("susan").Email != "thief@example.com" || c.cookie("-reset") != "" || c.cookie("-undo") != "" {
		t.Error("undone")
	}
}

// TestUndoLoggedIn: another user who is logged in in the same browser does not prevent
// the new password.
func TestUndoLoggedIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("anna")
	thief, undo := s.stolen()
	c := s.user("anna", good)
	for name, c := range map[string]*client{"the same": thief, "another": c} {
		wantRedirect(t, c.get(undo), "/undo-email")
		wantStatus(t, c.get("/undo-email"), 200)
		if !c.loggedIn() {
			t.Errorf("%s: logged out by a GET", name)
		}
	}
	form := c.get("/undo-email")
	wantRedirect(t, c.do("POST", "/undo-email", "proof=x"), "/forgot-password")
	if !c.loggedIn() {
		t.Error("logged out by a form that is of another token")
	}
	wantRedirect(t, c.send(form), "/reset-password")
	wantStatus(t, c.get("/reset-password"), 200)
	if c.loggedIn() || thief.loggedIn() {
		t.Error("somebody is logged in")
	}
	wantRedirect(t, s.user("anna", good).get("/login"), "/") // only this browser's login has ended
	// A link that is no good ends nothing.
	c = s.user("anna", good)
	c.set(s.manager.Cookie("undo").Name, "garbage")
	wantRedirect(t, c.post("/undo-email"), "/forgot-password")
	if !c.loggedIn() {
		t.Error("logged out for nothing")
	}
}

// TestUndoDisabled: a disabled account stays disabled, and gets no token for a reset.
func TestUndoDisabled(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	_, undo := s.stolen()
	s.update("susan", disabled)
	c := s.client()
	wantRedirect(t, c.get(undo), "/undo-email")
	wantRedirect(t, c.press("/undo-email"), "/forgot-password")
	if a := s.account("susan"); a.Email != "susan@example.com" || !a.Disabled || c.cookie("-reset") != "" {
		t.Errorf("%s, disabled: %v", a.Email, a.Disabled)
	}
}
