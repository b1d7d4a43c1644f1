package authtest

import (
	"fmt"
	"html"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-login/auth"
)

// An App is what Indistinguishable looks at.
type App struct {
	Core    *auth.Core
	Handler http.Handler // the whole application, inside the manager's LoadAndSave
	Mailbox *Mailbox     // the manager's Mailer; nil if the application sends no mails

	// Random matches what is random in every answer, such as a CSRF token or the
	// nonce of a policy. It is compared by its length. It may be nil. The hidden
	// fields form_… of package pages are compared by their length in any case.
	Random *regexp.Regexp
}

// A Probe is one of the two cases.
type Probe struct {
	// Do makes the requests, with a client that has never been here. Each answer
	// counts, and those that the last one redirects to.
	Do func(*Client)

	// Hide are the texts that were typed, and that the answers may repeat: each is
	// replaced by its number in this list, also where it is escaped for HTML, a
	// URL or JSON. Texts of the same length in both probes are best, for a
	// sealed cookie that has one in it is as much longer.
	Hide []string

	// Mails is how many mails are to be sent: none by default. Nobody sees who else
	// gets one, so it may differ.
	Mails int
}

// Indistinguishable shows that the application's answers do not tell two cases
// apart, such as a login with a wrong password and one as somebody who has no
// account:
//
//	login := func(name string) authtest.Probe {
//		return authtest.Probe{Hide: []string{name}, Do: func(c *authtest.Client) {
//			c.Post("/login", url.Values{"login": {name}, "password": {"wrong"}})
//		}}
//	}
//	authtest.Indistinguishable(t, app, login("susan"), login("jacob"))
//
// It runs one probe after the other, and compares everything that the client gets:
// the number of answers, and of each the status, the headers but Date, the cookies'
// names, attributes and lengths (and the values of cookies that are not the
// manager's), the body, trailers, early hints, and whether it was flushed; then
// the number of password hashes, which is what takes long. It counts the mails.
// Everything that differs fails the test, and so does an answer of 500 or more,
// which is the same for everybody.
//
// It measures no time. Nothing else may use the manager meanwhile. What a message
// says on a later page is seen only if the probe opens that page. A probe that
// asks for the wrong page is answered alike, too: let Do check what it got.
func Indistinguishable(t testing.TB, app App, a, b Probe) {
	t.Helper()
	first, second := app.run(t, a), app.run(t, b)
	var d []string
	for i := range min(len(first.answers), len(second.answers)) {
		label := fmt.Sprintf("answer %d, %s", i+1, first.answers[i].request)
		d = append(d, differences(label, first.answers[i].facts, second.answers[i].facts)...)
		if len(d) > 0 {
			break // the next ones follow from it
		}
	}
	d = append(d, differences("in total", first.totals(), second.totals())...)
	for i, got := range []observation{first, second} {
		p := []Probe{a, b}[i]
		for n, answer := range got.answers {
			if answer.status >= http.StatusInternalServerError {
				d = append(d, fmt.Sprintf("\n%s probe, answer %d, %s: the application failed, with %d", ordinal(i), n+1, answer.request, answer.status))
			}
		}
		if got.mails != p.Mails {
			d = append(d, fmt.Sprintf("\n%s probe: %d mails were sent, and are to be %d (Probe.Mails)", ordinal(i), got.mails, p.Mails))
		}
	}
	if len(d) > 0 {
		t.Errorf("authtest: the two probes can be told apart:%s", strings.Join(d, ""))
	}
}

func ordinal(i int) string { return [...]string{"first", "second"}[i] }

// An observation is what a probe came to.
type observation struct {
	answers []answer
	hashes  uint64
	mails   int
}

func (o observation) totals() map[string]string {
	return map[string]string{
		"number of answers":         fmt.Sprint(len(o.answers)),
		"number of password hashes": fmt.Sprint(o.hashes),
	}
}

// An answer is what a client learns from it, by what it is about.
type answer struct {
	request string
	status  int
	facts   map[string]string
}

