package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/go-login/auth"
)

// races tests races between different verbs. Races of a verb with itself are in
// the verb's own tests.
func (s recordSuite) races(t *testing.T) {
	s.run(t, "of InsertRecord, GetRecord, UpdateRecord, TakeRecord and ListRecords on one key, no record ends twice", func(t *recordTest) {
		again(t.TB, func(round int) { t.lives(fmt.Sprint("key ", round)) })
	})
	s.run(t, "of InsertRecord and DeleteRecords, GetRecord and ListRecords agree", func(t *recordTest) {
		again(t.TB, func(round int) {
			user := fmt.Sprint("user ", round)
			record := func(i int) auth.Record { return t.owned(fmt.Sprintf("key %d %d", round, i), user) }
			kept, foreign := record(-1), t.owned(fmt.Sprint("foreign ", round), "another")
			t.insert(kept, foreign)
			errs := race(t.Context(), racers, func(ctx context.Context, i int) error {
				if i%2 == 0 {
					return t.store.InsertRecord(ctx, record(i))
				}
				return t.store.DeleteRecords(ctx, t.kind, user, kept.Key)
			})
			want := []auth.Record{kept}
			for i, err := range errs {
				works(t.TB, fmt.Sprint("InsertRecord of a key of its own, or DeleteRecords, by racer ", i), err)
				if r := record(i); i%2 == 0 && t.there(r) {
					want = append(want, r)
				}
			}
			const after = "after InsertRecord raced DeleteRecords of the same user"
			const mend = "write and delete the index of the lists together with the record: DeleteRecords never finds a record that is in no list"
			t.lists(after, user, mend, want...)
			t.holds(after, kept, mend)
			t.holds(after, foreign, mend)
		})
	})
	s.run(t, "of 50 DeleteRecords, all succeed", func(t *recordTest) {
		again(t.TB, func(round int) {
			user := fmt.Sprint("user ", round)
			var all []auth.Record
			for i := range 10 {
				all = append(all, t.owned(fmt.Sprintf("key %d %d", round, i), user))
			}
			kept := all[0]
			t.insert(all...)
			for i, err := range race(t.Context(), racers, func(ctx context.Context, _ int) error {
				return t.store.DeleteRecords(ctx, t.kind, user, kept.Key)
			}) {
				if err != nil {
					fail(t.TB, fmt.Sprintf("DeleteRecords of one user by 50 racers: racer %d", i), err, "no error",
						"finding nothing to delete is not an error; if the database was busy or saw a deadlock, retry inside the store")
					return
				}
			}
			t.lists("after the race", user, "delete all of the user's records except those to keep", kept)
		})
	})
	s.run(t, "of UpdateRecord and 49 readers, the record is always there, whole, and never older than before", func(t *recordTest) {
		again(t.TB, func(round int) { t.read(fmt.Sprint("key ", round)) })
	})
}

// dated sets the Version, and the Data that belongs to it.
func dated(r auth.Record, version int64) auth.Record {
	r.Version = version
	r.Data = fmt.Append(nil, "data of the Version ", version)
	return r
}

