package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/go-login/auth/internal/testapp"
)

func TestBrowser(t *testing.T) {
	path := testapp.Need(t, "GOLOGIN_CHROMIUM")
	s := startSite(t)
	browser := startBrowser(t, path, t.TempDir())
	for _, test := range []struct {
		name string
		run  func(*testing.T, func() *tab)
	}{
		{"login", testLogin},
		{"without scripts", testWithoutScripts},
		{"wrong password", testWrongPassword},
		{"reset", testReset},
		{"change password", testChangePassword},
		{"back button", testBackButton},
		{"remember me", testRemember},
		{"sessions", testSessions},
		{"script", testScript},
		{"appearance", testAppearance},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, func() *tab { return newWindow(t, browser, s) })
		})
	}
	t.Run("restart", func(t *testing.T) { testRestart(t, path, s) })
	t.Run("addresses", func(t *testing.T) {
		s := startSite(t, "-verify")
		testAddresses(t, func() *tab { return newWindow(t, browser, s) })
	})
	t.Run("two factors", func(t *testing.T) {
		s := startSite(t)
		for _, test := range []struct {
			name string
			run  func(*tab)
		}{
			{"with scripts", func(b *tab) { twoFactorFlow(b, "fiona") }},
			{"without scripts", func(b *tab) { b.withoutScripts(); twoFactorFlow(b, "frank") }},
			{"keyboard", testTwoFactorKeyboard},
			{"appearance", testTwoFactorAppearance},
		} {
			t.Run(test.name, func(t *testing.T) { test.run(newWindow(t, browser, s)) })
		}
	})
}

func TestPasskeys(t *testing.T) {
	path := testapp.Need(t, "GOLOGIN_CHROMIUM")
	browser := startBrowser(t, path, t.TempDir())
	for _, test := range []struct {
		name string
		run  func(*testing.T, context.Context, *passkeySite)
	}{
		{"add", testAddPasskey},
		{"login", testPasskeyLogin},
		{"remember", testPasskeyRemember},
		{"old page", testPasskeyOldPage},
		{"second factor", testPasskeySecondFactor},
		{"refresh", testPasskeyRefresh},
		{"remove", testRemovePasskey},
		{"offer", testPasskeyOffer},
		{"clone", testClonedPasskey},
		{"cancel", testCancelledPasskey},
		{"two tabs", testTwoPasskeyTabs},
		{"keyboard", testPasskeyKeyboard},
		{"appearance", testPasskeyAppearance},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, browser, newPasskeySite(t, test.name == "offer")) })
	}
}

func testLogin(t *testing.T, open func() *tab) {
	loginFlow(open(), "susan")
}

func testWithoutScripts(t *testing.T, open func() *tab) {
	b := open()
	b.withoutScripts()
	loginFlow(b, "sarah")
}

// loginFlow registers, logs in on the way to a guarded page, and logs out.
func loginFlow(b *tab, name string) {
	b.t.Helper()
	b.wantUser("")
	b.arrive("/login", 200, chromedp.Click(chromedp.CSS(`nav a[href="/login"]`)))
	b.arrive("/register", 200, chromedp.Click(chromedp.CSS(`main a[href="/register"]`)))
	b.submit("/register", 422, "username", "x", "email", name+"@example.com", "password", good, "confirm_password", good)
	b.wantText("The username must have 3 to 20 characters.")
	b.wantFocus("username")
	b.wantValue("email", name+"@example.com")
	b.wantValue("password", "")
	b.register(name)

	b.open("/settings", "/login?next=%2Fsettings")
	b.wantFocus("login")
	b.submit("/settings", 200, "login", name+"@example.com", "password", good)
	b.wantText(name + ", here you can change your password.")
	b.arrive("/profile", 200, chromedp.Click(chromedp.CSS(`nav a[href="/profile"]`)))
	b.wantText(name + "@example.com")
	b.wantUser(name)
	b.logout()
	b.wantDenied("/profile")
	b.wantUser("")
}

func testWrongPassword(t *testing.T, open func() *tab) {
	b := open()
	b.register("walter")
	b.open("/profile?tab=1", "/login?next=%2Fprofile%3Ftab%3D1")
	b.submit("/login", 422, "login", "walter", "password", "a wrong password")
	b.wantText("We could not log you in.")
	b.wantFocus("password") // the page shows it no more, so it must be typed again
	b.wantValue("login", "walter")
	b.wantValue("password", "")
	b.wantNoText("a wrong password")
	// The wanted page is not forgotten. The Enter key submits a form as well.
	b.arrive("/profile?tab=1", 200, chromedp.SendKeys(chromedp.ID("password"), good+"\n"))
	b.wantText("walter@example.com")
}

