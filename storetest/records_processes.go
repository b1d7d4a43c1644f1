package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// TestRecordStoreProcesses checks a store of records whose database several
// processes share: four processes race, and each must see what another has
// written.
//
// It calls create once. create makes an empty database, removes it with
// t.Cleanup and returns its name, such as a file or a DSN. The test then runs
// itself in four more processes, which do not call create. Each of the five
// processes opens that database once and closes it with t.Cleanup. Anything
// else that open needs to know must come from the environment.
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

	const mend = "make it one step for the database, with one statement or one transaction: a lock of this process does not stop the other processes"

	run("of 48 racers with one key, one wins", func(t *recordTest) {
		repeat(t, meetings, func(round int) {
			record := func(i int) auth.Record {
				return t.owned(fmt.Sprint("key ", round), fmt.Sprintf("user %d of round %d", i, round))
			}
			_, errs := crew.race(t, c, func(i int) call { return call{Verb: "InsertRecord", Record: record(i)} })
			winner := oneWins(t, "InsertRecord of one key by 48 racers in 4 processes", errs, auth.ErrRecordExists, mend)
			t.stands("after the race", record(winner), true, "the record must hold what the winner wrote; "+mend)
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
			t.stands("after the race", record(fmt.Sprintf("user %d of round %d", winner, round)), true, "the record must hold what the winner wrote; "+mend)
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
			t.holds("after the race", r, "the record must hold what the winner wrote; "+mend)
		})
	})
	run("of 48 racers who take a record, one wins", func(t *recordTest) {
		repeat(t, meetings, func(round int) {
			r := t.record(fmt.Sprint("key ", round))
			t.insert(r)
			taken, errs := crew.race(t, c, func(int) call { return call{Verb: "TakeRecord", Record: r} })
			winner := oneWins(t, "TakeRecord by 48 racers in 4 processes", errs, auth.ErrRecordNotFound, mend)
			t.same("TakeRecord by the winner", taken[winner].Records[0], r, "return the whole record")
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
					t.same("TakeRecord by a racer", r, dated(r, r.Version), "return the whole record")
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
					fail(t, did, fmt.Sprintf("the record with the Version %d was taken %d times more often than inserted", version, -n), "at most as often", mend)
				}
			}
			switch len(rest) {
			case 0:
				t.gone("after "+did+", which took as many as they inserted", record(0), mend)
			case 1:
				t.stands("after "+did+", which took all but one of the records they inserted", rest[0], true, mend)
			default:
				fail(t, did, fmt.Sprintf("%d records were inserted and not taken", len(rest)), "at most one", mend)
			}
			_, _ = t.store.TakeRecord(t.Context(), t.kind, record(0).Key)
		})
	})
	run("lose no count of 48 racers", func(t *recordTest) {
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
	run("see at once what another process has written", func(t *recordTest) {
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

// seenByAll checks, with one call to each process, that every process finds
// exactly this record, or none.
func (t *recordTest) seenByAll(crew crew, when string, want auth.Record, there bool) {
	t.Helper()
	const mend = "after a call has returned, every other process must see its effect: do not cache what another process may change, and do not read from a replica"
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

// ofRecords makes a call to a store of records.
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
			got.Data = append(slices.Clone(got.Data), '+') // see auth.Record
			return store.UpdateRecord(ctx, got)
		})
	default:
		err = errors.ErrUnsupported
	}
	a.failed(err)
	return a
}
