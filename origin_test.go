package auth_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// An originSite is a handler behind LoadAndSave that counts which requests get through.
type originSite struct {
	*testapp.App
	store   *testapp.Spy
	handler http.Handler
	ran     int
}

func newOriginSite(t *testing.T, configure func(*auth.Config)) *originSite {
	t.Helper()
	s := &originSite{}
	s.App, s.store = newApp(t, configure)
	s.handler = s.LoadAndSave(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.ran++ }))
	return s
}

// passes sends a request and reports whether the handler ran. If it did not, passes
// checks the refusal.
func (s *originSite) passes(t *testing.T, name, method, host string, header http.Header) bool {
	t.Helper()
	before := s.ran
	h := header.Clone()
	h.Set("Host", host)
	w := direct(t, s.handler, method, "/", h)
	calls, events := s.store.Calls(), s.Events()
	s.store.Reset()
	if s.ran == before+1 {
		if w.Code != http.StatusOK || len(events) > 0 {
			t.Errorf("%s: %d, %v", name, w.Code, events)
		}
		return true
	}
	if w.Code != http.StatusForbidden || len(w.Header()["Set-Cookie"]) > 0 || w.Header().Get("Cache-Control") != "no-store" || len(calls) > 0 {
		t.Errorf("%s: %d %v, store calls %v", name, w.Code, w.Header(), calls)
	}
	if len(events) != 1 || events[0].Kind != auth.EventRequestRefused || !errors.Is(events[0].Err, auth.ErrCrossOrigin) {
		t.Errorf("%s: events %v", name, events)
	}
	return false
}

func TestCrossOriginTable(t *testing.T) {
	t.Parallel()
	site := newOriginSite(t, func(c *auth.Config) {
		atAppExample(c)
		c.Network.Origins = []string{"https://admin.example", "https://other.example:8443"}
	})
	// absent: whether a request with this Origin passes if the browser sends no
	// Sec-Fetch-Site. foreign: whether it passes with Sec-Fetch-Site: cross-site.
	type origin struct {
		text            string
		absent, foreign bool
	}
	origins := []origin{
		{"", true, false},
		{"https://admin.example", true, true},
		{"https://other.example:8443", true, true},
		{"http://app.example", false, false},
		{"http://admin.example", false, false},
		{"https://app.example:8443", false, false},
		{"https://app.example:443", false, false},
		{"https://other.example", false, false},
		{"https://APP.example", false, false},
		{"HTTPS://app.example", false, false},
		{"https://Admin.example", false, false},
		{"null", false, false},
		{"NULL", false, false},
		{"https://user@app.example", false, false},
		{"https://user:pass@admin.example", false, false},
		{"https://app.example/", false, false},
		{"https://app.example/path", false, false},
		{"https://app.example?x", false, false},
		{"https://app.example#x", false, false},
		{"https://app.example.", false, false},
		{"https://app.example.evil.example", false, false},
		{"https://evil.app.example", false, false},
		{"https://evilapp.example", false, false},
		{"https://app.example%00.evil.example", false, false},
		{"https://app.example, https://evil.example", false, false},
		{"https://app.example https://evil.example", false, false},
		{"https://evil.example", false, false},
		{"https:app.example", false, false},
		{"//app.example", false, false},
		{"app.example", false, false},
		{"file://", false, false},
		{"chrome-extension://app.example", false, false},
		{"x", false, false},
	}
	methods := []string{"POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "get", "post", "GETX"}
	for _, host := range []string{"app.example", "internal:8080", "evil.example", "APP.example", "app.example:443"} {
		for _, fetch := range []string{"absent", "", "same-origin", "none", "same-site", "cross-site", "bogus", "Same-Origin", "same-origin, cross-site"} {
			for _, o := range append(slices.Clone(origins), origin{"https://app.example", true, true}) {
				header := http.Header{"Cookie": {"__Host-session=" + strings.Repeat("A", 43)}}
				if fetch != "absent" {
					header.Set("Sec-Fetch-Site", fetch)
				}
				if o.text != "" {
					header.Set("Origin", o.text)
				}
				var want bool
				switch fetch {
				case "absent", "":
					want = o.absent
				case "same-origin", "none":
					want = true // even with Origin: null, which a page with Referrer-Policy: no-referrer sends
				default:
					if o.text == "https://app.example" {
						continue // no browser sends both
					}
					want = o.foreign
				}
				for _, method := range methods {
					name := fmt.Sprintf("%s, Host %s, Sec-Fetch-Site %s, Origin %s", method, host, fetch, o.text)
					if got := site.passes(t, name, method, host, header); got != want {
						t.Errorf("%s: passes %v, want %v", name, got, want)
					}
				}
			}
		}
	}
	// Safe methods always pass, even with a header that names another method.
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		header := http.Header{
			"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"},
			"X-Http-Method-Override": {"POST"}, "X-Method-Override": {"POST"},
		}
		if !site.passes(t, method, method, "app.example", header) {
			t.Errorf("%s is refused", method)
		}
	}
	// A forwarded host does not make another origin ours.
	for _, forwarded := range []string{"X-Forwarded-Host", "Forwarded", "X-Original-Host", "X-Forwarded-Server"} {
		header := http.Header{"Origin": {"https://evil.example"}, forwarded: {"evil.example"}}
		if site.passes(t, forwarded, "POST", "app.example", header) {
			t.Errorf("%s: passes", forwarded)
		}
	}
	// Browsers send one header. If a request has two, an empty first one must not hide
	// the second.
	for _, header := range []http.Header{
		{"Origin": {"", "https://evil.example"}},
		{"Sec-Fetch-Site": {"", "cross-site"}, "Origin": {""}},
	} {
		w := direct(t, site.handler, "POST", "/", header)
		if w.Code != http.StatusForbidden {
			t.Logf("not sent by browsers: %v passes", header)
		}
	}
}

