package auth_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// Every operation sends events with its user and client.
func TestEvents(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	susan := app.Create(t, "susan", true)
	john := app.Create(t, "john", false)
	c := app.Client(t)
	const agent = "an agent"
	// act calls f in a request of c.
	var f func(w http.ResponseWriter, r *http.Request)
	app.Mux.HandleFunc("/act", func(w http.ResponseWriter, r *http.Request) { f(w, r) })
	send := func(path string, form url.Values, header http.Header) *testapp.Response {
		if header == nil {
			header = http.Header{}
		}
		header.Set("User-Agent", agent)
		return c.Do("POST", path, form, header)
	}
	act := func(do func(ctx context.Context)) {
		f = func(_ http.ResponseWriter, r *http.Request) { do(r.Context()) }
		send("/act", nil, nil)
	}
	user := func(id string) *testapp.User {
		u, err := app.Store.LoadUser(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	expect := func(name, userID string, want ...auth.EventKind) []auth.Event {
		t.Helper()
		events := app.Events()
		if !slices.Equal(kinds(events), want) {
			t.Errorf("%s: events %v, want %v", name, kinds(events), want)
		}
		for _, e := range events {
			if e.UserID != userID || e.Address != "127.0.0.1" || e.UserAgent != agent || !e.Time.Equal(app.Clock.Now()) {
				t.Errorf("%s: %+v", name, e)
			}
			failed := strings.HasSuffix(string(e.Kind), "failed") || strings.HasSuffix(string(e.Kind), "refused") ||
				slices.Contains([]auth.EventKind{auth.EventLoginRevoked, auth.EventSessionDamaged, auth.EventRequestRefused, auth.EventHashUnusable}, e.Kind)
			if failed != (e.Err != nil) {
				t.Errorf("%s: %s has the error %v", name, e.Kind, e.Err)
			}
		}
		return events
	}
	login := func(name, password string) {
		send("/login", url.Values{"login": {name}, "password": {password}}, nil)
	}
	app.Events()

	login("susan", testapp.Password)
	if e := expect("login", susan.ID, auth.EventLoginSucceeded); len(e) == 1 && e[0].Method != "password" {
		t.Errorf("login: method %q", e[0].Method)
	}
	send("/renew", nil, nil)
	expect("renew", susan.ID, auth.EventSessionRotated)
	send("/put", url.Values{"key": {"k"}, "value": {"v"}}, nil)
	send("/who", nil, nil)
	expect("use", "")
	send("/logout", nil, nil)
	expect("logout", susan.ID, auth.EventLoginEnded)
	send("/logout", nil, nil)
	expect("logout of nobody", "")
	login("susan", "wrong password")
	expect("wrong password", susan.ID, auth.EventLoginFailed)
	login("nobody", "wrong password")
	expect("wrong login", "", auth.EventLoginFailed)
	login("john", "wrong password")
	expect("no password", john.ID, auth.EventLoginFailed)

	// Another user logs in in the same browser, which ends the first user's login.
	c.Login("john")
	app.Events()
	login("susan", testapp.Password)
	if k := kinds(app.Events()); !slices.Contains(k, auth.EventLoginSucceeded) || !slices.Contains(k, auth.EventLoginEnded) {
		t.Errorf("taking over: %v", k)
	}
	send("/destroy", nil, nil)
	if k := kinds(app.Events()); !slices.Contains(k, auth.EventLoginEnded) || slices.Contains(k, auth.EventLoginSucceeded) {
		t.Errorf("destroy: %v", k)
	}

	// Registration.
	register := func(r auth.Registration) {
		act(func(ctx context.Context) { _, _ = app.Register(ctx, r) })
	}
	register(auth.Registration{Username: "anna", Email: "anna@app.example", Password: "a good long one"})
	if e := app.Events(); len(e) != 1 || e[0].Kind != auth.EventAccountRegistered || e[0].UserID == "" || e[0].Address == "" {
		t.Errorf("register: %v", e)
	}
	for name, r := range map[string]auth.Registration{
		"taken": {Username: "anna", Password: "a good long one"}, "password": {Username: "x1", Password: "password"}, "name": {Username: "a b\x00", NoPassword: true},
		"form": {Username: "x2", NoPassword: true, Form: url.Values{"name": {"refuse"}}},
	} {
		register(r)
		expect("register: "+name, "", auth.EventAccountRegisterFailed)
	}

	// Passwords.
	c.Login("susan")
	app.Events()
	send("/password", url.Values{"password": {"another good one"}}, nil)
	if k := kinds(app.Events()); !slices.Contains(k, auth.EventPasswordSet) {
		t.Errorf("password: %v", k)
	}
	send("/password", url.Values{"password": {"short"}}, nil)
	expect("password refused", susan.ID, auth.EventPasswordSetFailed)
	act(func(ctx context.Context) {
		token, err := app.ResetToken(ctx, user(susan.ID))
		if err != nil {
			t.Error(err)
		}
		_, _ = app.ResetPassword(ctx, token, "short")
		_, _ = app.ResetPassword(ctx, token, "a third good one")
		_, _ = app.ResetPassword(ctx, token, "a fourth good one")
	})
	if e := app.Events(); !slices.Equal(kinds(e), []auth.EventKind{auth.EventResetIssued, auth.EventResetFailed, auth.EventResetDone, auth.EventResetFailed}) || e[0].UserID != susan.ID || e[2].UserID != susan.ID {
		t.Errorf("reset: %v", e)
	}
	act(func(ctx context.Context) { _, _ = app.ResetPassword(ctx, "forged", "a fourth good one") })
	expect("reset forged", "", auth.EventResetFailed)

	// Hashes: an old one is upgraded, and a damaged one is reported.
	hash, err := argon2id.CreateHash("an old password", &argon2id.Params{Memory: 8 * 1024, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	a := user(john.ID).Clone()
	a.PasswordHash = auth.NewSecret(hash)
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	send("/logout", nil, nil)
	app.Events()
	login("john", "an old password")
	expect("upgrade", john.ID, auth.EventHashUpgraded, auth.EventLoginSucceeded)
	a = user(john.ID).Clone()
	a.PasswordHash = auth.NewSecret("$argon2id$broken")
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	login("john", "an old password")
	expect("unusable", john.ID, auth.EventHashUnusable, auth.EventLoginFailed)

	// A disabled account, and void sessions.
	a = user(john.ID).Clone()
	a.Disabled = true
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	send("/who", nil, nil)
	if e := expect("disabled", john.ID, auth.EventLoginRevoked); len(e) == 1 && !errors.Is(e[0].Err, auth.ErrDisabled) {
		t.Errorf("disabled: %v", e[0].Err)
	}
	send("/who", nil, nil)
	expect("disabled, again", "")
	send("/enter", url.Values{"login": {"john"}}, nil)
	expect("gate", john.ID, auth.EventLoginRefused)

	send("/put", nil, http.Header{"Sec-Fetch-Site": {"cross-site"}})
	expect("cross-origin", "", auth.EventRequestRefused)

	// A damaged record.
	c = app.Client(t)
	c.Login("susan")
	app.Events()
	records, err := app.Store.ListRecords(t.Context(), "session", susan.ID)
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	records[0].Data = []byte("damaged")
	if err := app.Store.UpdateRecord(t.Context(), records[0]); err != nil {
		t.Fatal(err)
	}
	send("/who", nil, nil)
	expect("damaged", susan.ID, auth.EventSessionDamaged)

	// If cleaning up fails after a change, the change is kept.
	c = app.Client(t)
	c.Login("susan")
	app.Events()
	u := user(susan.ID)
	a = u.Clone()
	a.Stamp = auth.NewSecret("another")
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	store.Fail("TakeRecord")
	send("/who", nil, nil)
	store.Reset()
	expect("cleaning up fails", susan.ID, auth.EventLoginRevoked, auth.EventCleanupFailed)
}

// No event, no log line and no answer contains a secret.
func TestEventsHaveNoSecrets(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	var secrets []string
	susan := app.Create(t, "susan", true)
	var token string
	app.Mux.HandleFunc("POST /reset", func(_ http.ResponseWriter, r *http.Request) {
		u, err := app.Store.LoadUser(r.Context(), susan.ID)
		if err != nil {
			t.Error(err)
		}
		token, _ = app.ResetToken(r.Context(), u)
		_, _ = app.ResetPassword(r.Context(), token+"x", "secret-password-1")
		_, _ = app.ResetPassword(r.Context(), token, "secret-password-2")
	})
	c := app.Client(t)
	var answers strings.Builder
	post := func(path string, fields ...string) {
		r := c.Post(path, fields...)
		_, _ = fmt.Fprintln(&answers, r.Text, r.Header.Get("Location"))
	}
	post("/login", "login", "susan", "password", "secret-password-0")
	post("/login", "login", "secret-login", "password", testapp.Password)
	post("/login", "login", "susan", "password", testapp.Password)
	post("/put", "key", "k", "value", "secret-value")
	post("/renew")
	post("/password", "password", "secret")
	post("/password", "password", "secret-password-3")
	post("/reset")
	post("/login", "login", "susan", "password", "secret-password-2")
	post("/flash")
	store.Fail("UpdateRecord", "InsertRecord", "TakeRecord", "GetRecord")
	post("/put", "key", "k", "value", "secret-value-2")
	post("/logout")
	store.Reset()
	post("/logout")
	for _, cookie := range c.Issued {
		secrets = append(secrets, cookie.Value)
	}
	u, err := app.Store.LoadUser(t.Context(), susan.ID)
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, "secret-", testapp.Password, token, susan.PasswordHash.Reveal(), susan.Stamp.Reveal(), u.PasswordHash.Reveal(), u.Stamp.Reveal())
	all := map[string]string{"the log": app.Logs(), "the answers": answers.String(), "the events": fmt.Sprintf("%+v %#v", app.Events(), app.Events())}
	for _, secret := range secrets {
		for where, text := range all {
			if secret == "" || strings.Contains(text, secret) {
				t.Errorf("%s: has %q", where, secret)
			}
		}
	}
	if len(all["the events"]) < 1000 || len(all["the log"]) < 1000 {
		t.Error("the log or the events are too short for this test to mean anything")
	}
}

// printable returns the first 256 bytes of a text, without invisible characters.
func printable(text string) string {
	if n := 256; len(text) > n {
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

// A long or hostile User-Agent neither breaks a log line nor makes it long.
func TestEventAgent(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	susan := app.Create(t, "susan", false)
	h := app.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := app.LoginUser(r.Context(), susan); err != nil {
			t.Error(err)
		}
	}))
	for _, agent := range []string{strings.Repeat("x", 5000), "a\u2028b\x1b[31m", strings.Repeat("😀", 200), "\xff\xfe", strings.Repeat("\x80", 1000), "a\nb"} {
		app.Events()
		direct(t, h, "POST", "/", http.Header{"User-Agent": {agent}})
		events := app.Events()
		if len(events) != 1 || len(events[0].UserAgent) > 256 || events[0].UserAgent != printable(agent) {
			t.Errorf("%.10q: %q", agent, events)
		}
	}
	if strings.ContainsAny(app.Logs(), "\x1b\u2028") {
		t.Error("the log has control characters")
	}
}

func TestOnEventPanics(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		c.OnEvent = func(context.Context, auth.Event) { panic("OnEvent") }
	})
	app.Create(t, "susan", true)
	c := app.Client(t)
	if r := c.Post("/login", "login", "susan", "password", testapp.Password); r.StatusCode != http.StatusOK {
		t.Errorf("login: %s", r.Status)
	}
	if r := c.Post("/renew"); r.StatusCode != http.StatusOK || c.Who() != "susan" {
		t.Errorf("renew: %s", r.Status)
	}
	if r := c.Do("POST", "/put", nil, http.Header{"Sec-Fetch-Site": {"cross-site"}}); r.StatusCode != http.StatusForbidden {
		t.Errorf("cross-origin: %s", r.Status)
	}
	if r := c.Post("/login", "login", "susan", "password", "wrong one"); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("wrong password: %s", r.Status)
	}
	if r := c.Post("/logout"); r.StatusCode != http.StatusOK || c.Who() != "nobody" {
		t.Errorf("logout: %s", r.Status)
	}
	for _, who := range c.Replay() {
		if who != "nobody" {
			t.Errorf("replay: %s", who)
		}
	}
	if !strings.Contains(app.Logs(), "OnEvent panicked") {
		t.Error("the panic was not logged")
	}
}

