package auth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

const supportPermission = "support"

// An actingApp is an application whose user "ada" may act as other users.
type actingApp struct {
	*mailApp
	factor *codes
	ada    *testapp.User
	susan  *testapp.User
}

func newActingApp(t *testing.T, configure func(*auth.Config)) *actingApp {
	t.Helper()
	a := &actingApp{factor: newCodes()}
	a.mailApp = newMailApp(t, func(c *auth.Config) {
		c.Factors = []auth.Factor{a.factor}
		c.Roles.Permissions = []string{supportPermission, "posts.edit", "pay"}
		c.Roles.Grants = map[string][]string{"support": {supportPermission, "posts.edit"}, "editor": {"posts.edit"}, "cashier": {"pay"}}
		c.Impersonation.Permission = supportPermission
		if configure != nil {
			configure(c)
		}
	})
	a.ada = member(t, a.App, "ada", "", verified, func(a *auth.Account) { a.Roles = []string{"support"} })
	a.susan = member(t, a.App, "susan", testapp.Password, verified, func(a *auth.Account) { a.Roles = []string{"editor"} })
	return a
}

// admin returns a browser in which ada has logged in with a second factor.
func (a *actingApp) admin(t *testing.T, options ...auth.LoginOption) *testapp.Client {
	t.Helper()
	c := a.Client(t)
	a.Enter(t, c, a.ada, append(options, auth.By("code"))...)
	return c
}

// act has the browser act as a user, and returns the error.
func (a *actingApp) act(c *testapp.Client, userID string) (err error) {
	a.In(c, func(ctx context.Context) { err = a.Impersonate(ctx, userID) })
	return err
}

// acting returns a browser in which ada acts as susan.
func (a *actingApp) acting(t *testing.T) *testapp.Client {
	t.Helper()
	c := a.admin(t)
	if err := a.act(c, a.susan.ID); err != nil {
		t.Fatal(err)
	}
	return c
}

func (a *actingApp) stop(c *testapp.Client) (err error) {
	a.In(c, func(ctx context.Context) { err = a.StopImpersonating(ctx) })
	return err
}

// expectWho checks who a browser is.
func expectWho(t *testing.T, what string, c *testapp.Client, want string) {
	t.Helper()
	if who := c.Who(); who != want {
		t.Errorf("%s: the browser is %q, want %q", what, who, want)
	}
}

// An administrator acts as a user, and goes on in a login of their own afterwards.
func TestImpersonation(t *testing.T) {
	a := newActingApp(t, nil)
	c := a.admin(t)
	own := a.LoginOf(t, c)
	c.Post("/put", "key", "k", "value", "ada's")
	a.Events()
	a.box.Take()
	if err := a.act(c, a.susan.ID); err != nil {
		t.Fatal(err)
	}
	expectWho(t, "after the start", c, "susan")
	if text := c.Get("/get?key=k").Text; text != "" {
		t.Errorf("session data of the administrator is shown to the user's pages: %q", text)
	}
	c.Post("/put", "key", "k", "value", "susan's")
	a.In(c, func(ctx context.Context) {
		admin, ok := a.Impersonator(ctx)
		if !ok || admin.AuthAccount().ID != a.ada.ID {
			t.Errorf("Impersonator: %v, %v", admin, ok)
		}
		l, err := a.CurrentLogin(ctx)
		if err != nil || l.ActorID != a.ada.ID || !l.Authenticated.IsZero() || l.Expires.Sub(l.Created) != time.Hour {
			t.Errorf("CurrentLogin: %+v, %v", l, err)
		}
	})
	all := logins(t, a.App, a.susan.ID)
	if len(all) != 1 || all[0].ActorID != a.ada.ID {
		t.Errorf("susan's logins: %+v", all)
	}
	mails := a.box.Take()
	if len(mails) != 1 || mails[0].Kind != auth.MailImpersonated || mails[0].To != "susan@app.example" || mails[0].Address+mails[0].Agent != "" {
		t.Errorf("mails: %v", labels(mails))
	}
	if err := a.stop(c); err != nil {
		t.Fatal(err)
	}
	expectWho(t, "after the end", c, "ada")
	if text := c.Get("/get?key=k").Text; text != "ada's" {
		t.Errorf("session data after the end: %q", text)
	}
	if l := a.LoginOf(t, c); l.ID != own.ID || l.ActorID != "" || l.Authenticated.IsZero() {
		t.Errorf("the login after the end: %+v; before: %+v", l, own)
	}
	if all := logins(t, a.App, a.susan.ID); len(all) > 0 {
		t.Errorf("susan's logins after the end: %+v", all)
	}
	for _, e := range a.Events() {
		if strings.HasPrefix(string(e.Kind), "impersonation.") && (e.UserID != a.susan.ID || e.ActorID != a.ada.ID) {
			t.Errorf("event %s: user %q, actor %q", e.Kind, e.UserID, e.ActorID)
		}
	}
	if err := a.stop(c); err != nil {
		t.Errorf("StopImpersonating again: %v", err)
	}
}

