package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// FuzzCookieOf: among values that could be a token of ours, CookieOf finds only those
// that net/http finds, and finds every cookie that is sent alone.
func FuzzCookieOf(f *testing.F) {
	for _, header := range []string{
		"auth=AAAA", "a=1; auth=AAAA; b=2", "auth=AAAA;auth=BBBB", " auth=AAAA ;", "auth=\"AAAA\"", "auth", "auth; auth=AAAA", "auth =AAAA",
		"authx=AAAA; xauth=BBBB", "auth=A A", "auth=A,A", "auth==AAAA", "a=auth=AAAA", "AUTH=AAAA", "auth=\xff; auth=AAAA", ";;=;auth=AAAA", "a\tb=1;\tauth=AAAA", "",
	} {
		f.Add(header, "AAAA")
	}
	ours := func(text string) bool {
		return text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
	}
	f.Fuzz(func(t *testing.T, header, token string) {
		r := &http.Request{Header: http.Header{"Cookie": {header}}}
		got, ok := auth.CookieOf(r, "auth")
		if known := r.CookiesNamed("auth"); ok && ours(got) && !slices.ContainsFunc(known, func(c *http.Cookie) bool { return c.Value == got }) {
			t.Errorf("%q has %q, and net/http sees %v", header, got, known)
		}
		if !ours(token) || ok || len(r.CookiesNamed("auth")) > 0 {
			return
		}
		r.Header["Cookie"] = []string{header, "auth=" + token}
		if got, _ := auth.CookieOf(r, "auth"); got != token {
			t.Errorf("behind %q it is %q", header, got)
		}
	})
}

// issuedCookies returns cookies of all kinds that were set for susan.
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

// The value of a cookie tells nothing about its user.
func TestCookiesTellNothing(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.URLs.NextInCookie = true })
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

// An attacker who reads the store finds no cookie in it, neither whole nor a random
// part of one.
func TestNoCookieIsStored(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, func(c *auth.Config) { c.URLs.NextInCookie = true })
	app.Create(t, "susan", false)
	cookies := issuedCookies(t, app)
	var all strings.Builder
	kept := store.Given("InsertRecord", "UpdateRecord")
	for _, r := range kept {
		fmt.Fprintf(&all, "%s %s %s %s\n", r.Kind, r.Key, r.UserID, r.Data)
	}
	if len(kept) < 6 {
		t.Fatalf("%d records", len(kept))
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

// A cookie's name must match exactly. If two cookies have the same name, the first
// counts.
func TestCookieNameTricks(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, atAppExample)
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

// Tokens are 256 random bits, even if many are made at once.
func TestTokensAreRandom(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Session.Max = -1 })
	u := member(t, app, "susan", "")
	var mu sync.Mutex
	seen := map[string]bool{}
	var all, some [32]byte // the bits set in all tokens, and in some of them
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

// A cookie must be deleted with the attributes that it was set with, or browsers keep
// it.
func TestCookiesAreDeletedAsSet(t *testing.T) {
	for _, base := range []string{"https://app.example", "http://localhost:5000"} {
		app, _ := stateApp(t, func(c *auth.Config) { c.BaseURL = base })
		c := app.Client(t)
		set := c.Post("/as/remembered").Cookies()
		deleted := c.Post("/logout").Cookies()
		if len(set) != 2 || len(deleted) != 2 {
			t.Fatalf("set %v, deleted %v", set, deleted)
		}
		for i, d := range deleted {
			s := set[i]
			if d.Name != s.Name || d.Path != s.Path || d.Domain != s.Domain || d.Secure != s.Secure ||
				d.HttpOnly != s.HttpOnly || d.SameSite != s.SameSite || d.MaxAge >= 0 || d.Value != "" {
				t.Errorf("%s: set %v, deleted %v", base, s, d)
			}
		}
	}
}

