package auth

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

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
	headerLength  = 4 // bytes
)

// formatVersion is the first version of every record's format.
const formatVersion = 1

// header is what the library knows about a session. It is not among the
// application's values, so that nothing can change it through them.
type header struct {
	userID  string // empty for a visitor
	loginID string // the same through all rotations of a login
	stamp   string // the account's, when the login was made
	methods string // how the user authenticated, separated by spaces
	address string // the client's, at the login
	agent   string // likewise
	device  string // the key of the remembered device that it was made from or with
	family  string // Login.ID; the sessions that are made from a device share it. Empty in version 1

	// If a remember cookie made the session: the counter of the cookie that
	// was sent with it, and whether no request has shown yet that the browser has
	// received the two.
	counter uint64
	unseen  bool

	authenticated time.Time // when the user last proved who they are; zero for a remembered login
	created       time.Time // when the session, or the login, began
	seen          time.Time // the last request, to the minute
}

// encode returns a record's data: the header and the encoded values.
func (h *header) encode(values string) []byte {
	texts := [...]string{h.userID, h.loginID, h.stamp, h.methods, h.address, h.agent, h.device}
	times := [...]time.Time{h.authenticated, h.created, h.seen}
	size := 2 + headerLength + (len(times)+1)*binary.MaxVarintLen64 + binary.MaxVarintLen16 + len(h.family) + len(values)
	for _, s := range texts {
		size += binary.MaxVarintLen16 + len(s)
	}
	b := append(make([]byte, 0, size), headerVersion, 0, 0, 0, 0)
	start := len(b)
	for _, s := range texts {
		b = appendText(b, s)
	}
	for _, t := range times {
		b = binary.AppendVarint(b, t.UnixMilli())
	}
	b = appendText(b, h.family)
	b = append(binary.AppendUvarint(b, h.counter), flag(h.unseen))
	binary.BigEndian.PutUint32(b[start-headerLength:], uint32(len(b)-start))
	return append(b, values...)
}

// decode reads the header of a record's data, and returns the encoded values,
// which it checks for form and does not decode.
func (h *header) decode(data string) (values string, ok bool) {
	r := reader{rest: data, ok: true}
	switch r.byte() {
	case formatVersion:
		h.decodeLogin(&r)
		values = r.rest
	case headerVersion:
		inner := reader{rest: r.block(), ok: true}
		h.decodeLogin(&inner)
		h.family, h.counter, h.unseen = inner.text(), inner.uvarint(), inner.byte() == 1
		r.ok = r.ok && inner.ok
		values = r.rest
	default:
		return "", false
	}
	entries := readEntries(values)
	for entries.more {
		entries.next()
	}
	return values, r.ok && entries.ok
}

// decodeLogin reads what all versions begin with.
func (h *header) decodeLogin(r *reader) {
	h.userID, h.loginID, h.stamp, h.methods = r.text(), r.text(), r.text(), r.text()
	h.address, h.agent, h.device = r.text(), r.text(), r.text()
	h.authenticated, h.created, h.seen = time.UnixMilli(r.varint()), time.UnixMilli(r.varint()), time.UnixMilli(r.varint())
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

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

// encodeValues encodes the application's values, in the order of their keys.
func encodeValues(values map[string]any) ([]byte, error) {
	keys := slices.AppendSeq(make([]string, 0, len(values)), maps.Keys(values))
	slices.Sort(keys)
	var b, value []byte
	for _, key := range keys {
		var err error
		if value, err = appendValue(value[:0], values[key]); err != nil {
			return nil, fmt.Errorf("auth: the session value %q cannot be stored: %w", key, err)
		}
		b = appendText(appendText(b, key), value)
	}
	return b, nil
}

// decodeValues is the reverse. Values that cannot be read, such as those of a
// type that is no longer registered with gob, are left out and returned as
// errors.
func decodeValues(encoded string) (values map[string]any, failed []error) {
	values = map[string]any{}
	for e := readEntries(encoded); e.more; e.next() {
		v, err := decodeValue(e.value)
		if err != nil {
			failed = append(failed, &valueError{e.key, err})
			continue
		}
		values[e.key] = v
	}
	return values, failed
}

// A valueError says which value cannot be read.
type valueError struct {
	key string
	err error
}

func (e *valueError) Error() string {
	return fmt.Sprintf("auth: the session value %q cannot be read: %v", e.key, e.err)
}

func (e *valueError) Unwrap() error { return e.err }

// The first byte of a value.
const (
	typeGob = iota // anything else, as gob encodes an interface
	typeNil
	typeFalse
	typeTrue
	typeString
	typeBytes
	typeTime
	typeFloat64
	typeInt
	typeInt32
	typeInt64
	typeUint
	typeUint32
	typeUint64
	typeInt8
	typeInt16
	typeUint8
	typeUint16
	typeFloat32
)

func appendValue(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(b, typeNil), nil
	case bool:
		if v {
			return append(b, typeTrue), nil
		}
		return append(b, typeFalse), nil
	case string:
		return append(append(b, typeString), v...), nil
	case []byte:
		return append(append(b, typeBytes), v...), nil
	case float64:
		return binary.LittleEndian.AppendUint64(append(b, typeFloat64), math.Float64bits(v)), nil
	case int:
		return binary.AppendVarint(append(b, typeInt), int64(v)), nil
	case int32:
		return binary.AppendVarint(append(b, typeInt32), int64(v)), nil
	case int64:
		return binary.AppendVarint(append(b, typeInt64), v), nil
	case uint:
		return binary.AppendUvarint(append(b, typeUint), uint64(v)), nil
	case uint32:
		return binary.AppendUvarint(append(b, typeUint32), uint64(v)), nil
	case uint64:
		return binary.AppendUvarint(append(b, typeUint64), v), nil
	case int8:
		return binary.AppendVarint(append(b, typeInt8), int64(v)), nil
	case int16:
		return binary.AppendVarint(append(b, typeInt16), int64(v)), nil
	case uint8:
		return binary.AppendUvarint(append(b, typeUint8), uint64(v)), nil
	case uint16:
		return binary.AppendUvarint(append(b, typeUint16), uint64(v)), nil
	case float32:
		return binary.LittleEndian.AppendUint32(append(b, typeFloat32), math.Float32bits(v)), nil
	case time.Time:
		return appendTime(append(b, typeTime), v), nil
	default:
		return appendGob(append(b, typeGob), value)
	}
}

