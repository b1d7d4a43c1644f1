package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// SendVerification mails a link to Config.URLs.Verify, with a token, to the account
// with this address. The link verifies the address and is valid for 24 hours. There
// must be such an account, it must not be disabled, and its address must not be
// verified yet.
//
// Like SendReset, SendVerification returns nil whether a mail was sent or not, and does
// the same work for both. The errors are ErrInvalidEmail for a malformed address,
// ErrNoMailer, ErrNoUserStore, a RateLimitError, and those of a store that failed.
func (c *Core) SendVerification(ctx context.Context, address string) (failing error) {
	defer c.met(ctx, &failing)
	switch {
	case c.store == nil:
		return ErrNoUserStore
	case c.cfg.Mailer == nil:
		return ErrNoMailer
	}
	if err := c.needs("SendVerification", FieldEmailVerified); err != nil {
		return err
	}
	if err := c.allowMails(ctx); err != nil {
		return err
	}
	keys := loginKeys(strings.TrimSpace(address))
	if len(keys) == 0 || !strings.Contains(address, "@") {
		return ErrInvalidEmail
	}
	key := keys[0]
	user, err := c.findByKey(ctx, keys...)
	switch {
	case errors.Is(err, ErrUserNotFound) && c.isLocal(key):
		return ErrInvalidEmail
	case errors.Is(err, ErrUserNotFound):
		err = c.noVerify(ctx, nil, key, ErrUserNotFound)
	case err != nil:
		return err
	case user.AuthAccount().Disabled:
		err = c.noVerify(ctx, user, key, ErrDisabled)
	case user.AuthAccount().EmailVerified:
		err = c.noVerify(ctx, user, key, errVerified)
	default:
		err = c.sendVerify(ctx, user)
	}
	c.mailFailed(ctx, user, err)
	return nil
}

// errVerified says that no link was sent, because the address is verified already.
var errVerified = errors.New("auth: the address is verified")

// noVerify does the work of sendVerify for an account that gets no mail.
func (c *Core) noVerify(ctx context.Context, user User, key string, reason error) error {
	_, err := c.mailboxFull(ctx, MailVerify, mailboxOf(user, key))
	_ = c.sealToken(purposeVerify, verifyLifetime, &Account{ID: key}, "")
	c.event(ctx, Event{Kind: EventVerificationRefused, UserID: idOf(user), Err: reason})
	return err
}

// sendVerify mails the link that verifies a user's address. If the mailbox has had too
// many such mails, it sends nothing.
func (c *Core) sendVerify(ctx context.Context, user User) error {
	a := user.AuthAccount()
	if err := mailable(a); err != nil {
		return err
	}
	if full, err := c.mailboxFull(ctx, MailVerify, a.ID); err != nil || full {
		return err
	}
	c.event(ctx, Event{Kind: EventVerificationIssued, UserID: a.ID})
	return c.mail(ctx, Mail{
		Kind: MailVerify, To: a.Email, User: user, Lifetime: verifyLifetime,
		Link: c.link(ctx, c.cfg.URLs.Verify, c.sealToken(purposeVerify, verifyLifetime, a, "")),
	})
}

// VerificationToken returns a token that verifies the user's address once, for an
// application that sends its mails itself. Mail it to the account's address, and nowhere
// else: anybody who has the token can verify the address. It is valid for 24 hours. See
// VerifyEmail. If the address is verified already, VerificationToken returns
// ErrInvalidToken. If the account is disabled, it returns ErrDisabled; if it has no address,
// ErrInvalidEmail. For an ID of more than 1,024 bytes it returns an error.
//
// Unlike SendVerification, it has no limit and tells its caller about the account. Do not
// show a visitor what it returned.
func (c *Core) VerificationToken(ctx context.Context, user User) (_ string, failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return "", ErrUserNotFound
	}
	a := user.AuthAccount()
	act, err := c.mayMakeToken(ctx, a.ID)
	if err != nil {
		return "", err
	}
	if c.store == nil {
		return "", ErrNoUserStore
	}
	if err := c.needs("VerificationToken", FieldEmailVerified); err != nil {
		return "", err
	}
	switch err := mailable(a); {
	case err != nil:
		return "", err
	case a.EmailVerified:
		return "", fmt.Errorf("%w: the address is verified already", ErrInvalidToken)
	}
	c.event(ctx, Event{Kind: EventVerificationIssued, UserID: a.ID, ActorID: act.actor})
	return c.sealToken(purposeVerify, verifyLifetime, a, ""), nil
}

// CheckVerifyToken returns the user whose address VerifyEmail would verify, or
// ErrInvalidToken. It changes nothing. Call it for the page that the link opens. That
// page must wait for a POST before it verifies, because programs that scan mail open
// links.
func (c *Core) CheckVerifyToken(ctx context.Context, token string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	user, _, err := c.checkToken(ctx, purposeVerify, token)
	return user, err
}

// VerifyEmail verifies the account's address by a token that SendVerification or
// Register mailed. A token works once. It is void after a credential or the address has
// changed. If VerifyEmail is called several times with a token, one call succeeds and
// the others return ErrInvalidToken.
//
// If an attacker registered your user's address before the user did, they may be logged
// in and wait for the user to verify it. So VerifyEmail ends everything that was made
// before: logins, remembered devices, API tokens and other mailed links. Only the login
// that makes the request goes on, if it is the account's.
//
// VerifyEmail does not log the user in, and the password stays the one of the
// registration. So the mail tells a user who did not register to leave the link alone.
// Such a user gets the account by a reset.
func (c *Core) VerifyEmail(ctx context.Context, token string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planVerify(ctx, token)
	return c.changeCredential(ctx, x, err)
}

// planVerify plans what VerifyEmail changes. With Config.RequireVerified, the right
// password counted like a wrong one until now, so the count is reset.
func (c *Core) planVerify(ctx context.Context, token string) (*credentialChange, error) {
	x := &credentialChange{own: ownGoesOn, forgets: true, done: EventVerificationDone, failed: EventVerificationFailed}
	if err := c.needs("VerifyEmail", FieldEmailVerified); err != nil {
		return x, err
	}
	user, t, err := c.checkToken(ctx, purposeVerify, token)
	if err != nil {
		return x, err
	}
	x.userID, x.stamp, x.token, x.expires = t.userID, user.AuthAccount().Stamp, token, t.expires
	x.apply = func(a *Account) error {
		if !t.fits(a) {
			return ErrInvalidToken
		}
		a.EmailVerified = true
		return nil
	}
	return x, nil
}
