package sqlstore

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-login/auth"
)

// This file finds fields of the application's user type that encoding/json
// would lose or change. New checks the type once, and checkText checks each
// value that is saved. If JSON itself refuses a value (NaN, a pointer cycle),
// CreateUser and UpdateProfile return its error.

var (
	accountType         = reflect.TypeFor[auth.Account]()
	secretType          = reflect.TypeFor[auth.Secret]()
	marshalerType       = reflect.TypeFor[json.Marshaler]()
	unmarshalerType     = reflect.TypeFor[json.Unmarshaler]()
	textMarshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// elsewhere is the offset of an account that is not in the struct.
const elsewhere = -1

// checkFields returns an error that names a field of t which JSON would not
// save or would not read back unchanged. account is the offset of the user's
// account in t.
func checkFields(t reflect.Type, account int) error {
	c := fieldChecker{seen: map[visit]bool{}}
	return c.value(t, t.String(), true, account)
}

type visit struct {
	t           reflect.Type
	addressable bool
	account     int
}

type fieldChecker struct {
	seen map[visit]bool // ends recursive types
}

func lost(path, format string, args ...any) error {
	return fmt.Errorf("sqlstore: the field %s "+format, append([]any{path}, args...)...)
}

// value checks a type t. encoding/json calls a method with a pointer receiver
// only if the value is addressable; values in a map are not.
func (c *fieldChecker) value(t reflect.Type, path string, addressable bool, account int) error {
	if c.seen[visit{t, addressable, account}] {
		return nil
	}
	c.seen[visit{t, addressable, account}] = true
	switch t {
	case secretType:
		return nil // JSON refuses to read one back, so CreateUser and UpdateProfile return an error
	case accountType:
		return otherAccount(path)
	}
	if t.Kind() == reflect.Struct {
		if err := c.embedded(t, path); err != nil {
			return err
		}
	}
	if encodes, decodes := hasCodec(t, addressable); encodes && decodes {
		return nil // the type has methods of its own
	} else if t.Kind() != reflect.Interface && t.Kind() != reflect.Pointer {
		if encodes {
			return lost(path, "cannot be read back: %v has MarshalJSON or MarshalText; give it UnmarshalJSON or UnmarshalText as well", t)
		}
		if decodes {
			return lost(path, "cannot be read back: %v has UnmarshalJSON or UnmarshalText; give it MarshalJSON or "+
				"MarshalText as well (in a map, with a value receiver)", t)
		}
	}
	switch t.Kind() {
	case reflect.Interface:
		return lost(path, "has the interface type %v, and JSON changes its values (an int64 comes back as a float64): "+
			"use a concrete type, or json.RawMessage", t)
	case reflect.Complex64, reflect.Complex128, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return lost(path, "is a %v, which JSON cannot encode: use another type, or tag it json:\"-\" sqlstore:\"-\" if it need not be saved", t)
	case reflect.Pointer:
		return c.value(t.Elem(), path, true, elsewhere)
	case reflect.Slice:
		return c.value(t.Elem(), path+"[]", true, elsewhere)
	case reflect.Array:
		return c.value(t.Elem(), path+"[]", addressable, elsewhere)
	case reflect.Map:
		if err := checkKey(t.Key(), path); err != nil {
			return err
		}
		return c.value(t.Elem(), path+"[]", false, elsewhere)
	case reflect.Struct:
		return c.structure(t, path, addressable, account)
	default:
		return nil
	}
}

// holdsAccount reports whether the user's account is in a type. Such a type is
// valid, although JSON keeps none of the account's fields.
func holdsAccount(t reflect.Type, account int) bool { return account >= 0 && account < int(t.Size()) }

func otherAccount(path string) error {
	return lost(path, "is a second auth.Account, which JSON does not keep: save the account's ID instead")
}

// hasCodec reports whether t has methods, of its own or promoted, with which
// encoding/json encodes and decodes it.
func hasCodec(t reflect.Type, addressable bool) (encodes, decodes bool) {
	p := reflect.PointerTo(t)
	encodes = t.Implements(marshalerType) || t.Implements(textMarshalerType) ||
		addressable && (p.Implements(marshalerType) || p.Implements(textMarshalerType))
	decodes = p.Implements(unmarshalerType) || p.Implements(textUnmarshalerType)
	return encodes, decodes
}

// checkKey checks the keys of a map, which encoding/json writes as text.
func checkKey(t reflect.Type, path string) error {
	encodes, decodes := t.Implements(textMarshalerType), reflect.PointerTo(t).Implements(textUnmarshalerType)
	plain := false
	switch t.Kind() {
	case reflect.String:
		return nil // written unchanged
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		plain = true
	}
	if encodes && decodes || plain && !encodes && !decodes {
		return nil
	}
	return lost(path, "has keys of type %v, which JSON cannot write and read back: "+
		"use strings or integers, or a type with MarshalText (with a value receiver) and UnmarshalText", t)
}

// embedded checks a struct for embedded types that have MarshalJSON,
// MarshalText or their opposites. Embedding promotes the method to the struct.
// It then encodes the whole struct, and the other fields are lost.
func (c *fieldChecker) embedded(t reflect.Type, path string) error {
	for i := range t.NumField() {
		f := t.Field(i)
		target := f.Type
		if target.Kind() == reflect.Pointer {
			target = target.Elem()
		}
		encodes, decodes := hasCodec(target, true)
		if !f.Anonymous || !encodes && !decodes || !keepsMore(t, i) {
			continue
		}
		if outerEncodes, outerDecodes := hasCodec(t, true); !outerEncodes && !outerDecodes {
			if name, _ := jsonName(f); name == "" && target.Kind() == reflect.Struct {
				return lost(path+"."+f.Name, "is embedded, so JSON does not call the MarshalJSON or UnmarshalJSON of %v: "+
					"give the field a name", target)
			}
			continue
		}
		if promoted(t, i, target) {
			return lost(path+"."+f.Name, "is embedded, so JSON uses its MarshalJSON, MarshalText or their opposites for the whole %v "+
				"and loses all other fields: give the field a name", t)
		}
	}
	return nil
}

// keepsMore reports whether JSON keeps any other field of a struct than this
// one.
func keepsMore(t reflect.Type, besides int) bool {
	for i := range t.NumField() {
		if f := t.Field(i); i != besides && f.Type.Size() > 0 && (f.IsExported() || f.Anonymous) {
			return true
		}
	}
	return false
}

// promoted reports whether a struct encodes in the same way as its embedded
// field alone, or cannot decode its own encoding. Reflection cannot tell a
// promoted method from one that replaces it, so promoted encodes an empty value
// of each.
func promoted(t reflect.Type, field int, target reflect.Type) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = true // the method of a nil embedded pointer panicked
		}
	}()
	outer, inner := reflect.New(t), reflect.New(target)
	if f := outer.Elem().Field(field); f.Kind() == reflect.Pointer && f.CanSet() {
		f.Set(reflect.New(target))
	}
	text, err := json.Marshal(outer.Interface())
	innerText, innerErr := json.Marshal(inner.Interface())
	if err != nil || innerErr != nil {
		return err != nil && innerErr != nil
	}
	return string(text) == string(innerText) || json.Unmarshal(text, reflect.New(t).Interface()) != nil
}

