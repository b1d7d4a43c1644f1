package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-login/auth/internal/wire"
)

// Several functions take a session away from the request:
//
//	end      the user logs out (logout.go)
//	revoked  a change has ended the user's logins (change.go)
//	discard  the session was found to be void (currentuser.go)
//	lose     another request has removed the record
//	drop     deletes a record, and does nothing else
//
// gone returns the error that a method returns after lose.

// recordOf returns the record of a session.
func (c *Core) recordOf(s *session) Record {
	return Record{
		Kind: s.kind(), Key: s.key, UserID: s.header.userID, Version: s.version,
		Data: s.header.encode(s.values), Expires: c.kept(&s.header),
	}
}

// expires returns when a session ends if no further request comes. The limits run from
// the login, so no rotation extends them.
func (c *Core) expires(h *header) time.Time {
	end := h.created.Add(c.cfg.Session.Lifetime)
	if h.actor != nil {
		end = earlier(end, h.created.Add(c.cfg.Impersonation.Lifetime))
	}
	if c.cfg.Session.IdleTimeout > 0 {
		if idle := h.seen.Add(c.cfg.Session.IdleTimeout); idle.Before(end) {
			return idle
		}
	}
	return end
}

// kept returns until when the record of a session is kept: up to a quarter of
// IdleTimeout after the session ends. Databases have an index of Expires, and to change
// an indexed column costs several times as much. So few requests should have to change
// it.
func (c *Core) kept(h *header) time.Time {
	end, step := h.created.Add(c.cfg.Session.Lifetime), c.cfg.Session.IdleTimeout/4
	if step <= 0 || h.actor != nil { // after an impersonation the administrator's own login goes on
		return end
	}
	good := c.expires(h).Sub(h.created)
	return earlier(h.created.Add(good-good%step+step), end)
}

// fetch returns a session, or nil if the record is missing, expired or damaged.
func (s *state) fetch(ctx context.Context, kind, key string, now time.Time) (*session, error) {
	record, err := s.core.sessions.GetRecord(ctx, kind, key)
	if err != nil {
		return nil, unlessNotFound(err)
	}
	found := &session{key: key, version: record.Version}
	h, ok := &found.header, false
	if found.values, ok = h.decode(string(record.Data)); !ok || h.userID != record.UserID || (kind == kindSession) != (h.userID != "") {
		s.note(Event{Kind: EventSessionDamaged, UserID: record.UserID, Err: wire.ErrDamaged})
		return nil, nil
	}
	if h.actor == nil && !now.Before(s.core.expires(h)) { // reviewActor looks when an impersonation ends
		return nil, nil
	}
	return found, nil
}

// reread reads the session again after another request has changed or rotated it. If
// there is none any more, it calls lose. The caller holds op, or no other goroutine has
// s yet.
func (s *state) reread(ctx context.Context) error {
	now := s.core.cfg.Now()
	found, err := s.fetch(ctx, s.cur.kind(), s.cur.key, now)
	if err == nil && found == nil { // rotatedFor and not rotationGrace: the request began before the rotation
		found, s.replaced, err = s.successor(ctx, s.cur.kind(), s.cur.key, rotatedFor, now)
	}
	if found != nil && s.cur.before != nil {
		found.before = s.cur.before
	}
	switch {
	case err != nil:
		return err
	case found == nil:
		s.lose()
	default:
		s.cur = found
	}
	return nil
}

// lose notes that another request has removed the session. The caller holds op, or no
// other goroutine has s yet.
func (s *state) lose() {
	s.loggedOut = s.loggedOut || s.cur.isLogin()
	s.cur, s.ended = nil, true
}

// gone returns why the session that the request came with is gone.
func (s *state) gone() error {
	if s.replaced {
		return ErrReplaced
	}
	return ErrLoggedOut
}

// update changes the session's record by compare-and-set. If other requests have
// rotated the session, it changes the newest record. If there is none any more, it
// returns the error of gone. The caller holds op.
func (s *state) update(ctx context.Context, change func(*session)) error {
	for range maxConflicts {
		next := *s.cur
		change(&next)
		err := s.core.sessions.UpdateRecord(ctx, s.core.recordOf(&next))
		switch {
		case err == nil:
			next.version++
			s.cur = &next
			return nil
		case unlessNotFound(err) != nil && !errors.Is(err, ErrConflict):
			return err
		}
		if err := s.reread(ctx); err != nil {
			return err
		}
		if s.cur == nil {
			return s.gone()
		}
	}
	return fmt.Errorf("auth: the session could not be saved, because other requests changed it again and again: %w", ErrConflict)
}

