package pages_test

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

func TestRefreshForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	r := s.remembered().get("/refresh?next=%2Fmine")
	wantStatus(t, r, 200)
	accessible(t, r)
	want := map[string]field{"password": {"Password", "password", "current-password", "", ""}}
	if got := fields(t, r); !reflect.DeepEqual(got, want) || button(t, r) != "Confirm" || heading(t, r) != "Confirm your password" {
		t.Errorf("%v", got)
	}
	doc := parse(t, r)
	if attr(only(t, doc, with("id", "account")), "value") != "susan" || attr(only(t, doc, with("name", "next")), "value") != "/mine" {
		t.Error("whose password it is, or where to go, is lost")
	}
}

// TestRefresh: a user who is only remembered opens a page that needs a fresh login,
// confirms the password, and gets there.
func TestRefresh(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	elsewhere, c := s.user("susan", good), s.remembered()
	r := c.get("/account/sessions")
	wantStatus(t, r, 200)
	r = c.from("/account/sessions", "/account/sessions", "others", "1")
	wantRedirect(t, r, "/refresh?next=%2Faccount%2Fsessions")
	if !elsewhere.loggedIn() {
		t.Fatal("who is only remembered has ended a login")
	}
	r = c.get(r.location)
	if category, text := message(t, r); category != "info" || text != "Please confirm your password to access this page. What you have just sent was not saved." {
		t.Errorf("%s: %s", category, text)
	}
	next := attr(only(t, parse(t, r), with("name", "next")), "value")
	const wrong = "This is not your current password."
	for password, want := range map[string]string{
		"": "This field is required.", "wrong": wrong, good + " ": wrong, good + "\x00": wrong, "\xff": wrong, strings.Repeat("a", 20_000): wrong,
	} {
		r = c.post("/refresh", "password", password, "next", next)
		wantErrors(t, r, map[string]string{"password": want})
		if attr(only(t, parse(t, r), with("name", "next")), "value") != "/account/sessions" {
			t.Error("next is lost")
		}
		wantRedirect(t, c.from("/account/sessions", "/account/sessions", "others", "1"), "/refresh?next=%2Faccount%2Fsessions")
	}
	before := slices.Clone(c.sent)
	wantRedirect(t, c.post("/refresh", "password", good, "next", next), "/account/sessions")
	wantRedirect(t, c.from("/account/sessions", "/account/sessions", "others", "1"), "/account/sessions")
	if elsewhere.loggedIn() {
		t.Error("the other browser is still logged in")
	}
	if !c.loggedIn() {
		t.Error("this browser is not logged in any more")
	}
	s.advance(time.Minute)          // until when a request could be under way with the old token
	for _, cookie := range before { // of the session; the one that is remembered stays good
		if strings.HasSuffix(cookie.Name, "-remember") {
			continue
		}
		if replay := s.client(); replay.do("GET", "/mine", "", "Cookie", cookie.Name+"="+cookie.Value).status == 200 {
			t.Error("the confirmed login has a cookie from before")
		}
	}
	wantRedirect(t, c.post("/refresh", "password", good), "/") // nowhere to go: home
}

// TestRefreshAnonymous: a browser that is not logged in logs in, and then goes where the
// confirmation would have led.
func TestRefreshAnonymous(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Prefix = "/auth" })
	c := s.client()
	for _, r := range []response{
		c.get("/auth/refresh?next=%2Fmine"),
		c.post("/auth/refresh?next=%2Fmine"),
		c.post("/auth/refresh", "next", "/mine", "password", good),
		c.from("/auth/refresh?next=%2Fmine", "/auth/refresh", "next", "/mine", "password", good),
	} {
		wantRedirect(t, r, "/auth/login?next=%2Fmine")
	}
	wantRedirect(t, c.get("/auth/refresh"), "/auth/login")
	for _, evil := range []string{"//evil.example", `/\evil.example`, "https://evil.example/", "javascript:alert(1)"} {
		wantRedirect(t, c.get("/auth/refresh?next="+url.QueryEscape(evil)), "/auth/login")
		user := s.user("susan", good)
		if r := user.get("/auth/refresh?next=" + url.QueryEscape(evil)); r.status != 200 || strings.Contains(r.body, "evil") {
			t.Errorf("%s is in the page", evil)
		}
		wantRedirect(t, user.post("/auth/refresh", "password", good, "next", evil), "/")
	}
	s.store.fail(errDisk)
	wantStatus(t, c.get("/auth/refresh"), 303) // nobody is to be loaded
	s.store.fail(nil)
}

