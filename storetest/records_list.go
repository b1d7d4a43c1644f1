package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

func (s recordSuite) listRecords(t *testing.T) {
	s.run(t, "returns the user's records of the kind, whole", func(t *recordTest) {
		a, b := t.record("a"), t.record("b")
		b.Data, b.Expires, b.Version = []byte{0, 255}, time.Time{}, -3
		foreign, nobodys, otherKind := t.owned("c", "another"), t.owned("d", ""), t.record("e")
		otherKind.Kind += "-other"
		t.insert(a, b, foreign, nobodys, otherKind)
		t.lists("after InsertRecord of five", "user", "list this user's records of this kind only", a, b)
		t.lists("after InsertRecord of five", "another", "list this user's records of this kind only", foreign)
		a = t.update(a, "new")
		t.lists("after UpdateRecord", "user", "list the current contents of each record", a, b)
	})
	s.run(t, "of an unknown user is empty", func(t *recordTest) {
		t.insert(t.record("key"), t.owned("nobody's", ""))
		for _, userID := range []string{"unknown", "use", "user2", "%", "*", "0", "' OR 1=1 --", "a\x00b", "\xff", strings.Repeat("x", 10_000)} {
			t.lists("after InsertRecord for others", userID, "return an empty list, without an error, for a user without records")
		}
	})
	s.run(t, "of an empty user is an error", func(t *recordTest) {
		t.insert(t.record("key"), t.owned("nobody's", ""))
		list, err := t.store.ListRecords(t.Context(), t.kind, "")
		fails(t.TB, "ListRecords of the empty user", err, auth.ErrInvalidRecord, "return ErrInvalidRecord for an empty user ID, before querying")
		if len(list) != 0 {
			fail(t.TB, "ListRecords of the empty user", keysOf(list), "no records beside the error", "return ErrInvalidRecord for an empty user ID, before querying")
		}
	})
	s.run(t, "returns all of 150 records", func(t *recordTest) {
		var want []auth.Record
		for i := range 150 {
			want = append(want, t.record(fmt.Sprint("key ", i)))
		}
		t.insert(want...)
		t.lists("after InsertRecord of 150", "user", "return all records, without a limit", want...)
	})
}

func (s recordSuite) deleteRecords(t *testing.T) {
	const theUsers = "DELETE … WHERE kind = ? AND user_id = ? AND key NOT IN (keep)"

	s.run(t, "deletes the user's records of the kind", func(t *recordTest) {
		a, b, foreign, nobodys, otherKind := t.record("a"), t.record("b"), t.owned("c", "another"), t.owned("d", ""), t.record("a")
		otherKind.Kind += "-other"
		t.insert(a, b, foreign, nobodys, otherKind)
		works(t.TB, "DeleteRecords", t.store.DeleteRecords(t.Context(), t.kind, "user"))
		t.gone("after DeleteRecords", a, theUsers)
		t.gone("after DeleteRecords", b, theUsers)
		t.holds("after DeleteRecords of another user", foreign, theUsers)
		t.holds("after DeleteRecords of a user", nobodys, theUsers)
		t.holds("after DeleteRecords of another kind", otherKind, theUsers)
		t.insert(a) // the key is free again
	})
	s.run(t, "leaves the keys to keep", func(t *recordTest) {
		a, b, c, d := t.record("a"), t.record("b"), t.record("c"), t.record("d")
		foreign := t.owned("e", "another")
		t.insert(a, b, c, d, foreign)
		works(t.TB, "DeleteRecords, keeping two", t.store.DeleteRecords(t.Context(), t.kind, "user", "a", "c", "unknown", foreign.Key))
		t.lists("after DeleteRecords, keeping two", "user", theUsers, a, c)
		t.gone("after DeleteRecords, keeping others", b, theUsers)
		t.gone("after DeleteRecords, keeping others", d, theUsers)
		t.holds("after DeleteRecords of another user", foreign, theUsers)

		works(t.TB, "DeleteRecords, keeping one", t.store.DeleteRecords(t.Context(), t.kind, "user", "c"))
		t.lists("after DeleteRecords, keeping one", "user", theUsers, c)
		works(t.TB, "DeleteRecords, keeping an unknown key", t.store.DeleteRecords(t.Context(), t.kind, "user", "unknown", "", "C", "' OR 1=1 --"))
		t.gone("after DeleteRecords, keeping an unknown key", c, theUsers+", where an empty key keeps nothing")
	})
	s.run(t, "of an unknown user succeeds", func(t *recordTest) {
		r, nobodys := t.record("key"), t.owned("nobody's", "")
		t.insert(r, nobodys)
		for _, userID := range []string{"unknown", "use", "user2", "%", "*", "0", "' OR 1=1 --", "a\x00b", "\xff", strings.Repeat("x", 10_000)} {
			works(t.TB, "DeleteRecords of a user without records, "+brief(userID), t.store.DeleteRecords(t.Context(), t.kind, userID))
		}
		t.holds("after DeleteRecords of unknown users", r, theUsers)
		t.holds("after DeleteRecords of unknown users", nobodys, theUsers)
	})
	s.run(t, "of an empty user is an error and deletes nothing", func(t *recordTest) {
		r, nobodys := t.record("key"), t.owned("nobody's", "")
		t.insert(r, nobodys)
		const mend = "return ErrInvalidRecord for an empty user ID, before querying"
		fails(t.TB, "DeleteRecords of the empty user", t.store.DeleteRecords(t.Context(), t.kind, ""), auth.ErrInvalidRecord, mend)
		t.holds("after DeleteRecords of the empty user", r, mend)
		t.holds("after DeleteRecords of the empty user", nobodys, mend)
	})
}
