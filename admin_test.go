package auth_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// After an account was disabled and enabled again, no older session, device or token
// works, whether or not it was used while the account was disabled.
func TestDisabledAndEnabledAgain(t *testing.T) {
	t.Parallel()
	for name, disable := range map[string]func(*mailApp, *testapp.User) error{
		"Disable": func(m *mailApp, u *testapp.User) error { return m.Disable(t.Context(), u.ID) },
		"the application, and Enable": func(m *mailApp, u *testapp.User) error {
			a := stored(t, m.App, u.ID).Account
			a.Disabled = true
			return m.Store.UpdateAccount(t.Context(), a)
		},
	} {
		for _, used := range []bool{false, true} {
			m := newMailApp(t, func(c *auth.Config) { c.Credentials = []auth.Credential{auth.Bearer()} })
			u := member(t, m.App, "susan", testapp.Password)
			browser, device := m.Client(t), m.Client(t)
			browser.Login("susan")
			if r := device.Post("/enter", "login", "susan", "remember", "y"); r.StatusCode != http.StatusOK {
				t.Fatal(r.Status)
			}
			device.Restart()
			token := bearerFor(t, m.App, u)
			bearer := func() string {
				return m.Client(t).Do(http.MethodGet, "/who", nil, http.Header{"Authorization": {"Bearer " + token}}).Text
			}
			reset, err := m.ResetToken(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			verify := m.verifyToken(t, u)
			if who := bearer(); who != "susan" {
				t.Fatalf("the token is %q's", who)
			}
			m.Events()

			if err := disable(m, u); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Authenticate(t.Context(), "susan", testapp.Password); !errors.Is(err, auth.ErrDisabled) {
				t.Errorf("%s: while it is disabled: %v", name, err)
			}
			if used {
				for what, who := range map[string]string{"browser": browser.Clone().Who(), "device": device.Clone().Who(), "token": bearer()} {
					if who != "nobody" {
						t.Errorf("%s: a %s is %q while it is disabled", name, what, who)
					}
				}
			}
			if err := m.Enable(t.Context(), u.ID); err != nil {
				t.Fatal(err)
			}
			for what, who := range map[string]string{"browser": browser.Who(), "device": device.Who(), "token": bearer()} {
				if who != "nobody" {
					t.Errorf("%s, used %t: a %s is %q when it is enabled again", name, used, what, who)
				}
			}
			if _, err := m.ResetPassword(t.Context(), reset, "another good password"); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s: a reset token: %v", name, err)
			}
			if _, err := m.VerifyEmail(t.Context(), verify); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s: a link that verifies: %v", name, err)
			}
			if _, err := m.Authenticate(t.Context(), "susan", testapp.Password); err != nil {
				t.Errorf("%s: the password: %v", name, err)
			}
		}
	}
}

func TestDisableAndEnable(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u := member(t, m.App, "susan", testapp.Password)
	c := m.Client(t)
	c.Login("susan")
	m.Events()
	if err := m.Enable(t.Context(), u.ID); err != nil || c.Who() != "susan" || len(m.Events()) > 0 {
		t.Errorf("enabling an account that is not disabled: %v, %q", err, c.Who())
	}
	for range 2 {
		if err := m.Disable(t.Context(), u.ID); err != nil || !stored(t, m.App, u.ID).Disabled {
			t.Fatal(err)
		}
	}
	if err := m.Enable(t.Context(), u.ID); err != nil || stored(t, m.App, u.ID).Disabled {
		t.Fatal(err)
	}
	if got, want := kinds(m.Events()), []auth.EventKind{auth.EventAccountDisabled, auth.EventAccountDisabled, auth.EventAccountEnabled}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	for name, f := range map[string]func(string) error{
		"Disable": func(id string) error { return m.Disable(t.Context(), id) },
		"Enable":  func(id string) error { return m.Enable(t.Context(), id) },
		"Unlock":  func(id string) error { return m.Unlock(t.Context(), id) },
	} {
		for _, id := range []string{"", "unknown", "\x00"} {
			if err := f(id); !errors.Is(err, auth.ErrUserNotFound) {
				t.Errorf("%s(%q): %v", name, id, err)
			}
		}
	}

	// An administrator who disables their own account is logged out.
	c.Login("susan")
	m.In(c, func(ctx context.Context) {
		if err := m.Disable(ctx, u.ID); err != nil {
			t.Error(err)
		}
		if _, ok := m.CurrentUser(ctx); ok {
			t.Error("the request goes on as a disabled user's")
		}
	})
	if err := m.Enable(t.Context(), u.ID); err != nil || c.Who() != "nobody" {
		t.Errorf("%v, %q", err, c.Who())
	}
}

// If the store fails at any call of Disable, the account is either unchanged, or
// disabled with no session left that works.
func TestDisableWithAFailingStore(t *testing.T) {
	t.Parallel()
	testapp.EachCall(t, 1, func(k int) bool {
		m := newMailApp(t, nil)
		u := member(t, m.App, "susan", testapp.Password)
		c := m.Client(t)
		c.Login("susan")
		m.Spy().FailAt(k, false)
		err := m.Disable(t.Context(), u.ID)
		calls := m.Spy().Calls()
		m.Spy().Reset()
		if disabled := stored(t, m.App, u.ID).Disabled; disabled == (err != nil) {
			t.Errorf("call %d failed: %v, and disabled is %t", k, err, disabled)
		} else if disabled {
			if err := m.Enable(t.Context(), u.ID); err != nil || c.Who() != "nobody" {
				t.Errorf("call %d failed: %v, %q", k, err, c.Who())
			}
		}
		return len(calls) >= k
	})
}

// Unlock deletes the counts of an account, in every browser.
func TestUnlock(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, noLimits)
	u := member(t, m.App, "susan", testapp.Password)
	known, other := m.Visitor(t.Context(), "192.0.2.1"), m.Visitor(t.Context(), "192.0.2.2")
	if status := known.Login("susan", testapp.Password); status != http.StatusOK {
		t.Fatal(status)
	}
	u = stored(t, m.App, u.ID)
	for round := range 2 {
		for _, v := range []*testapp.Visitor{known, other} {
			lock(t, v, "susan")
			if status := v.Login("susan", testapp.Password); status != http.StatusUnauthorized {
				t.Fatalf("a locked account is opened: %d", status)
			}
		}
		m.Events()
		if err := m.Unlock(t.Context(), u.ID); err != nil {
			t.Fatal(err)
		}
		if e := m.Events(); len(e) != 1 || e[0].Kind != auth.EventAccountUnlocked || e[0].UserID != u.ID {
			t.Errorf("events %v", e)
		}
		for i, v := range []*testapp.Visitor{known, other} {
			if status := v.Login("susan", testapp.Password); status != http.StatusOK {
				t.Errorf("round %d: browser %d after Unlock: %d", round, i, status)
			}
		}
	}
	if err := m.Unlock(t.Context(), u.ID); err != nil {
		t.Errorf("Unlock of an account that is not locked: %v", err)
	}
	m.Spy().Hook(on("DeleteRecords", func() error { return errStore }), nil)
	if err := m.Unlock(t.Context(), u.ID); !errors.Is(err, errStore) {
		t.Errorf("a store that fails: %v", err)
	}
}
