package e2e

import (
	"context"
	"encoding/hex"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/go-login/auth/internal/testapp"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// The buttons of the pages for providers.
const (
	providerButton   = `main form[action="/oauth/oidc"] button`
	disconnectButton = "main form:has([name=remove]) button"
	identitiesPage   = "/account/identities"
	setPasswordPage  = "/account/password"
	callbackPath     = "/oauth/oidc/callback"
	providerField    = `form[action="/login/username"] #username` // of the provider's page
)

// A realProvider is the example server of another project, on 127.0.0.1. For a browser, that is
// another site than the quickstart on localhost.
type realProvider struct {
	issuer string // ends in a slash

	*site // the quickstart
}

// people are the users of the provider. Everybody's password is good.
type people struct{}

func (people) GetUserByID(id string) *storage.User {
	name, _ := hex.DecodeString(id)
	return &storage.User{ID: id, Username: string(name), Password: good, Email: string(name) + "@example.com", EmailVerified: true}
}

func (p people) GetUserByUsername(name string) *storage.User {
	return p.GetUserByID(hex.EncodeToString([]byte(name)))
}

func (people) ExampleClientID() string { return "" }

// newRealProvider starts the provider and the quickstart, which know each other.
func newRealProvider(t *testing.T) *realProvider {
	t.Helper()
	quiet(t)
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	p := &realProvider{issuer: "http://" + listener.Addr().String() + "/"}
	const id, secret = "quickstart", "between the two"
	p.site = startSite(t, "-oidc-issuer", p.issuer, "-oidc-client-id", id, "-oidc-client-secret", secret)
	clients := map[string]*storage.Client{id: storage.WebClient(id, secret, p.url+callbackPath)}
	mux := http.NewServeMux()
	mux.Handle("/", exampleop.SetupServer(p.issuer, storage.NewStorageWithClients(people{}, clients), nil, false))
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return p
}

// quiet drops what the provider logs until the test ends.
func quiet(t *testing.T) {
	old, out, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		slog.SetDefault(old)
		log.SetOutput(out)
		log.SetFlags(flags)
	})
}

// TestProvider logs in with a provider that others have written, in a real browser.
func TestProvider(t *testing.T) {
	path := testapp.Need(t, "GOLOGIN_CHROMIUM")
	p := newRealProvider(t)
	browser := startBrowser(t, path, t.TempDir())
	for _, test := range []struct {
		name string
		run  func(*testing.T, *realProvider, func() *visitor)
	}{
		{"sign-up and login", testProviderLogin},
		{"without scripts", testProviderWithoutScripts},
		{"link and unlink", testProviderLinks},
		{"second factor", testProviderSecondFactor},
		{"confirm", testProviderConfirm},
		{"remember me", testProviderRemember},
		{"two tabs", testProviderTabs},
		{"reload and back", testProviderReload},
		{"appearance", testProviderAppearance},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, p, func() *visitor { return p.visitor(newWindow(t, browser, p.site)) })
		})
	}
}

// A visitor is a tab that notes how it comes back from the provider.
type visitor struct {
	*tab
	p *realProvider

	mu       sync.Mutex
	returned []string // the URLs
}

func (p *realProvider) visitor(b *tab) *visitor {
	b.t.Helper()
	v := &visitor{tab: b, p: p}
	check(b.t, chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok && strings.HasPrefix(e.Request.URL, p.url+callbackPath) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.returned = append(v.returned, e.Request.URL)
		}
	}))
	return v
}

func (v *visitor) another() *visitor {
	v.t.Helper()
	return v.p.visitor(v.tab.another())
}

// lastReturn returns the last URL at which the browser came back.
func (v *visitor) lastReturn() string {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.returned) == 0 {
		v.t.Fatal("the browser has not come back from the provider")
	}
	return v.returned[len(v.returned)-1]
}

// leave presses the button on this page of the site, and arrives at the provider.
func (v *visitor) leave(page string) {
	v.t.Helper()
	v.open(page, page)
	v.leaveBy(providerButton)
}

// leaveBy presses a button that leads to the provider.
func (v *visitor) leaveBy(button string) {
	v.t.Helper()
	v.do(click(button), chromedp.WaitReady(chromedp.CSS(providerField)))
	if at := value(v.tab, chromedp.Location()); !strings.HasPrefix(at, v.p.issuer) {
		v.t.Fatalf("the button leads to %s", at)
	}
}

// comeBack logs in at the provider, which leads to this path of the site.
func (v *visitor) comeBack(name, path string) {
	v.t.Helper()
	v.fill("username", name, "password", good)
	v.arrive(path, 200, click("form button"))
}

