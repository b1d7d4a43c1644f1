package auth_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// If a request is not for a page, the answer is 401 and no message is kept for a page.
func TestOnlyPagesAreRedirectedToTheLogin(t *testing.T) {
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
	// A script that accepts HTML gets the redirect.
	r := app.Client(t).Do(http.MethodGet, "/guarded", nil, http.Header{"Sec-Fetch-Dest": {"empty"}, "Accept": {"text/html"}})
	if r.StatusCode != http.StatusSeeOther {
		t.Error(r.Status)
	}
}

// A page that answers in its own way calls Check itself. ErrorPage writes the 401
// of a guard.
func TestApplicationCanAnswerItself(t *testing.T) {
	app, _ := stateApp(t, func(c *auth.Config) {
		c.ErrorPage = func(w http.ResponseWriter, _ *http.Request, status int, err error) {
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, "own: ", errors.Is(err, auth.ErrNotLoggedIn), errors.Is(err, auth.ErrNotFresh))
		}
	})
	app.Mux.HandleFunc("GET /own", func(w http.ResponseWriter, r *http.Request) {
		if err := app.Check(r.Context(), auth.Fresh(0)); err != nil {
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

func TestNextOfAPostIsTheFormsPage(t *testing.T) {
	app, _ := stateApp(t, nil)
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

func TestRedirectsIgnoreTheHost(t *testing.T) {
	app, _ := stateApp(t, nil)
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

// An ErrorPage shows the site's layout, which needs the user, the flashes and session
// data. All of them must work there, whatever has failed.
func TestErrorPageUsesTheSession(t *testing.T) {
	t.Parallel()
	var app *testapp.App
	var saw []error
	app, store := newApp(t, func(c *auth.Config) {
		c.ErrorPage = func(w http.ResponseWriter, r *http.Request, status int, _ error) {
			_, err := app.User(r.Context())
			saw = append(saw, err)
			_ = app.Flashes(r.Context())
			_ = app.SessionData().GetString(r.Context(), "theme")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "page")
		}
	})
	app.Create(t, "susan", false)
	app.Mux.HandleFunc("/fails", func(_ http.ResponseWriter, r *http.Request) {
		app.SessionData().Put(r.Context(), "k", "v")
	})
	app.Mux.HandleFunc("/error", func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, errStore) })
	c := app.Client(t)
	c.Login("susan")
	// ask does not use Do, because a panic in ErrorPage cuts the connection.
	ask := func(name, method, path string, header http.Header, status int) {
		t.Helper()
		h := cookieHeader(c.Cookies)
		for k, v := range header {
			h[k] = v
		}
		saw = nil
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("%s: ErrorPage panicked: %v", name, p)
			}
		}()
		if w := direct(t, app.Server.Config.Handler, method, path, h); w.Code != status || w.Body.String() != "page" {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
	}
	ask("Error", "GET", "/error", nil, 500)
	if len(saw) != 1 || saw[0] != nil {
		t.Errorf("the page of an error in a handler sees %v", saw)
	}
	ask("cross-origin", "POST", "/error", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403)
	store.Fail("UpdateRecord")
	ask("commit", "GET", "/fails", nil, 503)
	store.Fail("GetRecord")
	ask("read", "GET", "/guarded", nil, 503)
	if len(saw) != 1 || errors.Is(saw[0], auth.ErrNotLoggedIn) {
		t.Errorf("with an unreadable session the page shows no user: %v", saw)
	}
}

// If the session could not be read, the ErrorPage must not make a new one.
func TestErrorPageAfterReadFailureStoresNothing(t *testing.T) {
	t.Parallel()
	var app *testapp.App
	app, store := newApp(t, func(c *auth.Config) {
		c.ErrorPage = func(w http.ResponseWriter, r *http.Request, status int, _ error) {
			app.SessionData().Put(r.Context(), "seen", "error page")
			w.WriteHeader(status)
		}
	})
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	store.Fail("GetRecord")
	if r := c.Get("/who"); r.StatusCode != http.StatusServiceUnavailable || len(r.Cookies()) > 0 {
		t.Errorf("%s %v", r.Status, r.Cookies())
	}
	store.Reset()
	if who := c.Who(); who != "susan" {
		t.Errorf("afterwards %s", who)
	}
}

// With Credentials, too, ErrorPage is called once for a refused or failed request. It
// may write to the session, without effect.
func TestErrorPageWithCredentials(t *testing.T) {
	t.Parallel()
	var app *testapp.App
	pages := 0
	app, _ = newApp(t, func(c *auth.Config) {
		c.Credentials = []auth.Credential{byHeader()}
		c.ErrorPage = func(w http.ResponseWriter, r *http.Request, status int, _ error) {
			pages++
			app.SessionData().Put(r.Context(), "k", "v")
			w.WriteHeader(status)
		}
	})
	u := member(t, app, "susan", "")
	for _, header := range []http.Header{{}, as(u)} {
		pages = 0
		header.Set("Sec-Fetch-Site", "cross-site")
		r := app.Client(t).Do("POST", "/act", nil, header)
		if r.StatusCode != http.StatusForbidden || pages != 1 || len(r.Header["Set-Cookie"]) > 0 {
			t.Errorf("cross-origin: %s, %d pages, cookies %v", r.Status, pages, r.Header["Set-Cookie"])
		}
		pages = 0
		app.Spy().Hook(on("GetRecord", func() error { return errStore }), nil)
		c := app.Client(t)
		c.Cookies["session-"+app.Server.URL[strings.LastIndexByte(app.Server.URL, ':')+1:]] = strings.Repeat("A", 43)
		r = c.Get("/who")
		app.Spy().Reset()
		if r.StatusCode != http.StatusServiceUnavailable || pages != 1 || len(r.Header["Set-Cookie"]) > 0 {
			t.Errorf("the store fails: %s, %d pages, cookies %v", r.Status, pages, r.Header["Set-Cookie"])
		}
	}
}

// Libraries that load parts of a page by script are told to load the login page as a
// whole. The next is the page that the user is on.
func TestScriptsLoadTheWholePage(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	var base string
	page := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the part") }
	for path, guard := range map[string]func(http.Handler) http.Handler{
		"/part": app.RequireLogin, "/part/fresh": app.RequireFresh(0), "/part/verified": app.RequireVerified, "/part/scope": app.RequireScope("read"),
	} {
		app.Mux.Handle(path, guard(http.HandlerFunc(page)))
	}
	base = app.Server.URL
	// The headers that their scripts send.
	turbo := http.Header{"Turbo-Frame": {"cart"}, "Accept": {"text/html, application/xhtml+xml"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"same-origin"}}
	stream := turbo.Clone()
	stream.Set("Accept", "text/vnd.turbo-stream.html, text/html, application/xhtml+xml")
	inertia := http.Header{"X-Inertia": {"true"}, "X-Inertia-Version": {"1"}, "X-Requested-With": {"XMLHttpRequest"}, "Accept": {"text/html, application/xhtml+xml"}, "Sec-Fetch-Dest": {"empty"}}
	partial := inertia.Clone()
	partial.Set("X-Inertia-Partial-Component", "Users")
	partial.Set("Accept", "application/json")
	boosted := http.Header{"Hx-Request": {"true"}, "Hx-Boosted": {"true"}, "Accept": {"*/*"}, "Sec-Fetch-Dest": {"empty"}}
	// target returns where the answer sends the whole page.
	target := func(name string, r *testapp.Response) string {
		h := r.Header
		switch {
		case h.Get("HX-Redirect") != "":
			return h.Get("HX-Redirect")
		case h.Get("X-Inertia-Location") != "" && r.StatusCode == http.StatusConflict:
			return h.Get("X-Inertia-Location")
		case strings.Contains(r.Text, `<meta name="turbo-visit-control" content="reload">`) && r.StatusCode >= 400:
			_, text, _ := strings.Cut(r.Text, `<meta http-equiv="refresh" content="0; url=`)
			text, _, ok := strings.Cut(text, `">`)
			if ok {
				return html.UnescapeString(text)
			}
		}
		t.Errorf("%s: the answer leads nowhere: %s %v %s", name, r.Status, h, r.Text)
		return ""
	}
	for name, kind := range map[string]struct{ header http.Header }{
		"Turbo": {turbo}, "Turbo streams": {stream}, "Inertia": {inertia}, "Inertia, partial": {partial}, "hx-boost": {boosted},
	} {
		for from, next := range map[string]string{
			base + "/page?a=1&b=%2F":        "?next=" + url.QueryEscape("/page?a=1&b=%2F"),
			base + "/page":                  "?next=%2Fpage",
			base:                            "?next=%2F",
			base + "/login?next=%2Fpage":    "?next=%2Fpage",
			"":                              "",
			"https://evil.example/page":     "",
			base + "//evil.example/":        "",
			base + "@evil.example/":         "",
			base + ".evil.example/page":     "",
			"javascript:alert(1)":           "",
			base + "/\"><script>alert(1)</": "",
		} {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				header := kind.header.Clone()
				if from != "" {
					header.Set("Referer", from)
					header.Set("Hx-Current-Url", from)
				}
				c := app.Client(t)
				r := c.Do(method, "/part?x=1", nil, header)
				got := target(name, r)
				if strings.Contains(from, "script>") { // the path must be escaped
					u, err := url.Parse(got)
					if err != nil || u.Path != "/login" || strings.Contains(r.Text, "<script") || strings.ContainsAny(u.Query().Get("next"), `"<>`) {
						t.Errorf("%s from %q: %q\n%s", name, from, got, r.Text)
					}
				} else if got != "/login"+next {
					t.Errorf("%s, %s from %q: leads to %q", name, method, from, got)
				}
				if r.Header.Get("Location") != "" || r.Header.Get("Cache-Control") != "no-store" || strings.Contains(r.Text, "part") {
					t.Errorf("%s, %s: %s %v %s", name, method, r.Status, r.Header, r.Text)
				}
				if _, flash := cookieNamed(c, "-flash"); flash == "" {
					t.Errorf("%s, %s: no message waits for the login page", name, method)
				}
			}
		}
	}
	// The other guards answer alike.
	app.Create(t, "susan", false)
	login := app.Client(t)
	login.Post("/enter", "login", "susan", "remember", "yes")
	login.Restart()
	for path, want := range map[string]string{"/part/fresh": "/refresh?next=%2Fpage", "/part/verified": "/verify-email?next=%2Fpage", "/part/scope": "/login?next=%2Fpage"} {
		for name, header := range map[string]http.Header{"Turbo": turbo, "Inertia": inertia, "hx-boost": boosted} {
			h := header.Clone()
			h.Set("Referer", base+"/page")
			h.Set("Hx-Current-Url", base+"/page")
			c := login
			if path == "/part/scope" {
				c = app.Client(t)
				h.Set("Accept", "text/html")
			}
			if got := target(name+" "+path, c.Do("GET", path, nil, h)); got != want {
				t.Errorf("%s, %s: leads to %q", name, path, got)
			}
		}
	}
}

