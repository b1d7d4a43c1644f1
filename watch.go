package auth

import (
	"context"
	"errors"
	"slices"
	"time"
)

// WhileLoggedIn returns a context for a request that goes on for long, such as a
// stream or a WebSocket. It is done when the login ends, with the cause
// ErrLoggedOut: by a logout, in this browser or from another one, a change of
// password (also one's own: the page connects again), Session.Max,
// Config.Session.IdleTimeout (which other requests put off, and not this one) or
// Config.Session.Lifetime. What another process does, and what an application changes in
// an account with statements of its own, it finds out no sooner than that. It
// looks once at the beginning whether the login is still good, which loads the
// user anew. If nobody is logged in, it is
// done at once, with the cause that User returns. Call the function when the
// request ends.
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
	// It may have ended before it was watched, and ends by itself when its time is
	// up, which other requests put off.
	var look func(expected time.Time)
	look = func(expected time.Time) {
		end, err := c.aliveUntil(ctx, user, id, isLogin)
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
