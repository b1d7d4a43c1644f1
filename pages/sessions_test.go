package pages_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
	"golang.org/x/net/html"
)

// cards returns the elements of the list of logins.
func cards(t *testing.T, r response) []*html.Node {
	t.Helper()
	wantStatus(t, r, 200)
	return all(only(t, only(t, parse(t, r), tag("main")), tag("ul")), tag("li"))
}

// name returns the accessible name of an element, if other elements form it.
func name(t *testing.T, doc, n *html.Node) string {
	t.Helper()
	var parts []string
	for _, id := range strings.Fields(attr(n, "aria-labelledby")) {
		parts = append(parts, text(only(t, doc, with("id", id))))
	}
	return strings.Join(parts, " ")
}

func TestSessions(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	phone := s.userWith(iPhone, "susan", "remember_me", "y")
	s.advance(90 * time.Second)
	c := s.userWith(firefox, "susan@example.com")
	s.advance(time.Minute)
	r := c.get("/account/sessions")
	accessible(t, r)
	found := cards(t, r)
	if heading(t, r) != "Where you are logged in" || len(found) != 2 {
		t.Fatalf("%s: %d logins", heading(t, r), len(found))
	}
	for i, want := range []string{
		"Firefox on Linux This browser Active now since 21 Nov 2026 127.0.0.1 Log out",
		"Safari on iPhone Last seen 2 min ago since 21 Nov 2026 127.0.0.1 stays until 21 Dec 2026 Log out",
	} {
		if got := text(found[i]); got != want {
			t.Errorf("login %d is %q", i, got)
		}
	}
	if got := attr(only(t, found[1], tag("h2")), "title"); got != iPhone {
		t.Errorf("the whole user agent is %q", got)
	}
	if seen := all(found[1], tag("time"))[0]; attr(seen, "datetime") != "2026-11-21T12:00:00Z" || attr(seen, "title") != "2026-11-21 12:00 UTC" {
		t.Errorf("the time is %v", seen.Attr)
	}
	if form := only(t, found[0], tag("form")); attr(form, "action") != "/logout" || len(all(form, tag("input"))) > 0 {
		t.Error("this browser has no ordinary logout")
	}
	form := only(t, found[1], tag("form"))
	input := only(t, form, tag("input"))
	if attr(form, "action") != "/account/sessions" || attr(form, "method") != "post" || attr(input, "name") != "id" {
		t.Error("the other browser cannot be logged out")
	}
	doc, names := parse(t, r), map[string]bool{}
	for _, button := range all(only(t, doc, tag("ul")), tag("button")) {
		label := name(t, doc, button)
		if names[label] || !strings.HasPrefix(label, "Log out ") { // as it is written, for those who speak it
			t.Errorf("a button is called %q", label)
		}
		names[label] = true
	}
	if !names["Log out Safari on iPhone 127.0.0.1 Last seen 2 min ago"] {
		t.Errorf("the buttons are called %v", names)
	}
	if link(t, r, "Account") != "/account" || link(t, c.get("/account"), "Manage Where you are logged in") != "/account/sessions" {
		t.Error("no way there, or back")
	}

	wantRedirect(t, c.post("/account/sessions", "id", attr(input, "value")), "/account/sessions")
	r = c.get("/account/sessions")
	if category, text := message(t, r); category != "success" || text != "The browser has been logged out." {
		t.Errorf("%s: %s", category, text)
	}
	if len(cards(t, r)) != 1 || strings.Contains(r.body, "Log out all other browsers") {
		t.Error("there is another login")
	}
	if phone.loggedIn() || !c.loggedIn() {
		t.Error("the other login should end, and this one stay")
	}
	for _, cookie := range phone.sent {
		if s.client().do("GET", "/mine", "", "Cookie", cookie.Name+"="+cookie.Value).status == 200 {
			t.Errorf("%s is still good", cookie.Name)
		}
	}
	wantStatus(t, c.post("/account/sessions", "id", attr(input, "value")), 404) // it has ended
}

func TestEndOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.mallory()
	phone, mallory := s.remembered(), s.user("mallory", good)
	c, elsewhere := s.user("susan", good), s.user("susan", good)
	r := c.get("/account/sessions")
	buttons := all(only(t, parse(t, r), tag("main")), tag("button"))
	if last := text(buttons[len(buttons)-1]); last != "Log out all other browsers" {
		t.Errorf("the last button is %q", last)
	}
	wantRedirect(t, c.post("/account/sessions", "others", "1"), "/account/sessions")
	r = c.get("/account/sessions")
	if category, text := message(t, r); category != "success" || text != "All other browsers have been logged out." {
		t.Errorf("%s: %s", category, text)
	}
	if len(cards(t, r)) != 1 || phone.loggedIn() || elsewhere.loggedIn() {
		t.Error("another browser is logged in")
	}
	if !c.loggedIn() || !mallory.loggedIn() {
		t.Error("too much was ended")
	}
	wantRedirect(t, c.post("/account/sessions", "others", "1"), "/account/sessions") // none is no error
}

// TestEndSessionsOf: a user can neither end nor learn of another user's login.
func TestEndSessionsOf(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.mallory()
	mallory, c, elsewhere := s.user("mallory", good), s.user("susan", good), s.user("susan", good)
	logins, err := s.manager.Logins(t.Context(), user.ID)
	check(t, err)
	records, err := s.store.ListRecords(t.Context(), "session", user.ID)
	check(t, err)
	unknown := c.post("/account/sessions", "id", strings.Repeat("A", len(logins[0].ID)))
	wantStatus(t, unknown, 404)
	accessible(t, unknown)
	for _, id := range []string{
		logins[0].ID, logins[0].ID + " ", records[0].Key, mallory.cookie(""), user.ID, "1", "\x00", "\xff", "'--", strings.Repeat("a", 60_000),
	} {
		r := c.post("/account/sessions", "id", id)
		wantStatus(t, r, 404)
		if r.body != unknown.body {
			t.Errorf("%.20q is answered otherwise:\n%s", id, r.body)
		}
	}
	if !mallory.loggedIn() || !elsewhere.loggedIn() || len(s.logins()) != 2 {
		t.Error("something was ended")
	}
}

// TestEndSessionsThis: the user's own login is ended like by the button at the top.
func TestEndSessionsThis(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Home = "/login" })
	c := s.client()
	wantRedirect(t, c.post("/login", "login", "susan", "password", good, "remember_me", "y"), "/login")
	wantRedirect(t, c.post("/account/sessions", "id", s.logins()[0].ID), "/login")
	if _, text := message(t, c.get("/login")); text != "You have been logged out." {
		t.Error(text)
	}
	if c.loggedIn() || c.cookie("-remember") != "" || len(s.logins()) > 0 {
		t.Error("still logged in")
	}
}

func TestEndSessionsWithout(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c, elsewhere := s.user("susan", good), s.user("susan", good)
	for _, r := range []response{
		c.post("/account/sessions"),
		c.post("/account/sessions", "id", ""),
		c.post("/account/sessions", "others", "", "all", "1"),
		c.post("/account/sessions?others=1"), // a link is no form
	} {
		wantStatus(t, r, 400)
		accessible(t, r)
	}
	wantStatus(t, c.do("POST", "/account/sessions", `{"others":1}`, "Content-Type", "application/json", "Accept", "text/html"), 415)
	wantStatus(t, c.do("DELETE", "/account/sessions", ""), 405)
	wantStatus(t, c.get("/account/sessions?others=1"), 200)
	if !elsewhere.loggedIn() {
		t.Error("a login was ended")
	}
}

func TestSessionsAnonymous(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user, c := s.user("susan", good), s.client()
	wantRedirect(t, c.get("/account/sessions"), "/login?next=%2Faccount%2Fsessions")
	for _, form := range [][]string{nil, {"others", "1"}, {"id", s.logins()[0].ID}, {"id", "x"}} {
		wantRedirect(t, c.from("/account/sessions", "/account/sessions", form...), "/login?next=%2Faccount%2Fsessions")
	}
	if !user.loggedIn() {
		t.Error("a login was ended")
	}
}

