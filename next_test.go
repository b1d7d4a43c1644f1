package auth_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

// browserHost returns the host that a browser goes to from a page of an https
// site for a Location, by the URL Standard (url.spec.whatwg.org): C0 controls
// and spaces at the ends go, tabs and newlines go everywhere, and in URLs with
// a special scheme \ is /.
func browserHost(base, location string) string {
	page, err := url.Parse(base)
	if err != nil {
		return "?"
	}
	s := strings.TrimFunc(location, func(r rune) bool { return r <= ' ' })
	s = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s)
	if scheme, rest, ok := cutScheme(s); ok {
		switch scheme {
		case "http", "https", "ws", "wss", "ftp":
		default:
			return scheme + ":" // file, javascript, data, mailto: not a site
		}
		rest = slashes(rest)
		if scheme == page.Scheme && !strings.HasPrefix(rest, "//") {
			s = rest // a relative URL, by the state "special relative or authority"
		} else {
			return authority(strings.TrimLeft(rest, "/"))
		}
	}
	s = slashes(s)
	if strings.HasPrefix(s, "//") {
		return authority(strings.TrimLeft(s, "/"))
	}
	return page.Host
}

func cutScheme(s string) (scheme, rest string, ok bool) {
	for i, c := range s {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		case i > 0 && c == ':':
			return strings.ToLower(s[:i]), s[i+1:], true
		default:
			return "", s, false
		}
	}
	return "", s, false
}

