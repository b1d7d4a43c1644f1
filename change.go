package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"strings"
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

	effect  changeEffect
	actor   string // the ID of the user who asked for it, if it is not the account's own
	given   Secret // the Stamp that the change gives the account: carryOut sets it
	unseats bool   // the account may be an administrator's, and then there must be another one
	closes  bool   // all records of the user are deleted; if that fails, the change fails
	forgets bool   // the account's counters of wrong passwords are deleted

	// The login that makes the request.
	own   ownLogin
	stamp Secret // for ownGoesOn: only a login with this Stamp may go on
	shows bool   // for ownGoesOn: the request has shown factor

	// What belongs to the change, and is not in the account: a factor, say.
	abandon func()                      // if not nil, takes back preparations; runs if the account has not changed
	finish  func(context.Context) error // if not nil, runs after the old records are deleted
	must    bool                        // if finish fails, the change fails, unless made says that it was made
	made    func(context.Context) bool
	removes bool   // finish removes a way to log in, so logins that were made by it meanwhile end, too
	factor  string // the factor that the change is about, for the event; or ""

	// The mailed token that asks for the change, or "".
	token   string
	expires time.Time

	// What is told of the change.
	mail         Mail      // goes to the address that the account had before; none if Kind is ""
	proves       bool      // the user has just proved that they have the mailbox, so mails to it are not limited
	done, failed EventKind // failed is "" if a failure causes no event
}

// A changeEffect says what a change does to the account.
type changeEffect int

const (
	newStamp  changeEffect = iota // it changes and gets a new Stamp, so everything that names the old one ends
	sameStamp                     // it changes and keeps its Stamp, and nothing ends: its roles or its username change
	onlyAdds                      // it does not change, and nothing ends: something is added. apply says whether it may be
)

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
// A change with the effect onlyAdds runs finish instead of steps 1 to 4. One with the effect
// sameStamp has no steps 2 to 4.
//
// If refused is not nil, the change fails with it at once. Otherwise changeCredential
// returns the user as they are after the change, or, if they could not be loaded, as
// they were before.
func (c *Core) changeCredential(ctx context.Context, x *credentialChange, refused error) (User, error) {
	var before, after User
	err := refused
	if acting := c.notActing(ctx); acting != nil {
		if err == nil && x.abandon != nil {
			x.abandon()
		}
		err = acting
	}
	if x.unseats && err == nil && c.cfg.Roles.Admin != "" {
		var held *heldSeat
		held, err = c.unseat(ctx, x)
		defer func() { held.release(ctx, after, err) }()
	}
	switch {
	case err != nil:
	case x.effect == sameStamp:
		before, after, err = c.changeOnly(ctx, x)
	case x.effect == onlyAdds:
		before, after, err = c.add(ctx, x)
	default:
		before, after, err = c.carryOut(ctx, x)
	}
	if err != nil {
		if x.failed != "" && !errors.Is(err, errUnchanged) {
			c.event(ctx, Event{Kind: x.failed, UserID: x.userID, ActorID: x.actor, Method: x.factor, Err: err})
		}
		return nil, c.refuseToken(ctx, err)
	}
	if x.token != "" {
		c.spend(ctx, x.userID, keyring.TokenKey(x.token), x.expires)
	}
	if x.mail.Kind != "" {
		x.mail.User, x.mail.To = before, before.AuthAccount().Email
		if x.proves {
			c.tellOwner(ctx, x.mail)
		} else {
			c.tell(ctx, x.mail)
		}
	}
	done := Event{Kind: x.done, UserID: x.userID, ActorID: x.actor, Method: x.factor}
	if x.done == EventRolesSet {
		done.Roles = strings.Join(after.AuthAccount().Roles, " ")
	}
	c.event(ctx, done)
	return after, nil
}

