package redisstore_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/redisstore"
)

// hostile has names that could be confused with one another, or with other
// keys.
var hostile = []string{
	"a", "A", "a ", "\x00", "a\x00", "\xff", "a\xff", "\ufffd", "\r\n", "$1\r\na\r\n", "*", "?", "[a]", "{a}", "{}", "{", "}",
	"/", "//", "r/", "r/1/a/", "1/a/b", "0", "-1", "nil", "'", "]]", "\\", strings.Repeat("k", 70_000), strings.Repeat("\xff", 70_000),
}

func TestNamesAreBytes(t *testing.T) {
	f := newFixture(t)
	for _, name := range hostile {
		for _, id := range [][3]string{{name, "key", "user"}, {"kind", name, "user"}, {"kind", "by user " + name, name}} {
			check(t, f.InsertRecord(t.Context(), auth.Record{Kind: id[0], Key: id[1], UserID: id[2], Expires: f.clock.Now().Add(time.Hour)}))
		}
	}
	for _, name := range hostile {
		for _, id := range [][2]string{{name, "key"}, {"kind", name}} {
			r, err := f.GetRecord(t.Context(), id[0], id[1])
			if err != nil || r.Kind != id[0] || r.Key != id[1] || r.UserID != "user" {
				t.Errorf("%.20q: %.200v, %v", id, r, err)
			}
		}
		list, err := f.ListRecords(t.Context(), "kind", name)
		if err != nil || len(list) != 1 || list[0].UserID != name || list[0].Key != "by user "+name {
			t.Errorf("%.20q has %d records, %v", name, len(list), err)
		}
	}
	keep := hostile[:len(hostile)/2]
	check(t, f.DeleteRecords(t.Context(), "kind", "user", keep...))
	if list, err := f.ListRecords(t.Context(), "kind", "user"); err != nil || len(list) != len(keep) {
		t.Errorf("%d records left of %d, %v", len(list), len(keep), err)
	}
}

func TestRoundTrip(t *testing.T) {
	f := newFixture(t, redisstore.Durable())
	for i, r := range []auth.Record{
		{},
		{Data: []byte("\x00\xff'\r\n"), Version: math.MinInt64},
		{Data: make([]byte, 1<<20), Version: math.MaxInt64, UserID: "u"},
		{Version: 1<<53 + 1, UserID: strings.Repeat("\x00", 100_000), Data: []byte("1")},
		{Version: -1, Expires: f.clock.Now().Add(time.Microsecond)},
		{Expires: time.Date(2299, 12, 31, 23, 59, 59, 999_999_000, time.UTC)},
		{Expires: time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), UserID: "u"},
		{Expires: f.clock.Now().Add(time.Hour).In(time.FixedZone("", 3600))},
	} {
		r.Kind, r.Key = "kind", fmt.Sprint(i)
		check(t, f.InsertRecord(t.Context(), r))
		for range 3 {
			got, err := f.GetRecord(t.Context(), r.Kind, r.Key)
			check(t, err)
			if string(got.Data) != string(r.Data) || got.Version != r.Version || got.UserID != r.UserID || !got.Expires.Equal(r.Expires) {
				t.Errorf("%d: got %.200v, want %.200v", i, got, r)
			}
			if z := got.Expires.Location(); z != time.UTC {
				t.Errorf("%d: in the zone %v", i, z)
			}
			for _, other := range []int64{r.Version - 1, r.Version + 1} {
				stale := r
				stale.Version = other
				wantError(t, f.UpdateRecord(t.Context(), stale), auth.ErrConflict)
			}
			check(t, f.UpdateRecord(t.Context(), r))
			r.Version++ // may wrap around
		}
	}
}

// Redis compares times as numbers of the same length, also before 1970. Its own
// clock does not matter.
func TestTimesBefore1970(t *testing.T) {
	for _, now := range []time.Time{
		time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC), time.Unix(0, 0),
		time.Unix(1e9, 0), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		f := newFixture(t)
		for !f.clock.Now().Equal(now) {
			f.clock.Advance(now.Sub(f.clock.Now())) // Advance takes at most 292 years
		}
		for i, life := range []time.Duration{time.Microsecond, time.Second, 300 * 24 * time.Hour} {
			r := f.record(fmt.Sprint(i))
			r.Expires = now.Add(life)
			check(t, f.InsertRecord(t.Context(), r))
			wantError(t, f.InsertRecord(t.Context(), r), auth.ErrRecordExists)
			check(t, f.UpdateRecord(t.Context(), r))
			if n := len(f.listed(t)); n != i+1 {
				t.Errorf("%v: %d listed, want %d", now, n, i+1)
			}
		}
		f.clock.Advance(time.Microsecond)
		_, err := f.TakeRecord(t.Context(), "session", "0")
		wantError(t, err, auth.ErrRecordNotFound)
		if n := len(f.listed(t)); n != 2 {
			t.Errorf("%v: %d listed, want 2", now, n)
		}
	}
}