// Listeners and log handlers may ask for the user and for session data, because no lock
// is held.
func TestEventHandlersMayAsk(t *testing.T) {
	t.Parallel()
	var app *testapp.App
	asked := map[auth.EventKind]int{}
	ask := func(ctx context.Context) {
		if app == nil {
			return
		}
		_, _ = app.User(ctx)
		_, _ = app.CurrentUser(ctx)
		_ = app.Flashes(ctx)
		func() {
			defer func() { _ = recover() }() // scs panics outside a session
			_ = app.SessionData().GetString(ctx, "k")
			_ = app.SessionData().Keys(ctx)
		}()
	}
	nested := 0
	app, store := newApp(t, func(c *auth.Config) {
		c.Logger = slog.New(askingHandler{slog.DiscardHandler, func(ctx context.Context) {
			if nested++; nested%2 == 1 { // the log handler's own calls may log in turn
				ask(ctx)
			}
		}})
		c.OnEvent = func(ctx context.Context, e auth.Event) {
			asked[e.Kind]++
			ask(ctx)
		}
	})
	susan := app.Create(t, "susan", true)
	app.Create(t, "john", false)
	finish(t, func() {
		c := app.Client(t)
		for range 2 {
			c.Post("/login", "login", "susan", "password", "wrong one")
			c.Post("/login", "login", "susan", "password", testapp.Password)
			c.Post("/put", "key", "k", "value", "v")
			c.Post("/renew")
			c.Post("/password", "password", "short")
			c.Post("/password", "password", testapp.Password+"!")
			c.Post("/password", "password", testapp.Password)
			c.Do("POST", "/put", nil, http.Header{"Sec-Fetch-Site": {"cross-site"}})
			if who := c.Who(); who != "susan" {
				t.Errorf("who: %s", who)
			}
			store.Fail("UpdateRecord")
			c.Post("/put", "key", "k", "value", "w")
			store.Reset()
			c.Login("john")
			c.Login("susan")
			c.Post("/destroy")
			c.Login("susan")
			u, err := app.Store.LoadUser(t.Context(), susan.ID)
			if err != nil {
				t.Error(err)
			}
			a := u.Clone()
			a.Stamp = auth.NewSecret(a.Stamp.Reveal() + "!")
			if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
				t.Error(err)
			}
			store.Fail("TakeRecord")
			c.Who()
			store.Reset()
			c.Post("/logout")
		}
	})
	for _, kind := range []auth.EventKind{auth.EventLoginSucceeded, auth.EventLoginFailed, auth.EventLoginEnded, auth.EventSessionRotated, auth.EventPasswordSet, auth.EventPasswordSetFailed, auth.EventRequestRefused, auth.EventLoginRevoked, auth.EventCleanupFailed} {
		if asked[kind] == 0 {
			t.Errorf("no event %s", kind)
		}
	}
}

