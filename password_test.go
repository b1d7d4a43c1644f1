package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

func TestPasswordPolicy(t *testing.T) {
	t.Parallel()
	accepted := errors.New("it came as far as Password.Check")
	var seen string
	app, store := newApp(t, func(c *auth.Config) {
		c.Password.Words = []string{"Graymatter", "Los Pollos 2", "", "ПолярныйЛис", "4711"}
		c.Password.Check = func(_ context.Context, password string, a auth.Account) error {
			seen = password
			if a.Username != "walter.w1958" {
				t.Errorf("Password.Check for %q", a.Username)
			}
			return accepted
		}
	})
	user := member(t, app, "walter.w1958", "", func(a *auth.Account) { a.Email = "Heisenberg99@app.example" })
	token, err := app.ResetToken(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	const ok = auth.PasswordRejected
	fox := "🐶🦊🐸🦁🐙🦉🐝🦋"
	for _, c := range []struct {
		what, password string
		want           auth.PasswordReason
	}{
		{"7 characters", "zq8 vbx", auth.PasswordTooShort},
		{"8 characters", "zq8 vbx1", ok},
		{"one character", "x", auth.PasswordTooShort},
		{"7 characters of four bytes", strings.TrimSuffix(fox, "🦋"), auth.PasswordTooShort},
		{"8 characters of four bytes", fox, ok},
		{"7 characters of two bytes", "жшэюцфх", auth.PasswordTooShort},
		{"8 characters of two bytes", "жшэюцфхб", ok},
		{"combining marks count", "e\u0301a\u0301o\u0301u\u0301", ok},
		{"64 characters", strings.Repeat("horse battery ", 5)[:64], ok},
		{"100 characters", strings.Repeat("horse battery ", 8)[:100], ok},
		{"1024 bytes", strings.Repeat("horse battery ", 80)[:1024], ok},
		{"1025 bytes", strings.Repeat("horse battery ", 80)[:1025], auth.PasswordTooLong},
		{"256 characters of four bytes", strings.Repeat(fox, 32), ok},
		{"257 characters of four bytes", strings.Repeat(fox, 32) + "🐶", auth.PasswordTooLong},
		{"a megabyte", strings.Repeat("horse battery ", 80000), auth.PasswordTooLong},
		{"a megabyte that is not UTF-8", strings.Repeat("\xff", 1<<20), auth.PasswordTooLong},
		{"NUL", "abc\x00defgh", auth.PasswordNotText},
		{"NUL at the end", "zq8 vbx1\x00", auth.PasswordNotText},
		{"eight NULs", strings.Repeat("\x00", 8), auth.PasswordNotText},
		{"invalid UTF-8", "\xff\xfezq8 vbx1", auth.PasswordNotText},
		{"short and invalid", "\xff", auth.PasswordNotText},
		{"surrogate", "zq8 vbx1\xed\xa0\x80", auth.PasswordNotText},
		{"overlong", "zq8 vbx1\xc0\x80", auth.PasswordNotText},
		{"cut short", fox[:len(fox)-1] + "", auth.PasswordNotText},
		{"replacement character", "zq8 vbx1\ufffd", ok},

		{"no composition rules: letters", "ndkqpxwr", ok},
		{"no composition rules: digits", "83920174", ok},
		{"no composition rules: spaces", "a b c d e", ok},
		{"spaces around it", "  zq8 v  ", ok},
		{"tab and line feed", "zq8\t\nvbx1", ok},
		{"no-break space", "zq8\u00a0vbx1", ok},
		{"HTML", `<script>"'&;--`, ok},

		{"common", "password1", auth.PasswordCommon},
		{"common in upper case", "PASSWORD1", auth.PasswordCommon},
		{"common twice", "passwordpassword", auth.PasswordCommon},
		{"digits", "123456789012345", auth.PasswordCommon},
		{"keyboard", "qwertyuiop", auth.PasswordCommon},
		{"one character again and again", "aaaaaaaaaaaa", auth.PasswordCommon},
		{"spaces alone", "          ", auth.PasswordCommon},
		{"three characters again and again", "abcabcabcabc", auth.PasswordCommon},
		{"eight foxes", strings.Repeat("🦊", 8), auth.PasswordCommon},
		{"a passphrase with a common word", "my password is long", ok},

		{"username", "walter.w1958", auth.PasswordPersonal},
		{"username in upper case", "WALTER.W1958", auth.PasswordPersonal},
		{"username and digits", "walter.w195877", auth.PasswordPersonal},
		{"username and an exclamation mark", "Walter.W1958!", auth.PasswordPersonal},
		{"username and a space", "walter.w1958 ", auth.PasswordPersonal},
		{"address", "heisenberg99@app.example", auth.PasswordPersonal},
		{"address and more", "Heisenberg99@APP.example1!", auth.PasswordPersonal},
		{"local part", "heisenberg99", auth.PasswordPersonal},
		{"local part and more", "Heisenberg99!", auth.PasswordPersonal},
		{"word", "graymatter", auth.PasswordPersonal},
		{"word and a year", "Graymatter2026", auth.PasswordPersonal},
		{"word and punctuation", "GRAYMATTER!!11", auth.PasswordPersonal},
		{"word that ends in a digit", "los pollos 2", auth.PasswordPersonal},
		{"word that ends in a digit and more", "Los Pollos 2!", auth.PasswordPersonal},
		{"word that is not ASCII", "полярныйлис7", auth.PasswordPersonal},
		{"word of digits", "47110815", auth.PasswordPersonal},
		{"a passphrase with a word", "graymatter is a firm", ok},
		{"a passphrase with the username", "walter.w1958 cooks", ok},
		{"digits and punctuation alone", "48:07,51.66-93", ok},
	} {
		seen = ""
		before := app.PasswordHashes()
		registered := auth.Registration{Username: "walter.w1958", Email: "Heisenberg99@app.example", Password: c.password}
		for entrance, call := range map[string]func() error{
			"Register":      func() error { _, err := app.Register(t.Context(), registered); return err },
			"SetPassword":   func() error { return app.SetPassword(t.Context(), user, c.password) },
			"ResetPassword": func() error { _, err := app.ResetPassword(t.Context(), token, c.password); return err },
		} {
			var refused *auth.PasswordError
			if err := call(); !errors.As(err, &refused) {
				t.Errorf("%s: %s: %v", c.what, entrance, err)
				continue
			}
			if refused.Reason != c.want {
				t.Errorf("%s: %s of %.40q is %s, want %s", c.what, entrance, c.password, refused.Reason, c.want)
			}
			if text := refused.Error(); text == "" || len(c.password) >= 8 && strings.Contains(text, c.password) {
				t.Errorf("%s: %s says %q", c.what, entrance, text)
			}
			if (refused.Reason == auth.PasswordTooShort) != (refused.Min == 8) {
				t.Errorf("%s: %s: the minimum is %d", c.what, entrance, refused.Min)
			}
			if (c.want == ok) != errors.Is(refused, accepted) {
				t.Errorf("%s: %s wraps %v", c.what, entrance, errors.Unwrap(refused))
			}
		}
		if c.want == ok && seen != c.password {
			t.Errorf("%s: Password.Check got %.40q", c.what, seen)
		}
		if app.PasswordHashes() != before {
			t.Errorf("%s: a hash was computed", c.what)
		}
	}
	if u := stored(t, app, user.ID); !u.PasswordHash.IsZero() || u.Version != 1 {
		t.Errorf("the account was changed: %+v", u)
	}
	if calls := store.Calls(); slices.Contains(calls, "UpdateAccount") || strings.Count(strings.Join(calls, " "), "CreateUser") != 1 {
		t.Errorf("the store was written to: %v", calls)
	}
}

func TestPasswordMinimum(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Password.Min = 15 })
	for _, c := range []struct {
		password string
		short    bool
	}{{"zq8 vbx1 mn4 kl", false}, {"zq8 vbx1 mn4 k", true}, {"zq8 vbx1", true}} {
		user := member(t, app, fmt.Sprintf("u%d", len(c.password)), "")
		err := app.SetPassword(t.Context(), user, c.password)
		var refused *auth.PasswordError
		if c.short != errors.As(err, &refused) || c.short && (refused.Reason != auth.PasswordTooShort || refused.Min != 15 || !strings.Contains(err.Error(), "15")) {
			t.Errorf("%q: %v", c.password, err)
		}
	}
}

