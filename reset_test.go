package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// refused checks that CheckResetToken and ResetPassword refuse the token with nothing
// but ErrInvalidToken, and that nothing is written or hashed.
func refused(t *testing.T, app *testapp.App, store *testapp.Spy, what, token string) {
	t.Helper()
	before := app.PasswordHashes()
	store.Reset()
	u, err := app.CheckResetToken(t.Context(), token)
	u2, err2 := app.ResetPassword(t.Context(), token, resetTo)
	if u != nil || u2 != nil || err == nil || err2 == nil ||
		err.Error() != auth.ErrInvalidToken.Error() || err2.Error() != auth.ErrInvalidToken.Error() || !errors.Is(err2, auth.ErrInvalidToken) {
		t.Errorf("%s: %v, %v; %v, %v", what, u, err, u2, err2)
	}
	for _, call := range store.Calls() {
		if call != "LoadUser" {
			t.Errorf("%s: the call %s", what, call)
		}
	}
	if app.PasswordHashes() != before {
		t.Errorf("%s: a hash was computed", what)
	}
}

func TestResetToken(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	alice := member(t, app, "alice", testapp.Password, func(a *auth.Account) { a.Roles = []string{"reader"} })
	bob := member(t, app, "bob", testapp.Password)
	own, other, stranger := app.Client(t), app.Client(t), app.Client(t)
	own.Login("alice")
	other.Login("alice")
	bobs := app.Client(t)
	bobs.Login("bob")

	store.Reset()
	token := resetToken(t, app, alice)
	if calls := store.Calls(); len(calls) > 0 {
		t.Errorf("making a token asked the store: %v", calls)
	}
	if strings.ContainsAny(token, "+/= \r\n.&?#%") || len(token) > 200 {
		t.Errorf("%q is not made for URLs", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || strings.Contains(string(raw), alice.ID) || strings.Contains(string(raw), "alice") {
		t.Errorf("the token tells whose it is: %v", err)
	}
	if again := resetToken(t, app, alice); again == token {
		t.Error("two tokens are the same")
	}

	// Checking the token changes nothing, however often.
	for range 3 {
		store.Reset()
		u, err := app.CheckResetToken(t.Context(), token)
		if err != nil || u.ID != alice.ID {
			t.Fatal(u, err)
		}
		if calls := store.Calls(); !slices.Equal(calls, []string{"LoadUser"}) {
			t.Errorf("CheckResetToken made the calls %v", calls)
		}
	}
	if own.Who() != "alice" || stored(t, app, alice.ID).Version != 1 {
		t.Error("CheckResetToken changed something")
	}

	// If the password is refused, the token stays good.
	store.Reset()
	for _, password := range []string{"", "short", "password1", "alice@app.example", "a\x00bcdefgh", "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", strings.Repeat("horse ", 200)} {
		var policy *auth.PasswordError
		if u, err := app.ResetPassword(t.Context(), token, password); u != nil || !errors.As(err, &policy) {
			t.Errorf("%.20q: %v, %v", password, u, err)
		}
	}
	if calls := store.Calls(); slices.ContainsFunc(calls, func(s string) bool { return s != "LoadUser" }) {
		t.Errorf("a refused password wrote: %v", calls)
	}

	app.Events()
	u, err := app.ResetPassword(t.Context(), token, resetTo)
	if err != nil {
		t.Fatal(err)
	}
	if rs, err := store.ListRecords(t.Context(), "session", alice.ID); err != nil || len(rs) > 0 {
		t.Errorf("%d sessions are left, %v", len(rs), err)
	}
	if u.ID != alice.ID || u.Version != 2 || !u.EmailVerified || u.Stamp.Equal(alice.Stamp) || !slices.Equal(u.Roles, alice.Roles) || u.Email != alice.Email {
		t.Errorf("%+v", u.Account)
	}
	if s := stored(t, app, alice.ID); !s.Stamp.Equal(u.Stamp) || !s.PasswordHash.Equal(u.PasswordHash) || !s.EmailVerified || s.Version != 2 {
		t.Errorf("%+v", s.Account)
	}
	if !opens(t, app, alice.ID, resetTo) || opens(t, app, alice.ID, testapp.Password) {
		t.Error("the password was not reset")
	}
	for name, c := range map[string]*testapp.Client{"own": own, "other": other, "stranger": stranger} {
		if who := c.Who(); who != "nobody" {
			t.Errorf("%s browser: %s", name, who)
		}
	}
	if bobs.Who() != "bob" || !opens(t, app, bob.ID, testapp.Password) {
		t.Error("bob was affected")
	}
	if events := app.Events(); len(events) == 0 || events[0].Kind != auth.EventResetDone || events[0].UserID != alice.ID {
		t.Errorf("%+v", events)
	}
	refused(t, app, store, "used", token)
}

func TestResetLogsNobodyIn(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Mux.HandleFunc("POST /reset", func(w http.ResponseWriter, r *http.Request) {
		before, _ := app.CurrentUser(r.Context())
		u, err := app.ResetPassword(r.Context(), r.PostFormValue("token"), resetTo)
		if after, ok := app.CurrentUser(r.Context()); ok != (before != nil && before.ID != u.ID) {
			t.Errorf("in the request that reset the password %v is logged in", after)
		}
		if text := app.SessionData().GetString(r.Context(), "k"); text != "" && before != nil && before.ID == u.ID {
			t.Errorf("the login has ended, and its data is still there: %q", text)
		}
		if err == nil && r.PostFormValue("login") != "" {
			err = app.LoginUser(r.Context(), u)
		}
		if err != nil {
			app.Error(w, r, err)
		}
	})
	alice := member(t, app, "alice", "")
	member(t, app, "bob", "")
	for _, c := range []struct{ as, after string }{{"", "nobody"}, {"bob", "bob"}, {"alice", "nobody"}} {
		browser := app.Client(t)
		if c.as != "" {
			browser.Login(c.as)
			browser.Post("/put", "key", "k", "value", c.as)
		}
		issued := len(browser.Issued)
		r := browser.Post("/reset", "token", resetToken(t, app, stored(t, app, alice.ID)))
		if who := browser.Who(); r.StatusCode != http.StatusOK || who != c.after {
			t.Errorf("as %q: %s, the browser is %s's", c.as, r.Status, who)
		}
		for _, cookie := range browser.Issued[issued:] {
			if !strings.HasSuffix(cookie.Name, "-browser") { // which does not log in
				t.Errorf("as %q: the cookie %s", c.as, cookie.Name)
			}
		}
	}
	// The application may log the user in afterwards, even if another user was logged in before.
	for _, as := range []string{"", "bob", "alice"} {
		browser := app.Client(t)
		if as != "" {
			browser.Login(as)
		}
		r := browser.Post("/reset", "token", resetToken(t, app, stored(t, app, alice.ID)), "login", "yes")
		if who := browser.Who(); r.StatusCode != http.StatusOK || who != "alice" {
			t.Errorf("as %q: %s, the browser is %s's", as, r.Status, who)
		}
	}
}

func TestResetTokenNeeds(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	for what, c := range map[string]struct {
		change func(*auth.Account)
		want   error
	}{
		"disabled":   {func(a *auth.Account) { a.Disabled = true }, auth.ErrDisabled},
		"no address": {func(a *auth.Account) { a.Email = "" }, auth.ErrInvalidEmail},
		"no ID":      {func(a *auth.Account) { a.ID = "" }, nil},
	} {
		u := &testapp.User{Account: auth.Account{ID: "1", Email: "a@app.example", Stamp: auth.NewSecret("s")}}
		c.change(&u.Account)
		if token, err := app.ResetToken(t.Context(), u); token != "" || err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v", what, token, err)
		}
	}
	if token, err := app.ResetToken(t.Context(), nil); token != "" || !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("nobody: %q, %v", token, err)
	}
}

