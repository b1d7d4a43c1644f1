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

// A connection is one to the server, ready for mails. Only the worker uses it.
//
// It holds the network connection itself, because go-mail does not close one
// whose greeting, TLS or AUTH has failed, and so that the end of a context
// interrupts a server that says nothing.
type connection struct {
	cfg    *settings
	raw    net.Conn
	client *gomail.Client
	smtp   *smtp.Client
	detach func() bool // from the context whose end closes raw
}

// dial connects, encrypts and logs in.
func dial(ctx context.Context, cfg *settings) (*connection, error) {
	c := &connection{cfg: cfg}
	options := []gomail.Option{
		gomail.WithPort(cfg.port),
		gomail.WithTimeout(cfg.Timeout),
		gomail.WithHELO(cfg.HELO),
		gomail.WithTLSConfig(cfg.TLSConfig),
		// The address is left out: go-mail gets that of an IPv6 host wrong.
		gomail.WithDialContextFunc(func(dialing context.Context, network, _ string) (net.Conn, error) {
			return c.open(ctx, dialing, network)
		}),
		// A server that has ended the connection is noticed by the first
		// command as well, and a mail that was taken needs no RSET.
		gomail.WithoutNoop(), gomail.WithoutRset(),
		gomail.WithoutSMTPUTF8(), // unless a mailbox needs it: the next server may not know it
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

// open makes the network connection: dialing ends when that takes too long, ctx
// when nothing should be sent any more.
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

// send hands one mail to the server. A mailbox outside ASCII needs SMTPUTF8 (RFC
// 6531); a server without it could not deliver the mail.
func (c *connection) send(msg *gomail.Msg, to string) error {
	needed := strings.ContainsFunc(to, func(r rune) bool { return r >= utf8.RuneSelf })
	if has, _ := c.smtp.Extension("SMTPUTF8"); needed && !has {
		return &textproto.Error{Code: 553, Msg: "the address is not ASCII, and the server has no SMTPUTF8 (RFC 6531)"}
	}
	c.smtp.SkipSMTPUTF8(!needed)
	return c.client.SendWithSMTPClient(c.smtp, msg)
}

// quit says goodbye and closes.
func (c *connection) quit() {
	if c.raw.SetDeadline(time.Now().Add(c.cfg.Timeout)) == nil {
		_ = c.smtp.Quit()
	}
	c.drop()
}

// drop closes without a word.
func (c *connection) drop() {
	if c.raw != nil {
		c.detach()
		_ = c.raw.Close()
	}
}

// replyCode returns the reply code of a server in err, or 0 if the failure is
// not one that the server has told.
func replyCode(err error) int {
	if e, ok := errors.AsType[*gomail.SendError](err); ok {
		return e.ErrorCode()
	}
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		return e.Code
	}
	return 0
}

// login is AUTH PLAIN, or LOGIN where the server has only that.
type login struct {
	host, username string
	password       auth.Secret
	smtp.Auth      // the one that was chosen
}

// Start implements smtp.Auth.
func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	switch {
	case !server.TLS:
		return "", nil, errors.New("authmail: a password is not sent without TLS")
	case slices.Contains(server.Auth, "PLAIN"):
		l.Auth = smtp.PlainAuth("", l.username, l.password.Reveal(), l.host, false)
	case slices.Contains(server.Auth, "LOGIN"):
		l.Auth = smtp.LoginAuth(l.username, l.password.Reveal(), l.host, false)
	default:
		return "", nil, errors.New("authmail: the server has neither AUTH PLAIN nor LOGIN")
	}
	return l.Auth.Start(server)
}
