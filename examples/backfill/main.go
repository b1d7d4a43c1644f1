// Backfill fills the key columns and the stamps of a users table that an application had
// before: see docs/moving-in.md. It may run while the old application writes, and again at any
// time: rows that are right stay as they are.
package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/sqlstore"
	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
)

// variable is the environment variable with the DSN. Other users of the machine can read the
// flags of a process, so a DSN with a password belongs here.
const variable = "BACKFILL_DSN"

func main() {
	server.Main("backfill", func(ctx context.Context) error {
		return run(ctx, os.Args[1:], os.Getenv(variable), os.Stdout, os.Stderr)
	})
}

// run writes the names without a key to stdout, and how far it is to stderr.
func run(ctx context.Context, args []string, dsn string, stdout, stderr io.Writer) error {
	var table sqlstore.UsersTable
	flags := flag.NewFlagSet("backfill", flag.ContinueOnError)
	flags.SetOutput(stderr)
	engine := flags.String("engine", "", "postgres, mysql (also for MariaDB) or sqlite")
	flags.StringVar(&dsn, "dsn", dsn, "the `DSN` of the database, or the path of the file of SQLite; if it has a password, use the variable "+variable)
	flags.StringVar(&table.Table, "table", "users", "the users' table")
	flags.StringVar(&table.ID, "id", "id", "the column with the primary key")
	flags.StringVar(&table.Username, "username", "username", "the column with the usernames; empty if there is none")
	flags.StringVar(&table.UsernameKey, "username-key", "username_key", "the column that gets the keys of the usernames")
	flags.StringVar(&table.Email, "email", "email", "the column with the addresses; empty if there is none")
	flags.StringVar(&table.EmailKey, "email-key", "email_key", "the column that gets the keys of the addresses")
	flags.StringVar(&table.Stamp, "stamp", "stamp", "the column that gets random stamps")
	flags.IntVar(&table.Batch, "batch", 500, "how many rows are read at a time")
	flags.BoolVar(&table.DryRun, "dry-run", false, "write nothing, and say what would be done")
	flags.Lookup("dsn").DefValue = "" // it may have a password
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		// It is not printed: it may be a DSN without -dsn before it.
		return errors.New("there is an argument that belongs to no flag; run with -h for the flags")
	}
	if table.Username == "" {
		table.UsernameKey = ""
	}
	if table.Email == "" {
		table.EmailKey = ""
	}
	db, dialect, err := open(ctx, *engine, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()

	shown := 0
	table.Progress = func(b sqlstore.Backfill) {
		if b.Rows < shown { // the table is read once more
			shown = 0
		}
		if b.Rows-shown >= progressEvery {
			shown = b.Rows
			_, _ = fmt.Fprintf(stderr, "%d rows read, %d %s\n", b.Rows, b.Changed, changed(table.DryRun))
		}
	}
	done, err := sqlstore.BackfillUsers(ctx, db, dialect, table)
	for _, p := range done.Problems {
		_, _ = fmt.Fprintf(stdout, "no key for row %q: %q: %v\n", p.ID, p.Name, p.Err)
	}
	if err != nil {
		return fmt.Errorf("%d rows are done; run it again to go on: %w", done.Rows, err)
	}
	_, _ = fmt.Fprintf(stdout, "%d rows read, %d %s, %d names without a key\n", done.Rows, done.Changed, changed(table.DryRun), len(done.Problems))
	return nil
}

// progressEvery is after how many rows the program says how far it is.
const progressEvery = 10_000

func changed(dryRun bool) string {
	if dryRun {
		return "would be written"
	}
	return "written"
}

// open connects to the database. Its errors have neither the DSN nor what a driver says about
// it: a password with an unusual character may end up in another part of the DSN.
func open(ctx context.Context, engine, dsn string) (*sql.DB, sqlstore.Dialect, error) {
	if dsn == "" {
		return nil, "", errors.New("there is no database: set the variable " + variable + ", or the flag -dsn")
	}
	db, dialect, err := (*sql.DB)(nil), sqlstore.Dialect(""), error(nil)
	switch engine {
	case "postgres":
		config, failing := pgx.ParseConfig(dsn)
		if err, dialect = failing, sqlstore.Postgres; err == nil {
			db = stdlib.OpenDB(*config)
		}
	case "mysql":
		dialect = sqlstore.MySQL
		db, err = sql.Open("mysql", dsn)
	case "sqlite":
		if !strings.HasPrefix(dsn, "file:") { // mode=rw makes no new file
			dsn = (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: dsn}).EscapedPath(), RawQuery: "mode=rw&_pragma=busy_timeout(10000)"}).String()
		}
		dialect = sqlstore.SQLite
		db, err = sql.Open("sqlite", dsn)
	default: // it is not printed: it may be a DSN
		return nil, "", errors.New("unknown engine; set -engine to postgres, mysql or sqlite")
	}
	if err != nil {
		return nil, "", fmt.Errorf("the driver for %s cannot read the DSN; write it as the driver documents it, with special characters of the password encoded", engine)
	}
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, "", fmt.Errorf("cannot open the database: %s", reason(err))
	}
	return db, dialect, nil
}

// reason says why a database cannot be opened, without anything of the DSN but the address of
// the server, or what the server answers.
func reason(err error) string {
	var network *net.OpError
	var postgres *pgconn.PgError
	var maria *mysql.MySQLError
	var lite *sqlite.Error
	switch {
	case errors.As(err, &network):
		return network.Error()
	case errors.As(err, &postgres):
		return postgres.Error()
	case errors.As(err, &maria):
		return maria.Error()
	case errors.As(err, &lite):
		return cmp.Or(sqlite.ErrorCodeString[lite.Code()], fmt.Sprintf("SQLite's error %d", lite.Code()))
	case errors.Is(err, context.Canceled):
		return context.Canceled.Error()
	}
	return "it is not printed why, because a driver's error may have parts of the DSN; check the address, the name of the database and the settings of TLS"
}
