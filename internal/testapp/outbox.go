package testapp

import (
	"context"
	"sync"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
)

// An Outbox is a mailbox that a test empties. It refuses a mail if the request's
// context has ended.
type Outbox struct {
	authtest.Mailbox
	mu    sync.Mutex
	taken int
}

// Send implements auth.Mailer.
func (o *Outbox) Send(ctx context.Context, m auth.Mail) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return o.Mailbox.Send(ctx, m)
}

// Take returns the mails since the last call.
func (o *Outbox) Take() []auth.Mail {
	o.mu.Lock()
	defer o.mu.Unlock()
	mails := o.Mails()
	since := mails[o.taken:]
	o.taken = len(mails)
	return since
}
