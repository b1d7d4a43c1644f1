package e2e

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/go-login/auth"
	"github.com/go-login/auth/authmail"
	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/totp"
)

// The buttons of the pages for passkeys.
const (
	passkeyButton = "main form[data-passkey-url] button, main form[data-passkey] button"
	removeKey     = "main form:has([name=remove]) button"
	passkeysPage  = "/account/passkeys"
)

type member struct{ auth.Account }

// A passkeySite is an application in this process, so that its clock can be moved, and its
// events and passkeys can be seen.
type passkeySite struct {
	*site
	core  *auth.Core
	store *memstore.Store[member, *member]

	asked chan struct{} // receives whenever the script asks what to ask the browser for

	mu   sync.Mutex
	late time.Duration // how far its clock is ahead
	held chan struct{} // if set, the script gets its answer when this is closed
}

func (s *passkeySite) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.late)
}

func (s *passkeySite) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late += d
}

// wantAsked waits until the script has asked n times.
func (s *passkeySite) wantAsked(t *testing.T, n int) {
	t.Helper()
	for range n {
		wait(t, s.asked, "the script asks the site for nothing")
	}
}

// hold lets the script wait for its answers until a device is touched: see touched.
func (s *passkeySite) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = make(chan struct{})
}

// touched touches a device, and then lets the script go on. In the other order the request could
// reach the device first, which forgets it if nobody touches.
func (s *passkeySite) touched(d *device) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		v, err := d.touch(true)(ctx, target)
		s.mu.Lock()
		defer s.mu.Unlock()
		close(s.held)
		s.held = nil
		return v, err
	}
}

// forget forgets how often the script has asked.
func (s *passkeySite) forget() {
	for {
		select {
		case <-s.asked:
		default:
			return
		}
	}
}

func wait[T any](t *testing.T, c <-chan T, without string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal(without)
	}
	return v
}

func newPasskeySite(t *testing.T, offers bool) *passkeySite {
	t.Helper()
	return newOwnSite(t, func(cfg *auth.Config) {
		cfg.Factors = []auth.Factor{passkey.New(passkey.Config{}), totp.New(totp.Issuer("Passkeys")), totp.RecoveryCodes()}
	}, pages.Config{Site: "Passkeys", NoPasskeyOffer: !offers}, func(*http.ServeMux, *auth.Manager[*member]) {})
}

// newOwnSite starts an application with these settings, and with what mount adds to it.
func newOwnSite(t *testing.T, set func(*auth.Config), cfg pages.Config, mount func(*http.ServeMux, *auth.Manager[*member])) *passkeySite {
	t.Helper()
	listener, port, err := server.Listen(t.Context(), "127.0.0.1:0")
	check(t, err)
	r, w := io.Pipe()
	s := &passkeySite{site: &site{url: "http://localhost:" + port, lines: make(chan string, 1000)}, asked: make(chan struct{}, 1000)}
	go readLines(r, s.lines)
	s.store = memstore.New[member](memstore.WithClock(s.now))
	settings := auth.Config{
		BaseURL: s.url, Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Mailer: authmail.NewPrinter(w),
		Now: s.now, Logger: slog.New(slog.DiscardHandler),
	}
	set(&settings)
	manager, err := auth.New(s.store, settings)
	check(t, err)
	s.core = manager.Core
	ready, err := pages.New(manager.Core, cfg)
	check(t, err)
	mux := http.NewServeMux()
	mount(mux, manager)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login/passkey" && r.Method == http.MethodGet {
			s.asked <- struct{}{}
			s.mu.Lock()
			held := s.held
			s.mu.Unlock()
			if held != nil {
				select {
				case <-held:
				case <-r.Context().Done(): // the page was left
				}
			}
		}
		ready.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		text := "Log in. This page is for everybody."
		if user, err := manager.User(r.Context()); err == nil {
			text = "Hi, " + user.Username + `! <form action="/logout" method="post"><button>Log out</button></form>`
		}
		for _, f := range manager.Flashes(r.Context()) {
			text += f.Text
		}
		_, _ = io.WriteString(w, "<!doctype html><html lang=en><title>Home</title><p>"+text)
	})
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener, manager.LoadAndSave(mux)) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-done)
		check(t, w.Close())
	})
	return s
}

