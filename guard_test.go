package auth_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

func TestDeniedEventSaysWhy(t *testing.T) {
	app, _ := stateApp(t, nil)
	c := app.Client(t)
	c.Get("/guarded")
	if e := expectEvents(t, app, auth.EventAccessDenied); len(e) == 1 && (!errors.Is(e[0].Err, auth.ErrNotLoggedIn) || e[0].UserID != "") {
		t.Errorf("%+v", e[0])
	}
	c.Post("/as/stale")
	app.Events()
	c.Get("/sensitive")
	if e := expectEvents(t, app, auth.EventAccessDenied); len(e) == 1 && (!errors.Is(e[0].Err, auth.ErrNotFresh) || e[0].UserID == "") {
		t.Errorf("%+v", e[0])
	}
}

// messageApp has GET /flashes, which shows the waiting messages.
func messageApp(t *testing.T, configure func(*auth.Config)) *testapp.App {
	t.Helper()
	app, _ := newApp(t, configure)
	app.Mux.HandleFunc("GET /flashes", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(app.Flashes(r.Context()))
	})
	return app
}

func TestMessages(t *testing.T) {
	t.Parallel()
	app := messageApp(t, nil)
	u := member(t, app, "susan", "")
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
		"a form":            {false, func(c *testapp.Client) { c.Post("/guarded") }, []auth.Flash{notSaved(loginMessage)}},
		"a form, not fresh": {true, func(c *testapp.Client) { c.Post("/fresh") }, []auth.Flash{notSaved(refreshMessage)}},
		"often":             {false, func(c *testapp.Client) { c.Get("/guarded"); c.Get("/fresh") }, []auth.Flash{loginMessage}},
		"both": {true, func(c *testapp.Client) {
			c.Get("/fresh")
			c.Post("/logout")
			c.Get("/guarded")
			c.Get("/fresh")
		}, []auth.Flash{refreshMessage}},
		"a login that has ended": {true, func(c *testapp.Client) {
			_ = app.LogoutEverywhere(t.Context(), u)
			c.Get("/guarded")
		}, []auth.Flash{endedMessage}},
		"a form in a login that has ended": {true, func(c *testapp.Client) {
			_ = app.LogoutEverywhere(t.Context(), u)
			c.Post("/guarded")
		}, []auth.Flash{notSaved(endedMessage)}},
		"a login that was too old": {true, func(c *testapp.Client) {
			app.Clock.Advance(25 * time.Hour)
			c.Get("/guarded")
		}, []auth.Flash{endedMessage}},
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
			app.Enter(t, c, u, auth.Stale())
		}
		test.send(c)
		if got := shown(t, c); !slices.Equal(got, test.expect) {
			t.Errorf("%s: %v", name, got)
		}
		if got := shown(t, c); len(got) > 0 {
			t.Errorf("%s: shown twice: %v", name, got)
		}
	}
	if m := auth.DefaultMessage(nil, auth.ErrLoggedOut); m != endedMessage {
		t.Errorf("%v", m)
	}
}

