package auth_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// browserCookie returns the name and value of the cookie of a known browser, or "".
func browserCookie(cookies map[string]string) (name, value string) {
	for name, value := range cookies {
		if strings.HasSuffix(name, "-browser") {
			return name, value
		}
	}
	return "", ""
}

// setsBrowser returns the cookie that makes a browser known, if the answer sets it.
func setsBrowser(w *httptest.ResponseRecorder) *http.Cookie {
	for _, c := range w.Result().Cookies() {
		if strings.HasSuffix(c.Name, "-browser") {
			return c
		}
	}
	return nil
}

// knownTo returns a browser that has logged in with a password, and out again.
func knownTo(t *testing.T, app *testapp.App, address, login string) *testapp.Visitor {
	t.Helper()
	v := app.Visitor(t.Context(), address)
	if status := v.Login(login, testapp.Password); status != http.StatusOK {
		t.Fatalf("login: %d", status)
	}
	if w := v.Post("/logout"); w.Code != http.StatusOK {
		t.Fatalf("logout: %d", w.Code)
	}
	if name, _ := browserCookie(v.Cookies); name == "" || len(v.Cookies) != 1 {
		t.Fatalf("after the logout there are the cookies %v", v.Cookies)
	}
	return v
}

// Only a login with a password sets the cookie.
func TestBrowserCookie(t *testing.T) {
	t.Parallel()
	for base, name := range map[string]string{"https://app.example": "__Host-session-browser", "http://127.0.0.1:5000": "session-5000-browser"} {
		app, _ := newApp(t, func(c *auth.Config) {
			c.BaseURL = base
			c.Credentials = []auth.Credential{auth.Bearer(), auth.Basic("test")}
		})
		u := app.Create(t, "susan", true)
		app.Create(t, "dora", true)
		change(t, app, find(t, app, "dora").ID, func(a *auth.Account) { a.Disabled = true })
		v := app.Visitor(t.Context(), "192.0.2.1")
		w := v.Post("/login", "login", "susan", "password", testapp.Password)
		cookie := setsBrowser(w)
		if cookie == nil {
			t.Fatalf("%s: %s", base, told(t, w))
		}
		if cookie.Name != name || cookie.Secure != strings.HasPrefix(base, "https:") || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode ||
			cookie.Path != "/" || cookie.Domain != "" || cookie.MaxAge != 180*24*60*60 || len(cookie.Value) > 400 {
			t.Errorf("%s: %v", base, cookie)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control is %q", base, w.Header().Get("Cache-Control"))
		}

		// The cookie is sealed: it shows neither the ID of the account nor the Stamp.
		// Each login gets another text.
		raw, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		if err != nil || bytes.Contains(raw, []byte(u.ID)) || bytes.Contains(raw, []byte("susan")) || bytes.Contains(raw, []byte("stamp")) {
			t.Errorf("%s: %q, %v", base, raw, err)
		}
		if again := setsBrowser(v.Post("/login", "login", "susan", "password", testapp.Password)); again == nil || again.Value == cookie.Value {
			t.Errorf("%s: again %v", base, again)
		}

		for what, answer := range map[string]*httptest.ResponseRecorder{
			"a wrong password":  app.Visitor(t.Context(), "192.0.2.1").Post("/login", "login", "susan", "password", "a wrong password"),
			"nobody":            app.Visitor(t.Context(), "192.0.2.1").Post("/login", "login", "ghost", "password", testapp.Password),
			"who is disabled":   app.Visitor(t.Context(), "192.0.2.1").Post("/login", "login", "dora", "password", testapp.Password),
			"another way":       app.Visitor(t.Context(), "192.0.2.1").Post("/enter", "login", "susan", "remember", "y"),
			"a page":            v.Post("/who"),
			"a logout":          v.Post("/logout"),
			"Basic":             direct(t, app.Server.Config.Handler, "GET", "/guarded", basicHeader("susan", testapp.Password)),
			"an API token":      direct(t, app.Server.Config.Handler, "GET", "/guarded", bearerHeader(bearerFor(t, app, u))),
			"a wrong one again": v.Post("/login", "login", "susan", "password", "a wrong password"),
		} {
			if cookie := setsBrowser(answer); cookie != nil {
				t.Errorf("%s: %s sets %v", base, what, cookie)
			}
		}
		device := app.Visitor(t.Context(), "192.0.2.1")
		device.Post("/enter", "login", "susan", "remember", "y")
		for name := range device.Cookies {
			if !strings.HasSuffix(name, "-remember") {
				delete(device.Cookies, name)
			}
		}
		if w := device.Post("/who"); w.Body.String() != "susan" || setsBrowser(w) != nil {
			t.Errorf("%s: a remembered device: %s", base, told(t, w))
		}
		if _, ok := v.Cookies[name]; !ok {
			t.Errorf("%s: the cookies are %v", base, v.Cookies)
		}
	}
}

