package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-login/auth/internal/testapp"
	"github.com/go-sql-driver/mysql"
)

// databases make an empty database, and return its DSN.
var databases = map[string]func(*testing.T) string{
	"sqlite": func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "the app.db")
		check(t, os.WriteFile(path, nil, 0o600)) // an empty database
		return path
	},
	"postgres": func(t *testing.T) string {
		server := testapp.Need(t, "GOLOGIN_POSTGRES")
		dsn, err := url.Parse(server)
		check(t, err)
		name := "t_" + strings.ToLower(rand.Text())
		exec(t, "pgx", server, "CREATE SCHEMA "+name)
		t.Cleanup(func() { exec(t, "pgx", server, "DROP SCHEMA "+name+" CASCADE") })
		query := dsn.Query()
		query.Set("search_path", name)
		dsn.RawQuery = query.Encode()
		return dsn.String()
	},
	"mysql": func(t *testing.T) string {
		server := testapp.Need(t, "GOLOGIN_MARIADB")
		dsn, err := mysql.ParseDSN(server)
		check(t, err)
		dsn.DBName = "t_" + strings.ToLower(rand.Text())
		exec(t, "mysql", server, "CREATE DATABASE "+dsn.DBName)
		t.Cleanup(func() { exec(t, "mysql", server, "DROP DATABASE "+dsn.DBName) })
		return dsn.FormatDSN()
	},
}

var drivers = map[string]string{"sqlite": "sqlite", "postgres": "pgx", "mysql": "mysql"}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exec(t *testing.T, driver, dsn string, statements ...string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	check(t, err)
	defer func() { _ = db.Close() }()
	for _, statement := range statements {
		_, err = db.ExecContext(context.WithoutCancel(t.Context()), statement)
		check(t, err)
	}
}

// rows returns the keys and stamps of a table, a row a line.
func rows(t *testing.T, driver, dsn, query string) []string {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	check(t, err)
	defer func() { _ = db.Close() }()
	found, err := db.QueryContext(t.Context(), query)
	check(t, err)
	defer func() { _ = found.Close() }()
	var all []string
	for found.Next() {
		var key, stamp sql.NullString
		check(t, found.Scan(&key, &stamp))
		all = append(all, key.String+" "+stamp.String)
	}
	check(t, found.Err())
	return all
}

// TestBackfill runs the program on a table with other names of columns: a dry run writes
// nothing, the run fills, and a second run changes nothing.
func TestBackfill(t *testing.T) {
	t.Parallel()
	for engine, create := range databases {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dsn, driver := create(t), drivers[engine]
			exec(t, driver, dsn,
				`CREATE TABLE members (number INTEGER PRIMARY KEY, mail VARCHAR(200) NOT NULL, mail_key VARCHAR(200), mark VARCHAR(64) NOT NULL DEFAULT '')`,
				`INSERT INTO members (number, mail) VALUES (1, 'Susan@app.example'), (2, 'SUSAN@app.example'), (3, 'not an address'), (4, 'anna@app.example')`)
			const query = `SELECT mail_key, mark FROM members ORDER BY number`
			backfill := func(args ...string) string {
				t.Helper()
				var out, progress strings.Builder
				args = append([]string{"-engine", engine, "-table", "members", "-id", "number", "-username", "", "-email", "mail", "-email-key", "mail_key", "-stamp", "mark", "-batch", "2"}, args...)
				if err := run(t.Context(), args, dsn, &out, &progress); err != nil {
					t.Fatalf("%v\n%s", err, progress.String())
				}
				return out.String()
			}
			const problems = `no key for row "2": "SUSAN@app.example": auth: the address is taken: row "1" has it
no key for row "3": "not an address": auth: invalid email address
`
			compare := func(got, want string) {
				t.Helper()
				if got != want {
					t.Errorf("got\n%swant\n%s", got, want)
				}
			}
			compare(backfill("-dry-run"), problems+"4 rows read, 4 would be written, 2 names without a key\n")
			for i, row := range rows(t, driver, dsn, query) {
				if row != " " {
					t.Errorf("the dry run has filled row %d: %s", i+1, row)
				}
			}
			compare(backfill(), problems+"4 rows read, 4 written, 2 names without a key\n")
			filled := rows(t, driver, dsn, query)
			for i, key := range []string{"susan@app.example", "", "", "anna@app.example"} {
				if got, stamp, _ := strings.Cut(filled[i], " "); got != key || len(stamp) < 26 {
					t.Errorf("row %d: the key is %q, and the stamp %q", i+1, got, stamp)
				}
			}
			compare(backfill("-dsn", dsn), problems+"4 rows read, 0 written, 2 names without a key\n")
			if again := rows(t, driver, dsn, query); strings.Join(again, "\n") != strings.Join(filled, "\n") {
				t.Errorf("the second run has changed\n%q to\n%q", filled, again)
			}
		})
	}
}

