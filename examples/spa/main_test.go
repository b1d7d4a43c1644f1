package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

// good is a password that the policy accepts.
const good = "a plain sentence"

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A client sends what the script sends.
type client struct {
	t    *testing.T
	url  string
	http http.Client
}

func newClient(t *testing.T) *client {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	url := "http://" + server.Listener.Addr().String()
	app, err := newApp(strings.Replace(url, "127.0.0.1", "localhost", 1))
	check(t, err)
	server.Config.Handler = app
	server.Start()
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	check(t, err)
	return &client{t, strings.Replace(url, "127.0.0.1", "localhost", 1), http.Client{Jar: jar}}
}

// call returns the answer to a request, which must have this status.
func (c *client) call(status int, path string, fields map[string]string) (answer struct {
	auth.Problem
	User *struct{ Username string }
},
) {
	c.t.Helper()
	method, body := http.MethodGet, []byte(nil)
	if fields != nil {
		method = http.MethodPost
		var err error
		body, err = json.Marshal(fields)
		check(c.t, err)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, bytes.NewReader(body))
	check(c.t, err)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", c.url)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	got, err := c.http.Do(r)
	check(c.t, err)
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	check(c.t, err)
	if got.StatusCode != status {
		c.t.Fatalf("%s: %s %s", path, got.Status, text)
	}
	check(c.t, json.Unmarshal(text, &answer))
	return answer
}

// TestRun: register, log in, who am I, log out.
func TestRun(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	if who := c.call(401, "/account", nil); who.Code != "not-logged-in" {
		t.Errorf("%+v", who)
	}
	c.call(422, "/register", map[string]string{"username": "x"})
	c.call(200, "/register", map[string]string{"username": "susan", "email": "susan@example.com", "password": good, "confirm_password": good})
	if refused := c.call(422, "/login", map[string]string{"login": "susan", "password": "wrong"}); refused.Code != "login-refused" {
		t.Errorf("%+v", refused)
	}
	c.call(200, "/login", map[string]string{"login": "susan", "password": good})
	if who := c.call(200, "/account", nil); who.User == nil || who.User.Username != "susan" {
		t.Errorf("%+v", who)
	}
	c.call(200, "/login/passkey", nil)
	c.call(200, "/logout", map[string]string{})
	c.call(401, "/account", nil)
}

// TestPage: the page and its script are there, and the page runs no other script.
func TestPage(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for path, want := range map[string]string{"/": `<script src="/app.js" defer>`, "/app.js": "navigator.credentials.get"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+path, nil)
		check(t, err)
		got, err := c.http.Do(r)
		check(t, err)
		text, err := io.ReadAll(got.Body)
		check(t, err)
		check(t, got.Body.Close())
		if !strings.Contains(string(text), want) || !strings.Contains(got.Header.Get("Content-Security-Policy"), "script-src 'self';") {
			t.Errorf("%s: %s %v", path, got.Status, got.Header)
		}
	}
}

// TestScriptIsShort (J9): the script has at most 80 lines, of at most 130 characters, and
// the page has no other.
func TestScriptIsShort(t *testing.T) {
	t.Parallel()
	script, err := static.ReadFile("static/app.js")
	check(t, err)
	lines := strings.Split(strings.TrimSpace(string(script)), "\n")
	if len(lines) > 80 {
		t.Errorf("%d lines", len(lines))
	}
	for i, line := range lines {
		if len(line) > 130 {
			t.Errorf("line %d has %d characters", i+1, len(line))
		}
	}
	entries, err := static.ReadDir("static")
	check(t, err)
	page, err := static.ReadFile("static/index.html")
	check(t, err)
	if len(entries) != 2 || strings.Count(string(page), "<script") != 1 {
		t.Errorf("%d files, %d scripts", len(entries), strings.Count(string(page), "<script"))
	}
}
