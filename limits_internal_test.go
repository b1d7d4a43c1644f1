package auth

import (
	"testing"
	"time"
)

// The wait grows as documented. It never falls as the count grows, and never exceeds an
// hour.
func TestWait(t *testing.T) {
	t.Parallel()
	for count, want := range map[uint64]time.Duration{
		0: 0, 4: 0, 5: 30 * time.Second, 6: time.Minute, 7: 2 * time.Minute, 11: 32 * time.Minute, 12: time.Hour, 13: time.Hour,
		99: time.Hour, 1e9: time.Hour, 1 << 63: time.Hour, 1<<64 - 1: time.Hour,
	} {
		if got := waitAfter(count); got != want {
			t.Errorf("after %d: %v, want %v", count, got, want)
		}
	}
	last := time.Duration(0)
	for count := range uint64(1000) {
		if got := waitAfter(count); got < last {
			t.Errorf("after %d: %v, and before %v", count, got, last)
		} else {
			last = got
		}
	}
}

// A counter is decoded as it was encoded. Other data is no counter.
func TestCounterCodec(t *testing.T) {
	t.Parallel()
	for _, n := range []counter{
		{count: 1, since: time.UnixMilli(1)}, {count: 100, since: time.Unix(1e9, 0)}, {count: 1<<64 - 1, since: time.UnixMilli(-1 << 63)},
		{count: 0, since: time.UnixMilli(1<<63 - 1)},
	} {
		n.encode()
		got, ok := decodeCounter(n.record)
		if !ok || got.count != n.count || !got.since.Equal(n.since) {
			t.Errorf("%d since %v: %d since %v, %v", n.count, n.since, got.count, got.since, ok)
		}
		for i := range n.record.Data {
			if _, ok := decodeCounter(Record{Data: n.record.Data[:i]}); ok {
				t.Errorf("%q is taken for a counter", n.record.Data[:i])
			}
		}
		if _, ok := decodeCounter(Record{Data: append(n.record.Data, 0)}); ok {
			t.Errorf("%q and a zero is taken for a counter", n.record.Data)
		}
	}
}
