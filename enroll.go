package auth

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// enrollFresh is how recently a user must have logged in to set up or remove a factor. The
// login includes a factor, if the user has one.
const enrollFresh = 10 * time.Minute

// maxCodeSets is how many sets of recovery codes an account gets within rateWindow. Each one is
// a mail to the owner: an attacker in a login must not bury other mails under them.
const maxCodeSets = 10

// A FactorState says what a user has of one of Config.Factors.
type FactorState struct {
	Name     string
	Enrolled bool // the user has it, and a login asks for it
	Enrolls  bool // it is an Enroller: the user can set it up and remove it
	Recovery bool // it is a RecoveryFactor
	Left     int  // the codes that are left, of a RecoveryFactor
	Required bool // Config.RequireFactor requires it: the user has no other one, and cannot remove it
	Disabled bool // after a hundred wrong answers, none is checked any more: see UnlockFactor
}

// FactorsOf returns what a user has of each of Config.Factors, in that order.
func (c *Core) FactorsOf(ctx context.Context, user User) (_ []FactorState, failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return nil, ErrUserNotFound
	}
	id := idOf(user)
	states := make([]FactorState, 0, len(c.cfg.Factors))
	for _, f := range c.cfg.Factors {
		has, err := f.Enrolled(ctx, id)
		if err != nil {
			return nil, factorFailed(f, err)
		}
		state := FactorState{Name: f.Name(), Enrolled: has}
		_, state.Enrolls = f.(Enroller)
		if recovery, ok := f.(RecoveryFactor); ok {
			state.Recovery = true
			if state.Left, err = recovery.Left(ctx, id); err != nil {
				return nil, factorFailed(f, err)
			}
		}
		if guessable(f) {
			if state.Disabled, err = c.factors[f.Name()].disabled(ctx, id); err != nil {
				return nil, err
			}
		}
		states = append(states, state)
	}
	if c.cfg.RequireFactor == nil || !c.cfg.RequireFactor(user) {
		return states, nil
	}
	last := func(s FactorState) bool { return s.Enrolled && !s.Recovery }
	if i := slices.IndexFunc(states, last); i >= 0 && !slices.ContainsFunc(states[i+1:], last) {
		states[i].Required = true
	}
	return states, nil
}

// BeginFactor returns what the current user needs to set up a factor that is an
// [Enroller]. Called again within ten minutes, it returns the same.
//
// It returns ErrNotFresh if the user has not logged in, or confirmed the login, within
// the last 10 minutes, with a factor if they have one. It returns ErrUnverified if
// there is a Mailer, the user has no factor yet, and the account's address is not
// verified. Otherwise an attacker who registers a victim's address could lock the owner
// out of the account. It also returns ErrNoFactor if no Enroller has this name, what
// User returns, or a failure.
func (c *Core) BeginFactor(ctx context.Context, factor string) (_ Setup, failing error) {
	defer c.met(ctx, &failing)
	user, f, err := c.mayEnroll(ctx, factor)
	if err != nil {
		return Setup{}, err
	}
	setup, err := f.Begin(ctx, user)
	if err != nil {
		return Setup{}, factorFailed(f, err)
	}
	return setup, nil
}

