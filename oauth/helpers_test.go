package oauth_test

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/oauth"
	"github.com/go-login/auth/totp"
)

// A site is an application with one provider of OpenID Connect, called work.
type site struct {
	*testapp.App
	t        testing.TB
	handler  *oauth.Handler
	provider *authtest.Provider
	mails    *testapp.Outbox
}

// settings are what a test changes.
type settings struct {
	auth     func(*auth.Config)
	op       authtest.ProviderConfig
	provider func(*oauth.Provider)
	more     []oauth.Provider
	store    testapp.Store
	clock    *testapp.Clock
	use      *authtest.Provider // of another site
}

func newSite(t testing.TB, change ...func(*settings)) *site {
	t.Helper()
	cfg := settings{clock: testapp.NewClock()}
	for _, c := range change {
		c(&cfg)
	}
	if cfg.store == nil {
		cfg.store = testapp.NewSpy(cfg.clock)
	}
	s := &site{t: t, mails: &testapp.Outbox{}, provider: cfg.use}
	if cfg.op.Now = cfg.clock.Now; s.provider == nil {
		s.provider = authtest.NewProvider(t, cfg.op)
	}
	p := s.settings()
	if cfg.provider != nil {
		cfg.provider(&p)
	}
	s.App = testapp.New(t, cfg.store, cfg.clock, func(c *auth.Config) {
		c.Mailer, c.LocalDomains = s.mails, true
		c.Limits = auth.Limits{Guesses: -1, Mails: -1, Registrations: -1}
		for _, p := range append([]oauth.Provider{p}, cfg.more...) {
			if p.FormPost {
				c.Network.CrossOriginBypass = append(c.Network.CrossOriginBypass, "POST /oauth/"+p.Name+"/callback")
			}
			if p.BackChannelLogout {
				c.Network.CrossOriginBypass = append(c.Network.CrossOriginBypass, "POST /oauth/"+p.Name+"/logout")
			}
		}
		if cfg.auth != nil {
			cfg.auth(c)
		}
	})
	var err error
	if s.handler, err = oauth.New(s.Core, append([]oauth.Provider{p}, cfg.more...)...); err != nil {
		t.Fatal(err)
	}
	s.handler.Mount(s.Mux)
	s.consent("42", "susan@example.com", true)
	return s
}

// settings are those of the provider, as an application has them.
func (s *site) settings() oauth.Provider {
	return oauth.Provider{
		Name: "work", Label: "Work", Issuer: s.provider.Issuer, ClientID: s.provider.ClientID, ClientSecret: auth.NewSecret(s.provider.ClientSecret),
		Client: s.provider.HTTPClient(),
	}
}

func withProvider(f func(*oauth.Provider)) func(*settings) {
	return func(c *settings) { c.provider = f }
}

func withAuth(f func(*auth.Config)) func(*settings) {
	return func(c *settings) { c.auth = f }
}

func signUp(p *oauth.Provider) { p.SignUp, p.Registration = true, register }

// register gives a new account a name, too.
func register(_ context.Context, p oauth.Profile) (auth.Registration, error) {
	return auth.Registration{Username: "u" + p.Subject[:min(len(p.Subject), 20)], Email: p.Email}, nil
}

func trusted(p *oauth.Provider) { signUp(p); p.TrustEmail = true }

// consent says who is at the provider.
func (s *site) consent(subject, email string, verified any) {
	s.provider.Consent(authtest.ProviderUser{Subject: subject, Email: email, EmailVerified: verified, Name: "Susan"})
}

// A browser is at the site.
type browser struct {
	*authtest.Client
	s *site
}

func (s *site) browser() *browser {
	return &browser{authtest.NewClient(s.t, s.Core, s.Server.Config.Handler), s}
}

// start goes to the provider; fields alternate names and values.
func (b *browser) start(fields ...string) *authtest.Response {
	b.s.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return b.Post("/oauth/work", form)
}

// login goes to the provider and comes back.
func (b *browser) login(fields ...string) *authtest.Response {
	b.s.t.Helper()
	return b.Do(b.s.provider.Visit(b.start(fields...)))
}

func (b *browser) who() string { return strings.TrimSpace(b.Get("/who").Text) }

// in runs f in a request of the browser.
func (b *browser) in(f func(ctx context.Context) error) error {
	err := errors.New("there was no request")
	page := b.s.Page(func(_ http.ResponseWriter, r *http.Request) { err = f(r.Context()) })
	b.Post(page, nil)
	return err
}

// account makes a user with an address at example.com.
func (s *site) account(name string, verified, password bool) *testapp.User {
	s.t.Helper()
	u := s.Create(s.t, name, password)
	a := u.Clone()
	a.Email, a.EmailVerified = name+"@example.com", verified
	must(s.t, s.Store.UpdateAccount(s.t.Context(), a))
	return s.user(u.ID)
}

