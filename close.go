package auth

import (
	"context"

	"github.com/go-login/auth/internal/keyring"
)

// CloseAccount is Manager.CloseAccount.
func (c *Core) CloseAccount(ctx context.Context, user User) (failing error) {
	defer c.met(ctx, &failing)
	if user == nil {
		return ErrUserNotFound
	}
	id := user.AuthAccount().ID
	address, err := c.closeAccount(ctx, user.AuthAccount())
	if err != nil {
		c.event(ctx, Event{Kind: EventCloseFailed, UserID: id, Err: err})
		return err
	}
	c.event(ctx, Event{Kind: EventClosed, UserID: id})
	c.notify(ctx, MailClosed, user, address)
	return nil
}

// closeAccount returns the address that the account had.
func (c *Core) closeAccount(ctx context.Context, given *Account) (address string, err error) {
	if c.store == nil {
		return "", ErrNoUserStore
	}
	if !c.deletes {
		if err := c.needs("CloseAccount, with a user store that is no UserDeleter,", FieldDisabled); err != nil {
			return "", err
		}
	}
	id, stamp := given.ID, given.Stamp
	if err := c.stillIn(ctx); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	inner, cancel := detach(c.inner(ctx))
	defer cancel()
	// First nobody can use it any more, so that a failure later on leaves a dead
	// account, and not a living one without its records.
	_, err = c.updateAccount(inner, id, func(a *Account) error {
		if !a.Stamp.Equal(stamp) {
			return ErrConflict
		}
		address = a.Email
		a.Disabled, a.PasswordHash, a.Stamp, a.Roles = true, Secret{}, NewSecret(keyring.NewToken()), nil
		return nil
	})
	if err != nil {
		return "", err
	}
	if s := c.stateOf(ctx); s != nil {
		s.revoked(id)
	}
	if err := c.deleteRecords(inner, id); err != nil {
		return "", err
	}
	return address, c.erase(inner, id)
}
