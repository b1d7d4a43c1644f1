package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/v2"
)

// The kinds of session records. A visitor's session holds an application's
// data for somebody who is not logged in; it has a cookie of its own, so that
// writing it can never displace a login that a parallel request has made.
//
// A rotated record says for a short while which login a token went on as, for a
// logout that was sent with the old one.
const (
	kindSession = "session"
	kindVisitor = "visitor"
	kindRotated = "rotated"
)

// methodPassword is how somebody authenticated.
const methodPassword = "password"

const (
	touchAfter    = time.Minute      // how old "last seen" may be
	rotatedFor    = time.Minute      // how long a request with an old token may be under way
	finishTimeout = 10 * time.Second // for what must be finished after the client has gone
)

// A session is a session record, read.
type session struct {
	record Record
	header header
	values string // the application's, encoded
}

func (s *session) isLogin() bool { return s != nil && s.header.userID != "" }

// encode sets the record's data and expiry from the header and the values.
func (c *Core) encode(s *session) {
	s.record.Data = append(s.header.append(nil), s.values...)
	s.record.Expires = c.expires(s.header)
}

// expires is when a session ends if nothing more happens. Limits run from the
// login, so that no rotation extends them.
func (c *Core) expires(h header) time.Time {
	end := h.created.Add(c.cfg.Lifetime)
	if c.cfg.IdleTimeout > 0 {
		if idle := h.seen.Add(c.cfg.IdleTimeout); idle.Before(end) {
			return idle
		}
	}
	return end
}

// A state is what a request knows about its session. It lives from LoadAndSave
// to the end of the request.
type state struct {
	core    *Core
	request *http.Request
	outer   context.Context // the request's as it came
	ctx     context.Context // the same with this state in it

	// loading is held while the user is loaded, so that it happens once.
	loading sync.Mutex

	// op guards what follows, and is held while it is brought in line with the
	// store. scs has a lock of its own, which is always taken before op.
	op        sync.Mutex
	key       string   // of the record that the session cookie names
	cur       *session // what the request came with, or has become; nil: nothing is stored
	ended     bool     // the record that the request came with was removed by another: nothing is stored any more
	loggedOut bool     // and it was a login
	user      User
	userKnown bool
	varies    bool // the answer depends on the cookie
	committed bool // the header is written: no cookie can be set any more

	cookie        map[string]string // to be set; an empty value deletes
	flash         []Flash
	flashRead     bool
	flashChanged  bool
	deletePending atomic.Bool // scs has deleted the token, and it is open whether to log out or to rotate

	// noted are events that wait until no lock is held: what hears of them may
	// ask who the user is.
	noting sync.Mutex
	noted  []Event

	// values guards the application's data on its way between the record and
	// scs. No store is called while it is held.
	values   sync.Mutex
	loaded   string         // what scs has been given, encoded
	given    map[string]any // the same map that scs has; only to be touched under scs's lock
	scsData  any            // scs's own state, once the application has asked for it
	scsReady bool
}

// A requestContext is a request's context with its state. It answers scs, too,
// and only then decodes the application's values: most requests never ask.
type requestContext struct {
	context.Context
	state *state
}

type stateKey struct{ core *Core }

func (c *requestContext) Value(key any) any {
	if k, ok := key.(stateKey); ok && k.core == c.state.core {
		return c.state
	}
	if key == c.state.core.scsKey {
		return c.state.scs()
	}
	return c.Context.Value(key)
}

// A loadingContext is what a UserLoader gets: nobody is logged in while the
// user is being loaded, or asking who it is would wait for itself.
type loadingContext struct {
	context.Context
	core *Core
}

func (c loadingContext) Value(key any) any {
	if k, ok := key.(stateKey); ok && k.core == c.core {
		return nil
	}
	return c.Context.Value(key)
}

// stateOf returns nil outside LoadAndSave.
func (c *Core) stateOf(ctx context.Context) *state {
	s, _ := ctx.Value(stateKey{c}).(*state)
	return s
}

