package pages_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
	"golang.org/x/net/html"
)

func TestLoginWithFactor(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := s.client()
	wantRedirect(t, c.post("/login", "login", "susan", "password", good, "next", "/mine?x=1"), "/login/verify?next=%2Fmine%3Fx%3D1")
	r := c.get("/login/verify?next=%2Fmine%3Fx%3D1")
	wantStatus(t, r, 200)
	accessible(t, r)
	wantHeaders(t, "the factor", r)
	doc := parse(t, r)
	if len(all(doc, with("role", "status"))) > 0 {
		t.Error("there is a message, which nobody needs")
	}
	if got := fields(t, r)["code"]; got != (field{"Code from your authenticator app", "text", "one-time-code", "", ""}) || len(fields(t, r)) != 1 {
		t.Errorf("the field is %+v", got)
	}
	if input := only(t, doc, with("id", "code")); attr(input, "inputmode") != "numeric" || !has(input, "autofocus") || has(input, "pattern") || has(input, "maxlength") {
		t.Errorf("the field is %v", input.Attr)
	}
	if main := text(only(t, doc, tag("main"))); !strings.Contains(main, "To go on as susan, confirm") || heading(t, r) != "Confirm that it is you" {
		t.Errorf("the page says %q", main)
	}
	if target := link(t, r, "Recovery codes"); target != "/login/verify?with=recovery&next=%2Fmine%3Fx%3D1" {
		t.Errorf("another way is %s", target)
	}
	if c.loggedIn() {
		t.Error("the password alone logs in")
	}

	f.app.give("right")
	r = c.submit(r, "/login/verify", "code", "wrong")
	wantErrors(t, r, map[string]string{"code": factorWrong})
	if typed := fields(t, r)["code"].value; typed != "" {
		t.Errorf("the code %q is in the page", typed)
	}
	r = c.submit(r, "/login/verify", "code", "right")
	wantRedirect(t, r, "/mine?x=1")
	if !c.loggedIn() {
		t.Error("not logged in")
	}
	if login := s.logins()[0]; strings.Join(login.Methods, " ") != "password totp" {
		t.Errorf("the login has shown %v", login.Methods)
	}
	wantRedirect(t, c.get("/login/verify?next=%2Fmine"), "/mine") // it is done
}

// TestBlankCode: a form without an answer is not counted.
func TestBlankCode(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := s.client()
	r := c.begin("next", "/mine")
	for range 10 {
		r = c.submit(r, "/login/verify", "code", " ")
		wantErrors(t, r, map[string]string{"code": "This field is required."})
	}
	f.app.give("right")
	wantRedirect(t, c.submit(r, "/login/verify", "code", "right"), "/mine")
}

// TestRememberMe: the wish to be remembered outlives the second factor.
func TestRememberMeWithFactor(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := f.enter(s, "remember_me", "y")
	c.restart()
	if !c.loggedIn() {
		t.Error("not remembered")
	}
	c = s.client()
	c.begin("remember_me", "y")
	c.restart()
	if c.loggedIn() {
		t.Error("remembered after the password alone")
	}
}

func TestLoginWithRecoveryCode(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := s.client()
	r := c.get(link(t, c.begin("next", "/mine"), "Recovery codes"))
	wantStatus(t, r, 200)
	accessible(t, r)
	if got := fields(t, r)["code"]; got != (field{"Recovery code", "text", "off", "", ""}) {
		t.Errorf("the field is %+v", got)
	}
	if has(only(t, parse(t, r), with("id", "code")), "inputmode") {
		t.Error("the keypad has no letters")
	}
	if target := link(t, r, "Authenticator app"); target != "/login/verify?with=totp&next=%2Fmine" {
		t.Errorf("another way is %s", target)
	}
	r = c.submit(r, "/login/verify", "code", "spare 5")
	wantErrors(t, r, map[string]string{"code": recoveryWrong})
	if got := fields(t, r)["code"]; got.label != "Recovery code" {
		t.Errorf("the page has gone on to %s", got.label)
	}
	s.kinds()
	wantRedirect(t, c.submit(r, "/login/verify", "code", "spare 1"), "/mine")
	if kinds := s.kinds(); !c.loggedIn() || kinds != "recovery-code-used susan@example.com" {
		t.Errorf("logged in: %v, mails %q", c.loggedIn(), kinds)
	}
	// One of two factors that are left is enough, and each code works once.
	c = s.client()
	r = c.get(link(t, c.begin(), "Recovery codes"))
	wantErrors(t, c.submit(r, "/login/verify", "code", "spare 1"), map[string]string{"code": recoveryWrong})
	f.recovery.set(s.account("susan").ID)
	if r := s.client().begin(); strings.Contains(r.body, "Try another way") {
		t.Error("there is another way for a user who has only one factor")
	}
}

