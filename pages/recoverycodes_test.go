package pages_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

// TestRecoveryCodes: new codes are shown once, and replace the old ones.
func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c, elsewhere := f.enter(s), f.enter(s)
	r := c.get("/account/recovery-codes")
	wantStatus(t, r, 200)
	accessible(t, r)
	if main := text(only(t, parse(t, r), tag("main"))); !strings.Contains(main, "Recovery codes left: 4.") || heading(t, r) != "Recovery codes" || button(t, r) != "Make new codes" {
		t.Errorf("the page says %q", main)
	}
	s.kinds()
	r = c.submit(r, "/account/recovery-codes")
	wantStatus(t, r, 200)
	accessible(t, r)
	wantHeaders(t, "the codes", r)
	codes := strings.Fields(text(only(t, parse(t, r), tag("pre"))))
	if len(codes) != 10 || codes[0] != "set1-code0" {
		t.Errorf("the codes are %v", codes)
	}
	if link(t, r, "I have saved them") != "/account/two-factor" || !strings.Contains(r.body, "Keep them somewhere safe; they are shown only once.") {
		t.Error("the page does not say what to do")
	}
	file, err := url.PathUnescape(strings.TrimPrefix(link(t, r, "Download"), "data:text/plain;charset=utf-8,"))
	if err != nil || file != strings.Join(codes, "\r\n")+"\r\n" {
		t.Errorf("the file is %q, %v", file, err)
	}
	if len(all(only(t, parse(t, r), tag("main")), tag("form"))) > 0 {
		t.Error("a button would make other codes")
	}
	if kinds := s.kinds(); kinds != "recovery-codes susan@example.com" || elsewhere.loggedIn() || !c.loggedIn() {
		t.Errorf("mails %q", kinds)
	}
	for _, path := range []string{"/account/recovery-codes", "/account/two-factor", "/account"} {
		if r := c.get(path); r.status != 200 || strings.Contains(r.body, "set1-") {
			t.Errorf("%s is %d and shows the codes again", path, r.status)
		}
	}
	if strings.Contains(s.log(), "set1-") {
		t.Error("the codes are in the log")
	}
	other := s.client()
	r = other.get(link(t, other.begin(), "Recovery codes"))
	r = other.submit(r, "/login/verify", "code", "spare 1")
	wantErrors(t, r, map[string]string{"code": recoveryWrong})
	wantRedirect(t, other.submit(r, "/login/verify", "code", codes[3]), "/")
}

// TestRecoveryCodesByGet: neither GET nor HEAD makes codes.
func TestRecoveryCodesByGet(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := f.enter(s)
	wantStatus(t, c.get("/account/recovery-codes"), 200)
	wantStatus(t, c.do(http.MethodHead, "/account/recovery-codes", ""), 200)
	if n, err := f.recovery.Left(t.Context(), s.account("susan").ID); err != nil || n != 4 {
		t.Errorf("%d codes, %v", n, err)
	}
}

// TestRecoveryCodesAlone: a user without another factor needs none, and gets none.
func TestRecoveryCodesAlone(t *testing.T) {
	t.Parallel()
	s, f := newUnprotected(t, nil)
	c := s.user("susan", good)
	wantRedirect(t, c.get("/account/recovery-codes"), "/account/two-factor")
	wantRedirect(t, c.post("/account/recovery-codes"), "/account/two-factor")
	if n, err := f.recovery.Left(t.Context(), s.account("susan").ID); err != nil || n != 0 {
		t.Errorf("%d codes, %v", n, err)
	}
	// The verified address was needed for the first factor.
	f.app.set(s.account("susan").ID, true)
	s.update("susan", func(a *auth.Account) { a.EmailVerified = false })
	wantStatus(t, f.enter(s).post("/account/recovery-codes"), 200)
}
