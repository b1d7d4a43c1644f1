package authmail

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

// parsed is a mail as a mail program shows it.
type parsed struct {
	mail.Header
	subject, text, html string
}

func parse(t *testing.T, data string) parsed {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	p := parsed{Header: m.Header}
	if p.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("Content-Type %q: %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"]) // decodes quoted-printable
	for _, part := range []struct {
		kind string
		body *string
	}{{"text/plain", &p.text}, {"text/html", &p.html}} {
		next, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		kind, params, err := mime.ParseMediaType(next.Header.Get("Content-Type"))
		if err != nil || kind != part.kind || !strings.EqualFold(params["charset"], "utf-8") {
			t.Errorf("a part is %q %v, not %q: %v", kind, params, part.kind, err)
		}
		body, err := io.ReadAll(next)
		if err != nil {
			t.Fatal(err)
		}
		*part.body = strings.ReplaceAll(string(body), "\r\n", "\n")
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("after the second part: %v", err)
	}
	return p
}

func TestContent(t *testing.T) {
	s := newServer(t, nil)
	c := newClient(t, s, nil)
	link := testLink + strings.Repeat("0123456789", 30) // longer than a line of a mail
	m := resetMail("Ann@app.example")
	m.Link = auth.NewSecret(link)
	if err := c.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := s.receive(t)
	if got.from != "noreply@app.example" || got.to != "Ann@app.example" {
		t.Errorf("the envelope: %q to %q", got.from, got.to)
	}
	for line := range strings.SplitSeq(got.content, "\r\n") {
		if len(line) > 78 {
			t.Errorf("a line of %d octets: %q", len(line), line)
		}
	}
	p := parse(t, got.content)
	if p.subject != "Set a new password – The App" {
		t.Errorf("Subject: %q", p.subject)
	}
	for name, want := range map[string]string{
		"From": `"The App" <noreply@app.example>`, "To": "<Ann@app.example>",
		"Date": "Mon, 04 May 2026 03:02:01 +0000", "Mime-Version": "1.0", "Auto-Submitted": "auto-generated",
		"X-Mailer": "", "User-Agent": "",
	} {
		if p.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, p.Get(name), want)
		}
	}
	if id := p.Get("Message-Id"); !strings.HasSuffix(id, "@app.example>") || len(id) < 30 {
		t.Errorf("Message-ID: %q", id)
	}
	if want := resetText(" at The App", link, "The App sent this email to"); p.text != want {
		t.Errorf("the text is\n%s\nnot\n%s", p.text, want)
	}
	if strings.Count(p.html, `href="`+link+`"`) != 2 || strings.Count(p.html, "href") != 2 || strings.Contains(p.html, "src=") {
		t.Errorf("the HTML has not exactly one link, as a button and in words:\n%s", p.html)
	}
	if strings.Contains(got.content, "ann\r\n") || strings.Contains(p.text, " ann") {
		t.Error("the mail has the username")
	}
}

// resetText is the text of a reset mail without facts.
func resetText(at, link, sent string) string {
	return wrapped("Somebody asked for a new password for your account"+at+". If it was you, set it here:") + "\n" + link +
		"\n\nThe link works once, and is valid for 30 minutes.\n\n" +
		wrapped("If it was not you, ignore this email. Your password stays as it is.") + "\n" + sent + " Ann@app.example.\n"
}

func TestValidFor(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "", 0: "", time.Second: "less than a minute", time.Minute: "1 minute", 119 * time.Second: "1 minute",
		30 * time.Minute: "30 minutes", time.Hour: "1 hour", 90 * time.Minute: "90 minutes", 24 * time.Hour: "24 hours",
		48 * time.Hour: "2 days", 49 * time.Hour: "49 hours",
	} {
		if got := (Data{Lifetime: d}).ValidFor(); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	s := newServer(t, nil)
	c := newClient(t, s, nil)
	for _, test := range []struct{ to, want string }{
		{"o'hara+tag=x#$&*-/?^_`{|}~@app.example", ""},
		{"Mixed.Case@APP.example", "Mixed.Case@app.example"},
		{"ann@BÜCHER.example", "ann@xn--bcher-kva.example"},
		{strings.Repeat("a", 64) + "@" + strings.Repeat("b", 60) + ".example", ""},
	} {
		want := test.want
		if want == "" {
			want = test.to
		}
		c.send(t, test.to)
		got := s.receive(t)
		if got.to != want {
			t.Errorf("%q: sent to %q", test.to, got.to)
		}
		p := parse(t, got.content)
		to, err := p.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Address != want {
			t.Errorf("%q: To: %v, %v", test.to, to, err)
		}
	}
}

