package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

func TestFlaskNobodyIsZero(t *testing.T) {
	app, _ := flaskApp(t, nil)
	app.Mux.HandleFunc("GET /nobody", func(_ http.ResponseWriter, r *http.Request) {
		if u, ok := app.CurrentUser(r.Context()); ok || u != nil {
			t.Errorf("%v, %v", u, ok)
		}
		if u, err := app.User(r.Context()); !errors.Is(err, auth.ErrNotLoggedIn) || u != nil {
			t.Errorf("%v, %v", u, err)
		}
	})
	app.Client(t).Get("/nobody")
}

// Laziness.

func TestFlaskPagesThatDoNotAsk(t *testing.T) {
	app, spy := flaskApp(t, nil)
	c := app.Client(t)
	c.Post("/as/remembered")
	spy.reset(0, false)
	c.Get("/")
	if slices.Contains(spy.Calls(), "load") {
		t.Errorf("a page that does not ask loads the user: %v", spy.Calls())
	}
	spy.reset(0, false)
	c.Get("/state") // asks three times
	if n := strings.Count(strings.Join(spy.Calls(), " "), "load"); n != 1 {
		t.Errorf("%d loads: %v", n, spy.Calls())
	}
}

func TestFlaskUnicodeID(t *testing.T) {
	app, _ := flaskApp(t, nil)
	const id = "佐藤|1"
	account := auth.Account{ID: id, Username: "Müller", Stamp: auth.NewSecret("stamp"), Version: 1}
	if _, err := app.Store.CreateUser(t.Context(), account, nil); err != nil {
		t.Fatal(err)
	}
	key, err := auth.UsernameKey("Müller")
	if err != nil {
		t.Fatal(err)
	}
	app.Mux.HandleFunc("GET /id", func(w http.ResponseWriter, r *http.Request) {
		if u, ok := app.CurrentUser(r.Context()); ok {
			_, _ = fmt.Fprint(w, u.ID, " ", u.Username)
		}
	})
	c := app.Client(t)
	c.Post("/enter", "login", key, "remember", "1")
	c.Restart()
	if r := c.Get("/id"); r.Text != id+" Müller" {
		t.Errorf("%q", r.Text)
	}
}
