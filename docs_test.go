package auth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

// Every test that docs/flask-login.md names is there, every behaviour has one or
// a reason, and so are the settings and methods it names.
func TestFlaskLoginDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("docs", "flask-login.md"))
	if err != nil {
		t.Fatal(err)
	}
	missing, err := missingTests(string(text), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range missing {
		t.Errorf("there is no %s", name)
	}
	for _, row := range emptyRows(string(text)) {
		t.Errorf("neither a test nor a reason: %s", row)
	}
	for _, name := range missingNames(string(text)) {
		t.Errorf("there is no %s", name)
	}
	if n := len(behaviours(string(text))); n < 100 {
		t.Errorf("%d behaviours", n)
	}
}

// Every test that a document names is there.
func TestNamedTests(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob(filepath.Join("docs", "*.md"))
	if err != nil || len(documents) < 15 {
		t.Fatalf("%d documents, %v", len(documents), err)
	}
	var all strings.Builder
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	missing, err := missingTests(all.String(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range missing {
		t.Errorf("there is no %s", name)
	}
}

// CONTRIBUTING.md lists every environment variable that tests read, except those that
// they set for processes of their own.
func TestVariablesAreListed(t *testing.T) {
	text, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		listed[row[1]] = true
	}
	read := variablesOfTests(t)
	for name, file := range read {
		if !listed[name] {
			t.Errorf("CONTRIBUTING.md does not list %s, which %s reads", name, file)
		}
	}
	for name := range listed {
		if _, ok := read[name]; !ok {
			t.Errorf("CONTRIBUTING.md lists %s, which no test reads", name)
		}
	}
	if len(read) < 7 {
		t.Errorf("%d variables", len(read))
	}
}

// variablesOfTests returns the environment variables that tests of all modules read, with
// the file that does. It knows the functions below, and names in constants of the package.
func variablesOfTests(t *testing.T) map[string]string {
	t.Helper()
	reads := regexp.MustCompile(`(?:os\.Getenv|os\.LookupEnv|\bNeed)\((?:[a-z]+, )?("[^"]+"|\w+)\)`)
	constants := regexp.MustCompile(`(?:^|\n)(?:const |\t)(\w+) += ("[A-Z_]+")`)
	sources := map[string]string{} // by directory
	files := map[string]string{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") && !strings.HasPrefix(path, filepath.Join("internal", "testapp")) || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		sources[filepath.Dir(path)] += string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]map[string]string{} // by directory and constant
	for dir, all := range sources {
		values[dir] = map[string]string{}
		for _, c := range constants.FindAllStringSubmatch(all, -1) {
			values[dir][c[1]] = c[2]
		}
	}
	read := map[string]string{}
	for path, text := range files {
		dir := filepath.Dir(path)
		all := sources[dir]
		for _, call := range reads.FindAllStringSubmatch(text, -1) {
			argument := call[1]
			if value, ok := values[dir][argument]; ok {
				if strings.Contains(all, argument+`+"=`) { // the tests set it
					continue
				}
				argument = value
			}
			name, err := strconv.Unquote(argument)
			if err != nil { // a parameter: the callers are found, too
				continue
			}
			if !strings.Contains(all, `"`+name+`=`) {
				read[name] = path
			}
		}
	}
	return read
}

// The checks find a link to nothing, and a name that does not exist.
func TestDocumentChecks(t *testing.T) {
	t.Run("flask-login.md", checkFlaskLogin)
	t.Run("security.md", checkSecurity)
}

func checkFlaskLogin(t *testing.T) {
	const text = "| a | `test_a` | `TestFlaskLoginDocument`, `ExampleNew`, `pages.TestLogin`, `Config.Session.Lifetime`, `Manager.User` |\n" +
		"| b | `test_b` | `TestNowhere`, `pages.TestFlaskLoginDocument`, `nowhere.TestConfig`, `Config.Nothing`, `Config.Session.Nothing`, `Manager.Nothing` |\n" +
		"| c | `test_c` |  |\n| D1 | d | later |\n| d | `test_d` | differs: why |\n"
	missing, err := missingTests(text, ".")
	if got := strings.Join(missing, " "); err != nil || got != "TestNowhere pages.TestFlaskLoginDocument nowhere.TestConfig" {
		t.Errorf("missing %q, %v", got, err)
	}
	if rows := emptyRows(text); len(rows) != 2 || !strings.HasPrefix(rows[0], "| c |") || !strings.HasPrefix(rows[1], "| D1 |") {
		t.Errorf("rows %q", rows)
	}
	if got := strings.Join(missingNames(text), " "); got != "Config.Nothing Config.Session.Nothing Manager.Nothing" {
		t.Errorf("names %q", got)
	}
}

// Every test, setting and method that docs/security.md and docs/limits.md name is there,
// and every promise has a test, or a reason why there can be none.
func TestSecurityDocument(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	limits, err := os.ReadFile(filepath.Join("docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	missing, err := missingTests(text+string(limits), ".")
	if err != nil {
		t.Fatal(err)
	}
	exported, err := missingExported(text+string(limits), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(missing, exported...) {
		t.Errorf("there is no %s", name)
	}
	for _, row := range faultyRows(text) {
		t.Error(row)
	}
	for title, least := range map[string]int{"Promises": 100, "OWASP ASVS": 186, "NIST": 25} {
		s := section(text, title)
		if n := len(rows(s)); s == "" || n < least {
			t.Errorf("%d rows in %q", n, title)
		}
	}
	seen := map[string]bool{}
	for _, row := range rows(section(text, "OWASP ASVS")) {
		if seen[row[0]] {
			t.Errorf("%s is there twice", row[0])
		}
		seen[row[0]] = true
	}
}

// docs/security.md lists the cryptography that the library uses.
func TestCryptographyIsListed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]string{}
	for name, file := range sources(t) {
		for _, p := range imported(file) {
			if strings.HasPrefix(p, "crypto/") || strings.HasPrefix(p, "golang.org/x/crypto/") || p == "github.com/alexedwards/argon2id" {
				used[p] = name
			}
		}
	}
	listed := map[string]bool{}
	for _, row := range rows(section(string(text), "Cryptography")) {
		name := strings.Trim(row[0], "` ")
		listed[name] = true
		if used[name] == "" {
			t.Errorf("%s is listed, and not used", name)
		}
	}
	for p, name := range used {
		if !listed[p] {
			t.Errorf("%s imports %s, which is not listed", name, p)
		}
	}
}

// docs/security.md lists the ready-made pages by what they ask for.
func TestPathsAreListed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, p, _ := pagesApp(t, nil)
	ways := section(string(text), "Ways in")
	for _, path := range p.Paths() {
		if !strings.Contains(ways, "`"+path+"`") {
			t.Errorf("%s is not listed", path)
		}
	}
}

func checkSecurity(t *testing.T) {
	const text = "## Promises\n| promise | test |\n|---|---|\n" +
		"| a | `TestSecurityDocument`, `pages.TestLogin`, `examples/custom-store.TestRun`, `examples/e2e.TestBrowser`, `FuzzParseNext` |\n" +
		"| b | `TestNowhere`, `pages.TestSecurityDocument`, `examples/nowhere.TestRun`, `FuzzNothing` |\n" +
		"| c |  |\n| d | later |\n| e | no test: why |\n" +
		"## OWASP ASVS\n| no. | level | about | state | how | test |\n|---|---|---|---|---|---|\n" +
		"| 1.1.1 | 1 | a | met | `Config.Session.Lifetime`, `ParseNext`, `pages.Config`, `pages.Config.FreshFor`, `Next.Redirect` | no test: why |\n" +
		"| 1.1.2 | 1 | b | met | `Config.Nothing`, `Config.Session.Nothing`, `Nothing`, `pages.Nothing`, `pages.Config.Nothing`, `Manager.Nothing` | |\n" +
		"| 1.1.3 | 1 | c | option | `UserStore.FindUser`, `Account.ID`, `EventLoginSucceeded`, `Manager.SetPassword` | later |\n" +
		"| 1.1.4 | 1 | d | application | | |\n| 1.1.5 | 1 | e | not yet | | |\n| 1.1.6 | 1 | f | maybe | | `TestSecurityDocument` |\n"
	missing, err := missingTests(text, ".")
	if got := strings.Join(missing, " "); err != nil || got != "TestNowhere pages.TestSecurityDocument examples/nowhere.TestRun FuzzNothing" {
		t.Errorf("missing tests %q, %v", got, err)
	}
	missing, err = missingExported(text, ".")
	if got := strings.Join(missing, " "); err != nil || got != "Config.Nothing Config.Session.Nothing Nothing pages.Nothing pages.Config.Nothing Manager.Nothing" {
		t.Errorf("missing names %q, %v", got, err)
	}
	var rows []string
	for _, fault := range faultyRows(text) {
		rows = append(rows, strings.Trim(strings.Fields(fault)[1], ":"))
	}
	if got := strings.Join(rows, " "); got != "c d 1.1.2 1.1.3 1.1.6" {
		t.Errorf("faulty rows %q", got)
	}
}

// testName is a test's name, with its directory unless that is the root.
const testName = "`(?:([a-z0-9/-]+)\\.)?((?:Test|Example|Fuzz)[A-Za-z_0-9]*)`"

// missingTests returns the tests that text names and that do not exist: in the
// directory before the dot, or in root.
func missingTests(text, root string) ([]string, error) {
	known := map[string]map[string]bool{} // by directory
	var missing []string
	for _, m := range regexp.MustCompile(testName).FindAllStringSubmatch(text, -1) {
		dir, name := m[1], m[2]
		if known[dir] == nil {
			tests, err := testsIn(filepath.Join(root, filepath.FromSlash(dir)))
			if err != nil {
				return nil, err
			}
			known[dir] = tests
		}
		if !known[dir][name] {
			missing = append(missing, strings.Trim(m[0], "`"))
		}
	}
	return missing, nil
}

// testsIn returns the functions of a directory's tests.
func testsIn(dir string) (map[string]bool, error) {
	pattern := "*_test.go"
	if filepath.Base(dir) == "storetest" { // its tests are what it exports
		pattern = "*.go"
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return nil, err
	}
	tests := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				tests[f.Name.Name] = true
			}
		}
	}
	return tests, nil
}