// comeBackRefused logs in at the provider. The site refuses that, and says why.
func (v *visitor) comeBackRefused(name, text string) {
	v.t.Helper()
	v.fill("username", name, "password", good)
	v.arrivesRefused(403, text, click("form button"))
}

// arrivesRefused runs actions that lead to a page of the handler, which must have this status
// and this text.
func (v *visitor) arrivesRefused(status int64, text string, actions ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	r, err := chromedp.RunResponse(ctx, actions...)
	check(v.t, err)
	if r == nil || r.Status != status || !strings.HasPrefix(r.URL, v.p.url+callbackPath+"?") {
		v.t.Fatalf("at %s with %+v, want a page of the handler with %d", v.path(), r, status)
	}
	v.wantText(text)
}

// visit goes to the provider, logs in there, and comes back.
func (v *visitor) visit(page, name, path string) {
	v.t.Helper()
	v.leave(page)
	v.comeBack(name, path)
}

// setPassword gives the user of a provider a password.
func (v *visitor) setPassword(name string) {
	v.t.Helper()
	v.verify(name)
	v.open(setPasswordPage, setPasswordPage)
	v.submit("/account", 200, "password", good, "confirm_password", good)
	v.wantText("You can log in with your password now.")
}

func testProviderLogin(t *testing.T, _ *realProvider, open func() *visitor) {
	providerFlow(open(), "olga@example.com", "olga")
}

func testProviderWithoutScripts(t *testing.T, _ *realProvider, open func() *visitor) {
	v := open()
	v.withoutScripts()
	providerFlow(v, "oscar@example.com", "oscar")
}

// providerFlow signs up at the provider, and logs in there.
func providerFlow(v *visitor, name, there string) {
	v.t.Helper()
	v.visit("/register", there, "/")
	v.wantUser(name)
	v.open("/account", "/account")
	v.wantText("Set a password")
	v.open("/", "/")
	v.logout()
	v.open("/settings", "/login?next=%2Fsettings")
	v.wantText("Used last")
	v.visit("/login?next=%2Fsettings", there, "/settings")
	v.wantUser(name)
}

// testProviderLinks connects an account of the site with one at the provider, and disconnects
// it.
func testProviderLinks(t *testing.T, _ *realProvider, open func() *visitor) {
	v, other := open(), open()
	v.register("otto")
	v.login("otto", good)
	v.verify("otto")

	// The provider says that the address is otto's. It is not trusted with that.
	other.leave("/login")
	other.comeBackRefused("otto", "This account is not connected")

	v.open(identitiesPage, identitiesPage)
	v.wantText("You have not connected any account yet.")
	v.visit(identitiesPage, "otto", identitiesPage)
	v.wantText("otto@example.com", "Disconnect")
	other.visit("/login", "otto", "/")
	other.wantUser("otto")

	// What is connected to one account cannot be connected to another.
	thief := open()
	thief.register("odette")
	thief.login("odette", good)
	thief.verify("odette")
	thief.leave(identitiesPage)
	thief.comeBackRefused("otto", "You cannot log in this way")

	v.open(identitiesPage, identitiesPage)
	v.arrive(identitiesPage, 200, click(disconnectButton))
	v.wantText("The account has been disconnected.", "You have not connected any account yet.")
	v.wantUser("otto")
	other.wantUser("") // the login came from the provider
}

// testProviderSecondFactor: the provider does not say that it has asked for a second factor. The
// site asks for its own.
func testProviderSecondFactor(t *testing.T, _ *realProvider, open func() *visitor) {
	v := open()
	v.visit("/register", "oleg", "/")
	v.verify("oleg")
	v.open("/account/two-factor?set-up=totp", "/account/two-factor?set-up=totp")
	app := v.scan()
	v.submit("/account/recovery-codes", 200, "code", v.code(app))
	codes := v.newCodes()
	v.open("/", "/")
	v.logout()
	v.visit("/login?next=%2Fprofile%3Ftab%3D1", "oleg", "/login/verify?next=%2Fprofile%3Ftab%3D1")
	v.wantText("To go on as oleg@example.com", "Code from your authenticator app")
	v.another().wantUser("")
	v.submit("/profile?tab=1", 200, "code", v.code(app))
	v.wantUser("oleg@example.com")
	v.logout()
	v.visit("/login", "oleg", "/login/verify")
	v.arrive("/login/verify?with=recovery-code", 200, click(useCodeLink))
	v.submit("/", 200, "code", codes[0])
	v.wantUser("oleg@example.com")
}

