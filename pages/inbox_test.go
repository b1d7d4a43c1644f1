package pages_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/pages"
)

// TestInbox: the page says where the mail went and what to do if none comes, and sends it
// again. The address is in no URL.
func TestInbox(t *testing.T) {
	t.Parallel()
	s := newSite(t, requireVerified)
	s.update("susan", verified)
	user := s.user("susan", good)
	for what, form := range map[string]struct {
		c       *client
		path    string
		fields  []string
		kind    auth.MailKind
		address string
		says    string
		other   string
	}{
		"reset":    {s.client(), "/forgot-password", []string{"email", " SUSAN@example.com "}, auth.MailReset, "susan@example.com", "SUSAN@example.com", "/forgot-password"},
		"register": {s.client(), "/register", append(registration("anna", good), "next", "/mine"), auth.MailVerify, "anna@example.com", "anna@example.com", "/register?next=%2Fmine"},
		"email":    {user, "/account/email", []string{"email", "new@example.com"}, auth.MailNewAddress, "new@example.com", "new@example.com", "/account/email?new"},
	} {
		r := form.c.post(form.path, form.fields...)
		wantRedirect(t, r, "/check-inbox")
		for _, cookie := range r.header["Set-Cookie"] {
			if strings.Contains(cookie, "example") {
				t.Errorf("%s: the cookie shows the address: %s", what, cookie)
			}
		}
		wantStatus(t, form.c.get("/check-inbox"), 200)
		r = form.c.get("/check-inbox")
		accessible(t, r)
		wantHeaders(t, what, r)
		if !strings.Contains(r.body, "<bdi>"+form.says+"</bdi>") || !strings.Contains(r.body, "look in your spam folder") || heading(t, r) != "Check your inbox" ||
			link(t, r, "Use another address") != form.other {
			t.Errorf("%s: %s", what, r.body)
		}
		first := s.mailed(form.kind, form.address)
		if what == "register" {
			s.advance(time.Second) // the second token differs
		}
		r = form.c.send(r)
		wantRedirect(t, r, "/check-inbox")
		if category, text := message(t, form.c.get("/check-inbox")); category != "info" || text != "If an email is due to this address, we have sent it again." {
			t.Errorf("%s: %s: %s", what, category, text)
		}
		if again := s.mailed(form.kind, form.address); again == first {
			t.Errorf("%s was not sent again", what)
		}
	}

	// A browser that has asked for nothing, a cookie of another kind, and one that is too old.
	c := s.client()
	wantRedirect(t, c.get("/check-inbox"), "/login")
	wantRedirect(t, c.post("/check-inbox"), "/login")
	c.set("inbox", "x")
	wantRedirect(t, c.get("/check-inbox"), "/login")
	wantRedirect(t, c.post("/forgot-password", "email", "susan@example.com"), "/check-inbox")
	s.advance(31 * time.Minute)
	wantRedirect(t, c.get("/check-inbox"), "/login")
}

// TestInboxOfAnotherUser: the change of an address is sent again only for the user who asked
// for it, in a fresh login.
func TestInboxOfAnotherUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.FreshFor = time.Minute })
	s.create("anna")
	c := s.user("susan", good)
	wantRedirect(t, c.post("/account/email", "email", "new@example.com"), "/check-inbox")
	s.advance(2 * time.Minute)
	if r := c.post("/check-inbox"); !strings.HasPrefix(r.location, "/refresh") {
		t.Errorf("a login that is not fresh gets %d %s", r.status, r.location)
	}
	wantRedirect(t, c.post("/logout"), "/")
	wantRedirect(t, c.get("/check-inbox"), "/login")
	wantRedirect(t, c.post("/login", "login", "anna", "password", good), "/")
	mails := len(s.mails)
	wantRedirect(t, c.get("/check-inbox"), "/account")
	wantRedirect(t, c.post("/check-inbox"), "/account")
	if len(s.mails) != mails {
		t.Error("another user has it sent again")
	}
	// What a user has had sent is not shown in the browser after a logout.
	wantRedirect(t, c.post("/verify-email", "email", "anna@example.com"), "/check-inbox")
	wantStatus(t, c.get("/check-inbox"), 200)
	wantRedirect(t, c.post("/logout"), "/")
	wantRedirect(t, c.get("/check-inbox"), "/login")
}

// TestInboxLimits: sending again counts like the form itself.
func TestInboxLimits(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.Limits.Mails = 2 })
	c := s.client()
	wantRedirect(t, c.post("/forgot-password", "email", "susan@example.com"), "/check-inbox")
	wantRedirect(t, c.press("/check-inbox"), "/check-inbox")
	r := c.do("POST", "/check-inbox", "", "Accept", htmlOnly)
	wantStatus(t, r, 429)
	accessible(t, r)
	if !strings.Contains(r.body, "Please try again in one hour.") || !strings.Contains(r.body, "susan@example.com") {
		t.Error(r.body)
	}
	s.store.fail(errDisk)
	wantStatus(t, s.client().post("/forgot-password", "email", "susan@example.com"), 429)
	s.advance(time.Hour)
	wantStatus(t, s.client().post("/forgot-password", "email", "susan@example.com"), 503)
}

// TestInboxAlike: neither the page nor sending again tells who has an account.
func TestInboxAlike(t *testing.T) {
	t.Parallel()
	crowd := newCrowd(t, true)
	for _, page := range []string{"/forgot-password", "/verify-email", "/register"} {
		n := 0
		probe := func(state string) authtest.Probe {
			name := crowd.name(state)
			n++
			username := fmt.Sprintf("other%s%03d", page[1:4], n)
			mails := map[string]int{
				"/forgot-password known": 2, "/forgot-password unverified": 2, "/verify-email unverified": 2,
				"/register unknown": 2, "/register known": 1, "/register unverified": 2,
			}[page+" "+state]
			return authtest.Probe{Hide: []string{name, username}, Mails: mails, Do: func(b *authtest.Client) {
				form := url.Values{"email": {name + "@example.com"}}
				if page == "/register" {
					form.Set("username", username)
					form.Set("password", good)
					form.Set("confirm_password", good)
				}
				b.Post(page, form)
				b.Get("/check-inbox")
				b.Post("/check-inbox", url.Values{})
				b.Get("/check-inbox")
			}}
		}
		for _, state := range []string{"known", "unverified", "disabled"} {
			authtest.Indistinguishable(t, crowd.app, probe("unknown"), probe(state))
		}
	}
}

// TestInboxJSON: a program gets the message at once, and can send the mail again.
func TestInboxJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	r := c.json("POST", "/forgot-password", "email", "susan@example.com")
	wantStatus(t, r, 200)
	if !strings.Contains(r.body, `"next":"/check-inbox"`) || !strings.Contains(r.body, "with the address susan@example.com, we have sent") {
		t.Error(r.body)
	}
	if r := c.json("GET", "/check-inbox"); r.status != 200 || !strings.Contains(r.body, `"address":"susan@example.com"`) || !strings.Contains(r.body, `"page":"inbox"`) {
		t.Error(r.body)
	}
	wantStatus(t, c.json("POST", "/check-inbox"), 200)
	if s.kinds() != "reset susan@example.com, reset susan@example.com" && strings.Count(s.kinds(), "susan@example.com") != 2 {
		t.Errorf("the mails are %s", s.kinds())
	}
}
