package testapp

import (
	"os"
	"testing"
	"time"

	"github.com/go-login/auth/internal/passhash"
)

// Main runs the tests of a package whose applications share the process's hashing
// budget. The tests are parallel, and the machine may be slow, so no hash times out in
// the queue.
func Main(m *testing.M) {
	b := passhash.Process()
	b.MaxQueue, b.MaxWait = 10_000, 10*time.Minute
	os.Exit(m.Run())
}
