package storetest

import (
	"context"
	"maps"
	"net/url"

	"github.com/go-login/auth"
)

// An Option tells the suites of user stores about the application's table.
type Option func(*options)

type options struct {
	newID func() string
	form  func() url.Values // nil for none
}

func optionsOf(opts []Option) options {
	o := options{newID: givenID}
	for _, option := range opts {
		option(&o)
	}
	return o
}

// WithIDs is for a store that takes only IDs of its own form. newID returns one
// that no user has, and each time another: for UUIDs uuid.NewString, and for
// integers of 32 bits
//
//	func() string { return strconv.Itoa(1<<30 + rand.IntN(1<<29)) }
//
// By default it is a decimal number of 15 digits.
func WithIDs(newID func() string) Option {
	return func(o *options) { o.newID = newID }
}

// WithForm is for a table with columns that cannot be empty. form returns what a
// registration form must have to fill them, and is called for each user.
func WithForm(form func() url.Values) Option {
	return func(o *options) { o.form = form }
}

// A filled store gets the form of WithForm with each CreateUser.
type filled[U auth.User] struct {
	auth.UserStore[U]
	form func() url.Values
}

func (s filled[U]) CreateUser(ctx context.Context, a auth.Account, form url.Values) (U, error) {
	whole := url.Values{}
	maps.Copy(whole, s.form())
	maps.Copy(whole, form)
	return s.UserStore.CreateUser(ctx, a, whole)
}

func fill[U auth.User](store auth.UserStore[U], o options) auth.UserStore[U] {
	if o.form == nil {
		return store
	}
	return filled[U]{bare(store), o.form}
}

// bare is the store as it was opened.
func bare[U auth.User](store auth.UserStore[U]) auth.UserStore[U] {
	if f, ok := store.(filled[U]); ok {
		return f.UserStore
	}
	return store
}
