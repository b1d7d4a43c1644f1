package pages_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"html"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// source parses a file of the package.
func source(t *testing.T, name string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	check(t, err)
	return f
}

// fieldsOf returns the fields of a struct type in a file.
func fieldsOf(t *testing.T, f *ast.File, name string) []*ast.Field {
	t.Helper()
	var fields []*ast.Field
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.Name == name {
			if s, ok := spec.Type.(*ast.StructType); ok {
				fields = s.Fields.List
			}
		}
		return true
	})
	if len(fields) == 0 {
		t.Fatalf("no struct %s", name)
	}
	return fields
}

// TestDocs compares the package documentation with the pages: it lists every path with
// its methods, and Config.Templates lists every file.
func TestDocs(t *testing.T) {
	t.Parallel()
	s := newSite(t, withAll)
	provide(t, s.manager.Core)
	want := map[string]string{}
	for _, path := range s.pages.Paths() {
		r := s.client().do("OPTIONS", path, "")
		wantStatus(t, r, 405)
		want[path] = strings.ReplaceAll(strings.ReplaceAll(r.header.Get("Allow"), " HEAD,", ""), ", HEAD", "")
	}
	got := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^\t(GET)? *(POST)? +(/\S+)`).FindAllStringSubmatch(source(t, "pages.go").Doc.Text(), -1) {
		got[line[3]] = strings.Trim(line[1]+", "+line[2], ", ")
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the package documentation has the routes\n%v, want\n%v", got, want)
	}

	files, err := os.ReadDir("templates")
	check(t, err)
	for _, field := range fieldsOf(t, source(t, "config.go"), "Config") {
		if field.Names[0].Name != "Templates" {
			continue
		}
		doc := strings.Join(strings.Fields(field.Doc.Text()), " ")
		for _, file := range files {
			if !regexp.MustCompile(`\b` + regexp.QuoteMeta(file.Name()) + `\b`).MatchString(doc) {
				t.Errorf("the documentation of Templates does not name %s", file.Name())
			}
		}
		if n := len(regexp.MustCompile(`\w+\.(html|css)\b`).FindAllString(doc, -1)); n != len(files) {
			t.Errorf("the documentation of Templates names %d files, want %d", n, len(files))
		}
	}
}

// TestTemplates: every file in templates is used.
func TestTemplates(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("templates/*")
	check(t, err)
	if len(files) == 0 {
		t.Error("no templates")
	}
	for _, file := range files {
		templates := fstest.MapFS{filepath.Base(file): {Mode: os.ModeDir}} // a directory cannot be read as a file
		if _, err := pages.New(newManager(auth.Config{}).Core, pages.Config{Templates: templates}); err == nil {
			t.Errorf("%s is not read", file)
		}
	}
}

// TestDefaults: every text has a default, which is the one in its comment.
func TestDefaults(t *testing.T) {
	t.Parallel()
	comments := map[string]string{}
	var page strings.Builder
	page.WriteString(`{{define "content"}}`)
	for _, field := range fieldsOf(t, source(t, "texts.go"), "Texts") {
		name := field.Names[0].Name
		if comments[name] = field.Comment.Text(); name == "LoginFailed" {
			continue // TestLoginFailedText has this one
		}
		page.WriteString("<p id=\"text-" + name + "\">{{.Texts." + name + "}}</p>\n")
	}
	page.WriteString("{{end}}")
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Templates = fstest.MapFS{"error.html": {Data: []byte(page.String())}}
	})
	shown := regexp.MustCompile(`<p id="text-(\w+)">(.*)</p>`).FindAllStringSubmatch(s.client().get("/nowhere").body, -1)
	if len(shown) != len(comments)-1 {
		t.Errorf("%d texts, want %d", len(shown), len(comments)-1)
	}
	for _, text := range shown {
		if got := html.UnescapeString(text[2]); got == "" || !strings.HasPrefix(comments[text[1]], got) {
			t.Errorf("the default of %s is %q, but its comment is %q", text[1], got, comments[text[1]])
		}
	}
}
