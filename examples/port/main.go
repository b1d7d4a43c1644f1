// Port shows what it takes to move an application with users of its own to
// package auth. Stockroom, a list of what a team has in its storeroom, had a users
// table with integer ids, bcrypt hashes and a role. It keeps that table: migrate.sql
// adds columns, and store.go is a UserStore on it.
//
// Everything else that the logins cost is in auth.go, or on a line that is marked
// as auth. A test counts these lines.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-login/auth/examples/internal/server"
)

func main() {
	server.Main("port", func(ctx context.Context) error { return run(ctx, os.Args[1:], os.Stdout) })
}

// run serves the application until ctx is done.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("port", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen on")
	dbFile := flags.String("db", "stockroom.db", "SQLite `file` of the old application, created if it does not exist")
	secretFile := flags.String("secret-file", "stockroom.secret", "`file` with the secret key, created if it does not exist") // auth
	if err := server.Parse(flags, args); err != nil {
		return err
	}
	db, err := openDB(ctx, *dbFile)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	listener, port, err := server.Listen(ctx, *addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // Serve closes it, too; this is for errors
	baseURL := "http://localhost:" + port
	app, err := newApp(ctx, db, baseURL, *secretFile, stdout) // auth (changed)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Stockroom is at %s (listening on %s)\n", baseURL, listener.Addr())
	return server.Serve(ctx, listener, app)
}

// openDB opens the database and brings it up to date.
func openDB(ctx context.Context, file string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	err = migrate(ctx, db)
	// Only one process can change the old file to WAL. SQLite does not let the others wait for it, whatever busy_timeout is.
	for try := 0; err != nil && strings.Contains(err.Error(), "database is locked") && try < 50; try++ {
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), db.Close())
		case <-time.After(20 * time.Millisecond):
			err = migrate(ctx, db)
		}
	}
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("migrating %s: %w", file, err)
	}
	return db, nil
}
