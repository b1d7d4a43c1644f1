// Package storetest checks implementations of [auth.UserStore] and
// [auth.RecordStore]. A store is right if these tests pass:
//
//	func TestUsers(t *testing.T) {
//		storetest.TestUserStore(t, func(t *testing.T, clock func() time.Time) auth.UserStore[*User] {
//			return mystore.New(emptyDatabase(t), clock)
//		})
//	}
//
// The subtests are the contract in detail, and their names are meant to be read
// (go test -v). A failure says what was done, what came of it, what was due, and
// how such a store is usually mended.
//
// # What open must do
//
// Both suites call open once for each subtest. It returns a store that is empty,
// and closes it with t.Cleanup. The store must take the time from clock, and
// from nowhere else: the suites set the clock and wait for nothing. (No two
// subtests use the same names, so a database that keeps the rows of an earlier
// one spoils nothing; but it slows the suite down, and real stores start empty.)
//
// # What a store must have room for
//
//   - usernames of 64 code points, which may be 256 bytes of UTF-8, in both their
//     forms, and addresses of 254 bytes;
//   - secrets and roles of 255 bytes;
//   - keys of 200 bytes and kinds of 50, of any bytes, NUL and invalid UTF-8
//     among them;
//   - 100 000 bytes of Data;
//   - an Expires in the year 2300.
//
// The races of the suites have 50 goroutines. Each must get an answer of the
// contract: a store that lets one fail because the database was busy must retry.
package storetest
