package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

const (
	selectorSize = 16
	rememberSize = selectorSize + 4 + 32

	// slowRequest is how long a request must have been under way before its time of
	// arrival is compared with another server's clock; see reused.
	slowRequest = time.Second

	// stolenCounter is higher than any cookie's counter. In a device that has it, every
	// cookie counts as used up.
	stolenCounter = 1 << 40

	// maxSpare is how often a cookie can be used after its successor was made: by tabs
	// that are opened at once, and after answers that were lost.
	maxSpare = 30

	// alarmRaised is the value of spare in a tombstone whose theft has been reported. A
	// device's spare is at most maxSpare.
	alarmRaised = maxSpare + 1

	// maxEnded is how many tombstones are kept for a user: the newest ones.
	maxEnded = 100
)

// A device is a decoded remember record.
type device struct {
	record  Record
	stamp   string
	counter uint64    // of the newest cookie
	rotated time.Time // when the newest cookie was made
	spare   uint64    // how often the previous cookie has been used since
	created time.Time
	address string
	agent   string
	family  string    // Login.ID of the logins that are made from it
	seen    time.Time // when a request first showed that the browser has the newest cookie; zero: none has
	methods methods   // what the user showed when the browser was remembered

	cookie  string // the newest cookie, to be set; empty if the browser has it
	current bool   // the request came with the newest cookie, and not with the previous one
	suspect bool   // the request comes from another client; see Config.Session.Protection
}

// header returns the fields that a device shares with a login, for functions that look
// for both.
func (d *device) header() header {
	return header{userID: d.record.UserID, device: d.record.Key, family: d.family, stamp: d.stamp, created: d.created, methods: d.methods}
}

// A device's record begins with its version. A later version adds its fields at the
// end, and this version skips them. Version 1 ends with the agent.
const deviceVersion = 2

func (d *device) encode() {
	b := wire.AppendText([]byte{deviceVersion}, d.stamp)
	b = binary.AppendUvarint(binary.AppendUvarint(b, d.counter), d.spare)
	b = binary.AppendVarint(b, d.rotated.UnixMilli())
	b = binary.AppendVarint(b, d.created.UnixMilli())
	b = wire.AppendText(wire.AppendText(wire.AppendText(b, d.address), d.agent), d.family)
	seen := int64(0)
	if !d.seen.IsZero() {
		seen = d.seen.UnixMicro()
	}
	d.record.Data = wire.AppendText(binary.AppendVarint(b, seen), string(d.methods))
}

func decodeDevice(record Record) (device, bool) {
	r := wire.NewReader(string(record.Data))
	version := r.Byte()
	if version != formatVersion && version != deviceVersion {
		return device{}, false
	}
	d := device{record: record, stamp: r.Text(), counter: r.Uvarint(), spare: r.Uvarint()}
	d.rotated, d.created = time.UnixMilli(r.Varint()), time.UnixMilli(r.Varint())
	d.address, d.agent = r.Text(), r.Text()
	if version == formatVersion {
		return d, r.OK() && r.Rest() == ""
	}
	d.family = r.Text()
	if seen := r.Varint(); seen != 0 {
		d.seen = time.UnixMicro(seen)
	}
	if r.OK() && r.Rest() != "" { // older records have no methods
		d.methods = methods(r.Text())
	}
	return d, r.OK()
}

// insertDevice stores a new device for the account and the login with this header. A
// negative lifetime means Config.Session.RememberFor.
func (s *state) insertDevice(a *Account, lifetime time.Duration, h header) (*device, error) {
	if lifetime < 0 {
		lifetime = s.core.cfg.Session.RememberFor
	}
	var selector [selectorSize]byte
	_, _ = rand.Read(selector[:]) // never fails
	now := s.core.cfg.Now()
	d := &device{
		record: Record{
			Kind: kindRemember, Key: keyring.TokenKey(string(selector[:])), UserID: a.ID,
			Version: keyring.RandomVersion(), Expires: now.Add(lifetime),
		},
		stamp: a.Stamp.Reveal(), rotated: now, created: now, address: s.address(), agent: s.agent(), family: h.family, methods: h.methods,
		cookie: s.core.rememberCookie(selector[:], 0),
	}
	d.encode()
	if err := s.core.records.InsertRecord(&s.ctx, d.record); err != nil {
		s.dropDevice(d) // InsertRecord may have stored it although it failed
		return nil, err
	}
	return d, nil
}