// A BaseURL with the default port or in upper case means the same origin.
func TestOwnOrigin(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"https://app.example", "https://app.example:443", "https://APP.Example/"} {
		site := newOriginSite(t, func(c *auth.Config) { c.BaseURL = base })
		for origin, want := range map[string]bool{"https://app.example": true, "https://app.example:443": false, "http://app.example": false} {
			if got := site.passes(t, base, "POST", "internal", http.Header{"Origin": {origin}}); got != want {
				t.Errorf("BaseURL %s, Origin %s: %v", base, origin, got)
			}
		}
	}
	for base, origins := range map[string][]string{
		"http://localhost:8080":  {"http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"},
		"http://127.0.0.1:8080":  {"http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"},
		"http://[::1]:8080":      {"http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"},
		"http://127.0.0.2:8080/": {"http://127.0.0.2:8080", "http://localhost:8080"},
		"http://localhost":       {"http://localhost", "http://127.0.0.1", "http://[::1]"},
		"http://localhost:80":    {"http://localhost", "http://127.0.0.1", "http://[::1]"},
	} {
		site := newOriginSite(t, func(c *auth.Config) { c.BaseURL = base })
		for _, host := range []string{"localhost:8080", "127.0.0.1:8080", "[::1]:8080", "evil.example"} {
			for _, origin := range origins {
				for _, fetch := range []string{"", "cross-site", "same-site", "same-origin"} {
					header := http.Header{"Origin": {origin}}
					if fetch != "" {
						header.Set("Sec-Fetch-Site", fetch)
					}
					if !site.passes(t, base, "POST", host, header) {
						t.Errorf("BaseURL %s: Origin %s, Sec-Fetch-Site %q, Host %s is refused", base, origin, fetch, host)
					}
				}
			}
			for _, origin := range []string{
				"http://localhost:8081", "http://127.0.0.1:9", "http://[::1]:8081", "https://localhost:8080", "https://127.0.0.1:8080", "http://127.0.0.3:8080",
				"http://[0:0:0:0:0:0:0:1]:8080", "http://LOCALHOST:8080", "http://localhost.:8080", "http://localhost.evil.example:8080", "http://evil.localhost:8080",
				"http://0.0.0.0:8080", "http://127.1:8080", "http://2130706433:8080", "http://user@localhost:8080", "null", "https://localhost",
			} {
				for _, fetch := range []string{"", "cross-site", "same-site"} {
					header := http.Header{"Origin": {origin}}
					if fetch != "" {
						header.Set("Sec-Fetch-Site", fetch)
					}
					if site.passes(t, base, "POST", host, header) {
						t.Errorf("BaseURL %s: Origin %s, Sec-Fetch-Site %q, Host %s passes", base, origin, fetch, host)
					}
				}
			}
		}
	}
}

