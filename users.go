package auth

import (
	"context"
	"fmt"
	"net/url"
	"reflect"
)

// loader and storer are UserLoader and UserStore without their type parameter.
type loader interface {
	load(ctx context.Context, id string) (User, error)
}

type storer interface {
	loader
	find(ctx context.Context, key string) (User, error)
	create(ctx context.Context, a Account, form url.Values) (User, error)
	update(ctx context.Context, a Account) error
	remove(ctx context.Context, id string) (deleted bool, err error) // false, nil: the store cannot delete users
}

type typedLoader[U User] struct {
	UserLoader[U]
	absent func(U) bool
}

type typedStore[U User] struct {
	typedLoader[U]
	UserStore[U]
}

func (t typedLoader[U]) load(ctx context.Context, id string) (User, error) {
	u, err := t.LoadUser(ctx, id)
	user, err := t.check(u, err)
	if err == nil && user.AuthAccount().ID != id {
		return nil, failure{broken(fmt.Sprintf("auth: LoadUser returned the user with the ID %.100q, but was asked for %.100q: compare IDs byte by byte (see storetest.TestUserStore)", user.AuthAccount().ID, id))}
	}
	return user, err
}

func (t typedStore[U]) find(ctx context.Context, key string) (User, error) {
	u, err := t.FindUser(ctx, key)
	return t.check(u, err)
}

func (t typedStore[U]) create(ctx context.Context, a Account, form url.Values) (User, error) {
	u, err := t.CreateUser(ctx, a, form)
	if err != nil {
		return nil, err
	}
	user, err := t.check(u, nil)
	if err != nil {
		return nil, errNotReturned
	}
	return user, nil
}

var errNotReturned error = broken("auth: CreateUser returned no user and no error, or a user without an ID: it must return the user as it is saved")

func (t typedStore[U]) update(ctx context.Context, a Account) error { return t.UpdateAccount(ctx, a) }

func (t typedStore[U]) remove(ctx context.Context, id string) (deleted bool, err error) {
	d, ok := t.UserStore.(UserDeleter)
	if !ok {
		return false, nil
	}
	err = d.DeleteUser(ctx, id)
	return err == nil, err
}

// check returns the user that a store returned, or an error if the user is nil or
// incomplete.
func (t typedLoader[U]) check(u U, err error) (User, error) {
	switch {
	case err != nil:
		return nil, err
	case t.absent(u):
		return nil, ErrUserNotFound
	case u.AuthAccount() == nil:
		return nil, failure{broken("auth: the store returned a user without an account")}
	case u.AuthAccount().ID == "":
		return nil, failure{broken("auth: the store returned a user without an ID")}
	}
	return u, nil
}

// absent returns a function that reports whether a U is nil. The check depends on the
// type, so the type is examined once, here.
func absent[U User]() func(U) bool {
	var zero U
	switch reflect.TypeFor[U]().Kind() {
	case reflect.Pointer:
		return func(u U) bool { return any(u) == any(zero) }
	case reflect.Interface:
		return func(u U) bool { return isNil(u) }
	}
	return func(U) bool { return false }
}

// isAbsent reports whether the application has passed no user: nil, a nil pointer, or a
// user without an Account.
func isAbsent(user User) bool {
	return isNil(user) || user.AuthAccount() == nil
}
