package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/go-login/auth/internal/clientip"
	"github.com/go-login/auth/internal/turns"
	"github.com/go-login/auth/internal/wire"
)

// This file limits guesses and mails. An attacker may send many guesses at the same
// moment, so an attempt is counted before its hash is computed, by compare-and-set in
// the record store. When the hash shows whether the password was right, the count is
// corrected. Three things are counted:
//
//   - attempts: wrong passwords in a row, for each account, and for each typed name that
//     belongs to no account
//   - the same for each browser that the account's owner has logged in with before (see
//     knownbrowser.go), so that an attacker's failures do not lock the owner out
//   - a rate: what a client's IP address does in an hour
//
// A count of attempts never changes the account: logins that exist go on.
const (
	freeAttempts = 5                // the fifth wrong password in a row is the first that locks the account
	firstWait    = 30 * time.Second // the first lock; each further wrong password doubles it (NIST SP 800-63B-4, section 3.2.2)
	longestWait  = time.Hour
	maxAttempts  = 100                 // then the password is disabled (the same section), if it can be reset by mail
	attemptsFor  = 30 * 24 * time.Hour // after the last attempt, a count below maxAttempts is forgotten
	rateWindow   = time.Hour
	maxMails     = 3                // of one kind to one mailbox in rateWindow
	codeLifetime = 10 * time.Minute // of the code and the link of a MailLoginCode (NIST SP 800-63B-4, section 3.1.3.2)
)

// A counter is the decoded record of attempts or of a rate.
//
// Servers' clocks differ, and that must not reset a counter. So a counter notes which
// process's clock set its time (see Core.clock). If a process's clock is far behind the
// field since, the process uses the field behind instead, and does not change since.
// Otherwise a process whose clock is ahead would take since for long past. If several
// clocks are behind, the time is that of the last process that began to use it.
type counter struct {
	record      Record
	count       uint64
	since       time.Time // when the last attempt was made, or when a rate's hour began
	clock       uint64
	behind      time.Time
	behindClock uint64
}

// countersVersion is the format version of a counter that notes its clocks.
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
	r := wire.NewReader(string(record.Data))
	version := r.Byte()
	if version != formatVersion && version != countersVersion {
		return counter{}, false
	}
	n := counter{record: record, count: r.Uvarint(), since: time.UnixMilli(r.Varint())}
	if version == countersVersion {
		n.clock, n.behind, n.behindClock = r.Uvarint(), time.UnixMilli(r.Varint()), r.Uvarint()
	}
	return n, r.OK() && r.Rest() == ""
}

// isAhead reports whether since was set by a clock that is far ahead of now.
func (n *counter) isAhead(now time.Time) bool { return now.Sub(n.since) < -maxSkew }

// passed returns the least time that has passed since the counter's time. If this
// process's clock is far behind, its wait begins now, unless it has begun already.
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
		passed -= maxSkew // the other process's clock may be this far behind ours
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

// isLike reports whether the counter's times equal those of other to the millisecond,
// as they are stored.
func (n *counter) isLike(other *counter) bool {
	return n.since.UnixMilli() == other.since.UnixMilli() && n.clock == other.clock &&
		n.behind.UnixMilli() == other.behind.UnixMilli() && n.behindClock == other.behindClock
}

// waitAfter returns how long an account is locked after so many wrong passwords.
func waitAfter(count uint64) time.Duration {
	if count < freeAttempts {
		return 0
	}
	return min(firstWait<<min(count-freeAttempts, 20), longestWait)
}

