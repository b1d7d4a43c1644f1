package auth

import (
	"context"
	"errors"
	"strings"
	"time"
)

// User returns the user who makes the request. The user is loaded at the first call and
// kept for the request. User returns ErrNotLoggedIn if nobody is logged in,
// ErrNoSession outside LoadAndSave, and ErrOutOfScope for a token with scopes where no
// rule asks for one of them (see Scope). If a store has failed, it returns the store's
// error, and the answer is 503.
//
// If Config.RequireFactor asks for a second factor that the login has not shown, User
// returns ErrNoFactor, or ErrNotFresh if the user has one.
func (c *Core) User(ctx context.Context) (User, error) {
	user, err := c.EnrollingUser(ctx)
	if err == nil {
		err = c.gateRequired(ctx, user)
	}
	if err != nil {
		return nil, err
	}
	return user, nil
}

// EnrollingUser is User for the pages on which a user sets up a second factor: it also
// returns a user of whom Config.RequireFactor asks for one. Show nothing else to this user.
func (c *Core) EnrollingUser(ctx context.Context) (User, error) {
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

// currentUser finds the user, once. It tries three ways and stops at the first that
// finds one: the request's own credentials, its session, its remembered device. void is
// true if the session was found to be void.
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

// byCredentials returns the user of the request's own credentials. It calls identify
// first, which reads the session if the request has no credentials.
func (s *state) byCredentials() (User, error) {
	err := s.identify()
	s.op.Lock()
	defer s.op.Unlock()
	if s.varies = true; err != nil {
		s.unread = false // the caller gets the error
		return nil, err
	}
	return s.user, nil // found now, or by an earlier call
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

// takeUser makes user, who was loaded for cur, the request's user. It does nothing if
// the request has logged in or out meanwhile. It reports whether the session is void.
func (s *state) takeUser(cur *session, user User) (void bool, err error) {
	s.op.Lock()
	defer s.op.Unlock()
	if s.cur != cur {
		return false, nil
	}
	reason := invalid(cur.header.stamp, user)
	switch {
	case reason == nil:
		s.user, s.hadUser = user, true
		return false, nil
	case errors.Is(reason, ErrLoggedOut):
		// Another request of the same login may have just changed the Stamp, and be about
		// to replace this record. Then the record must stay.
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

// byDevice logs in by the remember cookie, and returns the user. It tries once.
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
	s.deviceTried = true // not after a failure: the next caller must get the error too, and not "no user"
	return s.user, nil
}

// nobody returns why the request has no user.
func (s *state) nobody() error {
	s.op.Lock()
	defer s.op.Unlock()
	if s.replaced {
		return ErrReplaced
	}
	return ErrNotLoggedIn
}

// detail returns ErrLoggedOut in place of ErrNotLoggedIn if the browser had a login that has
// ended.
func (c *Core) detail(ctx context.Context, reason error) error {
	if !errors.Is(reason, ErrNotLoggedIn) || errors.Is(reason, ErrNoPending) || errors.Is(reason, ErrLoggedOut) {
		return reason
	}
	if s := c.stateOf(ctx); s != nil && s.hadLogin() {
		return ErrLoggedOut
	}
	return reason
}

// hadLogin reports whether the browser has sent the cookie of a login, or of a remembered
// device, that has ended. It is for a message only: anybody can make up the cookie of a
// session.
func (s *state) hadLogin() bool {
	if s.arrived.IsZero() { // without a cookie
		return false
	}
	s.op.Lock()
	defer s.op.Unlock()
	names := &s.core.cookies
	if s.own || s.cur.isLogin() || s.replaced {
		return false
	}
	if _, changed := s.setting(names.session); changed { // logged out in this request
		return false
	}
	_, _, remembered := s.remembered()
	return remembered || s.sentKey(names.session) != ""
}

// discard removes a session that was found void. The request goes on as an anonymous
// one. Like the cookie of any unknown session, its cookie is kept. The caller holds op.
func (s *state) discard(reason error) {
	cur := s.cur
	s.cur, s.user = nil, nil
	s.core.watches.endOne(cur.header.userID, cur.header.loginID)
	s.note(Event{Kind: EventLoginRevoked, UserID: cur.header.userID, Err: reason})
	s.acted.Store(nil)
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	s.drop(ctx, cur)
}

// known returns the ID of the user who makes the request, if the user has been loaded,
// or "".
func (c *Core) known(ctx context.Context) string {
	if s := c.requestOf(ctx); s != nil {
		return s.known()
	}
	return ""
}

// CurrentLogin describes the login that makes the request: how and when the user
// authenticated, and whether it is remembered. It returns the errors of EnrollingUser.
func (c *Core) CurrentLogin(ctx context.Context) (_ Login, failing error) {
	defer c.met(ctx, &failing)
	if _, err := c.EnrollingUser(ctx); err != nil {
		return Login{}, err
	}
	s := c.stateOf(ctx)
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.loggedOut:
		return Login{}, s.gone()
	case s.cur.isLogin():
	case s.grant == nil: // the login has been ended since User returned
		return Login{}, ErrNotLoggedIn
	default:
		return Login{Current: true, Methods: strings.Fields(s.grant.Method), Address: s.address(), UserAgent: s.agent()}, nil
	}
	l := c.loginOf(*s.cur.shown())
	l.IdleExpires = c.expires(&s.cur.header) // from the newest record: other requests extend it
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

// currentHeader returns the header of the request's login. If there is no login, or
// outside LoadAndSave, it returns the zero value and no error.
func (c *Core) currentHeader(ctx context.Context) (header, error) {
	s := c.stateOf(ctx)
	if s == nil {
		return header{}, nil
	}
	_, err := c.EnrollingUser(ctx)
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

// stillIn returns ErrLoggedOut if the login or API token of the request was ended since
// the request began. An attacker may hold a request open by sending half of its body,
// and finish it after the login was ended. So methods that make a credential or change
// an account call stillIn. It returns ErrImpersonating in an impersonation.
func (c *Core) stillIn(ctx context.Context) error {
	s := c.stateOf(ctx)
	if s == nil {
		return nil
	}
	if s.acted.Load() != nil {
		return ErrImpersonating
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

// shownFactor reports whether the login has shown one of Config.Factors.
func (c *Core) shownFactor(ctx context.Context) bool {
	s := c.stateOf(ctx)
	s.op.Lock()
	defer s.op.Unlock()
	if !s.cur.isLogin() {
		return false
	}
	return c.hasFactor(s.cur.shown().methods)
}

// shownFactorWithin reports whether the login has shown one of Config.Factors within this
// time.
func (c *Core) shownFactorWithin(ctx context.Context, d time.Duration) bool {
	s := c.stateOf(ctx)
	s.op.Lock()
	defer s.op.Unlock()
	if !s.cur.isLogin() {
		return false
	}
	shown := s.cur.shown().methods
	for _, name := range c.factorMethods(shown) {
		at, ok := shown.at(name)
		if age := c.cfg.Now().Sub(at); ok && age <= d && age >= -maxSkew {
			return true
		}
	}
	return false
}

// shownOrTrusted reports whether the login has shown a factor, or was made in a browser that
// its user trusts.
func (c *Core) shownOrTrusted(ctx context.Context) bool {
	s := c.stateOf(ctx)
	s.op.Lock()
	defer s.op.Unlock()
	return s.cur.isLogin() && (c.hasFactor(s.cur.shown().methods) || c.trusts(s.cur.shown().methods))
}

// needFactor returns nil if the login has shown a factor or its browser is trusted. Otherwise
// it returns ErrNoFactor if the user has none, or ErrNotFresh if the user has one.
func (c *Core) needFactor(ctx context.Context, user User) error {
	if err := c.notActing(ctx); err != nil {
		return err
	}
	if c.shownOrTrusted(ctx) {
		return nil
	}
	owns, err := c.ownsFactor(ctx, idOf(user))
	switch {
	case err != nil:
		return err
	case !owns:
		return ErrNoFactor
	}
	return ErrNotFresh
}

// gateRequired returns ErrNoFactor if Config.RequireFactor asks for a factor that the user's
// login has not shown. Credentials of the request cannot show one, so there it is enough that
// the user has one.
func (c *Core) gateRequired(ctx context.Context, user User) error {
	if c.cfg.RequireFactor == nil {
		return nil
	}
	s := c.stateOf(ctx)
	s.op.Lock()
	login := s.cur.isLogin() && s.cur.header.actor == nil // an actor has shown a factor of their own
	granted := s.grant != nil
	s.op.Unlock()
	switch {
	case !login && !granted, !c.cfg.RequireFactor(user):
		return nil
	case login:
		return c.needFactor(ctx, user)
	}
	owns, err := c.ownsFactor(ctx, idOf(user))
	if err == nil && !owns {
		err = stepUp{error: ErrNoFactor, factor: true}
	}
	return err
}