// I1, I2: it takes a permission, a fresh login and a second factor; the user must not
// have more rights than the administrator, and it is not nested.
func TestImpersonationNeeds(t *testing.T) {
	a := newActingApp(t, nil)
	cashier := member(t, a.App, "carl", "", verified, func(x *auth.Account) { x.Roles = []string{"cashier"} })
	colleague := member(t, a.App, "bob", "", verified, func(x *auth.Account) { x.Roles = []string{"support"} })
	gone := member(t, a.App, "dora", "", func(x *auth.Account) { x.Disabled = true })
	susan := a.susan
	plain := func(options ...auth.LoginOption) func() *testapp.Client {
		return func() *testapp.Client {
			c := a.Client(t)
			a.Enter(t, c, a.ada, options...)
			return c
		}
	}
	old := func() *testapp.Client {
		c := a.admin(t)
		a.Clock.Advance(11 * time.Minute)
		return c
	}
	for what, x := range map[string]struct {
		c       func() *testapp.Client
		subject string
		want    error
	}{
		"a visitor":                 {func() *testapp.Client { return a.Client(t) }, susan.ID, auth.ErrNotLoggedIn},
		"without the permission":    {func() *testapp.Client { c := a.Client(t); a.Enter(t, c, susan, auth.By("code")); return c }, cashier.ID, auth.ErrForbidden},
		"no factor":                 {plain(), susan.ID, auth.ErrNoFactor},
		"a login that is not fresh": {plain(auth.By("code"), auth.Stale()), susan.ID, auth.ErrNotFresh},
		"an old login":              {old, susan.ID, auth.ErrNotFresh},
		"the own account":           {func() *testapp.Client { return a.admin(t) }, a.ada.ID, auth.ErrForbidden},
		"a colleague":               {func() *testapp.Client { return a.admin(t) }, colleague.ID, auth.ErrForbidden},
		"more rights":               {func() *testapp.Client { return a.admin(t) }, cashier.ID, auth.ErrForbidden},
		"a disabled user":           {func() *testapp.Client { return a.admin(t) }, gone.ID, auth.ErrDisabled},
		"no such user":              {func() *testapp.Client { return a.admin(t) }, "nobody", auth.ErrUserNotFound},
		"nested":                    {func() *testapp.Client { return a.acting(t) }, susan.ID, auth.ErrImpersonating},
	} {
		c := x.c()
		before := c.Who()
		a.Events()
		if err := a.act(c, x.subject); !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", what, err, x.want)
		}
		expectWho(t, what, c, before)
		if n := countOf(a.Events(), auth.EventImpersonationRefused); n != 1 {
			t.Errorf("%s: %d events of a refusal", what, n)
		}
	}
}

