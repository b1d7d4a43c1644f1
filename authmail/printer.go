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

// A Printer is an auth.Mailer that prints mails instead of sending them, links
// included: it is for development. It is safe for use by many goroutines.
type Printer struct {
	w         io.Writer
	templates map[auth.MailKind]*templates
	err       error
	mu        *sync.Mutex // for w
}

// NewPrinter makes a Printer that writes to w: recipient, subject and text part.
func NewPrinter(w io.Writer) *Printer {
	p := &Printer{w: w, mu: new(sync.Mutex)}
	if p.templates, p.err = parseTemplates(nil); w == nil {
		p.err = errors.New("authmail: a printer without a writer")
	}
	return p
}

// WithTemplates returns a Printer to the same writer with other templates; see
// Config.Templates.
func (p *Printer) WithTemplates(replaced map[auth.MailKind]Template) (*Printer, error) {
	t, err := parseTemplates(replaced)
	if err != nil {
		return nil, err
	}
	return &Printer{w: p.w, templates: t, mu: p.mu}, nil
}

// Send prints a mail. Its errors are those of Mailer.Send and the writer's.
func (p *Printer) Send(_ context.Context, m auth.Mail) error {
	if p.err != nil {
		return p.err
	}
	t := p.templates[m.Kind]
	if t == nil {
		return fmt.Errorf("authmail: there are no mails of kind %q", m.Kind)
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
