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

// patience is how long a test waits before it takes something for hung. It is long
// because the machine may be busy.
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

// registerOnce registers with gob the types that these tests store. Repeated calls do
// no harm.
func registerOnce() { gob.Register(map[string]string{}) }

// errStore is the error of a store that a test makes fail.
var errStore = testapp.ErrStore

// on returns a hook that calls f at the first call of this name.
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

// goodConfig returns a configuration that New accepts.
func goodConfig() auth.Config {
	return auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Logger:  slog.New(slog.DiscardHandler),
	}
}

// hashParams returns parameters of Argon2id.
func hashParams(memory, iterations uint32, parallelism uint8, salt, key uint32) *argon2id.Params {
	return &argon2id.Params{Memory: memory, Iterations: iterations, Parallelism: parallelism, SaltLength: salt, KeyLength: key}
}

// defaultHashes hashes as an application does that sets no HashParams, instead of with
// the cheap parameters of testapp.New. It is for tests of the hashes and of their cost.
func defaultHashes(c *auth.Config) {
	p := auth.DefaultHashParams()
	c.Password.HashParams = &p
}

// oneHashAtATime makes each hash take the whole memory budget.
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

// loadedBy sets Config.Credentials.
func loadedBy(loaders ...auth.Credential) func(*auth.Config) {
	return func(c *auth.Config) { c.Credentials = loaders }
}

// withBearer accepts API tokens.
func withBearer(c *auth.Config) { c.Credentials = []auth.Credential{auth.Bearer()} }

// byHeader accepts the user whose ID is in the header X-User, with the method "key".
func byHeader() auth.Credential {
	return auth.Credential{Load: func(r *http.Request) (auth.Grant, error) {
		return auth.Grant{UserID: r.Header.Get("X-User"), Method: "key"}, nil
	}}
}

// A leakyChecker puts the password into its error.
type leakyChecker struct{}

func (leakyChecker) Breached(_ context.Context, password string) (bool, error) {
	return false, errors.New("no answer for " + password)
}

// An askingHandler is a log handler that calls ask with the request's context.
type askingHandler struct {
	slog.Handler
	ask func(context.Context)
}

func (h askingHandler) Handle(ctx context.Context, r slog.Record) error {
	h.ask(ctx)
	return h.Handler.Handle(ctx, r)
}

// newApp returns an application on a store with hooks. Its hashes are cheap; see
// testapp.New and defaultHashes.
func newApp(t *testing.T, configure func(*auth.Config)) (*testapp.App, *testapp.Spy) {
	t.Helper()
	clock := testapp.NewClock()
	store := testapp.NewSpy(clock)
	return testapp.New(t, store, clock, configure), store
}

// processes returns n applications on one store, like n processes of one deployment.
func processes(t *testing.T, n int, configure func(*auth.Config)) ([]*testapp.App, *testapp.Spy) {
	t.Helper()
	first, store := newApp(t, configure)
	apps := []*testapp.App{first}
	for range n - 1 {
		apps = append(apps, testapp.New(t, store, first.Clock, configure))
	}
	return apps, store
}

// skewed returns applications on one store. Their clocks differ from the first one's by
// these durations. The function that it returns moves all clocks.
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

// pagesApp returns an application with the ready-made pages and the user susan.
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

// tokenApp returns an application with pages that need scopes.
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

// stateApp returns an application with the users susan and mike. Its page /state says
// who the request's user is, and other pages log susan in, each with one option.
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
	// as adds a page that logs susan in with one option and answers what stateIn says
	// then.
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

// stateIn says who the user is, whether the login is fresh, and whether it is
// remembered.
func stateIn(ctx context.Context, app *testapp.App) string {
	u, ok := app.CurrentUser(ctx)
	if !ok {
		return "nobody"
	}
	state := u.Username + " fresh"
	if app.Check(ctx, auth.Fresh(0)) != nil {
		state = u.Username + " stale"
	}
	if l, err := app.CurrentLogin(ctx); err != nil {
		state += " " + err.Error()
	} else if l.Remembered {
		state += " remembered"
	}
	return state
}

// nextApp returns an application with NextInCookie. POST /take answers what TakeNext
// returns.
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

