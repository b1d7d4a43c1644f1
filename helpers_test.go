package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// patience is how long a test waits for what would hang if it were wrong. The machine may
// be busy.
const patience = 2 * time.Minute

// finish fails the test if f hangs.
func finish(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		stacks := make([]byte, 1<<20)
		t.Fatalf("it hangs:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
}

// registerOnce registers what these tests put; gob takes the same again.
func registerOnce() { gob.Register(map[string]string{}) }

// errStore is what a store says that is made to fail.
var errStore = testapp.ErrStore

// on calls f at the first call of that name.
func on(name string, f func() error) func(string) error {
	var once sync.Once
	return func(call string) (err error) {
		if call == name {
			once.Do(func() { err = f() })
		}
		return err
	}
}

// memStore is the store in memory with the users of testapp.
type memStore = memstore.Store[testapp.User, *testapp.User]

// Configurations.

// goodConfig is one that New accepts.
func goodConfig() auth.Config {
	return auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Logger:  slog.New(slog.DiscardHandler),
	}
}

// hashParams are parameters of Argon2id.
func hashParams(memory, iterations uint32, parallelism uint8, salt, key uint32) *argon2id.Params {
	return &argon2id.Params{Memory: memory, Iterations: iterations, Parallelism: parallelism, SaltLength: salt, KeyLength: key}
}

// defaultHashes makes the hashes of an application that sets no HashParams, instead of
// the cheap ones of testapp.New. It is for tests of the hashes, and of what they cost.
func defaultHashes(c *auth.Config) {
	p := auth.DefaultHashParams()
	c.Password.HashParams = &p
}

// oneHashAtATime makes hashes that each take all the memory there is.
func oneHashAtATime(c *auth.Config) {
	c.Password.HashParams, c.Password.HashMemory = hashParams(7168, 5, 1, 16, 32), 7168<<10
}

// noLimits switches all rate limits off.
func noLimits(c *auth.Config) {
	c.Limits = auth.Limits{Guesses: -1, Mails: -1, Registrations: -1}
}

// atAppExample gives the application an address with https.
func atAppExample(c *auth.Config) { c.BaseURL = "https://app.example" }

// requireVerified lets in only users whose e-mail address is verified.
func requireVerified(c *auth.Config) { c.RequireVerified = true }

func hideAccounts(c *auth.Config) { c.RequireVerified, c.HideAccounts = true, true }

// loadedBy configures request loaders.
func loadedBy(loaders ...auth.Credential) func(*auth.Config) {
	return func(c *auth.Config) { c.Credentials = loaders }
}

// withBearer accepts API tokens.
func withBearer(c *auth.Config) { c.Credentials = []auth.Credential{auth.Bearer()} }

// byHeader finds the user whose ID is in the header X-User, as of method "key".
func byHeader() auth.Credential {
	return auth.Credential{Load: func(r *http.Request) (auth.Grant, error) {
		return auth.Grant{UserID: r.Header.Get("X-User"), Method: "key"}, nil
	}}
}

// A leakyChecker tells what it has seen.
type leakyChecker struct{}

func (leakyChecker) Breached(_ context.Context, password string) (bool, error) {
	return false, errors.New("no answer for " + password)
}

// An askingHandler is a handler of the log that uses the request's context.
type askingHandler struct {
	slog.Handler
	ask func(context.Context)
}

func (h askingHandler) Handle(ctx context.Context, r slog.Record) error {
	h.ask(ctx)
	return h.Handler.Handle(ctx, r)
}

// Applications.

// newApp is an application on a store with hooks. Its hashes are cheap; see
// testapp.New and defaultHashes.
func newApp(t *testing.T, configure func(*auth.Config)) (*testapp.App, *testapp.Spy) {
	t.Helper()
	clock := testapp.NewClock()
	store := testapp.NewSpy(clock)
	return testapp.New(t, store, clock, configure), store
}

// processes are applications on one store, as several processes are.
func processes(t *testing.T, n int, configure func(*auth.Config)) ([]*testapp.App, *testapp.Spy) {
	t.Helper()
	first, store := newApp(t, configure)
	apps := []*testapp.App{first}
	for range n - 1 {
		apps = append(apps, testapp.New(t, store, first.Clock, configure))
	}
	return apps, store
}

