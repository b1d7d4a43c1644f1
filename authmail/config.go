// Package authmail sends the mails of package auth: [New] makes an auth.Mailer
// that delivers over SMTP from a queue, [NewPrinter] one that prints, for
// development.
//
//	mailer, err := authmail.New(authmail.Config{
//		Addr:     "smtp.example:587",
//		From:     "App <noreply@app.example>",
//		Username: "app",
//		Password: auth.NewSecret(os.Getenv("SMTP_PASSWORD")),
//	})
//	…
//	defer mailer.Close(ctx) // sends what still waits
//
// What the mails say can be replaced: see [Template].
package authmail

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// TLS says how the connection to the server is encrypted. A connection that
// cannot be encrypted as configured, or whose certificate is not valid for the
// host of Config.Addr, is not used: there is no falling back to plain text.
type TLS int

// The kinds of encryption.
const (
	StartTLS    TLS = iota // the default: begins in the clear, on port 587 as a rule, and must be upgraded
	ImplicitTLS            // TLS from the first byte, on port 465 as a rule
	NoTLS                  // none: only to a server on a loopback address, and without AUTH
)

// A Config holds the settings of a Mailer. Addr and From have no default.
type Config struct {
	// Addr is the host and port of the SMTP server: "smtp.example:587".
	Addr string

	// From is the sender: "App <noreply@app.example>". The address is ASCII,
	// its domain the one of the Message-IDs.
	From string

	// TLS is StartTLS by default.
	TLS TLS

	// Username and Password log in to the server, with AUTH PLAIN or LOGIN and
	// over TLS only. Without both there is no AUTH.
	Username string
	Password auth.Secret

	// Timeout limits how long the server may take to accept a connection, to
	// get through its greeting, TLS and AUTH, and to take one mail, each for
	// itself: 10 seconds by default. A mail that a server accepts later than
	// this is sent a second time.
	Timeout time.Duration

	// Queue is how many mails may wait, those to be sent again included: 100
	// by default. Beyond it Send returns ErrQueueFull.
	Queue int

	// Attempts is how often a mail is tried: 5 by default, at most 20. The
	// pauses between them are 5 seconds, 25 seconds, 2 minutes, 10 minutes and
	// from then on 15 minutes, which outlasts a restart of the server and most
	// greylisting (RFC 6647) while a link of half an hour is still good.
	Attempts int

	// Templates replaces the text of mails, each part of each kind by itself.
	Templates map[auth.MailKind]Template

	// OnError, if set, is told of each mail that was accepted by Send and will
	// not be sent, and why: ErrRefused, ErrExpired, ErrClosed, or the failure
	// of the last attempt. It runs in the mailer's goroutine, so it should be
	// quick and must not call Close. Its panics are logged and go no further.
	OnError func(m auth.Mail, err error)

	// Logger gets a record for each attempt that failed: slog.Default() by
	// default. It is told the address, never the link.
	Logger *slog.Logger

	// HELO is the name that the server is told: the domain of From by default.
	HELO string

	// TLSConfig, if set, is used for TLS, for instance with the RootCAs of a
	// private authority. ServerName defaults to the host of Addr.
	// InsecureSkipVerify is refused without VerifyConnection.
	TLSConfig *tls.Config
}

// settings are a Config with its defaults, and what was parsed of it.
type settings struct {
	Config
	from mail.Address // From
	host string       // of Addr
	port int
}

// newSettings fills in what is not set, and returns an error for what is wrong.
func newSettings(c Config) (*settings, error) {
	cfg := &settings{Config: c}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Queue == 0 {
		cfg.Queue = 100
	}
	if cfg.Attempts == 0 {
		cfg.Attempts = 5
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	switch {
	case cfg.Timeout < 0:
		return nil, fmt.Errorf("authmail: Timeout %v is negative", cfg.Timeout)
	case cfg.Queue < 0:
		return nil, fmt.Errorf("authmail: Queue %d is negative", cfg.Queue)
	case cfg.Attempts < 0 || cfg.Attempts > 20:
		return nil, fmt.Errorf("authmail: Attempts %d is not between 1 and 20", cfg.Attempts)
	}
	for _, set := range []func() error{cfg.setSender, cfg.setServer, cfg.setTLS} {
		if err := set(); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

func (cfg *settings) setSender() error {
	from, err := mail.ParseAddress(cfg.From)
	if err != nil {
		return fmt.Errorf("authmail: From %q is not an address: %w", cfg.From, err)
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	if !isPlain(from.Address) || (&mail.Address{Address: from.Address}).String() != "<"+from.Address+">" || !isHostName(domain) {
		return fmt.Errorf("authmail: the address in From %q is not a simple one in ASCII", cfg.From)
	}
	cfg.from = *from
	if cfg.HELO == "" {
		cfg.HELO = domain
	}
	if !isPlain(cfg.HELO) {
		return fmt.Errorf("authmail: HELO %q is not a host name", cfg.HELO)
	}
	return nil
}

func (cfg *settings) setServer() error {
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return fmt.Errorf("authmail: Addr %q is not a host and a port: %w", cfg.Addr, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	ip, ipErr := netip.ParseAddr(host)
	if err != nil || number == 0 || ipErr != nil && !isHostName(host) {
		return fmt.Errorf("authmail: Addr %q is not a host and a port", cfg.Addr)
	}
	cfg.host, cfg.port = host, int(number)
	switch {
	case cfg.TLS < StartTLS || cfg.TLS > NoTLS:
		return fmt.Errorf("authmail: unknown TLS %d", cfg.TLS)
	case cfg.TLS == NoTLS && !strings.EqualFold(host, "localhost") && (ipErr != nil || !ip.IsLoopback()):
		return fmt.Errorf("authmail: NoTLS is for a server on a loopback address, and %q is none", host)
	case cfg.TLS == StartTLS && number == 465:
		return errors.New("authmail: port 465 begins with TLS: set TLS to ImplicitTLS")
	case cfg.TLS == ImplicitTLS && (number == 25 || number == 587):
		return fmt.Errorf("authmail: port %d does not begin with TLS: set TLS to StartTLS", number)
	case (cfg.Username == "") != cfg.Password.IsZero():
		return errors.New("authmail: Username and Password go together")
	case cfg.TLS == NoTLS && cfg.Username != "":
		return errors.New("authmail: a password is not sent without TLS")
	}
	return nil
}

func (cfg *settings) setTLS() error {
	switch {
	case cfg.TLS == NoTLS && cfg.TLSConfig != nil:
		return errors.New("authmail: a TLSConfig, and NoTLS")
	case cfg.TLSConfig == nil:
		cfg.TLSConfig = &tls.Config{} // crypto/tls asks for TLS 1.2 at least
	default:
		cfg.TLSConfig = cfg.TLSConfig.Clone()
	}
	if cfg.TLSConfig.InsecureSkipVerify && cfg.TLSConfig.VerifyConnection == nil {
		return errors.New("authmail: TLSConfig verifies no certificate: set its RootCAs instead")
	}
	if cfg.TLSConfig.ServerName == "" {
		cfg.TLSConfig.ServerName = cfg.host
	}
	return nil
}

// isHostName reports whether s looks like the name of a host, in ASCII.
func isHostName(s string) bool {
	return s != "" && len(s) <= 253 && strings.Trim(s, "-.") == s && !strings.ContainsFunc(s, func(r rune) bool {
		return ('a' > r || r > 'z') && ('A' > r || r > 'Z') && ('0' > r || r > '9') && !strings.ContainsRune("-._", r)
	})
}

// isPlain reports whether s is ASCII without spaces and control characters.
func isPlain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