// The log contains neither what users typed nor passwords.
func TestRejectedPasswordIsNotLogged(t *testing.T) {
	app, _ := newApp(t, func(c *auth.Config) {
		c.Password.Check = func(_ context.Context, password string, _ auth.Account) error {
			return fmt.Errorf("%q was found in a breach", password)
		}
	})
	_, _ = app.Register(t.Context(), auth.Registration{Username: "tom", Password: "purple monkey 77"})
	if strings.Contains(app.Logs(), "purple monkey") {
		t.Error(app.Logs())
	}
}

// Functions of the application that are called in a request may use the request.
func TestCallbacksMayUseTheRequest(t *testing.T) {
	var app *testapp.App
	var depth atomic.Int32
	back := func(ctx context.Context) {
		if depth.Add(1) < 4 && app != nil {
			app.CurrentUser(ctx)
			app.SessionData().GetString(safe(ctx, app), "x")
			_ = app.Flash(ctx, "a", "b")
		}
		depth.Add(-1)
	}
	app, _ = newApp(t, func(c *auth.Config) {
		c.OnEvent = func(ctx context.Context, _ auth.Event) { back(ctx) }
		c.Logger = slog.New(askingHandler{slog.DiscardHandler, back})
		c.Password.Check = func(ctx context.Context, _ string, _ auth.Account) error { back(ctx); return nil }
		c.ErrorPage = func(w http.ResponseWriter, r *http.Request, status int, _ error) {
			back(r.Context())
			w.WriteHeader(status)
		}
	})
	app.Create(t, "susan", true)
	c := app.Client(t)
	c.HTTP.Timeout = patience
	c.Post("/enter", "login", "susan", "remember", "y")
	old := c.Clone()
	c.Restart()
	t.Log(c.Who())
	t.Log(c.Post("/password", "password", "another fine battery").Status)
	t.Log(c.Post("/login", "login", "susan", "password", "wrong one").Status)
	t.Log(c.Post("/renew").Status, c.Post("/put", "key", "x", "value", "y").Status)
	app.Clock.Advance(2 * time.Minute)
	old.Restart()
	t.Log(old.Who())
	t.Log(c.Post("/destroy").Status, c.Post("/logout").Status)
}

func safe(ctx context.Context, app *testapp.App) context.Context {
	if _, err := app.User(ctx); errors.Is(err, auth.ErrNoSession) {
		c2, _ := app.SessionData().Load(context.Background(), "")
		return c2
	}
	return ctx
}

