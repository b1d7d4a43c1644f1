package auth

import (
	"context"
	"errors"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// This file is about remembered logins: a cookie that outlives the browser's
// session makes a new login when the old one is gone. It names a device by a
// random selector, and has a counter: each use is answered with a new cookie,
// whose counter is one higher. The cookie is
//
//	selector  16 bytes, random
//	counter   4 bytes
//	verifier  32 bytes: HMAC of the two under a key derived from Config.Secrets
//
// and the record, under the selector's hash, has the counter of the newest one.
// So nothing in the store makes a cookie, and the same successor can be made again
// for a second tab, or for a browser that never got the first answer.
//
// An answer can be lost. So a cookie stays good, for maxSpare uses, until a
// request shows that the browser has its successor: it sends that, or the session
// that came with it. A cookie that comes after that is a copy. Whether the owner
// or a thief sent it cannot be told, so the device and its logins end, and the
// owner gets a mail.
//
// A device that is ended leaves a tombstone: its record, under another kind. A
// thief who logs out cannot hide that the owner's cookie was used before.

// resume logs in by the remember cookie, if there is one that is good. Else
// the request stays anonymous. An error is the store's.
func (s *state) resume() error {
	selector, counter, ok := s.remembered()
	if !ok {
		return nil
	}
	c := s.core
	key := keyring.TokenKey(string(selector))
	var user User
	for range maxConflicts {
		record, err := c.records.GetRecord(&s.ctx, kindRemember, key)
		if errors.Is(err, ErrRecordNotFound) {
			return s.resumeEnded(key, counter)
		} else if err != nil {
			return err
		}
		d, ok := decodeDevice(record)
		now := c.cfg.Now()
		switch {
		case !ok || counter > d.counter:
			s.note(Event{Kind: EventSessionDamaged, UserID: record.UserID, Method: methodRemember, Err: wire.ErrDamaged})
			return nil
		case s.reused(d, counter, now):
			if err := s.endStolen(d); !errors.Is(err, ErrConflict) {
				return err
			}
			continue
		}
		if user == nil {
			user, err = c.users.load(&s.ctx, record.UserID)
		}
		if err != nil && !errors.Is(err, ErrUserNotFound) {
			return err
		}
		if reason := invalid(d.stamp, user); reason != nil {
			s.note(Event{Kind: EventLoginRefused, UserID: record.UserID, Method: methodRemember, Err: reason})
			if user == nil {
				return take(&s.ctx, c.records, kindRemember, key)
			}
			return c.endDevice(&s.ctx, record)
		}
		if same, _ := s.bound(&d.address, &d.agent); !same {
			s.note(Event{Kind: EventLoginProtected, UserID: record.UserID, Method: methodRemember, Err: errProtected})
			if c.cfg.Session.Protection == ProtectStrong {
				_, err := c.endLogin(&s.ctx, d.header())
				return err
			}
			d.suspect = true
		}
		d.current = counter == d.counter
		switch {
		case d.current:
			d.counter++
			d.rotated, d.seen, d.spare = now, time.Time{}, 0
		case d.spare == maxSpare:
			s.note(Event{Kind: EventLoginRefused, UserID: record.UserID, Method: methodRemember, Err: ErrLocked})
			return nil
		default:
			d.spare++
		}
		d.encode()
		if d.seen.IsZero() { // else the browser has it, and perhaps a newer one
			d.cookie = c.rememberCookie(selector, d.counter)
		}
		if err := s.enterRemembered(user, d); !errors.Is(err, ErrConflict) {
			return err
		}
		// Another tab was first.
	}
	return ErrConflict
}

// reused reports whether a cookie with this counter was sent by a browser, or a
// thief, after its successor had been received. A request that arrived before that,
// and asks only now who it is (an upload, say), has not.
//
// Two servers' clocks may differ by maxSkew. That matters only to requests that
// take long: the others cannot have waited while a successor went to the browser
// and came back.
func (s *state) reused(d device, counter uint64, now time.Time) bool {
	switch {
	case counter >= d.counter, counter+1 == d.counter && d.seen.IsZero():
		return false
	case counter+1 < d.counter:
		return true
	case now.Sub(s.arrived) >= slowRequest:
		return s.arrived.After(d.seen.Add(maxSkew))
	}
	return !s.arrived.Before(d.seen)
}

// resumeEnded looks at a cookie whose device is gone. The newest cookie is just
// refused: requests may have been on their way when the owner logged out.
func (s *state) resumeEnded(key string, counter uint64) error {
	record, err := s.core.records.GetRecord(&s.ctx, kindRememberEnded, key)
	if err != nil {
		return unlessNotFound(err)
	}
	d, ok := decodeDevice(record)
	if !ok || d.spare == alarmRaised || !s.reused(d, counter, s.core.cfg.Now()) {
		return nil
	}
	return s.endStolen(d)
}

// enterRemembered logs in by a device, unless a gate refuses.
func (s *state) enterRemembered(user User, d device) error {
	shown := methods("").add(methodRemember, s.core.cfg.Now())
	for _, f := range s.core.cfg.Factors { // what was shown when the browser was remembered
		if at, ok := d.methods.at(f.Name()); ok {
			shown = shown.add(f.Name(), at)
		}
	}
	err := s.enter(&attempt{user: user, methods: shown, device: &d})
	switch {
	case errors.Is(err, ErrLoginRefused), errors.Is(err, ErrNotLoggedIn), errors.Is(err, ErrFactorRequired):
		return nil
	case err != nil:
		return err
	}
	s.op.Lock()
	defer s.op.Unlock()
	s.suspect = d.suspect
	if d.cookie != "" {
		s.setCookie(s.core.cookies.remember, d.cookie, d.record.Expires)
	}
	if d.current {
		// The browser has lost the logins that it was given with older cookies.
		// (Those of other tabs, which came at the same moment, have the same counter.)
		ctx, cancel := detach(&s.ctx)
		defer cancel()
		err := s.core.continueAs(ctx, d.record.UserID, func(h header) bool {
			return h.device == d.record.Key && h.counter < d.counter
		})
		if err != nil {
			s.note(Event{Kind: EventCleanupFailed, UserID: d.record.UserID, Err: err})
		}
	}
	return nil
}

// endStolen ends a device of which a cookie was used again, or what followed it if
// it has ended already, with its logins. After ErrConflict the caller looks again.
func (s *state) endStolen(d device) error {
	c := s.core
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	// First the device is made void, by compare-and-set, so that no login is
	// made from it any more; then all ends. A failure in between leaves the device,
	// or its tombstone, to be found again.
	if d.record.Kind == kindRemember && d.counter != stolenCounter {
		d.counter = stolenCounter
		d.encode()
		switch err := c.records.UpdateRecord(ctx, d.record); {
		case errors.Is(err, ErrRecordNotFound):
			return ErrConflict // it has ended: the caller looks for its tombstone
		case err != nil:
			return err
		}
	}
	if _, err := c.endLogin(ctx, d.header()); err != nil {
		return err
	}
	return s.alarm(ctx, d.record.Key)
}

// alarm raises the alarm for a device that has ended, unless another request has.
func (s *state) alarm(ctx context.Context, key string) error {
	userID := ""
	raised, err := s.core.changeDevice(ctx, kindRememberEnded, key, func(d *device) error {
		if d.spare == alarmRaised {
			return errUnchanged
		}
		userID, d.spare = d.record.UserID, alarmRaised
		return nil
	})
	if raised {
		s.stolen(ctx, userID)
	}
	return err
}

// stolen tells of a theft: by an event, and by a mail to the owner of the account.
func (s *state) stolen(ctx context.Context, userID string) {
	s.note(Event{Kind: EventRememberStolen, UserID: userID, Method: methodRemember, Err: ErrLoggedOut})
	if s.core.cfg.Mailer == nil {
		return
	}
	user, err := s.core.users.load(ctx, userID)
	if errors.Is(err, ErrUserNotFound) || err == nil && (user.AuthAccount().Email == "" || user.AuthAccount().Disabled) {
		return
	}
	if err == nil {
		err = s.core.mail(ctx, Mail{Kind: MailStolen, To: user.AuthAccount().Email, User: user})
	}
	if err != nil { // there is no second time
		s.note(Event{Kind: EventMailFailed, UserID: userID, Err: err})
	}
}
