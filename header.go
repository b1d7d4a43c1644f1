package auth

import (
	"encoding/binary"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// A session is a decoded session record.
type session struct {
	key     string // of its record
	version int64  // likewise
	header  header
	values  string // the application's, encoded

	// before is set if another request has rotated the token that this request was
	// sent with. It is the login's header from before the rotation, so that this request
	// counts as no fresher than its token was. It is never stored. nil: the request has
	// the newest token.
	before *header
}

// shown returns the header that decides what the request may do.
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

// A header is what the library knows about a session. It is kept apart from the
// application's values, so that nothing can change it through them.
type header struct {
	userID  string  // empty for a visitor
	loginID string  // the same through all rotations of a login
	stamp   string  // the account's, when the login was made
	methods methods // how the user authenticated, and when
	address string  // the client's IP address, at the login
	agent   string  // the client's user agent, at the login
	device  string  // the key of the remembered device that it was made from or with
	family  string  // Login.ID; all sessions of a device share it. Empty in version 1

	// If a remember cookie made the session, the answer set a new remember cookie too.
	// counter is that cookie's counter. unseen is true until a request shows that the
	// browser has received the answer.
	counter uint64
	unseen  bool

	authenticated time.Time // when the user last proved who they are; zero for a remembered login
	created       time.Time // when the session, or the login, began
	seen          time.Time // the last request, to the minute

	actor *actor // the administrator who acts as the user; nil in the user's own logins
}

// An actor is the administrator behind an impersonation, as the header of its session
// names them: see Impersonate. It never changes.
type actor struct {
	userID, stamp   string
	loginID, family string // of the administrator's own login
	key             string // of that login's session record
}

// A session's record holds, in this order: the version of the format, the header, and
// the application's values.
//
//	header  = 4 bytes (the length of what follows), seven texts, three times,
//	          a text (the family), a uvarint (the counter), a byte (1: unseen),
//	          in an impersonation five texts (the actor),
//	          and whatever a later version adds (after five empty texts if there is no actor)
//	values  = entry … (in the order of their keys, each of which is there once)
//	entry   = text (the key) text (the value, whose first byte is its type)
//	text    = uvarint (its length) bytes
//	time    = varint (milliseconds since 1970)
//
// A later version may add fields at the end of the header. A reader skips them, so that
// processes of two versions can share a store. Version 1 has no length, and nothing
// after the times; it is still read.
//
// If a record cannot be read, the request is anonymous. It is no error: the browser that
// has the cookie would get a 500 for every request.
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
	if a := h.actor; a != nil {
		for _, s := range [...]string{a.userID, a.stamp, a.loginID, a.family, a.key} {
			b = wire.AppendText(b, s)
		}
	}
	binary.BigEndian.PutUint32(b[start-wire.BlockPrefix:], uint32(len(b)-start))
	return append(b, values...)
}

// decode reads the header of a record's data, and returns the encoded values. It checks
// the form of the values, and does not decode them.
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
		if inner.Rest() != "" {
			a := actor{inner.Text(), inner.Text(), inner.Text(), inner.Text(), inner.Text()}
			if a.userID != "" {
				h.actor = &a
			}
		}
		ok = inner.OK()
		values = r.Rest()
	default:
		return "", false
	}
	return values, ok && r.OK() && wire.ValidValues(values)
}

// decodeLogin reads the fields that all versions have.
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

// sameLogin reports whether two headers belong to the same login. It is true for two
// visitors: a visitor has no login ID.
func sameLogin(a, b *header) bool {
	return a.userID == b.userID && a.loginID == b.loginID
}

// loginHandle returns a Login's ID. All sessions made from one remembered device have
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

// newHandle returns a new login's ID. It is random, so that pages show no key or ID of
// a record.
func newHandle() string { return keyring.NewToken()[:22] }

// A rotation is the record that stays, for rotatedFor, under the key of a token that
// was replaced by a new one of the same login. A browser may have sent a request with
// the old token before it had the new one.
//
// A rotation gives no access by itself. It leads to the session's new record, which
// decides. If that record is gone, the old token is worthless.
type rotation struct {
	effect oldToken
	at     time.Time
	next   string // the key of the new record
	header header // the login's, from before the rotation
}

// An oldToken says what a replaced token still means.
type oldToken byte

const (
	// tokenVoid gives no access, but a logout that was sent with it ends the login.
	// LoginUser leaves it.
	tokenVoid oldToken = iota

	// tokenRotated gives access to the login as it was before, for rotationGrace.
	// RenewToken and ConfirmLogin leave it.
	tokenRotated

	// tokenReplaced gives no access. The request gets ErrReplaced, so that the browser
	// tries again with its new token. A change of a credential leaves it.
	tokenReplaced
)

const (
	// rotationGrace is how old a rotation may be when a request with the old token
	// arrives. It is longer than a request waits in a proxy or on a slow line, and too
	// short to be of use to an attacker who has copied the token.
	rotationGrace = 30 * time.Second

	// maxRotations is how many successive rotations of a login are followed.
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

// invalid returns why a record that was made under this stamp is void, or nil if it is
// valid. user is the account's user, or nil if the account is gone.
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
