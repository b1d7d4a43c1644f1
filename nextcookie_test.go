package auth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// nextApp keeps the next in a cookie. POST /take answers what TakeNext returns.
func nextApp(t *testing.T, configure func(*auth.Config)) (*testapp.App, *hookedStore) {
	t.Helper()
	app, store := hookedApp(t, func(c *auth.Config) {
		c.NextInCookie = true
		if configure != nil {
			configure(c)
		}
	})
	app.Mux.HandleFunc("/take", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, app.TakeNext(r))
	})
	for _, path := range []string{"/a", "/b", "/deep/{page...}"} {
		app.Mux.Handle(path, app.RequireLogin(http.HandlerFunc(hello)))
	}
	return app, store
}

// cookieNamed returns the browser's cookie whose name ends in that.
func cookieNamed(c *testapp.Client, suffix string) (name, value string) {
	for name, value := range c.Cookies {
		if strings.HasSuffix(name, suffix) {
			return name, value
		}
	}
	return "", ""
}

func TestNextInCookie(t *testing.T) {
	t.Parallel()
	app, store := nextApp(t, nil)
	c := app.Client(t)
	store.hook(nil, nil)
	r := c.Get("/deep/page?secret=1&x=%2F")
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/login" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s to %q", r.Status, r.Header.Get("Location"))
	}
	name, value := cookieNamed(c, "-next")
	for _, cookie := range r.Cookies() {
		if cookie.Name == name && (!cookie.HttpOnly || cookie.MaxAge != 0 || cookie.Path != "/" || cookie.SameSite != http.SameSiteLaxMode) {
			t.Errorf("cookie %v", cookie)
		}
	}
	if value == "" || strings.Contains(value, "deep") || strings.Contains(value, "secret") || wrote(store) {
		t.Errorf("cookie %q, calls %v", value, store.made())
	}
	copied := c.Clone()
	c.Do(http.MethodHead, "/take", nil, nil) // takes nothing
	r = c.Post("/take")
	if r.Text != "/deep/page?secret=1&x=%2F" {
		t.Errorf("taken: %q", r.Text)
	}
	if _, value := cookieNamed(c, "-next"); value != "" {
		t.Error("the cookie is still there")
	}
	if r := c.Post("/take"); r.Text != "" || len(r.Header["Set-Cookie"]) > 0 {
		t.Errorf("taken twice: %q, cookies %v", r.Text, r.Header["Set-Cookie"])
	}
	// It is good for an hour.
	app.Clock.Advance(time.Hour - time.Millisecond)
	if r := copied.Clone().Post("/take"); r.Text != "/deep/page?secret=1&x=%2F" {
		t.Errorf("before the hour is over: %q", r.Text)
	}
	app.Clock.Advance(time.Millisecond)
	if r := copied.Post("/take"); r.Text != "" || len(copied.Cookies) > 1 {
		t.Errorf("an hour later: %q, cookies %v", r.Text, copied.Cookies)
	}
}

func TestNextInCookieIsSecure(t *testing.T) {
	t.Parallel()
	app, _ := nextApp(t, atAppExample)
	w := direct(t, app.Server.Config.Handler, "GET", "https://app.example/a", nil)
	found := false
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-session-next" {
			found = c.Secure && c.HttpOnly && c.Path == "/" && c.Domain == ""
		}
	}
	if !found {
		t.Errorf("cookies %v", w.Header()["Set-Cookie"])
	}
}

// A login page that nobody asks from leaves the cookie alone; a failed attempt
// that does not take it, too.
func TestNextInCookieWaits(t *testing.T) {
	t.Parallel()
	app, _ := nextApp(t, nil)
	app.Create(t, "susan", true)
	c := app.Client(t)
	c.Get("/a")
	c.Get("/")
	c.Post("/login", "login", "susan", "password", "wrong password")
	c.Post("/login", "login", "susan", "password", testapp.Password)
	if r := c.Post("/take"); r.Text != "/a" {
		t.Errorf("%q", r.Text)
	}
}