// Whatever bytes a cookie contains, the request is anonymous.
func TestHostileCookiesAreAnonymous(t *testing.T) {
	app, _ := stateApp(t, func(c *auth.Config) {
		c.URLs.NextInCookie = true
		loadedBy(byHeader())(c)
	})
	u, err := app.Store.FindUser(t.Context(), "mike")
	if err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	c.Get("/guarded")
	c.Post("/as/remembered")
	var names []string
	for _, cookie := range c.Issued {
		names = append(names, cookie.Name)
	}
	if len(names) != 4 {
		t.Fatalf("cookies %v", names)
	}
	for _, name := range names {
		for _, value := range []string{"foo", "1|\xc3\xa4", "1|\xff", "\"", "|", "%00", strings.Repeat("9", 7000)} {
			raw := http.Header{"Cookie": {name + "=" + value}}
			for path, want := range map[string]string{"/state": "nobody", "/flashes": "", "/next": ""} {
				if r := app.Client(t).Do(http.MethodGet, path, nil, raw); r.StatusCode != http.StatusOK || r.Text != want {
					t.Errorf("%s with %s=%.20q: %s %q", path, name, value, r.Status, r.Text)
				}
			}
			// Credentials of the request still count.
			raw.Set("X-User", u.ID)
			expectState(t, app.Client(t), raw, "mike stale")
		}
	}
}

func TestBaseURLDecidesTheCookie(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"https://app.example":       "__Host-session",
		"https://app.example:8443/": "__Host-session",
		"HTTPS://APP.EXAMPLE":       "__Host-session",
		"http://localhost:8080":     "session-8080",
		"http://LOCALHOST":          "session-80",
		"http://[::1]:8081":         "session-8081",
		"http://127.0.0.1":          "session-80",
	} {
		cfg := goodConfig()
		cfg.BaseURL = base
		m, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg)
		if err != nil {
			t.Errorf("%s: %v", base, err)
			continue
		}
		user := &testapp.User{Account: auth.Account{ID: "1"}}
		rec := httptest.NewRecorder()
		// Host and scheme of the request do not matter.
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://evil.example:99/", nil)
		r.Header.Set("X-Forwarded-Proto", "http")
		r.Header.Set("X-Forwarded-Host", "evil.example")
		m.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := m.LoginUser(r.Context(), user); err != nil {
				t.Error(err)
			}
		})).ServeHTTP(rec, r)
		cookies := rec.Result().Cookies()
		if len(cookies) != 1 || cookies[0].Name != want || cookies[0].Secure != strings.HasPrefix(want, "__Host-") || cookies[0].Domain != "" {
			t.Errorf("%s: %v", base, rec.Header()["Set-Cookie"])
		}
	}
}

func TestCookieOfTheApplication(t *testing.T) {
	for base, want := range map[string]string{
		"https://app.example":   "__Host-session-reset=x; Path=/; HttpOnly; Secure; SameSite=Lax",
		"http://localhost:5000": "session-5000-reset=x; Path=/; HttpOnly; SameSite=Lax",
	} {
		app, _ := newApp(t, func(c *auth.Config) { c.BaseURL = base })
		cookie := app.Cookie("reset")
		cookie.Value = "x"
		if got := cookie.String(); got != want {
			t.Errorf("%s: %s", base, got)
		}
	}
}

func TestCookieAttributes(t *testing.T) {
	for _, tc := range []struct {
		base, name string
		secure     bool
	}{
		{"https://app.example", "__Host-session", true},
		{"https://app.example:8443/", "__Host-session", true},
		{"http://localhost:5000", "session-5000", false},
		{"http://127.0.0.1", "session-80", false},
	} {
		app, _ := newApp(t, func(c *auth.Config) { c.BaseURL = tc.base })
		app.Create(t, "susan", false)
		c := app.Client(t)
		check := func(r *testapp.Response) {
			t.Helper()
			cookies := r.Cookies()
			if len(cookies) != 1 {
				t.Fatalf("%s: %d cookies", tc.base, len(cookies))
			}
			got := cookies[0]
			if got.Name != tc.name || got.Secure != tc.secure || !got.HttpOnly ||
				got.SameSite != http.SameSiteLaxMode || got.Path != "/" || got.Domain != "" {
				t.Errorf("%s: %v", tc.base, got)
			}
			if r.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: Cache-Control %q beside a cookie", tc.base, r.Header.Get("Cache-Control"))
			}
		}
		r := c.Post("/enter", "login", "susan")
		check(r)
		if got := r.Cookies()[0]; got.MaxAge != 0 || !got.Expires.IsZero() || len(got.Value) < 43 {
			t.Errorf("%s: the session cookie is persistent or short: %v", tc.base, got)
		}
		r = c.Post("/logout")
		check(r)
		if got := r.Cookies()[0]; got.MaxAge >= 0 || got.Value != "" {
			t.Errorf("%s: the cookie is not deleted: %v", tc.base, got)
		}
	}
}

