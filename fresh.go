package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// This file is about how sure it is that the user is still the one at the
// keyboard: a login is fresh if the user has shown who they are in it, and not
// too long ago. One that a remember cookie has made is not.

// ErrNotFresh says that somebody is logged in, and is to show once more who they
// are.
var ErrNotFresh = errors.New("auth: the login is not fresh")

// Fresh says whether the login counts as one in which the user has just shown
// who they are, as it does without this option. An application that logs in who
// has not, by a link or another site, says Fresh(false).
func Fresh(on bool) LoginOption {
	return func(o *loginOptions) { o.stale = !on }
}

// maxSkew is how much the clocks of servers may differ. A login that is younger
// than that was made before a clock was put back, and nobody knows how long ago.
const maxSkew = time.Minute

// CheckFresh is Manager.CheckFresh.
func (c *Core) CheckFresh(ctx context.Context, maxAge time.Duration) error {
	if _, err := c.User(ctx); err != nil {
		return err
	}
	s := c.stateOf(ctx)
	s.op.Lock()
	defer s.op.Unlock()
	if !s.cur.isLogin() || s.suspect || s.cur.shown().authenticated.IsZero() {
		return ErrNotFresh
	}
	age := c.cfg.Now().Sub(s.cur.shown().authenticated)
	if maxAge < 0 || maxAge > 0 && (age > maxAge || age < -maxSkew) {
		return ErrNotFresh
	}
	return nil
}

// RequireFresh is Manager.RequireFresh.
func (c *Core) RequireFresh(maxAge time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return c.guard(next, c.Error, func(ctx context.Context) error { return c.CheckFresh(ctx, maxAge) })
	}
}

// ConfirmLogin is Manager.ConfirmLogin.
func (c *Core) ConfirmLogin(ctx context.Context) (failing error) {
	defer c.met(ctx, &failing)
	user, err := c.User(ctx)
	if err != nil {
		return err
	}
	s := c.stateOf(ctx)
	defer s.emit()
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.loggedOut, s.replaced:
		return s.gone()
	case !s.cur.isLogin(): // a request loader's
		return ErrNotLoggedIn
	case s.committed:
		return ErrHeaderWritten
	}
	method := ""
	if s.proved == s.cur.header.userID {
		method = methodPassword
	}
	confirm := func(h *header) {
		h.authenticated, h.address, h.agent = c.cfg.Now(), s.address(), s.agent()
		h.methods = addMethod(h.methods, method)
	}
	if s.cur.before == nil {
		h := s.cur.header
		confirm(&h)
		err = s.replace(h, s.cur.values, tokenRotated, nil)
	}
	if s.cur != nil && s.cur.before != nil {
		// Another request has just rotated the token. If this one did so too, the
		// browser might keep the wrong one of two cookies. So the new record is
		// confirmed where it is.
		ctx, cancel := detach(&s.inner)
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
	s.note(Event{Kind: EventConfirmed, UserID: user.AuthAccount().ID, Method: method})
	return nil
}

// addMethod adds to a header's list of methods.
func addMethod(methods, method string) string {
	if strings.Contains(" "+methods+" ", " "+method+" ") {
		return methods
	}
	return strings.TrimSpace(methods + " " + method)
}
