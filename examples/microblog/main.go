// Microblog is the application of part V of the Flask Mega-Tutorial, "User
// Logins", in Go: its pages, its texts and its users, with package auth.
//
// auth.go has everything about logins; read it beside the tutorial. The other
// files are what any application has.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/sqlstore"
)

func main() {
	server.Main("microblog", func(ctx context.Context) error { return run(ctx, os.Args[1:], os.Stdout) })
}

// run serves the application until ctx is done.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("microblog", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:5000", "`address` to listen on")
	dbFile := flags.String("db", "microblog.db", "SQLite `file`, created if it does not exist")
	secretFile := flags.String("secret-file", "microblog.secret", "`file` with the secret key, created if it does not exist")
	if err := flags.Parse(args); err != nil {
		return err
	}

	secret, err := server.Secret(*secretFile)
	if err != nil {
		return err
	}
	db, err := server.OpenDB(ctx, *dbFile)
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
	app, err := newApp(db, secret, baseURL)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "Microblog is at", baseURL)

	go sqlstore.NewRecords(db, sqlstore.SQLite).CleanupEvery(ctx, time.Hour)
	return server.Serve(ctx, listener, app)
}
