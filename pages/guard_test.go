package pages_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
	"golang.org/x/net/html"
)

func TestGuarded(t *testing.T) { // S93–S95
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Prefix = "/auth" })
	c := s.client()
	wantRedirect(t, c.get("/auth/account"), "/auth/login?next=%2Fauth%2Faccount")
	wantRedirect(t, c.get("/auth/account/password?x=1"), "/auth/login?next=%2Fauth%2Faccount%2Fpassword%3Fx%3D1")
	wantRedirect(t, c.post("/auth/account/password", "current_password", good, "password", "another battery horse", "confirm_password", "another battery horse"), "/auth/login")
	wantStatus(t, c.do("GET", "/auth/account", "", "Accept", "application/json"), 401)
	s.user("susan", good)

	c = s.user("susan", good)
	r := c.get("/auth/account")
	wantStatus(t, r, 200)
	accessible(t, r)
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "Username susan Email susan@example.com") {
		t.Errorf("the account page says %q", main)
	}
	if link(t, r, "Change Password") != "/auth/account/password" {
		t.Error("no way to the password")
	}
	if link(t, r, "Manage Where you are logged in") != "/auth/account/sessions" {
		t.Error("no way to the logins")
	}
	if form := only(t, parse(t, r), tag("form")); attr(form, "action") != "/auth/logout" || attr(form, "method") != "post" {
		t.Error("no way out")
	}
}

func TestLoggedInAlready(t *testing.T) { // S18 and S83, but for next
	t.Parallel()
	s := newSite(t, nil)
	c := s.user("susan", good)
	before := len(c.sent)
	for _, target := range []string{"/login", "/register"} {
		wantRedirect(t, c.get(target), "/")
		wantRedirect(t, c.get(target+"?next=%2Fmine"), "/mine")
		wantRedirect(t, c.do("HEAD", target+"?next=%2Fmine", ""), "/mine")
		wantRedirect(t, c.post(target, "login", "susan", "password", "wrong", "next", "/mine", "email", "susan@example.com"), "/mine")
	}
	if len(c.sent) != before {
		t.Error("a cookie was set")
	}
	s.store.fail(errDisk)
	for _, target := range []string{"/login", "/register", "/forgot-password", "/reset-password", "/account", "/nowhere"} {
		wantStatus(t, c.get(target), 503)
		wantStatus(t, c.post(target, "login", "susan", "password", good), 503)
	}
	s.store.fail(nil)
	if !c.loggedIn() {
		t.Error("logged out")
	}
}

// TestLoggedInGoesOn: if a user who is logged in opens a page for visitors, the answer
// leads to next, if that is a valid path, and otherwise home.
func TestLoggedInGoesOn(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "/auth"} {
		s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Prefix, c.Home = prefix, "/home" })
		c := s.user2("susan", "/home")
		for next, want := range map[string]string{
			"": "/home", "/mine": "/mine", "/reports/7?a=b&c=%2F": "/reports/7?a=b&c=%2F", "/login2": "/login2", "/%09/x": "/%09/x",
			"//evil.example": "/home", `/\evil.example`: "/home", "https://evil.example/": "/home", "/x\r\nSet-Cookie: a=b": "/home",
			prefix + "/login": "/home", prefix + "/login?next=%2Fmine": "/home", prefix + "/login#x": "/home", prefix + "/./login/": "/home",
			prefix + "/%6cogin": "/home", prefix + "/register?next=%2F": "/home", prefix + "/logout": "/home",
			prefix + "/account/close": prefix + "/account/close", prefix + "/forgot-password": prefix + "/forgot-password",
		} {
			for _, page := range []string{"/login", "/register"} {
				target := prefix + page + "?next=" + url.QueryEscape(next)
				wantRedirect(t, c.get(target), want)
				wantRedirect(t, c.do("HEAD", target, ""), want)
				wantRedirect(t, c.post(target), want)
				wantRedirect(t, c.post(prefix+page, "next", next), want)
			}
			// Who logs in goes to the same places.
			wantRedirect(t, s.client().post(prefix+"/login", "login", "susan", "password", good, "next", next), want)
		}
	}
	// A page that needs a fresh login asks for the password, and comes back to it.
	s := newSite(t, nil)
	c := s.remembered()
	wantRedirect(t, c.get("/login?next=%2Faccount%2Fclose"), "/account/close")
	wantRedirect(t, c.get("/account/close"), "/refresh?next=%2Faccount%2Fclose")
	wantRedirect(t, c.send(c.get("/refresh?next=%2Faccount%2Fclose"), "password", good), "/account/close")
}

