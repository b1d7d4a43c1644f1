package auth

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
)

// This file is the border between the library and the application's stores.
// Every call of a store passes it once: typedLoader and typedStore (manager.go)
// for users, and border for records. Two things happen here. A read that found
// its connection closed runs a second time. An error that store.go does not name
// becomes a failure.

// A border is a RecordStore as the library calls it.
type border struct{ store RecordStore }

func (b *border) InsertRecord(ctx context.Context, r Record) error {
	return failed(b.store.InsertRecord(ctx, r), ErrRecordExists)
}

func (b *border) GetRecord(ctx context.Context, kind, key string) (Record, error) {
	r, err := read(ctx, func() (Record, error) { return b.store.GetRecord(ctx, kind, key) })
	return r, failed(err, ErrRecordNotFound)
}

func (b *border) UpdateRecord(ctx context.Context, r Record) error {
	return failed(b.store.UpdateRecord(ctx, r), ErrConflict, ErrRecordNotFound)
}

func (b *border) TakeRecord(ctx context.Context, kind, key string) (Record, error) {
	r, err := b.store.TakeRecord(ctx, kind, key)
	return r, failed(err, ErrRecordNotFound)
}

func (b *border) ListRecords(ctx context.Context, kind, userID string) ([]Record, error) {
	r, err := read(ctx, func() ([]Record, error) { return b.store.ListRecords(ctx, kind, userID) })
	return r, failed(err)
}

func (b *border) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	return failed(b.store.DeleteRecords(ctx, kind, userID, keep...))
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
