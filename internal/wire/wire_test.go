package wire

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

// A Reader reads what was appended. If the text is cut anywhere, it says so, and goes
// on with zero values.
func TestReader(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	b := binary.AppendVarint([]byte{7}, math.MinInt64)
	b = binary.AppendUvarint(binary.AppendVarint(b, -1), math.MaxUint64)
	b = AppendText(AppendText(AppendText(b, "susan"), ""), []byte(long))
	b = append(b, 0, 0, 1, 44) // 300
	b = append(append(b, long...), 0, 0, 0, 0)
	type all struct {
		version                 byte
		least, minus            int64
		most                    uint64
		name, none, long, block string
		empty                   string
	}
	read := func(r *Reader) all {
		return all{r.Byte(), r.Varint(), r.Varint(), r.Uvarint(), r.Text(), r.Text(), r.Text(), r.Block(), r.Block()}
	}
	r := NewReader(string(b) + "rest")
	if got, want := read(r), (all{7, math.MinInt64, -1, math.MaxUint64, "susan", "", long, long, ""}); got != want || !r.OK() || r.Rest() != "rest" {
		t.Errorf("%+v, the rest is %q, %v", got, r.Rest(), r.OK())
	}
	for n := range b {
		r := NewReader(string(b[:n]))
		if got := read(r); r.OK() || r.Rest() != "" || got.empty != "" {
			t.Errorf("cut to %d of %d bytes: %+v, the rest is %q, %v", n, len(b), got, r.Rest(), r.OK())
		}
	}
}

// Lengths that are beyond the text, or no numbers, are damaged.
func TestReaderDamaged(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\x02x", "\x80", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		r := NewReader(text)
		if got := r.Text(); got != "" || r.OK() || r.Rest() != "" {
			t.Errorf("%q has the text %q, %v", text, got, r.OK())
		}
	}
	for _, block := range []string{"", "\x00\x00\x00", "\x00\x00\x00\x02x", "\xff\xff\xff\xffx"} {
		r := NewReader(block)
		if got := r.Block(); got != "" || r.OK() || r.Rest() != "" {
			t.Errorf("%q has the block %q, %v", block, got, r.OK())
		}
	}
}

func TestValidValues(t *testing.T) {
	t.Parallel()
	entry := func(key, value string) string { return string(AppendText(AppendText(nil, key), value)) }
	for encoded, want := range map[string]bool{
		"": true, entry("a", "\x01"): true, entry("", "\x01"): true, entry("a", "\x01") + entry("b", "\xff"): true,
		entry("a", ""): false, entry("b", "\x01") + entry("a", "\x01"): false, entry("a", "\x01") + entry("a", "\x01"): false,
		"\x01a": false, "\x01": false, entry("a", "\x01") + "\x01": false,
	} {
		if ValidValues(encoded) != want {
			t.Errorf("%q is valid: %v", encoded, !want)
		}
	}
}
