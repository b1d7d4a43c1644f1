// Package invisible knows the characters that show nothing. A name with such a
// character looks like the name without it.
package invisible

import (
	"strings"
	"unicode"
)

// Is reports whether r shows nothing: format, bidirectional and control
// characters, joiners, variation selectors, tags, fillers, separators other
// than the space, and characters with an empty picture.
func Is(r rune) bool {
	switch r {
	case ' ': // a visible gap
		return false
	case '\u2800', // BRAILLE PATTERN BLANK
		'\U0001d159',               // MUSICAL SYMBOL NULL NOTEHEAD
		'\U00016fe4',               // KHITAN SMALL SCRIPT FILLER
		'\U00013441', '\U00013442': // EGYPTIAN HIEROGLYPH FULL BLANK, HALF BLANK
		return true
	}
	return unicode.In(r, unicode.C, unicode.Z, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// In reports whether s contains an invisible character.
func In(s string) bool { return strings.ContainsFunc(s, Is) }

// Strip returns s without its invisible characters.
func Strip(s string) string {
	return strings.Map(func(r rune) rune {
		if Is(r) {
			return -1
		}
		return r
	}, s)
}