// TestFactorLocked: while no answer is looked at, a right one is refused like a wrong one. Both
// say how long to wait.
func TestFactorLocked(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := s.client()
	r := c.begin()
	for range 4 {
		r = c.submit(r, "/login/verify", "code", "wrong")
		wantErrors(t, r, map[string]string{"code": factorWrong})
	}
	if got := r.header.Get("Retry-After"); got != "" {
		t.Errorf("before the lock, Retry-After is %s", got)
	}
	wantRedirect(t, c.submit(r, "/login/verify", "code", "wrong"), "/login")
	f.app.give("right")
	r = c.begin("next", "/mine")
	s.advance(10 * time.Second)
	r = c.submit(r, "/login/verify", "code", "right")
	wantErrors(t, r, map[string]string{"code": factorWrong})
	locked := r
	s.advance(21 * time.Second)
	r = c.submit(r, "/login/verify", "code", "wrong")
	wantErrors(t, r, map[string]string{"code": factorWrong})
	for name, want := range map[string]string{"20": locked.header.Get("Retry-After"), "60": r.header.Get("Retry-After")} {
		if name != want {
			t.Errorf("Retry-After is %q, want %s", want, name)
		}
	}
	if nonce := with("name", "form_once"); strings.ReplaceAll(locked.body, attr(only(t, parse(t, locked), nonce), "value"), "") != strings.ReplaceAll(r.body, attr(only(t, parse(t, r), nonce), "value"), "") {
		t.Error("the pages differ")
	}
	locked.header.Del("Retry-After")
	r.header.Del("Retry-After")
	for name := range r.header {
		if name != "Date" && name != "Content-Length" && !slices.Equal(locked.header[name], r.header[name]) {
			t.Errorf("%s is %q and %q", name, locked.header[name], r.header[name])
		}
	}
	s.advance(61 * time.Second)
	wantRedirect(t, c.submit(r, "/login/verify", "code", "right"), "/mine")
}

// TestFiveWrongCodes: after five wrong answers the user begins again, and gets to the same
// page as before.
func TestFiveWrongCodes(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := s.client()
	r := c.begin("next", "/mine")
	for range 4 {
		r = c.submit(r, "/login/verify", "code", "wrong")
		wantStatus(t, r, 422)
	}
	last := r
	f.app.give("right")
	wantRedirect(t, c.submit(last, "/login/verify", "code", "wrong"), "/login?next=%2Fmine")
	c.flashed("/login?next=%2Fmine", "warning: That took too long, or there were too many wrong tries. Please log in again.")
	wantRedirect(t, c.submit(last, "/login/verify", "code", "right"), "/login?next=%2Fmine")
	if c.loggedIn() {
		t.Error("a right code after five wrong ones logs in")
	}
}

