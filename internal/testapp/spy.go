package testapp

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"sync"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

// ErrStore is the error of calls that a Spy makes fail.
var ErrStore = errors.New("testapp: the store is on fire")

// A Call is a call of a method of the store.
type Call struct {
	Method string      // such as "GetRecord"
	Kind   string      // of the records; "" if the call is about users
	Record auth.Record // what InsertRecord or UpdateRecord was given
}

// A Spy is a store that records which of its methods were called. A test can run
// functions before and after the calls: they may make calls fail, panic, wait, or use
// the application.
type Spy struct {
	Store // the store that does the work

	mu            sync.Mutex
	before, after func(context.Context, Call) error
	calls         []Call
	failAt        int // the number of the call that fails; 0 for none
	failAfter     bool
	passed        []passed
}

// A passed is Data that went to the store or came from it, and what it was then.
type passed struct {
	data []byte
	was  string
}

func (s *Spy) pass(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passed = append(s.passed, passed{data, string(data)})
}

// Overwritten returns the Data of records that the library or the store has written to,
// as it was before. There must be none: see auth.Record.
func (s *Spy) Overwritten() (before []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.passed {
		if string(p.data) != p.was {
			before = append(before, p.was)
		}
	}
	return before
}

// NewSpy returns a Spy around an empty store in memory.
func NewSpy(clock *Clock) *Spy {
	return SpyOn(memstore.New[User](memstore.WithClock(clock.Now)))
}

// SpyOn returns a Spy around a store.
func SpyOn(store Store) *Spy { return &Spy{Store: store} }

// HookCalls runs before and after around each call from now on, and forgets all earlier
// calls. If before returns an error, the call is not made and returns that error. If
// after returns an error, the call was made, and returns that error. Either may be nil.
func (s *Spy) HookCalls(before, after func(context.Context, Call) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after, s.calls, s.failAt = before, after, nil, 0
}

// Hook is HookCalls with functions that need only the name of the method.
func (s *Spy) Hook(before, after func(method string) error) {
	byName := func(f func(string) error) func(context.Context, Call) error {
		if f == nil {
			return nil
		}
		return func(_ context.Context, c Call) error { return f(c.Method) }
	}
	s.HookCalls(byName(before), byName(after))
}

// Reset removes all hooks and forgets the calls until now.
func (s *Spy) Reset() { s.HookCalls(nil, nil) }

// Fail makes these methods fail from now on.
func (s *Spy) Fail(methods ...string) {
	s.Hook(func(method string) error {
		if slices.Contains(methods, method) {
			return ErrStore
		}
		return nil
	}, nil)
}

// FailAt makes the k-th call from now on fail, counted from 1: before it takes effect,
// or afterwards.
func (s *Spy) FailAt(k int, after bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after, s.calls = nil, nil, nil
	s.failAt, s.failAfter = k, after
}

// Calls returns the methods that were called since the last hook or Reset.
func (s *Spy) Calls() (methods []string) {
	for _, c := range s.made() {
		methods = append(methods, c.Method)
	}
	return methods
}

func (s *Spy) made() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Given returns the records that InsertRecord, UpdateRecord or both were given since
// the last hook or Reset.
func (s *Spy) Given(methods ...string) (records []auth.Record) {
	for _, c := range s.made() {
		if slices.Contains(methods, c.Method) {
			records = append(records, c.Record)
		}
	}
	return records
}

