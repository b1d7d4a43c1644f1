package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// A pass is one run of benchmarks of a package in a round. Benchmarks that hash
// passwords take long, so their number of iterations is fixed. The others run
// for the given time.
type pass struct {
	dir, pattern, benchtime string
}

func passes(benchtime string) []pass {
	return []pass{
		{"bench", "^Benchmark(Request|Remember|HTTP|Store)$", benchtime},
		{"bench", "^Benchmark(Login|Reset|Paths)$", "8x"},
		{"bench", "^BenchmarkLogins$", "128x"},
		{"bench/flood", `^BenchmarkFlood$/^(default|procs\+1)$`, "1x"},
	}
}

// measure runs the benchmarks and returns their output.
func measure(ctx context.Context, rounds int, passes []pass, progress io.Writer) ([]byte, error) {
	dir, err := os.MkdirTemp("", "report")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binaries := map[string]string{} // by directory
	for i, p := range passes {
		if binaries[p.dir] != "" {
			continue
		}
		binaries[p.dir] = filepath.Join(dir, strconv.Itoa(i)+".test")
		build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binaries[p.dir], "github.com/go-login/auth/"+p.dir)
		if output, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, output)
		}
	}
	all := bytes.NewBufferString("go: " + runtime.Version() + "\n")
	for round := range rounds {
		fmt.Fprintf(progress, "round %d of %d\n", round+1, rounds)
		for i, p := range passes {
			bench := exec.CommandContext(ctx, binaries[p.dir], "-test.run=^$", "-test.bench="+p.pattern, "-test.benchtime="+p.benchtime, "-test.timeout=30m")
			bench.Dir, bench.Stderr = dir, progress
			output, err := bench.Output()
			if err != nil {
				return nil, fmt.Errorf("%s: %w: %s", p.pattern, err, output)
			}
			if i == 0 && round > 0 {
				fmt.Fprintf(all, "\nround: %d\n", round+1)
			}
			for line := range strings.Lines(string(output)) {
				switch {
				case strings.HasPrefix(line, "Benchmark"):
					all.WriteString(line)
				case round == 0 && i == 0 && strings.Contains(line, ": "): // a line about the machine
					all.WriteString(line)
					if strings.HasPrefix(line, "cpu: ") {
						all.WriteString("\nround: 1\n")
					}
				}
			}
		}
	}
	return all.Bytes(), nil
}

// measured holds the results of the benchmarks.
type measured struct {
	rounds  []map[string]map[string]float64 // by the benchmark's name, then by unit
	machine map[string]string               // the lines about the machine
}

func parse(text io.Reader) (measured, error) {
	m := measured{machine: map[string]string{}}
	reader := benchfmt.NewReader(bufio.NewReader(text), raw)
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			return m, record
		case *benchfmt.Result:
			round, err := strconv.Atoi(record.GetConfig("round"))
			if err != nil || round < 1 || round > 1000 {
				return m, fmt.Errorf("%s: no valid \"round: \" line before this benchmark; measure again", record.Name)
			}
			for len(m.rounds) < round {
				m.rounds = append(m.rounds, map[string]map[string]float64{})
			}
			for _, c := range record.Config {
				m.machine[c.Key] = string(c.Value)
			}
			name, processors := record.Name.Full(), ""
			if at := bytes.LastIndexByte(name, '-'); at >= 0 {
				if _, err := strconv.Atoi(string(name[at+1:])); err == nil {
					name, processors = name[:at], string(name[at+1:])
				}
			}
			m.machine["processors"] = cmp.Or(processors, "1")
			values := map[string]float64{}
			for _, v := range record.Values {
				values[v.Unit] = v.Value
			}
			m.rounds[round-1][string(name)] = values
		}
	}
	if err := reader.Err(); err != nil {
		return m, err
	}
	if len(m.rounds) == 0 {
		return m, errors.New("there are no benchmark results; measure without -from, or name a file with results")
	}
	return m, nil
}

// A value is the result of a benchmark, minus the result of another one. The
// other one is usually the handler without a library.
type value struct {
	name, unit, less string
}

// errNotMeasured means that a benchmark has no result, for example because it
// needs a server.
var errNotMeasured = errors.New("not measured")

func (v value) in(round map[string]map[string]float64) (float64, error) {
	got, ok := round[v.name][v.unit]
	if !ok {
		return 0, fmt.Errorf("%s in %s: %w", v.name, v.unit, errNotMeasured)
	}
	if v.less == "" {
		return got, nil
	}
	less, ok := round[v.less][v.unit]
	if !ok {
		return 0, fmt.Errorf("%s in %s: %w", v.less, v.unit, errNotMeasured)
	}
	return got - less, nil
}

// figure returns the median over the rounds of a value, or of its ratio to
// another value in the same round.
func (m measured) figure(what, of value) (float64, error) { return m.figureBy(median, what, of) }

// figureBy is figure with another choice among the rounds than the median.
func (m measured) figureBy(choose func([]float64) float64, what, of value) (float64, error) {
	var all []float64
	for _, round := range m.rounds {
		got, err := what.in(round)
		if err != nil {
			return 0, err
		}
		if of != (value{}) {
			base, err := of.in(round)
			if err != nil {
				return 0, err
			}
			got /= base
		}
		all = append(all, got)
	}
	return choose(all), nil
}

func median(all []float64) float64 {
	slices.Sort(all)
	middle := len(all) / 2
	if len(all)%2 == 0 {
		return (all[middle-1] + all[middle]) / 2
	}
	return all[middle]
}
