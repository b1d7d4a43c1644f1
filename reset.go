package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"time"
)

// A reset token is sealed (see keyring) and has in it
//
//	version  1 byte
//	expires  8 bytes, Unix milliseconds
//	binding  32 bytes
//	ID       the rest: the account's
//
// Nothing is stored. It works once because what it is bound to changes when it
// is used: the account's Stamp, by compare-and-set.
const (
	resetVersion  = 1
	resetHeader   = 1 + 8 + sha256.Size
	maxResetID    = 1024
	maxResetToken = 2048 // of text
)

// ResetToken is Manager.ResetToken.
func (c *Core) ResetToken(ctx context.Context, user User) (string, error) {
	switch {
	case c.store == nil:
		return "", ErrNoUserStore
	case user == nil:
		return "", ErrUserNotFound
	}
	a := user.AuthAccount()
	switch {
	case a.ID == "" || len(a.ID) > maxResetID:
		return "", errors.New("auth: a user without an ID, or with one of over 1,024 bytes, has no reset token")
	case a.Disabled:
		return "", ErrDisabled
	case a.Email == "":
		return "", ErrInvalidEmail
	}
	c.event(ctx, Event{Kind: EventResetIssued, UserID: a.ID})
	return c.sealReset(a), nil
}

func (c *Core) sealReset(a *Account) string {
	data := make([]byte, 0, resetHeader+len(a.ID))
	data = append(data, resetVersion)
	data = binary.BigEndian.AppendUint64(data, uint64(c.cfg.Now().Add(c.cfg.ResetLifetime).UnixMilli()))
	data = append(data, resetBinding(a)...)
	data = append(data, a.ID...)
	return c.secrets.seal(purposeReset, data)
}

// resetBinding is what must not have changed when the token is used: the Stamp,
// which every change of a credential replaces (and an upgrade of the hash does
// not), and the address that the token was mailed to.
func resetBinding(a *Account) []byte {
	sum := sha256.New()
	for _, s := range []string{a.Stamp.Reveal(), a.Email} {
		sum.Write(appendText(nil, s))
	}
	return sum.Sum(nil)
}

// CheckResetToken is Manager.CheckResetToken.
func (c *Core) CheckResetToken(ctx context.Context, token string) (User, error) {
	t, err := c.openReset(token)
	if err != nil {
		return nil, err
	}
	user, err := c.store.load(ctx, t.userID)
	if errors.Is(err, ErrUserNotFound) {
		return nil, ErrInvalidToken
	} else if err != nil {
		return nil, err
	}
	if !t.fits(user.AuthAccount()) {
		return nil, ErrInvalidToken
	}
	return user, nil
}

type resetToken struct {
	userID  string
	binding []byte
}

// fits reports whether the token is for the account as it is now. Who is
// disabled has none.
func (t resetToken) fits(a *Account) bool {
	return !a.Disabled && subtle.ConstantTimeCompare(t.binding, resetBinding(a)) == 1
}

func (c *Core) openReset(token string) (resetToken, error) {
	if c.store == nil {
		return resetToken{}, ErrNoUserStore
	}
	if len(token) > maxResetToken {
		return resetToken{}, ErrInvalidToken
	}
	data, ok := c.secrets.open(purposeReset, token)
	if !ok || len(data) <= resetHeader || data[0] != resetVersion {
		return resetToken{}, ErrInvalidToken
	}
	expires := time.UnixMilli(int64(binary.BigEndian.Uint64(data[1:])))
	if !c.cfg.Now().Before(expires) {
		return resetToken{}, ErrInvalidToken
	}
	return resetToken{userID: string(data[resetHeader:]), binding: data[9:resetHeader]}, nil
}

// ResetPassword is Manager.ResetPassword.
func (c *Core) ResetPassword(ctx context.Context, token, password string) (User, error) {
	user, id, err := c.resetPassword(ctx, token, password)
	if err != nil {
		c.event(ctx, Event{Kind: EventResetFailed, UserID: id, Err: err})
		return nil, err
	}
	c.event(ctx, Event{Kind: EventResetDone, UserID: id})
	return user, nil
}

func (c *Core) resetPassword(ctx context.Context, token, password string) (user User, id string, err error) {
	user, err = c.CheckResetToken(ctx, token)
	if err != nil {
		return nil, "", err
	}
	t, err := c.openReset(token)
	if err != nil {
		return nil, "", err
	}
	if err := c.CheckNewPassword(ctx, password, *user.AuthAccount()); err != nil {
		return nil, t.userID, err
	}
	hash, err := c.hasher.hash(ctx, password)
	if err != nil {
		return nil, t.userID, err
	}
	stamp := NewSecret(newToken())
	// What else may change an account meanwhile is tried against again, as long
	// as the token still fits it; a second reset no longer does.
	user, err = c.updateAccount(ctx, t.userID, func(a *Account) error {
		if !t.fits(a) {
			return ErrInvalidToken
		}
		a.PasswordHash, a.Stamp = hash, stamp
		a.EmailVerified = true // the token came through the mailbox
		return nil
	})
	if errors.Is(err, ErrUserNotFound) {
		err = ErrInvalidToken
	}
	if err != nil {
		return nil, t.userID, err
	}
	c.endSessions(ctx, t.userID)
	if s := c.stateOf(ctx); s != nil {
		s.revoked(t.userID)
	}
	if changed, err := c.store.load(ctx, t.userID); err == nil {
		user = changed // else it is as before: the password is set all the same
	}
	return user, t.userID, nil
}
