package auth

import (
	"context"
	"errors"

	"github.com/go-login/auth/internal/keyring"
)

// clearUnproved is for a user who has just proved that they own the mailbox of an account
// that never had a verified address. Until then an attacker may have owned the account: they
// registered the user's address first, set a password, logged in, and wait for the user. So
// everything that was set up in the account is removed: the password, logins, remembered
// devices, API tokens, second factors, all records of Features, and links that change the
// address back. Other data of the application stays. The address is verified then.
//
// cleared reports whether anything of this was there. The owner then gets a
// MailAccountCleared.
//
// A factor that is neither an Enroller nor a RecoveryFactor stays: users do not set it up.
//
// If an earlier address of the account was verified (isProved), nothing is removed: what was
// set up is the owner's.
func (c *Core) clearUnproved(ctx context.Context, user User, proved bool) (_ User, cleared bool, _ error) {
	x := &credentialChange{own: ownEnds, forgets: true, proves: true, done: EventVerificationDone}
	x.of(user)
	if proved {
		unchanged := x.apply
		x.apply = func(a *Account) error {
			a.EmailVerified = true
			return unchanged(a)
		}
		now, err := c.changeCredential(ctx, x, nil)
		return now, false, err
	}
	cleared, err := c.hasPrepared(ctx, user)
	if cleared {
		x.mail, x.done = Mail{Kind: MailAccountCleared}, EventAccountCleared
	}
	// If the records were removed after the change and that failed, the address would be
	// verified, and an attacker's second factor would lock the owner out. So they are
	// removed first. Those that were stored meanwhile are removed after the change.
	if err == nil {
		err = c.removePrepared(ctx, x.userID)
	}
	unchanged := x.apply
	x.apply = func(a *Account) error {
		if err := unchanged(a); err != nil {
			return err
		}
		a.EmailVerified, a.PasswordHash = true, Secret{}
		return nil
	}
	x.finish = func(ctx context.Context) error { return c.removePrepared(ctx, x.userID) }
	now, err := c.changeCredential(ctx, x, err)
	if err != nil {
		return nil, false, err
	}
	return now, cleared, nil
}

// noteProved writes down that the address of the account was verified once, before
// SetEmail gives the account another one.
func (c *Core) noteProved(ctx context.Context, userID string) error {
	err := c.records.InsertRecord(ctx, Record{Kind: kindProved, Key: counterKey(kindProved, userID), UserID: userID, Version: keyring.RandomVersion()})
	if errors.Is(err, ErrRecordExists) {
		return nil
	}
	return err
}

// isProved reports whether the account's address is verified, or an earlier one was.
func (c *Core) isProved(ctx context.Context, user User) (bool, error) {
	if user.AuthAccount().EmailVerified {
		return true, nil
	}
	_, err := c.records.GetRecord(ctx, kindProved, counterKey(kindProved, idOf(user)))
	return err == nil, unlessNotFound(err)
}

// hasPrepared reports whether the account has anything that clearUnproved removes.
func (c *Core) hasPrepared(ctx context.Context, user User) (bool, error) {
	if !user.AuthAccount().PasswordHash.IsZero() {
		return true, nil
	}
	for _, k := range recordKinds() {
		switch k.name {
		case kindSession, kindRemember, kindAPIToken, kindFeature, kindUndo:
			store := c.records
			if k.volatile {
				store = c.sessions
			}
			records, err := store.ListRecords(ctx, k.name, idOf(user))
			if err != nil || len(records) > 0 {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// removePrepared removes what clearUnproved removes and the new Stamp does not make void.
func (c *Core) removePrepared(ctx context.Context, userID string) error {
	ctx, cancel := detach(ctx)
	defer cancel()
	if err := c.removeFactors(ctx, userID, nil, factorNames(c.cfg.Factors)...); err != nil {
		return err
	}
	for _, kind := range []string{kindFeature, kindFeatureAttempts, kindEnrolled, kindUndo, kindReserved} {
		if err := c.records.DeleteRecords(ctx, kind, userID); err != nil {
			return err
		}
	}
	return nil
}
