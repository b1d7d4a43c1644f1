package pages_test

import (
	"cmp"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// TestHeaders: every route, and a path that is none, has the security headers for every
// method.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, withFactors)
	visitor, user := s.client(), s.user("susan", good)
	seen := map[int]bool{}
	for _, c := range []*client{visitor, user} {
		for _, path := range append(s.pages.Paths(), "/nowhere", "/login/", "/Login", "/account/x", "/auth.css/", "/account/email?token=x") {
			if isAsset(path) || path == "/.well-known/change-password" {
				continue
			}
			for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "PROPFIND"} {
				what := method + " " + path
				r := c.do(method, path, "")
				wantHeaders(t, what, r)
				seen[r.status] = true
				if method == "HEAD" && r.body != "" {
					t.Errorf("%s has a body", what)
				}
			}
			if path == "/logout" {
				continue
			}
			for _, body := range []string{"", "login=susan&password=x", "a=%zz", strings.Repeat("a", 64<<10+1)} {
				r := c.do("POST", path, body)
				wantHeaders(t, "POST "+path, r)
				seen[r.status] = true
			}
		}
	}
	s.store.fail(errDisk)
	wantHeaders(t, "a store that fails", user.get("/account"))
	s.store.fail(auth.ErrBusy)
	r := visitor.post("/login", "login", "susan", "password", good)
	wantHeaders(t, "busy", r)
	if r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("busy is %d", r.status)
	}
	for _, status := range []int{200, 303, 400, 404, 405, 413, 422} {
		if !seen[status] {
			t.Errorf("no answer was %d", status)
		}
	}
}

// TestReferrerPolicy: no page with a form has no-referrer. Every page at a URL with a
// token has no-referrer and no form.
func TestReferrerPolicy(t *testing.T) {
	t.Parallel()
	for _, mails := range []bool{true, false} {
		s := newSite(t, func(a *auth.Config, _ *pages.Config) {
			withFactors(a, nil)
			if !mails {
				a.Mailer = nil
			}
		})
		linked := []string{"/reset-password", "/verify-email", "/account/email", "/undo-email", "/nowhere"}
		forms := 0
		for _, c := range []*client{s.client(), s.user("susan", good)} {
			for _, path := range append(s.pages.Paths(), linked...) {
				if isAsset(path) || path == "/logout" {
					continue
				}
				targets := []string{path, path + "?next=%2Fmine", path + "?new"}
				for _, linked := range linked {
					if path == linked {
						targets = append(targets, path+"?token=secret", path+"?next=%2F&token=secret", path+"?token=secret;x", path+"?token=%zz",
							path+"?x;token=secret", path+"?%74oken=secret", path+"?token[]=secret", path+"?tokens=")
					}
				}
				for _, target := range targets {
					for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS"} {
						for _, body := range []string{"", "email=x", "login=anna&password=x", "a=%zz", strings.Repeat("a", 64<<10+1)} {
							if body != "" && method != "POST" {
								continue
							}
							r := c.do(method, target, body)
							want := "same-origin"
							if strings.Contains(target, "oken") {
								want = "no-referrer"
							}
							if got := r.header.Get("Referrer-Policy"); got != want {
								t.Errorf("%s %s: %d with %s", method, target, r.status, got)
							}
							if strings.Contains(r.body, "<form") {
								forms++
								if want == "no-referrer" {
									t.Errorf("%s %s: %d has a form", method, target, r.status)
								}
							}
							if want == "no-referrer" && strings.Contains(r.location, "secret") {
								t.Errorf("%s %s leads to %s", method, target, r.location)
							}
						}
					}
				}
			}
		}
		if forms < 50 {
			t.Errorf("only %d answers had a form", forms)
		}
	}
}

