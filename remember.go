package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"time"
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
const (
	kindRemember      = "remember"
	kindRememberEnded = "remember-ended"
	methodRemember    = "remember"

	selectorSize = 16
	rememberSize = selectorSize + 4 + 32

	// slowRequest is from when on the time that a request is under way may be
	// compared with another server's clock; see reused.
	slowRequest = time.Second

	// stolenCounter is beyond what a cookie can say: every cookie of the device
	// is one that was used up.
	stolenCounter = 1 << 40

	// maxSpare is how often a cookie can be used beside its successor: by tabs
	// that are opened at once, and after answers that were lost.
	maxSpare = 30

	// alarmRaised is what a tombstone has for its spare uses, of which a device has
	// at most maxSpare, once the alarm has been raised.
	alarmRaised = maxSpare + 1

	// maxEnded is how many tombstones a user has: the newest ones.
	maxEnded = 100

	// maxRemember is what browsers keep a cookie at most.
	maxRemember = 400 * 24 * time.Hour
)

// A LoginOption changes what LoginUser does.
type LoginOption func(*loginOptions)

type loginOptions struct {
	method   string
	remember time.Duration // 0: not
	stale    bool
	device   *device // the remembered device that the login is made from
}

// Remember keeps the user logged in on this device beyond the browser's session,
// for Config.RememberFor, if on is true. Each use of the cookie replaces it. The
// old one stays good, for at most 30 uses, until the browser shows that it has the
// new one; a use after that is a theft (EventRememberStolen).
func Remember(on bool) LoginOption {
	return func(o *loginOptions) {
		if on {
			o.remember = -1 // as configured
		}
	}
}

// RememberFor is Remember for a time of its own, at most 400 days. If d is not
// positive, the user is not remembered.
func RememberFor(d time.Duration) LoginOption {
	return func(o *loginOptions) { o.remember = min(max(d, 0), maxRemember) }
}

// A device is a remember record, read.
type device struct {
	record  Record
	stamp   string
	counter uint64    // of the newest cookie
	rotated time.Time // when that was made
	spare   uint64    // how often the cookie before it has been used since
	created time.Time
	address string
	agent   string
	family  string    // Login.ID of the logins that are made from it
	seen    time.Time // when a request first showed that the browser has the newest cookie; zero: none has yet

	cookie  string // the newest one, to be set; empty if the browser has it
	current bool   // the request came with the newest one, and not with the one before
	suspect bool   // the request comes from another client; see Config.Protection
}

// header is what a device has of a login, for those who look for either.
func (d *device) header() header {
	return header{userID: d.record.UserID, device: d.record.Key, family: d.family}
}

// A device's record begins with its version. What a later version adds comes at
// the end, and is skipped by this one. Version 1 ends with the agent.
const deviceVersion = 2

func (d *device) encode() {
	b := appendText([]byte{deviceVersion}, d.stamp)
	b = binary.AppendUvarint(binary.AppendUvarint(b, d.counter), d.spare)
	b = binary.AppendVarint(b, d.rotated.UnixMilli())
	b = binary.AppendVarint(b, d.created.UnixMilli())
	b = appendText(appendText(appendText(b, d.address), d.agent), d.family)
	seen := int64(0)
	if !d.seen.IsZero() {
		seen = d.seen.UnixMicro()
	}
	d.record.Data = binary.AppendVarint(b, seen)
}

func decodeDevice(record Record) (device, bool) {
	r := reader{rest: string(record.Data), ok: true}
	version := r.byte()
	if version != formatVersion && version != deviceVersion {
		return device{}, false
	}
	d := device{record: record, stamp: r.text(), counter: r.uvarint(), spare: r.uvarint()}
	d.rotated, d.created = time.UnixMilli(r.varint()), time.UnixMilli(r.varint())
	d.address, d.agent = r.text(), r.text()
	if version == formatVersion {
		return d, r.ok && r.rest == ""
	}
	d.family = r.text()
	if seen := r.varint(); seen != 0 {
		d.seen = time.UnixMicro(seen)
	}
	return d, r.ok
}

// insertDevice stores a new device for the account and a login. A negative
// lifetime is the configured one.
func (s *state) insertDevice(a *Account, lifetime time.Duration, family string) (*device, error) {
	if lifetime < 0 {
		lifetime = s.core.cfg.RememberFor
	}
	var selector [selectorSize]byte
	_, _ = rand.Read(selector[:]) // never fails
	now := s.core.cfg.Now()
	d := &device{
		record: Record{
			Kind: kindRemember, Key: tokenKey(string(selector[:])), UserID: a.ID,
			Version: randomVersion(), Expires: now.Add(lifetime),
		},
		stamp: a.Stamp.Reveal(), rotated: now, created: now, address: s.address(), agent: s.agent(), family: family,
		cookie: s.core.rememberCookie(selector[:], 0),
	}
	d.encode()
	if err := s.core.records.InsertRecord(&s.inner, d.record); err != nil {
		s.dropDevice(d) // it may have been stored all the same
		return nil, err
	}
	return d, nil
}

