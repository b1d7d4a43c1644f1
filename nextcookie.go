package auth

import (
	"context"
	"net/http"
	"time"
)

// TakeNext returns where to go after a login or a confirmation, and forgets it. That is
// the request's field next, or the page that Config.URLs.NextInCookie has kept. Call it
// only when the form has been accepted, or when a user who is already logged in opens
// the login page. A request that the browser makes on its own, such as a prefetch,
// forgets nothing (Flashes lists these requests).
func (c *Core) TakeNext(r *http.Request) Next {
	next := NextFrom(r)
	s := c.stateOf(r.Context())
	if s == nil {
		return next
	}
	s.op.Lock()
	defer s.op.Unlock()
	cookie, has := s.sent(c.cookies.next)
	if kept, set := s.setting(c.cookies.next); !has || s.committed || set && kept.value == "" {
		return next
	}
	if byPerson(s.request) {
		s.deleteCookie(c.cookies.next)
	}
	if target, _, ok := c.secrets.Open(purposeNext, cookie, c.cfg.Now()); ok && next.IsZero() {
		next = ParseNext(string(target))
	}
	return next
}

// nextLifetime is how long the cookie with a next is valid. It is long enough for a
// registration that waits for a mail.
const nextLifetime = time.Hour

// keepNext puts next into the cookie, or deletes the cookie if next leads nowhere.
func (c *Core) keepNext(ctx context.Context, next Next) {
	if s := c.stateOf(ctx); s != nil {
		s.op.Lock()
		defer s.op.Unlock()
		if s.next = next; next.IsZero() {
			s.deleteCookie(c.cookies.next)
		}
	}
}

// sealNext returns the cookie's value. The caller holds op.
func (s *state) sealNext() string {
	return s.core.secrets.Seal(purposeNext, []byte(s.next.target), s.core.cfg.Now().Add(nextLifetime))
}
