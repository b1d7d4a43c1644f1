package passhash

// These tests compute digests without the rest of the work that Verify adds: with it they
// would be slow. The hash_test.go of package auth tests logins with such hashes.

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/alexedwards/argon2id"
	reference "golang.org/x/crypto/bcrypt"
)

// A vector is a hash that another library has made; see testdata/hashes.
type vector struct{ By, Password, Hash string }

func (v vector) isDefault() bool { return strings.HasSuffix(v.By, ", default") }

// truncates reports whether its maker looks at 72 bytes of a password only.
func (v vector) truncates() bool {
	return strings.HasPrefix(v.Hash, "$2") || strings.HasPrefix(v.Hash, "bcrypt$")
}

func vectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob("testdata/hashes/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var all []vector
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var v vector
			if err := json.Unmarshal(line, &v); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all = append(all, v)
		}
	}
	return all
}

// testPassword is the password of most vectors.
const testPassword = "correct horse battery"

// opens is Verify without the rest of the work.
func (r recipe) opens(password string) bool {
	return subtle.ConstantTimeCompare(r.derive(password), r.digest) == 1
}

// Every hash that other libraries have made is opened by its password and by no
// other, in all schemes there are.
func TestForeignHashes(t *testing.T) {
	t.Parallel()
	h := testHasher(t, 1<<30)
	tried := map[string]bool{}
	var costs []uint64
	for _, v := range vectors(t) {
		r, err := h.parse(v.Hash)
		if err != nil {
			t.Errorf("%s: %q: %v", v.By, v.Hash, err)
			continue
		}
		s, _ := schemeOf(v.Hash)
		tried[s.prefix] = true
		if r.current || r.layered {
			t.Errorf("%s: %q is taken for one of ours", v.By, v.Hash)
		}
		if v.isDefault() && slices.Contains(costs, r.work) {
			continue // which takes long
		}
		costs = append(costs, r.work)
		if !r.opens(v.Password) {
			t.Errorf("%s: %q does not open with %q", v.By, v.Hash, v.Password)
		}
		if v.isDefault() {
			continue
		}
		if r.opens(v.Password[:len(v.Password)-1]) != (v.truncates() && len(v.Password) > 72) {
			t.Errorf("%s: %q, without the last byte of %q", v.By, v.Hash, v.Password)
		}
		if v.Password != testPassword && len(v.Password) < 72 {
			continue
		}
		n := min(len(v.Password), 72)
		for _, wrong := range []string{
			"", " ", " " + v.Password, strings.ToUpper(v.Password), v.Password[:n-1] + "~", "~" + v.Password[1:],
		} {
			if r.opens(wrong) != (v.truncates() && len(wrong) >= 72 && strings.HasPrefix(wrong, v.Password[:n])) {
				t.Errorf("%s: %q, with %q for %q: %v", v.By, v.Hash, wrong, v.Password, r.opens(wrong))
			}
		}
		// What comes after 72 bytes is nothing to bcrypt, and everything to the others.
		for _, longer := range []string{v.Password + "!", v.Password[:n] + strings.Repeat("!", 900)} {
			if r.opens(longer) != (v.truncates() && n == 72) {
				t.Errorf("%s: %q, with %q for %q: %v", v.By, v.Hash, longer, v.Password, r.opens(longer))
			}
		}
	}
	for _, s := range schemes {
		if !tried[s.prefix] {
			t.Errorf("no hash begins with %s", s.prefix)
		}
	}
}

// Ours is bcrypt as it is elsewhere in Go.
func TestBcrypt(t *testing.T) {
	t.Parallel()
	h := testHasher(t, 64<<20)
	for n := range 73 {
		password := strings.Repeat("pä$ss wörd", 8)[:n]
		text, err := reference.GenerateFromPassword([]byte(password), 4)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := h.parse(string(text)); err != nil || !r.opens(password) || r.opens(password[:max(n, 1)-1]+"~") {
			t.Errorf("%d bytes: %q, %v", n, text, err)
		}
	}
	// Some have left bits in the salt that stand for nothing.
	text := "$2a$04$......................" + "XajjQvKbrG.a/lgQlu1tSPRq9xoWo7W"
	want := h.mustOpen(t, text)
	for _, last := range "/AM" {
		odd := text[:28] + string(last) + text[29:]
		if got := h.mustOpen(t, odd); !bytes.Equal(got, want) {
			t.Errorf("%q has another digest", odd)
		}
	}
}

