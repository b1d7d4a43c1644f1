package authmail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/go-login/auth"
	gomailsmtp "github.com/wneessen/go-mail/smtp"
)

var (
	errLater  = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted"}
	errNobody = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
)

// mustFail waits for OnError.
func (c *client) mustFail(t *testing.T, want error) failure {
	t.Helper()
	f := wait(t, c.failed)
	if want != nil && !errors.Is(f.err, want) {
		t.Errorf("OnError was told %v, not %v", f.err, want)
	}
	if strings.Contains(f.err.Error(), testToken) || strings.Contains(f.err.Error(), testPassword) {
		t.Errorf("OnError was told a secret: %v", f.err)
	}
	return f
}

func withAuth(cfg *Config, _ *fakeClock) {
	cfg.Username, cfg.Password = "app", auth.NewSecret(testPassword)
}

func TestEncryptionAndAuth(t *testing.T) {
	for _, test := range []struct {
		name       string
		tls        TLS
		mechanisms []string
	}{
		{"STARTTLS", StartTLS, nil},
		{"STARTTLS, PLAIN", StartTLS, []string{"LOGIN", "PLAIN"}},
		{"STARTTLS, LOGIN", StartTLS, []string{"CRAM-MD5", "LOGIN"}},
		{"implicit TLS", ImplicitTLS, nil},
		{"implicit TLS, PLAIN", ImplicitTLS, []string{"PLAIN"}},
		{"implicit TLS, LOGIN", ImplicitTLS, []string{"LOGIN"}},
		{"none", NoTLS, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, func(s *server) { s.implicit, s.mechanisms = test.tls == ImplicitTLS, test.mechanisms })
			c := newClient(t, s, func(cfg *Config, clock *fakeClock) {
				cfg.TLS = test.tls
				if test.tls == NoTLS {
					cfg.TLSConfig = nil
				}
				if test.mechanisms != nil {
					withAuth(cfg, clock)
				}
			})
			c.send(t, "ann@app.example")
			s.receive(t)
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if _, commands := s.count(); commands != 0 && test.tls != NoTLS {
				t.Errorf("%d commands in the clear", commands)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if loggedIn := len(s.users) == 1; loggedIn != (test.mechanisms != nil) {
				t.Errorf("logged in: %v", s.users)
			}
		})
	}
}

func TestBadCredentials(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		s := newServer(t, func(s *server) { s.mechanisms = []string{mechanism} })
		c := newClient(t, s, func(cfg *Config, _ *fakeClock) {
			cfg.Username, cfg.Password = "app", auth.NewSecret(testPassword+"!")
		})
		c.send(t, "ann@app.example")
		c.mustFail(t, ErrRefused)
		if waits := c.clock.waited(); waits != nil {
			t.Errorf("%s: it was tried again: %v", mechanism, waits)
		}
	}
}

