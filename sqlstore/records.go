package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// Records is a table of records: an [auth.RecordStore]. It keeps Expires to the
// microsecond, rounded down, and returns it in UTC.
type Records struct {
	db      *database
	cleanup reminder
}

// NewRecords returns a store of records, for applications with a users table of
// their own. (A [Store] has records already.) NewRecords does not touch the
// database. If the options are wrong, [auth.New] and every method of the store
// return the error.
func NewRecords(db *sql.DB, dialect Dialect, options ...Option) *Records {
	return &Records{db: open(db, dialect, options)}
}

// CheckStore implements [auth.StoreChecker]. It returns errors in the user type
// or the options, and does not touch the database.
func (s *Records) CheckStore() error { return s.db.err }

// maxName is the limit for a kind, a key or a user ID in bytes: what MySQL can
// index.
const maxName = 255

var errTooLong = fmt.Errorf("sqlstore: a kind, a key or a user ID has more than %d bytes", maxName)

// InsertRecord implements [auth.RecordStore].
func (s *Records) InsertRecord(ctx context.Context, r auth.Record) error {
	err := s.insertNew(ctx, r)
	if err == nil && s.db.tx == nil {
		s.remind(ctx)
	}
	return err
}

func (s *Records) insertNew(ctx context.Context, r auth.Record) error {
	if r.Kind == "" || r.Key == "" {
		return auth.ErrInvalidRecord
	}
	if len(r.Kind) > maxName || len(r.Key) > maxName || len(r.UserID) > maxName {
		return errTooLong
	}
	if !keeps(r.Expires) {
		return errTooFar
	}
	n, err := s.insert(ctx, r)
	if err != nil {
		return fmt.Errorf("sqlstore: inserting a record: %w", err)
	}
	if n == 0 {
		return auth.ErrRecordExists
	}
	return nil
}

// insert returns how many records it has inserted.
func (s *Records) insert(ctx context.Context, r auth.Record) (int64, error) {
	if s.db.grammar.mysql {
		return s.mysqlInsert(ctx, r)
	}
	return s.db.exec(ctx, `
		INSERT INTO {prefix}records (kind, record_key, user_id, data, version, expires)
		VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (kind, record_key) DO UPDATE
		SET user_id = excluded.user_id, data = excluded.data,
			version = excluded.version, expires = excluded.expires
		WHERE {prefix}records.expires <= ?`,
		[]byte(r.Kind), []byte(r.Key), []byte(r.UserID), blob(r.Data), r.Version, expiry(r.Expires), s.now())
}

const selectRecord = `
	SELECT record_key, user_id, data, version, expires FROM {prefix}records `