// TestProgress: a large table says how far it is.
func TestProgress(t *testing.T) {
	t.Parallel()
	path := databases["sqlite"](t)
	exec(t, "sqlite", path, `CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT, username_key TEXT, stamp TEXT)`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 10500) INSERT INTO users (id, stamp) SELECT i, 'here' FROM n`)
	var out, progress strings.Builder
	check(t, run(t.Context(), []string{"-engine", "sqlite", "-email", ""}, path, &out, &progress))
	if progress.String() != "10000 rows read, 0 written\n" || out.String() != "10500 rows read, 0 written, 0 names without a key\n" {
		t.Errorf("%s\n%s", progress.String(), out.String())
	}
}

// TestErrors: an error says what is wrong, and does not print the password of the DSN.
func TestErrors(t *testing.T) {
	t.Parallel()
	empty, none := databases["sqlite"](t), filepath.Join(t.TempDir(), "none.db")
	for _, test := range []struct {
		dsn, args, want string
	}{
		{"", "-engine sqlite", "BACKFILL_DSN"},
		{empty, "", "-engine"},
		{empty, "-engine oracle", "unknown engine"},
		{empty, "-engine sqlite x", "belongs to no flag"},
		{empty, "-engine postgres postgres://susan:hunter2@db/app", "belongs to no flag"},
		{empty, "-engine postgres://susan:hunter2@db/app", "unknown engine"},
		{empty, "-engine sqlite", "no such table: users"},
		{empty, "-engine sqlite -table x;y", "UsersTable.Table"},
		{empty, "-engine sqlite -batch -1", "UsersTable.Batch"},
		{none, "-engine sqlite", "cannot open the database"},
		{"postgres://susan:hunter2@127.0.0.1:1/x", "-engine postgres", "cannot open the database"},
		{"susan:hunter2@tcp(127.0.0.1:1)/x", "-engine mysql", "cannot open the database"},
		{"susan:hunter2@nowhere", "-engine mysql", "cannot read the DSN"},
		{"susan:hunter2@tcp(127.0.0.1:1)/x?tls=nope", "-engine mysql", "cannot read the DSN"},
		{"mysql://susan:hunter2@127.0.0.1:1/x", "-engine mysql", "cannot read the DSN"},
		{"susan:hunter2@/x@127.0.0.1:1/x", "-engine mysql", "cannot read the DSN"},
		{"postgres://susan:hunter2%zz@127.0.0.1:1/x", "-engine postgres", "cannot read the DSN"},
		{"postgres://susan:hunter2#a@127.0.0.1:1/x", "-engine postgres", "cannot"},
		{"postgres://127.0.0.1:1/hunter2@x", "-engine postgres", "127.0.0.1:1"},
		{"user=susan password = hunter2 host=127.0.0.1 port=xx", "-engine postgres", "cannot read the DSN"},
		{"user=susan password='hunter2 host=127.0.0.1 port=1", "-engine postgres", "cannot read the DSN"},
		{"file:/nowhere/hunter2.db?mode=rw", "-engine sqlite", "cannot open the database"},
	} {
		var out, progress strings.Builder
		err := run(t.Context(), strings.Fields(test.args), test.dsn, &out, &progress)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error()+out.String()+progress.String(), "hunter2") {
			t.Errorf("%s %s: the error is %v, want one about %s", test.args, test.dsn, err, test.want)
		}
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("a wrong path makes a new file")
	}
	var out, usage strings.Builder
	if err := run(t.Context(), []string{"-h"}, "susan:hunter2@tcp(db)/app", &out, &usage); err == nil || strings.Contains(usage.String(), "hunter2") {
		t.Errorf("-h: %v, and prints\n%s", err, usage.String())
	}
}

// TestIDsAreQuoted: an ID that has control characters or a line break does not change what the
// program prints.
func TestIDsAreQuoted(t *testing.T) {
	t.Parallel()
	path := databases["sqlite"](t)
	exec(t, "sqlite", path, `CREATE TABLE users (id TEXT PRIMARY KEY, username TEXT, username_key TEXT, stamp TEXT)`,
		`INSERT INTO users (id, username) VALUES ('a' || char(10, 27) || 'b', 'susan'), ('c' || char(10), 'Susan')`)
	var out, progress strings.Builder
	check(t, run(t.Context(), []string{"-engine", "sqlite", "-email", ""}, path, &out, &progress))
	want := `no key for row "c\n": "Susan": auth: the username is taken: row "a\n\x1bb" has it` + "\n2 rows read, 2 written, 1 names without a key\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
