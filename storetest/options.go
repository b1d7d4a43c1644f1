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

// WithIDs is for a store that accepts only IDs of its own form. Each call of
// newID must return a different ID that no user has. For UUIDs pass
// uuid.NewString, and for integers of 32 bits
//
//	func() string { return strconv.Itoa(1<<30 + rand.IntN(1<<29)) }
//
// By default an ID is a decimal number of 15 digits.
func WithIDs(newID func() string) Option {
	return func(o *options) { o.newID = newID }
}

// WithForm is for a table with columns that cannot be empty. The suite calls
// form once for each user. It returns the fields of a registration form that
// fill those columns.
func WithForm(form func() url.Values) Option {
	return func(o *options) { o.form = form }
}

// A filled store adds the form of WithForm to each CreateUser.
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

// bare returns the store as it was opened.
func bare[U auth.User](store auth.UserStore[U]) auth.UserStore[U] {
	if f, ok := store.(filled[U]); ok {
		return f.UserStore
	}
	return store
}
