package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

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

// A session's record is kept a little longer than the session is good. So most updates
// of "last seen" need not move the record's expiry.
func TestTouchesSeldomMoveTheExpiry(t *testing.T) {
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	app := testapp.New(t, store, clock, func(c *auth.Config) { c.Session.IdleTimeout, c.Session.Lifetime = time.Hour, 3*time.Hour })
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

// A request that outlasts its login can no longer act for the user.
func TestRequestOutlastsIdleLogin(t *testing.T) {
	app, _ := newApp(t, func(c *auth.Config) { c.Session.IdleTimeout = time.Hour })
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

func TestSessionLimits(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		app, _ := newApp(t, func(c *auth.Config) { c.Session.IdleTimeout = time.Hour })
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
		app, _ := newApp(t, func(c *auth.Config) { c.Session.IdleTimeout = -1 })
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
		second := testapp.New(t, store, clock, func(c *auth.Config) { c.BaseURL, c.Session.Lifetime = "http://localhost:1", 10*time.Minute })
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

// "Last seen" is written at most once a minute, and sets no cookie.
func TestLastSeenIsWrittenOnceAMinute(t *testing.T) {
	app, spy := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	writes := 0
	for range 120 {
		app.Clock.Advance(10 * time.Second)
		spy.Reset()
		if r := c.Get("/who"); len(r.Header["Set-Cookie"]) > 0 {
			t.Fatal("a touch set a cookie")
		}
		writes += spy.Writes()
	}
	if writes != 20 {
		t.Errorf("%d writes in 20 minutes, want 20", writes)
	}
}

// If the user is deleted, disabled or has another Stamp, the session is void and its
// record is deleted. The same holds if the store returns another user.
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
			if events := app.Events(); len(events) == 0 || events[0].Kind != auth.EventLoginRevoked || events[0].UserID != u.ID {
				t.Errorf("events: %v", events)
			}
			if r := c.Get("/get?key=secret"); r.Text != "" {
				t.Errorf("the session's data is still there: %q", r.Text)
			}
		})
	}
}

// rotationWindow is longer than the time an old token is good for.
const rotationWindow = time.Minute

// rotatingApp has the pages for tests with several tabs of a browser.
func rotatingApp(t *testing.T, configure func(*auth.Config)) (*testapp.App, *testapp.Spy) {
	t.Helper()
	app, store := newApp(t, configure)
	app.Mux.HandleFunc("POST /confirm", func(w http.ResponseWriter, r *http.Request) {
		if err := app.ConfirmLogin(r.Context()); err != nil {
			app.Error(w, r, err)
		}
	})
	app.Mux.HandleFunc("GET /fresh", func(w http.ResponseWriter, r *http.Request) {
		if err := app.Check(r.Context(), auth.Fresh(time.Minute)); err != nil {
			_, _ = io.WriteString(w, err.Error())
			return
		}
		_, _ = io.WriteString(w, "fresh")
	})
	return app, store
}

// setsSession reports whether an answer sets or deletes a cookie that logs in.
func setsSession(t *testing.T, r *testapp.Response) bool {
	t.Helper()
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, "session") {
			return true
		}
	}
	return false
}

// A request that was sent before the browser had the new token belongs to the same
// login, and changes nothing.
func TestOldTokenIsTheSameLogin(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"renew", "confirm"} {
		for _, remember := range []string{"", "1"} {
			t.Run(how+remember, func(t *testing.T) {
				app, _ := rotatingApp(t, nil)
				u := app.Create(t, "susan", false)
				c := app.Client(t)
				c.Post("/enter", "login", "susan", "remember", remember)
				c.Post("/put", "key", "cart", "value", "42 books")
				var stream context.Context
				app.In(c, func(ctx context.Context) { stream, _ = app.WhileLoggedIn(context.WithoutCancel(ctx)) })
				app.Clock.Advance(2 * time.Second)
				poll := c.Clone()
				if r := c.Post("/" + how); r.StatusCode != http.StatusOK {
					t.Fatal(r.Status)
				}
				app.Events()
				app.Clock.Advance(20 * time.Second)
				for _, r := range []*testapp.Response{
					poll.Get("/guarded"), poll.Do("GET", "/guarded", nil, http.Header{"Hx-Request": {"true"}}), poll.Get("/who"),
				} {
					if r.StatusCode != http.StatusOK || r.Text != "susan" || len(r.Header["Set-Cookie"]) > 0 {
						t.Errorf("a request with the old token: %s %q %v", r.Status, r.Text, r.Header["Set-Cookie"])
					}
				}
				if r := poll.Get("/get?key=cart"); r.Text != "42 books" {
					t.Errorf("the old token's data: %q", r.Text)
				}
				for _, e := range app.Events() {
					t.Errorf("event %v", e)
				}
				if c.Who() != "susan" || c.Get("/get?key=cart").Text != "42 books" || how == "confirm" && c.Get("/fresh").Text != "fresh" {
					t.Errorf("the browser is %q with %q, %s", c.Who(), c.Get("/get?key=cart").Text, c.Get("/fresh").Text)
				}
				if stream.Err() != nil {
					t.Errorf("its stream has ended: %v", context.Cause(stream))
				}
				if l := logins(t, app, u.ID); len(l) != 1 {
					t.Errorf("logins %+v", l)
				}
			})
		}
	}
}

