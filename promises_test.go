package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// These tests show promises that no other test shows.

func TestPasswordsDoNotExpire(t *testing.T) {
	t.Parallel()
	app, _ := hookedApp(t, nil)
	member(t, app, "susan", testapp.Password)
	app.Clock.Advance(10 * 365 * 24 * time.Hour)
	c := app.Client(t)
	if r := c.Post("/login", "login", "susan", "password", testapp.Password); r.StatusCode != http.StatusOK || c.Who() != "susan" {
		t.Errorf("ten years later: %s %s", r.Status, r.Text)
	}
}

// 64 characters of four bytes each are a password, and each of them counts.
func TestLongPasswords(t *testing.T) {
	t.Parallel()
	app, _ := hookedApp(t, nil)
	var runes []rune
	for i := range 64 {
		runes = append(runes, rune(0x20000+37*i)) // ideographs
	}
	password := string(runes)
	if len(password) != 256 {
		t.Fatal(len(password))
	}
	if _, err := app.Register(t.Context(), auth.Registration{Username: "susan", Password: password}); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		password string
		ok       bool
	}{
		"itself":           {password, true},
		"another last one": {string(append(slices.Clone(runes[:63]), 'x')), false},
		"one less":         {string(runes[:63]), false},
		"one more":         {password + "x", false},
	} {
		if _, err := app.Authenticate(t.Context(), "susan", c.password); (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// pagesApp is an application with the ready-made pages, in which susan is a
// member.
func pagesApp(t *testing.T, configure func(*auth.Config)) (app *testapp.App, store *hookedStore, p *pages.Pages, box *outbox) {
	t.Helper()
	box = &outbox{}
	app, store = hookedApp(t, func(c *auth.Config) {
		c.Mailer = box
		if configure != nil {
			configure(c)
		}
	})
	p, err := pages.New(app.Core, pages.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return app, store, p, box
}

// Nobody has an account that nobody has made: not after New, and not after
// everything has been asked for.
func TestNobodyIsThereAtFirst(t *testing.T) {
	t.Parallel()
	app, store, p, _ := pagesApp(t, nil)
	if calls := store.made(); len(calls) > 0 {
		t.Errorf("New asks the store: %v", calls)
	}
	h := app.LoadAndSave(p)
	for _, path := range p.Paths() {
		direct(t, h, "GET", path, nil)
	}
	for _, login := range []string{"admin", "root", "administrator", "user", "test", "guest", "", "1"} {
		for _, password := range []string{"admin", "password", "changeme", login, "null"} {
			if u, err := app.Authenticate(t.Context(), login, password); err == nil {
				t.Errorf("%s, %s is %+v", login, password, u)
			}
		}
	}
	for _, call := range store.made() {
		if call == "CreateUser" || call == "UpdateAccount" {
			t.Errorf("calls %v", store.made())
		}
	}
}

// Whatever is in the query, a request with a safe method does nothing.
func TestSafeMethodsChangeNothing(t *testing.T) {
	t.Parallel()
	app, store, p, box := pagesApp(t, nil)
	u := member(t, app, "susan", testapp.Password)
	h := app.LoadAndSave(p)
	c, other := app.Client(t), app.Client(t)
	c.Login("susan")
	other.Login("susan")
	query := url.Values{
		"login": {"susan"}, "email": {"susan@app.example"}, "username": {"new"}, "id": {logins(t, app, u.ID)[1].ID}, "others": {"1"},
		"current_password": {testapp.Password}, "password": {resetTo}, "confirm_password": {resetTo}, "remember_me": {"y"},
		"token": {resetToken(t, app, u)}, "_method": {"POST"},
	}
	for _, path := range p.Paths() {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			for who, header := range map[string]http.Header{"a visitor": {}, "susan": cookieHeader(c.Cookies)} {
				store.hook(nil, nil)
				header.Set("X-HTTP-Method-Override", "POST")
				before := app.Core.PasswordHashes()
				w := direct(t, h, method, path+"?"+query.Encode(), header)
				if wrote(store) || app.Core.PasswordHashes() != before || len(box.take()) > 0 || w.Code >= 500 {
					t.Errorf("%s %s by %s: %d, calls %v", method, path, who, w.Code, store.made())
				}
			}
		}
	}
	if c.Who() != "susan" || other.Who() != "susan" || !opens(t, app, u.ID, testapp.Password) {
		t.Error("something was changed")
	}
}

// No page of another origin is told that it may read an answer: the library
// knows no CORS, also for the origins that it trusts.
func TestNoCORS(t *testing.T) {
	t.Parallel()
	app, _, p, _ := pagesApp(t, func(c *auth.Config) { c.Origins = []string{"https://admin.example"} })
	member(t, app, "susan", testapp.Password)
	c := app.Client(t)
	c.Login("susan")
	app.Mux.Handle("/", p)
	app.Mux.Handle("/mine", app.RequireLogin(http.HandlerFunc(hello)))
	for _, path := range append(p.Paths(), "/mine", "/who", "/nowhere") {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			for _, origin := range []string{"https://evil.example", "null", "https://admin.example"} {
				header := cookieHeader(c.Cookies)
				header.Set("Origin", origin)
				header.Set("Access-Control-Request-Method", "POST")
				header.Set("Access-Control-Request-Headers", "content-type")
				w := direct(t, app.Server.Config.Handler, method, path+"?callback=x&jsonp=x", header)
				for name := range w.Header() {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s %s from %s: %s", method, path, origin, name)
					}
				}
			}
		}
	}
}

