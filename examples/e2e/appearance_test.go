package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// testAppearance checks every page, in light and dark, on a telephone, a tablet and a
// desktop.
func testAppearance(t *testing.T, open func() *tab) {
	b, name := open(), strings.Repeat("w", 20) // the longest name, in wide letters
	b.open("/", "/")
	b.look("home")
	b.open("/login", "/login")
	b.look("login")
	b.submit("/login", 422, "login", "anna", "password", "a wrong password")
	b.look("login-error")
	b.lookForced("login-error")
	b.lookOnPaper("login-error", "Log in", "We could not log you in.")
	b.open("/register", "/register")
	b.look("register")
	b.submit("/register", 422, "username", strings.Repeat("a", 40), "email", "anna.example.com", "password", "short", "confirm_password", "shorter")
	b.look("register-errors")
	b.lookForced("register-errors")
	b.register(name)
	b.look("login-registered")
	b.open("/forgot-password", "/forgot-password")
	b.look("forgot")
	b.submit("/check-inbox", 200, "email", name+"@example.com")
	b.look("inbox-reset")
	b.open(strings.TrimPrefix(b.site.mailedLink(t), b.site.url), "/reset-password")
	b.look("reset")
	b.open("/reset-password?token=old", "/forgot-password")
	b.look("forgot-invalid")
	b.arrive("/no-such-page", 404, chromedp.Navigate(b.site.url+"/no-such-page"))
	b.look("not-found")

	b.wantDenied("/profile")
	b.look("login-denied")

	b.login(name, good)
	b.look("home-user")
	for _, page := range []string{"profile", "settings", "account", "account/sessions", "refresh", "verify-email", "account/email", "account/close", "account/password"} {
		b.open("/"+page, "/"+page)
		b.look(strings.ReplaceAll(page, "/", "-"))
	}
	b.submit("/account/password", 422, "password", good)
	b.look("account-password-errors")
	b.open("/refresh", "/refresh")
	b.submit("/refresh", 422, "password", "a wrong password")
	b.look("refresh-errors")
	for _, agent := range []string{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
		"a program without a name that anybody knows/1.0 " + strings.Repeat("w", 100),
	} {
		other := open()
		other.claims(agent)
		other.loginRemembered(name, good)
	}
	b.open("/account/sessions", "/account/sessions")
	b.look("account-sessions-others")
	b.lookForced("account-sessions-others")
	b.lookOnPaper("account-sessions-others", "Chrome on Linux", "Active now")
	b.open("/profile", "/profile")
	b.logout()
	b.look("home-out")
}

// look checks the page, and takes pictures of it.
func (b *tab) look(name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{320, 360, 768, 1280} { // 320 are 1280 at 400 % (WCAG 2.2, 1.4.10)
			if b.show(scheme, width); width == 320 {
				for _, fault := range value(b, chromedp.Evaluate[[]string](faults)) {
					b.t.Errorf("%s, %s, %d pixels wide: %s", name, scheme, width, fault)
				}
				continue
			}
			for _, fault := range append(value(b, chromedp.Evaluate[[]string](faults)), b.axe()...) {
				b.t.Errorf("%s, %s, %d pixels wide: %s", name, scheme, width, fault)
			}
			b.picture(fmt.Sprintf("%s-%s-%d", name, scheme, width))
		}
	}
	b.show("light", 1280)
}

// show makes the browser light or dark, and its window this wide.
func (b *tab) show(scheme string, width int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 800))
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	check(b.t, err)
}

// see makes the browser show pages as on a "screen" or in "print", with these media features. With
// GOLOGIN_SCREENSHOTS, it takes a picture.
func (b *tab) see(name, media string, features ...string) {
	b.t.Helper()
	p := emulation.SetEmulatedMediaParams{Media: media}
	for i := 0; i < len(features); i += 2 {
		p.Features = append(p.Features, &emulation.MediaFeature{Name: features[i], Value: features[i+1]})
	}
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, p)
	check(b.t, err)
	b.picture(name)
}

// pictures reports whether GOLOGIN_SCREENSHOTS is set.
func pictures() bool { return os.Getenv("GOLOGIN_SCREENSHOTS") != "" }

// picture saves a picture of the whole page, if GOLOGIN_SCREENSHOTS is set.
func (b *tab) picture(name string) {
	b.t.Helper()
	b.save(name, chromedp.FullScreenshot(100))
}

func (b *tab) save(name string, shot chromedp.Action[[]byte]) {
	b.t.Helper()
	if dir := os.Getenv("GOLOGIN_SCREENSHOTS"); pictures() {
		picture := value(b, shot)
		check(b.t, os.MkdirAll(dir, 0o755))
		check(b.t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644))
	}
}

// lookOnPaper checks how the page is printed, also by a user of dark pages: black on white, without
// buttons, and with these texts.
func (b *tab) lookOnPaper(name string, texts ...string) {
	b.t.Helper()
	b.see(name+"-print", "print", "prefers-color-scheme", "dark")
	for _, fault := range value(b, chromedp.Evaluate[[]string](paperFaults)) {
		b.t.Errorf("%s on paper: %s", name, fault)
	}
	seen := value(b, chromedp.Evaluate[string](`document.body.innerText`))
	for _, text := range texts {
		if !strings.Contains(seen, text) {
			b.t.Errorf("%s on paper: there is no %q in %q", name, text, seen)
		}
	}
	b.show("light", 1280)
}

