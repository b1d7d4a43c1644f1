package auth

import (
	"context"
	"errors"
	"strings"
)

// SendVerification mails a link that verifies its address to the account with this
// address, if there is one that is not disabled and not verified yet: to
// Config.URLs.Verify, with a token in the query, and good for 24 hours. Like
// SendReset it returns nil whatever becomes of it, and does the same work; errors
// are ErrInvalidEmail, ErrNoMailer, ErrNoUserStore, a RateLimitError, and those of
// a store that has failed.
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

// errVerified is why no link is sent.
var errVerified = errors.New("auth: the address is verified")

// noVerify does the work of sendVerify for an account that gets no mail.
func (c *Core) noVerify(ctx context.Context, user User, key string, reason error) error {
	_, err := c.mailboxFull(ctx, MailVerify, mailboxOf(user, key))
	_ = c.sealToken(purposeVerify, verifyLifetime, &Account{ID: key}, "")
	c.event(ctx, Event{Kind: EventVerificationRefused, UserID: idOf(user), Err: reason})
	return err
}

// sendVerify mails the link that verifies a user's address, unless their mailbox
// has had too many.
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
		Link: c.link(c.cfg.URLs.Verify, c.sealToken(purposeVerify, verifyLifetime, a, "")),
	})
}

// CheckVerifyToken returns the user whose address VerifyEmail would verify, or
// ErrInvalidToken, and changes nothing. It is for the page that the link opens,
// which must wait for a POST: programs that read mail open links.
func (c *Core) CheckVerifyToken(ctx context.Context, token string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	user, _, err := c.checkToken(ctx, purposeVerify, token)
	return user, err
}

// VerifyEmail takes the account's address for verified, by a token that
// SendVerification or Register has mailed. A token works once, and no longer when
// a credential or the address has changed; of any number of calls one succeeds, and
// the others return ErrInvalidToken.
//
// What was made before ends: logins, remembered devices, API tokens, other mailed
// links. Somebody else may have registered the address and waited for its owner.
// The login that makes the request, if it is the account's, goes on. Nobody is
// logged in by it, and the password is as it was registered: who did not register
// is told by the mail to leave the link alone, and gets the account by a reset.
func (c *Core) VerifyEmail(ctx context.Context, token string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planVerify(ctx, token)
	return c.changeCredential(ctx, x, err)
}

// planVerify plans what VerifyEmail changes. Until then the right password was counted
// as a wrong one, too, so the count is forgotten.
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
