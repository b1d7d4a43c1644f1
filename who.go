package auth

import (
	"context"
	"errors"
	"strings"
	"time"
)

// User returns the user who makes the request. It returns ErrNotLoggedIn if
// nobody is logged in, ErrNoSession outside LoadAndSave, and the store's error
// if it has failed, after which the answer is 503. The user is loaded at the first call and kept for the
// request.
func (c *Core) User(ctx context.Context) (User, error) {
	user, err := c.loadUser(ctx)
	if err == nil && c.requestOf(ctx).outOfScope(ctx) {
		return nil, ErrOutOfScope
	}
	return user, err
}

// loadUser is User for a token of any scope.
func (c *Core) loadUser(ctx context.Context) (User, error) {
	s := c.requestOf(ctx)
	if s == nil {
		return nil, ErrNoSession
	}
	defer s.emit()
	user, void, err := s.currentUser(ctx)
	if void {
		s.clearValues()
	}
	if err != nil {
		s.meet(err)
	}
	return user, err
}

// currentUser finds the user, once, by the first of three ways that knows one: the
// request's own credentials, its session, its remembered device. It reports whether
// the session was found to be void.
func (s *state) currentUser(ctx context.Context) (user User, void bool, err error) {
	s.loading.Lock()
	defer s.loading.Unlock()
	if user, err = s.byCredentials(); user == nil && err == nil {
		user, void, err = s.bySession(ctx)
	}
	if user == nil && err == nil {
		user, err = s.byDevice()
	}
	if user == nil && err == nil {
		err = s.nobody()
	}
	return user, void, err
}

// byCredentials returns the user of the request's own credentials. It asks for them
// first (see identify), and so reads the session if the request has none.
func (s *state) byCredentials() (User, error) {
	err := s.identify()
	s.op.Lock()
	defer s.op.Unlock()
	if s.varies = true; err != nil {
		s.unread = false // the caller is told
		return nil, err
	}
	return s.user, nil // or the one that was found before
}

// bySession returns the user of the session's login, and whether the session is void.
func (s *state) bySession(ctx context.Context) (user User, void bool, err error) {
	for {
		s.op.Lock()
		cur, user := s.cur, s.user
		s.op.Unlock()
		if user != nil || !cur.isLogin() {
			return user, void, nil
		}
		user, err := s.core.users.load(ctx, cur.header.userID)
		if err != nil && !errors.Is(err, ErrUserNotFound) {
			return nil, void, err
		}
		isVoid, err := s.takeUser(cur, user)
		if void = void || isVoid; err != nil {
			return nil, void, failure{err}
		}
	}
}

// takeUser makes the user that was loaded for a session the request's, unless
// somebody has logged in or out meanwhile. It reports whether the session is void.
func (s *state) takeUser(cur *session, user User) (void bool, err error) {
	s.op.Lock()
	defer s.op.Unlock()
	if s.cur != cur {
		return false, nil
	}
	reason := invalid(cur.header.stamp, user)
	switch {
	case reason == nil:
		s.user = user
		return false, nil
	case errors.Is(reason, ErrLoggedOut):
		// A request of the same login may have changed the Stamp just now, and be about
		// to replace this record: then it is not for us to remove.
		_, replaced, err := s.successor(&s.ctx, cur.kind(), cur.key, rotatedFor, s.core.cfg.Now())
		if err != nil {
			return false, err
		}
		if replaced {
			s.cur, s.user, s.replaced = nil, nil, true
			return true, nil
		}
	}
	s.discard(reason)
	return true, nil
}

// byDevice logs in by the remember cookie, and returns the user. It is tried once.
func (s *state) byDevice() (User, error) {
	s.op.Lock()
	try := !s.own && !s.deviceTried && !s.loggedOut && !s.replaced && !s.committed
	s.op.Unlock()
	if !try {
		return nil, nil
	}
	if err := s.resume(); err != nil {
		return nil, hidden(err)
	}
	s.op.Lock()
	defer s.op.Unlock()
	s.deviceTried = true // after a failure it is not: the next caller must not be told that it is nobody
	return s.user, nil
}

