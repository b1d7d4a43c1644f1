package auth

import "context"

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
