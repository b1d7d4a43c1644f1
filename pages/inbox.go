package pages

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// inboxPage is shown after a form that has a mail sent. It says where the mail went, and can
// send it again. It says the same whether there is an account or not.
//
// What was sent is in a sealed cookie, so the address is in no URL and no log.
func (p *Pages) inboxPage() *page {
	t := &p.texts
	return &page{
		name: "inbox", title: &t.InboxTitle,
		texts: []text{
			must(&t.InboxTitle, "Check your inbox"),
			must(&t.InboxButton, "Send it again"),
			must(&t.InboxOther, "Use another address"),
			may(&t.InboxHelp, "If no email comes within a few minutes, look in your spam folder, and check that the address is right."),
			may(&t.InboxAgain, "If an email is due to this address, we have sent it again."),
		},
		path: "/check-inbox", url: &p.urls.Inbox, mails: true,
		stays: "forms that have a mail sent lead to it",
		who:   visitorsAndUsers, own: true,
		form: p.inboxForm, again: p.showInbox, get: p.showInbox, post: p.sendAgain,
		sample: func(page *Page) { page.Address, page.Sent, page.OtherAddress = "susan@example.org", "text", "/" },
	}
}

// A mailing is a kind of mail that a form has sent, and that the page can send again.
type mailing struct {
	text string // says that it was sent
	form string // the URL of the form, for another address
	own  bool   // only the user who asked for it may send it again, in a fresh login
	send func(q *request, address string) error
}

// mailing returns the kind of mail with this name.
func (p *Pages) mailing(name string) (m mailing, ok bool) {
	t, u := &p.texts, &p.urls
	switch name {
	case "reset":
		m = mailing{t.ResetSent, u.Forgot, false, func(q *request, address string) error { return p.core.SendReset(q.Context(), address) }}
	case "register":
		m = mailing{t.RegisterMailed, u.Register, false, func(q *request, address string) error { return p.core.SendVerification(q.Context(), address) }}
	case "verify":
		m = mailing{t.VerifySent, u.Verify + "?new", false, func(q *request, address string) error { return p.core.SendVerification(q.Context(), address) }}
	case "email":
		m = mailing{t.EmailSent, u.Email + "?new", true, func(q *request, address string) error { return p.core.SendEmailChange(q.Context(), q.user, address) }}
	default:
		return m, false
	}
	return m, true
}

// The cookie inbox says what was sent where.
const (
	inboxFor = 30 * time.Minute
	maxInbox = 3500 // bytes of its value, so that browsers keep it
)

// mailed leads to the page that says where a mail went. name is that of a mailing.
func (p *Pages) mailed(q *request, name, address string, next auth.Next) answer {
	m, _ := p.mailing(name)
	address = shown(strings.TrimSpace(address))
	content := url.Values{"name": {name}, "address": {address}, "next": {next.String()}}
	if q.user != nil {
		content.Set("user", q.user.AuthAccount().ID)
	}
	text := content.Encode()
	text += strings.Repeat("&", -len(text)&63) // so that its length tells little of the address
	cookie := p.core.Cookie("inbox")
	cookie.Value = p.core.SealCookie("inbox", []byte(text), p.auth.Now().Add(inboxFor))
	cookie.MaxAge = int(inboxFor.Seconds())
	if len(cookie.Value) > maxInbox {
		return say("info", mailedTo(m.text, address), m.form)
	}
	a := answer{to: p.urls.Inbox, cookies: []*http.Cookie{&cookie}}
	if q.json { // a browser's next page says it
		a.flash = auth.Flash{Category: "info", Text: mailedTo(m.text, address)}
	}
	return a
}

// lastMailing returns the mail that this browser has last had sent, its address, and where the
// user wants to go then. ok is false if there is none, or if it is another user's.
func (p *Pages) lastMailing(q *request) (m mailing, address string, next auth.Next, ok bool) {
	cookie, err := q.Cookie(p.core.Cookie("inbox").Name)
	if err != nil {
		return m, "", next, false
	}
	sealed, ok := p.core.OpenCookie("inbox", cookie.Value)
	content, err := url.ParseQuery(string(sealed))
	if !ok || err != nil {
		return m, "", next, false
	}
	m, ok = p.mailing(content.Get("name"))
	if user := content.Get("user"); m.own && user == "" || user != "" && (q.user == nil || q.user.AuthAccount().ID != user) {
		ok = false
	}
	return m, content.Get("address"), auth.ParseNext(content.Get("next")), ok
}

// forgetMailing returns the cookies that delete what lastMailing returns, if there is any.
func (p *Pages) forgetMailing(q *request) []*http.Cookie {
	cookie := p.core.Cookie("inbox")
	if _, err := q.Cookie(cookie.Name); err != nil {
		return nil
	}
	cookie.MaxAge = -1
	return []*http.Cookie{&cookie}
}

func (p *Pages) inboxForm(q *request) *Form {
	f := newForm(p.urls.Inbox, p.texts.InboxButton, nil)
	if _, _, next, ok := p.lastMailing(q); ok {
		f.Next = next.String()
	}
	return f
}

func (p *Pages) showInbox(q *request) answer { return p.drawInbox(q, p.inboxForm(q)) }

func (p *Pages) drawInbox(q *request, f *Form) answer {
	m, address, next, ok := p.lastMailing(q)
	if !ok {
		return answer{to: p.loginOrAccount(q)}
	}
	q.address = address
	a := p.draw(q, f)
	a.page.Sent, a.page.OtherAddress = m.text, next.AddTo(m.form)
	return a
}

// sendAgain answers the same whether there is an account or not.
func (p *Pages) sendAgain(q *request) answer {
	m, address, _, ok := p.lastMailing(q)
	if !ok {
		return answer{to: p.loginOrAccount(q)}
	}
	if m.own {
		if a, ok := p.admitAs(q, freshUsers); !ok {
			return a
		}
	}
	err := m.send(q, address)
	if err == nil {
		return say("info", p.texts.InboxAgain, p.urls.Inbox)
	}
	f := p.inboxForm(q)
	if p.refuse(f, err); f.valid() {
		return answer{err: err}
	}
	return p.drawInbox(q, f)
}

// Mailed returns a text with an address in place of {address}.
func (p Page) Mailed(text, address string) template.HTML {
	return isolate(text, "{address}", shown(address))
}

// mailedTo is Page.Mailed as plain text.
func mailedTo(text, address string) string { return strings.ReplaceAll(text, "{address}", address) }
