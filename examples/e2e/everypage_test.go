package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/examples/internal/phone"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/oauth"
	"github.com/go-login/auth/pages"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/totp"
)

// A tour goes through every page of an application in which everything is switched on.
type tour struct {
	*passkeySite
	t       *testing.T
	browser context.Context

	lang                     string
	name, address, elsewhere string // the user's name and address, and the address that it is changed to
}

// TestEveryPage goes through every page with the longest names and addresses, in German and, only if
// it takes pictures, in Spanish.
func TestEveryPage(t *testing.T) {
	path := testapp.Need(t, "GOLOGIN_CHROMIUM")
	quiet(t)
	browser := startBrowser(t, path, t.TempDir())
	// 254 bytes, in wide letters
	domain := strings.Repeat(strings.Repeat("m", 61)+".", 3) + "example"
	for _, v := range []tour{
		{lang: "en", name: strings.Repeat("w", 60), address: strings.Repeat("w", 60) + "@" + domain, elsewhere: strings.Repeat("m", 60) + "@" + domain},
		{lang: "de", name: "maximiliane", address: "maximiliane.mustermann@post.example", elsewhere: "maxi@post.example"},
		{lang: "es", name: "concepcion", address: "concepcion.rodriguez@correo.example", elsewhere: "concha@correo.example"},
	} {
		if v.lang == "es" && !pictures() {
			continue
		}
		t.Run(v.lang, func(t *testing.T) {
			v.t, v.browser, v.passkeySite = t, browser, newEverythingSite(t)
			v.visitor()
			v.failures()
			v.acting()
			v.user()
		})
	}
}

// The errors of /fail/{error}: those that are shown on a page of their own.
var everyFailure = map[string]error{
	"form": auth.ErrOtherUser, "conflict": auth.ErrConflict, "forbidden": auth.ErrForbidden, "renewed": auth.ErrReplaced,
	"cross-origin": auth.ErrCrossOrigin, "busy": auth.ErrBusy, "broken": errors.New("broken"), "missing": auth.ErrUserNotFound,
	"too-many": &auth.RateLimitError{RetryAfter: 50 * time.Minute}, "form-busy": auth.ErrFormBusy, "inbox": auth.ErrCheckMail,
}

// newEverythingSite starts an application in which everything is switched on.
func newEverythingSite(t *testing.T) *passkeySite {
	t.Helper()
	return newOwnSite(t, func(cfg *auth.Config) {
		cfg.Factors = []auth.Factor{passkey.New(passkey.Config{}), totp.New(totp.Issuer("Everything")), totp.RecoveryCodes()}
		cfg.Languages, cfg.EmailLogin, cfg.TrustFor = []string{"en", "de", "es"}, true, 30*24*time.Hour
		cfg.Password.HashParams = authtest.HashParams()
		cfg.Roles = auth.RoleConfig{Permissions: []string{"act"}, Grants: map[string][]string{"admin": {"act"}}}
		cfg.Impersonation = auth.ImpersonationConfig{Permission: "act", NoMail: true}
	}, pages.Config{Site: "Everything", MaxUsername: 64, NoPasskeyOffer: true}, func(mux *http.ServeMux, m *auth.Manager[*member]) {
		providers, err := oauth.New(m.Core, oauth.Provider{
			Name: "down", Label: "Muster & Söhne", Issuer: "http://127.0.0.1:9", ClientID: "id", ClientSecret: auth.NewSecret("secret"), SignUp: true,
		})
		check(t, err)
		providers.Mount(mux)
		mux.HandleFunc("GET /fail/{error}", func(w http.ResponseWriter, r *http.Request) { m.Error(w, r, everyFailure[r.PathValue("error")]) })
		mux.HandleFunc("GET /as/{name}", func(w http.ResponseWriter, r *http.Request) { // logs in
			user, err := m.FindUser(r.Context(), r.PathValue("name"))
			if err == nil {
				err = m.LoginUser(r.Context(), user)
			}
			answerPlainly(w, r, m.Core, err)
		})
		mux.HandleFunc("GET /act/{name}", func(w http.ResponseWriter, r *http.Request) { // impersonates
			user, err := m.FindUser(r.Context(), r.PathValue("name"))
			if err == nil {
				err = m.Impersonate(r.Context(), user.ID)
			}
			answerPlainly(w, r, m.Core, err)
		})
	})
}

