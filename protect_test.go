package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

const (
	home      = "192.0.2.7:4711"
	firefox   = "Firefox/150"
	chromium  = "Chromium/150"
	elsewhere = "198.51.100.9:4711"
)

func protected(mode auth.Protection, address bool) func(*auth.Config) {
	return func(c *auth.Config) { c.Session.Protection, c.Session.ProtectAddress = mode, address }
}

var allChanges = map[string]struct{ agent, address string }{
	"nothing":       {firefox, home},
	"the port":      {firefox, "192.0.2.7:1"},
	"in the /24":    {firefox, "192.0.2.200:1"},
	"agent":         {chromium, home},
	"no agent":      {"", home},
	"address":       {firefox, elsewhere},
	"no address":    {firefox, "@"},
	"both":          {chromium, elsewhere},
	"case of agent": {"firefox/150", home},
	"longer agent":  {firefox + "0", home},
}

func TestProtection(t *testing.T) {
	t.Parallel()
	for _, mode := range []auth.Protection{auth.ProtectOff, auth.ProtectBasic, auth.ProtectStrong} {
		for _, address := range []bool{false, true} {
			if mode == auth.ProtectOff && address {
				continue
			}
			for _, remember := range []bool{false, true} {
				for name, to := range allChanges {
					t.Run(fmt.Sprintf("%d address=%v remembered=%v %s", mode, address, remember, name), func(t *testing.T) {
						t.Parallel()
						app, _ := newApp(t, protected(mode, address))
						u := member(t, app, "susan", "")
						owner := roamer(t, app)
						enter(t, owner, remember)
						if remember {
							owner.Restart()
						}
						if who := owner.Who(); who != "susan" || owner.IsFresh() == remember {
							t.Fatalf("the owner is %q", who)
						}
						app.Events()
						moved := strings.Contains(name, "agent") || name == "both" ||
							address && (name == "address" || name == "no address")
						thief := owner.From(to.agent, to.address)
						w := thief.Do("GET", "/who")
						wantWho := "susan"
						if moved && mode == auth.ProtectStrong {
							wantWho = "nobody"
						}
						if w.Code != http.StatusOK || w.Body.String() != wantWho || len(w.Header()["Set-Cookie"]) > 0 {
							t.Errorf("it is %d %q, cookies %v", w.Code, w.Body, w.Header()["Set-Cookie"])
						}
						wantFresh := !remember && (!moved || mode == auth.ProtectOff)
						if got := thief.IsFresh(); got != wantFresh {
							t.Errorf("there it is fresh=%v", got)
						}
						if got := owner.Who(); got != wantWho {
							t.Errorf("the owner is %q", got)
						}
						if got := owner.IsFresh(); got != wantFresh {
							t.Errorf("for the owner it is fresh=%v", got)
						}
						if wantWho == "nobody" {
							owner.Restart()
							if who := owner.Who(); who != "nobody" {
								t.Errorf("the remembered device lives: %q", who)
							}
							for _, kind := range []string{"session", "remember"} {
								if rs, err := app.Store.ListRecords(t.Context(), kind, u.ID); err != nil || len(rs) > 0 {
									t.Errorf("%d records of %s are left, %v", len(rs), kind, err)
								}
							}
						}
						wantEvents := 0
						if moved && (mode == auth.ProtectStrong || mode == auth.ProtectBasic && !remember) {
							wantEvents = 1
						}
						got := 0
						for _, e := range app.Events() {
							if e.Kind == auth.EventLoginProtected {
								got++
								if e.UserID != u.ID || e.Err == nil || e.UserAgent != to.agent {
									t.Errorf("event %+v", e)
								}
							}
						}
						if got != wantEvents {
							t.Errorf("%d events, not %d", got, wantEvents)
						}
					})
				}
			}
		}
	}
}

