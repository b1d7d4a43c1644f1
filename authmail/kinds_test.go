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
	} {
		for _, with := range []bool{true, false} {
			var out bytes.Buffer
			p := NewPrinter(&out)
			m := auth.Mail{Kind: kind, To: "ann@app.example", User: &auth.Account{Username: "eve", Email: "ann@app.example"}}
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
	if n := len(NewPrinter(io.Discard).templates); n != 11 {
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
