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
	w        io.Writer
	renderer *Renderer
	err      error
	mu       *sync.Mutex // for w
}

// NewPrinter makes a Printer that writes to w: the recipient, the subject and
// the text part.
func NewPrinter(w io.Writer) *Printer {
	p := &Printer{w: w, mu: new(sync.Mutex)}
	if p.renderer, p.err = NewRenderer(Content{}); w == nil {
		p.err = errors.New("authmail: NewPrinter got a nil writer; pass os.Stdout, for instance")
	}
	return p
}

// With returns a Printer of mails with other content that writes to the same writer.
func (p *Printer) With(c Content) (*Printer, error) {
	r, err := NewRenderer(c)
	if err != nil {
		return nil, err
	}
	return &Printer{w: p.w, renderer: r, err: p.err, mu: p.mu}, nil
}

// Diagnose implements auth.Diagnoser: a public site must not use a Printer.
func (p *Printer) Diagnose(_ context.Context, public bool) ([]auth.Finding, error) {
	if !public {
		return nil, nil
	}
	return []auth.Finding{{
		Code: auth.FindingMailerPrints, Severity: auth.SeveritySevere,
		Text: "Mails are printed and not sent. No user gets one, and everybody who can read the output can use their links.",
		Fix:  "Use authmail.New, or a Mailer of your own.",
	}}, nil
}

// Send prints a mail. It returns the same errors as Mailer.Send, and those of
// the writer.
func (p *Printer) Send(_ context.Context, m auth.Mail) error {
	if p.err != nil {
		return p.err
	}
	msg, err := p.renderer.Render(m)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err = fmt.Fprintf(p.w, "---- mail ----\nTo: %s\nSubject: %s\n\n%s\n--------------\n",
		msg.To, msg.Subject, strings.TrimSpace(msg.Text))
	return err
}
