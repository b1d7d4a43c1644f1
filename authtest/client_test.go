package authtest_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/totp"
)

// The whole walk, with every kind of BaseURL that an application may have.
func TestClientAtBaseURLs(t *testing.T) {
	for _, base := range []string{
		"https://app.example", "https://APP.example:443/", "https://app.example:8443",
		"http://localhost", "http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080",
	} {
		t.Run(base, func(t *testing.T) {
			s := newSite(t, func(cfg *auth.Config) { cfg.BaseURL = base })
			s.create(t, "susan", password)
			secure := strings.HasPrefix(base, "https")
			s.mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprintf(w, "%s %s %t", r.Host, r.Header.Get("Origin"), r.TLS != nil)
			})
			c := s.client(t)
			want(t, c.Get("/guarded"), http.StatusSeeOther, "")
			want(t, c.Post("/login", form("login", "susan", "password", password)), http.StatusSeeOther, "")
			want(t, c.Get("/guarded"), http.StatusOK, "susan")
			cookies := c.Cookies()
			if len(cookies) != 3 { // of the login, the browser, and a flash message
				t.Errorf("the cookies are %v", cookies)
			}
			for _, cookie := range cookies {
				if strings.HasPrefix(cookie.Name, "__Host-") != secure {
					t.Errorf("there is a cookie %s", cookie.Name)
				}
			}
			own := s.Config().BaseURL
			_, host, _ := strings.Cut(own, "://")
			want(t, c.Post("/echo", nil), http.StatusOK, fmt.Sprintf("%s %s %t", host, own, secure))
			want(t, c.Get(own+"/who?a=b"), http.StatusOK, "susan")
			want(t, c.Post("/logout", nil), http.StatusSeeOther, "")
			want(t, c.Get("/who"), http.StatusOK, "nobody")

			other := s.client(t)
			other.Login(s.user(t, "susan"))
			want(t, other.Get("/guarded"), http.StatusOK, "susan")
			want(t, c.Get("/who"), http.StatusOK, "nobody") // two clients share nothing
		})
	}
}

// A client has the same address and User-Agent in every request.
func TestLoginUnderProtection(t *testing.T) {
	for _, protection := range []auth.Protection{auth.ProtectOff, auth.ProtectBasic, auth.ProtectStrong} {
		for _, address := range []bool{false, true} {
			if address && protection == auth.ProtectOff {
				continue // New refuses this combination
			}
			for _, custom := range []bool{false, true} {
				t.Run(fmt.Sprint(protection, address, custom), func(t *testing.T) {
					s := newSite(t, func(cfg *auth.Config) { cfg.Session.Protection, cfg.Session.ProtectAddress = protection, address })
					susan := s.create(t, "susan", "")
					c := s.client(t)
					if custom {
						c.UserAgent, c.RemoteAddr = "my browser", "[2001:db8::1]:9"
					}
					c.Login(susan)
					for range 4 {
						s.clock.Advance(2 * time.Minute) // so that the session is touched, too
						want(t, c.Get("/guarded"), http.StatusOK, "susan")
						want(t, c.Get("/fresh"), http.StatusOK, "susan")
					}
					logins, err := s.Logins(t.Context(), susan.ID)
					check(t, err)
					if from := netip.MustParseAddrPort(c.RemoteAddr).Addr().String(); len(logins) != 1 || logins[0].UserAgent != c.UserAgent || logins[0].Address != from {
						t.Errorf("the logins are %+v", logins)
					}
				})
			}
		}
	}
}

// A client can change its address and User-Agent.
func TestClientFromElsewhere(t *testing.T) {
	s := newSite(t, func(cfg *auth.Config) { cfg.Session.Protection, cfg.Session.ProtectAddress = auth.ProtectStrong, true })
	s.create(t, "susan", "")
	for name, change := range map[string]func(*authtest.Client){
		"browser": func(c *authtest.Client) { c.UserAgent = "another" },
		"address": func(c *authtest.Client) { c.RemoteAddr = "198.51.100.1:1" },
	} {
		t.Run(name, func(t *testing.T) {
			c := s.client(t)
			c.Login(s.user(t, "susan"))
			want(t, c.Get("/who"), http.StatusOK, "susan")
			change(c)
			want(t, c.Get("/who"), http.StatusOK, "nobody")
		})
	}
}

