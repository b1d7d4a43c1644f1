package redisstore_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-login/auth"
	"github.com/go-login/auth/redisstore"
)

func zAt(t time.Time, member string) redis.Z {
	return redis.Z{Score: float64(t.Unix()), Member: member}
}

func TestIndexDoesNotGrow(t *testing.T) {
	f := newFixture(t)
	for i := range 1000 {
		key := strconv.Itoa(i % 7)
		f.insert(t, key)
		wantError(t, f.InsertRecord(t.Context(), f.record(key)), auth.ErrRecordExists)
		_, err := f.TakeRecord(t.Context(), "session", key)
		check(t, err)
	}
	if found := keys(t.Context(), t, f.client, f.prefix); len(found) != 0 {
		t.Errorf("what was taken has left %q", found)
	}

	// An expired record leaves the index a day and an hour later, with the next
	// insert or the next list.
	for round := range 4 {
		for i := range 10 {
			f.insert(t, fmt.Sprint("round ", round, " ", i))
		}
		if n := f.entries(t); n != 10 {
			t.Errorf("round %d: %d entries", round, n)
		}
		f.clock.Advance(26*time.Hour + time.Second)
	}
	if n := len(f.listed(t)); n != 0 {
		t.Errorf("%d listed of those that have expired", n)
	}
	if n := f.entries(t); n != 0 {
		t.Errorf("%d entries of those that have expired", n)
	}
}

// An entry is there before its record, so an entry without a record must not be
// dropped.
func TestAnEntryWaitsForItsRecord(t *testing.T) {
	f := newFixture(t)
	s, spy := f.spied(t)
	n := 0
	spy.before = func(string) {
		if n++; n != 2 {
			return
		}
		_, err := f.GetRecord(t.Context(), "session", "key")
		wantError(t, err, auth.ErrRecordNotFound)
		if listed := f.listed(t); len(listed) != 0 {
			t.Errorf("listed before it is there: %v", listed)
		}
		check(t, f.DeleteRecords(t.Context(), "session", "user"))
	}
	check(t, s.InsertRecord(t.Context(), f.record("key")))
	if n != 2 || !f.listed(t)["key"] {
		t.Errorf("after %d commands the record is not listed", n)
	}
}

func TestExtendedRecordsStayListed(t *testing.T) {
	f := newFixture(t)
	r := f.record("key")
	check(t, f.InsertRecord(t.Context(), r))
	for i := range 60 { // days
		f.clock.Advance(24 * time.Hour)
		if i%3 == 0 {
			f.clock.Advance(-23 * time.Hour)
		}
		f.clock.Advance(r.Expires.Add(-time.Microsecond).Sub(f.clock.Now())) // one microsecond before it expires
		r.Expires = f.clock.Now().Add(time.Duration(1+i*7%50) * time.Hour)
		check(t, f.UpdateRecord(t.Context(), r))
		r.Version++
		f.insert(t, fmt.Sprint("trims ", i))
		if !f.listed(t)["key"] {
			t.Fatalf("not listed after %d updates", i+1)
		}
	}
	check(t, f.DeleteRecords(t.Context(), "session", "user"))
	_, err := f.GetRecord(t.Context(), "session", "key")
	wantError(t, err, auth.ErrRecordNotFound)
}

// Anything may happen between the refusal of an update and its second try.
func TestExtensionIsRaced(t *testing.T) {
	for name, race := range map[string]struct {
		cross func(t *testing.T, f *fixture)
		want  error
		left  string // whose record is there in the end
	}{
		"by nobody": {func(*testing.T, *fixture) {}, nil, "user"},
		"by a list": {func(t *testing.T, f *fixture) { f.listed(t) }, nil, "user"},
		"by a longer one": {func(t *testing.T, f *fixture) {
			r := f.record("key")
			r.Expires = r.Expires.Add(5000 * time.Hour)
			check(t, f.UpdateRecord(t.Context(), r))
		}, auth.ErrConflict, "user"},
		"by a take": {func(t *testing.T, f *fixture) {
			_, err := f.TakeRecord(t.Context(), "session", "key")
			check(t, err)
		}, auth.ErrRecordNotFound, ""},
		"by one that replaces it": {func(t *testing.T, f *fixture) {
			_, err := f.TakeRecord(t.Context(), "session", "key")
			check(t, err)
			f.insert(t, "key")
		}, nil, "user"},
		"by another user's that replaces it": {func(t *testing.T, f *fixture) {
			_, err := f.TakeRecord(t.Context(), "session", "key")
			check(t, err)
			r := f.record("key")
			r.UserID = "another"
			check(t, f.InsertRecord(t.Context(), r))
		}, nil, "another"},
	} {
		for at := 2; at <= 3; at++ {
			t.Run(fmt.Sprint(name, " before command ", at), func(t *testing.T) {
				f := newFixture(t)
				s, spy := f.spied(t)
				f.insert(t, "key")
				r := f.record("key")
				r.Expires = f.clock.Now().Add(1000 * time.Hour)
				n := 0
				spy.before = func(string) {
					if n++; n == at {
						race.cross(t, f)
					}
				}
				if err := s.UpdateRecord(t.Context(), r); race.want == nil {
					check(t, err)
				} else {
					wantError(t, err, race.want)
				}
				if n < 3 {
					t.Errorf("%d commands", n)
				}
				f.clock.Advance(999 * time.Hour)
				if name == "by a longer one" {
					f.clock.Advance(4000 * time.Hour)
				}
				f.insert(t, "trims")
				for _, user := range []string{"user", "another"} {
					list, err := f.ListRecords(t.Context(), "session", user)
					check(t, err)
					listed := false
					for _, r := range list {
						listed = listed || r.Key == "key"
					}
					if listed != (user == race.left) {
						t.Errorf("listed for %s: %v, want it for %q", user, listed, race.left)
					}
				}
			})
		}
	}
}

