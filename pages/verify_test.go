package pages_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/pages"
)

func requireVerified(a *auth.Config, _ *pages.Config) { a.RequireVerified = true }

const (
	invalidToken = "Invalid or expired token"
	resetUsed    = "This link has already been used. You can log in with your new password."
	verifyUsed   = "This link has already been used: your email address has been verified. You can log in."
	emailUsed    = "This link has already been used: your email address has been changed."
	undoUsed     = "This link has already been used: your email address has been changed back. Ask for a link that sets a new password."
)

// register posts a registration of name.
func (c *client) register(name string, more ...string) response {
	c.t.Helper()
	return c.post("/register", append([]string{"username", name, "email", name + "@example.com", "password", good, "confirm_password", good}, more...)...)
}

// set gives the client a cookie.
func (c *client) set(name, value string) {
	c.t.Helper()
	base, err := url.Parse(c.base)
	check(c.t, err)
	c.http.Jar.SetCookies(base, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// flashed fails unless the client sees this message next, at target, and no
// other.
func (c *client) flashed(target, want string) {
	c.t.Helper()
	if category, text := message(c.t, c.get(target)); category+": "+text != want {
		c.t.Errorf("the message is %s: %s", category, text)
	}
}

// linkCookie returns a cookie of the last answers that has this name at its end.
func (c *client) linkCookie(suffix string) *http.Cookie {
	c.t.Helper()
	for i := len(c.sent) - 1; i >= 0; i-- {
		if strings.HasSuffix(c.sent[i].Name, suffix) {
			return c.sent[i]
		}
	}
	c.t.Fatalf("no cookie %s", suffix)
	return nil
}

// wantMoved fails unless the link's token has moved to this cookie, and is
// nowhere else.
func (c *client) wantMoved(r response, page, suffix, token string) {
	c.t.Helper()
	wantRedirect(c.t, r, page)
	wantHeaders(c.t, "token=", r)
	if r.body != "" {
		c.t.Error("the redirect has a body")
	}
	cookie := c.linkCookie(suffix)
	if cookie.Value != token || cookie.MaxAge != 60*60 || !cookie.HttpOnly || cookie.Path != "/" ||
		cookie.SameSite != http.SameSiteLaxMode || cookie.Domain != "" {
		c.t.Errorf("the cookie is %v", cookie)
	}
	shown := c.get(page)
	wantStatus(c.t, shown, 200)
	if strings.Contains(shown.body, token) {
		c.t.Error("the token is in the page")
	}
}

// TestVerify is the way of a new account (S128).
func TestVerify(t *testing.T) {
	t.Parallel()
	s := newSite(t, requireVerified)
	c := s.client()
	wantRedirect(t, c.register("anna", "next", "/mine"), "/login?next=%2Fmine")
	r := c.get("/login?next=%2Fmine")
	if category, text := message(t, r); category != "info" || text != "Check your email to finish your registration." {
		t.Errorf("%s: %s", category, text)
	}
	if link(t, r, "Send the verification email again") != "/verify-email" {
		t.Error("no way to another link")
	}
	mailed := s.mailed(auth.MailVerify, "anna@example.com")
	_, token, _ := strings.Cut(mailed, "/verify-email?token=")

	// Nobody is let in before, and nobody learns that the password is right.
	const failed = "We could not log you in. Check both your username or email and your password. After several wrong tries, you may have to wait. " +
		"If your account is new, first open the link that we mailed to you. If that does not help, reset your password."
	wantErrors(t, c.post("/login", "login", "anna", "password", good), map[string]string{"login": failed, "password": failed})

	// Whoever opens the link first changes nothing.
	for range 2 {
		wantRedirect(t, s.client().do("HEAD", mailed, ""), "/verify-email")
		scanner := s.client()
		wantRedirect(t, scanner.get(mailed), "/verify-email")
		wantStatus(t, scanner.get("/verify-email"), 200)
		wantStatus(t, scanner.do("HEAD", "/verify-email", ""), 200)
	}
	if s.account("anna").EmailVerified {
		t.Fatal("verified by a GET")
	}

	c.wantMoved(c.get(mailed), "/verify-email", "-verify", token)
	r = c.get("/verify-email")
	accessible(t, r)
	wantHeaders(t, "/verify-email", r)
	main := text(only(t, parse(t, r), tag("main")))
	for _, want := range []string{"Username anna Email anna@example.com", "If it is not, do nothing: somebody else has made it, and knows its password."} {
		if !strings.Contains(main, want) {
			t.Errorf("the page does not say %q: %s", want, main)
		}
	}
	if heading(t, r) != "Verify Your Email" || button(t, r) != "Verify My Address" || len(fields(t, r)) != 0 {
		t.Error("not the form")
	}
	if link(t, r, "Send the verification email again") != "/verify-email?new" {
		t.Error("no way to another link")
	}
	late := s.client()
	wantRedirect(t, late.get(mailed), "/verify-email")
	lateForm := late.get("/verify-email")

	wantRedirect(t, c.send(r, "email_verified", "false", "user_id", "2"), "/login")
	c.flashed("/login", "success: Your email address has been verified.")
	if c.cookie("-verify") != "" || c.loggedIn() {
		t.Error("the cookie is still there, or verifying logs in")
	}
	s.user("anna", good)

	// Once is enough.
	wantRedirect(t, late.send(lateForm), "/verify-email")
	late.flashed("/verify-email", "info: "+verifyUsed)
	wantRedirect(t, s.client().get(mailed), "/verify-email")
	if got := s.kinds(); got != "verify anna@example.com" {
		t.Errorf("the mails are %s", got)
	}
	if strings.Contains(s.log(), token) {
		t.Error("the token is in the log")
	}
}

// TestVerifyOnTheWay is the way of somebody who is logged in, and wants a page for
// those whose address is verified.
func TestVerifyOnTheWay(t *testing.T) {
	t.Parallel()
	for _, inCookie := range []bool{false, true} {
		s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.NextInCookie = inCookie })
		page, home := "/verify-email?next=%2Fverified", "/"
		if inCookie {
			page, home = "/verify-email", "/verified"
		}
		c := s.user("susan", good)
		wantRedirect(t, c.get("/verified"), page)
		r := c.get(page)
		accessible(t, r)
		if category, text := message(t, r); category != "info" || text != "Please verify your e-mail address to access this page." {
			t.Errorf("%s: %s", category, text)
		}
		if heading(t, r) != "Verify Your Email" || button(t, r) != "Send the Link" || link(t, r, "Change Email") != "/account/email" ||
			fields(t, r)["email"] != (field{"Email", "email", "email", "susan@example.com", ""}) {
			t.Error("not the form")
		}
		wantRedirect(t, c.send(r, "email", "susan@example.com"), page)
		c.flashed(page, "info: Check your email for a link that verifies your address.")
		mailed := s.mailed(auth.MailVerify, "susan@example.com")
		wantRedirect(t, c.get(mailed), "/verify-email")

		wantStatus(t, c.get("/verify-email?new"), 200)
		if button(t, c.get("/verify-email?new")) != "Send the Link" {
			t.Error("no way to another link")
		}
		wantRedirect(t, c.press("/verify-email"), home)
		if text := c.get("/").body; text != "success: Your email address has been verified.\n" {
			t.Errorf("the message is %q", text)
		}
		if r := c.get("/verified"); r.body != "verified" {
			t.Errorf("%d %s", r.status, r.body)
		}
		// There is nothing left to do.
		wantRedirect(t, c.get("/verify-email"), "/")
		wantRedirect(t, c.get("/verify-email?next=%2Fverified"), "/verified")
		wantRedirect(t, c.get("/verify-email?next=%2F%2Fevil.example"), "/")
	}
	// With the token there before, next goes through the page of the link.
	s := newSite(t, nil)
	c := s.user("susan", good)
	wantRedirect(t, c.post("/verify-email", "email", "susan@example.com"), "/verify-email")
	wantRedirect(t, c.get(s.mailed(auth.MailVerify, "susan@example.com")), "/verify-email")
	wantRedirect(t, c.press("/verify-email?next=%2Fverified"), "/verified")
	s = newSite(t, requireVerified)
	c = s.client()
	wantRedirect(t, c.register("anna"), "/login")
	wantRedirect(t, c.get(s.mailed(auth.MailVerify, "anna@example.com")), "/verify-email")
	wantRedirect(t, c.press("/verify-email?next=%2Fmine"), "/login?next=%2Fmine")
}

