package sqlstore_test

import (
	"database/sql"
	"net/url"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
	"github.com/go-login/auth/storetest"
	"github.com/go-sql-driver/mysql"
)

func TestUserStore(t *testing.T) { each(t, testUserStore) }

func testUserStore(t *testing.T, e engine) {
	db := e.dbs(t)
	storetest.TestUserStore(t, func(t *testing.T, clock func() time.Time) auth.UserStore[*storetest.User] {
		return sqlstore.New[storetest.User](db(t), e.dialect, sqlstore.WithClock(clock))
	})
}

func TestRecordStore(t *testing.T) { eachSetting(t, testRecordStore) }

func testRecordStore(t *testing.T, e engine) {
	db := e.dbs(t)
	storetest.TestRecordStore(t, func(t *testing.T, clock func() time.Time) auth.RecordStore {
		return sqlstore.NewRecords(db(t), e.dialect, sqlstore.WithClock(clock))
	})
}

// TestRecordStoreInMemory uses one connection, as a database in memory
// requires.
func TestRecordStoreInMemory(t *testing.T) {
	storetest.TestRecordStore(t, func(t *testing.T, clock func() time.Time) auth.RecordStore {
		db := inMemory(t)
		check(t, sqlstore.MigrateRecords(t.Context(), db, sqlstore.SQLite))
		return sqlstore.NewRecords(db, sqlstore.SQLite, sqlstore.WithClock(clock))
	})
}

func TestUserStoreProcesses(t *testing.T) { each(t, testUserStoreProcesses) }

func testUserStoreProcesses(t *testing.T, e engine) {
	storetest.TestUserStoreProcesses(t, e.newDSN, func(t *testing.T, dsn string, clock func() time.Time) auth.UserStore[*storetest.User] {
		return sqlstore.New[storetest.User](e.migrated(t, dsn), e.dialect, sqlstore.WithClock(clock))
	})
}

func TestRecordStoreProcesses(t *testing.T) { each(t, testRecordStoreProcesses) }

func testRecordStoreProcesses(t *testing.T, e engine) {
	storetest.TestRecordStoreProcesses(t, e.newDSN, func(t *testing.T, dsn string, clock func() time.Time) auth.RecordStore {
		return sqlstore.NewRecords(e.migrated(t, dsn), e.dialect, sqlstore.WithClock(clock))
	})
}

// migrated connects to a database, which may exist already.
func (e engine) migrated(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db := e.connect(t, dsn)
	check(t, sqlstore.Migrate(t.Context(), db, e.dialect))
	return db
}

func TestUserStoreCut(t *testing.T) { eachServer(t, testUserStoreCut) }

func testUserStoreCut(t *testing.T, e engine, dsn string) {
	storetest.TestUserStoreCut(t, addressOf(t, e, dsn), func(t *testing.T, address string, clock func() time.Time) auth.UserStore[*storetest.User] {
		return sqlstore.New[storetest.User](e.migrated(t, withAddress(t, e, dsn, address)), e.dialect, sqlstore.WithClock(clock))
	})
}

func TestRecordStoreCut(t *testing.T) { eachServer(t, testRecordStoreCut) }

func testRecordStoreCut(t *testing.T, e engine, dsn string) {
	storetest.TestRecordStoreCut(t, addressOf(t, e, dsn), func(t *testing.T, address string, clock func() time.Time) auth.RecordStore {
		return sqlstore.NewRecords(e.migrated(t, withAddress(t, e, dsn, address)), e.dialect, sqlstore.WithClock(clock))
	})
}

// eachServer runs a test on a database of each engine that has a server.
func eachServer(t *testing.T, test func(t *testing.T, e engine, dsn string)) {
	for _, e := range engines()[1:] {
		t.Run(e.name, func(t *testing.T) { test(t, e, e.newDSN(t)) })
	}
}

// addressOf returns the server in a DSN. withAddress returns the DSN with
// another server.
func addressOf(t *testing.T, e engine, dsn string) string {
	t.Helper()
	if e.dialect == sqlstore.MySQL {
		c, err := mysql.ParseDSN(dsn)
		check(t, err)
		return c.Addr
	}
	u, err := url.Parse(dsn)
	check(t, err)
	return u.Host
}

func withAddress(t *testing.T, e engine, dsn, address string) string {
	t.Helper()
	if e.dialect == sqlstore.MySQL {
		c, err := mysql.ParseDSN(dsn)
		check(t, err)
		c.Addr = address
		return c.FormatDSN()
	}
	u, err := url.Parse(dsn)
	check(t, err)
	u.Host = address
	return u.String()
}