// Every way in, and what is kept of it, is closed to an account that is disabled
// or gone.
func TestEveryWayIn(t *testing.T) {
	t.Parallel()
	for name, shut := range map[string]func(*testing.T, *testapp.App, string){
		"disabled": func(t *testing.T, app *testapp.App, id string) {
			change(t, app, id, func(a *auth.Account) { a.Disabled = true })
		},
		"deleted": deleteUser,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain, _ := hookedApp(t, loadedBy(auth.BearerLoader(), auth.BasicLoader("test"), byHeader()))
			app := newInsider(plain)
			u := member(t, plain, "susan", testapp.Password)
			login, device := app.Client(t), remembered(t, plain, "susan")
			login.Login("susan")
			device.Restart()
			token, reset := newToken(t, plain, u), resetToken(t, plain, u)
			by := func(header http.Header) bool { return app.Client(t).Do("GET", "/who", nil, header).Text == "susan" }
			ways := map[string]func() bool{
				"a session":           func() bool { return login.Clone().Who() == "susan" },
				"a remembered device": func() bool { return device.Clone().Who() == "susan" },
				"a password": func() bool {
					c := app.Client(t)
					c.Post("/login", "login", "susan", "password", testapp.Password)
					return c.Who() == "susan"
				},
				"LoginUser, with the account as it was": func() bool {
					c := app.Client(t)
					app.in(c, func(ctx context.Context) { _ = app.LoginUser(ctx, u) })
					return c.Who() == "susan"
				},
				"Basic":            func() bool { return by(basicHeader("susan", testapp.Password)) },
				"an API token":     func() bool { return by(bearerHeader(token.Reveal())) },
				"a request loader": func() bool { return by(as(u)) },
				"a new API token, with the account as it was": func() bool {
					fresh, _, err := app.NewAPIToken(t.Context(), u, auth.APIToken{Scopes: []string{auth.ScopeAll}, Expires: app.Clock.Now().Add(time.Hour)})
					return err == nil && by(bearerHeader(fresh.Reveal()))
				},
				"a reset link": func() bool { return usable(t, plain, reset) },
			}
			for way, in := range ways {
				if !in() {
					t.Errorf("%s is no way in at all", way)
				}
			}
			u = stored(t, plain, u.ID) // logins may have upgraded the hash
			reset = resetToken(t, plain, u)
			shut(t, plain, u.ID)
			for way, in := range ways {
				if in() {
					t.Errorf("%s lets susan in", way)
				}
			}
		})
	}
}