// TestVerifyElsewhere: what was there before the owner of the mailbox verified it
// has ended, but for the login that verifies; and another user's goes on.
func TestVerifyElsewhere(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("mallory", verified)
	early, c, mallory := s.user("susan", good), s.user("susan", good), s.user("mallory", good)
	wantRedirect(t, s.client().post("/verify-email", "email", "susan@example.com"), "/verify-email")
	mailed := s.mailed(auth.MailVerify, "susan@example.com")
	wantRedirect(t, c.get(mailed), "/verify-email")
	wantRedirect(t, c.press("/verify-email"), "/")
	if early.loggedIn() || !c.loggedIn() {
		t.Error("the login from before should end, and the one that verifies stay")
	}

	// A link that is opened where somebody else is logged in says whose it is.
	s.create("anna")
	wantRedirect(t, s.client().post("/verify-email", "email", "anna@example.com"), "/verify-email")
	wantRedirect(t, mallory.get(s.mailed(auth.MailVerify, "anna@example.com")), "/verify-email")
	r := mallory.get("/verify-email")
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "anna@example.com") || strings.Contains(main, "mallory") {
		t.Errorf("the page is about %s", main)
	}
	wantRedirect(t, mallory.send(r), "/")
	if !s.account("anna").EmailVerified || mallory.get("/mine").body != "mallory" {
		t.Error("not verified, or another login than before")
	}
}

