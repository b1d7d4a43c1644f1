package auth_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// A watcher is an application with requests that go on until the test or their login
// ends.
type watcher struct {
	*testapp.App
	opened  chan context.Context
	release chan struct{}
	wg      sync.WaitGroup
}

func newWatcher(t *testing.T, app *testapp.App) *watcher {
	w := &watcher{App: app, opened: make(chan context.Context), release: make(chan struct{})}
	app.Mux.HandleFunc("GET /stream", func(_ http.ResponseWriter, r *http.Request) {
		ctx, stop := app.WhileLoggedIn(r.Context())
		defer stop()
		w.opened <- ctx
		select {
		case <-ctx.Done():
		case <-w.release:
		}
	})
	t.Cleanup(func() {
		close(w.release)
		w.wg.Wait()
	})
	return w
}

// open sends a request with the browser's cookies, and returns the context of its
// handler.
func (w *watcher) open(c *testapp.Client, header http.Header) context.Context {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/stream", nil)
	r.Header.Set("User-Agent", "Go-http-client/1.1")
	for name, value := range c.Clone().Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for name, values := range header {
		r.Header[name] = values
	}
	w.wg.Go(func() { w.Server.Config.Handler.ServeHTTP(httptest.NewRecorder(), r) })
	return <-w.opened
}