// TestLoggedInGoesOnByCookie: next may be in a cookie. HEAD keeps the cookie.
func TestLoggedInGoesOnByCookie(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"/login", "/register"} {
		s := newSite(t, nextInCookie)
		c := s.client()
		wantRedirect(t, c.get("/mine?a=1"), "/login")
		next := c.linkCookie("-next")
		wantRedirect(t, c.post("/login", "login", "susan", "password", good), "/mine?a=1")
		c.set(next.Name, next.Value) // another tab was sent there meanwhile
		for range 2 {
			wantRedirect(t, c.do("HEAD", page, ""), "/mine?a=1")
		}
		wantRedirect(t, c.get(page), "/mine?a=1")
		wantRedirect(t, c.get(page), "/")
	}
}

// TestHostileNext: no value of next leads to another site. The values are from the
// mission's section 3.5, and more.
func TestHostileNext(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, next := range []string{
		"///evil.com", `/\evil.com`, `\\evil.com`, `\/evil.com`, "https:evil.com", "https:/evil.com", "https:///evil.com",
		"javascript:alert(1)", "mailto:x@y", "evil.com", "/\t/evil.com", "/\r\n/evil.com", "//evil.com", " //evil.com",
		"http://evil.com", `//evil.com\@localhost`, `/x/../\evil.com`, `/./\evil.com`, "/%zz", "/\x00", s.url + "/mine", "",
		"/" + strings.Repeat("a", 10_000), "/é",
	} {
		for _, c := range []struct {
			r    response
			want string
		}{
			{s.client().get("/login?next=" + url.QueryEscape(next)), ""},
			{s.client().post("/login", "login", "susan", "password", "", "next", next), ""},
			{s.client().post("/login?next=/mine", "login", "susan", "password", "", "next", next), ""},
			{s.client().get("/register?next=" + url.QueryEscape(next)), ""},
		} {
			if n := all(parse(t, c.r), with("name", "next")); len(n) > 0 {
				t.Errorf("%q is carried", next)
			}
			if strings.Contains(c.r.body, "evil") {
				t.Errorf("%q is in the page", next)
			}
		}
	}
	for _, next := range []string{"//evil.com", `/./\evil.com`, "https://evil.com/x"} {
		wantRedirect(t, s.client().post("/login", "login", "susan", "password", good, "next", next), "/")
		wantRedirect(t, s.client().post("/login?next="+url.QueryEscape(next), "login", "susan", "password", good), "/")
	}
	// Escapes stay as they are.
	wantRedirect(t, s.client().post("/login", "login", "susan", "password", good, "next", "/%09/evil.com"), "/%09/evil.com")
}

// TestNextInCookie: with NextInCookie, neither a URL nor a form contains next.
func TestNextInCookie(t *testing.T) {
	t.Parallel()
	s := newSite(t, nextInCookie)
	c := s.client()
	wantRedirect(t, c.get("/mine?a=1"), "/login")
	r := c.get("/login")
	if category, text := message(t, r); category != "info" || text != "Please log in to access this page." {
		t.Errorf("%s: %s", category, text)
	}
	if len(all(parse(t, r), with("name", "next"))) > 0 || strings.Contains(r.body, "mine") {
		t.Error("the form says where it leads")
	}
	wantStatus(t, c.post("/login", "login", "susan", "password", "wrong"), 422)
	wantRedirect(t, c.post("/login", "login", "susan", "password", good), "/mine?a=1")
	wantRedirect(t, c.post("/logout"), "/")
	wantRedirect(t, c.post("/login", "login", "susan", "password", good), "/") // once

	c = s.client() // by way of a registration
	wantRedirect(t, c.get("/mine"), "/login")
	wantRedirect(t, c.post("/register", "username", "anna", "email", "anna@example.com", "password", good, "confirm_password", good), "/login")
	wantRedirect(t, c.post("/login", "login", "anna", "password", good), "/mine")

	c = s.remembered() // by way of a confirmation
	wantRedirect(t, c.from("/account/sessions", "/account/sessions", "others", "1"), "/refresh")
	wantStatus(t, c.post("/refresh", "password", "wrong"), 422)
	wantRedirect(t, c.post("/refresh", "password", good), "/account/sessions")
	wantRedirect(t, c.post("/refresh", "password", good), "/")

	c = s.client() // who has no login to confirm
	wantRedirect(t, c.get("/mine"), "/login")
	wantRedirect(t, c.get("/refresh"), "/login")
	wantRedirect(t, c.post("/login", "login", "susan", "password", good), "/mine")
}