// TestVerifyExpired: the link is good for a day, and void when the address or a
// credential has changed.
func TestVerifyExpired(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ask := func() string {
		wantRedirect(t, s.client().post("/verify-email", "email", "susan@example.com"), "/verify-email")
		return s.mailed(auth.MailVerify, "susan@example.com")
	}
	mailed := ask()
	s.advance(24*time.Hour - time.Second)
	c := s.client()
	wantRedirect(t, c.get(mailed), "/verify-email")
	form := c.get("/verify-email")
	s.advance(time.Second)
	wantRedirect(t, c.send(form), "/verify-email")
	c.flashed("/verify-email", "warning: "+invalidToken)
	if c.cookie("-verify") != "" {
		t.Error("the cookie is still there")
	}
	mailed = ask()
	user := s.user("susan", good)
	wantRedirect(t, user.post("/account/password", "current_password", good, "password", other, "confirm_password", other), "/account")
	wantRedirect(t, s.client().get(mailed), "/verify-email")
	if s.account("susan").EmailVerified {
		t.Error("verified")
	}
}

// TestVerifyRace: of many at once, one wins.
func TestVerifyRace(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.Limits.Guesses = -1 })
	wantRedirect(t, s.client().post("/verify-email", "email", "susan@example.com"), "/verify-email")
	mailed := s.mailed(auth.MailVerify, "susan@example.com")
	var posting sync.WaitGroup
	var won atomic.Int32
	start := make(chan struct{})
	for range 20 {
		c := s.client()
		wantRedirect(t, c.get(mailed), "/verify-email")
		form := c.get("/verify-email")
		posting.Go(func() {
			<-start
			switch r := c.send(form); {
			case r.location == "/login":
				won.Add(1)
			case r.location != "/verify-email":
				t.Errorf("got %d to %q", r.status, r.location)
			}
		})
	}
	close(start)
	posting.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}