func TestNoPending(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	f.app.give("right")
	for name, c := range map[string]*client{"a visitor": s.client(), "too late": func() *client {
		c := s.client()
		c.begin()
		s.advance(5 * time.Minute)
		return c
	}()} {
		for _, r := range []response{
			c.get("/login/verify?next=%2Fmine"),
			c.do(http.MethodHead, "/login/verify?next=%2Fmine", ""),
			c.get("/login/verify?with=totp&next=%2Fmine"),
			c.post("/login/verify?with=totp", "code", "right", "next", "/mine"),
			c.post("/login/verify", "next", "/mine"),
		} {
			if r.status != http.StatusSeeOther || r.location != "/login?next=%2Fmine" {
				t.Errorf("%s: %d to %s", name, r.status, r.location)
			}
		}
		c.flashed("/login", "warning: That took too long, or there were too many wrong tries. Please log in again.")
		if c.loggedIn() {
			t.Errorf("%s is logged in", name)
		}
	}
	// Who is logged in has nothing to show.
	s.create("anna")
	anna := s.user("anna", good)
	wantRedirect(t, anna.get("/login/verify?next=%2Fmine"), "/mine")
	wantRedirect(t, anna.post("/login/verify", "code", "right", "next", "/mine"), "/mine")
	wantStatus(t, s.client().post("/login/verify", "next", "//evil.example"), 303)
}

// TestFactorByGet: GET logs nobody in, and HEAD asks for nothing.
func TestFactorByGet(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := s.client()
	r := c.begin()
	f.app.give("right")
	prompts, _ := f.app.counts()
	wantStatus(t, c.get("/login/verify?with=totp&code=right"), 200)
	if after, _ := f.app.counts(); after != prompts+1 {
		t.Errorf("%d prompts for one page", after-prompts)
	}
	wantStatus(t, c.do(http.MethodHead, "/login/verify?with=totp&code=right", ""), 200)
	if after, _ := f.app.counts(); after != prompts+1 {
		t.Error("HEAD prompts")
	}
	if c.loggedIn() {
		t.Error("GET logs in")
	}
	wantErrors(t, c.post("/login/verify?with=totp&code=right", "code", ""), map[string]string{"code": "This field is required."})
	wantRedirect(t, c.submit(r, "/login/verify", "code", "right"), "/")
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := s.client()
	r := c.begin("next", "/mine")
	if button := only(t, formTo(t, r, "/logout", ""), tag("button")); text(button) != "Cancel" {
		t.Errorf("the button is %q", text(button))
	}
	wantRedirect(t, c.submit(r, "/logout", "cancel", "1"), "/login?next=%2Fmine")
	c.flashed("/login", "info: The login has been cancelled.")
	f.app.give("right")
	wantRedirect(t, c.submit(r, "/login/verify", "code", "right"), "/login?next=%2Fmine")
	if c.loggedIn() {
		t.Error("a cancelled login goes on")
	}
	// A user who only leaves the confirmation stays logged in.
	c = f.enter(s)
	s.advance(25 * time.Minute)
	wantRedirect(t, c.post("/refresh", "password", good), "/login/verify")
	if target := link(t, c.get("/login/verify"), "Cancel"); target != "/account" || !c.loggedIn() {
		t.Errorf("cancel leads to %s, logged in: %v", target, c.loggedIn())
	}
	wantRedirect(t, c.post("/logout"), "/")
	c.flashed("/login", "info: You have been logged out.")
}

// TestRefreshWithFactor: the confirmation of a login goes through the second factor, too.
func TestRefreshWithFactor(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := f.enter(s)
	s.advance(25 * time.Minute)
	wantRedirect(t, c.get("/account/email"), "/refresh?next=%2Faccount%2Femail")
	wantRedirect(t, c.press("/refresh?next=%2Faccount%2Femail", "password", good), "/login/verify?next=%2Faccount%2Femail")
	if r := c.get("/account/email"); r.status != http.StatusSeeOther {
		t.Errorf("the password alone confirms the login: %d", r.status)
	}
	r := c.get("/login/verify?next=%2Faccount%2Femail")
	wantStatus(t, r, 200)
	accessible(t, r)
	f.app.give("right")
	r = c.submit(r, "/login/verify", "code", "wrong")
	wantErrors(t, r, map[string]string{"code": factorWrong})
	wantRedirect(t, c.submit(r, "/login/verify", "code", "right"), "/account/email")
	wantStatus(t, c.get("/account/email"), 200)

	// After too many wrong answers, it begins at the password.
	s.advance(25 * time.Minute)
	wantRedirect(t, c.press("/refresh?next=%2Fmine", "password", good), "/login/verify?next=%2Fmine")
	r = c.get("/login/verify?next=%2Fmine")
	for range 4 {
		r = c.submit(r, "/login/verify", "code", "wrong")
		wantStatus(t, r, 422)
	}
	wantRedirect(t, c.submit(r, "/login/verify", "code", "wrong"), "/refresh?next=%2Fmine")
	c.flashed("/refresh", "warning: That took too long, or there were too many wrong tries. Please confirm your password again.")
	if !c.loggedIn() {
		t.Error("the login has ended")
	}
}

