package auth

import (
	"context"

	"github.com/go-login/auth/internal/keyring"
)

// CloseAccount ends an account for good: nobody can log in to it any more, what it
// was logged in by and all the library has stored of it is deleted, and the user is
// deleted, if the store is a UserDeleter. Else the account stays, disabled, with
// a random username if it had one and without an address; what the application keeps
// beside the account is its own to delete. The address that it had is told. The
// caller must have seen that it is the user who asks, by CheckPassword or
// CheckFresh.
//
// If the store is no UserDeleter and leaves out Disabled (see FieldOmitter), it
// changes nothing and returns an error. It returns ErrConflict if another change
// of a credential came first, ErrLoggedOut if the login that asks has been ended,
// ErrUserNotFound, or a failure of a store. After a failure the account may be disabled already; to go
// on, load the user and call it again.
func (c *Core) CloseAccount(ctx context.Context, user User) (failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
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
	detached, cancel := detach(ctx)
	defer cancel()
	// First nobody can use it any more, so that a failure later on leaves a dead
	// account, and not a living one without its records.
	_, err = c.updateAccount(detached, id, func(a *Account) error {
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
	if err := c.deleteRecords(detached, id); err != nil {
		return "", err
	}
	if err := c.erase(detached, id); err != nil {
		return "", err
	}
	c.forgetFeatures(detached, id)
	return address, nil
}
