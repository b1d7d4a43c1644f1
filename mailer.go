package auth

import (
	"context"
	"time"
)

// A MailKind says what a mail is about.
type MailKind string

// The kinds of mails.
const (
	MailReset        MailKind = "reset"         // a link that sets a new password
	MailInvitation   MailKind = "invitation"    // an administrator has made the account (CreateUser): a link that sets its first password
	MailVerify       MailKind = "verify"        // a link that verifies the address
	MailLoginCode    MailKind = "login-code"    // a code that logs in, and a link that does the same
	MailNewAddress   MailKind = "new-address"   // to the new address of an account: a link that confirms the change
	MailAddressTaken MailKind = "address-taken" // a client wanted to use this address for another account; a link to URLs.Forgot, or none

	// These tell the owner what happened to the account. Only the first one has a link.
	MailAddressChanged   MailKind = "address-changed"    // to the old address: a link that changes it back
	MailAddressUndone    MailKind = "address-undone"     // to the address that the account had: it was changed back
	MailPasswordChanged  MailKind = "password-changed"   // the password was changed or reset
	MailPasswordDisabled MailKind = "password-disabled"  // after too many wrong passwords; the user must reset it
	MailAPIToken         MailKind = "api-token"          // an API token was made
	MailClosed           MailKind = "closed"             // the account was closed
	MailImpersonated     MailKind = "impersonated"       // an administrator has begun to act as the user: see Impersonate
	MailAccountCleared   MailKind = "account-cleared"    // a login by mail has removed everything that was set up before the address was verified
	MailStolen           MailKind = "remember-stolen"    // a copy of a remember cookie was used
	MailFactorAdded      MailKind = "factor-added"       // a second factor was set up: Factor
	MailFactorRemoved    MailKind = "factor-removed"     // a second factor was removed: Factor, or all of them if that is empty
	MailFactorDisabled   MailKind = "factor-disabled"    // after a hundred wrong answers no further one is accepted: Factor
	MailFactorUnlocked   MailKind = "factor-unlocked"    // the user has unlocked a factor that was disabled: Factor
	MailOneTimeCode      MailKind = "one-time-code"      // an administrator has made a code that replaces a second factor once
	MailPasskeyAdded     MailKind = "passkey-added"      // a passkey was added: Passkey
	MailPasskeyRemoved   MailKind = "passkey-removed"    // a passkey was removed: Passkey
	MailFactorSuspended  MailKind = "factor-suspended"   // a passkey was copied, and is not accepted any more: Factor
	MailPasswordRemoved  MailKind = "password-removed"   // the account has no password any more
	MailIdentityAdded    MailKind = "identity-added"     // an account at a Provider can log in from now on
	MailIdentityRemoved  MailKind = "identity-removed"   // an account at a Provider was disconnected
	MailIdentityRefused  MailKind = "identity-refused"   // an account at a Provider has this address, and is not connected: log in and connect it
	MailRecoveryCodes    MailKind = "recovery-codes"     // new recovery codes were made, and the old ones are void
	MailRecoveryCodeUsed MailKind = "recovery-code-used" // a recovery code was used: Left says how many remain
)

// A Mail is a message for a user. The Mailer decides about its text and its look.
type Mail struct {
	Kind     MailKind
	To       string        // the account's address as it is stored; for MailNewAddress as it was typed
	User     User          // the user of the account
	Link     Secret        // the page to open, an absolute URL; empty if there is none
	Code     Secret        // the code of a MailLoginCode, such as BCDF-GHJK. Locked screens show subjects, so put it into the text only
	Lifetime time.Duration // of the link and the code
	Factor   string        // the name of the second factor that the mail is about, if it is about one
	Passkey  string        // the name of the passkey that was added or removed; users may choose it
	Provider string        // the name of the provider that the mail is about, if it is about one
	Left     int           // the recovery codes that are left, in a MailRecoveryCodeUsed

	Language string    // the language to write it in, one of Config.Languages; empty if there are none
	At       time.Time // when it happened

	// Address and Agent are the IP address and the User-Agent of the client whose request
	// caused the mail. They are empty if there was no request, and if another user made it,
	// such as an administrator. Any client can send any Agent: show only names of browsers
	// that you know.
	Address, Agent string

	// Failed makes an event of a mail that could not be sent. Call it if Send returned
	// nil and the mail fails later. It may be nil.
	Failed func(err error)
}

// A Mailer sends mails. Package authmail has a Mailer for SMTP, and one that prints.
//
// Send is called while a request is answered. In requests such as SendReset it is
// called only if there is an account. If Send took long, the time of the answer would
// tell an attacker who has an account. So Send must put the mail into a queue and
// return. Its error goes to the log, and never into the answer.
type Mailer interface {
	Send(ctx context.Context, m Mail) error
}
