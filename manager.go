package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"

	"github.com/alexedwards/scs/v2"
)

// Core returns the engine, for packages that build on this one.
func (m *Manager[U]) Core() *Core { return m.core }

// given returns a user that the application has passed, or an error if it is
// nil.
func (m *Manager[U]) given(user U) (User, error) {
	if m.absent(user) || user.AuthAccount() == nil {
		return nil, ErrUserNotFound
	}
	return user, nil
}

// typed returns a user in the application's own type.
func typed[U User](user User, err error) (U, error) {
	if err != nil {
		var none U
		return none, err
	}
	u, ok := user.(U)
	if !ok {
		return u, fmt.Errorf("auth: the user is a %T, not a %v", user, reflect.TypeFor[U]())
	}
	return u, nil
}

// CurrentUser returns the user who makes the request, and false if there is
// none or it cannot be told because a store has failed. It is for pages; what
// must know the difference asks User.
func (m *Manager[U]) CurrentUser(ctx context.Context) (U, bool) {
	u, err := m.User(ctx)
	return u, err == nil
}

// User returns the user who makes the request. It returns ErrNotLoggedIn if
// nobody is logged in, ErrNoSession outside LoadAndSave, and the store's error
// if it has failed. The user is loaded at the first call and kept for the
// request.
func (m *Manager[U]) User(ctx context.Context) (U, error) { return typed[U](m.core.User(ctx)) }

// Authenticate returns the user with this login (a username or an address, see
// Config.Identifiers) and password. It does not log the user in: LoginUser
// does. Its errors wrap ErrLoginRefused, or are ErrBusy, or a failure of the
// store. Whatever the state of the account, it computes one hash.
func (m *Manager[U]) Authenticate(ctx context.Context, login, password string) (U, error) {
	return typed[U](m.core.Authenticate(ctx, login, password))
}

// LoginUser logs the user in: it passes the gates, rotates the session token,
// and has the login stored before it returns; the cookie goes out with the
// response's header. What an anonymous visitor had in the session is kept,
// another user's is dropped. An earlier login of this browser is ended, and so
// is what it was remembered as; the option Remember has it remembered.
//
// It must be called inside LoadAndSave (else ErrNoSession) and before the
// header is written (else ErrHeaderWritten). An error that wraps
// ErrLoginRefused comes from a gate. ErrLoggedOut says that the login this
// browser had was ended at the same moment.
func (m *Manager[U]) LoginUser(ctx context.Context, user U, options ...LoginOption) error {
	u, err := m.given(user)
	if err != nil {
		return err
	}
	return m.core.LoginUser(ctx, u, options...)
}

// LogoutUser ends the login and the session that goes with it, everywhere that
// its cookie may have been copied to. It is no error if nobody is logged in.
// After the header is written it ends the login all the same, and returns
// ErrHeaderWritten to say that the cookie, now worthless, could not be removed.
//
// Call it for POST only: a GET would let any page log the user out.
func (m *Manager[U]) LogoutUser(ctx context.Context) error { return m.core.LogoutUser(ctx) }

// Register creates an account. See Registration for the errors.
func (m *Manager[U]) Register(ctx context.Context, r Registration) (U, error) {
	return typed[U](m.core.Register(ctx, r))
}

// SetPassword gives the user a new password, which must satisfy the policy
// (PasswordError), and ends the user's logins, except that the one which makes
// this request goes on with a new token. It returns ErrConflict if another
// change of password came first, ErrBusy, ErrUserNotFound for an account that is
// gone, or a failure of the store, and has then changed nothing.
func (m *Manager[U]) SetPassword(ctx context.Context, user U, password string) error {
	u, err := m.given(user)
	if err != nil {
		return err
	}
	return m.core.SetPassword(ctx, u, password)
}

// CheckNewPassword applies the policy to a password that an account might get,
// for forms that show everything that is wrong at once: length in code points,
// no rules of composition, and the whole password (never parts of it) compared
// with what others try first. It returns nil or a PasswordError. Register,
// SetPassword and ResetPassword apply it in any case.
func (m *Manager[U]) CheckNewPassword(ctx context.Context, password string, a Account) error {
	return m.core.CheckNewPassword(ctx, password, a)
}

// HashPassword returns the hash of a password, for accounts that are made
// outside Register. It applies no policy, but refuses (PasswordError) what could
// never log in: no password at all, one of over 1,024 bytes, invalid UTF-8, a
// NUL. It may return ErrBusy.
func (m *Manager[U]) HashPassword(ctx context.Context, password string) (Secret, error) {
	return m.core.HashPassword(ctx, password)
}

// CheckPassword reports whether it is the user's password. It counts for
// nothing and logs nobody in; a page that asks for the current password again
// uses it. The error is ErrBusy or the context's.
func (m *Manager[U]) CheckPassword(ctx context.Context, user U, password string) (bool, error) {
	u, err := m.given(user)
	if err != nil {
		return false, err
	}
	return m.core.CheckPassword(ctx, u, password)
}

// ResetToken returns a token that sets a new password for the user once, to be
// mailed to the account's address. See ResetPassword. It returns ErrDisabled for
// who is disabled, ErrInvalidEmail where there is no address, and an error for
// an ID of over 1,024 bytes.
func (m *Manager[U]) ResetToken(ctx context.Context, user U) (string, error) {
	u, err := m.given(user)
	if err != nil {
		return "", err
	}
	return m.core.ResetToken(ctx, u)
}