func TestLoginFreshOrNot(t *testing.T) {
	s := newSite(t, nil)
	susan := s.create(t, "susan", "")
	c := s.client(t)
	c.Login(susan)
	want(t, c.Get("/fresh"), http.StatusOK, "susan")
	s.clock.Advance(11 * time.Minute)
	want(t, c.Get("/guarded"), http.StatusOK, "susan")
	want(t, c.Get("/fresh"), http.StatusSeeOther, "")
	c.Login(susan)
	want(t, c.Get("/fresh"), http.StatusOK, "susan")

	stale := s.client(t)
	stale.Login(susan, auth.Stale())
	want(t, stale.Get("/guarded"), http.StatusOK, "susan")
	r := stale.Get("/fresh")
	want(t, r, http.StatusSeeOther, "")
	if to := r.Header.Get("Location"); !strings.HasPrefix(to, s.Config().URLs.Refresh) {
		t.Errorf("a stale login is sent to %s", to)
	}
}

// If another user logs in, the new login replaces the old one, as in a browser.
func TestLoginAgain(t *testing.T) {
	s := newSite(t, nil)
	c := s.client(t)
	c.Login(s.create(t, "susan", ""))
	c.Login(s.create(t, "joe", ""))
	want(t, c.Get("/who"), http.StatusOK, "joe")
	logins, err := s.Logins(t.Context(), s.user(t, "susan").ID)
	check(t, err)
	if len(logins) != 0 {
		t.Errorf("susan's logins are %v", logins)
	}
}

func TestLoginFails(t *testing.T) {
	s := newSite(t, nil)
	s.create(t, "susan", "")
	login := func(user *User) func(testing.TB) {
		return func(t testing.TB) { s.client(t).Login(user) }
	}
	before := s.user(t, "susan")
	s.disable(t, "susan")
	wantFatal(t, login(s.user(t, "susan")), "Login of susan", "the account is disabled")
	wantFatal(t, login(before), "Login of susan", "load the user again")
	wantFatal(t, login(nil), "the user is nil")
	wantFatal(t, func(t testing.TB) { s.client(t).Login(nil) }, "the user is nil")
	wantFatal(t, login(&User{}), "without an ID")
	wantFatal(t, login(&User{Account: auth.Account{ID: "nobody's"}}), "not stored")

	if err := s.SetPassword(t.Context(), s.create(t, "joe", ""), password); err != nil {
		t.Fatal(err)
	}
	login(s.user(t, "joe"))(t)
}

func TestLoginFailsWithTheStore(t *testing.T) {
	store := brokenUsers{memstore.New[User]()}
	manager, handler, err := newApplication(store, auth.Config{
		BaseURL: origin,
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Logger:  slog.New(slog.DiscardHandler),
	})
	check(t, err)
	susan, err := store.CreateUser(t.Context(), auth.Account{Username: "susan", Stamp: auth.NewSecret("susan's stamp")}, nil)
	check(t, err)
	wantFatal(t, func(t testing.TB) { authtest.NewClient(t, manager.Core, handler).Login(susan) }, "Login of susan", errBroken.Error())

	s := newSite(t, func(cfg *auth.Config) { cfg.SessionStore = brokenSessions{memstore.NewRecords()} })
	joe := s.create(t, "joe", "")
	wantFatal(t, func(t testing.TB) { s.client(t).Login(joe) }, "Login of joe", errBroken.Error())
}

func TestRestart(t *testing.T) {
	s := newSite(t, nil)
	susan := s.create(t, "susan", "")
	c := s.client(t)
	c.Login(susan)
	c.Restart()
	want(t, c.Get("/who"), http.StatusOK, "nobody")
	if cookies := c.Cookies(); len(cookies) != 0 {
		t.Errorf("the cookies are %v", cookies)
	}

	c.Login(susan, auth.Remember(true))
	for range 3 { // each time with another cookie
		c.Restart()
		if cookies := c.Cookies(); len(cookies) != 1 || !strings.HasSuffix(cookies[0].Name, "-remember") {
			t.Errorf("the cookies are %v", cookies)
		}
		want(t, c.Get("/who"), http.StatusOK, "susan")
		want(t, c.Get("/fresh"), http.StatusSeeOther, "")
		s.clock.Advance(2 * time.Minute)
	}
	want(t, c.Post("/logout", nil), http.StatusSeeOther, "")
	c.Restart()
	want(t, c.Get("/who"), http.StatusOK, "nobody")

	// The client sends an old cookie; the application refuses it.
	c.Login(susan, auth.Remember(true))
	s.clock.Advance(31 * 24 * time.Hour)
	c.Restart()
	if cookies := c.Cookies(); len(cookies) != 1 {
		t.Errorf("the cookies are %v", cookies)
	}
	want(t, c.Get("/who"), http.StatusOK, "nobody")
}

