package auth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

// Guards.

func TestFlaskDeniedEvent(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	c.Get("/guarded")
	if e := expectEvents(t, app, auth.EventDenied); len(e) == 1 && (!errors.Is(e[0].Err, auth.ErrNotLoggedIn) || e[0].UserID != "") {
		t.Errorf("%+v", e[0])
	}
	c.Post("/as/stale")
	app.Events()
	c.Get("/sensitive")
	if e := expectEvents(t, app, auth.EventDenied); len(e) == 1 && (!errors.Is(e[0].Err, auth.ErrNotFresh) || e[0].UserID == "") {
		t.Errorf("%+v", e[0])
	}
}

// flaskMessage has a text for each reason, in the language of the request.
func flaskMessage(r *http.Request, reason error) auth.Flash {
	german := strings.HasPrefix(r.Header.Get("Accept-Language"), "de")
	switch {
	case errors.Is(reason, auth.ErrNotFresh) && german:
		return auth.Flash{Category: "refresh", Text: "Bitte bestätigen."}
	case errors.Is(reason, auth.ErrNotFresh):
		return auth.Flash{Category: "refresh", Text: "Please confirm."}
	case german:
		return auth.Flash{Category: "login", Text: "Bitte anmelden."}
	}
	return auth.Flash{Category: "login", Text: "Please log in."}
}

func TestFlaskMessages(t *testing.T) {
	app, _ := flaskApp(t, func(c *auth.Config) { c.Message = flaskMessage })
	german := http.Header{"Accept-Language": {"de"}}
	c := app.Client(t)
	for _, step := range []struct {
		path, want string
		header     http.Header
	}{
		{"/guarded", "login: Please log in.", nil},
		{"/guarded", "login: Bitte anmelden.", german},
		{"/sensitive", "refresh: Please confirm.", nil},
		{"/sensitive", "refresh: Bitte bestätigen.", german},
	} {
		if step.path == "/sensitive" {
			c.Post("/as/stale")
		}
		c.Do(http.MethodGet, step.path, nil, step.header)
		if r := c.Get("/flashes"); r.Text != step.want {
			t.Errorf("%s: %q, want %q", step.path, r.Text, step.want)
		}
		if r := c.Get("/flashes"); r.Text != "" {
			t.Errorf("%s: shown again: %q", step.path, r.Text)
		}
	}
}

func TestFlaskMessageIsNotRepeated(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	for range 3 {
		c.Get("/guarded")
	}
	if r := c.Get("/flashes"); strings.Count(r.Text, ":") != 1 {
		t.Errorf("%q", r.Text)
	}
}

func TestFlaskNoMessage(t *testing.T) {
	app, _ := flaskApp(t, func(c *auth.Config) {
		c.Message = func(*http.Request, error) auth.Flash { return auth.Flash{} }
	})
	if r := app.Client(t).Get("/guarded"); r.StatusCode != http.StatusSeeOther || len(r.Cookies()) > 0 {
		t.Errorf("%s, cookies %v", r.Status, r.Cookies())
	}
}

func TestFlaskRequireFresh(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	expectSent(t, c.Get("/sensitive"), "/login?next=%2Fsensitive")
	c.Post("/as/remembered")
	if r := c.Get("/sensitive"); r.Text != "granted" {
		t.Errorf("a new login: %s", r.Status)
	}
	c.Restart()
	expectSent(t, c.Get("/sensitive?a=1"), "/refresh?next=%2Fsensitive%3Fa%3D1")
	if r := c.Post("/confirm"); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
	if r := c.Get("/sensitive"); r.Text != "granted" {
		t.Errorf("confirmed: %s", r.Status)
	}
}

// Where browsers are sent.

func TestFlaskLoginURLByArea(t *testing.T) {
	app, _ := flaskApp(t, func(c *auth.Config) {
		c.LoginURL = "/app-login"
		c.LoginURLs = map[string]string{"/first": "/first-login", "/second": "/second-login"}
	})
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	app.Mux.Handle("/protected", app.RequireLogin(nothing))
	app.Mux.Handle("/first/protected", app.RequireLogin(nothing))
	app.Mux.Handle("/second/protected", app.RequireLogin(nothing))
	app.Mux.Handle("/secondary", app.RequireLogin(nothing))
	c := app.Client(t)
	for path, want := range map[string]string{
		"/protected":        "/app-login?next=%2Fprotected",
		"/first/protected":  "/first-login?next=%2Ffirst%2Fprotected",
		"/second/protected": "/second-login?next=%2Fsecond%2Fprotected",
		"/secondary":        "/app-login?next=%2Fsecondary",
	} {
		expectSent(t, c.Get(path), want)
	}
}