// A mail that cannot be sent safely is not sent.
func TestRefusesToSend(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // so that no finalizer closes a connection that we forgot
	for name, test := range map[string]struct {
		server func(*server)
		client func(*Config, *fakeClock)
	}{
		"STARTTLS stripped": {func(s *server) { s.TLSConfig = nil }, nil},
		"STARTTLS stripped, AUTH offered": {func(s *server) {
			s.TLSConfig, s.AllowInsecureAuth, s.mechanisms = nil, true, []string{"PLAIN"}
		}, withAuth},
		"no AUTH":           {func(*server) {}, withAuth},
		"no AUTH we know":   {func(s *server) { s.mechanisms = []string{"CRAM-MD5"} }, withAuth},
		"unknown authority": {func(*server) {}, func(cfg *Config, _ *fakeClock) { cfg.TLSConfig = nil }},
		"wrong host":        {func(*server) {}, func(cfg *Config, _ *fakeClock) { cfg.TLSConfig.ServerName = "smtp.app.example" }},
		"wrong host, implicit TLS": {func(s *server) { s.implicit = true }, func(cfg *Config, _ *fakeClock) {
			cfg.TLS, cfg.TLSConfig.ServerName = ImplicitTLS, "smtp.app.example"
		}},
		"implicit TLS, plain server": {func(*server) {}, func(cfg *Config, _ *fakeClock) { cfg.TLS = ImplicitTLS }},
		"old TLS": {func(s *server) { s.TLSConfig.MaxVersion = tls.VersionTLS11; s.TLSConfig.MinVersion = tls.VersionTLS10 }, func(cfg *Config, _ *fakeClock) {
			cfg.TLSConfig = &tls.Config{RootCAs: cfg.TLSConfig.RootCAs}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, test.server)
			c := newClient(t, s, test.client)
			c.send(t, "ann@app.example")
			f := c.mustFail(t, nil)
			if len(c.clock.waited()) != 4 || errors.Is(f.err, ErrRefused) {
				t.Errorf("not tried 5 times: %v, %v", c.clock.waited(), f.err)
			}
			sessions, commands := s.count()
			if commands != 0 {
				t.Errorf("%d commands in the clear", commands)
			}
			for range sessions { // before Close, so that no connection is left
				wait(t, s.ended)
			}
		})
	}
}

// go-mail would send a password to localhost without TLS.
func TestNoPasswordWithoutTLS(t *testing.T) {
	l := &login{host: "localhost", username: "app", password: auth.NewSecret(testPassword)}
	if _, data, err := l.Start(&gomailsmtp.ServerInfo{Name: "localhost", Auth: []string{"PLAIN"}}); err == nil || data != nil {
		t.Errorf("%q, %v", data, err)
	}
}

func TestRefusedRecipient(t *testing.T) {
	s := newServer(t, func(s *server) {
		s.rcpt = func(to string) error {
			if strings.HasPrefix(to, "nobody") {
				return errNobody
			}
			return nil
		}
	})
	c := newClient(t, s, nil)
	m, told := resetMail("nobody@app.example"), make(chan error, 2)
	m.Failed = func(err error) { told <- err }
	if err := c.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	c.send(t, "ann@app.example")
	if f := c.mustFail(t, ErrRefused); f.mail.To != "nobody@app.example" || !strings.Contains(f.err.Error(), "no such user") {
		t.Errorf("%q: %v", f.mail.To, f.err)
	}
	if len(told) != 1 || !errors.Is(<-told, ErrRefused) {
		t.Error("Mail.Failed was not told, or something else")
	}
	if got := s.receive(t); got.to != "ann@app.example" {
		t.Errorf("sent to %q", got.to)
	}
	if waits := c.clock.waited(); waits != nil {
		t.Errorf("it was tried again: %v", waits)
	}
}

// If a server quotes the mail it refuses, the token does not get into the log.
func TestRefusedWithQuotation(t *testing.T) {
	s := newServer(t, func(s *server) {
		s.data = func(string, string) error {
			return &smtp.SMTPError{Code: 554, Message: "spam: " + testLink + " and " + testToken + " of " + testPassword}
		}
		s.mechanisms = []string{"PLAIN"}
	})
	c := newClient(t, s, withAuth)
	c.send(t, "ann@app.example")
	if f := c.mustFail(t, ErrRefused); !strings.Contains(f.err.Error(), "spam: [redacted]") || f.mail.Link.Reveal() != testLink {
		t.Error(f.err)
	}
}

func TestTemporaryFailure(t *testing.T) {
	for name, set := range map[string]func(s *server, later func() error){
		"RCPT": func(s *server, later func() error) { s.rcpt = func(string) error { return later() } },
		"DATA": func(s *server, later func() error) { s.data = func(string, string) error { return later() } },
	} {
		t.Run(name, func(t *testing.T) {
			failures := 0
			s := newServer(t, func(s *server) {
				set(s, func() error {
					if failures++; failures <= 2 {
						return errLater
					}
					return nil
				})
			})
			c := newClient(t, s, nil)
			c.send(t, "ann@app.example")
			p := parse(t, s.receive(t).content) // rendered once, sent three times
			if p.Get("Date") != "Mon, 04 May 2026 03:02:01 +0000" || strings.Count(p.text, testLink) != 1 || strings.Count(p.html, "href") != 2 {
				t.Errorf("the mail is\n%v", p)
			}
			if waits := c.clock.waited(); !slices.Equal(waits, []time.Duration{5 * time.Second, 25 * time.Second}) {
				t.Errorf("the pauses: %v", waits)
			}
		})
	}
}

