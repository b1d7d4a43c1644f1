package auth_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The files of package auth are in layers. A declaration uses only declarations of its
// own file, of its own layer, and of lower layers. docs/architecture.md lists the
// layers. No files form a cycle.
func TestLayers(t *testing.T) {
	t.Parallel()
	layers := layersOf(t, "docs/architecture.md")
	layer, listed := map[string]int{}, 0
	for i, files := range layers {
		for _, file := range files {
			if _, twice := layer[file]; twice {
				t.Errorf("docs/architecture.md lists %s twice", file)
			}
			layer[file] = i
			listed++
		}
	}
	uses := usesOf(t, ".")
	for file := range uses {
		if _, ok := layer[file]; !ok {
			t.Errorf("docs/architecture.md does not list %s", file)
		}
		delete(layer, file)
	}
	for file := range layer {
		if _, err := os.Stat(file); err != nil {
			t.Errorf("docs/architecture.md lists %s, which does not exist", file)
		}
	}
	if listed < 20 {
		t.Fatalf("docs/architecture.md lists %d files", listed)
	}
	for _, fault := range upwards(layers, uses) {
		t.Error(fault)
	}
	for _, fault := range cycles(uses) {
		t.Error(fault)
	}
}

// Tests the test: it finds such faults.
func TestLayersCheck(t *testing.T) {
	t.Parallel()
	uses := map[string]map[string]string{
		"top.go":    {"middle.go": "A uses B"},
		"middle.go": {"top.go": "B uses A"},
		"ground.go": {},
	}
	if faults := upwards([][]string{{"top.go"}, {"middle.go"}, {"ground.go"}}, uses); len(faults) != 1 || !strings.Contains(faults[0], "B uses A") {
		t.Errorf("upwards: %q", faults)
	}
	if faults := cycles(uses); len(faults) != 1 || !strings.Contains(faults[0], "middle.go top.go") {
		t.Errorf("cycles: %q", faults)
	}
}

// layersOf reads the list of layers from the code block below the heading "The layers".
// All words in a line that end in .go are the files of one layer.
func layersOf(t *testing.T, path string) (layers [][]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n## The layers\n")
	_, block, _ := strings.Cut(after, "\n```\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !found || !closed {
		t.Fatalf("%s has no list of layers", path)
	}
	for line := range strings.Lines(block) {
		var files []string
		for _, word := range strings.Fields(line) {
			if strings.HasSuffix(word, ".go") {
				files = append(files, word)
			}
		}
		if len(files) > 0 {
			layers = append(layers, files)
		}
	}
	return layers
}

// usesOf returns, for each file of a package, the files that it uses, each with an
// example.
func usesOf(t *testing.T, dir string) map[string]map[string]string {
	t.Helper()
	fset := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	uses := map[string]map[string]string{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "_plan9.go") {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
		uses[filepath.Base(path)] = map[string]string{}
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", exportsOf(t, dir))}
	pkg, err := config.Check("auth", fset, files, info)
	if err != nil {
		t.Fatal(err)
	}
	at := func(pos token.Pos) string { return filepath.Base(fset.Position(pos).Filename) }
	for ident, object := range info.Uses {
		if object.Pkg() != pkg || !object.Pos().IsValid() {
			continue
		}
		if from, to := at(ident.Pos()), at(object.Pos()); from != to {
			uses[from][to] = fmt.Sprintf("%s uses %s", fset.Position(ident.Pos()), object.Name())
		}
	}
	return uses
}

// exportsOf returns a function that opens the export data of the package's imports.
func exportsOf(t *testing.T, dir string) func(path string) (io.ReadCloser, error) {
	t.Helper()
	list := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", ".")
	list.Dir, list.Stderr = dir, os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	for line := range bytes.Lines(out) {
		path, file, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		exports[path] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
}

// upwards returns the uses that go from a layer to one above it.
func upwards(layers [][]string, uses map[string]map[string]string) (faults []string) {
	layer := map[string]int{}
	for i, files := range layers {
		for _, file := range files {
			layer[file] = i
		}
	}
	for from, files := range uses {
		for to, example := range files {
			if layer[to] < layer[from] {
				faults = append(faults, fmt.Sprintf("%s is below %s: %s", from, to, example))
			}
		}
	}
	slices.Sort(faults)
	return faults
}

// cycles returns the sets of files that use each other.
func cycles(uses map[string]map[string]string) (faults []string) {
	reach := map[string]map[string]bool{}
	for from := range uses {
		reach[from] = map[string]bool{}
		var walk func(file string)
		walk = func(file string) {
			for to := range uses[file] {
				if !reach[from][to] {
					reach[from][to] = true
					walk(to)
				}
			}
		}
		walk(from)
	}
	seen := map[string]bool{}
	for from := range uses {
		if !reach[from][from] || seen[from] {
			continue
		}
		var cycle []string
		for to := range reach[from] {
			if reach[to][from] {
				cycle, seen[to] = append(cycle, to), true
			}
		}
		slices.Sort(cycle)
		faults = append(faults, "a cycle of files: "+strings.Join(cycle, " "))
	}
	slices.Sort(faults)
	return faults
}
