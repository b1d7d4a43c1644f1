package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

// records is a correct store. A test can replace each of its verbs.
type records struct {
	clock  func() time.Time
	insert func(ctx context.Context, r auth.Record) error
	get    func(ctx context.Context, kind, key string) (auth.Record, error)
	update func(ctx context.Context, r auth.Record) error
	take   func(ctx context.Context, kind, key string) (auth.Record, error)
	list   func(ctx context.Context, kind, userID string) ([]auth.Record, error)
	remove func(ctx context.Context, kind, userID string, keep ...string) error

	racing bool    // whether the subtest runs that must catch it
	client *client // of the server, if the store has one
}

func rightRecords(clock func() time.Time) *records {
	s := memstore.NewRecords(memstore.WithClock(clock))
	return &records{
		clock:  clock,
		insert: s.InsertRecord, get: s.GetRecord, update: s.UpdateRecord,
		take: s.TakeRecord, list: s.ListRecords, remove: s.DeleteRecords,
	}
}

func (s *records) InsertRecord(ctx context.Context, r auth.Record) error { return s.insert(ctx, r) }
func (s *records) UpdateRecord(ctx context.Context, r auth.Record) error { return s.update(ctx, r) }

func (s *records) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	return s.get(ctx, kind, key)
}

func (s *records) TakeRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	return s.take(ctx, kind, key)
}

func (s *records) ListRecords(ctx context.Context, kind, userID string) ([]auth.Record, error) {
	return s.list(ctx, kind, userID)
}

func (s *records) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	return s.remove(ctx, kind, userID, keep...)
}

// name returns the key under which a memory keeps a record.
func name(kind, key string) string { return fmt.Sprintf("%q %q", kind, key) }

// given changes every new record before it is stored.
func (s *records) given(change func(r *auth.Record)) {
	insert := s.insert
	s.insert = func(ctx context.Context, r auth.Record) error {
		r.Data = bytes.Clone(r.Data)
		change(&r)
		return insert(ctx, r)
	}
}

// keyed changes the key in every call. A returned record has the key that was
// asked for.
func (s *records) keyed(change func(key string) string) {
	insert, get, update, take, list := s.insert, s.get, s.update, s.take, s.list
	var names memory[string]
	s.insert = func(ctx context.Context, r auth.Record) error {
		key := r.Key
		r.Key = change(key)
		err := insert(ctx, r)
		if err == nil {
			names.put(name(r.Kind, r.Key), key)
		}
		return err
	}
	s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
		r, err := get(ctx, kind, change(key))
		r.Key = key
		return r, err
	}
	s.update = func(ctx context.Context, r auth.Record) error {
		r.Key = change(r.Key)
		return update(ctx, r)
	}
	s.take = func(ctx context.Context, kind, key string) (auth.Record, error) {
		r, err := take(ctx, kind, change(key))
		r.Key = key
		return r, err
	}
	s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
		list, err := list(ctx, kind, userID)
		for i, r := range list {
			list[i].Key, _ = names.get(name(kind, r.Key))
		}
		return list, err
	}
}

// unique refuses a record if another one has the same name after form is
// applied.
func (s *records) unique(form func(kind, key string) string) {
	var names memory[bool]
	insert := s.insert
	s.insert = func(ctx context.Context, r auth.Record) error {
		if names.has(form(r.Kind, r.Key)) {
			return auth.ErrRecordExists
		}
		err := insert(ctx, r)
		if err == nil {
			names.put(form(r.Kind, r.Key), true)
		}
		return err
	}
}

// inserted remembers every record that was inserted.
func (s *records) inserted() *memory[auth.Record] {
	var all memory[auth.Record]
	insert := s.insert
	s.insert = func(ctx context.Context, r auth.Record) error {
		err := insert(ctx, r)
		if err == nil {
			r.Data = bytes.Clone(r.Data)
			all.put(name(r.Kind, r.Key), r)
		}
		return err
	}
	return &all
}

// replace returns an InsertRecord that overwrites an existing record.
func (s *records) replace() func(ctx context.Context, r auth.Record) error {
	insert, take := s.insert, s.take
	return func(ctx context.Context, r auth.Record) error {
		for {
			if err := insert(ctx, r); !errors.Is(err, auth.ErrRecordExists) {
				return err
			}
			_, _ = take(ctx, r.Kind, r.Key)
		}
	}
}

// overwrite returns an UpdateRecord that does not compare the Version.
func (s *records) overwrite() func(ctx context.Context, r auth.Record) error {
	update := s.update
	return func(ctx context.Context, r auth.Record) error {
		for {
			stored, err := s.get(ctx, r.Kind, r.Key)
			if err != nil {
				return err
			}
			r.Version = stored.Version
			if err = update(ctx, r); !errors.Is(err, auth.ErrConflict) {
				return err
			}
		}
	}
}

