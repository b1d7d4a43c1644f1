package storetest_test

import (
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/storetest"
)

// A correct store passes.

func TestMemstoreUsers(t *testing.T) {
	storetest.TestUserStore(t, func(_ *testing.T, clock func() time.Time) auth.UserStore[*storetest.User] {
		return memstore.New[storetest.User](memstore.WithClock(clock))
	})
}

func TestMemstoreRecords(t *testing.T) {
	storetest.TestRecordStore(t, func(_ *testing.T, clock func() time.Time) auth.RecordStore {
		return memstore.New[storetest.User](memstore.WithClock(clock))
	})
}

func TestMemstoreRecordsAlone(t *testing.T) {
	storetest.TestRecordStore(t, func(_ *testing.T, clock func() time.Time) auth.RecordStore {
		return memstore.NewRecords(memstore.WithClock(clock))
	})
}

// A correct store also passes if it still holds the data of earlier subtests,
// and its clock stands still at the time of the first one.
func TestSharedMemstore(t *testing.T) {
	store := memstore.New[plainUser]()
	storetest.TestUserStore(t, func(*testing.T, func() time.Time) auth.UserStore[*plainUser] { return store })
}

// plainUser is a user type that does not implement FormReader.
type plainUser struct{ auth.Account }