// Tokens are 256 random bits, also if many are made at once.
func TestTokensAreRandom(t *testing.T) {
	t.Parallel()
	app, _ := hookedApp(t, func(c *auth.Config) { c.MaxSessions = -1 })
	u := member(t, app, "susan", "")
	var mu sync.Mutex
	seen := map[string]bool{}
	var all, some [32]byte // the bits that all have, and that some have
	for i := range all {
		all[i] = 0xff
	}
	keep := func(token string, random []byte) {
		mu.Lock()
		defer mu.Unlock()
		if seen[token] {
			t.Errorf("%s is there twice", token)
		}
		seen[token] = true
		for i, b := range random {
			all[i], some[i] = all[i]&b, some[i]|b
		}
	}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 10 {
				cookies, _ := postDirectly(t.Context(), app, "/enter", nil, "login", "susan", "remember", "1")
				for name, value := range cookies {
					raw, err := base64.RawURLEncoding.DecodeString(value)
					switch {
					case err != nil || len(raw) < 32:
						t.Errorf("%s is %q", name, value)
					case strings.HasSuffix(name, "-remember"):
						keep(value, nil)
					default:
						keep(value, raw)
					}
				}
				secret, _, err := app.NewAPIToken(t.Context(), u, auth.APIToken{Scopes: []string{"x"}, Expires: app.Clock.Now().Add(time.Hour)})
				raw, wrong := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), "goauth_"))
				if err != nil || wrong != nil || len(raw) != 32 {
					t.Errorf("%v, %v, %d bytes", err, wrong, len(raw))
					continue
				}
				keep(secret.Reveal(), raw)
				keep(resetToken(t, app, u), nil)
			}
		})
	}
	wg.Wait()
	if len(seen) != 64*10*4 {
		t.Errorf("%d tokens", len(seen))
	}
	for i := range all {
		if all[i] != 0 || some[i] != 0xff {
			t.Errorf("byte %d has bits that do not change: %08b, %08b", i, all[i], some[i])
		}
	}
}

// issuedCookies are cookies of all kinds, as set for susan, with what they are
// about.
func issuedCookies(t *testing.T, app *testapp.App) []*http.Cookie {
	t.Helper()
	app.Mux.HandleFunc("POST /flash", func(_ http.ResponseWriter, r *http.Request) {
		_ = app.Flash(r.Context(), "info", "Hello, susan@app.example!")
	})
	c := app.Client(t)
	c.Post("/put", "key", "k", "value", "susan's")
	c.Get("/guarded?of=susan")
	c.Post("/flash")
	c.Post("/enter", "login", "susan", "remember", "1")
	c.Restart()
	c.Who()
	c.Post("/put", "key", "k", "value", "susan's")
	c.Post("/renew")
	kinds := map[string]bool{}
	for _, cookie := range c.Issued {
		kinds[cookie.Name] = true
	}
	if len(kinds) != 5 { // session, visitor, flash, next, remember
		t.Fatalf("cookies %v", kinds)
	}
	return c.Issued
}

// What is in a cookie says nothing of its user.
func TestCookiesTellNothing(t *testing.T) {
	t.Parallel()
	app, _ := hookedApp(t, func(c *auth.Config) { c.NextInCookie = true })
	u := member(t, app, "susan", "", func(a *auth.Account) { a.ID = "susan-0815" })
	for _, cookie := range issuedCookies(t, app) {
		raw, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		if err != nil {
			t.Errorf("%s: %v", cookie.Name, err)
		}
		for _, text := range []string{u.ID, "susan", "app.example", "guarded", "stamp", "info"} {
			if strings.Contains(cookie.Value, text) || bytes.Contains(raw, []byte(text)) {
				t.Errorf("%s has %q in it", cookie.Name, text)
			}
		}
	}
}

// Who reads the stores has no cookie: not in whole, nor a part of one that is
// random.
func TestNoCookieIsStored(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := &keepingStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
	app := testapp.New(t, store, clock, func(c *auth.Config) { c.NextInCookie = true })
	app.Create(t, "susan", false)
	cookies := issuedCookies(t, app)
	var all strings.Builder
	for _, r := range store.kept {
		fmt.Fprintf(&all, "%s %s %s %s\n", r.Kind, r.Key, r.UserID, r.Data)
	}
	if len(store.kept) < 6 {
		t.Fatalf("%d records", len(store.kept))
	}
	for _, cookie := range cookies {
		raw, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+8 <= len(raw); i += 4 {
			part := raw[i : i+8]
			if bytes.Contains([]byte(all.String()), part) || strings.Contains(all.String(), base64.RawURLEncoding.EncodeToString(part)[:10]) {
				t.Errorf("bytes %d of %s are in the store", i, cookie.Name)
			}
		}
	}
}