// The client keeps cookies as browsers do.
func TestCookies(t *testing.T) {
	s := newSite(t, nil)
	s.mux.HandleFunc("GET /set/", func(w http.ResponseWriter, r *http.Request) {
		for _, line := range r.URL.Query()["c"] {
			w.Header().Add("Set-Cookie", line)
		}
	})
	s.mux.HandleFunc("GET /sent/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "["+r.Header.Get("Cookie")+"]")
	})
	long := s.clock.Now().Add(-10 * 365 * 24 * time.Hour).Format(http.TimeFormat) // the application's clock may show any time
	for _, test := range []struct{ set, sent, restarted string }{
		{"a=1", "[]", "[]"}, // a cookie of the directory only
		{"a=1; Path=/", "[a=1]", "[]"},
		{"a=1; Path=/; Secure; HttpOnly; SameSite=Strict", "[a=1]", "[]"},
		{"a=1; Path=/; Max-Age=1", "[a=1]", "[a=1]"},
		{"a=1; Path=/; Max-Age=0", "[]", "[]"},
		{"a=1; Path=/; Expires=" + long, "[a=1]", "[a=1]"},
		{"a=; Path=/; Expires=" + long, "[]", "[]"},
		{"a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT", "[]", "[]"},
		{"a=1; Path=/sent/", "[a=1]", "[]"},
		{"a=1; Path=/elsewhere", "[]", "[]"},
		{"a=1; Path=/; Domain=example.org", "[]", "[]"},
		{"a=1; Path=/; Domain=app.example", "[a=1]", "[]"},
		{"__Host-a=1; Path=/; Secure", "[__Host-a=1]", "[]"},
		{"__Host-a=1; Path=/", "[]", "[]"},
		{"__Host-a=1; Path=/sent; Secure", "[]", "[]"},
		{"__Host-a=1; Path=/; Secure; Domain=app.example", "[]", "[]"},
		{"__Secure-a=1; Path=/; Secure", "[__Secure-a=1]", "[]"},
		{"__Secure-a=1; Path=/", "[]", "[]"},
	} {
		c := s.client(t)
		r := httptest.NewRequest(http.MethodGet, "/set/here", nil)
		r.URL.RawQuery = form("c", test.set).Encode()
		c.Do(r)
		if got := c.Get("/sent/here").Text; got != test.sent {
			t.Errorf("after %q there is sent %s, not %s", test.set, got, test.sent)
		}
		c.Restart()
		if got := c.Get("/sent/here").Text; got != test.restarted {
			t.Errorf("after %q and a restart there is sent %s, not %s", test.set, got, test.restarted)
		}
	}

	// A cookie that was replaced by a session cookie does not come back after
	// Restart.
	c := s.client(t)
	c.Get("/set/?" + form("c", "a=lasting; Path=/; Max-Age=100").Encode())
	c.Get("/set/?" + form("c", "a=new; Path=/").Encode())
	c.Restart()
	want(t, c.Get("/sent/"), http.StatusOK, "[]")
}

