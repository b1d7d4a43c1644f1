package bench_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/oauth"
	"github.com/go-login/auth/pages"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/passkey/passkeytest"
	"github.com/go-login/auth/totp"
)

// A pathApp is an application with every way to log in, package pages, and roles.
type pathApp struct {
	*auth.Manager[*User]
	store    *store
	clock    *clock
	handler  http.Handler
	provider *authtest.Provider
	browsers int
}

func newPathApp(tb testing.TB, s *store, c *clock) *pathApp {
	tb.Helper()
	p := &pathApp{store: s, clock: c, provider: authtest.NewProvider(tb, authtest.ProviderConfig{Now: c.now})}
	manager, err := auth.New[*User](s, auth.Config{
		BaseURL: "http://localhost:8080", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Records: s.records,
		Logger: slog.New(slog.DiscardHandler), Now: c.now,
		Factors: []auth.Factor{totp.New(), totp.RecoveryCodes(), passkey.New(passkey.Config{})},
		Roles:   auth.RoleConfig{Grants: map[string][]string{"editor": nil}},
	})
	check(tb, err)
	providers, err := oauth.New(manager.Core, oauth.Provider{
		Name: "work", Issuer: p.provider.Issuer, ClientID: p.provider.ClientID, ClientSecret: auth.NewSecret(p.provider.ClientSecret),
	})
	check(tb, err)
	mux := http.NewServeMux()
	providers.Mount(mux)
	all, err := pages.New(manager.Core, pages.Config{})
	check(tb, err)
	all.Mount(mux)
	mux.Handle("GET /role", manager.Require(auth.Role("editor"))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	mux.HandleFunc("POST /enter", func(w http.ResponseWriter, r *http.Request) {
		user, err := s.FindUser(r.Context(), r.FormValue("name"))
		if err == nil {
			err = manager.LoginUser(r.Context(), user)
		}
		if err != nil {
			manager.Error(w, r, err)
		}
	})
	mux.HandleFunc("POST /begin/{factor}", func(w http.ResponseWriter, r *http.Request) {
		setup, err := manager.BeginFactor(r.Context(), r.PathValue("factor"))
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"secret": setup.Secret.Reveal(), "data": setup.Prompt.Data})
	})
	mux.HandleFunc("POST /enroll/{factor}", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if err := manager.EnrollFactor(r.Context(), r.PathValue("factor"), r.PostForm); err != nil {
			manager.Error(w, r, err)
		}
	})
	mux.HandleFunc("POST /ask", func(w http.ResponseWriter, r *http.Request) {
		prompt, err := manager.PromptPasskey(r.Context())
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		_ = json.NewEncoder(w).Encode(prompt.Data)
	})
	mux.HandleFunc("POST /passkey", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if _, err := manager.LoginByPasskey(r.Context(), r.PostForm); err != nil {
			manager.Error(w, r, err)
		}
	})
	mux.HandleFunc("POST /password", func(w http.ResponseWriter, r *http.Request) {
		user, err := manager.Authenticate(r.Context(), r.FormValue("name"), password)
		if err == nil {
			err = manager.LoginUser(r.Context(), user)
		}
		if err != nil {
			manager.Error(w, r, err)
		}
	})
	mux.HandleFunc("POST /code", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if err := manager.ContinueLogin(r.Context(), "totp", r.PostForm); err != nil {
			manager.Error(w, r, err)
		}
	})
	p.Manager, p.handler = manager, manager.LoadAndSave(mux)
	return p
}

// browser returns a browser in which nobody is logged in. Each has an address of its own,
// so that no limit for one address is reached.
func (p *pathApp) browser(tb testing.TB) *authtest.Client {
	tb.Helper()
	p.browsers++
	c := authtest.NewClient(tb, p.Core, p.handler)
	c.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1234", p.browsers>>16, p.browsers>>8&255, p.browsers&255)
	return c
}

// entered returns a browser in which a user is logged in.
func (p *pathApp) entered(tb testing.TB, name string) *authtest.Client {
	tb.Helper()
	c := p.browser(tb)
	answered(tb, c.Post("/enter", url.Values{"name": {name}}), http.StatusOK)
	return c
}

func answered(tb testing.TB, r *authtest.Response, want int) {
	tb.Helper()
	if r.StatusCode != want {
		tb.Fatalf("%s, want %d: %s", r.Status, want, r.Text)
	}
}

// A way prepares logins of a user. Each call of log logs in once, in a browser of its own.
type way func(tb testing.TB, p *pathApp, name string) (log func(tb testing.TB))