// detach returns a context for steps that belong together: a client that goes
// away must not leave half of them.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
}

// address is the client's IP address in canonical form, or empty.
func (s *state) address() string {
	ap, err := netip.ParseAddrPort(s.request.RemoteAddr)
	if err != nil {
		return ""
	}
	return ap.Addr().Unmap().WithZone("").String()
}

func (s *state) agent() string { return cut(s.request.UserAgent(), 256) }

// note keeps an event for emit.
func (s *state) note(e Event) {
	s.noting.Lock()
	defer s.noting.Unlock()
	s.noted = append(s.noted, e)
}

// emit tells of what was noted. The caller holds no lock.
func (s *state) emit() {
	s.noting.Lock()
	events := s.noted
	s.noted = nil
	s.noting.Unlock()
	for _, e := range events {
		s.core.event(s.ctx, e)
	}
}

// load reads the session of the request's cookies.
func (s *state) load() error {
	defer s.emit()
	for _, c := range [...]struct{ cookie, kind string }{
		{s.core.cookies.session, kindSession},
		{s.core.cookies.visitor, kindVisitor},
	} {
		cookie, err := s.request.Cookie(c.cookie)
		if err != nil || len(cookie.Value) != tokenLength {
			continue
		}
		key := tokenKey(cookie.Value)
		if c.kind == kindSession {
			s.key = key
		}
		found, err := s.fetch(s.ctx, c.kind, key)
		if err != nil {
			return err
		}
		if found != nil {
			s.cur = found
			break
		}
	}
	if s.cur == nil {
		return nil
	}
	err := s.touch()
	if s.cur != nil {
		s.loaded = s.cur.values
	}
	return err
}

