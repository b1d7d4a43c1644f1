package pages_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/pages"
)

func TestEmailForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.user("susan", good)
	account := text(only(t, parse(t, c.get("/account")), tag("main")))
	if !strings.Contains(account, "Email susan@example.com Not verified") {
		t.Errorf("the account page says %q", account)
	}
	if link(t, c.get("/account"), "Verify Email") != "/verify-email" || link(t, c.get("/account"), "Change Email") != "/account/email" {
		t.Error("no way to the pages")
	}
	r := c.get("/account/email")
	wantStatus(t, r, 200)
	accessible(t, r)
	wantHeaders(t, "/account/email", r)
	if heading(t, r) != "Change your email address" || button(t, r) != "Email a link to this address" || len(fields(t, r)) != 1 ||
		fields(t, r)["email"] != (field{"New email", "email", "email", "", ""}) {
		t.Error("not the form")
	}
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "Email susan@example.com Not verified Verify your email address") {
		t.Errorf("the page says %q", main)
	}
	wantErrors(t, c.post("/account/email", "email", ""), map[string]string{"email": "This field is required."})
	wantErrors(t, c.post("/account/email?email=new%40example.com", "email", " "), map[string]string{"email": "This field is required."})
	for _, address := range []string{"new", "new@localhost", "a@example.com,b@example.com", "a\x00@example.com", "\xff@example.com", "new@example.com\r\nBcc: eve@example.com"} {
		wantErrors(t, c.post("/account/email", "email", address), map[string]string{"email": "This is not an email address, such as name@example.com."})
	}
	wantErrors(t, c.post("/account/email", "email", " SUSAN@example.com "), map[string]string{"email": "This is your email address already."})
	if got := s.kinds(); got != "" {
		t.Errorf("the mails are %s", got)
	}
	s.update("susan", verified)
	for _, page := range []string{"/account", "/account/email"} {
		if main := text(only(t, parse(t, c.get(page)), tag("main"))); !strings.Contains(main, "susan@example.com Verified") || strings.Contains(main, "Verify ") {
			t.Errorf("%s says %q", page, main)
		}
	}
	// An account may have none.
	s.create("none", func(a *auth.Account) { a.Email = "" })
	c = s.user("none", good)
	for _, page := range []string{"/account", "/account/email", "/verify-email"} {
		r := c.get(page)
		accessible(t, r)
		if strings.Contains(r.body, "Not verified") {
			t.Errorf("%s says that nothing is not verified", page)
		}
	}
	wantRedirect(t, c.post("/account/email", "email", "none@example.com"), "/check-inbox")
	wantRedirect(t, c.get(s.mailed(auth.MailNewAddress, "none@example.com")), "/account/email")
	accessible(t, c.get("/account/email"))
	wantRedirect(t, c.press("/account/email"), "/account")
	if a := s.account("none"); a.Email != "none@example.com" || !a.EmailVerified {
		t.Errorf("the address is %q", a.Email)
	}
}

