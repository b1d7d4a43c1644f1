package auth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Rule is a condition on the user who makes a request: [LoggedIn], [Fresh], [Verified],
// [SecondFactor], [Role], [Can], [Scope], or one of your own ([Manager.Where]). [Core.Require]
// guards a handler with rules, [Core.Check] checks them within a handler.
//
// You may write rules in any order. They are always checked in this order, and the
// first one that does not hold decides the answer:
//
//  1. a user is logged in (always checked)
//  2. Verified
//  3. SecondFactor
//  4. Fresh
//  5. Role and Can
//  6. Scope
//  7. Where
type Rule struct {
	step  step
	need  *need   // a Role's or a Can's
	scope *string // a Scope's
	ask   func(ctx context.Context, c *Core, user User) error
}

// A step is a rule's place in the order of the checks. That a user is logged in is
// checked before the first step.
type step int

const (
	stepAccount step = iota // the account's state: Verified
	stepFactor              // SecondFactor
	stepFresh               // Fresh
	stepRole                // Role, Can
	stepScope               // Scope
	stepOwn                 // Where
	steps
)

// Fresh holds if the user has shown who they are in this login, and not longer ago than
// maxAge. If maxAge is zero, any time in this login is enough. The rule does not hold
// for a login that a remember cookie or [Stale] has made, nor for a user that a
// Credential found. The error is then ErrNotFresh, and Core.Error sends a browser to
// Config.URLs.Refresh. The answer to a Bearer token has the challenge of RFC 9470, with
// maxAge as its max_age.
func Fresh(maxAge time.Duration) Rule {
	return Rule{step: stepFresh, ask: func(ctx context.Context, c *Core, _ User) error {
		err := c.checkFresh(ctx, maxAge)
		if errors.Is(err, ErrNotFresh) {
			err = stepUp{error: err, maxAge: maxAge}
		}
		return err
	}}
}

// Verified holds if the user's e-mail address is verified. If not, the error is
// ErrUnverified: Core.Error sends a browser to Config.URLs.Verify, and answers other
// clients with 403.
func Verified() Rule {
	return Rule{step: stepAccount, ask: func(_ context.Context, c *Core, user User) error {
		if user.AuthAccount().EmailVerified {
			return nil
		}
		return cmp.Or(c.needs("RequireVerified", FieldEmailVerified), ErrUnverified)
	}}
}

// LoggedIn holds for every user. Require checks in any case that a user is logged in, so
// it needs this rule only where a rule must be named: see [Routes].
func LoggedIn() Rule {
	return Rule{step: stepAccount, ask: func(context.Context, *Core, User) error { return nil }}
}

// Role holds if the user has one of these roles. If not, the error is ErrForbidden (403).
// The user is loaded anew in each request, so a change of the roles takes effect with the
// next request.
//
// A role that is not in Config.Roles is held by no user, even if it is in Account.Roles. If
// a guard names one, it is logged once. Role without a name refuses every user.
//
// Prefer [Can]: if you later split a role, your guards stay as they are.
func Role(roles ...string) Rule {
	n := &need{role: true, roles: slices.Clone(roles)}
	return Rule{step: stepRole, need: n, ask: func(ctx context.Context, c *Core, user User) error {
		return c.meets(ctx, user, n)
	}}
}

// Can holds if one of the user's roles has this permission (see Config.Roles). If not, the
// error is ErrForbidden (403). A change of the roles takes effect with the next request.
//
// A permission that is not in Config.Roles is held by no user. If a guard names one, it is
// logged once.
//
// An API token can do what its owner can at that moment. A token with scopes also needs a
// [Scope] rule on the same handler.
//
//	mux.Handle("POST /posts", manager.Require(auth.Can("posts.edit"))(savePost))
func Can(permission string) Rule {
	n := &need{permission: permission}
	return Rule{step: stepRole, need: n, ask: func(ctx context.Context, c *Core, user User) error {
		return c.meets(ctx, user, n)
	}}
}

// Scope holds for every login, and for a token that has this scope or ScopeAll. For
// another token the error is ErrOutOfScope (403).
//
// A token with scopes works only on handlers where a rule asks for one of them;
// elsewhere User returns ErrOutOfScope. With a Scope rule, User returns the token's
// user: within the guard, or after Check in the whole request. If you ask for several
// scopes, the token needs all of them.
//
// Behind a guard with a Scope, a request without a login is sent to the login page only
// if its Accept header has text/html. Otherwise the answer is 401.
func Scope(scope string) Rule {
	return Rule{step: stepScope, scope: &scope, ask: func(ctx context.Context, c *Core, _ User) error {
		s := c.stateOf(ctx)
		s.op.Lock()
		defer s.op.Unlock()
		if !s.grant.covers(scope) {
			return ErrOutOfScope
		}
		return nil
	}}
}

// errNoRule is a mistake in the program. The request is refused, because the library
// does not know what the rule was meant to check.
const errNoRule broken = "auth: a guard has an empty Rule{} or a Where(nil); make rules with Fresh, Verified, SecondFactor, Role, Can, Scope and Manager.Where"

