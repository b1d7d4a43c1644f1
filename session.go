package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/alexedwards/scs/v2"
)

// The kinds of session records. A visitor's session holds an application's
// data for somebody who is not logged in; it has a cookie of its own, so that
// writing it can never displace a login that a parallel request has made.
//
// A rotated record is left under the key of a token that was replaced: see
// rotation.
const (
	kindSession = "session"
	kindVisitor = "visitor"
	kindRotated = "rotated"
)

// methodPassword is how somebody authenticated.
const methodPassword = "password"

const (
	touchAfter    = time.Minute      // how old "last seen" may be
	rotatedFor    = time.Minute      // how long a replaced token is recognised
	finishTimeout = 10 * time.Second // for what must be finished after the client has gone
)

// A session is a session record, read.
type session struct {
	key     string // of its record
	version int64  // likewise
	header  header
	values  string // the application's, encoded

	// before is the login as it was when the request's token was good, if another
	// request has rotated that token since: this request is no fresher. It is never
	// stored. nil: the request has the newest token.
	before *header
}

// shown is the header that the request may act on.
func (s *session) shown() *header {
	if s.before != nil {
		return s.before
	}
	return &s.header
}

func (s *session) isLogin() bool { return s != nil && s.header.userID != "" }

func (s *session) kind() string {
	if s.header.userID == "" {
		return kindVisitor
	}
	return kindSession
}

// recordOf returns the record of a session.
func (c *Core) recordOf(s *session) Record {
	return Record{
		Kind: s.kind(), Key: s.key, UserID: s.header.userID, Version: s.version,
		Data: s.header.encode(s.values), Expires: c.kept(&s.header),
	}
}

// expires is when a session ends if nothing more happens. Limits run from the
// login, so that no rotation extends them.
func (c *Core) expires(h *header) time.Time {
	end := h.created.Add(c.cfg.Lifetime)
	if c.cfg.IdleTimeout > 0 {
		if idle := h.seen.Add(c.cfg.IdleTimeout); idle.Before(end) {
			return idle
		}
	}
	return end
}

// kept is until when the record of a session is kept: up to a quarter of
// IdleTimeout longer than the session is good for, so that few touches put it
// off. Databases have an index of it, and to change what is indexed is several
// times the work.
func (c *Core) kept(h *header) time.Time {
	end, step := h.created.Add(c.cfg.Lifetime), c.cfg.IdleTimeout/4
	if step <= 0 {
		return end
	}
	good := c.expires(h).Sub(h.created)
	return earlier(h.created.Add(good-good%step+step), end)
}

// A state is what a request knows about its session. It lives from LoadAndSave
// to the end of the request. What every request needs is in it, and not behind
// a pointer, so that it is allocated in one piece.
type state struct {
	core      *Core
	request   *http.Request  // as it came
	url       *url.URL       // likewise, if the request has no RequestURI
	served    *http.Request  // the same request with ctx, which handlers get
	forwarded []string       // the lines of X-Forwarded-For that it came with
	ctx       requestContext // its context, with this state in it
	inner     innerContext   // the same without it
	writer    responseWriter

	// loading is held while the request is identified and the user is loaded, so
	// that each happens once.
	loading sync.Mutex

	// identified says that it is known whether the request has credentials of its
	// own, which is own, and that its session has been read if it has none. The
	// cookies of a request that has some are not looked at.
	identified atomic.Bool
	own        bool

	// op guards what follows, and is held while it is brought in line with the
	// store. scs has a lock of its own, which is always taken before op.
	op          sync.Mutex
	failed      error    // the session could not be read: nobody can say whose it is
	cur         *session // what the request came with, or has become; nil: nothing is stored
	user        User
	grant       *Grant            // of the request loader that found the user, if one did
	proved      string            // the ID of the account whose password this request has shown
	breachAsked Secret            // the password that Config.Breaches was last asked about
	cookie      map[string]cookie // to be set
	arrived     time.Time         // when the request did, if it has a cookie
	next        Next              // to be kept in a cookie
	flash       []Flash

	ended        bool // the record that the request came with was removed by another: nothing is stored any more
	loggedOut    bool // and it was a login
	replaced     bool // the request's token was replaced with a credential: see ErrReplaced
	userKnown    bool
	varies       bool // the answer depends on the cookie
	suspect      bool // the login is used from another client: see Config.Protection
	committed    bool // the header is written: no cookie can be set any more
	resumed      bool // the remember cookie has been tried
	unread       bool // nobody was told that the session could not be read: the answer is an error
	scoped       bool // CheckScope has let the request through
	breached     bool // what Config.Breaches said of breachAsked
	flashRead    bool
	flashChanged bool

	// noted are events that wait until no lock is held: what hears of them may
	// ask who the user is. met is the first failure that a method returned.
	noting sync.Mutex
	noted  []Event
	met    error

	// values guards the application's data on its way between the record and
	// scs. No store is called while it is held.
	values   sync.Mutex
	loaded   string         // what scs has been given, encoded
	given    map[string]any // the same map that scs has; only to be touched under scs's lock
	scsData  any            // scs's own state, once the application has asked for it
	scsReady bool
	dirty    atomic.Bool // something may have changed since commit
}

