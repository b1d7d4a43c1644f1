package auth

import (
	"context"
	"errors"
)

// Disable disables an account, for an administrator: nobody can log in to it. Its
// logins, remembered devices, API tokens and mailed links end, and they stay dead
// when the account is enabled again, since it gets a new Stamp; the link that undoes
// a change of address works then. It is no error if the account is disabled already.
//
// It returns ErrUserNotFound, ErrNoUserStore, or a failure of a store, after which
// the account may be disabled; call it again. The user is not told: the application
// knows the reason.
func (c *Core) Disable(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planDisabled(userID, true)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// Enable enables a disabled account. It gets a new Stamp, so that nothing from
// before works, also if the application itself has disabled it. For an account that
// is not disabled it does nothing. The errors are those of Disable.
func (c *Core) Enable(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planDisabled(userID, false)
	_, err = c.changeCredential(ctx, x, err)
	if errors.Is(err, errEnabled) {
		return nil
	}
	return err
}

// errEnabled says that there is nothing to do.
var errEnabled = errors.New("auth: the account is not disabled")

// planDisabled plans what Disable and Enable change. What somebody was logged in by
// before must not come back, also if the application itself has disabled the account.
func (c *Core) planDisabled(userID string, disabled bool) (*credentialChange, error) {
	x := &credentialChange{userID: userID, own: ownEnds, done: EventAccountEnabled}
	if disabled {
		x.done = EventAccountDisabled
	}
	if c.store == nil {
		return x, ErrNoUserStore
	}
	x.apply = func(a *Account) error {
		if !disabled && !a.Disabled {
			return errEnabled
		}
		a.Disabled = disabled
		return nil
	}
	return x, c.needs("Disable and Enable", FieldDisabled)
}

// Unlock forgets the wrong passwords of an account, for an administrator: those in
// browsers that the user has logged in with before as well. It also forgets the wrong
// attempts at the secrets of a [Feature], such as codes. The next attempt is
// looked at, also if the secret was disabled by a hundred of them. Limits of
// addresses stay (Config.Limits). It returns ErrUserNotFound, or a failure of a
// store.
func (c *Core) Unlock(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	if _, err := c.users.load(ctx, userID); err != nil {
		return err
	}
	for _, kind := range []string{kindAttempts, kindFeatureAttempts} {
		if err := c.records.DeleteRecords(ctx, kind, userID); err != nil {
			return err
		}
	}
	c.event(ctx, Event{Kind: EventAccountUnlocked, UserID: userID})
	return nil
}
