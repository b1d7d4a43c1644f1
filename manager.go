package auth

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"time"
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
// none or it cannot be told because a store has failed. In the second case the
// answer is 503 whatever the handler writes, unless the header is written already:
// the page for anonymous visitors never goes out by mistake.
func (m *Manager[U]) CurrentUser(ctx context.Context) (U, bool) {
	u, err := m.User(ctx)
	return u, err == nil
}

// User returns the user who makes the request. It returns ErrNotLoggedIn if
// nobody is logged in, ErrNoSession outside LoadAndSave, and the store's error
// if it has failed, after which the answer is 503. The user is loaded at the first call and kept for the
// request.
func (m *Manager[U]) User(ctx context.Context) (U, error) { return typed[U](m.core.User(ctx)) }

// Authenticate returns the user with this login (a username or an address, see
// Config.Identifiers) and password. It does not log the user in: LoginUser
// does. Its errors wrap ErrLoginRefused, or are ErrBusy, a RateLimitError, or a
// failure of the store. Whatever the state of the account, it computes one hash,
// but none for a RateLimitError.
//
// After five wrong passwords in a row none is looked at for 30 seconds, and after
// each further one for twice as long as before, up to an hour; the error is
// ErrInvalidCredentials all the same. After the hundredth none is until the
// account has a new password, or Unlock is called; if no mail can be sent (there is
// no Mailer, or the account has no address), one is looked at in each hour. Browsers that the user has logged in with before,
// by password, have counts of their own.
func (m *Manager[U]) Authenticate(ctx context.Context, login, password string) (U, error) {
	return typed[U](m.core.Authenticate(ctx, login, password))
}

// LoginUser logs the user in: it passes the gates, rotates the session token,
// and has the login stored before it returns; the cookie goes out with the
// response's header. What the handler does afterwards, a 5xx too, does not undo
// it. What an anonymous visitor had in the session is kept,
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

// Register creates an account. See Registration for the errors. With
// Config.RequireVerified, which lets nobody in before that, it mails the link that
// verifies the address; else SendVerification does, when the application wants it.
func (m *Manager[U]) Register(ctx context.Context, r Registration) (U, error) {
	return typed[U](m.core.Register(ctx, r))
}

// RegisterByMail is Register for an application that does not tell strangers who
// has an account: it returns nil whether the address is free or not, and the
// answer should be the same text, "check your mail". If it is free, the account is
// created and gets the link that verifies the address. If it is taken, nothing is
// created, and its owner is told, with a link to forgotPage, a path of this site
// without a query, or none if that is empty. It does the same work for both.
//
// The errors are those of Register, but for ErrEmailTaken. A username that is
// taken cannot be hidden; what is found out is that, and nothing of the address:
// a username that was asked for with an address that is taken is kept from everybody
// for 30 days. It is an error without Config.RequireVerified.
//
// What can still tell: the store, if it refuses a registration for reasons of its
// own only after it has looked at the names (see UserStore.CreateUser).
func (m *Manager[U]) RegisterByMail(ctx context.Context, r Registration, forgotPage string) error {
	return m.core.RegisterByMail(ctx, r, forgotPage)
}

// CheckNewEmail returns nil for an address that an account may get, or
// ErrInvalidEmail: what EmailKey refuses, except that Config.LocalDomains allows
// domains without a dot. It is for forms that show everything that is wrong at once.
// Whether the address is free it does not say.
func (m *Manager[U]) CheckNewEmail(address string) error { return m.core.CheckNewEmail(address) }

// SendVerification mails a link that verifies its address to the account with this
// address, if there is one that is not disabled and not verified yet: to
// Config.VerifyURL, with a token in the query, and good for 24 hours. Like
// SendReset it returns nil whatever becomes of it, and does the same work; errors
// are ErrInvalidEmail, ErrNoMailer, ErrNoUserStore, a RateLimitError, and those of
// a store that has failed.
func (m *Manager[U]) SendVerification(ctx context.Context, address string) error {
	return m.core.SendVerification(ctx, address)
}