// nobody says why the request has no user.
func (s *state) nobody() error {
	s.op.Lock()
	defer s.op.Unlock()
	if s.replaced {
		return ErrReplaced
	}
	return ErrNotLoggedIn
}

// discard removes a session that was found void. The request goes on as
// nobody's; its cookie is left, as that of any unknown session. The caller
// holds op.
func (s *state) discard(reason error) {
	cur := s.cur
	s.cur, s.user = nil, nil
	s.core.watches.endOne(cur.header.userID, cur.header.loginID)
	s.note(Event{Kind: EventLoginRevoked, UserID: cur.header.userID, Err: reason})
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	s.drop(ctx, cur)
}

// known is the ID of the user who makes the request, as far as it has been
// found out.
func (c *Core) known(ctx context.Context) string {
	s := c.requestOf(ctx)
	if s == nil {
		return ""
	}
	s.op.Lock()
	defer s.op.Unlock()
	return idOf(s.user)
}

// CurrentLogin describes the login that makes the request: how and when the user
// authenticated, and whether it is remembered. Its errors are User's.
func (c *Core) CurrentLogin(ctx context.Context) (_ Login, failing error) {
	defer c.met(ctx, &failing)
	if _, err := c.User(ctx); err != nil {
		return Login{}, err
	}
	s := c.stateOf(ctx)
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.loggedOut:
		return Login{}, s.gone()
	case s.cur.isLogin():
	case s.grant == nil: // it has been ended since
		return Login{}, ErrNotLoggedIn
	default:
		return Login{Current: true, Methods: strings.Fields(s.grant.Method), Address: s.address(), UserAgent: s.agent()}, nil
	}
	l := c.loginOf(*s.cur.shown())
	l.IdleExpires = c.expires(&s.cur.header) // which other requests put off
	if l.Current = true; s.suspect {
		l.Authenticated = time.Time{}
	}
	if !l.Remembered {
		return l, nil
	}
	record, err := c.records.GetRecord(ctx, kindRemember, s.cur.header.device)
	if unlessNotFound(err) != nil {
		return Login{}, err
	}
	d, ok := decodeDevice(record)
	if l.Remembered = err == nil && ok; l.Remembered {
		l.Created, l.Expires = earlier(d.created, l.Created), later(record.Expires, l.Expires)
		l.IdleExpires = l.Expires
	}
	return l, nil
}

// currentHeader is the header of the request's login, or the zero value. It is
// no error if there is none, nor outside LoadAndSave.
func (c *Core) currentHeader(ctx context.Context) (header, error) {
	s := c.stateOf(ctx)
	if s == nil {
		return header{}, nil
	}
	_, err := c.User(ctx)
	if errors.Is(err, ErrReplaced) || err != nil && !errors.Is(err, ErrNotLoggedIn) && !errors.Is(err, ErrOutOfScope) {
		return header{}, err
	}
	s.op.Lock()
	defer s.op.Unlock()
	if !s.cur.isLogin() {
		return header{}, nil
	}
	return s.cur.header, nil
}

// stillIn returns ErrLoggedOut if what has let the request in was ended since.
// What makes a credential asks: a client may hold a request open for as long as
// it likes, with half of its body.
func (c *Core) stillIn(ctx context.Context) error {
	s := c.stateOf(ctx)
	if s == nil {
		return nil
	}
	s.op.Lock()
	cur, token, lost := s.cur, s.grant.token(), s.loggedOut
	s.op.Unlock()
	switch {
	case lost:
		return ErrLoggedOut
	case cur.isLogin():
		lives, err := c.lives(ctx, cur.header)
		if err == nil && !lives {
			err = ErrLoggedOut
		}
		return err
	case token != "":
		_, err := c.records.GetRecord(ctx, kindAPIToken, token)
		if errors.Is(err, ErrRecordNotFound) {
			err = ErrLoggedOut
		}
		return err
	}
	return nil
}
