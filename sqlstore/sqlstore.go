// Package sqlstore keeps users and records in a database, through the
// *sql.DB of the application's own: SQLite, PostgreSQL, MySQL or MariaDB. It
// imports no driver and starts no goroutine of its own.
//
//	db, err := sql.Open("sqlite", "file:app.db"+
//		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
//	…
//	if err := sqlstore.Migrate(ctx, db, sqlstore.SQLite); err != nil { … }
//	store := sqlstore.New[User](db, sqlstore.SQLite)
//	go store.CleanupEvery(ctx, time.Hour) // deletes records that have expired
//	manager, err := auth.New(store, auth.Config{…})
//
// An application with a users table of its own takes the records alone:
// [MigrateRecords] and [NewRecords].
//
// Nobody but the application deletes expired records: without CleanupEvery, or a
// job that calls Cleanup, the table grows for ever. The store logs a warning then.
//
// # SQLite
//
// The parameters above are those of modernc.org/sqlite. Migrate returns an error
// if the first two are missing on any connection. It takes SQLite 3.37 or newer.
// What they are for:
//
//   - busy_timeout, in milliseconds, is how long a writer waits for another.
//     Without it two requests that write at once are an error for one of them.
//     Migrate asks for a second at least.
//   - journal_mode(WAL) lets readers go on while somebody writes. Without it a
//     writer can fail in spite of busy_timeout.
//   - _txlock=immediate is for transactions of the application's own: one that
//     reads first and writes later cannot wait its turn otherwise. The
//     transactions of this package write first and do without.
//
// Leave synchronous at FULL, its default: with NORMAL a power failure can undo
// the last commits, and a login that was ended or a token that was redeemed is
// good again. A database in memory ("file::memory:") belongs to its
// connection, so it needs db.SetMaxOpenConns(1).
//
// # PostgreSQL
//
// The driver is pgx's: import github.com/jackc/pgx/v5/stdlib and open "pgx".
// Leave synchronous_commit on; with it off a crash undoes the last commits, as
// above. Tables are in the first schema of the connection's search_path.
// Asynchronous replicas lag: give the store a *sql.DB that reads where it
// writes.
//
// # MySQL and MariaDB
//
//	db, err := sql.Open("mysql", "user:password@tcp(db.example)/app?tls=true")
//
// The driver is github.com/go-sql-driver/mysql. It needs no option of ours, and
// minds none of clientFoundRows, interpolateParams and parseTime. Leave the
// connection's character set at utf8mb4, the driver's default: others cannot carry
// every text, and where character_set_connection is not character_set_client the
// server changes the bytes of keys and data. Leave
// innodb_flush_log_at_trx_commit at 1. READ COMMITTED makes requests wait for
// one another less than REPEATABLE READ, the default; either is safe.
//
// # Drivers
//
// The tests run on these, with the versions in sqlstore's go.mod:
//
//   - modernc.org/sqlite v1.61.1
//   - github.com/jackc/pgx/v5 v5.12.0 (its stdlib), on PostgreSQL
//   - github.com/go-sql-driver/mysql v1.10.1, on MariaDB; MySQL itself was not tried
//
// Others, such as github.com/mattn/go-sqlite3 and github.com/ncruces/go-sqlite3,
// were not tried. Migrate writes a record and a user and reads them, and returns an
// error if a driver changes them.
//
// # Transactions of the application
//
// A store has connections of its own. On SQLite, a call of Register, or any other,
// from inside a transaction of the application's waits for that transaction: until
// busy_timeout has passed, or for ever if the pool has one connection. To write
// rows of your own together with a new user, wrap CreateUser and use
// [Store.WithTx], which works alike on every engine:
//
//	type Store struct {
//		*sqlstore.Store[User, *User]
//		db *sql.DB
//	}
//
//	func (s Store) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*User, error) {
//		tx, err := s.db.BeginTx(ctx, nil)
//		if err != nil {
//			return nil, err
//		}
//		defer tx.Rollback() // does nothing after Commit
//		user, err := s.WithTx(tx).CreateUser(ctx, a, form)
//		if err != nil {
//			return nil, err
//		}
//		if _, err := tx.ExecContext(ctx, `INSERT INTO teams (owner) VALUES (?)`, user.ID); err != nil {
//			return nil, err
//		}
//		return user, tx.Commit()
//	}
//
// # Limits
//
// Kinds, keys and the IDs of users have 255 bytes at most. Longer ones are not
// there, and an error where they are to be stored.
//
// # Statements
//
// Every method is one statement; where that has changed nothing, some ask why with
// another, and DeleteRecords asks whether anything is left. The time is a parameter, from the store's clock, never the
// database's. A statement that the database gives up for another's sake (a
// deadlock) is tried again; nothing else is. Statements are prepared once for
// each connection, by database/sql, and go with the *sql.DB; on PostgreSQL that
// is left to pgx, whose default_query_exec_mode says what a connection pooler in
// between can take.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
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
	tx      *sql.Tx // in which everything runs, or nil
	grammar grammar
	prefix  string
	now     func() time.Time
	logger  *slog.Logger
	err     error // what is wrong with the options; every statement returns it

	statements sync.Map // of a query as it is written here: a *statement
}