// I4, I7: what only the user may do is refused on every face, and no step-up is asked.
func TestImpersonationTouchesNoCredential(t *testing.T) {
	a := newActingApp(t, func(c *auth.Config) {
		c.EmailLogin, c.TrustFor = true, month
		c.Credentials = []auth.Credential{auth.Bearer()}
	})
	change(t, a.App, a.susan.ID, func(x *auth.Account) { x.EmailVerified = false })
	token := a.verifyToken(t, stored(t, a.App, a.susan.ID))
	var susan *testapp.User
	var kept auth.APIToken
	owner := a.Client(t)
	a.Enter(t, owner, a.susan)
	a.In(owner, func(ctx context.Context) {
		var err error
		if susan, err = a.User(ctx); err != nil {
			t.Fatal(err)
		}
		if _, kept, err = a.NewAPIToken(ctx, susan, auth.APIToken{Name: "x", Scopes: []string{"x"}, Expires: a.Clock.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	})
	c := a.acting(t)
	before := stored(t, a.App, susan.ID).Account
	for name, do := range map[string]func(ctx context.Context) error{
		"SetPassword":     func(ctx context.Context) error { return a.SetPassword(ctx, susan, "another battery staple") },
		"CheckPassword":   func(ctx context.Context) error { _, err := a.CheckPassword(ctx, susan, testapp.Password); return err },
		"SendEmailChange": func(ctx context.Context) error { return a.SendEmailChange(ctx, susan, "new@app.example") },
		"ResetToken":      func(ctx context.Context) error { _, err := a.ResetToken(ctx, susan); return err },
		"VerificationToken": func(ctx context.Context) error {
			_, err := a.VerificationToken(ctx, susan)
			return err
		},
		"VerifyEmail": func(ctx context.Context) error { _, err := a.VerifyEmail(ctx, token); return err },
		"BeginFactor": func(ctx context.Context) error { _, err := a.BeginFactor(ctx, "code"); return err },
		"EnrollFactor": func(ctx context.Context) error {
			return a.EnrollFactor(ctx, "code", map[string][]string{"code": {"setup"}})
		},
		"RemoveFactor":     func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") },
		"ResetFactors":     func(ctx context.Context) error { return a.ResetFactors(ctx, susan.ID) },
		"UnlockFactor":     func(ctx context.Context) error { return a.UnlockFactor(ctx, "code") },
		"NewRecoveryCodes": func(ctx context.Context) error { _, err := a.NewRecoveryCodes(ctx, "code"); return err },
		"TrustBrowser":     func(ctx context.Context) error { return a.TrustBrowser(ctx) },
		"EndTrust":         func(ctx context.Context) error { return a.EndTrust(ctx, susan.ID, "x") },
		"RenamePasskey":    func(ctx context.Context) error { return a.RenamePasskey(ctx, "x", "y") },
		"RemovePasskey":    func(ctx context.Context) error { return a.RemovePasskey(ctx, "x") },
		"RemovePassword":   func(ctx context.Context) error { return a.RemovePassword(ctx) },
		"NewAPIToken": func(ctx context.Context) error {
			_, _, err := a.NewAPIToken(ctx, susan, auth.APIToken{Name: "x", Scopes: []string{"x"}, Expires: a.Clock.Now().Add(time.Hour)})
			return err
		},
		"RevokeAPIToken":   func(ctx context.Context) error { return a.RevokeAPIToken(ctx, susan.ID, kept.ID) },
		"EndLogin":         func(ctx context.Context) error { return a.EndLogin(ctx, susan.ID, a.LoginOf(t, owner).ID) },
		"EndOtherLogins":   func(ctx context.Context) error { return a.EndOtherLogins(ctx) },
		"LogoutEverywhere": func(ctx context.Context) error { return a.LogoutEverywhere(ctx, susan) },
		"CloseAccount":     func(ctx context.Context) error { return a.CloseAccount(ctx, susan) },
		"Disable":          func(ctx context.Context) error { return a.Disable(ctx, a.ada.ID) },
		"Enable":           func(ctx context.Context) error { return a.Enable(ctx, susan.ID) },
		"Unlock":           func(ctx context.Context) error { return a.Unlock(ctx, susan.ID) },
		"ConfirmLogin":     func(ctx context.Context) error { return a.ConfirmLogin(ctx, auth.By("code")) },
		"LoginUser":        func(ctx context.Context) error { return a.LoginUser(ctx, susan) },
		"Fresh":            func(ctx context.Context) error { return a.Check(ctx, auth.Fresh(0)) },
		"SecondFactor":     func(ctx context.Context) error { return a.Check(ctx, auth.SecondFactor()) },
	} {
		a.In(c, func(ctx context.Context) {
			if err := do(ctx); !errors.Is(err, auth.ErrForbidden) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	expectWho(t, "after all this", c, "susan")
	expectWho(t, "the user's own browser", owner, "susan")
	if after := stored(t, a.App, susan.ID).Account; after.Version != before.Version {
		t.Errorf("the account has changed: %+v", after)
	}
	if r := c.Get("/fresh"); r.StatusCode != http.StatusForbidden {
		t.Errorf("a page that needs a fresh login: %s, want 403 and no step-up", r.Status)
	}
}

// I3, I8: it ends after an hour, and when the administrator or the user changes. The
// browser goes on in the administrator's login, unless that has ended, or all logins of
// the user were ended: then nothing leads back from the browser's cookie.
func TestImpersonationEnds(t *testing.T) {
	for what, x := range map[string]struct {
		end  func(t *testing.T, a *actingApp)
		want string
	}{
		"an hour":                      {func(_ *testing.T, a *actingApp) { a.Clock.Advance(time.Hour) }, "ada"},
		"the user is disabled":         {func(t *testing.T, a *actingApp) { must(t, a.Disable(t.Context(), a.susan.ID)) }, "nobody"},
		"the user logs out everywhere": {func(t *testing.T, a *actingApp) { must(t, a.LogoutEverywhere(t.Context(), a.susan)) }, "nobody"},
		"the user gets a new Stamp": {func(t *testing.T, a *actingApp) {
			change(t, a.App, a.susan.ID, func(x *auth.Account) { x.Stamp = auth.NewSecret("another stamp") })
		}, "ada"},
		"the user is promoted":         {func(t *testing.T, a *actingApp) { a.roles(t, a.susan, "cashier") }, "ada"},
		"the administrator is demoted": {func(t *testing.T, a *actingApp) { a.roles(t, a.ada) }, "ada"},
		"the administrator is disabled": {func(t *testing.T, a *actingApp) {
			must(t, a.Disable(t.Context(), a.ada.ID))
		}, "nobody"},
		"the administrator's login ends": {func(t *testing.T, a *actingApp) {
			must(t, a.EndLogin(t.Context(), a.ada.ID, logins(t, a.App, a.ada.ID)[0].ID))
		}, "nobody"},
		"the administrator logs out everywhere": {func(t *testing.T, a *actingApp) { must(t, a.LogoutEverywhere(t.Context(), a.ada)) }, "nobody"},
	} {
		t.Run(what, func(t *testing.T) {
			a := newActingApp(t, func(c *auth.Config) { c.Session.IdleTimeout = -1 })
			c := a.acting(t)
			expectWho(t, "before", c, "susan")
			copied := c.Clone()
			a.Events()
			x.end(t, a)
			expectWho(t, "after", c, x.want)
			if who := copied.Who(); who == "susan" {
				t.Errorf("a copy of the cookie is still %s", who)
			}
			if n := countOf(a.Events(), auth.EventImpersonationEnded); n > 1 || n == 0 && x.want == "ada" {
				t.Errorf("%d events of the end", n)
			}
		})
	}
}

// roles sets the roles of a user, as the application's own SQL would.
func (a *actingApp) roles(t *testing.T, u *testapp.User, roles ...string) {
	t.Helper()
	change(t, a.App, u.ID, func(x *auth.Account) { x.Roles = roles })
}

// The user ends the impersonation on the page that lists logins.
func TestImpersonationEndedByTheUser(t *testing.T) {
	a := newActingApp(t, nil)
	c, owner := a.acting(t), a.Client(t)
	a.Enter(t, owner, a.susan)
	for _, l := range logins(t, a.App, a.susan.ID) {
		if l.ActorID != "" {
			a.In(owner, func(ctx context.Context) { must(t, a.EndLogin(ctx, a.susan.ID, l.ID)) })
		}
	}
	if who := c.Who(); who == "susan" {
		t.Error("the impersonation goes on")
	}
}

// A logout ends the impersonation and the administrator's own login, remembered or not.
func TestLogoutOfAnImpersonation(t *testing.T) {
	a := newActingApp(t, nil)
	c := a.admin(t, auth.Remember(true))
	must(t, a.act(c, a.susan.ID))
	c.Post("/logout")
	gone(t, "after the logout", c)
}

// The administrator's own login does not end by IdleTimeout while they act as the user.
func TestImpersonationKeepsTheOwnLogin(t *testing.T) {
	a := newActingApp(t, func(c *auth.Config) { c.Session.IdleTimeout = 20 * time.Minute })
	c := a.acting(t)
	for range 3 {
		a.Clock.Advance(15 * time.Minute)
		expectWho(t, "a page every 15 minutes", c, "susan")
	}
	must(t, a.stop(c))
	expectWho(t, "after the end", c, "ada")
}

// Impersonations do not count for Session.Max, and set no remember cookie.
func TestImpersonationDoesNotCount(t *testing.T) {
	a := newActingApp(t, func(c *auth.Config) { c.Session.Max = 1 })
	owner := a.Client(t)
	a.Enter(t, owner, a.susan)
	c := a.acting(t)
	expectWho(t, "the user's browser", owner, "susan")
	again := a.Client(t)
	a.Enter(t, again, a.susan)
	expectWho(t, "the administrator", c, "susan")
	expectWho(t, "the first of two logins of the user", owner, "nobody")
	for name := range c.Cookies {
		if strings.HasSuffix(name, "-remember") {
			t.Error("the browser has a remember cookie")
		}
	}
}

// A stream of an impersonation ends when the administrator is disabled.
func TestStreamOfAnImpersonationEnds(t *testing.T) {
	a := newActingApp(t, nil)
	c := a.acting(t)
	a.In(c, func(ctx context.Context) {
		watched, stop := a.WhileLoggedIn(ctx)
		defer stop()
		must(t, watched.Err())
		must(t, a.Disable(t.Context(), a.ada.ID))
		if context.Cause(watched) == nil {
			t.Error("the stream goes on")
		}
	})
}

// Two requests that notice the end at the same moment both belong to the administrator,
// and the administrator stays logged in.
func TestImpersonationEndsInTwoRequestsAtOnce(t *testing.T) {
	a := newActingApp(t, func(c *auth.Config) { c.Session.IdleTimeout = -1 })
	for range 20 {
		c := a.acting(t)
		a.Clock.Advance(time.Hour)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if who := c.Who(); who == "susan" {
					t.Error("the impersonation goes on")
				}
			})
		}
		wg.Wait()
		expectWho(t, "afterwards", c, "ada")
	}
}

// A store that fails while an impersonation is checked gets a 503, and nobody is let in as
// the wrong user. Afterwards everything goes on.
func TestImpersonationOnABrokenStore(t *testing.T) {
	a := newActingApp(t, nil)
	c := a.acting(t)
	spy := a.Spy()
	testapp.EachCall(t, 3, func(k int) bool {
		spy.FailAt(k, false)
		r := c.Get("/who")
		reached := len(spy.Calls()) >= k
		spy.Reset()
		if reached != (r.StatusCode == http.StatusServiceUnavailable) || !reached && r.Text != "susan" {
			t.Errorf("call %d fails (%v): %s %q", k, reached, r.Status, r.Text)
		}
		return reached
	})
	expectWho(t, "afterwards", c, "susan")
}

// New refuses settings that would have no effect, or would last too long.
func TestImpersonationConfig(t *testing.T) {
	for what, x := range map[string]struct {
		set  func(c *auth.Config)
		want string
	}{
		"good":                  {func(*auth.Config) {}, ""},
		"an unknown permission": {func(c *auth.Config) { c.Impersonation.Permission = "helper" }, "Config.Impersonation.Permission"},
		"two hours":             {func(c *auth.Config) { c.Impersonation.Lifetime = 2 * time.Hour }, "Config.Impersonation.Lifetime"},
		"a negative time":       {func(c *auth.Config) { c.Impersonation.Lifetime = -1 }, "Config.Impersonation.Lifetime"},
		"no factors":            {func(c *auth.Config) { c.Factors = nil }, "Factors"},
		"no mail but no effect": {func(c *auth.Config) { c.Impersonation = auth.ImpersonationConfig{NoMail: true} }, "no effect"},
	} {
		c := goodConfig()
		c.Factors = []auth.Factor{newCodes()}
		c.Roles = auth.RoleConfig{Permissions: []string{supportPermission}, Grants: map[string][]string{"support": {supportPermission}}}
		c.Impersonation.Permission = supportPermission
		x.set(&c)
		_, err := auth.New(memstore.New[testapp.User](), c)
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The role of the administrators counts, even if it has no permission.
func TestImpersonationOfAnAdministrator(t *testing.T) {
	a := newActingApp(t, func(c *auth.Config) {
		c.Roles.Grants["boss"] = nil
		c.Roles.Admin = "boss"
		c.Session.IdleTimeout = -1
	})
	boss := member(t, a.App, "bob", "", verified, func(x *auth.Account) { x.Roles = []string{"boss"} })
	if err := a.act(a.admin(t), boss.ID); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("a helper acts as an administrator: %v", err)
	}
	c := a.acting(t)
	a.roles(t, a.susan, "boss")
	expectWho(t, "the user has become an administrator", c, "ada")
}

// A request stops the impersonation while another one of the same browser gets it a new
// token. The new token is worthless, too.
func TestStopCrossesARotation(t *testing.T) {
	a := newActingApp(t, nil)
	c := a.acting(t)
	other := c.Clone()
	a.In(c, func(ctx context.Context) {
		if _, err := a.User(ctx); err != nil {
			t.Error(err)
		}
		other.Post("/renew")
		must(t, a.StopImpersonating(ctx))
	})
	if who := other.Who(); who == "susan" {
		t.Error("the rotated token still acts as the user")
	}
}

// A logout that is sent with the impersonation's cookie, after it has ended, ends the
// administrator's own login.
func TestLogoutCrossesStop(t *testing.T) {
	a := newActingApp(t, nil)
	c := a.acting(t)
	old := c.Clone()
	must(t, a.stop(c))
	expectWho(t, "after the end", c, "ada")
	old.Post("/logout")
	expectWho(t, "after the logout of the other tab", c, "nobody")
}

// What is refused in an impersonation is logged with the administrator as the actor.
func TestRefusedActOfAnImpersonation(t *testing.T) {
	a := newActingApp(t, nil)
	c := a.acting(t)
	a.Events()
	for _, do := range []func(ctx context.Context) error{
		func(ctx context.Context) error { return a.Impersonate(ctx, a.susan.ID) },
		func(ctx context.Context) error { return a.SetUsername(ctx, a.susan.ID, "sue") },
		func(ctx context.Context) error { return a.SetRoles(ctx, a.susan.ID, "support") },
	} {
		a.In(c, func(ctx context.Context) {
			if err := do(ctx); !errors.Is(err, auth.ErrForbidden) {
				t.Error(err)
			}
		})
	}
	events := a.Events()
	if len(events) < 3 {
		t.Errorf("%d events", len(events))
	}
	for _, e := range events {
		if e.ActorID != a.ada.ID {
			t.Errorf("event %s of %q by %q", e.Kind, e.UserID, e.ActorID)
		}
	}
}
