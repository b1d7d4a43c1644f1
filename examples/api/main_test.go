package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// good is a password that the policy accepts.
const good = "a plain sentence"

// A site is the running application.
type site struct {
	t      *testing.T
	url    string
	ending chan struct{}
}

func newSite(t *testing.T) *site {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	s := &site{t, "http://" + server.Listener.Addr().String(), make(chan struct{})}
	app, err := newApp(s.url, s.ending)
	check(t, err)
	server.Config.Handler = app
	server.Start()
	t.Cleanup(server.Close)
	return s
}

// A client is a browser, or a program that sends a token. It follows no
// redirects.
type client struct {
	*http.Client
	site  *site
	token string
}

func (s *site) program(token string) *client {
	c := &client{&http.Client{Transport: &http.Transport{}, Timeout: 2 * time.Minute}, s, token} // streams end sooner
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.t.Cleanup(c.CloseIdleConnections)
	return c
}

// browser returns a browser in which a new user has registered and logged in.
func (s *site) browser(name string, remember string) *client {
	s.t.Helper()
	c := s.program("")
	jar, err := cookiejar.New(nil)
	check(s.t, err)
	c.Jar = jar
	c.post(303, "/register", url.Values{
		"username": {name}, "email": {name + "@app.example"}, "password": {good}, "confirm_password": {good},
	})
	c.post(303, "/login", url.Values{"login": {name}, "password": {good}, "remember_me": {remember}})
	return c
}

// send makes a request. Headers are pairs of name and value.
func (c *client) send(method, path string, form url.Values, headers ...string) *http.Response {
	t := c.site.t
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.site.url+path, strings.NewReader(form.Encode()))
	check(t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := c.Do(r)
	check(t, err)
	return answer
}

// A reply is a response that has been read.
type reply struct {
	header http.Header
	body   string
}

func (c *client) ask(status int, method, path string, form url.Values, headers ...string) reply {
	t := c.site.t
	t.Helper()
	r := c.send(method, path, form, headers...)
	body, err := io.ReadAll(r.Body)
	check(t, err)
	check(t, r.Body.Close())
	if r.StatusCode != status {
		t.Fatalf("%s %s: %d to %q, want %d\n%s", method, path, r.StatusCode, r.Header.Get("Location"), status, body)
	}
	if c.token != "" && len(r.Cookies()) > 0 {
		t.Errorf("%s %s: a program gets the cookies %v", method, path, r.Cookies())
	}
	return reply{r.Header, string(body)}
}

func (c *client) get(status int, path string, headers ...string) reply {
	c.site.t.Helper()
	return c.ask(status, http.MethodGet, path, nil, headers...)
}

func (c *client) post(status int, path string, form url.Values, headers ...string) reply {
	c.site.t.Helper()
	return c.ask(status, http.MethodPost, path, form, headers...)
}

// newToken returns a program with a token that the browser's user has made.
func (c *client) newToken(scopes ...string) *client {
	t := c.site.t
	t.Helper()
	r := c.post(http.StatusCreated, "/api/tokens", url.Values{"name": {"a script"}, "scope": scopes})
	var made struct {
		Token  string
		Scopes []string
	}
	check(t, json.Unmarshal([]byte(r.body), &made))
	if made.Token == "" || !slices.Equal(made.Scopes, scopes) || r.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("made %+v, and %v", made, r.header)
	}
	return c.site.program(made.Token)
}

func (c *client) wantNotes(want ...string) {
	t := c.site.t
	t.Helper()
	var got []string
	check(t, json.Unmarshal([]byte(c.get(http.StatusOK, "/api/notes").body), &got))
	if !slices.Equal(got, want) {
		t.Errorf("notes are %q, want %q", got, want)
	}
}