// keys returns the passkeys of a user.
func (s *passkeySite) keys(t *testing.T, name string) []auth.Passkey {
	t.Helper()
	user, err := s.store.FindUser(t.Context(), name)
	check(t, err)
	all, err := s.core.Passkeys(t.Context(), user)
	check(t, err)
	return all
}

// A device is an authenticator inside of a tab's browser. It asks for a finger, and gets it.
type device struct {
	b  *tab
	id webauthn.AuthenticatorID

	deleted chan []byte // the passkeys that the browser has forgotten, because a page told it to
	names   chan string // names that the browser has learnt
}

// addDevice gives the tab a device.
func (b *tab) addDevice() *device {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, webauthn.Enable, webauthn.EnableParams{})
	check(b.t, err)
	d := &device{b: b, deleted: make(chan []byte, 100), names: make(chan string, 100)}
	check(b.t, chromedp.Listen(b.ctx, d.hear))
	r, err := chromedp.Call(b.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21,
			Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
			IsUserVerified: true, AutomaticPresenceSimulation: true,
		},
	})
	check(b.t, err)
	d.id = r.AuthenticatorID
	return d
}

func (d *device) hear(event any) {
	switch event := event.(type) {
	case *webauthn.EventCredentialDeleted:
		d.deleted <- event.CredentialID
	case *webauthn.EventCredentialUpdated:
		d.names <- event.Credential.UserName
	}
}

// touches says whether the user touches the device when it asks. A request that waits already
// goes on waiting; if the pages are hastened, the script soon makes another one.
func (d *device) touches(yes bool) {
	d.b.t.Helper()
	d.b.do(d.touch(yes))
}

func (d *device) touch(yes bool) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		return cdp.Call(ctx, target, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: d.id, Enabled: yes})
	}
}

// leave logs out, and opens the login page. The user touches the device no more. The autofill
// waits.
func (s *passkeySite) leave(d *device, login string) {
	d.b.t.Helper()
	d.touches(false)
	d.b.open("/", "/")
	d.b.logout()
	s.forget()
	d.b.open(login, login)
	s.wantAsked(d.b.t, 1)
}

// button uses the button of the login page while the autofill waits.
func (s *passkeySite) button(d *device, path string, status int64) {
	d.b.t.Helper()
	s.forget()
	s.hold()
	d.b.do(click(passkeyButton))
	s.wantAsked(d.b.t, 1) // so the autofill waits no more
	d.b.arrive(path, status, s.touched(d))
}

// knows says whether the finger is the user's.
func (d *device) knows(yes bool) {
	d.b.t.Helper()
	_, err := chromedp.Call(d.b.ctx, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: d.id, IsUserVerified: yes})
	check(d.b.t, err)
}

func (d *device) credentials() []*webauthn.Credential {
	d.b.t.Helper()
	r, err := chromedp.Call(d.b.ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: d.id})
	check(d.b.t, err)
	return r.Credentials
}

// addPasskey adds a passkey on the page of the account. The first one leads to recovery codes.
func (b *tab) addPasskey(leads string) {
	b.t.Helper()
	b.open(passkeysPage, passkeysPage)
	b.arrive(passkeysPage+"?add=1", 200, click("main form:has([name=add]) button"))
	b.arrive(leads, 200, click(passkeyButton))
}

// open starts a browser's tab with a device, in which the user has logged in with the
// password.
func (s *passkeySite) user(t *testing.T, browser context.Context, name string) (*tab, *device) {
	t.Helper()
	b := newWindow(t, browser, s.site)
	d := b.addDevice()
	b.register(name)
	b.login(name, good)
	b.verify(name)
	return b, d
}

// eventually waits until the page's script returns true.
func (b *tab) eventually(script string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !value(b, chromedp.Evaluate[bool](script)); {
		if time.Now().After(deadline) {
			b.t.Fatalf("never: %s", script)
		}
	}
}

