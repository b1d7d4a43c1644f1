package auth

import (
	"encoding/hex"
	"testing"
)

// What a Manager without a Name has sealed or signed before there were Names is
// opened and verified. A Name changes all keys.
func TestKeysOfNames(t *testing.T) {
	t.Parallel()
	const sealed = "c9pNzF8GwJ00pvZpKDNwIisAkIZDfHRNoN7KPpICYP7s"
	for name, want := range map[string]string{
		"":     "d2ed505ae1601ea3ca036b68481ccd1ea3be8ab3fe1e250152727e5444ccbbf0",
		"shop": "55aee99bc9f5df9387f2d3686d36974495acd4bc6dc0bb7e52a5ea899e7acc51",
	} {
		k, err := newKeyring([][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, name)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(k.sign(purposeLogin, []byte("susan"))); got != want {
			t.Errorf("%q: signed %s, want %s", name, got, want)
		}
		if data, ok := k.open(purposeReset, sealed); ok != (name == "") || ok && string(data) != "susan" {
			t.Errorf("%q: opened %q, %v", name, data, ok)
		}
	}
}
