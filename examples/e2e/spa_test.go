package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/go-login/auth/internal/testapp"
)

// TestSPA (J9): the single page of examples/spa registers, logs in with a password and then a
// code, logs in by a passkey, logs out, and shows who is logged in.
func TestSPA(t *testing.T) {
	path := testapp.Need(t, "GOLOGIN_CHROMIUM")
	browser := startBrowser(t, path, t.TempDir())
	b := newWindow(t, browser, startExample(t, "spa"))
	b.addDevice()
	b.open("/", "/")
	b.part("out")
	b.fillForm("register", "username", "sam", "email", "sam@example.com", "password", "short")
	b.eventually(`document.getElementById("message").textContent.includes("at least")`)
	b.part("out")
	b.fillForm("register", "username", "sam", "email", "sam@example.com", "password", good)
	b.who("sam")
	b.out()
	b.fillForm("login", "login", "sam", "password", "wrong")
	b.eventually(`document.getElementById("message").textContent.startsWith("We could not log you in.")`)
	b.fillForm("login", "login", "sam", "password", good)
	b.who("sam")

	// The user sets up an app, and logs in with a code.
	b.open("/account/two-factor?set-up=totp", "/account/two-factor?set-up=totp")
	app := b.scan()
	b.submit("/account/recovery-codes", 200, "code", b.code(app))
	b.newCodes()
	b.open("/", "/")
	b.who("sam")
	b.out()
	b.fillForm("login", "login", "sam", "password", good)
	b.part("factor")
	b.open("/", "/") // the login still waits
	b.part("factor")
	b.wantText("Code from your authenticator app")
	b.fillForm("verify", "code", b.wrong(app))
	b.eventually(`document.getElementById("message").textContent.includes("wrong")`)
	b.fillForm("verify", "code", b.code(app))
	b.who("sam")

	// The user adds a passkey, and logs in by it alone.
	b.addPasskey(passkeysPage)
	b.open("/", "/")
	b.who("sam")
	b.out()
	b.do(click("#by-passkey"))
	b.who("sam")
	b.open("/", "/") // the login is in a cookie, which no script can read
	b.who("sam")
	cookies, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{})
	check(t, err)
	for _, cookie := range cookies.Cookies {
		if !cookie.HTTPOnly {
			t.Errorf("the script can read %s", cookie.Name)
		}
	}
	if len(cookies.Cookies) == 0 {
		t.Error("no cookies")
	}
	b.out()
}

// part waits until the page shows this part only.
func (b *tab) part(id string) {
	b.t.Helper()
	b.eventually(`[...document.querySelectorAll("section:not([hidden])")].map((s) => s.id).join() === "` + id + `"`)
}

// who waits until the page shows that this user is logged in.
func (b *tab) who(name string) {
	b.t.Helper()
	b.part("in")
	if got := strings.TrimSpace(value(b, chromedp.TextContent(chromedp.CSS("#user")))); got != name {
		b.t.Fatalf("the page says that %q is logged in", got)
	}
}

// out logs out on the page.
func (b *tab) out() {
	b.t.Helper()
	b.do(click("#logout button"))
	b.part("out")
}

// fillForm fills in a form of the page, and sends it.
func (b *tab) fillForm(form string, fields ...string) {
	b.t.Helper()
	for i := 0; i < len(fields); i += 2 {
		b.do(chromedp.SendKeys(chromedp.CSS("#"+form+` [name="`+fields[i]+`"]`), fields[i+1]))
	}
	b.do(click("#" + form + " button"))
}
