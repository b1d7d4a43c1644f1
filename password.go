package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-login/auth/internal/blocklist"
)

// Limits of passwords: the least number of code points (NIST SP 800-63B-4,
// section 3.1.1.2, for a password that is not the only factor; the same text
// asks for at most 64 or more) and the most bytes that are looked at.
const (
	minPassword = 8
	maxPassword = 1024
)

// A PasswordReason says why the policy refuses a password.
type PasswordReason string

// The reasons.
const (
	PasswordTooShort PasswordReason = "too-short" // fewer code points than Config.MinPassword
	PasswordTooLong  PasswordReason = "too-long"  // more than 1,024 bytes
	PasswordNotText  PasswordReason = "not-text"  // invalid UTF-8, or a NUL in it
	PasswordCommon   PasswordReason = "common"    // on the list of common passwords, or a simple pattern
	PasswordPersonal PasswordReason = "personal"  // the user's own name or address, or one of Config.PasswordWords
	PasswordBreached PasswordReason = "breached"  // known from a data breach, says Config.Breaches
	PasswordRejected PasswordReason = "rejected"  // by Config.PasswordCheck, whose error is wrapped
)

// A PasswordError says why a new password was refused. Its text is fit for the
// user to read.
type PasswordError struct {
	Reason PasswordReason
	Min    int   // for PasswordTooShort: the least number of characters
	Err    error // for PasswordRejected
}

func (e *PasswordError) Error() string {
	switch e.Reason {
	case PasswordTooShort:
		return fmt.Sprintf("the password must have at least %d characters", e.Min)
	case PasswordTooLong:
		return fmt.Sprintf("the password must have at most %d bytes", maxPassword)
	case PasswordNotText:
		return "the password has characters that are not text"
	case PasswordCommon:
		return "the password is one that many people use, and the first that is tried"
	case PasswordPersonal:
		return "the password is a name that is easy to guess"
	case PasswordBreached:
		return "the password has been in a data breach, so others may know it"
	}
	if e.Err != nil {
		return e.Err.Error()
	}
	return "the password is refused"
}

func (e *PasswordError) Unwrap() error { return e.Err }

// CheckNewPassword is Manager.CheckNewPassword.
func (c *Core) CheckNewPassword(ctx context.Context, password string, a Account) error {
	switch {
	case len(password) > maxPassword:
		return &PasswordError{Reason: PasswordTooLong}
	case !isText(password):
		return &PasswordError{Reason: PasswordNotText}
	case utf8.RuneCountInString(password) < c.cfg.MinPassword:
		return &PasswordError{Reason: PasswordTooShort, Min: c.cfg.MinPassword}
	case isCommon(password):
		return &PasswordError{Reason: PasswordCommon}
	case c.isPersonal(password, &a):
		return &PasswordError{Reason: PasswordPersonal}
	}
	switch breached, err := c.isBreached(ctx, password, a.ID); {
	case err != nil:
		return err
	case breached:
		return &PasswordError{Reason: PasswordBreached}
	}
	if c.cfg.PasswordCheck == nil {
		return nil
	}
	if err := c.cfg.PasswordCheck(ctx, password, a.Clone()); err != nil {
		return &PasswordError{Reason: PasswordRejected, Err: err}
	}
	return nil
}

// isPersonal reports whether the password, in any case and but for digits and
// punctuation at its end, is a name of the user's or one of PasswordWords.
func (c *Core) isPersonal(password string, a *Account) bool {
	const ending = "0123456789!?.,;:*#$_- "
	local, _, _ := strings.Cut(a.Email, "@")
	for _, name := range append([]string{a.Username, a.Email, local}, c.cfg.PasswordWords...) {
		if stem := strings.TrimRight(name, ending); stem != "" {
			name = stem
		}
		rest, ok := strings.CutPrefix(strings.ToLower(password), strings.ToLower(name))
		if ok && name != "" && strings.Trim(rest, ending) == "" {
			return true
		}
	}
	return false
}

// isCommon reports whether the password is a common one, once or several times,
// or a simple pattern.
func isCommon(password string) bool {
	if blocklist.Contains(password) || blocklist.Trivial(password) {
		return true
	}
	for n := 1; n <= len(password)/2; n++ {
		if len(password)%n == 0 && strings.Repeat(password[:n], len(password)/n) == password {
			return blocklist.Contains(password[:n])
		}
	}
	return false
}

