package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
)

// A verdict is what becomes of somebody who has just used an entrance.
type verdict string

const (
	in     verdict = "in"     // the user is logged in
	owes   verdict = "owes"   // the login waits for a second factor
	enroll verdict = "enroll" // the user reaches only the page that sets a factor up
	out    verdict = "out"    // nobody is logged in, and no login waits
)

// The states of an account that gates look at.
const (
	isGood       = "good"
	isDisabled   = "disabled"
	isUnverified = "unverified, where that is required"
	owesFactor   = "owes a factor"
	needsFactor  = "must have a factor"
	hasNewStamp  = "a new Stamp"
)

// An entranceApp is an application with every way in.
type entranceApp struct {
	*codeApp
	factor *codes
	keys   *passkeys
	susan  *testapp.User
}

func newEntranceApp(t *testing.T, state string) *entranceApp {
	t.Helper()
	a := &entranceApp{factor: newCodes(), keys: newPasskeys()}
	a.codeApp = newCodeApp(t, func(c *auth.Config) {
		c.Factors, c.TrustFor = []auth.Factor{a.factor, a.keys}, month
		c.Credentials = []auth.Credential{auth.Bearer(), auth.Basic("test")}
		c.RequireVerified = state == isUnverified
		c.RequireFactor = func(user auth.User) bool { return len(user.AuthAccount().Roles) > 0 }
	})
	a.susan = member(t, a.App, "susan", testapp.Password, verified)
	return a
}

// shut brings susan's account into a state.
func (a *entranceApp) shut(t *testing.T, state string) {
	t.Helper()
	if state == owesFactor {
		a.factor.enrolled[a.susan.ID] = true
	}
	change(t, a.App, a.susan.ID, func(now *auth.Account) {
		switch state {
		case isDisabled:
			now.Disabled = true
		case isUnverified:
			now.EmailVerified = false
		case needsFactor:
			now.Roles = []string{"admin"}
		case hasNewStamp:
			now.Stamp = auth.NewSecret("another")
		}
	})
}