// A leaf is a field as encoding/json sees it: fields of embedded structs count
// as fields of the outer struct.
type leaf struct {
	field   reflect.StructField
	path    string
	name    string // in JSON
	tagged  bool   // whether its tag sets the name
	depth   int
	offset  int  // of the user's account in the field, or elsewhere
	account bool // a field of the user's account, whose values are not in JSON
	exempt  bool // tagged sqlstore:"-"
}

// structure checks a struct's fields: first that each name is unique, then the
// types.
func (c *fieldChecker) structure(t reflect.Type, path string, addressable bool, account int) error {
	leaves, err := leavesOf(t, path, 0, account, nil)
	if err != nil {
		return err
	}
	if len(leaves) == 0 && t.Size() > 0 && !holdsAccount(t, account) {
		return lost(path, "is a %v without exported fields, so nothing of it would be saved: export them, or tag the field json:\"-\" sqlstore:\"-\"", t)
	}
	for _, l := range leaves {
		if l.account || l.exempt {
			continue
		}
		for _, other := range leaves {
			if other.path != l.path && other.name == l.name && !wins(l, other) {
				return lost(l.path, "would not be saved, because %s is also named %q in JSON: give it another name, "+
					"with a json tag or by naming the embedded struct", other.path, l.name)
			}
		}
		if encodes, decodes := hasCodec(l.field.Type, addressable); encodes && decodes && hasOption(l.field, "string") {
			return lost(l.path, `has the option "string" in its json tag, but its type has MarshalJSON or MarshalText: remove the option`)
		}
		if err := c.value(l.field.Type, l.path, addressable, l.offset); err != nil {
			return err
		}
	}
	return nil
}

// wins reports whether encoding/json keeps a, if a and b have the same name.
func wins(a, b leaf) bool {
	return a.depth < b.depth || a.depth == b.depth && a.tagged && !b.tagged
}