func testReset(t *testing.T, open func() *tab) {
	const fresh = "quite another sentence"
	b, other := open(), open()
	b.register("rosa")
	other.login("rosa", good)
	b.open("/login", "/login")
	b.arrive("/forgot-password", 200, chromedp.Click(chromedp.CSS(`a[href="/forgot-password"]`)))
	b.wantFocus("email")
	b.submit("/check-inbox", 200, "email", "rosa@example.com")
	b.wantText("rosa@example.com", "we have sent a link to it that sets a new password.")
	link := b.site.mailedLink(t)
	_, token, _ := strings.Cut(link, "?token=")
	if len(token) < 16 {
		t.Fatalf("the link is %q", link)
	}

	b.open(strings.TrimPrefix(link, b.site.url), "/reset-password")
	b.wantNoText(token)
	b.wantFocus("password")
	for _, entry := range value(b, chromedp.NavigationEntries()).Entries {
		if strings.Contains(entry.URL, token) {
			t.Errorf("the history has %s", entry.URL)
		}
	}
	b.submit("/reset-password", 422, "password", fresh, "confirm_password", good)
	b.wantText("The passwords do not match.")
	b.wantFocus("confirm_password")
	b.wantValue("password", "")
	b.submit("/login", 200, "password", fresh, "confirm_password", fresh)
	b.wantText("Your password has been reset.")
	b.wantUser("")
	other.wantUser("")
	b.open(strings.TrimPrefix(link, b.site.url), "/forgot-password")
	b.wantText("This link has already been used.")
	b.login("rosa", fresh)
}

// testAddresses registers with -verify, changes the address, and changes it
// back, without scripts.
func testAddresses(t *testing.T, open func() *tab) {
	b, other := open(), open()
	b.withoutScripts()
	mailed := func() string { return strings.TrimPrefix(b.site.mailedLink(t), b.site.url) }
	b.open("/register", "/register")
	b.submit("/check-inbox", 200, "username", "vera", "email", "vera@example.com", "password", good, "confirm_password", good)
	b.wantText("We have sent an email to", "vera@example.com")
	b.look("inbox")
	b.open("/login", "/login")
	b.wantText("Send the verification email again")
	b.submit("/login", 422, "login", "vera", "password", good)
	b.wantText("We could not log you in.")

	b.arrive("/verify-email", 200, chromedp.Click(chromedp.CSS(`a[href="/verify-email"]`)))
	b.wantFocus("email")
	b.submit("/check-inbox", 200, "email", "vera@example.com")
	b.wantText("vera@example.com", "we have sent a link to it that verifies the address.")
	link := mailed()
	second := mailed()
	b.look("resend-sent")
	b.openLink(link, "/verify-email")
	b.wantText("vera", "vera@example.com", "somebody else has made it")
	b.look("verify")
	b.submit("/login", 200)
	b.wantText("Your email address has been verified.")
	b.look("login-verified")
	b.open(second, "/verify-email")
	b.wantText("This link does not work any more. Ask for a new one.")
	b.look("resend-invalid")
	b.login("vera", good)

	b.open("/settings", "/settings")
	b.arrive("/account/email", 200, chromedp.Click(chromedp.CSS(`a[href="/account/email"]`)))
	b.wantFocus("email")
	b.submit("/account/email", 422, "email", "vera.example.com")
	b.wantText("This is not an email address, such as name@example.com.")
	b.look("account-email-error")
	b.do(chromedp.Clear(chromedp.ID("email")))
	b.submit("/check-inbox", 200, "email", "vera@"+strings.Repeat("w", 60)+".example.com")
	b.wantText("Open the link in it to use this address.")
	link = mailed()
	// The link is opened in a browser without a login.
	other.open(link, "/login?next=%2Faccount%2Femail")
	other.submit("/account/email", 200, "login", "vera", "password", good)
	other.wantText("vera@example.com", "www.example.com")
	other.look("account-email-confirm")
	other.submit("/account", 200)
	other.wantText("Your email address has been changed.", "Verified")
	other.look("account-changed")
	b.wantUser("")

	b.openLink(mailed(), "/undo-email")
	b.wantText("vera@example.com", "you will choose a new password")
	b.look("undo-email")
	b.submit("/reset-password", 200)
	b.wantText("Your email address has been changed back. Please choose a new password.")
	b.wantFocus("password")
	other.wantUser("")
	b.submit("/login", 200, "password", "quite another sentence", "confirm_password", "quite another sentence")
	b.login("vera", "quite another sentence")

	b.open("/account/close", "/account/close")
	b.wantFocus("current_password")
	b.submit("/account/close", 422, "current_password", "a wrong password")
	b.look("account-close-errors")
	b.fill("current_password", "quite another sentence")
	b.do(chromedp.Click(chromedp.CSS(`label[for="confirm"]`)))
	b.submit("/", 200)
	b.wantText("Your account has been closed.")
	b.wantDenied("/profile")
}