// A mailbox outside ASCII needs a server with SMTPUTF8. Other servers cannot
// deliver the mail, which is reported and not tried again.
func TestMailboxOutsideASCII(t *testing.T) {
	for _, knows := range []bool{false, true} {
		s := newServer(t, func(s *server) { s.EnableSMTPUTF8 = knows })
		c := newClient(t, s, nil)
		c.send(t, "José@bücher.example")
		if !knows {
			if f := c.mustFail(t, ErrRefused); !strings.Contains(f.err.Error(), "SMTPUTF8") {
				t.Errorf("the error is %v", f.err)
			}
		} else {
			got := s.receive(t)
			to, err := parse(t, got.content).AddressList("To")
			if want := "José@xn--bcher-kva.example"; got.to != want || err != nil || len(to) != 1 || to[0].Address != want {
				t.Errorf("sent to %q; To: %v, %v", got.to, to, err)
			}
		}
		c.send(t, "ann@app.example") // an ASCII address needs no SMTPUTF8
		if got := s.receive(t); got.to != "ann@app.example" {
			t.Errorf("sent to %q", got.to)
		}
	}
}

// An address from a table that is older than today's rules gets its mails,
// without its invisible characters.
func TestOldAddresses(t *testing.T) {
	s := newServer(t, nil)
	c := newClient(t, s, nil)
	for to, want := range map[string]string{
		"Susan@app.example\u200b": "Susan@app.example", "su\u00adsan@app.example": "susan@app.example",
		"admin@localhost": "admin@localhost", "a%b@app.example": "a%b@app.example",
	} {
		c.send(t, to)
		if got := s.receive(t); got.to != want {
			t.Errorf("%+q: sent to %q", to, got.to)
		}
	}
}

func TestSendRefuses(t *testing.T) {
	s := newServer(t, nil)
	c := newClient(t, s, nil)
	p := NewPrinter(io.Discard)
	mails := map[string]auth.Mail{}
	for _, to := range []string{
		"", "ann", "a@b@app.example", "ann@app.example\r\nBcc: eve@evil.example", "ann@app.example,eve@evil.example",
		"Ann <ann@app.example>", `"a b"@app.example`, `"v@x.example> ORCPT=z"@app.example`, "-f@app.example",
	} {
		mails[to] = resetMail(to)
	}
	for _, link := range []string{"", "/reset?token=x", "javascript:alert(1)", "https://app.example/a b", "https://app.example/\r\nX: y", "https:///x", "mailto:a@b.example"} {
		m := resetMail("ann@app.example")
		m.Link = auth.NewSecret(link)
		mails[link] = m
	}
	stolen := resetMail("ann@app.example") // mails of this kind have no place for a link
	stolen.Kind = auth.MailStolen
	mails["stolen"] = stolen
	kind := resetMail("ann@app.example")
	kind.Kind = "unheard-of"
	mails["kind"] = kind
	for name, m := range mails {
		for _, mailer := range []auth.Mailer{c, p} {
			err := mailer.Send(t.Context(), m)
			if err == nil {
				t.Errorf("%T took %q", mailer, name)
			} else if m.Link.Reveal() == testLink && m.Kind == auth.MailReset && !errors.Is(err, auth.ErrInvalidEmail) {
				t.Errorf("%T: %q: %v", mailer, name, err)
			}
		}
	}
}

// echo uses all data of a template.
var echo = Template{
	Subject: "For {{.Username}}\r\nBcc: eve@evil.example",
	Text:    "Hello {{.Username}}!\n{{.Link}}\n{{.Email}}",
	HTML:    `<p title="{{.Username}}">Hello {{.Username}}!</p><a href="{{.Link}}">{{.Email}}</a>`,
}

