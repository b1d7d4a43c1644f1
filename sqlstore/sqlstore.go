// Package sqlstore keeps users and records in the application's database,
// through its *sql.DB: SQLite, PostgreSQL, MySQL or MariaDB. The package
// imports no driver and starts no goroutines.
//
//	db, err := sql.Open("sqlite", "file:app.db"+
//		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
//	…
//	if err := sqlstore.Migrate(ctx, db, sqlstore.SQLite); err != nil { … }
//	store := sqlstore.New[User](db, sqlstore.SQLite)
//	go store.CleanupEvery(ctx, time.Hour) // deletes records that have expired
//	manager, err := auth.New(store, auth.Config{…})
//
// If your application has its own users table, use only the records:
// [MigrateRecords] and [NewRecords].
//
// Your application must delete expired records, with CleanupEvery or a job that
// calls Cleanup. Otherwise the table grows for ever, and the store logs a
// warning.
//
// # SQLite
//
// The parameters above are those of modernc.org/sqlite. Migrate returns an
// error if one of the first two is missing on any connection. It needs SQLite
// 3.37 or newer. What the parameters do:
//
//   - busy_timeout, in milliseconds, is how long a writer waits for another.
//     Without it, if two requests write at once, one of them fails. Migrate
//     requires at least 1000, one second.
//   - journal_mode(WAL) lets readers continue while another connection writes.
//     Without it, a writer can fail in spite of busy_timeout.
//   - _txlock=immediate is for the application's own transactions. A
//     transaction that reads first and writes later cannot wait for its turn
//     otherwise. The transactions of this package write first and do not need
//     it.
//
// Leave synchronous at FULL, its default. With NORMAL a power failure can undo
// the last commits: a login that was ended, or a token that was redeemed, is
// then valid again. A database in memory ("file::memory:") belongs to its
// connection, so it needs db.SetMaxOpenConns(1).
//
// # PostgreSQL
//
// The driver is pgx: import github.com/jackc/pgx/v5/stdlib and open "pgx".
// Leave synchronous_commit on; if it is off, a crash undoes the last commits,
// as above. The tables are in the first schema of the connection's search_path.
// Asynchronous replicas lag: give the store a *sql.DB that reads from the
// server it writes to.
//
// # MySQL and MariaDB
//
//	db, err := sql.Open("mysql", "user:password@tcp(db.example)/app?tls=true")
//
// The driver is github.com/go-sql-driver/mysql. It needs no special options;
// clientFoundRows, interpolateParams and parseTime may be set. The session's
// time zone does not matter: times are stored as numbers. Leave the
// connection's character set at utf8mb4, the driver's default: other character
// sets cannot carry every text. If character_set_connection differs from
// character_set_client, the server changes the bytes of keys and data. Leave
// innodb_flush_log_at_trx_commit at 1. With READ COMMITTED requests wait for
// one another less than with REPEATABLE READ, the default; both are safe.
//
// # Drivers
//
// The tests run on these drivers, in the versions of sqlstore's go.mod:
//
//   - modernc.org/sqlite v1.61.1
//   - github.com/jackc/pgx/v5 v5.12.0 (its stdlib), on PostgreSQL
//   - github.com/go-sql-driver/mysql v1.10.1, on MariaDB; MySQL itself was not tried
//
// Other drivers, such as github.com/mattn/go-sqlite3 and
// github.com/ncruces/go-sqlite3, were not tried. Migrate writes a record and a
// user, reads them back, and returns an error if the driver changed them.
//
// # Transactions of the application
//
// A store uses its own connections. If a transaction of your application is
// open on SQLite, calls of Register and other methods wait for it: until
// busy_timeout has passed, or for ever if the pool has one connection. To write
// rows of your own together with a new user, wrap CreateUser and use
// [Store.WithTx], which works the same on every database:
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
// Kinds, keys and user IDs have at most 255 bytes. To store a longer one is an error.
// To look for a longer one finds nothing.
//
// # Statements
//
// Every method runs one statement. If that changed nothing, some methods ask
// why with a second one. DeleteRecords also checks that nothing is left. The
// time is a parameter from the store's clock, never the database's time. If the
// database gives up a statement because of another one (a deadlock), the store
// retries it; it retries nothing else.
//
// Statements are prepared once per connection, by database/sql, and are closed
// with the *sql.DB. On PostgreSQL pgx prepares them. If a connection pooler
// stands in between, set pgx's default_query_exec_mode to one that the pooler
// supports.
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

