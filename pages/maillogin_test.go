package pages_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

const mailCodeWrong = "That code was wrong or has expired. You can ask for a new one, or use the link in the email."

func emailLogin(a *auth.Config, _ *pages.Config) { a.EmailLogin = true }

// newMailSite is a site where users log in by mail. susan's address is verified.
func newMailSite(t *testing.T, change func(*auth.Config, *pages.Config)) *site {
	t.Helper()
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		emailLogin(a, c)
		if change != nil {
			change(a, c)
		}
	})
	s.update("susan", verified)
	return s
}

// code returns the code of the last mail, which must be to this address.
func (s *site) code(to string) string {
	s.t.Helper()
	s.mailed(auth.MailLoginCode, to)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mails[len(s.mails)-1].Code.Reveal()
}

// TestMailLogin: from the login page a user gets a code by mail, and goes on to where they
// wanted to go.
func TestMailLogin(t *testing.T) {
	t.Parallel()
	s := newMailSite(t, nil)
	c := s.client()
	r := c.get("/login?next=%2Fmine%3Fx%3D1")
	target := link(t, r, "Email me a code that logs me in")
	if target != "/login/code?next=%2Fmine%3Fx%3D1" {
		t.Errorf("the login page links to %s", target)
	}
	r = c.get(target)
	wantStatus(t, r, 200)
	accessible(t, r)
	wantHeaders(t, "the address", r)
	if f := fields(t, r); heading(t, r) != "Log in by email" || f["email"].kind != "email" || f["email"].autocomplete != "email" || len(s.mails) > 0 {
		t.Errorf("the fields are %+v", f)
	}
	wantErrors(t, c.submit(r, "/login/code", "email", " "), map[string]string{"email": "This field is required."})
	wantErrors(t, c.submit(r, "/login/code", "email", "susan"), map[string]string{"email": "This is not an email address, such as name@example.com."})
	r = c.submit(r, "/login/code", "email", "susan@example.com")
	wantRedirect(t, r, target)
	r = c.get(target)
	wantStatus(t, r, 200)
	accessible(t, r)
	if f := fields(t, r); f["code"] != (field{"Code from the email", "text", "one-time-code", "", ""}) || f["remember_me"].kind != "checkbox" {
		t.Errorf("the fields are %+v", f)
	}
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "If there is an account with the address susan@example.com, we have sent a code to it.") {
		t.Error(main)
	}
	if again := link(t, r, "Use another address"); again != "/login/code?new&next=%2Fmine%3Fx%3D1" {
		t.Errorf("another code is at %s", again)
	} else if f := fields(t, c.get(again)); f["email"].kind != "email" {
		t.Errorf("the fields there are %+v", f)
	}
	code := s.code("susan@example.com")
	wantErrors(t, c.submit(r, "/login/code", "code", " "), map[string]string{"code": "This field is required."})
	wrong := c.submit(r, "/login/code", "code", "BCDF-GHJK", "remember_me", "y")
	wantErrors(t, wrong, map[string]string{"code": mailCodeWrong})
	accessible(t, wrong)
	if fields(t, wrong)["code"].value != "" || c.loggedIn() {
		t.Error("the wrong code is in the page, or logs in")
	}
	wantRedirect(t, c.submit(wrong, "/login/code", "code", strings.ToLower(code), "remember_me", "y"), "/mine?x=1")
	if !c.loggedIn() {
		t.Error("not logged in")
	}
	c.restart()
	if !c.loggedIn() {
		t.Error("not remembered")
	}
	// Users who are logged in go on.
	wantRedirect(t, c.get("/login/code?next=%2Fmine"), "/mine")
	wantRedirect(t, c.post("/login/code", "email", "susan@example.com"), "/")
	wantStatus(t, c.post("/login/code", "email", "mike@example.com"), http.StatusConflict)
}

