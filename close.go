package auth

import "context"

// CloseAccount closes an account for good. It ends the user's logins and deletes
// everything that the library has stored for the account. If the store is a
// UserDeleter, it also deletes the user. Otherwise the account stays: disabled, without
// an address, and with a random username if it had one. Your application deletes its
// own data. The account's last address gets a mail. Before you call CloseAccount, make
// sure that the user is asking, by CheckPassword or the rule Fresh.
//
// If the store is not a UserDeleter and leaves out Disabled (see FieldOmitter),
// CloseAccount changes nothing and returns an error. If another change of a credential
// came first, it returns ErrConflict. If another user may not do it, or the user is the last
// administrator, it returns ErrForbidden or ErrLastAdmin: see SetRoles. If the login of this
// request has ended, it returns ErrLoggedOut. The other errors are ErrUserNotFound and a
// failure of a store. After a failure of a store the account may be disabled already. To go on,
// load the user and call CloseAccount again.
func (c *Core) CloseAccount(ctx context.Context, user User) (failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return ErrUserNotFound
	}
	x, err := c.planClose(ctx, user.AuthAccount().Clone())
	err = c.actForSelfOnChange(ctx, x, err)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// planClose plans what CloseAccount changes. The account is disabled first, then its
// records are deleted, and the account is deleted last. So if a later step fails, the
// account is already closed, and not a usable one without its records.
func (c *Core) planClose(ctx context.Context, account Account) (*credentialChange, error) {
	x := &credentialChange{
		userID: account.ID, own: ownEnds, closes: true, unseats: true, mail: Mail{Kind: MailClosed},
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
