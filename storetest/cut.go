package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// TestRecordStoreCut checks what a store of records says when the connection to
// its server is cut in the middle of a call, and what has become of the call
// then: whatever it says must be true, it has happened wholly or not at all, and
// the store goes on working.
//
// server is where the server is, host:port. open opens a store whose server it
// reaches at address, and closes it with t.Cleanup: it is called with the server's
// own address and with that of a proxy, and both are stores of one database, which
// is empty when the test begins.
func TestRecordStoreCut(t *testing.T, server string, open func(t *testing.T, address string, clock func() time.Time) auth.RecordStore) {
	c := newClock()
	direct := open(t, server, c.Now)
	for _, d := range recordDeeds() {
		t.Run(d.name, func(t *testing.T) {
			p := newProxy(t, server)
			through := open(t, p.address, c.Now)
			test := &recordTest{t, direct, c, "kind-" + unique()}
			p.test(t, func(own string) deed { return d.make(test, through, own) }, func(ctx context.Context) error {
				_, err := through.GetRecord(ctx, test.kind, "nothing")
				return unless(err, auth.ErrRecordNotFound)
			})
		})
	}
}

// TestUserStoreCut checks what a store of users says when the connection to its
// server is cut. See [TestRecordStoreCut] for server and open, and [TestUserStore] for the
// options.
func TestUserStoreCut[U auth.User](t *testing.T, server string, open func(t *testing.T, address string, clock func() time.Time) auth.UserStore[U], opts ...Option) {
	c := newClock()
	o := optionsOf(opts)
	direct := open(t, server, c.Now)
	for _, d := range userDeeds[U]() {
		t.Run(d.name, func(t *testing.T) {
			p := newProxy(t, server)
			through := open(t, p.address, c.Now)
			test := newUserTest(t, direct, o)
			p.test(t, func(own string) deed { return d.make(test, through, own) }, func(ctx context.Context) error {
				_, err := through.FindUser(ctx, test.name("nobody"))
				return unless(err, auth.ErrUserNotFound)
			})
		})
	}
}

// test does a deed again and again, and cuts its connection at every place.
func (p *proxy) test(t *testing.T, prepare func(own string) deed, ping func(ctx context.Context) error) {
	const enough = 8 // requests and answers of a call; most have one or two
	for place := range places {
		for number := 1; number <= enough && !t.Failed(); number++ {
			c := &cut{place: place, number: number}
			d := prepare(fmt.Sprintf("own-%d-%d", place, number))
			d.ready = func() { recovers(t, ping) }
			p.sever() // so that each begins with a connection on which nothing is prepared
			d.ready()

			p.arm(c)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			err := d.call(ctx)
			hung := ctx.Err() != nil
			cancel()
			made := p.disarm()

			when := c.String()
			if !made {
				when = "whose connection was not cut"
			}
			switch {
			case hung:
				fail(t, d.verb+", "+when, fmt.Sprintf("nothing for 10 seconds, and then %q", fmt.Sprint(err)), "an error at once, or an answer over another connection", "a connection that is closed has no answer any more")
			case !made && err != nil && !errors.Is(err, d.answer):
				fail(t, d.verb+", "+when, err, "no error", "a connection that was lost before is not used again")
			}
			d.judge(when, err)
			if !made {
				break
			}
		}
	}
}

// recovers calls ping until it works. A store may have to lose a call to see
// that a connection is dead.
func recovers(t *testing.T, ping func(ctx context.Context) error) {
	t.Helper()
	var err error
	for range 5 {
		if err = ping(t.Context()); err == nil {
			return
		}
	}
	fail(t, "5 calls after the connection was lost", err, "no error from one of them, over a new connection",
		"a connection that has failed must go from the pool, and another be made")
	t.FailNow()
}
