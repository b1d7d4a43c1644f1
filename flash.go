package auth

import (
	"context"
	"slices"
	"time"

	"github.com/go-login/auth/internal/wire"
)

// Flashes travel in a sealed cookie, so that a message to a stranger costs no
// record.
const (
	purposeFlash  = "flash"
	flashLifetime = 5 * time.Minute
	maxCategory   = 64
	maxFlash      = 512
	maxFlashes    = 2800 // of all that wait, so that the cookie stays under 4 KiB
)

// Flash keeps a message for the next page that shows Flashes, whoever made the
// request. A message that
// waits already is not added again. Categories are cut to 64 bytes and texts to
// 512; of more than fit into a cookie, at least four, the oldest go. It returns
// ErrNoSession or ErrHeaderWritten.
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
// LoadAndSave, and when it is too late to remove them, there are none.
//
// A request that no person made (a prefetch or prerendering, an image, an icon, a
// script's GET that does not ask for a page, HEAD) gets the messages and does not
// remove them. The browser may throw the page away, and then nobody has seen them;
// or it may show the page later, and then they belong on it. In the second case the
// next page shows them again: better twice than never. What a script asks for by
// POST, through htmx, or as a page (Turbo, Inertia) counts as a person's request.
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

// sealFlashes returns the cookie's value, empty if there are none.
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
