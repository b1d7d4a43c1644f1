// Package redisstore keeps records in Redis, through a client of go-redis that
// is the application's own. It starts no goroutine and needs no closing.
//
//	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	manager, err := auth.New(users, auth.Config{
//		Sessions: redisstore.NewRecords(client), // and what must last stays with the users
//		…
//	})
//
// # What it needs
//
// Redis 7.0 or newer, or a Valkey that speaks the same: alone, replicated under
// Sentinel, or as a Cluster. Addresses, TLS and credentials are the client's
// affair, and so are timeouts: with ContextTimeoutEnabled a call ends when its
// context does, else only with ReadTimeout. A [redis.Ring] is refused: while one
// of its shards is away another answers for it, and with the shard comes back
// what was ended meanwhile.
//
// Every use of a record is one Lua script on one key, sent whole with EVAL, so
// that a Redis that is new, was restarted or forgot its scripts needs no
// preparation. (EVALSHA would save a few hundred bytes of a write, and is no
// faster.) Reads are scripts as well, because a client may send a plain GET to a
// replica or answer it from a cache of its own, where a login that was ended
// lives on. The clocks of the processes that share a store may differ by minutes,
// not by an hour; what time Redis itself has does not matter.
//
// # What may vanish
//
// Replication is asynchronous: a failover loses the last writes that were
// acknowledged. A session may be gone, or one that was ended may be there again.
//
// A Redis that evicts loses records at any time, or, worse, the index of a user:
// then there are sessions that ListRecords and DeleteRecords do not find, and
// nobody can end them but who has them. So let maxmemory-policy be noeviction:
// a Redis that is full refuses what is new, and what is there can still be read
// and ended. Or else volatile-ttl, which gives up an index after its records.
//
// That is good enough for Config.Sessions, and never for factors or recovery
// codes. A record without an Expires is refused with [ErrNotDurable], unless
// [Durable] says that this Redis keeps what it is given: appendfsync always,
// noeviction, and no failover to a replica that may lag.
//
// # What it costs
//
// GetRecord is one round trip. InsertRecord and TakeRecord are one, and one more
// for a record that has a user, whose index is another key. UpdateRecord is one;
// where it puts off the Expires of a user's record by so much that the index must
// hear of it, it is three, at most once in a day for each record. ListRecords and
// DeleteRecords are one for the index and one for every hundred records,
// DeleteRecords one more if it deleted any. If the index has an entry without a
// record (one that has expired in the last day, or that comes or goes right now),
// they look a second time, and read the index again.
//
// A record takes 270 bytes beside what is in it, and another 60 to 200 in the
// index of its user. Redis removes a record an hour after it has expired, and an
// index a day after its last record.
//
// # Errors
//
// A write is sent once, whatever the client's MaxRetries: if the answer to an
// insert got lost, the second try would be told that the record exists. So it is
// the client's error here, and the caller does not know whether the record was
// written. What only reads, or may be done twice, is left to the client.
//
// ListRecords and DeleteRecords are not one step: others see a list half deleted,
// and a failure may leave it so. But who inserts a record before taking another, as
// a login that goes on under a new key does, cannot slip through either.
package redisstore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-login/auth"
)

// ErrNotDurable is the error of a write whose record has no Expires, while the
// store has not been told that it is [Durable].
var ErrNotDurable = errors.New("redisstore: the record must last, and this Redis may lose it: " +
	"let auth.Config.Records be another store (this one suits Sessions), or say redisstore.Durable() if Redis persists and never evicts")

// Records is an [auth.RecordStore] in Redis. [NewRecords] makes one. Expiries
// are kept to the microsecond, rounded down, and come back in UTC.
type Records struct {
	client  redis.UniversalClient
	now     func() time.Time
	prefix  string
	durable bool
	err     error // what is wrong with the options; every method returns it
}

// An Option changes a default of [NewRecords].
type Option func(*Records)

// WithClock sets the clock that records expire by, in place of time.Now.
func WithClock(now func() time.Time) Option {
	return func(s *Records) { s.now = now }
}

// Prefix sets what all keys in Redis begin with, in place of "auth:". Stores with
// different prefixes have nothing in common. It has no slash.
func Prefix(prefix string) Option {
	return func(s *Records) { s.prefix = prefix }
}

// Durable says that this Redis persists what it is given and evicts nothing, and
// may keep records that never expire.
func Durable() Option {
	return func(s *Records) { s.durable = true }
}

// NewRecords does not speak to Redis. What is wrong with the options is the error
// of every method.
func NewRecords(client redis.UniversalClient, options ...Option) *Records {
	s := &Records{client: client, now: time.Now, prefix: "auth:"}
	for _, option := range options {
		option(s)
	}
	_, ring := client.(*redis.Ring)
	switch {
	case client == nil:
		s.err = errors.New("redisstore: there is no client")
	case ring:
		s.err = errors.New("redisstore: a Ring brings back what was ended; use a Cluster")
	case s.now == nil:
		s.err = errors.New("redisstore: there is no clock")
	case strings.Contains(s.prefix, "/"):
		s.err = errors.New("redisstore: a prefix has no slash")
	}
	return s
}

// check returns the error of a call that must do nothing. name is the key, or
// the user of a list.
func (s *Records) check(ctx context.Context, kind, name string) error {
	if kind == "" || name == "" {
		return auth.ErrInvalidRecord
	}
	if s.err != nil {
		return s.err
	}
	return ctx.Err()
}

// checkWrite is check for what is to be stored.
func (s *Records) checkWrite(ctx context.Context, r auth.Record) error {
	if err := s.check(ctx, r.Kind, r.Key); err != nil {
		return err
	}
	if r.Expires.IsZero() && !s.durable {
		return ErrNotDurable
	}
	if year := r.Expires.Year(); year < -290_000 || 290_000 < year {
		return errTooFar
	}
	return nil
}

// errTooFar is for what microseconds cannot count.
var errTooFar = errors.New("redisstore: Expires is not within 290000 years of now")

// eval runs a script on a key. The client may send it again.
func (s *Records) eval(ctx context.Context, script, key string, args ...any) *redis.Cmd {
	return s.client.Eval(ctx, script, []string{key}, args...)
}

// evalOnce runs a script on a key, and is sure that it is not run twice.
func (s *Records) evalOnce(ctx context.Context, script, key string, args ...any) (string, error) {
	cmd := redis.NewCmd(ctx, append([]any{"eval", script, 1, key}, args...)...)
	if err := s.client.Process(ctx, once{cmd}); err != nil {
		return "", err
	}
	return cmd.Text()
}

// once is a command that the client must not send again when it does not know
// what came of it.
type once struct{ *redis.Cmd }

// NoRetry is what the client asks.
func (once) NoRetry() bool { return true }
