package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-login/auth/internal/keyring"
)

// A Registration has what the user typed into a registration form. Spaces around names
// and addresses are removed, as for a login. If Register returns one of these errors,
// it has saved nothing, with the exception in the last item:
//
//   - ErrInvalidUsername or ErrInvalidEmail, also if a name that is needed is empty.
//     Config.Identifiers says what is needed: the username, the address, or one of the
//     two. Config.RequireVerified needs the address;
//   - a PasswordError, also for an empty password. Only NoPassword makes an account
//     without a password;
//   - ErrUsernameTaken or ErrEmailTaken, also if the name is reserved: see
//     Config.HideAccounts and ConfirmEmailChange;
//   - an error of the user type's ReadForm;
//   - an error for a field that the user store leaves out (see FieldOmitter). For a
//     username or an address it wraps ErrInvalidUsername or ErrInvalidEmail;
//   - ErrBusy, a RateLimitError, or a failure of the store. If the store has lost a
//     field of the new account, the error names the field, and the library deletes the
//     row again. If the store is not a UserDeleter, the row stays and the error names
//     it.
type Registration struct {
	Username string
	Email    string
	Password string
	Form     url.Values // the form's other fields; Register hands them to the user store

	// NoPassword makes an account without a password, for users who log in another way
	// or set their password by a reset link. If NoPassword is set and Password is not
	// empty, Register returns an error.
	NoPassword bool

	// EmailVerified says that the user has proved that the address is theirs, for example
	// at a provider that says so. No mail is sent then, and with Config.HideAccounts, too,
	// Register returns the user or ErrEmailTaken. Never set it for what a form says.
	EmailVerified bool
}

var errTwoMinds = errors.New("auth: Registration has a Password and NoPassword; set one of them")

// Register creates an account. See Registration for the errors. If Config.RequireVerified
// is set, it mails the link that verifies the address. Otherwise call SendVerification if
// you want the address to be verified.
//
// If Config.HideAccounts is set, Register returns ErrCheckMail in place of the user, and
// also in place of ErrEmailTaken. The caller cannot tell which of the two happened:
// Register does the same work for both. If the address is taken, nothing is created, and
// the owner of the address gets a mail. A caller can still learn that a username is
// taken, but not that an address is: a username requested together with a taken address
// is reserved for 30 days. A user store can still reveal it, if it checks names before it
// checks the form (see UserStore.CreateUser). docs/security.md has what else remains.
func (c *Core) Register(ctx context.Context, r Registration) (_ User, failing error) {
	defer c.met(ctx, &failing)
	register := c.register
	hide := c.cfg.HideAccounts && !r.EmailVerified
	if hide {
		register = c.registerHidden
	}
	user, owner, err := register(ctx, r)
	switch {
	case err != nil:
		c.event(ctx, Event{Kind: EventAccountRegisterFailed, UserID: idOf(owner), Err: err})
	case c.cfg.RequireVerified && !r.EmailVerified:
		c.event(ctx, Event{Kind: EventAccountRegistered, UserID: user.AuthAccount().ID})
		c.mailFailed(ctx, user, c.sendVerify(ctx, user)) // the user can ask for the link again
	default:
		c.event(ctx, Event{Kind: EventAccountRegistered, UserID: user.AuthAccount().ID})
	}
	if hide && errors.Is(err, ErrEmailTaken) {
		c.mailFailed(ctx, owner, c.sendTaken(ctx, owner, r.Email))
		err = nil
	}
	if hide && err == nil {
		return nil, ErrCheckMail
	}
	return user, err
}