// An attacker's guesses do not lock out the owner's known browser. Wrong passwords in
// the owner's browser do not lock others.
func TestKnownBrowserHasItsOwnCount(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, noLimits)
	app.Create(t, "susan", true)
	owner, other := knownTo(t, app, "192.0.2.1", "susan"), knownTo(t, app, "192.0.2.2", "susan")
	stranger := app.Visitor(t.Context(), "198.51.100.1")

	lock(t, stranger, "susan")
	if status := stranger.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("an unknown browser: %d", status)
	}
	for _, v := range []*testapp.Visitor{owner, other} {
		for _, login := range []string{"susan", "susan@app.example"} {
			if status := v.Login(login, testapp.Password); status != http.StatusOK {
				t.Errorf("the owner as %s: %d", login, status)
			}
		}
		v.Post("/logout")
	}
	if status := stranger.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("an unknown browser, after the owner's login: %d", status)
	}
	app.Clock.Advance(30 * time.Second)
	stranger.Login("susan", "a wrong password") // the sixth: the owner's login has not reset the count
	app.Clock.Advance(59 * time.Second)
	if status := app.Visitor(t.Context(), "198.51.100.1").Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("an unknown browser, before the second wait is over: %d", status)
	}
	app.Clock.Advance(time.Second)
	if status := app.Visitor(t.Context(), "198.51.100.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("an unknown browser, after it: %d", status)
	}

	lock(t, owner, "susan") // the schedule is the same
	if status := owner.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("the browser that is locked: %d", status)
	}
	if status := other.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("another browser of the owner: %d", status)
	}
	if status := app.Visitor(t.Context(), "198.51.100.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("an unknown browser: %d", status)
	}
	app.Clock.Advance(30*time.Second - time.Millisecond)
	if status := owner.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("just before the wait is over: %d", status)
	}
	app.Clock.Advance(time.Millisecond)
	if status := owner.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("after the wait: %d", status)
	}
}

// If attackers had a password disabled, the owner can still log in in a known browser.
// After a hundred wrong passwords in a known browser, only that browser is refused.
func TestKnownBrowserAndDisabled(t *testing.T) {
	t.Parallel()
	box := &testapp.Outbox{}
	app, _ := newApp(t, func(c *auth.Config) {
		noLimits(c)
		c.Mailer = box
	})
	u := member(t, app, "susan", testapp.Password)
	owner, other := knownTo(t, app, "192.0.2.1", "susan"), knownTo(t, app, "192.0.2.2", "susan")
	change(t, app, u.ID, func(a *auth.Account) { a.PasswordHash = cheapHash(testapp.Password) }) // restores the old hash, which the logins have upgraded
	hundred := func(v *testapp.Visitor) {
		for range 100 {
			v.Login("susan", "a wrong password")
			app.Clock.Advance(time.Hour)
		}
		if mails := box.Take(); len(mails) != 1 || mails[0].Kind != auth.MailPasswordDisabled {
			t.Errorf("mails %+v", mails)
		}
	}
	hundred(app.Visitor(t.Context(), "198.51.100.1"))
	if status := app.Visitor(t.Context(), "198.51.100.1").Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("an unknown browser: %d", status)
	}
	if status := owner.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("the owner: %d", status)
	}
	change(t, app, u.ID, func(a *auth.Account) { a.PasswordHash = cheapHash(testapp.Password) })
	hundred(owner)
	app.Clock.Advance(31 * 24 * time.Hour)
	if status := owner.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("the browser that has failed: %d", status)
	}
	if status := other.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("another known browser of the owner: %d", status)
	}
	// That login has upgraded the hash, which ends the attacker's count.
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("without the cookie: %d", status)
	}
}

