package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
)

// A Factor is something that a user shows besides the password, such as a code from an
// app. List it in Config.Factors. A login of a user who has enrolled in a factor, and
// has not shown one, is not made: it waits as a [Pending] login. A factor that keeps
// something is also a FactorBinder.
type Factor interface {
	// Name is the factor's name, which is one of Login.Methods after it was shown:
	// "totp". The rules of By hold for it.
	Name() string

	// Enrolled reports whether the user has the factor. An error fails the login (503).
	Enrolled(ctx context.Context, userID string) (bool, error)

	// Prompt returns what to ask the user. private is kept in the pending login, at most
	// 4,096 bytes of it, and comes back to Verify.
	Prompt(ctx context.Context, user User) (p Prompt, private []byte, err error)

	// Verify looks at an answer. It returns nil if it is right, ErrWrongFactor if it is
	// wrong, or a failure. It is called only after the attempt has been counted, by
	// Feature.Count. It must
	// use up what it accepts (a code, a counter) by compare-and-set: two requests may
	// bring the same answer at the same moment.
	Verify(ctx context.Context, user User, private []byte, answer url.Values) error
}

// A Prompt is what a factor asks for, for the page that draws it.
type Prompt struct {
	Field        string // the name of the input: "code"; empty if there is only a button that runs Script
	Autocomplete string // the input's autocomplete: "one-time-code"
	Numeric      bool   // whether a keypad with digits will do
	Script       string // the path of a script on this site; empty: none
	Data         any    // for the script, which gets it as JSON in a data attribute
}

// checkFactors refuses factors that cannot be told apart.
func checkFactors(factors []Factor) error {
	for i, f := range factors {
		switch {
		case isNil(f):
			return fmt.Errorf("auth: Factors[%d] is nil", i)
		case !isMethod(f.Name()) || f.Name() == methodPassword || f.Name() == methodRemember || f.Name() == methodAPIToken:
			return fmt.Errorf("auth: Factors[%d] has the name %.100q: use 1 to %d letters, digits, colons, dots, hyphens and underscores, and none of the library's own methods", i, f.Name(), maxMethod)
		case slices.ContainsFunc(factors[:i], func(other Factor) bool { return other.Name() == f.Name() }):
			return fmt.Errorf("auth: Factors has %q twice", f.Name())
		}
	}
	return nil
}

// gateFactor refuses a login that owes a factor: the user has one, and none was shown.
// A remembered device has shown what was shown when it was remembered.
func (c *Core) gateFactor(ctx context.Context, a *attempt) error {
	missing, err := c.missingFactors(ctx, a)
	if err == nil && len(missing) > 0 {
		err = ErrFactorRequired
	}
	return err
}

// missingFactors returns the factors of which the user must show one.
func (c *Core) missingFactors(ctx context.Context, a *attempt) (missing []string, err error) {
	for _, f := range c.cfg.Factors {
		if a.methods.has(f.Name()) || a.device != nil && a.device.methods.has(f.Name()) {
			return nil, nil
		}
	}
	for _, f := range c.cfg.Factors {
		has, err := f.Enrolled(ctx, idOf(a.user))
		if err != nil {
			return nil, hidden(fmt.Errorf("auth: factor %s: %w", f.Name(), err))
		}
		if has {
			missing = append(missing, f.Name())
		}
	}
	return missing, nil
}

// factor returns the factor with a name, or nil.
func (c *Core) factor(name string) Factor {
	for _, f := range c.cfg.Factors {
		if f.Name() == name {
			return f
		}
	}
	return nil
}

// tryFactor has a factor look at an answer, after the attempt has been counted. It
// returns nil, ErrWrongFactor, or an error of Feature.Count.
func (c *Core) tryFactor(ctx context.Context, f Factor, user User, private []byte, answer url.Values) error {
	right, err := c.factors[f.Name()].Count(ctx, idOf(user), func() (bool, error) {
		switch err := f.Verify(ctx, user, private, answer); {
		case errors.Is(err, ErrWrongFactor):
			return false, nil
		case err != nil:
			return false, hidden(fmt.Errorf("auth: factor %s: %w", f.Name(), err))
		}
		return true, nil
	})
	if err == nil && !right {
		err = ErrWrongFactor
	}
	return err
}
