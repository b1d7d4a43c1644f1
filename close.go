package auth

import "context"

// CloseAccount ends an account for good: nobody can log in to it any more, what it
// was logged in by and all the library has stored of it is deleted, and the user is
// deleted, if the store is a UserDeleter. Else the account stays, disabled, with
// a random username if it had one and without an address; what the application keeps
// beside the account is its own to delete. The address that it had is told. The
// caller must have seen that it is the user who asks, by CheckPassword or
// CheckFresh.
//
// If the store is no UserDeleter and leaves out Disabled (see FieldOmitter), it
// changes nothing and returns an error. It returns ErrConflict if another change
// of a credential came first, ErrLoggedOut if the login that asks has been ended,
// ErrUserNotFound, or a failure of a store. After a failure the account may be disabled already; to go
// on, load the user and call it again.
func (c *Core) CloseAccount(ctx context.Context, user User) (failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return ErrUserNotFound
	}
	x, err := c.planClose(ctx, user.AuthAccount().Clone())
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// planClose plans what CloseAccount changes. First nobody can use the account any more,
// so that a failure later on leaves a dead account, and not a living one without its
// records. Then the records are deleted, and the account last.
func (c *Core) planClose(ctx context.Context, account Account) (*credentialChange, error) {
	x := &credentialChange{
		userID: account.ID, own: ownEnds, closes: true, mail: Mail{Kind: MailClosed},
		done: EventAccountClosed, failed: EventAccountCloseFailed,
	}
	if c.store == nil {
		return x, ErrNoUserStore
	}
	if !c.deletes {
		if err := c.needs("CloseAccount, with a user store that is no UserDeleter,", FieldDisabled); err != nil {
			return x, err
		}
	}
	x.apply = func(a *Account) error {
		if !a.Stamp.Equal(account.Stamp) {
			return ErrConflict
		}
		a.Disabled, a.PasswordHash, a.Roles = true, Secret{}, nil
		return nil
	}
	x.finish = func(ctx context.Context) error {
		if err := c.erase(ctx, account.ID); err != nil {
			return err
		}
		c.forgetFeatures(ctx, account.ID)
		return nil
	}
	return x, c.stillIn(ctx)
}
