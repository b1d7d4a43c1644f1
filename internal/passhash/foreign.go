package passhash

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // in PBKDF2, where nothing depends on collisions
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/blowfish" //nolint:staticcheck // bcrypt is made of it
	"golang.org/x/crypto/scrypt"
)

// Bounds of the parameters of hashes that other frameworks made. At the bounds, a hash
// takes about as long as the most expensive Argon2id that fits in 64 MiB: a second or
// two. The memory of scrypt (N·r/8 KiB) is also bounded by Config.Password.HashMemory.
const (
	maxPBKDF2Iterations = 3_000_000
	minBcryptCost       = 4
	maxBcryptCost       = 15
	maxScryptN          = 1 << 20
	maxScryptR          = 32
	maxScryptP          = 16
	maxScryptNRP        = 1 << 22
)

// Estimates of what the schemes cost, in the unit of argon2Work. BenchmarkWork measured
// them on an idle Intel Xeon of 2.6 GHz with the SHA extensions, where a new hash
// (m=19456, t=2) takes 20 ms:
//
//   - PBKDF2, 100,000 iterations: 17 ms with SHA-1, 14 ms with SHA-256, 43 ms with SHA-512
//   - bcrypt, cost 8: 13 ms
//   - scrypt, N=16384, r=8, p=1: 34 ms
//
// The estimates are a little lower than the measurements. An attempt that ends too early
// tells an attacker that the hash is an old one; an attempt that ends a little late does
// not. Without SHA extensions PBKDF2 takes up to four times as long.
const (
	pbkdf2SHA1Work   = 30 // for 100 iterations
	pbkdf2SHA256Work = 26 // for 100 iterations
	pbkdf2SHA512Work = 80 // for 100 iterations
	bcryptWork       = 96 // for cost 0; each step of the cost doubles it
	scryptWork       = 40 // for N·r·p = 100
)

// A scheme is a text format of password hashes. A hash ends with its digest; the text
// before the digest is the head.
type scheme struct {
	prefix string
	digest coding
	// parse reads a head. It returns false if the head is spelled in another way than
	// the libraries write it, if a parameter is out of bounds, or if a digest of size
	// bytes does not belong to it.
	parse func(head string, size int) (recipe, bool)
}

// schemes are all formats that can be verified, with that of new hashes as the first.
var schemes = []scheme{
	{argon2idPrefix, base64.RawStdEncoding, parseArgon2},
	{"$argon2i$", base64.RawStdEncoding, parseArgon2},
	{"$2a$", bcryptCoding, parseBcrypt},
	{"$2b$", bcryptCoding, parseBcrypt},
	{"$2y$", bcryptCoding, parseBcrypt},

	{"pbkdf2:", hexCoding{}, parseWerkzeugPBKDF2},
	{"scrypt:", hexCoding{}, parseWerkzeugScrypt},

	{"pbkdf2_sha256$", base64.StdEncoding, parseDjangoPBKDF2},
	{"pbkdf2_sha1$", base64.StdEncoding, parseDjangoPBKDF2},
	{"scrypt$", base64.StdEncoding, parseDjangoScrypt},
	{"argon2$", base64.RawStdEncoding, parseDjangoArgon2},
	{"bcrypt$", bcryptCoding, parseDjangoBcrypt},
	{"bcrypt_sha256$", bcryptCoding, parseDjangoBcrypt},
}

func schemeOf(text string) (scheme, bool) {
	for _, s := range schemes {
		if strings.HasPrefix(text, s.prefix) {
			return s, true
		}
	}
	return scheme{}, false
}

// split divides a hash into its head and its digest.
func split(text string) (s scheme, head string, digest []byte, ok bool) {
	s, ok = schemeOf(text)
	if !ok {
		return s, "", nil, false
	}
	n := strings.LastIndexByte(text, '$') + 1
	if s.digest == bcryptCoding { // no separator between salt and digest
		n = max(n, len(text)-bcryptCoding.EncodedLen(bcryptDigest))
	}
	digest, ok = decode(s.digest, text[n:])
	return s, text[:n], digest, ok
}

