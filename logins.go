package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// This file is about logins that one can see and end: one's own, in other
// browsers, and those that are too many.

// ErrLoginNotFound says that the user has no login with this ID.
var ErrLoginNotFound = errors.New("auth: no such login")

// errTooMany is why a login was ended by another one.
var errTooMany = fmt.Errorf("%w: more than MaxSessions", ErrLoggedOut)

// A Login is a browser in which a user is logged in, or is remembered.
type Login struct {
	ID      string // names it to EndLogin; it is of no other use. Empty for what a request loader found
	Current bool   // it is the one that makes the request

	// For what a request loader found, these five are zero.
	Created       time.Time // when the login, or the device's first, began
	Seen          time.Time // its last request, to the minute
	Expires       time.Time // the latest that it ends, without another login
	IdleExpires   time.Time // when it ends if no request puts that off (Config.IdleTimeout, NoActivity); Expires if Remembered
	Authenticated time.Time // when the user last showed who they are in it; zero: not, or not any more
	Methods       []string  // how: "password", "remember", what an application's own are called
	Remembered    bool      // it outlives the browser's session

	Address   string // the client's IP address, when the login was made
	UserAgent string // what the client says that it is, at most 256 bytes
}

// loginHandle is a Login's ID. A session that is made from a remembered device has
// the device's.
func loginHandle(h header) string {
	switch {
	case h.family != "":
		return h.family
	case h.device != "": // a record of version 1
		return tokenKey("device " + h.device)[:22]
	}
	return tokenKey("login " + h.loginID)[:22]
}

// newHandle returns a new login's ID: what else the store has is not for pages.
func newHandle() string { return newToken()[:22] }

// login is the Login of a header.
func (c *Core) loginOf(h header) Login {
	return Login{
		ID: loginHandle(h), Created: h.created, Seen: h.seen, Expires: h.created.Add(c.cfg.Lifetime), IdleExpires: c.expires(&h),
		Authenticated: h.authenticated, Methods: strings.Fields(h.methods), Remembered: h.device != "",
		Address: h.address, UserAgent: h.agent,
	}
}

// CurrentLogin is Manager.CurrentLogin.
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
	record, err := c.records.GetRecord(c.inner(ctx), kindRemember, s.cur.header.device)
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