// If any bit of a token is changed, it is refused.
func TestResetTokenForged(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	alice := member(t, app, "alice", testapp.Password)
	token := resetToken(t, app, alice)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range token {
		at := strings.IndexByte(alphabet, token[i])
		for bit := range 6 { // every bit of every character
			forged := token[:i] + string(alphabet[at^1<<bit]) + token[i+1:]
			if usable(t, app, forged) {
				t.Errorf("character %d, bit %d", i, bit)
			}
		}
		for _, c := range []string{"", "=", ".", " ", "+", "/", "\x00", "\xff", "%41", "\n", "é"} {
			if usable(t, app, token[:i]+c+token[i+1:]) {
				t.Errorf("character %d became %q", i, c)
			}
		}
		if usable(t, app, token[:i]) || i > 0 && usable(t, app, token[i:]) {
			t.Errorf("cut at %d", i)
		}
	}
	bob := member(t, app, "bob", testapp.Password)
	bobs := resetToken(t, app, bob)
	for what, forged := range map[string]string{
		"empty": "", "null": "null", "zero": "0", "undefined": "undefined", "space": " ", "tab": "\t", "NUL": "\x00",
		"padded": token + "=", "padded twice": token + "==", "doubled": token + token, "with a space": token + " ", "with a dot": token + ".",
		"one more": token + "A", "four more": token + "AAAA", "upper case": strings.ToUpper(token), "lower case": strings.ToLower(token),
		"half of two":   token[:len(token)/2] + bobs[len(bobs)/2:],
		"escaped":       strings.ReplaceAll(token, token[:1], fmt.Sprintf("%%%02X", token[0])),
		"zeros":         strings.Repeat("A", len(token)),
		"a megabyte":    strings.Repeat("A", 1<<20),
		"a token twice": token + "," + token,
		"an ID":         alice.ID,
		"the stamp":     alice.Stamp.Reveal(),
		"plain text":    base64.RawURLEncoding.EncodeToString([]byte("\x01\x00\x00\xff\xff\xff\xff\xff\xff" + strings.Repeat("\x00", 32) + alice.ID)),
	} {
		refused(t, app, store, what, forged)
	}
	if !usable(t, app, token) || !usable(t, app, bobs) {
		t.Error("the tokens are spent")
	}
}

