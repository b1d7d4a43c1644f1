package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-login/auth/internal/keyring"
)

// mailable returns why no token can be mailed to the account, or nil.
func mailable(a *Account) error {
	switch {
	case a.ID == "" || len(a.ID) > maxTokenID:
		return errNoToken
	case a.Disabled:
		return ErrDisabled
	case a.Email == "":
		return ErrInvalidEmail
	}
	return nil
}

// isLocal reports whether an address is refused for want of Config.LocalDomains.
func (c *Core) isLocal(key string) bool {
	_, domain, _ := strings.Cut(key, "@")
	return !c.cfg.LocalDomains && !strings.Contains(domain, ".")
}

// absolute returns the absolute URL of one of Config.URLs.
func (c *Core) absolute(page string) string {
	if page[0] == '/' {
		return c.cfg.BaseURL + page
	}
	return page
}

// link returns the URL of a page with a token in the query.
func (c *Core) link(page, token string) Secret {
	page = c.absolute(page)
	separator := "?"
	if strings.Contains(page, "?") {
		separator = "&"
	}
	return NewSecret(page + separator + "token=" + token)
}

// notify tells the owner of an account what has become of it, also if who has done
// it goes away. There is no second time: a failure is an event, and nothing else.
func (c *Core) notify(ctx context.Context, kind MailKind, user User, address string) {
	c.tell(ctx, Mail{Kind: kind, To: address, User: user})
}

// tell is notify for a mail that may have a link.
func (c *Core) tell(ctx context.Context, m Mail) {
	if c.cfg.Mailer == nil || m.To == "" {
		return
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	if !m.User.AuthAccount().EmailVerified { // it may be a stranger's, who is not to get mails without end
		full, err := c.mailboxFull(ctx, m.Kind, mailboxOf(nil, emailKey(m.To)))
		if err == nil && full {
			err = errMailboxFull
		}
		if err != nil {
			c.event(ctx, Event{Kind: EventMailFailed, UserID: idOf(m.User), Err: err})
			return
		}
	}
	c.deliver(ctx, m)
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
		return keyring.TokenKey("mailbox\x00" + key)
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

// mailFailed makes an event of the failure of a mail.
func (c *Core) mailFailed(ctx context.Context, user User, err error) {
	if err != nil {
		c.event(ctx, Event{Kind: EventMailFailed, UserID: idOf(user), Err: err})
	}
}

var errMailboxFull = errors.New("auth: the mailbox has had enough mails of this kind for now")