// Only the first 256 bytes of the User-Agent are stored, and only they count.
func TestProtectLongAgent(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, protected(auth.ProtectStrong, false))
	member(t, app, "susan", "")
	b := roamer(t, app)
	b.Agent = strings.Repeat("x", 255) + "\xc3\xa4" + strings.Repeat("\xff", 1000)
	enter(t, b, false)
	for range 3 {
		if who := b.Who(); who != "susan" {
			t.Errorf("%q", who)
		}
	}
}

func TestProtectNetworks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		at, then string
		same     bool
	}{
		{"192.0.2.7:1", "192.0.2.255:2", true},
		{"192.0.2.7:1", "192.0.3.7:1", false},
		{"192.0.2.7:1", "[::ffff:192.0.2.9]:1", true}, // IPv4 addresses written as IPv6
		{"[::ffff:192.0.2.9]:1", "192.0.2.7:1", true},
		{"[::ffff:192.0.2.9]:1", "[::ffff:192.0.3.9]:1", false}, // the same /64
		{"[2001:db8:1:2:aaaa::1]:1", "[2001:db8:1:2:bbbb::2]:9", true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
		{"[fe80::1%eth0]:1", "[fe80::1%eth1]:1", true},
		{"192.0.2.7:1", "[2001:db8:1:2::1]:1", false},
		{"[2001:db8:1:2::1]:1", "192.0.2.7:1", false},
		{"192.0.2.7:1", "pipe", false},
		{"pipe", "@", true}, // not addresses at all
		{"pipe", "192.0.2.7:1", true},
		{"192.0.2.7:1", "192.0.2.7", false}, // no port, so no address that a server reports
	} {
		app, _ := newApp(t, protected(auth.ProtectStrong, true))
		member(t, app, "susan", "")
		b := roamer(t, app)
		b.Address = test.at
		enter(t, b, false)
		want := "susan"
		if !test.same {
			want = "nobody"
		}
		if who := b.From(firefox, test.then).Who(); who != want {
			t.Errorf("from %s to %s: %q", test.at, test.then, who)
		}
	}
}

// Basic protection makes a suspicious login stale. It does so once, and the login stays
// stale.
func TestProtectBasicOnce(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, protected(auth.ProtectBasic, false))
	member(t, app, "susan", "")
	owner := roamer(t, app)
	enter(t, owner, false)
	owner.Do("POST", "/put", "key", "k", "value", "kept")
	thief := owner.From(chromium, home)
	app.Events()
	for i := range 5 {
		app.Spy().Reset()
		w := thief.Do("GET", "/who")
		want := []string{"GetRecord", "LoadUser"}
		if i == 0 {
			want = []string{"GetRecord", "UpdateRecord", "LoadUser"}
		}
		if calls := app.Spy().Calls(); !slices.Equal(calls, want) || w.Body.String() != "susan" || len(w.Header()["Set-Cookie"]) > 0 {
			t.Errorf("request %d: %q, calls %v, cookies %v", i, w.Body, calls, w.Header()["Set-Cookie"])
		}
	}
	events := slices.DeleteFunc(app.Events(), func(e auth.Event) bool { return e.Kind != auth.EventLoginProtected })
	if len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
	app.Spy().Reset()
	if owner.IsFresh() || slices.Contains(app.Spy().Calls(), "UpdateRecord") {
		t.Errorf("the owner's is fresh, or was written: %v", app.Spy().Calls())
	}
	for _, path := range []string{"/renew", "/put"} {
		if thief.Do("POST", path, "key", "a", "value", "b"); thief.IsFresh() {
			t.Errorf("fresh after %s", path)
		}
	}
	owner.Cookies = thief.Cookies // the thief's requests have rotated the token
	if owner.IsFresh() || owner.Do("GET", "/get?key=k").Body.String() != "kept" {
		t.Error("fresh for the owner, or its data is lost")
	}
}