// EnrollFactor sets up a factor of the current user, by an answer to what BeginFactor has
// asked for. From then on each login of the user asks for a factor. The account gets a new
// Stamp: other logins, remembered devices, API tokens and mailed links of the account end.
// The login that makes the request goes on, and counts as one that has shown the factor. The
// owner gets a MailFactorAdded.
//
// Of a [PasskeyFactor], it adds a passkey to those that the user has. If the user had a
// factor already, the account keeps its Stamp, and nothing ends. The owner gets a
// MailPasskeyAdded.
//
// It returns ErrWrongFactor for a wrong answer, ErrLocked after too many (they are counted
// together with those at the login: see Feature.Count), ErrConflict if another change of the
// account came first, or an error of BeginFactor.
func (c *Core) EnrollFactor(ctx context.Context, factor string, answer url.Values) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planEnroll(ctx, factor, answer)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// planEnroll plans what EnrollFactor changes.
func (c *Core) planEnroll(ctx context.Context, factor string, answer url.Values) (*credentialChange, error) {
	x := &credentialChange{
		own: ownGoesOn, factor: c.knownFactor(factor), shows: true, must: true, mail: Mail{Kind: MailFactorAdded, Factor: factor},
		done: EventFactorAdded, failed: EventFactorAddFailed,
	}
	user, f, err := c.mayEnroll(ctx, factor)
	if err != nil {
		return x, err
	}
	x.of(user)
	if passkeys, ok := f.(PasskeyFactor); ok {
		return x, c.planPasskey(ctx, x, passkeys, user, answer)
	}
	before, err := f.Enrolled(ctx, x.userID)
	if err != nil {
		return x, factorFailed(f, err)
	}
	if !before { // of a factor that is replaced, nobody can tell which one is stored
		x.made = func(ctx context.Context) bool {
			has, err := f.Enrolled(ctx, x.userID)
			return has && err == nil
		}
	}
	right, wait, err := c.factors[factor].count(ctx, x.userID, func() (bool, error) {
		switch x.finish, err = f.Finish(ctx, user, answer); {
		case errors.Is(err, ErrWrongFactor):
			return false, nil
		case err != nil:
			return false, factorFailed(f, err)
		}
		return true, nil
	})
	switch {
	case err != nil:
		return x, err
	case !right:
		return x, waiting(ErrWrongFactor, wait)
	}
	return x, c.noteEnrolment(ctx, x, func(ctx context.Context) error { return c.removeFactor(ctx, x.userID, factor) })
}

// noteEnrolment writes down the name of a factor that is about to be set up. If the change
// is not made, the name is deleted again.
//
// After the factor is stored, the name is written once more, with another id. Meanwhile a
// removal in another process may have read the first one. It deletes that one, even if the
// new factor was stored after it has removed the old one. If the name is gone by then, a
// removal has come to its end, and it did not see the new factor: back removes that, and logins
// that were made meanwhile end.
func (c *Core) noteEnrolment(ctx context.Context, x *credentialChange, back func(context.Context) error) error {
	first, began := c.newEnrolment(x.factor), c.cfg.Now()
	x.abandon = func() {
		detached, cancel := detach(ctx)
		defer cancel()
		if err := c.dropEnrolments(detached, x.userID, first); err != nil {
			c.event(ctx, Event{Kind: EventCleanupFailed, UserID: x.userID, Method: x.factor, Err: err})
		}
	}
	save := x.finish
	x.finish = func(ctx context.Context) error {
		if err := save(ctx); err != nil {
			return err
		}
		removed, err := c.noteAgain(ctx, x)
		if removed {
			err = c.endSince(ctx, x.userID, began, errors.Join(ErrConflict, back(ctx)))
		}
		return err
	}
	return c.changeEnrolments(ctx, x.userID, func(all []enrolment) []enrolment { return append(all, first) })
}

// noteAgain writes the name of a factor that was just stored once more, with another id. It
// reports whether the name was gone.
func (c *Core) noteAgain(ctx context.Context, x *credentialChange) (removed bool, err error) {
	last := c.newEnrolment(x.factor)
	err = c.changeEnrolments(ctx, x.userID, func(all []enrolment) []enrolment {
		others := slices.DeleteFunc(slices.Clone(all), func(e enrolment) bool { return e.name == x.factor })
		if removed = len(others) == len(all); removed {
			return all
		}
		return append(others, last)
	})
	return removed && err == nil, err
}

// newEnrolment returns an enrolment of one of Config.Factors, made now.
func (c *Core) newEnrolment(factor string) enrolment {
	_, recovery := c.factor(factor).(RecoveryFactor)
	return enrolment{factor, uint64(keyring.RandomVersion()), c.cfg.Now().Unix(), recovery}
}

