// Package storetest checks implementations of [auth.UserStore] and
// [auth.RecordStore]. A store is right if these tests pass:
//
//	func TestUsers(t *testing.T) {
//		storetest.TestUserStore(t, func(t *testing.T, clock func() time.Time) auth.UserStore[*User] {
//			return mystore.New(emptyDatabase(t), clock)
//		})
//	}
//
// The subtests are the contract in detail, and their names are meant to be read
// (go test -v). A failure says what was done, what came of it, what was due, and
// how such a store is usually mended.
//
// # What open must do
//
// Both suites call open once for each subtest. It returns a store that is empty,
// and closes it with t.Cleanup. The store must take the time from clock, and
// from nowhere else: the suites set the clock and wait for nothing. (No two
// subtests use the same names, so a database that keeps the rows of an earlier
// one spoils nothing; but it slows the suite down, and real stores start empty.)
//
// # What a store must have room for
//
//   - usernames of 64 code points, which may be 256 bytes of UTF-8, in both their
//     forms, and addresses of 254 bytes;
//   - secrets and roles of 255 bytes;
//   - keys of 200 bytes and kinds of 50, of any bytes, NUL and invalid UTF-8
//     among them;
//   - 100 000 bytes of Data;
//   - an Expires in the year 2300.
//
// The races of the suites have 50 goroutines. Each must get an answer of the
// contract: a store that lets one fail because the database was busy must retry.
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// racers is how many goroutines do the same thing at once where one may win,
// rounds how often two things are raced that must not interleave.
const (
	racers = 50
	rounds = 50
)

// A clock stands still until it is set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

// newClock returns a clock at a time far from the machine's, so that a store
// that asks the machine is found out. Its seconds have a fraction.
func newClock() *clock {
	return &clock{now: time.Date(2031, time.February, 3, 4, 5, 6, 789_012_000, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// unique returns a text of 10 small letters and digits that no other subtest
// uses.
func unique() string { return strings.ToLower(rand.Text()[:10]) }

// fail reports what was done, what came of it, what was due, and how to mend the
// store.
func fail(t *testing.T, did string, got, want any, mend string) {
	t.Helper()
	t.Errorf("%s\n\tgot:  %v\n\twant: %v\n\tmend: %s", did, got, want, mend)
}

// works ends the test if something failed that the rest of it stands on.
func works(t *testing.T, did string, err error) {
	t.Helper()
	if err != nil {
		fail(t, did, err, "no error", "nothing speaks against this call; the error should say what did")
		t.FailNow()
	}
}

// fails reports whether err is want, and fails the test if it is not.
func fails(t *testing.T, did string, err, want error, mend string) bool {
	t.Helper()
	if errors.Is(err, want) {
		return true
	}
	if err == nil {
		fail(t, did, "no error", want, mend)
	} else {
		fail(t, did, err, want, mend+" (errors.Is must find the error of package auth, which may be wrapped)")
	}
	return false
}

// race calls f from n goroutines at once and returns their errors. A store that
// asks the context it gets, as it must, lets the others go first.
func race(ctx context.Context, n int, f func(ctx context.Context, i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			errs[i] = f(yielding{ctx}, i)
		})
	}
	close(start)
	group.Wait()
	return errs
}

// yielding is a context in which everybody else goes first, so that what is not
// done in one step is seen to be several.
type yielding struct{ context.Context }

func (y yielding) Err() error {
	runtime.Gosched()
	return y.Context.Err()
}

func (y yielding) Done() <-chan struct{} {
	runtime.Gosched()
	return y.Context.Done()
}

func (y yielding) Value(key any) any {
	runtime.Gosched()
	return y.Context.Value(key)
}

// oneWins checks that of racers one has succeeded and the others have lost, each
// with the error lost. It returns the winner.
func oneWins(t *testing.T, did string, errs []error, lost error, mend string) (winner int) {
	t.Helper()
	winner = -1
	wins := 0
	for i, err := range errs {
		switch {
		case err == nil:
			winner = i
			wins++
		case !errors.Is(err, lost):
			fail(t, did, fmt.Sprintf("racer %d: %v", i, err), lost,
				"the loser of a race has done nothing wrong; if the database was busy or saw a deadlock, retry inside the store")
			t.FailNow()
		}
	}
	if wins != 1 {
		fail(t, did, fmt.Sprintf("%d of %d succeeded", wins, len(errs)), fmt.Sprintf("1, and %q for the others", lost), mend)
		t.FailNow()
	}
	return winner
}

// cancelled returns a context whose caller has gone.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// refusesCancelled checks the error of a call with a cancelled context. It must
// not be one of those that say something about the data.
func refusesCancelled(t *testing.T, did string, err error, answers ...error) {
	t.Helper()
	const mend = "give the context to every query, or ask ctx.Err() first"
	if err == nil {
		fail(t, did+" with a cancelled context", "no error", context.Canceled, mend)
	}
	for _, answer := range answers {
		if errors.Is(err, answer) {
			fail(t, did+" with a cancelled context", err, context.Canceled,
				mend+"; that nobody waited for the answer is not an answer")
		}
	}
}