// ConfirmLogin binds the login to the client that calls it.
func TestProtectConfirmBinds(t *testing.T) {
	t.Parallel()
	for _, address := range []bool{false, true} {
		app, _ := newApp(t, protected(auth.ProtectBasic, address))
		member(t, app, "susan", "")
		act := app.Page(func(w http.ResponseWriter, r *http.Request) {
			if err := app.ConfirmLogin(r.Context()); err != nil {
				app.Error(w, r, err)
			}
		})
		b := roamer(t, app)
		enter(t, b, false)
		updated := b.From(chromium, home)
		if address {
			updated = b.From(firefox, elsewhere)
		}
		if updated.IsFresh() {
			t.Fatal("fresh")
		}
		if w := updated.Do("POST", act); w.Code != http.StatusOK {
			t.Fatal(w.Code)
		}
		for range 2 {
			if !updated.IsFresh() {
				t.Error("confirmed, and not fresh")
			}
		}
		old := updated.From(firefox, home)
		if old.IsFresh() || updated.IsFresh() {
			t.Error("where the login was bound before, it is fresh")
		}
	}
}

// CurrentLogin and the rule Fresh notice the other client in the same request.
func TestProtectBasicAtOnce(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, protected(auth.ProtectBasic, false))
	member(t, app, "susan", "")
	b := roamer(t, app)
	enter(t, b, false)
	act := app.Page(func(_ http.ResponseWriter, r *http.Request) {
		l, err := app.CurrentLogin(r.Context())
		if err != nil || !l.Authenticated.IsZero() || app.Check(r.Context(), auth.Fresh(0)) == nil {
			t.Errorf("%+v, %v", l, err)
		}
	})
	b.From(chromium, home).Do("POST", act)
}

// Strong protection ends one login. It leaves the cookies and all other logins alone,
// and the same request may log in.
func TestProtectStrongRequest(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, protected(auth.ProtectStrong, false))
	member(t, app, "susan", "")
	mike := member(t, app, "mike", "")
	owner, phone, visitor := roamer(t, app), roamer(t, app), roamer(t, app)
	visitor.Do("POST", "/put", "key", "k", "value", "a visitor's")
	enter(t, phone, true)
	enter(t, owner, false)
	owner.Do("POST", "/put", "key", "k", "value", "susan's")
	thief := owner.From(chromium, home)
	for name, value := range visitor.Cookies { // the client has a visitor's cookie, too
		thief.Cookies[name] = value
	}
	act := app.Page(func(w http.ResponseWriter, r *http.Request) {
		if v := app.SessionData().GetString(r.Context(), "k"); v != "" {
			t.Errorf("the data of the session that was ended is there: %q", v)
		}
		if _, ok := app.CurrentUser(r.Context()); ok {
			t.Error("a user is logged in")
		}
		if err := app.LoginUser(r.Context(), mike); err != nil {
			t.Error(err)
		}
	})
	if w := thief.Do("POST", act); w.Code != http.StatusOK || thief.Who() != "mike" {
		t.Errorf("a login in that request: %d, then %q", w.Code, thief.Who())
	}
	if w := owner.Do("GET", "/who"); w.Body.String() != "nobody" || len(w.Header()["Set-Cookie"]) > 0 {
		t.Errorf("the owner is %q, cookies %v", w.Body, w.Header()["Set-Cookie"])
	}
	if who := phone.Who(); who != "susan" {
		t.Errorf("another login of the user's is %q", who)
	}
	if w := visitor.Do("GET", "/get?key=k"); w.Body.String() != "a visitor's" {
		t.Errorf("the visitor's data is %q", w.Body)
	}
}

// Guards redirect a client whose login was ended to the login page.
func TestProtectStrongGuards(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, protected(auth.ProtectStrong, false))
	member(t, app, "susan", "")
	for _, path := range []string{"/guarded", "/fresh"} {
		b := roamer(t, app)
		enter(t, b, true)
		w := b.From(chromium, home).Do("GET", path)
		if w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/login") {
			t.Errorf("%s: %d to %q", path, w.Code, w.Header().Get("Location"))
		}
	}
}