// A coding writes bytes as text.
type coding interface {
	EncodeToString(b []byte) string
	DecodeString(text string) ([]byte, error)
}

// decode accepts only the spelling that EncodeToString writes. Package base64 alone would
// also accept line ends and trailing bits that encode nothing.
func decode(c coding, text string) ([]byte, bool) {
	b, err := c.DecodeString(text)
	return b, err == nil && c.EncodeToString(b) == text
}

type hexCoding struct{}

func (hexCoding) EncodeToString(b []byte) string { return hex.EncodeToString(b) }

func (hexCoding) DecodeString(text string) ([]byte, error) { return hex.DecodeString(text) }

// number reads a decimal number from least to most, without sign and leading zeros.
func number(text string, least, most uint64) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == text && n >= least && n <= most
}

// parseWerkzeugPBKDF2 reads pbkdf2:sha256:1000000$salt$.
func parseWerkzeugPBKDF2(head string, size int) (recipe, bool) {
	f := strings.Split(head, "$")
	method := strings.Split(f[0], ":")
	if len(f) != 3 || len(method) != 3 {
		return recipe{}, false
	}
	return pbkdf2Recipe(method[1], method[2], f[1], size)
}

// parseDjangoPBKDF2 reads pbkdf2_sha256$1000000$salt$.
func parseDjangoPBKDF2(head string, size int) (recipe, bool) {
	f := strings.Split(head, "$")
	if len(f) != 4 {
		return recipe{}, false
	}
	return pbkdf2Recipe(strings.TrimPrefix(f[0], "pbkdf2_"), f[1], f[2], size)
}

func pbkdf2Recipe(name, iterations, salt string, size int) (recipe, bool) {
	var sum func() hash.Hash
	var work uint64
	switch name {
	case "sha1":
		sum, work = sha1.New, pbkdf2SHA1Work
	case "sha256":
		sum, work = sha256.New, pbkdf2SHA256Work
	case "sha512":
		sum, work = sha512.New, pbkdf2SHA512Work
	default:
		return recipe{}, false
	}
	n, ok := number(iterations, 1, maxPBKDF2Iterations)
	if !ok || !isForeignSalt(salt) || size != sum().Size() {
		return recipe{}, false
	}
	return recipe{
		work: n * work / 100,
		derive: func(password string) []byte {
			digest, _ := pbkdf2.Key(sum, password, []byte(salt), int(n), size) // fails only if FIPS 140 is enforced
			return digest
		},
	}, true
}

// isForeignSalt checks the salt of a hash that another framework made. Such a salt is
// text, and short ones are accepted: the hash exists, so a longer salt cannot be asked for.
func isForeignSalt(salt string) bool { return salt != "" && len(salt) <= maxSaltOrKey }

// parseWerkzeugScrypt reads scrypt:32768:8:1$salt$.
func parseWerkzeugScrypt(head string, size int) (recipe, bool) {
	f := strings.Split(head, "$")
	method := strings.Split(f[0], ":")
	if len(f) != 3 || len(method) != 4 {
		return recipe{}, false
	}
	return scryptRecipe(method[1], method[2], method[3], f[1], size)
}

// parseDjangoScrypt reads scrypt$16384$salt$8$1$.
func parseDjangoScrypt(head string, size int) (recipe, bool) {
	f := strings.Split(head, "$")
	if len(f) != 6 {
		return recipe{}, false
	}
	return scryptRecipe(f[1], f[3], f[4], f[2], size)
}

