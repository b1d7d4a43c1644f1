package authtest

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Provider is an OpenID Connect provider for tests of "Log in with …". It
// listens on a port of 127.0.0.1 until the test ends:
//
//	provider := authtest.NewProvider(t, authtest.ProviderConfig{Now: clock.Now})
//	// Configure the application with provider.Issuer, ClientID and ClientSecret.
//	provider.Consent(authtest.ProviderUser{Subject: "42", Email: "susan@example.com", EmailVerified: true})
//	page := client.Post("/oauth/work", nil) // leads to the provider
//	client.Do(provider.Visit(page))         // and back
//
// It is stricter than most: an authorization request needs state, nonce and
// PKCE (S256), a code can be exchanged once, and a token request uses up its
// code even if it is refused for another reason. It asks the user nothing:
// Consent and Deny say beforehand what the user does. Misbehave makes it do
// something wrong.
//
// A real browser can use it, too, unless ProviderConfig.Issuer names another
// host. A Provider is safe for use by many goroutines.
type Provider struct {
	// The application's configuration needs these. Do not change them.
	Issuer       string
	ClientID     string
	ClientSecret string

	t        testing.TB
	cfg      ProviderConfig
	server   *url.URL // where it listens
	issuer   *url.URL
	metadata map[string]any

	mu       sync.Mutex
	faults   []Misbehaviour
	user     *ProviderUser // who consents, if denial is nil
	denial   *protocolError
	key      signingKey // in the key set
	otherKey signingKey
	grants   map[string]*grant // by code, access token and refresh token
	requests []ProviderRequest
}

// ProviderConfig says what kind of provider it is. The zero value is ready for
// use.
type ProviderConfig struct {
	// Now is the provider's clock, such as Clock.Now. By default it is time.Now.
	Now func() time.Time

	// Issuer is resolved against the address at which the provider listens, which
	// is the default. "/tenant/" adds this path. "https://accounts.google.com"
	// makes it pretend to be Google; the application must then use
	// Provider.HTTPClient for its requests.
	Issuer string

	// ClientID and ClientSecret are the application's. By default they are random.
	ClientID     string
	ClientSecret string

	// CheckSecret, if not nil, replaces the comparison with ClientSecret. Apple,
	// for example, expects a signed token that expires.
	CheckSecret func(secret string) bool

	// RedirectURIs are those that are registered. If it is empty, all are.
	RedirectURIs []string

	// Algorithm signs the tokens: "ES256", which is the default because making
	// its keys is fast, or "RS256".
	Algorithm string

	// Metadata is added to the discovery document. A nil value removes an entry.
	// For example, {"authorization_response_iss_parameter_supported": nil} stops
	// the announcement of iss. A []string as
	// "token_endpoint_auth_methods_supported" also decides how a client must send
	// its secret. By default it is client_secret_basic or client_secret_post.
	Metadata map[string]any
}

// A ProviderUser is a user as the provider knows them. A field with its zero
// value is left out of the tokens, unless it says otherwise.
type ProviderUser struct {
	Subject       string
	Email         string // needs the scope email
	EmailVerified any    // true, false, or a lie such as "true"; json.RawMessage("null") is null
	Name          string // needs the scope profile
	AMR           []string
	ACR           string
	AuthTime      time.Time // auth_time; by default the time of the login
	SessionID     string    // sid; by default a new one for each login

	// Claims are added to the ID token and the userinfo. They replace other
	// claims, except those that a Misbehaviour changes. A nil value removes a
	// claim.
	Claims map[string]any

	// Answer is added to the parameters that the browser brings back to the
	// application, such as Apple's "user", or a second "code".
	Answer url.Values
}

// An Endpoint is one of the provider's, for Provider.Requests.
type Endpoint string

// The endpoints. Elsewhere is the other host to which Redirected leads.
const (
	Discovery  Endpoint = "discovery"
	Keys       Endpoint = "keys"
	Authorize  Endpoint = "authorize"
	Token      Endpoint = "token"
	Revocation Endpoint = "revocation"
	Userinfo   Endpoint = "userinfo"
	EndSession Endpoint = "end session"
	Elsewhere  Endpoint = "elsewhere"
)

