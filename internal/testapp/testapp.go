// Package testapp is a small application on package auth. Tests of the library and of
// each store use it over HTTP.
//
//   - App is the application. Act, In and Page run functions of a test in its requests.
//   - Client is a browser over the network, Visitor one without a network that can come
//     from any address.
//   - Spy is a store that records its calls, makes them fail, and runs functions of a test
//     around them. EachCall and AllOrNothing go through all calls of an operation.
//   - Outbox receives the mails. The Clock stands still.
//   - Races and RememberedRaces run requests at the same moment, on any store.
//   - Slow, NeedsSlow, Rounds and Need skip tests that take long or need a server.
package testapp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
)

// User is the application's user type.
type User struct {
	auth.Account
	Name string
}

// ReadForm sets Name from the form of a registration.
func (u *User) ReadForm(form url.Values) error {
	if form.Get("name") == "refuse" {
		return ErrRefused
	}
	u.Name = form.Get("name")
	return nil
}

// ErrRefused is the error of ReadForm for the name "refuse".
var ErrRefused = errors.New("testapp: refused")

// A Store is a user store and a record store in one.
type Store interface {
	auth.UserStore[*User]
	auth.RecordStore
}

// Password is the password of the users that Create makes, if they have one.
const Password = "correct horse battery"

// A Clock stands still until a test moves it.
type Clock = authtest.Clock

// NewClock returns a clock that shows a time in 2026.
func NewClock() *Clock {
	return authtest.NewClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
}

// An App is a running application.
type App struct {
	*auth.Manager[*User]
	Store  Store
	Clock  *Clock
	Server *httptest.Server
	Mux    *http.ServeMux // for handlers of the test

	mu     sync.Mutex
	events []auth.Event
	logs   strings.Builder
	acts   []http.HandlerFunc
}

// Spy returns the application's store, if it is a Spy.
func (a *App) Spy() *Spy {
	switch s := a.Store.(type) {
	case *Spy:
		return s
	case DeletingSpy:
		return s.Spy
	}
	return nil
}

// New starts an application over plain HTTP. configure, if not nil, changes its
// configuration.
func New(tb testing.TB, store Store, clock *Clock, configure func(*auth.Config)) *App {
	tb.Helper()
	a := &App{Store: store, Clock: clock, Mux: http.NewServeMux()}
	a.Server = httptest.NewUnstartedServer(nil)
	cfg := auth.Config{
		BaseURL: "http://" + a.Server.Listener.Addr().String(),
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Now:     clock.Now,
		OnEvent: a.onEvent,
		Logger:  slog.New(slog.NewTextHandler(a, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if configure != nil {
		configure(&cfg)
	}
	o, ok := store.(interface{ OmittedFields() []auth.AccountField })
	if noHashes := ok && slices.Contains(o.OmittedFields(), auth.FieldPasswordHash); !noHashes && cfg.Password.HashParams == nil {
		cfg.Password.HashParams = authtest.HashParams()
	}
	manager, err := auth.New[*User](store, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	// In the tests of package auth each application has a hashing budget of its own
	// (export_test.go has the method), because the tests are parallel, and some fill
	// the queue.
	if core, ok := any(manager.Core).(interface{ OwnHashing() }); ok {
		core.OwnHashing()
	}
	a.Manager = manager
	if spy, ok := store.(*Spy); ok {
		tb.Cleanup(func() {
			if before := spy.Overwritten(); len(before) > 0 {
				tb.Errorf("somebody has written to the Data of %d records; the first was %q", len(before), before[0])
			}
		})
	}
	a.routes()
	a.Server.Config.Handler = manager.LoadAndSave(a.Mux)
	a.Server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(a, nil), slog.LevelError)
	a.Server.Start()
	tb.Cleanup(a.Server.Close)
	return a
}

// Write takes lines of the log.
func (a *App) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.logs.Write(b)
}

// Logs returns everything that was logged.
func (a *App) Logs() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.logs.String()
}

func (a *App) onEvent(_ context.Context, e auth.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, e)
}

// Events returns the events since the last call.
func (a *App) Events() []auth.Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	events := a.events
	a.events = nil
	return events
}