func answerPlainly(w http.ResponseWriter, r *http.Request, core *auth.Core, err error) {
	if err != nil {
		core.Error(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!doctype html><html lang=en><title>Done</title><p>Done")
}

// open opens a narrow window in the language of the tour.
func (v *tour) open() *tab {
	v.t.Helper()
	b := newWindow(v.t, v.browser, v.site)
	_, err := chromedp.Call(b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", AcceptLanguage: v.lang,
	})
	check(v.t, err)
	b.show("light", 320) // the narrowest: 1280 at 400 %
	return b
}

// as opens a window in which the user is logged in.
func (v *tour) as(name string) *tab {
	v.t.Helper()
	b := v.open()
	b.open("/as/"+name, "/as/"+name)
	return b
}

// app returns the authenticator app for which the page has a link.
func (v *tour) app(b *tab) *phone.Phone {
	v.t.Helper()
	app, err := phone.New(b.eval(`document.querySelector('main a[href^="otpauth:"]').href`))
	check(v.t, err)
	return app
}

// mailed returns the link of the next mail.
func (v *tour) mailed() string {
	v.t.Helper()
	return strings.TrimPrefix(v.mailedLink(v.t), v.url)
}

// look checks a page. The tour in English also checks it from right to left,
// and has axe look at it. With GOLOGIN_SCREENSHOTS, it takes pictures.
func (v *tour) look(b *tab, name string) {
	b.t.Helper()
	if got := value(b, chromedp.Evaluate[string](`document.documentElement.lang`)); got != v.lang {
		b.t.Errorf("%s is in %q", name, got)
	}
	b.measure(v.lang + "-" + name)
	if v.lang == "en" {
		b.do(chromedp.Evaluate[chromedp.Void](`document.documentElement.dir = "rtl"`))
		b.measure("rtl-" + name)
		if pictures() {
			for _, width := range []int64{360, 1280} {
				b.show("light", width)
				b.save(fmt.Sprintf("rtl-%s-light-%d", name, width), chromedp.CaptureScreenshot()) // Chromium moves a FullScreenshot sideways
			}
		}
		b.do(chromedp.Evaluate[chromedp.Void](`document.documentElement.dir = "ltr"`))
		for _, fault := range b.axe() {
			b.t.Errorf("%s: %s", name, fault)
		}
	}
	if pictures() {
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{360, 768, 1280} {
				b.show(scheme, width)
				b.picture(fmt.Sprintf("%s-%s-%s-%d", v.lang, name, scheme, width))
			}
		}
		b.show("light", 320)
	}
}

// measure checks what can be measured.
func (b *tab) measure(name string) {
	b.t.Helper()
	for _, fault := range value(b, chromedp.Evaluate[[]string](faults)) {
		b.t.Errorf("%s: %s", name, fault)
	}
}

