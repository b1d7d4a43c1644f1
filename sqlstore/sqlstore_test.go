package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

// User is an application's user type.
type User struct {
	auth.Account
	Name     string
	Born     int               `json:"born"`
	Settings map[string]string `json:",omitempty"`
	Dirty    bool              `json:"-" sqlstore:"-"`
}

var errNoName = errors.New("what is your name?")

func (u *User) ReadForm(form url.Values) error {
	u.Name = form.Get("name")
	if u.Name == "nobody" {
		return errNoName
	}
	u.Roles = append(u.Roles, form["role"]...) // a form must not be able to do this
	return nil
}

var (
	_ auth.UserStore[*User] = (*sqlstore.Store[User, *User])(nil)
	_ auth.RecordStore      = (*sqlstore.Store[User, *User])(nil)
	_ auth.RecordStore      = (*sqlstore.Records)(nil)
)

// start is the time at which the clocks of these tests begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return start }

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

// wantFailure wants an error that says nothing about the data.
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

// A call is one of a store's methods, with arguments that fit the rows that
// populate inserts.
type call struct {
	name string
	do   func(ctx context.Context) error
}

// calls returns every method that uses the database. Those that delete come
// last.
func calls(s *sqlstore.Store[User, *User]) []call {
	ada := auth.Account{ID: "1", Username: "ada", Email: "ada@example.com", Version: 1}
	session := auth.Record{Kind: "session", Key: "a", UserID: "1", Version: 1}
	return []call{
		{"LoadUser", func(ctx context.Context) error { _, err := s.LoadUser(ctx, "1"); return err }},
		{"FindUser by name", func(ctx context.Context) error { _, err := s.FindUser(ctx, "ada"); return err }},
		{"FindUser by address", func(ctx context.Context) error { _, err := s.FindUser(ctx, "ada@example.com"); return err }},
		{"ListUsers", func(ctx context.Context) error { _, err := s.ListUsers(ctx, "0", 50); return err }},
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

func TestCallsSucceed(t *testing.T) { each(t, testCallsSucceed) }

func testCallsSucceed(t *testing.T, e engine) {
	s := sqlstore.New[User](e.newDB(t), e.dialect)
	populate(t, s)
	for _, c := range calls(s) {
		if err := c.do(t.Context()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestClosedDatabase(t *testing.T) { each(t, testClosedDatabase) }

func testClosedDatabase(t *testing.T, e engine) {
	db := e.newDB(t)
	s := sqlstore.New[User](db, e.dialect)
	populate(t, s)
	check(t, db.Close())
	for _, c := range calls(s) {
		wantFailure(t, c.name, c.do(t.Context()))
	}
	wantFailure(t, "Migrate", sqlstore.Migrate(t.Context(), db, e.dialect))
}

func TestNoTables(t *testing.T) { each(t, testNoTables) }

func testNoTables(t *testing.T, e engine) {
	s := sqlstore.New[User](e.connect(t, e.newDSN(t)), e.dialect)
	for _, c := range calls(s) {
		wantFailure(t, c.name, c.do(t.Context()))
	}
}

func TestCancelled(t *testing.T) { each(t, testCancelled) }

func testCancelled(t *testing.T, e engine) {
	db := e.newDB(t)
	s := sqlstore.New[User](db, e.dialect)
	populate(t, s)
	before := dump(t, e, db)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range calls(s) {
		if err := c.do(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	wantError(t, sqlstore.Migrate(ctx, db, e.dialect), context.Canceled)
	if after := dump(t, e, db); after != before {
		t.Errorf("a cancelled call changed the database:\n%s\nwas\n%s", after, before)
	}
}

// dump returns everything in the database as text.
func dump(t *testing.T, e engine, db *sql.DB) string {
	t.Helper()
	queries := []string{
		`SELECT id, username, version, profile FROM auth_users ORDER BY id`,
		`SELECT kind, record_key, version, expires FROM auth_records ORDER BY kind, record_key`,
		`SELECT part, version, '', '' FROM auth_schema ORDER BY part`,
	}
	if e.dialect == sqlstore.SQLite {
		queries = append(queries, `SELECT name, sql, '', '' FROM sqlite_schema ORDER BY name`)
	}
	var b strings.Builder
	for _, query := range queries {
		func() {
			rows, err := db.QueryContext(t.Context(), query)
			check(t, err)
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				var row [4]sql.NullString
				check(t, rows.Scan(&row[0], &row[1], &row[2], &row[3]))
				fmt.Fprintln(&b, row)
			}
			check(t, rows.Err())
		}()
	}
	return b.String()
}

func TestBadOptions(t *testing.T) { each(t, testBadOptions) }

func testBadOptions(t *testing.T, e engine) {
	db := e.connect(t, e.newDSN(t))
	type notByValue struct{ *auth.Account }
	for name, do := range map[string]func() (migration, method error){
		"no database": func() (error, error) {
			_, err := sqlstore.New[User](nil, e.dialect).LoadUser(t.Context(), "1")
			return sqlstore.Migrate(t.Context(), nil, e.dialect), err
		},
		"no dialect": func() (error, error) {
			_, err := sqlstore.New[User](db, "").LoadUser(t.Context(), "1")
			return sqlstore.Migrate(t.Context(), db, "access97"), err
		},
		"no clock": func() (error, error) {
			option := sqlstore.WithClock(nil)
			_, err := sqlstore.NewRecords(db, e.dialect, option).GetRecord(t.Context(), "session", "a")
			return sqlstore.Migrate(t.Context(), db, e.dialect, option), err
		},
		"an account elsewhere": func() (error, error) {
			s := sqlstore.New[notByValue](db, e.dialect)
			_, err := s.CreateUser(t.Context(), auth.Account{Username: "ada"}, nil)
			return s.UpdateProfile(t.Context(), &notByValue{&auth.Account{ID: "1"}}), err
		},
	} {
		migration, method := do()
		wantFailure(t, name, migration)
		wantFailure(t, name, method)
	}
}

func TestBadOptionsFailEveryCall(t *testing.T) { each(t, testBadOptionsFailEveryCall) }

func testBadOptionsFailEveryCall(t *testing.T, e engine) {
	s := sqlstore.New[User](e.connect(t, e.newDSN(t)), e.dialect, sqlstore.WithClock(nil))
	for _, c := range calls(s) {
		if err := c.do(t.Context()); err == nil || !strings.Contains(err.Error(), "WithClock got nil") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestTablePrefix(t *testing.T) { each(t, testTablePrefix) }

func testTablePrefix(t *testing.T, e engine) {
	db := e.connect(t, e.newDSN(t))
	for _, prefix := range []string{"", "1_", "Auth_", "a-b", "a b", "ä_", `"`, "a;", "a.b", "x\x00", "{prefix}", "?",
		"auth_users; DROP TABLE auth_users; --", strings.Repeat("a", 33)} {
		option := sqlstore.TablePrefix(prefix)
		wantFailure(t, prefix, sqlstore.Migrate(t.Context(), db, e.dialect, option))
		_, err := sqlstore.New[User](db, e.dialect, option).LoadUser(t.Context(), "1")
		wantFailure(t, prefix, err)
	}

	// Two applications can share a database.
	first, second := sqlstore.TablePrefix("x_1_"), sqlstore.TablePrefix("_"+strings.Repeat("y", 31))
	check(t, sqlstore.Migrate(t.Context(), db, e.dialect, first))
	check(t, sqlstore.Migrate(t.Context(), db, e.dialect, second))
	s := sqlstore.New[User](db, e.dialect, first)
	populate(t, s)
	for _, c := range calls(s) {
		check(t, c.do(t.Context()))
	}
	_, err := sqlstore.New[User](db, e.dialect, second).FindUser(t.Context(), "bob")
	wantError(t, err, auth.ErrUserNotFound)
}

func TestTwoHandlesSeeEachOther(t *testing.T) { each(t, testTwoHandlesSeeEachOther) }

func testTwoHandlesSeeEachOther(t *testing.T, e engine) {
	dsn := e.newDSN(t)
	a := sqlstore.New[User](e.connect(t, dsn), e.dialect)
	b := sqlstore.New[User](e.connect(t, dsn), e.dialect)
	check(t, sqlstore.Migrate(t.Context(), e.connect(t, dsn), e.dialect))
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

// TestRacers has one winner in every race. The losers learn why they lost, and
// no racer gets an error because the database was busy.
func TestRacers(t *testing.T) { eachSetting(t, testRacers) }

func testRacers(t *testing.T, e engine) {
	dsn := e.newDSN(t)
	stores := [2]*sqlstore.Store[User, *User]{}
	for i := range stores {
		stores[i] = sqlstore.New[User](e.connect(t, dsn), e.dialect)
	}
	check(t, sqlstore.Migrate(t.Context(), e.connect(t, dsn), e.dialect))
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
