package auth_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	type set = func(*auth.Config)
	base := func(u string) set { return func(c *auth.Config) { c.BaseURL = u } }
	peppers := func(idsAndKeys ...string) set {
		return func(c *auth.Config) {
			for i := 0; i < len(idsAndKeys); i += 2 {
				c.Password.Peppers = append(c.Password.Peppers, auth.Pepper{ID: idsAndKeys[i], Key: []byte(idsAndKeys[i+1])})
			}
		}
	}
	secret := func(s ...string) set {
		return func(c *auth.Config) {
			c.Secrets = nil
			for _, s := range s {
				c.Secrets = append(c.Secrets, []byte(s))
			}
		}
	}
	origin := func(o ...string) set { return func(c *auth.Config) { c.Network.Origins = o } }
	bypass := func(p ...string) set { return func(c *auth.Config) { c.Network.CrossOriginBypass = p } }
	params := func(p *argon2id.Params) set { return func(c *auth.Config) { c.Password.HashParams = p } }
	const good = "Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"

	for _, c := range []struct {
		what string
		set  set
		ok   bool
	}{
		{"good", nil, true},

		{"https", base("https://app.example"), true},
		{"https with a slash", base("https://app.example/"), true},
		{"https with a path", base("https://app.example/shop"), true},
		{"a longer path", base("https://app.example/shop/v2_a-b~c/"), true},
		{"a path with a dot", base("https://app.example/v1.2"), false},
		{"a path with dots", base("https://app.example/../shop"), false},
		{"a path with an escape", base("https://app.example/a%2fb"), false},
		{"a path with a space", base("https://app.example/a b"), false},
		{"a path with two slashes", base("https://app.example//shop"), false},
		{"a path with two slashes at the end", base("https://app.example/shop//"), false},
		{"a path with a semicolon", base("https://app.example/a;b"), false},
		{"a path not in ASCII", base("https://app.example/\u00fc"), false},
		{"https with a port", base("https://app.example:8443"), true},
		{"https with its own port", base("https://app.example:443"), true},
		{"upper case", base("HTTPS://APP.Example"), true},
		{"https on an address", base("https://192.0.2.1"), true},
		{"https on IPv6", base("https://[2001:db8::1]:8443"), true},
		{"localhost", base("http://localhost"), true},
		{"localhost in upper case", base("http://LOCALHOST:8080"), true},
		{"localhost with a port", base("http://localhost:8080/"), true},
		{"127.0.0.1", base("http://127.0.0.1:8080"), true},
		{"127.8.9.10", base("http://127.8.9.10:8080"), true},
		{"IPv6 loopback", base("http://[::1]:8080"), true},

		{"no base", base(""), false},
		{"plain http", base("http://app.example"), false},
		{"localhost as a subdomain", base("http://localhost.evil.example"), false},
		{"loopback as a subdomain", base("http://127.0.0.1.evil.example"), false},
		{"domain that ends in localhost", base("http://evillocalhost"), false},
		{"subdomain of localhost", base("http://app.localhost"), true},
		{"subdomain of localhost in upper case", base("http://App.LOCALHOST:8080"), true},
		{"localhost with a dot", base("http://localhost."), false},
		{"localhost as the user", base("http://localhost@evil.example"), false},
		{"localhost and a password as the user", base("http://localhost:8080@evil.example"), false},
		{"any address", base("http://0.0.0.0:8080"), false},
		{"any IPv6 address", base("http://[::]:8080"), false},
		{"private address", base("http://192.168.1.1"), false},
		{"loopback as a number", base("http://2130706433"), false},
		{"loopback in hexadecimal", base("http://0x7f000001"), false},
		{"loopback, short", base("http://127.1"), false},
		{"loopback, octal", base("http://0177.0.0.1"), false},
		{"host alone", base("app.example"), false},
		{"host and port", base("app.example:443"), false},
		{"no scheme", base("//app.example"), false},
		{"path", base("/shop"), false},
		{"no host", base("https://"), false},
		{"no host but a path", base("https:///shop"), false},
		{"port alone", base("https://:443"), false},
		{"opaque", base("https:app.example"), false},
		{"other scheme", base("ftp://app.example"), false},
		{"javascript", base("javascript://app.example/%0aalert(1)"), false},
		{"user", base("https://user@app.example"), false},
		{"user and password", base("https://user:password@app.example"), false},
		{"empty user", base("https://@app.example"), false},
		{"query", base("https://app.example/?a=b"), false},
		{"empty query", base("https://app.example/?"), false},
		{"fragment", base("https://app.example/#a"), false},
		{"leading space", base(" https://app.example"), false},
		{"trailing space", base("https://app.example "), false},
		{"line feed", base("https://app.example\n"), false},
		{"header", base("https://app.example\r\nX: y"), false},
		{"backslash", base(`https://app.example\evil`), false},
		{"bad escape", base("https://app.example/%zz"), false},
		{"bad port", base("https://app.example:http"), false},
		{"two hosts", base("https://a.example,https://b.example"), false},
		// No browser sends these origins, so no request would ever match.
		{"empty port", base("https://app.example:"), false},
		{"port out of range", base("https://app.example:99999"), false},
		{"host not in ASCII", base("https://bücher.example"), false},

		{"SameSite Strict", func(c *auth.Config) { c.Session.SameSite = http.SameSiteStrictMode }, true},
		{"SameSite None", func(c *auth.Config) { c.Session.SameSite = http.SameSiteNoneMode }, false},
		{"SameSite of the browser", func(c *auth.Config) { c.Session.SameSite = http.SameSiteDefaultMode }, false},

		{"no secret", secret(), false},
		{"empty secret", secret(""), false},
		{"31 bytes", secret(good[:31]), false},
		{"32 bytes", secret(good), true},
		{"32 bytes in hexadecimal", secret(hex.EncodeToString([]byte(good))), true},
		{"bytes that are not text", secret("\x00\xff\x80" + good), true},
		{"two", secret(good, "x"+good), true},
		{"the second is short", secret(good, "short"), false},
		{"the second is well known", secret(good, "django-insecure-"+good), false},
		{"the second is empty", secret(good, ""), false},
		{"well known and short", secret("your-secret-key"), false},
		{"well known", secret("your-secret-key-your-secret-key-your-secret-key"), false},
		{"well known inside", secret(good + "your-secret-key" + good), false},
		{"well known in upper case", secret("YOUR_SECRET_KEY_" + good), false},
		{"microblog's", secret("you-will-never-guess-" + good), false},
		{"Django's", secret("django-insecure-" + good), false},
		{"Flask's", secret("dev-secret-dev-secret-dev-secret-dev"), false},
		{"Express's", secret("keyboard cat keyboard cat keyboard cat"), false},
		{"changeme", secret("changemechangemechangemechangeme12345"), false},
		{"hexadecimal row", secret("0123456789abcdef0123456789abcdef"), false},
		{"one byte", secret(strings.Repeat("a", 64)), false},
		{"zeros", secret(strings.Repeat("\x00", 32)), false},
		{"two bytes", secret(strings.Repeat("ab", 32)), false},
		{"a word again and again", secret(strings.Repeat("password", 8)), false},
		{"spaces for dashes", secret("my secret key for the application 123"), false},
		{"the same one twice", func(c *auth.Config) { c.Secrets = append(c.Secrets, c.Secrets[0]) }, false},

		{"pepper", peppers("2026", "p"+good), true},
		{"two peppers", peppers("2026-11.b_C", "p"+good, "1", "q"+good), true},
		{"pepper of 32 bytes", peppers("2026", good[1:]+"p"), true},
		{"pepper of 31 bytes", peppers("2026", good[1:]), false},
		{"pepper without a key", peppers("2026", ""), false},
		{"pepper that is well known", peppers("2026", "changemechangemechangemechangeme12345"), false},
		{"pepper again and again", peppers("2026", strings.Repeat("Xk3_9vQz", 4)), false},
		{"the second pepper is short", peppers("2026", "p"+good, "2025", good[1:]), false},
		{"pepper that is a secret", peppers("2026", good), false},
		{"second pepper that is a secret", peppers("2026", "p"+good, "2025", good), false},
		{"two peppers with one key", peppers("2026", "p"+good, "2025", "p"+good), false},
		{"two peppers with one ID", peppers("2026", "p"+good, "2026", "q"+good), false},
		{"pepper without an ID", peppers("", "p"+good), false},
		{"pepper with an ID of 16", peppers("0123456789abcdef", "p"+good), true},
		{"pepper with an ID of 17", peppers("0123456789abcdefg", "p"+good), false},
		{"pepper with a $", peppers("a$b", "p"+good), false},
		{"pepper with a space", peppers("a b", "p"+good), false},
		{"pepper with =", peppers("a=b", "p"+good), false},
		{"pepper that is not ASCII", peppers("ä", "p"+good), false},
		{"pepper with a line feed", peppers("a\n", "p"+good), false},
		{"a name", func(c *auth.Config) { c.Name = "Shop-2_eu.west" }, true},
		{"a name of 32 bytes", func(c *auth.Config) { c.Name = strings.Repeat("n", 32) }, true},
		{"a name of 33 bytes", func(c *auth.Config) { c.Name = strings.Repeat("n", 33) }, false},
		{"a name with a space", func(c *auth.Config) { c.Name = "the shop" }, false},
		{"a name with a slash", func(c *auth.Config) { c.Name = "the/shop" }, false},
		{"a name with an @", func(c *auth.Config) { c.Name = "@shop" }, false},
		{"a name with a line feed", func(c *auth.Config) { c.Name = "shop\n" }, false},
		{"a name that is not ASCII", func(c *auth.Config) { c.Name = "läden" }, false},
		{"a name with a NUL", func(c *auth.Config) { c.Name = "sh\x00op" }, false},
		{"a cookie with a prefix", func(c *auth.Config) { c.Session.CookieName = "__Host-session" }, false},
		{"a mailer that is nil", func(c *auth.Config) { var m *testapp.Outbox; c.Mailer = m }, false},
		{"jwt.io's", secret("a-string-secret-at-least-256-bits-long"), false},
		{"jwt.io's former", secret("your-256-bit-secret-your-256-bit-secret"), false},
		{"FastAPI's", secret("changethis-changethis-changethis-changethis"), false},
		{"digits", secret("12345678901234567890123456789012"), false},
		{"alphabet", secret("abcdefghijklmnopqrstuvwxyz123456"), false},
		{"eight bytes again and again", secret(strings.Repeat("Xk3_9vQz", 4)), false},

		{"unknown identifiers", func(c *auth.Config) { c.Identifiers = 3 }, false},
		{"negative identifiers", func(c *auth.Config) { c.Identifiers = -1 }, false},
		{"usernames", func(c *auth.Config) { c.Identifiers = auth.UsernameOnly }, true},
		{"addresses", func(c *auth.Config) { c.Identifiers = auth.EmailOnly }, true},

		{"login path", func(c *auth.Config) { c.URLs.Login = "/account/login?a=b" }, true},
		{"login URL", func(c *auth.Config) { c.URLs.Login = "https://login.example/x" }, true},
		{"login without a slash", func(c *auth.Config) { c.URLs.Login = "login" }, false},
		{"login elsewhere", func(c *auth.Config) { c.URLs.Login = "//evil.example/login" }, false},
		{"login with a backslash", func(c *auth.Config) { c.URLs.Login = `/\evil.example/login` }, false},
		{"login with a fragment", func(c *auth.Config) { c.URLs.Login = "/login#here" }, false},
		{"login with an empty fragment", func(c *auth.Config) { c.URLs.Login = "/login#" }, false},
		{"login by script", func(c *auth.Config) { c.URLs.Login = "javascript:alert(1)" }, false},
		{"login header", func(c *auth.Config) { c.URLs.Login = "/login\r\nX: y" }, false},

		{"cookie name", func(c *auth.Config) { c.Session.CookieName = "My_app-2" }, true},
		{"cookie name with a space", func(c *auth.Config) { c.Session.CookieName = "my app" }, false},
		{"cookie name with a semicolon", func(c *auth.Config) { c.Session.CookieName = "a;b" }, false},
		{"cookie name with =", func(c *auth.Config) { c.Session.CookieName = "a=b" }, false},
		{"cookie name with a line feed", func(c *auth.Config) { c.Session.CookieName = "a\nb" }, false},
		{"cookie name not in ASCII", func(c *auth.Config) { c.Session.CookieName = "größe" }, false},
		{"cookie name with NUL", func(c *auth.Config) { c.Session.CookieName = "a\x00" }, false},

		{"lifetime", func(c *auth.Config) { c.Session.Lifetime = time.Minute }, true},
		{"longest lifetime", func(c *auth.Config) { c.Session.Lifetime, c.Session.IdleTimeout = math.MaxInt64, -1 }, true},
		{"a week, and an idle hour by default", func(c *auth.Config) { c.Session.Lifetime = 7 * 24 * time.Hour }, false},
		{"a week, and none", func(c *auth.Config) { c.Session.Lifetime, c.Session.IdleTimeout = 7*24*time.Hour, -1 }, true},
		{"a week, and an idle hour", func(c *auth.Config) { c.Session.Lifetime, c.Session.IdleTimeout = 7*24*time.Hour, time.Hour }, true},
		{"a day, as by default", func(c *auth.Config) { c.Session.Lifetime = 24 * time.Hour }, true},
		{"idle for as long as it lasts", func(c *auth.Config) { c.Session.Lifetime, c.Session.IdleTimeout = time.Hour, time.Hour }, false},
		{"idle for longer than it lasts", func(c *auth.Config) { c.Session.IdleTimeout = 48 * time.Hour }, false},
		{"no activity", func(c *auth.Config) { c.Session.NoActivity = func(*http.Request) bool { return true } }, true},
		{"no activity, and no idle timeout", func(c *auth.Config) {
			c.Session.NoActivity, c.Session.IdleTimeout = func(*http.Request) bool { return true }, -1
		}, false},
		{"short lifetime", func(c *auth.Config) { c.Session.Lifetime = time.Second }, false},
		{"negative lifetime", func(c *auth.Config) { c.Session.Lifetime = -time.Hour }, false},
		{"no idle timeout", func(c *auth.Config) { c.Session.IdleTimeout = -1 }, true},
		{"idle timeout", func(c *auth.Config) { c.Session.IdleTimeout = 2 * time.Minute }, true},
		{"short idle timeout", func(c *auth.Config) { c.Session.IdleTimeout = 2*time.Minute - 1 }, false},
		{"reset lifetime", func(c *auth.Config) { c.Password.ResetLifetime = 24 * time.Hour }, true},
		{"reset lifetime in minutes", func(c *auth.Config) { c.Password.ResetLifetime = 10 * time.Minute }, true},
		{"long reset lifetime", func(c *auth.Config) { c.Password.ResetLifetime = 24*time.Hour + 1 }, false},
		{"negative reset lifetime", func(c *auth.Config) { c.Password.ResetLifetime = -1 }, false},
		// 30 without a unit is 30 ns: every token would expire at once.
		{"reset lifetime without a unit", func(c *auth.Config) { c.Password.ResetLifetime = 30 }, false},

		{"another origin", origin("https://admin.example", "https://b.example:8443"), true},
		{"plain origin", origin("http://192.0.2.1:8080"), true},
		{"its own origin", origin("https://app.example"), true},
		{"origin with a slash", origin("https://admin.example/"), false},
		{"origin with a path", origin("https://admin.example/x"), false},
		{"origin with a query", origin("https://admin.example?x"), false},
		{"origin with a user", origin("https://user@admin.example"), false},
		{"origin in upper case", origin("https://Admin.example"), false},
		{"origin without a scheme", origin("admin.example"), false},
		{"origin null", origin("null"), false},
		{"origin any", origin("*"), false},
		{"origin empty", origin(""), false},
		{"origin without a host", origin("https://"), false},
		{"origin of another scheme", origin("ftp://admin.example"), false},
		{"origin with a space", origin("https://admin.example "), false},
		{"two origins in one", origin("https://a.example https://b.example"), false},
		{"any subdomain", origin("https://*.app.example"), false},
		{"origin with its own port", origin("https://admin.example:443"), false},
		{"origin with an empty port", origin("https://admin.example:"), false},
		{"origin not in ASCII", origin("https://bücher.example"), false},
		{"the second origin", origin("https://admin.example", "x"), false},

		{"bypass", bypass("POST /hook", "/api/{rest...}"), true},
		{"bypass by host", bypass("hooks.example/"), true},
		{"bypass empty", bypass(""), false},
		{"bypass without a slash", bypass("hook"), false},
		{"bypass unclosed", bypass("/{"), false},
		{"bypass with a bad name", bypass("/{a b}"), false},
		{"bypass with two names alike", bypass("/{a}/{a}"), false},
		{"bypass with a bad method", bypass("PO(ST /hook"), false},
		{"bypass twice", bypass("/hook", "/hook"), false},
		{"bypasses that conflict", bypass("/{a}/x", "/x/{b}"), false},
		{"bypass with invalid UTF-8", bypass("POST\xff \xff"), false},

		{"short password", func(c *auth.Config) { c.Password.Min = 7 }, false},
		{"negative password", func(c *auth.Config) { c.Password.Min = -1 }, false},
		{"long password", func(c *auth.Config) { c.Password.Min = 65 }, false},
		{"NIST's password", func(c *auth.Config) { c.Password.Min = 15 }, true},
		{"password of 64", func(c *auth.Config) { c.Password.Min = 64 }, true},

		{"OWASP, first", params(hashParams(47104, 1, 1, 16, 32)), true},
		{"OWASP, second", params(hashParams(19456, 2, 1, 16, 32)), true},
		{"OWASP, third", params(hashParams(12288, 3, 1, 16, 32)), true},
		{"OWASP, fourth", params(hashParams(9216, 4, 1, 16, 32)), true},
		{"OWASP, fifth", params(hashParams(7168, 5, 1, 16, 32)), true},
		{"ceilings", params(hashParams(7168, 32, 16, 64, 64)), true},
		{"floors", params(hashParams(7168, 32, 1, 16, 16)), true},
		{"the library's zero", params(&argon2id.Params{}), false},
		{"below the first", params(hashParams(47103, 1, 1, 16, 32)), false},
		{"below the second", params(hashParams(19455, 2, 1, 16, 32)), false},
		{"below the third", params(hashParams(12287, 3, 1, 16, 32)), false},
		{"below the fourth", params(hashParams(9215, 4, 1, 16, 32)), false},
		{"below the fifth", params(hashParams(7167, 5, 1, 16, 32)), false},
		{"below, with many passes", params(hashParams(7167, 32, 1, 16, 32)), false},
		{"no memory", params(hashParams(0, 2, 1, 16, 32)), false},
		{"no pass", params(hashParams(65536, 0, 1, 16, 32)), false},
		{"too many passes", params(hashParams(7168, 33, 1, 16, 32)), false},
		{"most passes", params(hashParams(7168, math.MaxUint32, 1, 16, 32)), false},
		{"no lane", params(hashParams(19456, 2, 0, 16, 32)), false},
		{"too many lanes", params(hashParams(19456, 2, 17, 16, 32)), false},
		{"short salt", params(hashParams(19456, 2, 1, 15, 32)), false},
		{"long salt", params(hashParams(19456, 2, 1, 65, 32)), false},
		{"longest salt", params(hashParams(19456, 2, 1, math.MaxUint32, 32)), false},
		{"short key", params(hashParams(19456, 2, 1, 16, 15)), false},
		{"long key", params(hashParams(19456, 2, 1, 16, 65)), false},
		{"longest key", params(hashParams(19456, 2, 1, 16, math.MaxUint32)), false},
		{"more than the budget", params(hashParams(65537, 2, 1, 16, 32)), false},
		{"all of the budget", params(hashParams(65536, 2, 1, 16, 32)), true},
		{"most memory", params(hashParams(math.MaxUint32, 2, 1, 16, 32)), false},
		{"budget for one", func(c *auth.Config) { c.Password.HashMemory = 19456 * 1024 }, true},
		{"budget for less than one", func(c *auth.Config) { c.Password.HashMemory = 19456*1024 - 1 }, false},
		{"negative budget", func(c *auth.Config) { c.Password.HashMemory = -1 }, false},
		{"least budget", func(c *auth.Config) { c.Password.HashMemory = math.MinInt64 }, false},
		{"most budget", func(c *auth.Config) { c.Password.HashMemory = math.MaxInt64 }, true},
		{"budget in KiB by mistake", func(c *auth.Config) { c.Password.HashMemory = 65536 }, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			cfg := goodConfig()
			if c.set != nil {
				c.set(&cfg)
			}
			store := memstore.New[testapp.User]()
			m, err := auth.New[*testapp.User](store, cfg)
			l, errL := auth.NewWithLoader[*testapp.User](store, cfg)
			if (err == nil) != c.ok || (errL == nil) != c.ok {
				t.Errorf("New: %v; NewWithLoader: %v; want no error: %v", err, errL, c.ok)
			}
			if (m == nil) != (err != nil) || (l == nil) != (errL != nil) {
				t.Errorf("%p, %v; %p, %v", m, err, l, errL)
			}
			if err == nil {
				return
			}
			for _, s := range cfg.Secrets {
				text := err.Error()
				if len(s) > 0 && (strings.Contains(text, string(s)) || strings.Contains(text, base64.StdEncoding.EncodeToString(s))) {
					t.Errorf("the error tells the secret: %s", text)
				}
			}
			if !strings.HasPrefix(err.Error(), "auth: ") {
				t.Errorf("the error does not say where it is from: %s", err)
			}
		})
	}
}