// fetch returns a session, or nil if there is none or it is not one.
func (s *state) fetch(ctx context.Context, kind, key string) (*session, error) {
	c := s.core
	record, err := c.sessions.GetRecord(ctx, kind, key)
	if errors.Is(err, ErrRecordNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	h, values, ok := decodeSession(string(record.Data))
	if !ok || h.userID != record.UserID || (kind == kindSession) != (h.userID != "") {
		s.note(Event{Kind: EventSessionDamaged, UserID: record.UserID, Err: errDamaged})
		return nil, nil
	}
	if !c.cfg.Now().Before(c.expires(h)) {
		return nil, nil
	}
	return &session{record, h, values}, nil
}

// touch notes that the session was seen, at most once a minute.
func (s *state) touch() error {
	now := s.core.cfg.Now()
	if now.Sub(s.cur.header.seen) < touchAfter {
		return nil
	}
	next := *s.cur
	next.header.seen = now
	s.core.encode(&next)
	switch err := s.core.sessions.UpdateRecord(s.ctx, next.record); {
	case err == nil:
		next.record.Version++
		s.cur = &next
	case errors.Is(err, ErrRecordNotFound):
		s.lose()
	case !errors.Is(err, ErrConflict): // which somebody has touched or written
		return err
	}
	return nil
}

// lose notes that another request has removed the session. The caller holds op,
// or is the only one that has s.
func (s *state) lose() {
	s.loggedOut = s.loggedOut || s.cur.isLogin()
	s.cur, s.ended = nil, true
}

// User is Manager.User.
func (c *Core) User(ctx context.Context) (User, error) {
	s := c.stateOf(ctx)
	if s == nil {
		return nil, ErrNoSession
	}
	defer s.emit()
	if err := s.settle(); err != nil {
		return nil, err
	}
	user, void, err := s.currentUser(ctx)
	if void {
		s.clearValues()
	}
	return user, err
}

// currentUser loads the user, once. It reports whether that showed that the
// session is void.
func (s *state) currentUser(ctx context.Context) (user User, void bool, err error) {
	s.loading.Lock()
	defer s.loading.Unlock()
	for {
		s.op.Lock()
		s.varies = true
		cur := s.cur
		if !s.userKnown && !cur.isLogin() {
			s.user, s.userKnown = nil, true
		}
		user, known := s.user, s.userKnown
		s.op.Unlock()
		switch {
		case known && user == nil:
			return nil, void, ErrNotLoggedIn
		case known:
			return user, void, nil
		}
		user, err := s.core.users.load(loadingContext{ctx, s.core}, cur.header.userID)
		if err != nil && !errors.Is(err, ErrUserNotFound) {
			return nil, void, err
		}
		s.op.Lock()
		if s.cur == cur { // else somebody logged in or out meanwhile: begin again
			s.user, s.userKnown = user, true
			if reason := invalid(cur, user); reason != nil {
				void = true
				s.discard(reason)
			}
		}
		s.op.Unlock()
	}
}

// invalid says why a session is no login of the user's any more, or nil. The
// user is nil if the account is gone.
func invalid(s *session, user User) error {
	switch {
	case user == nil:
		return ErrUserNotFound
	case user.AuthAccount().Disabled:
		return ErrDisabled
	case !user.AuthAccount().Stamp.Equal(NewSecret(s.header.stamp)):
		return ErrLoggedOut
	}
	return nil
}

// discard removes a session that was found void. The request goes on as
// nobody's; its cookie is left, as that of any unknown session. The caller
// holds op.
func (s *state) discard(reason error) {
	cur := s.cur
	s.cur, s.user = nil, nil
	s.note(Event{Kind: EventSessionEnded, UserID: cur.header.userID, Err: reason})
	ctx, cancel := detach(s.ctx)
	defer cancel()
	s.drop(ctx, cur)
}

// drop deletes a session's record where it is safe if that fails.
func (s *state) drop(ctx context.Context, old *session) {
	_, err := s.core.sessions.TakeRecord(ctx, old.record.Kind, old.record.Key)
	if err != nil && !errors.Is(err, ErrRecordNotFound) {
		s.note(Event{Kind: EventStoreFailed, UserID: old.record.UserID, Err: err})
	}
}

// LoginUser is Manager.LoginUser.
func (c *Core) LoginUser(ctx context.Context, user User) error {
	return c.enter(ctx, user, methodPassword)
}

// enter is the gate: every way to log in ends here, and only here does a
// request become a logged-in one.
func (c *Core) enter(ctx context.Context, user User, method string) error {
	id := user.AuthAccount().ID
	err := c.pass(ctx, user, method)
	if err != nil {
		c.event(ctx, Event{Kind: EventLoginRefused, UserID: id, Method: method, Err: err})
		return err
	}
	c.event(ctx, Event{Kind: EventLogin, UserID: id, Method: method})
	return nil
}

// gates are what an account must pass, in this order. They are asked about the
// account that was authenticated: the session gets its Stamp, and is void if
// that is no longer the stored one.
func (c *Core) gates() []func(*Account) error {
	return []func(*Account) error{
		func(a *Account) error {
			if a.Disabled {
				return ErrDisabled
			}
			return nil
		},
	}
}

func (c *Core) pass(ctx context.Context, user User, method string) error {
	a := user.AuthAccount()
	if a.ID == "" {
		return errors.New("auth: a user without an ID cannot log in")
	}
	for _, gate := range c.gates() {
		if err := gate(a); err != nil {
			return err
		}
	}
	s := c.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	defer s.emit()
	if err := s.settle(); err != nil {
		return err
	}
	stranger, err := s.login(user, method)
	if stranger {
		s.clearValues()
	}
	return err
}

// login makes the request's session one of the user's. It reports whether the
// session had been another user's.
func (s *state) login(user User, method string) (stranger bool, err error) {
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.committed:
		return false, ErrHeaderWritten
	case s.loggedOut:
		return false, ErrLoggedOut
	}
	a := user.AuthAccount()
	now := s.core.cfg.Now()
	h := header{
		userID: a.ID, loginID: newToken(), stamp: a.Stamp.Reveal(), methods: method,
		address: s.address(), agent: s.agent(),
		authenticated: now, created: now, seen: now,
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
	if err := s.replace(h, values, nil); err != nil {
		return false, err
	}
	if stranger {
		s.note(Event{Kind: EventLogout, UserID: old.header.userID})
	}
	s.user, s.userKnown, s.ended = user, true, false
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
	ctx, cancel := detach(s.ctx)
	defer cancel()
	c, old, token := s.core, s.cur, newToken()
	next := &session{
		record: Record{Kind: kindSession, Key: tokenKey(token), UserID: h.userID, Version: randomVersion()},
		header: h, values: values,
	}
	if h.userID == "" {
		next.record.Kind = kindVisitor
	}
	c.encode(next)
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if err := c.sessions.InsertRecord(ctx, next.record); err != nil {
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
			Kind: kindRotated, Key: old.record.Key, UserID: h.userID, Data: []byte(h.loginID),
			Version: randomVersion(), Expires: c.cfg.Now().Add(rotatedFor),
		})
		if err != nil && !errors.Is(err, ErrRecordExists) && between == nil {
			s.drop(ctx, next)
			return err
		}
	}
	if old != nil {
		_, err := c.sessions.TakeRecord(ctx, old.record.Kind, old.record.Key)
		switch {
		case errors.Is(err, ErrRecordNotFound) && old.isLogin():
			s.drop(ctx, next)
			s.lose()
			s.user, s.userKnown = nil, true
			return ErrLoggedOut
		case err != nil && !errors.Is(err, ErrRecordNotFound) && between == nil:
			s.drop(ctx, next)
			return err
		}
	}
	s.cur = next
	if h.userID == "" {
		s.setCookie(c.cookies.visitor, token)
		return nil
	}
	s.setCookie(c.cookies.session, token)
	s.deleteCookie(c.cookies.visitor)
	return nil
}

