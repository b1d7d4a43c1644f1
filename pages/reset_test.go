package pages_test

import (
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

func TestForgot(t *testing.T) { // S96, S101, S105
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	r := c.get("/forgot-password")
	accessible(t, r)
	if fields(t, r)["email"] != (field{"Email", "email", "email", "", ""}) || button(t, r) != "Email me a link" || heading(t, r) != "Reset your password" {
		t.Error("not the form")
	}
	wantErrors(t, c.post("/forgot-password"), map[string]string{"email": "This field is required."})
	for _, address := range []string{"susan", "susan@localhost", "susan@example.com,eve@example.com", "susan@example.com\neve@example.com", "susan@example.com;eve@example.com", "a\x00@example.com", "\xff@example.com"} {
		wantErrors(t, c.post("/forgot-password", "email", address), map[string]string{"email": "This is not an email address, such as name@example.com."})
	}
	if len(s.mails) != 0 {
		t.Fatal("a mail was sent")
	}

	// Known and unknown are answered alike, to the length of the cookie.
	var answers []response
	for _, address := range []string{"susan@example.com", " SUSAN@Example.com ", "nobody@example.com"} {
		c := s.client()
		r := c.post("/forgot-password", "email", address)
		wantRedirect(t, r, "/check-inbox")
		r.header.Del("Date")
		if cookie := r.header.Get("Set-Cookie"); cookie != "" {
			name, rest, _ := strings.Cut(cookie, "=")
			value, rest, _ := strings.Cut(rest, ";")
			r.header.Set("Set-Cookie", fmt.Sprintf("%s %d %s", name, len(value), rest))
		}
		answers = append(answers, r)
		c.inbox("If there is an account with the address " + strings.TrimSpace(address) + ", we have sent a link to it that sets a new password.")
	}
	for _, r := range answers[1:] {
		if !reflect.DeepEqual(r, answers[0]) {
			t.Errorf("the answers differ:\n%v\n%v", r, answers[0])
		}
	}
	if len(s.mails) != 2 || s.mails[1].To != "susan@example.com" || s.mails[1].Kind != auth.MailReset {
		t.Errorf("the mails are %v", s.mails)
	}
	// The first of several addresses is the one.
	wantRedirect(t, c.post("/forgot-password", "email", "nobody@example.com", "email", "susan@example.com", "email[]", "susan@example.com"), "/check-inbox")
	if len(s.mails) != 2 {
		t.Error("a mail for another address")
	}
	// The link does not come from the request.
	c.do("POST", "/forgot-password", "email=susan%40example.com", "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example")
	if link := s.mails[2].Link.Reveal(); !strings.HasPrefix(link, s.url+"/reset-password?token=") {
		t.Errorf("the link is %s", link)
	}
}

func TestReset(t *testing.T) { // S97, S106, S108–S110
	t.Parallel()
	s := newSite(t, nil)
	elsewhere := s.user("susan", good)
	link := s.link("susan@example.com")
	_, token, _ := strings.Cut(link, "token=")
	c := s.client()

	// Whoever opens the link first changes nothing.
	for range 2 {
		wantRedirect(t, s.client().do("HEAD", link, ""), "/reset-password")
		wantRedirect(t, s.client().get(link), "/reset-password")
	}

	r := c.get(link)
	wantRedirect(t, r, "/reset-password")
	if r.header.Get("Referrer-Policy") != "no-referrer" || r.body != "" {
		t.Error("the token leaks")
	}
	cookie := c.sent[len(c.sent)-1]
	if !strings.HasSuffix(cookie.Name, "-reset") || cookie.Value != token || cookie.MaxAge != 30*60 ||
		!cookie.HttpOnly || cookie.Path != "/" || cookie.SameSite != http.SameSiteLaxMode || cookie.Domain != "" {
		t.Errorf("the cookie is %v", cookie)
	}
	r = c.get("/reset-password")
	wantStatus(t, r, 200)
	accessible(t, r)
	if strings.Contains(r.body, token) {
		t.Error("the token leaks")
	}
	want := map[string]field{
		"password":         {"New password", "password", "new-password", "", ""},
		"confirm_password": {"Confirm new password", "password", "new-password", "", ""},
	}
	if got := fields(t, r); !reflect.DeepEqual(got, want) || button(t, r) != "Set new password" || heading(t, r) != "Choose a new password" {
		t.Errorf("%v", got)
	}

	// A password that is refused leaves the token as it is.
	const required, mismatch = "This field is required.", "The passwords do not match."
	wantErrors(t, c.post("/reset-password"), map[string]string{"password": required, "confirm_password": required})
	wantErrors(t, c.post("/reset-password", "password", other, "confirm_password", "x"), map[string]string{"confirm_password": mismatch})
	wantErrors(t, c.post("/reset-password", "password", "1234567", "confirm_password", "1234567"), map[string]string{"password": "The password must have at least 8 characters."})
	wantErrors(t, c.post("/reset-password", "password", "susan123", "confirm_password", "susan123"), map[string]string{"password": "This password is a name that is easy to guess."})
	wantStatus(t, c.do("HEAD", "/reset-password", ""), 200)

	late := s.client()
	wantRedirect(t, late.get(link), "/reset-password")
	wantRedirect(t, c.post("/reset-password", "password", other, "confirm_password", other, "email", "eve@example.com", "user_id", "2"), "/login")
	if c.cookie("-reset") != "" {
		t.Error("the cookie is still there")
	}
	if category, text := message(t, c.get("/login")); category != "success" || text != "Your password has been reset." {
		t.Errorf("%s: %s", category, text)
	}
	if c.loggedIn() || elsewhere.loggedIn() {
		t.Error("somebody is logged in")
	}
	wantStatus(t, s.client().post("/login", "login", "susan", "password", good), 422)
	s.user("susan", other)

	// Once is enough.
	wantRedirect(t, late.get("/reset-password"), "/forgot-password")
	wantRedirect(t, s.client().get(link), "/forgot-password")
	wantRedirect(t, c.post("/reset-password", "password", good, "confirm_password", good), "/forgot-password")
	if strings.Contains(s.log(), token) {
		t.Error("the token is in the log")
	}
}

// TestForgotLoggedIn: a user who is logged in and has forgotten the password can reset
// it.
func TestForgotLoggedIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.user("susan", good)
	for _, page := range []string{"/refresh", "/account/password", "/account/close"} {
		if link(t, c.get(page), "Forgot your password?") != "/forgot-password" {
			t.Errorf("%s: no way to a new password", page)
		}
	}
	r := c.get("/forgot-password")
	wantStatus(t, r, 200)
	accessible(t, r)
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "You are logged in as susan.") ||
		fields(t, r)["email"].value != "susan@example.com" || link(t, r, "Account") != "/account" {
		t.Errorf("the page says %q", main)
	}
	wantErrors(t, c.post("/forgot-password", "email", "x"), map[string]string{"email": "This is not an email address, such as name@example.com."})
	wantRedirect(t, c.send(r, "email", "susan@example.com"), "/check-inbox")
	c.inbox("account with the address susan@example.com, we")
	wantRedirect(t, c.post("/forgot-password", "email", "nobody@example.com"), "/check-inbox") // is answered alike
	c.inbox("account with the address nobody@example.com, we")

	elsewhere := s.user("susan", good)
	wantRedirect(t, c.get(s.mailed(auth.MailReset, "susan@example.com")), "/reset-password")
	r = c.get("/reset-password")
	wantStatus(t, r, 200)
	accessible(t, r)
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "You are logged in as susan. The new password is for the account susan.") {
		t.Errorf("the page says %q", main)
	}
	wantErrors(t, c.send(r, "password", "x", "confirm_password", "x"), map[string]string{"password": "The password must have at least 8 characters."})
	wantRedirect(t, c.send(r, "password", other, "confirm_password", other), "/login")
	c.flashed("/login", "success: Your password has been reset.")
	if c.loggedIn() || elsewhere.loggedIn() {
		t.Error("a login has outlived the reset")
	}
	c = s.user("susan", other)

	// A link that is no good says so, and the way leads on.
	wantRedirect(t, c.get("/reset-password?token=x"), "/forgot-password")
	c.flashed("/forgot-password", "warning: This link does not work any more. Ask for a new one.")
	wantRedirect(t, c.post("/reset-password", "password", good, "confirm_password", good), "/forgot-password")

	s = newSite(t, func(a *auth.Config, _ *pages.Config) { a.Mailer = nil })
	c = s.user("susan", good)
	for _, page := range []string{"/refresh", "/account/password", "/account/close"} {
		if strings.Contains(c.get(page).body, "Forgot") {
			t.Errorf("%s: a way that leads nowhere", page)
		}
	}
}