func TestOldTokenEndsAfterAWhile(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"renew", "confirm"} {
		app, _ := rotatingApp(t, nil)
		app.Create(t, "susan", false)
		c := app.Client(t)
		c.Login("susan")
		poll := c.Clone()
		c.Post("/" + how)
		app.Clock.Advance(rotationWindow)
		if r := poll.Get("/guarded"); r.StatusCode != http.StatusSeeOther || poll.Who() != "nobody" {
			t.Errorf("%s: a minute later the old token is %q, %s", how, poll.Who(), r.Status)
		}
		if c.Who() != "susan" {
			t.Errorf("%s: the browser is %q", how, c.Who())
		}
	}
}

// A confirmation makes the new token fresh, and not the old one.
func TestOldTokenDoesNotBecomeFresh(t *testing.T) {
	t.Parallel()
	app, _ := rotatingApp(t, nil)
	u := app.Create(t, "susan", false)
	c := app.Client(t)
	app.In(c, func(ctx context.Context) {
		if err := app.LoginUser(ctx, u, auth.Stale()); err != nil {
			t.Error(err)
		}
	})
	poll, before := c.Clone(), app.LoginOf(t, c)
	c.Post("/confirm")
	if got := poll.Get("/fresh").Text; got == "fresh" || c.Get("/fresh").Text != "fresh" {
		t.Errorf("old token: %s, new one: %s", got, c.Get("/fresh").Text)
	}
	if l := app.LoginOf(t, poll); !l.Authenticated.IsZero() || len(l.Methods) != len(before.Methods) || l.ID != before.ID {
		t.Errorf("before %+v, with the old token %+v", before, l)
	}
	// Nor does a change of credential with the old token make it fresher.
	app.In(poll, func(ctx context.Context) {
		if err := app.SetPassword(ctx, stored(t, app, u.ID), "another good password"); err != nil {
			t.Error(err)
		}
	})
	if poll.Who() != "susan" || poll.Get("/fresh").Text == "fresh" {
		t.Errorf("after SetPassword with the old token: %q, %s", poll.Who(), poll.Get("/fresh").Text)
	}
}

// A tab with the old token acts on the login, and does not invalidate the token of
// another tab.
func TestTwoTabsRotate(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"renew", "confirm"} {
		for _, second := range []string{"renew", "confirm"} {
			app, _ := rotatingApp(t, nil)
			u := app.Create(t, "susan", false)
			c := app.Client(t)
			app.In(c, func(ctx context.Context) { _ = app.LoginUser(ctx, u, auth.Stale()) })
			tab := c.Clone()
			c.Post("/" + first)
			if r := tab.Post("/" + second); r.StatusCode != http.StatusOK || setsSession(t, r) {
				t.Errorf("%s, then %s with the old token: %s %v", first, second, r.Status, r.Header["Set-Cookie"])
			}
			confirmed := first == "confirm" || second == "confirm"
			if got := c.Get("/fresh").Text; (got == "fresh") != confirmed {
				t.Errorf("%s, then %s: the new token is %s", first, second, got)
			}
			if second == "confirm" && tab.Get("/fresh").Text == "fresh" && first == "renew" {
				t.Error("the old token has become fresh")
			}
			tab.Post("/put", "key", "k", "value", "from the tab")
			app.Clock.Advance(rotationWindow)
			if c.Who() != "susan" || c.Get("/get?key=k").Text != "from the tab" || tab.Who() != "nobody" {
				t.Errorf("%s, then %s: a minute later the new token is %q with %q, the old one %q", first, second, c.Who(), c.Get("/get?key=k").Text, tab.Who())
			}
		}
	}
}

