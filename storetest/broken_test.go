package storetest_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/storetest"
)

// Every broken store is caught, by the subtest meant for it. A failing
// testing.T cannot be faked, so each broken store is tested in a process of its
// own. It runs this binary, and the environment says which store to test.

const brokenStore = "STORETEST_BROKEN"

func TestBrokenStoresAreCaught(t *testing.T) {
	for _, broken := range allBroken() {
		t.Run(broken.test+"/"+broken.name, func(t *testing.T) {
			t.Parallel()
			runBroken(t, "^"+broken.test+"$", broken.name, broken.caught)
		})
	}
}

// A breakage names a broken store, and the test and the subtest that must catch
// it.
type breakage struct{ suite, test, name, caught string }

func allBroken() (all []breakage) {
	for _, list := range []struct {
		suite, test string
		users       []userBreakage
		records     []recordBreakage
	}{
		{"TestUserStore", "TestBrokenUsers", brokenUsers(), nil},
		{"TestRecordStore", "TestBrokenRecords", nil, brokenRecords()},
		{"TestUserStoreProcesses", "TestBrokenUserProcesses", brokenUserProcesses(), nil},
		{"TestRecordStoreProcesses", "TestBrokenRecordProcesses", nil, brokenRecordProcesses()},
		{"TestUserStoreCut", "TestBrokenUserCuts", brokenUserCuts(), nil},
		{"TestRecordStoreCut", "TestBrokenRecordCuts", nil, brokenRecordCuts()},
	} {
		for _, b := range list.users {
			all = append(all, breakage{list.suite, list.test, b.name, b.caught})
		}
		for _, b := range list.records {
			all = append(all, breakage{list.suite, list.test, b.name, b.caught})
		}
	}
	return all
}

func runBroken(t *testing.T, test, name, caught string, env ...string) (output string) {
	t.Helper()
	if underRace || !testapp.Slow() { // the rest of the suite takes long, so run only the group of the subtest
		group, _, _ := strings.Cut(caught, "/")
		test += "/^" + regexp.QuoteMeta(group) + "$"
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+test, "-test.v", "-test.timeout=5m")
	command.Env = append(append(os.Environ(), brokenStore+"="+name), env...)
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
	if !strings.Contains(output, "\tfix:  ") {
		t.Errorf("no failure says how to fix it:\n%s", output)
	}
	t.Logf("caught by %d subtests", len(failures))
	return output
}

// isSubtest reports whether path, as package testing writes it, is this subtest
// of the test that the process runs.
func isSubtest(path, subtest string) bool {
	_, path, _ = strings.Cut(path, "/")
	return path == strings.ReplaceAll(subtest, " ", "_")
}

// The following tests run in such a process. They fail.

// wantedUsers and wantedRecords return the store that the process must test.
func wantedUsers(t *testing.T, all []userBreakage) userBreakage {
	t.Helper()
	for _, broken := range all {
		if broken.name == os.Getenv(brokenStore) {
			return broken
		}
	}
	t.Skip("TestBrokenStoresAreCaught runs this")
	return userBreakage{}
}

func wantedRecords(t *testing.T, all []recordBreakage) recordBreakage {
	t.Helper()
	for _, broken := range all {
		if broken.name == os.Getenv(brokenStore) {
			return broken
		}
	}
	t.Skip("TestBrokenStoresAreCaught runs this")
	return recordBreakage{}
}

func TestBrokenUsers(t *testing.T) {
	broken := wantedUsers(t, brokenUsers())
	storetest.TestUserStore(t, func(t *testing.T, _ func() time.Time) auth.UserStore[*storetest.User] {
		s := rightUsers()
		s.racing = isSubtest(t.Name(), broken.caught)
		broken.bend(s)
		return s
	})
}

func TestBrokenRecords(t *testing.T) {
	broken := wantedRecords(t, brokenRecords())
	storetest.TestRecordStore(t, func(t *testing.T, clock func() time.Time) auth.RecordStore {
		s := rightRecords(clock)
		s.racing = isSubtest(t.Name(), broken.caught)
		broken.bend(s)
		return s
	})
}

// openUsers and openRecords return functions that open a broken store with a
// server.
func openUsers(broken userBreakage) func(t *testing.T, address string, clock func() time.Time) auth.UserStore[*storetest.User] {
	return func(t *testing.T, address string, clock func() time.Time) auth.UserStore[*storetest.User] {
		s := newClient(t, address, clock).users()
		broken.bend(s)
		return s
	}
}

func openRecords(broken recordBreakage) func(t *testing.T, address string, clock func() time.Time) auth.RecordStore {
	return func(t *testing.T, address string, clock func() time.Time) auth.RecordStore {
		s := newClient(t, address, clock).records()
		broken.bend(s)
		return s
	}
}

func TestBrokenUserProcesses(t *testing.T) {
	storetest.TestUserStoreProcesses(t, newServer, openUsers(wantedUsers(t, brokenUserProcesses())))
}

func TestBrokenRecordProcesses(t *testing.T) {
	storetest.TestRecordStoreProcesses(t, newServer, openRecords(wantedRecords(t, brokenRecordProcesses())))
}

func TestBrokenUserCuts(t *testing.T) {
	broken := wantedUsers(t, brokenUserCuts())
	storetest.TestUserStoreCut(t, newServer(t), openUsers(broken))
}

func TestBrokenRecordCuts(t *testing.T) {
	broken := wantedRecords(t, brokenRecordCuts())
	storetest.TestRecordStoreCut(t, newServer(t), openRecords(broken))
}

// together returns a function that broken stores call between two steps that
// should be one. In the race that must catch them, the first caller waits there
// for the second, so that the store is caught every time. Elsewhere no caller
// waits.
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

// A memory holds what a broken store remembers outside the correct store.
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

// The package documentation must list all broken stores. If it does not, this
// test prints the list.
func TestBrokenStoresAreListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(file.Doc.Text(), "# Broken stores\n")
	if want := listOfBroken(); !strings.HasSuffix(got, want) {
		t.Errorf("doc.go should end with\n\n%s", regexp.MustCompile("(?m)^").ReplaceAllString(want, "// "))
	}
	seen := map[breakage]bool{}
	for _, b := range allBroken() {
		if b.caught = ""; seen[b] {
			t.Errorf("%s has two stores that %q", b.suite, b.name)
		}
		seen[b] = true
	}
}

func listOfBroken() string {
	var text strings.Builder
	suite := ""
	for _, b := range allBroken() {
		if b.suite != suite {
			suite = b.suite
			fmt.Fprintf(&text, "\n[%s] fails for a store that\n\n", suite)
		}
		fmt.Fprintf(&text, "  - %s → %s\n", b.name, b.caught)
	}
	return text.String()
}
