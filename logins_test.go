package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

func TestLogins(t *testing.T) {
	app, _ := newApp(t, nil)
	start := app.Clock.Now()
	u := member(t, app, "susan", testapp.Password)
	app.Create(t, "mike", false)

	laptop, phone, tablet, mike := app.Client(t), app.Client(t), app.Client(t), app.Client(t)
	form := url.Values{"login": {"susan"}, "password": {testapp.Password}}
	laptop.Do(http.MethodPost, "/login", form, http.Header{"User-Agent": {"laptop/1"}})
	app.Clock.Advance(5 * time.Minute)
	enterBy(t, phone, "susan", "phone/1", true)
	app.Clock.Advance(5 * time.Minute)
	enterBy(t, tablet, "susan", "tablet/1", true)
	mike.Login("mike")
	app.Clock.Advance(5 * time.Minute)
	tablet.Restart() // so the device has no login
	phone.Restart()
	if who := phone.Who(); who != "susan" { // a login made from the device
		t.Fatal(who)
	}
	app.Clock.Advance(time.Minute)
	laptop.Who()
	laptop.Post("/renew") // a new token, but the same login

	want := []auth.Login{{
		Created: start, Seen: start.Add(16 * time.Minute), Expires: start.Add(24 * time.Hour), Authenticated: start,
		Methods: []string{"password"}, UserAgent: "laptop/1",
	}, {
		Created: start.Add(5 * time.Minute), Seen: start.Add(15 * time.Minute), Expires: start.Add(5*time.Minute + 30*24*time.Hour),
		Methods: []string{"remember"}, UserAgent: "Go-http-client/1.1", Remembered: true,
	}, {
		// The browser has lost this session. It is still good for an attacker who has
		// copied its cookie.
		Created: start.Add(10 * time.Minute), Seen: start.Add(10 * time.Minute), Expires: start.Add(10*time.Minute + 30*24*time.Hour),
		Authenticated: start.Add(10 * time.Minute), UserAgent: "tablet/1", Remembered: true,
	}}
	check := func(where string, got []auth.Login, current int) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %d logins: %+v", where, len(got), got)
		}
		ids := map[string]bool{}
		for i, g := range got {
			w := want[i]
			if g.ID == "" || ids[g.ID] || g.Current != (i == current) || !g.Created.Equal(w.Created) || !g.Seen.Equal(w.Seen) ||
				!g.Expires.Equal(w.Expires) || !g.Authenticated.Equal(w.Authenticated) || g.Authenticated.IsZero() != w.Authenticated.IsZero() ||
				!slices.Equal(g.Methods, w.Methods) || g.Remembered != w.Remembered || g.UserAgent != w.UserAgent || g.Address != "127.0.0.1" {
				t.Errorf("%s: login %d is\n%+v, want\n%+v", where, i, g, w)
			}
			ids[g.ID] = true
		}
	}
	check("outside", logins(t, app, u.ID), -1)
	for name, browser := range map[string]struct {
		c       *testapp.Client
		current int
	}{"laptop": {laptop, 0}, "mike": {mike, -1}, "an anonymous visitor": {app.Client(t), -1}} {
		app.In(browser.c, func(ctx context.Context) {
			got, err := app.Logins(ctx, u.ID)
			if err != nil {
				t.Error(err)
			}
			check(name, got, browser.current)
		})
	}
	// A login that is resumed in the request that calls Logins.
	var got []auth.Login
	var l auth.Login
	app.In(tablet, func(ctx context.Context) {
		var err1, err2 error
		got, err1 = app.Logins(ctx, u.ID)
		l, err2 = app.CurrentLogin(ctx)
		if err1 != nil || err2 != nil {
			t.Error(err1, err2)
		}
	})
	i := slices.IndexFunc(got, func(l auth.Login) bool { return l.Current })
	if len(got) != 3 || i < 0 || !got[i].Created.Equal(start.Add(10*time.Minute)) || !got[i].Authenticated.IsZero() || got[i].ID != l.ID || !l.Current {
		t.Errorf("resumed in this request: %+v, CurrentLogin: %+v", got, l)
	}
	for j := range got {
		if j != i && got[j].Current {
			t.Error("two are current")
		}
	}
}

// Logins and CurrentLogin describe a login alike.
func TestCurrentLoginIsInTheList(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	for _, state := range []string{"at the login", "resumed"} {
		l, list := app.LoginOf(t, c), logins(t, app, u.ID)
		if len(list) != 1 {
			t.Fatal(list)
		}
		l.Current = false
		if a, b := fmt.Sprintf("%+v", l), fmt.Sprintf("%+v", list[0]); a != b {
			t.Errorf("%s: CurrentLogin is\n%s, in the list it is\n%s", state, a, b)
		}
		app.Clock.Advance(time.Hour / 2)
		c.Restart()
		c.Who()
	}
}

