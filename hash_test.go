package auth_test

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/passhash"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"golang.org/x/crypto/bcrypt"
)

// foreignHashes are hashes of testapp.Password by other libraries, one of each scheme.
func foreignHashes(t *testing.T) map[string]auth.Secret {
	t.Helper()
	hashes := map[string]auth.Secret{}
	for _, name := range []string{"werkzeug", "django", "php", "others"} {
		text, err := os.ReadFile("internal/passhash/testdata/hashes/" + name + ".jsonl")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var v struct{ By, Password, Hash string }
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatal(err)
			}
			scheme := v.Hash[:strings.IndexAny(v.Hash[1:], ":$")+1]
			if v.Password == testapp.Password && !strings.HasSuffix(v.By, ", default") {
				hashes[scheme+" of "+name] = auth.NewSecret(v.Hash)
			}
		}
	}
	if len(hashes) < 15 {
		t.Fatalf("%d hashes", len(hashes))
	}
	return hashes
}

// withHash returns a change for member that sets the hash.
func withHash(hash auth.Secret) func(*auth.Account) {
	return func(a *auth.Account) { a.PasswordHash = hash }
}

// newHashes is how hashes begin that newApp makes; see authtest.HashParams.
const newHashes = "$argon2id$v=19$m=256,t=1,p=1$"

// A user with a hash of another library logs in as usual, and then has a hash of ours.
func TestLoginWithForeignHashes(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	for name, hash := range foreignHashes(t) {
		user := member(t, app, "alice", "", withHash(hash))
		browser := app.Client(t)
		browser.Login("alice")
		store.Reset()
		app.Events()
		before := app.PasswordHashes()
		if r := browser.Clone().Post("/login", "login", "alice", "password", testapp.Password+" "); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s, wrong password: %s", name, r.Status)
		}
		if n := app.PasswordHashes() - before; n != 1 || slices.Contains(store.Calls(), "UpdateAccount") {
			t.Errorf("%s, wrong password: %d hashes, %v", name, n, store.Calls())
		}
		for i := range 2 {
			other := app.Client(t)
			if r := other.Post("/login", "login", "alice", "password", testapp.Password); r.StatusCode != http.StatusOK || other.Who() != "alice" {
				t.Errorf("%s: %s", name, r.Status)
			}
			u := stored(t, app, user.ID)
			if u.Version != 2 || !strings.HasPrefix(u.PasswordHash.Reveal(), newHashes) || strings.Count(u.PasswordHash.Reveal(), "$") != 5 || !u.Stamp.Equal(user.Stamp) {
				t.Errorf("%s, login %d: version %d, %q", name, i, u.Version, u.PasswordHash.Reveal())
			}
		}
		events := app.Events()
		if n := count(events, auth.EventHashUpgraded, user.ID); n != 1 || count(events, auth.EventHashUnusable, user.ID) != 0 {
			t.Errorf("%s: upgraded %d times: %v", name, n, kinds(events))
		}
		if who := browser.Who(); who != "alice" {
			t.Errorf("%s: the upgrade ended a session: %s", name, who)
		}
		deleteUser(t, app, user.ID)
	}
}

// bcrypt uses only the first 72 bytes of a password, and so must we for its hashes. The
// password that the user types when the hash is replaced is exact from then on.
func TestLongPasswordsOfBcrypt(t *testing.T) {
	t.Parallel()
	const same = "73 bytes 012345678901234567890123456789012345678901234567890123456789abc"
	for _, name := range []string{"bcrypt", "bcrypt_sha256"} {
		app, _ := newApp(t, nil)
		user := member(t, app, "alice", "", withHash(longHash(t, name)))
		login := func(password string) int {
			return app.Client(t).Post("/login", "login", "alice", "password", password).StatusCode
		}
		for _, wrong := range []string{same[:71], same[:71] + "~", same[:71] + "~d"} {
			if login(wrong) != http.StatusUnauthorized {
				t.Errorf("%s: %q opens", name, wrong)
			}
		}
		if name == "bcrypt_sha256" { // it has used the whole password
			exact := login(same+"~") == http.StatusUnauthorized && login(same) == http.StatusUnauthorized
			app.Clock.Advance(time.Minute) // these were five attempts
			if !exact || login(same+"d") != http.StatusOK {
				t.Errorf("%s is not exact", name)
			}
			continue
		}
		if ok := opens(t, app, user.ID, same) && opens(t, app, user.ID, same+strings.Repeat("~", 900)); !ok {
			t.Errorf("%s looks at more than 72 bytes", name)
		}
		if login(same+"e") != http.StatusOK || login(same+"d") != http.StatusUnauthorized || login(same) != http.StatusUnauthorized || login(same+"e") != http.StatusOK {
			t.Errorf("%s: the password is not the one typed at the upgrade", name)
		}
	}
}