// Config.Message may return a text of your own, in the language of the request, or
// none.
func TestMessageHook(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var reasons []error
	var app *testapp.App
	app = messageApp(t, func(c *auth.Config) {
		c.Message = func(r *http.Request, reason error) auth.Flash {
			mu.Lock()
			reasons = append(reasons, reason)
			mu.Unlock()
			u, ok := app.CurrentUser(r.Context()) // the hook may ask for the user
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
	u := member(t, app, "susan", "")
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
			app.Enter(t, c, u, auth.Stale())
		}
		reasons = nil
		if r := c.Do("GET", test.path, nil, http.Header{"Accept-Language": {test.language}}); r.StatusCode != http.StatusSeeOther {
			t.Errorf("%s in %q: %s", test.path, test.language, r.Status)
		}
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
	// A program gets the text as the title of its Problem. Other clients get no message.
	for accept, want := range map[string]int{"application/json": 1, "image/png": 0} {
		reasons = nil
		app.Client(t).Do("GET", "/guarded", nil, http.Header{"Accept": {accept}})
		if len(reasons) != want {
			t.Errorf("%s: %v", accept, reasons)
		}
	}
}

// A refused request without a cookie asks no store, and leaves a message only with a person.
func TestRefusedRequestsAskNoStore(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	store.Reset()
	for name, test := range map[string]struct {
		header  http.Header
		cookies int
	}{
		"a person":   {http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, 1},
		"a prefetch": {http.Header{"Accept": {"text/html"}, "Sec-Purpose": {"prefetch"}}, 0},
		"an image":   {http.Header{"Accept": {"image/png"}, "Sec-Fetch-Dest": {"image"}}, 0},
		"a script":   {http.Header{"Accept": {"*/*"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}}, 0},
		"a program":  {http.Header{"Accept": {"application/json"}}, 0},
	} {
		r := app.Client(t).Do("GET", "/guarded", nil, test.header)
		if got := len(r.Cookies()); got != test.cookies || r.StatusCode < 300 {
			t.Errorf("%s: %s with %d cookies, want %d", name, r.Status, got, test.cookies)
		}
	}
	if calls := store.Calls(); len(calls) > 0 {
		t.Errorf("the store got %v", calls)
	}
}

// Another site would not show the message, so none is set.
func TestMessageForAbsoluteURLs(t *testing.T) {
	t.Parallel()
	app := messageApp(t, func(c *auth.Config) {
		c.URLs.Login, c.URLs.Refresh = "https://sso.example/login", "https://sso.example/sudo"
		c.URLs.LoginFor = map[string]string{"/fresh5": "/here"}
	})
	u := member(t, app, "susan", "")
	c := app.Client(t)
	for path, want := range map[string][]auth.Flash{"/guarded": nil, "/fresh": nil, "/fresh5": {loginMessage}} {
		c.Get(path)
		if got := shown(t, c); !slices.Equal(got, want) {
			t.Errorf("%s: %v", path, got)
		}
	}
	app.Enter(t, c, u, auth.Stale())
	r := c.Get("/fresh")
	if got := shown(t, c); len(got) > 0 || r.Header.Get("Location") != "https://sso.example/sudo?next=%2Ffresh" {
		t.Errorf("%v to %q", got, r.Header.Get("Location"))
	}
}

// The message joins those of the application, and expires like them.
func TestMessageAmongOthers(t *testing.T) {
	t.Parallel()
	app := messageApp(t, nil)
	c := app.Client(t)
	app.Act(c, nil, func(w http.ResponseWriter, r *http.Request) {
		_ = app.Flash(r.Context(), "danger", "first")
		_ = app.Flash(r.Context(), "danger", loginMessage.Text) // the same text in another category is another message
		app.Error(w, r, auth.ErrNotLoggedIn)
	})
	c.Get("/guarded")
	if got := shown(t, c); !slices.Equal(got, []auth.Flash{{Category: "danger", Text: "first"}, {Category: "danger", Text: loginMessage.Text}, notSaved(loginMessage)}) {
		t.Errorf("%v", got)
	}
	c.Get("/guarded")
	app.Clock.Advance(5 * time.Minute)
	if got := shown(t, c); len(got) > 0 {
		t.Errorf("five minutes later: %v", got)
	}
	// Outside LoadAndSave no message is kept, and the answer is the same.
	w := direct(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, auth.ErrNotLoggedIn) }), "GET", "/x", nil)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login?next="+url.QueryEscape("/x") || len(w.Header()["Set-Cookie"]) > 0 {
		t.Errorf("outside: %d %v", w.Code, w.Header())
	}
}

