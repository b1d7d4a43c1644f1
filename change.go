package auth

import (
	"context"
	"crypto/subtle"
	"errors"
)

// restamp changes an account by compare-and-set, as change says, and gives it a
// new Stamp. That ends its logins, but for the one that makes the request, if that
// was made with the old Stamp. It returns the account as it was before.
func (c *Core) restamp(ctx context.Context, id string, old Secret, change func(*Account) error) (before Account, err error) {
	if err := ctx.Err(); err != nil {
		return before, err
	}
	// Without the session, which is locked meanwhile. And who hangs up now must
	// not keep the owner from being told.
	detached, cancel := detach(ctx)
	defer cancel()
	stamp := NewSecret(newToken())
	update := func() error {
		var after Account
		_, err := c.updateAccount(detached, id, func(a *Account) error {
			before = a.Clone()
			err := change(a)
			a.Stamp = stamp
			after = a.Clone()
			return err
		})
		var lost *lostError
		if err == nil || errors.As(err, &lost) {
			return err
		}
		// A store that fails may have made the change all the same.
		if user, failed := c.store.load(detached, id); failed == nil && user.AuthAccount().Stamp.Equal(stamp) {
			return c.checkUpdate(detached, before, after)
		}
		return err
	}
	if s := c.stateOf(ctx); s != nil {
		err = s.changeStamp(id, old, stamp, update)
	} else if err = update(); err == nil {
		c.endSessions(ctx, id)
	}
	return before, err
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
	c.watches.end(userID, func(string) bool { return true })
	return err
}

// deleteRecords deletes all that is remembered of a user: every kind of record
// that has a UserID is here, or in deleteSessions.
func (c *Core) deleteRecords(ctx context.Context, userID string) error {
	return errors.Join(
		c.deleteSessions(ctx, userID),
		c.sessions.DeleteRecords(ctx, kindRotated, userID),
		c.records.DeleteRecords(ctx, kindRememberEnded, userID),
		c.records.DeleteRecords(ctx, kindAttempts, userID),
		c.records.DeleteRecords(ctx, kindUndo, userID),
		c.records.DeleteRecords(ctx, kindUsed, userID),
		c.records.DeleteRecords(ctx, kindReserved, userID))
}