// TestFormsWithoutSecFetchSite: all forms work in a browser that does not send Sec-
// Fetch-Site.
func TestFormsWithoutSecFetchSite(t *testing.T) {
	t.Parallel()
	s := newSite(t, requireVerified)
	c := s.client()
	press := func(page, target string, fields ...string) {
		t.Helper()
		r := c.get(page)
		wantStatus(t, r, 200)
		wantRedirect(t, c.safari15(r, fields...), target)
	}
	press("/register", "/check-inbox", "username", "anna", "email", "anna@example.com", "password", good, "confirm_password", good)
	press("/verify-email", "/check-inbox", "email", "anna@example.com")
	wantRedirect(t, c.get(s.mailed(auth.MailVerify, "anna@example.com")), "/verify-email")
	press("/verify-email", "/login")
	press("/login", "/", "login", "anna", "password", good)
	press("/refresh", "/", "password", good)
	press("/account/password", "/account", "current_password", good, "password", other, "confirm_password", other)
	press("/account/email", "/check-inbox", "email", "new@example.com")
	wantRedirect(t, c.get(s.mailed(auth.MailNewAddress, "new@example.com")), "/account/email")
	press("/account/email", "/account")
	wantRedirect(t, c.get(s.mailed(auth.MailAddressChanged, "anna@example.com")), "/undo-email")
	press("/undo-email", "/reset-password")
	press("/reset-password", "/login", "password", good, "confirm_password", good)
	press("/forgot-password", "/check-inbox", "email", "anna@example.com")
	wantRedirect(t, c.get(s.mailed(auth.MailReset, "anna@example.com")), "/reset-password")
	// A form that is shown again can be sent, too.
	again := c.safari15(c.get("/reset-password"), "password", "x")
	wantStatus(t, again, 422)
	wantRedirect(t, c.safari15(again, "password", other, "confirm_password", other), "/login")
	again = c.safari15(c.get("/login"), "login", "anna", "password", good)
	wantStatus(t, again, 422)
	wantRedirect(t, c.safari15(again, "login", "anna", "password", other), "/")
	again = c.post("/login", "login", "susan")
	wantStatus(t, again, 409)
	wantRedirect(t, c.safari15(again), "/login")
	press("/login", "/", "login", "anna", "password", other)
	press("/account/close", "/", "current_password", other, "confirm", "y")

	// Origin: null says nothing about where a form is from.
	r := s.client().do("POST", "/login", urlencoded([]string{"login", "susan", "password", good}), "Origin", "null")
	wantStatus(t, r, 403)
}

func TestMethods(t *testing.T) {
	t.Parallel()
	s := newSite(t, withFactors)
	c := s.client()
	for path, allow := range map[string]string{
		"/register": "GET, HEAD, POST", "/login": "GET, HEAD, POST", "/logout": "POST",
		"/forgot-password": "GET, HEAD, POST", "/reset-password": "GET, HEAD, POST",
		"/account": "GET, HEAD", "/account/password": "GET, HEAD, POST", "/account/sessions": "GET, HEAD, POST",
		"/verify-email": "GET, HEAD, POST", "/account/email": "GET, HEAD, POST", "/undo-email": "GET, HEAD, POST", "/account/close": "GET, HEAD, POST",
		"/refresh": "GET, HEAD, POST", "/login/verify": "GET, HEAD, POST", "/account/two-factor": "GET, HEAD, POST", "/account/recovery-codes": "GET, HEAD, POST", "/auth.css": "GET, HEAD",
		"/login/passkey": "GET, HEAD, POST", "/account/passkeys": "GET, HEAD, POST", "/passkey.js": "GET, HEAD",
	} {
		if !slices.Contains(s.pages.Paths(), path) {
			t.Errorf("Paths has no %s", path)
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			r := c.do(method, path, "")
			allowed := slices.Contains(strings.Split(allow, ", "), method)
			if (r.status == 405) == allowed || !allowed && r.header.Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow: %s", method, path, r.status, r.header.Get("Allow"))
			}
		}
	}
	r := c.get("/logout")
	accessible(t, r)
	if heading(t, r) != "This is not possible here" {
		t.Error(heading(t, r))
	}
	if r = c.get("/nowhere"); heading(t, r) != "Page not found" {
		t.Error(heading(t, r))
	}
	accessible(t, r)
}

// TestHead: neither HEAD nor a page that does not exist removes a message.
func TestHead(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.user("susan", good)
	wantRedirect(t, c.post("/logout"), "/")
	wantStatus(t, c.do("HEAD", "/login", ""), 200)
	wantStatus(t, c.get("/favicon.ico"), 404)
	message(t, c.get("/login"))
}

