package pages_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
	"golang.org/x/net/html"
)

func TestStylesheet(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	target := attr(only(t, parse(t, c.get("/login")), tag("link")), "href")
	r := c.get(target)
	wantStatus(t, r, 200)
	if r.header.Get("Content-Type") != "text/css; charset=utf-8" || r.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("%v", r.header)
	}
	if r.header.Get("X-Content-Type-Options") != "nosniff" || len(c.sent) > 0 {
		t.Errorf("%v", r.header)
	}
	if !strings.Contains(r.body, "prefers-color-scheme") || strings.Contains(r.body, "url(") || strings.Contains(r.body, "@import") {
		t.Error("not the stylesheet")
	}
	wantStatus(t, c.do("GET", target, "", "If-None-Match", r.header.Get("ETag")), 304)
	for _, target := range []string{"/auth.css", "/auth.css?v=old"} {
		if r := c.get(target); r.status != 200 || r.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%d %v", r.status, r.header)
		}
	}
}

// TestFilesVary: files are the same for browsers and programs. What a middleware outside says of
// the answer stays.
func TestFilesVary(t *testing.T) {
	t.Parallel()
	s := newSite(t, withAll)
	for _, outer := range [][]string{nil, {"Origin"}, {"Origin", "Cookie"}} {
		for _, path := range []string{"/auth.css", "/auth.js", "/openapi.json"} {
			w := httptest.NewRecorder()
			w.Header()["Vary"] = slices.Clone(outer)
			s.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			if got := w.Result().Header["Vary"]; w.Code != 200 || !slices.Equal(got, outer) {
				t.Errorf("%s: %d, Vary is %q, want %q", path, w.Code, got, outer)
			}
		}
	}
}

// TestScript: a page with a form or a list loads the script once. Other pages may run none. The
// buttons that need it are hidden until it runs.
func TestScript(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := f.enter(s)
	for _, c := range []*client{c, s.client()} {
		for _, path := range append(s.pages.Paths(), "/nowhere") {
			r := c.get(path)
			if isAsset(path) || r.status == http.StatusSeeOther {
				continue
			}
			want := 1
			if r.status != http.StatusOK || path == "/account" || path == "/account/two-factor" {
				want = 0
			}
			if n := strings.Count(r.body, `<script src="/auth.js?v=`); n != want || strings.Count(r.body, "<script") != n {
				t.Errorf("%s has %d scripts, want %d", path, n, want)
			}
			wantHeaders(t, path, r)
		}
	}
	page := c.post("/account/recovery-codes")
	wantStatus(t, page, 200)
	accessible(t, page)
	wantHeaders(t, "the codes", page)
	doc := parse(t, page)
	target := attr(only(t, doc, tag("script")), "src")
	main := only(t, doc, tag("main"))
	for name, want := range map[string]string{"data-copy": "Copy", "data-print": "Print"} {
		if b := only(t, main, func(n *html.Node) bool { return has(n, name) }); text(b) != want || !has(b, "hidden") || attr(b, "type") != "button" {
			t.Errorf("the button %s is %v", want, b.Attr)
		}
	}
	if copied := attr(only(t, main, func(n *html.Node) bool { return has(n, "data-copy") }), "data-copy"); copied != "main pre" {
		t.Errorf("%s is copied", copied)
	}
	r := c.get(target)
	wantStatus(t, r, 200)
	if r.header.Get("Content-Type") != "text/javascript; charset=utf-8" || r.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", r.header)
	}
	for _, path := range []string{"/auth.js/", "/auth.js/x", "/x/auth.js", "/Auth.js", "/auth.js%20"} {
		wantStatus(t, c.get(path), 404)
	}
}

// TestOwnTemplatesWithoutScript: templates that were written before the script work without it. Such
// a page may run none. One that loads the script gets it once, however often it does so.
func TestOwnTemplatesWithoutScript(t *testing.T) {
	t.Parallel()
	const field = `<label for="{{.Name}}">{{.Label}}</label><input type="{{.Type}}" id="{{.Name}}" name="{{.Name}}">`
	const form = `<form action="{{.Form.Action}}" method="post">{{template "field" .Form.Field "login"}}{{template "field" .Form.Field "password"}}<button>Come in</button></form>`
	for name, test := range map[string]struct {
		file, text       string
		buttons, scripts int
	}{
		"own fields":           {"form.html", `{{define "form"}}<form>{{range .Form.Fields}}{{template "field" .}}{{end}}</form>{{end}}{{define "field"}}` + field + `{{end}}{{define "summary"}}{{end}}`, 0, 0},
		"own form":             {"login.html", `{{define "content"}}` + form + `{{end}}`, 1, 0},
		"own form with script": {"login.html", `{{define "content"}}` + form + `{{template "scripts" .}}{{template "scripts" .}}{{end}}`, 1, 1},
		"own layout":           {"layout.html", `<!doctype html><title>x</title>{{template "content" .}}{{template "scripts" .}}`, 1, 1},
	} {
		s := newSite(t, func(_ *auth.Config, c *pages.Config) {
			c.Templates = fstest.MapFS{test.file: {Data: []byte(test.text)}}
		})
		r := s.client().get("/login")
		wantStatus(t, r, http.StatusOK)
		wantHeaders(t, name, r)
		if n, m := strings.Count(r.body, " data-show="), strings.Count(r.body, "<script"); n != test.buttons || m != test.scripts {
			t.Errorf("%s: %d buttons and %d scripts in\n%s", name, n, m, r.body)
		}
	}
}
