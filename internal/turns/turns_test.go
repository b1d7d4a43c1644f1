package turns

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// users returns how many callers have the turn of a key or wait for it.
func (t *ByKey) users(key string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.taken[key]; w != nil {
		return w.users
	}
	return 0
}

// While one caller has the turn and 64 wait, another caller gets ErrBusy at once. When
// callers give up, no trace of them stays.
func TestTurns(t *testing.T) {
	t.Parallel()
	var ts ByKey
	leave, err := ts.Take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	errs := make(chan error, 2*maxWaiting)
	wait := func(ctx context.Context) {
		wg.Go(func() {
			leave, err := ts.Take(ctx, "a")
			if err == nil {
				leave()
			}
			errs <- err
		})
	}
	for i := range maxWaiting {
		if i%2 == 0 {
			wait(t.Context())
		} else {
			wait(ctx)
		}
	}
	for ts.users("a") != 1+maxWaiting {
		runtime.Gosched()
	}
	for range 3 {
		if _, err := ts.Take(t.Context(), "a"); !errors.Is(err, ErrBusy) {
			t.Errorf("a 65th waiter: %v", err)
		}
	}
	other, err := ts.Take(t.Context(), "b") // another key is another turn
	if err != nil {
		t.Error(err)
	}
	other()
	cancel()
	for ts.users("a") != 1+maxWaiting/2 {
		runtime.Gosched()
	}
	for range maxWaiting / 2 {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("a waiter that gave up: %v", err)
		}
	}
	for range 3 { // there is room again
		wait(t.Context())
	}
	leave()
	leave() // the second call does nothing
	wg.Wait()
	for range maxWaiting/2 + 3 {
		if err := <-errs; err != nil {
			t.Errorf("a waiter that stayed: %v", err)
		}
	}
	if len(ts.taken) != 0 {
		t.Errorf("%d turns are left", len(ts.taken))
	}
}

// 300 goroutines take turns of three keys, and some give up. At any moment one caller
// at most has the turn of a key, and in the end no entry is left.
func TestTurnsUnderStress(t *testing.T) {
	t.Parallel()
	var ts ByKey
	var holding [3]atomic.Int32
	var got, gone, busy atomic.Int32
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			for round := range 30 {
				n := (i + round) % len(holding)
				ctx, cancel := context.WithCancel(t.Context())
				if (i+round)%4 == 0 {
					go cancel()
				}
				leave, err := ts.Take(ctx, fmt.Sprint(n))
				switch {
				case err == nil:
					got.Add(1)
					if holding[n].Add(1) != 1 {
						t.Error("two callers have the turn of one key")
					}
					runtime.Gosched()
					holding[n].Add(-1)
					leave()
				case errors.Is(err, ErrBusy):
					busy.Add(1)
				case errors.Is(err, context.Canceled):
					gone.Add(1)
				default:
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if len(ts.taken) != 0 {
		t.Errorf("%d turns are left", len(ts.taken))
	}
	if got.Load() == 0 || gone.Load() == 0 || busy.Load() == 0 {
		t.Errorf("%d had a turn, %d gave up, %d were busy: the test needs some of each", got.Load(), gone.Load(), busy.Load())
	}
}

// A caller that waits for MaxWait gets ErrBusy, and no trace of it stays.
func TestTurnsWaitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ts ByKey
		leave, err := ts.Take(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if _, err := ts.Take(t.Context(), "a"); !errors.Is(err, ErrBusy) || time.Since(begun) != maxWait {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if n := ts.users("a"); n != 1 {
			t.Errorf("%d users", n)
		}
		leave()
		if len(ts.taken) != 0 {
			t.Errorf("%d turns are left", len(ts.taken))
		}
	})
}
