package authmail

import (
	"bytes"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"math"
	"strconv"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-login/auth"
)

// A Renderer makes the text of mails. Use it if your application sends mails through an API
// in place of SMTP: Render the mail in the Send of your own auth.Mailer, put the Message into
// a queue, and return. It is safe for use by many goroutines.
type Renderer struct {
	content  Content
	frame    *htmltemplate.Template
	sources  map[string]map[auth.MailKind]*source   // by language
	replaced map[string]map[auth.MailKind]*replaced // by language; "" is for Content.Templates
	words    map[string]*words
}

// A Message is a rendered mail. All of it is UTF-8.
type Message struct {
	To      string // the recipient's address; its domain is in ASCII
	Subject string // one line
	Text    string // the text/plain part
	HTML    string // the text/html part, a whole document

	// Expires is when the link or the code stops working, or zero. Do not send the mail
	// after that.
	Expires time.Time
}

// NewRenderer makes a Renderer. It returns an error if a setting or a template is wrong.
func NewRenderer(c Content) (*Renderer, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	r := &Renderer{content: c, words: shipped(), sources: map[string]map[auth.MailKind]*source{}, replaced: map[string]map[auth.MailKind]*replaced{}}
	var err error
	if r.frame, err = htmltemplate.ParseFS(files, "mails/frame.html"); err != nil {
		return nil, fmt.Errorf("authmail: %w", err)
	}
	for lang := range r.words {
		if r.sources[lang], err = readSources(lang); err != nil {
			return nil, fmt.Errorf("authmail: %w", err)
		}
	}
	if err := r.replace("", "Content.Templates", c.Templates); err != nil {
		return nil, err
	}
	for lang, all := range c.Translations {
		if err := r.replace(lang, fmt.Sprintf("Content.Translations[%q]", lang), all); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Render makes the text of a mail, in the language of the mail.
//
// It returns an error that wraps auth.ErrInvalidEmail for a wrong address. It also returns an
// error for an unknown kind, if the link is not an absolute URL, or if mails of the kind have
// no link. No error contains the link or the code.
func (r *Renderer) Render(m auth.Mail) (Message, error) {
	d, err := r.dataOf(m)
	if err != nil {
		return Message{}, err
	}
	msg, err := r.render(m.Kind, d)
	if err != nil {
		return Message{}, errors.New(redact(err.Error(), d.Link, d.Code, ""))
	}
	if m.Lifetime > 0 && !m.At.IsZero() {
		msg.Expires = m.At.Add(m.Lifetime)
	}
	return msg, nil
}

// render makes the text of a mail: first the package's own, then the parts of the application's
// template.
func (r *Renderer) render(kind auth.MailKind, d Data) (Message, error) {
	msg, err := r.own(r.sources[d.inWords().lang][kind], d)
	if err != nil {
		return Message{}, err
	}
	all, ok := r.replaced[d.Language]
	if !ok {
		all = r.replaced[""]
	}
	if own := all[kind]; own != nil {
		err = own.render(&msg, d)
	}
	msg.To = d.Email
	return msg, err
}

// own makes the text of one of the package's own mails.
func (r *Renderer) own(s *source, d Data) (Message, error) {
	var subject, html bytes.Buffer
	if err := s.subject.Execute(&subject, d); err != nil {
		return Message{}, err
	}
	parts, err := s.parts(d)
	if err != nil {
		return Message{}, err
	}
	heading := oneLine(subject.String())
	msg := Message{Subject: heading, Text: plain(parts, d)}
	if d.Site != "" {
		msg.Subject += " – " + d.Site
	}
	w := d.inWords()
	before, after := d.sent()
	err = r.frame.Execute(&html, struct {
		Lang, Dir, Subject, Heading, Site, Preview string
		Parts                                      []part
		Link, ButtonFails                          string
		SentBefore, Email, SentAfter               string
		Accent, Ink                                htmltemplate.CSS
	}{
		w.lang, w.dir, msg.Subject, heading, d.Site, preview(parts),
		parts,
		d.Link, w.buttonFails,
		before, d.Email, after,
		//nolint:gosec // isColor lets only # and six hexadecimal digits through
		htmltemplate.CSS(r.content.Accent), htmltemplate.CSS(ink(r.content.Accent)),
	})
	msg.HTML = html.String()
	return msg, err
}

// replaced are an application's templates of one kind; nil where the package's own part is
// used.
type replaced struct {
	subject, text *texttemplate.Template
	html          *htmltemplate.Template
}

func (t *replaced) render(msg *Message, d Data) error {
	var subject, text, html bytes.Buffer
	if t.subject != nil {
		if err := t.subject.Execute(&subject, d); err != nil {
			return err
		}
		msg.Subject = oneLine(subject.String())
	}
	if t.text != nil {
		if err := t.text.Execute(&text, d); err != nil {
			return err
		}
		msg.Text = text.String()
	}
	if t.html != nil {
		if err := t.html.Execute(&html, d); err != nil {
			return err
		}
		msg.HTML = html.String()
	}
	return nil
}

// replace parses an application's templates in one language, and tries them.
func (r *Renderer) replace(lang, setting string, all map[auth.MailKind]Template) error {
	rules := linkRules()
	r.replaced[lang] = map[auth.MailKind]*replaced{}
	for kind, template := range all {
		rule, ok := rules[kind]
		if !ok {
			return fmt.Errorf("authmail: %s[%q]: unknown kind of mail; use a constant auth.Mail…", setting, kind)
		}
		t, err := parseTemplate(template)
		if err == nil {
			r.replaced[lang][kind] = t
			if rule != noLink {
				err = r.try(kind, lang, true)
			}
			if rule != needsLink {
				err = errors.Join(err, r.try(kind, lang, false))
			}
		}
		if err != nil {
			return fmt.Errorf("authmail: %s[%q]: %w", setting, kind, err)
		}
	}
	return nil
}

func parseTemplate(from Template) (*replaced, error) {
	var t replaced
	var subject, text, html error
	if from.Subject != "" {
		t.subject, subject = texttemplate.New("subject").Parse(from.Subject)
	}
	if from.Text != "" {
		t.text, text = texttemplate.New("text").Parse(from.Text)
	}
	if from.HTML != "" {
		t.html, html = htmltemplate.New("html").Parse(from.HTML)
	}
	return &t, errors.Join(subject, text, html)
}

// try renders a mail with sample data.
func (r *Renderer) try(kind auth.MailKind, lang string, withLink bool) error {
	const link, code = "https://app.example/sample", "BCDF-GHJK"
	for _, name := range []string{"sample", ""} {
		d := Data{Username: name, Site: r.content.Site, Language: lang, Email: "sample@app.example", Factor: name, words: wordsOf(r.words, lang)}
		if withLink {
			d.Link, d.Lifetime = link, 30*time.Minute
		}
		withCode := kind == auth.MailLoginCode
		if withCode {
			d.Code = code
		}
		msg, err := r.render(kind, d)
		switch {
		case err != nil:
			return err
		case msg.Subject == "":
			return errors.New("the Subject is empty when executed with sample data")
		case withLink && !strings.Contains(msg.Text, link):
			return errors.New("the Text does not contain {{.Link}}")
		case withLink && !strings.Contains(msg.HTML, link):
			return errors.New("the HTML does not contain {{.Link}}")
		case withCode && (!strings.Contains(msg.Text, code) || !strings.Contains(msg.HTML, code)):
			return errors.New("the Text or the HTML does not contain {{.Code}}")
		}
	}
	return nil
}

// oneLine returns a text as a header can have it.
func oneLine(text string) string {
	line := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(line), " ")
}

func isUnseen(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// safeName returns the username if it can do no harm in a mail, and otherwise "".
func safeName(user auth.User) string {
	if user == nil || user.AuthAccount() == nil {
		return ""
	}
	return safeText(user.AuthAccount().Username)
}

// safeText returns a text that a user has chosen, or "" if it could be read as something
// else than a name, such as a link.
func safeText(name string) string {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > 64 || strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.M, unicode.Nd) && !strings.ContainsRune(" -_", r)
	}) {
		return ""
	}
	return strings.TrimSpace(name)
}

// luminance returns the relative luminance of a colour, from 0 to 1.
func luminance(color string) float64 {
	channel := func(hex string) float64 {
		n, _ := strconv.ParseUint(hex, 16, 8) // isColor has checked it
		v := float64(n) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(color[1:3]) + 0.7152*channel(color[3:5]) + 0.0722*channel(color[5:7])
}
