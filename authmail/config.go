// Package authmail makes and sends the mails of package auth, in English, German and
// Spanish. [New] makes an auth.Mailer that delivers mails over SMTP from a queue.
// [NewPrinter] makes one that prints them, for development. [NewRenderer] makes only
// their text, for applications that send mails through an API.
//
//	mailer, err := authmail.New(authmail.Config{
//		Addr:     "smtp.example:587",
//		From:     "App <noreply@app.example>",
//		Username: "app",
//		Password: auth.NewSecret(os.Getenv("SMTP_PASSWORD")),
//	})
//	…
//	defer mailer.Close(ctx) // sends the mails that still wait
//
// A mail says what happened, when, and from which browser and address. Its language is that
// of the user: see Languages of auth.Config. To change the texts and the look of mails, see
// [Content].
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

// TLS says how the connection to the server is encrypted. If the connection
// cannot be encrypted as configured, or the certificate is not valid for the
// host of Config.Addr, it is not used: the mailer never falls back to plain
// text.
type TLS int

// The kinds of encryption.
const (
	StartTLS    TLS = iota // the default: begins in plain text, usually on port 587, and must be upgraded to TLS
	ImplicitTLS            // TLS from the first byte, usually on port 465
	NoTLS                  // no encryption: only for a server on a loopback address, and without AUTH
)

// A Config holds the settings of a Mailer. Addr and From have no default.
type Config struct {
	// Addr is the host and port of the SMTP server: "smtp.example:587".
	Addr string

	// From is the sender: "App <noreply@app.example>". The address must be
	// ASCII. Its domain is used in Message-IDs.
	From string

	// TLS is StartTLS by default.
	TLS TLS

	// Username and Password log in to the server, with AUTH PLAIN or LOGIN and
	// over TLS only. If both are empty, AUTH is not used.
	Username string
	Password auth.Secret

	// Timeout limits three steps separately: the server accepts a connection;
	// greeting, TLS and AUTH; the server accepts one mail. The default is 10
	// seconds. If a server accepts a mail later than that, the mail is sent a
	// second time.
	Timeout time.Duration

	// Queue is how many mails may wait, including those to be tried again: 100
	// by default. If the queue is full, Send returns ErrQueueFull.
	Queue int

	// Attempts is how often a mail is tried: 5 by default, at most 20. The
	// pauses between attempts are 5 seconds, 25 seconds, 2 minutes, 10 minutes
	// and from then on 15 minutes. By default they outlast a restart of the
	// server and most greylisting (RFC 6647), and a link of half an hour is
	// still valid.
	Attempts int

	// Content says what the mails contain and how they look. The default of its
	// Site is the name in From.
	Content Content

	// OnError, if not nil, is called for each mail that Send accepted and that
	// will not be sent. err is ErrRefused, ErrExpired, ErrClosed, or the
	// failure of the last attempt. OnError runs in the mailer's goroutine, so
	// it should be quick and must not call Close. If it panics, the mailer logs
	// that and continues.
	OnError func(m auth.Mail, err error)

	// Logger gets a record for each failed attempt: slog.Default() by default.
	// Records have the address, never the link.
	Logger *slog.Logger

	// HELO is the name that the mailer gives to the server: the domain of From
	// by default.
	HELO string

	// TLSConfig, if not nil, is used for TLS, for instance with the RootCAs of
	// a private authority. ServerName defaults to the host of Addr.
	// InsecureSkipVerify is refused unless VerifyConnection is set.
	TLSConfig *tls.Config
}

// settings are a Config with its defaults, and values parsed from it.
type settings struct {
	Config
	from mail.Address // From
	host string       // of Addr
	port int
}