// routes adds the application's pages. Pages that change something take POST.
func (a *App) routes() {
	sessions := a.SessionData()
	a.Mux.HandleFunc("/test", a.act)
	a.freshPages()
	a.Mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "public")
	})
	// who is public: it answers the user's name, or "nobody".
	a.Mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		u, err := a.User(r.Context())
		switch {
		case errors.Is(err, auth.ErrNotLoggedIn):
			_, _ = io.WriteString(w, "nobody")
		case err != nil:
			a.Error(w, r, err)
		default:
			_, _ = io.WriteString(w, u.Username)
		}
	})
	a.Mux.Handle("/guarded", a.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, _ := a.CurrentUser(r.Context())
		_, _ = io.WriteString(w, u.Username)
	})))
	a.Mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		u, err := a.Authenticate(r.Context(), r.PostFormValue("login"), r.PostFormValue("password"))
		if err == nil {
			err = a.LoginUser(r.Context(), u)
		}
		a.answer(w, r, err)
	})
	// enter logs in without a password, which is quick.
	a.Mux.HandleFunc("POST /enter", func(w http.ResponseWriter, r *http.Request) {
		u, err := a.Store.FindUser(r.Context(), r.PostFormValue("login"))
		if err == nil {
			err = a.LoginUser(r.Context(), u, auth.Remember(r.PostFormValue("remember") != ""))
		}
		a.answer(w, r, err)
	})
	a.Mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		a.answer(w, r, a.LogoutUser(r.Context()))
	})
	a.Mux.HandleFunc("POST /password", func(w http.ResponseWriter, r *http.Request) {
		u, err := a.User(r.Context())
		if err == nil {
			err = a.SetPassword(r.Context(), u, r.PostFormValue("password"))
		}
		a.answer(w, r, err)
	})
	a.Mux.HandleFunc("POST /put", func(w http.ResponseWriter, r *http.Request) {
		sessions.Put(r.Context(), r.PostFormValue("key"), r.PostFormValue("value"))
		a.answer(w, r, nil)
	})
	a.Mux.HandleFunc("GET /get", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, sessions.GetString(r.Context(), r.FormValue("key")))
	})
	a.Mux.HandleFunc("POST /renew", func(w http.ResponseWriter, r *http.Request) {
		a.answer(w, r, sessions.RenewToken(r.Context()))
	})
	a.Mux.HandleFunc("POST /destroy", func(w http.ResponseWriter, r *http.Request) {
		a.answer(w, r, sessions.Destroy(r.Context()))
	})
}

func (a *App) answer(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		a.Error(w, r, err)
		return
	}
	_, _ = io.WriteString(w, "ok")
}

// Create makes a user with this name and the address name@app.example. With
// withPassword, the user has Password.
func (a *App) Create(tb testing.TB, name string, withPassword bool) *User {
	tb.Helper()
	account := auth.Account{Username: name, Email: name + "@app.example", Stamp: auth.NewSecret("stamp of " + name), Version: 1}
	if withPassword {
		hash, err := a.HashPassword(tb.Context(), Password)
		if err != nil {
			tb.Fatal(err)
		}
		account.PasswordHash = hash
	}
	u, err := a.Store.CreateUser(tb.Context(), account, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// A Client is a browser. It remembers every cookie that it ever got.
type Client struct {
	tb   testing.TB
	base string
	HTTP *http.Client

	mu      sync.Mutex
	Cookies map[string]string
	Issued  []*http.Cookie // those with a value
}

// Client returns a browser without cookies.
func (a *App) Client(tb testing.TB) *Client {
	return &Client{
		tb: tb, base: a.Server.URL, Cookies: map[string]string{},
		HTTP: &http.Client{
			Transport:     a.Server.Client().Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Clone returns a browser with the same cookies.
func (c *Client) Clone() *Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	other := &Client{tb: c.tb, base: c.base, HTTP: c.HTTP, Cookies: map[string]string{}}
	for k, v := range c.Cookies {
		other.Cookies[k] = v
	}
	return other
}

// A Response is an answer whose body has been read.
type Response struct {
	*http.Response
	Text string
}

// Get asks for a page.
func (c *Client) Get(path string) *Response { return c.Do(http.MethodGet, path, nil, nil) }

// Post sends a form; fields alternate names and values.
func (c *Client) Post(path string, fields ...string) *Response {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return c.Do(http.MethodPost, path, form, nil)
}

// Do sends a request and keeps its cookies. Without an answer the test fails.
func (c *Client) Do(method, path string, form url.Values, header http.Header) *Response {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(c.tb.Context(), method, c.base+path, body)
	if err != nil {
		c.tb.Error(err)
		return &Response{Response: &http.Response{Header: http.Header{}}}
	}
	for k, v := range header {
		r.Header[k] = v
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	c.mu.Lock()
	for name, value := range c.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	c.mu.Unlock()
	res, err := c.HTTP.Do(r)
	if err != nil {
		c.tb.Errorf("%s %s: %v", method, path, err)
		return &Response{Response: &http.Response{Header: http.Header{}}}
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.tb.Errorf("%s %s: %v", method, path, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cookie := range res.Cookies() {
		if cookie.MaxAge < 0 || cookie.Value == "" {
			delete(c.Cookies, cookie.Name)
		} else {
			c.Cookies[cookie.Name] = cookie.Value
			c.Issued = append(c.Issued, cookie)
		}
	}
	return &Response{res, strings.TrimSpace(string(text))}
}

// Who returns the name of the user that the application sees, or "nobody".
func (c *Client) Who() string {
	r := c.Get("/who")
	if r.StatusCode != http.StatusOK {
		return fmt.Sprint(r.StatusCode)
	}
	return r.Text
}

// Login logs in without a password. If that fails, the test fails.
func (c *Client) Login(name string) {
	c.tb.Helper()
	if r := c.Post("/enter", "login", name); r.StatusCode != http.StatusOK {
		c.tb.Fatalf("login as %s: %s %s", name, r.Status, r.Text)
	}
}

// Restart drops the cookies that a browser drops when it is closed.
func (c *Client) Restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.Cookies {
		if !strings.HasSuffix(name, "-remember") {
			delete(c.Cookies, name)
		}
	}
}

// Replay sends each cookie that the browser ever got alone, and returns the user of
// each request.
func (c *Client) Replay() []string {
	c.mu.Lock()
	issued := c.Issued
	c.mu.Unlock()
	var who []string
	for _, cookie := range issued {
		alone := c.Clone()
		alone.Cookies = map[string]string{cookie.Name: cookie.Value}
		who = append(who, alone.Who())
	}
	return who
}
