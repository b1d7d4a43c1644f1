package auth_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// messageApp has GET /flashes, which shows what waits.
func messageApp(t *testing.T, configure func(*auth.Config)) *actApp {
	t.Helper()
	app := newActApp(t, configure)
	app.Mux.HandleFunc("GET /flashes", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(app.Flashes(r.Context()))
	})
	return app
}

var (
	loginMessage   = auth.Flash{Category: "info", Text: "Please log in to access this page."}
	refreshMessage = auth.Flash{Category: "info", Text: "Please confirm your password to access this page."}
)

func TestMessages(t *testing.T) {
	t.Parallel()
	app := messageApp(t, nil)
	u := member(t, app.App, "susan", "")
	app.Mux.Handle("/scope", app.RequireScope("x")(http.HandlerFunc(hello)))
	html, own := http.Header{"Accept": {"text/html"}}, app.Server.URL
	for name, test := range map[string]struct {
		login  bool
		send   func(*testapp.Client)
		expect []auth.Flash
	}{
		"RequireLogin":      {false, func(c *testapp.Client) { c.Get("/guarded") }, []auth.Flash{loginMessage}},
		"RequireFresh":      {true, func(c *testapp.Client) { c.Get("/fresh") }, []auth.Flash{refreshMessage}},
		"RequireFresh, out": {false, func(c *testapp.Client) { c.Get("/fresh") }, []auth.Flash{loginMessage}},
		"RequireScope":      {false, func(c *testapp.Client) { c.Do("GET", "/scope", nil, http.Header{"Accept": {"text/html"}}) }, []auth.Flash{loginMessage}},
		"a form":            {false, func(c *testapp.Client) { c.Post("/guarded") }, []auth.Flash{loginMessage}},
		"often":             {false, func(c *testapp.Client) { c.Get("/guarded"); c.Get("/fresh"); c.Post("/guarded") }, []auth.Flash{loginMessage}},
		"both": {true, func(c *testapp.Client) {
			c.Get("/fresh")
			c.Post("/logout")
			c.Get("/guarded")
			c.Get("/fresh")
		}, []auth.Flash{refreshMessage, loginMessage}},
		"htmx": {false, func(c *testapp.Client) {
			c.Do("GET", "/guarded", nil, http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {own + "/"}})
		}, []auth.Flash{loginMessage}},
		"JSON": {false, func(c *testapp.Client) { c.Do("GET", "/guarded", nil, http.Header{"Accept": {"application/json"}}) }, nil},
		"JSON, not fresh": {true, func(c *testapp.Client) {
			c.Do("GET", "/fresh", nil, http.Header{"Content-Type": {"application/json"}})
		}, nil},
		"fetch":                   {false, func(c *testapp.Client) { c.Do("GET", "/guarded", nil, http.Header{"Sec-Fetch-Dest": {"empty"}}) }, nil},
		"a page that lets him in": {true, func(c *testapp.Client) { c.Do("GET", "/guarded", nil, html) }, nil},
		"a page for all":          {false, func(c *testapp.Client) { c.Get("/who") }, nil},
		"an exempt method":        {false, func(c *testapp.Client) { c.Do("HEAD", "/", nil, nil) }, nil},
		"a wrong password":        {false, func(c *testapp.Client) { c.Post("/login", "login", "susan", "password", "wrong") }, nil},
	} {
		c := app.Client(t)
		if test.login {
			app.login(t, c, u, auth.Stale())
		}
		test.send(c)
		if got := shown(t, c); !slices.Equal(got, test.expect) {
			t.Errorf("%s: %v", name, got)
		}
		if got := shown(t, c); len(got) > 0 {
			t.Errorf("%s: shown twice: %v", name, got)
		}
	}
	if m := auth.DefaultMessage(nil, auth.ErrLoggedOut); m != loginMessage {
		t.Errorf("%v", m)
	}
}

