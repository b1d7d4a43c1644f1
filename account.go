package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// findByLogin also returns the canonical form of the login. If the text cannot be a
// login, it returns ErrUserNotFound and the text.
func (c *Core) findByLogin(ctx context.Context, login string) (user User, key string, err error) {
	login = strings.TrimSpace(login) // on-screen keyboards add spaces
	isEmail := strings.Contains(login, "@")
	if isEmail && c.cfg.Identifiers == UsernameOnly || !isEmail && c.cfg.Identifiers == EmailOnly {
		return nil, login, ErrUserNotFound
	}
	keys := loginKeys(login)
	if len(keys) == 0 {
		return nil, login, ErrUserNotFound
	}
	user, err = c.findByKey(ctx, keys...)
	return user, keys[0], err
}

// findByKey finds a user by a canonical username or address. If there are several keys
// (see loginKeys), all are looked up, so that the work is the same for every account.
func (c *Core) findByKey(ctx context.Context, keys ...string) (User, error) {
	var found User
	for _, key := range keys {
		user, err := c.store.find(ctx, key)
		switch {
		case errors.Is(err, ErrUserNotFound):
			continue
		case err != nil:
			return nil, err
		}
		// A store may compare more loosely than the canonical form, such as by a
		// collation in which é equals e. It would then log in the wrong user.
		name := user.AuthAccount().Username
		if strings.Contains(key, "@") {
			name = user.AuthAccount().Email
		}
		if len(keys) > 1 && len(loginKeys(name)) == 1 {
			continue // the login breaks today's rules, and this user's name does not
		}
		if !slices.Contains(loginKeys(name), key) {
			return nil, errors.New("auth: FindUser returned a user whose name has another canonical form than the key it was asked for: compare the columns of UsernameKey and EmailKey byte by byte (see storetest.TestUserStore)")
		}
		if found == nil {
			found = user
		}
	}
	if found == nil {
		return nil, ErrUserNotFound
	}
	return found, nil
}

// userForMail counts a request for a mail, and returns the user whose account has the address,
// or nil, and the canonical form of the address. If no account could have the address, it
// returns ErrInvalidEmail.
func (c *Core) userForMail(ctx context.Context, address string) (user User, key string, err error) {
	keys := loginKeys(address)
	if len(keys) == 0 || !strings.Contains(address, "@") {
		return nil, "", ErrInvalidEmail
	}
	if err := c.allowMails(ctx); err != nil {
		return nil, "", err
	}
	user, err = c.findByKey(ctx, keys...)
	switch {
	case errors.Is(err, ErrUserNotFound) && c.isLocal(keys[0]):
		return nil, "", ErrInvalidEmail
	case err != nil && !errors.Is(err, ErrUserNotFound):
		return nil, "", err
	}
	return user, keys[0], nil
}

