package e2e

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// testScript: what /auth.js adds to the pages, and that they do without.
func testScript(t *testing.T, open func() *tab) {
	for name, test := range map[string]func(*tab){
		"show the password": testShowPassword, "caps lock": testCapsLock, "second click": testSecondClick, "times": testTimes,
		"other scripts": testOtherScripts,
	} {
		t.Run(name, func(t *testing.T) {
			b := open()
			b.t = t
			test(b)
		})
	}
}

func (b *tab) wantEval(script, want string) {
	b.t.Helper()
	if got := b.eval(script); got != want {
		b.t.Errorf("%s is %q, want %q", script, got, want)
	}
}

// testShowPassword: a button shows the password and hides it. It is hidden before it is sent.
func testShowPassword(b *tab) {
	const state = `[password.type, document.getElementById("password-show").textContent].join(" ")`
	b.open("/login", "/login")
	b.fill("login", "nobody", "password", good)
	b.wantEval(state, "password Show")
	b.do(chromedp.Click(chromedp.ID("password-show")))
	b.wantEval(state, "text Hide")
	b.wantValue("password", good)
	b.look("login-password-shown")
	b.do(chromedp.Click(chromedp.ID("password-show")))
	b.wantEval(state, "password Show")
	b.do(chromedp.SendKeys(chromedp.ID("password-show"), " ")) // with the keyboard
	b.wantEval(state, "text Hide")
	b.eval(`addEventListener("submit", () => sessionStorage.setItem("sent as", password.type)), ""`)
	b.submit("/login", 422)
	b.wantEval(`sessionStorage.getItem("sent as")`, "password")
	b.open("/register", "/register")
	b.do(chromedp.Click(chromedp.ID("confirm_password-show")))
	b.wantEval(`[password.type, confirm_password.type].join(" ")`, "password text") // each has its own button

	b.withoutScripts()
	b.open("/login", "/login")
	if button := value(b, chromedp.Evaluate[bool](`document.getElementById("password-show").checkVisibility()`)); button {
		b.t.Error("without scripts, there is a button that does nothing")
	}
	b.look("login-without-scripts")
}

// testOtherScripts: the policy of a page lets no script of the site run but the page's own.
func testOtherScripts(b *tab) {
	b.open("/login", "/login")
	got := value(b, chromedp.Evaluate[string](`new Promise(resolve => {
		addEventListener("securitypolicyviolation", event => resolve(event.type + " " + event.blockedURI));
		const script = document.createElement("script");
		script.onload = () => resolve("it ran");
		script.src = "/upload.js";
		document.head.append(script);
	})`, chromedp.EvalAwaitPromise))
	if want := "securitypolicyviolation " + b.site.url + "/upload.js"; got != want {
		b.t.Errorf("%s, want %s", got, want)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = nil // the browser complains, too
}

// testCapsLock: the page says under a password that caps lock is on.
func testCapsLock(b *tab) {
	const message = `document.querySelector("[data-caps-lock=password]").textContent`
	press := func(kind, field string, on bool) {
		b.t.Helper()
		event := "new KeyboardEvent"
		if kind == "mousedown" {
			event = "new MouseEvent"
		}
		modifier := "false"
		if on {
			modifier = "true"
		}
		b.eval(field + `.dispatchEvent(` + event + `("` + kind + `", {modifierCapsLock: ` + modifier + `})), ""`)
	}
	b.open("/login", "/login")
	b.wantEval(message, "")
	for _, kind := range []string{"keydown", "keyup", "mousedown"} {
		press(kind, "password", true)
		b.wantEval(message, "Caps lock is on.")
		b.eval(`password.dispatchEvent(new Event("keydown")), ""`) // a password manager types
		b.wantEval(message, "Caps lock is on.")
		press(kind, "password", false)
		b.wantEval(message, "")
		press(kind, "login", true)
		b.wantEval(message, "")
	}
	press("keydown", "password", true)
	b.look("login-caps-lock")
}

// testSecondClick: a form is sent once. Later, and after the back button, it can be sent again.
func testSecondClick(b *tab) {
	var sent atomic.Int32
	check(b.t, chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok && e.Request.Method == http.MethodPost {
			sent.Add(1)
		}
	}))
	b.open("/login", "/login")
	b.fill("login", "nobody", "password", "a wrong password")
	b.arrive("/login", 422, chromedp.DoubleClick(chromedp.CSS("main form button[type=submit]")))
	if n := sent.Load(); n != 1 {
		b.t.Errorf("two clicks have sent the form %d times", n)
	}
	b.arrive("/login", 200, chromedp.NavigateBack())
	b.submit("/login", 422, "password", "a wrong password")
	if n := sent.Load(); n != 2 {
		b.t.Errorf("after the back button, the form was sent %d times", n)
	}

	// sends reports whether the browser would send the form, and keeps it from doing so.
	b.eval(`window.addEventListener("submit", (e) => { window.stopped = String(e.defaultPrevented); e.preventDefault(); }), ""`)
	const send = `document.querySelector("main form").requestSubmit(), window.stopped`
	b.wantEval(send, "false")
	b.wantEval(send, "true")
	b.eval(`window.dispatchEvent(new PageTransitionEvent("pageshow", {persisted: false})), ""`)
	b.wantEval(send, "true")
	b.eval(`window.dispatchEvent(new PageTransitionEvent("pageshow", {persisted: true})), ""`)
	b.wantEval(send, "false")
	b.wantEval(send, "true")
	// Another button of the form is another wish, and a form of a dialog sends nothing.
	b.wantEval(`document.querySelector("main form").requestSubmit(document.querySelector("main form button[type=submit]")), window.stopped`, "false")
	b.eval(`document.body.insertAdjacentHTML("beforeend", "<dialog><form method=dialog><button></button></form></dialog>"), ""`)
	const end = `document.querySelector("dialog form").requestSubmit(), window.stopped`
	b.wantEval(end, "false")
	b.wantEval(end, "false")
}

// testTimes: times are in the browser's time zone, as it writes them.
func testTimes(b *tab) {
	const zone = "Pacific/Kiritimati" // 14 hours before UTC
	b.register("tim")
	b.login("tim", good)
	b.open("/account/sessions", "/account/sessions")
	_, err := chromedp.Call(b.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: zone})
	check(b.t, err)
	const agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	for languages, layout := range map[string]string{"en-US,en": "Jan 2, 2006", "de,en-GB,en-US": "2 Jan 2006"} {
		_, err = chromedp.Call(b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: languages})
		check(b.t, err)
		b.open("/account/sessions", "/account/sessions")
		since := strings.Split(b.eval(`(t => [t.dateTime, t.title, t.textContent].join("|"))(document.querySelector("main time[data-time=day]"))`), "|")
		at, err := time.Parse(time.RFC3339, since[0])
		check(b.t, err)
		if want := at.In(time.FixedZone(zone, 14*60*60)).Format(layout); since[2] != want {
			b.t.Errorf("%s: the day is %q, want %q", languages, since[2], want)
		}
		if want := at.Format("2006-01-02 15:04 UTC"); since[1] != want {
			b.t.Errorf("%s: the title is %q, want %q", languages, since[1], want)
		}
	}
	b.look("account-sessions-local")
	b.withoutScripts()
	b.open("/account/sessions", "/account/sessions")
	b.wantText(time.Now().UTC().Format("2 Jan 2006"))
}