// isText reports whether s is valid UTF-8 without NUL, which stores and other
// libraries would cut it at.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// Authenticate is Manager.Authenticate.
func (c *Core) Authenticate(ctx context.Context, login, password string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	c.sawLogin(c.requestOf(ctx))
	user, id, err := c.authenticate(ctx, login, password)
	if err != nil {
		c.event(ctx, Event{Kind: EventLoginFailed, UserID: id, Method: methodPassword, Err: err})
		if errors.Is(err, ErrLocked) || errors.Is(err, ErrResetRequired) {
			err = ErrInvalidCredentials // which of them is for the log
		}
		return nil, err
	}
	if s := c.requestOf(ctx); s != nil {
		s.op.Lock()
		s.proved = id
		s.op.Unlock()
	}
	return user, nil
}

// authenticate returns the ID of the account that was tried, too.
func (c *Core) authenticate(ctx context.Context, login, password string) (user User, id string, err error) {
	if c.store == nil {
		return nil, "", ErrNoUserStore
	}
	if err := c.needs("Authenticate", FieldPasswordHash); err != nil {
		return nil, "", err
	}
	// What cannot be a password is refused before anything is looked up, and
	// so alike for every account.
	if password == "" || len(password) > maxPassword || !isText(password) {
		return nil, "", ErrInvalidCredentials
	}
	if err := c.hasher.full(); err != nil { // before the stores have any work
		return nil, "", err
	}
	user, key, err := c.findByLogin(ctx, login)
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return nil, "", err
	}
	id = idOf(user)
	result, reason, err := c.tryPassword(ctx, user, key, password)
	switch {
	case err != nil:
		return nil, id, err
	case result.unusable != nil:
		c.event(ctx, Event{Kind: EventHashUnusable, UserID: id, Err: result.unusable})
	}
	if !result.ok {
		return nil, id, reason
	}
	if err := c.pass(user.AuthAccount()); err != nil {
		return nil, id, err // for those who do not go on to LoginUser
	}
	if result.outdated {
		user, err = c.upgradeHash(ctx, user, password)
	}
	return user, id, err
}

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

// upgradeHash replaces a hash that would be made otherwise now, while the
// password is known. Whatever the store makes of it, the login goes on, unless the
// account was deleted or got a new Stamp meanwhile. If it lost to another change,
// the next login tries again.
func (c *Core) upgradeHash(ctx context.Context, user User, password string) (User, error) {
	old := user.AuthAccount().Clone()
	if !c.upgrades.due(old.ID, c.cfg.Now()) {
		return user, nil
	}
	hash, err := c.hasher.hashAtOnce(password)
	if errors.Is(err, ErrBusy) {
		return user, nil
	} else if err != nil {
		return nil, err
	}
	inner, cancel := detach(ctx) // a client that hangs up must not leave half a hash behind
	defer cancel()
	next := old.Clone()
	next.PasswordHash = hash
	switch err = c.store.update(inner, next); {
	case errors.Is(err, ErrConflict):
		return user, nil
	case errors.Is(err, ErrUserNotFound):
		return nil, ErrInvalidCredentials
	}
	stored, failed := c.store.load(inner, old.ID)
	switch {
	case errors.Is(failed, ErrUserNotFound), failed == nil && !stored.AuthAccount().Stamp.Equal(old.Stamp):
		return nil, ErrInvalidCredentials // deleted, or changed, this very moment
	case failed == nil && stored.AuthAccount().PasswordHash.Equal(hash):
		c.event(ctx, Event{Kind: EventHashUpgraded, UserID: old.ID})
		return stored, nil
	case failed == nil && stored.AuthAccount().Version > old.Version+1:
		return stored, nil // somebody else's change came after ours
	}
	// The new hash is not there, or was cut, or cannot be read: the old one is good.
	user, why := c.restoreHash(inner, user, stored, next, errors.Join(err, failed))
	c.upgrades.failed(old.ID, c.cfg.Now())
	c.event(ctx, Event{Kind: EventHashNotUpgraded, UserID: old.ID, Err: why})
	return user, failed
}

