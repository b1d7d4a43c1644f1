// Custom-store shows logins for a users table that the application had before, with rows.
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

// oldTable is the table as the application had it. The passwords are bcrypt hashes.
const oldTable = `CREATE TABLE members (
	number INTEGER PRIMARY KEY AUTOINCREMENT, nick TEXT, mail TEXT, pass TEXT, blocked INTEGER, plan TEXT NOT NULL CHECK (plan <> ''))`

// oldRows are the members that it had. The passwords are "staple battery horse" and
// "summer2019".
const oldRows = `INSERT INTO members (nick, mail, pass, blocked, plan) VALUES
	('Susan', 'susan@app.example', '$2a$10$sE/OeQUtydo5K1fiGISUmOH7WOO016Pnst5Z1PmL8ptmu5kE61Dje', 0, 'gold'),
	('jacob', 'jacob@app.example', '$2a$10$6ZV73qKoBs.7qYVY6.Jryem/EKOm152.d8wAhgDx47vXPKki.K/Bm', 0, 'silver')`

// newColumns is what a login needs in addition.
const newColumns = `
	ALTER TABLE members ADD COLUMN nick_key TEXT;
	ALTER TABLE members ADD COLUMN mail_key TEXT;
	ALTER TABLE members ADD COLUMN mail_ok  INTEGER NOT NULL DEFAULT 0; -- 1 if the application has verified addresses
	ALTER TABLE members ADD COLUMN stamp    TEXT    NOT NULL DEFAULT '';
	ALTER TABLE members ADD COLUMN version  INTEGER NOT NULL DEFAULT 1;
	CREATE UNIQUE INDEX members_nick_key ON members (nick_key);
	CREATE UNIQUE INDEX members_mail_key ON members (mail_key);
	PRAGMA user_version = 2`

// migrate adds the new columns, and fills them. It may run at every start.
func migrate(ctx context.Context, db *sql.DB) error {
	var version int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if version < 2 {
		if _, err := db.ExecContext(ctx, `BEGIN; `+newColumns+`; COMMIT`); err != nil {
			return err
		}
	}
	done, err := sqlstore.BackfillUsers(ctx, db, sqlstore.SQLite, sqlstore.UsersTable{
		Table: "members", ID: "number", Username: "nick", UsernameKey: "nick_key", Email: "mail", EmailKey: "mail_key", Stamp: "stamp",
	})
	for _, p := range done.Problems {
		log.Printf("member %q: %q: %v", p.ID, p.Name, p.Err)
	}
	if err != nil {
		return err
	}
	return sqlstore.MigrateRecords(ctx, db, sqlstore.SQLite)
}

// createOld makes the table as the application had it, if the file is new.
func createOld(ctx context.Context, db *sql.DB) error {
	var tables int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE name = 'members'`).Scan(&tables); err != nil || tables > 0 {
		return err
	}
	_, err := db.ExecContext(ctx, oldTable+";"+oldRows)
	return err
}

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
	if err := createOld(ctx, db); err != nil { // no part of a move
		return err
	}
	if err := migrate(ctx, db); err != nil {
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
		Username: "mabel", Email: "mabel@app.example", Password: "tea with lemon", Form: url.Values{"plan": {"gold"}},
	})
	if err != nil && !errors.Is(err, auth.ErrUsernameTaken) && !errors.Is(err, auth.ErrEmailTaken) { // from an earlier run
		return err
	}
	// An old member logs in with the old password. The hash is then replaced.
	member, err := manager.Authenticate(ctx, "Susan@APP.example", "staple battery horse")
	if err != nil {
		return err
	}
	fmt.Printf("Member %s is %s, on the %s plan.\n", member.ID, member.Username, member.Plan)
	return nil
}
