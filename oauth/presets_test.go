package oauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/oauth"
)

// The shapes of ID tokens of the providers of OpenID Connect, and what becomes of them.
func TestPresets(t *testing.T) {
	t.Parallel()
	const tenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
	apple, err := oauth.Apple("app.example", "TEAM123456", "KEY1234567", appleKey(t))
	must(t, err)
	for _, c := range []struct {
		preset oauth.Provider
		claims string
		want   oauth.Profile
		user   string
	}{
		{
			oauth.Google("x", auth.NewSecret("y")),
			`{"azp":"x","sub":"110169484474386276334","hd":"example.com","email":"susan@example.com","email_verified":true,"name":"Susan Example","picture":"https://lh3.googleusercontent.com/a/x","given_name":"Susan","family_name":"Example","auth_time":null}`,
			oauth.Profile{Subject: "110169484474386276334", Email: "susan@example.com", EmailVerified: true, Name: "Susan Example"}, "",
		},
		{
			oauth.Microsoft(tenant, "x", auth.NewSecret("y")),
			`{"ver":"2.0","sub":"AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ","name":"Susan Example","preferred_username":"susan@example.com","oid":"00000000-0000-0000-66f3-3332eca7ea81","tid":"` + tenant + `","email":"susan@example.com","email_verified":null,"aio":"Df2UVXL1ix"}`,
			oauth.Profile{Subject: "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", Email: "susan@example.com", Name: "Susan Example"}, "",
		},
		{
			oauth.GitLab("x", auth.NewSecret("y")),
			`{"sub":"4711","sub_legacy":"d0f9a5c4","name":"Susan Example","nickname":"susan","preferred_username":"susan","email":"susan@example.com","email_verified":true,"profile":"https://gitlab.com/susan","groups_direct":["g"]}`,
			oauth.Profile{Subject: "4711", Email: "susan@example.com", EmailVerified: true, Name: "Susan Example"}, "",
		},
		{
			apple,
			`{"sub":"001473.fe6f83bf4b8e4590aacbabdcb8598bd0.2039","c_hash":"x","email":"dpdcnf87nu@privaterelay.appleid.com","email_verified":true,"is_private_email":true,"nonce_supported":true,"name":null}`,
			oauth.Profile{Subject: "001473.fe6f83bf4b8e4590aacbabdcb8598bd0.2039", Email: "dpdcnf87nu@privaterelay.appleid.com", EmailVerified: true, Name: "Susan Example"},
			`{"name":{"firstName":"Susan\u202e","lastName":"Example"},"email":"evil@example.com"}`,
		},
		{ // the second login at Apple has no name; a long one is cut
			apple, `{"sub":"001","email":"x@privaterelay.appleid.com","email_verified":"true","name":null}`,
			oauth.Profile{Subject: "001", Email: "x@privaterelay.appleid.com", Name: strings.Repeat("é", 100)}, `{"name":{"firstName":"` + strings.Repeat("é", 1000) + `"}}`,
		},
		{
			apple, `{"sub":"001","email":null,"email_verified":null,"name":null}`, oauth.Profile{Subject: "001"}, `{"name":7}`,
		},
	} {
		claims := map[string]any{}
		must(t, json.Unmarshal([]byte(c.claims), &claims))
		var got oauth.Profile
		s := newSite(t, func(cfg *settings) {
			op := authtest.NewProvider(t, authtest.ProviderConfig{Now: cfg.clock.Now, Issuer: c.preset.Issuer, ClientID: c.preset.ClientID, ClientSecret: "y", CheckSecret: func(string) bool { return true }})
			c.preset.Client, c.preset.SignUp = op.HTTPClient(), true
			c.preset.Registration = func(_ context.Context, p oauth.Profile) (auth.Registration, error) {
				got = p
				return auth.Registration{Username: "susan", Email: p.Email}, nil
			}
			cfg.more, cfg.use = []oauth.Provider{c.preset}, op
			cfg.provider = func(p *oauth.Provider) { p.Issuer = "https://unused.example" }
		})
		user := authtest.ProviderUser{Subject: "x", Claims: claims}
		if c.user != "" {
			user.Answer = url.Values{"user": {c.user}}
		}
		s.provider.Consent(user)
		b := s.browser()
		r := s.provider.Visit(b.Post("/oauth/"+c.preset.Name, nil))
		answer := b.Do(r)
		if c.preset.FormPost {
			answer = b.Get(target(t, answer).String())
		}
		s.leads(answer, "/")
		if got.Subject != c.want.Subject || got.Email != c.want.Email || got.EmailVerified != c.want.EmailVerified || got.Name != c.want.Name {
			t.Errorf("%s: %+v, want %+v", c.preset.Name, got, c.want)
		}
		want(t, c.preset.Name, b.who(), "susan")
	}
}

