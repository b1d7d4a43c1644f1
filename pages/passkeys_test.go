package pages_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
	"golang.org/x/net/html"
)

const list = "/account/passkeys"

// keyCards returns the texts of the passkeys on the page.
func keyCards(t *testing.T, r response) (texts []string) {
	t.Helper()
	accessible(t, r)
	for _, card := range all(parse(t, r), tag("li")) {
		texts = append(texts, text(card))
	}
	return texts
}

// TestAddPasskey (P1): a user without passkeys adds one, and goes on to recovery codes.
func TestAddPasskey(t *testing.T) {
	t.Parallel()
	s, _ := newPasskeySite(t, nil)
	c, other := s.user("susan", good), s.user("susan", good)
	page := c.get(list)
	if !strings.Contains(page.body, "You have no passkeys yet.") || known(t, page) != "" {
		t.Error("not the page of a user without passkeys")
	}
	if link(t, c.get("/account"), "Manage Passkeys") != list || link(t, c.get("/account/two-factor?next=%2Fmine"), "Manage Passkeys") != list+"?next=%2Fmine" {
		t.Error("nothing leads to the page")
	}
	page = c.push(formTo(t, c.get(list+"?next=%2Fmine"), list, "1"))
	wantStatus(t, page, 200)
	form, data := passkeyForm(t, page)
	if heading(t, page) != "Add a passkey" || !strings.Contains(data, `"kind":"create"`) {
		t.Error("not the page that adds a passkey")
	}
	for _, wrong := range []string{"", "x"} {
		r := c.push(form, "passkey", wrong)
		wantStatus(t, r, 422)
		if flash(t, r) != "The passkey could not be added. Try again." {
			t.Errorf("%q", flash(t, r))
		}
	}
	wantRedirect(t, c.push(form, "passkey", answerTo(t, data, "key")), "/account/recovery-codes?next=%2Fmine")
	if kinds := s.kinds(); kinds != "passkey-added susan@example.com" {
		t.Errorf("the mails are %s", kinds)
	}
	if r := c.get("/account/recovery-codes"); !strings.Contains(flash(t, r), "The passkey has been added. Other browsers have been logged out.") {
		t.Error(flash(t, r))
	}
	if !c.loggedIn() || other.loggedIn() {
		t.Error("the first passkey has not ended the other logins, or has ended its own")
	}
	page = c.get(list)
	if got := keyCards(t, page); len(got) != 1 || got[0] != "the name of key On one device Created 1 Nov 2026 not used yet Rename Remove" {
		t.Errorf("the passkeys are %q", got)
	}
	if known(t, page) != `{"credentialIds":["key"],"name":"susan","rpId":"app.example","userId":"handle"}` || known(t, c.get("/account")) != known(t, page) {
		t.Errorf("the browser is told %s", known(t, page))
	}
	if link(t, c.get("/account/two-factor"), "Manage Passkeys") != list {
		t.Error("the page for second factors does not lead to the passkeys")
	}
	for _, path := range []string{"/account/two-factor?set-up=passkey"} {
		wantRedirect(t, c.get(path), list)
		wantRedirect(t, c.post(path, "passkey", "x"), "/account/two-factor")
	}
	// A second one ends nothing.
	other = s.byPasskey("key")
	wantRedirect(t, c.post(list+"?add=1", "passkey", answerTo(t, data, "two")), "/account/recovery-codes")
	if !other.loggedIn() || len(keyCards(t, c.get(list))) != 2 {
		t.Error("the second passkey has ended logins, or was not added")
	}
}

// TestAddPasskeyRefused (P4): not without a fresh login, a verified address, or a login, not
// by GET, and not from another user's form.
func TestAddPasskeyRefused(t *testing.T) {
	t.Parallel()
	s, keys := newPasskeySite(t, nil)
	c := s.user("susan", good)
	seal := attr(only(t, formTo(t, c.get(list+"?add=1"), list, ""), with("name", "form_user")), "value")
	s.advance(11 * time.Minute)
	wantRedirect(t, c.get(list+"?add=1"), "/refresh?next=%2Faccount%2Fpasskeys%3Fadd%3D1")
	wantStatus(t, c.get(list), 200)
	if r := c.post(list+"?add=1", "passkey", `{"id":"key"}`); r.status != 303 || !strings.HasPrefix(r.location, "/refresh") {
		t.Errorf("not fresh: %d to %s", r.status, r.location)
	}
	wantRedirect(t, s.client().get(list), "/login?next=%2Faccount%2Fpasskeys")
	if r := s.client().post(list+"?add=1", "passkey", `{"id":"key"}`); r.status != 303 || !strings.HasPrefix(r.location, "/login") {
		t.Errorf("a visitor: %d to %s", r.status, r.location)
	}

	s.create("anna")
	anna := s.user("anna", good)
	for _, r := range []response{anna.get(list + "?add=1"), anna.post(list+"?add=1", "passkey", `{"id":"key"}`)} {
		wantStatus(t, r, 403)
		if link(t, r, "Verify your email address") != "/verify-email" {
			t.Error("no link to verify the address")
		}
	}
	s.update("anna", verified)
	r := anna.post(list+"?add=1", "passkey", `{"id":"key"}`, "form_user", seal)
	wantStatus(t, r, 409)
	keys.mu.Lock()
	keys.full = true
	keys.mu.Unlock()
	r = anna.get(list + "?add=1")
	wantStatus(t, r, 409)
	if !strings.HasPrefix(flash(t, r), "You have as many passkeys") {
		t.Error(flash(t, r))
	}
	if len(keys.kept) > 0 {
		t.Errorf("there is a passkey: %v", keys.kept)
	}
}

