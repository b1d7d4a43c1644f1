package authtest_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"html"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth/authtest"
)

// A careful client logs users in at a provider that behaves well.
func TestProvider(t *testing.T) {
	for name, cfg := range map[string]authtest.ProviderConfig{
		"default":        {},
		"RS256":          {Algorithm: "RS256"},
		"slash":          {Issuer: "/"},
		"path":           {Issuer: "/tenant"},
		"path and slash": {Issuer: "/tenant/"},
		"another host":   {Issuer: "https://accounts.google.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := authtest.NewClock(time.Time{})
			cfg.Now = clock.Now
			c := newParty(t, cfg)
			if strings.HasPrefix(cfg.Issuer, "https") && c.p.Issuer != cfg.Issuer || !strings.HasSuffix(c.p.Issuer, cfg.Issuer) {
				t.Errorf("the issuer is %s", c.p.Issuer)
			}
			got, err := c.login(t.Context())
			check(t, err)
			if got.email != "susan@example.com" || !got.verified || got.asked {
				t.Errorf("the client learned %+v", got)
			}
			if got.header["alg"] != cmp.Or(cfg.Algorithm, "ES256") || got.header["typ"] != "JWT" {
				t.Errorf("the header is %v", got.header)
			}
			at := float64(clock.Now().Unix())
			for name, want := range map[string]any{
				"iss": c.p.Issuer, "aud": c.p.ClientID, "sub": "42", "name": "Susan",
				"iat": at, "auth_time": at, "exp": at + 3600,
			} {
				if got.claims[name] != want {
					t.Errorf("%s is %v, want %v", name, got.claims[name], want)
				}
			}
			for _, name := range []string{"at_hash", "sid"} {
				if got.claims[name] == nil {
					t.Errorf("there is no %s", name)
				}
			}
			for _, name := range []string{"azp", "amr", "acr"} {
				if got.claims[name] != nil {
					t.Errorf("%s is %v", name, got.claims[name])
				}
			}
			for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Keys, authtest.Authorize, authtest.Token} {
				wantCount(t, c.p, e, 1)
			}
			wantCount(t, c.p, authtest.Userinfo, 0)
			if r := c.p.Requests(authtest.Token)[0]; r.Refused != "" || r.Method != http.MethodPost || r.Form.Get("grant_type") != "authorization_code" {
				t.Errorf("the token request is %v", r)
			}
		})
	}
}

// A login keeps the user and the misbehaviours with which it came to the
// provider.
func TestProviderTwoLogins(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{})
	d, err := c.discover(t.Context())
	check(t, err)
	c.p.Misbehave(authtest.WrongNonce)
	first, err := c.code(d, "state 1", "nonce 1", verifier)
	check(t, err)
	c.p.Misbehave()
	c.p.Consent(authtest.ProviderUser{Subject: "43"})
	second, err := c.code(d, "state 2", "nonce 2", verifier)
	check(t, err)

	tokens, err := c.exchange(t.Context(), d, second, verifier)
	check(t, err)
	if got, err := c.finish(t.Context(), d, tokens, "nonce 2"); err != nil || got.claims["sub"] != "43" || got.email != "" {
		t.Errorf("second: %+v, %v", got, err)
	}
	tokens, err = c.exchange(t.Context(), d, first, verifier)
	check(t, err)
	if got, err := c.finish(t.Context(), d, tokens, "nonce 1"); err == nil || got.claims["sub"] != "42" {
		t.Errorf("first: %+v, %v", got, err)
	}
}

// Visit goes from a page to the provider and back, with the client's cookies.
func TestProviderVisit(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{})
	d, err := c.discover(t.Context())
	check(t, err)
	address := c.authorizationURL(d, "state", "nonce", rand.Text())
	s := newSite(t, nil)
	s.mux.HandleFunc("POST /start", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "transaction", Value: "1"})
		switch r.FormValue("how") {
		case "redirect":
			http.Redirect(w, r, address, http.StatusSeeOther)
		case "page":
			_, _ = fmt.Fprintf(w, `<meta http-equiv="refresh" content="0;url=%s"><a href="%[1]s">go on</a>`, html.EscapeString(address))
		}
	})
	s.mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("transaction")
		_, _ = fmt.Fprintln(w, cookie, err, r.FormValue("state"), r.FormValue("code") != "")
	})
	for _, how := range []string{"redirect", "page"} {
		browser := s.client(t)
		page := browser.Post("/start", form("how", how))
		want(t, browser.Do(c.p.Visit(page)), http.StatusOK, "transaction=1 <nil> state true")
	}
	page := s.client(t).Post("/start", form("how", "neither"))
	wantFatal(t, func(t testing.TB) { authtest.NewProvider(t, authtest.ProviderConfig{}).Visit(page) }, "does not lead to", "/start")
}

// If the test makes a mistake, it ends and says what is wrong.
func TestProviderMistakes(t *testing.T) {
	wantFatal(t, func(t testing.TB) {
		authtest.NewProvider(t, authtest.ProviderConfig{Algorithm: "HS256"})
	}, `ProviderConfig.Algorithm is "HS256"`, "ES256 or RS256")
	wantFatal(t, func(t testing.TB) {
		authtest.NewProvider(t, authtest.ProviderConfig{Issuer: "https://a b"})
	}, "ProviderConfig.Issuer")
	p := authtest.NewProvider(t, authtest.ProviderConfig{})
	wantFatal(t, func(t testing.TB) {
		authtest.NewProvider(t, authtest.ProviderConfig{}).Misbehave(authtest.Slow(authtest.Authorize))
	}, `"slow authorize"`, "Misbehaviours")
	wantFatal(t, func(t testing.TB) {
		authtest.NewProvider(t, authtest.ProviderConfig{}).VisitURL("http://a b")
	}, "VisitURL")
	got, _ := failures(t, func(t testing.TB) {
		authtest.NewProvider(t, authtest.ProviderConfig{}).Sign("JWT", map[string]any{"f": func() {}})
	})
	if !strings.Contains(got, "claims") {
		t.Errorf("Sign says %q", got)
	}
	wantCount(t, p, authtest.Authorize, 0)
}

// A provider that is slow ends with its test.
func TestProviderEndsWithItsTest(t *testing.T) {
	var issuer string
	ended := make(chan struct{})
	t.Run("slow", func(t *testing.T) {
		p := authtest.NewProvider(t, authtest.ProviderConfig{})
		p.Misbehave(authtest.Slow(authtest.Discovery))
		issuer = p.Issuer
		r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, issuer+"/.well-known/openid-configuration", nil)
		check(t, err)
		go func() {
			defer close(ended)
			if res, err := http.DefaultClient.Do(r); err == nil {
				_ = res.Body.Close()
			}
		}()
		for len(p.Requests(authtest.Discovery)) == 0 {
			runtime.Gosched()
		}
	})
	<-ended
	if res, err := http.Get(issuer); err == nil {
		_ = res.Body.Close()
		t.Error("it is still there")
	}
}
