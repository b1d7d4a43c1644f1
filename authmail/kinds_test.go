package authmail

import (
	"bytes"
	"cmp"
	"html"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

const (
	page   = "https://app.example/page?token=abc"
	chrome = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)

// sample returns a mail of a kind with everything that the kind has.
func sample(kind auth.MailKind, lang string) auth.Mail {
	m := auth.Mail{
		Kind: kind, To: "ann@app.example", User: &auth.Account{Username: "eve", Email: "ann@app.example"},
		Language: lang, At: time.Date(2026, 11, 28, 19, 21, 0, 0, time.UTC), Address: "203.0.113.7", Agent: chrome,
		Factor: "totp", Passkey: "my phone", Provider: "Example ID", Left: 3,
	}
	if kind == auth.MailLoginCode {
		m.Code = auth.NewSecret("BCDF-GHJK")
	}
	if linkRules()[kind] != noLink {
		m.Link, m.Lifetime = auth.NewSecret(page), 72*time.Hour
	}
	return m
}

func newRenderer(t *testing.T, c Content) *Renderer {
	t.Helper()
	r, err := NewRenderer(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func render(t *testing.T, c Content, m auth.Mail) Message {
	t.Helper()
	return renderBy(t, newRenderer(t, c), m)
}

func renderBy(t *testing.T, r *Renderer, m auth.Mail) Message {
	t.Helper()
	msg, err := r.Render(m)
	if err != nil {
		t.Fatalf("%s: %v", m.Kind, err)
	}
	return msg
}

// inOneLine returns a text without line breaks.
func inOneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestKinds renders the package's own mails of every kind in every language. The text and the
// HTML part say the same. They have the link if there is one, and nothing that an attacker
// could choose. They tell the user what to do if it was not them.
func TestKinds(t *testing.T) {
	t.Parallel()
	notYou := map[string]*regexp.Regexp{
		"en": regexp.MustCompile(`If (it was not you|you did not|you have not)`),
		"de": regexp.MustCompile(`Wenn Sie (nicht um|das nicht waren|.*? nicht |kein Konto|nichts davon|uns nicht|eben keinen)`),
		"es": regexp.MustCompile(`Si (no fue usted|usted no ha|no ha pedido|no ha hecho|no nos lo|no acaba)`),
	}
	renderers := map[bool]*Renderer{true: newRenderer(t, Content{Site: "Gophers"}), false: newRenderer(t, Content{})}
	for lang := range shipped() {
		for kind, rule := range linkRules() {
			for full, r := range renderers {
				m := sample(kind, lang)
				if !full {
					m.At, m.Address, m.Agent, m.Lifetime, m.Passkey, m.Left = time.Time{}, "", "", 0, "", 0
					if rule == mayHaveLink {
						m.Link = auth.Secret{}
					}
				}
				if kind == auth.MailFactorRemoved && !full {
					m.Factor = ""
				}
				msg := renderBy(t, r, m)
				name := string(kind) + " in " + lang
				checkMail(t, name, msg, m, r.content)
				if !notYou[lang].MatchString(inOneLine(msg.Text)) {
					t.Errorf("%s: what if it was not you? %s", name, msg.Text)
				}
			}
		}
	}
	// Every kind of package auth is in the list.
	if n := len(linkRules()); n != 29 {
		t.Errorf("%d kinds", n)
	}
}

func checkMail(t *testing.T, name string, msg Message, m auth.Mail, c Content) {
	t.Helper()
	w, link := wordsOf(shipped(), m.Language), m.Link.Reveal()
	var said []string
	for _, p := range regexp.MustCompile(`(?s)<p[ >].*?</p>`).FindAllString(msg.HTML, -1) {
		line := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(strings.ReplaceAll(p, "<br>", " "), ""))
		switch {
		case strings.HasPrefix(line, w.buttonFails): // only the HTML has a button
			continue
		case strings.Contains(p, `<a href="`):
			line = link
		}
		said = append(said, line)
	}
	if got := strings.Join(said, " "); got != inOneLine(msg.Text) {
		t.Errorf("%s: the HTML says\n%s\nand the text\n%s", name, got, inOneLine(msg.Text))
	}
	if n := strings.Count(msg.HTML, `href="`+link+`"`); link != "" && (n != 2 || !strings.Contains(msg.Text, "\n"+link+"\n")) || strings.Count(msg.HTML, "href") != n || strings.Contains(msg.HTML, "src=") {
		t.Errorf("%s: the link:\n%s\n%s", name, msg.Text, msg.HTML)
	}
	if strings.Contains(msg.Text+msg.HTML+msg.Subject, "eve ") || strings.Contains(msg.Text, "\n\n\n") || !strings.HasSuffix(msg.Text, ".\n") ||
		strings.HasPrefix(msg.Text, "\n") || strings.Contains(msg.Text+msg.HTML, "[") || strings.Contains(msg.Text+msg.HTML, "{{") {
		t.Errorf("%s: the text is %q", name, msg.Text)
	}
	for line := range strings.SplitSeq(msg.Text, "\n") {
		if len([]rune(line)) > 76 {
			t.Errorf("%s: a long line: %q", name, line)
		}
	}
	if c.Site != "" && (!strings.HasSuffix(msg.Subject, " – "+c.Site) || !strings.Contains(msg.Text, c.Site) || strings.Count(msg.HTML, c.Site) < 3) {
		t.Errorf("%s: no site: %q\n%s", name, msg.Subject, msg.Text)
	}
	if m.Address != "" && (!strings.Contains(msg.Text, w.address+": 203.0.113.7\n") || !strings.Contains(msg.Text, w.browser+": Chrome ") || !strings.Contains(msg.Text, "2026, ")) {
		t.Errorf("%s: from where: %s", name, msg.Text)
	}
	if m.Address != "" && strings.Count(msg.Text, m.Address) != 1 {
		t.Errorf("%s: the mail has another mail in it:\n%s", name, msg.Text)
	}
	if !strings.Contains(msg.HTML, "<title>"+msg.Subject+"</title>") || len(msg.Subject) < 10 || len(msg.Subject) > 70 {
		t.Errorf("%s: the subject is %q, and the HTML %s", name, msg.Subject, msg.HTML)
	}
	if !strings.Contains(msg.HTML, `<html lang="`+w.lang+`" dir="`+w.dir+`">`) {
		t.Errorf("%s: the language: %s", name, msg.HTML)
	}
}

// TestTranslationsAreComplete: every language has every kind of mail, every word, and no text
// of another language.
func TestTranslationsAreComplete(t *testing.T) {
	t.Parallel()
	english := regexp.MustCompile(`(?i)\b(the|your|you|please|account|password|link|if|browser|email|address|login|log|when)\b`)
	same := []string{"Browser", "Link", "link"} // in German
	kinds := slices.Sorted(maps.Keys(linkRules()))
	r := newRenderer(t, Content{})
	for lang, w := range shipped() {
		sources, err := readSources(lang)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(sources)); !slices.Equal(got, kinds) {
			t.Errorf("%s has the kinds %q, not %q", lang, got, kinds)
		}
		for i := range reflect.ValueOf(*w).NumField() {
			if reflect.ValueOf(*w).Field(i).String() == "" {
				t.Errorf("%s has no %s", lang, reflect.TypeOf(*w).Field(i).Name)
			}
		}
		for kind, rule := range linkRules() {
			if (sources[kind].button != "") != (rule != noLink) {
				t.Errorf("%s in %s: the button is %q", kind, lang, sources[kind].button)
			}
			m := sample(kind, lang)
			msg, inEnglish := renderBy(t, r, m), renderBy(t, r, sample(kind, "en"))
			text := strings.NewReplacer(page, "", m.To, "", "Example ID", "").Replace(msg.Subject + "\n" + msg.Text + sources[kind].button)
			for _, word := range english.FindAllString(text, -1) {
				if lang != "en" && (lang != "de" || !slices.Contains(same, word)) {
					t.Errorf("%s in %s has the word %q:\n%s", kind, lang, word, text)
				}
			}
			for _, value := range []string{"BCDF-GHJK", "my phone", "Example ID", " 3", page} {
				if strings.Contains(msg.Text, value) != strings.Contains(inEnglish.Text, value) {
					t.Errorf("%s in %s: has it %q?\n%s", kind, lang, value, msg.Text)
				}
			}
		}
	}
}

// TestLanguages: a mail is in its language, in that of which it is a variety, or in English.
func TestLanguages(t *testing.T) {
	t.Parallel()
	french := map[string]map[auth.MailKind]Template{"fr": {auth.MailReset: {Subject: "Nouveau mot de passe"}}}
	for lang, want := range map[string]string{
		"": "Set a new password", "en": "Set a new password", "de": "Neues Passwort festlegen", "de-AT": "Neues Passwort festlegen",
		"es-MX": "Establezca una contraseña nueva", "fr": "Nouveau mot de passe", "it": "Set a new password",
	} {
		if got := render(t, Content{Translations: french}, sample(auth.MailReset, lang)).Subject; got != want {
			t.Errorf("%q: %q", lang, got)
		}
	}
	own := Content{Templates: map[auth.MailKind]Template{auth.MailReset: {Subject: "For all"}}, Translations: french}
	for lang, want := range map[string]string{"": "For all", "de": "For all", "fr": "Nouveau mot de passe"} {
		if got := render(t, own, sample(auth.MailReset, lang)).Subject; got != want {
			t.Errorf("with Templates, %q: %q", lang, got)
		}
	}
}

// TestAgents: no text of the client gets into a mail, only names of browsers that we know.
func TestAgents(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{chrome: "Chrome on macOS", "": "", "call 555-1234": "", "Mozilla/5.0 (call 555-1234) Chrome/1": ""} {
		m := sample(auth.MailReset, "")
		m.Agent, m.Address = agent, "call 555-1234"
		msg := render(t, Content{}, m)
		if strings.Contains(msg.Text+msg.HTML, "555") || strings.Contains(msg.Text, "IP address") || strings.Contains(msg.Text, "Browser: ") != (want != "") || !strings.Contains(msg.Text, want) {
			t.Errorf("%q:\n%s", agent, msg.Text)
		}
	}
}

func TestContentSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []Content{
		{Site: "a\r\nBcc: eve@evil.example"}, {Site: " Gophers"}, {Site: strings.Repeat("a", 101)}, {Site: "a\u202eb"},
		{Accent: "red"}, {Accent: "#0b57b"}, {Accent: "#0b57bg"}, {Accent: "#fff;}"},
		{Translations: map[string]map[auth.MailKind]Template{"": {auth.MailReset: {Subject: "x"}}}},
		{Translations: map[string]map[auth.MailKind]Template{"fr": {}}},
		{Translations: map[string]map[auth.MailKind]Template{"fr": {"rest": {Subject: "x"}}}},
	} {
		if _, err := NewRenderer(c); err == nil || !strings.HasPrefix(err.Error(), "authmail: Content.") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for accent, text := range map[string]string{"": "#ffffff", "#0b57b0": "#ffffff", "#ffe066": "#000000", "#FFFFFF": "#000000", "#000000": "#ffffff"} {
		msg := render(t, Content{Accent: accent}, sample(auth.MailReset, ""))
		if !strings.Contains(msg.HTML, "color: "+text+"; font-weight") || !strings.Contains(msg.HTML, "background: "+cmp.Or(accent, "#0b57b0")+"; color") {
			t.Errorf("%q: %s", accent, msg.HTML)
		}
	}
	if msg := render(t, Content{Site: `<b>"A" & B</b>`}, sample(auth.MailReset, "")); strings.Contains(msg.HTML, "<b>") || !strings.HasSuffix(msg.Subject, `<b>"A" & B</b>`) {
		t.Errorf("%s\n%s", msg.Subject, msg.HTML)
	}
}

// TestRenderer: an application can render mails without SMTP, and learns how long they are
// worth sending.
func TestRenderer(t *testing.T) {
	t.Parallel()
	m := sample(auth.MailReset, "")
	msg := render(t, Content{}, m)
	if msg.To != "ann@app.example" || msg.Subject != "Set a new password" || !msg.Expires.Equal(m.At.Add(72*time.Hour)) {
		t.Errorf("%+v", msg)
	}
	if msg := render(t, Content{}, sample(auth.MailClosed, "")); !msg.Expires.IsZero() {
		t.Errorf("a report expires: %v", msg.Expires)
	}
	for _, want := range []string{
		`name="viewport"`, `name="color-scheme" content="light dark"`, "@media (prefers-color-scheme: dark)", "max-width: 600px",
		`<div style="display: none; max-height: 0; overflow: hidden">Somebody asked for a new password for your account. If it was you, set it here:</div>`,
		`text-decoration: none">Set a new password</a>`, "<bdi>ann@app.example</bdi>", "<bdi>203.0.113.7</bdi>",
	} {
		if !strings.Contains(msg.HTML, want) {
			t.Errorf("the HTML has no %s:\n%s", want, msg.HTML)
		}
	}
}

// TestFactorMails checks what the mails about second factors say of the factor and of the
// codes that are left.
func TestFactorMails(t *testing.T) {
	t.Parallel()
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
		{auth.MailFactorRemoved, "", 0, "Your second factors were removed", "All second factors were removed from your account. A login now asks for the password only. Other"},
		{auth.MailFactorDisabled, "passkey", 0, "A second factor does not work any more", "There were too many wrong codes for a second factor of your account: passkeys. So"},
		{auth.MailRecoveryCodeUsed, "recovery-code", 3, "A recovery code was used", "A recovery code of your account was used to log in. Recovery codes left: 3. If"},
		{auth.MailRecoveryCodeUsed, "recovery-code", 0, "A recovery code was used", "A recovery code of your account was used to log in. There are no recovery codes left."},
	} {
		msg := render(t, Content{}, auth.Mail{Kind: test.kind, To: "ann@app.example", Factor: test.factor, Left: test.left})
		if text := inOneLine(msg.Text); msg.Subject != test.subject || !strings.HasPrefix(text, test.want) {
			t.Errorf("%s of %q: %q, %q", test.kind, test.factor, msg.Subject, text)
		}
	}
	if words := (Data{}).FactorWords(); words != "all second factors" {
		t.Errorf("no factor is %q", words)
	}
}

