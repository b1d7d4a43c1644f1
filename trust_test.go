package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

const month = 30 * 24 * time.Hour

// newTrustApp returns an application in which susan has a factor, and has trusted the browser
// own.
func newTrustApp(t *testing.T, trustFor time.Duration) *enrollApp {
	t.Helper()
	a := &enrollApp{factor: newCodes(), spare: newSpares()}
	a.mailApp = newMailApp(t, func(c *auth.Config) { c.Factors, c.TrustFor = []auth.Factor{a.factor, a.spare}, trustFor })
	a.susan = member(t, a.App, "susan", testapp.Password, verified)
	member(t, a.App, "david", testapp.Password, verified)
	a.own = a.Client(t)
	a.own.Login("susan")
	a.Mux.Handle("GET /second", a.Require(auth.SecondFactor())(http.HandlerFunc(hello)))
	a.enroll(t)
	return a
}

func (a *enrollApp) trust(t *testing.T) {
	t.Helper()
	if err := a.do(a.TrustBrowser); err != nil {
		t.Fatal(err)
	}
}

// owes reports whether a login by password in a browser owes a factor.
func (a *enrollApp) owes(c *testapp.Client, name string) bool {
	c.Post("/logout")
	r := c.Post("/login", "login", name, "password", testapp.Password)
	return strings.HasPrefix(r.Header.Get("Location"), "/login/verify")
}

// In a trusted browser the factor is not asked for at a login. It is asked for when a login is
// confirmed, and to change factors.
func TestTrustBrowser(t *testing.T) {
	t.Parallel()
	a := newTrustApp(t, month)
	if !a.owes(a.Client(t), "susan") {
		t.Error("a browser is trusted that nobody has trusted")
	}
	a.trust(t)
	if a.owes(a.own, "susan") || a.own.Who() != "susan" {
		t.Error("a login in a trusted browser owes a factor")
	}
	if r := a.own.Get("/second"); r.StatusCode != http.StatusOK {
		t.Errorf("SecondFactor in a trusted browser: %s", r.Status)
	}
	var methods []string
	_ = a.do(func(ctx context.Context) error {
		l, err := a.CurrentLogin(ctx)
		methods = l.Methods
		return err
	})
	if !slices.Contains(methods, "trusted") || slices.Contains(methods, "code") {
		t.Errorf("the methods are %v", methods)
	}
	for name, call := range map[string]func(ctx context.Context) error{
		"Fresh":        func(ctx context.Context) error { return a.Check(ctx, auth.Fresh(0)) },
		"RemoveFactor": func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") },
		"EnrollFactor": func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) },
		"TrustBrowser": a.TrustBrowser,
	} {
		if err := a.do(call); !errors.Is(err, auth.ErrNotFresh) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.do(func(ctx context.Context) error {
		u, _ := a.User(ctx)
		if ok, err := a.CheckPassword(ctx, u, testapp.Password); !ok || err != nil {
			t.Error(ok, err)
		}
		return a.ConfirmLogin(ctx)
	}); !errors.Is(err, auth.ErrFactorRequired) {
		t.Errorf("a confirmation in a trusted browser: %v", err)
	}
	if a.owes(a.own, "david") {
		t.Error("a user without a factor owes one")
	}
}

