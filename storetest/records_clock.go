package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// clocks tests clocks that jump. The contract asks for little: all verbs agree
// on whether a record is there, and no write is undone. An expired record may
// have been removed before the clock was set back.
func (s recordSuite) clocks(t *testing.T) {
	s.run(t, "set forward by a century, every record that can expire is gone", func(t *recordTest) {
		get, update, take, insert, never := t.record("get"), t.record("update"), t.record("take"), t.record("insert"), t.record("never")
		never.Expires = time.Time{}
		t.insert(get, update, take, insert, never)
		t.clock.Set(t.clock.Now().AddDate(100, 0, 0))
		const did = "after the clock was set forward by a century"
		const mend = "read the clock passed to open in every verb, at every call"
		t.gone(did, get, mend)
		fails(t.TB, did+": UpdateRecord", t.store.UpdateRecord(t.Context(), update), auth.ErrRecordNotFound, mend)
		_, err := t.store.TakeRecord(t.Context(), take.Kind, take.Key)
		fails(t.TB, did+": TakeRecord", err, auth.ErrRecordNotFound, mend)
		insert.Expires = t.clock.Now().Add(time.Hour)
		works(t.TB, did+": InsertRecord over an expired record", t.store.InsertRecord(t.Context(), insert))
		t.lists(did, "user", mend, insert, never)
	})
	s.run(t, "set back, an expired record is there for every verb or for none", func(t *recordTest) {
		start := t.clock.Now()
		for _, met := range []struct {
			name string
			call func(r auth.Record) error
		}{
			{"nobody", func(auth.Record) error { return auth.ErrRecordNotFound }},
			{"GetRecord", func(r auth.Record) error { _, err := t.store.GetRecord(t.Context(), r.Kind, r.Key); return err }},
			{"UpdateRecord", func(r auth.Record) error { return t.store.UpdateRecord(t.Context(), r) }},
			{"TakeRecord", func(r auth.Record) error { _, err := t.store.TakeRecord(t.Context(), r.Kind, r.Key); return err }},
			{"ListRecords", func(r auth.Record) error {
				t.lists("at the instant of Expires", r.UserID, "expired records are in no list")
				return auth.ErrRecordNotFound
			}},
			{"DeleteRecords of another user", func(auth.Record) error {
				works(t.TB, "DeleteRecords", t.store.DeleteRecords(t.Context(), t.kind, "another"))
				return auth.ErrRecordNotFound
			}},
			{"InsertRecord of another key", func(r auth.Record) error {
				t.insert(t.owned(r.Key+" of another", "another"))
				return auth.ErrRecordNotFound
			}},
		} {
			t.clock.Set(start)
			r := t.owned("key that is met by "+met.name, "user of "+met.name)
			t.insert(r)
			t.clock.Set(r.Expires)
			fails(t.TB, met.name+" at the instant of Expires", met.call(r), auth.ErrRecordNotFound, "a record that has expired is not there")
			t.clock.Set(r.Expires.Add(-time.Minute))
			t.agrees(fmt.Sprintf("a minute before Expires again, after %s met the expired record", met.name), r)
		}
	})
	s.run(t, "set back, the record that replaced an expired one stays", func(t *recordTest) {
		start := t.clock.Now()
		old := t.record("key")
		t.insert(old)
		t.clock.Set(old.Expires)
		next := t.owned("key", "another")
		next.Data, next.Version = []byte("next"), 3
		t.insert(next)
		t.clock.Set(start)
		const after = "after the clock was set back to before the Expires of a record that another has replaced"
		const mend = "let InsertRecord replace the expired record: its old row, or an old version of the row, must never be returned again"
		t.holds(after, next, mend)
		t.lists(after, "user", mend)
		t.lists(after, "another", mend, next)
		fails(t.TB, after+": InsertRecord", t.store.InsertRecord(t.Context(), old), auth.ErrRecordExists, mend)
		works(t.TB, "DeleteRecords of the user of the old record", t.store.DeleteRecords(t.Context(), t.kind, "user"))
		got, err := t.store.TakeRecord(t.Context(), next.Kind, next.Key)
		works(t.TB, after+": TakeRecord", err)
		t.same(after+": TakeRecord", got, next, mend)
		t.gone(after+", and TakeRecord", old, mend)
	})
	s.run(t, "set back, earlier and later writes both stay", func(t *recordTest) {
		start := t.clock.Now()
		const mend = "let the later call win, whatever time the clock shows: order writes by the Version, not by a timestamp"
		updated, taken, deleted := t.record("updated"), t.record("taken"), t.owned("deleted", "another")
		t.insert(updated, taken, deleted)
		t.clock.Set(start.Add(30 * time.Minute))
		updated = t.update(updated, "half an hour later")
		_, err := t.store.TakeRecord(t.Context(), taken.Kind, taken.Key)
		works(t.TB, "TakeRecord", err)
		works(t.TB, "DeleteRecords", t.store.DeleteRecords(t.Context(), t.kind, "another"))
		t.clock.Set(start.AddDate(-1, 0, 0))
		const after = "after the clock was set back by a year"
		t.holds(after, updated, mend)
		t.gone(after, taken, mend)
		t.gone(after, deleted, mend)
		updated = t.update(updated, "a year earlier")
		t.holds(after+", and UpdateRecord", updated, mend)
		fails(t.TB, after+": InsertRecord of a key that exists", t.store.InsertRecord(t.Context(), updated), auth.ErrRecordExists, mend)
		t.insert(taken, deleted)
		t.holds(after+", and InsertRecord of a key that was taken", taken, mend)
		t.holds(after+", and InsertRecord of a key that was deleted", deleted, mend)
		_, err = t.store.TakeRecord(t.Context(), updated.Kind, updated.Key)
		works(t.TB, after+": TakeRecord", err)
		t.gone(after+", and TakeRecord", updated, mend)
	})
	s.run(t, "far behind the machine's clock, records expire by the given clock", func(t *recordTest) {
		for _, now := range []time.Time{time.Date(2001, time.September, 9, 1, 46, 40, 0, time.UTC), time.Unix(1, 0)} {
			t.clock.Set(now)
			after := "on the " + now.UTC().Format(time.DateOnly)
			const mend = "take the time from the clock passed to open, also when cleaning up expired records; if a server removes keys by itself, tell it how long to keep them, not until when"
			user := "user of " + now.String()
			a, b := t.owned("a "+user, user), t.owned("b "+user, user)
			t.insert(a, b)
			t.holds(after, a, mend)
			t.lists(after, user, mend, a, b)
			a = t.update(a, "new")
			t.holds(after+", updated", a, mend)
			_, err := t.store.TakeRecord(t.Context(), b.Kind, b.Key)
			works(t.TB, after+": TakeRecord", err)
			t.clock.Set(a.Expires)
			t.gone(after+", at the instant of Expires", a, mend)
		}
	})
}

