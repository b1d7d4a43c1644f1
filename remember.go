package auth

import (
	"context"
	"errors"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// This file has the login by a remember cookie. When the browser's login is gone, the
// cookie makes a new one. It names a device by a random selector, and has a counter.
// Each use is answered with a new cookie, whose counter is one higher. The cookie is
//
//	selector  16 bytes, random
//	counter   4 bytes
//	verifier  32 bytes: HMAC of the two under a key derived from Config.Secrets
//
// and the record, under the selector's hash, has the counter of the newest one. So an
// attacker who reads the store cannot make a cookie. The library can make the same
// successor again, for a second tab, or for a browser that never got the first answer.
//
// An answer can be lost. So a cookie stays valid, for maxSpare uses, until a request
// shows that the browser has its successor: the request sends the successor, or the
// session that came with it. If the old cookie is used after that, there are two copies.
// Nobody can tell whether the owner or an attacker sent it. So the device and its logins
// end, and the owner gets a mail.
//
// An attacker might use a stolen cookie and then log out, so that the owner's cookie
// just looks expired. So a device that has ended leaves a tombstone: its record, under
// another kind.

// resume logs in by the remember cookie, if the cookie is valid. Otherwise the request
// stays anonymous. An error is the store's.
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
			return s.refuseDevice(record, user, reason)
		}
		if same, _ := s.bound(&d.address, &d.agent); !same {
			s.note(Event{Kind: EventLoginProtected, UserID: record.UserID, Method: methodRemember, Err: errProtected})
			if c.cfg.Session.Protection == ProtectStrong {
				_, err := c.endLogin(&s.ctx, d.header())
				return err
			}
			d.suspect = true
		}
		if !d.countUse(counter, now) {
			s.note(Event{Kind: EventLoginRefused, UserID: record.UserID, Method: methodRemember, Err: ErrLocked})
			return nil
		}
		if d.seen.IsZero() { // otherwise the browser has this cookie, and perhaps a newer one
			d.cookie = c.rememberCookie(selector, d.counter)
		}
		if err := s.enterRemembered(user, d); !errors.Is(err, ErrConflict) {
			return err
		}
		// Another request with the same cookie was first.
	}
	return ErrConflict
}

// refuseDevice ends a device that is void. user is nil if the account is gone.
func (s *state) refuseDevice(record Record, user User, reason error) error {
	s.note(Event{Kind: EventLoginRefused, UserID: record.UserID, Method: methodRemember, Err: reason})
	if user == nil {
		return take(&s.ctx, s.core.records, kindRemember, record.Key)
	}
	return s.core.endDevice(&s.ctx, record)
}

// countUse counts a use of the cookie with this counter. It returns false if the cookie was used
// maxSpare times after its successor was made.
func (d *device) countUse(counter uint64, now time.Time) bool {
	d.current = counter == d.counter
	switch {
	case d.current:
		d.counter++
		d.rotated, d.seen, d.spare = now, time.Time{}, 0
	case d.spare == maxSpare:
		return false
	default:
		d.spare++
	}
	d.encode()
	return true
}

// reused reports whether a cookie with this counter was sent after the browser had
// received its successor. A slow request (an upload, say) may have arrived before that
// and ask only now for its user. It does not count.
//
// The clocks of two servers may differ by maxSkew. reused allows for that if the
// request has taken slowRequest or longer. In less time, a successor cannot have gone
// to the browser and come back.
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

// resumeEnded handles a cookie whose device has ended. The newest cookie is just
// refused: the browser may have sent the request when the owner logged out. An older
// one is a theft.
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

// enterRemembered logs in by a device. If a gate refuses, the request stays anonymous.
func (s *state) enterRemembered(user User, d device) error {
	shown := methods("").add(methodRemember, s.core.cfg.Now())
	for _, name := range append(s.core.factorMethods(d.methods), methodTrusted) { // what was shown when the browser was remembered
		if at, ok := d.methods.at(name); ok {
			shown = shown.add(name, at)
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
		// The browser no longer has the logins that older cookies made, so they end.
		// Logins of other tabs, made at the same moment, have the same counter and stay.
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

// endStolen ends a device, and its logins, after an old cookie of it was used. If the
// device has ended already, it ends the logins that followed it. After ErrConflict the
// caller looks again.
func (s *state) endStolen(d device) error {
	c := s.core
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	// First the device is made void, by compare-and-set, so that no further login is
	// made from it. Then the device and its logins end. After a failure in between, the
	// next request finds the device, or its tombstone, and goes on.
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

// alarm reports the theft of a device that has ended, unless another request has
// reported it.
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

// stolen reports a theft: by an event, and by a mail to the owner of the account.
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
	if err != nil { // the mail is not tried again
		s.note(Event{Kind: EventMailFailed, UserID: userID, Err: err})
	}
}
