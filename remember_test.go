package auth_test

import (
	"context"
	"encoding/base64"
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

func TestRemember(t *testing.T) {
	app, spy := newApp(t, nil)
	app.Create(t, "susan", false)

	c := app.Client(t)
	c.Login("susan")
	c.Restart()
	if who := c.Who(); who != "nobody" {
		t.Errorf("not remembered, and after a restart %q", who)
	}

	c = remembered(t, app, "susan")
	for _, cookie := range c.Issued {
		lasts := cookie.MaxAge == 30*24*60*60
		if lasts != strings.HasSuffix(cookie.Name, "-remember") || !cookie.HttpOnly || cookie.Path != "/" || cookie.SameSite != http.SameSiteLaxMode {
			t.Errorf("cookie %v", cookie)
		}
	}
	for range 5 {
		c.Restart()
		app.Clock.Advance(time.Hour)
		_, before := rememberCookie(t, c)
		spy.Reset()
		if r := c.Get("/"); len(r.Header["Set-Cookie"]) > 0 || len(spy.Calls()) > 0 {
			t.Errorf("a page that does not ask for the user: %v", spy.Calls())
		}
		if who := c.Who(); who != "susan" {
			t.Fatalf("after a restart: %q", who)
		}
		if _, after := rememberCookie(t, c); after == before {
			t.Error("the cookie was not used up")
		}
		spy.Reset()
		if who := c.Who(); who != "susan" || spy.Writes() != 2 { // one request notes that the browser has both cookies
			t.Errorf("the next page: %q, %v", who, spy.Calls())
		}
		spy.Reset()
		if who := c.Who(); who != "susan" || spy.Writes() > 0 {
			t.Errorf("the page after that: %q, %v", who, spy.Calls())
		}
	}
	// A device expires at the time set at first, however often it is used.
	app.Clock.Advance(30*24*time.Hour - 5*time.Hour - time.Second)
	c.Restart()
	atTheEnd := c.Clone()
	if who := c.Who(); who != "susan" {
		t.Errorf("a second before the end: %q", who)
	}
	app.Clock.Advance(time.Second)
	if who := atTheEnd.Who(); who != "nobody" {
		t.Errorf("at the end: %q", who)
	}
}

// Whatever ends the login also ends the device: every cookie ever issued is dead.
func TestRememberEnds(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *testapp.App, *testapp.Client, *testapp.User){
		"logout": func(_ *testing.T, _ *testapp.App, c *testapp.Client, _ *testapp.User) { c.Post("/logout") },
		"logout by the remember cookie alone": func(_ *testing.T, _ *testapp.App, c *testapp.Client, _ *testapp.User) {
			c.Post("/logout")
		},
		"a change of password elsewhere": func(t *testing.T, app *testapp.App, _ *testapp.Client, u *testapp.User) {
			if err := app.SetPassword(t.Context(), stored(t, app, u.ID), "another good password"); err != nil {
				t.Fatal(err)
			}
		},
		"a new stamp": func(t *testing.T, app *testapp.App, _ *testapp.Client, u *testapp.User) {
			a := u.Clone()
			a.Stamp = auth.NewSecret("new")
			if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		},
		"disabled": func(t *testing.T, app *testapp.App, _ *testapp.Client, u *testapp.User) {
			a := u.Clone()
			a.Disabled = true
			if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			app, _ := newApp(t, nil)
			u := app.Create(t, "susan", false)
			c := remembered(t, app, "susan")
			c.Restart()
			if who := c.Who(); who != "susan" {
				t.Fatal(who)
			}
			if strings.HasSuffix(name, "alone") {
				c.Restart()
			}
			end(t, app, c, u)
			for i, who := range c.Replay() {
				if who != "nobody" {
					t.Errorf("cookie %d is %q", i, who)
				}
			}
			if records, err := app.Store.ListRecords(t.Context(), "remember", u.ID); err != nil || len(records) > 0 {
				t.Errorf("%d devices are left, %v", len(records), err)
			}
		})
	}
}

// If the user changes the password in the remembered browser, its session goes on and
// the device is forgotten.
func TestRememberOwnPasswordChange(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	if r := c.Post("/password", "password", "another good password"); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
	if who := c.Who(); who != "susan" {
		t.Errorf("after the change: %q", who)
	}
	if len(c.Cookies) != 1 {
		t.Errorf("cookies %v", c.Cookies)
	}
	for i, who := range c.Replay()[:2] {
		if who != "nobody" {
			t.Errorf("cookie %d of before is %q", i, who)
		}
	}
}

// If many tabs open at once, all are logged in and none is taken for a thief.
func TestRememberTabs(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	c.Restart()
	var wg sync.WaitGroup
	tabs := make([]*testapp.Client, 20)
	for i := range tabs {
		tabs[i] = c.Clone()
		wg.Go(func() {
			if who := tabs[i].Who(); who != "susan" {
				t.Errorf("tab %d: %q", i, who)
			}
		})
	}
	wg.Wait()
	_, want := rememberCookie(t, tabs[0])
	for i, tab := range tabs {
		if _, got := rememberCookie(t, tab); got != want {
			t.Errorf("tab %d has another next cookie", i)
		}
		if r := tab.Get("/who"); r.Text != "susan" || len(r.Header["Set-Cookie"]) > 0 {
			t.Errorf("tab %d did not keep its session: %q, %v", i, r.Text, r.Header["Set-Cookie"])
		}
		tab.Restart()
	}
	app.Clock.Advance(time.Hour)
	if who := tabs[7].Who(); who != "susan" {
		t.Errorf("later: %q", who)
	}
	for _, e := range app.Events() {
		if e.Kind == auth.EventRememberStolen {
			t.Error("a tab was taken for a thief")
		}
	}
}

