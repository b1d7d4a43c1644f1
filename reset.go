package auth

import (
	"context"
	"errors"
	"strings"

	"github.com/go-login/auth/internal/keyring"
)

// SendReset is Manager.SendReset.
func (c *Core) SendReset(ctx context.Context, address, page string) (failing error) {
	defer c.met(ctx, &failing)
	switch {
	case c.store == nil:
		return ErrNoUserStore
	case c.cfg.Mailer == nil:
		return ErrNoMailer
	}
	if err := c.needs("SendReset", FieldPasswordHash); err != nil {
		return err
	}
	if err := checkPath(page); err != nil {
		return err
	}
	keys := loginKeys(strings.TrimSpace(address))
	if len(keys) == 0 || !strings.Contains(address, "@") {
		return ErrInvalidEmail
	}
	if err := c.allowMails(ctx); err != nil {
		return err
	}
	key := keys[0]
	user, err := c.findByKey(ctx, keys...)
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return err
	}
	if user == nil && c.isLocal(key) {
		return ErrInvalidEmail
	}
	full, err := c.mailboxFull(ctx, MailReset, mailboxOf(user, key))
	if err != nil {
		return err
	}
	if full {
		c.event(ctx, Event{Kind: EventResetRefused, UserID: idOf(user), Err: errMailboxFull})
		return nil
	}
	if user == nil || user.AuthAccount().Disabled {
		_ = c.sealReset(&Account{ID: key}) // the work that a token is
		c.event(ctx, Event{Kind: EventResetRefused, UserID: idOf(user), Err: ErrUserNotFound})
		return nil
	}
	token, err := c.ResetToken(ctx, user)
	if err != nil { // which is nobody's business
		c.event(ctx, Event{Kind: EventResetRefused, UserID: idOf(user), Err: err})
		return nil
	}
	m := Mail{
		Kind: MailReset, To: user.AuthAccount().Email, User: user, Lifetime: c.cfg.ResetLifetime,
		Link: c.link(page, token),
	}
	c.deliver(ctx, m)
	return nil
}

// ResetToken is Manager.ResetToken.
func (c *Core) ResetToken(ctx context.Context, user User) (_ string, failing error) {
	defer c.met(ctx, &failing)
	switch {
	case c.store == nil:
		return "", ErrNoUserStore
	case user == nil:
		return "", ErrUserNotFound
	}
	if err := c.needs("ResetToken", FieldPasswordHash); err != nil {
		return "", err
	}
	a := user.AuthAccount()
	if err := mailable(a); err != nil {
		return "", err
	}
	c.event(ctx, Event{Kind: EventResetIssued, UserID: a.ID})
	return c.sealReset(a), nil
}

const purposeReset = "reset"

func (c *Core) sealReset(a *Account) string {
	return c.sealToken(purposeReset, c.cfg.ResetLifetime, a, "")
}

// CheckResetToken is Manager.CheckResetToken.
func (c *Core) CheckResetToken(ctx context.Context, token string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	user, _, err := c.checkToken(ctx, purposeReset, token)
	return user, err
}

// ResetPassword is Manager.ResetPassword.
func (c *Core) ResetPassword(ctx context.Context, token, password string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	user, id, err := c.resetPassword(ctx, token, password)
	if err != nil {
		c.event(ctx, Event{Kind: EventResetFailed, UserID: id, Err: err})
		return nil, c.refuseToken(ctx, err)
	}
	c.event(ctx, Event{Kind: EventResetDone, UserID: id})
	return user, nil
}

func (c *Core) resetPassword(ctx context.Context, token, password string) (user User, id string, err error) {
	if err := c.needs("ResetPassword", FieldPasswordHash); err != nil {
		return nil, "", err
	}
	user, t, err := c.checkToken(ctx, purposeReset, token)
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
	ctx, cancel := detach(ctx) // who hangs up now must not keep the owner from being told
	defer cancel()
	stamp := NewSecret(keyring.NewToken())
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
	c.spend(ctx, t.userID, token, t.expires)
	c.endSessions(ctx, t.userID)
	c.forgetGuesses(ctx, t.userID)
	if s := c.stateOf(ctx); s != nil {
		s.revoked(t.userID)
		s.op.Lock()
		s.knowBrowser(t.userID, stamp)
		s.op.Unlock()
	}
	c.notify(ctx, MailPasswordChanged, user, user.AuthAccount().Email)
	return c.reloaded(ctx, user), t.userID, nil
}