// counterKey returns the key of a counter's record. It is a hash, because what is
// counted may be a text that a client typed.
func counterKey(kind, what string) string {
	sum := sha256.Sum256(wire.AppendText(wire.AppendText(nil, kind), what))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// updateCounter changes a counter by compare-and-set. If there is no counter, do gets
// one with a count of zero. do may refuse. If it sets the count to zero, the record
// expires at once. (TakeRecord would also delete what others have counted since it was
// read.) If the client hangs up, the count is stored all the same.
func (c *Core) updateCounter(ctx context.Context, kind, key, userID string, do func(*counter) error) (n counter, err error) {
	ctx, cancel := detach(ctx)
	defer cancel()
	err = changeRecord(ctx, c.records, kind, key, func(r *Record, found bool) error {
		if !found {
			r.UserID = userID
		}
		var ok bool
		if n, ok = decodeCounter(*r); !ok {
			n = counter{record: *r} // there is none, or it is damaged: start from zero
		}
		if err := do(&n); err != nil {
			return err
		}
		if n.count == 0 {
			n.record.Expires = c.cfg.Now()
		}
		n.encode()
		*r = n.record
		if !found && n.count == 0 {
			return errUnchanged
		}
		return nil
	})
	if errors.Is(err, ErrConflict) {
		return counter{}, ErrBusy // not ErrConflict: its status 409 would blame the client
	}
	return n, err
}

// count adds one to what the client's IP address has done within the hour, or returns a
// RateLimitError. forget takes this one off again. Outside a request there is no
// client, and nothing is counted.
func (c *Core) count(ctx context.Context, what string, limit int) (forget func() error, err error) {
	client := c.clientOf(ctx)
	if client == nil || limit < 0 {
		return func() error { return nil }, nil
	}
	key := counterKey(what, clientip.LimitPrefix(client.address()))
	began, left, err := c.addTo(ctx, key, limit, rateWindow)
	switch {
	case err != nil:
		return nil, err
	case left > 0:
		err := rateLimited(left)
		c.event(ctx, Event{Kind: EventAddressLimited, Err: err})
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

// addTo adds one to a rate, and returns when its window began. If the rate has reached
// its limit, left is the rest of the window.
func (c *Core) addTo(ctx context.Context, key string, limit int, window time.Duration) (began time.Time, left time.Duration, err error) {
	leave, err := c.takeTurn(ctx, key)
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
				return errUnchanged
			}
			return nil // store that the wait of this clock has begun
		}
		n.count++
		return nil
	})
	if left > 0 {
		return n.since, left, nil
	}
	return n.since, 0, err
}

// allowMails counts a request for a mail.
func (c *Core) allowMails(ctx context.Context) error {
	_, err := c.count(ctx, "mails", c.cfg.Limits.Mails)
	return err
}

// allowRegistration counts a registration.
func (c *Core) allowRegistration(ctx context.Context) error {
	_, err := c.count(ctx, "registrations", c.cfg.Limits.Registrations)
	return err
}

// allowBreachCheck counts a query to Config.Password.Breaches. Otherwise an attacker
// could send so many queries that the service stops answering.
func (c *Core) allowBreachCheck(ctx context.Context) error {
	_, err := c.count(ctx, "breaches", c.cfg.Limits.Registrations)
	return err
}

// wrongToken counts an invalid mailed token.
func (c *Core) wrongToken(ctx context.Context) error {
	_, err := c.count(ctx, "guesses", c.cfg.Limits.Guesses)
	return err
}

// mailboxFull counts a mail that a client asks for, and reports whether the mailbox
// (see mailboxOf) has had enough of them. The window is at most as long as a link is
// valid, so a full mailbox has a link that still works.
func (c *Core) mailboxFull(ctx context.Context, kind MailKind, mailbox string) (bool, error) {
	window := rateWindow
	switch kind {
	case MailReset:
		window = min(window, c.cfg.Password.ResetLifetime)
	case MailLoginCode:
		window = codeLifetime
	}
	_, left, err := c.addTo(ctx, counterKey("mailbox "+string(kind), mailbox), maxMails, window)
	return left > 0, err
}

// rateLimited returns a RateLimitError for this wait, rounded up to whole minutes.
func rateLimited(wait time.Duration) *RateLimitError {
	return &RateLimitError{RetryAfter: (wait + time.Minute - 1).Truncate(time.Minute)}
}

// takeTurn waits until no other request of this process works under the same key; see
// turns.ByKey.Take. The caller must call leave, and may call it more than once. The
// error is ErrBusy or that of ctx.
func (c *Core) takeTurn(ctx context.Context, key string) (leave func(), err error) {
	leave, err = c.turns.Take(ctx, key)
	if errors.Is(err, turns.ErrBusy) {
		err = ErrBusy
	}
	return leave, err
}
