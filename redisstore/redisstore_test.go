package redisstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/redisstore"
	"github.com/go-login/auth/storetest"
)

var _ auth.RecordStore = (*redisstore.Records)(nil)

// options returns the client options for the server in GOLOGIN_REDIS.
func options(t *testing.T) *redis.Options {
	t.Helper()
	o, err := redis.ParseURL(testapp.Need(t, "GOLOGIN_REDIS"))
	check(t, err)
	return o
}

func connect(t *testing.T, o *redis.Options) *redis.Client {
	t.Helper()
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// newPrefix returns an unused prefix, and deletes all keys under it when the
// test ends.
func newPrefix(t *testing.T, client *redis.Client) string {
	t.Helper()
	prefix := "redisstore-test-" + rand.Text() + ":"
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, key := range keys(ctx, t, client, prefix) {
			check(t, client.Del(ctx, key).Err())
		}
	})
	return prefix
}

// keys returns the keys with a prefix.
func keys(ctx context.Context, t *testing.T, client *redis.Client, prefix string) (found []string) {
	t.Helper()
	all := client.Scan(ctx, 0, prefix+"*", 1000).Iterator()
	for all.Next(ctx) {
		found = append(found, all.Val())
	}
	check(t, all.Err())
	return found
}

// A fixture is a store with a prefix of its own, a clock that stands still, and
// a client to inspect Redis.
type fixture struct {
	*redisstore.Records
	client *redis.Client
	prefix string
	clock  *testapp.Clock
}

func newFixture(t *testing.T, more ...redisstore.Option) *fixture {
	t.Helper()
	client := connect(t, options(t))
	f := &fixture{client: client, prefix: newPrefix(t, client), clock: testapp.NewClock()}
	f.Records = f.store(client, more...)
	return f
}

// store returns another store on the same records.
func (f *fixture) store(client redis.UniversalClient, more ...redisstore.Option) *redisstore.Records {
	return redisstore.NewRecords(client, append([]redisstore.Option{redisstore.WithClock(f.clock.Now), redisstore.Prefix(f.prefix)}, more...)...)
}

// record returns a record of the user "user" that expires in an hour.
func (f *fixture) record(key string) auth.Record {
	return auth.Record{Kind: "session", Key: key, UserID: "user", Data: []byte("data of " + key), Version: 7, Expires: f.clock.Now().Add(time.Hour)}
}

// insert stores such records.
func (f *fixture) insert(t *testing.T, keys ...string) {
	t.Helper()
	for _, key := range keys {
		check(t, f.InsertRecord(t.Context(), f.record(key)))
	}
}

// listed returns the keys of the user's records.
func (f *fixture) listed(t *testing.T) map[string]bool {
	t.Helper()
	list, err := f.ListRecords(t.Context(), "session", "user")
	check(t, err)
	found := map[string]bool{}
	for _, r := range list {
		if found[r.Key] {
			t.Errorf("%q is listed twice", r.Key)
		}
		found[r.Key] = true
	}
	return found
}

// entries returns the number of entries in the user's index.
func (f *fixture) entries(t *testing.T) int64 {
	t.Helper()
	n, err := f.client.ZCard(t.Context(), f.prefix+"u/7/session/user").Result()
	check(t, err)
	return n
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got the error %v, want %v", err, want)
	}
}

// isAnswer reports whether an error says something about the record.
func isAnswer(err error) bool {
	return errors.Is(err, auth.ErrConflict) || errors.Is(err, auth.ErrRecordNotFound) ||
		errors.Is(err, auth.ErrRecordExists) || errors.Is(err, auth.ErrInvalidRecord)
}

// wantFailure wants an error of this package that says nothing about the
// record.
func wantFailure(t *testing.T, what string, err error) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%s: no error", what)
	case isAnswer(err), !strings.HasPrefix(err.Error(), "redisstore: "):
		t.Errorf("%s: %v", what, err)
	}
}

// A call is one of the store's methods, with arguments that fit a record a.
type call struct {
	name string
	do   func(ctx context.Context) error
}