// An Option changes a default. Pass the same options to Migrate and New.
type Option func(*database)

// WithClock sets the clock that decides whether a record has expired, instead
// of time.Now.
func WithClock(now func() time.Time) Option {
	return func(d *database) { d.now = now }
}

// TablePrefix sets the beginning of the names of tables and indexes, instead of
// "auth_". A prefix has at most 32 lower-case ASCII letters, digits and
// underscores, and does not begin with a digit. With an invalid prefix, Migrate
// and every method of the store return an error.
func TablePrefix(prefix string) Option {
	return func(d *database) { d.prefix = prefix }
}

// A database is the application's database, and the settings on which its SQL
// depends.
type database struct {
	pool    *sql.DB
	tx      *sql.Tx // if not nil, every statement runs in it
	grammar grammar
	prefix  string
	now     func() time.Time
	logger  *slog.Logger
	err     error // an error in the options, which every statement returns

	statements sync.Map // from a query as written in this package to its *statement
}

func open(db *sql.DB, dialect Dialect, options []Option) *database {
	d := &database{pool: db, prefix: "auth_", now: time.Now, logger: slog.Default()}
	for _, option := range options {
		option(d)
	}
	d.grammar, d.err = dialect.grammar()
	switch {
	case db == nil:
		d.err = errors.New("sqlstore: the *sql.DB is nil; pass the result of sql.Open")
	case d.now == nil:
		d.err = errors.New("sqlstore: WithClock got nil; pass a function such as time.Now")
	case d.logger == nil:
		d.err = errors.New("sqlstore: WithLogger got nil; pass a *slog.Logger")
	case !isPrefix(d.prefix):
		d.err = fmt.Errorf("sqlstore: TablePrefix(%q): use 1 to 32 lower-case letters, digits and underscores, beginning with a letter or underscore", d.prefix)
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

// inTx returns the database with every statement in a transaction of the
// application.
func (d *database) inTx(tx *sql.Tx) *database {
	return &database{pool: d.pool, tx: tx, grammar: d.grammar, prefix: d.prefix, now: d.now, logger: d.logger, err: d.err}
}

// session returns what statements run on.
func (d *database) session() session {
	if d.tx != nil {
		return d.tx
	}
	return d.pool
}

// prepare prepares a statement. It is closed with the transaction or the pool.
func (d *database) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if d.tx != nil {
		return d.tx.PrepareContext(ctx, text)
	}
	return d.pool.PrepareContext(ctx, text)
}

// A statement is one of our queries in the words of the database, prepared if
// the dialect wants that.
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

// statement returns a query's statement and makes it once. It is closed with
// the application's *sql.DB.
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
		_ = made.prepared.Close() // another goroutine was first
	}
	return kept.(*statement), nil //nolint:errcheck,forcetypeassert // the map has nothing else
}

// tries is how often a statement is run that the database gives up. In a
// deadlock one statement continues, so as many tries as racers are always
// enough. With PostgreSQL's SERIALIZABLE, a statement that is retried at once
// may meet the same statements again. After 4 tries there is therefore a wait
// before each, which grows by a millisecond: 1.2 seconds in all.
const tries = 50

// again waits before another try, and reports whether to try again. In a
// transaction it never does, because the database has undone the earlier
// statements, too.
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
// PostgreSQL a failed statement aborts its transaction, unless there is a
// savepoint.
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

// collect runs a statement and returns the results of scan for all rows. It
// reads to the end, because a statement that changes rows has only then changed
// all of them.
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
	defer func() { _ = rows.Close() }() // rows.Err has reported any error
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