// byTOTP logs in by a password and a code of an authenticator app.
func byTOTP(tb testing.TB, p *pathApp, name string) func(testing.TB) {
	c := p.entered(tb, name)
	var setup struct{ Secret string }
	r := c.Post("/begin/totp", nil)
	answered(tb, r, http.StatusOK)
	check(tb, json.Unmarshal([]byte(r.Text), &setup))
	code := func(tb testing.TB) url.Values {
		p.clock.add(30 * time.Second) // a code works once
		code, err := totp.Code(setup.Secret, p.clock.now())
		check(tb, err)
		return url.Values{"code": {code}, "name": {name}}
	}
	answered(tb, c.Post("/enroll/totp", code(tb)), http.StatusOK)
	return func(tb testing.TB) {
		form, c := code(tb), p.browser(tb)
		answered(tb, c.Post("/password", form), http.StatusSeeOther)
		answered(tb, c.Post("/code", form), http.StatusOK)
	}
}

// byPasskey logs in by a passkey. The authenticator's own work is measured, too.
func byPasskey(tb testing.TB, p *pathApp, name string) func(testing.TB) {
	phone := passkeytest.New("http://localhost:8080")
	c := p.entered(tb, name)
	var setup struct{ Data json.RawMessage }
	r := c.Post("/begin/passkey", nil)
	answered(tb, r, http.StatusOK)
	check(tb, json.Unmarshal([]byte(r.Text), &setup))
	answer := func(tb testing.TB, prompt []byte) url.Values {
		text, err := phone.AnswerJSON(prompt)
		check(tb, err)
		return url.Values{"passkey": {text}}
	}
	answered(tb, c.Post("/enroll/passkey", answer(tb, setup.Data)), http.StatusOK)
	return func(tb testing.TB) {
		c := p.browser(tb)
		prompt := c.Post("/ask", nil)
		answered(tb, c.Post("/passkey", answer(tb, []byte(prompt.Text))), http.StatusOK)
	}
}

// byProvider logs in by a provider in this process, whose work is measured, too: the way
// there, the way back, and the request for the tokens, which goes over loopback.
func byProvider(tb testing.TB, p *pathApp, name string) func(testing.TB) {
	visit := func(tb testing.TB, c *authtest.Client, purpose string) {
		p.provider.Consent(authtest.ProviderUser{Subject: name})
		answered(tb, c.Do(p.provider.Visit(c.Post("/oauth/work", url.Values{"purpose": {purpose}}))), http.StatusSeeOther)
	}
	visit(tb, p.entered(tb, name), "link")
	return func(tb testing.TB) { visit(tb, p.browser(tb), "login") }
}

// byJSON logs in by a password through package pages, as a script does.
func byJSON(_ testing.TB, p *pathApp, name string) func(testing.TB) {
	return func(tb testing.TB) {
		text, err := json.Marshal(map[string]string{"login": name, "password": password})
		check(tb, err)
		r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/login", strings.NewReader(string(text)))
		r.Header.Set("Accept", "application/json")
		r.Header.Set("Content-Type", "application/json")
		answered(tb, p.browser(tb).Do(r), http.StatusOK)
	}
}

// BenchmarkPaths measures logins of one user, each in a new browser.
func BenchmarkPaths(b *testing.B) { measure(b, pathTrials()) }

func pathTrials() []trial {
	all := []trial{hashTrial()}
	for _, w := range []struct {
		name string
		way  way
	}{{"totp/go-login", byTOTP}, {"passkey/go-login", byPasskey}, {"provider/go-login", byProvider}, {"json/go-login", byJSON}} {
		all = append(all, trial{w.name, func(tb testing.TB) func() error {
			c := newClock()
			s := openMemory(tb, c, nil)
			newApp(tb, s, c).fill(tb, 1)
			log := w.way(tb, newPathApp(tb, s, c), username(0))
			return func() error { log(tb); return nil }
		}})
	}
	return append(all, peerPaths()...)
}

// pathRequests are the requests of TestCosts that need a pathApp.
func pathRequests(p *pathApp) []request {
	by := func(name string, w way) request {
		var log func(testing.TB)
		return request{
			name: name,
			prepare: func(tb testing.TB, _ *app, i int) []*http.Cookie {
				log = w(tb, p, username(i))
				return nil
			},
			do: func(tb testing.TB, _ *app, _ int, _ []*http.Cookie) { log(tb) },
		}
	}
	return []request{
		{name: "a page that asks for a role", prepare: func(tb testing.TB, a *app, i int) []*http.Cookie {
			user, err := p.store.LoadUser(tb.Context(), userID(i))
			check(tb, err)
			account := user.Clone()
			account.Roles = []string{"editor"}
			check(tb, p.store.UpdateAccount(tb.Context(), account))
			return []*http.Cookie{a.session(i)}
		}, do: func(tb testing.TB, _ *app, _ int, c []*http.Cookie) {
			r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/role", nil)
			r.Header.Set("User-Agent", userAgent)
			for _, cookie := range c {
				r.AddCookie(cookie)
			}
			w := httptest.NewRecorder()
			if p.handler.ServeHTTP(w, r); w.Code != http.StatusOK {
				tb.Fatal(w.Code, w.Body)
			}
		}},
		by("login with a password, as JSON", byJSON),
		by("login with a password and a code", byTOTP),
		by("login with a passkey", byPasskey),
		by("login by a provider", byProvider),
	}
}