// longHash returns a hash of the password with 73 bytes.
func longHash(t *testing.T, scheme string) auth.Secret {
	t.Helper()
	text, err := os.ReadFile("internal/passhash/testdata/hashes/django.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var v struct{ Password, Hash string }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(v.Hash, scheme+"$") && len(v.Password) == 73 {
			return auth.NewSecret(v.Hash)
		}
	}
	t.Fatal(scheme)
	return auth.Secret{}
}

// If another change of the account comes before the upgrade of a foreign hash, the
// login succeeds and the other change is kept.
func TestForeignHashLosesRaces(t *testing.T) {
	t.Parallel()
	for name, hash := range foreignHashes(t) {
		app, store := newApp(t, nil)
		user := member(t, app, "alice", "", withHash(hash))
		another := cheapHash("another password")
		store.Hook(on("UpdateAccount", func() error {
			a := user.Clone()
			a.PasswordHash = another
			return store.Store.UpdateAccount(t.Context(), a)
		}), nil)
		browser := app.Client(t)
		if r := browser.Post("/login", "login", "alice", "password", testapp.Password); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, r.Status)
		}
		if u := stored(t, app, user.ID); u.Version != 2 || !u.PasswordHash.Equal(another) {
			t.Errorf("%s: version %d", name, u.Version)
		}
		if n := count(app.Events(), auth.EventHashUpgraded, user.ID); n != 0 {
			t.Errorf("%s: %d upgrades", name, n)
		}
	}
}

func TestParallelLoginsWithAForeignHash(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	for name, hash := range foreignHashes(t) {
		if !slices.Contains([]string{"scrypt of werkzeug", "$2y of php", "$argon2i of others"}, name) {
			continue
		}
		user := member(t, app, "alice", "", withHash(hash))
		app.Events()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				browser := app.Client(t)
				if r := browser.Post("/login", "login", "alice", "password", testapp.Password); r.StatusCode != http.StatusOK {
					t.Errorf("%s: %s %s", name, r.Status, r.Text)
				}
				if who := browser.Who(); who != "alice" {
					t.Errorf("%s: %s", name, who)
				}
			})
		}
		wg.Wait()
		if u := stored(t, app, user.ID); u.Version != 2 || !strings.HasPrefix(u.PasswordHash.Reveal(), newHashes) || !opens(t, app, user.ID, testapp.Password) {
			t.Errorf("%s: version %d, %q", name, u.Version, u.PasswordHash.Reveal())
		}
		if n := count(app.Events(), auth.EventHashUpgraded, user.ID); n != 1 {
			t.Errorf("%s: %d upgrades", name, n)
		}
		deleteUser(t, app, user.ID)
	}
}

