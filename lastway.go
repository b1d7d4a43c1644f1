package auth

import (
	"context"
	"slices"
)

// A way is one of the ways to log in that a removal is about: the password, one passkey or all
// of them, or an identity.
type way struct {
	password, passkeys bool
	passkey, identity  string // an ID, or ""
}

// mayRemoveWay returns ErrLastWayIn if a user would have no way to log in without this one.
//
// Two removals at the same moment cannot both succeed: each fails if the account's Stamp has
// changed since mayRemoveWay looked, and the first one changes it. A removal that begins after
// that sees what the first one has left.
func (c *Core) mayRemoveWay(ctx context.Context, user User, removed way) error {
	hash, void := unvoided(user.AuthAccount().PasswordHash)
	if !removed.password && !hash.IsZero() && !void {
		return nil
	}
	if f := c.passkeyFactor(); f != nil && !removed.passkeys {
		passkeys, err := f.Passkeys(ctx, idOf(user))
		if err != nil {
			return factorFailed(f, err)
		}
		if slices.ContainsFunc(passkeys, func(p Passkey) bool { return p.works() && p.ID != removed.passkey }) {
			return nil
		}
	}
	identities, err := c.identitiesOf(ctx, idOf(user))
	if err != nil {
		return err
	}
	if slices.ContainsFunc(identities, func(i Identity) bool { return !i.Unusable && i.ID != removed.identity }) {
		return nil
	}
	return ErrLastWayIn
}

// works reports whether a login by the passkey is accepted.
func (p Passkey) works() bool { return !p.Suspended && !p.OtherSite }