// TestRefreshQuery: a password in the URL does not count.
func TestRefreshQuery(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.remembered()
	wantErrors(t, c.post("/refresh?password="+url.QueryEscape(good)), map[string]string{"password": "This field is required."})
	wantRedirect(t, c.post("/refresh?next=%2Fmine", "password", good), "/mine")
}

// TestRefreshEnded: the login ends while it is being confirmed.
func TestRefreshEnded(t *testing.T) {
	t.Parallel()
	store := &records{}
	s := newSite(t, hooked(store))
	user, err := s.store.FindUser(t.Context(), "susan")
	check(t, err)
	c := s.user("susan", good)
	store.set(func(string) error { // at the confirmation's first record
		store.hook = func(kind string) error {
			if kind != "session" {
				return nil
			}
			store.hook = nil
			return store.DeleteRecords(context.Background(), "session", user.ID)
		}
		return nil
	})
	wantRedirect(t, c.post("/refresh", "password", good, "next", "/mine"), "/login?next=%2Fmine")
	if c.loggedIn() {
		t.Error("a login that has ended lives on")
	}
	left, err := store.ListRecords(t.Context(), "session", user.ID)
	check(t, err)
	if len(left) > 0 {
		t.Errorf("%d records are left", len(left))
	}
}

func TestRefreshFails(t *testing.T) {
	t.Parallel()
	store := &records{}
	s := newSite(t, hooked(store))
	c := s.remembered()
	if !c.loggedIn() {
		t.Fatal("not remembered")
	}
	s.store.fail(errDisk)
	for _, r := range []response{c.get("/refresh"), c.post("/refresh", "password", good)} {
		wantStatus(t, r, 503)
		wantHeaders(t, "a store that fails", r)
	}
	s.store.fail(nil)
	failing(t, store, func() response { return c.post("/refresh", "password", good, "next", "/mine") }, "/mine")
	s.store.fail(auth.ErrBusy)
	if r := c.post("/refresh", "password", good); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("busy is %d", r.status)
	}
}

// TestRefreshLoader: the user of a Credential never has a fresh login, and is not
// redirected in a circle.
func TestRefreshLoader(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, _ *pages.Config) {
		a.Credentials = []auth.Credential{auth.Bearer(), {
			Load: func(r *http.Request) (auth.Grant, error) {
				return auth.Grant{UserID: r.Header.Get("X-User"), Method: "proxy"}, nil
			},
		}}
	})
	user, err := s.store.FindUser(t.Context(), "susan")
	check(t, err)
	other := s.user("susan", good)
	c := s.client()
	do := func(method, target, body string) response {
		return c.do(method, target, body, "X-User", user.ID, "Referer", s.url+"/account/sessions")
	}
	wantStatus(t, do("GET", "/account/sessions", ""), 200)
	wantStatus(t, do("POST", "/account/sessions", "others=1"), 401)
	wantStatus(t, do("GET", "/refresh", ""), 200)
	wantStatus(t, do("POST", "/refresh", "password=wrong"), 401) // nobody learns whether it is
	wantStatus(t, do("POST", "/refresh", url.Values{"password": {good}, "next": {"/account/sessions"}}.Encode()), 401)
	wantStatus(t, do("POST", "/account/sessions", "others=1"), 401)
	if len(c.sent) > 0 {
		t.Errorf("cookies for a Credential's user: %v", c.sent)
	}

	secret, _, err := s.manager.NewAPIToken(t.Context(), user, auth.APIToken{Name: "x", Scopes: []string{auth.ScopeAll}, Expires: s.clock().Add(time.Hour)})
	check(t, err)
	bearer := []string{"Authorization", "Bearer " + secret.Reveal()}
	wantStatus(t, c.do("GET", "/account/sessions", "", bearer...), 200)
	wantStatus(t, c.do("POST", "/account/sessions", "others=1", bearer...), 401)
	wantStatus(t, c.do("POST", "/refresh", "password="+url.QueryEscape(good), bearer...), 401)
	if !other.loggedIn() {
		t.Error("a login was ended")
	}
}
