package authtest_test

import (
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth/authtest"
)

func TestExample(t *testing.T) { testApplication(t) }

func TestExampleProvider(t *testing.T) { testLoginWithProvider(t) }

func TestClock(t *testing.T) {
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.FixedZone("there", 3600))
	c := authtest.NewClock(start)
	if got := c.Now(); got.String() != start.String() {
		t.Errorf("it begins at %v", got)
	}
	c.Advance(90 * time.Minute)
	if got := c.Now().Sub(start); got != 90*time.Minute {
		t.Errorf("it went on by %v", got)
	}
	c.Advance(-time.Hour)
	if got := c.Now().Sub(start); got != 30*time.Minute {
		t.Errorf("it went back to %v", got)
	}
}

func TestClockBeginsSomewhere(t *testing.T) {
	var zero authtest.Clock
	a, b := zero.Now(), authtest.NewClock(time.Time{}).Now()
	if a.IsZero() || !a.Equal(b) {
		t.Errorf("the zero value shows %v, and NewClock %v", a, b)
	}
	if got := zero.Now(); !got.Equal(a) {
		t.Errorf("it does not stand still: %v, %v", a, got)
	}
}

// A test may use the cheap hashes. In a program New refuses them.
func TestHashParams(t *testing.T) {
	s := newSite(t, nil)
	hash, err := s.HashPassword(t.Context(), "correct horse battery")
	check(t, err)
	if !strings.HasPrefix(hash.Reveal(), "$argon2id$v=19$m=256,t=1,p=1$") {
		t.Errorf("the hash is %s", hash.Reveal())
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", "./testdata/program").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "only a test may use") {
		t.Errorf("a program uses them: %v, %s", err, out)
	}
}

func TestClockForManyGoroutines(t *testing.T) {
	c := authtest.NewClock(time.Time{})
	start := c.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			c.Advance(time.Second)
			_ = c.Now()
		})
	}
	wg.Wait()
	if got := c.Now().Sub(start); got != 20*time.Second {
		t.Errorf("it went on by %v", got)
	}
}

func TestClockEndsLogins(t *testing.T) {
	s := newSite(t, nil)
	c := s.client(t)
	c.Login(s.create(t, "susan", ""))
	s.clock.Advance(50 * time.Minute)
	want(t, c.Get("/who"), http.StatusOK, "susan")
	s.clock.Advance(61 * time.Minute)
	want(t, c.Get("/who"), http.StatusOK, "nobody")
}
