package auth

import (
	"context"
	"strings"
	"time"
	"unicode"
)

// An EventKind says what happened, as noun.verb.
type EventKind string

// The kinds of events. An event about something that went wrong has an Err.
const (
	EventLoginSucceeded EventKind = "login.succeeded" // a user logged in
	EventLoginFailed    EventKind = "login.failed"    // Authenticate refused, or failed
	EventLoginRefused   EventKind = "login.refused"   // a gate refused, or the login could not be stored
	EventLoginPending   EventKind = "login.pending"   // a login waits for a second factor
	EventLoginConfirmed EventKind = "login.confirmed" // ConfirmLogin made a login fresh
	EventLoginProtected EventKind = "login.protected" // a login was used from another client; see SessionConfig.Protection
	EventLoginEnded     EventKind = "login.ended"     // a user logged out, or another user logged in in the same browser
	EventLoginsEnded    EventKind = "logins.ended"    // LogoutEverywhere ended all logins of a user
	EventLoginRevoked   EventKind = "login.revoked"   // a login is no longer valid, or was ended from elsewhere; Err says why
	EventAccessDenied   EventKind = "access.denied"   // a guard refused; Err says why

	EventSessionRotated EventKind = "session.rotated" // a session got a new token
	EventSessionDamaged EventKind = "session.damaged" // the record of a session, or a value in it, cannot be read
	EventRememberStolen EventKind = "remember.stolen" // a remember cookie was used again: the device's logins were ended

	EventAccountRegistered     EventKind = "account.registered"      // an account was created
	EventAccountRegisterFailed EventKind = "account.register-failed" // Register refused, or failed
	EventAccountDisabled       EventKind = "account.disabled"        // Disable disabled an account
	EventAccountEnabled        EventKind = "account.enabled"         // Enable enabled a disabled account
	EventAccountUnlocked       EventKind = "account.unlocked"        // Unlock removed the locks of an account
	EventRolesSet              EventKind = "roles.set"               // SetRoles changed the roles of an account
	EventRolesSetFailed        EventKind = "roles.set-failed"        // SetRoles refused, or failed
	EventUsernameChanged       EventKind = "username.changed"        // SetUsername changed the username
	EventUsernameChangeFailed  EventKind = "username.change-failed"  // SetUsername refused, or failed
	EventAccountClosed         EventKind = "account.closed"          // CloseAccount closed an account
	EventAccountCleared        EventKind = "account.cleared"         // a login by mail has removed everything that was set up before the address was verified
	EventAccountCloseFailed    EventKind = "account.close-failed"    // CloseAccount refused, or failed; if a store failed, call it again

	EventPasswordSet          EventKind = "password.set"           // SetPassword set a password
	EventPasswordSetFailed    EventKind = "password.set-failed"    // SetPassword refused, or failed
	EventPasswordRemoved      EventKind = "password.removed"       // RemovePassword removed the password
	EventPasswordRemoveFailed EventKind = "password.remove-failed" // RemovePassword refused, or failed
	EventPasswordCheckFailed  EventKind = "password.check-failed"  // CheckPassword was given a wrong password
	EventPasswordLocked       EventKind = "password.locked"        // several wrong passwords in a row: further ones are refused for a while
	EventPasswordDisabled     EventKind = "password.disabled"      // a hundred wrong passwords: the password is refused until a reset, or until Unlock
	EventSecretLocked         EventKind = "secret.locked"          // several wrong answers in a row for the Feature that Method names, or wrong codes of mails ("mail"): further ones are refused for a while
	EventSecretDisabled       EventKind = "secret.disabled"        // a hundred wrong answers: all are refused until Unlock
	EventAddressLimited       EventKind = "address.limited"        // a client's address has reached one of Config.Limits

	EventHashUpgraded    EventKind = "hash.upgraded"     // a stored hash from another library, or with older parameters or another pepper, was replaced at login
	EventHashNotUpgraded EventKind = "hash.not-upgraded" // the user store did not keep the new hash: the old one stays, the login went on, and the next try is after an hour
	EventHashUnusable    EventKind = "hash.unusable"     // a stored hash is malformed, of an unknown kind or beyond the limits, or its pepper is missing

	EventResetIssued  EventKind = "reset.issued"  // a reset token was made
	EventResetRefused EventKind = "reset.refused" // SendReset was called for an address that can get no reset
	EventResetDone    EventKind = "reset.done"    // a reset token set a password
	EventResetFailed  EventKind = "reset.failed"  // ResetPassword refused, or failed
	EventResetForced  EventKind = "reset.forced"  // ForceReset voided the password

	EventLoginCodeIssued  EventKind = "login-code.issued"  // a code and a link that log in were mailed
	EventLoginCodeRefused EventKind = "login-code.refused" // SendLoginCode was called for an address that can get no code

	EventVerificationIssued  EventKind = "verification.issued"  // a link that verifies an address was mailed, or a token for one was made
	EventVerificationRefused EventKind = "verification.refused" // SendVerification was called for an address that can get no link
	EventVerificationDone    EventKind = "verification.done"    // VerifyEmail verified an address
	EventVerificationFailed  EventKind = "verification.failed"  // VerifyEmail refused, or failed

	EventEmailChangeIssued EventKind = "email-change.issued" // SendEmailChange mailed a link to a new address
	EventEmailChangeDone   EventKind = "email-change.done"   // ConfirmEmailChange changed the address
	EventEmailChangeUndone EventKind = "email-change.undone" // UndoEmailChange changed the address back
	EventEmailChangeFailed EventKind = "email-change.failed" // SendEmailChange, ConfirmEmailChange or UndoEmailChange refused, or failed

	EventAPITokenIssued  EventKind = "api-token.issued"  // NewAPIToken made a token
	EventAPITokenRevoked EventKind = "api-token.revoked" // RevokeAPIToken ended a token

	EventFactorAdded          EventKind = "factor.added"           // EnrollFactor set up a second factor
	EventFactorAddFailed      EventKind = "factor.add-failed"      // EnrollFactor refused, or failed
	EventFactorRemoved        EventKind = "factor.removed"         // RemoveFactor or ResetFactors removed factors
	EventFactorRemoveFailed   EventKind = "factor.remove-failed"   // RemoveFactor or ResetFactors refused, or failed
	EventFactorSuspended      EventKind = "factor.suspended"       // a passkey was copied: it is not accepted any more
	EventFactorUnlocked       EventKind = "factor.unlocked"        // UnlockFactor made a factor usable again
	EventIdentityAdded        EventKind = "identity.added"         // an account at a provider was connected
	EventIdentityAddFailed    EventKind = "identity.add-failed"    // an account at a provider could not be connected
	EventIdentityRemoved      EventKind = "identity.removed"       // an account at a provider was disconnected, for example by RemoveIdentity
	EventIdentityRemoveFailed EventKind = "identity.remove-failed" // RemoveIdentity refused, or failed
	EventTrustGiven           EventKind = "trust.given"            // TrustBrowser began to trust a browser
	EventTrustEnded           EventKind = "trust.ended"            // EndTrust ended the trust in a browser
	EventRecoveryCodesMade    EventKind = "recovery-codes.made"    // NewRecoveryCodes made codes
	EventRecoveryCodesFailed  EventKind = "recovery-codes.failed"  // NewRecoveryCodes refused, or failed
	EventRecoveryCodeUsed     EventKind = "recovery-codes.used"    // a recovery code was used

	EventImpersonationBegun   EventKind = "impersonation.begun"   // Impersonate: the administrator ActorID acts as the user from now on
	EventImpersonationEnded   EventKind = "impersonation.ended"   // an impersonation ended; Err is the reason, and nil after StopImpersonating
	EventImpersonationRefused EventKind = "impersonation.refused" // Impersonate refused

	EventMailFailed        EventKind = "mail.failed"         // the Mailer refused a mail, or could not send it
	EventRequestRefused    EventKind = "request.refused"     // a cross-origin request was refused
	EventCleanupFailed     EventKind = "cleanup.failed"      // work that follows a change has failed; the change itself is made and safe
	EventBreachCheckFailed EventKind = "breach-check.failed" // PasswordConfig.Breaches gave no answer, and the password was accepted
	EventProxySuspected    EventKind = "proxy.suspected"     // X-Forwarded-For came from an untrusted address, or all logins come from one private address; once for each
)

