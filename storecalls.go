package auth

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
)

// This file calls the application's stores for the library. It does four things in each
// call:
//
//   - The store gets a context without the request's session (Core.hide).
//   - If a read finds its connection closed, it runs a second time.
//   - If store.go does not name an error, the error becomes a failure.
//   - Config.Trace is told when the call begins and ends.

// A recordCaller calls a RecordStore for the library.
type recordCaller struct {
	core  *Core
	store RecordStore
}

func (s *recordCaller) InsertRecord(ctx context.Context, r Record) (err error) {
	ctx, end := s.core.toStore(ctx, "store.InsertRecord", r.Kind)
	err = errPanicked
	defer func() { ended(end, err) }()
	return failed(s.store.InsertRecord(ctx, r), ErrRecordExists)
}

func (s *recordCaller) GetRecord(ctx context.Context, kind, key string) (found Record, err error) {
	ctx, end := s.core.toStore(ctx, "store.GetRecord", kind)
	err = errPanicked
	defer func() { ended(end, err) }()
	found, err = read(ctx, func() (Record, error) { return s.store.GetRecord(ctx, kind, key) })
	return found, failed(err, ErrRecordNotFound)
}

func (s *recordCaller) UpdateRecord(ctx context.Context, r Record) (err error) {
	ctx, end := s.core.toStore(ctx, "store.UpdateRecord", r.Kind)
	err = errPanicked
	defer func() { ended(end, err) }()
	return failed(s.store.UpdateRecord(ctx, r), ErrConflict, ErrRecordNotFound)
}

func (s *recordCaller) TakeRecord(ctx context.Context, kind, key string) (found Record, err error) {
	ctx, end := s.core.toStore(ctx, "store.TakeRecord", kind)
	err = errPanicked
	defer func() { ended(end, err) }()
	found, err = s.store.TakeRecord(ctx, kind, key)
	return found, failed(err, ErrRecordNotFound)
}

func (s *recordCaller) ListRecords(ctx context.Context, kind, userID string) (found []Record, err error) {
	ctx, end := s.core.toStore(ctx, "store.ListRecords", kind)
	err = errPanicked
	defer func() { ended(end, err) }()
	found, err = read(ctx, func() ([]Record, error) { return s.store.ListRecords(ctx, kind, userID) })
	return found, failed(err)
}

func (s *recordCaller) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) (err error) {
	ctx, end := s.core.toStore(ctx, "store.DeleteRecords", kind)
	err = errPanicked
	defer func() { ended(end, err) }()
	return failed(s.store.DeleteRecords(ctx, kind, userID, keep...))
}

// A loaderCaller calls a UserLoader for the library.
type loaderCaller struct {
	core  *Core
	users loader
}

func (s *loaderCaller) load(ctx context.Context, id string) (user User, err error) {
	ctx, end := s.core.toStore(ctx, "store.LoadUser", "")
	err = errPanicked
	defer func() { ended(end, err) }()
	user, err = read(ctx, func() (User, error) { return s.users.load(ctx, id) })
	return user, failed(err, ErrUserNotFound)
}

// A userCaller calls a UserStore for the library.
type userCaller struct {
	loaderCaller
	store storer
}

func (s *userCaller) find(ctx context.Context, key string) (user User, err error) {
	ctx, end := s.core.toStore(ctx, "store.FindUser", "")
	err = errPanicked
	defer func() { ended(end, err) }()
	user, err = read(ctx, func() (User, error) { return s.store.find(ctx, key) })
	return user, failed(err, ErrUserNotFound)
}

// create returns errors unchanged, even those that store.go does not name: they may
// come from the application's form (see FormReader). Only a lost connection, or a
// context that is done, certainly is a failure.
func (s *userCaller) create(ctx context.Context, a Account, form url.Values) (user User, err error) {
	ctx, end := s.core.toStore(ctx, "store.CreateUser", "")
	err = errPanicked
	defer func() { ended(end, err) }()
	user, err = s.store.create(ctx, a, form)
	if err != nil && (isClosed(err) || ctx.Err() != nil) {
		user, err = nil, hidden(err)
	}
	return user, err
}

func (s *userCaller) update(ctx context.Context, a Account) (err error) {
	ctx, end := s.core.toStore(ctx, "store.UpdateAccount", "")
	err = errPanicked
	defer func() { ended(end, err) }()
	return failed(s.store.update(ctx, a), ErrConflict, ErrUserNotFound,
		ErrUsernameTaken, ErrEmailTaken, ErrInvalidUsername, ErrInvalidEmail)
}

func (s *userCaller) remove(ctx context.Context, id string) (deleted bool, err error) {
	ctx, end := s.core.toStore(ctx, "store.DeleteUser", "")
	err = errPanicked
	defer func() { ended(end, err) }()
	deleted, err = s.store.remove(ctx, id)
	return deleted, failed(err, ErrUserNotFound)
}

// toStore returns the context that a store gets: without the request's session, and with
// what Config.Trace adds.
func (c *Core) toStore(ctx context.Context, operation, kind string) (context.Context, func(error)) {
	return c.cfg.Trace.begin(c.hide(ctx), operation, kind)
}

// ended ends the trace of a call. The trace gets failures only: an error that store.go names is
// an answer of the store.
func ended(end func(error), err error) {
	if _, ok := err.(failure); !ok { //nolint:errorlint // failed and hidden return it unwrapped
		err = nil
	}
	end(err)
}

// A roleCaller calls a RoleSource for the library.
type roleCaller struct {
	core   *Core
	source RoleSource
}

func (s *roleCaller) RolePermissions(ctx context.Context, role string) ([]string, error) {
	ctx = s.core.hide(ctx)
	permissions, err := read(ctx, func() ([]string, error) { return s.source.RolePermissions(ctx, role) })
	return permissions, failed(err, ErrUnknownRole)
}

// read calls a method of a store that changes nothing. If the connection turned out to
// be closed, it calls the method once more, with the same context and so within the
// same deadline. A pool may hand out a connection that the database has closed, after a
// restart or because it was idle. The second call gets another one.
//
// A write is never repeated, because the first call may have written.
func read[T any](ctx context.Context, call func() (T, error)) (T, error) {
	v, err := call()
	if err != nil && ctx.Err() == nil && isClosed(err) {
		v, err = call()
	}
	return v, err
}

// isClosed reports whether err says that a connection was closed, by the driver, by
// this process or by the other side. It is false for a time limit, a refused connection
// and other answers of the database: a second call would only add load to a database
// that is in trouble.
func isClosed(err error) bool {
	for _, closed := range [...]error{
		driver.ErrBadConn, // database/sql repeats such a call too, but not if a driver fails midway
		sql.ErrConnDone,
		net.ErrClosed, // "use of closed network connection"
		io.EOF,        // the other side has closed it
		io.ErrUnexpectedEOF,
	} {
		if errors.Is(err, closed) {
			return true
		}
	}
	return isReset(err)
}

// failed returns nil and the named errors unchanged. It returns every other error of a
// store as a failure.
func failed(err error, named ...error) error {
	if err == nil || slices.ContainsFunc(named, func(n error) bool { return errors.Is(err, n) }) {
		return err
	}
	return hidden(err)
}
