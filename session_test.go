package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

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

func newSpy(clock *testapp.Clock) *spyStore {
	return &spyStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
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

// newApp serves testapp on a store that can be watched.
func newApp(t *testing.T, configure func(*auth.Config)) (*testapp.App, *spyStore) {
	t.Helper()
	clock := testapp.NewClock()
	spy := newSpy(clock)
	return testapp.New(t, spy, clock, configure), spy
}

func TestLoginAndLogout(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", true)
	c := app.Client(t)
	if who := c.Who(); who != "nobody" {
		t.Fatalf("before the login: %q", who)
	}
	if r := c.Post("/login", "login", "susan", "password", "wrong "+testapp.Password); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("wrong password: %s", r.Status)
	}
	if len(c.Cookies) != 0 {
		t.Errorf("a failed login set cookies: %v", c.Cookies)
	}
	for _, login := range []string{"susan", "SUSAN", "susan@app.example", "Susan@APP.example"} {
		r := c.Post("/login", "login", login, "password", testapp.Password)
		if r.StatusCode != http.StatusOK {
			t.Fatalf("login as %s: %s", login, r.Status)
		}
		if who := c.Who(); who != "susan" {
			t.Errorf("after the login as %s: %q", login, who)
		}
	}
	if r := c.Post("/logout"); r.StatusCode != http.StatusOK {
		t.Errorf("logout: %s", r.Status)
	}
	for name := range c.Cookies {
		if !strings.HasSuffix(name, "-browser") { // which is no login
			t.Errorf("after the logout there are cookies: %v", c.Cookies)
		}
	}
	for i, who := range c.Replay() {
		if who != "nobody" {
			t.Errorf("cookie %d replayed after the logout is %q", i, who)
		}
	}
	if r := c.Post("/logout"); r.StatusCode != http.StatusOK {
		t.Errorf("a second logout: %s", r.Status)
	}
}

// An event says how somebody authenticated if the library knows.
func TestMethodOfLogin(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", true)
	for path, want := range map[string]string{"/login": "password", "/enter": ""} {
		app.Events()
		if r := app.Client(t).Post(path, "login", "susan", "password", testapp.Password); r.StatusCode != http.StatusOK {
			t.Fatal(r.Status)
		}
		if events := app.Events(); len(events) != 1 || events[0].Kind != auth.EventLogin || events[0].Method != want {
			t.Errorf("%s: %v, want a login by %q", path, events, want)
		}
	}
}

func TestLoginReplacesTheCookie(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	first := c.Clone()
	c.Login("susan")
	if who := first.Who(); who != "nobody" {
		t.Errorf("the first login's cookie is %q after the second", who)
	}
	if who := c.Who(); who != "susan" {
		t.Errorf("the second login's cookie is %q", who)
	}
}

// A token chosen by somebody else is never adopted.
func TestFixation(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	var name string
	for name = range c.Cookies {
		break
	}
	planted := strings.Repeat("A", 43)
	victim := app.Client(t)
	victim.Cookies[name] = planted
	victim.Login("susan")
	if victim.Cookies[name] == planted {
		t.Error("the planted token was kept")
	}
	attacker := app.Client(t)
	attacker.Cookies[name] = planted
	if who := attacker.Who(); who != "nobody" {
		t.Errorf("the planted token is %q", who)
	}
}