// TestFreshFor: to end logins, a user must have shown the password within FreshFor.
func TestFreshFor(t *testing.T) {
	t.Parallel()
	for _, fresh := range []time.Duration{0, time.Minute} {
		s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.FreshFor = fresh })
		if fresh == 0 {
			fresh = 20 * time.Minute
		}
		c := s.user("susan", good)
		end := func() response { return c.from("/account/sessions", "/account/sessions", "others", "1") }
		s.advance(fresh)
		wantRedirect(t, end(), "/account/sessions")
		s.advance(time.Second)
		for range 2 { // asking does not make it fresh
			wantRedirect(t, end(), "/refresh?next=%2Faccount%2Fsessions")
			wantStatus(t, c.get("/account/sessions"), 200)
		}
		wantRedirect(t, c.post("/account/sessions", "id", "x"), "/refresh")
		wantRedirect(t, c.post("/refresh", "password", good), "/")
		s.advance(fresh)
		wantRedirect(t, end(), "/account/sessions")
	}
}

// seal returns the field form_user, which must be the same in all forms of a page.
func seal(t *testing.T, r response) string {
	t.Helper()
	var values []string
	for _, n := range all(only(t, parse(t, r), tag("main")), with("name", "form_user")) {
		values = append(values, attr(n, "value"))
	}
	if values = slices.Compact(values); len(values) != 1 || values[0] == "" {
		t.Fatalf("the page has the seals %q\n%s", values, r.body)
	}
	return values[0]
}

// accountForms are the forms that change an account or confirm a login, with fields with
// which they succeed.
var accountForms = map[string][]string{
	"/account/password": {"current_password", good, "password", other, "confirm_password", other},
	"/account/email":    {"email", "new@example.com"},
	"/account/sessions": {"others", "1"},
	"/account/close":    {"current_password", good, "confirm", "y"},
	"/refresh":          {"password", good, "next", "/mine"},
}

// TestFormOfAnotherUser: susan opens a form, anna logs in in another tab, and the form
// is sent. Nothing changes, and the page says so.
func TestFormOfAnotherUser(t *testing.T) {
	t.Parallel()
	for page, fields := range accountForms {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.create("anna", verified)
			elsewhere, c := s.user("anna", good), s.user("susan", good)
			_ = s.user("susan", good) // so that there is a form for all other browsers
			theirs := seal(t, c.get(page))
			wantRedirect(t, c.post("/logout"), "/")
			wantRedirect(t, c.post("/login", "login", "anna", "password", good), "/")
			_ = c.get("/account") // takes the message away
			before, hashes := s.account("anna"), s.manager.PasswordHashes()

			r := c.post(page, append(fields, "form_user", theirs)...)
			wantStatus(t, r, 409)
			accessible(t, r)
			wantHeaders(t, page, r)
			category, text := message(t, r)
			if category != "warning" || text != "You are now logged in as anna. This form was opened by another account. Nothing was changed." {
				t.Errorf("%s: %s", category, text)
			}
			if strings.Contains(r.body, "susan") || strings.Contains(r.body, "new@example.com") {
				t.Error("the page says whose form it was, or what was typed")
			}
			if after := s.account("anna"); after.Version != before.Version || !elsewhere.loggedIn() || c.get("/mine").body != "anna" {
				t.Error("anna's account was changed")
			}
			if s.manager.PasswordHashes() != hashes || s.kinds() != "" {
				t.Error("a password was checked, or a mail sent")
			}

			// The page's form is anna's, and works.
			ours := seal(t, r)
			if ours == theirs {
				t.Fatal("the seal does not depend on the user")
			}
			wantStatus(t, c.post(page, append(fields, "form_user", ours)...), 303)
		})
	}
}