// ConfirmLogin with the old token is effective for that request and for the new token.
func TestConfirmWithOldTokenIsFreshAtOnce(t *testing.T) {
	t.Parallel()
	app, _ := rotatingApp(t, nil)
	u := app.Create(t, "susan", false)
	c := app.Client(t)
	app.In(c, func(ctx context.Context) { _ = app.LoginUser(ctx, u, auth.Stale()) })
	tab := c.Clone()
	c.Post("/renew")
	app.In(tab, func(ctx context.Context) {
		if err := errors.Join(app.ConfirmLogin(ctx), app.Check(ctx, auth.Fresh(time.Minute))); err != nil {
			t.Error(err)
		}
	})
}

// A write that crosses a rotation is kept, in any order, for logins and visitors.
func TestWritesCrossRotation(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"susan", "nobody"} {
		for _, how := range []string{"renew", "confirm", "password"} {
			for _, order := range []string{"read, rotated, written", "read by the rotation, written, rotated", "rotated, read, written"} {
				if who == "nobody" && how != "renew" || how == "password" && order[0:9] != "read by t" {
					continue
				}
				t.Run(who+" "+how+" "+order, func(t *testing.T) {
					app, _ := rotatingApp(t, nil)
					u := app.Create(t, "susan", false)
					c := app.Client(t)
					if who == "susan" {
						c.Login("susan")
					}
					c.Post("/put", "key", "cart", "value", "42 books")
					tab := c.Clone()
					rotate := func(ctx context.Context) (err error) {
						switch how {
						case "renew":
							err = app.SessionData().RenewToken(ctx)
						case "confirm":
							err = app.ConfirmLogin(ctx)
						case "password":
							err = app.SetPassword(ctx, u, "another good password")
						}
						if err != nil {
							t.Error(err)
						}
						return err
					}
					write := func(ctx context.Context) { app.SessionData().Put(ctx, "more", "a pen") }
					switch order {
					case "read, rotated, written":
						app.In(tab, func(ctx context.Context) {
							_, _ = app.User(ctx)
							app.In(c, func(ctx context.Context) { _ = rotate(ctx) })
							app.Clock.Advance(40 * time.Second) // as if the request had begun earlier
							write(ctx)
						})
					case "read by the rotation, written, rotated":
						app.In(c, func(ctx context.Context) {
							_, _ = app.User(ctx)
							app.In(tab, write)
							_ = rotate(ctx)
						})
					default:
						app.In(c, func(ctx context.Context) { _ = rotate(ctx) })
						if r := app.In(tab, write); setsSession(t, r) {
							t.Errorf("a write with the old token sets %v", r.Header["Set-Cookie"])
						}
					}
					if c.Who() != who || c.Get("/get?key=cart").Text != "42 books" || c.Get("/get?key=more").Text != "a pen" {
						t.Errorf("afterwards %q has %q and %q", c.Who(), c.Get("/get?key=cart").Text, c.Get("/get?key=more").Text)
					}
				})
			}
		}
	}
}

