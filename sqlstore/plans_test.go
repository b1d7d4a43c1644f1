package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

var update = flag.Bool("update", false, "write testdata/plans")

// TestQueryPlans asks the database how it runs each statement. No statement may
// read a whole table, and every plan must equal the one in testdata/plans.
// After a change run
//
//	go test -run TestQueryPlans -update
//
// A few thousand rows are enough; GOLOGIN_SCALE=1000000 uses a million. With
// few rows, PostgreSQL would rightly read the whole table, and MariaDB
// sometimes two indexes instead of one, so the test forbids them to. With many
// rows it does not.
func TestQueryPlans(t *testing.T) { each(t, testQueryPlans) }

func testQueryPlans(t *testing.T, e engine) {
	rows, large := 5000, false
	if n, err := strconv.Atoi(os.Getenv("GOLOGIN_SCALE")); err == nil {
		rows, large = n, true
	}
	spy, db := newSpy(t, e)
	s := sqlstore.New[User](db, e.dialect)
	populate(t, s)
	plain := e.connect(t, spy.dsn)
	for _, statement := range manyRows(e.dialect, rows) {
		_, err := plain.ExecContext(t.Context(), statement)
		check(t, err)
	}

	x := explainer{e.dialect, e.connect(t, spy.dsn)}
	x.db.SetMaxOpenConns(1) // so that settings apply to every statement
	if e.dialect == sqlstore.Postgres {
		x.query(t, `SET jit = off`)
	}
	if setting := map[sqlstore.Dialect]string{
		sqlstore.Postgres: `SET enable_seqscan = off`,
		sqlstore.MySQL:    `SET optimizer_switch = 'index_merge=off'`,
	}[e.dialect]; setting != "" && !large {
		x.query(t, setting)
	}
	var got strings.Builder
	method, seen := "", map[string]bool{}
	spy.before = func(query string, args []driver.NamedValue) {
		if seen[query] {
			return
		}
		seen[query] = true
		fmt.Fprintf(&got, "\n%s\n", strings.Join(strings.Fields(query), " "))
		for _, line := range x.explain(t, query, args) {
			fmt.Fprintf(&got, "\t%s\n", line)
			// SQLite says SCAN, PostgreSQL Seq Scan, MariaDB ALL. MariaDB says
			// ALL for an INSERT, too.
			whole := strings.Contains(line, "SCAN") || strings.Contains(line, "Seq Scan") ||
				strings.Contains(line, " ALL ") && !strings.Contains(line, "INSERT")
			if whole {
				t.Errorf("%s goes through a whole table: %s", method, line)
			}
		}
	}
	for _, c := range append(losing(s), calls(s)...) {
		method = c.name
		clear(seen)
		fmt.Fprintf(&got, "\n# %s\n", method)
		before := got.Len()
		check(t, c.do(t.Context()))
		if got.Len() == before {
			t.Errorf("%s runs nothing", method)
		}
	}
	compare(t, e.dialect, strings.TrimLeft(got.String(), "\n"))
}

// losing returns calls that fail and therefore run a second statement to find
// out why.
func losing(s *sqlstore.Store[User, *User]) []call {
	want := func(want error, do func(ctx context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			if err := do(ctx); !errors.Is(err, want) {
				return fmt.Errorf("got the error %w, want %w", err, want)
			}
			return nil
		}
	}
	return []call{
		{"CreateUser, taken", want(auth.ErrEmailTaken, func(ctx context.Context) error {
			_, err := s.CreateUser(ctx, auth.Account{Username: "eve", Email: "ada@example.com"}, nil)
			return err
		})},
		{"UpdateAccount, conflict", want(auth.ErrConflict, func(ctx context.Context) error {
			return s.UpdateAccount(ctx, auth.Account{ID: "1", Version: 99})
		})},
		{"InsertRecord, expired", func(ctx context.Context) error {
			return s.InsertRecord(ctx, auth.Record{Kind: "session", Key: "expired"})
		}},
		{"UpdateRecord, conflict", want(auth.ErrConflict, func(ctx context.Context) error {
			return s.UpdateRecord(ctx, auth.Record{Kind: "session", Key: "a", Version: 99})
		})},
		{"DeleteRecords, all", func(ctx context.Context) error { return s.DeleteRecords(ctx, "session", "2") }},
	}
}

// compare compares the plans with the file in testdata, or with -update writes
// it.
func compare(t *testing.T, d sqlstore.Dialect, got string) {
	t.Helper()
	path := filepath.Join("testdata", "plans", string(d)+".txt")
	if *update {
		check(t, os.WriteFile(path, []byte(got), 0o600))
		return
	}
	content, err := os.ReadFile(path)
	check(t, err)
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(content), "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Fatalf("%s:%d: got\n%s\nwant\n%s", path, i+1, gotLines[i], wantLines[i])
		}
	}
	if len(gotLines) != len(wantLines) {
		t.Errorf("%s has %d lines, want %d", path, len(wantLines), len(gotLines))
	}
}

