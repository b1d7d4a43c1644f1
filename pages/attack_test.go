package pages_test

import (
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

// wantHeaders checks what every answer but the stylesheet has.
func wantHeaders(t *testing.T, what string, r response) {
	t.Helper()
	referrer := "same-origin"
	if strings.Contains(what, "token=") {
		referrer = "no-referrer"
	}
	for name, want := range map[string]string{
		"Content-Security-Policy":      "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              referrer,
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                "no-store",
		"Access-Control-Allow-Origin":  "",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %d: %s is %q", what, r.status, name, got)
		}
	}
	if kind := r.header.Get("Content-Type"); kind != "text/html; charset=utf-8" && kind != "text/plain; charset=utf-8" {
		t.Errorf("%s: %d: Content-Type is %q", what, r.status, kind)
	}
}

// TestHeaders asks for every route in every way, and for what is no route.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	visitor, user := s.client(), s.user("susan", good)
	seen := map[int]bool{}
	for _, c := range []*client{visitor, user} {
		for _, path := range append(s.pages.Paths(), "/nowhere", "/login/", "/Login", "/account/x", "/auth.css/", "/account/email?token=x") {
			if path == "/auth.css" {
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

func TestMethods(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	for path, allow := range map[string]string{
		"/register": "GET, HEAD, POST", "/login": "GET, HEAD, POST", "/logout": "POST",
		"/forgot-password": "GET, HEAD, POST", "/reset-password": "GET, HEAD, POST",
		"/account": "GET, HEAD", "/account/password": "GET, HEAD, POST", "/account/sessions": "GET, HEAD, POST",
		"/verify-email": "GET, HEAD, POST", "/account/email": "GET, HEAD, POST", "/undo-email": "GET, HEAD, POST", "/account/close": "GET, HEAD, POST",
		"/refresh": "GET, HEAD, POST", "/auth.css": "GET, HEAD",
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

// TestHead: neither it nor a page that is not there takes a message away.
func TestHead(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	wantRedirect(t, c.post("/forgot-password", "email", "susan@example.com"), "/login")
	wantStatus(t, c.do("HEAD", "/login", ""), 200)
	wantStatus(t, c.get("/favicon.ico"), 404)
	message(t, c.get("/login"))
}

// TestHostileNext has the values of the mission's section 3.5, and some more.
func TestHostileNext(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, next := range []string{
		"///evil.com", `/\evil.com`, `\\evil.com`, `\/evil.com`, "https:evil.com", "https:/evil.com", "https:///evil.com",
		"javascript:alert(1)", "mailto:x@y", "evil.com", "/\t/evil.com", "/\r\n/evil.com", "//evil.com", " //evil.com",
		"http://evil.com", `//evil.com\@localhost`, `/x/../\evil.com`, `/./\evil.com`, "/%zz", "/\x00", s.url + "/mine", "",
		"/" + strings.Repeat("a", 10_000), "/é",
	} {
		for _, c := range []struct {
			r    response
			want string
		}{
			{s.client().get("/login?next=" + url.QueryEscape(next)), ""},
			{s.client().post("/login", "login", "susan", "password", "", "next", next), ""},
			{s.client().post("/login?next=/mine", "login", "susan", "password", "", "next", next), ""},
			{s.client().get("/register?next=" + url.QueryEscape(next)), ""},
		} {
			if n := all(parse(t, c.r), with("name", "next")); len(n) > 0 {
				t.Errorf("%q is carried", next)
			}
			if strings.Contains(c.r.body, "evil") {
				t.Errorf("%q is in the page", next)
			}
		}
	}
	for _, next := range []string{"//evil.com", `/./\evil.com`, "https://evil.com/x"} {
		wantRedirect(t, s.client().post("/login", "login", "susan", "password", good, "next", next), "/")
		wantRedirect(t, s.client().post("/login?next="+url.QueryEscape(next), "login", "susan", "password", good), "/")
	}
	// Escapes stay as they are.
	wantRedirect(t, s.client().post("/login", "login", "susan", "password", good, "next", "/%09/evil.com"), "/%09/evil.com")
}

// TestXSS puts markup into every field that is shown again, and more.
func TestXSS(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Fields = []pages.Field{{Name: "name", Label: "Full <name>", Autocomplete: "name"}}
		c.Site = "<b>Site</b>"
		c.Texts.Registered = "<b>Welcome</b>"
		c.MaxUsername = 64
	})
	susan := s.user("susan", good)
	for _, evil := range []string{
		`<script>alert(1)</script>`, `"><script>alert(1)</script>`, `' onfocus='alert(1)`, `" autofocus onfocus="alert(1)`,
		`<svg onload=alert(1)>`, `{{.}}`, "`${alert(1)}`", "\x00<script>", "\xff<script>", "</title><script>",
	} {
		for _, r := range []response{
			s.client().post("/login", "login", evil, "next", "/"+evil, "remember_me", evil),
			s.client().post("/register", "username", evil, "email", evil, "password", evil, "confirm_password", "x"+evil, "name", evil, "next", evil),
			s.client().post("/forgot-password", "email", evil),
			s.client().post("/verify-email", "email", evil, "next", "/"+evil),
			susan.post("/account/email", "email", evil),
			s.client().get("/login?next=" + url.QueryEscape("/"+evil) + "&login=" + url.QueryEscape(evil)),
			s.client().get("/" + url.PathEscape(evil)),
		} {
			accessible(t, r) // has no script, no handler, one autofocus
			if strings.Contains(r.body, "<svg") || strings.Contains(r.body, "<script") || strings.Contains(r.body, "<b>") {
				t.Errorf("%q is in the page:\n%s", evil, r.body)
			}
		}
		if evil != "\x00<script>" && evil != "\xff<script>" {
			if got := fields(t, s.client().post("/login", "login", evil))["login"].value; got != evil {
				t.Errorf("typed %q and got %q", evil, got)
			}
		}
	}
	// A name that is one: what it shows is what was typed.
	c := s.client()
	wantRedirect(t, c.post("/register", "username", "<b>x</b>", "email", "b@example.com", "password", good, "confirm_password", good), "/login")
	wantRedirect(t, s.client().post("/verify-email", "email", "b@example.com"), "/verify-email")
	visitor := s.client()
	wantRedirect(t, visitor.get(s.mailed(auth.MailVerify, "b@example.com")), "/verify-email")
	if r := visitor.get("/verify-email"); strings.Contains(r.body, "<b>") || !strings.Contains(text(only(t, parse(t, r), tag("main"))), "<b>x</b>") {
		t.Error(r.body)
	}
	r := c.get("/login")
	if _, text := message(t, r); text != "<b>Welcome</b>" {
		t.Error(text)
	}
	r = s.user("<b>x</b>", good).get("/account")
	if main := text(only(t, parse(t, r), tag("main"))); strings.Contains(r.body, "<b>") || !strings.Contains(main, "<b>x</b>") {
		t.Error(main)
	}
}

// TestQuery: credentials are not read from it, and it breaks nothing (F11).
func TestQuery(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const required = "This field is required."
	login := "?" + url.Values{"login": {"susan"}, "password": {good}}.Encode()
	wantErrors(t, s.client().post("/login"+login), map[string]string{"login": required, "password": required})
	wantErrors(t, s.client().post("/login"+login, "login", "susan"), map[string]string{"password": required})
	wantErrors(t, s.client().post("/forgot-password?email=susan%40example.com"), map[string]string{"email": required})
	register := "?" + url.Values{"username": {"anna"}, "email": {"a@example.com"}, "password": {good}, "confirm_password": {good}}.Encode()
	wantErrors(t, s.client().post("/register"+register), map[string]string{
		"username": required, "email": required, "password": required, "confirm_password": required,
	})
	c := s.user("susan", good)
	password := "?" + url.Values{"current_password": {good}, "password": {other}, "confirm_password": {other}}.Encode()
	wantErrors(t, c.post("/account/password"+password), map[string]string{
		"current_password": required, "password": required, "confirm_password": required,
	})
	for _, query := range []string{"?a=%zz", "?a;b", "?%", "?next=%zz", "?login=other&password=wrong"} {
		wantRedirect(t, s.client().post("/login"+query, "login", "susan", "password", good), "/")
		wantStatus(t, s.client().get("/login"+query), 200)
	}
	// The first of several is the one.
	wantRedirect(t, s.client().post("/login", "login", "susan", "login", "other", "password", good, "password", "wrong", "next", "/mine", "next", "/"), "/mine")
	wantStatus(t, s.client().post("/login", "login", "other", "login", "susan", "password", good), 422)
}

func TestBody(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	form := "login=susan&password=" + url.QueryEscape(good) + "&x="
	wantRedirect(t, s.client().do("POST", "/login", form+strings.Repeat("a", 64<<10-len(form))), "/")
	for _, body := range []string{form + strings.Repeat("a", 64<<10-len(form)+1), strings.Repeat("&", 1<<20)} {
		r := c.do("POST", "/login", body)
		wantStatus(t, r, 413)
		accessible(t, r)
	}
	for _, body := range []string{"login=susan&password=%zz", "login=susan;password=x", strings.Repeat("a&", 30_000)} {
		r := c.do("POST", "/login", body)
		wantStatus(t, r, 400)
		accessible(t, r)
	}
	if c.loggedIn() {
		t.Error("logged in")
	}
}

// TestText: what is not text is a mistake in a field, or simply wrong.
func TestText(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Fields = []pages.Field{{Name: "name", Label: "Name", Autocomplete: "name"}}
	})
	for _, text := range []string{"a\x00b", "a\xffb", "\xed\xa0\x80"} {
		r := s.client().post("/register", "username", "anna", "email", "anna@example.com", "name", text, "password", good, "confirm_password", good)
		wantErrors(t, r, map[string]string{"name": "This has characters that are not text."})
		wantStatus(t, s.client().post("/login", "login", text, "password", text), 422)
	}
	for _, name := range []string{`' OR 1=1 --`, "susan'--", "%", "_____", strings.Repeat("a", 20_000), strings.Repeat("ä", 3_000)} {
		wantStatus(t, s.client().post("/login", "login", name, "password", name), 422)
		wantStatus(t, s.client().post("/register", "username", name, "email", name, "password", good, "confirm_password", good), 422)
	}
}

// TestCrossSite: there is no hidden token, and what a page of another site
// sends does nothing all the same (S92).
func TestCrossSite(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.user("susan", good)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
	} {
		for path, form := range map[string]string{
			"/logout": "", "/login": "login=susan&password=" + good,
			"/register": "username=anna&email=anna%40example.com&password=" + good + "&confirm_password=" + good, "/forgot-password": "email=susan%40example.com",
			"/refresh": "password=" + good, "/account/sessions": "others=1", "/account/close": "confirm=y&current_password=" + good,
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

// TestCookies looks at all that are set, with an https BaseURL.
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
	for _, name := range []string{"visitor", "flash", "browser", "remember", "reset", "verify", "email", "undo"} {
		want["__Host-session-"+name] = true
	}
	if len(jar) > 2 { // of the message, and of the browser
		t.Errorf("left are %v", jar)
	}
	delete(names, "__Host-session-visitor") // which is removed
	delete(want, "__Host-session-visitor")
	if !maps.Equal(names, want) {
		t.Errorf("the cookies are %v", names)
	}
}

// TestOutside: without LoadAndSave nothing works, and the log says why.
func TestOutside(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, path := range append(s.pages.Paths(), "/nowhere") {
		for _, method := range []string{"GET", "POST"} {
			if path == "/auth.css" {
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

func TestStylesheet(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	target := attr(only(t, parse(t, c.get("/login")), tag("link")), "href")
	r := c.get(target)
	wantStatus(t, r, 200)
	if r.header.Get("Content-Type") != "text/css; charset=utf-8" || r.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("%v", r.header)
	}
	if r.header.Get("X-Content-Type-Options") != "nosniff" || len(c.sent) > 0 {
		t.Errorf("%v", r.header)
	}
	if !strings.Contains(r.body, "prefers-color-scheme") || strings.Contains(r.body, "url(") || strings.Contains(r.body, "@import") {
		t.Error("not the stylesheet")
	}
	wantStatus(t, c.do("GET", target, "", "If-None-Match", r.header.Get("ETag")), 304)
	for _, target := range []string{"/auth.css", "/auth.css?v=old"} {
		if r := c.get(target); r.status != 200 || r.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%d %v", r.status, r.header)
		}
	}
}
