// Package turns runs callers that name the same key one after the other, within one
// process. Callers with different keys do not wait for each other.
package turns

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// maxWaiting is how many callers may wait for one key.
	maxWaiting = 64

	// maxWait is as long as passhash.MaxWait. A login waits for its turn first, and for
	// the computation of its hash second: for six seconds at most.
	maxWait = 3 * time.Second
)

// ErrBusy says that 64 callers were waiting for the key already, or that the caller
// waited for MaxWait.
var ErrBusy = errors.New("turns: too many wait for one key")

// ByKey gives one turn at a time for each key. The zero value is ready to use. A
// ByKey must not be copied after its first use.
type ByKey struct {
	// MaxWait is how long a caller waits for its turn: 3 seconds if it is 0. It must
	// not change after the first Take.
	MaxWait time.Duration

	mu    sync.Mutex
	taken map[string]*turn // by key; an entry goes with its last user
}

type turn struct {
	held  chan struct{} // holds one element while somebody has the turn
	users int           // how many callers have the turn or wait for it
}

// Take waits until the caller has the turn of the key. The caller must call leave to
// end its turn; further calls of leave do nothing. If too many callers wait already,
// Take returns ErrBusy at once. If the wait takes longer than MaxWait, it returns
// ErrBusy, and if ctx is done first, the error of ctx. With an error, leave is nil.
func (t *ByKey) Take(ctx context.Context, key string) (leave func(), err error) {
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
	patience := time.NewTimer(cmp.Or(t.MaxWait, maxWait))
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

// Len returns the number of keys whose turn is taken.
func (t *ByKey) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.taken)
}
