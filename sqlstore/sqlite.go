package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// minBusyTimeout is the shortest busy_timeout that Migrate accepts, in
// milliseconds.
const minBusyTimeout = 1000

// errSettings is wrapped by errors about a connection's settings.
var errSettings = errors.New("sqlstore: the SQLite database was opened with unsafe settings")

const rightDSN = `"file:app.db?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate" ` +
	`(modernc.org/sqlite, github.com/ncruces/go-sqlite3) or ` +
	`"file:app.db?_busy_timeout=10000&_journal_mode=WAL&_txlock=immediate" (github.com/mattn/go-sqlite3)`

// checkSQLite returns an error if connections do not wait long enough for one
// another. A PRAGMA statement sets one connection only, the DSN sets all of
// them. checkSQLite therefore checks every idle connection and a new one.
func (d *database) checkSQLite(ctx context.Context) error {
	return patiently(ctx, func() error {
		stats := d.pool.Stats()
		want := stats.Idle + 1
		if limit := stats.MaxOpenConnections; limit > 0 {
			want = max(1, min(want, limit-stats.InUse))
		}
		for i := range want {
			conn, err := d.connection(ctx, i)
			if err != nil {
				if i > 0 && ctx.Err() == nil {
					return nil // another goroutine has taken the connection meanwhile
				}
				return fmt.Errorf("sqlstore: preparing a migration: %w", err)
			}
			defer func() { _ = conn.Close() }() //nolint:gocritic // closed at the end, not in the loop: otherwise Conn would return the same connection again
			if err := checkConnection(ctx, conn, stats.MaxOpenConnections == 1); err != nil {
				return err
			}
		}
		return nil
	})
}

// connection takes a connection out of the pool. If the caller has one already,
// it waits at most a second: two callers could otherwise wait for each other
// for ever.
func (d *database) connection(ctx context.Context, have int) (*sql.Conn, error) {
	if have == 0 {
		return d.pool.Conn(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return d.pool.Conn(ctx)
}

func checkConnection(ctx context.Context, conn *sql.Conn, alone bool) error {
	var timeout int64
	var mode, file string
	for query, value := range map[string]any{
		`PRAGMA busy_timeout`: &timeout,
		`PRAGMA journal_mode`: &mode,
		`SELECT coalesce(file, '') FROM pragma_database_list WHERE name = 'main'`: &file,
	} {
		if err := conn.QueryRowContext(ctx, query).Scan(value); err != nil {
			return fmt.Errorf("sqlstore: preparing a migration: %w", err)
		}
	}
	switch inMemory := file == "" || mode == "memory"; {
	case inMemory && alone:
		return nil
	case inMemory:
		return fmt.Errorf("%w: each connection has its own database in memory; call db.SetMaxOpenConns(1)", errSettings)
	case timeout < minBusyTimeout || mode != "wal":
		return fmt.Errorf("%w: on at least one connection busy_timeout is %d ms (at least %d is needed) and journal_mode is %s "+
			"(wal is needed), so requests that write at the same time would fail with \"database is locked\". Open it with %s. "+
			"A PRAGMA statement is not enough: it sets only one connection of the pool", errSettings, timeout, minBusyTimeout, mode, rightDSN)
	}
	return nil
}
