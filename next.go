package auth

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxNext is the longest Next, in bytes.
const maxNext = 2048

// Next is where to go after a login: a path of this site with its query and
// fragment. There is no way to make one that leads elsewhere, so it may be
// redirected to whatever a client sent. The zero value leads nowhere.
type Next struct{ target string }

// ParseNext returns the Next that text stands for, or the zero value.
//
// Browsers read URLs more liberally than net/url does (they strip tabs, and
// take \ for /), so it does not parse: it accepts a text that starts with a
// single / and consists of visible ASCII without \, and keeps it as it is. Such
// a text is a path to every parser.
func ParseNext(text string) Next {
	if len(text) == 0 || len(text) > maxNext || text[0] != '/' || strings.HasPrefix(text, "//") {
		return Next{}
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return Next{}
		}
	}
	// A path that no server would take is not a page to go to.
	path := text[:strings.IndexAny(text+"?", "?#")]
	if _, err := url.PathUnescape(path); err != nil {
		return Next{}
	}
	return Next{text}
}

// NextFrom returns the next of a request: the field of that name in the form,
// or else in the query.
func NextFrom(r *http.Request) Next {
	if next := r.PostFormValue("next"); r.PostForm.Has("next") {
		return ParseNext(next)
	}
	return ParseNext(r.URL.Query().Get("next"))
}

// TakeNext is Manager.TakeNext.
func (c *Core) TakeNext(r *http.Request) Next {
	next := NextFrom(r)
	s := c.stateOf(r.Context())
	if s == nil {
		return next
	}
	s.op.Lock()
	defer s.op.Unlock()
	cookie, has := cookieOf(s.request, c.cookies.next)
	if kept, set := s.cookie[c.cookies.next]; !has || s.committed || set && kept.value == "" {
		return next
	}
	if s.request.Method != http.MethodHead { // which takes nothing away: the GET comes later
		s.deleteCookie(c.cookies.next)
	}
	if sealed, ok := c.secrets.open(purposeNext, cookie); ok && next.IsZero() {
		until := reader{rest: string(sealed), ok: true}
		if expires := time.UnixMilli(until.varint()); c.cfg.Now().Before(expires) {
			next = ParseNext(until.rest)
		}
	}
	return next
}

// nextLifetime is how long the cookie with a next is good: for a registration
// that waits for a mail, and not for the next day.
const nextLifetime = time.Hour

// keepNext has the next put into the cookie.
func (c *Core) keepNext(ctx context.Context, next Next) {
	if s := c.stateOf(ctx); s != nil {
		s.op.Lock()
		defer s.op.Unlock()
		if s.next = next; next.IsZero() {
			s.deleteCookie(c.cookies.next)
		}
	}
}

// sealNext returns the cookie's value. The caller holds op.
func (s *state) sealNext() string {
	until := binary.AppendVarint(nil, s.core.cfg.Now().Add(nextLifetime).UnixMilli())
	return s.core.secrets.seal(purposeNext, append(until, s.next.target...))
}

// nextOf returns the page that a request is for, so that it can be asked for
// again: the zero value for a request that may change something.
func nextOf(r *http.Request) Next {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return Next{}
	}
	target := r.URL.EscapedPath()
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		target += "?" + escapeQuery(r.URL.RawQuery)
	}
	return ParseNext(target)
}

// escapeQuery escapes the bytes that a server accepts in a query and ParseNext
// does not.
func escapeQuery(query string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			b.WriteString(string([]byte{'%', hex[c>>4], hex[c&15]}))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// IsZero reports whether n leads nowhere.
func (n Next) IsZero() bool { return n.target == "" }

// String returns the path, query and fragment, or "".
func (n Next) String() string { return n.target }

// AddTo returns u with n in its query as next, or u if n leads nowhere. u is
// the application's own, and must have no fragment.
func (n Next) AddTo(u string) string {
	if n.IsZero() {
		return u
	}
	separator := "?"
	if strings.Contains(u, "?") {
		separator = "&"
	}
	return u + separator + "next=" + url.QueryEscape(n.target)
}

// Redirect answers 303 See Other with n, or with fallback if n leads nowhere.
// fallback is the application's own URL and is not checked.
//
// It is used in place of http.Redirect, which rewrites paths: it makes
// /\evil.example of /./\evil.example.
func (n Next) Redirect(w http.ResponseWriter, fallback string) {
	target := n.target
	if target == "" {
		target = fallback
	}
	redirect(w, target)
}

// redirect sends the client to a URL that is already known to be ours.
func redirect(w http.ResponseWriter, target string) {
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}
