package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCost counts the lines that authentication cost besides the store: those of
// auth.go, and those that are marked. It fails if a line about logins is not marked.
func TestCost(t *testing.T) {
	files, err := filepath.Glob("*.go")
	check(t, err)
	templates, err := filepath.Glob("templates/*.html")
	check(t, err)
	var (
		about   = regexp.MustCompile(`auth|manager|secret|\.User\b|\.Can\b|/login|/logout|/account`)
		mark    = regexp.MustCompile(`// auth|/\* auth`)
		comment = regexp.MustCompile(`^\s*//`)
	)
	added, changed := 0, 0
	for _, file := range append(files, templates...) {
		if strings.HasSuffix(file, "_test.go") || slices.Contains([]string{"store.go", "migrate.go"}, file) { // the store
			continue
		}
		text, err := os.ReadFile(file)
		check(t, err)
		for i, line := range strings.Split(code(file, string(text)), "\n") {
			switch {
			case strings.TrimSpace(line) == "" || comment.MatchString(line):
			case strings.Contains(line, "auth (changed)"):
				changed++
			case file == "auth.go" || mark.MatchString(line):
				added++
			case about.MatchString(line):
				t.Errorf("line %d of the code of %s is about logins and is not marked: %s", i+1, file, line)
			}
		}
	}
	if added > 40 || added < 30 {
		t.Errorf("%d lines were added, at most 40 are allowed", added)
	}
	readme, err := os.ReadFile("../README.md")
	check(t, err)
	if says := fmt.Sprintf("%d lines were added, and %d were changed", added, changed); !strings.Contains(string(readme), says) {
		t.Errorf("examples/README.md does not say %q", says)
	}
}

// code returns a file without its package clause and its imports, which editors
// write.
func code(file, text string) string {
	if _, after, ok := strings.Cut(text, "\nimport (\n"); ok && strings.HasSuffix(file, ".go") {
		_, text, _ = strings.Cut(after, "\n)\n")
	}
	return text
}