// openLink opens a mailed link. Its token must not stay in the URL.
func (b *tab) openLink(link, page string) {
	b.t.Helper()
	b.open(link, page)
	_, token, _ := strings.Cut(link, "?token=")
	if len(token) < 16 {
		b.t.Fatalf("the link is %q", link)
	}
	b.wantNoText(token)
	for _, entry := range value(b, chromedp.NavigationEntries()).Entries {
		if strings.Contains(entry.URL, token) {
			b.t.Errorf("the history has %s", entry.URL)
		}
	}
}

func testChangePassword(t *testing.T, open func() *tab) {
	const fresh = "quite another sentence"
	b, other := open(), open()
	b.register("carla")
	b.login("carla", good)
	other.login("carla", good)
	b.open("/account", "/account")
	b.wantText("carla@example.com")
	b.arrive("/account/password", 200, chromedp.Click(chromedp.CSS(`a[href="/account/password"]`)))
	b.wantFocus("current_password")
	b.submit("/account/password", 422, "current_password", "a wrong password", "password", fresh, "confirm_password", fresh)
	b.wantText("This is not your current password.")
	b.wantFocus("current_password")
	b.submit("/account", 200, "current_password", good, "password", fresh, "confirm_password", fresh)
	b.wantText("Your password has been changed.")
	b.wantUser("carla")
	other.wantUser("")
	other.login("carla", fresh)
}

// testBackButton: after the logout, the back button shows no page of the user.
// Chromium keeps pages that it has left, even those that must not be stored,
// until a cookie changes. arrive fails if one is shown again.
func testBackButton(t *testing.T, open func() *tab) {
	b := open()
	b.register("bella")
	b.login("bella", good)
	b.open("/profile", "/profile")
	b.open("/account", "/account")
	b.wantText("bella@example.com")
	b.logout()
	b.back("/login?next=%2Faccount", "Please log in to access this page.")
	b.back("/login?next=%2Fprofile", "Please log in to access this page.")
	b.back("/", "Log in", "This page is for everybody.")

	// The same holds if another tab has logged out.
	b.login("bella", good)
	for _, page := range []string{"/account", "/profile", "/settings"} {
		r := b.arrive(page, 200, chromedp.Navigate(b.site.url+page))
		if got := r.Headers["Cache-Control"]; got != "no-store" {
			t.Errorf("%s has Cache-Control %v", page, got)
		}
	}
	another := b.another()
	another.wantUser("bella")
	another.logout()
	b.back("/login?next=%2Fprofile", "Please log in to access this page.")
	b.back("/login?next=%2Faccount", "Please log in to access this page.")
	b.arrive("/login?next=%2Fprofile", 200, chromedp.NavigateForward())
	b.wantNoText("bella")
	b.wantDenied("/settings")
}

// back goes to the previous page. It must come from the site, have these texts
// and not show bella's name.
func (b *tab) back(path string, texts ...string) {
	b.t.Helper()
	b.arrive(path, 200, chromedp.NavigateBack())
	b.wantText(texts...)
	b.wantNoText("bella")
}

// testRestart ends the browser process and starts it again.
func testRestart(t *testing.T, path string, s *site) {
	profile := t.TempDir()
	session := func(name string, run func(*tab)) {
		t.Run(name, func(t *testing.T) { run(newTab(t, startBrowser(t, path, profile), s)) })
	}
	session("without the box", func(b *tab) {
		b.register("ursula")
		b.login("ursula", good)
		b.wantUser("ursula")
	})
	session("nobody", func(b *tab) {
		b.wantDenied("/profile")
		b.wantUser("")
		b.loginRemembered("ursula", good)
	})
	session("remembered", func(b *tab) {
		b.open("/profile", "/profile")
		b.wantText("ursula@example.com")
	})
	session("still remembered", func(b *tab) {
		b.wantUser("ursula")
		b.logout()
	})
	session("logged out", func(b *tab) {
		b.wantUser("")
		b.wantDenied("/profile")
	})
}