// dropDevice deletes a device that no cookie was made for, if there is one.
func (s *state) dropDevice(d *device) {
	if d == nil {
		return
	}
	ctx, cancel := detach(&s.inner)
	defer cancel()
	if err := take(ctx, s.core.records, kindRemember, d.record.Key); err != nil {
		s.note(Event{Kind: EventStoreFailed, UserID: d.record.UserID, Err: err})
	}
}

// rememberAs makes the browser remembered as a device, or as nobody if that is
// nil. The caller holds op.
func (s *state) rememberAs(d *device) {
	if d == nil {
		s.deleteCookie(s.core.cookies.remember)
		return
	}
	s.setCookie(s.core.cookies.remember, d.cookie, d.record.Expires)
}

func (c *Core) rememberCookie(selector []byte, counter uint64) string {
	b := binary.BigEndian.AppendUint32(slices.Clone(selector), uint32(counter))
	return base64.RawURLEncoding.EncodeToString(append(b, c.secrets.sign(purposeRemember, b)...))
}

// remembered reads the request's cookie. ok says that it is one of ours.
func (s *state) remembered() (selector []byte, counter uint64, ok bool) {
	cookie, _ := s.sent(s.core.cookies.remember)
	b, err := base64.RawURLEncoding.Strict().DecodeString(cookie)
	if err != nil || len(b) != rememberSize {
		return nil, 0, false
	}
	signed, mac := b[:selectorSize+4], b[selectorSize+4:]
	if !s.core.secrets.verify(purposeRemember, signed, mac) {
		return nil, 0, false
	}
	return b[:selectorSize], uint64(binary.BigEndian.Uint32(b[selectorSize:])), true
}

