package auth

import (
	"cmp"
	"context"
	"strings"
)

// SendReset mails a link to URLs.Reset, with a reset token, to the account with this
// address. There must be such an account, and it must not be disabled. The mail goes to
// the address that is stored, not to the one that was typed.
//
// SendReset returns nil whether there is an account or not, and whether the mail could
// be sent or not. It does the same work for both, so your page should show the same
// text. If the address has been sent three such mails within Password.ResetLifetime, or
// within an hour if that is shorter, it sends nothing and returns nil.
//
// The errors are ErrInvalidEmail for a malformed address, a RateLimitError, ErrNoMailer,
// ErrNoUserStore, and those of a store that failed.
func (c *Core) SendReset(ctx context.Context, address string) (failing error) {
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
	user, key, err := c.userForMail(ctx, strings.TrimSpace(address))
	if err != nil {
		return err
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
		_ = c.sealReset(&Account{ID: key}) // the same work as for an account
		c.event(ctx, Event{Kind: EventResetRefused, UserID: idOf(user), Err: ErrUserNotFound})
		return nil
	}
	token, err := c.resetToken(ctx, user, "")
	if err != nil { // an error would tell the caller that there is an account
		c.event(ctx, Event{Kind: EventResetRefused, UserID: idOf(user), Err: err})
		return nil
	}
	m := Mail{
		Kind: MailReset, To: user.AuthAccount().Email, User: user, Lifetime: c.cfg.Password.ResetLifetime,
		Link: c.link(ctx, c.cfg.URLs.Reset, token),
	}
	c.deliver(ctx, m)
	return nil
}

// ResetToken returns a token that sets a new password for the user once. Mail it to the
// account's address. See ResetPassword. If the account is disabled, ResetToken returns
// ErrDisabled; if it has no address, ErrInvalidEmail. For an ID of more than 1,024
// bytes it returns an error.
func (c *Core) ResetToken(ctx context.Context, user User) (_ string, failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return "", ErrUserNotFound
	}
	act, err := c.mayMakeToken(ctx, user.AuthAccount().ID)
	if err != nil {
		return "", err
	}
	return c.resetToken(ctx, user, act.actor)
}

// mayMakeToken returns an error if the user who makes the request may not have a token for
// this account.
func (c *Core) mayMakeToken(ctx context.Context, userID string) (*act, error) {
	if err := cmp.Or(c.stillIn(ctx), c.notActing(ctx)); err != nil {
		return nil, err
	}
	act, err := c.actForSelf(ctx, userID)
	if err == nil {
		err = act.mayOn(ctx, userID)
	}
	return act, err
}

// resetToken is ResetToken without the check of who asks. actor is for the event.
func (c *Core) resetToken(ctx context.Context, user User, actor string) (string, error) {
	if c.store == nil {
		return "", ErrNoUserStore
	}
	if err := c.needs("ResetToken", FieldPasswordHash); err != nil {
		return "", err
	}
	a := user.AuthAccount()
	if err := mailable(a); err != nil {
		return "", err
	}
	c.event(ctx, Event{Kind: EventResetIssued, UserID: a.ID, ActorID: actor})
	return c.sealReset(a), nil
}

func (c *Core) sealReset(a *Account) string {
	return c.sealToken(purposeReset, c.cfg.Password.ResetLifetime, a, "")
}

// CheckResetToken returns the user whose reset token this is, or ErrInvalidToken. It
// changes nothing. Call it for the page that the link opens.
func (c *Core) CheckResetToken(ctx context.Context, token string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	user, _, err := c.checkToken(ctx, purposeReset, token)
	return user, err
}

// ResetPassword sets a new password by a reset token. It ends all the user's logins,
// and does not log the user in.
//
// If ResetPassword is called several times with tokens of one account, one call
// succeeds and the others return ErrInvalidToken. A token from before the account's
// last change of password is also ErrInvalidToken. If the policy refuses the password
// (PasswordError), or the error is ErrBusy, the token stays valid. Invalid tokens count
// like wrong passwords, so there may be a RateLimitError.
//
// A second SendReset does not make an earlier token void. An unused token is valid
// until one of the account's tokens is used, the password or the address changes, or
// the token expires.
func (c *Core) ResetPassword(ctx context.Context, token, password string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	if err := c.notActing(ctx); err != nil { // before anything is removed
		return nil, err
	}
	x, err := c.planReset(ctx, token, password)
	if err == nil {
		err = c.forgetUnproved(ctx, x.userID)
	}
	return c.changeCredential(ctx, x, err)
}

// planReset plans what ResetPassword changes.
func (c *Core) planReset(ctx context.Context, token, password string) (*credentialChange, error) {
	x := &credentialChange{
		own: ownKnown, forgets: true, mail: Mail{Kind: MailPasswordChanged},
		done: EventResetDone, failed: EventResetFailed,
	}
	if err := c.needs("ResetPassword", FieldPasswordHash); err != nil {
		return x, err
	}
	user, t, err := c.checkToken(ctx, purposeReset, token)
	if err != nil {
		return x, err
	}
	x.userID, x.token, x.expires = t.userID, token, t.expires
	if err := c.ValidatePassword(ctx, password, *user.AuthAccount()); err != nil {
		return x, err
	}
	hash, err := c.hasher.Hash(ctx, password)
	// If another request changes the account meanwhile, apply runs again. After a
	// second reset the token no longer fits.
	x.apply = func(a *Account) error {
		if !t.fits(a) {
			return ErrInvalidToken
		}
		a.PasswordHash = hash
		a.EmailVerified = true // the token came through the mailbox
		return nil
	}
	return x, err
}
