package sqlstore

import (
	"embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Dialect says which database is behind the *sql.DB.
type Dialect string

// The databases, and the oldest versions that have what we need.
const (
	SQLite   Dialect = "sqlite"   // 3.37, with any driver
	Postgres Dialect = "postgres" // 12, with pgx's database/sql driver (github.com/jackc/pgx/v5/stdlib)
	MySQL    Dialect = "mysql"    // MySQL 8.0 or MariaDB 10.6, with github.com/go-sql-driver/mysql
)

// schemas has a directory for each dialect; see migrate.go.
//
//go:embed schema
var schemas embed.FS

// A grammar is what differs between dialects. The statements in this package
// are written in the common ground of SQLite and PostgreSQL; what MySQL does in
// their place is in mysql.go.
//
// No dialect needs to know the error codes of its drivers but for undone: which
// name is taken is found out by asking who has it, see Store.taken.
type grammar struct {
	schema   string // directory with the schema
	cleanup  string // deletes expired records; its parameters are the time, and how many at most
	numbered bool   // parameters are $1, $2 … in place of ?
	prepare  bool   // statements are kept prepared; pgx does that itself, and may be told not to
	serial   bool   // there is one writer at a time
	mysql    bool
}

func (d Dialect) grammar() (grammar, error) {
	switch d {
	case SQLite:
		return grammar{schema: "schema/sqlite", prepare: true, serial: true, cleanup: `
			DELETE FROM {prefix}records WHERE rowid IN (
				SELECT rowid FROM {prefix}records WHERE expires <= ? ORDER BY expires LIMIT ?)`}, nil
	case Postgres:
		// What somebody else is at work on is left for the next time: waiting
		// for it, with rows of our own locked, is how deadlocks come about.
		// By ctid there is one way to do it; by key, a planner that does not
		// know how many there are may read the whole table to find them. But
		// a ctid names a row only within its partition, so the time is asked
		// again.
		return grammar{schema: "schema/postgres", numbered: true, cleanup: `
			DELETE FROM {prefix}records WHERE expires <= $1 AND ctid = ANY (ARRAY(
				SELECT ctid FROM {prefix}records WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED))`}, nil
	case MySQL:
		return grammar{schema: "schema/mysql", prepare: true, mysql: true, cleanup: mysqlCleanup}, nil
	}
	return grammar{}, fmt.Errorf("sqlstore: unknown dialect %q", string(d))
}

// statement fills in the prefix of the tables, and numbers the parameters where
// the dialect has them numbered. Our queries have a ? for nothing else.
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

// undone reports whether the database has given up a statement for the sake of
// another, and undone what it did: a deadlock, or rows that changed while it
// ran at an isolation above READ COMMITTED. It says so with SQLSTATE 40001 or
// 40P01, or, in MySQL's driver, in the text alone.
func undone(err error) bool {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState() == "40001" || state.SQLState() == "40P01"
	}
	return err != nil && (strings.Contains(err.Error(), "Error 1213 (40001)") ||
		strings.Contains(err.Error(), "Error 1020 (HY000)")) // MariaDB with innodb_snapshot_isolation
}
