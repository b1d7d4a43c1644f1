package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// CheckUndoToken returns the user whose address UndoEmail would change back, and
// the old one, or ErrInvalidToken, and changes nothing.
func (c *Core) CheckUndoToken(ctx context.Context, token string) (user User, address string, err error) {
	defer c.met(ctx, &err)
	user, u, err := c.checkUndo(ctx, token)
	return user, u.address, err
}

func (c *Core) checkUndo(ctx context.Context, token string) (User, undo, error) {
	if c.store == nil {
		return nil, undo{}, ErrNoUserStore
	}
	if len(token) != keyring.TokenLength {
		return nil, undo{}, ErrInvalidToken
	}
	record, err := c.records.GetRecord(ctx, kindUndo, keyring.TokenKey(token))
	if errors.Is(err, ErrRecordNotFound) {
		return nil, undo{}, ErrInvalidToken
	} else if err != nil {
		return nil, undo{}, err
	}
	u, ok := decodeUndo(record)
	now := c.cfg.Now()
	busy := now.Sub(u.busy).Abs() < undoBusy
	if !ok || busy || !now.Before(record.Expires.Add(-undoBusy)) {
		return nil, undo{}, ErrInvalidToken
	}
	user, err := c.store.load(ctx, record.UserID)
	if errors.Is(err, ErrUserNotFound) || err == nil && !u.fits(user.AuthAccount()) {
		return nil, undo{}, ErrInvalidToken
	} else if err != nil {
		return nil, undo{}, err
	}
	return user, u, nil
}

// fits reports whether an account can go back: not from an address that ranks
// above, nor if it has been closed and has none.
func (u undo) fits(a *Account) bool {
	return a.Email != "" && !slices.Contains(u.older, emailKey(a.Email))
}

// UndoEmail changes an address back, by the token that went to the old one: for an
// owner whose account somebody else has taken, whatever that one has changed since,
// be it the password, or the address once more. Of several old addresses the oldest
// has the last word. It removes the password and ends all the user's logins, this
// request's too, and everything that was made in them. It returns the user, for whom
// ResetToken makes a token for a new password; who is disabled stays so.
//
// A token works once; a failure leaves it as it was. Errors are ErrInvalidToken,
// also if the account is gone or closed, ErrEmailTaken if the application has given
// the address to somebody else, ErrNoUserStore, and those of a store that has
// failed.
func (c *Core) UndoEmail(ctx context.Context, token string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	user, id, err := c.undoEmail(ctx, token)
	if err != nil {
		c.event(ctx, Event{Kind: EventEmailFailed, UserID: id, Err: err})
		return nil, c.refuseToken(ctx, err)
	}
	c.event(ctx, Event{Kind: EventEmailUndone, UserID: id})
	return user, nil
}

func (c *Core) undoEmail(ctx context.Context, token string) (user User, id string, err error) {
	user, u, err := c.checkUndo(ctx, token)
	if err != nil {
		return nil, "", err
	}
	id = user.AuthAccount().ID
	if err := ctx.Err(); err != nil {
		return nil, id, err
	}
	detached, cancel := detach(ctx)
	defer cancel()
	// The record stays until the account is changed, so that another change of the
	// address that is under way sees what ranks above it. Of those who use it at
	// the same moment one goes on.
	u.busy = c.cfg.Now()
	u.encode()
	switch err := c.records.UpdateRecord(detached, u.record); {
	case errors.Is(err, ErrConflict), errors.Is(err, ErrRecordNotFound):
		return nil, id, ErrInvalidToken
	case err != nil:
		c.freeUndo(ctx, u) // it may have been stored all the same
		return nil, id, err
	}
	u.record.Version++
	before, err := c.goBack(detached, u)
	if err != nil {
		c.freeUndo(ctx, u)
		return nil, id, err
	}
	c.spend(ctx, id, token, u.record.Expires.Add(-undoBusy))
	c.endSessions(detached, id)
	c.forgetGuesses(detached, id)
	// Now, and not before: so it finds those, too, that were made meanwhile.
	if err := c.endUndos(detached, id, emailKey(u.address), true); err != nil { // they lead nowhere already
		c.event(ctx, Event{Kind: EventStoreFailed, UserID: id, Err: err})
	}
	if s := c.stateOf(ctx); s != nil {
		s.revoked(id)
	}
	if emailKey(before.AuthAccount().Email) != emailKey(u.address) {
		c.notify(ctx, MailAddressUndone, before, before.AuthAccount().Email)
	}
	return c.reloaded(detached, user), id, nil
}

// goBack gives an account the address that it had. Whoever has changed it may know
// the password.
func (c *Core) goBack(ctx context.Context, u undo) (before User, err error) {
	stamp := NewSecret(keyring.NewToken())
	before, err = c.updateAccount(ctx, u.record.UserID, func(a *Account) error {
		if !u.fits(a) {
			return ErrInvalidToken
		}
		a.Email, a.EmailVerified, a.PasswordHash, a.Stamp = u.address, true, Secret{}, stamp
		return nil
	})
	if errors.Is(err, ErrUserNotFound) {
		err = ErrInvalidToken
	}
	return before, err
}

// freeUndo makes a way back good again whose use has failed.
func (c *Core) freeUndo(ctx context.Context, u undo) {
	detached, cancel := detach(ctx)
	defer cancel()
	record, err := c.records.GetRecord(detached, kindUndo, u.record.Key)
	if now, ok := decodeUndo(record); err == nil && ok && now.busy.Equal(time.UnixMilli(u.busy.UnixMilli())) {
		now.busy = time.Time{}
		now.encode()
		err = c.records.UpdateRecord(detached, now.record)
	}
	if unlessNotFound(err) != nil { // it is good again by itself, in a minute
		c.event(ctx, Event{Kind: EventStoreFailed, UserID: u.record.UserID, Err: err})
	}
}
