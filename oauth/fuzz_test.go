package oauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-login/auth/authtest"
)

// Whatever comes to the callback, nobody is logged in, no token request is made, and it is no
// failure of ours.
func FuzzCallback(f *testing.F) {
	for _, query := range []string{"", "state=x&code=y", "state=x&state=y&code=z", "state=x&error=access_denied", "%zz", "state=%00&code=%ff", "answer=x", "iss=&state=x&code=y"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		s := newSite(t)
		r := httptest.NewRequest(http.MethodGet, "/oauth/work/callback", nil)
		r.URL.RawQuery = query
		b := s.browser()
		b.start()
		got := b.Do(r)
		if got.StatusCode != http.StatusBadRequest || b.who() != "nobody" || s.tokens() > 0 {
			t.Errorf("%q: %s", query, got.Status)
		}
	})
}

// Whatever claims an ID token has, the answer is a login or a refusal. Only a subject that is a
// text of 1 to 255 bytes logs in.
func FuzzIDToken(f *testing.F) {
	for _, claims := range []string{
		`{}`, `{"sub":""}`, `{"sub":7}`, `{"sub":null}`, `{"exp":1e400}`, `{"iat":"x"}`, `{"aud":[[]]}`, `{"azp":[]}`, `{"nonce":{}}`, `{"amr":{}}`, `{"email":{},"email_verified":"x"}`,
		`{"_claim_names":{"a":"b"},"_claim_sources":{"b":{"endpoint":"http://169.254.169.254/"}}}`, `{"at_hash":7}`, `{"sid":[]}`, `{"name":"\u0000"}`,
	} {
		f.Add(claims)
	}
	f.Fuzz(func(t *testing.T, text string) {
		claims := map[string]any{}
		if json.Unmarshal([]byte(text), &claims) != nil {
			t.Skip()
		}
		for name, value := range claims {
			if value == nil { // null, and not none
				claims[name] = json.RawMessage("null")
			}
		}
		s := newSite(t, withProvider(logsOut))
		s.provider.Consent(authtest.ProviderUser{Subject: "42", Claims: claims})
		b := s.browser()
		r := b.login()
		if in := b.who() != "nobody"; in != (r.StatusCode == http.StatusSeeOther) || r.StatusCode >= 500 {
			t.Errorf("%s: %s as %s", text, r.Status, b.who())
		}
		sub, replaced := claims["sub"]
		if subject, ok := sub.(string); replaced && r.StatusCode == http.StatusSeeOther && (!ok || subject == "" || len(subject) > 255 || strings.ContainsRune(subject, 0)) {
			t.Errorf("the subject %q has logged in", sub)
		}
	})
}
