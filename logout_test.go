package auth_test

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// a store that panics in logout, and a recovering middleware inside LoadAndSave.
func TestPanicLeavesLock(t *testing.T) {
	app, st, _ := newTrap(t, nil)
	app.Create(t, "susan", false)
	app.Mux.HandleFunc("POST /recovered", func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				http.Error(w, "sorry", http.StatusInternalServerError)
			}
		}()
		_ = app.LogoutUser(r.Context())
	})
	c := app.Client(t)
	c.HTTP.Timeout = 3 * time.Second
	c.Login("susan")
	st.hook = func(_ context.Context, op, kind string) error {
		if op == "take" {
			panic("driver bug")
		}
		return nil
	}
	if r := c.Post("/recovered"); r.StatusCode != http.StatusInternalServerError {
		t.Error("no answer")
	}
}

func TestFlaskLogoutOfNobody(t *testing.T) {
	app, _ := flaskApp(t, nil)
	if r := app.Client(t).Post("/logout"); r.StatusCode != http.StatusOK {
		t.Errorf("%s", r.Status)
	}
	expectEvents(t, app)
}

func TestFlaskLogoutForgetsRememberFor(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	c.Post("/as/for", "for", "7h")
	copied := c.Clone()
	c.Post("/logout")
	expectState(t, c, nil, "nobody")
	expectState(t, copied, nil, "nobody")
	copied.Restart()
	expectState(t, copied, nil, "nobody")
}
