package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// A deed is a call that may be broken off while it is under way, by its context
// or by a connection that is lost, and what can be seen of it afterwards.
type deed struct {
	verb string
	test *testing.TB // of the recordTest or userTest that the functions below belong to

	// call does it, and checks what it returns beside nil.
	call func(ctx context.Context) error

	// answer is the one error of the contract that this call deserves. It is
	// nil for a call that nothing is wrong with.
	answer error

	// already are the errors of which one is the answer to the same call when
	// it has happened before. There are none for a call that may be made twice.
	already []error

	// ready makes sure that call can be made again.
	ready func()

	// happened looks whether it has, whole checks that everything in the store
	// is as it must be then. Neither changes anything.
	happened func() outcome
	whole    func(after string, o outcome)
}

// An outcome is what has become of a deed.
type outcome int

const (
	undone outcome = iota
	done
	partly // of several records some, each of them wholly: DeleteRecords may, where they are in different places
)

// doneIf is undone or done.
func doneIf(happened bool) outcome {
	if happened {
		return done
	}
	return undone
}

// judge checks what has become of a deed that may have been broken off, and
// what was said of it.
func (d deed) judge(when string, err error) {
	t := *d.test
	t.Helper()
	did := d.verb + ", " + when
	said := answerOf(err)
	switch {
	case err == nil && d.answer != nil:
		fail(t, did, "no error", d.answer, "an answer that did not come is not a good one: return the error of the connection or of the context")
	case said != nil && !errors.Is(err, d.answer):
		fail(t, did, err, "an error that says nothing about the data, or none if it has happened: nobody else was there",
			"do not call again what may have happened, as the second call meets what the first has done; and do not take a failure to ask for an answer")
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

// settles checks that a deed has happened wholly or not at all, and reports
// which. What was broken off may happen a little later, as the server goes on
// with it when nobody waits for it any more; so what looks like half of it is
// looked at again.
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

// repeat does the deed again, as somebody would who was not told what became of
// it, and checks that it has happened once then.
func (d deed) repeat(after string, before outcome) {
	t := *d.test
	t.Helper()
	if d.ready != nil {
		d.ready()
	}
	err := d.call(t.Context())
	if !slices.ContainsFunc(d.already, func(answer error) bool { return errors.Is(err, answer) }) && (err != nil || before == done && d.already != nil) {
		fail(t, after+": "+d.verb+" once more", fmt.Sprint(err), fmt.Sprintf("%q if it had happened, no error if it had not", fmt.Sprint(d.already)),
			"what was broken off must leave nothing behind that is in the way, and if it has happened be there for everybody")
	}
	d.settles(after+", and "+d.verb+" once more", func() outcome { return done })
}

// An attempt keeps complaints for later.
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

// A breaking context is done when it has been asked for the so-manyth time.
type breaking struct {
	context.Context
	done chan struct{}

	mu    sync.Mutex
	asked int // how often it still may be
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

// testDead checks that a deed whose context is done does nothing.
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

// testBroken does a deed again and again, with a context that ends when it is
// asked for the first time, the second time and so on, until it outlives the
// call.
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
