package main

import (
	"crypto/rand"
	"database/sql"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/sqlstore"
	"golang.org/x/net/html"
)

// A site is the running application, with the tutorial's user: susan, whose
// password is cat.
type site struct {
	t     *testing.T
	app   *app
	db    *sql.DB
	store *sqlstore.Store[User, *User]
	url   string
}

func newSite(t *testing.T) *site {
	t.Helper()
	db, err := server.OpenDB(t.Context(), filepath.Join(t.TempDir(), "microblog.db"))
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	a, err := newApp(db, secret, base)
	check(t, err)
	server.Config.Handler = a
	server.Start()
	t.Cleanup(server.Close)
	s := &site{t, a, db, sqlstore.New[User](db, sqlstore.SQLite), base}
	s.create("susan", "susan@example.com", "cat")
	return s
}

// create makes a user as the tutorial does in "flask shell": without a form,
// and with a password that no policy has checked.
func (s *site) create(username, email, password string) *User {
	s.t.Helper()
	hash, err := s.app.manager.HashPassword(s.t.Context(), password)
	check(s.t, err)
	user, err := s.store.CreateUser(s.t.Context(), auth.Account{
		Username: username, Email: email, PasswordHash: hash,
	}, nil)
	check(s.t, err)
	return user
}

func (s *site) exec(statement string, args ...any) {
	s.t.Helper()
	_, err := s.db.ExecContext(s.t.Context(), statement, args...)
	check(s.t, err)
}

// count returns how many rows a table has.
func (s *site) count(table string) (n int) {
	s.t.Helper()
	check(s.t, s.db.QueryRowContext(s.t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

// leftBehind counts the records, except counts of failed attempts.
func (s *site) leftBehind() (n int) {
	s.t.Helper()
	check(s.t, s.db.QueryRowContext(s.t.Context(), `SELECT count(*) FROM auth_records WHERE CAST(kind AS TEXT) NOT IN ('attempts', 'rate')`).Scan(&n))
	return n
}

// A client is a browser that does not follow redirects by itself. It is not an
// http.Client, because that refuses a Location it cannot parse.
type client struct {
	t         *testing.T
	base      string
	jar       http.CookieJar
	transport *http.Transport
	sent      []string // every cookie that was set, as name=value
}

func (s *site) client() *client { return newClient(s.t, s.url) }

func newClient(t *testing.T, base string) *client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	check(t, err)
	c := &client{t: t, base: base, jar: jar, transport: &http.Transport{}}
	t.Cleanup(c.transport.CloseIdleConnections)
	return c
}

// A response has been read.
type response struct {
	status   int
	header   http.Header
	location string
	body     string
}

// request returns a request. If form is not nil, it is the body. Headers are
// pairs of name and value.
func (c *client) request(method, target string, form url.Values, headers ...string) *http.Request {
	c.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+target, body)
	check(c.t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (c *client) do(r *http.Request) response {
	c.t.Helper()
	answer, err := c.try(r)
	check(c.t, err)
	return answer
}

// try is do for goroutines other than the test's.
func (c *client) try(r *http.Request) (response, error) {
	for _, cookie := range c.jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	answer, err := c.transport.RoundTrip(r)
	if err != nil {
		return response{}, err
	}
	defer func() { _ = answer.Body.Close() }()
	c.jar.SetCookies(r.URL, answer.Cookies())
	for _, cookie := range answer.Cookies() {
		if cookie.Value != "" {
			c.sent = append(c.sent, cookie.Name+"="+cookie.Value)
		}
	}
	body, err := io.ReadAll(answer.Body)
	return response{answer.StatusCode, answer.Header, answer.Header.Get("Location"), string(body)}, err
}

func (c *client) get(target string) response {
	c.t.Helper()
	return c.do(c.request(http.MethodGet, target, nil))
}

func (c *client) post(target string, form url.Values, headers ...string) response {
	c.t.Helper()
	return c.do(c.request(http.MethodPost, target, form, headers...))
}

// follow follows the redirects of a response.
func (c *client) follow(r response) (response, string) {
	c.t.Helper()
	target := ""
	for range 10 {
		if r.status != http.StatusSeeOther {
			return r, target
		}
		target = r.location
		r = c.get(target)
	}
	c.t.Fatal("too many redirects")
	return r, ""
}

func (c *client) login(username, password string) response {
	c.t.Helper()
	return c.post("/login", credentials(username, password))
}

// loggedIn reports whether the client gets a guarded page.
func (c *client) loggedIn() bool {
	c.t.Helper()
	r := c.get("/index")
	switch {
	case r.status == http.StatusOK && strings.Contains(r.body, "<h1>Hi, "):
		return true
	case r.status == http.StatusSeeOther && r.location == "/login?next=%2Findex":
		return false
	}
	c.t.Fatalf("/index: %d to %q", r.status, r.location)
	return false
}

func credentials(username, password string) url.Values {
	return url.Values{"username": {username}, "password": {password}}
}

func registration(username, email, password, password2 string) url.Values {
	return url.Values{
		"username": {username}, "email": {email}, "password": {password}, "password2": {password2},
	}
}

// good is a password that the policy accepts.
const good = "a plain sentence"

func wantRedirect(t *testing.T, r response, location string) {
	t.Helper()
	if r.status != http.StatusSeeOther || r.location != location {
		t.Fatalf("got %d to %q, want 303 to %q\n%s", r.status, r.location, location, r.body)
	}
}

func wantStatus(t *testing.T, r response, status int) {
	t.Helper()
	if r.status != status {
		t.Fatalf("got %d to %q, want %d\n%s", r.status, r.location, status, r.body)
	}
}

func wantText(t *testing.T, r response, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.body, text) {
			t.Fatalf("the page has no %q:\n%s", text, r.body)
		}
	}
}

func wantNoText(t *testing.T, r response, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(r.body, text) {
			t.Fatalf("the page has %q:\n%s", text, r.body)
		}
	}
}

