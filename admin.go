package auth

import (
	"context"
	"errors"
)

// Disable disables an account, for an administrator. The user can no longer log in. The
// account's logins, remembered devices, API tokens and mailed links end. They stay void
// when the account is enabled again, because it gets a new Stamp. Only the link that
// undoes a change of address works again then. If the account is disabled already,
// Disable returns nil.
//
// The errors are ErrUserNotFound, ErrNoUserStore, or a failure of a store. After a
// failure of a store the account may be disabled; call Disable again. The user gets no
// mail, because only your application knows the reason.
func (c *Core) Disable(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planDisabled(userID, true)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// Enable enables a disabled account. It gets a new Stamp, so nothing from before works,
// even if your application set Account.Disabled itself. If the account is not disabled,
// Enable does nothing and returns nil. The errors are those of Disable.
func (c *Core) Enable(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planDisabled(userID, false)
	_, err = c.changeCredential(ctx, x, err)
	if errors.Is(err, errEnabled) {
		return nil
	}
	return err
}

// errEnabled says that Enable has nothing to do.
var errEnabled = errors.New("auth: the account is not disabled")

// planDisabled plans what Disable and Enable change. Enable replaces the Stamp, too:
// earlier logins must not come back, even if the application set Account.Disabled
// itself.
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

// Unlock forgets the wrong passwords of an account, for an administrator, including
// those in browsers that the user has logged in with before. It also forgets the wrong
// attempts at the secrets of a [Feature], such as codes. The next attempt is checked,
// even if a hundred wrong ones had disabled the secret. The rate limits of IP addresses
// stay (Config.Limits). Unlock returns ErrUserNotFound, or a failure of a store.
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