// A text that was sealed for another purpose is no token, and a token is no cookie.
func TestResetTokenPurpose(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	alice := member(t, app, "alice", testapp.Password)
	app.Mux.HandleFunc("POST /flash", func(w http.ResponseWriter, r *http.Request) {
		if err := app.Flash(r.Context(), "info", r.PostFormValue("text")); err != nil {
			t.Error(err)
		}
	})
	app.Mux.HandleFunc("GET /flashes", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, len(app.Flashes(r.Context())))
	})
	browser := app.Client(t)
	browser.Login("alice")
	browser.Post("/flash", "text", "\x01\x7f\xff\xff\xff\xff\xff\xff\xff"+strings.Repeat("\x00", 32)+alice.ID)
	if len(browser.Cookies) != 2 {
		t.Fatalf("%v", browser.Cookies)
	}
	token := resetToken(t, app, alice)
	for name, value := range browser.Cookies {
		refused(t, app, store, name, value)
		alone := app.Client(t)
		alone.Cookies = map[string]string{name: token}
		if who, n := alone.Who(), alone.Get("/flashes").Text; who != "nobody" || n != "0" {
			t.Errorf("a token as %s: %s, %s messages", name, who, n)
		}
	}
}

// appsOn makes applications on one store, one for each list of secrets.
func appsOn(t *testing.T, secrets ...[]string) (*testapp.Spy, []*testapp.App) {
	t.Helper()
	clock := testapp.NewClock()
	store := testapp.NewSpy(clock)
	var apps []*testapp.App
	for _, list := range secrets {
		apps = append(apps, testapp.New(t, store, clock, func(c *auth.Config) {
			c.Secrets = nil
			for _, s := range list {
				c.Secrets = append(c.Secrets, []byte(s))
			}
		}))
	}
	return store, apps
}

func TestResetTokenSecrets(t *testing.T) {
	t.Parallel()
	const a, b, c = "aaBb2hTnDsEYYXfgoyKCcmQyVRBJFOp5", "bbBb2hTnDsEYYXfgoyKCcmQyVRBJFOp5", "ccBb2hTnDsEYYXfgoyKCcmQyVRBJFOp5"
	lists := [][]string{{a}, {b}, {b, a}, {c, b, a}, {c, b}, {a, b}, {a + "x"}}
	store, apps := appsOn(t, lists...)
	alice := member(t, apps[0], "alice", testapp.Password)
	for i, from := range lists {
		token := resetToken(t, apps[i], alice)
		for j, to := range lists {
			if want := slices.Contains(to, from[0]); want != usable(t, apps[j], token) {
				t.Errorf("sealed with %.2s, opened with %.2s: want %v", from, to, want)
			} else if !want {
				refused(t, apps[j], store, fmt.Sprintf("sealed with %.2s, opened with %.2s", from, to), token)
			}
		}
	}
	token := resetToken(t, apps[0], alice) // made by the first deployment, used after two rotations
	if _, err := apps[3].ResetPassword(t.Context(), token, resetTo); err != nil {
		t.Error(err)
	}
	refused(t, apps[0], store, "used elsewhere", token)
}

