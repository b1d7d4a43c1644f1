// Microblog is the application of part V of the Flask Mega-Tutorial, "User
// Logins", in Go: its pages, its texts and its users, on package auth.
//
// What has to do with logins is in auth.go, to be read beside the tutorial; the
// rest is what any application has.
package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-login/auth/sqlstore"
	_ "modernc.org/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "microblog:", err)
		os.Exit(1)
	}
}

// run serves the application until ctx is done.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("microblog", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:5000", "`address` to listen on")
	dbFile := flags.String("db", "microblog.db", "SQLite `file`, made if there is none")
	secretFile := flags.String("secret-file", "microblog.secret", "`file` with the secret key, made if there is none")
	if err := flags.Parse(args); err != nil {
		return err
	}

	secret, err := readSecret(*secretFile)
	if err != nil {
		return err
	}
	db, err := openDB(ctx, *dbFile)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()

	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // Shutdown has, unless there is an error
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	baseURL := "http://localhost:" + port
	app, err := newApp(db, secret, baseURL)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "Microblog is at", baseURL)

	go cleanUp(ctx, db)
	return serve(ctx, listener, app)
}

// serve answers requests until ctx is done, and finishes those under way.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return server.Shutdown(ctx)
}

// openDB opens the database and brings its tables up to date. A new one is for
// its owner's eyes: it will have password hashes.
func openDB(ctx context.Context, file string) (*sql.DB, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	if err := sqlstore.Migrate(ctx, db, sqlstore.SQLite); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", file, err), db.Close())
	}
	return db, nil
}

// cleanUp deletes sessions that have expired, once an hour.
func cleanUp(ctx context.Context, db *sql.DB) {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	records := sqlstore.NewRecords(db, sqlstore.SQLite)
	for {
		if _, err := records.Cleanup(ctx); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "microblog: cleaning up:", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

const secretSize = 32 // bytes

// readSecret returns the secret key in a file, which it makes if there is none.
func readSecret(file string) ([]byte, error) {
	secret, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSecret(file); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("making a secret key: %w", err)
		}
		secret, err = os.ReadFile(file) // another process may have been first
	}
	if err != nil {
		return nil, err
	}
	if len(secret) != secretSize {
		return nil, fmt.Errorf("%s has %d bytes and not %d: it is not a secret key", file, len(secret), secretSize)
	}
	return secret, nil
}

// makeSecret makes a file that only its owner can read. It is there either
// whole or not at all, and never replaces another.
func makeSecret(file string) error {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret)                                        // never fails
	f, err := os.CreateTemp(filepath.Dir(file), "microblog-secret") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(secret)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), file)
}
