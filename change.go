package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// This file changes the credentials, the address and the state of an account, by
// changeCredential. Nothing else in the library does so. Every session, device, API token
// and mailed token names the Stamp that the account had when it was made. The first step
// of changeCredential replaces the Stamp, so they are void even if the process crashes
// before the next step.

// A credentialChange says what one exported method changes, and what follows from it.
type credentialChange struct {
	userID string

	// apply changes the account, or returns the reason why it does not. It may run several
	// times. With NewWithLoader apply is nil, because the application keeps the Stamp
	// itself. Then no account changes, and the change fails if records cannot be deleted.
	apply func(*Account) error

	abandon func()                      // if not nil, takes back preparations; runs if the account has not changed
	finish  func(context.Context) error // if not nil, runs after the old records are deleted

	own     ownLogin
	stamp   Secret // for ownGoesOn: only a login with this Stamp may go on
	must    bool   // if finish fails, the change fails, unless made says that it was made
	made    func(context.Context) bool
	factor  string    // the factor that the change is about, for the event; or ""
	shows   bool      // for ownGoesOn: the request has shown factor
	forgets bool      // the account's counters of wrong passwords are deleted
	closes  bool      // all records of the user are deleted; if that fails, the change fails
	token   string    // the mailed token that asks for the change, or ""
	expires time.Time // when token expires

	mail         Mail      // goes to the address that the account had before; none if Kind is ""
	done, failed EventKind // failed is "" if a failure causes no event
}

// An ownLogin says what happens to the login that makes the request, if it is one of
// the account's.
type ownLogin int

const (
	ownEnds   ownLogin = iota
	ownGoesOn          // with a new token and the new Stamp
	ownKnown           // it ends, but the browser becomes a known one: the user has just proved that they have the mailbox
)

// changeCredential makes a change of an account, in these steps:
//
//  1. The account changes by compare-and-set, and gets a new Stamp.
//  2. The login that makes the request goes on or ends.
//  3. The records of ended logins and tokens are deleted, and the counters of wrong
//     passwords if the change says so (recordKinds has the list).
//  4. finish runs, and the change's token is marked as used.
//  5. The owner gets a mail.
//  6. An event tells of it.
//
// After step 1 the change is made, even if a later step fails: a failure is then only
// an event. There are three exceptions. A change that closes the account, and one that
// has no account to change, also fail if step 3 or finish fails. A change of a factor
// also fails if finish fails.
//
// If refused is not nil, the change fails with it at once. Otherwise changeCredential
// returns the user as they are after the change, or, if they could not be loaded, as
// they were before.
func (c *Core) changeCredential(ctx context.Context, x *credentialChange, refused error) (User, error) {
	var before, after User
	err := refused
	if err == nil {
		before, after, err = c.carryOut(ctx, x)
	}
	if err != nil {
		if x.failed != "" {
			c.event(ctx, Event{Kind: x.failed, UserID: x.userID, Method: x.factor, Err: err})
		}
		return nil, c.refuseToken(ctx, err)
	}
	if x.token != "" {
		c.spend(ctx, x.userID, x.token, x.expires)
	}
	if x.mail.Kind != "" {
		x.mail.User, x.mail.To = before, before.AuthAccount().Email
		c.tell(ctx, x.mail)
	}
	c.event(ctx, Event{Kind: x.done, UserID: x.userID, Method: x.factor})
	return after, nil
}

// carryOut makes the change: steps 1 to 3, and finish. Once it has begun, it goes on if
// the client hangs up. Otherwise the account could change without a mail to its owner.
func (c *Core) carryOut(ctx context.Context, x *credentialChange) (before, after User, err error) {
	detached, cancel := detach(ctx)
	defer cancel()
	stamp := NewSecret(keyring.NewToken())
	changed := false
	update := func() (err error) {
		if x.apply != nil {
			before, after, err = c.updateAccount(detached, x.userID, stamp, x.apply)
		}
		changed = err == nil
		return err
	}
	var left error
	end := func(keep ...string) { left = c.endRecords(ctx, x, stamp, keep...) }
	s := c.stateOf(ctx)
	switch err = ctx.Err(); {
	case err != nil:
	case s != nil && x.own == ownGoesOn:
		err = s.goOn(x, stamp, update, end)
	default:
		if err = update(); err == nil {
			if s != nil {
				s.revoked(x.userID)
			}
			end()
		}
	}
	if !changed {
		if x.abandon != nil {
			x.abandon()
		}
		if x.token != "" && errors.Is(err, ErrUserNotFound) {
			err = ErrInvalidToken
		}
		return nil, nil, err
	}
	must := x.closes || x.apply == nil
	if x.finish != nil && (left == nil || !must) {
		failed := x.finish(detached)
		must = must || x.must && failed != nil && (errors.Is(failed, ErrConflict) || x.made == nil || !x.made(detached))
		left = errors.Join(left, failed)
	}
	if left != nil && must {
		return nil, nil, left
	}
	if left != nil { // the records that are left are void
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: x.userID, Err: left})
	}
	if s != nil && x.shows {
		if err := s.noteShown(detached, x, stamp); err != nil { // the user is asked for it then
			c.event(ctx, Event{Kind: EventCleanupFailed, UserID: x.userID, Err: err})
		}
	}
	if s != nil && x.own == ownKnown {
		s.op.Lock()
		s.knowBrowser(x.userID, stamp)
		s.op.Unlock()
	}
	return before, after, nil
}