// planPasskey plans that a passkey is added. If the user has a factor, the account keeps its
// Stamp: an added passkey takes nothing away, so no login has to end.
func (c *Core) planPasskey(ctx context.Context, x *credentialChange, f PasskeyFactor, user User, answer url.Values) error {
	owns, err := c.ownsFactor(ctx, x.userID)
	if err != nil {
		return err
	}
	var added Passkey
	right, err := c.countAddress(ctx, func() (bool, error) {
		switch added, x.finish, err = f.Add(ctx, user, answer); {
		case errors.Is(err, ErrWrongFactor):
			return false, nil
		case err != nil:
			return false, factorFailed(f, err)
		}
		return true, nil
	})
	switch {
	case err != nil:
		return err
	case !right:
		return ErrWrongFactor
	}
	x.keeps, x.mail = owns, Mail{Kind: MailPasskeyAdded, Factor: f.Name(), Passkey: added.Name}
	x.made = func(ctx context.Context) bool {
		all, err := f.Passkeys(ctx, x.userID)
		return err == nil && slices.ContainsFunc(all, func(p Passkey) bool { return p.ID == added.ID })
	}
	back := func(ctx context.Context) error { return c.abandonPasskey(ctx, f, x.userID, added.ID) }
	if err := c.noteEnrolment(ctx, x, back); err != nil {
		return err
	}
	x.abandon = func() {
		detached, cancel := detach(ctx)
		defer cancel()
		if err := back(detached); err != nil {
			c.event(ctx, Event{Kind: EventCleanupFailed, UserID: x.userID, Method: f.Name(), Err: err})
		}
	}
	return nil
}

// abandonPasskey takes back a passkey that was not to be added. If the user has no other one,
// the name of the factor goes, too.
func (c *Core) abandonPasskey(ctx context.Context, f PasskeyFactor, userID, id string) error {
	if err := f.RemoveOne(ctx, userID, id); err != nil {
		return factorFailed(f, err)
	}
	all, err := c.enrolments(ctx, userID) // before the look at the factor: an enrolment that comes later stays
	if err != nil {
		return err
	}
	has, err := f.Enrolled(ctx, userID)
	if err != nil || has {
		return err
	}
	return c.dropEnrolments(ctx, userID, slices.DeleteFunc(all, func(e enrolment) bool { return e.name != f.Name() })...)
}

// RemoveFactor removes a factor of the current user, which must be an [Enroller] or a
// [RecoveryFactor]. If no other factor is left, it removes the recovery codes, too, and a login
// asks for the password alone. The account gets a new Stamp, as with EnrollFactor. The owner
// gets a MailFactorRemoved.
//
// It returns ErrNotFresh, ErrNoFactor if the user does not have the factor, ErrForbidden if
// Config.RequireFactor requires one of the user and it is the last, ErrLastWayIn if the user
// could not log in without it (of several passkeys, none may work), ErrConflict if another
// change of the account came first, what User returns, or a failure.
func (c *Core) RemoveFactor(ctx context.Context, factor string) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planRemove(ctx, factor)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// planRemove plans what RemoveFactor changes.
func (c *Core) planRemove(ctx context.Context, factor string) (*credentialChange, error) {
	x := &credentialChange{
		own: ownGoesOn, factor: c.knownFactor(factor), must: true, removes: true, mail: Mail{Kind: MailFactorRemoved, Factor: factor},
		done: EventFactorRemoved, failed: EventFactorRemoveFailed,
	}
	user, err := c.mayChangeFactors(ctx)
	if err != nil {
		return x, err
	}
	x.of(user)
	f, ok := c.factor(factor).(remover)
	if !ok {
		return x, ErrNoFactor
	}
	has, err := f.Enrolled(ctx, x.userID)
	if err != nil {
		return x, factorFailed(f, err)
	}
	if !has {
		return x, ErrNoFactor
	}
	if err := c.mayRemove(ctx, user, factor); err != nil {
		return x, err
	}
	if err := c.mayRemoveAnswer(ctx, x.userID, factor, Passkey{}); err != nil {
		return x, err
	}
	if _, ok := f.(PasskeyFactor); ok {
		if err := c.mayRemoveWay(ctx, user, way{passkeys: true}); err != nil {
			return x, err
		}
	}
	all, err := c.enrolments(ctx, x.userID)
	if err != nil {
		return x, err
	}
	x.finish = func(ctx context.Context) error { return c.removeFactors(ctx, x.userID, all, factor) }
	x.made = func(ctx context.Context) bool {
		has, err := f.Enrolled(ctx, x.userID)
		return !has && err == nil
	}
	return x, nil
}

// mayRemove returns ErrForbidden for the last factor of a user of whom Config.RequireFactor
// requires one.
func (c *Core) mayRemove(ctx context.Context, user User, factor string) error {
	if c.cfg.RequireFactor == nil || !c.cfg.RequireFactor(user) {
		return nil
	}
	primary, err := c.primaryFactors(ctx, idOf(user))
	if err == nil && len(primary) == 1 && primary[0] == factor {
		err = ErrForbidden
	}
	return err
}