// run runs a probe.
func (app App) run(t testing.TB, p Probe) observation {
	t.Helper()
	core := app.Core
	session := strings.TrimSuffix(core.Cookie("x").Name, "-x")
	v := view{
		hide: newHider(p.Hide), random: app.Random, session: session,
		sealed: regexp.MustCompile(`name="form_[a-z]+" value="[\w-]+"`),
	}

	var mu sync.Mutex
	var got []*Response
	c := NewClient(t, app.Core, app.Handler)
	c.log = func(r *Response) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r)
	}
	hashes, mails := core.PasswordHashes(), app.mails()
	p.Do(c)
	if len(got) == 0 {
		t.Fatal("authtest: the probe has made no request")
		return observation{}
	}
	c.Follow(got[len(got)-1])
	o := observation{hashes: core.PasswordHashes() - hashes, mails: app.mails() - mails}
	for _, r := range got {
		o.answers = append(o.answers, v.of(r))
	}
	return o
}

func (app App) mails() int {
	if app.Mailbox == nil {
		return 0
	}
	return len(app.Mailbox.Mails())
}

// A view takes out of an answer what may differ.
type view struct {
	hide    hider
	random  *regexp.Regexp
	sealed  *regexp.Regexp // the hidden fields of package pages that are sealed
	session string         // the name of the session cookie, with which the manager's others begin
}

func (v view) clean(text string) string {
	byLength := func(match string) string { return fmt.Sprintf("[%d random bytes]", len(match)) }
	text = v.sealed.ReplaceAllStringFunc(v.hide.replace(text), byLength)
	if v.random == nil {
		return text
	}
	return v.random.ReplaceAllStringFunc(text, byLength)
}

func (v view) of(r *Response) answer {
	facts := map[string]string{
		"status":  r.Status,
		"body":    v.clean(r.Text),
		"flushed": fmt.Sprint(r.flushed),
	}
	v.header(facts, "header", r.Header, len(r.Text))
	v.header(facts, "trailer", r.Trailer, -1)
	for i, early := range r.early {
		about := fmt.Sprintf("early answer %d", i+1)
		facts[about] = fmt.Sprint(early.status)
		v.header(facts, about+", header", early.header, -1)
	}
	request := r.Request.Method + " " + v.clean(r.Request.URL.RequestURI())
	return answer{request, r.StatusCode, facts}
}

func (v view) header(facts map[string]string, about string, h http.Header, length int) {
	for name, values := range h {
		switch {
		case name == "Date", strings.HasPrefix(name, http.TrailerPrefix):
			continue
		case name == "Content-Length" && slices.Equal(values, []string{fmt.Sprint(length)}):
			values = []string{"(right)"} // and so it differs as what was typed does
		case name == "Set-Cookie":
			cookies := make([]string, len(values))
			for i, line := range values {
				cookies[i] = v.cookie(line)
			}
			values = cookies
		}
		facts[about+" "+v.clean(name)] = v.clean(strings.Join(values, "\n"))
	}
}

// cookie is a Set-Cookie without what is random. The manager's own values are
// sealed, signed or random; others are compared as they are.
func (v view) cookie(line string) string {
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, _ := strings.Cut(pair, "=")
	if (name == v.session || strings.HasPrefix(name, v.session+"-")) && value != "" {
		value = fmt.Sprintf("[%d bytes]", len(value))
	}
	return name + "=" + value + ";" + attributes
}

// A hider replaces texts by their numbers, however they are escaped.
type hider struct {
	any     *regexp.Regexp // a group for each text; nil if there are none
	numbers []int          // of the groups
}