// updateAccount changes an account by compare-and-set: it loads the account, lets
// change say what to do or refuse, and saves it with a new Stamp. If it lost to another
// change, it begins again. It returns the user as they were before, and as they are now.
//
// A store that says it failed may have made the change all the same. Only this change
// has the Stamp, so updateAccount finds that out.
func (c *Core) updateAccount(ctx context.Context, id string, stamp Secret, change func(*Account) error) (before, after User, err error) {
	var given Account // what was saved last
	for range maxConflicts {
		user, err := c.store.load(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if user.AuthAccount().Stamp.Equal(stamp) { // the store returned ErrConflict, but made the change
			after, err = c.checkUpdate(ctx, before, given)
			return before, after, err
		}
		before, given = user, user.AuthAccount().Clone()
		if err := change(&given); err != nil {
			return nil, nil, err
		}
		given.Stamp = stamp
		switch err := c.store.update(ctx, given); {
		case errors.Is(err, ErrConflict):
			continue
		case err != nil:
			if user, failed := c.store.load(ctx, id); failed != nil || !user.AuthAccount().Stamp.Equal(stamp) {
				return nil, nil, err
			}
		}
		after, err = c.checkUpdate(ctx, before, given)
		return before, after, err
	}
	return nil, nil, ErrConflict
}

// updateKept is updateAccount for a change that keeps the Stamp. change is about the roles
// and the username only. If it returns errUnchanged, nothing is written.
func (c *Core) updateKept(ctx context.Context, id string, change func(*Account) error) (before, after User, err error) {
	var given Account // what was saved last
	same := func(a *Account) bool { return a.Username == given.Username && slices.Equal(a.Roles, given.Roles) }
	for range maxConflicts {
		user, err := c.store.load(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if before != nil && user.AuthAccount().Version == given.Version+1 && same(user.AuthAccount()) {
			return before, user, nil // the store returned ErrConflict, but made the change
		}
		before, given = user, user.AuthAccount().Clone()
		if err := change(&given); err != nil {
			return nil, nil, err
		}
		switch err := c.store.update(ctx, given); {
		case errors.Is(err, ErrConflict):
			continue
		case err != nil:
			user, failed := c.store.load(ctx, id)
			if failed != nil || user.AuthAccount().Version != given.Version+1 || !same(user.AuthAccount()) {
				return nil, nil, err
			}
		}
		after, err = c.checkUpdate(ctx, before, given)
		return before, after, err
	}
	return nil, nil, ErrConflict
}

// checkUpdate reads an account back after an UpdateAccount that succeeded, and returns
// its user. If the store has lost something of it, such as the end of a hash, it puts the
// old account back, and returns an error. If the account cannot be read, or has been
// changed again, there is nothing to compare with, and the update counts as done.
func (c *Core) checkUpdate(ctx context.Context, before User, given Account) (after User, err error) {
	after, err = c.store.load(ctx, given.ID)
	if err != nil {
		return before, nil
	}
	given.Version++
	stored := *after.AuthAccount()
	if stored.Version > given.Version {
		return after, nil
	}
	lost := c.lost("LoadUser, after UpdateAccount, returned a user", given, stored, false)
	if lost == nil {
		return after, nil
	}
	old := before.AuthAccount().Clone()
	old.Version = stored.Version
	if err := c.store.update(ctx, old); err != nil {
		return nil, fmt.Errorf("%w; the account as it was before could not be put back: %v", lost, err) //nolint:errorlint // err is not about what the caller asked for
	}
	return nil, lost
}

// erase deletes an account. If the store cannot delete users, erase empties the account
// except for its ID, and disables it. If the store returns an error, it may have
// deleted the account all the same.
func (c *Core) erase(ctx context.Context, id string) error {
	deleted, err := c.store.remove(ctx, id)
	if err != nil {
		if _, gone := c.store.load(ctx, id); errors.Is(gone, ErrUserNotFound) {
			return nil
		}
	}
	if deleted || err != nil {
		return err
	}
	_, _, err = c.updateAccount(ctx, id, NewSecret(keyring.NewToken()), func(a *Account) error {
		name := ""
		if a.Username != "" {
			name = "closed-" + strings.ToLower(rand.Text())
		}
		*a = Account{ID: a.ID, Username: name, Disabled: true, Version: a.Version}
		return nil
	})
	return err
}

// nobody stands for the user in keptFor if a name is reserved, but for no user.
const nobody = "nobody"

// reservedUsername and reservedEmail return the keys of the records that reserve a name.
// For an empty name, the key is "".
func reservedUsername(username string) string {
	key := usernameKey(username)
	if key == "" {
		return ""
	}
	return keyring.TokenKey("username\x00" + key)
}

func reservedEmail(address string) string {
	key := emailKey(address)
	if key == "" {
		return ""
	}
	return keyring.TokenKey("email\x00" + key)
}

// keptFor returns the ID of the user that a name is reserved for, or nobody. If the
// name is not reserved, it returns "".
func (c *Core) keptFor(ctx context.Context, key string) (userID string, err error) {
	if key == "" {
		return "", nil
	}
	record, err := c.records.GetRecord(ctx, kindReserved, key)
	switch {
	case errors.Is(err, ErrRecordNotFound):
		return "", nil
	case err != nil:
		return "", err
	case record.UserID == "":
		return nobody, nil
	}
	return record.UserID, nil
}

// checkReserved returns ErrUsernameTaken for a username that is reserved.
func (c *Core) checkReserved(ctx context.Context, username string) error {
	kept, err := c.keptFor(ctx, reservedUsername(username))
	if err == nil && kept != "" {
		err = ErrUsernameTaken
	}
	return err
}

// checkUsername returns ErrUsernameTaken for a username that is reserved or that a user has.
func (c *Core) checkUsername(ctx context.Context, username string) error {
	if username == "" {
		return nil
	}
	if err := c.checkReserved(ctx, username); err != nil {
		return err
	}
	switch _, err := c.findByKey(ctx, usernameKey(username)); {
	case err == nil:
		return ErrUsernameTaken
	case errors.Is(err, ErrUserNotFound):
		return nil
	default:
		return err
	}
}

// reserveUsername reserves a username, so that no user can get it. If the username is
// empty, it stores a record all the same: that is as much work as creating an account.
func (c *Core) reserveUsername(ctx context.Context, username string) error {
	r := Record{
		Kind: kindReserved, Key: reservedUsername(username),
		Version: keyring.RandomVersion(), Expires: c.cfg.Now().Add(usernameReservedIn),
	}
	if username == "" {
		r.Key, r.Expires = keyring.NewToken(), c.cfg.Now().Add(time.Minute)
	}
	err := c.records.InsertRecord(ctx, r)
	if errors.Is(err, ErrRecordExists) { // reserved meanwhile
		return ErrUsernameTaken
	}
	return err
}

// reserveEmail reserves an account's address for the account.
func (c *Core) reserveEmail(ctx context.Context, a *Account, expires time.Time) error {
	return changeRecord(ctx, c.records, kindReserved, reservedEmail(a.Email), func(r *Record, found bool) error {
		if found && r.UserID != a.ID { // already reserved for another account
			return errUnchanged
		}
		r.UserID, r.Expires = a.ID, expires
		return nil
	})
}

// sendTaken mails the owner of an address that a client wanted to use it for another
// account. If the address has no owner, it sends nothing and does the same work.
func (c *Core) sendTaken(ctx context.Context, owner User, address string) error {
	key := emailKey(strings.TrimSpace(address))
	full, err := c.mailboxFull(ctx, MailAddressTaken, mailboxOf(owner, key))
	_ = c.sealToken(purposeVerify, verifyLifetime, &Account{ID: key}, "") // the same work as for a free address
	if err != nil || full || owner == nil || owner.AuthAccount().Disabled {
		return err
	}
	m := Mail{Kind: MailAddressTaken, To: owner.AuthAccount().Email, User: owner}
	if c.Keeps(FieldPasswordHash) {
		m.Link = NewSecret(c.absolute(ctx, c.cfg.URLs.Forgot))
	}
	return c.mail(ctx, m)
}

// verifyLifetime is how long a link that verifies an address is valid. It is the
// longest time that NIST SP 800-63B-4 allows for a mailed code (section 4.2.1.2),
// because a user may register today and read the mail tomorrow.
const verifyLifetime = 24 * time.Hour