// What ends the trust in a browser.
func TestTrustEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, a *enrollApp) error{
		"time":          func(_ *testing.T, a *enrollApp) error { a.Clock.Advance(month); return nil },
		"EndTrust, all": func(t *testing.T, a *enrollApp) error { return a.EndTrust(t.Context(), a.susan.ID, "") },
		"SetPassword": func(t *testing.T, a *enrollApp) error {
			return a.SetPassword(t.Context(), stored(t, a.App, a.susan.ID), testapp.Password)
		},
		"NewRecoveryCodes": func(t *testing.T, a *enrollApp) error { a.recoveryCodes(t); return nil },
		"another factor": func(_ *testing.T, a *enrollApp) error {
			return a.do(func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) })
		},
		"LogoutEverywhere": func(t *testing.T, a *enrollApp) error {
			return a.LogoutEverywhere(t.Context(), stored(t, a.App, a.susan.ID))
		},
		"a new Stamp, and records that were not deleted": func(t *testing.T, a *enrollApp) error {
			change(t, a.App, a.susan.ID, func(u *auth.Account) { u.Stamp = auth.NewSecret("another") })
			return nil
		},
		"EndTrust, by ID": func(t *testing.T, a *enrollApp) error {
			browsers, err := a.TrustedBrowsers(t.Context(), a.susan)
			if err != nil || len(browsers) != 1 || browsers[0].Current || !browsers[0].Expires.Equal(a.Clock.Now().Add(month)) || browsers[0].UserAgent == "" {
				t.Errorf("the trusted browsers are %+v, %v", browsers, err)
			}
			if err := a.EndTrust(t.Context(), a.susan.ID, "x"); !errors.Is(err, auth.ErrLoginNotFound) {
				t.Errorf("an unknown ID: %v", err)
			}
			david := find(t, a.App, "david")
			if err := a.EndTrust(t.Context(), david.ID, browsers[0].ID); !errors.Is(err, auth.ErrLoginNotFound) {
				t.Errorf("another user's: %v", err)
			}
			return a.EndTrust(t.Context(), a.susan.ID, browsers[0].ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newTrustApp(t, month)
			a.trust(t)
			a.susan = stored(t, a.App, a.susan.ID)
			_ = a.do(func(ctx context.Context) error {
				if browsers, err := a.TrustedBrowsers(ctx, a.susan); err != nil || len(browsers) != 1 || !browsers[0].Current {
					t.Errorf("in the browser itself: %+v, %v", browsers, err)
				}
				return nil
			})
			if err := end(t, a); err != nil {
				t.Fatal(err)
			}
			if !a.owes(a.own, "susan") {
				t.Error("the browser is still trusted")
			}
		})
	}
}

// The trust is one account's. Another user's login in the same browser owes a factor.
func TestTrustIsOfOneAccount(t *testing.T) {
	t.Parallel()
	a := newTrustApp(t, month)
	a.trust(t)
	a.factor.enrolled[find(t, a.App, "david").ID] = true
	if !a.owes(a.own, "david") {
		t.Error("susan's trust lets david in")
	}
	if a.owes(a.own, "susan") {
		t.Error("david's login has ended susan's trust")
	}
	for _, cookie := range []string{"", "x", strings.Repeat("A", 43), "\x00", strings.Repeat("y", 5000)} {
		c := a.Client(t)
		c.Cookies["session-"+portOf(a.Server.URL)+"-trusted"] = cookie
		if !a.owes(c, "susan") {
			t.Errorf("the cookie %.20q is trusted", cookie)
		}
	}
}

func portOf(base string) string {
	u, _ := url.Parse(base)
	return u.Port()
}

// No more than 20 browsers are trusted, and only a login that has shown a factor trusts one.
func TestTrustIsLimited(t *testing.T) {
	t.Parallel()
	a := newTrustApp(t, month)
	a.trust(t)
	first := a.own
	for i := range 20 {
		a.own = a.pending(t)
		a.factor.give(a.susan.ID, fmt.Sprint(i))
		a.In(a.own, func(ctx context.Context) { _, _ = a.PromptFactor(ctx, "code") })
		if err := a.answer(a.own, "code", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		a.Clock.Advance(time.Second)
		a.trust(t)
	}
	if browsers, err := a.TrustedBrowsers(t.Context(), stored(t, a.App, a.susan.ID)); err != nil || len(browsers) != 20 {
		t.Errorf("%d browsers are trusted, %v", len(browsers), err)
	}
	if !a.owes(first, "susan") {
		t.Error("the oldest is still trusted")
	}
	a.Clock.Advance(11 * time.Minute)
	if err := a.do(a.TrustBrowser); !errors.Is(err, auth.ErrNotFresh) {
		t.Errorf("after 11 minutes: %v", err)
	}
	david := a.Client(t)
	david.Login("david")
	a.In(david, func(ctx context.Context) {
		if err := a.TrustBrowser(ctx); !errors.Is(err, auth.ErrNotFresh) {
			t.Errorf("without a factor: %v", err)
		}
	})
	if err := a.TrustBrowser(t.Context()); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("outside of a request: %v", err)
	}
	off := newTrustApp(t, 0)
	if err := off.do(off.TrustBrowser); err == nil || !strings.Contains(err.Error(), "TrustFor") {
		t.Errorf("without TrustFor: %v", err)
	}
}

// A store that fails while the trust is looked up lets nobody in.
func TestTrustFails(t *testing.T) {
	t.Parallel()
	a := newTrustApp(t, month)
	a.trust(t)
	a.own.Post("/logout")
	a.Spy().Hook(func(call string) error {
		if call == "GetRecord" {
			return errStore
		}
		return nil
	}, nil)
	r := a.own.Post("/login", "login", "susan", "password", testapp.Password)
	a.Spy().Reset()
	if r.StatusCode != http.StatusServiceUnavailable || a.own.Who() != "nobody" {
		t.Errorf("%s", r.Status)
	}
}

