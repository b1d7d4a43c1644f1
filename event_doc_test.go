package auth_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-login/auth"
)

// A kindOfEvent is a constant.
type kindOfEvent struct {
	kind          auth.EventKind
	name, comment string
}

// kindsOfEvents returns the kinds of events that a file declares, in its order.
func kindsOfEvents(t *testing.T, path string) (kinds []kindOfEvent) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		constants, ok := d.(*ast.GenDecl)
		if !ok || constants.Tok != token.CONST {
			continue
		}
		for _, spec := range constants.Specs {
			value, ok := spec.(*ast.ValueSpec)
			if !ok || len(value.Values) != 1 || !strings.HasPrefix(value.Names[0].Name, "Event") {
				continue
			}
			text, ok := value.Values[0].(*ast.BasicLit)
			if !ok || text.Kind != token.STRING {
				continue
			}
			kind, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, kindOfEvent{auth.EventKind(kind), value.Names[0].Name, strings.Join(strings.Fields(value.Comment.Text()+value.Doc.Text()), " ")})
		}
	}
	return kinds
}

// eventFields has the levels and fields of events that have happened.
type eventFields struct {
	mu   sync.Mutex
	seen map[auth.EventKind]map[string]bool
}

func (f *eventFields) add(events []auth.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[auth.EventKind]map[string]bool{}
	}
	for _, e := range events {
		has := f.seen[e.Kind]
		if has == nil {
			has = map[string]bool{}
			f.seen[e.Kind] = has
		}
		has[levelOf(e)] = true
		value := reflect.ValueOf(e)
		for _, name := range eventOwnFields {
			if !value.FieldByName(name).IsZero() {
				has[name] = true
			}
		}
	}
}

// levelOf says how an event is logged: see Core.event.
func levelOf(e auth.Event) string {
	if e.Kind != auth.EventFactorSuspended && e.Err == nil || e.Kind == auth.EventAccessDenied && errors.Is(e.Err, auth.ErrNotLoggedIn) {
		return "info"
	}
	return "warning"
}

// eventOwnFields are fields that depend on the kind of an event.
var eventOwnFields = []string{"UserID", "ActorID", "Roles", "Method", "Err"}

// of returns those of names that an event of this kind has had.
func (f *eventFields) of(kind auth.EventKind, names ...string) string {
	var has []string
	for _, name := range names {
		if f.seen[kind][name] {
			has = append(has, name)
		}
	}
	return strings.Join(has, ", ")
}

// check compares the table of docs/events.md with the events that the provocations have
// caused, and writes the table anew if -update is set.
func (f *eventFields) check(t *testing.T) {
	t.Helper()
	kinds := kindsOfEvents(t, "event.go")
	var table strings.Builder
	table.WriteString("\n| kind | when | level | fields |\n|---|---|---|---|\n")
	for _, k := range kinds {
		if f.seen[k.kind] == nil {
			t.Logf("%s was not provoked in this run; docs/events.md is not compared", k.kind)
			return
		}
		fmt.Fprintf(&table, "| `%s` `%s` | %s | %s | %s |\n", k.kind, k.name, k.comment, f.of(k.kind, "info", "warning"), f.of(k.kind, eventOwnFields...))
	}
	table.WriteString("\n")
	const begin, end = "<!-- events:begin -->\n", "<!-- events:end -->\n"
	path := filepath.Join("docs", "events.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, closed := strings.Cut(rest, end)
	switch {
	case !ok || !closed:
		t.Errorf("%s does not have %s and %s", path, begin, end)
	case *update:
		if err := os.WriteFile(path, []byte(before+begin+table.String()+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	case old != table.String():
		have := strings.Split(old, "\n")
		for _, line := range strings.Split(table.String(), "\n") {
			if !slices.Contains(have, line) {
				t.Errorf("%s should have: %s", path, line)
			}
		}
		t.Errorf("%s is out of date: run go test -run TestEveryEventHasNoSecret . -update", path)
	}
}

// docs/events.md lists every kind of event of every package. What the first table says of
// each is compared in TestEveryEventHasNoSecret.
func TestEventsDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("docs", "events.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, row := range rows(string(text)) {
		listed[row[0]] = true
	}
	n := 0
	for dir, path := range map[string]string{"": "event.go", "oauth.": "oauth/oauth.go", "passkey.": "passkey/passkey.go", "totp.": "totp/totp.go"} {
		for _, k := range kindsOfEvents(t, filepath.FromSlash(path)) {
			n++
			row := "`" + string(k.kind) + "` `" + dir + k.name + "`"
			if !listed[row] {
				t.Errorf("there is no row | %s | %s |", row, k.comment)
			}
			delete(listed, row)
		}
	}
	for row := range listed {
		if strings.HasPrefix(row, "`") && strings.Contains(row, "` `") {
			t.Errorf("there is no event %s", row)
		}
	}
	if n < 90 {
		t.Errorf("%d kinds", n)
	}
	// Constants of other files would not be found above.
	for name, file := range sources(t) {
		if slices.Contains([]string{"event.go", "oauth/oauth.go", "passkey/passkey.go", "totp/totp.go"}, name) {
			continue
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if spec, ok := node.(*ast.ValueSpec); ok && spec.Type != nil && strings.HasSuffix(goText(spec.Type), "EventKind") && spec.Names[0].IsExported() {
				t.Errorf("%s has %s: add the file to this test", name, spec.Names[0])
			}
			return true
		})
	}
}