// TestSameSiteStrict: the cookies that log in are Strict, and are deleted so. The others stay
// Lax, so that mailed links and messages work.
func TestSameSiteStrict(t *testing.T) {
	t.Parallel()
	for _, mode := range []http.SameSite{0, http.SameSiteLaxMode, http.SameSiteStrictMode} {
		app, _ := newApp(t, func(c *auth.Config) { c.Session.SameSite = mode })
		app.Create(t, "susan", false)
		app.Mux.HandleFunc("POST /flash", func(_ http.ResponseWriter, r *http.Request) {
			_ = app.Flash(r.Context(), "info", "Hello")
		})
		c, got := app.Client(t), map[string]http.SameSite{}
		for _, r := range []*testapp.Response{
			c.Post("/flash"), c.Post("/put", "key", "k", "value", "v"), c.Post("/enter", "login", "susan", "remember", "1"), c.Post("/logout"),
		} {
			for _, cookie := range r.Cookies() {
				_, suffix, _ := strings.Cut(strings.TrimPrefix(cookie.Name, "session-"), "-")
				if before, set := got[suffix]; set && before != cookie.SameSite {
					t.Errorf("%d: %s is set as %d and deleted as %d", mode, cookie.Name, before, cookie.SameSite)
				}
				got[suffix] = cookie.SameSite
			}
		}
		logsIn := http.SameSiteLaxMode
		if mode == http.SameSiteStrictMode {
			logsIn = mode
		}
		want := map[string]http.SameSite{"": logsIn, "remember": logsIn, "visitor": http.SameSiteLaxMode, "flash": http.SameSiteLaxMode}
		if !maps.Equal(got, want) {
			t.Errorf("%d: %v", mode, got)
		}
		if c := app.Cookie("mine"); c.SameSite != http.SameSiteLaxMode {
			t.Errorf("%d: the application's cookie is %d", mode, c.SameSite)
		}
	}
}

// TestPersistentCookie: the session cookie outlives the browser, and ends with the login's
// Lifetime, whenever it is renewed.
func TestPersistentCookie(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		c.Session.PersistentCookie, c.Session.Lifetime, c.Session.IdleTimeout = true, 48*time.Hour, -1
	})
	app.Create(t, "susan", false)
	c := app.Client(t)
	for _, path := range []string{"/enter", "/renew"} {
		r := c.Post(path, "login", "susan")
		if cookies := r.Cookies(); len(cookies) != 1 || time.Duration(cookies[0].MaxAge)*time.Second != 48*time.Hour {
			t.Errorf("%s: %v", path, cookies)
		}
	}
	app.Clock.Advance(40 * time.Hour)
	if cookies := c.Post("/renew").Cookies(); len(cookies) != 1 || time.Duration(cookies[0].MaxAge)*time.Second != 8*time.Hour {
		t.Errorf("renewed after 40 hours: %v", cookies)
	}
	app.Clock.Advance(8*time.Hour + time.Second)
	if c.Who() == "susan" {
		t.Error("the login goes on after its Lifetime")
	}
	if cookies := app.Client(t).Post("/put", "key", "k", "value", "v").Cookies(); len(cookies) != 1 || cookies[0].MaxAge != 0 {
		t.Errorf("a visitor: %v", cookies)
	}
}

