// Package passkeytest has an authenticator with a browser around it, for tests of
// applications: it answers what package passkey asks for, without a browser.
//
//	phone := passkeytest.New("https://app.example")
//	setup, err := manager.BeginFactor(ctx, "passkey")
//	answer, err := phone.Answer(setup.Prompt)
//	err = manager.EnrollFactor(ctx, "passkey", answer)
//
// It can also lie, as an attacker may: see Authenticator.Lie.
package passkeytest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/go-login/auth"
)

var (
	// ErrExcluded is what a browser calls InvalidStateError: the authenticator has a passkey
	// for this account already.
	ErrExcluded = errors.New("passkeytest: InvalidStateError: the authenticator has a passkey for this account")

	// ErrNoPasskey is what a browser calls NotAllowedError: the authenticator has none of the
	// passkeys that were asked for.
	ErrNoPasskey = errors.New("passkeytest: NotAllowedError: the authenticator has no such passkey")

	// ErrSite is what a browser calls SecurityError: a page of this origin may not use
	// passkeys of this RPID.
	ErrSite = errors.New("passkeytest: SecurityError: the page may not use passkeys of this site")
)

// An Authenticator is an authenticator with a browser around it. It asks for a finger each
// time, and gets it. Make it by [New]. It is safe for use by many goroutines.
type Authenticator struct {
	Origin     string                        // of the page that asks
	AAGUID     [16]byte                      // what kind of authenticator it is
	Transports []string                      // such as "usb"
	NoCount    bool                          // true: its counter is always 0
	Eligible   bool                          // its passkeys can be synced
	BackedUp   bool                          // they are
	NewKey     func() (crypto.Signer, error) // makes a key; by default, an ECDSA key on P-256

	// Lie changes what is said, before it is signed. Optional.
	Lie func(*Ceremony)

	mu       sync.Mutex
	passkeys []*Passkey
}

// A Passkey is one of an Authenticator's passkeys.
type Passkey struct {
	ID     []byte
	RPID   string
	Handle []byte
	Count  uint32

	signer crypto.Signer
}

// A Ceremony is what the browser and the authenticator say in one answer. Lie changes it.
type Ceremony struct {
	Kind string // create or get

	// What the browser says.
	Type        string // webauthn.create or webauthn.get
	Challenge   []byte
	Origin      string
	CrossOrigin bool
	TopOrigin   string
	UserHandle  []byte // of get; nil: none

	// What the authenticator says.
	CredentialID []byte
	RPID         string
	Present      bool
	Verified     bool
	Eligible     bool
	BackedUp     bool
	Count        uint32
	Key          []byte // of create: the public key (COSE)
	Format       string // of create: of the attestation, with an empty statement
	Attestation  []byte // of create, if not nil: the whole attestation object
	BadSignature bool   // of get
}

// New makes an authenticator for the pages of an origin, such as "https://app.example".
func New(origin string) *Authenticator {
	return &Authenticator{Origin: origin, Transports: []string{"internal"}}
}

// Clone returns a copy of the authenticator, with copies of its passkeys and of their
// counters.
func (a *Authenticator) Clone() *Authenticator {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := &Authenticator{
		Origin: a.Origin, AAGUID: a.AAGUID, Transports: a.Transports, NoCount: a.NoCount,
		Eligible: a.Eligible, BackedUp: a.BackedUp, NewKey: a.NewKey, Lie: a.Lie,
	}
	for _, p := range a.passkeys {
		twin := *p
		b.passkeys = append(b.passkeys, &twin)
	}
	return b
}

// Passkeys returns the passkeys that the authenticator has.
func (a *Authenticator) Passkeys() []Passkey {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []Passkey
	for _, p := range a.passkeys {
		list = append(list, *p)
	}
	return list
}

// Answer answers a Prompt of package passkey, as the script of the package does: it returns
// the form that the browser sends.
func (a *Authenticator) Answer(p auth.Prompt) (url.Values, error) {
	b, err := json.Marshal(p.Data)
	if err != nil {
		return nil, fmt.Errorf("passkeytest: the Data of the Prompt: %w", err)
	}
	answer, err := a.AnswerJSON(b)
	if err != nil {
		return nil, err
	}
	return url.Values{p.Field: {answer}}, nil
}

