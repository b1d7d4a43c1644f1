package authtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

const (
	password = "staple battery horse"
	origin   = "https://app.example"
)

// A site is an application with the ready-made pages and some of its own.
type site struct {
	*auth.Manager[*User]
	store   *memstore.Store[User, *User]
	clock   *authtest.Clock
	mailbox *authtest.Mailbox
	mux     *http.ServeMux
	handler http.Handler
}

// newSite returns a site at https://app.example. If change is not nil, it
// changes the site's configuration.
func newSite(t *testing.T, change func(*auth.Config)) *site {
	t.Helper()
	test := authtest.New[User](t)
	s := &site{clock: test.Clock, mailbox: test.Mailbox, mux: http.NewServeMux()}
	s.store, _ = test.Store.(*memstore.Store[User, *User])
	cfg := test.Config
	if change != nil {
		change(&cfg)
	}
	var err error
	s.Manager, err = auth.New(s.store, cfg)
	check(t, err)
	p, err := pages.New(s.Core, pages.Config{})
	check(t, err)
	for _, path := range p.Paths() {
		s.mux.Handle(path, p)
	}
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, err := s.User(r.Context())
		switch {
		case errors.Is(err, auth.ErrNotLoggedIn):
			_, _ = io.WriteString(w, "nobody")
		case err != nil:
			s.Error(w, r, err)
		default:
			_, _ = io.WriteString(w, u.Username)
		}
	})
	s.mux.Handle("/who", who)
	s.mux.Handle("/guarded", s.RequireLogin(who))
	s.mux.Handle("/fresh", s.RequireFresh(10*time.Minute)(who))
	s.mux.HandleFunc("/login-here", func(w http.ResponseWriter, r *http.Request) {
		check(t, s.LoginUser(r.Context(), s.user(t, r.FormValue("name")), auth.Remember(r.FormValue("remember") != "")))
	})
	s.handler = s.LoadAndSave(s.mux)
	return s
}

// create makes a user. If the password is empty, the user has none.
func (s *site) create(t *testing.T, name, password string) *User {
	t.Helper()
	u, err := s.Register(t.Context(), auth.Registration{Username: name, Email: name + "@app.example", Password: password, NoPassword: password == ""})
	check(t, err)
	return u
}

// user loads a user.
func (s *site) user(t *testing.T, name string) *User {
	t.Helper()
	key, err := auth.UsernameKey(name)
	check(t, err)
	u, err := s.store.FindUser(t.Context(), key)
	check(t, err)
	return u
}

func (s *site) disable(t *testing.T, name string) {
	t.Helper()
	a := s.user(t, name).AuthAccount().Clone()
	a.Disabled = true
	check(t, s.store.UpdateAccount(t.Context(), a))
}

func (s *site) client(t testing.TB) *authtest.Client {
	return authtest.NewClient(t, s.Core, s.handler)
}

// app returns the App for Indistinguishable.
func (s *site) app() authtest.App {
	return authtest.App{Core: s.Core, Handler: s.handler, Mailbox: s.mailbox}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, r *authtest.Response, status int, text string) {
	t.Helper()
	if r.StatusCode != status || !strings.Contains(r.Text, text) {
		t.Errorf("%s %s: got %s to %q, want %d and %q:\n%s", r.Request.Method, r.Request.URL, r.Status, r.Header.Get("Location"), status, text, r.Text)
	}
}

func form(fields ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Add(fields[i], fields[i+1])
	}
	return v
}

// A fakeT is a testing.TB that may fail without failing the real test.
type fakeT struct {
	testing.TB // for Context, and for the unexported method of testing.TB

	mu     sync.Mutex
	failed []string
	ended  bool
}

func (f *fakeT) Helper() {}

func (f *fakeT) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = append(f.failed, fmt.Sprintf(format, args...))
}

func (f *fakeT) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	f.end()
}

func (f *fakeT) Fatal(args ...any) {
	f.Errorf("%s", fmt.Sprint(args...))
	f.end()
}

func (f *fakeT) end() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	runtime.Goexit()
}

// failures runs a test that may fail, and returns its messages. ended reports
// whether the test ended early.
func failures(t *testing.T, test func(t testing.TB)) (text string, ended bool) {
	t.Helper()
	f := &fakeT{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() { test(f) })
	wg.Wait()
	return strings.Join(f.failed, "\n"), f.ended
}

// wantFatal runs a test that must end early and print all these texts.
func wantFatal(t *testing.T, test func(t testing.TB), texts ...string) {
	t.Helper()
	got, ended := failures(t, test)
	if !ended {
		t.Errorf("the test goes on; it says %q", got)
	}
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("the test says %q, and nothing of %q", got, text)
		}
	}
}

var errBroken = errors.New("the disk is on fire")

// brokenUsers returns an error when a user is loaded.
type brokenUsers struct{ *memstore.Store[User, *User] }

func (brokenUsers) LoadUser(context.Context, string) (*User, error) { return nil, errBroken }

// brokenSessions returns an error when a session is read.
type brokenSessions struct{ auth.RecordStore }

func (brokenSessions) GetRecord(context.Context, string, string) (auth.Record, error) {
	return auth.Record{}, errBroken
}

// sink collects events.
func sink(mu *sync.Mutex, events *[]auth.Event) func(context.Context, auth.Event) {
	return func(_ context.Context, e auth.Event) {
		mu.Lock()
		defer mu.Unlock()
		*events = append(*events, e)
	}
}