// TestResend: the answer does not tell who has an account, nor in what state.
func TestResend(t *testing.T) {
	t.Parallel()
	mailbox := &authtest.Mailbox{}
	s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.RequireVerified, a.Mailer = true, mailbox })
	s.create("shown", verified)
	s.create("disab", disabled)
	s.create("noneo", func(a *auth.Account) { a.PasswordHash = auth.Secret{} })
	c := s.client()
	r := c.get("/verify-email")
	accessible(t, r)
	if heading(t, r) != "Verify Your Email" || button(t, r) != "Send the Link" || link(t, r, "Log In") != "/login" ||
		fields(t, r)["email"] != (field{"Email", "email", "email", "", ""}) {
		t.Error("not the form")
	}
	wantErrors(t, c.post("/verify-email", "email", " "), map[string]string{"email": "This field is required."})
	for _, address := range []string{"susan", "susan@localhost", "susan@example.com,eve@example.com", "susan@example.com\neve@example.com", "a\x00@example.com", "\xff@example.com"} {
		wantErrors(t, c.post("/verify-email", "email", address), map[string]string{"email": "Invalid email address."})
	}
	wantErrors(t, c.post("/verify-email?email=susan%40example.com", "email", ""), map[string]string{"email": "This field is required."})

	probe := func(name string, mails int) authtest.Probe {
		address := name + "@example.com"
		return authtest.Probe{Hide: []string{address}, Mails: mails, Do: func(c *authtest.Client) {
			r := c.Post("/verify-email", url.Values{"email": {address}})
			if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/verify-email" {
				t.Errorf("%s: %s", name, r.Status)
			}
			if r := c.Follow(r); !strings.Contains(r.Text, "Check your email for a link that verifies your address.") {
				t.Errorf("%s: %s", name, r.Text)
			}
			c.Post("/verify-email", url.Values{"email": {address + " "}, "next": {"/mine"}})
		}}
	}
	app := authtest.App{Core: s.manager.Core, Handler: s.handler, Mailbox: mailbox}
	for name, mails := range map[string]int{"susan": 2, "shown": 0, "disab": 0, "noneo": 2} {
		authtest.Indistinguishable(t, app, probe("nobod", 0), probe(name, mails))
	}
	for _, m := range mailbox.Mails() {
		if m.Kind != auth.MailVerify || m.To != "susan@example.com" && m.To != "noneo@example.com" {
			t.Errorf("a mail %s to %s", m.Kind, m.To)
		}
	}
	// Nobody gets more than three in an hour, and nobody learns of it.
	for range 3 {
		wantRedirect(t, c.post("/verify-email", "email", "susan@example.com"), "/verify-email")
	}
	if n := len(mailbox.Mails()); n != 5 {
		t.Errorf("%d mails", n)
	}
}

// TestRegisterAlike: a registration does not tell who has an account, nor in what
// state.
func TestRegisterAlike(t *testing.T) {
	t.Parallel()
	mailbox := &authtest.Mailbox{}
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		a.RequireVerified, a.Mailer = true, mailbox
		c.Fields = []pages.Field{{Name: "name", Label: "Name", Autocomplete: "name"}}
	})
	s.create("shown", verified)
	s.create("disab", disabled)
	s.create("lockd", verified)
	s.create("noneo", func(a *auth.Account) { a.PasswordHash = auth.Secret{} })
	for range 5 {
		wantStatus(t, s.client().post("/login", "login", "lockd", "password", "wrong"), 422)
	}
	n := 0
	probe := func(name string, mails int) authtest.Probe {
		n++
		username, address := fmt.Sprintf("user%02d", n), name+"@example.com"
		form := url.Values{
			"username": {username}, "email": {address}, "name": {"Anna"}, "password": {good}, "confirm_password": {good}, "next": {"/mine"},
		}
		return authtest.Probe{Hide: []string{username, address}, Mails: mails, Do: func(c *authtest.Client) {
			r := c.Post("/register", form)
			if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/login?next=%2Fmine" {
				t.Errorf("%s: %s\n%s", name, r.Status, r.Text)
			}
			if r := c.Follow(r); !strings.Contains(r.Text, "Check your email to finish your registration.") {
				t.Errorf("%s: %s", name, r.Text)
			}
			// Once more it is a name that is taken, whatever became of the first; and nobody gets in.
			if r := c.Post("/register", form); !strings.Contains(r.Text, "Username already taken.") {
				t.Errorf("%s: %s", name, r.Text)
			}
			c.Post("/login", url.Values{"login": {username}, "password": {good}})
			// What is wrong with a form is found out alike.
			c.Post("/register", url.Values{"username": {username + "x"}, "email": {address}, "name": {"taken"}, "password": {good}, "confirm_password": {good}})
			c.Post("/register", url.Values{"username": {username + "y"}, "email": {address}, "password": {"short"}, "confirm_password": {"short"}})
		}}
	}
	app := authtest.App{Core: s.manager.Core, Handler: s.handler, Mailbox: mailbox}
	for _, test := range []struct {
		name  string
		mails int
	}{{"shown", 1}, {"susan", 1}, {"disab", 0}, {"lockd", 1}, {"noneo", 1}} {
		authtest.Indistinguishable(t, app, probe("free"+fmt.Sprint(n%10), 1), probe(test.name, test.mails))
	}
	for _, name := range []string{"shown", "susan", "lockd", "noneo"} {
		m := mailbox.Last(t, name+"@example.com")
		if m.Kind != auth.MailAddressTaken || m.Link.Reveal() != s.url+"/forgot-password" {
			t.Errorf("%s gets %s with %s", name, m.Kind, m.Link.Reveal())
		}
		if a := s.account(name); a.Username != name {
			t.Errorf("%s has become %s", name, a.Username)
		}
	}
	if _, err := s.store.FindUser(t.Context(), "user02"); err == nil {
		t.Error("an account for an address that is taken")
	}
	s.store.fail(errDisk)
	wantStatus(t, s.client().register("bert"), 503)
	wantStatus(t, s.client().register("susan"), 503)
	s.store.fail(nil)
	// The username tells, and it can not be helped.
	wantErrors(t, s.client().register("Susan"), map[string]string{"username": "Username already taken. Please choose a different one."})
}