// Require guards a handler, which then runs only if a user is logged in and every rule
// holds. [Core.Error] answers the other requests. Guards check requests of every
// method, OPTIONS and HEAD included. So a CORS middleware that answers preflight
// requests goes outside LoadAndSave. Guards compose: Require(a, b)(next) lets the same
// requests through as Require(a)(Require(b)(next)).
//
//	mux.Handle("POST /billing", manager.Require(auth.Fresh(15*time.Minute), auth.Verified())(billing))
func (c *Core) Require(rules ...Rule) func(http.Handler) http.Handler {
	rules = slices.Clone(rules)
	for _, r := range rules {
		if r.need != nil {
			c.declared(context.Background(), r.need)
		}
	}
	scope := scopeIn(rules)
	return func(next http.Handler) http.Handler {
		if scope == nil {
			return c.guard(next, c.Error, rules)
		}
		inside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			scoped := r.WithContext(context.WithValue(r.Context(), scopeKey{c}, *scope))
			defer handBack(scoped, r)
			next.ServeHTTP(w, scoped)
		})
		return c.guard(inside, c.denyScope, rules)
	}
}

// Check checks rules within a handler. It returns nil, the error of the first rule that
// does not hold, or the error of User.
//
// If the rules include a Scope and hold, User returns the token's user in the whole
// request from now on. Behind Require it does so only within the guard.
func (c *Core) Check(ctx context.Context, rules ...Rule) error {
	if err := c.holds(ctx, rules); err != nil || scopeIn(rules) == nil {
		return err
	}
	s := c.stateOf(ctx)
	s.op.Lock()
	defer s.op.Unlock()
	s.scoped = true
	return nil
}

// RequireLogin is Require without a rule: next runs only if a user is logged in. It
// sends other requests to Config.URLs.Login, with the page they wanted in the query as
// next. [Core.Error] says what it answers to clients that are not browsers.
func (c *Core) RequireLogin(next http.Handler) http.Handler { return c.Require()(next) }

// RequireFresh is Require with [Fresh].
func (c *Core) RequireFresh(maxAge time.Duration) func(http.Handler) http.Handler {
	return c.Require(Fresh(maxAge))
}

// RequireVerified is Require with [Verified].
func (c *Core) RequireVerified(next http.Handler) http.Handler { return c.Require(Verified())(next) }

// RequireScope is Require with [Scope].
func (c *Core) RequireScope(scope string) func(http.Handler) http.Handler {
	return c.Require(Scope(scope))
}

// Can reports whether the user who makes the request has a permission: whether the rule
// [Can] holds. It returns false if nobody is logged in, or if a store has failed; after a
// failure the answer is 503, whatever the handler writes. Use it for a check that also
// depends on the object:
//
//	if post.AuthorID != user.ID && !manager.Can(r.Context(), "posts.edit") {
//		manager.Error(w, r, auth.ErrForbidden)
//		return
//	}
func (c *Core) Can(ctx context.Context, permission string) bool {
	ok, _ := c.allows(ctx, Can(permission))
	return ok
}

// HasRole reports whether the user who makes the request has one of these roles: whether
// the rule [Role] holds. Like Can, it returns false after a failure.
func (c *Core) HasRole(ctx context.Context, roles ...string) bool {
	ok, _ := c.allows(ctx, Role(roles...))
	return ok
}

// allows reports whether a rule holds. The error is a failure.
func (c *Core) allows(ctx context.Context, rule Rule) (bool, error) {
	err := c.Check(ctx, rule)
	if err != nil && statusOf(err) < http.StatusInternalServerError {
		return false, nil
	}
	return err == nil, err
}

// holds checks rules in the order of their steps. It returns the error of the first one
// that does not hold.
func (c *Core) holds(ctx context.Context, rules []Rule) error {
	if slices.ContainsFunc(rules, func(r Rule) bool { return r.ask == nil }) {
		return errNoRule
	}
	who := c.EnrollingUser
	if scopeIn(rules) != nil {
		who = c.loadUser // the Scope rule checks the scope
	}
	user, err := who(ctx)
	if err == nil {
		err = c.gateRequired(ctx, user)
	}
	if err != nil {
		return err
	}
	for s := range steps {
		for _, r := range rules {
			if r.step != s {
				continue
			}
			if err := r.ask(ctx, c, user); err != nil {
				return err
			}
		}
	}
	return nil
}

// scopeIn returns a scope that the rules ask for, or nil. If they ask for several, any
// will do: a token that passes has all of them.
func scopeIn(rules []Rule) *string {
	for _, r := range rules {
		if r.scope != nil {
			return r.scope
		}
	}
	return nil
}

// checkFresh returns ErrNotFresh if the request's login is not fresh enough.
func (c *Core) checkFresh(ctx context.Context, maxAge time.Duration) error {
	if err := c.notActing(ctx); err != nil {
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

// denyScope answers a request that a guard with a scope has refused. Most clients of
// such a handler are programs, so only a client that asks for HTML is sent to the login
// page.
func (c *Core) denyScope(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, ErrNotLoggedIn) && !strings.Contains(r.Header.Get("Accept"), "text/html") {
		c.fail(w, r, http.StatusUnauthorized, err)
		return
	}
	c.Error(w, r, err)
}

// guard returns a handler that passes a request to next if the rules hold. deny answers
// the other requests.
func (c *Core) guard(next http.Handler, deny func(http.ResponseWriter, *http.Request, error), rules []Rule) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := c.holds(r.Context(), rules)
		if err == nil {
			next.ServeHTTP(w, r)
			return
		}
		if isDenial(err) {
			c.event(r.Context(), Event{Kind: EventAccessDenied, UserID: c.known(r.Context()), Err: err})
		}
		deny(w, r, err)
	})
}

// isDenial reports whether a rule has refused a request. Other errors are failures.
func isDenial(err error) bool {
	for _, denial := range [...]error{ErrNotLoggedIn, ErrNotFresh, ErrUnverified, ErrOutOfScope, ErrForbidden, ErrNoFactor} {
		if errors.Is(err, denial) {
			return true
		}
	}
	return false
}
