package auth

import (
	"context"
	"errors"
	"slices"
	"time"
)

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
