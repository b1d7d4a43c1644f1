package auth

import (
	"context"
	"errors"
	"slices"
	"time"
)

// WhileLoggedIn returns a context for a long request, such as a stream or a WebSocket.
// It is canceled when the login ends, with the cause ErrLoggedOut. A login ends by:
//
//   - a logout, in this browser or from another one;
//   - a change of the password, or another change that gives the account a new Stamp,
//     even by this user in this browser: the page then connects again;
//   - a newer login, if there are more than Config.Session.Max;
//   - Config.Session.IdleTimeout: other requests extend it, and this one does not;
//   - Config.Session.Lifetime.
//
// It is also canceled, with the cause ErrForbidden, if the user loses a role: the page then
// connects again, and your guard decides.
//
// The user is loaded once a minute. So a change of the account by another process, or by
// your application itself, cancels the context within a minute: a new Stamp, Disabled, or
// a role that was taken away. If another process ends this login alone, the context is
// canceled later: when IdleTimeout or Lifetime would have ended the login. At the beginning,
// WhileLoggedIn checks whether the login is still valid, and loads the user anew. If nobody is
// logged in, the context is canceled at once, with the cause that User returns.
//
// Call the returned function when the request ends.
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
	if lost { // the request has found out after it loaded its user
		cancel(ErrLoggedOut)
		return watched, stop
	}
	_ = context.AfterFunc(watched, c.watches.add(userID, &watch{id, cancel}))
	if acted := s.acted.Load(); acted != nil {
		_ = context.AfterFunc(watched, c.watches.add(acted.userID, &watch{acted.loginID, cancel}))
	}
	// look checks the login now, because it may have ended before it was watched. It
	// checks again at the time when the login should end, which other requests may
	// extend.
	var look func(expected time.Time)
	look = func(expected time.Time) {
		end, err := c.aliveUntil(ctx, user, id, isLogin)
		switch {
		case err != nil:
			cancel(err)
		case end.IsZero() || watched.Err() != nil:
		case end.Equal(expected): // no request has extended it
			cancel(ErrLoggedOut)
		default:
			timer := time.AfterFunc(end.Sub(c.cfg.Now()), func() { look(end) })
			_ = context.AfterFunc(watched, func() { timer.Stop() })
		}
	}
	look(time.Time{})
	var again *time.Timer
	again = time.AfterFunc(time.Hour, func() { // Reset follows: the function reads again
		if watched.Err() != nil {
			return
		}
		if err := c.stillUser(ctx, user); err != nil {
			cancel(err)
			return
		}
		again.Reset(c.watchEvery)
	})
	_ = context.AfterFunc(watched, func() { again.Stop() })
	again.Reset(c.watchEvery)
	err = context.Cause(watched)
	c.met(ctx, &err)
	return watched, stop
}

// watchEvery is how often WhileLoggedIn loads the user.
const watchEvery = time.Minute

// stillUser returns ErrLoggedOut if the account of a user has a new Stamp, is disabled or is
// gone, and ErrForbidden if it has lost a role.
func (c *Core) stillUser(ctx context.Context, user User) error {
	was := user.AuthAccount()
	now, err := c.users.load(ctx, was.ID)
	if errors.Is(err, ErrUserNotFound) || err == nil && invalid(was.Stamp.Reveal(), now) != nil {
		return ErrLoggedOut
	} else if err != nil {
		return err
	}
	if lostRole(was.Roles, now.AuthAccount().Roles) {
		return errRoleLost
	}
	return nil
}

// aliveUntil returns when a login, or an API token, ends if no further request comes.
// It returns the zero time if there is no such end, and ErrLoggedOut if it has ended.
func (c *Core) aliveUntil(ctx context.Context, user User, id string, isLogin bool) (end time.Time, err error) {
	// Load the user again: the Stamp may have changed since the request began.
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