// options are those of a Prompt's Data that an authenticator needs.
type options struct {
	Kind      string `json:"kind"`
	PublicKey struct {
		Challenge          data                `json:"challenge"`
		RPID               string              `json:"rpId"`
		RP                 struct{ ID string } `json:"rp"`
		User               struct{ ID data }   `json:"user"`
		ExcludeCredentials []descriptor        `json:"excludeCredentials"`
		AllowCredentials   []descriptor        `json:"allowCredentials"`
	} `json:"publicKey"`
}

type descriptor struct {
	ID data `json:"id"`
}

// data is binary data in JSON.
type data []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *data) UnmarshalText(text []byte) error {
	b, err := base64.RawURLEncoding.DecodeString(string(text))
	*d = b
	return err
}

// AnswerJSON is Answer for a page's JSON: that of an attribute data-passkey, or what the
// address in data-passkey-url answers. It returns what the script puts into the field.
func (a *Authenticator) AnswerJSON(prompt []byte) (string, error) {
	var o options
	if err := json.Unmarshal(prompt, &o); err != nil {
		return "", fmt.Errorf("passkeytest: the Data of the Prompt: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch o.Kind {
	case "create":
		return a.create(o)
	case "get":
		return a.get(o)
	}
	return "", fmt.Errorf("passkeytest: the Prompt is for %q; want create or get", o.Kind)
}

func (a *Authenticator) create(o options) (string, error) {
	rpID := o.PublicKey.RP.ID
	if !a.mayUse(rpID) {
		return "", ErrSite
	}
	if a.find(rpID, o.PublicKey.ExcludeCredentials) != nil {
		return "", ErrExcluded
	}
	newKey := a.NewKey
	if newKey == nil {
		newKey = func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
	}
	signer, err := newKey()
	if err != nil {
		return "", err
	}
	key, err := coseOf(signer.Public())
	if err != nil {
		return "", err
	}
	p := &Passkey{ID: make([]byte, 32), RPID: rpID, Handle: o.PublicKey.User.ID, signer: signer}
	_, _ = rand.Read(p.ID) // never fails
	c := a.ceremony(o, "webauthn.create", p)
	c.Key, c.Format = key, "none"
	if a.Lie != nil {
		a.Lie(&c)
	}
	p.ID = c.CredentialID
	attested := append(bytes.Clone(a.AAGUID[:]), binary.BigEndian.AppendUint16(nil, uint16(len(c.CredentialID)))...)
	attested = append(append(attested, c.CredentialID...), c.Key...)
	object := c.Attestation
	if object == nil {
		object = slices.Concat([]byte{0xa3}, text("fmt"), text(c.Format), text("attStmt"), []byte{0xa0}, text("authData"), blob(c.authData(attested)))
	}
	a.passkeys = append(a.passkeys, p)
	return c.answer(map[string]any{"attestationObject": encode(object), "transports": a.Transports})
}

func (a *Authenticator) get(o options) (string, error) {
	rpID := o.PublicKey.RPID
	if !a.mayUse(rpID) {
		return "", ErrSite
	}
	var p *Passkey
	if len(o.PublicKey.AllowCredentials) > 0 {
		p = a.find(rpID, o.PublicKey.AllowCredentials)
	} else if i := slices.IndexFunc(a.passkeys, func(p *Passkey) bool { return p.RPID == rpID }); i >= 0 {
		p = a.passkeys[i]
	}
	if p == nil {
		return "", ErrNoPasskey
	}
	c := a.ceremony(o, "webauthn.get", p)
	c.UserHandle = p.Handle
	if a.Lie != nil {
		a.Lie(&c)
	}
	authData := c.authData(nil)
	hash := sha256.Sum256(c.clientData())
	signature, err := sign(p.signer, append(bytes.Clone(authData), hash[:]...))
	if err != nil {
		return "", err
	}
	if c.BadSignature {
		signature[len(signature)-1] ^= 1
	}
	response := map[string]any{"authenticatorData": encode(authData), "signature": encode(signature)}
	if c.UserHandle != nil {
		response["userHandle"] = encode(c.UserHandle)
	}
	return c.answer(response)
}

// ceremony returns the truth.
func (a *Authenticator) ceremony(o options, kind string, p *Passkey) Ceremony {
	if !a.NoCount {
		p.Count++
	}
	return Ceremony{
		Kind: o.Kind, Type: kind, Challenge: o.PublicKey.Challenge, Origin: a.Origin, CredentialID: p.ID, RPID: p.RPID,
		Present: true, Verified: true, Eligible: a.Eligible, BackedUp: a.BackedUp, Count: p.Count,
	}
}

// mayUse reports whether a page of the origin may use passkeys of a site. Browsers also ask
// the site for related origins. For these, let Lie set the Origin.
func (a *Authenticator) mayUse(rpID string) bool {
	u, err := url.Parse(a.Origin)
	return err == nil && (u.Hostname() == rpID || strings.HasSuffix(u.Hostname(), "."+rpID))
}

func (a *Authenticator) find(rpID string, list []descriptor) *Passkey {
	for _, d := range list {
		for _, p := range a.passkeys {
			if p.RPID == rpID && bytes.Equal(p.ID, d.ID) {
				return p
			}
		}
	}
	return nil
}

func (c *Ceremony) clientData() []byte {
	said := struct {
		Type        string `json:"type"`
		Challenge   string `json:"challenge"`
		Origin      string `json:"origin"`
		CrossOrigin bool   `json:"crossOrigin"`
		TopOrigin   string `json:"topOrigin,omitempty"`
	}{c.Type, encode(c.Challenge), c.Origin, c.CrossOrigin, c.TopOrigin}
	b, _ := json.Marshal(said) // texts and a bool: never fails
	return b
}

// authData returns the authenticator data (WebAuthn Level 3, 6.1).
func (c *Ceremony) authData(attested []byte) []byte {
	sum := sha256.Sum256([]byte(c.RPID))
	flags := byte(0)
	for i, set := range []bool{c.Present, false, c.Verified, c.Eligible, c.BackedUp, false, attested != nil} {
		if set {
			flags |= 1 << i
		}
	}
	b := binary.BigEndian.AppendUint32(append(sum[:], flags), c.Count)
	return append(b, attested...)
}

func (c *Ceremony) answer(response map[string]any) (string, error) {
	response["clientDataJSON"] = encode(c.clientData())
	id := encode(c.CredentialID)
	b, err := json.Marshal(map[string]any{
		"id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": map[string]any{},
	})
	return string(b), err
}

func sign(key crypto.Signer, data []byte) ([]byte, error) {
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		return key.Sign(rand.Reader, data, crypto.Hash(0))
	}
	sum := sha256.Sum256(data)
	return key.Sign(rand.Reader, sum[:], crypto.SHA256)
}

