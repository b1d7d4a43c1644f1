package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth/sqlstore"
)

// A faulty is a driver that changes the values that pass through it.
type faulty struct {
	driver driver.Driver
	dsn    string
	write  func(value any) any // changes a parameter
	read   func(value any) any // changes a column
}

// newFaulty returns a database behind a driver that changes nothing yet.
func newFaulty(t *testing.T, e engine) (*faulty, *sql.DB) {
	t.Helper()
	dsn := e.newDSN(t)
	plain := e.connect(t, dsn)
	check(t, sqlstore.Migrate(t.Context(), plain, e.dialect))
	same := func(value any) any { return value }
	f := &faulty{driver: plain.Driver(), dsn: dsn, write: same, read: same}
	db := sql.OpenDB(f)
	t.Cleanup(func() { _ = db.Close() })
	return f, db
}

func (f *faulty) Driver() driver.Driver { return f.driver }

func (f *faulty) Connect(context.Context) (driver.Conn, error) {
	c, err := f.driver.Open(f.dsn)
	return faultyConn{spyConn{c, &spy{}}, f}, err
}

func (f *faulty) args(args []driver.NamedValue) []driver.NamedValue {
	changed := append([]driver.NamedValue{}, args...)
	for i := range changed {
		changed[i].Value = f.write(changed[i].Value)
	}
	return changed
}

type faultyConn struct {
	spyConn
	faulty *faulty
}

func (c faultyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.spyConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	inner, ok := s.(spyStmt)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return faultyStmt{inner, c.faulty}, nil
}

func (c faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.spyConn.ExecContext(ctx, query, c.faulty.args(args))
}

func (c faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.spyConn.QueryContext(ctx, query, c.faulty.args(args))
	return faultyRows{rows, c.faulty}, err
}

type faultyStmt struct {
	spyStmt
	faulty *faulty
}

func (s faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.spyStmt.ExecContext(ctx, s.faulty.args(args))
}

func (s faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.spyStmt.QueryContext(ctx, s.faulty.args(args))
	return faultyRows{rows, s.faulty}, err
}

type faultyRows struct {
	driver.Rows
	faulty *faulty
}

func (r faultyRows) Next(values []driver.Value) error {
	if err := r.Rows.Next(values); err != nil {
		return err
	}
	for i := range values {
		values[i] = r.faulty.read(values[i])
	}
	return nil
}

// texts makes a fault that changes texts and bytes.
func texts(change func(string) string) func(any) any {
	return func(value any) any {
		switch v := value.(type) {
		case string:
			return change(v)
		case []byte:
			return []byte(change(string(v)))
		}
		return value
	}
}

// emptyBlob makes a fault that replaces an empty blob.
func emptyBlob(becomes any) func(any) any {
	return func(value any) any {
		if b, ok := value.([]byte); ok && len(b) == 0 {
			return becomes
		}
		return value
	}
}

// TestMigrateFindsFaults has drivers that change or lose values, and the
// expected error. No run leaves anything in the database.
func TestMigrateFindsFaults(t *testing.T) { each(t, testMigrateFindsFaults) }

func testMigrateFindsFaults(t *testing.T, e engine) {
	f, db := newFaulty(t, e)
	plain := e.connect(t, f.dsn)
	before := dump(t, e, plain)
	check(t, sqlstore.Migrate(t.Context(), db, e.dialect))
	for _, fault := range []struct {
		name        string
		write, read func(any) any
		want        string // must be in the error
	}{
		{"an empty blob is NULL", emptyBlob(nil), nil, "record"},
		{"an empty blob is read as NULL", nil, emptyBlob(nil), "record"},
		{"an empty blob has a byte", emptyBlob([]byte{0}), nil, "UserID"},
		{"an empty blob is read with a byte", nil, emptyBlob([]byte("x")), "UserID"},
		{"NUL ends a text", texts(func(s string) string { before, _, _ := strings.Cut(s, "\x00"); return before }), nil, "record"},
		{"bytes of 255 are lost", texts(func(s string) string { return strings.ReplaceAll(s, "\xff", "?") }), nil, "record"},
		{"characters of four bytes", nil, texts(func(s string) string { return strings.ReplaceAll(s, "\U0001F600", "????") }), "\U0001F600"},
		{"composed characters", nil, texts(func(s string) string { return strings.ReplaceAll(s, "e\u0301", "\u00e9") }), "came back"},
		{"upper case", texts(strings.ToUpper), nil, ""},
		{"spaces at the end", texts(func(s string) string { return strings.TrimRight(s, " ") }), nil, "record"},
		{"100 bytes", texts(func(s string) string { return s[:min(len(s), 100)] }), nil, "record"},
		{"255 bytes", nil, texts(func(s string) string { return s[:min(len(s), 255)] }), "Data"},
		{"a password hash of 399 bytes", nil, texts(func(s string) string {
			if strings.HasPrefix(s, "$h$h") {
				return s[:399]
			}
			return s
		}), "PasswordHash"},
		{"a Stamp of 254 bytes", nil, texts(func(s string) string {
			if strings.HasSuffix(s, "sss") {
				return s[:254]
			}
			return s
		}), "Stamp"},
		{"numbers of 53 bits", nil, func(value any) any {
			if n, ok := value.(int64); ok {
				return int64(float64(n))
			}
			return value
		}, "Version"},
		{"times of whole seconds", func(value any) any {
			if v, ok := value.(sql.NullInt64); ok { // pgx passes it on unchanged
				value = v.Int64
			}
			if n, ok := value.(int64); ok && n > 1e15 && n < 1e17 {
				return n / 1e6 * 1e6
			}
			return value
		}, nil, "record"}, // the record may even count as expired, because the current time is cut as well
	} {
		same := func(value any) any { return value }
		if f.write = fault.write; f.write == nil {
			f.write = same
		}
		if f.read = fault.read; f.read == nil {
			f.read = same
		}
		clock := func() time.Time { return start.Add(123456 * time.Microsecond) }
		err := sqlstore.Migrate(t.Context(), db, e.dialect, sqlstore.WithClock(clock))
		wantFailure(t, fault.name, err)
		if err != nil && !strings.Contains(err.Error(), fault.want) {
			t.Errorf("%s: the error does not say %q: %v", fault.name, fault.want, err)
		}
	}
	if after := dump(t, e, plain); after != before {
		t.Errorf("something was left behind:\n%s\nwas\n%s", after, before)
	}
}

// TestMigrateFailsMidway has a connection that fails at each statement in turn.
func TestMigrateFailsMidway(t *testing.T) { each(t, testMigrateFailsMidway) }

func testMigrateFailsMidway(t *testing.T, e engine) {
	f, db := newFaulty(t, e)
	plain := e.connect(t, f.dsn)
	before := dump(t, e, plain)
	for n := 0; ; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		f.read = func(value any) any {
			if calls++; calls > n {
				cancel()
			}
			return value
		}
		err := sqlstore.Migrate(ctx, db, e.dialect)
		cancelled := ctx.Err() != nil
		cancel()
		if !cancelled {
			check(t, err)
			break
		}
	}
	if after := dump(t, e, plain); after != before {
		t.Errorf("something was left behind:\n%s\nwas\n%s", after, before)
	}
}
