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

// A Registration is what a registration form asks for. Spaces around names and
// addresses are taken off, as they are from logins. Register returns, and has
// saved nothing:
//
//   - ErrInvalidUsername or ErrInvalidEmail, also for one that is empty and
//     needed: what Config.Identifiers lets people log in with, and an address if
//     Config.RequireVerified is set;
//   - a PasswordError, also for an empty password: only NoPassword makes an
//     account without one;
//   - ErrUsernameTaken or ErrEmailTaken, also for a name that is kept for
//     somebody: see RegisterByMail and ConfirmEmail;
//   - what the user type's ReadForm returns;
//   - an error for a field that the user store leaves out (see FieldOmitter): with a
//     username or an address it wraps ErrInvalidUsername or ErrInvalidEmail;
//   - ErrBusy, a RateLimitError, or a failure of the store. If the store has lost a
//     field of the new account, the error names it, and the row is deleted again; if
//     the store is no UserDeleter, the error names the row.
type Registration struct {
	Username string
	Email    string
	Password string
	Form     url.Values // other fields, for the user store

	// NoPassword makes an account that no password opens, for users who log in
	// another way, or who set their password by a reset link. Password must then
	// be empty; else it is an error.
	NoPassword bool
}

var errTwoMinds = errors.New("auth: Registration has a Password and NoPassword; set one of them")

// Register creates an account. See Registration for the errors. With
// Config.RequireVerified, which lets nobody in before that, it mails the link that
// verifies the address; else SendVerification does, when the application wants it.
func (c *Core) Register(ctx context.Context, r Registration) (_ User, failing error) {
	defer c.met(ctx, &failing)
	user, err := c.register(ctx, r)
	if err != nil {
		c.event(ctx, Event{Kind: EventRegisterFailed, Err: err})
		return nil, err
	}
	c.event(ctx, Event{Kind: EventRegistered, UserID: user.AuthAccount().ID})
	if c.cfg.RequireVerified {
		c.mailFailed(ctx, user, c.sendVerify(ctx, user)) // it can be asked for again
	}
	return user, nil
}

func (c *Core) register(ctx context.Context, r Registration) (User, error) {
	a, err := c.newAccount(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := c.checkUsername(ctx, a.Username, false); err != nil {
		return nil, err
	}
	if kept, err := c.keptFor(ctx, reservedEmail(a.Email)); err != nil {
		return nil, err
	} else if kept != "" {
		return nil, ErrEmailTaken
	}
	return c.createAccount(ctx, a, r.Form)
}

// newAccount checks a registration and hashes its password. Whether the names are
// free is not asked.
func (c *Core) newAccount(ctx context.Context, r Registration) (Account, error) {
	if c.store == nil {
		return Account{}, ErrNoUserStore
	}
	if r.NoPassword && r.Password != "" {
		return Account{}, errTwoMinds
	}
	if err := c.allowRegistration(ctx); err != nil {
		return Account{}, err
	}
	r.Username, r.Email = strings.TrimSpace(r.Username), strings.TrimSpace(r.Email)
	if err := c.omits(r); err != nil {
		return Account{}, err
	}
	needUsername := c.Keeps(FieldUsername) && (c.cfg.Identifiers == UsernameOnly || r.Email == "")
	needEmail := c.cfg.Identifiers == EmailOnly || c.cfg.RequireVerified
	if _, err := UsernameKey(r.Username); err != nil && (needUsername || r.Username != "") {
		return Account{}, err
	}
	if err := c.CheckNewEmail(r.Email); err != nil && (needEmail || r.Email != "") {
		return Account{}, err
	}
	a := Account{Username: r.Username, Email: r.Email, Stamp: NewSecret(keyring.NewToken()), Version: 1}
	if r.NoPassword {
		return a, nil
	}
	if err := c.CheckNewPassword(ctx, r.Password, a); err != nil {
		return Account{}, err
	}
	var err error
	a.PasswordHash, err = c.hasher.Hash(ctx, r.Password)
	return a, err
}

// omits returns an error for a registration with a field that the user store
// leaves out.
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

// createAccount stores a new account, unless its address is kept for somebody.
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
	// It is asked again: who gives an address up has it kept first, so that this
	// sees it if the address was only just free.
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
		c.event(ctx, Event{Kind: EventStoreFailed, UserID: id, Err: err})
	}
	return nil, err
}

