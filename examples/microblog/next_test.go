package main

import (
	"bufio"
	"context"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/oauth"
	whatwg "github.com/nlnwa/whatwg-url/url"
)

// Browsers parse a Location by the WHATWG URL standard. The tests therefore use
// a parser of that standard, not Go's.

// resolve returns the URL to which a browser on the login page goes.
func resolve(t *testing.T, base, location string) *whatwg.Url {
	t.Helper()
	u, err := whatwg.ParseRef(base+"/login", location)
	if err != nil {
		t.Fatalf("%q: %v", location, err)
	}
	return u
}

func sameOrigin(u *whatwg.Url, base string) bool {
	return u.Protocol()+"//"+u.Host() == base && u.Username() == "" && u.Password() == ""
}

// literals reads a file of Go string literals.
func literals(t *testing.T, file string) (list []string) {
	t.Helper()
	f, err := os.Open(file)
	check(t, err)
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if lines.Text() == "" || lines.Text()[0] == '#' {
			continue
		}
		value, err := strconv.Unquote(lines.Text())
		if err != nil {
			t.Fatalf("%s: %s: %v", file, lines.Text(), err)
		}
		list = append(list, value)
	}
	check(t, lines.Err())
	if len(list) < 50 {
		t.Fatalf("%s has only %d values", file, len(list))
	}
	return list
}

// generated returns a few thousand values that an attacker might try.
func generated() (list []string) {
	for _, start := range []string{
		"", "/", "//", "///", "\\", "/\\", "\\/", "\\\\", "/.", "/./", "/../", "/x/..", "/x/../", "./", "../", "/%2f", "/%5c", "%2f",
		"/\t/", "/\n/", "/\r\n/", "\t/", " /", "\x00/", "/\x00/", "/\u00a0/", "\u3000/", "/;/", "/?/", "/#/", "/%09/", "/%0a/", "/.%09/",
		"http:", "https:", "http:/", "https:/", "http://", "https://", "https:///", "https:\\\\", "HtTpS:", "h\nttps:", "\x01https:",
		"javascript:", "java\tscript:", "data:", "mailto:", "file:", "/@", "/:", ":", "/https:", "/\\/\\", "/.\\", "/..\\", "\uff0f\uff0f", "/\uff0f",
	} {
		for _, host := range []string{
			"evil.com", "/evil.com", "\\evil.com", "//evil.com", "@evil.com", "user:pass@evil.com", "localhost@evil.com", "127.0.0.1:5000@evil.com",
			"evil\u3002com", "evil\uff0ecom", "evil.com:80", "evil.com\\@localhost", "localhost", "127.0.0.1", "0x7f.1", "[::1]", "%65vil.com", "evil%2ecom", "xn--evil", "",
		} {
			for _, end := range []string{"", "/", "/..", "/%2e%2e//evil.com", "?a=1", "#b", "\t", "\r\nX: y", "\\", "\u2028"} {
				list = append(list, start+host+end)
			}
		}
	}
	// Every byte, at the positions that matter.
	for c := range 256 {
		b := string([]byte{byte(c)})
		list = append(list, b+"//evil.com", "/"+b+"/evil.com", "/"+b+"evil.com", "//"+b+"evil.com", b+"/evil.com",
			"/x"+b+"/evil.com", "/index"+b, b, "/"+b+b+"evil.com", "/."+b+"/evil.com", "/%"+b+"/evil.com", "http"+b+"//evil.com")
	}
	return list
}

// TestHostileNext sends thousands of values through the library's functions
// that the login uses.
func TestHostileNext(t *testing.T) {
	t.Parallel()
	const base = "http://localhost:5000"
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { auth.NextFrom(r).Redirect(w, "/") })
	refused := map[string]bool{}
	for _, value := range literals(t, "testdata/next-refused.txt") {
		refused[value] = true
	}
	kept := map[string]bool{}
	for _, value := range literals(t, "testdata/next-kept.txt") {
		kept[value] = true
	}
	values := generated()
	for value := range refused {
		values = append(values, value)
	}
	for value := range kept {
		values = append(values, value)
	}
	if len(values) < 10_000 {
		t.Fatalf("only %d values", len(values))
	}
	var followed, hostile int
	for _, value := range values {
		inQuery := httptest.NewRequest(http.MethodPost, "/login?next="+url.QueryEscape(value), nil)
		inForm := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(url.Values{"next": {value}}.Encode()))
		inForm.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, r := range []*http.Request{inQuery, inForm} {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			location := w.Header().Get("Location")
			if w.Code != http.StatusSeeOther || location != "/" && location != value {
				t.Fatalf("%q: %d to %q", value, w.Code, location)
			}
			if !sameOrigin(resolve(t, base, location), base) {
				t.Errorf("%q leads to %s", value, resolve(t, base, location))
			}
			if refused[value] && location != "/" {
				t.Errorf("%q is kept", value)
			}
			if kept[value] && location != value {
				t.Errorf("%q is refused", value)
			}
			if location == value {
				followed++
			}
		}
		// A value that the browsers' parser takes for another site must not be
		// kept. The list has many of these, which shows that the parser works.
		if u, err := whatwg.ParseRef(base+"/login", value); err == nil && !sameOrigin(u, base) {
			hostile++
		}
	}
	if hostile < 2000 || followed < 2000 {
		t.Errorf("%d values of %d are hostile, %d redirects were to the value", hostile, len(values), followed)
	}
}