// putBack makes UpdateRecord read, compare, and store the whole record. In the
// race that must catch it, the record is deleted in between.
func putBack(s *records) {
	var entered, ended sync.Once
	enter, end := make(chan struct{}), make(chan struct{})
	if !s.racing {
		entered.Do(func() { close(enter) })
		ended.Do(func() { close(end) })
	}

	update, insert, take, remove := s.update, s.insert, s.take, s.remove
	s.update = func(ctx context.Context, r auth.Record) error {
		if _, err := s.get(ctx, r.Kind, r.Key); err != nil {
			return err
		}
		entered.Do(func() { close(enter) })
		<-end
		err := update(ctx, r)
		if errors.Is(err, auth.ErrRecordNotFound) {
			r.Version++
			_ = insert(ctx, r)
			return nil
		}
		return err
	}
	s.take = func(ctx context.Context, kind, key string) (auth.Record, error) {
		<-enter
		defer ended.Do(func() { close(end) })
		return take(ctx, kind, key)
	}
	s.remove = func(ctx context.Context, kind, userID string, keep ...string) error {
		<-enter
		defer ended.Do(func() { close(end) })
		return remove(ctx, kind, userID, keep...)
	}
}

// A meeting makes two racers meet in the race that must catch a broken store.
// Elsewhere neither waits.
type meeting struct {
	racing         bool
	entered, ended chan struct{}
	first, last    sync.Once
}

func newMeeting(racing bool) *meeting {
	return &meeting{racing: racing, entered: make(chan struct{}), ended: make(chan struct{})}
}

// between is called by a racer in the middle of a call that should be one step.
// The first time, it waits there until the other racer has done its call.
func (m *meeting) between() {
	if m.racing {
		m.first.Do(func() { close(m.entered) })
		<-m.ended
	}
}

// meanwhile is called by the other racer. It runs f while the first one waits in
// between.
func (m *meeting) meanwhile(f func()) {
	if m.racing {
		<-m.entered
		defer m.last.Do(func() { close(m.ended) })
	}
	f()
}

// late makes the store's clock slow by d.
func late(d time.Duration) func(s *records) {
	return func(s *records) {
		clock := s.clock
		*s = *rightRecords(func() time.Time { return clock().Add(-d) })
	}
}

// comparing makes the store decide with expired whether a record has expired.
func comparing(expired func(expires, now time.Time) bool) func(s *records) {
	return func(s *records) {
		var kept memory[auth.Record]
		dead := func(kind, key string) bool {
			r, ok := kept.get(name(kind, key))
			return ok && !r.Expires.IsZero() && expired(r.Expires, s.clock())
		}
		live := *rightRecords(func() time.Time { return time.Time{} }) // a store in which nothing expires
		s.insert = func(ctx context.Context, r auth.Record) error {
			if dead(r.Kind, r.Key) {
				_, _ = live.take(ctx, r.Kind, r.Key)
			}
			err := live.insert(ctx, r)
			if err == nil {
				kept.put(name(r.Kind, r.Key), r)
			}
			return err
		}
		s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
			r, err := live.get(ctx, kind, key)
			if err == nil && dead(kind, key) {
				return auth.Record{}, auth.ErrRecordNotFound
			}
			return r, err
		}
		s.take = func(ctx context.Context, kind, key string) (auth.Record, error) {
			r, err := live.take(ctx, kind, key)
			if err == nil && dead(kind, key) {
				return auth.Record{}, auth.ErrRecordNotFound
			}
			return r, err
		}
		s.update = func(ctx context.Context, r auth.Record) error {
			if dead(r.Kind, r.Key) {
				return auth.ErrRecordNotFound
			}
			err := live.update(ctx, r)
			if err == nil {
				kept.put(name(r.Kind, r.Key), r)
			}
			return err
		}
		s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
			list, err := live.list(ctx, kind, userID)
			return slices.DeleteFunc(list, func(r auth.Record) bool { return dead(r.Kind, r.Key) }), err
		}
		s.remove = live.remove
	}
}

type recordBreakage struct {
	name   string
	caught string
	bend   func(s *records)
}