// A ProviderRequest is a request that the provider got.
type ProviderRequest struct {
	Endpoint Endpoint
	Method   string
	Header   http.Header
	Form     url.Values // of query and body
	Refused  string     // why it was refused, or "" if it was not
}

// NewProvider starts a provider, which ends with the test.
func NewProvider(t testing.TB, cfg ProviderConfig) *Provider {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p := &Provider{
		ClientID: cmp.Or(cfg.ClientID, rand.Text()), ClientSecret: cmp.Or(cfg.ClientSecret, rand.Text()),
		t: t, cfg: cfg, grants: map[string]*grant{},
	}
	var err error
	for _, key := range []*signingKey{&p.key, &p.otherKey} {
		if *key, err = newSigningKey(cmp.Or(cfg.Algorithm, "ES256")); err != nil {
			t.Fatalf("authtest: NewProvider: %v", err)
		}
	}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	if p.server, err = url.Parse(server.URL); err != nil {
		t.Fatalf("authtest: NewProvider: %v", err)
	}
	if p.issuer, err = p.server.Parse(cfg.Issuer); err != nil {
		t.Fatalf("authtest: NewProvider: ProviderConfig.Issuer: %v", err)
	}
	p.Issuer = p.issuer.String()
	p.metadata = p.describe()

	for e, answer := range map[Endpoint]func(*http.Request) (any, error){
		Discovery: p.discovery, Keys: p.keySet, Token: p.token, Revocation: p.revoke, Userinfo: p.userinfo,
	} {
		path := p.url(e).Path
		mux.Handle(path, p.serve(e, answer))
		mux.Handle(elsewhere+path, p.serve(Elsewhere, answer))
	}
	mux.HandleFunc(p.url(Authorize).Path, p.authorize)
	mux.HandleFunc(p.url(EndSession).Path, p.endSession)
	return p
}

// Consent says who uses the browser at the provider from now on, and agrees to
// every login. Until Consent is called, every login ends with the error
// login_required.
func (p *Provider) Consent(user ProviderUser) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.user, p.denial = &user, nil
}

// Deny lets all logins end with this error from now on, until Consent is called.
// If the user cancels, the code is "access_denied". The description may be "".
func (p *Provider) Deny(code, description string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.denial = &protocolError{Code: code, Description: description}
}

// Misbehave lets the provider do all of these from now on, and ends all others.
// Without arguments the provider behaves well again.
//
// What is wrong with discovery, or with a whole endpoint, applies to requests
// that come from now on. Everything else applies to logins that come to the
// provider from now on, and a login keeps it until its end. A client that has
// kept the discovery document or the keys does not notice what is wrong with
// them, so begin with a new client.
func (p *Provider) Misbehave(how ...Misbehaviour) {
	p.t.Helper()
	for _, m := range how {
		if !slices.Contains(Misbehaviours(), m) {
			p.t.Fatalf("authtest: Misbehave: there is no misbehaviour %q; Misbehaviours returns all", m)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = slices.Clone(how)
}

// Requests returns the requests that came to an endpoint so far, oldest first.
func (p *Provider) Requests(e Endpoint) []ProviderRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	var of []ProviderRequest
	for _, r := range p.requests {
		if r.Endpoint == e {
			of = append(of, r)
		}
	}
	return of
}

// HTTPClient returns a client that finds the provider also under the name of
// another host (ProviderConfig.Issuer). It follows redirects.
func (p *Provider) HTTPClient() *http.Client { return &http.Client{Transport: transport{p}} }

// A transport sends requests for the issuer's host to the provider.
type transport struct{ p *Provider }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == t.p.issuer.Host {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host = t.p.server.Scheme, t.p.server.Host
	}
	return http.DefaultTransport.RoundTrip(r)
}

