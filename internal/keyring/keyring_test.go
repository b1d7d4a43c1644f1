package keyring

import (
	"encoding/hex"
	"testing"
)

// goldenSecret is the secret of the texts below, which earlier versions made.
const goldenSecret = "Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"

// What earlier versions have sealed or signed is opened and verified. A Name changes
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
			if data, ok := keyrings[name].Open(c.purpose, c.sealed); ok != (name == c.name) || ok && string(data) != "susan" {
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