// A requestContext is a request's context with its state. It answers scs, too,
// and only then decodes the application's values: most requests never ask.
type requestContext struct {
	context.Context
	state *state
}

type stateKey struct{ core *Core }

// clientKey is for the state, too, and answered where there is no session: by
// whom, and from where, does not wait for anything.
type clientKey struct{ core *Core }

func (c *requestContext) Value(key any) any {
	switch k := key.(type) {
	case stateKey:
		if k.core == c.state.core {
			return c.state
		}
	case clientKey:
		if k.core == c.state.core {
			return c.state
		}
	}
	if key == c.state.core.scsKey {
		return c.state.scs()
	}
	return c.Context.Value(key)
}

// An innerContext is what stores get while a lock of the state is held. There
// is no session in it: a store, or a log of its own, that asks who the user is
// would wait for itself.
type innerContext struct {
	context.Context
	core *Core
}

func (c *innerContext) Value(key any) any {
	if k, ok := key.(stateKey); ok && k.core == c.core {
		return nil
	}
	return c.Context.Value(key)
}

// stateOf returns nil outside LoadAndSave. It settles whose the request is, so
// that its session is known.
func (c *Core) stateOf(ctx context.Context) *state {
	s := c.requestOf(ctx)
	if s != nil {
		s.settle(false)
	}
	return s
}

// requestOf is stateOf for what does not depend on the session, and so asks no
// request loader and no store.
func (c *Core) requestOf(ctx context.Context) *state {
	s, _ := ctx.Value(stateKey{c}).(*state)
	return s
}

// clientOf is stateOf for what the state says about the client, and nothing
// else.
func (c *Core) clientOf(ctx context.Context) *state {
	s, _ := ctx.Value(clientKey{c}).(*state)
	return s
}

// inner returns a context for stores: see innerContext.
func (c *Core) inner(ctx context.Context) context.Context {
	if outer, ok := ctx.(*requestContext); ok && outer.state.core == c { // it has one already
		return &outer.state.inner
	}
	return &innerContext{ctx, c}
}

// detach returns a context for steps that belong together: a client that goes
// away must not leave half of them.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
}

// client is where the request came from, whatever has been done to it since, or
// the zero Addr.
func (s *state) client() netip.Addr {
	return s.core.clientAddress(s.request.RemoteAddr, s.forwarded)
}

// address is the client's IP address in canonical form, or empty.
func (s *state) address() string {
	client := s.client()
	if !client.IsValid() {
		return ""
	}
	return client.String()
}

// agent is what the client says that it is, without what cannot be seen or makes
// a log say something else.
func (s *state) agent() string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, cut(s.request.UserAgent(), 256))
}

// note keeps an event for emit.
func (s *state) note(e Event) {
	s.noting.Lock()
	defer s.noting.Unlock()
	s.noted = append(s.noted, e)
}

// meet keeps a failure that the application is told of. The request is then
// answered by it, also if the handler takes no notice: see responseWriter.start.
func (s *state) meet(err error) {
	if errors.Is(err, ErrNotLoggedIn) { // as for most visitors: errors.As would allocate
		return
	}
	if f := (failure{}); !errors.As(err, &f) || statusOf(err) < http.StatusInternalServerError {
		return
	}
	s.noting.Lock()
	defer s.noting.Unlock()
	if s.met == nil {
		s.met = err
	}
}

// hasMet returns the first failure that the application was told of, or nil.
func (s *state) hasMet() error {
	s.noting.Lock()
	defer s.noting.Unlock()
	return s.met
}

