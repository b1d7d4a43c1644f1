package oauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/oauth"
)

// O17: while a provider is down, the application starts and everything else works. When the
// provider is up again, so are the logins by it. In between it is not asked by each visitor.
func TestProviderIsDown(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(signUp))
	s.account("anna", true, true)
	s.provider.Misbehave(authtest.Down(authtest.Discovery))
	asked := func() int { return len(s.provider.Requests(authtest.Discovery)) }
	want(t, "before the first login", asked(), 0)
	atOnce(20, func(int) {
		s.page(s.browser().start("next", "/profile"), http.StatusServiceUnavailable, `href="/login?next=%2Fprofile"`)
	})
	want(t, "with 20 at once", asked(), 1)
	if r := s.browser().Post("/login", map[string][]string{"login": {"anna"}, "password": {testapp.Password}}); r.StatusCode != http.StatusOK {
		t.Errorf("by password: %s", r.Status)
	}
	want(t, "the button is there", len(s.Providers()), 1)
	for i, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		s.Clock.Advance(pause*time.Second - time.Millisecond)
		s.browser().start()
		want(t, fmt.Sprint("too early ", i), asked(), i+1)
		s.Clock.Advance(time.Millisecond)
		s.browser().start()
		want(t, fmt.Sprint("in time ", i), asked(), i+2)
	}
	s.provider.Misbehave()
	s.Clock.Advance(time.Minute)
	s.leads(s.browser().login(), "/")
	n := asked()
	s.leads(s.browser().login(), "/")
	want(t, "it is remembered", asked(), n)
	// After a day it is read again; if that fails, what is known is used.
	s.Clock.Advance(24 * time.Hour)
	s.provider.Misbehave(authtest.Down(authtest.Discovery))
	s.leads(s.browser().login(), "/")
	want(t, "after a day", asked(), n+1)
}

// O17: metadata that cannot be right are refused, and no request leaves for another place.
func TestMetadata(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]map[string]any{
		"an endpoint over http":   {"token_endpoint": "http://id.example/token"},
		"no endpoint":             {"authorization_endpoint": nil},
		"a script":                {"authorization_endpoint": "javascript:alert(1)"},
		"keys over http":          {"jwks_uri": "http://id.example/keys"},
		"HS256 only":              {"id_token_signing_alg_values_supported": []string{"HS256", "none"}},
		"another form":            {"id_token_signing_alg_values_supported": "RS256"},
		"another issuer":          {"issuer": "https://other.example"},
		"an issuer with a slash":  {"issuer": "http://127.0.0.1/"},
		"the issuer is no string": {"issuer": 7},
	} {
		s := newSite(t, func(c *settings) { c.op.Metadata = change })
		s.page(s.browser().start(), http.StatusServiceUnavailable, "cannot be used at the moment")
		want(t, what, s.transactions(), 0)
	}
}

