package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/html"
)

// good is a password that the policy accepts.
const good = "a plain sentence"

// A site is the program, run as a user of the example runs it.
type site struct {
	t       *testing.T
	url     string // its address
	secure  bool   // whether its base URL is https
	lines   chan string
	stopped chan error
	cancel  context.CancelFunc
}

// start runs the program in a directory of its own.
func start(t *testing.T, args ...string) *site {
	t.Helper()
	dir := t.TempDir()
	args = append([]string{
		"-addr", "127.0.0.1:0", "-db", filepath.Join(dir, "test.db"), "-secret-file", filepath.Join(dir, "test.secret"),
	}, args...)
	ctx, cancel := context.WithCancel(context.Background())
	s := &site{t: t, lines: make(chan string, 1000), stopped: make(chan error, 1), cancel: cancel}
	r, w := io.Pipe()
	go func() {
		s.stopped <- run(ctx, args, w)
		_ = w.Close()
	}()
	go readLines(r, s.lines)
	t.Cleanup(s.stop)
	base, address := announced(t, s.lines)
	s.url, s.secure = base, strings.HasPrefix(base, "https:")
	if s.secure || slices.Contains(args, "-base-url") {
		s.url = "http://" + address
	}
	return s
}

// stop ends the program.
func (s *site) stop() {
	s.cancel()
	if s.stopped == nil {
		return
	}
	if err := wait(s.t, s.stopped); err != nil {
		s.t.Errorf("the program ended with %v", err)
	}
	s.stopped = nil
}

func readLines(r io.Reader, lines chan<- string) {
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		lines <- scanner.Text()
	}
	close(lines)
}

// announced returns the URLs that a newly started program prints.
func announced(t *testing.T, lines <-chan string) (base, address string) {
	t.Helper()
	line := wait(t, lines)
	m := regexp.MustCompile(`^Quickstart is at (https?://\S+) \(listening on (\S+)\)$`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("it says %q", line)
	}
	return m[1], m[2]
}

// printed returns the next printed mail, and the link in it.
func printed(t *testing.T, lines <-chan string) (mail, link string) {
	t.Helper()
	var printed []string
	for {
		switch line := wait(t, lines); {
		case line == "--------------":
			if printed[0] != "---- mail ----" {
				t.Fatalf("printed %q", printed)
			}
			return strings.Join(printed, "\n"), link
		case strings.HasPrefix(line, "http"):
			link = line
			fallthrough
		default:
			printed = append(printed, line)
		}
	}
}

// printedLink returns the link of the next printed mail.
func printedLink(t *testing.T, lines <-chan string) string {
	t.Helper()
	mail, link := printed(t, lines)
	if link == "" {
		t.Fatalf("printed %q", mail)
	}
	return link
}

// wantPrinted fails unless this is the next printed mail.
func wantPrinted(t *testing.T, lines <-chan string, username, subject string) {
	t.Helper()
	mail, _ := printed(t, lines)
	if want := "---- mail ----\nTo: " + username + "@example.com\nSubject: " + subject + "\n"; !strings.HasPrefix(mail, want) {
		t.Fatalf("printed %q, want %q", mail, want)
	}
}

// wait returns the next value of a channel.
func wait[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	ok := true
	select {
	case v, ok = <-c:
	case <-time.After(2 * time.Minute):
		ok = false
	}
	if !ok {
		t.Fatal("nothing came")
	}
	return v
}

// A client is a browser that does not follow redirects by itself. It fails the
// test for every cookie with wrong attributes.
type client struct {
	t         *testing.T
	url       string
	secure    bool
	cookies   map[string]*http.Cookie
	transport *http.Transport
}

func (s *site) client() *client { return newClient(s.t, s.url, s.secure) }

func newClient(t *testing.T, url string, secure bool) *client {
	c := &client{t: t, url: url, secure: secure, cookies: map[string]*http.Cookie{}, transport: &http.Transport{ResponseHeaderTimeout: 2 * time.Minute}}
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

// request returns a request. If form is not nil, it is the body. target is a
// path of the site.
func (c *client) request(method, target string, form url.Values) *http.Request {
	c.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+target, body)
	check(c.t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, cookie := range c.cookies {
		r.AddCookie(cookie)
	}
	return r
}

// try is do for goroutines other than the test's.
func (c *client) try(r *http.Request) (response, error) {
	answer, err := c.transport.RoundTrip(r)
	if err != nil {
		return response{}, err
	}
	defer func() { _ = answer.Body.Close() }()
	for _, cookie := range answer.Cookies() {
		if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" ||
			cookie.Secure != c.secure || strings.HasPrefix(cookie.Name, "__Host-") != c.secure {
			c.t.Errorf("%s %s sets the cookie %s", r.Method, r.URL.Path, cookie.Raw)
		}
		if c.cookies[cookie.Name] = cookie; cookie.MaxAge < 0 {
			delete(c.cookies, cookie.Name)
		}
	}
	if len(answer.Cookies()) > 0 && answer.Header.Get("Cache-Control") != "no-store" {
		c.t.Errorf("%s %s sets a cookie and may be stored", r.Method, r.URL.Path)
	}
	body, err := io.ReadAll(answer.Body)
	return response{answer.StatusCode, answer.Header, answer.Header.Get("Location"), string(body)}, err
}

func (c *client) do(r *http.Request) response {
	c.t.Helper()
	answer, err := c.try(r)
	check(c.t, err)
	return answer
}

func (c *client) get(target string) response {
	c.t.Helper()
	return c.do(c.request(http.MethodGet, target, nil))
}

// post sends a form of names and values.
func (c *client) post(target string, fields ...string) response {
	c.t.Helper()
	return c.do(c.request(http.MethodPost, target, form(fields...)))
}

func form(fields ...string) url.Values {
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Add(fields[i], fields[i+1])
	}
	return values
}

