package bench_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/redisstore"
	"github.com/go-login/auth/sqlstore"
	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite"
)

// User is an application's user type.
type User struct {
	auth.Account
	Name string
}

// A store is a database with its stores.
type store struct {
	auth.UserStore[*User]
	records auth.RecordStore

	db      *sql.DB // nil for stores without SQL
	dialect sqlstore.Dialect
	cleanup func(context.Context) (int64, error)         // nil if the store cleans up by itself
	sizes   func(tb testing.TB) (bytes map[string]int64) // of everything in the store; nil if unknown
	logged  func(tb testing.TB) (bytes int64)            // written to the database's log so far; nil if unknown
}

// ListUsers lists the users of the UserStore, whose method is not in the interface.
func (s *store) ListUsers(ctx context.Context, after string, limit int) ([]*User, error) {
	lister, ok := s.UserStore.(auth.UserLister[*User])
	if !ok {
		return nil, errors.New("the user store is no UserLister")
	}
	return lister.ListUsers(ctx, after, limit)
}

// An engine opens empty stores, which are removed when the benchmark ends.
type engine struct {
	name string
	open func(tb testing.TB, c *clock, w *wire) *store
}

// engines returns the engines that need no server, and those whose servers are
// named in the environment. The others skip.
func engines() []engine {
	return []engine{
		{"Memory", openMemory}, {"SQLite", openSQLite}, {"PostgreSQL", openPostgres}, {"MariaDB", openMariaDB}, {"Redis", openRedis},
	}
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func openMemory(_ testing.TB, c *clock, _ *wire) *store {
	users := memstore.New[User](memstore.WithClock(c.now))
	return &store{UserStore: users, records: users}
}

// openSQLite opens a file with the settings that sqlstore recommends.
func openSQLite(tb testing.TB, c *clock, _ *wire) *store {
	check(tb, registerFill())
	path := filepath.Join(tb.TempDir(), "app.db")
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	check(tb, err)
	s := newSQL(tb, c, sqlstore.SQLite, db)
	s.sizes = func(tb testing.TB) map[string]int64 { return map[string]int64{"all": size(tb, path)} }
	s.logged = func(tb testing.TB) int64 { return size(tb, path+"-wal") }
	return s
}

func size(tb testing.TB, path string) int64 {
	tb.Helper()
	info, err := os.Stat(path)
	check(tb, err)
	return info.Size()
}

// openPostgres makes a schema, which serves as a database.
func openPostgres(tb testing.TB, c *clock, w *wire) *store {
	server, err := pgx.ParseConfig(testapp.Need(tb, "GOLOGIN_POSTGRES"))
	check(tb, err)
	admin := stdlib.OpenDB(*server)
	schema := "bench_" + strings.ToLower(rand.Text())
	exec(tb, admin, "CREATE SCHEMA "+schema)
	tb.Cleanup(func() {
		exec(tb, admin, "DROP SCHEMA "+schema+" CASCADE")
		check(tb, admin.Close())
	})
	config := server.Copy()
	config.RuntimeParams["search_path"] = schema
	if w != nil {
		config.DialFunc = w.dial
	}
	s := newSQL(tb, c, sqlstore.Postgres, stdlib.OpenDB(*config))
	s.sizes = func(tb testing.TB) map[string]int64 {
		return numbers(tb, s.db, `SELECT 'users', pg_table_size('auth_users') UNION SELECT 'indexes of users', pg_indexes_size('auth_users')
			UNION SELECT 'records', pg_table_size('auth_records') UNION SELECT 'indexes of records', pg_indexes_size('auth_records')`)
	}
	s.logged = func(tb testing.TB) int64 {
		return numbers(tb, admin, `SELECT 'log', (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint`)["log"]
	}
	return s
}

func openMariaDB(tb testing.TB, c *clock, w *wire) *store {
	server, err := mysql.ParseDSN(testapp.Need(tb, "GOLOGIN_MARIADB"))
	check(tb, err)
	open := func(config *mysql.Config) *sql.DB {
		connector, err := mysql.NewConnector(config)
		check(tb, err)
		return sql.OpenDB(connector)
	}
	admin := open(server)
	config := server.Clone()
	config.DBName = "bench_" + strings.ToLower(rand.Text())
	exec(tb, admin, "CREATE DATABASE "+config.DBName)
	tb.Cleanup(func() {
		exec(tb, admin, "DROP DATABASE "+config.DBName)
		check(tb, admin.Close())
	})
	if w != nil {
		config.DialFunc = w.dial
	}
	s := newSQL(tb, c, sqlstore.MySQL, open(config))
	s.sizes = func(tb testing.TB) map[string]int64 {
		return numbers(tb, s.db, `SELECT substr(table_name, 6), data_length FROM information_schema.tables WHERE table_schema = DATABASE()
			UNION SELECT concat('indexes of ', substr(table_name, 6)), index_length FROM information_schema.tables WHERE table_schema = DATABASE()`)
	}
	s.logged = func(tb testing.TB) int64 {
		return numbers(tb, admin, `SHOW GLOBAL STATUS LIKE 'Innodb_os_log_written'`)["Innodb_os_log_written"]
	}
	return s
}

// openRedis keeps the users in memory, because there is no user store for
// Redis.
func openRedis(tb testing.TB, c *clock, w *wire) *store {
	options, err := redis.ParseURL(testapp.Need(tb, "GOLOGIN_REDIS"))
	check(tb, err)
	admin := redis.NewClient(options)
	config := *options
	if w != nil {
		config.Dialer = w.dial
	}
	client := redis.NewClient(&config)
	prefix := "bench_" + strings.ToLower(rand.Text()) + ":"
	used := func(tb testing.TB) int64 {
		info := admin.InfoMap(tb.Context(), "memory")
		check(tb, info.Err())
		n, err := strconv.ParseInt(info.Item("Memory", "used_memory"), 10, 64)
		check(tb, err)
		return n
	}
	before := used(tb)
	tb.Cleanup(func() {
		forget(tb, admin, prefix)
		check(tb, client.Close())
		check(tb, admin.Close())
	})
	return &store{
		UserStore: memstore.New[User](memstore.WithClock(c.now)),
		records:   redisstore.NewRecords(client, redisstore.Prefix(prefix), redisstore.WithClock(c.now), redisstore.Durable()),
		sizes:     func(tb testing.TB) map[string]int64 { return map[string]int64{"records": used(tb) - before} },
	}
}

// forget deletes all keys with a prefix.
func forget(tb testing.TB, client *redis.Client, prefix string) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	for cursor := uint64(0); ; {
		keys, next, err := client.Scan(ctx, cursor, prefix+"*", 1000).Result()
		check(tb, err)
		if len(keys) > 0 {
			check(tb, client.Unlink(ctx, keys...).Err())
		}
		if cursor = next; cursor == 0 {
			return
		}
	}
}

func newSQL(tb testing.TB, c *clock, dialect sqlstore.Dialect, db *sql.DB) *store {
	tb.Helper()
	tb.Cleanup(func() { _ = db.Close() })
	check(tb, sqlstore.Migrate(tb.Context(), db, dialect))
	s := sqlstore.New[User](db, dialect, sqlstore.WithClock(c.now))
	return &store{UserStore: s, records: s, db: db, dialect: dialect, cleanup: s.Cleanup}
}

func exec(tb testing.TB, db *sql.DB, statement string) {
	tb.Helper()
	_, err := db.ExecContext(context.WithoutCancel(tb.Context()), statement)
	check(tb, err)
}

// numbers returns the names and numbers of a query's rows.
func numbers(tb testing.TB, db *sql.DB, query string) map[string]int64 {
	tb.Helper()
	rows, err := db.QueryContext(tb.Context(), query)
	check(tb, err)
	defer func() { _ = rows.Close() }()
	all := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		check(tb, rows.Scan(&name, &n))
		all[name] = n
	}
	check(tb, rows.Err())
	return all
}
