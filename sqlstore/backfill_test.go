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

// backfillTwice fills a table, and checks that a second call finds nothing to do. It returns
// the key and the stamp of each row, in the order of their IDs, separated by a space.
func backfillTwice(t *testing.T, e engine, db *sql.DB, table sqlstore.UsersTable) (first sqlstore.Backfill, rows []string) {
	t.Helper()
	first, err := sqlstore.BackfillUsers(t.Context(), db, e.dialect, table)
	if err != nil {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, err := sqlstore.BackfillUsers(t.Context(), db, e.dialect, table); err != nil || again.Changed > 0 {
		t.Errorf("the second call: %+v, %v", again, err)
	}
	found, err := db.QueryContext(t.Context(), "SELECT username_key, stamp FROM users ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var key, stamp sql.NullString
		if err := found.Scan(&key, &stamp); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, key.String+" "+stamp.String)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return first, rows
}

// checkKeys checks the keys of all rows, and that each row has a stamp.
func checkKeys(t *testing.T, rows []string, keys ...string) {
	t.Helper()
	var got []string
	for _, row := range rows {
		key, stamp, _ := strings.Cut(row, " ")
		if len(stamp) < 26 {
			t.Errorf("the row with the key %q has the stamp %q", key, stamp)
		}
		got = append(got, key)
	}
	if !slices.Equal(got, keys) {
		t.Errorf("the keys are %q, want %q", got, keys)
	}
}

// TestBackfillTypes: names may be in columns of other types than text. SQLite keeps numbers in
// a column that is declared as STRING, and BLOBs in any column.
func TestBackfillTypes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e engine) {
		id, name, rows := "INTEGER", "VARCHAR(100)", []string{"(1, 'susan')", "(2, '12345')", "(3, NULL)", "(4, 'anna')"}
		switch e.dialect {
		case sqlstore.SQLite:
			name, rows[3] = "STRING", "(4, x'616e6e61')"
		case sqlstore.Postgres:
			name = "TEXT"
		case sqlstore.MySQL:
			name = "VARBINARY(20)"
		}
		db := e.newDB(t)
		table := users(t, db, "id "+id+" PRIMARY KEY, username "+name+", username_key VARCHAR(100), stamp VARCHAR(64)", "(id, username) VALUES "+strings.Join(rows, ", "))
		_, filled := backfillTwice(t, e, db, table)
		checkKeys(t, filled, "susan", "12345", "", "anna")
	})
}

// TestBackfillOrder: rows are read in the order of the database, also if the driver of MySQL
// writes parameters into the statements.
func TestBackfillOrder(t *testing.T) {
	t.Parallel()
	eachSetting(t, func(t *testing.T, e engine) {
		db := e.newDB(t)
		id := "VARCHAR(20)"
		if e.dialect == sqlstore.MySQL {
			id += " CHARACTER SET latin1 COLLATE latin1_general_ci" // the connection has another one
		}
		table := users(t, db, "id "+id+" PRIMARY KEY, username VARCHAR(100), username_key VARCHAR(100), stamp VARCHAR(64)",
			"(id, username) VALUES ('a', 'u1'), ('B', 'u2'), ('c', 'u3'), ('D', 'u4'), ('é', 'u5')")
		table.Batch = 2
		done, rows := backfillTwice(t, e, db, table)
		slices.Sort(rows)
		checkKeys(t, rows, "u1", "u2", "u3", "u4", "u5")
		if done.Rows != 5 {
			t.Errorf("%+v", done)
		}
	})
}

// TestBackfillNotWritten: a row that the database does not change is a problem. A row that
// changes between reading and writing is read again.
func TestBackfillNotWritten(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, when, then, key, problem string }{
		{"ignored", "1", "", "", "1 susan"},
		{"changed", "OLD.username = 'susan'", "UPDATE users SET username = 'Mabel' WHERE id = OLD.id;", "mabel", ""},
		{"changed to a name without a key", "OLD.username = 'susan'", "UPDATE users SET username = 'Mabel Lee' WHERE id = OLD.id;", "", "1 Mabel Lee"},
		{"changed each time", "1", "UPDATE users SET username = username || 'x' WHERE id = OLD.id;", "", "1 susanxxx"},
		{"deleted", "1", "DELETE FROM users WHERE id = OLD.id;", "none", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := engines()[0]
			db := e.newDB(t)
			table := users(t, db, "id INTEGER PRIMARY KEY, username TEXT, username_key TEXT, stamp TEXT", "(id, username) VALUES (1, 'susan')")
			trigger := "CREATE TRIGGER other BEFORE UPDATE OF username_key ON users WHEN " + test.when + " BEGIN " + test.then + " SELECT RAISE(IGNORE); END" //nolint:gosec // a trigger has no parameters
			if _, err := db.ExecContext(t.Context(), trigger); err != nil {
				t.Fatal(err)
			}
			done, rows := backfillTwice(t, e, db, table)
			key := "none"
			for _, row := range rows {
				key, _, _ = strings.Cut(row, " ")
			}
			problem := ""
			for _, p := range done.Problems {
				problem += p.ID + " " + p.Name
			}
			if key != test.key || problem != test.problem || done.Rows != 1 {
				t.Errorf("the rows are %q, after %+v", rows, done)
			}
		})
	}
}