// What leaves no record and sets no cookie: strangers, refusals, failures, and
// requests that change nothing.
func TestNothingForStrangers(t *testing.T) {
	app, spy := newApp(t, nil)
	app.Create(t, "susan", true)
	app.Mux.HandleFunc("GET /idle", func(_ http.ResponseWriter, r *http.Request) {
		s := app.Sessions()
		s.Put(r.Context(), "a", "1")
		s.Remove(r.Context(), "a") // changed, and back
	})
	spy.reset(0, false)
	c := app.Client(t)
	for _, path := range []string{"/", "/who", "/guarded", "/get?key=x", "/idle"} {
		r := c.Get(path)
		for _, cookie := range r.Cookies() { // a guard's message is no record
			if path != "/guarded" || !strings.HasSuffix(cookie.Name, "-flash") {
				t.Errorf("%s set the cookie %s", path, cookie.Name)
			}
		}
	}
	if r := c.Post("/logout"); len(r.Header["Set-Cookie"]) > 0 {
		t.Error("a stranger's logout set a cookie")
	}
	if n := spy.writes(); n > 0 {
		t.Errorf("%d writes for a stranger: %v", n, spy.Calls())
	}
	for _, login := range []string{"susan", "nobody", "a b", "susan@app.example"} { // which are counted
		if r := c.Post("/login", "login", login, "password", "a wrong password"); len(r.Header["Set-Cookie"]) > 0 {
			t.Errorf("a failed login as %s set a cookie", login)
		}
	}

	c.Login("susan")
	spy.reset(0, false)
	for _, path := range []string{"/", "/who", "/guarded", "/get?key=x", "/idle"} {
		spy.reset(0, false)
		if r := c.Get(path); len(r.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s set a cookie for a user", path)
		}
		gets, loads := 0, 0
		for _, call := range spy.Calls() {
			switch call {
			case "get":
				gets++
			case "load":
				loads++
			}
		}
		if gets != 1 || loads > 1 || spy.writes() != 0 {
			t.Errorf("%s cost %v, want one get and at most one load", path, spy.Calls())
		}
	}
}

func TestCookieAttributes(t *testing.T) {
	for _, tc := range []struct {
		base, name string
		secure     bool
	}{
		{"https://app.example", "__Host-session", true},
		{"https://app.example:8443/", "__Host-session", true},
		{"http://localhost:5000", "session-5000", false},
		{"http://127.0.0.1", "session-80", false},
	} {
		app, _ := newApp(t, func(c *auth.Config) { c.BaseURL = tc.base })
		app.Create(t, "susan", false)
		c := app.Client(t)
		check := func(r *testapp.Response) {
			t.Helper()
			cookies := r.Cookies()
			if len(cookies) != 1 {
				t.Fatalf("%s: %d cookies", tc.base, len(cookies))
			}
			got := cookies[0]
			if got.Name != tc.name || got.Secure != tc.secure || !got.HttpOnly ||
				got.SameSite != http.SameSiteLaxMode || got.Path != "/" || got.Domain != "" {
				t.Errorf("%s: %v", tc.base, got)
			}
			if r.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: Cache-Control %q beside a cookie", tc.base, r.Header.Get("Cache-Control"))
			}
		}
		r := c.Post("/enter", "login", "susan")
		check(r)
		if got := r.Cookies()[0]; got.MaxAge != 0 || !got.Expires.IsZero() || len(got.Value) < 43 {
			t.Errorf("%s: the session cookie is persistent or short: %v", tc.base, got)
		}
		r = c.Post("/logout")
		check(r)
		if got := r.Cookies()[0]; got.MaxAge >= 0 || got.Value != "" {
			t.Errorf("%s: the cookie is not deleted: %v", tc.base, got)
		}
	}
}

// The store never sees a token.
func TestTokensAreHashedInTheStore(t *testing.T) {
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	app := testapp.New(t, store, clock, nil)
	u := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	records, err := store.ListRecords(t.Context(), "session", u.ID)
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for _, token := range c.Cookies {
		if strings.Contains(records[0].Key+string(records[0].Data), token) {
			t.Error("the token is in the record")
		}
	}
}

