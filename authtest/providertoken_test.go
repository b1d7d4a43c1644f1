package authtest_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-login/auth/authtest"
)

// A code can be exchanged once, in the ways that the metadata announce. A token
// request that is refused uses up its code.
func TestProviderRefusesExchange(t *testing.T) {
	basic := func(id, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
	}
	id, secret := "https://app.example/client", "p%:+ä"
	good := url.Values{
		"grant_type": {"authorization_code"}, "redirect_uri": {origin + "/callback"}, "code_verifier": {verifier},
		"client_id": {id}, "client_secret": {secret},
	}
	for name, c := range map[string]struct {
		methods any // token_endpoint_auth_methods_supported
		change  url.Values
		header  string // Authorization
		want    string // why it is refused
	}{
		"post":                  {methods: []string{"client_secret_post"}},
		"post where basic":      {methods: []string{"client_secret_basic"}, want: "invalid_client: client_secret_post"},
		"post where unknown":    {methods: nil, want: "invalid_client: client_secret_post"},
		"basic":                 {methods: []string{"client_secret_basic"}, change: url.Values{"client_secret": nil}, header: basic(id, secret)},
		"basic where unknown":   {methods: nil, change: url.Values{"client_secret": nil}, header: basic(id, secret)},
		"basic where post":      {methods: []string{"client_secret_post"}, change: url.Values{"client_secret": nil}, header: basic(id, secret), want: "invalid_client: client_secret_basic"},
		"basic unescaped":       {methods: nil, change: url.Values{"client_secret": nil}, header: "Basic " + base64.StdEncoding.EncodeToString([]byte(secret+":"+id)), want: "invalid_client: the client's ID"},
		"wrong secret":          {methods: []string{"client_secret_post"}, change: url.Values{"client_secret": {"x"}}, want: "invalid_client: the client's ID"},
		"wrong client":          {methods: []string{"client_secret_post"}, change: url.Values{"client_id": {"x"}}, want: "invalid_client: the client's ID"},
		"wrong secret in basic": {methods: nil, change: url.Values{"client_secret": nil}, header: basic(id, "x"), want: "invalid_client: the client's ID"},
		"another redirect_uri":  {methods: []string{"client_secret_post"}, change: url.Values{"redirect_uri": {origin + "/callback/"}}, want: "invalid_grant: redirect_uri"},
		"another verifier":      {methods: []string{"client_secret_post"}, change: url.Values{"code_verifier": {verifier + "3"}}, want: "invalid_grant: code_verifier"},
		"no verifier":           {methods: []string{"client_secret_post"}, change: url.Values{"code_verifier": nil}, want: "invalid_grant: code_verifier"},
		"another grant":         {methods: []string{"client_secret_post"}, change: url.Values{"grant_type": {"password"}}, want: "unsupported_grant_type"},
		"unknown code":          {methods: []string{"client_secret_post"}, change: url.Values{"code": {"x"}}, want: "invalid_grant: the code is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rp := newParty(t, authtest.ProviderConfig{
				ClientID: id, ClientSecret: secret, Metadata: map[string]any{"token_endpoint_auth_methods_supported": c.methods},
			})
			d, err := rp.discover(t.Context())
			check(t, err)
			if _, ok := d["token_endpoint_auth_methods_supported"]; ok != (c.methods != nil) {
				t.Errorf("the metadata are %v", d)
			}
			code, err := rp.code(d, "state", "nonce", verifier)
			check(t, err)
			ask := func(form url.Values) error {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprint(d["token_endpoint"]), strings.NewReader(form.Encode()))
				check(t, err)
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				if c.header != "" {
					r.Header.Set("Authorization", c.header)
				}
				_, err = rp.do(r)
				return err
			}
			form := maps.Clone(good)
			form.Set("code", code)
			maps.Copy(form, c.change)
			err = ask(form)
			if (err == nil) != (c.want == "") {
				t.Errorf("the answer is %v", err)
			}
			if got := rp.p.Requests(authtest.Token); len(got) != 1 || !strings.HasPrefix(got[0].Refused, c.want) || c.want == "" && got[0].Refused != "" {
				t.Errorf("the requests are %v", got)
			}
			if form.Get("code") == code {
				err := ask(form)
				if got := rp.p.Requests(authtest.Token); err == nil || len(got) != 2 || got[1].Refused == "" ||
					!strings.HasPrefix(c.want, "invalid_client") && c.want != "unsupported_grant_type" && got[1].Refused != "invalid_grant: the code was used before" {
					t.Errorf("the code again: %v, %v", err, got)
				}
			}
		})
	}
}

