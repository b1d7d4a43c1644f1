package auth

import (
	"context"
	"slices"
	"time"

	"github.com/go-login/auth/internal/wire"
)

// Flashes are in a sealed cookie, so a message to an anonymous visitor needs no record.
const (
	flashLifetime = 5 * time.Minute
	maxCategory   = 64
	maxFlash      = 512
	maxFlashes    = 2800 // bytes of all messages, so that the cookie stays under 4 KiB
)

// Flash keeps a message for the next page that shows Flashes, even if no person made
// the request. If the same message is waiting already, it is not added again.
// Categories are cut to 64 bytes and texts to 512. If the messages no longer fit into a
// cookie, the oldest are dropped; at least four fit. Flash returns ErrNoSession or
// ErrHeaderWritten.
func (c *Core) Flash(ctx context.Context, category, text string) error {
	s := c.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	s.op.Lock()
	defer s.op.Unlock()
	if s.committed {
		return ErrHeaderWritten
	}
	flash := Flash{cut(category, maxCategory), cut(text, maxFlash)}
	waiting := s.flashes()
	if slices.Contains(waiting, flash) {
		return nil
	}
	waiting = append(slices.Clip(waiting), flash)
	for len(appendFlashes(nil, waiting)) > maxFlashes {
		waiting = waiting[1:]
	}
	s.flash, s.flashChanged = waiting, true
	return nil
}

// Flashes returns the messages that wait to be shown, and removes them. Outside
// LoadAndSave, and after the header was written, it returns none.
//
// Browsers and pages make some requests on their own: a prefetch or prerendering, an
// image, an icon, HEAD, a script's GET that does not ask for a page. Such a request gets
// the messages and does not remove them, because the browser may discard the page before
// the user has seen it. If the browser shows the page later, the user sees the messages
// twice. A script's POST, and a request for a page through htmx, Turbo or Inertia, count
// as the user's.
func (c *Core) Flashes(ctx context.Context) []Flash {
	s := c.stateOf(ctx)
	if s == nil {
		return nil
	}
	s.op.Lock()
	defer s.op.Unlock()
	waiting := s.flashes()
	if len(waiting) == 0 || s.committed {
		return nil
	}
	if byPerson(s.request) {
		s.flash, s.flashChanged = nil, true
	}
	return waiting
}

// hasFlashes reports whether messages wait to be shown.
func (s *state) hasFlashes() bool {
	s.op.Lock()
	defer s.op.Unlock()
	return len(s.flashes()) > 0
}

// flashes reads the cookie at first use. The caller holds s.op.
func (s *state) flashes() []Flash {
	if s.flashRead {
		return s.flash
	}
	s.flashRead = true
	cookie, _ := s.sent(s.core.cookies.flash)
	content, _, ok := s.core.secrets.Open(purposeFlash, cookie, s.core.cfg.Now())
	if !ok {
		return nil
	}
	r := wire.NewReader(string(content))
	for r.OK() && r.Rest() != "" {
		s.flash = append(s.flash, Flash{r.Text(), r.Text()})
	}
	return s.flash
}

// sealFlashes returns the cookie's value. If there are no messages, it is empty.
func (s *state) sealFlashes() string {
	if len(s.flash) == 0 {
		return ""
	}
	return s.core.secrets.Seal(purposeFlash, appendFlashes(nil, s.flash), s.core.cfg.Now().Add(flashLifetime))
}

func appendFlashes(b []byte, flashes []Flash) []byte {
	for _, f := range flashes {
		b = wire.AppendText(wire.AppendText(b, f.Category), f.Text)
	}
	return b
}
