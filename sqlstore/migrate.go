package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// The parts of the schema. An application may do with the records alone.
const (
	users   = "users"
	records = "records"
)

// Migrate creates the tables of New, or brings them to the version that this
// package needs. It changes nothing in a database that is up to date, and never
// deletes anything. Several processes may call it at once; the others wait for
// the first. Call it at every start: it looks for faults that would show only later,
// as something else. It is an error
//
//   - if the tables are there but not made by Migrate, or if they are newer than
//     this package
//   - if an SQLite database is opened with settings under which requests that write
//     at once fail; the error has the DSN to use
//   - if a record and a user come back from the database other than they were
//     written: a driver's fault, or a connection's character set. Both are written in
//     a transaction that is rolled back. A connection that may not write is not tried
//     out.
func Migrate(ctx context.Context, db *sql.DB, dialect Dialect, options ...Option) error {
	return migrate(ctx, open(db, dialect, options), users, records)
}

// MigrateRecords is Migrate for NewRecords: it creates no table of users.
func MigrateRecords(ctx context.Context, db *sql.DB, dialect Dialect, options ...Option) error {
	return migrate(ctx, open(db, dialect, options), records)
}

// migrate runs the files of the parts that this database has not seen. Each part
// has files name-1.sql, name-2.sql and so on; one that has been released never
// changes.
func migrate(ctx context.Context, d *database, parts ...string) error {
	if d.err != nil {
		return d.err
	}
	if d.grammar.serial {
		if err := d.checkSQLite(ctx); err != nil {
			return err
		}
	}
	// Who has no right to change the schema may still ask whether it is as it
	// should be.
	if current, err := d.current(ctx, parts); err != nil || !current {
		if err := d.create(ctx, parts); err != nil {
			return err
		}
	}
	return d.tryOut(ctx, parts)
}

// create creates the tables that are missing.
func (d *database) create(ctx context.Context, parts []string) error {
	err := patiently(ctx, func() error { return d.script(ctx, d.pool, "versions", false) })
	if err != nil {
		return fmt.Errorf("sqlstore: preparing a migration: %w", err)
	}
	return d.alone(ctx, func(on session) error {
		for _, part := range parts {
			if err := d.migratePart(ctx, on, part); err != nil {
				return fmt.Errorf("sqlstore: migrating the %s: %w", part, err)
			}
		}
		return nil
	})
}

// current reports whether there is nothing to do.
func (d *database) current(ctx context.Context, parts []string) (bool, error) {
	for _, part := range parts {
		have, err := d.version(ctx, d.pool, part)
		if err != nil || have != d.latest(part) {
			return false, err
		}
	}
	return true, nil
}

// patiently tries a few times, because processes that meet in an empty database
// can fail without having waited for one another: SQLite does where it turns on
// write-ahead logging, PostgreSQL in CREATE TABLE IF NOT EXISTS. A failure of
// another kind takes a third of a second longer to report.
func patiently(ctx context.Context, do func() error) error {
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		err := do()
		if err == nil || errors.Is(err, errSettings) || wait > 160*time.Millisecond {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// alone calls f while no other process is in it, in a transaction where the
// database takes changes of the schema into one.
func (d *database) alone(ctx context.Context, f func(session) error) error {
	if d.grammar.mysql {
		return d.mysqlAlone(ctx, f)
	}
	tx, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlstore: preparing a migration: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	// Writing takes the lock that makes the others wait.
	if _, err := d.run(ctx, tx, `UPDATE {prefix}schema SET version = version WHERE part = 'records'`); err != nil {
		return fmt.Errorf("sqlstore: preparing a migration: %w", err)
	}
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (d *database) migratePart(ctx context.Context, on session, part string) error {
	have, err := d.version(ctx, on, part)
	if err != nil {
		return err
	}
	if latest := d.latest(part); have > latest {
		return fmt.Errorf("the database has version %d, which is newer than this program's %d", have, latest)
	}
	for have != d.latest(part) {
		if have, err = d.step(ctx, on, part, have); err != nil {
			return err
		}
	}
	return nil
}

// step runs the file after the version that the database has, and returns the
// version that it then has.
func (d *database) step(ctx context.Context, on session, part string, have int) (int, error) {
	const set = `UPDATE {prefix}schema SET version = ? WHERE part = ?`
	begun := have < 0
	next := have + 1
	if begun {
		next = -have
	} else if d.grammar.mysql {
		if _, err := d.run(ctx, on, set, -next, part); err != nil {
			return 0, err
		}
	}
	if err := d.script(ctx, on, fmt.Sprintf("%s-%d", part, next), begun); err != nil {
		if !begun && d.grammar.mysql {
			// The database has refused it: a table of that name is not ours, and
			// must not be taken for one that we have begun. Where the connection
			// is lost and nobody knows, this fails as well.
			_, _ = d.run(ctx, on, set, have, part)
		}
		return 0, err
	}
	_, err := d.run(ctx, on, set, next, part)
	return next, err
}

// latest is the number of the last file of a part.
func (d *database) latest(part string) (n int) {
	for {
		_, err := fs.Stat(schemas, fmt.Sprintf("%s/%s-%d.sql", d.grammar.schema, part, n+1))
		if err != nil {
			return n
		}
		n++
	}
}

// version is the version of a part that the database has.
func (d *database) version(ctx context.Context, on session, part string) (int, error) {
	query := &statement{text: d.grammar.statement(`SELECT version FROM {prefix}schema WHERE part = ?`, d.prefix)}
	versions, err := readAll(ctx, on, query, func(rows *sql.Rows) (version int, err error) {
		err = rows.Scan(&version)
		return version, err
	}, []any{part})
	if err != nil {
		return 0, err
	}
	if len(versions) == 0 {
		return 0, errors.New("the table of versions is damaged")
	}
	return versions[0], nil
}

// script runs the statements of a file of the schema, one by one, since not
// every driver takes several at once. Each ends with a semicolon at the end of
// a line. One that has been begun before creates what is missing.
func (d *database) script(ctx context.Context, on session, name string, begun bool) error {
	text, err := schemas.ReadFile(d.grammar.schema + "/" + name + ".sql")
	if err != nil {
		return err
	}
	for statement := range strings.SplitSeq(string(text), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if begun {
			statement = strings.Replace(statement, "CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1)
		}
		if _, err := d.run(ctx, on, statement); err != nil {
			return err
		}
	}
	return nil
}

// run runs a statement of a migration, without preparing it, once.
func (d *database) run(ctx context.Context, on session, query string, args ...any) (sql.Result, error) {
	return on.ExecContext(ctx, d.grammar.statement(query, d.prefix), args...)
}
