package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// remembered returns a browser that is logged in and remembered.
func remembered(t *testing.T, app *testapp.App, name string) *testapp.Client {
	t.Helper()
	c := app.Client(t)
	if r := c.Post("/enter", "login", name, "remember", "1"); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
	return c
}

func rememberCookie(t *testing.T, c *testapp.Client) (name, value string) {
	t.Helper()
	for name, value := range c.Cookies {
		if strings.HasSuffix(name, "-remember") {
			return name, value
		}
	}
	t.Fatal("no remember cookie")
	return "", ""
}

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
		spy.reset(0, false)
		if r := c.Get("/"); len(r.Header["Set-Cookie"]) > 0 || len(spy.Calls()) > 0 {
			t.Errorf("a page that does not ask who it is: %v", spy.Calls())
		}
		if who := c.Who(); who != "susan" {
			t.Fatalf("after a restart: %q", who)
		}
		if _, after := rememberCookie(t, c); after == before {
			t.Error("the cookie was not used up")
		}
		spy.reset(0, false)
		if who := c.Who(); who != "susan" || spy.writes() != 2 { // that the browser has both cookies
			t.Errorf("the next page: %q, %v", who, spy.Calls())
		}
		spy.reset(0, false)
		if who := c.Who(); who != "susan" || spy.writes() > 0 {
			t.Errorf("the page after that: %q, %v", who, spy.Calls())
		}
	}
	// However often it is used, it ends when it was to end.
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

