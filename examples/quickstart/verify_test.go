package main

import (
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// press opens a page and sends the first form of its main part: its hidden
// fields, and these fields.
func (c *client) press(target string, fields ...string) response {
	c.t.Helper()
	page := c.get(target)
	wantStatus(c.t, page, http.StatusOK)
	_, main, _ := strings.Cut(page.body, "<main>")
	doc, err := html.Parse(strings.NewReader(main))
	check(c.t, err)
	forms := 0
	for n := range doc.Descendants() {
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
		}
		if n.Data == "form" && attr["method"] == "post" {
			forms++
		}
		switch {
		case forms > 1:
		case n.Data == "form" && attr["method"] == "post":
			target = attr["action"]
		case n.Data == "input" && attr["type"] == "hidden":
			fields = append(fields, attr["name"], attr["value"])
		}
	}
	return c.post(target, fields...)
}

// openPage opens a mailed link, which must lead to this page of the site. The
// token must not be in its URL.
func (c *client) openPage(link, page string) {
	c.t.Helper()
	start, token, _ := strings.Cut(link, "?token=")
	if start != c.url+page || len(token) < 16 {
		c.t.Fatalf("the link is %q", link)
	}
	wantRedirect(c.t, c.open(link), page)
	shown := c.get(page)
	wantStatus(c.t, shown, http.StatusOK)
	wantNoText(c.t, shown, token)
}

// join registers a user and verifies the address.
func (s *site) join(mails *mailServer, username string) {
	s.t.Helper()
	c := s.client()
	wantRedirect(s.t, c.signUp(username, username+"@example.com"), "/check-inbox")
	c.openPage(mails.expect(username, "Verify your email address").link, "/verify-email")
	wantRedirect(s.t, c.press("/verify-email"), "/login")
}

func (c *client) signUp(username, address string) response {
	c.t.Helper()
	return c.post("/register", "username", username, "email", address, "password", good, "confirm_password", good)
}

// TestVerify registers with -verify.
func TestVerify(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr, "-verify")
	c := s.client()
	wantRedirect(t, c.signUp("susan", "susan@example.com"), "/check-inbox")
	wantText(t, c.get("/check-inbox"), "We have sent an email to", "susan@example.com", "look in your spam folder")
	link := mails.expect("susan", "Verify your email address").link

	// Until the address is verified, the right password is refused like a wrong
	// one.
	refused := s.client().login("susan", good)
	wantStatus(t, refused, http.StatusUnprocessableEntity)
	wantText(t, refused, "We could not log you in.")
	alike(t, refused, s.client().login("susan", "a wrong password"))

	s.client().openPage(link, "/verify-email") // as a mail scanner does
	wantStatus(t, s.client().login("susan", good), http.StatusUnprocessableEntity)
	late := s.client()
	late.openPage(link, "/verify-email")
	c.openPage(link, "/verify-email")
	wantText(t, c.get("/verify-email"), "susan@example.com", "somebody else has made it")
	wantRedirect(t, c.press("/verify-email"), "/login")
	wantText(t, c.get("/login"), "Your email address has been verified.")
	c.wantUser("")
	wantRedirect(t, c.login("susan", good), "/")
	c.wantUser("susan")

	wantRedirect(t, late.post("/verify-email"), "/verify-email") // the link works once
	wantText(t, late.get("/verify-email"), "This link has already been used")
	wantRedirect(t, late.open(link), "/verify-email")
}

// TestVerifyAlike: neither the registration form nor the form for another mail
// tells who has an account.
func TestVerifyAlike(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr, "-verify")
	s.join(mails, "susan")
	free, taken := s.client(), s.client()
	one, other := free.signUp("jacob", "jacob@example.com"), taken.signUp("mabel", "susan@example.com")
	wantRedirect(t, one, "/check-inbox")
	alike(t, one, other)
	one, other = inbox(free, "jacob@example.com"), inbox(taken, "susan@example.com")
	wantText(t, one, "We have sent an email to")
	alike(t, one, other)
	mails.expect("jacob", "Verify your email address")
	if m := mails.expect("susan", "You have an account already"); m.link != s.url+"/forgot-password" {
		t.Errorf("the link is %s", m.link)
	}
	wantStatus(t, taken.login("mabel", good), http.StatusUnprocessableEntity)
	wantRedirect(t, s.client().login("susan", good), "/")

	ask := func(name string) (answer, page response) {
		c := s.client()
		answer = c.post("/verify-email", "email", name+"@example.com")
		return answer, inbox(c, name+"@example.com")
	}
	answer, page := ask("jacob")
	wantRedirect(t, answer, "/check-inbox")
	wantText(t, page, "we have sent a link to it that verifies the address.")
	for _, name := range []string{"susan", "nobody"} {
		one, other := ask(name)
		alike(t, one, answer)
		alike(t, other, page)
	}
	c := s.client()
	c.openPage(mails.expect("jacob", "Verify your email address").link, "/verify-email")
	wantRedirect(t, c.press("/verify-email"), "/login")
	wantRedirect(t, c.login("jacob", good), "/")
	s.stop()
	if len(mails.got) != 0 {
		t.Errorf("one more mail: %v", <-mails.got)
	}
}

