package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-login/auth"
)

// What no page can be shown for gets 401, and no message waits for a page.
func TestNoPageForWhatIsNone(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	for dest, status := range map[string]int{
		"": http.StatusSeeOther, "document": http.StatusSeeOther, "iframe": http.StatusSeeOther,
		"empty": http.StatusUnauthorized, "image": http.StatusUnauthorized, "websocket": http.StatusUnauthorized,
		"script": http.StatusUnauthorized, "style": http.StatusUnauthorized, "audio": http.StatusUnauthorized, "worker": http.StatusUnauthorized,
	} {
		r := app.Client(t).Do(http.MethodGet, "/guarded", nil, http.Header{"Sec-Fetch-Dest": {dest}, "Accept": {"*/*"}})
		if r.StatusCode != status || (len(r.Cookies()) > 0) != (status == http.StatusSeeOther) {
			t.Errorf("Sec-Fetch-Dest %q: %s, cookies %v", dest, r.Status, r.Cookies())
		}
	}
	// A script that asks for HTML knows what to do with it.
	r := app.Client(t).Do(http.MethodGet, "/guarded", nil, http.Header{"Sec-Fetch-Dest": {"empty"}, "Accept": {"text/html"}})
	if r.StatusCode != http.StatusSeeOther {
		t.Error(r.Status)
	}
}

// A page that is to answer in its own way asks itself, and a guard's 401 is
// written by ErrorPage.
func TestFlaskOwnAnswer(t *testing.T) {
	app, _ := flaskApp(t, func(c *auth.Config) {
		c.ErrorPage = func(w http.ResponseWriter, _ *http.Request, status int, err error) {
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, "own: ", errors.Is(err, auth.ErrNotLoggedIn), errors.Is(err, auth.ErrNotFresh))
		}
	})
	app.Mux.HandleFunc("GET /own", func(w http.ResponseWriter, r *http.Request) {
		if err := app.CheckFresh(r.Context(), 0); err != nil {
			w.WriteHeader(http.StatusTeapot)
			_, _ = fmt.Fprint(w, errors.Is(err, auth.ErrNotLoggedIn), errors.Is(err, auth.ErrNotFresh))
		}
	})
	c := app.Client(t)
	json := http.Header{"Accept": {"application/json"}}
	for _, want := range []string{"true false", "false true"} {
		if r := c.Get("/own"); r.StatusCode != http.StatusTeapot || r.Text != want {
			t.Errorf("%s %q, want %q", r.Status, r.Text, want)
		}
		if r := c.Do(http.MethodGet, "/sensitive", nil, json); r.StatusCode != http.StatusUnauthorized || r.Text != "own: "+want {
			t.Errorf("%s %q, want %q", r.Status, r.Text, want)
		}
		c.Post("/as/stale")
	}
}

func TestFlaskUnauthorizedIs401ForPrograms(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	json := http.Header{"Accept": {"application/json"}}
	if r := c.Do(http.MethodGet, "/guarded", nil, json); r.StatusCode != http.StatusUnauthorized || r.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s %v", r.Status, r.Header)
	}
	c.Post("/as/stale")
	if r := c.Do(http.MethodGet, "/sensitive", nil, json); r.StatusCode != http.StatusUnauthorized || r.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s %v", r.Status, r.Header)
	}
}

func TestFlaskNextIsNoPostOnlyPage(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	expectSent(t, c.Post("/guarded"), "/login")
	for referer, want := range map[string]string{
		app.Server.URL + "/form?a=1":  "/login?next=%2Fform%3Fa%3D1",
		"https://evil.example/form":   "/login",
		app.Server.URL + "//evil.com": "/login",
	} {
		r := c.Do(http.MethodPost, "/guarded", nil, http.Header{"Referer": {referer}})
		expectSent(t, r, want)
	}
}

func TestFlaskHostIsIgnored(t *testing.T) {
	app, _ := flaskApp(t, nil)
	for _, path := range []string{"/guarded", "http://bad.example/guarded"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Host = "bad.example"
		r.Header.Set("X-Forwarded-Host", "proxy.example")
		r.Header.Set("Forwarded", "host=proxy.example")
		w := httptest.NewRecorder()
		app.Server.Config.Handler.ServeHTTP(w, r)
		if got := w.Header().Get("Location"); got != "/login?next=%2Fguarded" {
			t.Errorf("%s: sent to %q", path, got)
		}
	}
}