// Password.Check gets a copy of the account, so it cannot change the original.
func TestPasswordCheckGetsACopy(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		c.Password.Check = func(_ context.Context, _ string, a auth.Account) error {
			if len(a.Roles) == 1 {
				a.Roles[0] = "admin"
			}
			return nil
		}
	})
	user := member(t, app, "alice", "", func(a *auth.Account) { a.Roles = []string{"reader"} })
	if err := app.SetPassword(t.Context(), user, "zq8 vbx1 mn4"); err != nil {
		t.Fatal(err)
	}
	if u := stored(t, app, user.ID); u.Roles[0] != "reader" || user.Roles[0] != "reader" {
		t.Errorf("%+v", u.Account)
	}
}

func TestPasswordsAreExact(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	long := "  ä" + strings.Repeat("correct horse ", 15)[:194] + "x " // 200 bytes
	if len(long) != 200 {
		t.Fatal(len(long))
	}
	user := member(t, app, "alice", long)
	change := func(i int, with string) string { return long[:i] + with + long[i+1:] }
	for _, c := range []struct {
		what, password string
		want           bool
	}{
		{"itself", long, true},
		{"last byte", change(199, "y"), false},
		{"byte 72", change(72, "~"), false},
		{"byte 73", change(73, "~"), false},
		{"byte 128", change(128, "~"), false},
		{"first 72", long[:72], false},
		{"first 199", long[:199], false},
		{"one more", long + " ", false},
		{"one NUL more", long + "\x00", false},
		{"trimmed", strings.TrimSpace(long), false},
		{"trimmed on the right", strings.TrimRight(long, " "), false},
		{"trimmed on the left", strings.TrimLeft(long, " "), false},
		{"decomposed", strings.Replace(long, "ä", "a\u0308", 1), false},
		{"upper case", strings.ToUpper(long), false},
		{"another kind of space", strings.Replace(long, " ", "\u00a0", 1), false},
		{"empty", "", false},
		{"too long", long + strings.Repeat("x", 1024), false},
		{"invalid UTF-8", "\xff", false},
		{"the hash", user.PasswordHash.Reveal(), false},
	} {
		if ok, err := app.CheckPassword(t.Context(), user, c.password); ok != c.want || err != nil {
			t.Errorf("%s: %v, %v", c.what, ok, err)
		}
	}
}

// A text that cannot be a password is refused alike for all accounts, before the store
// is asked.
func TestLoginWithImpossiblePassword(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	member(t, app, "alice", testapp.Password)
	member(t, app, "nopassword", "")
	for what, password := range map[string]string{
		"empty":            "",
		"too long":         strings.Repeat("x", 1025),
		"a megabyte":       strings.Repeat("x", 1<<20),
		"NUL":              testapp.Password + "\x00",
		"NUL alone":        "\x00",
		"invalid UTF-8":    testapp.Password + "\xff",
		"surrogate":        "\xed\xa0\x80",
		"right and beyond": testapp.Password + "\x00" + strings.Repeat("x", 2000),
	} {
		for _, login := range []string{"alice", "alice@app.example", "nopassword", "nobody", "", "\x00", "\xff"} {
			store.Reset()
			before := app.PasswordHashes()
			user, err := app.Authenticate(t.Context(), login, password)
			if user != nil || err == nil || err.Error() != auth.ErrInvalidCredentials.Error() || !errors.Is(err, auth.ErrInvalidCredentials) {
				t.Errorf("%s, %q: %v, %v", what, login, user, err)
			}
			if calls := store.Calls(); len(calls) > 0 {
				t.Errorf("%s, %q: the store was asked: %v", what, login, calls)
			}
			if n := app.PasswordHashes() - before; n != 0 {
				t.Errorf("%s, %q: %d hashes", what, login, n)
			}
		}
	}
}

