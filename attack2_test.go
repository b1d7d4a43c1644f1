package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

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

// A thief keeps a request open, with half of its body, and sends the rest after
// the owner has ended the login. It must not change the password.
func TestHeldRequestSetsNoPassword(t *testing.T) {
	t.Parallel()
	app, u := endedWhileHeld(t, func(ctx context.Context, app *insider, u *testapp.User) {
		if err := app.SetPassword(ctx, u, "the thief's own one"); !errors.Is(err, auth.ErrLoggedOut) {
			t.Errorf("SetPassword: %v", err)
		}
	})
	if !opens(t, app.App, u.ID, testapp.Password) {
		t.Error("the password is the thief's")
	}
}

// Nor may it make a token, which lives on for as long as it says.
func TestHeldRequestMakesNoToken(t *testing.T) {
	t.Parallel()
	app, u := endedWhileHeld(t, func(ctx context.Context, app *insider, u *testapp.User) {
		_, _, err := app.NewAPIToken(ctx, u, auth.APIToken{Scopes: []string{auth.ScopeAll}, Expires: app.Clock.Now().Add(time.Hour)})
		if !errors.Is(err, auth.ErrLoggedOut) {
			t.Errorf("NewAPIToken: %v", err)
		}
	})
	if tokens, err := app.APITokens(t.Context(), u.ID); err != nil || len(tokens) > 0 {
		t.Errorf("the thief has a token: %v, %v", tokens, err)
	}
}

// A request that finds out that its login is gone while it writes its session
// is not watched any more as if nothing had been.
func TestWhileLoggedInAfterLoss(t *testing.T) {
	t.Parallel()
	endedWhileHeld(t, func(ctx context.Context, app *insider, _ *testapp.User) {
		app.Sessions().Put(ctx, "k", "v")
		if _, _, err := app.Sessions().Commit(ctx); err != nil {
			t.Error(err)
		}
		watched, stop := app.WhileLoggedIn(ctx)
		defer stop()
		if watched.Err() == nil || !errors.Is(context.Cause(watched), auth.ErrLoggedOut) {
			t.Errorf("it goes on: %v", context.Cause(watched))
		}
		if l, err := app.CurrentLogin(ctx); err == nil {
			t.Errorf("the current login is %+v", l)
		}
	})
}

// A page for one scope does not open the others' for the rest of the request, as
// where a batch is answered by several handlers.
func TestScopeEndsWithItsHandler(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := app.Create(t, "susan", false)
	token, _ := issue(t, app.App, u, "read")
	app.Mux.HandleFunc("GET /batch", func(_ http.ResponseWriter, r *http.Request) {
		codes := map[string]int{}
		for _, path := range []string{"/guarded", "/read", "/guarded", "/write"} {
			part := r.Clone(r.Context())
			part.URL.Path = path
			w := httptest.NewRecorder()
			app.Mux.ServeHTTP(w, part)
			codes[path] = w.Code
		}
		if codes["/guarded"] != http.StatusForbidden || codes["/read"] != http.StatusOK || codes["/write"] != http.StatusForbidden {
			t.Errorf("%v", codes)
		}
		if _, err := app.User(r.Context()); !errors.Is(err, auth.ErrScope) {
			t.Errorf("outside: %v", err)
		}
	})
	app.status(t, "/batch", token)
}

// While a page for a scope is at work, what asks in another goroutine without
// having asked for it is refused.
func TestScopeIsNotShared(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := app.Create(t, "susan", false)
	token, _ := issue(t, app.App, u, "read")
	app.Mux.HandleFunc("GET /outer", func(w http.ResponseWriter, r *http.Request) {
		app.RequireScope("read")(http.HandlerFunc(func(_ http.ResponseWriter, inner *http.Request) {
			if _, err := app.User(inner.Context()); err != nil {
				t.Errorf("inside: %v", err)
			}
			if _, err := app.User(r.Context()); !errors.Is(err, auth.ErrScope) {
				t.Errorf("beside: %v", err)
			}
		})).ServeHTTP(w, r)
	})
	if code := app.status(t, "/outer", token); code != http.StatusOK {
		t.Error(code)
	}
}