// both logs susan in by her password and the factor, which she has from then on.
func (a *entranceApp) both(t *testing.T, fields ...string) *testapp.Client {
	t.Helper()
	c := a.waiting(t, fields...)
	if err := a.answer(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// waiting begins a login that owes the factor.
func (a *entranceApp) waiting(t *testing.T, fields ...string) *testapp.Client {
	t.Helper()
	a.factor.enrolled[a.susan.ID] = true
	c := a.Client(t)
	c.Post("/enter", append([]string{"login", "susan"}, fields...)...)
	a.factor.give(a.susan.ID, "1")
	a.In(c, func(ctx context.Context) {
		if _, err := a.PromptFactor(ctx, "code"); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (a *entranceApp) answer(c *testapp.Client) (err error) {
	a.In(c, func(ctx context.Context) { err = a.ContinueLogin(ctx, "code", url.Values{"code": {"1"}}) })
	return err
}

// A visit is somebody at an entrance.
type visit struct {
	browser *testapp.Client
	header  http.Header                     // credentials of the requests, if any
	enter   func(ctx context.Context) error // uses the entrance; nil: each request does
	is      func(ctx context.Context) error // whether the user is in; nil: User
}

// An entrance is one way to make a login, or to make it fresh.
type entrance struct {
	// comes runs while the account is good. Then the account gets into a state, and the
	// visitor enters.
	comes func(t *testing.T, a *entranceApp) visit
	want  map[string]verdict // by state
}

// waysIn are all ways in. For a new one, add a row.
func waysIn() map[string]entrance {
	// Where the user shows something anew, the account decides as it is now.
	anew := map[string]verdict{isGood: in, isDisabled: out, isUnverified: out, owesFactor: owes, needsFactor: enroll, hasNewStamp: in}
	but := func(all map[string]verdict, changes ...string) map[string]verdict {
		changed := map[string]verdict{}
		for state, v := range all {
			changed[state] = v
		}
		for i := 0; i < len(changes); i += 2 {
			changed[changes[i]] = verdict(changes[i+1])
		}
		return changed
	}
	const gone = string(out)
	return map[string]entrance{
		"a password": {func(t *testing.T, a *entranceApp) visit {
			return visit{browser: a.Client(t), enter: func(ctx context.Context) error {
				user, err := a.Authenticate(ctx, "susan", testapp.Password)
				if err != nil {
					return err
				}
				return a.LoginUser(ctx, user)
			}}
		}, anew},
		"LoginUser, with the account as it was": {func(t *testing.T, a *entranceApp) visit {
			return visit{browser: a.Client(t), enter: func(ctx context.Context) error { return a.LoginUser(ctx, a.susan) }}
		}, but(anew, hasNewStamp, gone, isUnverified, string(in))}, // a login that exists goes on, as below
		"a remembered device": {func(t *testing.T, a *entranceApp) visit {
			c := remembered(t, a.App, "susan")
			c.Restart()
			return visit{browser: c}
		}, but(anew, hasNewStamp, gone, owesFactor, gone)},
		"a remembered device that has shown the factor": {func(t *testing.T, a *entranceApp) visit {
			c := a.both(t, "remember", "1")
			c.Restart()
			return visit{browser: c}
		}, but(anew, hasNewStamp, gone, owesFactor, string(in), needsFactor, string(in))},
		"a session": {func(t *testing.T, a *entranceApp) visit {
			c := a.Client(t)
			c.Login("susan")
			return visit{browser: c}
		}, but(anew, hasNewStamp, gone, owesFactor, string(in), isUnverified, string(in))},
		"HTTP Basic": {func(t *testing.T, a *entranceApp) visit {
			return visit{browser: a.Client(t), header: basicHeader("susan", testapp.Password)}
		}, but(anew, owesFactor, gone, needsFactor, gone)},
		"an API token": {func(t *testing.T, a *entranceApp) visit {
			return visit{browser: a.Client(t), header: bearerHeader(newToken(t, a.App, a.susan).Reveal())}
		}, but(anew, hasNewStamp, gone, owesFactor, string(in))},
		"ContinueLogin": {func(t *testing.T, a *entranceApp) visit {
			return visit{browser: a.waiting(t), enter: func(ctx context.Context) error {
				return a.ContinueLogin(ctx, "code", url.Values{"code": {"1"}})
			}}
		}, but(anew, hasNewStamp, gone, owesFactor, string(in), needsFactor, string(in))},
		"a reset, and the new password": {func(t *testing.T, a *entranceApp) visit {
			token := resetToken(t, a.App, a.susan)
			return visit{browser: a.Client(t), enter: func(ctx context.Context) error {
				if _, err := a.ResetPassword(ctx, token, resetTo); err != nil {
					return err
				}
				user, err := a.Authenticate(ctx, "susan", resetTo)
				if err != nil {
					return err
				}
				return a.LoginUser(ctx, user)
			}}
		}, but(anew, hasNewStamp, gone, isUnverified, string(in))}, // the reset verifies the address
		"a registration": {func(t *testing.T, a *entranceApp) visit {
			return visit{browser: a.Client(t), enter: func(ctx context.Context) error {
				user, err := a.Register(ctx, auth.Registration{Username: "susan2", Email: "susan2@app.example", Password: testapp.Password})
				if err != nil {
					return err
				}
				if now := stored(t, a.App, a.susan.ID); now.Disabled || !now.EmailVerified || len(now.Roles) > 0 || a.factor.enrolled[a.susan.ID] {
					// The new account gets the state, too, before its login.
					change(t, a.App, user.ID, func(n *auth.Account) {
						n.Disabled, n.EmailVerified, n.Roles = now.Disabled, now.EmailVerified, now.Roles
					})
					a.factor.enrolled[user.ID] = a.factor.enrolled[a.susan.ID]
				}
				return a.LoginUser(ctx, stored(t, a.App, user.ID))
			}}
		}, anew},
		"ConfirmLogin": {func(t *testing.T, a *entranceApp) visit {
			c := a.Client(t)
			a.Enter(t, c, a.susan, auth.Stale())
			return visit{browser: c, enter: func(ctx context.Context) error {
				if user, err := a.EnrollingUser(ctx); err == nil {
					_, _ = a.CheckPassword(ctx, user, testapp.Password)
				}
				return a.ConfirmLogin(ctx)
			}, is: func(ctx context.Context) error { return a.Check(ctx, auth.Fresh(time.Minute)) }}
		}, but(anew, hasNewStamp, gone)},
		"a trusted browser": {func(t *testing.T, a *entranceApp) visit {
			c := a.both(t)
			a.In(c, func(ctx context.Context) {
				if err := a.TrustBrowser(ctx); err != nil {
					t.Error(err)
				}
			})
			c.Post("/logout")
			return visit{browser: c, enter: func(ctx context.Context) error {
				user, err := a.Authenticate(ctx, "susan", testapp.Password)
				if err != nil {
					return err
				}
				return a.LoginUser(ctx, user)
			}}
		}, but(anew, hasNewStamp, string(owes), owesFactor, string(in), needsFactor, string(in))},
		"authtest": {func(t *testing.T, a *entranceApp) visit {
			c := a.Client(t)
			return visit{browser: c, enter: func(context.Context) error {
				client := authtest.NewClient(halting{t}, a.Core, a.Server.Config.Handler)
				done := make(chan bool)
				go func() {
					defer close(done)
					client.Login(stored(t, a.App, a.susan.ID))
				}()
				<-done
				for _, cookie := range client.Cookies() {
					c.Cookies[cookie.Name] = cookie.Value
				}
				return nil
			}}
		}, but(anew, owesFactor, gone)},
		"a mailed code": {func(t *testing.T, a *entranceApp) visit {
			c := a.Client(t)
			code, _ := a.ask(t, c, "susan@app.example")
			return visit{browser: c, enter: func(ctx context.Context) error {
				_, err := a.LoginByCode(ctx, code)
				return err
			}}
		}, but(anew, hasNewStamp, gone, isUnverified, string(in))},
		"a passkey": {func(t *testing.T, a *entranceApp) visit {
			c := a.Client(t)
			a.keys.give(a.susan.ID, "key")
			var prompt string
			a.In(c, func(ctx context.Context) {
				p, err := a.PromptPasskey(ctx)
				if err != nil {
					t.Error(err)
				}
				prompt, _ = p.Data.(string)
			})
			return visit{browser: c, enter: func(ctx context.Context) error {
				_, err := a.LoginByPasskey(ctx, url.Values{"passkey": {"key"}, "prompt": {prompt}})
				return err
			}}
		}, but(anew, owesFactor, string(in), needsFactor, string(in))},
	}
}

// halting is a test that another test's Fatal does not end.
type halting struct{ testing.TB }

func (halting) Helper()               {}
func (halting) Fatal(...any)          { runtime.Goexit() }
func (halting) Fatalf(string, ...any) { runtime.Goexit() }

// The faces of an application: what kind of client asks.
func faces() map[string]http.Header {
	return map[string]http.Header{
		"a browser": {"Accept": {"text/html"}},
		"htmx":      {"Accept": {"text/html"}, "Hx-Request": {"true"}},
		"a program": {"Accept": {"application/json"}},
	}
}

// leads returns where an answer leads to, without the query, or its status if it leads nowhere.
func leads(r *testapp.Response) string {
	to := r.Header.Get("Location") + r.Header.Get("HX-Redirect")
	if to == "" {
		return r.Status[:3]
	}
	return strings.SplitN(to, "?", 2)[0]
}

// TestEntrances: every way in, in every state of the account, for every kind of client.
func TestEntrances(t *testing.T) {
	t.Parallel()
	for name, e := range waysIn() {
		for _, state := range []string{isGood, isDisabled, isUnverified, owesFactor, needsFactor, hasNewStamp} {
			for face, header := range faces() {
				t.Run(name+", "+state+", "+face, func(t *testing.T) {
					t.Parallel()
					a := newEntranceApp(t, state)
					v := e.comes(t, a)
					a.shut(t, state)
					a.tryEntrance(t, v, face, header, e.want[state])
				})
			}
		}
	}
}

func (a *entranceApp) tryEntrance(t *testing.T, v visit, face string, header http.Header, want verdict) {
	t.Helper()
	header = header.Clone()
	for name, values := range v.header {
		header[name] = values
	}
	own := len(v.header) > 0 // then no answer leads to a page
	var failed error
	answer := a.Act(v.browser, header, func(w http.ResponseWriter, r *http.Request) {
		if v.enter != nil {
			failed = v.enter(r.Context())
		}
		if failed != nil {
			a.Error(w, r, failed)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	got, is := out, v.is
	if is == nil {
		is = func(ctx context.Context) error { _, err := a.User(ctx); return err }
	}
	a.Act(v.browser, header, func(_ http.ResponseWriter, r *http.Request) {
		_, waits := a.Pending(r.Context())
		err := is(r.Context())
		switch {
		case err == nil:
			got = in
		case errors.Is(err, auth.ErrNoFactor):
			got = enroll
		case waits == nil && errors.Is(failed, auth.ErrFactorRequired):
			got = owes
		}
	})
	if got != want {
		t.Errorf("the verdict is %s, want %s; the entrance says %v", got, want, failed)
	}
	page := func(path, status string) string {
		if face == "a program" || own {
			return status
		}
		return path
	}
	if got == owes && leads(answer) != page("/login/verify", "401") {
		t.Errorf("a login that owes a factor leads to %s", leads(answer))
	}
	answer = v.browser.Do(http.MethodGet, "/guarded", nil, header)
	guarded := leads(answer)
	switch wanted := map[verdict]string{in: "200", owes: page("/login", "401"), enroll: page("/account/two-factor", "403"), out: page("/login", "401")}[got]; {
	case v.is != nil && got != enroll: // the login was there before
	case guarded != wanted:
		t.Errorf("the verdict is %s, and a guarded page leads to %s, want %s", got, guarded, wanted)
	}
	if face != "a program" || v.is != nil || got == in {
		return
	}
	code := map[verdict]string{owes: "not-logged-in", enroll: "no-factor", out: "not-logged-in"}[got]
	if p := problemOf(t, answer); p.Code != code || got == owes && p.Pending == nil {
		t.Errorf("the verdict is %s, and a program is told %+v", got, p)
	}
}