// forgot adds the page /forgot, which calls SendReset.
func forgot(app *testapp.App) {
	app.Mux.HandleFunc("POST /forgot", func(w http.ResponseWriter, r *http.Request) {
		if err := app.SendReset(r.Context(), r.PostFormValue("email")); err != nil {
			app.Error(w, r, err)
		}
	})
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// A mailApp is an application with a mailbox, on a store with hooks.
type mailApp struct {
	*testapp.App
	box *testapp.Outbox
}

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

// token returns the token in the link of the only mail since the last call. The mail
// must be of this kind and to this address.
func (m *mailApp) token(t *testing.T, kind auth.MailKind, to string) string {
	t.Helper()
	mails := m.box.Take()
	if len(mails) != 1 || mails[0].Kind != kind || mails[0].To != to {
		t.Fatalf("the mails are %v, want %s to %s", labels(mails), kind, to)
	}
	return tokenIn(t, mails[0])
}

// wantMails compares the mails since the last call with those that are wanted.
func (m *mailApp) wantMails(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := labels(m.box.Take()); !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("%s: the mails are %q, want %q", what, got, want)
	}
}

// verifyToken sends the mail that verifies the user's address, and returns its token.
func (m *mailApp) verifyToken(t *testing.T, u *testapp.User) string {
	t.Helper()
	m.box.Take()
	if err := m.SendVerification(t.Context(), u.Email); err != nil {
		t.Fatal(err)
	}
	return m.token(t, auth.MailVerify, u.Email)
}

// An oldTable is a user table that is older than this library. It finds its one user by
// keys that another rule has made.
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

// cheapHash returns a hash with weak old parameters, which is quick to compute.
func cheapHash(password string) auth.Secret {
	hash, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16})
	if err != nil {
		panic(err)
	}
	return auth.NewSecret(hash)
}

// verified sets EmailVerified.
func verified(a *auth.Account) { a.EmailVerified = true }

// accountStates returns the states an account can be in, by the username of an account
// in that state.
func accountStates() map[string]func(*auth.Account) {
	return map[string]func(*auth.Account){
		"unverified":       func(*auth.Account) {},
		"verified":         verified,
		"disabled":         func(a *auth.Account) { a.Disabled = true },
		"disabled-too":     func(a *auth.Account) { a.Disabled, a.EmailVerified = true, true },
		"without-password": func(a *auth.Account) { a.PasswordHash = auth.Secret{} },
	}
}