// A session's record outlives it a little, so that few of its touches put off
// when that is deleted; it is not good for longer.
func TestTouchesSeldomPutOffTheEnd(t *testing.T) {
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	app := testapp.New(t, store, clock, func(c *auth.Config) { c.IdleTimeout, c.Lifetime = time.Hour, 3*time.Hour })
	u := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	record := func() auth.Record {
		records, err := store.ListRecords(t.Context(), "session", u.ID)
		if err != nil || len(records) != 1 {
			t.Fatalf("%d records, %v", len(records), err)
		}
		return records[0]
	}
	first := record()
	end, last, changes := clock.Now().Add(3*time.Hour), first, 0
	for range 120 {
		clock.Advance(time.Minute)
		c.Who()
		r := record()
		if r.Version == last.Version {
			t.Fatal("the touch was not stored")
		}
		if !r.Expires.Equal(last.Expires) {
			changes++
		}
		good := clock.Now().Add(time.Hour)
		if r.Expires.Before(good) || r.Expires.After(good.Add(15*time.Minute)) || r.Expires.After(end) {
			t.Fatalf("seen at %v and kept until %v", clock.Now(), r.Expires)
		}
		last = r
	}
	if changes < 6 || changes > 8 {
		t.Errorf("%d changes of the expiry in two hours", changes)
	}

	clock.Advance(30 * time.Minute)
	c.Who()
	if r := record(); !r.Expires.Equal(end) {
		t.Errorf("kept until %v, after its lifetime", r.Expires)
	}
}

// A request that outlasts its login is not that of one which lives.
func TestRequestOutlastsIdleLogin(t *testing.T) {
	app, _ := newApp(t, func(c *auth.Config) { c.IdleTimeout = time.Hour })
	u := app.Create(t, "susan", false)
	app.Mux.HandleFunc("POST /slow", func(_ http.ResponseWriter, r *http.Request) {
		if _, err := app.User(r.Context()); err != nil {
			t.Error(err)
		}
		app.Clock.Advance(time.Hour)
		_, _, err := app.NewAPIToken(r.Context(), u, auth.APIToken{Name: "ci", Scopes: []string{auth.ScopeAll}, Expires: app.Clock.Now().Add(time.Hour)})
		if !errors.Is(err, auth.ErrLoggedOut) {
			t.Errorf("got the error %v", err)
		}
	})
	c := app.Client(t)
	c.Login("susan")
	c.Post("/slow")
}

func TestLimits(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		app, _ := newApp(t, func(c *auth.Config) { c.IdleTimeout = time.Hour })
		app.Create(t, "susan", false)
		c := app.Client(t)
		c.Login("susan")
		for range 5 {
			app.Clock.Advance(58 * time.Minute)
			if who := c.Who(); who != "susan" {
				t.Fatalf("active every 58 minutes, and %q", who)
			}
		}
		app.Clock.Advance(time.Hour)
		if who := c.Who(); who != "nobody" {
			t.Errorf("idle for an hour, and %q", who)
		}
	})
	t.Run("off", func(t *testing.T) {
		app, _ := newApp(t, func(c *auth.Config) { c.IdleTimeout = -1 })
		app.Create(t, "susan", false)
		c := app.Client(t)
		c.Login("susan")
		app.Clock.Advance(24*time.Hour - time.Second)
		if who := c.Who(); who != "susan" {
			t.Errorf("within the lifetime: %q", who)
		}
		app.Clock.Advance(time.Second)
		if who := c.Who(); who != "nobody" {
			t.Errorf("after the lifetime: %q", who)
		}
	})
	t.Run("a lifetime is not extended by rotations", func(t *testing.T) {
		app, _ := newApp(t, nil)
		app.Create(t, "susan", false)
		c := app.Client(t)
		c.Login("susan")
		for range 47 {
			app.Clock.Advance(30 * time.Minute)
			if r := c.Post("/renew"); r.StatusCode != http.StatusOK {
				t.Fatal(r.Status)
			}
		}
		if who := c.Who(); who != "susan" {
			t.Errorf("after 23.5 hours: %q", who)
		}
		app.Clock.Advance(30 * time.Minute)
		if who := c.Who(); who != "nobody" {
			t.Errorf("after 24 hours: %q", who)
		}
	})
	t.Run("a shorter lifetime holds for sessions that exist", func(t *testing.T) {
		clock := testapp.NewClock()
		store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
		first := testapp.New(t, store, clock, func(c *auth.Config) { c.BaseURL = "http://localhost:1" })
		second := testapp.New(t, store, clock, func(c *auth.Config) { c.BaseURL, c.Lifetime = "http://localhost:1", 10*time.Minute })
		first.Create(t, "susan", false)
		c := first.Client(t)
		c.Login("susan")
		other := second.Client(t)
		other.Cookies = c.Cookies
		if who := other.Who(); who != "susan" {
			t.Fatal(who)
		}
		clock.Advance(10 * time.Minute)
		if who := other.Who(); who != "nobody" {
			t.Errorf("after the shorter lifetime: %q", who)
		}
	})
	t.Run("a clock that jumps back ends nothing", func(t *testing.T) {
		app, _ := newApp(t, nil)
		app.Create(t, "susan", false)
		c := app.Client(t)
		c.Login("susan")
		app.Clock.Advance(-48 * time.Hour)
		if who := c.Who(); who != "susan" {
			t.Error(who)
		}
		app.Clock.Advance(48 * time.Hour)
		if who := c.Who(); who != "susan" {
			t.Error(who)
		}
	})
}