func testAddPasskey(t *testing.T, browser context.Context, s *passkeySite) {
	b, d := s.user(t, browser, "paula")
	b.addPasskey("/account/recovery-codes")
	b.wantText("The passkey has been added. Other browsers have been logged out.", "You have no recovery codes.")
	b.open(passkeysPage, passkeysPage)
	b.wantText("On one device", "Created", "not used yet", "Passkey")
	if n := len(s.keys(t, "paula")); n != 1 || len(d.credentials()) != 1 {
		t.Fatalf("the site has %d passkeys, and the device %d", n, len(d.credentials()))
	}
	if c := d.credentials()[0]; c.RpID != "localhost" || c.UserName != "paula" || !c.IsResidentCredential || len(c.UserHandle) != 64 {
		t.Errorf("the passkey is %+v", c)
	}

	// The same device again (P2).
	b.arrive(passkeysPage+"?add=1", 200, click("main form:has([name=add]) button"))
	b.do(click(passkeyButton))
	b.eventually(`!document.querySelector("[data-passkey-message]").hidden`)
	b.wantText("This device already has a passkey for you.")
	if b.focused() != "Add a passkey" {
		t.Errorf("the focus is on %q", b.focused())
	}
	if n := len(s.keys(t, "paula")); n != 1 {
		t.Errorf("the site has %d passkeys", n)
	}

	// A name (P21).
	b.open(passkeysPage, passkeysPage)
	b.arrive(passkeysPage+"?rename="+url.QueryEscape(s.keys(t, "paula")[0].ID), 200, click("main li a"))
	b.wantFocus("name")
	b.do(chromedp.Clear(chromedp.ID("name")))
	b.submit(passkeysPage, 200, "name", "<b>My key</b>")
	b.wantText("The passkey has been renamed.", "<b>My key</b>")
}

// testPasskeyLogin logs in by the autofill, without a name, and by the button.
func testPasskeyLogin(t *testing.T, browser context.Context, s *passkeySite) {
	b, d := s.user(t, browser, "peter")
	b.addPasskey("/account/recovery-codes")
	s.leave(d, "/login?next=%2Faccount")
	b.wantFocus("login")
	s.button(d, "/account", 200) // P24
	b.wantText("peter@example.com")
	b.open(passkeysPage, passkeysPage)
	b.wantNoText("not yet")

	// The user picks the passkey in the field for the name.
	s.hold()
	s.leave(d, "/login?next=%2Faccount")
	b.arrive("/account", 200, s.touched(d))
	b.wantText("peter@example.com")
	if login := s.lastLogin(t, "peter"); login.Remembered || !slices.Equal(login.Methods, []string{"passkey"}) {
		t.Errorf("the login is %+v", login)
	}
}

// lastLogin returns the newest login of a user.
func (s *passkeySite) lastLogin(t *testing.T, name string) auth.Login {
	t.Helper()
	user, err := s.store.FindUser(t.Context(), name)
	check(t, err)
	logins, err := s.core.Logins(t.Context(), user.AuthAccount().ID)
	check(t, err)
	if len(logins) == 0 {
		t.Fatal("no login")
	}
	return slices.MaxFunc(logins, func(a, b auth.Login) int { return a.Created.Compare(b.Created) })
}

// hasten makes the timers of the following pages this many times as quick.
func (b *tab) hasten() {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `{ const real = setTimeout; window.setTimeout = (f, ms) => real(f, ms / 500); }`,
	})
	check(b.t, err)
}

// withoutAutofill makes the browser one that offers no passkeys in the field for the name.
func (b *tab) withoutAutofill() {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `PublicKeyCredential.isConditionalMediationAvailable = async () => false;`,
	})
	check(b.t, err)
}

// testPasskeyRemember: the box of the password's form is for the passkey, too.
func testPasskeyRemember(t *testing.T, browser context.Context, s *passkeySite) {
	b, d := s.user(t, browser, "prue")
	b.addPasskey("/account/recovery-codes")
	b.hasten()
	for _, way := range []func(){
		func() { s.button(d, "/", 200) },
		func() { b.arrive("/", 200, d.touch(true)) },
	} {
		s.leave(d, "/login")
		b.do(click(`label[for="remember_me"]`))
		way()
		if login := s.lastLogin(t, "prue"); !login.Remembered {
			t.Errorf("the login is %+v", login)
		}
	}
	s.leave(d, "/login")
	b.arrive("/", 200, d.touch(true))
	if login := s.lastLogin(t, "prue"); login.Remembered {
		t.Errorf("the login is %+v", login)
	}
}