// mayRemoveAnswer returns ErrLastWayIn if a user would owe a factor at each login and could not
// show one: a passkey that does not work still counts as a factor. removed is the passkey that
// is to be removed, or empty for the whole factor.
func (c *Core) mayRemoveAnswer(ctx context.Context, userID, factor string, removed Passkey) error {
	f := c.passkeyFactor()
	if f == nil || f.Name() == factor && (removed.ID == "" || !removed.works()) {
		return nil
	}
	all, err := f.Passkeys(ctx, userID)
	if err != nil {
		return factorFailed(f, err)
	}
	left := slices.DeleteFunc(all, func(p Passkey) bool { return p.ID == removed.ID })
	if len(left) == 0 || slices.ContainsFunc(left, Passkey.works) {
		return nil
	}
	for _, other := range c.cfg.Factors {
		if other.Name() == f.Name() || other.Name() == factor {
			continue
		}
		if has, err := other.Enrolled(ctx, userID); err != nil {
			return factorFailed(other, err)
		} else if has {
			return nil
		}
	}
	return ErrLastWayIn
}

// ResetFactors removes all factors of a user, for an administrator who has made sure that
// the user has lost them. A login then asks for the password alone. It removes the factors
// that are an [Enroller] or a [RecoveryFactor], and those that the user has set up before they
// were taken out of Config.Factors. The account gets a new Stamp: all its logins, remembered
// devices, API tokens and mailed links end. The owner gets a MailFactorRemoved.
//
// In a request of another user, that user must have logged in, or confirmed the login, within
// the last 10 minutes, and must have shown a second factor. Otherwise it returns ErrNotFresh,
// or ErrNoFactor if they have none. It also returns ErrForbidden (see SetRoles),
// ErrUserNotFound, ErrNoUserStore, or a failure, after which some factors may be gone; call it
// again. Consider a one-time code instead: the account keeps its factors (package totp).
func (c *Core) ResetFactors(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planResetFactors(ctx, userID)
	if err == nil {
		err = c.mayResetFactors(ctx, userID)
	}
	err = c.actOnChange(ctx, x, err)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// mayResetFactors returns ErrNotFresh or ErrNoFactor if another user makes the request who has
// not just shown a second factor.
func (c *Core) mayResetFactors(ctx context.Context, userID string) error {
	if c.requestOf(ctx) == nil {
		return nil
	}
	user, err := c.loadUser(ctx)
	switch {
	case errors.Is(err, ErrNotLoggedIn) && !errors.Is(err, ErrLoggedOut), err == nil && idOf(user) == userID:
		return nil
	case err != nil:
		return err
	}
	if err := c.checkFresh(ctx, enrollFresh); err != nil {
		return err
	}
	if c.shownFactor(ctx) {
		return nil
	}
	owns, err := c.ownsFactor(ctx, idOf(user))
	if err == nil && owns {
		err = ErrNotFresh
	} else if err == nil {
		err = ErrNoFactor
	}
	return err
}

// planResetFactors plans what ResetFactors changes.
func (c *Core) planResetFactors(ctx context.Context, userID string) (*credentialChange, error) {
	x := &credentialChange{
		userID: userID, own: ownEnds, must: true, removes: true, mail: Mail{Kind: MailFactorRemoved}, done: EventFactorRemoved, failed: EventFactorRemoveFailed,
		apply: func(*Account) error { return nil },
		made: func(ctx context.Context) bool {
			for _, f := range c.cfg.Factors {
				if has, err := f.Enrolled(ctx, userID); has || err != nil {
					return false
				}
			}
			left, err := c.enrolments(ctx, userID)
			return len(left) == 0 && err == nil
		},
	}
	if c.store == nil {
		return x, ErrNoUserStore
	}
	all, damaged := c.enrolments(ctx, userID)
	if damaged != nil && !errors.Is(damaged, errEnrolments) {
		return x, damaged
	}
	names := factorNames(c.cfg.Factors)
	for _, e := range all {
		if c.factor(e.name) == nil {
			names = append(names, e.name)
		}
	}
	x.finish = func(ctx context.Context) error {
		err := c.removeFactors(ctx, userID, all, names...)
		if err == nil && damaged != nil {
			err = take(ctx, c.records, kindEnrolled, enrolledKey(userID))
		}
		return err
	}
	return x, nil
}

// removeFactors removes these factors with their counts of wrong answers, and the recovery codes
// if no other factor is left. The recovery codes go first: if they stayed when the factor is
// gone, they would work again when the user sets up another one. all are the user's
// enrolments at the beginning of the removal.
func (c *Core) removeFactors(ctx context.Context, userID string, all []enrolment, names ...string) error {
	removed := func(name string) bool { return slices.Contains(names, name) }
	left, err := c.primaryFactors(ctx, userID)
	if err != nil {
		return err
	}
	for _, e := range all {
		if !e.recovery && c.factor(e.name) == nil {
			left = append(left, e.name)
		}
	}
	if !slices.ContainsFunc(left, func(name string) bool { return !removed(name) }) {
		for _, f := range c.cfg.Factors {
			if _, recovery := f.(RecoveryFactor); recovery {
				names = append([]string{f.Name()}, names...)
			}
		}
	}
	for _, name := range names {
		if err := c.removeFactor(ctx, userID, name); err != nil {
			return err
		}
	}
	gone := slices.DeleteFunc(slices.Clone(all), func(e enrolment) bool { return !removed(e.name) })
	return c.dropEnrolments(ctx, userID, gone...)
}

// removeFactor removes a factor with its count of wrong answers. Of a factor that is not in
// Config.Factors, it deletes all that the factor has stored about the user.
func (c *Core) removeFactor(ctx context.Context, userID, name string) error {
	feature, ok := c.factors[name]
	if !ok {
		feature = &Feature{c, name, kindFeature, name + "/"}
		if err := feature.Delete(ctx, userID); err != nil {
			return err
		}
	}
	if f, ok := c.factor(name).(remover); ok {
		if err := f.Remove(ctx, userID); err != nil {
			return factorFailed(f, err)
		}
	}
	if err := take(ctx, c.records, kindFeatureAttempts, feature.counterKey(userID)); err != nil {
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: userID, Method: name, Err: err}) // UnlockFactor does it
	}
	return nil
}

