package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A MailKind says what a mail is about.
type MailKind string

// The kinds of mails.
const (
	MailReset        MailKind = "reset"         // a link that sets a new password
	MailVerify       MailKind = "verify"        // a link that verifies the address
	MailNewAddress   MailKind = "new-address"   // a link that confirms it, to the address that an account is to get
	MailAddressTaken MailKind = "address-taken" // somebody wanted this address for an account; a link to a page for a forgotten password, or none

	// To the owner, of what has been done to the account. But for the first
	// there is no link.
	MailAddressChanged   MailKind = "address-changed"   // to the old address: a link that changes it back
	MailAddressUndone    MailKind = "address-undone"    // to the address that the account had: it was changed back
	MailPasswordChanged  MailKind = "password-changed"  // or reset
	MailPasswordDisabled MailKind = "password-disabled" // after too many wrong ones: it must be reset
	MailAPIToken         MailKind = "api-token"         // one was made
	MailClosed           MailKind = "closed"            // the account was closed
	MailStolen           MailKind = "remember-stolen"   // somebody had a copy of a remember cookie
)

// A Mail is something to tell a user. What it says, and how it looks, is the
// Mailer's affair.
type Mail struct {
	Kind     MailKind
	To       string        // an address as it is stored, or, of an address that an account is to get, as it was typed
	User     User          // whose account it is
	Link     Secret        // the page to open, an absolute URL; empty if there is none
	Lifetime time.Duration // of the link

	// Failed is to be called if Send took the mail and it turns out later that
	// it will not be sent: it makes that an event. It may be nil.
	Failed func(err error)
}

// A Mailer sends mails. Package authmail has one for SMTP, and one that prints.
//
// Send is called while a request is answered, and only for addresses that have
// an account: it must put the mail into a queue and return, for how long it
// takes would tell strangers who has an account. Its error goes to the log and
// never into the answer.
type Mailer interface {
	Send(ctx context.Context, m Mail) error
}

// ErrNoMailer says that Config.Mailer is not set.
var ErrNoMailer = errors.New("auth: no mailer")

var errMailboxFull = errors.New("auth: the mailbox has had enough mails of this kind for now")

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

// isLocal reports whether an address is refused for want of Config.LocalDomains.
func (c *Core) isLocal(key string) bool {
	_, domain, _ := strings.Cut(key, "@")
	return !c.cfg.LocalDomains && !strings.Contains(domain, ".")
}

// checkPath returns an error for a page that is not a plain path.
func checkPath(page string) error {
	if ParseNext(page).IsZero() || strings.ContainsAny(page, "?#") {
		return fmt.Errorf("auth: %q is not a path of this site, without a query", page)
	}
	return nil
}

// link is the URL of a page, which may be an absolute URL itself, with a token in
// the query.
func (c *Core) link(page, token string) Secret {
	if page[0] == '/' {
		page = c.baseURL.String() + page
	}
	separator := "?"
	if strings.Contains(page, "?") {
		separator = "&"
	}
	return NewSecret(page + separator + "token=" + token)
}

// notify tells the owner of an account what has become of it, also if who has done
// it goes away. There is no second time: a failure is an event, and nothing else.
func (c *Core) notify(ctx context.Context, kind MailKind, user User, address string) {
	if c.cfg.Mailer == nil || address == "" {
		return
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	if !user.AuthAccount().EmailVerified { // it may be a stranger's, who is not to get mails without end
		full, err := c.mailboxFull(c.inner(ctx), kind, mailboxOf(nil, emailKey(address)))
		if err == nil && full {
			err = errMailboxFull
		}
		if err != nil {
			c.event(ctx, Event{Kind: EventMailFailed, UserID: idOf(user), Err: err})
			return
		}
	}
	c.deliver(ctx, Mail{Kind: kind, To: address, User: user})
}

// deliver hands a mail to the Mailer. A failure is an event.
func (c *Core) deliver(ctx context.Context, m Mail) {
	if err := c.mail(ctx, m); err != nil {
		c.event(ctx, Event{Kind: EventMailFailed, UserID: idOf(m.User), Err: err})
	}
}

// mailboxOf is what mails to an address are counted by: its account, or, so that
// it is the same work, the address of nobody.
func mailboxOf(user User, key string) string {
	if user == nil {
		return tokenKey("mailbox\x00" + key)
	}
	return user.AuthAccount().ID
}

// mail hands a mail to the Mailer. One that panics would tell a stranger whom it
// had a mail for.
func (c *Core) mail(ctx context.Context, m Mail) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("auth: the Mailer panicked: %v", p)
		}
	}()
	id := idOf(m.User)
	m.Failed = func(err error) { // when the request is long gone
		c.event(context.Background(), Event{Kind: EventMailFailed, UserID: id, Err: err})
	}
	return c.cfg.Mailer.Send(context.WithoutCancel(ctx), m) // that the client waits for the answer is no condition
}

func idOf(user User) string {
	if user == nil {
		return ""
	}
	return user.AuthAccount().ID
}