// New refuses an origin that no browser sends. It would never match, and the reason
// would be hard to find.
func TestOriginsAreChecked(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]bool{"https://admin.example": true, "https://admin.example/": false} {
		_, err := auth.New[*testapp.User](memstore.New[testapp.User](), auth.Config{
			BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Network: auth.NetworkConfig{Origins: []string{origin}},
		})
		if (err == nil) != want {
			t.Errorf("Origins %q: %v", origin, err)
		}
	}
	for pattern, want := range map[string]bool{
		"POST /hook": true, "/hook/": true, "/hook/{id}": true, "hook.example/x": true,
		"/": false, "POST /": false, "/login": false, "POST /refresh": false, "GET /login": true, "/{page}": false, "app.example/": false,
		"": false, "hook": false, "POST": false, "/{": false, "/{a}/{a}": false,
	} {
		_, err := auth.New[*testapp.User](memstore.New[testapp.User](), auth.Config{
			BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Network: auth.NetworkConfig{CrossOriginBypass: []string{pattern}},
		})
		if (err == nil) != want {
			t.Errorf("CrossOriginBypass %q: %v", pattern, err)
		}
	}
	if _, err := auth.New[*testapp.User](memstore.New[testapp.User](), auth.Config{
		BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Network: auth.NetworkConfig{CrossOriginBypass: []string{"/a/{x}", "/a/{y}"}},
	}); err == nil {
		t.Error("conflicting patterns are accepted")
	}
}

// sendRaw sends a cross-origin request exactly as it is written here.
func sendRaw(t *testing.T, server *httptest.Server, method, target string) int {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: app.example\r\nOrigin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nConnection: close\r\n\r\n", method, target)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestCrossOriginBypass(t *testing.T) {
	t.Parallel()
	patterns := []string{"POST /hook", "/any/{id}", "/tree/", "/exact/{$}", "hooks.example/"}
	app, _ := newApp(t, func(c *auth.Config) {
		atAppExample(c)
		c.Network.CrossOriginBypass = patterns
	})
	var ran string
	mux := http.NewServeMux()
	for _, p := range patterns {
		mux.HandleFunc(p, func(http.ResponseWriter, *http.Request) { ran = "open" })
	}
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { ran = "closed" })
	server := httptest.NewServer(app.LoadAndSave(mux))
	t.Cleanup(server.Close)
	for _, test := range []struct {
		method, target string
		passes         bool
	}{
		{"POST", "/hook", true}, {"POST", "/hook?x=1", true},
		{"PUT", "/hook", false}, {"DELETE", "/hook", false}, {"post", "/hook", false}, {"TRACE", "/hook", false},
		{"POST", "/hook/", false}, {"POST", "/hookx", false}, {"POST", "/Hook", false}, {"POST", "//hook", false}, {"POST", "/./hook", false},
		{"POST", "/x/../hook", false}, {"POST", "/hook/../login", false}, {"POST", "/hook%2f..%2flogin", false}, {"POST", "/hook%2flogin", false},
		{"POST", "/any/1", true}, {"PUT", "/any/1", true}, {"POST", "/any/", false}, {"POST", "/any/1/2", false},
		{"POST", "/any/..", false}, {"POST", "/any/../login", false}, {"POST", "/any", false},
		{"POST", "/tree/", true}, {"POST", "/tree/a/b", true}, {"POST", "/tree", false},
		{"POST", "/tree/../login", false}, {"POST", "/tree/..", false}, {"POST", "/tree//login", false}, {"POST", "//tree/login", false},
		{"POST", "/exact/", true}, {"POST", "/exact", false}, {"POST", "/exact/x", false},
		{"CONNECT", "/login", false}, {"CONNECT", "app.example:443", false}, {"POST", "/login", false}, {"POST", "*", false},
		{"POST", "http://evil.example/login", false}, {"POST", "http://evil.example/hook", true}, {"POST", "http://hooks.example/x", true},
	} {
		ran = ""
		status := sendRaw(t, server, test.method, test.target)
		if test.passes && (status != 200 || ran != "open") {
			t.Errorf("%s %s is refused: %d", test.method, test.target, status)
		}
		if !test.passes && (ran != "" || status == 200) {
			t.Errorf("%s %s got through to the %s handler: %d", test.method, test.target, ran, status)
		}
	}
	// ServeMux and CrossOriginBypass take these encoded paths for one segment.
	for _, target := range []string{"/tree/%2e%2e/login", "/tree/..%2flogin", "/tree/%2flogin", "/any/1%2flogin", "/%68ook/", "/hoo%6b"} {
		for _, method := range []string{"POST", "CONNECT"} {
			ran = ""
			if sendRaw(t, server, method, target); ran == "closed" {
				t.Errorf("%s %s got through to the %s handler", method, target, ran)
			}
		}
	}
}

