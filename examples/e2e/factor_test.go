package e2e

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"slices"
	"strings"

	"github.com/chromedp/chromedp"
	"github.com/go-login/auth/examples/internal/phone"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// The buttons and links of the pages for second factors.
const (
	setUpButton  = "main form:has([name=set-up][value=totp]) button"
	removeButton = "main form:has([name=remove][value=totp]) button"
	codesLink    = `main a[href="/account/recovery-codes"]`
	useCodeLink  = `main a[href^="/login/verify?with=recovery-code"]`
)

// twoFactorFlow sets up an authenticator app, logs in with it and with a
// recovery code, and removes it.
func twoFactorFlow(b *tab, name string) {
	b.t.Helper()
	b.register(name)
	b.login(name, good)
	b.open("/settings", "/settings")
	b.arrive("/account/two-factor", 200, click(`main a[href="/account/two-factor"]`))
	b.wantText("Authenticator app", "Off")
	b.arrive("/account/two-factor?set-up=totp", 403, click(setUpButton))
	b.wantText("Before you set up a second factor, verify your email address.")
	b.wantNoText("otpauth:")
	b.verify(name)

	b.open("/account/two-factor", "/account/two-factor")
	b.arrive("/account/two-factor?set-up=totp", 200, click(setUpButton))
	app := b.scan()
	b.submit("/account/recovery-codes", 200, "code", b.code(app))
	b.wantText("The second factor is set up.", "You have no recovery codes.")
	codes := b.newCodes()
	b.arrive("/account/two-factor", 200, click(`main a[href="/account/two-factor"]`))
	b.wantText("Recovery codes left: 10.")
	b.wantNoText(append(codes, app.Secret, "otpauth:")...)
	b.arrive("/account/recovery-codes", 200, click(codesLink))
	b.wantText("Recovery codes left: 10.")
	b.wantNoText(codes...)
	b.logout()

	// The password alone is not enough, and the wanted page is not forgotten.
	b.open("/profile?tab=1", "/login?next=%2Fprofile%3Ftab%3D1")
	b.submit("/login/verify?next=%2Fprofile%3Ftab%3D1", 200, "login", name, "password", good)
	b.wantText("To go on as "+name, "Code from your authenticator app", "Try another way")
	b.wantNoText(name + "@example.com")
	b.wantUser("")
	b.open("/login/verify?next=%2Fprofile%3Ftab%3D1", "/login/verify?next=%2Fprofile%3Ftab%3D1")
	b.submit("/profile?tab=1", 200, "code", b.code(app))
	b.wantText(name + "@example.com")
	b.wantUser(name)
	b.logout()

	b.password(name)
	b.arrive("/login/verify?with=recovery-code", 200, click(useCodeLink))
	b.wantText("Recovery code", "Authenticator app")
	b.wantFocus("code")
	b.submit("/", 200, "code", strings.ToLower(codes[3]))
	b.wantUser(name)
	b.logout()
	b.password(name)
	b.arrive("/login/verify?with=recovery-code", 200, click(useCodeLink))
	b.submit("/login/verify?with=recovery-code", 422, "code", codes[3])
	b.wantText("That recovery code was wrong or has been used.")
	b.submit("/", 200, "code", strings.ReplaceAll(codes[7], "-", " "))

	b.open("/account/two-factor", "/account/two-factor")
	b.wantText("Recovery codes left: 8.")
	b.arrive("/account/two-factor", 200, click(removeButton))
	b.wantText("The second factor has been removed.", "Off")
	b.wantUser(name)
	b.logout()
	b.login(name, good)
}

// testTwoFactorKeyboard uses nothing but the keyboard. It types to where the
// focus is.
func testTwoFactorKeyboard(b *tab) {
	b.register("kim")
	b.login("kim", good)
	b.verify("kim")
	b.open("/account/two-factor?set-up=totp", "/account/two-factor?set-up=totp")
	b.wantFocus("code")
	app := b.scan()
	b.arrive("/account/two-factor?set-up=totp", 422, chromedp.KeyEvent(b.wrong(app)+"\r"))
	b.wantText("That code was wrong or has been used.")
	b.wantFocus("code")
	b.wantValue("code", "")
	if again := b.scan(); again.Secret != app.Secret {
		b.t.Error("after a wrong code there is another secret")
	}
	b.arrive("/account/recovery-codes", 200, chromedp.KeyEvent(b.code(app)+"\r"))
	b.press("Make new codes")
	b.arrive("/account/recovery-codes", 200, chromedp.KeyEvent("\r"))
	codes := strings.Fields(b.textOf("main pre"))
	b.press("I have saved them")
	b.arrive("/account/two-factor", 200, chromedp.KeyEvent("\r"))
	b.logout()

	b.open("/login", "/login")
	b.wantFocus("login")
	b.arrive("/login/verify", 200, chromedp.KeyEvent("kim\t"+good+"\r"))
	b.wantFocus("code")
	b.arrive("/login/verify?with=totp", 422, chromedp.KeyEvent(b.wrong(app)+"\r"))
	b.wantText("That code was wrong or has been used.")
	b.wantFocus("code")
	b.wantValue("code", "")
	b.arrive("/", 200, chromedp.KeyEvent(b.code(app)+"\r"))
	b.wantUser("kim")
	b.logout()

	// Everything else on the page can be reached, in this order.
	b.password("kim")
	for _, want := range []string{"Continue", "Recovery codes", "Cancel"} {
		b.do(chromedp.KeyEvent("\t"))
		if got := b.focused(); got != want {
			b.t.Errorf("the focus is on %q, want %q", got, want)
		}
	}
	b.arrive("/login", 200, chromedp.KeyEvent("\r"))
	b.wantText("The login has been cancelled.")
	b.open("/login/verify", "/login") // nothing waits for a code
	b.password("kim")
	b.press("Recovery codes")
	b.arrive("/login/verify?with=recovery-code", 200, chromedp.KeyEvent("\r"))
	b.wantFocus("code")
	b.arrive("/", 200, chromedp.KeyEvent(codes[0]+"\r"))
	b.open("/account/two-factor", "/account/two-factor")
	b.press("Remove")
	b.arrive("/account/two-factor", 200, chromedp.KeyEvent("\r"))
	b.wantText("The second factor has been removed.")
}