// If the device ends and the login goes on, the login is no longer listed as
// remembered.
func TestLoginsNotRememberedAfterTheDeviceEnds(t *testing.T) {
	for name, end := range map[string]func(*testapp.App, *testapp.Client){
		"own change of password": func(_ *testapp.App, c *testapp.Client) { c.Post("/password", "password", "another good password") },
		"expired":                func(app *testapp.App, _ *testapp.Client) { app.Clock.Advance(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			app, _ := newApp(t, func(c *auth.Config) { c.Session.RememberFor = time.Minute })
			u := app.Create(t, "susan", false)
			c := remembered(t, app, "susan")
			end(app, c)
			if who := c.Who(); who != "susan" {
				t.Fatal(who)
			}
			if l := logins(t, app, u.ID); len(l) != 1 || l[0].Remembered {
				t.Errorf("after the device has ended, the login is listed as remembered: %+v", l)
			}
			if err := app.EndLogin(t.Context(), u.ID, logins(t, app, u.ID)[0].ID); err != nil {
				t.Error(err)
			}
			gone(t, "EndLogin", c)
		})
	}
}

// Logins lists only what is still good.
func TestLoginsListNothingVoid(t *testing.T) {
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	here := func(c *auth.Config) { c.BaseURL = "http://localhost:1" }
	app := testapp.New(t, store, clock, here)
	strict := testapp.New(t, store, clock, func(c *auth.Config) { here(c); c.Session.IdleTimeout = 10 * time.Minute })
	u := app.Create(t, "susan", false)
	remembered(t, app, "susan") // with an old Stamp
	a := u.Clone()
	a.Stamp = auth.NewSecret("new")
	if err := store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	app.Client(t).Login("susan") // idle for one of the two applications
	clock.Advance(11 * time.Minute)
	good := app.Client(t)
	good.Login("susan")
	for _, kind := range []string{"session", "remember"} {
		records, err := store.ListRecords(t.Context(), kind, u.ID)
		if err != nil || len(records) == 0 {
			t.Fatal(err)
		}
		for i, data := range []string{"", "\x01", "\x02" + string(records[0].Data[1:]), strings.Repeat("\xff", 100), string(records[0].Data) + "\x05"} {
			r := auth.Record{Kind: kind, Key: fmt.Sprint("damaged", i), UserID: u.ID, Data: []byte(data), Expires: clock.Now().Add(time.Hour)}
			if err := store.InsertRecord(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if l := logins(t, app, u.ID); len(l) != 2 {
		t.Errorf("%d logins: %+v", len(l), l)
	}
	if l := logins(t, strict, u.ID); len(l) != 1 {
		t.Errorf("strict: %d logins: %+v", len(l), l)
	}
	clock.Advance(50 * time.Minute)
	if l := logins(t, app, u.ID); len(l) != 1 {
		t.Errorf("an hour later: %d logins: %+v", len(l), l)
	}
	a.Disabled, a.Version = true, a.Version+1
	if err := store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if l := logins(t, app, u.ID); len(l) != 0 {
		t.Errorf("disabled: %+v", l)
	}
}

// A page may show every field of a Login: none is a secret, and none is needed to log
// in.
func TestLoginsHaveNoSecrets(t *testing.T) {
	app, spy := newApp(t, nil)
	u := app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	other := app.Client(t)
	other.Login("susan")
	c.Restart()
	c.Who()
	var secrets []string
	for _, cookie := range append(slices.Clone(c.Issued), other.Issued...) {
		secrets = append(secrets, cookie.Value)
		if raw, err := base64.RawURLEncoding.DecodeString(cookie.Value); err == nil {
			for _, part := range [][]byte{raw, raw[:16]} {
				secrets = append(secrets, base64.RawURLEncoding.EncodeToString(part)[:20], base64.StdEncoding.EncodeToString(part)[:20], hex.EncodeToString(part))
			}
		}
	}
	for _, kind := range []string{"session", "remember"} {
		records, err := spy.ListRecords(t.Context(), kind, u.ID)
		if err != nil || len(records) == 0 {
			t.Fatal(records, err)
		}
		for _, r := range records {
			secrets = append(secrets, r.Key, r.Key[:20])
		}
	}
	secrets = append(secrets, "stamp of susan")
	text, err := json.Marshal([]any{logins(t, app, u.ID), app.LoginOf(t, c)})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if strings.Contains(string(text), secret) {
			t.Errorf("%s is in %s", secret, text)
		}
	}
	// Nor is any of its fields a cookie.
	for _, l := range logins(t, app, u.ID) {
		for name := range c.Cookies {
			alone := app.Client(t)
			alone.Cookies[name] = l.ID
			if who := alone.Who(); who != "nobody" {
				t.Errorf("an ID as a cookie is %q", who)
			}
		}
	}
}

func TestLoginsErrors(t *testing.T) {
	app, spy := newApp(t, nil)
	u := app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	for _, id := range []string{"", "unknown", "susan", "\x00", strings.Repeat("x", 5000)} {
		if l, err := app.Logins(t.Context(), id); !errors.Is(err, auth.ErrUserNotFound) || l != nil {
			t.Errorf("%.20q: %v, %v", id, l, err)
		}
	}
	deleted := app.Create(t, "mike", false)
	remembered(t, app, "mike")
	deleteUser(t, app, deleted.ID)
	if _, err := app.Logins(t.Context(), deleted.ID); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("deleted: %v", err)
	}

	// Logins costs one list for each kind of record, and never more.
	spy.Reset()
	logins(t, app, u.ID)
	if calls := spy.Calls(); !slices.Equal(calls, []string{"LoadUser", "ListRecords", "ListRecords"}) {
		t.Errorf("calls outside: %v", calls)
	}
	for k := 1; k <= 3; k++ {
		spy.FailAt(k, false)
		if l, err := app.Logins(t.Context(), u.ID); !errors.Is(err, errStore) || l != nil {
			t.Errorf("call %d fails: %v, %v", k, l, err)
		}
	}
	spy.Reset()
	app.In(c, func(ctx context.Context) {
		if _, err := app.Logins(ctx, u.ID); err != nil {
			t.Error(err)
		}
	})
	if calls := spy.Calls(); spy.Writes() > 0 || len(calls) > 5 {
		t.Errorf("calls inside: %v", calls)
	}
	// If Logins cannot find out which login is the current one, it fails.
	app.In(c, func(ctx context.Context) {
		spy.FailAt(1, false)
		if l, err := app.Logins(ctx, u.ID); !errors.Is(err, errStore) || l != nil {
			t.Errorf("inside: %v, %v", l, err)
		}
	})
	spy.Reset()
	app.In(app.Client(t), func(ctx context.Context) {
		if _, err := app.CurrentLogin(ctx); !errors.Is(err, auth.ErrNotLoggedIn) {
			t.Errorf("CurrentLogin of an anonymous visitor: %v", err)
		}
	})
	if _, err := app.CurrentLogin(t.Context()); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("CurrentLogin outside: %v", err)
	}
}

