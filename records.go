package auth

import (
	"context"
	"errors"
	"time"
)

// formatVersion is the first version of every record's format.
const formatVersion = 1

// The kinds of session records. A visitor's session holds an application's
// data for somebody who is not logged in; it has a cookie of its own, so that
// writing it can never displace a login that a parallel request has made.
//
// A rotated record is left under the key of a token that was replaced: see
// rotation.
const (
	kindSession = "session"
	kindVisitor = "visitor"
	kindRotated = "rotated"
)

// A pending record is a login that owes a second factor: see pending.go.
const kindPending = "pending"

// This file is about remembered logins: a cookie that outlives the browser's
// session makes a new login when the old one is gone. It names a device by a
// random selector, and has a counter: each use is answered with a new cookie,
// whose counter is one higher. The cookie is
//
//	selector  16 bytes, random
//	counter   4 bytes
//	verifier  32 bytes: HMAC of the two under a key derived from Config.Secrets
//
// and the record, under the selector's hash, has the counter of the newest one.
// So nothing in the store makes a cookie, and the same successor can be made again
// for a second tab, or for a browser that never got the first answer.
//
// An answer can be lost. So a cookie stays good, for maxSpare uses, until a
// request shows that the browser has its successor: it sends that, or the session
// that came with it. A cookie that comes after that is a copy. Whether the owner
// or a thief sent it cannot be told, so the device and its logins end, and the
// owner gets a mail.
//
// A device that is ended leaves a tombstone: its record, under another kind. A
// thief who logs out cannot hide that the owner's cookie was used before.
const (
	kindRemember      = "remember"
	kindRememberEnded = "remember-ended"
)

// This file is about API tokens, which programs send in a header. The store has
// their hashes. Like everything that opens an account they are bound to its
// Stamp: a change of password ends them.
const (
	kindAPIToken = "api-token"
)

// This file is about guessing. An attempt is counted before its hash is
// computed, in the record store and by compare-and-set, so that of any number
// of guesses at the same time no more are looked at than are allowed; what the
// hash then shows settles the count. Three things are counted:
//
//   - wrong passwords in a row, for each account and for what is no account:
//     attempts
//   - the same for each browser that the account's owner has logged in with
//     before (see browser.go), so that a stranger's failures do not lock the
//     owner out
//   - what a client's address does in an hour: a rate
//
// A count of attempts is no credential and never changes the account: logins
// that exist go on.
const (
	kindAttempts = "attempts"
)

const (
	kindRate = "rate"
)

// A used record remembers a mailed token that has worked, until it would have
// expired. Its key is the token's hash.
const kindUsed = "used"

// This file is about forms that a browser sends twice: the user clicks twice, or
// goes back and sends the form again. Such a form carries a nonce, which is sealed
// and has in it
//
//	marks    48 bytes: which browser the form was shown in
//	form     the rest: its name
//
// The first submission stores a record under the nonce's hash:
//
//	version  1 byte
//	worker   text (see internal/wire): the Core that is at work; empty once it is done
//	claimed  varint: when the work began, in Unix milliseconds
//	mac      text: a keyed hash of the fields
//	marks    48 bytes: what the browser is known by after the work
//	outcome  the rest: what the work came to
//
// The nonce itself goes into the mac and is not stored. So nobody can test guesses
// of a password against the record, not even with Config.Secrets.
const (
	kindForm = "form"
)

// This file is about changing the address of an account. Whoever has the mailbox
// has the account, so the new address is proved before it applies, and the old one
// can take the change back.
//
// The proof is a mailed token: nothing is stored, and so nothing is pending. The
// way back is a record, which is good whatever else the one who made the change
// does to the account. It knows which addresses the account had before, as far as
// they can be gone back to themselves: they rank above it. Else somebody who
// changes an address twice could take the owner's return back in turn.
const (
	kindUndo = "email-undo"
)

// A reserved record keeps a name for its user, or, without one, from everybody:
//
//   - the address that an account has given up, for as long as it can be undone;
//   - a username that was asked for together with an address that was taken, so
//     that who asks for it again does not learn that there was no account made.
const (
	kindReserved = "reserved"
)

const (
	usernameReservedIn = 30 * 24 * time.Hour
)

// take deletes a record that may be gone already.
func take(ctx context.Context, store RecordStore, kind, key string) error {
	_, err := store.TakeRecord(ctx, kind, key)
	return unlessNotFound(err)
}

func unlessNotFound(err error) error {
	if errors.Is(err, ErrRecordNotFound) {
		return nil
	}
	return err
}

// maxConflicts is how often a compare-and-set is tried again. Each failure
// means that somebody else's succeeded, so that it is reached only by a store
// that is wrong.
const maxConflicts = 200
