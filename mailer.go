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
	MailNewAddress   MailKind = "new-address"   // to the new address of an account: a link that confirms the change
	MailAddressTaken MailKind = "address-taken" // a client wanted to use this address for another account; a link to URLs.Forgot, or none

	// These tell the owner what happened to the account. Only the first one has a link.
	MailAddressChanged   MailKind = "address-changed"   // to the old address: a link that changes it back
	MailAddressUndone    MailKind = "address-undone"    // to the address that the account had: it was changed back
	MailPasswordChanged  MailKind = "password-changed"  // the password was changed or reset
	MailPasswordDisabled MailKind = "password-disabled" // after too many wrong passwords; the user must reset it
	MailAPIToken         MailKind = "api-token"         // an API token was made
	MailClosed           MailKind = "closed"            // the account was closed
	MailStolen           MailKind = "remember-stolen"   // a copy of a remember cookie was used
	MailFactorAdded      MailKind = "factor-added"      // a second factor was set up: Factor
	MailFactorRemoved    MailKind = "factor-removed"    // a second factor was removed: Factor, or all of them if that is empty
	MailFactorDisabled   MailKind = "factor-disabled"   // after a hundred wrong answers no further one is accepted: Factor
	MailBackupCodes      MailKind = "backup-codes"      // new recovery codes were made, and the old ones are void
	MailBackupCodeUsed   MailKind = "backup-code-used"  // a recovery code was used: Left says how many remain
)

// A Mail is a message for a user. The Mailer decides about its text and its look.
type Mail struct {
	Kind     MailKind
	To       string        // the account's address as it is stored; for MailNewAddress as it was typed
	User     User          // the user of the account
	Link     Secret        // the page to open, an absolute URL; empty if there is none
	Lifetime time.Duration // of the link
	Factor   string        // the name of the second factor that the mail is about, if it is about one
	Left     int           // the recovery codes that are left, in a MailBackupCodeUsed

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
