package auth

import (
	"context"
	"fmt"
	"time"
)

// tryPassword checks a user's password, if the limits allow it. It computes one hash,
// even if there is no user or the account is locked, and a second one if the password is
// right and opens the account, but its hash is outdated. If the password is refused,
// reason says why, for the log only. err is the error of guess.
func (c *Core) tryPassword(ctx context.Context, user User, login, password string) (result verification, reason, err error) {
	g, err := c.guess(ctx, user, login)
	if err != nil {
		return verification{}, nil, err
	}
	defer g.leave() // also after a panic
	var hash Secret // if it is empty, the hasher does the same work and refuses the password
	void := false   // ForceReset has voided the hash
	if user != nil && g.err == nil {
		hash, void = unvoided(user.AuthAccount().PasswordHash)
	}
	opens := login != "" && user != nil && c.passAccount(ctx, user) == nil
	renew := opens && !void && c.upgrades.due(user.AuthAccount().ID, c.cfg.Now())
	result, err = c.hasher.Verify(ctx, hash, password, renew)
	switch {
	case err != nil:
		g.void()
	case result.ok && login != "" && !opens:
		// The user may not log in, so the attempt counts as wrong. Otherwise an attacker
		// could register a victim's address (see Config.HideAccounts) and log in with
		// the password that they chose. Whether these logins count as wrong would tell
		// them whether an account was made.
		_ = g.wrong(user)
		if void { // the answer says no more than for a wrong password
			result, reason = verification{}, ErrInvalidCredentials
		}
	case result.ok && void:
		result, reason, err = verification{}, errResetForced, g.right()
	case result.ok:
		if err = g.right(); err != nil {
			result = verification{}
		}
	default:
		reason = g.wrong(user)
	}
	return result, reason, err
}

// errResetForced is the ErrResetRequired of a right password that ForceReset has voided.
var errResetForced = fmt.Errorf("%w: an administrator has voided it", ErrResetRequired)

// A guess is one attempt at a secret of an account: its password, or the secret of a
// Feature. It has been counted, unless err says that it must not be checked. Call exactly
// one of right, wrong and void, and then leave.
type guess struct {
	core    *Core
	ctx     context.Context
	kind    string        // of the counter's record
	key     string        // of the counter's record
	userID  string        // of the account, or empty
	err     error         // ErrLocked or ErrResetRequired
	wait    time.Duration // with ErrLocked: how long attempts are refused, or 0 if nobody knows
	final   bool          // the hundredth wrong attempt disables the secret until it is reset
	count   uint64        // attempts in a row, with this one
	before  counter       // the counter before this attempt
	counted counter       // the counter after this attempt
	leave   func()        // lets the next attempt go on
	forget  func() error  // takes the attempt off the IP address's count
}

// guess counts an attempt. If there is no user with this login, user is nil, and the
// attempt counts in the same way. The error is ErrBusy, a RateLimitError, the context's
// or the store's.
func (c *Core) guess(ctx context.Context, user User, login string) (*guess, error) {
	g := &guess{core: c, ctx: ctx, kind: kindAttempts, key: c.attemptsKey(ctx, user, login), userID: idOf(user), final: c.canReset(user)}
	err := g.begin()
	return g, err
}

// begin counts the attempt for the client's IP address and for the secret.
func (g *guess) begin() error {
	forget, err := g.core.count(g.ctx, "guesses", g.core.cfg.Limits.Guesses)
	if err != nil {
		return err
	}
	g.forget = forget
	// One attempt at a time within a process. Otherwise, if a user sends more than five
	// logins with the right password at the same moment, the sixth would meet a lock.
	if g.leave, err = g.core.takeTurn(g.ctx, g.key); err == nil {
		err = g.reserve()
	}
	if err != nil {
		_ = forget() // err matters more
	}
	return err
}

// canReset reports whether the user can get a new password by mail. If not, disabling
// the password for ever would close the account. A login without an account is treated
// like most accounts.
func (c *Core) canReset(user User) bool {
	return c.store != nil && c.cfg.Mailer != nil && (user == nil || user.AuthAccount().Email != "")
}

