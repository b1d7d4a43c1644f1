package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-login/auth/internal/blocklist"
)

// ValidatePassword applies the policy to a password that an account might get. It
// returns nil or a PasswordError. Use it for forms that show everything that is wrong
// at once: Register, SetPassword and ResetPassword call it anyway.
//
// The policy has a minimum length in code points, and no rules of composition. The
// whole password, never a part of it, is compared with common passwords and with the
// user's names. Config.Password.Breaches says whether it was in a data breach. It is
// asked once in a request, however often ValidatePassword is called with the same
// password.
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

// isPersonal reports whether the password is one of the user's names or one of
// Password.Words. Case, and digits and punctuation at its end, do not matter.
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

// isCommon reports whether the password is a common one, a common one repeated, or a
// simple pattern.
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
// Config.Identifiers) and password. It does not log the user in: call LoginUser for
// that. Its errors wrap ErrLoginRefused, or are ErrBusy, a RateLimitError, or a failure
// of the store. It computes one hash, whatever the state of the account. It computes none if it
// returns ErrBusy, a RateLimitError or a failure, nor for a password that no account can
// have, such as an empty one.
//
// After five wrong passwords in a row, the account is locked for 30 seconds. Each
// further wrong password doubles the time, up to an hour. While the account is locked,
// Authenticate returns ErrInvalidCredentials even for the right password. After the
// hundredth wrong password, the account is locked until it has a new password or you
// call Unlock. If no mail can be sent (there is no Mailer, or the account has no
// address), one attempt an hour is still checked.
//
// If ForceReset has voided the password and it is right, the error is ErrResetRequired. If
// the account may not log in at all, it is ErrInvalidCredentials.
//
// Each browser that the user has logged in with before, by password, has a count of its
// own. So an attacker who guesses elsewhere does not lock the user out there.
func (c *Core) Authenticate(ctx context.Context, login, password string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	c.sawLogin(c.requestOf(ctx))
	user, id, err := c.authenticate(ctx, login, password)
	if err != nil {
		c.event(ctx, Event{Kind: EventLoginFailed, UserID: id, Method: methodPassword, Err: err})
		if (errors.Is(err, ErrLocked) || errors.Is(err, ErrResetRequired)) && !errors.Is(err, errResetForced) {
			err = ErrInvalidCredentials // only the log says more
		}
		return nil, err
	}
	if s := c.requestOf(ctx); s != nil {
		s.op.Lock()
		s.seldom().proved = id
		s.op.Unlock()
	}
	return user, nil
}

// sawLogin makes an event, once, if BaseURL has https and the first 100 logins all came
// from one address that is not public. Probably they came through a proxy that is
// missing in Config.Network.TrustedProxies. The caller holds no lock.
func (c *Core) sawLogin(s *state) {
	if s != nil && c.site.origin.Scheme == "https" && c.proxies.Suspects(s.client()) {
		c.proxies.oneAddress.Store(true)
		c.event(&s.ctx, Event{Kind: EventProxySuspected, Err: errOneAddress})
	}
}

// authenticate is Authenticate without its events. It also returns the ID of the account that
// was tried.
func (c *Core) authenticate(ctx context.Context, login, password string) (user User, id string, err error) {
	ctx, end := c.cfg.Trace.begin(ctx, "authenticate", methodPassword)
	err = errPanicked
	defer func() { end(err) }()
	return c.tryLogin(ctx, login, password)
}

