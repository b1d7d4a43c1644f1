package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/go-login/auth"
	"github.com/go-login/auth/storetest"
)

// These stores are correct within one process, but other processes use the same
// server. They do something in two steps that should be one, and dawdle in
// between.

// dawdle makes a few calls that take time, so that another process can act
// meanwhile.
func dawdle(ctx context.Context, c *client) {
	for range 10 {
		if c.dawdled.Add(1) > 1000 {
			return
		}
		_, _ = c.call(ctx, request{Verb: "nothing"})
	}
}

func brokenRecordProcesses() []recordBreakage {
	insertsThen := func(s *records) {
		var mu sync.Mutex
		replace := s.replace()
		s.insert = func(ctx context.Context, r auth.Record) error {
			mu.Lock()
			defer mu.Unlock()
			if _, err := s.get(ctx, r.Kind, r.Key); err == nil {
				return auth.ErrRecordExists
			}
			dawdle(ctx, s.client)
			return replace(ctx, r)
		}
	}
	takesThen := func(s *records) {
		var mu sync.Mutex
		take := s.take
		s.take = func(ctx context.Context, kind, key string) (auth.Record, error) {
			mu.Lock()
			defer mu.Unlock()
			r, err := s.get(ctx, kind, key)
			if err == nil {
				dawdle(ctx, s.client)
				_, _ = take(ctx, kind, key)
			}
			return r, err
		}
	}
	comparesThen := func(s *records) {
		var mu sync.Mutex
		blind := s.overwrite()
		s.update = func(ctx context.Context, r auth.Record) error {
			mu.Lock()
			defer mu.Unlock()
			stored, err := s.get(ctx, r.Kind, r.Key)
			if err != nil {
				return err
			}
			if stored.Version != r.Version {
				return auth.ErrConflict
			}
			dawdle(ctx, s.client)
			return blind(ctx, r)
		}
	}
	return []recordBreakage{
		{"looks the key up, then inserts, under a lock of one process", "of 48 racers with one key, one wins", insertsThen},
		{"looks the expired record up, then replaces it, under a lock of one process", "of 48 racers over an expired record, one wins", insertsThen},
		{"gets the record, then deletes it, under a lock of one process", "of 48 racers who take a record, one wins", takesThen},
		{"reads one record, then takes whatever is there, under a lock of one process", "of 24 racers who insert and 24 who take, no record is lost or taken twice", takesThen},
		{"compares Versions under a lock of one process", "of 48 racers with one Version, one wins", comparesThen},
		{"reads and updates under a lock of one process", "lose no count of 48 racers", comparesThen},
		{"caches the records it has read", "see at once what another process has written", func(s *records) {
			var kept memory[auth.Record]
			get := s.get
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				if r, ok := kept.get(name(kind, key)); ok {
					return r, nil
				}
				r, err := get(ctx, kind, key)
				if err == nil {
					kept.put(name(kind, key), r)
				}
				return r, err
			}
			update, take := s.update, s.take
			s.update = func(ctx context.Context, r auth.Record) error {
				kept.drop(name(r.Kind, r.Key))
				return update(ctx, r)
			}
			s.take = func(ctx context.Context, kind, key string) (auth.Record, error) {
				kept.drop(name(kind, key))
				return take(ctx, kind, key)
			}
		}},
		{"caches which records it has not found", "see at once what another process has written", func(s *records) {
			var missing memory[bool]
			get, insert := s.get, s.insert
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				if missing.has(name(kind, key)) {
					return auth.Record{}, auth.ErrRecordNotFound
				}
				r, err := get(ctx, kind, key)
				if errors.Is(err, auth.ErrRecordNotFound) {
					missing.put(name(kind, key), true)
				}
				return r, err
			}
			s.insert = func(ctx context.Context, r auth.Record) error {
				missing.drop(name(r.Kind, r.Key))
				return insert(ctx, r)
			}
		}},
	}
}

func brokenUserProcesses() []userBreakage {
	// guards makes the store check a name under a lock of this process. It then
	// saves the account, whatever the server says about the name.
	guards := func(taken error, name func(a auth.Account) string) func(s *users) {
		return func(s *users) {
			var mu sync.Mutex
			create, update := s.create, s.update
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				mu.Lock()
				defer mu.Unlock()
				if _, err := s.find(ctx, key(name(a))); err == nil {
					return nil, taken
				}
				dawdle(ctx, s.client)
				u, err := create(ctx, a, form)
				if errors.Is(err, taken) {
					return elsewhere(ctx, a, form)
				}
				return u, err
			}
			s.update = func(ctx context.Context, a auth.Account) error {
				mu.Lock()
				defer mu.Unlock()
				if u, err := s.find(ctx, key(name(a))); err == nil && u.ID != a.ID {
					return taken
				}
				dawdle(ctx, s.client)
				return unless(update(ctx, a), taken)
			}
		}
	}
	username := func(a auth.Account) string { return a.Username }
	email := func(a auth.Account) string { return a.Email }
	compares := func(s *users) {
		var mu sync.Mutex
		blind := overwrite(s)
		s.update = func(ctx context.Context, a auth.Account) error {
			mu.Lock()
			defer mu.Unlock()
			u, err := s.load(ctx, a.ID)
			if err != nil {
				return err
			}
			if u.Version != a.Version {
				return auth.ErrConflict
			}
			dawdle(ctx, s.client)
			return blind(ctx, a)
		}
	}
	return []userBreakage{
		{"guards usernames with a lock of one process", "of 48 racers with one username, one wins", guards(auth.ErrUsernameTaken, username)},
		{"guards addresses with a lock of one process", "of 48 racers with one address, one wins", guards(auth.ErrEmailTaken, email)},
		{"guards usernames in UpdateAccount with a lock of one process", "of 48 racers who want one username, one wins", guards(auth.ErrUsernameTaken, username)},
		{"compares Versions under a lock of one process", "of 48 racers with one Version, one wins", compares},
		{"reads and updates under a lock of one process", "lose no count of 48 racers", compares},
		{"counts IDs up in memory", "give every account a different ID", func(s *users) {
			var mu sync.Mutex
			last := 0
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				mu.Lock()
				defer mu.Unlock()
				last++
				a.ID = fmt.Sprint(last)
				return create(ctx, a, form)
			}
		}},
		{"caches the users it has loaded", "see at once what another process has written", func(s *users) {
			var kept memory[storetest.User]
			load, update := s.load, s.update
			s.load = func(ctx context.Context, id string) (*storetest.User, error) {
				if u, ok := kept.get(id); ok {
					return &u, nil
				}
				u, err := load(ctx, id)
				if err == nil {
					kept.put(id, *u)
				}
				return u, err
			}
			s.update = func(ctx context.Context, a auth.Account) error {
				kept.drop(a.ID)
				return update(ctx, a)
			}
		}},
	}
}

// unless returns nil if err is the unminded error.
func unless(err, unminded error) error {
	if errors.Is(err, unminded) {
		return nil
	}
	return err
}