// leavesOf returns the fields of a struct that encoding/json keeps, including
// those of embedded structs. around lists the types in which t is embedded.
func leavesOf(t reflect.Type, path string, depth, account int, around []reflect.Type) ([]leaf, error) {
	var leaves []leaf
	for i := range t.NumField() {
		f := t.Field(i)
		path := path + "." + f.Name
		target := f.Type
		if f.Anonymous && target.Kind() == reflect.Pointer {
			target = target.Elem()
		}
		embedded := f.Anonymous && target.Kind() == reflect.Struct
		if f.Type.Size() == 0 || !f.IsExported() && !embedded {
			continue // unexported fields are not kept
		}
		isAccount := f.Type == accountType && int(f.Offset) == account
		exempt := f.Tag.Get("sqlstore") == "-"
		if f.Tag.Get("json") == "-" {
			if !isAccount && !exempt {
				return nil, lost(path, `would not be saved, because of its tag json:"-": remove the tag. If it need not be saved, `+
					`add the tag sqlstore:"-"`)
			}
			continue
		}
		inner := elsewhere
		if f.Type.Kind() == reflect.Struct && account >= int(f.Offset) {
			inner = account - int(f.Offset)
		}
		name, tagged := jsonName(f)
		if !embedded || tagged {
			leaves = append(leaves, leaf{f, path, name, tagged, depth, inner, isAccount, exempt})
			continue
		}
		if target == accountType && !isAccount && !exempt {
			return nil, otherAccount(path)
		}
		if f.Type.Kind() == reflect.Pointer && !f.IsExported() && !exempt {
			return nil, lost(path, "is an embedded pointer to an unexported type, which JSON cannot read back: embed the struct itself")
		}
		for _, outer := range append(around, t) {
			if outer == target {
				return nil, lost(path, "embeds %v in itself: give the field a name", target)
			}
		}
		var more []leaf
		var err error
		if isAccount || exempt {
			more = uncheckedLeaves(target, path, depth+1)
		} else if more, err = leavesOf(target, path, depth+1, inner, append(around, t)); err != nil {
			return nil, err
		}
		if len(more) == 0 && f.IsExported() && !exempt && !holdsAccount(target, inner) {
			return nil, lost(path, "is a %v without exported fields, so nothing of it would be saved: export them, or tag the field json:\"-\" sqlstore:\"-\"", target)
		}
		for _, l := range more {
			l.account, l.exempt = l.account || isAccount, l.exempt || exempt
			leaves = append(leaves, l)
		}
	}
	return leaves, nil
}

// uncheckedLeaves is leavesOf for an embedded struct that need not be kept. It checks nothing,
// but the names can still collide with others.
func uncheckedLeaves(t reflect.Type, path string, depth int) (leaves []leaf) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.IsExported() && f.Tag.Get("json") != "-" {
			name, tagged := jsonName(f)
			leaves = append(leaves, leaf{field: f, path: path + "." + f.Name, name: name, tagged: tagged, depth: depth, offset: elsewhere})
		}
	}
	return leaves
}

// jsonName returns the name of a field in JSON, and whether its tag sets the
// name. encoding/json ignores tags with other characters.
func jsonName(f reflect.StructField) (name string, tagged bool) {
	name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
	wrong := func(r rune) bool {
		return !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}
	if name == "" || strings.ContainsFunc(name, wrong) {
		return f.Name, false
	}
	return name, true
}

func hasOption(f reflect.StructField, option string) bool {
	_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	for o := range strings.SplitSeq(options, ",") {
		if o == option {
			return true
		}
	}
	return false
}

// checkText returns an error if a text in v is not UTF-8: encoding/json would
// replace the invalid bytes without an error. v has been encoded before, so it
// has no cycle.
func checkText(v reflect.Value, path string) error {
	if v.Kind() != reflect.Pointer && v.IsValid() && v.CanAddr() {
		if encodes, _ := hasCodec(v.Type(), true); encodes {
			return nil
		}
	}
	switch v.Kind() {
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return lost(path, "contains a text that is not UTF-8")
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return checkText(v.Elem(), path)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return nil
		}
		for i := range v.Len() {
			if err := checkText(v.Index(i), path+"[]"); err != nil {
				return err
			}
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if err := checkText(entries.Key(), path+"[]"); err != nil {
				return err
			}
			if err := checkText(entries.Value(), path+"[]"); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Tag.Get("json") == "-" || !f.IsExported() && !f.Anonymous {
				continue
			}
			if err := checkText(v.Field(i), path+"."+f.Name); err != nil {
				return err
			}
		}
	}
	return nil
}
