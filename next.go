package auth

import (
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxNext is the longest Next, in bytes.
const maxNext = 2048

// Next is where to go after a login: a path of this site with its query and fragment. A
// Next can never lead to another site, so you may redirect to it even if a client sent
// it. The zero value leads nowhere.
type Next struct{ target string }

// ParseNext returns text as a Next, or the zero value if text is not a path of this
// site.
//
// Browsers read URLs more liberally than net/url does: they strip tabs, and take \ for
// /. So ParseNext does not rely on a parser. It accepts a text that starts with a
// single / and consists of visible ASCII without \. Every parser reads such a text as a
// path. ParseNext keeps it unchanged.
func ParseNext(text string) Next {
	if len(text) == 0 || len(text) > maxNext || text[0] != '/' || strings.HasPrefix(text, "//") {
		return Next{}
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return Next{}
		}
	}
	// Servers answer 400 to a path with a malformed escape.
	if _, err := url.PathUnescape(pathIn(text)); err != nil {
		return Next{}
	}
	return Next{text}
}

// pathIn returns what comes before the query and the fragment.
func pathIn(target string) string {
	for i := range len(target) {
		if target[i] == '?' || target[i] == '#' {
			return target[:i]
		}
	}
	return target
}

// NextFrom returns the next of a request: the field of that name in the form, or else
// in the query. A multipart form counts only if the handler has parsed it before,
// because parsing it could store an upload.
func NextFrom(r *http.Request) Next {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		_ = r.ParseForm() // after an error, the fields that were read count, as in PostFormValue
	}
	if r.PostForm.Has("next") {
		return ParseNext(r.PostForm.Get("next"))
	}
	return ParseNext(r.URL.Query().Get("next"))
}

// IsZero reports whether n leads nowhere.
func (n Next) IsZero() bool { return n.target == "" }

// String returns the path, query and fragment, or "".
func (n Next) String() string { return n.target }

// AddTo returns u with n in its query as next, or u if n leads nowhere. u is a URL of
// your application, without a fragment.
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

// Redirect answers 303 See Other with n, or with fallback if n leads nowhere. fallback
// is a URL of your application, and is not checked.
//
// Use it instead of http.Redirect, which rewrites paths: it turns /\evil.example into
// /./\evil.example.
func (n Next) Redirect(w http.ResponseWriter, fallback string) {
	target := n.target
	if target == "" {
		target = fallback
	}
	redirect(w, target)
}

// redirect sends the client to a URL that is already known to be ours.
func redirect(w http.ResponseWriter, target string) {
	w.Header()["Location"] = []string{target}
	w.WriteHeader(http.StatusSeeOther)
}

// nextOf returns the page at target, so that the browser can ask for it again. For a
// method that may change something it returns the zero value.
func nextOf(method string, target *url.URL) Next {
	if method != http.MethodGet && method != http.MethodHead {
		return Next{}
	}
	if *target == (url.URL{Path: target.Path}) && isPlain(target.Path) && len(target.Path) <= maxNext { // there is nothing to escape
		return Next{target.Path}
	}
	page := target.EscapedPath()
	if target.RawQuery != "" || target.ForceQuery {
		page += "?" + escapeQuery(target.RawQuery)
	}
	return ParseNext(page)
}

// targetOf reads a request's RequestURI as the server did. It returns otherwise if
// there is no RequestURI. A CONNECT request asks for no page; for it, targetOf returns
// r.URL.
func targetOf(r *http.Request, otherwise *url.URL) *url.URL {
	switch {
	case r.RequestURI == "":
		return otherwise
	case r.Method == http.MethodConnect:
		return r.URL
	case isPlain(r.RequestURI): // there is nothing to parse
		if r.URL != nil && *r.URL == (url.URL{Path: r.RequestURI}) {
			return r.URL
		}
		return &url.URL{Path: r.RequestURI}
	}
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u
	}
	return r.URL
}

// isPlain reports whether a URL is a path of letters, digits and -._~, as most are. Every
// parser reads such a path in the same way.
func isPlain(target string) bool {
	if target == "" || target[0] != '/' || strings.HasPrefix(target, "//") {
		return false
	}
	for i := range len(target) {
		if c := target[i]; !isAlnum(c) && c != '/' && c != '-' && c != '.' && c != '_' && c != '~' {
			return false
		}
	}
	return true
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