func (c *client) register(username string) {
	c.t.Helper()
	wantRedirect(c.t, c.post("/register",
		"username", username, "email", username+"@example.com", "password", good, "confirm_password", good), "/login")
	wantText(c.t, c.get("/login"), "Your account has been created. You can now log in.")
}

func (c *client) login(login, password string) response {
	c.t.Helper()
	return c.post("/login", "login", login, "password", password)
}

// loggedInAs returns the name of the logged-in user on the home page. The
// guarded pages must agree.
func (c *client) loggedInAs() string {
	c.t.Helper()
	name := ""
	if m := regexp.MustCompile(`Hi, (\w+)!`).FindStringSubmatch(c.get("/").body); m != nil {
		name = m[1]
	}
	for _, page := range []string{"/profile", "/settings", "/account"} {
		r := c.get(page)
		if name == "" {
			wantRedirect(c.t, r, "/login?next="+url.QueryEscape(page))
		} else {
			wantStatus(c.t, r, http.StatusOK)
			wantText(c.t, r, name)
		}
		if r.header.Get("Cache-Control") != "no-store" {
			c.t.Errorf("%s may be stored", page)
		}
	}
	return name
}

func (c *client) wantUser(name string) {
	c.t.Helper()
	if got := c.loggedInAs(); got != name {
		c.t.Errorf("%q is logged in, want %q", got, name)
	}
}

// closeBrowser deletes the cookies that end with the browser's session.
func (c *client) closeBrowser() {
	for name, cookie := range c.cookies {
		if cookie.MaxAge == 0 {
			delete(c.cookies, name)
		}
	}
}

// open opens a mailed link, and returns the page to which it redirects.
func (c *client) open(link string) response {
	c.t.Helper()
	u, err := url.Parse(link)
	check(c.t, err)
	r := c.get(u.RequestURI())
	if r.body != "" || r.header.Get("Referrer-Policy") != "no-referrer" {
		c.t.Errorf("the link's answer: %v", r)
	}
	return r
}

// openForm opens a valid mailed link.
func (c *client) openForm(link string) {
	c.t.Helper()
	wantRedirect(c.t, c.open(link), "/reset-password") // the token is no longer in the URL
	page := c.get("/reset-password")
	wantStatus(c.t, page, http.StatusOK)
	_, token, _ := strings.Cut(link, "token=")
	wantNoText(c.t, page, token)
	wantField(c.t, page, "password", "")
}

// wantInvalid fails unless this is the answer to an invalid link, and the pages
// after it.
func (c *client) wantInvalid(r response) {
	c.t.Helper()
	wantRedirect(c.t, r, "/forgot-password")
	page := c.get("/forgot-password")
	wantStatus(c.t, page, http.StatusOK)
	wantText(c.t, page, "This link does not work any more. Ask for a new one.")
	for name := range c.cookies {
		if strings.Contains(name, "reset") {
			c.t.Errorf("the cookie %s is left", name)
		}
	}
}

func (c *client) reset(password string) response {
	c.t.Helper()
	return c.post("/reset-password", "password", password, "confirm_password", password)
}

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
		if !strings.Contains(r.body, html.EscapeString(text)) && !strings.Contains(r.body, text) {
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

// wantField fails unless the page has an input with this value.
func wantField(t *testing.T, r response, name, value string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(r.body))
	check(t, err)
	for n := range doc.Descendants() {
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
		}
		if n.Data == "input" && attr["name"] == name {
			if attr["value"] != value {
				t.Errorf("%s is %q, want %q", name, attr["value"], value)
			}
			return
		}
	}
	t.Errorf("no field %s:\n%s", name, r.body)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A mailServer is a real SMTP server.
type mailServer struct {
	t    *testing.T
	addr string
	got  chan message
}

