package e2e

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

func TestBrowser(t *testing.T) {
	path := os.Getenv("GOLOGIN_CHROMIUM")
	if path == "" {
		t.Skip("GOLOGIN_CHROMIUM names no browser (/usr/bin/chromium)")
	}
	s := startSite(t)
	browser := startBrowser(t, path)
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
		{"appearance", testAppearance},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, func() *tab { return newTab(t, browser, s) })
		})
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
	b.open("/profile", "/login?next=%2Fprofile")
	b.wantUser("")
}

func testWrongPassword(t *testing.T, open func() *tab) {
	b := open()
	b.register("walter")
	b.open("/profile?tab=1", "/login?next=%2Fprofile%3Ftab%3D1")
	b.submit("/login", 422, "login", "walter", "password", "a wrong password")
	b.wantText("Invalid username, email or password")
	b.wantFocus("login") // the first field that may be wrong
	b.wantValue("login", "walter")
	b.wantValue("password", "")
	b.wantNoText("a wrong password")
	// And what was wanted is not forgotten. Enter sends a form as well.
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
	b.submit("/login", 200, "email", "rosa@example.com")
	b.wantText("Check your email for instructions to reset your password.")
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
	b.wantText("Invalid or expired token")
	b.login("rosa", fresh)
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

// testBackButton: what is on the screen after the logout is nobody's.
func testBackButton(t *testing.T, open func() *tab) {
	b := open()
	b.register("bella")
	b.login("bella", good)
	b.open("/profile", "/profile")
	b.open("/account", "/account")
	b.wantText("bella@example.com")
	b.logout()
	for _, path := range []string{"/login?next=%2Faccount", "/login?next=%2Fprofile", "/"} {
		b.arrive(path, 200, chromedp.NavigateBack())
		b.wantNoText("bella")
	}
}

// testRemember ends the browser's session, which keeps only cookies that last.
func testRemember(t *testing.T, open func() *tab) {
	b := open()
	b.register("ruth")
	closeBrowser := func() (left int) {
		t.Helper()
		cookies, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{})
		check(t, err)
		for _, c := range cookies.Cookies {
			if !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" || c.Domain != "localhost" {
				t.Errorf("a cookie is %+v", c)
			}
			if c.Session {
				b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
					return cdp.Call(ctx, target, network.DeleteCookies, network.DeleteCookiesParams{Name: c.Name, Domain: c.Domain})
				})
			} else {
				left++
			}
		}
		return left
	}
	b.login("ruth", good)
	if n := closeBrowser(); n != 0 {
		t.Errorf("%d cookies last", n)
	}
	b.wantUser("")

	b.open("/login", "/login")
	b.fill("login", "ruth", "password", good)
	b.do(chromedp.Click(chromedp.CSS(`label[for="remember_me"]`)))
	b.submit("/", 200)
	if n := closeBrowser(); n != 1 {
		t.Errorf("%d cookies last", n)
	}
	b.open("/profile", "/profile")
	b.wantText("ruth@example.com")
	b.logout()
	closeBrowser()
	b.wantUser("")
}
