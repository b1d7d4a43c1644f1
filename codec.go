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
