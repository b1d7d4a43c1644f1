package pages_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// newUnprotected is newFactorSite, but susan has no factor yet.
func newUnprotected(t *testing.T, change func(*auth.Config, *pages.Config)) (*site, *factors) {
	t.Helper()
	s, f := newFactorSite(t, change)
	f.app.set(s.account("susan").ID, false)
	f.recovery.set(s.account("susan").ID)
	return s, f
}

// account returns what the account page says about second factors.
func (c *client) twoFactor() string {
	c.t.Helper()
	r := c.get("/account")
	wantStatus(c.t, r, 200)
	accessible(c.t, r)
	main := text(only(c.t, parse(c.t, r), tag("main")))
	_, after, _ := strings.Cut(main, "Two-factor login ")
	before, _, _ := strings.Cut(after, " Manage")
	return before
}

func TestSetUp(t *testing.T) {
	t.Parallel()
	s, f := newUnprotected(t, nil)
	c, elsewhere := s.user("susan", good), s.user("susan", good)
	if got := c.twoFactor(); got != "Off" {
		t.Errorf("the account page says %q", got)
	}
	r := c.get(link(t, c.get("/account"), "Manage Two-factor login"))
	wantStatus(t, r, 200)
	accessible(t, r)
	if found := cards(t, r); len(found) != 1 || text(found[0]) != "Authenticator app Off Set up" {
		t.Errorf("%d factors: %s", len(found), text(only(t, parse(t, r), tag("main"))))
	}
	form := formTo(t, r, "/account/two-factor", "totp")
	if attr(form, "method") != "get" || name(t, parse(t, r), only(t, parse(t, r), with("id", "set-up-0"))) != "Set up Authenticator app" {
		t.Error("not the button")
	}
	r = c.push(form)
	wantStatus(t, r, 200)
	accessible(t, r)
	wantHeaders(t, "the set-up", r)
	doc := parse(t, r)
	if heading(t, r) != "Set up: Authenticator app" || button(t, r) != "Turn on" {
		t.Errorf("%s, %s", heading(t, r), button(t, r))
	}
	if picture := only(t, doc, with("class", "qr")); attr(picture, "role") != "img" || attr(picture, "aria-label") != "QR code" || len(all(picture, tag("svg"))) != 1 {
		t.Error("not the picture")
	}
	if key := text(only(t, doc, tag("code"))); key != "JBSW Y3DP EHPK 3PXP JB" {
		t.Errorf("the key is %q", key)
	}
	if target := link(t, r, "Open the app on this device"); target != "otpauth://totp/Gophers:susan?secret=JBSWY3DPEHPK3PXPJB&issuer=Gophers" {
		t.Errorf("the link is %q", target)
	}
	if got := fields(t, r); len(got) != 1 || got["code"] != (field{"Code from your authenticator app", "text", "one-time-code", "", ""}) {
		t.Errorf("the fields are %v", got)
	}

	f.app.give("right")
	wantErrors(t, c.submit(r, "/account/two-factor", "code", ""), map[string]string{"code": "This field is required."})
	r = c.submit(r, "/account/two-factor", "code", "wrong")
	wantErrors(t, r, map[string]string{"code": factorWrong})
	if heading(t, r) != "Set up: Authenticator app" || !strings.Contains(r.body, "<svg") {
		t.Error("the picture is lost")
	}
	s.kinds()
	wantRedirect(t, c.submit(r, "/account/two-factor", "code", "right"), "/account/recovery-codes")
	c.flashed("/account/recovery-codes", "success: The second factor is set up. Other browsers have been logged out.")
	if kinds := s.kinds(); kinds != "factor-added susan@example.com" {
		t.Errorf("mails %q", kinds)
	}
	if elsewhere.loggedIn() || !c.loggedIn() {
		t.Error("the other browser should be logged out, and this one not")
	}
	if got := c.twoFactor(); got != "On" {
		t.Errorf("the account page says %q", got)
	}
	if account := c.get("/account"); !strings.Contains(account.body, "You have no recovery codes.") {
		t.Errorf("the account page does not warn:\n%s", account.body)
	}
	// The picture and the key are not shown again.
	wantStatus(t, c.get("/account/two-factor?set-up=totp"), 404)
	wantRedirect(t, c.post("/account/two-factor?set-up=totp", "code", "right"), "/account/two-factor")
	if r := c.get("/account/two-factor"); strings.Contains(r.body, "JBSW") || strings.Contains(r.body, "<svg") {
		t.Error("the key is in another page")
	}
	s.client().begin()
}

