package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// A mailed token is sealed (see internal/keyring), under a purpose of its own. It
// contains
//
//	binding  32 bytes: see tokenBinding
//	ID       text (see internal/wire): the account's ID
//	address  the rest: the account's new address, or empty
//
// The token is not stored. It works once, because using it changes the account's Stamp,
// by compare-and-set, and the token is bound to the old Stamp.
const (
	tokenHeader    = sha256.Size
	maxTokenID     = 1024
	maxMailedToken = 2048 // of text
)

type mailedToken struct {
	purpose string
	userID  string
	address string
	binding []byte
	expires time.Time
}

// sealToken makes a token for the account as it is now.
func (c *Core) sealToken(purpose string, lifetime time.Duration, a *Account, address string) string {
	data := make([]byte, 0, tokenHeader+2+len(a.ID)+len(address))
	data = append(data, tokenBinding(a)...)
	data = wire.AppendText(data, a.ID)
	return c.secrets.Seal(purpose, append(data, address...), c.cfg.Now().Add(lifetime))
}

// tokenBinding returns a hash of what must not change before the token is used: the
// account's address, and its Stamp, which every change of a credential replaces. (An
// upgrade of the hash keeps the Stamp.)
func tokenBinding(a *Account) []byte {
	sum := sha256.New()
	for _, s := range []string{a.Stamp.Reveal(), a.Email} {
		sum.Write(wire.AppendText(nil, s))
	}
	return sum.Sum(nil)
}

// fits reports whether the token is for the account as it is now. If the account is
// disabled, no token fits. If its address is verified, no token for VerifyEmail fits.
func (t mailedToken) fits(a *Account) bool {
	return !a.Disabled && (t.purpose != purposeVerify || !a.EmailVerified) &&
		subtle.ConstantTimeCompare(t.binding, tokenBinding(a)) == 1
}

func (c *Core) openToken(purpose, token string) (mailedToken, error) {
	if c.store == nil {
		return mailedToken{}, ErrNoUserStore
	}
	if len(token) > maxMailedToken {
		return mailedToken{}, ErrInvalidToken
	}
	data, expires, ok := c.secrets.Open(purpose, token, c.cfg.Now())
	if !ok || len(data) <= tokenHeader {
		return mailedToken{}, ErrInvalidToken
	}
	r := wire.NewReader(string(data[tokenHeader:]))
	t := mailedToken{purpose: purpose, binding: data[:tokenHeader], userID: r.Text(), address: r.Rest(), expires: expires}
	if !r.OK() || t.userID == "" {
		return mailedToken{}, ErrInvalidToken
	}
	return t, nil
}

// checkToken opens a token and loads the user that it is for.
func (c *Core) checkToken(ctx context.Context, purpose, token string) (User, mailedToken, error) {
	t, err := c.openToken(purpose, token)
	if err != nil {
		return nil, t, err
	}
	user, err := c.store.load(ctx, t.userID)
	if errors.Is(err, ErrUserNotFound) || err == nil && !t.fits(user.AuthAccount()) {
		return nil, t, ErrInvalidToken
	}
	return user, t, err
}

// spend remembers that a token of the user's has worked, for TokenUsed. key is the token's
// hash. A failure is an event: TokenUsed then returns false for the token.
func (c *Core) spend(ctx context.Context, userID, key string, expires time.Time) {
	detached, cancel := detach(ctx)
	defer cancel()
	err := c.records.InsertRecord(detached, Record{
		Kind: kindUsed, Key: key, UserID: userID, Version: keyring.RandomVersion(), Expires: expires,
	})
	if err != nil {
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: userID, Err: err})
	}
}

// TokenUsed reports whether a token is void because it has worked for ResetPassword,
// VerifyEmail, ConfirmEmailChange, UndoEmailChange or LoginByLink, or because the code in
// the same mail has. Call it on a page that got ErrInvalidToken: if it returns true, the
// page can tell the user that there is nothing left to do. TokenUsed returns false once the token would have expired, and for a text
// that never was a token. The error is a failure of the store.
func (c *Core) TokenUsed(ctx context.Context, token string) (used bool, failing error) {
	defer c.met(ctx, &failing)
	if token == "" || len(token) > maxMailedToken {
		return false, nil
	}
	_, err := c.records.GetRecord(ctx, kindUsed, keyring.TokenKey(token))
	return err == nil, unlessNotFound(err)
}

// refuseToken counts an invalid token against the client's IP address. The caller
// returns its error in place of err.
func (c *Core) refuseToken(ctx context.Context, err error) error {
	if !errors.Is(err, ErrInvalidToken) {
		return err
	}
	if limit := c.wrongToken(ctx); limit != nil {
		return limit
	}
	return err
}

// errNoToken says that no token can be made for the account.
var errNoToken = errors.New("auth: a user without an ID, or with one of over 1,024 bytes, has no mailed tokens")