// A refused request uses up the code, even if the next request is right.
func TestProviderUsesUpCode(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{})
	d, err := c.discover(t.Context())
	check(t, err)
	code, err := c.code(d, "state", "nonce", verifier)
	check(t, err)
	right := c.p.ClientSecret
	c.p.ClientSecret = "wrong"
	_, err = c.json(t.Context(), d["token_endpoint"], url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.redirectURI}, "code_verifier": {verifier},
		"client_id": {c.p.ClientID}, "client_secret": {right},
	}, "")
	if err == nil {
		t.Fatal("the secret is not checked")
	}
	c.p.ClientSecret = right
	if _, err := c.exchange(t.Context(), d, code, verifier); err == nil || !strings.Contains(err.Error(), "used before") {
		t.Errorf("%v", err)
	}
}

// If many exchange one code, one succeeds.
func TestProviderForManyGoroutines(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{})
	d, err := c.discover(t.Context())
	check(t, err)
	code, err := c.code(d, "state", "nonce", verifier)
	check(t, err)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, _ = c.exchange(t.Context(), d, code, verifier)
			c.p.Consent(someone())
			c.p.Misbehave(authtest.RotatedKeys)
			c.p.LogoutToken(nil)
			if _, err := c.discover(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	exchanged := 0
	for _, r := range c.p.Requests(authtest.Token) {
		if r.Refused == "" {
			exchanged++
		}
	}
	if exchanged != 1 {
		t.Errorf("%d exchanges", exchanged)
	}
	wantCount(t, c.p, authtest.Token, 20)
}

// The provider gives a refresh token for offline_access. It can be used once, and
// revoked.
func TestProviderRefresh(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{})
	got, err := c.login(t.Context())
	check(t, err)
	refresh := func(token any) (map[string]any, error) {
		return c.json(t.Context(), c.p.Issuer+"/token", url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(token)}, "client_id": {c.p.ClientID}, "client_secret": {c.p.ClientSecret},
		}, "")
	}
	first := got.tokens["refresh_token"]
	tokens, err := refresh(first)
	check(t, err)
	if second := tokens["refresh_token"]; second == nil || second == first || tokens["id_token"] != nil {
		t.Errorf("the tokens are %v", tokens)
	}
	if userinfo, err := c.json(t.Context(), c.p.Issuer+"/userinfo", nil, fmt.Sprint(tokens["access_token"])); err != nil || userinfo["sub"] != "42" {
		t.Errorf("the userinfo is %v, %v", userinfo, err)
	}
	if _, err := refresh(first); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("the first again: %v", err)
	}
	revocation := url.Values{"token": {fmt.Sprint(tokens["refresh_token"])}, "client_id": {c.p.ClientID}, "client_secret": {"x"}}
	if _, err := c.json(t.Context(), c.p.Issuer+"/revocation", revocation, ""); err == nil || !strings.Contains(err.Error(), "invalid_client") {
		t.Errorf("with a wrong secret: %v", err)
	}
	revocation.Set("client_secret", c.p.ClientSecret)
	_, err = c.json(t.Context(), c.p.Issuer+"/revocation", revocation, "")
	check(t, err)
	if _, err := refresh(tokens["refresh_token"]); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("after the revocation: %v", err)
	}

	c.scope = "openid"
	got, err = c.login(t.Context())
	if err != nil || got.tokens["refresh_token"] != nil {
		t.Errorf("without offline_access: %v, %v", got, err)
	}
}

// CheckSecret decides in place of ClientSecret.
func TestProviderCheckSecret(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{CheckSecret: func(secret string) bool { return secret == "signed" }})
	if _, err := c.login(t.Context()); err == nil || !strings.Contains(err.Error(), "invalid_client") {
		t.Errorf("ClientSecret gets %v", err)
	}
	c.p.ClientSecret = "signed"
	_, err := c.login(t.Context())
	check(t, err)
}
