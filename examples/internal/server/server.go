// Package server has what the examples share and what has nothing to do with
// logins: a listener, a database file, a secret, and a clean end.
package server

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"flag"
	"fmt"
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
	_ "modernc.org/sqlite" // OpenDB's driver
)

// Main runs a program until it ends or is interrupted. If the program failed,
// Main ends the process with an error.
func Main(name string, run func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp): // package flag has printed the flags
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Parse parses the arguments of a program that takes only flags.
func Parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; run with -h for the flags", flags.Arg(0))
	}
	return nil
}

// Listen listens on a TCP address and returns the port. Port 0 in addr means
// any free port.
func Listen(ctx context.Context, addr string) (net.Listener, string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return listener, port, err
}

// Serve answers requests until ctx is done, and then finishes those in
// progress.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
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

// OpenDB opens an SQLite database and brings its tables up to date. A new file
// is readable only by its owner, because it will contain password hashes.
func OpenDB(ctx context.Context, file string) (*sql.DB, error) {
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

const secretSize = 32 // bytes

// Secret returns the secret key in a file. If the file does not exist, Secret
// creates it.
func Secret(file string) ([]byte, error) {
	secret, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSecret(file); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("creating the secret key: %w", err)
		}
		secret, err = os.ReadFile(file) // another process may have been first
	}
	if err != nil {
		return nil, err
	}
	if len(secret) != secretSize {
		return nil, fmt.Errorf("%s is not a secret key: it has %d bytes instead of %d; name another file, or delete it to get a new key", file, len(secret), secretSize)
	}
	return secret, nil
}

// makeSecret creates a file that only its owner can read. The file appears only
// when it is complete, and never replaces another.
func makeSecret(file string) error {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret)                              // never fails
	f, err := os.CreateTemp(filepath.Dir(file), "secret") // with mode 0600
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
