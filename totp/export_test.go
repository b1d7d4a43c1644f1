package totp

import (
	"context"
	"slices"
)

// CodeAt is codeAt: tests have the vectors of RFC 6238, which are of 8 digits.
func CodeAt(secret []byte, step int64, length int) string { return codeAt(secret, step, length) }

// Give stores a secret that the test has chosen, as EnrollFactor does.
func (f *Factor) Give(ctx context.Context, userID string, secret []byte) error {
	return f.save(ctx, entry{kind: confirmed, userID: userID, secret: secret, last: noStep}, predecessor{})
}

// SixDigits and Canonical are what becomes of an answer.
func SixDigits(values []string) (string, bool) { return sixDigits(values) }
func Canonical(values []string) (string, bool) { return canonical(values) }

// EntryAgain reports whether data is an entry, and whether it is the same after it was
// encoded and decoded again.
func EntryAgain(data []byte) (ok, same bool) {
	e, ok := decodeEntry(string(data))
	again, readable := decodeEntry(string(e.encode()))
	return ok, readable && again.kind == e.kind && again.userID == e.userID && string(again.secret) == string(e.secret) &&
		again.last == e.last && again.stamp == e.stamp
}

// CodesAgain is EntryAgain for a record of recovery codes.
func CodesAgain(data []byte) (ok, same bool) {
	s, ok := decodeCodes(data)
	return ok, slices.Equal(s.encode(), data)
}

// AnEntry returns an entry as it is sealed.
func AnEntry() []byte {
	return entry{kind: pending, userID: "7", secret: make([]byte, secretLength), last: 59_842_080, stamp: "stamp"}.encode()
}

// SomeCodes returns a record of two recovery codes.
func SomeCodes() []byte {
	s := newCodeSet()
	_, _ = s.add("7"), s.add("7")
	return s.encode()
}