// TestSetUpWithCodes: a user who has recovery codes already gets no others.
func TestSetUpWithCodes(t *testing.T) {
	t.Parallel()
	s, f := newUnprotected(t, nil)
	f.recovery.set(s.account("susan").ID, "spare")
	c := s.user("susan", good)
	f.app.give("right")
	wantRedirect(t, c.post("/account/two-factor?set-up=totp", "code", "right"), "/account/two-factor")
	c.flashed("/account/two-factor", "success: The second factor is set up. Other browsers have been logged out.")
}

func TestSetUpLocked(t *testing.T) {
	t.Parallel()
	s, f := newUnprotected(t, nil)
	c := s.user("susan", good)
	f.app.give("right")
	for range 5 {
		wantErrors(t, c.post("/account/two-factor?set-up=totp", "code", "wrong"), map[string]string{"code": factorWrong})
	}
	wantErrors(t, c.post("/account/two-factor?set-up=totp", "code", "right"), map[string]string{"code": factorWrong})
	s.advance(31 * time.Second)
	wantRedirect(t, c.post("/account/two-factor?set-up=totp", "code", "right"), "/account/recovery-codes")
}

func TestRemove(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c, elsewhere := f.enter(s), f.enter(s)
	r := c.get("/account/two-factor")
	accessible(t, r)
	found := cards(t, r)
	for i, want := range []string{"Authenticator app On Remove", "Recovery codes Recovery codes left: 4. Manage Remove"} {
		if text(found[i]) != want {
			t.Errorf("factor %d is %q", i, text(found[i]))
		}
	}
	s.kinds()
	wantRedirect(t, c.push(formTo(t, r, "/account/two-factor", "recovery")), "/account/two-factor")
	c.flashed("/account/two-factor", "success: The second factor has been removed. Other browsers have been logged out.")
	if n, _ := f.recovery.Left(t.Context(), s.account("susan").ID); n > 0 || !f.app.has(s.account("susan").ID) || elsewhere.loggedIn() {
		t.Error("not that factor was removed")
	}
	r = c.get("/account/two-factor")
	form := formTo(t, r, "/account/two-factor", "totp")
	wantRedirect(t, c.push(form), "/account/two-factor")
	if kinds := s.kinds(); kinds != "factor-removed susan@example.com, factor-removed susan@example.com" {
		t.Errorf("mails %q", kinds)
	}
	if got := c.twoFactor(); got != "Off" || !c.loggedIn() {
		t.Errorf("the account page says %q", got)
	}
	wantRedirect(t, c.push(form), "/account/two-factor") // it is gone
	if kinds := s.kinds(); kinds != "" {
		t.Errorf("mails %q", kinds)
	}
	s.user("susan", good)
}

// TestTwoFactorUnverified: an attacker who registers a victim's address must not lock the
// owner out.
func TestTwoFactorUnverified(t *testing.T) {
	t.Parallel()
	s, f := newUnprotected(t, nil)
	s.update("susan", func(a *auth.Account) { a.EmailVerified = false })
	c := s.user("susan", good)
	f.app.give("right")
	for _, r := range []response{c.get("/account/two-factor?set-up=totp"), c.post("/account/two-factor?set-up=totp", "code", "right")} {
		wantStatus(t, r, 403)
		accessible(t, r)
		if strings.Contains(r.body, "JBSW") || link(t, r, "Verify your email address") != "/verify-email" ||
			!strings.Contains(r.body, "Before you set up a second factor, verify your email address.") {
			t.Errorf("the page is\n%s", r.body)
		}
	}
	if _, begun := f.app.counts(); begun > 0 || f.app.has(s.account("susan").ID) {
		t.Error("the set-up has begun")
	}
	wantStatus(t, c.get("/account/two-factor"), 200)
}