func TestResetTokenExpires(t *testing.T) {
	t.Parallel()
	for _, lifetime := range []time.Duration{0, time.Minute, 10 * time.Minute, 24 * time.Hour} {
		app, store := newApp(t, func(c *auth.Config) { c.Password.ResetLifetime = lifetime })
		if lifetime == 0 {
			lifetime = 30 * time.Minute
		}
		alice := member(t, app, "alice", testapp.Password)
		token := resetToken(t, app, alice)
		app.Clock.Advance(lifetime - time.Millisecond)
		if !usable(t, app, token) {
			t.Errorf("%v: refused 1 ms before", lifetime)
		}
		later := resetToken(t, app, alice)
		app.Clock.Advance(time.Millisecond)
		refused(t, app, store, fmt.Sprintf("at %v", lifetime), token)
		app.Clock.Advance(time.Millisecond)
		refused(t, app, store, fmt.Sprintf("1 ms after %v", lifetime), token)
		app.Clock.Advance(1000 * time.Hour)
		refused(t, app, store, "long after", token)
		refused(t, app, store, "a later one, long after", later)
		app.Clock.Advance(-1000*time.Hour - 2*time.Millisecond)
		if _, err := app.ResetPassword(t.Context(), token, resetTo); err != nil {
			t.Errorf("%v: 1 ms before: %v", lifetime, err)
		}
	}
}

