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
//     reasons. Otherwise the text would tell an attacker about the account. Only
//     ErrResetRequired may have a text of its own.
//   - errors.Is(err, ErrFactorRequired): go to the page for the second factor.
//   - any other error: call Core.Error(w, r, err). It answers 503 to ErrBusy and
//     to a failure of a store, and 500 to a mistake in the program.
var (
	// ErrLoginRefused is wrapped by every error that refuses a login.
	ErrLoginRefused = errors.New("auth: login refused")

	// ErrInvalidCredentials says that there is no such login, or that the password is
	// wrong. Authenticate also returns it while the account is locked.
	ErrInvalidCredentials = fmt.Errorf("%w: wrong login or password", ErrLoginRefused)

	// Authenticate returns ErrDisabled and ErrUnverified only if the password was
	// right. Otherwise its error is ErrInvalidCredentials.
	ErrDisabled   = fmt.Errorf("%w: the account is disabled", ErrLoginRefused)
	ErrUnverified = fmt.Errorf("%w: the address is not verified", ErrLoginRefused)

	// ErrLocked and ErrResetRequired say that the account is locked. Authenticate
	// returns ErrInvalidCredentials in their place, because it does not check the
	// password then; its events have them. Feature.Count and ContinueLogin return
	// ErrLocked. Authenticate returns ErrResetRequired if the password is right and
	// ForceReset has voided it: tell the user to reset it.
	ErrLocked        = fmt.Errorf("%w: too many failures", ErrLoginRefused)
	ErrResetRequired = fmt.Errorf("%w: the password must be reset", ErrLoginRefused)

	// ErrFactorRequired says that the first factor was right and a second one is owed.
	// The login waits for ContinueLogin. Core.Error sends the browser to the page
	// that asks for the second factor, Config.URLs.Factor.
	ErrFactorRequired = errors.New("auth: a second factor is required")

	// ErrWrongFactor says that an answer to a factor is wrong (see ContinueLogin).
	ErrWrongFactor = fmt.Errorf("%w: wrong answer to the second factor", ErrLoginRefused)

	// ErrUnknownPasskey says that a browser has shown a passkey that the site does not have,
	// such as one that was removed. The page can tell the browser to forget it.
	ErrUnknownPasskey = fmt.Errorf("%w: the passkey is unknown", ErrWrongFactor)

	// ErrTooManyPasskeys says that the user has as many passkeys as an account may have. The
	// user removes one first.
	ErrTooManyPasskeys = errors.New("auth: the user has 20 passkeys; remove one before adding another")

	// ErrIdentityNotFound says that the user has no such identity (see RemoveIdentity).
	ErrIdentityNotFound = errors.New("auth: the user has no such identity")

	// ErrLastWayIn says that RemovePasskey, RemovePassword or RemoveIdentity would leave the
	// user no way to log in. The user adds a passkey, or sets a password, first.
	ErrLastWayIn = errors.New("auth: this is the user's last way to log in; add another one first")

	// ErrInvalidCode says that a mailed code is wrong, expired, used or void, or that this
	// browser has not asked for one (see LoginByCode). You cannot learn which.
	ErrInvalidCode = fmt.Errorf("%w: wrong or expired code", ErrLoginRefused)

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

	// ErrLoggedOut says that the login ended while the request was at work. Config.Message
	// also gets it if the login had ended before.
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

// ErrForbidden says that the user may not do this: a rule such as [Role], [Can] or
// [Manager.Where] does not hold. The error of Role and Can names the roles or the
// permission that the user needs.
var ErrForbidden = errors.New("auth: the user may not do this")

// ErrImpersonating says that an administrator acts as the user of the request, and that
// only the user may do this; see Impersonate. It wraps ErrForbidden.
var ErrImpersonating = fmt.Errorf("%w: only the user may, and not an administrator who acts as the user", ErrForbidden)

// ErrUnknownRole says that Config.Roles does not have the role. A [RoleSource] returns it for
// a role that does not exist.
var ErrUnknownRole = errors.New("auth: no such role in Config.Roles")

// ErrLastAdmin says that this user is the last enabled one with the role of the
// administrators (Config.Roles.Admin), or that no other one is known: see Core.SetRoles.
var ErrLastAdmin = errors.New("auth: the user is the last administrator; make another user one first, by SetRoles")

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
// or that an account changes its email address too often.
type RateLimitError struct {
	RetryAfter time.Duration // how long to wait, in whole minutes
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("%v: wait %v", ErrRateLimited, e.RetryAfter)
}

func (e *RateLimitError) Unwrap() error { return ErrRateLimited }

// A WaitError says that the answers to a secret, such as a code, are refused for a while.
// It wraps ErrWrongFactor if this answer was wrong and begins the wait, and ErrLocked if the
// answer was not looked at. Core.Error sends Retry-After. A page of your own may do so, too:
//
//	if wait := (*auth.WaitError)(nil); errors.As(err, &wait) {
//		w.Header().Set("Retry-After", strconv.Itoa(int(wait.RetryAfter.Seconds())))
//	}
type WaitError struct {
	Err        error         // ErrWrongFactor or ErrLocked
	RetryAfter time.Duration // how long to wait, in whole seconds
}

func (e *WaitError) Error() string { return fmt.Sprintf("%v: wait %v", e.Err, e.RetryAfter) }

func (e *WaitError) Unwrap() error { return e.Err }

// waiting returns err as a WaitError, if answers are refused for this long.
func waiting(err error, wait time.Duration) error {
	if wait <= 0 {
		return err
	}
	return &WaitError{err, (wait + time.Second - 1).Truncate(time.Second)}
}

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
	ErrInvalidEmail    = errors.New("auth: invalid email address")
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

// An outcome is how an error is answered: the status, and the code of its Problem.
type outcome struct {
	status int
	code   string
}

func statusOf(err error) int { return outcomeOf(err).status }

// outcomeOf returns how an error is answered. All reasons to refuse a login have one code,
// unless the user has proved who they are: several codes would tell who has an account.
func outcomeOf(err error) outcome {
	if o, ok := denialOf(err); ok {
		return o
	}
	if o, ok := faultOf(err); ok {
		return o
	}
	var failed failure
	var mistake broken
	switch {
	case errors.Is(err, ErrRateLimited):
		return outcome{http.StatusTooManyRequests, "rate-limited"}
	case errors.Is(err, ErrBusy), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &failed) && !errors.As(err, &mistake):
		return outcome{http.StatusServiceUnavailable, "unavailable"}
	}
	return outcome{http.StatusInternalServerError, "internal-error"}
}