// behaviours returns the rows that are about one of theirs, or a defect.
func behaviours(text string) []string {
	return regexp.MustCompile(`(?m)^\|(?: D\d+ |[^|\n]+\| .test_)[^\n]*\|$`).FindAllString(text, -1)
}

// emptyRows returns those that say nothing of ours.
func emptyRows(text string) []string {
	named := regexp.MustCompile(testName)
	var empty []string
	for _, row := range behaviours(text) {
		cells := strings.Split(strings.Trim(row, "|"), "|")
		ours := cells[len(cells)-1]
		if !named.MatchString(ours) && !strings.Contains(ours, "differs") {
			empty = append(empty, row)
		}
	}
	return empty
}

// missingNames returns the settings and methods that text names and we do not
// have.
func missingNames(text string) []string {
	var missing []string
	for _, m := range regexp.MustCompile("`(Config|Core|Manager|Account|Login|Next)\\.([A-Za-z]+)(?:\\.([A-Za-z]+))?`").FindAllStringSubmatch(text, -1) {
		of := map[string]reflect.Type{
			"Config": reflect.TypeFor[*auth.Config](), "Core": reflect.TypeFor[*auth.Core](), "Manager": reflect.TypeFor[*auth.Manager[*Member]](),
			"Account": reflect.TypeFor[*auth.Account](), "Login": reflect.TypeFor[*auth.Login](), "Next": reflect.TypeFor[*auth.Next](),
		}[m[1]]
		_, found := of.MethodByName(m[2])
		if field, ok := of.Elem().FieldByName(m[2]); ok {
			found = m[3] == ""
			if group := field.Type; !found && group.Kind() == reflect.Struct { // Config.Session.Lifetime
				_, found = group.FieldByName(m[3])
			}
		}
		if !found {
			missing = append(missing, strings.Trim(m[0], "`"))
		}
	}
	return missing
}

