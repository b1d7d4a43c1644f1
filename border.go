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

// This file is the border between the library and the application's stores. Every
// call of a store passes it once, and three things happen there:
//
//   - The store gets a context without the request's session (Core.hide).
//   - A read that found its connection closed runs a second time.
//   - An error that store.go does not name becomes a failure.

// A recordBorder is a RecordStore as the library calls it.
type recordBorder struct {
	core  *Core
	store RecordStore
}

func (b *recordBorder) InsertRecord(ctx context.Context, r Record) error {
	return failed(b.store.InsertRecord(b.core.hide(ctx), r), ErrRecordExists)
}

func (b *recordBorder) GetRecord(ctx context.Context, kind, key string) (Record, error) {
	ctx = b.core.hide(ctx)
	r, err := read(ctx, func() (Record, error) { return b.store.GetRecord(ctx, kind, key) })
	return r, failed(err, ErrRecordNotFound)
}

func (b *recordBorder) UpdateRecord(ctx context.Context, r Record) error {
	return failed(b.store.UpdateRecord(b.core.hide(ctx), r), ErrConflict, ErrRecordNotFound)
}

func (b *recordBorder) TakeRecord(ctx context.Context, kind, key string) (Record, error) {
	r, err := b.store.TakeRecord(b.core.hide(ctx), kind, key)
	return r, failed(err, ErrRecordNotFound)
}

func (b *recordBorder) ListRecords(ctx context.Context, kind, userID string) ([]Record, error) {
	ctx = b.core.hide(ctx)
	r, err := read(ctx, func() ([]Record, error) { return b.store.ListRecords(ctx, kind, userID) })
	return r, failed(err)
}

func (b *recordBorder) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	return failed(b.store.DeleteRecords(b.core.hide(ctx), kind, userID, keep...))
}

// A loaderBorder is a UserLoader as the library calls it.
type loaderBorder struct {
	core  *Core
	users loader
}

func (b *loaderBorder) load(ctx context.Context, id string) (User, error) {
	ctx = b.core.hide(ctx)
	user, err := read(ctx, func() (User, error) { return b.users.load(ctx, id) })
	return user, failed(err, ErrUserNotFound)
}

// A userBorder is a UserStore as the library calls it.
type userBorder struct {
	loaderBorder
	store storer
}

func (b *userBorder) find(ctx context.Context, key string) (User, error) {
	ctx = b.core.hide(ctx)
	user, err := read(ctx, func() (User, error) { return b.store.find(ctx, key) })
	return user, failed(err, ErrUserNotFound)
}

// create passes on errors that store.go does not name: the application's form (see
// FormReader) may have made them. Only a lost connection is a failure for sure.
func (b *userBorder) create(ctx context.Context, a Account, form url.Values) (User, error) {
	ctx = b.core.hide(ctx)
	user, err := b.store.create(ctx, a, form)
	if err != nil && (isClosed(err) || ctx.Err() != nil) {
		return nil, hidden(err)
	}
	return user, err
}

func (b *userBorder) update(ctx context.Context, a Account) error {
	return failed(b.store.update(b.core.hide(ctx), a), ErrConflict, ErrUserNotFound,
		ErrUsernameTaken, ErrEmailTaken, ErrInvalidUsername, ErrInvalidEmail)
}

func (b *userBorder) remove(ctx context.Context, id string) (deleted bool, err error) {
	deleted, err = b.store.remove(b.core.hide(ctx), id)
	return deleted, failed(err, ErrUserNotFound)
}

// read calls a method of a store that changes nothing. If the connection turned
// out to be closed, it calls the method once more, with the same context and so
// within the same deadline. A pool hands out connections that the database has
// closed meanwhile, after a restart or because they were idle; the second call
// gets another one.
//
// Writes are never repeated: the first one may have happened.
func read[T any](ctx context.Context, call func() (T, error)) (T, error) {
	v, err := call()
	if err != nil && ctx.Err() == nil && isClosed(err) {
		v, err = call()
	}
	return v, err
}

// isClosed reports whether err says that a connection was closed, by the driver,
// by this process or by the other side. A time limit, a refused connection and
// whatever else the database may answer are not among these errors: for those a
// second call would only add load to a database that is in trouble.
func isClosed(err error) bool {
	for _, closed := range [...]error{
		driver.ErrBadConn, // database/sql repeats it, too, but not what a driver finds out midway
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

// failed returns an error of a store as the library goes on with it: nil and the
// errors that its method may return as they are, every other one as a failure.
func failed(err error, named ...error) error {
	if err == nil || slices.ContainsFunc(named, func(n error) bool { return errors.Is(err, n) }) {
		return err
	}
	return hidden(err)
}