// TestBackfillQuotesNames: names are taken as they are, and may be words of SQL. PostgreSQL has
// two tables whose names differ in capital letters only.
func TestBackfillQuotesNames(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e engine) {
		mark := "`"
		if e.dialect == sqlstore.Postgres {
			mark = `"`
		}
		db := e.newDB(t)
		table := users(t, db, "id INTEGER PRIMARY KEY, username VARCHAR(100), username_key VARCHAR(100), stamp VARCHAR(64)", "(id, username) VALUES (1, 'anna')")
		for _, statement := range []string{
			"CREATE TABLE 'Order' ('Group' INTEGER PRIMARY KEY, 'userName' VARCHAR(100), 'userNameKey' VARCHAR(100), 'Check' VARCHAR(64))",
			"INSERT INTO 'Order' ('Group', 'userName') VALUES (1, 1), (2, 2)",
		} {
			if _, err := db.ExecContext(t.Context(), strings.ReplaceAll(statement, "'", mark)); err != nil {
				t.Fatal(err)
			}
		}
		quoted := sqlstore.UsersTable{Table: "Order", ID: "Group", Username: "userName", UsernameKey: "userNameKey", Stamp: "Check"}
		if done, err := sqlstore.BackfillUsers(t.Context(), db, e.dialect, quoted); err != nil || done.Changed != 2 {
			t.Errorf("%+v, %v", done, err)
		}
		if e.dialect == sqlstore.Postgres {
			table.Table = "Users"
			if done, err := sqlstore.BackfillUsers(t.Context(), db, e.dialect, table); err == nil {
				t.Errorf("Users is taken for users: %+v", done)
			}
		}
		table.Table, table.Username = "users", "nickname" // SQLite would take "nickname" for a text
		if done, err := sqlstore.BackfillUsers(t.Context(), db, e.dialect, table); err == nil {
			t.Errorf("a column that does not exist: %+v", done)
		}
	})
}

// TestBackfillSchema: Table may have a schema.
func TestBackfillSchema(t *testing.T) {
	t.Parallel()
	e := engines()[0]
	db := e.newDB(t)
	table := users(t, db, "id INTEGER PRIMARY KEY, username TEXT, username_key TEXT, stamp TEXT", "(id, username) VALUES (1, 'susan')")
	table.Table = "main.users"
	_, rows := backfillTwice(t, e, db, table)
	checkKeys(t, rows, "susan")
	for _, wrong := range []string{".users", "main.", "a.b.c", "users`"} {
		table.Table = wrong
		if _, err := sqlstore.BackfillUsers(t.Context(), db, e.dialect, table); err == nil || !strings.Contains(err.Error(), "UsersTable.Table") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// TestBackfillID: NULL as an ID is an error, and a row with the ID "" has its name like others.
func TestBackfillID(t *testing.T) {
	t.Parallel()
	e := engines()[0]
	db := e.newDB(t)
	table := users(t, db, "id TEXT PRIMARY KEY, username TEXT, username_key TEXT, stamp TEXT", "(id, username) VALUES (NULL, 'susan'), (NULL, 'mabel'), ('z', 'anna')")
	table.Batch = 2
	if done, err := sqlstore.BackfillUsers(t.Context(), db, e.dialect, table); err == nil || !strings.Contains(err.Error(), "2 rows of `users` have NULL as `id`") || done.Changed > 0 {
		t.Errorf("%+v, %v", done, err)
	}
	db = e.newDB(t)
	table = users(t, db, "id TEXT PRIMARY KEY, username TEXT, username_key TEXT, stamp TEXT", "(id, username) VALUES ('', 'susan'), ('x', 'Susan')")
	table.DryRun = true
	dry, err := sqlstore.BackfillUsers(t.Context(), db, e.dialect, table)
	table.DryRun = false
	done, rows := backfillTwice(t, e, db, table)
	checkKeys(t, rows, "susan", "")
	for _, b := range []sqlstore.Backfill{dry, done} {
		if err != nil || len(b.Problems) != 1 || b.Problems[0].ID != "x" || !strings.Contains(fmt.Sprint(b.Problems[0].Err), `row "" has it`) {
			t.Errorf("%+v, %v", b, err)
		}
	}
}
