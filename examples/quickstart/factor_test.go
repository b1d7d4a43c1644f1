package main

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/go-login/auth/examples/internal/phone"
)

const (
	wrongCode     = "That code was wrong or has been used."
	wrongRecovery = "That recovery code was wrong or has been used."
)

// setUp sets up an authenticator app, and returns it with the recovery codes.
func (c *client) setUp(mails *mailServer, username string) (app *phone.Phone, codes []string) {
	c.t.Helper()
	const page = "/account/two-factor?set-up=totp"
	setup := c.get(page)
	wantStatus(c.t, setup, http.StatusOK)
	wantText(c.t, setup, "<svg", "<title>Set up: Authenticator app")
	app, err := phone.New(html.UnescapeString(regexp.MustCompile(`otpauth://[^"]*`).FindString(setup.body)))
	check(c.t, err)
	r := c.press(page, "code", c.wrong(app))
	wantStatus(c.t, r, http.StatusUnprocessableEntity)
	wantText(c.t, r, wrongCode)
	wantRedirect(c.t, c.press(page, "code", c.code(app)), "/account/recovery-codes")
	mails.expect(username, "A second factor was added")

	made := c.press("/account/recovery-codes")
	wantStatus(c.t, made, http.StatusOK)
	_, list, _ := strings.Cut(made.body, `<pre dir="ltr">`)
	list, _, _ = strings.Cut(list, "</pre>")
	if codes = strings.Fields(list); len(codes) != 10 {
		c.t.Fatalf("the recovery codes are %q", codes)
	}
	mails.expect(username, "New recovery codes were made")
	for _, page := range []string{"/account/recovery-codes", "/account/two-factor", "/account"} {
		wantNoText(c.t, c.get(page), append(codes, app.Secret, "otpauth:")...)
	}
	return app, codes
}

// code returns a code that the program accepts, and wrong one that it does not.
func (c *client) code(app *phone.Phone) string {
	c.t.Helper()
	code, err := app.Code()
	check(c.t, err)
	return code
}

func (c *client) wrong(app *phone.Phone) string {
	c.t.Helper()
	code, err := app.Wrong()
	check(c.t, err)
	return code
}

// begin logs in by the password, which must not be enough.
func (c *client) begin(username, password string) {
	c.t.Helper()
	wantRedirect(c.t, c.login(username, password), "/login/verify")
	c.wantUser("")
}

// answer sends a code to the page for this factor.
func (c *client) answer(factor, code string) response {
	c.t.Helper()
	return c.press("/login/verify?with="+factor, "code", code)
}