// A cookie counts by its exact name, and of two with one name the first.
func TestCookieNameTricks(t *testing.T) {
	t.Parallel()
	app, _ := hookedApp(t, atAppExample)
	member(t, app, "susan", "")
	member(t, app, "mallory", "")
	token := func(name string) string {
		w, _ := postDirectly(t.Context(), app, "/enter", nil, "login", name)
		return w["__Host-session"]
	}
	susan, mallory := token("susan"), token("mallory")
	for header, want := range map[string]string{
		"__Host-session=" + susan:                                       "susan",
		"__Host-session=" + susan + "; __Host-session=" + mallory:       "susan",
		"__Host-session=" + susan + "; session=" + mallory:              "susan",
		"session=" + mallory:                                            "nobody",
		"__host-session=" + mallory:                                     "nobody",
		"__Secure-session=" + mallory:                                   "nobody",
		"\u2000__Host-session=" + mallory:                               "nobody",
		"\u00a0__Host-session=" + mallory:                               "nobody",
		"=__Host-session=" + mallory:                                    "nobody",
		"$Version=1, __Host-session=" + mallory:                         "nobody",
		"__Host-session-visitor=" + mallory:                             "nobody",
		"__Host-session%3d" + mallory:                                   "nobody",
		"\u2000__Host-session=" + mallory + "; __Host-session=" + susan: "susan",
	} {
		if who := direct(t, app.Server.Config.Handler, "GET", "/who", http.Header{"Cookie": {header}}).Body.String(); who != want {
			t.Errorf("%.40q is %q, want %q", header, who, want)
		}
	}
}

// An eventWorld is an application in which one kind of event is to happen.
type eventWorld struct {
	*insider
	t       *testing.T
	store   *hookedStore
	box     *outbox
	u       *testapp.User
	c       *testapp.Client
	secrets []string // besides what the account and the browser have
	moved   bool     // the clock has been
}

// typed is what users type that is nobody's business, in the tests of events.
const typed = "canary sentence 4711"

func (w *eventWorld) login() {
	w.c.Post("/login", "login", "susan", "password", testapp.Password)
}

func (w *eventWorld) change(do func(*auth.Account)) { change(w.t, w.App, w.u.ID, do) }

