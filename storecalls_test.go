package auth_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// closedConnections are the errors that drivers return when the database has closed a
// pooled connection.
var closedConnections = map[string]error{
	"driver.ErrBadConn":    driver.ErrBadConn,
	"wrapped":              fmt.Errorf("store: %w", driver.ErrBadConn),
	"sql.ErrConnDone":      sql.ErrConnDone,
	"net.ErrClosed":        &net.OpError{Op: "write", Net: "tcp", Err: net.ErrClosed},
	"io.EOF":               io.EOF,
	"io.ErrUnexpectedEOF":  io.ErrUnexpectedEOF,
	"reset":                &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)},
	"broken pipe":          &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)},
	"closed, and one ours": fmt.Errorf("%w: %w", auth.ErrNotLoggedIn, net.ErrClosed),
}

// A read whose connection was closed runs a second time, and succeeds.
func TestReadsAreRetriedOnce(t *testing.T) {
	t.Parallel()
	for name, closed := range closedConnections {
		app, store := newApp(t, nil)
		u := app.Create(t, "susan", true)
		c := app.Client(t)
		c.Login("susan")
		for verb, run := range map[string]func() error{
			"GetRecord": func() error { return is(c.Who(), "susan") },
			"LoadUser":  func() error { return is(c.Who(), "susan") },
			"FindUser": func() error {
				return is(fmt.Sprint(app.Client(t).Post("/login", "login", "susan", "password", testapp.Password).StatusCode), "200")
			},
			"ListRecords": func() error { _, err := app.Logins(t.Context(), u.ID); return err },
		} {
			failures := 1
			store.Hook(func(call string) error {
				if call == verb && failures > 0 {
					failures--
					return closed
				}
				return nil
			}, nil)
			if err := run(); err != nil || failures > 0 {
				t.Errorf("%s, %s: %v, %d failures left", name, verb, err, failures)
			}
		}
	}
}

func is(got, want string) error {
	if got != want {
		return fmt.Errorf("%q, want %q", got, want)
	}
	return nil
}

