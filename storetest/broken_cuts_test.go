package storetest_test

import (
	"context"
	"errors"
	"net/url"

	"github.com/go-login/auth"
	"github.com/go-login/auth/storetest"
)

// These stores are correct as long as no connection is cut.

// lost reports whether the server has not answered.
func lost(err error) bool {
	return err != nil && !errors.As(err, new(answered))
}

// twice makes a call again if there was no answer.
func twice(do func() error) error {
	err := do()
	if lost(err) {
		return do()
	}
	return err
}

func brokenRecordCuts() []recordBreakage {
	return []recordBreakage{
		{"inserts again if the connection is lost", "InsertRecord of a new key", func(s *records) {
			insert := s.insert
			s.insert = func(ctx context.Context, r auth.Record) error {
				return twice(func() error { return insert(ctx, r) })
			}
		}},
		{"inserts over an expired record again if the connection is lost", "InsertRecord over an expired record", func(s *records) {
			insert := s.insert
			s.insert = func(ctx context.Context, r auth.Record) error {
				return twice(func() error { return insert(ctx, r) })
			}
		}},
		{"updates again if the connection is lost", "UpdateRecord", func(s *records) {
			update := s.update
			s.update = func(ctx context.Context, r auth.Record) error {
				return twice(func() error { return update(ctx, r) })
			}
		}},
		{"takes again if the connection is lost", "TakeRecord", func(s *records) {
			take := s.take
			s.take = func(ctx context.Context, kind, key string) (auth.Record, error) {
				var r auth.Record
				err := twice(func() (err error) {
					r, err = take(ctx, kind, key)
					return err
				})
				return r, err
			}
		}},
		{"reports a successful insert if the connection is lost", "InsertRecord of a key that exists", func(s *records) {
			insert := s.insert
			s.insert = func(ctx context.Context, r auth.Record) error {
				err := insert(ctx, r)
				if lost(err) {
					return nil
				}
				return err
			}
		}},
		{"reports an unknown key if the connection is lost", "GetRecord", func(s *records) {
			get := s.get
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				r, err := get(ctx, kind, key)
				if lost(err) {
					err = auth.ErrRecordNotFound
				}
				return r, err
			}
		}},
		{"returns an empty record if the connection is lost", "GetRecord of an unknown key", func(s *records) {
			get := s.get
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				r, err := get(ctx, kind, key)
				if lost(err) {
					err = nil
				}
				return r, err
			}
		}},
		{"reports a successful update if the connection is lost", "UpdateRecord with a stale Version", func(s *records) {
			update := s.update
			s.update = func(ctx context.Context, r auth.Record) error {
				err := update(ctx, r)
				if lost(err) {
					return nil
				}
				return err
			}
		}},
		{"reports a conflict if the connection is lost", "UpdateRecord", func(s *records) {
			update := s.update
			s.update = func(ctx context.Context, r auth.Record) error {
				err := update(ctx, r)
				if lost(err) {
					err = auth.ErrConflict
				}
				return err
			}
		}},
		{"returns an incomplete list if the connection is lost", "ListRecords", func(s *records) {
			s.list = func(ctx context.Context, kind, userID string) (list []auth.Record, err error) {
				lines, err := s.client.call(ctx, request{Verb: "ListRecords", Record: auth.Record{Kind: kind, UserID: userID}})
				for _, line := range lines {
					if line.More {
						list = append(list, line.Record)
					}
				}
				if len(list) > 0 {
					return list, nil
				}
				return nil, err
			}
		}},
		{"saves Data first, then Expires", "UpdateRecord", func(s *records) {
			update, insert := s.update, s.insert
			s.update = func(ctx context.Context, r auth.Record) error {
				old, err := s.get(ctx, r.Kind, r.Key)
				if err != nil {
					return err
				}
				expires := r.Expires
				r.Expires = old.Expires
				if err := update(ctx, r); err != nil {
					return err
				}
				if _, err = s.take(ctx, r.Kind, r.Key); err != nil {
					return err
				}
				r.Expires, r.UserID, r.Version = expires, old.UserID, r.Version+1
				return insert(ctx, r)
			}
		}},
		{"inserts the key first, then Data", "InsertRecord of a new key", func(s *records) {
			insert := s.insert
			s.insert = func(ctx context.Context, r auth.Record) error {
				data := r.Data
				r.Data = nil
				r.Version--
				if err := insert(ctx, r); err != nil {
					return err
				}
				r.Data = data
				return s.update(ctx, r)
			}
		}},
		{"deletes the records to keep, then inserts them again", "DeleteRecords", func(s *records) {
			remove := s.remove
			s.remove = func(ctx context.Context, kind, userID string, keep ...string) error {
				var kept []auth.Record
				for _, key := range keep {
					if r, err := s.get(ctx, kind, key); err == nil && r.UserID == userID {
						kept = append(kept, r)
					}
				}
				if err := remove(ctx, kind, userID); err != nil {
					return err
				}
				for _, r := range kept {
					if err := s.insert(ctx, r); err != nil {
						return err
					}
				}
				return nil
			}
		}},
		{"never opens a second connection", "GetRecord", func(s *records) { s.client.once = true }},
	}
}