// "Last seen" is written at most once a minute, and without a cookie.
func TestTouch(t *testing.T) {
	app, spy := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	writes := 0
	for range 120 {
		app.Clock.Advance(10 * time.Second)
		spy.reset(0, false)
		if r := c.Get("/who"); len(r.Header["Set-Cookie"]) > 0 {
			t.Fatal("a touch set a cookie")
		}
		writes += spy.writes()
	}
	if writes != 20 {
		t.Errorf("%d writes in 20 minutes, want 20", writes)
	}
}

// A user who is gone, disabled or has another Stamp is nobody, and the record
// is cleaned up; so is one who is somebody else.
func TestVoidSessions(t *testing.T) {
	for name, void := range map[string]func(*testing.T, testapp.Store, *testapp.User){
		"disabled": func(t *testing.T, s testapp.Store, u *testapp.User) {
			a := u.Clone()
			a.Disabled = true
			if err := s.UpdateAccount(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		},
		"another stamp": func(t *testing.T, s testapp.Store, u *testapp.User) {
			a := u.Clone()
			a.Stamp = auth.NewSecret("new")
			if err := s.UpdateAccount(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		},
		"deleted": func(t *testing.T, s testapp.Store, u *testapp.User) {
			store, ok := s.(*memstore.Store[testapp.User, *testapp.User])
			if !ok {
				t.Fatalf("%T", s)
			}
			if err := store.DeleteUser(t.Context(), u.ID); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := testapp.NewClock()
			store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
			app := testapp.New(t, store, clock, nil)
			u := app.Create(t, "susan", false)
			c := app.Client(t)
			c.Login("susan")
			c.Post("/put", "key", "secret", "value", "of susan's")
			void(t, store, u)
			app.Events()
			r := c.Get("/who")
			if r.Text != "nobody" || len(r.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s: %q, cookies %v", r.Status, r.Text, r.Header["Set-Cookie"])
			}
			if r := c.Get("/guarded"); r.StatusCode != http.StatusSeeOther {
				t.Errorf("guarded page: %s", r.Status)
			}
			if records, err := store.ListRecords(t.Context(), "session", u.ID); err != nil || len(records) > 0 {
				t.Errorf("%d records are left, %v", len(records), err)
			}
			if events := app.Events(); len(events) == 0 || events[0].Kind != auth.EventSessionEnded || events[0].UserID != u.ID {
				t.Errorf("events: %v", events)
			}
			if r := c.Get("/get?key=secret"); r.Text != "" {
				t.Errorf("the session's data is still there: %q", r.Text)
			}
		})
	}
}

// A session found void does not stop the same request from logging in.
func TestLoginAfterVoidSession(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	app.Mux.HandleFunc("POST /page", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := app.CurrentUser(r.Context()); ok {
			t.Error("the void session is somebody's")
		}
		fresh, err := app.Store.LoadUser(r.Context(), u.ID)
		if err == nil {
			err = app.LoginUser(r.Context(), fresh)
		}
		if err != nil {
			app.Error(w, r, err)
		}
	})
	c := app.Client(t)
	c.Login("susan")
	a := u.Clone()
	a.Stamp = auth.NewSecret("new")
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if r := c.Post("/page"); r.StatusCode != http.StatusOK || c.Who() != "susan" {
		t.Errorf("%s, and %q", r.Status, c.Who())
	}
}

