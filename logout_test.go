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
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// If a store panics in a logout and a middleware inside LoadAndSave recovers, no lock
// stays held.
func TestPanicInLogoutLeavesNoLock(t *testing.T) {
	app, st := newApp(t, nil)
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
	c.HTTP.Timeout = patience
	c.Login("susan")
	st.Hook(func(call string) error {
		if call == "TakeRecord" {
			panic("driver bug")
		}
		return nil
	}, nil)
	if r := c.Post("/recovered"); r.StatusCode != http.StatusInternalServerError {
		t.Error("no answer")
	}
}

func TestAnonymousLogoutSendsNoEvent(t *testing.T) {
	app, _ := stateApp(t, nil)
	if r := app.Client(t).Post("/logout"); r.StatusCode != http.StatusOK {
		t.Errorf("%s", r.Status)
	}
	expectEvents(t, app)
}

func TestLogoutForgetsADeviceWithADuration(t *testing.T) {
	app, _ := stateApp(t, nil)
	c := app.Client(t)
	c.Post("/as/for", "for", "7h")
	copied := c.Clone()
	c.Post("/logout")
	expectState(t, c, nil, "nobody")
	expectState(t, copied, nil, "nobody")
	copied.Restart()
	expectState(t, copied, nil, "nobody")
}

// If a logout crosses a confirmation, the login ends: neither the old nor the new
// cookie is logged in.
func TestLogoutCrossesConfirmLogin(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	type hold struct{ arrived, release chan struct{} }
	var mu sync.Mutex
	holds := map[string]hold{}
	app.Mux.HandleFunc("POST /confirm", func(w http.ResponseWriter, r *http.Request) {
		u, err := app.User(r.Context())
		if err == nil {
			mu.Lock()
			h, held := holds[u.Username]
			mu.Unlock()
			if held {
				close(h.arrived)
				<-h.release
			}
			err = app.ConfirmLogin(r.Context())
		}
		if err != nil {
			app.Error(w, r, err)
		}
	})
	for i := range 100 {
		name := fmt.Sprintf("user%d", i)
		u := member(t, app, name, "")
		c := app.Client(t)
		c.Login(name)
		confirming, leaving := c.Clone(), c.Clone()
		h := hold{make(chan struct{}), make(chan struct{})}
		if i%2 == 0 {
			mu.Lock()
			holds[name] = h
			mu.Unlock()
		}
		var wg sync.WaitGroup
		var confirmed *testapp.Response
		wg.Go(func() { confirmed = confirming.Post("/confirm") })
		if i%2 == 0 {
			<-h.arrived
		}
		left := leaving.Post("/logout")
		close(h.release)
		wg.Wait()
		if left.StatusCode != http.StatusOK || confirmed.StatusCode >= 500 {
			t.Errorf("round %d: %s and %s", i, left.Status, confirmed.Status)
		}
		c.Issued = append(append(c.Issued, confirming.Issued...), leaving.Issued...)
		for j, who := range c.Replay() {
			if who != "nobody" {
				t.Errorf("round %d: cookie %d is %q", i, j, who)
			}
		}
		if records, err := app.Store.ListRecords(t.Context(), "session", u.ID); err != nil || len(records) > 0 {
			t.Errorf("round %d: %d records are left, %v", i, len(records), err)
		}
	}
}

