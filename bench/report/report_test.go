package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/go-login/auth/internal/testapp"
)

const root = "../.."

// The picture and the tables in the repository must be those that the saved
// measurements give.
func TestDocuments(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, raw))
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	files, err := documents(root, m)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is another one (%v): run go run ./bench/report -from %s", name, err, raw)
		}
	}
	if len(files) != 2 {
		t.Errorf("%d files", len(files))
	}
}

// docs/performance.md names the versions that were measured.
func TestVersions(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	required, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`github\.com/\S+ v\d+\.\d+\.\d+`).FindAllString(string(text), -1)
	for _, version := range named {
		if !strings.Contains(string(required), "\t"+version+"\n") {
			t.Errorf("bench/go.mod does not have %s", version)
		}
	}
	if len(named) != 4 {
		t.Errorf("%d versions: %q", len(named), named)
	}
}

const sample = `go: go1.26
goos: linux
cpu: some

round: 1
BenchmarkA/x-2   10   300 ns/op   5 allocs/op
BenchmarkA/y-2   10   200 ns/op   3 allocs/op
BenchmarkA/bare-2   10   100 ns/op   1 allocs/op

round: 2
BenchmarkA/x-2   10   900 ns/op   5 allocs/op
BenchmarkA/y-2   10   500 ns/op   3 allocs/op
BenchmarkA/bare-2   10   100 ns/op   1 allocs/op

round: 3
BenchmarkA/x-2   10   400 ns/op   7 allocs/op
BenchmarkA/y-2   10   200 ns/op   3 allocs/op
BenchmarkA/bare-2   10   100 ns/op   1 allocs/op
`

// A figure is the median of the ratios within a round, each without the
// handler.
func TestFigure(t *testing.T) {
	m, err := parse(strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	x := value{"A/x", "sec/op", "A/bare"}
	y := value{"A/y", "sec/op", "A/bare"}
	for _, c := range []struct {
		what, of value
		want     float64
	}{
		{x, y, 2}, // the median of 2, 2, 3
		{x, value{name: "A/y", unit: "sec/op"}, 1.5},
		{value{"A/x", "allocs/op", "A/bare"}, value{}, 4},
	} {
		if got, err := m.figure(c.what, c.of); err != nil || math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v of %v: %v, %v, want %v", c.what, c.of, got, err, c.want)
		}
	}
	for _, v := range []value{{name: "A/z", unit: "sec/op"}, {name: "A/x", unit: "trips/op"}, {"A/x", "sec/op", "A/z"}} {
		if _, err := m.figure(v, value{}); !errors.Is(err, errNotMeasured) {
			t.Errorf("%v: %v", v, err)
		}
		if _, err := m.figure(x, v); !errors.Is(err, errNotMeasured) {
			t.Errorf("of %v: %v", v, err)
		}
	}
	if m.machine["cpu"] != "some" || m.machine["processors"] != "2" {
		t.Errorf("machine %v", m.machine)
	}
	m.rounds = m.rounds[:2]
	if got, err := m.figure(value{name: "A/x", unit: "sec/op"}, value{}); err != nil || math.Abs(got-600e-9) > 1e-15 {
		t.Errorf("of an even number: %v, %v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "go: go1.26\n", "BenchmarkA 10 300 ns/op\n", "round: x\nBenchmarkA 10 300 ns/op\n", "round: 1\nBenchmarkA 10 x ns/op\n"} {
		if _, err := parse(strings.NewReader(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestBound(t *testing.T) {
	for _, c := range []struct {
		target target
		figure float64
		text   string
		met    bool
	}{
		{target{atMost: 1.2}, 1.2, "at most 1.20", true},
		{target{atMost: 1.2}, 1.21, "at most 1.20", false},
		{target{atMost: 0}, 0, "at most 0", true},
		{target{atLeast: 0.9}, 0.9, "at least 0.90", true},
		{target{atLeast: 0.9}, 0.89, "at least 0.90", false},
	} {
		if text, met := c.target.bound(c.figure); text != c.text || met != c.met {
			t.Errorf("%+v with %v: %q, %v", c.target, c.figure, text, met)
		}
	}
}

func TestSplice(t *testing.T) {
	got, err := splice([]byte("before\n"+begin+"old\n"+end+"after\n"), "new\n")
	if want := "before\n" + begin + "\nnew\n\n" + end + "after\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := splice([]byte("before\n"+begin+"old\n"), "new\n"); err == nil {
		t.Error("no end, and no error")
	}
}

// With every, the worst round decides, and not the median.
func TestEveryRound(t *testing.T) {
	m, err := parse(strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	y := value{name: "A/y", unit: "sec/op"} // 200, 500 and 200 ns
	for _, c := range []struct {
		target target
		want   string
	}{
		{target{what: y, of: value{name: "A/bare", unit: "sec/op"}, atMost: 3}, "met"},
		{target{what: y, of: value{name: "A/bare", unit: "sec/op"}, atMost: 3, every: true}, "missed"},
		{target{what: y, of: value{name: "A/x", unit: "sec/op"}, atLeast: 0.52}, "met"},
		{target{what: y, of: value{name: "A/x", unit: "sec/op"}, atLeast: 0.52, every: true}, "missed"},
	} {
		if _, figure, verdict, err := c.target.judge(m); verdict != c.want || err != nil {
			t.Errorf("%+v: %s, %s, %v", c.target, figure, verdict, err)
		}
	}
}

// The command prints a row for each target from the saved measurements, which may be older
// than a target. With an empty -o it writes nothing.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-from", filepath.Join(root, raw), "-o", ""}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(targets()) {
		t.Errorf("%d lines: %s", len(lines), &out)
	}
	for _, line := range lines {
		if !strings.HasSuffix(line, "  met") && !strings.HasSuffix(line, "  missed") && !strings.HasSuffix(line, "  not measured") {
			t.Errorf("%q", line)
		}
	}
}

// The command writes the measurements of -from into a repository that has the
// marks, and nothing into one without them.
func TestRunWrites(t *testing.T) {
	dir := t.TempDir()
	args := []string{"-from", filepath.Join(root, raw), "-o", dir}
	if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
		t.Error("no documents, and no error")
	}
	if err := os.Mkdir(filepath.Join(dir, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, document), []byte("# A title\n"+begin+end), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), args, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(filepath.Join(dir, picture))
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(svg))
	for err == nil {
		_, err = d.Token()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("the picture is no XML: %v", err)
	}
	for _, want := range []string{"<title", "<desc", "go-pkgz/auth", "prefers-color-scheme"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the picture has no %s", want)
		}
	}
}

// The benchmarks yield every figure: after two rounds, as short as possible,
// every target has one. The flood takes long and is left out, which the command
// reports.
func TestMeasure(t *testing.T) {
	testapp.NeedsSlow(t)
	var short []pass
	for _, p := range passes("1x") {
		if p.dir == "bench/flood" {
			continue
		}
		short = append(short, pass{p.dir, p.pattern, "1x"})
	}
	text, err := measure(t.Context(), 2, short, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets() {
		_, figure, verdict, err := target.judge(m)
		if left := strings.HasPrefix(target.what.name, "Flood/"); err != nil || left != (verdict == "not measured") || left != (figure == "–") {
			t.Errorf("%s: %s, %s, %v", target.name, figure, verdict, err)
		}
	}
	if len(m.rounds) != 2 || m.machine["goos"] != runtime.GOOS || m.machine["go"] != runtime.Version() {
		t.Errorf("%d rounds on %v", len(m.rounds), m.machine)
	}
}
