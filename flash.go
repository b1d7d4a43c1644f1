package auth

import (
	"context"
	"encoding/json"
	"slices"
	"time"
	"unicode/utf8"
)

// A Flash is a message for the next page that the user sees.
type Flash struct {
	Category string `json:"c"` // such as "info" or "danger"; for the page to style
	Text     string `json:"t"` // plain text: templates must escape it
}

// Flashes travel in a sealed cookie, so that a message to a stranger costs no
// record.
const (
	flashLifetime = 5 * time.Minute
	maxFlashes    = 8
	maxFlash      = 256 // bytes of a category and of a text, so that the cookie stays under 4 KiB
)

// flashCookie is what is sealed.
type flashCookie struct {
	Until   int64   `json:"u"` // Unix seconds
	Flashes []Flash `json:"f"`
}

// Flash keeps a message for the next page that shows Flashes. A message that
// waits already is not added again; of more than eight the oldest go; texts are
// cut to 256 bytes. It returns ErrNoSession or ErrHeaderWritten.
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
	flash := Flash{cut(category, maxFlash), cut(text, maxFlash)}
	waiting := s.flashes()
	if slices.Contains(waiting, flash) {
		return nil
	}
	waiting = append(waiting, flash)
	s.flash, s.flashChanged = waiting[max(0, len(waiting)-maxFlashes):], true
	return nil
}

// Flashes returns the messages that wait to be shown, and removes them. Outside
// LoadAndSave, and when it is too late to remove them, there are none.
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
	s.flash, s.flashChanged = nil, true
	return waiting
}

// flashes reads the cookie at first use. The caller holds s.op.
func (s *state) flashes() []Flash {
	if s.flashRead {
		return s.flash
	}
	s.flashRead = true
	cookie, err := s.request.Cookie(s.core.cookies.flash)
	if err != nil {
		return nil
	}
	sealed, ok := s.core.secrets.open(purposeFlash, cookie.Value)
	var content flashCookie
	if !ok || json.Unmarshal(sealed, &content) != nil || s.core.cfg.Now().Unix() >= content.Until {
		return nil
	}
	s.flash = content.Flashes
	return s.flash
}

// sealFlashes returns the cookie's value, empty if there are none.
func (s *state) sealFlashes() string {
	if len(s.flash) == 0 {
		return ""
	}
	content, err := json.Marshal(flashCookie{s.core.cfg.Now().Add(flashLifetime).Unix(), s.flash})
	if err != nil {
		return ""
	}
	return s.core.secrets.seal(purposeFlash, content)
}

// cut returns the first n bytes of s, whole code points only.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
