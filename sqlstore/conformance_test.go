package sqlstore_test

import (
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
	"github.com/go-login/auth/storetest"
)

func TestUserStore(t *testing.T) { each(t, testUserStore) }

func testUserStore(t *testing.T, e engine) {
	storetest.TestUserStore(t, func(t *testing.T, clock func() time.Time) auth.UserStore[*storetest.User] {
		return sqlstore.New[storetest.User](e.newDB(t), e.dialect, sqlstore.WithClock(clock))
	})
}

func TestRecordStore(t *testing.T) { eachSetting(t, testRecordStore) }

func testRecordStore(t *testing.T, e engine) {
	storetest.TestRecordStore(t, func(t *testing.T, clock func() time.Time) auth.RecordStore {
		return sqlstore.NewRecords(e.newDB(t), e.dialect, sqlstore.WithClock(clock))
	})
}

// TestRecordStoreInMemory has one connection, as a database in memory must.
func TestRecordStoreInMemory(t *testing.T) {
	storetest.TestRecordStore(t, func(t *testing.T, clock func() time.Time) auth.RecordStore {
		db := inMemory(t)
		check(t, sqlstore.MigrateRecords(t.Context(), db, sqlstore.SQLite))
		return sqlstore.NewRecords(db, sqlstore.SQLite, sqlstore.WithClock(clock))
	})
}
