package keyring

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"testing"
	"time"
)

// goldenSecret is the secret of the texts below, which earlier versions made.
const goldenSecret = "Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"

// The keys are those of earlier versions: what they have encrypted is decrypted, and
// what they have signed is verified. A Name changes
// all keys.
func TestKeysStay(t *testing.T) {
	t.Parallel()
	names := []string{"", "shop"}
	keyrings := map[string]*Keyring{}
	for _, name := range names {
		k, err := New([][]byte{[]byte(goldenSecret)}, name)
		if err != nil {
			t.Fatal(err)
		}
		keyrings[name] = k
	}
	for _, c := range []struct{ purpose, name, sealed string }{
		{"flash", "", "NxFpV_a2_NMblHWLVFh5HQeKcis0qyMOFDbIYVY2MNQ2"},
		{"next", "", "dX5MWf1DLcjh8NEZqfBiAg0jz2l03MLS0efXNfQ9aaZD"},
		{"reset", "", "LxKLNnf6YexY-jvRnSmJJPPTD-iD_cyWG_I4M5gnsTnV"},
		{"verify", "", "-_Qhujy9_X5oLaBYL58YdphJexnoAVPcdvjuOnTEU_5g"},
		{"email", "", "znmIyaw3EdHTjpbrNledvF7x1tBx9r-x_sjwbQSLs-4Y"},
		{"browser", "", "aX7daSwV3aNzjEmjogcvJrtSwS00YVpSe01tdJOvakYK"},
		{"form nonce", "", "etfokgDLUsQ8gQtjBzp35mOLM7VSH7xAb20C8ybg0PZS"},
		{"flash", "shop", "5xNVc0W716riDG0Zt22wtv9LX3JxuJ6wwlnHGXfxkCfQ"},
		{"next", "shop", "SBFmKdgsUKpQsR8afb7fElT7KvyIIzkqHNW4-2UrjTnD"},
		{"reset", "shop", "hS7bnBkQKVCK09PTTav3AXE5frfkMbvbTnwI0Iri99QG"},
		{"verify", "shop", "XvIR6ZfaHqMtlRiZCxTh90o1DzeZ8Mw26FsLvalZ7Djv"},
		{"email", "shop", "UgSs2cFH_vdc-iLf5_0t_6ZAQbk3oULXFfOMTCxemZlr"},
		{"browser", "shop", "hgtsaYZ-hQLJH_rzfj2W5cBpmMbA6fL98KQcyadCXh-L"},
		{"form nonce", "shop", "WYZlrOQJwIxmUxNFylfWUS_RWIIeOxsrd6GHBBPJp8_l"},
		{"reset", "", "c9pNzF8GwJ00pvZpKDNwIisAkIZDfHRNoN7KPpICYP7s"}, // before there were Names
	} {
		for _, name := range names {
			if data, ok := keyrings[name].decrypt(c.purpose, c.sealed); ok != (name == c.name) || ok && string(data) != "susan" {
				t.Errorf("%s of %q: %q opened %q, %v", c.purpose, c.name, name, data, ok)
			}
		}
	}
	for _, c := range []struct{ purpose, name, signed string }{
		{"remember", "", "6ed80a58b39d013ff6e4b16153a69200c7d9fe4d4affd8d02e144a9faba5c16a"},
		{"login", "", "d2ed505ae1601ea3ca036b68481ccd1ea3be8ab3fe1e250152727e5444ccbbf0"},
		{"form", "", "25888fe7810cfbcddc4e1cca3e17d3a9725c39ff4077de660025506ebbc2b02a"},
		{"form fields", "", "df397f461929e0b986f80269a81b913ab2a790e59727e54d3def969628d3d17a"},
		{"remember", "shop", "010b591ecad4aeb77a9aa96f58b7a4550f2bdf21cf269a1e4f66f7bbe67effac"},
		{"login", "shop", "55aee99bc9f5df9387f2d3686d36974495acd4bc6dc0bb7e52a5ea899e7acc51"},
		{"form", "shop", "e86b6afaab3d065797c98f79d6d715e1f46345d46f22b115c467e8984f067823"},
		{"form fields", "shop", "ba2ef8e9fd0bd8ccdf42e3fc9cd48e143cca82f46dbd0ba4f393bee6d5ff8ba6"},
	} {
		for _, name := range names {
			if got := hex.EncodeToString(keyrings[name].Sign(c.purpose, []byte("susan"))); (got == c.signed) != (name == c.name) {
				t.Errorf("%s of %q: %q signed %s", c.purpose, c.name, name, got)
			}
		}
	}
}

