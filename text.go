package auth

import (
	"cmp"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// cut returns the first n bytes of s, whole code points only.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// field returns the first value of a header. The name is written as net/http writes it
// (Hx-Request, not HX-Request): unlike http.Header.Get, field does not spend time on that.
func field(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isText reports whether s is valid UTF-8 without NUL. Some stores and libraries cut a
// text at a NUL.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// maxSkew is how much the clocks of servers may differ. If a login's time is further in
// the future, a clock was set back since, and the login's age is unknown.
const maxSkew = time.Minute

// newestFirst sorts by time, but puts the item with the ID keep first.
func newestFirst[T any](items []T, keep string, of func(T) (string, time.Time)) {
	slices.SortFunc(items, func(a, b T) int {
		idA, timeA := of(a)
		idB, timeB := of(b)
		if (idA == keep) != (idB == keep) {
			if idA == keep {
				return -1
			}
			return 1
		}
		return cmp.Or(timeB.Compare(timeA), cmp.Compare(idA, idB))
	})
}

// isNil reports whether v is nil, or a nil pointer or function.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func, reflect.Map:
		return r.IsNil()
	}
	return false
}
