package testapp

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// EachCall calls round with k = 1, 2, 3 and so on. Round k is about the k-th call of a
// store, for example by making it fail. EachCall stops after the first round that
// returns false, because no such call was made. If the operation makes fewer calls than
// least, the test fails.
func EachCall(tb testing.TB, least int, round func(k int) (reached bool)) {
	tb.Helper()
	for k := 1; ; k++ {
		if round(k) {
			continue
		}
		if k <= least {
			tb.Errorf("the operation makes %d calls, and not %d", k-1, least)
		}
		return
	}
}

// At runs f before the k-th call from now on, counted from 1, as if another request ran
// at that moment. Afterwards, reached reports whether such a call was made.
func (s *Spy) At(k int, f func()) (reached func() bool) {
	var mu sync.Mutex
	n := 0
	s.Hook(func(string) error {
		mu.Lock()
		n++
		now := n == k
		mu.Unlock()
		if now {
			f()
		}
		return nil
	}, nil)
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return n >= k
	}
}

// The ways in which a store, or a client, fails.
const (
	CallFails      = "call fails"
	CallFailsAfter = "call fails after it was made"
	ClientGone     = "client goes away"
	StoreGone      = "store is gone from then on"
)

// A Fault is a failure at one call of the store.
type Fault struct {
	Mode string // such as CallFails
	K    int    // the number of the call, from 1

	mu     sync.Mutex
	failed []string
	err    error // the error of the attempt
}

// AllOrNothing calls round with a Fault at each call of an operation, for each way to
// fail. round makes an application, attempts the operation with Fault.During, and
// checks that it was done completely or not at all. Without a failure the attempt must
// succeed. If the operation makes fewer calls than least, the test fails.
func AllOrNothing(t *testing.T, least int, round func(t *testing.T, f *Fault)) {
	for _, mode := range []string{CallFails, CallFailsAfter, ClientGone, StoreGone} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			EachCall(t, least, func(k int) bool {
				f := &Fault{Mode: mode, K: k}
				round(t, f)
				if len(f.failed) == 0 && f.err != nil {
					t.Errorf("without a failure: %v", f.err)
				}
				return len(f.failed) > 0
			})
		})
	}
}

// During attempts the operation while the store or the client fails.
func (f *Fault) During(ctx context.Context, spy *Spy, attempt func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n := 0
	at := func(method string) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		n++
		if n < f.K || n > f.K && f.Mode != StoreGone {
			return nil
		}
		f.failed = append(f.failed, method)
		if f.Mode == ClientGone {
			cancel()
			return nil
		}
		return ErrStore
	}
	if f.Mode == CallFailsAfter {
		spy.Hook(nil, at)
	} else {
		spy.Hook(at, nil)
	}
	defer spy.Reset()
	f.err = attempt(ctx)
	return f.err
}

// String describes which call failed and what the attempt returned.
func (f *Fault) String() string {
	return fmt.Sprintf("call %d (%s): %v", f.K, strings.Join(f.failed, " "), f.err)
}