// testTwoFactorAppearance checks every page for second factors.
func testTwoFactorAppearance(b *tab) {
	name := strings.Repeat("w", 20) // the longest name, in wide letters
	b.register(name)
	b.login(name, good)
	b.open("/account/two-factor", "/account/two-factor")
	b.look("two-factor-off")
	b.arrive("/account/two-factor?set-up=totp", 403, click(setUpButton))
	b.look("two-factor-unverified")
	b.verify(name)
	b.open("/account/two-factor?set-up=totp", "/account/two-factor?set-up=totp")
	b.look("two-factor-setup")
	b.lookForced("two-factor-setup")
	app := b.scan()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{360, 1280} {
			b.show(scheme, width)
			if got := b.scan(); got.Secret != app.Secret {
				b.t.Errorf("%s, %d pixels wide: another secret", scheme, width)
			}
		}
	}
	b.submit("/account/two-factor?set-up=totp", 422, "code", b.wrong(app))
	b.look("two-factor-setup-error")
	b.submit("/account/recovery-codes", 200, "code", b.code(app))
	b.look("recovery-codes-none")
	for _, page := range []string{"account", "account/two-factor"} {
		b.open("/"+page, "/"+page)
		b.look(strings.ReplaceAll(page, "/", "-") + "-no-codes")
	}
	b.open("/account/recovery-codes", "/account/recovery-codes")
	codes := b.newCodes()
	b.look("recovery-codes-new")
	b.lookForced("recovery-codes-new")
	b.lookOnPaper("recovery-codes-new", append(codes, "Quickstart", "Recovery codes", "Keep them somewhere safe")...)
	b.show("light", 360) // a code in two lines looks like two codes
	if lines := value(b, chromedp.Evaluate[float64](linesOfCodes)); lines != 10 {
		b.t.Errorf("on a telephone, ten codes are in %v lines", lines)
	}
	b.show("light", 1280)
	for _, page := range []string{"account", "account/two-factor", "account/recovery-codes"} {
		b.open("/"+page, "/"+page)
		b.look(strings.ReplaceAll(page, "/", "-") + "-on")
	}
	b.open("/refresh", "/refresh")
	b.submit("/login/verify", 200, "password", good)
	b.look("refresh-verify")
	b.logout()

	b.password(name)
	b.look("login-verify")
	b.submit("/login/verify?with=totp", 422, "code", b.wrong(app))
	b.look("login-verify-error")
	b.arrive("/login/verify?with=recovery-code", 200, click(useCodeLink))
	b.look("login-verify-recovery")
	b.submit("/login/verify?with=recovery-code", 422, "code", "wrong")
	b.look("login-verify-recovery-error")
	b.arrive("/login", 200, click("main [name=cancel]"))
	b.look("login-cancelled")
}

const linesOfCodes = `(() => {
	const pre = document.querySelector("main pre"), style = getComputedStyle(pre);
	const height = pre.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
	return Math.round(height / parseFloat(style.lineHeight));
})()`

func click(css string) chromedp.Action[chromedp.Void] { return chromedp.Click(chromedp.CSS(css)) }

// verify asks for a mail to the user's address, and opens its link.
func (b *tab) verify(name string) {
	b.t.Helper()
	b.open("/verify-email", "/verify-email")
	b.wantValue("email", name+"@example.com")
	b.submit("/check-inbox", 200)
	b.openLink(strings.TrimPrefix(b.site.mailedLink(b.t), b.site.url), "/verify-email")
	b.submit("/", 200)
	b.wantText("Your email address has been verified.")
}

