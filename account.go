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

// findByLogin returns the canonical form of the login, too. What cannot be a
// login is ErrUserNotFound, and stays as it is.
func (c *Core) findByLogin(ctx context.Context, login string) (user User, key string, err error) {
	login = strings.TrimSpace(login) // which keyboards add
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

// findByKey finds a user by a canonical username or address. Of several keys (see
// loginKeys) all are asked for, so that the work is the same for every account.
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
		// A store that compares more loosely than the canonical form does (by a
		// collation that takes é for e, say) would log people in as somebody else.
		name := user.AuthAccount().Username
		if strings.Contains(key, "@") {
			name = user.AuthAccount().Email
		}
		if len(keys) > 1 && len(loginKeys(name)) == 1 {
			continue // what was typed is no name of today, and this user's is
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
		if user.AuthAccount().Stamp.Equal(stamp) { // ErrConflict was wrong
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
		return nil, fmt.Errorf("%w; the account as it was before could not be put back: %v", lost, err) //nolint:errorlint // it says nothing about what the caller asked for
	}
	return nil, lost
}

// erase deletes an account, or, if the store does not, leaves nothing of it but
// its ID. A store that says it failed may have deleted the account all the same.
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

// nobody is who a name is kept for if it is for no user.
const nobody = "nobody"

// reservedUsername and reservedEmail are the keys of reserved records, or empty
// for no name.
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

// keptFor returns the ID of the user that a name is kept for, or nobody, or
// nothing if it is not.
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

// checkUsername returns ErrUsernameTaken for a username that is kept or, if that
// is to be looked up, somebody's.
func (c *Core) checkUsername(ctx context.Context, username string, look bool) error {
	if username == "" {
		return nil
	}
	kept, err := c.keptFor(ctx, reservedUsername(username))
	if err != nil {
		return err
	}
	if kept != "" {
		return ErrUsernameTaken
	}
	if !look {
		return nil
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

// reserveUsername keeps a username from everybody. Without one it stores
// something all the same, which is the work that an account is.
func (c *Core) reserveUsername(ctx context.Context, username string) error {
	r := Record{
		Kind: kindReserved, Key: reservedUsername(username),
		Version: keyring.RandomVersion(), Expires: c.cfg.Now().Add(usernameReservedIn),
	}
	if username == "" {
		r.Key, r.Expires = keyring.NewToken(), c.cfg.Now().Add(time.Minute)
	}
	err := c.records.InsertRecord(ctx, r)
	if errors.Is(err, ErrRecordExists) { // since it was looked at
		return ErrUsernameTaken
	}
	return err
}

// reserveEmail keeps an account's address for it.
func (c *Core) reserveEmail(ctx context.Context, a *Account, expires time.Time) error {
	return changeRecord(ctx, c.records, kindReserved, reservedEmail(a.Email), func(r *Record, found bool) error {
		if found && r.UserID != a.ID { // another account has it: nothing is kept for this one
			return errUnchanged
		}
		r.UserID, r.Expires = a.ID, expires
		return nil
	})
}

// sendTaken mails the owner of an address, if there is one, that somebody wanted to use
// it for another account.
func (c *Core) sendTaken(ctx context.Context, owner User, address string) error {
	key := emailKey(strings.TrimSpace(address))
	full, err := c.mailboxFull(ctx, MailAddressTaken, mailboxOf(owner, key))
	_ = c.sealToken(purposeVerify, verifyLifetime, &Account{ID: key}, "") // the work that a token is
	if err != nil || full || owner == nil || owner.AuthAccount().Disabled {
		return err
	}
	m := Mail{Kind: MailAddressTaken, To: owner.AuthAccount().Email, User: owner}
	if c.Keeps(FieldPasswordHash) {
		m.Link = NewSecret(c.absolute(c.cfg.URLs.Forgot))
	}
	return c.mail(ctx, m)
}

// verifyLifetime is how long a link that verifies an address is good for: the
// longest that NIST SP 800-63B-4 lets a mailed code be (section 4.2.1.2), since
// people register today and read mail tomorrow.
const verifyLifetime = 24 * time.Hour