// A table is wrapped while its users log in. Afterwards every hash is Argon2id, and
// every password still works.
func TestWrapATable(t *testing.T) {
	t.Parallel()
	for _, peppers := range [][]auth.Pepper{nil, {pepper2026}} {
		app, store := newApp(t, func(c *auth.Config) { c.Password.Peppers = peppers })
		hashes := foreignHashes(t)
		if peppers != nil {
			maps.DeleteFunc(hashes, func(name string, _ auth.Secret) bool { return !strings.HasSuffix(name, "of werkzeug") })
		}
		hashes["nobody"], hashes["weak"] = auth.Secret{}, cheapHash(testapp.Password)
		users := map[string]*testapp.User{}
		for name, hash := range hashes {
			login := strings.NewReplacer("$", "", " ", "-", "_", "-").Replace(name)
			users[login] = member(t, app, login, "", withHash(hash))
		}
		wrap := func(id string, meanwhile func()) error {
			a := stored(t, app, id).Clone()
			wrapped, err := app.WrapHash(t.Context(), a.PasswordHash)
			if err != nil {
				return err
			}
			if wrapped.Equal(a.PasswordHash) {
				return nil
			}
			a.PasswordHash = wrapped
			meanwhile()
			return store.UpdateAccount(t.Context(), a)
		}
		// One user logs in at that very moment.
		racer := users["scrypt-of-werkzeug"]
		if err := wrap(racer.ID, func() {
			if _, err := app.Authenticate(t.Context(), racer.Username, testapp.Password); err != nil {
				t.Error(err)
			}
		}); !errors.Is(err, auth.ErrConflict) {
			t.Errorf("wrapping over an upgrade: %v", err)
		}
		for range 2 { // a second run changes nothing
			for login, u := range users {
				if err := wrap(u.ID, func() {}); err != nil {
					t.Errorf("%s: %v", login, err)
				}
			}
		}
		for login, u := range users {
			now := stored(t, app, u.ID)
			hash := now.PasswordHash.Reveal()
			if login == "nobody" {
				if hash != "" || now.Version != 1 {
					t.Errorf("%s has version %d, %q", login, now.Version, hash)
				}
				continue
			}
			old := u.PasswordHash.Reveal()
			if !strings.HasPrefix(hash, newHashes) || now.Version != 2 || !now.Stamp.Equal(u.Stamp) || strings.Contains(hash, old[len(old)-20:]) ||
				strings.Contains(hash, "$wrapped=") == (u == racer) || strings.Contains(hash, "$pepper=2026") != (peppers != nil) {
				t.Errorf("%s has version %d, %q", login, now.Version, hash)
			}
			for _, wrong := range []string{"wrong password", old, hash, old[len(old)-20:]} {
				if r := app.Client(t).Post("/login", "login", login, "password", wrong); r.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s, %q: %s", login, wrong, r.Status)
				}
				if peppers != nil {
					break
				}
			}
			browser := app.Client(t)
			if r := browser.Post("/login", "login", login, "password", testapp.Password); r.StatusCode != http.StatusOK || browser.Who() != login {
				t.Errorf("%s: %s", login, r.Status)
			}
			if hash := stored(t, app, u.ID).PasswordHash.Reveal(); strings.Contains(hash, "$wrapped=") || !strings.HasPrefix(hash, newHashes) {
				t.Errorf("%s, after the login: %q", login, hash)
			}
		}
	}
}