// testProviderConfirm: the provider asks for the password again, and says so.
func testProviderConfirm(t *testing.T, _ *realProvider, open func() *visitor) {
	v := open()
	v.visit("/register", "olivia", "/")
	v.visit("/refresh?next=%2Fsettings", "olivia", "/settings")
	v.wantUser("olivia@example.com")
	v.leave("/refresh?next=%2Fsettings")
	v.comeBackRefused("another", "You cannot log in this way")
	v.wantUser("olivia@example.com")
}

// testProviderRemember: the box of the login form is for the provider's button, too. Without
// scripts, the button has a box of its own.
func testProviderRemember(t *testing.T, _ *realProvider, open func() *visitor) {
	for _, box := range []string{`label[for="remember_me"]`, `form[action="/oauth/oidc"] label`} {
		v := open()
		if strings.HasPrefix(box, "form") {
			v.withoutScripts()
		}
		for _, ticked := range []bool{false, true} {
			v.open("/login?next=%2Fsettings", "/login?next=%2Fsettings")
			if ticked {
				v.do(click(box))
			}
			v.leaveBy(providerButton)
			v.comeBack("ralph", "/settings")
			cookies, err := chromedp.Call(v.ctx, network.GetCookies, network.GetCookiesParams{})
			check(t, err)
			remembered := slices.ContainsFunc(cookies.Cookies, func(c *network.Cookie) bool { return strings.Contains(c.Name, "remember") })
			if remembered != ticked {
				t.Errorf("%s: ticked %v, remembered %v", box, ticked, remembered)
			}
			v.open("/", "/")
			v.logout()
		}
	}
}

// testProviderTabs: two tabs of a browser are at the provider. Both come back, in either order,
// and the later one is the user.
func testProviderTabs(t *testing.T, _ *realProvider, open func() *visitor) {
	for _, second := range []bool{false, true} {
		one := open()
		two := one.another()
		one.leave("/login?next=%2Fprofile")
		two.leave("/login?next=%2Fsettings")
		first, last := func() { one.comeBack("onno", "/profile") }, func() { two.comeBack("ona", "/settings") }
		name := "ona"
		if second {
			first, last, name = last, first, "onno"
		}
		first()
		last()
		one.wantUser(name + "@example.com")
		two.wantUser(name + "@example.com")
	}
}

// testProviderReload: after a login, the browser loads the page again, goes back, and asks again
// for the URL with the code.
func testProviderReload(t *testing.T, p *realProvider, open func() *visitor) {
	v := open()
	v.visit("/login?next=%2Fsettings", "orla", "/settings")
	v.arrive("/settings", 200, chromedp.Reload())
	v.wantUser("orla@example.com")
	v.open(strings.TrimPrefix(v.lastReturn(), p.url), "/")
	v.wantUser("orla@example.com")

	// Back, over the provider's page. The login page has nothing for a user who is logged in.
	v.logout()
	v.visit("/login?next=%2Fsettings", "orla", "/settings")
	v.arrive("/settings", 200, chromedp.Evaluate[chromedp.Void](`history.go(-2)`))
	v.wantUser("orla@example.com")
	for _, entry := range value(v.tab, chromedp.NavigationEntries()).Entries {
		if strings.Contains(entry.URL, "code=") {
			t.Errorf("the history has %s", entry.URL)
		}
	}

	// After the logout, the URL with the code is a page that says what to do.
	v.logout()
	v.arrivesRefused(400, "Please begin again", chromedp.Navigate(v.lastReturn()))
	v.arrive("/login", 200, click("main a"))
	v.wantUser("")
}

// testProviderAppearance checks every page with a provider's button, and the handler's own pages.
func testProviderAppearance(t *testing.T, p *realProvider, open func() *visitor) {
	v := open()
	for _, page := range []string{"login", "register"} {
		v.open("/"+page, "/"+page)
		v.look(page + "-provider")
	}
	v.arrivesRefused(400, "Please begin again", chromedp.Navigate(p.url+callbackPath+"?state=s&code=c"))
	v.look("oauth-again")
	v.visit("/register", strings.Repeat("w", 40), "/")
	v.logout()
	v.open("/login", "/login")
	v.look("login-provider-last")
	v.visit("/login", strings.Repeat("w", 40), "/")
	for _, page := range []string{"refresh", "account", "account/identities"} {
		v.open("/"+page, "/"+page)
		v.look(strings.ReplaceAll(page, "/", "-") + "-provider")
	}
	v.arrive(identitiesPage, 403, click(disconnectButton))
	v.look("account-identities-unverified")
	v.setPassword(strings.Repeat("w", 40))
	v.open(identitiesPage, identitiesPage)
	v.arrive(identitiesPage, 200, click(disconnectButton))
	v.look("account-identities-none")
	other := open()
	other.leave("/login")
	other.comeBackRefused(strings.Repeat("w", 40), "This account is not connected")
	other.look("oauth-not-connected")
}