// A response that sets a cookie must not get into a shared cache, whatever
// Cache-Control the page sets.
func TestCookiesAreNotCached(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	app.Mux.HandleFunc("POST /cached", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=600") // a middleware for assets does this
		if err := app.LoginUser(r.Context(), u); err != nil {
			t.Error(err)
		}
	})
	r := app.Client(t).Post("/cached")
	if cache := r.Header.Get("Cache-Control"); len(r.Cookies()) == 0 || strings.Contains(cache, "public") {
		t.Errorf("a session cookie goes out with Cache-Control %q", cache)
	}
}

// A cookie that is no valid token makes the request anonymous. It costs at most one
// lookup, and it is not deleted.
func TestGarbageCookies(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	do(t, app, c, func(ctx context.Context) { app.SessionData().Put(ctx, "k", "v") })
	visitor := app.Client(t)
	do(t, app, visitor, func(ctx context.Context) { app.SessionData().Put(ctx, "k", "v") })
	var session, token, visitorName, visitorToken string
	for session, token = range c.Cookies {
		break
	}
	for visitorName, visitorToken = range visitor.Cookies {
		break
	}
	for name, header := range map[string]string{
		"empty":           session + "=",
		"short":           session + "=abc",
		"invalid base64":  session + "=" + strings.Repeat("!", 43),
		"other":           session + "=" + strings.Repeat("A", 43),
		"42":              session + "=" + token[:42],
		"44":              session + "=" + token + "A",
		"padded":          session + "=" + token + "=",
		"other last bits": session + "=" + token[:42] + string(token[42]+1),
		"lower case":      session + "=" + strings.ToLower(token),
		"long":            session + "=" + strings.Repeat("A", 900_000),
		"many":            strings.Repeat(session+"=x; ", 2000),
		"as visitor":      visitorName + "=" + token,
		"visitor as user": session + "=" + visitorToken,
		"other name":      session + "x=" + token,
		"spaced":          session + " x=" + token,
		"flash":           session + "-flash=" + token,
		"the key":         session + "=" + strings.Repeat("%00", 15),
		"junk":            ";;;=;=;" + session,
	} {
		for _, path := range []string{"/who", "/guarded", "/get?key=k"} {
			w := direct(t, app.Server.Config.Handler, "GET", path, http.Header{"Cookie": {header}})
			want := map[string]string{"/who": "nobody", "/guarded": "", "/get?key=k": ""}[path]
			cookies := slices.DeleteFunc(w.Result().Cookies(), func(c *http.Cookie) bool { // the guard's message
				return path == "/guarded" && c.Name == session+"-flash"
			})
			if w.Body.String() != want || len(cookies) > 0 || w.Code >= 400 {
				t.Errorf("%s, %s: %d %q %v", name, path, w.Code, w.Body, w.Header()["Set-Cookie"])
			}
		}
		// Writing makes a new session with another token.
		w := direct(t, app.Server.Config.Handler, "POST", "/renew", http.Header{"Cookie": {header}})
		if w.Code != 200 {
			t.Errorf("%s: renew: %d", name, w.Code)
		}
		act := app.Page(func(_ http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			app.SessionData().Put(ctx, "mine", "1")
		})
		w = direct(t, app.Server.Config.Handler, "POST", act, http.Header{"Cookie": {header}})
		for _, cookie := range w.Result().Cookies() {
			if cookie.Value == token || cookie.Value == visitorToken || strings.Contains(header, cookie.Value) {
				t.Errorf("%s: the client's token was adopted: %v", name, cookie)
			}
		}
		if w.Code != 200 || len(w.Header()["Set-Cookie"]) != 1 {
			t.Errorf("%s: put: %d %v", name, w.Code, w.Header()["Set-Cookie"])
		}
	}
	if c.Who() != "susan" || c.Get("/get?key=mine").Text != "" || visitor.Get("/get?key=k").Text != "v" {
		t.Errorf("afterwards: %s", c.Who())
	}
	// The server itself refuses a header that is too large.
	big := app.Client(t)
	big.Cookies[session] = strings.Repeat("A", 2<<20)
	if r := big.Get("/who"); r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("2 MiB: %s", r.Status)
	}
}
