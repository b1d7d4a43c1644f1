package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
	_ "modernc.org/sqlite"
)

type Reader struct {
	auth.Account
	Name string
}

func (r *Reader) ReadForm(form url.Values) error {
	r.Name = form.Get("name")
	return nil
}

func Example() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file::memory:")
	if err != nil {
		panic(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // a database in memory belongs to its connection

	if err := sqlstore.Migrate(ctx, db, sqlstore.SQLite); err != nil {
		panic(err)
	}
	store := sqlstore.New[Reader](db, sqlstore.SQLite)

	_, err = store.CreateUser(ctx, auth.Account{Username: "Ada"}, url.Values{"name": {"Ada Lovelace"}})
	if err != nil {
		panic(err)
	}
	reader, err := store.FindUser(ctx, "ada")
	if err != nil {
		panic(err)
	}
	fmt.Println(reader.Name)
	// Output: Ada Lovelace
}

// The README shows how a program opens its database.
var _ = func(ctx context.Context) error {
	db, err := sql.Open("sqlite", "file:app.db?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		return err
	}
	if err := sqlstore.Migrate(ctx, db, sqlstore.SQLite); err != nil {
		return err
	}
	store := sqlstore.New[Reader](db, sqlstore.SQLite)
	go store.CleanupEvery(ctx, time.Hour)
	return nil
}

// A users table that the application had before gets keys and stamps.
func ExampleBackfillUsers() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:backfill?mode=memory&cache=shared")
	if err != nil {
		panic(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, `CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT, email TEXT, username_key TEXT, email_key TEXT, stamp TEXT);
		INSERT INTO users (username, email) VALUES ('Susan', 'susan@app.example'), ('susan', 'other@app.example')`); err != nil {
		panic(err)
	}
	done, err := sqlstore.BackfillUsers(ctx, db, sqlstore.SQLite, sqlstore.UsersTable{
		Table: "users", ID: "id", Stamp: "stamp",
		Username: "username", UsernameKey: "username_key",
		Email: "email", EmailKey: "email_key",
	})
	if err != nil {
		panic(err)
	}
	for _, p := range done.Problems {
		fmt.Printf("user %q: %q: %v\n", p.ID, p.Name, p.Err)
	}
	fmt.Println(done.Rows, done.Changed)
	// Output:
	// user "2": "susan": auth: the username is taken: row "1" has it
	// 2 2
}