// A message is a mail that was delivered.
type message struct {
	from, to string // as in the SMTP commands
	header   mail.Header
	text     string
	link     string
}

// newMailServer starts an SMTP server. Its listener may be wrapped.
func newMailServer(t *testing.T, wrap func(net.Listener) net.Listener) *mailServer {
	t.Helper()
	s := &mailServer{t: t, got: make(chan message, 1000)}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &mailSession{server: s}, nil
	}))
	server.Domain = "localhost"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	s.addr = listener.Addr().String()
	if wrap != nil {
		listener = wrap(listener)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return s
}

// expect waits for the next mail, which must have this user and this subject.
func (s *mailServer) expect(username, subject string) message {
	s.t.Helper()
	m := wait(s.t, s.got)
	got, err := new(mime.WordDecoder).DecodeHeader(m.header.Get("Subject"))
	if err != nil || m.to != username+"@example.com" || m.from != "quickstart@app.example" ||
		m.header.Get("To") != "<"+m.to+">" || m.header.Get("From") != `"Quickstart" <quickstart@app.example>` ||
		got != subject+" – Quickstart" {
		s.t.Fatalf("got the mail %v, want %s to %s", m, subject, username)
	}
	return m
}

// receive waits for the next mail, which must be a password reset for this
// user.
func (s *mailServer) receive(username string) message {
	s.t.Helper()
	m := s.expect(username, "Set a new password")
	for _, want := range []string{
		"Somebody asked for a new password for your account at Quickstart.",
		"If it was not you, ignore this email. Your password stays as it is.",
	} {
		if !strings.Contains(m.text, want) {
			s.t.Errorf("the mail has no %q:\n%s", want, m.text)
		}
	}
	return m
}

type mailSession struct {
	server *mailServer
	message
}

func (s *mailSession) Reset()        {}
func (s *mailSession) Logout() error { return nil }

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	parsed, err := parseMail(r)
	if err != nil {
		s.server.t.Errorf("a mail that cannot be read: %v", err)
		return err
	}
	parsed.from, parsed.to = s.from, s.to
	s.server.got <- parsed
	return nil
}

// parseMail reads a mail with a text and an HTML part, which must have the same
// link.
func parseMail(r io.Reader) (m message, err error) {
	parsed, err := mail.ReadMessage(r)
	if err != nil {
		return m, err
	}
	m.header = parsed.Header
	kind, params, err := mime.ParseMediaType(m.header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return m, errors.Join(err, errors.New("not multipart/alternative: "+kind))
	}
	parts := multipart.NewReader(parsed.Body, params["boundary"])
	for _, want := range []string{"text/plain", "text/html"} {
		part, err := parts.NextRawPart()
		if err != nil {
			return m, err
		}
		if kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type")); err != nil || kind != want {
			return m, errors.Join(err, errors.New("not "+want+": "+kind))
		}
		var body io.Reader = part
		if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(part)
		}
		content, err := io.ReadAll(body)
		if err != nil {
			return m, err
		}
		switch link := html.UnescapeString(regexp.MustCompile(`https?://[^\s"<]+`).FindString(string(content))); {
		case want == "text/plain":
			m.text, m.link = string(content), link
		case link != m.link:
			return m, errors.New("the parts have two links")
		}
	}
	_, err = parts.NextPart()
	if !errors.Is(err, io.EOF) {
		return m, errors.New("more than two parts")
	}
	return m, nil
}

// forgot asks for a reset link, and returns it.
func (s *site) forgot(mails *mailServer, username string) string {
	s.t.Helper()
	s.askReset(username)
	return mails.receive(username).link
}

func (s *site) askReset(username string) {
	s.t.Helper()
	wantRedirect(s.t, s.client().post("/forgot-password", "email", username+"@example.com"), "/check-inbox")
}

// A gate is a listener that accepts no connection until it is opened: a server
// that hangs.
type gate struct {
	net.Listener
	knocked chan struct{} // receives once for each connection that is held
	opened  chan struct{} // closed to accept them
}

func newGate(l net.Listener) *gate {
	return &gate{l, make(chan struct{}, 1000), make(chan struct{})}
}

func (g *gate) open() { close(g.opened) }

func (g *gate) isOpen() bool {
	select {
	case <-g.opened:
		return true
	default:
		return false
	}
}

func (g *gate) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err == nil && !g.isOpen() {
		g.knocked <- struct{}{}
		<-g.opened
	}
	return conn, err
}

// A shut is a listener that closes every connection until it is opened: a
// server that is down.
type shut struct {
	*gate
}

func (s *shut) Accept() (net.Conn, error) {
	for {
		conn, err := s.Listener.Accept()
		if err != nil || s.isOpen() {
			return conn, err
		}
		_ = conn.Close()
		s.knocked <- struct{}{}
	}
}
