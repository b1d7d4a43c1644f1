package redisstore

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-login/auth"
)

// A record is one string, at prefix + "r/" + length of the kind + "/" + kind +
// "/" + key:
//
//	20 digits   when it expires
//	20 digits   until when it is in the index of its user
//	20 digits   the Version
//	20 digits   the length of the UserID
//	13 letters  the nonce, random for each insert: it tells the index which of
//	            several records under one key, one after another, this is
//	the UserID
//	the Data
//
// Numbers are text, because numbers in Lua are doubles. They have a fixed
// width, so that they compare as text. They are decimal digits, because Redis
// lets Lua compare texts by the collation of the server's locale, and only
// digits have the same order in all of them. A hash with a field for each of
// these would take almost 400 bytes more.
const (
	digits   = 20
	nonceLen = 13 // 65 bits
	headLen  = 4*digits + nonceLen
)

// never is later than every number.
const never = "99999999999999999999"

// number writes n so that texts are ordered like the numbers, from the smallest
// on.
func number(n int64) string { return fmt.Sprintf("%020d", uint64(n)^1<<63) }

// instant is a time in microseconds, rounded down, or never for the zero Time.
func instant(t time.Time) string {
	if t.IsZero() {
		return never
	}
	return number(t.UnixMicro())
}

func encode(r auth.Record, indexed time.Time, nonce string) string {
	return instant(r.Expires) + instant(indexed) + number(r.Version) + fmt.Sprintf("%020d", len(r.UserID)) +
		nonce + r.UserID + string(r.Data)
}

var errDamaged = errors.New("the stored value is not a record of redisstore; check Prefix for a conflict with other keys")

// decode returns the record, without its name, and its nonce.
func decode(text string) (r auth.Record, nonce string, err error) {
	if len(text) < headLen {
		return auth.Record{}, "", errDamaged
	}
	expires, version, length := text[:digits], text[2*digits:3*digits], text[3*digits:4*digits]
	if expires != never {
		n, err := strconv.ParseUint(expires, 10, 64)
		if err != nil {
			return auth.Record{}, "", errDamaged
		}
		r.Expires = time.UnixMicro(int64(n ^ 1<<63)).UTC()
	}
	v, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return auth.Record{}, "", errDamaged
	}
	r.Version = int64(v ^ 1<<63)
	n, err := strconv.Atoi(length)
	rest := text[headLen:]
	if err != nil || n < 0 || n > len(rest) {
		return auth.Record{}, "", errDamaged
	}
	r.UserID, r.Data = rest[:n], []byte(rest[n:])
	return r, text[4*digits : headLen], nil
}

func (s *Records) recordKey(kind, key string) string   { return s.key("r/", kind, key) }
func (s *Records) indexKey(kind, userID string) string { return s.key("u/", kind, userID) }

// key returns a name in Redis. The length of the kind keeps kinds and keys
// apart, whatever bytes they have. The first slash keeps prefixes apart.
func (s *Records) key(what, kind, name string) string {
	return s.prefix + what + strconv.Itoa(len(kind)) + "/" + kind + "/" + name
}