// rotate gives the session a new token.
func (s *state) rotate() error {
	s.op.Lock()
	defer s.op.Unlock()
	if s.cur == nil {
		return nil
	}
	if s.committed {
		// The new token could not be sent. It may be a logout that came late.
		return errors.Join(ErrHeaderWritten, s.end())
	}
	id := s.cur.header.userID
	if err := s.replace(s.cur.header, s.cur.values, nil); err != nil {
		return err
	}
	s.note(Event{Kind: EventRotated, UserID: id})
	return nil
}

// changeStamp runs a change of the account that gives it a new Stamp, and ends
// the account's sessions, but for the request's own if it is one of them: that
// one goes on under a new token. Its new record is stored before the change, so
// that a store which fails then has changed nothing.
func (s *state) changeStamp(userID string, stamp Secret, change func() error) error {
	defer s.emit()
	if err := s.settle(); err != nil {
		return err
	}
	s.op.Lock()
	defer s.op.Unlock()
	if !s.cur.isLogin() || s.cur.header.userID != userID || s.committed {
		err := change()
		if err == nil {
			s.endSessions(userID)
		}
		return err
	}
	h := s.cur.header
	h.stamp = stamp.Reveal()
	err := s.replace(h, s.cur.values, change)
	switch {
	case errors.Is(err, ErrLoggedOut): // the change is made; the login was ended at the same moment
		s.endSessions(userID)
		return nil
	case err != nil:
		return err
	}
	s.userKnown = false // it has changed
	s.endSessions(userID, s.cur.record.Key)
	return nil
}

// endSessions is Core.endSessions for a caller that holds op.
func (s *state) endSessions(userID string, keep ...string) {
	if err := s.core.deleteSessions(s.ctx, userID, keep...); err != nil {
		s.note(Event{Kind: EventStoreFailed, UserID: userID, Err: err})
	}
}