// TestMailLoginTwice: a form with a code that is sent twice leads to the same page.
func TestMailLoginTwice(t *testing.T) {
	t.Parallel()
	s := newMailSite(t, nil)
	c := s.client()
	wantRedirect(t, c.press("/login/code", "email", "susan@example.com"), "/login/code")
	r := c.get("/login/code")
	for range 2 {
		wantRedirect(t, c.submit(r, "/login/code", "code", s.code("susan@example.com")), "/")
	}
	if n := len(s.logins()); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// TestMailLink: opening the link uses nothing up. Its page says whom it logs in and, in
// another browser, who asked for it.
func TestMailLink(t *testing.T) {
	t.Parallel()
	s := newMailSite(t, nil)
	asked, other := s.client(), s.client()
	wantRedirect(t, asked.press("/login/code", "email", "susan@example.com"), "/login/code")
	target := s.mailed(auth.MailLoginCode, "susan@example.com")
	scanner := s.client()
	for range 10 { // programs that scan mail
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			wantRedirect(t, scanner.do(method, target, ""), "/login/code")
			wantStatus(t, scanner.do(method, "/login/code", ""), 200)
		}
	}
	const warning = "The email was asked for in another browser."
	for _, c := range []*client{asked, other} {
		wantRedirect(t, c.get(target), "/login/code")
		r := c.get("/login/code")
		accessible(t, r)
		wantHeaders(t, "the link", r)
		main := text(only(t, parse(t, r), tag("main")))
		if !strings.Contains(main, "This logs you in to the account susan in this browser.") || strings.Contains(main, warning) != (c == other) ||
			strings.Contains(main, "127.0.0.1") != (c == other) || strings.Contains(main, "Nobody has verified") {
			t.Error(main)
		}
		if c.loggedIn() {
			t.Error("a GET logs in")
		}
		if strings.Contains(r.body, target) || strings.Contains(r.body, s.code("susan@example.com")) {
			t.Error("the token or the code is in the page")
		}
	}
	wantRedirect(t, other.submit(other.get("/login/code"), "/login/code", "remember_me", "y"), "/")
	other.restart()
	if !other.loggedIn() {
		t.Error("not logged in, or not remembered")
	}
	// The link and the code are used up.
	wantRedirect(t, s.client().get(target), "/login/code")
	wantErrors(t, asked.submit(asked.get("/login/code?new"), "/login/code", "code", s.code("susan@example.com")), map[string]string{"code": mailCodeWrong})
	fresh := s.client()
	fresh.get(target)
	if category, text := message(t, fresh.get("/login/code")); category != "info" || text != "This link has already been used. Ask for a new one." {
		t.Errorf("%s: %s", category, text)
	}
	fresh.get("/login/code?token=nonsense")
	if category, text := message(t, fresh.get("/login/code")); category != "warning" || text != "This link does not work any more. Ask for a new one." {
		t.Errorf("%s: %s", category, text)
	}
}

// TestMailLinkNext: the link leads where the user wanted to go, in every browser. A next
// that leaves the site leads nowhere, and none is in the mail.
func TestMailLinkNext(t *testing.T) {
	t.Parallel()
	s := newMailSite(t, nil)
	for next, want := range map[string]string{
		"/mine?a=b&c=d#e": "/mine?a=b&c=d#e", "//evil.example": "/", "/\\evil.example": "/", "https://evil.example/": "/",
		"/\t/evil.example": "/", "javascript:alert(1)": "/", "/%zz": "/", "/" + strings.Repeat("x", 2048): "/", "": "/",
	} {
		asked, other := s.client(), s.client()
		s.advance(time.Hour)
		wantRedirect(t, asked.post("/login/code", "email", "susan@example.com", "next", next), auth.ParseNext(next).AddTo("/login/code"))
		target := s.mailed(auth.MailLoginCode, "susan@example.com")
		if strings.Contains(target, "mine") || strings.Contains(target, "evil") || strings.Contains(target, "next") {
			t.Errorf("the mail has %s", target)
		}
		wantRedirect(t, other.get(target), "/login/code")
		wantRedirect(t, other.submit(other.get("/login/code"), "/login/code"), want)
		if !other.loggedIn() {
			t.Errorf("%q: not logged in", next)
		}
	}
	// A page that the form names itself comes first.
	c := s.client()
	s.advance(time.Hour)
	wantRedirect(t, c.post("/login/code", "email", "susan@example.com", "next", "/mine"), "/login/code?next=%2Fmine")
	wantRedirect(t, c.get(s.mailed(auth.MailLoginCode, "susan@example.com")), "/login/code")
	wantRedirect(t, c.submit(c.get("/login/code?next=%2Fother"), "/login/code"), "/other")
}

