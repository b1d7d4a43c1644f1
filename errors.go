package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-login/auth/internal/passhash"
)

// Errors of a login. A login page asks these three questions, in this order. It
// then stays right when later versions refuse logins for further reasons:
//
//   - errors.Is(err, ErrLoginRefused): show the form again, with one text for all
//     reasons. Otherwise the text would tell an attacker about the account.
//   - errors.Is(err, ErrFactorRequired): go to the page for the second factor.
//   - any other error: call Core.Error(w, r, err). It answers 503 to ErrBusy and
//     to a failure of a store, and 500 to a mistake in the program.
var (
	// ErrLoginRefused is wrapped by every error that refuses a login.
	ErrLoginRefused = errors.New("auth: login refused")

	ErrInvalidCredentials = fmt.Errorf("%w: wrong login or password", ErrLoginRefused)

	// Authenticate returns ErrDisabled and ErrUnverified only if the password was
	// right. Otherwise its error is ErrInvalidCredentials.
	ErrDisabled   = fmt.Errorf("%w: the account is disabled", ErrLoginRefused)
	ErrUnverified = fmt.Errorf("%w: the address is not verified", ErrLoginRefused)

	// ErrLocked and ErrResetRequired say that the account is locked. Authenticate
	// returns ErrInvalidCredentials in their place, because it does not check the
	// password then; its events have them. Feature.Count and ContinueLogin return
	// ErrLocked.
	ErrLocked        = fmt.Errorf("%w: too many failures", ErrLoginRefused)
	ErrResetRequired = fmt.Errorf("%w: the password must be reset", ErrLoginRefused)

	// ErrFactorRequired says that the first factor was right and a second one is owed.
	// The login waits for ContinueLogin. Core.Error sends the browser to the page
	// that asks for the second factor, Config.URLs.Factor.
	ErrFactorRequired = errors.New("auth: a second factor is required")

	// ErrWrongFactor says that an answer to a factor is wrong (see ContinueLogin).
	ErrWrongFactor = fmt.Errorf("%w: wrong answer to the second factor", ErrLoginRefused)

	// ErrNoPending says that no login of this browser waits for a second factor: none
	// was begun, its 5 minutes are over, or it has had five answers. The user begins
	// again at the login page.
	ErrNoPending = fmt.Errorf("%w: no login waits for a second factor; log in again", ErrNotLoggedIn)

	// ErrCheckMail says that a registration goes on by mail: see Config.HideAccounts.
	// Tell the user to check the mailbox. Core.Error answers 202.
	ErrCheckMail = errors.New("auth: the registration goes on by mail; tell the user to check the mailbox")

	// ErrNoFactor says that the user has no second factor where one is needed (see
	// SecondFactor), or does not have the one that is named. Core.Error sends a browser to
	// Config.URLs.TwoFactor, and answers other clients with 403.
	ErrNoFactor = errors.New("auth: the user has not set up this second factor")

	// ErrBusy says that the process has too many passwords to hash: its memory budget
	// and its short queue are full, or a password waited for some seconds. The answer
	// is 503 with Retry-After.
	ErrBusy = passhash.ErrBusy
)

// Other errors.
var (
	// ErrNotLoggedIn says that the request has no login.
	ErrNotLoggedIn = errors.New("auth: not logged in")

	// ErrLoggedOut says that the login ended while the request was at work.
	ErrLoggedOut = fmt.Errorf("%w: the login has been ended", ErrNotLoggedIn)

	// ErrReplaced says that the request was sent with a session token that has just
	// been replaced: another request of this browser changed the user's password, or
	// another credential. The browser is still logged in and has the new token by now,
	// so it can send the same request again.
	//
	// ErrReplaced wraps ErrLoggedOut, and so ErrNotLoggedIn: check for ErrReplaced
	// first. Core.Error answers it with 401 and a page to try again from. It does
	// not send the browser to the login page.
	ErrReplaced = fmt.Errorf("%w: the session's token was replaced because a credential changed; send the request again", ErrLoggedOut)

	// ErrNoSession says that the context is not that of a request inside LoadAndSave.
	ErrNoSession = errors.New("auth: not inside LoadAndSave; wrap the handler with it, and pass the request's context")

	// ErrHeaderWritten says that it is too late to set a cookie.
	ErrHeaderWritten = errors.New("auth: the response's header has been written; it is too late to set a cookie")

	// ErrInvalidToken says that a mailed token is damaged, forged, expired, used, void,
	// or another user's. You cannot learn which, with one exception: Core.TokenUsed
	// recognises a token that has worked.
	ErrInvalidToken = errors.New("auth: invalid or expired token")

	// ErrHashUnusable says that a stored password hash is malformed, of an unknown kind
	// or beyond the limits. No password matches it.
	ErrHashUnusable = passhash.ErrUnusable

	// ErrCrossOrigin says that a page of another site sent a request that may change
	// something.
	ErrCrossOrigin = errors.New("auth: cross-origin request refused")

	// ErrNoUserStore says that the Manager was made by NewWithLoader, which can
	// only load users.
	ErrNoUserStore = errors.New("auth: this Manager can only load users; make it by New with a UserStore, not by NewWithLoader")
)

