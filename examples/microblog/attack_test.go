package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// crossSite has the headers of requests that a page of another site makes a
// browser send.
var crossSite = map[string][]string{
	"cross-site":         {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
	"same-site":          {"Sec-Fetch-Site", "same-site"},
	"only site":          {"Sec-Fetch-Site", "cross-site"},
	"old browser":        {"Origin", "https://evil.example"},
	"null origin":        {"Origin", "null"},
	"null, cross-site":   {"Sec-Fetch-Site", "cross-site", "Origin", "null"},
	"another port":       {"Origin", "http://127.0.0.1:1"},
	"https for http":     {"Origin", "https://HOST"},
	"forged host header": {"Origin", "https://evil.example", "X-Forwarded-Host", "evil.example"},
}

// TestCrossSite checks S19, S55, S92, S119: the protection that a hidden token
// would give.
func TestCrossSite(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	user := s.client()
	user.login("susan", "cat")
	records, hashes := s.count("auth_records"), s.app.manager.PasswordHashes()
	for name, headers := range crossSite {
		for i := range headers {
			headers[i] = strings.Replace(headers[i], "HOST", strings.TrimPrefix(s.url, "http://"), 1)
		}
		stranger := s.client()
		for _, r := range []response{
			stranger.post("/login", credentials("susan", "cat"), headers...),
			stranger.post("/register", registration("anna", "anna@example.com", good, good), headers...),
			stranger.post("/logout", nil, headers...),
			user.post("/logout", nil, headers...),
			user.post("/login", credentials("susan", "cat"), headers...),
		} {
			wantStatus(t, r, http.StatusForbidden)
			if len(r.header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s: a cookie is set", name)
			}
		}
		if stranger.loggedIn() || !user.loggedIn() {
			t.Errorf("%s: somebody was logged in or out", name)
		}
	}
	if u, r, h := s.count("auth_users"), s.count("auth_records"), s.app.manager.PasswordHashes(); u != 1 || r != records || h != hashes {
		t.Errorf("%d users, %d more records, %d passwords hashed", u, r-records, h-hashes)
	}
	// The forms of our own pages are accepted.
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "same-origin", "Origin", s.url},
		{"Origin", s.url},
		{"Sec-Fetch-Site", "none"},
	} {
		c := s.client()
		wantRedirect(t, c.post("/login", credentials("susan", "cat"), headers...), "/")
		wantRedirect(t, c.post("/logout", nil, headers...), "/")
	}
}

// TestOldCookies replays every cookie that the application ever set.
func TestOldCookies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.client()
	for range 3 {
		c.follow(c.login("susan", "dog"))
		c.follow(c.login("susan", "cat"))
		wantRedirect(t, c.post("/login", credentials("susan", "cat")), "/")
		wantRedirect(t, c.post("/logout", nil), "/")
	}
	if len(c.sent) != 9 { // a flash, a session and a known browser each time
		t.Fatalf("got the cookies %q", c.sent)
	}
	for _, cookie := range c.sent {
		replay := s.client()
		r := replay.do(replay.request(http.MethodGet, "/index", nil, "Cookie", cookie))
		wantRedirect(t, r, "/login?next=%2Findex")
		if strings.Contains(cookie, "-flash=") { // a message that waits is enough
			if cookies := r.header.Values("Set-Cookie"); len(cookies) != 0 {
				t.Errorf("the cookies are %q", cookies)
			}
			continue
		}
		wantOnlyMessage(t, r)
	}
	all := s.client()
	wantRedirect(t, all.do(all.request(http.MethodGet, "/", nil, "Cookie", strings.Join(c.sent, "; "))), "/login?next=%2F")
}

// TestNoTrace: anonymous visitors leave nothing in the database.
func TestNoTrace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.client()
	for _, target := range []string{"/login", "/login?next=%2Findex", "/register", "/logout", "/nowhere", "/static/microblog.css"} {
		if r := c.get(target); len(r.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s sets a cookie", target)
		}
	}
	for _, target := range []string{"/", "/index"} {
		wantOnlyMessage(t, s.client().get(target))
	}
	c.login("susan", "dog")
	c.login("nobody", "dog")
	c.post("/register", registration("susan", "x@example.com", good, good))
	c.follow(c.post("/register", registration("anna", "anna@example.com", good, good)))
	c.post("/logout", nil)
	name, _, _ := strings.Cut(s.sessionCookie(), "=")
	for _, value := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("A", 4000)} {
		junk := s.client()
		r := junk.do(junk.request(http.MethodGet, "/index", nil, "Cookie", name+"="+value))
		wantRedirect(t, r, "/login?next=%2Findex")
		wantOnlyMessage(t, r)
	}
	if n := s.leftBehind(); n != 0 {
		t.Errorf("%d records", n)
	}
}

