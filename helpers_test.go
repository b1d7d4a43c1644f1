package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// slow reports whether tests that take minutes run, too, as .ci/run has it.
func slow() bool { return os.Getenv("GOLOGIN_SLOW") != "" }

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

// These tests are attacks that somebody made up who had not written the code,
// and that worked.

// A trapStore runs a function before each call of a record's verb, which fails
// if the function does.
type trapStore struct {
	*memstore.Store[testapp.User, *testapp.User]
	hook func(ctx context.Context, op, kind string) error
}

func (s *trapStore) call(ctx context.Context, op, kind string) error {
	if s.hook != nil {
		return s.hook(ctx, op, kind)
	}
	return nil
}

func (s *trapStore) InsertRecord(ctx context.Context, r auth.Record) error {
	if err := s.call(ctx, "insert", r.Kind); err != nil {
		return err
	}
	return s.Store.InsertRecord(ctx, r)
}

func (s *trapStore) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if err := s.call(ctx, "get", kind); err != nil {
		return auth.Record{}, err
	}
	return s.Store.GetRecord(ctx, kind, key)
}

func (s *trapStore) UpdateRecord(ctx context.Context, r auth.Record) error {
	if err := s.call(ctx, "update", r.Kind); err != nil {
		return err
	}
	return s.Store.UpdateRecord(ctx, r)
}

func (s *trapStore) TakeRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if err := s.call(ctx, "take", kind); err != nil {
		return auth.Record{}, err
	}
	return s.Store.TakeRecord(ctx, kind, key)
}

func newTrap(t *testing.T, configure func(*auth.Config)) (*testapp.App, *trapStore, *testapp.Clock) {
	clock := testapp.NewClock()
	st := &trapStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
	return testapp.New(t, st, clock, configure), st, clock
}

// These tests are attacks, too, on logins that one can see and end, on fresh
// ones, and on tokens.

