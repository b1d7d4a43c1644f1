package pages_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// elsewhere sets the URL of a page in auth.Config to a page of the application.
var elsewhere = map[string]func(*auth.URLs, string){
	"/login":              func(u *auth.URLs, to string) { u.Login = to },
	"/refresh":            func(u *auth.URLs, to string) { u.Refresh = to },
	"/login/verify":       func(u *auth.URLs, to string) { u.Factor = to },
	"/login/code":         func(u *auth.URLs, to string) { u.LoginCode = to },
	"/verify-email":       func(u *auth.URLs, to string) { u.Verify = to },
	"/forgot-password":    func(u *auth.URLs, to string) { u.Forgot = to },
	"/reset-password":     func(u *auth.URLs, to string) { u.Reset = to },
	"/account/email":      func(u *auth.URLs, to string) { u.EmailChange = to },
	"/undo-email":         func(u *auth.URLs, to string) { u.EmailUndo = to },
	"/account/two-factor": func(u *auth.URLs, to string) { u.TwoFactor = to },
}

// leaves reports whether HTML has a link to a path, or one to nowhere.
func leaves(html, path string) string {
	return regexp.MustCompile(`(href|action|value)="` + regexp.QuoteMeta(path) + `([?#][^"]*)?"|(href|action)="(\?[^"]*)?"`).FindString(html)
}

// TestWithout: every page can be left out, or the error says why not. Nothing is left of it: it
// is 404 for browsers and programs, and no page and no mail has a link to it.
func TestWithout(t *testing.T) {
	t.Parallel()
	free := []string{"/login", "/register", "/account", "/account/password", "/account/email", "/account/sessions", "/account/close", "/account/identities", "/.well-known/change-password"}
	stays := map[string]string{
		"/logout": "button", "/check-inbox": "forms", "/login/passkey": "PasskeyFactor", "/account/passkeys": "PasskeyFactor", "/passkey.js": "PasskeyFactor",
		"/account/recovery-codes": "BackupFactor", "/stop-impersonating": "Impersonation", "/auth.css": "load", "/auth.js": "load", "/openapi.json": "OpenAPI",
	}
	whole := newSite(t, withAll)
	samples := whole.pages.Samples() // some of which have a link to nowhere, as samples
	for _, path := range whole.pages.Paths() {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			set, named := elsewhere[path]
			if err := without(path); slices.Contains(free, path) {
				check(t, err)
			} else if reason := stays[path]; err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), reason) || named && !strings.Contains(err.Error(), "URLs.") {
				t.Fatalf("the error is %v", err)
			} else if !named {
				return
			}
			s := newSite(t, func(a *auth.Config, c *pages.Config) {
				withAll(a, c)
				c.Without = []string{path}
				if path == "/reset-password" {
					c.Without = append(c.Without, "/undo-email")
					a.URLs.EmailUndo = "/undo-elsewhere"
				}
				if named && path != "/account/email" {
					set(&a.URLs, "/elsewhere")
				}
			})
			provide(t, s.manager.Core)
			wantGone(t, s, path, samples)
		})
	}
}

// TestOwnLoginPage: the application's login page may have the path of ours.
func TestOwnLoginPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Without = []string{"/login"} })
	if slices.Contains(s.pages.Paths(), "/login") {
		t.Error("the pages have a login page, too")
	}
	if to := link(t, s.client().get("/register"), "Log in"); to != "/login" {
		t.Errorf("the link leads to %q", to)
	}
}

// without returns the error of New for a page that is left out.
func without(paths ...string) error {
	a, c := auth.Config{Mailer: &site{}}, pages.Config{Without: paths}
	withAll(&a, &c)
	_, err := pages.New(newManager(a).Core, c)
	return err
}

