// Admin shows the functions for administrators: as guarded pages, and as commands.
// Users and sessions are in an SQLite file, and mails are printed on the console.
//
//	go run ./examples/admin create-admin ADDRESS
//	go run ./examples/admin
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authmail"
	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/sqlstore"
)

func main() {
	server.Main("admin", func(ctx context.Context) error { return run(ctx, os.Args[1:], os.Stdout) })
}

// run runs a command or, without one, serves the application until ctx is done.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("admin", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen on")
	dbFile := flags.String("db", "admin.db", "SQLite `file`, created if it does not exist")
	baseURL := flags.String("base-url", "", "`URL` that browsers use (default http://localhost with the port of -addr)")
	secretFile := flags.String("secret-file", "admin.secret", "`file` with the secret key, created if it does not exist")
	reason := flags.String("reason", "", "why you do it, for the log: a `text`")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "admin [flags]           serves the application\nadmin [flags] COMMAND   does one thing:\n\n%s\nFlags:\n", usage)
		flags.PrintDefaults()
	}
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

	var listener net.Listener
	_, port, err := net.SplitHostPort(*addr)
	if err == nil && flags.NArg() == 0 {
		listener, port, err = server.Listen(ctx, *addr)
	}
	if err != nil {
		return err
	}
	if *baseURL == "" {
		*baseURL = "http://localhost:" + port
	}
	a, err := newApp(db, auth.Config{BaseURL: *baseURL, Secrets: [][]byte{secret}, Mailer: authmail.NewPrinter(stdout)})
	if listener == nil {
		if err != nil {
			return err
		}
		return a.command(ctx, stdout, *reason, flags.Args())
	}
	defer func() { _ = listener.Close() }() // Serve closes it, too; this is for errors
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Admin is at %s (listening on %s)\n", *baseURL, listener.Addr())
	go sqlstore.NewRecords(db, sqlstore.SQLite).CleanupEvery(ctx, time.Hour)
	return server.Serve(ctx, listener, a)
}
