package auth

import (
	"context"
	"errors"
	"slices"
)

// maxCodeSets is how many sets of recovery codes an account gets within rateWindow. Each one is
// a mail to the owner: an attacker in a login must not bury other mails under them.
const maxCodeSets = 10

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