func (s *site) user(id string) *testapp.User {
	s.t.Helper()
	u, err := s.Store.LoadUser(s.t.Context(), id)
	must(s.t, err)
	return u
}

// found returns the user with a name or an address, or nil.
func (s *site) found(login string) *testapp.User {
	s.t.Helper()
	u, err := s.Store.FindUser(s.t.Context(), login)
	if err != nil {
		return nil
	}
	return u
}

// identities returns the identities of a user.
func (s *site) identities(u *testapp.User) []auth.Identity {
	s.t.Helper()
	all, err := s.Identities(s.t.Context(), u)
	must(s.t, err)
	return all
}

// connected makes a user who has connected the subject at the provider.
func (s *site) connected(name, subject string) (*testapp.User, *browser) {
	s.t.Helper()
	u := s.account(name, true, false)
	b := s.browser()
	b.Login(u)
	s.consent(subject, name+"@example.com", true)
	if r := b.login("purpose", "link"); r.StatusCode != http.StatusSeeOther {
		s.t.Fatalf("connecting %s: %s %s", name, r.Status, r.Text)
	}
	s.mails.Take()
	s.Events()
	return s.user(u.ID), b
}

// kinds returns the kinds of the events since the last time.
func (s *site) kinds() (kinds []auth.EventKind) {
	for _, e := range s.Events() {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// mailKinds returns the mails since the last time, as "kind to address".
func (s *site) mailKinds() (kinds []string) {
	for _, m := range s.mails.Take() {
		kinds = append(kinds, string(m.Kind)+" to "+m.To)
	}
	return kinds
}

// tokens returns how many token requests the provider has got.
func (s *site) tokens() int { return len(s.provider.Requests(authtest.Token)) }

// page fails the test unless r is one of the handler's pages.
func (s *site) page(r *authtest.Response, status int, text string) {
	s.t.Helper()
	if r.StatusCode != status || !strings.Contains(html.UnescapeString(r.Text), text) {
		s.t.Errorf("%s, Location %q, want %d with %q: %s", r.Status, r.Header.Get("Location"), status, text, r.Text)
	}
	if csp := r.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		s.t.Errorf("the policy of the page is %q", csp)
	}
}

// leads fails the test unless r is a redirect to this page.
func (s *site) leads(r *authtest.Response, to string) {
	s.t.Helper()
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != to {
		s.t.Errorf("%s to %q, want 303 to %q: %s", r.Status, r.Header.Get("Location"), to, r.Text)
	}
}

// target returns the URL that a page leads to.
func target(t testing.TB, r *authtest.Response) *url.URL {
	t.Helper()
	m := regexp.MustCompile(`http-equiv="refresh" content="0; url=([^"]*)"`).FindStringSubmatch(r.Text)
	if m == nil {
		t.Fatalf("the page leads nowhere: %s %s", r.Status, r.Text)
	}
	u, err := url.Parse(html.UnescapeString(m[1]))
	must(t, err)
	return u
}

// without returns the request with parameters changed. An empty value removes one.
func with(t testing.TB, r *http.Request, pairs ...string) *http.Request {
	t.Helper()
	r = r.Clone(t.Context())
	q := r.URL.Query()
	for i := 0; i+1 < len(pairs); i += 2 {
		if q.Del(pairs[i]); pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	r.URL.RawQuery = q.Encode()
	return r
}

// enroll sets up a second factor for the user of a fresh login, and returns its secret.
func (b *browser) enroll() string {
	b.s.t.Helper()
	var secret string
	must(b.s.t, b.in(func(ctx context.Context) error {
		setup, err := b.s.BeginFactor(ctx, "totp")
		if err == nil {
			secret = setup.Secret.Reveal()
			err = b.s.EnrollFactor(ctx, "totp", b.s.code(secret))
		}
		return err
	}))
	b.s.Clock.Advance(time.Minute) // the code is used up
	return secret
}

func (s *site) code(secret string) url.Values {
	s.t.Helper()
	code, err := totp.Code(secret, s.Clock.Now())
	must(s.t, err)
	return url.Values{"code": {code}}
}

func withTOTP(c *auth.Config) { c.Factors = []auth.Factor{totp.New()} }

// atOnce runs f n times at once.
func atOnce(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func wantAll[T comparable](t testing.TB, what string, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// show shows the second factor that a login owes.
func (b *browser) show(secret string) {
	b.s.t.Helper()
	must(b.s.t, b.in(func(ctx context.Context) error { return b.s.ContinueLogin(ctx, "totp", b.s.code(secret)) }))
}