// Whatever the state of the account, an attempt computes one hash. Without the
// password, a caller cannot see the state.
func TestEqualWork(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	hash, err := app.HashPassword(t.Context(), testapp.Password)
	if err != nil {
		t.Fatal(err)
	}
	current := func(a *auth.Account) { a.PasswordHash = hash }
	withHash := func(hash string) func(*auth.Account) {
		return func(a *auth.Account) { a.PasswordHash = auth.NewSecret(hash) }
	}
	member(t, app, "alice", "", current)
	member(t, app, "nopassword", "")
	member(t, app, "disabled", "", current, func(a *auth.Account) { a.Disabled = true })
	member(t, app, "malformed", "", withHash("$argon2id$v=19$m=19456,t=2"))
	member(t, app, "locked", "", withHash("!"))
	member(t, app, "null", "", withHash("null"))
	member(t, app, "bcrypt", "", withHash("$2a$04$ofP8dk4Uto.jRTCkgMa1Q.9ni7aghCcPkZvWIMJRyz72Bhiu1hJ7S"))
	member(t, app, "werkzeug", "", withHash("pbkdf2:sha256:1000$PEtTkSAfx4GqG2iz$dc70cc9d0b04331493698800f9a3f2b4d5db1a1a3ae83a33a12614c313ea699f"))
	member(t, app, "dear", "", withHash("$2a$31$ofP8dk4Uto.jRTCkgMa1Q.9ni7aghCcPkZvWIMJRyz72Bhiu1hJ7S"))
	member(t, app, "greedy", "", withHash("$argon2id$v=19$m=4294967295,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	member(t, app, "beyond", "", withHash("$argon2id$v=19$m=65537,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	member(t, app, "zero", "", withHash("$argon2id$v=19$m=19456,t=0,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))

	browser := app.Client(t)
	first := ""
	for _, login := range []string{
		"alice", "ALICE@app.example", "nobody", "nobody@app.example", "nopassword", "disabled", "malformed", "locked", "null",
		"bcrypt", "werkzeug", "dear", "greedy", "beyond", "zero", "", "@", "alice\x00", "\xff", strings.Repeat("a", 1<<16),
	} {
		before := app.PasswordHashes()
		r := browser.Post("/login", "login", login, "password", "wrong password")
		if n := app.PasswordHashes() - before; n != 1 {
			t.Errorf("%.40q: %d hashes", login, n)
		}
		r.Header.Del("Date")
		answer := fmt.Sprint(r.StatusCode, r.Text, r.Header)
		if first == "" {
			first = answer
		}
		if r.StatusCode != http.StatusUnauthorized || answer != first {
			t.Errorf("%.40q: %s, but alice's is %s", login, answer, first)
		}
	}
	// Even with the password, a caller cannot see that the account is disabled.
	before := app.PasswordHashes()
	r := browser.Post("/login", "login", "disabled", "password", testapp.Password)
	r.Header.Del("Date")
	if answer := fmt.Sprint(r.StatusCode, r.Text, r.Header); answer != first || app.PasswordHashes() != before+1 {
		t.Errorf("disabled: %s, %d hashes", answer, app.PasswordHashes()-before)
	}
	// Neither an empty password, nor the text in place of a missing hash, logs in.
	for _, c := range [][2]string{
		{"nopassword", ""}, {"nopassword", "null"}, {"nopassword", "[redacted]"}, {"null", "null"}, {"locked", "!"}, {"malformed", ""}, {"zero", ""},
	} {
		if u, err := app.Authenticate(t.Context(), c[0], c[1]); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("%s, %q: %v, %v", c[0], c[1], u, err)
		}
	}
	unusable := map[string]int{}
	for _, e := range app.Events() {
		if e.Kind == auth.EventHashUnusable {
			unusable[e.UserID]++
		}
	}
	if len(unusable) != 7 {
		t.Errorf("the log names %d accounts with unusable hashes, not 7", len(unusable))
	}
}

// An attacker may have written the stored hash, and so chosen the memory that it needs.
// The test is not parallel, because it measures allocation.
func TestHostileHashes(t *testing.T) {
	app, _ := newApp(t, defaultHashes)
	const tag = "AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" // a salt of 16 bytes, and a key of 32
	digest := strings.Repeat("0", 128)
	b64 := func(n int) string { return base64.RawStdEncoding.EncodeToString(make([]byte, n)) }
	for _, c := range []struct{ what, hash string }{
		{"empty", ""},
		{"text", "password"},
		{"dollars", strings.Repeat("$", 5)},
		{"many dollars", strings.Repeat("$", 1<<20)},
		{"a megabyte", strings.Repeat("A", 1<<20)},
		{"a megabyte of salt", "$argon2id$v=19$m=19456,t=2,p=1$" + b64(1<<20) + "$" + b64(32)},
		{"a megabyte of key", "$argon2id$v=19$m=19456,t=2,p=1$" + b64(16) + "$" + b64(1<<20)},
		{"no pass", "$argon2id$v=19$m=19456,t=0,p=1$" + tag},
		{"no lane", "$argon2id$v=19$m=19456,t=2,p=0$" + tag},
		{"neither", "$argon2id$v=19$m=19456,t=0,p=0$" + tag},
		{"no memory", "$argon2id$v=19$m=0,t=2,p=1$" + tag},
		{"too little memory for the lanes", "$argon2id$v=19$m=127,t=2,p=16$" + tag},
		{"most memory", "$argon2id$v=19$m=4294967295,t=2,p=1$" + tag},
		{"memory beyond 32 bits", "$argon2id$v=19$m=4294967296,t=2,p=1$" + tag},
		{"memory beyond 64 bits", "$argon2id$v=19$m=18446744073709551616,t=2,p=1$" + tag},
		{"negative memory", "$argon2id$v=19$m=-1,t=2,p=1$" + tag},
		{"four gibibytes", "$argon2id$v=19$m=4194304,t=2,p=1$" + tag},
		{"one KiB beyond the budget", "$argon2id$v=19$m=65537,t=2,p=1$" + tag},
		{"most passes", "$argon2id$v=19$m=8,t=4294967295,p=1$" + tag},
		{"33 passes", "$argon2id$v=19$m=65536,t=33,p=1$" + tag},
		{"255 lanes", "$argon2id$v=19$m=65536,t=2,p=255$" + tag},
		{"17 lanes", "$argon2id$v=19$m=65536,t=2,p=17$" + tag},
		{"256 lanes", "$argon2id$v=19$m=65536,t=2,p=256$" + tag},
		{"no key", "$argon2id$v=19$m=19456,t=2,p=1$" + b64(16) + "$"},
		{"key of 15", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(15)},
		{"key of 1", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(1)},
		{"key of 65", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(65)},
		{"no salt", "$argon2id$v=19$m=19456,t=2,p=1$$" + b64(32)},
		{"salt of 7", "$argon2id$v=19$m=8,t=1,p=1$" + b64(7) + "$" + b64(32)},
		{"no salt and no key", "$argon2id$v=19$m=19456,t=2,p=1$$"},
		{"no parameters", "$argon2id$v=19$$" + tag},
		{"empty parameters", "$argon2id$v=19$m=,t=,p=$" + tag},
		{"other order", "$argon2id$v=19$t=2,m=19456,p=1$" + tag},
		{"argon2i", "$argon2i$v=19$m=19456,t=2,p=1$" + tag},
		{"argon2i beyond the budget", "$argon2i$v=19$m=4294967295,t=2,p=1$" + tag},
		{"argon2i without a pass", "$argon2i$v=19$m=8,t=0,p=1$" + tag},
		{"Django's argon2 beyond the budget", "argon2$argon2id$v=19$m=4294967295,t=2,p=1$" + tag},
		{"Django's argon2 of nothing", "argon2$argon2id$"},
		{"scrypt of a gibibyte", "scrypt:1048576:8:1$s$" + digest},
		{"scrypt of all there is", "scrypt:9223372036854775808:1:1$s$" + digest},
		{"scrypt with a large r", "scrypt:2:8388608:1$s$" + digest},
		{"scrypt with a large p", "scrypt:2:1:1073741823$s$" + digest},
		{"scrypt that overflows", "scrypt:1048576:4294967296:4294967296$s$" + digest},
		{"scrypt without N", "scrypt:0:8:1$s$" + digest},
		{"scrypt without r", "scrypt:1024:0:1$s$" + digest},
		{"Django's scrypt of a gibibyte", "scrypt$1048576$s$8$1$" + base64.StdEncoding.EncodeToString(make([]byte, 64))},
		{"PBKDF2 for an hour", "pbkdf2:sha1:4294967295$s$" + digest[:40]},
		{"PBKDF2 for nothing", "pbkdf2:sha1:0$s$" + digest[:40]},
		{"PBKDF2 with a large digest", "pbkdf2:sha1:1$s$" + strings.Repeat("0", 1<<20)},
		{"PBKDF2 with a large salt", "pbkdf2:sha1:1$" + strings.Repeat("s", 1<<20) + "$" + digest[:40]},
		{"bcrypt for a day", "$2b$31$" + strings.Repeat(".", 53)},
		{"bcrypt of nothing", "$2b$"},
		{"Django's bcrypt of nothing", "bcrypt_sha256$"},
		{"Django's bcrypt for a day", "bcrypt_sha256$$2b$31$" + strings.Repeat(".", 53)},
		{"a wrapped gibibyte", "$argon2id$v=19$m=8,t=1,p=1$" + tag + "$wrapped=64:scrypt:1048576:8:1$s$"},
		{"a wrapped large digest", "$argon2id$v=19$m=8,t=1,p=1$" + tag + "$wrapped=4294967295:$argon2i$v=19$m=8,t=1,p=1$AAAAAAAAAAA$"},
		{"wrapped again and again", "$argon2id$v=19$m=8,t=1,p=1$" + tag + strings.Repeat("$wrapped=32:$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$", 8)},
		{"argon2d", "$argon2d$v=19$m=19456,t=2,p=1$" + tag},
		{"old version", "$argon2id$v=16$m=19456,t=2,p=1$" + tag},
		{"no version", "$argon2id$m=19456,t=2,p=1$" + tag},
		{"five parts", "$argon2id$v=19$m=19456,t=2,p=1$" + b64(16)},
		{"seven parts", "$argon2id$v=19$m=19456,t=2,p=1$" + tag + "$x"},
		{"padding", "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
		{"URL alphabet", "$argon2id$v=19$m=19456,t=2,p=1$____________________-A$" + b64(32)},
		{"NUL", "$argon2id$v=19$m=19456,t=2,p=1$\x00$\x00"},
		{"invalid UTF-8", "$argon2id$v=19$m=19456,t=2,p=1$\xff$\xff"},
		{"lines", "$argon2id$v=19$\nm=19456,t=2,p=1\n$" + tag},
	} {
		user := &testapp.User{Account: auth.Account{ID: "1", PasswordHash: auth.NewSecret(c.hash)}}
		before := app.PasswordHashes()
		var start, end runtime.MemStats
		runtime.ReadMemStats(&start)
		ok, err := app.CheckPassword(t.Context(), user, testapp.Password)
		runtime.ReadMemStats(&end)
		if ok || err != nil {
			t.Errorf("%s: %v, %v", c.what, ok, err)
		}
		if n := app.PasswordHashes() - before; n != 1 {
			t.Errorf("%s: %d hashes", c.what, n)
		}
		// Never is more allocated than the budget. A hash that is refused costs no more
		// than a normal one, with some tolerance.
		if n := end.TotalAlloc - start.TotalAlloc; n > 24<<20 {
			t.Errorf("%s: %d bytes were allocated", c.what, n)
		}
	}
	// A hash at the limits is computed.
	greatest := &testapp.User{Account: auth.Account{ID: "1", PasswordHash: auth.NewSecret("$argon2id$v=19$m=65536,t=1,p=16$" + b64(64) + "$" + b64(64))}}
	if ok, err := app.CheckPassword(t.Context(), greatest, testapp.Password); ok || err != nil {
		t.Error(ok, err)
	}
}

func TestHashPassword(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, defaultHashes)
	var hashes [2]string
	for i := range hashes {
		hash, err := app.HashPassword(t.Context(), "x") // HashPassword applies no policy
		if err != nil {
			t.Fatal(err)
		}
		hashes[i] = hash.Reveal()
		parts := strings.Split(hashes[i], "$")
		if len(parts) != 6 || strings.Join(parts[:4], "$") != "$argon2id$v=19$m=19456,t=2,p=1" || len(parts[4]) != 22 || len(parts[5]) != 43 {
			t.Errorf("%q", hashes[i])
		}
	}
	if a, b := strings.Split(hashes[0], "$"), strings.Split(hashes[1], "$"); a[4] == b[4] || a[5] == b[5] {
		t.Errorf("two hashes of one password have the same salt: %q", hashes)
	}
	before := app.PasswordHashes()
	for password, want := range map[string]auth.PasswordReason{
		"": auth.PasswordNotText, "a\x00b": auth.PasswordNotText, "\xff": auth.PasswordNotText, strings.Repeat("x", 1025): auth.PasswordTooLong,
	} {
		hash, err := app.HashPassword(t.Context(), password)
		var refused *auth.PasswordError
		if !errors.As(err, &refused) || refused.Reason != want || !hash.IsZero() {
			t.Errorf("%.20q: %v", password, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if hash, err := app.HashPassword(ctx, "x"); !errors.Is(err, context.Canceled) || !hash.IsZero() {
		t.Errorf("cancelled: %v", err)
	}
	if n := app.PasswordHashes() - before; n != 0 {
		t.Errorf("%d hashes were computed", n)
	}
}

func TestHashIsUpgradedOnce(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, defaultHashes)
	alice := member(t, app, "alice", testapp.Password, func(a *auth.Account) { a.Roles = []string{"reader"} })
	browser := app.Client(t)
	browser.Login("alice")

	store.Reset()
	for _, password := range []string{"wrong password", testapp.Password + " ", ""} {
		if _, err := app.Authenticate(t.Context(), "alice", password); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("%q: %v", password, err)
		}
	}
	if calls := store.Calls(); slices.Contains(calls, "UpdateAccount") {
		t.Errorf("a login that failed wrote to the store: %v", calls)
	}
	if ok, err := app.CheckPassword(t.Context(), alice, testapp.Password); !ok || err != nil {
		t.Errorf("CheckPassword: %v, %v", ok, err)
	}
	if u := stored(t, app, alice.ID); u.Version != 1 {
		t.Error("CheckPassword changed the account")
	}

	store.Reset()
	user, err := app.Authenticate(t.Context(), "alice", testapp.Password)
	if err != nil {
		t.Fatal(err)
	}
	u := stored(t, app, alice.ID)
	if !strings.HasPrefix(u.PasswordHash.Reveal(), "$argon2id$v=19$m=19456,t=2,p=1$") || u.Version != 2 || !u.Stamp.Equal(alice.Stamp) ||
		!slices.Equal(u.Roles, alice.Roles) || u.Email != alice.Email || u.Username != alice.Username {
		t.Errorf("%+v, %q", u, u.PasswordHash.Reveal())
	}
	if user.Version != 2 || !user.PasswordHash.Equal(u.PasswordHash) {
		t.Errorf("Authenticate returned the account as it was: version %d", user.Version)
	}
	for range 2 {
		store.Reset()
		before := app.PasswordHashes()
		if _, err := app.Authenticate(t.Context(), "alice", testapp.Password); err != nil {
			t.Fatal(err)
		}
		if calls := store.Calls(); slices.Contains(calls, "UpdateAccount") || app.PasswordHashes() != before+1 {
			t.Errorf("the hash was upgraded again: %v", calls)
		}
	}
	if who := browser.Who(); who != "alice" {
		t.Errorf("the upgrade ended a session: %s", who)
	}
	n := 0
	for _, e := range app.Events() {
		if e.Kind == auth.EventHashUpgraded && e.UserID == alice.ID {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d events of an upgrade", n)
	}
}

// The account changes while its hash is being upgraded.
func TestHashUpgradeLosesRaces(t *testing.T) {
	t.Parallel()
	change := func(f func(*auth.Account)) func(*testing.T, *testapp.Spy, auth.Account) error {
		return func(t *testing.T, s *testapp.Spy, a auth.Account) error {
			a = a.Clone()
			f(&a)
			return s.Store.UpdateAccount(t.Context(), a)
		}
	}
	for _, c := range []struct {
		what  string
		race  func(t *testing.T, s *testapp.Spy, a auth.Account) error
		login bool   // Authenticate succeeds
		who   string // the user of the session in the end
	}{
		{"another field", change(func(a *auth.Account) { a.Roles = []string{"admin"} }), true, "alice"},
		{"another upgrade", change(func(a *auth.Account) { a.PasswordHash = cheapHash(testapp.Password) }), true, "alice"},
		{"another password", change(func(a *auth.Account) {
			a.PasswordHash, a.Stamp = cheapHash("another password"), auth.NewSecret("another stamp")
		}), true, "nobody"},
		{"disabling", change(func(a *auth.Account) { a.Disabled, a.Stamp = true, auth.NewSecret("another stamp") }), true, "nobody"},
		{"deletion", func(t *testing.T, s *testapp.Spy, a auth.Account) error {
			d, ok := s.Store.(interface {
				DeleteUser(ctx context.Context, id string) error
			})
			if !ok {
				return errors.New("no DeleteUser")
			}
			return d.DeleteUser(t.Context(), a.ID)
		}, false, "nobody"},
	} {
		for _, at := range []string{"before", "after"} {
			t.Run(c.what+" "+at, func(t *testing.T) {
				t.Parallel()
				app, store := newApp(t, nil)
				alice := member(t, app, "alice", testapp.Password)
				var raced auth.Account
				race := on("UpdateAccount", func() error {
					now := alice.Account
					if at == "after" {
						now.Version++
					}
					if err := c.race(t, store, now); err != nil {
						t.Error(err)
					}
					if u, err := store.Store.LoadUser(t.Context(), alice.ID); err == nil {
						raced = u.Account
					}
					return nil
				})
				if at == "before" {
					store.Hook(race, nil)
				} else {
					store.Hook(nil, race)
				}
				browser := app.Client(t)
				r := browser.Post("/login", "login", "alice", "password", testapp.Password)
				// If the Stamp has changed when the account is read again, the login
				// may be refused at once. It must never be a 5xx.
				allowed := []int{http.StatusUnauthorized}
				if c.login && (c.who == "alice" || at == "before") {
					allowed = []int{http.StatusOK}
				}
				if !slices.Contains(allowed, r.StatusCode) {
					t.Errorf("%s, want %v\n%s", r.Status, allowed, app.Logs())
				}
				if who := browser.Who(); who != c.who {
					t.Errorf("the session is %s's, want %s's", who, c.who)
				}
				// The upgrade has not undone the other change.
				if raced.ID != "" {
					u := stored(t, app, alice.ID)
					if u.Version != raced.Version || !u.PasswordHash.Equal(raced.PasswordHash) || !u.Stamp.Equal(raced.Stamp) ||
						u.Disabled != raced.Disabled || !slices.Equal(u.Roles, raced.Roles) {
						t.Errorf("stored %+v, want %+v", u.Account, raced)
					}
				}
			})
		}
	}
}

func TestParallelLoginsWithAnOldHash(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	alice := member(t, app, "alice", testapp.Password)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			browser := app.Client(t)
			if r := browser.Post("/login", "login", "alice", "password", testapp.Password); r.StatusCode != http.StatusOK {
				t.Errorf("%s %s", r.Status, r.Text)
			}
			if who := browser.Who(); who != "alice" {
				t.Error(who)
			}
		})
	}
	wg.Wait()
	u := stored(t, app, alice.ID)
	if u.Version != 2 || !strings.HasPrefix(u.PasswordHash.Reveal(), newHashes) || !opens(t, app, alice.ID, testapp.Password) {
		t.Errorf("version %d, %q", u.Version, u.PasswordHash.Reveal())
	}
}

// If the store fails at any call of a login, the answer is a 5xx: no session is made,
// and the password is not refused. Nothing has changed afterwards.
func TestLoginFailsClosed(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ {
		app, store := newApp(t, nil)
		alice := member(t, app, "alice", testapp.Password)
		browser := app.Client(t)
		n, failed := 0, ""
		store.Hook(func(call string) error {
			if n++; n == k {
				failed = call
				return errStore
			}
			return nil
		}, nil)
		r := browser.Post("/login", "login", "alice", "password", testapp.Password)
		calls := store.Calls()
		store.Reset()
		if failed == "" {
			if r.StatusCode != http.StatusOK || k < 5 {
				t.Errorf("%s after the calls %v", r.Status, calls)
			}
			break
		}
		if failed == "ListRecords" { // lists older logins after this one is made; the next login does so again
			if r.StatusCode != http.StatusOK || browser.Who() != "alice" {
				t.Errorf("%s (call %d) failed: %s", failed, k, r.Status)
			}
			continue
		}
		if failed == "UpdateAccount" { // the hash is not upgraded, but the right password is still accepted
			if r.StatusCode != http.StatusOK || browser.Who() != "alice" || !stored(t, app, alice.ID).PasswordHash.Equal(alice.PasswordHash) {
				t.Errorf("%s (call %d) failed: %s", failed, k, r.Status)
			}
			continue
		}
		if r.StatusCode != http.StatusServiceUnavailable || len(r.Cookies()) > 0 || browser.Who() != "nobody" {
			t.Errorf("%s (call %d) failed: %s, cookies %v", failed, k, r.Status, r.Cookies())
		}
		if strings.Contains(r.Text, errStore.Error()) {
			t.Errorf("the client is told: %s", r.Text)
		}
		if u := stored(t, app, alice.ID); !u.Stamp.Equal(alice.Stamp) || !opens(t, app, alice.ID, testapp.Password) {
			t.Errorf("%s (call %d) failed and left %+v", failed, k, u.Account)
		}
		if rs, err := store.ListRecords(t.Context(), "session", alice.ID); err != nil || len(rs) > 0 {
			t.Errorf("%s (call %d) failed and left %d sessions, %v", failed, k, len(rs), err)
		}
	}
}

func TestAuthenticateErrors(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	member(t, app, "alice", testapp.Password)
	for _, call := range []string{"FindUser", "LoadUser"} {
		store.Hook(on(call, func() error { return fmt.Errorf("wrapped: %w", errStore) }), nil)
		u, err := app.Authenticate(t.Context(), "alice", testapp.Password)
		if u != nil || !errors.Is(err, errStore) || errors.Is(err, auth.ErrLoginRefused) {
			t.Errorf("%s: %v, %v", call, u, err)
		}
		store.Reset()
	}
	// A wrapped sentinel error counts as the sentinel.
	store.Hook(on("FindUser", func() error { return fmt.Errorf("sql: %w", auth.ErrUserNotFound) }), nil)
	before := app.PasswordHashes()
	if _, err := app.Authenticate(t.Context(), "alice", testapp.Password); !errors.Is(err, auth.ErrInvalidCredentials) || app.PasswordHashes() != before+1 {
		t.Errorf("wrapped ErrUserNotFound: %v", err)
	}
	store.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before = app.PasswordHashes()
	for _, login := range []string{"alice", "nobody"} {
		if u, err := app.Authenticate(ctx, login, testapp.Password); u != nil || !errors.Is(err, context.Canceled) || errors.Is(err, auth.ErrLoginRefused) {
			t.Errorf("cancelled: %v, %v", u, err)
		}
	}
	if app.PasswordHashes() != before {
		t.Error("a hash was computed for a client that has gone")
	}
}

// If a request is cancelled at any call, nothing is left half done.
func TestLoginCancelledAtEachCall(t *testing.T) {
	t.Parallel()
	testapp.EachCall(t, 1, func(k int) bool {
		app, store := newApp(t, nil)
		alice := member(t, app, "alice", testapp.Password)
		ctx, cancel := context.WithCancel(t.Context())
		reached := store.At(k, cancel)
		cookies, _ := postDirectly(ctx, app, "/login", nil, "login", "alice", "password", testapp.Password)
		cancel()
		store.Reset()
		browser := app.Client(t)
		browser.Cookies = cookies
		if !opens(t, app, alice.ID, testapp.Password) {
			t.Errorf("call %d: the password is gone", k)
		}
		rs, err := store.ListRecords(t.Context(), "session", alice.ID)
		if who := browser.Who(); err != nil || (who == "alice") != (len(rs) == 1) || len(rs) > 1 {
			t.Errorf("call %d: the browser is %s's, and there are %d sessions, %v", k, who, len(rs), err)
		}
		return reached()
	})
}

func TestSetPasswordEndsOtherLogins(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	alice := member(t, app, "alice", testapp.Password)
	member(t, app, "bob", "")
	own, other, bob, visitor := app.Client(t), app.Client(t), app.Client(t), app.Client(t)
	own.Login("alice")
	other.Login("alice")
	bob.Login("bob")
	visitor.Post("/put", "key", "k", "value", "visitor's")
	own.Post("/put", "key", "k", "value", "alice's")
	old := own.Clone()
	const password = "zq8 vbx1 mn4"

	if r := own.Post("/password", "password", "short"); r.StatusCode == http.StatusOK {
		t.Error("a short password was set")
	}
	if own.Who() != "alice" || other.Who() != "alice" || len(own.Issued) != 1 {
		t.Error("a password that was refused ended a session or changed its token")
	}
	if r := own.Post("/password", "password", password); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status, r.Text)
	}
	if len(own.Issued) != 2 || own.Issued[0].Value == own.Issued[1].Value {
		t.Error("the session's token is the same")
	}
	if rs, err := store.ListRecords(t.Context(), "session", alice.ID); err != nil || len(rs) != 1 {
		t.Errorf("%d sessions are left, %v", len(rs), err)
	}
	for name, c := range map[string]struct {
		*testapp.Client
		want string
	}{
		"own": {own, "alice"}, "old cookie": {old, "nobody"}, "other browser": {other, "nobody"}, "bob": {bob, "bob"}, "visitor": {visitor, "nobody"},
	} {
		if who := c.Who(); who != c.want {
			t.Errorf("%s: %s", name, who)
		}
	}
	if own.Get("/get?key=k").Text != "alice's" || visitor.Get("/get?key=k").Text != "visitor's" || old.Get("/get?key=k").Text != "" {
		t.Error("the data of a session was lost or moved")
	}
	u := stored(t, app, alice.ID)
	if !opens(t, app, alice.ID, password) || opens(t, app, alice.ID, testapp.Password) || u.Stamp.Equal(alice.Stamp) || u.Version != 2 {
		t.Errorf("%+v", u.Account)
	}
	// If bob's browser sets alice's password, bob stays logged in there.
	app.Mux.HandleFunc("POST /for-alice", func(w http.ResponseWriter, r *http.Request) {
		u, err := app.Store.FindUser(r.Context(), "alice")
		if err == nil {
			err = app.SetPassword(r.Context(), u, r.PostFormValue("password"))
		}
		if err != nil {
			app.Error(w, r, err)
		}
	})
	if r := bob.Post("/for-alice", "password", password+"!"); r.StatusCode != http.StatusOK || bob.Who() != "bob" || own.Who() != "nobody" || len(bob.Issued) != 1 {
		t.Errorf("%s: bob's is %s's, alice's is %s's", r.Status, bob.Who(), own.Who())
	}
}

