package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// A RequestLoader finds the user of a request that brings credentials of its own,
// as the clients of an API do. If a loader knows the credentials, its verdict is
// final: the user is the one that it found, or nobody, and never that of a cookie
// in the same request. Such a request reads and writes no session: session data is
// empty and what is put there is dropped, flash messages too; no cookie is read or
// set, and nothing is fresh. Only LoginUser makes it a request with a login.
//
// The user is loaded and checked as that of a session is: a loader cannot let in
// who is disabled. No credentials exempt a request from the cross-origin check.
type RequestLoader struct {
	// Load returns who makes the request. It has three answers:
	//
	//   - A Grant with a UserID, if the credentials are right.
	//   - An error that wraps ErrLoginRefused, if the request has credentials of
	//     the loader's kind and they are wrong or malformed. The request is then
	//     nobody's, guards answer 401, and there is an event (with the UserID and
	//     Method of the Grant, if they are known).
	//   - A Grant without a UserID and no error, if the request has none of the
	//     credentials that the loader knows. Then the next loader is asked, and
	//     after the last one the session.
	//
	// Any other error is a failure: the request is answered 503. Load is called once
	// for a request, and only if somebody asks who the user is or uses the session.
	// In the context of r there is no session. A Load that parses a form reads the
	// body, which the handler then cannot read.
	Load func(c *Core, r *http.Request) (Grant, error)

	// Challenge, if set, is what 401 says in WWW-Authenticate to clients that
	// are no browsers: Bearer.
	Challenge string

	// scheme, if set, is the one of the Authorization header that Load reads, and
	// nothing else: without it there is nothing to ask.
	scheme string
}

// schemeBasic is the scheme of BasicLoader, for which Authenticate makes the event.
const schemeBasic = "Basic"

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
	return RequestLoader{Load: loadBasic, Challenge: `Basic realm="` + realm + `", charset="UTF-8"`, scheme: schemeBasic}
}

func loadBasic(c *Core, r *http.Request) (Grant, error) {
	text, found := credentials(r, schemeBasic)
	if !found {
		return Grant{}, nil
	}
	login, password, ok := r.BasicAuth()
	if text == "" || !ok {
		return Grant{Method: methodPassword}, ErrInvalidCredentials
	}
	user, err := c.Authenticate(r.Context(), login, password)
	if err != nil {
		return Grant{}, err
	}
	a := user.AuthAccount()
	return Grant{UserID: a.ID, Method: methodPassword, Stamp: a.Stamp, bound: true}, nil
}

// mayBeOwn reports whether a request loader may know the request's credentials: if
// not, none has to be asked.
func (s *state) mayBeOwn() bool {
	for _, loader := range s.core.cfg.RequestLoaders {
		if loader.scheme == "" {
			return true
		}
		if _, found := credentials(s.request, loader.scheme); found {
			return true
		}
	}
	return false
}

// credentials returns what a request's Authorization header has for a scheme, and
// whether it names the scheme. Of several headers none is any good.
func credentials(r *http.Request, scheme string) (text string, found bool) {
	lines := r.Header["Authorization"]
	for _, line := range lines {
		end := strings.IndexAny(line+" ", " \t")
		if !strings.EqualFold(line[:end], scheme) {
			continue
		}
		if len(lines) > 1 {
			return "", true
		}
		return strings.TrimLeft(line[end:], " "), true
	}
	return "", false
}

// askLoaders asks for the user of the request's own credentials, and reports
// whether it has some: the first loader that knows them has the last word. The
// caller holds loading.
func (s *state) askLoaders() (own bool, err error) {
	c := s.core
	if !s.mayBeOwn() {
		return false, nil
	}
	r, sent := s.request.WithContext(&s.inner), *s.target()
	r.URL = &sent // a router may have changed the other
	defer handBack(r, s.request)
	for _, loader := range c.cfg.RequestLoaders {
		grant, err := loader.Load(c, r)
		switch {
		case errors.Is(err, ErrLoginRefused):
			s.refuseGrant(EventLoginFailed, grant, err, loader.scheme == schemeBasic)
			return true, nil
		case err == nil && grant.UserID == "":
			continue
		case err != nil:
			return false, err
		}
		user, err := c.users.load(&s.inner, grant.UserID)
		switch {
		case err == nil:
			if err = c.pass(user.AuthAccount()); err == nil && (grant.bound || !grant.Stamp.IsZero()) {
				err = invalid(grant.Stamp.Reveal(), user)
			}
		case !errors.Is(err, ErrUserNotFound):
			return false, err
		}
		if err != nil {
			s.refuseGrant(EventLoginRefused, grant, err, false)
			return true, nil
		}
		grant.Scopes = slices.Clone(grant.Scopes)
		s.op.Lock()
		s.own, s.user, s.userKnown, s.grant = true, user, true, &grant
		s.op.Unlock()
		return true, nil
	}
	return false, nil
}

// refuseGrant notes that the request has brought credentials that are no good, so
// that it is nobody's.
func (s *state) refuseGrant(kind EventKind, g Grant, err error, told bool) {
	if !told {
		s.note(Event{Kind: kind, UserID: g.UserID, Method: g.Method, Err: err})
	}
	s.op.Lock()
	defer s.op.Unlock()
	s.own, s.userKnown = true, true
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
