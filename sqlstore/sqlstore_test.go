package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
	_ "modernc.org/sqlite"
)

// User is an application's.
type User struct {
	auth.Account
	Name     string
	Born     int               `json:"born"`
	Settings map[string]string `json:",omitempty"`
	Dirty    bool              `json:"-"`
}

var errNoName = errors.New("what is your name?")

func (u *User) ReadForm(form url.Values) error {
	u.Name = form.Get("name")
	if u.Name == "nobody" {
		return errNoName
	}
	u.Roles = append(u.Roles, form["role"]...) // what a form must not be able to do
	return nil
}

var (
	_ auth.UserStore[*User] = (*sqlstore.Store[User, *User])(nil)
	_ auth.RecordStore      = (*sqlstore.Store[User, *User])(nil)
	_ auth.RecordStore      = (*sqlstore.Records)(nil)
)

// start is when the clocks of these tests begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return start }

// newFile returns the recommended DSN for a database that does not exist yet.
func newFile(t *testing.T) string {
	t.Helper()
	return "file:" + filepath.ToSlash(filepath.Join(t.TempDir(), "app.db")) +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate"
}

// connect opens a database.
func connect(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// newDB returns a database with the tables in it.
func newDB(t *testing.T, options ...sqlstore.Option) *sql.DB {
	t.Helper()
	db := connect(t, newFile(t))
	check(t, sqlstore.Migrate(t.Context(), db, sqlstore.SQLite, options...))
	return db
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got the error %v, want %v", err, want)
	}
}

// wantFailure wants an error that is no answer.
func wantFailure(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
	}
	for _, answer := range []error{
		auth.ErrUserNotFound, auth.ErrUsernameTaken, auth.ErrEmailTaken, auth.ErrConflict, auth.ErrRecordNotFound,
		auth.ErrRecordExists, auth.ErrInvalidRecord, auth.ErrInvalidUsername, auth.ErrInvalidEmail,
	} {
		if errors.Is(err, answer) {
			t.Errorf("%s: a failure is reported as %q", what, answer)
		}
	}
}

// A call is one of a store's methods, with arguments that suit the state that
// populate leaves.
type call struct {
	name string
	do   func(ctx context.Context) error
}

// calls has every method that uses the database, those that delete last.
func calls(s *sqlstore.Store[User, *User]) []call {
	ada := auth.Account{ID: "1", Username: "ada", Email: "ada@example.com", Version: 1}
	session := auth.Record{Kind: "session", Key: "a", UserID: "1", Version: 1}
	return []call{
		{"LoadUser", func(ctx context.Context) error { _, err := s.LoadUser(ctx, "1"); return err }},
		{"FindUser by name", func(ctx context.Context) error { _, err := s.FindUser(ctx, "ada"); return err }},
		{"FindUser by address", func(ctx context.Context) error { _, err := s.FindUser(ctx, "ada@example.com"); return err }},
		{"CreateUser", func(ctx context.Context) error {
			_, err := s.CreateUser(ctx, auth.Account{Username: "bob"}, nil)
			return err
		}},
		{"UpdateAccount", func(ctx context.Context) error { return s.UpdateAccount(ctx, ada) }},
		{"UpdateProfile", func(ctx context.Context) error {
			u := &User{Account: ada, Name: "Ada L."}
			u.Version++
			return s.UpdateProfile(ctx, u)
		}},
		{"InsertRecord", func(ctx context.Context) error {
			return s.InsertRecord(ctx, auth.Record{Kind: "session", Key: "new"})
		}},
		{"GetRecord", func(ctx context.Context) error { _, err := s.GetRecord(ctx, "session", "a"); return err }},
		{"UpdateRecord", func(ctx context.Context) error { return s.UpdateRecord(ctx, session) }},
		{"ListRecords", func(ctx context.Context) error { _, err := s.ListRecords(ctx, "session", "1"); return err }},
		{"TakeRecord", func(ctx context.Context) error { _, err := s.TakeRecord(ctx, "session", "a"); return err }},
		{"DeleteRecords", func(ctx context.Context) error { return s.DeleteRecords(ctx, "session", "1", "b") }},
		{"Cleanup", func(ctx context.Context) error { _, err := s.Cleanup(ctx); return err }},
		{"DeleteUser", func(ctx context.Context) error { return s.DeleteUser(ctx, "1") }},
	}
}

