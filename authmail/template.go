package authmail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-login/auth"
)

//go:embed templates
var defaults embed.FS

// A Template has the texts of one kind of mail. Subject and Text are sources
// for text/template, HTML is one for html/template. Each is executed with a
// Data. If a part is empty, the package's own English text is used.
//
// If a part does not parse, fails with sample data or leaves out the link, New
// returns an error. Mails that only report what has happened have no link.
// Mails of kind auth.MailAddressTaken may have none: use {{with .Link}}.
type Template struct {
	Subject string // white space is replaced by single spaces
	Text    string // the text/plain part
	HTML    string // the text/html part
}

// Data is the data for the templates. None of it can contain markup, or a link
// that an attacker chose.
type Data struct {
	// Username is the account's username, if it has at most 64 characters, all
	// of them letters, digits, spaces, - or _. Otherwise it is empty. An
	// attacker can register a victim's address under a username that reads like
	// a link or an instruction. The package's own mails therefore do not use
	// it.
	Username string

	Email    string        // the recipient's address
	Link     string        // the URL to open, absolute; empty if there is none
	Lifetime time.Duration // how long the link is valid, for other languages: {{.Lifetime.Minutes}} Minuten

	// Factor is the name of the second factor that the mail is about, such as "totp". In an
	// auth.MailFactorRemoved it is empty if all of them were removed.
	Factor string

	Left int // how many recovery codes are left, in an auth.MailBackupCodeUsed
}

// FactorWords is the Factor in English words: "an authenticator app" for "totp", "recovery
// codes" for "recovery-code", and "all second factors" if it is empty. Other factors are called
// by their names.
func (d Data) FactorWords() string {
	switch d.Factor {
	case "":
		return "all second factors"
	case "totp":
		return "an authenticator app"
	case "recovery-code":
		return "recovery codes"
	}
	return d.Factor
}

// ValidFor is the Lifetime in English words ("30 minutes", "1 hour"), rounded
// down to minutes. It is empty if Lifetime is not positive.
func (d Data) ValidFor() string {
	count, unit := int64(d.Lifetime/time.Minute), "minute"
	switch {
	case d.Lifetime <= 0:
		return ""
	case count == 0:
		return "less than a minute"
	case count >= 48*60 && count%(24*60) == 0:
		count, unit = count/(24*60), "day"
	case count%60 == 0:
		count, unit = count/60, "hour"
	}
	if count != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", count, unit)
}

// templates are the parsed templates of one kind.
type templates struct {
	subject, text *texttemplate.Template
	html          *htmltemplate.Template
}

// content is one mail, rendered.
type content struct{ subject, text, html string }

// A linkRule says whether mails of a kind have a link.
type linkRule int

const (
	noLink linkRule = iota
	mayHaveLink
	needsLink
)

// linkRules returns the rule of every kind of mail.
func linkRules() map[auth.MailKind]linkRule {
	return map[auth.MailKind]linkRule{
		auth.MailReset: needsLink, auth.MailVerify: needsLink, auth.MailNewAddress: needsLink,
		auth.MailAddressTaken: mayHaveLink, auth.MailAddressChanged: needsLink, auth.MailAddressUndone: noLink,
		auth.MailPasswordChanged: noLink, auth.MailPasswordDisabled: noLink,
		auth.MailAPIToken: noLink, auth.MailClosed: noLink, auth.MailStolen: noLink,
		auth.MailFactorAdded: noLink, auth.MailFactorRemoved: noLink, auth.MailFactorDisabled: noLink,
		auth.MailBackupCodes: noLink, auth.MailBackupCodeUsed: noLink,
	}
}

// parseTemplates returns the templates of every kind.
func parseTemplates(replaced map[auth.MailKind]Template) (map[auth.MailKind]*templates, error) {
	all := make(map[auth.MailKind]*templates)
	for kind, rule := range linkRules() {
		t, err := parseTemplate(kind, rule, replaced[kind])
		if err != nil {
			return nil, fmt.Errorf("authmail: Config.Templates[%q]: %w", kind, err)
		}
		all[kind] = t
	}
	for kind := range replaced {
		if all[kind] == nil {
			return nil, fmt.Errorf("authmail: Config.Templates[%q]: unknown kind of mail; use a constant auth.Mail…", kind)
		}
	}
	return all, nil
}

func parseTemplate(kind auth.MailKind, rule linkRule, replaced Template) (*templates, error) {
	source := func(own, name string) string {
		if own != "" {
			return own
		}
		file, _ := defaults.ReadFile("templates/" + string(kind) + name) // a missing file is empty, and fails below
		return string(file)
	}
	var t templates
	var err error
	if t.subject, err = texttemplate.New("subject").Parse(source(replaced.Subject, ".subject.txt")); err != nil {
		return nil, err
	}
	if t.text, err = texttemplate.New("text").Parse(source(replaced.Text, ".txt")); err != nil {
		return nil, err
	}
	if t.html, err = htmltemplate.New("html").Parse(source(replaced.HTML, ".html")); err != nil {
		return nil, err
	}
	if rule != noLink {
		err = t.try(true)
	}
	if rule != needsLink {
		err = errors.Join(err, t.try(false))
	}
	return &t, err
}

// try executes the templates with sample data.
func (t *templates) try(withLink bool) error {
	const link = "https://app.example/sample"
	for _, name := range []string{"sample", ""} {
		d := Data{Username: name, Email: "sample@app.example", Factor: name}
		if withLink {
			d.Link, d.Lifetime = link, 30*time.Minute
		}
		c, err := t.render(d)
		switch {
		case err != nil:
			return err
		case c.subject == "":
			return errors.New("the Subject is empty when executed with sample data")
		case withLink && !strings.Contains(c.text, link):
			return errors.New("the Text does not contain {{.Link}}")
		case withLink && !strings.Contains(c.html, link):
			return errors.New("the HTML does not contain {{.Link}}")
		}
	}
	return nil
}

func (t *templates) render(d Data) (content, error) {
	var subject, text, html bytes.Buffer
	if err := errors.Join(t.subject.Execute(&subject, d), t.text.Execute(&text, d), t.html.Execute(&html, d)); err != nil {
		return content{}, err
	}
	line := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, subject.String())
	return content{strings.Join(strings.Fields(line), " "), text.String(), html.String()}, nil
}

// safeName returns the username if it can do no harm in a mail, and otherwise
// "".
func safeName(user auth.User) string {
	if user == nil || user.AuthAccount() == nil {
		return ""
	}
	name := user.AuthAccount().Username
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > 64 || strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.M, unicode.Nd) && !strings.ContainsRune(" -_", r)
	}) {
		return ""
	}
	return strings.TrimSpace(name)
}