// newSettings sets the defaults, and returns an error if a setting is wrong.
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
		return nil, fmt.Errorf("authmail: Config.Timeout %v is negative; use a positive duration, or 0 for 10 seconds", cfg.Timeout)
	case cfg.Queue < 0:
		return nil, fmt.Errorf("authmail: Config.Queue %d is negative; use a positive number, or 0 for 100", cfg.Queue)
	case cfg.Attempts < 0 || cfg.Attempts > 20:
		return nil, fmt.Errorf("authmail: Config.Attempts %d is not between 1 and 20; 0 means 5", cfg.Attempts)
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
		return fmt.Errorf("authmail: Config.From %q is not an address such as \"App <noreply@app.example>\": %w", cfg.From, err)
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	if !isPlain(from.Address) || (&mail.Address{Address: from.Address}).String() != "<"+from.Address+">" || !isHostName(domain) {
		return fmt.Errorf("authmail: Config.From %q: use an address in ASCII, without quotes, and with a domain name", cfg.From)
	}
	cfg.from = *from
	if cfg.Content.Site == "" {
		cfg.Content.Site = from.Name
	}
	if cfg.HELO == "" {
		cfg.HELO = domain
	}
	if !isPlain(cfg.HELO) {
		return fmt.Errorf("authmail: Config.HELO %q is not a host name; use one such as \"app.example\", or leave it empty", cfg.HELO)
	}
	return nil
}

func (cfg *settings) setServer() error {
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return fmt.Errorf("authmail: Config.Addr %q is not a host and a port such as \"smtp.example:587\": %w", cfg.Addr, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	ip, ipErr := netip.ParseAddr(host)
	if err != nil || number == 0 || ipErr != nil && !isHostName(host) {
		return fmt.Errorf("authmail: Config.Addr %q is not a host and a port such as \"smtp.example:587\"", cfg.Addr)
	}
	cfg.host, cfg.port = host, int(number)
	switch {
	case cfg.TLS < StartTLS || cfg.TLS > NoTLS:
		return fmt.Errorf("authmail: Config.TLS %d is unknown; use StartTLS, ImplicitTLS or NoTLS", cfg.TLS)
	case cfg.TLS == NoTLS && !strings.EqualFold(host, "localhost") && (ipErr != nil || !ip.IsLoopback()):
		return fmt.Errorf("authmail: Config.TLS is NoTLS, which is only for a loopback address, but the server is %q; use StartTLS or ImplicitTLS", host)
	case cfg.TLS == StartTLS && number == 465:
		return errors.New("authmail: port 465 begins with TLS: set Config.TLS to ImplicitTLS")
	case cfg.TLS == ImplicitTLS && (number == 25 || number == 587):
		return fmt.Errorf("authmail: port %d does not begin with TLS: set Config.TLS to StartTLS", number)
	case (cfg.Username == "") != cfg.Password.IsZero():
		return errors.New("authmail: only one of Config.Username and Config.Password is set; set both or neither")
	case cfg.TLS == NoTLS && cfg.Username != "":
		return errors.New("authmail: Config.Password is never sent without TLS; with NoTLS leave Username and Password empty")
	}
	return nil
}

func (cfg *settings) setTLS() error {
	switch {
	case cfg.TLS == NoTLS && cfg.TLSConfig != nil:
		return errors.New("authmail: Config.TLSConfig has no effect with NoTLS; remove it, or set Config.TLS to StartTLS or ImplicitTLS")
	case cfg.TLSConfig == nil:
		cfg.TLSConfig = &tls.Config{} // crypto/tls requires at least TLS 1.2
	default:
		cfg.TLSConfig = cfg.TLSConfig.Clone()
	}
	if cfg.TLSConfig.InsecureSkipVerify && cfg.TLSConfig.VerifyConnection == nil {
		return errors.New("authmail: Config.TLSConfig has InsecureSkipVerify; set its RootCAs instead, or VerifyConnection")
	}
	if cfg.TLSConfig.ServerName == "" {
		cfg.TLSConfig.ServerName = cfg.host
	}
	return nil
}

// isHostName reports whether s looks like a host name in ASCII.
func isHostName(s string) bool {
	return s != "" && len(s) <= 253 && strings.Trim(s, "-.") == s && !strings.ContainsFunc(s, func(r rune) bool {
		return ('a' > r || r > 'z') && ('A' > r || r > 'Z') && ('0' > r || r > '9') && !strings.ContainsRune("-._", r)
	})
}

// isPlain reports whether s is ASCII without spaces and control characters.
func isPlain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