// skewed returns apps on one store whose clocks differ from the first one's by so
// much, and a function that lets time pass.
func skewed(t *testing.T, configure func(*auth.Config), differ ...time.Duration) (apps []*testapp.App, pass func(time.Duration)) {
	t.Helper()
	store := memstore.New[testapp.User](memstore.WithClock(testapp.NewClock().Now))
	for _, d := range append([]time.Duration{0}, differ...) {
		clock := testapp.NewClock()
		clock.Advance(d)
		apps = append(apps, testapp.New(t, store, clock, configure))
	}
	return apps, func(d time.Duration) {
		for _, app := range apps {
			app.Clock.Advance(d)
		}
	}
}

// pagesApp is an application with the ready-made pages, in which susan is a
// member.
func pagesApp(t *testing.T, configure func(*auth.Config)) (app *testapp.App, store *testapp.Spy, p *pages.Pages, box *testapp.Outbox) {
	t.Helper()
	box = &testapp.Outbox{}
	app, store = newApp(t, func(c *auth.Config) {
		c.Mailer = box
		if configure != nil {
			configure(c)
		}
	})
	p, err := pages.New(app.Core, pages.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return app, store, p, box
}

// tokenApp has pages for scopes.
func tokenApp(t *testing.T, configure func(*auth.Config)) *testapp.App {
	t.Helper()
	app, _ := newApp(t, func(c *auth.Config) {
		c.Credentials = []auth.Credential{auth.Bearer()}
		if configure != nil {
			configure(c)
		}
	})
	whose := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, err := app.User(r.Context())
		if current, ok := app.CurrentUser(r.Context()); err != nil || !ok || current.ID != u.ID {
			t.Errorf("behind a guard: %v, %v", ok, err)
			return
		}
		_, _ = w.Write([]byte(u.Username))
	})
	app.Mux.Handle("/read", app.RequireScope("read")(whose))
	app.Mux.Handle("/write", app.RequireScope("write")(whose))
	app.Mux.Handle("/all", app.RequireScope(auth.ScopeAll)(whose))
	app.Mux.Handle("/none", app.RequireScope("")(whose))
	app.Mux.Handle("/read/login", app.RequireScope("read")(app.RequireLogin(whose)))
	app.Mux.Handle("/login/read", app.RequireLogin(app.RequireScope("read")(whose)))
	app.Mux.Handle("/read/write", app.RequireScope("read")(app.RequireScope("write")(whose)))
	app.Mux.Handle("/read/fresh", app.RequireScope("read")(app.RequireFresh(0)(whose)))
	return app
}

// stateApp has the users susan and mike, the page /state, which says what the request
// is, and pages that log susan in with one option each.
func stateApp(t *testing.T, configure func(*auth.Config)) (*testapp.App, *testapp.Spy) {
	t.Helper()
	app, spy := newApp(t, configure)
	app.Create(t, "susan", false)
	app.Create(t, "mike", false)
	app.Mux.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, stateIn(r.Context(), app))
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
			_, _ = fmt.Fprint(w, stateIn(r.Context(), app))
		})
	}
	as("/as/plain", func(*http.Request) auth.LoginOption { return nil })
	as("/as/stale", func(*http.Request) auth.LoginOption { return auth.Stale() })
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