// restoreHash puts the old hash back after an upgrade to next, whose reason to fail
// may be known. stored is what the upgrade has left, or nil if it could not be
// loaded. It returns the user as they are then, and what to log.
func (c *Core) restoreHash(ctx context.Context, user, stored User, next Account, reason error) (User, error) {
	old := user.AuthAccount().Clone()
	next.Version++
	if stored != nil {
		now := *stored.AuthAccount()
		if now.PasswordHash.Equal(old.PasswordHash) && now.Version == old.Version {
			if reason == nil {
				reason = errors.New("UpdateAccount returned no error, and changed nothing")
			}
			return stored, fmt.Errorf("auth: the user store did not save an upgraded hash, and the old one stays: %w", reason)
		}
		next.Version = now.Version
		if lost := c.lost("LoadUser, after UpdateAccount, returned a user", next, now, false); lost != nil {
			reason = errors.Join(reason, lost)
		}
	}
	old.Version = next.Version
	err := c.store.update(ctx, old)
	restored, failed := c.store.load(ctx, old.ID)
	switch {
	case failed == nil && restored.AuthAccount().PasswordHash.Equal(old.PasswordHash):
		return restored, fmt.Errorf("auth: the user store did not keep an upgraded hash, and has the old one again: %w", reason)
	case errors.Is(err, ErrUserNotFound), errors.Is(failed, ErrUserNotFound):
		return user, fmt.Errorf("auth: the account was deleted while its hash was upgraded: %w", reason)
	}
	return user, fmt.Errorf("auth: the user store did not keep an upgraded hash, and the old one could not be put back; if the user cannot log in, they must reset the password: %w",
		errors.Join(reason, err, failed))
}

// upgrades are the accounts whose hash could not be upgraded. Each costs a hash
// and up to four calls of the store, so it is tried once in upgradeAgain for each account
// and process.
type upgrades struct {
	mu    sync.Mutex
	after map[string]time.Time // by account ID: when it is tried again
}

const (
	upgradeAgain = time.Hour
	maxUpgrades  = 10_000 // accounts that are kept; with more, all are tried again
)

// due reports whether an upgrade may be tried.
func (u *upgrades) due(id string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !now.Before(u.after[id])
}

// failed keeps an account from being tried again for a while.
func (u *upgrades) failed(id string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.after == nil || len(u.after) >= maxUpgrades {
		u.after = map[string]time.Time{}
	}
	u.after[id] = now.Add(upgradeAgain)
}

// HashPassword is Manager.HashPassword.
func (c *Core) HashPassword(ctx context.Context, password string) (Secret, error) {
	switch {
	case password == "" || !isText(password):
		return Secret{}, &PasswordError{Reason: PasswordNotText}
	case len(password) > maxPassword:
		return Secret{}, &PasswordError{Reason: PasswordTooLong}
	}
	return c.hasher.hash(ctx, password)
}

// WrapHash is Manager.WrapHash.
func (c *Core) WrapHash(ctx context.Context, old Secret) (Secret, error) {
	return c.hasher.wrap(ctx, old)
}

// CheckPassword is Manager.CheckPassword.
func (c *Core) CheckPassword(ctx context.Context, user User, password string) (_ bool, failing error) {
	defer c.met(ctx, &failing)
	if user == nil || password == "" || len(password) > maxPassword || !isText(password) {
		return false, nil
	}
	if err := c.needs("CheckPassword", FieldPasswordHash); err != nil {
		return false, err
	}
	result, reason, err := c.tryPassword(ctx, user, "", password)
	if s := c.requestOf(ctx); result.ok && s != nil {
		s.op.Lock()
		s.proved = user.AuthAccount().ID
		s.op.Unlock()
	}
	if reason != nil {
		c.event(ctx, Event{Kind: EventCheckFailed, UserID: user.AuthAccount().ID, Method: methodPassword, Err: reason})
	}
	return result.ok, err
}

// PasswordHashes returns how many password hashes have been made or compared
// with since the Manager was made: for metrics, and for tests that show that two
// requests did the same work. Each comparison takes at least the work of making
// one, and counts as one even if it takes more.
func (c *Core) PasswordHashes() uint64 { return c.hasher.computed.Load() }

// SetPassword is Manager.SetPassword.
func (c *Core) SetPassword(ctx context.Context, user User, password string) (failing error) {
	defer c.met(ctx, &failing)
	if user == nil {
		return ErrUserNotFound
	}
	id := user.AuthAccount().ID
	before, err := c.setPassword(ctx, user, password)
	if err != nil {
		c.event(ctx, Event{Kind: EventPasswordFailed, UserID: id, Err: err})
		return err
	}
	c.forgetGuesses(ctx, id)
	c.event(ctx, Event{Kind: EventPasswordChanged, UserID: id})
	c.notify(ctx, MailPasswordChanged, user, before.Email)
	return nil
}

func (c *Core) setPassword(ctx context.Context, user User, password string) (before Account, err error) {
	if c.store == nil {
		return before, ErrNoUserStore
	}
	if err := c.needs("SetPassword", FieldPasswordHash); err != nil {
		return before, err
	}
	account := user.AuthAccount().Clone()
	if err := c.CheckNewPassword(ctx, password, account); err != nil {
		return before, err
	}
	hash, err := c.hasher.hash(ctx, password)
	if err != nil {
		return before, err
	}
	if err := c.stillIn(ctx); err != nil {
		return before, err
	}
	return c.restamp(ctx, account.ID, account.Stamp, func(a *Account) error {
		if !a.Stamp.Equal(account.Stamp) {
			return ErrConflict // another credential was changed first
		}
		a.PasswordHash = hash
		return nil
	})
}