// testSessions: a browser lists the user's other browsers, and ends their
// logins.
func testSessions(t *testing.T, open func() *tab) {
	const denied = "/login?next=%2Fprofile"
	click := func(selector string) chromedp.Action[chromedp.Void] { return chromedp.Click(chromedp.CSS(selector)) }
	b, other, third := open(), open(), open()
	b.register("tess")
	b.loginRemembered("tess", good)
	b.closeBrowser() // so that the login is remembered and not fresh
	other.claims("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0")
	other.login("tess", good)

	b.open("/account", "/account")
	b.arrive("/account/sessions", 200, click(`a[href="/account/sessions"]`))
	b.wantLogins("Chrome on Linux", "Firefox on Windows")
	end := click("main li:not(:has(.mark)) button")
	b.arrive("/refresh?next=%2Faccount%2Fsessions", 200, end)
	b.wantText("Please confirm your password to access this page.")
	b.wantFocus("password")
	other.wantUser("tess") // nothing has happened yet
	b.submit("/refresh", 422, "password", "a wrong password")
	b.wantFocus("password")
	b.submit("/account/sessions", 200, "password", good)
	b.wantLogins("Chrome on Linux", "Firefox on Windows")
	b.arrive("/account/sessions", 200, end)
	b.wantText("The browser has been logged out.")
	b.wantLogins("Chrome on Linux")

	other.arrive(denied, 200, click(`nav a[href="/profile"]`)) // its next click
	other.wantText("You have been logged out. Please log in again.")
	other.wantNoText("tess")
	other.arrive("/", 200, chromedp.NavigateBack())
	other.wantNoText("tess")

	// All others are ended, and then its own.
	other.login("tess", good)
	third.loginRemembered("tess", good)
	b.open("/account/sessions", "/account/sessions")
	b.wantLogins("Chrome on Linux", "Firefox on Windows", "Chrome on Linux")
	b.arrive("/account/sessions", 200, click("main form:has([name=others]) button"))
	b.wantText("All other browsers have been logged out.")
	b.wantLogins("Chrome on Linux")
	other.arrive(denied, 200, click(`nav a[href="/profile"]`))
	third.arrive(denied, 200, click(`nav a[href="/profile"]`))
	third.closeBrowser()
	third.wantUser("")
	b.wantUser("tess")
	b.open("/account/sessions", "/account/sessions")
	b.arrive("/", 200, click("main li:has(.mark) button"))
	b.wantText("You have been logged out.")
	b.wantDenied("/account/sessions")
}

// wantLogins fails unless the page lists these browsers, in any order, and
// marks one like the first as this one.
func (b *tab) wantLogins(browsers ...string) {
	b.t.Helper()
	names := value(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll("main li h2")].map(e => e.textContent)`))
	marked := value(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll("main li:has(.mark) h2")].map(e => e.textContent)`))
	want := slices.Sorted(slices.Values(browsers))
	if slices.Sort(names); !slices.Equal(names, want) || !slices.Equal(marked, browsers[:1]) {
		b.t.Fatalf("the logins are %q, this one %q; want %q", names, marked, browsers)
	}
}

// claims makes the browser send another User-Agent.
func (b *tab) claims(userAgent string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: userAgent})
	check(b.t, err)
}

// testRemember ends the browser's session. Only lasting cookies are kept.
func testRemember(t *testing.T, open func() *tab) {
	b := open()
	b.register("ruth")
	b.login("ruth", good)
	if n := b.closeBrowser(); n != 1 { // the cookie of the known browser
		t.Errorf("%d cookies last", n)
	}
	b.wantUser("")

	b.loginRemembered("ruth", good)
	if n := b.closeBrowser(); n != 2 {
		t.Errorf("%d cookies last", n)
	}
	b.open("/profile", "/profile")
	b.wantText("ruth@example.com")
	b.logout()
	b.closeBrowser()
	b.wantUser("")
}

// closeBrowser deletes the cookies that end with the browser's session, and
// returns how many are left that last longer than an hour.
func (b *tab) closeBrowser() (left int) {
	b.t.Helper()
	cookies, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{})
	check(b.t, err)
	for _, c := range cookies.Cookies {
		if !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" || c.Domain != "localhost" {
			b.t.Errorf("a cookie is %+v", c)
		}
		if c.Session {
			b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
				return cdp.Call(ctx, target, network.DeleteCookies, network.DeleteCookiesParams{Name: c.Name, Domain: c.Domain})
			})
		} else if time.Until(time.Unix(int64(c.Expires), 0)) > time.Hour { // else it is for a page that was open
			left++
		}
	}
	return left
}
