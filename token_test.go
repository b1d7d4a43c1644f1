package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// used is TokenUsed.
func used(t *testing.T, app *testapp.App, token string) bool {
	t.Helper()
	was, err := app.Core.TokenUsed(t.Context(), token)
	if err != nil {
		t.Error(err)
	}
	return was
}

// TestTokenUsed: a token that has worked is known as one until it would have
// expired. One that is void for another reason is not.
func TestTokenUsed(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u := member(t, m.App, "susan", testapp.Password)
	token := func() string {
		token, err := m.ResetToken(t.Context(), stored(t, m.App, u.ID))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first, second := token(), token()
	if _, err := m.ResetPassword(t.Context(), first, "short"); err == nil || used(t, m.App, first) {
		t.Errorf("%v, or it is used already", err)
	}
	m.Clock.Advance(10 * time.Minute)
	if _, err := m.ResetPassword(t.Context(), first, resetTo); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{first: true, second: false, first + "A": false, first[1:]: false, "": false, "x": false} {
		if used(t, m.App, text) != want {
			t.Errorf("%q is used: %t", text, !want)
		}
	}
	// It says no more to those who use it.
	if _, err := m.CheckResetToken(t.Context(), first); !errors.Is(err, auth.ErrInvalidToken) {
		t.Error(err)
	}
	m.Clock.Advance(20*time.Minute - time.Second)
	if !used(t, m.App, first) {
		t.Error("forgotten too early")
	}
	m.Clock.Advance(time.Second)
	if used(t, m.App, first) {
		t.Error("kept for longer than the token")
	}

	verify := m.verifyToken(t, member(t, m.App, "anna", testapp.Password))
	anna, err := m.VerifyEmail(t.Context(), verify)
	if err != nil || !used(t, m.App, verify) {
		t.Errorf("%v, or it is not used", err)
	}
	m.hooked.hook(on("GetRecord", func() error { return errors.New("the disk is full") }), nil)
	if was, err := m.Core.TokenUsed(t.Context(), verify); was || err == nil {
		t.Errorf("%t, %v", was, err)
	}
	m.hooked.hook(nil, nil)
	if err := m.CloseAccount(t.Context(), anna); err != nil || used(t, m.App, verify) {
		t.Errorf("%v, or it is kept after the account", err)
	}
}
