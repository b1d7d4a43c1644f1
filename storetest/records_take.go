package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/go-login/auth"
)

func (s recordSuite) getRecord(t *testing.T) {
	s.run(t, "of an unknown key", func(t *recordTest) {
		t.insert(t.record("key"))
		for _, key := range []string{"unknown", "ke", "key2", "%", "*"} {
			r, err := t.store.GetRecord(t.Context(), t.kind, key)
			fails(t.TB, "GetRecord of the unknown key "+brief(key), err, auth.ErrRecordNotFound, "return auth.ErrRecordNotFound for sql.ErrNoRows and similar errors")
			if r.Data != nil || r.Key != "" {
				fail(t.TB, "GetRecord of an unknown key", r, "the zero Record beside the error", "return auth.Record{} with every error")
			}
		}
	})
	s.run(t, "of a key of another kind", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		r.Kind += "-other"
		t.gone("after InsertRecord in one kind", r, "a record is identified by its kind and its key together")
	})
	s.run(t, "leaves the record as it is", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		for range 3 {
			t.holds("after GetRecord", r, "leave Version and Expires alone when reading")
		}
	})
}

func (s recordSuite) takeRecord(t *testing.T) {
	s.run(t, "returns the record and deletes it", func(t *recordTest) {
		r, other := t.record("key"), t.record("other")
		t.insert(r, other)
		r = t.update(r, "new\x00\xff")
		got, err := t.store.TakeRecord(t.Context(), r.Kind, r.Key)
		works(t.TB, "TakeRecord", err)
		t.same("TakeRecord", got, r, "return the whole record")
		const mend = "use DELETE … RETURNING, or read and delete in one transaction that locks the row"
		t.gone("after TakeRecord", r, mend)
		t.lists("after TakeRecord", "user", "take this record only", other)
		_, err = t.store.TakeRecord(t.Context(), r.Kind, r.Key)
		fails(t.TB, "TakeRecord for the second time", err, auth.ErrRecordNotFound, mend)
	})
	s.run(t, "of an unknown key", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		_, err := t.store.TakeRecord(t.Context(), t.kind, "unknown")
		fails(t.TB, "TakeRecord of an unknown key", err, auth.ErrRecordNotFound, "return auth.ErrRecordNotFound for sql.ErrNoRows and similar errors")
		_, err = t.store.TakeRecord(t.Context(), t.kind+"-other", r.Key)
		fails(t.TB, "TakeRecord in another kind", err, auth.ErrRecordNotFound, "a record is identified by its kind and its key together")
		t.holds("after TakeRecord of other records", r, "a record is identified by its kind and its key together")
	})
	s.run(t, "of 50 racers, one wins", func(t *recordTest) {
		again(t.TB, func(round int) {
			r := t.record(fmt.Sprint("key ", round))
			t.insert(r)
			taken := make([]auth.Record, racers)
			errs := race(t.Context(), racers, func(ctx context.Context, i int) (err error) {
				taken[i], err = t.store.TakeRecord(ctx, r.Kind, r.Key)
				return err
			})
			const mend = "do not get the record and then delete it; use DELETE … RETURNING, GETDEL, or one lock over both steps"
			winner := oneWins(t.TB, "TakeRecord by 50 racers", errs, auth.ErrRecordNotFound, mend)
			t.same("TakeRecord by the winner", taken[winner], r, "return the whole record")
			t.gone("after the race", r, mend)
		})
	})
}
