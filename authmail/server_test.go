package authmail

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/go-login/auth"
)

const (
	testToken    = "dG9rZW4tdGhhdC1tdXN0LW5vdC1iZS1sb2dnZWQ"
	testLink     = "https://app.example/reset-password?token=" + testToken
	testPassword = "smtp-password-that-must-not-be-logged"
)

// received is a mail that a server has accepted.
type received struct{ from, to, content string }

// A server is a real SMTP server that a test can make misbehave.
type server struct {
	*smtp.Server
	addr  string
	roots *x509.CertPool
	got   chan received
	ended chan struct{} // receives once for each session that has ended

	mu       sync.Mutex
	sessions int      // number of sessions begun
	commands int      // number of MAIL and AUTH commands without TLS
	users    []string // users who logged in
	last     *smtp.Conn

	implicit   bool
	mechanisms []string
	listen     func(net.Listener) net.Listener
	rcpt       func(to string) error
	data       func(to, data string) error
}

func newServer(t *testing.T, set func(*server)) *server {
	t.Helper()
	h := httptest.NewTLSServer(nil) // for its certificate
	h.Close()
	s := &server{roots: x509.NewCertPool(), got: make(chan received, 200), ended: make(chan struct{}, 200)}
	s.roots.AddCert(h.Certificate())
	s.Server = smtp.NewServer(backend(s, smtp.AuthSession.Auth))
	s.TLSConfig = &tls.Config{Certificates: h.TLS.Certificates, MinVersion: tls.VersionTLS12}
	s.ErrorLog = log.New(io.Discard, "", 0)
	if set != nil {
		set(s)
	}
	l, err := net.Listen("tcp", cmp.Or(s.addr, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	if s.listen != nil {
		l = s.listen(l)
	}
	if s.implicit {
		l = tls.NewListener(l, s.TLSConfig)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { // runs after the mailer's Cleanup, which must have closed all connections
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error("connections are left:", err)
			_ = s.Close()
		}
	})
	return s
}

func (s *server) count() (sessions, commands int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions, s.commands
}

// receive waits for a mail.
func (s *server) receive(t *testing.T) received {
	t.Helper()
	return wait(t, s.got)
}

func wait[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(15 * time.Second):
		t.Fatal("nothing came")
	}
	return v
}

// backend makes the server's backend. S is sasl.Server, the type that the Auth
// method of smtp.AuthSession returns. It is a type parameter so that its
// package is not another direct dependency.
func backend[S any](s *server, _ func(smtp.AuthSession, string) (S, error)) smtp.Backend {
	return smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sessions++
		s.last = c
		session, ok := any(&session[S]{server: s, conn: c}).(smtp.Session)
		if !ok {
			return nil, errors.New("no session")
		}
		return session, nil
	})
}

type session[S any] struct {
	server *server
	conn   *smtp.Conn
	received
}

func (s *session[S]) command() {
	if _, ok := s.conn.TLSConnectionState(); !ok {
		s.server.mu.Lock()
		s.server.commands++
		s.server.mu.Unlock()
	}
}

func (s *session[S]) Reset()                   {}
func (s *session[S]) AuthMechanisms() []string { return s.server.mechanisms }

func (s *session[S]) Logout() error {
	s.server.ended <- struct{}{}
	return nil
}

func (s *session[S]) Mail(from string, _ *smtp.MailOptions) error {
	s.command()
	s.received = received{from: from}
	return nil
}

func (s *session[S]) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	if s.server.rcpt != nil {
		return s.server.rcpt(to)
	}
	return nil
}

func (s *session[S]) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.content = string(data)
	if s.server.data != nil {
		if err := s.server.data(s.to, s.content); err != nil {
			return err
		}
	}
	s.server.got <- s.received
	return nil
}

func (s *session[S]) Auth(mechanism string) (S, error) {
	s.command()
	server, ok := any(&saslServer{server: s.server, plain: mechanism == "PLAIN"}).(S)
	if !ok {
		return server, errors.New("no SASL server")
	}
	return server, nil
}

// saslServer implements PLAIN or LOGIN.
type saslServer struct {
	server *server
	plain  bool
	step   int
	user   string
}

func (a *saslServer) Next(response []byte) (challenge []byte, done bool, err error) {
	a.step++
	password := string(response)
	switch {
	case a.plain:
		_, rest, _ := strings.Cut(string(response), "\x00")
		a.user, password, _ = strings.Cut(rest, "\x00")
	case a.step == 1:
		return []byte("Username:"), false, nil
	case a.step == 2:
		a.user = string(response)
		return []byte("Password:"), false, nil
	}
	if a.user != "app" || password != testPassword {
		return nil, true, smtp.ErrAuthFailed
	}
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	a.server.users = append(a.server.users, a.user)
	return nil, true, nil
}

// fakeClock is a clock that jumps to the end of each wait, or stands still.
type fakeClock struct {
	mu     sync.Mutex
	t      time.Time
	waits  []time.Duration
	stands bool
	onWait func()
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *fakeClock) after(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	c.waits = append(c.waits, d)
	c.mu.Unlock()
	if c.onWait != nil {
		c.onWait() // without the lock: it may wait for a goroutine that asks now
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stands {
		return nil
	}
	c.t = c.t.Add(d)
	fired := make(chan time.Time, 1)
	fired <- c.t
	return fired
}

func (c *fakeClock) waited() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waits
}

// failure has the arguments of a call of OnError.
type failure struct {
	mail auth.Mail
	err  error
}

// A client is a mailer under test.
type client struct {
	*Mailer
	clock  *fakeClock
	failed chan failure
}

// newClient makes a mailer that sends to s. When the test ends, it closes the
// mailer and checks that no secret is in its log.
func newClient(t *testing.T, s *server, set func(*Config, *fakeClock)) *client {
	t.Helper()
	c := &client{clock: &fakeClock{t: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)}, failed: make(chan failure, 200)}
	var logged lockedBuffer
	cfg := Config{
		Addr: s.addr, From: "The App <noreply@app.example>", TLSConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12},
		OnError: func(m auth.Mail, err error) { c.failed <- failure{m, err} },
		Logger:  slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if set != nil {
		set(&cfg, c.clock)
	}
	m, err := newMailer(cfg, clock{c.clock.now, c.clock.after})
	if err != nil {
		t.Fatal(err)
	}
	c.Mailer = m
	t.Cleanup(func() {
		_ = m.Close(t.Context()) // the context has ended, and the test is done
		for _, secret := range []string{testToken, testPassword} {
			if strings.Contains(logged.String(), secret) {
				t.Errorf("the log has a secret:\n%s", &logged)
			}
		}
		if t.Failed() {
			t.Logf("the log:\n%s", &logged)
		}
	})
	return c
}

// send queues a mail to an address.
func (c *client) send(t *testing.T, to string) {
	t.Helper()
	if err := c.Send(t.Context(), resetMail(to)); err != nil {
		t.Fatal(err)
	}
}

// resetMail returns a mail as package auth makes it.
func resetMail(to string) auth.Mail {
	return auth.Mail{
		Kind: auth.MailReset, To: to, User: &auth.Account{ID: "1", Username: "ann", Email: to},
		Link: auth.NewSecret(testLink), Lifetime: 30 * time.Minute,
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
