package oauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/oauth"
)

func logsOut(p *oauth.Provider) { signUp(p); p.BackChannelLogout = true }

// at logs a browser in from a session at the provider.
func (s *site) at(session string, fields ...string) *browser {
	s.t.Helper()
	s.provider.Consent(authtest.ProviderUser{Subject: "42", SessionID: session})
	b := s.browser()
	s.leads(b.login(fields...), "/")
	return b
}

// O34: a provider ends the login of one session, or all logins of an identity.
func TestBackChannelLogout(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(logsOut))
	one, two, remembered := s.at("s1"), s.at("s2"), s.at("s3", "remember_me", "y")
	password := s.browser()
	password.Login(s.found("u42"), auth.By("password-elsewhere"))
	remembered.Restart()
	want(t, "remembered", remembered.who(), "u42")

	r := s.logout(s.provider.LogoutToken(map[string]any{"sid": "s1"}))
	want(t, "sid", r.StatusCode, http.StatusOK)
	want(t, "sid: Cache-Control", r.Header.Get("Cache-Control"), "no-store")
	want(t, "sid", one.who(), "nobody")
	want(t, "sid: another session", two.who(), "u42")
	want(t, "sid and sub", s.logout(s.provider.LogoutToken(map[string]any{"sid": "s3", "sub": "42"})).StatusCode, http.StatusOK)
	remembered.Restart()
	want(t, "sid and sub", remembered.who(), "nobody")
	want(t, "sid and sub: another session", two.who(), "u42")
	three := s.at("s4", "remember_me", "y")
	three.Restart()
	want(t, "remembered", three.who(), "u42")
	want(t, "sub", s.logout(s.provider.LogoutToken(map[string]any{"sub": "42"})).StatusCode, http.StatusOK)
	want(t, "sub", two.who(), "nobody")
	want(t, "sub, remembered", three.who(), "nobody")
	want(t, "a login by another way", password.who(), "u42")
}

// O34: what is no logout token ends nothing.
func TestBackChannelLogoutRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(logsOut))
	b := s.at("s1")
	now := s.Clock.Now()
	const event = "http://schemas.openid.net/event/backchannel-logout"
	all := func(claims map[string]any) map[string]any {
		m := map[string]any{
			"iss": s.provider.Issuer, "aud": s.provider.ClientID, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": "1",
			"events": map[string]any{event: map[string]any{}}, "sub": "42",
		}
		for name, value := range claims {
			if m[name] = value; value == nil {
				delete(m, name)
			}
		}
		return m
	}
	good := s.provider.Sign("logout+jwt", all(map[string]any{"sid": "s2", "sub": nil}))
	tokens := map[string]string{
		"garbage": "x", "empty": "", "another typ": s.provider.Sign("JWT", all(nil)), "no typ": s.provider.Sign("", all(nil)),
		"an unknown session": good,
	}
	for what, claims := range map[string]map[string]any{
		"an event of null":      {"events": map[string]any{event: nil}},
		"an event of a list":    {"events": map[string]any{event: []string{}}},
		"no event":              {"events": map[string]any{}},
		"a nonce":               {"nonce": "x"},
		"an iat 121 s ago":      {"iat": now.Add(-121 * time.Second).Unix()},
		"an iat in 61 s":        {"iat": now.Add(61 * time.Second).Unix()},
		"no iat":                {"iat": nil},
		"expired":               {"exp": now.Add(-61 * time.Second).Unix()},
		"no exp":                {"exp": nil},
		"no jti":                {"jti": nil},
		"another client":        {"aud": "x"},
		"two clients":           {"aud": []string{"x", s.provider.ClientID}},
		"another issuer":        {"iss": "https://other.example"},
		"an unknown subject":    {"sub": "43"},
		"neither":               {"sub": nil},
		"a session of another":  {"sid": "s1", "sub": "43"},
		"a number as a session": {"sid": 1},
	} {
		tokens[what] = s.provider.Sign("logout+jwt", all(claims))
	}
	for _, m := range []authtest.Misbehaviour{authtest.AlgorithmNone, authtest.HS256, authtest.WrongKey} {
		s.provider.Misbehave(m)
		tokens[string(m)] = s.provider.LogoutToken(map[string]any{"sub": "42"})
	}
	s.provider.Misbehave()
	s.Events()
	for what, token := range tokens {
		r := s.logout(token)
		want(t, what, r.StatusCode, http.StatusBadRequest)
		want(t, what+": Cache-Control", r.Header.Get("Cache-Control"), "no-store")
		want(t, what+": the login", b.who(), "u42")
		wantAll(t, what, s.kinds(), oauth.EventLogoutRefused)
	}
	want(t, "two tokens", s.logout("x&logout_token=y").StatusCode, http.StatusBadRequest)
	want(t, "GET", b.Get("/oauth/work/logout").StatusCode, http.StatusMethodNotAllowed)
	want(t, "with leeway", s.logout(s.provider.Sign("logout+jwt", all(map[string]any{"exp": now.Add(-59 * time.Second).Unix()}))).StatusCode, http.StatusOK)
	want(t, "the login", b.who(), "nobody")
}

