package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-login/auth/internal/keyring"
)

// This file hands mails to the Mailer. There are five functions, each built on the next:
//
//	notify     tell, for a mail without a link
//	tell       tellOwner, and limits the mails to a mailbox that is not verified
//	tellOwner  deliver, also after the client has hung up
//	deliver    mail; a failure is an event
//	mail       calls the Mailer, and returns its error

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

// isLocal reports whether an address is refused because its domain has no dot and
// Config.LocalDomains is not set.
func (c *Core) isLocal(key string) bool {
	_, domain, _ := strings.Cut(key, "@")
	return !c.cfg.LocalDomains && !strings.Contains(domain, ".")
}

// BasePath returns the path of Config.BaseURL without the final slash: "/app" for
// https://host.example/app/, and "" for https://host.example. Put it in front of the paths of
// your own links: below a path, "/" is a page of another application.
func (c *Core) BasePath() string { return c.site.path }

// BaseURL returns Config.BaseURL for links to the site that the request of ctx came to. If
// the request's Host is one of Config.Network.Hosts, the result has that host. Any other
// Host, and a context that does not come from a request, get Config.BaseURL.
func (c *Core) BaseURL(ctx context.Context) string { return c.originFor(ctx) + c.site.path }

// originFor is BaseURL without the path.
func (c *Core) originFor(ctx context.Context) string {
	var r *http.Request
	if s := c.clientOf(ctx); s != nil {
		r = s.request
	}
	return c.site.originOf(r)
}

// absolute returns the absolute URL of one of Config.URLs, at the host of the request if it
// is one of ours.
func (c *Core) absolute(ctx context.Context, page string) string {
	if page[0] == '/' {
		return c.originFor(ctx) + page
	}
	return page
}

// link returns the URL of a page with a token in the query.
func (c *Core) link(ctx context.Context, page, token string) Secret {
	page = c.absolute(ctx, page)
	separator := "?"
	if strings.Contains(page, "?") {
		separator = "&"
	}
	return NewSecret(page + separator + "token=" + token)
}

// notify mails the owner of an account what happened to it, even if the client hangs
// up. It tries once: a failure is only an event.
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
	if !m.User.AuthAccount().EmailVerified { // the mailbox may belong to another person, so limit its mails
		full, err := c.mailboxFull(ctx, m.Kind, mailboxOf(nil, emailKey(m.To)))
		if err == nil && full {
			err = errMailboxFull
		}
		if err != nil {
			c.event(ctx, Event{Kind: EventMailFailed, UserID: idOf(m.User), Err: err})
			return
		}
	}
	c.tellOwner(ctx, m)
}

// tellOwner is tell for a mailbox that is known to be the user's.
func (c *Core) tellOwner(ctx context.Context, m Mail) {
	if c.cfg.Mailer == nil || m.To == "" {
		return
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	c.deliver(ctx, m)
}

// deliver hands a mail to the Mailer. A failure is an event.
func (c *Core) deliver(ctx context.Context, m Mail) {
	if err := c.mail(ctx, m); err != nil {
		c.event(ctx, Event{Kind: EventMailFailed, UserID: idOf(m.User), Err: err})
	}
}

// mailboxOf returns the key by which mails to an address are counted: the account's ID,
// or, for the same work without an account, a hash of the address.
func mailboxOf(user User, key string) string {
	if user == nil {
		return keyring.TokenKey("mailbox\x00" + key)
	}
	return user.AuthAccount().ID
}

// mail hands a mail to the Mailer. It recovers a panic of the Mailer: otherwise the
// failed answer would tell an attacker that there was a mail to send, and so an
// account.
func (c *Core) mail(ctx context.Context, m Mail) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("auth: the Mailer panicked: %v", p)
		}
	}()
	c.describe(ctx, &m)
	id := idOf(m.User)
	m.Failed = func(err error) { // called after the request, so its context is not used
		c.event(context.Background(), Event{Kind: EventMailFailed, UserID: id, Err: err})
	}
	return c.cfg.Mailer.Send(context.WithoutCancel(ctx), m) // if the client hangs up, the mail is sent all the same
}

// describe adds to a mail when it was caused, from where, and its language. The mail does
// not tell from where another user, such as an administrator, has acted.
func (c *Core) describe(ctx context.Context, m *Mail) {
	m.At, m.Language = c.cfg.Now(), c.mailLanguage(c.clientOf(ctx), m.User)
	s := c.requestOf(ctx)
	if s == nil || m.Kind == MailImpersonated || s.acted.Load() != nil {
		return
	}
	if asking := s.known(); asking == "" || asking == idOf(m.User) {
		m.Address, m.Agent = s.address(), s.agent()
	}
}

// mailFailed makes an event of a mail that failed, if err is not nil.
func (c *Core) mailFailed(ctx context.Context, user User, err error) {
	if err != nil {
		c.event(ctx, Event{Kind: EventMailFailed, UserID: idOf(user), Err: err})
	}
}

var errMailboxFull = errors.New("auth: the mailbox has had enough mails of this kind for now")
