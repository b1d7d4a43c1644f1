package authmail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/go-login/auth"
)

// A Printer is an auth.Mailer for development: it prints mails, including their
// links, instead of sending them. It is safe for use by many goroutines.
type Printer struct {
	w         io.Writer
	templates map[auth.MailKind]*templates
	err       error
	mu        *sync.Mutex // for w
}

// NewPrinter makes a Printer that writes to w: the recipient, the subject and
// the text part.
func NewPrinter(w io.Writer) *Printer {
	p := &Printer{w: w, mu: new(sync.Mutex)}
	if p.templates, p.err = parseTemplates(nil); w == nil {
		p.err = errors.New("authmail: NewPrinter got a nil writer; pass os.Stdout, for instance")
	}
	return p
}

// WithTemplates returns a Printer with other templates that writes to the same
// writer; see Config.Templates.
func (p *Printer) WithTemplates(replaced map[auth.MailKind]Template) (*Printer, error) {
	t, err := parseTemplates(replaced)
	if err != nil {
		return nil, err
	}
	return &Printer{w: p.w, templates: t, mu: p.mu}, nil
}

// Send prints a mail. It returns the same errors as Mailer.Send, and those of
// the writer.
func (p *Printer) Send(_ context.Context, m auth.Mail) error {
	if p.err != nil {
		return p.err
	}
	t := p.templates[m.Kind]
	if t == nil {
		return fmt.Errorf("authmail: Send: unknown kind of mail %q", m.Kind)
	}
	data, err := dataOf(m)
	if err != nil {
		return err
	}
	c, err := t.render(data)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err = fmt.Fprintf(p.w, "---- mail ----\nTo: %s\nSubject: %s\n\n%s\n--------------\n",
		data.Email, c.subject, strings.TrimSpace(c.text))
	return err
}
