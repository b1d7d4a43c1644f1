package authmail

import (
	"bytes"
	"html"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// TestKinds renders the package's own mails of every kind. The text and the
// HTML part say the same. They have the link if there is one, and nothing that
// an attacker could choose. They tell the user what to do if it was not them.
func TestKinds(t *testing.T) {
	const page = "https://app.example/page?token=abc"
	for kind, link := range map[auth.MailKind]struct{ needs, may bool }{
		auth.MailReset: {true, true}, auth.MailVerify: {true, true}, auth.MailNewAddress: {true, true},
		auth.MailAddressChanged: {true, true}, auth.MailAddressTaken: {false, true},
		auth.MailAddressUndone: {}, auth.MailPasswordChanged: {}, auth.MailPasswordDisabled: {},
		auth.MailAPIToken: {}, auth.MailClosed: {}, auth.MailStolen: {},
		auth.MailFactorAdded: {}, auth.MailFactorRemoved: {}, auth.MailFactorDisabled: {},
		auth.MailBackupCodes: {}, auth.MailBackupCodeUsed: {},
	} {
		for _, with := range []bool{true, false} {
			var out bytes.Buffer
			p := NewPrinter(&out)
			m := auth.Mail{Kind: kind, To: "ann@app.example", User: &auth.Account{Username: "eve", Email: "ann@app.example"}}
			m.Factor = "totp"
			if with {
				m.Link, m.Lifetime = auth.NewSecret(page), 72*time.Hour
			}
			err := p.Send(t.Context(), m)
			if want := with && link.may || !with && !link.needs; (err == nil) != want {
				t.Errorf("%s, with a link %v: %v", kind, with, err)
			} else if !want {
				continue
			}
			data, err := dataOf(m)
			if err != nil {
				t.Fatal(err)
			}
			c, err := p.templates[kind].render(data)
			if err != nil {
				t.Fatal(err)
			}
			check(t, string(kind), c, page, with)
		}
	}
	// Every kind is in the list above.
	if n := len(NewPrinter(io.Discard).templates); n != 16 {
		t.Errorf("%d kinds", n)
	}
}

func check(t *testing.T, kind string, c content, link string, with bool) {
	t.Helper()
	words := strings.Join(strings.Fields(c.text), " ")
	var said []string
	for _, p := range regexp.MustCompile(`(?s)<p>(.*?)</p>`).FindAllStringSubmatch(c.html, -1) {
		said = append(said, html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(p[1], "")))
	}
	if strings.Join(said, " ") != words {
		t.Errorf("%s: the HTML says %q, and the text %q", kind, said, words)
	}
	if strings.Contains(c.text, link) != with || strings.Contains(c.html, `<a href="`+link+`"`) != with || strings.Contains(c.html, "href") != with {
		t.Errorf("%s: the link:\n%s\n%s", kind, c.text, c.html)
	}
	if strings.Contains(words+c.html+c.subject, "eve ") || strings.Contains(words, "  ") || strings.Contains(c.text, "\n\n\n") ||
		!strings.HasSuffix(c.text, ".\n") || strings.HasPrefix(c.text, "\n") {
		t.Errorf("%s: the text is %q", kind, c.text)
	}
	for line := range strings.SplitSeq(c.text, "\n") {
		if len(line) > 80 {
			t.Errorf("%s: a long line: %q", kind, line)
		}
	}
	if !strings.Contains(c.html, "<title>"+c.subject+"</title>") || len(c.subject) < 10 || len(c.subject) > 60 {
		t.Errorf("%s: the subject is %q, and the HTML %s", kind, c.subject, c.html)
	}
	if !regexp.MustCompile(`[Ii]f (it was not you|you did not|you have not)`).MatchString(words) {
		t.Errorf("%s: what if it was not you? %s", kind, words)
	}
}

// TestFactorMails checks what the mails about second factors say of the factor and of the
// codes that are left.
func TestFactorMails(t *testing.T) {
	for _, test := range []struct {
		kind    auth.MailKind
		factor  string
		left    int
		subject string
		want    string // the beginning of the text
	}{
		{auth.MailFactorAdded, "totp", 0, "A second factor was added", "A second factor was added to your account: an authenticator app. From now on, a login asks for it after the password."},
		{auth.MailFactorAdded, "sms", 0, "A second factor was added", "A second factor was added to your account: sms. From now on,"},
		{auth.MailFactorRemoved, "totp", 0, "A second factor was removed", "A second factor was removed from your account: an authenticator app. Other logins were ended."},
		{auth.MailFactorRemoved, "recovery-code", 0, "A second factor was removed", "A second factor was removed from your account: recovery codes. Other"},
		{auth.MailFactorRemoved, "", 0, "Your second factors were removed", "All second factors were removed from your account. A login now asks for the password only. Other logins were ended."},
		{auth.MailFactorDisabled, "totp", 0, "A second factor does not work any more", "There were too many wrong codes for a second factor of your account: an authenticator app. So that"},
		{auth.MailBackupCodes, "recovery-code", 0, "New recovery codes were made", "New recovery codes were made for your account."},
		{auth.MailBackupCodeUsed, "recovery-code", 2, "A recovery code was used", "A recovery code of your account was used to log in. Recovery codes left: 2. If it was you,"},
		{auth.MailBackupCodeUsed, "recovery-code", 0, "A recovery code was used", "A recovery code of your account was used to log in. There are no recovery codes left. If you lose"},
	} {
		p := NewPrinter(io.Discard)
		data, err := dataOf(auth.Mail{Kind: test.kind, To: "ann@app.example", Factor: test.factor, Left: test.left})
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.templates[test.kind].render(data)
		if err != nil {
			t.Fatal(err)
		}
		check(t, string(test.kind), c, "https://app.example/", false)
		if words := strings.Join(strings.Fields(c.text), " "); c.subject != test.subject || !strings.HasPrefix(words, test.want) {
			t.Errorf("%s of %q: %q, %q", test.kind, test.factor, c.subject, words)
		}
	}
	if words := (Data{}).FactorWords(); words != "all second factors" {
		t.Errorf("no factor is %q", words)
	}
}

// TestFactorMarkup checks that the name of a factor cannot be markup.
func TestFactorMarkup(t *testing.T) {
	data, err := dataOf(auth.Mail{Kind: auth.MailFactorAdded, To: "ann@app.example", Factor: "<b>x</b>"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewPrinter(io.Discard).templates[auth.MailFactorAdded].render(data)
	if err != nil || strings.Contains(c.html, "<b>") {
		t.Errorf("the HTML is %s, %v", c.html, err)
	}
}

// TestOptionalLink checks that the template of a kind that may have a link is
// tried with and without one.
func TestOptionalLink(t *testing.T) {
	for text, good := range map[string]bool{
		"{{with .Link}}{{.}}{{end}}": true,
		"{{.Link}}":                  true,
		"no link":                    false,
		"{{slice .Link 1}}":          false,
	} {
		_, err := NewPrinter(io.Discard).WithTemplates(map[auth.MailKind]Template{auth.MailAddressTaken: {Text: text}})
		if (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, link := range []string{"/page", "javascript:alert(1)", "https://app.example/a b"} {
		m := auth.Mail{Kind: auth.MailAddressTaken, To: "ann@app.example", Link: auth.NewSecret(link)}
		if err := NewPrinter(io.Discard).Send(t.Context(), m); err == nil {
			t.Errorf("%q is taken", link)
		}
	}
}