// TestTwoFactorFresh: whatever changes a factor needs a login of the last ten minutes, and
// leads back after it was confirmed.
func TestTwoFactorFresh(t *testing.T) {
	t.Parallel()
	s, f := newUnprotected(t, nil)
	c := s.user("susan", good)
	s.advance(11 * time.Minute)
	const page = "/account/two-factor?set-up=totp"
	wantStatus(t, c.get("/account/two-factor"), 200)
	wantRedirect(t, c.get(page), "/refresh?next=%2Faccount%2Ftwo-factor%3Fset-up%3Dtotp")
	f.app.give("right")
	wantRedirect(t, c.from(page, page, "code", "right"), "/refresh?next=%2Faccount%2Ftwo-factor%3Fset-up%3Dtotp")
	r := c.press("/refresh?next=%2Faccount%2Ftwo-factor%3Fset-up%3Dtotp", "password", good)
	wantRedirect(t, r, page)
	wantRedirect(t, c.press(page, "code", "right"), "/account/recovery-codes")

	s.advance(11 * time.Minute)
	for path, body := range map[string][]string{
		"/account/two-factor": {"remove", "totp"}, "/account/two-factor?": {"unlock", "totp"}, "/account/recovery-codes": nil,
	} {
		path = strings.TrimSuffix(path, "?")
		r := c.from(path, path, body...)
		wantRedirect(t, r, "/refresh?next="+strings.ReplaceAll(path, "/", "%2F"))
	}
	if !f.app.has(s.account("susan").ID) {
		t.Error("an old login has removed a factor")
	}
}

// TestTwoFactorOfOther: a form that another user has opened changes nothing.
func TestTwoFactorOfOther(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	s.create("anna", verified)
	c := f.enter(s)
	list, codes := c.get("/account/two-factor"), c.get("/account/recovery-codes")
	anna := s.account("anna").ID
	f.app.set(anna, true)
	wantRedirect(t, c.post("/logout"), "/")
	wantRedirect(t, c.post("/login", "login", "anna", "password", good), "/login/verify")
	f.app.give("right")
	wantRedirect(t, c.submit(c.get("/login/verify"), "/login/verify", "code", "right"), "/")
	for _, r := range []response{c.push(formTo(t, list, "/account/two-factor", "totp")), c.submit(codes, "/account/recovery-codes")} {
		wantStatus(t, r, 409)
		accessible(t, r)
		if _, text := message(t, r); !strings.HasPrefix(text, "You are now logged in as anna.") || strings.Contains(r.body, "<pre") {
			t.Errorf("the page says %q", text)
		}
	}
	f.app.set(anna, false)
	f.app.give("right")
	seal := attr(only(t, formTo(t, codes, "/account/recovery-codes", ""), with("name", "form_user")), "value")
	r := c.post("/account/two-factor?set-up=totp", "code", "right", "form_user", seal)
	wantStatus(t, r, 409)
	if f.app.has(anna) || strings.Contains(r.body, "JBSW") || !f.app.has(s.account("susan").ID) {
		t.Error("something was changed")
	}
}

// TestUnlock: a user whose app was disabled by a hundred wrong codes gets in by a recovery
// code, and has the app's codes accepted again.
func TestUnlock(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	f.app.disable(s, s.account("susan").ID)
	if kinds := s.kinds(); kinds != "factor-disabled susan@example.com" {
		t.Errorf("mails %q", kinds)
	}
	c := s.client()
	r := c.begin()
	f.app.give("right")
	wantErrors(t, c.submit(r, "/login/verify", "code", "right"), map[string]string{"code": factorWrong})
	wantRedirect(t, c.submit(c.get(link(t, r, "Recovery codes")), "/login/verify", "code", "spare 2"), "/")
	r = c.get("/account/two-factor")
	accessible(t, r)
	if card := text(cards(t, r)[0]); card != "Authenticator app On There were too many wrong codes. No code is accepted any more until you allow it again. Accept codes again Remove" {
		t.Errorf("the factor is %q", card)
	}
	button := only(t, parse(t, r), with("id", "unlock-0"))
	if got := name(t, parse(t, r), button); got != "Accept codes again Authenticator app" {
		t.Errorf("the button is called %q", got)
	}
	var fields []string
	for n := range button.Ancestors() {
		if n.Data == "form" {
			for _, input := range all(n, tag("input")) {
				fields = append(fields, attr(input, "name"), attr(input, "value"))
			}
		}
	}
	if !slices.Contains(fields, "unlock") {
		t.Fatalf("the form has %v", fields)
	}
	wantRedirect(t, c.post("/account/two-factor", fields...), "/account/two-factor")
	r = c.get("/account/two-factor")
	if category, text := message(t, r); category != "success" || text != "Codes are accepted again." || strings.Contains(r.body, "unlock") {
		t.Errorf("%s: %s", category, text)
	}
	f.app.give("enter")
	f.enter(s)
}

