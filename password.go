package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-login/auth/internal/blocklist"
)

// ValidatePassword applies the policy to a password that an account might get,
// for forms that show everything that is wrong at once: length in code points,
// no rules of composition, and the whole password (never parts of it) compared
// with what others try first and, by Config.Password.Breaches, with what has been in a
// data breach. It returns nil or a PasswordError. Register, SetPassword and
// ResetPassword apply it in any case; Breaches is asked once for all of them in a
// request.
func (c *Core) ValidatePassword(ctx context.Context, password string, a Account) error {
	switch {
	case len(password) > maxPassword:
		return &PasswordError{Reason: PasswordTooLong}
	case !isText(password):
		return &PasswordError{Reason: PasswordNotText}
	case utf8.RuneCountInString(password) < c.cfg.Password.Min:
		return &PasswordError{Reason: PasswordTooShort, Min: c.cfg.Password.Min}
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
	if c.cfg.Password.Check == nil {
		return nil
	}
	if err := c.cfg.Password.Check(ctx, password, a.Clone()); err != nil {
		return &PasswordError{Reason: PasswordRejected, Err: err}
	}
	return nil
}

// isPersonal reports whether the password, in any case and but for digits and
// punctuation at its end, is a name of the user's or one of Password.Words.
func (c *Core) isPersonal(password string, a *Account) bool {
	const ending = "0123456789!?.,;:*#$_- "
	local, _, _ := strings.Cut(a.Email, "@")
	for _, name := range append([]string{a.Username, a.Email, local}, c.cfg.Password.Words...) {
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

// Authenticate returns the user with this login (a username or an address, see
// Config.Identifiers) and password. It does not log the user in: LoginUser
// does. Its errors wrap ErrLoginRefused, or are ErrBusy, a RateLimitError, or a
// failure of the store. Whatever the state of the account, it computes one hash,
// but none for a RateLimitError.
//
// After five wrong passwords in a row none is looked at for 30 seconds, and after
// each further one for twice as long as before, up to an hour; the error is
// ErrInvalidCredentials all the same. After the hundredth none is until the
// account has a new password, or Unlock is called; if no mail can be sent (there is
// no Mailer, or the account has no address), one is looked at in each hour. Browsers that the user has logged in with before,
// by password, have counts of their own.
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

// sawLogin tells, once, if the first logins all came from one address that is
// nobody's on the internet, where https is for. The caller holds no lock.
func (c *Core) sawLogin(s *state) {
	if s != nil && c.baseURL.Scheme == "https" && c.proxies.Suspects(s.client()) {
		c.event(&s.ctx, Event{Kind: EventProxySuspected, Err: errOneAddress})
	}
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
	if err := c.hasher.Ready(); err != nil { // before the stores have any work
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
	case result.Unusable != nil:
		c.event(ctx, Event{Kind: EventHashUnusable, UserID: id, Err: result.Unusable})
	}
	if !result.OK {
		return nil, id, reason
	}
	if err := c.passAccount(ctx, user); err != nil {
		return nil, id, err // for those who do not go on to LoginUser
	}
	if result.Outdated {
		user, err = c.upgradeHash(ctx, user, password)
	}
	return user, id, err
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
	hash, err := c.hasher.TryHash(password)
	if errors.Is(err, ErrBusy) {
		return user, nil
	} else if err != nil {
		return nil, err
	}
	detached, cancel := detach(ctx) // a client that hangs up must not leave half a hash behind
	defer cancel()
	next := old.Clone()
	next.PasswordHash = hash
	switch err = c.store.update(detached, next); {
	case errors.Is(err, ErrConflict):
		return user, nil
	case errors.Is(err, ErrUserNotFound):
		return nil, ErrInvalidCredentials
	}
	stored, failed := c.store.load(detached, old.ID)
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
	user, why := c.restoreHash(detached, user, stored, next, errors.Join(err, failed))
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

// HashPassword returns the hash of a password, for accounts that are made
// outside Register. It applies no policy, but refuses (PasswordError) what could
// never log in: no password at all, one of over 1,024 bytes, invalid UTF-8, a
// NUL. It may return ErrBusy.
func (c *Core) HashPassword(ctx context.Context, password string) (Secret, error) {
	switch {
	case password == "" || !isText(password):
		return Secret{}, &PasswordError{Reason: PasswordNotText}
	case len(password) > maxPassword:
		return Secret{}, &PasswordError{Reason: PasswordTooLong}
	}
	return c.hasher.Hash(ctx, password)
}

// WrapHash returns Argon2id(old), as it were: a hash of the digest in a hash, made
// like those of new passwords, and with the same pepper. It needs no password, so
// that a whole table of hashes from elsewhere can be made as hard to guess as new
// ones on the day it is taken over. The result has the old scheme, its parameters
// and its salt in it, and not its digest. It is verified at the cost of both, and
// replaced when its user logs in. Old backups still have what was there.
//
// A hash that is wrapped or peppered already, an Argon2id hash that is no weaker
// than new ones (if these get no pepper), and the empty hash of an account without
// a password are returned as they are. So a program that goes through a table can
// be run again. It must save by compare-and-set, since users log in meanwhile.
//
// The result has up to 400 bytes. A column that is too narrow cuts it (MySQL does,
// without strict mode), and no password opens it then: check the width of the
// column first, and read each row back before you commit.
//
// It returns ErrHashUnusable for what could not be verified anyway, ErrBusy, or
// the context's error.
func (c *Core) WrapHash(ctx context.Context, old Secret) (Secret, error) {
	return c.hasher.Wrap(ctx, old)
}

// CheckPassword reports whether it is the user's password. It logs nobody in; a
// page that asks for the current password again uses it. Wrong ones count as
// those of Authenticate do, and the right one is not, either, while none is
// looked at. The error is ErrBusy, a RateLimitError, the context's or the store's.
func (c *Core) CheckPassword(ctx context.Context, user User, password string) (_ bool, failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return false, ErrUserNotFound
	}
	if password == "" || len(password) > maxPassword || !isText(password) {
		return false, nil
	}
	if err := c.needs("CheckPassword", FieldPasswordHash); err != nil {
		return false, err
	}
	result, reason, err := c.tryPassword(ctx, user, "", password)
	if s := c.requestOf(ctx); result.OK && s != nil {
		s.op.Lock()
		s.proved = user.AuthAccount().ID
		s.op.Unlock()
	}
	if reason != nil {
		c.event(ctx, Event{Kind: EventPasswordCheckFailed, UserID: user.AuthAccount().ID, Method: methodPassword, Err: reason})
	}
	return result.OK, err
}

// PasswordHashes returns how many password hashes have been made or compared
// with since the Manager was made: for metrics, and for tests that show that two
// requests did the same work. Each comparison takes at least the work of making
// one, and counts as one even if it takes more.
func (c *Core) PasswordHashes() uint64 { return c.hasher.Computed() }

// SetPassword gives the user a new password, which must satisfy the policy
// (PasswordError), and ends the user's logins, except that the one which makes
// this request goes on with a new token. It returns ErrConflict if another
// change of password came first, ErrBusy, ErrUserNotFound for an account that is
// gone, or a failure of the store, and has then changed nothing.
func (c *Core) SetPassword(ctx context.Context, user User, password string) (failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return ErrUserNotFound
	}
	x, err := c.planPassword(ctx, user.AuthAccount().Clone(), password)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// planPassword plans what SetPassword changes.
func (c *Core) planPassword(ctx context.Context, account Account, password string) (*credentialChange, error) {
	x := &credentialChange{
		userID: account.ID, own: ownGoesOn, stamp: account.Stamp, forgets: true, mail: Mail{Kind: MailPasswordChanged},
		done: EventPasswordSet, failed: EventPasswordSetFailed,
	}
	if c.store == nil {
		return x, ErrNoUserStore
	}
	if err := c.needs("SetPassword", FieldPasswordHash); err != nil {
		return x, err
	}
	if err := c.ValidatePassword(ctx, password, account); err != nil {
		return x, err
	}
	hash, err := c.hasher.Hash(ctx, password)
	if err != nil {
		return x, err
	}
	x.apply = func(a *Account) error {
		if !a.Stamp.Equal(account.Stamp) {
			return ErrConflict // another credential was changed first
		}
		a.PasswordHash = hash
		return nil
	}
	return x, c.stillIn(ctx)
}
