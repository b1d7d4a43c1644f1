package bench_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
	"modernc.org/sqlite"
)

// This file fills a store with logged-in users, one login each, faster than the
// library can: it copies a user and a session that the library has made. The
// rows have the same length, their keys are spread like random ones, and the
// library accepts them. The token of a user's session follows from the number
// of the user.

func username(i int) string { return fmt.Sprintf("user%07d", i) }
func userID(i int) string {
	return strings.ToUpper(hex.EncodeToString(sum("user" + strconv.Itoa(i))))[:26]
}
func token(i int) string { return base64.RawURLEncoding.EncodeToString(sum("token" + strconv.Itoa(i))) }
func loginID(i int) string {
	return base64.RawURLEncoding.EncodeToString(sum("login" + strconv.Itoa(i)))
}
func sessionKey(i int) string {
	return base64.RawURLEncoding.EncodeToString(sum(token(i)))
}

func sum(text string) []byte {
	b := sha256.Sum256([]byte(text))
	return b[:]
}

// A sample is the user and the session that are copied.
type sample struct {
	account auth.Account
	session auth.Record
	// The parts of the session's data before, between and after the ID of the
	// user and the ID of the login. These IDs have the same length in every
	// copy.
	before, between, after []byte
}

// newSample makes a user and logs them in.
func newSample(tb testing.TB, a *app) sample {
	tb.Helper()
	hash, err := a.HashPassword(tb.Context(), password)
	check(tb, err)
	user, err := a.store.CreateUser(tb.Context(), auth.Account{
		Username: "sample", Email: "sample@example.com", EmailVerified: true, PasswordHash: hash,
		Stamp: auth.NewSecret(token(0)), Version: 1,
	}, nil)
	check(tb, err)
	a.login(tb, "sample")
	sessions, err := a.records.ListRecords(tb.Context(), "session", user.ID)
	check(tb, err)
	if len(sessions) != 1 {
		tb.Fatalf("%d sessions", len(sessions))
	}
	s := sample{account: user.Account, session: sessions[0]}
	// The ID of the login follows that of the user, each after its length.
	var rest []byte
	var found bool
	s.before, rest, found = bytes.Cut(s.session.Data, []byte(user.ID))
	if !found || len(user.ID) != len(userID(0)) || len(rest) < 1+len(loginID(0)) || int(rest[0]) != len(loginID(0)) {
		tb.Fatal("sessions are laid out otherwise than fill knows")
	}
	s.between, s.after = rest[:1], rest[1+len(loginID(0)):]
	return s
}

// fill adds users with their sessions until there are n of each, besides the
// sample's.
func (a *app) fill(tb testing.TB, n int) {
	tb.Helper()
	s := newSample(tb, a)
	if a.db == nil {
		a.fillByCalls(tb, s, n)
		return
	}
	const chunk = 100_000 // MariaDB can undo this many rows in little time
	w := wordsOf(a.dialect)
	for from := 0; from < n; from += chunk {
		to := min(from+chunk, n)
		exec(tb, a.db, w.users(s, from, to))
		exec(tb, a.db, w.sessions(s, from, to, strconv.FormatInt(s.session.Expires.UnixMicro(), 10)))
	}
	for _, statement := range w.settle {
		exec(tb, a.db, statement)
	}
	a.sample, a.next = s, n
}

// expire adds expired sessions.
func (a *app) expire(tb testing.TB, n int) {
	tb.Helper()
	exec(tb, a.db, wordsOf(a.dialect).sessions(a.sample, a.next, a.next+n, strconv.FormatInt(a.clock.now().UnixMicro(), 10)))
	a.next += n
}

// words holds the SQL with which a database fills itself: expressions of i, the
// number of a user, and functions of expressions.
type words struct {
	id, name, key, login string
	blob                 func(bytes []byte) string
	bytes                func(text string) string
	concat               func(texts ...string) string
	join                 func(bytes ...string) string
	numbers              func(from, to int) string // a table with a column i
	settle               []string                  // statements to run after filling
}