// section returns what is under the heading of the second level that begins so,
// up to the next one.
func section(text, title string) string {
	_, after, ok := strings.Cut("\n"+text, "\n## "+title)
	if !ok {
		return ""
	}
	s, _, _ := strings.Cut(after, "\n## ")
	return s
}

// rows returns the cells of a text's tables, without their heads.
func rows(text string) (all [][]string) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		head := i+1 < len(lines) && strings.HasPrefix(lines[i+1], "|---")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || head {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for j := range cells {
			cells[j] = strings.TrimSpace(cells[j])
		}
		all = append(all, cells)
	}
	return all
}

// faultyRows returns the rows that do not say what shows them, or how it stands.
func faultyRows(text string) (faulty []string) {
	shown := regexp.MustCompile(testName + "|^no test: .")
	for _, title := range []string{"Promises", "OWASP ASVS", "NIST"} {
		for _, row := range rows(section(text, title)) {
			needsTest := true
			if title != "Promises" {
				if len(row) < 5 {
					faulty = append(faulty, "row "+strings.Join(row, " | ")+": too few cells")
					continue
				}
				switch row[len(row)-3] {
				case "met", "option":
				case "application", "not yet":
					needsTest = false
				default:
					faulty = append(faulty, "row "+row[0]+" is neither met, an option, the application's nor to come")
				}
			}
			if needsTest && !shown.MatchString(row[len(row)-1]) {
				faulty = append(faulty, "row "+row[0]+": no test shows it")
			}
		}
	}
	return faulty
}