// errPanicked is what a type's own encoder or decoder has done. What it said may be a
// part of the value, and is not for a log.
var errPanicked = errors.New("its type's encoder or decoder panicked")

func appendGob(b []byte, value any) (_ []byte, err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	var buf bytes.Buffer
	err = gob.NewEncoder(&buf).Encode(&value) // a pointer to the interface: the type goes along
	return append(b, buf.Bytes()...), err
}

var errDamaged = errors.New("damaged")

func decodeValue(encoded string) (any, error) {
	r := reader{rest: encoded, ok: true}
	kind := r.byte()
	rest := r.rest
	var value any
	switch kind {
	case typeNil:
		value = nil
	case typeFalse, typeTrue:
		value = kind == typeTrue
	case typeString:
		return rest, nil
	case typeBytes:
		return []byte(rest), nil
	case typeTime:
		value = r.time()
	case typeFloat64:
		if len(rest) != 8 {
			return nil, errDamaged
		}
		return math.Float64frombits(binary.LittleEndian.Uint64([]byte(rest))), nil
	case typeInt:
		value = int(r.varint())
	case typeInt32:
		value = int32(r.varint())
	case typeInt64:
		value = r.varint()
	case typeUint:
		value = uint(r.uvarint())
	case typeUint32:
		value = uint32(r.uvarint())
	case typeUint64:
		value = r.uvarint()
	case typeInt8:
		value = int8(r.varint())
	case typeInt16:
		value = int16(r.varint())
	case typeUint8:
		value = uint8(r.uvarint())
	case typeUint16:
		value = uint16(r.uvarint())
	case typeFloat32:
		if len(rest) != 4 {
			return nil, errDamaged
		}
		return math.Float32frombits(binary.LittleEndian.Uint32([]byte(rest))), nil
	case typeGob:
		return decodeGob(rest)
	default:
		return nil, errDamaged
	}
	if !r.ok || r.rest != "" {
		return nil, errDamaged
	}
	return value, nil
}

func decodeGob(encoded string) (value any, err error) {
	defer func() {
		if recover() != nil {
			value, err = nil, errPanicked
		}
	}()
	err = gob.NewDecoder(strings.NewReader(encoded)).Decode(&value)
	return value, err
}

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

// A change is what a request did to one key. An empty value deletes it.
type change struct{ key, value string }

// diff returns what makes newer of older, both encoded, in the order of the keys.
func diff(older, newer string) []change {
	var changes []change
	was, is := readEntries(older), readEntries(newer)
	for was.more || is.more {
		switch {
		case !is.more || was.more && was.key < is.key:
			changes = append(changes, change{key: was.key})
			was.next()
		case !was.more || is.key < was.key:
			changes = append(changes, change{is.key, is.value})
			is.next()
		default:
			if !unchanged(was.value, is.value) {
				changes = append(changes, change{is.key, is.value})
			}
			was.next()
			is.next()
		}
	}
	return changes
}

// unchanged reports whether two encoded values are the same. gob writes a map in
// any order, and older versions left more types to it, so that what it wrote must
// be read to compare it.
func unchanged(a, b string) bool {
	if a == b || a[0] != typeGob && b[0] != typeGob {
		return a == b
	}
	x, err1 := decodeValue(a)
	y, err2 := decodeValue(b)
	return err1 == nil && err2 == nil && reflect.DeepEqual(x, y)
}

// apply returns encoded values with the changes made, which are in the order of
// their keys.
func apply(encoded string, changes []change) string {
	size := len(encoded)
	for _, c := range changes {
		size += len(c.key) + len(c.value) + 2*binary.MaxVarintLen64
	}
	b := make([]byte, 0, size)
	add := func(key, value string) { b = appendText(appendText(b, key), value) }
	is := readEntries(encoded)
	for _, c := range changes {
		for ; is.more && is.key < c.key; is.next() {
			add(is.key, is.value)
		}
		if is.more && is.key == c.key {
			is.next()
		}
		if c.value != "" {
			add(c.key, c.value)
		}
	}
	for ; is.more; is.next() {
		add(is.key, is.value)
	}
	return string(b)
}
