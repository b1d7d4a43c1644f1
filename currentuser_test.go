package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

func TestAnonymousUserIsZero(t *testing.T) {
	app, _ := stateApp(t, nil)
	app.Mux.HandleFunc("GET /nobody", func(_ http.ResponseWriter, r *http.Request) {
		if u, ok := app.CurrentUser(r.Context()); ok || u != nil {
			t.Errorf("%v, %v", u, ok)
		}
		if u, err := app.User(r.Context()); !errors.Is(err, auth.ErrNotLoggedIn) || u != nil {
			t.Errorf("%v, %v", u, err)
		}
	})
	app.Client(t).Get("/nobody")
}

func TestUserIsLoadedOnlyOnRequest(t *testing.T) {
	app, spy := stateApp(t, nil)
	c := app.Client(t)
	c.Post("/as/remembered")
	spy.Reset()
	c.Get("/")
	if slices.Contains(spy.Calls(), "LoadUser") {
		t.Errorf("a page that does not ask for the user loads it: %v", spy.Calls())
	}
	spy.Reset()
	c.Get("/state") // asks for the user three times
	if n := strings.Count(strings.Join(spy.Calls(), " "), "LoadUser"); n != 1 {
		t.Errorf("%d loads: %v", n, spy.Calls())
	}
}

func TestUnicodeIDAndUsername(t *testing.T) {
	app, _ := stateApp(t, nil)
	const id = "佐藤|1"
	account := auth.Account{ID: id, Username: "Müller", Stamp: auth.NewSecret("stamp"), Version: 1}
	if _, err := app.Store.CreateUser(t.Context(), account, nil); err != nil {
		t.Fatal(err)
	}
	key, err := auth.UsernameKey("Müller")
	if err != nil {
		t.Fatal(err)
	}
	app.Mux.HandleFunc("GET /id", func(w http.ResponseWriter, r *http.Request) {
		if u, ok := app.CurrentUser(r.Context()); ok {
			_, _ = fmt.Fprint(w, u.ID, " ", u.Username)
		}
	})
	c := app.Client(t)
	c.Post("/enter", "login", key, "remember", "1")
	c.Restart()
	if r := c.Get("/id"); r.Text != id+" Müller" {
		t.Errorf("%q", r.Text)
	}
}

// known are three ways to send a request as susan.
func known(t *testing.T, app *testapp.App, u *testapp.User) map[string]func() (*testapp.Client, http.Header) {
	t.Helper()
	token := newToken(t, app, u)
	return map[string]func() (*testapp.Client, http.Header){
		"session": func() (*testapp.Client, http.Header) {
			c := app.Client(t)
			c.Login("susan")
			return c, nil
		},
		"remembered": func() (*testapp.Client, http.Header) {
			c := remembered(t, app, "susan")
			c.Restart()
			app.Clock.Advance(time.Minute)
			return c, nil
		},
		"bearer": func() (*testapp.Client, http.Header) {
			return app.Client(t), http.Header{"Authorization": {"Bearer " + token.Reveal()}}
		},
	}
}

// A request loads the user once, however often and by whichever functions its handler
// asks.
func TestLoadUserOnce(t *testing.T) {
	app, spy := newApp(t, withBearer)
	u := app.Create(t, "susan", false)
	way := ""
	app.Mux.HandleFunc("GET /ask", func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				<-start
				switch i % 4 {
				case 0:
					if u, err := app.User(ctx); err != nil || u.Username != "susan" {
						t.Errorf("%s: User: %v", way, err)
					}
				case 1:
					if u, ok := app.CurrentUser(ctx); !ok || u.Username != "susan" {
						t.Errorf("%s: CurrentUser: %v", way, ok)
					}
				case 2:
					if err := app.Check(ctx, auth.Fresh(0)); (err == nil) != (way == "session") || err != nil && !errors.Is(err, auth.ErrNotFresh) {
						t.Errorf("%s: Fresh: %v", way, err)
					}
				default:
					if l, err := app.CurrentLogin(ctx); err != nil || !l.Current || (l.ID == "") != (way == "bearer") {
						t.Errorf("%s: CurrentLogin: %+v, %v", way, l, err)
					}
				}
			})
		}
		close(start)
		wg.Wait()
	})
	guarded := app.RequireLogin(app.RequireScope("x")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = app.User(r.Context())
	})))
	app.Mux.Handle("GET /guards", guarded)
	for name, make := range known(t, app, u) {
		way = name
		for _, path := range []string{"/ask", "/guards"} {
			c, header := make()
			spy.Reset()
			if r := c.Do(http.MethodGet, path, nil, header); r.StatusCode != http.StatusOK {
				t.Errorf("%s %s: %s", name, path, r.Status)
			}
			loads := 0
			for _, call := range spy.Calls() {
				if call == "LoadUser" || call == "FindUser" {
					loads++
				}
			}
			if loads != 1 {
				t.Errorf("%s %s: %d loads: %v", name, path, loads, spy.Calls())
			}
		}
	}
}