// O17: a redirect leads to the same host only, and https stays https.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for target, good := range map[string]bool{
		"/elsewhere": true, "http://169.254.169.254/latest/meta-data": false, "http://localhost/x": false, "file:///etc/passwd": false, "//evil.example/": false,
	} {
		clock := testapp.NewClock()
		var asked atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1); r.URL.Path != "/elsewhere" {
				http.Redirect(w, r, target, http.StatusFound)
				return
			}
			issuer := "http://" + r.Host
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"jwks_uri":%q}`, issuer, issuer+"/a", issuer+"/t", issuer+"/k")
		}))
		t.Cleanup(server.Close)
		s := newSite(t, func(c *settings) {
			c.clock = clock
			c.more = []oauth.Provider{{Name: "other", Issuer: server.URL, ClientID: "x", ClientSecret: auth.NewSecret("y")}}
		})
		r := s.browser().Post("/oauth/other", nil)
		want(t, target, r.StatusCode == http.StatusOK, good)
	}
}

// Settings that cannot be right are errors of New, which say what to do.
func TestNew(t *testing.T) {
	t.Parallel()
	good := oauth.Provider{Name: "work", Issuer: "https://id.example", ClientID: "x", ClientSecret: auth.NewSecret("y")}
	plain := oauth.GitHub("x", auth.NewSecret("y"))
	for want, change := range map[string]func(*oauth.Provider){
		"":                             func(*oauth.Provider) {},
		"lower-case":                   func(p *oauth.Provider) { p.Name = "Work" },
		"1 to 32":                      func(p *oauth.Provider) { p.Name = "" },
		"ClientID is missing":          func(p *oauth.Provider) { p.ClientID = "" },
		"ClientSecret or MakeSecret":   func(p *oauth.Provider) { p.ClientSecret = auth.Secret{} },
		"AuthPost or AuthBasic":        func(p *oauth.Provider) { p.AuthStyle = "private_key_jwt" },
		"Registration has no effect":   func(p *oauth.Provider) { p.Registration = register },
		"Params has state":             func(p *oauth.Provider) { p.Params = map[string][]string{"state": {"x"}} },
		"Issuer must be an https URL":  func(p *oauth.Provider) { p.Issuer = "http://id.example" },
		"without a query":              func(p *oauth.Provider) { p.Issuer = "https://id.example/?x" },
		"Issuer must":                  func(p *oauth.Provider) { p.Issuer = "" },
		"a GUID":                       func(p *oauth.Provider) { p.Issuer = "https://login.microsoftonline.com/common/v2.0" },
		"AuthURL must be":              func(p *oauth.Provider) { *p = plain; p.AuthURL = "" },
		"TokenURL must be":             func(p *oauth.Provider) { *p = plain; p.TokenURL = "http://x.example" },
		"Map is missing":               func(p *oauth.Provider) { *p = plain; p.Map = nil },
		"TrustFactors has no effect":   func(p *oauth.Provider) { *p = plain; p.TrustFactors = []string{"mfa"} },
		"BackChannelLogout has no":     func(p *oauth.Provider) { *p = plain; p.BackChannelLogout = true },
		`"POST /oauth/work/callback"`:  func(p *oauth.Provider) { p.FormPost = true },
		`"POST /oauth/work/logout" in`: func(p *oauth.Provider) { p.BackChannelLogout = true },
	} {
		p := good
		change(&p)
		app := testapp.New(t, testapp.NewSpy(testapp.NewClock()), testapp.NewClock(), nil)
		_, err := oauth.New(app.Core, p)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	app := testapp.New(t, testapp.NewSpy(testapp.NewClock()), testapp.NewClock(), func(c *auth.Config) { c.Network.CrossOriginBypass = []string{"/oauth/"} })
	if _, err := oauth.New(app.Core, good); err == nil || !strings.Contains(err.Error(), "narrower") {
		t.Errorf("a bypass for everything: %v", err)
	}
	app = testapp.New(t, testapp.NewSpy(testapp.NewClock()), testapp.NewClock(), func(c *auth.Config) { c.Session.SameSite = http.SameSiteStrictMode })
	if _, err := oauth.New(app.Core, good); err == nil || !strings.Contains(err.Error(), "SameSite") {
		t.Errorf("a session cookie that is Strict: %v", err)
	}
	for what, providers := range map[string][]oauth.Provider{
		"two providers have the Name": {good, good}, "the same issuer": {good, {Name: "b", Issuer: good.Issuer, ClientID: "x", ClientSecret: auth.NewSecret("y")}}, "no provider": nil,
	} {
		app := testapp.New(t, testapp.NewSpy(testapp.NewClock()), testapp.NewClock(), nil)
		if _, err := oauth.New(app.Core, providers...); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := oauth.New(nil, good); err == nil {
		t.Error("a nil Core is accepted")
	}
	app = testapp.New(t, testapp.NewSpy(testapp.NewClock()), testapp.NewClock(), nil)
	_, err := oauth.New(app.Core, good)
	must(t, err)
	if _, err := oauth.New(app.Core, good); err == nil {
		t.Error("a second handler is accepted")
	}
}

// A recorder is a transport that notes where requests go.
type recorder struct {
	mu  sync.Mutex
	all []string
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.all = append(r.all, request.URL.Scheme+"://"+request.URL.Host)
	r.mu.Unlock()
	return http.DefaultTransport.RoundTrip(request)
}

// O17: no access token leaves by plain http, whatever the metadata say.
func TestUserinfoOverHTTP(t *testing.T) {
	t.Parallel()
	sent := &recorder{}
	s := newSite(t, func(c *settings) {
		c.op.Metadata = map[string]any{"userinfo_endpoint": "http://id.example/userinfo"}
		c.provider = func(p *oauth.Provider) { signUp(p); p.Client = &http.Client{Transport: sent} }
	})
	s.provider.Misbehave(authtest.EmailInUserinfo)
	s.leads(s.browser().login(), "/")
	if len(sent.all) == 0 || slices.Contains(sent.all, "http://id.example") {
		t.Errorf("requests went to %v", sent.all)
	}
}