// missingExported returns the names in text that look like exported ones of
// ours, and are none: of the package in the directory before the dot, or in root.
func missingExported(text, root string) ([]string, error) {
	known := map[string]map[string]bool{} // by directory
	var missing []string
	for _, m := range regexp.MustCompile("`(?:([a-z0-9/]+)\\.)?([A-Z][A-Za-z0-9]*(?:\\.[A-Z][A-Za-z0-9]*){0,2})`").FindAllStringSubmatch(text, -1) {
		dir, name := m[1], m[2]
		if regexp.MustCompile(testName).MatchString(m[0]) {
			continue
		}
		if known[dir] == nil {
			names, err := exportedIn(filepath.Join(root, filepath.FromSlash(dir)))
			if err != nil {
				return nil, err
			}
			known[dir] = names
		}
		if group, field, ok := strings.Cut(strings.TrimPrefix(name, "Config."), "."); ok && strings.HasPrefix(name, "Config.") { // Config.Session.Lifetime
			of, _ := reflect.TypeFor[auth.Config]().FieldByName(group)
			name = "Config." + group + "." + field
			if of.Type != nil {
				name = of.Type.Name() + "." + field
			}
		}
		if !known[dir][name] {
			missing = append(missing, strings.Trim(m[0], "`"))
		}
	}
	return missing, nil
}

// exportedIn returns what the files of a directory declare outside functions, and
// fields and methods as Type.Name, also those of embedded types.
func exportedIn(dir string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[receiver(d)+d.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					declare(names, spec)
				}
			}
		}
	}
	promote(names)
	return names, nil
}

// embeds is between the names of a type and one that it embeds.
const embeds = " embeds "

// promote adds the fields and methods of embedded types to the types that embed them.
func promote(names map[string]bool) {
	var promoted []string
	for name := range names {
		outer, inner, ok := strings.Cut(name, embeds)
		if !ok {
			continue
		}
		for other := range names {
			if member, ok := strings.CutPrefix(other, inner+"."); ok {
				promoted = append(promoted, outer+"."+member)
			}
		}
	}
	for _, name := range promoted {
		names[name] = true
	}
}

// receiver returns a method's type and a dot, or nothing for a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	of := f.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	switch generic := of.(type) {
	case *ast.IndexExpr:
		of = generic.X
	case *ast.IndexListExpr:
		of = generic.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}

// declare adds what a declaration declares.
func declare(names map[string]bool, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			names[name.Name] = true
		}
	case *ast.TypeSpec:
		names[spec.Name.Name] = true
		var fields *ast.FieldList
		switch of := spec.Type.(type) {
		case *ast.StructType:
			fields = of.Fields
		case *ast.InterfaceType:
			fields = of.Methods
		default:
			return
		}
		for _, field := range fields.List {
			for _, name := range field.Names {
				names[spec.Name.Name+"."+name.Name] = true
			}
			of := field.Type
			if pointer, ok := of.(*ast.StarExpr); ok {
				of = pointer.X
			}
			if embedded, ok := of.(*ast.Ident); ok && len(field.Names) == 0 {
				names[spec.Name.Name+embeds+embedded.Name] = true
			}
		}
	}
}

// sources parses what applications compile in, by path: all files of the modules
// except tests, what only tests use, tools and examples.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains([]string{"examples", "bench", "gen", "testdata", "testapp", "storetest", "authtest"}, d.Name()) || strings.HasPrefix(name, ".g") || name == ".ci"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files[filepath.ToSlash(name)], err = parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		return err
	})
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files
}

// imported are the paths that a file imports.
func imported(file *ast.File) (paths []string) {
	for _, i := range file.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// The library writes to the Logger that it was given, and to nothing else of the
// process; its randomness is crypto/rand's, and it starts no programs.
func TestWritesToItsLoggerOnly(t *testing.T) {
	t.Parallel()
	for name, file := range sources(t) {
		for _, p := range imported(file) {
			if slices.Contains([]string{"log", "math/rand", "math/rand/v2", "os/exec", "unsafe", "plugin"}, p) {
				t.Errorf("%s imports %s", name, p)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from, ok := selector.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch used := from.Name + "." + selector.Sel.Name; used {
			case "os.Stdout", "os.Stderr", "fmt.Print", "fmt.Printf", "fmt.Println", "slog.Info", "slog.Warn", "slog.Error", "slog.Debug":
				t.Errorf("%s uses %s", name, used)
			}
			return true
		})
	}
}
