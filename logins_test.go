package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// An insider runs functions in requests of its application.
type insider struct {
	*testapp.App
	mu   sync.Mutex
	todo []func(context.Context)
}

func newInsider(app *testapp.App) *insider {
	i := &insider{App: app}
	app.Mux.HandleFunc("POST /inside", func(_ http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PostFormValue("n"))
		if err != nil {
			panic(err)
		}
		i.mu.Lock()
		f := i.todo[n]
		i.mu.Unlock()
		f(r.Context())
	})
	return i
}

// in runs f in a request of the browser's.
func (i *insider) in(c *testapp.Client, f func(ctx context.Context)) *testapp.Response {
	i.mu.Lock()
	n := len(i.todo)
	i.todo = append(i.todo, f)
	i.mu.Unlock()
	return c.Post("/inside", "n", strconv.Itoa(n))
}

// current is the browser's CurrentLogin.
func (i *insider) current(t *testing.T, c *testapp.Client) (l auth.Login) {
	t.Helper()
	var err error
	i.in(c, func(ctx context.Context) { l, err = i.CurrentLogin(ctx) })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// logins are the user's, as somebody sees them who is not one of them.
func logins(t *testing.T, app *testapp.App, userID string) []auth.Login {
	t.Helper()
	l, err := app.Logins(t.Context(), userID)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// enterBy logs in with a user agent.
func enterBy(t *testing.T, c *testapp.Client, name, agent string, remember bool) {
	t.Helper()
	form := url.Values{"login": {name}}
	if remember {
		form.Set("remember", "1")
	}
	if r := c.Do(http.MethodPost, "/enter", form, http.Header{"User-Agent": {agent}}); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
}

// gone wants every cookie that the browsers ever had to be nobody's: what they
// have now, each alone, and each with any of another name. The newest come first,
// and remember cookies last: an old one is a theft, which ends all.
func gone(t *testing.T, what string, browsers ...*testapp.Client) {
	t.Helper()
	for b, c := range browsers {
		if who := c.Clone().Who(); who != "nobody" {
			t.Errorf("%s: browser %d as it is is %q", what, b, who)
		}
		together := map[string][]string{}
		for _, cookie := range slices.Backward(c.Issued) {
			together[cookie.Name] = append(together[cookie.Name], cookie.Value)
		}
		for _, a := range pairs(together) {
			d := c.Clone()
			d.Cookies = a
			if who := d.Who(); who != "nobody" {
				t.Errorf("%s: browser %d with %d cookies is %q", what, b, len(a), who)
			}
		}
	}
}

// pairs has every way to send one, or none, of the values of each name.
func pairs(values map[string][]string) []map[string]string {
	all := []map[string]string{{}}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, one := range slices.Clone(all) {
			for _, value := range values[name] {
				with := map[string]string{name: value}
				for k, v := range one {
					with[k] = v
				}
				all = append(all, with)
			}
		}
	}
	return all
}

func TestLogins(t *testing.T) {
	plain, _ := newApp(t, nil)
	app := newInsider(plain)
	start := app.Clock.Now()
	u := member(t, plain, "susan", testapp.Password)
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
	tablet.Restart() // a device without a login
	phone.Restart()
	if who := phone.Who(); who != "susan" { // with one that was made from it
		t.Fatal(who)
	}
	app.Clock.Advance(time.Minute)
	laptop.Who()
	laptop.Post("/renew") // it stays one login

	want := []auth.Login{{
		Created: start, Seen: start.Add(16 * time.Minute), Expires: start.Add(24 * time.Hour), Authenticated: start,
		Methods: []string{"password"}, UserAgent: "laptop/1",
	}, {
		Created: start.Add(5 * time.Minute), Seen: start.Add(15 * time.Minute), Expires: start.Add(5*time.Minute + 30*24*time.Hour),
		Methods: []string{"remember"}, UserAgent: "Go-http-client/1.1", Remembered: true,
	}, {
		// Its session is one that the browser has lost, and that is still good
		// for whoever has copied its cookie.
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
	check("outside", logins(t, plain, u.ID), -1)
	for name, browser := range map[string]struct {
		c       *testapp.Client
		current int
	}{"laptop": {laptop, 0}, "mike": {mike, -1}, "a stranger": {app.Client(t), -1}} {
		app.in(browser.c, func(ctx context.Context) {
			got, err := app.Logins(ctx, u.ID)
			if err != nil {
				t.Error(err)
			}
			check(name, got, browser.current)
		})
	}
	// One that is resumed in the request that asks.
	var got []auth.Login
	var l auth.Login
	app.in(tablet, func(ctx context.Context) {
		var err1, err2 error
		got, err1 = app.Logins(ctx, u.ID)
		l, err2 = app.CurrentLogin(ctx)
		if err1 != nil || err2 != nil {
			t.Error(err1, err2)
		}
	})
	i := slices.IndexFunc(got, func(l auth.Login) bool { return l.Current })
	if len(got) != 3 || i < 0 || !got[i].Created.Equal(start.Add(10*time.Minute)) || !got[i].Authenticated.IsZero() || got[i].ID != l.ID || !l.Current {
		t.Errorf("resumed in this request: %+v, of which current: %+v", got, l)
	}
	for j := range got {
		if j != i && got[j].Current {
			t.Error("two are current")
		}
	}
}

// A page and CurrentLogin say the same of a login.
func TestCurrentLoginIsInTheList(t *testing.T) {
	plain, _ := newApp(t, nil)
	app := newInsider(plain)
	u := app.Create(t, "susan", false)
	c := remembered(t, plain, "susan")
	for _, state := range []string{"at the login", "resumed"} {
		l, list := app.current(t, c), logins(t, plain, u.ID)
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

// A device that is forgotten while the login goes on is not remembered.
func TestLoginsRememberedNoMore(t *testing.T) {
	for name, end := range map[string]func(*insider, *testapp.Client){
		"own change of password": func(_ *insider, c *testapp.Client) { c.Post("/password", "password", "another good password") },
		"expired":                func(app *insider, _ *testapp.Client) { app.Clock.Advance(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			plain, _ := hookedApp(t, func(c *auth.Config) { c.RememberFor = time.Minute })
			app := newInsider(plain)
			u := app.Create(t, "susan", false)
			c := remembered(t, plain, "susan")
			end(app, c)
			if who := c.Who(); who != "susan" {
				t.Fatal(who)
			}
			if l := logins(t, plain, u.ID); len(l) != 1 || l[0].Remembered {
				t.Errorf("it outlives nothing any more: %+v", l)
			}
			if err := app.EndLogin(t.Context(), u.ID, logins(t, plain, u.ID)[0].ID); err != nil {
				t.Error(err)
			}
			gone(t, "EndLogin", c)
		})
	}
}

// What is not good any more is not listed.
func TestLoginsLeaveOut(t *testing.T) {
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	here := func(c *auth.Config) { c.BaseURL = "http://localhost:1" }
	app := testapp.New(t, store, clock, here)
	strict := testapp.New(t, store, clock, func(c *auth.Config) { here(c); c.IdleTimeout = 10 * time.Minute })
	u := app.Create(t, "susan", false)
	remembered(t, app, "susan") // of an old Stamp
	a := u.Clone()
	a.Stamp = auth.NewSecret("new")
	if err := store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	app.Client(t).Login("susan") // idle, for one of the two
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

// What a page may show says nothing that opens anything.
func TestLoginsHaveNoSecrets(t *testing.T) {
	plain, spy := newApp(t, nil)
	app := newInsider(plain)
	u := app.Create(t, "susan", false)
	c := remembered(t, plain, "susan")
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
	text, err := json.Marshal([]any{logins(t, plain, u.ID), app.current(t, c)})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if strings.Contains(string(text), secret) {
			t.Errorf("%s is in %s", secret, text)
		}
	}
	// And what it says is no cookie.
	for _, l := range logins(t, plain, u.ID) {
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
	plain, spy := newApp(t, nil)
	app := newInsider(plain)
	u := app.Create(t, "susan", false)
	c := remembered(t, plain, "susan")
	for _, id := range []string{"", "unknown", "susan", "\x00", strings.Repeat("x", 5000)} {
		if l, err := app.Logins(t.Context(), id); !errors.Is(err, auth.ErrUserNotFound) || l != nil {
			t.Errorf("%.20q: %v, %v", id, l, err)
		}
	}
	deleted := app.Create(t, "mike", false)
	remembered(t, plain, "mike")
	deleteUser(t, plain, deleted.ID)
	if _, err := app.Logins(t.Context(), deleted.ID); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("deleted: %v", err)
	}

	// It costs one list of each kind, and never more.
	spy.reset(0, false)
	logins(t, plain, u.ID)
	if calls := spy.Calls(); !slices.Equal(calls, []string{"load", "list", "list"}) {
		t.Errorf("calls outside: %v", calls)
	}
	for k := 1; k <= 3; k++ {
		spy.reset(k, false)
		if l, err := app.Logins(t.Context(), u.ID); !errors.Is(err, errDown) || l != nil {
			t.Errorf("call %d fails: %v, %v", k, l, err)
		}
	}
	spy.reset(0, false)
	app.in(c, func(ctx context.Context) {
		if _, err := app.Logins(ctx, u.ID); err != nil {
			t.Error(err)
		}
	})
	if calls := spy.Calls(); spy.writes() > 0 || len(calls) > 5 {
		t.Errorf("calls inside: %v", calls)
	}
	// Who cannot tell which login is the current one does not guess.
	app.in(c, func(ctx context.Context) {
		spy.reset(1, false)
		if l, err := app.Logins(ctx, u.ID); !errors.Is(err, errDown) || l != nil {
			t.Errorf("inside: %v, %v", l, err)
		}
	})
	spy.reset(0, false)
	app.in(app.Client(t), func(ctx context.Context) {
		if _, err := app.CurrentLogin(ctx); !errors.Is(err, auth.ErrNotLoggedIn) {
			t.Errorf("a stranger's CurrentLogin: %v", err)
		}
	})
	if _, err := app.CurrentLogin(t.Context()); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("CurrentLogin outside: %v", err)
	}
}

// A rotation that is under way is one login still.
func TestLoginsDuringRotation(t *testing.T) {
	app, trap, _ := newTrap(t, nil)
	u := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	id := logins(t, app, u.ID)[0].ID
	looked := 0
	trap.hook = func(_ context.Context, op, kind string) error {
		if op == "take" && kind == "session" {
			looked++
			if records, err := trap.ListRecords(t.Context(), "session", u.ID); err != nil || len(records) != 2 {
				t.Errorf("%d records, %v: this is no rotation", len(records), err)
			}
			if l := logins(t, app, u.ID); len(l) != 1 || l[0].ID != id {
				t.Errorf("%+v", l)
			}
		}
		return nil
	}
	c.Post("/renew")
	trap.hook = nil
	if l := logins(t, app, u.ID); looked == 0 || len(l) != 1 || l[0].ID != id {
		t.Errorf("then: %+v", l)
	}
}

func TestEndLogin(t *testing.T) {
	for _, remember := range []bool{false, true} {
		for _, who := range []string{"itself", "another browser", "the admin", "nobody inside"} {
			t.Run(fmt.Sprintf("by %s, remembered %v", who, remember), func(t *testing.T) {
				plain, _ := newApp(t, nil)
				app := newInsider(plain)
				u := app.Create(t, "susan", false)
				other := remembered(t, plain, "susan")
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
				id := app.current(t, c).ID
				end := func(ctx context.Context) {
					if err := app.EndLogin(ctx, u.ID, id); err != nil {
						t.Error(err)
					}
				}
				app.Events()
				switch who {
				case "itself":
					app.in(c, func(ctx context.Context) {
						end(ctx)
						if _, err := app.User(ctx); !errors.Is(err, auth.ErrNotLoggedIn) {
							t.Errorf("then it is %v", err)
						}
					})
					if len(c.Cookies) > 0 {
						t.Errorf("its cookies: %v", c.Cookies)
					}
				case "another browser":
					app.in(other, end)
				case "nobody inside":
					app.in(app.Client(t), end)
				default:
					end(t.Context())
				}
				kind := auth.EventSessionEnded
				if who == "itself" {
					kind = auth.EventLogout
				}
				if e := app.Events(); len(e) != 1 || e[0].Kind != kind || e[0].UserID != u.ID {
					t.Errorf("events %v", e)
				}
				gone(t, "ended", c)
				if who := other.Who(); who != "susan" {
					t.Errorf("the other browser is %q", who)
				}
				if l := logins(t, plain, u.ID); len(l) != 1 {
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

// Nobody ends another user's login, nor one that is not there.
func TestEndLoginNotFound(t *testing.T) {
	plain, spy := newApp(t, nil)
	app := newInsider(plain)
	susan, mike := app.Create(t, "susan", false), app.Create(t, "mike", false)
	s, m := remembered(t, plain, "susan"), remembered(t, plain, "mike")
	sID, mID := app.current(t, s).ID, app.current(t, m).ID
	records, err := spy.ListRecords(t.Context(), "session", susan.ID)
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	_, cookie := rememberCookie(t, s)
	spy.reset(0, false)
	app.Events()
	for _, try := range []struct{ user, id string }{
		{susan.ID, mID}, {mike.ID, sID}, {"unknown", sID}, {susan.ID, ""}, {susan.ID, "x"}, {susan.ID, sID[1:]}, {susan.ID, sID + "x"},
		{susan.ID, strings.ToLower(sID)}, {susan.ID, records[0].Key}, {susan.ID, cookie}, {susan.ID, strings.Repeat("A", 1<<16)}, {susan.ID, "\x00%"},
	} {
		for name, ctx := range map[string]*testapp.Client{"outside": nil, "susan": s, "mike": m, "a stranger": app.Client(t)} {
			var err error
			if ctx == nil {
				err = app.EndLogin(t.Context(), try.user, try.id)
			} else {
				app.in(ctx, func(ctx context.Context) { err = app.EndLogin(ctx, try.user, try.id) })
			}
			if !errors.Is(err, auth.ErrLoginNotFound) {
				t.Errorf("%s ends %q %.20q: %v", name, try.user, try.id, err)
			}
		}
	}
	if n := spy.writes(); n > 0 {
		t.Errorf("%d writes", n)
	}
	if e := app.Events(); len(e) > 0 {
		t.Errorf("events %v", e)
	}
	if a, b := s.Who(), m.Who(); a != "susan" || b != "mike" {
		t.Errorf("then they are %q and %q", a, b)
	}
	// Without a user there is nothing to end, and not everything.
	for _, id := range []string{"", "x", sID} {
		app.in(s, func(ctx context.Context) {
			if err := app.EndLogin(ctx, "", id); err == nil {
				t.Errorf("no user, %q: no error", id)
			}
		})
	}
	if a, b := s.Who(), m.Who(); a != "susan" || b != "mike" {
		t.Errorf("then they are %q and %q", a, b)
	}
	r := httpError(t, plain, auth.ErrLoginNotFound)
	if r != http.StatusNotFound {
		t.Errorf("ErrLoginNotFound is answered %d", r)
	}
}

// httpError is the status that an error is answered with.
func httpError(t *testing.T, app *testapp.App, err error) int {
	t.Helper()
	app.Mux.HandleFunc("GET /error", func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, err) })
	return app.Client(t).Get("/error").StatusCode
}

func TestEndOtherLogins(t *testing.T) {
	plain, _ := newApp(t, nil)
	app := newInsider(plain)
	u, _ := app.Create(t, "susan", false), app.Create(t, "mike", false)
	mike := remembered(t, plain, "mike")
	for _, remember := range []bool{false, true} {
		c, a, b, lost := app.Client(t), app.Client(t), remembered(t, plain, "susan"), remembered(t, plain, "susan")
		enterBy(t, c, "susan", "c/1", remember)
		a.Login("susan")
		b.Restart()
		b.Who()
		lost.Restart() // a device alone
		if remember {
			c.Restart()
			c.Who()
		}
		app.Events()
		app.in(c, func(ctx context.Context) {
			if err := app.EndOtherLogins(ctx); err != nil {
				t.Error(err)
			}
		})
		if e := app.Events(); len(e) != 1 || e[0].Kind != auth.EventSessionEnded {
			t.Errorf("events %v", e)
		}
		gone(t, "the others", a, b, lost)
		if who := c.Who(); who != "susan" {
			t.Errorf("this one is %q", who)
		}
		if l := logins(t, plain, u.ID); len(l) != 1 || l[0].Remembered != remember {
			t.Errorf("left: %+v", l)
		}
		app.in(c, func(ctx context.Context) { // there are none
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
	app.in(app.Client(t), func(ctx context.Context) {
		if err := app.EndOtherLogins(ctx); !errors.Is(err, auth.ErrNotLoggedIn) {
			t.Errorf("a stranger: %v", err)
		}
	})
}

// bearer asks who it is with an API token.
func bearer(app *testapp.App, t *testing.T, token auth.Secret) string {
	r := app.Client(t).Do(http.MethodGet, "/who", nil, http.Header{"Authorization": {"Bearer " + token.Reveal()}})
	if r.StatusCode != http.StatusOK {
		return r.Status
	}
	return r.Text
}

func withBearer(c *auth.Config) { c.RequestLoaders = []auth.RequestLoader{auth.BearerLoader()} }

func newToken(t *testing.T, app *testapp.App, u *testapp.User) auth.Secret {
	t.Helper()
	token, _, err := app.NewAPIToken(t.Context(), u, auth.APIToken{
		Name: "ci", Scopes: []string{auth.ScopeAll}, Expires: app.Clock.Now().Add(365 * 24 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestLogoutEverywhere(t *testing.T) {
	for _, by := range []string{"a browser of the user's", "an API token", "the admin"} {
		t.Run(by, func(t *testing.T) {
			plain, spy := newApp(t, withBearer)
			app := newInsider(plain)
			u, m := app.Create(t, "susan", false), app.Create(t, "mike", false)
			mike, mikes := remembered(t, plain, "mike"), newToken(t, plain, m)
			a, b, c := remembered(t, plain, "susan"), app.Client(t), remembered(t, plain, "susan")
			b.Login("susan")
			a.Restart()
			a.Who()
			c.Restart()
			token := newToken(t, plain, u)
			if who := bearer(plain, t, token); who != "susan" {
				t.Fatal(who)
			}
			everywhere := func(ctx context.Context) {
				if err := app.LogoutEverywhere(ctx, u); err != nil {
					t.Error(err)
				}
				if _, err := app.User(ctx); err == nil {
					t.Error("the request that did it is still somebody's")
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
				app.in(a, everywhere)
				if len(a.Cookies) > 0 {
					t.Errorf("its cookies: %v", a.Cookies)
				}
			}
			if e := app.Events(); len(e) != 1 || e[0].Kind != auth.EventLogoutEverywhere || e[0].UserID != u.ID {
				t.Errorf("events %v", e)
			}
			gone(t, "everywhere", a, b, c)
			if who := bearer(plain, t, token); who != "nobody" {
				t.Errorf("the token is %q", who)
			}
			if l := logins(t, plain, u.ID); len(l) > 0 {
				t.Errorf("left: %+v", l)
			}
			for _, kind := range []string{"session", "remember", "api-token"} {
				if r, err := spy.ListRecords(t.Context(), kind, u.ID); err != nil || len(r) > 0 {
					t.Errorf("%d records of kind %s are left, %v", len(r), kind, err)
				}
			}
			if who, program := mike.Who(), bearer(plain, t, mikes); who != "mike" || program != "mike" {
				t.Errorf("mike is %q and %q", who, program)
			}
			b.Login("susan") // and again
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

// An application with a loader has the same, but for the Stamp.
func TestLogoutEverywhereWithLoader(t *testing.T) {
	users := map[string]*testapp.User{"7": {Account: auth.Account{ID: "7", Username: "susan"}}}
	records := memstore.NewRecords()
	manager, err := auth.NewLoader(auth.LoaderFunc[*testapp.User](func(_ context.Context, id string) (*testapp.User, error) {
		return users[id], nil
	}), auth.Config{
		BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Records: records, RequestLoaders: []auth.RequestLoader{auth.BearerLoader()},
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

// A store that fails at any step of an ending gives an error, after which it
// can be done again; or it is done, and nothing is left.
func TestEndingStoreFails(t *testing.T) {
	for _, op := range []string{"own", "another", "others", "everywhere"} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after=%v", op, after), func(t *testing.T) {
				t.Parallel()
				for k := 1; ; k++ {
					plain, spy := newApp(t, withBearer)
					app := newInsider(plain)
					u := app.Create(t, "susan", false)
					c, other := remembered(t, plain, "susan"), remembered(t, plain, "susan")
					other.Restart()
					other.Who()
					token := newToken(t, plain, u)
					cID, otherID := app.current(t, c).ID, app.current(t, other).ID
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
					r := app.in(c, func(ctx context.Context) {
						if _, err := app.User(ctx); err != nil {
							t.Error(err)
						}
						spy.reset(k, after)
						err = do(ctx)
						calls = spy.Calls()
						spy.reset(0, false)
					})
					want := http.StatusOK
					if err != nil {
						want = http.StatusServiceUnavailable // though the handler says nothing
					}
					if r.StatusCode != want {
						t.Errorf("call %d: %s", k, r.Status)
					}
					if err != nil {
						if !errors.Is(err, errDown) {
							t.Errorf("call %d (%v): %v", k, calls, err)
						}
						// Again, from wherever it can be done.
						var again error
						if c.Who() == "susan" {
							app.in(c, func(ctx context.Context) { again = do(ctx) })
						} else {
							again = app.LogoutEverywhere(t.Context(), reload(t, plain, u.ID))
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
						if who := bearer(plain, t, token); who != "nobody" {
							t.Errorf("%s: the token is %q", what, who)
						}
					}
					if len(calls) < k {
						if k < 3 {
							t.Errorf("only %v", calls)
						}
						return
					}
				}
			})
		}
	}
}

// A login keeps its ID when it becomes remembered, when it is renewed, and when the
// browser is restarted: EndLogin ends it by the ID that a page has shown before.
func TestLoginKeepsItsID(t *testing.T) {
	app, _ := newApp(t, nil)
	i := newInsider(app)
	u := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	id := i.current(t, c).ID
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
		if got := i.current(t, c).ID; got != id {
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
	// Another login has another one.
	c.Login("susan")
	if got := i.current(t, c).ID; got == id {
		t.Error("a new login has the ID of one that has ended")
	}
}

// A browser whose session has run out is still remembered; an ending that somebody
// asks for ends that, too.
func TestExpiryLeavesTheDevice(t *testing.T) {
	for _, wait := range []time.Duration{time.Hour, 24 * time.Hour} { // idle, and Lifetime
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

// In one tab the user logs in again and is remembered. A logout from another tab,
// whose page is older, ends all of it, with each of the tokens that it may have.
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
					continue // it was not remembered
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

// While somebody ends a login, its browser logs in again and is remembered: at each
// moment between the steps of the ending. Nothing of it is left.
func TestEndingCrossesRemember(t *testing.T) {
	for _, how := range []string{"EndLogin", "EndOtherLogins", "LogoutEverywhere", "NewLoader's LogoutEverywhere"} {
		for k := 1; ; k++ {
			app, store := hookedApp(t, nil)
			i := newInsider(app)
			u := app.Create(t, "susan", false)
			loader, err := auth.NewLoader[*testapp.User](store, auth.Config{
				BaseURL: app.Core().BaseURL(), Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Now: app.Clock.Now,
			})
			if err != nil {
				t.Fatal(err)
			}
			owner, other := app.Client(t), app.Client(t)
			owner.Login("susan")
			other.Login("susan")
			id := i.current(t, other).ID
			calls, crossed := 0, false
			store.hook(func(string) error {
				if calls++; calls == k && !crossed {
					crossed = true
					i.in(other, func(ctx context.Context) {
						if u, ok := app.CurrentUser(ctx); ok { // its login has not been ended yet
							_ = app.LoginUser(ctx, u, auth.Remember(true))
						}
					})
				}
				return nil
			}, nil)
			switch how {
			case "EndLogin":
				err = app.EndLogin(t.Context(), u.ID, id)
			case "EndOtherLogins":
				i.in(owner, func(ctx context.Context) { err = app.EndOtherLogins(ctx) })
			case "LogoutEverywhere":
				err = app.LogoutEverywhere(t.Context(), u)
			default:
				err = loader.LogoutEverywhere(t.Context(), u)
			}
			store.hook(nil, nil)
			if err != nil {
				t.Errorf("%s, at step %d: %v", how, k, err)
			}
			gone(t, fmt.Sprintf("%s, at step %d", how, k), other)
			if !crossed {
				if k < 3 {
					t.Errorf("%s has %d steps", how, k)
				}
				break
			}
		}
	}
}

// Confirming.

func TestFlaskConfirmLogin(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	c.Post("/as/remembered")
	c.Restart()
	expectState(t, c, nil, "susan stale remembered")
	app.Events()
	before := c.Clone()
	c.Post("/confirm")
	expectEvents(t, app, auth.EventConfirmed)
	expectState(t, c, nil, "susan fresh remembered")
	for name, value := range before.Cookies {
		if !strings.HasSuffix(name, "-remember") && c.Cookies[name] == value {
			t.Error("the token is the same")
		}
	}
}

// Nobody cannot be confirmed, and a request with a key of its own gains nothing
// by it.
func TestFlaskConfirmNeedsLogin(t *testing.T) {
	app, _ := flaskApp(t, flaskKeys)
	u, err := app.Store.FindUser(t.Context(), "susan")
	if err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	c.Post("/put", "key", "a", "value", "1") // a visitor's session
	expectSent(t, c.Post("/confirm"), "/login")
	for range 2 {
		if r := c.Do(http.MethodGet, "/sensitive", nil, flaskKey(u.ID)); r.Text == "granted" {
			t.Error("a key is fresh")
		}
		if r := c.Do(http.MethodPost, "/confirm", nil, flaskKey(u.ID)); r.StatusCode == http.StatusOK {
			t.Error("a key was confirmed")
		}
	}
}
