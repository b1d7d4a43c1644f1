package auth

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Factor is something that a user shows in addition to the password, such as a code
// from an app. List it in Config.Factors. If a user has enrolled in a factor and has
// not shown one, the login does not succeed yet: it waits as a [Pending] login. A
// factor that stores something is also a FactorBinder.
type Factor interface {
	// Name is the factor's name, such as "totp". After the user has shown the factor,
	// it is one of Login.Methods. It has 1 to 32 letters, digits, dots, dashes and colons.
	Name() string

	// Enrolled reports whether the user has the factor. If it returns an error, the
	// login fails (503).
	Enrolled(ctx context.Context, userID string) (bool, error)

	// Prompt returns what to ask the user. private is kept in the pending login, and
	// passed to Verify. It has at most 4,096 bytes.
	Prompt(ctx context.Context, user User) (p Prompt, private []byte, err error)

	// Verify checks an answer. It returns nil if the answer is right, ErrWrongFactor if
	// it is wrong, or another error if it failed. The library calls it only after it
	// has counted the attempt by Feature.Count.
	//
	// Two requests may bring the same answer at the same moment. So Verify must use up
	// what it accepts (a code, a counter) by compare-and-set.
	Verify(ctx context.Context, user User, private []byte, answer url.Values) error
}

// An Enroller is a Factor that users set up and remove themselves. Optional. Core.BeginFactor
// and Core.EnrollFactor call it; both have made sure that the user may.
type Enroller interface {
	Factor

	// Begin returns what the user needs. What it keeps until Finish is kept for 10 minutes;
	// within them, it returns the same again. It does not touch a factor that the user has.
	Begin(ctx context.Context, user User) (Setup, error)

	// Finish looks at an answer to the last Begin. If it is right, save stores the factor,
	// in place of one that the user had. save runs after the account has got a new Stamp. If
	// the answer is wrong, or nothing was begun, it is ErrWrongFactor. The attempt has been
	// counted.
	Finish(ctx context.Context, user User, answer url.Values) (save func(context.Context) error, err error)

	// Remove deletes all that is stored about the user. It is no error if there is nothing.
	Remove(ctx context.Context, userID string) error
}

// A RecoveryFactor is a Factor for users who have lost another one, such as recovery codes.
// Optional. A user who has only recovery factors owes none at a login. Its answers cannot be
// guessed (they have 112 bits or more), so wrong ones count for the client's address
// (Config.Limits.Guesses) and not for the account: nobody can lock the owner out.
type RecoveryFactor interface {
	Factor

	// Generate makes new codes. save stores them in place of those that the user had. It
	// runs after the account has got a new Stamp.
	Generate(ctx context.Context, user User) (codes []string, save func(context.Context) error, err error)

	// Left returns how many codes the user has not used.
	Left(ctx context.Context, userID string) (int, error)

	// Remove deletes all that is stored about the user. It is no error if there is nothing.
	Remove(ctx context.Context, userID string) error
}

// A remover is an Enroller or a RecoveryFactor.
type remover interface {
	Factor
	Remove(ctx context.Context, userID string) error
}

