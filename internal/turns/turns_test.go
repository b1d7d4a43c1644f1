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

// users returns how many hold or want the turn of a key.
func (t *ByKey) users(key string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.taken[key]; w != nil {
		return w.users
	}
	return 0
}

// One holds a turn and 64 wait. More are sent away at once, and those who go leave
// nothing behind.
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
			t.Errorf("one more: %v", err)
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
			t.Errorf("who has gone: %v", err)
		}
	}
	for range 3 { // there is room again
		wait(t.Context())
	}
	leave()
	leave() // does nothing more
	wg.Wait()
	for range maxWaiting/2 + 3 {
		if err := <-errs; err != nil {
			t.Errorf("who has waited: %v", err)
		}
	}
	if len(ts.taken) != 0 {
		t.Errorf("%d turns are left", len(ts.taken))
	}
}

// Whatever comes and goes, one at a time has a key's turn, and nothing is left.
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
						t.Error("two have the turn")
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
		t.Errorf("%d had it, %d went, %d were sent away: the test tests too little", got.Load(), gone.Load(), busy.Load())
	}
}

// Who waits for too long is sent away, and leaves nothing behind.
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