// In the request itself the user stays logged in, and has the new password.
func TestSetPasswordWithinTheRequest(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	member(t, app, "alice", testapp.Password)
	app.Mux.HandleFunc("POST /twice", func(w http.ResponseWriter, r *http.Request) {
		for i := range 2 {
			u, err := app.User(r.Context())
			if err != nil {
				t.Errorf("round %d: %v", i, err)
				return
			}
			if err := app.SetPassword(r.Context(), u, fmt.Sprintf("zq8 vbx1 mn4 %d", i)); err != nil {
				t.Errorf("round %d: %v", i, err)
			}
			if u, err := app.User(r.Context()); err != nil || u.Version != int64(2+i) {
				t.Errorf("round %d: %v, %v", i, u, err)
			}
		}
		w.WriteHeader(http.StatusNoContent)
		// After the header was written no cookie can be set: the password is changed,
		// and this login ends.
		if u, err := app.User(r.Context()); err != nil {
			t.Error(err)
		} else if err := app.SetPassword(r.Context(), u, "zq8 vbx1 mn4 late"); err != nil {
			t.Error(err)
		}
	})
	browser := app.Client(t)
	browser.Login("alice")
	if r := browser.Post("/twice"); r.StatusCode != http.StatusNoContent {
		t.Error(r.Status)
	}
	for i, who := range browser.Replay() {
		if who != "nobody" {
			t.Errorf("cookie %d is %s's", i, who)
		}
	}
}

