// Package sqlstore keeps users and records in a database, through the
// *sql.DB of the application's own. It imports no driver and starts no
// goroutine. SQLite is the database it speaks so far.
//
//	db, err := sql.Open("sqlite", "file:app.db"+
//		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
//	…
//	if err := sqlstore.Migrate(ctx, db, sqlstore.SQLite); err != nil { … }
//	store := sqlstore.New[User](db, sqlstore.SQLite)
//	manager, err := auth.New(store, auth.Config{…})
//
// An application with a users table of its own takes the records alone:
// [MigrateRecords] and [NewRecords].
//
// # SQLite
//
// The parameters above are those of modernc.org/sqlite; other drivers spell
// them differently. It takes SQLite 3.37 or newer. What they are for:
//
//   - busy_timeout, in milliseconds, is how long a writer waits for another.
//     Without it two requests that write at once are an error for one of them.
//   - journal_mode(WAL) lets readers go on while somebody writes.
//   - _txlock=immediate is for transactions of the application's own: one that
//     reads first and writes later cannot wait its turn otherwise. The
//     transactions of this package write first and do without.
//
// Leave synchronous at FULL, its default: with NORMAL a power failure can undo
// the last commits, and a login that was ended or a token that was redeemed is
// good again. A database in memory ("file::memory:") belongs to its
// connection, so it needs db.SetMaxOpenConns(1).
//
// # Statements
//
// Every method is one statement; where that has changed nothing, some ask why with
// another. The time is a parameter, from the store's clock, never the
// database's. Statements are not kept prepared: there is nothing to close,
// nothing that a restart of the database or a connection pooler in between
// could invalidate, and drivers for which it matters (pgx) cache them by
// themselves.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// An Option changes a default. Give Migrate and New the same ones.
type Option func(*database)

// WithClock sets the clock that records expire by, in place of time.Now.
func WithClock(now func() time.Time) Option {
	return func(d *database) { d.now = now }
}

// TablePrefix sets what the names of the tables and indexes begin with, in
// place of "auth_". It has lower-case ASCII letters, digits and underscores, 32
// at most, and does not begin with a digit; with another one, Migrate and every
// method of the store return an error.
func TablePrefix(prefix string) Option {
	return func(d *database) { d.prefix = prefix }
}

// A database is the application's, with what its SQL depends on.
type database struct {
	pool    *sql.DB
	grammar grammar
	prefix  string
	now     func() time.Time
	err     error // what is wrong with the options; every statement returns it
}

func open(db *sql.DB, dialect Dialect, options []Option) *database {
	d := &database{pool: db, prefix: "auth_", now: time.Now}
	for _, option := range options {
		option(d)
	}
	d.grammar, d.err = dialect.grammar()
	switch {
	case db == nil:
		d.err = errors.New("sqlstore: there is no database")
	case d.now == nil:
		d.err = errors.New("sqlstore: there is no clock")
	case !isPrefix(d.prefix):
		d.err = fmt.Errorf("sqlstore: %q cannot begin the name of a table", d.prefix)
	}
	return d
}

// isPrefix reports whether s can begin the name of a table without quotes.
// The limit leaves room below the 63 bytes that PostgreSQL allows for a name.
func isPrefix(s string) bool {
	if s == "" || len(s) > 32 || '0' <= s[0] && s[0] <= '9' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// A session runs statements: a *sql.DB or a *sql.Tx.
type session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// exec runs a statement and returns how many rows it changed.
func (d *database) exec(ctx context.Context, on session, query string, args ...any) (int64, error) {
	if d.err != nil {
		return 0, d.err
	}
	result, err := on.ExecContext(ctx, d.grammar.statement(query, d.prefix), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query runs a statement and calls scan for each row that it yields. It reads
// to the end: a statement that changes something has done so only then.
func (d *database) query(ctx context.Context, on session, scan func(*sql.Rows) error, query string, args ...any) error {
	if d.err != nil {
		return d.err
	}
	rows, err := on.QueryContext(ctx, d.grammar.statement(query, d.prefix), args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // an error has been seen by Err
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// exists reports whether a query yields any row.
func (d *database) exists(ctx context.Context, query string, args ...any) (found bool, err error) {
	err = d.query(ctx, d.pool, func(*sql.Rows) error { found = true; return nil }, query, args...)
	return found, err
}

// transaction calls f, and commits what it did unless it returns an error.
func (d *database) transaction(ctx context.Context, f func(*sql.Tx) error) error {
	if d.err != nil {
		return d.err
	}
	tx, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}