func (c *client) add(text string) {
	c.site.t.Helper()
	c.post(http.StatusCreated, "/api/notes", url.Values{"text": {text}})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const read, write = "notes:read", "notes:write"

func TestScopes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	susan, anna := s.browser("susan", ""), s.browser("anna", "")
	reader, writer, both := susan.newToken(read), susan.newToken(write), susan.newToken(read, write)
	writer.add("one")
	both.add("two")
	susan.add("three")
	anna.add("another's")
	for _, c := range []*client{susan, reader, both} {
		c.wantNotes("one", "two", "three")
	}
	anna.wantNotes("another's")

	form := url.Values{"text": {"four"}, "name": {"x"}, "scope": {read}}
	reader.post(http.StatusForbidden, "/api/notes", form)
	writer.get(http.StatusForbidden, "/api/notes")
	writer.get(http.StatusForbidden, "/events")
	for _, c := range []*client{reader, writer, both} { // a token works for its scopes only
		c.get(http.StatusForbidden, "/account")
		c.post(http.StatusForbidden, "/account/password", url.Values{"current_password": {good}})
		c.post(http.StatusForbidden, "/api/tokens", form)
	}
	susan.wantNotes("one", "two", "three")
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	susan := s.browser("susan", "")
	token := susan.newToken(read, write).token
	form := url.Values{"text": {"x"}, "name": {"x"}, "scope": {read}}
	for _, wrong := range []string{"x", token + "A", token[:len(token)-1], strings.ToLower(token), "goauth_" + strings.Repeat("A", 43)} {
		c := s.program(wrong)
		for _, path := range []string{"/api/notes", "/events"} {
			if r := c.get(http.StatusUnauthorized, path); !slices.Contains(r.header.Values("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s: %v", path, r.header)
			}
		}
		c.post(http.StatusUnauthorized, "/api/notes", form)
		c.post(http.StatusUnauthorized, "/api/tokens", form)
	}
	nobody := s.program("")
	nobody.get(http.StatusUnauthorized, "/api/notes?access_token="+token, "Accept", "application/json")
	nobody.get(http.StatusUnauthorized, "/events", "Accept", "text/event-stream", "Sec-Fetch-Dest", "empty") // as an EventSource sends it
	if r := nobody.get(http.StatusSeeOther, "/account", "Accept", "text/html"); r.header.Get("Location") != "/login?next=%2Faccount" {
		t.Errorf("a browser is sent to %s", r.header.Get("Location"))
	}
	// A page of another site cannot use the browser's login.
	for _, path := range []string{"/api/tokens", "/api/notes"} {
		susan.post(http.StatusForbidden, path, form, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	}
	susan.wantNotes()
}

func TestTokenForm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	susan := s.browser("susan", "")
	for _, form := range []url.Values{
		{},
		{"name": {"x"}},
		{"scope": {read}},
		{"name": {"x"}, "scope": {"*"}},
		{"name": {"x"}, "scope": {"", "notes", "notes:read notes:write", "NOTES:READ"}},
		{"name": {strings.Repeat("x", 201)}, "scope": {read}},
		{"name": {"x\x00"}, "scope": {read}},
		{"name": {"\xff"}, "scope": {read}},
	} {
		susan.post(http.StatusUnprocessableEntity, "/api/tokens", form)
	}
	susan.post(http.StatusUnprocessableEntity, "/api/tokens?name=x&scope="+read, url.Values{})
	many := url.Values{"name": {strings.Repeat("x", 200)}, "scope": slices.Repeat([]string{"*", read}, 100)}
	if r := susan.post(http.StatusCreated, "/api/tokens", many); !strings.Contains(r.body, `"scopes":["notes:read"]`) {
		t.Errorf("made %s", r.body)
	}
	if page := susan.get(http.StatusOK, "/account").body; !strings.Contains(page, `action="/api/tokens"`) || !strings.Contains(page, "Hi, susan!") {
		t.Errorf("the account page is\n%s", page)
	}
	if r := susan.get(http.StatusSeeOther, "/"); r.header.Get("Location") != "/account" {
		t.Errorf("/ leads to %s", r.header.Get("Location"))
	}
	for _, text := range []string{"", strings.Repeat("x", 201), "\x00", strings.Repeat("x", 1<<17)} {
		susan.post(http.StatusUnprocessableEntity, "/api/notes", url.Values{"text": {text}})
	}
}

// TestTokenFormOfAnother: if susan opened the form and anna has logged in
// since, the form makes no token for anna.
func TestTokenFormOfAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	susan, anna := s.browser("susan", ""), s.browser("anna", "")
	_, after, _ := strings.Cut(susan.get(http.StatusOK, "/account").body, `name="form_user" value="`)
	seal, _, _ := strings.Cut(after, `"`)
	form := url.Values{"name": {"x"}, "scope": {read}, "form_user": {seal}}
	if r := anna.post(http.StatusConflict, "/api/tokens", form); strings.Contains(r.body, "token") {
		t.Errorf("made %s", r.body)
	}
	susan.post(http.StatusCreated, "/api/tokens", form)
}

// TestOtherTypes: a body that is not a form is not read as a form without
// fields.
func TestOtherTypes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	susan := s.browser("susan", "")
	for _, kind := range []string{"application/json", "text/plain", "x", ""} {
		form := url.Values{"name": {"x"}, "scope": {read}, "text": {"x"}}
		susan.ask(http.StatusUnsupportedMediaType, http.MethodPost, "/api/tokens", form, "Content-Type", kind)
		susan.ask(http.StatusUnsupportedMediaType, http.MethodPost, "/api/notes", form, "Content-Type", kind)
	}
	susan.wantNotes()
}

// TestNotFresh: a user who is only remembered has to show the password before a
// token is made.
func TestNotFresh(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	susan := s.browser("susan", "y")
	where, err := url.Parse(s.url)
	check(t, err)
	for _, cookie := range susan.Jar.Cookies(where) {
		if !strings.HasSuffix(cookie.Name, "-remember") { // closes the browser
			susan.Jar.SetCookies(where, []*http.Cookie{{Name: cookie.Name, MaxAge: -1}})
		}
	}
	susan.add("remembered")
	form := url.Values{"name": {"x"}, "scope": {read}}
	r := susan.post(http.StatusSeeOther, "/api/tokens", form, "Referer", s.url+"/account", "Accept", "text/html")
	if to := r.header.Get("Location"); to != "/refresh?next=%2Faccount" {
		t.Fatalf("sent to %s", to)
	}
	susan.post(http.StatusUnprocessableEntity, "/refresh?next=%2Faccount", url.Values{"password": {"a wrong password"}})
	susan.post(http.StatusUnauthorized, "/api/tokens", form, "Accept", "application/json")
	if r := susan.post(http.StatusSeeOther, "/refresh?next=%2Faccount", url.Values{"password": {good}}); r.header.Get("Location") != "/account" {
		t.Errorf("then sent to %s", r.header.Get("Location"))
	}
	susan.newToken(read).wantNotes("remembered")
}

