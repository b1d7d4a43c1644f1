package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// Paths in the repository.
const (
	raw      = "docs/performance/bench.txt"
	picture  = "docs/performance/requests.svg"
	document = "docs/performance.md"

	begin = "<!-- bench:begin -->\n"
	end   = "<!-- bench:end -->\n"
)

// A library is one of the libraries that are compared.
type library struct {
	name, label string
}

func libraries() []library {
	return []library{
		{"go-login", "go-login"}, {"scs", "scs"}, {"gorilla", "gorilla/sessions"}, {"authboss", "authboss"},
		{"go-pkgz", "go-pkgz/auth"}, {"floor", "floor"},
	}
}

// A row is a case in the table of requests, and how it is measured.
type row struct {
	label string
	time  func(peer string) value
	count func(peer string) value
}

func requestRows() []row {
	in := func(label, name string) row {
		return row{
			label: label,
			time:  func(peer string) value { return request(name, peer) },
			count: func(peer string) value { return allocations(name, peer) },
		}
	}
	// The handler's time is not subtracted here, because the handler is not
	// reached, or is part of the case.
	whole := func(label, name string) row {
		return row{
			label: label,
			time:  func(peer string) value { return per("sec", name+"/"+peer) },
			count: func(peer string) value { return per("allocs", name+"/"+peer) },
		}
	}
	return []row{
		in("anonymous", "anonymous"),
		in("logged in", "logged-in"),
		in("logged in, and writes to the session", "write"),
		in("logged in, and a rule with a role", "role"),
		whole("refused", "Request/refusal"),
		whole("only remembered", "Remember"),
	}
}

// unit returns the value of which request times are multiples.
func unit() value { return request("logged-in", "floor") }

// documents returns the files that are made from the measurements.
func documents(root string, m measured) (map[string][]byte, error) {
	files := map[string][]byte{}
	svg, err := draw(m)
	if err != nil {
		return nil, err
	}
	files[filepath.Join(root, picture)] = svg
	path := filepath.Join(root, document)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	made, err := tables(m)
	if err != nil {
		return nil, err
	}
	if files[path], err = splice(text, made); err != nil {
		return nil, fmt.Errorf("%s: %w", document, err)
	}
	return files, nil
}

// splice replaces the text between the marks.
func splice(text []byte, made string) ([]byte, error) {
	before, rest, ok := bytes.Cut(text, []byte(begin))
	_, after, also := bytes.Cut(rest, []byte(end))
	if !ok || !also {
		return nil, errors.New("the marks for the tables are missing; add the lines " + strings.TrimSpace(begin) + " and " + strings.TrimSpace(end))
	}
	return bytes.Join([][]byte{before, []byte(begin), []byte("\n" + made + "\n"), []byte(end), after}, nil), nil
}

// A table is a table in Markdown.
type table struct{ strings.Builder }

func (t *table) row(cells ...string) { t.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

func (t *table) head(cells ...string) {
	t.row(cells...)
	t.WriteString("|---" + strings.Repeat("|--:", len(cells)-1) + "|\n")
}

func labels() (all []string) {
	for _, l := range libraries() {
		all = append(all, l.label)
	}
	return all
}

// cell returns a figure, or a dash if the library has no such feature.
func cell(m measured, what, of value) (string, error) {
	figure, err := m.figure(what, of)
	if errors.Is(err, errNotMeasured) {
		return "–", nil
	}
	return short(figure), err
}

// fill adds a row with a cell for each library. It adds none if go-login was not measured.
func (t *table) fill(label string, of func(peer string) (string, error)) error {
	cells := []string{label}
	for _, l := range libraries() {
		text, err := of(l.name)
		if err != nil {
			return err
		}
		if cells = append(cells, text); l.name == "go-login" && text == "–" {
			return nil
		}
	}
	t.row(cells...)
	return nil
}

func httpShare(m measured, peer string) (string, error) {
	return cell(m, per("sec", "HTTP/bare"), per("sec", "HTTP/"+peer))
}

// tables returns what docs/performance.md has between the marks.
func tables(m measured) (string, error) {
	var t table
	fmt.Fprintf(&t, "Measured with %s on %s/%s, GOMAXPROCS=%s, %s, in %d rounds.\n\n### Targets\n\n", m.machine["go"],
		m.machine["goos"], m.machine["goarch"], m.machine["processors"], m.machine["cpu"], len(m.rounds))
	t.head("what", "target", "figure", "")
	for _, target := range targets() {
		bound, figure, verdict, err := target.judge(m)
		if err != nil {
			return "", err
		}
		t.row(target.name, bound, figure, verdict)
	}

	t.WriteString("\n### Requests in process\n\nTime, in multiples of what the floor takes for a logged-in request; in parentheses, allocations.\n\n")
	t.head(append([]string{"request"}, labels()...)...)
	for _, r := range requestRows() {
		err := t.fill(r.label, func(peer string) (string, error) {
			time, err := cell(m, r.time(peer), unit())
			if err != nil || time == "–" {
				return time, err
			}
			count, err := cell(m, r.count(peer), value{})
			return time + " (" + count + ")", err
		})
		if err != nil {
			return "", err
		}
	}

	t.WriteString("\n### Requests over HTTP\n\nRequests per second on a page for those who are logged in, of what a bare handler serves.\n\n")
	t.head(append([]string{""}, labels()...)...)
	if err := t.fill("share of a bare handler's", func(peer string) (string, error) { return httpShare(m, peer) }); err != nil {
		return "", err
	}

	t.WriteString("\n### Passwords\n\nTime, in multiples of the hash alone.\n\n")
	t.head(append([]string{"one client"}, labels()...)...)
	for label, name := range pairs("login form", "Login", "another password, by a mailed token", "Reset") {
		err := t.fill(label, func(peer string) (string, error) {
			return cell(m, per("sec", name+"/"+peer), per("sec", name+"/argon2id"))
		})
		if err != nil {
			return "", err
		}
	}
	if err := ways(&t, m); err != nil {
		return "", err
	}
	turned, err := cell(m, per("refused", "Logins/go-login"), value{})
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&t, "\nOf 128 clients that log in at the same time, go-login tells some to come back later: %s times for each login.\n", turned)

	t.WriteString("\n### Stores\n\nA logged-in request with go-login. Time is in multiples of that with the store in memory.\n\n")
	t.head("store", "round trips", "calls that read", "calls that write", "allocations", "time")
	for _, engine := range []string{"Memory", "SQLite", "PostgreSQL", "MariaDB", "Redis"} {
		cells := []string{engine}
		for _, unit := range []string{"trips", "reads", "writes", "allocs"} {
			text, err := cell(m, per(unit, "Store/"+engine), value{})
			if err != nil {
				return "", err
			}
			cells = append(cells, text)
		}
		time, err := cell(m, per("sec", "Store/"+engine), per("sec", "Store/Memory"))
		if err != nil {
			return "", err
		}
		t.row(append(cells, time)...)
	}
	return t.String(), nil
}

