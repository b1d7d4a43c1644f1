package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// This file is about guessing. An attempt is counted before its hash is
// computed, in the record store and by compare-and-set, so that of any number
// of guesses at the same time no more are looked at than are allowed; what the
// hash then shows settles the count. Three things are counted:
//
//   - wrong passwords in a row, for each account and for what is no account:
//     attempts
//   - the same for each browser that the account's owner has logged in with
//     before (see browser.go), so that a stranger's failures do not lock the
//     owner out
//   - what a client's address does in an hour: a rate
//
// A count of attempts is no credential and never changes the account: logins
// that exist go on.
const (
	kindAttempts = "attempts"
	kindRate     = "rate"

	freeAttempts = 5                // wrong passwords in a row that are followed by no wait
	firstWait    = 30 * time.Second // after the fifth, doubled by each that follows (NIST SP 800-63B-4, section 3.2.2)
	longestWait  = time.Hour
	maxAttempts  = 100                 // then the password is disabled (the same section), if a mail can bring another
	attemptsFor  = 30 * 24 * time.Hour // without an attempt, until fewer are forgotten
	rateWindow   = time.Hour
	maxMails     = 3 // to one mailbox in rateWindow, of one kind
	maxWaiting   = 64
)

// Limits are how much may come from one address in an hour: an IPv4 address, or
// the first 64 bits of an IPv6 address. What is more is refused with a
// RateLimitError. Zero is the default, a negative number no limit. People behind
// one address share them.
type Limits struct {
	// Guesses are wrong passwords and mailed tokens that are none: 100 by
	// default. Logins that succeed do not count.
	Guesses int

	// Mails are requests to be sent a mail, for a forgotten password say,
	// whether one was sent or not: 60 by default. Whatever it is, one mailbox
	// gets no more than three mails of a kind in an hour, or in the time that
	// their links are good for if that is less.
	Mails int

	// Registrations are accounts asked for: 100 by default.
	Registrations int
}

func (l *Limits) setDefaults() {
	for limit, byDefault := range map[*int]int{&l.Guesses: 100, &l.Mails: 60, &l.Registrations: 100} {
		if *limit == 0 {
			*limit = byDefault
		}
	}
}

// ErrRateLimited says that an address has done something too often (429, with
// Retry-After). It is wrapped by RateLimitError, which says for how long.
var ErrRateLimited = errors.New("auth: too many requests from this address")

// A RateLimitError says that an address has reached one of Config.Limits.
type RateLimitError struct {
	RetryAfter time.Duration // when to come back, in whole minutes
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("%v: wait %v", ErrRateLimited, e.RetryAfter)
}

func (e *RateLimitError) Unwrap() error { return ErrRateLimited }

// rateLimited is the error for who is to wait so long at least.
func rateLimited(wait time.Duration) *RateLimitError {
	return &RateLimitError{RetryAfter: (wait + time.Minute - 1).Truncate(time.Minute)}
}

// A counter is an attempts or a rate record, read.
//
// Servers' clocks differ, and counters must not be reset by that. So a counter knows
// whose clock has set its time (see Core.clock). A clock that is far behind since
// goes by a time of its own, behind: since stays, or the clock that is ahead would
// take it for long past. Of several clocks that are behind, the last one to begin
// has this time.
type counter struct {
	record      Record
	count       uint64
	since       time.Time // the last attempt; of a rate, when its hour began
	clock       uint64
	behind      time.Time
	behindClock uint64
}

// countersVersion is the version of a counter that knows whose clock it goes by.
const countersVersion = 2

func (n *counter) encode() {
	version := byte(countersVersion)
	if n.clock == 0 && n.behindClock == 0 {
		version = formatVersion
	}
	b := binary.AppendUvarint([]byte{version}, n.count)
	b = binary.AppendVarint(b, n.since.UnixMilli())
	if version == countersVersion {
		b = binary.AppendUvarint(b, n.clock)
		b = binary.AppendVarint(b, n.behind.UnixMilli())
		b = binary.AppendUvarint(b, n.behindClock)
	}
	n.record.Data = b
}

func decodeCounter(record Record) (counter, bool) {
	r := reader{rest: string(record.Data), ok: true}
	version := r.byte()
	if version != formatVersion && version != countersVersion {
		return counter{}, false
	}
	n := counter{record: record, count: r.uvarint(), since: time.UnixMilli(r.varint())}
	if version == countersVersion {
		n.clock, n.behind, n.behindClock = r.uvarint(), time.UnixMilli(r.varint()), r.uvarint()
	}
	return n, r.ok && r.rest == ""
}