// testPasskeyOldPage (P24): the login page is open for 20 minutes. The script renews what it
// asks for, so a pick still works.
func testPasskeyOldPage(t *testing.T, browser context.Context, s *passkeySite) {
	b, d := s.user(t, browser, "pia")
	b.addPasskey("/account/recovery-codes")
	b.hasten()
	s.leave(d, "/login")
	for range 5 {
		s.advance(4 * time.Minute)
		s.forget()
		s.wantAsked(t, 1)
	}
	b.arrive("/", 200, d.touch(true))
	b.wantUser("pia")
}

// testPasskeySecondFactor: after the password, the passkey is asked for.
func testPasskeySecondFactor(t *testing.T, browser context.Context, s *passkeySite) {
	b, d := s.user(t, browser, "petra")
	b.addPasskey("/account/recovery-codes")
	codes := b.newCodes()
	s.leave(d, "/login?next=%2Faccount")
	b.submit("/login/verify?next=%2Faccount", 200, "login", "petra", "password", good)
	b.wantText("To go on as petra", "Confirm with a passkey", "Try another way", "Recovery codes")
	if value(b, chromedp.Evaluate[bool](`document.querySelector("[data-passkey-without]").checkVisibility()`)) {
		t.Error("the page says that the browser has no passkeys")
	}
	d.touches(true)
	d.knows(false) // possession is enough beside the password (P7)
	b.arrive("/account", 200, click(passkeyButton))
	b.wantText("petra@example.com")
	if login := s.lastLogin(t, "petra"); !slices.Equal(login.Methods, []string{"password", "passkey"}) {
		t.Errorf("the login is %+v", login)
	}
	d.knows(true)

	// With scripts off, the other way works, and there is no dead button (P23).
	off := newWindow(t, browser, s.site)
	off.withoutScripts()
	off.open("/login", "/login")
	off.wantHidden()
	off.submit("/login/verify", 200, "login", "petra", "password", good)
	off.wantHidden()
	off.wantText("This browser has no passkeys, or does not run scripts.")
	off.arrive("/login/verify?with=recovery-code", 200, click(useCodeLink))
	off.submit("/", 200, "code", codes[0])
	off.wantUser("petra")
	off.open(passkeysPage+"?add=1", passkeysPage+"?add=1")
	off.wantHidden()
	off.open("/refresh", "/refresh")
	off.wantHidden()
}

// wantHidden fails if a form for a passkey can be seen.
func (b *tab) wantHidden() {
	b.t.Helper()
	nodes := value(b, chromedp.Nodes(chromedp.CSS("main form[hidden]")))
	if len(nodes) != 1 {
		b.t.Errorf("%d forms are hidden", len(nodes))
	}
}

// testPasskeyRefresh: a login becomes fresh by a passkey, also without a password. The
// account is then closed, and the browser forgets the passkey (P18, P20, P27).
func testPasskeyRefresh(t *testing.T, browser context.Context, s *passkeySite) {
	b, d := s.user(t, browser, "pablo")
	b.addPasskey("/account/recovery-codes")
	b.open(passkeysPage, passkeysPage)
	b.arrive(passkeysPage, 200, click("main form:has([name=remove_password]) button"))
	b.wantText("Your password has been removed.")
	b.arrive(passkeysPage, 409, click(removeKey))
	b.wantText("You could not log in any more. First set a password, or add another passkey.")
	s.advance(21 * time.Minute)
	b.open("/account/close", "/refresh?next=%2Faccount%2Fclose")
	b.wantNoText("type=\"password\"")
	b.arrive("/account/close", 200, click(passkeyButton))
	b.do(click(`label[for="confirm"]`))
	b.arrive("/account/close", 200, click("main form button[type=submit]"))
	b.wantText("Your account has been closed.")
	d.wantDeleted()
	if left := d.credentials(); len(left) != 0 {
		t.Errorf("the browser still has %d passkeys", len(left))
	}
	b.arrive("/", 200, click("main p a"))
	b.wantUser("")
}