// ErrNotFresh says that the user is logged in, but must show the password, or another
// credential, again. A login is fresh if the user did so lately. A login that a
// remember cookie made is not fresh.
var ErrNotFresh = errors.New("auth: the login is not fresh")

// ErrOutOfScope says that the request needs a scope that its API token does not have.
var ErrOutOfScope = errors.New("auth: the API token does not have the scope that this needs")

// ErrForbidden says that a rule of your application ([Manager.Where]) does not let the
// user do this.
var ErrForbidden = errors.New("auth: the user may not do this")

// ErrLoginNotFound says that the user has no login with this ID.
var ErrLoginNotFound = errors.New("auth: no such login")

// ErrAPITokenNotFound says that the user has no API token with this ID.
var ErrAPITokenNotFound = errors.New("auth: no such API token")

// ErrInvalidAPIToken says that an API token cannot have this name, these scopes or
// this expiry. Its text says which.
var ErrInvalidAPIToken = errors.New("auth: cannot make the API token")

// ErrNoMailer says that Config.Mailer is not set.
var ErrNoMailer = errors.New("auth: no mailer; set Config.Mailer")

// ErrOtherUser says that the user who opened the form is not the user who is logged in
// now. Core.Error answers it with 409 Conflict.
var ErrOtherUser = errors.New("auth: another user opened this form")

// ErrFormBusy says that another process is still at work on the same submission of a
// form: see FormOnce. The answer is 409.
var ErrFormBusy = errors.New("auth: this form is being processed by another request")

// ErrRateLimited says that a rate limit was reached. The answer is 429 with
// Retry-After. RateLimitError wraps it and says how long to wait.
var ErrRateLimited = errors.New("auth: too many requests")

// A RateLimitError says that a client's IP address has reached one of Config.Limits,
// or that an account changes its e-mail address too often.
type RateLimitError struct {
	RetryAfter time.Duration // how long to wait, in whole minutes
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
	PasswordBreached PasswordReason = "breached"  // Config.Password.Breaches says that it was in a data breach
	PasswordRejected PasswordReason = "rejected"  // refused by Config.Password.Check, whose error is wrapped
)

// A PasswordError says why a new password was refused. You can show its text to the
// user.
type PasswordError struct {
	Reason PasswordReason
	Min    int   // with PasswordTooShort: the least number of characters
	Err    error // with PasswordRejected: the error of Config.Password.Check
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
		return "many people use this password, so it is easy to guess"
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

// Limits of passwords: the least number of code points, and the most bytes. NIST SP
// 800-63B-4, section 3.1.1.2, asks for at least 8 characters if the password is not the
// only factor, and for a maximum of 64 or more.
const (
	minPassword = 8
	maxPassword = 1024
)

// Errors that stores return. A store may wrap them: the library compares with
// errors.Is. Every other error means that the store has failed.
var (
	ErrUserNotFound   = errors.New("auth: no such user")
	ErrUsernameTaken  = errors.New("auth: the username is taken")
	ErrEmailTaken     = errors.New("auth: the address is taken")
	ErrConflict       = errors.New("auth: changed by another request meanwhile")
	ErrRecordNotFound = errors.New("auth: no such record")
	ErrRecordExists   = errors.New("auth: the record exists already")
	ErrInvalidRecord  = errors.New("auth: a record needs a Kind and a Key, and a list of records needs a user ID")

	// UsernameKey returns ErrInvalidUsername, and EmailKey returns ErrInvalidEmail.
	ErrInvalidUsername = errors.New("auth: invalid username")
	ErrInvalidEmail    = errors.New("auth: invalid e-mail address")
)

// A failure is an error of application code (a store, or the Load of a Credential) that
// the library cannot work with. It is answered 503, because the next request may find
// the store working; broken is the exception. It hides our own errors if err wraps
// them: if a store returns ErrNotLoggedIn, the store has failed, and the error says
// nothing about the user.
type failure struct{ err error }

func (f failure) Error() string { return f.err.Error() }

// Is hides our own errors, except those that are answered with 5xx or 429. ErrRateLimited
// and ErrBusy stay visible, so that the client comes back later.
func (f failure) Is(target error) bool {
	status := statusOf(target)
	return (status >= http.StatusInternalServerError || status == http.StatusTooManyRequests) && errors.Is(f.err, target)
}

// As hides a PasswordError and an http.MaxBytesError that err wraps.
func (f failure) As(target any) bool {
	switch target.(type) {
	case **PasswordError, **http.MaxBytesError:
		return false
	}
	return errors.As(f.err, target)
}

// hidden returns err as a failure. If err is a failure already, it returns err.
func hidden(err error) error {
	if f := (failure{}); errors.As(err, &f) {
		return err
	}
	return failure{err}
}

// A broken is the error of a store that breaks the contract of its interface. This is a
// mistake in the program, and a later request meets it again. So it is answered 500.
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
	case errors.Is(err, ErrUnverified): // before ErrLoginRefused, which it wraps: the user is known
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

// A passwordFree error is an error of a BreachChecker that says whether its text is
// free of the password. If PasswordFree returns true, the text is logged.
type passwordFree interface {
	error
	PasswordFree() bool
}

// A breachError is an error of our own whose text contains no part of a password.
type breachError string

func (e breachError) Error() string { return string(e) }