// TestRegisterByAddressAlike is the same where there are no usernames.
func TestRegisterByAddressAlike(t *testing.T) {
	t.Parallel()
	mailbox := &authtest.Mailbox{}
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		a.RequireVerified, a.Mailer, a.Identifiers, c.Username = true, mailbox, auth.EmailOnly, pages.Absent
	})
	probe := func(address string) authtest.Probe {
		return authtest.Probe{Hide: []string{address}, Mails: 2, Do: func(c *authtest.Client) {
			for range 2 {
				r := c.Post("/register", url.Values{"email": {address}, "password": {good}, "confirm_password": {good}})
				if r.Header.Get("Location") != "/login" {
					t.Errorf("%s: %s", address, r.Status)
				}
			}
		}}
	}
	app := authtest.App{Core: s.manager.Core, Handler: s.handler, Mailbox: mailbox}
	authtest.Indistinguishable(t, app, probe("nobod@example.com"), probe("susan@example.com"))
}

// TestTellTaken: the form says that an address is taken, if that is wanted, or if
// the next login would say it.
func TestTellTaken(t *testing.T) {
	t.Parallel()
	const taken = "Email already registered. Please use a different one."
	for _, test := range []struct {
		verified, tell bool
		want, mails    string
	}{
		{false, false, "success: Your account has been created! You can now log in.", ""},
		{false, true, "success: Your account has been created! You can now log in.", ""},
		{true, true, "info: Check your email to finish your registration.", "verify anna@example.com"},
	} {
		s := newSite(t, func(a *auth.Config, c *pages.Config) { a.RequireVerified, c.TellTaken = test.verified, test.tell })
		c := s.client()
		wantErrors(t, c.post("/register", "username", "anna", "email", "SUSAN@example.com", "password", good, "confirm_password", good),
			map[string]string{"email": taken})
		wantRedirect(t, c.register("anna"), "/login")
		c.flashed("/login", test.want)
		if got := s.kinds(); got != test.mails {
			t.Errorf("the mails are %q", got)
		}
		if got := c.post("/login", "login", "anna", "password", good); got.status == 303 == test.verified {
			t.Errorf("the login is %d", got.status)
		}
		if strings.Contains(s.client().get("/login").body, "Send the verification email again") != test.verified {
			t.Error("the link to another link is where it is not needed, or the other way round")
		}
	}
}

// TestLoginUnverified: before the address is verified, the right password is
// answered as a wrong one is (S128).
func TestLoginUnverified(t *testing.T) {
	t.Parallel()
	s := newSite(t, requireVerified)
	s.create("shown", verified)
	probe := func(login, password string) authtest.Probe {
		return authtest.Probe{Hide: []string{login}, Do: func(c *authtest.Client) {
			if r := c.Post("/login", url.Values{"login": {login}, "password": {password}, "remember_me": {"y"}}); r.StatusCode != http.StatusUnprocessableEntity {
				t.Errorf("%s: %s", login, r.Status)
			}
		}}
	}
	app := authtest.App{Core: s.manager.Core, Handler: s.handler}
	wrong := strings.Repeat("x", len(good))
	authtest.Indistinguishable(t, app, probe("nobod", good), probe("susan", good))
	authtest.Indistinguishable(t, app, probe("nobod", wrong), probe("susan", wrong))
	authtest.Indistinguishable(t, app, probe("shown", wrong), probe("susan", good))
	s.user("shown", good)
}