// What is no cookie of ours is nothing, and goes.
func TestNextInCookieForged(t *testing.T) {
	t.Parallel()
	app, _ := nextApp(t, nil)
	susan := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Get("/a")
	name, good := cookieNamed(c, "-next")
	flashName, flashValue := cookieNamed(c, "-flash")
	if flashValue == "" {
		t.Fatal("no flash cookie")
	}
	reset, err := app.ResetToken(t.Context(), susan)
	if err != nil {
		t.Fatal(err)
	}
	foreign, _ := nextApp(t, func(c *auth.Config) { c.Secrets = [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo")} })
	fc := foreign.Client(t)
	fc.Get("/a")
	_, otherSecret := cookieNamed(fc, "-next")
	for what, value := range map[string]string{
		"a flash": flashValue, "a reset token": reset, "another secret's": otherSecret, "a path": "/a", "nothing": "", "garbage": "x!",
		"cut": good[:len(good)-1], "longer": good + "A", "padded": good + "=", "long": strings.Repeat("A", 3800), "another bit": "A" + good[1:],
	} {
		if value == good {
			continue
		}
		alone := app.Client(t)
		alone.Cookies[name] = value
		if r := alone.Post("/take"); r.StatusCode != http.StatusOK || r.Text != "" {
			t.Errorf("%s: %s %q", what, r.Status, r.Text)
		}
		if len(alone.Cookies) > 0 {
			t.Errorf("%s: the cookie is still there", what)
		}
		if r := alone.Post("/take", "next", "/form"); r.Text != "/form" {
			t.Errorf("%s: with a form %q", what, r.Text)
		}
	}
	// And a next is no flash.
	alone := app.Client(t)
	alone.Cookies[flashName] = good
	app.Mux.HandleFunc("GET /flashes", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, app.Flashes(r.Context())) })
	if r := alone.Get("/flashes"); r.Text != "[]" {
		t.Errorf("a next is a flash: %q", r.Text)
	}
}

// Of two tabs the last one counts, and a page that says itself where to go
// comes before both.
func TestNextInCookieTabs(t *testing.T) {
	t.Parallel()
	app, _ := nextApp(t, nil)
	c := app.Client(t)
	c.Get("/a")
	c.Get("/b")
	if r := c.Post("/take"); r.Text != "/b" {
		t.Errorf("the last one: %q", r.Text)
	}
	for _, test := range []struct{ path, form, want string }{
		{"/take", "/form", "/form"},
		{"/take?next=/query", "", "/query"},
		{"/take?next=/query", "/form", "/form"},
		{"/take", "https://evil.example/", "/a"},
		{"/take", "//evil.example", "/a"},
		{"/take?next=//evil.example", "", "/a"},
		{"/take", `/\evil.example`, "/a"},
	} {
		c.Get("/a")
		var fields []string
		if test.form != "" {
			fields = []string{"next", test.form}
		}
		if r := c.Post(test.path, fields...); r.Text != test.want {
			t.Errorf("%s with %q: %q", test.path, test.form, r.Text)
		}
		if _, value := cookieNamed(c, "-next"); value != "" {
			t.Errorf("%s with %q: the cookie is still there", test.path, test.form)
		}
	}
}

// A refusal that has no page to go back to takes away that of an earlier one.
func TestNextInCookieIsReplaced(t *testing.T) {
	t.Parallel()
	app, _ := nextApp(t, nil)
	own := app.Server.URL
	for name, refuse := range map[string]struct {
		do   func(*testapp.Client) *testapp.Response
		want string
	}{
		"POST from nowhere": {func(c *testapp.Client) *testapp.Response { return c.Post("/b") }, ""},
		"POST from elsewhere": {func(c *testapp.Client) *testapp.Response {
			return c.Do("POST", "/b", url.Values{}, http.Header{"Referer": {"https://evil.example/x"}})
		}, ""},
		"POST from a page": {func(c *testapp.Client) *testapp.Response {
			return c.Do("POST", "/b", url.Values{}, http.Header{"Referer": {own + "/form?x=1"}})
		}, "/form?x=1"},
		"htmx from nowhere": {func(c *testapp.Client) *testapp.Response {
			return c.Do("GET", "/b", nil, http.Header{"Hx-Request": {"true"}})
		}, ""},
		"htmx from a page": {func(c *testapp.Client) *testapp.Response {
			return c.Do("GET", "/b", nil, http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {own + "/page"}})
		}, "/page"},
		"a page that is too long": {func(c *testapp.Client) *testapp.Response { return c.Get("/deep/" + strings.Repeat("x", 2043)) }, ""},
		"JSON, which goes nowhere": {func(c *testapp.Client) *testapp.Response {
			return c.Do("GET", "/b", nil, http.Header{"Accept": {"application/json"}})
		}, "/a"},
	} {
		c := app.Client(t)
		c.Get("/a")
		r := refuse.do(c)
		if target := r.Header.Get("Location") + r.Header.Get("HX-Redirect"); target != "/login" && !strings.HasPrefix(name, "JSON") {
			t.Errorf("%s: %s to %q", name, r.Status, target)
		}
		if r := c.Post("/take"); r.Text != refuse.want {
			t.Errorf("%s: then %q", name, r.Text)
		}
	}
}

