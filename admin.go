package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Disable disables an account, for an administrator. The user can no longer log in. The
// account's logins, remembered devices, API tokens and mailed links end. They stay void
// when the account is enabled again, because it gets a new Stamp. Only the link that
// undoes a change of address works again then. If the account is disabled already,
// Disable returns nil.
//
// The errors are ErrForbidden and ErrLastAdmin (see SetRoles), ErrUserNotFound,
// ErrNoUserStore, or a failure of a store. After a failure of a store the account may be
// disabled; call Disable again. The user gets no mail, because only your application knows
// the reason.
func (c *Core) Disable(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planDisabled(userID, true)
	err = c.actOnChange(ctx, x, err)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// Enable enables a disabled account. It gets a new Stamp, so nothing from before works,
// even if your application set Account.Disabled itself. If the account is not disabled,
// Enable does nothing and returns nil. The errors are those of Disable.
func (c *Core) Enable(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planDisabled(userID, false)
	err = c.actOnChange(ctx, x, err)
	_, err = c.changeCredential(ctx, x, err)
	if errors.Is(err, errEnabled) {
		return nil
	}
	return err
}

// errEnabled says that Enable has nothing to do.
var errEnabled = errors.New("auth: the account is not disabled")

// planDisabled plans what Disable and Enable change. Enable replaces the Stamp, too:
// earlier logins must not come back, even if the application set Account.Disabled
// itself.
func (c *Core) planDisabled(userID string, disabled bool) (*credentialChange, error) {
	x := &credentialChange{userID: userID, own: ownEnds, unseats: disabled, done: EventAccountEnabled}
	if disabled {
		x.done = EventAccountDisabled
	}
	if c.store == nil {
		return x, ErrNoUserStore
	}
	x.apply = func(a *Account) error {
		if !disabled && !a.Disabled {
			return errEnabled
		}
		a.Disabled = disabled
		return nil
	}
	return x, c.needs("Disable and Enable", FieldDisabled)
}

// Unlock forgets the wrong passwords of an account, for an administrator, including those
// in browsers that the user has logged in with before. It also forgets wrong codes of mails
// (LoginByCode), and wrong attempts at the secrets of a [Feature]. The next attempt is
// checked, even if a hundred wrong ones had disabled the secret. The rate limits of IP
// addresses stay (Config.Limits). Unlock returns ErrForbidden (see SetRoles),
// ErrUserNotFound, or a failure of a store.
func (c *Core) Unlock(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	if err := c.notActing(ctx); err != nil {
		return err
	}
	act, err := c.actOn(ctx, userID)
	if err != nil {
		return err
	}
	user, err := c.users.load(ctx, userID)
	if err != nil {
		return err
	}
	if err := act.may(ctx, user.AuthAccount().Roles); err != nil {
		return err
	}
	for _, kind := range []string{kindAttempts, kindFeatureAttempts} {
		if err := c.records.DeleteRecords(ctx, kind, userID); err != nil {
			return err
		}
	}
	c.event(ctx, Event{Kind: EventAccountUnlocked, UserID: userID, ActorID: act.actor})
	return nil
}

// SetRoles gives a user these roles in place of those that they had. It takes effect with
// the next request of the user, in every process; no new login is needed. If the user loses
// a role, their requests under WhileLoggedIn end.
//
// In a request of a logged-in user, that user is the actor: they must have every permission
// that the other user has, and every one that the roles give. Otherwise the error is
// ErrForbidden. Only an administrator may give or take the role Config.Roles.Admin, or act
// on another administrator. The same holds for all methods that change another user's
// account: Disable, Enable, Unlock, ForceReset, ResetFactors, SetUsername, SetEmail,
// EndLogin, EndTrust, LogoutEverywhere, SetPassword, ResetToken, VerificationToken,
// NewAPIToken, RevokeAPIToken and CloseAccount. In a request
// without a user, an account with permissions cannot be changed by the methods for
// administrators (ErrNotLoggedIn). With a context that does not come from a request, such
// as in a command, nothing is checked. Whether a user may reach your page is up to your
// guards.
//
// The last enabled administrator stays: SetRoles, Disable and CloseAccount return
// ErrLastAdmin, also if two processes take away the last two at once. Only administrators
// whom SetRoles has made count as the other one. So if your application has made the first
// one itself, call SetRoles for that user once; the roles may be the same.
//
// The errors are ErrUnknownRole, which says which role, ErrForbidden, ErrLastAdmin,
// ErrUserNotFound, ErrNoUserStore, or a failure of a store, after which the user may have
// the roles.
func (c *Core) SetRoles(ctx context.Context, userID string, roles ...string) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planRoles(ctx, userID, roles)
	after, err := c.changeCredential(ctx, x, err)
	if errors.Is(err, errUnchanged) {
		return nil
	}
	if err == nil && c.isAdmin(after.AuthAccount()) { // another request may have taken the seat away meanwhile
		if err := c.addSeat(ctx, userID); err != nil {
			c.event(ctx, Event{Kind: EventCleanupFailed, UserID: userID, Err: err})
		}
	}
	return err
}