// TestTwoFactorWithout: a form that asks for nothing, for a factor that there is not, or by
// GET changes nothing.
func TestTwoFactorWithout(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := f.enter(s)
	for _, r := range []response{c.post("/account/two-factor"), c.post("/account/two-factor", "remove", ""), c.post("/account/two-factor?remove=totp")} {
		wantStatus(t, r, 400)
		accessible(t, r)
	}
	wantStatus(t, c.get("/account/two-factor?remove=totp&unlock=totp"), 200)
	wantStatus(t, c.do(http.MethodHead, "/account/two-factor?remove=totp", ""), 200)
	for _, name := range []string{"", "x", "recovery", "%3Cscript%3E"} {
		wantStatus(t, c.get("/account/two-factor?set-up="+name), 404)
		wantRedirect(t, c.post("/account/two-factor?set-up="+name, "code", "x"), "/account/two-factor")
		wantRedirect(t, c.post("/account/two-factor", "remove", name+"x"), "/account/two-factor")
		wantRedirect(t, c.post("/account/two-factor", "unlock", name+"x"), "/account/two-factor")
	}
	if !f.app.has(s.account("susan").ID) {
		t.Error("a factor was removed")
	}
	for _, path := range []string{"/account/two-factor", "/account/recovery-codes", "/account/two-factor?set-up=totp"} {
		wantRedirect(t, s.client().get(path), "/login?next="+strings.NewReplacer("/", "%2F", "?", "%3F", "=", "%3D").Replace(path))
		wantStatus(t, s.client().post(path), 303)
	}
}

// TestSetUpByGet: to open the page, or its HEAD, sets nothing up.
func TestSetUpByGet(t *testing.T) {
	t.Parallel()
	s, f := newUnprotected(t, nil)
	c := s.user("susan", good)
	f.app.give("right")
	wantStatus(t, c.get("/account/two-factor?set-up=totp&code=right"), 200)
	wantStatus(t, c.do(http.MethodHead, "/account/two-factor?set-up=totp&code=right", ""), 200)
	wantErrors(t, c.post("/account/two-factor?set-up=totp&code=right", "code", ""), map[string]string{"code": "This field is required."})
	if f.app.has(s.account("susan").ID) {
		t.Error("GET sets a factor up")
	}
}

// TestFewCodes: the account page and the list warn of the last three codes.
func TestFewCodes(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := f.enter(s)
	id := s.account("susan").ID
	for left, want := range map[int]string{
		0: "You have no recovery codes. If you lose your second factor, you cannot log in.",
		1: "Recovery codes left: 1. Make new ones soon.",
		3: "Recovery codes left: 3. Make new ones soon.",
		4: "",
	} {
		f.recovery.set(id, make([]string, left)...)
		for _, path := range []string{"/account", "/account/two-factor", "/account/recovery-codes"} {
			r := c.get(path)
			accessible(t, r)
			warning := ""
			for _, n := range all(parse(t, r), with("class", "flash warning")) {
				warning = strings.TrimSuffix(text(n), " Recovery codes")
			}
			if warning != want {
				t.Errorf("%d left: %s warns %q", left, path, warning)
			}
		}
	}
	if target := link(t, func() response { f.recovery.set(id, "x"); return c.get("/account") }(), "Recovery codes"); target != "/account/recovery-codes" {
		t.Errorf("the warning leads to %s", target)
	}
	// Without another factor, no login asks for a code.
	f.app.set(id, false)
	for _, path := range []string{"/account", "/account/two-factor"} {
		if r := c.get(path); strings.Contains(r.body, "ecovery") {
			t.Errorf("%s has something about recovery codes", path)
		}
	}
}

