package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// reviewActor checks the impersonation that a request came with. If it is over, the
// request goes on as the administrator's own login, or as an anonymous one if that login
// has ended, too.
func (s *state) reviewActor(now time.Time) error {
	h := s.cur.header
	own, admin, reason, err := s.actorOf(h.actor, now)
	if err == nil && reason == nil {
		reason, err = s.subjectOver(&h, admin, now)
	}
	if err != nil {
		return err
	}
	if reason == nil {
		s.acted.Store(&impersonation{h.actor, admin})
		if err := s.touchActor(own, now); err != nil || own.key == h.actor.key {
			return err
		}
		moved := *h.actor
		moved.key = own.key
		return s.update(&s.ctx, func(x *session) { x.header.actor = &moved })
	}
	return s.endActing(own, reason)
}

// actorOf returns the session of the administrator's own login, if that is still valid,
// and the administrator. reason says why the administrator may not go on.
func (s *state) actorOf(a *actor, now time.Time) (own *session, admin User, reason, err error) {
	own, err = s.fetch(&s.ctx, kindSession, a.key, now)
	if err == nil && own == nil { // a request that came before the impersonation may have rotated the token
		own, _, err = s.successor(&s.ctx, kindSession, a.key, rotatedFor, now)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if own == nil || own.header.userID != a.userID || own.header.loginID != a.loginID {
		return nil, nil, ErrLoggedOut, nil
	}
	admin, err = s.core.users.load(&s.ctx, a.userID)
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return nil, nil, nil, err
	}
	if reason = invalid(a.stamp, admin); reason == nil {
		reason = invalid(own.header.stamp, admin)
	}
	if reason != nil {
		return nil, nil, reason, nil
	}
	reason = s.core.passLogin(&s.ctx, &attempt{user: admin, methods: own.header.methods})
	if reason != nil && !errors.Is(reason, ErrLoginRefused) && !errors.Is(reason, ErrFactorRequired) {
		return nil, nil, nil, reason
	}
	return own, admin, reason, nil
}

// subjectOver returns why an impersonation may not go on, because of its time or its
// user.
func (s *state) subjectOver(h *header, admin User, now time.Time) (reason, err error) {
	if !now.Before(s.core.expires(h)) {
		return errActingExpired, nil
	}
	subject, err := s.core.users.load(&s.ctx, h.userID)
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return nil, err
	}
	if reason := invalid(h.stamp, subject); reason != nil {
		return reason, nil
	}
	err = s.core.mayAct(&s.ctx, admin, subject)
	if err != nil && !errors.Is(err, ErrForbidden) && !errors.Is(err, ErrLoginRefused) {
		return nil, err
	}
	return err, nil
}

// errActingExpired is the reason when an impersonation has lasted as long as it may.
var errActingExpired = errors.New("the impersonation has lasted for Config.Impersonation.Lifetime")

// mayAct returns nil if admin may act as subject, whatever admin has shown in a login.
func (c *Core) mayAct(ctx context.Context, admin, subject User) error {
	if err := c.passAccount(ctx, subject); err != nil {
		return err
	}
	has, err := c.rank(ctx, admin.AuthAccount().Roles)
	if err != nil {
		return err
	}
	others, err := c.rank(ctx, subject.AuthAccount().Roles)
	if err != nil {
		return err
	}
	permission := permissionRank(c.cfg.Impersonation.Permission)
	switch {
	case !slices.Contains(has, permission):
		return fmt.Errorf("%w: needs %s", ErrForbidden, permission)
	case slices.Contains(others, permission):
		return fmt.Errorf("%w: the user has %s, too", ErrForbidden, permission)
	}
	for _, other := range others {
		if !slices.Contains(has, other) {
			return fmt.Errorf("%w: the user has %s, and the administrator does not", ErrForbidden, other)
		}
	}
	return nil
}

// touchActor notes that the administrator's own login is in use, so that it does not end
// by Session.IdleTimeout meanwhile.
func (s *state) touchActor(own *session, now time.Time) error {
	if now.Sub(own.header.seen) < touchAfter || s.isPassive() {
		return nil
	}
	next := *own
	next.header.seen = now
	err := s.core.sessions.UpdateRecord(&s.ctx, s.core.recordOf(&next))
	if errors.Is(err, ErrConflict) { // another request has touched it
		return nil
	}
	return unlessNotFound(err)
}

// endActing ends the request's impersonation. The request goes on in own, the session of
// the administrator's login; if that is nil, it goes on as an anonymous one. The caller
// holds op, or no other goroutine has s yet.
func (s *state) endActing(own *session, reason error) error {
	old := s.cur
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	var err error
	if s.cur = own; own != nil && own.before == nil {
		err = s.replace(own.header, own.values, tokenRotated, nil)
		if errors.Is(err, errRotated) || errors.Is(err, ErrLoggedOut) { // rotated or ended by another request: cur says which
			err = nil
		}
	}
	if err != nil {
		s.cur = old
		return err
	}
	s.acted.Store(nil)
	s.user = nil
	s.note(Event{Kind: EventImpersonationEnded, UserID: old.header.userID, ActorID: old.header.actor.userID, Err: reason})
	// A logout that is sent with the impersonation's token ends the own login. Another
	// request may have rotated that token.
	if err := s.core.leaveRotated(ctx, old.key, old.header); err != nil {
		return err
	}
	_, err = s.core.endWhere(ctx, old.header.userID, func(h header) bool { return h.loginID == old.header.loginID })
	return err
}
