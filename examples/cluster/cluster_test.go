//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/go-login/auth/internal/testapp"
)

// TestCluster uses the program as its users do.
func TestCluster(t *testing.T) {
	postgres, redis := testapp.Need(t, "GOLOGIN_POSTGRES"), testapp.Need(t, "GOLOGIN_REDIS")
	binary := build(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *site)
	}{
		{"logins", testLogins},
		{"guesses", testGuesses},
		{"kills", testKills},
		{"orphans", testOrphans},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, start(t, binary, "-postgres", newSchema(t, postgres), "-redis", redis, "-redis-prefix", newPrefix(t, redis)))
		})
	}
	t.Run("restarts", func(t *testing.T) { testRestarts(t, binary) })
}

// testLogins: a login through one process is valid in all processes, and a
// logout through one ends it in all.
func testLogins(t *testing.T, s *site) {
	var pids sync.Map // of the processes that answered
	each(s.newcomers("reader", 8), func(i int, c *client) {
		c.wantEverywhere(nobody)
		c.wantDone(patient(func() answer { return c.login(s.process(i)) }), "/")
		c.wantEverywhere(c.name)
		for range 4 {
			c.want(s.proxy, c.name)
		}
		pids.Store(regexp.MustCompile(`pid (\d+)`).FindString(c.send(s.proxy, "/").body), true)
		thief := c.copy()
		thief.wantEverywhere(c.name)
		c.wantDone(c.logout(s.process(i+1)), "/")
		c.wantEverywhere(nobody)
		thief.wantEverywhere(nobody)

		// The user logs out and in again, through any process.
		for range 3 {
			c.wantDone(patient(func() answer { return c.login(s.proxy) }), "/")
			c.wantEverywhere(c.name)
			if a := c.send(s.proxy, "/account/sessions"); !strings.Contains(a.body, ">"+c.address+"<") {
				t.Errorf("%s is not at %s: %v", c.name, c.address, a)
			}
			c.wantDone(c.logout(s.proxy), "/")
			c.wantEverywhere(nobody)
		}
	})
	answered := 0
	pids.Range(func(any, any) bool { answered++; return true })
	if answered < 2 {
		t.Errorf("the proxy asks %d processes", answered)
	}
}

// testGuesses: all processes count failed logins together.
func testGuesses(t *testing.T, s *site) {
	owners := s.newcomers("owner", 2)
	for i, owner := range owners {
		owner.wantDone(owner.login(s.process(i)), "/")
	}
	guesser := s.client(owners[0].name)
	for range 5 {
		guesser.wantRefused(guesser.guess(s.proxy))
	}
	s.wantEvaluated(guesser, 5)
	for i := range 4 {
		if len(s.events(guesser, "login.failed", fmt.Sprintf(" process=%d ", i+1))) == 0 {
			t.Errorf("process %d had no guess", i+1)
		}
	}
	for i := range 4 { // through every process, even with the right password
		s.wantLocked(s.client(owners[0].name), s.process(i))
	}
	s.wantEvaluated(guesser, 5)

	guesses := 40
	if underRace { // each hash takes ten times as long, and the lock lasts only half a minute
		guesses = 16
	}
	guesser = s.client(owners[1].name)
	var busy sync.WaitGroup
	begin := make(chan struct{})
	for i := range guesses {
		c := guesser.copy()
		c.address, c.transport = guesser.address, guesser.transport
		busy.Go(func() {
			<-begin
			c.wantRefused(c.guess(s.process(i)))
		})
	}
	close(begin)
	busy.Wait()
	s.wantEvaluated(guesser, 5)
	for i := range 4 {
		s.wantLocked(s.client(owners[1].name), s.process(i))
	}

	// A known browser is not locked out, in any process.
	for i, owner := range owners {
		owner.wantEverywhere(owner.name)
		owner.wantDone(owner.logout(s.process(i)), "/")
		owner.wantDone(owner.login(s.process(i+1)), "/")
		owner.wantEverywhere(owner.name)
	}
}