// wantDeleted waits until the browser has forgotten a passkey.
func (d *device) wantDeleted() {
	d.b.t.Helper()
	wait(d.b.t, d.deleted, "the browser forgets no passkey")
}

// testRemovePasskey (P22): the browser forgets a passkey that was removed, and one that the
// site does not know; and it learns a new name.
func testRemovePasskey(t *testing.T, browser context.Context, s *passkeySite) {
	b, d := s.user(t, browser, "pippa")
	b.addPasskey("/account/recovery-codes")
	b.open(passkeysPage, passkeysPage)
	b.arrive(passkeysPage, 200, click(removeKey))
	b.wantText("The passkey has been removed.")
	d.wantDeleted()

	// The user has another name. The browser learns it on a page of the account.
	b.addPasskey("/account/recovery-codes")
	user, err := s.store.FindUser(t.Context(), "pippa")
	check(t, err)
	account := user.AuthAccount().Clone()
	account.Username = "philippa"
	check(t, s.store.UpdateAccount(t.Context(), account))
	b.open(passkeysPage, passkeysPage)
	d.wantName("philippa")
	b.arrive(passkeysPage, 200, click(removeKey))
	d.wantDeleted()

	// Removed in another browser, while this one does not look.
	b.addPasskey("/account/recovery-codes")
	d.touches(false)
	b.open("/", "/")
	check(t, s.core.ResetFactors(t.Context(), user.AuthAccount().ID))
	b.open("/login", "/login")
	s.button(d, "/login/passkey", 422)
	b.wantText("That passkey could not be used. Try again, or log in another way.")
	d.wantDeleted()
	b.login("philippa", good)
}

// wantName waits until the browser has learnt a user's name.
func (d *device) wantName(name string) {
	d.b.t.Helper()
	for wait(d.b.t, d.names, "the browser learns no name "+name) != name {
	}
}

// testPasskeyOffer: after a login with the password, a user of a device that can have a passkey
// is offered one, once. Without scripts, nobody is.
func testPasskeyOffer(t *testing.T, browser context.Context, s *passkeySite) {
	b := newWindow(t, browser, s.site)
	d := b.addDevice()
	for _, name := range []string{"olga", "oskar"} {
		b.register(name)
		user, err := s.store.FindUser(t.Context(), name)
		check(t, err)
		account := user.AuthAccount().Clone()
		account.EmailVerified = true
		check(t, s.store.UpdateAccount(t.Context(), account))
	}
	able := func() {
		b.open("/login?next=%2Faccount", "/login?next=%2Faccount")
		b.eventually(`!document.querySelector("[data-passkey-able]").disabled`)
	}
	d.touches(false) // the autofill must not pick anything
	able()
	b.submit(passkeysPage+"?offer=1&next=%2Faccount", 200, "login", "olga", "password", good)
	b.wantText("Log in without a password next time?", "Not now")
	b.look("account-passkeys-offer")
	b.arrive("/account", 200, chromedp.Click(chromedp.CSS(`main p a[href="/account"]`)))
	b.wantText("olga@example.com")
	b.open("/", "/")
	b.logout()
	able()
	b.submit("/account", 200, "login", "olga", "password", good) // not asked again

	other := newWindow(t, browser, s.site)
	device := other.addDevice()
	device.touches(false)
	other.open("/login", "/login")
	other.eventually(`!document.querySelector("[data-passkey-able]").disabled`)
	other.submit(passkeysPage+"?offer=1&next=%2F", 200, "login", "olga", "password", good)
	device.touches(true)
	other.arrive("/account/recovery-codes?next=%2F", 200, click(passkeyButton))
	if n := len(s.keys(t, "olga")); n != 1 {
		t.Errorf("the site has %d passkeys", n)
	}

	off := newWindow(t, browser, s.site)
	off.withoutScripts()
	off.open("/login", "/login")
	off.submit("/", 200, "login", "oskar", "password", good)
}