// Logins is Manager.Logins.
func (c *Core) Logins(ctx context.Context, userID string) (_ []Login, failing error) {
	defer c.met(ctx, &failing)
	current, err := c.currentHeader(ctx)
	if err != nil {
		return nil, err
	}
	ctx = c.inner(ctx)
	user, err := c.users.load(ctx, userID)
	if err != nil {
		return nil, err
	}
	devices, err := c.records.ListRecords(ctx, kindRemember, userID)
	if err != nil {
		return nil, err
	}
	sessions, err := c.liveLogins(ctx, user)
	if err != nil {
		return nil, err
	}
	logins := map[string]Login{}
	for _, r := range devices {
		d, ok := decodeDevice(r)
		if !ok || invalid(d.stamp, user) != nil {
			continue
		}
		id := loginHandle(d.header())
		logins[id] = Login{
			ID: id, Created: d.created, Seen: d.rotated, Expires: r.Expires, IdleExpires: r.Expires, Methods: []string{methodRemember},
			Remembered: true, Address: d.address, UserAgent: d.agent,
		}
	}
	for _, h := range sessions {
		l := c.loginOf(h)
		d, ok := logins[l.ID]
		if l.Remembered = ok && d.Remembered; ok { // the device's, or another session made from it
			newest := l
			if d.Seen.After(l.Seen) {
				newest = d
			}
			l.Methods, l.Address, l.UserAgent = newest.Methods, newest.Address, newest.UserAgent
			l.Created, l.Seen = earlier(d.Created, l.Created), newest.Seen
			l.Expires, l.Authenticated = later(d.Expires, l.Expires), later(d.Authenticated, l.Authenticated)
			l.IdleExpires = later(d.IdleExpires, l.IdleExpires)
		}
		logins[l.ID] = l
	}
	for id, l := range logins {
		l.Current = current.userID == userID && id == loginHandle(current)
		logins[id] = l
	}
	return slices.SortedFunc(maps.Values(logins), func(a, b Login) int {
		switch {
		case a.Current:
			return -1
		case b.Current:
			return 1
		}
		return cmp.Or(b.Seen.Compare(a.Seen), b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	}), nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// currentHeader is the header of the request's login, or the zero value. It is
// no error if there is none, nor outside LoadAndSave.
func (c *Core) currentHeader(ctx context.Context) (header, error) {
	s := c.stateOf(ctx)
	if s == nil {
		return header{}, nil
	}
	_, err := c.User(ctx)
	if errors.Is(err, ErrReplaced) || err != nil && !errors.Is(err, ErrNotLoggedIn) && !errors.Is(err, ErrScope) {
		return header{}, err
	}
	s.op.Lock()
	defer s.op.Unlock()
	if !s.cur.isLogin() {
		return header{}, nil
	}
	return s.cur.header, nil
}

// liveLogins returns the headers of the sessions that are good for the user as
// they are now.
func (c *Core) liveLogins(ctx context.Context, user User) ([]header, error) {
	records, err := c.sessions.ListRecords(ctx, kindSession, user.AuthAccount().ID)
	if err != nil {
		return nil, err
	}
	var live []header
	for _, r := range records {
		var h header
		_, ok := h.decode(string(r.Data))
		if ok && h.userID == r.UserID && c.cfg.Now().Before(c.expires(&h)) && invalid(h.stamp, user) == nil {
			live = append(live, h)
		}
	}
	return live, nil
}

// EndLogin is Manager.EndLogin.
func (c *Core) EndLogin(ctx context.Context, userID, id string) (failing error) {
	defer c.met(ctx, &failing)
	current, err := c.currentHeader(ctx)
	if err != nil {
		return err
	}
	if current.userID == userID && id == loginHandle(current) {
		return c.LogoutUser(ctx)
	}
	if userID == "" {
		return ErrLoginNotFound
	}
	found, err := c.endWhere(c.inner(ctx), userID, func(h header) bool { return loginHandle(h) == id })
	switch {
	case err != nil:
		return err
	case !found:
		return ErrLoginNotFound
	}
	c.event(ctx, Event{Kind: EventSessionEnded, UserID: userID, Err: ErrLoggedOut})
	return nil
}

// EndOtherLogins is Manager.EndOtherLogins.
func (c *Core) EndOtherLogins(ctx context.Context) (failing error) {
	defer c.met(ctx, &failing)
	current, err := c.currentHeader(ctx)
	switch {
	case err != nil:
		return err
	case c.stateOf(ctx) == nil:
		return ErrNoSession
	case current.userID == "":
		return ErrNotLoggedIn
	}
	found, err := c.endWhere(c.inner(ctx), current.userID, func(h header) bool { return loginHandle(h) != loginHandle(current) })
	if err == nil && found {
		c.event(ctx, Event{Kind: EventSessionEnded, UserID: current.userID, Err: ErrLoggedOut})
	}
	return err
}

// LogoutEverywhere is Manager.LogoutEverywhere.
func (c *Core) LogoutEverywhere(ctx context.Context, user User) (failing error) {
	defer c.met(ctx, &failing)
	if user == nil {
		return ErrUserNotFound
	}
	id := user.AuthAccount().ID
	inner := c.inner(ctx)
	if c.store != nil {
		stamp := NewSecret(newToken())
		_, err := c.updateAccount(inner, id, func(a *Account) error {
			a.Stamp = stamp
			return nil
		})
		if err != nil {
			return err
		}
	}
	_, err := c.endWhere(inner, id, func(header) bool { return true })
	err = errors.Join(err, c.records.DeleteRecords(inner, kindAPIToken, id))
	if c.store != nil && err != nil { // they are dead already
		c.event(ctx, Event{Kind: EventStoreFailed, UserID: id, Err: err})
		err = nil
	}
	if err != nil {
		return err
	}
	c.watches.end(id, func(string) bool { return true })
	c.event(ctx, Event{Kind: EventLogoutEverywhere, UserID: id})
	if s := c.stateOf(ctx); s != nil {
		s.revoked(id)
	}
	return nil
}

// endLogin ends the login that a session's or a device's header is of.
func (c *Core) endLogin(ctx context.Context, h header) (found bool, err error) {
	id := loginHandle(h)
	return c.endWhere(ctx, h.userID, func(other header) bool { return loginHandle(other) == id })
}

// endWhere ends some of a user's logins: their remembered devices and their
// sessions, until there are none. It reports whether there were any.
//
// Devices go first: who makes a session from one counts it as used after the
// session is stored, so that it finds the device gone, or its session is found
// here. A rotation that was under way may have inserted another session; if it
// inserts one later, it finds that the one it replaces is gone.
func (c *Core) endWhere(ctx context.Context, userID string, which func(header) bool) (found bool, err error) {
	ctx, cancel := detach(ctx)
	defer cancel()
	for range maxConflicts {
		devices, err := c.takeDevices(ctx, userID, which)
		if err != nil {
			return found, err
		}
		sessions, err := c.takeSessions(ctx, userID, which, nil)
		switch {
		case err != nil:
			return found, err
		case !devices && !sessions:
			return found, nil
		}
		found = true
	}
	return found, errKeepsComing
}

var errKeepsComing = errors.New("auth: the login's records keep coming back")

// continueAs ends sessions that have gone on as another one of the same login: a
// logout that was sent with their token still ends that.
func (c *Core) continueAs(ctx context.Context, userID string, which func(header) bool) error {
	for range maxConflicts {
		found, err := c.takeSessions(ctx, userID, which, c.leaveRotated)
		if err != nil || !found {
			return err
		}
	}
	return errKeepsComing
}

// takeDevices is one pass over a user's remembered devices.
func (c *Core) takeDevices(ctx context.Context, userID string, which func(header) bool) (found bool, err error) {
	records, err := c.records.ListRecords(ctx, kindRemember, userID)
	if err != nil {
		return false, err
	}
	for _, r := range records {
		d, ok := decodeDevice(r)
		if !ok {
			d.record = r
		}
		if which(d.header()) {
			found = true
			if err := c.endDevice(ctx, r); err != nil {
				return found, err
			}
		}
	}
	return found, nil
}

// takeSessions is one pass over a user's sessions. before, if it is not nil, runs
// before each is taken.
func (c *Core) takeSessions(ctx context.Context, userID string, which func(header) bool, before func(context.Context, string, header) error) (found bool, err error) {
	records, err := c.sessions.ListRecords(ctx, kindSession, userID)
	if err != nil {
		return false, err
	}
	for _, r := range records {
		var h header
		if _, ok := h.decode(string(r.Data)); !ok || !which(h) {
			continue
		}
		found = true
		if before != nil {
			if err := before(ctx, r.Key, h); err != nil {
				return found, err
			}
		}
		if err := take(ctx, c.sessions, kindSession, r.Key); err != nil {
			return found, err
		}
		c.watches.endOne(userID, h.loginID)
	}
	return found, nil
}

// trim ends the user's oldest logins and devices, if there are more than
// MaxSessions. Each login does so after it was stored: of any number at the same
// moment the last one to look sees all, and leaves no more.
func (s *state) trim(user User) error {
	c, limit := s.core, s.core.cfg.MaxSessions
	s.op.Lock()
	var kept header
	if s.cur.isLogin() {
		kept = s.cur.header
	}
	s.op.Unlock()
	if limit < 0 || kept.userID == "" {
		return nil
	}
	ctx, cancel := detach(&s.inner)
	defer cancel()
	userID := user.AuthAccount().ID
	live, err := c.liveLogins(ctx, user)
	if err != nil {
		return err
	}
	newestFirst(live, loginHandle(kept), func(h header) (string, time.Time) { return loginHandle(h), h.created })
	seen, ended := map[string]bool{}, map[string]bool{}
	for _, h := range live {
		// Browsers are counted: a device and the logins made from it are one.
		id := loginHandle(h)
		if seen[id] || len(seen) < limit {
			seen[id] = true
			continue
		}
		if ended[id] {
			continue
		}
		ended[id] = true
		if _, err := c.endLogin(ctx, h); err != nil {
			return err
		}
		s.note(Event{Kind: EventSessionEnded, UserID: userID, Err: errTooMany})
	}
	if kept.device == "" {
		return nil
	}
	devices, err := c.records.ListRecords(ctx, kindRemember, userID)
	if err != nil || len(devices) <= limit {
		return err
	}
	newestFirst(devices, kept.device, func(r Record) (string, time.Time) {
		d, _ := decodeDevice(r) // one that is damaged is the oldest
		return r.Key, d.rotated
	})
	for _, r := range devices[limit:] {
		_, err := c.endWhere(ctx, userID, func(h header) bool { return h.device == r.Key })
		if err != nil {
			return err
		}
	}
	return nil
}

// newestFirst sorts by time, but for the one that is kept, which comes first.
func newestFirst[T any](items []T, keep string, of func(T) (string, time.Time)) {
	slices.SortFunc(items, func(a, b T) int {
		idA, timeA := of(a)
		idB, timeB := of(b)
		if (idA == keep) != (idB == keep) {
			if idA == keep {
				return -1
			}
			return 1
		}
		return cmp.Or(timeB.Compare(timeA), cmp.Compare(idA, idB))
	})
}

// watches are the requests of this process that want to know when their login
// ends.
type watches struct {
	mu     sync.Mutex
	byUser map[string]map[*watch]bool
}

type watch struct {
	loginID string
	cancel  context.CancelCauseFunc
}

func (w *watches) add(userID string, one *watch) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byUser == nil {
		w.byUser = map[string]map[*watch]bool{}
	}
	if w.byUser[userID] == nil {
		w.byUser[userID] = map[*watch]bool{}
	}
	w.byUser[userID][one] = true
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.byUser[userID], one); len(w.byUser[userID]) == 0 {
			delete(w.byUser, userID)
		}
	}
}

