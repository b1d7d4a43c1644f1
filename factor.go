package auth

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
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

// A BackupFactor is a Factor for users who have lost another one, such as recovery codes.
// Optional. A user who has only backup factors owes none at a login. Its answers cannot be
// guessed (they have 112 bits or more), so wrong ones count for the client's address
// (Config.Limits.Guesses) and not for the account: nobody can lock the owner out.
type BackupFactor interface {
	Factor

	// Generate makes new codes. save stores them in place of those that the user had. It
	// runs after the account has got a new Stamp.
	Generate(ctx context.Context, user User) (codes []string, save func(context.Context) error, err error)

	// Left returns how many codes the user has not used.
	Left(ctx context.Context, userID string) (int, error)

	// Remove deletes all that is stored about the user. It is no error if there is nothing.
	Remove(ctx context.Context, userID string) error
}

// A remover is an Enroller or a BackupFactor.
type remover interface {
	Factor
	Remove(ctx context.Context, userID string) error
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
	Field        string // the name of the input, such as "code"; empty if there is only a button that runs Script
	Autocomplete string // the input's autocomplete, such as "one-time-code"
	Numeric      bool   // true if a keypad with digits is enough
	Script       string // the path of a script on this site; empty: none
	Data         any    // for the script, which gets it as JSON in a data attribute
}

// maxFeatureName is the longest name of a Feature, and of a factor: it has a Feature.
const maxFeatureName = 32

// checkFactors refuses factors that are nil, or have an invalid name or the same one.
func checkFactors(factors []Factor) error {
	for i, f := range factors {
		switch {
		case isNil(f):
			return fmt.Errorf("auth: Config.Factors[%d] is nil; remove it or set it", i)
		case !isMethod(f.Name()) || len(f.Name()) > maxFeatureName || strings.Contains(f.Name(), "_") || f.Name() == methodPassword || f.Name() == methodRemember || f.Name() == methodAPIToken:
			return fmt.Errorf("auth: Config.Factors[%d] has the name %.100q; use 1 to %d letters, digits, colons, dots and hyphens, and not %q, %q or %q", i, f.Name(), maxFeatureName, methodPassword, methodRemember, methodAPIToken)
		case slices.ContainsFunc(factors[:i], func(other Factor) bool { return other.Name() == f.Name() }):
			return fmt.Errorf("auth: Config.Factors has %q twice; remove one", f.Name())
		}
	}
	return nil
}
