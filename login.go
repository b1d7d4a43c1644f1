package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// A LoginOption changes what LoginUser does.
type LoginOption func(*loginOptions)

type loginOptions struct {
	method   string
	remember time.Duration // 0: not
	stale    bool
	device   *device // the remembered device that the login is made from
}

// Remember keeps the user logged in on this device beyond the browser's session,
// for Config.RememberFor, if on is true. Each use of the cookie replaces it. The
// old one stays good, for at most 30 uses, until the browser shows that it has the
// new one; a use after that is a theft (EventRememberStolen).
func Remember(on bool) LoginOption {
	return func(o *loginOptions) {
		if on {
			o.remember = -1 // as configured
		}
	}
}

// RememberFor is Remember for a time of its own, at most 400 days. If d is not
// positive, the user is not remembered.
func RememberFor(d time.Duration) LoginOption {
	return func(o *loginOptions) { o.remember = min(max(d, 0), maxRemember) }
}

// Fresh says whether the login counts as one in which the user has just shown
// who they are, as it does without this option. An application that logs in who
// has not, by a link or another site, says Fresh(false).
func Fresh(on bool) LoginOption {
	return func(o *loginOptions) { o.stale = !on }
}

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
		userID: a.ID, loginID: keyring.NewToken(), family: newHandle(), stamp: a.Stamp.Reveal(), methods: o.method,
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

// errTooMany is why a login was ended by another one.
var errTooMany = fmt.Errorf("%w: more than MaxSessions", ErrLoggedOut)

// addMethod adds to a header's list of methods.
func addMethod(methods, method string) string {
	if strings.Contains(" "+methods+" ", " "+method+" ") {
		return methods
	}
	return strings.TrimSpace(methods + " " + method)
}