func TestKindsHaveIndexesOfTheirOwn(t *testing.T) {
	f := newFixture(t)
	for _, kind := range []string{"session", "session2", "totp"} {
		for i := range 3 {
			r := f.record(strconv.Itoa(i))
			r.Kind = kind
			check(t, f.InsertRecord(t.Context(), r))
		}
	}
	check(t, f.DeleteRecords(t.Context(), "session", "user", "1"))
	for kind, want := range map[string]int{"session": 1, "session2": 3, "totp": 3} {
		if list, err := f.ListRecords(t.Context(), kind, "user"); err != nil || len(list) != want {
			t.Errorf("%d of the kind %s, %v; want %d", len(list), kind, err, want)
		}
	}
}

// A TakeRecord that drops its entry late does not drop the entry of a new
// record.
func TestEntriesAreOfOneRecord(t *testing.T) {
	f := newFixture(t)
	s, spy := f.spied(t)
	f.insert(t, "key")
	spy.before = func(sent string) {
		if sent == "zrem" {
			f.insert(t, "key")
		}
	}
	_, err := s.TakeRecord(t.Context(), "session", "key")
	check(t, err)
	if !f.listed(t)["key"] {
		t.Error("the new record is not listed")
	}
	// If the command that drops an entry is lost, the entry stays without a
	// record.
	check(t, f.client.ZAdd(t.Context(), f.prefix+"u/7/session/user", zAt(f.clock.Now().Add(time.Hour), "ABCDEFGHIJKLMkey")).Err())
	if listed := f.listed(t); len(listed) != 1 {
		t.Errorf("there are %v", listed)
	}

	spy.before = func(sent string) {
		if sent == "eval" {
			return
		}
		_, err := f.TakeRecord(t.Context(), "session", "key")
		check(t, err)
		r := f.record("key")
		r.UserID = "another"
		check(t, f.InsertRecord(t.Context(), r))
		spy.before = nil
	}
	f.insert(t, "more")
	check(t, s.DeleteRecords(t.Context(), "session", "user"))
	r, err := f.GetRecord(t.Context(), "session", "key")
	if err != nil || r.UserID != "another" {
		t.Errorf("DeleteRecords of a user deleted another's: %v", err)
	}
}