// The longest next makes a cookie that browsers keep.
func TestNextInCookieSize(t *testing.T) {
	t.Parallel()
	app, _ := nextApp(t, nil)
	c := app.Client(t)
	page := "/deep/" + strings.Repeat("x", 2042)
	r := c.Get(page)
	for _, cookie := range r.Header["Set-Cookie"] {
		if len(cookie) > 4096 {
			t.Errorf("a cookie of %d bytes", len(cookie))
		}
	}
	if r := c.Post("/take"); r.Text != page {
		t.Errorf("%d bytes", len(r.Text))
	}
}

// It is of use for RequireFresh, and for a login page on another site, as well.
func TestNextInCookieElsewhere(t *testing.T) {
	t.Parallel()
	app, _ := nextApp(t, func(c *auth.Config) { c.LoginURL, c.RefreshURL = "https://sso.example/login?x=1", "/sudo" })
	app.Create(t, "susan", false)
	app.Mux.Handle("/fresh", app.RequireFresh(time.Minute)(http.HandlerFunc(hello)))
	c := app.Client(t)
	if r := c.Get("/a"); r.Header.Get("Location") != "https://sso.example/login?x=1" {
		t.Errorf("to %q", r.Header.Get("Location"))
	}
	if r := c.Post("/take"); r.Text != "/a" {
		t.Errorf("%q", r.Text)
	}
	c.Login("susan")
	app.Clock.Advance(2 * time.Minute)
	if r := c.Get("/fresh?x=1"); r.Header.Get("Location") != "/sudo" {
		t.Errorf("to %q", r.Header.Get("Location"))
	}
	if r := c.Post("/take"); r.Text != "/fresh?x=1" {
		t.Errorf("%q", r.Text)
	}
}

// Without the option, or too late, or outside, TakeNext is NextFrom.
func TestTakeNextWithoutCookie(t *testing.T) {
	t.Parallel()
	app, _ := hookedApp(t, nil)
	app.Mux.HandleFunc("/take", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, app.TakeNext(r)) })
	c := app.Client(t)
	if r := c.Get("/guarded"); r.Header.Get("Location") != "/login?next=%2Fguarded" {
		t.Errorf("to %q", r.Header.Get("Location"))
	}
	if name, _ := cookieNamed(c, "-next"); name != "" {
		t.Error("a cookie")
	}
	if r := c.Post("/take?next=/q", "next", "/f"); r.Text != "/f" {
		t.Errorf("%q", r.Text)
	}
	late, _ := nextApp(t, nil)
	late.Mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("text "))
		_, _ = fmt.Fprint(w, late.TakeNext(r))
	})
	c = late.Client(t)
	c.Get("/a")
	if r := c.Post("/late"); r.Text != "text" {
		t.Errorf("too late: %q", r.Text)
	}
	if r := c.Post("/take"); r.Text != "/a" {
		t.Errorf("then: %q", r.Text)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/x?next=/q", nil)
	if err != nil {
		t.Fatal(err)
	}
	if next := late.TakeNext(r); next.String() != "/q" {
		t.Errorf("outside: %q", next)
	}
}