// calls returns every method. Those that delete come last.
func (f *fixture) calls(s *redisstore.Records) []call {
	return []call{
		{"InsertRecord", func(ctx context.Context) error { return s.InsertRecord(ctx, f.record("new")) }},
		{"GetRecord", func(ctx context.Context) error { _, err := s.GetRecord(ctx, "session", "a"); return err }},
		{"UpdateRecord", func(ctx context.Context) error { return s.UpdateRecord(ctx, f.record("a")) }},
		{"ListRecords", func(ctx context.Context) error { _, err := s.ListRecords(ctx, "session", "user"); return err }},
		{"TakeRecord", func(ctx context.Context) error { _, err := s.TakeRecord(ctx, "session", "a"); return err }},
		{"DeleteRecords", func(ctx context.Context) error { return s.DeleteRecords(ctx, "session", "user") }},
	}
}

func TestRecordStore(t *testing.T) {
	client := connect(t, options(t))
	storetest.TestRecordStore(t, func(t *testing.T, clock func() time.Time) auth.RecordStore {
		return redisstore.NewRecords(client, redisstore.WithClock(clock), redisstore.Prefix(newPrefix(t, client)), redisstore.Durable())
	})
}

func TestRecordStoreProcesses(t *testing.T) {
	storetest.TestRecordStoreProcesses(t,
		func(t *testing.T) string { return newPrefix(t, connect(t, options(t))) },
		func(t *testing.T, prefix string, clock func() time.Time) auth.RecordStore {
			return redisstore.NewRecords(connect(t, options(t)), redisstore.WithClock(clock), redisstore.Prefix(prefix), redisstore.Durable())
		})
}

func TestRecordStoreCut(t *testing.T) {
	prefix := newPrefix(t, connect(t, options(t)))
	storetest.TestRecordStoreCut(t, options(t).Addr, func(t *testing.T, address string, clock func() time.Time) auth.RecordStore {
		o := options(t)
		o.Addr = address
		return redisstore.NewRecords(connect(t, o), redisstore.WithClock(clock), redisstore.Prefix(prefix), redisstore.Durable())
	})
}

// In these races users are in memory and everything else is in Redis.
func TestRaces(t *testing.T) { races(t, testapp.Rounds(t, 10, 50), testapp.Races) }

func TestRememberedRaces(t *testing.T) { races(t, testapp.Rounds(t, 2, 5), testapp.RememberedRaces) }

func TestFactorRaces(t *testing.T) { races(t, testapp.Rounds(t, 1, 5), testapp.FactorRaces) }
func TestAdminRaces(t *testing.T)  { races(t, testapp.Rounds(t, 2, 10), testapp.AdminRaces) }

func races(t *testing.T, rounds int, run func(*testing.T, int, func(*testing.T, func() time.Time) testapp.Store)) {
	client := connect(t, options(t))
	run(t, rounds, func(t *testing.T, clock func() time.Time) testapp.Store {
		return struct {
			auth.UserStore[*testapp.User]
			auth.RecordStore
		}{
			memstore.New[testapp.User](memstore.WithClock(clock)),
			redisstore.NewRecords(client, redisstore.WithClock(clock), redisstore.Prefix(newPrefix(t, client)), redisstore.Durable()),
		}
	})
}

func TestWhatMustLastIsRefused(t *testing.T) {
	f := newFixture(t)
	lasting := f.record("key")
	lasting.Expires = time.Time{}
	wantError(t, f.InsertRecord(t.Context(), lasting), redisstore.ErrNotDurable)
	if listed := f.listed(t); len(listed) != 0 {
		t.Errorf("after a refused insert there is %v", listed)
	}
	f.insert(t, "key")
	wantError(t, f.UpdateRecord(t.Context(), lasting), redisstore.ErrNotDurable)
	r, err := f.GetRecord(t.Context(), "session", "key")
	if err != nil || r.Version != lasting.Version || r.Expires.IsZero() {
		t.Errorf("after a refused update there is %+v, %v", r, err)
	}

	durable := f.store(f.client, redisstore.Durable())
	check(t, durable.UpdateRecord(t.Context(), lasting))
	lasting.Key = "another"
	check(t, durable.InsertRecord(t.Context(), lasting))
	f.clock.Advance(1000 * time.Hour)
	if listed := f.listed(t); len(listed) != 2 {
		t.Errorf("of two records without an Expires there are %v", listed)
	}
	for _, key := range keys(t.Context(), t, f.client, f.prefix) {
		if ttl := f.client.TTL(t.Context(), key).Val(); ttl != -1 {
			t.Errorf("Redis forgets %q in %v", key, ttl)
		}
	}
}

