package auth

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/binary"
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
	if err := s.replace(h, values, tokenVoid, check); err != nil {
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
	s.user, s.userKnown, s.ended, s.suspect, s.replaced, s.grant = user, true, false, false, false, nil
	return stranger, nil
}

// A rotation is the record that stays, for rotatedFor, under the key of a token that
// was replaced by a new one of the same login: a request may have been sent with
// the old token before the browser had the new one.
//
// It opens nothing by itself. What the old token still means is looked up in the
// session's new record, and ends with that.
type rotation struct {
	effect oldToken
	at     time.Time
	next   string // the key of the record that came instead
	header header // of the login, as it was with the old token
}

// An oldToken is what a token means that was replaced.
type oldToken byte

const (
	// tokenVoid: nothing; but a logout that was sent with it ends the login. So it is
	// after LoginUser.
	tokenVoid oldToken = iota

	// tokenRotated: for rotationGrace, the login as it was before. So it is after
	// RenewToken and ConfirmLogin.
	tokenRotated

	// tokenReplaced: nothing, and the browser is to ask again with the token that it
	// has by then: ErrReplaced. So it is after a change of a credential.
	tokenReplaced
)

const (
	// rotationGrace is how old a rotation may be when a request with the old token
	// arrives: longer than a request waits in a proxy or on a slow line, and too
	// short to be of use to who has copied the token.
	rotationGrace = 30 * time.Second

	// maxRotations is how many rotations of a login are followed one after the other.
	maxRotations = 16

	rotationVersion = 1
)

func (r *rotation) encode() []byte {
	b := binary.AppendVarint([]byte{rotationVersion, byte(r.effect)}, r.at.UnixMilli())
	return append(appendText(b, r.next), r.header.encode("")...)
}

func decodeRotation(record Record) (rotation, bool) {
	in := reader{rest: string(record.Data), ok: true}
	if in.byte() != rotationVersion {
		return rotation{}, false
	}
	r := rotation{effect: oldToken(in.byte()), at: time.UnixMilli(in.varint()), next: in.text()}
	_, ok := r.header.decode(in.rest)
	return r, ok && in.ok && r.header.userID == record.UserID
}

// successor returns the session that a token was rotated to at most within ago, or
// nil. replaced says that it was replaced with a credential.
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

// sameLogin reports whether two headers are of one login. Visitors have none, and
// their tokens alone say who they are.
func sameLogin(a, b *header) bool {
	return a.userID == b.userID && a.loginID == b.loginID
}

// errRotated says that another request has rotated the token, and that the session
// is now the one which that has made.
var errRotated = errors.New("auth: another request has rotated the token")

// replace makes a new record, with a new token, the request's session, and
// deletes the old one: in this order. If the old one is found to be gone, the
// login has been ended, and the new record goes too; the other order would let
// a login that is being ended live on in a record that its end did not see.
//
// If another request has rotated the old token, the record that it made is what is
// replaced here; a rotation is not needed then, and returns errRotated.
//
// between, if not nil, runs after the new record is stored and before the old one is
// taken. If it fails, nothing has happened. If it succeeds, replace returns no other
// error than that of gone. The caller holds op.
func (s *state) replace(h header, values string, effect oldToken, between func() error) error {
	ctx, cancel := detach(&s.inner)
	defer cancel()
	if err := s.ctx.Err(); err != nil {
		return err
	}
	c, done := s.core, false
	for range maxConflicts {
		old, token := s.cur, newToken()
		next := &session{key: tokenKey(token), version: randomVersion(), header: h, values: values}
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
				s.user, s.userKnown = nil, true
				return s.gone()
			}
			s.sendToken(next.kind(), token)
			return nil
		}
		s.drop(ctx, next) // it may have been stored all the same
		switch gone := errors.Is(err, errGone); {
		case marked && !gone:
			s.unmark(ctx, old)
		case marked && effect == tokenReplaced: // nothing was: but a logout with the old token counts
			s.unmark(ctx, old)
			if _, err := s.mark(ctx, old, next, tokenVoid); err != nil {
				s.note(Event{Kind: EventStoreFailed, UserID: old.header.userID, Err: err})
			}
		}
		if errors.Is(err, errGone) { // which another request may have rotated
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
			s.user, s.userKnown = nil, true
			return s.gone()
		default:
			return err
		}
	}
	return ErrConflict
}

