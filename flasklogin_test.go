package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// The tests in this file are what Flask-Login's own tests show, and what is
// wrong in it, where no other test of ours shows it. docs/flask-login.md has the
// whole list.

// Person is the application's user type.
type Person struct {
	auth.Account
	Motto string
}

// newFlaskApp returns the application, for http.ListenAndServe.
func newFlaskApp(store auth.UserStore[*Person], secret []byte) (http.Handler, error) {
	manager, err := auth.New(store, auth.Config{ // LoginManager, its attributes and user_loader
		BaseURL: "https://app.example",
		Secrets: [][]byte{secret}, // SECRET_KEY
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		person, err := manager.Authenticate(r.Context(), r.PostFormValue("login"), r.PostFormValue("password"))
		if err == nil {
			err = manager.LoginUser(r.Context(), person, auth.Remember(r.PostFormValue("remember") != "")) // login_user
		}
		if errors.Is(err, auth.ErrLoginRefused) {
			_ = manager.Flash(r.Context(), "danger", "Wrong login or password.")
			auth.Next{}.Redirect(w, auth.NextFrom(r).AddTo("/login")) // login_url
			return
		}
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		manager.TakeNext(r).Redirect(w, "/") // no check of next is left to write
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.LogoutUser(r.Context()); err != nil { // logout_user
			manager.Error(w, r, err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.Handle("GET /motto", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // @login_required
		person, _ := manager.CurrentUser(r.Context()) // current_user
		_, _ = fmt.Fprintf(w, "%s says: %s", person.Username, person.Motto)
	})))
	return manager.LoadAndSave(mux), nil // init_app
}

func Example_flaskLogin() {
	app, err := newFlaskApp(memstore.New[Person](), []byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)"))
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/motto", nil))
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output: 303 /login?next=%2Fmotto
}

// flaskApp serves testapp with the pages that these tests ask, and has the users
// susan and mike.
func flaskApp(t *testing.T, configure func(*auth.Config)) (*testapp.App, *spyStore) {
	t.Helper()
	app, spy := newApp(t, configure)
	app.Create(t, "susan", false)
	app.Create(t, "mike", false)
	app.Mux.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, flaskState(r.Context(), app))
	})
	app.Mux.Handle("/sensitive", app.RequireFresh(0)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "granted")
	})))
	app.Mux.HandleFunc("POST /confirm", func(w http.ResponseWriter, r *http.Request) {
		if err := app.ConfirmLogin(r.Context()); err != nil {
			app.Error(w, r, err)
		}
	})
	// as logs in as susan, with one option, and says what the request is then.
	as := func(path string, option func(*http.Request) auth.LoginOption) {
		app.Mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			u, err := app.Store.FindUser(r.Context(), "susan")
			if err == nil {
				err = app.LoginUser(r.Context(), u, option(r))
			}
			if err != nil {
				app.Error(w, r, err)
				return
			}
			_, _ = fmt.Fprint(w, flaskState(r.Context(), app))
		})
	}
	as("/as/plain", func(*http.Request) auth.LoginOption { return nil })
	as("/as/stale", func(*http.Request) auth.LoginOption { return auth.Fresh(false) })
	as("/as/remembered", func(*http.Request) auth.LoginOption { return auth.Remember(true) })
	as("/as/for", func(r *http.Request) auth.LoginOption {
		d, err := time.ParseDuration(r.PostFormValue("for"))
		if err != nil {
			t.Error(err)
		}
		return auth.RememberFor(d)
	})
	app.Mux.HandleFunc("GET /flashes", func(w http.ResponseWriter, r *http.Request) {
		for _, f := range app.Flashes(r.Context()) {
			_, _ = fmt.Fprintf(w, "%s: %s\n", f.Category, f.Text)
		}
	})
	app.Mux.HandleFunc("GET /next", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, app.TakeNext(r))
	})
	app.Events()
	return app, spy
}