// sessionCookie logs in and out, and returns the session cookie that was set in
// between.
func (s *site) sessionCookie() string {
	s.t.Helper()
	c := s.client()
	wantRedirect(s.t, c.login("susan", "cat"), "/")
	wantRedirect(s.t, c.post("/logout", nil), "/")
	return c.sent[0]
}

// TestReadingSetsNoCookie: a page that only reads sets no cookie, also for a
// logged-in user.
func TestReadingSetsNoCookie(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.client()
	wantRedirect(t, c.login("susan", "cat"), "/")
	for _, target := range []string{"/", "/index", "/login", "/register", "/nowhere"} {
		if r := c.get(target); len(r.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s sets a cookie", target)
		}
	}
}

func TestInjection(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{
		`' OR 1=1 --`, `susan' --`, `susan"--`, `susan'--`, `'/**/OR/**/'1'='1`, "susan\x00", "susan\xff", `%`, `_____`, `susan*`,
		strings.Repeat("a", 60_000),
	} {
		c := s.client()
		wantRedirect(t, c.login(name, "cat"), "/login")
		wantRedirect(t, c.login("susan", name), "/login")
		if c.loggedIn() {
			t.Errorf("%q is logged in", name)
		}
	}
	r := s.client().post("/register", registration(`' OR 1=1 --`, `'or'1'='1@example.com`, good, good))
	wantErrors(t, r, map[string]string{"username": "Invalid username: at most 64 characters, no spaces, no @."})
}

// TestQueryIsNoForm: credentials in the query are ignored (F11).
func TestQueryIsNoForm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.client()
	const required = "This field is required."
	query := "?" + credentials("susan", "cat").Encode()
	wantErrors(t, c.post("/login"+query, url.Values{}), map[string]string{"username": required, "password": required})
	wantErrors(t, c.post("/login"+query, nil), map[string]string{"username": required, "password": required})
	wantErrors(t, c.post("/login"+query, url.Values{"username": {"susan"}}), map[string]string{"password": required})
	r := c.get("/login" + query)
	if f, _ := fieldOf(t, r, "username"); f.attr["value"] != "" {
		t.Error("the query filled in the form")
	}
	query = "?" + registration("anna", "anna@example.com", good, good).Encode()
	wantErrors(t, c.post("/register"+query, url.Values{}), map[string]string{
		"username": required, "email": required, "password": required, "password2": required})
	if c.loggedIn() || s.count("auth_users") != 1 {
		t.Error("the query was taken for the form")
	}
}

func TestLargeBody(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	filled := func(size int) url.Values {
		form := credentials("susan", "cat")
		form.Set("x", "")
		form.Set("x", strings.Repeat("x", size-len(form.Encode())))
		return form
	}
	c := s.client()
	for _, size := range []int{maxBody + 1, 1 << 20} {
		for _, target := range []string{"/login", "/register"} {
			wantStatus(t, c.post(target, filled(size)), http.StatusRequestEntityTooLarge)
			r := c.request(http.MethodPost, target, filled(size))
			r.ContentLength = -1 // chunked
			wantStatus(t, c.do(r), http.StatusRequestEntityTooLarge)
		}
	}
	if c.loggedIn() {
		t.Error("logged in by half a form")
	}
	wantRedirect(t, c.post("/login", filled(maxBody)), "/")
}

func TestMalformedForm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.client()
	for body, status := range map[string]int{
		"username=susan&password=%zz":                   http.StatusBadRequest,
		"username=susan;password=cat":                   http.StatusBadRequest,
		"username=susan&username=x&password=":           http.StatusOK,
		"{\"username\":\"susan\",\"password\":\"cat\"}": http.StatusOK, // one field with a strange name
	} {
		r := c.request(http.MethodPost, "/login", url.Values{})
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		wantStatus(t, c.do(r), status)
		if c.loggedIn() {
			t.Errorf("logged in by %s", body)
		}
	}
	for _, kind := range []string{"application/json", "text/plain", "multipart/form-data; boundary=x", ""} {
		r := c.request(http.MethodPost, "/login", credentials("susan", "cat"), "Content-Type", kind)
		wantStatus(t, c.do(r), http.StatusUnsupportedMediaType)
	}
	r := c.request(http.MethodPost, "/login", credentials("susan", "cat"), "Content-Type", "a/b; c=\"")
	wantStatus(t, c.do(r), http.StatusBadRequest)
	if c.loggedIn() {
		t.Error("logged in by something that is no form")
	}
}

