package sqlstore_test

import (
	"database/sql"
	"database/sql/driver"
	"strings"
	"testing"

	"github.com/go-login/auth/sqlstore"
)

// TestQueryPlans asks the database how it runs each statement: none may go
// through a whole table.
func TestQueryPlans(t *testing.T) { each(t, testQueryPlans) }

func testQueryPlans(t *testing.T, e engine) {
	spy, db := newSpy(t, e)
	s := sqlstore.New[User](db, e.dialect)
	populate(t, s)

	dsn := spy.dsn
	if e.dialect == sqlstore.Postgres {
		dsn += "&enable_seqscan=off" // which tables as small as these are best read by
	}
	explaining := e.connect(t, dsn)
	var plans []string
	spy.before = func(query string, args []driver.NamedValue) {
		values := make([]any, len(args))
		for i, arg := range args {
			values[i] = arg.Value
		}
		explain := map[sqlstore.Dialect]string{
			sqlstore.SQLite: "EXPLAIN QUERY PLAN ", sqlstore.Postgres: "EXPLAIN ", sqlstore.MySQL: "EXPLAIN ",
		}
		rows, err := explaining.QueryContext(t.Context(), explain[e.dialect]+query, values...)
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
			plan := ""
			for _, field := range line {
				plan += field.String + " "
			}
			plans = append(plans, plan)
		}
		check(t, rows.Err())
	}
	for _, c := range calls(s) {
		plans = nil
		check(t, c.do(t.Context()))
		if inserts := c.name == "CreateUser" || c.name == "InsertRecord"; len(plans) == 0 && !inserts {
			t.Errorf("%s: no plan", c.name)
		}
		for _, plan := range plans {
			t.Logf("%-20s %s", c.name, plan)
			// SQLite says SCAN, PostgreSQL Seq Scan, MariaDB ALL; an insert of MariaDB's is ALL, too.
			whole := strings.Contains(plan, "SCAN") || strings.Contains(plan, "Seq Scan") ||
				strings.Contains(plan, " ALL ") && !strings.Contains(plan, "INSERT")
			if whole {
				t.Errorf("%s goes through a whole table: %s", c.name, plan)
			}
		}
	}
}
