package authtest_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth/authtest"
)

// verifier is a PKCE verifier of the shortest length.
const verifier = "0123456789012345678901234567890123456789012"

// A party is a relying party: a client that checks everything that the standards
// ask for. Each check has an error text of its own.
type party struct {
	p           *authtest.Provider
	issuer      string
	now         func() time.Time
	http        *http.Client
	redirectURI string
	extra       url.Values // of the authorization request
	scope       string
}

// someone is the user of most tests.
func someone() authtest.ProviderUser {
	return authtest.ProviderUser{Subject: "42", Email: "susan@example.com", EmailVerified: true, Name: "Susan"}
}

// newParty returns a provider with a user who consents, and its client.
func newParty(t testing.TB, cfg authtest.ProviderConfig) *party {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = authtest.NewClock(time.Time{}).Now
	}
	p := authtest.NewProvider(t, cfg)
	p.Consent(someone())
	c := &party{
		p: p, issuer: p.Issuer, now: cfg.Now, http: p.HTTPClient(),
		redirectURI: origin + "/callback", scope: "openid email profile offline_access",
	}
	c.http.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != via[0].URL.Host {
			return errors.New("a redirect to another host")
		}
		return nil
	}
	return c
}

// An outcome is what a client has learned about the user.
type outcome struct {
	header, claims map[string]any
	tokens         map[string]any // the answer of the token endpoint
	email          string
	verified       bool
	asked          bool // whether it asked for the userinfo
}

// login walks through a whole login.
func (c *party) login(ctx context.Context) (*outcome, error) {
	d, err := c.discover(ctx)
	if err != nil {
		return nil, err
	}
	state, nonce, verifier := rand.Text(), rand.Text(), rand.Text()+rand.Text()
	code, err := c.code(d, state, nonce, verifier)
	if err != nil {
		return nil, err
	}
	tokens, err := c.exchange(ctx, d, code, verifier)
	if err != nil {
		return nil, err
	}
	return c.finish(ctx, d, tokens, nonce)
}

// discover reads the discovery document.
func (c *party) discover(ctx context.Context) (map[string]any, error) {
	d, err := c.json(ctx, strings.TrimSuffix(c.issuer, "/")+"/.well-known/openid-configuration", nil, "")
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if d["issuer"] != c.issuer {
		return nil, fmt.Errorf("discovery: the issuer is %v", d["issuer"])
	}
	return d, nil
}

// authorizationURL returns where the browser is sent.
func (c *party) authorizationURL(d map[string]any, state, nonce, verifier string) string {
	challenge := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {c.p.ClientID}, "redirect_uri": {c.redirectURI}, "scope": {c.scope},
		"state": {state}, "nonce": {nonce},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	maps.Copy(q, c.extra)
	return fmt.Sprint(d["authorization_endpoint"]) + "?" + q.Encode()
}

// code lets the user log in at the provider, and returns the code.
func (c *party) code(d map[string]any, state, nonce, verifier string) (string, error) {
	back := c.p.VisitURL(c.authorizationURL(d, state, nonce, verifier))
	if err := back.ParseForm(); err != nil {
		return "", err
	}
	announced, _ := d["authorization_response_iss_parameter_supported"].(bool)
	iss := back.Form.Get("iss")
	switch {
	case len(back.Form["code"]) > 1:
		return "", errors.New("callback: two codes")
	case back.Form.Get("state") != state:
		return "", errors.New("callback: wrong state")
	case iss != "" && iss != c.issuer:
		return "", fmt.Errorf("callback: iss is %s", iss)
	case iss == "" && announced:
		return "", errors.New("callback: no iss")
	case back.Form.Get("error") != "":
		return "", fmt.Errorf("callback: %s: %s", back.Form.Get("error"), back.Form.Get("error_description"))
	}
	return back.Form.Get("code"), nil
}

// exchange exchanges the code.
func (c *party) exchange(ctx context.Context, d map[string]any, code, verifier string) (map[string]any, error) {
	tokens, err := c.json(ctx, d["token_endpoint"], url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.redirectURI}, "code_verifier": {verifier},
		"client_id": {c.p.ClientID}, "client_secret": {c.p.ClientSecret},
	}, "")
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return tokens, nil
}

// finish checks the ID token, and asks for the userinfo if it needs the address.
func (c *party) finish(ctx context.Context, d, tokens map[string]any, nonce string) (*outcome, error) {
	token, _ := tokens["id_token"].(string)
	access, _ := tokens["access_token"].(string)
	header, claims, err := c.open(ctx, d, token)
	if err != nil {
		return nil, err
	}
	got := &outcome{header: header, claims: claims, tokens: tokens}
	if err := c.check(claims, nonce, access); err != nil {
		return got, fmt.Errorf("ID token: %w", err)
	}
	about := claims
	if claims["email"] == nil && strings.Contains(c.scope, "email") {
		got.asked = true
		userinfo, err := c.json(ctx, d["userinfo_endpoint"], nil, access)
		switch {
		case err != nil:
			return got, nil //nolint:nilerr // a login goes on without the address
		case userinfo["sub"] != claims["sub"]:
			return got, fmt.Errorf("userinfo: sub is %v", userinfo["sub"])
		}
		about = userinfo
	}
	got.email, _ = about["email"].(string)
	got.verified, _ = about["email_verified"].(bool)
	return got, nil
}

