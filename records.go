package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// The purposes of keys. A text that is sealed or signed for one purpose is worth nothing
// for another: the keyring derives a key for each. A Feature has a purpose of its own.
const (
	purposeReset    = "reset"       // seals the token of a MailReset and a MailInvitation
	purposeVerify   = "verify"      // seals the token of a MailVerify
	purposeEmail    = "email"       // seals the token of a MailNewAddress
	purposeRemember = "remember"    // signs the remember cookie
	purposeBrowser  = "browser"     // seals the cookie of a known browser
	purposeFlash    = "flash"       // seals the messages for the next page
	purposeNext     = "next"        // seals the page to open after the login
	purposeForm     = "form"        // signs the user of a form
	purposeNonce    = "form nonce"  // seals what lets a form run once
	purposeFields   = "form fields" // signs the fields of a form
	purposeLogin    = "login"       // signs a login that is no account's, for its counter
	purposePasskey  = "passkey"     // seals what a browser was asked for, to log in by a passkey
	purposeLink     = "login link"  // seals the token of a MailLoginCode
	purposeCode     = "login code"  // signs the code of a MailLoginCode
	purposeAsked    = "asked code"  // seals the cookie of the browser that asked for it
	purposeCookie   = "cookie "     // and the cookie's name: seals the values of cookies of package pages
	purposeFeature  = "feature "    // and the Feature's name: seals what the Feature seals
)

// formatVersion is the first version of every record's format.
const formatVersion = 1

// The kinds of session records. A visitor's session holds the application's data for a
// browser that is not logged in. It has a cookie of its own: so a request that stores
// such data can never overwrite the cookie of a login that a parallel request made.
//
// A rotated record stays under the key of a token that was replaced: see rotation.
const (
	kindSession = "session"
	kindVisitor = "visitor"
	kindRotated = "rotated"
)

// A pending record is a login that owes a second factor: see pending.go.
const kindPending = "pending"

// A login code is what a MailLoginCode has sent last: see logincode.go.
const kindLoginCode = "login-code"

// Remembered devices (remember.go), and the tombstones of those that have ended.
const (
	kindRemember      = "remember"
	kindRememberEnded = "remember-ended"
)

// A proved record says that the address of an account was verified before an administrator
// changed it. What is set up in the account is then not an attacker's: see enterByMail.
const kindProved = "proved"

// Browsers in which logins owe no second factor (trust.go).
const kindTrusted = "trusted"

// The one record of the administrators (lastadmin.go).
const kindAdmins = "administrators"

// The names of the second factors that users have set up (enrollrecord.go).
const kindEnrolled = "enrolled"

// API tokens (apitoken.go).
const (
	kindAPIToken = "api-token"
)

// Counters (limits.go): attempts at an account, and requests from an IP address in an
// hour.
const (
	kindAttempts = "attempts"
	kindRate     = "rate"
)

// A used record says that a mailed token has worked. It is kept until the token would
// have expired. Its key is the token's hash.
const kindUsed = "used"

// Forms that were submitted (formonce.go).
const (
	kindForm = "form"
)

// Links that undo a change of address (emailundo.go).
const (
	kindUndo = "email-undo"
)

// A reserved record keeps a name for its user. Without a user, nobody can have the name:
//
//   - An address that an account has given up is kept for the account, for as long as
//     the change can be undone.
//   - If a registration asked for a username together with a taken address, no account
//     is made, and the username is reserved. A caller who asks for the username again
//     then finds it taken in both cases, and cannot learn whether the address was.
const (
	kindReserved = "reserved"
)

// usernameReservedIn is how long a username is reserved after a registration that asked
// for a taken address.
const usernameReservedIn = 30 * 24 * time.Hour

// A recordKind says what happens to the records of one kind.
type recordKind struct {
	name     string
	volatile bool // they are in Config.SessionStore, not in Config.Records
	ends     ending
}

// An ending says which changes of an account (see changeCredential) end the user's
// records of a kind.
type ending int

const (
	never        ending = iota // no change: they belong to no account
	atClose                    // the closing of the account
	atForgetting               // the closing, and a change that forgets wrong passwords
	atChange                   // every change
)

