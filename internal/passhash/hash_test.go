package passhash

// These tests look into the Hasher. The hash_test.go and password_test.go of package auth
// test what logins and WrapHash show of it.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth/internal/cgroup"
)

func testHasher(t testing.TB, budget int64, peppers ...Pepper) *Hasher {
	t.Helper()
	h, err := NewHasher(DefaultParams(), budget, peppers, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.Budget = NewBudget(h.memory)
	return h
}

func TestHashAdvice(t *testing.T) {
	t.Parallel()
	const m, budget = 19456, 65536
	for _, test := range []struct {
		procs, cpus int
		limit       float64
		want        string
	}{
		{1, 1, 0, ""}, {3, 1, 0, ""},
		{2, 2, 0, "GOMAXPROCS=4"}, {3, 2, 0, ""}, {4, 2, 0, ""},
		{3, 3, 0, "GOMAXPROCS=5"}, {4, 4, 0, "GOMAXPROCS=6 Config.Password.HashMemory=79691776"}, {6, 4, 0, "Config.Password.HashMemory=79691776"},
		{2, 64, 0, ""}, {4, 64, 0, ""}, {8, 64, 0, "Config.Password.HashMemory=139460608"}, // limited from outside
		{2, 2, 2, "GOMAXPROCS=4"}, {2, 2, 1.5, ""}, {3, 64, 2.5, ""}, {6, 64, 6, "Config.Password.HashMemory=99614720"}, // in a container
	} {
		if got := hashAdvice(test.procs, test.cpus, test.limit, m, budget); got != test.want {
			t.Errorf("%d of %d, %g in the container: %q, want %q", test.procs, test.cpus, test.limit, got, test.want)
		}
	}
}

// The first refused hash logs one record with the advice. Later ones log nothing.
func TestBusyIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	params := DefaultParams()
	h, err := NewHasher(params, 19456<<10, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	h.Budget = NewBudget(h.memory)
	h.Budget.MaxQueue = 0
	if err := h.begin(t.Context(), params.Memory); err != nil || log.Len() > 0 {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for range 3 {
		if _, err := h.Hash(t.Context(), "x"); !errors.Is(err, ErrBusy) {
			t.Errorf("hash: %v", err)
		}
		if _, err := h.Verify(t.Context(), "", "x", false); !errors.Is(err, ErrBusy) {
			t.Errorf("verify: %v", err)
		}
		if err := h.Ready(); !errors.Is(err, ErrBusy) {
			t.Errorf("full: %v", err)
		}
	}
	want := 1
	if h.Advice() == "" {
		want = 0
	}
	if n := strings.Count(log.String(), "level=WARN msg=\"auth: too many passwords wait to be hashed\" all_processors_hash_with="); n != want ||
		strings.Count(log.String(), "\n") != want {
		t.Errorf("%d times, want %d:\n%s", n, want, log.String())
	}
	if n := h.computed.Load(); n != 0 {
		t.Errorf("%d hashes", n)
	}
}

// A Hasher uses the limits of its budget, and gives back each lane that it takes.
func TestHasherLanes(t *testing.T) {
	t.Parallel()
	h := testHasher(t, 64<<20)
	if n, size := h.Budget.Lanes(), h.Budget.State().Size; size != 65536 || n != LanesFor(runtime.GOMAXPROCS(0), runtime.NumCPU(), cgroup.Read(os.DirFS("/")).CPUs) || h.Budget.MaxQueue < 1 || h.Budget.MaxQueue > 256 {
		t.Errorf("%d KiB, %d lanes, queue of %d", size, n, h.Budget.MaxQueue)
	}
	// A hash takes its lane and gives it back, also one that cannot be computed.
	for _, stored := range []string{"", "broken", "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"} {
		if _, err := h.Verify(t.Context(), stored, "x", false); err != nil {
			t.Error(err)
		}
	}
	if s := h.Budget.State(); s.Free != 65536 || s.Running != 0 {
		t.Errorf("afterwards %d KiB are free and %d lanes are taken", s.Free, s.Running)
	}
	// While all lanes are taken, hashing waits, and a context ends the wait.
	if err := h.Budget.Acquire(t.Context(), 65536); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 2)
	go func() { _, err := h.Hash(ctx, "x"); failed <- err }()
	go func() { _, err := h.Verify(ctx, "", "x", false); failed <- err }()
	before := h.computed.Load()
	for h.Budget.State().Waiting < 2 {
		runtime.Gosched()
	}
	cancel()
	for range 2 {
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if h.computed.Load() != before {
		t.Error("a hash was computed without a lane")
	}
	h.Budget.Release(65536)
}

// The dummy costs as much as a new hash, and no password opens it.
func TestDummyHash(t *testing.T) {
	t.Parallel()
	h, other := testHasher(t, 64<<20), testHasher(t, 64<<20)
	if r, err := h.parse(h.dummy); err != nil || r.params != h.params || !r.current {
		t.Errorf("%+v, %v", r, err)
	}
	if h.dummy == other.dummy {
		t.Error("two managers have the same dummy")
	}
	for _, stored := range []string{"", "broken"} {
		if v, err := h.Verify(t.Context(), stored, "", false); v.OK || v.Outdated || err != nil || (v.Unusable != nil) != (stored != "") {
			t.Errorf("%q: %+v, %v", stored, v, err)
		}
	}
}

// Outdated is true for each hash with parameters that differ from those of a new one.
func TestOutdatedHashes(t *testing.T) {
	t.Parallel()
	h := testHasher(t, 64<<20)
	for _, p := range []argon2id.Params{
		{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32},
		{Memory: 19456, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32},
		{Memory: 19456, Iterations: 2, Parallelism: 2, SaltLength: 16, KeyLength: 32},
		{Memory: 19456, Iterations: 2, Parallelism: 1, SaltLength: 8, KeyLength: 16},
		h.params,
	} {
		text, err := argon2id.CreateHash("right", &p)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := h.Verify(t.Context(), text, "right", false); err != nil || !v.OK || v.Unusable != nil || v.Outdated != (p != h.params) || v.Renewed != "" {
			t.Errorf("%+v: %+v, %v", p, v, err)
		}
		if v, err := h.Verify(t.Context(), text, "wrong", false); err != nil || v.OK || v.Unusable != nil || v.Outdated {
			t.Errorf("%+v, wrong password: %+v, %v", p, v, err)
		}
	}
}

// Verify makes a new hash in the lane in which it has verified the old one, and takes as
// much memory as the larger of the two needs. It makes none for a wrong password, for a
// hash that is like a new one, or if it is not asked to.
func TestRenew(t *testing.T) {
	t.Parallel()
	h := testHasher(t, 64<<20)
	current, err := h.Hash(t.Context(), "right")
	if err != nil {
		t.Fatal(err)
	}
	const bcrypt4 = "$2b$04$......................Syd4KYxmAS1yW2i4q32tNmiGES8QLYu" // of "right"
	for _, c := range []struct {
		stored, password string
		renew, renewed   bool
	}{
		{bcrypt4, "right", true, true},
		{bcrypt4, "right", false, false},
		{bcrypt4, "wrong", true, false},
		{current, "right", true, false},
		{"", "right", true, false},
		{"broken", "right", true, false},
	} {
		lanes, usual := 0, h.Budget.Lanes
		h.Budget.Lanes = func() int { lanes++; return usual() }
		hashes, work := h.computed.Load(), h.worked.Load()
		v, err := h.Verify(t.Context(), c.stored, c.password, c.renew)
		h.Budget.Lanes = usual
		hashes, work = h.computed.Load()-hashes, h.worked.Load()-work
		want := uint64(1)
		if c.renewed {
			want = 2
		}
		if err != nil || (v.Renewed != "") != c.renewed || lanes != 1 || hashes != want {
			t.Errorf("%+v: %+v, %v; %d lanes, %d hashes", c, v, err, lanes, hashes)
		}
		// The new hash is the rest of the work, too.
		if whole := argon2Work(h.params.Memory, h.params.Iterations, 1); work > whole+bcryptWork<<4 {
			t.Errorf("%+v: work of %d, and a new hash is %d", c, work, whole)
		}
		if !c.renewed {
			continue
		}
		if v, err := h.Verify(t.Context(), v.Renewed, "right", true); err != nil || !v.OK || v.Outdated {
			t.Errorf("the new hash: %+v, %v", v, err)
		}
		// One KiB less than a new hash needs is not enough.
		if err := h.Budget.Acquire(t.Context(), 64<<10-h.params.Memory+1); err != nil {
			t.Fatal(err)
		}
		h.Budget.MaxQueue = 0
		if v, err := h.Verify(t.Context(), c.stored, c.password, c.renew); !errors.Is(err, ErrBusy) {
			t.Errorf("without memory for the new hash: %+v, %v", v, err)
		}
		h.Budget.Release(64<<10 - h.params.Memory + 1)
	}
}

// A stored hash that parse accepts is within the bounds and can be wrapped. Cheap ones are
// computed, too; TestHostileHashes of package auth computes expensive ones.
func FuzzStoredHash(f *testing.F) {
	h := testHasher(f, 64<<20, Pepper{"2026", []byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")})
	const tag = "AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, seed := range []string{
		"", "$$$$$", h.dummy, "$argon2id$v=19$m=8,t=1,p=1$" + tag, "$argon2id$v=19$m=19456,t=0,p=1$" + tag,
		"$argon2id$v=19$m=19456,t=2,p=0$" + tag, "$argon2id$v=19$m=4294967295,t=2,p=1$" + tag, "$argon2id$v=19$m=8,t=1,p=1$$",
		"$argon2id$v=19$m=+8,t=1,p=1,x$" + tag, "$argon2i$v=19$m=8,t=1,p=1$" + tag,
		"$argon2id$v=19$m=8,t=1,p=1$" + tag + "$pepper=2026$wrapped=32:pbkdf2:sha256:1$salt$",
		"$argon2id$v=19$m=8,t=1,p=1$" + tag + "$wrapped=23:$2b$04$......................",
	} {
		f.Add(seed)
	}
	for _, v := range vectors(f) {
		if v.Password == "x" {
			f.Add(v.Hash)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := h.parse(text)
		if err != nil {
			if !errors.Is(err, ErrUnusable) || r.derive != nil || len(err.Error()) > 200 {
				t.Errorf("%q is refused with %+v, %v", text, r, err)
			}
			return
		}
		// Twice 2^22, for a wrapped one.
		if len(text) > maxHashText || r.memory > h.memory || r.work > 1<<23 || len(r.digest) < minKey || len(r.digest) > maxSaltOrKey {
			t.Fatalf("%q is accepted with %+v", text, r)
		}
		if _, head, digest, _ := split(text); !r.layered {
			wrapped := fmt.Sprintf("%s$wrapped=%d:%s", h.dummy, len(digest), head)
			if w, err := h.parse(wrapped); err != nil || !w.layered || w.work != r.work+argon2Work(h.params.Memory, h.params.Iterations, 1) {
				t.Errorf("%q is refused: %v", wrapped, err)
			}
		}
		if r.work <= 1024 && r.memory <= 1024 && r.opens("no such password") {
			t.Errorf("%q is open", text)
		}
	})
}
