package passkey

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
)

const (
	field     = "passkey" // the input that the script fills in
	maxAnswer = 32 << 10  // bytes; an answer has some 1,500, and few authenticators need 10,000
)

// An answer is what the script has put into the form: a PublicKeyCredential of WebAuthn
// (Level 3, 5.1.8) in JSON. A new passkey has an attestation, any other answer has authData.
type answer struct {
	id          []byte
	clientData  []byte
	attestation []byte
	transports  []string
	authData    []byte
	signature   []byte
	handle      []byte
}

// readAnswer reads the answer in a form. What an answer has besides, such as the results of
// extensions, is ignored.
func readAnswer(form url.Values) (a answer, ok bool) {
	values := form[field]
	if len(values) != 1 || len(values[0]) > maxAnswer {
		return answer{}, false
	}
	var read struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		Response struct {
			ClientDataJSON    string   `json:"clientDataJSON"`
			AttestationObject string   `json:"attestationObject"`
			Transports        []string `json:"transports"`
			AuthenticatorData string   `json:"authenticatorData"`
			Signature         string   `json:"signature"`
			UserHandle        string   `json:"userHandle"`
		} `json:"response"`
	}
	if err := json.Unmarshal([]byte(values[0]), &read); err != nil || read.Type != "public-key" {
		return answer{}, false
	}
	ok = true
	bytes := func(text string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(text)
		ok = ok && err == nil
		return b
	}
	a = answer{
		id:          bytes(read.ID),
		clientData:  bytes(read.Response.ClientDataJSON),
		attestation: bytes(read.Response.AttestationObject),
		transports:  knownTransports(read.Response.Transports),
		authData:    bytes(read.Response.AuthenticatorData),
		signature:   bytes(read.Response.Signature),
		handle:      bytes(read.Response.UserHandle),
	}
	return a, ok && len(a.id) > 0 && len(a.id) <= maxCredentialID
}

// knownTransports returns those ways to reach an authenticator that WebAuthn Level 3 has
// (5.8.4). The browser is told them again at the next login.
func knownTransports(said []string) (known []string) {
	for _, t := range []string{"usb", "nfc", "ble", "smart-card", "hybrid", "internal"} {
		if slices.Contains(said, t) {
			known = append(known, t)
		}
	}
	return known
}
