package authmail

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// Content says what mails contain and how they look. The zero value is valid: mails in
// English, German or Spanish, without the name of a site.
type Content struct {
	// Site is the name of the application, for the subject and the text of every mail. For a
	// Mailer, the default is the name in Config.From.
	Site string

	// Accent is the colour of buttons, such as "#0b57b0", which is the default. Their text is
	// black or white, whichever is easier to read.
	Accent string

	// Templates replaces texts of mails. Each part of each kind can be replaced alone. They
	// are for every language that Translations does not have.
	Templates map[auth.MailKind]Template

	// Translations are such Templates for single languages, by their tags in Languages of
	// auth.Config. The package itself has the mails in English ("en"), German ("de") and
	// Spanish ("es"); parts that no template replaces are in English in other languages.
	Translations map[string]map[auth.MailKind]Template
}

// A Template has the texts of one kind of mail. Subject and Text are sources for
// text/template, HTML is one for html/template. Each is executed with a Data. If a part is
// empty, the package's own text is used.
//
// If a part does not parse, fails with sample data or leaves out the link or the code, New
// returns an error. Mails that only report what has happened have no link. Mails of kind
// auth.MailAddressTaken may have none: use {{with .Link}}.
type Template struct {
	Subject string // white space is replaced by single spaces
	Text    string // the text/plain part
	HTML    string // the text/html part
}

// Data is the data for the templates. None of it can contain markup, or a link that an
// attacker chose.
type Data struct {
	// Username is the account's username, if it has at most 64 characters, all of them
	// letters, digits, spaces, - or _. Otherwise it is empty. An attacker can register a
	// victim's address under a username that reads like a link or an instruction. The
	// package's own mails therefore do not use it.
	Username string

	Site     string        // Content.Site
	Language string        // of the mail; empty if auth.Config has no Languages
	Email    string        // the recipient's address
	Link     string        // the URL to open, absolute; empty if there is none
	Code     string        // the code of an auth.MailLoginCode; put it into the first line of Text, and not into Subject
	Lifetime time.Duration // how long the link and the code are valid, for other languages: {{.Lifetime.Minutes}} Minuten

	At      time.Time // when it happened; zero if that is not known
	Browser string    // the client, such as "Chrome on macOS"; empty if it is not a common browser
	Address string    // the IP address of the client, or ""

	// Factor is the name of the second factor that the mail is about, such as "totp". In an
	// auth.MailFactorRemoved it is empty if all of them were removed.
	Factor string

	Passkey  string // the name of the passkey that was added or removed; empty if it is not a plain name
	Provider string // the name of the provider that the mail is about, in an auth.MailIdentityAdded and the like
	Left     int    // how many recovery codes are left, in an auth.MailRecoveryCodeUsed

	words *words // nil: English
}

func (d Data) inWords() *words {
	if d.words == nil {
		return wordsOf(shipped(), "en")
	}
	return d.words
}

// FactorWords is the Factor in words: "an authenticator app" for "totp", "recovery codes" for
// "recovery-code", "passkeys" for "passkey", and "all second factors" if it is empty. Other
// factors are called by their names. The words are in the language of the mail if that is
// German or Spanish, and otherwise in English.
func (d Data) FactorWords() string { return d.inWords().factor(d.Factor) }

// ValidFor is the Lifetime in words ("30 minutes", "1 hour"), rounded down to minutes. It is
// empty if Lifetime is not positive. For the language, see FactorWords.
func (d Data) ValidFor() string { return d.inWords().duration(d.Lifetime) }

// When is At in words ("28 Nov 2026, 19:21 UTC"), or "". For the language, see FactorWords.
func (d Data) When() string {
	if d.At.IsZero() {
		return ""
	}
	return d.At.UTC().Format(d.inWords().time)
}

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
		auth.MailReset: needsLink, auth.MailInvitation: needsLink, auth.MailVerify: needsLink, auth.MailNewAddress: needsLink, auth.MailLoginCode: needsLink,
		auth.MailAddressChanged: needsLink, auth.MailAddressTaken: mayHaveLink,

		auth.MailAccountCleared: noLink, auth.MailAddressUndone: noLink, auth.MailPasswordChanged: noLink,
		auth.MailPasswordDisabled: noLink, auth.MailPasswordRemoved: noLink, auth.MailAPIToken: noLink, auth.MailClosed: noLink,
		auth.MailStolen: noLink, auth.MailImpersonated: noLink, auth.MailOneTimeCode: noLink,
		auth.MailFactorAdded: noLink, auth.MailFactorRemoved: noLink, auth.MailFactorDisabled: noLink,
		auth.MailFactorUnlocked: noLink, auth.MailFactorSuspended: noLink, auth.MailRecoveryCodes: noLink, auth.MailRecoveryCodeUsed: noLink,
		auth.MailPasskeyAdded: noLink, auth.MailPasskeyRemoved: noLink,
		auth.MailIdentityAdded: noLink, auth.MailIdentityRemoved: noLink, auth.MailIdentityRefused: noLink,
	}
}

// check sets the defaults and checks the settings, except for the templates.
func (c *Content) check() error {
	if c.Accent == "" {
		c.Accent = "#0b57b0"
	}
	switch {
	case strings.TrimSpace(c.Site) != c.Site || strings.ContainsFunc(c.Site, isUnseen) || len(c.Site) > 100:
		return fmt.Errorf("authmail: Content.Site %.120q: use a name of at most 100 bytes, without line breaks and surrounding spaces", c.Site)
	case !isColor(c.Accent):
		return fmt.Errorf("authmail: Content.Accent %.40q is not a colour such as \"#0b57b0\"", c.Accent)
	}
	for lang, all := range c.Translations {
		if lang == "" || len(all) == 0 {
			return errors.New("authmail: Content.Translations has an empty language, or one without templates; remove it")
		}
	}
	return nil
}

func isColor(s string) bool {
	return len(s) == 7 && s[0] == '#' && strings.Trim(s[1:], "0123456789abcdefABCDEF") == ""
}

// ink returns black or white, whichever has more contrast to the colour (WCAG 2.2, relative
// luminance).
func ink(color string) string {
	if luminance(color) > 0.179 { // there both have a contrast of 4.58
		return "#000000"
	}
	return "#ffffff"
}