// TestFactorFormOfOther: the form that confirms a login is good for that login alone.
func TestFactorFormOfOther(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	s.create("anna", verified)
	c := f.enter(s)
	s.advance(25 * time.Minute)
	wantRedirect(t, c.post("/refresh", "password", good), "/login/verify")
	r := c.get("/login/verify")
	if attr(only(t, parse(t, r), with("name", "form_user")), "value") == "" {
		t.Error("the form is not tied to the user")
	}
	wantRedirect(t, c.post("/logout"), "/")
	wantRedirect(t, c.post("/login", "login", "anna", "password", good), "/")
	f.app.give("right")
	wantRedirect(t, c.submit(r, "/login/verify", "code", "right"), "/")
	if body := c.get("/mine").body; body != "anna" {
		t.Errorf("logged in is %q", body)
	}
	// Nor does it confirm a login of anna's.
	f.app.set(s.account("anna").ID, true)
	wantRedirect(t, c.post("/refresh", "password", good, "next", "/mine"), "/login/verify?next=%2Fmine")
	wantStatus(t, c.get("/login/verify"), 200)
	again := c.submit(r, "/login/verify", "code", "right")
	wantStatus(t, again, 409)
	accessible(t, again)
	if _, text := message(t, again); !strings.HasPrefix(text, "You are now logged in as anna.") {
		t.Errorf("the page says %q", text)
	}
	wantRedirect(t, c.submit(again, "/login/verify", "code", "right"), "/")
}

// TestFactorTwice: a user clicks twice. The second form leads to the same page, without a
// message, and is not counted.
func TestFactorTwice(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := s.client()
	r := c.begin("next", "/mine")
	f.app.give("right")
	first := c.http.Jar
	second := *c
	second.http.Jar = s.client().http.Jar
	for _, cookie := range c.sent {
		second.set(cookie.Name, cookie.Value)
	}
	wantRedirect(t, c.submit(r, "/login/verify", "code", "right"), "/mine")
	c.http.Jar = second.http.Jar // the browser sends the second form before it has read the answer
	again := c.submit(r, "/login/verify", "code", "right")
	wantRedirect(t, again, "/mine")
	if len(again.header.Values("Set-Cookie")) > 0 {
		t.Errorf("the second answer sets %v", again.header.Values("Set-Cookie"))
	}
	if c.loggedIn() {
		t.Error("a repetition logs in")
	}
	if c.http.Jar = first; !c.loggedIn() {
		t.Error("the first form has not logged in")
	}
}

// TestUnknownFactor: an answer to a factor that is not missing is not counted.
func TestUnknownFactor(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := s.client()
	c.begin()
	f.app.give("right")
	for _, with := range []string{"unknown", "%3Cscript%3E", "password%0a", "TOTP", strings.Repeat("a", 5000)} {
		for _, r := range []response{c.get("/login/verify?with=" + with), c.post("/login/verify?with="+with, "code", "right")} {
			wantStatus(t, r, 200)
			accessible(t, r)
			if got := fields(t, r)["code"].label; got != "Code from your authenticator app" || strings.Contains(r.body, with) {
				t.Errorf("%.20s: the page asks for %q", with, got)
			}
		}
	}
	wantRedirect(t, c.post("/login/verify", "code", "right"), "/") // the first one
}