func TestLogoutEverywhere(t *testing.T) {
	for _, by := range []string{"a browser of the user's", "an API token", "the admin"} {
		t.Run(by, func(t *testing.T) {
			app, spy := newApp(t, withBearer)
			u, m := app.Create(t, "susan", false), app.Create(t, "mike", false)
			mike, mikes := remembered(t, app, "mike"), newToken(t, app, m)
			a, b, c := remembered(t, app, "susan"), app.Client(t), remembered(t, app, "susan")
			b.Login("susan")
			a.Restart()
			a.Who()
			c.Restart()
			token := newToken(t, app, u)
			if who := bearer(app, t, token); who != "susan" {
				t.Fatal(who)
			}
			everywhere := func(ctx context.Context) {
				if err := app.LogoutEverywhere(ctx, u); err != nil {
					t.Error(err)
				}
				if _, err := app.User(ctx); err == nil {
					t.Error("the request that called LogoutEverywhere still has a user")
				}
			}
			app.Events()
			switch by {
			case "the admin":
				everywhere(t.Context())
			case "an API token":
				app.Mux.HandleFunc("GET /everywhere", func(_ http.ResponseWriter, r *http.Request) {
					if u, err := app.User(r.Context()); err != nil || u.Username != "susan" {
						t.Errorf("the token is %v", err)
					}
					everywhere(r.Context())
				})
				app.Client(t).Do(http.MethodGet, "/everywhere", nil, http.Header{"Authorization": {"Bearer " + token.Reveal()}})
			default:
				app.In(a, everywhere)
				if len(a.Cookies) > 0 {
					t.Errorf("its cookies: %v", a.Cookies)
				}
			}
			if e := app.Events(); len(e) != 1 || e[0].Kind != auth.EventLoginsEnded || e[0].UserID != u.ID {
				t.Errorf("events %v", e)
			}
			gone(t, "everywhere", a, b, c)
			if who := bearer(app, t, token); who != "nobody" {
				t.Errorf("the token is %q", who)
			}
			if l := logins(t, app, u.ID); len(l) > 0 {
				t.Errorf("left: %+v", l)
			}
			for _, kind := range []string{"session", "remember", "api-token"} {
				if r, err := spy.ListRecords(t.Context(), kind, u.ID); err != nil || len(r) > 0 {
					t.Errorf("%d records of kind %s are left, %v", len(r), kind, err)
				}
			}
			if who, program := mike.Who(), bearer(app, t, mikes); who != "mike" || program != "mike" {
				t.Errorf("mike is %q and %q", who, program)
			}
			b.Login("susan") // logs in again
			if who := b.Who(); who != "susan" {
				t.Error(who)
			}
		})
	}
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	deleteUser(t, app, u.ID)
	if err := app.LogoutEverywhere(t.Context(), u); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("deleted: %v", err)
	}
	if err := app.LogoutEverywhere(t.Context(), nil); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("nil: %v", err)
	}
}