func TestConfigStores(t *testing.T) {
	t.Parallel()
	store := memstore.New[testapp.User]()
	var nilStore *memStore
	var nilRecords *memstore.Records
	var nilFunc auth.LoaderFunc[*testapp.User]
	newUser := func(s auth.UserStore[*testapp.User]) func(auth.Config) error {
		return func(cfg auth.Config) error { _, err := auth.New(s, cfg); return err }
	}
	newLoader := func(l auth.UserLoader[*testapp.User]) func(auth.Config) error {
		return func(cfg auth.Config) error { _, err := auth.NewWithLoader(l, cfg); return err }
	}
	for _, c := range []struct {
		what              string
		make              func(auth.Config) error
		records, sessions auth.RecordStore
		ok                bool
	}{
		{"store of both", newUser(store), nil, nil, true},
		{"two stores", newUser(usersOnly{store}), recordsOnly{store}, nil, true},
		{"three stores", newUser(usersOnly{store}), recordsOnly{store}, memstore.NewRecords(), true},
		{"loader with records", newLoader(loaderOnly{store}), memstore.NewRecords(), nil, true},
		{"loader of both", newLoader(store), nil, nil, true},

		{"no store", newUser(nil), store, nil, false},
		{"no loader", newLoader(nil), store, nil, false},
		{"no records", newUser(usersOnly{store}), nil, nil, false},
		{"no records, but sessions", newUser(usersOnly{store}), nil, store, false},
		{"no records with a loader", newLoader(loaderOnly{store}), nil, nil, false},
		{"no records with a function", newLoader(auth.LoaderFunc[*testapp.User](store.LoadUser)), nil, nil, false},

		// A nil pointer in an interface is not a nil interface. It is just as useless:
		// the first request would panic.
		{"nil store", newUser(nilStore), store, nil, false},
		{"nil loader", newLoader(nilStore), store, nil, false},
		{"nil function", newLoader(nilFunc), store, nil, false},
		{"nil records", newUser(store), nilRecords, nil, false},
		{"nil sessions", newUser(store), store, nilRecords, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			cfg := goodConfig()
			cfg.Records, cfg.SessionStore = c.records, c.sessions
			if err := c.make(cfg); (err == nil) != c.ok {
				t.Errorf("error %v, want none: %v", err, c.ok)
			}
		})
	}
}