func TestRequireLogin(t *testing.T) {
	t.Parallel()
	long := "/" + strings.Repeat("a", 2100)
	for _, test := range []struct {
		name, method, path string
		login              string
		header             http.Header
		status             int
		location, hx       string
		json               bool
	}{
		{name: "browser", path: "/index?a=1", status: 303, location: "/login?next=%2Findex%3Fa%3D1"},
		{name: "HEAD", method: "HEAD", path: "/index?a=1", status: 303, location: "/login?next=%2Findex%3Fa%3D1"},
		{name: "POST", method: "POST", path: "/index?a=1", status: 303, location: "/login"},
		{name: "PUT", method: "PUT", path: "/index", status: 303, location: "/login"},
		{name: "escaped path", path: "/a%20b%2Fc%5Cd/%C3%A9", status: 303, location: "/login?next=%2Fa%2520b%252Fc%255Cd%2F%25C3%25A9"},
		{name: "odd query", path: "/x?q=%20&r=a+b&s=%26%3D&t", status: 303, location: "/login?next=%2Fx%3Fq%3D%2520%26r%3Da%2Bb%26s%3D%2526%253D%26t"},
		{name: "empty query", path: "/x?", status: 303, location: "/login?next=%2Fx%3F"},
		{name: "next of its own", path: "/x?next=//evil.example", status: 303, location: "/login?next=%2Fx%3Fnext%3D%2F%2Fevil.example"},
		{name: "too long", path: long, status: 303, location: "/login"},
		{name: "login with a query", login: "/in?lang=de", path: "/x", status: 303, location: "/in?lang=de&next=%2Fx"},
		{name: "absolute login", login: "https://sso.example/in", path: "/x?a=1", status: 303, location: "https://sso.example/in?next=%2Fx%3Fa%3D1"},
		{name: "referer is not used", method: "POST", path: "/x", header: http.Header{"Referer": {"https://evil.example/"}}, status: 303, location: "/login"},
		{name: "html first", path: "/x", header: http.Header{"Accept": {"text/html,application/json"}}, status: 303, location: "/login?next=%2Fx"},
		{name: "any", path: "/x", header: http.Header{"Accept": {"*/*"}}, status: 303, location: "/login?next=%2Fx"},
		{name: "JSON", path: "/x", header: http.Header{"Accept": {"application/json"}}, status: 401, json: true},
		{name: "JSON of a kind", path: "/x", header: http.Header{"Accept": {"application/vnd.api+json"}}, status: 401, json: true},
		{name: "JSON sent", method: "POST", path: "/x", header: http.Header{"Content-Type": {"application/json"}}, status: 401, json: true},
		{name: "fetch", path: "/x", header: http.Header{"Sec-Fetch-Dest": {"empty"}, "Accept": {"*/*"}}, status: 401, json: true},
		{name: "htmx", path: "/part", header: http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {"https://app.example/page?a=1"}}, status: 401, hx: "/login?next=%2Fpage%3Fa%3D1"},
		{name: "htmx POST", method: "POST", path: "/part", header: http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {"https://app.example/page"}}, status: 401, hx: "/login?next=%2Fpage"},
		{name: "htmx root", path: "/part", header: http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {"https://app.example"}}, status: 401, hx: "/login?next=%2F"},
		{name: "htmx foreign", path: "/part", header: http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {"https://evil.example/page"}}, status: 401, hx: "/login"},
		{name: "htmx look-alike", path: "/part", header: http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {"https://app.example.evil.example/page"}}, status: 401, hx: "/login"},
		{name: "htmx userinfo", path: "/part", header: http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {"https://app.example@evil.example/page"}}, status: 401, hx: "/login"},
		{name: "htmx slashes", path: "/part", header: http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {"https://app.example//evil.example/"}}, status: 401, hx: "/login"},
		{name: "htmx backslash", path: "/part", header: http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {`https://app.example/\evil.example/`}}, status: 401, hx: "/login?next=%2F%255Cevil.example%2F"},
		{name: "htmx other scheme", path: "/part", header: http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {"http://app.example/page"}}, status: 401, hx: "/login"},
		{name: "htmx javascript", path: "/part", header: http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {"javascript:alert(1)"}}, status: 401, hx: "/login"},
		{name: "htmx without page", path: "/part", header: http.Header{"Hx-Request": {"true"}}, status: 401, hx: "/login"},
	} {
		app, _ := newApp(t, func(c *auth.Config) { atAppExample(c); c.URLs.Login = test.login })
		ran := false
		h := app.LoadAndSave(app.RequireLogin(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })))
		method := test.method
		if method == "" {
			method = "GET"
		}
		w := direct(t, h, method, test.path, test.header)
		head := w.Header()
		if ran || w.Code != test.status || head.Get("Location") != test.location || head.Get("HX-Redirect") != test.hx {
			t.Errorf("%s: %d, Location %q, HX-Redirect %q", test.name, w.Code, head.Get("Location"), head.Get("HX-Redirect"))
		}
		if head.Get("Cache-Control") != "no-store" || !slices.Equal(head["Vary"], []string{"Accept", "Cookie"}) {
			t.Errorf("%s: %v", test.name, head)
		}
		// A browser that is redirected to a page of this site finds a message there.
		told := strings.HasPrefix(test.location+test.hx, "/") && method != "HEAD" // a HEAD has no reader for a message
		if cookies := w.Result().Cookies(); len(cookies) > 1 || (len(cookies) == 1) != told || told && !strings.HasSuffix(cookies[0].Name, "-flash") {
			t.Errorf("%s: cookies %v", test.name, cookies)
		}
		if w.Code == 401 && head.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no challenge", test.name)
		}
		var answer auth.Problem
		if test.json && (json.Unmarshal(w.Body.Bytes(), &answer) != nil || answer.Code == "" || answer.Status != w.Code || answer.Title == "" || head.Get("Content-Type") != "application/problem+json") {
			t.Errorf("%s: %s", test.name, w.Body)
		}
		// The next is exactly the requested page.
		if u, err := url.Parse(test.location); err != nil {
			t.Error(err)
		} else if next := u.Query().Get("next"); next != "" && next != test.path {
			t.Errorf("%s: next is %q of %q", test.name, next, test.path)
		}
	}
}