// The same for NewWithLoader, except for the Stamp.
func TestLogoutEverywhereWithLoader(t *testing.T) {
	users := map[string]*testapp.User{"7": {Account: auth.Account{ID: "7", Username: "susan"}}}
	records := memstore.NewRecords()
	manager, err := auth.NewWithLoader(auth.LoaderFunc[*testapp.User](func(_ context.Context, id string) (*testapp.User, error) {
		return users[id], nil
	}), auth.Config{
		BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Records: records, Credentials: []auth.Credential{auth.Bearer()},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /enter", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.LoginUser(r.Context(), users["7"], auth.Remember(true)); err != nil {
			manager.Error(w, r, err)
		}
	})
	mux.HandleFunc("POST /everywhere", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.LogoutEverywhere(r.Context(), users["7"]); err != nil {
			manager.Error(w, r, err)
		}
	})
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		if u, ok := manager.CurrentUser(r.Context()); ok {
			_, _ = io.WriteString(w, u.Username)
		}
	})
	handler := manager.LoadAndSave(mux)
	a, b := serve(t, handler), serve(t, handler)
	a("POST", "/enter")
	b("POST", "/enter")
	token, _, err := manager.NewAPIToken(t.Context(), users["7"], auth.APIToken{Name: "ci", Scopes: []string{auth.ScopeAll}, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := a("POST", "/everywhere"); status != http.StatusOK {
		t.Error(status)
	}
	for i, browser := range []func(method, target string) (int, string){a, b} {
		if _, who := browser("GET", "/who"); who != "" {
			t.Errorf("browser %d is %q", i, who)
		}
	}
	for _, kind := range []string{"session", "remember"} {
		if r, err := records.ListRecords(t.Context(), kind, "7"); err != nil || len(r) > 0 {
			t.Errorf("%d records of kind %s are left, %v", len(r), kind, err)
		}
	}
	rec := direct(t, handler, http.MethodGet, "/who", http.Header{"Authorization": {"Bearer " + token.Reveal()}})
	if who := rec.Body.String(); who != "" {
		t.Errorf("the API token is %q", who)
	}
}

// In one tab the user logs in again and is remembered. A logout in another tab with an
// older page ends all of it, whichever tokens that tab sends.
func TestLogoutFromAnOlderTab(t *testing.T) {
	for _, first := range []string{"", "1"} {
		for _, sends := range []string{"both", "session", "remember"} {
			for _, renewal := range []string{"/enter", "/renew"} {
				app, _ := newApp(t, nil)
				u := app.Create(t, "susan", false)
				c := app.Client(t)
				c.Post("/enter", "login", "susan", "remember", first)
				tab := c.Clone()
				c.Post(renewal, "login", "susan", "remember", "1")
				for name := range tab.Cookies {
					if isRemember := strings.HasSuffix(name, "-remember"); sends == "session" && isRemember || sends == "remember" && !isRemember {
						delete(tab.Cookies, name)
					}
				}
				if len(tab.Cookies) == 0 {
					continue // the login was not remembered
				}
				if r := tab.Post("/logout"); r.StatusCode != http.StatusOK {
					t.Fatal(r.Status)
				}
				what := fmt.Sprintf("remembered before %q, %s, logout with %s", first, renewal, sends)
				gone(t, what, c)
				for _, kind := range []string{"session", "remember"} {
					if r, err := app.Store.ListRecords(t.Context(), kind, u.ID); err != nil || len(r) > 0 {
						t.Errorf("%s: %d records of kind %s, %v", what, len(r), kind, err)
					}
				}
			}
		}
	}
}

// After the login has ended, every cookie that its browser ever had is dead: alone,
// together with any other, and together with all of its time.
func TestCookiesAreDeadAfterLogout(t *testing.T) {
	type world struct {
		*testapp.App
		t *testing.T
		u *testapp.User
		c *testapp.Client
	}
	fail := func(w *world, err error) {
		w.t.Helper()
		if err != nil {
			w.t.Error(err)
		}
	}
	for name, end := range map[string]func(w *world){
		"logout":  func(w *world) { w.c.Post("/logout") },
		"destroy": func(w *world) { w.c.Post("/destroy") },
		"logout of a copy": func(w *world) {
			copied := w.c.Clone()
			copied.Post("/logout")
		},
		"password": func(w *world) {
			fail(w, w.SetPassword(w.t.Context(), stored(w.t, w.App, w.u.ID), "another good password"))
		},
		"reset": func(w *world) {
			_, err := w.ResetPassword(w.t.Context(), resetToken(w.t, w.App, w.u), resetTo)
			fail(w, err)
		},
		"disabled": func(w *world) { change(w.t, w.App, w.u.ID, func(a *auth.Account) { a.Disabled = true }) },
		"stamp": func(w *world) {
			change(w.t, w.App, w.u.ID, func(a *auth.Account) { a.Stamp = auth.NewSecret("new") })
		},
		"deleted":                func(w *world) { deleteUser(w.t, w.App, w.u.ID) },
		"LogoutEverywhere":       func(w *world) { fail(w, w.LogoutEverywhere(w.t.Context(), w.u)) },
		"EndLogin":               func(w *world) { fail(w, w.EndLogin(w.t.Context(), w.u.ID, w.LoginOf(w.t, w.c).ID)) },
		"everything has expired": func(w *world) { w.Clock.Advance(30 * 24 * time.Hour) },
		"EndOtherLogins": func(w *world) {
			other := w.Client(w.t)
			other.Login("susan")
			w.In(other, func(ctx context.Context) { fail(w, w.EndOtherLogins(ctx)) })
			if who := other.Who(); who != "susan" {
				w.t.Errorf("the user of the other browser is %q", who)
			}
		},
		"eviction": func(w *world) {
			for range 3 {
				w.Clock.Advance(time.Second)
				w.Client(w.t).Login("susan")
			}
		},
		"strong protection": func(w *world) {
			w.c.Clone().Do(http.MethodGet, "/", nil, http.Header{"User-Agent": {"another/1"}})
		},
		"another user": func(w *world) {
			before := w.c.Clone()
			before.Issued = slices.Clone(w.c.Issued)
			w.c.Login("mike")
			w.c = before
		},
	} {
		for _, remember := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, remembered %v", name, remember), func(t *testing.T) {
				t.Parallel()
				plain, _ := newApp(t, func(c *auth.Config) { c.Session.Max, c.Session.Protection = 3, auth.ProtectStrong })
				w := &world{App: plain, t: t, u: plain.Create(t, "susan", false)}
				plain.Create(t, "mike", false)
				w.c = plain.Client(t)
				enterBy(t, w.c, "susan", "Go-http-client/1.1", remember)
				w.c.Post("/put", "key", "k", "value", "v")
				w.c.Post("/renew")
				w.In(w.c, func(ctx context.Context) { fail(w, w.ConfirmLogin(ctx)) })
				enterBy(t, w.c, "susan", "Go-http-client/1.1", remember)
				if remember {
					for range 2 {
						plain.Clock.Advance(2 * time.Minute)
						w.c.Restart()
						w.c.Who()
					}
					w.c.Post("/renew")
				}
				if who := w.c.Who(); who != "susan" {
					t.Fatal(who)
				}
				end(w)
				gone(t, name, w.c)
			})
		}
	}
}

