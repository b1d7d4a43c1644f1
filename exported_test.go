package auth_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/api and docs/events.md anew")

// testdata/api has everything that the published packages of all modules export, one
// line each, so that a change of it is seen in a review. Write it anew by
//
//	go test -run TestExported . -update
func TestExported(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("testdata", "api")
	now := surfaces(t)
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, lines := range now {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	kept, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range kept {
		if now[file.Name()] == nil {
			t.Errorf("%s: there is no such package any more", file.Name())
		}
	}
	for name, lines := range now {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		old := strings.Split(strings.TrimSpace(string(text)), "\n")
		for _, line := range lines {
			if !slices.Contains(old, line) {
				t.Errorf("%s: new: %s", name, line)
			}
		}
		for _, line := range old {
			if !slices.Contains(lines, line) {
				t.Errorf("%s: gone: %s", name, line)
			}
		}
	}
	if t.Failed() {
		t.Log("if the change is wanted, add it to CHANGELOG.md and run: go test -run TestExported . -update")
	}
}

// surface finds each kind of declaration.
func TestSurface(t *testing.T) {
	t.Parallel()
	const source = `package p
type (
	T[A any] struct { B, c int; D string ` + "`json:\"d\"`" + `; *E; f }
	I interface { M(x int) error; E; n() }
	F func(int)
	hidden struct { X int }
)
func (t *T[A]) M(a, b A) (n int, err error) { return 0, nil }
func (t *T[A]) m() {}
func (h hidden) M() {}
func G[A any](a A) {}
func g() {}
const ( K F = iota; L; k )
const S, s = "x", 2
var V, W, v error
`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"const K F = iota // 0", "const L F = iota // 1", `const S = "x"`,
		"func G[A any](a A)", "method (t *T[A]) M(a, b A) (n int, err error)",
		"type F func(int)", "type I interface", "type I interface: E", "type I interface: M(x int) error", "type I interface: n() // not exported",
		"type T[A any] struct", "type T[A any] struct: *E", "type T[A any] struct: B int", "type T[A any] struct: D string `json:\"d\"`",
		"var V error", "var W error",
	}
	if got := surface(file); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// surfaces returns the surface of each published package, by the name of its file in
// testdata/api.
func surfaces(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"internal", "testdata", "examples", "bench", "docs", "node_modules"}, d.Name())):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil || file.Name.Name == "main" {
			return err
		}
		name := strings.ReplaceAll(filepath.ToSlash(filepath.Dir(path)), "/", "-") + ".txt"
		if name == "..txt" {
			name = "auth.txt"
		}
		all[name] = append(all[name], surface(file)...)
		return nil
	})
	if err != nil || len(all) < 13 {
		t.Fatalf("%d packages, %v", len(all), err)
	}
	for name := range maps.Keys(all) {
		slices.Sort(all[name])
		all[name] = slices.Compact(all[name]) // a system may have a file of its own
	}
	return all
}

// surface returns what a file exports, sorted.
func surface(file *ast.File) (lines []string) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			lines = append(lines, surfaceOfFunc(d)...)
		case *ast.GenDecl:
			var last *ast.ValueSpec // constants repeat it
			for i, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					lines = append(lines, surfaceOfType(spec)...)
				case *ast.ValueSpec:
					if len(spec.Values) > 0 || spec.Type != nil {
						last = spec
					}
					lines = append(lines, surfaceOfValues(d.Tok, spec, last, i)...)
				}
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func surfaceOfFunc(f *ast.FuncDecl) []string {
	of := strings.TrimSuffix(receiver(f), ".")
	if !f.Name.IsExported() || of != "" && !ast.IsExported(of) {
		return nil
	}
	bare := *f
	bare.Body, bare.Doc = nil, nil
	text := goText(&bare)
	if of != "" {
		text = "method" + strings.TrimPrefix(text, "func")
	}
	return []string{text}
}

func surfaceOfType(spec *ast.TypeSpec) []string {
	if !spec.Name.IsExported() {
		return nil
	}
	bare := *spec
	bare.Doc, bare.Comment = nil, nil
	var fields *ast.FieldList
	kind := ""
	switch of := spec.Type.(type) {
	case *ast.StructType:
		fields, kind = of.Fields, "struct"
	case *ast.InterfaceType:
		fields, kind = of.Methods, "interface"
	default:
		return []string{"type " + goText(&bare)}
	}
	bare.Type = ast.NewIdent(kind)
	head := "type " + goText(&bare)
	lines := []string{head}
	for _, field := range fields.List {
		tag := ""
		if field.Tag != nil {
			tag = " " + field.Tag.Value
		}
		text := goText(field.Type)
		if len(field.Names) == 0 && ast.IsExported(strings.TrimLeft(text[strings.LastIndexByte(text, '.')+1:], "*")) {
			lines = append(lines, head+": "+text+tag)
		}
		for _, name := range field.Names {
			switch {
			case kind == "interface" && !name.IsExported(): // nobody else can implement it
				lines = append(lines, head+": "+name.Name+strings.TrimPrefix(text, "func")+" // not exported")
			case kind == "interface":
				lines = append(lines, head+": "+name.Name+strings.TrimPrefix(text, "func"))
			case name.IsExported():
				lines = append(lines, head+": "+name.Name+" "+text+tag)
			}
		}
	}
	return lines
}

// surfaceOfValues has the values of constants, and the names of variables.
func surfaceOfValues(of token.Token, spec, last *ast.ValueSpec, index int) (lines []string) {
	for i, name := range spec.Names {
		if !name.IsExported() {
			continue
		}
		line := of.String() + " " + name.Name
		if last.Type != nil {
			line += " " + goText(last.Type)
		}
		if of == token.CONST && i < len(last.Values) {
			value := goText(last.Values[i])
			line += " = " + value
			if strings.Contains(value, "iota") {
				line += fmt.Sprintf(" // %d", index)
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// goText prints a piece of Go in one line.
func goText(node any) string {
	var b strings.Builder
	if err := printer.Fprint(&b, token.NewFileSet(), node); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