// coseOf writes a public key as authenticators do (RFC 9053).
func coseOf(key crypto.PublicKey) ([]byte, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			return nil, err
		}
		half := (len(point) - 1) / 2
		return slices.Concat([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21}, blob(point[1:1+half]), []byte{0x22}, blob(point[1+half:])), nil // ES256, P-256
	case ed25519.PublicKey:
		return slices.Concat([]byte{0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21}, blob(k)), nil // EdDSA, Ed25519
	case *rsa.PublicKey:
		return slices.Concat([]byte{0xa4, 1, 3, 3, 0x39, 1, 0, 0x20}, blob(k.N.Bytes()), []byte{0x21}, blob(big.NewInt(int64(k.E)).Bytes())), nil // RS256
	}
	return nil, fmt.Errorf("passkeytest: a key is a %T; use ECDSA, Ed25519 or RSA", key)
}

// text and blob write CBOR.
func text(s string) []byte { return append(head(0x60, len(s)), s...) }
func blob(b []byte) []byte { return append(head(0x40, len(b)), b...) }

func head(kind byte, n int) []byte {
	switch {
	case n < 24:
		return []byte{kind | byte(n)}
	case n < 1<<8:
		return []byte{kind | 24, byte(n)}
	}
	return binary.BigEndian.AppendUint16([]byte{kind | 25}, uint16(n))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
