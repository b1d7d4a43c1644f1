package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"time"
)

// LoginUser is Manager.LoginUser.
func (c *Core) LoginUser(ctx context.Context, user User, options ...LoginOption) (failing error) {
	defer c.met(ctx, &failing)
	s := c.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	defer s.emit()
	if user == nil {
		return ErrUserNotFound
	}
	var o loginOptions
	for _, option := range options {
		if option != nil {
			option(&o)
		}
	}
	s.op.Lock()
	if s.proved != "" && s.proved == user.AuthAccount().ID {
		o.method = methodPassword
	}
	s.op.Unlock()
	return s.enter(user, o)
}

// enter is the gate: every way to log in ends here, and only here does a
// request become a logged-in one.
func (s *state) enter(user User, o loginOptions) error {
	a := user.AuthAccount()
	stranger, err := false, s.core.pass(a)
	if err == nil {
		stranger, err = s.login(user, o)
	}
	if err != nil {
		if !errors.Is(err, ErrConflict) { // after which the caller begins again
			s.note(Event{Kind: EventLoginRefused, UserID: a.ID, Method: o.method, Err: err})
		}
		return err
	}
	if stranger {
		s.clearValues()
	}
	s.note(Event{Kind: EventLogin, UserID: a.ID, Method: o.method})
	if err := s.trim(user); err != nil { // the next login tries again
		s.note(Event{Kind: EventStoreFailed, UserID: a.ID, Err: err})
	}
	return nil
}

// pass is the list of gates. They are asked about the account that was
// authenticated: the session gets its Stamp, and is void if that is no longer
// the stored one.
func (c *Core) pass(a *Account) error {
	if a.ID == "" {
		return errors.New("auth: a user without an ID cannot log in")
	}
	for _, gate := range [...]func(*Account) error{
		gateDisabled, c.gateUnverified,
	} {
		if err := gate(a); err != nil {
			return err
		}
	}
	return nil
}

func gateDisabled(a *Account) error {
	if a.Disabled {
		return ErrDisabled
	}
	return nil
}

func (c *Core) gateUnverified(a *Account) error {
	if c.cfg.RequireVerified && !a.EmailVerified {
		return ErrUnverified
	}
	return nil
}

// login makes the request's session one of the user's. It reports whether the
// session had been another user's.
func (s *state) login(user User, o loginOptions) (stranger bool, err error) {
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.failed != nil:
		return false, s.failed
	case s.committed:
		return false, ErrHeaderWritten
	case s.loggedOut:
		return false, ErrLoggedOut
	}
	a := user.AuthAccount()
	now := s.core.cfg.Now()
	h := header{
		userID: a.ID, loginID: newToken(), stamp: a.Stamp.Reveal(), methods: o.method,
		address: s.address(), agent: s.agent(),
		authenticated: now, created: now, seen: now,
	}
	if o.stale {
		h.authenticated = time.Time{}
	}
	if o.method == methodRemember {
		h.authenticated, h.device = time.Time{}, o.device.record.Key
	}
	values := ""
	if s.cur != nil {
		values = s.cur.values
	}
	old := s.cur
	if old.isLogin() {
		if stranger = old.header.userID != a.ID; stranger {
			values = ""
		} else {
			h.loginID = old.header.loginID // it is renewed, and ends as one
		}
	}
	var fresh *device
	if o.remember != 0 {
		if fresh, err = s.insertDevice(a, o.remember); err != nil {
			return false, err
		}
		h.device = fresh.record.Key
	}
	var check func() error
	if o.method == methodRemember {
		check = func() error { return s.useUp(o.device) }
	}
	if o.method != methodRemember { // what the browser was remembered as is not what it is now
		keep := []string{h.loginID}
		if old.isLogin() {
			keep = append(keep, old.header.loginID) // which is replaced
		}
		if err := s.forget(old, keep...); err != nil {
			s.dropDevice(fresh)
			return false, err
		}
	}
	if err := s.replace(h, values, check); err != nil {
		s.dropDevice(fresh)
		return false, err
	}
	if o.method != methodRemember {
		s.rememberAs(fresh)
	}
	if o.method == methodPassword {
		s.knowBrowser(a.ID, a.Stamp)
	}
	if stranger {
		s.core.watches.endOne(old.header.userID, old.header.loginID)
		s.note(Event{Kind: EventLogout, UserID: old.header.userID})
	}
	s.user, s.userKnown, s.ended, s.suspect, s.grant = user, true, false, false, nil
	return stranger, nil
}

