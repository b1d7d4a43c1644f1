package movein

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/sqlstore"
	_ "modernc.org/sqlite"
)

// oldTable is the table as the old applications had it, and newColumns are those that
// docs/moving-in.md adds.
const (
	oldTable   = `CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL, confirmed INTEGER NOT NULL DEFAULT 0, password TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '')`
	newColumns = `ALTER TABLE users ADD COLUMN email_key TEXT; ALTER TABLE users ADD COLUMN stamp TEXT NOT NULL DEFAULT '';
		ALTER TABLE users ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0; ALTER TABLE users ADD COLUMN version INTEGER NOT NULL DEFAULT 1`
	newIndex = `CREATE UNIQUE INDEX users_email_key ON users (email_key)`
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newUsers(t *testing.T) Users {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db")+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	_, err = db.ExecContext(t.Context(), oldTable+";"+newColumns+";"+newIndex)
	check(t, err)
	return Users{db}
}

// A move is an application whose table of users was moved: it has susan, with the ID 7 and a
// hash of the old application.
type move struct {
	t       *testing.T
	users   Users
	manager *auth.Manager[*User]
	until   time.Time // when the last old session ends
}

func newMove(t *testing.T, hash string, change func(*auth.Config)) *move {
	t.Helper()
	users := newUsers(t)
	_, err := users.db.ExecContext(t.Context(), `INSERT INTO users (id, email, confirmed, password, name) VALUES (7, 'Susan@app.example', 1, ?, 'Susan')`, hash)
	check(t, err)
	done, err := sqlstore.BackfillUsers(t.Context(), users.db, sqlstore.SQLite, sqlstore.UsersTable{
		Table: "users", ID: "id", Email: "email", EmailKey: "email_key", Stamp: "stamp",
	})
	if err != nil || done.Changed != 1 || len(done.Problems) > 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	test := authtest.New[User](t)
	test.Config.Records = memstore.NewRecords(memstore.WithClock(test.Clock.Now))
	if change != nil {
		change(&test.Config)
	}
	manager, err := auth.New(users, test.Config)
	check(t, err)
	return &move{t, users, manager, test.Clock.Now().Add(24 * time.Hour)}
}

// wantUpgrade checks that a hash is Argon2id's now.
func (m *move) wantUpgrade() {
	m.t.Helper()
	user, err := m.users.LoadUser(context.Background(), "7")
	check(m.t, err)
	if hash := user.PasswordHash.Reveal(); !strings.HasPrefix(hash, "$argon2id$") {
		m.t.Errorf("the hash is still %.10s…", hash)
	}
}

// wantGreeting checks that a client is logged in.
func wantGreeting(t *testing.T, c *authtest.Client) {
	t.Helper()
	if r := c.Get("/"); r.StatusCode != http.StatusOK || r.Text != "Hello, Susan" {
		t.Errorf("%d to %q: %s", r.StatusCode, r.Header.Get("Location"), r.Text)
	}
}

// with returns the client's answer to a request that has a cookie of the old application.
func with(c *authtest.Client, cookies []*http.Cookie) *authtest.Response {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	return c.Do(r)
}

func login(password string) url.Values {
	return url.Values{"email": {"susan@app.example"}, "password": {password}}
}
