package auth

import (
	"cmp"
	"context"
	"sync"
	"time"
)

const (
	maxWaiting = 64
)

// turns lets those go on one at a time who name the same key, in this process.
type turns struct {
	maxWait time.Duration // the constant maxWait if it is 0

	mu    sync.Mutex
	taken map[string]*turn
}

type turn struct {
	held  chan struct{} // has one in it while it is held
	users int           // who hold it or wait
}

// take waits for a turn. It returns ErrBusy if too many wait already or the wait
// is too long, or the context's error. leave may be called more than once.
func (t *turns) take(ctx context.Context, key string) (leave func(), err error) {
	t.mu.Lock()
	w := t.taken[key]
	switch {
	case w == nil:
		if t.taken == nil {
			t.taken = map[string]*turn{}
		}
		w = &turn{held: make(chan struct{}, 1)}
		t.taken[key] = w
	case w.users > maxWaiting:
		t.mu.Unlock()
		return nil, ErrBusy
	}
	w.users++
	t.mu.Unlock()
	done := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if w.users--; w.users == 0 {
			delete(t.taken, key)
		}
	}
	patience := time.NewTimer(cmp.Or(t.maxWait, maxWait))
	defer patience.Stop()
	select {
	case w.held <- struct{}{}:
		return sync.OnceFunc(func() {
			<-w.held
			done()
		}), nil
	case <-patience.C:
		done()
		return nil, ErrBusy
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
}