// The old token ends with the login, and a logout with it ends the login.
func TestOldTokenDiesWithItsLogin(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"renew", "confirm"} {
		for _, end := range []string{
			"logout", "logout with the old token", "EndLogin", "EndOtherLogins", "LogoutEverywhere", "password elsewhere", "eviction", "destroy", "destroy with the old token",
		} {
			t.Run(how+", "+end, func(t *testing.T) {
				app, _ := rotatingApp(t, func(cfg *auth.Config) { cfg.Session.Max = 2 })
				u := app.Create(t, "susan", false)
				other, c := app.Client(t), app.Client(t)
				c.Login("susan")
				app.Clock.Advance(time.Second)
				other.Login("susan")
				tab := c.Clone()
				c.Post("/" + how)
				if tab.Who() != "susan" {
					t.Fatal("the old token is not the login")
				}
				var err error
				switch end {
				case "logout":
					c.Clone().Post("/logout")
				case "logout with the old token":
					tab.Clone().Post("/logout")
				case "destroy":
					c.Clone().Post("/destroy")
				case "destroy with the old token":
					tab.Clone().Post("/destroy")
				case "EndLogin":
					err = app.EndLogin(t.Context(), u.ID, app.LoginOf(t, c).ID)
				case "EndOtherLogins":
					app.In(other, func(ctx context.Context) { err = app.EndOtherLogins(ctx) })
				case "LogoutEverywhere":
					err = app.LogoutEverywhere(t.Context(), u)
				case "password elsewhere":
					app.In(other, func(ctx context.Context) { err = app.SetPassword(ctx, u, "another good password") })
				case "eviction":
					app.Clock.Advance(time.Second)
					app.Client(t).Login("susan")
				}
				if err != nil {
					t.Fatal(err)
				}
				if tab.Who() != "nobody" || c.Who() != "nobody" {
					t.Errorf("the old token is %q, the new one %q", tab.Who(), c.Who())
				}
				if r := tab.Get("/guarded"); r.StatusCode != http.StatusSeeOther {
					t.Errorf("a page with the old token: %s", r.Status)
				}
			})
		}
	}
}

// LoginUser voids the old token at once, also one that was rotated just before.
func TestLoginVoidsOldTokens(t *testing.T) {
	t.Parallel()
	app, _ := rotatingApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	first := c.Clone()
	c.Post("/renew")
	second := c.Clone()
	c.Login("susan")
	if first.Who() != "nobody" || second.Who() != "nobody" || c.Who() != "susan" {
		t.Errorf("the tokens are %q, %q, %q", first.Who(), second.Who(), c.Who())
	}
	if first.Post("/logout"); c.Who() != "nobody" { // sent before both answers had arrived
		t.Errorf("after a logout with the first token the browser is %q", c.Who())
	}
}

// A chain of rotations is followed. Each token stays as fresh as it was.
func TestRotationsInARow(t *testing.T) {
	t.Parallel()
	app, _ := rotatingApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	first := c.Clone()
	for range 5 {
		c.Post("/renew")
	}
	first.Post("/put", "key", "k", "value", "v")
	if first.Who() != "susan" || c.Get("/get?key=k").Text != "v" {
		t.Errorf("the first token is %q, and the last one has %q", first.Who(), c.Get("/get?key=k").Text)
	}
	app.Clock.Advance(rotationWindow - time.Second)
	c.Post("/renew")
	if first.Who() != "nobody" {
		t.Error("a later rotation has prolonged the first")
	}
}