// TestPrefix: the pages work under a prefix, and their links have it (S82).
func TestPrefix(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"/account-area", "/a/b/"} {
		s := newSite(t, func(a *auth.Config, c *pages.Config) {
			c.Prefix = prefix
			withFactors(a, c)
		})
		below := strings.TrimSuffix(prefix, "/")
		visitor, user := s.client(), s.user("susan", good)
		for _, path := range []string{"/register", "/login", "/forgot-password", "/verify-email", "/account", "/account/password", "/account/email", "/account/sessions", "/account/close", "/account/two-factor", "/account/passkeys", "/refresh"} {
			c := visitor
			if strings.HasPrefix(path, "/account") || path == "/refresh" {
				c = user
			}
			r := c.get(below + path)
			wantStatus(t, r, 200)
			for _, n := range all(parse(t, r), tag("a", "link", "form")) {
				target := attr(n, "href") + attr(n, "action")
				if target == "/" {
					continue
				}
				if !strings.HasPrefix(target, below+"/") {
					t.Errorf("%s leads to %s", path, target)
				} else if n.Data != "form" && user.get(target).status == 404 {
					t.Errorf("%s is nowhere", target)
				}
			}
			wantStatus(t, c.get(path), 404)
		}
		wantRedirect(t, visitor.post(below+"/verify-email", "email", "susan@example.com"), below+"/check-inbox")
		wantRedirect(t, visitor.get(s.mailed(auth.MailVerify, "susan@example.com")), below+"/verify-email")
		wantRedirect(t, visitor.press(below+"/verify-email"), below+"/login")
		user = s.user("susan", good)
		wantRedirect(t, user.press(below+"/account/email", "email", "new@example.com"), below+"/check-inbox")
		wantRedirect(t, user.get(s.mailed(auth.MailNewAddress, "new@example.com")), below+"/account/email")
		wantRedirect(t, user.press(below+"/account/email"), below+"/account")
		wantRedirect(t, visitor.get(s.mailed(auth.MailAddressChanged, "susan@example.com")), below+"/undo-email")
		wantStatus(t, visitor.get(below+"/undo-email"), 200)
		wantRedirect(t, user.post(below+"/logout"), "/")
		link := s.link("new@example.com")
		if !strings.HasPrefix(link, below+"/reset-password?token=") {
			t.Errorf("the mailed link is %s", link)
		}
		wantRedirect(t, visitor.get(link), below+"/reset-password")
		wantStatus(t, visitor.get(below+"/reset-password"), 200)
		wantRedirect(t, visitor.post(below+"/register", "username", "anna", "email", "anna@example.com", "password", good, "confirm_password", good), below+"/login")
	}
}

// TestNoMailer: without a Mailer there are no pages that need mails.
func TestNoMailer(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.Mailer = nil })
	c := s.client()
	wantStatus(t, c.get("/forgot-password"), 404)
	wantStatus(t, c.get("/reset-password"), 404)
	wantStatus(t, c.post("/reset-password"), 404)
	for _, path := range []string{"/verify-email", "/account/email", "/undo-email"} {
		wantStatus(t, c.get(path), 404)
		wantStatus(t, c.post(path), 404)
	}
	user := s.user("susan", good)
	if main := text(only(t, parse(t, user.get("/account")), tag("main"))); strings.Contains(main, "verified") || strings.Contains(main, "Email Change") {
		t.Errorf("the account page says %q", main)
	}
	wantRedirect(t, user.press("/account/close", "current_password", good, "confirm", "y"), "/")
	if strings.Contains(c.get("/login").body, "Forgot") {
		t.Error("there is a link to it")
	}
}

// TestCrossSite: the forms have no hidden token, and requests that a page of another
// site sends still do nothing (S92).
func TestCrossSite(t *testing.T) {
	t.Parallel()
	s := newSite(t, withFactors)
	c := s.user("susan", good)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
	} {
		for path, form := range map[string]string{
			"/logout": "", "/login": "login=susan&password=" + good,
			"/register": "username=anna&email=anna%40example.com&password=" + good + "&confirm_password=" + good, "/forgot-password": "email=susan%40example.com",
			"/refresh": "password=" + good, "/account/sessions": "others=1", "/account/close": "confirm=y&current_password=" + good,
			"/login/passkey": "passkey=1", "/account/passkeys": "remove_password=1",
			"/login/verify": "code=1", "/account/two-factor": "remove=totp", "/account/recovery-codes": "",
			"/verify-email": "email=susan%40example.com", "/account/email": "email=new%40example.com", "/undo-email": "",
			"/account/password": "current_password=" + good + "&password=" + other + "&confirm_password=" + other,
		} {
			for _, client := range []*client{c, s.client()} {
				before := len(client.sent)
				if r := client.do("POST", path, form, headers...); r.status != 403 || len(client.sent) != before {
					t.Errorf("%s with %v is %d", path, headers, r.status)
				}
			}
		}
	}
	if !c.loggedIn() || len(s.mails) > 0 {
		t.Error("something was done")
	}
	// A browser that says where the request comes from may hide its Origin.
	wantRedirect(t, c.post("/logout"), "/")
	wantRedirect(t, c.get(s.link("susan@example.com")), "/reset-password")
	wantRedirect(t, c.do("POST", "/reset-password", url.Values{"password": {other}, "confirm_password": {other}}.Encode(),
		"Origin", "null", "Sec-Fetch-Site", "same-origin"), "/login")
}

