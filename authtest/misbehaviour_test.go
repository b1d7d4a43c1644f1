package authtest_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth/authtest"
)

// Every misbehaviour is what its name says: a careful client gets as far as the
// check against it, and ends there.
func TestMisbehaviours(t *testing.T) {
	refused := map[authtest.Misbehaviour]string{
		authtest.NoIssParameter:                 "callback: no iss",
		authtest.WrongIssParameter:              "callback: iss is http://127.0.0.1:[0-9]+/$",
		authtest.MixUp:                          "callback: iss is https://other.example",
		authtest.SpentCode:                      "token: 400 .*invalid_grant.*used before",
		authtest.AlgorithmNone:                  "algorithm none",
		authtest.HS256:                          "algorithm HS256",
		authtest.WrongKey:                       "wrong signature",
		authtest.WrongKid:                       "unknown kid",
		authtest.WrongIssuer:                    "ID token: iss is https://other.example",
		authtest.IssuerWithoutScheme:            "ID token: iss is 127.0.0.1:[0-9]+$",
		authtest.WrongAudience:                  "ID token: aud is another-client",
		authtest.TwoAudiences:                   "ID token: two audiences and no azp",
		authtest.ForeignAZP:                     "ID token: azp is another-client",
		authtest.WrongNonce:                     "ID token: another nonce",
		authtest.NoNonce:                        "ID token: no nonce",
		authtest.Expired:                        "ID token: expired 1m1s ago",
		authtest.IssuedInFuture:                 "ID token: issued in 10m0s",
		authtest.NoIssuedAt:                     "ID token: no iat",
		authtest.WrongATHash:                    "ID token: another at_hash",
		authtest.NoSubject:                      "ID token: no sub",
		authtest.EmptySubject:                   "ID token: empty sub",
		authtest.NumericSubject:                 "ID token: sub is a float64",
		authtest.LongSubject:                    "ID token: sub of 256 bytes",
		authtest.OtherDiscovery:                 "discovery: the issuer is https://other.example",
		authtest.IssuerWithSlash:                "discovery: the issuer is http://127.0.0.1:[0-9]+/$",
		authtest.TokenFailsOnce:                 "token: 500",
		authtest.OtherUserinfo:                  "userinfo: sub is another-user",
		authtest.Slow(authtest.Discovery):       "discovery: .*deadline exceeded",
		authtest.Slow(authtest.Keys):            "keys: .*deadline exceeded",
		authtest.Slow(authtest.Token):           "token: .*deadline exceeded",
		authtest.Huge(authtest.Discovery):       "discovery: more than 1 MiB",
		authtest.Huge(authtest.Keys):            "keys: more than 1 MiB",
		authtest.Huge(authtest.Token):           "token: more than 1 MiB",
		authtest.Down(authtest.Discovery):       "discovery: 503",
		authtest.Down(authtest.Keys):            "keys: 503",
		authtest.Down(authtest.Token):           "token: 503",
		authtest.Redirected(authtest.Discovery): "discovery: .*a redirect to another host",
		authtest.Redirected(authtest.Keys):      "keys: .*a redirect to another host",
		authtest.Redirected(authtest.Token):     "token: .*a redirect to another host",
	}
	tolerable := map[authtest.Misbehaviour]func(*outcome) bool{
		authtest.RotatedKeys: func(got *outcome) bool { return got.verified },
		authtest.AudienceArray: func(got *outcome) bool {
			audience, ok := got.claims["aud"].([]any)
			return ok && len(audience) == 1
		},
		authtest.UnverifiedEmail:               func(got *outcome) bool { return got.email != "" && got.claims["email_verified"] == false },
		authtest.StringEmailVerified:           func(got *outcome) bool { return got.email != "" && got.claims["email_verified"] == "true" },
		authtest.EmailInUserinfo:               func(got *outcome) bool { return got.asked && got.email != "" && got.verified },
		authtest.Slow(authtest.Userinfo):       withoutEmail,
		authtest.Huge(authtest.Userinfo):       withoutEmail,
		authtest.Down(authtest.Userinfo):       withoutEmail,
		authtest.Redirected(authtest.Userinfo): withoutEmail,
	}
	all := authtest.Misbehaviours()
	if len(all) != len(refused)+len(tolerable) {
		t.Errorf("there are %d misbehaviours, and %d tests", len(all), len(refused)+len(tolerable))
	}
	for _, m := range all {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			c := newParty(t, authtest.ProviderConfig{})
			if strings.HasPrefix(string(m), "slow") {
				c.http.Timeout = time.Second // nothing but this client ends the request
			}
			c.p.Misbehave(m)
			got, err := c.login(t.Context())
			switch fine := tolerable[m]; {
			case fine != nil:
				if err != nil || !fine(got) {
					t.Errorf("the client learned %+v, %v", got, err)
				}
			case err == nil || refused[m] == "" || !regexp.MustCompile("(?i)"+refused[m]).MatchString(strings.ReplaceAll(err.Error(), "Client.Timeout exceeded", "deadline exceeded")):
				t.Errorf("the client reports %v, want %q", err, refused[m])
			}
			if m.Tolerable() != (tolerable[m] != nil) {
				t.Errorf("Tolerable is %t", m.Tolerable())
			}
			wantCount(t, c.p, authtest.Elsewhere, 0)

			c.p.Misbehave()
			c.http.Timeout = 0
			if got, err := c.login(t.Context()); err != nil || !got.verified || got.asked {
				t.Errorf("afterwards: %+v, %v", got, err)
			}
		})
	}
}