// During a rotation two records exist, but one login is listed.
func TestLoginsDuringRotation(t *testing.T) {
	app, trap := newApp(t, nil)
	u := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	id := logins(t, app, u.ID)[0].ID
	looked := 0
	trap.HookCalls(func(_ context.Context, call testapp.Call) error {
		if call.Method == "TakeRecord" && call.Kind == "session" {
			looked++
			if records, err := trap.ListRecords(t.Context(), "session", u.ID); err != nil || len(records) != 2 {
				t.Errorf("%d records, %v: this is no rotation", len(records), err)
			}
			if l := logins(t, app, u.ID); len(l) != 1 || l[0].ID != id {
				t.Errorf("%+v", l)
			}
		}
		return nil
	}, nil)
	c.Post("/renew")
	trap.Reset()
	if l := logins(t, app, u.ID); looked == 0 || len(l) != 1 || l[0].ID != id {
		t.Errorf("then: %+v", l)
	}
}

func TestEndLogin(t *testing.T) {
	for _, remember := range []bool{false, true} {
		for _, who := range []string{"itself", "another browser", "the admin", "nobody inside"} {
			t.Run(fmt.Sprintf("by %s, remembered %v", who, remember), func(t *testing.T) {
				app, _ := newApp(t, nil)
				u := app.Create(t, "susan", false)
				other := remembered(t, app, "susan")
				c := app.Client(t)
				enterBy(t, c, "susan", "c/1", remember)
				c.Post("/renew")
				if remember {
					c.Restart()
					app.Clock.Advance(2 * time.Minute)
					if who := c.Who(); who != "susan" {
						t.Fatal(who)
					}
				}
				id := app.LoginOf(t, c).ID
				end := func(ctx context.Context) {
					if err := app.EndLogin(ctx, u.ID, id); err != nil {
						t.Error(err)
					}
				}
				app.Events()
				switch who {
				case "itself":
					app.In(c, func(ctx context.Context) {
						end(ctx)
						if _, err := app.User(ctx); !errors.Is(err, auth.ErrNotLoggedIn) {
							t.Errorf("then it is %v", err)
						}
					})
					if len(c.Cookies) > 0 {
						t.Errorf("its cookies: %v", c.Cookies)
					}
				case "another browser":
					app.In(other, end)
				case "nobody inside":
					app.In(app.Client(t), end)
				default:
					end(t.Context())
				}
				kind := auth.EventLoginRevoked
				if who == "itself" {
					kind = auth.EventLoginEnded
				}
				if e := app.Events(); len(e) != 1 || e[0].Kind != kind || e[0].UserID != u.ID {
					t.Errorf("events %v", e)
				}
				gone(t, "ended", c)
				if who := other.Who(); who != "susan" {
					t.Errorf("the other browser is %q", who)
				}
				if l := logins(t, app, u.ID); len(l) != 1 {
					t.Errorf("left: %+v", l)
				}
				if err := app.EndLogin(t.Context(), u.ID, id); !errors.Is(err, auth.ErrLoginNotFound) {
					t.Errorf("again: %v", err)
				}
				other.Restart()
				if who := other.Who(); who != "susan" {
					t.Errorf("the other device is %q", who)
				}
			})
		}
	}
}

