package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// endLogin ends the login that the header of a session or a device belongs to.
func (c *Core) endLogin(ctx context.Context, h header) (found bool, err error) {
	id := loginHandle(h)
	return c.endWhere(ctx, h.userID, func(other header) bool { return loginHandle(other) == id })
}

// endWhere ends some of a user's logins. It removes their remembered devices and their
// sessions, again and again, until it finds none. It reports whether there were any.
//
// Devices go first. A request that makes a session from a device counts the device as
// used after it stored the session. So either that request finds the device gone, or
// endWhere finds its session. A rotation that is under way may have inserted another
// session, which endWhere finds. If the rotation inserts it later, the rotation finds
// that the old session is gone, and removes the new one.
func (c *Core) endWhere(ctx context.Context, userID string, which func(header) bool) (found bool, err error) {
	ctx, cancel := detach(ctx)
	defer cancel()
	for range maxConflicts {
		devices, err := c.takeDevices(ctx, userID, which)
		if err != nil {
			return found, err
		}
		sessions, err := c.takeSessions(ctx, userID, which, nil)
		switch {
		case err != nil:
			return found, err
		case !devices && !sessions:
			return found, nil
		}
		found = true
	}
	return found, errKeepsComing
}

var errKeepsComing = errors.New("auth: the login could not be ended: other requests made new records for it again and again")

// continueAs ends sessions whose login goes on in another session. It leaves rotations,
// so that a logout that was sent with an old token still ends the login.
func (c *Core) continueAs(ctx context.Context, userID string, which func(header) bool) error {
	for range maxConflicts {
		found, err := c.takeSessions(ctx, userID, which, c.leaveRotated)
		if err != nil || !found {
			return err
		}
	}
	return errKeepsComing
}

// takeDevices is one pass over a user's remembered devices.
func (c *Core) takeDevices(ctx context.Context, userID string, which func(header) bool) (found bool, err error) {
	records, err := c.records.ListRecords(ctx, kindRemember, userID)
	if err != nil {
		return false, err
	}
	for _, r := range records {
		d, ok := decodeDevice(r)
		if !ok {
			d.record = r
		}
		if which(d.header()) {
			found = true
			if err := c.endDevice(ctx, r); err != nil {
				return found, err
			}
		}
	}
	return found, nil
}

// takeSessions is one pass over a user's sessions. before, if not nil, runs before each
// session is taken.
func (c *Core) takeSessions(ctx context.Context, userID string, which func(header) bool, before func(context.Context, string, header) error) (found bool, err error) {
	records, err := c.sessions.ListRecords(ctx, kindSession, userID)
	if err != nil {
		return false, err
	}
	for _, r := range records {
		var h header
		if _, ok := h.decode(string(r.Data)); !ok || !which(h) {
			continue
		}
		found = true
		if before != nil {
			if err := before(ctx, r.Key, h); err != nil {
				return found, err
			}
		}
		if err := take(ctx, c.sessions, kindSession, r.Key); err != nil {
			return found, err
		}
		c.watches.endOne(userID, h.loginID)
	}
	return found, nil
}

// endDevice ends a remembered device, and leaves a tombstone. It stores the tombstone
// first, so that a request always finds one of the two.
func (c *Core) endDevice(ctx context.Context, record Record) error {
	if err := c.bury(ctx, record); err != nil {
		return err
	}
	last, err := c.records.TakeRecord(ctx, kindRemember, record.Key)
	if err != nil || bytes.Equal(last.Data, record.Data) {
		return unlessNotFound(err)
	}
	return c.bury(ctx, last) // the device was used meanwhile
}

