package origin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// New refuses an origin that no browser would ever send.
func TestOrigins(t *testing.T) {
	t.Parallel()
	base := &url.URL{Scheme: "https", Host: "app.example"}
	for origin, want := range map[string]bool{
		"https://admin.example": true, "https://admin.example:8443": true, "http://localhost:3000": true, "https://[2001:db8::1]:8443": true,
		"": false, "admin.example": false, "https://": false, "https://admin.example/": false, "https://admin.example/x": false,
		"https://admin.example?x": false, "https://admin.example#x": false, "https://Admin.example": false, "HTTPS://admin.example": false,
		"https://user@admin.example": false, "null": false, "*": false, "ftp://admin.example": false, "//admin.example": false,
		"https://admin.example:443": false, "http://localhost:80": false, "https://*.example": false, "https://bücher.example": false,
		"capacitor://localhost": true, "app://x": true, "tauri://localhost": true, "chrome-extension://abcdefghijklmnop": true,
		"app://": false, "app://x/": false, "app://x:8080": false, "App://x": false, "app:x": false, "file://x": false, "javascript://x": false,
		"data://x": false, "ws://app.example": false, "wss://app.example": false,
		"https://admin_1.example": true, "https://xn--bcher-kva.example": true,
		"https://admin.example\x20": false, "https://:8443": false, "https://admin.example:": false,
	} {
		_, err := New(base, nil, []string{"https://other.example", origin}, nil)
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "Config.Network.Origins[1]") {
			t.Errorf("%q: %v", origin, err)
		}
	}
	if _, err := New(&url.URL{Scheme: "https", Host: "münchen.example"}, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "Config.BaseURL") {
		t.Error(err)
	}
}

// New refuses a pattern that http.ServeMux refuses. Exempts says which pages a
// pattern opens.
func TestPatterns(t *testing.T) {
	t.Parallel()
	base := &url.URL{Scheme: "https", Host: "app.example"}
	for pattern, want := range map[string]struct{ valid, opens bool }{
		"POST /hook": {true, false}, "/hook/": {true, false}, "GET /login": {true, false}, "hook.example/": {true, false}, "/{page}/x": {true, false},
		"/": {true, true}, "POST /": {true, true}, "/login": {true, true}, "POST /login": {true, true}, "/{page}": {true, true}, "app.example/": {true, true},
		"": {false, false}, "hook": {false, false}, "POST": {false, false}, "/{": {false, false}, "/{a}/{a}": {false, false},
	} {
		check, err := New(base, nil, nil, []string{pattern})
		if (err == nil) != want.valid {
			t.Errorf("%q: %v", pattern, err)
		} else if err == nil && check.Exempts("/login") != want.opens {
			t.Errorf("%q exempts /login: %v", pattern, !want.opens)
		}
	}
	if _, err := New(base, nil, nil, []string{"/a/{x}", "/a/{y}"}); err == nil {
		t.Error("conflicting patterns are accepted")
	}
}

// All names of the loopback are one application. Other trusted origins are not the
// application's own.
func TestOwns(t *testing.T) {
	t.Parallel()
	check, err := New(&url.URL{Scheme: "http", Host: "localhost:8080"}, nil, []string{"https://admin.example"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]struct{ own, trusted bool }{
		"http://localhost:8080": {true, true}, "http://127.0.0.1:8080": {true, true}, "http://[::1]:8080": {true, true},
		"https://admin.example": {false, true},
		"http://localhost":      {false, false}, "https://localhost:8080": {false, false}, "https://evil.example": {false, false}, "null": {false, false},
		"http://internal": {false, false}, "https://internal": {false, false}, // the request's own Host proves nothing
	} {
		r := &http.Request{Method: http.MethodPost, Host: "internal", Header: http.Header{"Origin": {origin}}}
		if check.Owns(origin) != want.own || check.Allows(r, &url.URL{Path: "/"}) != want.trusted {
			t.Errorf("%s: own %v, trusted %v", origin, !want.own, !want.trusted)
		}
	}
}

func TestIsUnsafe(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]bool{
		"GET": false, "HEAD": false, "OPTIONS": false, "POST": true, "DELETE": true, "TRACE": true, "CONNECT": true, "get": true, "": true,
	} {
		if IsUnsafe(method) != want {
			t.Errorf("%q is unsafe: %v", method, !want)
		}
	}
}

// A page of one host may send requests to that host only, whatever the browser says about
// itself. The Host of a request that is not in the list proves nothing.
func TestHosts(t *testing.T) {
	t.Parallel()
	check, err := New(&url.URL{Scheme: "https", Host: "app.example"}, []string{"www.app.example", "app.example:8443"}, nil, []string{"www.app.example/hook"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		origin, site, host string
		want               bool
	}{
		{"https://www.app.example", "", "www.app.example", true},
		{"https://www.app.example", "", "WWW.app.example", false}, // browsers write it in lower case
		{"https://www.app.example", "same-origin", "www.app.example", true},
		{"https://app.example:8443", "", "app.example:8443", true},
		{"https://app.example", "", "www.app.example", true}, // BaseURL is trusted at each host
		{"https://www.app.example", "", "app.example", false},
		{"https://www.app.example", "same-site", "app.example", false},
		{"https://app.example:8443", "", "www.app.example", false},
		{"http://www.app.example", "", "www.app.example", false},
		{"https://evil.example", "", "evil.example", false},
		{"https://evil.example", "", "www.app.example", false},
		{"https://evil.example", "cross-site", "evil.example", false},
		{"https://www.app.example.evil.example", "", "www.app.example.evil.example", false},
		{"https://www.app.example.", "", "www.app.example.", false},
		{"null", "", "www.app.example", false},
	} {
		r := &http.Request{Method: http.MethodPost, Host: c.host, Header: http.Header{"Origin": {c.origin}}}
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		if got := check.Allows(r, &url.URL{Path: "/"}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	for origin, want := range map[string]bool{"https://app.example": true, "https://www.app.example": true, "https://evil.example": false, "https://www.app.example:8443": false} {
		if check.Owns(origin) != want {
			t.Errorf("%s is own: %v", origin, !want)
		}
	}
	if !check.Exempts("/hook") || check.Exempts("https://evil.example/hook") {
		t.Error("a pattern for one host")
	}
}
