package auth

import "time"

// An EventKind says what happened.
type EventKind string

// The kinds of events. All that tell of something that went wrong have an Err.
const (
	EventLogin            EventKind = "login"             // somebody logged in
	EventLoginFailed      EventKind = "login-failed"      // Authenticate said no, or could not say
	EventLoginRefused     EventKind = "login-refused"     // a gate refused, or the login could not be stored
	EventLoginPending     EventKind = "login-pending"     // a login waits for a second factor
	EventConfirmed        EventKind = "login-confirmed"   // ConfirmLogin made a login fresh
	EventLogout           EventKind = "logout"            // a user ended a login
	EventLogoutEverywhere EventKind = "logout-everywhere" // LogoutEverywhere ended all logins of a user
	EventSessionEnded     EventKind = "session-ended"     // a login was found void, or was ended from elsewhere; Err says why
	EventProtected        EventKind = "session-protected" // a login was used from another client; see Config.Protection
	EventDenied           EventKind = "access-denied"     // a guard refused; Err says why
	EventAPITokenIssued   EventKind = "api-token-issued"  // NewAPIToken made one
	EventAPITokenRevoked  EventKind = "api-token-revoked" // RevokeAPIToken ended one
	EventSessionDamaged   EventKind = "session-damaged"   // a session's record, or a value in it, cannot be read
	EventRotated          EventKind = "token-rotated"     // a session got a new token
	EventRememberStolen   EventKind = "remember-stolen"   // a remember cookie was used again: the device's logins were ended
	EventRegistered       EventKind = "registered"        // an account was created
	EventRegisterFailed   EventKind = "register-failed"   // Register refused, or failed
	EventPasswordChanged  EventKind = "password-changed"  // SetPassword set one
	EventPasswordFailed   EventKind = "password-failed"   // a password could not be set
	EventCheckFailed      EventKind = "check-failed"      // CheckPassword was given a wrong one
	EventPasswordLocked   EventKind = "password-locked"   // wrong passwords in a row: none is looked at for a while
	EventPasswordDisabled EventKind = "password-disabled" // a hundred of them: none is until it has been reset, or Unlock is called
	EventSecretLocked     EventKind = "secret-locked"     // wrong attempts in a row at a secret of the Feature that Method names: none is looked at for a while
	EventSecretDisabled   EventKind = "secret-disabled"   // a hundred of them: none is until Unlock is called
	EventRateLimited      EventKind = "rate-limited"      // an address has come to one of Config.Limits
	EventHashUpgraded     EventKind = "hash-upgraded"     // a hash from elsewhere, or with older parameters or another pepper, was replaced at login
	EventHashNotUpgraded  EventKind = "hash-not-upgraded" // the user store did not keep the new hash: the old one stays, and the login went on; tried again after an hour
	EventHashUnusable     EventKind = "hash-unusable"     // a stored hash is malformed, of an unknown kind or beyond the limits, or its pepper is gone
	EventResetIssued      EventKind = "reset-issued"      // a reset token was made
	EventResetRefused     EventKind = "reset-refused"     // a reset was asked for where there is none to give
	EventResetDone        EventKind = "reset-done"        // a password was set by a reset token
	EventResetFailed      EventKind = "reset-failed"      // ResetPassword refused, or failed
	EventVerifyIssued     EventKind = "verify-issued"     // a link that verifies an address was mailed
	EventVerifyRefused    EventKind = "verify-refused"    // one was asked for where there is none to give
	EventVerified         EventKind = "verified"          // VerifyEmail verified an address
	EventVerifyFailed     EventKind = "verify-failed"     // VerifyEmail refused, or failed
	EventEmailAsked       EventKind = "email-asked"       // SendNewEmail mailed a link that confirms an address
	EventEmailChanged     EventKind = "email-changed"     // ConfirmEmail changed the address
	EventEmailUndone      EventKind = "email-undone"      // UndoEmail changed it back
	EventEmailFailed      EventKind = "email-failed"      // one of these three refused, or failed
	EventDisabled         EventKind = "account-disabled"  // Disable disabled an account
	EventEnabled          EventKind = "account-enabled"   // Enable enabled it again
	EventUnlocked         EventKind = "account-unlocked"  // Unlock forgot an account's wrong passwords
	EventClosed           EventKind = "account-closed"    // CloseAccount closed an account
	EventCloseFailed      EventKind = "close-failed"      // CloseAccount refused, or failed, and is to be called again
	EventMailFailed       EventKind = "mail-failed"       // the Mailer did not take a mail, or could not send it
	EventCrossOrigin      EventKind = "cross-origin"      // a cross-origin request was refused
	EventStoreFailed      EventKind = "store-failed"      // cleaning up after a change failed; it was safe without

	EventBreachCheckFailed EventKind = "breach-check-failed" // Config.Breaches gave no answer, and the password was let pass
	EventProxySuspected    EventKind = "proxy-suspected"     // X-Forwarded-For came from who is no trusted proxy, or all logins from one private address; once for each
)

// An Event is something that a security log should have. The library puts no
// password, token or cookie into it, nor what users typed; Err may have what the
// application's own functions say (a store, a ReadForm).
type Event struct {
	Time      time.Time
	Kind      EventKind
	UserID    string // of the account it is about, if there is one
	Address   string // the client's IP address, if a request is at work; see Config.TrustedProxies
	UserAgent string // what the client says that it is, at most 256 bytes
	Method    string // how the user authenticated: "password" (by Authenticate or CheckPassword, in this request), "remember", "token", or "" if the application knows
	Err       error  // why, for what failed
}