// testClonedPasskey (P11): a passkey whose counter goes back was copied.
func testClonedPasskey(t *testing.T, browser context.Context, s *passkeySite) {
	b, d := s.user(t, browser, "pedro")
	b.addPasskey("/account/recovery-codes")
	b.withoutAutofill()
	again := func(path string, status int64) {
		t.Helper()
		b.open("/login", "/login")
		b.arrive(path, status, click(passkeyButton))
	}
	for range 2 {
		b.open("/", "/")
		b.logout()
		again("/", 200)
	}
	b.logout()
	d.setCount(0)
	again("/login/passkey", 422)
	b.wantText("That passkey could not be used. Try again, or log in another way.")
	b.look("login-passkey-refused")
	if all := s.keys(t, "pedro"); len(all) != 1 || !all[0].Suspended {
		t.Errorf("the passkeys are %+v", all)
	}
	for !strings.Contains(s.line(t), "A passkey does not work any more") {
	}
}

// testCancelledPasskey (P25): if the user cancels, nothing is red, and the focus is on the
// button. Another try works.
func testCancelledPasskey(t *testing.T, browser context.Context, s *passkeySite) {
	b, d := s.user(t, browser, "penny")
	b.addPasskey("/account/recovery-codes")
	key := d.credentials()[0]
	s.leave(d, "/login")
	d.remove(key) // then the browser says what it says after Cancel
	s.forget()
	d.touches(true) // before the dialog opens: the authenticator forgets one that nobody touched
	button := `document.querySelector("` + strings.ReplaceAll(passkeyButton, `"`, `'`) + `")`
	b.eval(button + `.click(), ""`) // unlike the mouse, this does not focus the button
	s.wantAsked(t, 2)               // the autofill waits again, so the dialog has ended
	b.eventually(`document.activeElement === ` + button)
	if b.path() != "/login" || value(b, chromedp.Evaluate[bool](`!!document.querySelector("main .danger:not([hidden]), main [aria-invalid]")`)) {
		t.Error("something is red")
	}
	d.touches(false)
	d.add(key)
	s.button(d, "/", 200)
	b.wantUser("penny")
}

// testTwoPasskeyTabs (P30): two login pages wait, and both work, in either order.
func testTwoPasskeyTabs(t *testing.T, browser context.Context, s *passkeySite) {
	b, d := s.user(t, browser, "phil")
	b.addPasskey("/account/recovery-codes")
	key := d.credentials()[0]
	b.hasten()
	for _, second := range []bool{false, true} {
		s.leave(d, "/login")
		other := b.another()
		other.hasten()
		copied := other.addDevice()
		copied.touches(false)
		copied.add(key)
		s.forget()
		other.open("/login", "/login")
		s.wantAsked(t, 1)
		tabs, devices := []*tab{b, other}, []*device{d, copied}
		if second {
			slices.Reverse(tabs)
			slices.Reverse(devices)
		}
		for i := range tabs {
			devices[i].setCount(float64(100 * (i + 1) * (1 + map[bool]int{true: 5}[second])))
			tabs[i].arrive("/", 200, devices[i].touch(true))
			tabs[i].wantUser("phil")
		}
	}
}

// add puts a copy of a passkey into the device.
func (d *device) add(c *webauthn.Credential) {
	d.b.t.Helper()
	_, err := chromedp.Call(d.b.ctx, addCredential, addCredentialParams{d.id, credential{c.CredentialID, true, c.RpID, c.PrivateKey, c.UserHandle, c.SignCount}})
	check(d.b.t, err)
}

func (d *device) remove(c *webauthn.Credential) {
	d.b.t.Helper()
	_, err := chromedp.Call(d.b.ctx, webauthn.RemoveCredential, webauthn.RemoveCredentialParams{AuthenticatorID: d.id, CredentialID: c.CredentialID})
	check(d.b.t, err)
}

func (d *device) setCount(count float64) {
	d.b.t.Helper()
	_, err := chromedp.Call(d.b.ctx, webauthn.SetCredentialProperties, webauthn.SetCredentialPropertiesParams{
		AuthenticatorID: d.id, CredentialID: d.credentials()[0].CredentialID, SignCount: &count,
	})
	check(d.b.t, err)
}