// restamp changes an account by compare-and-set, as change says, and gives it a
// new Stamp. That ends its logins, but for the one that makes the request, if that
// was made with the old Stamp. It returns the account as it was before.
func (c *Core) restamp(ctx context.Context, id string, old Secret, change func(*Account) error) (before Account, err error) {
	if err := ctx.Err(); err != nil {
		return before, err
	}
	// Without the session, which is locked meanwhile. And who hangs up now must
	// not keep the owner from being told.
	inner, cancel := detach(c.inner(ctx))
	defer cancel()
	stamp := NewSecret(newToken())
	update := func() error {
		var after Account
		_, err := c.updateAccount(inner, id, func(a *Account) error {
			before = a.Clone()
			err := change(a)
			a.Stamp = stamp
			after = a.Clone()
			return err
		})
		var lost *lostError
		if err == nil || errors.As(err, &lost) {
			return err
		}
		// A store that fails may have made the change all the same.
		if user, failed := c.store.load(inner, id); failed == nil && user.AuthAccount().Stamp.Equal(stamp) {
			return c.checkUpdate(inner, before, after)
		}
		return err
	}
	if s := c.stateOf(ctx); s != nil {
		err = s.changeStamp(id, old, stamp, update)
	} else if err = update(); err == nil {
		c.endSessions(ctx, id)
	}
	return before, err
}

// maxConflicts is how often a compare-and-set is tried again. Each failure
// means that somebody else's succeeded, so that it is reached only by a store
// that is wrong.
const maxConflicts = 200

// updateAccount changes an account by compare-and-set: it loads it, lets change
// say what to do or refuse, and begins again if it lost to another change.
func (c *Core) updateAccount(ctx context.Context, id string, change func(*Account) error) (User, error) {
	for range maxConflicts {
		user, err := c.store.load(ctx, id)
		if err != nil {
			return nil, err
		}
		a := user.AuthAccount().Clone()
		if err := change(&a); err != nil {
			return nil, err
		}
		switch err := c.store.update(ctx, a); {
		case err == nil:
			return user, c.checkUpdate(ctx, *user.AuthAccount(), a)
		case !errors.Is(err, ErrConflict):
			return nil, err
		}
	}
	return nil, ErrConflict
}

// checkUpdate reads an account back after an UpdateAccount that succeeded. If the
// store has lost something of it, such as the end of a hash, it puts the old
// account back, and returns an error. If the account cannot be read, or has been
// changed again, there is nothing to compare with, and the update counts as done.
func (c *Core) checkUpdate(ctx context.Context, old, given Account) error {
	user, err := c.store.load(ctx, given.ID)
	given.Version++
	if err != nil || user.AuthAccount().Version > given.Version {
		return nil
	}
	stored := *user.AuthAccount()
	lost := c.lost("LoadUser, after UpdateAccount, returned a user", given, stored, false)
	if lost == nil {
		return nil
	}
	old.Version = stored.Version
	if err := c.store.update(ctx, old); err != nil {
		return fmt.Errorf("%w; the account as it was before could not be put back: %v", lost, err) //nolint:errorlint // it says nothing about what the caller asked for
	}
	return lost
}

// endSessions deletes a user's sessions and remembered devices after a change
// of Stamp. They are dead
// already; a failure leaves only records that nobody can use.
func (c *Core) endSessions(ctx context.Context, userID string) {
	if err := c.deleteSessions(ctx, userID); err != nil {
		c.event(ctx, Event{Kind: EventStoreFailed, UserID: userID, Err: err})
	}
}

// deleteSessions deletes what a user is logged in by. Requests that are under way
// end with it, those of the session that is kept, too: they came with its old
// token, and who else has that is not known.
func (c *Core) deleteSessions(ctx context.Context, userID string, keep ...string) error {
	ctx, cancel := detach(ctx)
	defer cancel()
	_, err := c.takeDevices(ctx, userID, func(header) bool { return true }) // which leave tombstones
	err = errors.Join(err,
		c.records.DeleteRecords(ctx, kindRemember, userID), // those that came meanwhile, or could not be taken
		c.records.DeleteRecords(ctx, kindAPIToken, userID),
		c.sessions.DeleteRecords(ctx, kindSession, userID, keep...))
	c.watches.end(userID, func(string) bool { return true })
	return err
}