// After New, you may change the Config that you passed. Several managers may be made
// from one Config at the same time.
func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	params := auth.DefaultHashParams()
	secret := []byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")
	cfg := goodConfig()
	cfg.Secrets, cfg.Password.HashParams = [][]byte{secret}, &params
	store := memstore.New[testapp.User]()
	m, err := auth.New[*testapp.User](store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	user := &testapp.User{Account: auth.Account{ID: "1", Email: "a@x.example", Version: 1}}
	token, err := m.ResetToken(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	params.Iterations, params.Parallelism = 0, 0
	clear(secret)
	if _, err := m.CheckResetToken(t.Context(), token); !errors.Is(err, auth.ErrInvalidToken) { // the user is not in the store
		t.Error(err)
	}
	again, err := m.ResetToken(t.Context(), user)
	if err != nil || again == "" {
		t.Error(err)
	}
	hash, err := m.HashPassword(t.Context(), "correct horse")
	if err != nil || !strings.HasPrefix(hash.Reveal(), "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("%q, %v", hash.Reveal(), err)
	}
}

func TestDefaultHashParams(t *testing.T) {
	t.Parallel()
	if p := auth.DefaultHashParams(); p != *hashParams(19456, 2, 1, 16, 32) {
		t.Errorf("%+v", p)
	}
}

func TestConfigErrorsDoNotPanic(t *testing.T) {
	t.Parallel()
	// Texts that an environment variable may contain by mistake.
	for _, text := range []string{"", " ", "\x00", "\xff", "%", "%zz", "://", "https://[", "https://[::1", "http://[::1%25eth0]:80", "{", "$HOME", strings.Repeat("a", 1<<16)} {
		for i := range 5 {
			cfg := goodConfig()
			switch i {
			case 0:
				cfg.BaseURL = text
			case 1:
				cfg.URLs.Login = text
			case 2:
				cfg.Session.CookieName = text
			case 3:
				cfg.Network.Origins = []string{text}
			case 4:
				cfg.Network.CrossOriginBypass = []string{text}
			}
			func() {
				defer func() {
					if p := recover(); p != nil {
						t.Errorf("field %d, %.40q: %v", i, text, p)
					}
				}()
				_, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg)
				_ = fmt.Sprint(err)
			}()
		}
	}
}