// TestFactorNextInCookie: where to go is in a cookie through both steps.
func TestFactorNextInCookie(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nextInCookie)
	c := s.client()
	wantRedirect(t, c.get("/mine"), "/login")
	r := c.begin()
	f.app.give("right")
	wantRedirect(t, c.submit(r, "/login/verify", "code", "right"), "/mine")
	for _, next := range []string{"//evil.example", `/\evil.example`, "https://evil.example/", "/login", "/login/verify"} {
		c := s.client()
		r := c.begin("next", next)
		f.app.give("right")
		wantRedirect(t, c.submit(r, "/login/verify", "code", "right"), "/")
	}
}

// TestFactorWithoutField: a factor may ask for nothing to be typed.
func TestFactorWithoutField(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	f.app.prompt = auth.Prompt{Data: "x"}
	c := s.client()
	r := c.begin()
	if len(fields(t, r)) > 0 {
		t.Error("there is a field")
	}
	f.app.give("right")
	r = c.submit(r, "/login/verify")
	wantStatus(t, r, 422)
	if alert := text(only(t, parse(t, r), with("role", "alert"))); alert != factorWrong {
		t.Errorf("the page says %q", alert)
	}
	wantRedirect(t, c.submit(r, "/login/verify", "code", "right"), "/")
}

// TestFactorFails: a factor or a store that fails logs nobody in.
func TestFactorFails(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := s.client()
	page := c.begin()
	user := f.enter(s)
	f.app.give("right")
	f.app.fail(errDisk)
	for _, r := range []response{
		c.get("/login/verify"), c.submit(page, "/login/verify", "code", "right"), user.get("/account"),
		user.get("/account/two-factor"), user.get("/account/recovery-codes"),
		user.post("/account/two-factor", "remove", "totp"), user.post("/account/two-factor", "unlock", "totp"),
		user.get("/account/two-factor?set-up=totp"), user.post("/account/two-factor?set-up=totp", "code", "right"),
		user.post("/account/recovery-codes"),
	} {
		wantStatus(t, r, 503)
		wantHeaders(t, "a factor that fails", r)
	}
	wantRedirect(t, c.post("/logout"), "/") // but one can get out
	f.app.fail(nil)
	if c.loggedIn() || !user.loggedIn() {
		t.Error("logged in, or out")
	}
	s.store.fail(errDisk)
	wantStatus(t, s.client().get("/login/verify"), 303) // nobody is to be loaded
}

// TestNoFactors: without factors there are no such pages.
func TestNoFactors(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.user("susan", good)
	for _, path := range []string{"/login/verify", "/account/two-factor", "/account/recovery-codes"} {
		wantStatus(t, c.get(path), 404)
		wantStatus(t, c.post(path), 404)
	}
	if strings.Contains(c.get("/account").body, "Two-Factor") {
		t.Error("there is a link to it")
	}
	// Without a recovery factor there are no recovery codes.
	f := newFactors()
	s = newSite(t, func(a *auth.Config, _ *pages.Config) { a.Factors = []auth.Factor{f.app} })
	f.app.set(s.account("susan").ID, true)
	c = f.enter(s)
	wantStatus(t, c.get("/account/recovery-codes"), 404)
	for _, path := range []string{"/account", "/account/two-factor"} {
		if r := c.get(path); strings.Contains(r.body, "ecovery") {
			t.Errorf("%s has something about recovery codes", path)
		}
	}
}