// After a change of credential the old token gets "try again", and has no effect.
func TestReplacedToken(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"SetPassword", "VerifyEmail", "ConfirmEmailChange"} {
		for _, remember := range []string{"", "1"} {
			t.Run(how+remember, func(t *testing.T) {
				box := &testapp.Outbox{}
				var page error
				app, _ := rotatingApp(t, func(c *auth.Config) { c.Mailer = box })
				u := app.Create(t, "susan", true)
				c := app.Client(t)
				c.Post("/enter", "login", "susan", "remember", remember)
				c.Post("/put", "key", "cart", "value", "42 books")
				older := c.Clone()
				c.Post("/renew")
				old := c.Clone()
				app.In(c, func(ctx context.Context) {
					var err error
					switch how {
					case "SetPassword":
						err = app.SetPassword(ctx, u, "another good password")
					case "VerifyEmail":
						if err = app.SendVerification(ctx, u.Email); err == nil {
							_, err = app.VerifyEmail(ctx, tokenIn(t, box.Take()[0]))
						}
					case "ConfirmEmailChange":
						if err = app.SendEmailChange(ctx, u, "new@app.example"); err == nil {
							_, err = app.ConfirmEmailChange(ctx, tokenIn(t, box.Take()[0]))
						}
					}
					if err != nil {
						t.Fatal(err)
					}
				})
				if c.Who() != "susan" {
					t.Fatalf("the browser itself is %q", c.Who())
				}
				app.Events()
				for _, tab := range []*testapp.Client{old, older} {
					for _, r := range []*testapp.Response{
						tab.Do("GET", "/guarded", nil, http.Header{"Accept": {"text/html"}}),
						tab.Do("GET", "/guarded", nil, http.Header{"Accept": {"application/json"}}),
						tab.Do("GET", "/guarded", nil, http.Header{"Hx-Request": {"true"}}),
						tab.Post("/put", "key", "k", "value", "v"), tab.Post("/confirm"), tab.Post("/renew"),
						tab.Post("/password", "password", "yet another password"),
					} {
						if r.StatusCode != http.StatusUnauthorized || r.Header.Get("Location") != "" || r.Header.Get("Hx-Redirect") != "" || len(r.Header["Set-Cookie"]) > 0 {
							t.Errorf("%s %s: %s %v", r.Request.Method, r.Request.URL.Path, r.Status, r.Header)
						}
						if html := strings.Contains(r.Header.Get("Content-Type"), "html"); html && !strings.Contains(r.Text, "ry again") {
							t.Errorf("the page: %s", r.Text)
						}
					}
					if tab.Who() != "nobody" {
						t.Errorf("a public page is shown to %q", tab.Who())
					}
				}
				app.In(old.Clone(), func(ctx context.Context) { _, page = app.User(ctx) })
				if !errors.Is(page, auth.ErrReplaced) || !errors.Is(page, auth.ErrNotLoggedIn) {
					t.Errorf("User: %v", page)
				}
				for _, e := range app.Events() {
					if e.Kind != auth.EventAccessDenied {
						t.Errorf("event %v", e)
					}
				}
				if c.Who() != "susan" || c.Get("/get?key=cart").Text != "42 books" {
					t.Errorf("the browser is %q with %q", c.Who(), c.Get("/get?key=cart").Text)
				}
				// The browser can log in. A minute later the old token is like any
				// other dead token.
				in := old.Clone()
				if in.Login("susan"); in.Who() != "susan" {
					t.Error("a browser with the old token cannot log in")
				}
				app.Clock.Advance(rotationWindow)
				if r := old.Get("/guarded"); r.StatusCode != http.StatusSeeOther {
					t.Errorf("a minute later: %s", r.Status)
				}
			})
		}
	}
}

// If the password was changed in another browser, the answer is not "try again".
func TestPasswordChangedElsewhere(t *testing.T) {
	t.Parallel()
	app, _ := rotatingApp(t, nil)
	u := app.Create(t, "susan", false)
	c, other := app.Client(t), app.Client(t)
	c.Login("susan")
	other.Login("susan")
	app.In(other, func(ctx context.Context) {
		if err := app.SetPassword(ctx, u, "another good password"); err != nil {
			t.Error(err)
		}
	})
	if r := c.Get("/guarded"); r.StatusCode != http.StatusSeeOther {
		t.Errorf("%s", r.Status)
	}
}

// A poll that arrives while the password is being changed does not log the browser out.
func TestPollCrossesChangeOfPassword(t *testing.T) {
	t.Parallel()
	for _, remember := range []string{"", "1"} {
		app, store := rotatingApp(t, nil)
		u := app.Create(t, "susan", false)
		c := app.Client(t)
		c.Post("/enter", "login", "susan", "remember", remember)
		tab := c.Clone()
		var polled *testapp.Response
		store.Hook(nil, on("UpdateAccount", func() error {
			polled = tab.Get("/guarded")
			return nil
		}))
		app.In(c, func(ctx context.Context) {
			if err := app.SetPassword(ctx, u, "another good password"); err != nil {
				t.Error(err)
			}
		})
		store.Reset()
		if polled == nil || polled.StatusCode != http.StatusUnauthorized || len(polled.Header["Set-Cookie"]) > 0 {
			t.Errorf("the poll: %+v", polled)
		}
		if c.Who() != "susan" {
			t.Errorf("the browser that has changed the password is %q", c.Who())
		}
	}
}

// If any read about an old token fails, the answer is a 5xx and not an anonymous page.
func TestOldTokenStoreFails(t *testing.T) {
	t.Parallel()
	for k := 1; k <= 3; k++ {
		app, store := rotatingApp(t, nil)
		app.Create(t, "susan", false)
		c := app.Client(t)
		c.Login("susan")
		tab := c.Clone()
		c.Post("/renew")
		n := 0
		store.Hook(func(call string) error {
			if call == "GetRecord" {
				if n++; n == k {
					return errStore
				}
			}
			return nil
		}, nil)
		if r := tab.Get("/guarded"); r.StatusCode < 500 {
			t.Errorf("read %d fails: %s", k, r.Status)
		}
		store.Reset()
		if tab.Who() != "susan" {
			t.Errorf("afterwards: %q", tab.Who())
		}
	}
}