// TestResetAsAnother: the link is for another account than the one that is logged in.
// The page says whose password it is, and the login goes on.
func TestResetAsAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("anna")
	c, theirs := s.user("susan", good), s.user("anna", good)
	wantRedirect(t, c.get(s.link("anna@example.com")), "/reset-password")
	r := c.get("/reset-password")
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "You are logged in as susan. The new password is for the account anna.") {
		t.Errorf("the page says %q", main)
	}
	again := c.send(r, "password", "x", "confirm_password", "x")
	wantStatus(t, again, 422)
	if !strings.Contains(again.body, "for the account <bdi>anna</bdi>.") {
		t.Error("the form that is shown again does not say whose password it is")
	}
	wantRedirect(t, c.send(again, "password", other, "confirm_password", other), "/account")
	if theirs.loggedIn() || c.get("/mine").body != "susan" {
		t.Error("anna's login should end, and susan's stay")
	}
	s.user("anna", other)
	s.user("susan", good)
	c = s.user("susan", good)
	wantRedirect(t, c.get(s.link("anna@example.com")), "/reset-password")
	wantRedirect(t, c.press("/reset-password", "password", good, "confirm_password", good), "/account")
	c.flashed("/account", "success: The password has been reset. You are still logged in to another account.")

	// A visitor is told whose password it is, too.
	visitor := s.client()
	wantRedirect(t, visitor.get(s.link("anna@example.com")), "/reset-password")
	main := text(only(t, parse(t, visitor.get("/reset-password")), tag("main")))
	if !strings.Contains(main, "The new password is for the account anna.") || strings.Contains(main, "You are logged in") {
		t.Errorf("the page says %q", main)
	}
}