func withoutEmail(got *outcome) bool { return got.asked && got.email == "" }

// A provider can do several things wrong at once.
func TestMisbehavioursTogether(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{Metadata: map[string]any{"authorization_response_iss_parameter_supported": nil}})
	c.p.Misbehave(authtest.NoIssParameter, authtest.EmailInUserinfo, authtest.StringEmailVerified)
	got, err := c.login(t.Context())
	if err != nil || !got.asked || got.email == "" || got.verified {
		t.Errorf("the client learned %+v, %v", got, err)
	}
}

// A client that has kept the discovery document sees the slash in the ID token.
func TestProviderIssuerWithSlash(t *testing.T) {
	for issuer, want := range map[string]string{"/tenant": "/tenant/", "/tenant/": "/tenant"} {
		c := newParty(t, authtest.ProviderConfig{Issuer: issuer})
		d, err := c.discover(t.Context())
		check(t, err)
		c.p.Misbehave(authtest.IssuerWithSlash)
		code, err := c.code(d, "state", "nonce", verifier)
		check(t, err)
		tokens, err := c.exchange(t.Context(), d, code, verifier)
		check(t, err)
		if _, err := c.finish(t.Context(), d, tokens, "nonce"); err == nil || !regexp.MustCompile("^ID token: iss is http://127.0.0.1:[0-9]+"+want+"$").MatchString(err.Error()) {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

// Between two logins the provider changes its key. The key set has the new one
// only.
func TestProviderRotatesKeys(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{})
	first, err := c.login(t.Context())
	check(t, err)
	c.p.Misbehave(authtest.RotatedKeys)
	second, err := c.login(t.Context())
	check(t, err)
	if first.header["kid"] == second.header["kid"] {
		t.Errorf("the key is still %v", second.header["kid"])
	}
	d, err := c.discover(t.Context())
	check(t, err)
	old, _ := first.tokens["id_token"].(string)
	if _, _, err := c.open(t.Context(), d, old); err == nil || err.Error() != "unknown kid" {
		t.Errorf("the old token: %v", err)
	}
}

// If a client follows redirects to another host, the test can see its requests
// there.
func TestProviderElsewhere(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{Issuer: "/tenant/"})
	c.http.CheckRedirect = nil
	c.p.Misbehave(authtest.Redirected(authtest.Discovery), authtest.Redirected(authtest.Keys), authtest.Redirected(authtest.Token))
	if got, err := c.login(t.Context()); err != nil || !got.verified {
		t.Errorf("the client learned %+v, %v", got, err)
	}
	wantCount(t, c.p, authtest.Elsewhere, 3)
	secret := 0
	for _, r := range c.p.Requests(authtest.Elsewhere) {
		if r.Form.Get("client_secret") == c.p.ClientSecret {
			secret++
		}
	}
	if secret != 1 {
		t.Errorf("%d requests carry the secret", secret)
	}
}

// If a client tries again after a failure of the token endpoint, it succeeds, and
// the test can see both requests.
func TestProviderTokenFailsOnce(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{})
	d, err := c.discover(t.Context())
	check(t, err)
	c.p.Misbehave(authtest.TokenFailsOnce)
	code, err := c.code(d, "state", "nonce", verifier)
	check(t, err)
	if _, err := c.exchange(t.Context(), d, code, verifier); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("first: %v", err)
	}
	if _, err := c.exchange(t.Context(), d, code, verifier); err != nil {
		t.Errorf("second: %v", err)
	}
	wantCount(t, c.p, authtest.Token, 2)
}