func open(db *sql.DB, dialect Dialect, options []Option) *database {
	d := &database{pool: db, prefix: "auth_", now: time.Now, logger: slog.Default()}
	for _, option := range options {
		option(d)
	}
	d.grammar, d.err = dialect.grammar()
	switch {
	case db == nil:
		d.err = errors.New("sqlstore: there is no database")
	case d.now == nil:
		d.err = errors.New("sqlstore: there is no clock")
	case d.logger == nil:
		d.err = errors.New("sqlstore: there is no logger")
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

// A session runs statements: a *sql.DB, a *sql.Conn or a *sql.Tx.
type session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// inTx returns the database with everything in a transaction of the application's.
func (d *database) inTx(tx *sql.Tx) *database {
	return &database{pool: d.pool, tx: tx, grammar: d.grammar, prefix: d.prefix, now: d.now, logger: d.logger, err: d.err}
}

// session is where statements run.
func (d *database) session() session {
	if d.tx != nil {
		return d.tx
	}
	return d.pool
}

// prepare prepares a statement, which ends with the transaction or the pool.
func (d *database) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if d.tx != nil {
		return d.tx.PrepareContext(ctx, text)
	}
	return d.pool.PrepareContext(ctx, text)
}

// A statement runs one query of ours, which is in the database's own words and
// prepared where that is of use.
type statement struct {
	text     string
	prepared *sql.Stmt
}

func (s *statement) exec(ctx context.Context, on session, args []any) (sql.Result, error) {
	if s.prepared != nil {
		return s.prepared.ExecContext(ctx, args...)
	}
	return on.ExecContext(ctx, s.text, args...)
}

func (s *statement) query(ctx context.Context, on session, args []any) (*sql.Rows, error) {
	if s.prepared != nil {
		return s.prepared.QueryContext(ctx, args...)
	}
	return on.QueryContext(ctx, s.text, args...)
}

// statement returns a query's statement, which is made once. Closing the
// application's *sql.DB ends it.
func (d *database) statement(ctx context.Context, query string) (*statement, error) {
	if d.err != nil {
		return nil, d.err
	}
	if found, ok := d.statements.Load(query); ok {
		return found.(*statement), nil //nolint:errcheck,forcetypeassert // the map has nothing else
	}
	made := &statement{text: d.grammar.statement(query, d.prefix)}
	if d.grammar.prepare {
		var err error
		if made.prepared, err = d.prepare(ctx, made.text); err != nil {
			return nil, err
		}
	}
	kept, loaded := d.statements.LoadOrStore(query, made)
	if loaded && made.prepared != nil {
		_ = made.prepared.Close() // somebody else was first
	}
	return kept.(*statement), nil //nolint:errcheck,forcetypeassert // the map has nothing else
}

// tries is how often a statement is run that the database gives up. Of those in
// a deadlock one goes on, so as many as there are racers would always do. At the
// isolation SERIALIZABLE of PostgreSQL who tries again at once may meet the same
// others again, so after a few tries there is a wait, longer each time: 1.2 seconds
// in all.
const tries = 50

// again waits before another try, and reports whether there is to be one. In a
// transaction there is none: what came before it is undone, too.
func (d *database) again(ctx context.Context, try int, err error) bool {
	return d.tx == nil && again(ctx, try, err)
}

func again(ctx context.Context, try int, err error) bool {
	if try == tries || !undone(err) {
		return false
	}
	if try < 5 {
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(try) * time.Millisecond):
		return true
	}
}

// exec runs a statement and returns how many rows it changed.
func (d *database) exec(ctx context.Context, query string, args ...any) (int64, error) {
	s, err := d.statement(ctx, query)
	if err != nil {
		return 0, err
	}
	for try := 1; ; try++ {
		result, err := s.exec(ctx, d.session(), args)
		switch {
		case err == nil:
			return result.RowsAffected()
		case !d.again(ctx, try, err):
			return 0, err
		}
	}
}

// execOrUndo is exec for a statement that may fail because a name is taken. On
// PostgreSQL a failure ends the transaction that it is in, but for a savepoint.
func (d *database) execOrUndo(ctx context.Context, query string, args ...any) (int64, error) {
	if d.tx == nil || !d.grammar.numbered {
		return d.exec(ctx, query, args...)
	}
	if _, err := d.tx.ExecContext(ctx, `SAVEPOINT go_login`); err != nil {
		return 0, err
	}
	n, err := d.exec(ctx, query, args...)
	if err != nil {
		_, undoing := d.tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT go_login`)
		return 0, errors.Join(err, undoing)
	}
	_, err = d.tx.ExecContext(ctx, `RELEASE SAVEPOINT go_login`)
	return n, err
}

// collect runs a statement and returns what scan makes of each row that it
// yields. It reads to the end: a statement that changes something has done so
// only then.
func collect[T any](ctx context.Context, d *database, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	s, err := d.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		list, err := readAll(ctx, d.session(), s, scan, args)
		if err == nil || !d.again(ctx, try, err) {
			return list, err
		}
	}
}

func readAll[T any](ctx context.Context, on session, s *statement, scan func(*sql.Rows) (T, error), args []any) (list []T, err error) {
	rows, err := s.query(ctx, on, args)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // an error has been seen by Err
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, rows.Err()
}

// exists reports whether a query yields any row.
func (d *database) exists(ctx context.Context, query string, args ...any) (bool, error) {
	found, err := collect(ctx, d, func(*sql.Rows) (bool, error) { return true, nil }, query, args...)
	return len(found) > 0, err
}