// TestLinkTokens has what is no token, or a token of another purpose, for each of
// the pages that mailed links open. All are answered alike.
func TestLinkTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.Limits = auth.Limits{Guesses: -1, Mails: -1} })
	s.create("anna")
	s.update("susan", verified)
	susan := s.user("susan", good)
	tokens := map[string]string{} // by the page that they are for
	add := func(kind auth.MailKind, to string) {
		page, token, _ := strings.Cut(s.mailed(kind, to), "?token=")
		tokens[page] = token
	}
	wantRedirect(t, susan.post("/account/email", "email", "new@example.com"), "/account")
	wantRedirect(t, susan.get(s.mailed(auth.MailNewAddress, "new@example.com")), "/account/email")
	wantRedirect(t, susan.press("/account/email"), "/account")
	add(auth.MailAddressChanged, "susan@example.com")
	wantRedirect(t, susan.post("/account/email", "email", "newer@example.com"), "/account")
	add(auth.MailNewAddress, "newer@example.com")
	wantRedirect(t, susan.post("/verify-email", "email", "anna@example.com"), "/verify-email")
	add(auth.MailVerify, "anna@example.com")
	s.link("anna@example.com")
	add(auth.MailReset, "anna@example.com")
	_ = susan.get("/account") // takes the messages away

	for page, test := range map[string]struct {
		cookie, failed string
		client         *client
	}{
		"/undo-email":     {"undo", "/forgot-password", s.client()},
		"/reset-password": {"reset", "/forgot-password", s.client()},
		"/verify-email":   {"verify", "/verify-email", s.client()},
		"/account/email":  {"email", "/account/email", susan},
	} {
		c, right, name := test.client, tokens[page], s.manager.Core.Cookie(test.cookie).Name
		if len(right) < 16 {
			t.Fatalf("no link to %s in %v", page, tokens)
		}
		bad := []string{
			"", "null", "0", "undefined", " ", "garbage", right[1:], right + "A", strings.ToUpper(right), strings.Repeat("A", 3000), "a%00b",
			susan.linkCookie("-browser").Value, susan.linkCookie("").Value,
		}
		for other, token := range tokens {
			if other != page {
				bad = append(bad, token)
			}
		}
		for _, value := range bad {
			for way, answer := range []func() response{
				func() response { return c.get(page + "?token=" + url.QueryEscape(value)) },
				func() response { return c.get(page + "?token=" + url.QueryEscape(value) + "&token=" + right) },
				func() response {
					return c.get(page + "?token[]=" + right + "&token=%zz&token=" + url.QueryEscape(value))
				},
				func() response { c.set(name, value); return c.do("POST", page, "") },
				// Never from the query, nor from the form.
				func() response { return c.post(page+"?token="+right, "token", right, "proof", "x") },
			} {
				wantRedirect(t, answer(), test.failed)
				if kept := c.cookie("-" + test.cookie); kept != "" {
					t.Errorf("%s: %d: %q is kept", page, way, kept)
				}
				c.flashed(test.failed, "warning: "+invalidToken)
			}
		}
	}
	for name, unchanged := range map[string]string{"susan": "new@example.com", "anna": "anna@example.com"} {
		if a := s.account(name); a.Email != unchanged || a.PasswordHash != hashOfGood() || name == "anna" && a.EmailVerified {
			t.Errorf("%s has changed", name)
		}
	}
}

