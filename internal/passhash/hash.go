package passhash

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
)

// DefaultParams returns auth.DefaultHashParams.
func DefaultParams() argon2id.Params {
	return argon2id.Params{Memory: 19456, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// ErrUnusable is auth.ErrHashUnusable.
var ErrUnusable = errors.New("auth: the stored hash is malformed, of an unknown kind or beyond the limits")

// Bounds of the parameters in a stored hash, which are what an attacker who can
// write to the user store chooses. Its memory is bounded by Config.HashMemory.
const (
	maxHashText    = 512
	maxIterations  = 32
	maxParallelism = 16
	minSalt        = 8
	minKey         = 16
	maxSaltOrKey   = 64
)

// A hash of ours is a PHC string of Argon2id. These follow it, in this order, if what it is
// the hash of is not the password itself: the ID of the pepper; the length of
// the old digest in bytes, a colon, and the old hash without its digest.
const (
	argon2idPrefix = "$argon2id$"
	pepperMark     = "$pepper="
	wrappedMark    = "$wrapped="
)

// A Hasher computes password hashes, no more at a time than fit in the memory
// budget.
type Hasher struct {
	Budget *Budget // the process's

	params   argon2id.Params
	memory   uint32            // KiB that hashes may take
	pepper   string            // the ID of the one that new hashes get, or ""
	peppers  map[string][]byte // keys by ID
	dummy    string            // a hash of no password, made like new ones
	logger   *slog.Logger
	advised  atomic.Bool
	computed atomic.Uint64
	worked   atomic.Uint64 // in the unit of argon2Work
}

// NewHasher returns a Hasher that makes hashes with params, of at most memory bytes at a
// time. The first one of peppers makes new hashes, all verify.
func NewHasher(params argon2id.Params, memory int64, peppers []Pepper, logger *slog.Logger) (*Hasher, error) {
	p := params
	// The equal-cost rows of OWASP's password storage cheat sheet.
	least := map[uint32]uint32{1: 47104, 2: 19456, 3: 12288, 4: 9216}
	minimum, ok := least[p.Iterations]
	if !ok {
		minimum = 7168
	}
	h := &Hasher{params: p, memory: uint32(min(max(memory, 0)/1024, 1<<31)), peppers: map[string][]byte{}, logger: logger}
	switch {
	case p.Iterations == 0 || p.Memory < minimum:
		return nil, fmt.Errorf("auth: HashParams m=%d t=%d are weaker than OWASP's minimum", p.Memory, p.Iterations)
	case p.Parallelism == 0 || p.Parallelism > maxParallelism || p.Iterations > maxIterations:
		return nil, fmt.Errorf("auth: HashParams t=%d p=%d are out of range", p.Iterations, p.Parallelism)
	case p.SaltLength < 16 || p.SaltLength > maxSaltOrKey || p.KeyLength < minKey || p.KeyLength > maxSaltOrKey:
		return nil, fmt.Errorf("auth: HashParams need a salt and a key of 16 to %d bytes", maxSaltOrKey)
	case p.Memory > h.memory:
		return nil, fmt.Errorf("auth: HashMemory of %d bytes is less than one hash needs (%d)", memory, int64(p.Memory)*1024)
	}
	for _, pepper := range peppers {
		h.peppers[pepper.ID] = bytes.Clone(pepper.Key)
	}
	if len(peppers) > 0 {
		h.pepper = peppers[0].ID
	}
	random := make([]byte, p.SaltLength+p.KeyLength)
	_, _ = rand.Read(random) // never fails
	h.dummy = h.marked(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Iterations, p.Parallelism,
		encode(random[:p.SaltLength]), encode(random[p.SaltLength:])))
	h.Budget = Process()
	h.Budget.Grow(h.memory)
	return h, nil
}

// begin is Budget.Acquire, and tells if there is too much to do.
func (h *Hasher) begin(ctx context.Context, memory uint32) error {
	err := h.Budget.Acquire(ctx, memory)
	if errors.Is(err, ErrBusy) {
		h.advise()
	}
	return err
}

// Ready returns ErrBusy if a hash would be refused now: who asks first saves what
// comes before a hash.
func (h *Hasher) Ready() error {
	if !h.Budget.Full() {
		return nil
	}
	h.advise()
	return ErrBusy
}

// advise logs, once, what would let more passwords be hashed. That is for the
// application to decide: GOMAXPROCS is the whole process's. It is not the
// request's either, whose user the log would look for while a turn is taken.
func (h *Hasher) advise() {
	if !h.advised.CompareAndSwap(false, true) { // nobody waits for the log
		return
	}
	advice := hashAdvice(runtime.GOMAXPROCS(0), runtime.NumCPU(), h.params.Memory, h.Budget.State().Size)
	if advice != "" {
		h.logger.LogAttrs(context.Background(), slog.LevelWarn, "auth: too many passwords wait to be hashed", slog.String("all_processors_hash_with", advice))
	}
}

// hashAdvice is what to set so that all processors hash. Where there are fewer
// procs than cpus, that is a limit which somebody wanted.
func hashAdvice(procs, cpus int, memory, budget uint32) string {
	var advice []string
	if procs == cpus && cpus > 1 {
		procs += 2
		advice = append(advice, fmt.Sprintf("GOMAXPROCS=%d", procs))
	}
	if need := int64(memory) * int64(LanesFor(procs, cpus)); need > int64(budget) {
		advice = append(advice, fmt.Sprintf("Config.HashMemory=%d", need*1024))
	}
	return strings.Join(advice, " ")
}

// marked returns how a PHC string is stored: with the pepper's name.
func (h *Hasher) marked(phc string) string {
	if h.pepper != "" {
		phc += pepperMark + h.pepper
	}
	return phc
}

func encode(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

// Hash returns how the hash of a password is stored.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	memory := h.params.Memory
	if err := h.begin(ctx, memory); err != nil {
		return "", err
	}
	defer h.Budget.Release(memory)
	return h.make(password)
}

// TryHash is Hash for an upgrade, which is not worth waiting for: if there is no
// lane at once, it returns ErrBusy.
func (h *Hasher) TryHash(password string) (string, error) {
	memory := h.params.Memory
	if !h.Budget.TryAcquire(memory) {
		return "", ErrBusy
	}
	defer h.Budget.Release(memory)
	return h.make(password)
}

// make computes a hash, in a lane that the caller has.
func (h *Hasher) make(password string) (string, error) {
	p := h.params
	h.computed.Add(1)
	h.worked.Add(argon2Work(p.Memory, p.Iterations, p.Parallelism))
	if h.pepper != "" {
		password = peppered(h.peppers[h.pepper], password)
	}
	phc, err := argon2id.CreateHash(password, &p)
	return h.marked(phc), err
}

// Wrap returns the hash of a stored hash's digest, with what a password needs to
// become that digest.
func (h *Hasher) Wrap(ctx context.Context, stored string) (string, error) {
	if stored == "" {
		return "", nil
	}
	r, err := h.parse(stored)
	if err != nil {
		return "", err
	}
	strong := r.params.Memory >= h.params.Memory && r.params.Memory*r.params.Iterations >= h.params.Memory*h.params.Iterations
	if r.layered || strong && h.pepper == "" {
		return stored, nil
	}
	hash, err := h.Hash(ctx, encode(r.digest))
	if err != nil {
		return "", err
	}
	_, head, _, _ := split(stored)
	return fmt.Sprintf("%s%s%d:%s", hash, wrappedMark, len(r.digest), head), nil
}

// Computed returns how many hashes have been made or compared with.
func (h *Hasher) Computed() uint64 { return h.computed.Load() }

// A Verification is what Verify finds.
type Verification struct {
	OK       bool  // it is the password
	Outdated bool  // and its hash is not one that would be made now
	Unusable error // why the hash cannot be computed
}

// Verify computes one hash, whatever stored is: where there is nothing to
// compare with, the dummy's. If it is one that costs less than a new one, the
// rest is worked off, so that nobody sees by the time whose hash is an old one.
func (h *Hasher) Verify(ctx context.Context, stored, password string) (Verification, error) {
	r, err := h.parse(stored)
	if err != nil {
		r, _ = h.parse(h.dummy)
	}
	rest, passes := h.rest(r.work)
	memory := max(r.memory, rest)
	if err := h.begin(ctx, memory); err != nil {
		return Verification{}, err
	}
	defer h.Budget.Release(memory)
	h.computed.Add(1)
	h.worked.Add(r.work)
	match := subtle.ConstantTimeCompare(r.derive(password), r.digest) == 1
	if passes > 0 {
		p := h.params
		h.worked.Add(argon2Work(rest, passes, p.Parallelism))
		argon2.IDKey([]byte(password), make([]byte, p.SaltLength), passes, rest, p.Parallelism, p.KeyLength)
	}
	switch {
	case stored == "":
		return Verification{}, nil
	case err != nil:
		return Verification{Unusable: err}, nil
	}
	return Verification{OK: match, Outdated: match && !r.current}, nil
}

// rest returns the memory and the passes of an Argon2id that makes up for the
// difference between a new hash and work that was done. No pass: there is none.
func (h *Hasher) rest(work uint64) (memory, passes uint32) {
	p := h.params
	whole := argon2Work(p.Memory, p.Iterations, p.Parallelism)
	missing := (whole - min(work, whole)) * atOnce(p.Parallelism)
	if missing < 8*uint64(p.Parallelism) { // the least memory of Argon2
		return 0, 0
	}
	passes = uint32((missing + uint64(p.Memory) - 1) / uint64(p.Memory))
	return uint32(missing / uint64(passes)), passes
}

// A recipe is a stored hash, taken apart and found to be within the limits.
type recipe struct {
	derive func(password string) []byte // computes the digest
	digest []byte                       // what it must be
	memory uint32                       // KiB that derive takes
	work   uint64                       // that it does, in the unit of argon2Work

	params  argon2id.Params // of Argon2id; else zero
	layered bool            // it is peppered or wrapped
	current bool            // it is what Hash would make
}

// of returns a recipe that goes through another function first.
func (r recipe) of(before func(password string) string) recipe {
	after := r.derive
	r.derive = func(password string) []byte { return after(before(password)) }
	return r
}

// parse returns a stored hash's recipe, or ErrUnusable with a reason that
// may be logged. It computes nothing.
func (h *Hasher) parse(text string) (recipe, error) {
	if len(text) > maxHashText {
		return recipe{}, ErrUnusable
	}
	var id, old string
	var isPeppered, isWrapped bool
	if strings.HasPrefix(text, argon2idPrefix) { // only ours have layers
		text, old, isWrapped = strings.Cut(text, wrappedMark)
		text, id, isPeppered = strings.Cut(text, pepperMark)
	}
	s, head, digest, ok := split(text)
	if !ok {
		return recipe{}, ErrUnusable
	}
	r, ok := s.parse(head, len(digest))
	if !ok {
		return recipe{}, ErrUnusable
	}
	r.digest = digest
	r.layered = isPeppered || isWrapped
	r.current = s.prefix == argon2idPrefix && r.params == h.params && id == h.pepper && !isWrapped
	if isPeppered {
		key, ok := h.peppers[id]
		switch {
		case !IsPepperID(id):
			return recipe{}, ErrUnusable
		case !ok:
			return recipe{}, fmt.Errorf("%w: its pepper %q is none of Config.Peppers", ErrUnusable, id)
		}
		r = r.of(func(text string) string { return peppered(key, text) })
	}
	if isWrapped {
		inner, ok := parseWrapped(old)
		if !ok {
			return recipe{}, ErrUnusable
		}
		r.memory, r.work = max(r.memory, inner.memory), r.work+inner.work
		r = r.of(func(password string) string { return encode(inner.derive(password)) })
	}
	if r.memory > h.memory {
		return recipe{}, fmt.Errorf("%w: it takes %d KiB, and Config.HashMemory has %d", ErrUnusable, r.memory, h.memory)
	}
	return r, nil
}

// parseWrapped reads what follows wrappedMark.
func parseWrapped(text string) (recipe, bool) {
	length, head, _ := strings.Cut(text, ":")
	n, ok := number(length, 1, maxSaltOrKey)
	if !ok {
		return recipe{}, false
	}
	s, ok := schemeOf(head)
	if !ok {
		return recipe{}, false
	}
	return s.parse(head, int(n))
}

// parseArgon2 reads $argon2id$v=19$m=19456,t=2,p=1$c2FsdA$, and the same of
// argon2i, to the letter. (argon2id.DecodeHash lets signs and anything behind the
// parameters pass, and argon2 panics for t=0 and p=0, and would allocate what m
// says.)
func parseArgon2(head string, size int) (recipe, bool) {
	f := strings.Split(head, "$")
	if len(f) != 6 || f[2] != fmt.Sprintf("v=%d", argon2.Version) || f[5] != "" {
		return recipe{}, false
	}
	var n [3]uint64 // memory, passes, lanes
	fields := strings.Split(f[3], ",")
	if len(fields) != len(n) {
		return recipe{}, false
	}
	for i, name := range []string{"m=", "t=", "p="} {
		text, ok := strings.CutPrefix(fields[i], name)
		if !ok {
			return recipe{}, false
		}
		if n[i], ok = number(text, 1, []uint64{1<<32 - 1, maxIterations, maxParallelism}[i]); !ok {
			return recipe{}, false
		}
	}
	salt, ok := decode(base64.RawStdEncoding, f[4])
	if !ok || len(salt) < minSalt || len(salt) > maxSaltOrKey || size < minKey || size > maxSaltOrKey || n[0] < 8*n[2] {
		return recipe{}, false
	}
	memory, passes, lanes := uint32(n[0]), uint32(n[1]), uint8(n[2])
	r := recipe{memory: memory, work: argon2Work(memory, passes, lanes)}
	key := argon2.Key
	if f[1] == "argon2id" {
		key = argon2.IDKey
		r.params = argon2id.Params{Memory: memory, Iterations: passes, Parallelism: lanes, SaltLength: uint32(len(salt)), KeyLength: uint32(size)}
	}
	r.derive = func(password string) []byte {
		return key([]byte(password), salt, passes, memory, lanes, uint32(size))
	}
	return r, true
}

// argon2Work is the unit of work: KiB times passes, of as many lanes as run one
// after the other. The time that Argon2 takes is about proportional to it.
func argon2Work(memory, passes uint32, lanes uint8) uint64 {
	return uint64(memory) * uint64(passes) / atOnce(lanes)
}

// atOnce returns how many lanes run at the same time on an idle machine.
func atOnce(lanes uint8) uint64 { return uint64(min(int(lanes), runtime.GOMAXPROCS(0))) }
