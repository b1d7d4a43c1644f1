package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

// TestBackfillUsers: on each engine, a table that exists gets keys and stamps. A second call
// corrects what the old application has changed since, and changes no stamp.
func TestBackfillUsers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e engine) {
		db := e.newDB(t)
		exec := func(statement string) {
			t.Helper()
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		execFile := func(name string) {
			t.Helper()
			text, err := os.ReadFile(filepath.Join("testdata", "movein", name))
			if err != nil {
				t.Fatal(err)
			}
			for statement := range strings.SplitSeq(strings.TrimSuffix(string(text), ";\n"), ";\n") {
				exec(statement)
			}
		}
		var dryRun sqlstore.Backfill
		exec(`CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(100), email VARCHAR(200) NOT NULL, password_hash CHAR(60) NOT NULL DEFAULT '')`)
		exec(`INSERT INTO users (id, username, email) VALUES (1, 'Susan', 'Susan@App.example'), (2, 'susan', 'other@app.example'), (3, 'Mabel Lee', ''), (10, NULL, 'susan@app.EXAMPLE')`)
		for n := 100; n < 1200; n += 100 { // more than a batch
			var rows []string
			for i := n; i < n+100; i++ {
				rows = append(rows, fmt.Sprintf("(%d, 'U%d', 'u%d@app.example')", i, i, i))
			}
			exec(`INSERT INTO users (id, username, email) VALUES ` + strings.Join(rows, ", "))
		}
		execFile(string(e.dialect) + ".sql")
		table := sqlstore.UsersTable{Table: "users", ID: "id", Username: "username", UsernameKey: "username_key", Email: "email", EmailKey: "email_key", Stamp: "stamp"}
		// dry checks that a dry run writes nothing, and finds what a real run then finds.
		dry := func(want sqlstore.Backfill, err error) {
			t.Helper()
			if got := dryRun; err != nil || got.Rows != want.Rows || got.Changed != want.Changed || fmt.Sprint(got.Problems) != fmt.Sprint(want.Problems) {
				t.Errorf("the dry run finds\n%+v, and the real one\n%+v, %v", got, want, err)
			}
		}
		try := func() {
			t.Helper()
			table := table
			table.DryRun, table.Batch = true, 7
			var err error
			if dryRun, err = sqlstore.BackfillUsers(t.Context(), db, e.dialect, table); err != nil {
				t.Fatal(err)
			}
		}
		try()
		var written int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM users WHERE stamp <> '' OR username_key IS NOT NULL OR email_key IS NOT NULL`).Scan(&written); err != nil || written > 0 {
			t.Errorf("the dry run has written %d rows, %v", written, err)
		}
		var seen []int
		table.Progress = func(b sqlstore.Backfill) { seen = append(seen, b.Rows) }
		done, err := sqlstore.BackfillUsers(t.Context(), db, e.dialect, table)
		if err != nil || done.Rows != 1104 || done.Changed != 1104 {
			t.Fatalf("%+v, %v", done, err)
		}
		dry(done, err)
		if len(seen) < 3 || !slices.Equal(seen[:3], []int{500, 1000, 1104}) {
			t.Errorf("the progress was %v", seen)
		}
		execFile("indexes.sql")
		want := map[string]error{"2 susan": auth.ErrUsernameTaken, "3 Mabel Lee": auth.ErrInvalidUsername, "10 susan@app.EXAMPLE": auth.ErrEmailTaken}
		for _, p := range done.Problems {
			if !errors.Is(p.Err, want[p.ID+" "+p.Name]) {
				t.Errorf("%+v", p)
			}
		}
		if len(done.Problems) != len(want) {
			t.Errorf("%+v", done.Problems)
		}
		row := func(number int) (nick, mail sql.NullString, stamp string) {
			t.Helper()
			err := db.QueryRowContext(t.Context(), fmt.Sprintf(`SELECT username_key, email_key, stamp FROM users WHERE id = %d`, number)).Scan(&nick, &mail, &stamp)
			if err != nil {
				t.Fatal(err)
			}
			return nick, mail, stamp
		}
		nick, mail, first := row(1)
		if _, _, second := row(2); nick.String != "susan" || mail.String != "susan@app.example" || len(first) < 26 || first == second {
			t.Errorf("%v %v %q %q", nick, mail, first, second)
		}
		if nick, mail, _ := row(3); nick.Valid || mail.Valid {
			t.Errorf("a key for a name that has none: %v %v", nick, mail)
		}
		exec(`UPDATE users SET username = 'Zoe' WHERE id = 1`) // by the old application
		try()
		done, err = sqlstore.BackfillUsers(t.Context(), db, e.dialect, table)
		if err != nil || done.Changed != 2 || len(done.Problems) != 2 {
			t.Errorf("%+v, %v", done, err)
		}
		dry(done, err)
		if nick, _, stamp := row(1); nick.String != "zoe" || stamp != first {
			t.Errorf("%v %q", nick, stamp)
		}
		if nick, _, _ := row(2); nick.String != "susan" {
			t.Errorf("the name is free now, and the key is %v", nick)
		}
		if done, err = sqlstore.BackfillUsers(t.Context(), db, e.dialect, table); err != nil || done.Changed != 0 {
			t.Errorf("%+v, %v", done, err)
		}
		// A row takes the name that a row after it has given up.
		exec(`UPDATE users SET username = 'another' WHERE id = 1100`)
		exec(`UPDATE users SET username = 'U1100' WHERE id = 150`)
		try()
		if done, err = sqlstore.BackfillUsers(t.Context(), db, e.dialect, table); err != nil || len(done.Problems) != 2 || fmt.Sprint(dryRun.Problems) != fmt.Sprint(done.Problems) {
			t.Errorf("%+v, %v; the dry run finds %+v", done, err, dryRun)
		}
		if nick, _, _ := row(150); nick.String != "u1100" {
			t.Errorf("the name was handed over, and the key is %v", nick)
		}
		for what, wrong := range map[string]func(*sqlstore.UsersTable){
			"Table": func(t *sqlstore.UsersTable) { t.Table = "users; DROP TABLE users" }, "ID": func(t *sqlstore.UsersTable) { t.ID = "" },
			"Batch":       func(t *sqlstore.UsersTable) { t.Batch = -1 },
			"UsernameKey": func(t *sqlstore.UsersTable) { t.UsernameKey = "" }, "Stamp": func(t *sqlstore.UsersTable) { t.Stamp = "x'" },
			"neither": func(t *sqlstore.UsersTable) { t.Username, t.UsernameKey, t.Email, t.EmailKey = "", "", "", "" },
		} {
			bad := table
			wrong(&bad)
			if _, err := sqlstore.BackfillUsers(t.Context(), db, e.dialect, bad); err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// users makes a table of users that has these rows, and returns what BackfillUsers is to fill.
func users(t *testing.T, db *sql.DB, columns, values string) sqlstore.UsersTable {
	t.Helper()
	for _, statement := range []string{"CREATE TABLE users (" + columns + ")", "INSERT INTO users " + values} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return sqlstore.UsersTable{Table: "users", ID: "id", Username: "username", UsernameKey: "username_key", Stamp: "stamp"}
}

// TestBackfillOverwritesNothing: a column that is written cannot be that of another field.
func TestBackfillOverwritesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e engine) {
		db := e.newDB(t)
		table := users(t, db, `id INTEGER PRIMARY KEY, username VARCHAR(100), username_key VARCHAR(100), email VARCHAR(200), email_key VARCHAR(200), stamp VARCHAR(64)`,
			`(id, username, email) VALUES (1, 'susan', 'not an address')`)
		table.Email, table.EmailKey = "email", "email_key"
		for _, wrong := range []func(*sqlstore.UsersTable){
			func(t *sqlstore.UsersTable) { t.EmailKey = "email" },
			func(t *sqlstore.UsersTable) { t.EmailKey = "EMAIL" },
			func(t *sqlstore.UsersTable) { t.EmailKey = "username" },
			func(t *sqlstore.UsersTable) { t.EmailKey = "username_key" },
			func(t *sqlstore.UsersTable) { t.EmailKey = "stamp" },
			func(t *sqlstore.UsersTable) { t.UsernameKey = "id" },
			func(t *sqlstore.UsersTable) { t.Stamp = "email" },
		} {
			bad := table
			wrong(&bad)
			if done, err := sqlstore.BackfillUsers(t.Context(), db, e.dialect, bad); err == nil || !strings.Contains(err.Error(), "a column of its own") || done.Changed > 0 {
				t.Errorf("%+v: %+v, %v", bad, done, err)
			}
		}
		table.ID = "username" // it is only read
		if done, err := sqlstore.BackfillUsers(t.Context(), db, e.dialect, table); err != nil || done.Changed != 1 {
			t.Errorf("%+v, %v", done, err)
		}
	})
}

// TestBackfillKeepsProblems: if the table is read once more and that fails, the problems of the
// time before are returned.
func TestBackfillKeepsProblems(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e engine) {
		db := e.newDB(t)
		table := users(t, db, `id INTEGER PRIMARY KEY, username VARCHAR(100), username_key VARCHAR(100), stamp VARCHAR(64)`,
			`(id, username) VALUES (1, 'susan'), (2, 'Susan')`)
		ctx, cancel := context.WithCancel(t.Context())
		table.Progress = func(sqlstore.Backfill) { cancel() }
		done, err := sqlstore.BackfillUsers(ctx, db, e.dialect, table)
		if !errors.Is(err, context.Canceled) || len(done.Problems) != 1 || done.Problems[0].ID != "2" {
			t.Errorf("%+v, %v", done, err)
		}
	})
}
