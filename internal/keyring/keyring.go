// Package keyring seals and signs texts that go out into the world and come back,
// such as cookies and mailed tokens. It also makes the random tokens that a store
// knows by their hash only.
package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// A Keyring seals some texts, and signs others. Sealed texts are AES-256-GCM,
// signatures are HMAC-SHA-256. The keys are derived from secrets by HKDF-SHA-256, one
// for each secret, purpose and name. Several goroutines may use a Keyring at once.
//
// A purpose separates the keys of one use from those of another: what was sealed for
// one purpose cannot be opened for another. It is a constant without an @, and is
// used either to seal or to sign.
type Keyring struct {
	secrets [][]byte // pseudorandom keys, as HKDF extracts them
	suffix  string   // of every purpose

	mu   sync.RWMutex
	keys map[string][]purposeKey // by purpose: one for each secret
}

// A purposeKey is what is derived from one secret for one purpose.
type purposeKey struct {
	mac  []byte
	seal cipher.AEAD
}

// minSecret is the least length of a secret, in bytes.
const minSecret = 32

// wellKnownSecrets are secrets copied from tutorials. They are compared without
// spaces, dashes and underscores.
var wellKnownSecrets = []string{
	"yoursecret", "secretkey", "changeme", "changethis", "youwillneverguess", "djangoinsecure", "mysecret",
	"supersecret", "keyboardcat", "replaceme", "0123456789abcdef0123456789abcdef", "hardtoguess", "devsecret",
	"examplesecret", "insecure", "bitsecret", "stringsecret", "32randombytes", "notfromthesource",
	"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", // FastAPI's tutorial
	"01234567890123456789", "12345678901234567890", "abcdefghijklmnopqrstuvwxyz",
}

// New returns a Keyring. The first of the secrets seals and signs, and all of them
// open and verify. Two keyrings with different names cannot open each other's texts.
// A name has no @ in it.
func New(secrets [][]byte, name string) (*Keyring, error) {
	if len(secrets) == 0 {
		return nil, errors.New("auth: no Secrets; make one with crypto/rand and keep it out of the source")
	}
	suffix := ""
	if name != "" {
		suffix = " @" + name // no purpose has an @ in it
	}
	k := &Keyring{suffix: suffix, keys: map[string][]purposeKey{}}
	for i, secret := range secrets {
		if err := CheckSecret(secret); err != nil {
			return nil, fmt.Errorf("auth: Config.Secrets[%d] %w", i, err)
		}
		for j := range i {
			if bytes.Equal(secret, secrets[j]) {
				return nil, fmt.Errorf("auth: Config.Secrets[%d] equals Secrets[%d]; remove one of them", i, j)
			}
		}
		extracted, err := hkdf.Extract(sha256.New, secret, nil)
		if err != nil {
			return nil, err
		}
		k.secrets = append(k.secrets, extracted)
	}
	return k, nil
}