func TestAttempts(t *testing.T) {
	s := newServer(t, func(s *server) { s.rcpt = func(string) error { return errLater } })
	for _, test := range []struct {
		attempts int
		lifetime time.Duration
		want     error
		waits    []time.Duration
	}{
		{0, 30 * time.Minute, nil, []time.Duration{5 * time.Second, 25 * time.Second, 125 * time.Second, 625 * time.Second}},
		{7, 0, nil, []time.Duration{
			5 * time.Second, 25 * time.Second, 125 * time.Second, 625 * time.Second, 15 * time.Minute, 15 * time.Minute,
		}},
		{1, time.Hour, nil, nil},
		{5, 2 * time.Minute, ErrExpired, []time.Duration{5 * time.Second, 25 * time.Second}},
	} {
		c := newClient(t, s, func(cfg *Config, _ *fakeClock) { cfg.Attempts = test.attempts })
		m := resetMail("ann@app.example")
		m.Lifetime = test.lifetime
		if err := c.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if f := c.mustFail(t, test.want); errors.Is(f.err, ErrRefused) || !strings.Contains(f.err.Error(), "greylisted") {
			t.Error(f.err)
		}
		if waits := c.clock.waited(); !slices.Equal(waits, test.waits) {
			t.Errorf("%d attempts: the pauses were %v", test.attempts, waits)
		}
	}
}

// A mail that waits for its next attempt does not delay others.
func TestOthersGoOn(t *testing.T) {
	s := newServer(t, func(s *server) {
		s.rcpt = func(to string) error {
			if to == "grey@app.example" {
				return errLater
			}
			return nil
		}
	})
	waiting := make(chan struct{}, 10)
	c := newClient(t, s, func(_ *Config, clock *fakeClock) {
		clock.stands, clock.onWait = true, func() { waiting <- struct{}{} }
	})
	c.send(t, "grey@app.example")
	wait(t, waiting)
	c.send(t, "ann@app.example")
	s.receive(t)
}

// hung lets the first n connections wait for a greeting that never comes.
type hung struct {
	net.Listener
	n        int
	accepted chan struct{} // receives once for each of them
	ended    chan struct{} // receives when the client has closed one
}

func (h *hung) Accept() (net.Conn, error) {
	for {
		conn, err := h.Listener.Accept()
		if err != nil || h.n == 0 {
			return conn, err
		}
		h.n--
		h.accepted <- struct{}{}
		go func() {
			_, _ = io.Copy(io.Discard, conn) // until the client closes it
			_ = conn.Close()
			h.ended <- struct{}{}
		}()
	}
}

func TestServerHangsAtGreeting(t *testing.T) {
	for _, mode := range []TLS{StartTLS, ImplicitTLS, NoTLS} {
		ended := make(chan struct{}, 10)
		s := newServer(t, func(s *server) {
			s.implicit = mode == ImplicitTLS
			s.listen = func(l net.Listener) net.Listener { return &hung{l, 2, make(chan struct{}, 10), ended} }
		})
		c := newClient(t, s, func(cfg *Config, _ *fakeClock) {
			cfg.TLS, cfg.Timeout = mode, 500*time.Millisecond
			if mode == NoTLS {
				cfg.TLSConfig = nil
			}
		})
		for i := range 20 { // while the server hangs, Send does not wait
			c.send(t, fmt.Sprintf("user%d@app.example", i))
		}
		for range 20 {
			s.receive(t)
		}
		wait(t, ended)
		wait(t, ended)
		// One attempt at the connection counted as an attempt at all mails.
		if n := len(c.clock.waited()); n < 1 || n > 4 {
			t.Errorf("mode %d: %d pauses", mode, n)
		}
	}
}