// resume logs in by the remember cookie, if there is one that is good. Else
// the request stays anonymous. An error is the store's.
func (s *state) resume() error {
	selector, counter, ok := s.remembered()
	if !ok {
		return nil
	}
	c := s.core
	key := tokenKey(string(selector))
	var user User
	for range maxConflicts {
		record, err := c.records.GetRecord(&s.inner, kindRemember, key)
		if errors.Is(err, ErrRecordNotFound) {
			return s.resumeEnded(key, counter)
		} else if err != nil {
			return err
		}
		d, ok := decodeDevice(record)
		now := c.cfg.Now()
		switch {
		case !ok || counter > d.counter:
			s.note(Event{Kind: EventSessionDamaged, UserID: record.UserID, Method: methodRemember, Err: errDamaged})
			return nil
		case s.reused(d, counter, now):
			if err := s.endStolen(d); !errors.Is(err, ErrConflict) {
				return err
			}
			continue
		}
		if user == nil {
			user, err = c.users.load(&s.inner, record.UserID)
		}
		if err != nil && !errors.Is(err, ErrUserNotFound) {
			return err
		}
		if reason := invalid(d.stamp, user); reason != nil {
			s.note(Event{Kind: EventLoginRefused, UserID: record.UserID, Method: methodRemember, Err: reason})
			if user == nil {
				return take(&s.inner, c.records, kindRemember, key)
			}
			return c.endDevice(&s.inner, record)
		}
		if same, _ := s.bound(&d.address, &d.agent); !same {
			s.note(Event{Kind: EventProtected, UserID: record.UserID, Method: methodRemember, Err: errProtected})
			if c.cfg.Protection == ProtectStrong {
				_, err := c.endLogin(&s.inner, d.header())
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
	record, err := s.core.records.GetRecord(&s.inner, kindRememberEnded, key)
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
	err := s.enter(user, loginOptions{method: methodRemember, device: &d})
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
		ctx, cancel := detach(&s.inner)
		defer cancel()
		err := s.core.continueAs(ctx, d.record.UserID, func(h header) bool {
			return h.device == d.record.Key && h.counter < d.counter
		})
		if err != nil {
			s.note(Event{Kind: EventStoreFailed, UserID: d.record.UserID, Err: err})
		}
	}
	return nil
}

// received notes in the device that the browser has the newest cookie: it has sent
// the session that came with it. It reports whether that is settled. If the store
// fails, the session's next request tries again.
func (s *state) received(login *header) bool {
	ctx, cancel := detach(&s.inner)
	defer cancel()
	for range maxConflicts {
		record, err := s.core.records.GetRecord(ctx, kindRemember, login.device)
		if err == nil {
			d, ok := decodeDevice(record)
			if !ok || d.counter != login.counter || !d.seen.IsZero() {
				return true
			}
			d.seen = s.core.cfg.Now()
			d.encode()
			err = s.core.records.UpdateRecord(ctx, d.record)
		}
		switch {
		case err == nil, errors.Is(err, ErrRecordNotFound):
			return true
		case !errors.Is(err, ErrConflict):
			s.note(Event{Kind: EventStoreFailed, UserID: login.userID, Err: err})
			return false
		}
	}
	return false
}

// rebind binds the device of a login to the request's client: its user has shown
// who they are there.
func (s *state) rebind(login *header) {
	if s.core.cfg.Protection == ProtectOff || login.device == "" {
		return
	}
	ctx, cancel := detach(&s.inner)
	defer cancel()
	for range maxConflicts {
		record, err := s.core.records.GetRecord(ctx, kindRemember, login.device)
		if err == nil {
			d, ok := decodeDevice(record)
			if !ok || d.address == login.address && d.agent == login.agent {
				return
			}
			d.address, d.agent = login.address, login.agent
			d.encode()
			err = s.core.records.UpdateRecord(ctx, d.record)
		}
		switch {
		case err == nil, errors.Is(err, ErrRecordNotFound):
			return
		case !errors.Is(err, ErrConflict):
			s.note(Event{Kind: EventStoreFailed, UserID: login.userID, Err: err})
			return
		}
	}
}

// useUp counts the device's cookie as used, and returns ErrLoggedOut if the
// device is gone. It runs once the session made from it is stored: who ends a
// device deletes it first and lists its sessions then, so that one of the two
// sees the other; and a store that fails before has not used up a cookie for
// nothing.
func (s *state) useUp(d *device) error {
	ctx, cancel := detach(&s.inner)
	defer cancel()
	err := s.core.records.UpdateRecord(ctx, d.record)
	if errors.Is(err, ErrRecordNotFound) {
		return ErrLoggedOut
	}
	return err
}

// endStolen ends a device of which a cookie was used again, or what followed it if
// it has ended already, with its logins. After ErrConflict the caller looks again.
func (s *state) endStolen(d device) error {
	c := s.core
	ctx, cancel := detach(&s.inner)
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
	for range maxConflicts {
		record, err := s.core.records.GetRecord(ctx, kindRememberEnded, key)
		if err != nil {
			return unlessNotFound(err)
		}
		d, ok := decodeDevice(record)
		if !ok || d.spare == alarmRaised {
			return nil
		}
		d.spare = alarmRaised
		d.encode()
		switch err := s.core.records.UpdateRecord(ctx, d.record); {
		case err == nil:
			s.stolen(ctx, record.UserID)
			return nil
		case !errors.Is(err, ErrConflict):
			return unlessNotFound(err)
		}
	}
	return ErrConflict
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

// cookieDevice returns the device that the request's cookie names, or nil. It may
// have ended.
func (s *state) cookieDevice() (*device, error) {
	selector, _, ok := s.remembered()
	if !ok {
		return nil, nil
	}
	for _, kind := range [...]string{kindRemember, kindRememberEnded} {
		record, err := s.core.records.GetRecord(&s.inner, kind, tokenKey(string(selector)))
		if err == nil {
			d, _ := decodeDevice(record)
			d.record = record
			return &d, nil
		} else if unlessNotFound(err) != nil {
			return nil, err
		}
	}
	return nil, nil
}

// forget ends devices, with all the logins made from them: those that browsers
// have lost in a restart are still good for anybody who copied their cookies. The
// logins keep are spared.
func (s *state) forget(devices []header, keep ...string) error {
	for _, d := range devices {
		_, err := s.core.endWhere(&s.inner, d.userID, func(h header) bool {
			return h.device == d.device && !slices.Contains(keep, h.loginID)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// endDevice ends a remembered device, and leaves a tombstone. That is stored first,
// so that no request finds neither of the two.
func (c *Core) endDevice(ctx context.Context, record Record) error {
	if err := c.bury(ctx, record); err != nil {
		return err
	}
	last, err := c.records.TakeRecord(ctx, kindRemember, record.Key)
	if err != nil || bytes.Equal(last.Data, record.Data) {
		return unlessNotFound(err)
	}
	return c.bury(ctx, last) // it was used meanwhile
}

// bury stores a device's tombstone, and deletes the user's oldest ones. It is kept
// until the device would have expired; if no cookie of it has been used up, only for
// a logout that was sent with its cookie.
func (c *Core) bury(ctx context.Context, record Record) error {
	record.Kind, record.Version = kindRememberEnded, randomVersion()
	if d, ok := decodeDevice(record); !ok || d.counter == 0 {
		record.Expires = earlier(record.Expires, c.cfg.Now().Add(rotatedFor))
	}
	err := c.records.InsertRecord(ctx, record)
	for range maxConflicts {
		if !errors.Is(err, ErrRecordExists) && !errors.Is(err, ErrConflict) {
			break
		}
		// It has one: of an attempt that failed, or of a request that ends it, too.
		var other Record
		if other, err = c.records.GetRecord(ctx, record.Kind, record.Key); err == nil {
			if d, ok := decodeDevice(other); ok && d.spare == alarmRaised {
				return nil
			}
			record.Version = other.Version
			err = c.records.UpdateRecord(ctx, record)
		}
	}
	if unlessNotFound(err) != nil {
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
