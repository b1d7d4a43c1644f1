package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// TestRecordStoreCut checks what a store of records returns when the connection
// to its server is cut in the middle of a call, and what the call has done by
// then. The returned error must be true, the call must have happened wholly or
// not at all, and the store must go on working.
//
// server is the server's address, host:port. open opens a store that reaches
// its server at address, and closes it with t.Cleanup. It is called with the
// server's own address and with that of a proxy. Both stores use the same
// database, which is empty when the test begins.
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

// TestUserStoreCut checks what a store of users returns when the connection to
// its server is cut. See [TestRecordStoreCut] for server and open, and
// [TestUserStore] for the options.
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

// test makes a call again and again, and cuts its connection at every place.
func (p *proxy) test(t *testing.T, prepare func(own string) deed, ping func(ctx context.Context) error) {
	const enough = 8 // requests and answers of a call; most have one or two
	for place := range places {
		for number := 1; number <= enough && !t.Failed(); number++ {
			c := &cut{place: place, number: number}
			d := prepare(fmt.Sprintf("own-%d-%d", place, number))
			d.ready = func() { recovers(t, ping) }
			p.sever() // so that each call begins with a connection without prepared statements
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
				fail(t, d.verb+", "+when, fmt.Sprintf("no answer for 10 seconds, and then %q", fmt.Sprint(err)), "an error at once, or an answer over another connection", "stop waiting for an answer on a closed connection")
			case !made && err != nil && !errors.Is(err, d.answer):
				fail(t, d.verb+", "+when, err, "no error", "do not use a connection again after it was lost")
			}
			d.judge(when, err)
			if !made {
				break
			}
		}
	}
}

// recovers calls ping until it works. A store may need a failed call to notice
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
		"remove a failed connection from the pool, and open a new one")
	t.FailNow()
}