// actOnChange makes a planned change fail if the user who makes the request may not act on
// the account (see actOn). The roles that count are those that the account has at the very
// change.
func (c *Core) actOnChange(ctx context.Context, x *credentialChange, refused error) error {
	if refused != nil {
		return refused
	}
	a, err := c.actOn(ctx, x.userID)
	return c.mayChange(ctx, x, a, err)
}

// actForSelfOnChange is actOnChange for what users do to themselves, too (see actForSelf).
func (c *Core) actForSelfOnChange(ctx context.Context, x *credentialChange, refused error) error {
	if refused != nil {
		return refused
	}
	a, err := c.actForSelf(ctx, x.userID)
	return c.mayChange(ctx, x, a, err)
}

// mayChange has the change check the actor. A change that has no account to change, or that
// marks a seat first (see lastadmin.go), is checked now.
func (c *Core) mayChange(ctx context.Context, x *credentialChange, a *act, refused error) error {
	now := x.apply == nil || x.unseats
	x.by(ctx, a)
	if refused != nil || !now {
		return refused
	}
	return a.mayOn(ctx, x.userID)
}

// of sets the account that changes. If another change of a credential comes first, the
// change fails with ErrConflict.
func (x *credentialChange) of(user User) {
	a := user.AuthAccount()
	x.userID, x.stamp = a.ID, a.Stamp
	x.apply = func(now *Account) error {
		if !now.Stamp.Equal(x.stamp) {
			return ErrConflict
		}
		return nil
	}
}

// abandonBy has back take the preparations of a change back, if the account has not changed. A
// failure is an event.
func (c *Core) abandonBy(ctx context.Context, x *credentialChange, back func(context.Context) error) {
	x.abandon = func() {
		detached, cancel := detach(ctx)
		defer cancel()
		if err := back(detached); err != nil {
			c.event(ctx, Event{Kind: EventCleanupFailed, UserID: x.userID, Method: x.factor, Err: err})
		}
	}
}

// by sets who asked for the change.
func (x *credentialChange) by(ctx context.Context, a *act) {
	x.actor = a.actor
	if apply := x.apply; apply != nil {
		x.apply = func(account *Account) error {
			if err := a.may(ctx, account.Roles); err != nil {
				return err
			}
			return apply(account)
		}
	}
}

// unseat makes sure that another administrator stays, if the change may take one away. If the
// user becomes an administrator only meanwhile, the change fails with ErrConflict.
func (c *Core) unseat(ctx context.Context, x *credentialChange) (*heldSeat, error) {
	held, err := c.holdSeat(ctx, x.userID)
	if err != nil || held != nil {
		return held, err
	}
	apply := x.apply
	x.apply = func(a *Account) error {
		if c.isAdmin(a) {
			return ErrConflict
		}
		return apply(a)
	}
	return nil, nil // no seat is marked
}

// changeOnly makes a change that keeps the Stamp and ends nothing. If the user loses a role,
// long requests end (WhileLoggedIn), so that they ask again.
func (c *Core) changeOnly(ctx context.Context, x *credentialChange) (before, after User, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	detached, cancel := detach(ctx)
	defer cancel()
	if before, after, err = c.updateKept(detached, x.userID, x.apply); err != nil {
		return nil, nil, err
	}
	if lostRole(before.AuthAccount().Roles, after.AuthAccount().Roles) {
		c.watches.endFor(x.userID, func(string) bool { return true }, errRoleLost)
	}
	if s := c.stateOf(ctx); s != nil {
		s.op.Lock()
		if idOf(s.user) == x.userID {
			s.user = nil // load the user again
		}
		s.op.Unlock()
	}
	return before, after, nil
}

// carryOut makes the change: steps 1 to 3, and finish. Once it has begun, it goes on if
// the client hangs up. Otherwise the account could change without a mail to its owner.
func (c *Core) carryOut(ctx context.Context, x *credentialChange) (before, after User, err error) {
	detached, cancel := detach(ctx)
	defer cancel()
	stamp := NewSecret(keyring.NewToken())
	x.given = stamp
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
	if fails, left := c.finishChange(detached, s, x, left); left != nil {
		if fails {
			return nil, nil, left
		}
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: x.userID, Err: left}) // the records that are left are void
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

