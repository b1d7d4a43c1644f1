package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-login/auth/internal/passhash"
)

// What a login page must tell apart. A page that is written with these three
// questions stays right when later features refuse logins for reasons of their
// own:
//
//   - errors.Is(err, ErrLoginRefused): show the form again, with one text for
//     all reasons, since a reason tells a stranger about the account.
//   - errors.Is(err, ErrFactorRequired): go to the page for the second factor.
//   - anything else: Manager.Error(w, r, err), which answers 503 to ErrBusy and to
//     a store that fails, and 500 to a mistake in the program.
var (
	// ErrLoginRefused is wrapped by all the errors that say "not you" or "not
	// now".
	ErrLoginRefused = errors.New("auth: login refused")

	ErrInvalidCredentials = fmt.Errorf("%w: wrong login or password", ErrLoginRefused)

	// ErrDisabled and ErrUnverified say so only to who has shown the password.
	ErrDisabled   = fmt.Errorf("%w: the account is disabled", ErrLoginRefused)
	ErrUnverified = fmt.Errorf("%w: the address is not verified", ErrLoginRefused)

	// ErrLocked and ErrResetRequired are for events: Authenticate says
	// ErrInvalidCredentials, since the password is not looked at.
	ErrLocked        = fmt.Errorf("%w: too many failures", ErrLoginRefused)
	ErrResetRequired = fmt.Errorf("%w: the password must be reset", ErrLoginRefused)

	// ErrFactorRequired says that the first factor was right and a second one is owed.
	// The login waits for ContinueLogin; Manager.Error sends the browser to the page
	// that asks for it, Config.URLs.Factor.
	ErrFactorRequired = errors.New("auth: a second factor is required")

	// ErrWrongFactor says that an answer to a factor is wrong (see ContinueLogin).
	ErrWrongFactor = fmt.Errorf("%w: wrong answer to the second factor", ErrLoginRefused)

	// ErrNoPending says that no login of this browser waits for a second factor: none
	// was begun, its 5 minutes are over, or it has brought five answers. The user
	// begins again at the login page.
	ErrNoPending = fmt.Errorf("%w: no login waits for a second factor; log in again", ErrNotLoggedIn)

	// ErrCheckMail says that a registration goes on by mail: see Config.HideAccounts. Tell
	// the user to check the mailbox. Core.Error answers 202.
	ErrCheckMail = errors.New("auth: the registration goes on by mail; tell the user to check the mailbox")

	// ErrNoFactor says that the user has no second factor where one is needed (see
	// SecondFactor), or does not have the one that is named. Core.Error sends a browser to
	// Config.URLs.TwoFactor, and answers other clients with 403.
	ErrNoFactor = errors.New("auth: the user has not set up this second factor")

	// ErrBusy says that more passwords wait to be hashed than the process's memory
	// budget and its short queue take, or that one has waited for some seconds (503
	// with Retry-After).
	ErrBusy = passhash.ErrBusy
)

// Other errors.
var (
	// ErrNotLoggedIn says that nobody is logged in.
	ErrNotLoggedIn = errors.New("auth: not logged in")

	// ErrLoggedOut says that the login was ended while the request was at work.
	ErrLoggedOut = fmt.Errorf("%w: the login has been ended", ErrNotLoggedIn)

	// ErrReplaced says that another request of this browser has just changed the
	// user's password, or another credential, and with it the session's token: this
	// request was sent with the old one. The browser is logged in and has the new one
	// by now, so the same request can be made again. It wraps ErrLoggedOut, and so
	// ErrNotLoggedIn: ask for it first. Manager.Error answers it with 401 and a page to
	// try again from, and sends nobody to the login page.
	ErrReplaced = fmt.Errorf("%w: the session's token was replaced with a credential; try again", ErrLoggedOut)

	// ErrNoSession says that the context is not one of a request inside
	// LoadAndSave.
	ErrNoSession = errors.New("auth: not inside LoadAndSave")

	// ErrHeaderWritten says that it is too late to set a cookie.
	ErrHeaderWritten = errors.New("auth: the response's header has been written")

	// ErrInvalidToken says that a mailed token is damaged, forged, expired,
	// used or made void, or another user's. Which of them it is must stay unknown,
	// except that Core.TokenUsed knows a token that has worked.
	ErrInvalidToken = errors.New("auth: invalid or expired token")

	// ErrHashUnusable says that a stored password hash is malformed, of an
	// unknown kind or beyond the limits. It opens for no password.
	ErrHashUnusable = passhash.ErrUnusable

	// ErrCrossOrigin says that a request that may change something came from
	// a page of another site.
	ErrCrossOrigin = errors.New("auth: cross-origin request refused")

	// ErrNoUserStore says that the Manager was made by NewWithLoader, which can
	// only load users.
	ErrNoUserStore = errors.New("auth: this manager has a UserLoader, not a UserStore")
)