// TestFactorNames: words and names cannot be markup, and a factor that the pages do not
// know is shown by its name.
func TestFactorNames(t *testing.T) {
	t.Parallel()
	f := newFactors()
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		other := &appFactor{name: "x.y", enrolled: map[string]bool{}}
		a.Factors = []auth.Factor{f.app, other, f.recovery}
		c.Texts.TOTPName, c.Texts.TOTPCode, c.Texts.FactorWrong = "<b>App</b>", "<b>Code</b>", "<b>Wrong</b>"
	})
	s.update("susan", func(a *auth.Account) {
		a.Username = "<b>susan</b>"
		a.EmailVerified = true
	})
	id := s.account("susan@example.com").ID
	f.app.set(id, true)
	f.app.prompt = auth.Prompt{Field: "code", Autocomplete: `"><script>`}
	c := s.client()
	wantRedirect(t, c.post("/login", "login", "susan@example.com", "password", good), "/login/verify")
	r := c.submit(c.get("/login/verify"), "/login/verify", "code", `"><script>`)
	wantErrors(t, r, map[string]string{"code": "<b>Wrong</b>"})
	if strings.Contains(r.body, "<b>") || !strings.Contains(text(only(t, parse(t, r), tag("main"))), "as <b>susan</b>, confirm") {
		t.Errorf("markup is in the page:\n%s", r.body)
	}
	f.app.give("right")
	wantRedirect(t, c.post("/login/verify", "code", "right"), "/")
	r = c.get("/account/two-factor")
	accessible(t, r)
	if main := text(only(t, parse(t, r), tag("main"))); strings.Contains(r.body, "<b>") || !strings.Contains(main, "<b>App</b>") || !strings.Contains(main, "x.y Off") {
		t.Errorf("the page says %q", main)
	}
	r = c.get("/account/two-factor?set-up=x.y")
	if heading(t, r) != "Set up: x.y" || fields(t, r)["code"].label != "Code" {
		t.Errorf("%s, %v", heading(t, r), fields(t, r))
	}
	f.app.set(id, false)
	f.app.setup = auth.Setup{Secret: auth.NewSecret("<b>x</b>"), URL: auth.NewSecret(`otpauth://"><b>`), Prompt: auth.Prompt{Field: "code"}}
	c = s.client()
	wantRedirect(t, c.post("/login", "login", "susan@example.com", "password", good), "/")
	r = c.get("/account/two-factor?set-up=totp")
	accessible(t, r)
	if strings.Contains(r.body, "<b>") || heading(t, r) != "Set up: <b>App</b>" || text(only(t, parse(t, r), tag("code"))) != "<b>x </b>" {
		t.Errorf("markup is in the page:\n%s", r.body)
	}
}

