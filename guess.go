package auth

import (
	"context"
	"time"

	"github.com/go-login/auth/internal/passhash"
)

// tryPassword looks whether a password is the user's, under the limits. It
// computes one hash, also for nobody and for who has no more guesses. reason says
// why it is not, for the log only; err is what guess returns.
func (c *Core) tryPassword(ctx context.Context, user User, login, password string) (result passhash.Verification, reason, err error) {
	g, err := c.guess(ctx, user, login)
	if err != nil {
		return passhash.Verification{}, nil, err
	}
	defer g.leave() // also if something panics
	var hash Secret // stays empty where there is nothing to look at: the hasher then does the same work for nothing
	if user != nil && g.err == nil {
		hash = user.AuthAccount().PasswordHash
	}
	result, err = c.hasher.Verify(ctx, hash, password)
	switch {
	case err != nil:
		g.void()
	case result.OK && login != "" && c.passAccount(ctx, user) != nil:
		// Who is let in nowhere is answered as for a wrong one, and so it counts as
		// one: else who has registered somebody's address would see by their own
		// limits whether that has made an account.
		_ = g.wrong(user)
	case result.OK:
		if err = g.right(); err != nil {
			result = passhash.Verification{}
		}
	default:
		reason = g.wrong(user)
	}
	return result, reason, err
}

// A guess is a secret that somebody says is an account's: its password, or that of a
// Feature. It has been counted,
// unless err says why it is not to be looked at. Exactly one of right, wrong and
// void must follow, and leave.
type guess struct {
	core    *Core
	ctx     context.Context
	kind    string       // of the counter
	key     string       // likewise
	userID  string       // whose secret it is
	err     error        // ErrLocked or ErrResetRequired
	final   bool         // the hundredth attempt disables the password or the feature's secret for ever
	count   uint64       // of this attempt
	before  counter      // as the counter was before it
	counted counter      // and after it
	leave   func()       // lets the next one go on
	forget  func() error // takes the attempt off the address's count
}

// guess counts an attempt. The user is nil if there is none with this login,
// which counts alike. The error is ErrBusy, a RateLimitError, the context's or
// the store's.
func (c *Core) guess(ctx context.Context, user User, login string) (*guess, error) {
	g := &guess{core: c, ctx: ctx, kind: kindAttempts, key: c.attemptsKey(ctx, user, login), userID: idOf(user), final: c.canReset(user)}
	err := g.begin()
	return g, err
}

// begin counts the attempt, also for the client's address.
func (g *guess) begin() error {
	forget, err := g.core.count(g.ctx, "guesses", g.core.cfg.Limits.Guesses)
	if err != nil {
		return err
	}
	g.forget = forget
	// One at a time within a process: else more than five who log in to one
	// account at the same moment, with the right password, would be taken for
	// guesses.
	if g.leave, err = g.core.takeTurn(g.ctx, g.key); err == nil {
		err = g.reserve()
	}
	if err != nil {
		_ = forget() // err says more
	}
	return err
}

// canReset reports whether the user can get a new password by mail. Where nobody
// can, a password that is disabled for ever would be the end of the account. Of
// nobody it is said as of most accounts.
func (c *Core) canReset(user User) bool {
	return c.store != nil && c.cfg.Mailer != nil && (user == nil || user.AuthAccount().Email != "")
}

// purposeLogin signs what was typed as a login and is no account's, for the key of
// its counter.
const purposeLogin = "login"

// attemptsKey is what attempts are counted under. A new password begins a new
// count, and so does a better hash of the same one, which it gets once.
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

// reserve counts the attempt. The turn goes on only for one that is to be looked
// at.
func (g *guess) reserve() error {
	counted := false
	defer func() {
		if !counted { // also if the store panics
			g.leave()
		}
	}()
	now, clock := g.core.cfg.Now(), g.core.clock
	_, err := g.core.updateCounter(g.ctx, g.kind, g.key, g.userID, func(n *counter) error {
		g.err, g.before = nil, *n
		passed := n.passed(now, clock)
		switch {
		case n.count >= maxAttempts && g.final && g.userID != "":
			g.err = ErrResetRequired
			return errUnchanged
		case n.count >= maxAttempts && g.final, passed < wait(n.count):
			g.err = ErrLocked
			if n.isLike(&g.before) {
				return errUnchanged
			}
			return nil // this clock has begun to wait
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

// keep sets until when a counter of attempts is kept: one that has disabled an
// account's password, for ever.
func (g *guess) keep(n *counter) {
	n.record.Expires = n.since.Add(attemptsFor)
	if n.count >= maxAttempts && g.final && n.record.UserID != "" {
		n.record.Expires = time.Time{}
	}
}

// right settles that the password is the account's. It proves nothing about
// other browsers, nor about the address.
func (g *guess) right() error {
	ctx, cancel := detach(g.ctx)
	defer cancel()
	if err := take(ctx, g.core.records, g.kind, g.key); err != nil {
		return err
	}
	return g.forget()
}

// void settles that no password was looked at.
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

// wrong settles that the password is not the account's, and returns why, for
// the log. Who is told of it may try a password, too.
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
