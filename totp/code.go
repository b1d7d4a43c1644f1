package totp

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the algorithm of RFC 6238 that all apps have; HMAC-SHA-1 is not broken
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	period   = 30 // seconds in a step
	digits   = 6
	maxInput = 128 // bytes of an answer that are looked at
)

// Code returns the six digits that an authenticator app shows at a time, for an application's
// tests. secret is base32: what auth.Setup.Secret or the link has. Spaces are ignored. A code
// works once, so a test moves its clock by 30 seconds to get the next one.
func Code(secret string, at time.Time) (string, error) {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.ReplaceAll(secret, " ", "")))
	if err != nil || len(key) == 0 {
		return "", errors.New("totp: the secret is not base32") // err would say where, which tells of the secret
	}
	return codeAt(key, at.Unix()/period, digits), nil
}

// codeAt returns the code of a step: HOTP of RFC 4226, section 5.3.
func codeAt(secret []byte, step int64, length int) string {
	mac := hmac.New(sha1.New, secret)
	_, _ = mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	number := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) & 0x7fffffff
	text := fmt.Sprintf("%010d", number)
	return text[len(text)-length:]
}

// match looks for a code in the present step, the one before and the one after. step is the
// newest step after last that has the code, or last if there is none: two steps may have the
// same digits. known reports whether the code is that of any of the three, used or not.
//
// It computes and compares all three, so that its time tells nothing of which one it was.
func match(secret []byte, code string, now time.Time, last int64) (step int64, known bool) {
	present := now.Unix() / period
	step = last
	for s := present - 1; s <= present+1; s++ {
		if subtle.ConstantTimeCompare([]byte(codeAt(secret, s, digits)), []byte(code)) == 1 {
			step, known = max(step, s), true
		}
	}
	return step, known
}

// sixDigits returns the code that a form has brought. Everything else that people paste, and
// two codes at once, are no code.
func sixDigits(values []string) (string, bool) {
	text, ok := squeeze(values)
	if !ok || len(text) != digits {
		return "", false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return "", false
		}
	}
	return text, true
}

// squeeze returns the only value of a field, without spaces, hyphens and line breaks. A long
// value is refused unread.
func squeeze(values []string) (string, bool) {
	if len(values) != 1 || len(values[0]) > maxInput {
		return "", false
	}
	return strings.NewReplacer(" ", "", "\u00a0", "", "-", "", "\r", "", "\n", "").Replace(values[0]), true
}