// A request with its own credentials uses no login, so protection cannot end one.
func TestProtectStrongWithCredentials(t *testing.T) {
	t.Parallel()
	for _, remember := range []bool{false, true} {
		grant := auth.Grant{}
		app, _ := newApp(t, func(c *auth.Config) {
			c.Session.Protection = auth.ProtectStrong
			c.Credentials = []auth.Credential{{Load: func(*http.Request) (auth.Grant, error) { return grant, nil }}}
		})
		member(t, app, "susan", "")
		mike := member(t, app, "mike", "")
		b := roamer(t, app)
		enter(t, b, remember)
		if who := b.Who(); who != "susan" {
			t.Fatal(who)
		}
		grant.UserID = mike.ID
		w := b.From(chromium, home).Do("GET", "/who")
		if w.Body.String() != "mike" || len(w.Header()["Set-Cookie"]) > 0 {
			t.Errorf("%q, cookies %v", w.Body, w.Header()["Set-Cookie"])
		}
		grant.UserID = ""
		if who := b.Who(); who != "susan" {
			t.Errorf("afterwards the login is %q", who)
		}
	}
}

// A remembered login is bound like any other, and stays logged in. (In Flask-Login it
// lasted for one request only.)
func TestProtectStrongRemembered(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, protected(auth.ProtectStrong, true))
	member(t, app, "susan", "")
	b := roamer(t, app)
	enter(t, b, true)
	for range 3 {
		b.Restart()
		app.Clock.Advance(2 * time.Minute)
		for i := range 5 {
			if who := b.Who(); who != "susan" {
				t.Errorf("request %d: %q", i, who)
			}
			app.Clock.Advance(20 * time.Second)
		}
	}
}

// A visitor's session is not bound to a client.
func TestProtectIgnoresVisitors(t *testing.T) {
	t.Parallel()
	for _, mode := range []auth.Protection{auth.ProtectBasic, auth.ProtectStrong} {
		app, _ := newApp(t, protected(mode, true))
		member(t, app, "susan", "")
		b := roamer(t, app)
		b.Do("POST", "/put", "key", "k", "value", "v")
		moved := b.From(chromium, elsewhere)
		app.Clock.Advance(2 * time.Minute)
		for range 2 {
			if w := moved.Do("GET", "/get?key=k"); w.Body.String() != "v" {
				t.Errorf("mode %d: the visitor's data is %q", mode, w.Body)
			}
		}
		if enter(t, moved, false); moved.Do("GET", "/get?key=k").Body.String() != "v" {
			t.Errorf("mode %d: the visitor's data is lost at the login", mode)
		}
		if slices.Contains(kinds(app.Events()), auth.EventLoginProtected) {
			t.Errorf("mode %d: an event", mode)
		}
	}
}

// If a login was made without a User-Agent, it is bound to the first User-Agent that
// uses it.
func TestProtectBindsAtFirstSight(t *testing.T) {
	t.Parallel()
	for _, mode := range []auth.Protection{auth.ProtectBasic, auth.ProtectStrong} {
		app, _ := newApp(t, protected(mode, true))
		member(t, app, "susan", "")
		b := roamer(t, app)
		b.Agent, b.Address = "", "pipe"
		enter(t, b, false)
		if !b.IsFresh() {
			t.Error("a login without a User-Agent and an address is not fresh")
		}
		app.Spy().Reset()
		seen := b.From(firefox, home)
		for i := range 3 {
			if !seen.IsFresh() {
				t.Errorf("mode %d, request %d: not fresh", mode, i)
			}
		}
		writes := slices.DeleteFunc(app.Spy().Calls(), func(c string) bool { return c != "UpdateRecord" })
		if len(writes) != 1 {
			t.Errorf("mode %d: %d writes", mode, len(writes))
		}
		if slices.Contains(kinds(app.Events()), auth.EventLoginProtected) {
			t.Errorf("mode %d: an event", mode)
		}
		if b.From(chromium, home).IsFresh() {
			t.Errorf("mode %d: fresh at another agent", mode)
		}
	}
}

