package authtest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/go-login/auth/authtest"
)

// The HMAC verifies with the public key, so a client that lets the token choose
// the algorithm accepts it.
func TestProviderHS256(t *testing.T) {
	for _, algorithm := range []string{"ES256", "RS256"} {
		c := newParty(t, authtest.ProviderConfig{Algorithm: algorithm})
		set, err := c.json(t.Context(), c.p.Issuer+"/keys", nil, "")
		check(t, err)
		keys, _ := set["keys"].([]any)
		jwk, _ := keys[0].(map[string]any)
		der, err := x509.MarshalPKIXPublicKey(publicKey(jwk))
		check(t, err)
		c.p.Misbehave(authtest.HS256)
		token := c.p.Sign("JWT", map[string]any{"sub": "42"})
		input, signature := token[:strings.LastIndex(token, ".")], token[strings.LastIndex(token, ".")+1:]
		mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		_, _ = mac.Write([]byte(input))
		if !hmac.Equal(mac.Sum(nil), decoded(signature)) {
			t.Errorf("%s: the HMAC does not verify", algorithm)
		}
	}
}
