package auth

import (
	"context"
	"errors"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// LoginUser logs the user in. It passes the gates, gives the session a new token, and
// stores the login before it returns. The cookie goes out with the response's header.
// The login stays even if the handler fails afterwards, with a 5xx too.
//
// If an anonymous visitor had data in the session, it is kept; another user's data is
// dropped. An earlier login of this browser ends, and so does its remembered device.
// With the option Remember, the browser is remembered anew.
//
// LoginUser returns ErrNoSession outside LoadAndSave and ErrHeaderWritten after the
// header. An error that wraps ErrLoginRefused comes from a gate, and so does
// ErrFactorRequired: the login waits for a second factor. ErrLoggedOut means
// that the earlier login of this browser was ended at the same moment.
func (c *Core) LoginUser(ctx context.Context, user User, options ...LoginOption) (failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return ErrUserNotFound
	}
	s := c.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	defer s.emit()
	o, err := readOptions(options)
	if err != nil {
		return err
	}
	a := o.attempt(user, s.shownMethods(idOf(user)), c.cfg.Now())
	return s.enter(&a)
}

// shownMethods returns what this request has shown for an account: its password, or
// nothing.
func (s *state) shownMethods(userID string) (shown methods) {
	s.op.Lock()
	defer s.op.Unlock()
	if userID != "" && s.seldom().proved == userID {
		shown = shown.add(methodPassword, s.core.cfg.Now())
	}
	return shown
}

// enter makes the request a logged-in one. Every way to log in ends here, and nothing
// else does it.
func (s *state) enter(a *attempt) error {
	_, end := s.core.cfg.Trace.begin(&s.ctx, "login", "")
	err := errPanicked
	defer func() { end(err) }()
	err = s.admit(a)
	return err
}

// admit is enter without its trace.
func (s *state) admit(a *attempt) error {
	id, method := idOf(a.user), a.methods.String()
	otherUser, err := false, s.core.notActing(&s.ctx)
	if err == nil {
		err = s.trusted(a)
	}
	if err == nil {
		err = s.core.passLogin(&s.ctx, a)
	}
	if err == nil {
		otherUser, err = s.login(a)
	}
	if err == nil {
		err = s.checkShown(a)
	}
	if errors.Is(err, ErrFactorRequired) && a.device == nil {
		return s.wait(a, "", err)
	}
	if err != nil {
		if !errors.Is(err, ErrConflict) { // after a conflict the caller begins again
			s.note(Event{Kind: EventLoginRefused, UserID: id, Method: method, Err: err})
		}
		return err
	}
	if otherUser {
		s.clearValues()
	}
	s.note(Event{Kind: EventLoginSucceeded, UserID: id, Method: method})
	if a.device == nil {
		s.op.Lock()
		err := s.dropPending(&s.ctx) // another login of this browser that waits, perhaps of another user
		s.op.Unlock()
		if err != nil { // it still owes its factor
			s.note(Event{Kind: EventCleanupFailed, UserID: id, Err: err})
		}
	}
	if err := s.trim(a.user); err != nil { // the next login calls trim again
		s.note(Event{Kind: EventCleanupFailed, UserID: id, Err: err})
	}
	return nil
}

// checkShown ends the login that was just made or confirmed, if what the user has shown was
// removed meanwhile.
func (s *state) checkShown(a *attempt) error {
	err := s.core.checkShown(&s.ctx, a)
	if err == nil {
		return nil
	}
	s.op.Lock()
	failed := s.end()
	if failed != nil { // the records may fail while the sessions are in another store, which works
		if s.cur.isLogin() {
			s.drop(&s.ctx, s.cur)
		}
		s.cur, s.user, s.deviceTried = nil, nil, true
		s.deleteCookie(s.core.cookies.session)
		s.deleteCookie(s.core.cookies.remember)
	}
	s.op.Unlock()
	s.clearValues()
	return errors.Join(err, failed)
}

// login makes the request's session one of the user's. otherUser reports whether the
// session was another user's before.
func (s *state) login(in *attempt) (otherUser bool, err error) {
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
	a, old, h, values := in.user.AuthAccount(), s.cur, s.newHeader(in), ""
	if old != nil {
		values = old.values
	}
	if old.isLogin() {
		if otherUser = old.header.userID != a.ID; otherUser {
			values = ""
		} else {
			h.loginID, h.family = old.header.loginID, loginHandle(old.header) // the same login goes on
		}
	}
	var devices []header // the browser was remembered as these; they end
	if in.device == nil {
		if devices, err = s.oldDevices(&h); err != nil {
			return false, err
		}
	}
	var fresh *device
	if in.remember != 0 {
		if fresh, err = s.insertDevice(a, in.remember, h); err != nil {
			return false, err
		}
		h.device = fresh.record.Key
	}
	if err := s.storeLogin(in, h, values, devices); err != nil {
		s.dropDevice(fresh)
		return false, err
	}
	if in.device == nil {
		s.rememberAs(fresh)
	}
	if in.methods.has(methodPassword) {
		s.knowBrowser(a.ID, a.Stamp)
	}
	if otherUser {
		s.core.watches.endOne(old.header.userID, old.header.loginID)
		s.note(Event{Kind: EventLoginEnded, UserID: old.header.userID})
	}
	s.user, s.hadUser, s.ended, s.suspect, s.replaced, s.grant = in.user, true, false, false, false, nil
	return otherUser, nil
}