// A read runs at most twice. It does not run again after another error, or when its
// time is over. A write never runs again.
func TestWritesAreNotRetried(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	u := app.Create(t, "susan", false)
	calls := func(ctx context.Context, verb string, err error, run func(context.Context)) (n int) {
		store.Hook(func(call string) error {
			if call != verb {
				return nil
			}
			n++
			return err
		}, nil)
		defer store.Reset()
		run(ctx)
		return n
	}
	logins := func(ctx context.Context) { _, _ = app.Logins(ctx, u.ID) }
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"closed for good": {driver.ErrBadConn, 2},
		"any error":       {errStore, 1},
		"refused":         {&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, 1},
		"too slow":        {os.ErrDeadlineExceeded, 1},
		"its time":        {context.DeadlineExceeded, 1},
		"no rows":         {sql.ErrNoRows, 1},
		"not found":       {auth.ErrUserNotFound, 1},
	} {
		if n := calls(t.Context(), "LoadUser", test.err, logins); n != test.want {
			t.Errorf("%s: LoadUser ran %d times", name, n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	if n := calls(ctx, "LoadUser", driver.ErrBadConn, func(ctx context.Context) { cancel(); logins(ctx) }); n > 1 {
		t.Errorf("after the end of its context LoadUser ran %d times", n)
	}
	for verb, run := range map[string]func(context.Context){
		"InsertRecord":  func(context.Context) { app.Client(t).Post("/enter", "login", "susan") },
		"UpdateAccount": func(ctx context.Context) { _ = app.LogoutEverywhere(ctx, u) },
		"DeleteRecords": func(ctx context.Context) { _ = app.Unlock(ctx, u.ID) },
	} {
		if n := calls(t.Context(), verb, driver.ErrBadConn, run); n != 1 {
			t.Errorf("%s ran %d times", verb, n)
		}
	}
}

// While the store is down, a browser with a cookie gets the pages that do not ask for
// the user. All other pages are 503, even if the handler ignores the error and renders
// the page for anonymous visitors.
func TestOutage(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	u := app.Create(t, "susan", true)
	sessions := app.SessionData()
	asks := map[string]func(ctx context.Context){
		"CurrentUser":    func(ctx context.Context) { _, _ = app.CurrentUser(ctx) },
		"CurrentLogin":   func(ctx context.Context) { _, _ = app.CurrentLogin(ctx) },
		"Fresh":          func(ctx context.Context) { _ = app.Check(ctx, auth.Fresh(0)) },
		"WhileLoggedIn":  func(ctx context.Context) { _, stop := app.WhileLoggedIn(ctx); stop() },
		"session data":   func(ctx context.Context) { _ = sessions.GetString(ctx, "cart") },
		"Put":            func(ctx context.Context) { sessions.Put(ctx, "cart", "x") },
		"RenewToken":     func(ctx context.Context) { _ = sessions.RenewToken(ctx) },
		"LoginUser":      func(ctx context.Context) { _ = app.LoginUser(ctx, u) },
		"LogoutUser":     func(ctx context.Context) { _ = app.LogoutUser(ctx) },
		"EndOtherLogins": func(ctx context.Context) { _ = app.EndOtherLogins(ctx) },
		"Logins":         func(ctx context.Context) { _, _ = app.Logins(ctx, u.ID) },
		"Authenticate":   func(ctx context.Context) { _, _ = app.Authenticate(ctx, "susan", testapp.Password) },
	}
	answers := map[string]func(http.ResponseWriter, *http.Request){
		"page":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Log in") },
		"nothing":  func(http.ResponseWriter, *http.Request) {},
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusSeeOther) },
		"error":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "sorry", http.StatusInternalServerError) },
		"Error":    func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, auth.ErrNotLoggedIn) },
		"flush":    func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() },
	}
	app.Mux.HandleFunc("/ask/{what}/{answer}", func(w http.ResponseWriter, r *http.Request) {
		asks[r.PathValue("what")](r.Context())
		answers[r.PathValue("answer")](w, r)
	})
	app.Mux.HandleFunc("/message", func(_ http.ResponseWriter, r *http.Request) {
		if err := app.Flash(r.Context(), "info", "hello"); err != nil {
			t.Error(err)
		}
	})
	c := app.Client(t)
	c.Login("susan")
	for what := range asks {
		for answer := range answers {
			store.Hook(func(string) error { return errStore }, nil)
			before := strings.Count(app.Logs(), "request failed")
			r := c.Get("/ask/" + what + "/" + answer)
			if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" || r.Header.Get("Location") != "" ||
				r.Text != "Service Unavailable" || r.Header.Get("Cache-Control") != "no-store" || len(r.Cookies()) > 0 {
				t.Errorf("%s, %s: %s %q %v", what, answer, r.Status, r.Text, r.Header)
			}
			if n := strings.Count(app.Logs(), "request failed") - before; n != 1 {
				t.Errorf("%s, %s: %d lines in the log", what, answer, n)
			}
			store.Reset()
		}
	}
	store.Hook(func(string) error { return errStore }, nil)
	if r := c.Get("/"); r.StatusCode != http.StatusOK || r.Text != "public" || len(r.Cookies()) > 0 {
		t.Errorf("a public page: %s %q", r.Status, r.Text)
	}
	if r := c.Get("/message"); r.StatusCode != http.StatusOK || len(r.Cookies()) != 1 {
		t.Errorf("a message: %s %v", r.Status, r.Cookies())
	}
	store.Reset()
	if who := c.Who(); who != "susan" {
		t.Errorf("when the store is well: %s", who)
	}
}

// A later failure undoes nothing: the cookie of a successful login goes out with the
// 503, and messages are kept for the next page.
func TestFailureAfterALogin(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	u := app.Create(t, "susan", false)
	app.Mux.HandleFunc("/message", func(_ http.ResponseWriter, r *http.Request) { _ = app.Flash(r.Context(), "info", "hello") })
	app.Mux.HandleFunc("/messages", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, app.Flashes(r.Context())) })
	app.Mux.HandleFunc("/act", func(_ http.ResponseWriter, r *http.Request) {
		_ = app.Flashes(r.Context())
		if err := app.LoginUser(r.Context(), u); err != nil {
			t.Error(err)
		}
		store.Hook(func(string) error { return errStore }, nil)
		if _, err := app.Logins(r.Context(), u.ID); !errors.Is(err, errStore) {
			t.Error(err)
		}
		store.Reset()
	})
	c := app.Client(t)
	c.Get("/message")
	if r := c.Get("/act"); r.StatusCode != http.StatusServiceUnavailable {
		t.Error(r.Status)
	}
	if who := c.Who(); who != "susan" {
		t.Errorf("the login is lost: %s", who)
	}
	if r := c.Get("/messages"); r.Text != "[{info hello}]" {
		t.Errorf("the messages are %s", r.Text)
	}
	if slices.ContainsFunc(app.Events(), func(e auth.Event) bool { return e.Kind == auth.EventLoginRevoked }) {
		t.Error("a session was ended")
	}
}

