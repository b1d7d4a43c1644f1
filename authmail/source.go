package authmail

import (
	"embed"
	"strings"
	texttemplate "text/template"

	"github.com/go-login/auth"
)

//go:embed mails
var files embed.FS

// A source is one of the package's own mails, as it is in mails/*.txt. Subject and Body are
// templates that are executed with a Data. Paragraphs of the Body are separated by empty
// lines; each is one line of the file. A paragraph "[button]" stands for the link, and
// "[facts]" for what is known about the request.
type source struct {
	subject, body *texttemplate.Template
	button        string // the words on the button
}

// readSources returns the package's mails in one language. A file begins with templates that
// its mails share.
func readSources(lang string) (map[auth.MailKind]*source, error) {
	text, err := files.ReadFile("mails/" + lang + ".txt")
	if err != nil {
		return nil, err
	}
	shared, rest, _ := strings.Cut(string(text), "\n== ")
	set, err := texttemplate.New(lang).Parse(shared)
	if err != nil {
		return nil, err
	}
	all := map[auth.MailKind]*source{}
	for section := range strings.SplitSeq(rest, "\n== ") {
		kind, mail, _ := strings.Cut(section, "\n")
		head, body, _ := strings.Cut(mail, "\n\n")
		first, second, _ := strings.Cut(head, "\n")
		s := &source{button: strings.TrimPrefix(second, "Button: ")}
		if s.subject, err = set.New(kind + " subject").Parse(strings.TrimPrefix(first, "Subject: ")); err != nil {
			return nil, err
		}
		if s.body, err = set.New(kind + " body").Parse(body); err != nil { // a shared template may be called like the kind
			return nil, err
		}
		all[auth.MailKind(kind)] = s
	}
	return all, nil
}

// A part is a paragraph of a mail: the button, the facts, or a text, which may have the code
// of a login in it.
type part struct {
	Button              string
	Facts               []fact
	Before, Code, After string
}

// A fact is what is known about the request that caused a mail.
type fact struct{ Name, Value string }

func (d Data) facts() []fact {
	w := d.inWords()
	var known []fact
	for _, f := range []fact{{w.when, d.When()}, {w.browser, d.Browser}, {w.address, d.Address}} {
		if f.Value != "" {
			known = append(known, f)
		}
	}
	return known
}

// parts executes the body and returns its paragraphs.
func (s *source) parts(d Data) ([]part, error) {
	var body strings.Builder
	if err := s.body.Execute(&body, d); err != nil {
		return nil, err
	}
	var parts []part
	for paragraph := range strings.SplitSeq(body.String(), "\n\n") {
		p := part{}
		switch paragraph = strings.Join(strings.Fields(paragraph), " "); paragraph {
		case "":
			continue
		case "[button]":
			if p.Button = s.button; d.Link == "" {
				continue
			}
		case "[facts]":
			if p.Facts = d.facts(); p.Facts == nil {
				continue
			}
		default:
			p.Before = paragraph
			if before, after, ok := strings.Cut(paragraph, d.Code); ok && d.Code != "" {
				p = part{Before: before, Code: d.Code, After: after}
			}
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// preview returns what mail programs show beside the subject: the first text without the code,
// because locked screens show it, too.
func preview(parts []part) string {
	for _, p := range parts {
		if p.Before != "" && p.Code == "" {
			return p.Before
		}
	}
	return ""
}

// plain returns the text/plain part of a mail.
func plain(parts []part, d Data) string {
	var text strings.Builder
	for _, p := range parts {
		switch {
		case p.Button != "":
			text.WriteString(d.Link + "\n")
		case p.Facts != nil:
			for _, f := range p.Facts {
				text.WriteString(f.Name + ": " + f.Value + "\n")
			}
		default:
			text.WriteString(wrapped(p.Before + p.Code + p.After))
		}
		text.WriteString("\n")
	}
	before, after := d.sent()
	text.WriteString(wrapped(before + d.Email + after))
	return text.String()
}

// sent returns the last line of a mail: what comes before the address and after it.
func (d Data) sent() (before, after string) {
	w := d.inWords()
	line := w.sentTo
	if d.Site != "" {
		line = strings.ReplaceAll(w.sentBy, "{site}", d.Site)
	}
	before, after, _ = strings.Cut(line, "{address}")
	return before, after
}

// wrapped returns a text in lines of at most 76 code points, if its words are shorter.
func wrapped(text string) string {
	var lines strings.Builder
	width := 0
	for word := range strings.FieldsSeq(text) {
		n := len([]rune(word))
		switch {
		case width == 0:
		case width+1+n > 76:
			lines.WriteString("\n")
			width = 0
		default:
			lines.WriteString(" ")
			width++
		}
		lines.WriteString(word)
		width += n
	}
	return lines.String() + "\n"
}