// TestEmail changes an address, and changes it back.
func TestEmail(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.update("susan", verified)
	c, elsewhere := s.user("susan", good), s.user("susan", good)
	wantRedirect(t, c.post("/account/email", "email", " new@example.com "), "/check-inbox")
	c.inbox("We have sent an email to new@example.com. Open the link in it to use this address.")
	mailed := s.mailed(auth.MailNewAddress, "new@example.com")
	_, token, _ := strings.Cut(mailed, "/account/email?token=")

	// Scanners open it, and other people.
	for range 2 {
		wantRedirect(t, s.client().do("HEAD", mailed, ""), "/account/email")
		stranger := s.client()
		wantRedirect(t, stranger.get(mailed), "/account/email")
		wantRedirect(t, stranger.get("/account/email"), "/login?next=%2Faccount%2Femail")
		wantRedirect(t, stranger.post("/account/email"), "/login")
	}
	c.wantMoved(c.get(mailed), "/account/email", "-email", token)
	r := c.get("/account/email")
	accessible(t, r)
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "Email susan@example.com New email new@example.com") {
		t.Errorf("the page says %q", main)
	}
	if heading(t, r) != "Confirm your new email address" || button(t, r) != "Use this address" || len(fields(t, r)) != 0 {
		t.Error("not the form")
	}
	// There is a way to another address.
	other := link(t, r, "Use another address")
	if page := c.get(other); button(t, page) != "Email a link to this address" {
		t.Errorf("%s is another page", other)
	}
	if s.account("susan").Email != "susan@example.com" || !elsewhere.loggedIn() {
		t.Fatal("changed by a GET")
	}

	wantRedirect(t, c.send(r, "address", "eve@example.com"), "/account")
	c.flashed("/account", "success: Your email address has been changed.")
	if a := s.account("susan"); a.Email != "new@example.com" || !a.EmailVerified || c.cookie("-email") != "" {
		t.Errorf("the address is %s", a.Email)
	}
	if !c.loggedIn() || elsewhere.loggedIn() {
		t.Error("this login should stay, and the other end")
	}
	wantRedirect(t, c.post("/account/email"), "/account/email") // once
	c.flashed("/account/email", "warning: "+invalidToken)
	wantRedirect(t, c.get(mailed), "/account/email")
	c.flashed("/account/email", "info: "+emailUsed)

	// The way back, by somebody who is not logged in.
	mailed = s.mailed(auth.MailAddressChanged, "susan@example.com")
	_, token, _ = strings.Cut(mailed, "/undo-email?token=")
	owner := s.client()
	wantRedirect(t, s.client().do("HEAD", mailed, ""), "/undo-email")
	owner.wantMoved(owner.get(mailed), "/undo-email", "-undo", token)
	r = owner.get("/undo-email")
	accessible(t, r)
	wantHeaders(t, "/undo-email", r)
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "Username susan Email susan@example.com") || strings.Contains(main, "new@example.com") {
		t.Errorf("the page says %q", main)
	}
	if heading(t, r) != "Change your email address back" || button(t, r) != "Change it back" {
		t.Error("not the form")
	}
	if !c.loggedIn() {
		t.Fatal("undone by a GET")
	}
	wantRedirect(t, owner.send(r), "/reset-password")
	owner.flashed("/reset-password", "success: Your email address has been changed back. Please choose a new password.")
	if a := s.account("susan"); a.Email != "susan@example.com" || !a.PasswordHash.IsZero() || owner.cookie("-undo") != "" {
		t.Errorf("the address is %s", a.Email)
	}
	if c.loggedIn() || owner.loggedIn() {
		t.Error("somebody is logged in")
	}
	wantStatus(t, s.client().post("/login", "login", "susan", "password", good), 422)
	wantRedirect(t, owner.press("/reset-password", "password", "a third battery", "confirm_password", "a third battery"), "/login")
	s.user("susan", "a third battery")
	_ = owner.get("/login")                                // takes the message away
	wantRedirect(t, owner.get(mailed), "/forgot-password") // once
	owner.flashed("/forgot-password", "info: "+undoUsed)
	if got := s.kinds(); got != "new-address new@example.com, address-changed susan@example.com, address-undone new@example.com, password-changed susan@example.com" {
		t.Errorf("the mails are %s", got)
	}
	if strings.Contains(s.log(), token) {
		t.Error("the token is in the log")
	}
}

// TestEmailLoggedOut: the user opens the link in a browser that is not logged in.
func TestEmailLoggedOut(t *testing.T) {
	t.Parallel()
	for _, inCookie := range []bool{false, true} {
		s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.URLs.NextInCookie = inCookie })
		wantRedirect(t, s.user("susan", good).post("/account/email", "email", "new@example.com"), "/check-inbox")
		mailed := s.mailed(auth.MailNewAddress, "new@example.com")
		c := s.client()
		wantRedirect(t, c.get(mailed), "/account/email")
		login := c.get("/account/email").location
		wantRedirect(t, c.send(c.get(login), "login", "susan", "password", good), "/account/email")
		wantRedirect(t, c.press("/account/email"), "/account")
		if a := s.account("susan"); a.Email != "new@example.com" {
			t.Errorf("the address is %s", a.Email)
		}
		if strings.Contains(s.kinds(), "changed") { // it had never been proved, and may be a stranger's
			t.Error("the old address is told")
		}
	}
}

