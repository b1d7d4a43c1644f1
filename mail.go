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
	MailReset MailKind = "reset" // a link that sets a new password
)

// A Mail is something to tell a user. What it says, and how it looks, is the
// Mailer's affair.
type Mail struct {
	Kind     MailKind
	To       string        // the account's address, as it is stored
	User     User          // whose account it is
	Link     Secret        // the page to open, an absolute URL
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

// SendReset is Manager.SendReset.
func (c *Core) SendReset(ctx context.Context, address, page string) error {
	switch {
	case c.store == nil:
		return ErrNoUserStore
	case c.cfg.Mailer == nil:
		return ErrNoMailer
	case ParseNext(page).IsZero() || strings.ContainsAny(page, "?#"):
		return fmt.Errorf("auth: %q is not a path of this site, without a query", page)
	}
	key, err := EmailKey(strings.TrimSpace(address))
	if err != nil {
		return err
	}
	user, err := c.findByKey(ctx, key)
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return err
	}
	if user == nil || user.AuthAccount().Disabled {
		_ = c.sealReset(&Account{ID: key}) // the work that a token is
		c.event(ctx, Event{Kind: EventResetRefused, UserID: idOf(user), Err: ErrUserNotFound})
		return nil
	}
	token, err := c.ResetToken(ctx, user)
	if err != nil {
		return err
	}
	m := Mail{
		Kind: MailReset, To: user.AuthAccount().Email, User: user, Lifetime: c.cfg.ResetLifetime,
		Link: NewSecret(c.baseURL.String() + page + "?token=" + token),
	}
	id := idOf(user)
	m.Failed = func(err error) { // when the request is long gone
		c.event(context.Background(), Event{Kind: EventMailFailed, UserID: id, Err: err})
	}
	if err := c.cfg.Mailer.Send(ctx, m); err != nil {
		c.event(ctx, Event{Kind: EventMailFailed, UserID: id, Err: err})
	}
	return nil
}

func idOf(user User) string {
	if user == nil {
		return ""
	}
	return user.AuthAccount().ID
}