// CrossOriginBypass compares the path that the browser requested, even if a router
// outside LoadAndSave has removed a prefix.
func TestCrossOriginBypassBelowStripPrefix(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		atAppExample(c)
		c.Network.CrossOriginBypass = []string{"POST /api/hook"}
	})
	ran := false
	h := http.StripPrefix("/api", app.LoadAndSave(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })))
	for target, passes := range map[string]bool{
		"/api/hook": true, "/api/hook?x=1": true, "/api/api/hook": false, "/api/other": false, "/api//hook": false, "/api/x/../hook": false,
	} {
		ran = false
		w := direct(t, h, "POST", target, http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}})
		if ran != passes || (w.Code == http.StatusOK) != passes {
			t.Errorf("%s: %d, and the handler ran: %v", target, w.Code, ran)
		}
	}
}

// Other routers decode the path first, and may clean it. With them, too, a pattern must
// not open more than it says.
func TestCrossOriginBypassWithOtherRouters(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		atAppExample(c)
		c.Network.CrossOriginBypass = []string{"/any/{id}", "/tree/"}
	})
	var ran string
	server := httptest.NewServer(app.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ran = path.Clean(r.URL.Path)
	})))
	t.Cleanup(server.Close)
	for _, method := range []string{"POST", "CONNECT"} {
		for _, target := range []string{
			"/tree/%2e%2e/login", "/tree/%2E%2E/%2e%2e/login", "/tree/..%2flogin", "/tree/%2e%2e%2flogin", "/tree/x/..%2f..%2flogin",
			"/any/1%2fdelete", "/any/..%2flogin", "/tree/../login", "/any/..",
		} {
			ran = ""
			sendRaw(t, server, method, target)
			if ran != "" && !strings.HasPrefix(ran, "/tree") {
				t.Errorf("%s %s got through to %s", method, target, ran)
			}
		}
	}
	for _, target := range []string{"/any/1", "/tree/", "/tree/a%20b/c", "/any/%C3%A9"} {
		if status := sendRaw(t, server, "POST", target); status != 200 {
			t.Errorf("%s: %d", target, status)
		}
	}
}

