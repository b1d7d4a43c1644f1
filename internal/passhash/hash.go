// Package passhash hashes passwords with Argon2id and verifies stored hashes: its own
// and those that other frameworks made. It bounds the memory and the number of hashes
// that one process computes at a time.
//
//   - hash.go: Hasher makes, verifies and wraps hashes.
//   - foreign.go: the formats of Werkzeug, Django, PHP and bcrypt.
//   - pepper.go: keys that passwords go through before they are hashed.
//   - budget.go: the limits of memory and number, and the queue.
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
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth/internal/cgroup"
	"golang.org/x/crypto/argon2"
)

// DefaultParams returns the parameters that auth.DefaultHashParams documents.
func DefaultParams() argon2id.Params {
	return argon2id.Params{Memory: 19456, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// TestParams returns the parameters that authtest.HashParams documents.
func TestParams() argon2id.Params {
	return argon2id.Params{Memory: 256, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// ErrUnusable is auth.ErrHashUnusable: a stored hash that no password can open.
var ErrUnusable = errors.New("auth: the stored hash is malformed, of an unknown kind or beyond the limits")

// Bounds of the parameters in a stored hash. An attacker who can write to the user
// store can choose these parameters, and would otherwise choose how long a login
// computes. The memory is bounded by Config.Password.HashMemory.
const (
	maxHashText    = 512
	maxIterations  = 32
	maxParallelism = 16
	minSalt        = 8
	minKey         = 16
	maxSaltOrKey   = 64
)

// A hash that Hasher makes is a PHC string of Argon2id. Two layers can follow it, in this
// order. If the password went through a pepper, pepperMark and the pepper's ID. If the
// hash wraps an older hash, wrappedMark, the length of the old digest in bytes, a colon,
// and the old hash without its digest.
const (
	argon2idPrefix = "$argon2id$"
	pepperMark     = "$pepper="
	wrappedMark    = "$wrapped="
)

// A Hasher makes, verifies and wraps password hashes. Stored hashes are strings: the
// caller keeps them out of logs.
type Hasher struct {
	// Budget limits what is computed at a time. It is the budget of the process. A test
	// may set another one before the first hash.
	Budget *Budget

	params   argon2id.Params
	memory   uint32            // KiB: a stored hash that needs more is unusable
	pepper   string            // ID of the pepper of new hashes, or ""
	peppers  map[string][]byte // keys by ID
	dummy    string            // looks like a new hash; no password opens it
	logger   *slog.Logger
	advised  atomic.Bool   // advise has logged
	computed atomic.Uint64 // hashes made or compared with
	refused  atomic.Uint64 // hashes refused because too many wait, or waited too long
	worked   atomic.Uint64 // their work, in the unit of argon2Work
}

// NewHasher returns a Hasher that makes hashes with params. It grows the budget of the
// process to memory bytes, and never computes a stored hash that needs more than that.
// The first pepper is applied to new hashes; each pepper verifies hashes that name its ID.
// The logger gets one record if hashes are refused because too many wait. Errors are
// about Config.Password.HashParams and Config.Password.HashMemory of package auth.
func NewHasher(params argon2id.Params, memory int64, peppers []Pepper, logger *slog.Logger) (*Hasher, error) {
	p := params
	// The memory in KiB for each number of passes: the rows of equal cost in OWASP's
	// password storage cheat sheet.
	least := map[uint32]uint32{1: 47104, 2: 19456, 3: 12288, 4: 9216}
	minimum, ok := least[p.Iterations]
	if !ok {
		minimum = 7168
	}
	h := &Hasher{memory: uint32(min(max(memory, 0)/1024, 1<<31)), peppers: map[string][]byte{}, logger: logger}
	forTests := p == TestParams()
	switch {
	case forTests && !testing.Testing():
		return nil, errors.New("auth: Config.Password.HashParams are authtest.HashParams, which only a test may use; leave the field empty, or use auth.DefaultHashParams")
	case !forTests && (p.Iterations == 0 || p.Memory < minimum):
		return nil, fmt.Errorf("auth: Config.Password.HashParams m=%d t=%d are weaker than OWASP's minimum; raise the memory or the passes, or use auth.DefaultHashParams", p.Memory, p.Iterations)
	case p.Parallelism == 0 || p.Parallelism > maxParallelism || p.Iterations > maxIterations:
		return nil, fmt.Errorf("auth: Config.Password.HashParams t=%d p=%d are out of range", p.Iterations, p.Parallelism)
	case p.SaltLength < 16 || p.SaltLength > maxSaltOrKey || p.KeyLength < minKey || p.KeyLength > maxSaltOrKey:
		return nil, fmt.Errorf("auth: Config.Password.HashParams need a salt and a key of 16 to %d bytes", maxSaltOrKey)
	case p.Memory > h.memory:
		return nil, fmt.Errorf("auth: Config.Password.HashMemory is %d bytes, less than one hash needs; use %d or more", memory, int64(p.Memory)*1024)
	}
	for _, pepper := range peppers {
		h.peppers[pepper.ID] = bytes.Clone(pepper.Key)
	}
	if len(peppers) > 0 {
		h.pepper = peppers[0].ID
	}
	h.UseParams(p)
	h.Budget = Process()
	h.Budget.Grow(h.memory)
	return h, nil
}

// UseParams sets the parameters of new hashes without the checks of NewHasher. A test may
// call it before the first hash, to make hashes that cost almost nothing.
func (h *Hasher) UseParams(p argon2id.Params) {
	h.params = p
	random := make([]byte, p.SaltLength+p.KeyLength)
	_, _ = rand.Read(random) // never fails
	h.dummy = h.marked(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Iterations, p.Parallelism,
		encode(random[:p.SaltLength]), encode(random[p.SaltLength:])))
}

// begin is Budget.Acquire. If the budget refuses the hash, it logs advice.
func (h *Hasher) begin(ctx context.Context, memory uint32) error {
	err := h.Budget.Acquire(ctx, memory)
	if errors.Is(err, ErrBusy) {
		h.refused.Add(1)
		h.advise()
	}
	return err
}

// Ready returns ErrBusy if a hash would be refused now. A caller that asks first does
// not load the user from the store for nothing.
func (h *Hasher) Ready() error {
	if !h.Budget.Full() {
		return nil
	}
	h.refused.Add(1)
	h.advise()
	return ErrBusy
}

// advise logs, once, the settings that let more passwords be hashed at a time. It does
// not change GOMAXPROCS itself, which belongs to the whole process. The record does not
// get the context of the request: a log handler could use it to look up the current
// user, which must not happen while the request has a turn.
func (h *Hasher) advise() {
	if !h.advised.CompareAndSwap(false, true) { // nobody waits for the log
		return
	}
	if advice := h.Advice(); advice != "" {
		h.logger.LogAttrs(context.Background(), slog.LevelWarn, "auth: too many passwords wait to be hashed", slog.String("all_processors_hash_with", advice))
	}
}

// Advice returns the settings with which hashing uses all processors, or "" if it already
// does.
func (h *Hasher) Advice() string {
	return hashAdvice(runtime.GOMAXPROCS(0), runtime.NumCPU(), cgroup.Read(os.DirFS("/")).CPUs, h.params.Memory, h.Budget.State().Size)
}

// hashAdvice is Advice. If procs (GOMAXPROCS) is less than cpus, or a container has less, the
// operator chose that limit, and the advice keeps it. If procs is two more than cpus, one
// hash runs on each processor, and the system shares them with pages. One of the two is for
// the garbage collector, which takes a quarter of procs while it works: with one more, a
// page would wait for it, and for up to 10 ms.
func hashAdvice(procs, cpus int, limit float64, memory, budget uint32) string {
	var advice []string
	if procs == cpus && cpus > 1 && !isLimited(cpus, limit) {
		procs += 2
		advice = append(advice, fmt.Sprintf("GOMAXPROCS=%d", procs))
	}
	if need := int64(memory) * int64(LanesFor(procs, cpus, limit)); need > int64(budget) {
		advice = append(advice, fmt.Sprintf("Config.Password.HashMemory=%d", need*1024))
	}
	return strings.Join(advice, " ")
}

// marked appends the ID of the pepper of new hashes to a PHC string.
func (h *Hasher) marked(phc string) string {
	if h.pepper != "" {
		phc += pepperMark + h.pepper
	}
	return phc
}

func encode(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

// Hash makes the hash of a password, as text to store. It waits for its place in the
// budget; the error is ErrBusy or that of ctx.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	memory := h.params.Memory
	if err := h.begin(ctx, memory); err != nil {
		return "", err
	}
	defer h.Budget.Release(memory)
	return h.make(password)
}

// make computes a hash. The caller has acquired its place in the budget.
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

// Wrap protects a weak stored hash without knowing the password: it returns the hash of
// the old digest, and with it what turns a password into that digest (the old hash
// without its digest). Wrap returns stored unchanged if it is empty, if it has a layer
// already, or if it is Argon2id at least as strong as a new hash and there is no pepper to
// add. The error is ErrBusy or that of ctx, or wraps ErrUnusable.
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

// Computed returns how many hashes were made or compared with.
func (h *Hasher) Computed() uint64 { return h.computed.Load() }

// Refused returns how many hashes were refused with ErrBusy.
func (h *Hasher) Refused() uint64 { return h.refused.Load() }

// A Verification is the result of Verify.
type Verification struct {
	OK       bool   // the password is right
	Outdated bool   // the password is right, and a new hash would be made differently
	Renewed  string // a new hash of the password, if it is outdated and Verify was asked to renew it
	Unusable error  // wraps ErrUnusable and says why no password can open the hash
}

// Verify compares a password with a stored hash. An attacker who measures the time must
// not learn whether an account exists, or whether its hash is an old one. So Verify always
// computes one hash: if stored is empty or unusable, it computes the dummy. If the stored
// hash costs less than a new one, Verify then does the rest of the work of a new one.
//
// If renew is set, the password is right and the stored hash is outdated, Verify also makes
// a new hash. It does so in the same lane: a second wait in a full queue could take longer
// than the client's connection lasts. The error is ErrBusy or that of ctx.
func (h *Hasher) Verify(ctx context.Context, stored, password string, renew bool) (v Verification, err error) {
	r, unusable := h.parse(stored)
	if unusable != nil {
		r, _ = h.parse(h.dummy)
	}
	rest, passes := h.rest(r.work)
	memory := max(r.memory, rest)
	if renew && !r.current {
		memory = max(memory, h.params.Memory)
	}
	if err := h.begin(ctx, memory); err != nil {
		return Verification{}, err
	}
	defer h.Budget.Release(memory)
	h.computed.Add(1)
	h.worked.Add(r.work)
	match := subtle.ConstantTimeCompare(r.derive(password), r.digest) == 1
	switch {
	case unusable != nil && stored != "":
		v.Unusable = unusable
	case unusable == nil:
		v.OK, v.Outdated = match, match && !r.current
	}
	switch {
	case renew && v.Outdated:
		v.Renewed, err = h.make(password) // does the rest of the work as well
	case passes > 0:
		p := h.params
		h.worked.Add(argon2Work(rest, passes, p.Parallelism))
		argon2.IDKey([]byte(password), make([]byte, p.SaltLength), passes, rest, p.Parallelism, p.KeyLength)
	}
	return v, err
}

// rest returns the memory and the passes of an Argon2id computation that makes up for the
// difference between a new hash and the work already done. It returns no passes if there
// is no difference.
func (h *Hasher) rest(work uint64) (memory, passes uint32) {
	p := h.params
	whole := argon2Work(p.Memory, p.Iterations, p.Parallelism)
	missing := (whole - min(work, whole)) * atOnce(p.Parallelism)
	if missing < 8*uint64(p.Parallelism) { // Argon2 needs 8 KiB for each lane
		return 0, 0
	}
	passes = uint32((missing + uint64(p.Memory) - 1) / uint64(p.Memory))
	return uint32(missing / uint64(passes)), passes
}

// A recipe is a parsed stored hash whose parameters are within the bounds.
type recipe struct {
	derive func(password string) []byte // computes the digest of a password
	digest []byte                       // the digest of the right password
	memory uint32                       // KiB that derive needs
	work   uint64                       // what derive costs, in the unit of argon2Work

	params  argon2id.Params // if the hash is Argon2id; otherwise zero
	layered bool            // the hash has a pepper or wraps another hash
	current bool            // Hash would make a hash like this one
}

// of returns a recipe that passes the password through before first.
func (r recipe) of(before func(password string) string) recipe {
	after := r.derive
	r.derive = func(password string) []byte { return after(before(password)) }
	return r
}

// parse returns the recipe of a stored hash. The error wraps ErrUnusable, and its text
// may be logged. parse computes no hash.
func (h *Hasher) parse(text string) (recipe, error) {
	if len(text) > maxHashText {
		return recipe{}, ErrUnusable
	}
	var id, old string
	var isPeppered, isWrapped bool
	if strings.HasPrefix(text, argon2idPrefix) { // only hashes made by Hasher have layers
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
			return recipe{}, fmt.Errorf("%w: its pepper %q is none of Config.Password.Peppers", ErrUnusable, id)
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
		return recipe{}, fmt.Errorf("%w: it takes %d KiB, and Config.Password.HashMemory has %d", ErrUnusable, r.memory, h.memory)
	}
	return r, nil
}

// parseWrapped reads the text after wrappedMark.
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

// parseArgon2 reads $argon2id$v=19$m=19456,t=2,p=1$c2FsdA$, and the same with argon2i. It
// accepts no other spelling. argon2id.DecodeHash would accept signs and any text after
// the parameters. Package argon2 would panic if t or p is 0, and would allocate as much
// memory as m says.
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

// argon2Work returns the work of an Argon2 computation: KiB times passes, divided by the
// number of lanes that run at the same time. The time that Argon2 takes is about
// proportional to it.
func argon2Work(memory, passes uint32, lanes uint8) uint64 {
	return uint64(memory) * uint64(passes) / atOnce(lanes)
}

// atOnce returns how many lanes run at the same time on an idle machine.
func atOnce(lanes uint8) uint64 { return uint64(min(int(lanes), runtime.GOMAXPROCS(0))) }