// This file is about how sure it is that the user is still the one at the
// keyboard: a login is fresh if the user has shown who they are in it, and not
// too long ago. One that a remember cookie has made is not.

// ErrNotFresh says that somebody is logged in, and is to show once more who they
// are.
var ErrNotFresh = errors.New("auth: the login is not fresh")

// ErrOutOfScope says that the request's API token does not have the scope that it needs.
var ErrOutOfScope = errors.New("auth: the API token does not have the scope that this needs")

// ErrForbidden says that a rule of the application's own ([Manager.Where]) does not let
// the user do this.
var ErrForbidden = errors.New("auth: the user may not do this")

// This file is about logins that one can see and end: one's own, in other
// browsers, and those that are too many.

// ErrLoginNotFound says that the user has no login with this ID.
var ErrLoginNotFound = errors.New("auth: no such login")

// ErrAPITokenNotFound says that the user has no API token with this ID.
var ErrAPITokenNotFound = errors.New("auth: no such API token")

// ErrInvalidAPIToken says that an API token cannot have this name, these scopes or
// this expiry.
var ErrInvalidAPIToken = errors.New("auth: not a description of an API token")

// ErrNoMailer says that Config.Mailer is not set.
var ErrNoMailer = errors.New("auth: no mailer")

// ErrOtherUser says that a form was opened by another user than the one who is
// logged in now. Core.Error answers it with 409 Conflict.
var ErrOtherUser = errors.New("auth: another user opened this form")

// ErrFormBusy says that another process is still at work on the same submission of
// a form: see FormOnce (409).
var ErrFormBusy = errors.New("auth: this form is being processed by another request")

// ErrRateLimited says that an address has done something too often (429, with
// Retry-After). It is wrapped by RateLimitError, which says for how long.
var ErrRateLimited = errors.New("auth: too many requests from this address")

// A RateLimitError says that an address has reached one of Config.Limits.
type RateLimitError struct {
	RetryAfter time.Duration // when to come back, in whole minutes
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("%v: wait %v", ErrRateLimited, e.RetryAfter)
}

func (e *RateLimitError) Unwrap() error { return ErrRateLimited }

// A PasswordReason says why the policy refuses a password.
type PasswordReason string

// The reasons.
const (
	PasswordTooShort PasswordReason = "too-short" // fewer code points than Config.Password.Min
	PasswordTooLong  PasswordReason = "too-long"  // more than 1,024 bytes
	PasswordNotText  PasswordReason = "not-text"  // invalid UTF-8, or a NUL in it
	PasswordCommon   PasswordReason = "common"    // on the list of common passwords, or a simple pattern
	PasswordPersonal PasswordReason = "personal"  // the user's own name or address, or one of Config.Password.Words
	PasswordBreached PasswordReason = "breached"  // known from a data breach, says Config.Password.Breaches
	PasswordRejected PasswordReason = "rejected"  // by Config.Password.Check, whose error is wrapped
)

// A PasswordError says why a new password was refused. Its text is fit for the
// user to read.
type PasswordError struct {
	Reason PasswordReason
	Min    int   // for PasswordTooShort: the least number of characters
	Err    error // for PasswordRejected
}

func (e *PasswordError) Error() string {
	switch e.Reason {
	case PasswordTooShort:
		return fmt.Sprintf("the password must have at least %d characters", e.Min)
	case PasswordTooLong:
		return fmt.Sprintf("the password must have at most %d bytes", maxPassword)
	case PasswordNotText:
		return "the password has characters that are not text"
	case PasswordCommon:
		return "the password is one that many people use, and the first that is tried"
	case PasswordPersonal:
		return "the password is a name that is easy to guess"
	case PasswordBreached:
		return "the password has been in a data breach, so others may know it"
	}
	if e.Err != nil {
		return e.Err.Error()
	}
	return "the password is refused"
}

func (e *PasswordError) Unwrap() error { return e.Err }