// TestTrustBrowser: a user can have the page not ask in this browser for 30 days, and can take
// that back. A confirmation offers no such thing.
func TestTrustBrowser(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, func(a *auth.Config, _ *pages.Config) { a.TrustFor = 30 * 24 * time.Hour })
	c := s.client()
	page := c.begin()
	if !strings.Contains(page.body, "Do not ask in this browser for 30 days") {
		t.Fatal("the page does not offer it")
	}
	wantErrors(t, c.submit(page, "/login/verify", "code", "", "trust_browser", "y"), map[string]string{"code": "This field is required."})
	f.app.give("enter")
	wantRedirect(t, c.submit(page, "/login/verify", "code", "enter", "trust_browser", "y"), "/")
	wantRedirect(t, c.post("/logout"), "/")
	wantRedirect(t, c.post("/login", "login", "susan", "password", good), "/")
	wantStatus(t, c.get("/mine"), http.StatusOK)
	s.advance(21 * time.Minute)
	r := c.post("/refresh", "password", good)
	if !strings.HasPrefix(r.location, "/login/verify") || strings.Contains(c.get(r.location).body, "trust_browser") {
		t.Errorf("the confirmation leads to %q, or offers to trust the browser", r.location)
	}
	other := s.client()
	if r := other.post("/login", "login", "susan", "password", good); !strings.HasPrefix(r.location, "/login/verify") {
		t.Errorf("another browser is not asked: %q", r.location)
	}
	list := c.get("/account/two-factor")
	if !strings.Contains(list.body, "Browsers that are not asked for a code: 1.") {
		t.Error("the list does not say that a browser is trusted")
	}
	if link(t, list, "Where you are logged in") != "/account/sessions" {
		t.Error("no way to the list of browsers")
	}
	f.app.give("refresh")
	wantRedirect(t, c.submit(c.get(r.location), "/login/verify", "code", "refresh"), "/")
	f.app.give("trust")
	wantRedirect(t, other.submit(other.get("/login/verify"), "/login/verify", "code", "trust", "trust_browser", "y"), "/")
	trusted := func() (found []*html.Node) {
		r := c.get("/account/sessions")
		accessible(t, r)
		lists := all(only(t, parse(t, r), tag("main")), tag("ul"))
		if len(lists) > 1 {
			found = all(lists[1], tag("li"))
		}
		return found
	}
	found := trusted()
	if len(found) != 2 || !strings.Contains(text(found[1]), "This browser") || strings.Contains(text(found[0]), "This browser") ||
		!strings.Contains(text(found[1]), "Trusted since 21 Nov 2026 until 21 Dec 2026 127.0.0.1 Ask for a code again") {
		t.Fatalf("%d browsers are trusted: %s", len(found), text(found[len(found)-1]))
	}
	// Of another user, it is as if there were none.
	s.create("mike", verified)
	mike := s.user("mike", good)
	id := attr(only(t, found[0], with("name", "distrust")), "value")
	wantStatus(t, mike.post("/account/sessions", "distrust", id), http.StatusNotFound)
	wantRedirect(t, c.post("/account/sessions", "distrust", id), "/account/sessions")
	if category, text := message(t, c.get("/account/sessions")); category != "success" || text != "The browser will be asked for a code again." {
		t.Errorf("%s: %s", category, text)
	}
	if found := trusted(); len(found) != 1 || !strings.Contains(text(found[0]), "This browser") {
		t.Errorf("%d browsers are trusted", len(found))
	}
	wantRedirect(t, other.post("/logout"), "/")
	if r := other.post("/login", "login", "susan", "password", good); !strings.HasPrefix(r.location, "/login/verify") {
		t.Errorf("the other browser is still trusted: %q", r.location)
	}
	wantRedirect(t, c.post("/account/sessions", "distrust", ""), "/account/sessions")
	if found := trusted(); len(found) != 0 {
		t.Errorf("%d browsers are trusted", len(found))
	}
	wantRedirect(t, c.post("/logout"), "/")
	if r := c.post("/login", "login", "susan", "password", good); !strings.HasPrefix(r.location, "/login/verify") {
		t.Errorf("the browser is still trusted: %q", r.location)
	}
	off, _ := newFactorSite(t, nil)
	if strings.Contains(off.client().begin().body, "trust_browser") {
		t.Error("it is offered without TrustFor")
	}
}

// TestLastFactorFirst: the page asks first for the factor that was used last in this browser.
func TestLastFactorFirst(t *testing.T) {
	t.Parallel()
	card := newFactors().app
	card.name = "card"
	s, f := newFactorSite(t, func(a *auth.Config, _ *pages.Config) { a.Factors = append(a.Factors, card) })
	id := s.account("susan").ID
	card.set(id, true)
	cookie := s.manager.Cookie("factor").Name
	asks := func(what string, c *client, want string) response {
		t.Helper()
		r := c.begin()
		if got := formTo(t, r, "/login/verify", ""); attr(got, "action") != "/login/verify?with="+want {
			t.Errorf("%s the page asks for %s, want %s", what, attr(got, "action"), want)
		}
		return r
	}
	use := func(c *client, r response, factor, code string) {
		t.Helper()
		if factor != "totp" {
			r = c.get("/login/verify?with=" + factor)
		}
		wantRedirect(t, c.submit(r, "/login/verify", "code", code), "/")
		wantRedirect(t, c.post("/logout"), "/")
	}
	c := s.client()
	r := asks("at first", c, "totp")
	card.give("wrong")
	c.submit(c.get("/login/verify?with=card"), "/login/verify", "code", "other")
	given := func(sent *http.Cookie) bool { return sent.Name == cookie }
	if slices.ContainsFunc(c.sent, given) {
		t.Error("a wrong answer sets the cookie")
	}
	card.give("right")
	use(c, r, "card", "right")
	if i := slices.IndexFunc(c.sent, given); i < 0 || c.sent[i].Value != "card" || c.sent[i].MaxAge != 30*24*60*60 || !c.sent[i].HttpOnly {
		t.Errorf("the cookies are %v", c.sent)
	}
	r = asks("after the card", c, "card")
	if link(t, r, "Authenticator app") != "/login/verify?with=totp" || link(t, r, "Recovery codes") != "/login/verify?with=recovery" {
		t.Error("there is no other way")
	}
	asks("in another browser", s.client(), "totp")
	use(c, r, "recovery", "spare 1")
	r = asks("after a recovery code", c, "card")
	f.app.give("right")
	use(c, c.get(link(t, r, "Authenticator app")), "totp", "right")
	asks("after the app", c, "totp")

	base, err := url.Parse(s.url)
	check(t, err)
	keep := func(value string) {
		c.http.Jar.SetCookies(base, []*http.Cookie{{Name: cookie, Value: value, Path: "/"}})
	}
	keep("card")
	card.set(id, false)
	asks("without the factor of the cookie", c, "totp")
	for _, value := range []string{"", "nothing", "recovery,card", strings.Repeat("a", 4000)} {
		keep(value)
		asks("with another cookie", c, "totp")
	}
}

