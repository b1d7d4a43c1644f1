package testapp

import (
	"os"
	"testing"
)

// slowVariable is set if tests may take minutes. CONTRIBUTING.md lists all variables
// that control which tests are skipped.
const slowVariable = "GOLOGIN_SLOW"

// Slow reports whether GOLOGIN_SLOW is set, as .ci/run sets it.
func Slow() bool { return os.Getenv(slowVariable) != "" }

// NeedsSlow skips a test that takes long, unless GOLOGIN_SLOW is set.
func NeedsSlow(tb testing.TB) {
	tb.Helper()
	Need(tb, slowVariable)
}

// Rounds returns all if GOLOGIN_SLOW is set. Otherwise it returns few, and the test
// logs that.
func Rounds(tb testing.TB, few, all int) int {
	tb.Helper()
	if Slow() {
		return all
	}
	tb.Logf("%d of %d rounds: %s is not set, see CONTRIBUTING.md", few, all, slowVariable)
	return few
}

// Need returns the value of an environment variable. If it is not set, Need skips the
// test.
func Need(tb testing.TB, variable string) string {
	tb.Helper()
	value := os.Getenv(variable)
	if value == "" {
		tb.Skipf("%s is not set, see CONTRIBUTING.md", variable)
	}
	return value
}