// A cookie that is another account's, made with other secrets, expired or damaged makes
// no browser known. It is no error.
func TestUnknownBrowsers(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, noLimits)
	app.Create(t, "susan", true)
	app.Create(t, "mallory", true)
	name, good := browserCookie(knownTo(t, app, "192.0.2.1", "susan").Cookies)
	_, mallorys := browserCookie(knownTo(t, app, "192.0.2.1", "mallory").Cookies)
	elsewhere, _ := newApp(t, func(c *auth.Config) {
		noLimits(c)
		c.Secrets = [][]byte{[]byte("another secret of 32 random byte")}
	})
	elsewhere.Create(t, "susan", true)
	_, foreign := browserCookie(knownTo(t, elsewhere, "192.0.2.1", "susan").Cookies)
	session := app.Visitor(t.Context(), "192.0.2.1")
	session.Post("/enter", "login", "susan", "remember", "y")

	cookies := map[string]string{
		"another account's": mallorys, "of other secrets": foreign, "empty": "", "not sealed": "AAAA", "not base64": "?=%",
		"long": strings.Repeat("A", 3000), "doubled": good + good, "padded": good + "=", "cut": good[:len(good)-1], "half": good[:len(good)/2],
		"with a space": " " + good[1:],
	}
	for cookie, value := range session.Cookies {
		cookies["the cookie "+cookie[strings.LastIndexByte(cookie, '-'):]] = value
	}
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		flipped := bytes.Clone(raw)
		flipped[i] ^= 1
		cookies[fmt.Sprintf("with byte %d flipped", i)] = base64.RawURLEncoding.EncodeToString(flipped)
	}
	lock(t, app.Visitor(t.Context(), "192.0.2.1"), "susan")
	for what, value := range cookies {
		v := app.Visitor(t.Context(), "192.0.2.1")
		v.Cookies[name] = value
		if status := v.Login("susan", testapp.Password); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", what, status)
		}
	}
	// The attempt counts for unknown browsers: none of these cookies has a count of its
	// own.
	app.Events()
	app.Clock.Advance(30 * time.Second)
	for what, value := range map[string]string{"another account's": mallorys, "of other secrets": foreign, "cut": good[:len(good)-1]} {
		v := app.Visitor(t.Context(), "192.0.2.1")
		v.Cookies[name] = value
		if status := v.Login("susan", "a wrong password"); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", what, status)
		}
	}
	if n := lookedAt(t, app.Events()); n != 1 {
		t.Errorf("%d looked at", n)
	}
	v := app.Visitor(t.Context(), "192.0.2.1")
	v.Cookies[name] = good
	if status := v.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("the good one: %d", status)
	}
}

// If accounts have no Stamp, a browser is still known for its own account only.
func TestKnownBrowserWithoutStamps(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, noLimits)
	for _, name := range []string{"susan", "mallory"} {
		member(t, app, name, testapp.Password, func(a *auth.Account) { a.Stamp = auth.Secret{} })
	}
	mallory, susan := knownTo(t, app, "192.0.2.1", "mallory"), knownTo(t, app, "192.0.2.2", "susan")
	lock(t, app.Visitor(t.Context(), "198.51.100.1"), "susan")
	if status := mallory.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("Mallory's browser: %d", status)
	}
	if status := susan.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("Susan's browser: %d", status)
	}
	if status := app.Visitor(t.Context(), "198.51.100.1").Login("mallory", testapp.Password); status != http.StatusOK {
		t.Errorf("Mallory: %d", status)
	}
}

// A browser is known for 180 days after its last login, however long the client keeps
// the cookie.
func TestKnownBrowserExpires(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, noLimits)
	app.Create(t, "susan", true)
	v := knownTo(t, app, "192.0.2.1", "susan")
	_, old := browserCookie(v.Cookies)
	const days = 24 * time.Hour
	app.Clock.Advance(180*days - time.Millisecond)
	lock(t, app.Visitor(t.Context(), "192.0.2.1"), "susan")
	if status := v.Login("susan", testapp.Password); status != http.StatusOK { // makes the browser known anew
		t.Errorf("on the last day: %d", status)
	}
	app.Clock.Advance(time.Millisecond)
	replay := app.Visitor(t.Context(), "192.0.2.1")
	name, _ := browserCookie(v.Cookies)
	replay.Cookies[name] = old
	if status := replay.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("the old cookie: %d", status)
	}
	app.Clock.Advance(179 * days)
	lock(t, app.Visitor(t.Context(), "192.0.2.1"), "susan")
	if status := v.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("after 359 days: %d", status)
	}
}

