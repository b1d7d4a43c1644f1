// Quickstart is an application whose logins are all ready-made. It has a home
// page, a profile and settings of its own; all other pages are from package
// pages. Users and sessions are in an SQLite file, and mails are printed on the
// console.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authmail"
	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/sqlstore"
	"github.com/go-login/auth/totp"
)

func main() {
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 2) // hash passwords on all processors, and still serve pages
	server.Main("quickstart", func(ctx context.Context) error { return run(ctx, os.Args[1:], os.Stdout) })
}

// run serves the application until ctx is done.
func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen on")
	dbFile := flags.String("db", "quickstart.db", "SQLite `file`, created if it does not exist")
	baseURL := flags.String("base-url", "", "`URL` that browsers use (default http://localhost with the port of -addr)")
	smtp := flags.String("smtp", "", "`host:port` of an SMTP server on this machine; if empty, mails are printed")
	secretFile := flags.String("secret-file", "quickstart.secret", "`file` with the secret key, created if it does not exist")
	var oidc provider
	flags.StringVar(&oidc.issuer, "oidc-issuer", "", "issuer `URL` of an OpenID Connect provider that users can log in with")
	flags.StringVar(&oidc.clientID, "oidc-client-id", "", "the `ID` that the provider has given to this application")
	flags.StringVar(&oidc.clientSecret, "oidc-client-secret", "", "the `secret` that the provider has given to this application")
	doctor := flags.Bool("doctor", false, "look for mistakes in the setup, print them, and serve nothing; the exit status is 1 if one is severe")
	verify := flags.Bool("verify", false, "require users to verify their email address before they can log in")
	if err := server.Parse(flags, args); err != nil {
		return err
	}

	providers, err := oidc.providers()
	if err != nil {
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

	var mailer auth.Mailer = authmail.NewPrinter(stdout)
	if *smtp != "" {
		m, err := authmail.New(authmail.Config{Addr: *smtp, From: "Quickstart <quickstart@app.example>", TLS: authmail.NoTLS})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, finish(ctx, m)) }()
		mailer = m
	}

	if *doctor {
		*addr = "127.0.0.1:0" // the application itself may be running
	}
	listener, port, err := server.Listen(ctx, *addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // Serve closes it, too; this is for errors
	if *baseURL == "" {
		*baseURL = "http://localhost:" + port
	}
	manager, err := auth.New(sqlstore.New[User](db, sqlstore.SQLite), auth.Config{
		BaseURL: *baseURL, Secrets: [][]byte{secret}, Mailer: mailer, RequireVerified: *verify, HideAccounts: *verify, EmailLogin: true,
		Factors: []auth.Factor{
			passkey.New(passkey.Config{SiteName: "Quickstart"}),
			totp.New(totp.Issuer("Quickstart")), totp.RecoveryCodes(),
		},
	})
	if err != nil {
		return err
	}
	app, err := newApp(manager, providers...)
	if err != nil {
		return err
	}
	if *doctor {
		return examine(ctx, manager.Core, stdout)
	}
	fmt.Fprintf(stdout, "Quickstart is at %s (listening on %s)\n", *baseURL, listener.Addr())

	go sqlstore.NewRecords(db, sqlstore.SQLite).CleanupEvery(ctx, time.Hour)
	return server.Serve(ctx, listener, app)
}

// examine prints what is wrong with the setup. It returns an error if something is severe.
func examine(ctx context.Context, core *auth.Core, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	severe := 0
	for _, finding := range core.Doctor(ctx) {
		fmt.Fprintln(stdout, finding)
		if finding.Err != nil {
			fmt.Fprintln(stdout, "  The error:", finding.Err)
		}
		if finding.Severity == auth.SeveritySevere {
			severe++
		}
	}
	if severe > 0 {
		return fmt.Errorf("%d severe findings", severe)
	}
	fmt.Fprintln(stdout, "No severe findings.")
	return nil
}

// finish sends the mails that wait, for at most ten seconds.
func finish(ctx context.Context, m *authmail.Mailer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return m.Close(ctx)
}