func TestLoginURLsConfig(t *testing.T) {
	t.Parallel()
	for area, page := range map[string]string{
		"":                     "/login",
		"admin":                "/login",
		"//admin":              "/login",
		"https://app.example/": "/login",
		"/admin?x":             "/login",
		"/admin#x":             "/login",
		"/ad min":              "/login",
		`/\admin`:              "/login",
		"/ä":                   "/login",
		"/%zz":                 "/login",
		"/a":                   "",
		"/b":                   "login",
		"/c":                   "//evil.example",
		"/d":                   "/login#x",
		"/e":                   "javascript:alert(1)",
		"/f":                   `/\evil.example`,
	} {
		cfg := goodConfig()
		cfg.URLs.LoginFor = map[string]string{"/good": "/login", area: page}
		if _, err := auth.New[*testapp.User](testapp.NewSpy(testapp.NewClock()), cfg); err == nil || !strings.Contains(err.Error(), "URLs.LoginFor") {
			t.Errorf("%q: %q: %v", area, page, err)
		}
	}
	// If the application changes its map afterwards, it has no effect.
	urls := map[string]string{"/guarded": "/here"}
	app, _ := newApp(t, func(c *auth.Config) { c.URLs.LoginFor = urls })
	urls["/guarded"] = "//evil.example"
	if r := app.Client(t).Get("/guarded"); r.Header.Get("Location") != "/here?next=%2Fguarded" {
		t.Errorf("to %q", r.Header.Get("Location"))
	}
}

