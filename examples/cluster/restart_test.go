//go:build linux

package main

import (
	"maps"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// testRestarts: while PostgreSQL or Redis is down, answers are failures.
// Afterwards everything is as before. The test starts these servers itself.
func testRestarts(t *testing.T, binary string) {
	postgres, redis := newPostgres(t), newRedis(t)
	s := start(t, binary, "-postgres", postgres.url, "-redis", redis.url)
	before := s.running()
	for _, test := range []struct {
		name     string
		stop     func()
		start    func()
		sessions bool // whether sessions are lost
	}{
		{name: "PostgreSQL", stop: func() { postgres.stop(syscall.SIGINT) }, start: postgres.start},       // a fast shutdown
		{name: "PostgreSQLCrash", stop: func() { postgres.stop(syscall.SIGQUIT) }, start: postgres.start}, // an immediate one
		{name: "Redis", stop: func() { redis.stop(syscall.SIGKILL) }, start: redis.start},
		{name: "RedisWithoutDisk", stop: func() { redis.stop(syscall.SIGKILL); redis.forget() }, start: redis.start, sessions: true},
	} {
		t.Run(test.name, func(t *testing.T) { testRestart(t, s, test.stop, test.start, test.sessions) })
	}
	if !maps.Equal(s.running(), before) || strings.Contains(s.said(), "a process has ended") {
		t.Errorf("the processes were %v and are %v", before, s.running())
	}
}

func testRestart(t *testing.T, site *site, stop, start func(), sessionsLost bool) {
	s := site.in(t)
	readers, remembered := s.newcomers("reader", 4), s.newcomers("friend", 4)
	visitors, victim := s.newcomers("visitor", 4), s.newcomers("victim", 1)[0]
	each(readers, func(i int, c *client) { c.wantDone(patient(func() answer { return c.login(s.process(i)) }), "/") })
	each(remembered, func(i int, c *client) {
		c.wantDone(patient(func() answer { return c.login(s.process(i), "remember_me", "y") }), "/")
	})

	l, end := newLoad(s)
	watches := make([]watch, len(readers)+len(remembered))
	for i, c := range readers {
		l.stay(c, &watches[i], false)
	}
	for i, c := range remembered {
		l.stay(c, &watches[len(readers)+i], true)
	}
	for _, c := range visitors {
		l.comeAndGo(c)
	}
	l.stayAway(readers[0].name)
	all := func(count func(*watch) *atomic.Int32, more int32) func() bool {
		var then []int32
		for i := range watches {
			then = append(then, count(&watches[i]).Load())
		}
		return func() bool {
			for i := range watches {
				if count(&watches[i]).Load() < then[i]+more {
					return false
				}
			}
			return true
		}
	}
	seen, failed := func(w *watch) *atomic.Int32 { return &w.seen }, func(w *watch) *atomic.Int32 { return &w.failed }

	until(t, "all see their pages", all(seen, 3))
	for i := range 5 {
		victim.wantRefused(victim.guess(s.process(i)))
	}
	l.lost.Store(sessionsLost)
	failures := all(failed, 1)
	stop()
	until(t, "all see that it is away", failures)
	start()
	until(t, "all see their pages again", all(seen, 10))
	for i := range 4 { // the counts of failed logins have lasted
		s.wantLocked(s.client(victim.name), s.process(i))
	}
	logins := l.done.Load()
	until(t, "people log in again", func() bool { return l.done.Load() > logins+4 })
	end()
	var pages, failuresInAll int32
	for i := range watches {
		pages, failuresInAll = pages+watches[i].seen.Load(), failuresInAll+watches[i].failed.Load()
	}
	for i, c := range readers {
		if ended := watches[i].ended.Load() > 0; ended != sessionsLost {
			t.Errorf("%s was logged out: %v", c.name, ended)
		}
	}
	t.Logf("%d pages, %d failures; %d logins", pages, failuresInAll, l.done.Load())

	for _, c := range append(readers, remembered...) {
		c.wantEverywhere(c.name)
	}
	each(append(readers, visitors...), func(i int, c *client) {
		c = s.client(c.name)
		c.wantDone(patient(func() answer { return c.login(s.process(i)) }), "/")
		c.wantEverywhere(c.name)
	})
}
