// Package passhash holds the budget under which password hashes are computed. A
// process has one budget for all its Managers, because its memory and
// processors are limited. The budget is the only global state of the library.
package passhash

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// ErrBusy is auth.ErrBusy.
var ErrBusy = errors.New("auth: too busy to hash a password")

// MaxWait is the longest that a hash waits in the queue. A full queue of default
// hashes takes two seconds on two processors. If a hash has waited for longer than
// five seconds, the machine is overloaded, and a server whose WriteTimeout is ten
// seconds can still answer.
const MaxWait = 5 * time.Second

// A Budget admits hashes by their memory and their number. A hash that does not
// fit waits in a queue, first come first served. If the queue is full, or a hash
// has waited too long, it is refused.
type Budget struct {
	Lanes    func() int    // returns how many hashes may run at a time
	MaxQueue int           // how many hashes may wait
	MaxWait  time.Duration // and for how long

	mu      sync.Mutex
	size    uint32 // KiB in total
	free    uint32 // KiB
	running int
	queue   []*waiter
}

type waiter struct {
	memory uint32
	ready  chan struct{}
}

// The process's budget has no memory until the first Grow.
var process = New(0)

// Process returns the budget of this process.
func Process() *Budget { return process }

// New returns a separate budget of memory KiB, for tests. It has the limits of
// the process's budget. The exported fields may be changed before its first
// use.
func New(memory uint32) *Budget {
	// Computed each time, because Go changes GOMAXPROCS with the limits of the
	// process.
	lanes := func() int { return LanesFor(runtime.GOMAXPROCS(0), runtime.NumCPU()) }
	return &Budget{Lanes: lanes, MaxQueue: 64, MaxWait: MaxWait, size: memory, free: memory}
}

// LanesFor returns how many hashes may run at once. One of Go's processors is
// left to other requests: while all of them compute, only a monitor checks
// which connections are ready, every 10 ms. More hashes than the machine has
// processors would take more memory, but not less time.
func LanesFor(procs, cpus int) int { return max(1, min(procs-1, cpus)) }

// Grow makes the budget at least memory KiB large.
func (b *Budget) Grow(memory uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if memory > b.size {
		b.free += memory - b.size
		b.size = memory
		b.next()
	}
}

// Acquire waits until there is memory and a lane for a hash. It returns ErrBusy
// if the queue is full or the wait is too long, or the context's error. Call
// Release after the hash is computed. If the client goes away meanwhile, the
// hash still runs, so its memory stays taken.
func (b *Budget) Acquire(ctx context.Context, memory uint32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	if len(b.queue) == 0 && b.admit(memory) {
		b.mu.Unlock()
		return nil
	}
	if len(b.queue) >= b.MaxQueue {
		b.mu.Unlock()
		return ErrBusy
	}
	w := &waiter{memory, make(chan struct{})}
	b.queue = append(b.queue, w)
	b.mu.Unlock()

	patience := time.NewTimer(b.MaxWait)
	defer patience.Stop()
	select {
	case <-w.ready:
		return nil
	case <-patience.C:
		return b.leave(w, ErrBusy)
	case <-ctx.Done():
		return b.leave(w, ctx.Err())
	}
}

// leave takes w out of the queue, and returns err. If w was admitted at the
// same moment, leave releases its memory and its lane.
func (b *Budget) leave(w *waiter, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.ready:
		b.release(w.memory)
		return err
	default:
	}
	for i := range b.queue {
		if b.queue[i] == w {
			b.queue = append(b.queue[:i], b.queue[i+1:]...)
			break
		}
	}
	b.next() // the hashes behind w may be smaller
	return err
}

// TryAcquire is Acquire for a hash that can be skipped: it does not wait, and
// reports whether there was memory and a lane at once.
func (b *Budget) TryAcquire(memory uint32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue) == 0 && b.admit(memory)
}

// Release gives back the memory and the lane that Acquire has taken.
func (b *Budget) Release(memory uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.release(memory)
}

// Full reports whether the queue is full.
func (b *Budget) Full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue) >= b.MaxQueue
}

// A State shows how much of a budget is in use at one moment.
type State struct {
	Size, Free       uint32 // KiB
	Running, Waiting int    // hashes
}

// State returns how much of the budget is in use now.
func (b *Budget) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return State{Size: b.size, Free: b.free, Running: b.running, Waiting: len(b.queue)}
}

func (b *Budget) admit(memory uint32) bool {
	if b.running >= b.Lanes() || b.free < memory {
		return false
	}
	b.running++
	b.free -= memory
	return true
}

func (b *Budget) release(memory uint32) {
	b.running--
	b.free += memory
	b.next()
}

func (b *Budget) next() {
	for len(b.queue) > 0 && b.admit(b.queue[0].memory) {
		close(b.queue[0].ready)
		b.queue = b.queue[1:]
	}
}
