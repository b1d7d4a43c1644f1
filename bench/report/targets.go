package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// A target is a figure that the library must reach. To add a target, add a row
// to targets.
type target struct {
	name     string
	what, of value // the figure is what/of, or just what if of is empty
	atMost   float64
	atLeast  float64 // used instead of atMost if not zero
	every    bool    // the worst round decides, and not the median
}

// request is the time of a request in process, without its handler.
func request(name, peer string) value {
	return value{"Request/" + name + "/" + peer, "sec/op", "Request/" + name + "/bare"}
}

func allocations(name, peer string) value {
	return value{"Request/" + name + "/" + peer, "allocs/op", "Request/" + name + "/bare"}
}

// refused is the time of a request that a guard refuses. Its handler is not reached, so
// nothing is subtracted.
func refused() value { return per("sec", "Request/refusal/go-login") }

// per is what an operation takes of a unit.
func per(unit, name string) value { return value{name: name, unit: unit + "/op"} }

// flood is a value measured while other clients log in without a pause.
func flood(name, unit string) value { return value{name: "Flood/" + name, unit: unit} }

func targets() []target {
	return []target{
		{name: "anonymous request, as a share of scs", what: request("anonymous", "go-login"), of: request("anonymous", "scs"), atMost: 1.2},
		{name: "logged-in request, as a share of scs", what: request("logged-in", "go-login"), of: request("logged-in", "scs"), atMost: 0.08},
		{name: "logged-in request, in multiples of the floor", what: request("logged-in", "go-login"), of: unit(), atMost: 2.2},
		{name: "the same with second factors, rules and a role", what: request("role", "go-login"), of: unit(), atMost: 2.2},
		{name: "logged-in request, allocations", what: allocations("logged-in", "go-login"), atMost: 8},
		{name: "refused request, in multiples of the floor", what: refused(), of: unit(), atMost: 2.5},
		{name: "refused request, allocations", what: per("allocs", "Request/refusal/go-login"), atMost: 10},
		{name: "session write, as a share of scs", what: request("write", "go-login"), of: request("write", "scs"), atMost: 0.12},
		{name: "session write, in multiples of the floor", what: request("write", "go-login"), of: unit(), atMost: 5},
		{name: "with an idle timeout, in multiples of without", what: request("idle", "go-login"), of: request("idle", "go-login-off"), atMost: 1.05},
		{name: "logged-in request, calls of the store that read", what: per("reads", "Store/Memory"), atMost: 2},
		{name: "logged-in request, calls of the store that write", what: per("writes", "Store/Memory"), atMost: 0},
		// The figure is a ratio of rates, which is the inverse of the ratio of
		// times.
		{name: "HTTP requests per second behind the guard, as a share of a bare handler's, in every round", what: per("sec", "HTTP/bare"), of: per("sec", "HTTP/go-login"), atLeast: 0.92, every: true},
		{name: "logins per second of 128 clients, as a share of Argon2id on all cores", what: per("sec", "Logins/argon2id"), of: per("sec", "Logins/go-login"), atLeast: 0.95},
		{name: "page in a flood of logins, 99th percentile, in multiples of an idle server's", what: flood("default", "p99/idle"), atMost: 12},
		{name: "the same with GOMAXPROCS of cores + 1", what: flood("procs+1", "p99/idle"), atMost: 8},
		{name: "logins in a flood, as a share of Argon2id on all cores", what: flood("default", "logins/full"), atLeast: 0.85},
		{name: "the same with GOMAXPROCS of cores + 1", what: flood("procs+1", "logins/full"), atLeast: 0.9},
		{name: "memory in a flood, as a share of 1.25 times its hashes plus 32 MiB", what: flood("default", "MiB"), of: flood("default", "MiB-allowed"), atMost: 1},
	}
}

// bound returns the limit of a figure as text, and whether the figure keeps it.
func (t target) bound(figure float64) (text string, met bool) {
	if t.atLeast != 0 {
		return "at least " + short(t.atLeast), figure >= t.atLeast
	}
	return "at most " + short(t.atMost), figure <= t.atMost
}

// judge returns the cells of a row about the target. Some machines cannot
// measure every target.
func (t target) judge(m measured) (bound, figure, verdict string, err error) {
	figures := median
	if t.every && t.atLeast != 0 {
		figures = slices.Min[[]float64]
	} else if t.every {
		figures = slices.Max[[]float64]
	}
	got, err := m.figureBy(figures, t.what, t.of)
	if err != nil && !errors.Is(err, errNotMeasured) {
		return "", "", "", err
	}
	bound, met := t.bound(got)
	switch {
	case err != nil:
		return bound, "–", "not measured", nil
	case met:
		return bound, short(got), "met", nil
	default:
		return bound, short(got), "missed", nil
	}
}

func printTargets(out io.Writer, m measured) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, t := range targets() {
		bound, figure, verdict, err := t.judge(m)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.name, bound, figure, verdict); err != nil {
			return err
		}
	}
	return w.Flush()
}

// short formats a number with about three digits.
func short(x float64) string {
	digits := 2
	switch {
	case x == float64(int64(x)):
		digits = 0
	case x >= 100:
		digits = 0
	case x >= 10:
		digits = 1
	case x < 0.1:
		digits = 3
	}
	return fmt.Sprintf("%.*f", digits, x)
}
