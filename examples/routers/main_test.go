package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
	"golang.org/x/net/websocket"
)

const password = "a plain sentence"

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A store fails to insert records while broken is set.
type store struct {
	*memstore.Store[User, *User]
	broken atomic.Bool
}

func (s *store) InsertRecord(ctx context.Context, r auth.Record) error {
	if s.broken.Load() {
		return errors.New("the store is down")
	}
	return s.Store.InsertRecord(ctx, r)
}

// A site is the application under a router, with the user susan.
type site struct {
	*app
	t     *testing.T
	url   string
	store *store
	clock *testapp.Clock
	log   *log
	susan *User
}

// A log keeps what is logged.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newSite(t *testing.T, under func(*app) http.Handler) *site {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	clock := testapp.NewClock()
	s := &site{
		t: t, url: "http://" + server.Listener.Addr().String(), clock: clock, log: &log{},
		store: &store{Store: memstore.New[User](memstore.WithClock(clock.Now))},
	}
	ending := make(chan struct{})
	var err error
	s.app, err = newApp(s.store, auth.Config{
		BaseURL: s.url, Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Now: clock.Now,
		Logger: slog.New(slog.NewTextHandler(s.log, nil)), Password: auth.PasswordConfig{HashParams: authtest.HashParams()},
	}, ending)
	check(t, err)
	s.susan, err = s.manager.Register(t.Context(), auth.Registration{Username: "susan", Email: "susan@app.example", Password: password})
	check(t, err)
	server.Config.Handler = under(s.app)
	server.Config.WriteTimeout = time.Minute
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(ending) })
	return s
}

// A client is a browser, or a program. It follows no redirects.
type client struct {
	*http.Client
	site *site
}

func (s *site) client() *client {
	jar, err := cookiejar.New(nil)
	check(s.t, err)
	c := &client{&http.Client{Jar: jar, Transport: &http.Transport{}, Timeout: 2 * time.Minute}, s}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.t.Cleanup(c.CloseIdleConnections)
	return c
}

// login returns a browser in which susan has logged in.
func (s *site) login() *client {
	s.t.Helper()
	c := s.client()
	c.post("/login", url.Values{"login": {"susan"}, "password": {password}}).want(http.StatusSeeOther, "")
	return c
}

// A reply is an answer that has been read.
type reply struct {
	*http.Response
	t    *testing.T
	what string
	body string
}

// send sends a request. Headers are pairs of name and value.
func (c *client) send(method, path string, form url.Values, headers ...string) *http.Response {
	t := c.site.t
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.site.url+path, strings.NewReader(form.Encode()))
	check(t, err)
	r.Header.Set("Accept", "text/html")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := c.Do(r)
	check(t, err)
	return answer
}

func (c *client) ask(method, path string, form url.Values, headers ...string) *reply {
	t := c.site.t
	t.Helper()
	r := c.send(method, path, form, headers...)
	body, err := io.ReadAll(r.Body)
	check(t, err)
	check(t, r.Body.Close())
	return &reply{r, t, method + " " + path, string(body)}
}

func (c *client) get(path string, headers ...string) *reply {
	c.site.t.Helper()
	return c.ask(http.MethodGet, path, nil, headers...)
}

func (c *client) post(path string, form url.Values, headers ...string) *reply {
	c.site.t.Helper()
	return c.ask(http.MethodPost, path, form, headers...)
}

// want checks the status, and that the body contains a text.
func (r *reply) want(status int, text string) *reply {
	r.t.Helper()
	if r.StatusCode != status || !strings.Contains(r.body, text) {
		r.t.Errorf("%s: %d to %q, want %d and %q in\n%s", r.what, r.StatusCode, r.Header.Get("Location"), status, text, r.body)
	}
	return r
}

// to checks where a redirect leads.
func (r *reply) to(location string) {
	r.t.Helper()
	if got := r.Header.Get("Location"); got != location {
		r.t.Errorf("%s: to %q, want %q", r.what, got, location)
	}
}

// The same application does the same under all routers.
func TestRouters(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*testing.T, *site){
		"login": testLogin, "fresh": testFresh, "scope": testScope, "outside": testOutside, "stream": testStream,
		"WebSocket": testWebSocket, "own writer": testOwnWriter, "error page": testErrorPage, "errors": testErrors, "methods": testMethods,
		"paths": testPaths, "htmx and others": testScripts,
	}
	for name, under := range routers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, test := range cases {
				t.Run(what, func(t *testing.T) {
					t.Parallel()
					s := newSite(t, under)
					test(t, s)
					if logged := s.log.String(); strings.Contains(logged, "around LoadAndSave") {
						t.Error(logged)
					}
				})
			}
		})
	}
}

