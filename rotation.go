package auth

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// rotate gives the session a new token. If another request has just done so, rotate
// does nothing: the browser gets that request's token.
func (s *state) rotate() error {
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.failed != nil:
		return s.failed
	case s.replaced:
		return ErrReplaced
	case s.cur == nil || s.grant != nil: // a request with its own credentials gets no cookies
		return nil
	case s.committed:
		return ErrHeaderWritten
	case s.cur.before != nil:
		return nil
	}
	id := s.cur.header.userID
	switch err := s.replace(s.cur.header, s.cur.values, tokenRotated, nil); {
	case errors.Is(err, errRotated):
		return nil
	case err != nil:
		return err
	}
	s.note(Event{Kind: EventSessionRotated, UserID: id})
	return nil
}

// replace makes a new record, with a new token, the request's session. It stores the
// new record first and then takes the old one. If the old one is gone, the login has
// been ended, and replace removes the new record again. In the other order, an ending
// that runs in between would not see the new record, and the login would live on.
//
// If another request has rotated the old token, replace takes the record that the other
// request made. If effect is tokenRotated, no second rotation is needed, and replace
// returns errRotated.
//
// between, if not nil, runs after the new record is stored and before the old one is
// taken. If it fails, replace removes the new record and returns the error. If it
// succeeds, replace can only fail with the error of gone. The caller holds op.
func (s *state) replace(h header, values string, effect oldToken, between func() error) error {
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	if err := s.ctx.Err(); err != nil {
		return err
	}
	c, done := s.core, false
	for range maxConflicts {
		old, token := s.cur, keyring.NewToken()
		next := &session{key: keyring.TokenKey(token), version: keyring.RandomVersion(), header: h, values: values}
		marked := false
		err := c.sessions.InsertRecord(ctx, c.recordOf(next))
		if err == nil {
			marked, err = s.mark(ctx, old, next, effect)
		}
		if err == nil && between != nil && !done {
			err = between()
			done = err == nil
		}
		var taken Record
		if err == nil && old != nil {
			taken, err = s.takeOld(ctx, old, done)
		}
		if err == nil {
			if s.become(ctx, next, old, taken); s.cur == nil { // the login was ended meanwhile
				s.unwatch(ctx, h)
				s.user = nil
				return s.gone()
			}
			s.sendToken(next.kind(), token)
			return nil
		}
		s.drop(ctx, next) // InsertRecord may have stored it although it failed
		if marked {
			s.correctMark(ctx, old, next, effect, err)
		}
		if errors.Is(err, errGone) { // another request may have rotated the old record
			var found *session
			if found, s.replaced, err = s.successor(ctx, old.kind(), old.key, rotatedFor, c.cfg.Now()); found != nil {
				s.cur, err = found, errRotated
			}
			err = cmp.Or(err, errGone)
		}
		switch {
		case errors.Is(err, errRotated) && effect != tokenRotated:
			if h.userID == s.cur.header.userID {
				values = s.cur.values
			}
		case errors.Is(err, errGone), done:
			if old.isLogin() {
				s.unwatch(ctx, old.header)
			}
			s.lose()
			s.user = nil
			return s.gone()
		default:
			return err
		}
	}
	return ErrConflict
}

// errRotated says that another request has rotated the token, and that s.cur is now the
// session that the other request made.
var errRotated = errors.New("auth: another request has rotated the token")

// errGone says that the record that was to be replaced is gone.
var errGone = errors.New("auth: the session is gone")

// mark leaves a rotation under the key of the old session's token, if next continues
// the same login. marked is true if the rotation was stored or may have been.
func (s *state) mark(ctx context.Context, old, next *session, effect oldToken) (marked bool, err error) {
	c := s.core
	if old == nil || !sameLogin(&old.header, &next.header) {
		return false, nil
	}
	now := c.cfg.Now()
	r := rotation{effect, now, next.key, old.header}
	err = c.sessions.InsertRecord(ctx, Record{
		Kind: kindRotated, Key: old.key, UserID: old.header.userID, Data: r.encode(),
		Version: keyring.RandomVersion(), Expires: now.Add(rotatedFor),
	})
	if !errors.Is(err, ErrRecordExists) {
		return true, err
	}
	// Another request has left a rotation. It has taken the old record, is about to, or
	// has failed.
	if effect == tokenVoid {
		return false, nil
	}
	found, replaced, err := s.successor(ctx, old.kind(), old.key, rotatedFor, now)
	switch {
	case err != nil:
		return false, err
	case found != nil:
		s.cur = found
		return false, errRotated
	case replaced && effect == tokenRotated:
		return false, errGone
	}
	return false, nil
}

