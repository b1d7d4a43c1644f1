package bench_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/sqlstore"
)

// small is the number of users of the smaller store.
const small = 1000

// BenchmarkScale measures how much more the library's operations cost on a
// store with many logged-in users:
//
//	GOLOGIN_SCALE=1000000 go test -run '^$' -bench Scale -timeout 1h -v
//
// It fills two stores, one of them with a thousand users. Then it times each
// operation on both in turn. The users are spread over the whole store and each
// is used once, so that the larger store has not just read their rows. It
// reports the medians of the rounds, and the ratio of the larger store's to the
// smaller's.
//
// Logins here have no password: hashing takes a hundred times as long as the
// rest, and would hide it.
func BenchmarkScale(b *testing.B) {
	n, err := strconv.Atoi(testapp.Need(b, "GOLOGIN_SCALE"))
	if err != nil || n < small {
		b.Fatalf("GOLOGIN_SCALE is not a number from %d", small)
	}
	for _, e := range engines() {
		b.Run(e.name, func(b *testing.B) {
			times := scale(b, e, [2]int{small, n}, 9)
			for _, o := range operations() {
				few, many := times[measured{o.name, small}], times[measured{o.name, n}]
				if few == nil {
					continue
				}
				b.Run(fmt.Sprintf("%s/%d", o.name, small), func(b *testing.B) {
					b.ReportMetric(float64(median(few)), "ns/op")
				})
				b.Run(fmt.Sprintf("%s/%d", o.name, n), func(b *testing.B) {
					b.ReportMetric(float64(median(many)), "ns/op")
					b.ReportMetric(float64(median(many))/float64(median(few)), "ratio")
				})
			}
		})
	}
}

// TestScale checks that the benchmark works.
func TestScale(t *testing.T) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			times := scale(t, e, [2]int{400, 500}, 2)
			for _, o := range operations() {
				for _, n := range []int{400, 500} {
					if times := len(times[measured{o.name, n}]); times != 2*o.batch && o.name != "cleanup" {
						t.Errorf("%s with %d users: %d times", o.name, n, times)
					}
				}
			}
		})
	}
}

// An operation is timed. It changes users that no other operation uses.
type operation struct {
	name    string
	batch   int                                // how often it runs in a round
	same    bool                               // uses the same users in every round, whose rows are cached
	reads   bool                               // changes no user, and so needs none of its own
	ahead   time.Duration                      // how far the clock is ahead while it is timed
	prepare func(tb testing.TB, a *app)        // not timed
	do      func(tb testing.TB, a *app, i int) // runs it on a user
	check   func(tb testing.TB, a *app, i int) // not timed
}

// expired is the number of expired records for a cleanup: one batch of
// sqlstore.
const expired = 500

// listed is the number of users on a page of the list of users.
const listed = 50

