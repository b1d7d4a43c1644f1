package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

func atMost(n int) func(*auth.Config) {
	return func(c *auth.Config) { c.MaxSessions = n }
}

// alive are the indices of the browsers that are the user.
func alive(browsers []*testapp.Client, name string) (is []int) {
	for i, c := range browsers {
		if c.Clone().Who() == name {
			is = append(is, i)
		}
	}
	return is
}

func TestMaxSessions(t *testing.T) {
	for _, remember := range []bool{false, true} {
		for _, still := range []bool{false, true} {
			t.Run(fmt.Sprintf("remembered %v, clock stands still %v", remember, still), func(t *testing.T) {
				app, _ := newApp(t, atMost(3))
				u, _ := app.Create(t, "susan", false), app.Create(t, "mike", false)
				mike := app.Client(t)
				mike.Login("mike")
				var browsers []*testapp.Client
				for i := range 8 {
					c := app.Client(t)
					enterBy(t, c, "susan", "x/1", remember)
					browsers = append(browsers, c)
					for range 3 { // rotations, and logins in the same browser, are not more
						c.Post("/renew")
					}
					enterBy(t, c, "susan", "x/1", remember)
					if !still {
						app.Clock.Advance(time.Second)
					}
					if got := alive(browsers, "susan"); len(got) != min(i+1, 3) || got[len(got)-1] != i || !still && got[0] != max(i-2, 0) {
						t.Fatalf("after login %d these are alive: %v", i, got)
					}
					if l := logins(t, app, u.ID); len(l) != min(i+1, 3) {
						t.Errorf("%d are listed", len(l))
					}
				}
				if !still {
					gone(t, "evicted", browsers[:5]...)
				}
				if r, err := app.Store.ListRecords(t.Context(), "remember", u.ID); err != nil || remember && len(r) != 3 || !remember && len(r) != 0 {
					t.Errorf("%d devices, %v", len(r), err)
				}
				if who := mike.Who(); who != "mike" {
					t.Errorf("mike is %q", who)
				}
				ended := 0
				for _, e := range app.Events() {
					if e.Kind == auth.EventSessionEnded {
						ended++
						if e.UserID != u.ID || !errors.Is(e.Err, auth.ErrLoggedOut) {
							t.Errorf("event %+v", e)
						}
					}
				}
				if ended != 5 {
					t.Errorf("%d events for 5 evictions", ended)
				}
			})
		}
	}
}

func TestMaxSessionsDefaultAndNone(t *testing.T) {
	for limit, want := range map[int]int{0: 100, -1: 105, 1: 1} {
		app, _ := newApp(t, atMost(limit))
		u := app.Create(t, "susan", false)
		var first, last *testapp.Client
		for range 105 {
			last = app.Client(t)
			last.Login("susan")
			if first == nil {
				first = last
			}
			app.Clock.Advance(time.Second)
		}
		if l := logins(t, app, u.ID); len(l) != want {
			t.Errorf("limit %d: %d logins", limit, len(l))
		}
		if who := last.Who(); who != "susan" {
			t.Errorf("limit %d: the last is %q", limit, who)
		}
		if who := first.Who(); (who == "susan") != (limit < 0) {
			t.Errorf("limit %d: the first is %q", limit, who)
		}
	}
}

// A browser that is restarted has one login still, and nobody has to go for it.
func TestMaxSessionsCountsBrowsers(t *testing.T) {
	app, _ := newApp(t, atMost(2))
	app.Create(t, "susan", false)
	desk := app.Client(t)
	desk.Login("susan")
	app.Clock.Advance(time.Minute)
	phone := remembered(t, app, "susan")
	for range 3 {
		app.Clock.Advance(2 * time.Minute)
		phone.Restart()
		if who := phone.Who(); who != "susan" {
			t.Fatalf("the phone is %q", who)
		}
		if who := desk.Who(); who != "susan" {
			t.Fatalf("there are two browsers, and after a restart of the other one this one is %q", who)
		}
	}
}

// Tabs that were opened at once are one browser: the end of the older one's
// login is not that of the younger one's.
func TestMaxSessionsTabs(t *testing.T) {
	app, _ := newApp(t, atMost(2))
	app.Create(t, "susan", false)
	phone := remembered(t, app, "susan")
	app.Clock.Advance(time.Minute)
	phone.Restart()
	tab := phone.Clone()
	phone.Who()
	app.Clock.Advance(30 * time.Second)
	if a, b := tab.Who(), phone.Who(); a != "susan" || b != "susan" {
		t.Fatal(a, b)
	}
	app.Clock.Advance(time.Minute)
	desk := app.Client(t)
	desk.Login("susan")
	if a, b := desk.Who(), tab.Who(); a != "susan" || b != "susan" {
		t.Errorf("two browsers, of which the new one is %q, and the other one's younger tab %q", a, b)
	}
}