// open checks a token's signature.
func (c *party) open(ctx context.Context, d map[string]any, token string) (header, claims map[string]any, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, fmt.Errorf("token of %d parts", len(parts))
	}
	for i, part := range []*map[string]any{&header, &claims} {
		if err := json.Unmarshal(decoded(parts[i]), part); err != nil {
			return nil, nil, err
		}
	}
	set, err := c.json(ctx, d["jwks_uri"], nil, "")
	if err != nil {
		return nil, nil, fmt.Errorf("keys: %w", err)
	}
	keys, _ := set["keys"].([]any)
	var key map[string]any
	for _, k := range keys {
		if k, _ := k.(map[string]any); k["kid"] == header["kid"] {
			key = k
		}
	}
	algorithms, _ := d["id_token_signing_alg_values_supported"].([]any)
	switch {
	case !slices.Contains(algorithms, header["alg"]):
		return header, claims, fmt.Errorf("algorithm %v", header["alg"])
	case key == nil:
		return header, claims, errors.New("unknown kid")
	case !signed(key, parts[0]+"."+parts[1], decoded(parts[2])):
		return header, claims, errors.New("wrong signature")
	}
	return header, claims, nil
}

// check checks the claims of an ID token.
func (c *party) check(claims map[string]any, nonce, access string) error {
	now := c.now()
	seconds := func(name string) time.Time {
		n, _ := claims[name].(float64)
		return time.Unix(int64(n), 0)
	}
	audience, many := claims["aud"].([]any)
	if !many {
		audience = []any{claims["aud"]}
	}
	azp, present := claims["azp"]
	hash := sha256.Sum256([]byte(access))
	atHash, hashed := claims["at_hash"]
	subject, isText := claims["sub"].(string)
	_, issued := claims["iat"]
	switch {
	case claims["iss"] != c.issuer:
		return fmt.Errorf("iss is %v", claims["iss"])
	case !slices.Contains(audience, any(c.p.ClientID)):
		return fmt.Errorf("aud is %v", claims["aud"])
	case len(audience) > 1 && !present:
		return errors.New("two audiences and no azp")
	case present && azp != c.p.ClientID:
		return fmt.Errorf("azp is %v", azp)
	case claims["nonce"] == nil:
		return errors.New("no nonce")
	case claims["nonce"] != nonce:
		return errors.New("another nonce")
	case !now.Add(-60 * time.Second).Before(seconds("exp")):
		return fmt.Errorf("expired %v ago", now.Sub(seconds("exp")))
	case !issued:
		return errors.New("no iat")
	case seconds("iat").After(now.Add(60 * time.Second)):
		return fmt.Errorf("issued in %v", seconds("iat").Sub(now))
	case hashed && atHash != base64.RawURLEncoding.EncodeToString(hash[:16]):
		return errors.New("another at_hash")
	case claims["sub"] == nil:
		return errors.New("no sub")
	case !isText:
		return fmt.Errorf("sub is a %T", claims["sub"])
	case subject == "":
		return errors.New("empty sub")
	case len(subject) > 255:
		return fmt.Errorf("sub of %d bytes", len(subject))
	}
	return nil
}

// json gets JSON from an endpoint, of 1 MiB at most. If there is a form, it is
// sent by POST.
func (c *party) json(ctx context.Context, address any, form url.Values, bearer string) (map[string]any, error) {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, fmt.Sprint(address), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return c.do(r)
}

func (c *party) do(r *http.Request) (map[string]any, error) {
	res, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if len(body) == 1<<20 {
		return nil, errors.New("more than 1 MiB")
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%d %s", res.StatusCode, bytes.TrimSpace(body))
	}
	var v map[string]any
	err = json.Unmarshal(body, &v)
	return v, err
}

// signed checks a signature with a key of the key set.
func signed(jwk map[string]any, input string, signature []byte) bool {
	hash := sha256.Sum256([]byte(input))
	switch public := publicKey(jwk).(type) {
	case *rsa.PublicKey:
		return jwk["alg"] == "RS256" && rsa.VerifyPKCS1v15(public, crypto.SHA256, hash[:], signature) == nil
	case *ecdsa.PublicKey:
		return jwk["alg"] == "ES256" && len(signature) == 64 &&
			ecdsa.Verify(public, hash[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	return false
}

func publicKey(jwk map[string]any) any {
	part := func(name string) []byte { return decoded(fmt.Sprint(jwk[name])) }
	if jwk["kty"] == "RSA" {
		return &rsa.PublicKey{N: new(big.Int).SetBytes(part("n")), E: int(new(big.Int).SetBytes(part("e")).Int64())}
	}
	point := slices.Concat([]byte{4}, part("x"), part("y"))
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil
	}
	return public
}

func decoded(s string) []byte {
	b, _ := base64.RawURLEncoding.DecodeString(s)
	return b
}

// wantCount checks how many requests an endpoint got.
func wantCount(t testing.TB, p *authtest.Provider, e authtest.Endpoint, n int) {
	t.Helper()
	if got := p.Requests(e); len(got) != n {
		t.Errorf("%d requests to %s, want %d: %v", len(got), e, n, got)
	}
}