// isPassive reports whether the request does not extend IdleTimeout.
func (s *state) isPassive() bool {
	return s.core.cfg.Session.NoActivity != nil && s.core.cfg.Session.NoActivity(s.request)
}

// drop deletes a session's record. Use it only where a record that stays does no harm:
// a failure is only an event.
func (s *state) drop(ctx context.Context, old *session) {
	if err := take(ctx, s.core.sessions, old.kind(), old.key); err != nil {
		s.note(Event{Kind: EventCleanupFailed, UserID: old.header.userID, Err: err})
	}
}

// successor returns the session that a token was rotated to no longer than within ago,
// or nil. replaced is true if a change of a credential replaced the token.
func (s *state) successor(ctx context.Context, kind, key string, within time.Duration, now time.Time) (found *session, replaced bool, err error) {
	var before *header
	for range maxRotations {
		record, err := s.core.sessions.GetRecord(ctx, kindRotated, key)
		if err != nil {
			return nil, false, unlessNotFound(err)
		}
		r, ok := decodeRotation(record)
		if before == nil {
			before = &r.header
		}
		switch {
		case !ok || !sameLogin(&r.header, before) || (kind == kindSession) != (r.header.userID != ""):
			return nil, false, nil
		case r.effect == tokenReplaced:
			return nil, now.Sub(r.at) < rotatedFor, nil
		case r.effect != tokenRotated || now.Sub(r.at) >= within:
			return nil, false, nil
		}
		found, err := s.fetch(ctx, kind, r.next, now)
		if err != nil {
			return nil, false, err
		}
		if found != nil && sameLogin(&found.header, before) {
			found.before = before
			return found, false, nil
		}
		key = r.next
	}
	return nil, false, nil
}

// A Login is a browser in which a user is logged in, or is remembered.
type Login struct {
	ID      string // names it to EndLogin, and has no other use. Empty if a Credential found the user
	Current bool   // it is the one that makes the request

	// If a Credential found the user, these five are zero.
	Created       time.Time // when the login began; for a device, when its first login began
	Seen          time.Time // its last request, to the minute
	Expires       time.Time // the latest time at which it ends, without another login
	IdleExpires   time.Time // when it ends if no request extends it (Config.Session.IdleTimeout, NoActivity); Expires if Remembered
	Authenticated time.Time // when the user last showed who they are in it; zero if the login is not fresh
	Methods       []string  // how the user authenticated: "password", "remember", and names given to By
	Remembered    bool      // it goes on after the browser closes

	Address   string // the client's IP address, when the login was made
	UserAgent string // the client's User-Agent header, at most 256 bytes

	ActorID string // the administrator who acts as the user in it (Impersonate), or ""
}

// loginOf returns the Login of a header.
func (c *Core) loginOf(h header) Login {
	l := Login{
		ID: loginHandle(h), Created: h.created, Seen: h.seen, Expires: h.created.Add(c.cfg.Session.Lifetime), IdleExpires: c.expires(&h),
		Authenticated: h.authenticated, Methods: h.methods.names(), Remembered: h.device != "",
		Address: h.address, UserAgent: h.agent,
	}
	if h.actor != nil {
		l.ActorID, l.Expires = h.actor.userID, earlier(l.Expires, h.created.Add(c.cfg.Impersonation.Lifetime))
	}
	return l
}

// liveLogins returns the headers of the user's sessions that are valid under the
// account's current state.
func (c *Core) liveLogins(ctx context.Context, user User) ([]header, error) {
	records, err := c.sessions.ListRecords(ctx, kindSession, user.AuthAccount().ID)
	if err != nil {
		return nil, err
	}
	var live []header
	for _, r := range records {
		var h header
		_, ok := h.decode(string(r.Data))
		if ok && h.userID == r.UserID && c.cfg.Now().Before(c.expires(&h)) && invalid(h.stamp, user) == nil {
			live = append(live, h)
		}
	}
	return live, nil
}
