package auth

import (
	"context"
	"net/http"
	"time"
)

// TakeNext returns where to go after a login or a confirmation, and forgets it:
// the request's field next, or what Config.URLs.NextInCookie has kept. Call it only
// when the form has been accepted, or when a user who is logged in already opens
// the login page. A request that no person made forgets nothing: see Flashes.
func (c *Core) TakeNext(r *http.Request) Next {
	next := NextFrom(r)
	s := c.stateOf(r.Context())
	if s == nil {
		return next
	}
	s.op.Lock()
	defer s.op.Unlock()
	cookie, has := s.sent(c.cookies.next)
	if kept, set := s.cookie[c.cookies.next]; !has || s.committed || set && kept.value == "" {
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

// nextLifetime is how long the cookie with a next is good: for a registration
// that waits for a mail, and not for the next day.
const nextLifetime = time.Hour

const purposeNext = "next"

// keepNext has the next put into the cookie.
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