// provocations has a way to each kind of event.
var provocations = map[auth.EventKind]func(w *eventWorld){
	auth.EventLogin: func(w *eventWorld) { w.login() },
	auth.EventLoginFailed: func(w *eventWorld) {
		w.secrets = append(w.secrets, "canary-login")
		w.c.Post("/login", "login", "canary-login", "password", typed)
	},
	auth.EventLoginRefused: func(w *eventWorld) {
		w.change(func(a *auth.Account) { a.Disabled = true })
		w.c.Post("/enter", "login", "susan")
	},
	auth.EventConfirmed: func(w *eventWorld) {
		w.login()
		w.in(w.c, func(ctx context.Context) { _ = w.ConfirmLogin(ctx) })
	},
	auth.EventLogout: func(w *eventWorld) { w.login(); w.c.Post("/logout") },
	auth.EventLogoutEverywhere: func(w *eventWorld) {
		w.login()
		w.in(w.c, func(ctx context.Context) { _ = w.LogoutEverywhere(ctx, w.u) })
	},
	auth.EventSessionEnded: func(w *eventWorld) {
		w.login()
		w.change(func(a *auth.Account) { a.Stamp = auth.NewSecret(typed) })
		w.c.Who()
	},
	auth.EventProtected: func(w *eventWorld) {
		w.login()
		w.c.Do("GET", "/who", nil, http.Header{"User-Agent": {"another/1"}})
	},
	auth.EventDenied:   func(w *eventWorld) { w.c.Get("/guarded?token=" + url.QueryEscape(typed)) },
	auth.EventDisabled: func(w *eventWorld) { _ = w.Disable(w.t.Context(), w.u.ID) },
	auth.EventEnabled: func(w *eventWorld) {
		_ = w.Disable(w.t.Context(), w.u.ID)
		_ = w.Enable(w.t.Context(), w.u.ID)
	},
	auth.EventUnlocked: func(w *eventWorld) { _ = w.Unlock(w.t.Context(), w.u.ID) },
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
	auth.EventRotated: func(w *eventWorld) { w.login(); w.c.Post("/put", "key", typed, "value", typed); w.c.Post("/renew") },
	auth.EventRememberStolen: func(w *eventWorld) {
		owner, old := stolen(w.t, w.App)
		old.Who()
		w.c.Issued = owner.Issued
	},
	auth.EventRegistered: func(w *eventWorld) {
		_, _ = w.Register(w.t.Context(), auth.Registration{Username: "anna", Password: typed, Form: url.Values{"name": {typed}}})
	},
	auth.EventRegisterFailed: func(w *eventWorld) {
		_, _ = w.Register(w.t.Context(), auth.Registration{Username: typed, Password: typed})
	},
	auth.EventPasswordChanged: func(w *eventWorld) { w.login(); w.c.Post("/password", "password", typed) },
	auth.EventPasswordFailed:  func(w *eventWorld) { w.login(); w.c.Post("/password", "password", typed+"\x00") },
	auth.EventCheckFailed: func(w *eventWorld) {
		w.login()
		w.in(w.c, func(ctx context.Context) { _, _ = w.CheckPassword(ctx, w.u, typed) })
	},
	auth.EventHashUpgraded: func(w *eventWorld) {
		w.change(func(a *auth.Account) { a.PasswordHash = cheapHash(typed) })
		w.c.Post("/login", "login", "susan", "password", typed)
	},
	auth.EventHashNotUpgraded: func(w *eventWorld) {
		w.change(func(a *auth.Account) { a.PasswordHash = cheapHash(typed) })
		w.store.hook(on("UpdateAccount", func() error { return errStore }), nil)
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
		w.box.err = errDown
		w.forgot("susan@app.example")
	},
	auth.EventPasswordLocked: func(w *eventWorld) { w.guess(5) },
	auth.EventPasswordDisabled: func(w *eventWorld) {
		w.guess(100)
	},
	auth.EventRateLimited: func(w *eventWorld) {
		w.in(w.c, func(ctx context.Context) {
			for range 61 {
				_ = w.SendReset(ctx, "nobody@app.example", "/reset")
			}
		})
	},
	auth.EventBreachCheckFailed: func(w *eventWorld) {
		_, _ = w.Register(w.t.Context(), auth.Registration{Username: "anna", Password: typed})
	},
	auth.EventProxySuspected: func(w *eventWorld) {
		w.c.Do("GET", "/who", nil, http.Header{"X-Forwarded-For": {typed}})
	},
	auth.EventVerifyIssued: func(w *eventWorld) { w.verify() },
	auth.EventVerifyRefused: func(w *eventWorld) {
		_ = w.SendVerification(w.t.Context(), "nobody@app.example")
		w.secrets = append(w.secrets, "nobody@app.example")
	},
	auth.EventVerified: func(w *eventWorld) {
		_, _ = w.VerifyEmail(w.t.Context(), w.verify())
	},
	auth.EventVerifyFailed: func(w *eventWorld) { _, _ = w.VerifyEmail(w.t.Context(), typed) },
	auth.EventEmailAsked:   func(w *eventWorld) { w.login(); w.newEmail() },
	auth.EventEmailChanged: func(w *eventWorld) { w.login(); w.confirmEmail() },
	auth.EventEmailUndone: func(w *eventWorld) {
		w.change(func(a *auth.Account) { a.EmailVerified = true })
		w.login()
		_, _ = w.UndoEmail(w.t.Context(), w.confirmEmail())
	},
	auth.EventEmailFailed: func(w *eventWorld) { _, _ = w.UndoEmail(w.t.Context(), typed) },
	auth.EventClosed:      func(w *eventWorld) { _ = w.CloseAccount(w.t.Context(), w.u) },
	auth.EventCloseFailed: func(w *eventWorld) {
		w.change(func(a *auth.Account) { a.Stamp = auth.NewSecret(typed) })
		_ = w.CloseAccount(w.t.Context(), w.u)
	},
	auth.EventCrossOrigin: func(w *eventWorld) {
		w.login()
		w.c.Do("POST", "/put?password="+url.QueryEscape(typed), url.Values{"key": {typed}}, http.Header{"Origin": {"https://evil.example"}, "Referer": {"https://evil.example/" + typed}})
	},
	auth.EventStoreFailed: func(w *eventWorld) {
		w.login()
		w.change(func(a *auth.Account) { a.Stamp = auth.NewSecret(typed) })
		w.store.hook(on("TakeRecord", func() error { return errStore }), nil)
		w.c.Who()
		w.store.hook(nil, nil)
	},
}

func (w *eventWorld) forgot(address string) {
	if err := w.SendReset(w.t.Context(), address, "/reset"); err != nil {
		w.t.Error(err)
	}
	w.mailed()
}