// However often a browser logs in, it has one count. Its old cookies share it.
func TestKnownBrowserHasOneCount(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, noLimits)
	app.Create(t, "susan", true)
	v := app.Visitor(t.Context(), "192.0.2.1")
	var copies []*testapp.Visitor
	for range 5 {
		if status := v.Login("susan", testapp.Password); status != http.StatusOK {
			t.Fatal(status)
		}
		name, value := browserCookie(v.Cookies)
		c := app.Visitor(t.Context(), "192.0.2.1")
		c.Cookies[name] = value
		copies = append(copies, c)
	}
	app.Events()
	for _, c := range copies {
		c.Login("susan", "a wrong password")
	}
	for _, c := range copies {
		if status := c.Login("susan", testapp.Password); status != http.StatusUnauthorized {
			t.Errorf("locked: %d", status)
		}
	}
	if events := app.Events(); lookedAt(t, events) != 5 || countOf(events, auth.EventPasswordLocked) != 1 {
		t.Errorf("events %v", kinds(events))
	}
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("an unknown browser: %d", status)
	}
}

// A new password makes all browsers unknown, except the one in which the owner sets it.
func TestKnownBrowserAndNewPassword(t *testing.T) {
	t.Parallel()
	const next = "another good password"
	for name, test := range map[string]struct {
		change func(*testing.T, *testapp.App, *testapp.User, *testapp.Visitor)
		known  bool // whether the browser that makes the change is known afterwards
	}{
		"the owner": {func(t *testing.T, _ *testapp.App, _ *testapp.User, v *testapp.Visitor) {
			if w := v.Post("/password", "password", next); w.Code != http.StatusOK || setsBrowser(w) == nil {
				t.Fatal(told(t, w))
			}
		}, true},
		"a reset in the owner's browser": {func(t *testing.T, app *testapp.App, u *testapp.User, v *testapp.Visitor) {
			if w := v.Post("/reset", "token", resetToken(t, app, stored(t, app, u.ID)), "password", next); w.Code != http.StatusOK || setsBrowser(w) == nil {
				t.Fatal(told(t, w))
			}
		}, true},
		"a reset elsewhere": {func(t *testing.T, app *testapp.App, u *testapp.User, _ *testapp.Visitor) {
			if _, err := app.ResetPassword(t.Context(), resetToken(t, app, stored(t, app, u.ID)), next); err != nil {
				t.Fatal(err)
			}
		}, false},
		"the application": {func(t *testing.T, app *testapp.App, u *testapp.User, _ *testapp.Visitor) {
			if err := app.SetPassword(t.Context(), stored(t, app, u.ID), next); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, _ := newApp(t, noLimits)
			resets(app)
			u := app.Create(t, "susan", true)
			owner, other := app.Visitor(t.Context(), "192.0.2.1"), knownTo(t, app, "192.0.2.2", "susan")
			if status := owner.Login("susan", testapp.Password); status != http.StatusOK {
				t.Fatal(status)
			}
			cookie, before := browserCookie(owner.Cookies)
			test.change(t, app, u, owner)
			lock(t, app.Visitor(t.Context(), "198.51.100.1"), "susan")
			want := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}
			if status := owner.Login("susan", next); status != want[test.known] {
				t.Errorf("the browser of the change: %d", status)
			}
			if status := other.Login("susan", next); status != http.StatusUnauthorized {
				t.Errorf("another browser: %d", status)
			}
			replay := app.Visitor(t.Context(), "192.0.2.1")
			replay.Cookies[cookie] = before
			if status := replay.Login("susan", next); status != http.StatusUnauthorized {
				t.Errorf("the cookie from before: %d", status)
			}
		})
	}
}

// resets adds a page that resets a password.
func resets(app *testapp.App) {
	app.Mux.HandleFunc("POST /reset", func(w http.ResponseWriter, r *http.Request) {
		if _, err := app.ResetPassword(r.Context(), r.PostFormValue("token"), r.PostFormValue("password")); err != nil {
			app.Error(w, r, err)
		}
	})
}