// TestPasskeyStates (P28): the list says which passkeys do not work, and why.
func TestPasskeyStates(t *testing.T) {
	t.Parallel()
	s, keys := newPasskeySite(t, nil, "key")
	c, id := s.byPasskey("key"), s.account("susan").ID
	for _, state := range []struct {
		want   string
		change func(*auth.Passkey)
	}{
		{"Synced", func(p *auth.Passkey) { p.Synced = true }},
		{"last used 2 Nov 2026", func(p *auth.Passkey) { p.LastUsed = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC) }},
		{"This passkey was copied.", func(p *auth.Passkey) { p.Suspended = true }},
		{"This passkey is for the old address of the site.", func(p *auth.Passkey) { p.OtherSite = true }},
	} {
		keys.change(id, state.change)
		page := c.get(list)
		if got := keyCards(t, page); len(got) != 1 || !strings.Contains(got[0], state.want) {
			t.Errorf("the passkeys are %q, want %s", got, state.want)
		}
		works := state.want == "Synced" || strings.HasPrefix(state.want, "last used")
		if strings.Contains(page.body, "Remove password") != works {
			t.Errorf("%s: the password can be removed: %v", state.want, !works)
		}
	}
}

// TestRenamePasskey (P21): the page shows every name as text.
func TestRenamePasskey(t *testing.T) {
	t.Parallel()
	s, keys := newPasskeySite(t, nil, "key")
	s.create("anna", verified)
	keys.give(s.account("anna").ID, "annas")
	c := s.byPasskey("key")
	const evil = `"><script>alert(1)</script>`
	page := c.get(link(t, c.get(list), "Rename"))
	accessible(t, page)
	if fields(t, page)["name"].value != "the name of key" {
		t.Error("the page does not have the name")
	}
	wantRedirect(t, c.send(page, "name", evil), list)
	page = c.get(list)
	if got := keyCards(t, page); len(got) != 1 || !strings.HasPrefix(got[0], evil) || flash(t, page) != "The passkey has been renamed." {
		t.Errorf("the passkeys are %q", got)
	}
	for _, other := range []string{"annas", "unknown", "", evil} {
		wantStatus(t, c.do("GET", list+"?"+urlencoded([]string{"rename", other}), ""), 404)
		wantStatus(t, c.post(list+"?"+urlencoded([]string{"rename", other}), "name", "mine"), 404)
	}
}

// TestRemovePasskey (P19, P20): another user's passkey is as unknown as one that does not
// exist. The last way in stays, and the page says what to add first.
func TestRemovePasskey(t *testing.T) {
	t.Parallel()
	s, keys := newPasskeySite(t, nil, "key", "two")
	s.create("anna", verified)
	keys.give(s.account("anna").ID, "annas")
	c := s.byPasskey("key")
	a, b := c.post(list, "remove", "annas"), c.post(list, "remove", "unknown")
	wantStatus(t, a, 404)
	if a.body != b.body || b.status != 404 || len(keys.kept[s.account("anna").ID]) != 1 {
		t.Error("another user's passkey is not as one that does not exist")
	}
	wantStatus(t, c.post(list), 400)
	wantRedirect(t, c.push(formTo(t, c.get(list), list, "two")), list)
	page := c.get(list)
	if len(keyCards(t, page)) != 1 || !strings.HasPrefix(flash(t, page), "The passkey has been removed.") || !strings.Contains(known(t, page), `["key"]`) {
		t.Error("the passkey is not removed, or the browser is not told")
	}
}

