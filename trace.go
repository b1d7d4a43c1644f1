package auth

import (
	"context"
	"errors"
)

// A TraceFunc observes the library's own operations, for traces and durations: see
// Config.Trace. It is called when an operation begins, and the function that it returns when
// the operation ends. The function runs also if the operation panics. The context
// that it returns is the operation's, and what runs within the operation gets it, such as a
// store. "login" is an exception: calls of the stores within it get the request's context. The
// context may add values, and must not add a deadline.
//
// These are the operations, and their kinds:
//
//   - "authenticate": Authenticate. The kind is "password".
//   - "login": a login passes the gates and is stored, whatever the user has shown. It has
//     no kind.
//   - "factor": an answer to a second factor, or a login by passkey, is checked. The kind is
//     the factor's name.
//   - "hash": a password hash waits for its turn and is computed. The kind is "make" or
//     "verify".
//   - "store.LoadUser" and the other methods of UserStore and UserDeleter. They have no kind.
//   - "store.GetRecord" and the other methods of RecordStore. The kind is the record's, such
//     as "session".
//
// Neither names a user, an address or anything that a client sent. New operations may be
// added. err is nil or why the operation did not succeed; an answer that store.go names,
// such as ErrRecordNotFound, is no error of a store. The text of err may have what a
// store says, and so names of users.
//
// A TraceFunc may be called by many goroutines, and while locks are held: it must be quick,
// must not panic, and must not call the Manager. end may be nil.
type TraceFunc func(ctx context.Context, operation, kind string) (_ context.Context, end func(err error))

// begin calls f, if it is set. The results are never nil.
func (f TraceFunc) begin(ctx context.Context, operation, kind string) (context.Context, func(error)) {
	if f == nil {
		return ctx, notTraced
	}
	traced, end := f(ctx, operation, kind)
	if traced == nil {
		traced = ctx
	}
	if end == nil {
		end = notTraced
	}
	return traced, end
}

func notTraced(error) {}

// errPanicked is the error of an operation until it has come to its end: if a store or another
// part of the application panics, the operation ends with it.
var errPanicked error = failure{errors.New("auth: the operation has panicked")}