func TestFollow(t *testing.T) {
	s := newSite(t, nil)
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		check(t, err)
		_, _ = fmt.Fprintf(w, "%s %s %q %q %q", r.Method, r.RequestURI, body, r.Header.Get("Content-Type"), r.Header.Get("Cookie"))
	}
	s.mux.HandleFunc("/echo/", echo)
	s.mux.HandleFunc("/to/{status}/", func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, err := fmt.Sscan(r.PathValue("status"), &status)
		check(t, err)
		http.SetCookie(w, &http.Cookie{Name: "hops", Value: fmt.Sprint(status), Path: "/"})
		w.Header().Set("Location", r.URL.Query().Get("at"))
		w.WriteHeader(status)
	})
	const ct = `"application/x-www-form-urlencoded"`
	for _, test := range []struct {
		method, path string
		want         string
	}{
		{"GET", "/echo/", `GET /echo/ "" "" ""`},
		{"GET", "/to/303/?at=/echo/%3Fa=b%23c", `GET /echo/?a=b "" "" "hops=303"`},
		{"GET", "/to/301/?at=../../echo/x", `GET /echo/x "" "" "hops=301"`},
		{"GET", "/to/302/?at=" + origin + "/echo/", `GET /echo/ "" "" "hops=302"`},
		{"GET", "/to/302/?at=/to/303/%3Fat=/echo/", `GET /echo/ "" "" "hops=303"`},
		{"POST", "/to/303/?at=/echo/", `GET /echo/ "" "" "hops=303"`},
		{"POST", "/to/302/?at=/echo/", `GET /echo/ "" "" "hops=302"`},
		{"POST", "/to/301/?at=/echo/", `GET /echo/ "" "" "hops=301"`},
		{"POST", "/to/307/?at=/echo/", `POST /echo/ "a=b" ` + ct + ` "hops=307"`},
		{"POST", "/to/308/?at=/to/307/%3Fat=/echo/", `POST /echo/ "a=b" ` + ct + ` "hops=307"`},
	} {
		c := s.client(t)
		var r *authtest.Response
		if test.method == "GET" {
			r = c.Get(test.path)
		} else {
			r = c.Post(test.path, form("a", "b"))
		}
		if got := c.Follow(r).Text; got != test.want {
			t.Errorf("%s %s leads to\n%s, not\n%s", test.method, test.path, got, test.want)
		}
	}

	for _, elsewhere := range []string{"https://other.example/", "http://app.example/", "//other.example/", "mailto:a@b.example", ""} {
		c := s.client(t)
		r := c.Get("/to/303/?" + form("at", elsewhere).Encode())
		if got := c.Follow(r); got != r {
			t.Errorf("%q leads to %s", elsewhere, got.Request.URL)
		}
	}

	n := 0
	s.mux.HandleFunc("/round/", func(w http.ResponseWriter, _ *http.Request) {
		if n++; n == 11 {
			return
		}
		w.Header().Set("Location", "/round/")
		w.WriteHeader(http.StatusFound)
	})
	c := s.client(t)
	want(t, c.Follow(c.Get("/round/")), http.StatusOK, "")
	n = 100
	wantFatal(t, func(t testing.TB) {
		c := s.client(t)
		c.Follow(c.Get("/round/"))
	}, "more than ten redirects", "/round/")
}

// A handler sees the same request as from a server.
func TestRequests(t *testing.T) {
	s := newSite(t, nil)
	var seen *http.Request
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r })
	c := authtest.NewClient(t, s.Core, handler)

	c.Get("/a%2Fb?c=d#e")
	if seen.RequestURI != "/a%2Fb?c=d" || seen.URL.String() != seen.RequestURI || seen.URL.Path != "/a/b" || seen.Host != "app.example" || seen.Body == nil {
		t.Errorf("GET is %+v", seen)
	}
	for name, value := range map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Origin": "", "Content-Type": ""} {
		if got := seen.Header.Get(name); got != value {
			t.Errorf("GET has %s %q", name, got)
		}
	}
	if !strings.HasPrefix(seen.Header.Get("Accept"), "text/html") {
		t.Errorf("GET accepts %q", seen.Header.Get("Accept"))
	}

	c.Post("/", form("a", "b c"))
	if seen.PostFormValue("a") != "b c" || seen.ContentLength != 5 || seen.Header.Get("Origin") != origin {
		t.Errorf("POST is %+v", seen)
	}

	r := httptest.NewRequest(http.MethodPut, "http://app.example/x", strings.NewReader("text")) // the Host does not matter
	r.URL.Scheme, r.URL.Host = "", ""
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "me")
	r.Header.Set("Cookie", "own=1")
	r.Host = "other.example"
	c.Do(r)
	body, err := io.ReadAll(seen.Body)
	check(t, err)
	if string(body) != "text" || seen.Method != http.MethodPut || seen.Host != "app.example" || seen.UserAgent() != "me" ||
		seen.Header.Get("Accept") != "application/json" || seen.Header.Get("Cookie") != "own=1" || seen.Header.Get("Sec-Fetch-Site") != "same-origin" {
		t.Errorf("PUT is %+v", seen)
	}
	if len(r.Header) != 3 || r.URL.Host != "" || r.Host != "other.example" {
		t.Errorf("the request has been changed to %+v", r)
	}

	c.Do(&http.Request{Method: http.MethodGet, URL: r.URL})
	if seen.UserAgent() != c.UserAgent {
		t.Errorf("a request without a header is %+v", seen)
	}
}

// The client does not overwrite a request's own Origin and Sec-Fetch-Site.
func TestCrossOrigin(t *testing.T) {
	s := newSite(t, nil)
	for header, status := range map[string]int{
		"Origin: https://evil.example": http.StatusForbidden,
		"Sec-Fetch-Site: cross-site":   http.StatusForbidden,
		"Origin: " + origin:            http.StatusOK,
		"Sec-Fetch-Site: same-origin":  http.StatusOK,
		"X-Nothing: at all":            http.StatusOK,
	} {
		r := httptest.NewRequest(http.MethodPost, "/who", nil)
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
		if got := s.client(t).Do(r); got.StatusCode != status {
			t.Errorf("%s is answered with %s", header, got.Status)
		}
	}
}

