package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

func TestRequireFresh(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		login func(*testing.T, *testapp.App, *testapp.Client, *testapp.User)
		fresh bool
	}{
		"password": {func(t *testing.T, _ *testapp.App, c *testapp.Client, _ *testapp.User) {
			if r := c.Post("/login", "login", "susan", "password", testapp.Password); r.StatusCode != http.StatusOK {
				t.Fatal(r.Status)
			}
		}, true},
		"LoginUser": {func(t *testing.T, a *testapp.App, c *testapp.Client, u *testapp.User) { a.Enter(t, c, u) }, true},
		"Stale()": {func(t *testing.T, a *testapp.App, c *testapp.Client, u *testapp.User) {
			a.Enter(t, c, u, auth.Stale())
		}, false},
		"Stale() and Remember": {func(t *testing.T, a *testapp.App, c *testapp.Client, u *testapp.User) {
			a.Enter(t, c, u, auth.Stale(), auth.Remember(true))
		}, false},
		"the first login of a remembered device": {func(t *testing.T, a *testapp.App, c *testapp.Client, u *testapp.User) {
			a.Enter(t, c, u, auth.Remember(true))
		}, true},
		"remembered": {func(t *testing.T, a *testapp.App, c *testapp.Client, u *testapp.User) {
			a.Enter(t, c, u, auth.Remember(true))
			c.Restart()
		}, false},
		"a stale login, and one with a password": {func(t *testing.T, a *testapp.App, c *testapp.Client, u *testapp.User) {
			a.Enter(t, c, u, auth.Stale())
			a.Enter(t, c, u)
		}, true},
		"one with a password, and a stale one": {func(t *testing.T, a *testapp.App, c *testapp.Client, u *testapp.User) {
			a.Enter(t, c, u)
			a.Enter(t, c, u, auth.Stale())
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, _ := newApp(t, func(c *auth.Config) { c.Session.IdleTimeout = -1 })
			u := member(t, app, "susan", testapp.Password)
			c := app.Client(t)
			test.login(t, app, c, u)
			if who := c.Who(); who != "susan" {
				t.Fatal(who)
			}
			at := app.Clock.Now()
			for _, age := range []time.Duration{0, time.Minute, 5 * time.Minute, 5*time.Minute + time.Millisecond, time.Hour, 5 * time.Minute, -time.Minute, -time.Hour, 0} {
				app.Clock.Advance(at.Add(age).Sub(app.Clock.Now()))
				for path, want := range map[string]bool{
					"/fresh":  test.fresh,
					"/fresh5": test.fresh && age <= 5*time.Minute && age >= -time.Minute, // if the clock was put back, the age is unknown
				} {
					r := c.Get(path)
					if got := r.StatusCode == http.StatusOK; got != want || !got && r.Header.Get("Location") != "/refresh?next="+url.QueryEscape(path) {
						t.Errorf("%s at %v: %s to %q", path, age, r.Status, r.Header.Get("Location"))
					}
				}
			}
			if l := app.LoginOf(t, c); l.Authenticated.IsZero() == test.fresh {
				t.Errorf("CurrentLogin says %v", l.Authenticated)
			}
		})
	}
}

// No login passes RequireFresh with a negative duration, whatever the clock says.
func TestRequireFreshNegative(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := member(t, app, "susan", "")
	c := app.Client(t)
	app.Enter(t, c, u)
	for _, back := range []time.Duration{0, time.Second, time.Hour} {
		app.Clock.Advance(-back)
		if r := c.Get("/never"); r.StatusCode != http.StatusSeeOther {
			t.Errorf("a negative maxAge, the clock put back %v: %s", back, r.Status)
		}
	}
}

func TestFreshErrors(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := member(t, app, "susan", "")
	check := func(c *testapp.Client) (err error) {
		app.Act(c, nil, func(_ http.ResponseWriter, r *http.Request) { err = app.Check(r.Context(), auth.Fresh(0)) })
		return err
	}
	c := app.Client(t)
	if err := check(c); !errors.Is(err, auth.ErrNotLoggedIn) {
		t.Errorf("without a login: %v", err)
	}
	app.Enter(t, c, u)
	if err := check(c); err != nil {
		t.Errorf("fresh: %v", err)
	}
	app.Enter(t, c, u, auth.Stale())
	if err := check(c); !errors.Is(err, auth.ErrNotFresh) || errors.Is(err, auth.ErrNotLoggedIn) {
		t.Errorf("stale: %v", err)
	}
	if err := app.Check(t.Context(), auth.Fresh(0)); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("outside: %v", err)
	}
	app.Spy().Hook(on("LoadUser", func() error { return errStore }), nil)
	if err := check(c); !errors.Is(err, errStore) {
		t.Errorf("a store that fails: %v", err)
	}
	app.Spy().Hook(on("LoadUser", func() error { return errStore }), nil)
	if r := c.Get("/fresh"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a store that fails: %s", r.Status)
	}
	app.Spy().Reset()
	h := app.RequireFresh(0)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it ran") }))
	if w := direct(t, h, "GET", "/", nil); w.Code != http.StatusInternalServerError {
		t.Errorf("outside: %d", w.Code)
	}
}