// agrees checks that all verbs agree on whether a record is there, whole, or
// not at all. Afterwards the record is gone.
func (t *recordTest) agrees(when string, r auth.Record) {
	t.Helper()
	const mend = "use the same condition on the same row in every verb; if a verb removes an expired record, let it remove every part of it"
	_, err := t.store.GetRecord(t.Context(), r.Kind, r.Key)
	if errors.Is(err, auth.ErrRecordNotFound) {
		when += ", where GetRecord does not find the record"
		t.lists(when, r.UserID, mend)
		fails(t.TB, when+": UpdateRecord", t.store.UpdateRecord(t.Context(), r), auth.ErrRecordNotFound, mend)
		_, err = t.store.TakeRecord(t.Context(), r.Kind, r.Key)
		fails(t.TB, when+": TakeRecord", err, auth.ErrRecordNotFound, mend)
		if err := t.store.InsertRecord(t.Context(), r); err != nil {
			fail(t.TB, when+": InsertRecord", err, "no error", mend)
		}
		return
	}
	works(t.TB, when+": GetRecord", err)
	when += ", where GetRecord finds the record"
	t.stands(when, r, true, mend)
	fails(t.TB, when+": InsertRecord", t.store.InsertRecord(t.Context(), r), auth.ErrRecordExists, mend)
	if err := t.store.UpdateRecord(t.Context(), r); err != nil {
		fail(t.TB, when+": UpdateRecord", err, "no error", mend)
		return
	}
	r.Version++
	t.stands(when+", and UpdateRecord changes it", r, true, mend)
	if _, err := t.store.TakeRecord(t.Context(), r.Kind, r.Key); err != nil {
		fail(t.TB, when+": TakeRecord", err, "no error", mend)
	}
	t.gone(when+", and TakeRecord takes it", r, mend)
}
