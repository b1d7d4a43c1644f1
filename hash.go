package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
)

// DefaultHashParams are the parameters of new password hashes: Argon2id with
// 19,456 KiB of memory, two passes and one lane, a salt of 16 bytes and a tag of
// 32. They are the second choice of OWASP's password storage cheat sheet, and
// follow RFC 9106, section 4, in all but the memory. They are fixed, and do not
// depend on the machine's processors: a hash must cost the same wherever it is
// made, and be verified in the same time wherever it is checked.
func DefaultHashParams() argon2id.Params {
	return argon2id.Params{Memory: 19456, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// Bounds of the parameters in a stored hash, which are what an attacker who can
// write to the user store chooses. Its memory is bounded by Config.HashMemory.
const (
	maxHashText    = 256
	maxIterations  = 32
	maxParallelism = 16
	minSalt        = 8
	minKey         = 16
	maxSaltOrKey   = 64
)

var errUnusableHash = errors.New("auth: the stored hash is malformed or beyond the limits")

// A hasher computes password hashes, no more at a time than fit in the memory
// budget.
type hasher struct {
	params   argon2id.Params
	budget   uint32 // KiB
	dummy    string // a hash of no password, with the current parameters
	lanes    lanes
	computed atomic.Uint64
}

func newHasher(params *argon2id.Params, budget int64) (*hasher, error) {
	p := *params
	// The equal-cost rows of OWASP's password storage cheat sheet.
	least := map[uint32]uint32{1: 47104, 2: 19456, 3: 12288, 4: 9216}
	memory, ok := least[p.Iterations]
	if !ok {
		memory = 7168
	}
	h := &hasher{params: p, budget: uint32(min(max(budget, 0)/1024, 1<<31))}
	switch {
	case p.Iterations == 0 || p.Memory < memory:
		return nil, fmt.Errorf("auth: HashParams m=%d t=%d are weaker than OWASP's minimum", p.Memory, p.Iterations)
	case p.Parallelism == 0 || p.Parallelism > maxParallelism || p.Iterations > maxIterations:
		return nil, fmt.Errorf("auth: HashParams t=%d p=%d are out of range", p.Iterations, p.Parallelism)
	case p.SaltLength < 16 || p.SaltLength > maxSaltOrKey || p.KeyLength < minKey || p.KeyLength > maxSaltOrKey:
		return nil, fmt.Errorf("auth: HashParams need a salt and a key of 16 to %d bytes", maxSaltOrKey)
	case p.Memory > h.budget:
		return nil, fmt.Errorf("auth: HashMemory of %d bytes is less than one hash needs (%d)", budget, int64(p.Memory)*1024)
	}
	random := make([]byte, p.SaltLength+p.KeyLength)
	_, _ = rand.Read(random) // never fails
	encode := base64.RawStdEncoding.EncodeToString
	h.dummy = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Iterations, p.Parallelism,
		encode(random[:p.SaltLength]), encode(random[p.SaltLength:]))
	// More hashes at a time than processors would not be done sooner.
	h.lanes = lanes{memory: h.budget, count: max(1, runtime.GOMAXPROCS(0)), maxQueue: 64}
	return h, nil
}

// hash returns the PHC string of a password.
func (h *hasher) hash(ctx context.Context, password string) (Secret, error) {
	if err := h.lanes.acquire(ctx, h.params.Memory); err != nil {
		return Secret{}, err
	}
	defer h.lanes.release(h.params.Memory)
	h.computed.Add(1)
	text, err := argon2id.CreateHash(password, &h.params)
	return NewSecret(text), err
}

type verification struct {
	ok       bool // it is the password
	outdated bool // and its hash has other parameters than new ones get
	unusable bool // the hash is one that cannot be computed
}

// verify computes one hash, whatever stored is: where there is nothing to
// compare with, the dummy's.
func (h *hasher) verify(ctx context.Context, stored Secret, password string) (verification, error) {
	text := stored.Reveal()
	params, usable := h.decode(text)
	if !usable {
		text, params = h.dummy, h.params
	}
	if err := h.lanes.acquire(ctx, params.Memory); err != nil {
		return verification{}, err
	}
	defer h.lanes.release(params.Memory)
	h.computed.Add(1)
	match, err := argon2id.ComparePasswordAndHash(password, text)
	if err != nil || !usable {
		return verification{unusable: !stored.IsZero()}, nil //nolint:nilerr // a hash that cannot be read matches nothing
	}
	return verification{ok: match, outdated: match && params != h.params}, nil
}

// decode returns the parameters of a hash that is safe to compute.
// (argon2id.ComparePasswordAndHash panics for t=0, p=0 and an empty key, and
// would allocate what m says.)
func (h *hasher) decode(text string) (argon2id.Params, bool) {
	if len(text) > maxHashText {
		return argon2id.Params{}, false
	}
	p, _, _, err := argon2id.DecodeHash(text)
	if err != nil ||
		p.Iterations < 1 || p.Iterations > maxIterations ||
		p.Parallelism < 1 || p.Parallelism > maxParallelism ||
		p.Memory < 8*uint32(p.Parallelism) || p.Memory > h.budget ||
		p.SaltLength < minSalt || p.SaltLength > maxSaltOrKey ||
		p.KeyLength < minKey || p.KeyLength > maxSaltOrKey {
		return argon2id.Params{}, false
	}
	return *p, true
}

// lanes admits work by its memory and its number. What does not fit waits in a
// queue, first come first served; what does not fit there is refused.
type lanes struct {
	mu       sync.Mutex
	memory   uint32 // KiB that are free
	count    int    // lanes that are free
	maxQueue int
	queue    []*waiter
}

type waiter struct {
	memory uint32
	ready  chan struct{}
}

// acquire returns ErrBusy if the queue is full, or the context's error.
// release must follow when the work is done; a caller that goes away does not
// end it, and frees nothing.
func (l *lanes) acquire(ctx context.Context, memory uint32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	if len(l.queue) == 0 && l.admit(memory) {
		l.mu.Unlock()
		return nil
	}
	if len(l.queue) >= l.maxQueue {
		l.mu.Unlock()
		return ErrBusy
	}
	w := &waiter{memory, make(chan struct{})}
	l.queue = append(l.queue, w)
	l.mu.Unlock()

	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-w.ready: // admitted at the same moment
		l.free(memory)
	default:
		for i := range l.queue {
			if l.queue[i] == w {
				l.queue = append(l.queue[:i], l.queue[i+1:]...)
				break
			}
		}
		l.next() // what waited behind may be smaller
	}
	return ctx.Err()
}

func (l *lanes) release(memory uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free(memory)
}

func (l *lanes) admit(memory uint32) bool {
	if l.count == 0 || l.memory < memory {
		return false
	}
	l.count--
	l.memory -= memory
	return true
}

func (l *lanes) free(memory uint32) {
	l.count++
	l.memory += memory
	l.next()
}

func (l *lanes) next() {
	for len(l.queue) > 0 && l.admit(l.queue[0].memory) {
		close(l.queue[0].ready)
		l.queue = l.queue[1:]
	}
}
