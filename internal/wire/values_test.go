package wire

import (
	"cmp"
	"encoding/gob"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

type codecInner struct {
	Name string
	Tags map[string]int
}

type codecOuter struct {
	Inner  codecInner
	List   []codecInner
	Ptr    *codecInner
	When   time.Time
	Shape  fmt.Stringer
	hidden int //nolint:unused // gob leaves it out
}

type codecColor int

func (c codecColor) String() string { return fmt.Sprintf("color %d", int(c)) }

type codecUnregistered struct{ X int }

// The test binary's registrations; gob panics only at conflicting ones.
func registerCodecTypes() {
	gob.Register(codecOuter{})
	gob.Register(codecColor(0))
	gob.Register(map[string]int{})
	gob.Register(map[string]any{})
	gob.Register([]any{})
}

func equalValues(a, b any) bool {
	switch a := a.(type) {
	case time.Time:
		b, ok := b.(time.Time)
		_, ao := a.Zone()
		_, bo := b.Zone()
		return ok && a.Equal(b) && ao == bo
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	}
	return reflect.DeepEqual(a, b)
}

func TestValuesRoundTrip(t *testing.T) {
	t.Parallel()
	registerCodecTypes()
	berlin := time.FixedZone("CET", 3600)
	values := map[string]any{
		"nil": nil, "true": true, "false": false, "empty string": "", "string": "héllo\x00\xff\u2028",
		"bytes": []byte{0, 1, 255}, "empty bytes": []byte{}, "nil bytes": []byte(nil), "long": strings.Repeat("x", 300),
		"float": 1.5, "float 0": 0.0, "float -0": math.Copysign(0, -1), "inf": math.Inf(-1), "nan": math.NaN(), "tiny": math.SmallestNonzeroFloat64,
		"int": 42, "int 0": 0, "int min": math.MinInt, "int max": math.MaxInt, "int -1": -1,
		"int32": int32(math.MinInt32), "int64": int64(math.MinInt64), "int64 max": int64(math.MaxInt64),
		"uint": uint(math.MaxUint), "uint32": uint32(math.MaxUint32), "uint64": uint64(math.MaxUint64), "uint 0": uint(0),
		"time": time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), "time zone": time.Date(2026, 1, 2, 3, 4, 5, 6, berlin),
		"time zero": time.Time{},
		"time west": time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", -12*3600)),
		"int8":      int8(math.MinInt8), "int16": int16(math.MinInt16), "uint8": uint8(math.MaxUint8), "uint16": uint16(math.MaxUint16), "float32": float32(0.5), "float32 max": float32(math.MaxFloat32), "int8 max": int8(math.MaxInt8), "complex": complex(1, 2),
		"strings": []string{"a", "b"}, "ints": []int{1, 2}, "map": map[string]int{"a": 1, "b": 2}, "any map": map[string]any{"x": 1, "y": "z"},
		"nested": codecOuter{Inner: codecInner{"n", map[string]int{"a": 1}}, List: []codecInner{{Name: "l"}}, Ptr: &codecInner{Name: "p"}, When: time.Unix(1, 2).UTC(), Shape: codecColor(7)},
		"color":  codecColor(3), "": "empty key", "\x00\xff": "odd key", strings.Repeat("k", 300): "long key", "anys": []any{1, "x", false},
	}
	encoded, err := EncodeValues(values)
	if err != nil {
		t.Fatal(err)
	}
	decoded, failed := decoded(string(encoded))
	if len(failed) > 0 {
		t.Error(failed)
	}
	for key, want := range values {
		if key == "nil bytes" {
			want = []byte{} // GetBytes cannot tell
		}
		if got, ok := decoded[key]; !ok || !equalValues(want, got) {
			t.Errorf("%.20q: %#v became %#v", key, want, got)
		}
	}
	if len(decoded) != len(values) {
		t.Errorf("%d values became %d", len(values), len(decoded))
	}
	if b, err := EncodeValues(nil); len(b) != 0 || err != nil {
		t.Errorf("no values are %q, %v", b, err)
	}
}

