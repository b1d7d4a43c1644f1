package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// A deed is a call that may be broken off while it runs, by its context or by a
// lost connection. It also knows how to check afterwards what has happened.
type deed struct {
	verb string
	test *testing.TB // of the recordTest or userTest to which the functions below belong

	// call makes the call. If it returns nil, it has also checked the result.
	call func(ctx context.Context) error

	// answer is the error of the contract that this call must return. It is nil
	// if the call must succeed.
	answer error

	// already lists the errors that are correct if the same call has happened
	// before. It is empty for a call that may be made twice.
	already []error

	// ready makes sure that call can be made again.
	ready func()

	// happened looks whether the call has happened. whole checks that
	// everything in the store is as it must be in that case. Neither changes
	// anything.
	happened func() outcome
	whole    func(after string, o outcome)
}

// An outcome is what a deed has done.
type outcome int

const (
	undone outcome = iota
	done
	partly // DeleteRecords may delete some of several records, each of them wholly
)

// doneIf returns done if the call has happened, and otherwise undone.
func doneIf(happened bool) outcome {
	if happened {
		return done
	}
	return undone
}

// judge checks the effect of a call that may have been broken off, and whether
// the error it returned is true.
func (d deed) judge(when string, err error) {
	t := *d.test
	t.Helper()
	did := d.verb + ", " + when
	said := answerOf(err)
	switch {
	case err == nil && d.answer != nil:
		fail(t, did, "no error", d.answer, "return the error of the connection or of the context if no answer came")
	case said != nil && !errors.Is(err, d.answer):
		fail(t, did, err, "no error if the call has happened, and otherwise an error that says nothing about the data: no other call was made",
			"do not retry a call that may have happened, because the second call then meets the effects of the first; and do not treat a failed query as an answer")
	}
	after := fmt.Sprintf("after %s, which returned %q", did, fmt.Sprint(err))
	if d.answer != nil {
		d.settles(after, func() outcome { return undone })
		return
	}
	d.repeat(after, d.settles(after, func() outcome {
		if err == nil {
			return done
		}
		return d.happened()
	}))
}

// settles checks that a deed has happened wholly or not at all, and returns
// which. The server may finish a call a little later, after the client has
// stopped waiting. A call that seems half done is therefore checked again, at
// most rounds times.
func (d deed) settles(after string, happened func() outcome) outcome {
	t := *d.test
	t.Helper()
	for look := 1; ; look++ {
		o := happened()
		a := &attempt{TB: t}
		*d.test = a
		d.whole(after, o)
		*d.test = t
		if len(a.complaints) == 0 {
			return o
		}
		if look == rounds {
			a.report()
			return o
		}
	}
}

// repeat makes the call again, as a caller would who does not know whether it
// happened. It then checks that it has happened once.
func (d deed) repeat(after string, before outcome) {
	t := *d.test
	t.Helper()
	if d.ready != nil {
		d.ready()
	}
	err := d.call(t.Context())
	if !slices.ContainsFunc(d.already, func(answer error) bool { return errors.Is(err, answer) }) && (err != nil || before == done && d.already != nil) {
		fail(t, after+": "+d.verb+" once more", fmt.Sprint(err), fmt.Sprintf("%q if it had happened, no error if it had not", fmt.Sprint(d.already)),
			"a call that was broken off must either be undone completely, so that it can be repeated, or be done and visible to every caller")
	}
	d.settles(after+", and "+d.verb+" once more", func() outcome { return done })
}

// An attempt collects failures, to report them later.
type attempt struct {
	testing.TB
	complaints []string
}

func (a *attempt) Errorf(format string, args ...any) {
	a.complaints = append(a.complaints, fmt.Sprintf(format, args...))
}

func (a *attempt) FailNow() {
	a.report()
	a.TB.FailNow()
}

func (a *attempt) report() {
	a.Helper()
	for _, complaint := range a.complaints {
		a.TB.Errorf("%s", complaint)
	}
}

// A breaking context ends when Done or Err has been called a given number of
// times.
type breaking struct {
	context.Context
	done chan struct{}

	mu    sync.Mutex
	asked int // how many more calls until it ends
}

func breaksAfter(ctx context.Context, asked int) *breaking {
	return &breaking{Context: ctx, done: make(chan struct{}), asked: asked}
}

func (b *breaking) ask() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked--; b.asked == -1 {
		close(b.done)
	}
}

func (b *breaking) Done() <-chan struct{} {
	b.ask()
	return b.done
}

func (b *breaking) Err() error {
	b.ask()
	if b.broken() {
		return context.Canceled
	}
	return b.Context.Err()
}

func (b *breaking) broken() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// testDead checks that a call with an ended context does nothing.
func testDead(d deed, e ending) {
	t := *d.test
	t.Helper()
	e.refused(t, d.verb, d.call(e.context(t)))
	after := "after " + d.verb + " with a context that was " + e.name
	d.whole(after, undone)
	if d.answer == nil {
		d.repeat(after, undone)
	}
}

// testBroken makes a call again and again. The context ends at the first call
// of Done or Err, then at the second, and so on, until the call returns before
// it ends.
func testBroken(t testing.TB, prepare func(i int) deed) {
	t.Helper()
	const enough = 100
	for i := 0; i < enough && !t.Failed(); i++ {
		d := prepare(i)
		ctx := breaksAfter(t.Context(), i)
		err := d.call(ctx)
		d.judge(fmt.Sprintf("whose context ended when it was asked %d times", i+1), err)
		if !ctx.broken() {
			return
		}
	}
}