// The log contains only short pieces of what a client sent, without control characters
// that change what a terminal shows.
func TestLogsAreShortAndPlain(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	app.Create(t, "susan", false)
	store.Hook(func(string) error { return errors.New("the store is down") }, nil)
	c := app.Client(t)
	c.Cookies[strings.TrimSuffix(app.Cookie("x").Name, "-x")] = strings.Repeat("A", 43)
	r := c.Do(http.MethodGet, "/who?"+strings.Repeat("x", 20_000), nil, nil)
	if r.StatusCode != http.StatusServiceUnavailable {
		t.Fatal(r.Status)
	}
	if logs := app.Logs(); len(logs) > 2000 {
		t.Errorf("%d bytes were logged", len(logs))
	}
	store.Reset()
	app.Events()
	app.Client(t).Do(http.MethodPost, "/login", url.Values{"login": {"susan"}, "password": {"wrong"}},
		http.Header{"User-Agent": {"a\u202eb\u0085c\u200bd é"}})
	for _, e := range app.Events() {
		if e.UserAgent != "abcd é" {
			t.Errorf("%s: %q", e.Kind, e.UserAgent)
		}
	}
}

// An eventWorld is an application in which a test causes one kind of event.
type eventWorld struct {
	*testapp.App
	t        *testing.T
	store    *testapp.Spy
	box      *testapp.Outbox
	factor   *codes
	passkeys *passkeys
	u        *testapp.User
	c        *testapp.Client
	secrets  []string // besides those of the account and the browser
	moved    bool     // whether the clock has moved
}

func (w *eventWorld) login() {
	w.c.Post("/login", "login", "susan", "password", testapp.Password)
}

func (w *eventWorld) change(do func(*auth.Account)) { change(w.t, w.App, w.u.ID, do) }

func (w *eventWorld) forgot(address string) {
	if err := w.SendReset(w.t.Context(), address); err != nil {
		w.t.Error(err)
	}
	w.mailed()
}

// impersonate has susan act as bob, or as the user with another ID.
func (w *eventWorld) impersonate(id string) {
	bob := w.Create(w.t, "bob", false)
	w.change(func(a *auth.Account) { a.Roles = []string{"support"} })
	w.Enter(w.t, w.c, w.u, auth.By("code"))
	w.act(func(ctx context.Context) { _ = w.Impersonate(ctx, cmp.Or(id, bob.ID)) })
}

// guess tries n wrong passwords, and waits so that each is checked.
func (w *eventWorld) guess(n int) {
	for i := range n {
		if i >= 5 {
			w.Clock.Advance(time.Hour)
		}
		_, _ = w.Authenticate(w.t.Context(), "susan", typed)
	}
	w.moved = n > 5
}

func (w *eventWorld) verify() (token string) {
	if err := w.SendVerification(w.t.Context(), "susan@app.example"); err != nil {
		w.t.Error(err)
	}
	return w.mailed()
}

func (w *eventWorld) newEmail() (token string) {
	w.In(w.c, func(ctx context.Context) {
		u, _ := w.User(ctx)
		if err := w.SendEmailChange(ctx, u, "new@app.example"); err != nil {
			w.t.Error(err)
		}
	})
	return w.mailed()
}

// confirmEmail returns the token of the undo link, if one was mailed.
func (w *eventWorld) confirmEmail() (undo string) {
	token := w.newEmail()
	w.In(w.c, func(ctx context.Context) {
		if _, err := w.ConfirmEmailChange(ctx, token); err != nil {
			w.t.Error(err)
		}
	})
	return w.mailed()
}

// verified logs susan in, whose address is verified.
func (w *eventWorld) verified() {
	w.change(func(a *auth.Account) { a.EmailVerified = true })
	w.login()
}

// enroll has susan set up the factor.
func (w *eventWorld) enroll() {
	w.verified()
	w.act(func(ctx context.Context) { _ = w.EnrollFactor(ctx, "code", url.Values{"code": {"setup"}}) })
}

func (w *eventWorld) addPasskey() {
	w.verified()
	w.act(func(ctx context.Context) { _ = w.EnrollFactor(ctx, "passkey", url.Values{"passkey": {"key"}}) })
}

func (w *eventWorld) recoveryCodes() {
	w.act(func(ctx context.Context) {
		codes, _ := w.NewRecoveryCodes(ctx, "spare")
		w.secrets = append(w.secrets, codes...)
	})
}

func (w *eventWorld) act(do func(ctx context.Context)) { w.In(w.c, do) }

// askCode asks for a code, and returns the one that was mailed.
func (w *eventWorld) askCode(address string) (code string) {
	w.box.Take()
	w.act(func(ctx context.Context) {
		if err := w.SendLoginCode(ctx, address, auth.Next{}); err != nil {
			w.t.Error(err)
		}
	})
	for _, m := range w.box.Mails() {
		code = m.Code.Reveal()
	}
	w.mailed()
	return code
}

// mailed adds the links and codes of all mails to the secrets, and returns the token of the last
// one.
func (w *eventWorld) mailed() (token string) {
	for _, m := range w.box.Take() {
		_, token, _ = strings.Cut(m.Link.Reveal(), "token=")
		w.secrets = append(w.secrets, m.Link.Reveal(), token, m.Code.Reveal(), strings.ReplaceAll(m.Code.Reveal(), "-", ""))
	}
	return token
}

// typed is a text that users type and that events and logs must not contain.
const typed = "canary sentence 4711"

// tryCodes tries this many wrong secrets of a Feature.
func (w *eventWorld) tryCodes(attempts int) {
	w.moved = true
	f, err := w.Feature("codes")
	if err != nil {
		w.t.Fatal(err)
	}
	for range attempts {
		if ok, err := f.Count(w.t.Context(), w.u.ID, func() (bool, error) { return false, nil }); ok || err != nil {
			w.t.Error(ok, err)
		}
		w.Clock.Advance(time.Hour)
	}
}

