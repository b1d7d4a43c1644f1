// Package blocklist knows the passwords that attackers guess first: some eleven
// thousand common ones, and those that follow an obvious pattern. It compares
// whole passwords only, so a passphrase may contain a common word.
package blocklist

import (
	_ "embed"
	"strings"
	"unicode"
	"unicode/utf8"
)

// common holds the common passwords of eight characters or more, in lower-case
// ASCII, sorted, each ended by a newline. README.md names its source.
//
//go:embed common.txt
var common string

const (
	longest = 20 // bytes of the longest entry of common
	maxUnit = 4  // code points of the longest unit whose repetition is trivial
)

// rows are the rows of keyboards: US, German, French and Russian, plain and
// shifted, in lower case. Each line is one row, or several rows that are typed
// one after the other.
const rows = "`1234567890-=\n" +
	"~!@#$%^&*()_+\n" +
	"qwertyuiop[]\\\n" +
	"qwertyuiop{}|\n" +
	"asdfghjkl;'\n" +
	"asdfghjkl:\"\n" +
	"zxcvbnm,./\n" +
	"zxcvbnm<>?\n" +
	"qwertyuiopasdfghjklzxcvbnm\n" +
	"qwertzuiopü+\n" +
	"asdfghjklöä#\n" +
	"yxcvbnm,.-\n" +
	"qwertzuiopasdfghjklyxcvbnm\n" +
	"azertyuiop^$\n" +
	"qsdfghjklmù*\n" +
	"wxcvbn,;:!\n" +
	"azertyuiopqsdfghjklmwxcvbn\n" +
	"йцукенгшщзхъ\n" +
	"фывапролджэ\n" +
	"ячсмитьбю.\n"

const longestRow = 26 // code points of the longest row

// Contains reports whether password, in any case, is one of the common
// passwords. All of these have at least eight characters.
func Contains(password string) bool {
	var folded [longest]byte
	n := 0
	for _, r := range password {
		switch {
		case n == longest:
			return false
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		case r == '\u017F': // ſ, which case folding makes an s
			r = 's'
		case r == '\u212A': // the kelvin sign, which case folding makes a k
			r = 'k'
		case r >= utf8.RuneSelf:
			return false
		}
		folded[n] = byte(r)
		n++
	}
	return find(common, string(folded[:n]))
}

// find reports whether word is a line of the sorted text lines, each line of
// which ends in a newline.
func find(lines, word string) bool {
	for lines != "" {
		mid := len(lines) / 2
		start := strings.LastIndexByte(lines[:mid], '\n') + 1
		line, after, _ := strings.Cut(lines[start:], "\n")
		switch {
		case word == line:
			return true
		case word < line:
			lines = lines[:start]
		default:
			lines = after
		}
	}
	return false
}

// Trivial reports whether password, in any case, is one obvious pattern. The
// patterns are: a unit of at most four code points, repeated, where the last
// one may be cut short (aaaaaaaa, abcabcab); consecutive characters up or down,
// where 0 follows 9 and a follows z (abcdefgh, 87654321); keys along a row of a
// keyboard in either direction (qwertyuiop). Invalid UTF-8 counts as U+FFFD.
func Trivial(password string) bool {
	p := []rune(password)
	if len(p) < 2 {
		return false
	}
	for i, r := range p {
		p[i] = unicode.ToLower(r)
	}
	return repeats(p) || consecutive(p) || alongRow(p)
}

// repeats reports whether p consists of a short unit at least twice.
func repeats(p []rune) bool {
	for unit := 1; unit <= maxUnit && 2*unit <= len(p); unit++ {
		i := unit
		for i < len(p) && p[i] == p[i-unit] {
			i++
		}
		if i == len(p) {
			return true
		}
	}
	return false
}

// consecutive reports whether each character of p follows the one before it, or
// each precedes it.
func consecutive(p []rune) bool {
	up, down := true, true
	for i := 1; i < len(p) && (up || down); i++ {
		up = up && follows(p[i-1], p[i])
		down = down && follows(p[i], p[i-1])
	}
	return up || down
}

// follows reports whether b comes directly after a.
func follows(a, b rune) bool {
	return b == a+1 || a == '9' && b == '0' || a == 'z' && b == 'a'
}

// alongRow reports whether p is a part of a keyboard's row, read either way.
func alongRow(p []rune) bool {
	if len(p) > longestRow {
		return false
	}
	var back [longestRow]rune
	for i, r := range p {
		if r == '\n' { // ends a row
			return false
		}
		back[len(p)-1-i] = r
	}
	return strings.Contains(rows, string(p)) || strings.Contains(rows, string(back[:len(p)]))
}