// end tells those whose login has ended.
func (w *watches) end(userID string, ended func(loginID string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.byUser[userID] {
		if ended(one.loginID) {
			one.cancel(ErrLoggedOut)
		}
	}
}

// endOne is end for one login.
func (w *watches) endOne(userID, loginID string) {
	w.end(userID, func(id string) bool { return id == loginID })
}

// WhileLoggedIn is Manager.WhileLoggedIn.
func (c *Core) WhileLoggedIn(ctx context.Context) (context.Context, context.CancelFunc) {
	watched, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(context.Canceled) }
	user, err := c.User(ctx)
	if err != nil {
		cancel(err)
		return watched, stop
	}
	s, userID := c.stateOf(ctx), user.AuthAccount().ID
	s.op.Lock()
	id, isLogin, lost := s.grant.token(), s.cur.isLogin(), s.loggedOut
	if isLogin {
		id = s.cur.header.loginID
	}
	s.op.Unlock()
	if lost { // which the request has found out since its user was loaded
		cancel(ErrLoggedOut)
		return watched, stop
	}
	_ = context.AfterFunc(watched, c.watches.add(userID, &watch{id, cancel}))
	inner := c.inner(ctx)
	// It may have ended before it was watched, and ends by itself when its time is
	// up, which other requests put off.
	var look func(expected time.Time)
	look = func(expected time.Time) {
		end, err := c.aliveUntil(inner, user, id, isLogin)
		switch {
		case err != nil:
			cancel(err)
		case end.IsZero() || watched.Err() != nil:
		case end.Equal(expected): // and this is when
			cancel(ErrLoggedOut)
		default:
			timer := time.AfterFunc(end.Sub(c.cfg.Now()), func() { look(end) })
			_ = context.AfterFunc(watched, func() { timer.Stop() })
		}
	}
	look(time.Time{})
	err = context.Cause(watched)
	c.met(ctx, &err)
	return watched, stop
}