// finishChange runs finish. left is the error of step 3, or nil. finishChange returns it
// together with its own errors. The change fails because of them if fails is true.
func (c *Core) finishChange(ctx context.Context, s *state, x *credentialChange, left error) (fails bool, _ error) {
	fails = x.closes || x.apply == nil
	if x.finish == nil || left != nil && fails {
		return fails, left
	}
	failed := x.finish(ctx)
	fails = fails || x.must && failed != nil && (errors.Is(failed, ErrConflict) || x.made == nil || !x.made(ctx))
	left = errors.Join(left, failed)
	if x.removes {
		left = errors.Join(left, c.endOthers(ctx, s, x.userID))
	}
	return fails, left
}

// endOthers ends a user's logins except the request's own. It stops this attack: an attacker
// has one of the user's passkeys, and the user removes it. The account first gets its new
// Stamp, and then the passkey goes. In between, the attacker logs in by the passkey.
func (c *Core) endOthers(ctx context.Context, s *state, userID string) error {
	own := ""
	if s != nil {
		s.op.Lock()
		if s.cur.isLogin() && s.cur.header.userID == userID {
			own = loginHandle(s.cur.header)
		}
		s.op.Unlock()
	}
	_, err := c.endWhere(ctx, userID, func(h header) bool { return loginHandle(h) != own })
	return err
}

// add makes a change that keeps the Stamp. If another change of the account comes first, it
// takes the change back: that change may have been made to end what is being added.
func (c *Core) add(ctx context.Context, x *credentialChange) (before, after User, err error) {
	detached, cancel := detach(ctx)
	defer cancel()
	began := c.cfg.Now()
	allowed := func() (User, error) {
		user, err := c.store.load(detached, x.userID)
		if err == nil {
			err = gateDisabled(ctx, &attempt{user: user})
		}
		if err == nil {
			account := user.AuthAccount().Clone()
			err = x.apply(&account)
		}
		return user, err
	}
	if before, err = allowed(); err != nil {
		return nil, nil, err
	}
	if err = x.finish(detached); err != nil && !x.made(detached) {
		return nil, nil, err
	}
	if after, err = allowed(); err != nil {
		x.abandon()
		return nil, nil, c.endSince(detached, x.userID, began, err)
	}
	if s := c.stateOf(ctx); s != nil && x.shows {
		if err := s.noteShown(detached, x, x.stamp); err != nil {
			c.event(ctx, Event{Kind: EventCleanupFailed, UserID: x.userID, Err: err})
		}
	}
	return before, after, nil
}

// endSince ends the logins of a user that were made since then, because of a conflict. It is for
// this attack: an attacker adds a passkey, and the user resets the password. The passkey is
// stored after that, and the attacker logs in by it at once, with the new Stamp. Then the
// passkey is taken back, but the login would stay. If the user has logged in meanwhile, or in
// the minute before, that login ends, too: this is rare, and the user can log in again.
func (c *Core) endSince(ctx context.Context, userID string, since time.Time, conflict error) error {
	_, err := c.endWhere(ctx, userID, func(h header) bool { return !h.created.Before(since.Add(-maxSkew)) })
	if err != nil {
		return errors.Join(conflict, err)
	}
	return conflict
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
// trusted browsers, pending logins and mailed codes are void by their Stamp, in any case.
func (c *Core) keeps(k recordKind) bool {
	switch k.name {
	case kindPending:
		return len(c.cfg.Factors) > 0
	case kindTrusted:
		return c.cfg.TrustFor > 0
	case kindLoginCode:
		return c.cfg.EmailLogin
	}
	return true
}

// ends reports whether the change ends a user's records of this kind.
func (x *credentialChange) ends(k recordKind) bool {
	return k.ends == atChange || k.ends == atForgetting && x.forgets || k.ends != never && x.closes
}