func appleKey(t testing.TB) auth.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return auth.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// O32: Apple's client secret is signed for each login, and is valid for minutes.
func TestAppleSecret(t *testing.T) {
	t.Parallel()
	pemKey := appleKey(t)
	p, err := oauth.Apple("app.example", "TEAM123456", "KEY1234567", pemKey)
	must(t, err)
	now := time.Unix(1_800_000_000, 0)
	secret, err := p.MakeSecret(now)
	must(t, err)
	parts := strings.Split(secret.Reveal(), ".")
	var header map[string]any
	var claims struct {
		Iss, Sub, Aud string
		Iat, Exp      int64
	}
	for i, v := range []any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		must(t, err)
		must(t, json.Unmarshal(text, v))
	}
	want(t, "header", fmt.Sprint(header), "map[alg:ES256 kid:KEY1234567]")
	want(t, "claims", claims.Iss+" "+claims.Sub+" "+claims.Aud, "TEAM123456 app.example https://appleid.apple.com")
	want(t, "lifetime", claims.Exp-claims.Iat, 300)
	want(t, "iat", claims.Iat, now.Unix())
	block, _ := pem.Decode([]byte(pemKey.Reveal()))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(t, err)
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	must(t, err)
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok || !ecdsa.Verify(&private.PublicKey, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Error("the signature is wrong")
	}
	later, err := p.MakeSecret(now.Add(180 * 24 * time.Hour))
	must(t, err)
	want(t, "the same after half a year", later.Equal(secret), false)
	for _, bad := range []string{"", "x", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}))} {
		if _, err := oauth.Apple("a", "b", "c", auth.NewSecret(bad)); err == nil {
			t.Errorf("the key %q is accepted", bad)
		}
	}
}

// A plainProvider has plain OAuth 2.0, with the shapes of GitHub's and Facebook's answers.
type plainProvider struct {
	*httptest.Server
	answers map[string]string // by path; a number is a status
	asked   []*http.Request
}

func newPlain(t *testing.T, answers map[string]string) *plainProvider {
	t.Helper()
	p := &plainProvider{answers: answers}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		p.asked = append(p.asked, r)
		text, ok := p.answers[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if strings.HasPrefix(text, "status ") {
			status := 0
			_, _ = fmt.Sscanf(text, "status %d", &status)
			w.WriteHeader(status)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		if strings.HasPrefix(text, "access_token=") || strings.HasPrefix(text, "error=") {
			w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		}
		_, _ = fmt.Fprint(w, text)
	}))
	t.Cleanup(p.Close)
	return p
}

// login goes through a login at a plain provider, and returns the last answer.
func (p *plainProvider) login(t *testing.T, preset oauth.Provider) (*site, *browser, *authtest.Response) {
	t.Helper()
	preset.AuthURL, preset.TokenURL = p.URL+"/authorize", p.URL+"/token"
	preset.SignUp = true
	preset.Registration = func(_ context.Context, p oauth.Profile) (auth.Registration, error) {
		return auth.Registration{Username: "u" + p.Subject, Email: p.Email}, nil
	}
	s := newSite(t, func(c *settings) { c.more = []oauth.Provider{preset} })
	b := s.browser()
	u := target(t, b.Post("/oauth/"+preset.Name, url.Values{"next": {"/x"}}))
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("state") == "" || q.Has("nonce") {
		t.Errorf("the authorization request is %s", u)
	}
	r := b.Get("/oauth/" + preset.Name + "/callback?" + url.Values{"state": {q.Get("state")}, "code": {"c0de"}, "iss": {preset.Issuer}}.Encode())
	return s, b, r
}

