package auth

import (
	"context"
	"errors"
	"net/url"
	"slices"
)

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
	if !before { // if the factor is replaced, Enrolled does not tell whether the old or the new one is stored
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
	c.abandonBy(ctx, x, func(ctx context.Context) error { return c.dropEnrolments(ctx, x.userID, first) })
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
	if owns {
		x.effect = onlyAdds
	}
	x.mail = Mail{Kind: MailPasskeyAdded, Factor: f.Name(), Passkey: added.Name}
	x.made = func(ctx context.Context) bool {
		all, err := f.Passkeys(ctx, x.userID)
		return err == nil && slices.ContainsFunc(all, func(p Passkey) bool { return p.ID == added.ID })
	}
	back := func(ctx context.Context) error { return c.abandonPasskey(ctx, f, x.userID, added.ID) }
	if err := c.noteEnrolment(ctx, x, back); err != nil {
		return err
	}
	c.abandonBy(ctx, x, back)
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