// TestCookies: all cookies have the right attributes with an https BaseURL.
func TestCookies(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	cfg := config(s)
	cfg.BaseURL = "https://app.example"
	manager, err := auth.New(s.store, cfg)
	check(t, err)
	p, err := pages.New(manager.Core, pages.Config{SampleUser: &User{}})
	check(t, err)
	handler := manager.LoadAndSave(p)
	jar, names := map[string]*http.Cookie{}, map[string]bool{}
	do := func(method, target string, form url.Values) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, cookie := range jar {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		answer := w.Result()
		for _, cookie := range answer.Cookies() {
			names[cookie.Name] = true
			jar[cookie.Name] = cookie
			if cookie.MaxAge < 0 {
				delete(jar, cookie.Name)
			}
			if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" ||
				cookie.Domain != "" || cookie.SameSite != http.SameSiteLaxMode || len(cookie.Name)+len(cookie.Value) > 4096 {
				t.Errorf("%s %s sets %v", method, target, cookie)
			}
		}
		return answer
	}
	open := func() {
		link, _ := strings.CutPrefix(s.mails[len(s.mails)-1].Link.Reveal(), "https://app.example")
		do("GET", link, nil)
	}
	do("POST", "/verify-email", url.Values{"email": {"susan@example.com"}})
	open()
	do("POST", "/verify-email", nil)
	do("GET", "/login", nil)
	do("POST", "/login", url.Values{"login": {"susan"}, "password": {good}})
	do("POST", "/account/email", url.Values{"email": {"new@example.com"}})
	open()
	do("POST", "/account/email", nil)
	open()
	do("POST", "/undo-email", nil)
	do("POST", "/forgot-password", url.Values{"email": {"susan@example.com"}})
	open()
	do("POST", "/reset-password", url.Values{"password": {other}, "confirm_password": {other}})
	do("POST", "/login", url.Values{"login": {"susan"}, "password": {other}, "remember_me": {"y"}})
	do("POST", "/account/password", url.Values{"current_password": {other}, "password": {good}, "confirm_password": {good}})
	do("POST", "/account/close", url.Values{"current_password": {good}, "confirm": {"y"}})
	want := map[string]bool{"__Host-session": true}
	for _, name := range []string{"visitor", "flash", "browser", "remember", "reset", "verify", "email", "undo", "inbox", "login"} {
		want["__Host-session-"+name] = true
	}
	if len(jar) > 3 { // of the message, of the browser, and of the inbox page
		t.Errorf("left are %v", jar)
	}
	delete(names, "__Host-session-visitor") // which is removed
	delete(want, "__Host-session-visitor")
	if !maps.Equal(names, want) {
		t.Errorf("the cookies are %v", names)
	}
}

// TestOutside: outside LoadAndSave nothing works, and the log says why.
func TestOutside(t *testing.T) {
	t.Parallel()
	s := newSite(t, withFactors)
	for _, path := range append(s.pages.Paths(), "/nowhere") {
		for _, method := range []string{"GET", "POST"} {
			if isAsset(path) || path == "/.well-known/change-password" {
				continue
			}
			r, err := http.NewRequestWithContext(t.Context(), method, path, nil)
			check(t, err)
			w := httptest.NewRecorder()
			s.pages.ServeHTTP(w, r)
			if w.Code != 500 {
				t.Errorf("%s %s is %d", method, path, w.Code)
			}
		}
	}
	if !strings.Contains(s.log(), "auth: not inside LoadAndSave") {
		t.Error("the log says nothing")
	}
}

// TestMount: the pages stand beside any home page, whatever its pattern is, and answer methods
// that they do not have.
func TestMount(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	provide(t, s.manager.Core)
	for _, home := range []string{"/", "GET /", "GET /{$}", "GET /{name}", "/{name...}"} {
		mux := http.NewServeMux()
		s.pages.Mount(mux)
		mux.HandleFunc(home, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "home") })
		server := httptest.NewServer(s.manager.LoadAndSave(mux))
		t.Cleanup(server.Close)
		c := s.client()
		c.base = server.URL
		for _, path := range s.pages.Paths() {
			if r := c.do("DELETE", path, ""); r.status != 405 || !strings.Contains(r.body, "<title>This is not possible here") {
				t.Errorf("beside %s, %s is %d", home, path, r.status)
			}
		}
		wantStatus(t, c.get("/login"), 200)
		wantStatus(t, c.do("HEAD", "/login", ""), 200)
		wantStatus(t, c.post("/login"), 422)
		path := map[string]string{"GET /{name}": "/about"}[home]
		if r := c.get(cmp.Or(path, "/")); r.body != "home" {
			t.Errorf("%s is %d %q", home, r.status, r.body)
		}
		if home == "GET /{$}" {
			mux.Handle("/", s.pages)
			if r := c.get("/nothing"); r.status != 404 || !strings.Contains(r.body, "<title>Page not found") {
				t.Errorf("an unknown path is %d %s", r.status, r.body)
			}
		}
	}
}