// takenOut has susan set up a factor that the site's configuration does not have any more.
func (s *site) takenOut() {
	s.t.Helper()
	f := newFactors().app
	f.name = "card"
	f.give("right")
	cfg := config(s)
	cfg.Factors = []auth.Factor{f}
	manager, err := auth.New(s.store, cfg)
	check(s.t, err)
	handler := manager.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		susan := s.account("susan")
		check(s.t, manager.LoginUser(r.Context(), &susan))
		check(s.t, manager.EnrollFactor(r.Context(), "card", url.Values{"code": {"right"}}))
	}))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/", nil))
}

// TestFactorTakenOut: a user whose only factor is not in the configuration any more is told to
// ask for help, and can use recovery codes.
func TestFactorTakenOut(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	id := s.account("susan").ID
	f.app.set(id, false)
	f.recovery.set(id)
	s.takenOut()
	const lost = "This site cannot ask for your second factor at the moment"
	c := s.client()
	r := c.begin("next", "/mine")
	accessible(t, r)
	wantHeaders(t, "the factor", r)
	if !strings.Contains(text(only(t, parse(t, r), tag("main"))), lost) || len(fields(t, r)) != 0 {
		t.Errorf("the page is %s", r.body)
	}
	for _, path := range []string{"/login/verify", "/login/verify?with=card", "/login/verify?with=totp"} {
		r = c.post(path, "code", "right")
		wantStatus(t, r, http.StatusOK)
		if !strings.Contains(r.body, lost) || c.loggedIn() {
			t.Errorf("an answer at %s: %s", path, r.body)
		}
	}
	wantRedirect(t, c.submit(r, "/logout"), "/login")
	wantRedirect(t, c.get("/login/verify"), "/login")

	f.recovery.set(id, "spare 1")
	c = s.client()
	r = c.begin("next", "/mine")
	if len(fields(t, r)) != 1 || strings.Contains(r.body, lost) {
		t.Errorf("with a recovery code the page is %s", r.body)
	}
	wantRedirect(t, c.submit(r, "/login/verify", "code", "spare 1"), "/mine")

	check(t, s.manager.ResetFactors(t.Context(), id))
	c = s.client()
	wantRedirect(t, c.post("/login", "login", "susan", "password", good), "/")
}

// TestNoFactorsAtAll: without Factors there is no page that could ask, and the login page
// refuses.
func TestNoFactorsAtAll(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.update("susan", verified)
	s.takenOut()
	c := s.client()
	r := c.post("/login", "login", "susan", "password", good)
	wantStatus(t, r, http.StatusUnprocessableEntity)
	if c.loggedIn() || !strings.Contains(s.log(), "Config.Factors") {
		t.Errorf("the log is %s", s.log())
	}
}