// testHostileNextLogin sends a few hundred values through the whole login: some
// first with a wrong password, and then with the right one on the page where
// that has led.
func testHostileNextLogin(t *testing.T, binary string) {
	p := start(t, binary, t.TempDir())
	defer p.stop()
	visitor := newClient(t, p.url)
	wantRedirect(t, visitor.post("/register", registration("susan", "susan@example.com", good, good)), "/login")
	refused, kept := literals(t, "testdata/next-refused.txt"), literals(t, "testdata/next-kept.txt")
	type try struct {
		value, want string
		typo        bool
	}
	var all []try
	for i, value := range refused {
		all = append(all, try{value, "/", i%4 == 0})
	}
	for i, value := range kept {
		all = append(all, try{value, value, i%4 == 0})
	}
	for i, value := range generated() {
		if i%100 != 0 {
			continue
		}
		want := "/"
		if next := auth.ParseNext(value); !next.IsZero() {
			want = value
		}
		all = append(all, try{value, want, false})
	}
	step := max(1, len(all)/testapp.Rounds(t, 50, len(all))) // each try is a login, or two
	tries := make(chan try)
	go func() {
		defer close(tries)
		for i := 0; i < len(all); i += step {
			tries <- all[i]
		}
	}()
	var workers sync.WaitGroup
	for range max(2, runtime.GOMAXPROCS(0)) {
		c := newClient(t, p.url)
		workers.Go(func() {
			for x := range tries {
				c.loginWithNext(x.value, x.want, x.typo)
			}
		})
	}
	workers.Wait()
}

// loginWithNext logs susan in and out again. It may be called by goroutines
// other than the test's.
func (c *client) loginWithNext(value, want string, typo bool) {
	t := c.t
	do := func(method, target string, form url.Values) response {
		r, err := c.try(c.request(method, target, form))
		if err != nil {
			t.Errorf("%q: %v", value, err)
		}
		return r
	}
	target := "/login?next=" + url.QueryEscape(value)
	if page := do(http.MethodGet, target, nil); page.status != http.StatusOK || strings.Contains(page.body, "evil") {
		t.Errorf("%q: the form: %d\n%s", value, page.status, page.body)
	}
	if typo {
		r := do(http.MethodPost, target, credentials("susan", "dog"))
		if target = auth.ParseNext(value).AddTo("/login"); r.location != target {
			t.Errorf("%q: after a wrong password at %q, not %q", value, r.location, target)
		}
	}
	r := do(http.MethodPost, target, credentials("susan", good))
	if r.status != http.StatusSeeOther || r.location != want {
		t.Errorf("%q: %d to %q, want %q", value, r.status, r.location, want)
	}
	// Wherever the server redirects from there (to its own cleaned paths), it
	// is the same site.
	at, err := whatwg.ParseRef(c.base+"/login", r.location)
	if err != nil {
		t.Errorf("%q: %v", value, err)
		return
	}
	for range 5 {
		if !sameOrigin(at, c.base) {
			t.Errorf("%q leads to %s", value, at)
			break
		}
		r = do(http.MethodGet, at.Pathname()+at.Search(), nil)
		if r.location == "" {
			break
		}
		if at, err = at.Parse(r.location); err != nil {
			t.Errorf("%q leads to %q: %v", value, r.location, err)
			return
		}
	}
	if r := do(http.MethodPost, "/logout", nil); r.status != http.StatusSeeOther {
		t.Errorf("logout: %d", r.status)
	}
}

// TestRawNext puts values into the URL unescaped, so that they are decoded once
// on the way.
func TestRawNext(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, query := range []string{
		"next=/%09/evil.com", "next=/%2fevil.com", "next=/%5cevil.com", "next=%2F%2Fevil.com", "next=%5C%5Cevil.com", "next=/%0a/evil.com",
		"next=/%0d%0aSet-Cookie:a=b", "next=//evil.com", "next=/\\evil.com", "next=+/index", "next=/a+b", "next=/%00", "next=%", "next=/index;a", "next",
		"next=//evil.com&next=/index", "Next=/index", "next%00=/index", "next[]=/index",
	} {
		for _, body := range []url.Values{credentials("susan", "cat"), credentials("susan", "dog")} {
			r := s.client().post("/login?"+query, body)
			malformed := query == "next=%" || strings.Contains(query, ";")
			switch {
			case malformed:
				wantStatus(t, r, http.StatusBadRequest)
			case body.Get("password") == "cat":
				wantRedirect(t, r, "/")
			default:
				wantRedirect(t, r, "/login")
			}
		}
	}
	// A next in the form comes first, and is checked in the same way.
	form := credentials("susan", "cat")
	form.Set("next", "//evil.com")
	wantRedirect(t, s.client().post("/login?next=%2Findex", form), "/")
	form.Set("next", "/index?form")
	wantRedirect(t, s.client().post("/login?next=//evil.com", form), "/index?form")
	// A next of 60 000 bytes is dropped.
	wantRedirect(t, s.client().post("/login?next=/"+strings.Repeat("a", 60_000), credentials("susan", "cat")), "/")
}

