package passhash

import (
	"context"
	"errors"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-login/auth/internal/cgroup"
)

// newBudget returns a budget in which a hash waits for as long as its context.
func newBudget(memory uint32, lanes, maxQueue int) *Budget {
	b := NewBudget(memory)
	b.Lanes, b.MaxQueue, b.MaxWait = func() int { return lanes }, maxQueue, math.MaxInt64
	return b
}

// A budgetTest starts work in order and knows what runs.
type budgetTest struct {
	t *testing.T
	l *Budget

	mu      sync.Mutex
	running []string
	failed  map[string]error
	finish  map[string]chan struct{}
	cancel  map[string]context.CancelFunc
}

// newBudgetTest must be called in a bubble of synctest.
func newBudgetTest(t *testing.T, memory uint32, count, maxQueue int) *budgetTest {
	return &budgetTest{
		t: t, l: newBudget(memory, count, maxQueue),
		failed: map[string]error{}, finish: map[string]chan struct{}{}, cancel: map[string]context.CancelFunc{},
	}
}

// start returns when the work runs, waits or has failed.
func (bt *budgetTest) start(name string, memory uint32) {
	ctx, cancel := context.WithCancel(context.Background())
	finish := make(chan struct{})
	bt.cancel[name], bt.finish[name] = cancel, finish
	go func() {
		if err := bt.l.Acquire(ctx, memory); err != nil {
			bt.mu.Lock()
			bt.failed[name] = err
			bt.mu.Unlock()
			return
		}
		bt.mu.Lock()
		bt.running = append(bt.running, name)
		bt.mu.Unlock()
		<-finish
		bt.mu.Lock()
		bt.running = slices.DeleteFunc(bt.running, func(s string) bool { return s == name })
		bt.mu.Unlock()
		bt.l.Release(memory)
	}()
	synctest.Wait()
}

func (bt *budgetTest) end(name string) {
	close(bt.finish[name])
	synctest.Wait()
}

func (bt *budgetTest) leave(name string) {
	bt.cancel[name]()
	synctest.Wait()
}

// pass has the bubble's clock go on.
func (bt *budgetTest) pass(d time.Duration) {
	<-time.After(d) // of the bubble: it takes no time
	synctest.Wait()
}

// want checks what runs, in the order of the names, and how many wait.
func (bt *budgetTest) want(running string, waiting int) {
	bt.t.Helper()
	bt.mu.Lock()
	defer bt.mu.Unlock()
	wait := bt.l.State().Waiting
	if got := strings.Join(slices.Sorted(slices.Values(bt.running)), " "); got != running || wait != waiting {
		bt.t.Errorf("%q run and %d wait, want %q and %d", got, wait, running, waiting)
	}
}

func (bt *budgetTest) wantError(name string, want error) {
	bt.t.Helper()
	bt.mu.Lock()
	defer bt.mu.Unlock()
	if !errors.Is(bt.failed[name], want) {
		bt.t.Errorf("%s: %v, want %v", name, bt.failed[name], want)
	}
}

// idle checks that everything has been given back.
func (bt *budgetTest) idle(memory uint32) {
	bt.t.Helper()
	bt.want("", 0)
	if s := bt.l.State(); s.Free != memory || s.Running != 0 {
		bt.t.Errorf("%d KiB are free and %d lanes are taken, want %d and none", s.Free, s.Running, memory)
	}
	for _, cancel := range bt.cancel {
		cancel()
	}
}

func TestBudgetIsFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bt := newBudgetTest(t, 100, 1, 10)
		for _, name := range []string{"a", "b", "c", "d"} {
			bt.start(name, 10)
		}
		for i, name := range []string{"a", "b", "c", "d"} {
			bt.want(name, 3-i)
			bt.end(name)
		}
		bt.idle(100)
	})
}

func TestBudgetGoesByMemoryAndNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bt := newBudgetTest(t, 100, 10, 10)
		bt.start("a", 60)
		bt.start("b", 40)
		bt.start("c", 1)
		bt.want("a b", 1)
		bt.end("b")
		bt.want("a c", 0)
		bt.end("a")
		bt.start("d", 99)
		bt.want("c d", 0)
		bt.end("c")
		bt.end("d")
		bt.idle(100)

		bt = newBudgetTest(t, 100, 2, 10)
		bt.start("a", 1)
		bt.start("b", 1)
		bt.start("c", 1)
		bt.want("a b", 1)
		bt.end("a")
		bt.want("b c", 0)
		bt.end("b")
		bt.end("c")
		bt.idle(100)
	})
}

func TestBudgetOfOneThatTakesAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bt := newBudgetTest(t, 100, 4, 10)
		bt.start("all", 100)
		bt.start("none left", 1)
		bt.want("all", 1)
		bt.end("all")
		bt.want("none left", 0)
		bt.end("none left")
		bt.idle(100)
	})
}

func TestBudgetIsBusyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bt := newBudgetTest(t, 100, 1, 2)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			bt.start(name, 10)
		}
		bt.wantError("d", ErrBusy)
		bt.wantError("e", ErrBusy)
		bt.want("a", 2)
		bt.end("a") // there is room for one again
		bt.start("f", 10)
		bt.start("g", 10)
		bt.wantError("g", ErrBusy)
		bt.want("b", 2)
		for _, name := range []string{"b", "c", "f"} {
			bt.end(name)
		}
		bt.idle(100)
	})
}

// There may be more lanes, and fewer, while some of them are taken.
func TestLanesChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bt := newBudgetTest(t, 100, 0, 10)
		count := 2
		bt.l.Lanes = func() int { return count }
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			bt.start(name, 10)
		}
		bt.want("a b", 3)
		count = 1
		bt.end("a")
		bt.want("b", 3)
		bt.end("b")
		bt.want("c", 2)
		count = 2
		bt.end("c")
		bt.want("d e", 0)
		bt.end("d")
		bt.end("e")
		bt.idle(100)
	})
}

func TestBudgetWithoutAQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bt := newBudgetTest(t, 100, 1, 0)
		bt.start("a", 10)
		bt.start("b", 10)
		bt.wantError("b", ErrBusy)
		bt.end("a")
		bt.idle(100)
	})
}

func TestWaitersLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bt := newBudgetTest(t, 100, 1, 3)
		for _, name := range []string{"a", "b", "c", "d"} {
			bt.start(name, 10)
		}
		bt.leave("c") // from the middle
		bt.wantError("c", context.Canceled)
		bt.want("a", 2)
		bt.leave("a") // it runs: this frees nothing
		bt.want("a", 2)
		bt.start("e", 10) // into the place that c left
		bt.start("f", 10)
		bt.wantError("f", ErrBusy)
		bt.leave("e") // from the end
		bt.leave("b") // from the front
		bt.want("a", 1)
		bt.end("a")
		bt.want("d", 0)
		bt.leave("d")
		bt.want("d", 0)
		bt.end("d")
		bt.idle(100)

		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := bt.l.Acquire(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that is done: %v", err)
		}
		bt.idle(100)
	})
}

// What waits behind a heavy one comes in when that one gives up, and not
// before: else the heavy one would wait for ever.
func TestHeavyWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bt := newBudgetTest(t, 100, 10, 10)
		bt.start("a", 50)
		bt.start("heavy", 80)
		for _, name := range []string{"l1", "l2", "l3"} {
			bt.start(name, 10)
		}
		bt.want("a", 4) // the light ones would fit
		bt.end("a")
		bt.want("heavy l1 l2", 1)
		bt.end("heavy")
		bt.want("l1 l2 l3", 0)
		for _, name := range []string{"l1", "l2", "l3"} {
			bt.end(name)
		}
		bt.idle(100)

		bt.start("b", 50)
		bt.start("heavy2", 80)
		bt.start("l4", 10)
		bt.start("l5", 10)
		bt.want("b", 3)
		bt.leave("heavy2")
		bt.want("b l4 l5", 0)
		for _, name := range []string{"b", "l4", "l5"} {
			bt.end(name)
		}
		bt.idle(100)
	})
}