// When htmx restores a page from the history, it shows the answer as the whole page and
// ignores HX-Redirect.
func TestHistoryIsRestoredAsAPage(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	for _, header := range []http.Header{
		{"Hx-Request": {"true"}, "Hx-History-Restore-Request": {"true"}, "Hx-Current-Url": {app.Server.URL + "/guarded?a=1"}, "Accept": {"*/*"}, "Sec-Fetch-Dest": {"empty"}},
		{"Hx-History-Restore-Request": {"true"}, "Sec-Fetch-Dest": {"empty"}},
	} {
		r := app.Client(t).Do("GET", "/guarded?a=1", nil, header)
		if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/login?next=%2Fguarded%3Fa%3D1" || r.Header.Get("HX-Redirect") != "" {
			t.Errorf("%v: %s %v", header, r.Status, r.Header)
		}
	}
}

// With NextInCookie, the URL that the script gets does not contain the URL of the page.
func TestScriptsWithNextInCookie(t *testing.T) {
	t.Parallel()
	app, _ := nextApp(t, nil)
	for name, header := range map[string]http.Header{"Turbo": {"Turbo-Frame": {"cart"}}, "Inertia": {"X-Inertia": {"true"}}, "htmx": {"Hx-Request": {"true"}}} {
		header.Set("Referer", app.Server.URL+"/page?secret=1")
		header.Set("Hx-Current-Url", app.Server.URL+"/page?secret=1")
		c := app.Client(t)
		r := c.Do("GET", "/a", nil, header)
		if strings.Contains(fmt.Sprint(r.Header, r.Text), "secret") {
			t.Errorf("%s: %v %s", name, r.Header, r.Text)
		}
		if r := c.Post("/take"); r.Text != "/page?secret=1" {
			t.Errorf("%s: next is %q", name, r.Text)
		}
	}
}