// SendReset mails a reset token to the account with this address, if there is
// one that is not disabled: as the query's token in a link to page, a path of
// this site without a query ("/reset-password") under Config.BaseURL. It goes to the address
// that is stored, not to the one that was typed.
//
// It returns nil whether there is an account or not, and whether the mail could
// be sent or not, and does the same work for both; the answer should be the
// same text. Errors are ErrInvalidEmail for what is no address, ErrNoMailer,
// ErrNoUserStore, a page that is not a plain path, and those of a store that has
// failed.
func (m *Manager[U]) SendReset(ctx context.Context, address, page string) error {
	return m.core.SendReset(ctx, address, page)
}

// CheckResetToken returns the user whose reset token this is, or
// ErrInvalidToken, and changes nothing. It is for the page that the link opens.
func (m *Manager[U]) CheckResetToken(ctx context.Context, token string) (U, error) {
	return typed[U](m.core.CheckResetToken(ctx, token))
}

// ResetPassword sets a new password by a reset token. Of any number of calls
// with an account's tokens one succeeds; the others, and every token that is
// older than the account's last change of password, are ErrInvalidToken. A
// password that the policy refuses (PasswordError), and ErrBusy, leave the token
// as it was. It ends all the user's logins and logs nobody in.
//
// An older token that was not used stays valid until one is used, the password
// or the address changes, or it expires: asking for a second mail does not
// make the first one void.
func (m *Manager[U]) ResetPassword(ctx context.Context, token, password string) (U, error) {
	return typed[U](m.core.ResetPassword(ctx, token, password))
}

// Sessions returns a copy of the scs session manager, for the application's
// own data in the session. It cannot reach the login: RenewToken rotates the
// token, Destroy logs the user out, and deadlines, merging and iteration are
// without effect. It is the data of the session's cookie; whether the login is
// still good is for User to say. Where the LoadAndSave of two managers are one inside the
// other, the data is the inner one's.
func (m *Manager[U]) Sessions() *scs.SessionManager { return m.core.Sessions() }

// LoadAndSave wraps the whole application. It refuses cross-origin requests
// that may change something (so a CORS middleware goes outside, and webhooks,
// which say no origin, pass), reads the session of the cookie, and writes what
// changed before the response's header goes out.
func (m *Manager[U]) LoadAndSave(next http.Handler) http.Handler { return m.core.LoadAndSave(next) }

// RequireLogin guards a handler: next runs only for a user who is logged in.
// Others are sent to Config.LoginURL with the page they wanted in the query as
// next; see Core.Error for what is not a browser.
func (m *Manager[U]) RequireLogin(next http.Handler) http.Handler { return m.core.RequireLogin(next) }

// Flash keeps a message for the next page that shows Flashes.
func (m *Manager[U]) Flash(ctx context.Context, category, text string) error {
	return m.core.Flash(ctx, category, text)
}

// Flashes returns the messages that wait to be shown, and removes them.
func (m *Manager[U]) Flashes(ctx context.Context) []Flash { return m.core.Flashes(ctx) }

// Error answers a request that cannot be served because of err: see
// Core.Error.
func (m *Manager[U]) Error(w http.ResponseWriter, r *http.Request, err error) {
	m.core.Error(w, r, err)
}

// The rest of this file takes the type parameter off the application's store.

// loader and storer are UserLoader and UserStore without the type parameter.
type loader interface {
	load(ctx context.Context, id string) (User, error)
}

type storer interface {
	loader
	find(ctx context.Context, key string) (User, error)
	create(ctx context.Context, a Account, form url.Values) (User, error)
	update(ctx context.Context, a Account) error
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
		return nil, errors.New("auth: the store returned another user than it was asked for")
	}
	return user, err
}

func (t typedStore[U]) find(ctx context.Context, key string) (User, error) {
	return t.check(t.FindUser(ctx, key))
}

func (t typedStore[U]) create(ctx context.Context, a Account, form url.Values) (User, error) {
	user, err := t.check(t.CreateUser(ctx, a, form))
	if err == nil && !user.AuthAccount().Stamp.Equal(a.Stamp) {
		return nil, errors.New("auth: the store returned another user than it was to create")
	}
	return user, err
}

func (t typedStore[U]) update(ctx context.Context, a Account) error {
	return t.UpdateAccount(ctx, a)
}

// check turns what a store returned into a user that can be relied on.
func (t typedLoader[U]) check(u U, err error) (User, error) {
	switch {
	case err != nil:
		return nil, err
	case t.absent(u):
		return nil, ErrUserNotFound
	case u.AuthAccount() == nil:
		return nil, errors.New("auth: the store returned a user without an account")
	case u.AuthAccount().ID == "":
		return nil, errors.New("auth: the store returned a user without an ID")
	}
	return u, nil
}

// absent returns a function that says whether a U is nil. How to ask depends
// on the type, which is looked at here, once.
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

// isNil reports whether v is nil, or a nil pointer or function.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func, reflect.Map:
		return r.IsNil()
	}
	return false
}