// The gate: every entrance and every state of the account.
func TestGate(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", true)
	entrances := map[string]func(c *testapp.Client) int{
		"password": func(c *testapp.Client) int {
			return c.Post("/login", "login", "susan", "password", testapp.Password).StatusCode
		},
		"LoginUser": func(c *testapp.Client) int { return c.Post("/enter", "login", "susan").StatusCode },
	}
	for name, enter := range entrances {
		c := app.Client(t)
		if status := enter(c); status != http.StatusOK || c.Who() != "susan" {
			t.Errorf("%s: %d", name, status)
		}
	}
	a := u.Clone()
	a.Disabled = true
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	for name, enter := range entrances {
		c := app.Client(t)
		if status := enter(c); status != http.StatusUnauthorized || len(c.Cookies) > 0 || c.Who() != "nobody" {
			t.Errorf("%s when disabled: %d, %v", name, status, c.Cookies)
		}
	}
}

// A store that fails at any step of any operation gives a 5xx or has done its
// work, leaves nothing half-done, and the next request works.
func TestStoreFails(t *testing.T) {
	for _, op := range []struct {
		name string
		path string
		form []string
	}{
		{"page", "/who", nil},
		{"login", "/login", []string{"login", "susan", "password", testapp.Password}},
		{"login of another", "/enter", []string{"login", "mike"}},
		{"logout", "/logout", []string{}},
		{"rotation", "/renew", []string{}},
		{"destroy", "/destroy", []string{}},
		{"write", "/put", []string{"key", "k", "value", "v"}},
		{"password", "/password", []string{"password", "another good password"}},
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after=%v", op.name, after), func(t *testing.T) {
				t.Parallel()
				for k := 1; ; k++ {
					app, spy := newApp(t, nil)
					u := app.Create(t, "susan", op.name == "login" || op.name == "password")
					app.Create(t, "mike", false)
					c := app.Client(t)
					c.Login("susan")
					before := c.Clone()
					app.Clock.Advance(2 * time.Minute) // the touch is a step, too
					spy.reset(k, after)
					var r *testapp.Response
					if op.form == nil {
						r = c.Get(op.path)
					} else {
						r = c.Post(op.path, op.form...)
					}
					calls := spy.Calls()
					spy.reset(0, false)
					failed := r.StatusCode >= 500
					if !failed && r.StatusCode != http.StatusOK {
						t.Errorf("call %d (%v): %s", k, calls, r.Status)
					}
					if failed && len(r.Header["Set-Cookie"]) > 0 {
						t.Errorf("call %d (%v): a failure set a cookie", k, calls)
					}
					if failed && !strings.Contains(app.Logs(), errDown.Error()) {
						t.Errorf("call %d: the failure is not in the log", k)
					}
					// Now that the store is well: who is the browser?
					who, old := c.Who(), before.Who()
					if who != "susan" && who != "mike" && who != "nobody" || old != "susan" && old != "nobody" {
						t.Errorf("call %d (%v): then %q, the old cookie %q", k, calls, who, old)
					}
					switch {
					case op.name == "logout" && !failed && (who != "nobody" || old != "nobody"),
						op.name == "destroy" && !failed && (who != "nobody" || old != "nobody"):
						t.Errorf("call %d (%v): logged out, and %q, the old cookie %q", k, calls, who, old)
					case op.name == "page" && who != "susan":
						t.Errorf("call %d (%v): a page ended the login", k, calls)
					case op.name == "password":
						ok, err := app.CheckPassword(t.Context(), reload(t, app, u.ID), "another good password")
						if err != nil || ok == failed && !after {
							t.Errorf("call %d (%v): failed=%v, and the new password is set=%v, %v", k, calls, failed, ok, err)
						}
						if ok && old == "susan" {
							t.Errorf("call %d (%v): the password is changed and the old token lives", k, calls)
						}
						if !ok && old != "susan" {
							t.Errorf("call %d (%v): nothing is changed and the login is gone", k, calls)
						}
					}
					// And can it log in?
					again := app.Client(t)
					again.Login("susan")
					if again.Who() != "susan" {
						t.Errorf("call %d: no login afterwards", k)
					}
					if len(calls) < k {
						if k < 2 {
							t.Error("nothing was called")
						}
						return // the operation has fewer steps
					}
				}
			})
		}
	}
}