// stateIn says who makes a request, whether the login is fresh, and whether
// it is remembered.
func stateIn(ctx context.Context, app *testapp.App) string {
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

// nextApp keeps the next in a cookie. POST /take answers what TakeNext returns.
func nextApp(t *testing.T, configure func(*auth.Config)) (*testapp.App, *testapp.Spy) {
	t.Helper()
	app, store := newApp(t, func(c *auth.Config) {
		c.URLs.NextInCookie = true
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

// forgot is a page that asks for a reset.
func forgot(app *testapp.App) {
	app.Mux.HandleFunc("POST /forgot", func(w http.ResponseWriter, r *http.Request) {
		if err := app.SendReset(r.Context(), r.PostFormValue("email")); err != nil {
			app.Error(w, r, err)
		}
	})
}

// hello is a page that answers "hello".
func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// A mailApp is an application with a mailbox, on a store with hooks.
type mailApp struct {
	*testapp.App
	box *testapp.Outbox
}

// newMailApp is an application with a mailbox.
func newMailApp(t *testing.T, configure func(*auth.Config)) *mailApp {
	t.Helper()
	box := &testapp.Outbox{}
	app, _ := newApp(t, func(c *auth.Config) {
		c.Mailer = box
		if configure != nil {
			configure(c)
		}
	})
	return &mailApp{app, box}
}

// token returns the token in the link of the one mail since the last time, which
// must be of this kind and to this address.
func (m *mailApp) token(t *testing.T, kind auth.MailKind, to string) string {
	t.Helper()
	mails := m.box.Take()
	if len(mails) != 1 || mails[0].Kind != kind || mails[0].To != to {
		t.Fatalf("the mails are %v, want %s to %s", labels(mails), kind, to)
	}
	return tokenIn(t, mails[0])
}

// wantMails compares the mails since the last time.
func (m *mailApp) wantMails(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := labels(m.box.Take()); !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("%s: the mails are %q, want %q", what, got, want)
	}
}

// verifyToken has a link mailed that verifies the user's address.
func (m *mailApp) verifyToken(t *testing.T, u *testapp.User) string {
	t.Helper()
	m.box.Take()
	if err := m.SendVerification(t.Context(), u.Email); err != nil {
		t.Fatal(err)
	}
	return m.token(t, auth.MailVerify, u.Email)
}

// An oldTable is an application's table from before this library, with one user whose
// names it found another rule for.
type oldTable struct {
	testapp.Store

	mu   sync.Mutex
	user testapp.User
	keys []string
}

func (s *oldTable) get(found bool) (*testapp.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !found {
		return nil, auth.ErrUserNotFound
	}
	u := s.user
	u.Account = u.Clone()
	return &u, nil
}

func (s *oldTable) LoadUser(_ context.Context, id string) (*testapp.User, error) {
	return s.get(id == s.user.ID)
}

func (s *oldTable) FindUser(_ context.Context, key string) (*testapp.User, error) {
	return s.get(slices.Contains(s.keys, key))
}

func (s *oldTable) UpdateAccount(_ context.Context, a auth.Account) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Version != s.user.Version {
		return auth.ErrConflict
	}
	a.Version++
	s.user.Account = a.Clone()
	return nil
}

// Accounts.

// member saves an account with a cheap hash of the password, if it is not "".
func member(t *testing.T, app *testapp.App, name, password string, change ...func(*auth.Account)) *testapp.User {
	t.Helper()
	a := auth.Account{Username: name, Email: name + "@app.example", Stamp: auth.NewSecret("stamp of " + name), Version: 1}
	if password != "" {
		a.PasswordHash = cheapHash(password)
	}
	for _, c := range change {
		c(&a)
	}
	u, err := app.Store.CreateUser(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// cheapHash is a hash with parameters older than any, which takes no time.
func cheapHash(password string) auth.Secret {
	hash, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16})
	if err != nil {
		panic(err)
	}
	return auth.NewSecret(hash)
}

// verified makes an account one whose e-mail address is verified.
func verified(a *auth.Account) { a.EmailVerified = true }

// accountStates are the states that an account can be in, by the name of one that is.
func accountStates() map[string]func(*auth.Account) {
	return map[string]func(*auth.Account){
		"unverified":       func(*auth.Account) {},
		"verified":         verified,
		"disabled":         func(a *auth.Account) { a.Disabled = true },
		"disabled-too":     func(a *auth.Account) { a.Disabled, a.EmailVerified = true, true },
		"without-password": func(a *auth.Account) { a.PasswordHash = auth.Secret{} },
	}
}

// find is the user with this username or address.
func find(t *testing.T, app *testapp.App, name string) *testapp.User {
	t.Helper()
	u, err := app.Store.FindUser(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// stored is the user as saved.
func stored(t *testing.T, app *testapp.App, id string) *testapp.User {
	t.Helper()
	u, err := app.Store.LoadUser(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// change updates an account as an application may.
func change(t *testing.T, app *testapp.App, id string, do func(*auth.Account)) {
	t.Helper()
	a := stored(t, app, id).Clone()
	do(&a)
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// deleteUser deletes a user, if the store can.
func deleteUser(t *testing.T, app *testapp.App, id string) {
	t.Helper()
	store := app.Store
	if spy, ok := store.(*testapp.Spy); ok {
		store = spy.Store
	}
	d, ok := store.(interface {
		DeleteUser(ctx context.Context, id string) error
	})
	if !ok {
		t.Fatal("the store cannot delete users")
	}
	if err := d.DeleteUser(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// opens reports whether it is the user's password, as saved.
func opens(t *testing.T, app *testapp.App, id, password string) bool {
	t.Helper()
	ok, err := app.CheckPassword(t.Context(), stored(t, app, id), password)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

const resetTo = "zq8 vbx1 mn4" // a good new password

// Requests and browsers.

// direct sends a request to the application's handler without a network.
func direct(t *testing.T, h http.Handler, method, target string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for k, v := range header {
		r.Header[k] = v
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// serve returns a function that sends requests to a handler, as one browser
// over https does.
func serve(t *testing.T, h http.Handler) func(method, target string) (status int, text string) {
	t.Helper()
	cookies := map[string]string{}
	return func(method, target string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), method, "https://app.example"+target, nil)
		for name, value := range cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		res := w.Result()
		defer func() { _ = res.Body.Close() }()
		for _, c := range res.Cookies() {
			if c.MaxAge < 0 {
				delete(cookies, c.Name)
			} else {
				cookies[c.Name] = c.Value
			}
		}
		return res.StatusCode, w.Body.String()
	}
}

// postDirectly sends a form to the application without a network, as a browser with
// cookies, and returns the cookies that it has then.
func postDirectly(ctx context.Context, app *testapp.App, path string, cookies map[string]string, fields ...string) (map[string]string, *http.Response) {
	v := app.Visitor(ctx, "192.0.2.1")
	maps.Copy(v.Cookies, cookies)
	w := v.Post(path, fields...)
	return v.Cookies, w.Result()
}

// cookieHeader has cookies, by name.
func cookieHeader(cookies map[string]string) http.Header {
	var parts []string
	for k, v := range cookies {
		parts = append(parts, k+"="+v)
	}
	return http.Header{"Cookie": {strings.Join(parts, "; ")}}
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

// rememberCookie is the cookie by which the browser is remembered, which it must have.
func rememberCookie(t *testing.T, c *testapp.Client) (name, value string) {
	t.Helper()
	for name, value := range c.Cookies {
		if strings.HasSuffix(name, "-remember") {
			return name, value
		}
	}
	t.Fatal("no remember cookie")
	return "", ""
}

// asID are the credentials that byHeader finds the user with this ID by.
func asID(id string) http.Header { return http.Header{"X-User": {id}} }

// as are the credentials that byHeader finds the user by.
func as(u *testapp.User) http.Header { return asID(u.ID) }

// basicHeader are credentials by HTTP Basic.
func basicHeader(login, password string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+password))}}
}

// bearerHeader has an API token.
func bearerHeader(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func status(t *testing.T, a *testapp.App, path, token string) int {
	t.Helper()
	r := a.Client(t).Do("GET", path, nil, bearerHeader(token))
	if len(r.Header["Set-Cookie"]) > 0 || r.Header.Get("Location") != "" {
		t.Errorf("%s: %s, cookies %v", path, r.Status, r.Header["Set-Cookie"])
	}
	return r.StatusCode
}

// do runs f in a request of c, which must succeed.
func do(t *testing.T, app *testapp.App, c *testapp.Client, f func(ctx context.Context)) *testapp.Response {
	t.Helper()
	r := app.In(c, f)
	if r.StatusCode != http.StatusOK {
		t.Errorf("%s %s\n%s", r.Status, r.Text, app.Logs())
	}
	return r
}

// keys are the keys of the values in the session.
func keys(t *testing.T, app *testapp.App, c *testapp.Client) (keys []string) {
	t.Helper()
	do(t, app, c, func(ctx context.Context) { keys = app.SessionData().Keys(ctx) })
	return keys
}

// enter logs the visitor in as susan.
func enter(t *testing.T, v *testapp.Visitor, remember bool) {
	t.Helper()
	fields := []string{"login", "susan"}
	if remember {
		fields = append(fields, "remember", "1")
	}
	if w := v.Post("/enter", fields...); w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
}

// enterBy logs in with a user agent.
func enterBy(t *testing.T, c *testapp.Client, name, agent string, remember bool) {
	t.Helper()
	form := url.Values{"login": {name}}
	if remember {
		form.Set("remember", "1")
	}
	if r := c.Do(http.MethodPost, "/enter", form, http.Header{"User-Agent": {agent}}); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
}

// remembered returns a browser that is logged in and remembered.
func remembered(t *testing.T, app *testapp.App, name string) *testapp.Client {
	t.Helper()
	c := app.Client(t)
	if r := c.Post("/enter", "login", name, "remember", "1"); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
	return c
}

// stolen is an application in which susan's remember cookie was copied: she has
// used it since, her browser has shown that it has its successor, and old is a
// browser that has the copy.
func stolen(t *testing.T, app *testapp.App) (owner, old *testapp.Client) {
	t.Helper()
	owner = remembered(t, app, "susan")
	owner.Restart()
	old = owner.Clone()
	app.Clock.Advance(2 * time.Minute)
	for range 2 {
		if who := owner.Who(); who != "susan" {
			t.Fatal(who)
		}
	}
	app.Clock.Advance(2 * time.Minute)
	app.Events()
	return owner, old
}

// lock makes five wrong guesses.
func lock(t *testing.T, v *testapp.Visitor, login string) {
	t.Helper()
	for range 5 {
		if status := v.Login(login, "a wrong password"); status != http.StatusUnauthorized {
			t.Fatalf("a wrong password of %s: %d", login, status)
		}
	}
}

// endedWhileHeld runs f in a request whose user is known, and whose login has
// been ended by another browser since.
func endedWhileHeld(t *testing.T, f func(ctx context.Context, app *testapp.App, u *testapp.User)) (*testapp.App, *testapp.User) {
	t.Helper()
	app, _ := newApp(t, nil)
	u := member(t, app, "susan", testapp.Password)
	thief := app.Client(t)
	thief.Login("susan")
	app.Clock.Advance(time.Second)
	owner := app.Client(t)
	owner.Login("susan")
	app.In(thief, func(ctx context.Context) {
		user, err := app.User(ctx) // as a guard does before the body is read
		if err != nil {
			t.Error(err)
			return
		}
		app.In(owner, func(ctx context.Context) {
			if err := app.EndOtherLogins(ctx); err != nil {
				t.Error(err)
			}
		})
		f(ctx, app, user)
	})
	if who := thief.Who(); who != "nobody" {
		t.Errorf("the thief is %q", who)
	}
	return app, u
}

// browserHost returns the host that a browser goes to from a page of an https
// site for a Location, by the URL Standard (url.spec.whatwg.org): C0 controls
// and spaces at the ends go, tabs and newlines go everywhere, and in URLs with
// a special scheme \ is /.
func browserHost(base, location string) string {
	page, err := url.Parse(base)
	if err != nil {
		return "?"
	}
	s := strings.TrimFunc(location, func(r rune) bool { return r <= ' ' })
	s = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s)
	if scheme, rest, ok := cutScheme(s); ok {
		switch scheme {
		case "http", "https", "ws", "wss", "ftp":
		default:
			return scheme + ":" // file, javascript, data, mailto: not a site
		}
		rest = slashes(rest)
		if scheme == page.Scheme && !strings.HasPrefix(rest, "//") {
			s = rest // a relative URL, by the state "special relative or authority"
		} else {
			return authority(strings.TrimLeft(rest, "/"))
		}
	}
	s = slashes(s)
	if strings.HasPrefix(s, "//") {
		return authority(strings.TrimLeft(s, "/"))
	}
	return page.Host
}

func cutScheme(s string) (scheme, rest string, ok bool) {
	for i, c := range s {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		case i > 0 && c == ':':
			return strings.ToLower(s[:i]), s[i+1:], true
		default:
			return "", s, false
		}
	}
	return "", s, false
}

// slashes makes / of \ up to the query.
func slashes(s string) string {
	end := strings.IndexAny(s, "?#")
	if end < 0 {
		end = len(s)
	}
	return strings.ReplaceAll(s[:end], `\`, "/") + s[end:]
}

func authority(s string) string {
	if end := strings.IndexAny(s, "/?#"); end >= 0 {
		s = s[:end]
	}
	return s[strings.LastIndex(s, "@")+1:]
}

// Logins and tokens.

// logins are the user's, as somebody sees them who is not one of them.
func logins(t *testing.T, app *testapp.App, userID string) []auth.Login {
	t.Helper()
	l, err := app.Logins(t.Context(), userID)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// gone wants every cookie that the browsers ever had to be nobody's: what they
// have now, each alone, and each with any of another name. The newest come first,
// and remember cookies last: an old one is a theft, which ends all.
func gone(t *testing.T, what string, browsers ...*testapp.Client) {
	t.Helper()
	for b, c := range browsers {
		if who := c.Clone().Who(); who != "nobody" {
			t.Errorf("%s: browser %d as it is is %q", what, b, who)
		}
		together := map[string][]string{}
		for _, cookie := range slices.Backward(c.Issued) {
			together[cookie.Name] = append(together[cookie.Name], cookie.Value)
		}
		for _, a := range pairs(together) {
			d := c.Clone()
			d.Cookies = a
			if who := d.Who(); who != "nobody" {
				t.Errorf("%s: browser %d with %d cookies is %q", what, b, len(a), who)
			}
		}
	}
}

// pairs has every way to send one, or none, of the values of each name.
func pairs(values map[string][]string) []map[string]string {
	all := []map[string]string{{}}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, one := range slices.Clone(all) {
			for _, value := range values[name] {
				with := map[string]string{name: value}
				for k, v := range one {
					with[k] = v
				}
				all = append(all, with)
			}
		}
	}
	return all
}

// newToken makes an API token with all scopes.
func newToken(t *testing.T, app *testapp.App, u *testapp.User) auth.Secret {
	t.Helper()
	token, _, err := app.NewAPIToken(t.Context(), u, auth.APIToken{
		Name: "ci", Scopes: []string{auth.ScopeAll}, Expires: app.Clock.Now().Add(365 * 24 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// issue makes a token that is good for a day.
func issue(t *testing.T, app *testapp.App, u *testapp.User, scopes ...string) (string, auth.APIToken) {
	t.Helper()
	secret, token, err := app.NewAPIToken(t.Context(), stored(t, app, u.ID), auth.APIToken{
		Name: "a program", Scopes: scopes, Expires: app.Clock.Now().Add(24 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal(), token
}

// bearerFor makes a token that is good for years.
func bearerFor(t *testing.T, app *testapp.App, u *testapp.User) string {
	t.Helper()
	secret, _, err := app.NewAPIToken(t.Context(), stored(t, app, u.ID), auth.APIToken{
		Name: "a program", Scopes: []string{"*"}, Expires: app.Clock.Now().Add(2 * 365 * 24 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

// bearer asks who it is with an API token.
func bearer(app *testapp.App, t *testing.T, token auth.Secret) string {
	r := app.Client(t).Do(http.MethodGet, "/who", nil, http.Header{"Authorization": {"Bearer " + token.Reveal()}})
	if r.StatusCode != http.StatusOK {
		return r.Status
	}
	return r.Text
}

// resetToken makes a token that resets the password.
func resetToken(t *testing.T, app *testapp.App, user *testapp.User) string {
	t.Helper()
	token, err := app.ResetToken(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// usable reports whether the token is good, which asking does not change.
func usable(t *testing.T, app *testapp.App, token string) bool {
	t.Helper()
	u, err := app.CheckResetToken(t.Context(), token)
	if err != nil && !errors.Is(err, auth.ErrInvalidToken) || (u == nil) != (err != nil) {
		t.Errorf("%v, %v", u, err)
	}
	return err == nil
}

// tokenIn is the token in the link of a mail.
func tokenIn(t *testing.T, m auth.Mail) string {
	t.Helper()
	link, err := url.Parse(m.Link.Reveal())
	if err != nil || link.Query().Get("token") == "" {
		t.Fatalf("the link of %s to %s is %q", m.Kind, m.To, m.Link.Reveal())
	}
	return link.Query().Get("token")
}

// What is expected.

// expectState asks who the application takes the browser for.
func expectState(t *testing.T, c *testapp.Client, header http.Header, want string) {
	t.Helper()
	if r := c.Do(http.MethodGet, "/state", nil, header); r.Text != want {
		t.Errorf("%s: %q, want %q", r.Status, r.Text, want)
	}
}

// expectEvents compares the events since the last time, and returns them.
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

// kinds are the kinds of the events.
func kinds(events []auth.Event) []auth.EventKind {
	var k []auth.EventKind
	for _, e := range events {
		k = append(k, e.Kind)
	}
	return k
}

// count returns how many events are of a kind and about a user.
func count(events []auth.Event, kind auth.EventKind, id string) (n int) {
	for _, e := range events {
		if e.Kind == kind && e.UserID == id {
			n++
		}
	}
	return n
}

// countOf returns how many events are of a kind.
func countOf(events []auth.Event, kind auth.EventKind) (n int) {
	for _, e := range events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// lookedAt returns how many of the passwords that were refused were looked at,
// by what the log says.
func lookedAt(t *testing.T, events []auth.Event) (n int) {
	t.Helper()
	for _, e := range events {
		if e.Kind != auth.EventLoginFailed && e.Kind != auth.EventPasswordCheckFailed {
			continue
		}
		switch {
		case errors.Is(e.Err, auth.ErrInvalidCredentials):
			n++
		case !errors.Is(e.Err, auth.ErrLocked) && !errors.Is(e.Err, auth.ErrResetRequired) &&
			!errors.Is(e.Err, auth.ErrRateLimited) && !errors.Is(e.Err, auth.ErrBusy):
			t.Errorf("an event says %v", e.Err)
		}
	}
	return n
}

// labels say what mails are, sorted.
func labels(mails []auth.Mail) []string {
	all := []string{}
	for _, m := range mails {
		all = append(all, string(m.Kind)+" to "+m.To)
	}
	slices.Sort(all)
	return all
}

// shown are the messages that the page /flashes shows.
func shown(t *testing.T, c *testapp.Client) []auth.Flash {
	t.Helper()
	var flashes []auth.Flash
	if r := c.Get("/flashes"); r.StatusCode != http.StatusOK || json.Unmarshal([]byte(r.Text), &flashes) != nil {
		t.Errorf("%s %s", r.Status, r.Text)
	}
	return flashes
}

var (
	loginMessage   = auth.Flash{Category: "info", Text: "Please log in to access this page."}
	refreshMessage = auth.Flash{Category: "info", Text: "Please confirm your password to access this page."}
)

// told is all that an answer tells.
func told(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var b strings.Builder
	_, _ = fmt.Fprintln(&b, w.Code)
	header := w.Header().Clone()
	header.Del("Date")
	if err := header.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String() + "\n" + w.Body.String()
}

// counted makes the first count of an hour look like those that follow: which of
// them it is depends on who has asked before, and not on the account.
func counted(calls []string) []string {
	calls = slices.Clone(calls)
	for i, call := range calls {
		if call == "UpdateRecord" {
			calls[i] = "InsertRecord"
		}
	}
	return calls
}

// alike asks about one account after the other. Whoever asks must learn the same each
// time: from what is returned, from the answer, and from the work, which takes time.
type alike struct {
	app *testapp.App
	by  *testapp.Client // who asks
	ask func(ctx context.Context, about string) error

	// work is what must be the same about the store's calls: by default which they
	// are, in their order.
	work func(calls []string) any

	first string
}

func (a *alike) about(t *testing.T, what, account string) {
	t.Helper()
	if a.work == nil {
		a.work = func(calls []string) any { return counted(calls) }
	}
	spy, hashes := a.app.Spy(), a.app.PasswordHashes()
	var err error
	var calls []string
	r := a.app.In(a.by, func(ctx context.Context) {
		_, _ = a.app.User(ctx)
		before := len(spy.Calls())
		err = a.ask(ctx, account)
		calls = spy.Calls()[before:]
	})
	r.Header.Del("Date")
	learned := fmt.Sprint(err, r.Status, r.Header, r.Text, a.work(calls), a.app.PasswordHashes()-hashes)
	if a.first == "" {
		a.first = learned
	}
	if learned != a.first {
		t.Errorf("%s: %s, want %s", what, learned, a.first)
	}
}

// fullQueue is how many hashes may wait.
const fullQueue = 64

// fillQueue has as many hashes wait as may, for one that does not end until empty.
func fillQueue(t *testing.T, app *testapp.App) (empty func()) {
	t.Helper()
	release, err := app.HoldHashing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range fullQueue {
		waiting.Go(func() {
			if _, err := app.HashPassword(ctx, "x"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	for app.HashesWaiting() < fullQueue {
		runtime.Gosched()
	}
	return func() {
		cancel()
		waiting.Wait()
		release()
	}
}
