package pages_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// contrastOf returns the contrast of two colours such as "#0b57b0" (WCAG 2.2).
func contrastOf(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(colour string) float64 {
		if len(colour) == 4 {
			colour = regexp.MustCompile(`[0-9a-f]`).ReplaceAllString(colour, "$0$0")
		}
		n, err := strconv.ParseUint(colour[1:], 16, 32)
		check(t, err)
		sum := 0.0
		for i, share := range []float64{0.0722, 0.7152, 0.2126} {
			v := float64(n>>(8*i)&0xff) / 255
			if v > 0.04045 {
				v = math.Pow((v+0.055)/1.055, 2.4)
			} else {
				v /= 12.92
			}
			sum += share * v
		}
		return sum + 0.05
	}
	x, y := luminance(a), luminance(b)
	return max(x, y) / min(x, y)
}

// variables returns the variables of a stylesheet: first those of the light scheme, then those of
// the dark one. Later ones replace earlier ones.
func variables(css string) [2]map[string]string {
	found := [2]map[string]string{{}, {}}
	for _, block := range regexp.MustCompile(`(?s)(@media screen and \(prefers-color-scheme: dark\) \{\s*)?:root \{(.*?)\}`).FindAllStringSubmatch(css, -1) {
		for _, v := range regexp.MustCompile(`(--[\w-]+): (#\w+);`).FindAllStringSubmatch(block[2], -1) {
			if block[1] == "" {
				found[0][v[1]] = v[2]
			}
			if block[1] != "" || found[1][v[1]] == "" {
				found[1][v[1]] = v[2]
			}
		}
	}
	return found
}

// TestAccent: the stylesheet has the application's colour, in both schemes, and text in it or on
// it has enough contrast. The colours that New compares it with are those of the stylesheet.
func TestAccent(t *testing.T) {
	t.Parallel()
	for _, accent := range []string{"", "#0b57b0", "#05B", "#0b6b50", "#a8180f", "#000000", "#6b21a8"} {
		s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Accent = accent })
		css := s.client().get("/auth.css").body
		schemes := variables(css)
		if accent == "#0b6b50" && schemes[0]["--accent"] != accent {
			t.Errorf("%s is %s", accent, schemes[0]["--accent"])
		}
		for i, v := range schemes {
			for _, pair := range [][2]string{{"--accent", "--page"}, {"--accent", "--back"}, {"--accent", "--on-accent"}} {
				if got := contrastOf(t, v[pair[0]], v[pair[1]]); got < 4.5 {
					t.Errorf("%s, scheme %d: %s %s on %s %s has a contrast of %.2f", accent, i, pair[0], v[pair[0]], pair[1], v[pair[1]], got)
				}
			}
		}
	}
	for accent, want := range map[string]string{
		"#ffcc00": "has a contrast of 1.39 with the background #f5f6f8, and needs 4.5; use #", "#777": "a contrast of 4.14 ", "#fff": "a contrast of 1.08 ",
		"blue": "is not a colour", "#12": "is not a colour", "#12345g": "is not a colour", "#1234567": "is not a colour", "0b57b0": "is not a colour",
		"#+12345": "is not a colour", "#0b57b0;}": "is not a colour",
	} {
		_, err := pages.New(newManager(auth.Config{}).Core, pages.Config{Accent: accent})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", accent, err, want)
			continue
		}
		if _, shade, ok := strings.Cut(err.Error(), "; use #"); ok { // and the shade that it names is accepted
			_, err := pages.New(newManager(auth.Config{}).Core, pages.Config{Accent: "#" + shade[:6]})
			check(t, err)
		}
	}
	own := func(css string) error {
		_, err := pages.New(newManager(auth.Config{}).Core, pages.Config{Accent: "#0b57b0", Templates: fstest.MapFS{"auth.css": {Data: []byte(css)}}})
		return err
	}
	check(t, own("a { color: var(--accent); }"))
	if err := own("a { color: blue; }"); err == nil || !strings.Contains(err.Error(), "has no effect") {
		t.Errorf("a stylesheet without the accent: %v", err)
	}
}

// TestContrast: in both schemes, every text of the stylesheet can be read on what may be behind
// it, and borders of fields can be seen.
func TestContrast(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	page := s.client().get("/login").body
	for i, v := range variables(s.client().get("/auth.css").body) {
		for _, text := range []string{"--text", "--quiet", "--error"} {
			for _, back := range []string{"--page", "--back"} {
				if got := contrastOf(t, v[text], v[back]); got < 4.5 {
					t.Errorf("scheme %d: %s on %s has a contrast of %.2f", i, text, back, got)
				}
			}
		}
		for _, back := range []string{"--info", "--success", "--warning", "--danger"} {
			if got := contrastOf(t, v["--text"], v[back]); got < 4.5 {
				t.Errorf("scheme %d: text on %s has a contrast of %.2f", i, back, got)
			}
		}
		if got := contrastOf(t, v["--edge"], v["--back"]); got < 3 {
			t.Errorf("scheme %d: borders have a contrast of %.2f", i, got)
		}
		if !strings.Contains(page, `name="theme-color" content="`+v["--page"]+`"`) {
			t.Errorf("scheme %d: the layout's theme-color is not %s", i, v["--page"])
		}
	}
}
