package auth_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

// FuzzCookieOf: of what could be a token of ours, we read nothing in a request's
// cookies that net/http does not, and miss nothing that comes alone.
func FuzzCookieOf(f *testing.F) {
	for _, header := range []string{
		"auth=AAAA", "a=1; auth=AAAA; b=2", "auth=AAAA;auth=BBBB", " auth=AAAA ;", "auth=\"AAAA\"", "auth", "auth; auth=AAAA", "auth =AAAA",
		"authx=AAAA; xauth=BBBB", "auth=A A", "auth=A,A", "auth==AAAA", "a=auth=AAAA", "AUTH=AAAA", "auth=\xff; auth=AAAA", ";;=;auth=AAAA", "a\tb=1;\tauth=AAAA", "",
	} {
		f.Add(header, "AAAA")
	}
	ours := func(text string) bool {
		return text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
	}
	f.Fuzz(func(t *testing.T, header, token string) {
		r := &http.Request{Header: http.Header{"Cookie": {header}}}
		got, ok := auth.CookieOf(r, "auth")
		if known := r.CookiesNamed("auth"); ok && ours(got) && !slices.ContainsFunc(known, func(c *http.Cookie) bool { return c.Value == got }) {
			t.Errorf("%q has %q, and net/http sees %v", header, got, known)
		}
		if !ours(token) || ok || len(r.CookiesNamed("auth")) > 0 {
			return
		}
		r.Header["Cookie"] = []string{header, "auth=" + token}
		if got, _ := auth.CookieOf(r, "auth"); got != token {
			t.Errorf("behind %q it is %q", header, got)
		}
	})
}
