package storetest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

func (s recordSuite) insertRecord(t *testing.T) {
	const asGiven = "store the record as given"

	s.run(t, "keeps every byte of Data", func(t *recordTest) {
		r := t.record("all bytes")
		r.Data = make([]byte, 256)
		for i := range r.Data {
			r.Data[i] = byte(i)
		}
		t.insert(r)
		t.holds("after InsertRecord", r, asGiven+": make Data a BLOB or BYTEA, not a text")
		for name, data := range map[string][]byte{"nil": nil, "empty": {}, "a NUL": {0}, "invalid UTF-8": []byte("a\xff\xc0z"), "spaces": []byte("  ")} {
			r := t.record(name)
			r.Data = data
			t.insert(r)
			t.holds("after InsertRecord with Data that is "+name, r, asGiven+"; empty Data is valid, and may come back as nil")
		}
	})
	s.run(t, "keeps 100 000 bytes of Data", func(t *recordTest) {
		r := t.record("long")
		r.Data = []byte(strings.Repeat("0123456789", 10_000))
		t.insert(r)
		t.holds("after InsertRecord", r, asGiven+": MySQL's BLOB holds only 65 535 bytes; use MEDIUMBLOB")
	})
	s.run(t, "keeps the Version", func(t *recordTest) {
		for _, version := range []int64{0, 1, -1, 1 << 53, 1<<53 + 1, math.MaxInt64 - 1, math.MaxInt64, math.MinInt64, 7_306_851_204_519_873_642} {
			r := t.record(fmt.Sprint("version ", version))
			r.Version = version
			t.insert(r)
			t.holds("after InsertRecord", r, asGiven+": the Version is a signed integer of 64 bits that the library chooses, not a float or a counter of the store")
		}
	})
	s.run(t, "keeps Expires to the microsecond, in any time zone", func(t *recordTest) {
		for i, zone := range []*time.Location{time.UTC, time.FixedZone("east", 14*3600), time.FixedZone("west", -(9*3600 + 1800))} {
			r := t.record(fmt.Sprint("zone ", i))
			r.Expires = time.Date(2031, time.December, 31, 23, 59, 59, 999_999_000, zone)
			t.insert(r)
			t.holds("after InsertRecord with Expires in the zone "+zone.String(), r, "store Expires as UTC or as UnixMicro, with six digits after the second")
		}
		r := t.record("nanoseconds")
		r.Expires = t.clock.Now().Add(time.Hour + 500*time.Nanosecond)
		t.insert(r)
		got, err := t.store.GetRecord(t.Context(), r.Kind, r.Key)
		works(t.TB, "GetRecord", err)
		if got.Expires.Sub(r.Expires).Abs() >= time.Microsecond {
			fail(t.TB, "GetRecord: Expires", got.Expires, r.Expires, "keep Expires to the microsecond")
		}
	})
	s.run(t, "keeps an Expires that is far off", func(t *recordTest) {
		r := t.record("far off")
		r.Expires = time.Date(2300, time.January, 1, 0, 0, 0, 1000, time.UTC)
		t.insert(r)
		t.holds("after InsertRecord", r, "UnixNano overflows in the year 2262, a 32-bit TIMESTAMP in 2038; UnixMicro does not")
	})
	s.run(t, "keeps a zero Expires", func(t *recordTest) {
		r := t.record("for ever")
		r.Expires = time.Time{}
		t.insert(r)
		t.holds("after InsertRecord", r, "store the zero Time as NULL, and read NULL as the zero Time")
		got, err := t.store.GetRecord(t.Context(), r.Kind, r.Key)
		works(t.TB, "GetRecord", err)
		if !got.Expires.IsZero() {
			fail(t.TB, "GetRecord: Expires", got.Expires, "a Time whose IsZero is true", "store the zero Time as NULL, and read NULL as the zero Time")
		}
	})
	s.run(t, "keeps an empty UserID", func(t *recordTest) {
		a, b := t.owned("a", ""), t.owned("b", "")
		t.insert(a, b)
		t.holds("after InsertRecord", a, asGiven)
		t.holds("after InsertRecord", b, asGiven)
	})
	s.run(t, "of a key that exists changes nothing", func(t *recordTest) {
		first := t.record("key")
		t.insert(first)
		second := t.owned("key", "another user")
		second.Data, second.Version = []byte("second"), 9
		const mend = "use INSERT with a primary key on kind and key, without ON CONFLICT DO UPDATE; the user is not part of the key"
		fails(t.TB, "InsertRecord of a key that exists", t.store.InsertRecord(t.Context(), second), auth.ErrRecordExists, mend)
		fails(t.TB, "InsertRecord of the same record again", t.store.InsertRecord(t.Context(), first), auth.ErrRecordExists, mend)
		t.holds("after a refused InsertRecord", first, mend)
		t.lists("after a refused InsertRecord", "another user", mend)
		t.lists("after a refused InsertRecord", "user", mend, first)
	})
	s.run(t, "of a key that was taken", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		_, err := t.store.TakeRecord(t.Context(), r.Kind, r.Key)
		works(t.TB, "TakeRecord", err)
		r.Data, r.Version = []byte("second"), -5
		t.insert(r)
		t.holds("after InsertRecord of a key that was taken", r, asGiven)
	})
	s.run(t, "of 50 racers with one key, one wins", func(t *recordTest) {
		again(t.TB, func(round int) {
			record := func(i int) auth.Record { return t.owned(fmt.Sprint("key ", round), fmt.Sprint("user ", i)) }
			errs := race(t.Context(), racers, func(ctx context.Context, i int) error { return t.store.InsertRecord(ctx, record(i)) })
			const mend = "do not look the key up and then insert, because two calls may look before either inserts: let the primary key refuse, or hold one lock over both steps (in a map: one Mutex around both)"
			winner := oneWins(t.TB, "InsertRecord of one key by 50 racers", errs, auth.ErrRecordExists, mend)
			t.holds("after the race", record(winner), "the record must hold what the winner wrote; "+mend)
		})
	})
	s.run(t, "of 50 racers over an expired record, one wins", func(t *recordTest) {
		again(t.TB, func(round int) {
			record := func(user string) auth.Record { return t.owned(fmt.Sprint("key ", round), user) }
			expired := record("user")
			t.insert(expired)
			t.clock.Set(expired.Expires)
			errs := race(t.Context(), racers, func(ctx context.Context, i int) error {
				return t.store.InsertRecord(ctx, record(fmt.Sprint("user ", i)))
			})
			const mend = "delete the expired record and insert in one transaction, or use INSERT … ON CONFLICT DO UPDATE … WHERE expires <= ?"
			winner := oneWins(t.TB, "InsertRecord over an expired record by 50 racers", errs, auth.ErrRecordExists, mend)
			t.holds("after the race", record(fmt.Sprint("user ", winner)), "the record must hold what the winner wrote; "+mend)
			t.lists("after the race", "user", mend)
		})
	})
	s.run(t, "of 50 racers with different keys, all win", func(t *recordTest) {
		var want []auth.Record
		for i := range racers {
			want = append(want, t.record(fmt.Sprint("key ", i)))
		}
		for i, err := range race(t.Context(), racers, func(ctx context.Context, i int) error { return t.store.InsertRecord(ctx, want[i]) }) {
			works(t.TB, fmt.Sprint("InsertRecord by racer ", i), err)
		}
		t.lists("after the race", "user", "return nil from InsertRecord only if the record was inserted", want...)
	})
}