// correctMark corrects the rotation that mark has left, after replace has failed with this
// error. If the old record is still there, its token is not replaced, and the rotation goes. If
// it is gone, a logout with the old token must still count, but no token was replaced.
func (s *state) correctMark(ctx context.Context, old, next *session, effect oldToken, failed error) {
	switch gone := errors.Is(failed, errGone); {
	case !gone:
		s.unmark(ctx, old)
	case effect == tokenReplaced:
		s.unmark(ctx, old)
		if _, err := s.mark(ctx, old, next, tokenVoid); err != nil {
			s.note(Event{Kind: EventCleanupFailed, UserID: old.header.userID, Err: err})
		}
	}
}

func (s *state) unmark(ctx context.Context, old *session) {
	if err := take(ctx, s.core.sessions, kindRotated, old.key); err != nil {
		s.note(Event{Kind: EventCleanupFailed, UserID: old.header.userID, Err: err})
	}
}

// takeOld takes the record that is replaced. It returns errGone if a login's record is
// gone. A visitor's record may be gone.
func (s *state) takeOld(ctx context.Context, old *session, done bool) (Record, error) {
	taken, err := s.core.sessions.TakeRecord(ctx, old.kind(), old.key)
	switch {
	case errors.Is(err, ErrRecordNotFound) && old.isLogin():
		return taken, errGone
	case unlessNotFound(err) != nil && !done:
		if old.isLogin() { // TakeRecord may have taken it although it failed
			s.unwatch(ctx, old.header)
		}
		return taken, err
	}
	return taken, nil
}

// become makes next the request's session. It adds the values that other requests have
// written to the old record since this request read it.
func (s *state) become(ctx context.Context, next, old *session, taken Record) {
	s.cur = next
	if old == nil || taken.Version == old.version || len(taken.Data) == 0 || old.isLogin() && old.header.userID != next.header.userID {
		return
	}
	var h header
	values, ok := h.decode(string(taken.Data))
	if !ok {
		return
	}
	changes := wire.Diff(old.values, values)
	stale := h.authenticated.IsZero() && next.header.authenticated.Equal(old.header.authenticated)
	err := s.update(ctx, func(x *session) {
		x.values, x.header.seen = wire.Apply(x.values, changes), later(x.header.seen, h.seen)
		if stale {
			x.header.authenticated = time.Time{}
		}
	})
	if err != nil {
		s.note(Event{Kind: EventCleanupFailed, UserID: next.header.userID, Err: err})
	}
}

// sendToken sets the cookie of a new session, which is s.cur.
func (s *state) sendToken(kind, token string) {
	names := &s.core.cookies
	if kind == kindVisitor {
		s.setCookie(names.visitor, token, time.Time{})
		return
	}
	var until time.Time // with the browser
	if s.core.cfg.Session.PersistentCookie {
		until = s.cur.header.created.Add(s.core.cfg.Session.Lifetime)
	}
	s.setCookie(names.session, token, until)
	s.deleteCookie(names.visitor)
}

// unwatch cancels the WhileLoggedIn contexts of a login if no record of it is left. It
// is called when a rotation lost to a logout. The logout may have seen the rotation's
// new record, taken it for a living one, and so not have cancelled them.
func (s *state) unwatch(ctx context.Context, h header) {
	if lives, err := s.core.lives(ctx, h); err != nil || !lives {
		s.core.watches.endOne(h.userID, h.loginID)
	}
}

// lives reports whether a login still has a record.
func (c *Core) lives(ctx context.Context, h header) (bool, error) {
	records, err := c.sessions.ListRecords(ctx, kindSession, h.userID)
	return slices.ContainsFunc(records, func(r Record) bool {
		var other header
		_, ok := other.decode(string(r.Data))
		return ok && other.userID == r.UserID && other.loginID == h.loginID && c.cfg.Now().Before(c.expires(&other))
	}), err
}
