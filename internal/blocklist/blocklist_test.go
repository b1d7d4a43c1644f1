package blocklist

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func entries() []string {
	return strings.Split(strings.TrimSuffix(common, "\n"), "\n")
}

func TestList(t *testing.T) {
	words := entries()
	if len(words) < 3000 {
		t.Errorf("%d entries, want at least 3000", len(words))
	}
	if !strings.HasSuffix(common, "\n") {
		t.Error("the last line has no end")
	}
	if !slices.IsSorted(words) {
		t.Error("not sorted")
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(words)))); n != len(words) {
		t.Errorf("%d entries, %d different ones", len(words), n)
	}
	most := 0
	for _, word := range words {
		if !utf8.ValidString(word) || utf8.RuneCountInString(word) < 8 || word != strings.ToLower(word) {
			t.Errorf("%q: want valid UTF-8 in lower case, of 8 code points or more", word)
		}
		// Contains relies on ASCII.
		if i := strings.IndexFunc(word, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
			t.Errorf("%q: want visible ASCII", word)
		}
		most = max(most, len(word))
	}
	if most != longest {
		t.Errorf("the longest entry has %d bytes, the constant says %d", most, longest)
	}
}

func TestContains(t *testing.T) {
	words := entries()
	known := make(map[string]bool, len(words))
	for _, word := range words {
		known[word] = true
	}
	for i, word := range words {
		mixed := strings.ToUpper(word[:1]) + word[1:]
		for _, form := range []string{word, strings.ToUpper(word), mixed} {
			if !Contains(form) {
				t.Errorf("%q is not found", form)
			}
		}
		next := words[(i+1)%len(words)]
		for _, other := range []string{
			word[:len(word)-1],
			word[1:],
			word[:len(word)-1] + string(word[len(word)-1]+1),
			word[:len(word)-1] + string(word[len(word)-1]-1),
			word + "a",
			word + "\x00",
			word + "\n",
			"\n" + word,
			word + " ",
			word + word,
			word + "\n" + next,
			word + "é",
			word + "\xff",
			word + " is not my horse",
		} {
			if got := Contains(other); got != known[strings.ToLower(other)] {
				t.Errorf("Contains(%q) = %t", other, got)
			}
		}
	}
}

func TestContainsTable(t *testing.T) {
	for password, want := range map[string]bool{
		"":                              false,
		"\n":                            false,
		"password":                      true,
		"PassWord":                      true,
		"pa\u017F\u017Fword":            true, // long s folds to s
		"\u017Funshine":                 true,
		"monkey12":                      true,
		"mon\u212Aey12":                 true, // the kelvin sign folds to k
		"mon\u212Aey12 ":                false,
		"iloveyou":                      true,
		"my password is long":           false,
		"password dragon monkey staple": false,
		"correct horse battery staple":  false,
		"пароль-пароль":                 false,
		"passw\u00F6rd":                 false,
		strings.Repeat("password", 128): false,
		strings.Repeat("\xff", 1024):    false,
	} {
		if got := Contains(password); got != want {
			t.Errorf("Contains(%q) = %t, want %t", password, got, want)
		}
	}
}

func TestContainsAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Contains("Password"); Contains("no such password at all") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTrivial(t *testing.T) {
	for _, test := range []struct {
		password string
		want     bool
	}{
		// A unit, repeated.
		{"aaaaaaaa", true},
		{"AaaAaAAA", true},
		{"abababab", true},
		{"abcabcabc", true},
		{"abcabcab", true},
		{"12341234", true},
		{"12341234123", true},
		{"        ", true},
		{"ßßßßßßßß", true},
		{"😀😀😀😀😀😀😀😀", true},
		{"😀🐎🔋📎😀🐎🔋📎", true},
		{"👍🏽👍🏽👍🏽👍🏽", true},
		{strings.Repeat("x", 1024), true},
		{strings.Repeat("wxyz", 256), true},
		{"abcdeabcde", false}, // five code points
		{"aaaaaaab", false},
		{"baaaaaaa", false},
		{"abababba", false},
		{"12341235", false},
		{strings.Repeat("x", 1023) + "y", false},
		{strings.Repeat("x", 511) + "y" + strings.Repeat("x", 512), false},

		// Consecutive characters.
		{"abcdefgh", true},
		{"ABCDefgh", true},
		{"hgfedcba", true},
		{"12345678", true},
		{"87654321", true},
		{"1234567890123", true},
		{"3210987654", true},
		{"uvwxyzabc", true},
		{"cbazyxwvu", true},
		{"αβγδεζηθ", true},
		{"абвгдежз", true},
		{"😀😁😂😃😄😅😆😇", true},
		{"abcdefgi", false},
		{"abcdabce", false},
		{"abcdefgf", false}, // changes direction
		{"12345687", false},
		{"13579bdf", false},
		{"abcd1234", false},

		// A row of a keyboard.
		{"qwertyuiop", true},
		{"QWERTYUIOP", true},
		{"poiuytrewq", true},
		{"wertyuio", true},
		{"asdfghjkl", true},
		{"asdfghjkl;'", true},
		{"lkjhgfdsa", true},
		{"zxcvbnm,./", true},
		{"ZXCVBNM<>?", true},
		{"1234567890-=", true},
		{"0987654321", true},
		{"!@#$%^&*()", true},
		{"qwertyuiop[]\\", true},
		{"qwertyuiopasdfghjklzxcvbnm", true},
		{"qwertzuiopü", true},
		{"QWERTZUIOPÜ", true},
		{"azertyuiop", true},
		{"qsdfghjklm", true},
		{"йцукенгшщзхъ", true},
		{"ФЫВАПРОЛДЖЭ", true},
		{"qwertyuo", false},
		{"qwertyuiopp", false},
		{"qwertyuiop1", false},
		{"1234567890-=\n~!@", false}, // not from one line of the table to the next
		{"qwertyuiopasdfghjklzxcvbnmq", false},

		// Anything else.
		{"", false},
		{"a", false},
		{"\n", false},
		{"correct horse battery staple", false},
		{"abcdefgh is how it starts", false},
		{"my qwertyuiop keyboard", false},
		{"aaaaaaaa battery", false},
		{"🐎🔋📎✅😀🍎🚲🌧", false},
		{"Tr0ub4dor&3", false},
	} {
		if got := Trivial(test.password); got != test.want {
			t.Errorf("Trivial(%q) = %t, want %t", test.password, got, test.want)
		}
	}
}

func TestRows(t *testing.T) {
	most := 0
	for row := range strings.Lines(rows) {
		row = strings.TrimSuffix(row, "\n")
		if row != strings.ToLower(row) {
			t.Errorf("%q is not in lower case", row)
		}
		if !Trivial(row) || !Trivial(reverse(row)) {
			t.Errorf("%q is not trivial", row)
		}
		most = max(most, utf8.RuneCountInString(row))
	}
	if most != longestRow {
		t.Errorf("the longest row has %d keys, the constant says %d", most, longestRow)
	}
}

func reverse(s string) string {
	runes := []rune(s)
	slices.Reverse(runes)
	return string(runes)
}

func FuzzContains(f *testing.F) {
	for _, seed := range []string{"", "password", "PASSWORD", "pa\u017F\u017Fword", "!qaz2wsx", "zzzzzzz1", "zzzzzzz2", "a\nb", "\xff"} {
		f.Add(seed)
	}
	words := entries()
	f.Fuzz(func(t *testing.T, password string) {
		want := slices.ContainsFunc(words, func(word string) bool { return strings.EqualFold(word, password) })
		if got := Contains(password); got != want {
			t.Errorf("Contains(%q) = %t, want %t", password, got, want)
		}
	})
}

func FuzzTrivial(f *testing.F) {
	for _, seed := range []string{"", "aaaaaaaa", "abcdefgh", "qwertyuiop", "12341234", "correct horse battery staple"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, password string) {
		got := Trivial(password)
		if back := Trivial(reverse(password)); got != back {
			t.Errorf("Trivial(%q) = %t, but %t read backwards", password, got, back)
		}
		unit := []rune(password)
		unit = unit[:min(len(unit), maxUnit)]
		if again := strings.Repeat(string(unit), 3); again != "" && !Trivial(again) {
			t.Errorf("Trivial(%q) = false", again)
		}
	})
}

func BenchmarkContains(b *testing.B) {
	for b.Loop() {
		Contains("Sunshine1")
	}
}

func BenchmarkTrivial(b *testing.B) {
	password := strings.Repeat("x", 1023) + "y"
	for b.Loop() {
		Trivial(password)
	}
}