// TestMailLinkOfAnother: a user who is logged in sees to whom the link of another account
// belongs, and the login replaces theirs. A link of their own leads on.
func TestMailLinkOfAnother(t *testing.T) {
	t.Parallel()
	s := newMailSite(t, nil)
	s.create("mike", verified)
	c := s.user("susan", good)
	wantRedirect(t, s.client().press("/login/code", "email", "mike@example.com"), "/login/code")
	c.get(s.mailed(auth.MailLoginCode, "mike@example.com"))
	r := c.get("/login/code")
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "You are logged in as susan.") || !strings.Contains(main, "account mike") {
		t.Error(main)
	}
	wantRedirect(t, c.submit(r, "/login/code"), "/")
	if who := c.get("/mine").body; who != "mike" {
		t.Errorf("logged in as %s", who)
	}
	wantRedirect(t, s.client().press("/login/code", "email", "mike@example.com"), "/login/code")
	c.get(s.mailed(auth.MailLoginCode, "mike@example.com"))
	wantRedirect(t, c.get("/login/code"), "/")
	// It leads to where its user wanted to go when they asked for it, unless the URL names another page.
	for next, want := range map[string]string{"/mine": "/mine", "/login": "/", "https://evil.example/": "/"} {
		s.advance(time.Hour)
		c := s.user("mike", good)
		s.client().post("/login/code", "email", "mike@example.com", "next", next)
		c.get(s.mailed(auth.MailLoginCode, "mike@example.com"))
		wantRedirect(t, c.get("/login/code"), want)
		wantRedirect(t, c.get("/login/code?next=%2Fother"), "/other")
	}
}

// TestMailLoginClears: the pages say what is removed from an account whose address was never
// verified.
func TestMailLoginClears(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"code", "link"} {
		s := newMailSite(t, nil)
		s.create("anna")
		attacker := s.user("anna", good)
		s.kinds()
		c := s.client()
		wantRedirect(t, c.press("/login/code", "email", "anna@example.com"), "/login/code")
		if way == "code" {
			wantRedirect(t, c.submit(c.get("/login/code"), "/login/code", "code", s.code("anna@example.com")), "/")
		} else {
			c.get(s.mailed(auth.MailLoginCode, "anna@example.com"))
			r := c.get("/login/code")
			if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "Nobody has verified the email address of this account yet.") {
				t.Error(main)
			}
			wantRedirect(t, c.submit(r, "/login/code"), "/")
		}
		if body := c.get("/").body; !strings.Contains(body, "warning: Nobody had verified the email address of this account before.") {
			t.Errorf("by the %s, the user is told %q", way, body)
		}
		if kinds := s.kinds(); kinds != "login-code anna@example.com, account-cleared anna@example.com" {
			t.Errorf("the mails are %s", kinds)
		}
		if attacker.loggedIn() || !c.loggedIn() {
			t.Error("the attacker is logged in, or the owner is not")
		}
	}
}

// TestMailLoginWithFactor: after the code comes the second factor, and then the page that
// the user wanted.
func TestMailLoginWithFactor(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, emailLogin)
	s.update("susan", verified)
	for _, way := range []string{"code", "link"} {
		c := s.client()
		wantRedirect(t, c.press("/login/code?next=%2Fmine", "email", "susan@example.com"), "/login/code?next=%2Fmine")
		if way == "code" {
			wantRedirect(t, c.submit(c.get("/login/code?next=%2Fmine"), "/login/code", "code", s.code("susan@example.com")), "/login/verify?next=%2Fmine")
		} else {
			c.get(s.mailed(auth.MailLoginCode, "susan@example.com"))
			wantRedirect(t, c.submit(c.get("/login/code?next=%2Fmine"), "/login/code"), "/login/verify?next=%2Fmine")
		}
		if c.loggedIn() {
			t.Error("logged in without the factor")
		}
		f.app.give("right")
		wantRedirect(t, c.submit(c.get("/login/verify?next=%2Fmine"), "/login/verify", "code", "right"), "/mine")
		if !c.loggedIn() {
			t.Error("not logged in")
		}
	}
}

