package sqlstore_test

import (
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
	"github.com/go-login/auth/storetest"
)

func TestUserStore(t *testing.T) {
	storetest.TestUserStore(t, func(t *testing.T, clock func() time.Time) auth.UserStore[*storetest.User] {
		return sqlstore.New[storetest.User](newDB(t), sqlstore.SQLite, sqlstore.WithClock(clock))
	})
}

func TestRecordStore(t *testing.T) {
	storetest.TestRecordStore(t, func(t *testing.T, clock func() time.Time) auth.RecordStore {
		return sqlstore.NewRecords(newDB(t), sqlstore.SQLite, sqlstore.WithClock(clock))
	})
}

// TestRecordStoreInMemory has one connection, as a database in memory must.
func TestRecordStoreInMemory(t *testing.T) {
	storetest.TestRecordStore(t, func(t *testing.T, clock func() time.Time) auth.RecordStore {
		db := connect(t, "file::memory:")
		db.SetMaxOpenConns(1)
		check(t, sqlstore.MigrateRecords(t.Context(), db, sqlstore.SQLite))
		return sqlstore.NewRecords(db, sqlstore.SQLite, sqlstore.WithClock(clock))
	})
}
