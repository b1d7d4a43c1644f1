package oauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/oauth"
)

// O8, O11 to O17: whatever a provider does wrong, nobody is logged in and nothing is stored. If
// it is only unusual, the user is logged in.
func TestMisbehaviours(t *testing.T) {
	t.Parallel()
	for _, m := range authtest.Misbehaviours() {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, withProvider(trusted))
			want(t, "the time for an answer", s.handler.SetTimeout(300*time.Millisecond), 10*time.Second)
			s.provider.Misbehave(m)
			b := s.browser()
			page := b.start()
			if page.StatusCode == http.StatusOK {
				page = b.Do(s.provider.Visit(page))
			}
			if m.Tolerable() {
				s.leads(page, "/")
				want(t, "who", b.who(), "u42")
				return
			}
			if page.StatusCode != http.StatusForbidden && page.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%s: %s", page.Status, page.Text)
			}
			want(t, "who", b.who(), "nobody")
			if s.found("u42") != nil {
				t.Error("there is an account")
			}
			for _, r := range s.Spy().Given("InsertRecord") {
				if !strings.Contains(r.Key, "transaction/") {
					t.Errorf("a record %s %s is stored", r.Kind, r.Key)
				}
			}
			if n := s.tokens(); n > 1 {
				t.Errorf("%d token requests", n)
			}
			if n := len(s.provider.Requests(authtest.Elsewhere)); n > 0 {
				t.Errorf("%d requests went to another host", n)
			}
			if e := s.kinds(); len(e) != 1 || e[0] != oauth.EventRefused && e[0] != oauth.EventUnavailable {
				t.Errorf("the events are %v", e)
			}
		})
	}
}

// claims makes the provider say something else in its ID tokens.
func (s *site) claims(claims map[string]any) {
	s.provider.Consent(authtest.ProviderUser{Subject: "42", Claims: claims})
}

// O11 to O13: claims at their limits, and of the wrong type.
func TestClaims(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(signUp))
	now := s.Clock.Now()
	for what, c := range map[string]struct {
		claims map[string]any
		good   bool
	}{
		"expired 59 s ago":         {map[string]any{"exp": now.Add(-59 * time.Second).Unix()}, true},
		"expired 61 s ago":         {map[string]any{"exp": now.Add(-61 * time.Second).Unix()}, false},
		"no exp":                   {map[string]any{"exp": nil}, false},
		"iat in 59 s":              {map[string]any{"iat": now.Add(59 * time.Second).Unix()}, true},
		"iat in 61 s":              {map[string]any{"iat": now.Add(61 * time.Second).Unix()}, false},
		"iat 11 min ago":           {map[string]any{"iat": now.Add(-11 * time.Minute).Unix()}, false},
		"two audiences with azp":   {map[string]any{"aud": []string{"x", s.provider.ClientID}, "azp": s.provider.ClientID}, true},
		"no audience":              {map[string]any{"aud": nil}, false},
		"an empty audience":        {map[string]any{"aud": []string{}}, false},
		"azp is a number":          {map[string]any{"azp": 7}, false},
		"azp is null":              {map[string]any{"azp": json.RawMessage("null")}, false},
		"no at_hash":               {map[string]any{"at_hash": nil}, true},
		"an empty at_hash":         {map[string]any{"at_hash": ""}, false},
		"nonce is a number":        {map[string]any{"nonce": 7}, false},
		"subject of 255 bytes":     {map[string]any{"sub": strings.Repeat("s", 255)}, true},
		"subject 0":                {map[string]any{"sub": "0"}, false},
		"subject null":             {map[string]any{"sub": "null"}, false},
		"subject undefined":        {map[string]any{"sub": "undefined"}, false},
		"subject with a NUL":       {map[string]any{"sub": "a\x00b"}, false},
		"subject of a list":        {map[string]any{"sub": []string{"42"}}, false},
		"another case of a claim":  {map[string]any{"sub": nil, "Sub": "43"}, false},
		"valid in an hour (nbf)":   {map[string]any{"nbf": now.Add(time.Hour).Unix()}, false},
		"e-mail of a number":       {map[string]any{"email": 7}, true},
		"amr of another form":      {map[string]any{"amr": "mfa"}, true},
		"distributed claims":       {map[string]any{"_claim_names": map[string]string{"x": "y"}}, false},
		"a name of a megabyte":     {map[string]any{"name": strings.Repeat("x", 1<<20)}, false},
		"an address of 300 bytes":  {map[string]any{"email": strings.Repeat("x", 290) + "@example.com"}, true},
		"a subject in base64 (60)": {map[string]any{"sub": "CgcyMy0yMzQtMjMSBWxvY2FsCgcyMy0yMzQtMjMSBWxvY2FsCgcyMy0yMzQt"}, true},
	} {
		s.claims(c.claims)
		b := s.browser()
		if r := b.login(); (b.who() != "nobody") != c.good && r.StatusCode != http.StatusSeeOther || c.good != (r.StatusCode == http.StatusSeeOther) && !strings.Contains(r.Text, "cannot be used for this") {
			t.Errorf("%s: %s %s as %s", what, r.Status, r.Text, b.who())
		}
	}
}