func TestNotAPage(t *testing.T) {
	s := newSite(t, nil)
	for _, path := range []string{"https://other.example/", "http://app.example/", "//other.example/", "who", "mailto:a@b.example", "/%zz", "\x00"} {
		wantFatal(t, func(t testing.TB) { s.client(t).Get(path) }, "authtest: ")
	}
	want(t, s.client(t).Get(""), http.StatusNotFound, "")
}

func TestResponses(t *testing.T) {
	s := newSite(t, nil)
	s.mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</x.css>")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, " text\n")
	})
	c := s.client(t)
	r := c.Get("/text")
	body, err := io.ReadAll(r.Body)
	check(t, err)
	if r.StatusCode != http.StatusOK || r.Text != " text\n" || string(body) != r.Text || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("got %+v", r)
	}
	r = c.Do(httptest.NewRequest(http.MethodHead, "/text", nil))
	if r.StatusCode != http.StatusOK || r.Text != "" {
		t.Errorf("HEAD got %+v", r)
	}
}

// brokenBody returns an error when it is read.
type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("torn") }

func TestBrokenBody(t *testing.T) {
	s := newSite(t, nil)
	wantFatal(t, func(t testing.TB) {
		s.client(t).Do(httptest.NewRequest(http.MethodPost, "/who", brokenBody{}))
	}, "torn")
}

func TestClientForManyGoroutines(t *testing.T) {
	s := newSite(t, nil)
	susan := s.create(t, "susan", "")
	s.mux.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		s.SessionData().Put(r.Context(), r.FormValue("n"), true)
		http.SetCookie(w, &http.Cookie{Name: "n" + r.FormValue("n"), Value: "1", Path: "/"})
	})
	c := s.client(t)
	c.Login(susan, auth.Remember(true))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			want(t, c.Get("/guarded"), http.StatusOK, "susan")
			want(t, c.Post("/count", form("n", fmt.Sprint(i))), http.StatusOK, "")
			want(t, c.Follow(c.Get("/guarded")), http.StatusOK, "susan")
			_ = c.Cookies()
		})
	}
	wg.Wait()
	if n := len(c.Cookies()); n != 22 {
		t.Errorf("there are %d cookies: %v", n, c.Cookies())
	}
	for range 20 { // concurrent logins; any of the users may be the result
		wg.Go(c.Restart)
		wg.Go(func() { want(t, c.Get("/who"), http.StatusOK, "") })
	}
	wg.Wait()
}

// A user with a second factor is logged in by auth.By, and by totp.Code through the pages.
func TestClientLoginWithAFactor(t *testing.T) {
	var factors []auth.Factor
	s := newSite(t, func(cfg *auth.Config) {
		factors = []auth.Factor{totp.New(), totp.RecoveryCodes()}
		cfg.Factors = factors
	})
	s.mux.Handle("/second", s.Require(auth.SecondFactor())(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	u := s.create(t, "susan", password)
	a := u.Clone()
	a.EmailVerified = true
	check(t, s.store.UpdateAccount(t.Context(), a))
	var secret string
	s.mux.HandleFunc("/setup", func(_ http.ResponseWriter, r *http.Request) {
		setup, err := s.BeginFactor(r.Context(), "totp")
		check(t, err)
		secret = setup.Secret.Reveal()
		code, err := totp.Code(secret, s.clock.Now())
		check(t, err)
		check(t, s.EnrollFactor(r.Context(), "totp", url.Values{"code": {code}}))
	})
	c := s.client(t)
	c.Login(s.user(t, "susan"))
	c.Get("/setup")

	c = s.client(t)
	c.Login(s.user(t, "susan"), auth.By("totp"))
	if r := c.Get("/second"); r.StatusCode != http.StatusOK {
		t.Errorf("auth.By: %s", r.Status)
	}
	c = s.client(t)
	r := c.Follow(c.Post("/login", url.Values{"login": {"susan"}, "password": {password}}))
	if r.StatusCode != http.StatusOK || !strings.Contains(r.Text, "Code from your authenticator app") {
		t.Fatalf("the password leads to %s", r.Status)
	}
	s.clock.Advance(30 * time.Second) // the code of the setup is used
	code, err := totp.Code(secret, s.clock.Now())
	check(t, err)
	c.Post("/login/verify", url.Values{"code": {code}})
	if r := c.Get("/second"); r.StatusCode != http.StatusOK {
		t.Errorf("by the code: %s", r.Status)
	}
}
