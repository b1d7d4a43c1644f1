package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
)

// LogoutUser ends the login and the session that goes with it, everywhere that
// its cookie may have been copied to. It is no error if nobody is logged in.
// After the header is written it ends the login all the same, and returns
// ErrHeaderWritten to say that the cookie, now worthless, could not be removed.
//
// Call it for POST only: a GET would let any page log the user out.
func (c *Core) LogoutUser(ctx context.Context) (failing error) {
	defer c.met(ctx, &failing)
	s := c.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	defer s.emit()
	hadLogin, late, err := s.logout()
	if err != nil {
		return err
	}
	if hadLogin {
		s.clearValues()
	}
	if late {
		return ErrHeaderWritten
	}
	return nil
}

func (s *state) logout() (hadLogin, late bool, err error) {
	s.op.Lock()
	defer s.op.Unlock() // also if the store panics
	hadLogin, late = s.cur.isLogin(), s.committed
	return hadLogin, late, s.end()
}

// end ends the request's login and deletes its cookie. What a visitor has is
// kept. The caller holds op.
func (s *state) end() error {
	if s.failed != nil {
		return s.failed
	}
	logins, err := s.named()
	if err != nil {
		return err
	}
	for _, h := range logins {
		found, err := s.core.endLogin(&s.ctx, h)
		if err != nil {
			return err
		}
		if found || s.cur.isLogin() { // another request may have ended it
			s.note(Event{Kind: EventLogout, UserID: h.userID})
		}
	}
	if s.cur.isLogin() {
		s.cur = nil
	}
	s.ended, s.loggedOut, s.replaced, s.user = false, false, false, nil
	s.deleteCookie(s.core.cookies.session)
	s.deleteCookie(s.core.cookies.remember)
	s.deviceTried = true
	return s.dropPending(&s.ctx)
}

// named returns the logins that the request's cookies name, with living tokens or
// with such that were replaced, each once.
func (s *state) named() ([]header, error) {
	var logins []header
	add := func(h header) {
		if !slices.ContainsFunc(logins, func(other header) bool { return loginHandle(other) == loginHandle(h) }) {
			logins = append(logins, h)
		}
	}
	if s.cur.isLogin() {
		add(s.cur.header)
	} else if key := s.sentKey(s.core.cookies.session); key != "" {
		r, err := s.core.sessions.GetRecord(&s.ctx, kindRotated, key)
		if unlessNotFound(err) != nil {
			return nil, err
		}
		if old, ok := decodeRotation(r); err == nil && ok {
			add(old.header)
		}
	}
	d, err := s.cookieDevice()
	if d != nil {
		add(d.header())
	}
	return logins, err
}

// changeStamp runs a change of the account that gives it a new Stamp, and ends
// the account's sessions, but for the request's own if it is one of them and not
// void: that one goes on under a new token. Its new record is stored before the change, so
// that a store which fails then has changed nothing.
func (s *state) changeStamp(userID string, old, stamp Secret, change func() error) error {
	defer s.emit()
	s.op.Lock()
	defer s.op.Unlock()
	if !s.cur.isLogin() || s.cur.header.userID != userID || !old.Equal(NewSecret(s.cur.header.stamp)) || s.committed {
		err := change()
		if err == nil {
			s.endSessions(userID)
		}
		return err
	}
	h := *s.cur.shown()
	h.stamp = stamp.Reveal()
	h.device, h.counter, h.unseen = "", 0, false // which is forgotten
	err := s.replace(h, s.cur.values, tokenReplaced, change)
	switch {
	case errors.Is(err, ErrLoggedOut): // the change is made; the login was ended at the same moment
		s.endSessions(userID)
		return nil
	case err != nil:
		return err
	case !s.cur.isLogin(): // likewise, a moment later
		s.endSessions(userID)
		return nil
	}
	s.user = nil // it has changed
	if _, known, binding := s.browser(); known == userID && subtle.ConstantTimeCompare(binding, stampBinding(old)) == 1 {
		s.knowBrowser(userID, stamp)
	}
	s.endSessions(userID, s.cur.key)
	s.deleteCookie(s.core.cookies.remember)
	return nil
}

// revoked notes that the user's logins have been ended, of which the request's
// may be one.
func (s *state) revoked(userID string) {
	s.op.Lock()
	own := s.cur.isLogin() && s.cur.header.userID == userID
	if own {
		s.cur = nil
		s.deleteCookie(s.core.cookies.session)
		s.deleteCookie(s.core.cookies.remember)
	}
	if own || s.grant != nil && s.grant.UserID == userID {
		s.user, s.deviceTried = nil, true
	}
	s.op.Unlock()
	if own {
		s.clearValues()
	}
}

// endSessions is Core.endSessions for a caller that holds op. The session with the
// key keep is kept.
func (s *state) endSessions(userID string, keep ...string) {
	if err := s.core.deleteSessions(&s.ctx, userID, keep...); err != nil {
		s.note(Event{Kind: EventStoreFailed, UserID: userID, Err: err})
	}
}

// endSessions deletes a user's sessions and remembered devices after a change
// of Stamp. They are dead
// already; a failure leaves only records that nobody can use.
func (c *Core) endSessions(ctx context.Context, userID string) {
	if err := c.deleteSessions(ctx, userID); err != nil {
		c.event(ctx, Event{Kind: EventStoreFailed, UserID: userID, Err: err})
	}
}

// deleteSessions deletes what a user is logged in by. Requests that are under way
// end with it, those of the session that is kept, too: they came with its old
// token, and who else has that is not known.
func (c *Core) deleteSessions(ctx context.Context, userID string, keep ...string) error {
	ctx, cancel := detach(ctx)
	defer cancel()
	_, err := c.takeDevices(ctx, userID, func(header) bool { return true }) // which leave tombstones
	err = errors.Join(err,
		c.records.DeleteRecords(ctx, kindRemember, userID), // those that came meanwhile, or could not be taken
		c.records.DeleteRecords(ctx, kindAPIToken, userID),
		c.sessions.DeleteRecords(ctx, kindSession, userID, keep...))
	if len(c.cfg.Factors) > 0 {
		err = errors.Join(err, c.sessions.DeleteRecords(ctx, kindPending, userID))
	}
	c.watches.end(userID, func(string) bool { return true })
	return err
}
