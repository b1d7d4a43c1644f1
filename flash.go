package auth

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/go-login/auth/internal/wire"
)

// Flashes are in a sealed cookie, so a message to an anonymous visitor needs no record.
const (
	flashLifetime = 5 * time.Minute
	flashReuse    = time.Minute // how long browsers with the same message get the same sealed cookie
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
	for sizeOf(waiting) > maxFlashes {
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
	cookie, sent := s.sent(s.core.cookies.flash)
	if !sent {
		return nil
	}
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

// flashLine returns the line of Set-Cookie that keeps the messages, or that deletes the
// cookie if there are none. It is empty if there are no messages and no cookie. The caller
// holds op.
func (s *state) flashLine() string {
	c, now := s.core, s.core.cfg.Now().Round(0) // by the clock on the wall, as the seal ends
	set := cookie{name: c.cookies.flash}
	switch len(s.flash) {
	case 0:
		if _, sent := s.sent(set.name); !sent {
			return ""
		}
		return c.cookies.line(set, now)
	case 1:
		last := c.flashed.Load()
		if last != nil && s.flash[0] == last.flash && !now.Before(last.made) && now.Sub(last.made) < flashReuse {
			return last.line
		}
	}
	content := make([]byte, 0, sizeOf(s.flash))
	for _, f := range s.flash {
		content = wire.AppendText(wire.AppendText(content, f.Category), f.Text)
	}
	set.value = c.secrets.Seal(purposeFlash, content, now.Add(flashLifetime))
	line := c.cookies.line(set, now)
	if len(s.flash) == 1 {
		c.flashed.Store(&sealedFlash{s.flash[0], line, now})
	}
	return line
}

// sizeOf returns an upper bound for the bytes of the messages, before they are sealed.
func sizeOf(flashes []Flash) (n int) {
	for _, f := range flashes {
		n += len(f.Category) + len(f.Text) + 2*binary.MaxVarintLen16
	}
	return n
}