// Limits of passwords: the least number of code points (NIST SP 800-63B-4,
// section 3.1.1.2, for a password that is not the only factor; the same text
// asks for at most 64 or more) and the most bytes that are looked at.
const (
	minPassword = 8
	maxPassword = 1024
)

// What stores say. They may wrap these errors; the library asks with
// errors.Is. Every other error of a store means that the store has failed.
var (
	ErrUserNotFound   = errors.New("auth: no such user")
	ErrUsernameTaken  = errors.New("auth: the username is taken")
	ErrEmailTaken     = errors.New("auth: the address is taken")
	ErrConflict       = errors.New("auth: changed by somebody else meanwhile")
	ErrRecordNotFound = errors.New("auth: no such record")
	ErrRecordExists   = errors.New("auth: the record exists already")
	ErrInvalidRecord  = errors.New("auth: a record needs a kind and a key, and a list a user")

	// ErrInvalidUsername and ErrInvalidEmail are also those of UsernameKey and
	// EmailKey.
	ErrInvalidUsername = errors.New("auth: not a username")
	ErrInvalidEmail    = errors.New("auth: not an e-mail address")
)

// A failure is an error of the application's own code (a store, a request
// loader) that the library cannot work with. It is answered 503, since the next
// request may find the store working; see broken for the exception. It hides the
// errors of ours that err may wrap: a store that returns ErrNotLoggedIn has
// failed, and says nothing about the user.
type failure struct{ err error }

func (f failure) Error() string { return f.err.Error() }

// Is hides our own errors that are no failures. ErrRateLimited and ErrBusy stay
// visible: the client is to come back later.
func (f failure) Is(target error) bool {
	status := statusOf(target)
	return (status >= http.StatusInternalServerError || status == http.StatusTooManyRequests) && errors.Is(f.err, target)
}

// As does, too.
func (f failure) As(target any) bool {
	switch target.(type) {
	case **PasswordError, **http.MaxBytesError:
		return false
	}
	return errors.As(f.err, target)
}

// hidden returns err as a failure, which it may be already.
func hidden(err error) error {
	if f := (failure{}); errors.As(err, &f) {
		return err
	}
	return failure{err}
}

// A broken is the error of a store that does not keep to its interface. It is a
// mistake in the program, which no later request finds mended: it is answered
// 500.
type broken string

func (b broken) Error() string { return string(b) }

func statusOf(err error) int {
	var tooLarge *http.MaxBytesError
	var password *PasswordError
	var failed failure
	var mistake broken
	switch {
	case errors.Is(err, ErrCheckMail):
		return http.StatusAccepted
	case errors.Is(err, ErrUnverified): // before what it wraps: who it is, is known
		return http.StatusForbidden
	case errors.Is(err, ErrNotLoggedIn), errors.Is(err, ErrNotFresh), errors.Is(err, ErrLoginRefused), errors.Is(err, ErrFactorRequired):
		return http.StatusUnauthorized
	case errors.Is(err, ErrCrossOrigin), errors.Is(err, ErrOutOfScope), errors.Is(err, ErrForbidden), errors.Is(err, ErrNoFactor):
		return http.StatusForbidden
	case errors.Is(err, ErrLoginNotFound), errors.Is(err, ErrAPITokenNotFound), errors.Is(err, ErrUserNotFound):
		return http.StatusNotFound
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrOtherUser):
		return http.StatusConflict
	case errors.Is(err, ErrInvalidToken):
		return http.StatusBadRequest
	case errors.Is(err, ErrConflict), errors.Is(err, ErrFormBusy):
		return http.StatusConflict
	case errors.As(err, &password), errors.Is(err, ErrInvalidUsername), errors.Is(err, ErrInvalidEmail),
		errors.Is(err, ErrUsernameTaken), errors.Is(err, ErrEmailTaken), errors.Is(err, ErrInvalidAPIToken):
		return http.StatusUnprocessableEntity
	case errors.Is(err, ErrRateLimited):
		return http.StatusTooManyRequests
	case errors.Is(err, ErrBusy), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	case errors.As(err, &failed) && !errors.As(err, &mistake):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// A passwordFree error is an error of a BreachChecker that says whether its text is free of
// the password. Its text is logged if PasswordFree returns true.
type passwordFree interface {
	error
	PasswordFree() bool
}

// A breachError is an error of our own whose text contains no part of a password.
type breachError string

func (e breachError) Error() string { return string(e) }
