package bench_test

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/storetest"
)

// Shards is a record store that spreads records over several stores by their
// names. It is an example for docs/scaling.md, to be copied.
type Shards []auth.RecordStore

// of returns the shard of a name, which must be the same in every process.
func (s Shards) of(kind, key string) auth.RecordStore {
	h := fnv.New64a()
	_, _ = io.WriteString(h, kind+"/"+key) // never fails
	return s[h.Sum64()%uint64(len(s))]
}

func (s Shards) InsertRecord(ctx context.Context, r auth.Record) error {
	return s.of(r.Kind, r.Key).InsertRecord(ctx, r)
}

func (s Shards) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	return s.of(kind, key).GetRecord(ctx, kind, key)
}

func (s Shards) UpdateRecord(ctx context.Context, r auth.Record) error {
	return s.of(r.Kind, r.Key).UpdateRecord(ctx, r)
}

func (s Shards) TakeRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	return s.of(kind, key).TakeRecord(ctx, kind, key)
}

// ListRecords asks all shards, and asks again until no new record appears. A
// rotation may move a login from a shard that has not answered yet to one that
// already has.
func (s Shards) ListRecords(ctx context.Context, kind, userID string) (all []auth.Record, err error) {
	known := map[string]bool{}
	for look := 1; ; look++ {
		lists := make([][]auth.Record, len(s))
		err := s.each(func(i int) (err error) {
			lists[i], err = s[i].ListRecords(ctx, kind, userID)
			return err
		})
		if err != nil {
			return nil, err
		}
		before := len(all)
		for _, list := range lists {
			for _, r := range list {
				if !known[r.Key] {
					known[r.Key], all = true, append(all, r)
				}
			}
		}
		if look > 1 && len(all) == before {
			return all, nil
		}
	}
}

// DeleteRecords deletes twice, for the same reason.
func (s Shards) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	once := func(i int) error { return s[i].DeleteRecords(ctx, kind, userID, keep...) }
	if err := s.each(once); err != nil {
		return err
	}
	return s.each(once)
}

// each calls f for all shards at once.
func (s Shards) each(f func(i int) error) error {
	errs := make([]error, len(s))
	var wg sync.WaitGroup
	for i := range s {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func newShards(now func() time.Time) Shards {
	s := make(Shards, 3)
	for i := range s {
		s[i] = memstore.NewRecords(memstore.WithClock(now))
	}
	return s
}

func TestShards(t *testing.T) {
	storetest.TestRecordStore(t, func(_ *testing.T, clock func() time.Time) auth.RecordStore { return newShards(clock) })
}

func TestShardsRaces(t *testing.T) {
	testapp.Races(t, testapp.Rounds(t, 3, 100), func(_ *testing.T, clock func() time.Time) testapp.Store {
		return struct {
			auth.UserStore[*testapp.User]
			Shards
		}{memstore.New[testapp.User](memstore.WithClock(clock)), newShards(clock)}
	})
}

// TestShardsAreUsed checks that every shard gets records.
func TestShardsAreUsed(t *testing.T) {
	s := newShards(time.Now)
	const n = 300
	for i := range n {
		check(t, s.InsertRecord(t.Context(), auth.Record{Kind: "session", Key: sessionKey(i), UserID: "1"}))
	}
	for i := range s {
		if list, err := s[i].ListRecords(t.Context(), "session", "1"); err != nil || len(list) < n/len(s)/2 {
			t.Errorf("shard %d has %d records, %v", i, len(list), err)
		}
	}
}

// TestShardsCross rotates a login from a shard that is about to be asked to one
// that has just been asked.
func TestShardsCross(t *testing.T) {
	for name, ask := range map[string]func(Shards) (left int, err error){
		"list": func(s Shards) (int, error) {
			list, err := s.ListRecords(t.Context(), "session", "1")
			return 1 - len(list), err
		},
		"delete": func(s Shards) (int, error) {
			if err := s.DeleteRecords(t.Context(), "session", "1"); err != nil {
				return 0, err
			}
			list, err := s.ListRecords(t.Context(), "session", "1")
			return len(list), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan struct{})
			s := newShards(time.Now)
			next, last := s.key(s[0]), s.key(s[1])
			s[0] = &crossed{RecordStore: s[0], after: func() { close(asked) }}
			s[1] = &crossed{RecordStore: s[1], before: func() {
				<-asked
				check(t, s.InsertRecord(t.Context(), auth.Record{Kind: "session", Key: next, UserID: "1"}))
				_, err := s.TakeRecord(t.Context(), "session", last)
				check(t, err)
			}}
			check(t, s.InsertRecord(t.Context(), auth.Record{Kind: "session", Key: last, UserID: "1"}))
			if left, err := ask(s); err != nil || left != 0 {
				t.Errorf("a record has been missed: %d, %v", left, err)
			}
		})
	}
}

// key returns a key whose record is in this shard.
func (s Shards) key(shard auth.RecordStore) string {
	for i := 0; ; i++ {
		if key := strconv.Itoa(i); s.of("session", key) == shard {
			return key
		}
	}
}

// crossed calls a function before or after it is first asked for a user's
// records.
type crossed struct {
	auth.RecordStore
	once          sync.Once
	before, after func()
}

func (c *crossed) ListRecords(ctx context.Context, kind, userID string) (list []auth.Record, err error) {
	c.cross(func() { list, err = c.RecordStore.ListRecords(ctx, kind, userID) })
	return list, err
}

func (c *crossed) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) (err error) {
	c.cross(func() { err = c.RecordStore.DeleteRecords(ctx, kind, userID, keep...) })
	return err
}

func (c *crossed) cross(ask func()) {
	first := false
	c.once.Do(func() { first = true })
	if first && c.before != nil {
		c.before()
	}
	ask()
	if first && c.after != nil {
		c.after()
	}
}