// find returns the user with this username or address.
func find(t *testing.T, app *testapp.App, name string) *testapp.User {
	t.Helper()
	u, err := app.Store.FindUser(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// stored returns the user as the store has it.
func stored(t *testing.T, app *testapp.App, id string) *testapp.User {
	t.Helper()
	u, err := app.Store.LoadUser(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// change updates an account as the application would, without the library.
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

// opens reports whether this is the password of the stored user.
func opens(t *testing.T, app *testapp.App, id, password string) bool {
	t.Helper()
	ok, err := app.CheckPassword(t.Context(), stored(t, app, id), password)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

const resetTo = "zq8 vbx1 mn4" // a good new password

// direct sends a request to the application's handler, without a network.
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

// serve returns a function that sends requests to a handler, like one browser over
// https.
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

// postDirectly sends a form to the application without a network, with these cookies.
// It returns the cookies that the browser has afterwards.
func postDirectly(ctx context.Context, app *testapp.App, path string, cookies map[string]string, fields ...string) (map[string]string, *http.Response) {
	v := app.Visitor(ctx, "192.0.2.1")
	maps.Copy(v.Cookies, cookies)
	w := v.Post(path, fields...)
	return v.Cookies, w.Result()
}

// cookieHeader returns a Cookie header with these cookies.
func cookieHeader(cookies map[string]string) http.Header {
	var parts []string
	for k, v := range cookies {
		parts = append(parts, k+"="+v)
	}
	return http.Header{"Cookie": {strings.Join(parts, "; ")}}
}

// cookieNamed returns the browser's cookie whose name ends in suffix.
func cookieNamed(c *testapp.Client, suffix string) (name, value string) {
	for name, value := range c.Cookies {
		if strings.HasSuffix(name, suffix) {
			return name, value
		}
	}
	return "", ""
}

// rememberCookie returns the browser's remember cookie. Without one the test fails.
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

// asID returns a header with which byHeader accepts the user with this ID.
func asID(id string) http.Header { return http.Header{"X-User": {id}} }

// as returns a header with which byHeader accepts the user.
func as(u *testapp.User) http.Header { return asID(u.ID) }

// basicHeader returns a header for HTTP Basic.
func basicHeader(login, password string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+password))}}
}

// bearerHeader returns a header with an API token.
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

// keys returns the keys of the values in the session.
func keys(t *testing.T, app *testapp.App, c *testapp.Client) (keys []string) {
	t.Helper()
	do(t, app, c, func(ctx context.Context) { keys = app.SessionData().Keys(ctx) })
	return keys
}

// enter logs the visitor in as susan, without a password.
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

// enterBy logs in with this User-Agent.
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

// stolen returns an application and two browsers. An attacker has copied susan's
// remember cookie to the browser old. Since then susan has used the cookie, and her
// browser has shown that it received the next one.
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

// endedWhileHeld logs in, loads the user in a request, ends that login from another
// browser, and then calls f in the same request.
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

// browserHost returns the host that a browser requests when a page of an https site
// sends it to a Location. It follows the URL Standard (url.spec.whatwg.org): C0
// controls and spaces at both ends are dropped, tabs and newlines are dropped
// everywhere, and in URLs with a special scheme \ counts as /.
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

// slashes replaces \ by /, up to the query.
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

// logins returns the user's logins, asked for outside a request, so that none is
// Current.
func logins(t *testing.T, app *testapp.App, userID string) []auth.Login {
	t.Helper()
	l, err := app.Logins(t.Context(), userID)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// gone checks that every cookie that these browsers ever had is dead: all cookies they
// have now, each cookie alone, and each with any cookie of another name. The newest
// cookies come first and remember cookies last, because an old remember cookie counts
// as a theft and ends all logins.
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

// pairs returns all ways to send, for each name, one of its values or none.
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

// newToken makes an API token with all scopes, good for a year.
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

// issue makes an API token that is good for a day.
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

// bearerFor makes an API token that is good for years.
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

// bearer says who the user of a request with this API token is.
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

// usable reports whether the reset token is good. Asking does not use it up.
func usable(t *testing.T, app *testapp.App, token string) bool {
	t.Helper()
	u, err := app.CheckResetToken(t.Context(), token)
	if err != nil && !errors.Is(err, auth.ErrInvalidToken) || (u == nil) != (err != nil) {
		t.Errorf("%v, %v", u, err)
	}
	return err == nil
}

// tokenIn returns the token in the link of a mail.
func tokenIn(t *testing.T, m auth.Mail) string {
	t.Helper()
	link, err := url.Parse(m.Link.Reveal())
	if err != nil || link.Query().Get("token") == "" {
		t.Fatalf("the link of %s to %s is %q", m.Kind, m.To, m.Link.Reveal())
	}
	return link.Query().Get("token")
}

// expectState checks what /state says about the browser.
func expectState(t *testing.T, c *testapp.Client, header http.Header, want string) {
	t.Helper()
	if r := c.Do(http.MethodGet, "/state", nil, header); r.Text != want {
		t.Errorf("%s: %q, want %q", r.Status, r.Text, want)
	}
}

// expectEvents checks the kinds of the events since the last call, and returns the
// events.
func expectEvents(t *testing.T, app *testapp.App, want ...auth.EventKind) []auth.Event {
	t.Helper()
	events := app.Events()
	if !slices.Equal(kinds(events), want) {
		t.Errorf("events %v, want %v", kinds(events), want)
	}
	return events
}

// expectSent checks that the answer is a redirect to this page.
func expectSent(t *testing.T, r *testapp.Response, want string) {
	t.Helper()
	if got := r.Header.Get("Location"); r.StatusCode != http.StatusSeeOther || got != want {
		t.Errorf("%s to %q, want %q", r.Status, got, want)
	}
}

// kinds returns the kinds of the events.
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

// lookedAt returns for how many of the refused passwords a hash was computed. The
// events tell.
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

// labels describes mails in a line each, sorted.
func labels(mails []auth.Mail) []string {
	all := []string{}
	for _, m := range mails {
		all = append(all, string(m.Kind)+" to "+m.To)
	}
	slices.Sort(all)
	return all
}

// shown returns the messages that the page /flashes shows.
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
	endedMessage   = auth.Flash{Category: "info", Text: "You have been logged out. Please log in again."}
)

// notSaved is the message if a form was sent.
func notSaved(m auth.Flash) auth.Flash {
	m.Text += " What you have just sent was not saved."
	return m
}

// told returns everything that an answer tells its reader.
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

// counted treats the first count of an hour (an insert) like those that follow
// (updates). Which of the two happens depends on earlier requests, not on the account.
func counted(calls []string) []string {
	calls = slices.Clone(calls)
	for i, call := range calls {
		if call == "UpdateRecord" {
			calls[i] = "InsertRecord"
		}
	}
	return calls
}

// alike makes the same request about one account after another. The caller must not be
// able to tell them apart: not by the returned error, nor by the answer, nor by the
// work, because work takes time.
type alike struct {
	app *testapp.App
	by  *testapp.Client // who makes the requests
	ask func(ctx context.Context, about string) error

	// work returns what must be the same about the store's calls. By default that is
	// the calls themselves, in their order.
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

// fullQueue is how many hashes may wait at once.
const fullQueue = 64

// fillQueue fills the hashing queue. It stays full until empty is called.
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
