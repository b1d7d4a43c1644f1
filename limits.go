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
	freeAttempts = 5                // wrong passwords in a row that are followed by no wait
	firstWait    = 30 * time.Second // after the fifth, doubled by each that follows (NIST SP 800-63B-4, section 3.2.2)
	longestWait  = time.Hour
	maxAttempts  = 100                 // then the password is disabled (the same section), if a mail can bring another
	attemptsFor  = 30 * 24 * time.Hour // without an attempt, until fewer are forgotten
	rateWindow   = time.Hour
	maxMails     = 3 // to one mailbox in rateWindow, of one kind
)

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
	sum := sha256.Sum256(wire.AppendText(wire.AppendText(nil, kind), what))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// updateCounter changes a counter by compare-and-set. do begins with a
// count of zero if there is none, and may refuse; what it makes zero expires at
// once (TakeRecord would take along what others have counted since it was read).
// What is counted is counted also if the client has gone.
func (c *Core) updateCounter(ctx context.Context, kind, key, userID string, do func(*counter) error) (n counter, err error) {
	ctx, cancel := detach(ctx)
	defer cancel()
	err = changeRecord(ctx, c.records, kind, key, func(r *Record, found bool) error {
		if !found {
			r.UserID = userID
		}
		var ok bool
		if n, ok = decodeCounter(*r); !ok {
			n = counter{record: *r} // there is none, or it is damaged: it begins again
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
		return counter{}, ErrBusy // with so many others: ErrConflict would be the client's fault
	}
	return n, err
}

// count adds one to what the client's address has done within the hour, or
// returns a RateLimitError. forget takes it off again. Outside a request there is
// no client.
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

// addTo adds one to a rate, and returns when its window began. If that has come
// to its limit, left is what is left of the window.
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

// allowBreachCheck counts a question to Config.Password.Breaches: who asks it without end
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
		window = min(window, c.cfg.Password.ResetLifetime)
	}
	_, left, err := c.addTo(ctx, counterKey("mailbox "+string(kind), mailbox), maxMails, window)
	return left > 0, err
}

// rateLimited is the error for who is to wait so long at least.
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
