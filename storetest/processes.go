package storetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// A test of processes runs this test binary four more times, and each process
// runs the same test. The environment tells a process which test it belongs to
// and which store to open. Each line on its standard input is an order. Each
// line on its standard output that has the mark is an answer.

const (
	processes     = 4
	perProcess    = 12
	meetings      = 3                   // the minimum of rounds of a race: the processes may miss each other in one
	processTest   = "STORETEST_PROCESS" // the suite and the test that a process belongs to
	processStore  = "STORETEST_STORE"   // the name of the store that it opens
	processAnswer = "storetest: "       // the mark
)

// An order is a list of calls to make at once, at a given time. The process
// answers true when it has read the order. When it then reads true, it makes
// the calls and answers with their results.
type order struct {
	Now   time.Time
	Calls []call
}

// A call is one of the store's methods, or count.
type call struct {
	Verb    string
	Record  auth.Record
	Account person
	Name    string // an ID or a key
	All     int    // of count
	Times   int    // of count
}

// A person is an account as JSON. Account itself does not encode its secrets.
type person struct {
	ID, Username, Email, Stamp string
	Version                    int64
}

func personOf(a auth.Account) person {
	return person{a.ID, a.Username, a.Email, a.Stamp.Reveal(), a.Version}
}

func (p person) account() auth.Account {
	return auth.Account{ID: p.ID, Username: p.Username, Email: p.Email, Stamp: auth.NewSecret(p.Stamp), Version: p.Version}
}

// An answer is what a call returned.
type answer struct {
	Error   string
	Is      int // which of answers() the error is, plus one
	Records []auth.Record
	Account person
}

func (a *answer) failed(err error) {
	if err == nil {
		return
	}
	a.Error = err.Error()
	for i, known := range answers() {
		if errors.Is(err, known) {
			a.Is = i + 1
		}
	}
}

// err returns the error that the other process got.
func (a answer) err() error {
	switch {
	case a.Error == "":
		return nil
	case a.Is > 0:
		return foreignError{a.Error, answers()[a.Is-1]}
	}
	return foreignError{a.Error, nil}
}

type foreignError struct {
	text string
	is   error
}

func (e foreignError) Error() string { return e.text }
func (e foreignError) Unwrap() error { return e.is }

// processOf reports whether this process belongs to that suite and test, and
// which store to open.
func processOf(t *testing.T, suite string) (store string, ok bool) {
	return os.Getenv(processStore), os.Getenv(processTest) == suite+" "+t.Name()
}

// serve executes orders until its standard input is closed.
func serve(t *testing.T, clock *clock, do func(ctx context.Context, c call) answer) {
	in := json.NewDecoder(os.Stdin)
	say := func(what any) {
		line, err := json.Marshal(what)
		works(t, "encoding an answer", err)
		_, err = fmt.Printf("%s%s\n", processAnswer, line)
		works(t, "answering", err)
	}
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			return
		}
		clock.Set(o.Now)
		say(true)
		var start bool
		if err := in.Decode(&start); err != nil {
			return
		}
		answers := make([]answer, len(o.Calls))
		race(t.Context(), len(o.Calls), func(ctx context.Context, i int) error {
			answers[i] = do(ctx, o.Calls[i])
			return nil
		})
		say(answers)
	}
}

// A process is another run of this binary.
type process struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	printed bytes.Buffer // its standard output without the answers
	failed  bytes.Buffer // its standard error
}

// A crew is a set of processes that race.
type crew []*process

// start runs the processes, which end with the test.
func start(t *testing.T, suite, store string) crew {
	t.Helper()
	self, err := os.Executable()
	works(t, "os.Executable", err)
	var pattern []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	timeout := 10 * time.Minute // ends a process that hangs, even if this one is killed
	if deadline, ok := t.Deadline(); ok {
		timeout = time.Until(deadline)
	}
	var all crew
	for range processes {
		p := &process{}
		p.command = exec.CommandContext(context.WithoutCancel(t.Context()), self,
			"-test.run="+strings.Join(pattern, "/"), "-test.timeout="+timeout.String())
		p.command.Env = append(os.Environ(), processTest+"="+suite+" "+t.Name(), processStore+"="+store,
			"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")) // otherwise each process sleeps for a second before it exits
		p.command.Stderr = &p.failed
		p.in, err = p.command.StdinPipe()
		works(t, "a pipe to another process", err)
		out, err := p.command.StdoutPipe()
		works(t, "a pipe from another process", err)
		p.out = bufio.NewReader(out)
		works(t, "starting another process", p.command.Start())
		t.Cleanup(func() { p.stop(t) })
		all = append(all, p)
	}
	return all
}

// stop closes the input of a process and waits for its end. If it failed, the
// test fails.
func (p *process) stop(t *testing.T) {
	_ = p.in.Close()
	_, _ = p.printed.ReadFrom(p.out)
	if err := p.command.Wait(); err != nil {
		t.Errorf("another process failed: %v\n%s%s", err, p.printed.String(), p.failed.String())
	}
}

// hear waits for the next answer of a process. If the process has ended, so
// does the test.
func (p *process) hear(t testing.TB, into any) {
	t.Helper()
	for {
		line, err := p.out.ReadString('\n')
		if _, said, ok := strings.Cut(line, processAnswer); ok {
			works(t, "decoding the answer of another process", json.Unmarshal([]byte(said), into))
			return
		}
		p.printed.WriteString(line)
		if err != nil {
			t.Fatalf("another process has ended; its output follows (open must work in every process; pass what it needs in the environment)")
		}
	}
}

func (p *process) tell(t testing.TB, what any) {
	t.Helper()
	line, err := json.Marshal(what)
	works(t, "encoding an order", err)
	_, err = p.in.Write(append(line, '\n'))
	works(t, "writing to another process", err)
}

// race makes 48 calls at once, 12 in each process. It returns the answers and
// their errors.
func (c crew) race(t testing.TB, clock *clock, calls func(i int) call) ([]answer, []error) {
	t.Helper()
	orders := make([]order, len(c))
	for i := range processes * perProcess {
		o := &orders[i%len(c)]
		o.Now = clock.Now()
		o.Calls = append(o.Calls, calls(i))
	}
	for i, p := range c {
		p.tell(t, orders[i])
	}
	var ready bool
	for _, p := range c {
		p.hear(t, &ready)
	}
	for _, p := range c {
		p.tell(t, true)
	}
	all := make([]answer, processes*perProcess)
	errs := make([]error, len(all))
	for i, p := range c {
		var some []answer
		p.hear(t, &some)
		for j, a := range some {
			all[i+j*len(c)], errs[i+j*len(c)] = a, a.err()
		}
	}
	return all, errs
}

// ask makes one call in one process.
func (p *process) ask(t testing.TB, clock *clock, c call) (answer, error) {
	t.Helper()
	p.tell(t, order{clock.Now(), []call{c}})
	var ready bool
	p.hear(t, &ready)
	p.tell(t, true)
	var some []answer
	p.hear(t, &some)
	return some[0], some[0].err()
}
