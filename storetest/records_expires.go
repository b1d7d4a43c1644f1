package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-login/auth"
)

func (s recordSuite) expires(t *testing.T) {
	const mend = "treat a record as gone when !now.Before(expires), where now comes from the clock passed to open; in SQL a record lives while expires IS NULL OR expires > ?"

	// at sets the clock to the instant at which r expires.
	at := func(t *recordTest, r auth.Record) { t.clock.Set(r.Expires) }

	s.run(t, "a microsecond before, the record is there for every verb", func(t *recordTest) {
		get, update, take, insert := t.record("get"), t.record("update"), t.record("take"), t.record("insert")
		t.insert(get, update, take, insert)
		t.clock.Set(get.Expires.Add(-time.Microsecond))
		const did = "a microsecond before Expires"
		t.lists(did, "user", mend, get, update, take, insert)
		t.holds(did, get, mend)
		update = t.update(update, "new")
		t.holds(did, update, mend)
		_, err := t.store.TakeRecord(t.Context(), take.Kind, take.Key)
		works(t.TB, did+": TakeRecord", err)
		fails(t.TB, did+": InsertRecord", t.store.InsertRecord(t.Context(), insert), auth.ErrRecordExists, mend)
	})
	s.run(t, "at the instant, GetRecord finds nothing", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		at(t, r)
		_, err := t.store.GetRecord(t.Context(), r.Kind, r.Key)
		fails(t.TB, "GetRecord at the instant of Expires", err, auth.ErrRecordNotFound, mend)
	})
	s.run(t, "at the instant, ListRecords leaves it out", func(t *recordTest) {
		r, never := t.record("key"), t.record("never")
		never.Expires = time.Time{}
		t.insert(r, never)
		at(t, r)
		t.lists("at the instant of Expires", "user", mend, never)
	})
	s.run(t, "at the instant, TakeRecord finds nothing", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		at(t, r)
		_, err := t.store.TakeRecord(t.Context(), r.Kind, r.Key)
		fails(t.TB, "TakeRecord at the instant of Expires", err, auth.ErrRecordNotFound, mend)
	})
	s.run(t, "at the instant, UpdateRecord finds nothing and revives nothing", func(t *recordTest) {
		for _, expires := range []time.Time{t.clock.Now().Add(48 * time.Hour), {}} {
			r := t.record("key " + expires.String())
			t.insert(r)
			at(t, r)
			longer := r
			longer.Expires = expires
			const mend = "check in UpdateRecord, too, whether the stored Expires has passed; " + mend
			fails(t.TB, "UpdateRecord at the instant of Expires", t.store.UpdateRecord(t.Context(), longer), auth.ErrRecordNotFound, mend)
			t.gone("after UpdateRecord at the instant of Expires", r, mend)
		}
	})
	s.run(t, "at the instant, InsertRecord takes its place", func(t *recordTest) {
		old := t.record("key")
		t.insert(old)
		at(t, old)
		next := t.owned("key", "another")
		next.Data, next.Version = []byte("next"), 3
		works(t.TB, "InsertRecord at the instant when the old record expires", t.store.InsertRecord(t.Context(), next))
		const mend = "remove every trace of the expired record, also from the list of its user"
		t.holds("after InsertRecord over an expired record", next, mend)
		t.lists("after InsertRecord over an expired record", "user", mend)
		t.lists("after InsertRecord over an expired record", "another", mend, next)
		works(t.TB, "DeleteRecords of the user of the expired record", t.store.DeleteRecords(t.Context(), t.kind, "user"))
		t.holds("after DeleteRecords of the user of the expired record", next, mend)
	})
	s.run(t, "at a whole second, and at one with a fraction, is exact to the microsecond", func(t *recordTest) {
		second := t.clock.Now().Truncate(time.Minute).Add(time.Hour)
		for _, expires := range []time.Time{second, second.Add(100 * time.Millisecond), second.Add(time.Microsecond), second.Add(999_999 * time.Microsecond)} {
			t.clock.Set(second.Add(-time.Minute))
			user := "user of " + expires.String()
			get, update, take, insert := t.owned("get "+user, user), t.owned("update "+user, user), t.owned("take "+user, user), t.owned("insert "+user, user)
			for _, r := range []*auth.Record{&get, &update, &take, &insert} {
				r.Expires = expires
				t.insert(*r)
			}
			const mend = "compare times as times or as numbers of microseconds: as texts, 04:05:06.1Z comes before 04:05:06Z; " + mend
			did := "a microsecond before " + expires.Format(time.RFC3339Nano)
			t.clock.Set(expires.Add(-time.Microsecond))
			t.lists(did, user, mend, get, update, take, insert)
			t.holds(did, get, mend)
			update = t.update(update, "new")
			fails(t.TB, did+": InsertRecord", t.store.InsertRecord(t.Context(), insert), auth.ErrRecordExists, mend)
			for after, now := range map[string]time.Time{"at ": expires, "a microsecond after ": expires.Add(time.Microsecond), "most of a second after ": expires.Add(999_999 * time.Microsecond)} {
				did = after + expires.Format(time.RFC3339Nano)
				t.clock.Set(now)
				t.lists(did, user, mend)
				t.gone(did, get, mend)
				fails(t.TB, did+": UpdateRecord", t.store.UpdateRecord(t.Context(), update), auth.ErrRecordNotFound, mend)
				_, err := t.store.TakeRecord(t.Context(), take.Kind, take.Key)
				fails(t.TB, did+": TakeRecord", err, auth.ErrRecordNotFound, mend)
			}
			insert.Expires = insert.Expires.Add(time.Hour)
			works(t.TB, did+": InsertRecord over the expired record", t.store.InsertRecord(t.Context(), insert))
		}
	})
	s.run(t, "in any time zone, of the record or of the clock, is the same instant", func(t *recordTest) {
		const mend = "compare instants, not local times: store UTC or UnixMicro, and pass the current time to the database in the same form"
		expires := t.clock.Now().Add(time.Hour)
		zones := []*time.Location{time.UTC, time.FixedZone("east", 14*3600), time.FixedZone("west", -(9*3600 + 1800))}
		for i, of := range zones {
			for j, at := range zones {
				r := t.record(fmt.Sprint("key ", i, j))
				r.Expires = expires.In(of)
				t.clock.Set(expires.Add(-time.Microsecond).In(at))
				t.insert(r)
				when := fmt.Sprintf("Expires in the zone %s, by a clock in the zone %s", of, at)
				t.holds("a microsecond before "+when, r, mend)
				t.clock.Set(expires.In(at))
				t.gone("at "+when, r, mend)
			}
		}
	})
	s.run(t, "zero means never, even in the year 9999", func(t *recordTest) {
		r := t.record("key")
		r.Expires = time.Time{}
		t.insert(r)
		for _, now := range []time.Time{time.Date(1969, time.July, 20, 0, 0, 0, 0, time.UTC), time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)} {
			t.clock.Set(now)
			after := "on the " + now.Format(time.DateOnly)
			t.holds(after, r, "a zero Expires means never; store it as NULL")
			t.lists(after, "user", "a zero Expires means never; store it as NULL", r)
			fails(t.TB, after+": InsertRecord", t.store.InsertRecord(t.Context(), r), auth.ErrRecordExists, "a zero Expires means never; store it as NULL")
			r = t.update(r, after)
		}
	})
	s.run(t, "the Unix epoch is a time like any other", func(t *recordTest) {
		r := t.record("key")
		r.Expires = time.Unix(0, 0)
		t.insert(r)
		t.gone("after InsertRecord with the epoch as Expires", r, "only the zero Time means never, and the number 0 is the year 1970: store never as NULL")
	})
	s.run(t, "in the past already at the insert, the record is never there", func(t *recordTest) {
		r := t.record("key")
		r.Expires = t.clock.Now()
		works(t.TB, "InsertRecord of a record that has expired", t.store.InsertRecord(t.Context(), r))
		t.gone("after InsertRecord of a record that has expired", r, mend)
		r.Expires = t.clock.Now().Add(time.Hour)
		t.insert(r)
		t.holds("after InsertRecord over a record that had expired at once", r, mend)
	})
	s.run(t, "UpdateRecord brings it forward", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		r.Expires = r.Expires.Add(-time.Minute)
		r = t.update(r, "shorter")
		t.clock.Set(r.Expires.Add(-time.Microsecond))
		t.holds("a microsecond before the new Expires", r, mend)
		t.clock.Set(r.Expires)
		t.gone("at the new Expires", r, "let UpdateRecord replace Expires; "+mend)
	})
	s.run(t, "UpdateRecord puts it off", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		old := r.Expires
		r.Expires = old.Add(time.Minute)
		r = t.update(r, "longer")
		t.clock.Set(old)
		t.holds("at the old Expires", r, "let UpdateRecord replace Expires; "+mend)
		t.clock.Set(r.Expires)
		t.gone("at the new Expires", r, mend)
	})
	s.run(t, "UpdateRecord lifts it and sets it again", func(t *recordTest) {
		r := t.record("key")
		t.insert(r)
		old := r.Expires
		r.Expires = time.Time{}
		r = t.update(r, "for ever")
		t.clock.Set(old.Add(1000 * time.Hour))
		t.holds("long after the old Expires", r, "let UpdateRecord replace Expires, also with zero; "+mend)
		r.Expires = t.clock.Now().Add(time.Minute)
		r = t.update(r, "not for ever")
		t.clock.Set(r.Expires)
		t.gone("at the new Expires", r, "let UpdateRecord replace Expires, also a zero one; "+mend)
	})
	s.run(t, "TakeRecord of another record leaves it", func(t *recordTest) {
		r, soon := t.record("key"), t.record("soon")
		soon.Expires = t.clock.Now().Add(time.Second)
		t.insert(r, soon)
		at(t, soon)
		for i := range 20 { // a clean-up that runs in these calls must not delete too much
			extra := t.record(fmt.Sprint("extra ", i))
			t.insert(extra)
			_, err := t.store.TakeRecord(t.Context(), extra.Kind, extra.Key)
			works(t.TB, "TakeRecord", err)
		}
		t.holds("after other records expired", r, "let a clean-up delete expired records only")
		t.gone("after it expired", soon, mend)
	})
}
