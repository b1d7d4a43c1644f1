package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
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

// transactions returns how many transactions were stored.
func (s *site) transactions() (n int) {
	for _, r := range s.Spy().Given("InsertRecord") {
		if strings.Contains(r.Key, "transaction/") {
			n++
		}
	}
	return n
}

// O1: a visit begins with a POST from this site, to a provider that there is. Everything else
// stores nothing.
func TestStartIsAPost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	cross := httptest.NewRequest(http.MethodPost, "/oauth/work", nil)
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	for what, status := range map[string][2]int{
		"GET":     {b.Get("/oauth/work").StatusCode, http.StatusMethodNotAllowed},
		"cross":   {b.Do(cross).StatusCode, http.StatusForbidden},
		"unknown": {b.Post("/oauth/other", nil).StatusCode, http.StatusNotFound},
		"purpose": {b.start("purpose", "delete").StatusCode, http.StatusBadRequest},
		"none":    {b.Get("/oauth/").StatusCode, http.StatusNotFound},
	} {
		want(t, what, status[0], status[1])
	}
	want(t, "transactions", s.transactions(), 0)
	s.page(b.start(), http.StatusOK, "Taking you to 127.0.0.1")
	want(t, "transactions after a POST", s.transactions(), 1)
}

// O3: what the provider is asked.
func TestAuthorizationRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(func(p *oauth.Provider) { p.Params = url.Values{"prompt": {"select_account"}} }))
	b := s.browser()
	r := httptest.NewRequest(http.MethodPost, "/oauth/work", nil)
	r.Header.Set("X-Forwarded-Host", "evil.example")
	r.Host = "evil.example"
	page := b.Do(r)
	u := target(t, page)
	q := u.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": s.provider.ClientID, "redirect_uri": s.Server.URL + "/oauth/work/callback",
		"code_challenge_method": "S256", "scope": "openid email profile", "prompt": "select_account",
	} {
		want(t, name, q.Get(name), value)
	}
	for _, secret := range []string{"state", "nonce", "code_challenge"} {
		if len(q.Get(secret)) != 43 {
			t.Errorf("%s is %q, want 32 bytes", secret, q.Get(secret))
		}
		if other := target(t, b.start()).Query(); other.Get(secret) == q.Get(secret) {
			t.Errorf("%s is the same twice", secret)
		}
	}
	want(t, "the issuer's host", u.Scheme+"://"+u.Host, s.provider.Issuer)
	s.provider.VisitURL(u.String())
	b.Do(s.provider.VisitURL(u.String()))
	requests := s.provider.Requests(authtest.Token)
	if len(requests) != 1 {
		t.Fatalf("%d token requests", len(requests))
	}
	sum := sha256.Sum256([]byte(requests[0].Form.Get("code_verifier")))
	want(t, "the challenge", q.Get("code_challenge"), base64.RawURLEncoding.EncodeToString(sum[:]))
}

// What is stored and what is in the cookie tell nobody the secrets of a visit.
func TestTransactionIsSealed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser()
	q := target(t, b.start("next", "/very-private")).Query()
	kept := ""
	for _, r := range s.Spy().Given("InsertRecord") {
		kept += r.Kind + r.Key + string(r.Data)
	}
	for _, c := range b.Cookies() {
		kept += c.Value
	}
	for _, secret := range []string{q.Get("state"), q.Get("nonce"), "very-private"} {
		if strings.Contains(kept, secret) {
			t.Errorf("%q is in a record or a cookie", secret)
		}
	}
}

// A browser has at most five visits under way. The oldest ends.
func TestFiveTransactions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.connected("susan", "42")
	b := s.browser()
	var pages []*authtest.Response
	for range 7 {
		pages = append(pages, b.start())
		s.Clock.Advance(time.Second)
	}
	n := 0
	for _, c := range b.Cookies() {
		if strings.Contains(c.Name, "oauth~to-") {
			n++
		}
	}
	want(t, "cookies", n, 5)
	for i, page := range pages {
		fresh := s.provider.Visit(page)
		r := b.Do(fresh)
		if i < 2 {
			s.page(r, http.StatusBadRequest, "Please begin again")
		} else {
			s.leads(r, "/")
		}
	}
}

// O24, first half: a new connection needs a fresh login, and a confirmation needs a login.
func TestStartNeedsALogin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.account("susan", true, true)
	b := s.browser()
	for _, purpose := range []string{"link", "confirm"} {
		if r := b.start("purpose", purpose); !strings.HasPrefix(r.Header.Get("Location"), "/login") {
			t.Errorf("%s without a login: %s to %q", purpose, r.Status, r.Header.Get("Location"))
		}
	}
	b.Login(u, auth.Stale())
	if r := b.start("purpose", "link"); !strings.HasPrefix(r.Header.Get("Location"), "/refresh") {
		t.Errorf("link, not fresh: %s to %q", r.Status, r.Header.Get("Location"))
	}
	s.page(b.start("purpose", "confirm"), http.StatusOK, "Taking you to")
	want(t, "transactions", s.transactions(), 1)
}

// Outside LoadAndSave, where nothing refuses requests from other sites, nothing begins.
func TestOutsideLoadAndSave(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/oauth/work", nil))
	want(t, "status", w.Code, http.StatusInternalServerError)
	want(t, "transactions", s.transactions(), 0)
}

// If a store fails at any call of a start, the answer is a 5xx.
func TestStartStoreFails(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Spy().Fail("InsertRecord")
	want(t, "status", s.browser().start().StatusCode, http.StatusServiceUnavailable)
}