// goOn makes a change, and lets the login that makes the request go on under a new
// token. It does so only for a login of the account whose Stamp is x.stamp, and before
// the header is written; otherwise it only makes the change and calls end. The login's
// new record is stored before the change. So if the store fails at that point, nothing
// has changed.
//
// end deletes the old records, except the session with the key keep.
func (s *state) goOn(x *credentialChange, stamp Secret, update func() error, end func(keep ...string)) error {
	defer s.emit()
	s.op.Lock()
	defer s.op.Unlock()
	if !s.cur.isLogin() || s.cur.header.userID != x.userID || !x.stamp.Equal(NewSecret(s.cur.header.stamp)) || s.committed {
		err := update()
		if err == nil {
			end()
		}
		return err
	}
	h := *s.cur.shown()
	h.stamp = stamp.Reveal()
	h.device, h.counter, h.unseen = "", 0, false // the remembered device ends
	made := false
	err := s.replace(h, s.cur.values, tokenReplaced, func() error {
		err := update()
		made = err == nil
		return err
	})
	switch {
	case !made:
		return err
	case err != nil || !s.cur.isLogin(): // the login was ended at the same moment
		end()
		return nil
	}
	s.user = nil // the account has changed: load the user again
	if _, known, binding := s.browser(); known == x.userID && subtle.ConstantTimeCompare(binding, stampBinding(x.stamp)) == 1 {
		s.knowBrowser(x.userID, stamp)
	}
	end(s.cur.key)
	s.deleteCookie(s.core.cookies.remember)
	return nil
}

// noteShown adds the factor to the methods of the request's login, if that went on.
func (s *state) noteShown(ctx context.Context, x *credentialChange, stamp Secret) error {
	s.op.Lock()
	defer s.op.Unlock()
	if !s.cur.isLogin() || s.cur.header.userID != x.userID || s.cur.header.stamp != stamp.Reveal() {
		return nil
	}
	now := s.core.cfg.Now()
	return s.update(ctx, func(session *session) {
		session.header.methods = session.header.methods.add(x.factor, now)
		if session.before != nil {
			before := *session.before
			before.methods = before.methods.add(x.factor, now)
			session.before = &before
		}
	})
}

// revoked notes that the user's logins have been ended. If the request's login is one
// of them, its cookies are deleted.
func (s *state) revoked(userID string) {
	s.op.Lock()
	own := s.cur.isLogin() && s.cur.header.userID == userID
	if own {
		s.cur = nil
		s.deleteCookie(s.core.cookies.session)
		s.deleteCookie(s.core.cookies.remember)
	}
	if own || s.grant != nil && s.grant.UserID == userID {
		s.user, s.deviceTried = nil, true
	}
	s.op.Unlock()
	if own {
		s.clearValues()
	}
}

// endRecords deletes the records that a change ends, except the session with the key
// keep, which goes on with the new Stamp. It also ends requests under way
// (WhileLoggedIn), those of that session too: they came with its old token, and an
// attacker may have the same token.
func (c *Core) endRecords(ctx context.Context, x *credentialChange, stamp Secret, keep ...string) error {
	ctx, cancel := detach(ctx)
	defer cancel()
	var failed error
	for _, k := range recordKinds() {
		if !x.ends(k) || !c.keeps(k) && !x.closes {
			continue
		}
		if k.name == kindRemember {
			// Devices are taken one by one, because each leaves a tombstone. This also ends
			// sessions that a rotation or a device has made since the sessions were deleted.
			_, err := c.endWhere(ctx, x.userID, func(h header) bool { return h.stamp != stamp.Reveal() })
			failed = errors.Join(failed, err)
		}
		store := c.records
		if k.volatile {
			store = c.sessions
		}
		failed = errors.Join(failed, store.DeleteRecords(ctx, k.name, x.userID, keep...))
	}
	c.watches.end(x.userID, func(string) bool { return true })
	return failed
}

// keeps reports whether there can be records of this kind that open something. Those of
// trusted browsers and pending logins are void by their Stamp, in any case.
func (c *Core) keeps(k recordKind) bool {
	switch k.name {
	case kindPending:
		return len(c.cfg.Factors) > 0
	case kindTrusted:
		return c.cfg.TrustFor > 0
	}
	return true
}

// ends reports whether the change ends a user's records of this kind.
func (x *credentialChange) ends(k recordKind) bool {
	return k.ends == atChange || k.ends == atForgetting && x.forgets || k.ends != never && x.closes
}