// replace makes a new record, with a new token, the request's session, and
// deletes the old one: in this order. If the old one is found to be gone, the
// login has been ended, and the new record goes too; the other order would let
// a login that is being ended live on in a record that its end did not see.
//
// between runs in between, if it is given; if it fails, nothing has happened.
// After it there is no way back. The caller holds op.
func (s *state) replace(h header, values string, between func() error) error {
	ctx, cancel := detach(&s.inner)
	defer cancel()
	c, old, token := s.core, s.cur, newToken()
	next := &session{tokenKey(token), randomVersion(), h, values}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if err := c.sessions.InsertRecord(ctx, c.recordOf(next)); err != nil {
		s.drop(ctx, next) // it may have been stored all the same
		return err
	}
	if between != nil {
		if err := between(); err != nil {
			s.drop(ctx, next)
			return err
		}
	}
	if old.isLogin() && old.header.loginID == h.loginID {
		err := c.sessions.InsertRecord(ctx, Record{
			Kind: kindRotated, Key: old.key, UserID: h.userID, Data: []byte(h.loginID),
			Version: randomVersion(), Expires: c.cfg.Now().Add(rotatedFor),
		})
		if err != nil && !errors.Is(err, ErrRecordExists) && between == nil {
			s.drop(ctx, next)
			return err
		}
	}
	if old != nil {
		_, err := c.sessions.TakeRecord(ctx, old.kind(), old.key)
		switch {
		case errors.Is(err, ErrRecordNotFound) && old.isLogin():
			s.drop(ctx, next)
			s.unwatch(ctx, old.header)
			s.lose()
			s.user, s.userKnown = nil, true
			return ErrLoggedOut
		case unlessNotFound(err) != nil && between == nil:
			s.drop(ctx, next)
			if old.isLogin() { // it may have been taken all the same
				s.unwatch(ctx, old.header)
			}
			return err
		}
	}
	s.cur = next
	if h.userID == "" {
		s.setCookie(c.cookies.visitor, token, time.Time{})
		return nil
	}
	s.setCookie(c.cookies.session, token, time.Time{})
	s.deleteCookie(c.cookies.visitor)
	return nil
}

// unwatch tells those who watch a login that it has ended, if it has. The
// record that a rotation makes void may have been seen as a sign of life, and by
// who ended the login it was not.
func (s *state) unwatch(ctx context.Context, h header) {
	if lives, err := s.core.lives(ctx, h); err != nil || !lives {
		s.core.watches.endOne(h.userID, h.loginID)
	}
}

// lives reports whether a login has a record still: this one, or one that it was
// rotated to.
func (c *Core) lives(ctx context.Context, h header) (bool, error) {
	records, err := c.sessions.ListRecords(ctx, kindSession, h.userID)
	return slices.ContainsFunc(records, func(r Record) bool {
		var other header
		_, ok := other.decode(string(r.Data))
		return ok && other.userID == r.UserID && other.loginID == h.loginID && c.cfg.Now().Before(c.expires(&other))
	}), err
}

// rotate gives the session a new token.
func (s *state) rotate() error {
	s.op.Lock()
	defer s.op.Unlock()
	if s.failed != nil {
		return s.failed
	}
	if s.cur == nil || s.grant != nil { // whose cookies go nowhere
		return nil
	}
	if s.committed {
		return ErrHeaderWritten
	}
	id := s.cur.header.userID
	if err := s.replace(s.cur.header, s.cur.values, nil); err != nil {
		return err
	}
	s.note(Event{Kind: EventRotated, UserID: id})
	return nil
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
	h := s.cur.header
	h.stamp, h.device = stamp.Reveal(), "" // which is forgotten
	err := s.replace(h, s.cur.values, change)
	switch {
	case errors.Is(err, ErrLoggedOut): // the change is made; the login was ended at the same moment
		s.endSessions(userID)
		return nil
	case err != nil:
		return err
	}
	s.userKnown = false // it has changed
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
		s.user, s.userKnown, s.resumed, s.asked = nil, true, true, true
	}
	s.op.Unlock()
	if own {
		s.clearValues()
	}
}

// endSessions is Core.endSessions for a caller that holds op. The session with the
// key keep is kept.
func (s *state) endSessions(userID string, keep ...string) {
	if err := s.core.deleteSessions(&s.inner, userID, keep...); err != nil {
		s.note(Event{Kind: EventStoreFailed, UserID: userID, Err: err})
	}
}

// LogoutUser is Manager.LogoutUser.
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
	ctx, cancel := detach(&s.inner)
	defer cancel()
	if err := s.forget(s.cur); err != nil {
		return err
	}
	userID, loginID := "", ""
	if s.cur.isLogin() {
		userID, loginID = s.cur.header.userID, s.cur.header.loginID
		if err := take(ctx, s.core.sessions, kindSession, s.cur.key); err != nil {
			return err
		}
		s.core.watches.endOne(userID, loginID)
		s.cur = nil
	} else if key := s.sentKey(s.core.cookies.session); key != "" { // an old token, perhaps
		r, err := s.core.sessions.GetRecord(ctx, kindRotated, key)
		if unlessNotFound(err) != nil {
			return err
		}
		userID, loginID = r.UserID, string(r.Data)
	}
	if loginID != "" {
		if err := s.core.endLogins(ctx, userID, func(h header) bool { return h.loginID == loginID }); err != nil {
			return err
		}
		s.note(Event{Kind: EventLogout, UserID: userID})
	}
	s.ended, s.loggedOut, s.user, s.userKnown = false, false, nil, true
	s.deleteCookie(s.core.cookies.session)
	s.deleteCookie(s.core.cookies.remember)
	s.resumed, s.asked = true, true
	return nil
}

// endLogins deletes the records of some of a user's logins until there are
// none: a rotation that was under way may have inserted another one, and if it
// inserts one later, it finds that the one it replaces is gone.
func (c *Core) endLogins(ctx context.Context, userID string, which func(header) bool) error {
	for range maxConflicts {
		records, err := c.sessions.ListRecords(ctx, kindSession, userID)
		if err != nil {
			return err
		}
		found := false
		for _, r := range records {
			var h header
			if _, ok := h.decode(string(r.Data)); !ok || !which(h) {
				continue
			}
			found = true
			if err := take(ctx, c.sessions, kindSession, r.Key); err != nil {
				return err
			}
			c.watches.endOne(userID, h.loginID)
		}
		if !found {
			return nil
		}
	}
	return errors.New("auth: the login's records keep coming back")
}
