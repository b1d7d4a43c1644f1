package auth_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// Every link in the documents leads to a file that exists, and to a heading that exists.
// Links to other sites are only parsed.
func TestLinks(t *testing.T) {
	t.Parallel()
	documents := []string{filepath.Join("examples", "README.md")}
	for _, pattern := range []string{"*.md", filepath.Join("docs", "*.md")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	links := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		all := linksIn(string(text))
		links += len(all)
		for _, link := range all {
			if fault := brokenLink(document, link); fault != "" {
				t.Errorf("%s: %s", document, fault)
			}
		}
	}
	if len(documents) < 20 || links < 100 {
		t.Errorf("%d documents, %d links", len(documents), links)
	}
}

// The check finds links that lead nowhere, and knows how GitHub names headings.
func TestLinkChecks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	document := filepath.Join(dir, "a.md")
	const text = "# The `Config`, and [more](b.md)!\n\nA [link\nover lines](#twice-1), ![a picture](missing.svg), `[no](link)`.\n\n" +
		"```\n[no](link)\n# no heading\n```\n\n## Twice\n\n## Twice\n\n## snake_case: ÄÖ — 2.0\n\n[ref]: b.md#here\n\n<a id=\"own\"></a>\n"
	for name, content := range map[string]string{document: text, filepath.Join(dir, "b.md"): "# There\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := linksIn(text); !slices.Equal(got, []string{"b.md", "#twice-1", "missing.svg", "b.md#here"}) {
		t.Errorf("links %q", got)
	}
	if got := anchorsIn(text); !slices.Equal(got, []string{"the-config-and-more", "twice", "twice-1", "snake_case-äö--20", "own"}) {
		t.Errorf("anchors %q", got)
	}
	for link, broken := range map[string]bool{
		"b.md": false, "b.md#there": false, "b.md#here": true, "#twice": false, "#twice-2": true, "#own": false, "c.md": true, "./b.md": false,
		".": false, "https://app.example/x#y": false, "https://app.example:x": true, "": true,
	} {
		if fault := brokenLink(document, link); (fault != "") != broken {
			t.Errorf("%q: fault %q", link, fault)
		}
	}
}

var (
	fenced   = regexp.MustCompile("(?ms)^ *```.*?\n *```")
	inlined  = regexp.MustCompile("`[^`\n]+`")
	linked   = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]*)[^)]*\)|(?m:^\[[^\]]+\]: *(\S+))`)
	anchored = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *#* *$|<a (?:id|name)="([^"]+)"`)
)

// linksIn returns where the links and pictures of a document lead.
func linksIn(text string) (links []string) {
	text = inlined.ReplaceAllString(fenced.ReplaceAllString(text, ""), "x")
	for _, m := range linked.FindAllStringSubmatch(text, -1) {
		links = append(links, m[1]+m[2])
	}
	return links
}

// anchorsIn returns the names to which a link can lead within a document: of headings, as
// GitHub makes them, and of anchors.
func anchorsIn(text string) (anchors []string) {
	seen := map[string]int{}
	for _, m := range anchored.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		if m[2] != "" {
			anchors = append(anchors, m[2])
			continue
		}
		heading := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(m[1], "$1")
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r):
				return unicode.ToLower(r)
			}
			return -1
		}, heading)
		if n := seen[slug]; n > 0 {
			anchors = append(anchors, fmt.Sprintf("%s-%d", slug, n))
		} else {
			anchors = append(anchors, slug)
		}
		seen[slug]++
	}
	return anchors
}

// brokenLink says what is wrong with a link in a document, or returns "".
func brokenLink(document, link string) string {
	u, err := url.Parse(link)
	switch {
	case err != nil:
		return err.Error()
	case link == "":
		return "a link leads nowhere"
	case u.IsAbs():
		return ""
	}
	target := document
	if u.Path != "" {
		target = filepath.Join(filepath.Dir(document), filepath.FromSlash(u.Path))
	}
	if _, err := os.Stat(target); err != nil {
		return fmt.Sprintf("the link %s leads to no file", link)
	}
	if u.Fragment == "" {
		return ""
	}
	text, err := os.ReadFile(target)
	if err != nil {
		return fmt.Sprintf("the link %s: %v", link, err)
	}
	if filepath.Ext(target) == ".md" && !slices.Contains(anchorsIn(string(text)), u.Fragment) {
		return fmt.Sprintf("the link %s: %s has no such heading", link, target)
	}
	return ""
}