// TestChangeAddress changes the address, and changes it back.
func TestChangeAddress(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr, "-verify")
	s.join(mails, "susan")
	s.join(mails, "jacob")
	c, other := s.client(), s.client()
	wantRedirect(t, c.login("susan", good), "/")
	wantRedirect(t, other.login("susan", good), "/")
	wantText(t, c.get("/settings"), `<a href="/account/email">`, `<a href="/account/close">`)
	page := c.post("/account/email", "email", "not an address")
	wantStatus(t, page, http.StatusUnprocessableEntity)
	wantText(t, page, "This is not an email address, such as name@example.com.")
	wantField(t, page, "email", "not an address")

	// For an address that another account has, the answer is the same.
	taken := c.press("/account/email", "email", "jacob@example.com")
	takenPage := inbox(c, "jacob@example.com")
	mails.expect("jacob", "You have an account already")
	free := c.press("/account/email", "email", "new@example.com")
	wantRedirect(t, free, "/check-inbox")
	alike(t, free, taken)
	freePage := inbox(c, "new@example.com")
	wantText(t, freePage, "Open the link in it to use this address.")
	alike(t, freePage, takenPage)

	c.openPage(mails.expect("new", "Confirm your new email address").link, "/account/email")
	wantText(t, c.get("/account/email"), "susan@example.com", "new@example.com")
	wantText(t, c.get("/profile"), "susan@example.com")
	wantRedirect(t, c.press("/account/email"), "/account")
	wantText(t, c.get("/account"), "Your email address has been changed.", "new@example.com")
	c.wantUser("susan")
	other.wantUser("")
	wantRedirect(t, other.login("new@example.com", good), "/")

	owner := s.client()
	owner.openPage(mails.expect("susan", "Your email address was changed").link, "/undo-email")
	wantText(t, owner.get("/undo-email"), "susan@example.com")
	c.wantUser("susan") // nothing has happened yet
	wantRedirect(t, owner.press("/undo-email"), "/reset-password")
	wantText(t, owner.get("/reset-password"), "Your email address has been changed back.")
	mails.expect("new", "Your email address was changed back")
	c.wantUser("")
	other.wantUser("")
	wantStatus(t, c.login("susan", good), http.StatusUnprocessableEntity)
	wantRedirect(t, owner.press("/reset-password", "password", fresh, "confirm_password", fresh), "/login")
	mails.expect("susan", "Your password was changed")
	wantRedirect(t, owner.login("susan@example.com", fresh), "/")
	owner.wantUser("susan")
}

func TestCloseAccount(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr)
	c, other := s.client(), s.client()
	c.register("susan")
	wantRedirect(t, c.login("susan", good), "/")
	wantRedirect(t, other.post("/login", "login", "susan", "password", good, "remember_me", "y"), "/")
	page := c.post("/account/close", "current_password", "a wrong password")
	wantStatus(t, page, http.StatusUnprocessableEntity)
	wantText(t, page, "This is not your current password.", "Tick this box to go on.")
	c.wantUser("susan")
	wantRedirect(t, c.press("/account/close", "current_password", good, "confirm", "y"), "/")
	wantText(t, c.get("/"), "Your account has been closed.")
	mails.expect("susan", "Your account was closed")
	c.wantUser("")
	other.wantUser("")
	other.closeBrowser()
	other.wantUser("")
	wantStatus(t, c.login("susan", good), http.StatusUnprocessableEntity)
	c.register("susan") // another user
	wantRedirect(t, c.login("susan", good), "/")
	c.wantUser("susan")
}

// TestPrintedVerify uses the links that are printed on the console.
func TestPrintedVerify(t *testing.T) {
	t.Parallel()
	s := start(t, "-verify")
	c := s.client()
	wantRedirect(t, c.signUp("susan", "susan@example.com"), "/check-inbox")
	c.openPage(printedLink(t, s.lines), "/verify-email")
	wantRedirect(t, c.press("/verify-email"), "/login")
	wantRedirect(t, c.login("susan", good), "/")
	wantRedirect(t, c.press("/account/email", "email", "new@example.com"), "/check-inbox")
	c.openPage(printedLink(t, s.lines), "/account/email")
	wantRedirect(t, c.press("/account/email"), "/account")
	c.openPage(printedLink(t, s.lines), "/undo-email")
	wantRedirect(t, c.press("/undo-email"), "/reset-password")
	wantPrinted(t, s.lines, "new", "Your email address was changed back")
}