// A logout while a device is being resumed also ends the login that results.
func TestLogoutCrossesResume(t *testing.T) {
	for _, used := range []bool{false, true} { // the current cookie, and the one before
		app, store := newApp(t, nil)
		u := app.Create(t, "susan", false)
		c := remembered(t, app, "susan")
		tab := c.Clone()
		tab.Restart()
		if used {
			c.Restart()
			if who := c.Who(); who != "susan" {
				t.Fatal(who)
			}
		}
		store.HookCalls(func(_ context.Context, call testapp.Call) error {
			if call.Method == "InsertRecord" {
				store.Reset()
				if call.Kind != "session" {
					t.Errorf("inserted a %s", call.Kind)
				}
				c.Post("/logout")
			}
			return nil
		}, nil)
		if who := tab.Who(); who != "nobody" {
			t.Errorf("the tab is %q", who)
		}
		c.Issued = append(c.Issued, tab.Issued...)
		for i, who := range c.Replay() {
			if who != "nobody" {
				t.Errorf("cookie %d is %q", i, who)
			}
		}
		if records, err := store.ListRecords(t.Context(), "session", u.ID); err != nil || len(records) > 0 {
			t.Errorf("%d sessions are left, %v", len(records), err)
		}
	}
}

// If a remember cookie is used after the browser received the next one, the device and
// its logins end, whether the owner or the thief comes second. The next cookie counts
// as received when the browser sends it, or sends the session that came with it.
func TestRememberTheft(t *testing.T) {
	for _, ownerFirst := range []bool{true, false} {
		for _, shown := range []string{"by the session", "by the next cookie"} {
			app, _ := newApp(t, nil)
			u := app.Create(t, "susan", false)
			owner := remembered(t, app, "susan")
			elsewhere := app.Client(t)
			elsewhere.Login("susan")
			owner.Restart()
			thief := owner.Clone()
			first, second := owner, thief
			if !ownerFirst {
				first, second = thief, owner
			}
			for range 2 {
				if who := first.Who(); who != "susan" {
					t.Fatal(who)
				}
				if shown == "by the next cookie" {
					first.Restart()
				}
			}
			app.Events()
			if who := second.Who(); who != "nobody" {
				t.Errorf("%s: the second use: %q", shown, who)
			}
			events := app.Events()
			if len(events) != 1 || events[0].Kind != auth.EventRememberStolen || events[0].UserID != u.ID {
				t.Errorf("%s: events %v", shown, events)
			}
			gone(t, shown, first, second)
			if who := elsewhere.Who(); who != "susan" {
				t.Errorf("%s: another login of the user's: %q", shown, who)
			}
		}
	}
}

// If another user logs in in the same browser, the device is forgotten. So it is if the
// same user logs in without "remember me".
func TestRememberIsReplaced(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	app.Create(t, "mike", false)
	for _, next := range []string{"mike", "susan"} {
		c := remembered(t, app, "susan")
		old := c.Clone()
		c.Login(next)
		c.Restart()
		old.Restart()
		if a, b := c.Who(), old.Who(); a != "nobody" || b != "nobody" {
			t.Errorf("after a login as %s: %q, with the old cookie %q", next, a, b)
		}
	}
}

func TestRememberGarbage(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	name, good := rememberCookie(t, c)
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	values := []string{"", "x", strings.Repeat("A", 70), strings.Repeat("A", 5000), good[:len(good)-1], good + "A"}
	for i := range raw {
		bad := []byte(string(raw))
		bad[i] ^= 1
		values = append(values, base64.RawURLEncoding.EncodeToString(bad))
	}
	for _, value := range values {
		alone := app.Client(t)
		alone.Cookies[name] = value
		if who := alone.Who(); who != "nobody" {
			t.Errorf("%.80q is %q", value, who)
		}
	}
	c.Restart()
	if who := c.Who(); who != "susan" {
		t.Errorf("after all that: %q", who)
	}
}

// After a rotation of the secrets, a cookie made with the old secret is good. The next
// cookie is made with the new one.
func TestRememberSecretsRotate(t *testing.T) {
	old, fresh := []byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"), []byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo")
	configure := func(secrets ...[]byte) func(*auth.Config) {
		return func(c *auth.Config) { c.BaseURL, c.Secrets = "http://localhost:1", secrets }
	}
	first, spy := newApp(t, configure(old))
	first.Create(t, "susan", false)
	c := remembered(t, first, "susan")
	c.Restart()
	second := testapp.New(t, spy, first.Clock, configure(fresh, old))
	d := second.Client(t)
	d.Cookies = c.Clone().Cookies
	if who := d.Who(); who != "susan" {
		t.Errorf("both secrets: %q", who)
	}
	d.Restart()
	third := testapp.New(t, spy, first.Clock, configure(fresh))
	e := third.Client(t)
	e.Cookies = d.Cookies
	if who := e.Who(); who != "susan" {
		t.Errorf("the successor: %q", who)
	}
	f := third.Client(t)
	f.Cookies = c.Cookies
	if who := f.Who(); who != "nobody" {
		t.Errorf("the old secret is gone: %q", who)
	}
}

// If the store fails while a device is resumed, the answer is a 5xx, and the cookie
// works when the store does again.
func TestRememberStoreFails(t *testing.T) {
	testapp.EachCall(t, 3, func(k int) bool {
		app, spy := newApp(t, nil)
		app.Create(t, "susan", false)
		c := remembered(t, app, "susan")
		c.Restart()
		spy.FailAt(k, false)
		r := c.Get("/who")
		calls := len(spy.Calls())
		spy.Reset()
		if r.StatusCode < 500 && r.Text != "susan" { // logged in, whether or not old records were deleted
			t.Errorf("call %d fails: %s %q", k, r.Status, r.Text)
		}
		if who := c.Who(); who != "susan" {
			t.Errorf("after call %d failed: %q", k, who)
		}
		return calls >= k
	})
}