// However many times the account's tokens are used, only one reset succeeds.
func TestResetParallelRedemptions(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	alice := member(t, app, "alice", testapp.Password)
	tokens := []string{resetToken(t, app, alice), resetToken(t, app, alice)} // of two mails
	var wg sync.WaitGroup
	var won atomic.Int32
	winner := -1
	for i := range 50 {
		wg.Go(func() {
			u, err := app.ResetPassword(t.Context(), tokens[i%2], fmt.Sprintf("the password of %d", i))
			switch {
			case err == nil && u.ID == alice.ID:
				if won.Add(1) == 1 {
					winner = i
				}
			case !errors.Is(err, auth.ErrInvalidToken):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d have won", won.Load())
	}
	if !opens(t, app, alice.ID, fmt.Sprintf("the password of %d", winner)) || opens(t, app, alice.ID, fmt.Sprintf("the password of %d", (winner+1)%50)) {
		t.Error("the password is not the winner's")
	}
	if u := stored(t, app, alice.ID); u.Version != 2 {
		t.Errorf("the account was changed %d times", u.Version-1)
	}
	for i, token := range tokens {
		refused(t, app, store, fmt.Sprintf("token %d afterwards", i), token)
	}
}

// Which changes void a token.
func TestResetTokenIsBound(t *testing.T) {
	t.Parallel()
	update := func(f func(*auth.Account)) func(*testing.T, *testapp.App, *testapp.User) {
		return func(t *testing.T, app *testapp.App, u *testapp.User) {
			a := stored(t, app, u.ID).Clone()
			f(&a)
			if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		what   string
		change func(*testing.T, *testapp.App, *testapp.User)
		good   bool
	}{
		{"nothing", func(*testing.T, *testapp.App, *testapp.User) {}, true},
		{"a later token", func(t *testing.T, app *testapp.App, u *testapp.User) { resetToken(t, app, u) }, true},
		{"a later token is looked at", func(t *testing.T, app *testapp.App, u *testapp.User) { usable(t, app, resetToken(t, app, u)) }, true},
		{"a login", func(t *testing.T, app *testapp.App, u *testapp.User) { app.Client(t).Login("alice") }, true},
		{"a login that upgrades the hash", func(t *testing.T, app *testapp.App, u *testapp.User) {
			if _, err := app.Authenticate(t.Context(), "alice", testapp.Password); err != nil || stored(t, app, u.ID).Version != 2 {
				t.Error(err)
			}
		}, true},
		{"a logout", func(t *testing.T, app *testapp.App, u *testapp.User) {
			b := app.Client(t)
			b.Login("alice")
			b.Post("/logout")
		}, true},
		{"a role", update(func(a *auth.Account) { a.Roles = []string{"admin"} }), true},
		{"another username", update(func(a *auth.Account) { a.Username = "alicia" }), true},
		{"a verified address", update(func(a *auth.Account) { a.EmailVerified = true }), true},
		{"disabled and enabled", func(t *testing.T, app *testapp.App, u *testapp.User) {
			update(func(a *auth.Account) { a.Disabled = true })(t, app, u)
			update(func(a *auth.Account) { a.Disabled = false })(t, app, u)
		}, true},

		{"a later token is used", func(t *testing.T, app *testapp.App, u *testapp.User) {
			if _, err := app.ResetPassword(t.Context(), resetToken(t, app, u), "some other password"); err != nil {
				t.Error(err)
			}
		}, false},
		{"another password", func(t *testing.T, app *testapp.App, u *testapp.User) {
			if err := app.SetPassword(t.Context(), u, "some other password"); err != nil {
				t.Error(err)
			}
		}, false},
		{"the same password again", func(t *testing.T, app *testapp.App, u *testapp.User) {
			if err := app.SetPassword(t.Context(), u, testapp.Password); err != nil {
				t.Error(err)
			}
		}, false},
		{"another stamp", update(func(a *auth.Account) { a.Stamp = auth.NewSecret("another") }), false},
		{"no stamp", update(func(a *auth.Account) { a.Stamp = auth.Secret{} }), false},
		{"another address", update(func(a *auth.Account) { a.Email = "alice@evil.example" }), false},
		{"the address in another case", update(func(a *auth.Account) { a.Email = "Alice@app.example" }), false},
		{"no address", update(func(a *auth.Account) { a.Email = "" }), false},
		{"disabled", update(func(a *auth.Account) { a.Disabled = true }), false},
		{"text moved from the stamp to the address", update(func(a *auth.Account) {
			s := a.Stamp.Reveal()
			a.Stamp, a.Email = auth.NewSecret(s[:len(s)-1]), s[len(s)-1:]+a.Email
		}), false},
		{"deleted", func(t *testing.T, app *testapp.App, u *testapp.User) { deleteUser(t, app, u.ID) }, false},
		{"deleted and registered again", func(t *testing.T, app *testapp.App, u *testapp.User) {
			deleteUser(t, app, u.ID)
			a := u.Clone()
			a.ID = ""
			if _, err := app.Store.CreateUser(t.Context(), a, nil); err != nil {
				t.Error(err)
			}
		}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			app, store := newApp(t, nil)
			alice := member(t, app, "alice", testapp.Password)
			token := resetToken(t, app, alice)
			c.change(t, app, alice)
			if !c.good {
				refused(t, app, store, c.what, token)
				return
			}
			before := stored(t, app, alice.ID)
			if !usable(t, app, token) {
				t.Fatal("refused")
			}
			if _, err := app.ResetPassword(t.Context(), token, resetTo); err != nil || !opens(t, app, alice.ID, resetTo) {
				t.Error(err)
			}
			u := stored(t, app, alice.ID)
			if u.Username != before.Username || !slices.Equal(u.Roles, before.Roles) || u.Version != before.Version+1 {
				t.Errorf("the reset undid the change: %+v", u.Account)
			}
		})
	}
}

// The account changes between the reset's check and its own change.
func TestResetRaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		change func(*auth.Account)
		want   error
	}{
		{"an upgrade of the hash", func(a *auth.Account) { a.PasswordHash = cheapHash(testapp.Password) }, nil},
		{"a role", func(a *auth.Account) { a.Roles = []string{"admin"} }, nil},
		{"another reset", func(a *auth.Account) {
			a.PasswordHash, a.Stamp = cheapHash("the other reset's"), auth.NewSecret("other")
		}, auth.ErrInvalidToken},
		{"another address", func(a *auth.Account) { a.Email = "new@app.example" }, auth.ErrInvalidToken},
		{"disabling", func(a *auth.Account) { a.Disabled = true }, auth.ErrInvalidToken},
		{"deletion", nil, auth.ErrInvalidToken},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			app, store := newApp(t, nil)
			alice := member(t, app, "alice", testapp.Password)
			token := resetToken(t, app, alice)
			var raced auth.Account
			store.Hook(on("UpdateAccount", func() error {
				if c.change == nil {
					deleteUser(t, app, alice.ID)
					return nil
				}
				raced = alice.Clone()
				c.change(&raced)
				if err := store.Store.UpdateAccount(t.Context(), raced); err != nil {
					t.Error(err)
				}
				return nil
			}), nil)
			u, err := app.ResetPassword(t.Context(), token, resetTo)
			store.Reset()
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || (u == nil) != (err != nil) {
				t.Fatalf("%v, %v", u, err)
			}
			if c.change == nil {
				return
			}
			now := stored(t, app, alice.ID)
			if err == nil {
				if !opens(t, app, alice.ID, resetTo) || !slices.Equal(now.Roles, raced.Roles) || now.Version != 3 || !now.EmailVerified {
					t.Errorf("%+v", now.Account)
				}
			} else if now.Version != 2 || !now.PasswordHash.Equal(raced.PasswordHash) || !now.Stamp.Equal(raced.Stamp) || now.EmailVerified {
				t.Errorf("%+v", now.Account)
			}
		})
	}
}