func TestHostileUsernames(t *testing.T) {
	s := newServer(t, nil)
	c := newClient(t, s, func(cfg *Config, _ *fakeClock) {
		cfg.Content.Templates = map[auth.MailKind]Template{auth.MailReset: echo}
	})
	for name, shown := range map[string]string{
		"ann": "ann", "Ann-Marie_2": "Ann-Marie_2", "Jürgen": "Jürgen", "李雷": "李雷",
		"{{.Link}}": "", "<script>alert(1)</script>": "", "a\r\nBcc: eve@evil.example": "", "a\nb": "", "\x00": "",
		"evil.example": "", "http://evil.example/": "", "x。example": "", "a\u202eb": "", "a\u200bb": "", "\xff": "",
		`"><img src=x>`: "", "a'b": "", strings.Repeat("a", 65): "", "=?utf-8?q?x?=": "",
	} {
		m := resetMail("ann@app.example")
		m.User = &auth.Account{Username: name}
		if err := c.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		p := parse(t, s.receive(t).content)
		subject := "For " + shown + " Bcc: eve@evil.example"
		if shown == "" {
			subject = "For Bcc: eve@evil.example"
		}
		if p.subject != subject || p.Get("Bcc") != "" {
			t.Errorf("%q: Subject: %q", name, p.subject)
		}
		if want := "Hello " + shown + "!\n" + testLink + "\nann@app.example"; p.text != want {
			t.Errorf("%q: the text is %q", name, p.text)
		}
		if want := `<p title="` + shown + `">Hello ` + shown + `!</p><a href="` + testLink + `">ann@app.example</a>`; p.html != want {
			t.Errorf("%q: the HTML is %q", name, p.html)
		}
	}
	for _, user := range []auth.User{nil, noAccount{}} {
		m := resetMail("ann@app.example")
		m.User = user
		if err := c.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if p := parse(t, s.receive(t).content); !strings.HasPrefix(p.text, "Hello !") {
			t.Errorf("%T: the text is %q", user, p.text)
		}
	}
}

type noAccount struct{}

func (noAccount) AuthAccount() *auth.Account { return nil }

func TestTemplates(t *testing.T) {
	s := newServer(t, nil)
	c := newClient(t, s, func(cfg *Config, _ *fakeClock) {
		cfg.Content.Templates = map[auth.MailKind]Template{auth.MailReset: {
			Subject: "Passwort zurücksetzen\n",
			Text:    "Grüße, {{.Username}}!\n\n.\n{{.Link}}\n\nDer Link gilt {{.Lifetime.Minutes}} Minuten.\n",
		}}
	})
	c.send(t, "ann@app.example")
	p := parse(t, s.receive(t).content)
	if p.subject != "Passwort zurücksetzen" {
		t.Errorf("Subject: %q", p.subject)
	}
	if want := "Grüße, ann!\n\n.\n" + testLink + "\n\nDer Link gilt 30 Minuten.\n"; p.text != want {
		t.Errorf("the text is %q", p.text)
	}
	if !strings.Contains(p.html, "Somebody asked for a new password") { // the part that was not replaced
		t.Errorf("the HTML is %q", p.html)
	}
}

func TestTemplatesThatFail(t *testing.T) {
	for name, test := range map[string]struct {
		kind auth.MailKind
		Template
	}{
		"kind":         {"rest", Template{Subject: "x"}},
		"syntax":       {auth.MailReset, Template{Text: "{{.Link"}},
		"subject":      {auth.MailReset, Template{Subject: "{{if}}"}},
		"field":        {auth.MailReset, Template{Text: "{{.Token}}"}},
		"no subject":   {auth.MailReset, Template{Subject: " \n"}},
		"no link":      {auth.MailReset, Template{Text: "Reset your password."}},
		"stolen":       {auth.MailStolen, Template{Text: "{{.Token}}"}},
		"HTML, syntax": {auth.MailReset, Template{HTML: "{{end}}"}},
		"HTML":         {auth.MailReset, Template{HTML: `<a href="{{.Link}}`}},
		"only nameless": {auth.MailReset, Template{
			Text: "{{with .Username}}{{$.Link}}{{end}}",
		}},
	} {
		replaced := map[auth.MailKind]Template{test.kind: test.Template}
		if _, err := New(Config{Addr: "smtp.app.example:587", From: "a@app.example", Content: Content{Templates: replaced}}); err == nil {
			t.Errorf("%s: New took it", name)
		}
		if _, err := NewPrinter(io.Discard).With(Content{Templates: replaced}); err == nil {
			t.Errorf("%s: With took it", name)
		}
	}
}

// stolenMail returns a mail as package auth makes it.
func stolenMail(to string) auth.Mail {
	return auth.Mail{Kind: auth.MailStolen, To: to, User: &auth.Account{ID: "1", Username: "ann", Email: to}}
}

const stolenText = `The cookie that keeps you logged in%s on one of your devices was used
twice, so somebody may have a copy of it. All logins from that device were
ended. You can log in again on that device.

If you have just restored that device from a backup, or copied a browser
profile, that is most likely the reason, and there is nothing to do.

If you have not done either, change your password.
`