func TestWrapHashErrors(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	before := app.PasswordHashes()
	for _, text := range []string{"!", "password", "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99", "$2b$31$" + strings.Repeat(".", 53), "$argon2id$", strings.Repeat("$", 1<<20)} {
		if hash, err := app.WrapHash(t.Context(), auth.NewSecret(text)); !errors.Is(err, auth.ErrHashUnusable) || !hash.IsZero() || strings.Contains(err.Error(), "password\"") {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if hash, err := app.WrapHash(ctx, cheapHash("x")); !errors.Is(err, context.Canceled) || !hash.IsZero() {
		t.Errorf("cancelled: %v", err)
	}
	if n := app.PasswordHashes() - before; n != 0 {
		t.Errorf("%d hashes were computed", n)
	}
}

var (
	pepper2025 = auth.Pepper{ID: "2025", Key: []byte("ppBb2hTnDsEYYXfgoyKCcmQyVRBJFOp5")}
	pepper2026 = auth.Pepper{ID: "2026", Key: []byte("qqBb2hTnDsEYYXfgoyKCcmQyVRBJFOp5")}
	forged2026 = auth.Pepper{ID: "2026", Key: []byte("rrBb2hTnDsEYYXfgoyKCcmQyVRBJFOp5")}
)

// A hash can be verified wherever its pepper is listed. A login replaces it by a hash
// with the first pepper of the list.
func TestPeppers(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := testapp.NewSpy(clock)
	lists := map[string][]auth.Pepper{
		"none": nil, "2025": {pepper2025}, "2026": {pepper2026}, "both": {pepper2026, pepper2025}, "back": {pepper2025, pepper2026}, "forged": {forged2026},
	}
	apps := map[string]*testapp.App{}
	for name, list := range lists {
		apps[name] = testapp.New(t, store, clock, func(c *auth.Config) { c.Password.Peppers = list })
	}
	first := func(name string) (id string, key string) {
		if len(lists[name]) == 0 {
			return "", ""
		}
		return lists[name][0].ID, string(lists[name][0].Key)
	}
	for from, made := range apps {
		id, key := first(from)
		hash, err := made.HashPassword(t.Context(), testapp.Password)
		if err != nil {
			t.Fatal(err)
		}
		if _, after, _ := strings.Cut(hash.Reveal(), "$pepper="); after != id || strings.Contains(hash.Reveal(), "$pepper=") != (id != "") {
			t.Errorf("%s: %q", from, hash.Reveal())
		}
		for to, app := range apps {
			name := from + " to " + to
			user := member(t, app, "alice", "", withHash(hash))
			app.Events()
			known, same := id == "", id == ""
			for _, p := range lists[to] {
				known, same = known || p.ID == id, same || p.ID == id && string(p.Key) == key
			}
			before := app.PasswordHashes()
			if r := app.Client(t).Post("/login", "login", "alice", "password", "wrong password"); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s, wrong password: %s", name, r.Status)
			}
			if n := app.PasswordHashes() - before; n != 1 {
				t.Errorf("%s, wrong password: %d hashes", name, n)
			}
			browser := app.Client(t)
			r := browser.Post("/login", "login", "alice", "password", testapp.Password)
			if ok := r.StatusCode == http.StatusOK && browser.Who() == "alice"; ok != same {
				t.Errorf("%s: %s", name, r.Status)
			}
			events := app.Events()
			unusable := 0
			if !known {
				unusable = 2
			}
			if n := count(events, auth.EventHashUnusable, user.ID); n != unusable {
				t.Errorf("%s: unusable %d times, want %d", name, n, unusable)
			}
			for _, e := range events {
				if e.Kind == auth.EventHashUnusable && (!errors.Is(e.Err, auth.ErrHashUnusable) || !strings.Contains(e.Err.Error(), `"`+id+`"`)) {
					t.Errorf("%s: %v", name, e.Err)
				}
			}
			now := stored(t, app, user.ID).PasswordHash
			if current, _ := first(to); same && current != id {
				if !strings.HasSuffix(now.Reveal(), "$pepper="+current) || count(events, auth.EventHashUpgraded, user.ID) != 1 || !opens(t, app, user.ID, testapp.Password) {
					t.Errorf("%s: not upgraded: %q", name, now.Reveal())
				}
			} else if !now.Equal(hash) {
				t.Errorf("%s: changed: %q", name, now.Reveal())
			}
			deleteUser(t, app, user.ID)
		}
	}
	for name, app := range apps {
		for _, p := range lists[name] {
			if strings.Contains(app.Logs(), string(p.Key)) {
				t.Errorf("%s: the key is in the log", name)
			}
		}
	}
}

// Anybody can compute the stored hashes from the description in docs/passwords.md, so
// an application can leave this library.
func TestFormatOfHashes(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Password.Peppers = []auth.Pepper{pepper2026} })
	plain, _ := newApp(t, nil)
	encode := base64.RawStdEncoding.EncodeToString
	mac := func(text string) string {
		h := hmac.New(sha256.New, pepper2026.Key)
		h.Write([]byte(text))
		return encode(h.Sum(nil))
	}
	old, err := pbkdf2.Key(sha256.New, testapp.Password, []byte("salt"), 1000, 32)
	if err != nil {
		t.Fatal(err)
	}
	oldText := auth.NewSecret("pbkdf2:sha256:1000$salt$" + hex.EncodeToString(old))
	for _, c := range []struct {
		what   string
		make   func() (auth.Secret, error)
		text   string // the input of Argon2id
		suffix string
	}{
		{"plain", func() (auth.Secret, error) { return plain.HashPassword(t.Context(), testapp.Password) }, testapp.Password, ""},
		{"peppered", func() (auth.Secret, error) { return app.HashPassword(t.Context(), testapp.Password) }, mac(testapp.Password), "$pepper=2026"},
		{"wrapped", func() (auth.Secret, error) { return plain.WrapHash(t.Context(), oldText) }, encode(old), "$wrapped=32:pbkdf2:sha256:1000$salt$"},
		{"both", func() (auth.Secret, error) { return app.WrapHash(t.Context(), oldText) }, mac(encode(old)), "$pepper=2026$wrapped=32:pbkdf2:sha256:1000$salt$"},
	} {
		hash, err := c.make()
		if err != nil {
			t.Fatal(err)
		}
		phc, ok := strings.CutSuffix(hash.Reveal(), c.suffix)
		if match, err := argon2id.ComparePasswordAndHash(c.text, phc); !ok || !match || err != nil {
			t.Errorf("%s: %q: %v", c.what, hash.Reveal(), err)
		}
	}
}

