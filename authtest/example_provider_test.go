package authtest_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/go-login/auth/authtest"
)

// testLoginWithProvider would be called TestLoginWithProvider in the
// application's own tests. This one is also the client: it makes the requests
// that an application's "Log in with …" makes.
func testLoginWithProvider(t *testing.T) {
	provider := authtest.NewProvider(t, authtest.ProviderConfig{})
	provider.Consent(authtest.ProviderUser{Subject: "42", Email: "susan@example.com", EmailVerified: true})

	// The discovery document has the endpoints.
	var metadata struct {
		AuthorizationEndpoint string `json:"authorization_endpoint"`
		TokenEndpoint         string `json:"token_endpoint"`
	}
	res, err := http.Get(provider.Issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&metadata); err != nil {
		t.Fatal(err)
	}

	// The browser goes to the provider, and comes back with a code.
	verifier, redirectURI := rand.Text()+rand.Text(), "https://app.example/callback"
	challenge := sha256.Sum256([]byte(verifier))
	back := provider.VisitURL(metadata.AuthorizationEndpoint + "?" + url.Values{
		"response_type": {"code"}, "scope": {"openid email"},
		"client_id": {provider.ClientID}, "redirect_uri": {redirectURI},
		"state": {rand.Text()}, "nonce": {rand.Text()},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"code_challenge_method": {"S256"},
	}.Encode())

	// The application exchanges the code, and checks the ID token. It must never
	// use a code twice.
	exchange := func() int {
		res, err := http.PostForm(metadata.TokenEndpoint, url.Values{
			"grant_type": {"authorization_code"}, "code": {back.FormValue("code")},
			"redirect_uri": {redirectURI}, "code_verifier": {verifier},
			"client_id": {provider.ClientID}, "client_secret": {provider.ClientSecret},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if status := exchange(); status != http.StatusOK {
		t.Errorf("the exchange gets %d", status)
	}
	if status := exchange(); status != http.StatusBadRequest {
		t.Errorf("the second exchange gets %d", status)
	}
	for _, r := range provider.Requests(authtest.Token) {
		t.Logf("a token request: %s", r.Refused)
	}

	// Each misbehaviour must end in a refusal, unless it is tolerable.
	for _, m := range authtest.Misbehaviours() {
		t.Run(string(m), func(t *testing.T) {
			provider.Misbehave(m)
			// Log in here, and compare the outcome with m.Tolerable().
		})
	}
}

// A typical test of "Log in with …".
func ExampleProvider() {
	_ = testLoginWithProvider // as TestLoginWithProvider, go test would run it
}
