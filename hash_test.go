package auth

// These tests are inside the package because nobody outside can hold a lane:
// what is seen there is in password_test.go.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/alexedwards/argon2id"
)

// A lanesTest starts work in order and knows what runs.
type lanesTest struct {
	t *testing.T
	l *lanes

	mu      sync.Mutex
	running []string
	failed  map[string]error
	finish  map[string]chan struct{}
	cancel  map[string]context.CancelFunc
}

// newLanesTest must be called in a bubble of synctest.
func newLanesTest(t *testing.T, memory uint32, count, maxQueue int) *lanesTest {
	return &lanesTest{
		t: t, l: &lanes{memory: memory, count: func() int { return count }, maxQueue: maxQueue},
		failed: map[string]error{}, finish: map[string]chan struct{}{}, cancel: map[string]context.CancelFunc{},
	}
}

// start returns when the work runs, waits or has failed.
func (lt *lanesTest) start(name string, memory uint32) {
	ctx, cancel := context.WithCancel(context.Background())
	finish := make(chan struct{})
	lt.cancel[name], lt.finish[name] = cancel, finish
	go func() {
		if err := lt.l.acquire(ctx, memory); err != nil {
			lt.mu.Lock()
			lt.failed[name] = err
			lt.mu.Unlock()
			return
		}
		lt.mu.Lock()
		lt.running = append(lt.running, name)
		lt.mu.Unlock()
		<-finish
		lt.mu.Lock()
		lt.running = slices.DeleteFunc(lt.running, func(s string) bool { return s == name })
		lt.mu.Unlock()
		lt.l.release(memory)
	}()
	synctest.Wait()
}

func (lt *lanesTest) end(name string) {
	close(lt.finish[name])
	synctest.Wait()
}

func (lt *lanesTest) leave(name string) {
	lt.cancel[name]()
	synctest.Wait()
}

// want checks what runs, in the order of the names, and how many wait.
func (lt *lanesTest) want(running string, waiting int) {
	lt.t.Helper()
	lt.mu.Lock()
	defer lt.mu.Unlock()
	if got := strings.Join(slices.Sorted(slices.Values(lt.running)), " "); got != running || len(lt.l.queue) != waiting {
		lt.t.Errorf("%q run and %d wait, want %q and %d", got, len(lt.l.queue), running, waiting)
	}
}

func (lt *lanesTest) wantError(name string, want error) {
	lt.t.Helper()
	lt.mu.Lock()
	defer lt.mu.Unlock()
	if !errors.Is(lt.failed[name], want) {
		lt.t.Errorf("%s: %v, want %v", name, lt.failed[name], want)
	}
}

// idle checks that everything has been given back.
func (lt *lanesTest) idle(memory uint32) {
	lt.t.Helper()
	lt.want("", 0)
	if lt.l.memory != memory || lt.l.running != 0 {
		lt.t.Errorf("%d KiB are free and %d lanes are taken, want %d and none", lt.l.memory, lt.l.running, memory)
	}
	for _, cancel := range lt.cancel {
		cancel()
	}
}

func TestLanesAreFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lt := newLanesTest(t, 100, 1, 10)
		for _, name := range []string{"a", "b", "c", "d"} {
			lt.start(name, 10)
		}
		for i, name := range []string{"a", "b", "c", "d"} {
			lt.want(name, 3-i)
			lt.end(name)
		}
		lt.idle(100)
	})
}

func TestLanesGoByMemoryAndNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lt := newLanesTest(t, 100, 10, 10)
		lt.start("a", 60)
		lt.start("b", 40)
		lt.start("c", 1)
		lt.want("a b", 1)
		lt.end("b")
		lt.want("a c", 0)
		lt.end("a")
		lt.start("d", 99)
		lt.want("c d", 0)
		lt.end("c")
		lt.end("d")
		lt.idle(100)

		lt = newLanesTest(t, 100, 2, 10)
		lt.start("a", 1)
		lt.start("b", 1)
		lt.start("c", 1)
		lt.want("a b", 1)
		lt.end("a")
		lt.want("b c", 0)
		lt.end("b")
		lt.end("c")
		lt.idle(100)
	})
}

func TestLanesOfOneThatTakesAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lt := newLanesTest(t, 100, 4, 10)
		lt.start("all", 100)
		lt.start("none left", 1)
		lt.want("all", 1)
		lt.end("all")
		lt.want("none left", 0)
		lt.end("none left")
		lt.idle(100)
	})
}

func TestLanesAreBusyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lt := newLanesTest(t, 100, 1, 2)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			lt.start(name, 10)
		}
		lt.wantError("d", ErrBusy)
		lt.wantError("e", ErrBusy)
		lt.want("a", 2)
		lt.end("a") // there is room for one again
		lt.start("f", 10)
		lt.start("g", 10)
		lt.wantError("g", ErrBusy)
		lt.want("b", 2)
		for _, name := range []string{"b", "c", "f"} {
			lt.end(name)
		}
		lt.idle(100)
	})
}

// There may be more lanes, and fewer, while some of them are taken.
func TestLanesChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lt := newLanesTest(t, 100, 0, 10)
		count := 2
		lt.l.count = func() int { return count }
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			lt.start(name, 10)
		}
		lt.want("a b", 3)
		count = 1
		lt.end("a")
		lt.want("b", 3)
		lt.end("b")
		lt.want("c", 2)
		count = 2
		lt.end("c")
		lt.want("d e", 0)
		lt.end("d")
		lt.end("e")
		lt.idle(100)
	})
}

func TestLanesWithoutAQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lt := newLanesTest(t, 100, 1, 0)
		lt.start("a", 10)
		lt.start("b", 10)
		lt.wantError("b", ErrBusy)
		lt.end("a")
		lt.idle(100)
	})
}

func TestLanesWaitersLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lt := newLanesTest(t, 100, 1, 3)
		for _, name := range []string{"a", "b", "c", "d"} {
			lt.start(name, 10)
		}
		lt.leave("c") // from the middle
		lt.wantError("c", context.Canceled)
		lt.want("a", 2)
		lt.leave("a") // it runs: this frees nothing
		lt.want("a", 2)
		lt.start("e", 10) // into the place that c left
		lt.start("f", 10)
		lt.wantError("f", ErrBusy)
		lt.leave("e") // from the end
		lt.leave("b") // from the front
		lt.want("a", 1)
		lt.end("a")
		lt.want("d", 0)
		lt.leave("d")
		lt.want("d", 0)
		lt.end("d")
		lt.idle(100)

		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := lt.l.acquire(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that is done: %v", err)
		}
		lt.idle(100)
	})
}

// What waits behind a heavy one comes in when that one gives up, and not
// before: else the heavy one would wait for ever.
func TestLanesHeavyWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lt := newLanesTest(t, 100, 10, 10)
		lt.start("a", 50)
		lt.start("heavy", 80)
		for _, name := range []string{"l1", "l2", "l3"} {
			lt.start(name, 10)
		}
		lt.want("a", 4) // the light ones would fit
		lt.end("a")
		lt.want("heavy l1 l2", 1)
		lt.end("heavy")
		lt.want("l1 l2 l3", 0)
		for _, name := range []string{"l1", "l2", "l3"} {
			lt.end(name)
		}
		lt.idle(100)

		lt.start("b", 50)
		lt.start("heavy2", 80)
		lt.start("l4", 10)
		lt.start("l5", 10)
		lt.want("b", 3)
		lt.leave("heavy2")
		lt.want("b l4 l5", 0)
		for _, name := range []string{"b", "l4", "l5"} {
			lt.end(name)
		}
		lt.idle(100)
	})
}

// A waiter that is admitted and leaves at the same moment does not keep its
// lane.
func TestLanesAdmittedWhileLeaving(t *testing.T) {
	t.Parallel()
	l := &lanes{memory: 10, count: func() int { return 1 }, maxQueue: 10}
	left := 0
	for range 2000 {
		if err := l.acquire(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- l.acquire(ctx, 10) }()
		for queued := false; !queued; {
			l.mu.Lock()
			queued = len(l.queue) == 1
			l.mu.Unlock()
			runtime.Gosched()
		}
		l.mu.Lock() // so that it cannot leave the queue before it is admitted
		cancel()
		for range 20 {
			runtime.Gosched()
		}
		l.free(10)
		l.mu.Unlock()
		err := <-result
		switch {
		case err == nil:
			l.release(10)
		case errors.Is(err, context.Canceled):
			left++
		default:
			t.Fatal(err)
		}
		if l.memory != 10 || l.running != 0 || len(l.queue) > 0 {
			t.Fatalf("%d KiB, %d run, %d wait (%v)", l.memory, l.running, len(l.queue), err)
		}
	}
	if left == 0 {
		t.Error("none left: the test tests nothing")
	}
}