// addCredential is the command of the protocol without the fields of a newer one, which
// Chromium refuses.
var addCredential = cdp.Command[addCredentialParams, cdp.Empty]{Method: webauthn.CommandAddCredential}

type addCredentialParams struct {
	AuthenticatorID webauthn.AuthenticatorID `json:"authenticatorId"`
	Credential      credential               `json:"credential"`
}

type credential struct {
	CredentialID         []byte  `json:"credentialId"`
	IsResidentCredential bool    `json:"isResidentCredential"`
	RpID                 string  `json:"rpId"`
	PrivateKey           []byte  `json:"privateKey"`
	UserHandle           []byte  `json:"userHandle"`
	SignCount            float64 `json:"signCount"`
}

// testPasskeyKeyboard uses nothing but the keyboard.
func testPasskeyKeyboard(t *testing.T, browser context.Context, s *passkeySite) {
	b, d := s.user(t, browser, "polly")
	b.open(passkeysPage, passkeysPage)
	b.press("Add a passkey")
	b.arrive(passkeysPage+"?add=1", 200, chromedp.KeyEvent("\r"))
	b.press("Add a passkey")
	b.arrive("/account/recovery-codes", 200, chromedp.KeyEvent("\r"))
	b.open(passkeysPage, passkeysPage)
	b.press("Rename")
	b.arrive(passkeysPage+"?rename="+url.QueryEscape(s.keys(t, "polly")[0].ID), 200, chromedp.KeyEvent("\r"))
	b.wantFocus("name")
	b.arrive(passkeysPage, 200, chromedp.KeyEvent(" of mine\r"))
	b.wantText("of mine")
	s.leave(d, "/login")
	b.wantFocus("login")
	for _, want := range []string{"", "Show", "", "Log in", "Forgot your password?", "Log in with a passkey"} { // the password, its button, the box, the buttons
		b.do(chromedp.KeyEvent("\t"))
		if got := b.focused(); got != want {
			t.Errorf("the focus is on %q, want %q", got, want)
		}
	}
	s.forget()
	s.hold()
	b.do(chromedp.KeyEvent("\r"))
	s.wantAsked(t, 1)
	b.arrive("/", 200, s.touched(d))
	b.wantUser("polly")
	b.open(passkeysPage, passkeysPage)
	b.press("Remove")
	b.arrive(passkeysPage, 200, chromedp.KeyEvent("\r"))
	b.wantText("You have no passkeys yet.")
}

// testPasskeyAppearance checks every page for passkeys.
func testPasskeyAppearance(t *testing.T, browser context.Context, s *passkeySite) {
	b, d := s.user(t, browser, strings.Repeat("w", 20))
	b.open(passkeysPage, passkeysPage)
	b.look("account-passkeys-none")
	b.open(passkeysPage+"?add=1", passkeysPage+"?add=1")
	b.look("account-passkeys-add")
	b.arrive("/account/recovery-codes", 200, click(passkeyButton))
	b.look("recovery-codes-after-passkey")
	b.open(passkeysPage+"?add=1", passkeysPage+"?add=1")
	b.do(click(passkeyButton))
	b.eventually(`!document.querySelector("[data-passkey-message]").hidden`)
	b.look("account-passkeys-exists")
	b.open(passkeysPage, passkeysPage)
	b.look("account-passkeys")
	b.arrive(passkeysPage+"?rename="+url.QueryEscape(s.keys(t, strings.Repeat("w", 20))[0].ID), 200, click("main li a"))
	b.do(chromedp.Clear(chromedp.ID("name")))
	b.look("account-passkeys-rename")
	b.submit(passkeysPage, 200, "name", strings.Repeat("w", 64))
	b.look("account-passkeys-renamed")
	for _, page := range []string{"account", "account/two-factor", "refresh"} {
		b.open("/"+page, "/"+page)
		b.look(strings.ReplaceAll(page, "/", "-") + "-passkey")
	}
	s.leave(d, "/login")
	b.look("login-passkey")
	b.submit("/login/verify", 200, "login", strings.Repeat("w", 20), "password", good)
	b.look("login-verify-passkey")
}