// Every new hash is peppered. If the application changes its Config afterwards, it has
// no effect.
func TestEveryNewHashIsPeppered(t *testing.T) {
	t.Parallel()
	key := slices.Clone(pepper2026.Key)
	list := []auth.Pepper{{ID: "2026", Key: key}}
	app, _ := newApp(t, func(c *auth.Config) { c.Password.Peppers = list })
	clear(key)
	list[0].ID = "2027"
	check := func(what, id, password string) {
		t.Helper()
		if hash := stored(t, app, id).PasswordHash.Reveal(); !strings.HasSuffix(hash, "$pepper=2026") || !opens(t, app, id, password) {
			t.Errorf("%s: %q", what, hash)
		}
	}
	user, err := app.Register(t.Context(), auth.Registration{Username: "alice", Email: "alice@app.example", Password: testapp.Password})
	if err != nil {
		t.Fatal(err)
	}
	check("Register", user.ID, testapp.Password)
	if err := app.SetPassword(t.Context(), user, "another password of hers"); err != nil {
		t.Fatal(err)
	}
	check("SetPassword", user.ID, "another password of hers")
	if _, err := app.ResetPassword(t.Context(), resetToken(t, app, stored(t, app, user.ID)), "a third password of hers"); err != nil {
		t.Fatal(err)
	}
	check("ResetPassword", user.ID, "a third password of hers")
	bob := member(t, app, "bob", testapp.Password)
	if _, err := app.Authenticate(t.Context(), "bob", testapp.Password); err != nil {
		t.Fatal(err)
	}
	check("Authenticate", bob.ID, testapp.Password)
	// The same key from the configuration of another process.
	other, _ := newApp(t, func(c *auth.Config) { c.Password.Peppers = []auth.Pepper{pepper2026} })
	if ok, err := other.CheckPassword(t.Context(), stored(t, app, bob.ID), testapp.Password); !ok || err != nil {
		t.Error(ok, err)
	}
}

