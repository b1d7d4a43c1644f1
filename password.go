package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
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
func (c *Core) Authenticate(ctx context.Context, login, password string) (User, error) {
	user, id, err := c.authenticate(ctx, login, password)
	if err != nil {
		c.event(ctx, Event{Kind: EventLoginFailed, UserID: id, Method: methodPassword, Err: err})
		return nil, err
	}
	if s := c.stateOf(ctx); s != nil {
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
	// What cannot be a password is refused before anything is looked up, and
	// so alike for every account.
	if password == "" || len(password) > maxPassword || !isText(password) {
		return nil, "", ErrInvalidCredentials
	}
	user, err = c.findByLogin(ctx, login)
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return nil, "", err
	}
	var hash Secret // stays empty for nobody: the hasher then does the same work for nothing
	if user != nil {
		hash, id = user.AuthAccount().PasswordHash, user.AuthAccount().ID
	}
	result, err := c.hasher.verify(ctx, hash, password)
	switch {
	case err != nil:
		return nil, id, err
	case result.unusable:
		c.event(ctx, Event{Kind: EventHashUnusable, UserID: id, Err: errUnusableHash})
	}
	if !result.ok {
		return nil, id, ErrInvalidCredentials
	}
	if err := gateDisabled(user.AuthAccount()); err != nil {
		return nil, id, err // for those who do not go on to LoginUser
	}
	if result.outdated {
		user, err = c.upgradeHash(ctx, user, password)
	}
	return user, id, err
}

// findByLogin returns ErrUserNotFound for what cannot be a login, too.
func (c *Core) findByLogin(ctx context.Context, login string) (User, error) {
	login = strings.TrimSpace(login) // which keyboards add
	canonical, isEmail := UsernameKey, strings.Contains(login, "@")
	if isEmail {
		canonical = EmailKey
	}
	if isEmail && c.cfg.Identifiers == UsernameOnly || !isEmail && c.cfg.Identifiers == EmailOnly {
		return nil, ErrUserNotFound
	}
	key, err := canonical(login)
	if err != nil {
		return nil, ErrUserNotFound
	}
	return c.findByKey(ctx, key)
}

// findByKey finds a user by a canonical username or address.
func (c *Core) findByKey(ctx context.Context, key string) (User, error) {
	user, err := c.store.find(ctx, key)
	if err != nil {
		return nil, err
	}
	// A store that compares more loosely than the canonical form does (by a
	// collation that takes é for e, say) would log people in as somebody else.
	canonical, name := UsernameKey, user.AuthAccount().Username
	if strings.Contains(key, "@") {
		canonical, name = EmailKey, user.AuthAccount().Email
	}
	if found, err := canonical(name); err != nil || found != key {
		return nil, errors.New("auth: the store found another user than it was asked for")
	}
	return user, nil
}