// Logins at the same moment leave no more than there may be.
func TestMaxSessionsParallel(t *testing.T) {
	for _, remember := range []bool{false, true} {
		for _, limit := range []int{5, 1} {
			t.Run(fmt.Sprintf("remembered %v, limit %d", remember, limit), func(t *testing.T) {
				t.Parallel()
				app, _ := newApp(t, atMost(limit))
				mikes := app.Create(t, "mike", false)
				mike := remembered(t, app, "mike")
				for round := range 20 {
					name := fmt.Sprintf("susan%d", round)
					u := app.Create(t, name, false)
					browsers := make([]*testapp.Client, 20)
					var wg sync.WaitGroup
					for i := range browsers {
						browsers[i] = app.Client(t)
						wg.Go(func() {
							fields := []string{"login", name}
							if remember {
								fields = append(fields, "remember", "1")
							}
							if r := browsers[i].Post("/enter", fields...); r.StatusCode != http.StatusOK {
								t.Errorf("login %d: %s", i, r.Status)
							}
						})
						if round%2 == 1 {
							app.Clock.Advance(time.Millisecond)
						}
					}
					wg.Wait()
					least := 1
					if limit == 1 {
						least = 0 // two that both come last end each other
					}
					if got := alive(browsers, name); len(got) > limit || len(got) < least {
						t.Errorf("round %d: %d are alive: %v", round, len(got), got)
					} else if len(got) == 0 {
						t.Logf("round %d: none is alive", round)
					}
					for _, c := range browsers {
						c.Restart()
					}
					if remember {
						if r, err := app.Store.ListRecords(t.Context(), "remember", u.ID); err != nil || len(r) > limit {
							t.Errorf("round %d: %d devices, %v", round, len(r), err)
						}
					}
					if got := alive(browsers, name); len(got) > limit || !remember && len(got) > 0 {
						t.Errorf("round %d: after a restart %d are alive: %v", round, len(got), got)
					}
					// The next one is one more, and is in.
					app.Clock.Advance(time.Second)
					last := app.Client(t)
					last.Login(name)
					if who := last.Who(); who != name || len(logins(t, app, u.ID)) > limit {
						t.Errorf("round %d: the next is %q, with %d", round, who, len(logins(t, app, u.ID)))
					}
				}
				if who := mike.Who(); who != "mike" || len(logins(t, app, mikes.ID)) != 1 {
					t.Errorf("mike is %q", who)
				}
			})
		}
	}
}

// Requests that are under way in an evicted login do not bring it back.
func TestMaxSessionsRevivesNothing(t *testing.T) {
	plain, _ := newApp(t, atMost(1))
	app := newInsider(plain)
	for round := range 30 {
		name := fmt.Sprintf("susan%d", round)
		u := app.Create(t, name, false)
		old := remembered(t, plain, name)
		app.Clock.Advance(2 * time.Minute)
		tabs := make([]*testapp.Client, 4)
		arrived := make(chan struct{}, len(tabs))
		release := make(chan struct{})
		var wg sync.WaitGroup
		for i := range tabs {
			tabs[i] = old.Clone()
			wg.Go(func() {
				app.in(tabs[i], func(ctx context.Context) {
					_, err := app.User(ctx)
					arrived <- struct{}{}
					<-release
					switch {
					case err != nil:
						return
					case i == 0:
						app.Sessions().Put(ctx, "n", "x")
					case i == 1:
						_ = app.Sessions().RenewToken(ctx)
					case i == 2:
						_ = app.ConfirmLogin(ctx)
					}
				})
			})
		}
		for range tabs {
			<-arrived
		}
		fresh := app.Client(t)
		if round%2 == 0 {
			fresh.Login(name)
			close(release)
		} else {
			close(release)
			fresh.Login(name)
		}
		wg.Wait()
		gone(t, "evicted", append(tabs, old)...)
		if who := fresh.Who(); who != name || len(logins(t, plain, u.ID)) != 1 {
			t.Errorf("round %d: the new one is %q", round, who)
		}
	}
}

// A store that fails while the others are counted ends nothing that it should
// not: the login is made, and the next one tries again.
func TestMaxSessionsStoreFails(t *testing.T) {
	for _, after := range []bool{false, true} {
		for k := 1; ; k++ {
			app, spy := newApp(t, atMost(2))
			u := app.Create(t, "susan", false)
			for range 2 {
				remembered(t, app, "susan")
				app.Clock.Advance(time.Second)
			}
			c := app.Client(t)
			spy.reset(k, after)
			r := c.Post("/enter", "login", "susan", "remember", "1")
			calls := spy.Calls()
			spy.reset(0, false)
			if who := c.Who(); (who == "susan") != (r.StatusCode == http.StatusOK) {
				t.Errorf("call %d (%v): %s, and %q", k, calls, r.Status, who)
			}
			app.Clock.Advance(time.Second)
			last := remembered(t, app, "susan")
			devices, err := spy.ListRecords(t.Context(), "remember", u.ID)
			if l := logins(t, app, u.ID); last.Who() != "susan" || len(l) > 2 || err != nil || len(devices) > 2 {
				t.Errorf("call %d (%v): then there are %d logins and %d devices", k, calls, len(l), len(devices))
			}
			if len(calls) < k {
				break
			}
		}
	}
}