// recordKinds returns every kind of record that the library stores, in the order in
// which changeCredential ends them. Sessions come first, and devices second; see
// endRecords.
func recordKinds() []recordKind {
	return []recordKind{
		{kindSession, true, atChange},
		{kindPending, true, atChange},   // if there are factors
		{kindLoginCode, true, atChange}, // if users can log in by mail
		{kindTrusted, false, atChange},  // if browsers can be trusted
		{kindRemember, false, atChange},
		{kindAPIToken, false, atChange},
		{kindAttempts, false, atForgetting},
		{kindRotated, true, atClose},        // a request with an old token must get ErrReplaced
		{kindRememberEnded, false, atClose}, // a theft must be found later, too
		{kindUndo, false, atClose},          // the owner needs it after an attacker's changes
		{kindReserved, false, atClose},      // an undo needs the old address
		{kindUsed, false, atClose},
		{kindProved, false, atClose},
		{kindEnrolled, false, atClose}, // like the factors
		{kindFeature, false, atClose},  // a second factor outlives a change of the password
		{kindFeatureAttempts, false, atClose},
		{kindVisitor, true, never},
		{kindRate, false, never},
		{kindForm, false, never},
		{kindAdmins, false, never}, // closing an account takes it out of the record
	}
}

// take deletes a record. It is no error if the record is gone already.
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

// changeRecord changes a record by compare-and-set: it reads the record, lets do change
// it, and writes it. If another request has changed the record meanwhile, changeRecord
// begins again, so do may run several times. If there is no record, do gets a new one,
// with found false, and changeRecord inserts it. If do returns errUnchanged,
// changeRecord writes nothing and returns nil. If do returns another error,
// changeRecord returns it.
//
// If other requests were first maxConflicts times in a row, the error is ErrConflict.
// If the record was the same each time, the store is broken, and the error says so.
func changeRecord(ctx context.Context, store RecordStore, kind, key string, do func(r *Record, found bool) error) error {
	var before Record // what the last try read
	unchanged := 0    // how many tries in a row have read the same
	for try := range maxConflicts {
		r, err := store.GetRecord(ctx, kind, key)
		if unlessNotFound(err) != nil {
			return err
		}
		found := err == nil
		if try > 0 && r.Key == before.Key && r.Version == before.Version {
			unchanged++
		} else {
			unchanged = 1
		}
		if before = r; !found {
			r = Record{Kind: kind, Key: key, Version: keyring.RandomVersion()}
		}
		switch err := do(&r, found); {
		case errors.Is(err, errUnchanged):
			return nil
		case err != nil:
			return err
		}
		if found {
			err = store.UpdateRecord(ctx, r)
		} else {
			err = store.InsertRecord(ctx, r)
		}
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrRecordExists) && !errors.Is(err, ErrRecordNotFound) {
			return err
		}
	}
	if unchanged == maxConflicts {
		return fmt.Errorf("auth: the record store contradicts itself: GetRecord returned the same for a record of the kind %q "+
			"%d times, and each time InsertRecord or UpdateRecord said that it had changed: check the store with "+
			"storetest.TestRecordStore", kind, maxConflicts)
	}
	return ErrConflict
}

// errUnchanged is what do returns to changeRecord if nothing is to be written.
var errUnchanged = errors.New("auth: nothing is to be changed")

// maxConflicts is how often a compare-and-set is tried again. Each failure means that
// another request has succeeded, so only a broken store reaches this number. The error
// is then ErrConflict. Counters and forms return ErrBusy and ErrFormBusy instead,
// because ErrConflict would blame the client.
//
// Some loops do not use changeRecord. updateAccount changes an account, and not a
// record. state.update, review and replace follow a session that other requests rotate.
// claimForm inserts first, because nearly every form is new. resume, endWhere and
// continueAs look again at what another request may have made.
const maxConflicts = 200

// The records of all features have one kind, so that CloseAccount can delete them without
// a list of features. A key begins with the feature's name and a slash; a name cannot
// contain a slash. The counters of attempts have a kind of their own: they belong to the
// library, and Unlock deletes them.
const (
	kindFeature         = "feature"
	kindFeatureAttempts = "feature-attempts"
)
