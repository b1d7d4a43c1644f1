package auth

import (
	"encoding/binary"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// A session is a session record, read.
type session struct {
	key     string // of its record
	version int64  // likewise
	header  header
	values  string // the application's, encoded

	// before is the login as it was when the request's token was good, if another
	// request has rotated that token since: this request is no fresher. It is never
	// stored. nil: the request has the newest token.
	before *header
}

// shown is the header that the request may act on.
func (s *session) shown() *header {
	if s.before != nil {
		return s.before
	}
	return &s.header
}

func (s *session) isLogin() bool { return s != nil && s.header.userID != "" }

func (s *session) kind() string {
	if s.header.userID == "" {
		return kindVisitor
	}
	return kindSession
}

// header is what the library knows about a session. It is not among the
// application's values, so that nothing can change it through them.
type header struct {
	userID  string  // empty for a visitor
	loginID string  // the same through all rotations of a login
	stamp   string  // the account's, when the login was made
	methods methods // how the user authenticated, and when
	address string  // the client's, at the login
	agent   string  // likewise
	device  string  // the key of the remembered device that it was made from or with
	family  string  // Login.ID; the sessions that are made from a device share it. Empty in version 1

	// If a remember cookie made the session: the counter of the cookie that
	// was sent with it, and whether no request has shown yet that the browser has
	// received the two.
	counter uint64
	unseen  bool

	authenticated time.Time // when the user last proved who they are; zero for a remembered login
	created       time.Time // when the session, or the login, began
	seen          time.Time // the last request, to the minute
}

// A session's record holds, in this order: the version of the format, the
// login's header, and the application's values.
//
//	header  = 4 bytes (the length of what follows), seven texts, three times,
//	          a text (the family), a uvarint (the counter), a byte (1: unseen),
//	          and whatever a later version adds
//	values  = entry … (in the order of their keys, each of which is there once)
//	entry   = text (the key) text (the value, whose first byte is its type)
//	text    = uvarint (its length) bytes
//	time    = varint (milliseconds since 1970)
//
// A reader skips the end of a header that it does not know, so that processes
// of two versions can share a store. Version 1 has no length, and nothing after
// the times; it is still read.
//
// A record that cannot be read is an anonymous session, and never an error: the
// browser that has its cookie would get a 500 for every request.
const (
	headerVersion = 2
)

// encode returns a record's data: the header and the encoded values.
func (h *header) encode(values string) []byte {
	texts := [...]string{h.userID, h.loginID, h.stamp, string(h.methods), h.address, h.agent, h.device}
	times := [...]time.Time{h.authenticated, h.created, h.seen}
	size := 2 + wire.BlockPrefix + (len(times)+1)*binary.MaxVarintLen64 + binary.MaxVarintLen16 + len(h.family) + len(values)
	for _, s := range texts {
		size += binary.MaxVarintLen16 + len(s)
	}
	b := append(make([]byte, 0, size), headerVersion, 0, 0, 0, 0)
	start := len(b)
	for _, s := range texts {
		b = wire.AppendText(b, s)
	}
	for _, t := range times {
		b = binary.AppendVarint(b, t.UnixMilli())
	}
	b = wire.AppendText(b, h.family)
	b = append(binary.AppendUvarint(b, h.counter), flag(h.unseen))
	binary.BigEndian.PutUint32(b[start-wire.BlockPrefix:], uint32(len(b)-start))
	return append(b, values...)
}

// decode reads the header of a record's data, and returns the encoded values,
// which it checks for form and does not decode.
func (h *header) decode(data string) (values string, ok bool) {
	r := wire.NewReader(data)
	ok = true
	switch r.Byte() {
	case formatVersion:
		h.decodeLogin(r)
		values = r.Rest()
	case headerVersion:
		inner := wire.NewReader(r.Block())
		h.decodeLogin(inner)
		h.family, h.counter, h.unseen = inner.Text(), inner.Uvarint(), inner.Byte() == 1
		ok = inner.OK()
		values = r.Rest()
	default:
		return "", false
	}
	return values, ok && r.OK() && wire.ValidValues(values)
}

// decodeLogin reads what all versions begin with.
func (h *header) decodeLogin(r *wire.Reader) {
	h.userID, h.loginID, h.stamp, h.methods = r.Text(), r.Text(), r.Text(), methods(r.Text())
	h.address, h.agent, h.device = r.Text(), r.Text(), r.Text()
	h.authenticated, h.created, h.seen = time.UnixMilli(r.Varint()), time.UnixMilli(r.Varint()), time.UnixMilli(r.Varint())
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

// sameLogin reports whether two headers are of one login. Visitors have none, and
// their tokens alone say who they are.
func sameLogin(a, b *header) bool {
	return a.userID == b.userID && a.loginID == b.loginID
}

// loginHandle is a Login's ID. A session that is made from a remembered device has
// the device's.
func loginHandle(h header) string {
	switch {
	case h.family != "":
		return h.family
	case h.device != "": // a record of version 1
		return keyring.TokenKey("device " + h.device)[:22]
	}
	return keyring.TokenKey("login " + h.loginID)[:22]
}

// newHandle returns a new login's ID: what else the store has is not for pages.
func newHandle() string { return keyring.NewToken()[:22] }

// A rotation is the record that stays, for rotatedFor, under the key of a token that
// was replaced by a new one of the same login: a request may have been sent with
// the old token before the browser had the new one.
//
// It opens nothing by itself. What the old token still means is looked up in the
// session's new record, and ends with that.
type rotation struct {
	effect oldToken
	at     time.Time
	next   string // the key of the record that came instead
	header header // of the login, as it was with the old token
}

// An oldToken is what a token means that was replaced.
type oldToken byte

const (
	// tokenVoid: nothing; but a logout that was sent with it ends the login. So it is
	// after LoginUser.
	tokenVoid oldToken = iota

	// tokenRotated: for rotationGrace, the login as it was before. So it is after
	// RenewToken and ConfirmLogin.
	tokenRotated

	// tokenReplaced: nothing, and the browser is to ask again with the token that it
	// has by then: ErrReplaced. So it is after a change of a credential.
	tokenReplaced
)

const (
	// rotationGrace is how old a rotation may be when a request with the old token
	// arrives: longer than a request waits in a proxy or on a slow line, and too
	// short to be of use to who has copied the token.
	rotationGrace = 30 * time.Second

	// maxRotations is how many rotations of a login are followed one after the other.
	maxRotations = 16

	rotationVersion = 1
	rotatedFor      = time.Minute // how long a replaced token is recognised
)

func (r *rotation) encode() []byte {
	b := binary.AppendVarint([]byte{rotationVersion, byte(r.effect)}, r.at.UnixMilli())
	return append(wire.AppendText(b, r.next), r.header.encode("")...)
}

func decodeRotation(record Record) (rotation, bool) {
	in := wire.NewReader(string(record.Data))
	if in.Byte() != rotationVersion {
		return rotation{}, false
	}
	r := rotation{effect: oldToken(in.Byte()), at: time.UnixMilli(in.Varint()), next: in.Text()}
	_, ok := r.header.decode(in.Rest())
	return r, ok && in.OK() && r.header.userID == record.UserID
}

// invalid says why something that was made with this stamp is not the user's
// any more, or nil. The user is nil if the account is gone.
func invalid(stamp string, user User) error {
	switch {
	case user == nil:
		return ErrUserNotFound
	case user.AuthAccount().Disabled:
		return ErrDisabled
	case !user.AuthAccount().Stamp.Equal(NewSecret(stamp)):
		return ErrLoggedOut
	}
	return nil
}