// guess tries wrong passwords, as soon as each is looked at.
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
	w.in(w.c, func(ctx context.Context) {
		u, _ := w.User(ctx)
		if err := w.SendNewEmail(ctx, u, "new@app.example", "/account/email"); err != nil {
			w.t.Error(err)
		}
	})
	return w.mailed()
}

// confirmEmail returns the token of the way back, if there is one.
func (w *eventWorld) confirmEmail() (undo string) {
	token := w.newEmail()
	w.in(w.c, func(ctx context.Context) {
		if _, err := w.ConfirmEmail(ctx, token, "/undo-email"); err != nil {
			w.t.Error(err)
		}
	})
	return w.mailed()
}

// mailed notes the links of the mails as secrets, and returns the last one's
// token.
func (w *eventWorld) mailed() (token string) {
	for _, m := range w.box.take() {
		_, token, _ = strings.Cut(m.Link.Reveal(), "token=")
		w.secrets = append(w.secrets, m.Link.Reveal(), token)
	}
	return token
}

// A leakyChecker tells what it has seen.
type leakyChecker struct{}

func (leakyChecker) Breached(_ context.Context, password string) (bool, error) {
	return false, errors.New("no answer for " + password)
}

// Every kind of event happens, is told once where it should be, and has in it
// and in its log record no password, hash, Stamp, token or cookie.
func TestEveryEventHasNoSecret(t *testing.T) {
	t.Parallel()
	for kind := range eventKinds(t) {
		provoke, ok := provocations[kind]
		if !ok {
			t.Errorf("provocations has none of %s", kind)
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			if underRace && kind == auth.EventPasswordDisabled {
				t.Skip("too many hashes for the race detector")
			}
			t.Parallel()
			w := &eventWorld{t: t, box: &outbox{}}
			plain, store := hookedApp(t, func(c *auth.Config) {
				c.Mailer, c.Protection, c.Breaches = w.box, auth.ProtectBasic, leakyChecker{}
				c.RequestLoaders = []auth.RequestLoader{auth.BearerLoader()}
			})
			w.insider, w.store = newInsider(plain), store
			w.u, w.c = plain.Create(t, "susan", true), plain.Client(t)
			plain.Events()
			provoke(w)
			events := plain.Events()
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

// eventKinds are the constants of event.go, with what is said of them.
func eventKinds(t *testing.T) map[auth.EventKind]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[auth.EventKind]string{}
	for _, d := range file.Decls {
		constants, ok := d.(*ast.GenDecl)
		if !ok || constants.Tok != token.CONST {
			continue
		}
		for _, spec := range constants.Specs {
			value, ok := spec.(*ast.ValueSpec)
			if !ok || len(value.Values) != 1 {
				continue
			}
			if text, ok := value.Values[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
				kind, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				kinds[auth.EventKind(kind)] = value.Comment.Text() + value.Doc.Text()
			}
		}
	}
	return kinds
}

// Every kind of event says what it is about.
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

// Whatever a client sends, an event is one line of the log, in which a text
// cannot pass for a field.
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
			app, _ := hookedApp(t, func(c *auth.Config) {
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
				_ = app.SendReset(t.Context(), text, "/reset")
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

// sources parses what applications compile in: the files of the modules that are
// no tests, tools or examples, by path.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains([]string{"examples", "bench", "gen", "testdata", "testapp", "storetest"}, d.Name()) || strings.HasPrefix(name, ".g")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files[filepath.ToSlash(name)], err = parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		return err
	})
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files
}

// imported are the paths that a file imports.
func imported(file *ast.File) (paths []string) {
	for _, i := range file.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// The library writes to the Logger that it was given, and to nothing else of the
// process; its randomness is crypto/rand's, and it starts no programs.
func TestWritesToItsLoggerOnly(t *testing.T) {
	t.Parallel()
	for name, file := range sources(t) {
		for _, p := range imported(file) {
			if slices.Contains([]string{"log", "math/rand", "math/rand/v2", "os/exec", "unsafe", "plugin"}, p) {
				t.Errorf("%s imports %s", name, p)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from, ok := selector.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch used := from.Name + "." + selector.Sel.Name; used {
			case "os.Stdout", "os.Stderr", "fmt.Print", "fmt.Printf", "fmt.Println", "slog.Info", "slog.Warn", "slog.Error", "slog.Debug":
				t.Errorf("%s uses %s", name, used)
			}
			return true
		})
	}
}