// password logs in by the password, up to the page for the code.
func (b *tab) password(name string) {
	b.t.Helper()
	b.open("/login", "/login")
	b.submit("/login/verify", 200, "login", name, "password", good)
	b.wantFocus("code")
}

// newCodes makes recovery codes, and returns them.
func (b *tab) newCodes() []string {
	b.t.Helper()
	b.submit("/account/recovery-codes", 200)
	b.wantText("they are shown only once")
	codes := strings.Fields(b.textOf("main pre"))
	if len(codes) != 10 || len(slices.Compact(slices.Sorted(slices.Values(codes)))) != 10 {
		b.t.Fatalf("the codes are %q", codes)
	}
	b.copyAndPrint(codes)
	return codes
}

// copyAndPrint presses the buttons beside new codes. They are there only if scripts run.
func (b *tab) copyAndPrint(codes []string) {
	b.t.Helper()
	const visible = `[...document.querySelectorAll("main button")].filter(b => b.checkVisibility()).map(b => b.textContent).join()`
	want := "Copy,Print"
	if b.off {
		want = ""
	}
	if got := value(b, chromedp.Evaluate[string](visible)); got != want {
		b.t.Fatalf("the buttons are %q, want %q", got, want)
	}
	if b.off {
		return
	}
	b.do(chromedp.Evaluate[chromedp.Void](`navigator.clipboard.writeText = async text => { window.copied = text }; window.print = () => { window.printed = "yes" }`))
	b.do(click("button[data-copy]"), click("button[data-print]"))
	if got := strings.Fields(value(b, chromedp.Evaluate[string](`window.copied`))); !slices.Equal(got, codes) {
		b.t.Errorf("the button copies %q", got)
	}
	if got := value(b, chromedp.Evaluate[string](`window.printed`)); got != "yes" {
		b.t.Error("the button does not print")
	}
	b.wantText("Copied")
}

// code returns a code that the site accepts, and wrong one that it does not.
func (b *tab) code(app *phone.Phone) string {
	b.t.Helper()
	code, err := app.Code()
	check(b.t, err)
	return code
}

func (b *tab) wrong(app *phone.Phone) string {
	b.t.Helper()
	code, err := app.Wrong()
	check(b.t, err)
	return code
}

// scan reads the QR code as a camera does: from a picture of the page. It must
// be dark on white. The page must show the same secret in letters, and have the
// same link.
func (b *tab) scan() *phone.Phone {
	b.t.Helper()
	picture, err := png.Decode(bytes.NewReader(value(b, chromedp.Screenshot(chromedp.CSS("main .qr svg")))))
	check(b.t, err)
	wantDarkOnWhite(b, picture)
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	check(b.t, err)
	// A phone reads the next picture if it cannot find the code in one. gozxing looks once.
	scanned, err := qrcode.NewQRCodeReader().DecodeWithoutHints(bitmap)
	if err != nil {
		scanned, err = qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
	}
	check(b.t, err)
	link := b.eval(`document.querySelector('main a[href^="otpauth:"]').href`)
	if scanned.GetText() != link {
		b.t.Fatalf("the QR code is %q, and the link %q", scanned.GetText(), link)
	}
	app, err := phone.New(link)
	check(b.t, err)
	shown := b.textOf("main dd code")
	if strings.ReplaceAll(shown, " ", "") != app.Secret {
		b.t.Fatalf("the key is %q, and in the link it is %q", shown, app.Secret)
	}
	return app
}

// wantDarkOnWhite fails unless a QR code has a white border and black modules:
// many apps do not read a light code on a dark ground.
func wantDarkOnWhite(b *tab, picture image.Image) {
	b.t.Helper()
	r := picture.Bounds()
	white, black := color.Gray{Y: 0xff}, color.Gray{}
	at := func(x, y int) color.Color { return color.GrayModel.Convert(picture.At(x, y)) }
	for x := r.Min.X + 2; x < r.Max.X-2; x++ {
		for y := r.Min.Y + 2; y < r.Min.Y+8; y++ {
			if at(x, y) != white {
				b.t.Fatalf("the border of the QR code is %v", at(x, y))
			}
		}
	}
	dark := 0
	for x := r.Min.X; x < r.Max.X; x++ {
		for y := r.Min.Y; y < r.Max.Y; y++ {
			if at(x, y) == black {
				dark++
			}
		}
	}
	if all := r.Dx() * r.Dy(); dark < all/5 || dark > all/2 {
		b.t.Fatalf("%d of %d pixels are black", dark, all)
	}
}

// press moves the focus by the Tab key, to the next element with this text.
func (b *tab) press(text string) {
	b.t.Helper()
	for range 30 {
		b.do(chromedp.KeyEvent("\t"))
		if b.focused() == text {
			return
		}
	}
	b.t.Fatalf("the focus does not come to %q", text)
}

// focused returns the text of the element that has the focus.
func (b *tab) focused() string {
	b.t.Helper()
	return value(b, chromedp.Evaluate[string](`document.activeElement.textContent.trim()`))
}