// The next cookie outlives a rotation of the secrets.
func TestNextInCookieSecretsRotate(t *testing.T) {
	t.Parallel()
	old, fresh := []byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"), []byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo")
	at := func(secrets ...[]byte) func(*auth.Config) {
		return func(c *auth.Config) { c.BaseURL, c.Secrets = "http://localhost:1", secrets }
	}
	first, _ := nextApp(t, at(old))
	second, _ := nextApp(t, at(fresh, old))
	c := first.Client(t)
	c.Get("/a")
	d := second.Client(t)
	d.Cookies = c.Cookies
	if r := d.Post("/take"); r.Text != "/a" {
		t.Errorf("%q", r.Text)
	}
}

func TestLoginURLs(t *testing.T) {
	t.Parallel()
	app, _ := hookedApp(t, func(c *auth.Config) {
		c.LoginURLs = map[string]string{
			"/admin": "/admin/login", "/admin/db/": "/db-login?x=1", "/shop/": "/shop/login", "/sso": "https://sso.example/in",
		}
	})
	app.Mux.Handle("/{any...}", app.RequireLogin(http.HandlerFunc(hello)))
	app.Mux.Handle("/fresh", app.RequireFresh(time.Minute)(http.HandlerFunc(hello)))
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
	// The whole site may be an area, too.
	whole, _ := hookedApp(t, func(c *auth.Config) { c.LoginURLs = map[string]string{"/": "/in", "/guarded": "/here"} })
	whole.Mux.Handle("/{any...}", whole.RequireLogin(http.HandlerFunc(hello)))
	for path, want := range map[string]string{"/x": "/in", "/guarded": "/here"} {
		if r := whole.Client(t).Get(path); !strings.HasPrefix(r.Header.Get("Location"), want+"?") {
			t.Errorf("%s to %q", path, r.Header.Get("Location"))
		}
	}
}

func TestLoginURLsConfig(t *testing.T) {
	t.Parallel()
	for area, page := range map[string]string{
		"":                     "/login",
		"admin":                "/login",
		"//admin":              "/login",
		"https://app.example/": "/login",
		"/admin?x":             "/login",
		"/admin#x":             "/login",
		"/ad min":              "/login",
		`/\admin`:              "/login",
		"/ä":                   "/login",
		"/%zz":                 "/login",
		"/a":                   "",
		"/b":                   "login",
		"/c":                   "//evil.example",
		"/d":                   "/login#x",
		"/e":                   "javascript:alert(1)",
		"/f":                   `/\evil.example`,
	} {
		cfg := goodConfig()
		cfg.LoginURLs = map[string]string{"/good": "/login", area: page}
		if _, err := auth.New[*testapp.User](newSpy(testapp.NewClock()), cfg); err == nil || !strings.Contains(err.Error(), "LoginURLs") {
			t.Errorf("%q: %q: %v", area, page, err)
		}
	}
	// What the application does to its map afterwards is nobody's business.
	urls := map[string]string{"/guarded": "/here"}
	app, _ := hookedApp(t, func(c *auth.Config) { c.LoginURLs = urls })
	urls["/guarded"] = "//evil.example"
	if r := app.Client(t).Get("/guarded"); r.Header.Get("Location") != "/here?next=%2Fguarded" {
		t.Errorf("to %q", r.Header.Get("Location"))
	}
}

// Two areas that are one would leave it to chance where a browser is sent.
func TestLoginURLsTwice(t *testing.T) {
	t.Parallel()
	cfg := goodConfig()
	cfg.LoginURLs = map[string]string{"/admin": "/here", "/admin/": "/there"}
	if _, err := auth.New[*testapp.User](newSpy(testapp.NewClock()), cfg); err == nil {
		t.Error("/admin and /admin/ have different pages")
	}
}