// TestTwoFactor takes the steps of a user with an authenticator app.
func TestTwoFactor(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr, "-verify")
	s.join(mails, "susan")
	c, other := s.client(), s.client()
	wantRedirect(t, c.login("susan", good), "/")
	wantRedirect(t, other.login("susan", good), "/")
	wantText(t, c.get("/settings"), `<a href="/account/two-factor">`)
	wantRedirect(t, c.get("/account/recovery-codes"), "/account/two-factor") // first a factor
	app, codes := c.setUp(mails, "susan")
	c.wantUser("susan")
	other.wantUser("")
	wantRedirect(t, c.post("/logout"), "/")

	// The password alone gives no access. The wanted page is kept.
	r := c.post("/login", "login", "susan", "password", good, "next", "/profile")
	wantRedirect(t, r, "/login/verify?next=%2Fprofile")
	c.wantUser("")
	wantRedirect(t, c.get("/account/two-factor"), "/login?next=%2Faccount%2Ftwo-factor")
	page := c.get("/login/verify?next=%2Fprofile")
	wantStatus(t, page, http.StatusOK)
	wantText(t, page, "To go on as <bdi>susan</bdi>", "Code from your authenticator app", "Try another way")
	wantField(t, page, "next", "/profile")
	wantField(t, page, "code", "")
	r = c.press("/login/verify?next=%2Fprofile", "code", c.wrong(app))
	wantStatus(t, r, http.StatusUnprocessableEntity)
	wantText(t, r, wrongCode)
	wantField(t, r, "next", "/profile")
	wantField(t, r, "code", "")
	c.wantUser("")
	code := c.code(app)
	wantRedirect(t, c.press("/login/verify?next=%2Fprofile", "code", code[:3]+" "+code[3:]), "/profile")
	c.wantUser("susan")

	// An attacker has the password, and has seen the code.
	attacker := s.client()
	attacker.begin("susan", good)
	r = attacker.answer("totp", code)
	wantStatus(t, r, http.StatusUnprocessableEntity)
	wantText(t, r, wrongCode)
	attacker.wantUser("")
	wantRedirect(t, s.client().get("/login/verify"), "/login") // without the password, nothing waits for a code

	// A recovery code works once, in a browser that has no code of the app.
	lost := s.client()
	lost.begin("susan", good)
	wantRedirect(t, lost.answer("recovery-code", codes[4]), "/")
	lost.wantUser("susan")
	if m := mails.expect("susan", "A recovery code was used"); !strings.Contains(strings.Join(strings.Fields(m.text), " "), "Recovery codes left: 9.") {
		t.Errorf("the mail is %s", m.text)
	}
	attacker.begin("susan", good)
	r = attacker.answer("recovery-code", codes[4])
	wantStatus(t, r, http.StatusUnprocessableEntity)
	wantText(t, r, wrongRecovery)
	attacker.wantUser("")

	wantRedirect(t, lost.post("/account/two-factor", "remove", "totp"), "/account/two-factor")
	wantText(t, lost.get("/account/two-factor"), "The second factor has been removed.")
	mails.expect("susan", "A second factor was removed")
	lost.wantUser("susan")
	c.wantUser("")
	wantRedirect(t, c.login("susan", good), "/")
	c.wantUser("susan")
	s.stop()
	if len(mails.got) != 0 {
		t.Errorf("one more mail: %v", <-mails.got)
	}
}

// TestTwoFactorReset: an attacker who reads the user's mails can set a new
// password, and still needs a code.
func TestTwoFactorReset(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr, "-verify")
	s.join(mails, "susan")
	c := s.client()
	wantRedirect(t, c.login("susan", good), "/")
	app, _ := c.setUp(mails, "susan")
	attacker := s.client()
	attacker.openForm(s.forgot(mails, "susan"))
	wantRedirect(t, attacker.reset(fresh), "/login")
	mails.expect("susan", "Your password was changed")
	c.wantUser("")
	attacker.begin("susan", fresh)
	for range 4 {
		r := attacker.answer("totp", attacker.wrong(app))
		wantStatus(t, r, http.StatusUnprocessableEntity)
		wantText(t, r, wrongCode)
	}
	wantRedirect(t, attacker.answer("totp", attacker.wrong(app)), "/login") // after five codes, the password again
	wantText(t, attacker.get("/login"), "Please log in again.")
	wantRedirect(t, attacker.post("/login/verify?with=totp", "code", attacker.code(app)), "/login")
	attacker.wantUser("")
}

// TestTwoFactorRemembered: a browser that is remembered is not asked again. It
// has shown a code once.
func TestTwoFactorRemembered(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr, "-verify")
	s.join(mails, "susan")
	c := s.client()
	wantRedirect(t, c.login("susan", good), "/")
	app, codes := c.setUp(mails, "susan")
	remembered := s.client()
	wantRedirect(t, remembered.post("/login", "login", "susan", "password", good, "remember_me", "y"), "/login/verify")
	remembered.wantUser("")
	wantRedirect(t, remembered.answer("totp", c.code(app)), "/")
	remembered.closeBrowser()
	remembered.wantUser("susan")

	// What is dangerous asks for the password, and then for a code.
	wantRedirect(t, remembered.get("/account/close"), "/refresh?next=%2Faccount%2Fclose")
	wantRedirect(t, remembered.post("/refresh", "password", good, "next", "/account/close"), "/login/verify?next=%2Faccount%2Fclose")
	wantRedirect(t, remembered.get("/account/close"), "/refresh?next=%2Faccount%2Fclose")
	r := remembered.press("/login/verify?with=recovery-code&next=%2Faccount%2Fclose", "code", codes[0])
	wantRedirect(t, r, "/account/close")
	wantStatus(t, remembered.get("/account/close"), http.StatusOK)
}