func brokenUserCuts() []userBreakage {
	return []userBreakage{
		{"creates the user again if the connection is lost", "CreateUser", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				var u *storetest.User
				err := twice(func() (err error) {
					u, err = create(ctx, a, form)
					return err
				})
				return u, err
			}
		}},
		{"looks the name up after a failure, and finds its own new user", "CreateUser", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				u, err := create(ctx, a, form)
				if err != nil {
					if _, findErr := s.find(ctx, key(a.Username)); findErr == nil {
						return nil, auth.ErrUsernameTaken
					}
				}
				return u, err
			}
		}},
		{"creates the account first, then adds the address", "CreateUser", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				if a.Username == "" || a.Email == "" {
					return create(ctx, a, form)
				}
				if _, err := s.find(ctx, key(a.Email)); err == nil {
					return nil, auth.ErrEmailTaken
				}
				bare := a
				bare.Email = ""
				bare.Version--
				u, err := create(ctx, bare, form)
				if err != nil {
					return nil, err
				}
				a.ID = u.ID
				a.Version--
				if err := s.update(ctx, a); err != nil {
					return nil, err
				}
				return s.load(ctx, a.ID)
			}
		}},
		{"updates again if the connection is lost", "UpdateAccount", func(s *users) {
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				return twice(func() error { return update(ctx, a) })
			}
		}},
		{"saves the names first, then the rest", "UpdateAccount", func(s *users) {
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				u, err := s.load(ctx, a.ID)
				if err != nil {
					return err
				}
				renamed := u.Account
				if u.Version != a.Version {
					return auth.ErrConflict
				}
				renamed.Username = a.Username
				if err := update(ctx, renamed); err != nil {
					return err
				}
				a.Version++
				return update(ctx, a)
			}
		}},
		{"deletes again if the connection is lost", "DeleteUser", func(s *users) {
			remove := s.remove
			s.remove = func(ctx context.Context, id string) error {
				return twice(func() error { return remove(ctx, id) })
			}
		}},
		{"reports an unknown user if the connection is lost", "LoadUser", func(s *users) {
			load := s.load
			s.load = func(ctx context.Context, id string) (*storetest.User, error) {
				u, err := load(ctx, id)
				if lost(err) {
					err = auth.ErrUserNotFound
				}
				return u, err
			}
		}},
		{"returns an empty user if the connection is lost", "FindUser of an unknown key", func(s *users) {
			load, find := s.load, s.find
			s.load = func(ctx context.Context, id string) (*storetest.User, error) {
				u, err := load(ctx, id)
				if lost(err) {
					return &storetest.User{}, nil
				}
				return u, err
			}
			s.find = func(ctx context.Context, key string) (*storetest.User, error) {
				u, err := find(ctx, key)
				if lost(err) {
					return &storetest.User{}, nil
				}
				return u, err
			}
		}},
		{"reports a successful update if the connection is lost", "UpdateAccount with a stale Version", func(s *users) {
			update := s.update
			s.update = func(ctx context.Context, a auth.Account) error {
				err := update(ctx, a)
				if lost(err) {
					return nil
				}
				return err
			}
		}},
		{"reports a successful CreateUser if the connection is lost", "CreateUser of a username that is taken", func(s *users) {
			create := s.create
			s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
				u, err := create(ctx, a, form)
				if lost(err) {
					return elsewhere(ctx, a, form)
				}
				return u, err
			}
		}},
		{"never opens a second connection", "FindUser", func(s *users) { s.client.once = true }},
	}
}
