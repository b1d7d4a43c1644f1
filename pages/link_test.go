package pages_test

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// TestLinkTokens: each page that a mailed link opens gets texts that are not tokens, and
// tokens for another purpose. The answers are all the same.
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
	wantRedirect(t, susan.post("/account/email", "email", "new@example.com"), "/check-inbox")
	wantRedirect(t, susan.get(s.mailed(auth.MailNewAddress, "new@example.com")), "/account/email")
	wantRedirect(t, susan.press("/account/email"), "/account")
	add(auth.MailAddressChanged, "susan@example.com")
	wantRedirect(t, susan.post("/account/email", "email", "newer@example.com"), "/check-inbox")
	add(auth.MailNewAddress, "newer@example.com")
	wantRedirect(t, susan.post("/verify-email", "email", "anna@example.com"), "/check-inbox")
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
		c, right, name := test.client, tokens[page], s.manager.Cookie(test.cookie).Name
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

// TestLinkPlanted: in the middle of susan's own link, a page of an attacker has her
// browser open another one. Her form does not work for that link, and an invalid link
// changes nothing.
func TestLinkPlanted(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("anna")
	s.create("mallory")
	ask := func(name string) string {
		wantRedirect(t, s.client().post("/verify-email", "email", name+"@example.com"), "/check-inbox")
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
		wantRedirect(t, user.post("/account/email", "email", "x"+name+"@example.com"), "/check-inbox")
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

// TestLinksFail: a failure of the store is answered with a 5xx. Nothing is done, and the
// link still works.
func TestLinksFail(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.update("susan", verified)
	s.create("anna")
	user, c := s.user("susan", good), s.client()
	wantRedirect(t, user.post("/account/email", "email", "new@example.com"), "/check-inbox")
	moved := s.mailed(auth.MailNewAddress, "new@example.com")
	wantRedirect(t, c.post("/verify-email", "email", "anna@example.com"), "/check-inbox")
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

// TestBadTokens: invalid tokens and missing ones get the same answer (S107). Only a
// token that has worked gets another one: see TestUsedLinks.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	expired := s.link("susan@example.com")
	s.advance(30*time.Minute + time.Second)
	c := s.client()
	wantRedirect(t, c.get(s.link("susan@example.com")), "/reset-password")
	wantRedirect(t, c.post("/reset-password", "password", other, "confirm_password", other), "/login")
	_, token, _ := strings.Cut(s.link("susan@example.com"), "token=")

	name := strings.TrimSuffix(c.sent[0].Name, "-flash") + "-reset"
	for _, cookie := range c.sent {
		if strings.HasSuffix(cookie.Name, "-reset") {
			name = cookie.Name
		}
	}
	var first [4]response // of each way to send a token
	for i, target := range []string{
		expired, "/reset-password", "/reset-password?token=", "/reset-password?token=null", "/reset-password?token=0",
		"/reset-password?token=undefined", "/reset-password?token=%20", "/reset-password?token[]=" + token, "/reset-password?token=garbage",
		"/reset-password?token=" + token[1:], "/reset-password?token=" + token + "A", "/reset-password?token=" + strings.ToUpper(token),
		"/reset-password?token=" + strings.Repeat("A", 10_000), "/reset-password?token=a;b=c", "/reset-password?token=%zz", "/reset-password?token=a%00b",
		"/reset-password?token=x&next=https://evil.example", "/reset-password?token=x&token=" + token,
	} {
		_, value, _ := strings.Cut(target, "token=")
		for way, answer := range []func(*client) response{
			func(c *client) response { return c.get(target) },
			func(c *client) response { // as a cookie
				return c.do("GET", "/reset-password", "", "Cookie", name+"="+value)
			},
			func(c *client) response {
				return c.do("POST", "/reset-password", "password="+good+"&confirm_password="+good, "Cookie", name+"="+value)
			},
			func(c *client) response { // never from the query or the form
				return c.post("/reset-password?token="+token, "token", token, "password", good, "confirm_password", good)
			},
		} {
			c := s.client()
			if strings.HasSuffix(target, "&token="+token) && strings.Contains(value, "&") {
				value = "x"
			}
			r := answer(c)
			wantRedirect(t, r, "/forgot-password")
			for _, cookie := range c.sent {
				if strings.HasSuffix(cookie.Name, "-reset") && cookie.MaxAge >= 0 {
					t.Error("the token is kept")
				}
			}
			if category, text := message(t, c.get("/forgot-password")); category != "warning" || text != "This link does not work any more. Ask for a new one." {
				t.Errorf("%s: %s", category, text)
			}
			r.header.Del("Date")
			r.header.Del("Referrer-Policy") // which depends on the URL that was asked for
			r.header["Set-Cookie"] = []string{fmt.Sprint(len(r.header["Set-Cookie"]))}
			if i == 0 {
				first[way] = r
			} else if !reflect.DeepEqual(r, first[way]) {
				t.Errorf("%s: the answers differ:\n%v\n%v", target, r, first[way])
			}
		}
	}
	s.user("susan", other)
}

// TestWrongTokens: on every page that a mailed link opens, sending the form with an
// invalid token counts as a guess, and opening the page does not.
func TestWrongTokens(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"/reset-password", "/verify-email", "/undo-email", "/account/email"} {
		s := newSite(t, func(cfg *auth.Config, _ *pages.Config) { cfg.Limits.Guesses = 3 })
		c := s.user("susan", good)
		if page == "/reset-password" { // which is for visitors
			c = s.client()
		}
		for range 5 {
			if r := c.get(page + "?token=x"); r.status != 303 {
				t.Errorf("%s, looked at: %d", page, r.status)
			}
		}
		for i := range 5 {
			want := 303
			if i >= 3 {
				want = 429
			}
			if r := c.post(page, "password", good, "confirm_password", good); r.status != want {
				t.Errorf("%s, form %d: %d, want %d", page, i+1, r.status, want)
			}
		}
	}
}

// TestUsedLinks: if a mailed link has worked already, the page says so, both when the
// link is opened and when its form is sent. It also says so in another browser: whoever
// has the link has the mailbox.
func TestUsedLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.update("susan", verified)
	c := s.user("susan", good)
	c.post("/account/email", "email", "new@example.com")
	confirm := s.mailed(auth.MailNewAddress, "new@example.com")
	for _, link := range []struct {
		of     func() string
		client *client
		page   string
		fields []string
		failed string
		says   string
	}{
		{func() string { return confirm }, c, "/account/email", nil, "/account/email", emailUsed},
		{func() string { return s.mailed(auth.MailAddressChanged, "susan@example.com") }, s.client(), "/undo-email", nil, "/forgot-password", undoUsed},
		{
			func() string { return s.link("susan@example.com") }, s.client(), "/reset-password",
			[]string{"password", other, "confirm_password", other}, "/forgot-password", resetUsed,
		},
		{func() string {
			s.update("susan", func(a *auth.Account) { a.EmailVerified = false })
			s.client().post("/verify-email", "email", "susan@example.com")
			return s.mailed(auth.MailVerify, "susan@example.com")
		}, s.client(), "/verify-email", nil, "/verify-email", verifyUsed},
	} {
		t.Run(link.page, func(t *testing.T) {
			mailed := link.of()
			late := link.client.copied(s)
			wantRedirect(t, late.get(mailed), link.page)
			form := late.get(link.page)
			wantRedirect(t, link.client.get(mailed), link.page)
			if r := link.client.press(link.page, link.fields...); r.status != http.StatusSeeOther || r.location == link.failed {
				t.Fatalf("%d to %s", r.status, r.location)
			}
			link.client.waiting()
			again := link.client
			wantRedirect(t, again.get(mailed), link.failed)
			if says := again.waiting(); says != "info: "+link.says {
				t.Errorf("the message is %q", says)
			}
			if link.page != "/account/email" { // which was logged out meanwhile
				wantRedirect(t, late.send(form, link.fields...), link.failed)
				if says := late.waiting(); says != "info: "+link.says {
					t.Errorf("the message of the form is %q", says)
				}
			}
			if late.cookie("-reset")+late.cookie("-verify")+late.cookie("-undo") != "" {
				t.Error("the cookie is still there")
			}
			// What only looks like it was never a link.
			stranger := s.client()
			stranger.get(mailed + "A")
			if says := stranger.waiting(); says != "warning: "+invalidToken {
				t.Errorf("the message of another is %q", says)
			}
		})
	}
	// Nothing is kept of a closed account.
	used := s.link("susan@example.com")
	owner := s.client()
	owner.get(used)
	wantRedirect(t, owner.press("/reset-password", "password", good, "confirm_password", good), "/login")
	owner = s.user("susan", good)
	wantRedirect(t, owner.post("/account/close", "current_password", good, "confirm", "y"), "/")
	owner = s.client()
	owner.get(used)
	if says := owner.waiting(); says != "warning: "+invalidToken {
		t.Errorf("after the account is closed the message is %q", says)
	}
}