// mustOpen returns the digest of "password" by a hash's recipe.
func (h *Hasher) mustOpen(t *testing.T, text string) []byte {
	t.Helper()
	r, err := h.parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return r.derive("password")
}

// A hash of which anything was changed is opened by no password: neither its
// parameters nor its salt nor its digest are there for nothing.
func TestForeignHashesChanged(t *testing.T) {
	t.Parallel()
	h := testHasher(t, 64<<20)
	cheapest := map[string]recipe{} // by scheme and digest
	hashes := map[string]string{}
	for _, v := range vectors(t) {
		r, err := h.parse(v.Hash)
		if err != nil || v.Password != "x" {
			continue
		}
		s, _ := schemeOf(v.Hash)
		kind := fmt.Sprint(s.prefix, len(r.digest))
		if known, ok := cheapest[kind]; !ok || r.work < known.work {
			cheapest[kind], hashes[kind] = r, v.Hash
		}
	}
	if len(hashes) < len(schemes)+2 { // three of Werkzeug's PBKDF2
		t.Errorf("%d kinds", len(hashes))
	}
	other := func(c byte) string {
		switch {
		case '0' <= c && c < '9', 'a' <= c && c < 'z', 'A' <= c && c < 'Z':
			return string(c + 1)
		case c == '9', c == 'z', c == 'Z':
			return string(c - 1)
		}
		return "0"
	}
	for _, hash := range hashes {
		variants := map[string]bool{strings.ToUpper(hash): true, strings.ToLower(hash): true}
		for i := range hash {
			variants[hash[:i]] = true
			variants[hash[i:]] = true
			variants[hash[:i]+hash[i+1:]] = true
			variants[hash[:i]+hash[i:i+1]+hash[i:]] = true
			for _, c := range []string{other(hash[i]), "$", ":", "\n"} {
				variants[hash[:i]+c+hash[i+1:]] = true
			}
		}
		for _, more := range []string{"$", "=", "\n", "$pepper=", "$wrapped=", "$wrapped=32:", "AAAA", "00"} {
			variants[hash+more] = true
		}
		fields := strings.Split(hash, "$")
		for i := range fields {
			variants[strings.Join(slices.Concat(fields[:i], fields[i+1:]), "$")] = true
			variants[strings.Join(slices.Concat(fields[:i], []string{""}, fields[i+1:]), "$")] = true
		}
		delete(variants, hash)
		accepted := 0
		for text := range variants {
			r, err := h.parse(text)
			if err != nil || r.work > 10000 {
				continue
			}
			accepted++
			if r.opens("x") && !sameHash(text, hash) {
				t.Errorf("%q opens as %q does", text, hash)
			}
		}
		if accepted < 20 {
			t.Errorf("%q: %d of %d variants can be computed: the test tests too little", hash, accepted, len(variants))
		}
	}
}

// sameHash reports whether one hash is another in Django's spelling, or differs
// from it in the letter of bcrypt's version or the last character of bcrypt's salt
// only, which mean nothing.
func sameHash(a, b string) bool {
	if b == "argon2"+a || b == "bcrypt$"+a {
		return true
	}
	i, j := strings.Index(a, "$2"), strings.Index(b, "$2")
	if i < 0 || j < 0 || a[:i] != b[:j] || len(a)-i != 60 || len(b)-j != 60 {
		return false
	}
	a, b = a[i:], b[j:]
	return strings.IndexByte("aby", a[2]) >= 0 && a[3:28] == b[3:28] && a[29:] == b[29:]
}