// A function that ends a login ends its watching requests before it returns.
func TestWhileLoggedIn(t *testing.T) {
	type world struct {
		*watcher
		t        *testing.T
		u        *testapp.User
		c, other *testapp.Client
	}
	ok := func(w *world, r *testapp.Response) {
		w.t.Helper()
		if r.StatusCode != http.StatusOK {
			w.t.Error(r.Status)
		}
	}
	for name, end := range map[string]func(w *world){
		"logout":  func(w *world) { ok(w, w.c.Clone().Post("/logout")) },
		"destroy": func(w *world) { ok(w, w.c.Clone().Post("/destroy")) },
		"logout, rotated": func(w *world) {
			old := w.c.Clone()
			w.c.Post("/renew")
			ok(w, old.Post("/logout"))
		},
		"EndLogin by itself": func(w *world) {
			id := w.LoginOf(w.t, w.c).ID
			w.In(w.c, func(ctx context.Context) {
				if err := w.EndLogin(ctx, w.u.ID, id); err != nil {
					w.t.Error(err)
				}
			})
		},
		"EndLogin": func(w *world) {
			id := w.LoginOf(w.t, w.c).ID
			w.In(w.other, func(ctx context.Context) {
				if err := w.EndLogin(ctx, w.u.ID, id); err != nil {
					w.t.Error(err)
				}
			})
		},
		"EndLogin by the admin": func(w *world) {
			if err := w.EndLogin(w.t.Context(), w.u.ID, w.LoginOf(w.t, w.c).ID); err != nil {
				w.t.Error(err)
			}
		},
		"EndOtherLogins": func(w *world) {
			w.In(w.other, func(ctx context.Context) {
				if err := w.EndOtherLogins(ctx); err != nil {
					w.t.Error(err)
				}
			})
		},
		"LogoutEverywhere": func(w *world) {
			if err := w.LogoutEverywhere(w.t.Context(), w.u); err != nil {
				w.t.Error(err)
			}
		},
		"LogoutEverywhere by itself": func(w *world) {
			w.In(w.c, func(ctx context.Context) {
				if err := w.LogoutEverywhere(ctx, w.u); err != nil {
					w.t.Error(err)
				}
			})
		},
		"password from another browser": func(w *world) { ok(w, w.other.Post("/password", "password", "another good password")) },
		"password by the admin": func(w *world) {
			if err := w.SetPassword(w.t.Context(), stored(w.t, w.App, w.u.ID), "another good password"); err != nil {
				w.t.Error(err)
			}
		},
		"reset": func(w *world) {
			if _, err := w.ResetPassword(w.t.Context(), resetToken(w.t, w.App, w.u), resetTo); err != nil {
				w.t.Error(err)
			}
		},
		"eviction": func(w *world) {
			for range 2 {
				w.Clock.Advance(time.Second)
				w.Client(w.t).Login("susan")
			}
		},
		"theft": func(w *world) {
			thief := w.c.Clone()
			thief.Restart()
			old := thief.Clone()
			thief.Who()
			w.Clock.Advance(2 * time.Minute)
			old.Who()
		},
		"another user": func(w *world) { w.c.Clone().Login("mike") },
		"strong protection": func(w *world) {
			w.c.Clone().Do(http.MethodGet, "/who", nil, http.Header{"User-Agent": {"another/1"}})
		},
		"disabled": func(w *world) {
			change(w.t, w.App, w.u.ID, func(a *auth.Account) { a.Disabled = true })
			w.c.Clone().Who()
		},
		"deleted": func(w *world) {
			deleteUser(w.t, w.App, w.u.ID)
			w.c.Clone().Who()
		},
		"stamp": func(w *world) {
			change(w.t, w.App, w.u.ID, func(a *auth.Account) { a.Stamp = auth.NewSecret("new") })
			w.c.Clone().Who()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain, _ := newApp(t, func(c *auth.Config) { c.Session.Max, c.Session.Protection = 2, auth.ProtectStrong })
			w := &world{watcher: newWatcher(t, plain), t: t, u: plain.Create(t, "susan", false)}
			plain.Create(t, "mike", false)
			if w.c = remembered(t, plain, "susan"); name != "eviction" {
				plain.Clock.Advance(time.Second)
				w.other = plain.Client(t)
				w.other.Login("susan")
			}
			mike := plain.Client(t)
			mike.Login("mike")
			his := w.open(mike, nil)
			streams := []context.Context{w.open(w.c, nil), w.open(w.c, nil)}
			w.In(w.c, func(ctx context.Context) { // also outside a handler
				watched, _ := w.WhileLoggedIn(context.WithoutCancel(ctx))
				streams = append(streams, watched)
			})
			for i, ctx := range streams {
				if ctx.Err() != nil {
					t.Fatalf("stream %d is done at once: %v", i, context.Cause(ctx))
				}
			}
			end(w)
			for i, ctx := range streams {
				if ctx.Err() == nil || !errors.Is(context.Cause(ctx), auth.ErrLoggedOut) {
					t.Errorf("stream %d: %v, %v", i, ctx.Err(), context.Cause(ctx))
				}
			}
			if his.Err() != nil {
				t.Errorf("mike's stream: %v", context.Cause(his))
			}
		})
	}
}