// TestTwoFactorPrefix: the pages work under a prefix.
func TestTwoFactorPrefix(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, func(_ *auth.Config, c *pages.Config) { c.Prefix = "/auth" })
	c := s.client()
	wantRedirect(t, c.post("/auth/login", "login", "susan", "password", good, "next", "/mine"), "/auth/login/verify?next=%2Fmine")
	r := c.get("/auth/login/verify?next=%2Fmine")
	if target := link(t, r, "Recovery codes"); target != "/auth/login/verify?with=recovery&next=%2Fmine" {
		t.Errorf("another way is %s", target)
	}
	f.app.give("right")
	wantRedirect(t, c.submit(r, "/auth/login/verify", "code", "right"), "/mine")
	r = c.get("/auth/account/two-factor")
	wantStatus(t, r, 200)
	if target := link(t, r, "Manage Recovery codes"); target != "/auth/account/recovery-codes" {
		t.Errorf("the codes are at %s", target)
	}
	wantRedirect(t, c.push(formTo(t, r, "/auth/account/two-factor", "totp")), "/auth/account/two-factor")
	f.app.give("right")
	wantRedirect(t, c.press("/auth/account/two-factor?set-up=totp", "code", "right"), "/auth/account/recovery-codes")
	wantStatus(t, c.press("/auth/account/recovery-codes"), 200)
}

// TestRequiredFactor: a user of whom a second factor is required is led to the page that sets
// one up, and reaches nothing else before that, except to confirm the password, to verify the
// address and to log out.
func TestRequiredFactor(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, func(a *auth.Config, _ *pages.Config) {
		a.RequireFactor = func(auth.User) bool { return true }
	})
	provide(t, s.manager.Core)
	f.app.set(s.account("susan").ID, false)
	c := s.client()
	wantRedirect(t, c.post("/login", "login", "susan", "password", good, "next", "/mine"), "/mine")
	for _, path := range []string{"/mine", "/account", "/account/password", "/account/email", "/account/sessions", "/login", "/register"} {
		if r := c.get(path); r.status != http.StatusSeeOther || !strings.HasPrefix(r.location, "/account/two-factor") {
			t.Errorf("%s: %d to %q", path, r.status, r.location)
		}
	}
	for _, path := range []string{"/account/two-factor", "/account/two-factor?set-up=totp", "/refresh", "/forgot-password"} {
		if r := c.get(path); r.status != http.StatusOK {
			t.Errorf("%s: %d to %q", path, r.status, r.location)
		}
	}
	for _, path := range []string{"/account/sessions", "/account/identities", "/account/password"} { // nor by the form of another user
		r := c.post(path, "form_user", "x")
		if r.status != http.StatusSeeOther || !strings.HasPrefix(r.location, "/account/two-factor") {
			t.Errorf("%s: %d to %q", path, r.status, r.location)
		}
		if o := answerOf(t, c.json("POST", path, "form_user", "x"), http.StatusForbidden); o.Code != "no-factor" {
			t.Errorf("%s: %+v", path, o.Problem)
		}
	}
	s.advance(11 * time.Minute)
	if r := c.get("/account/two-factor?set-up=totp"); !strings.HasPrefix(r.location, "/refresh") {
		t.Errorf("after 11 minutes: %d to %q", r.status, r.location)
	}
	wantRedirect(t, c.post("/refresh", "password", good, "next", "/account/two-factor?set-up=totp"), "/account/two-factor?set-up=totp")
	page := c.get("/account/two-factor?set-up=totp")
	wantStatus(t, page, http.StatusOK)
	f.app.give("right")
	wantStatus(t, c.submit(page, "/account/two-factor", "code", "right"), http.StatusSeeOther)
	wantStatus(t, c.get("/mine"), http.StatusOK)
}

// TestSetUpKeepsNext: a user who was sent to set up a second factor goes on to the page that
// they wanted, over the recovery codes, and not to another site.
func TestSetUpKeepsNext(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{"/mine": "/mine", "https://evil.example/": "/account/two-factor", "//evil.example": "/account/two-factor", "javascript:alert(1)": "/account/two-factor"} {
		s, f := newUnprotected(t, nil)
		c := s.user("susan", good)
		c.get("/account/two-factor?next=" + url.QueryEscape(next))
		page := c.get("/account/two-factor?set-up=totp&next=" + url.QueryEscape(next))
		f.app.give("right")
		r := c.submit(page, "/account/two-factor", "code", "right")
		if path, _, _ := strings.Cut(r.location, "?"); path != "/account/recovery-codes" {
			t.Fatalf("%s: the setup leads to %q", next, r.location)
		}
		r = c.submit(c.get(r.location), "/account/recovery-codes")
		if got := link(t, r, "I have saved them"); got != want {
			t.Errorf("%s: the codes lead to %q, want %q", next, got, want)
		}
	}
}