// When a device is used, the logins that it made from earlier cookies end, except those
// of tabs opened at the same moment.
func TestRememberEndsLostLogins(t *testing.T) {
	app, store := newApp(t, nil)
	app.Create(t, "susan", false)
	lost := remembered(t, app, "susan")
	c := lost.Clone()
	c.Restart()
	tab := c.Clone()
	app.Clock.Advance(time.Minute)
	store.Hook(func(call string) error {
		if call != "ListRecords" {
			return nil
		}
		store.Reset()
		app.Clock.Advance(time.Second)
		if who := tab.Who(); who != "susan" {
			t.Errorf("the other tab: %q", who)
		}
		return nil
	}, nil)
	if who := c.Who(); who != "susan" {
		t.Errorf("the tab: %q", who)
	}
	for name, browser := range map[string]*testapp.Client{"the tab": c, "the other tab": tab} {
		if r := browser.Get("/who"); r.Text != "susan" || len(r.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s did not keep its session: %q, %v", name, r.Text, r.Header["Set-Cookie"])
		}
	}
	for name := range lost.Cookies {
		if strings.HasSuffix(name, "-remember") {
			delete(lost.Cookies, name)
		}
	}
	if who := lost.Who(); who != "nobody" {
		t.Errorf("the login that the browser has lost: %q", who)
	}
}

// If the store fails while a device is resumed, a second call in the same request does
// not report an anonymous visitor.
func TestRememberFailureIsNotAnonymous(t *testing.T) {
	app, spy := newApp(t, nil)
	app.Create(t, "susan", false)
	app.Mux.HandleFunc("GET /twice", func(_ http.ResponseWriter, r *http.Request) {
		if _, err := app.User(r.Context()); !errors.Is(err, errStore) {
			t.Errorf("at first: %v", err)
		}
		spy.FailAt(1, false)
		if _, err := app.User(r.Context()); !errors.Is(err, errStore) {
			t.Errorf("again: %v", err)
		}
		if u, err := app.User(r.Context()); err != nil || u.Username != "susan" {
			t.Errorf("when the store is well: %v", err)
		}
	})
	c := remembered(t, app, "susan")
	c.Restart()
	spy.FailAt(1, false)
	c.Get("/twice")
}

// lostAnswers are ways in which the answer to a browser's first request after a restart
// loses its cookies. Each comes with a function that sends the request.
func lostAnswers(t *testing.T, app *testapp.App) map[string]func(*testapp.Client) {
	t.Helper()
	type answered struct{} // the key of a channel that is closed when this request has its answer
	known := make(chan struct{}, 1)
	app.Mux.HandleFunc("POST /lost/{how}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := app.User(r.Context()); err != nil {
			t.Error(err)
		}
		known <- struct{}{}
		switch r.PathValue("how") {
		case "panic":
			panic(http.ErrAbortHandler)
		case "hijack": // WebSocket libraries do this and write a header of their own
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			_ = rw.Flush()
			_ = conn.Close()
		case "timeout":
			done, _ := r.Context().Value(answered{}).(chan struct{})
			<-done // if the handler returned when the time is up, its answer might be sent
		default:
			<-r.Context().Done()
		}
	})
	inner := app.Server.Config.Handler
	app.Server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/lost/timeout" {
			inner.ServeHTTP(w, r)
			return
		}
		done := make(chan struct{})
		defer close(done)
		ctx, cancel := context.WithCancel(context.WithValue(r.Context(), answered{}, done))
		defer cancel()
		go func() { <-known; cancel() }() // the time is up when the session is stored
		http.TimeoutHandler(inner, time.Hour, "slow").ServeHTTP(w, r.WithContext(ctx))
	})
	send := func(c *testapp.Client, how string, sent func(cancel func())) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, app.Server.URL+"/lost/"+how, nil) // net/http does not send a POST a second time
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range c.Cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		sent(cancel)
		res, err := c.HTTP.Do(r)
		if err == nil {
			if got := res.Cookies(); len(got) > 0 {
				t.Errorf("%s: the answer has cookies: %v", how, got)
			}
			_ = res.Body.Close()
		}
	}
	return map[string]func(*testapp.Client){
		"the client hangs up": func(c *testapp.Client) {
			send(c, "slow", func(cancel func()) { go func() { <-known; cancel() }() })
		},
		"the handler panics":          func(c *testapp.Client) { send(c, "panic", func(func()) {}); <-known },
		"http.TimeoutHandler answers": func(c *testapp.Client) { send(c, "timeout", func(func()) {}) },
		"the connection is hijacked":  func(c *testapp.Client) { send(c, "hijack", func(func()) {}); <-known },
	}
}

// If an answer never reaches the browser, it uses up nothing. The old cookie stays good
// until the browser has shown the next one, or the session that came with it. Neither
// the time nor the number of lost answers matters.
func TestRememberAnswerLost(t *testing.T) {
	for _, how := range []string{"the client hangs up", "the handler panics", "http.TimeoutHandler answers", "the connection is hijacked"} {
		t.Run(how, func(t *testing.T) {
			box := &testapp.Outbox{}
			app, _ := newApp(t, func(c *auth.Config) { c.Mailer = box })
			lose := lostAnswers(t, app)[how]
			app.Create(t, "susan", false)
			c := remembered(t, app, "susan")
			for range 3 {
				c.Restart()
				for range 3 {
					app.Clock.Advance(25 * time.Hour)
					lose(c)
				}
				for range 2 {
					if who := c.Who(); who != "susan" {
						t.Fatalf("the owner is %q", who)
					}
				}
			}
			if n := thefts(app.Events()); n > 0 || len(box.Take()) > 0 {
				t.Errorf("lost answers caused %d alarms", n)
			}
		})
	}
}

