package auth_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// Tests browserHost, which other tests rely on.
func TestBrowserHost(t *testing.T) {
	t.Parallel()
	for location, host := range map[string]string{
		"/x": "app.example", "": "app.example", "x": "app.example", "?x": "app.example", "/x?//evil.example": "app.example",
		"//evil.example": "evil.example", `/\evil.example`: "evil.example", `\\evil.example`: "evil.example",
		"/\t/evil.example": "evil.example", "/\n/evil.example/x": "evil.example", "\x20//evil.example": "evil.example",
		"\x00//evil.example": "evil.example", "///evil.example": "evil.example", "https:evil.example": "app.example",
		"https:/evil.example": "app.example", "https:///evil.example": "evil.example", "http:evil.example": "evil.example",
		"javascript:alert(1)": "javascript:", "https://app.example@evil.example": "evil.example", "/%09/evil.example": "app.example",
		"ht\ttps://evil.example": "evil.example", "/.//evil.example": "app.example",
	} {
		if got := browserHost("https://app.example/a/b", location); got != host {
			t.Errorf("%q leads to %q, not %q", location, got, host)
		}
	}
}

var (
	goodNexts = []string{
		"/", "/index", "/index?a=1", "/a/b/c?x=y&z=%20#frag", "/%2f%2fevil.example", "/%5cevil.example", "/%09/evil.example",
		"/x?next=//evil.example", "/x?u=https://evil.example/", "/.//evil.example", "/./", "/x/../y", "/x//y", "/@evil.example",
		"/:80", "/;x", "/?", "/#", "/~", "/!$&'()*+,;=:@-._~", `/"<>^{|}`, "/x?q=%", "/x#%zz", "/javascript:alert(1)",
		"/" + strings.Repeat("a", 2047),
	}
	badNexts = []string{
		"", " ", "x", "index", "?a=1", "#x", "./x", "../x", "*",
		"//", "///", "//evil.example", "///evil.example", "////evil.example", "//evil.example\\@localhost", "//app.example/x",
		`/\`, `/\evil.example`, `\\evil.example`, `\/evil.example`, `\evil.example`, `/\/evil.example`, `/x\..\..\evil.example`, `/./\evil.example`,
		`/x/../\evil.example`, `.\\evil.example`, `./\evil.example`,
		"https:evil.example", "https:/evil.example", "https:///evil.example", "https://evil.example", "http://evil.example", "https://app.example/x",
		"javascript:alert(1)", "data:text/html,x", "mailto:x@y", "evil.example", "//evil%E3%80%82example", "/／evil.example",
		"/\t/evil.example", "/\n/evil.example", "/\r\n/evil.example", "\t//evil.example", " //evil.example", " /x", "/x ", "/ /evil.example",
		"/\x00/evil.example", "/\x0b/evil.example", "/\x1f", "/\x7f", "/\u00a0", "/\u2028/evil.example", "/é", "/\xff", "\ufeff/x", "/x\r\nSet-Cookie: a=b",
		"/%", "/%zz", "/x%2", "/x%?y", "/%u0041",
		"/" + strings.Repeat("a", 2048), strings.Repeat("/", 3), strings.Repeat("a", 1<<20),
	}
)

func TestParseNext(t *testing.T) {
	t.Parallel()
	for _, text := range goodNexts {
		if n := auth.ParseNext(text); n.IsZero() || n.String() != text {
			t.Errorf("%q is refused or changed: %q", text, n)
		}
	}
	for _, text := range badNexts {
		if n := auth.ParseNext(text); !n.IsZero() || n.String() != "" {
			t.Errorf("%.60q is accepted as %q", text, n)
		}
	}
	if !(auth.Next{}).IsZero() || (auth.Next{}).AddTo("/login") != "/login" {
		t.Error("the zero Next is not empty")
	}
}

func checkNext(t *testing.T, text string) {
	t.Helper()
	n := auth.ParseNext(text)
	if n.IsZero() {
		return
	}
	s := n.String()
	if s != text || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.Contains(s, `\`) || len(s) > 2048 {
		t.Errorf("%q is accepted as %q", text, s)
	}
	for _, c := range []byte(s) {
		if c < 0x21 || c > 0x7e {
			t.Errorf("%q has the byte %#x", s, c)
		}
	}
	for _, page := range []string{"https://app.example/", "https://app.example/a/b/login?x=1", "http://127.0.0.1:8080/login"} {
		base, err := url.Parse(page)
		if err != nil {
			t.Fatal(err)
		}
		if host := browserHost(page, s); host != base.Host {
			t.Errorf("from %s, %q leads a browser to %s", page, s, host)
		}
		if u, err := base.Parse(s); err == nil && (u.Host != base.Host || u.Scheme != base.Scheme) {
			t.Errorf("from %s, %q leads net/url to %s", page, s, u)
		}
	}
	// The next survives as a parameter of the login page and in the header.
	for _, login := range []string{"/login", "/login?lang=de", "https://sso.example/in?a=b&c"} {
		u, err := url.Parse(n.AddTo(login))
		if err != nil || !strings.HasPrefix(n.AddTo(login), login) {
			t.Errorf("AddTo(%q) of %q is %q: %v", login, s, n.AddTo(login), err)
			continue
		}
		if got := u.Query()["next"]; len(got) != 1 || got[0] != s {
			t.Errorf("AddTo(%q) of %q is read as %q", login, s, got)
		}
	}
	w := httptest.NewRecorder()
	n.Redirect(w, "/fallback")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != s {
		t.Errorf("%q: %d %q", s, w.Code, w.Header().Get("Location"))
	}
}

func FuzzParseNext(f *testing.F) {
	for _, text := range append(append([]string{}, goodNexts...), badNexts[:len(badNexts)-3]...) {
		f.Add(text)
	}
	f.Fuzz(checkNext)
}

func TestNextFrom(t *testing.T) {
	t.Parallel()
	multi := func(pairs ...string) (string, string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for i := 0; i < len(pairs); i += 2 {
			if err := w.WriteField(pairs[i], pairs[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String(), w.FormDataContentType()
	}
	const form = "application/x-www-form-urlencoded"
	both, bothType := multi("login", "susan", "next", "/multi")
	without, withoutType := multi("login", "susan")
	for _, test := range []struct {
		name, method, target, body, kind string
		want, login                      string
	}{
		{name: "query", method: "GET", target: "/login?next=/a%3Fb%3D1", want: "/a?b=1"},
		{name: "none", method: "GET", target: "/login"},
		{name: "bad", method: "GET", target: "/login?next=//evil.example"},
		{name: "decoded once", method: "GET", target: "/login?next=/%2509/evil.example", want: "/%09/evil.example"},
		{name: "decoded to a tab", method: "GET", target: "/login?next=/%09/evil.example"},
		{name: "form", method: "POST", target: "/login", body: "next=%2Fform&login=susan", kind: form, want: "/form", login: "susan"},
		{name: "query of a POST", method: "POST", target: "/login?next=/q", body: "login=susan", kind: form, want: "/q", login: "susan"},
		{name: "form before query", method: "POST", target: "/login?next=/q", body: "next=/form", kind: form, want: "/form"},
		{name: "bad form, good query", method: "POST", target: "/login?next=/q", body: "next=//evil.example", kind: form},
		{name: "bad query, good form", method: "POST", target: "/login?next=//evil.example", body: "next=/form", kind: form, want: "/form"},
		{name: "first of several", method: "POST", target: "/login", body: "next=/one&next=//evil.example", kind: form, want: "/one"},
		{name: "first of several, bad", method: "GET", target: "/login?next=//evil.example&next=/two"},
		{name: "malformed query", method: "GET", target: "/login?a=%zz&next=/ok", want: "/ok"},
		{name: "malformed next", method: "GET", target: "/login?next=/%zz"},
		{name: "semicolon", method: "GET", target: "/login?next=/a;next=/b"},
		{name: "malformed body", method: "POST", target: "/login", body: "a=%zz&next=/ok", kind: form, want: "/ok"},
		{name: "no content type", method: "POST", target: "/login?next=/q", body: "next=/form", want: "/q"},
		{name: "broken content type", method: "POST", target: "/login?next=/q", body: "next=/form", kind: ";;", want: "/q"},
		{name: "multipart", method: "POST", target: "/login", body: both, kind: bothType, want: "/multi", login: "susan"},
		{name: "multipart before query", method: "POST", target: "/login?next=/q", body: both, kind: bothType, want: "/multi", login: "susan"},
		{name: "query of a multipart", method: "POST", target: "/login?next=/q", body: without, kind: withoutType, want: "/q", login: "susan"},
		{name: "broken multipart", method: "POST", target: "/login?next=/q", body: both[:20], kind: bothType, want: "/q"},
		{name: "body of a GET", method: "GET", target: "/login?next=/q", body: "next=/form", kind: form, want: "/q"},
	} {
		for _, before := range []bool{false, true} { // the form is read before NextFrom, or after it
			r := httptest.NewRequestWithContext(t.Context(), test.method, test.target, strings.NewReader(test.body))
			if test.kind != "" {
				r.Header.Set("Content-Type", test.kind)
			}
			if before {
				_ = r.PostFormValue("login")
			}
			want := test.want
			if !before && strings.HasPrefix(test.kind, "multipart/") {
				want = auth.ParseNext(r.URL.Query().Get("next")).String() // NextFrom does not parse it
			}
			if got := auth.NextFrom(r).String(); got != want {
				t.Errorf("%s (form read before: %v): %q, want %q", test.name, before, got, want)
			}
			if got := r.PostFormValue("login"); got != test.login {
				t.Errorf("%s (form read before: %v): afterwards the form's login is %q", test.name, before, got)
			}
		}
	}
}

// Routers may change a request on its way. URLs are made from the request that the
// browser sent.
func TestURLsFollowTheOriginalRequest(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		atAppExample(c)
		c.URLs.LoginFor = map[string]string{"/admin": "/admin-login", "/dashboard": "/wrong"}
	})
	guarded := app.RequireLogin(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the guarded handler ran") }))
	changing := func(change func(*http.Request), next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			change(r)
			next.ServeHTTP(w, r)
		})
	}
	strip := func(next http.Handler) http.Handler { return http.StripPrefix("/admin", next) }
	mux := http.NewServeMux()
	mux.Handle("/admin/", strip(guarded))
	handlers := map[string]http.Handler{
		"as it is":               app.LoadAndSave(guarded),
		"StripPrefix inside":     app.LoadAndSave(strip(guarded)),
		"StripPrefix in a mux":   app.LoadAndSave(mux),
		"StripPrefix outside":    strip(app.LoadAndSave(guarded)),
		"StripPrefix twice":      http.StripPrefix("/ad", app.LoadAndSave(http.StripPrefix("min", guarded))),
		"without LoadAndSave":    strip(changing(func(r *http.Request) {}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, auth.ErrNotLoggedIn) }))),
		"the path in place":      app.LoadAndSave(changing(func(r *http.Request) { r.URL.Path, r.URL.RawPath = "//evil.example", "" }, guarded)),
		"the query in place":     app.LoadAndSave(changing(func(r *http.Request) { r.URL.RawQuery = "" }, guarded)),
		"another URL":            app.LoadAndSave(changing(func(r *http.Request) { r.URL, r.RequestURI = &url.URL{Path: "/x"}, "/y" }, guarded)),
		"the method, overridden": app.LoadAndSave(changing(func(r *http.Request) { r.Method = http.MethodPost }, guarded)),
	}
	for name, h := range handlers {
		for target, want := range map[string]string{
			"/admin/dashboard?x=1":              "/admin-login?next=%2Fadmin%2Fdashboard%3Fx%3D1",
			"/admin/dashboard?":                 "/admin-login?next=%2Fadmin%2Fdashboard%3F",
			"/admin/a%2Fb%20c":                  "/admin-login?next=%2Fadmin%2Fa%252Fb%2520c",
			"http://evil.example/admin/x?a=//b": "/admin-login?next=%2Fadmin%2Fx%3Fa%3D%2F%2Fb",
		} {
			w := direct(t, h, "GET", target, nil)
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != want {
				t.Errorf("%s, %s: %d to %q, want %q", name, target, w.Code, w.Header().Get("Location"), want)
			}
			// Some adapters make requests without a server, and so without RequestURI.
			if strings.HasPrefix(target, "/") && name != "StripPrefix outside" && name != "StripPrefix twice" && name != "without LoadAndSave" {
				r := httptest.NewRequestWithContext(t.Context(), "GET", target, nil)
				r.RequestURI = ""
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if got := w.Header().Get("Location"); got != want {
					t.Errorf("%s, %s, no RequestURI: to %q", name, target, got)
				}
			}
		}
	}
	// A router has changed a POST into a GET: the browser cannot go back to it.
	h := app.LoadAndSave(changing(func(r *http.Request) { r.Method = http.MethodGet }, guarded))
	if got := direct(t, h, "POST", "/admin/delete", nil).Header().Get("Location"); got != "/admin-login" {
		t.Errorf("a POST that became a GET: to %q", got)
	}
	// The log has the path that the browser sent, too.
	failing := strip(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, errStore) }))
	direct(t, app.LoadAndSave(failing), "GET", "/admin/broken", nil)
	if !strings.Contains(app.Logs(), "path=/admin/broken") {
		t.Errorf("the log has another path: %s", app.Logs())
	}
	// A target on another site is no next, however it was sent.
	for _, target := range []string{"//evil.example/x", "/\\evil.example", "http://evil.example//evil.example/x", "/%zz", "*", "/a b"} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/admin/x", nil)
		r.RequestURI = target
		w := httptest.NewRecorder()
		app.LoadAndSave(guarded).ServeHTTP(w, r)
		u, err := url.Parse(w.Header().Get("Location"))
		if next := u.Query().Get("next"); err != nil || u.Host != "" || browserHost("https://app.example/login", next) != "app.example" {
			t.Errorf("%q: to %q", target, w.Header().Get("Location"))
		}
	}
}

// A readBody remembers whether it was read.
type readBody struct {
	io.Reader
	read bool
}

func (b *readBody) Read(p []byte) (int, error) {
	b.read = true
	return b.Reader.Read(p)
}

func (b *readBody) Close() error { return nil }

// NextFrom and TakeNext read no upload, whatever the method. Otherwise each request for
// a login page could leave a file on disk. The handler can still read the upload
// afterwards.
func TestNextReadsNoUpload(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.URLs.NextInCookie = true })
	var text bytes.Buffer
	form := multipart.NewWriter(&text)
	_ = form.WriteField("next", "/form")
	_ = form.WriteField("login", "susan")
	_ = form.Close()
	for name, look := range map[string]func(*http.Request) string{
		"NextFrom":  func(r *http.Request) string { return auth.NextFrom(r).String() },
		"View.Next": func(r *http.Request) string { return app.View(r, nil).Next() },
		"TakeNext":  func(r *http.Request) string { return app.TakeNext(r).String() },
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"} {
			for _, kind := range []string{form.FormDataContentType(), "multipart/mixed; boundary=x", "Multipart/Form-Data; boundary=" + form.Boundary()} {
				body := &readBody{Reader: bytes.NewReader(text.Bytes())}
				r := httptest.NewRequestWithContext(t.Context(), method, "/login?next=/query", nil)
				r.Body, r.ContentLength = body, int64(text.Len())
				r.Header.Set("Content-Type", kind)
				app.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					if got := look(r); got != "/query" || body.read || r.MultipartForm != nil {
						t.Errorf("%s, %s, %s: %q, and the body was read: %v", name, method, kind, got, body.read)
					}
					if strings.Contains(strings.ToLower(kind), "form-data") {
						if got := r.FormValue("login"); got != "susan" {
							t.Errorf("%s, %s: then the form has %q", name, method, got)
						}
						if got := look(r); method == "POST" && got != "/form" {
							t.Errorf("%s, %s: and then next is %q", name, method, got)
						}
					}
				})).ServeHTTP(httptest.NewRecorder(), r)
			}
		}
	}
}

// Over a connection, because net/http changes the header when it writes it.
func TestNextRedirect(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.NextFrom(r).Redirect(w, "/fallback?x=1")
	}))
	t.Cleanup(server.Close)
	transport := server.Client().Transport // a client parses Location, and /x#%zz does not parse
	ask := func(next string) string {
		t.Helper()
		for _, method := range []string{"GET", "POST"} {
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/deep/login?next="+url.QueryEscape(next), nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusSeeOther {
				t.Errorf("%s %q: %s", method, next, res.Status)
			}
			if method == "POST" {
				return res.Header.Get("Location")
			}
		}
		return ""
	}
	for _, next := range goodNexts {
		if got := ask(next); got != next {
			t.Errorf("%q became %q", next, got)
		}
	}
	for _, next := range badNexts {
		if len(next) > 4096 {
			continue // the server answers 431
		}
		if got := ask(next); got != "/fallback?x=1" {
			t.Errorf("%q became %q", next, got)
		}
	}
}

// RequireLogin redirects to the login page, and the login redirects back.
func TestNextRoundTrip(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	app.Mux.Handle("GET /deep/", app.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.RequestURI)
	})))
	app.Mux.HandleFunc("POST /signin", func(w http.ResponseWriter, r *http.Request) {
		u, err := app.Store.FindUser(r.Context(), "susan")
		if err == nil {
			err = app.LoginUser(r.Context(), u)
		}
		if err != nil {
			app.Error(w, r, err)
			return
		}
		auth.NextFrom(r).Redirect(w, "/")
	})
	for _, page := range []string{"/deep/", "/deep/x?a=1&b=%2F", "/deep/%2Fx%5Cy?q=a+b", "/deep/x?", "/deep/a%20b?c=%C3%A9", "/deep/x?next=/y"} {
		c := app.Client(t)
		u, err := url.Parse(c.Get(page).Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		location := c.Post("/signin?"+u.RawQuery, "login", "susan").Header.Get("Location")
		if location != page {
			t.Errorf("%s came back as %q", page, location)
		}
		if r := c.Get(location); r.Text != page {
			t.Errorf("%s: the page sees %q", page, r.Text)
		}
	}
}

func TestNextInCookieUnderProtection(t *testing.T) {
	for _, protection := range []auth.Protection{auth.ProtectOff, auth.ProtectStrong} {
		app, _ := stateApp(t, func(c *auth.Config) { c.URLs.NextInCookie, c.Session.Protection = true, protection })
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

func TestNextInCookie(t *testing.T) {
	t.Parallel()
	app, store := nextApp(t, nil)
	c := app.Client(t)
	store.Reset()
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
	if value == "" || strings.Contains(value, "deep") || strings.Contains(value, "secret") || store.Writes() > 0 {
		t.Errorf("cookie %q, calls %v", value, store.Calls())
	}
	copied := c.Clone()
	c.Do(http.MethodHead, "/take", nil, nil) // a HEAD takes nothing
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
	// The cookie is good for an hour.
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

// A login page that was not opened by a redirect leaves the cookie alone, and so does a
// failed login that does not call TakeNext.
func TestNextInCookieIsKept(t *testing.T) {
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

// A forged or damaged cookie is ignored and deleted.
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
	// Nor does the next cookie work as a flash cookie.
	alone := app.Client(t)
	alone.Cookies[flashName] = good
	app.Mux.HandleFunc("GET /flashes", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, app.Flashes(r.Context())) })
	if r := alone.Get("/flashes"); r.Text != "[]" {
		t.Errorf("a next is a flash: %q", r.Text)
	}
}

// If two tabs are redirected to the login, the later one counts. A next in the request
// comes before both.
func TestNextInCookieTabs(t *testing.T) {
	t.Parallel()
	app, _ := nextApp(t, nil)
	c := app.Client(t)
	c.Get("/a")
	c.Get("/b")
	if r := c.Post("/take"); r.Text != "/b" {
		t.Errorf("the next is %q", r.Text)
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

// If a later refusal has no page to return to, the next of an earlier one is deleted.
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

// Even the longest next makes a cookie that browsers accept.
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

// The cookie is also used for RequireFresh, and for a login page on another site.
func TestNextInCookieForOtherPages(t *testing.T) {
	t.Parallel()
	app, _ := nextApp(t, func(c *auth.Config) { c.URLs.Login, c.URLs.Refresh = "https://sso.example/login?x=1", "/sudo" })
	app.Create(t, "susan", false)
	app.Mux.Handle("/recent", app.RequireFresh(time.Minute)(http.HandlerFunc(hello)))
	c := app.Client(t)
	if r := c.Get("/a"); r.Header.Get("Location") != "https://sso.example/login?x=1" {
		t.Errorf("to %q", r.Header.Get("Location"))
	}
	if r := c.Post("/take"); r.Text != "/a" {
		t.Errorf("%q", r.Text)
	}
	c.Login("susan")
	app.Clock.Advance(2 * time.Minute)
	if r := c.Get("/recent?x=1"); r.Header.Get("Location") != "/sudo" {
		t.Errorf("to %q", r.Header.Get("Location"))
	}
	if r := c.Post("/take"); r.Text != "/recent?x=1" {
		t.Errorf("%q", r.Text)
	}
}

// Without the option, after the header was written, or outside LoadAndSave, TakeNext
// equals NextFrom.
func TestTakeNextWithoutCookie(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
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

// The next cookie stays good when the secrets are rotated.
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

// AddTo keeps the query of the URL. An empty Next leaves the URL unchanged.
func TestNextAddTo(t *testing.T) {
	for _, test := range [][3]string{
		{"/protected?a=1&b=2", "/login", "/login?next=%2Fprotected%3Fa%3D1%26b%3D2"},
		{"/protected?a=1&b=2", "/login?affil=cgnu", "/login?affil=cgnu&next=%2Fprotected%3Fa%3D1%26b%3D2"},
		{"/protected?a=1&b=2", "https://sso.example/log", "https://sso.example/log?next=%2Fprotected%3Fa%3D1%26b%3D2"},
		{"", "/foo", "/foo"},
		{"http://app.example/protected", "/foo", "/foo"},
		{"//evil.example/x", "/foo", "/foo"},
	} {
		if got := auth.ParseNext(test[0]).AddTo(test[1]); got != test[2] {
			t.Errorf("%q added to %q: %q, want %q", test[0], test[1], got, test[2])
		}
	}
}