// A guard leads to the login page and back, and a logout ends the login.
func testLogin(_ *testing.T, s *site) {
	c := s.client()
	c.get("/profile").want(http.StatusSeeOther, "").to("/login?next=%2Fprofile")
	c.get("/login?next=%2Fprofile").want(http.StatusOK, "Log in")
	c.post("/login", url.Values{"login": {"susan"}, "password": {"a wrong one"}, "next": {"/profile"}}).want(http.StatusUnprocessableEntity, "")
	c.get("/profile").want(http.StatusSeeOther, "")
	c.post("/login", url.Values{"login": {"susan"}, "password": {password}, "next": {"/profile"}}).want(http.StatusSeeOther, "").to("/profile")
	c.get("/profile").want(http.StatusOK, "This is susan.")
	c.post("/logout", nil, "Origin", "https://evil.example").want(http.StatusForbidden, "")
	c.get("/profile").want(http.StatusOK, "This is susan.")
	c.post("/logout", nil).want(http.StatusSeeOther, "")
	c.get("/profile").want(http.StatusSeeOther, "")
}

func testFresh(_ *testing.T, s *site) {
	s.client().get("/billing").want(http.StatusSeeOther, "").to("/login?next=%2Fbilling")
	c := s.login()
	c.get("/billing").want(http.StatusOK, "Pay here.")
	s.clock.Advance(freshFor + time.Second)
	c.get("/profile").want(http.StatusOK, "This is susan.")
	c.get("/billing").want(http.StatusSeeOther, "").to("/refresh?next=%2Fbilling")
	c.post("/refresh", url.Values{"password": {password}, "next": {"/billing"}}).want(http.StatusSeeOther, "").to("/billing")
	c.get("/billing").want(http.StatusOK, "Pay here.")
}

func testScope(t *testing.T, s *site) {
	token := func(scope string) []string {
		secret, _, err := s.manager.NewAPIToken(t.Context(), s.susan, auth.APIToken{Name: "a script", Scopes: []string{scope}, Expires: s.clock.Now().Add(time.Hour)})
		check(t, err)
		return []string{"Authorization", "Bearer " + secret.Reveal(), "Accept", "application/json"}
	}
	right, wrong := token("notes"), token("other")
	c := s.client()
	c.get("/api/notes", right...).want(http.StatusOK, "Notes of susan.")
	c.get("/api/notes", wrong...).want(http.StatusForbidden, "")
	c.get("/profile", right...).want(http.StatusForbidden, "")
	c.get("/api/notes", "Accept", "application/json").want(http.StatusUnauthorized, "")
	s.login().get("/api/notes").want(http.StatusOK, "Notes of susan.")
}

func testOutside(_ *testing.T, s *site) {
	for _, c := range []*client{s.client(), s.login()} {
		for _, path := range []string{"/nothing", "/profile/nothing", "/api"} {
			c.get(path).want(http.StatusNotFound, "")
		}
	}
}

// A stream is flushed, has no deadline, and ends with the login.
func testStream(t *testing.T, s *site) {
	s.client().get("/events").want(http.StatusSeeOther, "")
	c := s.login()
	r := c.send(http.MethodGet, "/events", nil, "Accept", "text/event-stream", "Accept-Encoding", "identity")
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatal(r.Status, r.Header)
	}
	lines := bufio.NewScanner(r.Body)
	if !lines.Scan() || lines.Text() != "data: hello" {
		t.Fatalf("the first line is %q", lines.Text())
	}
	c.post("/logout", nil).want(http.StatusSeeOther, "")
	var rest []string
	for lines.Scan() {
		rest = append(rest, lines.Text())
	}
	if all := strings.Join(rest, "|"); all != "|event: logout|data:|" {
		t.Errorf("then comes %q, %v", all, lines.Err())
	}
}