// tryLogin is authenticate without its trace.
func (c *Core) tryLogin(ctx context.Context, login, password string) (user User, id string, err error) {
	if c.store == nil {
		return nil, "", ErrNoUserStore
	}
	if err := c.needs("Authenticate", FieldPasswordHash); err != nil {
		return nil, "", err
	}
	// A text that cannot be a password is refused before the lookup, so the answer is
	// the same for every account.
	if password == "" || len(password) > maxPassword || !isText(password) {
		return nil, "", ErrInvalidCredentials
	}
	if err := c.hasher.Ready(); err != nil { // if hashing is busy, spare the stores the work
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
	if err := c.passAccount(ctx, user); err != nil {
		return nil, id, err // asked here, too, for callers that do not call LoginUser
	}
	if !result.renewed.IsZero() {
		user, err = c.upgradeHash(ctx, user, result.renewed)
	}
	return user, id, err
}

// upgradeHash replaces a hash that does not have today's parameters by a new one of the
// same password. If the store fails to save it, the login still goes on. Only if the
// account was deleted or got a new Stamp meanwhile, the login is refused. If another
// change came first, the next login tries again.
func (c *Core) upgradeHash(ctx context.Context, user User, hash Secret) (User, error) {
	old := user.AuthAccount().Clone()
	detached, cancel := detach(ctx) // if the client hangs up, the hash must still be saved and checked
	defer cancel()
	next := old.Clone()
	next.PasswordHash = hash
	err := c.store.update(detached, next)
	switch {
	case errors.Is(err, ErrConflict):
		return user, nil
	case errors.Is(err, ErrUserNotFound):
		return nil, ErrInvalidCredentials
	}
	stored, failed := c.store.load(detached, old.ID)
	switch {
	case errors.Is(failed, ErrUserNotFound), failed == nil && !stored.AuthAccount().Stamp.Equal(old.Stamp):
		return nil, ErrInvalidCredentials // deleted or changed meanwhile
	case failed == nil && stored.AuthAccount().PasswordHash.Equal(hash):
		c.event(ctx, Event{Kind: EventHashUpgraded, UserID: old.ID})
		return stored, nil
	case failed == nil && stored.AuthAccount().Version > old.Version+1:
		return stored, nil // another change came after ours
	}
	// The new hash is missing, was cut or cannot be read. Put the old one back.
	user, why := c.restoreHash(detached, user, stored, next, errors.Join(err, failed))
	c.upgrades.failed(old.ID, c.cfg.Now())
	c.event(ctx, Event{Kind: EventHashNotUpgraded, UserID: old.ID, Err: why})
	return user, failed
}

// restoreHash puts the old hash back after the upgrade to next failed. stored is the
// user as the upgrade left them, or nil if they could not be loaded. reason is why the
// upgrade failed, or nil if that is not known. restoreHash returns the user as they are
// now, and what to log.
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

// HashPassword returns the hash of a password, for accounts that you create without
// Register. It does not apply the policy. It returns a PasswordError for a text that no
// user could log in with: an empty one, one of more than 1,024 bytes, invalid UTF-8, or
// one with a NUL. It may return ErrBusy.
func (c *Core) HashPassword(ctx context.Context, password string) (Secret, error) {
	switch {
	case password == "" || !isText(password):
		return Secret{}, &PasswordError{Reason: PasswordNotText}
	case len(password) > maxPassword:
		return Secret{}, &PasswordError{Reason: PasswordTooLong}
	}
	return c.hasher.Hash(ctx, password)
}

// WrapHash makes a weak hash from another library as hard to guess as a new one. It
// needs no password, so a program can wrap a whole table on the day you take it over.
// It hashes the digest of the old hash with Argon2id, as it would hash a new password,
// with the same pepper.
//
// The result contains the old scheme, its parameters and its salt, but not its digest.
// Verifying it costs as much as both hashes together. It is replaced when its user logs
// in. Old backups still contain the weak hash.
//
// WrapHash returns these hashes unchanged, so the program can run again:
//
//   - a hash that is wrapped or peppered already;
//   - an Argon2id hash that is at least as strong as new ones, if new ones get no pepper;
//   - the empty hash of an account without a password.
//
// The program must save by compare-and-set, because users log in meanwhile.
//
// The result has up to 400 bytes. A column that is too narrow cuts it (MySQL does,
// without strict mode), and then no password matches. So check the width of the column
// first, and read each row back before you commit.
//
// If the old hash could not be verified anyway, WrapHash returns ErrHashUnusable. The
// other errors are ErrBusy and the context's.
func (c *Core) WrapHash(ctx context.Context, old Secret) (Secret, error) {
	return c.hasher.Wrap(ctx, old)
}

// CheckPassword reports whether the password is the user's. It does not log the user
// in. Use it on a page that asks for the current password again. Failed checks count
// like failed logins. While the account is locked, CheckPassword returns false even for
// the right password. The error is ErrBusy, a RateLimitError, the context's or the
// store's.
func (c *Core) CheckPassword(ctx context.Context, user User, password string) (_ bool, failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return false, ErrUserNotFound
	}
	if err := c.notActing(ctx); err != nil {
		return false, err
	}
	if password == "" || len(password) > maxPassword || !isText(password) {
		return false, nil
	}
	if err := c.needs("CheckPassword", FieldPasswordHash); err != nil {
		return false, err
	}
	result, reason, err := c.tryPassword(ctx, user, "", password)
	if s := c.requestOf(ctx); result.ok && s != nil {
		s.op.Lock()
		s.seldom().proved = user.AuthAccount().ID
		s.op.Unlock()
	}
	if reason != nil {
		c.event(ctx, Event{Kind: EventPasswordCheckFailed, UserID: user.AuthAccount().ID, Method: methodPassword, Err: reason})
	}
	return result.ok, err
}

