// Quickstart is an application with logins that has written none of them: its
// own pages are a home page, a profile and settings, and all others are package
// pages'. Users and sessions are in an SQLite file, mails on the console.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authmail"
	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/sqlstore"
)

func main() {
	server.Main("quickstart", func(ctx context.Context) error { return run(ctx, os.Args[1:], os.Stdout) })
}

// run serves the application until ctx is done.
func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen on")
	dbFile := flags.String("db", "quickstart.db", "SQLite `file`, made if there is none")
	baseURL := flags.String("base-url", "", "`URL` that browsers use (default http://localhost at addr's port)")
	smtp := flags.String("smtp", "", "`host:port` of an SMTP server on this machine; without one mails are printed")
	secretFile := flags.String("secret-file", "quickstart.secret", "`file` with the secret key, made if there is none")
	verify := flags.Bool("verify", false, "let people log in only after they have verified their email address")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag", flags.Arg(0))
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

	var mailer auth.Mailer = authmail.NewPrinter(stdout)
	if *smtp != "" {
		m, err := authmail.New(authmail.Config{Addr: *smtp, From: "Quickstart <quickstart@app.example>", TLS: authmail.NoTLS})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, finish(ctx, m)) }()
		mailer = m
	}

	listener, port, err := server.Listen(ctx, *addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // Serve has, unless there is an error
	if *baseURL == "" {
		*baseURL = "http://localhost:" + port
	}
	app, err := newApp(db, auth.Config{BaseURL: *baseURL, Secrets: [][]byte{secret}, Mailer: mailer, RequireVerified: *verify})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Quickstart is at %s (listening on %s)\n", *baseURL, listener.Addr())

	go sqlstore.NewRecords(db, sqlstore.SQLite).CleanupEvery(ctx, time.Hour)
	return server.Serve(ctx, listener, app)
}

// finish sends the mails that wait, for a little while.
func finish(ctx context.Context, m *authmail.Mailer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return m.Close(ctx)
}
