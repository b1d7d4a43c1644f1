// Package memstore keeps users and records in memory. It is the reference of
// both interfaces of package auth: for tests, for trying things out, and for a
// program that may forget everything when it ends.
//
//	type User struct {
//		auth.Account
//		Name string
//	}
//
//	store := memstore.New[User]() // an auth.UserStore[*User] and an auth.RecordStore
//
// What goes in is copied and what comes out is a copy, so that nothing changes
// in the store but through its methods. A user is copied as an assignment
// copies it, and its [auth.Account] wholly: slices, maps and pointers among the
// application's own fields are shared between the store and everybody who has
// loaded the user, and must not be written through. The Data of a record is
// copied.
//
// A store is safe for use by many goroutines. It has none of its own and needs
// no closing.
package memstore

import "time"

// An Option changes what [New] and [NewRecords] make.
type Option func(*settings)

type settings struct {
	now func() time.Time
}

// WithClock makes the store ask now for the time, by which records expire. The
// default is [time.Now]. The store calls it while it holds its lock: it must
// not call the store.
func WithClock(now func() time.Time) Option {
	return func(s *settings) { s.now = now }
}

func newSettings(options []Option) settings {
	s := settings{now: time.Now}
	for _, option := range options {
		option(&s)
	}
	return s
}
