package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

// hostile are names that some databases take for one another, cut short or
// refuse, if they are kept as text.
var hostile = []string{
	"a", "A", "a ", " a", "ä", "a\u0308", "\x00", "a\x00", "a\x00b", "\xff", "\xfe", "a\xff", "\ufffd",
	"' OR 1=1 --", `"; DROP TABLE auth_records; --`, "%", "_", "*", "?", "$1", "{prefix}", "1", "1.0", "0x61",
	"X'61'", "null", "NULL", "true", strings.Repeat("k", 4096),
}

func TestRecordNamesAreBytes(t *testing.T) {
	s := sqlstore.NewRecords(newDB(t), sqlstore.SQLite, sqlstore.WithClock(clock))
	for _, name := range hostile {
		for _, r := range []auth.Record{
			{Kind: name, Key: "key", UserID: "user"},
			{Kind: "kind", Key: name, UserID: "user"},
			{Kind: "kind", Key: "by user " + name, UserID: name},
		} {
			check(t, s.InsertRecord(t.Context(), r))
		}
	}
	for _, name := range hostile {
		for _, id := range [][2]string{{name, "key"}, {"kind", name}} {
			r, err := s.GetRecord(t.Context(), id[0], id[1])
			if err != nil || r.Kind != id[0] || r.Key != id[1] || r.UserID != "user" {
				t.Errorf("%q: %+v, %v", id, r, err)
			}
		}
		list, err := s.ListRecords(t.Context(), "kind", name)
		if err != nil || len(list) != 1 || list[0].UserID != name {
			t.Errorf("%q has the records %+v, %v", name, list, err)
		}
	}

	keep := hostile[:len(hostile)/2]
	check(t, s.DeleteRecords(t.Context(), "kind", "user", keep...))
	list, err := s.ListRecords(t.Context(), "kind", "user")
	if err != nil || len(list) != len(keep) {
		t.Errorf("%d records left of %d, %v", len(list), len(keep), err)
	}
	for _, name := range hostile[1:] {
		check(t, s.DeleteRecords(t.Context(), "kind", name))
		if list, err := s.ListRecords(t.Context(), "kind", "a"); err != nil || len(list) != 1 {
			t.Fatalf("deleting the records of %q left %d of a's, %v", name, len(list), err)
		}
	}
}

func TestRecordRoundTrip(t *testing.T) {
	s := sqlstore.NewRecords(newDB(t), sqlstore.SQLite, sqlstore.WithClock(clock))
	for i, r := range []auth.Record{
		{},
		{Data: []byte{}},
		{Data: []byte("\x00\xff'"), Version: math.MinInt64},
		{Data: make([]byte, 1<<20), Version: math.MaxInt64 - 1},
		{UserID: "u", Version: -1, Expires: start.Add(time.Microsecond)},
		{Version: 1, Expires: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		{Expires: start.Add(time.Hour).In(time.FixedZone("", 3600))},
	} {
		r.Kind, r.Key = "kind", strconv.Itoa(i)
		check(t, s.InsertRecord(t.Context(), r))
		for range 2 {
			got, err := s.GetRecord(t.Context(), r.Kind, r.Key)
			check(t, err)
			if string(got.Data) != string(r.Data) || got.Version != r.Version || got.UserID != r.UserID || !got.Expires.Equal(r.Expires) {
				t.Errorf("%d: got %+v, want %+v", i, got, r)
			}
			if z := got.Expires.Location(); z != time.UTC {
				t.Errorf("%d: in the zone %v", i, z)
			}
			check(t, s.UpdateRecord(t.Context(), r))
			r.Version++
		}
	}
}

func TestRecordVersionWraps(t *testing.T) {
	s := sqlstore.NewRecords(newDB(t), sqlstore.SQLite)
	r := auth.Record{Kind: "kind", Key: "key", Version: math.MaxInt64}
	check(t, s.InsertRecord(t.Context(), r))
	check(t, s.UpdateRecord(t.Context(), r))
	got, err := s.GetRecord(t.Context(), "kind", "key")
	check(t, err)
	if got.Version != math.MinInt64 {
		t.Errorf("after the largest version comes %d", got.Version)
	}
}

func TestRecordExpiry(t *testing.T) {
	now := start
	s := sqlstore.NewRecords(newDB(t), sqlstore.SQLite, sqlstore.WithClock(func() time.Time { return now }))
	old := auth.Record{Kind: "kind", Key: "key", UserID: "1", Version: 1, Data: []byte("old"), Expires: start.Add(time.Minute)}
	check(t, s.InsertRecord(t.Context(), old))
	now = start.Add(time.Minute - time.Microsecond)
	wantError(t, s.InsertRecord(t.Context(), old), auth.ErrRecordExists)

	now = start.Add(time.Minute)
	_, err := s.GetRecord(t.Context(), "kind", "key")
	wantError(t, err, auth.ErrRecordNotFound)
	_, err = s.TakeRecord(t.Context(), "kind", "key")
	wantError(t, err, auth.ErrRecordNotFound)
	wantError(t, s.UpdateRecord(t.Context(), old), auth.ErrRecordNotFound)
	if list, err := s.ListRecords(t.Context(), "kind", "1"); err != nil || len(list) != 0 {
		t.Errorf("the list has %d expired records, %v", len(list), err)
	}

	// A record that takes its place has nothing of it.
	check(t, s.InsertRecord(t.Context(), auth.Record{Kind: "kind", Key: "key", UserID: "2", Version: 9}))
	got, err := s.GetRecord(t.Context(), "kind", "key")
	check(t, err)
	got.Data = nil
	if want := (auth.Record{Kind: "kind", Key: "key", UserID: "2", Version: 9}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCleanup(t *testing.T) {
	spy, db := newSpy(t)
	now := start
	s := sqlstore.NewRecords(db, sqlstore.SQLite, sqlstore.WithClock(func() time.Time { return now }))
	insert := func(n int, key string, expires time.Time) {
		t.Helper()
		tx, err := db.BeginTx(t.Context(), nil)
		check(t, err)
		for i := range n {
			expiry := any(nil)
			if !expires.IsZero() {
				expiry = expires.UnixMicro()
			}
			_, err := tx.ExecContext(t.Context(), `INSERT INTO auth_records VALUES (?, ?, ?, ?, ?, ?)`,
				[]byte("kind"), fmt.Appendf(nil, "%s %d", key, i), []byte("user"), []byte{}, 1, expiry)
			check(t, err)
		}
		check(t, tx.Commit())
	}
	insert(1234, "expires", start.Add(time.Hour))
	insert(10, "later", start.Add(time.Hour+time.Microsecond))
	insert(5, "never", time.Time{})

	statements := 0
	spy.after = func(string) { statements++ }
	if n, err := s.Cleanup(t.Context()); n != 0 || err != nil {
		t.Fatalf("deleted %d before their time, %v", n, err)
	}

	// It stops between two batches.
	now = start.Add(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	spy.after = func(string) { statements++; cancel() }
	n, err := s.Cleanup(ctx)
	if n != 500 || !errors.Is(err, context.Canceled) {
		t.Fatalf("deleted %d until it was cancelled, %v", n, err)
	}

	statements = 0
	n, err = s.Cleanup(t.Context())
	if n != 734 || err != nil || statements != 2 {
		t.Fatalf("deleted %d in %d batches, %v", n, statements, err)
	}
	list, err := s.ListRecords(t.Context(), "kind", "user")
	if err != nil || len(list) != 15 {
		t.Fatalf("%d are left, %v", len(list), err)
	}
}