// O34: a logout token works once, so that an old one does not end new logins.
func TestLogoutTokenReplay(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(logsOut))
	s.at("s1")
	token := s.provider.LogoutToken(map[string]any{"sub": "42"})
	want(t, "first", s.logout(token).StatusCode, http.StatusOK)
	b := s.at("s2")
	want(t, "second", s.logout(token).StatusCode, http.StatusBadRequest)
	want(t, "the new login", b.who(), "u42")
}

// If the store fails, the provider may send the token again.
func TestLogoutStoreFails(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ {
		s := newSite(t, withProvider(logsOut))
		b := s.at("s1")
		token := s.provider.LogoutToken(map[string]any{"sid": "s1"})
		s.Spy().FailAt(k, false)
		r := s.logout(token)
		n := len(s.Spy().Calls())
		s.Spy().Reset()
		if n < k {
			if k < 5 {
				t.Errorf("a logout makes %d calls", n)
			}
			return
		}
		if r.StatusCode == http.StatusOK {
			want(t, "the login", b.who(), "nobody")
			continue
		}
		if r.StatusCode < 500 {
			t.Errorf("call %d: %s", k, r.Status)
		}
		want(t, "again", s.logout(token).StatusCode, http.StatusOK)
		want(t, "the login after the second", b.who(), "nobody")
	}
}

// A login that owed a second factor ends with the session at the provider, too.
func TestBackChannelLogoutWithFactor(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *settings) { c.provider, c.auth = logsOut, withTOTP })
	u := s.account("susan", true, false)
	first := s.browser()
	first.Login(u)
	s.leads(first.login("purpose", "link"), "/account/identities")
	secret := first.enroll()
	s.provider.Consent(authtest.ProviderUser{Subject: "42", SessionID: "s1"})
	b := s.browser()
	s.leads(b.login(), "/login/verify")
	s.Clock.Advance(time.Minute)
	b.show(secret)
	want(t, "before", b.who(), "susan")
	want(t, "the logout", s.logout(s.provider.LogoutToken(map[string]any{"sid": "s1"})).StatusCode, http.StatusOK)
	want(t, "after", b.who(), "nobody")
	want(t, "another login", first.who(), "susan")
}

// The page at which the user's session at the provider ends.
func TestLogoutURL(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u, err := s.handler.LogoutURL(t.Context(), "work", "/bye")
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
	must(t, err)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	must(t, err)
	must(t, answer.Body.Close())
	want(t, "back", answer.Header.Get("Location"), s.Server.URL+"/bye")
	if u, err := s.handler.LogoutURL(t.Context(), "work", "//evil.example"); err != nil || strings.Contains(u, "evil") {
		t.Errorf("to another site: %s, %v", u, err)
	}
	if _, err := s.handler.LogoutURL(t.Context(), "other", "/"); err == nil {
		t.Error("an unknown provider is accepted")
	}
	for end, good := range map[string]bool{"": true, "javascript:alert(1)": false, "http://id.example/": false} {
		s := newSite(t, func(c *settings) { c.op.Metadata = map[string]any{"end_session_endpoint": end} })
		if u, err := s.handler.LogoutURL(t.Context(), "work", "/"); u != "" || (err == nil) != good {
			t.Errorf("%q: %q, %v", end, u, err)
		}
	}
}