// A reset and a login that upgrades the hash run in parallel, without a hook. The reset
// never fails, and the old password never works again.
func TestResetRacesUpgrades(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	for i := range 3 {
		name := fmt.Sprintf("user%d", i)
		user := member(t, app, name, testapp.Password)
		token := resetToken(t, app, user)
		var wg sync.WaitGroup
		var browsers []*testapp.Client
		for range 3 {
			b := app.Client(t)
			browsers = append(browsers, b)
			wg.Go(func() {
				if r := b.Post("/login", "login", name, "password", testapp.Password); r.StatusCode >= 500 {
					t.Errorf("%s %s", r.Status, r.Text)
				}
			})
		}
		wg.Go(func() {
			if _, err := app.ResetPassword(t.Context(), token, resetTo); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if !opens(t, app, user.ID, resetTo) || opens(t, app, user.ID, testapp.Password) {
			t.Error("the old password is back")
		}
		for _, b := range browsers {
			if who := b.Who(); who != "nobody" {
				t.Errorf("after the reset, a browser that used the old password is logged in as %s", who)
			}
		}
	}
}

// A reset and a change of password run in parallel: exactly one of them is made.
func TestResetRacesSetPassword(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	for i := range 3 {
		user := member(t, app, fmt.Sprintf("user%d", i), testapp.Password)
		token := resetToken(t, app, user)
		var reset, set error
		var wg sync.WaitGroup
		wg.Go(func() { _, reset = app.ResetPassword(t.Context(), token, "the password of the reset") })
		wg.Go(func() { set = app.SetPassword(t.Context(), user, "the password that was set") })
		wg.Wait()
		switch {
		case reset == nil && errors.Is(set, auth.ErrConflict):
			if !opens(t, app, user.ID, "the password of the reset") {
				t.Error("not the reset's password")
			}
		case set == nil && errors.Is(reset, auth.ErrInvalidToken):
			if !opens(t, app, user.ID, "the password that was set") {
				t.Error("not the password that was set")
			}
		default:
			t.Errorf("reset: %v; set: %v", reset, set)
		}
	}
}

// If the store fails or the client hangs up at any call of a reset, the reset is made
// completely or not at all. If it is not made, the token stays good.
func TestResetIsAllOrNothing(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 3, func(t *testing.T, f *testapp.Fault) {
		app, store := newApp(t, nil)
		alice := member(t, app, "alice", testapp.Password)
		browser := app.Client(t)
		browser.Login("alice")
		token := resetToken(t, app, alice)
		var u *testapp.User
		err := f.During(t.Context(), store, func(ctx context.Context) (err error) {
			u, err = app.ResetPassword(ctx, token, resetTo)
			return err
		})
		isOld, isNew := opens(t, app, alice.ID, testapp.Password), opens(t, app, alice.ID, resetTo)
		good, who := usable(t, app, token), browser.Who()
		what := fmt.Sprintf("%s, %v; the old password opens %v, the new one %v, the token is good: %v, the browser is %s's",
			f, u, isOld, isNew, good, who)
		switch {
		case isOld == isNew, errors.Is(err, auth.ErrInvalidToken), (u == nil) != (err != nil):
			t.Error(what)
		case isOld && (err == nil || !good || who != "alice"):
			t.Error(what)
		case isNew && (good || who != "nobody"):
			t.Error(what)
		}
	})
}

// An error of the store never looks like an invalid token.
func TestResetStoreFails(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	alice := member(t, app, "alice", testapp.Password)
	token := resetToken(t, app, alice)
	for _, err := range []error{errStore, context.DeadlineExceeded, fmt.Errorf("wrapped: %w", errStore)} {
		store.Hook(func(string) error { return err }, nil)
		if u, got := app.CheckResetToken(t.Context(), token); u != nil || !errors.Is(got, err) || errors.Is(got, auth.ErrInvalidToken) {
			t.Errorf("CheckResetToken: %v, %v", u, got)
		}
		if u, got := app.ResetPassword(t.Context(), token, resetTo); u != nil || !errors.Is(got, err) || errors.Is(got, auth.ErrInvalidToken) {
			t.Errorf("ResetPassword: %v, %v", u, got)
		}
	}
	// A wrapped sentinel error counts as the sentinel.
	store.Hook(func(string) error { return fmt.Errorf("sql: %w", auth.ErrUserNotFound) }, nil)
	if _, err := app.CheckResetToken(t.Context(), token); !errors.Is(err, auth.ErrInvalidToken) {
		t.Error(err)
	}
	// If every update conflicts, the result is an error, not an endless loop.
	store.Hook(func(call string) error {
		if call == "UpdateAccount" {
			return auth.ErrConflict
		}
		return nil
	}, nil)
	if u, err := app.ResetPassword(t.Context(), token, resetTo); u != nil || !errors.Is(err, auth.ErrConflict) {
		t.Errorf("%v, %v", u, err)
	}
	store.Reset()
	if !usable(t, app, token) || !opens(t, app, alice.ID, testapp.Password) {
		t.Error("something was changed")
	}
}

// The token names its account by the ID, whatever bytes the ID has.
func TestResetTokenOfOddIDs(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	tokens := map[string]string{}
	for i, id := range []string{
		"0", "\x00", "\x00\x00", "\xff\xfe", "a b", "ä", "../..", "%2e", "' OR 1=1 --", "a|b", "a,b", "\r\n", "1", "10", "-1",
		strings.Repeat("x", 1000), strings.Repeat("\xff", 1400), strings.Repeat("y", 2000), strings.Repeat("z", 1<<16),
	} {
		user := member(t, app, fmt.Sprintf("user%d", i), "", func(a *auth.Account) { a.ID = id })
		token, err := app.ResetToken(t.Context(), user)
		if err != nil {
			if len(id) < 1000 {
				t.Errorf("%.20q: %v", id, err)
			}
			continue // too long; the error comes before a mail is sent
		}
		if u, err := app.CheckResetToken(t.Context(), token); err != nil || u.ID != id {
			t.Errorf("%.20q (%d bytes): %v, %v", id, len(id), u, err)
		} else {
			tokens[id] = token
		}
	}
	for _, id := range []string{"\x00", "1"} {
		if u, err := app.ResetPassword(t.Context(), tokens[id], resetTo); err != nil || u.ID != id {
			t.Errorf("%q: %v", id, err)
		}
		refused(t, app, store, fmt.Sprintf("%q, used", id), tokens[id])
	}
	if !usable(t, app, tokens["\x00\x00"]) || !usable(t, app, tokens["10"]) || opens(t, app, "10", resetTo) {
		t.Error("another account was affected")
	}
}

func TestResetWhenBusyOrCancelled(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	alice := member(t, app, "alice", testapp.Password)
	token := resetToken(t, app, alice)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := app.PasswordHashes()
	if u, err := app.ResetPassword(ctx, token, resetTo); u != nil || !errors.Is(err, context.Canceled) || app.PasswordHashes() != before {
		t.Errorf("%v, %v", u, err)
	}
	if !usable(t, app, token) {
		t.Error("the token is spent")
	}
}

func FuzzResetToken(f *testing.F) {
	clock := testapp.NewClock()
	store := memstore.New[testapp.User]()
	cfg := goodConfig()
	cfg.Now = clock.Now
	m, err := auth.New[*testapp.User](store, cfg)
	if err != nil {
		f.Fatal(err)
	}
	alice, err := store.CreateUser(f.Context(), auth.Account{Username: "alice", Email: "alice@app.example", Stamp: auth.NewSecret("s"), Version: 1}, nil)
	if err != nil {
		f.Fatal(err)
	}
	token, err := m.ResetToken(f.Context(), alice)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "A", token, token[:len(token)-1], token + "=", token + "A", strings.Repeat("A", 200), "null", "\n", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := m.CheckResetToken(t.Context(), text)
		// base64 ignores line ends, so a token with line ends is accepted.
		if strings.NewReplacer("\r", "", "\n", "").Replace(text) == token {
			if err != nil || u.ID != alice.ID {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if u != nil || !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%q: %v, %v", text, u, err)
		}
		if u, err := m.ResetPassword(t.Context(), text, resetTo); u != nil || !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%q: %v, %v", text, u, err)
		}
	})
}

