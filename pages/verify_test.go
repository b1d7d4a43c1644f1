package pages_test

import (
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

// TestVerify: a new account verifies its address (S128).
func TestVerify(t *testing.T) {
	t.Parallel()
	s := newSite(t, requireVerified)
	c := s.client()
	wantRedirect(t, c.register("anna", "next", "/mine"), "/check-inbox")
	c.inbox("We have sent an email to anna@example.com. It says how to finish your registration.")
	r := c.get(link(t, c.get("/check-inbox"), "Log in"))
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
	if heading(t, r) != "Verify your email address" || button(t, r) != "Verify my address" || len(fields(t, r)) != 0 {
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

// TestVerifyOnTheWay: a user who is logged in opens a page that needs a verified
// address, and verifies it.
func TestVerifyOnTheWay(t *testing.T) {
	t.Parallel()
	for _, inCookie := range []bool{false, true} {
		s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.URLs.NextInCookie = inCookie })
		page, home := "/verify-email?next=%2Fverified", "/"
		if inCookie {
			page, home = "/verify-email", "/verified"
		}
		c := s.user("susan", good)
		wantRedirect(t, c.get("/verified"), page)
		r := c.get(page)
		accessible(t, r)
		if category, text := message(t, r); category != "info" || text != "Please verify your email address to access this page." {
			t.Errorf("%s: %s", category, text)
		}
		if heading(t, r) != "Verify your email address" || button(t, r) != "Email me a link" || link(t, r, "Change your email address") != "/account/email" ||
			fields(t, r)["email"] != (field{"Email", "email", "email", "susan@example.com", ""}) {
			t.Error("not the form")
		}
		wantRedirect(t, c.send(r, "email", "susan@example.com"), "/check-inbox")
		c.inbox("with the address susan@example.com that is not verified yet, we have sent a link to it")
		mailed := s.mailed(auth.MailVerify, "susan@example.com")
		wantRedirect(t, c.get(mailed), "/verify-email")

		wantStatus(t, c.get("/verify-email?new"), 200)
		if button(t, c.get("/verify-email?new")) != "Email me a link" {
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
	wantRedirect(t, c.post("/verify-email", "email", "susan@example.com"), "/check-inbox")
	wantRedirect(t, c.get(s.mailed(auth.MailVerify, "susan@example.com")), "/verify-email")
	wantRedirect(t, c.press("/verify-email?next=%2Fverified"), "/verified")
	s = newSite(t, requireVerified)
	c = s.client()
	wantRedirect(t, c.register("anna"), "/check-inbox")
	wantRedirect(t, c.get(s.mailed(auth.MailVerify, "anna@example.com")), "/verify-email")
	wantRedirect(t, c.press("/verify-email?next=%2Fmine"), "/login?next=%2Fmine")
}

// TestVerifyElsewhere: everything that existed before the owner of the mailbox verified
// the address ends, except for the login that verifies it. Another user's login goes on.
func TestVerifyElsewhere(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("mallory", verified)
	early, c, mallory := s.user("susan", good), s.user("susan", good), s.user("mallory", good)
	wantRedirect(t, s.client().post("/verify-email", "email", "susan@example.com"), "/check-inbox")
	mailed := s.mailed(auth.MailVerify, "susan@example.com")
	wantRedirect(t, c.get(mailed), "/verify-email")
	wantRedirect(t, c.press("/verify-email"), "/")
	if early.loggedIn() || !c.loggedIn() {
		t.Error("the login from before should end, and the one that verifies stay")
	}

	// A link that is opened where somebody else is logged in says whose it is.
	s.create("anna")
	wantRedirect(t, s.client().post("/verify-email", "email", "anna@example.com"), "/check-inbox")
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

// TestVerifyExpired: the link works for a day. It does not work after the address or a
// credential has changed.
func TestVerifyExpired(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ask := func() string {
		wantRedirect(t, s.client().post("/verify-email", "email", "susan@example.com"), "/check-inbox")
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

// TestVerifyRace: of many verifications at once, one succeeds.
func TestVerifyRace(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.Limits.Guesses = -1 })
	wantRedirect(t, s.client().post("/verify-email", "email", "susan@example.com"), "/check-inbox")
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

// TestResend: the answer does not tell who has an account, nor in what state the account
// is.
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
	if heading(t, r) != "Verify your email address" || button(t, r) != "Email me a link" || link(t, r, "Log in") != "/login" ||
		fields(t, r)["email"] != (field{"Email", "email", "email", "", ""}) {
		t.Error("not the form")
	}
	wantErrors(t, c.post("/verify-email", "email", " "), map[string]string{"email": "This field is required."})
	for _, address := range []string{"susan", "susan@localhost", "susan@example.com,eve@example.com", "susan@example.com\neve@example.com", "a\x00@example.com", "\xff@example.com"} {
		wantErrors(t, c.post("/verify-email", "email", address), map[string]string{"email": "This is not an email address, such as name@example.com."})
	}
	wantErrors(t, c.post("/verify-email?email=susan%40example.com", "email", ""), map[string]string{"email": "This field is required."})

	probe := func(name string, mails int) authtest.Probe {
		address := name + "@example.com"
		return authtest.Probe{Hide: []string{address}, Mails: mails, Do: func(c *authtest.Client) {
			r := c.Post("/verify-email", url.Values{"email": {address}})
			if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/check-inbox" {
				t.Errorf("%s: %s", name, r.Status)
			}
			if r := c.Follow(r); !strings.Contains(r.Text, "Check your inbox") {
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
		wantRedirect(t, c.post("/verify-email", "email", "susan@example.com"), "/check-inbox")
	}
	if n := len(mailbox.Mails()); n != 5 {
		t.Errorf("%d mails", n)
	}
}
