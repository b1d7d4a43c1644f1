package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every sample of Go or SQL in the documentation must be part of a file that is compiled, or
// runs in a test, letter by letter. The comment before the sample names the file.
func TestSamplesAreCompiled(t *testing.T) {
	root := filepath.Join("..", "..")
	var documents []string
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	named := regexp.MustCompile("(?s)<!-- ([^\n]+) -->\n```(?:go|sql)\n(.*?)```")
	samples := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		found := named.FindAllStringSubmatch(string(text), -1)
		if all := strings.Count(string(text), "```go\n") + strings.Count(string(text), "```sql\n"); all != len(found) {
			t.Errorf("%s: %d samples, of which %d name their file", document, all, len(found))
		}
		for _, sample := range found {
			samples++
			source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(sample[1])))
			if err != nil {
				t.Errorf("%s: %v", document, err)
				continue
			}
			if !strings.Contains(string(source), sample[2]) {
				t.Errorf("%s: a sample is not in %s:\n%s", document, sample[1], sample[2])
			}
		}
	}
	if samples == 0 {
		t.Error("no samples")
	}
}