// Until the browser has shown its next cookie, the old one is good for 30 more uses.
// Later uses are refused without an alarm. The next cookie is good all the time.
func TestRememberLostThirtyTimes(t *testing.T) {
	app, _ := newApp(t, func(c *auth.Config) { c.Session.Max = -1 })
	app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	c.Restart()
	for i := range 31 {
		if who := c.Clone().Who(); who != "susan" {
			t.Fatalf("use %d: %q", i, who)
		}
		app.Clock.Advance(time.Hour)
	}
	app.Events()
	late := c.Clone()
	if who := late.Who(); who != "nobody" {
		t.Errorf("use 31: %q", who)
	}
	if e := app.Events(); len(e) != 1 || e[0].Kind != auth.EventLoginRefused || !errors.Is(e[0].Err, auth.ErrLocked) {
		t.Errorf("events %v", e)
	}
}

// slowRequest sends a request with a browser's cookies. Its body arrives when finish is
// called, and only then does its handler ask for the user.
func slowRequest(t *testing.T, app *testapp.App, c *testapp.Client) (finish func() *http.Response) {
	t.Helper()
	body, write := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, app.Server.URL+"/upload", body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range c.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	arrived, answers := make(chan struct{}), make(chan *http.Response, 1)
	r.Header.Set("X-Id", "x")
	app.Mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		if _, err := app.User(r.Context()); err != nil {
			app.Error(w, r, err)
		}
	})
	go func() {
		res, err := c.HTTP.Do(r)
		if err != nil {
			t.Error(err)
			res = &http.Response{Body: http.NoBody, Header: http.Header{}}
		}
		_ = res.Body.Close()
		answers <- res
	}()
	<-arrived
	return func() *http.Response {
		_ = write.Close()
		return <-answers
	}
}

// The time a request arrived counts. If an upload began before another tab used the
// cookie, it is no theft, however long it takes. The upload gets a session, but no
// remember cookie that is older than the browser's.
func TestRememberSlowUpload(t *testing.T) {
	for _, seen := range []bool{false, true} {
		app, _ := newApp(t, nil)
		app.Create(t, "susan", false)
		c := remembered(t, app, "susan")
		c.Restart()
		finish := slowRequest(t, app, c)
		app.Clock.Advance(time.Second)
		c.Who()
		if seen {
			c.Who()
		}
		_, newest := rememberCookie(t, c)
		app.Clock.Advance(10 * time.Minute)
		app.Events()
		res := finish()
		if res.StatusCode != http.StatusOK {
			t.Errorf("seen %v: the upload: %s", seen, res.Status)
		}
		for _, cookie := range res.Cookies() {
			if strings.HasSuffix(cookie.Name, "-remember") && (seen || cookie.Value != newest) {
				t.Errorf("seen %v: the upload sets another remember cookie", seen)
			}
		}
		if who := c.Who(); who != "susan" {
			t.Errorf("seen %v: the other tab afterwards: %q", seen, who)
		}
		c.Restart()
		if who := c.Who(); who != "susan" {
			t.Errorf("seen %v: after a restart: %q", seen, who)
		}
		if n := thefts(app.Events()); n > 0 {
			t.Errorf("seen %v: %d thefts", seen, n)
		}
	}
}

// The same holds if Credentials delay the reading of the session until the handler asks
// for the user.
func TestRememberSlowUploadWithCredentials(t *testing.T) {
	app, _ := newApp(t, func(c *auth.Config) {
		c.Credentials = []auth.Credential{{Load: func(*http.Request) (auth.Grant, error) { return auth.Grant{}, nil }}}
	})
	app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	c.Restart()
	finish := slowRequest(t, app, c)
	app.Clock.Advance(time.Second)
	for range 2 {
		c.Who()
	}
	app.Clock.Advance(10 * time.Minute)
	app.Events()
	if res := finish(); res.StatusCode != http.StatusOK {
		t.Errorf("the upload: %s", res.Status)
	}
	if n := thefts(app.Events()); n > 0 || c.Who() != "susan" {
		t.Errorf("%d thefts, and the other tab is %q", n, c.Who())
	}
}

// If the cookie was used up before the upload began, it is a theft.
func TestRememberSlowUploadOfThief(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	owner, old := stolen(t, app)
	finish := slowRequest(t, app, old)
	app.Clock.Advance(10 * time.Minute)
	if res := finish(); res.StatusCode < 300 {
		t.Errorf("the upload: %s", res.Status)
	}
	if n := thefts(app.Events()); n != 1 {
		t.Errorf("%d thefts", n)
	}
	gone(t, "theft", owner, old)
}

// Two servers whose clocks differ by a minute, either way, do not take the tabs of one
// browser for a theft, even during a long upload.
func TestRememberClocksDiffer(t *testing.T) {
	for _, skew := range []time.Duration{-time.Minute, -time.Second, time.Second, time.Minute} {
		app, _ := newApp(t, nil)
		app.Create(t, "susan", false)
		clock := testapp.NewClock()
		clock.Advance(skew)
		other := testapp.New(t, app.Store, clock, nil)
		elsewhere := func(c *testapp.Client) *testapp.Client { // the same browser at the other server
			_, value := rememberCookie(t, c)
			d := other.Client(t)
			d.Cookies[other.Cookie("remember").Name] = value
			return d
		}
		c := remembered(t, app, "susan")
		c.Restart()
		first, second := elsewhere(c), elsewhere(c)
		finish := slowRequest(t, other, second)
		for _, tab := range []*testapp.Client{first, c, c, first} {
			if who := tab.Who(); who != "susan" {
				t.Fatalf("skew %v: %q", skew, who)
			}
		}
		app.Clock.Advance(2 * time.Minute)
		clock.Advance(2 * time.Minute)
		if res := finish(); res.StatusCode != http.StatusOK {
			t.Errorf("skew %v: the upload: %s", skew, res.Status)
		}
		if n := thefts(append(app.Events(), other.Events()...)); n > 0 {
			t.Errorf("skew %v: %d thefts", skew, n)
		}
	}
}

