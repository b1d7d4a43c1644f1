package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// Records is a table of records: an [auth.RecordStore]. Expiries are kept to
// the microsecond, rounded down, and come back in UTC.
type Records struct {
	db *database
}

// NewRecords is for applications that have a table of users of their own; New
// has the records with the users. It does not touch the database. What is wrong
// with the options is the error of every method.
func NewRecords(db *sql.DB, dialect Dialect, options ...Option) *Records {
	return &Records{db: open(db, dialect, options)}
}

// InsertRecord implements [auth.RecordStore].
func (s *Records) InsertRecord(ctx context.Context, r auth.Record) error {
	if r.Kind == "" || r.Key == "" {
		return auth.ErrInvalidRecord
	}
	n, err := s.db.exec(ctx, s.db.pool, `
		INSERT INTO {prefix}records (kind, record_key, user_id, data, version, expires)
		VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (kind, record_key) DO UPDATE
		SET user_id = excluded.user_id, data = excluded.data,
			version = excluded.version, expires = excluded.expires
		WHERE {prefix}records.expires <= ?`,
		[]byte(r.Kind), []byte(r.Key), []byte(r.UserID), blob(r.Data), r.Version, expiry(r.Expires), s.now())
	if err != nil {
		return fmt.Errorf("sqlstore: inserting a record: %w", err)
	}
	if n == 0 {
		return auth.ErrRecordExists
	}
	return nil
}

// GetRecord implements [auth.RecordStore].
func (s *Records) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if kind == "" || key == "" {
		return auth.Record{}, auth.ErrInvalidRecord
	}
	found, err := s.read(ctx, `
		SELECT kind, record_key, user_id, data, version, expires FROM {prefix}records
		WHERE kind = ? AND record_key = ? AND (expires IS NULL OR expires > ?)`,
		[]byte(kind), []byte(key), s.now())
	if err != nil {
		return auth.Record{}, fmt.Errorf("sqlstore: reading a record: %w", err)
	}
	if len(found) == 0 {
		return auth.Record{}, auth.ErrRecordNotFound
	}
	return found[0], nil
}

// UpdateRecord implements [auth.RecordStore].
func (s *Records) UpdateRecord(ctx context.Context, r auth.Record) error {
	if r.Kind == "" || r.Key == "" {
		return auth.ErrInvalidRecord
	}
	kind, key, now := []byte(r.Kind), []byte(r.Key), s.now()
	// The sum is Go's, which wraps around where a database's would not.
	n, err := s.db.exec(ctx, s.db.pool, `
		UPDATE {prefix}records SET data = ?, expires = ?, version = ?
		WHERE kind = ? AND record_key = ? AND version = ? AND (expires IS NULL OR expires > ?)`,
		blob(r.Data), expiry(r.Expires), r.Version+1, kind, key, r.Version, now)
	if err != nil {
		return fmt.Errorf("sqlstore: updating a record: %w", err)
	}
	if n > 0 {
		return nil
	}
	found, err := s.db.exists(ctx, `
		SELECT 1 FROM {prefix}records
		WHERE kind = ? AND record_key = ? AND (expires IS NULL OR expires > ?)`, kind, key, now)
	if err != nil {
		return fmt.Errorf("sqlstore: updating a record: %w", err)
	}
	if found {
		return auth.ErrConflict
	}
	return auth.ErrRecordNotFound
}

// TakeRecord implements [auth.RecordStore].
func (s *Records) TakeRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if kind == "" || key == "" {
		return auth.Record{}, auth.ErrInvalidRecord
	}
	taken, err := s.read(ctx, `
		DELETE FROM {prefix}records
		WHERE kind = ? AND record_key = ? AND (expires IS NULL OR expires > ?)
		RETURNING kind, record_key, user_id, data, version, expires`,
		[]byte(kind), []byte(key), s.now())
	if err != nil {
		return auth.Record{}, fmt.Errorf("sqlstore: taking a record: %w", err)
	}
	if len(taken) == 0 {
		return auth.Record{}, auth.ErrRecordNotFound
	}
	return taken[0], nil
}

// ListRecords implements [auth.RecordStore].
func (s *Records) ListRecords(ctx context.Context, kind, userID string) ([]auth.Record, error) {
	if kind == "" || userID == "" {
		return nil, auth.ErrInvalidRecord
	}
	list, err := s.read(ctx, `
		SELECT kind, record_key, user_id, data, version, expires FROM {prefix}records
		WHERE user_id = ? AND kind = ? AND (expires IS NULL OR expires > ?)`,
		[]byte(userID), []byte(kind), s.now())
	if err != nil {
		return nil, fmt.Errorf("sqlstore: listing records: %w", err)
	}
	return list, nil
}

// DeleteRecords implements [auth.RecordStore]. keep is limited by how many
// parameters a statement can have: 32766 in SQLite, less two.
func (s *Records) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	if kind == "" || userID == "" {
		return auth.ErrInvalidRecord
	}
	query := `DELETE FROM {prefix}records WHERE user_id = ? AND kind = ?`
	args := []any{[]byte(userID), []byte(kind)}
	if len(keep) > 0 {
		query += ` AND record_key NOT IN (?` + strings.Repeat(`, ?`, len(keep)-1) + `)`
	}
	for _, key := range keep {
		args = append(args, []byte(key))
	}
	if _, err := s.db.exec(ctx, s.db.pool, query, args...); err != nil {
		return fmt.Errorf("sqlstore: deleting records: %w", err)
	}
	return nil
}

// cleanupBatch is how many records a statement of Cleanup deletes. Whoever else
// wants to write waits for as long as that takes, a few milliseconds.
const cleanupBatch = 500

// Cleanup deletes the records that have expired, and returns how many. It works
// in small batches, so that it may run beside requests, and stops between two
// of them when ctx is done. Nobody calls it but the application: once an hour
// is plenty, since an expired record is not there for any other method.
func (s *Records) Cleanup(ctx context.Context) (int64, error) {
	now := s.now()
	for total := int64(0); ; {
		// The condition is there twice for databases that let somebody else
		// insert the record anew between the inner and the outer statement.
		n, err := s.db.exec(ctx, s.db.pool, `
			DELETE FROM {prefix}records WHERE (kind, record_key) IN (
				SELECT kind, record_key FROM {prefix}records WHERE expires <= ? ORDER BY expires LIMIT ?
			) AND expires <= ?`, now, cleanupBatch, now)
		total += n
		if err != nil {
			return total, fmt.Errorf("sqlstore: cleaning up: %w", err)
		}
		if n < cleanupBatch {
			return total, nil
		}
	}
}

// read returns the records that a query yields.
func (s *Records) read(ctx context.Context, query string, args ...any) (list []auth.Record, err error) {
	err = s.db.query(ctx, s.db.pool, func(rows *sql.Rows) error {
		var r auth.Record
		var kind, key, userID []byte
		var expires sql.NullInt64
		if err := rows.Scan(&kind, &key, &userID, &r.Data, &r.Version, &expires); err != nil {
			return err
		}
		r.Kind, r.Key, r.UserID = string(kind), string(key), string(userID)
		if expires.Valid {
			r.Expires = time.UnixMicro(expires.Int64).UTC()
		}
		list = append(list, r)
		return nil
	}, query, args...)
	return list, err
}

// now is the time of the store's clock in microseconds.
func (s *Records) now() int64 {
	if s.db.err != nil {
		return 0 // there may be no clock
	}
	return s.db.now().UnixMicro()
}

// expiry is t as the column has it: microseconds, or NULL for never.
func expiry(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

// blob is data, which is never NULL.
func blob(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}
