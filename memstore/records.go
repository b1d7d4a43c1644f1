package memstore

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-login/auth"
)

// sweep is the maximum of expired records that one insert removes. Because it
// is more than one, expired records disappear even while new ones come in, and
// no insert is slow.
const sweep = 4

// Records is an [auth.RecordStore]. [NewRecords] makes one.
//
// A call takes constant time, with two exceptions. A write takes time
// logarithmic in the number of records, to keep them in the order of their
// expiry. ListRecords and DeleteRecords take time proportional to the user's
// own records. Expired records leave the memory as new ones are inserted.
type Records struct {
	now func() time.Time

	mu       sync.RWMutex
	entries  map[name]*entry
	owned    map[owner][]*entry
	expiring queue
}

// A name identifies a record, an owner a list of records.
type (
	name  struct{ kind, key string }
	owner struct{ kind, userID string }
)

// An entry is a record in the store. Its Data is replaced, never written to.
type entry struct {
	record auth.Record
	place  int // index in owned
	turn   int // index in expiring
}

func (e *entry) name() name   { return name{e.record.Kind, e.record.Key} }
func (e *entry) owner() owner { return owner{e.record.Kind, e.record.UserID} }

// NewRecords returns an empty store that keeps only records.
func NewRecords(options ...Option) *Records {
	return &Records{
		now:     newSettings(options).now,
		entries: map[name]*entry{},
		owned:   map[owner][]*entry{},
	}
}

// InsertRecord implements [auth.RecordStore].
func (s *Records) InsertRecord(ctx context.Context, r auth.Record) error {
	if err := check(ctx, r.Kind, r.Key); err != nil {
		return err
	}
	r = clean(r)

	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if old := s.entries[name{r.Kind, r.Key}]; old != nil {
		if !old.record.Expired(now) {
			return auth.ErrRecordExists
		}
		s.remove(old)
	}
	for range sweep {
		if len(s.expiring) == 0 || !s.expiring[0].record.Expired(now) {
			break
		}
		s.remove(s.expiring[0])
	}
	s.add(&entry{record: r})
	return nil
}

// GetRecord implements [auth.RecordStore].
func (s *Records) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if err := check(ctx, kind, key); err != nil {
		return auth.Record{}, err
	}
	s.mu.RLock()
	e := s.live(kind, key)
	if e == nil {
		s.mu.RUnlock()
		return auth.Record{}, auth.ErrRecordNotFound
	}
	r := e.record
	s.mu.RUnlock()
	return r, nil
}

// UpdateRecord implements [auth.RecordStore].
func (s *Records) UpdateRecord(ctx context.Context, r auth.Record) error {
	if err := check(ctx, r.Kind, r.Key); err != nil {
		return err
	}
	r = clean(r)

	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.live(r.Kind, r.Key)
	switch {
	case e == nil:
		return auth.ErrRecordNotFound
	case e.record.Version != r.Version:
		return auth.ErrConflict
	}
	s.dequeue(e)
	e.record.Data = r.Data
	e.record.Expires = r.Expires
	e.record.Version++
	s.enqueue(e)
	return nil
}

// TakeRecord implements [auth.RecordStore].
func (s *Records) TakeRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if err := check(ctx, kind, key); err != nil {
		return auth.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.live(kind, key)
	if e == nil {
		return auth.Record{}, auth.ErrRecordNotFound
	}
	s.remove(e)
	return e.record, nil
}

// ListRecords implements [auth.RecordStore].
func (s *Records) ListRecords(ctx context.Context, kind, userID string) ([]auth.Record, error) {
	if err := check(ctx, kind, userID); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.now()
	var list []auth.Record
	for _, e := range s.owned[owner{kind, userID}] {
		if !e.record.Expired(now) {
			list = append(list, e.record)
		}
	}
	return list, nil
}

// DeleteRecords implements [auth.RecordStore].
func (s *Records) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	if err := check(ctx, kind, userID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range slices.Backward(s.owned[owner{kind, userID}]) { // backward, because remove fills the gap with the last entry
		if !slices.Contains(keep, e.record.Key) {
			s.remove(e)
		}
	}
	return nil
}

// check returns an error if the call must do nothing. name is the key, or the
// user ID of a list.
func check(ctx context.Context, kind, name string) error {
	if kind == "" || name == "" {
		return auth.ErrInvalidRecord
	}
	return ctx.Err()
}

// clean returns r as if it came from a database: its Expires has no monotonic reading.
func clean(r auth.Record) auth.Record {
	r.Expires = r.Expires.Round(0)
	return r
}

// live returns the entry of a record that has not expired, or nil.
func (s *Records) live(kind, key string) *entry {
	e := s.entries[name{kind, key}]
	if e == nil || e.record.Expired(s.now()) {
		return nil
	}
	return e
}

// add puts an entry into the maps and the queue. remove takes it out.
func (s *Records) add(e *entry) {
	s.entries[e.name()] = e
	if e.record.UserID != "" {
		list := s.owned[e.owner()]
		e.place = len(list)
		s.owned[e.owner()] = append(list, e)
	}
	s.enqueue(e)
}

func (s *Records) remove(e *entry) {
	delete(s.entries, e.name())
	if e.record.UserID != "" {
		list := s.owned[e.owner()]
		last := len(list) - 1
		list[e.place] = list[last]
		list[e.place].place = e.place
		list[last] = nil
		if last == 0 {
			delete(s.owned, e.owner())
		} else {
			s.owned[e.owner()] = list[:last]
		}
	}
	s.dequeue(e)
}

// enqueue and dequeue do nothing for a record that never expires.
func (s *Records) enqueue(e *entry) {
	if !e.record.Expires.IsZero() {
		heap.Push(&s.expiring, e)
	}
}

func (s *Records) dequeue(e *entry) {
	if !e.record.Expires.IsZero() {
		heap.Remove(&s.expiring, e.turn)
	}
}

// A queue is a heap (see container/heap) of the entries that expire. The entry
// that expires next is in front.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].record.Expires.Before(q[j].record.Expires) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].turn, q[j].turn = i, j
}

func (q *queue) Push(x any) {
	if e, ok := x.(*entry); ok {
		e.turn = len(*q)
		*q = append(*q, e)
	}
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
