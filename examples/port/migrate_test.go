package main

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// oldDB returns a file with a database of the old application, after these
// statements.
func oldDB(t *testing.T, statements ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stockroom.db")
	db, err := sql.Open("sqlite", "file:"+file)
	check(t, err)
	defer func() { _ = db.Close() }()
	for _, statement := range append([]string{oldSchema}, statements...) {
		_, err := db.ExecContext(t.Context(), statement)
		check(t, err)
	}
	return file
}

// opened migrates and opens a database.
func opened(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := openDB(t.Context(), file)
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestMigrate: the rows keep their ids, hashes, roles and dates, and get a Stamp
// each. A second start changes nothing.
func TestMigrate(t *testing.T) {
	file := oldDB(t)
	db := opened(t, file)
	load := func(id string) User {
		user, err := userStore{db}.LoadUser(t.Context(), id)
		check(t, err)
		return *user
	}
	susan, jacob := load("1"), load("2")
	if susan.Username != "Susan" || susan.Email != "susan@app.example" || susan.Created != "2019-03-01 09:12:44" ||
		!strings.HasPrefix(susan.PasswordHash.Reveal(), "$2a$10$") || strings.Join(susan.Roles, " ") != "admin" || susan.Version != 1 ||
		susan.EmailVerified || susan.Disabled {
		t.Errorf("the user is %+v", susan)
	}
	if a, b := susan.Stamp.Reveal(), jacob.Stamp.Reveal(); len(a) < 20 || a == b {
		t.Errorf("the stamps are %q and %q", a, b)
	}
	for key, id := range map[string]string{"susan": "1", "susan@app.example": "1", "mabel@app.example": "3"} {
		user, err := userStore{db}.FindUser(t.Context(), key)
		check(t, err)
		if user.ID != id {
			t.Errorf("%s is user %s", key, user.ID)
		}
	}
	check(t, migrate(t.Context(), db))
	if again := load("1"); again.Stamp.Reveal() != susan.Stamp.Reveal() || again.Version != 1 {
		t.Error("the second migration changed a user")
	}
}

// TestMigrateRefuses: a table with names that are the same, or a user who could not
// log in, is left as it was. The error names the rows.
func TestMigrateRefuses(t *testing.T) {
	file := oldDB(t, `INSERT INTO users (username, email, password_hash) VALUES
		('SUSAN', '', ''), ('sam', 'Jacob@APP.example', ''), ('no name', 'no address', '')`)
	_, err := openDB(t.Context(), file)
	if err == nil {
		t.Fatal("it was migrated")
	}
	for _, want := range []string{file, `user 4: an older user has the username "SUSAN"`, `user 5: an older user has the address "Jacob@APP.example"`, `user 6: neither`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	db, err := sql.Open("sqlite", "file:"+file)
	check(t, err)
	defer func() { _ = db.Close() }()
	var version, columns int
	check(t, db.QueryRowContext(t.Context(), `SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM pragma_table_info('users'))`).Scan(&version, &columns))
	if version != 1 || columns != 6 {
		t.Errorf("version %d, %d columns", version, columns)
	}
	_, err = db.ExecContext(t.Context(), `UPDATE users SET username = 'susan2' WHERE id = 4; UPDATE users SET email = '' WHERE id = 5; DELETE FROM users WHERE id = 6`)
	check(t, err)
	opened(t, file) // the rows have been corrected
}

// TestMigrateAtOnce: several processes may start at once.
func TestMigrateAtOnce(t *testing.T) {
	file := oldDB(t)
	const n = 4
	failed := make(chan error, n)
	for range n {
		go func() {
			db, err := openDB(context.WithoutCancel(t.Context()), file)
			if err == nil {
				err = db.Close()
			}
			failed <- err
		}()
	}
	for range n {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