// dropDevice deletes a device whose cookie was never sent. d may be nil.
func (s *state) dropDevice(d *device) {
	if d == nil {
		return
	}
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	if err := take(ctx, s.core.records, kindRemember, d.record.Key); err != nil {
		s.note(Event{Kind: EventCleanupFailed, UserID: d.record.UserID, Err: err})
	}
}

// rememberAs sets the cookie of a device. If d is nil, it deletes the browser's
// remember cookie. The caller holds op.
func (s *state) rememberAs(d *device) {
	if d == nil {
		s.deleteCookie(s.core.cookies.remember)
		return
	}
	s.setCookie(s.core.cookies.remember, d.cookie, d.record.Expires)
}

func (c *Core) rememberCookie(selector []byte, counter uint64) string {
	b := binary.BigEndian.AppendUint32(slices.Clone(selector), uint32(counter))
	return base64.RawURLEncoding.EncodeToString(append(b, c.secrets.Sign(purposeRemember, b)...))
}

// remembered reads the request's remember cookie. ok is true if its signature is valid.
func (s *state) remembered() (selector []byte, counter uint64, ok bool) {
	cookie, sent := s.sent(s.core.cookies.remember)
	if !sent {
		return nil, 0, false
	}
	b, ok := keyring.Decode(cookie)
	if !ok || len(b) != rememberSize {
		return nil, 0, false
	}
	signed, mac := b[:selectorSize+4], b[selectorSize+4:]
	if !s.core.secrets.Verify(purposeRemember, signed, mac) {
		return nil, 0, false
	}
	return b[:selectorSize], uint64(binary.BigEndian.Uint32(b[selectorSize:])), true
}

// received notes in the device that the browser has the newest cookie: the browser has
// sent the session that came with it. It returns false if the store fails; the
// session's next request then tries again.
func (s *state) received(login *header) bool {
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	_, err := s.core.changeDevice(ctx, kindRemember, login.device, func(d *device) error {
		if d.counter != login.counter || !d.seen.IsZero() {
			return errUnchanged
		}
		d.seen = s.core.cfg.Now()
		return nil
	})
	if err != nil {
		s.note(Event{Kind: EventCleanupFailed, UserID: login.userID, Err: err})
	}
	return err == nil
}

// rebind binds the device of a login to the request's client, because the user has just
// shown there who they are.
func (s *state) rebind(login *header) {
	if s.core.cfg.Session.Protection == ProtectOff || login.device == "" {
		return
	}
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	_, err := s.core.changeDevice(ctx, kindRemember, login.device, func(d *device) error {
		if d.address == login.address && d.agent == login.agent {
			return errUnchanged
		}
		d.address, d.agent = login.address, login.agent
		return nil
	})
	if err != nil {
		s.note(Event{Kind: EventCleanupFailed, UserID: login.userID, Err: err})
	}
}

// changeDevice changes a device, or its tombstone, by compare-and-set (see
// changeRecord), and reports whether it has. A device that is gone or damaged stays as
// it is.
func (c *Core) changeDevice(ctx context.Context, kind, key string, do func(*device) error) (changed bool, err error) {
	err = changeRecord(ctx, c.records, kind, key, func(r *Record, _ bool) error {
		changed = false
		d, ok := decodeDevice(*r)
		if !ok {
			return errUnchanged
		}
		if err := do(&d); err != nil {
			return err
		}
		d.encode()
		*r, changed = d.record, true
		return nil
	})
	return changed && err == nil, err
}

// useUp counts the device's cookie as used, and returns ErrLoggedOut if the device is
// gone. It runs after the session made from the device is stored, for two reasons. An
// ending deletes the device first and then lists its sessions: so either the ending
// finds the session, or useUp finds the device gone. And if the store fails before, no
// cookie has been used up.
func (s *state) useUp(d *device) error {
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	err := s.core.records.UpdateRecord(ctx, d.record)
	if errors.Is(err, ErrRecordNotFound) {
		return ErrLoggedOut
	}
	return err
}

// cookieDevice returns the device that the request's cookie names, or nil. The device
// may have ended.
func (s *state) cookieDevice() (*device, error) {
	selector, _, ok := s.remembered()
	if !ok {
		return nil, nil
	}
	for _, kind := range [...]string{kindRemember, kindRememberEnded} {
		record, err := s.core.records.GetRecord(&s.ctx, kind, keyring.TokenKey(string(selector)))
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
