package authmail

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/invisible"
	gomail "github.com/wneessen/go-mail"
)

// dataOf checks a mail and returns what its templates need.
func dataOf(m auth.Mail) (Data, error) {
	to, err := recipient(m.To)
	if err != nil {
		return Data{}, fmt.Errorf("authmail: the recipient: %w", err)
	}
	link, rule := m.Link.Reveal(), linkRules()[m.Kind]
	switch {
	case rule == noLink && link != "":
		return Data{}, fmt.Errorf("authmail: a mail of kind %q with a link", m.Kind)
	case rule == needsLink && !isURL(link), link != "" && !isURL(link):
		return Data{}, errors.New("authmail: the link is not an absolute URL") // which it was is nobody's business
	}
	return Data{Username: safeName(m.User), Email: to, Link: link, Lifetime: m.Lifetime}, nil
}

// recipient returns an address as it goes to the server: the mailbox as it is
// stored, for some servers tell A from a; the domain in ASCII. What auth.EmailKey
// refuses may be an address from a table that is older than that: it is taken if it
// is a plain one, without the invisible characters.
func recipient(address string) (string, error) {
	bare := address
	if !strings.ContainsFunc(address, unicode.IsControl) {
		bare = invisible.Strip(address)
	}
	mailbox, domain, _ := strings.Cut(bare, "@")
	key, err := auth.EmailKey(bare)
	if err == nil {
		_, domain, _ = strings.Cut(key, "@")
		return mailbox + "@" + domain, nil
	}
	if mailbox == "" || domain == "" || bare[0] == '-' || len(bare) > maxAddress || !isPlain(bare) || strings.ContainsAny(mailbox+domain, ",;:<>()[]\"\\@") {
		return "", err
	}
	return bare, nil
}

// maxAddress is how many bytes an address has at most (RFC 5321, section 4.5.3.1.3).
const maxAddress = 254

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
