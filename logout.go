package auth

import (
	"context"
	"slices"
)

// LogoutUser ends the login and its session. Copies of the cookie are then worthless.
// If no user is logged in, it returns nil. After the header is written it still ends
// the login, and returns ErrHeaderWritten, because the cookie could not be deleted.
//
// Call it for POST only. If a GET logged out, any page on the web could log the user
// out.
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

// end ends the request's login and deletes its cookies. A visitor's data is kept. The
// caller holds op.
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
			s.note(Event{Kind: EventLoginEnded, UserID: h.userID})
		}
	}
	if s.cur.isLogin() {
		s.cur = nil
	}
	s.ended, s.loggedOut, s.replaced, s.user, s.hadUser = false, false, false, nil, false
	s.acted.Store(nil)
	s.deleteCookie(s.core.cookies.session)
	s.deleteCookie(s.core.cookies.remember)
	s.deviceTried = true
	return s.dropPending(&s.ctx)
}

// named returns the logins that the request's cookies name, each once. It also finds a
// login whose token has been replaced.
func (s *state) named() ([]header, error) {
	var logins []header
	add := func(h header) {
		both := []header{h}
		if a := h.actor; a != nil {
			both = append(both, header{userID: a.userID, loginID: a.loginID, family: a.family})
		}
		for _, h := range both {
			if !slices.ContainsFunc(logins, func(other header) bool { return loginHandle(other) == loginHandle(h) }) {
				logins = append(logins, h)
			}
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