// rude closes every connection; the first one when the test says so.
type rude struct {
	net.Listener
	hold  *stall
	conns atomic.Int32
}

func (r *rude) Accept() (net.Conn, error) {
	for {
		conn, err := r.Listener.Accept()
		if err != nil {
			return nil, err
		}
		r.conns.Add(1)
		_ = r.hold.rcpt("")
		_ = conn.Close()
	}
}

// If a server is down, the mailer tries it once, not once per mail.
func TestServerDownIsAskedOnce(t *testing.T) {
	r := &rude{hold: newStall()}
	s := newServer(t, func(s *server) {
		s.listen = func(l net.Listener) net.Listener { r.Listener = l; return r }
	})
	c := newClient(t, s, func(cfg *Config, _ *fakeClock) { cfg.Attempts = 3 })
	c.send(t, "ann@app.example")
	wait(t, r.hold.reached)
	for range 9 {
		c.send(t, "ann@app.example")
	}
	close(r.hold.release)
	for range 10 {
		c.mustFail(t, nil)
	}
	if n := r.conns.Load(); n != 3 {
		t.Errorf("%d connections for 3 attempts at 10 mails", n)
	}
}

func TestServerHangsAtData(t *testing.T) {
	release := make(chan struct{})
	var hangs atomic.Int32
	s := newServer(t, func(s *server) {
		s.data = func(to, _ string) error {
			if to == "first@app.example" && hangs.Add(1) == 1 {
				<-release
				return errLater
			}
			return nil
		}
	})
	defer close(release)
	c := newClient(t, s, func(cfg *Config, _ *fakeClock) { cfg.Timeout = 500 * time.Millisecond })
	var want, got []string
	for _, name := range []string{"first", "second", "third"} {
		want = append(want, name+"@app.example")
		c.send(t, name+"@app.example")
	}
	for range 3 {
		got = append(got, s.receive(t).to)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("sent to %v", got)
	}
}

func TestServerComesBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	up, sent := make(chan *server, 1), make(chan struct{})
	go func() { // the first attempt fails when all three are sent, so that all are due at once
		conn, err := l.Accept()
		<-sent
		_ = l.Close()
		if err == nil {
			_ = conn.Close()
		}
	}()
	s := newServer(t, nil) // another address, with the same certificate
	c := newClient(t, s, func(cfg *Config, clock *fakeClock) {
		cfg.Addr = addr
		clock.onWait = func() {
			if len(clock.waited()) == 3 {
				up <- newServer(t, func(s *server) { s.addr = addr })
			}
		}
	})
	for range 3 {
		c.send(t, "ann@app.example")
	}
	close(sent)
	back := wait(t, up)
	for range 3 {
		back.receive(t)
	}
	if sessions, _ := back.count(); sessions > 2 { // STARTTLS begins a second one
		t.Errorf("%d sessions for 3 mails that were due together", sessions)
	}
}

// stall lets the test hold the server at its first RCPT.
type stall struct {
	reached, release chan struct{}
	once             sync.Once
}

func newStall() *stall { return &stall{reached: make(chan struct{}), release: make(chan struct{})} }

func (s *stall) rcpt(string) error {
	s.once.Do(func() {
		close(s.reached)
		<-s.release
	})
	return nil
}

func TestConnectionIsReused(t *testing.T) {
	hold := newStall()
	s := newServer(t, func(s *server) { s.rcpt, s.implicit = hold.rcpt, true })
	c := newClient(t, s, func(cfg *Config, _ *fakeClock) { cfg.TLS = ImplicitTLS })
	c.send(t, "ann@app.example")
	wait(t, hold.reached)
	for range 9 {
		c.send(t, "ann@app.example")
	}
	close(hold.release)
	for range 10 {
		s.receive(t)
	}
	if sessions, _ := s.count(); sessions != 1 {
		t.Errorf("%d sessions for 10 mails", sessions)
	}
}