func brokenRecords() []recordBreakage {
	return []recordBreakage{
		{"looks the key up, then inserts", "InsertRecord/of 50 racers with one key, one wins", func(s *records) {
			window := together(s.racing)
			replace := s.replace()
			s.insert = func(ctx context.Context, r auth.Record) error {
				if _, err := s.get(ctx, r.Kind, r.Key); err == nil {
					return auth.ErrRecordExists
				}
				window()
				return replace(ctx, r)
			}
		}},
		{"deletes the expired record, then inserts", "InsertRecord/of 50 racers over an expired record, one wins", func(s *records) {
			window := together(s.racing)
			all := s.inserted()
			insert, replace := s.insert, s.replace()
			s.insert = func(ctx context.Context, r auth.Record) error {
				if old, ok := all.get(name(r.Kind, r.Key)); ok && old.Expired(s.clock()) {
					window()
					return replace(ctx, r)
				}
				return insert(ctx, r)
			}
		}},
		{"returns an error when the database is busy", "InsertRecord/of 50 racers with different keys, all win", func(s *records) {
			window := together(s.racing)
			var mu sync.Mutex
			insert := s.insert
			s.insert = func(ctx context.Context, r auth.Record) error {
				if !mu.TryLock() {
					window()
					return errors.New("database is locked")
				}
				defer mu.Unlock()
				window()
				return insert(ctx, r)
			}
		}},
		{"replaces an existing record", "InsertRecord/of a key that exists changes nothing", func(s *records) {
			s.insert = s.replace()
		}},
		{"starts every record at Version 1", "InsertRecord/keeps the Version", func(s *records) {
			s.given(func(r *auth.Record) { r.Version = 1 })
		}},
		{"keeps Versions as floats", "InsertRecord/keeps the Version", func(s *records) {
			s.given(func(r *auth.Record) { r.Version = int64(float64(r.Version)) })
		}},
		{"keeps Data as text", "InsertRecord/keeps every byte of Data", func(s *records) {
			s.given(func(r *auth.Record) { r.Data = bytes.ToValidUTF8(r.Data, []byte("\ufffd")) })
		}},
		{"cuts Data at 65 535 bytes", "InsertRecord/keeps 100 000 bytes of Data", func(s *records) {
			s.given(func(r *auth.Record) { r.Data = r.Data[:min(len(r.Data), 65_535)] })
		}},
		{"keeps Expires in seconds", "InsertRecord/keeps Expires to the microsecond, in any time zone", func(s *records) {
			s.given(func(r *auth.Record) { r.Expires = r.Expires.Truncate(time.Second) })
		}},
		{"forgets the zone of Expires", "InsertRecord/keeps Expires to the microsecond, in any time zone", func(s *records) {
			s.given(func(r *auth.Record) {
				_, offset := r.Expires.Zone()
				r.Expires = r.Expires.Add(time.Duration(offset) * time.Second)
			})
		}},
		{"keeps Expires in nanoseconds", "InsertRecord/keeps an Expires that is far off", func(s *records) {
			s.given(func(r *auth.Record) {
				if !r.Expires.IsZero() {
					r.Expires = time.Unix(0, r.Expires.UnixNano())
				}
			})
		}},
		{"stores a zero Expires as the Unix epoch", "Expires/zero means never, even in the year 9999", func(s *records) {
			s.given(func(r *auth.Record) {
				if r.Expires.IsZero() {
					r.Expires = time.Unix(0, 0)
				}
			})
		}},
		{"stores a zero Expires as a time in 100 years", "InsertRecord/keeps a zero Expires", func(s *records) {
			s.given(func(r *auth.Record) {
				if r.Expires.IsZero() {
					r.Expires = s.clock().AddDate(100, 0, 0)
				}
			})
		}},
		{"treats the Unix epoch as never", "Expires/the Unix epoch is a time like any other", func(s *records) {
			s.given(func(r *auth.Record) {
				if r.Expires.UnixMicro() == 0 {
					r.Expires = time.Time{}
				}
			})
		}},
		{"lets records live at the instant of Expires", "Expires/at the instant, GetRecord finds nothing", late(time.Nanosecond)},
		{"lets records expire a microsecond early", "Expires/a microsecond before, the record is there for every verb", late(-time.Microsecond)},
		{"uses the machine's clock", "Expires/at the instant, TakeRecord finds nothing", func(s *records) {
			*s = *rightRecords(time.Now)
		}},
		{"lists expired records", "Expires/at the instant, ListRecords leaves it out", func(s *records) {
			all := s.inserted()
			list := s.list
			s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
				found, err := list(ctx, kind, userID)
				for _, r := range all.all() {
					if r.Kind == kind && r.UserID == userID && r.Expired(s.clock()) {
						found = append(found, r)
					}
				}
				return found, err
			}
		}},
		{"updates expired records", "Expires/at the instant, UpdateRecord finds nothing and revives nothing", func(s *records) {
			all := s.inserted()
			update := s.update
			s.update = func(ctx context.Context, r auth.Record) error {
				err := update(ctx, r)
				if old, ok := all.get(name(r.Kind, r.Key)); ok && errors.Is(err, auth.ErrRecordNotFound) && old.Expired(s.clock()) {
					return s.insert(ctx, r)
				}
				return err
			}
		}},
		{"refuses to insert over an expired record", "Expires/at the instant, InsertRecord takes its place", func(s *records) {
			s.unique(name)
		}},
		{"keeps the old Expires", "Expires/UpdateRecord brings it forward", func(s *records) {
			update := s.update
			s.update = func(ctx context.Context, r auth.Record) error {
				if old, err := s.get(ctx, r.Kind, r.Key); err == nil {
					r.Expires = old.Expires
				}
				return update(ctx, r)
			}
		}},
		{"never brings Expires forward", "Expires/UpdateRecord brings it forward", func(s *records) {
			update := s.update
			s.update = func(ctx context.Context, r auth.Record) error {
				if old, err := s.get(ctx, r.Kind, r.Key); err == nil && r.Expires.Before(old.Expires) {
					r.Expires = old.Expires
				}
				return update(ctx, r)
			}
		}},
		{"returns the database's error for an unknown key", "GetRecord/of an unknown key", func(s *records) {
			get := s.get
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				r, err := get(ctx, kind, key)
				if errors.Is(err, auth.ErrRecordNotFound) {
					err = errors.New("sql: no rows in result set")
				}
				return r, err
			}
		}},
		{"updates without comparing the Version", "UpdateRecord/with a stale Version changes nothing", func(s *records) {
			s.update = s.overwrite()
		}},
		{"reads and compares the Version, then updates", "UpdateRecord/of 50 racers with one Version, one wins", func(s *records) {
			window := together(s.racing)
			blind := s.overwrite()
			s.update = func(ctx context.Context, r auth.Record) error {
				stored, err := s.get(ctx, r.Kind, r.Key)
				if err != nil {
					return err
				}
				if stored.Version != r.Version {
					return auth.ErrConflict
				}
				window()
				return blind(ctx, r)
			}
		}},
		{"does not increment the Version", "UpdateRecord/replaces Data and Expires and counts the Version up", func(s *records) {
			var updates memory[int64]
			get, update := s.get, s.update
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				r, err := get(ctx, kind, key)
				n, _ := updates.get(name(kind, key))
				r.Version -= n
				return r, err
			}
			s.update = func(ctx context.Context, r auth.Record) error {
				n, _ := updates.get(name(r.Kind, r.Key))
				r.Version += n
				err := update(ctx, r)
				if err == nil {
					updates.put(name(r.Kind, r.Key), n+1)
				}
				return err
			}
		}},
		{"does not update a record that stays the same", "UpdateRecord/of the same contents counts the Version up", func(s *records) {
			update := s.update
			s.update = func(ctx context.Context, r auth.Record) error {
				old, err := s.get(ctx, r.Kind, r.Key)
				if err == nil && bytes.Equal(old.Data, r.Data) && old.Expires.Equal(r.Expires) && old.Version == r.Version {
					return nil
				}
				return update(ctx, r)
			}
		}},
		{"inserts a record that it cannot find", "UpdateRecord/of a record that is gone creates nothing", func(s *records) {
			update := s.update
			s.update = func(ctx context.Context, r auth.Record) error {
				err := update(ctx, r)
				if errors.Is(err, auth.ErrRecordNotFound) {
					return s.insert(ctx, r)
				}
				return err
			}
		}},
		{"brings back a taken record", "UpdateRecord/racing TakeRecord never brings the record back", putBack},
		{"brings back a deleted record", "UpdateRecord/racing DeleteRecords never brings the record back", putBack},
		{"changes the UserID", "UpdateRecord/never changes the UserID", func(s *records) {
			update := s.update
			s.update = func(ctx context.Context, r auth.Record) error {
				err := update(ctx, r)
				if err == nil {
					_, _ = s.take(ctx, r.Kind, r.Key)
					r.Version++
					return s.insert(ctx, r)
				}
				return err
			}
		}},
		{"gets the record, then deletes it", "TakeRecord/of 50 racers, one wins", func(s *records) {
			window := together(s.racing)
			take := s.take
			s.take = func(ctx context.Context, kind, key string) (auth.Record, error) {
				r, err := s.get(ctx, kind, key)
				if err != nil {
					return r, err
				}
				window()
				_, _ = take(ctx, kind, key)
				return r, nil
			}
		}},
		{"returns a taken record without its Data", "TakeRecord/returns the record and deletes it", func(s *records) {
			take := s.take
			s.take = func(ctx context.Context, kind, key string) (auth.Record, error) {
				r, err := take(ctx, kind, key)
				r.Data = nil
				return r, err
			}
		}},
		{"returns an empty list for the empty user", "ListRecords/of an empty user is an error", func(s *records) {
			list := s.list
			s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
				if userID == "" {
					return nil, nil
				}
				return list(ctx, kind, userID)
			}
		}},
		{"lists everybody's records for the empty user", "ListRecords/of an empty user is an error", func(s *records) {
			all := s.inserted()
			list := s.list
			s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
				if userID == "" {
					return all.all(), nil
				}
				return list(ctx, kind, userID)
			}
		}},
		{"lists keys without Data", "ListRecords/returns the user's records of the kind, whole", func(s *records) {
			list := s.list
			s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
				found, err := list(ctx, kind, userID)
				for i := range found {
					found[i].Data = nil
				}
				return found, err
			}
		}},
		{"lists only the first 100 records", "ListRecords/returns all of 150 records", func(s *records) {
			list := s.list
			s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
				found, err := list(ctx, kind, userID)
				return found[:min(len(found), 100)], err
			}
		}},
		{"returns an error for an unknown user", "ListRecords/of an unknown user is empty", func(s *records) {
			list := s.list
			s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
				found, err := list(ctx, kind, userID)
				if err == nil && len(found) == 0 {
					err = auth.ErrUserNotFound
				}
				return found, err
			}
		}},
		{"ignores keep", "DeleteRecords/leaves the keys to keep", func(s *records) {
			remove := s.remove
			s.remove = func(ctx context.Context, kind, userID string, _ ...string) error {
				return remove(ctx, kind, userID)
			}
		}},
		{"leaves only one of the keys to keep", "DeleteRecords/leaves the keys to keep", func(s *records) {
			remove := s.remove
			s.remove = func(ctx context.Context, kind, userID string, keep ...string) error {
				return remove(ctx, kind, userID, keep[:min(len(keep), 1)]...)
			}
		}},
		{"deletes everybody's records for the empty user", "DeleteRecords/of an empty user is an error and deletes nothing", func(s *records) {
			all := s.inserted()
			remove := s.remove
			s.remove = func(ctx context.Context, kind, userID string, keep ...string) error {
				if userID != "" {
					return remove(ctx, kind, userID, keep...)
				}
				for _, r := range all.all() {
					_, _ = s.take(ctx, r.Kind, r.Key)
				}
				return nil
			}
		}},
		{"deletes the user's records of every kind", "DeleteRecords/deletes the user's records of the kind", func(s *records) {
			all := s.inserted()
			remove := s.remove
			s.remove = func(ctx context.Context, kind, userID string, keep ...string) error {
				for _, r := range all.all() {
					if r.UserID == userID && r.Kind != kind {
						_, _ = s.take(ctx, r.Kind, r.Key)
					}
				}
				return remove(ctx, kind, userID, keep...)
			}
		}},
		{"folds the case of keys", "Keys/tell apart letter case", func(s *records) { s.keyed(strings.ToLower) }},
		{"trims keys", "Keys/tell apart spaces", func(s *records) {
			s.keyed(func(key string) string { return strings.TrimRight(key, " ") })
		}},
		{"ends keys at a NUL", "Keys/tell apart NUL bytes", func(s *records) {
			s.keyed(func(key string) string {
				key, _, _ = strings.Cut(key, "\x00")
				return key
			})
		}},
		{"replaces invalid UTF-8 in keys", "Keys/tell apart invalid UTF-8", func(s *records) {
			s.keyed(func(key string) string { return strings.ToValidUTF8(key, "\ufffd") })
		}},
		{"ignores accents in keys", "Keys/tell apart accents", func(s *records) {
			s.keyed(strings.NewReplacer("é", "e", "è", "e", "e\u0301", "e").Replace)
		}},
		{"cuts keys at 191 bytes", "Keys/tell apart 200 bytes", func(s *records) {
			s.keyed(func(key string) string { return key[:min(len(key), 191)] })
		}},
		{"folds the case of kinds", "Kinds/tell apart letter case", func(s *records) {
			s.unique(func(kind, key string) string { return strings.ToLower(kind) + "\x00" + key })
		}},
		{"joins kind and key to one name", "Kinds/are kept apart from keys", func(s *records) {
			s.unique(func(kind, key string) string { return kind + ":" + key })
		}},
		{"folds the case of user IDs", "UserIDs/tell apart letter case", func(s *records) {
			all := s.inserted()
			list := s.list
			s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
				found, err := list(ctx, kind, userID)
				for _, r := range all.all() {
					if r.UserID != userID && r.Kind == kind && strings.EqualFold(r.UserID, userID) {
						found = append(found, r)
					}
				}
				return found, err
			}
		}},
		{"does not check the kind in GetRecord", "Invalid/GetRecord with an empty argument", func(s *records) {
			get := s.get
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				if kind == "" || key == "" {
					return auth.Record{}, auth.ErrRecordNotFound
				}
				return get(ctx, kind, key)
			}
		}},
		{"inserts records without a key", "Invalid/InsertRecord with an empty argument", func(s *records) {
			s.given(func(r *auth.Record) {
				if r.Key == "" {
					r.Key = "none"
				}
			})
		}},
		{"writes to the Data that it has returned", "Copies/what GetRecord and ListRecords returned stays as it is", func(s *records) {
			var returned memory[[]byte]
			get, update := s.get, s.update
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				r, err := get(ctx, kind, key)
				r.Data = bytes.Clone(r.Data)
				returned.put(name(kind, key), r.Data)
				return r, err
			}
			s.update = func(ctx context.Context, r auth.Record) error {
				err := update(ctx, r)
				if data, ok := returned.get(name(r.Kind, r.Key)); ok && err == nil && r.Key == "key" {
					copy(data, r.Data)
				}
				return err
			}
		}},
		{"inserts with a cancelled context", "Context/cancelled or expired, InsertRecord of a new key does nothing", func(s *records) {
			insert := s.insert
			s.insert = func(ctx context.Context, r auth.Record) error { return insert(context.WithoutCancel(ctx), r) }
		}},
		{"takes the record, then returns the context's error", "Context/cancelled or expired, TakeRecord does nothing", func(s *records) {
			take := s.take
			s.take = func(ctx context.Context, kind, key string) (auth.Record, error) {
				r, err := take(context.WithoutCancel(ctx), kind, key)
				return r, errors.Join(err, ctx.Err())
			}
		}},
		{"deletes with a cancelled context", "Context/cancelled or expired, DeleteRecords does nothing", func(s *records) {
			remove := s.remove
			s.remove = func(ctx context.Context, kind, userID string, keep ...string) error {
				return remove(context.WithoutCancel(ctx), kind, userID, slices.Clone(keep)...)
			}
		}},
		{"reports an unknown key if the context is cancelled", "Context/cancelled or expired, GetRecord of an unknown key does nothing", func(s *records) {
			get := s.get
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				if ctx.Err() != nil {
					return auth.Record{}, auth.ErrRecordNotFound
				}
				return get(ctx, kind, key)
			}
		}},
		{"reads one record, then takes whatever is there", "Races/of InsertRecord, GetRecord, UpdateRecord, TakeRecord and ListRecords on one key, no record ends twice", func(s *records) {
			window := together(s.racing)
			take := s.take
			s.take = func(ctx context.Context, kind, key string) (auth.Record, error) {
				r, err := s.get(ctx, kind, key)
				if err != nil {
					return r, err
				}
				window()
				_, _ = take(ctx, kind, key)
				return r, nil
			}
		}},
		{"deletes the list of a user after the records", "Races/of InsertRecord and DeleteRecords, GetRecord and ListRecords agree", func(s *records) {
			var lost memory[bool]
			m := newMeeting(s.racing)
			insert, list, remove := s.insert, s.list, s.remove
			s.insert = func(ctx context.Context, r auth.Record) (err error) {
				if r.UserID == "another" || strings.Contains(r.Key, "-1") { // before the race
					return insert(ctx, r)
				}
				m.meanwhile(func() {
					err = insert(ctx, r)
					lost.put(name(r.Kind, r.Key), s.racing)
				})
				return err
			}
			s.remove = func(ctx context.Context, kind, userID string, keep ...string) error {
				err := remove(ctx, kind, userID, keep...)
				m.between()
				return err
			}
			s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
				found, err := list(ctx, kind, userID)
				return slices.DeleteFunc(found, func(r auth.Record) bool {
					gone, _ := lost.get(name(r.Kind, r.Key))
					return gone
				}), err
			}
		}},
		{"returns an error from DeleteRecords when the database is busy", "Races/of 50 DeleteRecords, all succeed", func(s *records) {
			window := together(s.racing)
			var mu sync.Mutex
			remove := s.remove
			s.remove = func(ctx context.Context, kind, userID string, keep ...string) error {
				if !mu.TryLock() {
					window()
					return errors.New("deadlock found when trying to get lock; try restarting transaction")
				}
				defer mu.Unlock()
				window()
				return remove(ctx, kind, userID, keep...)
			}
		}},
		{"updates by deleting and inserting the record", "Races/of UpdateRecord and 49 readers, the record is always there, whole, and never older than before", func(s *records) {
			m := newMeeting(s.racing)
			get, update, insert, take := s.get, s.update, s.insert, s.take
			s.update = func(ctx context.Context, r auth.Record) error {
				if err := update(ctx, r); err != nil {
					return err
				}
				r, err := take(ctx, r.Kind, r.Key)
				if err != nil {
					return err
				}
				m.between()
				return insert(ctx, r)
			}
			s.get = func(ctx context.Context, kind, key string) (r auth.Record, err error) {
				m.meanwhile(func() { r, err = get(ctx, kind, key) })
				return r, err
			}
		}},
		{"reads every second time from a replica that lags behind", "Races/of UpdateRecord and 49 readers, the record is always there, whole, and never older than before", func(s *records) {
			var reads atomic.Int64
			var old memory[auth.Record]
			get, update := s.get, s.update
			s.update = func(ctx context.Context, r auth.Record) error {
				before, _ := get(ctx, r.Kind, r.Key)
				err := update(ctx, r)
				if err == nil {
					old.put(name(r.Kind, r.Key), before)
				}
				return err
			}
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				if r, ok := old.get(name(kind, key)); ok && reads.Add(1)%2 == 0 {
					r.Data = bytes.Clone(r.Data)
					return r, nil
				}
				return get(ctx, kind, key)
			}
		}},
		{"compares times as texts", "Expires/at a whole second, and at one with a fraction, is exact to the microsecond", comparing(func(expires, now time.Time) bool {
			return expires.UTC().Format(time.RFC3339Nano) <= now.UTC().Format(time.RFC3339Nano)
		})},
		{"compares local times without their zone", "Expires/in any time zone, of the record or of the clock, is the same instant", comparing(func(expires, now time.Time) bool {
			const face = "2006-01-02 15:04:05.000000"
			return expires.Format(face) <= now.Format(face)
		})},
		{"also asks the machine's clock", "Clock/far behind the machine's clock, records expire by the given clock", comparing(func(expires, now time.Time) bool {
			return !now.Before(expires) || !time.Now().Before(expires)
		})},
		{"asks the clock only once", "Clock/set forward by a century, every record that can expire is gone", func(s *records) {
			now := s.clock()
			*s = *rightRecords(func() time.Time { return now })
		}},
		{"hides a record that GetRecord found expired, but only in GetRecord", "Clock/set back, an expired record is there for every verb or for none", func(s *records) {
			var buried memory[bool]
			all := s.inserted()
			get := s.get
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				r, err := get(ctx, kind, key)
				if old, ok := all.get(name(kind, key)); ok && errors.Is(err, auth.ErrRecordNotFound) && old.Expired(s.clock()) {
					buried.put(name(kind, key), true)
				}
				if err == nil && buried.has(name(kind, key)) {
					return auth.Record{}, auth.ErrRecordNotFound
				}
				return r, err
			}
		}},
		{"keeps the expired record beneath the new one", "Clock/set back, the record that replaced an expired one stays", func(s *records) {
			var beneath memory[auth.Record]
			all := s.inserted()
			insert, get := s.insert, s.get
			s.insert = func(ctx context.Context, r auth.Record) error {
				old, ok := all.get(name(r.Kind, r.Key))
				err := insert(ctx, r)
				if err == nil && ok && old.Expired(s.clock()) {
					beneath.put(name(r.Kind, r.Key), old)
				}
				return err
			}
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				if old, ok := beneath.get(name(kind, key)); ok && !old.Expired(s.clock()) {
					return old, nil
				}
				return get(ctx, kind, key)
			}
		}},
		{"ignores a write whose clock is earlier", "Clock/set back, earlier and later writes both stay", func(s *records) {
			var written memory[time.Time]
			update := s.update
			s.update = func(ctx context.Context, r auth.Record) error {
				now := s.clock()
				if at, ok := written.get(name(r.Kind, r.Key)); ok && now.Before(at) {
					return nil
				}
				written.put(name(r.Kind, r.Key), now)
				return update(ctx, r)
			}
		}},
		{"treats a blank kind as empty", "Kinds/may be one blank, or one NUL", func(s *records) {
			insert := s.insert
			s.insert = func(ctx context.Context, r auth.Record) error {
				if strings.TrimSpace(r.Kind) == "" {
					return auth.ErrInvalidRecord
				}
				return insert(ctx, r)
			}
		}},
		{"cuts keys at 65 535 bytes", "Huge/keys of 1 MB are kept whole or refused", func(s *records) {
			s.keyed(func(key string) string { return key[:min(len(key), 65_535)] })
		}},
		{"cuts kinds at 65 535 bytes", "Huge/kinds of 1 MB are kept whole or refused", func(s *records) {
			s.unique(func(kind, key string) string { return name(kind[:min(len(kind), 65_535)], key) })
		}},
		{"cuts user IDs at 65 535 bytes", "Huge/user IDs of 1 MB are kept whole or refused", func(s *records) {
			s.given(func(r *auth.Record) { r.UserID = r.UserID[:min(len(r.UserID), 65_535)] })
		}},
		{"refuses long keys, but finds the record whose key they begin with", "Huge/keys of 1 MB are kept whole or refused", func(s *records) {
			insert, get := s.insert, s.get
			s.insert = func(ctx context.Context, r auth.Record) error {
				if len(r.Key) > 255 {
					return errors.New("data too long for column")
				}
				return insert(ctx, r)
			}
			s.get = func(ctx context.Context, kind, key string) (auth.Record, error) {
				return get(ctx, kind, key[:min(len(key), 50)])
			}
		}},
		{"stops for cancelled contexts, but not for expired ones", "Context/cancelled or expired, UpdateRecord does nothing", func(s *records) {
			update := s.update
			s.update = func(ctx context.Context, r auth.Record) error {
				if errors.Is(ctx.Err(), context.Canceled) {
					return ctx.Err()
				}
				return update(context.WithoutCancel(ctx), r)
			}
		}},
		{"returns an error that hides the context's", "Context/cancelled or expired, ListRecords does nothing", func(s *records) {
			list := s.list
			s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
				found, err := list(ctx, kind, userID)
				if err != nil && ctx.Err() != nil {
					err = errors.New("the list is not available")
				}
				return found, err
			}
		}},
		{"retries after the context has ended", "Context/ended during the call, InsertRecord of a new key has happened or has not", func(s *records) {
			insert := s.insert
			s.insert = func(ctx context.Context, r auth.Record) error {
				err := insert(ctx, r)
				if err == nil && ctx.Err() != nil {
					return insert(context.WithoutCancel(ctx), r)
				}
				return err
			}
		}},
		{"lists a record before it is inserted", "Context/ended during the call, InsertRecord of a new key has happened or has not", func(s *records) {
			var listed memory[auth.Record]
			insert, list := s.insert, s.list
			s.insert = func(ctx context.Context, r auth.Record) error {
				if ctx.Err() == nil {
					listed.put(name(r.Kind, r.Key), r)
				}
				err := insert(ctx, r)
				if err == nil {
					listed.drop(name(r.Kind, r.Key))
				}
				return err
			}
			s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
				found, err := list(ctx, kind, userID)
				for _, r := range listed.all() {
					if r.Kind == kind && r.UserID == userID && err == nil {
						found = append(found, r)
					}
				}
				return found, err
			}
		}},
		{"saves Data first, then Expires", "Context/ended during the call, UpdateRecord has happened or has not", func(s *records) {
			update := s.update
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
				if err := ctx.Err(); err != nil {
					return err
				}
				_, err = s.take(context.WithoutCancel(ctx), r.Kind, r.Key)
				r.Expires, r.UserID, r.Version = expires, old.UserID, r.Version+1
				return errors.Join(err, s.insert(context.WithoutCancel(ctx), r))
			}
		}},
		{"returns no error when the context has ended", "Context/ended during the call, TakeRecord has happened or has not", func(s *records) {
			take := s.take
			s.take = func(ctx context.Context, kind, key string) (auth.Record, error) {
				r, err := take(ctx, kind, key)
				if err == nil && ctx.Err() != nil {
					return auth.Record{}, nil
				}
				return r, err
			}
		}},
		{"deletes records first, then the list of them", "Context/ended during the call, DeleteRecords has happened or has not", func(s *records) {
			var listed memory[auth.Record]
			list, remove := s.list, s.remove
			s.remove = func(ctx context.Context, kind, userID string, keep ...string) error {
				before, err := list(ctx, kind, userID)
				if err != nil {
					return err
				}
				for _, r := range before {
					if !slices.Contains(keep, r.Key) {
						listed.put(name(r.Kind, r.Key), r)
					}
				}
				if err := remove(ctx, kind, userID, keep...); err != nil {
					return err
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				for _, r := range before {
					listed.drop(name(r.Kind, r.Key))
				}
				return nil
			}
			s.list = func(ctx context.Context, kind, userID string) ([]auth.Record, error) {
				found, err := list(ctx, kind, userID)
				for _, r := range listed.all() {
					if _, getErr := s.get(ctx, r.Kind, r.Key); getErr != nil && r.Kind == kind && r.UserID == userID && err == nil {
						found = append(found, r)
					}
				}
				return found, err
			}
		}},
	}
}