// If a tab loses the race for a remember cookie, it still loads the user once.
func TestLoadUserOnceForTabs(t *testing.T) {
	app, spy := newApp(t, nil)
	app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	c.Restart()
	other := c.Clone()
	var crossed atomic.Bool
	spy.HookCalls(func(_ context.Context, call testapp.Call) error {
		if call.Method == "InsertRecord" && call.Kind == "session" && !crossed.Swap(true) {
			if who := other.Who(); who != "susan" {
				t.Errorf("the other tab is %q", who)
			}
			spy.Reset()
		}
		return nil
	}, nil)
	if who := c.Who(); who != "susan" {
		t.Error(who)
	}
	// The user was loaded before.
	if n := strings.Count(strings.Join(spy.Calls(), " "), "LoadUser"); n != 0 {
		t.Errorf("%d more loads: %v", n, spy.Calls())
	}
}

// If the store fails, the answer is 503 and not the anonymous page. If the handler asks
// again and the store works, it gets the user. The answer stays 503.
func TestLoadUserFails(t *testing.T) {
	app, store := newApp(t, withBearer)
	u := app.Create(t, "susan", false)
	app.Mux.HandleFunc("GET /again", func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		for what, ask := range map[string]func() error{
			"User":           func() error { _, err := app.User(ctx); return err },
			"Fresh":          func() error { return app.Check(ctx, auth.Fresh(0)) },
			"CurrentLogin":   func() error { _, err := app.CurrentLogin(ctx); return err },
			"Logins":         func() error { _, err := app.Logins(ctx, u.ID); return err },
			"EndLogin":       func() error { return app.EndLogin(ctx, u.ID, "x") },
			"EndOtherLogins": func() error { return app.EndOtherLogins(ctx) },
			"ConfirmLogin":   func() error { return app.ConfirmLogin(ctx) },
			"WhileLoggedIn": func() error {
				watched, stop := app.WhileLoggedIn(ctx)
				defer stop()
				return context.Cause(watched)
			},
		} {
			if err := ask(); !errors.Is(err, errStore) || errors.Is(err, auth.ErrNotLoggedIn) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, ok := app.CurrentUser(ctx); ok {
			t.Error("CurrentUser returns a user")
		}
		store.Reset()
		if user, err := app.User(ctx); err != nil || user.ID != u.ID {
			t.Errorf("when the store is well: %v", err)
		}
	})
	fail := func(call string) error {
		if call == "LoadUser" {
			return errStore
		}
		return nil
	}
	for name, make := range known(t, app, u) {
		c, header := make()
		store.Hook(fail, nil)
		for path, want := range map[string]int{"/who": 503, "/guarded": 503, "/": 200} {
			r := c.Do(http.MethodGet, path, nil, header)
			if r.StatusCode != want || want == 503 && len(r.Header["Set-Cookie"]) > 0 || strings.Contains(r.Text, "susan") {
				t.Errorf("%s: %s: %s %q", name, path, r.Status, r.Text)
			}
		}
		if r := c.Do(http.MethodGet, "/again", nil, header); r.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %s", name, r.Status)
		}
		store.Reset()
		if r := c.Do(http.MethodGet, "/who", nil, header); r.Text != "susan" {
			t.Errorf("%s: then %s %q", name, r.Status, r.Text)
		}
	}
}

// If a user was deleted, their requests are anonymous, and their records are deleted
// when they are found.
func TestLoadUserDeleted(t *testing.T) {
	app, store := newApp(t, withBearer)
	for i, way := range []string{"session", "remembered", "bearer"} {
		u := app.Create(t, "susan", false)
		c, header := known(t, app, u)[way]()
		if i == 0 {
			c.Post("/put", "key", "k", "value", "of susan's")
		}
		deleteUser(t, app, u.ID)
		start := make(chan struct{})
		app.Mux.HandleFunc(fmt.Sprintf("GET /all%d", i), func(_ http.ResponseWriter, r *http.Request) {
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					<-start
					if _, err := app.User(r.Context()); !errors.Is(err, auth.ErrNotLoggedIn) {
						t.Errorf("%s: %v", way, err)
					}
				})
			}
			close(start)
			wg.Wait()
			if v := app.SessionData().GetString(r.Context(), "k"); v != "" {
				t.Errorf("%s: the data is still there: %q", way, v)
			}
		})
		if r := c.Do(http.MethodGet, fmt.Sprintf("/all%d", i), nil, header); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", way, r.Status)
		}
		kind := map[string]string{"session": "session", "remembered": "remember"}[way]
		if kind != "" {
			if records, err := store.ListRecords(t.Context(), kind, u.ID); err != nil || len(records) > 0 {
				t.Errorf("%s: %d records are left, %v", way, len(records), err)
			}
		}
		if r := c.Do(http.MethodGet, "/who", nil, header); r.Text != "nobody" {
			t.Errorf("%s: %s %q", way, r.Status, r.Text)
		}
		if way == "session" && !slices.Contains(kinds(app.Events()), auth.EventLoginRevoked) {
			t.Error("no event")
		}
	}
}

// A request calls LoadUser at most once, however many goroutines ask.
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
	spy.Reset()
	if r := c.Get("/many"); r.Text != "0" {
		t.Errorf("%s did not get the user", r.Text)
	}
	if calls := spy.Calls(); !slices.Equal(calls, []string{"GetRecord", "LoadUser"}) {
		t.Errorf("calls %v", calls)
	}
}

// Each request loads the user again. A login is effective in the request that makes it.
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
