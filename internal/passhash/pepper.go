package passhash

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
)

// A Pepper is auth.Pepper.
type Pepper struct {
	ID  string
	Key []byte
}

// IsPepperID reports whether a text can be the ID of a pepper.
func IsPepperID(id string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	return id != "" && len(id) <= 16 && strings.Trim(id, plain) == ""
}

// peppered returns what is hashed in the place of a text.
func peppered(key []byte, text string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return encode(h.Sum(nil))
}