// Only credentials make a stale login fresh.
func TestOnlyCredentialsMakeALoginFresh(t *testing.T) {
	t.Parallel()
	for _, remember := range []bool{false, true} {
		app, _ := newApp(t, nil)
		u := member(t, app, "susan", testapp.Password)
		mike := member(t, app, "mike", "")
		c := app.Client(t)
		if remember {
			app.Enter(t, c, u, auth.Remember(true))
			c.Restart()
		} else {
			app.Enter(t, c, u, auth.Stale())
		}
		for _, step := range []struct {
			name string
			do   func() *testapp.Response
		}{
			{"a page", func() *testapp.Response { return c.Get("/who") }},
			{"a rotation", func() *testapp.Response { return c.Post("/renew") }},
			{"a write", func() *testapp.Response { return c.Post("/put", "key", "k", "value", "v") }},
			{"a touch", func() *testapp.Response { app.Clock.Advance(2 * time.Minute); return c.Get("/who") }},
			{"CheckPassword", func() *testapp.Response {
				return app.Act(c, nil, func(_ http.ResponseWriter, r *http.Request) {
					if ok, err := app.CheckPassword(r.Context(), u, testapp.Password); !ok || err != nil {
						t.Errorf("%v, %v", ok, err)
					}
				})
			}},
			{"a wrong Authenticate", func() *testapp.Response {
				return app.Act(c, nil, func(_ http.ResponseWriter, r *http.Request) {
					_, _ = app.Authenticate(r.Context(), "susan", "wrong password")
				})
			}},
			// SetPassword does not ask for the old password; your page must do that.
			{"SetPassword", func() *testapp.Response { return c.Post("/password", "password", "another good password") }},
		} {
			if r := step.do(); r.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", step.name, r.Status)
			}
			if app.IsFresh(t, c) {
				t.Errorf("remember=%v: %s made the login fresh", remember, step.name)
			}
			if who := c.Who(); who != "susan" {
				t.Fatalf("after %s: %q", step.name, who)
			}
		}
		app.Enter(t, c, mike)
		if !app.IsFresh(t, c) {
			t.Error("another user's login is not fresh")
		}
	}
}

// A change of password leaves the age of a login unchanged.
func TestSetPasswordKeepsTheAge(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := member(t, app, "susan", "")
	c := app.Client(t)
	app.Enter(t, c, u)
	app.Clock.Advance(4 * time.Minute)
	if r := c.Post("/password", "password", "another good password"); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
	if !app.IsFresh(t, c) || c.Get("/fresh5").StatusCode != http.StatusOK {
		t.Error("not fresh after the change")
	}
	app.Clock.Advance(time.Minute + time.Second)
	if c.Get("/fresh5").StatusCode == http.StatusOK {
		t.Error("the change of password made the login younger")
	}
}

// The answers of RequireFresh to each kind of client.
func TestNotFreshAnswers(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	own := app.Server.URL
	host := strings.TrimPrefix(own, "http://")
	port := host[strings.LastIndexByte(host, ':')+1:]
	u := member(t, app, "susan", "")
	c := app.Client(t)
	app.Enter(t, c, u, auth.Stale())
	app.Events()
	if r := c.Get("/fresh?a=1&b=%2F"); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/refresh?next="+url.QueryEscape("/fresh?a=1&b=%2F") || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a browser: %s %v", r.Status, r.Header)
	}
	events := app.Events()
	if len(events) != 1 || events[0].Kind != auth.EventAccessDenied || events[0].UserID != u.ID || !errors.Is(events[0].Err, auth.ErrNotFresh) {
		t.Errorf("events %+v", events)
	}
	if r := app.Client(t).Get("/fresh?a=1"); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/login?next="+url.QueryEscape("/fresh?a=1") {
		t.Errorf("without a login: %s %v", r.Status, r.Header)
	}
	r := c.Do("GET", "/fresh", nil, http.Header{"Accept": {"application/json"}})
	if r.StatusCode != http.StatusUnauthorized || r.Header.Get("Location") != "" || r.Header.Get("WWW-Authenticate") == "" || !strings.Contains(r.Text, `"code":"not-fresh"`) {
		t.Errorf("JSON: %s %q", r.Status, r.Text)
	}
	r = c.Do("GET", "/fresh", nil, http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {own + "/page?x=1"}})
	if r.StatusCode != http.StatusUnauthorized || r.Header.Get("HX-Redirect") != "/refresh?next="+url.QueryEscape("/page?x=1") {
		t.Errorf("htmx: %s %v", r.Status, r.Header)
	}
	for referer, next := range map[string]string{
		own + "/form?id=7#top":                   "/form?id=7",
		own + "/":                                "/",
		own:                                      "/",
		"http://localhost:" + port + "/form":     "/form", // all names of the loopback address count as one
		"":                                       "",
		"https://evil.example/form":              "",
		"https://" + host + "/form":              "",
		own + ".evil.example/form":               "",
		"http://evil.example/" + own + "/form":   "",
		"http://" + host + "@evil.example/form":  "",
		"http://evil.example#@" + host + "/form": "",
		own + "//evil.example/form":              "",
		own + `/\evil.example`:                   "/%5Cevil.example",
		own + "/%zz":                             "",
		"//" + host + "/form":                    "",
		"/form":                                  "",
		"http://127.0.0.1:1/form":                "",
		"http://127.0.0.1.evil.example:" + port:  "",
		"javascript:alert(1)":                    "",
		"about:client":                           "",
		"null":                                   "",
		own + "/" + strings.Repeat("a", 3000):    "",
	} {
		want := "/refresh"
		if next != "" {
			want += "?next=" + url.QueryEscape(next)
		}
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			header := http.Header{}
			if referer != "" {
				header.Set("Referer", referer)
			}
			r := c.Do(method, "/fresh", url.Values{}, header)
			if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != want {
				t.Errorf("%s from %.80q: %s to %q, not %q", method, referer, r.Status, r.Header.Get("Location"), want)
			}
		}
		// A GET returns to its own page, whatever its Referer.
		if r := c.Do("GET", "/fresh", nil, http.Header{"Referer": {referer}}); r.Header.Get("Location") != "/refresh?next=%2Ffresh" {
			t.Errorf("GET from %.80q: %q", referer, r.Header.Get("Location"))
		}
	}
}

func TestRefreshURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ login, refresh, want string }{
		{"", "", "/refresh"},
		{"/login", "", "/refresh"},
		{"/auth/login", "", "/auth/refresh"},
		{"/auth/login?from=/a/b", "", "/auth/refresh"},
		{"/a/b/", "", "/a/b/refresh"},
		{"/", "", "/refresh"},
		{"https://sso.example/in/login", "", "/refresh"},
		{"/auth/login", "/sudo", "/sudo"},
		{"/login", "/sudo?x=1", "/sudo?x=1"},
		{"/login", "https://sso.example/sudo", "https://sso.example/sudo"},
	} {
		cfg := goodConfig()
		cfg.URLs.Login, cfg.URLs.Refresh = test.login, test.refresh
		m, err := auth.New[*testapp.User](testapp.NewSpy(testapp.NewClock()), cfg)
		if err != nil || m.Config().URLs.Refresh != test.want {
			t.Errorf("%q, %q: %v", test.login, test.refresh, err)
		}
	}
	for _, bad := range []string{"refresh", "//evil.example", `/\evil`, "/a b", "/x#y", "javascript:x", "https:///x", "ftp://a.example/", "/%zz", "https://a.example/#x", "\n/"} {
		cfg := goodConfig()
		cfg.URLs.Refresh = bad
		if _, err := auth.New[*testapp.User](testapp.NewSpy(testapp.NewClock()), cfg); err == nil || !strings.Contains(err.Error(), "URLs.Refresh") {
			t.Errorf("URLs.Refresh %q: %v", bad, err)
		}
	}
	// An absolute URLs.Refresh is sent to browsers as it is.
	app, _ := newApp(t, func(c *auth.Config) { c.URLs.Refresh = "https://sso.example/sudo?x=1" })
	u := member(t, app, "susan", "")
	c := app.Client(t)
	app.Enter(t, c, u, auth.Stale())
	if r := c.Get("/fresh"); r.Header.Get("Location") != "https://sso.example/sudo?x=1&next=%2Ffresh" {
		t.Errorf("%q", r.Header.Get("Location"))
	}
}

// Goroutines of one request may check, confirm and write at the same time.
func TestFreshConcurrently(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := member(t, app, "susan", "")
	c := app.Client(t)
	app.Enter(t, c, u, auth.Stale())
	finish(t, func() {
		app.Act(c, nil, func(_ http.ResponseWriter, r *http.Request) {
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if err := app.ConfirmLogin(r.Context()); err != nil {
						t.Error(err)
					}
				})
				wg.Go(func() { _ = app.Check(r.Context(), auth.Fresh(time.Minute)) })
				wg.Go(func() { app.SessionData().Put(r.Context(), "k", "v") })
				wg.Go(func() { _, _ = app.CurrentLogin(r.Context()) })
			}
			wg.Wait()
		})
	})
	if !app.IsFresh(t, c) || c.Get("/get?key=k").Text != "v" {
		t.Error("not fresh, or the data is lost")
	}
}

// If an htmx request does not name a page of this site, the redirect gets no next.
func TestNotFreshHTMXForeignPage(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	h := app.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, auth.ErrNotFresh) }))
	for _, page := range []string{"", "https://evil.example/x", app.Server.URL + ".evil/x", "/x"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/x", nil)
		r.Header.Set("HX-Request", "true")
		r.Header.Set("HX-Current-URL", page)
		r.Header.Set("Referer", app.Server.URL+"/elsewhere")
		h.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized || w.Header().Get("HX-Redirect") != "/refresh" {
			t.Errorf("%q: %d to %q", page, w.Code, w.Header().Get("HX-Redirect"))
		}
	}
}