// TestSessionsXSS: no user agent lets markup through.
func TestSessionsXSS(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, c *pages.Config) { c.Texts.Browser = "<i>{browser}</i> on {system}" })
	agents := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus='alert(1)`, `" autofocus onfocus="alert(1)`,
		`</h2></li></ul><script>`, `{{.}}`, "`${alert(1)}`", "javascript:alert(1)", "\u202eevil", "a\xffb", "\xed\xa0\x80", strings.Repeat("w", 300),
		"Mozilla/5.0 (<b>Linux) Firefox/1.0", "{browser} {system}",
	}
	for _, agent := range agents {
		c := s.userWith(agent, "susan")
		r := c.get("/account/sessions")
		accessible(t, r)
		if strings.Contains(r.body, "<script>") || strings.Contains(r.body, "<img") || strings.Contains(r.body, "<b>") || strings.Contains(r.body, "<i>") {
			t.Errorf("%q is in the page", agent)
		}
		var shown, whole string
		for _, card := range cards(t, r) {
			if strings.Contains(text(card), "This browser") {
				heading := only(t, card, tag("h2"))
				shown, whole = text(heading), attr(heading, "title")
			}
		}
		want := strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return -1
			}
			return r
		}, agent)
		if len(want) > 256 {
			want = want[:256]
		}
		if whole != want || shown != want && !strings.HasPrefix(agent, "Mozilla") {
			t.Errorf("%q is shown as %q, and in whole as %q", agent, shown, whole)
		}
		if strings.HasPrefix(agent, "Mozilla") && shown != "<i>Firefox</i> on Linux" {
			t.Errorf("%q is shown as %q", agent, shown)
		}
	}
	if n := len(cards(t, s.userWith("", "susan").get("/account/sessions"))); n != len(agents)+1 {
		t.Errorf("%d logins", n)
	}
}

// TestSessionsSecrets: the page contains no secret and no key of a record.
func TestSessionsSecrets(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	phone, c := s.remembered(), s.userWith(firefox, "susan", "remember_me", "y")
	if !phone.loggedIn() {
		t.Fatal("not remembered")
	}
	user, err := s.store.FindUser(t.Context(), "susan")
	check(t, err)
	r := c.get("/account/sessions")
	if len(cards(t, r)) != 2 {
		t.Error("not two logins")
	}
	if r.header.Get("Cache-Control") != "no-store" {
		t.Error("the page may be stored")
	}
	secrets := []string{user.Stamp.Reveal(), user.PasswordHash.Reveal(), user.ID}
	for _, cookie := range append(phone.sent, c.sent...) {
		secrets = append(secrets, cookie.Value)
	}
	for _, kind := range []string{"session", "remember", "rotated"} {
		records, err := s.store.ListRecords(t.Context(), kind, user.ID)
		check(t, err)
		if len(records) == 0 && kind != "rotated" {
			t.Errorf("no %s records", kind)
		}
		for _, record := range records {
			secrets = append(secrets, record.Key, record.Key[:20])
		}
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(r.body, secret) {
			t.Errorf("%q is in the page", secret)
		}
	}
}

func TestSessionsFail(t *testing.T) {
	t.Parallel()
	store := &records{}
	s := newSite(t, hooked(store))
	c, elsewhere := s.user("susan", good), s.user("susan", good)
	id := attr(only(t, parse(t, c.get("/account/sessions")), with("name", "id")), "value")
	for _, kind := range []string{"session", "remember"} {
		store.set(func(asked string) error {
			if asked == kind {
				return errDisk
			}
			return nil
		})
		for _, r := range []response{
			c.get("/account/sessions"), c.post("/account/sessions", "others", "1"), c.post("/account/sessions", "id", "x"), c.post("/account/sessions", "id", id),
		} {
			if r.header.Get("Cache-Control") != "no-store" || r.status != 503 || strings.Contains(r.body, "Firefox") || strings.Contains(r.body, errDisk.Error()) {
				t.Errorf("a failure of %s is %d:\n%s", kind, r.status, r.body)
			}
		}
	}
	store.set(nil)
	failing(t, store, func() response { return c.post("/account/sessions", "others", "1") }, "/account/sessions")
	if elsewhere.loggedIn() || !c.loggedIn() {
		t.Error("the other login should have ended, and this one not")
	}
	s.store.fail(errDisk)
	wantStatus(t, c.get("/account/sessions"), 503)
	wantStatus(t, c.post("/account/sessions", "others", "1"), 503)
}

