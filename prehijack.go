package auth

import (
	"context"
	"errors"

	"github.com/go-login/auth/internal/keyring"
)

// This file is for this attack (account pre-hijacking): an attacker registers the user's
// address first, sets a password, logs in, and waits for the user. The user then logs in by a
// mail, which proves that the mailbox is theirs. If no address of the account was ever
// verified, everything that was set up in it may be the attacker's, and is removed.

// proveMailbox verifies the address of a user who has just proved that they own the mailbox.
// If no address of the account was verified before, it calls clearUnproved. cleared reports
// whether that has removed anything. With an error, the user is the one that was given.
func (c *Core) proveMailbox(ctx context.Context, user User) (_ User, cleared bool, _ error) {
	proved, err := c.isProved(ctx, user)
	if err != nil || user.AuthAccount().EmailVerified {
		return user, false, err
	}
	var now User
	if proved {
		now, err = c.verifyProved(ctx, user)
	} else {
		now, cleared, err = c.clearUnproved(ctx, user)
	}
	if err == nil && !now.AuthAccount().EmailVerified { // it could not be loaded after the change
		now, err = c.users.load(ctx, idOf(user))
	}
	if err != nil {
		return user, cleared, err
	}
	return now, cleared, nil
}

// verifyProved verifies the address of an account that had a verified address before. It
// removes nothing: what was set up is the owner's.
func (c *Core) verifyProved(ctx context.Context, user User) (User, error) {
	x := &credentialChange{own: ownEnds, forgets: true, proves: true, done: EventVerificationDone}
	x.of(user)
	unchanged := x.apply
	x.apply = func(a *Account) error {
		a.EmailVerified = true
		return unchanged(a)
	}
	return c.changeCredential(ctx, x, nil)
}

// clearUnproved removes everything that was set up in an account: the password, logins,
// remembered devices, API tokens, second factors, all records of Features, and links that
// change the address back. Other data of the application stays. The address is verified then.
// A factor that is neither an Enroller nor a RecoveryFactor stays: users do not set it up.
//
// cleared reports whether anything of this was there. The owner then gets a
// MailAccountCleared.
func (c *Core) clearUnproved(ctx context.Context, user User) (_ User, cleared bool, _ error) {
	x := &credentialChange{own: ownEnds, forgets: true, proves: true, done: EventVerificationDone}
	x.of(user)
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