// If a login was made before protection was switched on, it is bound to the client that
// made it.
func TestProtectSwitchedOn(t *testing.T) {
	t.Parallel()
	fixed := func(mode auth.Protection) func(*auth.Config) {
		return func(c *auth.Config) { c.BaseURL, c.Session.Protection = "http://localhost:1", mode }
	}
	off, _ := newApp(t, fixed(auth.ProtectOff))
	member(t, off, "susan", "")
	b := roamer(t, off)
	enter(t, b, false)
	b.App = testapp.New(t, off.Store, off.Clock, fixed(auth.ProtectStrong))
	if who := b.Who(); who != "susan" {
		t.Errorf("the same client: %q", who)
	}
	if who := b.From(chromium, home).Who(); who != "nobody" {
		t.Errorf("another client: %q", who)
	}
}

func TestProtectConfig(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		mode    auth.Protection
		address bool
		want    string
	}{
		{auth.ProtectOff, false, ""},
		{auth.ProtectBasic, true, ""},
		{auth.ProtectStrong, true, ""},
		{auth.ProtectOff, true, "ProtectAddress"},
		{-1, false, "Protection"},
		{3, false, "Protection"},
		{99, true, "Protection"},
	} {
		cfg := goodConfig()
		cfg.Session.Protection, cfg.Session.ProtectAddress = test.mode, test.address
		_, err := auth.New[*testapp.User](testapp.NewSpy(testapp.NewClock()), cfg)
		if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%d, %v: %v", test.mode, test.address, err)
		}
	}
}

// If the store fails at any step, the answer is a 5xx, neither the user's nor the
// anonymous page. The thief's next request is anonymous or stale.
func TestProtectStoreFails(t *testing.T) {
	t.Parallel()
	for _, mode := range []auth.Protection{auth.ProtectBasic, auth.ProtectStrong} {
		for _, after := range []bool{false, true} {
			for _, remember := range []bool{false, true} {
				testapp.EachCall(t, 2, func(k int) bool {
					app, _ := newApp(t, protected(mode, false))
					member(t, app, "susan", "")
					owner := roamer(t, app)
					enter(t, owner, remember)
					thief := owner.From(chromium, home)
					n := 0
					fail := func(string) error {
						if n++; n == k {
							return errStore
						}
						return nil
					}
					if after {
						app.Spy().Hook(nil, fail)
					} else {
						app.Spy().Hook(fail, nil)
					}
					w := thief.Do("GET", "/fresh")
					reached := n >= k
					app.Spy().Reset()
					if reached && w.Code != http.StatusServiceUnavailable {
						t.Errorf("mode %d, call %d, after=%v: %d to %q", mode, k, after, w.Code, w.Header().Get("Location"))
					}
					if w.Code == http.StatusOK || len(w.Header()["Set-Cookie"]) > 0 && w.Code >= 500 {
						t.Errorf("mode %d, call %d, after=%v: %d, cookies %v", mode, k, after, w.Code, w.Header()["Set-Cookie"])
					}
					who := thief.Who()
					if thief.IsFresh() || mode == auth.ProtectStrong && who != "nobody" || mode == auth.ProtectBasic && who != "susan" {
						t.Errorf("mode %d, call %d, after=%v: then %q", mode, k, after, who)
					}
					return reached
				})
			}
		}
	}
}

