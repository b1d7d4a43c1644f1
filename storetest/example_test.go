package storetest_test

import (
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/storetest"
)

// In the tests of your store, this is the body of
//
//	func TestUsers(t *testing.T)
//
// If your store keeps users of one type only, put that type in place of
// *storetest.User.
func ExampleTestUserStore() {
	_ = func(t *testing.T) {
		storetest.TestUserStore(t, func(t *testing.T, clock func() time.Time) auth.UserStore[*storetest.User] {
			return memstore.New[storetest.User](memstore.WithClock(clock)) // your store, empty
		})
	}
}

// In the tests of your store, this is the body of
//
//	func TestRecords(t *testing.T)
func ExampleTestRecordStore() {
	_ = func(t *testing.T) {
		storetest.TestRecordStore(t, func(t *testing.T, clock func() time.Time) auth.RecordStore {
			return memstore.NewRecords(memstore.WithClock(clock)) // your store, empty
		})
	}
}
