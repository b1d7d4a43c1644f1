package passkey

import (
	"encoding/base64"
	"time"

	"github.com/go-login/auth"
)

// What the script is told, as JSON. Its publicKey is what WebAuthn calls
// PublicKeyCredentialCreationOptions and PublicKeyCredentialRequestOptions (Level 3, 5.4 and
// 5.5). Binary data is base64url.

// A request is the Data of a Prompt.
type request struct {
	Kind      string `json:"kind"` // create or get
	PublicKey any    `json:"publicKey"`
}

type createOptions struct {
	RP                     relyingParty   `json:"rp"`
	User                   userEntity     `json:"user"`
	Challenge              string         `json:"challenge"`
	PubKeyCredParams       []parameter    `json:"pubKeyCredParams"`
	Timeout                int64          `json:"timeout"` // milliseconds
	ExcludeCredentials     []descriptor   `json:"excludeCredentials"`
	AuthenticatorSelection selection      `json:"authenticatorSelection"`
	Attestation            string         `json:"attestation"`
	Extensions             map[string]any `json:"extensions"`
}

type relyingParty struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type userEntity struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
}

type parameter struct {
	Type string `json:"type"`
	Alg  int    `json:"alg"`
}

type selection struct {
	ResidentKey        string `json:"residentKey"`
	RequireResidentKey bool   `json:"requireResidentKey"` // what Level 1 calls it
	UserVerification   string `json:"userVerification"`
}

type descriptor struct {
	Type       string   `json:"type"`
	ID         string   `json:"id"`
	Transports []string `json:"transports,omitempty"`
}

type getOptions struct {
	Challenge        string       `json:"challenge"`
	Timeout          int64        `json:"timeout"` // milliseconds
	RPID             string       `json:"rpId"`
	AllowCredentials []descriptor `json:"allowCredentials,omitempty"`
	UserVerification string       `json:"userVerification"`
}

// known is what the script tells the browser about the passkeys of a user.
type known struct {
	RPID          string   `json:"rpId"`
	UserID        string   `json:"userId"`
	CredentialIDs []string `json:"credentialIds"`
	Name          string   `json:"name"`
	DisplayName   string   `json:"displayName"`
}

// toCreate asks for a new passkey. residentKey makes it one that the browser finds without
// being told a username. Firefox on Android keeps it in Google's password manager only if
// credProps is there.
func (f *Factor) toCreate(a *auth.Account, handle, challenge []byte, has []credential) auth.Prompt {
	o := createOptions{
		RP:                     relyingParty{f.rpID, f.siteName},
		User:                   userEntity{encode(handle), nameOf(a), nameOf(a)},
		Challenge:              encode(challenge),
		Timeout:                pendingFor.Milliseconds(),
		ExcludeCredentials:     f.describe(has),
		AuthenticatorSelection: selection{"required", true, "required"},
		Attestation:            "none",
		Extensions:             map[string]any{"credProps": true},
	}
	for _, alg := range algorithms() {
		o.PubKeyCredParams = append(o.PubKeyCredParams, parameter{"public-key", alg})
	}
	return f.prompt(request{"create", o})
}

// toGet asks for a passkey: for one of these, or for any if there are none.
func (f *Factor) toGet(challenge []byte, lifetime time.Duration, verification string, allowed []credential) auth.Prompt {
	return f.prompt(request{"get", getOptions{
		Challenge: encode(challenge), Timeout: lifetime.Milliseconds(), RPID: f.rpID,
		AllowCredentials: f.describe(allowed), UserVerification: verification,
	}})
}

func (f *Factor) prompt(r request) auth.Prompt {
	return auth.Prompt{Field: field, Script: f.scriptPath, Data: r}
}

func (f *Factor) describe(credentials []credential) []descriptor {
	list := make([]descriptor, 0, len(credentials))
	for _, c := range credentials {
		list = append(list, descriptor{"public-key", encode(c.id), c.transports})
	}
	return list
}

// nameOf returns the name under which password managers show a user's passkey.
func nameOf(a *auth.Account) string {
	switch {
	case a.Username != "":
		return a.Username
	case a.Email != "":
		return a.Email
	}
	return a.ID
}

// encode writes binary data as the script reads it.
func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