// provocations causes each kind of event.
var provocations = map[auth.EventKind]func(w *eventWorld){
	auth.EventLoginSucceeded: func(w *eventWorld) { w.login() },
	auth.EventLoginFailed: func(w *eventWorld) {
		w.secrets = append(w.secrets, "canary-login")
		w.c.Post("/login", "login", "canary-login", "password", typed)
	},
	auth.EventLoginRefused: func(w *eventWorld) {
		w.change(func(a *auth.Account) { a.Disabled = true })
		w.c.Post("/enter", "login", "susan")
	},
	auth.EventLoginPending: func(w *eventWorld) {
		w.factor.enrolled[w.u.ID] = true
		w.c.Post("/enter", "login", "susan")
	},
	auth.EventLoginConfirmed: func(w *eventWorld) {
		w.login()
		w.In(w.c, func(ctx context.Context) { _ = w.ConfirmLogin(ctx) })
	},
	auth.EventLoginEnded: func(w *eventWorld) { w.login(); w.c.Post("/logout") },
	auth.EventLoginsEnded: func(w *eventWorld) {
		w.login()
		w.In(w.c, func(ctx context.Context) { _ = w.LogoutEverywhere(ctx, w.u) })
	},
	auth.EventLoginRevoked: func(w *eventWorld) {
		w.login()
		w.change(func(a *auth.Account) { a.Stamp = auth.NewSecret(typed) })
		w.c.Who()
	},
	auth.EventLoginProtected: func(w *eventWorld) {
		w.login()
		w.c.Do("GET", "/who", nil, http.Header{"User-Agent": {"another/1"}})
	},
	auth.EventAccessDenied:    func(w *eventWorld) { w.c.Get("/guarded?token=" + url.QueryEscape(typed)) },
	auth.EventAccountDisabled: func(w *eventWorld) { _ = w.Disable(w.t.Context(), w.u.ID) },
	auth.EventAccountEnabled: func(w *eventWorld) {
		_ = w.Disable(w.t.Context(), w.u.ID)
		_ = w.Enable(w.t.Context(), w.u.ID)
	},
	auth.EventRolesSet:             func(w *eventWorld) { _ = w.SetRoles(w.t.Context(), w.u.ID, "editor") },
	auth.EventRolesSetFailed:       func(w *eventWorld) { _ = w.SetRoles(w.t.Context(), w.u.ID, "no such role") },
	auth.EventUsernameChanged:      func(w *eventWorld) { _ = w.SetUsername(w.t.Context(), w.u.ID, "another") },
	auth.EventUsernameChangeFailed: func(w *eventWorld) { _ = w.SetUsername(w.t.Context(), w.u.ID, "") },
	auth.EventResetForced:          func(w *eventWorld) { _ = w.ForceReset(w.t.Context(), w.u.ID) },
	auth.EventAccountUnlocked:      func(w *eventWorld) { _ = w.Unlock(w.t.Context(), w.u.ID) },
	auth.EventAPITokenIssued: func(w *eventWorld) {
		w.secrets = append(w.secrets, newToken(w.t, w.App, w.u).Reveal())
	},
	auth.EventAPITokenRevoked: func(w *eventWorld) {
		token, described, err := w.NewAPIToken(w.t.Context(), w.u, auth.APIToken{Name: typed, Scopes: []string{"x"}, Expires: w.Clock.Now().Add(time.Hour)})
		if err == nil {
			err = w.RevokeAPIToken(w.t.Context(), w.u.ID, described.ID)
		}
		if err != nil {
			w.t.Error(err)
		}
		w.secrets = append(w.secrets, token.Reveal())
	},
	auth.EventSecretLocked:   func(w *eventWorld) { w.tryCodes(5) },
	auth.EventSecretDisabled: func(w *eventWorld) { w.tryCodes(100) },
	auth.EventSessionDamaged: func(w *eventWorld) {
		w.login()
		records, err := w.Store.ListRecords(w.t.Context(), "session", w.u.ID)
		if err != nil || len(records) != 1 {
			w.t.Fatal(records, err)
		}
		records[0].Data = []byte(typed)
		if err := w.Store.UpdateRecord(w.t.Context(), records[0]); err != nil {
			w.t.Fatal(err)
		}
		w.c.Who()
	},
	auth.EventSessionRotated: func(w *eventWorld) { w.login(); w.c.Post("/put", "key", typed, "value", typed); w.c.Post("/renew") },
	auth.EventRememberStolen: func(w *eventWorld) {
		owner, old := stolen(w.t, w.App)
		old.Who()
		w.c.Issued = owner.Issued
	},
	auth.EventAccountRegistered: func(w *eventWorld) {
		_, _ = w.Register(w.t.Context(), auth.Registration{Username: "anna", Password: typed, Form: url.Values{"name": {typed}}})
	},
	auth.EventAccountRegisterFailed: func(w *eventWorld) {
		_, _ = w.Register(w.t.Context(), auth.Registration{Username: typed, Password: typed})
	},
	auth.EventPasswordSet:       func(w *eventWorld) { w.login(); w.c.Post("/password", "password", typed) },
	auth.EventPasswordSetFailed: func(w *eventWorld) { w.login(); w.c.Post("/password", "password", typed+"\x00") },
	auth.EventPasswordRemoved: func(w *eventWorld) {
		w.addPasskey()
		w.act(func(ctx context.Context) { _ = w.RemovePassword(ctx) })
	},
	auth.EventPasswordRemoveFailed: func(w *eventWorld) {
		w.login()
		w.act(func(ctx context.Context) { _ = w.RemovePassword(ctx) })
	},
	auth.EventIdentityAdded: func(w *eventWorld) { _ = provide(w.t, w.App).add(w.t.Context(), w.u, "one") },
	auth.EventIdentityAddFailed: func(w *eventWorld) {
		ids := provide(w.t, w.App)
		ids.failure = errStore
		_ = ids.add(w.t.Context(), w.u, "one")
	},
	auth.EventIdentityRemoved: func(w *eventWorld) {
		w.verified()
		ids := provide(w.t, w.App)
		_ = ids.add(w.t.Context(), w.u, "one")
		w.act(func(ctx context.Context) { _ = w.RemoveIdentity(ctx, "one") })
	},
	auth.EventIdentityRemoveFailed: func(w *eventWorld) { w.login(); w.act(func(ctx context.Context) { _ = w.RemoveIdentity(ctx, typed) }) },
	auth.EventFactorSuspended:      func(w *eventWorld) { w.passkeys.feature.Suspended(w.t.Context(), w.u.ID) },
	auth.EventPasswordCheckFailed: func(w *eventWorld) {
		w.login()
		w.In(w.c, func(ctx context.Context) { _, _ = w.CheckPassword(ctx, w.u, typed) })
	},
	auth.EventHashUpgraded: func(w *eventWorld) {
		w.change(func(a *auth.Account) { a.PasswordHash = cheapHash(typed) })
		w.c.Post("/login", "login", "susan", "password", typed)
	},
	auth.EventHashNotUpgraded: func(w *eventWorld) {
		w.change(func(a *auth.Account) { a.PasswordHash = cheapHash(typed) })
		w.store.Hook(on("UpdateAccount", func() error { return errStore }), nil)
		w.c.Post("/login", "login", "susan", "password", typed)
	},
	auth.EventHashUnusable: func(w *eventWorld) {
		w.change(func(a *auth.Account) { a.PasswordHash = auth.NewSecret("$" + typed) })
		w.login()
	},
	auth.EventResetIssued: func(w *eventWorld) { w.forgot("susan@app.example") },
	auth.EventResetRefused: func(w *eventWorld) {
		w.secrets = append(w.secrets, "nobody@app.example")
		w.forgot("nobody@app.example")
	},
	auth.EventResetDone: func(w *eventWorld) {
		token := resetToken(w.t, w.App, w.u)
		_, _ = w.ResetPassword(w.t.Context(), token, typed)
		w.secrets = append(w.secrets, token)
	},
	auth.EventResetFailed: func(w *eventWorld) {
		_, _ = w.ResetPassword(w.t.Context(), typed, typed)
	},
	auth.EventMailFailed: func(w *eventWorld) {
		w.forgot("susan@app.example")
		w.box.Fail(errStore)
		w.forgot("susan@app.example")
	},
	auth.EventPasswordLocked: func(w *eventWorld) { w.guess(5) },
	auth.EventPasswordDisabled: func(w *eventWorld) {
		w.guess(100)
	},
	auth.EventAddressLimited: func(w *eventWorld) {
		w.In(w.c, func(ctx context.Context) {
			for range 61 {
				_ = w.SendReset(ctx, "nobody@app.example")
			}
		})
	},
	auth.EventBreachCheckFailed: func(w *eventWorld) {
		_, _ = w.Register(w.t.Context(), auth.Registration{Username: "anna", Password: typed})
	},
	auth.EventProxySuspected: func(w *eventWorld) {
		w.c.Do("GET", "/who", nil, http.Header{"X-Forwarded-For": {typed}})
	},
	auth.EventLoginCodeIssued: func(w *eventWorld) { w.askCode("susan@app.example") },
	auth.EventLoginCodeRefused: func(w *eventWorld) {
		w.secrets = append(w.secrets, "nobody@app.example")
		w.askCode("nobody@app.example")
	},
	auth.EventAccountCleared: func(w *eventWorld) {
		code := w.askCode("susan@app.example")
		w.act(func(ctx context.Context) {
			_, _ = w.LoginByCode(ctx, typed)
			if cleared, err := w.LoginByCode(ctx, code); err != nil || !cleared {
				w.t.Error(cleared, err)
			}
		})
	},
	auth.EventVerificationIssued: func(w *eventWorld) { w.verify() },
	auth.EventVerificationRefused: func(w *eventWorld) {
		_ = w.SendVerification(w.t.Context(), "nobody@app.example")
		w.secrets = append(w.secrets, "nobody@app.example")
	},
	auth.EventVerificationDone: func(w *eventWorld) {
		_, _ = w.VerifyEmail(w.t.Context(), w.verify())
	},
	auth.EventVerificationFailed: func(w *eventWorld) { _, _ = w.VerifyEmail(w.t.Context(), typed) },
	auth.EventEmailChangeIssued:  func(w *eventWorld) { w.login(); w.newEmail() },
	auth.EventEmailChangeDone:    func(w *eventWorld) { w.login(); w.confirmEmail() },
	auth.EventEmailChangeUndone: func(w *eventWorld) {
		w.change(func(a *auth.Account) { a.EmailVerified = true })
		w.login()
		_, _ = w.UndoEmailChange(w.t.Context(), w.confirmEmail())
	},
	auth.EventEmailChangeFailed: func(w *eventWorld) { _, _ = w.UndoEmailChange(w.t.Context(), typed) },
	auth.EventAccountClosed:     func(w *eventWorld) { _ = w.CloseAccount(w.t.Context(), w.u) },
	auth.EventAccountCloseFailed: func(w *eventWorld) {
		w.change(func(a *auth.Account) { a.Stamp = auth.NewSecret(typed) })
		_ = w.CloseAccount(w.t.Context(), w.u)
	},
	auth.EventRequestRefused: func(w *eventWorld) {
		w.login()
		w.c.Do("POST", "/put?password="+url.QueryEscape(typed), url.Values{"key": {typed}}, http.Header{"Origin": {"https://evil.example"}, "Referer": {"https://evil.example/" + typed}})
	},
	auth.EventFactorAdded: func(w *eventWorld) { w.enroll() },
	auth.EventFactorAddFailed: func(w *eventWorld) {
		w.verified()
		w.act(func(ctx context.Context) { _ = w.EnrollFactor(ctx, "code", url.Values{"code": {typed}}) })
	},
	auth.EventFactorRemoved:      func(w *eventWorld) { w.enroll(); w.act(func(ctx context.Context) { _ = w.RemoveFactor(ctx, "code") }) },
	auth.EventFactorRemoveFailed: func(w *eventWorld) { w.verified(); w.act(func(ctx context.Context) { _ = w.RemoveFactor(ctx, typed) }) },
	auth.EventFactorUnlocked: func(w *eventWorld) {
		w.enroll()
		w.recoveryCodes()
		for i := range 101 {
			w.Clock.Advance(time.Hour)
			w.c = w.Client(w.t)
			w.login()
			factor, answer := "code", typed
			if i == 100 {
				factor, answer = "spare", "spare3"
			}
			w.act(func(ctx context.Context) { _ = w.ContinueLogin(ctx, factor, url.Values{"code": {answer}}) })
		}
		w.moved = true
		w.act(func(ctx context.Context) { _ = w.UnlockFactor(ctx, "code") })
	},
	auth.EventImpersonationBegun: func(w *eventWorld) { w.impersonate("") },
	auth.EventImpersonationEnded: func(w *eventWorld) {
		w.impersonate("")
		w.act(func(ctx context.Context) { _ = w.StopImpersonating(ctx) })
	},
	auth.EventImpersonationRefused: func(w *eventWorld) { w.impersonate(typed) },
	auth.EventTrustGiven:           func(w *eventWorld) { w.enroll(); w.act(func(ctx context.Context) { _ = w.TrustBrowser(ctx) }) },
	auth.EventTrustEnded:           func(w *eventWorld) { w.enroll(); _ = w.EndTrust(w.t.Context(), w.u.ID, "") },
	auth.EventRecoveryCodesMade:    func(w *eventWorld) { w.enroll(); w.recoveryCodes() },
	auth.EventRecoveryCodesFailed: func(w *eventWorld) {
		w.verified()
		w.act(func(ctx context.Context) { _, _ = w.NewRecoveryCodes(ctx, "spare") })
	},
	auth.EventRecoveryCodeUsed: func(w *eventWorld) {
		w.enroll()
		w.recoveryCodes()
		w.c = w.Client(w.t)
		w.c.Post("/login", "login", "susan", "password", testapp.Password)
		w.In(w.c, func(ctx context.Context) { _ = w.ContinueLogin(ctx, "spare", url.Values{"code": {"spare3"}}) })
	},
	auth.EventCleanupFailed: func(w *eventWorld) {
		w.login()
		w.change(func(a *auth.Account) { a.Stamp = auth.NewSecret(typed) })
		w.store.Hook(on("TakeRecord", func() error { return errStore }), nil)
		w.c.Who()
		w.store.Reset()
	},
}

