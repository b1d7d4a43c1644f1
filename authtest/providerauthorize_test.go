package authtest_test

import (
	"crypto/rand"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/go-login/auth/authtest"
)

// An authorization request that is not strict enough ends with an error. If the
// client or the redirect URI is wrong, the browser stays at the provider.
func TestProviderRefusesAuthorization(t *testing.T) {
	for name, c := range map[string]struct {
		change url.Values
		want   string
	}{
		"implicit flow":       {url.Values{"response_type": {"id_token"}}, "unsupported_response_type"},
		"no openid":           {url.Values{"scope": {"email openidx"}}, "invalid_scope"},
		"no state":            {url.Values{"state": {""}}, "state is missing"},
		"no nonce":            {url.Values{"nonce": {""}}, "nonce is missing"},
		"plain challenge":     {url.Values{"code_challenge_method": {"plain"}}, "not S256"},
		"no challenge":        {url.Values{"code_challenge": {""}}, "43 characters"},
		"fragment":            {url.Values{"response_mode": {"fragment"}}, "response_mode"},
		"parameter twice":     {url.Values{"scope": {"openid", "email"}}, "scope is there twice"},
		"another client":      {url.Values{"client_id": {"x"}}, "client_id is not"},
		"relative redirect":   {url.Values{"redirect_uri": {"/callback"}}, "not an absolute URL"},
		"unregistered":        {url.Values{"redirect_uri": {origin + "/other"}}, "not in ProviderConfig.RedirectURIs"},
		"registered and more": {url.Values{"redirect_uri": {origin + "/callback/"}}, "not in ProviderConfig.RedirectURIs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rp := newParty(t, authtest.ProviderConfig{RedirectURIs: []string{origin + "/callback"}})
			rp.extra = c.change
			d, err := rp.discover(t.Context())
			check(t, err)
			address := rp.authorizationURL(d, "state", "nonce", rand.Text())
			if strings.HasPrefix(c.want, "client_id") || strings.Contains(c.want, "URL") || strings.Contains(c.want, "URIs") {
				// The browser stays at the provider.
				wantFatal(t, func(t testing.TB) {
					p := authtest.NewProvider(t, authtest.ProviderConfig{ClientID: rp.p.ClientID, RedirectURIs: []string{origin + "/callback"}})
					p.VisitURL(address)
				}, "refuses", c.want)
				res, err := rp.http.Get(address)
				check(t, err)
				defer res.Body.Close()
				if res.StatusCode != http.StatusBadRequest {
					t.Errorf("the provider answers %s", res.Status)
				}
			} else {
				back := rp.p.VisitURL(address)
				q := back.URL.Query()
				if got := q.Get("error") + ": " + q.Get("error_description"); !strings.Contains(got, c.want) || q.Has("code") || q.Get("iss") != rp.p.Issuer {
					t.Errorf("the answer is %s", back.URL)
				}
			}
			requests := rp.p.Requests(authtest.Authorize)
			if len(requests) != 1 || !strings.Contains(requests[0].Refused, c.want) {
				t.Errorf("the requests are %v", requests)
			}
		})
	}
}

// The test decides beforehand what the user does.
func TestProviderConsent(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{})
	c.p.Deny("access_denied", "")
	if _, err := c.login(t.Context()); err == nil || err.Error() != "callback: access_denied: " {
		t.Errorf("%v", err)
	}
	c.p.Deny("server_error", "<script>")
	if _, err := c.login(t.Context()); err == nil || err.Error() != "callback: server_error: <script>" {
		t.Errorf("%v", err)
	}
	wantCount(t, c.p, authtest.Token, 0)
	c.p.Consent(someone())
	_, err := c.login(t.Context())
	check(t, err)

	c.p = authtest.NewProvider(t, authtest.ProviderConfig{})
	c.issuer = c.p.Issuer
	if _, err := c.login(t.Context()); err == nil || !strings.Contains(err.Error(), "login_required") || !strings.Contains(err.Error(), "Provider.Consent") {
		t.Errorf("without Consent: %v", err)
	}
}

// The answer can have parameters twice.
func TestProviderAnswer(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{})
	user := someone()
	user.Answer = url.Values{"code": {"x"}}
	c.p.Consent(user)
	if _, err := c.login(t.Context()); err == nil || err.Error() != "callback: two codes" {
		t.Errorf("%v", err)
	}
}

// A form_post answer comes as a cross-site POST.
func TestProviderFormPost(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{Issuer: "https://appleid.example"})
	c.extra = url.Values{"response_mode": {"form_post"}}
	user := someone()
	user.Answer = url.Values{"user": {`{"name":"<Susan>"}`}}
	c.p.Consent(user)
	got, err := c.login(t.Context())
	if err != nil || !got.verified {
		t.Errorf("the client learned %+v, %v", got, err)
	}
	d, err := c.discover(t.Context())
	check(t, err)
	address := c.authorizationURL(d, "st&te", "nonce", rand.Text())
	back := c.p.VisitURL(address)
	h := back.Header
	if back.Method != http.MethodPost || back.URL.String() != c.redirectURI || h.Get("Origin") != "https://appleid.example" || h.Get("Sec-Fetch-Site") != "cross-site" {
		t.Errorf("the request is %s %s, %v", back.Method, back.URL, h)
	}
	check(t, back.ParseForm())
	if back.PostForm.Get("state") != "st&te" || back.PostForm.Get("user") != `{"name":"<Susan>"}` {
		t.Errorf("the form is %v", back.PostForm)
	}

	// A real browser gets a page with the same form.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	check(t, err)
	res, err := c.http.Do(r)
	check(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	check(t, err)
	fields := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(string(body), -1) {
		fields.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	fields.Set("code", back.PostForm.Get("code"))
	if !strings.Contains(string(body), `<form method="post" action="`+c.redirectURI+`">`) || fields.Encode() != back.PostForm.Encode() {
		t.Errorf("the page is %s", body)
	}
}

// Over HTTP the provider redirects the browser to where VisitURL goes.
func TestProviderRedirects(t *testing.T) {
	c := newParty(t, authtest.ProviderConfig{})
	c.redirectURI = origin + "/callback?tenant=7"
	d, err := c.discover(t.Context())
	check(t, err)
	address := c.authorizationURL(d, "state", "nonce", rand.Text())
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := c.http.Get(address)
	check(t, err)
	defer res.Body.Close()
	location, err := res.Location()
	check(t, err)
	back := c.p.VisitURL(address)
	for _, u := range []*url.URL{location, back.URL} {
		q := u.Query()
		if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(u.String(), origin+"/callback?") ||
			q.Get("tenant") != "7" || q.Get("state") != "state" || q.Get("code") == "" || q.Get("iss") != c.p.Issuer {
			t.Errorf("the answer is %s to %s", res.Status, u)
		}
	}
	if back.Header.Get("Sec-Fetch-Site") != "cross-site" || back.Header.Get("Sec-Fetch-Mode") != "navigate" || back.Header.Get("Origin") != "" {
		t.Errorf("the request's header is %v", back.Header)
	}
}