// TestGuardedPathsAreOurs: the next that RequireLogin makes goes through the
// same check (F24).
func TestGuardedPathsAreOurs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	addr := strings.TrimPrefix(s.url, "http://")
	for _, path := range []string{
		"//evil.com/index", "//index", "/%5cevil.com/../index", "/./index", "//evil.com/../index", "/index?a=//evil.com", "/index?\\evil.com",
		"/index?a=\xff", "///", "//", "/%2findex", "/.//index", "//evil.com/..", "http://evil.com/index?a", "http://evil.com//x/../index",
	} {
		status, location := raw(t, addr, "GET "+path+" HTTP/1.1\r\nHost: evil.com\r\n\r\n")
		if location == "" {
			if status != http.StatusNotFound && status != http.StatusBadRequest {
				t.Errorf("%q: %d", path, status)
			}
			continue
		}
		u := resolve(t, s.url, location)
		if !sameOrigin(u, s.url) {
			t.Errorf("%q leads to %s", path, u)
		}
		if next := u.SearchParams().Get("next"); next != "" && (auth.ParseNext(next).IsZero() || !strings.HasPrefix(next, "/index")) {
			t.Errorf("%q makes the next %q", path, next)
		}
	}
}

// TestHostileNextAtProvider sends the same values through a login by a provider: to the start, on
// the way back, and where the user cancels. The whole way is for a part of them only.
func TestHostileNextAtProvider(t *testing.T) {
	t.Parallel()
	const base = "http://localhost:5000"
	provider := authtest.NewProvider(t, authtest.ProviderConfig{})
	provider.Consent(authtest.ProviderUser{Subject: "42"})
	manager, err := auth.New(memstore.New[User](), auth.Config{
		BaseURL: base, Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Logger: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	handler, err := oauth.New(manager.Core, oauth.Provider{
		Name: "work", Issuer: provider.Issuer, ClientID: provider.ClientID, ClientSecret: auth.NewSecret(provider.ClientSecret), SignUp: true,
		Registration: func(context.Context, oauth.Profile) (auth.Registration, error) {
			return auth.Registration{Username: "susan"}, nil
		},
	})
	check(t, err)
	mux := http.NewServeMux()
	handler.Mount(mux)
	application := manager.LoadAndSave(mux)

	refused, kept := literals(t, "testdata/next-refused.txt"), literals(t, "testdata/next-kept.txt")
	start := func(c *authtest.Client, value, purpose string) *authtest.Response {
		return c.Post("/oauth/work", url.Values{"next": {value}, "purpose": {purpose}})
	}
	wantHere := func(what, value, location string) {
		t.Helper()
		if !sameOrigin(resolve(t, base, location), base) {
			t.Errorf("%s: %q leads to %q", what, value, location)
		}
	}
	link := regexp.MustCompile(`<a href="([^"]*)">`)
	linkOf := func(what, value string, r *authtest.Response, status int) {
		t.Helper()
		m := link.FindStringSubmatch(r.Text)
		if m == nil || r.StatusCode != status {
			t.Fatalf("%s: %q: %s: %s", what, value, r.Status, r.Text)
		}
		wantHere(what, value, html.UnescapeString(m[1]))
	}
	visitor := authtest.NewClient(t, manager.Core, application)
	for _, value := range slices.Concat(refused, kept, generated()) {
		linkOf("an unknown purpose", value, start(visitor, value, "unknown"), http.StatusBadRequest)
		wantHere("a visitor who connects", value, start(visitor, value, "link").Header.Get("Location"))
	}
	whole := slices.Concat(refused, kept)
	more := generated()
	for i := 0; i < len(more); i += len(more) / testapp.Rounds(t, 200, len(more)) {
		whole = append(whole, more[i])
	}
	for _, value := range whole {
		c := authtest.NewClient(t, manager.Core, application)
		back := provider.Visit(start(c, value, "login"))
		location := c.Do(back).Header.Get("Location")
		if want := auth.ParseNext(value).String(); location != want && (want != "" || location != "/") {
			t.Errorf("%q: the login leads to %q, want %q", value, location, want)
		}
		wantHere("the login", value, location)
		q := back.URL.Query()
		q.Set("next", value) // an attacker adds it on the way back
		back.URL.RawQuery = q.Encode()
		wantHere("the login once more", value, c.Do(back).Header.Get("Location"))
	}
	provider.Deny("access_denied", "")
	for _, value := range whole {
		c := authtest.NewClient(t, manager.Core, application)
		linkOf("a login that is cancelled", value, c.Do(provider.Visit(start(c, value, "login"))), http.StatusOK)
	}
}