// EndLogin ends neither another user's login nor one that does not exist.
func TestEndLoginNotFound(t *testing.T) {
	app, spy := newApp(t, nil)
	susan, mike := app.Create(t, "susan", false), app.Create(t, "mike", false)
	s, m := remembered(t, app, "susan"), remembered(t, app, "mike")
	sID, mID := app.LoginOf(t, s).ID, app.LoginOf(t, m).ID
	records, err := spy.ListRecords(t.Context(), "session", susan.ID)
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	_, cookie := rememberCookie(t, s)
	spy.Reset()
	app.Events()
	for _, try := range []struct{ user, id string }{
		{susan.ID, mID}, {mike.ID, sID}, {"unknown", sID}, {susan.ID, ""}, {susan.ID, "x"}, {susan.ID, sID[1:]}, {susan.ID, sID + "x"},
		{susan.ID, strings.ToLower(sID)}, {susan.ID, records[0].Key}, {susan.ID, cookie}, {susan.ID, strings.Repeat("A", 1<<16)}, {susan.ID, "\x00%"},
	} {
		for name, ctx := range map[string]*testapp.Client{"outside": nil, "susan": s, "mike": m, "an anonymous visitor": app.Client(t)} {
			var err error
			if ctx == nil {
				err = app.EndLogin(t.Context(), try.user, try.id)
			} else {
				app.In(ctx, func(ctx context.Context) { err = app.EndLogin(ctx, try.user, try.id) })
			}
			if !errors.Is(err, auth.ErrLoginNotFound) {
				t.Errorf("%s ends %q %.20q: %v", name, try.user, try.id, err)
			}
		}
	}
	if n := spy.Writes(); n > 0 {
		t.Errorf("%d writes", n)
	}
	if e := app.Events(); len(e) > 0 {
		t.Errorf("events %v", e)
	}
	if a, b := s.Who(), m.Who(); a != "susan" || b != "mike" {
		t.Errorf("then they are %q and %q", a, b)
	}
	// Without a user, EndLogin is an error and ends nothing.
	for _, id := range []string{"", "x", sID} {
		app.In(s, func(ctx context.Context) {
			if err := app.EndLogin(ctx, "", id); err == nil {
				t.Errorf("no user, %q: no error", id)
			}
		})
	}
	if a, b := s.Who(), m.Who(); a != "susan" || b != "mike" {
		t.Errorf("then they are %q and %q", a, b)
	}
	r := httpError(t, app, auth.ErrLoginNotFound)
	if r != http.StatusNotFound {
		t.Errorf("ErrLoginNotFound is answered %d", r)
	}
}

// httpError returns the status with which Error answers an error.
func httpError(t *testing.T, app *testapp.App, err error) int {
	t.Helper()
	app.Mux.HandleFunc("GET /error", func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, err) })
	return app.Client(t).Get("/error").StatusCode
}

func TestEndOtherLogins(t *testing.T) {
	app, _ := newApp(t, nil)
	u, _ := app.Create(t, "susan", false), app.Create(t, "mike", false)
	mike := remembered(t, app, "mike")
	for _, remember := range []bool{false, true} {
		c, a, b, lost := app.Client(t), app.Client(t), remembered(t, app, "susan"), remembered(t, app, "susan")
		enterBy(t, c, "susan", "c/1", remember)
		a.Login("susan")
		b.Restart()
		b.Who()
		lost.Restart() // so there is a device without a login
		if remember {
			c.Restart()
			c.Who()
		}
		app.Events()
		app.In(c, func(ctx context.Context) {
			if err := app.EndOtherLogins(ctx); err != nil {
				t.Error(err)
			}
		})
		if e := app.Events(); len(e) != 1 || e[0].Kind != auth.EventLoginRevoked {
			t.Errorf("events %v", e)
		}
		gone(t, "the others", a, b, lost)
		if who := c.Who(); who != "susan" {
			t.Errorf("this one is %q", who)
		}
		if l := logins(t, app, u.ID); len(l) != 1 || l[0].Remembered != remember {
			t.Errorf("left: %+v", l)
		}
		app.In(c, func(ctx context.Context) { // there are no other logins now
			if err := app.EndOtherLogins(ctx); err != nil {
				t.Error(err)
			}
		})
		if e := app.Events(); len(e) != 0 {
			t.Errorf("events without any others: %v", e)
		}
		if remember {
			app.Clock.Advance(2 * time.Minute)
			c.Restart()
			if who := c.Who(); who != "susan" {
				t.Errorf("its device is %q", who)
			}
		}
		c.Post("/logout")
	}
	if who := mike.Who(); who != "mike" {
		t.Errorf("mike is %q", who)
	}
	if err := app.EndOtherLogins(t.Context()); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("outside: %v", err)
	}
	app.In(app.Client(t), func(ctx context.Context) {
		if err := app.EndOtherLogins(ctx); !errors.Is(err, auth.ErrNotLoggedIn) {
			t.Errorf("an anonymous visitor: %v", err)
		}
	})
}

