package pages_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// TestBasePath: an application below a path works from registration to logout, whether the
// path reaches the mux, http.StripPrefix removes it, or a proxy does.
func TestBasePath(t *testing.T) {
	t.Parallel()
	removed := func(next http.Handler) http.Handler { // by a proxy
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.RequestURI, "/app/") {
				http.NotFound(w, r)
				return
			}
			r.RequestURI = strings.TrimPrefix(r.RequestURI, "/app")
			r.URL.Path = strings.TrimPrefix(r.URL.Path, "/app")
			next.ServeHTTP(w, r)
		})
	}
	for name, place := range map[string]func(m *auth.Manager[*User], mux *http.ServeMux) http.Handler{
		"whole": func(m *auth.Manager[*User], mux *http.ServeMux) http.Handler { return m.LoadAndSave(mux) },
		"StripPrefix": func(m *auth.Manager[*User], mux *http.ServeMux) http.Handler {
			return http.StripPrefix("/app", m.LoadAndSave(mux))
		},
		"StripPrefix below": func(m *auth.Manager[*User], mux *http.ServeMux) http.Handler {
			return m.LoadAndSave(http.StripPrefix("/app", mux))
		},
		"proxy": func(m *auth.Manager[*User], mux *http.ServeMux) http.Handler { return removed(m.LoadAndSave(mux)) },
	} {
		for _, prefix := range []string{"", "/my"} {
			t.Run(name+prefix, func(t *testing.T) { walkBelow(t, "/app", prefix, name == "whole", place) })
		}
	}
}

// TestTryAgainBelowAPath: the link of an error page stays in the application, also behind a
// proxy that removes the path, and has no mailed token.
func TestTryAgainBelowAPath(t *testing.T) {
	t.Parallel()
	manager, err := auth.New(memstore.New[User](), auth.Config{
		BaseURL: "https://host.example/app", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Logger: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	_, err = pages.New(manager.Core, pages.Config{})
	check(t, err)
	handler := manager.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		manager.Error(w, r, auth.ErrBusy)
	}))
	for target, want := range map[string]string{
		"/profile?a=1": `href="/app/profile?a=1"`, "/app/profile": `href="/app/profile"`, "/application": `href="/app/application"`,
		"/reset-password?token=secret": "", "/app/reset-password?token=secret": "",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if body := w.Body.String(); w.Code != http.StatusServiceUnavailable || !strings.Contains(body, want) || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %s", target, w.Code, body)
		}
	}
}

func walkBelow(t *testing.T, base, prefix string, whole bool, place func(*auth.Manager[*User], *http.ServeMux) http.Handler) {
	var mailbox authtest.Mailbox
	manager, err := auth.New(memstore.New[User](), auth.Config{
		BaseURL: "https://host.example" + base + "/", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Mailer: &mailbox, RequireVerified: true, EmailLogin: true, URLs: auth.URLs{Login: base + prefix + "/login"},
		Password: auth.PasswordConfig{HashParams: authtest.HashParams()},
	})
	check(t, err)
	p, err := pages.New(manager.Core, pages.Config{Prefix: prefix})
	check(t, err)
	mux, at := http.NewServeMux(), ""
	for _, path := range p.Paths() {
		mux.Handle(path, p)
	}
	if whole {
		at = base
	}
	mux.Handle("GET "+at+"/profile", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := manager.CurrentUser(r.Context())
		_, _ = io.WriteString(w, "Hi, "+user.Username)
	})))
	mux.HandleFunc("GET "+at+"/{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "home") })
	c := authtest.NewClient(t, manager.Core, place(manager, mux))
	links := regexp.MustCompile(`(?:href|action|src)="(/[^"]*)"`)
	see := func(r *authtest.Response, want string) *authtest.Response {
		t.Helper()
		r = c.Follow(r)
		if r.StatusCode != http.StatusOK || !strings.Contains(r.Text, want) || !strings.HasPrefix(r.Request.URL.Path, base+"/") {
			t.Fatalf("%s: %s, want %q: %s", r.Request.URL, r.Status, want, r.Text)
		}
		for _, link := range links.FindAllStringSubmatch(r.Text, -1) {
			if !strings.HasPrefix(link[1], base+"/") {
				t.Errorf("%s leads to %s", r.Request.URL, link[1])
			} else if again := c.Get(strings.ReplaceAll(link[1], "&amp;", "&")); again.StatusCode == http.StatusNotFound {
				t.Errorf("%s leads to %s, which is nowhere", r.Request.URL, link[1])
			}
		}
		return r
	}
	below := base + prefix
	page := see(c.Get(base+"/profile?tab=1"), `action="`+below+`/login"`)
	if next := page.Request.URL.Query().Get("next"); next != base+"/profile?tab=1" {
		t.Errorf("next is %q", next)
	}
	see(c.Get(below+"/register"), `action="`+below+`/register"`)
	see(c.Post(below+"/register", url.Values{"username": {"susan"}, "email": {"susan@example.com"}, "password": {good}, "confirm_password": {good}}), "")
	link := mailbox.Link(t, "susan@example.com")
	if !strings.HasPrefix(link, below+"/verify-email?token=") {
		t.Fatalf("the link is %s", link)
	}
	see(c.Get(link), `action="`+below+`/verify-email"`)
	see(c.Post(below+"/verify-email", nil), "")
	see(c.Post(below+"/login", url.Values{"login": {"susan"}, "password": {good}, "next": {base + "/profile?tab=1"}}), "Hi, susan")
	for _, path := range []string{"/account", "/account/password", "/account/email", "/account/sessions", "/account/close", "/refresh"} {
		see(c.Get(below+path), below)
	}
	see(c.Get(below+"/login?next="+base+"/profile"), "Hi, susan")
	if r := c.Post(below+"/login", url.Values{"login": {"jacob"}, "password": {good}}); !strings.Contains(r.Text, `name="next" value="`+below+`/login"`) {
		t.Errorf("the page that offers to log out: %s %s", r.Status, r.Text)
	}
	for _, cookie := range c.Cookies() {
		if !strings.HasPrefix(cookie.Name, "__Host-session.app") {
			t.Errorf("a cookie is called %s", cookie.Name)
		}
	}
	see(c.Post(below+"/logout", nil), "home")
	see(c.Post(below+"/forgot-password", url.Values{"email": {"susan@example.com"}}), "")
	if link := mailbox.Link(t, "susan@example.com"); !strings.HasPrefix(link, below+"/reset-password?token=") {
		t.Errorf("the link is %s", link)
	} else {
		see(c.Get(link), `action="`+below+`/reset-password"`)
	}
}
