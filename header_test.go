package auth

import (
	"bytes"
	"encoding/gob"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth/internal/wire"
)

func TestHeaderRoundTrip(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli
	for _, h := range []header{
		{created: at(1), seen: at(2), authenticated: at(3)},
		{userID: "u", loginID: "l", stamp: "s", methods: "a b", address: "::1", agent: "x\x00y\xff", created: at(-1), seen: at(0), authenticated: at(math.MaxInt64 / 2)},
		{userID: strings.Repeat("u", 5000), created: at(1), seen: at(1), authenticated: at(1)},
	} {
		for _, values := range []string{"", string(wire.AppendText(wire.AppendText(nil, "k"), "\x01"))} {
			data := string(h.encode("")) + values
			var got header
			rest, ok := got.decode(data)
			if !ok || rest != values || string(got.encode("")) != data[:len(data)-len(values)] || got.userID != h.userID || !got.seen.Equal(h.seen) {
				t.Errorf("%v became %v, %q, %v", h, got, rest, ok)
			}
		}
	}
}

// Data that is cut short, or was written by another application, is no session.
func TestForeignData(t *testing.T) {
	t.Parallel()
	var scsGob bytes.Buffer // as the codec of scs writes it
	if err := gob.NewEncoder(&scsGob).Encode(&struct {
		Deadline time.Time
		Values   map[string]any
	}{time.Now(), map[string]any{"userID": "1"}}); err != nil {
		t.Fatal(err)
	}
	foreign := []string{"", "\x00", "\x01", "\x02", "{}", `{"user":"1"}`, "null", scsGob.String(), strings.Repeat("\x00", 100), strings.Repeat("\xff", 100), "\x01" + strings.Repeat("\x80", 100), strings.Repeat("\x01", 7)}
	for _, data := range foreign {
		var h header
		if _, ok := h.decode(data); ok && h.userID != "" {
			t.Errorf("%.20q is a session of %q", data, h.userID)
		}
	}
	h := header{userID: "user", loginID: "login", stamp: "stamp", methods: "password", address: "192.0.2.1", agent: "agent", created: time.UnixMilli(1e12), seen: time.UnixMilli(1e12), authenticated: time.UnixMilli(1e12)}
	values, err := wire.EncodeValues(map[string]any{"k": "v", "n": 7})
	if err != nil {
		t.Fatal(err)
	}
	head := h.encode("")
	data := string(head) + string(values)
	for n := range data {
		if rest, ok := new(header).decode(data[:n]); ok && (n < len(head) || len(entries(rest)) > 1) {
			t.Errorf("cut to %d of %d bytes it is a session", n, len(data))
		}
	}
	// Nor are values that the library would not write: unsorted, repeated, or without a
	// key.
	for name, keys := range map[string][]string{"order": {"b", "a"}, "twice": {"a", "a"}, "empty keys": {"", ""}} {
		bad := string(head)
		for _, key := range keys {
			bad += string(wire.AppendText(wire.AppendText(nil, key), "\x01"))
		}
		if _, ok := new(header).decode(bad); ok {
			t.Errorf("%s: it is a session", name)
		}
	}
	if _, ok := new(header).decode(string(head) + string(wire.AppendText(wire.AppendText(nil, "a"), ""))); ok {
		t.Error("with an empty value it is a session")
	}
}

// seedValues are encoded values, some of them damaged.
func seedValues(f *testing.F) []string {
	var seeds []string
	for _, m := range []map[string]any{
		{}, {"a": 1}, {"a": nil, "b": "text", "c": []byte{1}, "d": 1.5, "e": time.Unix(1, 2).UTC(), "f": true},
		{"h": int8(1), "i": []string{"a"}}, {"u": uint64(math.MaxUint64), "i": int64(math.MinInt64)},
		{"t": time.Date(1840, 1, 1, 0, 0, 0, 0, time.FixedZone("", -17762))},
	} {
		b, err := wire.EncodeValues(m)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, string(b))
	}
	return append(seeds, "\x01a", "\x01a\x01\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01a\x03\x08\x81\x00", "\x01b\x01\x01\x01a\x01\x01\x01a\x01\x02")
}

func FuzzDecodeSession(f *testing.F) {
	for _, h := range []header{
		{created: time.UnixMilli(1e12), seen: time.UnixMilli(1e12)},
		{userID: "user", loginID: "login", stamp: "stamp", methods: "password", address: "192.0.2.1", agent: "agent", created: time.UnixMilli(1), seen: time.UnixMilli(2)},
	} {
		for _, values := range seedValues(f) {
			f.Add(string(h.encode("")) + values)
		}
	}
	f.Add("")
	f.Add("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Fuzz(func(t *testing.T, data string) {
		var h, h2 header
		values, ok := h.decode(data)
		if !ok {
			return
		}
		if !strings.HasSuffix(data, values) {
			t.Errorf("the values %q are not from %q", values, data)
		}
		again := string(h.encode("")) + values
		values2, ok := h2.decode(again)
		if !ok || values2 != values || string(h2.encode("")) != string(h.encode("")) {
			t.Errorf("%q, read and written, is %q", data, again)
		}
		// Values that pass the check can be decoded and encoded again.
		if applied := wire.Apply(values, nil); !maps.Equal(entries(applied), entries(values)) {
			t.Errorf("%q became %q", values, applied)
		}
	})
}

// entries returns encoded values by their keys.
func entries(encoded string) map[string]string {
	m := map[string]string{}
	for _, c := range wire.Diff("", encoded) {
		m[c.Key] = c.Value
	}
	return m
}