// pleaseLogIn is the message of the login page after a redirect from a guarded
// page.
const pleaseLogIn = "Please log in to access this page."

// loggedOut is the message instead of it if the browser had a login that has ended.
const loggedOut = "You have been logged out. Please log in again."

// wantMessages fails unless the page shows these messages, and no others.
func wantMessages(t *testing.T, r response, want ...string) {
	t.Helper()
	wantStatus(t, r, http.StatusOK)
	var got []string
	doc := parse(t, r)
	if list := find(doc, func(n *html.Node) bool { return n.Data == "ul" && attrs(n)["role"] == "status" }); list != nil {
		for n := range list.ChildNodes() {
			if n.Data == "li" {
				got = append(got, text(n))
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the page says %q, want %q\n%s", got, want, r.body)
	}
}

// wantOnlyMessage fails unless the answer sets exactly one cookie: a sealed
// message that lasts until the browser is closed.
func wantOnlyMessage(t *testing.T, r response) {
	t.Helper()
	cookies := r.header.Values("Set-Cookie")
	if len(cookies) != 1 {
		t.Fatalf("cookies %q", cookies)
	}
	name, value, _ := strings.Cut(cookies[0], "=")
	value, attributes, _ := strings.Cut(value, ";")
	if !strings.HasSuffix(name, "-flash") || value == "" || attributes != " Path=/; HttpOnly; SameSite=Lax" {
		t.Errorf("the cookie is %q", cookies[0])
	}
}

// wantErrors fails unless the form is shown again with exactly these errors,
// each at its field.
func wantErrors(t *testing.T, r response, want map[string]string) {
	t.Helper()
	wantStatus(t, r, http.StatusOK)
	for _, name := range []string{"username", "email", "password", "password2"} {
		got := ""
		if f, ok := fieldOf(t, r, name); ok {
			got = f.err
		}
		if got != want[name] {
			t.Errorf("the error at %s is %q, want %q", name, got, want[name])
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A field is an input of a form, with its label and its error.
type field struct {
	attr  map[string]string
	label string
	err   string // the text of the element that aria-describedby names, in the same paragraph
}

// fieldOf finds an input by name.
func fieldOf(t *testing.T, r response, name string) (field, bool) {
	t.Helper()
	doc := parse(t, r)
	input := find(doc, func(n *html.Node) bool { return n.Data == "input" && attrs(n)["name"] == name })
	if input == nil {
		return field{}, false
	}
	f := field{attr: attrs(input)}
	block := input.Parent
	if label := find(block, func(n *html.Node) bool { return n.Data == "label" && attrs(n)["for"] == f.attr["id"] }); label != nil {
		f.label = text(label)
	}
	if id := f.attr["aria-describedby"]; id != "" {
		e := find(block, func(n *html.Node) bool { return attrs(n)["id"] == id })
		if e == nil || e.Data != "span" || attrs(e)["class"] != "error" || f.attr["aria-invalid"] != "true" {
			t.Errorf("%s has an error that is not in a red span beside it", name)
			return f, true
		}
		f.err = strings.TrimSuffix(strings.TrimPrefix(text(e), "["), "]")
		if text(e) != "["+f.err+"]" {
			t.Errorf("the error %q is not in brackets", text(e))
		}
	}
	return f, true
}

func parse(t *testing.T, r response) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(r.body))
	check(t, err)
	return doc
}

// find returns the first element for which fits is true, or nil.
func find(n *html.Node, fits func(*html.Node) bool) *html.Node {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && fits(d) {
			return d
		}
	}
	return nil
}

func attrs(n *html.Node) map[string]string {
	m := map[string]string{}
	for _, a := range n.Attr {
		m[a.Key] = a.Val
	}
	return m
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}