// forgetFactors removes the factors, passkeys and recovery codes that a user has set up since
// then. It begins again until there are none: another process may be about to store one. That
// process finds either that the name is gone, or a name that the next round finds.
func (c *Core) forgetFactors(ctx context.Context, userID string, since time.Time) error {
	passkeys, passkey := c.passkeyFactor(), ""
	if passkeys != nil {
		passkey = passkeys.Name()
	}
	for range maxConflicts {
		all, err := c.enrolments(ctx, userID)
		if err != nil {
			return err
		}
		var names []string
		for _, e := range all {
			if e.name != passkey && time.Unix(e.at, 0).After(since) && !slices.Contains(names, e.name) {
				names = append(names, e.name)
			}
		}
		if len(names) > 0 {
			if err := c.removeFactors(ctx, userID, all, names...); err != nil {
				return err
			}
			for _, name := range names {
				c.event(ctx, Event{Kind: EventFactorRemoved, UserID: userID, Method: name})
			}
		}
		left, err := c.forgetPasskeys(ctx, userID, since)
		if err != nil {
			return err
		}
		gone := slices.DeleteFunc(all, func(e enrolment) bool { return e.name != passkey || left })
		if err := c.dropEnrolments(ctx, userID, gone...); err != nil {
			return err
		}
		if len(names) == 0 && len(gone) == 0 {
			return nil
		}
	}
	return ErrConflict
}

// forgetPasskeys removes the passkeys that a user has added since then. It reports whether any
// are left.
func (c *Core) forgetPasskeys(ctx context.Context, userID string, since time.Time) (left bool, _ error) {
	f := c.passkeyFactor()
	if f == nil {
		return false, nil
	}
	all, err := f.Passkeys(ctx, userID)
	if err != nil {
		return false, factorFailed(f, err)
	}
	for _, p := range all {
		if !p.Created.After(since) {
			left = true
			continue
		}
		if err := f.RemoveOne(ctx, userID, p.ID); err != nil {
			return false, factorFailed(f, err)
		}
		c.event(ctx, Event{Kind: EventFactorRemoved, UserID: userID, Method: f.Name()})
	}
	return left, nil
}