// flaskState says who makes a request, whether the login is fresh, and whether
// it is remembered.
func flaskState(ctx context.Context, app *testapp.App) string {
	u, ok := app.CurrentUser(ctx)
	if !ok {
		return "nobody"
	}
	state := u.Username + " fresh"
	if app.CheckFresh(ctx, 0) != nil {
		state = u.Username + " stale"
	}
	if l, err := app.CurrentLogin(ctx); err != nil {
		state += " " + err.Error()
	} else if l.Remembered {
		state += " remembered"
	}
	return state
}

// expectState asks who the application takes the browser for.
func expectState(t *testing.T, c *testapp.Client, header http.Header, want string) {
	t.Helper()
	if r := c.Do(http.MethodGet, "/state", nil, header); r.Text != want {
		t.Errorf("%s: %q, want %q", r.Status, r.Text, want)
	}
}

func expectEvents(t *testing.T, app *testapp.App, want ...auth.EventKind) []auth.Event {
	t.Helper()
	events := app.Events()
	if !slices.Equal(kinds(events), want) {
		t.Errorf("events %v, want %v", kinds(events), want)
	}
	return events
}

// expectSent expects a redirect.
func expectSent(t *testing.T, r *testapp.Response, want string) {
	t.Helper()
	if got := r.Header.Get("Location"); r.StatusCode != http.StatusSeeOther || got != want {
		t.Errorf("%s to %q, want %q", r.Status, got, want)
	}
}

func agent(name string) http.Header { return http.Header{"User-Agent": {name}} }

// flaskKeys configures a request loader that takes the user whose ID is in a
// header, as flaskKey makes it.
func flaskKeys(c *auth.Config) {
	c.RequestLoaders = []auth.RequestLoader{{Load: func(_ *auth.Core, r *http.Request) (auth.Grant, error) {
		return auth.Grant{UserID: r.Header.Get("X-User"), Method: "header"}, nil
	}}}
}

func flaskKey(id string) http.Header { return http.Header{"X-User": {id}} }

// Logging in and out.

func TestFlaskLoginIsFresh(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	expectState(t, c, nil, "nobody")
	if r := c.Post("/as/plain"); r.Text != "susan fresh" {
		t.Errorf("in the request that logs in: %q", r.Text)
	}
	expectState(t, c, nil, "susan fresh")
}

func TestFlaskLoginNotFresh(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	if r := c.Post("/as/stale"); r.Text != "susan stale" {
		t.Errorf("in the request that logs in: %q", r.Text)
	}
	expectState(t, c, nil, "susan stale")
	expectSent(t, c.Get("/sensitive"), "/refresh?next=%2Fsensitive")
}

func TestFlaskLoginRemembered(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	if r := c.Post("/as/remembered"); r.Text != "susan fresh remembered" {
		t.Errorf("in the request that logs in: %q", r.Text)
	}
	expectState(t, c, nil, "susan fresh remembered")
	c.Restart()
	expectState(t, c, nil, "susan stale remembered")
}

func TestFlaskLogoutOfNobody(t *testing.T) {
	app, _ := flaskApp(t, nil)
	if r := app.Client(t).Post("/logout"); r.StatusCode != http.StatusOK {
		t.Errorf("%s", r.Status)
	}
	expectEvents(t, app)
}

// An ID that is empty is no ID, and a login that fails is an error that cannot
// be mistaken.
func TestFlaskEmptyIDCannotLogIn(t *testing.T) {
	app, _ := flaskApp(t, nil)
	app.Mux.HandleFunc("POST /empty", func(_ http.ResponseWriter, r *http.Request) {
		if err := app.LoginUser(r.Context(), &testapp.User{}); err == nil {
			t.Error("no error")
		}
		if _, ok := app.CurrentUser(r.Context()); ok {
			t.Error("somebody is logged in")
		}
	})
	if r := app.Client(t).Post("/empty"); len(r.Cookies()) > 0 {
		t.Errorf("cookies %v", r.Cookies())
	}
}

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

