package passkeytest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/passkey/passkeytest"
)

const (
	create = `{"kind":"create","publicKey":{"challenge":"AAAA","rp":{"id":"app.example"},"user":{"id":"BBBB"}}}`
	get    = `{"kind":"get","publicKey":{"challenge":"AAAA","rpId":"app.example"}}`
)

// The tests of package passkey check the answers. These check what an authenticator and a
// browser refuse.
func TestRefusals(t *testing.T) {
	t.Parallel()
	phone := passkeytest.New("https://www.app.example")
	if _, err := phone.AnswerJSON([]byte(get)); !errors.Is(err, passkeytest.ErrNoPasskey) {
		t.Errorf("without a passkey: %v", err)
	}
	answer := made(t, phone, create)
	phone.AAGUID = [16]byte{1}
	if list := phone.Passkeys(); len(list) != 1 || list[0].RPID != "app.example" || list[0].Count != 1 || string(list[0].Handle) != "\x04\x10\x41" {
		t.Errorf("%+v", list)
	}
	excluded := strings.Replace(create, `"rp"`, `"excludeCredentials":[{"id":"`+answer.ID+`"}],"rp"`, 1)
	if _, err := phone.AnswerJSON([]byte(excluded)); !errors.Is(err, passkeytest.ErrExcluded) {
		t.Errorf("excluded: %v", err)
	}
	other := strings.Replace(get, `"rpId"`, `"allowCredentials":[{"id":"CCCC"}],"rpId"`, 1)
	if _, err := phone.AnswerJSON([]byte(other)); !errors.Is(err, passkeytest.ErrNoPasskey) {
		t.Errorf("another passkey: %v", err)
	}
	for _, options := range []string{create, get} {
		for _, site := range []string{"evil.example", "pp.example", "www.app.example.com"} {
			if _, err := phone.AnswerJSON([]byte(strings.Replace(options, "app.example", site, 1))); !errors.Is(err, passkeytest.ErrSite) {
				t.Errorf("%s: %v", site, err)
			}
		}
	}
	for _, options := range []string{"", "{}", "[]", `{"kind":"get","publicKey":{"challenge":"?"}}`, `{"kind":"sign"}`} {
		if _, err := phone.AnswerJSON([]byte(options)); err == nil {
			t.Errorf("%q is answered", options)
		}
	}
	if _, err := phone.Answer(auth.Prompt{Data: func() {}}); err == nil {
		t.Error("a function is answered")
	}
	phone.NewKey = func() (crypto.Signer, error) { return nil, errors.New("no key") }
	if _, err := phone.AnswerJSON([]byte(create)); err == nil {
		t.Error("no key")
	}
}

// A clone counts from the same number, and by itself.
func TestClone(t *testing.T) {
	t.Parallel()
	phone := passkeytest.New("https://app.example")
	phone.NewKey = func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
	made(t, phone, create)
	twin := phone.Clone()
	for range 3 {
		made(t, phone, get)
	}
	made(t, twin, get)
	if a, b := phone.Passkeys()[0].Count, twin.Passkeys()[0].Count; a != 4 || b != 2 {
		t.Errorf("counters %d and %d", a, b)
	}
	if string(phone.Passkeys()[0].ID) != string(twin.Passkeys()[0].ID) {
		t.Error("the IDs differ")
	}
	form, err := twin.Answer(auth.Prompt{Field: "passkey", Data: json.RawMessage(get)})
	if err != nil || !strings.Contains(form.Get("passkey"), "signature") {
		t.Errorf("%v, %v", form, err)
	}
}

type answer struct{ ID, RawID, Type string }

func made(t *testing.T, phone *passkeytest.Authenticator, options string) (a answer) {
	t.Helper()
	text, err := phone.AnswerJSON([]byte(options))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil || a.ID == "" || a.ID != a.RawID || a.Type != "public-key" {
		t.Fatalf("%s, %v", text, err)
	}
	return a
}