func wordsOf(d sqlstore.Dialect) words {
	bars := func(parts ...string) string { return strings.Join(parts, ` || `) }
	literal := func(b []byte) string { return fmt.Sprintf(`x'%x'`, b) }
	switch d {
	case sqlstore.SQLite:
		return words{
			id: `bench_fill('id', i)`, name: `bench_fill('name', i)`, key: `bench_fill('key', i)`, login: `bench_fill('login', i)`,
			blob: literal, concat: bars,
			bytes: func(text string) string { return `CAST(` + text + ` AS BLOB)` },
			join:  func(bytes ...string) string { return `CAST(` + bars(bytes...) + ` AS BLOB)` },
			numbers: func(from, to int) string {
				return fmt.Sprintf(`(WITH RECURSIVE n (i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %d) SELECT i FROM n)`, from, to)
			},
			settle: []string{`PRAGMA wal_checkpoint(TRUNCATE)`},
		}
	case sqlstore.Postgres:
		bytes := func(text string) string { return `convert_to(` + text + `, 'UTF8')` }
		hash := func(text string) string {
			return `rtrim(translate(encode(sha256(` + bytes(text) + `), 'base64'), '+/', '-_'), '=')`
		}
		return words{
			id: `upper(left(encode(sha256(` + bytes(`'user' || i`) + `), 'hex'), 26))`, name: `'user' || lpad(i::text, 7, '0')`,
			key: hash(hash(`'token' || i`)), login: hash(`'login' || i`),
			blob:  func(b []byte) string { return fmt.Sprintf(`'\x%x'::bytea`, b) },
			bytes: bytes, concat: bars, join: bars,
			numbers: func(from, to int) string {
				return fmt.Sprintf(`generate_series(%d::bigint, %d) AS numbers (i)`, from, to-1)
			},
			settle: []string{`VACUUM (ANALYZE) auth_users`, `VACUUM (ANALYZE) auth_records`},
		}
	default:
		concat := func(parts ...string) string { return `CONCAT(` + strings.Join(parts, `, `) + `)` }
		hash := func(text string) string {
			return `TRIM(TRAILING '=' FROM REPLACE(REPLACE(TO_BASE64(UNHEX(SHA2(` + text + `, 256))), '+', '-'), '/', '_'))`
		}
		return words{
			id: `UPPER(LEFT(SHA2(CONCAT('user', i), 256), 26))`, name: `CONCAT('user', LPAD(i, 7, '0'))`,
			key: hash(hash(`CONCAT('token', i)`)), login: hash(`CONCAT('login', i)`),
			blob:   literal,
			bytes:  func(text string) string { return text },
			concat: concat, join: concat,
			numbers: func(from, to int) string {
				return fmt.Sprintf(`(SELECT seq AS i FROM seq_%d_to_%d) AS numbers`, from, to-1)
			},
			settle: []string{`ANALYZE TABLE auth_users, auth_records`},
		}
	}
}

// users and sessions insert in the order of the table's primary key, which is
// the fastest.
func (w words) users(s sample, from, to int) string {
	return `INSERT INTO auth_users (id, username, username_key, email, email_key, email_verified, password_hash,
			stamp, disabled, roles, version, profile, created) ` + fmt.Sprintf(`
		SELECT %s AS id, %s, %[2]s, %s, %[3]s, TRUE, '%s', '%s', FALSE, 'null', 1, '{"Name":""}', 0 FROM %s ORDER BY id`,
		w.id, w.name, w.concat(w.name, `'@example.com'`), s.account.PasswordHash.Reveal(), s.account.Stamp.Reveal(), w.numbers(from, to))
}

func (w words) sessions(s sample, from, to int, expires string) string {
	data := w.join(w.blob(s.before), w.bytes(w.id), w.blob(s.between), w.bytes(w.login), w.blob(s.after))
	return `INSERT INTO auth_records (kind, record_key, user_id, data, version, expires) ` + fmt.Sprintf(`
		SELECT %s, %s AS record_key, %s, %s, 77777777777 * i, %s FROM %s ORDER BY record_key`,
		w.blob([]byte(s.session.Kind)), w.bytes(w.key), w.bytes(w.id), data, expires, w.numbers(from, to))
}

// registerFill adds to SQLite the functions that the other databases have, for
// the connections that this process opens from then on.
var registerFill = sync.OnceValue(func() error {
	return sqlite.RegisterDeterministicScalarFunction("bench_fill", 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		i, ok := args[1].(int64)
		if !ok {
			return nil, errors.New("no number")
		}
		switch args[0] {
		case "id":
			return userID(int(i)), nil
		case "name":
			return username(int(i)), nil
		case "key":
			return sessionKey(int(i)), nil
		default:
			return loginID(int(i)), nil
		}
	})
})

// fillByCalls fills a store through its methods.
func (a *app) fillByCalls(tb testing.TB, s sample, n int) {
	tb.Helper()
	const workers = 64
	failed := make(chan error, workers)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := worker; i < n; i += workers {
				if err := a.add(tb.Context(), s, i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	check(tb, <-failed)
}

// add inserts one user and their session.
func (a *app) add(ctx context.Context, s sample, i int) error {
	account := s.account
	account.ID, account.Username, account.Email = userID(i), username(i), username(i)+"@example.com"
	if _, err := a.store.CreateUser(ctx, account, nil); err != nil {
		return err
	}
	r := s.session
	r.Key, r.UserID, r.Version = sessionKey(i), userID(i), 77777777777*int64(i)
	r.Data = bytes.Join([][]byte{s.before, []byte(userID(i)), s.between, []byte(loginID(i)), s.after}, nil)
	return a.records.InsertRecord(ctx, r)
}
