package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// This file changes the address of an account. The owner of the mailbox can take the
// account by a reset. So the user has to prove that they own the new mailbox before the
// change, and the owner of the old mailbox can undo it.
//
// The proof is a mailed token. Nothing is stored until it is used. The undo is in
// emailundo.go.

const emailLifetime = time.Hour // of the link to the new address

// ValidateEmail returns nil for an address that an account may get, or ErrInvalidEmail.
// It refuses what EmailKey refuses, except that Config.LocalDomains allows domains
// without a dot. Use it for forms that show everything that is wrong at once. It does
// not say whether the address is free.
func (c *Core) ValidateEmail(address string) error {
	_, err := addressKey(strings.TrimSpace(address), c.cfg.LocalDomains)
	return err
}

// SendEmailChange asks to change the user's address. It mails a link to URLs.EmailChange,
// with a token, to the new address. The token is valid for an hour, and only until a
// credential changes. Nothing changes before ConfirmEmailChange. Before you call it, make
// sure that the user is asking, by CheckPassword or the rule Fresh: the owner of the new
// mailbox can take the account.
//
// If the address belongs to another account, SendEmailChange returns nil, too, and does
// the same work. The owner of that account gets a mail.
//
// If the address is malformed, or the account has it already, the error is
// ErrInvalidEmail. If the login ended meanwhile, it is ErrLoggedOut. The other errors are
// ErrDisabled, ErrNoMailer, ErrNoUserStore, a RateLimitError, and those of a store that
// failed.
func (c *Core) SendEmailChange(ctx context.Context, user User, address string) (failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return ErrUserNotFound
	}
	id := user.AuthAccount().ID
	owner, err := c.sendEmailChange(ctx, user, strings.TrimSpace(address))
	switch {
	case err == nil:
		c.event(ctx, Event{Kind: EventEmailChangeIssued, UserID: id})
	case errors.Is(err, ErrEmailTaken):
		c.event(ctx, Event{Kind: EventEmailChangeFailed, UserID: id, Err: err})
		c.mailFailed(ctx, owner, c.sendTaken(ctx, owner, address))
	default:
		c.event(ctx, Event{Kind: EventEmailChangeFailed, UserID: id, Err: err})
		return err
	}
	return nil
}

// sendEmailChange returns ErrEmailTaken if another account has the address, and its
// owner if it is known.
func (c *Core) sendEmailChange(ctx context.Context, user User, address string) (owner User, err error) {
	switch {
	case c.store == nil:
		return nil, ErrNoUserStore
	case c.cfg.Mailer == nil:
		return nil, ErrNoMailer
	}
	if err := c.allowMails(ctx); err != nil {
		return nil, err
	}
	a := user.AuthAccount()
	if err := mailable(a); err != nil && !errors.Is(err, ErrInvalidEmail) { // the account may have no address yet
		return nil, err
	}
	if err := c.ValidateEmail(address); err != nil {
		return nil, err
	}
	key := emailKey(address)
	if key == emailKey(a.Email) {
		return nil, fmt.Errorf("%w: the account has this address already", ErrInvalidEmail)
	}
	if err := c.stillIn(ctx); err != nil {
		return nil, err
	}
	kept, err := c.keptFor(ctx, reservedEmail(address))
	if err != nil {
		return nil, err
	}
	owner, err = c.findByKey(ctx, key)
	switch {
	case err == nil || errors.Is(err, ErrUserNotFound) && kept != "" && kept != a.ID:
		return owner, ErrEmailTaken
	case !errors.Is(err, ErrUserNotFound):
		return nil, err
	}
	full, err := c.mailboxFull(ctx, MailNewAddress, mailboxOf(nil, key))
	token := c.sealToken(purposeEmail, emailLifetime, a, address)
	if err == nil && !full {
		err = c.mail(ctx, Mail{Kind: MailNewAddress, To: address, User: user, Lifetime: emailLifetime, Link: c.link(ctx, c.cfg.URLs.EmailChange, token)})
	}
	c.mailFailed(ctx, user, err)
	return nil, nil
}

// CheckEmailChange returns the user whose address ConfirmEmailChange would change, and
// the new address. It changes nothing. If the token is not valid, it is ErrInvalidToken.
func (c *Core) CheckEmailChange(ctx context.Context, token string) (user User, address string, err error) {
	defer c.met(ctx, &err)
	user, t, err := c.checkToken(ctx, purposeEmail, token)
	if err != nil {
		return nil, "", err
	}
	return user, t.address, nil
}

// ConfirmEmailChange gives the account the address that the token is for. The address is
// then verified. The user's other logins end. The request must come from a login of the
// same user: without a login it is ErrNotLoggedIn, with another user's it is
// ErrInvalidToken. ErrEmailTaken says that another account got the address meanwhile.
//
// If the old address was verified, it gets a mail with a link to URLs.EmailUndo.
// UndoEmailChange accepts the link's token for 72 hours. Until then no other account can
// get the old address.
func (c *Core) ConfirmEmailChange(ctx context.Context, token string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planEmail(ctx, token)
	return c.changeCredential(ctx, x, err)
}

// planEmail plans what ConfirmEmailChange changes, and stores the record of its undo.
func (c *Core) planEmail(ctx context.Context, token string) (*credentialChange, error) {
	x := &credentialChange{own: ownGoesOn, done: EventEmailChangeDone, failed: EventEmailChangeFailed}
	user, t, err := c.checkToken(ctx, purposeEmail, token)
	if err != nil {
		return x, err
	}
	x.userID, x.stamp, x.token, x.expires = t.userID, user.AuthAccount().Stamp, token, t.expires
	// Only the user who asked may confirm. Otherwise an attacker could ask for a
	// victim's address on their own account, and the victim might click the link.
	current, err := c.User(ctx)
	if err != nil {
		return x, err
	}
	if current.AuthAccount().ID != t.userID {
		return x, ErrInvalidToken
	}
	if err := c.stillIn(ctx); err != nil {
		return x, err
	}
	kept, err := c.keptFor(ctx, reservedEmail(t.address))
	if err != nil {
		return x, err
	}
	if kept != "" && kept != t.userID {
		return x, ErrEmailTaken
	}
	if err := c.planUndoLink(ctx, x, user.AuthAccount()); err != nil {
		return x, err
	}
	x.apply = func(a *Account) error {
		if !t.fits(a) {
			return ErrInvalidToken
		}
		a.Email, a.EmailVerified = t.address, true
		return nil
	}
	return x, nil
}
