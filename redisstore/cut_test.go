package redisstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/go-login/auth"
)

// A cutter counts scripts, and cuts the connection of one of them: before Redis
// receives it, or after Redis has answered.
type cutter struct {
	countdown atomic.Int64 // scripts until the one that is cut
	after     bool
	address   redis.Options
}

func (c *cutter) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, c.address.Network, c.address.Addr)
	return &cutConn{Conn: conn, cutter: c}, err
}

type cutConn struct {
	net.Conn
	cutter *cutter
	cut    atomic.Bool
}

var errCut = errors.New("the connection is cut")

func (c *cutConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("\r\neval\r\n")) && c.cutter.countdown.Add(-1) == 0 {
		if !c.cutter.after {
			_ = c.Close()
			return 0, errCut
		}
		c.cut.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.cut.Load() {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// Wherever the connection is cut, and however often the client retries, every
// answer of a method must be true. After any other error the call may have
// happened or not.
func TestCutConnections(t *testing.T) {
	extended := func(f *fixture) auth.Record {
		r := f.record("key")
		r.Expires = r.Expires.AddDate(1, 0, 0)
		r.Data = []byte("new")
		return r
	}
	taken := func(r auth.Record, err error) error {
		if err == nil && string(r.Data) != "data of key" {
			return errors.New("took something else")
		}
		return err
	}
	for _, verb := range []struct {
		name   string
		exists bool // whether the record exists before the call
		do     func(f *fixture, s auth.RecordStore) error
		done   func(r auth.Record, err error) bool // whether the call has happened, by what is there afterwards
	}{
		{"InsertRecord", false,
			func(f *fixture, s auth.RecordStore) error { return s.InsertRecord(t.Context(), f.record("key")) },
			func(_ auth.Record, err error) bool { return err == nil }},
		{"UpdateRecord", true,
			func(f *fixture, s auth.RecordStore) error {
				r := f.record("key")
				r.Data = []byte("new")
				return s.UpdateRecord(t.Context(), r)
			},
			func(r auth.Record, err error) bool { return err == nil && string(r.Data) == "new" }},
		{"UpdateRecord, extending", true,
			func(f *fixture, s auth.RecordStore) error { return s.UpdateRecord(t.Context(), extended(f)) },
			func(r auth.Record, err error) bool { return err == nil && string(r.Data) == "new" }},
		{"TakeRecord", true,
			func(_ *fixture, s auth.RecordStore) error { return taken(s.TakeRecord(t.Context(), "session", "key")) },
			func(_ auth.Record, err error) bool { return errors.Is(err, auth.ErrRecordNotFound) }},
		{"DeleteRecords", true,
			func(_ *fixture, s auth.RecordStore) error { return s.DeleteRecords(t.Context(), "session", "user") },
			func(_ auth.Record, err error) bool { return errors.Is(err, auth.ErrRecordNotFound) }},
		{"GetRecord", true,
			func(_ *fixture, s auth.RecordStore) error { return taken(s.GetRecord(t.Context(), "session", "key")) },
			func(auth.Record, error) bool { return true }},
		{"ListRecords", true,
			func(_ *fixture, s auth.RecordStore) error {
				list, err := s.ListRecords(t.Context(), "session", "user")
				if err == nil && len(list) != 1 {
					return fmt.Errorf("%d listed", len(list))
				}
				return err
			},
			func(auth.Record, error) bool { return true }},
	} {
		for _, after := range []bool{false, true} {
			for script, reached := int64(1), true; reached; script++ {
				f := newFixture(t)
				if verb.exists {
					f.insert(t, "key")
				}
				o := options(t)
				c := &cutter{after: after, address: *o}
				o.Dialer = c.dial
				client := connect(t, o)
				check(t, client.Ping(t.Context()).Err())

				c.countdown.Store(script)
				err := verb.do(f, f.store(client))
				reached = c.countdown.Load() <= 0
				name := fmt.Sprintf("%s, script %d cut, after its answer: %v", verb.name, script, after)
				if isAnswer(err) {
					t.Errorf("%s: %v", name, err)
				}
				done := verb.done(f.GetRecord(t.Context(), "session", "key"))
				if err == nil && !done {
					t.Errorf("%s: no error, and nothing done", name)
				}
				if !reached && err != nil {
					t.Errorf("%s: not cut, and %v", name, err)
				}
				if !reached && script == 1 {
					t.Errorf("%s: it sends no script", name)
				}
				// Every record that was written must be in the list.
				if r, err := f.GetRecord(t.Context(), "session", "key"); err == nil && !f.listed(t)[r.Key] {
					t.Errorf("%s: the record is not listed", name)
				}
			}
		}
	}
}