// visitor registers, forgets the password, and logs in by mail.
func (v *tour) visitor() {
	b := v.open()
	b.open("/login", "/login")
	v.look(b, "login")
	b.submit("/login", 422)
	v.look(b, "login-empty")
	b.submit("/login", 422, "login", v.name, "password", "a wrong password")
	v.look(b, "login-error")
	b.open("/register", "/register")
	v.look(b, "register")
	b.submit("/register", 422, "username", "x", "email", v.address[:20], "password", "short", "confirm_password", "shorter")
	v.look(b, "register-errors")
	b.open("/register", "/register")
	b.submit("/login", 200, "username", v.name, "email", v.address, "password", good, "confirm_password", good)
	v.look(b, "login-registered")

	b.open("/forgot-password", "/forgot-password")
	v.look(b, "forgot")
	b.submit("/check-inbox", 200, "email", v.address)
	v.look(b, "inbox-forgot")
	b.open(v.mailed(), "/reset-password")
	v.look(b, "reset")
	b.submit("/reset-password", 422, "password", "short", "confirm_password", "shorter")
	v.look(b, "reset-errors")

	b.open("/login/code", "/login/code")
	v.look(b, "code-ask")
	b.submit("/login/code", 200, "email", v.address)
	v.look(b, "code")
	b.submit("/login/code", 422, "code", "wrong")
	v.look(b, "code-error")
	other := v.open()
	link := v.mailed()
	other.open(link, "/login/code")
	v.look(other, "code-link-other")
	another := v.open()
	another.open("/login/code?token=old", "/login/code")
	v.look(another, "code-link-invalid")
}

// failures looks at the pages for errors, and at those of package oauth.
func (v *tour) failures() {
	b := v.open()
	for name := range everyFailure {
		b.do(chromedp.Navigate(v.url + "/fail/" + name))
		v.look(b, "fail-"+name)
	}
	b.arrive("/no-such-page", 404, chromedp.Navigate(v.url+"/no-such-page"))
	v.look(b, "fail-not-found")
	b.do(chromedp.Navigate(v.url + "/oauth/down/callback?state=s&code=c"))
	v.look(b, "oauth-again")
	b.open("/login", "/login")
	b.do(click(`form[action="/oauth/down"] button`), chromedp.WaitReady(chromedp.CSS("main:not(:has(input))")))
	v.look(b, "oauth-unavailable")
}