// Without a remembered device, an idle or too old session is dead. With one, the device
// makes a new login, and the old session stays dead.
func TestExpiredCookiesAreDead(t *testing.T) {
	for name, wait := range map[string]time.Duration{"idle": time.Hour, "too old": 24 * time.Hour} {
		for _, remember := range []bool{false, true} {
			app, _ := newApp(t, func(c *auth.Config) {
				if name == "too old" {
					c.Session.IdleTimeout = -1
				}
			})
			app.Create(t, "susan", false)
			c := app.Client(t)
			enterBy(t, c, "susan", "x/1", remember)
			c.Post("/renew")
			app.Clock.Advance(wait)
			sessions := c.Clone()
			sessions.Restart()
			sessions.Issued = nil
			for _, cookie := range c.Issued {
				for n := range sessions.Cookies { // the remember cookie
					if cookie.Name != n {
						sessions.Issued = append(sessions.Issued, cookie)
					}
				}
				if len(sessions.Cookies) == 0 {
					sessions.Issued = append(sessions.Issued, cookie)
				}
			}
			sessions.Cookies = nil
			if len(sessions.Issued) != 2 {
				t.Fatal(len(sessions.Issued))
			}
			gone(t, name, sessions)
			if who := c.Clone().Who(); (who == "susan") != remember {
				t.Errorf("%s, remembered %v: %q", name, remember, who)
			}
			gone(t, name, sessions) // still dead
		}
	}
}

// A remember cookie that has expired on the server is dead, even if the browser keeps
// it, and however often it was used.
func TestExpiredRememberCookieIsDead(t *testing.T) {
	app, _ := newApp(t, func(c *auth.Config) { c.Session.RememberFor = 48 * time.Hour })
	app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	for range 5 {
		app.Clock.Advance(9 * time.Hour)
		c.Restart()
		if who := c.Who(); who != "susan" {
			t.Fatal(who)
		}
	}
	app.Clock.Advance(3 * time.Hour) // the device's time; the last login is 3 hours old and idle
	gone(t, "expired", c)
}

// If a replayed cookie is detected as a theft, all logins end, whichever cookie is
// replayed first.
func TestReplayedCookieIsATheft(t *testing.T) {
	for first := range 3 {
		app, _ := newApp(t, nil)
		app.Create(t, "susan", false)
		c := remembered(t, app, "susan")
		for range 3 {
			app.Clock.Advance(2 * time.Minute)
			c.Restart()
			c.Who()
			c.Who() // by then the browser has the cookie
		}
		var cookies []*http.Cookie
		name, _ := rememberCookie(t, c)
		for _, cookie := range c.Issued {
			if cookie.Name == name {
				cookies = append(cookies, cookie)
			}
		}
		app.Clock.Advance(2 * time.Minute)
		thief := app.Client(t)
		thief.Cookies[name] = cookies[first].Value
		if who := thief.Who(); who != "nobody" {
			t.Errorf("cookie %d is %q", first, who)
		}
		gone(t, fmt.Sprintf("after cookie %d", first), c, thief)
	}
}
