// Package authtest has what an application's own tests need: a browser that
// logs in without a password, a clock that stands still, a mailbox for mails,
// and Indistinguishable, which checks that answers do not tell whether an
// account exists.
//
//	func TestProfile(t *testing.T) {
//		clock := authtest.NewClock(time.Time{}) // goes into auth.Config.Now
//		manager, handler := newApplication(clock.Now)
//		client := authtest.NewClient(t, manager.Core, handler)
//		client.Login(susan)
//		if r := client.Get("/profile"); !strings.Contains(r.Text, "Hi, Susan!") {
//			t.Errorf("%s: %s", r.Status, r.Text)
//		}
//	}
//
// Everything happens in the test's own process, without a server or a network.
package authtest

import (
	"sync"
	"time"
)

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