// lookForced checks the page in the user's own colours: what is wrong, and what can be clicked, can
// be told by its border.
func (b *tab) lookForced(name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		b.see(name+"-forced-"+scheme, "", "forced-colors", "active", "prefers-color-scheme", scheme)
		for _, fault := range value(b, chromedp.Evaluate[[]string](forcedFaults)) {
			b.t.Errorf("%s, %s, in the user's own colours: %s", name, scheme, fault)
		}
	}
	b.show("light", 1280)
}

const paperFaults = `[...document.querySelectorAll("*")].filter(e => e.checkVisibility()).flatMap(e => {
	const style = getComputedStyle(e), faults = [];
	if (e.matches("button, .button, nav")) faults.push("there is a " + e.tagName + " " + e.textContent);
	if (document.body.contains(e) && style.color !== "rgb(0, 0, 0)") faults.push(e.tagName + " is " + style.color);
	if (!["rgba(0, 0, 0, 0)", "rgb(255, 255, 255)"].includes(style.backgroundColor)) faults.push(e.tagName + " is on " + style.backgroundColor);
	return faults;
})`

const forcedFaults = `[...document.querySelectorAll("button:not(.link), .button, input:not([type=checkbox]), .flash, .mark, .card, .rows, .qr")].filter(e => e.checkVisibility() && e.type !== "hidden").flatMap(e => {
	const style = getComputedStyle(e), width = parseFloat(style.borderTopWidth);
	if (e.matches(".qr")) return style.backgroundColor === "rgb(255, 255, 255)" ? [] : ["the QR code is on " + style.backgroundColor];
	if (e.matches("[aria-invalid=true]") ? width < 3 : width < 1) return e.matches(".card:has(> .rows)") ? [] : [e.tagName + " " + e.textContent + " has a border of " + width];
	return style.borderTopColor === "rgba(0, 0, 0, 0)" ? [e.tagName + " " + e.textContent + " has no border that can be seen"] : [];
})`

// axe returns what axe-core finds: violations of WCAG and of best practice. It
// finds nothing if there is no axe-core, or if scripts are off.
func (b *tab) axe() []string {
	b.t.Helper()
	file := os.Getenv("GOLOGIN_AXE")
	if file == "" || b.off {
		return nil
	}
	script, err := os.ReadFile(file)
	check(b.t, err)
	b.do(chromedp.Evaluate[chromedp.Void](string(script)))
	return value(b, chromedp.Evaluate[[]string](`axe.run().then(result => result.violations.flatMap(v =>
		v.nodes.map(n => "axe: " + v.id + ": " + v.help + ": " + n.html)))`, chromedp.EvalAwaitPromise))
}

// faults is a script that returns what can be measured: elements wider than the
// window or than their card, messages wider than the card below, a name of more than
// a line in the header, an address squeezed beside a button, text with a contrast under 4.5, outlines of fields and of the focus
// with a contrast under 3 (WCAG 2.2, 1.4.3 and 1.4.11), and small targets
// (2.5.8).
const faults = `(() => {
	const faults = [];
	const channels = color => color.match(/[\d.]+/g).map(Number);
	const luminance = color => {
		const [r, g, b] = color.slice(0, 3).map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const contrast = (a, b) => {
		const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
		return (light + 0.05) / (dark + 0.05);
	};
	const behind = e => {
		for (; e; e = e.parentElement) {
			const color = channels(getComputedStyle(e).backgroundColor);
			if (color.length === 3 || color[3] === 1) return color;
		}
		throw new Error("no background");
	};
	const want = (e, what, color, back, least) => {
		const c = contrast(channels(color), back);
		if (c < least) faults.push(e.tagName + " " + (e.id || e.textContent.trim()) + ": " + what + " has a contrast of " + c.toFixed(2));
	};
	if (document.scrollingElement.scrollWidth > innerWidth)
		faults.push("the page is " + document.scrollingElement.scrollWidth + " pixels wide");
	for (const e of document.body.querySelectorAll("*")) {
		if (!e.checkVisibility() || e.type === "hidden") continue;
		const style = getComputedStyle(e), box = e.getBoundingClientRect();
		if (box.right > innerWidth || box.left < 0) faults.push(e.tagName + " " + e.id + " is outside of the window");
		if ([...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim())) want(e, "text", style.color, behind(e), 4.5);
		if (e.tagName === "INPUT") {
			want(e, "text", style.color, behind(e), 4.5);
			if (e.type !== "checkbox") want(e, "the border", style.borderTopColor, behind(e.parentElement), 3);
		}
		const card = e.parentElement.closest(".card, .row, .flash, .acting")?.getBoundingClientRect();
		if (card && (box.right > card.right + 1 || box.left < card.left - 1)) faults.push(e.tagName + " " + (e.id || e.textContent) + " is wider than its card");
		if (e.matches("main > *") && box.width !== e.parentElement.firstElementChild.getBoundingClientRect().width)
			faults.push(e.tagName + " " + e.className + " is not as wide as what is above it");
		if (e.matches("header .who > *") && box.height > 48) faults.push(e.textContent + " is " + box.height + " pixels high");
		if (innerWidth < 480 && e.matches(".row > dd:has(bdi)") && box.width < 0.8 * card.width) faults.push(e.textContent + " is only " + box.width + " pixels wide");
		if (e.matches("button, input, nav a") && (box.height < 24 || box.width < 24))
			faults.push(e.tagName + " " + (e.id || e.textContent) + " is " + box.width + " by " + box.height);
		if (e.matches(":focus-visible")) {
			if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) faults.push(e.id + " has the focus, which nobody sees");
			want(e, "the focus", style.outlineColor, behind(e.parentElement), 3);
		}
	}
	return faults;
})()`