// Many goroutines with all sizes of work, some of which give up: the limits are
// kept all the time, and in the end everything is free and nobody waits.
func TestLanesUnderStress(t *testing.T) {
	t.Parallel()
	const memory, count, maxQueue, goroutines, rounds = 64, 5, 20, 60, 150
	l := &lanes{memory: memory, count: func() int { return count }, maxQueue: maxQueue}
	var mu sync.Mutex
	used, running, most, busy, gone, done := uint32(0), 0, 0, 0, 0, 0
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			random := uint64(g)*2654435761 + 1 // a different sequence for each
			next := func(n uint64) uint64 {
				random = random*6364136223846793005 + 1442695040888963407
				return random >> 33 % n
			}
			for range rounds {
				need := uint32(1 + next(memory/2))
				if next(20) == 0 {
					need = memory
				}
				ctx, cancel := context.WithCancel(t.Context())
				if next(3) == 0 {
					spins := next(50)
					wg.Go(func() {
						for range spins {
							runtime.Gosched()
						}
						cancel()
					})
				}
				err := l.acquire(ctx, need)
				mu.Lock()
				switch {
				case err == nil:
					used += need
					running++
					most = max(most, running)
					if used > memory || running > count {
						t.Errorf("%d KiB in %d lanes", used, running)
					}
				case errors.Is(err, ErrBusy):
					busy++
				case errors.Is(err, context.Canceled):
					gone++
				default:
					t.Error(err)
				}
				mu.Unlock()
				if err == nil {
					for range next(20) {
						runtime.Gosched()
					}
					mu.Lock()
					used -= need
					running--
					done++
					mu.Unlock()
					l.release(need)
				} else {
					runtime.Gosched()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if l.memory != memory || l.running != 0 || len(l.queue) > 0 {
		t.Errorf("%d of %d KiB are free, %d run, %d wait", l.memory, memory, l.running, len(l.queue))
	}
	if done == 0 || busy == 0 || gone == 0 || most < 2 {
		t.Errorf("%d done (%d at a time), %d busy, %d gone: the test tests too little", done, most, busy, gone)
	}
}

func testHasher(t testing.TB, budget int64, peppers ...Pepper) *hasher {
	t.Helper()
	params := DefaultHashParams()
	h, err := newHasher(&params, budget, peppers, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// HoldHashing takes all the memory that hashes have, for tests outside.
func (c *Core) HoldHashing(ctx context.Context) (release func(), err error) {
	h := c.hasher
	err = h.lanes.acquire(ctx, h.budget)
	return func() { h.lanes.release(h.budget) }, err
}

// HashesWaiting is how many hashes are in the queue.
func (c *Core) HashesWaiting() int {
	l := &c.hasher.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// One of Go's processors is left to others, and no more hash than there are.
func TestLanesFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ procs, cpus, want int }{
		{1, 1, 1}, {2, 1, 1}, {3, 1, 1},
		{1, 2, 1}, {2, 2, 1}, {3, 2, 2}, {4, 2, 2},
		{2, 64, 1}, {4, 64, 3}, {64, 64, 63}, {66, 64, 64},
	} {
		if got := lanesFor(test.procs, test.cpus); got != test.want {
			t.Errorf("%d of %d: %d, want %d", test.procs, test.cpus, got, test.want)
		}
	}
}

func TestHashAdvice(t *testing.T) {
	t.Parallel()
	const m, budget = 19456, 65536
	for _, test := range []struct {
		procs, cpus int
		want        string
	}{
		{1, 1, ""}, {3, 1, ""},
		{2, 2, "GOMAXPROCS=4"}, {3, 2, ""}, {4, 2, ""},
		{3, 3, "GOMAXPROCS=5"}, {4, 4, "GOMAXPROCS=6 Config.HashMemory=79691776"}, {6, 4, "Config.HashMemory=79691776"},
		{2, 64, ""}, {4, 64, ""}, {8, 64, "Config.HashMemory=139460608"}, // limited from outside
	} {
		if got := hashAdvice(test.procs, test.cpus, m, budget); got != test.want {
			t.Errorf("%d of %d: %q, want %q", test.procs, test.cpus, got, test.want)
		}
	}
}

// The first time that a hash is refused, the log has what would help, and never
// again.
func TestBusyIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	params := DefaultHashParams()
	h, err := newHasher(&params, 19456<<10, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	h.lanes.maxQueue = 0
	if err := h.begin(t.Context(), params.Memory); err != nil || log.Len() > 0 {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for range 3 {
		if _, err := h.hash(t.Context(), "x"); !errors.Is(err, ErrBusy) {
			t.Errorf("hash: %v", err)
		}
		if _, err := h.verify(t.Context(), Secret{}, "x"); !errors.Is(err, ErrBusy) {
			t.Errorf("verify: %v", err)
		}
		if err := h.full(); !errors.Is(err, ErrBusy) {
			t.Errorf("full: %v", err)
		}
	}
	want := 1
	if hashAdvice(runtime.GOMAXPROCS(0), runtime.NumCPU(), params.Memory, h.budget) == "" {
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

// The hasher's lanes are those of its configuration.
func TestHasherLanes(t *testing.T) {
	t.Parallel()
	h := testHasher(t, 64<<20)
	if n := h.lanes.count(); h.lanes.memory != 65536 || n != lanesFor(runtime.GOMAXPROCS(0), runtime.NumCPU()) || h.lanes.maxQueue < 1 || h.lanes.maxQueue > 256 {
		t.Errorf("%d KiB, %d lanes, queue of %d", h.lanes.memory, n, h.lanes.maxQueue)
	}
	// A hash takes its lane and gives it back, also one that cannot be computed.
	for _, stored := range []string{"", "broken", "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"} {
		if _, err := h.verify(t.Context(), NewSecret(stored), "x"); err != nil {
			t.Error(err)
		}
	}
	if h.lanes.memory != 65536 || h.lanes.running != 0 {
		t.Errorf("afterwards %d KiB are free and %d lanes are taken", h.lanes.memory, h.lanes.running)
	}
	// While all lanes are taken, hashing waits, and a context ends the wait.
	if err := h.lanes.acquire(t.Context(), 65536); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 2)
	go func() { _, err := h.hash(ctx, "x"); failed <- err }()
	go func() { _, err := h.verify(ctx, Secret{}, "x"); failed <- err }()
	before := h.computed.Load()
	for queued := 0; queued < 2; {
		h.lanes.mu.Lock()
		queued = len(h.lanes.queue)
		h.lanes.mu.Unlock()
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
	h.lanes.release(65536)
}

// The dummy costs what a new hash costs, and no password opens it.
func TestDummyHash(t *testing.T) {
	t.Parallel()
	h, other := testHasher(t, 64<<20), testHasher(t, 64<<20)
	if r, err := h.parse(h.dummy); err != nil || r.params != h.params || !r.current {
		t.Errorf("%+v, %v", r, err)
	}
	if h.dummy == other.dummy {
		t.Error("two managers have the same dummy")
	}
	for _, stored := range []Secret{{}, NewSecret("broken")} {
		if v, err := h.verify(t.Context(), stored, ""); v.ok || v.outdated || err != nil || (v.unusable != nil) != !stored.IsZero() {
			t.Errorf("%q: %+v, %v", stored.Reveal(), v, err)
		}
	}
}

// Which hashes are replaced at the next login.
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
		if v, err := h.verify(t.Context(), NewSecret(text), "right"); err != nil || !v.ok || v.unusable != nil || v.outdated != (p != h.params) {
			t.Errorf("%+v: %+v, %v", p, v, err)
		}
		if v, err := h.verify(t.Context(), NewSecret(text), "wrong"); err != nil || v.ok || v.unusable != nil || v.outdated {
			t.Errorf("%+v, wrong password: %+v, %v", p, v, err)
		}
	}
}

// A stored hash that is accepted is one that can be computed within the limits,
// and wrapped. What costs little is computed; TestHostileHashes does the rest.
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
			if !errors.Is(err, ErrHashUnusable) || r.derive != nil || len(err.Error()) > 200 {
				t.Errorf("%q is refused with %+v, %v", text, r, err)
			}
			return
		}
		// Twice 2^22, for a wrapped one.
		if len(text) > maxHashText || r.memory > h.budget || r.work > 1<<23 || len(r.digest) < minKey || len(r.digest) > maxSaltOrKey {
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