// upgradeHash replaces a hash that was made with other parameters, now that
// the password is known. Losing to another change is no harm: the next login
// tries again.
func (c *Core) upgradeHash(ctx context.Context, user User, password string) (User, error) {
	a := user.AuthAccount().Clone()
	hash, err := c.hasher.hash(ctx, password)
	if errors.Is(err, ErrBusy) {
		return user, nil
	} else if err != nil {
		return nil, err
	}
	a.PasswordHash = hash
	switch err := c.store.update(ctx, a); {
	case errors.Is(err, ErrConflict):
		return user, nil
	case errors.Is(err, ErrUserNotFound):
		return nil, ErrInvalidCredentials
	case err != nil:
		return nil, err
	}
	c.event(ctx, Event{Kind: EventHashUpgraded, UserID: a.ID})
	upgraded, err := c.store.load(ctx, a.ID)
	if errors.Is(err, ErrUserNotFound) || err == nil && !upgraded.AuthAccount().Stamp.Equal(a.Stamp) {
		return nil, ErrInvalidCredentials // deleted, or changed, this very moment
	}
	return upgraded, err
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

// CheckPassword is Manager.CheckPassword.
func (c *Core) CheckPassword(ctx context.Context, user User, password string) (bool, error) {
	if user == nil || password == "" || len(password) > maxPassword || !isText(password) {
		return false, nil
	}
	result, err := c.hasher.verify(ctx, user.AuthAccount().PasswordHash, password)
	if err == nil && !result.ok {
		c.event(ctx, Event{Kind: EventCheckFailed, UserID: user.AuthAccount().ID, Method: methodPassword, Err: ErrInvalidCredentials})
	}
	return result.ok, err
}

// PasswordHashes returns how many password hashes have been computed since the
// Manager was made: for metrics, and for tests that show that two requests did
// the same work.
func (c *Core) PasswordHashes() uint64 { return c.hasher.computed.Load() }

// A Registration is what a registration form asks for. Spaces around names and
// addresses are taken off, as they are from logins. Register returns, and has
// saved nothing:
//
//   - ErrInvalidUsername or ErrInvalidEmail, also for one that is empty and
//     needed, which is what Config.Identifiers lets people log in with;
//   - a PasswordError;
//   - ErrUsernameTaken or ErrEmailTaken;
//   - what the user type's ReadForm returns;
//   - ErrBusy, or a failure of the store.
type Registration struct {
	Username string
	Email    string
	Password string     // empty makes an account that no password opens
	Form     url.Values // other fields, for the user store
}

// Register is Manager.Register.
func (c *Core) Register(ctx context.Context, r Registration) (User, error) {
	user, err := c.register(ctx, r)
	if err != nil {
		c.event(ctx, Event{Kind: EventRegisterFailed, Err: err})
		return nil, err
	}
	c.event(ctx, Event{Kind: EventRegistered, UserID: user.AuthAccount().ID})
	return user, nil
}

func (c *Core) register(ctx context.Context, r Registration) (User, error) {
	if c.store == nil {
		return nil, ErrNoUserStore
	}
	r.Username, r.Email = strings.TrimSpace(r.Username), strings.TrimSpace(r.Email)
	needUsername := c.cfg.Identifiers == UsernameOnly || r.Email == ""
	if _, err := UsernameKey(r.Username); err != nil && (needUsername || r.Username != "") {
		return nil, err
	}
	if _, err := EmailKey(r.Email); err != nil && (c.cfg.Identifiers == EmailOnly || r.Email != "") {
		return nil, err
	}
	a := Account{Username: r.Username, Email: r.Email, Stamp: NewSecret(newToken()), Version: 1}
	if r.Password != "" {
		if err := c.CheckNewPassword(ctx, r.Password, a); err != nil {
			return nil, err
		}
		var err error
		if a.PasswordHash, err = c.hasher.hash(ctx, r.Password); err != nil {
			return nil, err
		}
	}
	return c.store.create(ctx, a, r.Form)
}

// SetPassword is Manager.SetPassword.
func (c *Core) SetPassword(ctx context.Context, user User, password string) error {
	if user == nil {
		return ErrUserNotFound
	}
	id := user.AuthAccount().ID
	if err := c.setPassword(ctx, user, password); err != nil {
		c.event(ctx, Event{Kind: EventPasswordFailed, UserID: id, Err: err})
		return err
	}
	c.event(ctx, Event{Kind: EventPasswordChanged, UserID: id})
	return nil
}

func (c *Core) setPassword(ctx context.Context, user User, password string) error {
	if c.store == nil {
		return ErrNoUserStore
	}
	account := user.AuthAccount().Clone()
	if err := c.CheckNewPassword(ctx, password, account); err != nil {
		return err
	}
	hash, err := c.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	stamp := NewSecret(newToken())
	change := func(a *Account) error {
		if !a.Stamp.Equal(account.Stamp) {
			return ErrConflict // another credential was changed first
		}
		a.PasswordHash, a.Stamp = hash, stamp
		return nil
	}
	s := c.stateOf(ctx)
	if s == nil {
		_, err := c.updateAccount(ctx, account.ID, change)
		if err == nil {
			c.endSessions(ctx, account.ID)
		}
		return err
	}
	inner := innerContext{ctx, c} // the session is locked meanwhile
	return s.changeStamp(account.ID, account.Stamp, stamp, func() error {
		_, err := c.updateAccount(inner, account.ID, change)
		return err
	})
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
			return user, nil
		case !errors.Is(err, ErrConflict):
			return nil, err
		}
	}
	return nil, ErrConflict
}

// endSessions deletes a user's sessions and remembered devices after a change
// of Stamp. They are dead
// already; a failure leaves only records that nobody can use.
func (c *Core) endSessions(ctx context.Context, userID string) {
	if err := c.deleteSessions(ctx, userID); err != nil {
		c.event(ctx, Event{Kind: EventStoreFailed, UserID: userID, Err: err})
	}
}

func (c *Core) deleteSessions(ctx context.Context, userID string, keep ...string) error {
	ctx, cancel := detach(ctx)
	defer cancel()
	return errors.Join(
		c.records.DeleteRecords(ctx, kindRemember, userID),
		c.sessions.DeleteRecords(ctx, kindSession, userID, keep...))
}