// A stream is an open request for events.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
	body  io.Closer
}

func (c *client) listen() *stream {
	t := c.site.t
	t.Helper()
	r := c.send(http.MethodGet, "/events", nil)
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/event-stream" || r.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("/events: %d, %v", r.StatusCode, r.Header)
	}
	s := &stream{t, bufio.NewScanner(r.Body), r.Body}
	t.Cleanup(func() { _ = s.body.Close() })
	return s
}

// want fails unless these are the next lines, without blank ones.
func (s *stream) want(lines ...string) {
	s.t.Helper()
	for _, want := range lines {
		got := ""
		for got == "" && s.lines.Scan() {
			got = s.lines.Text()
		}
		if got != want {
			s.t.Fatalf("the next line is %q, want %q: %v", got, want, s.lines.Err())
		}
	}
}

// wantEnd fails unless the stream ends here, after these lines.
func (s *stream) wantEnd(lines ...string) {
	s.t.Helper()
	s.want(lines...)
	for s.lines.Scan() {
		if line := s.lines.Text(); line != "" {
			s.t.Fatalf("at the end there is %q", line)
		}
	}
	check(s.t, s.lines.Err())
}

var loggedOut = []string{"event: logout", "data:"}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	susan, anna := s.browser("susan", ""), s.browser("anna", "")
	program := susan.newToken(read, write)
	susan.add("before")
	one, other, annas := susan.listen(), program.listen(), anna.listen()
	program.add("and after\u2028data: x")
	anna.add("another's")
	susan.add("last")
	for _, stream := range []*stream{one, other} {
		stream.want(`data: "before"`, `data: "and after\u2028data: x"`, `data: "last"`)
	}
	annas.want(`data: "another's"`)

	// A logout ends the streams of that login, and nothing else.
	susan.post(http.StatusSeeOther, "/logout", nil)
	program.add("after the logout")
	one.wantEnd(loggedOut...)
	other.want(`data: "after the logout"`)
	susan.get(http.StatusUnauthorized, "/events", "Sec-Fetch-Dest", "empty")
	close(s.ending)
	other.wantEnd()
	annas.wantEnd()
}

// TestPasswordChange: a new password ends other logins, all tokens, and all
// their streams. It also ends the streams of this login, whose page connects
// again.
func TestPasswordChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	susan := s.browser("susan", "")
	program := susan.newToken(read)
	mine, theirs := susan.listen(), program.listen()
	const fresh = "quite another sentence"
	susan.post(http.StatusSeeOther, "/account/password", url.Values{
		"current_password": {good}, "password": {fresh}, "confirm_password": {fresh},
	})
	theirs.wantEnd(loggedOut...)
	mine.wantEnd(loggedOut...)
	program.get(http.StatusUnauthorized, "/api/notes")
	mine = susan.listen()
	susan.add("still here")
	mine.want(`data: "still here"`)
	susan.newToken(read).wantNotes("still here")
}

// TestLogoutMeanwhile: notes that are added during a logout are not sent after
// it, and no stream continues.
func TestLogoutMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	susan := s.browser("susan", "")
	program := susan.newToken(write)
	for i := range 20 {
		streams := []*stream{susan.listen(), susan.listen()}
		var adding sync.WaitGroup
		for j := range 5 {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/notes", strings.NewReader("text=x"+fmt.Sprint(i, j)))
			check(t, err)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Authorization", "Bearer "+program.token)
			adding.Go(func() {
				answer, err := program.Do(r)
				if err != nil || answer.StatusCode != http.StatusCreated {
					t.Errorf("adding: %v, %v", answer, err)
					return
				}
				_ = answer.Body.Close()
			})
		}
		susan.post(http.StatusSeeOther, "/logout", nil)
		adding.Wait()
		for _, stream := range streams {
			for stream.lines.Scan() && stream.lines.Text() != loggedOut[0] {
				if line := stream.lines.Text(); line != "" && !strings.HasPrefix(line, `data: "x`) {
					t.Fatalf("the stream has %q", line)
				}
			}
			stream.wantEnd(loggedOut[1:]...)
		}
		susan.post(http.StatusSeeOther, "/login", url.Values{"login": {"susan"}, "password": {good}})
	}
}

// TestMainIsShort: main.go stays short enough to read.
func TestMainIsShort(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("main.go")
	check(t, err)
	if n := strings.Count(string(source), "\n"); n > 120 {
		t.Errorf("main.go has %d lines", n)
	}
}