// planRoles plans what SetRoles changes.
func (c *Core) planRoles(ctx context.Context, userID string, roles []string) (*credentialChange, error) {
	x := &credentialChange{userID: userID, effect: sameStamp, done: EventRolesSet, failed: EventRolesSetFailed}
	if c.store == nil {
		return x, ErrNoUserStore
	}
	if err := c.needs("SetRoles", FieldRoles); err != nil {
		return x, err
	}
	roles, err := c.knownRoles(ctx, roles)
	if err != nil {
		return x, err
	}
	act, err := c.actOn(ctx, userID)
	if err != nil {
		return x, err
	}
	becomes := c.isAdmin(&Account{Roles: roles})
	x.unseats = !becomes
	x.apply = func(a *Account) error {
		if slices.Equal(a.Roles, roles) {
			return errUnchanged
		}
		a.Roles = roles
		return nil
	}
	x.by(ctx, act)
	if err := act.give(ctx, roles); err != nil {
		return x, err
	}
	if err := act.mayOn(ctx, userID); err != nil || !becomes {
		return x, err
	}
	if _, err := c.store.load(ctx, userID); err != nil {
		return x, err
	}
	return x, c.addSeat(ctx, userID)
}

// knownRoles returns roles without duplicates, or ErrUnknownRole.
func (c *Core) knownRoles(ctx context.Context, roles []string) (known []string, err error) {
	for _, role := range roles {
		switch _, err := c.permissionsOf(ctx, role); {
		case errors.Is(err, ErrUnknownRole):
			return nil, fmt.Errorf("%w: %.100q", ErrUnknownRole, role)
		case err != nil:
			return nil, err
		}
		if !slices.Contains(known, role) {
			known = append(known, role)
		}
	}
	return known, nil
}

