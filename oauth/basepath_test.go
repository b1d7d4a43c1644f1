package oauth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/oauth"
)

// TestBasePath: below a path, the provider sends the browser back below it, whether the path
// reaches the mux or not.
func TestBasePath(t *testing.T) {
	t.Parallel()
	for _, stripped := range []bool{false, true} {
		s := newSite(t, withProvider(signUp), withAuth(func(c *auth.Config) { c.BaseURL += "/app/" }))
		handler := s.Server.Config.Handler
		if stripped {
			handler = http.StripPrefix("/app", handler)
		}
		b := authtest.NewClient(t, s.Core, handler)
		want(t, "the button", s.Providers()[0].Start, "/app/oauth/work")
		r := b.Post("/app/oauth/work", nil)
		want(t, "the redirect URI", target(t, r).Query().Get("redirect_uri"), s.Server.URL+"/app/oauth/work/callback")
		r = b.Do(s.provider.Visit(r))
		want(t, "after the login", r.Header.Get("Location"), "/app/")
		want(t, "the users", len(s.identities(s.found("u42"))), 1)
	}
}

// TestMount: the providers stand beside a home page for GET, which http.ServeMux takes for a
// contradiction if they have all methods, and in any other router.
func TestMount(t *testing.T) {
	t.Parallel()
	s := newSite(t, withProvider(func(p *oauth.Provider) {
		signUp(p)
		p.BackChannelLogout = true
	}), withAuth(func(c *auth.Config) {
		c.BaseURL += "/app"
		c.Network.CrossOriginBypass = []string{"POST /oauth/work/logout", "POST /app/oauth/work/logout"}
	}))
	want(t, "the paths", strings.Join(s.handler.Paths(), " "), "/oauth/work /oauth/work/callback /oauth/work/logout /app/oauth/work /app/oauth/work/callback /app/oauth/work/logout")
	mux, other := http.NewServeMux(), router{http.NewServeMux()}
	s.handler.Mount(mux)
	mux.HandleFunc("GET /", func(http.ResponseWriter, *http.Request) {})
	s.handler.Mount(other)
	for _, handler := range []http.Handler{mux, other} {
		b := authtest.NewClient(t, s.Core, s.LoadAndSave(handler))
		r := b.Do(s.provider.Visit(b.Post("/app/oauth/work", nil)))
		want(t, "after the login", r.Header.Get("Location"), "/app/")
		want(t, "a logout without a token", b.Post("/oauth/work/logout", nil).StatusCode, http.StatusBadRequest)
	}
}

// A router is no http.ServeMux.
type router struct{ mux *http.ServeMux }

func (r router) Handle(path string, handler http.Handler)         { r.mux.Handle(path, handler) }
func (r router) ServeHTTP(w http.ResponseWriter, q *http.Request) { r.mux.ServeHTTP(w, q) }

// TestRedirectURIAtHosts: the provider sends the browser back to the host that it came from,
// where its cookies are, but only to one that is in the list.
func TestRedirectURIAtHosts(t *testing.T) {
	t.Parallel()
	s := newSite(t, withAuth(func(c *auth.Config) {
		c.BaseURL, c.Network.Hosts = "https://app.example", []string{"www.app.example"}
	}))
	for host, origin := range map[string]string{
		"app.example": "https://app.example", "www.app.example": "https://www.app.example", "evil.example": "https://app.example",
		"www.app.example.evil.example": "https://app.example", "www.app.example:8443": "https://app.example",
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/oauth/work", nil)
		r.Host = host
		r.Header.Set("X-Forwarded-Host", "evil.example")
		s.Server.Config.Handler.ServeHTTP(w, r)
		page := w.Body.String()
		if !strings.Contains(page, "redirect_uri="+strings.NewReplacer(":", "%3A", "/", "%2F").Replace(origin+"/oauth/work/callback")) {
			t.Errorf("%s: %d %s", host, w.Code, page)
		}
	}
	for _, pattern := range []string{"POST www.app.example/oauth/work", "POST www.app.example/oauth/"} {
		app := testapp.New(t, testapp.NewSpy(testapp.NewClock()), testapp.NewClock(), func(c *auth.Config) {
			c.BaseURL, c.Network.Hosts, c.Network.CrossOriginBypass = "https://app.example", []string{"www.app.example"}, []string{pattern}
		})
		if _, err := oauth.New(app.Core, s.settings()); err == nil || !strings.Contains(err.Error(), "narrower") {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}