// TestSessionsMany: the list works with very many logins.
func TestSessionsMany(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.Session.Max = -1 })
	user, err := s.store.FindUser(t.Context(), "susan")
	check(t, err)
	login := s.manager.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := s.manager.LoginUser(r.Context(), user, auth.Remember(r.URL.Path == "/1")); err != nil {
			t.Error(err)
		}
	}))
	for i := range 200 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("/%d", i%2), nil)
		r.RemoteAddr, r.Header = fmt.Sprintf("[2001:db8::%x]:1", i), http.Header{"User-Agent": {fmt.Sprintf("agent %d %s", i, strings.Repeat("w", 300))}}
		login.ServeHTTP(httptest.NewRecorder(), r)
	}
	c := s.user("susan", good)
	r := c.get("/account/sessions")
	accessible(t, r)
	doc, names := parse(t, r), map[string]bool{}
	for _, button := range all(only(t, doc, tag("ul")), tag("button")) {
		names[name(t, doc, button)] = true
	}
	if len(names) != 201 {
		t.Errorf("%d buttons can be told apart", len(names))
	}
	wantRedirect(t, c.post("/account/sessions", "others", "1"), "/account/sessions")
	if n := len(cards(t, c.get("/account/sessions"))); n != 1 {
		t.Errorf("%d logins are left", n)
	}
}

// TestSessionsWithoutAddress: if RemoteAddr is not an address, the list shows none.
func TestSessionsWithoutAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	handler, c := s.manager.LoadAndSave(s.pages), s.user("susan", good)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", strings.NewReader(url.Values{"login": {"susan"}, "password": {good}}.Encode()))
	r.RemoteAddr = "@"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	page := c.get("/account/sessions")
	accessible(t, page)
	doc, list := parse(t, page), cards(t, page)
	if len(list) != 2 || strings.Contains(text(list[0]), "127.0.0.1") == strings.Contains(text(list[1]), "127.0.0.1") {
		t.Error("one of the two has an address")
	}
	for _, card := range list {
		if strings.Contains(text(card), "Unknown browser") == strings.Contains(text(card), "This browser") {
			t.Errorf("%q", text(card))
		}
		_ = name(t, doc, only(t, card, tag("button"))) // all that it names is there
	}
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	page := pages.Page{Texts: pages.Texts{Browser: "{browser} on {system}", UnknownBrowser: "?"}}
	const webkit, gecko = "AppleWebKit/537.36 (KHTML, like Gecko) ", "Gecko/20100101 "
	for agent, want := range map[string]string{
		firefox: "Firefox on Linux",
		iPhone:  "Safari on iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) " + gecko + "Firefox/145.0":                                                            "Firefox on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) " + gecko + "Firefox/145.0":                                                        "Firefox on macOS",
		"Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0":                                                                      "Firefox on Android",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/145.0 Mobile/15E148 Safari/605.1.15": "Firefox on iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/142.0.0.0 Safari/537.36":                                                    "Chrome on Windows",
		"Mozilla/5.0 (Linux; Android 10; K) " + webkit + "Chrome/142.0.0.0 Mobile Safari/537.36":                                                    "Chrome on Android",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) " + webkit + "Chrome/142.0.0.0 Safari/537.36":                                                     "Chrome on ChromeOS",
		"Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1":         "Chrome on iPad",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0":                                      "Edge on Windows",
		"Mozilla/5.0 (Linux; Android 10; K) " + webkit + "Chrome/142.0.0.0 Mobile Safari/537.36 EdgA/142.0.0.0":                                     "Edge on Android",
		"Mozilla/5.0 (X11; Linux x86_64) " + webkit + "Chrome/142.0.0.0 Safari/537.36 OPR/124.0.0.0":                                                "Opera on Linux",
		"Mozilla/5.0 (Linux; Android 10; K) " + webkit + "SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36":                                "Samsung Internet on Android",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15":                     "Safari on macOS",
		"": "?", " ": "?",
		"curl/8.17.0":                  "curl/8.17.0",
		"Go-http-client/1.1":           "Go-http-client/1.1",
		"Firefox/1.0 on Linux":         "Firefox/1.0 on Linux",
		"Mozilla/5.0 (Linux) Other/1":  "Mozilla/5.0 (Linux) Other/1",
		"Mozilla/5.0 (BeOS) Firefox/2": "Mozilla/5.0 (BeOS) Firefox/2",
		"{browser}":                    "{browser}",
	} {
		if got := page.Browser(agent); got != want {
			t.Errorf("%q is %q, want %q", agent, got, want)
		}
	}
}