func reload(t *testing.T, app *testapp.App, id string) *testapp.User {
	t.Helper()
	u, err := app.Store.LoadUser(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// At most one LoadUser for a request, however many goroutines ask.
func TestUserIsLoadedOnce(t *testing.T) {
	app, spy := newApp(t, nil)
	app.Create(t, "susan", false)
	app.Mux.HandleFunc("GET /many", func(w http.ResponseWriter, r *http.Request) {
		var wg sync.WaitGroup
		var wrong atomic.Int32
		for range 50 {
			wg.Go(func() {
				if u, ok := app.CurrentUser(r.Context()); !ok || u.Username != "susan" {
					wrong.Add(1)
				}
			})
		}
		wg.Wait()
		_, _ = fmt.Fprint(w, wrong.Load())
	})
	c := app.Client(t)
	c.Login("susan")
	spy.reset(0, false)
	if r := c.Get("/many"); r.Text != "0" {
		t.Errorf("%s did not get the user", r.Text)
	}
	if calls := spy.Calls(); !slices.Equal(calls, []string{"get", "load"}) {
		t.Errorf("calls %v", calls)
	}
}

// The user is looked up afresh by every request, and the login is effective in
// the request that makes it.
func TestCurrentUserIsCurrent(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	app.Mux.HandleFunc("POST /both", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		_, before := app.CurrentUser(ctx)
		user, err := app.Store.LoadUser(ctx, u.ID)
		if err == nil {
			err = app.LoginUser(ctx, user)
		}
		_, during := app.CurrentUser(ctx)
		if err == nil {
			err = app.LogoutUser(ctx)
		}
		_, after := app.CurrentUser(ctx)
		_, _ = fmt.Fprint(w, before, during, after, err)
	})
	c := app.Client(t)
	if r := c.Post("/both"); r.Text != "false true false <nil>" || len(c.Cookies) > 0 {
		t.Errorf("%q, cookies %v", r.Text, c.Cookies)
	}
	c.Login("susan")
	a := u.Clone()
	a.Username = "susanne"
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if who := c.Who(); who != "susanne" {
		t.Errorf("renamed, and %q", who)
	}
}

// A loader alone gives sessions, guards and the current user.
func TestLoader(t *testing.T) {
	users := map[string]*testapp.User{"7": {Account: auth.Account{ID: "7", Username: "susan"}}}
	down := false
	manager, err := auth.NewLoader(auth.LoaderFunc[*testapp.User](func(_ context.Context, id string) (*testapp.User, error) {
		if down {
			return nil, errDown
		}
		return users[id], nil // nil and no error for one that is not there
	}), auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Records: memstore.NewRecords(),
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /enter", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.LoginUser(r.Context(), users["7"]); err != nil {
			manager.Error(w, r, err)
		}
	})
	mux.Handle("GET /guarded", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, _ := manager.CurrentUser(r.Context())
		_, _ = io.WriteString(w, u.Username)
	})))
	do := serve(t, manager.LoadAndSave(mux))
	if status, _ := do("GET", "/guarded"); status != http.StatusSeeOther {
		t.Errorf("a stranger: %d", status)
	}
	if status, _ := do("POST", "/enter"); status != http.StatusOK {
		t.Fatalf("login: %d", status)
	}
	if status, text := do("GET", "/guarded"); status != http.StatusOK || text != "susan" {
		t.Errorf("%d %q", status, text)
	}
	down = true
	if status, _ := do("GET", "/guarded"); status != http.StatusServiceUnavailable {
		t.Errorf("a loader that fails: %d", status)
	}
	down = false
	delete(users, "7")
	if status, _ := do("GET", "/guarded"); status != http.StatusSeeOther {
		t.Errorf("a user who is gone: %d", status)
	}
	if _, err := manager.Authenticate(t.Context(), "susan", "password"); !errors.Is(err, auth.ErrNoUserStore) {
		t.Errorf("Authenticate: %v", err)
	}
}