// TestFormSeals: a seal is valid for one form and one user, is always the same, and
// reveals nothing. A form without a seal is accepted.
func TestFormSeals(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	id := s.account("susan").ID
	c := s.user("susan", good)
	_ = s.user("susan", good) // so that there is a form for all other browsers
	seals := map[string]string{}
	for page := range accountForms {
		seals[page] = seal(t, c.get(page))
		if seals[page] != seal(t, s.user("susan", good).get(page)) {
			t.Errorf("%s: the seal of another login is another one", page)
		}
		if strings.Contains(seals[page], id) || strings.Contains(seals[page], "susan") {
			t.Errorf("%s: the seal is %s", page, seals[page])
		}
	}
	for page, fields := range accountForms {
		bad := []string{"x", seals[page] + "A", seals[page][1:], strings.ToUpper(seals[page]), "\x00", strings.Repeat("A", 43), strings.Repeat("A", 10_000)}
		for other, seal := range seals {
			if other != page {
				bad = append(bad, seal)
			}
		}
		for _, seal := range bad {
			if r := c.post(page, append(fields, "form_user", seal)...); r.status != 409 {
				t.Fatalf("%s with %q: %d", page, seal, r.status)
			}
		}
		if r := c.post(page + "?form_user=x"); r.status == 409 {
			t.Errorf("%s: the seal is read from the query", page)
		}
	}
	if s.manager.PasswordHashes() > 10 || len(s.mails) > 0 {
		t.Error("something was done")
	}
	for _, page := range []string{"/refresh", "/account/sessions", "/account/email", "/account/password"} {
		fields := accountForms[page]
		wantStatus(t, c.post(page, fields...), 303)
	}
	wantRedirect(t, c.post("/account/close", "current_password", other, "confirm", "y", "form_user", seals["/account/close"]), "/")
}

// TestFormOfAnotherUserFirst: a user who has logged in since then learns that before
// being asked for the password.
func TestFormOfAnotherUserFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("anna")
	anna, other := s.user("anna", good), s.user("anna", good)
	c := s.remembered() // susan, whose login is not fresh
	for _, page := range []string{"/account/email", "/account/sessions", "/account/close"} {
		theirs := seal(t, anna.get(page))
		wantStatus(t, c.post(page, append(accountForms[page], "form_user", theirs)...), 409)
		wantStatus(t, c.post(page, accountForms[page]...), 303)
		// Without a login it is the login page, as ever.
		wantRedirect(t, s.client().from(page, page, append(accountForms[page], "form_user", theirs)...), "/login?next="+strings.ReplaceAll(page, "/", "%2F"))
	}
	if !anna.loggedIn() || !other.loggedIn() || len(s.mails) > 0 {
		t.Error("something was done")
	}
}

// TestFormOfAnotherUserConfirm: the same holds for the form that confirms a new address.
func TestFormOfAnotherUserConfirm(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("anna")
	c := s.user("susan", good)
	wantRedirect(t, c.post("/account/email", "email", "new@example.com"), "/check-inbox")
	wantRedirect(t, c.get(s.mailed(auth.MailNewAddress, "new@example.com")), "/account/email")
	form := c.get("/account/email")
	seal(t, form)
	wantRedirect(t, c.post("/logout"), "/")
	wantRedirect(t, c.post("/login", "login", "anna", "password", good), "/")
	_ = c.get("/account")
	r := c.send(form)
	wantStatus(t, r, 409)
	accessible(t, r)
	if _, text := message(t, r); !strings.HasPrefix(text, "You are now logged in as anna.") || strings.Contains(r.body, "new@example.com") {
		t.Errorf("the page says %s", r.body)
	}
	if s.account("susan").Email != "susan@example.com" || s.account("anna").Email != "anna@example.com" {
		t.Error("an address has changed")
	}
	// The link is still good for susan.
	wantRedirect(t, c.post("/logout"), "/")
	wantRedirect(t, c.post("/login", "login", "susan", "password", good), "/")
	wantRedirect(t, c.send(form), "/account")
	if s.account("susan").Email != "new@example.com" {
		t.Error("the address has not changed")
	}
}

// TestFormOfOneLogin: the button that ends one login sends the seal, too.
func TestFormOfOneLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("anna")
	phone, c, anna := s.user("susan", good), s.user("susan", good), s.user("anna", good)
	var form *html.Node
	for _, n := range all(only(t, parse(t, c.get("/account/sessions")), tag("main")), tag("form")) {
		if len(all(n, with("name", "id"))) > 0 {
			form = n
		}
	}
	button := only(t, form, tag("button"))
	fields := []string{"id", attr(only(t, form, with("name", "id")), "value"), attr(button, "name"), attr(button, "value")}
	wantStatus(t, anna.post("/account/sessions", fields...), 409)
	if !phone.loggedIn() {
		t.Error("susan's login was ended by anna")
	}
	wantRedirect(t, c.post("/account/sessions", fields...), "/account/sessions")
	if phone.loggedIn() {
		t.Error("the login was not ended")
	}
}

