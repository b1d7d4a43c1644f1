package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// An attempt is a user who is about to be let in, and what has been shown for them. A
// gate looks at nothing else.
type attempt struct {
	user    User
	methods methods // what the user has shown
	device  *device // the remembered device that the login is made from, or nil

	remember time.Duration // how long to remember the browser; 0: not at all, negative: Config.Session.RememberFor
	stale    bool          // the login is not to be fresh
}

// A gate lets an attempt pass, or returns the reason why it does not.
type gate func(ctx context.Context, a *attempt) error

// passAccount runs the account gates. They hold for every credential: logins,
// remembered devices, HTTP Basic, API tokens. A new condition on accounts goes here.
func (c *Core) passAccount(ctx context.Context, user User) error {
	return pass(ctx, &attempt{user: user}, gateDisabled, c.gateUnverified)
}

// passLogin runs the login gates: first those of the account, then those that only a
// login must pass. They hold where a session is made, or made fresh. A new condition on
// logins goes here.
func (c *Core) passLogin(ctx context.Context, a *attempt) error {
	if err := c.passAccount(ctx, a.user); err != nil {
		return err
	}
	return pass(ctx, a, c.gateFactor)
}

// pass runs gates in their order. A session that is made afterwards gets the Stamp of
// the account that the gates saw. If the stored Stamp has changed meanwhile, the
// session is void.
func pass(ctx context.Context, a *attempt, gates ...gate) error {
	if a.user.AuthAccount().ID == "" {
		return errors.New("auth: a user without an ID cannot log in; set ID in the Account that AuthAccount returns")
	}
	for _, gate := range gates {
		if err := gate(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

func gateDisabled(_ context.Context, a *attempt) error {
	if a.user.AuthAccount().Disabled {
		return ErrDisabled
	}
	return nil
}

func (c *Core) gateUnverified(_ context.Context, a *attempt) error {
	if c.cfg.RequireVerified && !a.user.AuthAccount().EmailVerified {
		return ErrUnverified
	}
	return nil
}

// gateFactor refuses a login if the user has enrolled in a factor and has shown none. A
// login from a remembered device passes if the user showed a factor when the device was
// remembered.
func (c *Core) gateFactor(ctx context.Context, a *attempt) error {
	missing, err := c.missingFactors(ctx, a)
	if err == nil && len(missing) > 0 {
		err = ErrFactorRequired
	}
	return err
}

// missingFactors returns the factors of which the user must show one.
func (c *Core) missingFactors(ctx context.Context, a *attempt) (missing []string, err error) {
	if c.hasFactor(a.methods) || c.trusts(a.methods) || a.device != nil && (c.hasFactor(a.device.methods) || c.trusts(a.device.methods)) {
		return nil, nil
	}
	missing, err = c.primaryFactors(ctx, idOf(a.user))
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	for _, f := range c.cfg.Factors {
		if _, backup := f.(BackupFactor); backup {
			if missing, err = addEnrolled(ctx, missing, f, idOf(a.user)); err != nil {
				return nil, err
			}
		}
	}
	return missing, nil
}

// trusts reports whether the methods have a trust in the browser that has not expired. Like
// the record of the trust, logins and remembered devices that it made count only so long.
func (c *Core) trusts(m methods) bool {
	at, ok := m.at(methodTrusted)
	return ok && c.trustEnds(at).After(c.cfg.Now())
}

// trustEnds returns when a trust ends that was given at this time. With a TrustFor of 0 it
// has ended.
func (c *Core) trustEnds(given time.Time) time.Time { return given.Add(c.cfg.TrustFor) }

// hasFactor reports whether one of Config.Factors is among the methods.
func (c *Core) hasFactor(m methods) bool {
	return slices.ContainsFunc(c.cfg.Factors, func(f Factor) bool { return m.has(f.Name()) })
}

// primaryFactors returns the names of the factors that a user has, without backup factors.
func (c *Core) primaryFactors(ctx context.Context, userID string) (names []string, err error) {
	for _, f := range c.cfg.Factors {
		if _, backup := f.(BackupFactor); !backup {
			if names, err = addEnrolled(ctx, names, f, userID); err != nil {
				return nil, err
			}
		}
	}
	return names, nil
}

// addEnrolled adds the name of a factor that a user has.
func addEnrolled(ctx context.Context, names []string, f Factor, userID string) ([]string, error) {
	has, err := f.Enrolled(ctx, userID)
	if err != nil {
		return nil, hidden(fmt.Errorf("auth: factor %s: %w", f.Name(), err))
	}
	if has {
		names = append(names, f.Name())
	}
	return names, nil
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
