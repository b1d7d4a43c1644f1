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

// The parts of the schema. An application may use the records alone.
const (
	users   = "users"
	records = "records"
)

// Migrate creates the tables of New, or brings them to the version that this
// package needs. It changes nothing in a database that is up to date, and never
// deletes anything. Several processes may call it at once; the others wait for
// the first. Call it at every start, because it also finds faults that would
// show only later, as other errors. It returns an error
//
//   - if the tables exist but were not made by Migrate, or are newer than this
//     package
//   - if the settings of an SQLite database would make requests that write at
//     once fail; the error has the DSN to use
//   - if a record and a user come back from the database changed, because of
//     the driver or the connection's character set. Migrate writes both in a
//     transaction that it rolls back. If the connection may not write, it skips
//     this check.
func Migrate(ctx context.Context, db *sql.DB, dialect Dialect, options ...Option) error {
	return migrate(ctx, open(db, dialect, options), users, records)
}

// MigrateRecords is Migrate for NewRecords: it creates no users table.
func MigrateRecords(ctx context.Context, db *sql.DB, dialect Dialect, options ...Option) error {
	return migrate(ctx, open(db, dialect, options), records)
}

// migrate runs the schema files of the parts that this database does not have
// yet. Each part has files name-1.sql, name-2.sql and so on. A released file
// never changes.
func migrate(ctx context.Context, d *database, parts ...string) error {
	if d.err != nil {
		return d.err
	}
	if d.grammar.serial {
		if err := d.checkSQLite(ctx); err != nil {
			return err
		}
	}
	// A connection without the right to change the schema can still check its
	// version.
	if current, err := d.current(ctx, parts); err != nil || !current {
		if err := d.create(ctx, parts); err != nil {
			return err
		}
	}
	return d.tryOut(ctx, parts)
}

// create creates the missing tables.
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

// current reports whether every part has the latest version.
func (d *database) current(ctx context.Context, parts []string) (bool, error) {
	for _, part := range parts {
		have, err := d.version(ctx, d.pool, part)
		if err != nil || have != d.latest(part) {
			return false, err
		}
	}
	return true, nil
}

// patiently retries a few times, because processes that meet in an empty
// database can fail without having waited for one another: in SQLite when it
// turns on write-ahead logging, in PostgreSQL in CREATE TABLE IF NOT EXISTS.
// Other errors are therefore reported a third of a second later.
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

// alone calls f while no other process is in it. It uses a transaction if the
// database allows changes of the schema in one.
func (d *database) alone(ctx context.Context, f func(session) error) error {
	if d.grammar.mysql {
		return d.mysqlAlone(ctx, f)
	}
	tx, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlstore: preparing a migration: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	// This write takes the lock for which the other processes wait.
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
		return fmt.Errorf("the database has version %d, which is newer than this program's %d; update the program", have, latest)
	}
	for have != d.latest(part) {
		if have, err = d.step(ctx, on, part, have); err != nil {
			return err
		}
	}
	return nil
}

// step runs the file that follows the version of the database, and returns the
// new version.
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
			// The database has refused the statement, because it already has a
			// table of that name which is not ours. It must not be taken for
			// one that we have begun. If the connection was lost instead, this
			// UPDATE fails as well, and the step stays begun.
			_, _ = d.run(ctx, on, set, have, part)
		}
		return 0, err
	}
	_, err := d.run(ctx, on, set, next, part)
	return next, err
}

// latest returns the number of the last file of a part.
func (d *database) latest(part string) (n int) {
	for {
		_, err := fs.Stat(schemas, fmt.Sprintf("%s/%s-%d.sql", d.grammar.schema, part, n+1))
		if err != nil {
			return n
		}
		n++
	}
}

// version returns the version of a part that the database has.
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
		return 0, errors.New("the schema table has no row for this part; restore it from a backup")
	}
	return versions[0], nil
}

// script runs the statements of a schema file one by one, because some drivers
// do not take several at once. A statement ends with a semicolon at the end of
// a line. If the file was begun before, script creates only what is missing.
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

// run runs a statement of a migration once, without preparing it.
func (d *database) run(ctx context.Context, on session, query string, args ...any) (sql.Result, error) {
	return on.ExecContext(ctx, d.grammar.statement(query, d.prefix), args...)
}