// ways adds a table of the other ways to log in.
func ways(t *table, m measured) error {
	var rows table
	for label, name := range pairs("a password, as JSON", "json", "a password and a code", "totp",
		"a passkey, with the authenticator's own work", "passkey", "a provider in the same process, with its own work", "provider") {
		err := rows.fill(label, func(peer string) (string, error) {
			return cell(m, per("sec", "Paths/"+name+"/"+peer), per("sec", "Paths/argon2id"))
		})
		if err != nil {
			return err
		}
	}
	if rows.Len() == 0 {
		return nil
	}
	t.WriteString("\nOther ways to log in, in the same unit:\n\n")
	t.head(append([]string{"login by"}, labels()...)...)
	t.WriteString(rows.String())
	return nil
}

// pairs yields labels and names in order.
func pairs(all ...string) func(yield func(label, name string) bool) {
	return func(yield func(label, name string) bool) {
		for i := 0; i+1 < len(all); i += 2 {
			if !yield(all[i], all[i+1]) {
				return
			}
		}
	}
}

// A panel is one chart of the picture: a bar for each library.
type panel struct {
	Title string
	Top   int
	Bars  []bar
}

type bar struct {
	Label, Value string
	Ours         bool
	Y, Text      int
	Width, After int
}

//go:embed requests.svg.tmpl
var svgTemplate string

// draw makes the picture.
func draw(m measured) ([]byte, error) {
	const barHeight, gap, head, widest, left = 22, 8, 40, 430, 170
	type chart struct {
		title, suffix string
		what          func(peer string) (what, of value)
	}
	charts := []chart{
		{"Logged-in request: time, in multiples of the floor (less is better)", "×", func(peer string) (value, value) {
			return request("logged-in", peer), unit()
		}},
		{"The same with a write to the session (less is better)", "×", func(peer string) (value, value) {
			return request("write", peer), unit()
		}},
		{"HTTP requests per second behind a login, of a bare handler (more is better)", "", func(peer string) (value, value) {
			return per("sec", "HTTP/bare"), per("sec", "HTTP/"+peer)
		}},
	}
	var panels []panel
	var said []string
	y := 0
	for _, c := range charts {
		p := panel{Title: c.title, Top: y + 24}
		y += head
		var figures []float64
		longest := 0.0
		for _, l := range libraries() {
			figure, err := m.figure(c.what(l.name))
			if errors.Is(err, errNotMeasured) {
				continue
			}
			if err != nil {
				return nil, err
			}
			figures = append(figures, figure)
			longest = max(longest, figure)
			p.Bars = append(p.Bars, bar{Label: l.label, Value: short(figure) + c.suffix, Ours: l.name == "go-login"})
		}
		var words []string
		for i := range p.Bars {
			b := &p.Bars[i]
			b.Y, b.Text = y, y+barHeight-6
			b.Width = max(2, int(figures[i]/longest*widest))
			b.After = left + b.Width + 8
			y += barHeight + gap
			words = append(words, b.Label+" "+b.Value)
		}
		y += gap
		panels = append(panels, p)
		said = append(said, p.Title+": "+strings.Join(words, ", ")+".")
	}
	t, err := template.New("").Parse(svgTemplate)
	if err != nil {
		return nil, err
	}
	var svg bytes.Buffer
	err = t.Execute(&svg, map[string]any{
		"Height": y, "Panels": panels, "Said": strings.Join(said, " "), "Left": left, "LabelEnd": left - 10, "BarHeight": barHeight,
	})
	return svg.Bytes(), err
}
