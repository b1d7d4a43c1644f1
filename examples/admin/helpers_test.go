package main

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/totp"
)

// A site is the whole application, with a clock that stands still.
type site struct {
	t     *testing.T
	app   *app
	file  string // the database
	clock *authtest.Clock
	mails authtest.Mailbox

	mu     sync.Mutex
	events []auth.Event
}

func newSite(t *testing.T) *site {
	t.Helper()
	file := filepath.Join(t.TempDir(), "admin.db")
	db, err := server.OpenDB(t.Context(), file)
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	s := &site{t: t, file: file, clock: authtest.NewClock(time.Now())}
	s.app, err = newApp(db, auth.Config{
		BaseURL: "http://localhost:8080", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Mailer: &s.mails, Now: s.clock.Now, Password: auth.PasswordConfig{HashParams: authtest.HashParams()},
		OnEvent: func(_ context.Context, e auth.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
	})
	check(t, err)
	return s
}

// event returns the last event of this kind.
func (s *site) event(kind auth.EventKind) auth.Event {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.events) - 1; i >= 0; i-- {
		if s.events[i].Kind == kind {
			return s.events[i]
		}
	}
	s.t.Fatalf("there is no event %s", kind)
	return auth.Event{}
}

// add makes a user with these roles and a verified address.
func (s *site) add(username string, roles ...string) *User {
	s.t.Helper()
	user, err := s.app.store.CreateUser(s.t.Context(), auth.Account{
		Username: username, Email: username + "@app.example", EmailVerified: true, Stamp: auth.NewSecret("stamp of " + username),
	}, nil)
	check(s.t, err)
	if len(roles) > 0 {
		check(s.t, s.app.manager.SetRoles(s.t.Context(), user.ID, roles...))
	}
	return s.load(user.ID)
}

func (s *site) load(id string) *User {
	s.t.Helper()
	user, err := s.app.store.LoadUser(s.t.Context(), id)
	check(s.t, err)
	return user
}

func (s *site) find(login string) *User {
	s.t.Helper()
	user, err := s.app.manager.FindUser(s.t.Context(), login)
	check(s.t, err)
	return user
}

// client returns a browser. If user is not nil, the user has logged in.
func (s *site) client(user *User) *authtest.Client {
	s.t.Helper()
	c := authtest.NewClient(s.t, s.app.manager.Core, s.app)
	if user != nil {
		c.Login(user)
	}
	return c
}

// staff returns a browser of a new user with these roles, who has set up a second
// factor: without one, staff can do nothing.
func (s *site) staff(username string, roles ...string) (*authtest.Client, *User) {
	s.t.Helper()
	user := s.add(username, roles...)
	c := s.client(user)
	s.setUp(c)
	return c, s.load(user.ID)
}

// setUp sets up an authenticator app.
func (s *site) setUp(c *authtest.Client) {
	s.t.Helper()
	const page = "/account/two-factor?set-up=totp"
	shown := c.Get(page)
	want(s.t, shown, http.StatusOK, "otpauth://")
	link, err := url.Parse(html.UnescapeString(regexp.MustCompile(`otpauth://[^"]*`).FindString(shown.Text)))
	check(s.t, err)
	code, err := totp.Code(link.Query().Get("secret"), s.clock.Now())
	check(s.t, err)
	want(s.t, c.Post(page, url.Values{"code": {code}}), http.StatusSeeOther, "")
}

// want fails unless the answer has this status and this text.
func want(t *testing.T, r *authtest.Response, status int, text string) {
	t.Helper()
	if r.StatusCode != status || !strings.Contains(r.Text, text) {
		t.Fatalf("%s %s: got %s to %q, want %d with %q\n%s", r.Request.Method, r.Request.URL.Path, r.Status, r.Header.Get("Location"), status, text, r.Text)
	}
}

func wantNot(t *testing.T, r *authtest.Response, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(r.Text, text) {
			t.Errorf("%s has %q:\n%s", r.Request.URL.Path, text, r.Text)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