func TestUnstorableValues(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"unregistered": codecUnregistered{1}, "function": func() {}, "channel": make(chan int), "nil pointer": (*codecUnregistered)(nil),
		"empty struct": struct{}{}, "error": fmt.Errorf("x"),
	} {
		b, err := EncodeValues(map[string]any{"a": 1, "the key": value})
		if err == nil || !strings.Contains(err.Error(), `"the key"`) || b != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every time has a form, also those whose zone gob and MarshalBinary refuse:
// London's local mean time was 75 seconds behind.
func TestTimesWithOddZones(t *testing.T) {
	t.Parallel()
	for _, offset := range []int{-75, -60, -61, -119, 59, -30, -120, 14 * 3600, -12*3600 - 30, 40000 * 60} {
		want := time.Date(1840, 1, 1, 0, 0, 0, 0, time.FixedZone("odd", offset))
		b, err := EncodeValues(map[string]any{"t": want})
		if err != nil {
			t.Errorf("offset %d: %v", offset, err)
			continue
		}
		values, failed := decoded(string(b))
		if got, ok := values["t"].(time.Time); !ok || !got.Equal(want) || len(failed) > 0 {
			t.Errorf("offset %d: %v became %v (%v)", offset, want, values["t"], failed)
		}
	}
}

// A value that this version cannot read does not take the others with it.
func TestUnknownValues(t *testing.T) {
	t.Parallel()
	good, err := EncodeValues(map[string]any{"a": 1, "z": "last"})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"\xff", "\x50future", "\x00", "\x00garbage", "\x01x", "\x02x", "\x06", "\x06\xff", "\x07short", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x08", "\x0dx\x80"} {
		encoded := Apply(string(good), []Change{{"m", bad}})
		values, failed := decoded(encoded)
		if len(failed) != 1 || !strings.Contains(failed[0].Error(), `"m"`) || !reflect.DeepEqual(values, map[string]any{"a": 1, "z": "last"}) {
			t.Errorf("%q: %v, %v", bad, values, failed)
		}
	}
}

