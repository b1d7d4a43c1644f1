package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An attempt is a login on its way in: the user, and what they have shown. A gate looks at
// nothing else.
type attempt struct {
	user    User
	methods methods // what the user has shown
	device  *device // the remembered device that the login is made from, or nil

	remember time.Duration // how long to remember the browser; 0: not at all, negative: Config.Session.RememberFor
	stale    bool          // the login is not to be fresh

	passkey  string // the ID of the passkey that was shown, or ""
	identity string // the ID of the identity that was shown, or ""
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
	_, err := c.missingFactors(ctx, a)
	return err
}

// missingFactors returns the factors of which the user must show one, and
// ErrFactorRequired. If nothing is owed, it returns nil and no error.
//
// If the user's factors are no longer in Config.Factors, recovery codes are missing, or
// nothing that the user could show. If Config.Factors is empty, there is no page for the
// factor, and the login is refused.
func (c *Core) missingFactors(ctx context.Context, a *attempt) (missing []string, err error) {
	if c.hasFactor(a.methods) || c.trusts(a.methods) || a.device != nil && (c.hasFactor(a.device.methods) || c.trusts(a.device.methods)) {
		return nil, nil
	}
	missing, err = c.primaryFactors(ctx, idOf(a.user))
	if err != nil {
		return nil, err
	}
	owed := ErrFactorRequired
	if len(missing) == 0 {
		lost, err := c.lostFactors(ctx, idOf(a.user))
		switch {
		case err != nil || len(lost) == 0:
			return nil, err
		case len(c.cfg.Factors) == 0:
			owed = ErrLoginRefused
		}
		owed = fmt.Errorf("%w: the user has set up %q, which is not in Config.Factors; add it there, or call Core.ResetFactors for the user", owed, lost)
	}
	for _, f := range c.cfg.Factors {
		if _, recovery := f.(RecoveryFactor); recovery {
			if missing, err = addEnrolled(ctx, missing, f, idOf(a.user)); err != nil {
				return nil, err
			}
		}
	}
	return missing, owed
}

// ownsFactor reports whether the user has a factor, even if it is not in Config.Factors any
// more. Recovery factors do not count.
func (c *Core) ownsFactor(ctx context.Context, userID string) (bool, error) {
	names, err := c.primaryFactors(ctx, userID)
	if err == nil && len(names) == 0 {
		names, err = c.lostFactors(ctx, userID)
	}
	return len(names) > 0, err
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

// hasFactor reports whether a method that counts as a factor is among the methods.
func (c *Core) hasFactor(m methods) bool {
	return m != "" && slices.ContainsFunc(c.factorMethods(m), m.has)
}

// factorMethods returns which methods count as a factor now: those of Config.Factors,
// Multifactor, and, if they may be among m, the providers whose factors are trusted.
func (c *Core) factorMethods(m methods) []string {
	names := append(factorNames(c.cfg.Factors), methodMulti)
	if i := c.identities(); i != nil && strings.Contains(string(m), methodMultiAt("")) {
		for _, p := range i.Providers() {
			if p.Multifactor {
				names = append(names, methodMultiAt(p.Name))
			}
		}
	}
	return names
}

// primaryFactors returns the names of those of Config.Factors that a user has, without
// recovery factors.
func (c *Core) primaryFactors(ctx context.Context, userID string) (names []string, err error) {
	for _, f := range c.cfg.Factors {
		if _, recovery := f.(RecoveryFactor); !recovery {
			if names, err = addEnrolled(ctx, names, f, userID); err != nil {
				return nil, err
			}
		}
	}
	return names, nil
}

// lostFactors returns the names of the factors that the user has set up, and that are not in
// Config.Factors.
func (c *Core) lostFactors(ctx context.Context, userID string) (names []string, err error) {
	all, err := c.enrolments(ctx, userID)
	for _, e := range all {
		if !e.recovery && c.factor(e.name) == nil && !slices.Contains(names, e.name) {
			names = append(names, e.name)
		}
	}
	return names, err
}

// addEnrolled adds the name of a factor that a user has.
func addEnrolled(ctx context.Context, names []string, f Factor, userID string) ([]string, error) {
	has, err := f.Enrolled(ctx, userID)
	if err != nil {
		return nil, factorFailed(f, err)
	}
	if has {
		names = append(names, f.Name())
	}
	return names, nil
}

// checkShown returns ErrUnknownPasskey or ErrIdentityNotFound if the user does not have the
// passkey or the identity that was shown. It is for this order of events: an attacker shows it,
// the owner removes it, and then the attacker's login is stored. The removal has not seen that
// login. So checkShown runs after the login was stored: either it sees the removal, or the
// removal sees the login.
func (c *Core) checkShown(ctx context.Context, a *attempt) error {
	if a.passkey != "" {
		f := c.passkeyFactor()
		all, err := f.Passkeys(ctx, idOf(a.user))
		switch {
		case err != nil:
			return factorFailed(f, err)
		case !slices.ContainsFunc(all, func(p Passkey) bool { return p.ID == a.passkey }):
			return ErrUnknownPasskey
		}
	}
	if a.identity != "" {
		all, err := c.identitiesOf(ctx, idOf(a.user))
		switch {
		case err != nil:
			return err
		case !slices.ContainsFunc(all, func(i Identity) bool { return i.ID == a.identity }):
			return ErrIdentityNotFound
		}
	}
	return nil
}

// factorFailed says which factor has failed. ErrTooManyPasskeys is no failure.
func factorFailed(f Factor, err error) error {
	if errors.Is(err, ErrTooManyPasskeys) {
		return err
	}
	return hidden(fmt.Errorf("auth: factor %s: %w", f.Name(), err))
}

func (c *Core) identitiesOf(ctx context.Context, userID string) ([]Identity, error) {
	i := c.identities()
	if i == nil {
		return nil, nil
	}
	all, err := i.Identities(ctx, userID)
	if err != nil {
		return nil, hidden(err)
	}
	return all, nil
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

// passkeyFactor returns the PasskeyFactor of Config.Factors, or nil.
func (c *Core) passkeyFactor() PasskeyFactor {
	for _, f := range c.cfg.Factors {
		if p, ok := f.(PasskeyFactor); ok {
			return p
		}
	}
	return nil
}