// If another request writes the session first, the thief is still detected.
func TestProtectConflicts(t *testing.T) {
	t.Parallel()
	for _, mode := range []auth.Protection{auth.ProtectBasic, auth.ProtectStrong} {
		for name, race := range map[string]func(*testing.T, *testapp.Visitor){
			"a write": func(t *testing.T, b *testapp.Visitor) { b.Do("POST", "/put", "key", "k", "value", "v") },
			"a touch": func(t *testing.T, b *testapp.Visitor) { b.App.Clock.Advance(2 * time.Minute); b.Who() },
			"another thief": func(t *testing.T, b *testapp.Visitor) {
				b.From("Curl/8", home).Who()
			},
			"a logout":   func(t *testing.T, b *testapp.Visitor) { b.Do("POST", "/logout") },
			"a rotation": func(t *testing.T, b *testapp.Visitor) { b.Do("POST", "/renew") },
		} {
			app, _ := newApp(t, protected(mode, false))
			member(t, app, "susan", "")
			owner := roamer(t, app)
			enter(t, owner, false)
			thief := owner.From(chromium, home)
			verb := "UpdateRecord"
			if mode == auth.ProtectStrong {
				verb = "ListRecords"
			}
			app.Events()
			var raced atomic.Bool
			app.Spy().Hook(func(call string) error {
				if call == verb && raced.CompareAndSwap(false, true) {
					race(t, owner)
				}
				return nil
			}, nil)
			w := thief.Do("GET", "/fresh")
			if !raced.Load() {
				t.Fatalf("mode %d, %s: no race", mode, name)
			}
			if w.Code != http.StatusSeeOther {
				t.Errorf("mode %d, %s: %d", mode, name, w.Code)
			}
			stolen := 0
			for _, k := range kinds(app.Events()) {
				if k == auth.EventLoginProtected {
					stolen++
				}
			}
			if mode == auth.ProtectBasic && stolen > 1 {
				t.Errorf("%s: %d events", name, stolen)
			}
			ended := name == "a rotation" || name == "a logout" // either of these makes the thief's token worthless
			if mode == auth.ProtectBasic && !ended && (owner.Who() != "susan" || owner.IsFresh()) {
				t.Errorf("%s: the owner is %q, and fresh=%v", name, owner.Who(), owner.IsFresh())
			}
			if thief.IsFresh() {
				t.Errorf("mode %d, %s: then it is fresh", mode, name)
			}
			if mode == auth.ProtectStrong && owner.Who() != "nobody" {
				t.Errorf("%s: the owner is %q", name, owner.Who())
			}
		}
	}
}

// The thief and the owner send requests at the same moment, many times. In the end the
// login is stale, or has ended.
func TestProtectRaces(t *testing.T) {
	t.Parallel()
	for _, mode := range []auth.Protection{auth.ProtectBasic, auth.ProtectStrong} {
		app, _ := newApp(t, protected(mode, false))
		member(t, app, "susan", "")
		for i := range 50 {
			owner := roamer(t, app)
			enter(t, owner, i%2 == 0)
			thief := owner.From(chromium, home)
			writing := owner.From(firefox, home)
			if i%4 >= 2 {
				app.Clock.Advance(2 * time.Minute)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				writing.Do("POST", "/put", "key", "k", "value", fmt.Sprint(i))
			}()
			if thief.IsFresh() {
				t.Errorf("mode %d, round %d: fresh for the thief", mode, i)
			}
			<-done
			want := "susan"
			if mode == auth.ProtectStrong {
				want = "nobody"
			}
			if who := owner.Who(); who != want || owner.IsFresh() {
				t.Errorf("mode %d, round %d: %q, fresh=%v", mode, i, who, owner.IsFresh())
			}
		}
	}
}