func TestDiffAndApply(t *testing.T) {
	t.Parallel()
	encode := func(m map[string]any) string {
		b, err := EncodeValues(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	older := encode(map[string]any{"a": 1, "b": 2, "c": nil, "": ""})
	newer := encode(map[string]any{"a": 1, "b": 3, "d": "", "c": ""})
	changes := Diff(older, newer)
	if len(changes) != 4 {
		t.Errorf("changes: %q", changes)
	}
	if got := Apply(older, changes); got != newer {
		t.Errorf("%q, want %q", got, newer)
	}
	if got := Diff(newer, newer); len(got) != 0 {
		t.Errorf("nothing changed: %q", got)
	}
	// What another request did to other keys survives.
	theirs := encode(map[string]any{"a": 1, "b": 2, "c": nil, "": "", "theirs": true})
	want := encode(map[string]any{"a": 1, "b": 3, "d": "", "c": "", "theirs": true})
	if got := Apply(theirs, changes); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// gob writes the entries of a map in any order. A map that nobody has changed
// must not count as changed, or it would undo what another request put.
func TestUnchangedMapIsNoChange(t *testing.T) {
	t.Parallel()
	registerCodecTypes()
	m := map[string]int{}
	for i := range 30 {
		m[fmt.Sprint("key", i)] = i
	}
	older, err := EncodeValues(map[string]any{"map": m})
	if err != nil {
		t.Fatal(err)
	}
	values, failed := decoded(string(older))
	if len(failed) > 0 {
		t.Fatal(failed)
	}
	values["other"] = 1
	newer, err := EncodeValues(values)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Diff(string(older), string(newer)) {
		if c.Key != "other" {
			t.Errorf("the value %q, which was not touched, counts as changed", c.Key)
		}
	}
	values["map"] = maps.Clone(m)
	delete(m, "key7")
	values["map"] = m
	if newer, err = EncodeValues(values); err != nil {
		t.Fatal(err)
	}
	if n := len(Diff(string(older), string(newer))); n != 2 {
		t.Errorf("%d changes where the map was changed", n)
	}
}

// Nor does a value that had no form of its own yet when it was written.
func TestValueFromGobIsNoChange(t *testing.T) {
	t.Parallel()
	small, err := appendGob([]byte{typeGob}, int8(7))
	if err != nil {
		t.Fatal(err)
	}
	older := Apply("", []Change{{"small", string(small)}})
	values, failed := decoded(older)
	values["other"] = 1
	newer, err := EncodeValues(values)
	if err != nil || len(failed) > 0 {
		t.Fatal(err, failed)
	}
	if changes := Diff(older, string(newer)); len(changes) != 1 || changes[0].Key != "other" {
		t.Errorf("changes: %q", changes)
	}
	values["small"] = int8(8)
	if newer, err = EncodeValues(values); err != nil || len(Diff(older, string(newer))) != 2 {
		t.Errorf("another value is no change (%v)", err)
	}
}

// seedValues are encoded values of all types, and some that are damaged.
func seedValues(f *testing.F) []string {
	registerCodecTypes()
	var seeds []string
	for _, m := range []map[string]any{
		{}, {"a": 1}, {"a": nil, "b": "text", "c": []byte{1}, "d": 1.5, "e": time.Unix(1, 2).UTC(), "f": true},
		{"g": map[string]int{"x": 1}, "h": int8(1), "i": []string{"a"}}, {"u": uint64(math.MaxUint64), "i": int64(math.MinInt64)},
		{"t": time.Date(1840, 1, 1, 0, 0, 0, 0, time.FixedZone("", -17762))},
	} {
		b, err := EncodeValues(m)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, string(b))
	}
	return append(seeds, "\x01a", "\x01a\x01\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01a\x03\x08\x81\x00", "\x01b\x01\x01\x01a\x01\x01\x01a\x01\x02")
}

func FuzzDecodeValues(f *testing.F) {
	for _, seed := range seedValues(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		values, _ := decoded(encoded)
		again, err := EncodeValues(values)
		if err != nil {
			t.Fatalf("what was read of %q cannot be written: %v", encoded, err)
		}
		if len(again) > 4*len(encoded)+1024 {
			t.Errorf("%d bytes became %d", len(encoded), len(again))
		}
		stable, failed := decoded(string(again))
		if len(failed) > 0 || len(stable) != len(values) {
			t.Fatalf("%q, read and written, cannot be read: %v", encoded, failed)
		}
		for key, value := range values {
			if a, err := appendValue(nil, value); err == nil && len(a) > 0 && a[0] != typeGob && !equalValues(value, stable[key]) {
				t.Errorf("%q: %#v became %#v", key, value, stable[key])
			}
		}
	})
}

// What a request has changed is made in whatever another one has left of the same
// session, and nothing else: what maps would have.
func FuzzDiffApply(f *testing.F) {
	seeds := seedValues(f)
	for i, seed := range seeds {
		f.Add(seed, seeds[(i+1)%len(seeds)], seeds[(i+2)%len(seeds)])
	}
	f.Fuzz(func(t *testing.T, older, newer, theirs string) {
		older, newer, theirs = Apply(older, nil), Apply(newer, nil), Apply(theirs, nil) // as they are in records
		was, is, want := entries(older), entries(newer), entries(theirs)
		for key := range was {
			if is[key] == "" {
				delete(want, key)
			}
		}
		for key, value := range is {
			if was[key] == "" || !unchanged(was[key], value) {
				want[key] = value
			}
		}
		changes := Diff(older, newer)
		got := Apply(theirs, changes)
		if !maps.Equal(entries(got), want) {
			t.Errorf("Apply(%q, Diff(%q, %q)) is %q", theirs, older, newer, got)
		}
		if len(Diff(newer, newer)) > 0 || Apply(newer, nil) != newer {
			t.Errorf("%q differs from itself", newer)
		}
		if again := Apply(got, changes); again != got {
			t.Errorf("changes made twice are %q", again)
		}
	})
}

// entries returns encoded values by their keys.
func entries(encoded string) map[string]string {
	m := map[string]string{}
	for e := readEntries(encoded); e.more; e.next() {
		m[e.key] = e.value
	}
	return m
}

// docs/sessions.md says how many bytes a value of each type takes that has a form
// of its own.
func TestSizesOfValues(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "sessions.md"))
	if err != nil {
		t.Fatal(err)
	}
	odd := time.Unix(math.MinInt64, 999_999_999).In(time.FixedZone("", math.MinInt32))
	values := map[string][]any{ // the smallest and the largest
		"nil": {nil, nil}, "bool": {false, true}, "string": {"", ""}, "[]byte": {[]byte{}, []byte{}},
		"int8": {int8(0), int8(math.MinInt8)}, "uint8": {uint8(0), uint8(math.MaxUint8)},
		"int16": {int16(0), int16(math.MinInt16)}, "uint16": {uint16(0), uint16(math.MaxUint16)},
		"int32": {int32(0), int32(math.MinInt32)}, "uint32": {uint32(0), uint32(math.MaxUint32)},
		"int": {0, math.MinInt}, "int64": {int64(0), int64(math.MinInt64)}, "uint": {uint(0), uint(math.MaxUint)}, "uint64": {uint64(0), uint64(math.MaxUint64)},
		"float32": {float32(0), float32(math.MaxFloat32)}, "float64": {0.0, math.MaxFloat64},
		"time.Time": {time.Unix(0, 0).UTC(), odd},
	}
	row := regexp.MustCompile("(?m)^\\| (`.*`) \\| (\\d+)(?: to (\\d+))?.*\\|$")
	for _, r := range row.FindAllStringSubmatch(string(document), -1) {
		for name := range strings.SplitSeq(strings.ReplaceAll(r[1], "`", ""), ", ") {
			most := cmp.Or(r[3], r[2])
			for i, want := range []string{r[2], most} {
				if values[name] == nil {
					t.Errorf("what is a %s?", name)
					continue
				}
				b, err := appendValue(nil, values[name][i])
				if err != nil || fmt.Sprint(len(b)) != want || b[0] == typeGob {
					t.Errorf("%s: %#v takes %d bytes, and not %s (%v)", name, values[name][i], len(b), want, err)
				}
			}
			delete(values, name)
		}
	}
	if len(values) > 0 {
		t.Errorf("docs/sessions.md has nothing of %v", slices.Collect(maps.Keys(values)))
	}
}

// decoded returns the values that DecodeValues calls put for.
func decoded(encoded string) (values map[string]any, failed []error) {
	values = map[string]any{}
	failed = DecodeValues(encoded, func(key string, value any) { values[key] = value })
	return values, failed
}