// If the login does not end, its requests go on.
func TestWhileLoggedInGoesOn(t *testing.T) {
	plain, _ := newApp(t, func(c *auth.Config) { c.Session.Max = 3 })
	w := newWatcher(t, plain)
	u, m := plain.Create(t, "susan", false), plain.Create(t, "mike", false)
	c, other, mike := plain.Client(t), remembered(t, plain, "susan"), remembered(t, plain, "mike")
	c.Login("susan")
	plain.Clock.Advance(2 * time.Minute)
	stream := w.open(c, nil)
	fail := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"RenewToken", func() { c.Post("/renew") }},
		{"two at once", func() {
			var wg sync.WaitGroup
			a, before := c.Clone(), c.Clone()
			wg.Go(func() { a.Post("/renew") })
			wg.Go(func() { c.Post("/renew") })
			wg.Wait()
			if maps.Equal(c.Cookies, before.Cookies) { // the other request came first and has the new token
				c = a
			}
			if who := c.Who(); who != "susan" {
				t.Fatal(who)
			}
		}},
		{"ConfirmLogin", func() { w.In(c, func(ctx context.Context) { fail(w.ConfirmLogin(ctx)) }) }},
		{"a write", func() { c.Post("/put", "key", "a", "value", "b") }},
		{"time", func() {
			for range 3 {
				plain.Clock.Advance(5 * time.Minute)
				c.Who()
				other.Who()
				mike.Who()
			}
		}},
		{"another user's logout", func() { mike.Post("/logout") }},
		{"another user everywhere", func() { fail(w.LogoutEverywhere(t.Context(), m)) }},
		{"another browser's logout", func() { other.Post("/logout") }},
		{"more logins", func() { plain.Client(t).Login("susan") }},
		{"EndOtherLogins", func() { w.In(c, func(ctx context.Context) { fail(w.EndOtherLogins(ctx)) }) }},
		{"EndLogin in vain", func() {
			if err := w.EndLogin(t.Context(), u.ID, "x"); !errors.Is(err, auth.ErrLoginNotFound) {
				t.Error(err)
			}
		}},
		{"login again", func() { enterBy(t, c, "susan", "Go-http-client/1.1", true) }},
		{"a thief without a login", func() { plain.Client(t).Post("/logout") }},
	} {
		step.do()
		if stream.Err() != nil {
			t.Fatalf("%s: %v", step.name, context.Cause(stream))
		}
	}
	// A change of password keeps the login. Requests that began with the old token end,
	// because an attacker may have copied the token.
	if r := c.Post("/password", "password", "another good password"); r.StatusCode != http.StatusOK || c.Who() != "susan" {
		t.Errorf("own password: %s, %s", r.Status, c.Who())
	}
	if !errors.Is(context.Cause(stream), auth.ErrLoggedOut) {
		t.Errorf("after all that it does not end: %v", stream.Err())
	}
}

func TestWhileLoggedInAnonymous(t *testing.T) {
	app, spy := newApp(t, withBearer)
	u := app.Create(t, "susan", false)
	ctx, stop := app.WhileLoggedIn(t.Context())
	defer stop()
	if !errors.Is(context.Cause(ctx), auth.ErrNoSession) || ctx.Err() == nil {
		t.Errorf("outside: %v", context.Cause(ctx))
	}
	app.In(app.Client(t), func(ctx context.Context) {
		watched, stop := app.WhileLoggedIn(ctx)
		defer stop()
		if !errors.Is(context.Cause(watched), auth.ErrNotLoggedIn) || errors.Is(context.Cause(watched), auth.ErrLoggedOut) || ctx.Err() != nil {
			t.Errorf("an anonymous visitor: %v", context.Cause(watched))
		}
	})
	c := app.Client(t)
	c.Login("susan")
	for k := range 2 { // loading the user, and checking the login again
		app.In(c, func(ctx context.Context) {
			spy.FailAt(k+1, false)
			watched, stop := app.WhileLoggedIn(ctx)
			defer stop()
			if !errors.Is(context.Cause(watched), errStore) {
				t.Errorf("call %d fails: %v", k+1, context.Cause(watched))
			}
			spy.Reset()
			watched, stop = app.WhileLoggedIn(ctx)
			defer stop()
			if watched.Err() != nil {
				t.Errorf("when the store is well: %v", context.Cause(watched))
			}
		})
	}
	app.In(c, func(ctx context.Context) {
		if err := app.LogoutUser(ctx); err != nil {
			t.Error(err)
		}
		watched, stop := app.WhileLoggedIn(ctx)
		defer stop()
		if !errors.Is(context.Cause(watched), auth.ErrNotLoggedIn) {
			t.Errorf("after the logout: %v", context.Cause(watched))
		}
	})
	// If the application cancels the context itself, the cause is no logout.
	c.Login("susan")
	app.In(c, func(ctx context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		watched, stop := app.WhileLoggedIn(ctx)
		defer stop()
		cancel()
		if watched.Err() == nil || errors.Is(context.Cause(watched), auth.ErrLoggedOut) {
			t.Errorf("cancelled: %v", context.Cause(watched))
		}
		watched, stop = app.WhileLoggedIn(context.WithoutCancel(ctx))
		stop()
		stop()
		if watched.Err() == nil || errors.Is(context.Cause(watched), auth.ErrLoggedOut) {
			t.Errorf("stopped: %v", context.Cause(watched))
		}
		if _, ok := app.CurrentUser(watched); !ok {
			t.Error("the watched context has no session")
		}
	})
	_ = u
}