// Protection checks the remember cookie, too. From another client, Strong ends the
// device and its logins. Basic accepts the cookie, but nothing is fresh until the user
// confirms the login.
func TestProtectionOfTheRememberCookie(t *testing.T) {
	t.Parallel()
	for _, mode := range []auth.Protection{auth.ProtectOff, auth.ProtectBasic, auth.ProtectStrong} {
		for _, address := range []bool{false, true} {
			if mode == auth.ProtectOff && address {
				continue
			}
			for name, to := range allChanges {
				t.Run(fmt.Sprintf("%d address=%v %s", mode, address, name), func(t *testing.T) {
					t.Parallel()
					app, _ := newApp(t, protected(mode, address))
					u := member(t, app, "susan", "")
					owner := roamer(t, app)
					enter(t, owner, true)
					owner.Restart()
					app.Events()
					moved := mode != auth.ProtectOff && (strings.Contains(name, "agent") || name == "both" ||
						address && (name == "address" || name == "no address"))
					want, events, left := "susan", []auth.EventKind{auth.EventLoginSucceeded}, 1
					switch {
					case moved && mode == auth.ProtectStrong:
						want, events, left = "nobody", []auth.EventKind{auth.EventLoginProtected}, 0
					case moved:
						events = []auth.EventKind{auth.EventLoginProtected, auth.EventLoginSucceeded}
					}
					thief := owner.From(to.agent, to.address)
					for range 3 {
						if who := thief.Who(); who != want {
							t.Errorf("it is %q", who)
						}
					}
					if got := kinds(app.Events()); !slices.Equal(got, events) {
						t.Errorf("events %v, want %v", got, events)
					}
					for _, kind := range []string{"session", "remember"} {
						if r, err := app.Store.ListRecords(t.Context(), kind, u.ID); err != nil || (len(r) > 0) != (left > 0) {
							t.Errorf("%d records of kind %s, %v", len(r), kind, err)
						}
					}
				})
			}
		}
	}
}

// ConfirmLogin binds the device of the login to the client, too. After a restart the
// device works there, and no longer in the earlier client.
func TestConfirmLoginBindsTheDevice(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, protected(auth.ProtectStrong, false))
	basic := testapp.New(t, app.Store, app.Clock, func(c *auth.Config) {
		c.BaseURL, c.Session.Protection = app.Config().BaseURL, auth.ProtectBasic
	})
	basic.Mux.HandleFunc("POST /confirm", func(w http.ResponseWriter, r *http.Request) {
		if err := basic.ConfirmLogin(r.Context()); err != nil {
			basic.Error(w, r, err)
		}
	})
	member(t, app, "susan", "")
	owner := roamer(t, basic)
	enter(t, owner, true)
	owner.Agent = chromium // as if the browser was updated
	if w := owner.Do("POST", "/confirm"); w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	owner.Restart()
	owner.App = app // with strong protection
	if who := owner.Who(); who != "susan" {
		t.Errorf("after it was confirmed: %q", who)
	}
	owner.Restart()
	if who := owner.From(firefox, home).Who(); who != "nobody" {
		t.Errorf("in the earlier client: %q", who)
	}
}

