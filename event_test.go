package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

func kinds(events []auth.Event) []auth.EventKind {
	var k []auth.EventKind
	for _, e := range events {
		k = append(k, e.Kind)
	}
	return k
}

// Every flow tells what it did, about whom, and who asked.
func TestEvents(t *testing.T) {
	t.Parallel()
	app, store := faultyApp(t, nil)
	susan := app.Create(t, "susan", true)
	john := app.Create(t, "john", false)
	c := app.Client(t)
	const agent = "an agent"
	// act runs f in a request of c.
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
				slices.Contains([]auth.EventKind{auth.EventSessionEnded, auth.EventSessionDamaged, auth.EventCrossOrigin, auth.EventHashUnusable}, e.Kind)
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
	if e := expect("login", susan.ID, auth.EventLogin); len(e) == 1 && e[0].Method != "password" {
		t.Errorf("login: method %q", e[0].Method)
	}
	send("/renew", nil, nil)
	expect("renew", susan.ID, auth.EventRotated)
	send("/put", url.Values{"key": {"k"}, "value": {"v"}}, nil)
	send("/who", nil, nil)
	expect("use", "")
	send("/logout", nil, nil)
	expect("logout", susan.ID, auth.EventLogout)
	send("/logout", nil, nil)
	expect("logout of nobody", "")
	login("susan", "wrong password")
	expect("wrong password", susan.ID, auth.EventLoginFailed)
	login("nobody", "wrong password")
	expect("wrong login", "", auth.EventLoginFailed)
	login("john", "wrong password")
	expect("no password", john.ID, auth.EventLoginFailed)

	// Another user takes the session over: the first one's login ends.
	c.Login("john")
	app.Events()
	login("susan", testapp.Password)
	if k := kinds(app.Events()); !slices.Contains(k, auth.EventLogin) || !slices.Contains(k, auth.EventLogout) {
		t.Errorf("taking over: %v", k)
	}
	send("/destroy", nil, nil)
	if k := kinds(app.Events()); !slices.Contains(k, auth.EventLogout) || slices.Contains(k, auth.EventLogin) {
		t.Errorf("destroy: %v", k)
	}

	// Registration.
	register := func(r auth.Registration) {
		act(func(ctx context.Context) { _, _ = app.Register(ctx, r) })
	}
	register(auth.Registration{Username: "anna", Email: "anna@app.example", Password: "a good long one"})
	if e := app.Events(); len(e) != 1 || e[0].Kind != auth.EventRegistered || e[0].UserID == "" || e[0].Address == "" {
		t.Errorf("register: %v", e)
	}
	for name, r := range map[string]auth.Registration{
		"taken": {Username: "anna", Password: "a good long one"}, "password": {Username: "x1", Password: "password"}, "name": {Username: "a b\x00", NoPassword: true},
		"form": {Username: "x2", NoPassword: true, Form: url.Values{"name": {"refuse"}}},
	} {
		register(r)
		expect("register: "+name, "", auth.EventRegisterFailed)
	}

	// Passwords.
	c.Login("susan")
	app.Events()
	send("/password", url.Values{"password": {"another good one"}}, nil)
	if k := kinds(app.Events()); !slices.Contains(k, auth.EventPasswordChanged) {
		t.Errorf("password: %v", k)
	}
	send("/password", url.Values{"password": {"short"}}, nil)
	expect("password refused", susan.ID, auth.EventPasswordFailed)
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

	// Hashes: an older one is replaced, a damaged one is told of.
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
	expect("upgrade", john.ID, auth.EventHashUpgraded, auth.EventLogin)
	a = user(john.ID).Clone()
	a.PasswordHash = auth.NewSecret("$argon2id$broken")
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	login("john", "an old password")
	expect("unusable", john.ID, auth.EventHashUnusable, auth.EventLoginFailed)

	// The gate, and sessions that are void.
	a = user(john.ID).Clone()
	a.Disabled = true
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	send("/who", nil, nil)
	if e := expect("disabled", john.ID, auth.EventSessionEnded); len(e) == 1 && !errors.Is(e[0].Err, auth.ErrDisabled) {
		t.Errorf("disabled: %v", e[0].Err)
	}
	send("/who", nil, nil)
	expect("disabled, again", "")
	send("/enter", url.Values{"login": {"john"}}, nil)
	expect("gate", john.ID, auth.EventLoginRefused)

	send("/put", nil, http.Header{"Sec-Fetch-Site": {"cross-site"}})
	expect("cross-origin", "", auth.EventCrossOrigin)

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

	// Cleaning up fails after a change: the change stands.
	c = app.Client(t)
	c.Login("susan")
	app.Events()
	u := user(susan.ID)
	a = u.Clone()
	a.Stamp = auth.NewSecret("another")
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	store.breakOn("TakeRecord")
	send("/who", nil, nil)
	store.breakOn()
	expect("cleaning up fails", susan.ID, auth.EventSessionEnded, auth.EventStoreFailed)
}

// No event, no log and no answer has a secret in it.
func TestEventsHaveNoSecrets(t *testing.T) {
	t.Parallel()
	app, store := faultyApp(t, nil)
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
	store.breakOn("UpdateRecord", "InsertRecord", "TakeRecord", "GetRecord")
	post("/put", "key", "k", "value", "secret-value-2")
	post("/logout")
	store.breakOn()
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
		t.Error("too little was told for this to mean anything")
	}
}

// printable is the beginning of a text without what cannot be seen.
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

// A long or hostile User-Agent neither breaks a line of the log nor grows.
func TestEventAgent(t *testing.T) {
	t.Parallel()
	app, _ := faultyApp(t, nil)
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
	app, _ := faultyApp(t, func(c *auth.Config) {
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

// What hears of an event, and what writes the log, may ask who the user is and
// what is in the session: no lock is held.
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
			_ = app.Sessions().GetString(ctx, "k")
			_ = app.Sessions().Keys(ctx)
		}()
	}
	nested := 0
	app, store := faultyApp(t, func(c *auth.Config) {
		c.Logger = slog.New(askingHandler{slog.DiscardHandler, func(ctx context.Context) {
			if nested++; nested%2 == 1 { // its own questions may be logged in turn
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
			store.breakOn("UpdateRecord")
			c.Post("/put", "key", "k", "value", "w")
			store.breakOn()
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
			store.breakOn("TakeRecord")
			c.Who()
			store.breakOn()
			c.Post("/logout")
		}
	})
	for _, kind := range []auth.EventKind{auth.EventLogin, auth.EventLoginFailed, auth.EventLogout, auth.EventRotated, auth.EventPasswordChanged, auth.EventPasswordFailed, auth.EventCrossOrigin, auth.EventSessionEnded, auth.EventStoreFailed} {
		if asked[kind] == 0 {
			t.Errorf("no event %s", kind)
		}
	}
}