// user looks at the pages of the account, and closes it.
func (v *tour) user() {
	late := v.open() // has the login page open while another tab logs in
	late.open("/login", "/login")
	late2 := late.another()
	late2.open("/as/"+v.name, "/as/"+v.name)
	late.submit("/login", 409, "login", "another", "password", good)
	v.look(late, "switch")

	b := v.as(v.name)
	d := b.addDevice()
	for _, page := range []string{"account", "account/password", "account/email", "account/close", "account/two-factor", "account/passkeys", "account/identities", "verify-email", "forgot-password"} {
		b.open("/"+page, "/"+page)
		v.look(b, "new-"+strings.ReplaceAll(page, "/", "-"))
	}
	b.arrive("/account/two-factor?set-up=totp", 403, chromedp.Navigate(v.url+"/account/two-factor?set-up=totp"))
	v.look(b, "two-factor-unverified")

	b.open("/verify-email", "/verify-email")
	b.submit("/check-inbox", 200)
	v.look(b, "inbox-verify")
	b.open(v.mailed(), "/verify-email")
	v.look(b, "verify")
	b.submit("/", 200)

	b.open("/account/password", "/account/password")
	b.submit("/account/password", 422, "current_password", "wrong", "password", "short", "confirm_password", "shorter")
	v.look(b, "password-errors")
	b.open("/account/close", "/account/close")
	b.submit("/account/close", 422)
	v.look(b, "close-errors")
	b.open("/account/two-factor?set-up=totp", "/account/two-factor?set-up=totp")
	v.look(b, "two-factor-setup")
	app := v.app(b)
	b.submit("/account/two-factor?set-up=totp", 422, "code", b.wrong(app))
	v.look(b, "two-factor-setup-error")
	b.submit("/account/recovery-codes", 200, "code", b.code(app))
	v.look(b, "codes-none")
	b.submit("/account/recovery-codes", 200)
	v.look(b, "codes-new")
	codes := strings.Fields(b.textOf("main pre"))
	b.open("/account/recovery-codes", "/account/recovery-codes")
	v.look(b, "codes")

	b.open(passkeysPage+"?add=1", passkeysPage+"?add=1")
	v.look(b, "passkeys-add")
	b.arrive(passkeysPage, 200, click(passkeyButton))
	v.look(b, "passkeys-added")
	b.arrive(passkeysPage+"?rename="+v.keys(v.t, v.name)[0].ID, 200, click("main li a"))
	b.do(chromedp.Clear(chromedp.ID("name")))
	b.submit(passkeysPage, 200, "name", strings.Repeat(v.name, 60)[:60])
	v.look(b, "passkeys-renamed")
	d.touches(false)

	// Another browser, which is trusted.
	other := v.open()
	_, err := chromedp.Call(other.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
		UserAgent: "a program without a name that anybody knows/1.0 " + strings.Repeat("w", 100), AcceptLanguage: v.lang,
	})
	check(v.t, err)
	other.open("/login", "/login")
	other.do(click(`label[for="remember_me"]`))
	other.submit("/login/verify", 200, "login", v.name, "password", good)
	v.look(other, "verify-passkey")
	other.arrive("/login/verify?with=totp", 200, click(`main a[href^="/login/verify?with=totp"]`))
	v.look(other, "verify-totp")
	other.submit("/login/verify?with=totp", 422, "code", other.wrong(app))
	v.look(other, "verify-totp-error")
	other.arrive("/login/verify?with=recovery-code", 200, click(useCodeLink))
	v.look(other, "verify-recovery")
	other.fill("code", codes[0])
	other.do(click(`label[for="trust_browser"]`))
	other.submit("/", 200)

	for _, page := range []string{"account", "account/sessions", "account/two-factor", "refresh"} {
		b.open("/"+page, "/"+page)
		v.look(b, strings.ReplaceAll(page, "/", "-"))
	}
	b.open("/refresh", "/refresh")
	b.arrive("/refresh", 422, chromedp.SendKeys(chromedp.ID("password"), "a wrong password\n")) // the first button is the passkey's
	v.look(b, "refresh-error")

	b.open("/account/email", "/account/email")
	b.submit("/account/email", 422, "email", v.elsewhere[:10]+"@")
	v.look(b, "email-error")
	b.do(chromedp.Clear(chromedp.ID("email")))
	b.submit("/check-inbox", 200, "email", v.elsewhere)
	v.look(b, "inbox-email")
	b.open(v.mailed(), "/account/email")
	v.look(b, "email-confirm")
	b.submit("/account", 200)
	v.look(b, "account-changed")
	visitor := v.open()
	visitor.open(v.mailed(), "/undo-email")
	v.look(visitor, "undo")

	b.open("/account/close", "/account/close")
	b.fill("current_password", good)
	b.do(click(`label[for="confirm"]`))
	b.submit("/account/close", 200)
	v.look(b, "closed")
}

// acting looks at the pages of a user for whom an administrator acts.
func (v *tour) acting() {
	_, err := v.core.CreateUser(v.t.Context(), auth.Registration{Username: "admin", Email: "admin@example.com"}, "admin")
	check(v.t, err)
	invited := v.open()
	invited.open(v.mailed(), "/reset-password")
	invited.submit("/login", 200, "password", good, "confirm_password", good)
	admin := v.as("admin") // and with a second factor, without which nobody may act as a user
	admin.open("/account/two-factor?set-up=totp", "/account/two-factor?set-up=totp")
	admin.submit("/account/recovery-codes", 200, "code", admin.code(v.app(admin)))
	admin.open("/act/"+v.name, "/act/"+v.name)
	for _, page := range []string{"account", "account/sessions"} {
		admin.open("/"+page, "/"+page)
		v.look(admin, "acting-"+strings.ReplaceAll(page, "/", "-"))
	}
	admin.arrive("/account/close", 403, chromedp.Navigate(v.url+"/account/close"))
	v.look(admin, "acting-forbidden")
}