// attemptsKey returns the key under which attempts are counted. The hash is part of it,
// so a new password begins a new count. So does an upgrade of the hash, which happens
// once.
func (c *Core) attemptsKey(ctx context.Context, user User, login string) string {
	if user == nil {
		return counterKey("login", string(c.secrets.Sign(purposeLogin, []byte(login))))
	}
	a := user.AuthAccount()
	if browser := c.knownBrowser(ctx, user); browser != "" {
		return counterKey("browser", a.PasswordHash.Reveal()+browser)
	}
	return counterKey("account", a.PasswordHash.Reveal()+a.ID)
}

// reserve counts the attempt. If the attempt is refused, the turn is released at once.
func (g *guess) reserve() error {
	counted := false
	defer func() {
		if !counted { // also after a panic of the store
			g.leave()
		}
	}()
	now, clock := g.core.cfg.Now(), g.core.clock
	_, err := g.core.updateCounter(g.ctx, g.kind, g.key, g.userID, func(n *counter) error {
		g.err, g.wait, g.before = nil, 0, *n
		passed := n.passed(now, clock)
		switch {
		case n.count >= maxAttempts && g.final && g.userID != "":
			g.err = ErrResetRequired
			return errUnchanged
		case n.count >= maxAttempts && g.final, passed < waitAfter(n.count):
			g.err = ErrLocked
			if n.count < maxAttempts || !g.final {
				g.wait = waitAfter(n.count) - passed
			}
			if n.isLike(&g.before) {
				return errUnchanged
			}
			return nil // store that the wait of this clock has begun
		}
		n.mark(now, clock)
		n.count++
		g.count, g.counted = n.count, *n
		g.keep(n)
		return nil
	})
	if g.err != nil {
		return nil
	}
	counted = err == nil
	return err
}

// keep sets how long a counter of attempts is kept. A counter that has disabled an
// account's password is kept for ever.
func (g *guess) keep(n *counter) {
	n.record.Expires = n.since.Add(attemptsFor)
	if n.count >= maxAttempts && g.final && n.record.UserID != "" {
		n.record.Expires = time.Time{}
	}
}

// right settles that the password is right. It resets this counter only. Counters of
// other browsers stay, and only this attempt is taken off the IP address's count.
func (g *guess) right() error {
	ctx, cancel := detach(g.ctx)
	defer cancel()
	if err := take(ctx, g.core.records, g.kind, g.key); err != nil {
		return err
	}
	return g.forget()
}

// void settles that the password was not checked.
func (g *guess) void() {
	err := g.forget()
	if err == nil && g.err == nil {
		err = g.uncount()
	}
	g.leave()
	if err != nil {
		g.core.event(g.ctx, Event{Kind: EventCleanupFailed, UserID: g.userID, Err: err})
	}
}

// uncount takes the attempt off the count.
func (g *guess) uncount() error {
	_, err := g.core.updateCounter(g.ctx, g.kind, g.key, g.userID, func(n *counter) error {
		if n.count == 0 {
			return nil
		}
		n.count--
		if n.isLike(&g.counted) {
			was := &g.before
			n.since, n.clock, n.behind, n.behindClock = was.since, was.clock, was.behind, was.behindClock
		}
		g.keep(n)
		return nil
	})
	return err
}

// wrongSecret settles that a secret other than the password is wrong. method names it for
// the event that says that it is locked or disabled. It reports whether it is disabled.
func (g *guess) wrongSecret(method string) (disabled bool) {
	g.leave()
	e := Event{Kind: EventSecretLocked, UserID: g.userID, Method: method, Err: ErrLocked}
	if g.count >= maxAttempts {
		e.Kind = EventSecretDisabled
	}
	if g.count >= freeAttempts && g.userID != "" {
		g.core.event(g.ctx, e)
	}
	return g.count >= maxAttempts
}

// wrong settles that the password is wrong, and returns why, for the log. It releases
// the turn first, because OnEvent or the Mailer may try a password, too.
func (g *guess) wrong(user User) error {
	g.leave()
	switch c := g.core; {
	case g.err != nil:
		return g.err
	case g.count < freeAttempts || user == nil:
	case g.count < maxAttempts || !g.final:
		c.event(g.ctx, Event{Kind: EventPasswordLocked, UserID: g.userID, Err: ErrLocked})
	default:
		c.event(g.ctx, Event{Kind: EventPasswordDisabled, UserID: g.userID, Err: ErrResetRequired})
		c.notify(g.ctx, MailPasswordDisabled, user, user.AuthAccount().Email)
	}
	return ErrInvalidCredentials
}