// register creates an account. It returns ErrEmailTaken if the address is taken.
func (c *Core) register(ctx context.Context, r Registration) (user, owner User, err error) {
	a, err := c.newAccount(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	return c.registerAccount(ctx, a, r.Form)
}

// registerAccount creates an account if its names are free.
func (c *Core) registerAccount(ctx context.Context, a Account, form url.Values) (user, owner User, err error) {
	if err := c.checkReserved(ctx, a.Username); err != nil {
		return nil, nil, err
	}
	if kept, err := c.keptFor(ctx, reservedEmail(a.Email)); err != nil {
		return nil, nil, err
	} else if kept != "" {
		return nil, nil, ErrEmailTaken
	}
	user, err = c.createAccount(ctx, a, form)
	return user, nil, err
}

// registerHidden is register for Config.HideAccounts: it does the same work whether the
// address is taken or not. If the address is taken, owner is the user who has it. If
// the address is only reserved for a user, owner is nil.
func (c *Core) registerHidden(ctx context.Context, r Registration) (user, owner User, err error) {
	a, err := c.newAccount(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	if err := c.checkUsername(ctx, a.Username); err != nil {
		return nil, nil, err
	}
	if owner, err = c.findByKey(ctx, emailKey(a.Email)); err != nil && !errors.Is(err, ErrUserNotFound) {
		return nil, nil, err
	}
	kept, err := c.keptFor(ctx, reservedEmail(a.Email))
	if err != nil {
		return nil, nil, err
	}
	if kept == "" || owner != nil {
		// Called also if the address has an owner, because the store must check the
		// form in that case, too.
		user, err = c.createAccount(ctx, a, r.Form)
		if !errors.Is(err, ErrEmailTaken) {
			return user, nil, err
		}
	} else {
		// An update of an account that does not exist is as much work for the store as
		// an account that it refuses. Its result does not matter.
		_ = c.store.update(ctx, Account{ID: keyring.NewToken(), Stamp: a.Stamp, PasswordHash: a.PasswordHash, Version: 1})
	}
	_, _ = c.store.load(ctx, cmp.Or(idOf(owner), a.Stamp.Reveal())) // as much work as reading a new account back
	if err := c.reserveUsername(ctx, a.Username); err != nil {
		return nil, nil, err
	}
	return nil, owner, ErrEmailTaken
}

// newAccount counts a registration for the client's address, and returns its account.
func (c *Core) newAccount(ctx context.Context, r Registration) (Account, error) {
	if err := c.canRegister(r); err != nil {
		return Account{}, err
	}
	if err := c.allowRegistration(ctx); err != nil {
		return Account{}, err
	}
	return c.accountOf(ctx, r)
}

// canRegister returns an error for a registration that the program must not make.
func (c *Core) canRegister(r Registration) error {
	switch {
	case c.store == nil:
		return ErrNoUserStore
	case r.NoPassword && r.Password != "":
		return errTwoMinds
	}
	return nil
}

// accountOf checks a registration, hashes its password, and returns its account. It does not
// check whether the names are free.
func (c *Core) accountOf(ctx context.Context, r Registration) (Account, error) {
	r.Username, r.Email = strings.TrimSpace(r.Username), strings.TrimSpace(r.Email)
	if err := c.omits(r); err != nil {
		return Account{}, err
	}
	needUsername := c.Keeps(FieldUsername) && (c.cfg.Identifiers == UsernameOnly || r.Email == "")
	needEmail := c.cfg.Identifiers == EmailOnly || c.cfg.RequireVerified
	if _, err := UsernameKey(r.Username); err != nil && (needUsername || r.Username != "") {
		return Account{}, err
	}
	if err := c.ValidateEmail(r.Email); err != nil && (needEmail || r.Email != "") {
		return Account{}, err
	}
	a := Account{Username: r.Username, Email: r.Email, EmailVerified: r.EmailVerified && r.Email != "" && c.Keeps(FieldEmailVerified), Stamp: NewSecret(keyring.NewToken()), Version: 1}
	if r.NoPassword {
		return a, nil
	}
	if err := c.ValidatePassword(ctx, r.Password, a); err != nil {
		return Account{}, err
	}
	var err error
	a.PasswordHash, err = c.hasher.Hash(ctx, r.Password)
	return a, err
}

// omits returns an error if the registration has a field that the user store leaves
// out.
func (c *Core) omits(r Registration) error {
	switch {
	case r.Username != "" && !c.Keeps(FieldUsername):
		return fmt.Errorf("%w: %w", ErrInvalidUsername, errOmitted("a registration with a username", FieldUsername))
	case r.Email != "" && !c.Keeps(FieldEmail):
		return fmt.Errorf("%w: %w", ErrInvalidEmail, errOmitted("a registration with an address", FieldEmail))
	case r.Password != "":
		return c.needs("a registration with a password", FieldPasswordHash)
	}
	return nil
}

// createAccount stores a new account. If its address is reserved, it deletes the
// account again and returns ErrEmailTaken.
func (c *Core) createAccount(ctx context.Context, a Account, form url.Values) (User, error) {
	user, err := c.store.create(ctx, a, form)
	switch {
	case errors.Is(err, errNotReturned):
		return nil, c.withdraw(ctx, a, err)
	case err != nil:
		return nil, err
	}
	id := user.AuthAccount().ID
	a.ID = id
	var lost *lostError
	err = c.checkCreated(ctx, user, a)
	if errors.As(err, &lost) {
		return nil, c.withdraw(ctx, a, err)
	}
	// Register has looked for a reservation, but one may have been made since: another
	// user may have changed their address away from this one. ConfirmEmailChange
	// reserves the old address before it gives it up, so this second look finds it.
	kept := ""
	if err == nil {
		kept, err = c.keptFor(ctx, reservedEmail(a.Email))
	}
	if err == nil && kept != "" {
		err = ErrEmailTaken
	}
	if err == nil {
		return user, nil
	}
	detached, cancel := detach(ctx)
	defer cancel()
	if err := c.erase(detached, id); err != nil {
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: id, Err: err})
	}
	return nil, err
}