// recordsOnly, usersOnly and loaderOnly hide the other methods of a store.
type (
	recordsOnly struct{ auth.RecordStore }
	usersOnly   struct{ auth.UserStore[*testapp.User] }
	loaderOnly  struct{ auth.UserLoader[*testapp.User] }
)

// A page that gets a token by mail is one of this site, or an https URL that browsers and
// people read in the same way.
func TestTokenURLsConfig(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*auth.Config, string){
		"Verify":      func(c *auth.Config, u string) { c.URLs.Verify = u },
		"Reset":       func(c *auth.Config, u string) { c.URLs.Reset = u },
		"EmailChange": func(c *auth.Config, u string) { c.URLs.EmailChange = u },
		"EmailUndo":   func(c *auth.Config, u string) { c.URLs.EmailUndo = u },
	} {
		for u, ok := range map[string]bool{
			"/a": true, "/a?b=c": true, "https://spa.example/a": true, "https://spa.example:8443/a?b": true,
			"http://evil.example/a": false, "HTTP://evil.example/a": false, "hTTp://evil.example/a": false, "https://app.example@evil.example/a": false,
			"https://u:pw@app.example/a": false, "https://:443/a": false, "https:///a": false, "/a?token=x": false, "/a?%74oken=x": false,
			"/a#b": false, "//evil.example/a": false, "a": false, "/a b": false, "https://spa.example/a b": false, `https://spa.example"/a`: false,
			"javascript:alert(1)": false, "/a\n": false, `/\evil.example`: false,
		} {
			cfg := goodConfig()
			set(&cfg, u)
			_, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg)
			if (err == nil) != ok || err != nil && (!strings.Contains(err.Error(), "Config.URLs."+name) || strings.Contains(err.Error(), "u:pw")) {
				t.Errorf("%s %q: %v", name, u, err)
			}
		}
	}
	cfg := goodConfig()
	cfg.BaseURL, cfg.URLs.Reset = "http://localhost:8080", "http://localhost:3000/reset"
	if _, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg); err != nil {
		t.Errorf("under development: %v", err)
	}
	for login, want := range map[string]string{
		"/login": "/refresh", "/auth/login": "/auth/refresh", "https://APP.example:443/auth/login?x": "/auth/refresh",
		"https://sso.example/auth/login": "/refresh", "https://app.example.evil.example/auth/login": "/refresh",
	} {
		cfg := goodConfig()
		cfg.BaseURL, cfg.URLs.Login = "https://App.example", login
		if m, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg); err != nil || m.Config().URLs.Refresh != want {
			t.Errorf("beside %s the refresh page is not %s: %v", login, want, err)
		}
	}
}

// HideAccounts without RequireVerified would hide nothing.
func TestHideAccountsConfig(t *testing.T) {
	t.Parallel()
	cfg := goodConfig()
	cfg.HideAccounts, cfg.Mailer = true, &testapp.Outbox{}
	if _, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg); err == nil || !strings.Contains(err.Error(), "RequireVerified") {
		t.Errorf("%v", err)
	}
	cfg.BaseURL = "https://user:canary@app.example"
	if _, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
}