func TestSetPasswordOutsideRequests(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	alice := member(t, app, "alice", testapp.Password, func(a *auth.Account) { a.Roles = []string{"reader"} })
	browser := app.Client(t)
	browser.Login("alice")
	const password = "zq8 vbx1 mn4"

	// A change of the account at the same time is kept.
	store.Hook(on("UpdateAccount", func() error {
		a := alice.Clone()
		a.Roles, a.Email = []string{"admin"}, "new@app.example"
		return store.Store.UpdateAccount(t.Context(), a)
	}), nil)
	if err := app.SetPassword(t.Context(), alice, password); err != nil {
		t.Fatal(err)
	}
	u := stored(t, app, alice.ID)
	if !slices.Equal(u.Roles, []string{"admin"}) || u.Email != "new@app.example" || u.Version != 3 || !opens(t, app, u.ID, password) {
		t.Errorf("%+v", u.Account)
	}
	if rs, err := store.ListRecords(t.Context(), "session", alice.ID); err != nil || len(rs) > 0 {
		t.Errorf("%d sessions are left, %v", len(rs), err)
	}
	if who := browser.Who(); who != "nobody" {
		t.Errorf("the session is still %s's", who)
	}
	if !alice.Stamp.Equal(auth.NewSecret("stamp of alice")) || alice.Version != 1 {
		t.Error("the user that was passed has been written to")
	}
	// A caller with an outdated user is refused.
	if err := app.SetPassword(t.Context(), alice, "yet another password"); !errors.Is(err, auth.ErrConflict) {
		t.Errorf("with an old user: %v", err)
	}
	for name, user := range map[string]*testapp.User{"nobody": nil, "unknown": {Account: auth.Account{ID: "unknown"}}, "without an ID": {}} {
		if err := app.SetPassword(t.Context(), user, "yet another password"); !errors.Is(err, auth.ErrUserNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := app.SetPassword(ctx, u, "yet another password"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if !opens(t, app, u.ID, password) {
		t.Error("the password was changed")
	}
}

func TestParallelSetPassword(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	alice := member(t, app, "alice", testapp.Password)
	var wg sync.WaitGroup
	var won []int
	var mu sync.Mutex
	for i := range 50 {
		wg.Go(func() {
			err := app.SetPassword(t.Context(), alice, fmt.Sprintf("the password of %d", i))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, i)
			} else if !errors.Is(err, auth.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d have won", len(won))
	}
	if !opens(t, app, alice.ID, fmt.Sprintf("the password of %d", won[0])) || opens(t, app, alice.ID, fmt.Sprintf("the password of %d", (won[0]+1)%50)) {
		t.Error("the password is not the winner's")
	}
}

// Browsers of one user change the password at the same time, each two of them with the
// same cookie. One change succeeds. Its browser stays logged in, and no other one.
func TestParallelSetPasswordOverHTTP(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	alice := member(t, app, "alice", testapp.Password)
	var browsers []*testapp.Client
	for range 8 {
		b := app.Client(t)
		b.Login("alice")
		browsers = append(browsers, b, b.Clone())
	}
	var wg sync.WaitGroup
	var won atomic.Int32
	var winner atomic.Int32
	for i, b := range browsers {
		wg.Go(func() {
			if b.Post("/password", "password", fmt.Sprintf("the password of %d", i)).StatusCode == http.StatusOK {
				won.Add(1)
				winner.Store(int32(i))
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || !opens(t, app, alice.ID, fmt.Sprintf("the password of %d", winner.Load())) {
		t.Errorf("%d have won, the last was %d", won.Load(), winner.Load())
	}
	for i, b := range browsers {
		if who := b.Who(); (who == "alice") != (int32(i) == winner.Load()) {
			t.Errorf("browser %d (the winner is %d) is %s's", i, winner.Load(), who)
		}
	}
	if rs, err := store.ListRecords(t.Context(), "session", alice.ID); err != nil || len(rs) != 1 {
		t.Errorf("%d sessions, %v", len(rs), err)
	}
}

// If the store fails or the client hangs up at any call of SetPassword, the change is
// made completely or not at all.
func TestSetPasswordIsAllOrNothing(t *testing.T) {
	t.Parallel()
	const password = "zq8 vbx1 mn4"
	testapp.AllOrNothing(t, 4, func(t *testing.T, f *testapp.Fault) {
		app, store := newApp(t, nil)
		alice := member(t, app, "alice", testapp.Password)
		own, other := app.Client(t), app.Client(t)
		own.Login("alice")
		other.Login("alice")
		old := own.Clone()

		err := f.During(t.Context(), store, func(ctx context.Context) error {
			cookies, res := postDirectly(ctx, app, "/password", own.Cookies, "password", password)
			own.Cookies = cookies
			if res.StatusCode != http.StatusOK {
				return errors.New(res.Status)
			}
			return nil
		})
		isOld, isNew := opens(t, app, alice.ID, testapp.Password), opens(t, app, alice.ID, password)
		who := fmt.Sprint(own.Who(), " ", other.Who(), " ", old.Who())
		what := fmt.Sprintf("%s: the old password opens %v, the new one %v; own, other, old cookie: %s", f, isOld, isNew, who)
		switch {
		case isOld == isNew:
			t.Error(what)
		case isOld && (err == nil || who != "alice alice alice"):
			t.Error(what)
		case isNew && (other.Who() != "nobody" || old.Who() != "nobody"):
			t.Error(what)
		case isNew && err == nil && own.Who() != "alice":
			t.Error(what)
		}
	})
}

// If no memory is left for hashes, attempts wait. If the queue is full, attempts are
// told at once to come back.
func TestBusy(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, oneHashAtATime)
	// The first client that gets 503 cancels all others.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var refused, busy atomic.Int32
	for range 100 {
		wg.Go(func() {
			_, r := postDirectly(ctx, app, "/login", nil, "login", "nobody", "password", "wrong password")
			switch r.StatusCode {
			case http.StatusUnauthorized:
				refused.Add(1)
			case http.StatusServiceUnavailable:
				if ctx.Err() == nil {
					busy.Add(1)
				}
				cancel()
				if r.Header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			default:
				t.Error(r.Status)
			}
		})
	}
	wg.Wait()
	if busy.Load() == 0 || uint64(refused.Load()) != app.PasswordHashes() {
		t.Errorf("%d refused, %d busy, %d hashes", refused.Load(), busy.Load(), app.PasswordHashes())
	}
	// When clients hang up, their places in the queue become free.
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	full := make(chan struct{})
	var once sync.Once
	for range 100 {
		wg.Go(func() {
			_, err := app.Authenticate(ctx, "nobody", "wrong password")
			switch {
			case errors.Is(err, auth.ErrBusy):
				if errors.Is(err, auth.ErrLoginRefused) {
					t.Error("ErrBusy is no refusal")
				}
				once.Do(func() { close(full) })
			case !errors.Is(err, auth.ErrInvalidCredentials) && !errors.Is(err, context.Canceled):
				t.Error(err)
			}
		})
	}
	<-full
	// While the queue is full, nothing else fails.
	if u, err := app.Register(t.Context(), auth.Registration{Username: "bob", Password: "zq8 vbx1 mn4"}); errors.Is(err, auth.ErrBusy) {
		if _, err := app.Store.FindUser(t.Context(), "bob"); !errors.Is(err, auth.ErrUserNotFound) {
			t.Errorf("registered, although it was busy: %v", err)
		}
	} else if err != nil || u == nil {
		t.Errorf("%v, %v", u, err)
	}
	cancel()
	wg.Wait()
	before := app.PasswordHashes()
	if _, err := app.Authenticate(t.Context(), "nobody", "wrong password"); !errors.Is(err, auth.ErrInvalidCredentials) || app.PasswordHashes() != before+1 {
		t.Errorf("afterwards: %v", err)
	}
}

var _ io.Writer = (*testapp.App)(nil)

// SetPassword must not revive a void session.
func TestSetPasswordRevivesNoVoidSession(t *testing.T) {
	app, st := newApp(t, nil)
	user := app.Create(t, "susan", true)
	app.Mux.HandleFunc("POST /expired-password", func(w http.ResponseWriter, r *http.Request) { // for users who are not logged in
		u, err := app.Authenticate(r.Context(), r.PostFormValue("login"), r.PostFormValue("password"))
		if err == nil {
			err = app.SetPassword(r.Context(), u, r.PostFormValue("new"))
		}
		if err != nil {
			app.Error(w, r, err)
		}
	})
	c := app.Client(t)
	c.Login("susan")
	a := user.Clone()
	a.Stamp = auth.NewSecret("all logins are over")
	if err := st.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	r := c.Post("/expired-password", "login", "susan", "password", testapp.Password, "new", "another fine battery")
	t.Log(r.Status)
	if who := c.Who(); who != "nobody" {
		t.Error("without a login the browser is logged in as", who)
	}
}

// A thief sends half of a request and holds it. The owner ends the login. When the
// thief sends the rest, the password must not change.
func TestHeldRequestSetsNoPassword(t *testing.T) {
	t.Parallel()
	app, u := endedWhileHeld(t, func(ctx context.Context, app *testapp.App, u *testapp.User) {
		if err := app.SetPassword(ctx, u, "the thief's own one"); !errors.Is(err, auth.ErrLoggedOut) {
			t.Errorf("SetPassword: %v", err)
		}
	})
	if !opens(t, app, u.ID, testapp.Password) {
		t.Error("the password is the thief's")
	}
}

func TestPasswordsDoNotExpire(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	member(t, app, "susan", testapp.Password)
	app.Clock.Advance(10 * 365 * 24 * time.Hour)
	c := app.Client(t)
	if r := c.Post("/login", "login", "susan", "password", testapp.Password); r.StatusCode != http.StatusOK || c.Who() != "susan" {
		t.Errorf("ten years later: %s %s", r.Status, r.Text)
	}
}

// A password of 64 characters with four bytes each is accepted, and every character
// counts.
func TestLongPasswords(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
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