// TestResetRace: of many resets at once, one succeeds, and its password works.
func TestResetRace(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	link := s.link("susan@example.com")
	clients := make([]*client, 50)
	for i := range clients {
		clients[i] = s.client()
		wantRedirect(t, clients[i].get(link), "/reset-password")
	}
	var posting sync.WaitGroup
	var won atomic.Int32
	winner := ""
	start := make(chan struct{})
	for i, c := range clients {
		posting.Go(func() {
			<-start
			password := fmt.Sprintf("%s %d", other, i)
			for {
				r := c.post("/reset-password", "password", password, "confirm_password", password)
				switch {
				case r.status == 503: // the others were first in the queue
					continue
				case r.location == "/login":
					won.Add(1)
					winner = password
				case r.location != "/forgot-password":
					t.Errorf("got %d to %q", r.status, r.location)
				}
				return
			}
		})
	}
	close(start)
	posting.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d won", won.Load())
	}
	s.user("susan", winner)
}

// TestResetDiverted: in the middle of susan's own reset, an attacker's page has her
// browser open the attacker's reset link. Her new password must not go to the attacker's
// account.
func TestResetDiverted(t *testing.T) {
	s := newSite(t, nil)
	_, err := s.store.CreateUser(t.Context(), auth.Account{Username: "mallory", Email: "mallory@example.com",
		PasswordHash: hashOfGood(), Stamp: auth.NewSecret("stamp 2"), Version: 1}, nil)
	check(t, err)
	his, hers := s.link("mallory@example.com"), s.link("susan@example.com")
	c := s.client()
	c.get(hers)
	form := c.get("/reset-password")
	if !strings.Contains(form.body, "susan") {
		t.Error("the form does not say whose password it is")
	}
	c.do("GET", his, "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate") // a popup
	proof := regexp.MustCompile(`name="proof" value="([^"]+)"`).FindStringSubmatch(form.body)
	if len(proof) != 2 {
		t.Fatal("the form does not say which token it is for")
	}
	r := c.post("/reset-password", "password", "a new fine battery", "confirm_password", "a new fine battery", "proof", proof[1])
	wantRedirect(t, r, "/forgot-password")
	if _, err := s.manager.Authenticate(t.Context(), "mallory", "a new fine battery"); err == nil {
		t.Error("susan's form has set mallory's password")
	}
	c.get(s.link("susan@example.com"))
	c.do("GET", "/reset-password?token=garbage", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")
	if r := c.get("/reset-password"); r.status != 200 {
		t.Error("a cross-site GET with a garbage token has ended susan's reset")
	}
}
