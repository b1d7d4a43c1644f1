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
	purposeRemember = "remember" // signs the cookie

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
)

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
	methods methods   // what was shown when the browser was remembered

	cookie  string // the newest one, to be set; empty if the browser has it
	current bool   // the request came with the newest one, and not with the one before
	suspect bool   // the request comes from another client; see Config.Session.Protection
}

// header is what a device has of a login, for those who look for either.
func (d *device) header() header {
	return header{userID: d.record.UserID, device: d.record.Key, family: d.family, stamp: d.stamp}
}

// A device's record begins with its version. What a later version adds comes at
// the end, and is skipped by this one. Version 1 ends with the agent.
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
	if r.OK() && r.Rest() != "" { // else it is older than the methods
		d.methods = methods(r.Text())
	}
	return d, r.OK()
}

// insertDevice stores a new device for the account and the login with this header. A
// negative lifetime is the configured one.
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
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	if err := take(ctx, s.core.records, kindRemember, d.record.Key); err != nil {
		s.note(Event{Kind: EventCleanupFailed, UserID: d.record.UserID, Err: err})
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
	return base64.RawURLEncoding.EncodeToString(append(b, c.secrets.Sign(purposeRemember, b)...))
}

// remembered reads the request's cookie. ok says that it is one of ours.
func (s *state) remembered() (selector []byte, counter uint64, ok bool) {
	cookie, _ := s.sent(s.core.cookies.remember)
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

// received notes in the device that the browser has the newest cookie: it has sent
// the session that came with it. It reports whether that is settled. If the store
// fails, the session's next request tries again.
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

// rebind binds the device of a login to the request's client: its user has shown
// who they are there.
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

// changeDevice changes a device, or its tombstone, by compare-and-set (see changeRecord),
// and reports whether it has. One that is gone or damaged stays as it is.
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

// useUp counts the device's cookie as used, and returns ErrLoggedOut if the
// device is gone. It runs once the session made from it is stored: who ends a
// device deletes it first and lists its sessions then, so that one of the two
// sees the other; and a store that fails before has not used up a cookie for
// nothing.
func (s *state) useUp(d *device) error {
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	err := s.core.records.UpdateRecord(ctx, d.record)
	if errors.Is(err, ErrRecordNotFound) {
		return ErrLoggedOut
	}
	return err
}

// cookieDevice returns the device that the request's cookie names, or nil. It may
// have ended.
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