// TestRemovePassword (P20): from then on the last passkey cannot be removed. A new password
// can be set, and then it can.
func TestRemovePassword(t *testing.T) {
	t.Parallel()
	s, _ := newPasskeySite(t, nil, "key")
	c, second := s.byPasskey("key"), s.byPasskey("key")
	button := func(r response) response {
		t.Helper()
		return c.push(only(t, parse(t, r), func(n *html.Node) bool { return n.Data == "form" && len(all(n, with("name", "remove_password"))) > 0 }))
	}
	page := c.get(list)
	wantRedirect(t, button(page), list)
	if kinds := s.kinds(); kinds != "password-removed susan@example.com" || !s.account("susan").PasswordHash.IsZero() {
		t.Errorf("the mails are %s", kinds)
	}
	if !c.loggedIn() || second.loggedIn() {
		t.Error("the other browser is logged in, or the own one is not")
	}
	wantStatus(t, s.client().post("/login", "login", "susan", "password", good), 422)
	page = c.get(list)
	if strings.Contains(page.body, "Remove password") {
		t.Error("there is a button for a password that does not exist")
	}
	r := c.post(list, "remove", "key")
	wantStatus(t, r, 409)
	if flash(t, r) != "You could not log in any more. First set a password, or add another passkey." || len(keyCards(t, r)) != 1 {
		t.Errorf("%q", flash(t, r))
	}
	wantRedirect(t, c.post("/account/two-factor", "remove", "passkey"), list)

	// Set a password: only a fresh login may.
	if link(t, c.get("/account"), "Set a password") != "/account/password" {
		t.Error("no link that sets a password")
	}
	s.advance(21 * time.Minute)
	wantRedirect(t, c.get("/account/password"), "/refresh?next=%2Faccount%2Fpassword")
	if r := c.post("/account/password", "password", other, "confirm_password", other); r.status != 303 || !strings.HasPrefix(r.location, "/refresh") {
		t.Errorf("a login that is not fresh: %d to %s", r.status, r.location)
	}
	form, _ := passkeyForm(t, c.get("/refresh?next=%2Faccount%2Fpassword"))
	wantRedirect(t, c.push(form, "passkey", c.prompt("key")), "/account/password")
	page = c.get("/account/password")
	accessible(t, page)
	if heading(t, page) != "Set a password" || len(fields(t, page)) != 2 {
		t.Error("not the page that sets a password")
	}
	wantErrors(t, c.send(page, "password", "short", "confirm_password", "short"), map[string]string{"password": "The password must have at least 8 characters."})
	wantRedirect(t, c.send(page, "password", other, "confirm_password", other), "/account")
	if r := c.get("/account"); flash(t, r) != "You can log in with your password now." || link(t, r, "Change Password") != "/account/password" {
		t.Error(flash(t, r))
	}
	wantErrors(t, c.post("/account/password", "password", good, "confirm_password", good), map[string]string{"current_password": "This field is required."})
	wantRedirect(t, c.post(list, "remove", "key"), list)
}

// TestPasskeyRequired: of a user who must have a factor, the last passkey has no button.
func TestPasskeyRequired(t *testing.T) {
	t.Parallel()
	s, keys := newPasskeySite(t, func(a *auth.Config, _ *pages.Config) {
		a.RequireFactor = func(auth.User) bool { return true }
	}, "key")
	c := s.byPasskey("key")
	if got := keyCards(t, c.get(list)); len(got) != 1 || strings.Contains(got[0], "Remove") {
		t.Errorf("the passkeys are %q", got)
	}
	keys.give(s.account("susan").ID, "two")
	if got := keyCards(t, c.get(list)); len(got) != 2 || !strings.Contains(got[1], "Remove") {
		t.Errorf("the passkeys are %q", got)
	}
	// A user who has none yet reaches the page, and nothing else.
	s.create("anna", verified)
	anna := s.user("anna", good)
	wantRedirect(t, anna.get("/mine"), "/account/two-factor?next=%2Fmine")
	if link(t, anna.get("/account/two-factor?next=%2Fmine"), "Manage Passkeys") != list+"?next=%2Fmine" {
		t.Error("the page does not lead to the passkeys")
	}
	wantStatus(t, anna.get(list+"?next=%2Fmine"), 200)
}