// If a store fails at any step while logins are ended, you get an error and can try
// again; or everything has ended.
func TestEndingStoreFails(t *testing.T) {
	for _, op := range []string{"own", "another", "others", "everywhere"} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after=%v", op, after), func(t *testing.T) {
				t.Parallel()
				testapp.EachCall(t, 2, func(k int) bool {
					app, spy := newApp(t, withBearer)
					u := app.Create(t, "susan", false)
					c, other := remembered(t, app, "susan"), remembered(t, app, "susan")
					other.Restart()
					other.Who()
					token := newToken(t, app, u)
					cID, otherID := app.LoginOf(t, c).ID, app.LoginOf(t, other).ID
					do := func(ctx context.Context) error {
						switch op {
						case "own":
							return app.EndLogin(ctx, u.ID, cID)
						case "another":
							return app.EndLogin(ctx, u.ID, otherID)
						case "others":
							return app.EndOtherLogins(ctx)
						default:
							return app.LogoutEverywhere(ctx, u)
						}
					}
					var err error
					var calls []string
					before := c.Clone()
					before.Issued = slices.Clone(c.Issued)
					r := app.In(c, func(ctx context.Context) {
						if _, err := app.User(ctx); err != nil {
							t.Error(err)
						}
						spy.FailAt(k, after)
						err = do(ctx)
						calls = spy.Calls()
						spy.Reset()
					})
					want := http.StatusOK
					if err != nil {
						want = http.StatusServiceUnavailable // although the handler ignores the error
					}
					if r.StatusCode != want {
						t.Errorf("call %d: %s", k, r.Status)
					}
					if err != nil {
						if !errors.Is(err, errStore) {
							t.Errorf("call %d (%v): %v", k, calls, err)
						}
						// Try again, in the same login if it still exists.
						var again error
						if c.Who() == "susan" {
							app.In(c, func(ctx context.Context) { again = do(ctx) })
						} else {
							again = app.LogoutEverywhere(t.Context(), stored(t, app, u.ID))
							if op != "everywhere" && op != "own" {
								t.Errorf("call %d (%v): the failure ended this login", k, calls)
							}
						}
						if again != nil && !errors.Is(again, auth.ErrLoginNotFound) {
							t.Errorf("call %d (%v): the second try: %v", k, calls, again)
						}
					}
					switch what := fmt.Sprintf("call %d (%v)", k, calls); op {
					case "own":
						gone(t, what, c, before)
					case "another", "others":
						gone(t, what, other)
						if who := c.Who(); who != "susan" {
							t.Errorf("%s: this one is %q", what, who)
						}
					default:
						gone(t, what, c, before, other)
						if who := bearer(app, t, token); who != "nobody" {
							t.Errorf("%s: the token is %q", what, who)
						}
					}
					return len(calls) >= k
				})
			})
		}
	}
}

// A login keeps its ID when it becomes remembered, when its token is renewed, and when
// the browser is restarted. EndLogin ends it by an ID that a page showed before.
func TestLoginKeepsItsID(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	id := app.LoginOf(t, c).ID
	for what, next := range map[string]func(){
		"remembered":         func() { c.Post("/enter", "login", "susan", "remember", "1") },
		"renewed":            func() { c.Post("/renew") },
		"restarted":          func() { c.Restart() },
		"restarted, renewed": func() { c.Restart(); c.Who(); c.Post("/enter", "login", "susan", "remember", "1") },
		"restarted, logs in": func() { c.Restart(); c.Post("/enter", "login", "susan", "remember", "1") },
	} {
		if what == "restarted" || what == "restarted, renewed" || what == "restarted, logs in" {
			c.Post("/enter", "login", "susan", "remember", "1")
		}
		next()
		if got := app.LoginOf(t, c).ID; got != id {
			t.Errorf("%s: the ID was %s and is %s", what, id, got)
		}
		if l := logins(t, app, u.ID); len(l) != 1 || l[0].ID != id {
			t.Errorf("%s: logins %+v", what, l)
		}
	}
	if err := app.EndLogin(t.Context(), u.ID, id); err != nil {
		t.Fatal(err)
	}
	gone(t, "EndLogin", c)
	// Another login has another ID.
	c.Login("susan")
	if got := app.LoginOf(t, c).ID; got == id {
		t.Error("a new login has the ID of one that has ended")
	}
}

// If a session has run out, the browser is still remembered. Ending the login ends the
// device, too.
func TestExpiryLeavesTheDevice(t *testing.T) {
	for _, wait := range []time.Duration{time.Hour, 24 * time.Hour} { // IdleTimeout, and Lifetime
		app, _ := newApp(t, nil)
		u := app.Create(t, "susan", false)
		c := remembered(t, app, "susan")
		app.Clock.Advance(wait)
		if l := logins(t, app, u.ID); len(l) != 1 || !l[0].Remembered {
			t.Fatalf("after %v: logins %+v", wait, l)
		}
		if who := c.Clone().Who(); who != "susan" {
			t.Errorf("after %v: %q", wait, who)
		}
		if r := c.Post("/logout"); r.StatusCode != http.StatusOK {
			t.Fatal(r.Status)
		}
		gone(t, "logout", c)
	}
}

// While a login is being ended, its browser logs in again and is remembered, at each
// step of the ending. Neither the login nor the device survives.
func TestEndingCrossesRemember(t *testing.T) {
	for _, how := range []string{"EndLogin", "EndOtherLogins", "LogoutEverywhere", "NewWithLoader's LogoutEverywhere"} {
		testapp.EachCall(t, 2, func(k int) bool {
			app, store := newApp(t, nil)
			u := app.Create(t, "susan", false)
			loader, err := auth.NewWithLoader[*testapp.User](store, auth.Config{
				BaseURL: app.Config().BaseURL, Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Now: app.Clock.Now,
			})
			if err != nil {
				t.Fatal(err)
			}
			owner, other := app.Client(t), app.Client(t)
			owner.Login("susan")
			other.Login("susan")
			id := app.LoginOf(t, other).ID
			crossed := store.At(k, func() {
				app.In(other, func(ctx context.Context) {
					if u, ok := app.CurrentUser(ctx); ok { // its login has not been ended yet
						_ = app.LoginUser(ctx, u, auth.Remember(true))
					}
				})
			})
			switch how {
			case "EndLogin":
				err = app.EndLogin(t.Context(), u.ID, id)
			case "EndOtherLogins":
				app.In(owner, func(ctx context.Context) { err = app.EndOtherLogins(ctx) })
			case "LogoutEverywhere":
				err = app.LogoutEverywhere(t.Context(), u)
			default:
				err = loader.LogoutEverywhere(t.Context(), u)
			}
			store.Reset()
			if err != nil {
				t.Errorf("%s, at step %d: %v", how, k, err)
			}
			gone(t, fmt.Sprintf("%s, at step %d", how, k), other)
			return crossed()
		})
	}
}

