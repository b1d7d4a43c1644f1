package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// This file is about remembered logins: a cookie that outlives the browser's
// session makes a new login when the old one is gone. It names a device (a family of cookies, of
// which one is good at a time) by a random selector, and is used up when it is
// used: the answer brings its successor. The cookie is
//
//	selector  16 bytes, random
//	counter   4 bytes
//	verifier  32 bytes: HMAC of the two under a key derived from Config.Secrets
//
// and the record, under the selector's hash, has the counter that is good now.
// So nothing in the store makes a cookie, and every successor can be made again
// for a second tab that came with the same cookie at the same moment.
//
// A cookie that was used up longer ago than that has been copied. Which of the
// two is the owner's cannot be told, so the device and the logins made from it
// end.
const (
	kindRemember   = "remember"
	methodRemember = "remember"

	selectorSize = 16
	rememberSize = selectorSize + 4 + 32

	// rememberGrace is how long the last cookie stays good beside its
	// successor: for tabs that are opened at once, and answers that are lost.
	rememberGrace = time.Minute

	// stolenCounter is beyond what a cookie can say: every cookie of the device
	// is one that was used up.
	stolenCounter = 1 << 40

	// maxSpare is how often it can be used then: by more tabs than anybody opens.
	maxSpare = 30

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
// for Config.RememberFor, if on is true. The cookie is good for one use, which
// replaces it, and for a minute after that, for tabs that are opened at once.
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
	counter uint64
	rotated time.Time // when the counter was last counted up
	spare   uint64    // how often the cookie before has been used since
	created time.Time
	address string
	agent   string
	cookie  string // the one that is good now, if it is known
	current bool   // the request came with the one that was good, and not with the one before
}

func (d *device) encode() {
	b := appendText([]byte{formatVersion}, d.stamp)
	b = binary.AppendUvarint(binary.AppendUvarint(b, d.counter), d.spare)
	b = binary.AppendVarint(b, d.rotated.UnixMilli())
	b = binary.AppendVarint(b, d.created.UnixMilli())
	d.record.Data = appendText(appendText(b, d.address), d.agent)
}

func decodeDevice(record Record) (device, bool) {
	r := reader{rest: string(record.Data), ok: true}
	if r.byte() != formatVersion {
		return device{}, false
	}
	d := device{record: record, stamp: r.text(), counter: r.uvarint(), spare: r.uvarint()}
	d.rotated, d.created = time.UnixMilli(r.varint()), time.UnixMilli(r.varint())
	d.address, d.agent = r.text(), r.text()
	return d, r.ok && r.rest == ""
}

// insertDevice stores a new device for the account. A negative lifetime is the
// configured one.
func (s *state) insertDevice(a *Account, lifetime time.Duration) (*device, error) {
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
		stamp: a.Stamp.Reveal(), rotated: now, created: now, address: s.address(), agent: s.agent(),
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
// the request stays nobody's. An error is the store's.
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
			return nil
		} else if err != nil {
			return err
		}
		d, ok := decodeDevice(record)
		now := c.cfg.Now()
		switch {
		case !ok || counter > d.counter:
			s.note(Event{Kind: EventSessionDamaged, UserID: record.UserID, Method: methodRemember, Err: errDamaged})
			return nil
		case counter+1 < d.counter || counter < d.counter && now.Sub(d.rotated) >= rememberGrace:
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
			return take(&s.inner, c.records, kindRemember, key)
		}
		d.current = counter == d.counter
		switch {
		case d.current:
			d.counter++
			d.rotated, d.spare = now, 0
		case d.spare == maxSpare:
			s.note(Event{Kind: EventLoginRefused, UserID: record.UserID, Method: methodRemember, Err: ErrLocked})
			return nil
		default:
			d.spare++
		}
		d.encode()
		d.cookie = c.rememberCookie(selector, d.counter)
		if err := s.enterRemembered(user, d); !errors.Is(err, ErrConflict) {
			return err
		}
		// Another tab was first.
	}
	return ErrConflict
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
	s.setCookie(s.core.cookies.remember, d.cookie, d.record.Expires)
	if d.current {
		// The browser has lost the logins that it was given for cookies before.
		// (Those of other tabs, with the same cookie, are younger.)
		ctx, cancel := detach(&s.inner)
		defer cancel()
		err := s.core.endLogins(ctx, d.record.UserID, func(h header) bool {
			return h.device == d.record.Key && h.created.UnixMilli() < d.rotated.UnixMilli()
		})
		if err != nil {
			s.note(Event{Kind: EventStoreFailed, UserID: d.record.UserID, Err: err})
		}
	}
	return nil
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

// endStolen ends a device whose cookie was used twice, and its logins.
func (s *state) endStolen(d device) error {
	c := s.core
	ctx, cancel := detach(&s.inner)
	defer cancel()
	userID, key := d.record.UserID, d.record.Key
	// First the device is made void, by compare-and-set, so that no login is
	// made from it any more; then its logins go; then it goes itself. A failure
	// in between leaves it to be found stolen again.
	if d.counter != stolenCounter {
		d.counter = stolenCounter
		d.encode()
		if err := c.records.UpdateRecord(ctx, d.record); err != nil {
			return unlessNotFound(err) // ErrConflict: look again
		}
	}
	theirs := func(h header) bool { return h.device == key }
	if err := c.endLogins(ctx, userID, theirs); err != nil {
		return err
	}
	switch _, err := c.records.TakeRecord(ctx, kindRemember, key); {
	case errors.Is(err, ErrRecordNotFound): // another request has found out, too
		return nil
	case err != nil:
		return err
	}
	s.note(Event{Kind: EventRememberStolen, UserID: userID, Method: methodRemember, Err: ErrLoggedOut})
	s.warn(ctx, userID)
	return nil
}

// warn mails the owner of an account that somebody else had a copy of a cookie.
func (s *state) warn(ctx context.Context, userID string) {
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

// forget deletes the device that a login was made from or with, and the one
// that the request's cookie names, with all the logins made from them: those
// that browsers have lost in a restart are still good for whoever copied their
// cookies. The logins keep are spared. The caller holds op.
func (s *state) forget(login *session, keep ...string) error {
	owners := map[string]string{} // of the devices, as far as they are known
	if selector, _, ok := s.remembered(); ok {
		owners[tokenKey(string(selector))] = ""
	}
	if login.isLogin() && login.header.device != "" {
		owners[login.header.device] = login.header.userID
	}
	ctx, cancel := detach(&s.inner)
	defer cancel()
	for key, userID := range owners {
		record, err := s.core.records.TakeRecord(ctx, kindRemember, key)
		switch {
		case err == nil:
			userID = record.UserID
		case unlessNotFound(err) != nil:
			return err
		case userID == "":
			continue
		}
		err = s.core.endLogins(ctx, userID, func(h header) bool { return h.device == key && !slices.Contains(keep, h.loginID) })
		if err != nil {
			return err
		}
	}
	return nil
}
