package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

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

// An outage of the session store turns every remembered user who visits during it into a "theft".
func TestOutageIsTheft(t *testing.T) {
	app, st, clock := newTrap(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Post("/enter", "login", "susan", "remember", "y")
	c.Restart()
	st.hook = func(_ context.Context, op, kind string) error {
		if op == "insert" && kind == "session" {
			return errors.New("session store down")
		}
		return nil
	}
	if who := c.Who(); who != "503" {
		t.Errorf("during the outage: %q", who)
	}
	st.hook = nil
	clock.Advance(61 * time.Second)
	app.Events()
	who := c.Who()
	for _, e := range app.Events() {
		t.Log("event", e.Kind)
		if e.Kind == auth.EventRememberStolen {
			t.Error("the owner's cookie, never successfully used, is reported stolen")
		}
	}
	if who != "susan" {
		t.Error("susan is", who)
	}
}

// a RecordStore that logs through a slog handler which asks who the user is.
func TestStoreAsksUser(t *testing.T) {
	app, st, _ := newTrap(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.HTTP.Timeout = 3 * time.Second
	c.Login("susan")
	st.hook = func(ctx context.Context, op, kind string) error { // as a slog handler with the user's name would
		app.CurrentUser(ctx)
		return nil
	}
	if who := c.Who(); who != "susan" {
		t.Error("who:", who)
	}
	if r := c.Post("/put", "key", "k", "value", "v"); r.StatusCode != http.StatusOK {
		t.Error("put: no answer")
	}
	if r := app.Client(t).Do("GET", "/", nil, nil); r.StatusCode != http.StatusOK {
		t.Error(r.Status)
	}
	st.hook = nil
}

// a store that panics in logout, and a recovering middleware inside LoadAndSave.
func TestPanicLeavesLock(t *testing.T) {
	app, st, _ := newTrap(t, nil)
	app.Create(t, "susan", false)
	app.Mux.HandleFunc("POST /recovered", func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				http.Error(w, "sorry", http.StatusInternalServerError)
			}
		}()
		_ = app.LogoutUser(r.Context())
	})
	c := app.Client(t)
	c.HTTP.Timeout = 3 * time.Second
	c.Login("susan")
	st.hook = func(_ context.Context, op, kind string) error {
		if op == "take" {
			panic("driver bug")
		}
		return nil
	}
	if r := c.Post("/recovered"); r.StatusCode != http.StatusInternalServerError {
		t.Error("no answer")
	}
}

// a refused cross-origin request, whose error page asks who the user is, uses up the remember cookie and replaces the login.
func TestRefusedResumes(t *testing.T) {
	var app *testapp.App
	app, _, _ = newTrap(t, func(c *auth.Config) {
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

// SetPassword revives a void session.
func TestSetPasswordRevives(t *testing.T) {
	app, st, _ := newTrap(t, nil)
	user := app.Create(t, "susan", true)
	app.Mux.HandleFunc("POST /expired-password", func(w http.ResponseWriter, r *http.Request) { // for people who are not logged in
		u, err := app.Authenticate(r.Context(), r.PostFormValue("login"), r.PostFormValue("password"))
		if err == nil {
			err = app.SetPassword(r.Context(), u, r.PostFormValue("new"))
		}
		if err != nil {
			app.Error(w, r, err)
		}
	})
	c := app.Client(t)
	c.Login("susan")
	a := user.Clone()
	a.Stamp = auth.NewSecret("all logins are over")
	if err := st.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	r := c.Post("/expired-password", "login", "susan", "password", testapp.Password, "new", "another fine battery")
	t.Log(r.Status)
	if who := c.Who(); who != "nobody" {
		t.Error("nobody logged in, but the browser is", who)
	}
}

// the personal page of a login that ends meanwhile is not no-store.
func TestNoStoreLost(t *testing.T) {
	app, _, _ := newTrap(t, nil)
	app.Create(t, "susan", false)
	arrived, release := make(chan struct{}), make(chan struct{})
	app.Mux.Handle("GET /slow", app.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, _ := app.CurrentUser(r.Context())
		app.Sessions().Put(r.Context(), "n", "x")
		close(arrived)
		<-release
		fmt.Fprint(w, "private: ", u.Email)
	})))
	c := app.Client(t)
	c.Login("susan")
	other := c.Clone()
	got := make(chan *testapp.Response)
	go func() { got <- c.Get("/slow") }()
	<-arrived
	other.Post("/logout")
	close(release)
	r := <-got
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control %q, Vary %q", r.Text, r.Header.Get("Cache-Control"), r.Header.Get("Vary"))
	}
}