// CheckVerifyToken returns the user whose address VerifyEmail would verify, or
// ErrInvalidToken, and changes nothing. It is for the page that the link opens,
// which must wait for a POST: programs that read mail open links.
func (m *Manager[U]) CheckVerifyToken(ctx context.Context, token string) (U, error) {
	return typed[U](m.core.CheckVerifyToken(ctx, token))
}

// VerifyEmail takes the account's address for verified, by a token that
// SendVerification or Register has mailed. A token works once, and no longer when
// a credential or the address has changed; of any number of calls one succeeds, and
// the others return ErrInvalidToken.
//
// What was made before ends: logins, remembered devices, API tokens, other mailed
// links. Somebody else may have registered the address and waited for its owner.
// The login that makes the request, if it is the account's, goes on. Nobody is
// logged in by it, and the password is as it was registered: who did not register
// is told by the mail to leave the link alone, and gets the account by a reset.
func (m *Manager[U]) VerifyEmail(ctx context.Context, token string) (U, error) {
	return typed[U](m.core.VerifyEmail(ctx, token))
}

// SendNewEmail asks to change the user's address: it mails a link to the new one,
// to page, a path of this site without a query, with a token in the query, which
// is good for an hour and for as long as no credential changes. Nothing changes
// before ConfirmEmail. The caller must have seen that it is the user who asks, by
// CheckPassword or CheckFresh: whoever has the mailbox has the account.
//
// For an address that somebody else has it returns nil, too, and does the same
// work; its owner is told. Errors are ErrInvalidEmail, also for the address that
// the account has, ErrDisabled, ErrLoggedOut if the login has been ended
// meanwhile, ErrNoMailer, ErrNoUserStore, a RateLimitError, a page that is not a
// plain path, and those of a store that has failed.
func (m *Manager[U]) SendNewEmail(ctx context.Context, user U, address, page string) error {
	u, err := m.given(user)
	if err != nil {
		return err
	}
	return m.core.SendNewEmail(ctx, u, address, page)
}

// CheckEmailToken returns the user whose address ConfirmEmail would change, and
// the new one, or ErrInvalidToken, and changes nothing.
func (m *Manager[U]) CheckEmailToken(ctx context.Context, token string) (user U, address string, err error) {
	u, address, err := m.core.CheckEmailToken(ctx, token)
	user, err = typed[U](u, err)
	return user, address, err
}

// ConfirmEmail gives the account the address that the token proves, which is
// verified then, and ends the user's logins, except that the one which makes this
// request goes on. It must be a login of the same user: ErrNotLoggedIn if there is
// none, ErrInvalidToken for another's. ErrEmailTaken says that somebody else has
// the address by now.
//
// The old address, if it was verified, is told, and gets a link to undoPage, a path
// of this site without a query, with a token in the query, which UndoEmail takes
// for 72 hours. For as long nobody else can get the old address.
func (m *Manager[U]) ConfirmEmail(ctx context.Context, token, undoPage string) (U, error) {
	return typed[U](m.core.ConfirmEmail(ctx, token, undoPage))
}

// CheckUndoToken returns the user whose address UndoEmail would change back, and
// the old one, or ErrInvalidToken, and changes nothing.
func (m *Manager[U]) CheckUndoToken(ctx context.Context, token string) (user U, address string, err error) {
	u, address, err := m.core.CheckUndoToken(ctx, token)
	user, err = typed[U](u, err)
	return user, address, err
}

// UndoEmail changes an address back, by the token that went to the old one: for an
// owner whose account somebody else has taken, whatever that one has changed since,
// be it the password, or the address once more. Of several old addresses the oldest
// has the last word. It removes the password and ends all the user's logins, this
// request's too, and everything that was made in them. It returns the user, for whom
// ResetToken makes a token for a new password; who is disabled stays so.
//
// A token works once; a failure leaves it as it was. Errors are ErrInvalidToken,
// also if the account is gone or closed, ErrEmailTaken if the application has given
// the address to somebody else, ErrNoUserStore, and those of a store that has
// failed.
func (m *Manager[U]) UndoEmail(ctx context.Context, token string) (U, error) {
	return typed[U](m.core.UndoEmail(ctx, token))
}