// A rotation inserts the new record of a login and then takes the old one.
// Wherever it crosses ListRecords, one of the two is in the list. Wherever it
// crosses DeleteRecords, either the new record is deleted, or the take finds
// that the old one is gone.
func TestRotationsDoNotSlipThrough(t *testing.T) {
	const others = 150 // so that reading all takes several commands
	rotate := func(t *testing.T, f *fixture, from, to string) bool {
		r := f.record(to)
		r.Expires = r.Expires.Add(time.Hour)
		check(t, f.InsertRecord(t.Context(), r))
		if _, err := f.TakeRecord(t.Context(), "session", from); err != nil {
			wantError(t, err, auth.ErrRecordNotFound)
			return false
		}
		return true
	}
	for name, verb := range map[string]func(s *redisstore.Records, ctx context.Context) (seen bool, err error){
		"ListRecords": func(s *redisstore.Records, ctx context.Context) (seen bool, err error) {
			list, err := s.ListRecords(ctx, "session", "user")
			for _, r := range list {
				seen = seen || len(r.Key) == 1
			}
			return seen, err
		},
		"DeleteRecords": func(s *redisstore.Records, ctx context.Context) (bool, error) {
			return false, s.DeleteRecords(ctx, "session", "user")
		},
	} {
		for at := 1; at <= 5; at++ {
			t.Run(fmt.Sprint(name, ", rotation before command ", at), func(t *testing.T) {
				f := newFixture(t)
				s, spy := f.spied(t)
				for i := range others {
					f.insert(t, fmt.Sprint("other ", i))
				}
				f.insert(t, "A")
				n, rotated := 0, false
				spy.before = func(string) {
					if n++; n == at {
						rotated = rotate(t, f, "A", "B")
					}
				}
				seen, err := verb(s, t.Context())
				check(t, err)
				spy.before = nil
				if name == "ListRecords" {
					if !seen {
						t.Error("neither is listed")
					}
					return
				}
				if left := f.listed(t); rotated && left["B"] {
					t.Error("the new record is there, and the old one was taken")
				}
			})
			// The entry of the new record is in the index already. The record
			// itself is inserted between the command that looks for it, with
			// the first hundred, and the next command.
			t.Run(fmt.Sprint(name, ", end of a rotation before command ", at), func(t *testing.T) {
				f := newFixture(t)
				s, spy := f.spied(t)
				rotating, pause := f.spied(t)
				soon := f.record("B")
				soon.Expires = soon.Expires.Add(-time.Minute) // sorted first
				late := f.record("A")
				late.Expires = late.Expires.Add(time.Minute) // sorted last
				for i := range others {
					f.insert(t, fmt.Sprint("other ", i))
				}
				check(t, f.InsertRecord(t.Context(), late))

				entered, goOn := make(chan struct{}), make(chan struct{})
				inserting := 0
				pause.before = func(string) {
					if inserting++; inserting == 2 {
						close(entered)
						<-goOn
					}
				}
				var wg sync.WaitGroup
				wg.Go(func() {
					if err := rotating.InsertRecord(t.Context(), soon); err != nil {
						t.Error(err)
					}
				})
				<-entered
				n, rotated := 0, false
				end := func() {
					close(goOn)
					wg.Wait()
					_, err := f.TakeRecord(t.Context(), "session", "A")
					rotated = err == nil
				}
				spy.before = func(string) {
					if n++; n == at {
						end()
					}
				}
				seen, err := verb(s, t.Context())
				spy.before = nil
				if n < at {
					end()
				}
				check(t, err)
				if name == "ListRecords" && !seen {
					t.Error("neither is listed")
				}
				if left := f.listed(t); name == "DeleteRecords" && n >= at && rotated && left["B"] {
					t.Error("the new record is there, and the old one was taken")
				}
			})
		}
	}
}

// Fifty goroutines insert, update, extend, take, list and delete at once. In
// the end the list has every record that was inserted and not deleted, and no
// other.
func TestFiftyAtOnce(t *testing.T) {
	f := newFixture(t)
	const racers, rounds = 50, 20
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			for round := range rounds {
				r := f.record(fmt.Sprintf("%d/%d", i, round))
				if i%5 == 4 { // these goroutines delete one another's records
					r.UserID = "victim"
				}
				if err := f.InsertRecord(t.Context(), r); err != nil {
					t.Error(err)
				}
				r.Expires = r.Expires.Add(time.Duration(i) * 24 * time.Hour)
				if err := f.UpdateRecord(t.Context(), r); err != nil && r.UserID == "user" {
					t.Error(err)
				}
				list, err := f.ListRecords(t.Context(), "session", r.UserID)
				found := r.UserID == "victim"
				for _, listed := range list {
					found = found || listed.Key == r.Key
				}
				if err != nil || !found {
					t.Errorf("racer %d does not find its record among %d, %v", i, len(list), err)
				}
				switch {
				case i%5 == 4:
					err = f.DeleteRecords(t.Context(), "session", "victim")
					if _, got := f.GetRecord(t.Context(), "session", r.Key); got == nil {
						t.Errorf("racer %d: deleted, and there", i)
					}
				case round < rounds-1:
					_, err = f.TakeRecord(t.Context(), "session", r.Key)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, entries := len(f.listed(t)), f.entries(t); n != racers*4/5 || entries != int64(n) {
		t.Errorf("%d records and %d entries, want %d", n, entries, racers*4/5)
	}
}

// If a record is replaced by one with the same key while the list is made, the
// list has only the later one.
func TestReplacedRecordsAreListedOnce(t *testing.T) {
	f := newFixture(t)
	s, spy := f.spied(t)
	f.insert(t, "a", "b")
	take := func(key string) {
		_, err := f.TakeRecord(t.Context(), "session", key)
		check(t, err)
	}
	n := 0
	spy.before = func(string) {
		switch n++; n {
		case 2: // the missing record makes it look again
			take("b")
		case 3:
			take("a")
			r := f.record("a")
			r.Version++
			check(t, f.InsertRecord(t.Context(), r))
		}
	}
	list, err := s.ListRecords(t.Context(), "session", "user")
	check(t, err)
	if len(list) != 1 || list[0].Version != f.record("a").Version+1 {
		t.Errorf("listed are %v", list)
	}
}
