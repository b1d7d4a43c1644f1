package authmail

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"time"

	"github.com/go-login/auth"
	gomail "github.com/wneessen/go-mail"
)

// dataOf checks a mail and returns what its templates need.
func dataOf(m auth.Mail) (Data, error) {
	key, err := auth.EmailKey(m.To)
	if err != nil {
		return Data{}, fmt.Errorf("authmail: the recipient: %w", err)
	}
	// The mailbox as it is stored, for some servers tell A from a; the domain
	// in ASCII, so that no server needs SMTPUTF8.
	local, _, _ := strings.Cut(m.To, "@")
	_, domain, _ := strings.Cut(key, "@")
	link, rule := m.Link.Reveal(), linkRules()[m.Kind]
	switch {
	case rule == noLink && link != "":
		return Data{}, fmt.Errorf("authmail: a mail of kind %q with a link", m.Kind)
	case rule == needsLink && !isURL(link), link != "" && !isURL(link):
		return Data{}, errors.New("authmail: the link is not an absolute URL") // which it was is nobody's business
	}
	return Data{Username: safeName(m.User), Email: local + "@" + domain, Link: link, Lifetime: m.Lifetime}, nil
}

func isURL(link string) bool {
	u, err := url.Parse(link)
	return err == nil && isPlain(link) && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// message makes what goes over the wire.
func message(from mail.Address, to string, c content, date time.Time) *gomail.Msg {
	_, domain, _ := strings.Cut(from.Address, "@")
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&from)
	msg.ToMailAddress(&mail.Address{Address: to})
	msg.Subject(c.subject)
	msg.SetDateWithValue(date)
	msg.SetMessageIDWithValue(rand.Text() + "@" + domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notices, please
	msg.SetBodyString(gomail.TypeTextPlain, c.text)
	msg.AddAlternativeString(gomail.TypeTextHTML, c.html)
	return msg
}

// redact removes from a text whatever of the secrets is in it: servers quote
// what they refuse.
func redact(text, link, password string) string {
	secrets := []string{link, password}
	if u, err := url.Parse(link); err == nil {
		secrets = append(secrets, u.RawQuery)
		for _, values := range u.Query() {
			secrets = append(secrets, values...)
		}
		secrets = append(secrets, strings.Split(u.Path, "/")...)
	}
	for _, s := range secrets {
		if s == password && s != "" || len(s) >= 16 { // no token is shorter, and words are
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	const most = 500
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
