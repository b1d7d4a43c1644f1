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
	MailVerify       MailKind = "verify"        // a link that verifies the address
	MailNewAddress   MailKind = "new-address"   // a link that confirms it, to the address that an account is to get
	MailAddressTaken MailKind = "address-taken" // somebody wanted this address for an account; a link to a page for a forgotten password, or none

	// To the owner, of what has been done to the account. But for the first
	// there is no link.
	MailAddressChanged   MailKind = "address-changed"   // to the old address: a link that changes it back
	MailAddressUndone    MailKind = "address-undone"    // to the address that the account had: it was changed back
	MailPasswordChanged  MailKind = "password-changed"  // or reset
	MailPasswordDisabled MailKind = "password-disabled" // after too many wrong ones: it must be reset
	MailAPIToken         MailKind = "api-token"         // one was made
	MailClosed           MailKind = "closed"            // the account was closed
	MailStolen           MailKind = "remember-stolen"   // somebody had a copy of a remember cookie
	MailFactorAdded      MailKind = "factor-added"      // a second factor was set up: Factor
	MailFactorRemoved    MailKind = "factor-removed"    // a second factor was removed: Factor, or all of them if that is empty
	MailFactorDisabled   MailKind = "factor-disabled"   // after a hundred wrong answers no further one is accepted: Factor
	MailBackupCodes      MailKind = "backup-codes"      // new recovery codes were made, and the old ones are void
	MailBackupCodeUsed   MailKind = "backup-code-used"  // a recovery code was used: Left says how many remain
)

// A Mail is something to tell a user. What it says, and how it looks, is the
// Mailer's affair.
type Mail struct {
	Kind     MailKind
	To       string        // an address as it is stored, or, of an address that an account is to get, as it was typed
	User     User          // whose account it is
	Link     Secret        // the page to open, an absolute URL; empty if there is none
	Lifetime time.Duration // of the link
	Factor   string        // the name of the second factor that the mail is about, if it is about one
	Left     int           // the recovery codes that are left, in a MailBackupCodeUsed

	// Failed is to be called if Send took the mail and it turns out later that
	// it will not be sent: it makes that an event. It may be nil.
	Failed func(err error)
}

// A Mailer sends mails. Package authmail has one for SMTP, and one that prints.
//
// Send is called while a request is answered, and only for addresses that have
// an account: it must put the mail into a queue and return, for how long it
// takes would tell strangers who has an account. Its error goes to the log and
// never into the answer.
type Mailer interface {
	Send(ctx context.Context, m Mail) error
}
