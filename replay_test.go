package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// Every cookie that a browser was ever given is nobody's after whatever ends its
// login: alone, with any other, and all that it had at one time together.
func TestReplay(t *testing.T) {
	type world struct {
		*insider
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
			fail(w, w.SetPassword(w.t.Context(), reload(w.t, w.App, w.u.ID), "another good password"))
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
		"EndLogin":               func(w *world) { fail(w, w.EndLogin(w.t.Context(), w.u.ID, w.current(w.t, w.c).ID)) },
		"everything has expired": func(w *world) { w.Clock.Advance(30 * 24 * time.Hour) },
		"EndOtherLogins": func(w *world) {
			other := w.Client(w.t)
			other.Login("susan")
			w.in(other, func(ctx context.Context) { fail(w, w.EndOtherLogins(ctx)) })
			if who := other.Who(); who != "susan" {
				w.t.Errorf("the other one is %q", who)
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
				plain, _ := hookedApp(t, func(c *auth.Config) { c.MaxSessions, c.Protection = 3, auth.ProtectStrong })
				w := &world{insider: newInsider(plain), t: t, u: plain.Create(t, "susan", false)}
				plain.Create(t, "mike", false)
				w.c = plain.Client(t)
				enterBy(t, w.c, "susan", "Go-http-client/1.1", remember)
				w.c.Post("/put", "key", "k", "value", "v")
				w.c.Post("/renew")
				w.in(w.c, func(ctx context.Context) { fail(w, w.ConfirmLogin(ctx)) })
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

// Without remember me, what is idle or too old is nobody's; with it, the device
// makes a new login and the old session stays dead.
func TestReplayExpired(t *testing.T) {
	for name, wait := range map[string]time.Duration{"idle": time.Hour, "too old": 24 * time.Hour} {
		for _, remember := range []bool{false, true} {
			app, _ := newApp(t, func(c *auth.Config) {
				if name == "too old" {
					c.IdleTimeout = -1
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
			gone(t, name, sessions) // still
		}
	}
}

// A remember cookie that has expired for the server is nobody's, also if the
// browser keeps it, and however often it was used.
func TestReplayRememberExpired(t *testing.T) {
	app, _ := newApp(t, func(c *auth.Config) { c.RememberFor = 48 * time.Hour })
	app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	for range 5 {
		app.Clock.Advance(9 * time.Hour)
		c.Restart()
		if who := c.Who(); who != "susan" {
			t.Fatal(who)
		}
	}
	app.Clock.Advance(3 * time.Hour) // of the device; the last login is 3 hours old and idle
	gone(t, "expired", c)
}

// A replay that is a theft ends everything, whichever cookie comes first.
func TestReplayTheft(t *testing.T) {
	for first := range 3 {
		app, _ := newApp(t, nil)
		app.Create(t, "susan", false)
		c := remembered(t, app, "susan")
		for range 3 {
			app.Clock.Advance(2 * time.Minute)
			c.Restart()
			c.Who()
			c.Who() // by now it has the cookie
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