// isAhead reports whether since was set by a clock that is far ahead of now.
func (n *counter) isAhead(now time.Time) bool { return now.Sub(n.since) < -maxSkew }

// passed returns how long ago the counter's time is at least. A clock that is far
// behind begins to wait now, unless it has begun already.
func (n *counter) passed(now time.Time, clock uint64) time.Duration {
	since, by := n.since, n.clock
	if n.isAhead(now) {
		if n.behindClock != clock || now.Before(n.behind) {
			n.behind, n.behindClock = now, clock
		}
		since, by = n.behind, n.behindClock
	}
	passed := now.Sub(since)
	if by != clock {
		passed -= maxSkew // that clock may be so much behind ours
	}
	return max(passed, 0)
}

// mark sets the counter's time.
func (n *counter) mark(now time.Time, clock uint64) {
	if n.isAhead(now) {
		n.behind, n.behindClock = now, clock
		return
	}
	n.since, n.clock = now, clock
}

// isLike reports whether the counter's times are those of other, as they are stored.
func (n *counter) isLike(other *counter) bool {
	return n.since.UnixMilli() == other.since.UnixMilli() && n.clock == other.clock &&
		n.behind.UnixMilli() == other.behind.UnixMilli() && n.behindClock == other.behindClock
}

// wait is how long after the last of so many wrong passwords no other is looked
// at.
func wait(count uint64) time.Duration {
	if count < freeAttempts {
		return 0
	}
	return min(firstWait<<min(count-freeAttempts, 20), longestWait)
}

// counterKey is the key of a counter's record. What is counted may be what
// somebody typed, so it is hashed.
func counterKey(kind, what string) string {
	sum := sha256.Sum256(appendText(appendText(nil, kind), what))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// updateCounter changes a counter by compare-and-set. change begins with a
// count of zero if there is none, and may refuse; what it makes zero expires at
// once (TakeRecord would take along what others have counted since it was read).
// What is counted is counted also if the client has gone.
func (c *Core) updateCounter(ctx context.Context, kind, key, userID string, change func(*counter) error) (counter, error) {
	ctx, cancel := detach(c.inner(ctx))
	defer cancel()
	var before Record // what the last try read
	unchanged := 0    // how many tries in a row read the same
	for try := range maxConflicts {
		record, err := c.records.GetRecord(ctx, kind, key)
		if unlessNotFound(err) != nil {
			return counter{}, err
		}
		missing := err != nil
		if try > 0 && record.Key == before.Key && record.Version == before.Version {
			unchanged++
		} else {
			unchanged = 0
		}
		before = record
		n, ok := decodeCounter(record)
		switch {
		case missing:
			n = counter{record: Record{Kind: kind, Key: key, UserID: userID, Version: randomVersion()}}
		case !ok:
			n = counter{record: record} // damaged: it begins again
		}
		if err := change(&n); err != nil {
			return n, err
		}
		if n.count == 0 {
			n.record.Expires = c.cfg.Now()
		}
		switch n.encode(); {
		case missing && n.count == 0:
			return n, nil
		case missing:
			err = c.records.InsertRecord(ctx, n.record)
		default:
			err = c.records.UpdateRecord(ctx, n.record)
		}
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrRecordExists) && !errors.Is(err, ErrRecordNotFound) {
			return n, err
		}
	}
	if unchanged == maxConflicts-1 {
		return counter{}, fmt.Errorf("auth: the record store contradicts itself: GetRecord returned the same for a record of the kind %q "+
			"%d times, and each time InsertRecord or UpdateRecord said that somebody had changed it: check the store with "+
			"storetest.TestRecordStore", kind, maxConflicts)
	}
	return counter{}, ErrBusy // with so many others: ErrConflict would be the client's fault
}

// A guess is a password that somebody says is an account's. It has been counted,
// unless err says why it is not to be looked at. Exactly one of right, wrong and
// void must follow, and leave.
type guess struct {
	core    *Core
	ctx     context.Context
	key     string
	userID  string
	err     error        // ErrLocked or ErrResetRequired
	final   bool         // the hundredth attempt disables the password: a reset is possible
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
	forget, err := c.count(ctx, "guesses", c.cfg.Limits.Guesses)
	if err != nil {
		return nil, err
	}
	g := &guess{core: c, ctx: ctx, userID: idOf(user), forget: forget, final: c.canReset(user)}
	g.key = c.attemptsKey(ctx, user, login)
	// One at a time within a process: else more than five who log in to one
	// account at the same moment, with the right password, would be taken for
	// guesses.
	if g.leave, err = c.turns.take(ctx, g.key); err == nil {
		err = g.reserve()
	}
	if err != nil {
		_ = forget() // err says more
		return nil, err
	}
	return g, nil
}

