package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// formApp has GET /seal, which answers the seal of the form f, and POST /check, which
// checks one.
func formApp(t *testing.T, store testapp.Store, clock *testapp.Clock, secrets ...string) *testapp.App {
	t.Helper()
	app := testapp.New(t, store, clock, func(c *auth.Config) {
		c.Secrets = nil
		for _, secret := range secrets {
			c.Secrets = append(c.Secrets, []byte(secret))
		}
	})
	app.Mux.HandleFunc("GET /seal", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(app.SealForm(r.Context(), r.FormValue("form"))))
	})
	app.Mux.HandleFunc("POST /check", func(w http.ResponseWriter, r *http.Request) {
		if err := app.CheckForm(r.Context(), r.FormValue("form"), r.FormValue("seal")); err != nil {
			app.Error(w, r, err)
		}
	})
	return app
}

const firstSecret, secondSecret = "Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq", "kq8ZcP3vXw1nRt6yUe0oAs5dFg7hJlMb"

// TestFormUser: only the user who opened a form can send it.
func TestFormUser(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	app := formApp(t, memstore.New[testapp.User](memstore.WithClock(clock.Now)), clock, firstSecret)
	app.Create(t, "susan", false)
	app.Create(t, "anna", false)
	susan, anna, nobody := app.Client(t), app.Client(t), app.Client(t)
	susan.Login("susan")
	anna.Login("anna")
	seal := susan.Get("/seal?form=f").Text
	if seal == "" || seal != susan.Get("/seal?form=f").Text || seal == anna.Get("/seal?form=f").Text || seal == susan.Get("/seal?form=g").Text {
		t.Errorf("the seal is %q", seal)
	}
	if got := nobody.Get("/seal?form=f").Text; got != "" {
		t.Errorf("without a login the seal is %q", got)
	}
	for _, test := range []struct {
		c          *testapp.Client
		form, seal string
		want       int
	}{
		{susan, "f", seal, 200},
		{susan, "f", "", 200}, // a program sends the form without having opened it
		{nobody, "f", "", 200},
		{anna, "f", "", 200},
		{anna, "f", seal, 409},
		{susan, "g", seal, 409},
		{susan, "", seal, 409},
		{susan, "f", seal + "=", 409},
		{susan, "f", seal[1:], 409},
		{susan, "f", strings.ToLower(seal), 409},
		{susan, "f", strings.Repeat("A", 43), 409},
		{susan, "f", "\x00\xff", 409},
	} {
		if r := test.c.Post("/check", "form", test.form, "seal", test.seal); r.StatusCode != test.want {
			t.Errorf("form %q, seal %q: %s, want %d", test.form, test.seal, r.Status, test.want)
		}
	}
	if r := nobody.Post("/check", "form", "f", "seal", seal); r.StatusCode != http.StatusSeeOther {
		t.Errorf("without a login: %s", r.Status)
	}
}

// TestFormUserSecretsRotate: a form that was opened before Secrets changed can still be
// sent while the old secret is in the list.
func TestFormUserSecretsRotate(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	var seals []string
	for i, secrets := range [][]string{{firstSecret}, {secondSecret, firstSecret}, {secondSecret}} {
		app := formApp(t, store, clock, secrets...)
		if i == 0 {
			app.Create(t, "susan", false)
		}
		c := app.Client(t)
		c.Login("susan")
		seals = append(seals, c.Get("/seal?form=f").Text)
		for j, seal := range seals {
			want := 200
			if i == 2 && j == 0 {
				want = 409
			}
			if r := c.Post("/check", "form", "f", "seal", seal); r.StatusCode != want {
				t.Errorf("with Secrets %d the seal of %d: %s, want %d", i, j, r.Status, want)
			}
		}
	}
}

// TestFormUserFails: if the store fails, the answer is neither "same user" nor "another
// user".
func TestFormUserFails(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	app.Create(t, "susan", false)
	var seal string
	var failed error
	app.Mux.HandleFunc("GET /seal", func(_ http.ResponseWriter, r *http.Request) { seal = app.SealForm(r.Context(), "f") })
	app.Mux.HandleFunc("POST /check", func(_ http.ResponseWriter, r *http.Request) {
		failed = app.CheckForm(r.Context(), "f", r.FormValue("seal"))
	})
	c := app.Client(t)
	c.Login("susan")
	c.Get("/seal")
	ours := seal
	store.Hook(on("LoadUser", func() error { return errStore }), nil)
	c.Post("/check", "seal", ours)
	if !errors.Is(failed, errStore) {
		t.Errorf("the error is %v", failed)
	}
	store.Hook(on("LoadUser", func() error { return errStore }), nil)
	c.Get("/seal")
	if seal != "" {
		t.Errorf("the seal is %q", seal)
	}
	if err := app.CheckForm(context.Background(), "f", ours); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("outside LoadAndSave: %v", err)
	}
	w := httptest.NewRecorder()
	app.Error(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil), auth.ErrOtherUser)
	if w.Code != http.StatusConflict {
		t.Errorf("Error answers %d", w.Code)
	}
}