// TestEmailAsAnother: another user cannot use the link. The message is the same as for
// any invalid token.
func TestEmailAsAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("mallory")
	wantRedirect(t, s.user("susan", good).post("/account/email", "email", "new@example.com"), "/check-inbox")
	mailed := s.mailed(auth.MailNewAddress, "new@example.com")
	for _, use := range []func(c *client) response{
		func(c *client) response { return c.get("/account/email") },
		func(c *client) response { return c.post("/account/email") },
	} {
		c := s.user("mallory", good)
		wantRedirect(t, c.get(mailed), "/account/email")
		wantRedirect(t, use(c), "/account/email")
		c.flashed("/account/email", "warning: "+invalidToken)
		if c.cookie("-email") != "" {
			t.Error("the cookie is still there")
		}
	}
	if s.account("susan").Email != "susan@example.com" || s.account("mallory").Email != "mallory@example.com" {
		t.Error("an address has changed")
	}
}

// TestEmailTwice: two changes are under way, in two tabs. A form is for the address that
// it shows.
func TestEmailTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.update("susan", verified)
	c := s.user("susan", good)
	ask := func(address string) string {
		wantRedirect(t, c.post("/account/email", "email", address), "/check-inbox")
		return s.mailed(auth.MailNewAddress, address)
	}
	first, second := ask("first@example.com"), ask("second@example.com")
	wantRedirect(t, c.get(first), "/account/email")
	form := c.get("/account/email")
	wantRedirect(t, c.get(second), "/account/email")
	wantRedirect(t, c.send(form), "/account/email")
	if s.account("susan").Email != "susan@example.com" {
		t.Error("changed to another address than the form shows")
	}
	wantRedirect(t, c.press("/account/email"), "/account")
	wantRedirect(t, c.get(first), "/account/email") // its account is another one now
	if s.account("susan").Email != "second@example.com" {
		t.Error("the second change has failed")
	}

	// After an hour it is over.
	third := ask("third@example.com")
	wantRedirect(t, c.get(third), "/account/email")
	form = c.get("/account/email")
	s.advance(50 * time.Minute)
	wantStatus(t, c.get("/account/email"), 200)
	s.advance(10 * time.Minute)
	wantRedirect(t, c.send(form), "/account/email")
	if s.account("susan").Email != "second@example.com" {
		t.Error("an old link is good")
	}
}

// TestEmailFresh: a user who is only remembered is asked for the password before the
// change, and not after it.
func TestEmailFresh(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.remembered()
	wantRedirect(t, c.get("/account/email"), "/refresh?next=%2Faccount%2Femail")
	wantRedirect(t, c.from("/account/email", "/account/email", "email", "new@example.com"), "/refresh?next=%2Faccount%2Femail")
	if got := s.kinds(); got != "" {
		t.Fatalf("the mails are %s", got)
	}
	wantRedirect(t, c.post("/refresh", "password", good, "next", "/account/email"), "/account/email")
	wantRedirect(t, c.press("/account/email", "email", "new@example.com"), "/check-inbox")
	s.advance(20*time.Minute + time.Second)
	wantRedirect(t, c.get("/account/email"), "/refresh?next=%2Faccount%2Femail")
	wantRedirect(t, c.get(s.mailed(auth.MailNewAddress, "new@example.com")), "/account/email")
	wantRedirect(t, c.get("/account/email?new"), "/refresh?next=%2Faccount%2Femail%3Fnew")
	wantRedirect(t, c.press("/account/email"), "/account")
}

