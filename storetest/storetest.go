package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-login/auth"
)

// racers is the number of goroutines that do the same thing at once where one
// may win. rounds limits how often a race between two different calls is
// repeated.
const (
	racers = 50
	rounds = 50
)

// A clock stands still until it is set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

// newClock returns a clock that shows a time far from the machine's. A store
// that asks the machine's clock therefore fails. The seconds have a fraction.
func newClock() *clock {
	return &clock{now: time.Date(2031, time.February, 3, 4, 5, 6, 789_012_000, time.UTC)}
}

// Now lets all other goroutines run first; see yielding.
func (c *clock) Now() time.Time {
	runtime.Gosched()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// unique returns a text of 10 lower-case letters and digits that no other
// subtest uses.
func unique() string { return strings.ToLower(rand.Text()[:10]) }

// fail reports what the test did, what it got, what it wanted, and how to fix
// the store. Long texts are cut, because an error may contain a whole key.
func fail(t testing.TB, did string, got, want any, mend string) {
	t.Helper()
	if strings.Contains(fmt.Sprint(got), "database is locked") {
		mend = `SQLite is busy: open it with busy_timeout, WAL and "BEGIN IMMEDIATE", such as file:app.db?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate of modernc.org/sqlite. Otherwise: ` + mend
	}
	t.Errorf("%.1000s\n\tgot:  %.1000v\n\twant: %.1000v\n\tfix:  %s", printable(did), printable(fmt.Sprint(got)), printable(fmt.Sprint(want)), mend)
}

// printable escapes characters that could disturb a terminal, such as a NUL in
// a database's error.
func printable(s string) string {
	if !strings.ContainsFunc(s, isControl) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(r)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case isControl(r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isControl(r rune) bool {
	return r == utf8.RuneError || r != '\n' && r != '\t' && !unicode.IsPrint(r)
}

// works ends the test if a call failed that the rest of the test depends on.
func works(t testing.TB, did string, err error) {
	t.Helper()
	if err != nil {
		fail(t, did, err, "no error", "this call is valid and must succeed; if it cannot, its error should say why")
		t.FailNow()
	}
}

// fails reports whether err is want, and fails the test if it is not.
func fails(t testing.TB, did string, err, want error, mend string) bool {
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

// race calls f from n goroutines at once and returns their errors. All start
// when the last one is ready, so that as many run at once as there are
// processors. Each time the store asks its context, as it must, the other
// goroutines run first.
func race(ctx context.Context, n int, f func(ctx context.Context, i int) error) []error {
	errs := make([]error, n)
	var arrived atomic.Int64
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			for arrived.Add(1); arrived.Load() < int64(n); {
				runtime.Gosched()
			}
			errs[i] = f(yielding{ctx}, i)
		})
	}
	group.Wait()
	return errs
}

// again repeats a race for up to 50 ms, at least once and at most rounds times,
// until it fails. In memory a race is short: it may take many rounds until two
// goroutines meet. In a database one round is enough.
func again(t testing.TB, round func(i int)) {
	t.Helper()
	repeat(t, 1, round)
}

// repeat is again with a minimum of least rounds.
func repeat(t testing.TB, least int, round func(i int)) {
	t.Helper()
	begin := time.Now()
	for i := 0; i < rounds && !t.Failed() && (i < least || time.Since(begin) < 50*time.Millisecond); i++ {
		round(i)
	}
}

// count calls add, which reads and updates, until it has succeeded times times.
// Each conflict is another racer's success, so there cannot be more conflicts
// than all racers together count.
func count(all, times int, add func() error) error {
	for conflicts := 0; times > 0; {
		switch err := add(); {
		case err == nil:
			times--
		case !errors.Is(err, auth.ErrConflict):
			return err
		default:
			if conflicts++; conflicts > all {
				return fmt.Errorf("%w, more often than the other racers can have changed it: the Version that was read differs from the one that is compared", err)
			}
		}
	}
	return nil
}

// yielding is a context that lets all other goroutines run first. If a store
// does something in several steps, another goroutine can then act in between.
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

// oneWins checks that exactly one racer succeeded and that the others failed
// with the error lost. It returns the winner.
func oneWins(t testing.TB, did string, errs []error, lost error, mend string) (winner int) {
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
				"the loser of a race must get this error; if the database was busy or saw a deadlock, retry inside the store")
			t.FailNow()
		}
	}
	if wins != 1 {
		fail(t, did, fmt.Sprintf("%d of %d succeeded", wins, len(errs)), fmt.Sprintf("1, and %q for the others", lost), mend)
		t.FailNow()
	}
	return winner
}

// An ending is a way in which a context can end.
type ending struct {
	name    string
	context func(t testing.TB) context.Context
}

// endings returns the ended contexts with which every verb is called.
func endings() []ending {
	return []ending{
		{"cancelled", func(t testing.TB) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		}},
		{"expired", func(t testing.TB) context.Context {
			ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
			t.Cleanup(cancel)
			return ctx
		}},
	}
}

// refused checks the error of a call whose context had ended: it must be the
// context's error, and not one that says something about the data.
func (e ending) refused(t testing.TB, did string, err error) {
	t.Helper()
	did += " with a context that is " + e.name
	want := e.context(t).Err()
	const mend = "pass the context to every query, or check ctx.Err() first, and return its error"
	if answer := answerOf(err); answer != nil {
		fail(t, did, err, want, mend+"; an ended context says nothing about the data")
		return
	}
	if !errors.Is(err, want) {
		fail(t, did, fmt.Sprint(err), want, mend+" (errors.Is must find it)")
	}
}

// answers returns the errors that say something about the data. Every other
// error is a failure.
func answers() []error {
	return []error{
		auth.ErrRecordNotFound, auth.ErrRecordExists, auth.ErrConflict, auth.ErrInvalidRecord,
		auth.ErrUserNotFound, auth.ErrUsernameTaken, auth.ErrEmailTaken, auth.ErrInvalidUsername, auth.ErrInvalidEmail,
	}
}

// answerOf returns the answer that err is, or nil.
func answerOf(err error) error {
	for _, answer := range answers() {
		if errors.Is(err, answer) {
			return answer
		}
	}
	return nil
}
