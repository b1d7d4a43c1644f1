package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/go-login/auth/internal/testapp"
)

// TestAdministration goes through the pages of examples/admin: an administrator finds a user with
// the longest name, and acts as the user.
func TestAdministration(t *testing.T) {
	path := testapp.Need(t, "GOLOGIN_CHROMIUM")
	s, printed := startExampleAfter(t, []string{"create-admin", "root@example.com"}, "admin")
	browser := startBrowser(t, path, t.TempDir())
	name := strings.Repeat("w", 20)
	user := newWindow(t, browser, s)
	user.register(name)
	user.open("/login", "/login")
	user.submit("/", 200, "login", name, "password", good)

	b := newWindow(t, browser, s)
	link := regexp.MustCompile(`/reset-password\?token=\S+`).FindString(printed)
	b.open(link, "/reset-password")
	b.submit("/login", 200, "password", good, "confirm_password", good)
	b.submit("/", 200, "login", "root@example.com", "password", good)
	b.open("/account/two-factor?set-up=totp", "/account/two-factor?set-up=totp")
	b.submit("/account/recovery-codes", 200, "code", b.code(b.scan()))
	b.open("/", "/")
	b.look("admin-home")
	b.open("/admin/users", "/admin/users")
	b.look("admin-users")
	b.open("/admin/users?search="+name, "/admin/users?search="+name)
	b.do(click("main li a"), chromedp.WaitReady(chromedp.CSS("details")))
	b.look("admin-user")
	act := `form[action$="/impersonate"] `
	b.do(click("details:has(" + act + ") summary"))
	b.do(chromedp.SendKeys(chromedp.CSS(act+"[name=reason]"), "a question"))
	b.look("admin-user-act")
	b.arrive("/", 200, click(act+"button"))
	b.wantText("You are acting as " + name)
	b.look("admin-acting")
	b.arrive("/", 200, click(".acting button"))
	b.wantText("root@example.com")
}