// If the store cannot note that the browser received its cookie, the page is still
// served. The next request notes it, and a copy of the old cookie is then detected.
func TestRememberReceivedStoreFails(t *testing.T) {
	for _, call := range []string{"GetRecord", "UpdateRecord"} {
		app, store := newApp(t, nil)
		app.Create(t, "susan", false)
		c := remembered(t, app, "susan")
		c.Restart()
		thief := c.Clone()
		c.Who()
		n := 0
		store.Hook(func(name string) error {
			if name != call {
				return nil
			}
			if n++; call == "GetRecord" && n != 2 { // the first one reads the session
				return nil
			}
			return errors.New("the store is down")
		}, nil)
		if who := c.Who(); call == "GetRecord" && who != "susan" {
			t.Errorf("%s fails: %q", call, who)
		}
		store.Reset()
		if n == 0 {
			t.Fatalf("no %s", call)
		}
		if who := c.Who(); who != "susan" {
			t.Errorf("%s failed: %q", call, who)
		}
		app.Events()
		thief.Who()
		if got := thefts(app.Events()); got != 1 {
			t.Errorf("%s failed: %d thefts", call, got)
		}
	}
}

// A failing session store must not make remembered users look like victims of a theft.
func TestOutageIsNoTheft(t *testing.T) {
	app, st := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Post("/enter", "login", "susan", "remember", "y")
	c.Restart()
	st.HookCalls(func(_ context.Context, call testapp.Call) error {
		if call.Method == "InsertRecord" && call.Kind == "session" {
			return errStore
		}
		return nil
	}, nil)
	if who := c.Who(); who != "503" {
		t.Errorf("during the outage: %q", who)
	}
	st.Reset()
	app.Clock.Advance(61 * time.Second)
	app.Events()
	who := c.Who()
	for _, e := range app.Events() {
		t.Log("event", e.Kind)
		if e.Kind == auth.EventRememberStolen {
			t.Error("the owner's cookie, never successfully used, is reported stolen")
		}
	}
	if who != "susan" {
		t.Error("susan is", who)
	}
}

// A remember cookie cannot make sessions without limit, although no hash is computed.
func TestRememberCookieMakesFewSessions(t *testing.T) {
	app, _ := newApp(t, nil)
	user := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Post("/enter", "login", "susan", "remember", "y")
	c.Restart()
	start := time.Now()
	const n = 5000
	for range n {
		d := c.Clone() // always the same cookie, which is good for another minute
		d.Who()
	}
	list, _ := app.Store.ListRecords(t.Context(), "session", user.ID)
	t.Log(len(list), "records in", time.Since(start), "hashes", app.PasswordHashes())
	if len(list) > 100 {
		t.Error("sessions from one remember cookie:", len(list))
	}
}

// If another user logs in in the same browser, the device is forgotten first. A store
// that cannot do that fails the login, so that no copy of the cookie stays good.
func TestLoginAsAnotherForgetsTheDevice(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	member(t, app, "susan", "")
	member(t, app, "mike", "")
	c := app.Client(t)
	if r := c.Post("/enter", "login", "susan", "remember", "y"); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
	copied := c.Clone()
	copied.Restart()
	fails := true
	store.Hook(func(call string) error {
		if call == "TakeRecord" && fails {
			fails = false
			return errStore
		}
		return nil
	}, nil)
	if r := c.Post("/enter", "login", "mike"); r.StatusCode != http.StatusServiceUnavailable || c.Who() != "susan" {
		t.Errorf("the store fails: %s, and it is %s", r.Status, c.Who())
	}
	store.Reset()
	if r := c.Post("/enter", "login", "mike"); r.StatusCode != http.StatusOK || c.Who() != "mike" {
		t.Errorf("%s, and it is %s", r.Status, c.Who())
	}
	if who := copied.Who(); who != "nobody" {
		t.Errorf("a copy of susan's cookie is %s", who)
	}
}

func TestTheftMail(t *testing.T) {
	box := &testapp.Outbox{}
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer = box })
	u := app.Create(t, "susan", false)
	change(t, app, u.ID, func(a *auth.Account) { a.Email = "Susan@App.example" })
	owner, old := stolen(t, app)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for range 20 {
		c := old.Clone()
		wg.Go(func() {
			<-start
			if who := c.Who(); who != "nobody" {
				t.Errorf("a copy is %q", who)
			}
		})
	}
	close(start)
	wg.Wait()
	gone(t, "theft", owner, old)
	mails := box.Take()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	m := mails[0]
	if m.Kind != auth.MailStolen || m.To != "Susan@App.example" || m.User == nil || m.User.AuthAccount().ID != u.ID ||
		!m.Link.IsZero() || m.Lifetime != 0 {
		t.Errorf("mail %+v", m)
	}
	var alarms []auth.Event
	for _, e := range app.Events() {
		if e.Kind == auth.EventRememberStolen {
			alarms = append(alarms, e)
		} else {
			t.Errorf("event %v", e)
		}
	}
	if len(alarms) != 1 || alarms[0].UserID != u.ID || alarms[0].Address != "127.0.0.1" || alarms[0].Method != "remember" || alarms[0].Err == nil {
		t.Fatalf("events %v", alarms)
	}
	text := fmt.Sprintf("%+v %v", alarms[0], alarms[0].Err) + app.Logs() + fmt.Sprintf("%+v", mails)
	for _, cookie := range owner.Issued {
		if strings.Contains(text, cookie.Value) || strings.Contains(text, cookie.Value[:20]) {
			t.Error("a cookie is in the event, the log or the mail")
		}
	}
	m.Failed(errors.New("no such mailbox"))
	if e := app.Events(); len(e) != 1 || e[0].Kind != auth.EventMailFailed || e[0].UserID != u.ID {
		t.Errorf("given up later: %v", e)
	}
	// Each device can raise its own alarm.
	_, old = stolen(t, app)
	old.Who()
	if n := len(box.Take()); n != 1 {
		t.Errorf("the next theft: %d mails", n)
	}
}