// TestPasswordless (P18): a user who has no password changes the address and closes the
// account. The browser is then told to forget the passkeys (P27).
func TestPasswordless(t *testing.T) {
	t.Parallel()
	s, _ := newPasskeySite(t, nil, "key")
	s.update("susan", func(a *auth.Account) { a.PasswordHash = auth.Secret{} })
	c := s.byPasskey("key")
	wantRedirect(t, c.post("/account/email", "email", "new@example.com"), "/check-inbox")
	wantRedirect(t, c.get(s.mailed(auth.MailNewAddress, "new@example.com")), "/account/email")
	wantRedirect(t, c.press("/account/email"), "/account")
	if s.account("susan").Email != "new@example.com" {
		t.Error("the address is not changed")
	}
	page := c.get("/account/close")
	wantStatus(t, page, 200)
	if f := fields(t, page); len(f) != 1 || f["confirm"].kind != "checkbox" {
		t.Errorf("the page asks for %v", f)
	}
	wantStatus(t, c.send(page), 422)
	r := c.send(page, "confirm", "y")
	wantStatus(t, r, 200)
	accessible(t, r)
	wantHeaders(t, "closed", r)
	if known(t, r) != `{"credentialIds":[],"name":"susan","rpId":"app.example","userId":"handle"}` {
		t.Errorf("the browser is told %s", known(t, r))
	}
	if heading(t, r) != "Account closed" || link(t, r, "Continue") != "/" || !strings.Contains(r.body, "Your account has been closed.") || c.loggedIn() {
		t.Error("not the page after closing")
	}
	passkeyScript(t, r)
}

// TestPasskeyOffer: after a login with the password, a user without a passkey is offered one, if
// the device can have one, and once in 30 days in a browser.
func TestPasskeyOffer(t *testing.T) {
	t.Parallel()
	s, keys := newPasskeySite(t, nil)
	login := func(c *client, more ...string) response {
		return c.post("/login", append([]string{"login", "susan", "password", good, "next", "/mine?a=b"}, more...)...)
	}
	const offer = list + "?offer=1&next=%2Fmine%3Fa%3Db"
	if input := only(t, parse(t, s.client().get("/login")), with("name", "passkey_able")); attr(input, "type") != "hidden" || !has(input, "disabled") || !has(input, "data-passkey-able") {
		t.Error("the script cannot say whether the device can have a passkey")
	}
	wantRedirect(t, login(s.client()), "/mine?a=b") // no script, or a device that cannot
	c := s.client()
	wantStatus(t, c.post("/login", "login", "susan", "password", "wrong", "passkey_able", "y"), 422)
	wantRedirect(t, login(c, "passkey_able", "y"), offer)
	page := c.get(offer)
	wantStatus(t, page, 200)
	passkeyForm(t, page)
	if heading(t, page) != "Log in without a password next time?" || link(t, page, "Not now") != "/mine?a=b" {
		t.Errorf("not the offer: %s", heading(t, page))
	}
	wantRedirect(t, c.post("/logout"), "/")
	wantRedirect(t, login(c, "passkey_able", "y"), "/mine?a=b") // once
	for _, cookie := range c.sent {
		if strings.HasSuffix(cookie.Name, "passkey-offered") && (cookie.MaxAge != 30*24*60*60 || cookie.Value != "1") {
			t.Errorf("the cookie is %+v", cookie)
		}
	}
	other := s.client()
	wantRedirect(t, login(other, "passkey_able", "y"), offer)
	form, data := passkeyForm(t, other.get(offer))
	wantRedirect(t, other.push(form, "passkey", answerTo(t, data, "key")), "/account/recovery-codes?next=%2Fmine%3Fa%3Db")

	// Not to a user who has one, who may not add one, or who goes to that page anyway.
	if r := login(s.client(), "passkey_able", "y"); !strings.HasPrefix(r.location, "/login/verify") {
		t.Errorf("with a passkey: %q", r.location)
	}
	keys.mu.Lock()
	delete(keys.kept, s.account("susan").ID)
	keys.mu.Unlock()
	wantRedirect(t, s.client().post("/login", "login", "susan", "password", good, "next", list, "passkey_able", "y"), list)
	s.create("anna")
	wantRedirect(t, s.client().post("/login", "login", "anna", "password", good, "passkey_able", "y"), "/")
	for _, hostile := range []string{"//evil.example", "https://evil.example"} {
		wantRedirect(t, s.client().post("/login", "login", "susan", "password", good, "next", hostile, "passkey_able", "y"), list+"?offer=1&next=%2F")
		c := s.user("susan", good)
		if page := c.get(list + "?offer=1&next=" + url.QueryEscape(hostile)); link(t, page, "Not now") != "/" {
			t.Errorf("the offer leads to %s", link(t, page, "Not now"))
		}
	}

	off, _ := newPasskeySite(t, func(_ *auth.Config, c *pages.Config) { c.NoPasskeyOffer = true })
	if strings.Contains(off.client().get("/login").body, "passkey_able") {
		t.Error("the login page asks the script")
	}
	wantRedirect(t, off.client().post("/login", "login", "susan", "password", good, "passkey_able", "y"), "/")
}