// budgetManager returns a Manager without a server, for a bubble of synctest.
func budgetManager(t *testing.T, configure func(*auth.Config)) (*auth.Manager[*testapp.User], *memstore.Store[testapp.User, *testapp.User]) {
	t.Helper()
	cfg := auth.Config{
		BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Logger: slog.New(slog.DiscardHandler),
	}
	if configure != nil {
		configure(&cfg)
	}
	store := memstore.New[testapp.User]()
	m, err := auth.New(store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m, store
}

// All Managers of a process share one hashing budget. While one hash takes all of it,
// 200 wrong logins at forty Managers compute no hash: 64 of them wait, and the others
// are refused at once. The test is not parallel, because it takes the budget of the
// whole process.
func TestManagersShareOneBudget(t *testing.T) { //nolint:paralleltest // see above
	const logins = 200
	budget := passhash.Process()
	size := max(budget.State().Size, 96<<10)
	managers := make([]*auth.Manager[*testapp.User], 40)
	for i := range managers {
		managers[i], _ = budgetManager(t, func(c *auth.Config) {
			if i == 20 {
				c.Password.HashMemory = 96 << 20 // the largest is everybody's
			}
		})
	}
	idle := passhash.State{Size: size, Free: size}
	if got := budget.State(); got != idle {
		t.Errorf("%+v, want %+v", got, idle)
	}
	if err := budget.Acquire(t.Context(), size); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var busy, left atomic.Int32
	for i := range logins {
		wg.Go(func() {
			_, err := managers[i%len(managers)].Authenticate(ctx, fmt.Sprint("ghost", i), "a wrong password")
			switch {
			case errors.Is(err, auth.ErrBusy):
				busy.Add(1)
			case errors.Is(err, context.Canceled):
				left.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	for int(busy.Load())+budget.State().Waiting < logins {
		runtime.Gosched()
	}
	want := passhash.State{Size: size, Running: 1, Waiting: budget.MaxQueue}
	if got := budget.State(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	cancel()
	wg.Wait()
	if queue := budget.MaxQueue; int(busy.Load()) != logins-queue || int(left.Load()) != queue {
		t.Errorf("%d were told to come again, and %d waited", busy.Load(), left.Load())
	}
	for i, m := range managers {
		if n := m.PasswordHashes(); n != 0 {
			t.Errorf("manager %d: %d hashes", i, n)
		}
	}
	budget.Release(size)
	if _, err := managers[0].Authenticate(t.Context(), "ghost", "a wrong password"); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("afterwards: %v", err)
	}
	if got := budget.State(); got != idle {
		t.Errorf("afterwards %+v, want %+v", got, idle)
	}
}

// A stored hash that needs more than HashMemory of its Manager is not verified, even if
// the process's budget is larger.
func TestHashMemoryOfOneManager(t *testing.T) {
	t.Parallel()
	_, _ = budgetManager(t, func(c *auth.Config) { c.Password.HashMemory = 96 << 20 })
	small, store := budgetManager(t, nil)
	hash := auth.NewSecret("$argon2id$v=19$m=65537,t=1,p=1$" + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 43))
	u, err := store.CreateUser(t.Context(), auth.Account{Username: "susan", PasswordHash: hash, Stamp: auth.NewSecret("s"), Version: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := small.CheckPassword(t.Context(), u, "x"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if _, err := small.WrapHash(t.Context(), hash); !errors.Is(err, auth.ErrHashUnusable) {
		t.Errorf("WrapHash: %v", err)
	}
}

// While another hash runs without end, a login waits for three seconds and is then told
// to come back, before a server's WriteTimeout would cut the connection. Logins to one
// account wait for each other, too, at most twice that long. An attempt that was not
// checked does not count.
func TestQueueTimesOut(t *testing.T) {
	t.Parallel()
	for _, accounts := range []int{1, 12} {
		synctest.Test(t, func(t *testing.T) {
			m, store := budgetManager(t, nil)
			m.OwnBudget()
			for i := range accounts {
				account := auth.Account{Username: fmt.Sprint("user", i), PasswordHash: cheapHash(testapp.Password), Stamp: auth.NewSecret("s"), Version: 1}
				if _, err := store.CreateUser(t.Context(), account, nil); err != nil {
					t.Fatal(err)
				}
			}
			handler := m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				u, err := m.Authenticate(r.Context(), r.PostFormValue("login"), r.PostFormValue("password"))
				if err == nil {
					err = m.LoginUser(r.Context(), u)
				}
				if err != nil {
					m.Error(w, r, err)
				}
			}))
			login := func(i int) *httptest.ResponseRecorder {
				form := url.Values{"login": {fmt.Sprint("user", i%accounts)}, "password": {testapp.Password}}
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", strings.NewReader(form.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				return w
			}
			release, err := m.HoldHashing(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			var wg sync.WaitGroup
			for i := range 12 {
				wg.Go(func() {
					w := login(i)
					if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
						t.Errorf("%d %v", w.Code, w.Header())
					}
					longest := passhash.MaxWait
					if accounts == 1 {
						longest *= 2
					}
					if waited := time.Since(begun); waited < passhash.MaxWait || waited > longest {
						t.Errorf("%d accounts: answered after %v", accounts, waited)
					}
				})
			}
			wg.Wait()
			if n := m.PasswordHashes(); n != 0 || m.HashesWaiting() != 0 || m.TurnsTaken() != 0 {
				t.Errorf("%d hashes; %d wait, %d turns are taken", n, m.HashesWaiting(), m.TurnsTaken())
			}
			release()
			if w := login(0); w.Code != http.StatusOK {
				t.Errorf("afterwards: %d", w.Code)
			}
		})
	}
}

// Fifty users log in for the first time with the hashes of another library. Each of them
// waits for one lane, in which the old hash is verified and the new one is made. So all
// hashes are replaced, although the queue is never empty.
func TestUpgradeTakesOneTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const users = 50
		upgraded := make(chan string, users)
		m, store := budgetManager(t, func(c *auth.Config) {
			c.OnEvent = func(_ context.Context, e auth.Event) {
				if e.Kind == auth.EventHashUpgraded {
					upgraded <- e.UserID
				}
			}
			c.Limits.Guesses = -1
			c.Password.HashParams, c.Password.HashMemory = hashParams(7168, 5, 1, 16, 32), 7168<<10 // one at a time
		})
		m.OwnBudget()
		budget, turns := m.Hashing(), 0
		budget.Lanes = func() int { turns++; return 1 }
		old, err := bcrypt.GenerateFromPassword([]byte(testapp.Password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		for i := range users {
			account := auth.Account{Username: fmt.Sprint("user", i), PasswordHash: auth.NewSecret(string(old)), Stamp: auth.NewSecret("s"), Version: 1}
			if _, err := store.CreateUser(t.Context(), account, nil); err != nil {
				t.Fatal(err)
			}
		}
		login := func(i int) {
			u, err := m.Authenticate(t.Context(), fmt.Sprint("user", i), testapp.Password)
			if err != nil || !strings.HasPrefix(u.PasswordHash.Reveal(), "$argon2id$v=19$m=7168,t=5,p=1$") {
				t.Errorf("user %d: %v, %v", i, u, err)
			}
		}
		login(0)
		if turns != 1 {
			t.Errorf("the first login asked for %d lanes", turns)
		}
		release, err := m.HoldHashing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range users - 1 {
			wg.Go(func() { login(i + 1) })
		}
		synctest.Wait()
		if n := m.HashesWaiting(); n != users-1 {
			t.Errorf("%d logins wait", n)
		}
		release()
		wg.Wait()
		if len(upgraded) != users || m.PasswordHashes() != 2*users {
			t.Errorf("%d hashes are replaced, by %d computations", len(upgraded), m.PasswordHashes())
		}
	})
}

// The new hash is made only if the password opens the account. Otherwise the time of an
// attempt would tell that the password of a locked, closed or reset account is right.
func TestUpgradeOnlyIfTheAccountOpens(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	for name, change := range map[string]func(*auth.Account){
		"disabled": func(a *auth.Account) { a.Disabled = true },
		"reset":    func(a *auth.Account) { a.PasswordHash = auth.NewSecret("$reset$" + a.PasswordHash.Reveal()) },
	} {
		u := member(t, app, name, testapp.Password, change)
		before := app.PasswordHashes()
		if _, err := app.Authenticate(t.Context(), name, testapp.Password); err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := app.PasswordHashes() - before; n != 1 || stored(t, app, u.ID).Version != u.Version {
			t.Errorf("%s: %d hashes", name, n)
		}
	}
}