// TestWithoutLink sends a mail without a link, with each kind of mailer.
func TestWithoutLink(t *testing.T) {
	s := newServer(t, nil)
	c := newClient(t, s, nil)
	if err := c.Send(t.Context(), stolenMail("Ann@app.example")); err != nil {
		t.Fatal(err)
	}
	got := s.receive(t)
	if got.to != "Ann@app.example" {
		t.Errorf("sent to %q", got.to)
	}
	p := parse(t, got.content)
	if want := inOneLine(strings.Replace(stolenText, "%s", " at The App", 1) + "The App sent this email to Ann@app.example."); p.subject != "Your logins on one device were ended – The App" || inOneLine(p.text) != want {
		t.Errorf("%s:\n%s", p.subject, p.text)
	}
	if strings.Contains(p.html, "href") || strings.Contains(p.html, "http") || strings.Contains(p.text, "http") || strings.Contains(p.text+p.html, "ann") {
		t.Errorf("there is a link, or a name:\n%s", p.html)
	}

	var out bytes.Buffer
	if err := NewPrinter(&out).Send(t.Context(), stolenMail("ann@app.example")); err != nil {
		t.Fatal(err)
	}
	want := "---- mail ----\nTo: ann@app.example\nSubject: Your logins on one device were ended\n\n" + strings.Replace(stolenText, "%s", "", 1) + "\nThis email was sent to ann@app.example.\n--------------\n"
	if inOneLine(out.String()) != inOneLine(want) {
		t.Errorf("printed:\n%s", &out)
	}
	german := map[auth.MailKind]Template{auth.MailStolen: {Subject: "Abgemeldet", Text: "{{.Email}} ist abgemeldet.{{.Link}}{{.ValidFor}}"}}
	p2, err := NewPrinter(&out).With(Content{Templates: german})
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := p2.Send(t.Context(), stolenMail("ann@app.example")); err != nil || !strings.HasSuffix(out.String(), "\n\nann@app.example ist abgemeldet.\n--------------\n") {
		t.Errorf("%v, printed:\n%s", err, &out)
	}
	for _, to := range []string{"", "ann", "ann@app.example\r\nBcc: eve@evil.example"} {
		if err := c.Send(t.Context(), stolenMail(to)); !errors.Is(err, auth.ErrInvalidEmail) {
			t.Errorf("%q: %v", to, err)
		}
	}
}

// TestWithoutLinkFails checks that a mail without a link never expires, and
// that nothing in the server's reply is taken for a secret.
func TestWithoutLinkFails(t *testing.T) {
	s := newServer(t, func(s *server) { s.rcpt = func(string) error { return errLater } })
	c := newClient(t, s, nil)
	if err := c.Send(t.Context(), stolenMail("ann@app.example")); err != nil {
		t.Fatal(err)
	}
	f := c.mustFail(t, nil)
	if errors.Is(f.err, ErrExpired) || !strings.Contains(f.err.Error(), "greylisted") || strings.Contains(f.err.Error(), "redacted") {
		t.Errorf("OnError was told %v", f.err)
	}
	if waits := c.clock.waited(); len(waits) != 4 {
		t.Errorf("the pauses were %v", waits)
	}
}

// A public site must not print its mails. Doctor says so.
func TestPrinterIsForDevelopment(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]int{"http://localhost:8080": 0, "https://app.example": 1} {
		type user struct{ auth.Account }
		m, err := auth.New(memstore.New[user](), auth.Config{
			BaseURL: base, Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Mailer: NewPrinter(io.Discard),
		})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range m.Doctor(t.Context()) {
			if f.Code == auth.FindingMailerPrints && f.Severity == auth.SeveritySevere {
				n++
			}
		}
		if n != want {
			t.Errorf("%s: %d findings, want %d", base, n, want)
		}
	}
}

func TestPrinter(t *testing.T) {
	var out bytes.Buffer
	p := NewPrinter(&out)
	german, err := p.With(Content{Templates: map[auth.MailKind]Template{auth.MailReset: {Text: "Hier: {{.Link}}"}}})
	if err != nil {
		t.Fatal(err)
	}
	var sent sync.WaitGroup
	for range 10 {
		for _, mailer := range []auth.Mailer{p, german} {
			sent.Go(func() {
				if err := mailer.Send(t.Context(), resetMail("ann@app.example")); err != nil {
					t.Error(err)
				}
			})
		}
	}
	sent.Wait()
	head := "---- mail ----\nTo: ann@app.example\nSubject: Set a new password\n\n"
	english := head + strings.Replace(resetText("", testLink, "This email was sent to"), "Ann", "ann", 1) + "--------------\n"
	if n := strings.Count(out.String(), english); n != 10 {
		t.Errorf("%d of 10:\n%s", n, &out)
	}
	if n := strings.Count(out.String(), head+"Hier: "+testLink+"\n--------------\n"); n != 10 {
		t.Errorf("%d of 10:\n%s", n, &out)
	}
	broken := errors.New("broken")
	if err := NewPrinter(brokenWriter{broken}).Send(t.Context(), resetMail("ann@app.example")); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }
