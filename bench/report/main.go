// Command report measures the library and others, prints its targets, and
// writes the tables in docs/performance.md and the picture in README.md:
//
//	go run ./bench/report
//
// It builds the benchmarks once, and runs all of them in every round, so that
// compared figures are measured within seconds of each other. A figure is the
// median of the ratios within a round. A missed target is printed as missed; it
// is not an error.
//
// The measurements are saved in docs/performance/bench.txt, in the format of go
// test -bench. They can be read again without measuring:
//
//	go run ./bench/report -from docs/performance/bench.txt
//
// Servers are named in the environment; see CONTRIBUTING.md.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(progress)
	rounds := flags.Int("rounds", 11, "how often each benchmark is measured")
	benchtime := flags.String("benchtime", "100ms", "how long a benchmark runs in a round, except those that hash passwords")
	root := flags.String("o", ".", "the repository in which to write the documents; if empty, none are written")
	from := flags.String("from", "", "read the measurements from this file instead of measuring")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var text []byte
	var err error
	if *from != "" {
		text, err = os.ReadFile(*from)
	} else {
		text, err = measure(ctx, *rounds, passes(*benchtime), progress)
	}
	if err != nil {
		return err
	}
	m, err := parse(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if err := printTargets(out, m); err != nil {
		return err
	}
	if *root == "" {
		return nil
	}
	files, err := documents(*root, m)
	if err != nil {
		return err
	}
	if *from == "" {
		files[filepath.Join(*root, raw)] = text
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(progress, "wrote", name)
	}
	return nil
}