// An explainer asks a database for its plans.
type explainer struct {
	dialect sqlstore.Dialect
	db      *sql.DB
}

// explain returns the lines of a plan, without values, costs and what differs
// between versions.
func (x explainer) explain(t *testing.T, query string, args []driver.NamedValue) (lines []string) {
	t.Helper()
	values := make([]any, len(args))
	for i, arg := range args {
		values[i] = arg.Value
	}
	switch x.dialect {
	case sqlstore.SQLite: // id, parent, nothing, detail
		depth := map[string]int{}
		for _, row := range x.query(t, "EXPLAIN QUERY PLAN "+query, values...) {
			depth[row[0]] = depth[row[1]] + 1
			lines = append(lines, strings.Repeat("  ", depth[row[0]]-1)+row[3])
		}
	case sqlstore.Postgres:
		// The plan for these values must not read the whole table either, but
		// it varies: few rows are sorted, many are read in index order.
		for _, row := range x.query(t, "EXPLAIN "+query, values...) {
			if strings.Contains(row[0], "Seq Scan") {
				t.Errorf("with %v: %s", values, row[0])
			}
		}
		x.query(t, `PREPARE p AS `+query)
		x.query(t, `SET plan_cache_mode = force_generic_plan`)
		execute := `EXPLAIN (COSTS OFF) EXECUTE p`
		if len(values) > 0 {
			execute += `(NULL` + strings.Repeat(`, NULL`, len(values)-1) + `)`
		}
		for _, row := range x.query(t, execute) {
			lines = append(lines, regexp.MustCompile(` \(returns .*\)$|\$\d+|\(InitPlan \d+\)\.col\d+`).ReplaceAllStringFunc(row[0], func(s string) string {
				if strings.HasPrefix(s, " ") {
					return ""
				}
				return "?"
			}))
		}
		x.query(t, `RESET plan_cache_mode`)
		x.query(t, `DEALLOCATE p`)
	case sqlstore.MySQL: // id, select_type, table, type, possible_keys, key, key_len, ref, rows, Extra
		for _, row := range x.query(t, "EXPLAIN "+query, values...) {
			lines = append(lines, strings.Join([]string{row[1], row[2], row[3], row[5], row[7], row[9]}, " | "))
		}
	}
	return lines
}

// query returns the rows of a statement as text.
func (x explainer) query(t *testing.T, statement string, values ...any) (all [][]string) {
	t.Helper()
	rows, err := x.db.QueryContext(t.Context(), statement, values...)
	check(t, err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	check(t, err)
	for rows.Next() {
		line := make([]sql.NullString, len(columns))
		fields := make([]any, len(columns))
		for i := range line {
			fields[i] = &line[i]
		}
		check(t, rows.Scan(fields...))
		texts := make([]string, len(columns))
		for i := range line {
			texts[i] = line[i].String
		}
		all = append(all, texts)
	}
	check(t, rows.Err())
	return all
}

// manyRows returns statements that add n users and n records, of which one in a
// hundred has expired, and that update the database's statistics.
func manyRows(d sqlstore.Dialect, n int) []string {
	numbers, random, bytes := "", "", "%s"
	analyze := []string{`ANALYZE auth_users`, `ANALYZE auth_records`}
	switch d {
	case sqlstore.SQLite:
		numbers = `(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n)`
		random, bytes = `hex(randomblob(16))`, `CAST(%s AS BLOB)`
	case sqlstore.Postgres:
		numbers, random, bytes = `generate_series(1::bigint, %d) AS n (i)`, `md5(random()::text)`, `convert_to(%s, 'UTF8')`
	case sqlstore.MySQL:
		numbers, random = `(SELECT seq AS i FROM seq_1_to_%d) AS n`, `MD5(UUID())`
		analyze = []string{`ANALYZE TABLE auth_users, auth_records`}
	}
	numbers, random = fmt.Sprintf(numbers, n), `(`+random+`)`
	blob := func(text string) string { return fmt.Sprintf(bytes, text) }
	return append([]string{
		`INSERT INTO auth_users (id, username, username_key, email, email_key, email_verified, password_hash, stamp,
			disabled, roles, version, profile, created)
			SELECT ` + random + `, '', ` + random + `, '', ` + random + `, TRUE, '', '', FALSE, 'null', 1, '{}', 0 FROM ` + numbers,
		`INSERT INTO auth_records (kind, record_key, user_id, data, version, expires)
			SELECT ` + blob(`'session'`) + `, ` + blob(random) + `, ` + blob(random) + `, ` + blob(random) + `, i,
				CASE WHEN i % 100 = 0 THEN 1000000000000000 ELSE 4000000000000000 END - i FROM ` + numbers,
		`INSERT INTO auth_records (kind, record_key, user_id, data, version, expires)
			VALUES (` + blob(`'session'`) + `, ` + blob(`'expired'`) + `, ` + blob(`'1'`) + `, ` + blob(`''`) + `, 1, 1)`,
	}, analyze...)
}
