// Package wire has the encoding that all records and sealed texts of the library
// are made of, and the encoding of a session's values.
//
// A record's format is the order in which its parts are appended. Its parts are
//
//	byte
//	uvarint, varint  as encoding/binary writes them
//	text             uvarint (its length) bytes
//	block            4 bytes (its length, big endian) bytes
//
// A [Reader] takes them off in the same order. A process may read what a newer
// version of the library has written, so a format begins with a byte that is its
// version.
package wire

import (
	"encoding/binary"
	"errors"
)

// A Reader takes parts off the beginning of a text. If a part is damaged or cut
// short, the Reader returns the zero value for it, and OK is false from then on. So
// a format can be read to its end before OK is asked.
type Reader struct {
	rest string
	ok   bool
}

// NewReader returns a Reader of encoded.
func NewReader(encoded string) *Reader { return &Reader{rest: encoded, ok: true} }

// OK reports whether every part so far could be read.
func (r *Reader) OK() bool { return r.ok }

// Rest returns what has not been read yet.
func (r *Reader) Rest() string { return r.rest }

// Byte reads a byte.
func (r *Reader) Byte() byte {
	if r.rest == "" {
		r.ok = false
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// Varint reads what binary.AppendVarint has written.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Uvarint reads what binary.AppendUvarint has written.
func (r *Reader) Uvarint() uint64 {
	var v uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		b := r.rest[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			r.rest = r.rest[i+1:]
			return v
		}
	}
	r.ok, r.rest = false, ""
	return 0
}

// Text reads what AppendText has written.
func (r *Reader) Text() string {
	n := r.Uvarint()
	if n > uint64(len(r.rest)) {
		r.ok, r.rest = false, ""
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// Block reads a block: a length of BlockPrefix bytes, and as many bytes after it.
func (r *Reader) Block() string {
	if len(r.rest) < BlockPrefix {
		r.ok, r.rest = false, ""
		return ""
	}
	var length [BlockPrefix]byte
	copy(length[:], r.rest)
	n := uint64(binary.BigEndian.Uint32(length[:]))
	r.rest = r.rest[BlockPrefix:]
	if n > uint64(len(r.rest)) {
		r.ok, r.rest = false, ""
		return ""
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// BlockPrefix is how many bytes the length of a block takes. Unlike the length of a
// text it can be filled in after the block has been appended.
const BlockPrefix = 4

// AppendText appends a text to b.
func AppendText[T string | []byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// ErrDamaged is the error of what cannot be read.
var ErrDamaged = errors.New("damaged")