// Visit goes to the provider from a page of the application, and returns the
// request with which the browser comes back, for Client.Do. The page redirects
// to the provider or links to it. If it does not, or if the provider does not
// send the browser back, Visit ends the test.
func (p *Provider) Visit(page *Response) *http.Request {
	p.t.Helper()
	address := page.Header.Get("Location")
	if address == "" {
		link := regexp.MustCompile(regexp.QuoteMeta(p.url(Authorize).String()) + `\?[^\s"'<>]*`)
		address = link.FindString(html.UnescapeString(page.Text))
	}
	if !strings.HasPrefix(address, p.url(Authorize).String()+"?") {
		p.t.Fatalf("authtest: Visit: %s does not lead to %s: %s, Location %q:\n%s", page.Request.URL, p.url(Authorize), page.Status, address, page.Text)
	}
	return p.VisitURL(address)
}

// VisitURL is like Visit, for the URL of an authorization request.
func (p *Provider) VisitURL(address string) *http.Request {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		p.t.Fatalf("authtest: VisitURL: %v", err)
	}
	answer, err := p.answer(r)
	if err != nil {
		p.t.Fatalf("authtest: the provider refuses %s: %v", address, err)
	}
	back, err := answer.request(p.t.Context(), p.issuer)
	if err != nil {
		p.t.Fatalf("authtest: VisitURL: %v", err)
	}
	return back
}

// elsewhere is the beginning of paths on the other host to which Redirected
// leads.
const elsewhere = "/elsewhere"

// url returns an endpoint's URL.
func (p *Provider) url(e Endpoint) *url.URL {
	path := "/" + strings.ReplaceAll(string(e), " ", "-")
	if e == Discovery {
		path = "/.well-known/openid-configuration"
	}
	u := *p.issuer
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	return &u
}

// serve returns the handler of an endpoint that the application asks. answer
// returns what is sent as JSON.
func (p *Provider) serve(e Endpoint, answer func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, faults := p.note(e, r)
		has := func(m Misbehaviour) bool { return slices.Contains(faults, m) }
		var body any
		var err error
		switch {
		case has(Slow(e)):
			select {
			case <-r.Context().Done():
			case <-p.t.Context().Done():
			}
			return
		case has(Redirected(e)):
			http.Redirect(w, r, "http://localhost:"+p.server.Port()+elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
			return
		case has(Down(e)):
			err = &protocolError{http.StatusServiceUnavailable, "temporarily_unavailable", string(Down(e))}
		case e == Token && p.ends(TokenFailsOnce):
			err = &protocolError{http.StatusInternalServerError, "server_error", string(TokenFailsOnce)}
		default:
			body, err = answer(r)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if err != nil {
			p.refuse(n, err)
			failed := &protocolError{http.StatusInternalServerError, "server_error", err.Error()}
			_ = errors.As(err, &failed)
			w.WriteHeader(failed.Status)
			body = failed
		}
		if has(Huge(e)) {
			_, _ = io.WriteString(w, strings.Repeat(" ", 10_000_000))
		}
		_ = json.NewEncoder(w).Encode(body) // the client may have gone
	})
}

// note records a request. It returns the request's number, and what is wrong
// with the provider now.
func (p *Provider) note(e Endpoint, r *http.Request) (int, []Misbehaviour) {
	err := r.ParseForm()
	p.mu.Lock()
	p.requests = append(p.requests, ProviderRequest{Endpoint: e, Method: r.Method, Header: r.Header.Clone(), Form: r.Form})
	n, faults := len(p.requests)-1, slices.Clone(p.faults)
	p.mu.Unlock()
	if err != nil {
		p.refuse(n, err)
	}
	return n, faults
}

// refuse records why a request was refused.
func (p *Provider) refuse(n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[n].Refused = err.Error()
}

// ends reports whether the provider misbehaves so, and ends it.
func (p *Provider) ends(m Misbehaviour) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.faults, m)
	if i >= 0 {
		p.faults = slices.Delete(p.faults, i, i+1)
	}
	return i >= 0
}

// A protocolError is an error of OAuth 2.0 (RFC 6749, section 5.2).
type protocolError struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (e *protocolError) Error() string { return e.Code + ": " + e.Description }

// override adds claims or metadata, and removes those that are nil.
func override(all, by map[string]any) {
	maps.Copy(all, by)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
}

// switchSlash returns an issuer with a slash at its end, or without it.
func switchSlash(issuer string) string {
	if without, ok := strings.CutSuffix(issuer, "/"); ok {
		return without
	}
	return issuer + "/"
}