// With protection on, an old token is accepted from the client before the rotation and
// from the client after it. Any other client is suspect with any token.
func TestOldTokenIsProtected(t *testing.T) {
	t.Parallel()
	for _, protection := range []auth.Protection{auth.ProtectBasic, auth.ProtectStrong} {
		app, _ := rotatingApp(t, func(c *auth.Config) { c.Session.Protection = protection })
		app.Create(t, "susan", false)
		c := app.Client(t)
		c.Login("susan")
		tab := c.Clone()
		c.Post("/renew")
		r := tab.Do("GET", "/fresh", nil, http.Header{"User-Agent": {"curl/8 (thief)"}})
		if r.Text == "fresh" {
			t.Errorf("protection %d: the old token is fresh elsewhere", protection)
		}
		if who := c.Who(); protection == auth.ProtectStrong && who != "nobody" {
			t.Errorf("ProtectStrong: the login goes on as %q", who)
		}
	}
}

// A logout with a token that a change of password has replaced ends the login.
func TestLogoutWithReplacedToken(t *testing.T) {
	t.Parallel()
	app, _ := rotatingApp(t, nil)
	u := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	tab := c.Clone()
	app.In(c, func(ctx context.Context) {
		if err := app.SetPassword(ctx, u, "another good password"); err != nil {
			t.Error(err)
		}
	})
	if r := tab.Post("/logout"); r.StatusCode != http.StatusOK || c.Who() != "nobody" {
		t.Errorf("%s, and the browser is %q", r.Status, c.Who())
	}
}

// A login is ended while a rotation merges data that another request has written.
// Nothing panics, and nobody is logged in.
func TestRotationEndsWhileItMerges(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/renew", "/confirm", "/password"} {
		app, store := newApp(t, nil)
		u := app.Create(t, "susan", false)
		app.Mux.HandleFunc("POST /confirm", func(w http.ResponseWriter, r *http.Request) {
			if err := app.ConfirmLogin(r.Context()); err != nil {
				app.Error(w, r, err)
			}
		})
		c := app.Client(t)
		c.Login("susan")
		other := c.Clone()
		begun, written, ended := false, false, false
		store.Hook(func(call string) error {
			switch {
			case call == "TakeRecord" && !begun:
				begun = true
				other.Post("/put", "key", "a", "value", "b")
				written = true
			case call == "UpdateRecord" && written && !ended:
				ended = true
				return store.Store.DeleteRecords(t.Context(), "session", u.ID)
			}
			return nil
		}, nil)
		r := c.Post(path, "password", "another good password")
		store.Reset()
		if !ended || r.StatusCode >= 500 {
			t.Errorf("%s: ended %v, %s\n%s", path, ended, r.Status, app.Logs())
		}
		gone(t, path, c, other)
	}
}

