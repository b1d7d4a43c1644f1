package auth_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// newAt makes a Manager with settings that say where the application is.
func newAt(t *testing.T, baseURL string, set func(*auth.Config)) (*auth.Manager[*testapp.User], error) {
	t.Helper()
	cfg := goodConfig()
	cfg.BaseURL = baseURL
	if set != nil {
		set(&cfg)
	}
	return auth.New[*testapp.User](memstore.New[testapp.User](), cfg)
}

// TestBasePath: below a path, URLs, cookies and the page that was asked for have the path,
// whether it reaches the server or not.
func TestBasePath(t *testing.T) {
	t.Parallel()
	m, err := newAt(t, "https://host.example/app/", func(c *auth.Config) {
		c.Mailer, c.URLs.LoginFor = &testapp.Outbox{}, map[string]string{"/app/admin": "/app/admin/login"}
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := m.Config()
	if m.BasePath() != "/app" || cfg.BaseURL != "https://host.example/app" || m.BaseURL(t.Context()) != cfg.BaseURL {
		t.Errorf("%q %q %q", m.BasePath(), cfg.BaseURL, m.BaseURL(t.Context()))
	}
	if u := cfg.URLs; u.Login != "/app/login" || u.Refresh != "/app/refresh" || u.Reset != "/app/reset-password" || u.TwoFactor != "/app/account/two-factor" {
		t.Errorf("%+v", u)
	}
	if c := m.Cookie("x"); c.Name != "__Host-session.app-x" || c.Path != "/" {
		t.Errorf("%+v", c)
	}
	guarded := m.LoadAndSave(m.RequireLogin(http.NotFoundHandler()))
	for sent, want := range map[string]string{
		"/app/profile?a=b": "/app/login?next=%2Fapp%2Fprofile%3Fa%3Db",
		"/profile?a=b":     "/app/login?next=%2Fapp%2Fprofile%3Fa%3Db", // a proxy has removed /app
		"/app":             "/app/login?next=%2Fapp",
		"/application":     "/app/login?next=%2Fapp%2Fapplication",
		"/a%2Fb":           "/app/login?next=%2Fapp%2Fa%252Fb",
		"/app/admin/users": "/app/admin/login?next=%2Fapp%2Fadmin%2Fusers",
		"/admin/users":     "/app/admin/login?next=%2Fapp%2Fadmin%2Fusers",
		"//evil.example":   "/app/login?next=%2Fapp%2F%2Fevil.example",
	} {
		for _, handler := range []http.Handler{guarded, http.StripPrefix("/app", guarded)} {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			u, err := url.ParseRequestURI(sent)
			if err != nil {
				t.Fatal(err)
			}
			r.RequestURI, r.URL, r.Host = sent, u, "evil.example"
			handler.ServeHTTP(w, r)
			if w.Code == http.StatusNotFound && !strings.HasPrefix(sent, "/app") {
				continue // http.StripPrefix refuses it
			}
			if got := w.Header().Get("Location"); got != want {
				t.Errorf("%s: %d %q", sent, w.Code, got)
			}
		}
	}
	for _, bypass := range []string{"/app/login", "/login", "POST /app/", "/app/login/verify", "/refresh"} {
		if _, err := newAt(t, "https://host.example/app", func(c *auth.Config) { c.Network.CrossOriginBypass = []string{bypass} }); err == nil {
			t.Errorf("a bypass %s is accepted", bypass)
		}
	}
	for base, want := range map[string]string{
		"https://host.example":        "__Host-session",
		"https://host.example/a/b":    "__Host-session.a.b",
		"http://localhost:8080/flash": "session-8080.flash",
	} {
		if m, err := newAt(t, base, nil); err != nil || m.Cookie("x").Name != want+"-x" {
			t.Errorf("%s: %v", base, err)
		}
	}
}

// TestBasePathLinks: links in mails have the path once, also those to pages of other sites.
func TestBasePathLinks(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, func(c *auth.Config) {
		c.BaseURL, c.URLs.Verify = "https://host.example/app", "https://mail.example/verify"
	})
	u := member(t, m.App, "susan", testapp.Password)
	if err := m.SendReset(t.Context(), u.Email); err != nil {
		t.Fatal(err)
	}
	if err := m.SendVerification(t.Context(), u.Email); err != nil {
		t.Fatal(err)
	}
	mails := m.box.Take()
	for i, want := range []string{"https://host.example/app/reset-password", "https://mail.example/verify"} {
		if link, _, _ := strings.Cut(mails[i].Link.Reveal(), "?token="); link != want {
			t.Errorf("%s, want %s", link, want)
		}
	}
}

// TestHosts: links in mails lead to the host of the request only if it is in the list.
// Nothing else that a client sends has an effect.
func TestHosts(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, func(c *auth.Config) {
		c.BaseURL, c.Network.Hosts = "https://app.example/shop", []string{"www.app.example", "app.example:8443"}
	})
	member(t, m.App, "susan", testapp.Password)
	handler := m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.Clock.Advance(2 * time.Hour)
		if err := m.SendReset(r.Context(), "susan@app.example"); err != nil {
			m.Error(w, r, err)
		}
	}))
	for host, want := range map[string]string{
		"app.example":                    "https://app.example",
		"www.app.example":                "https://www.app.example",
		"WWW.App.Example":                "https://www.app.example",
		"www.app.example:443":            "https://www.app.example",
		"app.example:8443":               "https://app.example:8443",
		"www.app.example:8443":           "https://app.example",
		"www.app.example.":               "https://app.example",
		"evil.example":                   "https://app.example",
		"www.app.example.evil.example":   "https://app.example",
		"www.app.example@evil.example":   "https://app.example",
		"www.app.example/evil.example":   "https://app.example",
		"www.app.example:443:443":        "https://app.example",
		"www.app.example\x00":            "https://app.example",
		" www.app.example":               "https://app.example",
		"www.app.example, evil.example":  "https://app.example",
		"www.app.example#.evil.example":  "https://app.example",
		"www.app.example\r\nX-Header: y": "https://app.example",
		"":                               "https://app.example",
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		r.Host = host
		for _, name := range []string{"X-Forwarded-Host", "X-Host", "X-Original-Host", "Host"} {
			r.Header.Set(name, "app.example:8443")
		}
		r.Header.Set("Forwarded", "host=www.app.example")
		handler.ServeHTTP(w, r)
		mails := m.box.Take()
		if w.Code != http.StatusOK || len(mails) != 1 || !strings.HasPrefix(mails[0].Link.Reveal(), want+"/shop/reset-password?token=") {
			t.Errorf("%q: %d, %d mails, %v", host, w.Code, len(mails), mails)
		}
	}
	if got := m.BaseURL(t.Context()); got != "https://app.example/shop" {
		t.Errorf("without a request: %s", got)
	}
	for _, hosts := range [][]string{
		{""}, {"https://www.app.example"}, {"WWW.app.example"}, {"www.app.example/"}, {"www.app.example/shop"}, {"www.app.example:443"},
		{"*.app.example"}, {"user@www.app.example"}, {"www.app.example?x"}, {"www.app.example\n"}, {"app.example"}, {"a.example", "a.example"}, {"a.example:0"},
	} {
		if _, err := newAt(t, "https://app.example", func(c *auth.Config) { c.Network.Hosts = hosts }); err == nil || !strings.Contains(err.Error(), "Config.Network.Hosts[") {
			t.Errorf("%q: %v", hosts, err)
		}
	}
	for _, host := range []string{"app.example", "192.168.1.20:8080"} {
		_, err := newAt(t, "http://localhost", func(c *auth.Config) { c.Network.Hosts = []string{host} })
		if err == nil || !strings.Contains(err.Error(), "Hosts[0]") || !strings.Contains(err.Error(), "DevelopmentHTTP") {
			t.Errorf("%s with plain http: %v", host, err)
		}
	}
}

