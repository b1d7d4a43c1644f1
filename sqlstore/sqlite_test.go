package sqlstore_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-login/auth/sqlstore"
)

func openSQLite(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	return engine{driver: "sqlite", dialect: sqlstore.SQLite}.connect(t, dsn)
}

// TestMigrateSettings opens SQLite databases with settings under which requests
// that write at once fail. The error must contain the right DSN.
func TestMigrateSettings(t *testing.T) {
	for name, dsn := range map[string]string{
		"no parameters":      "",
		"no busy_timeout":    "?_pragma=journal_mode(WAL)&_txlock=immediate",
		"a short one":        "?_pragma=busy_timeout(999)&_pragma=journal_mode(WAL)",
		"no log":             "?_pragma=busy_timeout(10000)&_txlock=immediate",
		"a rollback journal": "?_pragma=busy_timeout(10000)&_pragma=journal_mode(DELETE)",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.ToSlash(filepath.Join(t.TempDir(), "app.db"))
			for _, migrate := range []func(db *sql.DB) error{
				func(db *sql.DB) error { return sqlstore.Migrate(t.Context(), db, sqlstore.SQLite) },
				func(db *sql.DB) error { return sqlstore.MigrateRecords(t.Context(), db, sqlstore.SQLite) },
			} {
				err := migrate(openSQLite(t, "file:"+file+dsn))
				wantFailure(t, name, err)
				if err != nil && !strings.Contains(err.Error(), "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate") {
					t.Errorf("the error does not have the DSN: %v", err)
				}
			}
			// Nothing was created, and Migrate succeeds with the right DSN.
			check(t, sqlstore.Migrate(t.Context(), openSQLite(t, "file:"+file+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"), sqlstore.SQLite))
			// With the tables there, the wrong DSN is still refused.
			if strings.Contains(dsn, "WAL)") || dsn == "" {
				wantFailure(t, name, sqlstore.Migrate(t.Context(), openSQLite(t, "file:"+file+dsn), sqlstore.SQLite))
			}
		})
	}
}

// TestMigrateSettingsOfOneConnection uses a PRAGMA statement instead of the
// DSN.
func TestMigrateSettingsOfOneConnection(t *testing.T) {
	db := openSQLite(t, "file:"+filepath.ToSlash(filepath.Join(t.TempDir(), "app.db")))
	for _, statement := range []string{`PRAGMA journal_mode = WAL`, `PRAGMA busy_timeout = 10000`} {
		_, err := db.ExecContext(t.Context(), statement)
		check(t, err)
	}
	wantFailure(t, "a connection of two", sqlstore.Migrate(t.Context(), db, sqlstore.SQLite))
}

func TestMigrateSettingsInMemory(t *testing.T) {
	for _, dsn := range []string{":memory:", "file::memory:", "file:app?mode=memory", "file:app?mode=memory&cache=shared", ""} {
		db := openSQLite(t, dsn)
		err := sqlstore.Migrate(t.Context(), db, sqlstore.SQLite)
		if err == nil || !strings.Contains(err.Error(), "SetMaxOpenConns(1)") {
			t.Errorf("%q: got the error %v", dsn, err)
		}
		db.SetMaxOpenConns(1)
		check(t, sqlstore.Migrate(t.Context(), db, sqlstore.SQLite))
	}
}

// TestMigrateInASmallPool runs migrations that must not wait for each other's
// connections.
func TestMigrateInASmallPool(t *testing.T) { each(t, testMigrateInASmallPool) }

func testMigrateInASmallPool(t *testing.T, e engine) {
	for size := 1; size <= 3; size++ {
		db := e.connect(t, e.newDSN(t))
		db.SetMaxOpenConns(size)
		db.SetMaxIdleConns(size)
		var migrations sync.WaitGroup
		for range 5 {
			migrations.Go(func() {
				if err := sqlstore.Migrate(t.Context(), db, e.dialect); err != nil {
					t.Error(err)
				}
			})
		}
		migrations.Wait()
		if n := db.Stats().InUse; n != 0 {
			t.Errorf("%d connections were not given back", n)
		}
	}
}
