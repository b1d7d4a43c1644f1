package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

func (s recordSuite) updateRecord(t *testing.T) {
	const compare = "compare and write in one statement: UPDATE … SET version = version + 1 WHERE kind = ? AND key = ? AND version = ?, and check that one row changed"

	s.run(t, "replaces Data and Expires and counts the Version up", func(t *recordTest) {
		r := t.record("key")
		other := t.record("other")
		t.insert(r, other)
		for i, data := range []string{"longer than it was before", "", "\x00\xff"} {
			r.Data, r.Expires = []byte(data), r.Expires.Add(time.Duration(i+1)*time.Minute+time.Microsecond)
			works(t.TB, "UpdateRecord with the stored Version", t.store.UpdateRecord(t.Context(), r))
			r.Version++
			t.holds("after UpdateRecord", r, "save Data and Expires as given, and the Version plus one")
		}
		t.lists("after UpdateRecord", "user", "change this record only, and leave its UserID alone", r, other)
		t.holds("after UpdateRecord of another key", other, "an update changes one record")
	})
	s.run(t, "counts any Version up", func(t *recordTest) {
		for _, version := range []int64{0, -1, -2, 1 << 53, math.MinInt64, math.MaxInt64 - 1} {
			r := t.record(fmt.Sprint("version ", version))
			r.Version = version
			t.insert(r)
			t.holds("after UpdateRecord", t.update(r, "new"), "store the Version as a signed integer of 64 bits")
		}
	})
	s.run(t, "of the same contents counts the Version up", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		works(t.TB, "UpdateRecord with the Data and Expires that are stored", t.store.UpdateRecord(t.Context(), r))
		r.Version++
		t.holds("after UpdateRecord", r, "increment the Version even if nothing else changes (MySQL counts only changed rows, unless clientFoundRows is set)")
	})
	s.run(t, "with a stale Version changes nothing", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		now := t.update(r, "now")
		stale := r
		stale.Data, stale.Expires = []byte("stale"), time.Time{}
		for _, version := range []int64{r.Version, now.Version + 1, 0, -now.Version} {
			stale.Version = version
			fails(t.TB, fmt.Sprintf("UpdateRecord with the Version %d, while %d is stored", version, now.Version),
				t.store.UpdateRecord(t.Context(), stale), auth.ErrConflict, compare)
			t.holds("after a refused UpdateRecord", now, compare)
		}
	})
	s.run(t, "of a record that is gone creates nothing", func(t *recordTest) {
		const mend = "use UPDATE and check that one row changed; with INSERT OR REPLACE, or SET, a deleted record would come back"
		r := t.record("never there")
		fails(t.TB, "UpdateRecord of a record that never was", t.store.UpdateRecord(t.Context(), r), auth.ErrRecordNotFound, mend)
		t.gone("after UpdateRecord of a record that never was", r, mend)

		r = t.record("taken")
		t.insert(r)
		_, err := t.store.TakeRecord(t.Context(), r.Kind, r.Key)
		works(t.TB, "TakeRecord", err)
		fails(t.TB, "UpdateRecord of a record that was taken", t.store.UpdateRecord(t.Context(), r), auth.ErrRecordNotFound, mend)
		t.gone("after UpdateRecord of a record that was taken", r, mend)

		r = t.record("deleted")
		t.insert(r)
		works(t.TB, "DeleteRecords", t.store.DeleteRecords(t.Context(), r.Kind, r.UserID))
		fails(t.TB, "UpdateRecord of a record that was deleted", t.store.UpdateRecord(t.Context(), r), auth.ErrRecordNotFound, mend)
		t.gone("after UpdateRecord of a record that was deleted", r, mend)
	})
	s.run(t, "of a key of another kind changes nothing", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		other := r
		other.Kind += "-other"
		fails(t.TB, "UpdateRecord in another kind", t.store.UpdateRecord(t.Context(), other), auth.ErrRecordNotFound, "a record is identified by its kind and its key together")
		t.holds("after UpdateRecord in another kind", r, "a record is identified by its kind and its key together")
	})
	s.run(t, "never changes the UserID", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		moved := r
		moved.UserID = "thief"
		moved.Data = []byte("new")
		works(t.TB, "UpdateRecord with another UserID", t.store.UpdateRecord(t.Context(), moved))
		r.Data, r.Version = moved.Data, r.Version+1
		const mend = "let an update leave the UserID alone, in the record and in any index"
		t.holds("after UpdateRecord with another UserID", r, mend)
		t.lists("after UpdateRecord with another UserID", "thief", mend)
		t.lists("after UpdateRecord with another UserID", "user", mend, r)
		works(t.TB, "DeleteRecords of the other user", t.store.DeleteRecords(t.Context(), t.kind, "thief"))
		t.holds("after DeleteRecords of the user named in the update", r, mend)
		r.UserID = ""
		works(t.TB, "UpdateRecord with an empty UserID", t.store.UpdateRecord(t.Context(), r))
		r.UserID, r.Version = "user", r.Version+1
		t.holds("after UpdateRecord with an empty UserID", r, mend)
	})
	s.run(t, "with the Version of a replaced record changes nothing", func(t *recordTest) {
		old := t.record("key")
		old.Version = 4_611_686_018_427_387_904
		t.insert(old)
		_, err := t.store.TakeRecord(t.Context(), old.Kind, old.Key)
		works(t.TB, "TakeRecord", err)
		next := t.record("key")
		next.Version = -1_234_567_890_123_456_789
		next.Data = []byte("next")
		t.insert(next)
		fails(t.TB, "UpdateRecord with the Version of a taken record, after another record was inserted under its key",
			t.store.UpdateRecord(t.Context(), old), auth.ErrConflict, "store the Version passed to InsertRecord: it is random, so that a replaced record has another one")
		t.holds("after a refused UpdateRecord", next, compare)
	})
	s.run(t, "of 50 racers with one Version, one wins", func(t *recordTest) {
		again(t.TB, func(round int) {
			r := t.record(fmt.Sprint("key ", round))
			t.insert(r)
			errs := race(t.Context(), racers, func(ctx context.Context, i int) error {
				mine := r
				mine.Data = fmt.Append(nil, "racer ", i)
				return t.store.UpdateRecord(ctx, mine)
			})
			winner := oneWins(t.TB, "UpdateRecord by 50 racers with one Version", errs, auth.ErrConflict, compare)
			r.Data, r.Version = fmt.Append(nil, "racer ", winner), r.Version+1
			t.holds("after the race", r, "the record must hold what the winner wrote; "+compare)
		})
	})
	s.run(t, "loses no count of 10 racers", func(t *recordTest) {
		const counters, each = 10, 10
		r := t.record("key")
		r.Data = nil
		t.insert(r)
		errs := race(t.Context(), counters, func(ctx context.Context, _ int) error {
			return count(counters*each, each, func() error {
				got, err := t.store.GetRecord(ctx, r.Kind, r.Key)
				if err != nil {
					return err
				}
				got.Data = append(slices.Clone(got.Data), '+') // see auth.Record
				return t.store.UpdateRecord(ctx, got)
			})
		})
		for _, err := range errs {
			works(t.TB, "GetRecord and UpdateRecord until it does not conflict", err)
		}
		r.Data, r.Version = []byte(strings.Repeat("+", counters*each)), r.Version+counters*each
		t.holds("after 10 racers counted 10 times each", r, compare)
	})
	s.run(t, "racing TakeRecord never brings the record back", func(t *recordTest) {
		t.ended("TakeRecord", func(r auth.Record) error {
			_, err := t.store.TakeRecord(t.Context(), r.Kind, r.Key)
			return err
		})
	})
	s.run(t, "racing DeleteRecords never brings the record back", func(t *recordTest) {
		t.ended("DeleteRecords", func(r auth.Record) error {
			return t.store.DeleteRecords(t.Context(), r.Kind, r.UserID)
		})
	})
}

// ended races updates with a call that ends a record. In whatever order they
// run, the record must be gone in the end.
func (t *recordTest) ended(verb string, end func(auth.Record) error) {
	repeat(t, 10, func(round int) {
		r := t.record(fmt.Sprint("key ", round))
		t.insert(r)
		errs := race(t.Context(), 4, func(ctx context.Context, i int) error {
			if i == 2 {
				return end(r)
			}
			return t.store.UpdateRecord(ctx, r)
		})
		works(t.TB, verb+", racing UpdateRecord", errs[2])
		for _, i := range []int{0, 1, 3} {
			if err := errs[i]; err != nil && !errors.Is(err, auth.ErrConflict) {
				fails(t.TB, "UpdateRecord, racing "+verb, err, auth.ErrRecordNotFound, "after the record has ended, an update must return ErrRecordNotFound")
			}
		}
		t.gone(fmt.Sprintf("after UpdateRecord raced %s, round %d", verb, round), r,
			"write only if the record still exists, in one statement; do not read the record, change it and insert it again")
	})
}
