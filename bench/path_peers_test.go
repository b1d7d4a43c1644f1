package bench_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aarondl/authboss/v3/otp/twofactor/totp2fa"
	"github.com/go-login/auth/totp"
	pkgz "github.com/go-pkgz/auth/v2"
	"github.com/go-pkgz/auth/v2/provider"
	jwt "github.com/go-pkgz/auth/v2/token"
	"golang.org/x/oauth2"
)

// peerPaths are ways to log in with other libraries. Each login begins in a new browser.
func peerPaths() []trial {
	return []trial{
		{"totp/authboss", bossTOTP}, {"json/authboss", bossJSON}, {"json/go-pkgz", pkgzJSON}, {"provider/go-pkgz", pkgzProvider},
	}
}

// exchanged sends a request, and returns the answer's cookies and where it leads. The status
// must be this one.
func exchanged(handler http.Handler, r *http.Request, status int) (cookies []*http.Cookie, to string, err error) {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	answer := w.Result()
	if answer.StatusCode != status {
		text, _ := io.ReadAll(answer.Body)
		return nil, "", fmt.Errorf("%s %s: %s: %s", r.Method, r.URL, answer.Status, text)
	}
	return answer.Cookies(), answer.Header.Get("Location"), nil
}

// post returns a request with a form.
func post(tb testing.TB, path, form string, cookies ...*http.Cookie) *http.Request {
	tb.Helper()
	r := newRequest(tb, 0, form, cookies...)
	r.URL.Path, r.RequestURI = path, path
	return r
}

// postJSON returns a request with this value as its body.
func postJSON(tb testing.TB, path string, value map[string]string) *http.Request {
	tb.Helper()
	text, err := json.Marshal(value)
	check(tb, err)
	r := post(tb, path, string(text))
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	return r
}

// bossTOTP logs in by a password and a code. authboss does not remember used codes unless
// the user type has a method for it.
func bossTOTP(tb testing.TB) func() error {
	ab, store := newAuthboss(tb, newMembers(tb), false)
	check(tb, (&totp2fa.TOTP{Authboss: ab}).Setup())
	secret := strings.Repeat("GEZDGNBV", 4)
	store.users[username(0)].totp = secret
	handler := ab.LoadClientStateMiddleware(ab.Core.Router)
	return func() error {
		code, err := totp.Code(secret, time.Now())
		if err != nil {
			return err
		}
		cookies, to, err := exchanged(handler, post(tb, "/login", loginForm(username(0))), http.StatusFound)
		if err != nil || !strings.HasSuffix(to, "/2fa/totp/validate") {
			return fmt.Errorf("the password leads to %q, %w", to, err)
		}
		cookies, to, err = exchanged(handler, post(tb, "/2fa/totp/validate", "code="+code, cookies...), http.StatusFound)
		if err != nil || len(cookies) == 0 || to != ab.Paths.AuthLoginOK {
			return fmt.Errorf("the code leads to %q, %w", to, err)
		}
		return nil
	}
}

// bossJSON logs in by a password in JSON.
func bossJSON(tb testing.TB) func() error {
	ab, _ := newAuthboss(tb, newMembers(tb), true)
	handler := ab.LoadClientStateMiddleware(ab.Core.Router)
	return func() error {
		cookies, _, err := exchanged(handler, postJSON(tb, "/login", map[string]string{"username": username(0), "password": password}), http.StatusTemporaryRedirect)
		if err == nil && len(cookies) == 0 {
			err = fmt.Errorf("no cookie")
		}
		return err
	}
}

// pkgzJSON logs in by a password in JSON.
func pkgzJSON(tb testing.TB) func() error {
	handler, _ := newPkgz(newMembers(tb), nil).Handlers()
	return func() error {
		cookies, _, err := exchanged(handler, postJSON(tb, "/auth/local/login", map[string]string{"user": username(0), "passwd": password, "aud": "bench"}), http.StatusOK)
		if err == nil && len(cookies) == 0 {
			err = fmt.Errorf("no cookie")
		}
		return err
	}
}

// pkgzProvider logs in by a provider in this process that speaks OAuth 2, and not OpenID
// Connect: it signs no ID token. After the token, the library fetches the user.
func pkgzProvider(tb testing.TB) func() error {
	mux := http.NewServeMux()
	answer := func(path string, value map[string]string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(value)
		})
	}
	answer("POST /token", map[string]string{"access_token": "token", "token_type": "Bearer"})
	answer("GET /user", map[string]string{"sub": username(0)})
	server := httptest.NewServer(mux)
	tb.Cleanup(server.Close)
	service := newPkgz(newMembers(tb), nil)
	service.AddCustomProvider("work", pkgz.Client{Cid: "bench", Csecret: "secret"}, provider.CustomHandlerOpt{
		Endpoint: oauth2.Endpoint{AuthURL: server.URL + "/authorize", TokenURL: server.URL + "/token", AuthStyle: oauth2.AuthStyleInHeader},
		InfoURL:  server.URL + "/user",
		MapUserFn: func(data provider.UserData, _ []byte) jwt.User {
			return jwt.User{Name: data.Value("sub"), ID: data.Value("sub")}
		},
	})
	handler, _ := service.Handlers()
	get := func(target string, cookies ...*http.Cookie) *http.Request {
		r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, target, nil)
		for _, c := range cookies {
			r.AddCookie(c)
			if c.Name == "XSRF-TOKEN" {
				r.Header.Set("X-XSRF-TOKEN", c.Value)
			}
		}
		return r
	}
	return func() error {
		cookies, to, err := exchanged(handler, get("/auth/work/login?aud=bench"), http.StatusFound)
		if err != nil {
			return err
		}
		away, err := url.Parse(to)
		if err != nil {
			return err
		}
		back := url.Values{"state": {away.Query().Get("state")}, "code": {"code"}}
		cookies, _, err = exchanged(handler, get("/auth/work/callback?"+back.Encode(), cookies...), http.StatusOK)
		if err == nil && len(cookies) == 0 {
			err = fmt.Errorf("no cookie")
		}
		return err
	}
}