// O15: only the boolean true says that an address is verified.
func TestEmailVerified(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value any
		want  bool
	}{{true, true}, {false, false}, {"true", false}, {1, false}, {json.RawMessage("null"), false}, {nil, false}, {[]bool{true}, false}} {
		var got oauth.Profile
		s := newSite(t, withProvider(func(p *oauth.Provider) {
			trusted(p)
			p.Admit = func(_ context.Context, profile oauth.Profile) error { got = profile; return nil }
		}))
		for _, where := range []authtest.Misbehaviour{"", authtest.EmailInUserinfo} {
			if where != "" {
				s.provider.Misbehave(where)
			}
			s.consent("42", "susan@example.com", c.value)
			s.leads(s.browser().login(), "/")
			want(t, "verified", got.EmailVerified, c.want)
			want(t, "address", got.Email, "susan@example.com")
		}
		want(t, "verified here", s.found("u42").EmailVerified, c.want)
	}
}

// O14: userinfo is asked only for an address that is missing.
func TestUserinfo(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(trusted))
	s.browser().login()
	want(t, "with an address in the ID token", len(s.provider.Requests(authtest.Userinfo)), 0)
	s.provider.Misbehave(authtest.EmailInUserinfo)
	s.browser().login()
	want(t, "without", len(s.provider.Requests(authtest.Userinfo)), 1)

	plain := newSite(t, withProvider(func(p *oauth.Provider) { signUp(p); p.Scopes = []string{"profile"} }))
	plain.leads(plain.browser().login(), "/")
	want(t, "without the scope", len(plain.provider.Requests(authtest.Userinfo)), 0)
	want(t, "the scopes", plain.provider.Requests(authtest.Authorize)[0].Form.Get("scope"), "openid profile")
}

// O14: if the userinfo is down and accounts need an address, there is no account.
func TestUserinfoDownAndNeeded(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *settings) {
		c.provider = func(p *oauth.Provider) { p.SignUp, p.TrustEmail = true, true }
		c.auth = func(c *auth.Config) { c.Identifiers = auth.EmailOnly }
	})
	s.provider.Misbehave(authtest.Down(authtest.Userinfo))
	s.page(s.browser().login(), http.StatusForbidden, "You cannot log in this way")
	s.provider.Misbehave()
	b := s.browser()
	s.leads(b.login(), "/")
}

// O12, O31: what the application is asked, and its answers.
func TestAdmit(t *testing.T) {
	t.Parallel()
	verdict := error(nil)
	var got oauth.Profile
	s := newSite(t, withProvider(func(p *oauth.Provider) {
		trusted(p)
		p.Admit = func(_ context.Context, profile oauth.Profile) error { got = profile; return verdict }
	}))
	verdict = oauth.ErrRefused
	s.page(s.browser().login(), http.StatusForbidden, "You cannot log in this way")
	if s.found("u42") != nil {
		t.Error("there is an account")
	}
	verdict = errors.New("the list of invitations cannot be read")
	want(t, "a failure", s.browser().login().StatusCode, http.StatusInternalServerError)
	verdict = nil
	s.leads(s.browser().login(), "/")
	if got.Subject != "42" || got.Provider != "work" || got.Name != "Susan" || string(got.Claims["email_verified"]) != "true" {
		t.Errorf("%+v", got)
	}
	verdict = oauth.ErrRefused // an account that exists is asked about, too
	s.page(s.browser().login(), http.StatusForbidden, "You cannot log in this way")
}

// O18: new keys are found; an attacker cannot make the application ask for keys again and again.
func TestKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(func(p *oauth.Provider) { signUp(p); p.BackChannelLogout = true }))
	s.leads(s.browser().login(), "/")
	s.Clock.Advance(time.Minute)
	s.provider.Misbehave(authtest.RotatedKeys)
	s.leads(s.browser().login(), "/")
	want(t, "requests for keys", len(s.provider.Requests(authtest.Keys)), 2)
	s.provider.Misbehave(authtest.WrongKid)
	for range 1000 {
		if r := s.logout(s.provider.LogoutToken(map[string]any{"sub": "42"})); r.StatusCode != http.StatusServiceUnavailable {
			t.Fatal(r.Status)
		}
	}
	want(t, "requests for keys after 1000 tokens", len(s.provider.Requests(authtest.Keys)), 2)
	s.Clock.Advance(time.Minute)
	s.logout(s.provider.LogoutToken(map[string]any{"sub": "42"}))
	s.logout(s.provider.LogoutToken(map[string]any{"sub": "42"}))
	want(t, "requests for keys after a minute", len(s.provider.Requests(authtest.Keys)), 3)
}

