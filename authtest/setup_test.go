package authtest_test

import (
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
)

// TestNew: the parts of a Setup belong together. A mail goes into the mailbox, and the link in
// it is void by the clock that the store and the settings share.
func TestNew(t *testing.T) {
	t.Parallel()
	test := authtest.New[User](t)
	test.Config.Password.ResetLifetime = time.Minute
	manager, err := auth.New(test.Store, test.Config)
	check(t, err)
	_, err = manager.Register(t.Context(), auth.Registration{Username: "susan", Email: "susan@example.com", Password: "staple battery horse"})
	check(t, err)
	check(t, manager.SendReset(t.Context(), "susan@example.com"))
	link := test.Mailbox.Link(t, "susan@example.com")
	token := link[len("/reset-password?token="):]
	if u, err := manager.CheckResetToken(t.Context(), token); err != nil || u.Username != "susan" {
		t.Errorf("%v, %v", u, err)
	}
	test.Clock.Advance(time.Minute + time.Second)
	if _, err := manager.CheckResetToken(t.Context(), token); err == nil {
		t.Error("the settings have another clock")
	}
	other := authtest.New[User](t)
	if string(other.Config.Secrets[0]) == string(test.Config.Secrets[0]) || other.Store == test.Store {
		t.Error("two Setups share something")
	}
}
