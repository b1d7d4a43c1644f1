package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-login/auth/internal/keyring"
)

// Impersonate lets an administrator act as another user, to see what the user sees. The
// request's login must be fresh (10 minutes), have shown a second factor, and be that of
// a user with the permission Config.Impersonation.Permission. The other user must not
// have that permission, nor any permission that the administrator lacks. Otherwise the
// error is ErrForbidden, ErrNotFresh or ErrNoFactor. It is ErrImpersonating if the
// administrator acts as another user already, ErrUserNotFound if there is no user with
// this ID, and an error that wraps ErrLoginRefused if the user cannot log in.
//
// From then on, User returns the other user in this browser, and [Core.Impersonator] the
// administrator. Guards allow what they allow the other user, except that Fresh and
// SecondFactor hold for nobody (ErrImpersonating). No method that changes a credential,
// an address, a factor, a passkey, an identity, an API token or a login works either. Your
// own handlers should check Impersonator before they do something that only the user
// may decide, such as a payment or a consent.
//
// It ends by StopImpersonating, after Config.Impersonation.Lifetime, or when one of the
// two users gets other permissions. The browser then goes on in the administrator's own
// login, if that has not ended. LogoutUser ends both. If the logins of one of the two are
// ended, for example because the account was disabled, the impersonation ends with them,
// and the administrator logs in again.
//
// The user sees the impersonation among their Logins, and gets a MailImpersonated. All
// events have both users: UserID and ActorID. It does not count for Config.Session.Max,
// and it is not remembered.
func (c *Core) Impersonate(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	subject, err := c.impersonate(ctx, userID)
	if err != nil {
		if isDenial(err) || errors.Is(err, ErrUserNotFound) || errors.Is(err, ErrLoginRefused) {
			c.event(ctx, Event{Kind: EventImpersonationRefused, UserID: idOf(subject), ActorID: c.known(ctx), Err: err})
		}
		return err
	}
	c.event(ctx, Event{Kind: EventImpersonationBegun, UserID: userID})
	if !c.cfg.Impersonation.NoMail {
		c.notify(ctx, MailImpersonated, subject, subject.AuthAccount().Email)
	}
	return nil
}

// impersonate returns the subject also with an error, if there is such a user.
func (c *Core) impersonate(ctx context.Context, userID string) (subject User, err error) {
	if c.cfg.Impersonation.Permission == "" {
		return nil, fmt.Errorf("%w: Config.Impersonation.Permission is not set", ErrForbidden)
	}
	if err := c.notActing(ctx); err != nil {
		return nil, err
	}
	if err := c.Check(ctx, Can(c.cfg.Impersonation.Permission), Fresh(enrollFresh), SecondFactor()); err != nil {
		return nil, err
	}
	admin, err := c.User(ctx)
	if err != nil {
		return nil, err
	}
	if !c.shownFactor(ctx) { // the browser is trusted, which is not enough
		return nil, ErrNotFresh
	}
	if subject, err = c.users.load(ctx, userID); err != nil {
		return nil, err
	}
	if idOf(subject) == idOf(admin) {
		return subject, fmt.Errorf("%w: this is the administrator's own account", ErrForbidden)
	}
	if err := c.mayAct(ctx, admin, subject); err != nil {
		return subject, err
	}
	s := c.stateOf(ctx)
	defer s.emit()
	if err := s.beginActing(admin, subject); err != nil {
		return subject, err
	}
	s.clearValues()
	return subject, nil
}

// beginActing gives the browser a session of the subject. The administrator's own session stays.
func (s *state) beginActing(admin, subject User) error {
	s.op.Lock()
	defer s.op.Unlock()
	own := s.cur
	switch {
	case s.committed:
		return ErrHeaderWritten
	case !own.isLogin() || own.header.userID != idOf(admin) || own.header.actor != nil:
		return ErrNotLoggedIn
	case own.before != nil: // another request has just rotated the token, and the browser would get two cookies
		return ErrReplaced
	}
	now := s.core.cfg.Now()
	h := header{
		userID: idOf(subject), loginID: keyring.NewToken(), family: newHandle(), stamp: subject.AuthAccount().Stamp.Reveal(),
		address: s.address(), agent: s.agent(), created: now, seen: now,
		actor: &actor{
			userID: idOf(admin), stamp: own.header.stamp,
			loginID: own.header.loginID, family: loginHandle(own.header), key: own.key,
		},
	}
	s.cur = nil // so that replace leaves the administrator's record
	if err := s.replace(h, "", tokenVoid, nil); err != nil {
		if s.cur = own; errors.Is(err, ErrLoggedOut) {
			s.cur = nil
		}
		return err
	}
	s.user = subject
	s.acted.Store(&impersonation{h.actor, admin})
	return nil
}

// StopImpersonating ends the impersonation of this browser, which goes on in the
// administrator's own login, with a new token. If that login has ended meanwhile, nobody
// is logged in. In the rest of this request, the session's data is empty. If the request
// belongs to no impersonation, StopImpersonating returns nil.
func (c *Core) StopImpersonating(ctx context.Context) (failing error) {
	defer c.met(ctx, &failing)
	s := c.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	acted := s.acted.Load()
	if acted == nil {
		return nil
	}
	defer s.emit()
	if err := s.stopActing(acted.actor); err != nil {
		return err
	}
	s.clearValues()
	return nil
}

func (s *state) stopActing(a *actor) error {
	own, _, reason, err := s.actorOf(a, s.core.cfg.Now())
	if err != nil {
		return err
	}
	if reason != nil {
		own = nil
	}
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.committed:
		return ErrHeaderWritten
	case !s.cur.isLogin() || s.cur.header.actor == nil: // ended by another call
		return nil
	}
	return s.endActing(own, nil)
}

// Impersonator returns the administrator who acts as the user of this request, if one
// does; see Impersonate. Show this on every page, with a button that calls
// StopImpersonating. The pages of package pages do.
func (c *Core) Impersonator(ctx context.Context) (admin User, ok bool) {
	acted := c.acting(ctx)
	if acted == nil {
		return nil, false
	}
	return acted.user, true
}