// TestBrokenDatabase: a failing store is never treated as "nobody is logged
// in".
func TestBrokenDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.client()
	wantRedirect(t, c.login("susan", "cat"), "/")
	check(t, s.db.Close())
	broken := func(name string, r response) {
		t.Helper()
		if r.status < 500 || len(r.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d to %q, cookies %q", name, r.status, r.location, r.header.Values("Set-Cookie"))
		}
		wantNoText(t, r, "Login", "Hi, ", "sql")
	}
	for _, target := range []string{"/", "/index", "/login", "/register"} {
		broken(target, c.get(target))
	}
	broken("logout", c.post("/logout", nil))
	broken("login", s.client().login("susan", "cat"))
	broken("wrong login", s.client().login("susan", "dog"))
	broken("registration", s.client().post("/register", registration("anna", "anna@example.com", good, good)))
	wantStatus(t, s.client().get("/login"), http.StatusOK) // needs no database
}

// TestBrokenTables has a database in which one table is broken.
func TestBrokenTables(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.client()
	wantRedirect(t, c.login("susan", "cat"), "/")
	s.exec(`ALTER TABLE auth_users RENAME TO elsewhere`)
	for _, target := range []string{"/", "/index", "/login", "/register"} {
		if r := c.get(target); r.status != http.StatusServiceUnavailable || strings.Contains(r.body, "Login") {
			t.Errorf("%s: %d %s", target, r.status, r.body)
		}
	}
	s.exec(`ALTER TABLE elsewhere RENAME TO auth_users`)
	s.exec(`ALTER TABLE auth_records RENAME TO elsewhere`)
	if r := s.client().login("susan", "cat"); r.status != http.StatusServiceUnavailable {
		t.Errorf("a login that could not be stored: %d to %q", r.status, r.location)
	}
	s.exec(`ALTER TABLE elsewhere RENAME TO auth_records`)
	if !c.loggedIn() {
		t.Error("the failure logged the user out")
	}
}

// TestHeaders: every answer has these headers, whatever its status.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.client()
	user := s.client()
	user.login("susan", "cat")
	for name, r := range map[string]response{
		"redirect":     c.get("/"),
		"login":        c.get("/login"),
		"register":     c.get("/register"),
		"index":        user.get("/"),
		"style":        c.get("/static/microblog.css"),
		"not found":    c.get("/nowhere"),
		"not allowed":  c.get("/logout"),
		"cross-site":   c.post("/login", nil, "Sec-Fetch-Site", "cross-site"),
		"large":        c.post("/login", url.Values{"x": {strings.Repeat("x", maxBody)}}),
		"failed login": c.login("susan", "dog"),
	} {
		csp := r.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; style-src 'self';") || !strings.Contains(csp, "frame-ancestors 'none'") ||
			r.header.Get("X-Content-Type-Options") != "nosniff" || r.header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %v", name, r.header)
		}
		if strings.Contains(r.body, "style=") || strings.Contains(r.body, "<style") || strings.Contains(r.body, "<script") {
			t.Errorf("%s has what its policy forbids", name)
		}
	}
	for _, target := range []string{"/static/", "/static", "/static/..%2ftemplates/base.html", "/templates/base.html"} {
		wantStatus(t, c.get(target), http.StatusNotFound)
	}
}

// TestHostHeader: links and decisions do not depend on the Host that a client
// sends.
func TestHostHeader(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	addr := strings.TrimPrefix(s.url, "http://")
	for _, request := range []string{
		"GET /index HTTP/1.1\r\nHost: evil.com\r\nX-Forwarded-Host: evil.com\r\n\r\n",
		"GET http://evil.com/index HTTP/1.1\r\nHost: evil.com\r\n\r\n",
	} {
		status, location := raw(t, addr, request)
		if status != http.StatusSeeOther || location != "/login?next=%2Findex" {
			t.Errorf("%q: %d to %q", request, status, location)
		}
	}
	status, _ := raw(t, addr, "POST /logout HTTP/1.1\r\nHost: evil.com\r\nOrigin: http://evil.com\r\nContent-Length: 0\r\n\r\n")
	if status != http.StatusForbidden {
		t.Errorf("a request of evil.com's for evil.com: %d", status)
	}
}

// raw sends a request byte for byte, and returns the status and the Location.
func raw(t *testing.T, addr, request string) (status int, location string) {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	check(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprint(conn, request)
	check(t, err)
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	check(t, err)
	check(t, r.Body.Close())
	return r.StatusCode, r.Header.Get("Location")
}

// TestAuthCode: auth.go stays short enough to read beside the tutorial.
func TestAuthCode(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("auth.go")
	check(t, err)
	if n := strings.Count(string(source), "\n"); n > 120 {
		t.Errorf("auth.go has %d lines", n)
	}
}