var goldenNow = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func newKeyring(t testing.TB, secrets ...string) *Keyring {
	t.Helper()
	var list [][]byte
	for _, s := range secrets {
		list = append(list, []byte(s))
	}
	k, err := New(list, "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Texts that earlier versions have sealed open for as long as they were to.
func TestOpenEarlier(t *testing.T) {
	t.Parallel()
	k := newKeyring(t, goldenSecret)
	for _, c := range []struct {
		purpose, text, begin, end string
		until                     time.Duration // from goldenNow
	}{
		{"reset", "EJkG-IqgC2MBfOepTmID1f_8w3_Qf6CI3yztDtgDCFPkyoyVpLw7PkKcsgX1WtK6ZwDhFO0E-OaAlu49g5432G7bi3cKZ6zJtQlUWK63kBkeyJYEvs0", "", "new@app.example", 30 * time.Minute},
		{"verify", "THggnOsqq2OW9rRW2axLb6uyt-itJ7iVK7smvEMqm_jZXxWiEZBXAJm7QJQAVRL3QHbBn31DqdEHOhEMu2iMyCyVORag4TS-rQUnlbxcXC5p4KS30Kk", "", "new@app.example", 30 * time.Minute},
		{"email", "ACwdMOpHM5OQjGnH-HMZk96uxaOIyBANEhBuHno05UlwtBAp8zGuypmfUOUhIuaOFDyY8lUnSqUUB5PLW5f-snF2WtUmMbxdh3FqQ2uk7Q8epNOgVbI", "", "new@app.example", 30 * time.Minute},
		{"browser", "cCMIKdKYUzSlnsGUf7Hj-6qJQTuQrUHqnVmTJeYuVCYxKCZRVjhC-0vsDpUsIP3Gi2Wv0lqGFNg_7opAXsgTAsHUiXsNQgIXWwQ2t0DREvNg4YVjE2c", "0123456789abcdef", "7", 180 * 24 * time.Hour},
		{"form nonce", "F9m7Vu0PrGacbSBRMtF3-mi4pH6zoHSI4oc55iACRCnIXLXhAFKPMssMtWpQwdYiV6V1dF7YIHwJk0OVOPb-iCHu652kz9MtRbj01xT0NeN9PnJUq_KMx_VaSrM0", "\x00", "checkout", 10 * time.Minute},
	} {
		until := goldenNow.Add(c.until)
		data, got, ok := k.Open(c.purpose, c.text, until.Add(-time.Millisecond))
		if !ok || !got.Equal(until) || !strings.HasPrefix(string(data), c.begin) || !strings.HasSuffix(string(data), c.end) {
			t.Errorf("%s: %q until %v, %v", c.purpose, data, got, ok)
		}
		if _, _, ok := k.Open(c.purpose, c.text, until); ok {
			t.Errorf("%s opens when it has expired", c.purpose)
		}
	}
	// These two began with another form of the time. They were good for an hour at
	// most, and are not read any more.
	for purpose, text := range map[string]string{
		"flash": "rMON-m8j-BmkHVtpvVaado7GHodMOdywwpjSwfpJYC6yIGzHf5mbqw9UtMpo",
		"next":  "N7GEPQwYZ5wa9swkgbIxTN0DIvd7gR0q5uUE-mIzCdsKzq_elJ6vg2unKg",
	} {
		if data, _, ok := k.Open(purpose, text, goldenNow); ok {
			t.Errorf("%s opens: %q", purpose, data)
		}
	}
}

func TestSealOpen(t *testing.T) {
	t.Parallel()
	const other = "kG8mX2pTqV5wZ1nRbD4cJ7hL9sF3aYeU"
	k := newKeyring(t, goldenSecret)
	rotated, stranger := newKeyring(t, other, goldenSecret), newKeyring(t, other)
	now := goldenNow.Add(1500 * time.Microsecond)
	for _, data := range []string{"", "susan", strings.Repeat("x", 5000)} {
		until := now.Add(time.Hour)
		text := k.Seal("a", []byte(data), until)
		if again := k.Seal("a", []byte(data), until); again == text {
			t.Error("the same text is sealed twice")
		}
		for name, k := range map[string]*Keyring{"the same": k, "with a new secret in front": rotated} {
			got, at, ok := k.Open("a", text, now)
			if !ok || string(got) != data || !at.Equal(until.Truncate(time.Millisecond)) {
				t.Errorf("%s: %.20q until %v, %v", name, got, at, ok)
			}
		}
		for now, want := range map[time.Time]bool{
			at(until, -1): true, at(until, 0): false, at(until, 1): false, until: false, until.Add(24 * time.Hour): false, now.Add(-24 * time.Hour): true,
		} {
			if got, _, ok := k.Open("a", text, now); ok != want || !ok && got != nil {
				t.Errorf("until %v it opens at %v: %v, %.20q", until, now, ok, got)
			}
		}
		if _, _, ok := k.Open("b", text, now); ok {
			t.Error("it opens for another purpose")
		}
		if _, _, ok := stranger.Open("a", text, now); ok {
			t.Error("it opens with another secret")
		}
		for _, bad := range []string{"", "x", text[1:], text[:len(text)-1], text + "A", text + "=", " " + text} {
			if _, _, ok := k.Open("a", bad, now); ok {
				t.Errorf("%.20q opens", bad)
			}
		}
		// The last character may have bits that stand for nothing. They must be zero.
		opened := 0
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
			if _, _, ok := k.Open("a", text[:len(text)-1]+string(c), now); ok {
				opened++
			}
		}
		if opened != 1 {
			t.Errorf("%d texts open that differ in the last character", opened)
		}
		for _, other := range []string{text + "\n", "\r\n" + text, text[:5] + "\n" + text[5:], text + "="} {
			if _, _, ok := k.Open("a", other, now); ok {
				t.Errorf("the text %q opens", other)
			}
		}
	}
}

// at is so many milliseconds after a time, as Seal keeps that.
func at(t time.Time, ms int64) time.Time { return time.UnixMilli(t.UnixMilli() + ms) }

// Other layouts are refused, also if they are sealed by us.
func TestOpenOtherLayouts(t *testing.T) {
	t.Parallel()
	k := newKeyring(t, goldenSecret)
	future := "\x00\x00\x7f\xff\xff\xff\xff\xff"
	for plain, want := range map[string]bool{
		"": false, "\x01": false, "\x01" + future[:7]: false, "\x01" + future: true, "\x02" + future + "x": true,
		"\x00" + future: false, "\x03" + future: false, "\x80" + future: false, "\xff" + future: false,
	} {
		sealed := k.of("a")[0].seal.Seal(nil, nil, []byte(plain), []byte("a")) //nolint:gosec // it makes its own nonce
		if _, _, ok := k.Open("a", base64.RawURLEncoding.EncodeToString(sealed), goldenNow); ok != want {
			t.Errorf("%q opens: %v", plain, ok)
		}
	}
}

func TestSignVerify(t *testing.T) {
	t.Parallel()
	const other = "kG8mX2pTqV5wZ1nRbD4cJ7hL9sF3aYeU"
	k := newKeyring(t, goldenSecret)
	mac := k.Sign("a", []byte("susan"))
	if !k.Verify("a", []byte("susan"), mac) || !newKeyring(t, other, goldenSecret).Verify("a", []byte("susan"), mac) {
		t.Error("a signature is not verified")
	}
	if k.Verify("b", []byte("susan"), mac) || k.Verify("a", []byte("susan "), mac) || k.Verify("a", []byte("susan"), mac[:31]) || k.Verify("a", []byte("susan"), nil) || newKeyring(t, other).Verify("a", []byte("susan"), mac) {
		t.Error("what is no signature is verified")
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	token := NewToken()
	if len(token) != TokenLength || len(TokenKey(token)) != TokenLength || token == NewToken() || TokenKey(token) == token {
		t.Errorf("the token %s has the key %s", token, TokenKey(token))
	}
	if got := TokenKey("susan"); got != "t4RpYY-xWHG5UI3v0f9wAUdHwfkY5BhUJcXyu-oqTl0" {
		t.Errorf("the key of a token is %s", got)
	}
	for range 100 {
		if v := RandomVersion(); v < 0 || v >= 1<<62 || v == RandomVersion() {
			t.Errorf("version %d", v)
		}
	}
}

// A purpose is used by many at once from the beginning. Under the race detector this
// finds keys that are derived without a lock.
func TestKeysAtOnce(t *testing.T) {
	t.Parallel()
	k := newKeyring(t, goldenSecret)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			purpose := string(rune('a' + i%4))
			if data, _, ok := k.Open(purpose, k.Seal(purpose, []byte(purpose), goldenNow.Add(time.Hour)), goldenNow); !ok || string(data) != purpose {
				t.Errorf("%s: %q, %v", purpose, data, ok)
			}
		})
	}
	wg.Wait()
}