// wantGone looks for a page that is left out. whole are the samples of the pages with nothing
// left out.
func wantGone(t *testing.T, s *site, path string, whole map[string]string) {
	t.Helper()
	mux := http.NewServeMux()
	s.pages.Mount(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the application's own", http.StatusNotFound)
	})
	for _, method := range []string{"GET", "POST"} {
		for _, accept := range []string{"text/html", "application/json"} {
			w, r := httptest.NewRecorder(), httptest.NewRequest(method, path, nil)
			r.Header.Set("Accept", accept)
			s.manager.LoadAndSave(mux).ServeHTTP(w, r)
			if w.Code != 404 || !strings.Contains(w.Body.String(), "the application's own") {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
	for name, html := range s.pages.Samples() {
		if left := leaves(html, path); left != "" && (strings.Contains(left, path) || !strings.Contains(whole[name], left)) {
			t.Errorf("the sample %s has %s", name, left)
		}
	}
	if strings.Contains(string(s.pages.OpenAPI()), `"`+path+`"`) {
		t.Error("the OpenAPI document has it")
	}

	look := func(what string, r response) {
		t.Helper()
		if left := leaves(r.body, path); left != "" || strings.Contains(r.body, `"`+path+`"`) || pathOnly(r.location) == path || r.status >= 500 {
			t.Errorf("%s: %d to %q has %s", what, r.status, r.location, left)
		}
	}
	visitor := s.client()
	if !slices.Contains(s.pages.Paths(), "/login") {
		return // its users log in at the application's page
	}
	user := s.user("susan", good)
	for _, c := range []*client{visitor, user} {
		for _, page := range s.pages.Paths() {
			if page == "/.well-known/change-password" || isAsset(page) {
				continue
			}
			for _, accept := range []string{"text/html", "application/json"} {
				look(page, c.do("GET", page, "", "Accept", accept))
				look(page, c.do("GET", page+"?next=/mine", "", "Accept", accept))
			}
		}
	}
	look("another password", user.post("/account/password", "current_password", good, "password", other, "confirm_password", other))
	look("another address", user.post("/account/email", "email", "new@example.com"))
	look("a reset", visitor.post("/forgot-password", "email", "susan@example.com"))
	look("the inbox", visitor.get("/check-inbox"))
	look("a registration", visitor.register("anna"))
	look("a taken address", user.post("/account/email", "email", "anna@example.com"))
	look("verifying", user.post("/verify-email", "email", "anna@example.com"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mails) == 0 {
		t.Error("no mails")
	}
	for _, m := range s.mails {
		if path != "/account/email" && pathOnly(strings.TrimPrefix(m.Link.Reveal(), s.url)) == path {
			t.Errorf("the mail %s links to it", m.Kind)
		}
	}
}

// pathOnly returns a URL without its query.
func pathOnly(url string) string {
	path, _, _ := strings.Cut(url, "?")
	return path
}

// TestWithoutAndElsewhere: if auth.Config has another URL for a page that is left out, links lead there.
func TestWithoutAndElsewhere(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		a.URLs.Forgot, c.Without = "/help", []string{"/forgot-password"}
	})
	if to := link(t, s.client().get("/login"), "Forgot your password?"); to != "/help" {
		t.Errorf("the link leads to %s", to)
	}
}

// TestPaths: a page can have another path, below the prefix.
func TestPaths(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "/auth"} {
		s := newSite(t, func(a *auth.Config, c *pages.Config) {
			c.Prefix = prefix
			c.Paths = map[string]string{"/register": "/sign-up", "/forgot-password": "/help/password", "/account": "/me"}
			a.URLs.Forgot = prefix + "/help/password"
		})
		c := s.client()
		if r := c.get(prefix + "/register"); r.status != 404 {
			t.Errorf("the old path is %d", r.status)
		}
		if to := link(t, c.get(prefix+"/login"), "Create an account"); to != prefix+"/sign-up" {
			t.Errorf("the link leads to %s", to)
		}
		wantRedirect(t, c.post(prefix+"/sign-up", registration("anna", good)...), prefix+"/login")
		wantRedirect(t, c.post(prefix+"/login", "login", "anna", "password", good), "/")
		wantStatus(t, c.get(prefix+"/me"), 200)
		wantRedirect(t, c.post(prefix+"/account/password", "current_password", good, "password", other, "confirm_password", other), prefix+"/me")
		wantRedirect(t, s.client().post(prefix+"/help/password", "email", "anna@example.com"), prefix+"/check-inbox")
	}
}

// TestWrongPaths: New says what is wrong with Without and Paths.
func TestWrongPaths(t *testing.T) {
	t.Parallel()
	type paths = map[string]string
	fields := []pages.Field{{Name: "name", Label: "Name"}}
	for _, test := range []struct {
		auth   auth.Config
		config pages.Config
		want   string
	}{
		{auth.Config{}, pages.Config{Without: []string{"/signup"}}, `"/signup"`},
		{auth.Config{}, pages.Config{Without: []string{""}}, "not the path of a page"},
		{auth.Config{}, pages.Config{Without: []string{"/register", "/register"}}, "twice"},
		{auth.Config{}, pages.Config{Without: []string{"/register"}, Fields: fields}, "Fields"},
		{auth.Config{}, pages.Config{Without: []string{"/login"}}, ""}, // the application's own is there
		{auth.Config{}, pages.Config{Paths: paths{"/signup": "/x"}}, `"/signup"`},
		{auth.Config{}, pages.Config{Paths: paths{"/register": "/x"}, Without: []string{"/register"}}, "one of the two"},
		{auth.Config{}, pages.Config{Paths: paths{"/register": ""}}, "Without"},
		{auth.Config{}, pages.Config{Paths: paths{"/register": "sign-up"}}, "plain path"},
		{auth.Config{}, pages.Config{Paths: paths{"/register": "/a/../b"}}, "plain path"},
		{auth.Config{}, pages.Config{Paths: paths{"/account": "/"}}, "plain path"}, // the application's home page
		{auth.Config{}, pages.Config{Paths: paths{"/register": "/account"}}, "would be the path of the pages"},
		{auth.Config{}, pages.Config{Paths: paths{"/login": "/sign-in"}}, "the login page is /sign-in, but URLs.Login"},
		{auth.Config{URLs: auth.URLs{Login: "/sign-in"}}, pages.Config{Paths: paths{"/login": "/sign-in"}}, ""},
		{auth.Config{}, pages.Config{Paths: paths{"/register": "/account", "/account": "/register"}}, ""},
		{auth.Config{}, pages.Config{Paths: paths{"/.well-known/change-password": "/x"}}, "standard"},
		{auth.Config{Mailer: &site{}, URLs: auth.URLs{Reset: "/x"}}, pages.Config{Without: []string{"/reset-password"}}, "/undo-email"},
	} {
		test.auth.BaseURL, test.auth.Secrets = "https://app.example", [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}
		m, err := auth.New(memstore.New[User](), test.auth)
		check(t, err)
		_, err = pages.New(m.Core, test.config)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v %v: the error is %v, want one about %q", test.config.Without, test.config.Paths, err, test.want)
		}
	}
}
