package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

// huge returns two names of a megabyte that differ only in the last byte. begin
// is their common beginning, short enough for every store.
func huge() (a, b, begin string) {
	const megabyte = 1 << 20
	long := strings.Repeat("h", megabyte-1)
	return long + "a", long + "b", long[:50]
}

// A store may refuse names that are longer than it has room for. It must not
// cut them, because two names could then become one.
func (s recordSuite) huge(t *testing.T) {
	const mend = "keep the whole name, or refuse it with ErrInvalidRecord or another error; never cut it (MySQL does, if its sql_mode is not strict)"
	for _, part := range []struct {
		name   string
		record func(t *recordTest, key, name string) auth.Record
	}{
		{"keys", func(t *recordTest, _, name string) auth.Record { return t.record(name) }},
		{"kinds", func(t *recordTest, _, name string) auth.Record {
			r := t.record("the same key " + t.kind)
			r.Kind = name
			return r
		}},
		{"user IDs", func(t *recordTest, key, name string) auth.Record { return t.owned(key, name) }},
	} {
		s.run(t, part.name+" of 1 MB are kept whole or refused", func(t *recordTest) {
			nameA, nameB, begin := huge()
			a, b, short := part.record(t, "a", nameA), part.record(t, "b", nameB), part.record(t, "short", begin)
			all := []auth.Record{a, b, short}
			t.insert(short)
			t.without("while a record exists whose name is its beginning", a)

			did := "InsertRecord with " + part.name + " of 1 MB that differ in the last byte"
			errA, errB := t.store.InsertRecord(t.Context(), a), t.store.InsertRecord(t.Context(), b)
			for _, err := range []error{errA, errB} {
				if answer := answerOf(err); answer != nil && !errors.Is(answer, auth.ErrInvalidRecord) {
					fail(t.TB, did, err, "no error, ErrInvalidRecord, or an error that is not one of package auth", mend)
				}
			}
			switch {
			case (errA == nil) != (errB == nil):
				fail(t.TB, did, fmt.Sprintf("%v and %v", errA, errB), "two records, or two refusals", mend)
			case errA != nil:
				t.without("after it was refused", a)
				t.without("after it was refused", b)
				t.kind = short.Kind
				t.stands("after "+did+" was refused", short, true, mend)
			default:
				for _, r := range all {
					t.holds("after "+did, r, mend)
					t.kind = r.Kind
					t.lists("after "+did, r.UserID, mend, slices.DeleteFunc(slices.Clone(all), func(other auth.Record) bool {
						return other.Kind != r.Kind || other.UserID != r.UserID
					})...)
				}
				_, err := t.store.TakeRecord(t.Context(), a.Kind, a.Key)
				works(t.TB, "TakeRecord", err)
				works(t.TB, "DeleteRecords", t.store.DeleteRecords(t.Context(), a.Kind, a.UserID, b.Key, short.Key))
				t.gone("after TakeRecord", a, mend)
				t.holds("after TakeRecord of its neighbour", b, mend)
				t.holds("after TakeRecord of its neighbour", short, mend)
			}
		})
	}
}

// without checks that no verb touches another record when its name is too long
// to be stored. It may answer that there is no such record, or that the name is
// too long.
func (t *recordTest) without(when string, r auth.Record) {
	t.Helper()
	const mend = "treat a name that is too long to be stored as unknown; never look for its beginning"
	absent := func(verb string, err error) {
		t.Helper()
		if answer := answerOf(err); err == nil || answer != nil && !errors.Is(answer, auth.ErrRecordNotFound) && !errors.Is(answer, auth.ErrInvalidRecord) {
			fail(t.TB, fmt.Sprintf("%s with a name of 1 MB, %s", verb, when), fmt.Sprint(err), "ErrRecordNotFound, ErrInvalidRecord, or an error that is not one of package auth", mend)
		}
	}
	_, err := t.store.GetRecord(t.Context(), r.Kind, r.Key)
	absent("GetRecord", err)
	absent("UpdateRecord", t.store.UpdateRecord(t.Context(), r))
	_, err = t.store.TakeRecord(t.Context(), r.Kind, r.Key)
	absent("TakeRecord", err)
	if len(r.Key) > 200 {
		return // lists are looked up by kind and user ID, which are short here
	}
	if list, err := t.store.ListRecords(t.Context(), r.Kind, r.UserID); err == nil && len(list) > 0 {
		fail(t.TB, "ListRecords with a name of 1 MB, "+when, keysOf(list), "no records, or an error", mend)
	}
	_ = t.store.DeleteRecords(t.Context(), r.Kind, r.UserID)
}
