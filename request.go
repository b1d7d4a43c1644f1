package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-login/auth/internal/clientip"
)

// stateOf returns the request's state, or nil outside LoadAndSave. It first finds out
// whether the request has credentials of its own, and reads its session if not.
func (c *Core) stateOf(ctx context.Context) *state {
	s := c.requestOf(ctx)
	if s != nil {
		s.settle(false)
	}
	return s
}

// acting returns the impersonation that the request belongs to, or nil.
func (c *Core) acting(ctx context.Context) *impersonation {
	if s := c.stateOf(ctx); s != nil {
		return s.acted.Load()
	}
	return nil
}

// notActing returns ErrImpersonating if the request belongs to an impersonation.
func (c *Core) notActing(ctx context.Context) error {
	if c.acting(ctx) != nil {
		return ErrImpersonating
	}
	return nil
}

// settle is identify for callers that cannot return its error. If it fails, the answer
// to the request will be an error. A later call of identify may still succeed, or
// return the error to its caller, who then decides about the answer. If final is true,
// identify does not try again.
func (s *state) settle(final bool) {
	if s.identified.Load() {
		return
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if s.identified.Load() {
		return
	}
	err := s.identify()
	if err == nil {
		return
	}
	s.op.Lock()
	s.failed, s.ended, s.unread = err, true, true
	s.op.Unlock()
	if final {
		s.identified.Store(true)
	}
}

// identify finds out whether the request has credentials that a Credential knows.
// If it has none, identify reads its session. After an error, the next call asks the
// loaders again. The caller holds loading, and emits.
func (s *state) identify() error {
	if s.identified.Load() {
		return s.failed
	}
	done := false
	defer func() {
		if !done { // a loader panicked: the request is anonymous
			s.op.Lock()
			s.own = true
			s.op.Unlock()
			s.identified.Store(true)
		}
	}()
	own, err := s.askLoaders()
	done = true
	if err != nil {
		return hidden(err)
	}
	if !own {
		if err := s.load(); err != nil {
			s.fail(hidden(err))
			return s.failed
		}
	}
	s.op.Lock()
	if s.failed != nil { // the loaders failed in an earlier call
		s.failed, s.ended, s.unread = nil, false, false
	}
	s.op.Unlock()
	s.identified.Store(true)
	return nil
}

// askLoaders asks the loaders for the user of the request's own credentials, and
// reports whether it has some. The first loader that knows the credentials decides. The
// caller holds loading.
func (s *state) askLoaders() (own bool, err error) {
	c := s.core
	if !s.mayBeOwn() {
		return false, nil
	}
	r, sent := s.request.WithContext(s.inner()), *s.target()
	r.URL = &sent // a router may have changed the request's URL
	defer handBack(r, s.request)
	for i, loader := range c.cfg.Credentials {
		grant, err := c.loads[i](r)
		switch {
		case errors.Is(err, ErrLoginRefused):
			s.refuseGrant(EventLoginFailed, grant, err, loader.scheme == schemeBasic)
			return true, nil
		case err == nil && grant.UserID == "":
			continue
		case err != nil:
			return false, err
		}
		user, err := c.users.load(&s.ctx, grant.UserID)
		switch {
		case err == nil:
			if err = c.passAccount(&s.ctx, user); err == nil && (grant.bound || !grant.Stamp.IsZero()) {
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
		s.own, s.user, s.grant, s.hadUser = true, user, &grant, true
		s.op.Unlock()
		return true, nil
	}
	return false, nil
}

// refuseGrant notes that the request has brought invalid credentials. The request is
// then anonymous. If told is true, the event has been noted already.
func (s *state) refuseGrant(kind EventKind, g Grant, err error, told bool) {
	if !told {
		s.note(Event{Kind: kind, UserID: g.UserID, Method: g.Method, Err: err})
	}
	s.op.Lock()
	defer s.op.Unlock()
	s.own = true
}

// load reads the session of the request's cookies. The caller emits.
func (s *state) load() error {
	if len(s.request.Header["Cookie"]) == 0 {
		return nil
	}
	now := s.arrived // and not Now: a Credential may have taken its time
	for _, c := range [...]struct{ cookie, kind string }{
		{s.core.cookies.session, kindSession},
		{s.core.cookies.visitor, kindVisitor},
	} {
		key := s.sentKey(c.cookie)
		if key == "" {
			continue
		}
		found, err := s.fetch(&s.ctx, c.kind, key, now)
		if err != nil {
			return err
		}
		if found == nil {
			found, s.replaced, err = s.successor(&s.ctx, c.kind, key, rotationGrace, now)
			if err != nil || s.replaced {
				return err
			}
		}
		if found == nil {
			continue
		}
		s.cur = found
		if found.header.actor != nil {
			err = s.reviewActor(now)
		}
		if err == nil && s.cur != nil {
			err = s.review(now)
		}
		if s.cur != nil {
			s.loaded = s.cur.values
		}
		return err
	}
	return nil
}

// review updates the session that a request came with: when it was seen, from which
// client, and whether the browser has received its remember cookie.
func (s *state) review(now time.Time) error {
	received := s.cur.header.unseen && s.received(&s.cur.header)
	for range maxConflicts {
		h := s.cur.header
		changed, stale, bind := now.Sub(h.seen) >= touchAfter, false, false
		if changed = changed && !s.isPassive(); changed {
			h.seen = now
		}
		if h.unseen && received {
			h.unseen, changed = false, true
		}
		if s.cur.isLogin() {
			var same bool
			same, bind = s.bound(&h.address, &h.agent)
			if !same && s.cur.before != nil { // the login may have been confirmed from another client since
				before, rebind := *s.cur.before, false
				same, rebind = s.bound(&before.address, &before.agent)
				same = same && !rebind
			}
			if !same && s.core.cfg.Session.Protection == ProtectStrong {
				return s.endProtected()
			}
			s.suspect = !same
			if stale = s.suspect && !h.authenticated.IsZero(); stale {
				h.authenticated = time.Time{}
			}
			changed = changed || bind || stale
		}
		if !changed {
			return nil
		}
		next := *s.cur
		next.header = h
		switch err := s.core.sessions.UpdateRecord(&s.ctx, s.core.recordOf(&next)); {
		case err == nil:
			next.version++
			s.cur = &next
			if stale {
				s.note(Event{Kind: EventLoginProtected, UserID: h.userID, Err: errProtected})
			}
			return nil
		case unlessNotFound(err) != nil && !errors.Is(err, ErrConflict):
			return err
		case errors.Is(err, ErrConflict) && !s.suspect && !bind: // another request has updated the record
			return nil
		}
		if err := s.reread(&s.ctx); err != nil || s.cur == nil {
			return err
		}
	}
	return ErrConflict
}

// bound compares the client that a login or a device is bound to with the client of the
// request. If it is bound to no client yet, bound binds it to this one and returns bind
// true.
func (s *state) bound(boundAddress, boundAgent *string) (same, bind bool) {
	if s.core.cfg.Session.Protection == ProtectOff {
		return true, false
	}
	same = true
	if *boundAgent != "" && *boundAgent == s.request.UserAgent() { // equal even before agent cleans it
		same = true
	} else if agent := s.agent(); *boundAgent == "" && agent != "" {
		*boundAgent, bind = agent, true
	} else {
		same = *boundAgent == agent
	}
	if !s.core.cfg.Session.ProtectAddress {
		return same, bind
	}
	if address := s.address(); *boundAddress == "" && address != "" {
		*boundAddress, bind = address, true
	} else {
		same = same && clientip.Network(*boundAddress) == clientip.Network(address)
	}
	return same, bind
}

// endProtected ends a login that is used from another client. The request goes on as an
// anonymous one. Like the cookie of any void session, its cookie is kept.
func (s *state) endProtected() error {
	cur := s.cur
	s.note(Event{Kind: EventLoginProtected, UserID: cur.header.userID, Err: errProtected})
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	if _, err := s.core.endLogin(ctx, cur.header); err != nil {
		return err
	}
	s.cur = nil
	return nil
}

// errProtected is the reason when a login used from another client was ended or is no
// longer fresh.
var errProtected = errors.New("the login is used from another client")

// The reasons of EventProxySuspected.
var (
	errOneAddress = errors.New("all logins so far came from one private address, or without an address: it may be a reverse proxy's; add it to Config.Network.TrustedProxies, and let the proxy send X-Forwarded-For")
	errForwarded  = errors.New("X-Forwarded-For came from an address that is not in Config.Network.TrustedProxies, and is ignored; if it is your reverse proxy's, add it")
)

// A scopeKey finds the scope that a guard has asked for, in the context of the handler
// behind the guard. The token is let in there and nowhere else.
type scopeKey struct{ core *Core }

// outOfScope reports whether the request's token has scopes and no rule has asked for
// one of them, so that User must refuse it.
func (s *state) outOfScope(ctx context.Context) bool {
	s.op.Lock()
	defer s.op.Unlock()
	if s.scoped || s.grant.covers(ScopeAll) {
		return false
	}
	scope, asked := ctx.Value(scopeKey{s.core}).(string)
	return !asked || !s.grant.covers(scope)
}