// Redis removes a record an hour after it has expired, and an index a day after
// that. Every write starts this time anew.
func TestRedisCollectsGarbage(t *testing.T) {
	f := newFixture(t)
	ttl := func(what string, want time.Duration) {
		t.Helper()
		for _, key := range keys(t.Context(), t, f.client, f.prefix+what) {
			got := f.client.PTTL(t.Context(), key).Val()
			if got > want || got < want-time.Minute {
				t.Errorf("%q goes in %v, want %v", key, got, want)
			}
		}
	}
	const day = 24 * time.Hour
	r := f.record("key")
	check(t, f.InsertRecord(t.Context(), r))
	ttl("r/", 2*time.Hour)
	ttl("u/", 2*time.Hour+day)

	r.Expires = f.clock.Now().Add(10 * day)
	check(t, f.UpdateRecord(t.Context(), r))
	ttl("r/", 10*day+time.Hour)
	ttl("u/", 11*day+time.Hour)

	f.insert(t, "another") // does not shorten the life of the index
	r.Version++
	r.Expires = f.clock.Now().Add(time.Minute)
	check(t, f.UpdateRecord(t.Context(), r))
	ttl("r/7/session/key", time.Hour+time.Minute)
	ttl("u/", 11*day+time.Hour)

	long := f.record("expired long ago")
	long.Expires = f.clock.Now().Add(-1000 * time.Hour)
	check(t, f.InsertRecord(t.Context(), long))
	_, err := f.GetRecord(t.Context(), "session", long.Key)
	wantError(t, err, auth.ErrRecordNotFound)
}

// If a stored value is not a record of ours, every method returns an error, and
// the value stays.
func TestDamage(t *testing.T) {
	digits := strings.Repeat("0", 60) + fmt.Sprintf("%020d", 4) + "ABCDEFGHIJKLM"
	for _, damaged := range []any{
		"x", "hello, world", strings.Repeat("9", 92), strings.Repeat("x", 200), digits + "abc", "-" + digits[1:] + "user",
		strings.Repeat("9", 93) + "user", []string{"a", "b"},
	} {
		f := newFixture(t)
		f.insert(t, "a")
		key := f.prefix + "r/7/session/a"
		put := func() {
			check(t, f.client.Del(t.Context(), key).Err())
			if text, ok := damaged.(string); ok {
				check(t, f.client.Set(t.Context(), key, text, 0).Err())
			} else {
				check(t, f.client.HSet(t.Context(), key, damaged).Err())
			}
		}
		put()
		before := f.client.Dump(t.Context(), key).Val()
		for _, c := range f.calls(f.Records) {
			if c.name != "InsertRecord" {
				wantFailure(t, fmt.Sprintf("%.20v: %s", damaged, c.name), c.do(t.Context()))
			}
		}
		wantFailure(t, fmt.Sprintf("%.20v: InsertRecord", damaged), f.InsertRecord(t.Context(), f.record("a")))
		if f.client.Dump(t.Context(), key).Val() != before {
			t.Errorf("%.20v is overwritten", damaged)
		}
	}

	// An index key that is not an index.
	f := newFixture(t)
	check(t, f.client.Set(t.Context(), f.prefix+"u/7/session/user", "x", 0).Err())
	wantFailure(t, "InsertRecord", f.InsertRecord(t.Context(), f.record("a")))
	_, err := f.GetRecord(t.Context(), "session", "a")
	wantError(t, err, auth.ErrRecordNotFound)
	_, err = f.ListRecords(t.Context(), "session", "user")
	wantFailure(t, "ListRecords", err)
	wantFailure(t, "DeleteRecords", f.DeleteRecords(t.Context(), "session", "user"))
	check(t, f.client.Del(t.Context(), f.prefix+"u/7/session/user").Err())
	check(t, f.client.ZAdd(t.Context(), f.prefix+"u/7/session/user", zAt(f.clock.Now().Add(time.Hour), "short")).Err())
	_, err = f.ListRecords(t.Context(), "session", "user")
	wantFailure(t, "ListRecords of an index with a bad entry", err)
}