// Guards guard every method: even an OPTIONS request would run the handler without a
// user.
func TestGuardsGuardEveryMethod(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	ran := ""
	data := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ran = r.Method
		_, _ = io.WriteString(w, "the data")
	})
	guards := map[string]func(http.Handler) http.Handler{
		"login": app.RequireLogin, "fresh": app.RequireFresh(0), "verified": app.RequireVerified, "scope": app.RequireScope("read"),
		"login and fresh": func(h http.Handler) http.Handler { return app.RequireLogin(app.RequireFresh(0)(h)) },
	}
	methods := []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "QUERY",
		"options", "Options", "OPTIONSX", "MADE-UP", "!", "",
	}
	headers := map[string]http.Header{
		"plain":     {},
		"a browser": {"Accept": {"text/html"}},
		"JSON":      {"Accept": {"application/json"}},
		"preflight": {"Origin": {"https://other.example"}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": {"authorization"}},
		"override":  {"X-Http-Method-Override": {"OPTIONS"}, "X-Method-Override": {"OPTIONS"}},
	}
	for name, guard := range guards {
		h := app.LoadAndSave(guard(data))
		for _, method := range methods {
			for kind, header := range headers {
				if kind == "preflight" && method != "OPTIONS" {
					continue // the cross-origin check refuses it first
				}
				ran = ""
				app.Events()
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/export", nil)
				r.Method, r.Header = method, header.Clone()
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if ran != "" || w.Code != http.StatusSeeOther && w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "data") {
					t.Errorf("%s, %q, %s: %d %q, and the handler ran with %q", name, method, kind, w.Code, w.Body, ran)
				}
				if events := app.Events(); len(events) != 1 || events[0].Kind != auth.EventAccessDenied {
					t.Errorf("%s, %q, %s: events %+v", name, method, kind, events)
				}
			}
		}
	}
	// A logged-in user passes the guards with every method.
	u := app.Create(t, "susan", false)
	a := u.Clone()
	a.EmailVerified = true
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	c.Login("susan")
	for name, guard := range guards {
		for _, method := range methods {
			if method == "" {
				continue // net/http's server takes it for no method
			}
			ran = ""
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/export", nil)
			r.Method, r.Header = method, cookieHeader(c.Cookies)
			w := httptest.NewRecorder()
			app.LoadAndSave(guard(data)).ServeHTTP(w, r)
			if ran != method || w.Code != http.StatusOK {
				t.Errorf("%s, %s, logged in: %d, and the handler ran with %q", name, method, w.Code, ran)
			}
		}
	}
}