func TestErrorStatuses(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	for _, test := range []struct {
		err    error
		status int
		retry  bool
	}{
		{auth.ErrInvalidCredentials, 401, false},
		{fmt.Errorf("x: %w", auth.ErrDisabled), 401, false},
		{auth.ErrCrossOrigin, 403, false},
		{fmt.Errorf("x: %w", &http.MaxBytesError{Limit: 1}), 413, false},
		{auth.ErrBusy, 503, true},
		{context.Canceled, 503, true},
		{context.DeadlineExceeded, 503, true},
		{auth.ErrNoSession, 500, false},
		{auth.ErrHeaderWritten, 500, false},
		{auth.ErrUserNotFound, 404, false},
		{errors.New("secret detail"), 500, false},
		{auth.ErrLoggedOut, 303, false},
	} {
		for _, accept := range []string{"text/html", "application/json"} {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/x", nil)
			r.Header.Set("Accept", accept)
			app.Error(w, r, test.err)
			status := test.status
			if status == 303 && accept != "text/html" {
				status = 401
			}
			if w.Code != status || (w.Header().Get("Retry-After") != "") != test.retry || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%v: %d %v", test.err, w.Code, w.Header())
			}
			if strings.Contains(w.Body.String(), "secret detail") || strings.Contains(w.Body.String(), "auth:") {
				t.Errorf("%v: the body says why: %s", test.err, w.Body)
			}
			if status != 303 && w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%v: %v", test.err, w.Header())
			}
		}
	}
	if !strings.Contains(app.Logs(), "secret detail") {
		t.Error("the log does not say why")
	}
}

// If the application calls Error with nil by mistake, the answer is 500 and not a cut
// connection.
func TestErrorOfNil(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("Error(nil) panics: %v", p)
		}
	}()
	w := httptest.NewRecorder()
	app.Error(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), nil)
	if w.Code != http.StatusInternalServerError {
		t.Errorf("%d", w.Code)
	}
}

// No error page contains what the user typed.
func TestErrorPagesSayNothing(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	member(t, app, "alice", testapp.Password)
	store.Hook(func(string) error { return fmt.Errorf("dial tcp 10.0.0.1: password=%s: %w", "dsn-password", errStore) }, nil)
	r := app.Client(t).Post("/login", "login", "alice", "password", "typed-password-x")
	if r.StatusCode != http.StatusServiceUnavailable || strings.Contains(r.Text, "password") || strings.Contains(r.Text, "alice") || strings.Contains(r.Text, "10.0.0.1") {
		t.Errorf("%s %s", r.Status, r.Text)
	}
}
