package authtest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth/authtest"
)

// What a test says of the user is in the ID token and in the userinfo, as far as
// the client asked for it.
func TestProviderUser(t *testing.T) {
	clock := authtest.NewClock(time.Time{})
	c := newParty(t, authtest.ProviderConfig{Now: clock.Now})
	for _, verified := range []any{true, false, "true", 1.0, nil, json.RawMessage("null")} {
		user := someone()
		user.EmailVerified = verified
		token, userinfo := c.about(t, user)
		for _, claims := range []map[string]any{token, userinfo} {
			got, present := claims["email_verified"]
			expected := verified
			if _, null := verified.(json.RawMessage); null {
				expected = nil
			}
			if got != expected || present != (verified != nil) || claims["email"] != user.Email {
				t.Errorf("email_verified %v is %v", verified, got)
			}
		}
	}

	token, userinfo := c.about(t, authtest.ProviderUser{
		Subject: "43", AMR: []string{"pwd", "mfa"}, ACR: "urn:acr", AuthTime: clock.Now().Add(-time.Hour), SessionID: "s1",
		Claims: map[string]any{"groups": []string{"a"}, "at_hash": nil, "azp": c.p.ClientID},
	})
	for name, expected := range map[string]any{
		"sub": "43", "amr": "[pwd mfa]", "acr": "urn:acr", "auth_time": float64(clock.Now().Add(-time.Hour).Unix()), "sid": "s1",
		"groups": "[a]", "at_hash": "<nil>", "azp": c.p.ClientID, "email": "<nil>", "name": "<nil>",
	} {
		if fmt.Sprint(token[name]) != fmt.Sprint(expected) {
			t.Errorf("%s is %v, want %v", name, token[name], expected)
		}
	}
	if fmt.Sprint(userinfo) != "map[azp:"+c.p.ClientID+" groups:[a] sub:43]" {
		t.Errorf("the userinfo is %v", userinfo)
	}

	c.scope = "openid"
	token, userinfo = c.about(t, someone())
	for _, claims := range []map[string]any{token, userinfo} {
		if claims["email"] != nil || claims["email_verified"] != nil || claims["name"] != nil || claims["sub"] != "42" {
			t.Errorf("without these scopes the claims are %v", claims)
		}
	}
	if _, err := c.json(t.Context(), c.p.Issuer+"/userinfo", nil, "x"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("another token gets %v", err)
	}
}

// about logs a user in, and returns the claims of the ID token and the userinfo.
func (c *party) about(t *testing.T, user authtest.ProviderUser) (token, userinfo map[string]any) {
	t.Helper()
	c.p.Consent(user)
	got, err := c.login(t.Context())
	check(t, err)
	access, _ := got.tokens["access_token"].(string)
	userinfo, err = c.json(t.Context(), c.p.Issuer+"/userinfo", nil, access)
	check(t, err)
	return got.claims, userinfo
}