// Without a mailer, or without an address that takes mail, no mail is sent. The logins
// end all the same.
func TestTheftWithoutMail(t *testing.T) {
	for name, with := range map[string]struct {
		mailer  bool
		refuses bool
		change  func(*testing.T, *testapp.App, *testapp.User)
		events  []auth.EventKind
	}{
		"no mailer": {events: []auth.EventKind{auth.EventRememberStolen}},
		"no address": {mailer: true, change: func(t *testing.T, app *testapp.App, u *testapp.User) {
			change(t, app, u.ID, func(a *auth.Account) { a.Email = "" })
		}, events: []auth.EventKind{auth.EventRememberStolen}},
		"deleted": {mailer: true, change: func(t *testing.T, app *testapp.App, u *testapp.User) {
			deleteUser(t, app, u.ID)
		}, events: []auth.EventKind{auth.EventRememberStolen}},
		"disabled": {mailer: true, change: func(t *testing.T, app *testapp.App, u *testapp.User) {
			change(t, app, u.ID, func(a *auth.Account) { a.Disabled = true })
		}, events: []auth.EventKind{auth.EventRememberStolen}},
		"a mailer that refuses": {mailer: true, refuses: true, events: []auth.EventKind{auth.EventRememberStolen, auth.EventMailFailed}},
	} {
		t.Run(name, func(t *testing.T) {
			box := &testapp.Outbox{}
			app, _ := newApp(t, func(c *auth.Config) {
				if with.mailer {
					c.Mailer = box
				}
			})
			u := app.Create(t, "susan", false)
			owner, old := stolen(t, app)
			if with.refuses {
				box.Fail(errors.New("the queue is full"))
			}
			if with.change != nil {
				with.change(t, app, u)
			}
			if r := old.Get("/who"); r.StatusCode != http.StatusOK || r.Text != "nobody" {
				t.Errorf("%s %q", r.Status, r.Text)
			}
			if got := kinds(app.Events()); !slices.Equal(got, with.events) {
				t.Errorf("events %v", got)
			}
			if mails := box.Take(); len(mails) > 0 {
				t.Errorf("%d mails", len(mails))
			}
			for _, kind := range []string{"session", "remember"} {
				if r, err := app.Store.ListRecords(t.Context(), kind, u.ID); err != nil || len(r) > 0 {
					t.Errorf("%d records of kind %s, %v", len(r), kind, err)
				}
			}
			gone(t, name, owner, old)
		})
	}
}

// A store fails at any step while a theft is handled. If the same cookie is sent again,
// all logins end and the owner gets the mail.
func TestTheftStoreFails(t *testing.T) {
	for _, after := range []bool{false, true} {
		testapp.EachCall(t, 3, func(k int) bool {
			box := &testapp.Outbox{}
			app, spy := newApp(t, func(c *auth.Config) { c.Mailer = box })
			app.Create(t, "susan", false)
			elsewhere := app.Client(t)
			elsewhere.Login("susan")
			owner, old := stolen(t, app)
			spy.FailAt(k, after)
			r := old.Get("/who")
			calls := spy.Calls()
			spy.Reset()
			switch {
			case r.StatusCode >= 500 && len(r.Header["Set-Cookie"]) > 0, r.StatusCode < 500 && r.Text != "nobody":
				t.Errorf("call %d (%v): %s %q", k, calls, r.Status, r.Text)
			}
			if who := old.Who(); who != "nobody" {
				t.Errorf("call %d (%v): again, and %q", k, calls, who)
			}
			gone(t, fmt.Sprintf("call %d (%v), after=%v", k, calls, after), owner, old)
			thefts := 0
			var failed bool
			for _, e := range app.Events() {
				switch e.Kind {
				case auth.EventRememberStolen:
					thefts++
				case auth.EventMailFailed:
					failed = true
				}
			}
			// If an alarm was stored but the store's answer got lost, it is not raised
			// again.
			unknown := after && calls[len(calls)-1] == "UpdateRecord" && thefts == 0
			if n := len(box.Take()); !unknown && (thefts != 1 || n != 1 && !failed) {
				t.Errorf("call %d (%v), after=%v: %d events and %d mails", k, calls, after, thefts, n)
			}
			if who := elsewhere.Who(); who != "susan" {
				t.Errorf("call %d: another login is %q", k, who)
			}
			return len(calls) >= k
		})
	}
}

// While a theft is handled, a browser logs in with the newest cookie. At no step does
// this login survive, even if the store fails afterwards.
func TestTheftCrossesResume(t *testing.T) {
	for _, fails := range []bool{false, true} {
		testapp.EachCall(t, 7, func(k int) bool {
			app, store := newApp(t, nil)
			u := app.Create(t, "susan", false)
			owner, old := stolen(t, app)
			newest := owner.Clone() // the newest cookie that the thief and the owner have
			newest.Restart()
			calls, crossed, failing := 0, false, false
			store.Hook(func(call string) error {
				if calls++; calls == k && !crossed {
					crossed = true
					defer func() { failing = fails }()
					if who := newest.Who(); who != "susan" && who != "nobody" {
						t.Errorf("the newest cookie is %q", who)
					}
					return nil
				}
				if failing && call == "ListRecords" {
					return errors.New("the store is down")
				}
				return nil
			}, nil)
			r := old.Get("/who")
			store.Reset()
			for range 2 { // later requests with the same cookies find the theft, or nothing
				old.Clone().Who()
			}
			what := fmt.Sprintf("step %d, fails %v, answered %s", k, fails, r.Status)
			gone(t, what, owner, old, newest)
			if left, err := store.ListRecords(t.Context(), "session", u.ID); err != nil || len(left) > 0 {
				t.Errorf("%s: %d sessions are left", what, len(left))
			}
			return crossed
		})
	}
}

