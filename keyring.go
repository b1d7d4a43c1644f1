package auth

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
)

// A purpose separates the keys of one use from those of another: what was
// sealed for one cannot be opened for another.
type purpose string

const (
	purposeFlash purpose = "flash"
	purposeNext  purpose = "next"

	purposeReset  purpose = "reset"
	purposeVerify purpose = "verify"
	purposeEmail  purpose = "email"

	purposeRemember purpose = "remember"
	purposeBrowser  purpose = "browser"
	purposeLogin    purpose = "login" // what is no account's login, as a counter's key
	purposeForm     purpose = "form"  // whose form it is

	purposeNonce  purpose = "form nonce"
	purposeFields purpose = "form fields"
)

// A keyring seals texts that go out into the world and come back: cookies and
// mailed tokens. They are AES-256-GCM under keys derived from Config.Secrets
// by HKDF-SHA-256, one for each purpose and Config.Name.
type keyring struct {
	seals map[purpose][]cipher.AEAD
	macs  map[purpose][][]byte // keys of HMAC-SHA-256, derived alike
}

// minSecret is the least length of a secret, in bytes.
const minSecret = 32

// Texts that are known from tutorials, in which people leave them.
// They are compared without spaces, dashes and underscores.
var wellKnownSecrets = []string{
	"yoursecret", "secretkey", "changeme", "changethis", "youwillneverguess", "djangoinsecure", "mysecret",
	"supersecret", "keyboardcat", "replaceme", "0123456789abcdef0123456789abcdef", "hardtoguess", "devsecret",
	"examplesecret", "insecure", "bitsecret", "stringsecret", "32randombytes", "notfromthesource",
	"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", // FastAPI's tutorial
	"01234567890123456789", "12345678901234567890", "abcdefghijklmnopqrstuvwxyz",
}

func newKeyring(secrets [][]byte, name string) (*keyring, error) {
	if len(secrets) == 0 {
		return nil, errors.New("auth: no Secrets; make one with crypto/rand and keep it out of the source")
	}
	suffix := ""
	if name != "" {
		suffix = " @" + name // no purpose has an @ in it
	}
	k := &keyring{map[purpose][]cipher.AEAD{}, map[purpose][][]byte{}}
	for i, secret := range secrets {
		if err := checkSecret(secret); err != nil {
			return nil, fmt.Errorf("auth: Secrets[%d] %w", i, err)
		}
		for j := range i {
			if bytes.Equal(secret, secrets[j]) {
				return nil, fmt.Errorf("auth: Secrets[%d] is Secrets[%d] once more", i, j)
			}
		}
		for _, p := range []purpose{purposeFlash, purposeNext, purposeReset, purposeVerify, purposeEmail, purposeRemember, purposeBrowser, purposeLogin, purposeForm, purposeNonce, purposeFields} {
			key, err := hkdf.Key(sha256.New, secret, nil, "go-login v1 "+string(p)+suffix, 32)
			if err != nil {
				return nil, err
			}
			if p == purposeRemember || p == purposeLogin || p == purposeForm || p == purposeFields {
				k.macs[p] = append(k.macs[p], key)
				continue
			}
			block, err := aes.NewCipher(key)
			if err != nil {
				return nil, err
			}
			aead, err := cipher.NewGCMWithRandomNonce(block)
			if err != nil {
				return nil, err
			}
			k.seals[p] = append(k.seals[p], aead)
		}
	}
	return k, nil
}

func checkSecret(secret []byte) error {
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
		return fmt.Errorf("is %d bytes long, and must be at least %d", len(secret), minSecret)
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

// seal encrypts and signs data, as text for URLs and cookies.
func (k *keyring) seal(p purpose, data []byte) string {
	sealed := k.seals[p][0].Seal(nil, nil, data, []byte(p)) //nolint:gosec // it makes its own nonce
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// open returns what seal was given, under any of the secrets.
func (k *keyring) open(p purpose, text string) ([]byte, bool) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, false
	}
	for _, aead := range k.seals[p] {
		if data, err := aead.Open(nil, nil, sealed, []byte(p)); err == nil {
			return data, true
		}
	}
	return nil, false
}

// sign returns the HMAC of data, of 32 bytes.
func (k *keyring) sign(p purpose, data []byte) []byte { return hmacOf(k.macs[p][0], data) }

// verify reports whether mac is what sign has returned, under any of the
// secrets.
func (k *keyring) verify(p purpose, data, mac []byte) bool {
	for _, key := range k.macs[p] {
		if hmac.Equal(hmacOf(key, data), mac) {
			return true
		}
	}
	return false
}

func hmacOf(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

// newToken returns 256 random bits as text for a cookie.
func newToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// tokenLength is the length of what newToken returns.
const tokenLength = 43

// tokenKey is the key of a token's record: the store never sees the token.
func tokenKey(token string) string {
	var buf [tokenLength]byte
	sum := sha256.Sum256(append(buf[:0], token...))
	var key [tokenLength]byte
	base64.RawURLEncoding.Encode(key[:], sum[:])
	return string(key[:])
}

// randomVersion is a new record's version.
func randomVersion() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return int64(binary.LittleEndian.Uint64(b[:]) >> 2)
}