// changeEnrolments changes the user's record of enrolments.
func (c *Core) changeEnrolments(ctx context.Context, userID string, change func([]enrolment) []enrolment) error {
	f, key := &Feature{core: c, name: kindEnrolled, kind: kindEnrolled}, enrolledKey(userID)
	for range maxConflicts {
		err := f.Change(ctx, key, func(r *Record) error {
			all, err := decodeEnrolments(r.Data)
			if all = change(all); len(all) == 0 {
				r.Expires = c.cfg.Now().Add(-24 * time.Hour)
			}
			r.Data = encodeEnrolments(all)
			return err
		})
		if !errors.Is(err, ErrRecordNotFound) {
			return err
		}
		all := change(nil)
		if len(all) == 0 {
			return nil
		}
		err = f.Insert(ctx, Record{Key: key, UserID: userID, Data: encodeEnrolments(all)})
		if !errors.Is(err, ErrRecordExists) {
			return err
		}
	}
	return ErrConflict
}

// dropEnrolments deletes these enrolments of the user.
func (c *Core) dropEnrolments(ctx context.Context, userID string, gone ...enrolment) error {
	if len(gone) == 0 {
		return nil
	}
	return c.changeEnrolments(ctx, userID, func(all []enrolment) []enrolment {
		return slices.DeleteFunc(all, func(e enrolment) bool { return slices.Contains(gone, e) })
	})
}

// NewRecoveryCodes makes new codes of a RecoveryFactor for the current user, and replaces those
// that the user had. Show them once: the library stores hashes. The account gets a new Stamp,
// as with EnrollFactor. The owner gets a MailRecoveryCodes.
//
// It returns ErrNotFresh, ErrUnverified, ErrNoFactor if no RecoveryFactor has this name or the
// user has no other factor, ErrConflict if another change of the account came first or came
// before the codes were stored, a RateLimitError after ten times within an hour, what User
// returns, or a failure.
func (c *Core) NewRecoveryCodes(ctx context.Context, factor string) (codes []string, failing error) {
	defer c.met(ctx, &failing)
	x := &credentialChange{
		own: ownGoesOn, factor: c.knownFactor(factor), must: true, mail: Mail{Kind: MailRecoveryCodes, Factor: factor},
		done: EventRecoveryCodesMade, failed: EventRecoveryCodesFailed,
	}
	codes, err := c.planRecovery(ctx, x, factor)
	if _, err = c.changeCredential(ctx, x, err); err != nil {
		return nil, err
	}
	return codes, nil
}

// planRecovery plans what NewRecoveryCodes changes, and returns the codes.
func (c *Core) planRecovery(ctx context.Context, x *credentialChange, factor string) ([]string, error) {
	user, err := c.mayChangeFactors(ctx)
	if err != nil {
		return nil, err
	}
	x.of(user)
	f, ok := c.factor(factor).(RecoveryFactor)
	if !ok {
		return nil, ErrNoFactor
	}
	owns, err := c.ownsFactor(ctx, x.userID)
	if err != nil {
		return nil, err
	}
	if !owns {
		return nil, ErrNoFactor
	}
	switch _, left, err := c.addTo(ctx, counterKey("recovery codes", x.userID), maxCodeSets, rateWindow); {
	case err != nil:
		return nil, err
	case left > 0:
		return nil, rateLimited(left)
	}
	codes, save, err := f.Generate(ctx, user)
	if err != nil {
		return nil, factorFailed(f, err)
	}
	if err := c.noteRecovery(ctx, x); err != nil {
		return nil, err
	}
	x.finish = func(ctx context.Context) error {
		if err := save(ctx); err != nil {
			return err
		}
		return c.keepRecovery(ctx, x, f)
	}
	return codes, nil
}

// noteRecovery writes down when recovery codes were made, for UndoEmailChange. It does so before
// they are: if that fails, nothing has changed. If the codes then are not made, an undo may
// remove older ones.
func (c *Core) noteRecovery(ctx context.Context, x *credentialChange) error {
	made := c.newEnrolment(x.factor)
	return c.changeEnrolments(ctx, x.userID, func(all []enrolment) []enrolment {
		return append(slices.DeleteFunc(all, func(e enrolment) bool { return e.name == x.factor }), made)
	})
}

