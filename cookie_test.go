package auth_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
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

// FuzzCookieOf: of what could be a token of ours, we read nothing in a request's
// cookies that net/http does not, and miss nothing that comes alone.
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

// A cookie is deleted with the attributes that it was set with, or browsers
// keep it.
func TestFlaskCookiesAreDeletedAsSet(t *testing.T) {
	for _, base := range []string{"https://app.example", "http://localhost:5000"} {
		app, _ := flaskApp(t, func(c *auth.Config) { c.BaseURL = base })
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

// Any bytes in a cookie are those of nobody.
func TestFlaskHostileCookies(t *testing.T) {
	app, _ := flaskApp(t, func(c *auth.Config) {
		c.NextInCookie = true
		flaskKeys(c)
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
			// Nor does it keep a request from bringing credentials of its own.
			raw.Set("X-User", u.ID)
			expectState(t, app.Client(t), raw, "mike stale")
		}
	}
}