func TestLoginURLs(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		c.URLs.LoginFor = map[string]string{
			"/admin": "/admin/login", "/admin/db/": "/db-login?x=1", "/shop/": "/shop/login", "/sso": "https://sso.example/in",
		}
	})
	app.Mux.Handle("/{any...}", app.RequireLogin(http.HandlerFunc(hello)))
	app.Mux.Handle("/recent", app.RequireFresh(time.Minute)(http.HandlerFunc(hello)))
	for path, want := range map[string]string{
		"/admin":             "/admin/login",
		"/admin/":            "/admin/login",
		"/admin/users":       "/admin/login",
		"/admin/db":          "/db-login?x=1",
		"/admin/db/":         "/db-login?x=1",
		"/admin/db/x":        "/db-login?x=1",
		"/admin/dbx":         "/admin/login",
		"/administrator":     "/login",
		"/admin.html":        "/login",
		"/Admin":             "/login",
		"/x/admin":           "/login",
		"/shop":              "/shop/login",
		"/shop/cart":         "/shop/login",
		"/shopping":          "/login",
		"/sso/x":             "https://sso.example/in",
		"/%61dmin/x":         "/admin/login",
		"/admin%2Fx":         "/admin/login",
		"/admi":              "/login",
		"/other?area=/admin": "/login",
	} {
		separator := "?"
		if strings.Contains(want, "?") {
			separator = "&"
		}
		r := app.Client(t).Get(path)
		if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != want+separator+"next="+url.QueryEscape(path) {
			t.Errorf("%s: %s to %q", path, r.Status, r.Header.Get("Location"))
		}
	}
	r := app.Client(t).Do("GET", "/admin/x", nil, http.Header{"Hx-Request": {"true"}})
	if r.Header.Get("HX-Redirect") != "/admin/login" {
		t.Errorf("htmx: %q", r.Header.Get("HX-Redirect"))
	}
	// The area may also be the whole site.
	whole, _ := newApp(t, func(c *auth.Config) { c.URLs.LoginFor = map[string]string{"/": "/in", "/guarded": "/here"} })
	whole.Mux.Handle("/{any...}", whole.RequireLogin(http.HandlerFunc(hello)))
	for path, want := range map[string]string{"/x": "/in", "/guarded": "/here"} {
		if r := whole.Client(t).Get(path); !strings.HasPrefix(r.Header.Get("Location"), want+"?") {
			t.Errorf("%s to %q", path, r.Header.Get("Location"))
		}
	}
}

// If two entries name the same area, it would be random where a browser is sent, so New
// refuses them.
func TestLoginURLsTwice(t *testing.T) {
	t.Parallel()
	cfg := goodConfig()
	cfg.URLs.LoginFor = map[string]string{"/admin": "/here", "/admin/": "/there"}
	if _, err := auth.New[*testapp.User](testapp.NewSpy(testapp.NewClock()), cfg); err == nil {
		t.Error("/admin and /admin/ have different pages")
	}
}
