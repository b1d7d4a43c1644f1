package auth_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// A tracer keeps the operations that have ended.
type tracer struct {
	mu    sync.Mutex
	ended []string
	open  int
}

type tracedKey struct{}

func (tr *tracer) trace(ctx context.Context, operation, kind string) (context.Context, func(error)) {
	name := strings.TrimSuffix(operation+" "+kind, " ")
	tr.mu.Lock()
	tr.open++
	tr.mu.Unlock()
	outer, _ := ctx.Value(tracedKey{}).(string)
	return context.WithValue(ctx, tracedKey{}, name), func(err error) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.open--
		if outer != "" {
			name = outer + " > " + name
		}
		if err != nil {
			name += ": failed"
		}
		tr.ended = append(tr.ended, name)
	}
}

// since returns what has ended since the last call.
func (tr *tracer) since() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	ended := tr.ended
	tr.ended = nil
	return ended
}

// Logins, hashes and calls of the stores are traced, and what runs within Authenticate
// belongs to it.
func TestTrace(t *testing.T) {
	t.Parallel()
	tr := &tracer{}
	app, store := newApp(t, func(cfg *auth.Config) { cfg.Trace = tr.trace })
	app.Create(t, "susan", true)
	c := app.Client(t)
	tr.since()
	c.Post("/login", "login", "susan", "password", testapp.Password)
	got := tr.since()
	for _, want := range []string{
		"authenticate password", "authenticate password > store.FindUser", "authenticate password > hash verify", "login", "store.InsertRecord session",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("a login has no %q: %q", want, got)
		}
	}
	c.Get("/who")
	if got := tr.since(); !slices.Equal(got, []string{"store.GetRecord session", "store.LoadUser"}) {
		t.Errorf("a page: %q", got)
	}
	// A wrong password is an error of Authenticate, and none of the store.
	c.Post("/login", "login", "nobody", "password", "a wrong one")
	got = tr.since()
	if !slices.Contains(got, "authenticate password: failed") || !slices.Contains(got, "authenticate password > store.FindUser") {
		t.Errorf("a wrong name: %q", got)
	}
	// A store that fails.
	store.Fail("GetRecord")
	c.Get("/who")
	if got := tr.since(); !slices.Contains(got, "store.GetRecord session: failed") {
		t.Errorf("a failing store: %q", got)
	}
	if tr.open != 0 {
		t.Errorf("%d operations have not ended", tr.open)
	}
}

// A store gets the context that Trace returns, and still no session.
func TestTraceContext(t *testing.T) {
	t.Parallel()
	var got []any
	var own []error
	clock := testapp.NewClock()
	store := &contextStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
	app := testapp.New(t, store, clock, func(cfg *auth.Config) { cfg.Trace = (&tracer{}).trace })
	store.load = func(ctx context.Context) {
		_, err := app.Pending(ctx)
		got, own = append(got, ctx.Value(tracedKey{})), append(own, err)
	}
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	got, own = nil, nil
	c.Get("/who")
	if len(got) != 1 || got[0] != "store.LoadUser" || !errors.Is(own[0], auth.ErrNoSession) {
		t.Errorf("the store got %v, and the session with %v", got, own)
	}
}

// A contextStore calls load in LoadUser.
type contextStore struct {
	*memstore.Store[testapp.User, *testapp.User]
	load func(context.Context)
}

func (s *contextStore) LoadUser(ctx context.Context, id string) (*testapp.User, error) {
	if s.load != nil {
		s.load(ctx)
	}
	return s.Store.LoadUser(ctx, id)
}

// A TraceFunc may return nothing.
func TestTraceReturnsNothing(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(cfg *auth.Config) {
		cfg.Trace = func(context.Context, string, string) (context.Context, func(error)) { return nil, nil }
	})
	app.Create(t, "susan", true)
	c := app.Client(t)
	if r := c.Post("/login", "login", "susan", "password", testapp.Password); r.StatusCode != http.StatusOK || c.Get("/who").Text != "susan" {
		t.Errorf("%d %s", r.StatusCode, r.Text)
	}
}

// If a store panics, the operations that are under way end, with an error.
func TestTraceEndsAtPanic(t *testing.T) {
	t.Parallel()
	for method, want := range map[string][]string{
		"FindUser":     {"authenticate password > store.FindUser: failed", "authenticate password: failed"},
		"InsertRecord": {"store.InsertRecord session: failed", "login: failed"},
	} {
		tr := &tracer{}
		app, store := newApp(t, func(cfg *auth.Config) { cfg.Trace = tr.trace })
		user := app.Create(t, "susan", true)
		tr.since()
		store.HookCalls(func(_ context.Context, c testapp.Call) error {
			if c.Method == method && (c.Kind == "" || c.Kind == "session") {
				panic("the store panics")
			}
			return nil
		}, nil)
		app.In(app.Client(t), func(ctx context.Context) {
			defer func() { _ = recover() }()
			if method == "FindUser" {
				_, _ = app.Authenticate(ctx, "susan", testapp.Password)
			} else {
				_ = app.LoginUser(ctx, user)
			}
			t.Errorf("%s has not panicked", method)
		})
		got := tr.since()
		for _, want := range want {
			if !slices.Contains(got, want) {
				t.Errorf("%s: there is no %q: %q", method, want, got)
			}
		}
		if tr.open != 0 {
			t.Errorf("%s: %d operations have not ended", method, tr.open)
		}
	}
}

// Each method of a store is traced, under its own name.
func TestTraceHasAllMethods(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("storecalls.go")
	if err != nil {
		t.Fatal(err)
	}
	var traced, want []string
	for _, m := range regexp.MustCompile(`"store\.(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		traced = append(traced, m[1])
	}
	for _, of := range []reflect.Type{reflect.TypeFor[auth.UserStore[*testapp.User]](), reflect.TypeFor[auth.UserDeleter](), reflect.TypeFor[auth.RecordStore]()} {
		for i := range of.NumMethod() {
			want = append(want, of.Method(i).Name)
		}
	}
	slices.Sort(traced)
	slices.Sort(want)
	if !slices.Equal(traced, want) {
		t.Errorf("traced: %q, want %q", traced, want)
	}
}