// keepRecovery removes codes that were just stored if another change of the account came
// after this one. It may have been a ResetFactors that removed the older codes before the new
// ones were stored. An UndoEmailChange removes codes before it changes the account, so it may
// remove the older ones while the account still has the Stamp of this change. The name in the
// enrolments is then gone, or it has another id when the undo looks again (see noteEnrolment).
func (c *Core) keepRecovery(ctx context.Context, x *credentialChange, f RecoveryFactor) error {
	removed, err := c.noteAgain(ctx, x)
	var user User
	if err == nil && !removed {
		user, err = c.users.load(ctx, x.userID)
	}
	switch {
	case removed:
	case err == nil && user.AuthAccount().Stamp.Equal(x.given):
		return nil
	case err != nil && !errors.Is(err, ErrUserNotFound): // another change is unlikely, and the codes are stored
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: x.userID, Method: f.Name(), Err: err})
		return nil
	}
	if err := f.Remove(ctx, x.userID); err != nil {
		return errors.Join(ErrConflict, factorFailed(f, err))
	}
	return ErrConflict
}

// UnlockFactor lets the answers to a factor be checked again after a hundred wrong
// ones. Before that it does nothing: an attacker in a login of the user could go on
// guessing. The user logs in with another factor first, such as a recovery code. An
// administrator calls Unlock. The owner gets a MailFactorUnlocked. The errors are those of
// RemoveFactor.
func (c *Core) UnlockFactor(ctx context.Context, factor string) (failing error) {
	defer c.met(ctx, &failing)
	if err := c.notActing(ctx); err != nil {
		return err
	}
	user, err := c.mayChangeFactors(ctx)
	if err != nil {
		return err
	}
	if c.factor(factor) == nil {
		return ErrNoFactor
	}
	f := c.factors[factor]
	disabled, err := f.disabled(ctx, idOf(user))
	if err != nil || !disabled {
		return err
	}
	if err := take(ctx, c.records, kindFeatureAttempts, f.counterKey(idOf(user))); err != nil {
		return err
	}
	c.event(ctx, Event{Kind: EventFactorUnlocked, UserID: idOf(user), Method: factor})
	c.tell(ctx, Mail{Kind: MailFactorUnlocked, To: user.AuthAccount().Email, User: user, Factor: factor})
	return nil
}

// mayEnroll returns the current user, if the user may set up a factor, and the factor.
func (c *Core) mayEnroll(ctx context.Context, factor string) (User, Enroller, error) {
	f, ok := c.factor(factor).(Enroller)
	if !ok {
		return nil, nil, ErrNoFactor
	}
	user, err := c.mayChangeFactors(ctx)
	return user, f, err
}

// mayChangeFactors returns the current user, if the user may change factors now.
func (c *Core) mayChangeFactors(ctx context.Context) (User, error) {
	if c.store == nil { // the account cannot get a new Stamp
		return nil, ErrNoUserStore
	}
	user, err := c.EnrollingUser(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.checkFresh(ctx, enrollFresh); err != nil {
		return nil, err
	}
	// A factor may have been added since the login began: the login must have shown one.
	owns, err := c.ownsFactor(ctx, idOf(user))
	if err != nil {
		return nil, err
	}
	if owns && !c.shownFactor(ctx) {
		return nil, ErrNotFresh
	}
	a := user.AuthAccount()
	if c.cfg.Mailer != nil && c.Keeps(FieldEmailVerified) && a.Email != "" && !a.EmailVerified && !owns {
		return nil, ErrUnverified
	}
	return user, c.stillIn(ctx)
}

// SecondFactor holds if the login has shown a second factor: one of Config.Factors. If the
// user has none, it is ErrNoFactor, and Error sends a browser to Config.URLs.TwoFactor, to
// set one up. If the user has one and this login has not shown it, it is ErrNotFresh, and
// Error sends a browser to Config.URLs.Refresh.
//
// A login from a remembered device counts as having shown the factors that the user
// showed when the device was remembered. So does a login in a trusted browser (see
// TrustBrowser).
func SecondFactor() Rule {
	return Rule{step: stepFactor, ask: func(ctx context.Context, c *Core, user User) error {
		err := c.needFactor(ctx, user)
		if errors.Is(err, ErrNoFactor) || errors.Is(err, ErrNotFresh) {
			err = stepUp{error: err, factor: true}
		}
		return err
	}}
}

// knownFactor returns a name that the application has typed, if it is a factor's: an event
// must not have what users type.
func (c *Core) knownFactor(name string) string {
	if c.factor(name) == nil {
		return ""
	}
	return name
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