// An Event is what a security log should record. The library puts no password, token,
// cookie or text typed by a user into it. Reason is what you passed to WithReason. Err may
// contain the text of errors of your own functions, such as those of a store or a ReadForm.
type Event struct {
	Time      time.Time
	Kind      EventKind
	UserID    string // of the account that the event is about, if there is one
	ActorID   string // of the user who did it to the account, if that is another user: an administrator, also one who acts as the user (Impersonate)
	Reason    string // the reason of WithReason, if the call had one
	Roles     string // the roles that the account has now, with spaces in between, in an EventRolesSet
	Address   string // the client's IP address, if a request is being served; see NetworkConfig.TrustedProxies
	UserAgent string // the client's User-Agent header, at most 256 bytes
	Method    string // how the user authenticated: "password" (by Authenticate or CheckPassword, in this request), "remember", "token", "mail", what auth.By says, the name of a factor or feature, or ""
	Err       error  // the reason, if something went wrong
}

// maxReason is how many bytes of a reason an event has.
const maxReason = 256

type reasonKey struct{}

// WithReason returns a context with the reason for what is done with it. The events of
// calls with this context have the reason (Event.Reason). It is cut after 256 bytes, and
// characters that are not printable become spaces. Never put a secret into it.
//
//	err := manager.Disable(auth.WithReason(ctx, "ticket 4711"), userID)
func WithReason(ctx context.Context, reason string) context.Context {
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(reason, " "))
	return context.WithValue(ctx, reasonKey{}, cut(strings.TrimSpace(clean), maxReason))
}

// reasonOf returns the reason in a context, or "".
func reasonOf(ctx context.Context) string {
	reason, _ := ctx.Value(reasonKey{}).(string)
	return reason
}