// A PasskeyFactor is an Enroller whose answers also say who the user is. So it can be a whole
// login: see LoginByPasskey. Package passkey has one. At most one of Config.Factors is a
// PasskeyFactor. Optional.
//
// Its answers cannot be guessed, so wrong ones count for the client's address
// (Config.Limits.Guesses) and not for the account: nobody can lock the owner out.
type PasskeyFactor interface {
	Enroller

	// Ask returns what to ask the browser for in a login, and private, which has at most 64
	// bytes and is passed to Identify. user is nil if the login is to find out who the user
	// is. Ask stores nothing, so visitors cost the store nothing.
	Ask(ctx context.Context, user User) (p Prompt, private []byte, err error)

	// Identify checks an answer to one of the last calls of Ask, whose private results asked
	// has. The answer must prove the possession of the passkey, and a PIN or a finger: it
	// stands for a password and a second factor together. Identify returns the IDs of the
	// user and of the passkey, ErrWrongFactor or ErrUnknownPasskey, or another error if it
	// failed. It accepts one answer to each Ask, also if several requests bring it at the same
	// moment.
	Identify(ctx context.Context, asked [][]byte, answer url.Values) (userID, id string, err error)

	// VerifyOne is Verify, and also returns the ID of the passkey. If there is no such passkey,
	// it is ErrUnknownPasskey. The library calls it in place of Verify.
	VerifyOne(ctx context.Context, user User, private []byte, answer url.Values) (id string, err error)

	// Add is Finish, and also returns the passkey that save stores. Begin and save
	// return ErrTooManyPasskeys if the user has as many as an account may have.
	Add(ctx context.Context, user User, answer url.Values) (_ Passkey, save func(context.Context) error, err error)

	// Passkeys returns the passkeys of a user, the oldest first.
	Passkeys(ctx context.Context, userID string) ([]Passkey, error)

	// Rename gives a passkey of the user another name. If the user has no such passkey, it
	// returns ErrNoFactor.
	Rename(ctx context.Context, userID, id, name string) error

	// RemoveOne deletes a passkey of the user. It is no error if there is no such passkey.
	RemoveOne(ctx context.Context, userID, id string) error

	// Known returns what the script tells the browser, so that it forgets passkeys that were
	// removed: the user's name, and the passkeys that the user has. It is for Prompt.Data.
	Known(ctx context.Context, user User) (any, error)

	// Script returns the script that the pages need, and its path on this site, which is
	// that of the Prompts.
	Script() (path string, source []byte)
}

// A Passkey is one of a user's passkeys.
type Passkey struct {
	ID        string // for RenamePasskey and RemovePasskey
	Name      string // as the user has named it, or the name of the program or device that keeps it
	Created   time.Time
	LastUsed  time.Time // zero: not yet
	Synced    bool      // it is kept on several devices, and not on one only
	Suspended bool      // it was copied, and is not accepted any more
	OtherSite bool      // it is for an earlier host of the site, and does not work on this one
}

// A Setup is what a user needs to set a factor up.
type Setup struct {
	Secret Secret // a text to type into an app that cannot scan the picture; or none
	URL    Secret // a link that opens an app on the same device; or none
	SVG    Secret // a picture to scan, as an <svg> element that is inserted into the page unescaped; or none
	Prompt Prompt // what to ask for then
}

// A Prompt says what a factor asks for. The page shows it.
type Prompt struct {
	Field        string // the name of the input, such as "code"; with a Script, a hidden one that the script fills in
	Autocomplete string // the input's autocomplete, such as "one-time-code"
	Numeric      bool   // true if a keypad with digits is enough
	Script       string // the path of a script on this site, which a button runs; empty: none
	Data         any    // for the script, which gets it as JSON in a data attribute
}

func factorNames(factors []Factor) (names []string) {
	for _, f := range factors {
		names = append(names, f.Name())
	}
	return names
}

// maxFeatureName is the longest name of a Feature, and of a factor: it has a Feature.
const maxFeatureName = 32

// guessable reports whether answers to a factor can be guessed. They are counted for the
// account, and others for the client's address only.
func guessable(f Factor) bool {
	_, recovery := f.(RecoveryFactor)
	_, passkey := f.(PasskeyFactor)
	return !recovery && !passkey
}

// checkFactors refuses factors that are nil, or have an invalid name or the same one, and
// a second PasskeyFactor.
func checkFactors(factors []Factor) error {
	passkeys := 0
	for i, f := range factors {
		switch {
		case isNil(f):
			return fmt.Errorf("auth: Config.Factors[%d] is nil; remove it or set it", i)
		case !isMethod(f.Name()) || len(f.Name()) > maxFeatureName || strings.Contains(f.Name(), "_") || isOwnMethod(f.Name()):
			return fmt.Errorf("auth: Config.Factors[%d] has the name %.100q; use 1 to %d letters, digits, colons, dots and hyphens, and none of the library's own: %s",
				i, f.Name(), maxFeatureName, strings.Join(ownMethods(), ", "))
		case slices.ContainsFunc(factors[:i], func(other Factor) bool { return other.Name() == f.Name() }):
			return fmt.Errorf("auth: Config.Factors has %q twice; remove one", f.Name())
		}
		if _, ok := f.(PasskeyFactor); ok {
			if passkeys++; passkeys > 1 {
				return fmt.Errorf("auth: Config.Factors[%d] is a second PasskeyFactor; remove one", i)
			}
		}
	}
	return nil
}