// wantEvaluated fails unless n of a client's guesses were checked and the
// account was locked once.
func (s *site) wantEvaluated(c *client, n int) {
	s.t.Helper()
	if lines := s.events(c, "login.failed", "wrong login or password"); len(lines) != n {
		s.t.Errorf("%d guesses were looked at:\n%s", len(lines), strings.Join(lines, ""))
	}
	if lines := s.events(c, "password.locked", ""); len(lines) != 1 {
		s.t.Errorf("it was locked %d times:\n%s", len(lines), strings.Join(lines, ""))
	}
}

// wantLocked fails unless the right password is refused.
func (s *site) wantLocked(c *client, to string) {
	s.t.Helper()
	c.wantRefused(c.login(to))
	if lines := s.events(c, "login.failed", "too many failures"); len(lines) != 1 {
		s.t.Errorf("it is refused for another reason: %q", lines)
	}
}

// A load is what clients do all the time while something happens to the
// processes.
type load struct {
	s        *site
	ctx      context.Context
	lost     atomic.Bool // whether sessions may be lost
	busy     sync.WaitGroup
	underWay atomic.Int32 // logins in progress
	done     atomic.Int32 // logins that did not fail
	cut      atomic.Int32 // logins in progress in a process that was killed
}

// newLoad starts a load. end stops it.
func newLoad(s *site) (l *load, end func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	l = &load{s: s, ctx: ctx}
	end = sync.OnceFunc(func() {
		cancel()
		l.busy.Wait()
	})
	s.t.Cleanup(end)
	return l, end
}

// goesOn reports whether the load continues: until it is stopped or something
// is wrong.
func (l *load) goesOn() bool { return l.ctx.Err() == nil && !l.s.t.Failed() }

// comeAndGo lets a client log in and out. Every answer must be true. After a
// failure, the client may be logged in or out.
func (l *load) comeAndGo(c *client) {
	l.busy.Go(func() {
		for l.goesOn() {
			l.underWay.Add(1)
			a := c.login(l.s.proxy)
			l.underWay.Add(-1)
			if a.failed() {
				if a.status == http.StatusBadGateway {
					l.cut.Add(1)
				}
				_, _ = c.who(l.s.proxy)
				pause(l.ctx)
				continue
			}
			l.done.Add(1)
			c.wantDone(a, "/")
			for range 2 {
				if name, ok := c.who(l.s.proxy); ok && name != c.name && !l.lost.Load() {
					c.t.Errorf("%s has logged in and is nobody", c.name)
				}
			}
			thief := c.copy()
			if a = c.logout(l.s.proxy); a.failed() {
				_, _ = c.who(l.s.proxy)
				c.cookies = map[string]*http.Cookie{} // so that the client can log in
				continue
			}
			c.wantDone(a, "/")
			for _, c := range []*client{c, thief} {
				if name, ok := c.who(l.s.proxy); ok && name != nobody {
					c.t.Errorf("%s has logged out and is there still", c.name)
				}
			}
		}
	})
}

// A watch counts what a client has seen.
type watch struct{ seen, failed, ended atomic.Int32 }

// stay lets a logged-in client look at pages. If sessions may be lost, a client
// who is not remembered logs in again.
func (l *load) stay(c *client, w *watch, remembered bool) {
	l.busy.Go(func() {
		for i := 0; l.goesOn(); i++ {
			look := c.who
			if i%2 == 1 {
				look = c.account
			}
			switch name, ok := look(l.s.proxy); {
			case !ok:
				w.failed.Add(1)
			case name == c.name:
				w.seen.Add(1)
			case remembered || !l.lost.Load():
				c.t.Errorf("%s is nobody", c.name)
			default:
				w.ended.Add(1)
				if a := c.login(l.s.proxy); !a.failed() {
					c.wantDone(a, "/")
				}
			}
			pause(l.ctx)
		}
	})
}