func operations() []operation {
	find := func(tb testing.TB, a *app, i int) {
		user, err := a.FindUser(tb.Context(), username(i))
		check(tb, err)
		if user.ID != userID(i) {
			tb.Fatal("another user was found")
		}
	}
	load := func(tb testing.TB, a *app, i int) { a.visit(tb, i) }
	list := func(tb testing.TB, a *app, i int) { wantLogins(tb, a, i, 1) }
	users := func(tb testing.TB, a *app, i int) { // a page of the list of users, from anywhere
		page, _, err := a.Manager.ListUsers(tb.Context(), userID(i), listed)
		check(tb, err)
		if len(page) > listed || len(page) > 0 && page[0].ID <= userID(i) {
			tb.Fatal("another page is listed")
		}
	}
	return []operation{
		{name: "find", batch: 50, same: true, do: find},
		{name: "load", batch: 50, same: true, do: load},
		{name: "list", batch: 50, same: true, do: list},
		{name: "users", batch: 50, same: true, reads: true, do: users},
		{name: "find-cold", batch: 50, do: find},
		{name: "load-cold", batch: 50, do: load},
		{name: "list-cold", batch: 50, do: list},
		{name: "users-cold", batch: 50, reads: true, do: users},
		{name: "touch", batch: 10, ahead: 2 * time.Minute, do: load, check: func(tb testing.TB, a *app, i int) {
			if l := wantLogins(tb, a, i, 1); l[0].Seen.Before(a.clock.now()) {
				tb.Fatalf("seen at %v", l[0].Seen)
			}
		}},
		{name: "login", batch: 10, do: func(tb testing.TB, a *app, i int) {
			a.login(tb, username(i))
		}, check: func(tb testing.TB, a *app, i int) { wantLogins(tb, a, i, 2) }},
		{name: "end", batch: 10, do: func(tb testing.TB, a *app, i int) {
			check(tb, a.LogoutEverywhere(tb.Context(), &User{Account: auth.Account{ID: userID(i)}}))
		}, check: func(tb testing.TB, a *app, i int) { wantLogins(tb, a, i, 0) }},
		{name: "cleanup", batch: 2, prepare: func(tb testing.TB, a *app) { a.expire(tb, expired) }, do: func(tb testing.TB, a *app, _ int) {
			n, err := a.cleanup(tb.Context())
			check(tb, err)
			if n < expired {
				tb.Fatalf("%d records cleaned up", n)
			}
		}},
	}
}

func wantLogins(tb testing.TB, a *app, i, n int) []auth.Login {
	tb.Helper()
	l, err := a.Logins(tb.Context(), userID(i))
	check(tb, err)
	if len(l) != n {
		tb.Fatalf("user %d has %d logins, want %d", i, len(l), n)
	}
	return l
}

// A measured identifies a measurement: an operation on a store of a size.
type measured struct {
	operation string
	size      int
}

// scale fills stores of these sizes and times every operation on each, in
// rounds that alternate between the stores. It returns the times.
func scale(tb testing.TB, e engine, sizes [2]int, rounds int) map[measured][]time.Duration {
	tb.Helper()
	apps := map[int]*app{}
	for _, n := range sizes {
		c := newClock()
		apps[n] = newApp(tb, e.open(tb, c, nil), c)
		began := time.Now()
		apps[n].fill(tb, n)
		if apps[n].dialect == sqlstore.Postgres {
			exec(tb, apps[n].db, `CHECKPOINT`) // otherwise a checkpoint would run during the measurement
		}
		tb.Logf("%s: %d users and logins in %v", e.name, n, time.Since(began).Round(time.Millisecond))
		if apps[n].sizes != nil {
			for what, size := range apps[n].sizes(tb) {
				tb.Logf("%s: %d bytes for each user", what, size/int64(n))
			}
		}
	}
	times := map[measured][]time.Duration{}
	parts := 0 // of the users, one for each operation that has users of its own
	for _, o := range operations() {
		if !o.reads {
			parts++
		}
	}
	turn := 0
	for _, o := range operations() {
		if o.name == "cleanup" && apps[sizes[0]].cleanup == nil {
			continue
		}
		for round := range rounds + 1 { // the first one warms up
			for _, n := range []int{sizes[round%2], sizes[1-round%2]} {
				a := apps[n]
				a.clock.add(o.ahead)
				for j := range o.batch {
					first, own := turn*(n/parts), n/parts // the operation's users, in an order that no index has
					if o.reads {
						first, own = 0, n
					}
					i := first + (round*o.batch+j)*7919%own
					if o.same {
						i = first + j
					}
					if o.prepare != nil {
						o.prepare(tb, a)
					}
					began := time.Now()
					o.do(tb, a, i)
					took := time.Since(began)
					if o.check != nil {
						o.check(tb, a, i)
					}
					if round > 0 {
						times[measured{o.name, n}] = append(times[measured{o.name, n}], took)
					}
				}
				a.clock.add(-o.ahead)
			}
		}
		if !o.reads {
			turn++
		}
	}
	return times
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}
