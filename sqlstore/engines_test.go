package sqlstore_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/sqlstore"
	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// An engine is a database that tests run on, with the settings of a connection.
type engine struct {
	name    string
	dialect sqlstore.Dialect
	driver  string
	newDSN  func(t *testing.T) string // returns the DSN of a new, empty database
}

func engines() []engine {
	return []engine{
		{"SQLite", sqlstore.SQLite, "sqlite", newFile},
		{"PostgreSQL", sqlstore.Postgres, "pgx", newSchema},
		{"MariaDB", sqlstore.MySQL, "mysql", func(t *testing.T) string { return newDatabase(t, "") }},
	}
}

// each runs a test on every engine: on SQLite, and on those whose servers are
// named in the environment.
func each(t *testing.T, test func(t *testing.T, e engine)) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) { test(t, e) })
	}
}

// eachSetting is each with other settings with which applications connect.
func eachSetting(t *testing.T, test func(t *testing.T, e engine)) {
	each(t, test)
	for _, e := range []engine{
		{"PostgreSQL, serializable", sqlstore.Postgres, "pgx", func(t *testing.T) string {
			return newSchema(t) + "&default_transaction_isolation=serializable"
		}},
		{"PostgreSQL, simple protocol", sqlstore.Postgres, "pgx", func(t *testing.T) string {
			return newSchema(t) + "&default_query_exec_mode=simple_protocol"
		}},
		{"MariaDB, as an application may", sqlstore.MySQL, "mysql", func(t *testing.T) string {
			return newDatabase(t, "clientFoundRows=true&interpolateParams=true&parseTime=true&sql_mode=''&time_zone='-03:30'&tx_isolation='READ-COMMITTED'")
		}},
		{"MariaDB, snapshot isolation", sqlstore.MySQL, "mysql", func(t *testing.T) string {
			return newDatabase(t, "innodb_snapshot_isolation=ON")
		}},
	} {
		t.Run(e.name, func(t *testing.T) { test(t, e) })
	}
}

// newFile returns the recommended DSN.
func newFile(t *testing.T) string {
	t.Helper()
	return "file:" + filepath.ToSlash(filepath.Join(t.TempDir(), "app.db")) +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate"
}

// newSchema makes a schema, which serves as a database.
func newSchema(t *testing.T) string {
	t.Helper()
	server := testapp.Need(t, "GOLOGIN_POSTGRES")
	dsn, err := url.Parse(server)
	check(t, err)
	name := "t_" + strings.ToLower(rand.Text())
	once(t, "pgx", server, "CREATE SCHEMA "+name)
	t.Cleanup(func() { once(t, "pgx", server, "DROP SCHEMA "+name+" CASCADE") })
	query := dsn.Query()
	query.Set("search_path", name)
	query.Set("synchronous_commit", "off") // these tests do not survive a power failure
	dsn.RawQuery = query.Encode()
	return dsn.String()
}

func newDatabase(t *testing.T, settings string) string {
	t.Helper()
	server := testapp.Need(t, "GOLOGIN_MARIADB")
	dsn, err := mysql.ParseDSN(server)
	check(t, err)
	dsn.DBName = "t_" + strings.ToLower(rand.Text())
	once(t, "mysql", server, "CREATE DATABASE "+dsn.DBName)
	t.Cleanup(func() { once(t, "mysql", server, "DROP DATABASE "+dsn.DBName) })
	text := dsn.FormatDSN()
	if settings == "" {
		return text
	}
	if strings.Contains(text, "?") {
		return text + "&" + settings
	}
	return text + "?" + settings
}

// once runs a statement over a connection of its own.
func once(t *testing.T, driver, dsn, statement string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	check(t, err)
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(context.WithoutCancel(t.Context()), statement)
	check(t, err)
}

// connect opens a database.
func (e engine) connect(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(e.driver, dsn)
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	if e.dialect != sqlstore.SQLite {
		db.SetMaxOpenConns(10) // a server allows about a hundred connections
		db.SetMaxIdleConns(10)
	}
	return db
}

// newDB returns a database with our tables.
func (e engine) newDB(t *testing.T, options ...sqlstore.Option) *sql.DB {
	t.Helper()
	db := e.connect(t, e.newDSN(t))
	check(t, sqlstore.Migrate(t.Context(), db, e.dialect, options...))
	return db
}

// dbs makes a new database for each subtest if that is a file. On a server it
// makes one database for all, because making one takes a tenth of a second.
func (e engine) dbs(t *testing.T) func(t *testing.T) *sql.DB {
	t.Helper()
	if e.dialect == sqlstore.SQLite {
		return func(t *testing.T) *sql.DB { return e.newDB(t) }
	}
	db := e.newDB(t)
	return func(*testing.T) *sql.DB { return db }
}

// inMemory returns an SQLite database in memory, with its one connection.
func inMemory(t *testing.T) *sql.DB {
	t.Helper()
	db := engine{driver: "sqlite", dialect: sqlstore.SQLite}.connect(t, "file::memory:")
	db.SetMaxOpenConns(1)
	return db
}
