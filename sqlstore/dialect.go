package sqlstore

import (
	"embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Dialect names the database behind the *sql.DB.
type Dialect string

// The supported databases, with their oldest supported versions.
const (
	SQLite   Dialect = "sqlite"   // 3.37, with any driver
	Postgres Dialect = "postgres" // 12, with pgx's database/sql driver (github.com/jackc/pgx/v5/stdlib)
	MySQL    Dialect = "mysql"    // MySQL 8.0 or MariaDB 10.6, with github.com/go-sql-driver/mysql
)

// schemas has a directory for each dialect; see migrate.go.
//
//go:embed schema
var schemas embed.FS

// A grammar holds what differs between dialects. The statements in this package
// work in SQLite and PostgreSQL; mysql.go has those that MySQL needs instead.
//
// A grammar has no error codes of drivers, except in undone: to find out which
// name is taken, the store asks which user has it, see Store.taken.
type grammar struct {
	schema   string // directory with the schema
	cleanup  string // deletes expired records; its parameters are the time and the maximum number
	numbered bool   // parameters are $1, $2 … instead of ?
	prepare  bool   // the store prepares statements; pgx does that itself, if it is configured to
	serial   bool   // the database has one writer at a time
	mysql    bool
}

func (d Dialect) grammar() (grammar, error) {
	switch d {
	case SQLite:
		return grammar{schema: "schema/sqlite", prepare: true, serial: true, cleanup: `
			DELETE FROM {prefix}records WHERE rowid IN (
				SELECT rowid FROM {prefix}records WHERE expires <= ? ORDER BY expires LIMIT ?)`}, nil
	case Postgres:
		// Rows that another transaction has locked are skipped, and deleted the
		// next time: waiting for them while holding locks of our own leads to
		// deadlocks. The rows are selected by ctid, because then there is only
		// one plan. By key, a planner with a wrong estimate of their number may
		// read the whole table. A ctid identifies a row only within its
		// partition, so the time is compared again.
		return grammar{schema: "schema/postgres", numbered: true, cleanup: `
			DELETE FROM {prefix}records WHERE expires <= $1 AND ctid = ANY (ARRAY(
				SELECT ctid FROM {prefix}records WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED))`}, nil
	case MySQL:
		return grammar{schema: "schema/mysql", prepare: true, mysql: true, cleanup: mysqlCleanup}, nil
	}
	return grammar{}, fmt.Errorf("sqlstore: unknown dialect %q; use SQLite, Postgres or MySQL", string(d))
}

// statement inserts the prefix of the tables, and numbers the parameters if the
// dialect wants that. A ? in our queries is always a parameter.
func (g grammar) statement(query, prefix string) string {
	query = strings.ReplaceAll(query, "{prefix}", prefix)
	if !g.numbered {
		return query
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		query = after
	}
}

// undone reports whether the database has given up and rolled back a statement
// because of another one: in a deadlock, or because rows changed while it ran
// at an isolation above READ COMMITTED. The database then reports SQLSTATE
// 40001 or 40P01. MySQL's driver reports it only in the error text.
func undone(err error) bool {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState() == "40001" || state.SQLState() == "40P01"
	}
	return err != nil && (strings.Contains(err.Error(), "Error 1213 (40001)") ||
		strings.Contains(err.Error(), "Error 1020 (HY000)")) // MariaDB with innodb_snapshot_isolation
}