// GetRecord implements [auth.RecordStore].
func (s *Records) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if kind == "" || key == "" {
		return auth.Record{}, auth.ErrInvalidRecord
	}
	found, err := s.read(ctx, kind, selectRecord+`WHERE kind = ? AND record_key = ? AND (expires IS NULL OR expires > ?)`,
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
	if !keeps(r.Expires) {
		return errTooFar
	}
	kind, key, now := []byte(r.Kind), []byte(r.Key), s.now()
	// The sum is computed in Go, where it wraps around. In a database it might
	// not.
	n, err := s.db.exec(ctx, `
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
	taken, err := s.take(ctx, kind, key)
	if err != nil {
		return auth.Record{}, fmt.Errorf("sqlstore: taking a record: %w", err)
	}
	if len(taken) == 0 {
		return auth.Record{}, auth.ErrRecordNotFound
	}
	return taken[0], nil
}

// take returns the record that it has deleted, if there was one.
func (s *Records) take(ctx context.Context, kind, key string) ([]auth.Record, error) {
	if s.db.grammar.mysql {
		return s.mysqlTake(ctx, kind, key)
	}
	return s.read(ctx, kind, `
		DELETE FROM {prefix}records
		WHERE kind = ? AND record_key = ? AND (expires IS NULL OR expires > ?)
		RETURNING record_key, user_id, data, version, expires`,
		[]byte(kind), []byte(key), s.now())
}

// ListRecords implements [auth.RecordStore].
func (s *Records) ListRecords(ctx context.Context, kind, userID string) ([]auth.Record, error) {
	if kind == "" || userID == "" {
		return nil, auth.ErrInvalidRecord
	}
	list, err := s.read(ctx, kind, selectRecord+`WHERE user_id = ? AND kind = ? AND (expires IS NULL OR expires > ?)`,
		[]byte(userID), []byte(kind), s.now())
	if err != nil {
		return nil, fmt.Errorf("sqlstore: listing records: %w", err)
	}
	return list, nil
}

// DeleteRecords implements [auth.RecordStore]. The number of keys in keep is
// limited by the parameters of a statement: 16384 keys in SQLite, 32768 in the
// other databases.
func (s *Records) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	if kind == "" || userID == "" {
		return auth.ErrInvalidRecord
	}
	where := ` FROM {prefix}records WHERE user_id = ? AND kind = ?`
	args := []any{[]byte(userID), []byte(kind)}
	if len(keep) > 0 {
		// A power of two, so that there are few different statements.
		n := 1 << bits.Len(uint(len(keep)-1))
		where += ` AND record_key NOT IN (?` + strings.Repeat(`, ?`, n-1) + `)`
		for i := range n {
			args = append(args, []byte(keep[i%len(keep)]))
		}
	}
	// A DELETE that waits for another transaction does not see rows inserted
	// meanwhile (in MySQL, at READ COMMITTED). A rotation inserts the new record of
	// a login before it takes the old one, so the new one could survive. But the
	// login has a record at every moment, and a SELECT sees one moment. The loop
	// therefore runs until a SELECT finds none.
	for left := true; left; {
		if _, err := s.db.exec(ctx, `DELETE`+where, args...); err != nil {
			return fmt.Errorf("sqlstore: deleting records: %w", err)
		}
		if s.db.grammar.serial {
			return nil
		}
		var err error
		if left, err = s.db.exists(ctx, `SELECT 1`+where+` LIMIT 1`, args...); err != nil {
			return fmt.Errorf("sqlstore: deleting records: %w", err)
		}
	}
	return nil
}

// cleanupBatch is how many records one statement of Cleanup deletes. Other writers
// may wait for it: a few milliseconds, and some more in an SQLite file of a million
// records.
const cleanupBatch = 500

// turnFor is how long a process may clean up before it has to renew its turn record.
const turnFor = time.Minute

// Cleanup deletes expired records, and returns how many. It works in small batches, so
// that requests can run meanwhile, and stops between two batches when ctx is done. Your
// application must call it, with CleanupEvery or from a job of its own. Once an hour is
// enough, because no other method returns an expired record.
//
// If several processes call it, one works and the others return at once. The working
// process keeps a record in this table that expires after a minute, and renews it. If
// the process dies, another can continue after that minute.
func (s *Records) Cleanup(ctx context.Context) (total int64, err error) {
	if s.db.err != nil {
		return 0, s.db.err
	}
	turn := auth.Record{Kind: "sqlstore-cleanup", Key: "turn", Version: randomVersion(), Expires: s.db.now().Add(turnFor)}
	if err := s.insertNew(ctx, turn); err != nil {
		if errors.Is(err, auth.ErrRecordExists) {
			return 0, nil
		}
		return 0, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		turn.Expires = s.db.now()
		_ = s.UpdateRecord(ctx, turn) // if this fails, the record expires by itself
	}()
	for {
		n, err := s.db.exec(ctx, s.db.grammar.cleanup, s.now(), cleanupBatch)
		total += n
		if err != nil {
			return total, fmt.Errorf("sqlstore: cleaning up: %w", err)
		}
		if n < cleanupBatch {
			return total, nil
		}
		if now := s.db.now(); turn.Expires.Sub(now) < turnFor/2 {
			turn.Expires = now.Add(turnFor)
			switch err := s.UpdateRecord(ctx, turn); {
			case errors.Is(err, auth.ErrConflict), errors.Is(err, auth.ErrRecordNotFound):
				return total, nil // this process was slow, and another has the turn now
			case err != nil:
				return total, err
			}
			turn.Version++
		}
	}
}

func randomVersion() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return int64(binary.LittleEndian.Uint64(b[:]))
}

// read returns the records of a kind that a query returns.
func (s *Records) read(ctx context.Context, kind, query string, args ...any) ([]auth.Record, error) {
	return collect(ctx, s.db, func(rows *sql.Rows) (auth.Record, error) {
		r := auth.Record{Kind: kind}
		var expires sql.NullInt64
		if err := rows.Scan(&r.Key, &r.UserID, &r.Data, &r.Version, &expires); err != nil {
			return auth.Record{}, err
		}
		if expires.Valid {
			r.Expires = time.UnixMicro(expires.Int64).UTC()
		}
		return r, nil
	}, query, args...)
}

// now returns the time of the store's clock in microseconds.
func (s *Records) now() int64 {
	if s.db.err != nil {
		return 0 // there may be no clock
	}
	return s.db.now().UnixMicro()
}

var errTooFar = errors.New("sqlstore: Expires must be between the years -290000 and 290000")

// keeps reports whether t fits into a signed 64-bit number of microseconds.
func keeps(t time.Time) bool { return -290_000 < t.Year() && t.Year() < 290_000 }

// expiry returns t as stored in the column: microseconds, or NULL for never.
func expiry(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

// blob returns data, but never nil, which would be NULL.
func blob(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}