// An anonymous visitor cannot confirm a login. In a request with its own credentials,
// ConfirmLogin makes nothing fresh.
func TestConfirmLoginNeedsALogin(t *testing.T) {
	app, _ := stateApp(t, loadedBy(byHeader()))
	u, err := app.Store.FindUser(t.Context(), "susan")
	if err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	c.Post("/put", "key", "a", "value", "1") // a visitor's session
	expectSent(t, c.Post("/confirm"), "/login")
	for range 2 {
		if r := c.Do(http.MethodGet, "/sensitive", nil, asID(u.ID)); r.Text == "granted" {
			t.Error("a request with a key is fresh")
		}
		if r := c.Do(http.MethodPost, "/confirm", nil, asID(u.ID)); r.StatusCode == http.StatusOK {
			t.Error("ConfirmLogin accepts a request with a key")
		}
	}
}

func TestConfirmLogin(t *testing.T) {
	t.Parallel()
	for _, remember := range []bool{false, true} {
		app, _ := newApp(t, nil)
		u := member(t, app, "susan", testapp.Password)
		c := app.Client(t)
		if remember {
			app.Enter(t, c, u, auth.Remember(true))
			c.Restart()
		} else {
			app.Enter(t, c, u, auth.Stale())
		}
		c.Post("/put", "key", "k", "value", "kept")
		before, old := app.LoginOf(t, c), c.Clone()
		app.Clock.Advance(30 * time.Minute)
		app.Events()
		if err := app.Confirm(t, c, testapp.Password); err != nil {
			t.Fatal(err)
		}
		events := app.Events()
		if len(events) != 1 || events[0].Kind != auth.EventLoginConfirmed || events[0].UserID != u.ID || events[0].Method != "password" || events[0].Address == "" || events[0].Err != nil {
			t.Errorf("events %+v", events)
		}
		if !app.IsFresh(t, c) {
			t.Error("not fresh")
		}
		_, a := sessionCookie(old)
		_, b := sessionCookie(c)
		if a == b || b == "" {
			t.Error("the token was not replaced")
		}
		if remember { // the remember cookie is good for another minute, but this is about the token
			for name := range old.Cookies {
				if strings.HasSuffix(name, "-remember") {
					delete(old.Cookies, name)
				}
			}
		}
		if r := c.Get("/get?key=k"); r.Text != "kept" {
			t.Errorf("the session's data is %q", r.Text)
		}
		after := app.LoginOf(t, c)
		wantMethods := []string{"password"}
		if remember {
			wantMethods = []string{"remember", "password"}
		}
		if after.ID != before.ID || !after.Created.Equal(before.Created) || !after.Expires.Equal(before.Expires) || after.Remembered != remember {
			t.Errorf("before %+v, after %+v", before, after)
		}
		if !slices.Equal(after.Methods, wantMethods) || !after.Authenticated.Equal(app.Clock.Now()) {
			t.Errorf("methods %v at %v", after.Methods, after.Authenticated)
		}
		// Confirming twice does not list the method twice.
		if err := app.Confirm(t, c, testapp.Password); err != nil {
			t.Fatal(err)
		}
		if l := app.LoginOf(t, c); !slices.Equal(l.Methods, wantMethods) {
			t.Errorf("methods %v", l.Methods)
		}
		app.Clock.Advance(time.Minute) // longer than a request with the old token may take
		if who := old.Who(); who != "nobody" {
			t.Errorf("the old token is %q", who)
		}
		if r := c.Post("/logout"); r.StatusCode != http.StatusOK {
			t.Fatal(r.Status)
		}
		for i, who := range c.Replay() {
			if who != "nobody" {
				t.Errorf("after the logout cookie %d is %q", i, who)
			}
		}
	}
}

// A login that is confirmed again and again still ends at its time.
func TestConfirmLoginDoesNotExtend(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Session.Lifetime = time.Hour })
	u := member(t, app, "susan", "")
	c := app.Client(t)
	app.Enter(t, c, u)
	for range 6 {
		app.Clock.Advance(9*time.Minute + 59*time.Second)
		if err := app.Confirm(t, c, ""); err != nil {
			t.Fatal(err)
		}
	}
	app.Clock.Advance(5 * time.Second)
	if who := c.Who(); who != "susan" {
		t.Errorf("a second before the end: %q", who)
	}
	app.Clock.Advance(time.Second)
	if who := c.Who(); who != "nobody" {
		t.Errorf("at the end: %q", who)
	}
}