func populate(t *testing.T, s *sqlstore.Store[User, *User]) {
	t.Helper()
	_, err := s.CreateUser(t.Context(), auth.Account{ID: "1", Username: "ada", Email: "ada@example.com", Version: 1}, nil)
	check(t, err)
	for _, key := range []string{"a", "b", "c"} {
		check(t, s.InsertRecord(t.Context(), auth.Record{Kind: "session", Key: key, UserID: "1", Version: 1}))
	}
}

func TestCallsSucceed(t *testing.T) {
	s := sqlstore.New[User](newDB(t), sqlstore.SQLite)
	populate(t, s)
	for _, c := range calls(s) {
		if err := c.do(t.Context()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestClosedDatabase(t *testing.T) {
	db := newDB(t)
	s := sqlstore.New[User](db, sqlstore.SQLite)
	populate(t, s)
	check(t, db.Close())
	for _, c := range calls(s) {
		wantFailure(t, c.name, c.do(t.Context()))
	}
	wantFailure(t, "Migrate", sqlstore.Migrate(t.Context(), db, sqlstore.SQLite))
}

func TestNoTables(t *testing.T) {
	s := sqlstore.New[User](connect(t, newFile(t)), sqlstore.SQLite)
	for _, c := range calls(s) {
		wantFailure(t, c.name, c.do(t.Context()))
	}
}

func TestCancelled(t *testing.T) {
	db := newDB(t)
	s := sqlstore.New[User](db, sqlstore.SQLite)
	populate(t, s)
	before := dump(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range calls(s) {
		if err := c.do(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	wantError(t, sqlstore.Migrate(ctx, db, sqlstore.SQLite), context.Canceled)
	if after := dump(t, db); after != before {
		t.Errorf("a cancelled call changed the database:\n%s\nwas\n%s", after, before)
	}
}

// dump is everything in the database as text.
func dump(t *testing.T, db *sql.DB) string {
	t.Helper()
	var b strings.Builder
	rows, err := db.QueryContext(t.Context(), `
		SELECT 'user ' || id || ' ' || username || ' ' || version || ' ' || profile FROM auth_users
		UNION ALL SELECT 'record ' || hex(kind) || ' ' || hex(record_key) || ' ' || version FROM auth_records
		UNION ALL SELECT 'version ' || part || ' ' || version FROM auth_schema
		UNION ALL SELECT name || ' ' || coalesce(sql, '') FROM sqlite_schema
		ORDER BY 1`)
	check(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var line string
		check(t, rows.Scan(&line))
		b.WriteString(line + "\n")
	}
	check(t, rows.Err())
	return b.String()
}

func TestBadOptions(t *testing.T) {
	db := connect(t, newFile(t))
	type notByValue struct{ *auth.Account }
	for name, do := range map[string]func() (migration, method error){
		"no database": func() (error, error) {
			_, err := sqlstore.New[User](nil, sqlstore.SQLite).LoadUser(t.Context(), "1")
			return sqlstore.Migrate(t.Context(), nil, sqlstore.SQLite), err
		},
		"no dialect": func() (error, error) {
			_, err := sqlstore.New[User](db, "").LoadUser(t.Context(), "1")
			return sqlstore.Migrate(t.Context(), db, "access97"), err
		},
		"no clock": func() (error, error) {
			option := sqlstore.WithClock(nil)
			_, err := sqlstore.NewRecords(db, sqlstore.SQLite, option).GetRecord(t.Context(), "session", "a")
			return sqlstore.Migrate(t.Context(), db, sqlstore.SQLite, option), err
		},
		"an account elsewhere": func() (error, error) {
			s := sqlstore.New[notByValue](db, sqlstore.SQLite)
			_, err := s.CreateUser(t.Context(), auth.Account{Username: "ada"}, nil)
			return s.UpdateProfile(t.Context(), &notByValue{&auth.Account{ID: "1"}}), err
		},
	} {
		migration, method := do()
		wantFailure(t, name, migration)
		wantFailure(t, name, method)
	}
}

func TestBadOptionsFailEveryCall(t *testing.T) {
	s := sqlstore.New[User](connect(t, newFile(t)), sqlstore.SQLite, sqlstore.WithClock(nil))
	for _, c := range calls(s) {
		if err := c.do(t.Context()); err == nil || !strings.Contains(err.Error(), "no clock") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestTablePrefix(t *testing.T) {
	db := connect(t, newFile(t))
	for _, prefix := range []string{"", "1_", "Auth_", "a-b", "a b", "ä_", `"`, "a;", "a.b", "x\x00", "{prefix}", "?",
		"auth_users; DROP TABLE auth_users; --", strings.Repeat("a", 33)} {
		option := sqlstore.TablePrefix(prefix)
		wantFailure(t, prefix, sqlstore.Migrate(t.Context(), db, sqlstore.SQLite, option))
		_, err := sqlstore.New[User](db, sqlstore.SQLite, option).LoadUser(t.Context(), "1")
		wantFailure(t, prefix, err)
	}

	// Two applications can share a database.
	first, second := sqlstore.TablePrefix("x_1_"), sqlstore.TablePrefix("_"+strings.Repeat("y", 31))
	check(t, sqlstore.Migrate(t.Context(), db, sqlstore.SQLite, first))
	check(t, sqlstore.Migrate(t.Context(), db, sqlstore.SQLite, second))
	s := sqlstore.New[User](db, sqlstore.SQLite, first)
	populate(t, s)
	for _, c := range calls(s) {
		check(t, c.do(t.Context()))
	}
	_, err := sqlstore.New[User](db, sqlstore.SQLite, second).FindUser(t.Context(), "bob")
	wantError(t, err, auth.ErrUserNotFound)
}

func TestTwoHandlesSeeEachOther(t *testing.T) {
	dsn := newFile(t)
	a := sqlstore.New[User](connect(t, dsn), sqlstore.SQLite)
	b := sqlstore.New[User](connect(t, dsn), sqlstore.SQLite)
	check(t, sqlstore.Migrate(t.Context(), connect(t, dsn), sqlstore.SQLite))
	for range 20 {
		r := auth.Record{Kind: "session", Key: "k", UserID: "1", Version: 7}
		check(t, a.InsertRecord(t.Context(), r))
		wantError(t, b.InsertRecord(t.Context(), r), auth.ErrRecordExists)
		check(t, b.UpdateRecord(t.Context(), r))
		wantError(t, a.UpdateRecord(t.Context(), r), auth.ErrConflict)
		_, err := a.TakeRecord(t.Context(), "session", "k")
		check(t, err)
		_, err = b.GetRecord(t.Context(), "session", "k")
		wantError(t, err, auth.ErrRecordNotFound)

		u, err := b.CreateUser(t.Context(), auth.Account{Username: "ada"}, nil)
		check(t, err)
		_, err = a.CreateUser(t.Context(), auth.Account{Username: "Ada"}, nil)
		wantError(t, err, auth.ErrUsernameTaken)
		check(t, a.DeleteUser(t.Context(), u.ID))
		_, err = b.LoadUser(t.Context(), u.ID)
		wantError(t, err, auth.ErrUserNotFound)
	}
}

// TestRacers has one winner in every race; the others learn why they lost, and
// nobody that the database was busy.
func TestRacers(t *testing.T) {
	dsn := newFile(t)
	stores := [2]*sqlstore.Store[User, *User]{}
	for i := range stores {
		stores[i] = sqlstore.New[User](connect(t, dsn), sqlstore.SQLite)
	}
	check(t, sqlstore.Migrate(t.Context(), connect(t, dsn), sqlstore.SQLite))
	populate(t, stores[0])
	ada, err := stores[0].LoadUser(t.Context(), "1")
	check(t, err)
	record := auth.Record{Kind: "race", Key: "k", Version: -5}

	for _, race := range []struct {
		name string
		run  func(s *sqlstore.Store[User, *User]) error
		lose error
	}{
		{"InsertRecord", func(s *sqlstore.Store[User, *User]) error {
			return s.InsertRecord(t.Context(), record)
		}, auth.ErrRecordExists},
		{"UpdateRecord", func(s *sqlstore.Store[User, *User]) error {
			return s.UpdateRecord(t.Context(), record)
		}, auth.ErrConflict},
		{"TakeRecord", func(s *sqlstore.Store[User, *User]) error {
			_, err := s.TakeRecord(t.Context(), "race", "k")
			return err
		}, auth.ErrRecordNotFound},
		{"CreateUser", func(s *sqlstore.Store[User, *User]) error {
			_, err := s.CreateUser(t.Context(), auth.Account{Username: "bob", Email: "bob@example.com"}, nil)
			return err
		}, auth.ErrUsernameTaken},
		{"CreateUser by address", func(s *sqlstore.Store[User, *User]) error {
			_, err := s.CreateUser(t.Context(), auth.Account{Email: "eve@example.com"}, nil)
			return err
		}, auth.ErrEmailTaken},
		{"UpdateAccount", func(s *sqlstore.Store[User, *User]) error {
			return s.UpdateAccount(t.Context(), ada.Clone())
		}, auth.ErrConflict},
		{"DeleteUser", func(s *sqlstore.Store[User, *User]) error {
			return s.DeleteUser(t.Context(), "1")
		}, auth.ErrUserNotFound},
	} {
		t.Run(race.name, func(t *testing.T) {
			var racers sync.WaitGroup
			results := make(chan error, 50)
			for i := range cap(results) {
				racers.Go(func() { results <- race.run(stores[i%2]) })
			}
			racers.Wait()
			close(results)
			winners := 0
			for err := range results {
				switch {
				case err == nil:
					winners++
				case !errors.Is(err, race.lose):
					t.Error(err)
				}
			}
			if winners != 1 {
				t.Errorf("%d winners", winners)
			}
		})
	}
}

// A spy is a driver that shows what passes through it.
type spy struct {
	driver driver.Driver
	dsn    string
	before func(conn driver.Conn, query string, args []driver.NamedValue)
	after  func(query string)
}

// newSpy returns a spied-on database with the tables in it. Its functions may
// be set by then.
func newSpy(t *testing.T) (*spy, *sql.DB) {
	t.Helper()
	dsn := newFile(t)
	plain := connect(t, dsn)
	check(t, sqlstore.Migrate(t.Context(), plain, sqlstore.SQLite))
	s := &spy{driver: plain.Driver(), dsn: dsn}
	db := sql.OpenDB(s)
	t.Cleanup(func() { _ = db.Close() })
	return s, db
}

func (s *spy) Driver() driver.Driver { return s.driver }

func (s *spy) Connect(context.Context) (driver.Conn, error) {
	c, err := s.driver.Open(s.dsn)
	return spyConn{c, s}, err
}

type spyConn struct {
	driver.Conn
	spy *spy
}

func (c spyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	inner, ok := c.Conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	if c.spy.before != nil {
		c.spy.before(c.Conn, query, args)
	}
	result, err := inner.ExecContext(ctx, query, args)
	if c.spy.after != nil {
		c.spy.after(query)
	}
	return result, err
}

func (c spyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	inner, ok := c.Conn.(driver.QueryerContext)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	if c.spy.before != nil {
		c.spy.before(c.Conn, query, args)
	}
	return inner.QueryContext(ctx, query, args)
}

func (c spyConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	inner, ok := c.Conn.(driver.ConnBeginTx)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return inner.BeginTx(ctx, options)
}

// TestQueryPlans asks SQLite how it runs each statement: none may go through a
// whole table.
func TestQueryPlans(t *testing.T) {
	spy, db := newSpy(t)
	s := sqlstore.New[User](db, sqlstore.SQLite)
	populate(t, s)

	var plans []string
	spy.before = func(conn driver.Conn, query string, args []driver.NamedValue) {
		inner, ok := conn.(driver.QueryerContext)
		if !ok {
			t.Fatal("the driver cannot query")
		}
		rows, err := inner.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args)
		check(t, err)
		defer func() { _ = rows.Close() }()
		line := make([]driver.Value, len(rows.Columns()))
		for rows.Next(line) == nil {
			if detail, ok := line[3].(string); ok {
				plans = append(plans, detail)
			}
		}
	}
	for _, c := range calls(s) {
		plans = nil
		check(t, c.do(t.Context()))
		searched := false
		for _, plan := range plans {
			t.Logf("%-20s %s", c.name, plan)
			searched = searched || strings.HasPrefix(plan, "SEARCH")
			if strings.HasPrefix(plan, "SCAN") {
				t.Errorf("%s goes through a whole table: %s", c.name, plan)
			}
		}
		if inserts := c.name == "CreateUser" || c.name == "InsertRecord"; !searched && !inserts {
			t.Errorf("%s uses no index: %q", c.name, plans)
		}
	}
}
