package auth_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// unasked are requests that browsers and pages send without a user's action.
var unasked = map[string]http.Header{
	"prefetch":             {"Sec-Purpose": {"prefetch"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Accept": {"text/html,application/xhtml+xml,*/*"}},
	"prerender":            {"Sec-Purpose": {"prefetch;prerender"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Accept": {"text/html,application/xhtml+xml,*/*"}},
	"prefetch by a proxy":  {"Sec-Purpose": {"prefetch;anonymous-client-ip"}, "Sec-Fetch-Mode": {"navigate"}},
	"link rel=prefetch":    {"Sec-Purpose": {"prefetch"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"no-cors"}, "Accept": {"*/*"}},
	"old Chrome, Inertia":  {"Purpose": {"prefetch"}, "Accept": {"text/html, application/xhtml+xml"}},
	"old Firefox":          {"X-Moz": {"prefetch"}, "Accept": {"text/html,application/xhtml+xml"}},
	"Safari":               {"X-Purpose": {"preview"}, "Accept": {"text/html,application/xhtml+xml"}},
	"Turbo, hovering":      {"X-Sec-Purpose": {"prefetch"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"cors"}, "Accept": {"text/html, application/xhtml+xml"}},
	"htmx, preloading":     {"Hx-Request": {"true"}, "Hx-Preloaded": {"true"}, "Sec-Fetch-Dest": {"empty"}},
	"image":                {"Sec-Fetch-Dest": {"image"}, "Sec-Fetch-Mode": {"no-cors"}, "Accept": {"image/avif,image/webp,*/*;q=0.8"}},
	"image, asks for HTML": {"Sec-Fetch-Dest": {"image"}, "Accept": {"text/html"}},
	"image, old browser":   {"Accept": {"image/webp,image/png,*/*;q=0.8"}},
	"style":                {"Sec-Fetch-Dest": {"style"}, "Accept": {"text/css,*/*;q=0.1"}},
	"style, old browser":   {"Accept": {"text/css,*/*;q=0.1"}},
	"script":               {"Sec-Fetch-Dest": {"script"}, "Accept": {"*/*"}},
	"font":                 {"Sec-Fetch-Dest": {"font"}, "Accept": {"*/*"}},
	"manifest":             {"Sec-Fetch-Dest": {"manifest"}, "Accept": {"*/*"}},
	"worker":               {"Sec-Fetch-Dest": {"worker"}, "Accept": {"*/*"}},
	"poll":                 {"Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"cors"}, "Accept": {"*/*"}},
	"poll for HTML":        {"Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"cors"}, "Accept": {"text/html"}},
	"poll, old browser":    {"X-Requested-With": {"XMLHttpRequest"}, "Accept": {"text/html, */*; q=0.01"}},
	"EventSource":          {"Accept": {"text/event-stream"}},
	"beacon":               {"Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"no-cors"}, "Accept": {"*/*"}},
}

// asked are requests that a user made, directly or by a script.
var asked = map[string]http.Header{
	"an unknown client": {},
	"navigation":        {"Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Accept": {"text/html,application/xhtml+xml"}},
	"frame":             {"Sec-Fetch-Dest": {"iframe"}, "Sec-Fetch-Mode": {"navigate"}},
	"a service worker":  {"Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"navigate"}, "Accept": {"text/html"}},
	"Turbo Drive":       {"Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"cors"}, "Accept": {"text/html, application/xhtml+xml"}},
	"htmx":              {"Hx-Request": {"true"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"cors"}, "Accept": {"*/*"}},
	"another purpose":   {"Sec-Purpose": {"something-new"}},
}

func personApp(t *testing.T) *testapp.App {
	app, _ := nextApp(t, nil)
	app.Mux.HandleFunc("/flash", func(_ http.ResponseWriter, r *http.Request) { _ = app.Flash(r.Context(), "info", "hello") })
	app.Mux.HandleFunc("/flashes", func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(app.Flashes(r.Context())) })
	for _, path := range []string{"/favicon.ico", "/apple-touch-icon-precomposed.png", "/robots.txt"} {
		app.Mux.Handle(path, app.RequireLogin(http.HandlerFunc(hello)))
	}
	return app
}

// If a request without a user's action is refused, it leaves no message and no next.
func TestPrefetchLeavesNoMessageOrNext(t *testing.T) {
	t.Parallel()
	app := personApp(t)
	c := app.Client(t)
	for name, header := range unasked {
		if r := c.Do("GET", "/a", nil, header); r.StatusCode != http.StatusSeeOther && r.StatusCode != http.StatusUnauthorized || len(r.Cookies()) > 0 {
			t.Errorf("%s: %s, cookies %v", name, r.Status, r.Cookies())
		}
	}
	for _, path := range []string{"/favicon.ico", "/apple-touch-icon-precomposed.png", "/robots.txt"} {
		for _, header := range []http.Header{nil, {"Accept": {"*/*"}}} {
			if r := c.Do("GET", path, nil, header); len(r.Cookies()) > 0 {
				t.Errorf("%s: %s, cookies %v", path, r.Status, r.Cookies())
			}
		}
	}
	if r := c.Do("HEAD", "/a", nil, nil); len(r.Cookies()) > 0 {
		t.Errorf("HEAD: %v", r.Cookies())
	}
	for name, header := range asked {
		c := app.Client(t)
		if name != "a service worker" { // it asks for a page
			c.Do("GET", "/b", nil, header)
			if got := shown(t, c); !slices.Equal(got, []auth.Flash{loginMessage}) {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
	// No such request replaces the next of an earlier navigation.
	c.Get("/a")
	for _, header := range unasked {
		c.Do("GET", "/b", nil, header)
	}
	if r := c.Post("/take"); r.Text != "/a" {
		t.Errorf("after the login: %q", r.Text)
	}
}

// A request without a user's action sees the waiting messages and leaves them there.
func TestPrefetchTakesNoMessageOrNext(t *testing.T) {
	t.Parallel()
	app := personApp(t)
	hello := []auth.Flash{{Category: "info", Text: "hello"}}
	for name, header := range unasked {
		c := app.Client(t)
		c.Get("/a")
		shown(t, c)
		c.Get("/flash")
		r := c.Do("GET", "/flashes", nil, header)
		var got []auth.Flash
		if err := json.Unmarshal([]byte(r.Text), &got); err != nil || !slices.Equal(got, hello) {
			t.Errorf("%s sees %s", name, r.Text)
		}
		if r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: a page with messages may be cached: %v", name, r.Header)
		}
		c.Do("HEAD", "/flashes", nil, nil)
		if r := c.Do("GET", "/take", nil, header); r.Text != "/a" || len(r.Cookies()) > 0 {
			t.Errorf("%s takes %q, cookies %v", name, r.Text, r.Cookies())
		}
		if got := shown(t, c); !slices.Equal(got, hello) {
			t.Errorf("after %s: %v", name, got)
		}
		if r := c.Post("/take"); r.Text != "/a" {
			t.Errorf("after %s the next page is %q", name, r.Text)
		}
	}
	for name, header := range asked {
		c := app.Client(t)
		c.Get("/flash")
		c.Do("GET", "/flashes", nil, header)
		if got := shown(t, c); len(got) > 0 {
			t.Errorf("after %s: %v", name, got)
		}
	}
	// A script that sends a form acts for the user.
	c := app.Client(t)
	c.Get("/flash")
	c.Do("POST", "/flashes", url.Values{}, http.Header{"Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"same-origin"}})
	if got := shown(t, c); len(got) > 0 {
		t.Errorf("after a script's form: %v", got)
	}
}

// The request counts as the browser sent it, even if a router has changed a HEAD into a
// GET.
func TestPrefetchAsSent(t *testing.T) {
	t.Parallel()
	app := personApp(t)
	app.Mux.HandleFunc("/routed", func(w http.ResponseWriter, r *http.Request) {
		get := r.Clone(r.Context())
		get.Method = http.MethodGet
		app.RequireLogin(http.NotFoundHandler()).ServeHTTP(w, get)
	})
	if r := app.Client(t).Do("HEAD", "/routed", nil, nil); r.StatusCode != http.StatusSeeOther || len(r.Cookies()) > 0 {
		t.Errorf("%s, cookies %v", r.Status, r.Cookies())
	}
}