// Each kind of event is sent exactly once. Neither the event nor its log record
// contains a password, hash, Stamp, token or cookie.
func TestEveryEventHasNoSecret(t *testing.T) {
	t.Parallel()
	var fields eventFields
	t.Cleanup(func() { fields.check(t) })
	for kind := range eventKinds(t) {
		provoke, ok := provocations[kind]
		if !ok {
			t.Errorf("provocations has no entry for %s", kind)
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := &eventWorld{t: t, box: &testapp.Outbox{}, factor: newCodes(), passkeys: newPasskeys()}
			plain, store := newApp(t, func(c *auth.Config) {
				c.Mailer, c.Session.Protection, c.Password.Breaches = w.box, auth.ProtectBasic, leakyChecker{}
				c.Credentials = []auth.Credential{auth.Bearer()}
				c.EmailLogin = true
				c.Roles = auth.RoleConfig{Permissions: []string{"support"}, Grants: map[string][]string{"support": {"support"}, "editor": nil}}
				c.Impersonation.Permission = "support"
				c.Factors, c.TrustFor = []auth.Factor{w.factor, w.passkeys, newSpares()}, 24*time.Hour
			})
			w.App, w.store = plain, store
			w.u, w.c = plain.Create(t, "susan", true), plain.Client(t)
			plain.Events()
			provoke(w)
			events := plain.Events()
			fields.add(events)
			n := 0
			for _, e := range events {
				if e.Kind == kind {
					n++
				}
				if !e.Time.Equal(plain.Clock.Now()) && kind != auth.EventRememberStolen && !w.moved || len(e.UserAgent) > 256 {
					t.Errorf("%+v", e)
				}
			}
			if n != 1 {
				t.Errorf("it happened %d times: %v", n, kinds(events))
			}
			secrets := append(slices.Clone(w.secrets), typed, strings.ReplaceAll(typed, " ", "+"), testapp.Password, w.u.PasswordHash.Reveal(), w.u.Stamp.Reveal())
			if u, err := plain.Store.LoadUser(t.Context(), w.u.ID); err == nil {
				secrets = append(secrets, u.PasswordHash.Reveal(), u.Stamp.Reveal())
			}
			for _, cookie := range w.c.Issued {
				secrets = append(secrets, cookie.Value)
			}
			text := plain.Logs() + fmt.Sprintf("%+v %#v", events, events)
			for _, e := range events {
				text += fmt.Sprintf("%v %+v", e.Err, e.Err)
			}
			for _, secret := range secrets {
				if secret != "" && strings.Contains(text, secret) {
					t.Errorf("%q is in %s", secret, text)
				}
			}
		})
	}
	for kind := range provocations {
		if _, ok := eventKinds(t)[kind]; !ok {
			t.Errorf("there is no %s", kind)
		}
	}
}