// If a bit of a valid record is flipped, or the record is cut short, the request is
// anonymous or the same user's, and never an error.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	susan, john := app.Create(t, "susan", false), app.Create(t, "john", false)
	a := john.Clone()
	a.Stamp = susan.Stamp // the same Stamp, so that a check of the Stamp cannot tell them apart
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	c.Login("susan")
	registerOnce()
	do(t, app, c, func(ctx context.Context) {
		app.SessionData().Put(ctx, "b", []byte{1, 2})
		app.SessionData().Put(ctx, "f", 1.5)
		app.SessionData().Put(ctx, "g", map[string]string{"a": "b"})
		app.SessionData().Put(ctx, "i", 300)
		app.SessionData().Put(ctx, "s", "text")
		app.SessionData().Put(ctx, "t", app.Clock.Now())
	})
	records, err := app.Store.ListRecords(t.Context(), "session", susan.ID)
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	valid := records[0]
	cookies := cookieHeader(c.Cookies)
	h := app.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, err := app.User(r.Context())
		if err != nil && !errors.Is(err, auth.ErrNotLoggedIn) {
			app.Error(w, r, err)
			return
		}
		_ = app.SessionData().Keys(r.Context())
		if r.Method == http.MethodPost {
			app.SessionData().Put(r.Context(), "new", "1")
		}
		if u != nil {
			_, _ = io.WriteString(w, u.Username)
		}
	}))
	alive := 0
	try := func(name string, data []byte) {
		t.Helper()
		if _, err := app.Store.TakeRecord(t.Context(), "session", valid.Key); err != nil && !errors.Is(err, auth.ErrRecordNotFound) {
			t.Fatal(err)
		}
		r := valid
		r.Data = data
		if err := app.Store.InsertRecord(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{"GET", "POST"} {
			w := direct(t, h, method, "/", cookies)
			if w.Code != 200 || w.Body.String() != "" && w.Body.String() != "susan" {
				t.Errorf("%s: %s: %d %s", name, method, w.Code, w.Body)
			}
			if w.Body.String() == "susan" {
				alive++
			}
			for _, cookie := range w.Result().Cookies() {
				if cookie.MaxAge < 0 {
					t.Errorf("%s: %s deletes %s", name, method, cookie.Name)
				}
			}
		}
	}
	try("valid", valid.Data)
	if alive != 2 {
		t.Fatal("the valid record does not log in")
	}
	if !bytes.Contains(valid.Data, []byte(susan.ID)) || len(john.ID) != len(susan.ID) {
		t.Fatal("the record does not name its user")
	}
	try("another user", bytes.Replace(valid.Data, []byte(susan.ID), []byte(john.ID), 1))
	for n := range valid.Data {
		try(fmt.Sprint("cut to ", n), valid.Data[:n])
	}
	for i := range valid.Data {
		for bit := range 8 {
			data := bytes.Clone(valid.Data)
			data[i] ^= 1 << bit
			try(fmt.Sprint("bit ", bit, " of byte ", i), data)
		}
	}
	for name, foreign := range map[string]string{
		"empty": "", "JSON": `{"user":"john"}`, "zeros": strings.Repeat("\x00", 200), "ones": strings.Repeat("\xff", 200), "text": "Deadline Values john", "huge length": "\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"longer": string(valid.Data) + "x",
	} {
		try(name, []byte(foreign))
	}
	if deadline, err := (scs.GobCodec{}).Encode(app.Clock.Now(), map[string]any{"user": "john"}); err != nil {
		t.Error(err)
	} else {
		try("scs's own", deadline)
	}
	if alive < 100 {
		t.Errorf("only %d changed records still log in: the test changes too much", alive)
	}
}

// If the store has lost a session's record, the request is anonymous and its data is
// not written back.
func TestDataStaysInItsSession(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	susan := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	do(t, app, c, func(ctx context.Context) { app.SessionData().Put(ctx, "k", "v") })
	r := do(t, app, c, func(ctx context.Context) {
		_ = app.SessionData().GetString(ctx, "k")
		if err := app.Store.DeleteRecords(ctx, "session", susan.ID); err != nil {
			t.Error(err)
		}
		app.SessionData().Put(ctx, "k", "w")
	})
	if len(r.Cookies()) != 0 {
		t.Errorf("cookies %v", r.Cookies())
	}
	if c.Who() != "nobody" || c.Get("/get?key=k").Text != "" {
		t.Errorf("%s %q", c.Who(), c.Get("/get?key=k").Text)
	}
	// A later user of the browser does not get this user's data.
	c.Login("susan")
	do(t, app, c, func(ctx context.Context) { app.SessionData().Put(ctx, "secret", "susan's") })
	u, err := app.Store.LoadUser(t.Context(), susan.ID)
	if err != nil {
		t.Fatal(err)
	}
	a := u.Clone()
	a.Stamp = auth.NewSecret("new")
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	do(t, app, c, func(ctx context.Context) {
		if _, ok := app.CurrentUser(ctx); ok {
			t.Error("logged in")
		}
		if got := app.SessionData().GetString(ctx, "secret"); got != "" {
			t.Errorf("a void session's data is %q", got)
		}
		app.SessionData().Put(ctx, "other", "1")
	})
	if got := keys(t, app, c); slices.Contains(got, "secret") {
		t.Errorf("afterwards %q", got)
	}
}
