package totp

import (
	"encoding/base32"
	"encoding/binary"
	"time"

	"github.com/go-login/auth/internal/wire"
)

// secretLength is the length of a secret in bytes: 160 bits, as RFC 4226 recommends
// (section 4).
const secretLength = 20

// What an entry is.
const (
	confirmed byte = 's'
	pending   byte = 'p' // shown to the user; no code was entered yet
)

// An entry is what the record of a secret has in it. It is stored sealed:
//
//	version  byte: 1
//	kind     byte: confirmed or pending
//	user     text: the ID of the account that it belongs to
//	secret   text: 20 bytes
//	last     varint: the last step that was accepted
//	stamp    text: of a pending one, the hash of the account's Stamp
//
// The kind and the user are in it so that a record which is moved does not open.
type entry struct {
	kind   byte
	userID string
	secret []byte
	last   int64
	stamp  string
}

const entryVersion = 1

func (e entry) encode() []byte {
	b := wire.AppendText([]byte{entryVersion, e.kind}, e.userID)
	b = binary.AppendVarint(wire.AppendText(b, e.secret), e.last)
	return wire.AppendText(b, e.stamp)
}

func decodeEntry(data string) (entry, bool) {
	r := wire.NewReader(data)
	if r.Byte() != entryVersion {
		return entry{}, false
	}
	e := entry{kind: r.Byte(), userID: r.Text(), secret: []byte(r.Text()), last: r.Varint(), stamp: r.Text()}
	return e, r.OK() && r.Rest() == "" && len(e.secret) == secretLength
}

// seal returns the data of the record.
func (f *Factor) seal(e entry, until time.Time) []byte {
	return []byte(f.feature.Seal(e.encode(), until))
}

// open returns what seal was given, if it is of this kind and belongs to this user.
func (f *Factor) open(data []byte, kind byte, userID string) (entry, bool) {
	b, ok := f.feature.Open(string(data))
	if !ok {
		return entry{}, false
	}
	e, ok := decodeEntry(string(b))
	return e, ok && e.kind == kind && e.userID == userID
}

// base32Of returns a secret as apps take it.
func base32Of(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}