// eventKinds returns the constants of event.go with their comments.
func eventKinds(t *testing.T) map[auth.EventKind]string {
	t.Helper()
	kinds := map[auth.EventKind]string{}
	for _, k := range kindsOfEvents(t, "event.go") {
		kinds[k.kind] = k.comment
	}
	return kinds
}

// The comment of each kind of event says when it is sent.
func TestEventsAreDocumented(t *testing.T) {
	t.Parallel()
	kinds := eventKinds(t)
	if len(kinds) < 20 {
		t.Errorf("%d kinds", len(kinds))
	}
	for kind, comment := range kinds {
		if len(comment) < 10 {
			t.Errorf("%s: %q", kind, comment)
		}
	}
}

// Whatever a client sends, an event is one log line, and no text in it can look like
// another field.
func TestLogLines(t *testing.T) {
	t.Parallel()
	hostile := []string{
		"a\nlevel=INFO msg=auth event=login user=1", "a\r\nb", "a\x1b[2Jb", "a\u2028b\u2029c", "a\u0085b", "a\x00b", "\xff\xfe",
		`a" event="login`, `{"event":"login"}`, strings.Repeat("x", 5000),
	}
	quoted := regexp.MustCompile(`"(?:\\.|[^"\\])*"`)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			n := 0
			app, _ := newApp(t, func(c *auth.Config) {
				c.Logger = slog.New(handler(&log))
				c.OnEvent = func(context.Context, auth.Event) { n++ }
			})
			member(t, app, "susan", "")
			for _, text := range hostile {
				header := http.Header{
					"User-Agent": {text}, "Origin": {text}, "Sec-Fetch-Site": {text}, "Referer": {text}, "X-Forwarded-For": {text},
					"Accept": {text}, "Authorization": {text}, "Cookie": {"session=" + text},
				}
				direct(t, app.Server.Config.Handler, "POST", "/login", header) // refused
				direct(t, app.Server.Config.Handler, "GET", "/guarded?next="+url.QueryEscape(text), header)
				_, _ = app.Authenticate(t.Context(), text, text)
				_, _ = app.Register(t.Context(), auth.Registration{Username: text, Email: text, Password: text})
				_ = app.SendReset(t.Context(), text)
			}
			lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
			if n < 4*len(hostile) || len(lines) != n {
				t.Errorf("%d events are %d lines", n, len(lines))
			}
			for _, line := range lines {
				if len(line) > 2000 || strings.ContainsFunc(line, func(r rune) bool { // JSON escapes no more than it must
					return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || name == "text" && !unicode.IsPrint(r)
				}) {
					t.Errorf("%d bytes: %.300q", len(line), line)
				}
				var record struct{ Event string }
				if name == "JSON" && json.Unmarshal([]byte(line), &record) != nil || record.Event == "login" {
					t.Errorf("%.300q", line)
				}
				if fields := quoted.ReplaceAllString(line, ""); strings.Contains(fields, "=login ") || name == "text" && strings.Count(fields, " event=") != 1 {
					t.Errorf("%.300q", line)
				}
			}
		})
	}
}

