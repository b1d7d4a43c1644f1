package authmail

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/invisible"
	"github.com/go-login/auth/internal/useragent"
	gomail "github.com/wneessen/go-mail"
)

// dataOf checks a mail and returns the data for its templates.
func (r *Renderer) dataOf(m auth.Mail) (Data, error) {
	to, err := recipient(m.To)
	if err != nil {
		return Data{}, fmt.Errorf("authmail: Mail.To is not a valid address: %w", err)
	}
	link, rules := m.Link.Reveal(), linkRules()
	rule, known := rules[m.Kind]
	switch {
	case !known:
		return Data{}, fmt.Errorf("authmail: unknown kind of mail %q", m.Kind)
	case rule == noLink && link != "":
		return Data{}, fmt.Errorf("authmail: Mail.Link is set, but mails of kind %q have no link", m.Kind)
	case rule == needsLink && !isURL(link), link != "" && !isURL(link):
		return Data{}, errors.New("authmail: Mail.Link is not an absolute http or https URL") // without the link, which may hold a token
	case (m.Kind == auth.MailLoginCode) != isCode(m.Code.Reveal()):
		return Data{}, fmt.Errorf("authmail: Mail.Code must be set in mails of kind %q, and in no others", auth.MailLoginCode) // without the code
	}
	d := Data{
		Username: safeName(m.User), Site: r.content.Site, Language: m.Language, Email: to,
		Link: link, Code: m.Code.Reveal(), Lifetime: m.Lifetime, At: m.At,
		Factor: m.Factor, Passkey: safeText(m.Passkey), Provider: m.Provider, Left: m.Left,
		words: wordsOf(r.words, m.Language),
	}
	if ip, err := netip.ParseAddr(m.Address); err == nil {
		d.Address = ip.String()
	}
	if browser, system := useragent.Browser(m.Agent); browser != "" && system != "" {
		d.Browser = strings.NewReplacer("{browser}", browser, "{system}", system).Replace(d.words.on)
	}
	return d, nil
}

// recipient returns an address as it is sent to the server. The mailbox stays
// as stored, because some servers distinguish A from a; the domain is converted
// to ASCII. If auth.EmailKey refuses the address, it may come from a table that
// is older than EmailKey. It is then accepted if it is plain, after removing
// invisible characters.
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

// maxAddress is the maximum length of an address in bytes (RFC 5321, section
// 4.5.3.1.3).
const maxAddress = 254

func isURL(link string) bool {
	u, err := url.Parse(link)
	return err == nil && isPlain(link) && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

func isCode(text string) bool {
	return text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
}

// message makes the mail that is sent.
func message(from mail.Address, m Message, date time.Time) *gomail.Msg {
	_, domain, _ := strings.Cut(from.Address, "@")
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&from)
	msg.ToMailAddress(&mail.Address{Address: m.To})
	msg.Subject(m.Subject)
	msg.SetDateWithValue(date)
	msg.SetMessageIDWithValue(rand.Text() + "@" + domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: prevents vacation notices
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg
}

// redact removes every part of the secrets from a text, because servers quote
// what they refuse.
func redact(text, link, code, password string) string {
	secrets := []string{link, code, password}
	if u, err := url.Parse(link); err == nil {
		secrets = append(secrets, u.RawQuery)
		for _, values := range u.Query() {
			secrets = append(secrets, values...)
		}
		secrets = append(secrets, strings.Split(u.Path, "/")...)
	}
	for _, s := range secrets {
		if s != "" && (s == password || s == code) || len(s) >= 16 { // every token is at least that long, and words are shorter
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	const most = 500
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
