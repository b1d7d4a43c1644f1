package pages_test

import (
	"strings"
	"testing"
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