// aliveUntil is when a login, or an API token, ends if nothing more happens; zero
// if it has no end of its own. It returns ErrLoggedOut if it has ended.
func (c *Core) aliveUntil(ctx context.Context, user User, id string, isLogin bool) (end time.Time, err error) {
	// As the account is now: its Stamp may have changed since the request began.
	now, err := c.users.load(ctx, user.AuthAccount().ID)
	if errors.Is(err, ErrUserNotFound) || err == nil && invalid(user.AuthAccount().Stamp.Reveal(), now) != nil {
		return end, ErrLoggedOut
	} else if err != nil {
		return end, err
	}
	switch {
	case isLogin:
		live, err := c.liveLogins(ctx, now)
		i := slices.IndexFunc(live, func(h header) bool { return h.loginID == id })
		if err == nil && i < 0 {
			err = ErrLoggedOut
		} else if err == nil {
			end = c.expires(&live[i])
		}
		return end, err
	case id != "":
		token, err := c.records.GetRecord(ctx, kindAPIToken, id)
		if errors.Is(err, ErrRecordNotFound) {
			err = ErrLoggedOut
		}
		return token.Expires, err
	}
	return end, nil
}

// stillIn returns ErrLoggedOut if what has let the request in was ended since.
// What makes a credential asks: a client may hold a request open for as long as
// it likes, with half of its body.
func (c *Core) stillIn(ctx context.Context) error {
	s := c.stateOf(ctx)
	if s == nil {
		return nil
	}
	ctx = c.inner(ctx)
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