// canReset reports whether the user can get a new password by mail. Where nobody
// can, a password that is disabled for ever would be the end of the account. Of
// nobody it is said as of most accounts.
func (c *Core) canReset(user User) bool {
	return c.store != nil && c.cfg.Mailer != nil && (user == nil || user.AuthAccount().Email != "")
}

// attemptsKey is what attempts are counted under. A new password begins a new
// count, and so does a better hash of the same one, which it gets once.
func (c *Core) attemptsKey(ctx context.Context, user User, login string) string {
	if user == nil {
		return counterKey("login", string(c.secrets.sign(purposeLogin, []byte(login))))
	}
	a := user.AuthAccount()
	if browser := c.knownBrowser(ctx, user); browser != "" {
		return counterKey("browser", a.PasswordHash.Reveal()+browser)
	}
	return counterKey("account", a.PasswordHash.Reveal()+a.ID)
}

// errRefused ends updateCounter without a change.
var errRefused = errors.New("auth: refused")

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
	_, err := g.core.updateCounter(g.ctx, kindAttempts, g.key, g.userID, func(n *counter) error {
		g.err, g.before = nil, *n
		passed := n.passed(now, clock)
		switch {
		case n.count >= maxAttempts && g.final && g.userID != "":
			g.err = ErrResetRequired
			return errRefused
		case n.count >= maxAttempts && g.final, passed < wait(n.count):
			g.err = ErrLocked
			if n.isLike(&g.before) {
				return errRefused
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
	ctx, cancel := detach(g.core.inner(g.ctx))
	defer cancel()
	if err := take(ctx, g.core.records, kindAttempts, g.key); err != nil {
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
		g.core.event(g.ctx, Event{Kind: EventStoreFailed, UserID: g.userID, Err: err})
	}
}

// uncount takes the attempt off the count.
func (g *guess) uncount() error {
	_, err := g.core.updateCounter(g.ctx, kindAttempts, g.key, g.userID, func(n *counter) error {
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

// tryPassword looks whether a password is the user's, under the limits. It
// computes one hash, also for nobody and for who has no more guesses. reason says
// why it is not, for the log only; err is what guess returns.
func (c *Core) tryPassword(ctx context.Context, user User, login, password string) (result verification, reason, err error) {
	g, err := c.guess(ctx, user, login)
	if err != nil {
		return verification{}, nil, err
	}
	defer g.leave() // also if something panics
	var hash Secret // stays empty where there is nothing to look at: the hasher then does the same work for nothing
	if user != nil && g.err == nil {
		hash = user.AuthAccount().PasswordHash
	}
	result, err = c.hasher.verify(ctx, hash, password)
	switch {
	case err != nil:
		g.void()
	case result.ok && login != "" && c.pass(user.AuthAccount()) != nil:
		// Who is let in nowhere is answered as for a wrong one, and so it counts as
		// one: else who has registered somebody's address would see by their own
		// limits whether that has made an account.
		_ = g.wrong(user)
	case result.ok:
		if err = g.right(); err != nil {
			result = verification{}
		}
	default:
		reason = g.wrong(user)
	}
	return result, reason, err
}

// forgetGuesses deletes the counts of guesses at a password that has been
// replaced. They count no more; a failure leaves records that nobody needs.
func (c *Core) forgetGuesses(ctx context.Context, userID string) {
	if err := c.records.DeleteRecords(c.inner(ctx), kindAttempts, userID); err != nil {
		c.event(ctx, Event{Kind: EventStoreFailed, UserID: userID, Err: err})
	}
}

// count adds one to what the client's address has done within the hour, or
// returns a RateLimitError. forget takes it off again. Outside a request there is
// no client.
func (c *Core) count(ctx context.Context, what string, limit int) (forget func() error, err error) {
	client := c.clientOf(ctx)
	if client == nil || limit < 0 {
		return func() error { return nil }, nil
	}
	key := counterKey(what, limitPrefix(client.address()))
	began, left, err := c.addTo(ctx, key, limit, rateWindow)
	switch {
	case err != nil:
		return nil, err
	case left > 0:
		err := rateLimited(left)
		c.event(ctx, Event{Kind: EventRateLimited, Err: err})
		return nil, err
	}
	return func() error {
		_, err := c.updateCounter(ctx, kindRate, key, "", func(n *counter) error {
			if n.count > 0 && n.since.Equal(began) {
				n.count--
			}
			return nil
		})
		return err
	}, nil
}

// addTo adds one to a rate, and returns when its window began. If that has come
// to its limit, left is what is left of the window.
func (c *Core) addTo(ctx context.Context, key string, limit int, window time.Duration) (began time.Time, left time.Duration, err error) {
	leave, err := c.turns.take(ctx, key)
	if err != nil {
		return time.Time{}, 0, err
	}
	defer leave()
	now := c.cfg.Now().Truncate(time.Millisecond)
	n, err := c.updateCounter(ctx, kindRate, key, "", func(n *counter) error {
		left = 0
		if n.clock == c.clock && n.isAhead(now) { // our own clock was set back
			n.since = time.Time{}
		}
		before := *n
		passed := n.passed(now, c.clock)
		if passed >= window {
			n.count = 0
			n.mark(now, c.clock)
			if end := n.since.Add(window); end.After(n.record.Expires) || n.since.Equal(now) {
				n.record.Expires = end
			}
		}
		if n.count >= uint64(limit) {
			if left = window - passed; n.isLike(&before) {
				return errRefused
			}
			return nil // this clock has begun to wait
		}
		n.count++
		return nil
	})
	if left > 0 {
		return n.since, left, nil
	}
	return n.since, 0, err
}

// allowMails counts a request to be sent a mail.
func (c *Core) allowMails(ctx context.Context) error {
	_, err := c.count(ctx, "mails", c.cfg.Limits.Mails)
	return err
}

// allowRegistration counts a registration.
func (c *Core) allowRegistration(ctx context.Context) error {
	_, err := c.count(ctx, "registrations", c.cfg.Limits.Registrations)
	return err
}

// allowBreachCheck counts a question to Config.Breaches: who asks it without end
// would have it answer nobody any more.
func (c *Core) allowBreachCheck(ctx context.Context) error {
	_, err := c.count(ctx, "breaches", c.cfg.Limits.Registrations)
	return err
}

// wrongToken counts a mailed token that is none.
func (c *Core) wrongToken(ctx context.Context) error {
	_, err := c.count(ctx, "guesses", c.cfg.Limits.Guesses)
	return err
}

// mailboxFull counts a mail that somebody asks for, and reports whether the
// mailbox (see mailboxOf) has had enough of them. As long as it has, one that it
// has had is still good.
func (c *Core) mailboxFull(ctx context.Context, kind MailKind, mailbox string) (bool, error) {
	window := rateWindow
	if kind == MailReset {
		window = min(window, c.cfg.ResetLifetime)
	}
	_, left, err := c.addTo(ctx, counterKey("mailbox "+string(kind), mailbox), maxMails, window)
	return left > 0, err
}

// turns lets those go on one at a time who name the same key, in this process.
type turns struct {
	maxWait time.Duration // the constant maxWait if it is 0

	mu    sync.Mutex
	taken map[string]*turn
}

type turn struct {
	held  chan struct{} // has one in it while it is held
	users int           // who hold it or wait
}

// take waits for a turn. It returns ErrBusy if too many wait already or the wait
// is too long, or the context's error. leave may be called more than once.
func (t *turns) take(ctx context.Context, key string) (leave func(), err error) {
	t.mu.Lock()
	w := t.taken[key]
	switch {
	case w == nil:
		if t.taken == nil {
			t.taken = map[string]*turn{}
		}
		w = &turn{held: make(chan struct{}, 1)}
		t.taken[key] = w
	case w.users > maxWaiting:
		t.mu.Unlock()
		return nil, ErrBusy
	}
	w.users++
	t.mu.Unlock()
	done := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if w.users--; w.users == 0 {
			delete(t.taken, key)
		}
	}
	patience := time.NewTimer(cmp.Or(t.maxWait, maxWait))
	defer patience.Stop()
	select {
	case w.held <- struct{}{}:
		return sync.OnceFunc(func() {
			<-w.held
			done()
		}), nil
	case <-patience.C:
		done()
		return nil, ErrBusy
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
}
