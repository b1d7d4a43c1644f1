package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// TestRecordStoreProcesses checks a store of records that several processes may
// share: four of them race, and what one has written the others see.
//
// It calls create once, which makes an empty database, removes it with t.Cleanup
// and returns what it goes by: a file, a DSN. Then it runs this test in four
// processes more, where create is not called. Each of the five opens that
// database once and closes it with t.Cleanup. What open must know besides has to
// come from the environment.
func TestRecordStoreProcesses(t *testing.T, create func(t *testing.T) (name string),
	open func(t *testing.T, name string, clock func() time.Time) auth.RecordStore) {
	const suite = "records"
	c := newClock()
	if name, ok := processOf(t, suite); ok {
		store := open(t, name, c.Now)
		serve(t, c, func(ctx context.Context, one call) answer { return one.ofRecords(ctx, store) })
		return
	}
	name := create(t)
	store := open(t, name, c.Now)
	crew := start(t, suite, name)
	run := func(name string, f func(t *recordTest)) {
		t.Run(name, func(t *testing.T) { f(&recordTest{t, store, c, "kind-" + unique()}) })
	}

	const mend = "what must be one step must be one for the database, in a statement or a transaction: a lock of this process holds up no other"

	run("of 48 racers with one key, one wins", func(t *recordTest) {
		repeat(t, meetings, func(round int) {
			record := func(i int) auth.Record {
				return t.owned(fmt.Sprint("key ", round), fmt.Sprintf("user %d of round %d", i, round))
			}
			_, errs := crew.race(t, c, func(i int) call { return call{Verb: "InsertRecord", Record: record(i)} })
			winner := oneWins(t, "InsertRecord of one key by 48 racers in 4 processes", errs, auth.ErrRecordExists, mend)
			t.stands("after the race", record(winner), true, "the record is the winner's; "+mend)
		})
	})
	run("of 48 racers over an expired record, one wins", func(t *recordTest) {
		repeat(t, meetings, func(round int) {
			record := func(user string) auth.Record { return t.owned(fmt.Sprint("key ", round), user) }
			expired := record("user")
			t.insert(expired)
			c.Set(expired.Expires)
			_, errs := crew.race(t, c, func(i int) call {
				return call{Verb: "InsertRecord", Record: record(fmt.Sprintf("user %d of round %d", i, round))}
			})
			winner := oneWins(t, "InsertRecord over an expired record by 48 racers in 4 processes", errs, auth.ErrRecordExists, mend)
			t.stands("after the race", record(fmt.Sprintf("user %d of round %d", winner, round)), true, "the record is the winner's; "+mend)
		})
	})
	run("of 48 racers with one Version, one wins", func(t *recordTest) {
		repeat(t, meetings, func(round int) {
			r := t.record(fmt.Sprint("key ", round))
			t.insert(r)
			racer := func(i int) auth.Record {
				mine := r
				mine.Data = fmt.Append(nil, "racer ", i)
				return mine
			}
			_, errs := crew.race(t, c, func(i int) call { return call{Verb: "UpdateRecord", Record: racer(i)} })
			winner := oneWins(t, "UpdateRecord by 48 racers in 4 processes with one Version", errs, auth.ErrConflict, mend)
			r = racer(winner)
			r.Version++
			t.holds("after the race", r, "the record is the winner's; "+mend)
		})
	})
	run("of 48 racers who take a record, one wins", func(t *recordTest) {
		repeat(t, meetings, func(round int) {
			r := t.record(fmt.Sprint("key ", round))
			t.insert(r)
			taken, errs := crew.race(t, c, func(int) call { return call{Verb: "TakeRecord", Record: r} })
			winner := oneWins(t, "TakeRecord by 48 racers in 4 processes", errs, auth.ErrRecordNotFound, mend)
			t.same("TakeRecord by the winner", taken[winner].Records[0], r, "the record that is returned is whole")
			t.gone("after the race", r, mend)
		})
	})
	run("of 24 racers who insert and 24 who take, no record is lost or taken twice", func(t *recordTest) {
		repeat(t, meetings, func(round int) {
			record := func(i int) auth.Record { return dated(t.record(fmt.Sprint("key ", round)), int64(i)<<20) }
			answers, errs := crew.race(t, c, func(i int) call {
				if i/processes%2 == 0 { // half of each process
					return call{Verb: "InsertRecord", Record: record(i)}
				}
				return call{Verb: "TakeRecord", Record: record(i)}
			})
			left := map[int64]int{}
			for i, err := range errs {
				switch {
				case i/processes%2 == 0 && err == nil:
					left[record(i).Version]++
				case i/processes%2 == 1 && err == nil:
					r := answers[i].Records[0]
					left[r.Version]--
					t.same("TakeRecord by a racer", r, dated(r, r.Version), "the record that is returned is whole")
				default:
					works(t, "InsertRecord or TakeRecord of one key by 48 racers in 4 processes (ErrRecordExists and ErrRecordNotFound are expected)",
						unless(unless(err, auth.ErrRecordExists), auth.ErrRecordNotFound))
				}
			}
			const did = "InsertRecord and TakeRecord of one key by 48 racers in 4 processes"
			var rest []auth.Record
			for version, n := range left {
				switch {
				case n == 1:
					rest = append(rest, dated(record(0), version))
				case n != 0:
					fail(t, did, fmt.Sprintf("the record with the Version %d was taken %d times more often than inserted", version, -n), "as often at most", mend)
				}
			}
			switch len(rest) {
			case 0:
				t.gone("after "+did+", who took as many as they inserted", record(0), mend)
			case 1:
				t.stands("after "+did+", who took all but one of what they inserted", rest[0], true, mend)
			default:
				fail(t, did, fmt.Sprintf("%d records were inserted and not taken", len(rest)), "at most one", mend)
			}
			_, _ = t.store.TakeRecord(t.Context(), t.kind, record(0).Key)
		})
	})
	run("that count lose nothing", func(t *recordTest) {
		const each = 2
		r := t.record("key")
		r.Data = nil
		t.insert(r)
		all := processes * perProcess * each
		_, errs := crew.race(t, c, func(int) call { return call{Verb: "count", Record: r, All: all, Times: each} })
		for _, err := range errs {
			works(t, "GetRecord and UpdateRecord until it does not conflict", err)
		}
		r.Data, r.Version = []byte(strings.Repeat("+", all)), r.Version+int64(all)
		t.holds(fmt.Sprintf("after 48 racers in 4 processes counted %d times each", each), r, mend)
	})
	run("see at once what another has written", func(t *recordTest) {
		for round := range processes {
			r := t.record(fmt.Sprint("key ", round))
			deleted := t.owned(fmt.Sprint("key to delete ", round), "another")
			t.seenByAll(crew, "before InsertRecord", r, false)
			by := func(n int, verb string, r auth.Record) {
				t.Helper()
				_, err := crew[(round+n)%processes].ask(t, c, call{Verb: verb, Record: r})
				works(t, verb+" in one process of four", err)
			}
			by(0, "InsertRecord", r)
			t.seenByAll(crew, "after InsertRecord in one of them", r, true)
			r.Data = []byte("new")
			by(1, "UpdateRecord", r)
			r.Version++
			t.seenByAll(crew, "after UpdateRecord in one of them", r, true)
			by(2, "TakeRecord", r)
			t.seenByAll(crew, "after TakeRecord in one of them", r, false)
			by(3, "InsertRecord", deleted)
			t.seenByAll(crew, "after InsertRecord in one of them", deleted, true)
			by(0, "DeleteRecords", deleted)
			t.seenByAll(crew, "after DeleteRecords in one of them", deleted, false)
		}
	})
}