// met is meet for the error that a method is about to return.
func (c *Core) met(ctx context.Context, err *error) {
	if *err == nil {
		return
	}
	if s := c.requestOf(ctx); s != nil {
		s.meet(*err)
	}
}

// emit tells of what was noted. The caller holds no lock.
func (s *state) emit() {
	s.noting.Lock()
	events := s.noted
	s.noted = nil
	s.noting.Unlock()
	for _, e := range events {
		s.core.event(&s.ctx, e)
	}
}

// load reads the session of the request's cookies. The caller emits.
func (s *state) load() error {
	if len(s.request.Header["Cookie"]) == 0 {
		return nil
	}
	now := s.arrived // a request loader may have put this off
	for _, c := range [...]struct{ cookie, kind string }{
		{s.core.cookies.session, kindSession},
		{s.core.cookies.visitor, kindVisitor},
	} {
		key := s.sentKey(c.cookie)
		if key == "" {
			continue
		}
		found, err := s.fetch(&s.inner, c.kind, key, now)
		if err != nil {
			return err
		}
		if found == nil {
			found, s.replaced, err = s.successor(&s.inner, c.kind, key, rotationGrace, now)
			if err != nil || s.replaced {
				return err
			}
		}
		if found == nil {
			continue
		}
		s.cur = found
		err = s.review(now)
		if s.cur != nil {
			s.loaded = s.cur.values
		}
		return err
	}
	return nil
}

// fail notes that nobody can say whose the request is. Nothing is stored any more.
func (s *state) fail(err error) {
	s.op.Lock()
	s.failed, s.ended, s.cur = err, true, nil
	s.op.Unlock()
	s.identified.Store(true)
}

// identify finds out whether the request has credentials that a request loader
// knows, and reads its session if it has none. The caller holds loading, and emits.
// After an error the loaders are asked again by whoever asks next.
func (s *state) identify() error {
	if s.identified.Load() {
		return s.failed
	}
	done := false
	defer func() {
		if !done { // a loader panicked: the request is nobody's
			s.op.Lock()
			s.own, s.userKnown = true, true
			s.op.Unlock()
			s.identified.Store(true)
		}
	}()
	own, err := s.askLoaders()
	done = true
	if err != nil {
		return hidden(err)
	}
	if !own {
		if err := s.load(); err != nil {
			s.fail(hidden(err))
			return s.failed
		}
	}
	s.op.Lock()
	if s.failed != nil { // the loaders', before
		s.failed, s.ended, s.unread = nil, false, false
	}
	s.op.Unlock()
	s.identified.Store(true)
	return nil
}

