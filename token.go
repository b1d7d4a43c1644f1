package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"time"
)

// A mailed token is sealed (see keyring), under a purpose of its own, and has in
// it
//
//	version  1 byte
//	expires  8 bytes, Unix milliseconds
//	binding  32 bytes
//	ID       text (see formatVersion): the account's
//	address  the rest: one that the account is to get
//
// Nothing is stored. It works once because what it is bound to changes when it
// is used: the account's Stamp, by compare-and-set.
const (
	tokenVersion   = 2
	tokenHeader    = 1 + 8 + sha256.Size
	maxTokenID     = 1024
	maxMailedToken = 2048 // of text
)

type mailedToken struct {
	purpose purpose
	userID  string
	address string
	binding []byte
	expires time.Time
}

// sealToken makes a token for the account as it is now.
func (c *Core) sealToken(p purpose, lifetime time.Duration, a *Account, address string) string {
	data := make([]byte, 0, tokenHeader+2+len(a.ID)+len(address))
	data = append(data, tokenVersion)
	data = binary.BigEndian.AppendUint64(data, uint64(c.cfg.Now().Add(lifetime).UnixMilli()))
	data = append(data, tokenBinding(a)...)
	data = appendText(data, a.ID)
	return c.secrets.seal(p, append(data, address...))
}

// tokenBinding is what must not have changed when the token is used: the Stamp,
// which every change of a credential replaces (and an upgrade of the hash does
// not), and the address that the account has.
func tokenBinding(a *Account) []byte {
	sum := sha256.New()
	for _, s := range []string{a.Stamp.Reveal(), a.Email} {
		sum.Write(appendText(nil, s))
	}
	return sum.Sum(nil)
}

// fits reports whether the token is for the account as it is now. Who is
// disabled has none, and who is verified none to verify.
func (t mailedToken) fits(a *Account) bool {
	return !a.Disabled && (t.purpose != purposeVerify || !a.EmailVerified) &&
		subtle.ConstantTimeCompare(t.binding, tokenBinding(a)) == 1
}

func (c *Core) openToken(p purpose, token string) (mailedToken, error) {
	if c.store == nil {
		return mailedToken{}, ErrNoUserStore
	}
	if len(token) > maxMailedToken {
		return mailedToken{}, ErrInvalidToken
	}
	data, ok := c.secrets.open(p, token)
	if !ok || len(data) <= tokenHeader || data[0] != tokenVersion {
		return mailedToken{}, ErrInvalidToken
	}
	expires := time.UnixMilli(int64(binary.BigEndian.Uint64(data[1:])))
	r := reader{rest: string(data[tokenHeader:]), ok: true}
	t := mailedToken{purpose: p, binding: data[9:tokenHeader], userID: r.text(), address: r.rest, expires: expires}
	if !r.ok || t.userID == "" || !c.cfg.Now().Before(expires) {
		return mailedToken{}, ErrInvalidToken
	}
	return t, nil
}

// checkToken opens a token and loads the user that it is for.
func (c *Core) checkToken(ctx context.Context, p purpose, token string) (User, mailedToken, error) {
	t, err := c.openToken(p, token)
	if err != nil {
		return nil, t, err
	}
	user, err := c.store.load(ctx, t.userID)
	if errors.Is(err, ErrUserNotFound) || err == nil && !t.fits(user.AuthAccount()) {
		return nil, t, ErrInvalidToken
	}
	return user, t, err
}

// spend remembers that a token of the user's has worked. A failure is an event: the
// link is then answered as any that is void.
func (c *Core) spend(ctx context.Context, userID, token string, expires time.Time) {
	detached, cancel := detach(ctx)
	defer cancel()
	err := c.records.InsertRecord(detached, Record{
		Kind: kindUsed, Key: tokenKey(token), UserID: userID, Version: randomVersion(), Expires: expires,
	})
	if err != nil {
		c.event(ctx, Event{Kind: EventStoreFailed, UserID: userID, Err: err})
	}
}

// TokenUsed reports whether a token is void because it has worked: for
// ResetPassword, VerifyEmail, ConfirmEmail or UndoEmail. It is for a page that got
// ErrInvalidToken and wants to tell the user, who has the link from their own
// mailbox, that nothing is left to do. It is false once the token would have
// expired, and for tokens that never were one. The error is a failure of the store.
func (c *Core) TokenUsed(ctx context.Context, token string) (used bool, failing error) {
	defer c.met(ctx, &failing)
	if token == "" || len(token) > maxMailedToken {
		return false, nil
	}
	_, err := c.records.GetRecord(ctx, kindUsed, tokenKey(token))
	return err == nil, unlessNotFound(err)
}

// refuseToken counts a token that is no good against the request's client. The
// error is to be returned in place of err.
func (c *Core) refuseToken(ctx context.Context, err error) error {
	if !errors.Is(err, ErrInvalidToken) {
		return err
	}
	if limit := c.wrongToken(ctx); limit != nil {
		return limit
	}
	return err
}

// errNoToken is for accounts that tokens cannot be made for.
var errNoToken = errors.New("auth: a user without an ID, or with one of over 1,024 bytes, has no mailed tokens")