// seenByAll checks that every process finds a record just like this, or none,
// when it is asked once.
func (t *recordTest) seenByAll(crew crew, when string, want auth.Record, there bool) {
	t.Helper()
	const mend = "when a call has returned, every other process sees what it did: keep nothing in memory that another may change, and read from no replica"
	for i, p := range crew {
		did := fmt.Sprintf("%s: GetRecord in process %d of 4", when, i+1)
		got, err := p.ask(t, t.clock, call{Verb: "GetRecord", Record: want})
		list, listErr := p.ask(t, t.clock, call{Verb: "ListRecords", Record: want})
		works(t, "ListRecords in another process", listErr)
		did2 := strings.Replace(did, "GetRecord", "ListRecords", 1)
		switch {
		case !there:
			fails(t, did, err, auth.ErrRecordNotFound, mend)
			t.sameList(did2, list.Records, nil, mend)
		case err != nil:
			fail(t, did, err, "the record", mend)
		default:
			t.same(did, got.Records[0], want, mend)
			t.sameList(did2, list.Records, []auth.Record{want}, mend)
		}
	}
	if there {
		t.stands(when+", in a fifth process", want, true, mend)
	} else {
		t.gone(when+", in a fifth process", want, mend)
	}
}

// ofRecords makes a call.
func (c call) ofRecords(ctx context.Context, store auth.RecordStore) (a answer) {
	r := c.Record
	var err error
	switch c.Verb {
	case "InsertRecord":
		err = store.InsertRecord(ctx, r)
	case "GetRecord":
		r, err = store.GetRecord(ctx, r.Kind, r.Key)
		a.Records = []auth.Record{r}
	case "UpdateRecord":
		err = store.UpdateRecord(ctx, r)
	case "TakeRecord":
		r, err = store.TakeRecord(ctx, r.Kind, r.Key)
		a.Records = []auth.Record{r}
	case "ListRecords":
		a.Records, err = store.ListRecords(ctx, r.Kind, r.UserID)
	case "DeleteRecords":
		err = store.DeleteRecords(ctx, r.Kind, r.UserID)
	case "count":
		err = count(c.All, c.Times, func() error {
			got, err := store.GetRecord(ctx, r.Kind, r.Key)
			if err != nil {
				return err
			}
			got.Data = append(got.Data, '+')
			return store.UpdateRecord(ctx, got)
		})
	default:
		err = errors.ErrUnsupported
	}
	a.failed(err)
	return a
}