// checkCreated compares an account with what CreateUser returned and with what the
// store now has. If a field differs, it returns a lostError.
func (c *Core) checkCreated(ctx context.Context, created User, given Account) error {
	if lost := c.lost("CreateUser returned a user", given, *created.AuthAccount(), true); lost != nil {
		return lost
	}
	saved, err := c.store.load(ctx, given.ID)
	if errors.Is(err, ErrUserNotFound) {
		return &lostError{did: "LoadUser does not find the user that CreateUser returned,", fields: []string{"ID"}}
	}
	if err != nil {
		return err
	}
	if lost := c.lost("LoadUser, after CreateUser, returned a user", given, *saved.AuthAccount(), true); lost != nil {
		return lost
	}
	return nil
}

// withdraw deletes the row of an account that the store did not save correctly, and
// returns why. Only this account has its Stamp and its PasswordHash, so one of them
// identifies the row. If the row cannot be identified or deleted, the error names it.
func (c *Core) withdraw(ctx context.Context, a Account, why error) error {
	detached, cancel := detach(ctx)
	defer cancel()
	row := c.rowOf(detached, a)
	if row.ID == "" {
		return fmt.Errorf("%w; a row that CreateUser has saved may be left in the users' table, with the ID %.100q", why, a.ID)
	}
	if row.Stamp.Equal(a.Stamp) || !row.PasswordHash.IsZero() && row.PasswordHash.Equal(a.PasswordHash) {
		deleted, err := c.store.remove(detached, row.ID)
		if deleted {
			return why
		}
		if err != nil {
			why = fmt.Errorf("%w; DeleteUser failed: %v", why, err) //nolint:errorlint // the caller did not ask for a deletion
		}
	}
	return fmt.Errorf("%w; the user with the ID %.100q is left in the users' table: delete it", why, row.ID)
}

// rowOf finds the stored row of an account by the account's ID or names. If there is
// none, it returns an empty Account.
func (c *Core) rowOf(ctx context.Context, a Account) Account {
	user, err := c.store.load(ctx, a.ID)
	for _, key := range []string{emailKey(a.Email), usernameKey(a.Username)} {
		if err != nil && key != "" {
			user, err = c.store.find(ctx, key)
		}
	}
	if err != nil {
		return Account{}
	}
	return *user.AuthAccount()
}