// CloseAccount ends an account for good: nobody can log in to it any more, what it
// was logged in by and all the library has stored of it is deleted, and the user is
// deleted, if the store is a UserDeleter. Else the account stays, disabled, with
// a random username if it had one and without an address; what the application keeps
// beside the account is its own to delete. The address that it had is told. The
// caller must have seen that it is the user who asks, by CheckPassword or
// CheckFresh.
//
// If the store is no UserDeleter and leaves out Disabled (see FieldOmitter), it
// changes nothing and returns an error. It returns ErrConflict if another change
// of a credential came first, ErrLoggedOut if the login that asks has been ended,
// ErrUserNotFound, or a failure of a store. After a failure the account may be disabled already; to go
// on, load the user and call it again.
func (m *Manager[U]) CloseAccount(ctx context.Context, user U) error {
	u, err := m.given(user)
	if err != nil {
		return err
	}
	return m.core.CloseAccount(ctx, u)
}

// Disable disables an account, for an administrator: nobody can log in to it. Its
// logins, remembered devices, API tokens and mailed links end, and they stay dead
// when the account is enabled again, since it gets a new Stamp; the link that undoes
// a change of address works then. It is no error if the account is disabled already.
//
// It returns ErrUserNotFound, ErrNoUserStore, or a failure of a store, after which
// the account may be disabled; call it again. The user is not told: the application
// knows the reason.
func (m *Manager[U]) Disable(ctx context.Context, userID string) error {
	return m.core.Disable(ctx, userID)
}

// Enable enables a disabled account. It gets a new Stamp, so that nothing from
// before works, also if the application itself has disabled it. For an account that
// is not disabled it does nothing. The errors are those of Disable.
func (m *Manager[U]) Enable(ctx context.Context, userID string) error {
	return m.core.Enable(ctx, userID)
}