// A RecordStore may log through a slog handler that asks for the user.
func TestStoreMayAskForTheUser(t *testing.T) {
	app, st := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.HTTP.Timeout = patience
	c.Login("susan")
	st.HookCalls(func(ctx context.Context, _ testapp.Call) error { // like a slog handler that adds the user's name
		app.CurrentUser(ctx)
		return nil
	}, nil)
	if who := c.Who(); who != "susan" {
		t.Error("who:", who)
	}
	if r := c.Post("/put", "key", "k", "value", "v"); r.StatusCode != http.StatusOK {
		t.Error("put: no answer")
	}
	if r := app.Client(t).Do("GET", "/", nil, nil); r.StatusCode != http.StatusOK {
		t.Error(r.Status)
	}
	st.Reset()
}

type curiousKey struct{ a, b any }

func TestStoreMayReadTheContext(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	app.Create(t, "susan", false)
	store.HookCalls(func(ctx context.Context, _ testapp.Call) error { // like tracing
		for _, key := range []any{curiousKey{1, "x"}, "string", 1, new(int), [2]int{}, struct{}{}, http.ServerContextKey, http.LocalAddrContextKey, store} {
			_ = ctx.Value(key)
		}
		_ = ctx.Value(nil)
		_, _ = ctx.Deadline()
		return nil
	}, nil)
	finish(t, func() {
		c := app.Client(t)
		for _, path := range []string{"/put", "/renew", "/destroy", "/put"} {
			c.Post(path, "key", "k", "value", "v")
		}
		c.Login("susan")
		for _, path := range []string{"/put", "/renew", "/who", "/guarded", "/logout"} {
			if r := c.Post(path, "key", "k", "value", path); r.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", path, r.Status)
			}
		}
	})
	if n := len(store.Calls()); n < 10 {
		t.Errorf("asked %d times", n)
	}
}

// If a store fails at any step, the answer is a 5xx or the operation is done. Nothing
// is half done, and the next request works.
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
				testapp.EachCall(t, 1, func(k int) bool {
					app, spy := newApp(t, nil)
					u := app.Create(t, "susan", op.name == "login" || op.name == "password")
					app.Create(t, "mike", false)
					c := app.Client(t)
					c.Login("susan")
					before := c.Clone()
					app.Clock.Advance(2 * time.Minute) // so that the session's touch is a step, too
					spy.FailAt(k, after)
					var r *testapp.Response
					if op.form == nil {
						r = c.Get(op.path)
					} else {
						r = c.Post(op.path, op.form...)
					}
					calls := spy.Calls()
					spy.Reset()
					failed := r.StatusCode >= 500
					if !failed && r.StatusCode != http.StatusOK {
						t.Errorf("call %d (%v): %s", k, calls, r.Status)
					}
					if failed && len(r.Header["Set-Cookie"]) > 0 {
						t.Errorf("call %d (%v): a failure set a cookie", k, calls)
					}
					if failed && !strings.Contains(app.Logs(), errStore.Error()) {
						t.Errorf("call %d: the failure is not in the log", k)
					}
					// The store works again. Who is logged in?
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
						ok, err := app.CheckPassword(t.Context(), stored(t, app, u.ID), "another good password")
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
					// And can the browser log in?
					again := app.Client(t)
					again.Login("susan")
					if again.Who() != "susan" {
						t.Errorf("call %d: no login afterwards", k)
					}
					return len(calls) >= k
				})
			})
		}
	}
}