// TestRefreshByMail: a user without a password confirms a login by a mailed code, at the
// user's own address only.
func TestRefreshByMail(t *testing.T) {
	t.Parallel()
	s := newMailSite(t, nil)
	s.update("susan", func(a *auth.Account) { a.PasswordHash = auth.Secret{} })
	s.create("mike", verified)
	c := s.client()
	wantRedirect(t, c.press("/login/code", "email", "mike@example.com"), "/login/code") // asked for another account before
	wantRedirect(t, c.submit(c.get("/login/code?new"), "/login/code", "email", "susan@example.com"), "/login/code")
	wantRedirect(t, c.submit(c.get("/login/code"), "/login/code", "code", s.code("susan@example.com")), "/")
	s.advance(30 * time.Minute)
	wantRedirect(t, c.get("/account/email"), "/refresh?next=%2Faccount%2Femail")
	wantRedirect(t, c.get("/refresh?next=%2Faccount%2Femail"), "/login/code?next=%2Faccount%2Femail")
	r := c.get("/login/code?next=%2Faccount%2Femail")
	accessible(t, r)
	if f := fields(t, r); f["email"].value != "susan@example.com" {
		t.Errorf("the fields are %+v", f)
	}
	s.kinds()
	wantRedirect(t, c.submit(r, "/login/code", "email", "mike@example.com"), "/login/code?next=%2Faccount%2Femail")
	if kinds := s.kinds(); kinds != "login-code susan@example.com" {
		t.Fatalf("the mails are %s", kinds)
	}
	wantRedirect(t, c.submit(c.get("/login/code?new&next=%2Faccount%2Femail"), "/login/code", "email", "susan@example.com"), "/login/code?next=%2Faccount%2Femail")
	r = c.get("/login/code?next=%2Faccount%2Femail")
	if _, ok := fields(t, r)["remember_me"]; ok {
		t.Error("a confirmation offers to remember the browser")
	}
	wantRedirect(t, c.submit(r, "/login/code", "code", s.code("susan@example.com")), "/account/email")
	wantStatus(t, c.get("/account/email"), 200)
	if n := len(s.logins()); n != 1 {
		t.Errorf("%d logins", n)
	}
	// A user with a password confirms by the password.
	other := s.user("mike", good)
	s.advance(30 * time.Minute)
	wantStatus(t, other.get("/refresh?next=%2Fmine"), 200)
}

// TestMailLoginAbsent: without EmailLogin there is no such page, and no link to it.
func TestMailLoginAbsent(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	wantStatus(t, s.client().get("/login/code"), http.StatusNotFound)
	if strings.Contains(s.client().get("/login").body, "/login/code") {
		t.Error("the login page links to it")
	}
	a := auth.Config{EmailLogin: true, URLs: auth.URLs{LoginCode: "/elsewhere"}}
	a.Mailer = s
	if _, err := pages.New(newManager(a).Core, pages.Config{}); err == nil || !strings.Contains(err.Error(), "URLs.LoginCode") {
		t.Errorf("with another URL: %v", err)
	}
}

// TestMailLoginHostileAddress: what was typed as an address is escaped, and never in a mail.
func TestMailLoginHostileAddress(t *testing.T) {
	t.Parallel()
	s := newMailSite(t, nil)
	for _, address := range []string{`"<script>"@example.com`, "a<b@example.com", "\x00@example.com", "x@example.com\r\nBcc: y@example.com", "{user}@example.com", "{{.}}@example.com"} {
		c := s.client()
		r := c.post("/login/code", "email", address)
		if r.status != http.StatusSeeOther && r.status != 422 {
			t.Errorf("%q: %d", address, r.status)
		}
		r = c.get("/login/code")
		wantStatus(t, r, 200)
		if strings.Contains(r.body, "<script>") || strings.Contains(r.body, "a<b") {
			t.Errorf("%q: %s", address, r.body)
		}
	}
	if len(s.mails) > 0 {
		t.Errorf("mails: %s", s.kinds())
	}
}
