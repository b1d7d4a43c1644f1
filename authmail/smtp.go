package authmail

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-login/auth"
	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// A connection is a connection to the server that is ready for mails. Only the
// mailer's goroutine uses it.
//
// It holds the network connection itself for two reasons. go-mail does not
// close a connection whose greeting, TLS or AUTH has failed. And when a context
// ends, an unresponsive server has to be interrupted.
type connection struct {
	cfg    *settings
	raw    net.Conn
	client *gomail.Client
	smtp   *smtp.Client
	detach func() bool // stops ctx from closing raw when it ends
}

// dial connects, encrypts and logs in.
func dial(ctx context.Context, cfg *settings) (*connection, error) {
	c := &connection{cfg: cfg}
	options := []gomail.Option{
		gomail.WithPort(cfg.port),
		gomail.WithTimeout(cfg.Timeout),
		gomail.WithHELO(cfg.HELO),
		gomail.WithTLSConfig(cfg.TLSConfig),
		// The address is not taken from go-mail, which gets that of an IPv6
		// host wrong.
		gomail.WithDialContextFunc(func(dialing context.Context, network, _ string) (net.Conn, error) {
			return c.open(ctx, dialing, network)
		}),
		// NOOP is not needed, because the first command shows as well that the
		// server has ended the connection. After an accepted mail, RSET is not
		// needed.
		gomail.WithoutNoop(), gomail.WithoutRset(),
		gomail.WithoutSMTPUTF8(), // send uses it only if an address needs it, because the next server may not support it
	}
	switch cfg.TLS {
	case StartTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case ImplicitTLS:
		options = append(options, gomail.WithSSL())
	case NoTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if cfg.Username != "" {
		options = append(options, gomail.WithSMTPAuthCustom(&login{host: cfg.host, username: cfg.Username, password: cfg.Password}))
	}
	var err error
	if c.client, err = gomail.NewClient(cfg.host, options...); err == nil {
		c.smtp, err = c.client.DialToSMTPClientWithContext(ctx)
	}
	if err != nil {
		c.drop()
		return nil, err
	}
	return c, nil
}

// open makes the network connection. dialing ends if that takes too long, ctx
// if the mailer must stop.
func (c *connection) open(ctx, dialing context.Context, network string) (net.Conn, error) {
	raw, err := new(net.Dialer).DialContext(dialing, network, net.JoinHostPort(c.cfg.host, strconv.Itoa(c.cfg.port)))
	if err != nil {
		return nil, err
	}
	c.raw = raw
	c.detach = context.AfterFunc(ctx, func() { _ = raw.Close() })
	if c.cfg.TLS != ImplicitTLS {
		return raw, nil
	}
	conn := tls.Client(raw, c.cfg.TLSConfig)
	if err := conn.HandshakeContext(dialing); err != nil {
		return nil, err
	}
	return conn, nil
}

// send hands one mail to the server. An address outside ASCII needs SMTPUTF8
// (RFC 6531); a server without it could not deliver the mail.
func (c *connection) send(msg *gomail.Msg, to string) error {
	needed := strings.ContainsFunc(to, func(r rune) bool { return r >= utf8.RuneSelf })
	if has, _ := c.smtp.Extension("SMTPUTF8"); needed && !has {
		return &textproto.Error{Code: 553, Msg: "the address is not ASCII, and the server has no SMTPUTF8 (RFC 6531)"}
	}
	c.smtp.SkipSMTPUTF8(!needed)
	return c.client.SendWithSMTPClient(c.smtp, msg)
}

// quit sends QUIT and closes the connection.
func (c *connection) quit() {
	if c.raw.SetDeadline(time.Now().Add(c.cfg.Timeout)) == nil {
		_ = c.smtp.Quit()
	}
	c.drop()
}

// drop closes the connection without QUIT.
func (c *connection) drop() {
	if c.raw != nil {
		c.detach()
		_ = c.raw.Close()
	}
}

// replyCode returns the server's reply code in err, or 0 if err is not a reply
// of the server.
func replyCode(err error) int {
	if e, ok := errors.AsType[*gomail.SendError](err); ok {
		return e.ErrorCode()
	}
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		return e.Code
	}
	return 0
}

// login is AUTH PLAIN, or LOGIN if the server has only that.
type login struct {
	host, username string
	password       auth.Secret
	smtp.Auth      // PLAIN or LOGIN
}

// Start implements smtp.Auth.
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	switch {
	case !server.TLS:
		return "", nil, errors.New("authmail: the connection has no TLS, so the password is not sent")
	case slices.Contains(server.Auth, "PLAIN"):
		l.Auth = smtp.PlainAuth("", l.username, l.password.Reveal(), l.host, false)
	case slices.Contains(server.Auth, "LOGIN"):
		l.Auth = smtp.LoginAuth(l.username, l.password.Reveal(), l.host, false)
	default:
		return "", nil, errors.New("authmail: the server offers neither AUTH PLAIN nor LOGIN; check Config.Addr, or remove Username and Password")
	}
	return l.Auth.Start(server)
}