// A cross-origin request must not change anything, for logged-in users and for
// anonymous visitors.
func TestCrossOriginChangesNothing(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	app.Create(t, "susan", true)
	app.Create(t, "attacker", true)
	user := app.Client(t)
	user.Login("susan")
	user.Post("/put", "key", "k", "value", "mine")
	before := user.Clone()
	app.Events()
	store.Reset()
	hashes := app.PasswordHashes()
	for _, header := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
		{"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://localhost:1"}},
		{"Sec-Fetch-Site": {"cross-site"}},
		{"Origin": {"null"}},
		{"Origin": {"https://evil.example"}},
	} {
		for _, c := range []*testapp.Client{user, app.Client(t)} {
			for path, form := range map[string]string{
				"/login": "login=attacker&password=" + strings.ReplaceAll(testapp.Password, " ", "+"), "/enter": "login=attacker", "/logout": "", "/put": "key=k&value=evil",
				"/password": "password=a+new+password+of+theirs", "/renew": "", "/destroy": "",
			} {
				for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain", "application/json", "multipart/form-data; boundary=x"} {
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, app.Server.URL+path, strings.NewReader(form))
					if err != nil {
						t.Fatal(err)
					}
					for k, v := range header {
						r.Header[k] = v
					}
					for k, v := range c.Cookies {
						r.AddCookie(&http.Cookie{Name: k, Value: v})
					}
					r.Header.Set("Content-Type", kind)
					res, err := app.Server.Client().Do(r)
					if err != nil {
						t.Fatal(err)
					}
					text, _ := io.ReadAll(res.Body)
					_ = res.Body.Close()
					if res.StatusCode != http.StatusForbidden || len(res.Cookies()) != 0 || !strings.Contains(string(text), "Forbidden") {
						t.Errorf("%v %s: %s %s %v", header, path, res.Status, text, res.Cookies())
					}
				}
			}
		}
	}
	if calls := store.Calls(); len(calls) > 0 {
		t.Errorf("refused requests called the store: %v", calls)
	}
	if n := app.PasswordHashes() - hashes; n != 0 {
		t.Errorf("refused requests computed %d hashes", n)
	}
	events := app.Events()
	if len(events) != 5*2*7*4 {
		t.Errorf("%d events", len(events))
	}
	for _, e := range events {
		if e.Kind != auth.EventRequestRefused || e.Address != "127.0.0.1" {
			t.Fatalf("event %v", e)
		}
	}
	if before.Who() != "susan" || before.Get("/get?key=k").Text != "mine" {
		t.Errorf("the user is %s, the data %q", before.Who(), before.Get("/get?key=k").Text)
	}
}

// ErrorPage is called for refused requests, too. JSON clients get JSON.
func TestCrossOriginErrorPage(t *testing.T) {
	t.Parallel()
	site := newOriginSite(t, atAppExample)
	w := direct(t, site.handler, "POST", "/", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Accept": {"application/json"}})
	if w.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(w.Body.String(), `"code":"cross-origin"`) {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	site = newOriginSite(t, func(c *auth.Config) {
		atAppExample(c)
		c.ErrorPage = func(w http.ResponseWriter, _ *http.Request, status int, err error) {
			if status != http.StatusForbidden || !errors.Is(err, auth.ErrCrossOrigin) {
				t.Errorf("ErrorPage got %d %v", status, err)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "page")
		}
	})
	if site.passes(t, "page", "POST", "app.example", http.Header{"Origin": {"null"}}) {
		t.Error("passes")
	}
	// LoadAndSave refuses before a handler can call AnswerJSON, so the client decides.
	w = direct(t, site.handler, "POST", "/", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Accept": {"application/json"}})
	if w.Code != http.StatusForbidden || w.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(w.Body.String(), `"code":"cross-origin"`) {
		t.Errorf("with an ErrorPage: %d %v %s", w.Code, w.Header(), w.Body)
	}
}

// If the ErrorPage of a refused cross-origin request asks for the user, this must not
// use up the remember cookie or replace the login.
func TestCrossOriginErrorPageResumesNoLogin(t *testing.T) {
	var app *testapp.App
	app, _ = newApp(t, func(c *auth.Config) {
		c.ErrorPage = func(w http.ResponseWriter, r *http.Request, status int, _ error) {
			u, ok := app.CurrentUser(r.Context())
			w.WriteHeader(status)
			fmt.Fprint(w, ok, " ", u != nil)
		}
	})
	user := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Post("/enter", "login", "susan", "remember", "y")
	before := fmt.Sprint(c.Cookies)
	evil := http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://evil.app.example"}}
	for range 50 {
		r := c.Do("POST", "/put", nil, evil)
		if r.StatusCode != http.StatusForbidden {
			t.Fatal(r.Status)
		}
	}
	if after := fmt.Sprint(c.Cookies); after != before {
		t.Error("a refused request changed the cookies:\n", before, "\n", after)
	}
	list, _ := app.Store.ListRecords(t.Context(), "session", user.ID)
	if len(list) != 1 {
		t.Error("sessions of susan:", len(list))
	}
}

// If a listener of EventRequestRefused asks for the user, the refused request does not
// resume a remembered login.
func TestCrossOriginEventResumesNoLogin(t *testing.T) {
	t.Parallel()
	var app *testapp.App
	app, _ = newApp(t, func(c *auth.Config) {
		c.OnEvent = func(ctx context.Context, e auth.Event) {
			if e.Kind == auth.EventRequestRefused {
				if u, err := app.User(ctx); err == nil || errors.Is(err, auth.ErrNotLoggedIn) {
					t.Errorf("the refused request is %v's, %v", u, err)
				}
			}
		}
	})
	app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	c.Restart()
	r := c.Do("POST", "/put", url.Values{"key": {"k"}}, http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"same-site"}})
	if r.StatusCode != http.StatusForbidden || len(r.Header["Set-Cookie"]) > 0 {
		t.Errorf("%s, and cookies %v", r.Status, r.Header["Set-Cookie"])
	}
}

// No answer allows a page of another origin to read it: the library sends no CORS
// headers, not even to Network.Origins.
func TestNoCORS(t *testing.T) {
	t.Parallel()
	app, _, p, _ := pagesApp(t, func(c *auth.Config) { c.Network.Origins = []string{"https://admin.example"} })
	member(t, app, "susan", testapp.Password)
	c := app.Client(t)
	c.Login("susan")
	app.Mux.Handle("/", p)
	app.Mux.Handle("/mine", app.RequireLogin(http.HandlerFunc(hello)))
	for _, path := range append(p.Paths(), "/mine", "/who", "/nowhere") {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			for _, origin := range []string{"https://evil.example", "null", "https://admin.example"} {
				header := cookieHeader(c.Cookies)
				header.Set("Origin", origin)
				header.Set("Access-Control-Request-Method", "POST")
				header.Set("Access-Control-Request-Headers", "content-type")
				w := direct(t, app.Server.Config.Handler, method, path+"?callback=x&jsonp=x", header)
				for name := range w.Header() {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s %s from %s: %s", method, path, origin, name)
					}
				}
			}
		}
	}
}

