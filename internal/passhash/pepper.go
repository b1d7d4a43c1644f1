package passhash

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
)

// A Pepper is a key of HMAC-SHA-256 that passwords go through before they are hashed. See
// auth.Pepper for what it protects from.
type Pepper struct {
	ID  string // stored with each hash
	Key []byte
}

// IsPepperID reports whether a text can be the ID of a pepper: 1 to 16 letters, digits,
// '-', '_' and '.'.
func IsPepperID(id string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	return id != "" && len(id) <= 16 && strings.Trim(id, plain) == ""
}

// peppered returns the text that is hashed instead of the given one.
func peppered(key []byte, text string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return encode(h.Sum(nil))
}