// A token makes no token that can do more than it can.
func TestTokenMakesNoWiderToken(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := app.Create(t, "susan", false)
	token, described := issue(t, app.App, u, "read", "tokens")
	app.Mux.Handle("GET /tokens", app.RequireScope("tokens")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		u, err := app.User(r.Context())
		if err != nil {
			t.Error(err)
			return
		}
		for name, c := range map[string]struct {
			scopes []string
			ok     bool
		}{
			"all":   {[]string{auth.ScopeAll}, false},
			"wider": {[]string{"read", "write"}, false},
			"same":  {[]string{"read"}, true},
		} {
			_, _, err := app.NewAPIToken(r.Context(), u, auth.APIToken{Scopes: c.scopes, Expires: described.Expires})
			if (err == nil) != c.ok || !c.ok && !errors.Is(err, auth.ErrScope) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})))
	if code := app.status(t, "/tokens", token); code != http.StatusOK {
		t.Error(code)
	}
}

// Who hears of a refused cross-origin request and asks who it was does not log
// anybody in by it.
func TestRefusedEventResumes(t *testing.T) {
	t.Parallel()
	var app *testapp.App
	app, _ = newApp(t, func(c *auth.Config) {
		c.OnEvent = func(ctx context.Context, e auth.Event) {
			if e.Kind == auth.EventCrossOrigin {
				if u, err := app.User(ctx); err == nil || errors.Is(err, auth.ErrNotLoggedIn) {
					t.Errorf("the refused request is %v's, %v", u, err)
				}
			}
		}
	})
	app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	c.Restart()
	r := c.Do("POST", "/put", url.Values{"key": {"k"}}, http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"same-site"}})
	if r.StatusCode != http.StatusForbidden || len(r.Header["Set-Cookie"]) > 0 {
		t.Errorf("%s, and cookies %v", r.Status, r.Header["Set-Cookie"])
	}
}

// A login that could not be ended is nobody's in the events of that, either.
func TestProtectedEventAsks(t *testing.T) {
	t.Parallel()
	var app *testapp.App
	var st *trapStore
	app, st, _ = newTrap(t, func(c *auth.Config) {
		c.Protection = auth.ProtectStrong
		c.OnEvent = func(ctx context.Context, e auth.Event) {
			if e.Kind != auth.EventProtected {
				return
			}
			if u, err := app.User(ctx); err == nil {
				t.Errorf("the thief is %s", u.Username)
			}
		}
	})
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	st.hook = func(_ context.Context, op, _ string) error {
		if op == "take" {
			return errDown
		}
		return nil
	}
	if r := c.Do("GET", "/who", nil, http.Header{"User-Agent": {"thief/1"}}); r.StatusCode != http.StatusServiceUnavailable {
		t.Error(r.Status)
	}
	st.hook = nil
}

// A message in a request with a token sets no cookie, though nobody asks whose
// it is.
func TestTokenRequestKeepsNoMessage(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := app.Create(t, "susan", false)
	token, _ := issue(t, app.App, u, "read")
	app.Mux.HandleFunc("GET /flash", func(_ http.ResponseWriter, r *http.Request) {
		_ = app.Flash(r.Context(), "info", "hello")
	})
	app.status(t, "/flash", token)
}

// Two requests at first sight: only one of the clients is bound to.
func TestBindAtFirstSightCrosses(t *testing.T) {
	t.Parallel()
	app := newActApp(t, protected(auth.ProtectBasic, false))
	member(t, app.App, "susan", "")
	owner := newRoamer(app.App).from("", home)
	owner.enter(t, false)
	thief := owner.from(chromium, home)
	other := owner.from(firefox, home)
	var raced atomic.Bool
	app.store.hook(func(call string) error {
		if call == "UpdateRecord" && raced.CompareAndSwap(false, true) {
			other.who(t.Context())
		}
		return nil
	}, nil)
	if w := thief.do(t.Context(), "GET", "/fresh"); w.Code == http.StatusOK {
		t.Errorf("bound to another client, and fresh: %d", w.Code)
	}
}

