package auth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// RequireLogin guards a handler: next runs only for a user who is logged in. All
// guards guard every method, OPTIONS and HEAD included; a CORS middleware outside
// LoadAndSave answers preflight requests. Other requests are sent to
// Config.LoginURL with the page they wanted in the query as next; see Error for
// clients that are not browsers.
func (c *Core) RequireLogin(next http.Handler) http.Handler {
	return c.guard(next, c.Error, func(ctx context.Context) error {
		_, err := c.User(ctx)
		return err
	})
}

// RequireFresh guards a handler for users who have shown who they are in this
// login, and not longer ago than maxAge; zero means at any time. A remembered
// login has not, nor has what a RequestLoader found. Others are sent to
// Config.RefreshURL, as RequireLogin sends to LoginURL.
func (c *Core) RequireFresh(maxAge time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return c.guard(next, c.Error, func(ctx context.Context) error { return c.CheckFresh(ctx, maxAge) })
	}
}

// CheckFresh is RequireFresh for handlers that ask themselves: it returns nil,
// ErrNotFresh, or what User returns.
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

// RequireVerified guards a handler for users whose address is verified. Who is
// logged in and is not is sent to Config.VerifyURL, as RequireLogin sends to
// LoginURL; other clients than browsers get 403.
func (c *Core) RequireVerified(next http.Handler) http.Handler {
	return c.guard(next, c.Error, c.CheckVerified)
}

// CheckVerified is RequireVerified for handlers that ask themselves: it returns
// nil, ErrUnverified, or what User returns.
func (c *Core) CheckVerified(ctx context.Context) error {
	user, err := c.User(ctx)
	if err == nil && !user.AuthAccount().EmailVerified {
		return cmp.Or(c.needs("RequireVerified", FieldEmailVerified), ErrUnverified)
	}
	return err
}

// RequireScope guards a handler for users who are logged in, and for tokens that
// have this scope or ScopeAll; other tokens get 403. Of those who are not logged
// in, only who asks for HTML is sent to the login page; others get 401.
func (c *Core) RequireScope(scope string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		inside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			scoped := r.WithContext(context.WithValue(r.Context(), scopeKey{c}, scope))
			defer handBack(scoped, r)
			next.ServeHTTP(w, scoped)
		})
		return c.guard(inside, c.denyScope, func(ctx context.Context) error { return c.hasScope(ctx, scope, false) })
	}
}

// denyScope is Error for what is an API's as a rule: only who asks for HTML is
// sent to the login page.
func (c *Core) denyScope(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, ErrNotLoggedIn) && !strings.Contains(r.Header.Get("Accept"), "text/html") {
		c.fail(w, r, http.StatusUnauthorized, err)
		return
	}
	c.Error(w, r, err)
}

// CheckScope is RequireScope for handlers that ask themselves: it returns nil,
// or ErrScope, or what User returns. After nil User returns the user of such a token
// in the whole request; behind RequireScope it does so only there.
func (c *Core) CheckScope(ctx context.Context, scope string) error {
	return c.hasScope(ctx, scope, true)
}

// hasScope returns ErrScope if the request's token does not have the scope, and
// opens the whole request if it has and open says so.
func (c *Core) hasScope(ctx context.Context, scope string, open bool) error {
	if _, err := c.loadUser(ctx); err != nil {
		return err
	}
	s := c.stateOf(ctx)
	s.op.Lock()
	defer s.op.Unlock()
	if !s.grant.covers(scope) {
		return ErrScope
	}
	s.scoped = s.scoped || open
	return nil
}

// guard is a handler that lets only those requests through to next that check
// has nothing against, whatever their method, and has the others answered by deny.
func (c *Core) guard(next http.Handler, deny func(http.ResponseWriter, *http.Request, error), check func(context.Context) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := check(r.Context()); err != nil {
			if errors.Is(err, ErrNotLoggedIn) || errors.Is(err, ErrNotFresh) || errors.Is(err, ErrUnverified) || errors.Is(err, ErrScope) {
				c.event(r.Context(), Event{Kind: EventDenied, UserID: c.known(r.Context()), Err: err})
			}
			deny(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}