// SendReset does not reveal that an account's ID is too long for a token.
func TestSendResetLongID(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer = &testapp.Outbox{} })
	a := auth.Account{ID: strings.Repeat("x", 1025), Username: "long", Email: "long@app.example", Stamp: auth.NewSecret("stamp"), Version: 1}
	if _, err := app.Store.CreateUser(t.Context(), a, nil); err != nil {
		t.Fatal(err)
	}
	if err := app.SendReset(t.Context(), a.Email); err != nil {
		t.Error(err)
	}
}

func TestSendReset(t *testing.T) {
	box := &testapp.Outbox{}
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer, c.BaseURL = box, "https://app.example" })
	forgot(app)
	u := app.Create(t, "susan", false)
	a := u.Clone()
	a.Email = "Susan@App.example" // the mail goes to the address as stored
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	form := url.Values{"email": {" susan@APP.EXAMPLE "}}
	r := c.Do(http.MethodPost, "/forgot", form, http.Header{
		"X-Forwarded-Host": {"evil.example"}, "Forwarded": {"host=evil.example"}, "X-Forwarded-Proto": {"http"},
	})
	mails := box.Take()
	if r.StatusCode != http.StatusOK || len(mails) != 1 {
		t.Fatalf("%s, %d mails", r.Status, len(mails))
	}
	m := mails[0]
	link, token, ok := strings.Cut(m.Link.Reveal(), "?token=")
	if !ok || link != "https://app.example/reset-password" || m.To != "Susan@App.example" || m.Kind != auth.MailReset ||
		m.User.AuthAccount().ID != u.ID || m.Lifetime != 30*time.Minute {
		t.Errorf("%+v, link to %s", m, link)
	}
	if _, err := app.ResetPassword(t.Context(), token, "another good password"); err != nil {
		t.Errorf("the mailed token: %v", err)
	}
	if strings.Contains(app.Logs(), token) {
		t.Error("the token is in the log")
	}
}