func testWebSocket(t *testing.T, s *site) {
	dial := func(c *client, origin string) (*websocket.Conn, error) {
		config, err := websocket.NewConfig("ws"+strings.TrimPrefix(s.url, "http")+"/chat", origin)
		check(t, err)
		base, err := url.Parse(s.url)
		check(t, err)
		for _, cookie := range c.Jar.Cookies(base) {
			config.Header.Add("Cookie", cookie.String())
		}
		return config.DialContext(t.Context())
	}
	if _, err := dial(s.client(), s.url); err == nil {
		t.Error("an anonymous client has a WebSocket")
	}
	c := s.login()
	if _, err := dial(c, "https://evil.example"); err == nil {
		t.Error("another site has a WebSocket")
	}
	conn, err := dial(c, s.url)
	check(t, err)
	defer func() { _ = conn.Close() }()
	var text string
	check(t, websocket.Message.Send(conn, "hello"))
	check(t, websocket.Message.Receive(conn, &text))
	if text != "hello" {
		t.Errorf("got %q", text)
	}
	c.post("/logout", nil).want(http.StatusSeeOther, "")
	if err := websocket.Message.Receive(conn, &text); err == nil {
		t.Error("the WebSocket outlives the login")
	}
}

// What a handler keeps in the session is there in the next request, though the handler
// writes its answer by the router's own means.
func testOwnWriter(t *testing.T, s *site) {
	c := s.client()
	if r := c.post("/visits", nil).want(http.StatusOK, "1 visits"); len(r.Cookies()) == 0 {
		t.Error("no cookie")
	}
	c.post("/visits", nil).want(http.StatusOK, "2 visits")
	user := s.login()
	user.post("/visits", nil).want(http.StatusOK, "1 visits")
	user.post("/visits", nil).want(http.StatusOK, "2 visits")
	s.client().post("/visits", nil).want(http.StatusOK, "1 visits")
}

// If the session cannot be stored, the answer is an error page in place of the handler's,
// also behind a middleware that compresses.
func testErrorPage(t *testing.T, s *site) {
	s.store.broken.Store(true)
	r := s.client().post("/visits", nil).want(http.StatusServiceUnavailable, ownPage)
	if strings.Contains(r.body, "visits") || len(r.Cookies()) > 0 || r.Header.Get("Retry-After") == "" {
		t.Errorf("%v %s", r.Header, r.body)
	}
	s.store.broken.Store(false)
	s.client().get("/api/notes", "Accept", "application/json").want(http.StatusUnauthorized, `"code":"not-logged-in"`)
}

// ownPage is on the application's page for errors.
const ownPage = "This page is our own."

// Every error reaches the application's own page, with the status: those of the router, those
// that a handler returns in the router's way, and those of guards and of the pages. Errors about
// a login lead to the login page as ever, and a program gets JSON.
func testErrors(t *testing.T, s *site) {
	visitor, user := s.client(), s.login()
	user.get("/nothing").want(http.StatusNotFound, ownPage)
	visitor.get("/staff").want(http.StatusSeeOther, "").to("/login?next=%2Fstaff")
	user.get("/staff").want(http.StatusForbidden, ownPage)
	user.get("/staff", "Accept", "application/json").want(http.StatusForbidden, `"code":"forbidden"`)
	if r := user.get("/print").want(http.StatusInternalServerError, ownPage); strings.Contains(r.body, "fire") {
		t.Errorf("the page shows the error: %s", r.body)
	}
	if !strings.Contains(s.log.String(), errPrinter.Error()) {
		t.Error("the log does not have the error")
	}
	user.post("/logout", nil, "Origin", "https://evil.example").want(http.StatusForbidden, ownPage)
	if r := user.post("/print", nil); r.StatusCode != http.StatusMethodNotAllowed && r.StatusCode != http.StatusNotFound || !strings.Contains(r.body, ownPage) {
		t.Errorf("another method: %d %s", r.StatusCode, r.body)
	}
}

// A guard guards every method.
func testMethods(t *testing.T, s *site) {
	visitor, user := s.client(), s.login()
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"} {
		if r := visitor.ask(method, "/profile", nil); r.StatusCode != http.StatusSeeOther || strings.Contains(r.body, "This is") {
			t.Errorf("%s by a visitor: %d %s", method, r.StatusCode, r.body)
		}
		if r := user.ask(method, "/profile", nil); r.StatusCode != http.StatusOK || method != "HEAD" && r.body != "This is susan." {
			t.Errorf("%s by a user: %d %s", method, r.StatusCode, r.body)
		}
		if r := visitor.ask(method, "/billing", nil); r.StatusCode == http.StatusOK || strings.Contains(r.body, "Pay") {
			t.Errorf("%s /billing by a visitor: %d %s", method, r.StatusCode, r.body)
		}
	}
}

