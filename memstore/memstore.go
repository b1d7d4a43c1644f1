// Package memstore keeps users and records in memory. It is the reference
// implementation of both store interfaces of package auth. Use it for tests,
// for trying things out, and for programs that may lose all data when they end.
//
//	type User struct {
//		auth.Account
//		Name string
//	}
//
//	store := memstore.New[User]() // an auth.UserStore[*User] and an auth.RecordStore
//
// The store keeps and returns copies of users, so that only its methods change its
// contents. A user is copied by assignment, and its [auth.Account] completely,
// including Roles. Slices, maps and pointers among the application's own fields are
// therefore shared between the store and everybody who has loaded the user: do not
// write through them. The Data of a record is not copied: see [auth.Record].
//
// A store is safe for use by many goroutines. It starts no goroutines and needs
// no closing.
package memstore

import (
	"context"
	"time"

	"github.com/go-login/auth"
)

// An Option changes a default of [New] and [NewRecords].
type Option func(*settings)

type settings struct {
	now func() time.Time
}

// WithClock sets the clock that decides whether a record has expired. The
// default is [time.Now]. The store calls now while it holds its lock, so now
// must not call the store.
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

// Diagnose implements [auth.Diagnoser]: a public site should not keep its data in memory.
func (s *Records) Diagnose(_ context.Context, public bool) ([]auth.Finding, error) {
	if !public {
		return nil, nil
	}
	return []auth.Finding{{
		Code: auth.FindingStoreInMemory, Severity: auth.SeverityWarning,
		Text: "It keeps everything in memory. All of it is gone when the process ends, and a second process does not see it.",
		Fix:  "Use package sqlstore or redisstore, or a store of your own.",
	}}, nil
}
