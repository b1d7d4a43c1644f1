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
// the first.
//
// It is an error if the tables are there but not made by Migrate, or if they
// are newer than this package.
func Migrate(ctx context.Context, db *sql.DB, dialect Dialect, options ...Option) error {
	return migrate(ctx, open(db, dialect, options), users, records)
}

// MigrateRecords is Migrate for NewRecords: it creates no table of users.
func MigrateRecords(ctx context.Context, db *sql.DB, dialect Dialect, options ...Option) error {
	return migrate(ctx, open(db, dialect, options), records)
}

// migrate runs the files of the parts that this database has not seen, in one
// transaction. Each part has files name-1.sql, name-2.sql and so on; one that
// has been released never changes.
func migrate(ctx context.Context, d *database, parts ...string) error {
	if err := d.begin(ctx); err != nil {
		return fmt.Errorf("sqlstore: preparing a migration: %w", err)
	}
	for _, part := range parts {
		_, err := d.exec(ctx, d.pool, `
			INSERT INTO {prefix}schema (part, version) VALUES (?, 0)
			ON CONFLICT (part) DO NOTHING`, part)
		if err != nil {
			return fmt.Errorf("sqlstore: preparing a migration: %w", err)
		}
	}
	return d.transaction(ctx, func(tx *sql.Tx) error {
		// Writing first takes the lock that makes the others wait.
		if _, err := d.exec(ctx, tx, `UPDATE {prefix}schema SET version = version`); err != nil {
			return fmt.Errorf("sqlstore: preparing a migration: %w", err)
		}
		for _, part := range parts {
			if err := d.migratePart(ctx, tx, part); err != nil {
				return fmt.Errorf("sqlstore: migrating the %s: %w", part, err)
			}
		}
		return nil
	})
}

// begin creates the table of versions. It tries a few times, because processes
// that meet in an empty database can fail without having waited for one
// another: SQLite does where it turns on write-ahead logging, PostgreSQL in
// CREATE TABLE IF NOT EXISTS. A failure of another kind takes a third of a
// second longer to report.
func (d *database) begin(ctx context.Context) error {
	if d.err != nil {
		return d.err
	}
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		err := d.script(ctx, d.pool, "versions")
		if err == nil || wait > 160*time.Millisecond {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

func (d *database) migratePart(ctx context.Context, tx *sql.Tx, part string) error {
	var have, want int
	err := d.query(ctx, tx, func(rows *sql.Rows) error { return rows.Scan(&have) },
		`SELECT version FROM {prefix}schema WHERE part = ?`, part)
	if err != nil {
		return err
	}
	for ; ; want++ {
		name := fmt.Sprintf("%s-%d", part, want+1)
		if _, err := fs.Stat(schemas, d.grammar.schema+"/"+name+".sql"); errors.Is(err, fs.ErrNotExist) {
			break
		}
		if want < have {
			continue
		}
		if err := d.script(ctx, tx, name); err != nil {
			return err
		}
	}
	if have > want {
		return fmt.Errorf("the database has version %d, which is newer than this program's %d", have, want)
	}
	_, err = d.exec(ctx, tx, `UPDATE {prefix}schema SET version = ? WHERE part = ?`, want, part)
	return err
}

// script runs the statements of a file of the schema, one by one, since not
// every driver takes several at once. Each ends with a semicolon at the end of
// a line.
func (d *database) script(ctx context.Context, on session, name string) error {
	text, err := schemas.ReadFile(d.grammar.schema + "/" + name + ".sql")
	if err != nil {
		return err
	}
	for statement := range strings.SplitSeq(string(text), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := d.exec(ctx, on, statement); err != nil {
			return err
		}
	}
	return nil
}