// PasswordHashes returns how many password hashes have been computed since the Manager
// was made. Use it for metrics, or in a test that shows that two requests did the same
// work. Comparing a password with a stored hash counts as one, even if it takes more
// work than a new hash; it never takes less.
func (c *Core) PasswordHashes() uint64 { return c.hasher.Computed() }

// HashStats returns how password hashing is doing.
func (c *Core) HashStats() HashStats {
	state := c.hasher.Budget.State()
	return HashStats{Running: state.Running, Waiting: state.Waiting, Refused: c.hasher.Refused()}
}

// HashStats says how password hashing is doing. All Managers of a process share Running and
// Waiting.
type HashStats struct {
	Running int    // hashes that are being computed
	Waiting int    // hashes in the queue
	Refused uint64 // hashes that this Manager has refused with ErrBusy since it was made
}

// SetPassword gives the user a new password. The policy applies (PasswordError). The
// user's logins end, except for the login that makes this request: it goes on with a
// new token.
//
// If another change of password came first, SetPassword returns ErrConflict; if the
// account is gone, ErrUserNotFound; if the request is another user's who may not do it,
// ErrForbidden (see SetRoles). It may also return ErrBusy or a failure of the
// store. After a failure of the store the password may have changed. After any other
// error nothing has changed.
func (c *Core) SetPassword(ctx context.Context, user User, password string) (failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return ErrUserNotFound
	}
	x, err := c.planPassword(ctx, user.AuthAccount().Clone(), password)
	err = c.actForSelfOnChange(ctx, x, err)
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

// RemovePassword removes the password of the current user, who then logs in by passkeys or
// identities. The account gets a new Stamp, as with EnrollFactor. The owner gets a
// MailPasswordRemoved.
//
// It returns ErrLastWayIn if the user has no passkey or identity that works, ErrNotFresh,
// ErrConflict if another change of the account came first, what User returns, or a failure.
func (c *Core) RemovePassword(ctx context.Context) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planRemovePassword(ctx)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// planRemovePassword plans what RemovePassword changes.
func (c *Core) planRemovePassword(ctx context.Context) (*credentialChange, error) {
	x := &credentialChange{
		own: ownGoesOn, forgets: true, mail: Mail{Kind: MailPasswordRemoved},
		done: EventPasswordRemoved, failed: EventPasswordRemoveFailed,
	}
	if err := c.needs("RemovePassword", FieldPasswordHash); err != nil {
		return x, err
	}
	user, err := c.mayChangeFactors(ctx)
	if err != nil {
		return x, err
	}
	x.of(user)
	if err := c.mayRemoveWay(ctx, user, way{password: true}); err != nil {
		return x, err
	}
	unchanged := x.apply
	x.apply = func(a *Account) error {
		a.PasswordHash = Secret{}
		return unchanged(a)
	}
	return x, nil
}
