package auth

import (
	"context"
	"errors"

	"github.com/go-login/auth/internal/keyring"
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
	if err := c.setDisabled(ctx, userID, true); err != nil {
		return err
	}
	c.event(ctx, Event{Kind: EventDisabled, UserID: userID})
	return nil
}

// Enable enables a disabled account. It gets a new Stamp, so that nothing from
// before works, also if the application itself has disabled it. For an account that
// is not disabled it does nothing. The errors are those of Disable.
func (c *Core) Enable(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	err := c.setDisabled(ctx, userID, false)
	if errors.Is(err, errEnabled) {
		return nil
	} else if err != nil {
		return err
	}
	c.event(ctx, Event{Kind: EventEnabled, UserID: userID})
	return nil
}

// errEnabled says that there is nothing to do.
var errEnabled = errors.New("auth: the account is not disabled")

// setDisabled disables or enables an account. Both change the Stamp: what somebody
// was logged in by before must not come back, also if the application itself has
// disabled the account.
func (c *Core) setDisabled(ctx context.Context, userID string, disabled bool) error {
	if c.store == nil {
		return ErrNoUserStore
	}
	if err := c.needs("Disable and Enable", FieldDisabled); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	detached, cancel := detach(ctx)
	defer cancel()
	stamp := NewSecret(keyring.NewToken())
	_, err := c.updateAccount(detached, userID, func(a *Account) error {
		if !disabled && !a.Disabled {
			return errEnabled
		}
		a.Disabled, a.Stamp = disabled, stamp
		return nil
	})
	if err != nil {
		// A store that fails may have made the change all the same.
		if user, failed := c.store.load(detached, userID); failed != nil || !user.AuthAccount().Stamp.Equal(stamp) {
			return err
		}
	}
	if s := c.stateOf(ctx); s != nil {
		s.revoked(userID)
	}
	c.endSessions(detached, userID)
	return nil
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
	c.event(ctx, Event{Kind: EventUnlocked, UserID: userID})
	return nil
}
