package passkey_test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/passkey/passkeytest"
)

// P10: whatever a browser sends, nothing panics, and no answer is right that the key has not
// signed.
func FuzzAnswer(f *testing.F) {
	phone := passkeytest.New("https://app.example")
	challenge := base64.RawURLEncoding.EncodeToString(passkey.FixedChallenge())
	created, err := phone.AnswerJSON([]byte(`{"kind":"create","publicKey":{"challenge":"` + challenge + `","rp":{"id":"app.example"},"user":{"id":"AAAA"}}}`))
	must(f, err)
	ok, _, key := passkey.CheckAnswer(created, nil)
	if !ok {
		f.Fatal("a right answer is refused")
	}
	shown, err := phone.AnswerJSON([]byte(`{"kind":"get","publicKey":{"challenge":"` + challenge + `","rpId":"app.example"}}`))
	must(f, err)
	if _, ok, _ := passkey.CheckAnswer(shown, key); !ok {
		f.Fatal("a right answer is refused")
	}
	f.Add(created)
	f.Add(shown)
	f.Add("{}")
	f.Fuzz(func(t *testing.T, text string) {
		_, asserted, _ := passkey.CheckAnswer(text, key)
		if !asserted || text == shown {
			return
		}
		// The same may be written otherwise in JSON. The parts that are signed are the same.
		if parts(t, text) != parts(t, shown) {
			t.Errorf("accepted: %q", text)
		}
	})
}

func parts(t *testing.T, text string) (p struct {
	Response struct{ ClientDataJSON, AuthenticatorData string }
}) {
	t.Helper()
	must(t, json.Unmarshal([]byte(text), &p))
	return p
}

// A record that can be read is the same after it was written again.
func FuzzRecord(f *testing.F) {
	for _, r := range readGolden(f).Records {
		f.Add(r.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for what, again := range map[string]func([]byte) (ok, same bool){
			"a passkey": passkey.RecordAgain, "the sites": passkey.SitesAgain, "a question": passkey.AskedAgain,
		} {
			if ok, same := again(data); ok && !same {
				t.Errorf("%s: %x", what, data)
			}
		}
	})
}

// A golden is what an application has kept, and the authenticator of a user.
type golden struct {
	Records []auth.Record
	Key     []byte // PKCS #8
}

func readGolden(t testing.TB) (g golden) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "store-2026-11-29.json"))
	must(t, err)
	must(t, json.Unmarshal(b, &g))
	return g
}

// What an earlier version has stored is read, and its passkeys work. If this test fails,
// users lose their passkeys: change the code, and never the file. A new format gets a new
// version and a new file.
func TestGoldenStore(t *testing.T) {
	t.Parallel()
	g := readGolden(t)
	s := newSite(t)
	s.Clock.Advance(time.Hour)
	_, err := s.Store.CreateUser(t.Context(), auth.Account{ID: "7", Username: "susan", Stamp: auth.NewSecret("stamp"), Version: 1}, nil)
	must(t, err)
	for _, r := range g.Records {
		must(t, s.Store.InsertRecord(t.Context(), r))
	}
	list := s.list(t, "susan")
	want := fmt.Sprint([]auth.Passkey{
		{ID: "-4CbqDo2UDidPaMiQ2nCal4rOwwbWIkNmUqoUWl8QoA", Name: "My phone", Created: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).Local(), LastUsed: time.Date(2026, 11, 21, 12, 0, 1, 0, time.UTC).Local(), Synced: true},
	})
	if fmt.Sprint(list) != want {
		t.Errorf("%v\nwant %v", list, want)
	}
	must(t, s.passkeys.Check(t.Context()))
	k := s.known(t, s.find(t, "susan"))
	phone := imported(t, g, k)
	must(t, s.try(t, phone))
	phone.Lie = staysAt(2)
	if err := s.try(t, phone); err == nil || !s.list(t, "susan")[0].Suspended {
		t.Error("the counter is lost")
	}
}

// imported returns the authenticator of the golden store.
func imported(t *testing.T, g golden, k *known) *passkeytest.Authenticator {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(g.Key)
	must(t, err)
	signer, ok := key.(crypto.Signer)
	if !ok {
		t.Fatalf("the key is a %T", key)
	}
	phone := passkeytest.New("https://app.example")
	phone.Eligible, phone.BackedUp = true, true
	phone.NewKey = func() (crypto.Signer, error) { return signer, nil }
	phone.Lie = func(c *passkeytest.Ceremony) { c.CredentialID = decode(k.CredentialIDs[0]) }
	_, err = phone.AnswerJSON([]byte(`{"kind":"create","publicKey":{"rp":{"id":"app.example"},"user":{"id":"` + k.UserID + `"}}}`))
	must(t, err)
	phone.Lie = staysAt(7)
	return phone
}
