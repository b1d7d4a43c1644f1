package auth

import (
	"context"
	"errors"

	"github.com/go-login/auth/internal/keyring"
)

// Disable is Manager.Disable.
func (c *Core) Disable(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	if err := c.setDisabled(ctx, userID, true); err != nil {
		return err
	}
	c.event(ctx, Event{Kind: EventDisabled, UserID: userID})
	return nil
}

// Enable is Manager.Enable.
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
	inner, cancel := detach(c.inner(ctx))
	defer cancel()
	stamp := NewSecret(keyring.NewToken())
	_, err := c.updateAccount(inner, userID, func(a *Account) error {
		if !disabled && !a.Disabled {
			return errEnabled
		}
		a.Disabled, a.Stamp = disabled, stamp
		return nil
	})
	if err != nil {
		// A store that fails may have made the change all the same.
		if user, failed := c.store.load(inner, userID); failed != nil || !user.AuthAccount().Stamp.Equal(stamp) {
			return err
		}
	}
	if s := c.stateOf(ctx); s != nil {
		s.revoked(userID)
	}
	c.endSessions(inner, userID)
	return nil
}

// Unlock is Manager.Unlock.
func (c *Core) Unlock(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	inner := c.inner(ctx)
	if _, err := c.users.load(inner, userID); err != nil {
		return err
	}
	if err := c.records.DeleteRecords(inner, kindAttempts, userID); err != nil {
		return err
	}
	c.event(ctx, Event{Kind: EventUnlocked, UserID: userID})
	return nil
}