// Everything at once, in one request, under the race detector: nothing waits
// for itself, and nothing is left.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	plain, _ := newApp(t, func(c *auth.Config) {
		c.RequestLoaders = []auth.RequestLoader{auth.BearerLoader()}
		c.Protection, c.MaxSessions, c.NextInCookie = auth.ProtectBasic, 3, true
	})
	app := newInsider(plain)
	u := app.Create(t, "susan", false)
	sessions := app.Sessions()
	scope := app.RequireScope("read")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = app.User(r.Context()) }))
	for round := range 15 {
		c := remembered(t, plain, "susan")
		app.Clock.Advance(time.Minute)
		if round%3 == 0 {
			c.Restart()
		}
		app.in(c, func(ctx context.Context) {
			request := func() *http.Request { return httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil) }
			var wg sync.WaitGroup
			for _, f := range []func(){
				func() { _, _ = app.User(ctx) },
				func() { _, _ = app.CurrentLogin(ctx) },
				func() { _ = app.CheckFresh(ctx, time.Minute) },
				func() { _ = app.ConfirmLogin(ctx) },
				func() { _ = sessions.RenewToken(ctx) },
				func() { sessions.Put(ctx, "k", "v"); _, _, _ = sessions.Commit(ctx) },
				func() { _, _ = app.Logins(ctx, u.ID) },
				func() { _ = app.EndOtherLogins(ctx) },
				func() { _ = app.LoginUser(ctx, reload(t, plain, u.ID), auth.Remember(true)) },
				func() {
					if round%2 == 0 {
						_ = app.LogoutUser(ctx)
					} else {
						_ = sessions.Destroy(ctx)
					}
				},
				func() { _, stop := app.WhileLoggedIn(ctx); defer stop() },
				func() { scope.ServeHTTP(httptest.NewRecorder(), request()) },
				func() { app.Error(httptest.NewRecorder(), request(), auth.ErrNotFresh) },
				func() { _ = app.TakeNext(request()); _ = app.Flash(ctx, "", "x"); _ = app.Flashes(ctx) },
				func() {
					if round%5 == 4 {
						_ = app.LogoutEverywhere(ctx, u)
					}
				},
			} {
				wg.Go(f)
				wg.Go(f)
			}
			wg.Wait()
		})
	}
	if err := app.LogoutEverywhere(t.Context(), u); err != nil {
		t.Error(err)
	}
	if l := logins(t, plain, u.ID); len(l) > 0 {
		t.Error(l)
	}
}

// Another user's login in the same browser forgets the device first, so that a
// store which cannot do that fails the login, and leaves no copy of the cookie
// good.
func TestLoginAsAnotherForgetsTheDevice(t *testing.T) {
	t.Parallel()
	app, store := hookedApp(t, nil)
	member(t, app, "susan", "")
	member(t, app, "mike", "")
	c := app.Client(t)
	if r := c.Post("/enter", "login", "susan", "remember", "y"); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
	copied := c.Clone()
	copied.Restart()
	fails := true
	store.hook(func(call string) error {
		if call == "TakeRecord" && fails {
			fails = false
			return errStore
		}
		return nil
	}, nil)
	if r := c.Post("/enter", "login", "mike"); r.StatusCode != http.StatusServiceUnavailable || c.Who() != "susan" {
		t.Errorf("the store fails: %s, and it is %s", r.Status, c.Who())
	}
	store.hook(nil, nil)
	if r := c.Post("/enter", "login", "mike"); r.StatusCode != http.StatusOK || c.Who() != "mike" {
		t.Errorf("%s, and it is %s", r.Status, c.Who())
	}
	if who := copied.Who(); who != "nobody" {
		t.Errorf("a copy of susan's cookie is %s", who)
	}
}
