package auth

import (
	"errors"
	"net/netip"
	"time"
)

// A Protection says what happens to a login, or a remembered device, whose requests
// begin to come from another client than it was made by. Cookies that were copied
// are used from elsewhere; but a browser changes its user agent when it is updated,
// too. A login and its device are bound to the first user agent that they are seen
// with, and to the next one by ConfirmLogin.
type Protection int

// The protections.
const (
	ProtectOff    Protection = iota // nothing happens
	ProtectBasic                    // the login goes on, and is not fresh any more
	ProtectStrong                   // the login ends, and with it what the browser is remembered as
)

// bound compares the client that a login or a device is bound to with the one that
// uses it. It binds one that was bound to nothing, and reports whether it did.
func (s *state) bound(boundAddress, boundAgent *string) (same, bind bool) {
	if s.core.cfg.Protection == ProtectOff {
		return true, false
	}
	same = true
	if *boundAgent != "" && *boundAgent == s.request.UserAgent() { // the same to the letter: needs no cleaning
		same = true
	} else if agent := s.agent(); *boundAgent == "" && agent != "" {
		*boundAgent, bind = agent, true
	} else {
		same = *boundAgent == agent
	}
	if !s.core.cfg.ProtectAddress {
		return same, bind
	}
	if address := s.address(); *boundAddress == "" && address != "" {
		*boundAddress, bind = address, true
	} else {
		same = same && network(*boundAddress) == network(address)
	}
	return same, bind
}

// network is what the addresses of a client's network have in common, or the
// zero value.
func network(address string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 64
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits) // the bits are in range
	return p
}

// errProtected is why a login was ended, or made stale.
var errProtected = errors.New("the login is used from another client")

// isPassive reports whether the request does not put off IdleTimeout.
func (s *state) isPassive() bool {
	return s.core.cfg.NoActivity != nil && s.core.cfg.NoActivity(s.request)
}

// review brings the session that a request came with up to date: when it was
// seen, by whom, and that the browser has received its remember cookie.
func (s *state) review(now time.Time) error {
	received := s.cur.header.unseen && s.received(&s.cur.header)
	for range maxConflicts {
		h := s.cur.header
		changed, stale, bind := now.Sub(h.seen) >= touchAfter, false, false
		if changed = changed && !s.isPassive(); changed {
			h.seen = now
		}
		if h.unseen && received {
			h.unseen, changed = false, true
		}
		if s.cur.isLogin() {
			var same bool
			same, bind = s.bound(&h.address, &h.agent)
			if !same && s.cur.before != nil { // confirmed from another client since, perhaps
				before, rebind := *s.cur.before, false
				same, rebind = s.bound(&before.address, &before.agent)
				same = same && !rebind
			}
			if !same && s.core.cfg.Protection == ProtectStrong {
				return s.endProtected()
			}
			s.suspect = !same
			if stale = s.suspect && !h.authenticated.IsZero(); stale {
				h.authenticated = time.Time{}
			}
			changed = changed || bind || stale
		}
		if !changed {
			return nil
		}
		next := *s.cur
		next.header = h
		switch err := s.core.sessions.UpdateRecord(&s.inner, s.core.recordOf(&next)); {
		case err == nil:
			next.version++
			s.cur = &next
			if stale {
				s.note(Event{Kind: EventProtected, UserID: h.userID, Err: errProtected})
			}
			return nil
		case unlessNotFound(err) != nil && !errors.Is(err, ErrConflict):
			return err
		case errors.Is(err, ErrConflict) && !s.suspect && !bind: // somebody has touched or written it
			return nil
		}
		if err := s.reread(&s.inner); err != nil || s.cur == nil {
			return err
		}
	}
	return ErrConflict
}

// endProtected ends a login that is used from another client. The request goes
// on as nobody's; its cookie is left, as that of any void session.
func (s *state) endProtected() error {
	cur := s.cur
	s.note(Event{Kind: EventProtected, UserID: cur.header.userID, Err: errProtected})
	ctx, cancel := detach(&s.inner)
	defer cancel()
	if _, err := s.core.endLogin(ctx, cur.header); err != nil {
		return err
	}
	s.cur = nil
	return nil
}