// A preflight request has no cookies. A middleware outside LoadAndSave must answer it.
func TestPreflight(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, func(c *auth.Config) { c.Network.Origins = []string{"https://other.example"} })
	app.Create(t, "susan", false)
	cors := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Origin") == "https://other.example" {
				h := w.Header()
				h.Set("Access-Control-Allow-Origin", "https://other.example")
				h.Set("Access-Control-Allow-Credentials", "true")
				if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
					h.Set("Access-Control-Allow-Methods", "GET, POST")
					w.WriteHeader(http.StatusNoContent)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
	app.Server.Config.Handler = cors(app.LoadAndSave(app.Mux))
	c := app.Client(t)
	c.Login("susan")
	store.Reset()
	preflight := http.Header{"Origin": {"https://other.example"}, "Access-Control-Request-Method": {"POST"}}
	r := app.Client(t).Do(http.MethodOptions, "/guarded", nil, preflight)
	if r.StatusCode != http.StatusNoContent || r.Header.Get("Access-Control-Allow-Methods") == "" || len(r.Header["Set-Cookie"]) > 0 || len(store.Calls()) > 0 {
		t.Errorf("preflight: %s %v", r.Status, r.Header)
	}
	r = c.Do(http.MethodPost, "/guarded", nil, http.Header{"Origin": {"https://other.example"}})
	if r.Text != "susan" || r.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("then: %s %q %v", r.Status, r.Text, r.Header)
	}
	// An OPTIONS request that is no preflight, or comes from another origin, reaches
	// the guard.
	for _, header := range []http.Header{{"Origin": {"https://other.example"}}, {"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"GET"}}, {}} {
		if r := app.Client(t).Do(http.MethodOptions, "/guarded", nil, header); r.StatusCode != http.StatusSeeOther || r.Text != "" {
			t.Errorf("OPTIONS with %v: %s %q", header, r.Status, r.Text)
		}
	}
}