// thefts counts the events about stolen cookies.
func thefts(events []auth.Event) (n int) {
	for _, e := range events {
		if e.Kind == auth.EventRememberStolen {
			n++
		}
	}
	return n
}

// endings are the ways in which a thief can end the device. The thief has the owner's
// cookie and a session made from it, and wants to delete the evidence.
var endings = map[string]func(t *testing.T, i *testapp.App, thief *testapp.Client, u *testapp.User){
	"logout": func(_ *testing.T, _ *testapp.App, thief *testapp.Client, _ *testapp.User) { thief.Post("/logout") },
	"logout by the remember cookie alone": func(_ *testing.T, _ *testapp.App, thief *testapp.Client, _ *testapp.User) {
		thief.Who()
		thief.Restart()
		thief.Post("/logout")
	},
	"scs's Destroy":        func(_ *testing.T, _ *testapp.App, thief *testapp.Client, _ *testapp.User) { thief.Post("/destroy") },
	"a login as another":   func(_ *testing.T, _ *testapp.App, thief *testapp.Client, _ *testapp.User) { thief.Login("mallory") },
	"a login as the owner": func(_ *testing.T, _ *testapp.App, thief *testapp.Client, _ *testapp.User) { thief.Login("susan") },
	"EndLogin": func(t *testing.T, i *testapp.App, _ *testapp.Client, u *testapp.User) {
		for _, l := range logins(t, i, u.ID) {
			if err := i.EndLogin(t.Context(), u.ID, l.ID); err != nil {
				t.Error(err)
			}
		}
	},
	"EndOtherLogins": func(t *testing.T, i *testapp.App, _ *testapp.Client, _ *testapp.User) {
		other := i.Client(t)
		other.Login("susan")
		i.In(other, func(ctx context.Context) {
			if err := i.EndOtherLogins(ctx); err != nil {
				t.Error(err)
			}
		})
	},
	"LogoutEverywhere": func(t *testing.T, i *testapp.App, _ *testapp.Client, u *testapp.User) {
		if err := i.LogoutEverywhere(t.Context(), u); err != nil {
			t.Error(err)
		}
	},
	"SetPassword": func(t *testing.T, i *testapp.App, thief *testapp.Client, u *testapp.User) {
		i.In(thief, func(ctx context.Context) {
			if err := i.SetPassword(ctx, u, "another good password"); err != nil {
				t.Error(err)
			}
		})
	},
	"ResetPassword": func(t *testing.T, i *testapp.App, _ *testapp.Client, u *testapp.User) {
		token, err := i.ResetToken(t.Context(), u)
		if err == nil {
			_, err = i.ResetPassword(t.Context(), token, "another good password")
		}
		if err != nil {
			t.Error(err)
		}
	},
	"Disable and Enable": func(t *testing.T, i *testapp.App, _ *testapp.Client, u *testapp.User) {
		if err := errors.Join(i.Disable(t.Context(), u.ID), i.Enable(t.Context(), u.ID)); err != nil {
			t.Error(err)
		}
	},
	"a Stamp that the application changes itself": func(t *testing.T, i *testapp.App, _ *testapp.Client, u *testapp.User) {
		a := u.Clone()
		a.Stamp = auth.NewSecret("another stamp")
		if err := i.Store.UpdateAccount(t.Context(), a); err != nil {
			t.Error(err)
		}
	},
	"Session.Max": func(t *testing.T, i *testapp.App, _ *testapp.Client, _ *testapp.User) {
		for range 3 {
			i.Clock.Advance(time.Minute)
			i.Client(t).Login("susan")
		}
	},
}

// However a thief ends the device after using its cookie, the owner's cookie still
// raises one alarm. The thief's newest cookie raises none. Neither cookie logs in.
func TestTheftEvidenceStays(t *testing.T) {
	for how, end := range endings {
		t.Run(how, func(t *testing.T) {
			box := &testapp.Outbox{}
			app, _ := newApp(t, func(c *auth.Config) { c.Mailer, c.Session.Max = box, 3 })
			u := app.Create(t, "susan", false)
			app.Create(t, "mallory", false)
			owner := remembered(t, app, "susan")
			owner.Restart()
			thief := owner.Clone()
			for range 2 {
				if who := thief.Who(); who != "susan" {
					t.Fatal(who)
				}
			}
			newest := thief.Clone()
			newest.Restart()
			end(t, app, thief, u)
			box.Take()
			app.Events()
			if who := newest.Who(); who != "nobody" {
				t.Errorf("the newest cookie: %q", who)
			}
			if n := thefts(app.Events()); n > 0 {
				t.Errorf("the newest cookie caused %d alarms", n)
			}
			app.Clock.Advance(29 * 24 * time.Hour)
			for range 3 {
				if who := owner.Clone().Who(); who != "nobody" {
					t.Errorf("the owner: %q", who)
				}
			}
			mails := box.Take()
			if n := thefts(app.Events()); n != 1 || len(mails) != 1 || mails[0].Kind != auth.MailStolen {
				t.Errorf("%d alarms, mails %v", n, mails)
			}
		})
	}
}

// A device that was never used leaves no tombstone, and no tombstone lasts longer than
// its device would have.
func TestTheftEvidenceExpires(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	ended := func() int {
		t.Helper()
		records, err := app.Store.ListRecords(t.Context(), "remember-ended", u.ID)
		if err != nil {
			t.Fatal(err)
		}
		return len(records)
	}
	remembered(t, app, "susan").Post("/logout")
	app.Clock.Advance(time.Minute)
	if n := ended(); n > 0 {
		t.Errorf("a cookie that was never used: %d records", n)
	}
	owner, old := stolen(t, app)
	owner.Post("/logout")
	app.Clock.Advance(30*24*time.Hour - 5*time.Minute)
	if n := ended(); n != 1 {
		t.Errorf("%d records", n)
	}
	app.Clock.Advance(5 * time.Minute)
	old.Who()
	if n := thefts(app.Events()); n > 0 || ended() > 0 {
		t.Errorf("after the device's time: %d thefts, %d records", n, ended())
	}
}