// sessions without end, without a hash.
func TestResumeFlood(t *testing.T) {
	app, _, _ := newTrap(t, nil)
	user := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Post("/enter", "login", "susan", "remember", "y")
	c.Restart()
	start := time.Now()
	const n = 5000
	for range n {
		d := c.Clone() // always the same cookie, within its minute of grace
		d.Who()
	}
	list, _ := app.Store.ListRecords(t.Context(), "session", user.ID)
	t.Log(len(list), "records in", time.Since(start), "hashes", app.Core.PasswordHashes())
	if len(list) > 100 {
		t.Error("sessions from one remember cookie:", len(list))
	}
}

// what users typed, and passwords, in the log.
func TestTypedInLogs(t *testing.T) {
	app, _, _ := newTrap(t, func(c *auth.Config) {
		c.PasswordCheck = func(_ context.Context, password string, _ auth.Account) error {
			return fmt.Errorf("%q was found in a breach", password)
		}
	})
	_, _ = app.Register(t.Context(), auth.Registration{Username: "tom", Password: "purple monkey 77"})
	if strings.Contains(app.Logs(), "purple monkey") {
		t.Error(app.Logs())
	}
}

// option nil, nil user.
func TestNilArguments(t *testing.T) {
	app, _, _ := newTrap(t, nil)
	u := app.Create(t, "susan", false)
	try := func(name string, f func()) {
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("%s panics: %v", name, p)
			}
		}()
		f()
	}
	try("LoginUser(nil option)", func() { _ = app.LoginUser(t.Context(), u, nil) })
	try("Core.LoginUser(nil)", func() { _ = app.Core.LoginUser(t.Context(), nil) })
	try("LoginUser(nil)", func() { _ = app.LoginUser(t.Context(), nil) })
	try("Core.SetPassword(nil)", func() { _ = app.Core.SetPassword(t.Context(), nil, "x") })
}

// callbacks that call back
type backHandler struct {
	slog.Handler
	f func(context.Context)
}

func (h backHandler) Handle(ctx context.Context, r slog.Record) error {
	h.f(ctx)
	return h.Handler.Handle(ctx, r)
}

func TestCallbacks(t *testing.T) {
	var app *testapp.App
	var depth atomic.Int32
	back := func(ctx context.Context) {
		if depth.Add(1) < 4 && app != nil {
			app.CurrentUser(ctx)
			app.Sessions().GetString(safe(ctx, app), "x")
			_ = app.Flash(ctx, "a", "b")
		}
		depth.Add(-1)
	}
	app, _, clock := newTrap(t, func(c *auth.Config) {
		c.OnEvent = func(ctx context.Context, _ auth.Event) { back(ctx) }
		c.Logger = slog.New(backHandler{slog.DiscardHandler, back})
		c.PasswordCheck = func(ctx context.Context, _ string, _ auth.Account) error { back(ctx); return nil }
		c.ErrorPage = func(w http.ResponseWriter, r *http.Request, status int, _ error) {
			back(r.Context())
			w.WriteHeader(status)
		}
	})
	app.Create(t, "susan", true)
	c := app.Client(t)
	c.HTTP.Timeout = 5 * time.Second
	c.Post("/enter", "login", "susan", "remember", "y")
	old := c.Clone()
	c.Restart()
	t.Log(c.Who())
	t.Log(c.Post("/password", "password", "another fine battery").Status)
	t.Log(c.Post("/login", "login", "susan", "password", "wrong one").Status)
	t.Log(c.Post("/renew").Status, c.Post("/put", "key", "x", "value", "y").Status)
	clock.Advance(2 * time.Minute)
	old.Restart()
	t.Log(old.Who())
	t.Log(c.Post("/destroy").Status, c.Post("/logout").Status)
}

func safe(ctx context.Context, app *testapp.App) context.Context {
	if _, err := app.User(ctx); errors.Is(err, auth.ErrNoSession) {
		c2, _ := app.Sessions().Load(context.Background(), "")
		return c2
	}
	return ctx
}