// newHeader returns the header of a new login.
func (s *state) newHeader(in *attempt) header {
	a, now := in.user.AuthAccount(), s.core.cfg.Now()
	h := header{
		userID: a.ID, loginID: keyring.NewToken(), family: newHandle(), stamp: a.Stamp.Reveal(), methods: in.methods,
		address: s.address(), agent: s.agent(),
		authenticated: now, created: now, seen: now,
	}
	if in.stale {
		h.authenticated = time.Time{}
	}
	if d := in.device; d != nil {
		h.authenticated, h.device, h.family = time.Time{}, d.record.Key, loginHandle(d.header())
		h.counter, h.unseen = d.counter, d.cookie != ""
		if d.suspect { // the session stays bound to the client that the device is bound to
			h.address, h.agent = d.address, d.agent
		}
	}
	return h
}

// oldDevices returns the devices as which the browser was remembered. If one belongs to the
// user of h, the new login gets its family. The caller holds op.
func (s *state) oldDevices(h *header) (devices []header, err error) {
	old := s.cur
	if old.isLogin() && old.header.device != "" {
		devices = append(devices, old.header)
	}
	d, err := s.cookieDevice()
	if err != nil {
		return nil, err
	}
	if d != nil && d.record.Kind == kindRemember {
		if devices = append(devices, d.header()); !old.isLogin() && d.record.UserID == h.userID {
			h.family = loginHandle(d.header()) // a login of the same browser
		}
	}
	return devices, nil
}

// storeLogin ends the logins that were made from devices, and makes a login with this header
// the request's session. The caller holds op.
func (s *state) storeLogin(in *attempt, h header, values string, devices []header) error {
	keep := []string{h.loginID}
	if s.cur.isLogin() {
		keep = append(keep, s.cur.header.loginID) // replace takes it
	}
	if err := s.forget(devices, keep...); err != nil {
		return err
	}
	var useUp func() error
	if in.device != nil {
		useUp = func() error { return s.useUp(in.device) }
	}
	return s.replace(h, values, tokenVoid, useUp)
}

// confirm makes the request's login fresh, if the attempt passes the gates.
func (s *state) confirm(ctx context.Context, a *attempt) error {
	if err := s.makeFresh(ctx, a); err != nil {
		return err
	}
	return s.checkShown(a)
}

func (s *state) makeFresh(ctx context.Context, a *attempt) error {
	c, shown := s.core, a.methods
	if err := c.notActing(ctx); err != nil {
		return err
	}
	if err := c.passLogin(ctx, a); errors.Is(err, ErrFactorRequired) {
		s.op.Lock()
		cur := s.cur
		s.op.Unlock()
		if cur.isLogin() {
			return s.wait(a, cur.header.loginID, err)
		}
	} else if err != nil {
		return err
	}
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.loggedOut, s.replaced:
		return s.gone()
	case !s.cur.isLogin() || s.cur.header.userID != idOf(a.user): // a Credential found the user
		return ErrNotLoggedIn
	case s.committed:
		return ErrHeaderWritten
	}
	confirm := func(h *header) {
		h.authenticated, h.address, h.agent = c.cfg.Now(), s.address(), s.agent()
		for _, method := range shown.names() {
			h.methods = h.methods.add(method, c.cfg.Now())
		}
	}
	var err error
	if s.cur.before == nil {
		h := s.cur.header
		confirm(&h)
		err = s.replace(h, s.cur.values, tokenRotated, nil)
	}
	if s.cur != nil && s.cur.before != nil {
		// Another request has just rotated the token. If this one rotated it again, the
		// browser would get two cookies and might keep the older one. So the other
		// request's record is confirmed, and its token stays.
		ctx, cancel := detach(&s.ctx)
		defer cancel()
		err = s.update(ctx, func(x *session) {
			confirm(&x.header)
			before := *x.before
			confirm(&before)
			x.before = &before
		})
	}
	if err != nil {
		return err
	}
	s.suspect = false
	s.rebind(&s.cur.header)
	s.note(Event{Kind: EventLoginConfirmed, UserID: idOf(a.user), Method: shown.String()})
	return nil
}
