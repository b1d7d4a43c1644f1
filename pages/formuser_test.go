package pages_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/go-login/auth"
)

// seal returns the field form_user of a page's forms, which must all have the same.
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

// accountForms are the forms that change an account or confirm a login, with the
// fields of one that succeeds.
var accountForms = map[string][]string{
	"/account/password": {"current_password", good, "password", other, "confirm_password", other},
	"/account/email":    {"email", "new@example.com"},
	"/account/sessions": {"others", "1"},
	"/account/close":    {"current_password", good, "confirm", "y"},
	"/refresh":          {"password", good, "next", "/mine"},
}

// TestFormOfAnotherUser: susan opens a form, anna logs in in another tab, and the
// form is submitted. Nothing changes, and the page says so.
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
			before, hashes := s.account("anna"), s.manager.Core.PasswordHashes()

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
			if s.manager.Core.PasswordHashes() != hashes || s.kinds() != "" {
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

// TestFormSeals: a seal is good for its form and its user, always the same, and
// tells nothing. A form without one is accepted.
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
	if s.manager.Core.PasswordHashes() > 10 || len(s.mails) > 0 {
		t.Error("something was done")
	}
	for _, page := range []string{"/refresh", "/account/sessions", "/account/email", "/account/password"} {
		fields := accountForms[page]
		wantStatus(t, c.post(page, fields...), 303)
	}
	wantRedirect(t, c.post("/account/close", "current_password", other, "confirm", "y", "form_user", seals["/account/close"]), "/")
}

// TestFormOfAnotherUserFirst: who has logged in since hears of that before being
// asked for the password once more.
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

// TestFormOfAnotherUserConfirm: the form that confirms a new address.
func TestFormOfAnotherUserConfirm(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("anna")
	c := s.user("susan", good)
	wantRedirect(t, c.post("/account/email", "email", "new@example.com"), "/account")
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