// An owner who is locked out in a new browser gets in by a reset, although attackers go
// on guessing and lock the new password at once.
func TestResetUnlocks(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, noLimits)
	resets(app)
	u := app.Create(t, "susan", true)
	stranger := app.Visitor(t.Context(), "198.51.100.1")
	lock(t, stranger, "susan")
	owner := app.Visitor(t.Context(), "192.0.2.1")
	token := resetToken(t, app, stored(t, app, u.ID))
	for _, wrong := range []string{token + "x", ""} { // wrong tokens make no browser known
		if w := owner.Post("/reset", "token", wrong, "password", "another good password"); w.Code != http.StatusBadRequest || setsBrowser(w) != nil {
			t.Error(told(t, w))
		}
	}
	if w := owner.Post("/reset", "token", token, "password", "short"); w.Code != http.StatusUnprocessableEntity || setsBrowser(w) != nil {
		t.Error(told(t, w))
	}
	if w := owner.Post("/reset", "token", token, "password", "another good password"); w.Code != http.StatusOK {
		t.Fatal(told(t, w))
	}
	lock(t, stranger, "susan")
	if status := owner.Login("susan", "another good password"); status != http.StatusOK {
		t.Errorf("the owner: %d", status)
	}
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", "another good password"); status != http.StatusUnauthorized {
		t.Errorf("elsewhere: %d", status)
	}
}

// Other changes of the Stamp make every browser unknown.
func TestKnownBrowserAndLogoutEverywhere(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, noLimits)
	u := app.Create(t, "susan", true)
	v := app.Visitor(t.Context(), "192.0.2.1")
	v.Login("susan", testapp.Password)
	act := app.Page(func(w http.ResponseWriter, r *http.Request) {
		if err := app.LogoutEverywhere(r.Context(), stored(t, app, u.ID)); err != nil {
			app.Error(w, r, err)
		}
	})
	if w := v.Post(act); w.Code != http.StatusOK || setsBrowser(w) != nil {
		t.Error(told(t, w))
	}
	lock(t, app.Visitor(t.Context(), "198.51.100.1"), "susan")
	if status := v.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("%d", status)
	}
}

// A browser is known for one account: the last one that logged in there. For other
// accounts it is unknown again.
func TestTwoAccountsInABrowser(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, noLimits)
	app.Create(t, "susan", true)
	app.Create(t, "mike", true)
	v := knownTo(t, app, "192.0.2.1", "susan")
	_, susans := browserCookie(v.Cookies)
	if status := v.Login("mike", testapp.Password); status != http.StatusOK {
		t.Fatal(status)
	}
	v.Post("/logout")
	name, mikes := browserCookie(v.Cookies)
	if susans == mikes || len(v.Cookies) != 1 {
		t.Errorf("cookies %v", v.Cookies)
	}
	stranger := app.Visitor(t.Context(), "198.51.100.1")
	lock(t, stranger, "susan")
	lock(t, stranger, "mike")
	if status := v.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("the first account: %d", status)
	}
	if status := v.Login("mike", testapp.Password); status != http.StatusOK {
		t.Errorf("the second: %d", status)
	}
	v.Cookies = map[string]string{name: susans} // a copy of the first cookie still works
	if status := v.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("the first account by its own cookie: %d", status)
	}
}

// Every function that checks a password uses the count of the known browser.
func TestKnownBrowserAtEveryPasswordCheck(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		noLimits(c)
		c.Credentials = []auth.Credential{auth.Basic("test")}
	})
	app.Create(t, "susan", true)
	owner := knownTo(t, app, "192.0.2.1", "susan")
	name, value := browserCookie(owner.Cookies)
	lock(t, app.Visitor(t.Context(), "198.51.100.1"), "susan")
	basic := basicHeader("susan", testapp.Password)
	if w := direct(t, app.Server.Config.Handler, "GET", "/guarded", basic); w.Code == http.StatusOK {
		t.Errorf("Basic from an unknown browser: %d", w.Code)
	}
	basic["Cookie"] = []string{name + "=" + value}
	if w := direct(t, app.Server.Config.Handler, "GET", "/guarded", basic); w.Code != http.StatusOK {
		t.Errorf("Basic of the owner: %d", w.Code)
	}
	u := find(t, app, "susan")
	for password, want := range map[string]bool{testapp.Password: true, "a wrong password": false} {
		act := app.Page(func(_ http.ResponseWriter, r *http.Request) {
			if ok, err := app.CheckPassword(r.Context(), u, password); ok != want || err != nil {
				t.Errorf("CheckPassword: %v, %v", ok, err)
			}
		})
		owner.Post(act)
	}
	if ok, err := app.CheckPassword(t.Context(), u, testapp.Password); ok || err != nil { // outside a request no browser is known
		t.Errorf("CheckPassword outside a request: %v, %v", ok, err)
	}
}