func scryptRecipe(textN, textR, textP, salt string, size int) (recipe, bool) {
	n, okN := number(textN, 2, maxScryptN)
	r, okR := number(textR, 1, maxScryptR)
	p, okP := number(textP, 1, maxScryptP)
	if !okN || !okR || !okP || n&(n-1) != 0 || n*r*p > maxScryptNRP || !isForeignSalt(salt) || size != 64 {
		return recipe{}, false
	}
	return recipe{
		memory: uint32((n*r + 7) / 8), // 128 bytes each
		work:   n * r * p * scryptWork / 100,
		derive: func(password string) []byte {
			digest, _ := scrypt.Key([]byte(password), []byte(salt), int(n), int(r), int(p), size) // fails only for parameters that the checks above refuse
			return digest
		},
	}, true
}

// parseDjangoArgon2 reads argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$.
func parseDjangoArgon2(head string, size int) (recipe, bool) {
	head = strings.TrimPrefix(head, "argon2")
	if !strings.HasPrefix(head, "$argon2id$") && !strings.HasPrefix(head, "$argon2i$") {
		return recipe{}, false
	}
	return parseArgon2(head, size)
}

// parseDjangoBcrypt reads bcrypt_sha256$$2b$12$ and a salt, or bcrypt$$2b$12$ and a salt.
// bcrypt alone ignores the bytes of a password after the 72nd. With SHA-256 before it, the
// whole password counts.
func parseDjangoBcrypt(head string, size int) (recipe, bool) {
	name, head, _ := strings.Cut(head, "$")
	r, ok := parseBcrypt(head, size)
	if ok && name == "bcrypt_sha256" {
		r = r.of(func(password string) string {
			sum := sha256.Sum256([]byte(password))
			return hex.EncodeToString(sum[:])
		})
	}
	return r, ok
}

const (
	bcryptSalt     = 16 // bytes
	bcryptDigest   = 23
	bcryptPassword = 72 // further bytes of a password are ignored
)

// bcryptCoding is the base64 of bcrypt.
var bcryptCoding = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// parseBcrypt reads $2b$12$ and a salt of 22 characters. The letters a, b and y stand for
// versions of other libraries, of which some had bugs. They all name the same function.
func parseBcrypt(head string, size int) (recipe, bool) {
	if len(head) != len("$2b$12$")+bcryptCoding.EncodedLen(bcryptSalt) || size != bcryptDigest ||
		head[:2] != "$2" || strings.IndexByte("aby", head[2]) < 0 || head[3] != '$' || head[6] != '$' {
		return recipe{}, false
	}
	cost, err := strconv.ParseUint(head[4:6], 10, 8)
	if err != nil || cost < minBcryptCost || cost > maxBcryptCost {
		return recipe{}, false
	}
	// The last character has four bits that encode nothing. Some libraries set them, so
	// decode would be too strict.
	salt, err := bcryptCoding.DecodeString(head[7:])
	if err != nil || len(salt) != bcryptSalt {
		return recipe{}, false
	}
	return recipe{
		work:   bcryptWork << cost,
		derive: func(password string) []byte { return bcrypt(password, salt, uint(cost)) },
	}, true
}

// bcrypt returns the digest of a password and a salt. The function of the same name in
// golang.org/x/crypto is no help: it chooses the salt itself, and so cannot compute the
// digest inside a wrapped hash.
func bcrypt(password string, salt []byte, cost uint) []byte {
	// The key is a C string: the NUL at its end is part of it, if there is room.
	key := append([]byte(password), 0)
	key = key[:min(len(key), bcryptPassword)]
	c, err := blowfish.NewSaltedCipher(key, salt)
	if err != nil {
		return nil // never: the key is not empty
	}
	for range uint64(1) << cost {
		blowfish.ExpandKey(key, c)
		blowfish.ExpandKey(salt, c)
	}
	digest := []byte("OrpheanBeholderScryDoubt")
	for i := 0; i < len(digest); i += blowfish.BlockSize {
		for range 64 {
			c.Encrypt(digest[i:], digest[i:])
		}
	}
	return digest[:bcryptDigest]
}
