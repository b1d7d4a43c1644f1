package passkey

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// Only this file knows go-webauthn, so that another implementation can take its place. It
// checks what one answer says. What needs the store is checked elsewhere: that a challenge
// is used once, whose passkey it is, and its counter.

// algorithms are those that a new passkey may have, the preferred ones first: Ed25519 is
// rare, and RSA is what Windows Hello has on older computers.
func algorithms() []int { return []int{-7, -8, -257} } // ES256, EdDSA, RS256 (IANA COSE)

// The shortest and the longest RSA key, in bits. Longer ones take long to check.
const minRSA, maxRSA = 2048, 4096

// maxCredentialID is the longest ID of a credential, in bytes (WebAuthn Level 3, 5.8.3).
const maxCredentialID = 1023

// An expectation is what an answer must agree with.
type expectation struct {
	challenge []byte
	rpID      string
	origins   []string
	verified  bool // the authenticator must have asked for a PIN or a finger
}

// An outcome is what an answer has proved.
type outcome struct {
	count    uint32
	eligible bool // the passkey may be copied by its provider to other devices (BE)
	backedUp bool // it has been (BS)
}

// A creation is the outcome of a new passkey.
type creation struct {
	outcome
	id     []byte
	key    []byte // COSE
	aaguid [16]byte
}

// checkCreation checks an answer to a request for a new passkey. No attestation was asked
// for, so a statement about the maker of the authenticator is ignored: it proves nothing
// that we use, and its formats are many.
func checkCreation(a answer, want expectation) (creation, error) {
	parsed, err := protocol.CredentialCreationResponse{
		PublicKeyCredential: publicKeyCredential(a),
		AttestationResponse: protocol.AuthenticatorAttestationResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: a.clientData},
			AttestationObject:     a.attestation,
		},
	}.Parse()
	if err != nil {
		return creation{}, reason(err)
	}
	object := &parsed.Response.AttestationObject
	object.Format, object.AttStatement = string(protocol.AttestationFormatNone), nil
	offered := make([]protocol.CredentialParameter, 0, len(algorithms()))
	for _, alg := range algorithms() {
		offered = append(offered, protocol.CredentialParameter{
			Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.COSEAlgorithmIdentifier(alg),
		})
	}
	if err := checkClient(parsed.Response.CollectedClientData, want); err != nil {
		return creation{}, err
	}
	if _, err = parsed.Verify(base64.RawURLEncoding.EncodeToString(want.challenge), want.rpID, want.origins, nil, nil,
		protocol.TopOriginExplicitVerificationMode, false, want.verified, true, nil, offered,
		protocol.AttestationPolicy{}, protocol.SignaturePolicy{}); err != nil {
		return creation{}, reason(err)
	}
	made := object.AuthData.AttData
	if len(made.AAGUID) != 16 { // go-webauthn has checked the rest
		return creation{}, errors.New("the AAGUID has not 16 bytes")
	}
	if err := checkKey(made.CredentialPublicKey); err != nil {
		return creation{}, err
	}
	c := creation{id: made.CredentialID, key: made.CredentialPublicKey, aaguid: [16]byte(made.AAGUID)}
	c.outcome, err = checkFlags(object.AuthData)
	return c, err
}

// checkAssertion checks an answer to a request for a passkey that exists and has this key.
// What it says about the user's PIN or finger is what the authenticator says now. The
// credential that go-webauthn returns elsewhere remembers an earlier one.
func checkAssertion(a answer, key []byte, want expectation) (outcome, error) {
	parsed, err := protocol.CredentialAssertionResponse{
		PublicKeyCredential: publicKeyCredential(a),
		AssertionResponse: protocol.AuthenticatorAssertionResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: a.clientData},
			AuthenticatorData:     a.authData,
			Signature:             a.signature,
			UserHandle:            a.handle,
		},
	}.Parse()
	if err != nil {
		return outcome{}, reason(err)
	}
	if err := checkClient(parsed.Response.CollectedClientData, want); err != nil {
		return outcome{}, err
	}
	if err := parsed.Verify(base64.RawURLEncoding.EncodeToString(want.challenge), want.rpID, "", want.origins, nil, nil,
		protocol.TopOriginExplicitVerificationMode, false, want.verified, true, key, protocol.SignaturePolicy{}); err != nil {
		return outcome{}, reason(err)
	}
	return checkFlags(parsed.Response.AuthenticatorData)
}

// challengeOf returns the challenge that an answer says it is for.
func challengeOf(a answer) ([]byte, bool) {
	var client protocol.CollectedClientData
	if err := json.Unmarshal(a.clientData, &client); err != nil {
		return nil, false
	}
	challenge, err := base64.RawURLEncoding.DecodeString(client.Challenge)
	return challenge, err == nil && len(challenge) == challengeLength
}

func publicKeyCredential(a answer) protocol.PublicKeyCredential {
	return protocol.PublicKeyCredential{
		Credential: protocol.Credential{ID: base64.RawURLEncoding.EncodeToString(a.id), Type: string(protocol.PublicKeyCredentialType)},
		RawID:      a.id,
	}
}

// checkClient checks what the browser says, more strictly than go-webauthn, which compares
// origins without their case and path.
func checkClient(c protocol.CollectedClientData, want expectation) error {
	switch {
	case !slices.Contains(want.origins, c.Origin):
		return fmt.Errorf("the origin is %.100q", c.Origin)
	case c.CrossOrigin || c.TopOrigin != "":
		return errors.New("the page was in a frame of another origin")
	}
	return nil
}

func checkFlags(d protocol.AuthenticatorData) (outcome, error) {
	o := outcome{count: d.Counter, eligible: d.Flags.HasBackupEligible(), backedUp: d.Flags.HasBackupState()}
	if o.backedUp && !o.eligible {
		return outcome{}, errors.New("it says that it is backed up and cannot be")
	}
	return o, nil
}

// checkKey checks that a public key can be used, and is long enough.
func checkKey(key []byte) error {
	parsed, err := webauthncose.ParsePublicKey(key)
	if err != nil {
		return reason(err)
	}
	switch k := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		if k.Algorithm != -7 {
			return fmt.Errorf("an elliptic key has the algorithm %d", k.Algorithm)
		}
	case webauthncose.OKPPublicKeyData:
		if k.Algorithm != -8 {
			return fmt.Errorf("an Ed25519 key has the algorithm %d", k.Algorithm)
		}
	case webauthncose.RSAPublicKeyData:
		bits := new(big.Int).SetBytes(k.Modulus).BitLen()
		if k.Algorithm != -257 || bits < minRSA || bits > maxRSA {
			return fmt.Errorf("an RSA key has %d bits and the algorithm %d", bits, k.Algorithm)
		}
	default:
		return fmt.Errorf("the key is a %T", parsed)
	}
	return nil
}

// reason returns an error of go-webauthn without its details: they have the challenge.
func reason(err error) error {
	var e *protocol.Error
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %s", e.Type, e.Details)
	}
	return errors.New("it cannot be read")
}