// settle is identify for callers that cannot return its error. The request is then
// answered by the error, unless somebody who asks again is told, or has better luck;
// after final nobody asks again.
func (s *state) settle(final bool) {
	if s.identified.Load() {
		return
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if s.identified.Load() {
		return
	}
	err := s.identify()
	if err == nil {
		return
	}
	s.op.Lock()
	s.failed, s.ended, s.unread = err, true, true
	s.op.Unlock()
	if final {
		s.identified.Store(true)
	}
}

// sent returns the value of a cookie of the request, and whether it has one.
func (s *state) sent(name string) (value string, ok bool) {
	if s.own {
		return "", false
	}
	return cookieOf(s.request, name)
}

// sentKey returns the key of the record that a cookie of the request names, or "".
func (s *state) sentKey(cookie string) string {
	token, _ := s.sent(cookie)
	if len(token) != tokenLength {
		return ""
	}
	return tokenKey(token)
}

// fetch returns a session, or nil if there is none or it is not one.
func (s *state) fetch(ctx context.Context, kind, key string, now time.Time) (*session, error) {
	record, err := s.core.sessions.GetRecord(ctx, kind, key)
	if err != nil {
		return nil, unlessNotFound(err)
	}
	found := &session{key: key, version: record.Version}
	h, ok := &found.header, false
	if found.values, ok = h.decode(string(record.Data)); !ok || h.userID != record.UserID || (kind == kindSession) != (h.userID != "") {
		s.note(Event{Kind: EventSessionDamaged, UserID: record.UserID, Err: errDamaged})
		return nil, nil
	}
	if !now.Before(s.core.expires(h)) {
		return nil, nil
	}
	return found, nil
}

// reread takes the session as another request has written it, or what that has
// rotated it to. The caller is that of lose.
func (s *state) reread(ctx context.Context) error {
	now := s.core.cfg.Now()
	found, err := s.fetch(ctx, s.cur.kind(), s.cur.key, now)
	if err == nil && found == nil { // the request was here before the rotation, however long ago that is
		found, s.replaced, err = s.successor(ctx, s.cur.kind(), s.cur.key, rotatedFor, now)
	}
	if found != nil && s.cur.before != nil {
		found.before = s.cur.before
	}
	switch {
	case err != nil:
		return err
	case found == nil:
		s.lose()
	default:
		s.cur = found
	}
	return nil
}

// lose notes that another request has removed the session. The caller holds op,
// or is the only one that has s.
func (s *state) lose() {
	s.loggedOut = s.loggedOut || s.cur.isLogin()
	s.cur, s.ended = nil, true
}

// gone says why the session that the request came with is gone.
func (s *state) gone() error {
	if s.replaced {
		return ErrReplaced
	}
	return ErrLoggedOut
}

// update changes the session's record by compare-and-set, wherever other requests
// have rotated it to. It returns what gone says if there is none any more. The
// caller holds op.
func (s *state) update(ctx context.Context, change func(*session)) error {
	for range maxConflicts {
		next := *s.cur
		change(&next)
		err := s.core.sessions.UpdateRecord(ctx, s.core.recordOf(&next))
		switch {
		case err == nil:
			next.version++
			s.cur = &next
			return nil
		case unlessNotFound(err) != nil && !errors.Is(err, ErrConflict):
			return err
		}
		if err := s.reread(ctx); err != nil {
			return err
		}
		if s.cur == nil {
			return s.gone()
		}
	}
	return fmt.Errorf("auth: the session could not be saved: %w", ErrConflict)
}

// User is Manager.User.
func (c *Core) User(ctx context.Context) (User, error) {
	user, err := c.loadUser(ctx)
	if err == nil && c.requestOf(ctx).outOfScope(ctx) {
		return nil, ErrScope
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

// currentUser loads the user, once. It reports whether that showed that the
// session is void.
func (s *state) currentUser(ctx context.Context) (user User, void bool, err error) {
	s.loading.Lock()
	defer s.loading.Unlock()
	if err := s.identify(); err != nil {
		s.op.Lock()
		defer s.op.Unlock()
		s.varies, s.unread = true, false // the caller is told
		return nil, false, err
	}
	for {
		s.op.Lock()
		s.varies = true
		if try := !s.cur.isLogin() && !s.resumed && !s.loggedOut && !s.replaced && !s.committed; try {
			s.op.Unlock()
			if err := s.resume(); err != nil {
				return nil, void, hidden(err)
			}
			s.op.Lock()
			s.resumed = true // not before: who asks again after a failure is not to be told that it is nobody
			s.op.Unlock()
			continue
		}
		cur := s.cur
		if !s.userKnown && !cur.isLogin() {
			s.user, s.userKnown = nil, true
		}
		user, known, replaced := s.user, s.userKnown, s.replaced
		s.op.Unlock()
		switch {
		case known && user == nil && replaced:
			return nil, void, ErrReplaced
		case known && user == nil:
			return nil, void, ErrNotLoggedIn
		case known:
			return user, void, nil
		}
		user, err := s.core.users.load(s.core.inner(ctx), cur.header.userID)
		if err != nil && !errors.Is(err, ErrUserNotFound) {
			return nil, void, err
		}
		isVoid, err := s.takeUser(cur, user)
		if void = void || isVoid; err != nil {
			return nil, void, failure{err}
		}
	}
}

// takeUser takes the user that was loaded for a session, unless somebody has
// logged in or out meanwhile. It reports whether the session is void.
func (s *state) takeUser(cur *session, user User) (void bool, err error) {
	s.op.Lock()
	defer s.op.Unlock()
	if s.cur != cur {
		return false, nil
	}
	reason := invalid(cur.header.stamp, user)
	switch {
	case reason == nil:
		s.user, s.userKnown = user, true
		return false, nil
	case errors.Is(reason, ErrLoggedOut):
		// A request of the same login may have changed the Stamp just now, and be about
		// to replace this record: then it is not for us to remove.
		_, replaced, err := s.successor(&s.inner, cur.kind(), cur.key, rotatedFor, s.core.cfg.Now())
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

// invalid says why something that was made with this stamp is not the user's
// any more, or nil. The user is nil if the account is gone.
func invalid(stamp string, user User) error {
	switch {
	case user == nil:
		return ErrUserNotFound
	case user.AuthAccount().Disabled:
		return ErrDisabled
	case !user.AuthAccount().Stamp.Equal(NewSecret(stamp)):
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
	s.core.watches.endOne(cur.header.userID, cur.header.loginID)
	s.note(Event{Kind: EventSessionEnded, UserID: cur.header.userID, Err: reason})
	ctx, cancel := detach(&s.inner)
	defer cancel()
	s.drop(ctx, cur)
}

// drop deletes a session's record where it is safe if that fails.
func (s *state) drop(ctx context.Context, old *session) {
	if err := take(ctx, s.core.sessions, old.kind(), old.key); err != nil {
		s.note(Event{Kind: EventStoreFailed, UserID: old.header.userID, Err: err})
	}
}

// take deletes a record that may be gone already.
func take(ctx context.Context, store RecordStore, kind, key string) error {
	_, err := store.TakeRecord(ctx, kind, key)
	return unlessNotFound(err)
}

func unlessNotFound(err error) error {
	if errors.Is(err, ErrRecordNotFound) {
		return nil
	}
	return err
}

// A cookie is the value of one that is to be set, and when it ends. Without a value
// it is to be deleted, and without an end it lasts as long as the browser runs.
type cookie struct {
	value string
	until time.Time
}

func (s *state) setCookie(name, value string, until time.Time) {
	if s.cookie == nil {
		s.cookie = map[string]cookie{}
	}
	s.cookie[name] = cookie{value, until}
}

// deleteCookie deletes a cookie if the client has it or is about to.
func (s *state) deleteCookie(name string) {
	_, set := s.cookie[name]
	if _, has := s.sent(name); has {
		s.setCookie(name, "", time.Time{})
	} else if set {
		delete(s.cookie, name)
	}
}

// keepWaiting leaves what waits for the next page, and the page that is to follow
// the login, as the request found it: nobody sees the answer that used it.
func (s *state) keepWaiting() {
	s.op.Lock()
	defer s.op.Unlock()
	s.flashChanged, s.next = false, Next{}
	delete(s.cookie, s.core.cookies.next)
}

// saveValues has scs store the application's values.
func (s *state) saveValues() error {
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	_, _, err := s.core.scs.Commit(ctx)
	return err
}

// commit stores what the request changed and sets the cookies. It runs once,
// before the response's header goes out.
func (s *state) commit(h http.Header) error {
	defer s.emit()
	s.values.Lock()
	ready := s.scsReady
	s.values.Unlock()
	s.dirty.Store(false)
	var err error
	if ready && s.failed == nil && s.core.scs.Status(&s.ctx) == scs.Modified { // else scs has met the failure
		err = s.saveValues()
	}
	s.op.Lock()
	defer s.op.Unlock()
	if s.committed = true; s.unread {
		err = s.failed
	}
	if err != nil {
		return err
	}
	if s.flashChanged {
		if value := s.sealFlashes(); value != "" {
			s.setCookie(s.core.cookies.flash, value, time.Time{})
		} else {
			s.deleteCookie(s.core.cookies.flash)
		}
	}
	names := &s.core.cookies
	if !s.next.IsZero() {
		s.setCookie(names.next, s.sealNext(), time.Time{})
	}
	if s.own && !s.cur.isLogin() { // a client that sends its credentials with each request keeps nothing
		s.cookie = nil
	}
	for _, name := range [...]string{names.session, names.visitor, names.flash, names.next, names.remember, names.browser} {
		if set, ok := s.cookie[name]; ok {
			names.write(h, name, set, s.core.cfg.Now())
		}
	}
	if s.varies || s.flashRead || ready {
		h["Vary"] = append(h["Vary"], "Cookie")
		if len(s.core.cfg.RequestLoaders) > 0 {
			h["Vary"] = append(h["Vary"], "Authorization")
		}
	}
	// What was made for one user is nobody else's, nor the back button's; and a
	// cookie is never to be cached, whatever the application says.
	personal := (s.varies || ready) && (s.cur != nil || s.user != nil || s.loggedOut)
	says := h["Cache-Control"]
	shown := s.flashRead && len(s.flash) > 0 // and still waiting, so that no cookie is set
	if len(s.cookie) > 0 || shown || personal && (len(says) == 0 || says[0] == "") {
		h["Cache-Control"] = []string{"no-store"}
	}
	return nil
}
