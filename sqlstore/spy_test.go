package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/go-login/auth/sqlstore"
)

// A spy is a driver that shows the statements that pass through it.
type spy struct {
	driver driver.Driver
	dsn    string
	before func(query string, args []driver.NamedValue)
	after  func(query string)
}

// newSpy returns a database with our tables behind a spy. Statements pass
// through its functions from then on.
func newSpy(t *testing.T, e engine) (*spy, *sql.DB) {
	t.Helper()
	dsn := e.newDSN(t)
	plain := e.connect(t, dsn)
	check(t, sqlstore.Migrate(t.Context(), plain, e.dialect))
	s := &spy{driver: plain.Driver(), dsn: dsn}
	db := sql.OpenDB(s)
	t.Cleanup(func() { _ = db.Close() })
	return s, db
}

func (s *spy) Driver() driver.Driver { return s.driver }

func (s *spy) Connect(context.Context) (driver.Conn, error) {
	c, err := s.driver.Open(s.dsn)
	return spyConn{c, s}, err
}

func (s *spy) see(query string, args []driver.NamedValue) (done func()) {
	if s.before != nil {
		s.before(query, args)
	}
	return func() {
		if s.after != nil {
			s.after(query)
		}
	}
}

type spyConn struct {
	driver.Conn
	spy *spy
}

func (c spyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	inner, ok := c.Conn.(driver.ConnPrepareContext)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	stmt, err := inner.PrepareContext(ctx, query)
	return spyStmt{stmt, query, c.spy}, err
}

func (c spyConn) CheckNamedValue(v *driver.NamedValue) error {
	if inner, ok := c.Conn.(driver.NamedValueChecker); ok {
		return inner.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c spyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	inner, ok := c.Conn.(driver.ExecerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	defer c.spy.see(query, args)()
	return inner.ExecContext(ctx, query, args)
}

func (c spyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	inner, ok := c.Conn.(driver.QueryerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	defer c.spy.see(query, args)()
	return inner.QueryContext(ctx, query, args)
}

func (c spyConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	inner, ok := c.Conn.(driver.ConnBeginTx)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return inner.BeginTx(ctx, options)
}

type spyStmt struct {
	driver.Stmt
	query string
	spy   *spy
}

func (s spyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	inner, ok := s.Stmt.(driver.StmtExecContext)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	defer s.spy.see(s.query, args)()
	return inner.ExecContext(ctx, args)
}

func (s spyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	inner, ok := s.Stmt.(driver.StmtQueryContext)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	defer s.spy.see(s.query, args)()
	return inner.QueryContext(ctx, args)
}