// TestHostsAreSeparate: each host has cookies of its own, whose names and attributes are the
// same, and the same cross-origin check.
func TestHostsAreSeparate(t *testing.T) {
	t.Parallel()
	site := newOriginSite(t, func(c *auth.Config) {
		atAppExample(c)
		c.Network.Hosts = []string{"www.app.example"}
	})
	for _, c := range []struct {
		origin, host string
		want         bool
	}{
		{"https://www.app.example", "www.app.example", true},
		{"https://www.app.example", "app.example", false},
		{"https://evil.example", "evil.example", false},
		{"https://evil.example", "www.app.example", false},
	} {
		if site.passes(t, c.origin+" to "+c.host, http.MethodPost, c.host, http.Header{"Origin": {c.origin}}) != c.want {
			t.Errorf("%+v", c)
		}
	}
}

// TestDevelopmentHTTP: http in a local network needs a setting, which works nowhere else and
// says so in the log.
func TestDevelopmentHTTP(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]bool{
		"http://192.168.1.20:8080": true, "http://10.0.0.1": true, "http://[fd00::1]:8080": true, "http://web:8080": true, "http://my-pc": true, "http://my_web:8080": true,
		"http://pc.local": true, "http://app.lan": true, "http://app.internal": true, "http://app.test": true, "http://app.home.arpa": true,
		"http://app.example": false, "http://app.example.com:8080": false, "http://93.184.216.34": false, "http://home.arpa.example": false,
		"http://2130706433": false, "http://0x7f000001": false, "http://0.0.0.0": false, "http://[2001:db8::1]": false,
		"https://app.example": false, "https://web": false, "http://localhost:8080": false, "http://app.localhost": false, "http://127.0.0.1": false, // no effect
	} {
		if _, err := newAt(t, "http://localhost", func(c *auth.Config) { // the same for a further host
			c.Network.Hosts, c.Network.DevelopmentHTTP = []string{strings.TrimPrefix(base, "http://")}, true
		}); (err == nil) != want {
			t.Errorf("%s as a further host: %v", base, err)
		}
		var log bytes.Buffer
		for _, set := range []bool{false, true} {
			_, err := newAt(t, base, func(c *auth.Config) {
				c.Network.DevelopmentHTTP, c.Logger = set, slog.New(slog.NewTextHandler(&log, nil))
			})
			if set && (err == nil) != want {
				t.Errorf("%s: %v", base, err)
			}
			if !set && want && err == nil {
				t.Errorf("%s is accepted without the setting", base)
			}
		}
		if strings.Contains(log.String(), "level=WARN") != want || want && strings.Count(log.String(), "DevelopmentHTTP") != 1 {
			t.Errorf("%s: the log is %s", base, &log)
		}
	}
}

// TestLocalhostNames: names below localhost are as good as localhost for development.
func TestLocalhostNames(t *testing.T) {
	t.Parallel()
	site := newOriginSite(t, func(c *auth.Config) { c.BaseURL = "http://app.localhost:8080" })
	for origin, want := range map[string]bool{"http://app.localhost:8080": true, "http://other.localhost:8080": false, "http://localhost:8080": false} {
		if site.passes(t, origin, http.MethodPost, "app.localhost:8080", http.Header{"Origin": {origin}}) != want {
			t.Errorf("%s: %v", origin, !want)
		}
	}
}
