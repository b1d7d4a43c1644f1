package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// This file has what all changes of a user's factors share: whether the user may make them,
// and how the record changes that names the factors (enrollrecord.go).

// enrollFresh is how recently a user must have logged in to set up or remove a factor. The
// login includes a factor, if the user has one.
const enrollFresh = 10 * time.Minute

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

// knownFactor returns a name that the application has typed, if it is a factor's: an event
// must not have what users type.
func (c *Core) knownFactor(name string) string {
	if c.factor(name) == nil {
		return ""
	}
	return name
}

// newEnrolment returns an enrolment of one of Config.Factors, made now.
func (c *Core) newEnrolment(factor string) enrolment {
	_, recovery := c.factor(factor).(RecoveryFactor)
	return enrolment{factor, uint64(keyring.RandomVersion()), c.cfg.Now().Unix(), recovery}
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