// Whatever ends the login ends the device: every cookie ever issued is nobody's.
func TestRememberEnds(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *testapp.App, *testapp.Client, *testapp.User){
		"logout": func(_ *testing.T, _ *testapp.App, c *testapp.Client, _ *testapp.User) { c.Post("/logout") },
		"logout by the remember cookie alone": func(_ *testing.T, _ *testapp.App, c *testapp.Client, _ *testapp.User) {
			c.Post("/logout")
		},
		"a change of password elsewhere": func(t *testing.T, app *testapp.App, _ *testapp.Client, u *testapp.User) {
			if err := app.SetPassword(t.Context(), reload(t, app, u.ID), "another good password"); err != nil {
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

// A change of password in the remembered browser keeps its session, and
// forgets the device.
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

// Tabs that open at once all get in, and none of them looks like a thief.
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
			t.Errorf("tab %d has another successor", i)
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

// hookStore runs a function before one of the calls of InsertRecord.
type hookStore struct {
	testapp.Store
	beforeInsert func(auth.Record)
}

func (s *hookStore) InsertRecord(ctx context.Context, r auth.Record) error {
	if s.beforeInsert != nil {
		s.beforeInsert(r)
	}
	return s.Store.InsertRecord(ctx, r)
}

// A logout that happens while a device is being resumed ends that login, too.
func TestLogoutCrossesResume(t *testing.T) {
	for _, used := range []bool{false, true} { // the cookie that is good, and the one before
		clock := testapp.NewClock()
		store := &hookStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
		app := testapp.New(t, store, clock, nil)
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
		store.beforeInsert = func(r auth.Record) {
			store.beforeInsert = nil
			if r.Kind != "session" {
				t.Errorf("inserted a %s", r.Kind)
			}
			c.Post("/logout")
		}
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

// A cookie that is used after its successor was received ends the device and its
// logins, whether the owner or the thief comes second. Successors are received when
// they are sent, or when the session is that came with them.
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

// Another user's login in the same browser forgets the device; so does one
// without the box.
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

// Secrets rotate: a cookie of the old one is good, and its successor is of the
// new one.
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

// A store that fails while a device is resumed gives a 5xx, and the cookie
// works once it is well.
func TestRememberStoreFails(t *testing.T) {
	for k := 1; ; k++ {
		app, spy := newApp(t, nil)
		app.Create(t, "susan", false)
		c := remembered(t, app, "susan")
		c.Restart()
		spy.reset(k, false)
		r := c.Get("/who")
		calls := len(spy.Calls())
		spy.reset(0, false)
		if calls < k {
			if k < 4 {
				t.Errorf("only %d calls", calls)
			}
			return
		}
		if r.StatusCode < 500 && r.Text != "susan" { // who is in, tidied up or not
			t.Errorf("call %d fails: %s %q", k, r.Status, r.Text)
		}
		if who := c.Who(); who != "susan" {
			t.Errorf("after call %d failed: %q", k, who)
		}
	}
}

// listStore runs a function before one call of ListRecords.
type listStore struct {
	testapp.Store
	beforeList func()
}

func (s *listStore) ListRecords(ctx context.Context, kind, userID string) ([]auth.Record, error) {
	if f := s.beforeList; f != nil {
		s.beforeList = nil
		f()
	}
	return s.Store.ListRecords(ctx, kind, userID)
}

// A device that is used ends the logins that it made for cookies before, and
// not those of tabs that are opened at the same moment.
func TestRememberEndsLostLogins(t *testing.T) {
	clock := testapp.NewClock()
	store := &listStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
	app := testapp.New(t, store, clock, nil)
	app.Create(t, "susan", false)
	lost := remembered(t, app, "susan")
	c := lost.Clone()
	c.Restart()
	tab := c.Clone()
	clock.Advance(time.Minute)
	store.beforeList = func() {
		clock.Advance(time.Second)
		if who := tab.Who(); who != "susan" {
			t.Errorf("the other tab: %q", who)
		}
	}
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

// If the store fails while a device is resumed, whoever asks again in the same
// request is not told that it is nobody.
func TestRememberFailureIsNotNobody(t *testing.T) {
	app, spy := newApp(t, nil)
	app.Create(t, "susan", false)
	app.Mux.HandleFunc("GET /twice", func(_ http.ResponseWriter, r *http.Request) {
		if _, err := app.User(r.Context()); !errors.Is(err, errDown) {
			t.Errorf("at first: %v", err)
		}
		spy.reset(1, false)
		if _, err := app.User(r.Context()); !errors.Is(err, errDown) {
			t.Errorf("again: %v", err)
		}
		if u, err := app.User(r.Context()); err != nil || u.Username != "susan" {
			t.Errorf("when the store is well: %v", err)
		}
	})
	c := remembered(t, app, "susan")
	c.Restart()
	spy.reset(1, false)
	c.Get("/twice")
}

// lostAnswers are ways in which a browser's first request after a restart is
// answered without its cookies, each with what sends that request.
func lostAnswers(t *testing.T, app *testapp.App) map[string]func(*testapp.Client) {
	t.Helper()
	known := make(chan struct{}, 1)
	app.Mux.HandleFunc("POST /lost/{how}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := app.User(r.Context()); err != nil {
			t.Error(err)
		}
		known <- struct{}{}
		switch r.PathValue("how") {
		case "panic":
			panic(http.ErrAbortHandler)
		case "hijack": // as WebSocket libraries do: the header is their own
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			_ = rw.Flush()
			_ = conn.Close()
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
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		go func() { <-known; cancel() }() // the time is up when the session is stored
		http.TimeoutHandler(inner, time.Hour, "slow").ServeHTTP(w, r.WithContext(ctx))
	})
	send := func(c *testapp.Client, how string, sent func(cancel func())) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, app.Server.URL+"/lost/"+how, nil) // which is not sent twice
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

// An answer that never reaches the browser uses up nothing: the cookie is good
// until its successor, or the session that came with it, has been seen. It does not
// matter how long that takes, nor how many answers are lost.
func TestRememberAnswerLost(t *testing.T) {
	for _, how := range []string{"the client hangs up", "the handler panics", "http.TimeoutHandler answers", "the connection is hijacked"} {
		t.Run(how, func(t *testing.T) {
			box := &outbox{}
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
			if n := thefts(app.Events()); n > 0 || len(box.take()) > 0 {
				t.Errorf("lost answers are %d thefts", n)
			}
		})
	}
}

// Until the successor is seen a cookie is good for 30 more uses, and the rest are
// refused without an alarm. The successor is good all the time.
func TestRememberLostThirtyTimes(t *testing.T) {
	app, _ := newApp(t, func(c *auth.Config) { c.MaxSessions = -1 })
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

// slowRequest sends a request with a browser's cookies whose body comes when
// finish is called, and whose handler asks only then who it is.
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

// A request counts from when it arrived: an upload that began before another tab had
// used the cookie is no theft, however long it takes. It gets a session, and no
// cookie that is older than the one the browser has.
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

// It does so, too, where a request loader puts off the reading of the session until
// the handler asks.
func TestRememberSlowUploadWithLoader(t *testing.T) {
	app, _ := newApp(t, func(c *auth.Config) {
		c.RequestLoaders = []auth.RequestLoader{{Load: func(*auth.Core, *http.Request) (auth.Grant, error) { return auth.Grant{}, nil }}}
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

// The same upload, with a cookie that was used up before it began, is a theft.
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

// Two servers whose clocks differ by a minute, either way, take the tabs of a browser
// for what they are: also an upload that lasts.
func TestRememberClocksDiffer(t *testing.T) {
	for _, skew := range []time.Duration{-time.Minute, -time.Second, time.Second, time.Minute} {
		app, _ := newApp(t, nil)
		app.Create(t, "susan", false)
		clock := testapp.NewClock()
		clock.Advance(skew)
		other := testapp.New(t, app.Store, clock, nil)
		elsewhere := func(c *testapp.Client) *testapp.Client { // the same browser, at the other server
			_, value := rememberCookie(t, c)
			d := other.Client(t)
			d.Cookies[other.Core.Cookie("remember").Name] = value
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

// If the store cannot note that the browser has its cookie, the page is served, and
// the next request notes it: a copy of the old cookie is then found.
func TestRememberReceivedStoreFails(t *testing.T) {
	for _, call := range []string{"GetRecord", "UpdateRecord"} {
		app, store := hookedApp(t, nil)
		app.Create(t, "susan", false)
		c := remembered(t, app, "susan")
		c.Restart()
		thief := c.Clone()
		c.Who()
		n := 0
		store.hook(func(name string) error {
			if name != call {
				return nil
			}
			if n++; call == "GetRecord" && n != 2 { // the first one is of the session
				return nil
			}
			return errors.New("the store is down")
		}, nil)
		if who := c.Who(); call == "GetRecord" && who != "susan" {
			t.Errorf("%s fails: %q", call, who)
		}
		store.hook(nil, nil)
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