// stayAway lets a client look at pages with the cookies of a login that has
// ended.
func (l *load) stayAway(name string) {
	c := l.s.client(name)
	c.wantDone(patient(func() answer { return c.login(l.s.proxy, "remember_me", "y") }), "/")
	ended := c.copy()
	c.wantDone(c.logout(l.s.proxy), "/")
	l.busy.Go(func() {
		for l.goesOn() {
			if name, ok := ended.who(l.s.proxy); ok && name != nobody {
				c.t.Errorf("%s has logged out and is there still", c.name)
			}
			pause(l.ctx)
		}
	})
}

// testKills: killing a process while users log in loses nothing.
func testKills(t *testing.T, s *site) {
	visitors, readers := s.newcomers("visitor", 12), s.newcomers("reader", 4)
	each(readers, func(i int, c *client) { c.wantDone(patient(func() answer { return c.login(s.process(i)) }), "/") })
	l, end := newLoad(s)
	for _, c := range visitors {
		l.comeAndGo(c)
	}
	var seen watch
	for _, c := range readers {
		l.stay(c, &seen, false)
	}
	l.stayAway(readers[0].name)
	var registered, cut []*client
	l.busy.Go(func() {
		for i := 0; l.goesOn(); i++ {
			c := s.client(fmt.Sprint("newcomer", i))
			if a := c.register(s.proxy); a.failed() {
				cut = append(cut, c)
				pause(l.ctx)
			} else {
				c.wantDone(a, "/login")
				registered = append(registered, c)
			}
		}
	})
	for _, kill := range [][]int{{1}, {2, 3}, {4, 1}, {1, 2, 3, 4}} {
		before := s.running()
		until(t, "people log in", func() bool { return l.underWay.Load() > 2 })
		for _, number := range kill {
			check(t, syscall.Kill(before[number].pid, syscall.SIGKILL))
		}
		until(t, "the processes are there again", func() bool {
			now := s.running()
			for _, number := range kill {
				if now[number].pid == before[number].pid {
					return false
				}
			}
			return true
		})
		logins := l.done.Load()
		until(t, "people log in again", func() bool { return l.done.Load() > logins+8 })
	}
	end()
	t.Logf("%d logins, %d cut off; %d pages, %d failures; %d registrations, %d cut off",
		l.done.Load(), l.cut.Load(), seen.seen.Load(), seen.failed.Load(), len(registered), len(cut))
	if l.cut.Load() == 0 {
		t.Error("no login was cut off")
	}
	each(readers, func(_ int, c *client) { c.wantEverywhere(c.name) })
	each(visitors, func(i int, c *client) {
		c = s.client(c.name) // a new browser
		c.wantDone(patient(func() answer { return c.login(s.process(i)) }), "/")
		c.wantEverywhere(c.name)
		// A request that was cut off may have left a login whose cookie no
		// client has. The user can see and end it.
		c.logins(s.proxy)
		c.wantDone(c.send(s.proxy, "/account/sessions", "others", "1"), "/account/sessions")
		if n := c.logins(s.process(i + 1)); n != 1 {
			t.Errorf("%s has %d logins", c.name, n)
		}
		c.wantEverywhere(c.name)
	})
	each(cut, func(i int, c *client) { // their accounts exist completely or not at all
		a := patient(func() answer { return c.login(s.process(i)) })
		if a.status == http.StatusUnprocessableEntity {
			c.wantDone(patient(func() answer { return c.register(s.process(i)) }), "/login")
		} else {
			c.wantDone(a, "/")
			c.wantDone(c.logout(s.process(i)), "/")
		}
	})
	each(append(registered, cut...), func(i int, c *client) {
		c.wantDone(patient(func() answer { return c.login(s.process(i)) }), "/")
		c.wantEverywhere(c.name)
	})
}

// testOrphans: the processes end when the program is killed.
func testOrphans(t *testing.T, s *site) {
	check(t, s.cmd.Process.Kill())
	_ = s.cmd.Wait() // it was killed, so it fails
	for _, p := range s.running() {
		c := s.client(nobody)
		until(t, "the processes have ended", func() bool { return c.send(p.url, "/").status == 0 })
	}
}
