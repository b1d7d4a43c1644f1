package storetest_test

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/storetest"
)

// What is broken is caught, and by the subtest that is meant for it. A failing
// testing.T cannot be faked, so each broken store has a process of its own: this
// binary again, told by the environment to test that store.

const brokenStore = "STORETEST_BROKEN"

func TestBrokenStoresAreCaught(t *testing.T) {
	for _, broken := range brokenUsers() {
		t.Run("users/"+broken.name, func(t *testing.T) {
			t.Parallel()
			runBroken(t, "^TestBrokenUsers$", broken.name, broken.caught)
		})
	}
	for _, broken := range brokenRecords() {
		t.Run("records/"+broken.name, func(t *testing.T) {
			t.Parallel()
			runBroken(t, "^TestBrokenRecords$", broken.name, broken.caught)
		})
	}
}

func runBroken(t *testing.T, test, name, caught string) (output string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+test, "-test.v", "-test.timeout=60s")
	command.Env = append(os.Environ(), brokenStore+"="+name)
	printed, err := command.CombinedOutput()
	output = string(printed)
	if err == nil {
		t.Fatalf("the suite passes; %q should fail", caught)
	}
	for _, crash := range []string{"panic: ", "WARNING: DATA RACE"} {
		if strings.Contains(output, crash) {
			t.Fatalf("the suite crashed, where it should fail:\n%s", output)
		}
	}
	failed := false
	var failures []string
	for line := range strings.Lines(output) {
		if fail, ok := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: "); ok {
			path, _, _ := strings.Cut(fail, " (")
			failures = append(failures, path)
			failed = failed || isSubtest(path, caught)
		}
	}
	if !failed {
		t.Errorf("%q should fail; instead there failed\n%s", caught, strings.Join(failures, "\n"))
	}
	if !strings.Contains(output, "\tmend: ") {
		t.Errorf("no failure says how to mend it:\n%s", output)
	}
	t.Logf("caught by %d subtests", len(failures))
	return output
}

// isSubtest reports whether path, as package testing writes it, is that of a
// subtest of the test that such a process runs.
func isSubtest(path, subtest string) bool {
	_, path, _ = strings.Cut(path, "/")
	return path == strings.ReplaceAll(subtest, " ", "_")
}

// TestBrokenUsers and TestBrokenRecords are what such a process runs. They fail.

func TestBrokenUsers(t *testing.T) {
	for _, broken := range brokenUsers() {
		if broken.name == os.Getenv(brokenStore) {
			storetest.TestUserStore(t, func(t *testing.T, _ func() time.Time) auth.UserStore[*storetest.User] {
				s := rightUsers()
				s.racing = isSubtest(t.Name(), broken.caught)
				broken.bend(s)
				return s
			})
			return
		}
	}
	t.Skip("TestBrokenStoresAreCaught runs this")
}

func TestBrokenRecords(t *testing.T) {
	for _, broken := range brokenRecords() {
		if broken.name == os.Getenv(brokenStore) {
			storetest.TestRecordStore(t, func(t *testing.T, clock func() time.Time) auth.RecordStore {
				s := rightRecords(clock)
				s.racing = isSubtest(t.Name(), broken.caught)
				broken.bend(s)
				return s
			})
			return
		}
	}
	t.Skip("TestBrokenStoresAreCaught runs this")
}

// together returns what broken stores have between two steps that should be one.
// In the race that is to catch them the first caller waits there for the second,
// so that the store is caught every time; elsewhere nobody waits.
func together(racing bool) func() {
	if !racing {
		return func() {}
	}
	var first, second sync.Once
	came := make(chan struct{})
	return func() {
		waits := false
		first.Do(func() { waits = true })
		if waits {
			<-came
			return
		}
		second.Do(func() { close(came) })
	}
}

// A memory is what broken stores remember beside the store.
type memory[V any] struct {
	mu sync.Mutex
	m  map[string]V
}

func (m *memory[V]) put(key string, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = map[string]V{}
	}
	m.m[key] = value
}

func (m *memory[V]) get(key string) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.m[key]
	return value, ok
}

func (m *memory[V]) has(key string) bool {
	_, ok := m.get(key)
	return ok
}

func (m *memory[V]) drop(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.m, key)
}

func (m *memory[V]) all() []V {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []V
	for _, value := range m.m {
		all = append(all, value)
	}
	return all
}
