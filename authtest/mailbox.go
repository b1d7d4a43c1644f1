package authtest

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-login/auth"
)

// A Mailbox is an auth.Mailer for auth.Config.Mailer that keeps the mails. The
// zero value is empty and ready for use. It is safe for use by many goroutines.
type Mailbox struct {
	mu    sync.Mutex
	mails []auth.Mail
	err   error
}

// Send keeps a mail, or returns the error of Fail.
func (b *Mailbox) Send(_ context.Context, m auth.Mail) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	b.mails = append(b.mails, m)
	return nil
}

// Fail makes Send return err from now on, and keep nothing. Fail(nil) ends
// that.
func (b *Mailbox) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// Mails returns all mails so far, oldest first.
func (b *Mailbox) Mails() []auth.Mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.mails)
}

// Last returns the last mail to an address, in any spelling. If there is none,
// it ends the test and lists the mails.
func (b *Mailbox) Last(t testing.TB, address string) auth.Mail {
	t.Helper()
	mails := b.Mails()
	for _, m := range slices.Backward(mails) {
		if sameAddress(m.To, address) {
			return m
		}
	}
	var others strings.Builder
	for _, m := range mails {
		fmt.Fprintf(&others, "\n\t%s to %s", m.Kind, m.To)
	}
	if len(mails) == 0 {
		others.WriteString("\n\t(none)")
	}
	t.Fatalf("authtest: no mail to %s; the mails are:%s", address, &others)
	return auth.Mail{}
}

// Link returns the link of the last mail to an address, as a path with its
// query that Client.Get accepts. If there is no mail, or it has no link, Link
// ends the test.
func (b *Mailbox) Link(t testing.TB, address string) string {
	t.Helper()
	m := b.Last(t, address)
	link, err := url.Parse(m.Link.Reveal())
	if err != nil || link.Host == "" {
		t.Fatalf("authtest: the last mail to %s, %s, has no link", address, m.Kind)
		return ""
	}
	return link.RequestURI()
}

// sameAddress compares addresses as the library does.
func sameAddress(a, b string) bool {
	keyA, errA := auth.EmailKey(strings.TrimSpace(a))
	keyB, errB := auth.EmailKey(strings.TrimSpace(b))
	return a == b || errA == nil && errB == nil && keyA == keyB
}
