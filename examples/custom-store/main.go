// Custom-store shows logins for a users table that the application had before.
// store.go is a UserStore on that table, and sqlstore keeps everything else.
// Run it and look at members.db.
package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/url"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
	_ "modernc.org/sqlite"
)

// The columns of the last line are new.
const schema = `CREATE TABLE IF NOT EXISTS members (
	number INTEGER PRIMARY KEY AUTOINCREMENT, nick TEXT, mail TEXT, pass TEXT, blocked INTEGER, plan TEXT NOT NULL CHECK (plan <> ''),
	mail_key TEXT UNIQUE, nick_key TEXT UNIQUE, mail_ok INTEGER, stamp TEXT, version INTEGER)`

func main() {
	if err := run(context.Background(), "members.db"); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return err
	}
	if err := sqlstore.MigrateRecords(ctx, db, sqlstore.SQLite); err != nil {
		return err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	manager, err := auth.New(MemberStore{db}, auth.Config{
		BaseURL: "http://localhost:8080",
		Secrets: [][]byte{secret},
		Records: sqlstore.NewRecords(db, sqlstore.SQLite),
	})
	if err != nil {
		return err
	}
	_, err = manager.Register(ctx, auth.Registration{
		Username: "susan", Email: "susan@app.example", Password: "staple battery horse", Form: url.Values{"plan": {"gold"}},
	})
	if err != nil && !errors.Is(err, auth.ErrUsernameTaken) {
		return err
	}
	member, err := manager.Authenticate(ctx, "Susan@APP.example", "staple battery horse")
	if err != nil {
		return err
	}
	fmt.Printf("Member %s is %s, on the %s plan.\n", member.ID, member.Username, member.Plan)
	return nil
}