// A waiter that is admitted and leaves at the same moment does not keep its
// lane.
func TestAdmittedWhileLeaving(t *testing.T) {
	t.Parallel()
	l := newBudget(10, 1, 10)
	left := 0
	for range 2000 {
		if err := l.Acquire(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- l.Acquire(ctx, 10) }()
		for queued := false; !queued; {
			l.mu.Lock()
			queued = len(l.queue) == 1
			l.mu.Unlock()
			runtime.Gosched()
		}
		l.mu.Lock() // so that it cannot leave the queue before it is admitted
		cancel()
		for range 20 {
			runtime.Gosched()
		}
		l.release(10)
		l.mu.Unlock()
		err := <-result
		switch {
		case err == nil:
			l.Release(10)
		case errors.Is(err, context.Canceled):
			left++
		default:
			t.Fatal(err)
		}
		if l.free != 10 || l.running != 0 || len(l.queue) > 0 {
			t.Fatalf("%d KiB, %d run, %d wait (%v)", l.free, l.running, len(l.queue), err)
		}
	}
	if left == 0 {
		t.Error("none left: the test tests nothing")
	}
}

// Many goroutines with all sizes of work, some of which give up: the limits are
// kept all the time, and in the end everything is free and nobody waits.
func TestBudgetUnderStress(t *testing.T) {
	t.Parallel()
	const memory, count, maxQueue, goroutines, rounds = 64, 5, 20, 60, 150
	l := newBudget(memory, count, maxQueue)
	var mu sync.Mutex
	used, running, most, busy, gone, done := uint32(0), 0, 0, 0, 0, 0
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			random := uint64(g)*2654435761 + 1 // a different sequence for each
			next := func(n uint64) uint64 {
				random = random*6364136223846793005 + 1442695040888963407
				return random >> 33 % n
			}
			for range rounds {
				need := uint32(1 + next(memory/2))
				if next(20) == 0 {
					need = memory
				}
				ctx, cancel := context.WithCancel(t.Context())
				if next(3) == 0 {
					spins := next(50)
					wg.Go(func() {
						for range spins {
							runtime.Gosched()
						}
						cancel()
					})
				}
				err := l.Acquire(ctx, need)
				mu.Lock()
				switch {
				case err == nil:
					used += need
					running++
					most = max(most, running)
					if used > memory || running > count {
						t.Errorf("%d KiB in %d lanes", used, running)
					}
				case errors.Is(err, ErrBusy):
					busy++
				case errors.Is(err, context.Canceled):
					gone++
				default:
					t.Error(err)
				}
				mu.Unlock()
				if err == nil {
					for range next(20) {
						runtime.Gosched()
					}
					mu.Lock()
					used -= need
					running--
					done++
					mu.Unlock()
					l.Release(need)
				} else {
					runtime.Gosched()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if l.free != memory || l.running != 0 || len(l.queue) > 0 {
		t.Errorf("%d of %d KiB are free, %d run, %d wait", l.free, memory, l.running, len(l.queue))
	}
	if done == 0 || busy == 0 || gone == 0 || most < 2 {
		t.Errorf("%d done (%d at a time), %d busy, %d gone: the test tests too little", done, most, busy, gone)
	}
}

// One of Go's processors is left to others, and no more hash than there are. In a container
// with a limit, hashes stay below it.
func TestLanesFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		procs, cpus int
		limit       float64
		want        int
	}{
		{1, 1, 0, 1}, {2, 1, 0, 1}, {3, 1, 0, 1},
		{1, 2, 0, 1}, {2, 2, 0, 1}, {3, 2, 0, 2}, {4, 2, 0, 2},
		{2, 64, 0, 1}, {4, 64, 0, 3}, {64, 64, 0, 63}, {65, 64, 0, 64},
		// GOMAXPROCS as Go sets it in a container
		{2, 64, 0.5, 1}, {2, 64, 1, 1}, {2, 64, 2, 1}, {3, 64, 2.5, 2}, {4, 64, 4, 3},
		// and more
		{3, 64, 0.5, 1}, {3, 64, 2, 1}, {64, 64, 2.5, 2}, {65, 64, 4, 3},
		// a limit that does not limit
		{3, 2, 2, 2}, {3, 2, 8, 2},
	} {
		if got := LanesFor(test.procs, test.cpus, test.limit); got != test.want {
			t.Errorf("%d of %d, %g in the container: %d, want %d", test.procs, test.cpus, test.limit, got, test.want)
		}
	}
}