// A user has at most a hundred tombstones. CloseAccount deletes them.
func TestTheftEvidenceIsBounded(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	for range 110 {
		c := remembered(t, app, "susan")
		c.Restart()
		c.Who()
		c.Post("/logout")
		app.Clock.Advance(time.Second)
	}
	records, err := app.Store.ListRecords(t.Context(), "remember-ended", u.ID)
	if err != nil || len(records) != 100 {
		t.Errorf("%d records, %v", len(records), err)
	}
	if err := app.CloseAccount(t.Context(), stored(t, app, u.ID)); err != nil {
		t.Fatal(err)
	}
	if records, err := app.Store.ListRecords(t.Context(), "remember-ended", u.ID); err != nil || len(records) > 0 {
		t.Errorf("after CloseAccount %d records, %v", len(records), err)
	}
}

// Requests that are under way when the owner logs out raise no alarm: neither with the
// newest cookie, nor with the one before it, if no request has shown yet that the
// browser has the newest.
func TestTheftNotByLogoutInFlight(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := remembered(t, app, "susan")
	c.Restart()
	before := c.Clone()
	c.Who()
	newest := c.Clone()
	newest.Restart()
	if r := before.Clone().Post("/logout"); r.StatusCode != http.StatusOK { // with the earlier cookie
		t.Fatal(r.Status)
	}
	gone(t, "logout", before, newest, c)
	if n := thefts(app.Events()); n > 0 {
		t.Errorf("%d thefts", n)
	}
}

func TestRememberForIsAbsolute(t *testing.T) {
	app, _ := stateApp(t, nil)
	c := app.Client(t)
	r := c.Post("/as/for", "for", "7h")
	lasts := slices.ContainsFunc(r.Cookies(), func(cookie *http.Cookie) bool {
		return strings.HasSuffix(cookie.Name, "-remember") && cookie.MaxAge == 7*60*60
	})
	if !lasts {
		t.Errorf("cookies %v", r.Cookies())
	}
	for range 2 { // using the device does not extend it
		app.Clock.Advance(3 * time.Hour)
		c.Restart()
		expectState(t, c, nil, "susan stale remembered")
	}
	app.Clock.Advance(time.Hour)
	kept := c.Clone()
	kept.Restart()
	expectState(t, kept, nil, "nobody")
}

func TestConfigRememberFor(t *testing.T) {
	app, _ := stateApp(t, func(c *auth.Config) { c.Session.CookieName, c.Session.RememberFor = "mine", 48*time.Hour })
	c := app.Client(t)
	for _, cookie := range c.Post("/as/remembered").Cookies() {
		if !strings.HasPrefix(cookie.Name, "mine-") || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
			t.Errorf("%v", cookie)
		}
		if strings.HasSuffix(cookie.Name, "-remember") && cookie.MaxAge != 48*60*60 {
			t.Errorf("lasts %d seconds", cookie.MaxAge)
		}
	}
	rememberCookie(t, c)
}

func TestRememberForIsChecked(t *testing.T) {
	for _, d := range []time.Duration{-1, 30, time.Minute - 1, 400*24*time.Hour + 1} {
		cfg := goodConfig()
		cfg.Session.RememberFor = d
		if _, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg); err == nil {
			t.Errorf("New took a RememberFor of %v", d)
		}
	}
	app, _ := stateApp(t, nil)
	for _, d := range []string{"0s", "-1h"} {
		if r := app.Client(t).Post("/as/for", "for", d); r.Text != "susan fresh" || len(r.Cookies()) != 1 {
			t.Errorf("RememberFor %s: %q, %v", d, r.Text, r.Cookies())
		}
	}
}

// A RememberFor duration holds for one login only.
func TestRememberForIsOfOneLogin(t *testing.T) {
	app, _ := stateApp(t, nil)
	c := app.Client(t)
	c.Post("/as/for", "for", "1h")
	c.Post("/as/remembered")
	app.Clock.Advance(29 * 24 * time.Hour)
	c.Restart()
	expectState(t, c, nil, "susan stale remembered")

	c.Post("/as/remembered")
	c.Post("/as/for", "for", "1h")
	app.Clock.Advance(time.Hour)
	c.Restart()
	expectState(t, c, nil, "nobody")
}

func TestResumeIsALoginEvent(t *testing.T) {
	app, _ := stateApp(t, nil)
	c := app.Client(t)
	c.Post("/as/remembered")
	c.Restart()
	app.Events()
	expectState(t, c, nil, "susan stale remembered")
	if e := expectEvents(t, app, auth.EventLoginSucceeded); len(e) == 1 && (e[0].Method != "remember" || e[0].UserID == "") {
		t.Errorf("%+v", e[0])
	}
}

// The remember cookie of a deleted user creates no record.
func TestRememberCookieOfADeletedUser(t *testing.T) {
	app, spy := stateApp(t, nil)
	u, err := app.Store.FindUser(t.Context(), "susan")
	if err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	c.Post("/as/remembered")
	c.Restart()
	store, ok := spy.Store.(*memStore)
	if !ok {
		t.Fatalf("%T", spy.Store)
	}
	if err := store.DeleteUser(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	spy.Reset()
	if r := c.Get("/state"); r.Text != "nobody" || len(r.Cookies()) > 0 {
		t.Errorf("%q, cookies %v", r.Text, r.Cookies())
	}
	if slices.Contains(spy.Calls(), "InsertRecord") {
		t.Errorf("calls %v", spy.Calls())
	}
}
