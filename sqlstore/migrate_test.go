package sqlstore_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

func TestMigrateAgain(t *testing.T) {
	db := newDB(t)
	populate(t, sqlstore.New[User](db, sqlstore.SQLite))
	before := dump(t, db)
	for range 3 {
		check(t, sqlstore.Migrate(t.Context(), db, sqlstore.SQLite))
		check(t, sqlstore.MigrateRecords(t.Context(), db, sqlstore.SQLite))
	}
	if after := dump(t, db); after != before {
		t.Errorf("got\n%s\nwas\n%s", after, before)
	}
}

// TestMigrateAtOnce is several processes that start with a new database.
func TestMigrateAtOnce(t *testing.T) {
	for name, dsn := range map[string]string{
		"wal":      newFile(t),
		"rollback": strings.Replace(newFile(t), "journal_mode(WAL)", "journal_mode(DELETE)", 1),
		"deferred": strings.TrimSuffix(newFile(t), "&_txlock=immediate"),
	} {
		t.Run(name, func(t *testing.T) {
			var processes sync.WaitGroup
			for range 10 {
				db := connect(t, dsn)
				processes.Go(func() {
					if err := sqlstore.Migrate(t.Context(), db, sqlstore.SQLite); err != nil {
						t.Error(err)
						return
					}
					if _, err := sqlstore.New[User](db, sqlstore.SQLite).CreateUser(t.Context(), auth.Account{}, nil); err != nil {
						t.Error(err)
					}
				})
			}
			processes.Wait()
			var n int
			check(t, connect(t, dsn).QueryRowContext(t.Context(), `SELECT count(*) FROM auth_users`).Scan(&n))
			if n != 10 {
				t.Errorf("%d users", n)
			}
		})
	}
}

func TestMigrateInMemory(t *testing.T) {
	db := connect(t, "file::memory:")
	db.SetMaxOpenConns(1)
	check(t, sqlstore.Migrate(t.Context(), db, sqlstore.SQLite))
	s := sqlstore.New[User](db, sqlstore.SQLite)
	populate(t, s)
	for _, c := range calls(s) {
		check(t, c.do(t.Context()))
	}
}

func TestMigrateRecords(t *testing.T) {
	db := connect(t, newFile(t))
	_, err := db.ExecContext(t.Context(), `CREATE TABLE auth_users (mine TEXT)`)
	check(t, err)
	check(t, sqlstore.MigrateRecords(t.Context(), db, sqlstore.SQLite))
	check(t, sqlstore.NewRecords(db, sqlstore.SQLite).InsertRecord(t.Context(), auth.Record{Kind: "k", Key: "k"}))

	// A table of the application's own is not taken for one of ours.
	wantFailure(t, "Migrate", sqlstore.Migrate(t.Context(), db, sqlstore.SQLite))
	_, err = db.ExecContext(t.Context(), `DROP TABLE auth_users`)
	check(t, err)
	check(t, sqlstore.Migrate(t.Context(), db, sqlstore.SQLite))
	_, err = sqlstore.NewRecords(db, sqlstore.SQLite).GetRecord(t.Context(), "k", "k")
	check(t, err)
}

func TestMigrateNewerDatabase(t *testing.T) {
	db := newDB(t)
	_, err := db.ExecContext(t.Context(), `UPDATE auth_schema SET version = 99 WHERE part = 'records'`)
	check(t, err)
	before := dump(t, db)
	err = sqlstore.Migrate(t.Context(), db, sqlstore.SQLite)
	if err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("got the error %v", err)
	}
	if after := dump(t, db); after != before {
		t.Errorf("got\n%s\nwas\n%s", after, before)
	}
}
