package authtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
)

// Sign returns a token of these claims, signed with the provider's key. typ is
// its type, such as "JWT". The test can thus make tokens that the provider would
// never make, such as an ID token without an expiry.
func (p *Provider) Sign(typ string, claims map[string]any) string {
	p.mu.Lock()
	faults := slices.Clone(p.faults)
	p.mu.Unlock()
	return p.sign(typ, claims, faults)
}

// sign returns a token in the compact form of RFC 7515.
func (p *Provider) sign(typ string, claims map[string]any, faults []Misbehaviour) string {
	p.mu.Lock()
	key, otherKey := p.key, p.otherKey
	p.mu.Unlock()
	header := map[string]any{"alg": key.algorithm, "kid": key.id, "typ": typ}
	sign := key.sign
	for _, m := range faults {
		switch m {
		case AlgorithmNone:
			header["alg"] = "none"
			sign = func([]byte) ([]byte, error) { return nil, nil }
		case HS256:
			header["alg"] = "HS256"
			sign = key.signHMAC
		case WrongKey:
			sign = otherKey.sign
		case WrongKid:
			header["kid"] = rand.Text()
		}
	}
	input := p.encode(header) + "." + p.encode(claims)
	signature, err := sign([]byte(input))
	if err != nil {
		p.t.Errorf("authtest: signing a token: %v", err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// encode returns a part of a token.
func (p *Provider) encode(part map[string]any) string {
	text, err := json.Marshal(part)
	if err != nil {
		p.t.Errorf("authtest: a token's claims: %v", err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// A signingKey is an RSA or ECDSA key.
type signingKey struct {
	id        string
	algorithm string // RS256 or ES256
	private   crypto.Signer
}

func newSigningKey(algorithm string) (signingKey, error) {
	key := signingKey{id: rand.Text(), algorithm: algorithm}
	var err error
	switch algorithm {
	case "ES256":
		key.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		key.private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("ProviderConfig.Algorithm is %q; use ES256 or RS256", algorithm)
	}
	return key, err
}

// sign returns a signature by RFC 7518, section 3.
func (k signingKey) sign(input []byte) ([]byte, error) {
	hash := sha256.Sum256(input)
	private, ok := k.private.(*ecdsa.PrivateKey)
	if !ok {
		return k.private.Sign(rand.Reader, hash[:], crypto.SHA256)
	}
	r, s, err := ecdsa.Sign(rand.Reader, private, hash[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature, nil
}

// signHMAC signs with what everybody knows: the public key as PEM.
func (k signingKey) signHMAC(input []byte) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	_, _ = mac.Write(input) // returns no error
	return mac.Sum(nil), err
}

// jwk returns the public key for the key set (RFC 7517).
func (k signingKey) jwk() (map[string]any, error) {
	jwk := map[string]any{"kid": k.id, "alg": k.algorithm, "use": "sig"}
	encode := base64.RawURLEncoding.EncodeToString
	switch public := k.private.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(public.N.Bytes()), encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, x, y
		if err != nil {
			return nil, err
		}
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", encode(point[1:33]), encode(point[33:])
	}
	return jwk, nil
}