// The application may say it in its own words, in the language of the request,
// or not at all.
func TestMessageHook(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var reasons []error
	var app *actApp
	app = messageApp(t, func(c *auth.Config) {
		c.Message = func(r *http.Request, reason error) auth.Flash {
			mu.Lock()
			reasons = append(reasons, reason)
			mu.Unlock()
			u, ok := app.CurrentUser(r.Context()) // it may ask
			switch {
			case r.Header.Get("Accept-Language") == "de" && errors.Is(reason, auth.ErrNotFresh) && ok:
				return auth.Flash{Category: "warnung", Text: "Bitte noch einmal, " + u.Username + "!"}
			case r.Header.Get("Accept-Language") == "de":
				return auth.Flash{Category: "warnung", Text: "Bitte anmelden: " + r.URL.Path}
			case r.Header.Get("Accept-Language") == "long":
				return auth.Flash{Category: strings.Repeat("c", 100), Text: strings.Repeat("ä", 1000)}
			case r.Header.Get("Accept-Language") == "none":
				return auth.Flash{Category: "info"}
			}
			return auth.DefaultMessage(r, reason)
		}
	})
	u := member(t, app.App, "susan", "")
	for _, test := range []struct {
		login          bool
		path, language string
		want           []auth.Flash
		reason         error
	}{
		{false, "/guarded", "de", []auth.Flash{{Category: "warnung", Text: "Bitte anmelden: /guarded"}}, auth.ErrNotLoggedIn},
		{false, "/fresh", "de", []auth.Flash{{Category: "warnung", Text: "Bitte anmelden: /fresh"}}, auth.ErrNotLoggedIn},
		{true, "/fresh", "de", []auth.Flash{{Category: "warnung", Text: "Bitte noch einmal, susan!"}}, auth.ErrNotFresh},
		{false, "/guarded", "none", nil, auth.ErrNotLoggedIn},
		{true, "/fresh", "none", nil, auth.ErrNotFresh},
		{false, "/guarded", "", []auth.Flash{loginMessage}, auth.ErrNotLoggedIn},
		{true, "/fresh", "", []auth.Flash{refreshMessage}, auth.ErrNotFresh},
		{false, "/guarded", "long", []auth.Flash{{Category: strings.Repeat("c", 64), Text: strings.Repeat("ä", 256)}}, auth.ErrNotLoggedIn},
	} {
		c := app.Client(t)
		if test.login {
			app.login(t, c, u, auth.Stale())
		}
		reasons = nil
		c.Do("GET", test.path, nil, http.Header{"Accept-Language": {test.language}})
		if len(reasons) != 1 || !errors.Is(reasons[0], test.reason) || test.reason != auth.ErrNotFresh && errors.Is(reasons[0], auth.ErrNotFresh) { //nolint:errorlint // which of the two the test is about
			t.Errorf("%s in %q: reasons %v", test.path, test.language, reasons)
		}
		if got := shown(t, c); !slices.Equal(got, test.want) {
			t.Errorf("%s in %q: %v", test.path, test.language, got)
		}
		if test.language == "none" {
			if name, _ := cookieNamed(c, "-flash"); name != "" {
				t.Error("a cookie for no message")
			}
		}
	}
	// Who is not sent anywhere is not asked about.
	reasons = nil
	app.Client(t).Do("GET", "/guarded", nil, http.Header{"Accept": {"application/json"}})
	if len(reasons) > 0 {
		t.Errorf("JSON: %v", reasons)
	}
}

// Another site would not show the message.
func TestMessageForAbsoluteURLs(t *testing.T) {
	t.Parallel()
	app := messageApp(t, func(c *auth.Config) {
		c.LoginURL, c.RefreshURL = "https://sso.example/login", "https://sso.example/sudo"
		c.LoginURLs = map[string]string{"/fresh5": "/here"}
	})
	u := member(t, app.App, "susan", "")
	c := app.Client(t)
	for path, want := range map[string][]auth.Flash{"/guarded": nil, "/fresh": nil, "/fresh5": {loginMessage}} {
		c.Get(path)
		if got := shown(t, c); !slices.Equal(got, want) {
			t.Errorf("%s: %v", path, got)
		}
	}
	app.login(t, c, u, auth.Stale())
	r := c.Get("/fresh")
	if got := shown(t, c); len(got) > 0 || r.Header.Get("Location") != "https://sso.example/sudo?next=%2Ffresh" {
		t.Errorf("%v to %q", got, r.Header.Get("Location"))
	}
}

// A message does not displace what the application has to say, and goes by
// itself.
func TestMessageAmongOthers(t *testing.T) {
	t.Parallel()
	app := messageApp(t, nil)
	c := app.Client(t)
	app.act(c, nil, func(w http.ResponseWriter, r *http.Request) {
		_ = app.Flash(r.Context(), "danger", "first")
		_ = app.Flash(r.Context(), "danger", loginMessage.Text) // of another category, it is another one
		app.Error(w, r, auth.ErrNotLoggedIn)
	})
	c.Get("/guarded")
	if got := shown(t, c); !slices.Equal(got, []auth.Flash{{Category: "danger", Text: "first"}, {Category: "danger", Text: loginMessage.Text}, loginMessage}) {
		t.Errorf("%v", got)
	}
	c.Get("/guarded")
	app.Clock.Advance(5 * time.Minute)
	if got := shown(t, c); len(got) > 0 {
		t.Errorf("five minutes later: %v", got)
	}
	// Outside LoadAndSave there is none, and the answer is the same.
	w := direct(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, auth.ErrNotLoggedIn) }), "GET", "/x", nil)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login?next="+url.QueryEscape("/x") || len(w.Header()["Set-Cookie"]) > 0 {
		t.Errorf("outside: %d %v", w.Code, w.Header())
	}
}