// Only a password that was right in this request, and is this user's, counts as a
// method.
func TestConfirmLoginMethod(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := member(t, app, "susan", testapp.Password)
	mike := member(t, app, "mike", testapp.Password)
	for name, test := range map[string]struct {
		check func(context.Context)
		want  []string
	}{
		"nothing":        {func(context.Context) {}, []string{}},
		"right":          {func(ctx context.Context) { _, _ = app.CheckPassword(ctx, u, testapp.Password) }, []string{"password"}},
		"wrong":          {func(ctx context.Context) { _, _ = app.CheckPassword(ctx, u, "wrong password") }, []string{}},
		"another user's": {func(ctx context.Context) { _, _ = app.CheckPassword(ctx, mike, testapp.Password) }, []string{}},
		"another's after": {func(ctx context.Context) {
			_, _ = app.CheckPassword(ctx, u, testapp.Password)
			_, _ = app.CheckPassword(ctx, mike, testapp.Password)
		}, []string{}},
		"by Authenticate":  {func(ctx context.Context) { _, _ = app.Authenticate(ctx, "susan", testapp.Password) }, []string{"password"}},
		"other's by login": {func(ctx context.Context) { _, _ = app.Authenticate(ctx, "mike", testapp.Password) }, []string{}},
	} {
		c := app.Client(t)
		app.Enter(t, c, u)
		app.Act(c, nil, func(_ http.ResponseWriter, r *http.Request) {
			test.check(r.Context())
			if err := app.ConfirmLogin(r.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		if l := app.LoginOf(t, c); !slices.Equal(l.Methods, test.want) {
			t.Errorf("%s: methods %q, not %q", name, l.Methods, test.want)
		}
	}
}

func TestConfirmLoginRefuses(t *testing.T) {
	t.Parallel()
	key := auth.Credential{Load: func(r *http.Request) (auth.Grant, error) {
		return auth.Grant{UserID: r.Header.Get("X-User")}, nil
	}}
	app, _ := newApp(t, func(c *auth.Config) { c.Credentials = []auth.Credential{key} })
	u := member(t, app, "susan", "")
	if err := app.ConfirmLogin(t.Context()); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("outside: %v", err)
	}
	// If an anonymous visitor confirms, it fails, and has no effect on a user whom a
	// Credential finds in the same browser later.
	c := app.Client(t)
	c.Post("/put", "key", "k", "value", "a visitor's")
	before := c.Clone()
	app.Spy().Reset()
	if err := app.Confirm(t, c, ""); !errors.Is(err, auth.ErrNotLoggedIn) {
		t.Errorf("without a login: %v", err)
	}
	if calls := app.Spy().Calls(); !slices.Equal(calls, []string{"GetRecord"}) || fmt.Sprint(before.Cookies) != fmt.Sprint(c.Cookies) {
		t.Errorf("without a login ConfirmLogin makes the calls %v, cookies %v", calls, c.Cookies)
	}
	as := http.Header{"X-User": {u.ID}}
	for _, browser := range []*testapp.Client{c, app.Client(t)} {
		if r := browser.Do("GET", "/who", nil, as); r.Text != "susan" {
			t.Errorf("%s %q", r.Status, r.Text)
		}
		if r := browser.Do("GET", "/fresh", nil, as); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("a loader's user is fresh: %s", r.Status)
		}
		app.Act(browser, as, func(_ http.ResponseWriter, r *http.Request) {
			if err := app.ConfirmLogin(r.Context()); !errors.Is(err, auth.ErrNotLoggedIn) {
				t.Errorf("a loader's user: %v", err)
			}
			if err := app.Check(r.Context(), auth.Fresh(0)); !errors.Is(err, auth.ErrNotFresh) {
				t.Errorf("a loader's user, after that: %v", err)
			}
		})
	}
	app.Enter(t, c, u, auth.Stale())
	old := c.Clone()
	r := app.Act(c, nil, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "text")
		if err := app.ConfirmLogin(r.Context()); !errors.Is(err, auth.ErrHeaderWritten) {
			t.Errorf("after the header: %v", err)
		}
	})
	if len(r.Header["Set-Cookie"]) > 0 || app.IsFresh(t, old) {
		t.Errorf("after the header: cookies %v", r.Header["Set-Cookie"])
	}
	// In a request that has logged out.
	app.Act(c, nil, func(_ http.ResponseWriter, r *http.Request) {
		if err := app.LogoutUser(r.Context()); err != nil {
			t.Error(err)
		}
		if err := app.ConfirmLogin(r.Context()); !errors.Is(err, auth.ErrNotLoggedIn) {
			t.Errorf("logged out: %v", err)
		}
	})
	if who := c.Who(); who != "nobody" {
		t.Errorf("logged out: %q", who)
	}
}

// If a store fails at any step of a confirmation, the answer is an error. No fresh
// login exists then without the browser having its cookie.
func TestConfirmLoginStoreFails(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		testapp.EachCall(t, 3, func(k int) bool {
			app, _ := newApp(t, nil)
			u := member(t, app, "susan", "")
			c := app.Client(t)
			app.Enter(t, c, u, auth.Stale())
			old := c.Clone()
			app.Spy().FailAt(k, after)
			var confirmed error
			r := app.Act(c, nil, func(w http.ResponseWriter, r *http.Request) {
				if confirmed = app.ConfirmLogin(r.Context()); confirmed != nil {
					app.Error(w, r, confirmed)
				}
			})
			calls := app.Spy().Calls()
			app.Spy().Reset()
			failed := r.StatusCode >= 500
			if failed && (len(r.Header["Set-Cookie"]) > 0 || old.Get("/fresh").StatusCode != http.StatusSeeOther) {
				t.Errorf("call %d, after=%v: it failed, and the old login is fresh, or a cookie is set", k, after)
			}
			fresh := c.Get("/fresh").StatusCode
			app.Clock.Advance(time.Minute) // longer than a request with the old token may take
			if !failed && (fresh != http.StatusOK || old.Who() != "nobody") {
				t.Errorf("call %d, after=%v: %s, the old token is %q", k, after, r.Status, old.Who())
			}
			return len(calls) >= k
		})
	}
}

