package auth

import (
	"encoding/binary"
	"errors"
	"time"
)

// A reader reads what append wrote, and remembers whether it could.
type reader struct {
	rest string
	ok   bool
}

func (r *reader) byte() byte {
	if r.rest == "" {
		r.ok = false
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// uvarint is binary.Uvarint for a string.
func (r *reader) uvarint() uint64 {
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

func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.ok, r.rest = false, ""
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// block returns what a length of four bytes is for.
func (r *reader) block() string {
	if len(r.rest) < headerLength {
		r.ok, r.rest = false, ""
		return ""
	}
	var length [headerLength]byte
	copy(length[:], r.rest)
	n := uint64(binary.BigEndian.Uint32(length[:]))
	r.rest = r.rest[headerLength:]
	if n > uint64(len(r.rest)) {
		r.ok, r.rest = false, ""
		return ""
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) time() time.Time {
	t, nanoseconds, offset := r.varint(), r.uvarint(), r.varint()
	if nanoseconds >= 1e9 || offset != int64(int32(offset)) {
		r.ok = false
		return time.Time{}
	}
	if offset == 0 {
		return time.Unix(t, int64(nanoseconds)).UTC()
	}
	local := time.Unix(t, int64(nanoseconds))
	if _, o := local.Zone(); int64(o) == offset {
		return local
	}
	return local.In(time.FixedZone("", int(offset)))
}

func appendText[T string | []byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// A time among the values keeps its nanoseconds and its distance from UTC, but
// not its zone's name: seconds since 1970, nanoseconds, seconds east of UTC. It
// is not what MarshalBinary writes, which has no form for some zones.
func appendTime(b []byte, t time.Time) []byte {
	_, offset := t.Zone()
	b = binary.AppendVarint(b, t.Unix())
	b = binary.AppendUvarint(b, uint64(t.Nanosecond()))
	return binary.AppendVarint(b, int64(offset))
}

// formatVersion is the first version of every record's format.
const formatVersion = 1

// An entryReader goes through encoded values. key and value are those of the entry
// that it is at, while more is true.
type entryReader struct {
	reader
	key, value string
	more       bool
}

func readEntries(encoded string) entryReader {
	e := entryReader{reader: reader{rest: encoded, ok: true}}
	e.next()
	return e
}

// next goes on to the next entry. Keys come in their order, each once, and no value
// is empty; what is otherwise is not ok.
func (e *entryReader) next() {
	before, first := e.key, !e.more
	if e.more = e.ok && e.rest != ""; !e.more {
		return
	}
	e.key, e.value = e.text(), e.text()
	e.ok = e.ok && e.value != "" && (first || before < e.key)
	e.more = e.ok
}

const (
	headerLength = 4 // bytes
)

var errDamaged = errors.New("damaged")