// LogoutUser is Manager.LogoutUser.
func (c *Core) LogoutUser(ctx context.Context) error {
	s := c.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	defer s.emit()
	if err := s.settle(); err != nil {
		return err
	}
	s.op.Lock()
	hadLogin, late := s.cur.isLogin(), s.committed
	err := s.end()
	s.op.Unlock()
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

// end ends the request's login and deletes its cookie. What a visitor has is
// kept. The caller holds op.
func (s *state) end() error {
	ctx, cancel := detach(s.ctx)
	defer cancel()
	userID, loginID := "", ""
	if s.cur.isLogin() {
		userID, loginID = s.cur.header.userID, s.cur.header.loginID
		if _, err := s.core.sessions.TakeRecord(ctx, kindSession, s.cur.record.Key); err != nil && !errors.Is(err, ErrRecordNotFound) {
			return err
		}
		s.cur = nil
	} else if s.key != "" { // an old token, perhaps
		r, err := s.core.sessions.GetRecord(ctx, kindRotated, s.key)
		if err != nil && !errors.Is(err, ErrRecordNotFound) {
			return err
		}
		userID, loginID = r.UserID, string(r.Data)
	}
	if loginID != "" {
		if err := s.core.endLogin(ctx, userID, loginID); err != nil {
			return err
		}
		s.note(Event{Kind: EventLogout, UserID: userID})
	}
	s.ended, s.loggedOut, s.user, s.userKnown = false, false, nil, true
	s.deleteCookie(s.core.cookies.session)
	return nil
}

// endLogin deletes a login's records until there are none: a rotation that was
// under way may have inserted another one, and if it inserts one later, it finds
// that the one it replaces is gone.
func (c *Core) endLogin(ctx context.Context, userID, loginID string) error {
	for range maxConflicts {
		records, err := c.sessions.ListRecords(ctx, kindSession, userID)
		if err != nil {
			return err
		}
		found := false
		for _, r := range records {
			if h, _, ok := decodeSession(string(r.Data)); !ok || h.loginID != loginID {
				continue
			}
			found = true
			if _, err := c.sessions.TakeRecord(ctx, kindSession, r.Key); err != nil && !errors.Is(err, ErrRecordNotFound) {
				return err
			}
		}
		if !found {
			return nil
		}
	}
	return errors.New("auth: the login's records keep coming back")
}

func (s *state) setCookie(name, value string) {
	if s.cookie == nil {
		s.cookie = map[string]string{}
	}
	s.cookie[name] = value
}

// deleteCookie deletes a cookie if the client has it or is about to.
func (s *state) deleteCookie(name string) {
	_, set := s.cookie[name]
	if _, err := s.request.Cookie(name); err == nil {
		s.setCookie(name, "")
	} else if set {
		delete(s.cookie, name)
	}
}

// commit stores what the request changed and sets the cookies. It runs once,
// before the response's header goes out.
func (s *state) commit(h http.Header) error {
	defer s.emit()
	err := s.settle()
	s.values.Lock()
	ready := s.scsReady
	s.values.Unlock()
	if err == nil && ready && s.core.scs.Status(s.ctx) == scs.Modified {
		ctx, cancel := detach(s.ctx)
		defer cancel()
		_, _, err = s.core.scs.Commit(ctx)
	}
	s.op.Lock()
	defer s.op.Unlock()
	s.committed = true
	if err != nil {
		return err
	}
	if s.flashChanged {
		if value := s.sealFlashes(); value != "" {
			s.setCookie(s.core.cookies.flash, value)
		} else {
			s.deleteCookie(s.core.cookies.flash)
		}
	}
	for _, name := range [...]string{s.core.cookies.session, s.core.cookies.visitor, s.core.cookies.flash} {
		if value, ok := s.cookie[name]; ok {
			s.core.cookies.write(h, name, value)
		}
	}
	if s.varies || s.flashRead || ready {
		h.Add("Vary", "Cookie")
	}
	// What was made for one user is nobody else's, nor the back button's.
	if personal := s.user != nil && s.varies || len(s.cookie) > 0; personal && h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	return nil
}

// The rest of this file is the application's data: between the record, which
// has it encoded, and scs, which has it in a map.

// Sessions is Manager.Sessions.
func (c *Core) Sessions() *scs.SessionManager {
	m := *c.scs
	return &m
}

// newSCS returns a session manager whose store is the state in the context, and
// the key under which it looks for its data there.
func newSCS(c *Core) (*scs.SessionManager, any) {
	// Not scs.New, which starts a goroutine that cannot be stopped safely. The
	// manager then has no key of its own in the context, which matters only to
	// managers inside one another.
	m := &scs.SessionManager{
		Lifetime: c.cfg.Lifetime,
		Store:    scsStore{c},
		Codec:    scsCodec{},
		// Only scs's own middleware would set the cookie, or call ErrorFunc.
		Cookie: scs.SessionCookie{
			Name: c.cfg.CookieName + "-unused", Path: "/",
			HttpOnly: true, Secure: c.cookies.secure, SameSite: http.SameSiteLaxMode,
		},
		ErrorFunc: c.Error,
	}
	probe := &keyProbe{Context: context.Background()}
	_, _ = m.Load(probe, "") // an empty token asks no store
	return m, probe.key
}

// A keyProbe learns what key a context is asked for.
type keyProbe struct {
	context.Context
	key any
}

func (p *keyProbe) Value(key any) any {
	p.key = key
	return nil
}

// markerKey is in scs's values from the time that it deletes its token until
// we know why: RenewToken leaves the values alone, Destroy clears them.
const markerKey = "\x00go-login"

// scs returns scs's own state, and makes it from the record at first use.
func (s *state) scs() any {
	s.values.Lock()
	defer s.values.Unlock()
	if s.scsReady {
		return s.scsData
	}
	s.scsReady = true
	var failed []error
	s.given, failed = decodeValues(s.loaded)
	for _, err := range failed {
		s.note(Event{Kind: EventSessionDamaged, Err: err})
	}
	if len(failed) > 0 { // what could not be read is not ours to change: leave it out of the comparison
		if readable, err := encodeValues(s.given); err == nil {
			s.loaded = string(readable)
		}
	}
	m := *s.core.scs
	m.Store, m.Codec = givenStore{}, givenCodec{s}
	ctx, err := m.Load(s.outer, markerKey)
	if err == nil {
		s.scsData = ctx.Value(s.core.scsKey)
	}
	return s.scsData
}

// clearValues forgets the application's data.
func (s *state) clearValues() {
	s.values.Lock()
	s.loaded = ""
	ready := s.scsReady
	s.values.Unlock()
	if ready {
		_ = s.core.scs.Clear(s.ctx) // returns nil always
	}
}

// save stores what the application changed in its data.
func (s *state) save(ctx context.Context, encoded string) error {
	s.values.Lock()
	changes := diff(s.loaded, encoded)
	s.values.Unlock()
	if len(changes) == 0 {
		return nil
	}
	s.op.Lock()
	defer s.op.Unlock()
	if err := s.write(ctx, changes); err != nil {
		return err
	}
	s.values.Lock()
	s.loaded = encoded
	s.values.Unlock()
	return nil
}

// write makes changes in the session's record, or in a new visitor's. If the
// record is gone, so is what they were for. The caller holds op.
func (s *state) write(ctx context.Context, changes []change) error {
	for range maxConflicts {
		switch {
		case s.ended:
			return nil
		case s.cur == nil && s.committed:
			return ErrHeaderWritten
		case s.cur == nil:
			now := s.core.cfg.Now()
			return s.replace(header{created: now, seen: now}, apply("", changes), nil)
		}
		next := *s.cur
		next.values = apply(next.values, changes)
		s.core.encode(&next)
		switch err := s.core.sessions.UpdateRecord(ctx, next.record); {
		case err == nil:
			next.record.Version++
			s.cur = &next
			return nil
		case errors.Is(err, ErrRecordNotFound):
			s.lose()
			return nil
		case !errors.Is(err, ErrConflict):
			return err
		}
		switch found, err := s.fetch(ctx, next.record.Kind, next.record.Key); {
		case err != nil:
			return err
		case found == nil:
			s.lose()
		default:
			s.cur = found
		}
	}
	return fmt.Errorf("auth: the session could not be saved: %w", ErrConflict)
}

// settle finds out what scs's deletion of its token was: RenewToken has been
// dealt with, Destroy is a logout.
func (s *state) settle() error {
	if !s.deletePending.Swap(false) {
		return nil
	}
	kept := s.core.scs.Exists(s.ctx, markerKey) && s.core.scs.Token(s.ctx) != ""
	s.core.scs.Remove(s.ctx, markerKey)
	if kept {
		return nil
	}
	s.op.Lock()
	defer s.op.Unlock()
	wasLogin := s.cur.isLogin()
	if err := s.end(); err != nil {
		return err
	}
	if !wasLogin && s.cur != nil { // a visitor's session is destroyed, too
		ctx, cancel := detach(s.ctx)
		defer cancel()
		if _, err := s.core.sessions.TakeRecord(ctx, kindVisitor, s.cur.record.Key); err != nil && !errors.Is(err, ErrRecordNotFound) {
			return err
		}
		s.cur = nil
		s.deleteCookie(s.core.cookies.visitor)
	}
	s.values.Lock()
	s.loaded = ""
	s.values.Unlock()
	return nil
}

// scsStore is scs's store: the session of the context, and no other. So there
// is nothing to merge in and nothing to iterate over.
type scsStore struct{ core *Core }

func (scsStore) Delete(string) error                    { return ErrNoSession }
func (scsStore) Find(string) ([]byte, bool, error)      { return nil, false, ErrNoSession }
func (scsStore) Commit(string, []byte, time.Time) error { return ErrNoSession }
func (scsStore) All() (map[string][]byte, error)        { return map[string][]byte{}, nil }

func (t scsStore) FindCtx(ctx context.Context, _ string) ([]byte, bool, error) {
	if t.core.stateOf(ctx) == nil {
		return nil, false, ErrNoSession
	}
	return nil, false, nil
}

func (t scsStore) CommitCtx(ctx context.Context, _ string, encoded []byte, _ time.Time) error {
	s := t.core.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	return s.save(ctx, string(encoded))
}

// DeleteCtx is called by RenewToken and by Destroy, which cannot be told apart
// here: the token is rotated for both, and settle finds out. scs holds its lock.
func (t scsStore) DeleteCtx(ctx context.Context, _ string) error {
	s := t.core.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	if err := s.rotate(); err != nil && !errors.Is(err, ErrLoggedOut) {
		return err
	}
	s.given[markerKey] = true
	s.deletePending.Store(true)
	return nil
}

// scsCodec encodes the application's values. Nothing is ever decoded through
// it: scs's store finds nothing.
type scsCodec struct{}

func (scsCodec) Encode(_ time.Time, values map[string]any) ([]byte, error) {
	if _, ok := values[markerKey]; ok {
		copied := make(map[string]any, len(values))
		for k, v := range values {
			if k != markerKey {
				copied[k] = v
			}
		}
		values = copied
	}
	return encodeValues(values)
}

func (scsCodec) Decode([]byte) (time.Time, map[string]any, error) {
	return time.Time{}, map[string]any{}, nil
}

// givenStore and givenCodec hand scs a request's values.
type givenStore struct{}

func (givenStore) Delete(string) error                    { return nil }
func (givenStore) Find(string) ([]byte, bool, error)      { return nil, true, nil }
func (givenStore) Commit(string, []byte, time.Time) error { return nil }

type givenCodec struct{ state *state }

func (givenCodec) Encode(time.Time, map[string]any) ([]byte, error) { return nil, nil }

func (g givenCodec) Decode([]byte) (time.Time, map[string]any, error) {
	deadline := g.state.core.cfg.Now().Add(g.state.core.cfg.Lifetime)
	return deadline, g.state.given, nil
}
