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

// An App is the application that Indistinguishable checks.
type App struct {
	Core    *auth.Core
	Handler http.Handler // the whole application, inside the manager's LoadAndSave
	Mailbox *Mailbox     // the manager's Mailer, or nil if the application sends no mails

	// Random matches the random parts of every answer, such as a CSRF token or
	// the nonce of a Content-Security-Policy. Only their lengths are compared.
	// It may be nil. The hidden fields form_… of package pages are always
	// compared by their lengths.
	Random *regexp.Regexp
}

// A Probe is one of the two cases that are compared.
type Probe struct {
	// Do makes the requests, with a new client. Every answer is compared, and
	// also the answers to which the last one redirects.
	Do func(*Client)

	// Hide lists the texts that the probe types in, and that answers may
	// repeat. Each is replaced by its number in this list, also if it is
	// escaped for HTML, a URL or JSON. Use texts of the same length in both
	// probes: a sealed cookie that contains a longer text is longer.
	Hide []string

	// Mails is how many mails the probe must send: none by default. It may
	// differ between the probes, because the client does not see who gets mail.
	Mails int
}

// Indistinguishable checks that the application's answers do not tell two cases
// apart, such as a login with a wrong password and a login to an account that
// does not exist:
//
//	login := func(name string) authtest.Probe {
//		return authtest.Probe{Hide: []string{name}, Do: func(c *authtest.Client) {
//			c.Post("/login", url.Values{"login": {name}, "password": {"wrong"}})
//		}}
//	}
//	authtest.Indistinguishable(t, app, login("susan"), login("jacob"))
//
// It runs one probe after the other, and compares everything that the client
// gets: the number of answers, and for each the status, the headers except
// Date, the cookies' names, attributes and lengths (and the values of cookies
// that are not the manager's), the body, trailers, early hints, and whether it
// was flushed. It also compares the number of password hashes, which take most
// of the time, and counts the mails. Every difference fails the test. So does
// an answer with a status of 500 or more, which would be the same in both
// cases.
//
// It does not measure time. Nothing else may use the manager meanwhile. If a
// message appears only on a later page, the probe must open that page. If both
// probes ask for a wrong page, the answers are equal as well, so let Do check
// what it got.
func Indistinguishable(t testing.TB, app App, a, b Probe) {
	t.Helper()
	first, second := app.run(t, a), app.run(t, b)
	var d []string
	for i := range min(len(first.answers), len(second.answers)) {
		label := fmt.Sprintf("answer %d, %s", i+1, first.answers[i].request)
		d = append(d, differences(label, first.answers[i].facts, second.answers[i].facts)...)
		if len(d) > 0 {
			break // later differences follow from this one
		}
	}
	d = append(d, differences("in total", first.totals(), second.totals())...)
	for i, got := range []observation{first, second} {
		p := []Probe{a, b}[i]
		for n, answer := range got.answers {
			if answer.status >= http.StatusInternalServerError {
				d = append(d, fmt.Sprintf("\n%s probe, answer %d, %s: the application failed with status %d", ordinal(i), n+1, answer.request, answer.status))
			}
		}
		if got.mails != p.Mails {
			d = append(d, fmt.Sprintf("\n%s probe: %d mails were sent, want %d (Probe.Mails)", ordinal(i), got.mails, p.Mails))
		}
	}
	if len(d) > 0 {
		t.Errorf("authtest: a client can tell the two probes apart:%s", strings.Join(d, ""))
	}
}

func ordinal(i int) string { return [...]string{"first", "second"}[i] }

// An observation is the result of a probe.
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

// An answer has the facts that a client learns from one answer.
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
		t.Fatal("authtest: Probe.Do made no request")
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

// A view removes from an answer what may differ.
type view struct {
	hide    hider
	random  *regexp.Regexp
	sealed  *regexp.Regexp // the hidden fields of package pages that are sealed
	session string         // the name of the session cookie; the manager's other cookies begin with it
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
			values = []string{"(right)"} // it depends on the length of the typed texts
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

// cookie returns a Set-Cookie header without its random parts. The manager's
// own values are sealed, signed or random; the values of other cookies stay.
func (v view) cookie(line string) string {
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, _ := strings.Cut(pair, "=")
	if (name == v.session || strings.HasPrefix(name, v.session+"-")) && value != "" {
		value = fmt.Sprintf("[%d bytes]", len(value))
	}
	return name + "=" + value + ";" + attributes
}

// A hider replaces texts with their numbers, however they are escaped.
type hider struct {
	any     *regexp.Regexp // a group for each text; nil if there are none
	numbers []int          // the number of the text of each group
}

func newHider(texts []string) hider {
	var h hider
	var groups []string
	order := make([]int, len(texts))
	for i := range order {
		order[i] = i
	}
	// The longest text comes first, because it may begin with a shorter one.
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

// forms returns a regular expression for the forms that a character may have in
// a page, a URL (also inside another URL) or JSON.
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
	return "(?i:" + strings.Join(all, "|") + "|" + literal + ")" // last, because an escaped form may begin with it
}

// differences says in which facts two answers differ, and where.
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

// quote quotes a text. Of a long text it quotes the part around at.
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