// A request with an API token ends when the token does.
func TestWhileLoggedInByToken(t *testing.T) {
	plain, _ := newApp(t, withBearer)
	w := newWatcher(t, plain)
	u := plain.Create(t, "susan", false)
	for name, end := range map[string]func(id string){
		"revoked": func(id string) {
			if err := w.RevokeAPIToken(t.Context(), u.ID, id); err != nil {
				t.Error(err)
			}
		},
		"everywhere": func(string) {
			if err := w.LogoutEverywhere(t.Context(), u); err != nil {
				t.Error(err)
			}
		},
		"password": func(string) {
			if err := w.SetPassword(t.Context(), stored(t, plain, u.ID), "another good password"); err != nil {
				t.Error(err)
			}
		},
	} {
		made := func() (header http.Header, id string) {
			token, info, err := plain.NewAPIToken(t.Context(), stored(t, plain, u.ID), auth.APIToken{Name: name, Scopes: []string{"*"}, Expires: plain.Clock.Now().Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			return http.Header{"Authorization": {"Bearer " + token.Reveal()}}, info.ID
		}
		first, id := made()
		second, otherID := made()
		a, b := w.open(plain.Client(t), first), w.open(plain.Client(t), second)
		if a.Err() != nil || b.Err() != nil {
			t.Fatal(context.Cause(a), context.Cause(b))
		}
		end(id)
		if !errors.Is(context.Cause(a), auth.ErrLoggedOut) {
			t.Errorf("%s: %v", name, context.Cause(a))
		}
		if name == "revoked" && b.Err() != nil {
			t.Errorf("the other token: %v", context.Cause(b))
		}
		if name == "revoked" {
			end(otherID)
		}
	}
}

// The request ends when the login expires, by the application's clock.
func TestWhileLoggedInLifetime(t *testing.T) {
	app, _ := newApp(t, func(c *auth.Config) { c.Session.IdleTimeout, c.Credentials = -1, []auth.Credential{auth.Bearer()} })
	w := newWatcher(t, app)
	u := app.Create(t, "susan", false)
	c, d := app.Client(t), app.Client(t)
	c.Login("susan")
	app.Clock.Advance(24*time.Hour - 30*time.Millisecond)
	d.Login("susan")
	c.Post("/renew") // which does not extend the login
	long, short := w.open(d, nil), w.open(c, nil)
	<-short.Done()
	if !errors.Is(context.Cause(short), auth.ErrLoggedOut) || long.Err() != nil {
		t.Errorf("%v, and the younger login's: %v", context.Cause(short), context.Cause(long))
	}
	token, _, err := app.NewAPIToken(t.Context(), u, auth.APIToken{Name: "x", Scopes: []string{"*"}, Expires: app.Clock.Now().Add(30 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	program := w.open(app.Client(t), http.Header{"Authorization": {"Bearer " + token.Reveal()}})
	<-program.Done()
	if !errors.Is(context.Cause(program), auth.ErrLoggedOut) {
		t.Errorf("the request of a token that expires: %v", context.Cause(program))
	}
}

// A login is ended while its token is being rotated. A request that begins to watch
// then sees the rotation's new record. It must end all the same.
func TestWhileLoggedInCrossesRotationAndEnd(t *testing.T) {
	app, store := newApp(t, nil)
	u := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	id := app.LoginOf(t, c).ID

	var wg sync.WaitGroup
	loaded, watch, watching := make(chan struct{}), make(chan struct{}), make(chan context.Context)
	tab, rotating := c.Clone(), c.Clone()
	wg.Go(func() {
		app.In(tab, func(ctx context.Context) {
			if _, err := app.User(ctx); err != nil {
				t.Error(err)
			}
			close(loaded)
			<-watch
			ctx, _ = app.WhileLoggedIn(context.WithoutCancel(ctx))
			watching <- ctx
		})
	})
	<-loaded
	inserted, goOn, rotated := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var stream context.Context
	var takes, lists atomic.Int32
	store.HookCalls(func(_ context.Context, call testapp.Call) error {
		switch {
		case call.Method == "TakeRecord" && call.Kind == "session" && takes.Add(1) == 1:
			// The end has read the old record. Now the rotation inserts its own.
			wg.Go(func() {
				defer close(rotated)
				rotating.Post("/renew")
			})
			<-inserted
		case call.Method == "InsertRecord" && call.Kind == "rotated":
			close(inserted)
			<-goOn
		case call.Method == "ListRecords" && call.Kind == "session" && takes.Load() == 1 && lists.Add(1) == 1:
			// The old record is deleted, and the end looks for others.
			close(watch)
			stream = <-watching
			close(goOn)
			<-rotated
		}
		return nil
	}, nil)
	if err := app.EndLogin(t.Context(), u.ID, id); err != nil {
		t.Error(err)
	}
	store.Reset()
	wg.Wait()
	gone(t, "ended", c, tab, rotating)
	if stream == nil {
		t.Fatal("the test does not do what it says")
	}
	if stream.Err() == nil {
		t.Error("the login has ended, and its request goes on")
	}
}

// Whether a request begins to watch before or after the end, it is over when the end
// returns.
func TestWhileLoggedInCrossesEnd(t *testing.T) {
	for _, how := range []string{"EndLogin", "LogoutEverywhere", "logout", "password"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			app, _ := newApp(t, nil)
			for round := range 20 {
				name := fmt.Sprintf("susan%d", round)
				u := app.Create(t, name, false)
				c := app.Client(t)
				c.Login(name)
				id := app.LoginOf(t, c).ID
				var wg sync.WaitGroup
				var mu sync.Mutex
				var streams []context.Context
				loaded := make(chan struct{}, 20)
				for i := range 20 {
					tab := c.Clone()
					wg.Go(func() {
						app.In(tab, func(ctx context.Context) {
							_, _ = app.User(ctx)
							loaded <- struct{}{}
							if i%5 == 0 {
								_ = app.SessionData().RenewToken(ctx)
							}
							watched, _ := app.WhileLoggedIn(context.WithoutCancel(ctx))
							mu.Lock()
							defer mu.Unlock()
							streams = append(streams, watched)
						})
					})
				}
				for range round % 20 {
					<-loaded
				}
				ender := c.Clone()
				wg.Go(func() {
					var err error
					switch how {
					case "EndLogin":
						err = app.EndLogin(t.Context(), u.ID, id)
					case "LogoutEverywhere":
						err = app.LogoutEverywhere(t.Context(), u)
					case "password":
						err = app.SetPassword(t.Context(), u, "another good password")
					default:
						ender.Post("/logout")
					}
					if err != nil {
						t.Error(err)
					}
				})
				wg.Wait()
				for i, ctx := range streams {
					if ctx.Err() == nil {
						t.Errorf("round %d: stream %d goes on", round, i)
					}
				}
			}
		})
	}
}

// If a change of password succeeds but deleting the records fails, the login still
// ends, even for a request that begins to watch afterwards.
func TestWhileLoggedInAfterFailedCleanup(t *testing.T) {
	for name, cookies := range map[string]bool{"cookie": true, "token": false} {
		clock := testapp.NewClock()
		hooked := testapp.NewSpy(clock)
		app := testapp.New(t, hooked, clock, withBearer)
		u := app.Create(t, "susan", false)
		app.Mux.HandleFunc("GET /late", func(_ http.ResponseWriter, r *http.Request) {
			if _, err := app.User(r.Context()); err != nil {
				t.Error(err)
			}
			hooked.Hook(func(call string) error {
				if call == "DeleteRecords" {
					return errStore
				}
				return nil
			}, nil)
			if err := app.SetPassword(context.WithoutCancel(t.Context()), u, "another good password"); err != nil {
				t.Error(err)
			}
			hooked.Reset()
			ctx, stop := app.WhileLoggedIn(r.Context())
			defer stop()
			if ctx.Err() == nil {
				t.Errorf("%s: the login is void, and its request goes on", name)
			}
		})
		c, header := app.Client(t), http.Header{}
		if cookies {
			c.Login("susan")
		} else {
			header.Set("Authorization", "Bearer "+newToken(t, app, u).Reveal())
		}
		c.Do(http.MethodGet, "/late", nil, header)
	}
}

// After a request nothing of it is left: no goroutine, and no reference in the manager.
func TestWhileLoggedInLeavesNothing(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	var collected atomic.Int32
	app.Mux.HandleFunc("GET /watch", func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if r.FormValue("how") == "stop" {
			ctx = context.WithoutCancel(ctx) // otherwise the end of the request would end it
		}
		ctx, stop := app.WhileLoggedIn(ctx)
		mark := new([1 << 10]byte)
		runtime.AddCleanup(mark, func(struct{}) { collected.Add(1) }, struct{}{})
		_ = context.AfterFunc(ctx, func() { mark[0]++ }) // so the context refers to mark
		if r.FormValue("how") == "stop" {
			stop()
		}
	})
	handler := app.Server.Config.Handler
	c := app.Client(t)
	c.Login("susan")
	const n = 200
	before := runtime.NumGoroutine()
	for i := range n {
		ctx, cancel := context.WithCancel(t.Context())
		target := "/watch?how=stop"
		if i%2 == 0 {
			target = "/watch?how=end"
		}
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		for name, value := range c.Cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
		cancel()
	}
	for range 10000 { // until everything is collected
		if runtime.NumGoroutine() <= before && collected.Load() == n {
			return
		}
		runtime.GC()
		runtime.Gosched()
	}
	t.Errorf("%d goroutines before, %d now; %d of %d contexts were collected", before, runtime.NumGoroutine(), collected.Load(), n)
}

// A stream of events ends when the user logs out elsewhere.
func TestWhileLoggedInSSE(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	app.Mux.Handle("GET /events", app.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := app.WhileLoggedIn(r.Context())
		defer stop()
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprint(w, "data: hello\n\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		_, _ = fmt.Fprintf(w, "event: end\ndata: %v\n\n", errors.Is(context.Cause(ctx), auth.ErrLoggedOut))
	})))
	c := app.Client(t)
	c.Login("susan")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, app.Server.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range c.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	res, err := c.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	if !lines.Scan() || lines.Text() != "data: hello" {
		t.Fatal(lines.Text(), lines.Err())
	}
	c.Clone().Post("/logout")
	var rest []string
	for lines.Scan() {
		rest = append(rest, lines.Text())
	}
	if text := strings.Join(rest, "\n"); lines.Err() != nil || !strings.Contains(text, "event: end\ndata: true") {
		t.Errorf("%q, %v", text, lines.Err())
	}
}

// If a request finds out while writing its session that its login has ended, the
// context of WhileLoggedIn has ended, too.
func TestWhileLoggedInOfEndedLogin(t *testing.T) {
	t.Parallel()
	endedWhileHeld(t, func(ctx context.Context, app *testapp.App, _ *testapp.User) {
		app.SessionData().Put(ctx, "k", "v")
		if _, _, err := app.SessionData().Commit(ctx); err != nil {
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
