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

// This file has what MySQL and MariaDB do instead of a single statement of
// SQLite and PostgreSQL. MySQL has no RETURNING, no ON CONFLICT … WHERE, no
// LIMIT in a subquery, and no CREATE TABLE within a transaction.

// mysqlInsert leaves an existing row alone and reports a count of 0 for it,
// whether the connection counts found or changed rows. IGNORE hides no mistakes
// of ours: no value can be too long, missing or of another type.
const mysqlInsert = `
	INSERT IGNORE INTO {prefix}records (kind, record_key, user_id, data, version, expires)
	VALUES (?, ?, ?, ?, ?, ?)`

const mysqlCleanup = `
	DELETE FROM {prefix}records WHERE expires <= ? ORDER BY expires LIMIT ?`

// mysqlInsert inserts a record. If there is one already that has expired, it
// deletes that and tries again.
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

// mysqlTake reads a record and deletes it if every field is still as it was
// read. The call that deletes the record is the one that gets it.
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

// errNotRead is returned if the connection returns other bytes than were
// written.
var errNotRead = errors.New("sqlstore: the database does not find the record just read; set the connection's character set to utf8mb4")

// mysqlAlone calls f while no other process is in it. MySQL commits when a
// table is created, so there is no transaction. Instead, the version in the
// schema table says that a step has begun (see step), and each schema file has
// only one statement. If a process dies, the next one can continue its step.
func (d *database) mysqlAlone(ctx context.Context, f func(session) error) (err error) {
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("sqlstore: preparing a migration: %w", err)
	}
	defer func() { _ = conn.Close() }()
	const name = `SHA1(CONCAT('go-login ', DATABASE(), ' {prefix}'))` // a lock belongs to the whole server; its name has at most 64 characters
	var got sql.NullInt64
	lock := d.grammar.statement(`SELECT GET_LOCK(`+name+`, 60)`, d.prefix)
	if err := conn.QueryRowContext(ctx, lock).Scan(&got); err != nil {
		return fmt.Errorf("sqlstore: preparing a migration: %w", err)
	}
	if got.Int64 != 1 {
		return errors.New("sqlstore: Migrate waited a minute for another process that is migrating; try again when that has ended")
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_, unlocking := d.run(ctx, conn, `DO RELEASE_LOCK(`+name+`)`)
		err = cmp.Or(err, unlocking)
	}()
	return f(conn)
}