func newHider(texts []string) hider {
	var h hider
	var groups []string
	order := make([]int, len(texts))
	for i := range order {
		order[i] = i
	}
	// A longer text may begin with a shorter one.
	slices.SortStableFunc(order, func(i, j int) int { return len(texts[j]) - len(texts[i]) })
	for _, i := range order {
		if texts[i] == "" {
			continue
		}
		var group strings.Builder
		for _, r := range texts[i] {
			group.WriteString("(?:" + forms(r) + ")")
		}
		groups, h.numbers = append(groups, "("+group.String()+")"), append(h.numbers, i+1)
	}
	if len(groups) > 0 {
		h.any = regexp.MustCompile(strings.Join(groups, "|"))
	}
	return h
}

func (h hider) replace(text string) string {
	if h.any == nil {
		return text
	}
	var b strings.Builder
	done := 0
	for _, match := range h.any.FindAllStringSubmatchIndex(text, -1) {
		for group, number := range h.numbers {
			if match[2+2*group] >= 0 {
				fmt.Fprintf(&b, "%s[hidden %d]", text[done:match[0]], number)
			}
		}
		done = match[1]
	}
	return b.String() + text[done:]
}

// forms is a regular expression for what becomes of a character in a page, a
// URL (which may be in another URL) or JSON.
func forms(r rune) string {
	literal := regexp.QuoteMeta(string(r))
	if '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
		return literal
	}
	var percent, utf16s strings.Builder
	for _, b := range []byte(string(r)) {
		fmt.Fprintf(&percent, "%%(?:25)*%02X", b)
	}
	for _, unit := range utf16.Encode([]rune{r}) {
		fmt.Fprintf(&utf16s, `\\+u%04X`, unit)
	}
	all := []string{
		percent.String(), utf16s.String(), fmt.Sprintf(`\\+x%02X`, r),
		fmt.Sprintf(`\\*&#0*%d;|\\*&#x0*%X;`, r, r), regexp.QuoteMeta(html.EscapeString(string(r))),
	}
	switch r {
	case ' ':
		all = append(all, forms('+'))
	case '"':
		all = append(all, `\\+"`, `\\*&quot;`)
	case '\'', '/', '\\':
		all = append(all, `\\+`+literal)
	}
	return "(?i:" + strings.Join(all, "|") + "|" + literal + ")" // which an escaped form may begin with
}

// differences says what two sets of facts differ in, and where.
func differences(label string, a, b map[string]string) []string {
	about := map[string]bool{}
	for name := range a {
		about[name] = true
	}
	for name := range b {
		about[name] = true
	}
	var d []string
	for _, name := range slices.Sorted(maps.Keys(about)) {
		first, inFirst := a[name]
		second, inSecond := b[name]
		if first == second && inFirst == inSecond {
			continue
		}
		var where string
		switch {
		case !inFirst:
			first, second = none, quote(second, 0)
		case !inSecond:
			first, second = quote(first, 0), none
		default:
			where, first, second = firstDifference(first, second)
		}
		d = append(d, fmt.Sprintf("\n%s: %s%s\n\tfirst:  %s\n\tsecond: %s", label, name, where, first, second))
	}
	return d
}

const none = "(none)"

// firstDifference returns the first lines that differ, quoted.
func firstDifference(a, b string) (where, first, second string) {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	line := 0
	for line < len(as) && line < len(bs) && as[line] == bs[line] {
		line++
	}
	if max(len(as), len(bs)) > 1 {
		where = fmt.Sprintf(", line %d", line+1)
	}
	switch {
	case line == len(as):
		return where, none, quote(bs[line], 0)
	case line == len(bs):
		return where, quote(as[line], 0), none
	}
	at := 0
	for at < len(as[line]) && at < len(bs[line]) && as[line][at] == bs[line][at] {
		at++
	}
	return where, quote(as[line], at), quote(bs[line], at)
}

// quote quotes a text, or of a long one the part around at.
func quote(text string, at int) string {
	from, to := max(0, at-60), min(len(text), at+100)
	for from > 0 && !utf8.RuneStart(text[from]) {
		from--
	}
	part := text[from:to]
	if from > 0 {
		part = "…" + part
	}
	if to < len(text) {
		part += "…"
	}
	return fmt.Sprintf("%q", part)
}
