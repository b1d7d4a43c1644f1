package wire

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

// EncodeValues encodes a session's values, in the order of their keys:
//
//	values = entry …
//	entry  = text (the key) text (the value, whose first byte is its type)
//
// It fails if a value's type is one that gob cannot encode.
func EncodeValues(values map[string]any) ([]byte, error) {
	keys := slices.AppendSeq(make([]string, 0, len(values)), maps.Keys(values))
	slices.Sort(keys)
	var b, value []byte
	for _, key := range keys {
		var err error
		if value, err = appendValue(value[:0], values[key]); err != nil {
			return nil, fmt.Errorf("auth: the session value %q cannot be stored: %w", key, err)
		}
		b = AppendText(AppendText(b, key), value)
	}
	return b, nil
}

// DecodeValues decodes what EncodeValues has encoded, and calls put for each value. Values
// that cannot be read, such as those of a type that is no longer registered with gob, are
// left out and returned as errors: a *[ValueError] for each of them.
func DecodeValues(encoded string, put func(key string, value any)) (failed []error) {
	for e := readEntries(encoded); e.more; e.next() {
		v, err := decodeValue(e.value)
		if err != nil {
			failed = append(failed, &ValueError{e.key, err})
			continue
		}
		put(e.key, v)
	}
	return failed
}

// A ValueError says which value cannot be read.
type ValueError struct {
	Key string
	Err error
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("auth: the session value %q cannot be read: %v", e.Key, e.Err)
}

func (e *ValueError) Unwrap() error { return e.Err }

// An entryReader goes through encoded values. key and value are those of the entry
// that it is at, while more is true.
type entryReader struct {
	Reader
	key, value string
	more       bool
}

func readEntries(encoded string) entryReader {
	e := entryReader{Reader: Reader{rest: encoded, ok: true}}
	e.next()
	return e
}

// next goes on to the next entry. If a key is out of order or repeated, or a value is
// empty, it sets ok to false.
func (e *entryReader) next() {
	before, first := e.key, !e.more
	if e.more = e.ok && e.rest != ""; !e.more {
		return
	}
	e.key, e.value = e.Text(), e.Text()
	e.ok = e.ok && e.value != "" && (first || before < e.key)
	e.more = e.ok
}

// ValidValues reports whether encoded has the form of encoded values: whole entries
// in the order of their keys. It decodes no value.
func ValidValues(encoded string) bool {
	e := readEntries(encoded)
	for e.more {
		e.next()
	}
	return e.ok
}

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

// A time among the values keeps its nanoseconds and its distance from UTC, but
// not its zone's name: seconds since 1970, nanoseconds, seconds east of UTC. It
// is not what MarshalBinary writes, which has no form for some zones.
func appendTime(b []byte, t time.Time) []byte {
	_, offset := t.Zone()
	b = binary.AppendVarint(b, t.Unix())
	b = binary.AppendUvarint(b, uint64(t.Nanosecond()))
	return binary.AppendVarint(b, int64(offset))
}

func (r *Reader) time() time.Time {
	t, nanoseconds, offset := r.Varint(), r.Uvarint(), r.Varint()
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

// errPanicked says that a type's own encoder or decoder panicked. It leaves out the
// text of the panic: that may contain a part of the value, which must not be logged.
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

func decodeValue(encoded string) (any, error) {
	r := Reader{rest: encoded, ok: true}
	kind := r.Byte()
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
			return nil, ErrDamaged
		}
		return math.Float64frombits(binary.LittleEndian.Uint64([]byte(rest))), nil
	case typeInt:
		value = int(r.Varint())
	case typeInt32:
		value = int32(r.Varint())
	case typeInt64:
		value = r.Varint()
	case typeUint:
		value = uint(r.Uvarint())
	case typeUint32:
		value = uint32(r.Uvarint())
	case typeUint64:
		value = r.Uvarint()
	case typeInt8:
		value = int8(r.Varint())
	case typeInt16:
		value = int16(r.Varint())
	case typeUint8:
		value = uint8(r.Uvarint())
	case typeUint16:
		value = uint16(r.Uvarint())
	case typeFloat32:
		if len(rest) != 4 {
			return nil, ErrDamaged
		}
		return math.Float32frombits(binary.LittleEndian.Uint32([]byte(rest))), nil
	case typeGob:
		return decodeGob(rest)
	default:
		return nil, ErrDamaged
	}
	if !r.ok || r.rest != "" {
		return nil, ErrDamaged
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

// A Change gives a key another encoded value. An empty Value deletes the key.
type Change struct{ Key, Value string }

// Diff returns the changes that turn older into newer, both encoded, in the order
// of their keys.
func Diff(older, newer string) []Change {
	var changes []Change
	was, is := readEntries(older), readEntries(newer)
	for was.more || is.more {
		switch {
		case !is.more || was.more && was.key < is.key:
			changes = append(changes, Change{Key: was.key})
			was.next()
		case !was.more || is.key < was.key:
			changes = append(changes, Change{is.key, is.value})
			is.next()
		default:
			if !unchanged(was.value, is.value) {
				changes = append(changes, Change{is.key, is.value})
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

// Apply returns encoded values with the changes made. The changes must be in the
// order of their keys, as Diff returns them.
func Apply(encoded string, changes []Change) string {
	size := len(encoded)
	for _, c := range changes {
		size += len(c.Key) + len(c.Value) + 2*binary.MaxVarintLen64
	}
	b := make([]byte, 0, size)
	add := func(key, value string) { b = AppendText(AppendText(b, key), value) }
	is := readEntries(encoded)
	for _, c := range changes {
		for ; is.more && is.key < c.Key; is.next() {
			add(is.key, is.value)
		}
		if is.more && is.key == c.Key {
			is.next()
		}
		if c.Value != "" {
			add(c.Key, c.Value)
		}
	}
	for ; is.more; is.next() {
		add(is.key, is.value)
	}
	return string(b)
}