// slashes makes / of \ up to the query.
func slashes(s string) string {
	end := strings.IndexAny(s, "?#")
	if end < 0 {
		end = len(s)
	}
	return strings.ReplaceAll(s[:end], `\`, "/") + s[end:]
}

func authority(s string) string {
	if end := strings.IndexAny(s, "/?#"); end >= 0 {
		s = s[:end]
	}
	return s[strings.LastIndex(s, "@")+1:]
}

// The measure itself must see what it is there to see.
func TestBrowserHost(t *testing.T) {
	t.Parallel()
	for location, host := range map[string]string{
		"/x": "app.example", "": "app.example", "x": "app.example", "?x": "app.example", "/x?//evil.example": "app.example",
		"//evil.example": "evil.example", `/\evil.example`: "evil.example", `\\evil.example`: "evil.example",
		"/\t/evil.example": "evil.example", "/\n/evil.example/x": "evil.example", "\x20//evil.example": "evil.example",
		"\x00//evil.example": "evil.example", "///evil.example": "evil.example", "https:evil.example": "app.example",
		"https:/evil.example": "app.example", "https:///evil.example": "evil.example", "http:evil.example": "evil.example",
		"javascript:alert(1)": "javascript:", "https://app.example@evil.example": "evil.example", "/%09/evil.example": "app.example",
		"ht\ttps://evil.example": "evil.example", "/.//evil.example": "app.example",
	} {
		if got := browserHost("https://app.example/a/b", location); got != host {
			t.Errorf("%q leads to %q, not %q", location, got, host)
		}
	}
}

var (
	goodNexts = []string{
		"/", "/index", "/index?a=1", "/a/b/c?x=y&z=%20#frag", "/%2f%2fevil.example", "/%5cevil.example", "/%09/evil.example",
		"/x?next=//evil.example", "/x?u=https://evil.example/", "/.//evil.example", "/./", "/x/../y", "/x//y", "/@evil.example",
		"/:80", "/;x", "/?", "/#", "/~", "/!$&'()*+,;=:@-._~", `/"<>^{|}`, "/x?q=%", "/x#%zz", "/javascript:alert(1)",
		"/" + strings.Repeat("a", 2047),
	}
	badNexts = []string{
		"", " ", "x", "index", "?a=1", "#x", "./x", "../x", "*",
		"//", "///", "//evil.example", "///evil.example", "////evil.example", "//evil.example\\@localhost", "//app.example/x",
		`/\`, `/\evil.example`, `\\evil.example`, `\/evil.example`, `\evil.example`, `/\/evil.example`, `/x\..\..\evil.example`, `/./\evil.example`,
		`/x/../\evil.example`, `.\\evil.example`, `./\evil.example`,
		"https:evil.example", "https:/evil.example", "https:///evil.example", "https://evil.example", "http://evil.example", "https://app.example/x",
		"javascript:alert(1)", "data:text/html,x", "mailto:x@y", "evil.example", "//evil%E3%80%82example", "/／evil.example",
		"/\t/evil.example", "/\n/evil.example", "/\r\n/evil.example", "\t//evil.example", " //evil.example", " /x", "/x ", "/ /evil.example",
		"/\x00/evil.example", "/\x0b/evil.example", "/\x1f", "/\x7f", "/\u00a0", "/\u2028/evil.example", "/é", "/\xff", "\ufeff/x", "/x\r\nSet-Cookie: a=b",
		"/%", "/%zz", "/x%2", "/x%?y", "/%u0041",
		"/" + strings.Repeat("a", 2048), strings.Repeat("/", 3), strings.Repeat("a", 1<<20),
	}
)

func TestParseNext(t *testing.T) {
	t.Parallel()
	for _, text := range goodNexts {
		if n := auth.ParseNext(text); n.IsZero() || n.String() != text {
			t.Errorf("%q is refused or changed: %q", text, n)
		}
	}
	for _, text := range badNexts {
		if n := auth.ParseNext(text); !n.IsZero() || n.String() != "" {
			t.Errorf("%.60q is accepted as %q", text, n)
		}
	}
	if !(auth.Next{}).IsZero() || (auth.Next{}).AddTo("/login") != "/login" {
		t.Error("the zero value leads somewhere")
	}
}

func checkNext(t *testing.T, text string) {
	t.Helper()
	n := auth.ParseNext(text)
	if n.IsZero() {
		return
	}
	s := n.String()
	if s != text || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.Contains(s, `\`) || len(s) > 2048 {
		t.Errorf("%q is accepted as %q", text, s)
	}
	for _, c := range []byte(s) {
		if c < 0x21 || c > 0x7e {
			t.Errorf("%q has the byte %#x", s, c)
		}
	}
	for _, page := range []string{"https://app.example/", "https://app.example/a/b/login?x=1", "http://127.0.0.1:8080/login"} {
		base, err := url.Parse(page)
		if err != nil {
			t.Fatal(err)
		}
		if host := browserHost(page, s); host != base.Host {
			t.Errorf("from %s, %q leads a browser to %s", page, s, host)
		}
		if u, err := base.Parse(s); err == nil && (u.Host != base.Host || u.Scheme != base.Scheme) {
			t.Errorf("from %s, %q leads net/url to %s", page, s, u)
		}
	}
	// There and back, as a parameter of the login page and through the header.
	for _, login := range []string{"/login", "/login?lang=de", "https://sso.example/in?a=b&c"} {
		u, err := url.Parse(n.AddTo(login))
		if err != nil || !strings.HasPrefix(n.AddTo(login), login) {
			t.Errorf("AddTo(%q) of %q is %q: %v", login, s, n.AddTo(login), err)
			continue
		}
		if got := u.Query()["next"]; len(got) != 1 || got[0] != s {
			t.Errorf("AddTo(%q) of %q is read as %q", login, s, got)
		}
	}
	w := httptest.NewRecorder()
	n.Redirect(w, "/fallback")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != s {
		t.Errorf("%q: %d %q", s, w.Code, w.Header().Get("Location"))
	}
}

func FuzzParseNext(f *testing.F) {
	for _, text := range append(append([]string{}, goodNexts...), badNexts[:len(badNexts)-3]...) {
		f.Add(text)
	}
	f.Fuzz(checkNext)
}

func TestNextFrom(t *testing.T) {
	t.Parallel()
	multi := func(pairs ...string) (string, string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for i := 0; i < len(pairs); i += 2 {
			if err := w.WriteField(pairs[i], pairs[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String(), w.FormDataContentType()
	}
	const form = "application/x-www-form-urlencoded"
	both, bothType := multi("login", "susan", "next", "/multi")
	without, withoutType := multi("login", "susan")
	for _, test := range []struct {
		name, method, target, body, kind string
		want, login                      string
	}{
		{name: "query", method: "GET", target: "/login?next=/a%3Fb%3D1", want: "/a?b=1"},
		{name: "none", method: "GET", target: "/login"},
		{name: "bad", method: "GET", target: "/login?next=//evil.example"},
		{name: "decoded once", method: "GET", target: "/login?next=/%2509/evil.example", want: "/%09/evil.example"},
		{name: "decoded to a tab", method: "GET", target: "/login?next=/%09/evil.example"},
		{name: "form", method: "POST", target: "/login", body: "next=%2Fform&login=susan", kind: form, want: "/form", login: "susan"},
		{name: "query of a POST", method: "POST", target: "/login?next=/q", body: "login=susan", kind: form, want: "/q", login: "susan"},
		{name: "form before query", method: "POST", target: "/login?next=/q", body: "next=/form", kind: form, want: "/form"},
		{name: "bad form, good query", method: "POST", target: "/login?next=/q", body: "next=//evil.example", kind: form},
		{name: "bad query, good form", method: "POST", target: "/login?next=//evil.example", body: "next=/form", kind: form, want: "/form"},
		{name: "first of several", method: "POST", target: "/login", body: "next=/one&next=//evil.example", kind: form, want: "/one"},
		{name: "first of several, bad", method: "GET", target: "/login?next=//evil.example&next=/two"},
		{name: "malformed query", method: "GET", target: "/login?a=%zz&next=/ok", want: "/ok"},
		{name: "malformed next", method: "GET", target: "/login?next=/%zz"},
		{name: "semicolon", method: "GET", target: "/login?next=/a;next=/b"},
		{name: "malformed body", method: "POST", target: "/login", body: "a=%zz&next=/ok", kind: form, want: "/ok"},
		{name: "no content type", method: "POST", target: "/login?next=/q", body: "next=/form", want: "/q"},
		{name: "broken content type", method: "POST", target: "/login?next=/q", body: "next=/form", kind: ";;", want: "/q"},
		{name: "multipart", method: "POST", target: "/login", body: both, kind: bothType, want: "/multi", login: "susan"},
		{name: "multipart before query", method: "POST", target: "/login?next=/q", body: both, kind: bothType, want: "/multi", login: "susan"},
		{name: "query of a multipart", method: "POST", target: "/login?next=/q", body: without, kind: withoutType, want: "/q", login: "susan"},
		{name: "broken multipart", method: "POST", target: "/login?next=/q", body: both[:20], kind: bothType, want: "/q"},
		{name: "body of a GET", method: "GET", target: "/login?next=/q", body: "next=/form", kind: form, want: "/q"},
	} {
		for _, before := range []bool{false, true} { // the form was read before, or is read afterwards
			r := httptest.NewRequestWithContext(t.Context(), test.method, test.target, strings.NewReader(test.body))
			if test.kind != "" {
				r.Header.Set("Content-Type", test.kind)
			}
			if before {
				_ = r.PostFormValue("login")
			}
			if got := auth.NextFrom(r).String(); got != test.want {
				t.Errorf("%s (form read before: %v): %q, want %q", test.name, before, got, test.want)
			}
			if got := r.PostFormValue("login"); got != test.login {
				t.Errorf("%s (form read before: %v): afterwards the form's login is %q", test.name, before, got)
			}
		}
	}
}

// Over a connection, where net/http writes the header.
func TestNextRedirect(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.NextFrom(r).Redirect(w, "/fallback?x=1")
	}))
	t.Cleanup(server.Close)
	transport := server.Client().Transport // a client parses Location, and /x#%zz has no parse
	ask := func(next string) string {
		t.Helper()
		for _, method := range []string{"GET", "POST"} {
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/deep/login?next="+url.QueryEscape(next), nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusSeeOther {
				t.Errorf("%s %q: %s", method, next, res.Status)
			}
			if method == "POST" {
				return res.Header.Get("Location")
			}
		}
		return ""
	}
	for _, next := range goodNexts {
		if got := ask(next); got != next {
			t.Errorf("%q became %q", next, got)
		}
	}
	for _, next := range badNexts {
		if len(next) > 4096 {
			continue // the server answers 431
		}
		if got := ask(next); got != "/fallback?x=1" {
			t.Errorf("%q became %q", next, got)
		}
	}
}

// RequireLogin's redirect, through the login, back to the page.
func TestNextRoundTrip(t *testing.T) {
	t.Parallel()
	app, _ := faultyApp(t, nil)
	app.Create(t, "susan", false)
	app.Mux.Handle("GET /deep/", app.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.RequestURI)
	})))
	app.Mux.HandleFunc("POST /signin", func(w http.ResponseWriter, r *http.Request) {
		u, err := app.Store.FindUser(r.Context(), "susan")
		if err == nil {
			err = app.LoginUser(r.Context(), u)
		}
		if err != nil {
			app.Error(w, r, err)
			return
		}
		auth.NextFrom(r).Redirect(w, "/")
	})
	for _, page := range []string{"/deep/", "/deep/x?a=1&b=%2F", "/deep/%2Fx%5Cy?q=a+b", "/deep/x?", "/deep/a%20b?c=%C3%A9", "/deep/x?next=/y"} {
		c := app.Client(t)
		u, err := url.Parse(c.Get(page).Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		location := c.Post("/signin?"+u.RawQuery, "login", "susan").Header.Get("Location")
		if location != page {
			t.Errorf("%s came back as %q", page, location)
		}
		if r := c.Get(location); r.Text != page {
			t.Errorf("%s: the page sees %q", page, r.Text)
		}
	}
}