// The number of lanes follows GOMAXPROCS, which a program may change at any time, and Go
// does when the limit of the container changes.
func TestLanesFollowGOMAXPROCS(t *testing.T) { //nolint:paralleltest // changes the whole process
	b := NewBudget(64 << 10)
	usual := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(usual)
	for _, procs := range []int{1, 2, runtime.NumCPU() + 1, 2} {
		runtime.GOMAXPROCS(procs)
		if got, want := b.Lanes(), LanesFor(procs, runtime.NumCPU(), cgroup.Read(os.DirFS("/")).CPUs); got != want {
			t.Errorf("GOMAXPROCS=%d: %d, want %d", procs, got, want)
		}
	}
}

// A container's limit may change. It is read every ten seconds, and not for each hash.
func TestLimitIsReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		l := &limit{read: func() float64 { reads++; return float64(reads) }}
		for i := range 25 {
			if got := l.cpus(); got != float64(1+i/11) || reads != 1+i/11 {
				t.Errorf("after %d s: %g, read %d times", i, got, reads)
			}
			<-time.After(time.Second) // of the bubble: it takes no time
		}
	})
}

// Who has waited for MaxWait is sent away, whatever their place, and those behind
// take it. Who came later waits for as long.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bt := newBudgetTest(t, 100, 10, 3)
		bt.l.MaxWait = 5 * time.Second
		bt.start("a", 50)
		bt.start("heavy", 80)
		bt.pass(time.Second)
		bt.start("b", 50)
		bt.start("c", 50)
		bt.pass(4*time.Second - 1)
		bt.want("a", 3)
		bt.pass(1)
		bt.wantError("heavy", ErrBusy)
		bt.want("a b", 1)
		bt.pass(time.Second)
		bt.wantError("c", ErrBusy)
		bt.want("a b", 0)
		bt.start("d", 10) // a wait that has ended leaves nothing behind
		bt.end("a")
		bt.end("b")
		bt.end("d")
		bt.idle(100)
	})
}

// Fifty first logins with dear hashes of another library come at once to a server with two
// processors and the default settings: bcrypt of cost 12 takes 300 ms, and the new hash 25.
// Each login is answered within three seconds, or is computed within the ten seconds that a
// server may take to answer (WriteTimeout).
func TestDearHashesOfManyUsers(t *testing.T) {
	t.Parallel()
	for procs, want := range map[int]int{2: 10, 3: 20} {
		synctest.Test(t, func(t *testing.T) {
			b := NewBudget(64 << 10)
			b.Lanes = func() int { return LanesFor(procs, 2, 0) }
			begun := time.Now()
			var mu sync.Mutex
			done, busy := 0, 0
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					err := b.Acquire(t.Context(), DefaultParams().Memory)
					if err == nil {
						<-time.After(325 * time.Millisecond) // of the bubble: it takes no time
						b.Release(DefaultParams().Memory)
					}
					mu.Lock()
					defer mu.Unlock()
					switch took := time.Since(begun); {
					case err == nil && took <= 10*time.Second:
						done++
					case errors.Is(err, ErrBusy) && took <= 3*time.Second:
						busy++
					default:
						t.Errorf("GOMAXPROCS=%d: %v after %v", procs, err, took)
					}
				})
			}
			wg.Wait()
			if done != want || busy != 50-want {
				t.Errorf("GOMAXPROCS=%d: %d are done and %d refused, want %d done", procs, done, busy, want)
			}
		})
	}
}

// A budget is as large as the largest that was asked for. Who waits for memory gets
// it.
func TestGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bt := newBudgetTest(t, 0, 2, 3)
		bt.l.Grow(100)
		bt.start("a", 80)
		bt.start("b", 40)
		bt.want("a", 1)
		for _, less := range []uint32{0, 50, 100} {
			bt.l.Grow(less)
			synctest.Wait()
			bt.want("a", 1)
		}
		bt.l.Grow(120)
		synctest.Wait()
		bt.want("a b", 0)
		if got, want := bt.l.State(), (State{Size: 120, Free: 0, Running: 2}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		bt.end("a")
		bt.end("b")
		bt.idle(120)
	})
}