func TestBadOptions(t *testing.T) {
	f := &fixture{clock: testapp.NewClock()}
	client := connect(t, &redis.Options{Addr: "127.0.0.1:1"})
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	t.Cleanup(func() { _ = ring.Close() })
	for want, s := range map[string]*redisstore.Records{
		"the client is nil": redisstore.NewRecords(nil),
		"WithClock got nil": redisstore.NewRecords(client, redisstore.WithClock(nil)),
		"Ring":              redisstore.NewRecords(ring),
		"remove the slash":  redisstore.NewRecords(client, redisstore.Prefix("a/b")),
	} {
		for _, c := range f.calls(s) {
			if err := c.do(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %s: %v", want, c.name, err)
			}
		}
	}
}

func TestNoServer(t *testing.T) {
	f := &fixture{clock: testapp.NewClock()}
	s := f.store(connect(t, &redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1}))
	for _, c := range f.calls(s) {
		wantFailure(t, c.name, c.do(t.Context()))
	}
}

func TestCancelled(t *testing.T) {
	f := newFixture(t)
	f.insert(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer stop()
	s, spy := f.spied(t)
	for _, c := range f.calls(s) {
		wantError(t, c.do(ctx), context.Canceled)
		wantError(t, c.do(late), context.DeadlineExceeded)
	}
	if len(spy.sent) != 0 {
		t.Errorf("cancelled calls have sent %q", spy.sent)
	}
	if listed := f.listed(t); len(listed) != 1 || !listed["a"] || f.entries(t) != 1 {
		t.Errorf("cancelled calls have left %v and %d entries", listed, f.entries(t))
	}
}

func TestPrefixesKeepStoresApart(t *testing.T) {
	f := newFixture(t)
	f.insert(t, "a")
	for _, prefix := range []string{"", "r", "u", "r7", "session:"} {
		other := f.store(f.client, redisstore.Prefix(f.prefix+prefix+"x:"))
		_, err := other.GetRecord(t.Context(), "session", "a")
		wantError(t, err, auth.ErrRecordNotFound)
		check(t, other.InsertRecord(t.Context(), f.record("a")))
		check(t, other.DeleteRecords(t.Context(), "session", "user"))
		if listed := f.listed(t); len(listed) != 1 {
			t.Errorf("%q: %v", prefix, listed)
		}
	}
}

// A spy is a hook that sees the commands that are sent. It may act before a
// command is sent.
type spy struct {
	mu     sync.Mutex
	sent   []string // names of commands; those of a pipeline are joined by spaces
	before func(sent string)
}

func (s *spy) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *spy) see(cmds ...redis.Cmder) {
	var names []string
	for _, cmd := range cmds {
		names = append(names, cmd.Name())
	}
	s.mu.Lock()
	s.sent = append(s.sent, strings.Join(names, " "))
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(strings.Join(names, " "))
	}
}

func (s *spy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "hello" { // sent on a new connection
			s.see(cmd)
		}
		return next(ctx, cmd)
	}
}

func (s *spy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() != "client" { // sent on a new connection, too
			s.see(cmds...)
		}
		return next(ctx, cmds)
	}
}

// spied returns another store on the same records, and a spy on its commands.
func (f *fixture) spied(t *testing.T) (*redisstore.Records, *spy) {
	t.Helper()
	client, s := connect(t, options(t)), &spy{}
	check(t, client.Ping(t.Context()).Err())
	client.AddHook(s)
	return f.store(client, redisstore.Durable()), s
}