// Unlock forgets the wrong passwords of an account, for an administrator: those in
// browsers that the user has logged in with before as well. The next attempt is
// looked at, also if the password was disabled by a hundred of them. Limits of
// addresses stay (Config.Limits). It returns ErrUserNotFound, or a failure of a
// store.
func (m *Manager[U]) Unlock(ctx context.Context, userID string) error {
	return m.core.Unlock(ctx, userID)
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
// with what others try first and, by Config.Breaches, with what has been in a
// data breach. It returns nil or a PasswordError. Register, SetPassword and
// ResetPassword apply it in any case; Breaches is asked once for all of them in a
// request.
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

// WrapHash returns Argon2id(old), as it were: a hash of the digest in a hash, made
// like those of new passwords, and with the same pepper. It needs no password, so
// that a whole table of hashes from elsewhere can be made as hard to guess as new
// ones on the day it is taken over. The result has the old scheme, its parameters
// and its salt in it, and not its digest. It is verified at the cost of both, and
// replaced when its user logs in. Old backups still have what was there.
//
// A hash that is wrapped or peppered already, an Argon2id hash that is no weaker
// than new ones (if these get no pepper), and the empty hash of an account without
// a password are returned as they are. So a program that goes through a table can
// be run again. It must save by compare-and-set, since users log in meanwhile.
//
// The result has up to 400 bytes. A column that is too narrow cuts it (MySQL does,
// without strict mode), and no password opens it then: check the width of the
// column first, and read each row back before you commit.
//
// It returns ErrHashUnusable for what could not be verified anyway, ErrBusy, or
// the context's error.
func (m *Manager[U]) WrapHash(ctx context.Context, old Secret) (Secret, error) {
	return m.core.WrapHash(ctx, old)
}

// CheckPassword reports whether it is the user's password. It logs nobody in; a
// page that asks for the current password again uses it. Wrong ones count as
// those of Authenticate do, and the right one is not, either, while none is
// looked at. The error is ErrBusy, a RateLimitError, the context's or the store's.
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
// same text. It sends nothing, and returns nil, if the address has been sent three
// within ResetLifetime, or within an hour if that is less. Errors are
// ErrInvalidEmail for what is no address, a RateLimitError, ErrNoMailer,
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
// as it was. Tokens that are none count as wrong passwords do (RateLimitError). It ends all the user's logins and logs nobody in.
//
// An older token that was not used stays valid until one is used, the password
// or the address changes, or it expires: asking for a second mail does not
// make the first one void.
func (m *Manager[U]) ResetPassword(ctx context.Context, token, password string) (U, error) {
	return typed[U](m.core.ResetPassword(ctx, token, password))
}

// Sessions returns the application's own data in the session: see SessionData. It is
// the data of the session's cookie; whether the login is still good is for User to say.
// Where the LoadAndSave of two managers are one inside the other, the data is the inner
// one's. Each call returns a value of its own, whose fields have no effect on others.
func (m *Manager[U]) Sessions() *SessionData { return m.core.Sessions() }

// LoadAndSave wraps the whole application. It refuses cross-origin requests
// that may change something (so a CORS middleware goes outside, and webhooks,
// which say no origin, pass), reads the session of the cookie, and writes what
// changed before the response's header goes out.
//
// The handler gets a copy of the request. Temporary files of a multipart form that
// was parsed in this copy are removed at the end. If a middleware inside makes a
// copy of its own (r.WithContext) and parses the form there, it has to remove them:
// defer r.MultipartForm.RemoveAll().
//
// If a store fails, a page that asks for neither the user nor the session's data
// is served. If any method has returned the failure before the header is written,
// the answer is 503 with Retry-After, also where the handler ignored it: its page
// may be the one for anonymous visitors. Cookies of ours that the request has
// set by then, such as that of a new login, go out with it.
func (m *Manager[U]) LoadAndSave(next http.Handler) http.Handler { return m.core.LoadAndSave(next) }

// RequireLogin guards a handler: next runs only for a user who is logged in. All
// guards guard every method, OPTIONS and HEAD included; a CORS middleware outside
// LoadAndSave answers preflight requests. Other requests are sent to
// Config.LoginURL with the page they wanted in the query as next; see Error for
// clients that are not browsers.
func (m *Manager[U]) RequireLogin(next http.Handler) http.Handler { return m.core.RequireLogin(next) }

// RequireFresh guards a handler for users who have shown who they are in this
// login, and not longer ago than maxAge; zero means at any time. A remembered
// login has not, nor has what a RequestLoader found. Others are sent to
// Config.RefreshURL, as RequireLogin sends to LoginURL.
func (m *Manager[U]) RequireFresh(maxAge time.Duration) func(http.Handler) http.Handler {
	return m.core.RequireFresh(maxAge)
}

// CheckFresh is RequireFresh for handlers that ask themselves: it returns nil,
// ErrNotFresh, or what User returns.
func (m *Manager[U]) CheckFresh(ctx context.Context, maxAge time.Duration) error {
	return m.core.CheckFresh(ctx, maxAge)
}

// RequireVerified guards a handler for users whose address is verified. Who is
// logged in and is not is sent to Config.VerifyURL, as RequireLogin sends to
// LoginURL; other clients than browsers get 403.
func (m *Manager[U]) RequireVerified(next http.Handler) http.Handler {
	return m.core.RequireVerified(next)
}

// CheckVerified is RequireVerified for handlers that ask themselves: it returns
// nil, ErrUnverified, or what User returns.
func (m *Manager[U]) CheckVerified(ctx context.Context) error { return m.core.CheckVerified(ctx) }

// RequireScope guards a handler for users who are logged in, and for tokens that
// have this scope or ScopeAll; other tokens get 403. Of those who are not logged
// in, only who asks for HTML is sent to the login page; others get 401.
func (m *Manager[U]) RequireScope(scope string) func(http.Handler) http.Handler {
	return m.core.RequireScope(scope)
}

// CheckScope is RequireScope for handlers that ask themselves: it returns nil,
// or ErrScope, or what User returns. After nil User returns the user of such a token
// in the whole request; behind RequireScope it does so only there.
func (m *Manager[U]) CheckScope(ctx context.Context, scope string) error {
	return m.core.CheckScope(ctx, scope)
}

// ConfirmLogin makes the login fresh, with a new token, for a user who has just
// shown who they are: after CheckPassword said yes. Limits of the login's length
// are not extended. It returns ErrNotLoggedIn if there is no login, and the
// errors of LoginUser.
func (m *Manager[U]) ConfirmLogin(ctx context.Context) error { return m.core.ConfirmLogin(ctx) }

// CurrentLogin describes the login that makes the request: how and when the user
// authenticated, and whether it is remembered. Its errors are User's.
func (m *Manager[U]) CurrentLogin(ctx context.Context) (Login, error) {
	return m.core.CurrentLogin(ctx)
}

// Logins lists the browsers in which a user is logged in or remembered: the one
// that makes the request first, and then as they were last seen. A remembered device and the logins made from it are one. It
// returns ErrUserNotFound, or a failure of a store.
func (m *Manager[U]) Logins(ctx context.Context, userID string) ([]Login, error) {
	return m.core.Logins(ctx, userID)
}

// EndLogin ends one of a user's Logins: as LogoutUser does, if it is the one that
// makes the request. It returns ErrLoginNotFound if the user has none with this
// ID. What the other browser shows it keeps showing until its next request, and
// some show it once more when the user goes back, without asking us.
func (m *Manager[U]) EndLogin(ctx context.Context, userID, id string) error {
	return m.core.EndLogin(ctx, userID, id)
}

// EndOtherLogins ends all Logins of the user who makes the request, but for this
// one. API tokens are no Logins.
func (m *Manager[U]) EndOtherLogins(ctx context.Context) error { return m.core.EndOtherLogins(ctx) }

// LogoutEverywhere ends all that a user is logged in by, this request's login
// and API tokens included: the account gets a new Stamp. With NewLoader, whose
// application keeps the Stamp itself, it ends the logins, devices and tokens there
// are.
func (m *Manager[U]) LogoutEverywhere(ctx context.Context, user U) error {
	u, err := m.given(user)
	if err != nil {
		return err
	}
	return m.core.LogoutEverywhere(ctx, u)
}

// WhileLoggedIn returns a context for a request that goes on for long, such as a
// stream or a WebSocket. It is done when the login ends, with the cause
// ErrLoggedOut: by a logout, in this browser or from another one, a change of
// password (also one's own: the page connects again), MaxSessions,
// Config.IdleTimeout (which other requests put off, and not this one) or
// Config.Lifetime. What another process does, and what an application changes in
// an account with statements of its own, it finds out no sooner than that. It
// looks once at the beginning whether the login is still good, which loads the
// user anew. If nobody is logged in, it is
// done at once, with the cause that User returns. Call the function when the
// request ends.
func (m *Manager[U]) WhileLoggedIn(ctx context.Context) (context.Context, context.CancelFunc) {
	return m.core.WhileLoggedIn(ctx)
}

// NewAPIToken makes a token that BearerLoader takes for the user. t has its Name,
// Scopes and Expires, which must all be in order (else ErrInvalidAPIToken), and
// comes back complete. The
// token itself is not stored: show it once. It ends with the account's Stamp, as
// by a change of password.
func (m *Manager[U]) NewAPIToken(ctx context.Context, user U, t APIToken) (Secret, APIToken, error) {
	u, err := m.given(user)
	if err != nil {
		return Secret{}, APIToken{}, err
	}
	return m.core.NewAPIToken(ctx, u, t)
}

// APITokens lists a user's API tokens, the newest first.
func (m *Manager[U]) APITokens(ctx context.Context, userID string) ([]APIToken, error) {
	return m.core.APITokens(ctx, userID)
}

// RevokeAPIToken ends one of a user's API tokens, or returns
// ErrAPITokenNotFound.
func (m *Manager[U]) RevokeAPIToken(ctx context.Context, userID, id string) error {
	return m.core.RevokeAPIToken(ctx, userID, id)
}

// TakeNext returns where to go after a login or a confirmation, and forgets it:
// the request's field next, or what Config.NextInCookie has kept. Call it only
// when the form has been accepted, or when a user who is logged in already opens
// the login page. A request that no person made forgets nothing: see Flashes.
func (m *Manager[U]) TakeNext(r *http.Request) Next { return m.core.TakeNext(r) }

// Flash keeps a message for the next page that shows Flashes, whoever made the
// request. A message that
// waits already is not added again. Categories are cut to 64 bytes and texts to
// 512; of more than fit into a cookie, at least four, the oldest go. It returns
// ErrNoSession or ErrHeaderWritten.
func (m *Manager[U]) Flash(ctx context.Context, category, text string) error {
	return m.core.Flash(ctx, category, text)
}

// Flashes returns the messages that wait to be shown, and removes them. Outside
// LoadAndSave, and when it is too late to remove them, there are none.
//
// A request that no person made (a prefetch or prerendering, an image, an icon, a
// script's GET that does not ask for a page, HEAD) gets the messages and does not
// remove them. The browser may throw the page away, and then nobody has seen them;
// or it may show the page later, and then they belong on it. In the second case the
// next page shows them again: better twice than never. What a script asks for by
// POST, through htmx, or as a page (Turbo, Inertia) counts as a person's request.
func (m *Manager[U]) Flashes(ctx context.Context) []Flash { return m.core.Flashes(ctx) }

// Error answers a request that cannot be served because of err.
//
// ErrNotLoggedIn, ErrNotFresh and ErrUnverified, which is what guards call it with,
// send a browser to Config.LoginURL, RefreshURL or VerifyURL by 303 See Other, with
// a message, and with the page it wanted in the query as next (or in a cookie: see
// Config.NextInCookie). That is the page it asked for, or, for a request that
// may change something, the page of this site that the request came from. A request
// that no person made (see Flashes) gets no message and puts nothing in the cookie.
//
// A script that asks for a part of a page is told to load the login page as a whole
// page. The next is then the page that the user is on: HX-Current-URL, or Referer.
//
//   - htmx (HX-Request), also with hx-boost, gets HX-Redirect with the status.
//   - Inertia (X-Inertia) gets 409 Conflict with X-Inertia-Location.
//   - A frame of Turbo's (Turbo-Frame) gets the status with a small page, not
//     Config.ErrorPage, that replaces the whole page (Turbo 7.3 or newer).
//
// A client that does not want HTML, or that has sent credentials in a header, gets
// the status alone. ErrReplaced, although it wraps ErrNotLoggedIn, sends nobody
// anywhere: its page says to try again. Errors are answered by their status:
//
//   - 400: ErrInvalidToken
//   - 401: ErrNotLoggedIn, ErrNotFresh, what wraps ErrLoginRefused, and
//     ErrFactorRequired
//   - 403: ErrCrossOrigin, ErrScope, and ErrUnverified, although that wraps
//     ErrLoginRefused: a login page asks for this first, and shows its form
//   - 404: ErrUserNotFound, ErrLoginNotFound, ErrAPITokenNotFound
//   - 409: ErrConflict, ErrFormBusy
//   - 413: a body that http.MaxBytesReader cut off
//   - 422: what is wrong with a form: PasswordError, ErrInvalidAPIToken, invalid
//     and taken names
//   - 429: RateLimitError, with Retry-After
//   - 503, with Retry-After: ErrBusy; a context that is done; and, with a record in
//     the log, a failing store or RequestLoader
//   - 500, with a record in the log: everything else
//
// If a method has returned a store's failure in this request, Error answers 503,
// whatever err is: a handler that asked CurrentUser may think that nobody is logged
// in.
func (m *Manager[U]) Error(w http.ResponseWriter, r *http.Request, err error) {
	m.core.Error(w, r, err)
}
