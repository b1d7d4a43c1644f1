package storetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-login/auth"
)

// A recordDeed makes a deed for records of its own.
type recordDeed struct {
	name string

	// prepare stores in t.store what the deed needs. The deed makes its call
	// through the other store, which may be the same one, and checks the result
	// in t.store.
	prepare func(t *recordTest, through auth.RecordStore, own string) deed
}

func (d recordDeed) make(t *recordTest, through auth.RecordStore, own string) deed {
	made := d.prepare(t, through, own)
	made.verb, made.test = d.name, &t.TB
	return made
}

// recordDeeds returns a deed for every verb.
func recordDeeds() []recordDeed {
	insert := func(t *recordTest, through auth.RecordStore, r auth.Record) deed {
		return deed{
			call:     func(ctx context.Context) error { return through.InsertRecord(ctx, r) },
			already:  []error{auth.ErrRecordExists},
			happened: func() outcome { return doneIf(t.there(r)) },
			whole: func(after string, o outcome) {
				t.stands(after, r, o == done, "write the record and the index of the lists in one statement or transaction")
			},
		}
	}
	// unchanged is for a call that must leave the record as it is.
	unchanged := func(t *recordTest, r auth.Record, answer error, call func(ctx context.Context) error) deed {
		return deed{
			call: call, answer: answer,
			happened: func() outcome { return undone },
			whole: func(after string, _ outcome) {
				t.stands(after, r, true, "change nothing in a call that is refused or only reads")
			},
		}
	}

	return []recordDeed{
		{"InsertRecord of a new key", func(t *recordTest, through auth.RecordStore, own string) deed {
			return insert(t, through, t.owned(own, own))
		}},
		{"InsertRecord over an expired record", func(t *recordTest, through auth.RecordStore, own string) deed {
			old := t.owned(own, own)
			old.Expires = t.clock.Now()
			t.insert(old)
			return insert(t, through, t.owned(own, own))
		}},
		{"InsertRecord of a key that exists", func(t *recordTest, through auth.RecordStore, own string) deed {
			r := t.owned(own, own)
			t.insert(r)
			other := r
			other.Data, other.Version = []byte("other"), 3
			return unchanged(t, r, auth.ErrRecordExists, func(ctx context.Context) error { return through.InsertRecord(ctx, other) })
		}},
		{"GetRecord", func(t *recordTest, through auth.RecordStore, own string) deed {
			r := t.owned(own, own)
			t.insert(r)
			return unchanged(t, r, nil, func(ctx context.Context) error {
				got, err := through.GetRecord(ctx, r.Kind, r.Key)
				if err == nil {
					t.same("GetRecord that returned no error", got, r, "return the whole record or an error")
				}
				return err
			})
		}},
		{"GetRecord of an unknown key", func(t *recordTest, through auth.RecordStore, own string) deed {
			r := t.owned(own, own)
			t.insert(r)
			return unchanged(t, r, auth.ErrRecordNotFound, func(ctx context.Context) error {
				_, err := through.GetRecord(ctx, r.Kind, r.Key+" unknown")
				return err
			})
		}},
		{"UpdateRecord", func(t *recordTest, through auth.RecordStore, own string) deed {
			old := t.owned(own, own)
			t.insert(old)
			next := old
			next.Data, next.Expires = []byte("new"), old.Expires.AddDate(1, 0, 0)
			after := next
			after.Version++
			return deed{
				call:    func(ctx context.Context) error { return through.UpdateRecord(ctx, next) },
				already: []error{auth.ErrConflict},
				happened: func() outcome {
					got, err := t.store.GetRecord(t.Context(), old.Kind, old.Key)
					works(t.TB, "GetRecord of a record that was updated", err)
					return doneIf(got.Version != old.Version)
				},
				whole: func(did string, o outcome) {
					want := old
					if o == done {
						want = after
					}
					t.stands(did, want, true, "change Data, Expires and Version in one statement")
				},
			}
		}},
		{"UpdateRecord with a stale Version", func(t *recordTest, through auth.RecordStore, own string) deed {
			r := t.owned(own, own)
			t.insert(r)
			stale := r
			stale.Data, stale.Version = []byte("stale"), r.Version-1
			return unchanged(t, r, auth.ErrConflict, func(ctx context.Context) error { return through.UpdateRecord(ctx, stale) })
		}},
		{"TakeRecord", func(t *recordTest, through auth.RecordStore, own string) deed {
			r := t.owned(own, own)
			t.insert(r)
			return deed{
				call: func(ctx context.Context) error {
					got, err := through.TakeRecord(ctx, r.Kind, r.Key)
					if err == nil {
						t.same("TakeRecord that returned no error", got, r, "return the whole record or an error")
					}
					return err
				},
				already:  []error{auth.ErrRecordNotFound},
				happened: func() outcome { return doneIf(!t.there(r)) },
				whole: func(after string, o outcome) {
					t.stands(after, r, o == undone, "delete the record and its entry in the index of the lists in one statement or transaction")
				},
			}
		}},
		{"ListRecords", func(t *recordTest, through auth.RecordStore, own string) deed {
			// Long enough for the answer to come in several parts.
			var all []auth.Record
			for i := range 4 {
				r := t.owned(fmt.Sprint(own, " ", i), own)
				r.Data = make([]byte, 5000)
				all = append(all, r)
			}
			t.insert(all...)
			const mend = "check rows.Err() after the last row: return an error for an incomplete list"
			return deed{
				call: func(ctx context.Context) error {
					got, err := through.ListRecords(ctx, t.kind, own)
					if err == nil {
						t.sameList("ListRecords that returned no error", got, all, mend)
					}
					return err
				},
				happened: func() outcome { return done },
				whole:    func(after string, _ outcome) { t.lists(after, own, "change nothing when reading", all...) },
			}
		}},
		{"DeleteRecords", func(t *recordTest, through auth.RecordStore, own string) deed {
			kept, a, b, c := t.owned(own+" kept", own), t.owned(own+" a", own), t.owned(own+" b", own), t.owned(own+" c", own)
			t.insert(kept, a, b, c)
			return deed{
				call:     func(ctx context.Context) error { return through.DeleteRecords(ctx, t.kind, own, kept.Key) },
				happened: func() outcome { return partly },
				whole: func(after string, o outcome) {
					const mend = "delete each record and its entry in the index of the lists in one statement or transaction, best all of them in one"
					left := []auth.Record{kept}
					for _, r := range []auth.Record{a, b, c} {
						if o == undone || o == partly && t.there(r) {
							t.holds(after, r, mend)
							left = append(left, r)
						} else {
							t.gone(after, r, mend)
						}
					}
					t.lists(after, own, mend, left...)
				},
			}
		}},
	}
}

// there reports whether GetRecord finds a record of this name.
func (t *recordTest) there(r auth.Record) bool {
	t.Helper()
	_, err := t.store.GetRecord(t.Context(), r.Kind, r.Key)
	if err != nil && !errors.Is(err, auth.ErrRecordNotFound) {
		works(t.TB, "GetRecord of key "+brief(r.Key), err)
	}
	return err == nil
}

// stands checks that this record is the only one of its user and kind, or that
// there is none.
func (t *recordTest) stands(after string, r auth.Record, there bool, mend string) {
	t.Helper()
	if !there {
		t.gone(after, r, mend)
		return
	}
	t.holds(after, r, mend)
	t.lists(after, r.UserID, mend, r)
}