func TestTrustConfig(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{-1: "TrustFor", 91 * 24 * time.Hour: "90 days", time.Hour: "a day", 24 * time.Hour: "Factors"} {
		cfg := goodConfig()
		if cfg.TrustFor = d; want != "Factors" {
			cfg.Factors = []auth.Factor{newCodes()}
		}
		if _, err := auth.New[*testapp.User](testapp.NewSpy(testapp.NewClock()), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", d, err)
		}
	}
}

// Logins and remembered devices that a trust has made last no longer than the trust.
func TestTrustedLoginsEndWithTheTrust(t *testing.T) {
	t.Parallel()
	remembered := func(t *testing.T, a *enrollApp) *testapp.Client {
		a.Mux.HandleFunc("POST /remembered", func(_ http.ResponseWriter, r *http.Request) {
			u, err := a.Authenticate(r.Context(), "susan", testapp.Password)
			if err == nil {
				err = a.LoginUser(r.Context(), u, auth.RememberFor(400*24*time.Hour))
			}
			if err != nil {
				t.Error(err)
			}
		})
		a.trust(t)
		a.own.Post("/logout")
		a.own.Post("/remembered")
		if a.own.Restart(); a.own.Who() != "susan" {
			t.Fatal("the device is not remembered")
		}
		return a.own
	}
	a := newTrustApp(t, month)
	c := remembered(t, a)
	a.Clock.Advance(month)
	c.Restart()
	if who := c.Who(); who != "nobody" {
		t.Errorf("after 30 days a device that was made by the trust is %q", who)
	}
	a = newTrustApp(t, month)
	c = remembered(t, a)
	if err := a.EndTrust(t.Context(), a.susan.ID, ""); err != nil {
		t.Error(err)
	}
	if who := c.Who(); who != "nobody" {
		t.Errorf("after EndTrust the login is %q", who)
	}
	if c.Restart(); c.Who() != "nobody" {
		t.Error("after EndTrust the device goes on")
	}
	// The login that asks, and logins that have shown the factor, go on.
	a = newTrustApp(t, month)
	c = remembered(t, a)
	withFactor := a.pending(t)
	if err := a.answer(withFactor, "spare", "spare3"); err == nil {
		t.Fatal("there are no recovery codes")
	}
	a.factor.give(a.susan.ID, "123")
	a.In(withFactor, func(ctx context.Context) { _, _ = a.PromptFactor(ctx, "code") })
	if err := a.answer(withFactor, "code", "123"); err != nil {
		t.Fatal(err)
	}
	a.In(c, func(ctx context.Context) {
		if err := a.EndTrust(ctx, a.susan.ID, ""); err != nil {
			t.Error(err)
		}
	})
	if c.Who() != "susan" || withFactor.Who() != "susan" {
		t.Errorf("the login that asked is %q, one with the factor %q", c.Who(), withFactor.Who())
	}
}

