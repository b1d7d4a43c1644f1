package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// TestRecordStore checks a store of records. The package comment says what open
// must do.
func TestRecordStore(t *testing.T, open func(t *testing.T, clock func() time.Time) auth.RecordStore) {
	s := recordSuite{open}
	t.Run("InsertRecord", s.insertRecord)
	t.Run("GetRecord", s.getRecord)
	t.Run("UpdateRecord", s.updateRecord)
	t.Run("TakeRecord", s.takeRecord)
	t.Run("ListRecords", s.listRecords)
	t.Run("DeleteRecords", s.deleteRecords)
	t.Run("Races", s.races)
	t.Run("Expires", s.expires)
	t.Run("Clock", s.clocks)
	t.Run("Keys", s.keys)
	t.Run("Kinds", s.kinds)
	t.Run("UserIDs", s.userIDs)
	t.Run("Huge", s.huge)
	t.Run("Invalid", s.invalid)
	t.Run("Copies", s.copies)
	t.Run("Context", s.context)
}

type recordSuite struct {
	open func(t *testing.T, clock func() time.Time) auth.RecordStore
}

// A recordTest is a subtest with a store and a kind of its own.
type recordTest struct {
	testing.TB
	store auth.RecordStore
	clock *clock
	kind  string
}

func (s recordSuite) run(t *testing.T, name string, f func(t *recordTest)) {
	t.Run(name, func(t *testing.T) {
		c := newClock()
		f(&recordTest{t, s.open(t, c.Now), c, "kind-" + unique()})
	})
}

// record returns a record of the user "user" that expires in an hour.
func (t *recordTest) record(key string) auth.Record {
	return auth.Record{
		Kind:    t.kind,
		Key:     key,
		UserID:  "user",
		Data:    []byte("data of " + key),
		Version: 1<<40 + 7,
		Expires: t.clock.Now().Add(time.Hour),
	}
}

// owned returns a record of another user.
func (t *recordTest) owned(key, userID string) auth.Record {
	r := t.record(key)
	r.UserID = userID
	return r
}

func (t *recordTest) insert(records ...auth.Record) {
	t.Helper()
	for _, r := range records {
		works(t.TB, fmt.Sprintf("InsertRecord of a new record, key %s", brief(r.Key)), t.store.InsertRecord(t.Context(), r))
	}
}

// update changes Data and returns the record as the store must now hold it.
func (t *recordTest) update(r auth.Record, data string) auth.Record {
	t.Helper()
	r.Data = []byte(data)
	works(t.TB, "UpdateRecord with the stored Version", t.store.UpdateRecord(t.Context(), r))
	r.Version++
	return r
}

// holds checks that the store has exactly this record.
func (t *recordTest) holds(after string, want auth.Record, mend string) {
	t.Helper()
	got, err := t.store.GetRecord(t.Context(), want.Kind, want.Key)
	if err != nil {
		fail(t.TB, after+": GetRecord of key "+brief(want.Key), err, "the record", mend)
		return
	}
	t.same(after+": GetRecord of key "+brief(want.Key), got, want, mend)
}

// gone checks that the store does not have this record, neither under its key
// nor in the list of its user.
func (t *recordTest) gone(after string, r auth.Record, mend string) {
	t.Helper()
	_, err := t.store.GetRecord(t.Context(), r.Kind, r.Key)
	fails(t.TB, after+": GetRecord of key "+brief(r.Key), err, auth.ErrRecordNotFound, mend)
	if r.UserID == "" {
		return
	}
	list, err := t.store.ListRecords(t.Context(), r.Kind, r.UserID)
	works(t.TB, "ListRecords", err)
	for _, listed := range list {
		if listed.Key == r.Key {
			fail(t.TB, after+": ListRecords of its user", "the record, key "+brief(r.Key), "a list without it", mend)
		}
	}
}

// lists checks that the user has exactly these records.
func (t *recordTest) lists(after, userID, mend string, want ...auth.Record) {
	t.Helper()
	did := fmt.Sprintf("%s: ListRecords of the user %s", after, brief(userID))
	got, err := t.store.ListRecords(t.Context(), t.kind, userID)
	works(t.TB, did, err)
	t.sameList(did, got, want, mend)
}

// sameList checks that two lists have the same records, in any order.
func (t *recordTest) sameList(did string, got, want []auth.Record, mend string) {
	t.Helper()
	byKey := func(a, b auth.Record) int { return strings.Compare(a.Key, b.Key) }
	slices.SortFunc(got, byKey)
	want = slices.SortedFunc(slices.Values(want), byKey)
	if !slices.Equal(keysOf(got), keysOf(want)) {
		fail(t.TB, did, keysOf(got), keysOf(want), mend)
		return
	}
	for i := range got {
		t.same(did, got[i], want[i], "return whole records in a list")
	}
}

// same checks that two records have the same contents.
func (t *recordTest) same(did string, got, want auth.Record, mend string) {
	t.Helper()
	if got.Kind != want.Kind || got.Key != want.Key {
		fail(t.TB, did+": Kind and Key", brief(got.Kind)+" "+brief(got.Key), brief(want.Kind)+" "+brief(want.Key), mend)
	}
	if got.UserID != want.UserID {
		fail(t.TB, did+": UserID", brief(got.UserID), brief(want.UserID), mend)
	}
	if !bytes.Equal(got.Data, want.Data) {
		fail(t.TB, did+": Data", brief(string(got.Data)), brief(string(want.Data)), mend)
	}
	if got.Version != want.Version {
		fail(t.TB, did+": Version", got.Version, want.Version, mend)
	}
	if !got.Expires.Equal(want.Expires) {
		fail(t.TB, did+": Expires", got.Expires, want.Expires, mend)
	}
}

func keysOf(records []auth.Record) []string {
	keys := make([]string, len(records))
	for i, r := range records {
		keys[i] = brief(r.Key)
	}
	return keys
}

// brief quotes a text for a message.
func brief(s string) string {
	if len(s) > 60 {
		return fmt.Sprintf("%q… (%d bytes)", s[:50], len(s))
	}
	return fmt.Sprintf("%q", s)
}