// After a whole day of an application's work, neither the log nor the events contain a
// password, hash, Stamp or token.
func TestNothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var told []auth.Event
	app, store := newApp(t, func(c *auth.Config) {
		c.OnEvent = func(_ context.Context, e auth.Event) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, e)
		}
	})
	ctx := t.Context()
	secrets := []string{"first-password-x1", "second-password-x2", "third-password-x3", "wrong-password-x4", "s-h-o", "old-password-x5"}
	u, err := app.Register(ctx, auth.Registration{Username: "alice", Email: "alice@app.example", Password: secrets[0], Form: url.Values{"name": {"Al"}}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = app.Register(ctx, auth.Registration{Username: "alice", Password: secrets[1]})
	_, _ = app.Register(ctx, auth.Registration{Username: "b", Password: secrets[4]})
	old := member(t, app, "old", secrets[5])
	broken := member(t, app, "broken", "", func(a *auth.Account) { a.PasswordHash = auth.NewSecret("broken-hash-x6") })
	secrets = append(secrets, "broken-hash-x6", old.Stamp.Reveal(), old.PasswordHash.Reveal(), broken.Stamp.Reveal(), u.Stamp.Reveal(), u.PasswordHash.Reveal())

	browser := app.Client(t)
	browser.Post("/login", "login", "alice", "password", secrets[3])
	browser.Post("/login", "login", "nobody", "password", secrets[0])
	browser.Post("/login", "login", "broken", "password", secrets[3])
	browser.Post("/login", "login", secrets[0], "password", secrets[0]) // a password typed as the login
	browser.Post("/login", "login", "old", "password", secrets[5])
	browser.Post("/login", "login", "alice", "password", secrets[0])
	browser.Post("/password", "password", secrets[4])
	browser.Post("/password", "password", secrets[1])
	token, err := app.ResetToken(ctx, stored(t, app, u.ID))
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, token)
	_, _ = app.ResetPassword(ctx, token[1:], secrets[2])
	_, _ = app.ResetPassword(ctx, token, secrets[4])
	for i := range 12 { // a store that fails now and then
		n := 0
		store.Hook(func(string) error {
			if n++; n == i {
				return errStore
			}
			return nil
		}, nil)
		browser.Post("/login", "login", "alice", "password", secrets[1])
		_, _ = app.CheckResetToken(ctx, token)
	}
	store.Reset()
	if _, err := app.ResetPassword(ctx, token, secrets[2]); err != nil {
		t.Error(err)
	}
	_, _ = app.ResetPassword(ctx, token, secrets[2])
	browser.Post("/login", "login", "alice", "password", secrets[2])
	browser.Post("/logout")
	for _, c := range browser.Issued {
		secrets = append(secrets, c.Value)
	}
	secrets = append(secrets, stored(t, app, u.ID).Stamp.Reveal(), stored(t, app, u.ID).PasswordHash.Reveal())

	log := app.Logs()
	for _, e := range told {
		log += fmt.Sprintf("\n%+v %#v %v", e, e, e.Err)
	}
	if len(told) < 20 || len(browser.Issued) < 3 {
		t.Fatalf("%d events, %d cookies", len(told), len(browser.Issued))
	}
	for _, s := range secrets {
		if strings.Contains(log, s) || strings.Contains(log, url.QueryEscape(s)) {
			t.Errorf("the log has %q in it", s)
		}
	}
}