// errGone says that there is no record any more that could be replaced.
var errGone = errors.New("auth: the session is gone")

// mark leaves a rotation under the key of the old session's token, if that goes on as
// the next one. It reports whether it has, or may have.
func (s *state) mark(ctx context.Context, old, next *session, effect oldToken) (marked bool, err error) {
	c := s.core
	if old == nil || !sameLogin(&old.header, &next.header) {
		return false, nil
	}
	now := c.cfg.Now()
	r := rotation{effect, now, next.key, old.header}
	err = c.sessions.InsertRecord(ctx, Record{
		Kind: kindRotated, Key: old.key, UserID: old.header.userID, Data: r.encode(),
		Version: randomVersion(), Expires: now.Add(rotatedFor),
	})
	if !errors.Is(err, ErrRecordExists) {
		return true, err
	}
	// Another request was first. It has taken the old record, is about to, or has
	// failed.
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

func (s *state) unmark(ctx context.Context, old *session) {
	if err := take(ctx, s.core.sessions, kindRotated, old.key); err != nil {
		s.note(Event{Kind: EventStoreFailed, UserID: old.header.userID, Err: err})
	}
}

// takeOld takes the record that is replaced. If it is gone, it returns errGone; what a
// visitor had may be gone.
func (s *state) takeOld(ctx context.Context, old *session, done bool) (Record, error) {
	taken, err := s.core.sessions.TakeRecord(ctx, old.kind(), old.key)
	switch {
	case errors.Is(err, ErrRecordNotFound) && old.isLogin():
		return taken, errGone
	case unlessNotFound(err) != nil && !done:
		if old.isLogin() { // it may have been taken all the same
			s.unwatch(ctx, old.header)
		}
		return taken, err
	}
	return taken, nil
}

// become makes next the request's session, with what other requests have written to
// the old record since this request read it.
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
	changes := diff(old.values, values)
	stale := h.authenticated.IsZero() && next.header.authenticated.Equal(old.header.authenticated)
	err := s.update(ctx, func(x *session) {
		x.values, x.header.seen = apply(x.values, changes), later(x.header.seen, h.seen)
		if stale {
			x.header.authenticated = time.Time{}
		}
	})
	if err != nil {
		s.note(Event{Kind: EventStoreFailed, UserID: next.header.userID, Err: err})
	}
}

// sendToken sets the cookie of a new session.
func (s *state) sendToken(kind, token string) {
	names := &s.core.cookies
	if kind == kindVisitor {
		s.setCookie(names.visitor, token, time.Time{})
		return
	}
	s.setCookie(names.session, token, time.Time{})
	s.deleteCookie(names.visitor)
}

// leaveRotated stores, for a short while, which login a session with this key was
// of, for a logout that is sent with its token.
func (c *Core) leaveRotated(ctx context.Context, key string, h header) error {
	now := c.cfg.Now()
	r := rotation{effect: tokenVoid, at: now, header: h}
	err := c.sessions.InsertRecord(ctx, Record{
		Kind: kindRotated, Key: key, UserID: h.userID, Data: r.encode(),
		Version: randomVersion(), Expires: now.Add(rotatedFor),
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

// rotate gives the session a new token. If another request has just done so, the
// browser has that one.
func (s *state) rotate() error {
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.failed != nil:
		return s.failed
	case s.replaced:
		return ErrReplaced
	case s.cur == nil || s.grant != nil: // whose cookies go nowhere
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
	s.ended, s.loggedOut, s.replaced, s.user, s.userKnown = false, false, false, nil, true
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