// Kinds returns the kinds of records that were the subject of calls since the last hook
// or Reset, sorted.
func (s *Spy) Kinds() (kinds []string) {
	for _, c := range s.made() {
		if c.Kind != "" {
			kinds = append(kinds, c.Kind)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// Writes returns how many of the Calls may have changed something.
func (s *Spy) Writes() (n int) {
	for _, call := range s.Calls() {
		if !slices.Contains([]string{"LoadUser", "FindUser", "GetRecord", "ListRecords"}, call) {
			n++
		}
	}
	return n
}

// Do makes a call, with the hooks around it.
func (s *Spy) Do(ctx context.Context, call Call, f func() error) error {
	s.mu.Lock()
	s.calls = append(s.calls, call)
	before, after := s.before, s.after
	fails, failsAfter := len(s.calls) == s.failAt, s.failAfter
	s.mu.Unlock()
	if fails && !failsAfter {
		return ErrStore
	}
	if before != nil {
		if err := before(ctx, call); err != nil {
			return err
		}
	}
	if err := f(); err != nil {
		return err
	}
	if fails {
		return ErrStore
	}
	if after != nil {
		return after(ctx, call)
	}
	return nil
}

// LoadUser implements auth.UserStore.
func (s *Spy) LoadUser(ctx context.Context, id string) (u *User, err error) {
	return spied(ctx, s, Call{Method: "LoadUser"}, func() (*User, error) { return s.Store.LoadUser(ctx, id) })
}

// FindUser implements auth.UserStore.
func (s *Spy) FindUser(ctx context.Context, key string) (u *User, err error) {
	return spied(ctx, s, Call{Method: "FindUser"}, func() (*User, error) { return s.Store.FindUser(ctx, key) })
}

// CreateUser implements auth.UserStore.
func (s *Spy) CreateUser(ctx context.Context, a auth.Account, form url.Values) (u *User, err error) {
	return spied(ctx, s, Call{Method: "CreateUser"}, func() (*User, error) { return s.Store.CreateUser(ctx, a, form) })
}

// UpdateAccount implements auth.UserStore.
func (s *Spy) UpdateAccount(ctx context.Context, a auth.Account) error {
	return s.Do(ctx, Call{Method: "UpdateAccount"}, func() error { return s.Store.UpdateAccount(ctx, a) })
}

// InsertRecord implements auth.RecordStore.
func (s *Spy) InsertRecord(ctx context.Context, r auth.Record) error {
	s.pass(r.Data)
	return s.Do(ctx, Call{"InsertRecord", r.Kind, r}, func() error { return s.Store.InsertRecord(ctx, r) })
}

// GetRecord implements auth.RecordStore.
func (s *Spy) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	r, err := spied(ctx, s, Call{Method: "GetRecord", Kind: kind}, func() (auth.Record, error) { return s.Store.GetRecord(ctx, kind, key) })
	s.pass(r.Data)
	return r, err
}

// UpdateRecord implements auth.RecordStore.
func (s *Spy) UpdateRecord(ctx context.Context, r auth.Record) error {
	s.pass(r.Data)
	return s.Do(ctx, Call{"UpdateRecord", r.Kind, r}, func() error { return s.Store.UpdateRecord(ctx, r) })
}

// TakeRecord implements auth.RecordStore.
func (s *Spy) TakeRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	return spied(ctx, s, Call{Method: "TakeRecord", Kind: kind}, func() (auth.Record, error) { return s.Store.TakeRecord(ctx, kind, key) })
}

// ListRecords implements auth.RecordStore.
func (s *Spy) ListRecords(ctx context.Context, kind, userID string) ([]auth.Record, error) {
	return spied(ctx, s, Call{Method: "ListRecords", Kind: kind}, func() ([]auth.Record, error) { return s.Store.ListRecords(ctx, kind, userID) })
}

// DeleteRecords implements auth.RecordStore.
func (s *Spy) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	return s.Do(ctx, Call{Method: "DeleteRecords", Kind: kind}, func() error { return s.Store.DeleteRecords(ctx, kind, userID, keep...) })
}

func spied[T any](ctx context.Context, s *Spy, call Call, f func() (T, error)) (T, error) {
	var v, none T
	err := s.Do(ctx, call, func() (err error) { v, err = f(); return err })
	if err != nil {
		return none, err
	}
	return v, nil
}

// A DeletingSpy can delete users, too.
type DeletingSpy struct{ *Spy }

// DeleteUser implements auth.UserDeleter.
func (s DeletingSpy) DeleteUser(ctx context.Context, id string) error {
	store, ok := s.Store.(auth.UserDeleter)
	if !ok {
		return errors.New("testapp: the store deletes no users")
	}
	return s.Do(ctx, Call{Method: "DeleteUser"}, func() error { return store.DeleteUser(ctx, id) })
}