// No spelling of a path leads a visitor past a guard.
func testPaths(t *testing.T, s *site) {
	c := s.client()
	for _, path := range []string{
		"//profile", "/%70rofile", "/./profile", "/x/../profile", "/profile/", "/profile%2f", "/PROFILE", "/profile;x", "/profile?x=/login", "/profile%00", "/login/../profile", "///profile//", "/login%2f..%2fprofile",
	} {
		r := c.get(path)
		if strings.Contains(r.body, "This is") || r.StatusCode == http.StatusOK {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
	}
	// A router may clean a path by a redirect, but never to another site.
	for _, path := range []string{"//evil.example/profile", "/\\evil.example"} {
		to, err := url.Parse(c.get(path).Header.Get("Location"))
		if err != nil || to.Host != "" {
			t.Errorf("%s leads to %q, %v", path, to, err)
		}
	}
}

// Scripts that ask for a part of a page are told to load the login page as a whole.
func testScripts(t *testing.T, s *site) {
	c := s.client()
	r := c.get("/profile", "HX-Request", "true", "HX-Current-URL", s.url+"/there").want(http.StatusUnauthorized, "")
	if to := r.Header.Get("HX-Redirect"); to != "/login?next=%2Fthere" {
		t.Errorf("htmx: to %q", to)
	}
	r = c.get("/profile", "Turbo-Frame", "part", "Referer", s.url+"/there").want(http.StatusUnauthorized, `<meta name="turbo-visit-control" content="reload">`)
	if !strings.Contains(r.body, "/login?next=%2Fthere") || r.Header.Get("Location") != "" {
		t.Errorf("Turbo: %s", r.body)
	}
	r = c.get("/profile", "X-Inertia", "true", "Referer", s.url+"/there").want(http.StatusConflict, "")
	if to := r.Header.Get("X-Inertia-Location"); to != "/login?next=%2Fthere" {
		t.Errorf("Inertia: to %q", to)
	}
	c.get("/profile", "Accept", "application/json").want(http.StatusUnauthorized, "")
	c.get("/profile", "Accept", "application/json", "Sec-Fetch-Dest", "empty").want(http.StatusUnauthorized, "")
	user := s.login()
	user.get("/profile", "HX-Request", "true").want(http.StatusOK, "This is susan.")
	s.clock.Advance(freshFor + time.Second)
	r = user.get("/billing", "HX-Request", "true", "HX-Current-URL", s.url+"/there").want(http.StatusUnauthorized, "")
	if to := r.Header.Get("HX-Redirect"); to != "/refresh?next=%2Fthere" {
		t.Errorf("htmx, not fresh: to %q", to)
	}
}

// LoadAndSave as a middleware of gin loses the cookies. The log and Doctor say so.
func TestLoadAndSaveInsideGin(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *app) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.Use(ginGuard(a.manager.LoadAndSave)) // wrong
		r.POST("/visits", func(c *gin.Context) { c.String(http.StatusOK, "%d visits", a.count(c.Request.Context())) })
		return r
	})
	c := s.client()
	for range 2 {
		if r := c.post("/visits", nil).want(http.StatusOK, "1 visits"); len(r.Cookies()) > 0 {
			t.Error("gin sets the cookie after all: docs/routers.md can say so")
		}
	}
	if n := strings.Count(s.log.String(), "around LoadAndSave"); n != 1 {
		t.Errorf("logged %d times: %s", n, s.log)
	}
	found := false
	for _, f := range s.manager.Doctor(t.Context()) {
		found = found || f.Code == auth.FindingWriterBypassed
	}
	if !found {
		t.Error("Doctor does not say so")
	}
}

// LoadAndSave as a middleware of echo works, also inside Gzip: echo lets its handlers write to
// the writer of a middleware. docs/routers.md says why it is better outside.
func TestLoadAndSaveInsideEcho(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *app) http.Handler {
		e := echo.New()
		e.Use(middleware.Gzip(), echo.WrapMiddleware(a.manager.LoadAndSave))
		e.POST("/visits", func(c *echo.Context) error {
			return c.String(http.StatusOK, fmt.Sprintf("%d visits", a.count(c.Request().Context())))
		})
		return e
	})
	c := s.client()
	c.post("/visits", nil).want(http.StatusOK, "1 visits")
	s.store.broken.Store(true)
	s.client().post("/visits", nil).want(http.StatusServiceUnavailable, ownPage)
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-no-such-flag"}, {"-router", "none"}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