func TestFlaskNextInCookie(t *testing.T) {
	for _, protection := range []auth.Protection{auth.ProtectOff, auth.ProtectStrong} {
		app, _ := flaskApp(t, func(c *auth.Config) { c.NextInCookie, c.Protection = true, protection })
		c := app.Client(t)
		expectSent(t, c.Get("/guarded?a=1"), "/login")
		c.Get("/who")
		if r := c.Get("/next"); r.Text != "/guarded?a=1" {
			t.Errorf("next %q", r.Text)
		}
		if r := c.Get("/next"); r.Text != "" {
			t.Errorf("taken twice: %q", r.Text)
		}
		c.Post("/as/stale")
		expectSent(t, c.Get("/sensitive"), "/refresh")
		if r := c.Get("/next"); r.Text != "/sensitive" {
			t.Errorf("next of the refresh page: %q", r.Text)
		}
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

func TestFlaskLoginURLKeepsQuery(t *testing.T) {
	next := auth.ParseNext("/protected?a=1&b=2")
	for u, want := range map[string]string{
		"/login":                  "/login?next=%2Fprotected%3Fa%3D1%26b%3D2",
		"/login?affil=cgnu":       "/login?affil=cgnu&next=%2Fprotected%3Fa%3D1%26b%3D2",
		"https://sso.example/log": "https://sso.example/log?next=%2Fprotected%3Fa%3D1%26b%3D2",
	} {
		if got := next.AddTo(u); got != want {
			t.Errorf("%s: %q, want %q", u, got, want)
		}
	}
}

func TestFlaskLoginURLWithoutNext(t *testing.T) {
	for _, text := range []string{"", "http://app.example/protected", "//evil.example/x"} {
		if got := auth.ParseNext(text).AddTo("/foo"); got != "/foo" {
			t.Errorf("%q: %q", text, got)
		}
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

// Remember me.

func TestFlaskRememberFor(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	r := c.Post("/as/for", "for", "7h")
	lasts := slices.ContainsFunc(r.Cookies(), func(cookie *http.Cookie) bool {
		return strings.HasSuffix(cookie.Name, "-remember") && cookie.MaxAge == 7*60*60
	})
	if !lasts {
		t.Errorf("cookies %v", r.Cookies())
	}
	for range 2 { // its use does not extend it
		app.Clock.Advance(3 * time.Hour)
		c.Restart()
		expectState(t, c, nil, "susan stale remembered")
	}
	app.Clock.Advance(time.Hour)
	kept := c.Clone()
	kept.Restart()
	expectState(t, kept, nil, "nobody")
}

func TestFlaskRememberForFromConfig(t *testing.T) {
	app, _ := flaskApp(t, func(c *auth.Config) { c.CookieName, c.RememberFor = "mine", 48*time.Hour })
	c := app.Client(t)
	for _, cookie := range c.Post("/as/remembered").Cookies() {
		if !strings.HasPrefix(cookie.Name, "mine-") || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
			t.Errorf("%v", cookie)
		}
		if strings.HasSuffix(cookie.Name, "-remember") && cookie.MaxAge != 48*60*60 {
			t.Errorf("lasts %d seconds", cookie.MaxAge)
		}
	}
	rememberCookie(t, c)
}

func TestFlaskRememberForIsChecked(t *testing.T) {
	for _, d := range []time.Duration{-1, 30, time.Minute - 1, 400*24*time.Hour + 1} {
		cfg := goodConfig()
		cfg.RememberFor = d
		if _, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg); err == nil {
			t.Errorf("New took a RememberFor of %v", d)
		}
	}
	app, _ := flaskApp(t, nil)
	for _, d := range []string{"0s", "-1h"} {
		if r := app.Client(t).Post("/as/for", "for", d); r.Text != "susan fresh" || len(r.Cookies()) != 1 {
			t.Errorf("RememberFor %s: %q, %v", d, r.Text, r.Cookies())
		}
	}
}

// A duration is that of one login.
func TestFlaskRememberForDoesNotStick(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	c.Post("/as/for", "for", "1h")
	c.Post("/as/remembered")
	app.Clock.Advance(29 * 24 * time.Hour)
	c.Restart()
	expectState(t, c, nil, "susan stale remembered")

	c.Post("/as/remembered")
	c.Post("/as/for", "for", "1h")
	app.Clock.Advance(time.Hour)
	c.Restart()
	expectState(t, c, nil, "nobody")
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

// A cookie is deleted with the attributes that it was set with, or browsers
// keep it.
func TestFlaskCookiesAreDeletedAsSet(t *testing.T) {
	for _, base := range []string{"https://app.example", "http://localhost:5000"} {
		app, _ := flaskApp(t, func(c *auth.Config) { c.BaseURL = base })
		c := app.Client(t)
		set := c.Post("/as/remembered").Cookies()
		deleted := c.Post("/logout").Cookies()
		if len(set) != 2 || len(deleted) != 2 {
			t.Fatalf("set %v, deleted %v", set, deleted)
		}
		for i, d := range deleted {
			s := set[i]
			if d.Name != s.Name || d.Path != s.Path || d.Domain != s.Domain || d.Secure != s.Secure ||
				d.HttpOnly != s.HttpOnly || d.SameSite != s.SameSite || d.MaxAge >= 0 || d.Value != "" {
				t.Errorf("%s: set %v, deleted %v", base, s, d)
			}
		}
	}
}

func TestFlaskResumeEvent(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	c.Post("/as/remembered")
	c.Restart()
	app.Events()
	expectState(t, c, nil, "susan stale remembered")
	if e := expectEvents(t, app, auth.EventLogin); len(e) == 1 && (e[0].Method != "remember" || e[0].UserID == "") {
		t.Errorf("%+v", e[0])
	}
}

// Any bytes in a cookie are those of nobody.
func TestFlaskHostileCookies(t *testing.T) {
	app, _ := flaskApp(t, func(c *auth.Config) {
		c.NextInCookie = true
		flaskKeys(c)
	})
	u, err := app.Store.FindUser(t.Context(), "mike")
	if err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	c.Get("/guarded")
	c.Post("/as/remembered")
	var names []string
	for _, cookie := range c.Issued {
		names = append(names, cookie.Name)
	}
	if len(names) != 4 {
		t.Fatalf("cookies %v", names)
	}
	for _, name := range names {
		for _, value := range []string{"foo", "1|\xc3\xa4", "1|\xff", "\"", "|", "%00", strings.Repeat("9", 7000)} {
			raw := http.Header{"Cookie": {name + "=" + value}}
			for path, want := range map[string]string{"/state": "nobody", "/flashes": "", "/next": ""} {
				if r := app.Client(t).Do(http.MethodGet, path, nil, raw); r.StatusCode != http.StatusOK || r.Text != want {
					t.Errorf("%s with %s=%.20q: %s %q", path, name, value, r.Status, r.Text)
				}
			}
			// Nor does it keep a request from bringing credentials of its own.
			raw.Set("X-User", u.ID)
			expectState(t, app.Client(t), raw, "mike stale")
		}
	}
}

// The cookie of an account that is gone leaves nothing behind.
func TestFlaskDeletedUsersCookie(t *testing.T) {
	app, spy := flaskApp(t, nil)
	u, err := app.Store.FindUser(t.Context(), "susan")
	if err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	c.Post("/as/remembered")
	c.Restart()
	store, ok := spy.Store.(*memStore)
	if !ok {
		t.Fatalf("%T", spy.Store)
	}
	if err := store.DeleteUser(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	spy.reset(0, false)
	if r := c.Get("/state"); r.Text != "nobody" || len(r.Cookies()) > 0 {
		t.Errorf("%q, cookies %v", r.Text, r.Cookies())
	}
	if slices.Contains(spy.Calls(), "insert") {
		t.Errorf("calls %v", spy.Calls())
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

// Confirming.

func TestFlaskConfirmLogin(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	c.Post("/as/remembered")
	c.Restart()
	expectState(t, c, nil, "susan stale remembered")
	app.Events()
	before := c.Clone()
	c.Post("/confirm")
	expectEvents(t, app, auth.EventConfirmed)
	expectState(t, c, nil, "susan fresh remembered")
	for name, value := range before.Cookies {
		if !strings.HasSuffix(name, "-remember") && c.Cookies[name] == value {
			t.Error("the token is the same")
		}
	}
}

// Nobody cannot be confirmed, and a request with a key of its own gains nothing
// by it.
func TestFlaskConfirmNeedsLogin(t *testing.T) {
	app, _ := flaskApp(t, flaskKeys)
	u, err := app.Store.FindUser(t.Context(), "susan")
	if err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	c.Post("/put", "key", "a", "value", "1") // a visitor's session
	expectSent(t, c.Post("/confirm"), "/login")
	for range 2 {
		if r := c.Do(http.MethodGet, "/sensitive", nil, flaskKey(u.ID)); r.Text == "granted" {
			t.Error("a key is fresh")
		}
		if r := c.Do(http.MethodPost, "/confirm", nil, flaskKey(u.ID)); r.StatusCode == http.StatusOK {
			t.Error("a key was confirmed")
		}
	}
}

// Session protection.

func protect(p auth.Protection) func(*auth.Config) {
	return func(c *auth.Config) { c.Protection = p }
}

func TestFlaskProtectionLetsTheOwnerThrough(t *testing.T) {
	for _, p := range []auth.Protection{auth.ProtectOff, auth.ProtectBasic, auth.ProtectStrong} {
		app, _ := flaskApp(t, protect(p))
		c := app.Client(t)
		c.Do(http.MethodPost, "/as/remembered", nil, agent("mine"))
		app.Events()
		for range 3 {
			expectState(t, c, agent("mine"), "susan fresh remembered")
		}
		expectEvents(t, app)
	}
}

func TestFlaskProtectionBasic(t *testing.T) {
	app, _ := flaskApp(t, protect(auth.ProtectBasic))
	c := app.Client(t)
	c.Do(http.MethodPost, "/as/remembered", nil, agent("mine"))
	app.Events()
	expectState(t, c, agent("different"), "susan stale remembered")
	expectEvents(t, app, auth.EventProtected)
	expectState(t, c, agent("different"), "susan stale remembered")
	expectState(t, c, agent("mine"), "susan stale remembered")
	expectEvents(t, app) // told of once
	c.Do(http.MethodPost, "/confirm", nil, agent("mine"))
	expectState(t, c, agent("mine"), "susan fresh remembered")
}

func TestFlaskProtectionStrong(t *testing.T) {
	app, _ := flaskApp(t, protect(auth.ProtectStrong))
	c := app.Client(t)
	c.Do(http.MethodPost, "/as/remembered", nil, agent("mine"))
	c.Do(http.MethodPost, "/put", url.Values{"key": {"foo"}, "value": {"bar"}}, agent("mine"))
	app.Events()
	if r := c.Do(http.MethodGet, "/get?key=foo", nil, agent("mine")); r.Text != "bar" {
		t.Fatalf("the session's data: %q", r.Text)
	}
	expectState(t, c, agent("different"), "nobody")
	expectEvents(t, app, auth.EventProtected)
	expectState(t, c, agent("mine"), "nobody") // not even with what it is remembered as
	if r := c.Do(http.MethodGet, "/get?key=foo", nil, agent("different")); r.Text != "" {
		t.Errorf("the session's data is still there: %q", r.Text)
	}
}

// A browser that comes back with the same user agent stays in. From another one, a
// remember cookie is looked at like a session: Basic lets it in, where it is not
// fresh anyway, and Strong ends it.
func TestFlaskProtectionAfterRestart(t *testing.T) {
	for _, p := range []auth.Protection{auth.ProtectBasic, auth.ProtectStrong} {
		app, _ := flaskApp(t, protect(p))
		c := app.Client(t)
		c.Do(http.MethodPost, "/as/remembered", nil, agent("old"))
		c.Restart()
		app.Events()
		for range 4 {
			expectState(t, c, agent("old"), "susan stale remembered")
		}
		expectEvents(t, app, auth.EventLogin)
		c.Restart()
		want, events := "susan stale remembered", []auth.EventKind{auth.EventProtected, auth.EventLogin}
		if p == auth.ProtectStrong {
			want, events = "nobody", events[:1]
		}
		for range 4 {
			expectState(t, c, agent("new"), want)
		}
		expectEvents(t, app, events...)
	}
}

// What a visitor has in the session does not cost a remembered login.
func TestFlaskProtectionSparesVisitors(t *testing.T) {
	for _, p := range []auth.Protection{auth.ProtectOff, auth.ProtectBasic, auth.ProtectStrong} {
		app, _ := flaskApp(t, protect(p))
		c := app.Client(t)
		c.Do(http.MethodPost, "/as/remembered", nil, agent("old"))
		c.Restart()
		for range 2 { // it asks nobody who it is
			c.Do(http.MethodPost, "/put", url.Values{"key": {"foo"}, "value": {"bar"}}, agent("old"))
		}
		if len(c.Cookies) != 2 {
			t.Fatalf("cookies %v", c.Cookies)
		}
		for range 3 {
			expectState(t, c, agent("old"), "susan stale remembered")
		}
		if r := c.Do(http.MethodGet, "/get?key=foo", nil, agent("old")); r.Text != "bar" {
			t.Errorf("the visitor's data: %q", r.Text)
		}
	}
}

func TestFlaskProtectionOfNobody(t *testing.T) {
	for _, p := range []auth.Protection{auth.ProtectOff, auth.ProtectBasic, auth.ProtectStrong} {
		app, spy := flaskApp(t, protect(p))
		c := app.Client(t)
		spy.reset(0, false)
		for _, path := range []string{"/", "/state"} {
			for _, name := range []string{"one", "another"} {
				if r := c.Do(http.MethodGet, path, nil, agent(name)); len(r.Cookies()) > 0 {
					t.Errorf("%s: cookies %v", path, r.Cookies())
				}
			}
		}
		expectEvents(t, app)
		if len(spy.Calls()) > 0 {
			t.Errorf("calls %v", spy.Calls())
		}
	}
}

// What a client says of its own address is not believed.
func TestFlaskForwardedForIsIgnored(t *testing.T) {
	app, _ := flaskApp(t, func(c *auth.Config) { c.Protection, c.ProtectAddress = auth.ProtectStrong, true })
	c := app.Client(t)
	c.Do(http.MethodPost, "/as/plain", nil, http.Header{"X-Forwarded-For": {"10.1.1.1"}})
	for _, from := range []string{"10.1.1.1", "10.1.1.1, 10.1.1.2", "192.0.2.7", ""} {
		expectState(t, c, http.Header{"X-Forwarded-For": {from}}, "susan fresh")
	}
	for _, e := range app.Events() {
		if e.Address != "127.0.0.1" {
			t.Errorf("%+v", e)
		}
	}
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

// Requests that bring credentials.

func TestFlaskRequestLoader(t *testing.T) {
	app, spy := flaskApp(t, flaskKeys)
	u, err := app.Store.FindUser(t.Context(), "mike")
	if err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	expectState(t, c, nil, "nobody")
	expectEvents(t, app)
	spy.reset(0, false)
	r := c.Do(http.MethodGet, "/state", nil, flaskKey(u.ID))
	if r.Text != "mike stale" || len(r.Cookies()) > 0 || spy.writes() > 0 {
		t.Errorf("%q, cookies %v, calls %v", r.Text, r.Cookies(), spy.Calls())
	}
	expectState(t, c, nil, "nobody") // the next request is its own

	app.Events()
	expectState(t, c, flaskKey("9000"), "nobody")
	if e := expectEvents(t, app, auth.EventLoginRefused); len(e) == 1 && !errors.Is(e[0].Err, auth.ErrUserNotFound) {
		t.Errorf("%+v", e[0])
	}
}

// A client that sends a key with each request gets no cookie, whatever the page
// does.
func TestFlaskRequestLoaderKeepsNothing(t *testing.T) {
	app, spy := flaskApp(t, flaskKeys)
	u, err := app.Store.FindUser(t.Context(), "mike")
	if err != nil {
		t.Fatal(err)
	}
	app.Mux.Handle("POST /keep", app.RequireLogin(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		app.Sessions().Put(r.Context(), "a", "1")
		if err := app.Flash(r.Context(), "info", "Hello."); err != nil {
			t.Error(err)
		}
	})))
	spy.reset(0, false)
	r := app.Client(t).Do(http.MethodPost, "/keep", nil, flaskKey(u.ID))
	if r.StatusCode != http.StatusOK || len(r.Cookies()) > 0 || spy.writes() > 0 {
		t.Errorf("%s, cookies %v, calls %v", r.Status, r.Cookies(), spy.Calls())
	}
}

// A key in the request has the last word, good or bad; without one it is who is
// logged in.
func TestFlaskRequestLoadersComeBeforeTheLogin(t *testing.T) {
	app, _ := flaskApp(t, flaskKeys)
	u, err := app.Store.FindUser(t.Context(), "mike")
	if err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	c.Post("/as/plain")
	for id, want := range map[string]string{"": "susan fresh", u.ID: "mike stale", "9000": "nobody"} {
		expectState(t, c, flaskKey(id), want)
	}
}

func TestFlaskBasicCredentials(t *testing.T) {
	app, _ := flaskApp(t, func(c *auth.Config) { c.RequestLoaders = []auth.RequestLoader{auth.BasicLoader("test")} })
	app.Create(t, "anna", true)
	for password, want := range map[string]string{testapp.Password: "anna stale", "a wrong password": "nobody"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/state", nil)
		r.SetBasicAuth("anna", password)
		if got := app.Client(t).Do(http.MethodGet, "/state", nil, r.Header); got.Text != want || len(got.Cookies()) > 0 {
			t.Errorf("%q, cookies %v", got.Text, got.Cookies())
		}
	}
}

// Templates.

func TestFlaskTemplateHasTheUser(t *testing.T) {
	app, _ := flaskApp(t, nil)
	page := template.Must(template.New("").Parse(`{{with .User}}Hi, {{.Username}}!{{else}}Log in{{end}} {{.Data}}`))
	app.Mux.HandleFunc("GET /page", func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		if err := page.Execute(&b, app.View(r, "<data>")); err != nil {
			t.Error(err)
		}
		_, _ = b.WriteTo(w)
	})
	c := app.Client(t)
	if r := c.Get("/page"); r.Text != "Log in &lt;data&gt;" {
		t.Errorf("%q", r.Text)
	}
	c.Post("/as/plain")
	if r := c.Get("/page"); r.Text != "Hi, susan! &lt;data&gt;" {
		t.Errorf("%q", r.Text)
	}
}

// The client for tests is what it says, under every protection.
func TestFlaskLoginClient(t *testing.T) {
	for _, p := range []auth.Protection{auth.ProtectOff, auth.ProtectBasic, auth.ProtectStrong} {
		app, _ := flaskApp(t, protect(p))
		u, err := app.Store.FindUser(t.Context(), "susan")
		if err != nil {
			t.Fatal(err)
		}
		for want, options := range map[string][]auth.LoginOption{
			"susan fresh":            nil,
			"susan stale":            {auth.Fresh(false)},
			"susan fresh remembered": {auth.Remember(true)},
		} {
			c := authtest.NewClient(t, app.Core, app.Server.Config.Handler)
			if r := c.Get("/state"); r.Text != "nobody" {
				t.Errorf("%q", r.Text)
			}
			c.Login(u, options...)
			for range 2 {
				if r := c.Get("/state"); r.Text != want || len(r.Cookies()) > 0 {
					t.Errorf("%q, want %q; cookies %v", r.Text, want, r.Cookies())
				}
			}
		}
	}
}
