package sqlstore

import (
	"io/fs"
	"strings"
	"testing"
)

func TestStatement(t *testing.T) {
	const query = `UPDATE {prefix}users SET a = ? WHERE b = ? AND {prefix}users.c = 1`
	for g, want := range map[grammar]string{
		{}:               `UPDATE x_users SET a = ? WHERE b = ? AND x_users.c = 1`,
		{numbered: true}: `UPDATE x_users SET a = $1 WHERE b = $2 AND x_users.c = 1`,
	} {
		if got := g.statement(query, "x_"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestSchemaFiles checks the form of the schema files on which script relies.
func TestSchemaFiles(t *testing.T) {
	err := fs.WalkDir(schemas, "schema", func(path string, file fs.DirEntry, err error) error {
		if err != nil || file.IsDir() {
			return err
		}
		text, err := fs.ReadFile(schemas, path)
		if err != nil {
			return err
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if i := strings.IndexByte(line, ';'); i >= 0 && i != len(line)-1 {
				t.Errorf("%s: a semicolon inside a line: %s", path, line)
			}
		}
		if strings.Contains(string(text), "?") || !strings.HasSuffix(string(text), ";\n") {
			t.Errorf("%s has a ?, or does not end with a semicolon", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