// bury stores a device's tombstone, and deletes the user's oldest tombstones. A
// tombstone is kept until the device would have expired. If no cookie of the device has
// been used up, there can be no theft, and the tombstone is kept only for rotatedFor,
// for a logout that is under way.
func (c *Core) bury(ctx context.Context, record Record) error {
	if d, ok := decodeDevice(record); !ok || d.counter == 0 {
		record.Expires = earlier(record.Expires, c.cfg.Now().Add(rotatedFor))
	}
	err := changeRecord(ctx, c.records, kindRememberEnded, record.Key, func(r *Record, found bool) error {
		// The device may have a tombstone: an earlier attempt failed, or another request
		// ends the device too.
		if d, ok := decodeDevice(*r); found && ok && d.spare == alarmRaised {
			return errUnchanged
		}
		r.UserID, r.Data, r.Expires = record.UserID, record.Data, record.Expires
		return nil
	})
	if err != nil {
		return err
	}
	ended, err := c.records.ListRecords(ctx, kindRememberEnded, record.UserID)
	if err != nil || len(ended) <= maxEnded {
		return err
	}
	newestFirst(ended, record.Key, func(r Record) (string, time.Time) { return r.Key, r.Expires })
	for _, r := range ended[maxEnded:] {
		if err := take(ctx, c.records, kindRememberEnded, r.Key); err != nil {
			return err
		}
	}
	return nil
}

// leaveRotated notes, for rotatedFor, which login the session with this key belonged
// to. A logout that is sent with the session's token then ends the login.
func (c *Core) leaveRotated(ctx context.Context, key string, h header) error {
	now := c.cfg.Now()
	r := rotation{effect: tokenVoid, at: now, header: h}
	err := c.sessions.InsertRecord(ctx, Record{
		Kind: kindRotated, Key: key, UserID: h.userID, Data: r.encode(),
		Version: keyring.RandomVersion(), Expires: now.Add(rotatedFor),
	})
	if errors.Is(err, ErrRecordExists) {
		return nil
	}
	return err
}

// forget ends devices with all the logins made from them, except those named in keep. A
// browser may have lost such a login in a restart, but an attacker who copied its
// cookie could still use it.
func (s *state) forget(devices []header, keep ...string) error {
	for _, d := range devices {
		_, err := s.core.endWhere(&s.ctx, d.userID, func(h header) bool {
			return h.device == d.device && !slices.Contains(keep, h.loginID)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// trim ends the user's oldest logins and devices, if there are more than Session.Max.
// Each login calls trim after it was stored. So if several logins happen at the same
// moment, the last one to call trim sees all of them and leaves no more than
// Session.Max.
func (s *state) trim(user User) error {
	c, limit := s.core, s.core.cfg.Session.Max
	s.op.Lock()
	var kept header
	if s.cur.isLogin() {
		kept = s.cur.header
	}
	s.op.Unlock()
	if limit < 0 || kept.userID == "" {
		return nil
	}
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	userID := user.AuthAccount().ID
	live, err := c.liveLogins(ctx, user)
	if err != nil {
		return err
	}
	live = slices.DeleteFunc(live, func(h header) bool { return h.actor != nil })
	newestFirst(live, loginHandle(kept), func(h header) (string, time.Time) { return loginHandle(h), h.created })
	seen, ended := map[string]bool{}, map[string]bool{}
	for _, h := range live {
		// Browsers are counted: a device and the logins made from it count as one.
		id := loginHandle(h)
		if seen[id] || len(seen) < limit {
			seen[id] = true
			continue
		}
		if ended[id] {
			continue
		}
		ended[id] = true
		if _, err := c.endLogin(ctx, h); err != nil {
			return err
		}
		s.note(Event{Kind: EventLoginRevoked, UserID: userID, Err: errTooMany})
	}
	if kept.device == "" {
		return nil
	}
	devices, err := c.records.ListRecords(ctx, kindRemember, userID)
	if err != nil || len(devices) <= limit {
		return err
	}
	newestFirst(devices, kept.device, func(r Record) (string, time.Time) {
		d, _ := decodeDevice(r) // a damaged one counts as the oldest
		return r.Key, d.rotated
	})
	for _, r := range devices[limit:] {
		_, err := c.endWhere(ctx, userID, func(h header) bool { return h.device == r.Key })
		if err != nil {
			return err
		}
	}
	return nil
}

// errTooMany is the reason when a new login has ended an old one.
var errTooMany = fmt.Errorf("%w: more than Session.Max", ErrLoggedOut)