// ForceReset voids the password of an account, for an administrator, for example after a
// leak. The account's logins, remembered devices, API tokens and mailed links end. The owner
// gets a MailReset: its link sets a new password, and is valid for Config.Password.ResetLifetime.
// A user who types the old password gets ErrResetRequired from Authenticate; another password
// is as wrong as ever. Passkeys and accounts at providers still log in.
//
// The errors are ErrForbidden (see SetRoles), ErrNoMailer, ErrInvalidEmail if the account has
// no address, ErrDisabled, ErrUserNotFound, ErrNoUserStore, or a failure of a store.
func (c *Core) ForceReset(ctx context.Context, userID string) (failing error) {
	defer c.met(ctx, &failing)
	x := &credentialChange{userID: userID, own: ownEnds, done: EventResetForced}
	x.apply = func(a *Account) error {
		a.PasswordHash = voided(a.PasswordHash)
		after := a.Clone()
		after.Stamp = x.given // the link is for the account as it will be
		x.mail = c.passwordLink(ctx, MailReset, &after, c.cfg.Password.ResetLifetime)
		return mailable(a)
	}
	err := c.needs("ForceReset", FieldPasswordHash)
	switch {
	case c.store == nil:
		err = ErrNoUserStore
	case c.cfg.Mailer == nil:
		err = ErrNoMailer
	}
	err = c.actOnChange(ctx, x, err)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// passwordLink returns a mail of this kind with a link that sets a password.
func (c *Core) passwordLink(ctx context.Context, kind MailKind, a *Account, lifetime time.Duration) Mail {
	return Mail{
		Kind: kind, To: a.Email, Lifetime: lifetime,
		Link: c.link(ctx, c.cfg.URLs.Reset, c.sealToken(purposeReset, lifetime, a, "")),
	}
}

// SetUsername changes the username of an account, for an administrator. The user's logins go
// on. The errors are ErrForbidden (see SetRoles), ErrInvalidUsername, ErrUsernameTaken,
// ErrUserNotFound, ErrNoUserStore, or a failure of a store.
func (c *Core) SetUsername(ctx context.Context, userID, username string) (failing error) {
	defer c.met(ctx, &failing)
	username = strings.TrimSpace(username)
	x := &credentialChange{userID: userID, effect: sameStamp, done: EventUsernameChanged, failed: EventUsernameChangeFailed}
	x.apply = func(a *Account) error {
		if a.Username == username {
			return errUnchanged
		}
		a.Username = username
		return nil
	}
	err := c.needs("SetUsername", FieldUsername)
	if c.store == nil {
		err = ErrNoUserStore
	}
	if err == nil {
		_, err = UsernameKey(username)
	}
	if err == nil {
		err = c.checkReserved(ctx, username)
	}
	err = c.actOnChange(ctx, x, err)
	if _, err = c.changeCredential(ctx, x, err); errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// SetEmail changes the address of an account, for an administrator who has made sure that
// the user asked for it. The address is not verified: if there is a Mailer, a link that
// verifies it is mailed to it. The account's logins, remembered devices, API tokens and mailed
// links end. If the old address was verified, it gets a mail with a link that undoes the
// change (see UndoEmailChange).
//
// The errors are ErrForbidden (see SetRoles), ErrInvalidEmail, also for the address that the
// account has, ErrEmailTaken, ErrConflict if another change of the account came first, a
// RateLimitError after many changes, ErrUserNotFound, ErrNoUserStore, or a failure of a store.
func (c *Core) SetEmail(ctx context.Context, userID, address string) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planSetEmail(ctx, userID, strings.TrimSpace(address))
	after, err := c.changeCredential(ctx, x, err)
	if err != nil {
		return err
	}
	if c.cfg.Mailer != nil && c.Keeps(FieldEmailVerified) {
		c.mailFailed(ctx, after, c.sendVerify(ctx, after))
	}
	return nil
}

// planSetEmail plans what SetEmail changes.
func (c *Core) planSetEmail(ctx context.Context, userID, address string) (*credentialChange, error) {
	x := &credentialChange{userID: userID, own: ownEnds, done: EventEmailChangeDone, failed: EventEmailChangeFailed}
	if c.store == nil {
		return x, ErrNoUserStore
	}
	if err := c.needs("SetEmail", FieldEmail); err != nil {
		return x, err
	}
	if err := c.ValidateEmail(address); err != nil {
		return x, err
	}
	act, err := c.actOn(ctx, userID)
	if err != nil {
		return x, err
	}
	user, err := c.store.load(ctx, userID)
	if err != nil {
		return x, err
	}
	if err := act.may(ctx, user.AuthAccount().Roles); err != nil { // before an undo is stored
		return x, err
	}
	if emailKey(address) == emailKey(user.AuthAccount().Email) {
		return x, fmt.Errorf("%w: the account has this address already", ErrInvalidEmail)
	}
	kept, err := c.keptFor(ctx, reservedEmail(address))
	if err != nil {
		return x, err
	}
	if kept != "" && kept != userID {
		return x, ErrEmailTaken
	}
	if user.AuthAccount().EmailVerified {
		if err := c.noteProved(ctx, userID); err != nil {
			return x, err
		}
	}
	if err := c.planUndoLink(ctx, x, user.AuthAccount()); err != nil {
		return x, err
	}
	x.of(user)
	unchanged := x.apply
	x.apply = func(a *Account) error {
		a.Email, a.EmailVerified = address, false
		return unchanged(a)
	}
	x.by(ctx, act)
	return x, nil
}

// CreateUser creates an account with these roles, for an administrator. r has no password:
// nobody but the user should know it. If there is a Mailer and the account has an address,
// the user gets a MailInvitation. Its link works like that of a MailReset: within 24 hours it
// sets the password and verifies the address. After that, SendReset sends another link. Neither
// Config.Limits nor Config.HideAccounts applies.
//
// The errors are those of [Registration], ErrUnknownRole, ErrForbidden for roles that the
// user who makes the request may not give (see SetRoles), and ErrNoUserStore.
func (c *Core) CreateUser(ctx context.Context, r Registration, roles ...string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	user, actor, err := c.createUser(ctx, r, roles)
	if err != nil {
		c.event(ctx, Event{Kind: EventAccountRegisterFailed, ActorID: actor, Err: err})
		return nil, err
	}
	c.event(ctx, Event{Kind: EventAccountRegistered, UserID: idOf(user), ActorID: actor, Roles: strings.Join(user.AuthAccount().Roles, " ")})
	if c.isAdmin(user.AuthAccount()) {
		if err := c.addSeat(ctx, idOf(user)); err != nil { // the user does not count as the other administrator, until SetRoles is called
			c.event(ctx, Event{Kind: EventCleanupFailed, UserID: idOf(user), Err: err})
		}
	}
	if c.cfg.Mailer != nil && mailable(user.AuthAccount()) == nil && c.Keeps(FieldPasswordHash) {
		c.event(ctx, Event{Kind: EventResetIssued, UserID: idOf(user), ActorID: actor})
		m := c.passwordLink(ctx, MailInvitation, user.AuthAccount(), verifyLifetime)
		m.User = user
		c.deliver(ctx, m)
	}
	return user, nil
}

var errPasswordOfUser = errors.New("auth: CreateUser got a Password; leave it empty: the user sets it by the link in the mail")

// createUser also returns the ID of the user who makes the request.
func (c *Core) createUser(ctx context.Context, r Registration, roles []string) (_ User, actor string, err error) {
	if c.store == nil {
		return nil, "", ErrNoUserStore
	}
	act, err := c.actOn(ctx, "")
	if err != nil {
		return nil, act.actor, err
	}
	if len(roles) > 0 {
		if err := c.needs("CreateUser with roles", FieldRoles); err != nil {
			return nil, act.actor, err
		}
	}
	if roles, err = c.knownRoles(ctx, roles); err == nil {
		err = act.give(ctx, roles)
	}
	if err == nil && r.Password != "" {
		err = errPasswordOfUser
	}
	if err != nil {
		return nil, act.actor, err
	}
	r.NoPassword = true
	a, err := c.accountOf(ctx, r) // administrators may register any number of accounts
	if err != nil {
		return nil, act.actor, err
	}
	a.Roles = roles
	user, _, err := c.registerAccount(ctx, a, r.Form)
	return user, act.actor, err
}
