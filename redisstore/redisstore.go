// Package redisstore keeps records in Redis, through the application's own
// go-redis client. It starts no goroutine and needs no closing.
//
//	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	manager, err := auth.New(users, auth.Config{
//		SessionStore: redisstore.NewRecords(client), // Config.Records, which must last, stays with the users
//		…
//	})
//
// # What it needs
//
// Redis 7.0 or newer, or a compatible Valkey: a single server, replicas under
// Sentinel, or a Cluster. Addresses, TLS, credentials and timeouts are settings
// of the client. With ContextTimeoutEnabled a call ends when its context does,
// otherwise only after ReadTimeout. A [redis.Ring] is refused: if one of its
// shards is down, another answers for it, and when the shard comes back,
// sessions that were ended meanwhile come back with it.
//
// Every use of a record is one Lua script on one key. It is sent whole with
// EVAL, so that a Redis needs no preparation when it is new, was restarted or
// lost its scripts. EVALSHA would save a few hundred bytes per write, but no
// time. Reads are scripts as well: the client may send a plain GET to a replica
// or answer it from its own cache, where a session that was ended may still be.
//
// The clocks of the processes that share a store may differ by minutes, but not
// by an hour. The clock of Redis does not matter.
//
// # What may vanish
//
// Replication is asynchronous, so a failover loses the last acknowledged
// writes. A session may then be gone, or a session that was ended may be back.
//
// A Redis that evicts keys can lose any record. Worse, it can lose the index of
// a user. ListRecords and DeleteRecords then do not find that user's sessions,
// and only a logout with the session's own cookie ends them. Therefore set
// maxmemory-policy to noeviction: a full Redis then refuses new records, and
// the existing ones can still be read and ended. If you must evict, use
// volatile-ttl, which evicts an index after its records.
//
// These risks are acceptable for Config.SessionStore, but never for factors or
// recovery codes. A record without an Expires is therefore refused with
// [ErrNotDurable], unless you set [Durable]. Set it only if this Redis has
// appendfsync always, noeviction, and no failover to a replica that may lag.
//
// # What it costs
//
// GetRecord takes one round trip. InsertRecord and TakeRecord take one, and
// another one if the record has a user, whose index is a key of its own.
// UpdateRecord takes one. If it moves the Expires of a user's record so far
// that the index must be updated, it takes three; that happens at most once a
// day for each record.
//
// ListRecords and DeleteRecords take one round trip for the index and one for
// every hundred records. DeleteRecords takes one more if it deleted any. If the
// index has an entry without a record (because the record expired in the last
// day, or is being inserted or taken right now), they look for the record a
// second time, and read the index again.
//
// A record takes 270 bytes besides its contents, and another 60 to 200 in the
// index of its user. Redis removes a record an hour after it has expired, and
// an index a day after its last record.
//
// # Errors
//
// A write is sent once, whatever the client's MaxRetries is. If the answer to
// an insert was lost, a retry would be told that the record exists. Therefore
// the method returns the client's error, and the caller does not know whether
// the record was written. Calls that only read, or that may be repeated, are
// retried as the client is configured.
//
// ListRecords and DeleteRecords are not one step: other calls may see a list
// half deleted, and after a failure it may stay so. But DeleteRecords does not
// miss a login whose session is rotated meanwhile, which inserts the new record
// before it takes the old one.
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-login/auth"
)

// ErrNotDurable is returned for a write of a record without an Expires, unless
// [Durable] is set.
var ErrNotDurable = errors.New("redisstore: a record without an Expires must last, but Redis may lose it: " +
	"use another store for auth.Config.Records and this one for SessionStore, or pass redisstore.Durable() if Redis persists and never evicts")

// Records is an [auth.RecordStore] in Redis. [NewRecords] makes one. It keeps
// Expires to the microsecond, rounded down, and returns it in UTC.
type Records struct {
	client  redis.UniversalClient
	now     func() time.Time
	prefix  string
	durable bool
	err     error // an error in the options, which every method returns
}

// An Option changes a default of [NewRecords].
type Option func(*Records)

// WithClock sets the clock that decides whether a record has expired, instead
// of time.Now.
func WithClock(now func() time.Time) Option {
	return func(s *Records) { s.now = now }
}

// Prefix sets the beginning of all keys in Redis, instead of "auth:". Stores
// with different prefixes share nothing. A prefix must not contain a slash.
func Prefix(prefix string) Option {
	return func(s *Records) { s.prefix = prefix }
}

// Durable says that this Redis persists every write and never evicts a key. The
// store then accepts records that never expire.
func Durable() Option {
	return func(s *Records) { s.durable = true }
}

// NewRecords returns a store of records. It does not connect to Redis. If the
// options are wrong, every method returns the error.
func NewRecords(client redis.UniversalClient, options ...Option) *Records {
	s := &Records{client: client, now: time.Now, prefix: "auth:"}
	for _, option := range options {
		option(s)
	}
	_, ring := client.(*redis.Ring)
	switch {
	case client == nil:
		s.err = errors.New("redisstore: the client is nil; pass redis.NewClient(…) or another go-redis client")
	case ring:
		s.err = errors.New("redisstore: the client is a redis.Ring, which can bring back ended sessions; use redis.NewClusterClient")
	case s.now == nil:
		s.err = errors.New("redisstore: WithClock got nil; pass a function such as time.Now")
	case strings.Contains(s.prefix, "/"):
		s.err = fmt.Errorf("redisstore: Prefix(%q): remove the slash", s.prefix)
	}
	return s
}

// check returns the error of a call that must do nothing. name is the key, or
// the user ID of a list.
func (s *Records) check(ctx context.Context, kind, name string) error {
	if kind == "" || name == "" {
		return auth.ErrInvalidRecord
	}
	if s.err != nil {
		return s.err
	}
	return ctx.Err()
}

// checkWrite is check for a record to be stored.
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

// errTooFar is returned for an Expires that does not fit into a number of
// microseconds.
var errTooFar = errors.New("redisstore: Expires must be between the years -290000 and 290000")

// eval runs a script on a key. The client may send it again.
func (s *Records) eval(ctx context.Context, script, key string, args ...any) *redis.Cmd {
	return s.client.Eval(ctx, script, []string{key}, args...)
}

// evalOnce runs a script on a key, and makes sure that it is not run twice.
func (s *Records) evalOnce(ctx context.Context, script, key string, args ...any) (string, error) {
	cmd := redis.NewCmd(ctx, append([]any{"eval", script, 1, key}, args...)...)
	if err := s.client.Process(ctx, once{cmd}); err != nil {
		return "", err
	}
	return cmd.Text()
}

// once is a command that the client must not send again if no answer came.
type once struct{ *redis.Cmd }

// NoRetry is called by the client.
func (once) NoRetry() bool { return true }
