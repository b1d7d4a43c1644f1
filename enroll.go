package auth

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"
)

// enrollFresh is how recently a user must have logged in to set up or remove a factor. The
// login includes a factor, if the user has one.
const enrollFresh = 10 * time.Minute

// A FactorState says what a user has of one of Config.Factors.
type FactorState struct {
	Name     string
	Enrolled bool // the user has it, and a login asks for it
	Enrolls  bool // it is an Enroller: the user can set it up and remove it
	Backup   bool // it is a BackupFactor
	Left     int  // the codes that are left, of a BackupFactor
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
		if backup, ok := f.(BackupFactor); ok {
			state.Backup = true
			if state.Left, err = backup.Left(ctx, id); err != nil {
				return nil, factorFailed(f, err)
			}
		} else {
			if state.Disabled, err = c.factors[f.Name()].disabled(ctx, id); err != nil {
				return nil, err
			}
		}
		states = append(states, state)
	}
	if c.cfg.RequireFactor == nil || !c.cfg.RequireFactor(user) {
		return states, nil
	}
	last := func(s FactorState) bool { return s.Enrolled && !s.Backup }
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
	right, err := c.factors[factor].Count(ctx, x.userID, func() (bool, error) {
		switch x.finish, err = f.Finish(ctx, user, answer); {
		case errors.Is(err, ErrWrongFactor):
			return false, nil
		case err != nil:
			return false, factorFailed(f, err)
		}
		return true, nil
	})
	if err == nil && !right {
		err = ErrWrongFactor
	}
	return x, err
}

// RemoveFactor removes a factor of the current user, which must be an [Enroller] or a
// [BackupFactor]. If no other factor is left, it removes the backup codes, too, and a login
// asks for the password alone. The account gets a new Stamp, as with EnrollFactor. The owner
// gets a MailFactorRemoved.
//
// It returns ErrNotFresh, ErrNoFactor if the user does not have the factor, ErrForbidden if
// Config.RequireFactor requires one of the user and it is the last, ErrConflict if another
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
		own: ownGoesOn, factor: c.knownFactor(factor), must: true, mail: Mail{Kind: MailFactorRemoved, Factor: factor},
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
	x.finish = func(ctx context.Context) error { return c.removeFactors(ctx, x.userID, factor) }
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

// ResetFactors removes all factors of a user, for an administrator who has made sure that
// the user has lost them. A login then asks for the password alone. It removes the factors
// that are an [Enroller] or a [BackupFactor]. The account gets a new Stamp: all its logins,
// remembered devices, API tokens and mailed links end. The owner gets a MailFactorRemoved.
//
// It returns ErrUserNotFound, ErrNoUserStore, or a failure, after which some factors may be
// gone; call it again.
func (c *Core) ResetFactors(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	x := &credentialChange{
		userID: userID, own: ownEnds, must: true, mail: Mail{Kind: MailFactorRemoved}, done: EventFactorRemoved, failed: EventFactorRemoveFailed,
		apply: func(*Account) error { return nil },
		finish: func(ctx context.Context) error {
			return c.removeFactors(ctx, userID, factorNames(c.cfg.Factors)...)
		},
		made: func(ctx context.Context) bool {
			for _, f := range c.cfg.Factors {
				if has, err := f.Enrolled(ctx, userID); has || err != nil {
					return false
				}
			}
			return true
		},
	}
	var err error
	if c.store == nil {
		err = ErrNoUserStore
	}
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// removeFactors removes these factors with their counts of wrong answers, and the backup codes
// if no other factor is left. The backup codes go first: if they stayed when the factor is
// gone, they would work again when the user sets up another one.
func (c *Core) removeFactors(ctx context.Context, userID string, names ...string) error {
	left, err := c.primaryFactors(ctx, userID)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(left, func(name string) bool { return !slices.Contains(names, name) }) {
		for _, f := range c.cfg.Factors {
			if _, backup := f.(BackupFactor); backup {
				names = append([]string{f.Name()}, names...)
			}
		}
	}
	for _, name := range names {
		if f, ok := c.factor(name).(remover); ok {
			if err := f.Remove(ctx, userID); err != nil {
				return factorFailed(f, err)
			}
		}
		if err := take(ctx, c.records, kindFeatureAttempts, c.factors[name].counterKey(userID)); err != nil {
			c.event(ctx, Event{Kind: EventCleanupFailed, UserID: userID, Method: name, Err: err}) // UnlockFactor does it
		}
	}
	return nil
}

// NewBackupCodes makes new codes of a BackupFactor for the current user, and replaces those
// that the user had. Show them once: the library stores hashes. The account gets a new Stamp,
// as with EnrollFactor. The owner gets a MailBackupCodes.
//
// It returns ErrNotFresh, ErrUnverified, ErrNoFactor if no BackupFactor has this name or the
// user has no other factor, ErrConflict if another change of the account came first, what
// User returns, or a failure.
func (c *Core) NewBackupCodes(ctx context.Context, factor string) (codes []string, failing error) {
	defer c.met(ctx, &failing)
	x := &credentialChange{
		own: ownGoesOn, factor: c.knownFactor(factor), must: true, mail: Mail{Kind: MailBackupCodes, Factor: factor},
		done: EventBackupCodesMade, failed: EventBackupCodesFailed,
	}
	codes, err := c.planBackup(ctx, x, factor)
	if _, err = c.changeCredential(ctx, x, err); err != nil {
		return nil, err
	}
	return codes, nil
}

// planBackup plans what NewBackupCodes changes, and returns the codes.
func (c *Core) planBackup(ctx context.Context, x *credentialChange, factor string) ([]string, error) {
	user, err := c.mayChangeFactors(ctx)
	if err != nil {
		return nil, err
	}
	x.of(user)
	f, ok := c.factor(factor).(BackupFactor)
	if !ok {
		return nil, ErrNoFactor
	}
	primary, err := c.primaryFactors(ctx, x.userID)
	if err != nil {
		return nil, err
	}
	if len(primary) == 0 {
		return nil, ErrNoFactor
	}
	codes, save, err := f.Generate(ctx, user)
	if err != nil {
		return nil, factorFailed(f, err)
	}
	x.finish = save
	return codes, nil
}

// UnlockFactor lets the answers to a factor be checked again after a hundred wrong
// ones. Before that it does nothing: an attacker in a login of the user could go on
// guessing. The user logs in with another factor first, such as a recovery code. An
// administrator calls Unlock. The errors are those of RemoveFactor.
func (c *Core) UnlockFactor(ctx context.Context, factor string) (failing error) {
	defer c.met(ctx, &failing)
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
	primary, err := c.primaryFactors(ctx, idOf(user))
	if err != nil {
		return nil, err
	}
	if len(primary) > 0 && !c.shownFactor(ctx) {
		return nil, ErrNotFresh
	}
	a := user.AuthAccount()
	if c.cfg.Mailer != nil && c.Keeps(FieldEmailVerified) && a.Email != "" && !a.EmailVerified && len(primary) == 0 {
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
		return c.needFactor(ctx, user)
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
