package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// A RequestLoader finds the user of a request that brings credentials of its
// own, as the clients of an API do, and has no login. Such a request sets no
// cookie, whatever is put into its session, and is never fresh. The user is
// loaded and checked as that of a session is: a loader cannot let in who is
// disabled.
type RequestLoader struct {
	// Load returns who makes the request, or the zero Grant if it has none of
	// the credentials that the loader knows; then the next loader is asked. An
	// error that wraps ErrLoginRefused says that they are wrong, which is an event
	// (with the UserID and Method of the Grant, if they are known): the request is
	// nobody's, unless the next loader knows better. Any other error is a failure:
	// the request is answered 503. It is called once for a request, and only if
	// somebody asks who the user is. In the context of r there is no session.
	Load func(c *Core, r *http.Request) (Grant, error)

	// Challenge, if set, is what 401 says in WWW-Authenticate to clients that
	// are no browsers: Bearer.
	Challenge string

	isBasic bool // Authenticate makes the event
}

// A Grant is what a RequestLoader found.
type Grant struct {
	UserID string
	Method string // how the user authenticated, for events

	// Stamp, if set, must still be the account's.
	Stamp Secret

	// Scopes, if it is not nil, limits what the request may do to what
	// RequireScope guards with one of them, or everything if ScopeAll is among
	// them: for all else there is no user (ErrScope).
	Scopes []string

	bound bool   // the Stamp must be the account's, also if it is empty
	id    string // of an API token's record
}

// ScopeAll is the scope that has all others in it.
const ScopeAll = "*"

// ErrScope says that the request's token is not for this.
var ErrScope = errors.New("auth: the token's scopes do not have this in them")

// covers reports whether the grant is for this scope. No grant, which is a login,
// is for all.
func (g *Grant) covers(scope string) bool {
	return g == nil || g.Scopes == nil || slices.Contains(g.Scopes, ScopeAll) || slices.Contains(g.Scopes, scope)
}

// token is the ID of the API token that the grant comes from, if it does.
func (g *Grant) token() string {
	if g == nil {
		return ""
	}
	return g.id
}

// BasicLoader finds users by HTTP Basic authentication (RFC 7617), with their
// login and password. Each request computes a password hash, which takes some
// 20 milliseconds and counts as any login does. realm is a name for the
// application; quotes, backslashes and line breaks are left out of it.
func BasicLoader(realm string) RequestLoader {
	realm = strings.NewReplacer(`"`, "", `\`, "", "\r", "", "\n", "").Replace(realm)
	return RequestLoader{Load: loadBasic, Challenge: `Basic realm="` + realm + `", charset="UTF-8"`, isBasic: true}
}

func loadBasic(c *Core, r *http.Request) (Grant, error) {
	login, password, ok := r.BasicAuth()
	if !ok {
		return Grant{}, nil
	}
	user, err := c.Authenticate(r.Context(), login, password)
	if err != nil {
		return Grant{}, err
	}
	a := user.AuthAccount()
	return Grant{UserID: a.ID, Method: methodPassword, Stamp: a.Stamp, bound: true}, nil
}

// askLoaders takes the user of the first request loader that knows one.
func (s *state) askLoaders() error {
	c := s.core
	if len(c.cfg.RequestLoaders) == 0 {
		return nil
	}
	r := s.request.WithContext(&s.inner)
	for _, loader := range c.cfg.RequestLoaders {
		grant, err := loader.Load(c, r)
		switch {
		case errors.Is(err, ErrLoginRefused):
			s.refuseGrant(EventLoginFailed, grant, err, loader.isBasic)
			continue
		case err == nil && grant.UserID == "":
			continue
		case err != nil:
			return err
		}
		user, err := c.users.load(&s.inner, grant.UserID)
		switch {
		case err == nil:
			if err = c.pass(user.AuthAccount()); err == nil && (grant.bound || !grant.Stamp.IsZero()) {
				err = invalid(grant.Stamp.Reveal(), user)
			}
		case !errors.Is(err, ErrUserNotFound):
			return err
		}
		if err != nil {
			s.refuseGrant(EventLoginRefused, grant, err, false)
			continue
		}
		s.op.Lock()
		if !s.cur.isLogin() && !s.userKnown {
			grant.Scopes = slices.Clone(grant.Scopes)
			s.user, s.userKnown, s.grant = user, true, &grant
		}
		s.op.Unlock()
		return nil
	}
	return nil
}

// refuseGrant notes that the request has brought credentials that are no good.
func (s *state) refuseGrant(kind EventKind, g Grant, err error, told bool) {
	if !told {
		s.note(Event{Kind: kind, UserID: g.UserID, Method: g.Method, Err: err})
	}
	s.op.Lock()
	defer s.op.Unlock()
	s.refused = true
}

// A scopeKey is for the scope that a guard has asked for, in the context of what
// is behind it: it opens nothing beside it.
type scopeKey struct{ core *Core }

// outOfScope reports whether the request's token is not for what it asks.
func (s *state) outOfScope(ctx context.Context) bool {
	s.op.Lock()
	defer s.op.Unlock()
	if s.scoped || s.grant.covers(ScopeAll) {
		return false
	}
	scope, asked := ctx.Value(scopeKey{s.core}).(string)
	return !asked || !s.grant.covers(scope)
}

// RequireScope is Manager.RequireScope.
func (c *Core) RequireScope(scope string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		inside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), scopeKey{c}, scope)))
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

// CheckScope is Manager.CheckScope.
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