const (
	gitHubToken  = "access_token=gho_x&scope=read%3Auser%2Cuser%3Aemail&token_type=bearer"
	gitHubUser   = `{"login":"susan","id":583231,"node_id":"MDQ6VXNlcjU4MzIzMQ==","avatar_url":"https://avatars.githubusercontent.com/u/583231","type":"User","site_admin":false,"name":"Susan Example","company":null,"email":null,"two_factor_authentication":true}`
	gitHubEmails = `[{"email":"old@example.com","primary":false,"verified":true,"visibility":null},{"email":"susan@example.com","primary":true,"verified":true,"visibility":"private"}]`
)

// O31: GitHub: the number is the subject, and the address is the primary one, if it is verified.
func TestGitHub(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		emails, email string
	}{
		"primary and verified": {gitHubEmails, "susan@example.com"},
		"primary, not verified": {
			`[{"email":"old@example.com","primary":false,"verified":true},{"email":"susan@example.com","primary":true,"verified":false}]`, "",
		},
		"none": {`[]`, ""},
	} {
		p := newPlain(t, map[string]string{"/token": gitHubToken, "/user": gitHubUser, "/user/emails": c.emails})
		preset := oauth.GitHub("x", auth.NewSecret("y"))
		preset.Map = oauth.GitHubMap(p.URL)
		s, b, r := p.login(t, preset)
		s.leads(r, "/x")
		want(t, what, b.who(), "u583231")
		u := s.found("u583231")
		want(t, what+": address", u.Email, c.email)
		want(t, what+": verified", u.EmailVerified, c.email != "")
		want(t, "Authorization", p.asked[1].Header.Get("Authorization"), "Bearer gho_x")
		want(t, "the verifier", len(p.asked[0].Form.Get("code_verifier")), 43)
	}
	for what, c := range map[string]struct {
		path, answer string
		status       int
	}{
		"403": {"/user", "status 403", http.StatusServiceUnavailable}, "429": {"/user/emails", "status 429", http.StatusServiceUnavailable},
		"another shape": {"/user", `[]`, http.StatusServiceUnavailable}, "no id": {"/user", `{"login":"susan"}`, http.StatusForbidden},
		"a wrong code":   {"/token", "error=bad_verification_code&error_description=The+code+passed+is+incorrect+or+expired.", http.StatusForbidden},
		"a wrong secret": {"/token", "error=incorrect_client_credentials", http.StatusServiceUnavailable},
		"no token":       {"/token", "{}", http.StatusServiceUnavailable},
		"zero":           {"/user", `{"id":0}`, http.StatusForbidden},
		"a login as ID":  {"/user", `{"id":"susan"}`, http.StatusServiceUnavailable},
	} {
		p := newPlain(t, map[string]string{"/token": gitHubToken, "/user": gitHubUser, "/user/emails": gitHubEmails})
		p.answers[c.path] = c.answer
		preset := oauth.GitHub("x", auth.NewSecret("y"))
		preset.Map = oauth.GitHubMap(p.URL)
		s, b, r := p.login(t, preset)
		if r.StatusCode != c.status || b.who() != "nobody" {
			t.Errorf("%s: %s as %s: %s", what, r.Status, b.who(), r.Text)
		}
		if strings.Contains(s.Logs(), "gho_x") || strings.Contains(s.Logs(), "c0de") {
			t.Errorf("%s: the log has a secret", what)
		}
	}
}

// O33: Facebook: an address is never verified, so it connects nobody.
func TestFacebook(t *testing.T) {
	t.Parallel()
	const token = `{"access_token":"EAAx","token_type":"bearer","expires_in":5183944}`
	for user, email := range map[string]string{
		`{"id":"10158034","name":"Susan Example"}`:                                  "",
		`{"id":"10158034","name":"Susan Example","email":"susan\u0040example.com"}`: "susan@example.com",
	} {
		p := newPlain(t, map[string]string{"/token": token, "/me": user})
		preset := oauth.Facebook("x", auth.NewSecret("y"))
		preset.Map, preset.TrustEmail = oauth.FacebookMap(p.URL), true
		s, b, r := p.login(t, preset)
		s.leads(r, "/x")
		u := s.found("u10158034")
		want(t, "who", b.who(), "u10158034")
		want(t, "address", u.Email, email)
		want(t, "verified", u.EmailVerified, false)
		want(t, "fields", p.asked[1].URL.Query().Get("fields"), "id,name,email")
	}
}