// Three confirmations at once leave one login, and none of them fails.
func TestConfirmLoginCrossesItself(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Mux.HandleFunc("POST /confirm", func(w http.ResponseWriter, r *http.Request) {
		if err := app.ConfirmLogin(r.Context()); err != nil {
			app.Error(w, r, err)
		}
	})
	u := member(t, app, "susan", "")
	for i := range 30 {
		c := app.Client(t)
		c.Login("susan")
		var wg sync.WaitGroup
		tabs := []*testapp.Client{c.Clone(), c.Clone(), c.Clone()}
		for _, tab := range tabs {
			wg.Go(func() {
				if r := tab.Post("/confirm"); r.StatusCode != http.StatusOK {
					t.Errorf("round %d: %s %s", i, r.Status, r.Header.Get("Location"))
				}
			})
		}
		wg.Wait()
		app.Clock.Advance(time.Minute)
		if who := c.Who(); who != "nobody" {
			t.Errorf("round %d: the old token is %q", i, who)
		}
		if records, err := app.Store.ListRecords(t.Context(), "session", u.ID); err != nil || len(records) != 1 {
			t.Errorf("round %d: %d logins, %v", i, len(records), err)
		}
		if err := app.LogoutEverywhere(t.Context(), stored(t, app, u.ID)); err != nil {
			t.Fatal(err)
		}
	}
}

func atMost(n int) func(*auth.Config) {
	return func(c *auth.Config) { c.Session.Max = n }
}

// alive returns the indices of the browsers that are logged in as the user.
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
					for range 3 { // rotations, and logins in the same browser, do not count
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
					if e.Kind == auth.EventLoginRevoked {
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

func TestMaxSessionsDefaultAndUnlimited(t *testing.T) {
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

// A browser that is restarted counts as one login, so no other login has to end.
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

// Tabs that open at once belong to one browser. When the login of the older tab ends,
// the login of the younger one goes on.
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

// If many browsers log in at the same moment, at most Session.Max logins are left.
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
						least = 0 // two logins that both come last end each other
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
					// The next login succeeds and stays within the limit.
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
func TestMaxSessionsEvictedLoginStaysDead(t *testing.T) {
	app, _ := newApp(t, atMost(1))
	for round := range 30 {
		name := fmt.Sprintf("susan%d", round)
		u := app.Create(t, name, false)
		old := remembered(t, app, name)
		app.Clock.Advance(2 * time.Minute)
		tabs := make([]*testapp.Client, 4)
		arrived := make(chan struct{}, len(tabs))
		release := make(chan struct{})
		var wg sync.WaitGroup
		for i := range tabs {
			tabs[i] = old.Clone()
			wg.Go(func() {
				app.In(tabs[i], func(ctx context.Context) {
					_, err := app.User(ctx)
					arrived <- struct{}{}
					<-release
					switch {
					case err != nil:
						return
					case i == 0:
						app.SessionData().Put(ctx, "n", "x")
					case i == 1:
						_ = app.SessionData().RenewToken(ctx)
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
		if who := fresh.Who(); who != name || len(logins(t, app, u.ID)) != 1 {
			t.Errorf("round %d: the new one is %q", round, who)
		}
	}
}

// If the store fails while old logins are counted, the new login is made all the same,
// and no login is ended wrongly. The next login tries again.
func TestMaxSessionsStoreFails(t *testing.T) {
	for _, after := range []bool{false, true} {
		testapp.EachCall(t, 1, func(k int) bool {
			app, spy := newApp(t, atMost(2))
			u := app.Create(t, "susan", false)
			for range 2 {
				remembered(t, app, "susan")
				app.Clock.Advance(time.Second)
			}
			c := app.Client(t)
			spy.FailAt(k, after)
			r := c.Post("/enter", "login", "susan", "remember", "1")
			calls := spy.Calls()
			spy.Reset()
			if who := c.Who(); (who == "susan") != (r.StatusCode == http.StatusOK) {
				t.Errorf("call %d (%v): %s, and %q", k, calls, r.Status, who)
			}
			app.Clock.Advance(time.Second)
			last := remembered(t, app, "susan")
			devices, err := spy.ListRecords(t.Context(), "remember", u.ID)
			if l := logins(t, app, u.ID); last.Who() != "susan" || len(l) > 2 || err != nil || len(devices) > 2 {
				t.Errorf("call %d (%v): then there are %d logins and %d devices", k, calls, len(l), len(devices))
			}
			return len(calls) >= k
		})
	}
}

// sessionCookie returns the browser's session cookie.
func sessionCookie(c *testapp.Client) (name, value string) {
	for name, value := range c.Cookies {
		if !strings.HasSuffix(name, "-remember") && !strings.HasSuffix(name, "-flash") && !strings.HasSuffix(name, "-visitor") {
			return name, value
		}
	}
	return "", ""
}