// The caller cannot see whether the account exists: not in the answer, nor in the work,
// nor if the mailer fails.
func TestSendResetTellsNothing(t *testing.T) {
	box := &testapp.Outbox{}
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer = box })
	app.Create(t, "susan", false)
	disabled := app.Create(t, "disabled", false)
	a := disabled.Clone()
	a.Disabled = true
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	asked := alike{app: app, by: app.Client(t), ask: func(ctx context.Context, address string) error {
		return app.SendReset(ctx, address)
	}}
	asked.about(t, "susan", "susan@app.example")
	if len(box.Take()) != 1 {
		t.Fatal("no mail to a known address")
	}
	for _, address := range []string{"nobody@app.example", "disabled@app.example"} {
		asked.about(t, address, address)
		if mails := box.Take(); len(mails) != 0 {
			t.Errorf("%s: the mails are %v", address, labels(mails))
		}
	}
	box.Fail(errStore)
	app.Events()
	asked.about(t, "the mailer is down", "susan@app.example")
	expectEvents(t, app, auth.EventResetIssued, auth.EventMailFailed)
}

func TestSendResetErrors(t *testing.T) {
	box := &testapp.Outbox{}
	app, spy := newApp(t, func(c *auth.Config) { c.Mailer = box })
	app.Create(t, "susan", false)
	ctx := t.Context()
	for _, address := range []string{"", "susan", "susan@localhost", "a@b.example,susan@app.example", "susan@app.example\r\nBcc: x@y.example", "<susan@app.example>"} {
		if err := app.SendReset(ctx, address); !errors.Is(err, auth.ErrInvalidEmail) {
			t.Errorf("%q: %v", address, err)
		}
	}
	spy.FailAt(1, false)
	if err := app.SendReset(ctx, "susan@app.example"); !errors.Is(err, errStore) {
		t.Errorf("a store that fails: %v", err)
	}
	if mails := box.Take(); len(mails) > 0 {
		t.Errorf("%d mails", len(mails))
	}
	without, _ := newApp(t, nil)
	if err := without.SendReset(ctx, "susan@app.example"); !errors.Is(err, auth.ErrNoMailer) {
		t.Errorf("without a mailer: %v", err)
	}
}
