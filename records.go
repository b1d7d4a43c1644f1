package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-login/auth/internal/keyring"
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

// Remembered devices (remember.go), and the tombstones of those that have ended.
const (
	kindRemember      = "remember"
	kindRememberEnded = "remember-ended"
)

// API tokens (apitoken.go).
const (
	kindAPIToken = "api-token"
)

// Counters (limits.go): attempts at an account, and what an address does in an hour.
const (
	kindAttempts = "attempts"
)

const (
	kindRate = "rate"
)

// A used record remembers a mailed token that has worked, until it would have
// expired. Its key is the token's hash.
const kindUsed = "used"

// Forms that were submitted (once.go).
const (
	kindForm = "form"
)

// The way back from a change of address (emailundo.go).
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

// A recordKind says what becomes of a kind of records.
type recordKind struct {
	name     string
	volatile bool // they are in Config.SessionStore, and not in Config.Records
	ends     ending
}

// An ending says which changes of an account (see changeCredential) end the user's
// records of a kind.
type ending int

const (
	never        ending = iota // they belong to no account
	atClose                    // when the account is closed
	atForgetting               // then, and by a change that forgets wrong passwords
	atChange                   // by every change
)

// recordKinds returns every kind of record that the library stores, in the order in
// which changeCredential ends them. Sessions come first, and devices second; see
// endRecords.
func recordKinds() []recordKind {
	return []recordKind{
		{kindSession, true, atChange},
		{kindPending, true, atChange}, // if there are factors
		{kindRemember, false, atChange},
		{kindAPIToken, false, atChange},
		{kindAttempts, false, atForgetting},
		{kindRotated, true, atClose},        // a request with a token of before must learn that it was replaced
		{kindRememberEnded, false, atClose}, // the evidence of a theft stays
		{kindUndo, false, atClose},          // the owner's way back, whatever a thief changes
		{kindReserved, false, atClose},      // the address of that way
		{kindUsed, false, atClose},
		{kindFeature, false, atClose}, // it outlives a change of the password
		{kindFeatureAttempts, false, atClose},
		{kindVisitor, true, never},
		{kindRate, false, never},
		{kindForm, false, never},
	}
}

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

// changeRecord changes a record by compare-and-set: it reads the record, lets do change
// it, and writes it. If another request has changed the record meanwhile, changeRecord
// begins again, so do may run several times. If there is no record, do gets a new one, with
// found false, and changeRecord inserts it. If do returns errUnchanged, nothing is written,
// and changeRecord returns no error. Every other error of do ends the change.
//
// The error is ErrConflict if other requests were first, maxConflicts times in a row. If
// the record was the same each time, the store is wrong, and the error says so.
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
			"%d times, and each time InsertRecord or UpdateRecord said that somebody had changed it: check the store with "+
			"storetest.TestRecordStore", kind, maxConflicts)
	}
	return ErrConflict
}

// errUnchanged ends changeRecord, which then writes nothing.
var errUnchanged = errors.New("auth: nothing is to be changed")

// maxConflicts is how often a compare-and-set is tried again. Each failure
// means that somebody else's succeeded, so that it is reached only by a store
// that is wrong. Then the error is ErrConflict. Counters and forms say ErrBusy and
// ErrFormBusy instead, because ErrConflict would blame the client.
//
// Loops beside changeRecord have reasons of their own: updateAccount changes an account,
// and no record; state.update, review and replace follow a session that other requests
// rotate; claimForm inserts first, because nearly every form is new; resume, endWhere and
// continueAs look again at what another request may have made.
const maxConflicts = 200

// The records of all features have one kind, so that CloseAccount deletes them without
// knowing which features there are. A key begins with the feature's name and a slash,
// which no name has in it. The counters of attempts have a kind of their own: they are
// the library's, and Unlock deletes them.
const (
	kindFeature         = "feature"
	kindFeatureAttempts = "feature-attempts"
)