// TestFactorMarkup checks that the name of a factor cannot be markup.
func TestFactorMarkup(t *testing.T) {
	msg := render(t, Content{}, auth.Mail{Kind: auth.MailFactorAdded, To: "ann@app.example", Factor: "<b>x</b>"})
	if strings.Contains(msg.HTML, "<b>") {
		t.Errorf("the HTML is %s", msg.HTML)
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
		_, err := NewPrinter(io.Discard).With(Content{Templates: map[auth.MailKind]Template{auth.MailAddressTaken: {Text: text}}})
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

// TestCodeMails: the code of a login is in the first line, and neither in the subject nor in the
// preview, which locked screens show. Apps fill codes in from mails about a "verification code".
// A template without the code is refused, and so is a mail without one.
func TestCodeMails(t *testing.T) {
	var out bytes.Buffer
	p := NewPrinter(&out)
	m := auth.Mail{
		Kind: auth.MailLoginCode, To: "ann@app.example", User: &auth.Account{Email: "ann@app.example"},
		Link: auth.NewSecret("https://app.example/login/code?token=abc"), Code: auth.NewSecret("BCDF-GHJK"), Lifetime: 10 * time.Minute,
	}
	msg := render(t, Content{}, m)
	if first, _, _ := strings.Cut(msg.Text, "\n"); !strings.Contains(first, "BCDF-GHJK") || strings.Count(msg.HTML, "BCDF-GHJK") != 1 {
		t.Errorf("the text is %q", msg.Text)
	}
	if !strings.Contains(msg.HTML, `overflow: hidden">Enter it on the page`) {
		t.Errorf("the preview: %s", msg.HTML)
	}
	if strings.Contains(msg.Subject, "BCDF") || !strings.Contains(msg.Subject, "verification code") {
		t.Errorf("the subject is %q", msg.Subject)
	}
	for name, change := range map[string]func(*auth.Mail){
		"no code":              func(m *auth.Mail) { m.Code = auth.Secret{} },
		"a code with markup":   func(m *auth.Mail) { m.Code = auth.NewSecret("<b>") },
		"a code in a reset":    func(m *auth.Mail) { m.Kind = auth.MailReset },
		"no link":              func(m *auth.Mail) { m.Link = auth.Secret{} },
		"a code in a report":   func(m *auth.Mail) { m.Kind, m.Link = auth.MailAccountCleared, auth.Secret{} },
		"a code with newlines": func(m *auth.Mail) { m.Code = auth.NewSecret("BCDF\r\nBcc: x") },
	} {
		wrong := m
		change(&wrong)
		if err := p.Send(t.Context(), wrong); err == nil || strings.Contains(err.Error(), "BCDF") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.With(Content{Templates: map[auth.MailKind]Template{auth.MailLoginCode: {Text: "{{.Link}}"}}}); err == nil {
		t.Error("a template without the code is accepted")
	}
	if got := redact("550 BCDF-GHJK refused", "", "BCDF-GHJK", ""); strings.Contains(got, "BCDF") {
		t.Errorf("an error says %q", got)
	}
}