// If a server ends a connection after some mails, that is not a refusal.
func TestConnectionIsRenewed(t *testing.T) {
	for name, end := range map[string]func(s *server) error{
		"421": func(*server) error { return &smtp.SMTPError{Code: 421, Message: "enough for now"} },
		"closed": func(s *server) error {
			_ = s.last.Close()
			return errLater
		},
	} {
		t.Run(name, func(t *testing.T) {
			hold := newStall()
			n := 0
			s := newServer(t, func(s *server) {
				s.rcpt = func(to string) error {
					_ = hold.rcpt(to)
					if n++; n%3 == 0 {
						return end(s)
					}
					return nil
				}
			})
			c := newClient(t, s, nil)
			c.send(t, "ann@app.example")
			wait(t, hold.reached)
			for range 6 {
				c.send(t, "ann@app.example")
			}
			close(hold.release)
			for range 7 {
				s.receive(t)
			}
			if waits := c.clock.waited(); waits != nil {
				t.Errorf("a failure was counted: %v", waits)
			}
		})
	}
}

func TestQueueFull(t *testing.T) {
	hold := newStall()
	s := newServer(t, func(s *server) { s.rcpt = hold.rcpt })
	c := newClient(t, s, func(cfg *Config, _ *fakeClock) { cfg.Queue = 3 })
	c.send(t, "ann@app.example")
	wait(t, hold.reached) // the mail being sent counts
	c.send(t, "ann@app.example")
	c.send(t, "ann@app.example")
	if err := c.Send(t.Context(), resetMail("ann@app.example")); !errors.Is(err, ErrQueueFull) {
		t.Error(err)
	}
	close(hold.release)
	for range 3 {
		s.receive(t)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestExpiresInTheQueue(t *testing.T) {
	hold := newStall()
	s := newServer(t, func(s *server) { s.rcpt = hold.rcpt })
	c := newClient(t, s, nil)
	c.send(t, "ann@app.example")
	wait(t, hold.reached)
	c.send(t, "late@app.example")
	<-c.clock.after(30 * time.Minute)
	close(hold.release)
	s.receive(t)
	if f := c.mustFail(t, ErrExpired); f.mail.To != "late@app.example" {
		t.Error(f.mail.To)
	}
}

func TestSendIgnoresTheContext(t *testing.T) {
	s := newServer(t, nil)
	c := newClient(t, s, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Send(ctx, resetMail("ann@app.example")); err != nil {
		t.Fatal(err)
	}
	s.receive(t)
}

func TestParallelSends(t *testing.T) {
	s := newServer(t, nil)
	c := newClient(t, s, nil)
	var sends sync.WaitGroup
	for i := range 50 {
		sends.Go(func() { c.send(t, fmt.Sprintf("user%d@app.example", i)) })
	}
	sends.Wait()
	seen, ids := map[string]bool{}, map[string]bool{}
	for range 50 {
		got := s.receive(t)
		seen[got.to] = true
		ids[parse(t, got.content).Get("Message-Id")] = true
	}
	if len(seen) != 50 || len(ids) != 50 {
		t.Errorf("%d recipients, %d Message-IDs", len(seen), len(ids))
	}
}

func TestCloseDrains(t *testing.T) {
	hold := newStall()
	s := newServer(t, func(s *server) { s.rcpt = hold.rcpt })
	c := newClient(t, s, nil)
	for range 10 {
		c.send(t, "ann@app.example")
	}
	wait(t, hold.reached)
	closed := make(chan error, 5)
	for range 5 {
		go func() { closed <- c.Close(context.Background()) }()
	}
	close(hold.release)
	for range 5 {
		if err := wait(t, closed); err != nil {
			t.Error(err)
		}
	}
	if n := len(s.got); n != 10 {
		t.Errorf("%d of 10 were sent", n)
	}
	if err := c.Send(t.Context(), resetMail("ann@app.example")); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
	expired, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Close(expired); err != nil {
		t.Errorf("Close after Close: %v", err)
	}
	for begin := time.Now(); ; runtime.Gosched() { // the goroutine may still be ending
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		if !strings.Contains(stacks.String(), "(*Mailer).run") {
			break
		}
		if time.Since(begin) > 5*time.Second {
			t.Fatalf("the goroutine is still there:\n%s", &stacks)
		}
	}
}

// When the mailer closes, mails that wait for their next attempt are tried at
// once.
func TestCloseTriesAgain(t *testing.T) {
	failures := 0
	s := newServer(t, func(s *server) {
		s.rcpt = func(string) error {
			if failures++; failures == 1 {
				return errLater
			}
			return nil
		}
	})
	waiting := make(chan struct{}, 10)
	c := newClient(t, s, func(_ *Config, clock *fakeClock) {
		clock.stands, clock.onWait = true, func() { waiting <- struct{}{} }
	})
	c.send(t, "ann@app.example")
	wait(t, waiting)
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	s.receive(t)
}

// When Close's context ends, even a server that does not answer is interrupted.
func TestCloseGivesUp(t *testing.T) {
	accepted, ended := make(chan struct{}, 1), make(chan struct{}, 1)
	hold := newStall()
	for name, set := range map[string]func(*server){
		"greeting": func(s *server) {
			s.listen = func(l net.Listener) net.Listener { return &hung{l, 1, accepted, ended} }
		},
		"TLS": func(s *server) {
			s.implicit, s.listen = true, func(l net.Listener) net.Listener { return &hung{l, 1, accepted, ended} }
		},
		"RCPT": func(s *server) { s.rcpt = hold.rcpt },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, set)
			c := newClient(t, s, func(cfg *Config, _ *fakeClock) {
				cfg.Timeout = time.Hour
				if s.implicit {
					cfg.TLS = ImplicitTLS
				}
			})
			for range 3 {
				c.send(t, "ann@app.example")
			}
			if name == "RCPT" {
				wait(t, hold.reached)
				defer close(hold.release)
			} else {
				wait(t, accepted)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			closed := make(chan error, 2)
			go func() { closed <- c.Close(ctx) }()
			go func() { closed <- c.Close(context.Background()) }()
			for range 2 {
				if err := wait(t, closed); err == nil || !strings.Contains(err.Error(), "3 unsent") {
					t.Errorf("Close: %v", err)
				}
			}
			for range 3 {
				c.mustFail(t, ErrClosed)
			}
			if name != "RCPT" {
				wait(t, ended)
			}
		})
	}
}

func TestOnErrorPanics(t *testing.T) {
	s := newServer(t, func(s *server) {
		s.rcpt = func(to string) error {
			if to == "nobody@app.example" {
				return errNobody
			}
			return nil
		}
	})
	c := newClient(t, s, func(cfg *Config, _ *fakeClock) {
		cfg.OnError = func(m auth.Mail, _ error) { panic("no: " + m.Link.Reveal()) }
	})
	c.send(t, "nobody@app.example")
	c.send(t, "ann@app.example")
	s.receive(t)
}

// If a template fails only with some data, OnError gets the error.
func TestRenderingFails(t *testing.T) {
	s := newServer(t, nil)
	c := newClient(t, s, func(cfg *Config, _ *fakeClock) {
		cfg.Content.Templates = map[auth.MailKind]Template{auth.MailReset: {Text: `{{.Link}}{{if eq .Username "ann"}}{{slice .Link 1000}}{{end}}`}}
	})
	c.send(t, "ann@app.example")
	c.mustFail(t, nil)
}

func TestConfig(t *testing.T) {
	good := func() Config { return Config{Addr: "smtp.app.example:587", From: "App <noreply@app.example>"} }
	password := auth.NewSecret("x")
	for name, set := range map[string]func(*Config){
		"no Addr":           func(c *Config) { c.Addr = "" },
		"no port":           func(c *Config) { c.Addr = "smtp.app.example" },
		"port 0":            func(c *Config) { c.Addr = "smtp.app.example:0" },
		"named port":        func(c *Config) { c.Addr = "smtp.app.example:smtp" },
		"no host":           func(c *Config) { c.Addr = ":587" },
		"bad host":          func(c *Config) { c.Addr = "smtp app.example:587" },
		"no From":           func(c *Config) { c.From = "" },
		"bad From":          func(c *Config) { c.From = "App noreply" },
		"two in From":       func(c *Config) { c.From = "a@app.example, b@app.example" },
		"From with CR LF":   func(c *Config) { c.From = "a@app.example\r\nBcc: b@app.example" },
		"From not ASCII":    func(c *Config) { c.From = "a@bücher.example" },
		"From quoted":       func(c *Config) { c.From = `"a b"@app.example` },
		"From with literal": func(c *Config) { c.From = "a@[127.0.0.1]" },
		"unknown TLS":       func(c *Config) { c.TLS = 3 },
		"465 with StartTLS": func(c *Config) { c.Addr = "smtp.app.example:465" },
		"587 with implicit": func(c *Config) { c.TLS = ImplicitTLS },
		"NoTLS elsewhere":   func(c *Config) { c.TLS = NoTLS },
		"NoTLS, AUTH":       func(c *Config) { c.TLS, c.Addr, c.Username, c.Password = NoTLS, "127.0.0.1:25", "a", password },
		"NoTLS, TLSConfig": func(c *Config) {
			c.TLS, c.Addr, c.TLSConfig = NoTLS, "127.0.0.1:25", &tls.Config{MinVersion: tls.VersionTLS13}
		},
		"no password":        func(c *Config) { c.Username = "app" },
		"no username":        func(c *Config) { c.Password = password },
		"Timeout":            func(c *Config) { c.Timeout = -1 },
		"Queue":              func(c *Config) { c.Queue = -1 },
		"Attempts":           func(c *Config) { c.Attempts = -1 },
		"many Attempts":      func(c *Config) { c.Attempts = 21 },
		"HELO":               func(c *Config) { c.HELO = "a\r\nMAIL FROM:<>" },
		"InsecureSkipVerify": func(c *Config) { c.TLSConfig = &tls.Config{InsecureSkipVerify: true} }, //nolint:gosec // G402: New refuses it
	} {
		cfg := good()
		set(&cfg)
		if m, err := New(cfg); err == nil {
			t.Errorf("%s: New took it", name)
			_ = m.Close(t.Context())
		} else if !strings.HasPrefix(err.Error(), "authmail: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, set := range map[string]func(*Config){
		"plain":         func(*Config) {},
		"implicit":      func(c *Config) { c.TLS, c.Addr = ImplicitTLS, "smtp.app.example:465" },
		"AUTH":          func(c *Config) { c.Username, c.Password = "app", password },
		"NoTLS, name":   func(c *Config) { c.TLS, c.Addr = NoTLS, "localhost:1025" },
		"NoTLS, IPv4":   func(c *Config) { c.TLS, c.Addr = NoTLS, "127.0.0.1:1025" },
		"NoTLS, IPv6":   func(c *Config) { c.TLS, c.Addr = NoTLS, "[::1]:1025" },
		"From loopback": func(c *Config) { c.From = "app@localhost" },
		"From UTF-8":    func(c *Config) { c.From = "Bücher <a@app.example>" },
	} {
		cfg := good()
		set(&cfg)
		m, err := New(cfg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := m.Close(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6:", err)
	}
	_ = l.Close()
	s := newServer(t, func(s *server) { s.addr = "[::1]:0" })
	c := newClient(t, s, nil)
	c.send(t, "ann@app.example")
	s.receive(t)
}