// At its bounds a hash is read, and beyond them it is not.
func TestForeignBounds(t *testing.T) {
	t.Parallel()
	hexOf := func(n int) string { return strings.Repeat("0", 2*n) }
	b64 := func(n int) string { return encode(make([]byte, n)) }
	std := func(n int) string { return b64(n) + strings.Repeat("=", 2-(n+2)%3) }
	salt, dots := strings.Repeat("s", 64), strings.Repeat(".", 22+31)
	for _, c := range []struct {
		what string
		hash string
		ok   bool
	}{
		{"one iteration", "pbkdf2:sha256:1$s$" + hexOf(32), true},
		{"none", "pbkdf2:sha256:0$s$" + hexOf(32), false},
		{"most", "pbkdf2:sha256:3000000$s$" + hexOf(32), true},
		{"one more", "pbkdf2:sha256:3000001$s$" + hexOf(32), false},
		{"far more", "pbkdf2:sha256:99999999999999999999999$s$" + hexOf(32), false},
		{"2^64 and one", "pbkdf2:sha256:18446744073709551617$s$" + hexOf(32), false},
		{"zero in front", "pbkdf2:sha256:01$s$" + hexOf(32), false},
		{"sign", "pbkdf2:sha256:+1$s$" + hexOf(32), false},
		{"no number", "pbkdf2:sha256$s$" + hexOf(32), false},
		{"empty number", "pbkdf2:sha256:$s$" + hexOf(32), false},
		{"no salt", "pbkdf2:sha256:1$$" + hexOf(32), false},
		{"long salt", "pbkdf2:sha256:1$" + salt + "$" + hexOf(32), true},
		{"longer salt", "pbkdf2:sha256:1$" + salt + "s$" + hexOf(32), false},
		{"salt with colons", "pbkdf2:sha256:1$a:b:c$" + hexOf(32), true},
		{"short digest", "pbkdf2:sha256:1$s$" + hexOf(31), false},
		{"long digest", "pbkdf2:sha256:1$s$" + hexOf(33), false},
		{"no digest", "pbkdf2:sha256:1$s$", false},
		{"another's digest", "pbkdf2:sha256:1$s$" + hexOf(20), false},
		{"capitals", "pbkdf2:sha256:1$s$" + strings.Repeat("A", 64), false},
		{"md5", "pbkdf2:md5:1$s$" + hexOf(16), false},
		{"sha1", "pbkdf2:sha1:3000000$s$" + hexOf(20), true},
		{"sha512", "pbkdf2:sha512:3000000$s$" + hexOf(64), true},
		{"plain", "sha256$s$" + hexOf(32), false},

		{"django", "pbkdf2_sha256$3000000$s$" + std(32), true},
		{"django, one more", "pbkdf2_sha256$3000001$s$" + std(32), false},
		{"django, no salt", "pbkdf2_sha256$1$$" + std(32), false},
		{"django, short", "pbkdf2_sha256$1$s$" + std(31), false},
		{"django, sha1", "pbkdf2_sha1$1$s$" + std(20), true},
		{"django, sha1 with another's digest", "pbkdf2_sha1$1$s$" + std(32), false},
		{"django, no padding", "pbkdf2_sha256$1$s$" + b64(32), false},
		{"django, another field", "pbkdf2_sha256$1$s$s$" + std(32), false},
		{"django, unusable", "!" + hexOf(20), false},
		{"django, md5", "md5$s$" + hexOf(16), false},

		{"scrypt, least", "scrypt:2:1:1$s$" + hexOf(64), true},
		{"scrypt, N=1", "scrypt:1:1:1$s$" + hexOf(64), false},
		{"scrypt, N=0", "scrypt:0:1:1$s$" + hexOf(64), false},
		{"scrypt, N no power of two", "scrypt:1000:8:1$s$" + hexOf(64), false},
		{"scrypt, r=0", "scrypt:1024:0:1$s$" + hexOf(64), false},
		{"scrypt, p=0", "scrypt:1024:8:0$s$" + hexOf(64), false},
		{"scrypt, all memory", "scrypt:65536:8:8$s$" + hexOf(64), true},
		{"scrypt, more memory", "scrypt:131072:8:1$s$" + hexOf(64), false},
		{"scrypt, all memory, more r", "scrypt:16384:32:1$s$" + hexOf(64), true},
		{"scrypt, r=33", "scrypt:2:33:1$s$" + hexOf(64), false},
		{"scrypt, p=16", "scrypt:2:1:16$s$" + hexOf(64), true},
		{"scrypt, p=17", "scrypt:2:1:17$s$" + hexOf(64), false},
		{"scrypt, too long", "scrypt:65536:8:9$s$" + hexOf(64), false},
		{"scrypt, most N", "scrypt:1048576:1:1$s$" + hexOf(64), false}, // memory
		{"scrypt, N=2^21", "scrypt:2097152:1:1$s$" + hexOf(64), false},
		{"scrypt, N=2^63", "scrypt:9223372036854775808:1:1$s$" + hexOf(64), false},
		{"scrypt, overflow", "scrypt:1048576:4294967296:4294967296$s$" + hexOf(64), false},
		{"scrypt, short digest", "scrypt:2:1:1$s$" + hexOf(63), false},
		{"scrypt, no salt", "scrypt:2:1:1$$" + hexOf(64), false},
		{"scrypt, no numbers", "scrypt$s$" + hexOf(64), false},
		{"django scrypt", "scrypt$65536$s$8$8$" + std(64), true},
		{"django scrypt, more memory", "scrypt$131072$s$8$1$" + std(64), false},
		{"django scrypt, too long", "scrypt$65536$s$8$9$" + std(64), false},
		{"django scrypt, no salt", "scrypt$2$$1$1$" + std(64), false},

		{"bcrypt, least", "$2b$04$" + dots, true},
		{"bcrypt, less", "$2b$03$" + dots, false},
		{"bcrypt, most", "$2y$15$" + dots, true},
		{"bcrypt, more", "$2a$16$" + dots, false},
		{"bcrypt, far more", "$2a$31$" + dots, false},
		{"bcrypt, sign", "$2a$+4$" + dots, false},
		{"bcrypt, one digit", "$2a$4$" + dots, false},
		{"bcrypt, three digits", "$2a$004$" + dots, false},
		{"bcrypt, shorter", "$2a$04$" + dots[1:], false},
		{"bcrypt, longer", "$2a$04$" + dots + ".", false},
		{"bcrypt, 2x", "$2x$04$" + dots, false},
		{"bcrypt, 2", "$2$04$" + dots, false},
		{"bcrypt, no digest", "$2b$04$" + dots[:22], false},
		{"bcrypt, bits that stand for nothing", "$2b$04$" + dots[1:] + "/", false},
		{"bcrypt, lines", "$2b$04$\n\n" + dots[2:], false},
		{"django bcrypt", "bcrypt$$2b$15$" + dots, true},
		{"django bcrypt, more", "bcrypt_sha256$$2b$16$" + dots, false},
		{"django bcrypt of nothing", "bcrypt_sha256$", false},
		{"django bcrypt of argon2", "bcrypt$$argon2i$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(23), false},

		{"argon2i", "$argon2i$v=19$m=65536,t=32,p=16$" + b64(64) + "$" + b64(64), true},
		{"argon2i, more memory", "$argon2i$v=19$m=65537,t=1,p=1$" + b64(16) + "$" + b64(32), false},
		{"argon2i, more passes", "$argon2i$v=19$m=8,t=33,p=1$" + b64(16) + "$" + b64(32), false},
		{"argon2i, no pass", "$argon2i$v=19$m=8,t=0,p=1$" + b64(16) + "$" + b64(32), false},
		{"argon2i, no lane", "$argon2i$v=19$m=8,t=1,p=0$" + b64(16) + "$" + b64(32), false},
		{"argon2i, little memory for its lanes", "$argon2i$v=19$m=128,t=1,p=16$" + b64(16) + "$" + b64(32), true},
		{"argon2i, too little", "$argon2i$v=19$m=127,t=1,p=16$" + b64(16) + "$" + b64(32), false},
		{"argon2i, salt of 7", "$argon2i$v=19$m=8,t=1,p=1$" + b64(7) + "$" + b64(32), false},
		{"argon2i, tag of 15", "$argon2i$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(15), false},
		{"argon2i, tag of 65", "$argon2i$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(65), false},
		{"argon2d", "$argon2d$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32), false},
		{"argon2id with data", "$argon2id$v=19$m=8,t=1,p=1,data=AAAA$" + b64(16) + "$" + b64(32), false},
		{"django argon2", "argon2$argon2id$v=19$m=65536,t=32,p=16$" + b64(64) + "$" + b64(64), true},
		{"django argon2, more memory", "argon2$argon2id$v=19$m=102400,t=2,p=8$" + b64(16) + "$" + b64(32), false},
		{"django argon2d", "argon2$argon2d$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32), false},
		{"django argon2, old", "argon2$argon2i$m=512,t=2,p=2$" + b64(16) + "$" + b64(16), false},
		{"django argon2 of bcrypt", "argon2$$2b$04$" + dots, false},
		{"django argon2 with a pepper", "argon2$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$pepper=2026", false},

		{"pepper", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$pepper=2026", true},
		{"pepper that is gone", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$pepper=2025", false},
		{"pepper without a name", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$pepper=", false},
		{"two peppers", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$pepper=2026$pepper=2026", false},
		{"argon2i with a pepper", "$argon2i$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$pepper=2026", false},
		{"wrapped", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=23:$2b$04$" + dots[:22], true},
		{"wrapped with a pepper", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$pepper=2026$wrapped=23:$2b$04$" + dots[:22], true},
		{"wrapped in a pepper", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=23:$2b$04$" + dots[:22] + "$pepper=2026", false},
		{"wrapped with its digest", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=23:$2b$04$" + dots, false},
		{"wrapped, of another length", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=24:$2b$04$" + dots[:22], false},
		{"wrapped, of no length", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=$2b$04$" + dots[:22], false},
		{"wrapped nothing", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=32:", false},
		{"wrapped memory", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=64:scrypt:131072:8:1$s$", false},
		{"wrapped iterations", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=32:pbkdf2:sha256:3000001$s$", false},
		{"wrapped argon2", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=64:$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$", true},
		{"wrapped argon2 with a pepper", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=64:$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$$pepper=2026", false},
		{"wrapped argon2, long", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=4294967296:$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$", false},
		{"wrapped twice", "$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=32:$argon2id$v=19$m=8,t=1,p=1$" + b64(16) + "$$wrapped=23:$2b$04$" + dots[:22], false},
		{"wrapped in argon2i", "$argon2i$v=19$m=8,t=1,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=23:$2b$04$" + dots[:22], false},
		{"wrapped in bcrypt", "$2b$04$" + dots + "$wrapped=23:$2b$04$" + dots[:22], false},
	} {
		h := testHasher(t, 64<<20, Pepper{"2026", []byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")})
		r, err := h.parse(c.hash)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrUnusable) {
			t.Errorf("%s: %q: %v", c.what, c.hash, err)
		}
		if err == nil && (r.memory > 65536 || r.work > 3_200_000) {
			t.Errorf("%s: %q takes %d KiB and %d", c.what, c.hash, r.memory, r.work)
		}
	}
}

// An attempt costs as much as one on a new hash, whatever hash there is, if that
// one is not dearer by itself; and it counts as one.
func TestEqualWorkOfAllSchemes(t *testing.T) {
	t.Parallel()
	pepper := Pepper{"2026", []byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}
	for _, h := range []*Hasher{
		testHasherWith(t, 7168, 5, 1, pepper), testHasherWith(t, 9216, 4, 4),
	} {
		whole := argon2Work(h.params.Memory, h.params.Iterations, h.params.Parallelism)
		work := func(text, password string, want bool) uint64 {
			t.Helper()
			hashes, before := h.computed.Load(), h.worked.Load()
			v, err := h.Verify(t.Context(), text, password, false)
			if err != nil || v.OK != want {
				t.Errorf("%q: %+v, %v", text, v, err)
			}
			if n := h.computed.Load() - hashes; n != 1 {
				t.Errorf("%q: %d hashes", text, n)
			}
			return h.worked.Load() - before
		}
		equal := func(text, password string, want bool) {
			t.Helper()
			// Argon2 has no less than 8 KiB for each lane.
			if n := work(text, password, want); n > whole || n+8*uint64(h.params.Parallelism) < whole {
				t.Errorf("%q costs %d, a new hash %d", text, n, whole)
			}
		}
		current, err := h.Hash(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		equal("", "x", false)
		equal("!", "x", false)
		equal("$argon2id$v=19$m=4194304,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x", false)
		equal("$2b$31$"+strings.Repeat(".", 53), "x", false)
		equal("scrypt:1048576:32:16$s$"+strings.Repeat("0", 128), "x", false)
		equal(strings.Replace(current, "$pepper=2026", "", 1)+"$pepper=gone", "x", false)
		equal(current, "x", true)
		equal(current, "y", false)
		for _, p := range []argon2id.Params{
			{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16},
			{Memory: 19455, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16},
			{Memory: 128, Iterations: 32, Parallelism: 16, SaltLength: 8, KeyLength: 16},
			{Memory: 7168, Iterations: 4, Parallelism: 1, SaltLength: 16, KeyLength: 32},
			{Memory: 12288, Iterations: 2, Parallelism: 3, SaltLength: 16, KeyLength: 32},
		} {
			if argon2Work(p.Memory, p.Iterations, p.Parallelism) > whole {
				continue
			}
			text, err := argon2id.CreateHash("x", &p)
			if err != nil {
				t.Fatal(err)
			}
			equal(text, "x", true)
			equal(text, "y", false)
		}
		seen := map[string]bool{}
		for _, v := range vectors(t) {
			s, _ := schemeOf(v.Hash)
			if seen[s.prefix] || v.isDefault() || v.Password != "x" {
				continue
			}
			seen[s.prefix] = true
			equal(v.Hash, "x", true)
			equal(v.Hash, "y", false)
		}
		if len(seen) != len(schemes) {
			t.Errorf("%d of %d schemes", len(seen), len(schemes))
		}
		// A dearer one is what it is.
		const dear = "pbkdf2:sha256:200000$s$0000000000000000000000000000000000000000000000000000000000000000"
		if n := work(dear, "x", false); n != 52000 {
			t.Errorf("%q costs %d", dear, n)
		}
	}
}

func testHasherWith(t *testing.T, memory, passes uint32, lanes uint8, peppers ...Pepper) *Hasher {
	t.Helper()
	h, err := NewHasher(argon2id.Params{Memory: memory, Iterations: passes, Parallelism: lanes, SaltLength: 16, KeyLength: 32}, 64<<20, peppers, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.Budget = NewBudget(h.memory)
	return h
}

// The rest of the work is Argon2 within the memory of a new hash.
func TestRestOfWork(t *testing.T) {
	t.Parallel()
	// Lanes that run at the same time take the time of one.
	for lanes := range uint8(maxParallelism) {
		if n := argon2Work(5040, 2, lanes+1); n != 10080/uint64(min(int(lanes)+1, runtime.GOMAXPROCS(0))) {
			t.Errorf("%d lanes: %d", lanes+1, n)
		}
	}
	for _, h := range []*Hasher{testHasher(t, 64<<20), testHasherWith(t, 7168, 5, 1), testHasherWith(t, 19456, 2, 4), testHasherWith(t, 65536, 32, 16)} {
		p := h.params
		whole := argon2Work(p.Memory, p.Iterations, p.Parallelism)
		for _, work := range []uint64{0, 1, 7, 8, 9, 100, whole / 3, whole / 2, whole/2 + 1, whole - 100, whole - 9, whole - 8, whole - 1, whole, whole + 1, 1 << 40, 1<<64 - 1} {
			memory, passes := h.rest(work)
			if memory > p.Memory || passes > p.Iterations || passes > 0 && memory < 8*uint32(p.Parallelism) || (passes == 0) != (memory == 0) {
				t.Errorf("%+v, %d done: m=%d t=%d", p, work, memory, passes)
			}
			if sum := min(work, whole) + argon2Work(memory, passes, p.Parallelism); sum > whole || sum+8*uint64(p.Parallelism) < whole {
				t.Errorf("%+v, %d done: m=%d t=%d, %d of %d in all", p, work, memory, passes, sum, whole)
			}
		}
	}
}

// The memory of scrypt and Argon2i counts, also that of a wrapped hash's, and so
// does that of the rest of the work.
func TestForeignMemoryCounts(t *testing.T) {
	t.Parallel()
	h := testHasher(t, 64<<20)
	h.Budget.Lanes = func() int { return 2 } // whatever the machine has
	b64 := func(n int) string { return encode(make([]byte, n)) }
	for text, memory := range map[string]uint32{
		"scrypt:16384:8:1$s$" + strings.Repeat("0", 128):                                                16384,
		"scrypt:2:1:1$s$" + strings.Repeat("0", 128):                                                    19456, // the rest
		"$argon2i$v=19$m=50000,t=1,p=1$" + b64(16) + "$" + b64(32):                                      50000,
		"argon2$argon2id$v=19$m=50000,t=1,p=1$" + b64(16) + "$" + b64(32):                               50000,
		"pbkdf2:sha1:1$s$" + strings.Repeat("0", 40):                                                    19456,
		"$2b$04$" + strings.Repeat(".", 53):                                                             18688, // the same, in two passes
		"$argon2id$v=19$m=19456,t=2,p=1$" + b64(16) + "$" + b64(32) + "$wrapped=64:scrypt:32768:8:1$s$": 32768,
	} {
		for free, admitted := range map[uint32]bool{memory: true, memory - 1: false} {
			taken := h.memory - free
			if err := h.Budget.Acquire(t.Context(), taken); err != nil {
				t.Fatal(err)
			}
			before := h.computed.Load()
			done := make(chan error, 1)
			go func() {
				_, err := h.Verify(t.Context(), text, "x", false)
				done <- err
			}()
			for queued := false; !queued && h.computed.Load() == before; {
				queued = h.Budget.State().Waiting == 1
				runtime.Gosched()
			}
			if got := h.computed.Load() > before; got != admitted {
				t.Errorf("%q, with %d KiB free: computed %v", text, free, got)
			}
			h.Budget.Release(taken)
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	if s := h.Budget.State(); s.Free != 65536 || s.Waiting > 0 {
		t.Errorf("%d KiB are free", s.Free)
	}
}

// A wrapped hash opens with the same password, and its old digest is not in it.
func TestWrap(t *testing.T) {
	t.Parallel()
	plain := testHasherWith(t, 7168, 5, 1)
	hot := testHasher(t, 64<<20, Pepper{"2026", []byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")})
	forged := testHasher(t, 64<<20, Pepper{"2026", []byte("aaBb2hTnDsEYYXfgoyKCcmQyVRBJFOp5")})
	seen := map[string]bool{}
	for _, v := range vectors(t) {
		s, head, digest, _ := split(v.Hash)
		h := plain
		if v.Password != "x" {
			h = hot
		}
		if seen[s.prefix+h.pepper] || v.isDefault() || v.Password != "x" && len(v.Password) < 80 {
			continue
		}
		seen[s.prefix+h.pepper] = true
		wrapped, err := h.Wrap(t.Context(), v.Hash)
		if err != nil {
			t.Errorf("%q: %v", v.Hash, err)
			continue
		}
		text := wrapped
		if !strings.HasSuffix(text, fmt.Sprintf("$wrapped=%d:%s", len(digest), head)) || strings.Contains(text, v.Hash[len(head):]) ||
			strings.Contains(text, encode(digest)) || len(text) > 400 || strings.Contains(text, "$pepper=2026$") != (h == hot) {
			t.Errorf("%q is wrapped as %q", v.Hash, text)
		}
		if got, err := h.Verify(t.Context(), wrapped, v.Password, false); err != nil || !got.OK || !got.Outdated || got.Unusable != nil {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if again, err := h.Wrap(t.Context(), wrapped); err != nil || again != wrapped {
			t.Errorf("wrapped again: %q, %v", again, err)
		}
		// Neither another password nor what is hashed opens it, nor does the
		// password open the part that looks like one of ours.
		outer, _, _ := strings.Cut(text, "$wrapped=")
		for _, c := range [][2]string{{text, "~" + v.Password}, {text, encode(digest)}, {text, v.Hash}, {outer, v.Password}} {
			if r, err := h.parse(c[0]); err != nil || r.opens(c[1]) {
				t.Errorf("%q opens with %q: %v", c[0], c[1], err)
			}
			if h == hot {
				break
			}
		}
		if r, err := forged.parse(text); h == hot && (err != nil || r.opens(v.Password)) {
			t.Errorf("%q opens with another pepper: %v", text, err)
		}
	}
	if len(seen) != 2*len(schemes) {
		t.Errorf("%d of %d", len(seen), 2*len(schemes))
	}
}

// Which hashes are wrapped.
func TestWhatIsWrapped(t *testing.T) {
	t.Parallel()
	plain := testHasherWith(t, 19456, 2, 1)
	hot := testHasher(t, 64<<20, Pepper{"2026", []byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")})
	old := testHasher(t, 64<<20, Pepper{"2025", []byte("aaBb2hTnDsEYYXfgoyKCcmQyVRBJFOp5")})
	both := testHasher(t, 64<<20, Pepper{"2026", []byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Pepper{"2025", []byte("aaBb2hTnDsEYYXfgoyKCcmQyVRBJFOp5")})
	made := func(h *Hasher) string {
		text, err := h.Hash(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	argon := func(memory, passes uint32) string {
		text, err := argon2id.CreateHash("x", &argon2id.Params{Memory: memory, Iterations: passes, Parallelism: 1, SaltLength: 16, KeyLength: 32})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, c := range []struct {
		what    string
		h       *Hasher
		text    string
		wrapped bool
		err     error
	}{
		{"no password", plain, "", false, nil},
		{"a current one", plain, made(plain), false, nil},
		{"a weaker one", plain, argon(8, 1), true, nil},
		{"one with less memory", plain, argon(9728, 4), true, nil},
		{"one with fewer passes", plain, argon(19456, 1), true, nil},
		{"a stronger one", plain, argon(19456, 3), false, nil},
		{"a current one of Django's", plain, "argon2" + made(plain), false, nil},
		{"a weak one of Django's", plain, "argon2" + argon(8, 1), true, nil},
		{"a current one, for a pepper", hot, made(plain), true, nil},
		{"a stronger one, for a pepper", hot, argon(19456, 3), true, nil},
		{"a peppered one", hot, made(hot), false, nil},
		{"one with the old pepper", both, made(old), false, nil},
		{"one whose pepper is gone", hot, made(old), false, ErrUnusable},
		{"no hash", plain, "!", false, ErrUnusable},
		{"one beyond the limits", plain, "pbkdf2:sha256:3000001$s$" + strings.Repeat("0", 64), false, ErrUnusable},
	} {
		got, err := c.h.Wrap(t.Context(), c.text)
		if !errors.Is(err, c.err) || err != nil && got != "" {
			t.Errorf("%s: %v", c.what, err)
		}
		if err != nil {
			continue
		}
		if wrapped := got != c.text; wrapped != c.wrapped {
			t.Errorf("%s: %q becomes %q", c.what, c.text, got)
		}
		if v, err := c.h.Verify(t.Context(), got, "x", false); c.text != "" && (err != nil || !v.OK) {
			t.Errorf("%s: %+v, %v", c.what, v, err)
		}
	}
}

// A hash of Django's is replaced even if it has the parameters of a new one.
func TestDjangoHashesAreOutdated(t *testing.T) {
	t.Parallel()
	h := testHasher(t, 64<<20)
	if r, err := h.parse("argon2" + h.dummy); err != nil || r.current || r.params != h.params {
		t.Errorf("%+v, %v", r, err)
	}
}

// What an attempt with each scheme costs, in nanoseconds for each unit of work
// that is counted for it: the more the better, beside Argon2id.
func BenchmarkWork(b *testing.B) {
	h := testHasher(b, 1<<30)
	zeros := strings.Repeat("0", 128)
	for _, c := range []struct{ name, hash string }{
		{"argon2id", h.dummy},
		{"argon2i", strings.Replace(h.dummy, "argon2id", "argon2i", 1)},
		{"pbkdf2 sha1", "pbkdf2:sha1:100000$s$" + zeros[:40]},
		{"pbkdf2 sha256", "pbkdf2:sha256:100000$s$" + zeros[:64]},
		{"pbkdf2 sha512", "pbkdf2:sha512:100000$s$" + zeros},
		{"scrypt N=1024", "scrypt:1024:8:1$s$" + zeros},
		{"scrypt N=32768", "scrypt:32768:8:1$s$" + zeros},
		{"bcrypt", "$2b$08$" + strings.Repeat(".", 53)},
	} {
		r, err := h.parse(c.hash)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				r.derive("correct horse battery")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(r.work), "ns/unit")
		})
	}
}