// An attacker has the keys read by a token with an unknown key, and then the provider changes its
// keys. For a minute nobody knows whether a token is right. The user can try again.
func TestKeysChangeWithinAMinute(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(func(p *oauth.Provider) { signUp(p); p.BackChannelLogout = true }))
	s.leads(s.browser().login(), "/")
	s.Clock.Advance(time.Minute)
	s.provider.Misbehave(authtest.WrongKid)
	s.logout(s.provider.LogoutToken(map[string]any{"sub": "42"}))
	s.provider.Misbehave(authtest.RotatedKeys)
	s.page(s.browser().login(), http.StatusServiceUnavailable, "Work cannot be used at the moment")
	s.Clock.Advance(time.Minute)
	s.leads(s.loginAskingForKeys(), "/")
}

// loginAskingForKeys logs in. After a failure, go-oidc answers with that for another moment, without
// asking: then the user tries again.
func (s *site) loginAskingForKeys(fields ...string) *authtest.Response {
	asked := func() int { return len(s.provider.Requests(authtest.Keys)) }
	before := asked()
	r := s.browser().login(fields...)
	for try := 0; try < 5 && asked() == before; try++ {
		r = s.browser().login(fields...)
	}
	return r
}

// If the provider's keys cannot be read, nobody knows whether an ID token is right. The user can try
// again, and the provider is not asked by each visitor.
func TestKeysCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, m := range []authtest.Misbehaviour{
		authtest.Down(authtest.Keys), authtest.Slow(authtest.Keys), authtest.Huge(authtest.Keys), authtest.Redirected(authtest.Keys),
	} {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, withProvider(func(p *oauth.Provider) { signUp(p); p.BackChannelLogout = true }))
			if m == authtest.Slow(authtest.Keys) {
				s.handler.SetTimeout(300 * time.Millisecond)
			}
			s.provider.Misbehave(m)
			asked := func() int { return len(s.provider.Requests(authtest.Keys)) }
			for i, pause := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60} {
				s.Clock.Advance(pause*time.Second - min(pause, 1)*time.Millisecond)
				if i > 0 {
					s.page(s.browser().login(), http.StatusServiceUnavailable, "Work cannot be used at the moment")
					want(t, fmt.Sprint("requests, too early ", i), asked(), i)
					s.Clock.Advance(time.Millisecond)
				}
				s.page(s.loginAskingForKeys("next", "/profile"), http.StatusServiceUnavailable, `href="/login?next=%2Fprofile"`)
				want(t, fmt.Sprint("requests, in time ", i), asked(), i+1)
			}
			if r := s.logout(s.provider.LogoutToken(map[string]any{"sub": "42"})); r.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("a logout by the provider: %s", r.Status)
			}
			for _, kind := range s.kinds() {
				want(t, "event", kind, oauth.EventUnavailable)
			}
			if s.found("u42") != nil {
				t.Error("there is an account")
			}
			s.provider.Misbehave()
			s.Clock.Advance(time.Minute)
			s.leads(s.loginAskingForKeys(), "/")
		})
	}
}

// O19: Google's issuer has a scheme, or not. The identity is one.
func TestGoogleIssuer(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *settings) {
		c.op.Issuer = "https://accounts.google.com"
		c.provider = signUp
	})
	s.provider.Misbehave(authtest.IssuerWithoutScheme)
	s.leads(s.browser().login(), "/")
	s.provider.Misbehave()
	s.leads(s.browser().login(), "/")
	if all := s.identities(s.found("u42")); len(all) != 1 {
		t.Errorf("%v", all)
	}
}

// O20: two providers say the same of a user; they are two users.
func TestSameSubjectAtTwoProviders(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *settings) {
		other := authtest.NewProvider(t, authtest.ProviderConfig{Now: c.clock.Now})
		other.Consent(authtest.ProviderUser{Subject: "42", Email: "susan@example.com", EmailVerified: true})
		c.more = []oauth.Provider{{
			Name: "other", Issuer: other.Issuer, ClientID: other.ClientID, ClientSecret: auth.NewSecret(other.ClientSecret), TrustEmail: false, SignUp: true,
			Registration: func(context.Context, oauth.Profile) (auth.Registration, error) {
				return auth.Registration{Username: "other"}, nil
			},
		}}
		c.provider = signUp
		t.Cleanup(func() {
			if n := len(other.Requests(authtest.Token)); n != 1 {
				t.Errorf("%d logins at the other", n)
			}
		})
	})
	s.leads(s.browser().login(), "/")
	b := s.browser()
	page := b.Post("/oauth/other", nil)
	back := target(t, page)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, back.String(), nil)
	must(t, err)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	must(t, err)
	must(t, answer.Body.Close())
	s.leads(b.Get(strings.TrimPrefix(answer.Header.Get("Location"), s.Server.URL)), "/")
	want(t, "who", b.who(), "other")
	for _, name := range []string{"u42", "other"} {
		if all := s.identities(s.found(name)); len(all) != 1 {
			t.Errorf("%s has %v", name, all)
		}
	}
}

// logout sends a logout token, as the provider does.
func (s *site) logout(token string) *authtest.Response {
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "/oauth/work/logout", strings.NewReader("logout_token="+token))
	must(s.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return s.browser().Do(r)
}