// TestLinkPlanted: a link that another page has the browser open, in the middle of
// one's own, is not what one's form is for; and one that is no good ends nothing.
func TestLinkPlanted(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("anna")
	s.create("mallory")
	ask := func(name string) string {
		wantRedirect(t, s.client().post("/verify-email", "email", name+"@example.com"), "/verify-email")
		return s.mailed(auth.MailVerify, name+"@example.com")
	}
	hers, his := ask("anna"), ask("mallory")
	plant := func(c *client, target string) {
		c.do("GET", target, "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate") // a popup
	}
	c := s.client()
	wantRedirect(t, c.get(hers), "/verify-email")
	form := c.get("/verify-email")
	plant(c, his)
	wantRedirect(t, c.send(form), "/verify-email")
	if category, text := message(t, c.get("/verify-email")); category != "warning" || text != invalidToken {
		t.Errorf("%s: %s", category, text)
	}
	if s.account("mallory").EmailVerified || s.account("anna").EmailVerified {
		t.Error("the form has verified an account that it did not name")
	}
	wantRedirect(t, c.get(hers), "/verify-email")
	form = c.get("/verify-email")
	plant(c, "/verify-email?token=garbage")
	plant(c, "/verify-email?token=")
	_ = c.get("/verify-email") // takes the message away
	wantRedirect(t, c.send(form), "/login")
	if !s.account("anna").EmailVerified {
		t.Error("a garbage token has ended somebody's own")
	}

	// The same for the way back: else the next password would be for his account.
	changed := func(name string) string {
		s.update(name, verified)
		user := s.user(name, good)
		wantRedirect(t, user.post("/account/email", "email", "x"+name+"@example.com"), "/account")
		wantRedirect(t, user.get(s.mailed(auth.MailNewAddress, "x"+name+"@example.com")), "/account/email")
		wantRedirect(t, user.press("/account/email"), "/account")
		return s.mailed(auth.MailAddressChanged, name+"@example.com")
	}
	hers, his = changed("anna"), changed("mallory")
	wantRedirect(t, c.get(hers), "/undo-email")
	form = c.get("/undo-email")
	plant(c, his)
	wantRedirect(t, c.send(form), "/forgot-password")
	if s.account("mallory").Email != "xmallory@example.com" || c.cookie("-reset") != "" {
		t.Error("the form has changed an account that it did not name")
	}
	wantRedirect(t, c.get(hers), "/undo-email")
	wantRedirect(t, c.press("/undo-email"), "/reset-password")
}

// TestLinksFail: what is our fault is a 5xx, nothing is done, and the link is as
// good as before.
func TestLinksFail(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.update("susan", verified)
	s.create("anna")
	user, c := s.user("susan", good), s.client()
	wantRedirect(t, user.post("/account/email", "email", "new@example.com"), "/account")
	moved := s.mailed(auth.MailNewAddress, "new@example.com")
	wantRedirect(t, c.post("/verify-email", "email", "anna@example.com"), "/verify-email")
	verify := s.mailed(auth.MailVerify, "anna@example.com")
	fail := func(requests ...func() response) {
		t.Helper()
		s.store.fail(errDisk)
		defer s.store.fail(nil)
		for i, request := range requests {
			if r := request(); r.status != http.StatusServiceUnavailable || strings.Contains(r.body, "fire") {
				t.Errorf("request %d: %d to %q\n%s", i, r.status, r.location, r.body)
			}
		}
	}
	get := func(c *client, target string) func() response { return func() response { return c.get(target) } }
	post := func(c *client, target string, fields ...string) func() response {
		return func() response { return c.post(target, fields...) }
	}
	wantRedirect(t, c.get(verify), "/verify-email")
	wantRedirect(t, user.get(moved), "/account/email")
	fail(get(c, verify), get(c, "/verify-email"), post(c, "/verify-email"), post(c, "/verify-email", "email", "anna@example.com"),
		get(user, "/verify-email?new"), get(user, moved), get(user, "/account/email"), get(user, "/account/email?new"),
		post(user, "/account/email"), post(user, "/account/email", "email", "newer@example.com"),
		get(user, "/account/close"), post(user, "/account/close", "confirm", "y", "current_password", good))
	wantRedirect(t, c.press("/verify-email"), "/login")
	wantRedirect(t, user.press("/account/email"), "/account")
	undo := s.mailed(auth.MailAddressChanged, "susan@example.com")
	wantRedirect(t, c.get(undo), "/undo-email")
	fail(get(c, undo), get(c, "/undo-email"), post(c, "/undo-email"))
	wantRedirect(t, c.press("/undo-email"), "/reset-password")
	if got := s.kinds(); got != "new-address new@example.com, verify anna@example.com, address-changed susan@example.com, address-undone new@example.com" {
		t.Errorf("the mails are %s", got)
	}
}
