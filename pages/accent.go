package pages

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Text must have at least this contrast with what is behind it (WCAG 2.2, 1.4.3). On dark
// pages the accent has more, so that buttons stand out.
const (
	leastContrast = 4.5
	darkContrast  = 7
)

// A colour has a red, a green and a blue part.
type colour [3]uint8

// The colours of auth.css behind text of the accent: the page in the light scheme, and a card in
// the dark one. The other one of each scheme has more contrast.
func lightBack() colour { return colour{0xf5, 0xf6, 0xf8} }
func darkBack() colour  { return colour{0x18, 0x19, 0x1d} }

func white() colour { return colour{0xff, 0xff, 0xff} }
func black() colour { return colour{} }

// accented returns the stylesheet with Config.Accent in place of its own accent.
func (p *Pages) accented(style string) (string, error) {
	if p.cfg.Accent == "" {
		return style, nil
	}
	accent, err := parseColour(p.cfg.Accent)
	if err != nil {
		return "", err
	}
	if ratio := contrast(accent, lightBack()); ratio < leastContrast {
		return "", fmt.Errorf("pages: Accent %s has a contrast of %.2f with the background %s, and needs %.1f; use %s, or a darker shade",
			p.cfg.Accent, math.Floor(ratio*100)/100, lightBack(), leastContrast, accent.towards(black(), lightBack(), leastContrast))
	}
	if !strings.Contains(style, "var(--accent)") {
		return "", errors.New("pages: Accent has no effect, because your auth.css does not use var(--accent)")
	}
	return style + fmt.Sprintf(`
:root { --accent: %s; --on-accent: #fff; }
@media screen and (prefers-color-scheme: dark) { :root { --accent: %s; --on-accent: #0b1526; } }
`, accent, accent.towards(white(), darkBack(), darkContrast)), nil
}

// parseColour reads a colour such as "#0b57b0" or "#05b".
func parseColour(s string) (colour, error) {
	digits, ok := strings.CutPrefix(s, "#")
	if len(digits) == 3 {
		digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
	}
	n, err := strconv.ParseUint(digits, 16, 24)
	if !ok || err != nil || len(digits) != 6 {
		return colour{}, fmt.Errorf("pages: Accent %q is not a colour; use one such as \"#0b57b0\"", s)
	}
	return colour{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}

func (c colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]) }

// towards returns the colour mixed with as little of another one as gives it this contrast with
// what is behind it.
func (c colour) towards(other, back colour, least float64) colour {
	mixed := c
	for percent := 0; percent <= 100 && contrast(mixed, back) < least; percent++ {
		for i := range mixed {
			mixed[i] = uint8((int(c[i])*(100-percent) + int(other[i])*percent) / 100)
		}
	}
	return mixed
}

// contrast returns the contrast of two colours, between 1 and 21 (WCAG 2.2, "contrast ratio").
func contrast(a, b colour) float64 {
	dark, light := luminance(a), luminance(b)
	return (max(dark, light) + 0.05) / (min(dark, light) + 0.05)
}

func luminance(c colour) float64 {
	linear := func(part uint8) float64 {
		v := float64(part) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}
