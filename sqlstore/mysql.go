package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-login/auth"
)

// This file is what MySQL and MariaDB do where SQLite and PostgreSQL have one
// statement: MySQL has no RETURNING, no ON CONFLICT … WHERE, no LIMIT in a
// subquery, and no CREATE TABLE within a transaction.

// mysqlInsert does not say IGNORE to get around errors of ours: nothing in it
// can be too long, missing or of another type. It leaves a row that is there
// alone, and says so by a count of 0, whether the connection counts rows that
// were found or that were changed.
const mysqlInsert = `
	INSERT IGNORE INTO {prefix}records (kind, record_key, user_id, data, version, expires)
	VALUES (?, ?, ?, ?, ?, ?)`

const mysqlCleanup = `
	DELETE FROM {prefix}records WHERE expires <= ? ORDER BY expires LIMIT ?`

// mysqlInsert inserts, and if there is a record already, deletes it if it has
// expired and tries again.
func (s *Records) mysqlInsert(ctx context.Context, r auth.Record) (int64, error) {
	for {
		n, err := s.db.exec(ctx, mysqlInsert,
			[]byte(r.Kind), []byte(r.Key), []byte(r.UserID), blob(r.Data), r.Version, expiry(r.Expires))
		if n > 0 || err != nil {
			return n, err
		}
		n, err = s.db.exec(ctx, `DELETE FROM {prefix}records WHERE kind = ? AND record_key = ? AND expires <= ?`,
			[]byte(r.Kind), []byte(r.Key), s.now())
		if n == 0 || err != nil {
			return 0, err
		}
	}
}

// mysqlTake reads a record and deletes it if it is still, to the last bit, the
// one that was read: who deletes it is the one who got it.
func (s *Records) mysqlTake(ctx context.Context, kind, key string) ([]auth.Record, error) {
	for range tries {
		found, err := s.read(ctx, kind, selectRecord+`WHERE kind = ? AND record_key = ? AND (expires IS NULL OR expires > ?)`,
			[]byte(kind), []byte(key), s.now())
		if len(found) == 0 || err != nil {
			return nil, err
		}
		r := found[0]
		n, err := s.db.exec(ctx, `
			DELETE FROM {prefix}records
			WHERE kind = ? AND record_key = ? AND version = ? AND user_id = ? AND data = ? AND expires <=> ?`,
			[]byte(kind), []byte(key), r.Version, []byte(r.UserID), blob(r.Data), expiry(r.Expires))
		if n > 0 || err != nil {
			return found, err
		}
	}
	return nil, errNotRead
}

// errNotRead is what comes of a connection that gives back other bytes than it
// was given.
var errNotRead = errors.New("sqlstore: the record is never the one that was read: is the connection's character set utf8mb4?")

// mysqlAlone calls f while no other process is in it. MySQL commits where a
// table is created, so there is no transaction; a version says that somebody has
// begun (see step), and a file of its schema has one statement, so that what a
// process has left can be gone on with.
func (d *database) mysqlAlone(ctx context.Context, f func(session) error) (err error) {
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("sqlstore: preparing a migration: %w", err)
	}
	defer func() { _ = conn.Close() }()
	const name = `SHA1(CONCAT('go-login ', DATABASE(), ' {prefix}'))` // locks are the server's, names have 64 characters
	var got sql.NullInt64
	lock := d.grammar.statement(`SELECT GET_LOCK(`+name+`, 60)`, d.prefix)
	if err := conn.QueryRowContext(ctx, lock).Scan(&got); err != nil {
		return fmt.Errorf("sqlstore: preparing a migration: %w", err)
	}
	if got.Int64 != 1 {
		return errors.New("sqlstore: another process has been migrating for a minute")
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_, unlocking := d.run(ctx, conn, `DO RELEASE_LOCK(`+name+`)`)
		err = cmp.Or(err, unlocking)
	}()
	return f(conn)
}
