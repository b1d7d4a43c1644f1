// Package authtest has what an application's own tests need:
//
//   - New wires together a store, settings, a clock that stands still, and a mailbox.
//   - A Client is a browser that logs in without a password.
//   - With HashParams, a password hash costs almost nothing.
//   - Indistinguishable checks that answers do not tell whether an account exists.
//   - A Provider is an OpenID Connect provider for "Log in with …".
//
// A test of a guarded page looks like this:
//
//	func TestProfile(t *testing.T) {
//		test := authtest.New[User](t)
//		manager, handler, err := newApplication(test.Store, test.Config)
//		…
//		client := authtest.NewClient(t, manager.Core, handler)
//		client.Login(susan)
//		if r := client.Get("/profile"); !strings.Contains(r.Text, "Hi, Susan!") {
//			t.Errorf("%s: %s", r.Status, r.Text)
//		}
//	}
//
// Everything happens in the test's own process. Only Provider needs a port, on
// 127.0.0.1.
package authtest

import (
	"sync"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/go-login/auth/internal/passhash"
)

// HashParams returns parameters for auth.Config.Password.HashParams with which a
// password hash takes a fraction of a millisecond instead of 20: 256 KiB and one
// pass. Most of the time that tests of logins take is hashing. Outside a test
// (testing.Testing) auth.New refuses these parameters.
func HashParams() *argon2id.Params {
	params := passhash.TestParams()
	return &params
}

// A Clock stands still until Advance moves it. Use its Now for auth.Config.Now,
// and for the store's clock. The zero value is ready for use and shows the same
// time as NewClock of the zero time. A Clock is safe for use by many
// goroutines.
type Clock struct {
	mu  sync.Mutex
	now time.Time // zero: noon of a day in 2026
}

// NewClock returns a clock that shows t. If t is zero, it shows noon of a day
// in 2026, UTC.
func NewClock(t time.Time) *Clock { return &Clock{now: t} }

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown()
}

// Advance moves the clock on by d, or back if d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.shown().Add(d)
}

// shown returns what the clock shows. The caller holds mu.
func (c *Clock) shown() time.Time {
	if c.now.IsZero() {
		return time.Date(2026, time.May, 4, 12, 0, 0, 0, time.UTC)
	}
	return c.now
}