// If a login could not be ended, it is still anonymous for the listeners of the event.
func TestProtectedEventHasNoUser(t *testing.T) {
	t.Parallel()
	var app *testapp.App
	var st *testapp.Spy
	app, st = newApp(t, func(c *auth.Config) {
		c.Session.Protection = auth.ProtectStrong
		c.OnEvent = func(ctx context.Context, e auth.Event) {
			if e.Kind != auth.EventLoginProtected {
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
	st.Fail("TakeRecord")
	if r := c.Do("GET", "/who", nil, http.Header{"User-Agent": {"thief/1"}}); r.StatusCode != http.StatusServiceUnavailable {
		t.Error(r.Status)
	}
	st.Reset()
}

// If two requests come from different clients at first sight, the login is bound to
// only one of them.
func TestProtectBindsOneOfTwoAtFirstSight(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, protected(auth.ProtectBasic, false))
	member(t, app, "susan", "")
	owner := roamer(t, app).From("", home)
	enter(t, owner, false)
	thief := owner.From(chromium, home)
	other := owner.From(firefox, home)
	var raced atomic.Bool
	app.Spy().Hook(func(call string) error {
		if call == "UpdateRecord" && raced.CompareAndSwap(false, true) {
			other.Who()
		}
		return nil
	}, nil)
	if w := thief.Do("GET", "/fresh"); w.Code == http.StatusOK {
		t.Errorf("bound to another client, and fresh: %d", w.Code)
	}
}

func protect(p auth.Protection) func(*auth.Config) {
	return func(c *auth.Config) { c.Session.Protection = p }
}

// A remembered browser that comes back with the same User-Agent is logged in. From
// another one, Basic accepts the remember cookie (such a login is stale anyway), and
// Strong ends the device.
func TestProtectAfterRestart(t *testing.T) {
	for _, p := range []auth.Protection{auth.ProtectBasic, auth.ProtectStrong} {
		app, _ := stateApp(t, protect(p))
		c := app.Client(t)
		c.Do(http.MethodPost, "/as/remembered", nil, agent("old"))
		c.Restart()
		app.Events()
		for range 4 {
			expectState(t, c, agent("old"), "susan stale remembered")
		}
		expectEvents(t, app, auth.EventLoginSucceeded)
		c.Restart()
		want, events := "susan stale remembered", []auth.EventKind{auth.EventLoginProtected, auth.EventLoginSucceeded}
		if p == auth.ProtectStrong {
			want, events = "nobody", events[:1]
		}
		for range 4 {
			expectState(t, c, agent("new"), want)
		}
		expectEvents(t, app, events...)
	}
}

// A visitor's session data does not end a remembered login.
func TestProtectKeepsARememberedVisitor(t *testing.T) {
	for _, p := range []auth.Protection{auth.ProtectOff, auth.ProtectBasic, auth.ProtectStrong} {
		app, _ := stateApp(t, protect(p))
		c := app.Client(t)
		c.Do(http.MethodPost, "/as/remembered", nil, agent("old"))
		c.Restart()
		for range 2 { // a page that does not ask for the user
			c.Do(http.MethodPost, "/put", url.Values{"key": {"foo"}, "value": {"bar"}}, agent("old"))
		}
		if len(c.Cookies) != 2 {
			t.Fatalf("cookies %v", c.Cookies)
		}
		for range 3 {
			expectState(t, c, agent("old"), "susan stale remembered")
		}
		if r := c.Do(http.MethodGet, "/get?key=foo", nil, agent("old")); r.Text != "bar" {
			t.Errorf("the visitor's data: %q", r.Text)
		}
	}
}

func TestProtectStoresNothingForVisitors(t *testing.T) {
	for _, p := range []auth.Protection{auth.ProtectOff, auth.ProtectBasic, auth.ProtectStrong} {
		app, spy := stateApp(t, protect(p))
		c := app.Client(t)
		spy.Reset()
		for _, path := range []string{"/", "/state"} {
			for _, name := range []string{"one", "another"} {
				if r := c.Do(http.MethodGet, path, nil, agent(name)); len(r.Cookies()) > 0 {
					t.Errorf("%s: cookies %v", path, r.Cookies())
				}
			}
		}
		expectEvents(t, app)
		if len(spy.Calls()) > 0 {
			t.Errorf("calls %v", spy.Calls())
		}
	}
}

// An address in X-Forwarded-For is ignored unless the proxy is trusted.
func TestForwardedForIsIgnored(t *testing.T) {
	app, _ := stateApp(t, func(c *auth.Config) { c.Session.Protection, c.Session.ProtectAddress = auth.ProtectStrong, true })
	c := app.Client(t)
	c.Do(http.MethodPost, "/as/plain", nil, http.Header{"X-Forwarded-For": {"10.1.1.1"}})
	for _, from := range []string{"10.1.1.1", "10.1.1.1, 10.1.1.2", "192.0.2.7", ""} {
		expectState(t, c, http.Header{"X-Forwarded-For": {from}}, "susan fresh")
	}
	for _, e := range app.Events() {
		if e.Address != "127.0.0.1" {
			t.Errorf("%+v", e)
		}
	}
}

func agent(name string) http.Header { return http.Header{"User-Agent": {name}} }

// roamer returns a visitor from home with a User-Agent.
func roamer(t *testing.T, app *testapp.App) *testapp.Visitor {
	v := app.Visitor(t.Context(), home)
	v.Agent = firefox
	return v
}
