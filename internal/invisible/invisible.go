// Package invisible knows the characters that nobody sees, so that a name with
// one looks like a name without it.
package invisible

import (
	"strings"
	"unicode"
)

// Is reports whether r shows nothing: format, bidirectional and control characters,
// joiners, variation selectors, tags, fillers, separators other than the space, and
// characters whose picture is empty.
func Is(r rune) bool {
	switch r {
	case ' ': // which everybody looks for
		return false
	case '\u2800', // BRAILLE PATTERN BLANK
		'\U0001d159',               // MUSICAL SYMBOL NULL NOTEHEAD
		'\U00016fe4',               // KHITAN SMALL SCRIPT FILLER
		'\U00013441', '\U00013442': // EGYPTIAN HIEROGLYPH FULL BLANK, HALF BLANK
		return true
	}
	return unicode.In(r, unicode.C, unicode.Z, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// In reports whether there is one in s.
func In(s string) bool { return strings.ContainsFunc(s, Is) }

// Strip returns s without them.
func Strip(s string) string {
	return strings.Map(func(r rune) rune {
		if Is(r) {
			return -1
		}
		return r
	}, s)
}