// endedWhileHeld runs f in a request whose user is known, and whose login has
// been ended by another browser since.
func endedWhileHeld(t *testing.T, f func(ctx context.Context, app *insider, u *testapp.User)) (*insider, *testapp.User) {
	t.Helper()
	plain, _ := hookedApp(t, nil)
	app := newInsider(plain)
	u := member(t, plain, "susan", testapp.Password)
	thief := app.Client(t)
	thief.Login("susan")
	app.Clock.Advance(time.Second)
	owner := app.Client(t)
	owner.Login("susan")
	app.in(thief, func(ctx context.Context) {
		user, err := app.User(ctx) // as a guard does before the body is read
		if err != nil {
			t.Error(err)
			return
		}
		app.in(owner, func(ctx context.Context) {
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

// pagesApp is an application with the ready-made pages, in which susan is a
// member.
func pagesApp(t *testing.T, configure func(*auth.Config)) (app *testapp.App, store *hookedStore, p *pages.Pages, box *outbox) {
	t.Helper()
	box = &outbox{}
	app, store = hookedApp(t, func(c *auth.Config) {
		c.Mailer = box
		if configure != nil {
			configure(c)
		}
	})
	p, err := pages.New(app, pages.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return app, store, p, box
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
			c := authtest.NewClient(t, app, app.Server.Config.Handler)
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

// A faultyStore fails where it is told to.
type faultyStore struct {
	testapp.Store

	mu     sync.Mutex
	fail   func(verb, kind string) error
	called []string
}

var errFaulty = errors.New("faulty store")

func newFaultyStore(clock *testapp.Clock) *faultyStore {
	return &faultyStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
}

// breakOn makes the named verbs fail; none makes the store whole again.
func (s *faultyStore) breakOn(verbs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = func(verb, _ string) error {
		if slices.Contains(verbs, verb) {
			return errFaulty
		}
		return nil
	}
}

// calls returns the verbs that were called since the last time.
func (s *faultyStore) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	called := s.called
	s.called = nil
	return called
}

func (s *faultyStore) ask(verb, kind string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.called = append(s.called, verb)
	if s.fail == nil {
		return nil
	}
	return s.fail(verb, kind)
}

func (s *faultyStore) LoadUser(ctx context.Context, id string) (*testapp.User, error) {
	if err := s.ask("LoadUser", ""); err != nil {
		return nil, err
	}
	return s.Store.LoadUser(ctx, id)
}

func (s *faultyStore) InsertRecord(ctx context.Context, r auth.Record) error {
	if err := s.ask("InsertRecord", r.Kind); err != nil {
		return err
	}
	return s.Store.InsertRecord(ctx, r)
}

func (s *faultyStore) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if err := s.ask("GetRecord", kind); err != nil {
		return auth.Record{}, err
	}
	return s.Store.GetRecord(ctx, kind, key)
}

func (s *faultyStore) UpdateRecord(ctx context.Context, r auth.Record) error {
	if err := s.ask("UpdateRecord", r.Kind); err != nil {
		return err
	}
	return s.Store.UpdateRecord(ctx, r)
}

func (s *faultyStore) TakeRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if err := s.ask("TakeRecord", kind); err != nil {
		return auth.Record{}, err
	}
	return s.Store.TakeRecord(ctx, kind, key)
}

func (s *faultyStore) ListRecords(ctx context.Context, kind, userID string) ([]auth.Record, error) {
	if err := s.ask("ListRecords", kind); err != nil {
		return nil, err
	}
	return s.Store.ListRecords(ctx, kind, userID)
}

// faultyApp is an application on a store that can be made to fail.
func faultyApp(t *testing.T, configure func(*auth.Config)) (*testapp.App, *faultyStore) {
	t.Helper()
	clock := testapp.NewClock()
	store := newFaultyStore(clock)
	return testapp.New(t, store, clock, configure), store
}

func atAppExample(c *auth.Config) { c.BaseURL = "https://app.example" }

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

func cookieHeader(cookies map[string]string) http.Header {
	var parts []string
	for k, v := range cookies {
		parts = append(parts, k+"="+v)
	}
	return http.Header{"Cookie": {strings.Join(parts, "; ")}}
}

// errDown is what a store says that has failed.
var errDown = errors.New("the store is down")

// A spyStore counts the calls of each verb and fails when it is told to.
type spyStore struct {
	testapp.Store
	mu     sync.Mutex
	calls  []string
	failAt int  // the number of the call that fails, from 1; 0: none
	after  bool // it fails after the operation has happened
}

// record returns whether this call is to fail before and after the operation.
func (s *spyStore) record(verb string) (before, after error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, verb)
	if s.failAt == 0 || len(s.calls) != s.failAt {
		return nil, nil
	}
	if s.after {
		return nil, errDown
	}
	return errDown, nil
}

// reset forgets the calls and plans a failure.
func (s *spyStore) reset(failAt int, after bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.failAt, s.after = nil, failAt, after
}

func (s *spyStore) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *spyStore) writes() (n int) {
	for _, c := range s.Calls() {
		if !slices.Contains([]string{"load", "find", "get", "list"}, c) {
			n++
		}
	}
	return n
}

func (s *spyStore) LoadUser(ctx context.Context, id string) (*testapp.User, error) {
	return spied(s, "load", func() (*testapp.User, error) { return s.Store.LoadUser(ctx, id) })
}

func (s *spyStore) FindUser(ctx context.Context, key string) (*testapp.User, error) {
	return spied(s, "find", func() (*testapp.User, error) { return s.Store.FindUser(ctx, key) })
}

func (s *spyStore) UpdateAccount(ctx context.Context, a auth.Account) error {
	return spiedErr(s, "update-account", func() error { return s.Store.UpdateAccount(ctx, a) })
}

func (s *spyStore) InsertRecord(ctx context.Context, r auth.Record) error {
	return spiedErr(s, "insert", func() error { return s.Store.InsertRecord(ctx, r) })
}

func (s *spyStore) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	return spied(s, "get", func() (auth.Record, error) { return s.Store.GetRecord(ctx, kind, key) })
}

func (s *spyStore) UpdateRecord(ctx context.Context, r auth.Record) error {
	return spiedErr(s, "update", func() error { return s.Store.UpdateRecord(ctx, r) })
}

func (s *spyStore) TakeRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	return spied(s, "take", func() (auth.Record, error) { return s.Store.TakeRecord(ctx, kind, key) })
}

func (s *spyStore) ListRecords(ctx context.Context, kind, userID string) ([]auth.Record, error) {
	return spied(s, "list", func() ([]auth.Record, error) { return s.Store.ListRecords(ctx, kind, userID) })
}

func (s *spyStore) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	return spiedErr(s, "delete", func() error { return s.Store.DeleteRecords(ctx, kind, userID, keep...) })
}

func newSpy(clock *testapp.Clock) *spyStore {
	return &spyStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
}

func spied[T any](s *spyStore, verb string, call func() (T, error)) (T, error) {
	var zero T
	before, after := s.record(verb)
	if before != nil {
		return zero, before
	}
	v, err := call()
	if err == nil && after != nil {
		return zero, after
	}
	return v, err
}

func spiedErr(s *spyStore, verb string, call func() error) error {
	_, err := spied(s, verb, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// newApp serves testapp on a store that can be watched.
func newApp(t *testing.T, configure func(*auth.Config)) (*testapp.App, *spyStore) {
	t.Helper()
	clock := testapp.NewClock()
	spy := newSpy(clock)
	return testapp.New(t, spy, clock, configure), spy
}

func reload(t *testing.T, app *testapp.App, id string) *testapp.User {
	t.Helper()
	u, err := app.Store.LoadUser(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