// The test counts the round trips of each method. It also checks that only
// scripts read, because a client may send a plain command to a replica or
// answer it from its cache.
func TestRoundTrips(t *testing.T) {
	f := newFixture(t)
	s, spy := f.spied(t)
	several := strings.TrimSpace(strings.Repeat("eval ", 100))
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"InsertRecord", func() error { return s.InsertRecord(t.Context(), f.record("a")) }, []string{"eval", "eval"}},
		{"InsertRecord of nobody's", func() error {
			r := f.record("nobody's")
			r.UserID = ""
			return s.InsertRecord(t.Context(), r)
		}, []string{"eval"}},
		{"GetRecord", func() error { _, err := s.GetRecord(t.Context(), "session", "a"); return err }, []string{"eval"}},
		{"UpdateRecord", func() error {
			r := f.record("a")
			r.Expires = r.Expires.Add(24 * time.Hour)
			return s.UpdateRecord(t.Context(), r)
		}, []string{"eval"}},
		{"UpdateRecord by more than a day", func() error {
			r := f.record("a")
			r.Version++
			r.Expires = r.Expires.Add(25 * time.Hour)
			return s.UpdateRecord(t.Context(), r)
		}, []string{"eval", "eval", "eval"}},
		{"UpdateRecord by less than another", func() error {
			r := f.record("a")
			r.Version += 2
			r.Expires = r.Expires.Add(49 * time.Hour)
			return s.UpdateRecord(t.Context(), r)
		}, []string{"eval"}},
		{"UpdateRecord without a user", func() error {
			r := f.record("nobody's")
			r.Expires = r.Expires.Add(1000 * time.Hour)
			return s.UpdateRecord(t.Context(), r)
		}, []string{"eval"}},
		{"ListRecords", func() error { _, err := s.ListRecords(t.Context(), "session", "user"); return err }, []string{"eval", "eval"}},
		{"ListRecords of nothing", func() error { _, err := s.ListRecords(t.Context(), "session", "other"); return err }, []string{"eval"}},
		{"TakeRecord", func() error { _, err := s.TakeRecord(t.Context(), "session", "a"); return err }, []string{"eval", "zrem"}},
		{"TakeRecord without a user", func() error { _, err := s.TakeRecord(t.Context(), "session", "nobody's"); return err }, []string{"eval"}},
		{"ListRecords of 250", func() error {
			for i := range 250 {
				f.insert(t, fmt.Sprint(i))
			}
			list, err := s.ListRecords(t.Context(), "session", "user")
			if len(list) != 250 {
				t.Errorf("%d listed", len(list))
			}
			return err
		}, []string{"eval", several, several, several[:249]}},
		{"ListRecords with a record that Redis removed", func() error {
			check(t, f.client.Del(t.Context(), f.prefix+"r/7/session/3").Err())
			_, err := s.ListRecords(t.Context(), "session", "user")
			return err
		}, []string{"eval", several, several, several[:249], "eval", "eval"}},
		{"DeleteRecords", func() error { return s.DeleteRecords(t.Context(), "session", "user", "5") },
			[]string{"eval", several, several, several[:244], "eval", "eval", "zrem"}},
	} {
		spy.sent = nil
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if got, want := strings.Join(spy.sent, ", "), strings.Join(step.want, ", "); got != want {
			t.Errorf("%s sends %s; want %s", step.name, got, want)
		}
	}
	if listed := f.listed(t); len(listed) != 1 || f.entries(t) != 2 { // the other entry is that of the removed record
		t.Errorf("there are %v, and %d entries", listed, f.entries(t))
	}
}

// A record that cannot be kept is refused, and leaves nothing in the index.
func TestFarExpires(t *testing.T) {
	f := newFixture(t)
	for _, expires := range []time.Time{time.Unix(1<<60, 0), time.Unix(-1<<60, 0), time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		r := f.record("far")
		r.Expires = expires
		wantFailure(t, "InsertRecord", f.InsertRecord(t.Context(), r))
		wantFailure(t, "UpdateRecord", f.UpdateRecord(t.Context(), r))
	}
	r := f.record("near")
	r.Expires = time.Date(289_999, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := f.InsertRecord(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got, err := f.GetRecord(t.Context(), r.Kind, r.Key); err != nil || !got.Expires.Equal(r.Expires) {
		t.Errorf("%+v, %v", got, err)
	}
}