// TestEmailAlike: a change of address does not tell who has an account, nor in what
// state the account is.
func TestEmailAlike(t *testing.T) {
	t.Parallel()
	mailbox := &authtest.Mailbox{}
	s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.Mailer = mailbox })
	s.create("proof", verified)
	s.create("unver")
	s.create("disab", disabled)
	probe := func(name string, mails int) authtest.Probe {
		address := name + "@example.com"
		return authtest.Probe{Hide: []string{address}, Mails: mails, Do: func(c *authtest.Client) {
			user, err := s.store.FindUser(t.Context(), "susan")
			check(t, err)
			c.Login(user)
			r := c.Post("/account/email", url.Values{"email": {address}})
			if r.Header.Get("Location") != "/check-inbox" {
				t.Errorf("%s: %s", name, r.Status)
			}
		}}
	}
	app := authtest.App{Core: s.manager.Core, Handler: s.handler, Mailbox: mailbox}
	for name, mails := range map[string]int{"proof": 1, "unver": 1, "disab": 0} {
		authtest.Indistinguishable(t, app, probe("no"+name[2:], 1), probe(name, mails))
		if mails == 0 {
			continue
		}
		if m := mailbox.Last(t, name+"@example.com"); m.Kind != auth.MailAddressTaken || m.Link.Reveal() != s.url+"/forgot-password" {
			t.Errorf("%s gets %s with %s", name, m.Kind, m.Link.Reveal())
		}
	}
}

// TestEmailTaken: another account gets the address between the mail and the click on the
// button.
func TestEmailTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.update("susan", verified)
	c := s.user("susan", good)
	wantRedirect(t, c.post("/account/email", "email", "new@example.com"), "/check-inbox")
	_ = c.get("/account")
	wantRedirect(t, c.get(s.mailed(auth.MailNewAddress, "new@example.com")), "/account/email")
	s.create("new")
	wantRedirect(t, c.press("/account/email"), "/account/email")
	c.flashed("/account/email", "warning: This email address is registered already. Use another one.")
	if a := s.account("susan"); a.Email != "susan@example.com" || !c.loggedIn() || c.cookie("-email") != "" {
		t.Errorf("the address is %s", a.Email)
	}
	if got := s.kinds(); got != "new-address new@example.com" {
		t.Errorf("the mails are %s", got)
	}
}

// TestEmailRecordsFail: every call of the record store fails in turn. The change and its
// undoing then succeed, or can be repeated.
func TestEmailRecordsFail(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ {
		store := &records{}
		s := newSite(t, hooked(store))
		s.update("susan", verified)
		c, n := s.user("susan", good), 0
		once := func(kind string) error {
			if n++; n == k {
				return errDisk
			}
			return nil
		}
		wantRedirect(t, c.post("/account/email", "email", "new@example.com"), "/check-inbox")
		wantRedirect(t, c.get(s.mailed(auth.MailNewAddress, "new@example.com")), "/account/email")
		again := func(press func() response, target string) {
			t.Helper()
			store.set(once)
			r := press()
			store.set(nil)
			if r.status == 503 {
				r = press()
			}
			wantRedirect(t, r, target)
		}
		form := c.get("/account/email")
		again(func() response { return c.send(form) }, "/account")
		if a := s.account("susan"); a.Email != "new@example.com" || !c.loggedIn() {
			t.Fatalf("call %d: the address is %s", k, a.Email)
		}
		owner := s.client()
		wantRedirect(t, owner.get(s.mailed(auth.MailAddressChanged, "susan@example.com")), "/undo-email")
		form = owner.get("/undo-email")
		again(func() response { return owner.send(form) }, "/reset-password")
		if a := s.account("susan"); a.Email != "susan@example.com" || c.loggedIn() {
			t.Fatalf("call %d: the address is %s", k, a.Email)
		}
		if n < k {
			if k < 10 {
				t.Errorf("the store was asked %d times", n)
			}
			return
		}
	}
}
