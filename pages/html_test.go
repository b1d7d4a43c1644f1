package pages_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func parse(t *testing.T, r response) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(r.body))
	check(t, err)
	return doc
}

// all returns the elements that fit.
func all(n *html.Node, fits func(*html.Node) bool) []*html.Node {
	var found []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && fits(d) {
			found = append(found, d)
		}
	}
	return found
}

func tag(names ...string) func(*html.Node) bool {
	return func(n *html.Node) bool { return slices.Contains(names, n.Data) }
}

func with(key, value string) func(*html.Node) bool {
	return func(n *html.Node) bool { return attr(n, key) == value }
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// only returns the only element that fits.
func only(t *testing.T, n *html.Node, fits func(*html.Node) bool) *html.Node {
	t.Helper()
	found := all(n, fits)
	if len(found) != 1 {
		t.Fatalf("%d elements and not 1", len(found))
	}
	return found[0]
}

// A field is an input as a user finds it.
type field struct{ label, kind, autocomplete, value, err string }

// fields returns the inputs of a page that have a name, but for hidden ones.
func fields(t *testing.T, r response) map[string]field {
	t.Helper()
	doc, found := parse(t, r), map[string]field{}
	for _, input := range all(doc, tag("input")) {
		name := attr(input, "name")
		if name == "" || attr(input, "type") == "hidden" {
			continue
		}
		f := field{
			label: text(only(t, doc, with("for", attr(input, "id")))),
			kind:  attr(input, "type"), autocomplete: attr(input, "autocomplete"), value: attr(input, "value"),
		}
		if id := attr(input, "aria-describedby"); id != "" {
			f.err = text(only(t, doc, with("id", id)))
		}
		found[name] = f
	}
	return found
}

// wantErrors fails unless a form is shown again with these errors, and no
// others, at their fields.
func wantErrors(t *testing.T, r response, want map[string]string) {
	t.Helper()
	wantStatus(t, r, 422)
	for name, f := range fields(t, r) {
		if f.err != want[name] {
			t.Errorf("the error at %s is %q, want %q", name, f.err, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("no field for %v", want)
	}
	accessible(t, r)
}

// message returns the category and text of the only message on a page.
func message(t *testing.T, r response) (category, message string) {
	t.Helper()
	flash := only(t, only(t, parse(t, r), with("role", "status")), tag("p"))
	return strings.TrimPrefix(attr(flash, "class"), "flash "), text(flash)
}

// accessible checks what a page owes those who do not see it, or have no
// mouse.
func accessible(t *testing.T, r response) {
	t.Helper()
	doc := parse(t, r)
	if attr(only(t, doc, tag("html")), "lang") == "" {
		t.Error("no lang")
	}
	title := text(only(t, doc, tag("title")))
	if h1 := text(only(t, doc, tag("h1"))); h1 == "" || !strings.HasPrefix(title, h1) {
		t.Errorf("the heading is %q and the title %q", h1, title)
	}
	only(t, doc, tag("main"))

	ids := map[string]bool{}
	for _, n := range all(doc, func(n *html.Node) bool { return has(n, "id") }) {
		if id := attr(n, "id"); ids[id] || id == "" {
			t.Errorf("the id %q is there twice", id)
		} else {
			ids[id] = true
		}
	}
	for _, n := range all(doc, func(n *html.Node) bool { return true }) {
		if id := attr(n, "aria-describedby"); has(n, "aria-describedby") && !ids[id] {
			t.Errorf("nothing has the id %q that describes %s", id, attr(n, "name"))
		}
		if has(n, "aria-describedby") != (attr(n, "aria-invalid") == "true") {
			t.Errorf("%s is invalid without a reason, or not invalid with one", attr(n, "name"))
		}
		if target, ok := strings.CutPrefix(attr(n, "href"), "#"); ok && !ids[target] {
			t.Errorf("a link leads to %q, which nothing is", target)
		}
		if n.Data == "a" && (attr(n, "href") == "" || text(n) == "") {
			t.Error("a link without a text or a target")
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("the attribute %s, which the CSP forbids", a.Key)
			}
		}
	}
	if n := all(doc, tag("script", "style", "iframe", "object", "base", "img")); len(n) > 0 {
		t.Errorf("there is a %s", n[0].Data)
	}

	inputs := all(doc, func(n *html.Node) bool { return n.Data == "input" && attr(n, "type") != "hidden" })
	for _, n := range inputs {
		if label := only(t, doc, with("for", attr(n, "id"))); label.Data != "label" || text(label) == "" {
			t.Errorf("the input %s has no label", attr(n, "name"))
		}
		if attr(n, "type") == "password" && has(n, "value") {
			t.Error("a password is in the page")
		}
		if attr(n, "type") != "checkbox" && attr(n, "autocomplete") == "" {
			t.Errorf("the input %s has no autocomplete", attr(n, "name"))
		}
	}
	focus := all(doc, func(n *html.Node) bool { return has(n, "autofocus") })
	wrong := all(doc, with("aria-invalid", "true"))
	switch {
	case len(inputs) == 0:
		if len(focus) > 0 {
			t.Error("the cursor is nowhere")
		}
	case len(focus) != 1:
		t.Errorf("the cursor is in %d places", len(focus))
	case len(wrong) > 0 && focus[0] != wrong[0]:
		t.Error("the cursor is not in the first field that is wrong")
	}
	if alerts := all(doc, with("role", "alert")); len(alerts) != min(1, len(wrong)) {
		t.Errorf("%d summaries of %d errors", len(alerts), len(wrong))
	}
}

// link returns where the link with this text leads, in the page's main part.
func link(t *testing.T, r response, label string) string {
	t.Helper()
	main := only(t, parse(t, r), tag("main"))
	return attr(only(t, main, func(n *html.Node) bool { return n.Data == "a" && text(n) == label }), "href")
}

func heading(t *testing.T, r response) string {
	t.Helper()
	return text(only(t, parse(t, r), tag("h1")))
}

func button(t *testing.T, r response) string {
	t.Helper()
	main := only(t, parse(t, r), tag("main"))
	return text(only(t, main, tag("button")))
}