// lives races every verb that inserts, changes or takes a record. Each insert has a
// Version of its own. Each Version ends exactly once: by an update or by being
// taken.
func (t *recordTest) lives(key string) {
	t.Helper()
	first := dated(t.record(key), 1)
	t.insert(first)

	var mu sync.Mutex
	began, ended := map[int64]int{first.Version: 1}, map[int64]int{}
	var seen []auth.Record
	note := func(f func()) {
		mu.Lock()
		defer mu.Unlock()
		f()
	}
	verbs := []func(ctx context.Context, i int) error{
		func(ctx context.Context, _ int) error {
			r, err := t.store.TakeRecord(ctx, t.kind, key)
			if err == nil {
				note(func() { ended[r.Version]++; seen = append(seen, r) })
			}
			return unless(err, auth.ErrRecordNotFound)
		},
		func(ctx context.Context, i int) error {
			r := dated(first, int64(i+1)<<20)
			err := t.store.InsertRecord(ctx, r)
			if err == nil {
				note(func() { began[r.Version]++ })
			}
			return unless(err, auth.ErrRecordExists)
		},
		func(ctx context.Context, _ int) error {
			r, err := t.store.GetRecord(ctx, t.kind, key)
			if err != nil {
				return unless(err, auth.ErrRecordNotFound)
			}
			note(func() { seen = append(seen, r) })
			next := dated(r, r.Version+1)
			next.Version = r.Version
			err = t.store.UpdateRecord(ctx, next)
			if err == nil {
				note(func() { ended[r.Version]++; began[r.Version+1]++ })
			}
			return unless(unless(err, auth.ErrConflict), auth.ErrRecordNotFound)
		},
		func(ctx context.Context, _ int) error {
			list, err := t.store.ListRecords(ctx, t.kind, first.UserID)
			note(func() {
				for _, r := range list {
					if r.Key == key {
						seen = append(seen, r)
					}
				}
			})
			return err
		},
	}
	for _, err := range race(t.Context(), racers, func(ctx context.Context, i int) error {
		for j := range 2 {
			if err := verbs[(i+j)%len(verbs)](ctx, i+j*racers); err != nil {
				return err
			}
		}
		return nil
	}) {
		works(t.TB, "InsertRecord, GetRecord, UpdateRecord, TakeRecord and ListRecords of one key by 50 racers (ErrRecordExists, ErrRecordNotFound and ErrConflict are expected)", err)
	}

	const did = "InsertRecord, UpdateRecord and TakeRecord of one key by 50 racers"
	const mend = "let TakeRecord delete exactly the record it returns, and UpdateRecord replace exactly the Version it was given: each in one statement, or under one lock"
	for version, n := range ended {
		if n != 1 || began[version] != 1 {
			fail(t.TB, did, fmt.Sprintf("the Version %d of the record was inserted or made by an update %d times, and taken or updated %d times", version, began[version], n), "once each", mend)
			return
		}
	}
	for _, r := range seen {
		if began[r.Version] != 1 {
			fail(t.TB, did, fmt.Sprintf("a racer read the Version %d of the record, which no racer has written", r.Version), "a Version written by an InsertRecord or UpdateRecord that returned nil", mend)
			return
		}
		t.same(did+": a record that a racer read", r, dated(first, r.Version), "write Data and Version together, and read them together")
	}
	var left []auth.Record
	for version := range began {
		if ended[version] == 0 {
			left = append(left, dated(first, version))
		}
	}
	switch after := "after " + did; len(left) {
	case 0:
		t.gone(after, first, mend)
	case 1:
		t.holds(after, left[0], mend)
	default:
		fail(t.TB, did, fmt.Sprintf("%d records of this key were inserted and not taken", len(left)), "at most one", "keep an inserted record until it is taken; "+mend)
	}
}

// read checks what 49 racers read while one racer changes a record.
func (t *recordTest) read(key string) {
	t.Helper()
	const updates, reads = 10, 2
	first := dated(t.record(key), 1)
	t.insert(first)
	const did = "reading a record while it is updated"
	for i, err := range race(t.Context(), racers, func(ctx context.Context, i int) error {
		if i == 0 {
			for version := range int64(updates) {
				r := dated(first, version+2)
				r.Version = version + 1
				if err := t.store.UpdateRecord(ctx, r); err != nil {
					return fmt.Errorf("UpdateRecord by the only racer that updates: %w", err)
				}
			}
			return nil
		}
		last := int64(0)
		for range reads {
			got, err := t.store.GetRecord(ctx, t.kind, key)
			if err != nil {
				return fmt.Errorf("GetRecord: %w", err)
			}
			list, err := t.store.ListRecords(ctx, t.kind, first.UserID)
			if err != nil {
				return fmt.Errorf("ListRecords: %w", err)
			}
			var listed []auth.Record
			for _, r := range list {
				if r.Key == key {
					listed = append(listed, r)
				}
			}
			if len(listed) != 1 {
				return fmt.Errorf("ListRecords returned the record %d times", len(listed))
			}
			for _, r := range []auth.Record{got, listed[0]} {
				switch {
				case !bytes.Equal(r.Data, dated(first, r.Version).Data):
					return fmt.Errorf("read the Version %d with the Data %q of another Version", r.Version, r.Data)
				case r.Version < last:
					return fmt.Errorf("read the Version %d after the Version %d", r.Version, last)
				}
				last = r.Version
			}
		}
		return nil
	}) {
		if err != nil {
			fail(t.TB, fmt.Sprintf("%s: racer %d", did, i), err, "the record once, as one of the updates left it, and never an older one than read before",
				"change the record in place, in one statement; read from the same server that is written to, and not from a cache or replica")
			t.FailNow()
		}
	}
	t.holds("after "+did, dated(first, updates+1), "keep every update that returned nil")
}

// unless returns nil if err is the expected error.
func unless(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