// checkCreated compares an account with what CreateUser returned and with what
// the store has, and returns a lostError if it is not the one that was given.
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

// withdraw deletes the row of an account that was not saved as it should be, and
// returns why. If the store cannot delete it, or it is not known whether the row
// is that of the new account, the error names the row. Only this account has its
// Stamp and its PasswordHash: by one of them the row is known.
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
			why = fmt.Errorf("%w; DeleteUser failed: %v", why, err) //nolint:errorlint // it is not what the caller asked for
		}
	}
	return fmt.Errorf("%w; the user with the ID %.100q is left in the users' table: delete it", why, row.ID)
}

// rowOf returns the account that the store has for one that was created, found by
// its ID or by its names. If there is none, it is empty.
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

// RegisterByMail is Register for an application that does not tell strangers who
// has an account: it returns nil whether the address is free or not, and the
// answer should be the same text, "check your mail". If it is free, the account is
// created and gets the link that verifies the address. If it is taken, nothing is
// created, and its owner is told, with a link to forgotPage, a path of this site
// without a query, or none if that is empty. It does the same work for both.
//
// The errors are those of Register, but for ErrEmailTaken. A username that is
// taken cannot be hidden; what is found out is that, and nothing of the address:
// a username that was asked for with an address that is taken is kept from everybody
// for 30 days. It is an error without Config.RequireVerified.
//
// What can still tell: the store, if it refuses a registration for reasons of its
// own only after it has looked at the names (see UserStore.CreateUser).
func (c *Core) RegisterByMail(ctx context.Context, r Registration, forgotPage string) (failing error) {
	defer c.met(ctx, &failing)
	user, owner, err := c.registerByMail(ctx, r, forgotPage)
	switch {
	case err != nil:
		c.event(ctx, Event{Kind: EventRegisterFailed, Err: err})
		return err
	case user != nil:
		c.event(ctx, Event{Kind: EventRegistered, UserID: user.AuthAccount().ID})
		err = c.sendVerify(ctx, user)
	default:
		c.event(ctx, Event{Kind: EventRegisterFailed, UserID: idOf(owner), Err: ErrEmailTaken})
		user, err = owner, c.sendTaken(ctx, owner, r.Email, forgotPage)
	}
	c.mailFailed(ctx, user, err)
	return nil
}

// errNotHidden is why RegisterByMail is of no use.
var errNotHidden = errors.New("auth: RegisterByMail without Config.RequireVerified: the next login would tell what it hides")

// registerByMail returns the user that it has created, or else the owner of the
// address, who is nil if it is kept for somebody.
func (c *Core) registerByMail(ctx context.Context, r Registration, forgotPage string) (user, owner User, err error) {
	switch {
	case c.store == nil:
		return nil, nil, ErrNoUserStore
	case !c.cfg.RequireVerified:
		return nil, nil, errNotHidden
	}
	if forgotPage != "" {
		if err := checkPath(forgotPage); err != nil {
			return nil, nil, err
		}
	}
	a, err := c.newAccount(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	if err := c.checkUsername(ctx, a.Username, true); err != nil {
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
		// Also where there is an owner: what is wrong with the form must be found out
		// there, too.
		user, err = c.createAccount(ctx, a, r.Form)
		if !errors.Is(err, ErrEmailTaken) {
			return user, nil, err
		}
	} else {
		// An update of nobody is as much work for the store as an account that is
		// refused. What becomes of it does not matter.
		_ = c.store.update(ctx, Account{ID: keyring.NewToken(), Stamp: a.Stamp, PasswordHash: a.PasswordHash, Version: 1})
	}
	_, _ = c.store.load(ctx, cmp.Or(idOf(owner), a.Stamp.Reveal())) // the work of reading a new account back
	return nil, owner, c.reserveUsername(ctx, a.Username)
}