// of returns the keys of a purpose, in the order of the secrets. They are derived at
// first use.
func (k *Keyring) of(purpose string) []purposeKey {
	k.mu.RLock()
	keys := k.keys[purpose]
	k.mu.RUnlock()
	if keys != nil {
		return keys
	}
	for _, secret := range k.secrets {
		keys = append(keys, derive(secret, "go-login v1 "+purpose+k.suffix))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[purpose] = keys
	return keys
}

// derive panics only if a length below is not one of the algorithm's.
func derive(secret []byte, info string) purposeKey {
	key, err := hkdf.Expand(sha256.New, secret, info, 32)
	if err != nil {
		panic(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return purposeKey{key, aead}
}

// CheckSecret returns what is wrong with a secret, or nil: it is too short, is not
// random, or has a text in it that everybody knows. The error begins with a verb,
// and its subject is the secret.
func CheckSecret(secret []byte) error {
	lower := bytes.ToLower(secret)
	for _, separator := range []string{" ", "-", "_"} {
		lower = bytes.ReplaceAll(lower, []byte(separator), nil)
	}
	for _, known := range wellKnownSecrets {
		if bytes.Contains(lower, []byte(known)) {
			return errors.New("is a well-known text")
		}
	}
	if len(secret) < minSecret {
		return fmt.Errorf("is %d bytes long, and must be at least %d; make one with openssl rand -base64 32", len(secret), minSecret)
	}
	distinct := map[byte]bool{}
	for _, b := range secret {
		distinct[b] = true
	}
	if len(distinct) < 8 { // 32 random bytes have 30, hexadecimal digits 14
		return errors.New("is not random")
	}
	for n := 1; n < minSecret && n <= len(secret)/2; n++ {
		if bytes.HasPrefix(secret, secret[n:]) {
			return fmt.Errorf("is %d bytes again and again", n)
		}
	}
	return nil
}

// A sealed text has in it
//
//	version  1 byte
//	until    8 bytes, Unix milliseconds, big endian
//	data     the rest
//
// Earlier versions sealed mailed tokens as version 2, in the same layout.
const (
	sealVersion   = 1
	mailedVersion = 2
	sealHeader    = 1 + 8
)

// Seal encrypts and signs data, which Open returns before the time until. The text
// fits into URLs and cookies.
func (k *Keyring) Seal(purpose string, data []byte, until time.Time) string {
	b := make([]byte, 0, sealHeader+len(data))
	b = binary.BigEndian.AppendUint64(append(b, sealVersion), uint64(until.UnixMilli()))
	sealed := k.of(purpose)[0].seal.Seal(nil, nil, append(b, data...), []byte(purpose)) //nolint:gosec // it makes its own nonce
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// Open returns the data of a text that Seal has made for the same purpose, under any
// of the secrets, and until when the text can be opened. To the millisecond, now must
// be before that. ok is false for every other text.
func (k *Keyring) Open(purpose, text string, now time.Time) (data []byte, until time.Time, ok bool) {
	b, ok := k.decrypt(purpose, text)
	if !ok || len(b) < sealHeader || b[0] != sealVersion && b[0] != mailedVersion {
		return nil, time.Time{}, false
	}
	until = time.UnixMilli(int64(binary.BigEndian.Uint64(b[1:])))
	if !now.Before(until) {
		return nil, time.Time{}, false
	}
	return b[sealHeader:], until, true
}

// Decode decodes a text in base64url without padding. It accepts one spelling of each
// value only: Go's decoder alone would skip line breaks.
func Decode(text string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return b, err == nil && !strings.ContainsAny(text, "\r\n")
}

// decrypt returns what Seal has encrypted, under any of the secrets.
func (k *Keyring) decrypt(purpose, text string) ([]byte, bool) {
	sealed, ok := Decode(text)
	if !ok {
		return nil, false
	}
	for _, key := range k.of(purpose) {
		if b, err := key.seal.Open(nil, nil, sealed, []byte(purpose)); err == nil {
			return b, true
		}
	}
	return nil, false
}

// Sign returns a keyed hash of data, of 32 bytes.
func (k *Keyring) Sign(purpose string, data []byte) []byte { return HMAC(k.of(purpose)[0].mac, data) }

// Verify reports whether mac is what Sign has returned for the same purpose and data,
// under any of the secrets. How long it takes does not depend on how much of mac is
// right.
func (k *Keyring) Verify(purpose string, data, mac []byte) bool {
	for _, key := range k.of(purpose) {
		if hmac.Equal(HMAC(key.mac, data), mac) {
			return true
		}
	}
	return false
}

// HMAC returns the HMAC-SHA-256 of data.
func HMAC(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

// NewToken returns 256 random bits as text for a URL or a cookie.
func NewToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// TokenLength is the length of what NewToken returns.
const TokenLength = 43

// TokenKey returns the hash under which a store knows a token: the store never sees
// the token itself.
func TokenKey(token string) string {
	var buf [TokenLength]byte
	sum := sha256.Sum256(append(buf[:0], token...))
	var key [TokenLength]byte
	base64.RawURLEncoding.Encode(key[:], sum[:])
	return string(key[:])
}

// RandomVersion returns 62 random bits, for the version of a new record.
func RandomVersion() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return int64(binary.LittleEndian.Uint64(b[:]) >> 2)
}