// If a new secret is put in front, browsers stay known. If their secret is removed,
// they become unknown.
func TestKnownBrowserSecretsRotate(t *testing.T) {
	t.Parallel()
	first, second := []byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"), []byte("kTzK8G4ocWbq0m2nSgq0UQzR3rjZtJ5A")
	apps, store := processes(t, 1, noLimits)
	apps[0].Create(t, "susan", true)
	rotated := func(secrets ...[]byte) *testapp.App {
		return testapp.New(t, store, apps[0].Clock, func(c *auth.Config) {
			noLimits(c)
			c.Secrets, c.BaseURL = secrets, "https://app.example"
		})
	}
	v := knownTo(t, rotated(first), "192.0.2.1", "susan")
	lock(t, apps[0].Visitor(t.Context(), "198.51.100.1"), "susan")
	v.App = rotated(second, first)
	if status := v.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("a new secret: %d", status)
	}
	v.App = rotated(second)
	if status := v.Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("sealed by the new secret: %d", status)
	}
	v.App = rotated([]byte("g1ZQ7x9wPpRfY2uVb3LsNcDhKmTaEiJo"))
	if status := v.Login("susan", testapp.Password); status != http.StatusUnauthorized {
		t.Errorf("other secrets: %d", status)
	}
}

// If an ID is too long for a cookie, the browser stays unknown, and nothing fails.
func TestKnownBrowserWithLongID(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, noLimits)
	for length, want := range map[int]bool{1024: true, 1025: false, 4000: false} {
		name := fmt.Sprint("user", length)
		member(t, app, name, testapp.Password, func(a *auth.Account) { a.ID = strings.Repeat("i", length) })
		v := app.Visitor(t.Context(), "192.0.2.1")
		w := v.Post("/login", "login", name, "password", testapp.Password)
		cookie := setsBrowser(w)
		if w.Code != http.StatusOK || (cookie != nil) != want {
			t.Errorf("%d bytes: %d, %v", length, w.Code, cookie)
		}
		if cookie != nil && len(cookie.Name)+len(cookie.Value) > 4096 {
			t.Errorf("%d bytes: a cookie of %d", length, len(cookie.Value))
		}
		lock(t, app.Visitor(t.Context(), "192.0.2.1"), name)
		if status := v.Login(name, testapp.Password); (status == http.StatusOK) != want {
			t.Errorf("%d bytes: %d", length, status)
		}
	}
}

// If a login fails because of the store after the password was right, the browser does
// not become known.
func TestKnownBrowserAfterFailedLogin(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, noLimits)
	app.Create(t, "susan", true)
	testapp.EachCall(t, 1, func(k int) bool {
		store.FailAt(k, false)
		w := app.Visitor(t.Context(), "192.0.2.1").Post("/login", "login", "susan", "password", testapp.Password)
		calls := store.Calls()
		store.Reset()
		if w.Code != http.StatusOK && setsBrowser(w) != nil {
			t.Errorf("call %d fails: %s", k, told(t, w))
		}
		app.Clock.Advance(time.Hour)
		return len(calls) >= k
	})
	// Nor does it if the login is too late for a cookie, or is made outside a request.
	app.Mux.HandleFunc("POST /late", func(w http.ResponseWriter, r *http.Request) {
		u, err := app.Authenticate(r.Context(), "susan", testapp.Password)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusAccepted)
		if err := app.LoginUser(r.Context(), u); !errors.Is(err, auth.ErrHeaderWritten) {
			t.Errorf("LoginUser: %v", err)
		}
	})
	if w := app.Visitor(t.Context(), "192.0.2.1").Post("/late"); w.Code != http.StatusAccepted || setsBrowser(w) != nil {
		t.Error(told(t, w))
	}
	if _, err := app.Authenticate(t.Context(), "susan", testapp.Password); err != nil {
		t.Error(err)
	}
	if !slices.Contains(kinds(app.Events()), auth.EventLoginSucceeded) {
		t.Error("no login succeeded")
	}
}