// denialOf returns the outcome of an error about who the user is, and what the user may do.
func denialOf(err error) (o outcome, ok bool) {
	switch {
	case errors.Is(err, ErrCheckMail):
		return outcome{http.StatusAccepted, "check-mail"}, true
	case errors.Is(err, ErrUnverified): // before ErrLoginRefused, which it wraps: the user is known
		return outcome{http.StatusForbidden, "unverified"}, true
	case errors.Is(err, ErrReplaced): // before ErrNotLoggedIn, which it wraps
		return outcome{http.StatusUnauthorized, "session-replaced"}, true
	case errors.Is(err, ErrNotLoggedIn):
		return outcome{http.StatusUnauthorized, "not-logged-in"}, true
	case errors.Is(err, ErrNotFresh):
		return outcome{http.StatusUnauthorized, "not-fresh"}, true
	case errors.Is(err, ErrResetRequired): // before ErrLoginRefused, which it wraps: the password was right
		return outcome{http.StatusUnauthorized, "reset-required"}, true
	case errors.Is(err, ErrLoginRefused):
		return outcome{http.StatusUnauthorized, "login-refused"}, true
	case errors.Is(err, ErrFactorRequired):
		return outcome{http.StatusUnauthorized, "factor-required"}, true
	case errors.Is(err, ErrCrossOrigin):
		return outcome{http.StatusForbidden, "cross-origin"}, true
	case errors.Is(err, ErrOutOfScope):
		return outcome{http.StatusForbidden, "out-of-scope"}, true
	case errors.Is(err, ErrImpersonating): // before ErrForbidden, which it wraps
		return outcome{http.StatusForbidden, "impersonating"}, true
	case errors.Is(err, ErrForbidden):
		return outcome{http.StatusForbidden, "forbidden"}, true
	case errors.Is(err, ErrNoFactor):
		return outcome{http.StatusForbidden, "no-factor"}, true
	}
	return outcome{}, false
}

// faultOf returns the outcome of an error about what the request asks for.
func faultOf(err error) (o outcome, ok bool) {
	var tooLarge *http.MaxBytesError
	var password *PasswordError
	switch {
	case errors.Is(err, ErrLoginNotFound), errors.Is(err, ErrAPITokenNotFound), errors.Is(err, ErrIdentityNotFound), errors.Is(err, ErrUserNotFound):
		return outcome{http.StatusNotFound, "not-found"}, true
	case errors.As(err, &tooLarge):
		return outcome{http.StatusRequestEntityTooLarge, "too-large"}, true
	case errors.Is(err, ErrOtherUser):
		return outcome{http.StatusConflict, "other-user"}, true
	case errors.Is(err, ErrInvalidToken):
		return outcome{http.StatusBadRequest, "invalid-token"}, true
	case errors.Is(err, ErrConflict):
		return outcome{http.StatusConflict, "conflict"}, true
	case errors.Is(err, ErrFormBusy):
		return outcome{http.StatusConflict, "form-busy"}, true
	case errors.Is(err, ErrLastWayIn):
		return outcome{http.StatusConflict, "last-way-in"}, true
	case errors.Is(err, ErrLastAdmin):
		return outcome{http.StatusConflict, "last-administrator"}, true
	case errors.Is(err, ErrTooManyPasskeys):
		return outcome{http.StatusConflict, "too-many-passkeys"}, true
	case errors.As(err, &password):
		return outcome{http.StatusUnprocessableEntity, "password-refused"}, true
	case errors.Is(err, ErrInvalidUsername):
		return outcome{http.StatusUnprocessableEntity, "invalid-username"}, true
	case errors.Is(err, ErrInvalidEmail):
		return outcome{http.StatusUnprocessableEntity, "invalid-email"}, true
	case errors.Is(err, ErrUsernameTaken):
		return outcome{http.StatusUnprocessableEntity, "username-taken"}, true
	case errors.Is(err, ErrEmailTaken):
		return outcome{http.StatusUnprocessableEntity, "email-taken"}, true
	case errors.Is(err, ErrInvalidAPIToken):
		return outcome{http.StatusUnprocessableEntity, "invalid-api-token"}, true
	case errors.Is(err, ErrUnknownRole):
		return outcome{http.StatusUnprocessableEntity, "unknown-role"}, true
	}
	return outcome{}, false
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

// A stepUp is an error of a rule that asks the user to show more than this login has shown:
// ErrNotFresh or ErrNoFactor. It knows what the challenge of RFC 9470 says.
type stepUp struct {
	error
	maxAge time.Duration // of Fresh; 0: any time in the login
	factor bool          // the rule asks for a second factor
}

func (e stepUp) Unwrap() error { return e.error }
