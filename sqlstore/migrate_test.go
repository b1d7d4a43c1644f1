package sqlstore_test

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

func TestMigrateAgain(t *testing.T) { each(t, testMigrateAgain) }

func testMigrateAgain(t *testing.T, e engine) {
	db := e.newDB(t)
	populate(t, sqlstore.New[User](db, e.dialect))
	before := dump(t, e, db)
	for range 3 {
		check(t, sqlstore.Migrate(t.Context(), db, e.dialect))
		check(t, sqlstore.MigrateRecords(t.Context(), db, e.dialect))
	}
	if after := dump(t, e, db); after != before {
		t.Errorf("got\n%s\nwas\n%s", after, before)
	}
}

// TestMigrateAtOnce has several goroutines that start with a new database.
func TestMigrateAtOnce(t *testing.T) { each(t, testMigrateAtOnce) }

func testMigrateAtOnce(t *testing.T, e engine) {
	dsns := map[string]string{"as recommended": e.newDSN(t)}
	if e.dialect == sqlstore.SQLite {
		dsns["deferred"] = strings.TrimSuffix(e.newDSN(t), "&_txlock=immediate")
	}
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			var processes sync.WaitGroup
			for range 10 {
				db := e.connect(t, dsn)
				processes.Go(func() {
					if err := sqlstore.Migrate(t.Context(), db, e.dialect); err != nil {
						t.Error(err)
						return
					}
					if _, err := sqlstore.New[User](db, e.dialect).CreateUser(t.Context(), auth.Account{}, nil); err != nil {
						t.Error(err)
					}
				})
			}
			processes.Wait()
			var n int
			check(t, e.connect(t, dsn).QueryRowContext(t.Context(), `SELECT count(*) FROM auth_users`).Scan(&n))
			if n != 10 {
				t.Errorf("%d users", n)
			}
		})
	}
}

// TestMigrateProcesses is TestMigrateAtOnce with real processes.
func TestMigrateProcesses(t *testing.T) { each(t, testMigrateProcesses) }

func testMigrateProcesses(t *testing.T, e engine) {
	binary, err := os.Executable()
	check(t, err)
	dsn := e.newDSN(t)
	var processes sync.WaitGroup
	for range 10 {
		process := exec.CommandContext(t.Context(), binary, "-test.run=^TestMigrateProcess$")
		process.Env = append(os.Environ(), "SQLSTORE_MIGRATE="+e.name, "SQLSTORE_DSN="+dsn)
		processes.Go(func() {
			if output, err := process.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
	processes.Wait()
	s := sqlstore.New[User](e.connect(t, dsn), e.dialect)
	populate(t, s)
	for _, c := range calls(s) {
		check(t, c.do(t.Context()))
	}
}

func TestMigrateProcess(t *testing.T) {
	for _, e := range engines() {
		if e.name == os.Getenv("SQLSTORE_MIGRATE") {
			check(t, sqlstore.Migrate(t.Context(), e.connect(t, os.Getenv("SQLSTORE_DSN")), e.dialect))
			return
		}
	}
	t.Skip("is a process of TestMigrateProcesses")
}

func TestMigrateInMemory(t *testing.T) {
	db := inMemory(t)
	check(t, sqlstore.Migrate(t.Context(), db, sqlstore.SQLite))
	s := sqlstore.New[User](db, sqlstore.SQLite)
	populate(t, s)
	for _, c := range calls(s) {
		check(t, c.do(t.Context()))
	}
}

func TestMigrateRecords(t *testing.T) { each(t, testMigrateRecords) }

func testMigrateRecords(t *testing.T, e engine) {
	db := e.connect(t, e.newDSN(t))
	_, err := db.ExecContext(t.Context(), `CREATE TABLE auth_users (mine TEXT)`)
	check(t, err)
	check(t, sqlstore.MigrateRecords(t.Context(), db, e.dialect))
	check(t, sqlstore.NewRecords(db, e.dialect).InsertRecord(t.Context(), auth.Record{Kind: "k", Key: "k"}))

	// A table of the application is never taken for one of ours, however often
	// Migrate runs.
	for range 3 {
		wantFailure(t, "Migrate", sqlstore.Migrate(t.Context(), db, e.dialect))
	}
	_, err = db.ExecContext(t.Context(), `DROP TABLE auth_users`)
	check(t, err)
	check(t, sqlstore.Migrate(t.Context(), db, e.dialect))
	_, err = sqlstore.NewRecords(db, e.dialect).GetRecord(t.Context(), "k", "k")
	check(t, err)
}

func TestMigrateNewerDatabase(t *testing.T) { each(t, testMigrateNewerDatabase) }

func testMigrateNewerDatabase(t *testing.T, e engine) {
	db := e.newDB(t)
	_, err := db.ExecContext(t.Context(), `UPDATE auth_schema SET version = 99 WHERE part = 'records'`)
	check(t, err)
	before := dump(t, e, db)
	err = sqlstore.Migrate(t.Context(), db, e.dialect)
	if err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("got the error %v", err)
	}
	if after := dump(t, e, db); after != before {
		t.Errorf("got\n%s\nwas\n%s", after, before)
	}
}

// TestMigrateGoesOn simulates a MySQL process that died during a migration,
// before and after it created the table. The other databases have transactions.
func TestMigrateGoesOn(t *testing.T) {
	e := engine{"MariaDB", sqlstore.MySQL, "mysql", func(t *testing.T) string { return newDatabase(t, "") }}
	db := e.newDB(t)
	s := sqlstore.New[User](db, e.dialect)
	for _, left := range []string{
		`UPDATE auth_schema SET version = -1 WHERE part = 'users'`,
		`DROP TABLE auth_users`,
	} {
		_, err := db.ExecContext(t.Context(), `UPDATE auth_schema SET version = -1 WHERE part = 'users'`)
		check(t, err)
		_, err = db.ExecContext(t.Context(), left)
		check(t, err)
		check(t, sqlstore.Migrate(t.Context(), db, e.dialect))
		_, err = s.CreateUser(t.Context(), auth.Account{Username: "ada"}, nil)
		check(t, err)
		var version int
		check(t, db.QueryRowContext(t.Context(), `SELECT version FROM auth_schema WHERE part = 'users'`).Scan(&version))
		if version != 1 {
			t.Errorf("version %d", version)
		}
	}
}

// A user who may not change the schema can still check that it is up to date.
func TestMigrateReadOnly(t *testing.T) { each(t, testMigrateReadOnly) }

func testMigrateReadOnly(t *testing.T, e engine) {
	readOnly := map[sqlstore.Dialect]string{
		sqlstore.SQLite: "&_pragma=query_only(1)", sqlstore.Postgres: "&default_transaction_read_only=on", sqlstore.MySQL: "?tx_read_only=1",
	}[e.dialect]
	dsn := e.newDSN(t)
	wantFailure(t, "an empty database", sqlstore.Migrate(t.Context(), e.connect(t, dsn+readOnly), e.dialect))
	check(t, sqlstore.Migrate(t.Context(), e.connect(t, dsn), e.dialect))
	check(t, sqlstore.Migrate(t.Context(), e.connect(t, dsn+readOnly), e.dialect))
	check(t, sqlstore.MigrateRecords(t.Context(), e.connect(t, dsn+readOnly), e.dialect))
}