// A shorter TrustFor holds for browsers that are trusted already.
func TestTrustForIsLowered(t *testing.T) {
	t.Parallel()
	a := newTrustApp(t, month)
	a.trust(t)
	now := a.Clock.Now()
	for _, trustFor := range []time.Duration{0, 24 * time.Hour} {
		cfg := goodConfig()
		cfg.BaseURL, cfg.TrustFor, cfg.Factors = a.Config().BaseURL, trustFor, []auth.Factor{a.factor}
		cfg.Now = func() time.Time { return now.Add(25 * time.Hour) }
		m, err := auth.New[*testapp.User](a.Store, cfg)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		for name, value := range a.own.Cookies {
			if strings.HasSuffix(name, "-trusted") {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
		}
		m.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := m.LoginUser(r.Context(), stored(t, a.App, a.susan.ID)); !errors.Is(err, auth.ErrFactorRequired) {
				t.Errorf("TrustFor %v: %v", trustFor, err)
			}
			if browsers, err := m.TrustedBrowsers(r.Context(), stored(t, a.App, a.susan.ID)); err != nil || len(browsers) != 0 {
				t.Errorf("TrustFor %v: %d trusted browsers, %v", trustFor, len(browsers), err)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}

// A login that was ended while its request was on its way trusts no browser.
func TestTrustOfAnEndedLogin(t *testing.T) {
	t.Parallel()
	a := newTrustApp(t, month)
	a.In(a.own, func(ctx context.Context) {
		_, _ = a.User(ctx)
		for _, l := range logins(t, a.App, a.susan.ID) {
			_ = a.EndLogin(t.Context(), a.susan.ID, l.ID)
		}
		if err := a.TrustBrowser(ctx); !errors.Is(err, auth.ErrLoggedOut) {
			t.Errorf("%v", err)
		}
	})
	if browsers, err := a.TrustedBrowsers(t.Context(), stored(t, a.App, a.susan.ID)); err != nil || len(browsers) != 0 {
		t.Errorf("%d browsers are trusted, %v", len(browsers), err)
	}
}

// Who ends a login in another browser does not trust that browser any more. The trust in the
// other ones stays.
func TestEndedLoginEndsTheTrust(t *testing.T) {
	t.Parallel()
	end := func(a *enrollApp, c *testapp.Client, browser *testapp.Client) error {
		id := a.LoginOf(t, browser).ID
		var err error
		a.In(c, func(ctx context.Context) { err = a.EndLogin(ctx, a.susan.ID, id) })
		return err
	}
	others := func(a *enrollApp, c *testapp.Client, _ *testapp.Client) (err error) {
		a.In(c, func(ctx context.Context) { err = a.EndOtherLogins(ctx) })
		return err
	}
	again := func(a *enrollApp) { // a login that the trust has made
		if a.owes(a.own, "susan") {
			t.Error("the browser is not trusted")
		}
	}
	for name, test := range map[string]struct {
		before func(*enrollApp)
		end    func(a *enrollApp, c *testapp.Client, browser *testapp.Client) error
		owes   bool // the browser whose login is ended
		third  bool // a third browser that is trusted
	}{
		"the login that gave the trust":       {func(*enrollApp) {}, end, true, false},
		"a login that the trust has made":     {again, end, true, false},
		"all other logins":                    {again, others, true, true},
		"a logout":                            {again, func(a *enrollApp, _, browser *testapp.Client) error { browser.Post("/logout"); return nil }, false, false},
		"EndLogin of the login that makes it": {again, func(a *enrollApp, _, browser *testapp.Client) error { return end(a, browser, browser) }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newTrustApp(t, month)
			enter := func() *testapp.Client {
				c := a.pending(t)
				a.factor.give(a.susan.ID, "1")
				a.In(c, func(ctx context.Context) { _, _ = a.PromptFactor(ctx, "code") })
				if err := a.answer(c, "code", "1"); err != nil {
					t.Fatal(err)
				}
				a.Clock.Advance(time.Second)
				return c
			}
			a.trust(t)
			a.Clock.Advance(time.Second)
			third, c := enter(), enter()
			for _, browser := range []*testapp.Client{third, c} {
				a.In(browser, func(ctx context.Context) {
					if err := a.TrustBrowser(ctx); err != nil {
						t.Error(err)
					}
				})
				a.Clock.Advance(time.Second)
			}
			test.before(a)
			copied := a.Client(t) // an attacker who has the password logs in with a copy of the cookie
			for name, value := range a.own.Cookies {
				if strings.HasSuffix(name, "-trusted") {
					copied.Cookies = map[string]string{name: value}
				}
			}
			if a.owes(copied, "susan") {
				t.Error("the copied cookie is not trusted")
			}
			a.Events()
			if err := test.end(a, c, a.own); err != nil {
				t.Fatal(err)
			}
			if got := countOf(a.Events(), auth.EventTrustEnded) > 0; got != test.owes {
				t.Errorf("an event tells that a trust has ended: %v", got)
			}
			if test.owes && copied.Who() != "nobody" {
				t.Error("another login that this trust has made goes on")
			}
			if a.owes(a.own, "susan") != test.owes || a.owes(third, "susan") != test.third || a.owes(c, "susan") {
				t.Errorf("the browser owes a factor: %v; the third one: %v; the one that asks: %v", a.owes(a.own, "susan"), a.owes(third, "susan"), a.owes(c, "susan"))
			}
		})
	}
}

// The closing of an account deletes its trusted browsers, also if TrustFor is 0 by then.
func TestCloseAccountDeletesTrust(t *testing.T) {
	t.Parallel()
	a := newTrustApp(t, month)
	a.trust(t)
	cfg := goodConfig()
	m, err := auth.New[*testapp.User](a.Store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.CloseAccount(t.Context(), stored(t, a.App, a.susan.ID)); err != nil {
		t.Fatal(err)
	}
	if records, err := a.Store.ListRecords(t.Context(), "trusted", a.susan.ID); err != nil || len(records) != 0 {
		t.Errorf("%d records are left, %v", len(records), err)
	}
}
