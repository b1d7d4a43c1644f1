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
		userID: a.ID, loginID: newToken(), family: newHandle(), stamp: a.Stamp.Reveal(), methods: o.method,
		address: s.address(), agent: s.agent(),
		authenticated: now, created: now, seen: now,
	}
	if o.stale {
		h.authenticated = time.Time{}
	}
	if d := o.device; o.method == methodRemember {
		h.authenticated, h.device, h.family = time.Time{}, d.record.Key, loginHandle(d.header())
		h.counter, h.unseen = d.counter, d.cookie != ""
		if d.suspect { // it stays bound to the client that the device is bound to
			h.address, h.agent = d.address, d.agent
		}
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
			h.loginID, h.family = old.header.loginID, loginHandle(old.header) // it is renewed, and ends as one
		}
	}
	var devices []header // that are forgotten: what the browser was remembered as is not what it is now
	if o.method != methodRemember {
		if old.isLogin() && old.header.device != "" {
			devices = append(devices, old.header)
		}
		d, err := s.cookieDevice()
		if err != nil {
			return false, err
		}
		if d != nil && d.record.Kind == kindRemember {
			if devices = append(devices, d.header()); !old.isLogin() && d.record.UserID == a.ID {
				h.family = loginHandle(d.header()) // a login of the same browser
			}
		}
	}
	var fresh *device
	if o.remember != 0 {
		if fresh, err = s.insertDevice(a, o.remember, h.family); err != nil {
			return false, err
		}
		h.device = fresh.record.Key
	}
	var check func() error
	if o.method == methodRemember {
		check = func() error { return s.useUp(o.device) }
	}
	keep := []string{h.loginID}
	if old.isLogin() {
		keep = append(keep, old.header.loginID) // which is replaced
	}
	if err := s.forget(devices, keep...); err != nil {
		s.dropDevice(fresh)
		return false, err
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
		if err := c.leaveRotated(ctx, old.key, old.header); err != nil && between == nil {
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

// leaveRotated stores, for a short while, which login a session with this key was
// of, for a logout that is sent with its token.
func (c *Core) leaveRotated(ctx context.Context, key string, h header) error {
	err := c.sessions.InsertRecord(ctx, Record{
		Kind: kindRotated, Key: key, UserID: h.userID, Data: h.encode(""),
		Version: randomVersion(), Expires: c.cfg.Now().Add(rotatedFor),
	})
	if errors.Is(err, ErrRecordExists) {
		return nil
	}
	return err
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
	h.stamp = stamp.Reveal()
	h.device, h.counter, h.unseen = "", 0, false // which is forgotten
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
		s.user, s.userKnown, s.resumed = nil, true, true
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
	logins, err := s.named()
	if err != nil {
		return err
	}
	for _, h := range logins {
		found, err := s.core.endLogin(&s.inner, h)
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
	s.ended, s.loggedOut, s.user, s.userKnown = false, false, nil, true
	s.deleteCookie(s.core.cookies.session)
	s.deleteCookie(s.core.cookies.remember)
	s.resumed = true
	return nil
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
		r, err := s.core.sessions.GetRecord(&s.inner, kindRotated, key)
		if unlessNotFound(err) != nil {
			return nil, err
		}
		var h header
		if _, ok := h.decode(string(r.Data)); err == nil && ok && h.userID == r.UserID {
			add(h)
		}
	}
	d, err := s.cookieDevice()
	if d != nil {
		add(d.header())
	}
	return logins, err
}