// TestDenied: each request that a page refuses is told to OnEvent, once.
func TestDenied(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var denied []error
	s := newSite(t, func(a *auth.Config, _ *pages.Config) {
		a.OnEvent = func(_ context.Context, e auth.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == auth.EventAccessDenied {
				denied = append(denied, e.Err)
			}
		}
	})
	wantRedirect(t, s.user("susan", good).post("/account/email", "email", "new@example.com"), "/check-inbox")
	withToken := s.client()
	wantRedirect(t, withToken.get(s.mailed(auth.MailNewAddress, "new@example.com")), "/account/email")
	remembered := s.remembered()
	for _, test := range []struct {
		client *client
		method string
		path   string
		want   error
	}{
		{s.client(), "GET", "/account", auth.ErrNotLoggedIn},
		{s.client(), "GET", "/account/password", auth.ErrNotLoggedIn},
		{s.client(), "POST", "/account/password", auth.ErrNotLoggedIn},
		{s.client(), "GET", "/account/sessions", auth.ErrNotLoggedIn},
		{s.client(), "GET", "/account/email", auth.ErrNotLoggedIn},
		{withToken, "GET", "/account/email", auth.ErrNotLoggedIn},
		{withToken, "POST", "/account/email", auth.ErrNotLoggedIn},
		{remembered, "POST", "/account/sessions", auth.ErrNotFresh},
		{remembered, "GET", "/account/email", auth.ErrNotFresh},
		{remembered, "POST", "/account/close", auth.ErrNotFresh},
		{remembered, "GET", "/account/password", nil},
		{s.client(), "GET", "/refresh", nil}, // leads to the login page by itself
		{s.client(), "GET", "/login", nil},
	} {
		mu.Lock()
		denied = nil
		mu.Unlock()
		_ = test.client.do(test.method, test.path, "")
		mu.Lock()
		if test.want == nil && len(denied) > 0 || test.want != nil && (len(denied) != 1 || !errors.Is(denied[0], test.want)) {
			t.Errorf("%s %s: the events are %v, want %v", test.method, test.path, denied, test.want)
		}
		mu.Unlock()
	}
}

// TestOneMessageAfterLogout: after a logout, or after the account was closed, a home page that needs a
// login shows one message. If a login has ended elsewhere, the login page says so, and that a
// form was not saved.
func TestOneMessageAfterLogout(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Home = "/mine" })
	s.create("anna")
	want := func(c *client, category, says string) {
		t.Helper()
		r := c.get("/login")
		var got []string
		for _, n := range all(only(t, parse(t, r), with("role", "status")), tag("p")) {
			got = append(got, attr(n, "class")+": "+text(n))
		}
		if want := "flash " + category + ": " + says; len(got) != 1 || got[0] != want {
			t.Errorf("the messages are %q, want %q", got, want)
		}
	}
	c := s.user2("susan", "/mine")
	wantRedirect(t, c.post("/logout"), "/mine")
	wantRedirect(t, c.get("/mine"), "/login?next=%2Fmine")
	want(c, "info", "You have been logged out.")

	c = s.user2("anna", "/mine")
	wantRedirect(t, c.post("/account/close", "current_password", good, "confirm", "y"), "/mine")
	wantRedirect(t, c.get("/mine"), "/login?next=%2Fmine")
	want(c, "success", "Your account has been closed.")

	c, other := s.user2("susan", "/mine"), s.user2("susan", "/mine")
	wantRedirect(t, other.post("/account/sessions", "others", "y"), "/account/sessions")
	wantRedirect(t, c.get("/mine"), "/login?next=%2Fmine")
	want(c, "info", "You have been logged out. Please log in again.")
	r := c.post("/account/password", "current_password", good, "password", other2, "confirm_password", other2)
	wantStatus(t, r, 303)
	want(c, "info", "You have been logged out. Please log in again. What you have just sent was not saved.")
	r = c.post("/refresh", "password", good)
	wantStatus(t, r, 303)
	want(c, "info", "You have been logged out. Please log in again. What you have just sent was not saved.")
}

const other2 = "quite another sentence"
