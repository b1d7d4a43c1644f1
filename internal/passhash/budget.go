package passhash

import (
	"context"
	"errors"
	"math"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/go-login/auth/internal/cgroup"
)

// ErrBusy is auth.ErrBusy: a hash was refused because too many wait, or waited too long.
var ErrBusy = errors.New("auth: too busy to hash a password")

// MaxWait is the longest that a hash waits in the queue. A full queue of default
// hashes takes two seconds on two processors. If a hash has waited for three seconds,
// the machine is overloaded, or the hashes before it are dear ones of other libraries. A
// login waits for its account's turn for as long again (internal/turns). A server whose
// WriteTimeout is ten seconds can still answer then, and compute a dear hash before.
const MaxWait = 3 * time.Second

// A Budget limits the memory of the hashes that run at a time, and their number. A hash
// that does not fit waits in a queue, first come first served. It is refused if the queue
// is full, or if it has waited for MaxWait. The place of a running hash is a lane.
type Budget struct {
	Lanes    func() int    // returns how many hashes may run at a time
	MaxQueue int           // how many hashes may wait
	MaxWait  time.Duration // how long a hash may wait

	mu      sync.Mutex
	size    uint32 // KiB in all
	free    uint32 // KiB
	running int
	queue   []*waiter
}

type waiter struct {
	memory uint32
	ready  chan struct{}
}

// process is the only global state of the library. All Managers of a process share one
// budget, because they share the memory and the processors of the machine. It has no
// memory until the first Grow.
var process = NewBudget(0)

// Process returns the budget of this process.
func Process() *Budget { return process }

// NewBudget returns a budget of memory KiB with the other limits of the process's budget,
// for tests. The exported fields may be changed before its first use.
func NewBudget(memory uint32) *Budget {
	container := &limit{read: func() float64 { return cgroup.Read(os.DirFS("/")).CPUs }}
	// Asked for each hash, since Go changes GOMAXPROCS with the limits of the process.
	lanes := func() int { return LanesFor(runtime.GOMAXPROCS(0), runtime.NumCPU(), container.cpus()) }
	return &Budget{Lanes: lanes, MaxQueue: 64, MaxWait: MaxWait, size: memory, free: memory}
}

// LanesFor returns how many hashes may run at a time: max(1, min(procs-1, cpus)), where
// procs is GOMAXPROCS and cpus the processors of the machine. One of Go's processors is
// left for other requests. While all of them hash, only Go's monitor thread looks for
// connections that are ready, every 10 ms. More hashes than the machine has processors
// would take more memory and save no time.
//
// If limit is not 0, a container may use only so many processors. If hashes used them up,
// the kernel would halt the whole process, and all pages, for the rest of a tenth of a
// second. So they stay below a limit of more than one, whatever GOMAXPROCS is.
func LanesFor(procs, cpus int, limit float64) int {
	if isLimited(cpus, limit) {
		cpus = int(math.Ceil(limit)) - 1
	}
	return max(1, min(procs-1, cpus))
}

// isLimited reports whether a container has less than the cpus of the machine.
func isLimited(cpus int, limit float64) bool { return limit > 0 && limit < float64(cpus) }

// limitFor is how long the limit of the container is kept before it is read again. It is
// in files, and may change while the process runs.
const limitFor = 10 * time.Second

// A limit is how many processors the container may use.
type limit struct {
	read func() float64

	mu    sync.Mutex
	value float64
	until time.Time
}

func (l *limit) cpus() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.After(l.until) {
		l.value, l.until = l.read(), now.Add(limitFor)
	}
	return l.value
}

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

// Acquire waits until there is memory and a lane for a hash of memory KiB. It returns
// ErrBusy if the queue is full or the wait too long, or the error of ctx. The caller must
// call Release when the hash is computed, and not before: a hash that runs goes on when
// the client disconnects.
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

// leave removes w from the queue and returns err. If w was admitted at the same moment,
// leave releases its memory and its lane.
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
	b.next() // the hashes behind w may need less memory
	return err
}

// Release returns the memory and the lane that Acquire took.
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

// A State describes a budget at one moment.
type State struct {
	Size, Free       uint32 // KiB
	Running, Waiting int    // hashes
}

// State returns the current state of the budget.
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
