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
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// An enrollApp is an application in which users set up a factor and recovery codes.
type enrollApp struct {
	*mailApp
	factor *codes
	spare  *spares
	susan  *testapp.User
	own    *testapp.Client // susan's, logged in
}

func newEnrollApp(t *testing.T) *enrollApp {
	t.Helper()
	a := &enrollApp{factor: newCodes(), spare: newSpares()}
	a.mailApp = newMailApp(t, func(c *auth.Config) { c.Factors = []auth.Factor{a.factor, a.spare} })
	a.susan = member(t, a.App, "susan", testapp.Password, verified)
	a.own = a.Client(t)
	a.own.Login("susan")
	a.Mux.Handle("GET /second", a.Require(auth.SecondFactor())(http.HandlerFunc(hello)))
	a.box.Take()
	a.Events()
	return a
}

var setup = url.Values{"code": {"setup"}}

// do runs a function in susan's request.
func (a *enrollApp) do(f func(ctx context.Context) error) (err error) {
	a.In(a.own, func(ctx context.Context) { err = f(ctx) })
	return err
}

func (a *enrollApp) enroll(t *testing.T) {
	t.Helper()
	if err := a.do(func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) }); err != nil {
		t.Fatal(err)
	}
	a.box.Take()
	a.Events()
}

func (a *enrollApp) recoveryCodes(t *testing.T) (codes []string) {
	t.Helper()
	err := a.do(func(ctx context.Context) (err error) { codes, err = a.NewRecoveryCodes(ctx, "spare"); return err })
	if err != nil {
		t.Fatal(err)
	}
	a.box.Take()
	return codes
}

// pending begins a login of susan's that owes a factor.
func (a *enrollApp) pending(t *testing.T) *testapp.Client {
	t.Helper()
	c := a.Client(t)
	if r := c.Post("/login", "login", "susan", "password", testapp.Password); !strings.HasPrefix(r.Header.Get("Location"), "/login/verify") {
		t.Fatalf("the login goes to %q", r.Header.Get("Location"))
	}
	return c
}

func (a *enrollApp) answer(c *testapp.Client, factor, code string) (err error) {
	a.In(c, func(ctx context.Context) { err = a.ContinueLogin(ctx, factor, url.Values{"code": {code}}) })
	return err
}

// A user sets a factor up, is asked for it from then on, and removes it again.
func TestEnrollFactor(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	states := func() (s []auth.FactorState) {
		s, err := a.FactorsOf(t.Context(), a.susan)
		if err != nil {
			t.Error(err)
		}
		return s
	}
	if got, want := states(), []auth.FactorState{{Name: "code", Enrolls: true}, {Name: "spare", Recovery: true}}; !slices.Equal(got, want) {
		t.Errorf("before: %+v", got)
	}
	err := a.do(func(ctx context.Context) error {
		s, err := a.BeginFactor(ctx, "code")
		if s.Secret.Reveal() != "the secret" || s.Prompt.Field != "code" {
			t.Errorf("the setup is %+v", s)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	a.enroll(t)
	if a.own.Who() != "susan" {
		t.Error("the login that set the factor up has ended")
	}
	if r := a.own.Get("/second"); r.StatusCode != http.StatusOK {
		t.Errorf("the login that set the factor up: %s", r.Status)
	}
	a.recoveryCodes(t)
	if got, want := states(), []auth.FactorState{{Name: "code", Enrolled: true, Enrolls: true}, {Name: "spare", Enrolled: true, Recovery: true, Left: 3}}; !slices.Equal(got, want) {
		t.Errorf("after: %+v", got)
	}
	c := a.pending(t)
	if who := c.Who(); who != "nobody" {
		t.Errorf("a login that owes a factor is %q", who)
	}
	a.factor.give(a.susan.ID, "123")
	a.In(c, func(ctx context.Context) {
		if _, err := a.PromptFactor(ctx, "code"); err != nil {
			t.Error(err)
		}
	})
	if err := a.answer(c, "code", "123"); err != nil || c.Who() != "susan" {
		t.Errorf("with the code: %v, %q", err, c.Who())
	}
	if err := a.do(func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") }); err != nil {
		t.Error(err)
	}
	if c.Who() != "nobody" || a.own.Who() != "susan" {
		t.Errorf("after the removal another login is %q, and the one that asked %q", c.Who(), a.own.Who())
	}
	// The recovery codes are gone, too: alone they would ask for something at each login.
	if got, want := states(), []auth.FactorState{{Name: "code", Enrolls: true}, {Name: "spare", Recovery: true}}; !slices.Equal(got, want) {
		t.Errorf("at the end: %+v", got)
	}
	c.Login("susan")
	if c.Who() != "susan" {
		t.Error("the removed factor is asked for")
	}
}

// Recovery codes work in place of the factor, and the owner is told of each use.
func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	if err := a.do(func(ctx context.Context) error { _, err := a.NewRecoveryCodes(ctx, "spare"); return err }); !errors.Is(err, auth.ErrNoFactor) {
		t.Errorf("without a factor to replace: %v", err)
	}
	a.enroll(t)
	codes := a.recoveryCodes(t)
	if !slices.Equal(codes, []string{"spare1", "spare2", "spare3"}) {
		t.Errorf("the codes are %v", codes)
	}
	c := a.pending(t)
	if err := a.answer(c, "spare", "spare9"); !errors.Is(err, auth.ErrWrongFactor) {
		t.Errorf("a wrong code: %v", err)
	}
	if err := a.answer(c, "spare", "spare3"); err != nil || c.Who() != "susan" {
		t.Errorf("a right code: %v, %q", err, c.Who())
	}
	mails := a.box.Take()
	if len(mails) != 1 || mails[0].Kind != auth.MailRecoveryCodeUsed || mails[0].Left != 2 || mails[0].Factor != "spare" {
		t.Errorf("the mails are %+v", mails)
	}
	if r := c.Get("/second"); r.StatusCode != http.StatusOK {
		t.Errorf("a login by a recovery code: %s", r.Status)
	}
}

// Nobody can lock the owner out of the recovery codes: wrong ones count for the address only.
func TestRecoveryCodesAreNotLocked(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.enroll(t)
	a.recoveryCodes(t)
	waits := a.pending(t)
	for range 25 { // Limits.Guesses is 100
		c := a.pending(t)
		for range 4 {
			if err := a.answer(c, "spare", "wrong"); !errors.Is(err, auth.ErrWrongFactor) {
				t.Fatal(err)
			}
		}
	}
	if err := a.answer(waits, "spare", "spare3"); !errors.Is(err, auth.ErrRateLimited) {
		t.Errorf("one more from this address: %v", err)
	}
	a.Clock.Advance(time.Hour)
	if c := a.pending(t); a.answer(c, "spare", "spare3") != nil || c.Who() != "susan" {
		t.Error("a right code is refused after many wrong ones")
	}
}

// Only a user who has just logged in sets up or removes factors, and with the factor if
// there is one.
func TestFactorsNeedAFreshLogin(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	calls := map[string]func(ctx context.Context) error{
		"BeginFactor":      func(ctx context.Context) error { _, err := a.BeginFactor(ctx, "code"); return err },
		"EnrollFactor":     func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) },
		"RemoveFactor":     func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") },
		"NewRecoveryCodes": func(ctx context.Context) error { _, err := a.NewRecoveryCodes(ctx, "spare"); return err },
		"UnlockFactor":     func(ctx context.Context) error { return a.UnlockFactor(ctx, "code") },
	}
	want := func(what string, want error, c *testapp.Client) {
		t.Helper()
		for name, call := range calls {
			a.In(c, func(ctx context.Context) {
				if err := call(ctx); !errors.Is(err, want) {
					t.Errorf("%s, %s: %v, want %v", what, name, err, want)
				}
			})
		}
	}
	want("nobody", auth.ErrNotLoggedIn, a.Client(t))
	a.Clock.Advance(10*time.Minute + time.Second)
	want("after ten minutes", auth.ErrNotFresh, a.own)
	a.own.Login("susan")
	device := remembered(t, a.App, "susan")
	device.Restart()
	want("a remembered device", auth.ErrNotFresh, device)
	// A factor that another login has set up, where the Stamp has not told: this login has
	// not shown it.
	a.factor.enrolled[a.susan.ID] = true
	want("a login without the factor", auth.ErrNotFresh, a.own)
	for name, call := range calls {
		if err := call(t.Context()); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("%s outside of a request: %v", name, err)
		}
	}
}

// An attacker who registers a victim's address cannot lock the owner out by a factor.
func TestFactorsNeedAVerifiedAddress(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	member(t, a.App, "mallory", testapp.Password)
	c := a.Client(t)
	c.Login("mallory")
	a.In(c, func(ctx context.Context) {
		if _, err := a.BeginFactor(ctx, "code"); !errors.Is(err, auth.ErrUnverified) {
			t.Errorf("BeginFactor: %v", err)
		}
		if err := a.EnrollFactor(ctx, "code", setup); !errors.Is(err, auth.ErrUnverified) {
			t.Errorf("EnrollFactor: %v", err)
		}
	})
}

// Attempts at setting a factor up count together with those at a login.
func TestEnrollmentIsCounted(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	for range 5 {
		if err := a.do(func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", url.Values{"code": {"x"}}) }); !errors.Is(err, auth.ErrWrongFactor) {
			t.Fatal(err)
		}
	}
	if err := a.do(func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) }); !errors.Is(err, auth.ErrLocked) {
		t.Errorf("a sixth attempt: %v", err)
	}
	a.factor.enrolled[a.susan.ID] = true
	a.factor.give(a.susan.ID, "123")
	if err := a.answer(a.pending(t), "code", "123"); !errors.Is(err, auth.ErrLocked) {
		t.Errorf("at a login: %v", err)
	}
}

// After a hundred wrong answers the factor is off. The owner is told, and switches it on
// again by a recovery code.
func TestDisabledFactor(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.enroll(t)
	a.recoveryCodes(t)
	for range 100 {
		a.Clock.Advance(time.Hour)
		if err := a.answer(a.pending(t), "code", "wrong"); !errors.Is(err, auth.ErrWrongFactor) {
			t.Fatal(err)
		}
	}
	if got := labels(a.box.Take()); !slices.Equal(got, []string{"factor-disabled to susan@app.example"}) {
		t.Errorf("the mails are %v", got)
	}
	a.Clock.Advance(100 * time.Hour)
	if s, err := a.FactorsOf(t.Context(), a.susan); err != nil || !s[0].Disabled || !s[0].Enrolled {
		t.Errorf("the state is %+v, %v", s, err)
	}
	a.own = a.pending(t)
	a.factor.give(a.susan.ID, "123")
	if err := a.answer(a.own, "code", "123"); !errors.Is(err, auth.ErrLocked) {
		t.Errorf("a right code: %v", err)
	}
	if err := a.answer(a.own, "spare", "spare3"); err != nil {
		t.Fatal(err)
	}
	if err := a.do(func(ctx context.Context) error { return a.UnlockFactor(ctx, "nothing") }); !errors.Is(err, auth.ErrNoFactor) {
		t.Errorf("another factor: %v", err)
	}
	if err := a.do(func(ctx context.Context) error { return a.UnlockFactor(ctx, "code") }); err != nil {
		t.Fatal(err)
	}
	if got := labels(a.box.Take()); !slices.Equal(got, []string{"factor-unlocked to susan@app.example", "recovery-code-used to susan@app.example"}) {
		t.Errorf("the mails are %v", got)
	}
	c := a.pending(t)
	a.In(c, func(ctx context.Context) { _, _ = a.PromptFactor(ctx, "code") })
	if err := a.answer(c, "code", "123"); err != nil || c.Who() != "susan" {
		t.Errorf("after UnlockFactor: %v", err)
	}
}

// A factor that cannot store fails the request, and the next try works.
func TestEnrollmentFails(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.factor.saving = errStore
	if err := a.do(func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) }); !errors.Is(err, errStore) {
		t.Errorf("%v", err)
	}
	if got := labels(a.box.Take()); len(got) != 0 {
		t.Errorf("the mails are %v", got)
	}
	if a.own.Who() != "susan" {
		t.Error("the login has ended")
	}
	a.factor.saving = nil
	a.enroll(t)
	a.factor.saving = errStore
	if err := a.do(func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") }); !errors.Is(err, errStore) {
		t.Errorf("%v", err)
	}
	if !a.factor.enrolled[a.susan.ID] || a.own.Who() != "susan" {
		t.Error("the factor or the login is gone")
	}
	a.factor.saving = nil
	if err := a.do(func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") }); err != nil {
		t.Error(err)
	}
}

// Of two that set a factor up at the same moment one is told that it was made.
func TestTwoEnrollmentsAtOnce(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	second := a.Client(t)
	second.Login("susan")
	var wg sync.WaitGroup
	made := make(chan error, 2)
	for _, c := range []*testapp.Client{a.own, second} {
		wg.Go(func() {
			a.In(c, func(ctx context.Context) { made <- a.EnrollFactor(ctx, "code", setup) })
		})
	}
	wg.Wait()
	close(made)
	won := 0
	for err := range made {
		if err == nil {
			won++
		} else if !errors.Is(err, auth.ErrConflict) && !errors.Is(err, auth.ErrNotLoggedIn) && !errors.Is(err, auth.ErrNotFresh) {
			t.Errorf("the other one: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d were told that the factor was made", won)
	}
	if got := labels(a.box.Take()); len(got) != 1 {
		t.Errorf("the mails are %v", got)
	}
}

// ResetFactors lets a user in who has lost every factor.
func TestResetFactors(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.enroll(t)
	a.recoveryCodes(t)
	waits := a.pending(t)
	if err := a.ResetFactors(t.Context(), a.susan.ID); err != nil {
		t.Fatal(err)
	}
	if err := a.answer(waits, "spare", "spare3"); !errors.Is(err, auth.ErrNoPending) {
		t.Errorf("a login that waited: %v", err)
	}
	c := a.Client(t)
	c.Login("susan")
	if c.Who() != "susan" || a.own.Who() != "nobody" {
		t.Errorf("a new login is %q, the old one %q", c.Who(), a.own.Who())
	}
	if err := a.ResetFactors(t.Context(), "nobody"); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("a user who does not exist: %v", err)
	}
}

// The rule SecondFactor sends users without a factor to set one up, and others to show it.
func TestSecondFactorRule(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.Mux.Handle("GET /both", a.Require(auth.Fresh(time.Minute), auth.SecondFactor())(http.HandlerFunc(hello)))
	location := func(c *testapp.Client, path string) string {
		t.Helper()
		return c.Get(path).Header.Get("Location")
	}
	if got := location(a.Client(t), "/second"); !strings.HasPrefix(got, "/login?") {
		t.Errorf("nobody goes to %q", got)
	}
	if got := location(a.own, "/second"); got != "/account/two-factor?next=%2Fsecond" {
		t.Errorf("a user without a factor goes to %q", got)
	}
	a.Clock.Advance(time.Hour - time.Minute)
	if got := location(a.own, "/both"); !strings.HasPrefix(got, "/account/two-factor") {
		t.Errorf("a factor is asked for first, and not %q", got)
	}
	a.factor.enrolled[a.susan.ID] = true
	if got := location(a.own, "/second"); got != "/refresh?next=%2Fsecond" {
		t.Errorf("a user who has not shown the factor goes to %q", got)
	}
	r := a.own.Do("GET", "/second", nil, http.Header{"Accept": {"application/json"}})
	if r.StatusCode != http.StatusUnauthorized {
		t.Errorf("a program gets %s", r.Status)
	}
	delete(a.factor.enrolled, a.susan.ID)
	r = a.own.Do("GET", "/second", nil, http.Header{"Accept": {"application/json"}})
	if r.StatusCode != http.StatusForbidden {
		t.Errorf("a program of a user without a factor gets %s", r.Status)
	}
	a.factor.failure = errStore
	if r := a.own.Get("/second"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a factor that fails: %s", r.Status)
	}
}

// A user of whom a factor is required reaches nothing else before it is set up.
func TestRequiredFactor(t *testing.T) {
	t.Parallel()
	a := &enrollApp{factor: newCodes(), spare: newSpares()}
	a.mailApp = newMailApp(t, func(c *auth.Config) {
		c.Factors = []auth.Factor{a.factor, a.spare}
		c.RequireFactor = func(user auth.User) bool { return slices.Contains(user.AuthAccount().Roles, "admin") }
		c.Credentials = []auth.Credential{auth.Bearer()}
	})
	a.susan = member(t, a.App, "susan", testapp.Password, verified, func(u *auth.Account) { u.Roles = []string{"admin"} })
	member(t, a.App, "david", testapp.Password, verified)
	david := a.Client(t)
	david.Login("david")
	if david.Who() != "david" {
		t.Error("a user of whom no factor is required is stopped")
	}
	a.own = a.Client(t)
	a.own.Login("susan")
	if who := a.own.Who(); who == "susan" {
		t.Error("the user is told who they are")
	}
	if r := a.own.Get("/guarded"); r.Header.Get("Location") != "/account/two-factor?next=%2Fguarded" {
		t.Errorf("a guarded page: %s to %q", r.Status, r.Header.Get("Location"))
	}
	for name, call := range map[string]func(ctx context.Context) error{
		"User":  func(ctx context.Context) error { _, err := a.User(ctx); return err },
		"Check": func(ctx context.Context) error { return a.Check(ctx) },
		"Fresh": func(ctx context.Context) error { return a.Check(ctx, auth.Fresh(time.Hour)) },
		"WhileLoggedIn": func(ctx context.Context) error {
			ctx, stop := a.WhileLoggedIn(ctx)
			defer stop()
			return context.Cause(ctx)
		},
		"EndOtherLogins":  a.EndOtherLogins,
		"RequireScope":    func(ctx context.Context) error { return a.Check(ctx, auth.Scope("x")) },
		"the second rule": func(ctx context.Context) error { return a.Check(ctx, auth.SecondFactor()) },
	} {
		if err := a.do(call); !errors.Is(err, auth.ErrNoFactor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	api := newToken(t, a.App, stored(t, a.App, a.susan.ID))
	if who := bearer(a.App, t, api); who == "susan" {
		t.Errorf("an API token's user is %q", who)
	}
	if u := a.do(func(ctx context.Context) error { _, err := a.EnrollingUser(ctx); return err }); u != nil {
		t.Errorf("EnrollingUser: %v", u)
	}
	if err := a.do(func(ctx context.Context) error { return a.ConfirmLogin(ctx) }); err != nil {
		t.Errorf("ConfirmLogin: %v", err)
	}
	a.enroll(t)
	if who := a.own.Who(); who != "susan" {
		t.Errorf("with the factor the user is %q", who)
	}
	if err := a.do(func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") }); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("the last factor is removed: %v", err)
	}
	if err := a.ResetFactors(t.Context(), a.susan.ID); err != nil {
		t.Error(err)
	}
	a.own.Login("susan")
	if who := a.own.Who(); who == "susan" {
		t.Error("after the reset no factor is required")
	}
	cfg := goodConfig()
	cfg.RequireFactor = func(auth.User) bool { return true }
	if _, err := auth.New[*testapp.User](a.Store, cfg); err == nil {
		t.Error("RequireFactor without Factors is no error")
	}
}

// HTTP Basic has only the password, so it lets no user in who has a second factor. The answer
// is that of a wrong password.
func TestBasicRefusesUsersWithAFactor(t *testing.T) {
	t.Parallel()
	factor := newCodes()
	m := newMailApp(t, func(c *auth.Config) {
		c.Factors, c.Credentials = []auth.Factor{factor}, []auth.Credential{auth.Basic("test")}
	})
	u := member(t, m.App, "susan", testapp.Password, verified)
	ask := func(password string) *testapp.Response {
		return m.Client(t).Do("GET", "/guarded", nil, basicHeader("susan", password))
	}
	if r := ask(testapp.Password); r.StatusCode != http.StatusOK {
		t.Errorf("without a factor: %s", r.Status)
	}
	wrong := ask("a wrong password")
	factor.enrolled[u.ID] = true
	m.Events()
	right := ask(testapp.Password)
	if right.StatusCode != http.StatusUnauthorized || right.Text != wrong.Text || right.Header.Get("WWW-Authenticate") != wrong.Header.Get("WWW-Authenticate") {
		t.Errorf("with a factor: %s %q, and for a wrong password %s %q", right.Status, right.Text, wrong.Status, wrong.Text)
	}
	if e := m.Events(); len(e) == 0 || e[0].Kind != auth.EventLoginRefused || e[0].UserID != u.ID || !strings.Contains(e[0].Err.Error(), "second factor") {
		t.Errorf("the events are %v", e)
	}
	factor.failure = errStore
	if r := ask(testapp.Password); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a factor that fails: %s", r.Status)
	}
}

// A locked factor can be set up anew after it was removed, by the user or an administrator.
func TestLockedFactorIsSetUpAnew(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(*enrollApp) error{
		"RemoveFactor": func(a *enrollApp) error {
			a.own = a.pending(t)
			if err := a.answer(a.own, "spare", "spare3"); err != nil {
				return err
			}
			return a.do(func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") })
		},
		"ResetFactors": func(a *enrollApp) error {
			err := a.ResetFactors(t.Context(), a.susan.ID)
			a.own.Login("susan")
			return err
		},
	} {
		a := newEnrollApp(t)
		a.enroll(t)
		a.recoveryCodes(t)
		for range 100 {
			a.Clock.Advance(time.Hour)
			_ = a.answer(a.pending(t), "code", "wrong")
		}
		a.Clock.Advance(time.Hour)
		if err := remove(a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		a.enroll(t)
	}
}

// UnlockFactor does nothing before the factor is disabled. An attacker in a login of the user
// could otherwise guess without an end.
func TestUnlockFactorBeforeItIsDisabled(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.enroll(t)
	for range 5 {
		_ = a.answer(a.pending(t), "code", "wrong")
	}
	if err := a.do(func(ctx context.Context) error { return a.UnlockFactor(ctx, "code") }); err != nil {
		t.Error(err)
	}
	a.factor.give(a.susan.ID, "123")
	if err := a.answer(a.pending(t), "code", "123"); !errors.Is(err, auth.ErrLocked) {
		t.Errorf("the lock is gone: %v", err)
	}
}

// A failure while a factor is stored leaves a login that has not shown one.
func TestFailedEnrollmentShowsNothing(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.factor.saving = errStore
	if err := a.do(func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) }); !errors.Is(err, errStore) {
		t.Fatal(err)
	}
	if r := a.own.Get("/second"); r.StatusCode == http.StatusOK {
		t.Error("the login counts as one with a factor")
	}
}

// A factor that was stored or removed by a store which then says that it failed counts as
// stored or removed: the owner gets the mail.
func TestFactorChangedByAFailingStore(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.factor.afterwards = errStore
	if err := a.do(func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) }); err != nil {
		t.Errorf("EnrollFactor: %v", err)
	}
	if err := a.do(func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") }); err != nil {
		t.Errorf("RemoveFactor: %v", err)
	}
	if got := labels(a.box.Take()); !slices.Equal(got, []string{"factor-added to susan@app.example", "factor-removed to susan@app.example"}) {
		t.Errorf("the mails are %v", got)
	}
}

// If the recovery codes cannot be removed, the factor stays, too: they must not come back to
// life when another factor is set up.
func TestRecoveryCodesGoFirst(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.enroll(t)
	a.recoveryCodes(t)
	a.spare.removing = errStore
	if err := a.do(func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") }); !errors.Is(err, errStore) {
		t.Errorf("%v", err)
	}
	if !a.factor.enrolled[a.susan.ID] {
		t.Error("the factor is gone, and the codes are left")
	}
	a.spare.removing = nil
	if err := a.do(func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") }); err != nil {
		t.Error(err)
	}
}

// A login that was ended while a request was on its way sets nothing up.
func TestEnrollmentOfAnEndedLogin(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.In(a.own, func(ctx context.Context) {
		_, _ = a.User(ctx)
		for _, l := range logins(t, a.App, a.susan.ID) {
			_ = a.EndLogin(t.Context(), a.susan.ID, l.ID)
		}
		if err := a.EnrollFactor(ctx, "code", setup); !errors.Is(err, auth.ErrLoggedOut) {
			t.Errorf("%v", err)
		}
	})
	if a.factor.enrolled[a.susan.ID] {
		t.Error("the factor is set up")
	}
}

// If the password changes while a factor is being set up, nothing is set up: the one who asks
// may be the attacker whom the owner has just locked out.
func TestEnrollmentCrossesAChange(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.factor.finishing = func() {
		change(t, a.App, a.susan.ID, func(u *auth.Account) { u.Stamp = auth.NewSecret("another") })
	}
	if err := a.do(func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) }); !errors.Is(err, auth.ErrConflict) {
		t.Errorf("%v", err)
	}
	if a.factor.enrolled[a.susan.ID] {
		t.Error("the factor is set up")
	}
}

// A user who has a factor, and whose address is no longer verified, can still replace it.
func TestReplaceAFactorUnverified(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.enroll(t)
	change(t, a.App, a.susan.ID, func(u *auth.Account) { u.EmailVerified = false })
	if err := a.do(func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) }); err != nil {
		t.Error(err)
	}
	a.factor.saving = errStore
	if err := a.ResetFactors(t.Context(), a.susan.ID); !errors.Is(err, errStore) {
		t.Errorf("a reset that fails: %v", err)
	}
}

// With NewWithLoader the account cannot get a new Stamp, so factors are not set up by Core.
func TestEnrollmentWithLoader(t *testing.T) {
	t.Parallel()
	store := memstore.New[testapp.User]()
	cfg := goodConfig()
	cfg.Records, cfg.Factors = store, []auth.Factor{newCodes(), newSpares()}
	m, err := auth.NewWithLoader[*testapp.User](store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	u, err := store.CreateUser(t.Context(), auth.Account{ID: "7", Username: "susan"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if err := m.LoginUser(ctx, u); err != nil {
			t.Error(err)
		}
		for name, err := range map[string]error{
			"EnrollFactor": m.EnrollFactor(ctx, "code", setup), "RemoveFactor": m.RemoveFactor(ctx, "code"), "ResetFactors": m.ResetFactors(ctx, "7"),
		} {
			if !errors.Is(err, auth.ErrNoUserStore) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
}

// The URL of a callback that owes a factor is not opened again: it works once, and may have a
// secret in it.
func TestFactorOwedByACallback(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.enroll(t)
	a.Mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		if err := a.LoginUser(r.Context(), a.susan, auth.By("oauth:example")); err != nil {
			a.Error(w, r, err)
		}
	})
	if r := a.Client(t).Get("/callback?code=canary"); r.Header.Get("Location") != "/login/verify" {
		t.Errorf("it leads to %q", r.Header.Get("Location"))
	}
}

// Of ten thousand wrong codes, over logins, addresses, processes and restarts, at most a
// hundred are checked: those of the first minutes, and one after each wait.
func TestTenThousandWrongCodes(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.enroll(t)
	var checked int
	for i := range 2500 {
		if i%500 == 0 { // another process
			cfg := goodConfig()
			cfg.BaseURL, cfg.Now, cfg.Limits.Guesses = a.Config().BaseURL, a.Clock.Now, -1
			f := newCodes()
			f.enrolled[a.susan.ID] = true
			checked += a.factor.checked
			a.factor, cfg.Factors = f, []auth.Factor{f}
			m, err := auth.New[*testapp.User](a.Store, cfg)
			if err != nil {
				t.Fatal(err)
			}
			a.Manager = m
		}
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1234", i%250)
		a.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := a.LoginUser(r.Context(), stored(t, a.App, a.susan.ID)); !errors.Is(err, auth.ErrFactorRequired) {
				t.Error(err)
			}
			for range 4 {
				if err := a.ContinueLogin(r.Context(), "code", url.Values{"code": {"x"}}); !errors.Is(err, auth.ErrLoginRefused) {
					t.Error(err)
				}
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
		a.Clock.Advance(5 * time.Minute)
	}
	if checked += a.factor.checked; checked != 100 {
		t.Errorf("%d codes were checked, want 100", checked)
	}
}

// Each set of codes is a mail. An attacker in a login cannot send the owner any number.
func TestNewCodesAreLimited(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.enroll(t)
	codes := func() error {
		return a.do(func(ctx context.Context) error { _, err := a.NewRecoveryCodes(ctx, "spare"); return err })
	}
	for i := range 10 {
		if err := codes(); err != nil {
			t.Errorf("set %d: %v", i+1, err)
		}
	}
	var limited *auth.RateLimitError
	if err := codes(); !errors.As(err, &limited) || limited.RetryAfter != time.Hour {
		t.Errorf("one more: %v", err)
	}
	if mails := a.box.Take(); len(mails) != 10 || a.own.Who() != "susan" {
		t.Errorf("%d mails; the login is %q", len(mails), a.own.Who())
	}
	a.Clock.Advance(time.Hour)
	a.own = a.pending(t)
	if err := a.answer(a.own, "spare", "spare3"); err != nil {
		t.Fatal(err)
	}
	if err := codes(); err != nil {
		t.Errorf("after an hour: %v", err)
	}
}

// slowSpares are spares with hooks around the moment at which new codes are stored.
type slowSpares struct {
	*spares
	before, after func()
}

func (f *slowSpares) Generate(ctx context.Context, user auth.User) ([]string, func(context.Context) error, error) {
	codes, save, err := f.spares.Generate(ctx, user)
	return codes, func(ctx context.Context) error {
		if f.before != nil {
			f.before()
		}
		err := save(ctx)
		if f.after != nil {
			f.after()
		}
		return err
	}, err
}

// New codes cross a change of the account in another process. After a reset no codes are left:
// they would work again when the user sets up another factor. Codes that do not stay are not
// shown.
func TestNewCodesCrossAChange(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*enrollApp) error{
		"ResetFactors": func(a *enrollApp) error { return a.ResetFactors(context.Background(), a.susan.ID) },
		"SetPassword": func(a *enrollApp) error {
			return a.SetPassword(context.Background(), stored(t, a.App, a.susan.ID), resetTo)
		},
		"CloseAccount": func(a *enrollApp) error { return a.CloseAccount(context.Background(), stored(t, a.App, a.susan.ID)) },
	} {
		for _, when := range []string{"before the codes are stored", "after"} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				a := newEnrollApp(t)
				a.enroll(t)
				slow := &slowSpares{spares: a.spare}
				hook := func() {
					if err := change(a); err != nil {
						t.Error(err)
					}
				}
				if slow.before = hook; when == "after" {
					slow.before, slow.after = nil, hook
				}
				b := a.otherwise(t, a.factor, slow)
				b.own = b.pending(t)
				a.factor.give(a.susan.ID, "123")
				b.In(b.own, func(ctx context.Context) { _, _ = b.PromptFactor(ctx, "code") })
				if err := b.answer(b.own, "code", "123"); err != nil {
					t.Fatal(err)
				}
				var codes []string
				err := b.do(func(ctx context.Context) (err error) { codes, err = b.NewRecoveryCodes(ctx, "spare"); return err })
				if left, _ := a.spare.Left(t.Context(), a.susan.ID); !errors.Is(err, auth.ErrConflict) || codes != nil || left != 0 {
					t.Errorf("%v; %d codes are shown, %d are left", err, len(codes), left)
				}
			})
		}
	}
}

// New codes cross an undo of the change of the address: the undo has removed the codes, and has not
// changed the account yet. The codes do not stay.
func TestNewCodesCrossAnUndo(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	token := a.changeEmail(t, a.own, "thief@app.example")
	a.enroll(t)
	reached, release, undone := make(chan struct{}), make(chan struct{}), make(chan struct{})
	updates := 0
	a.Spy().HookCalls(func(_ context.Context, c testapp.Call) error {
		if c.Method != "UpdateAccount" {
			return nil
		}
		switch updates++; updates {
		case 1: // of the new codes
			go func() {
				defer close(undone)
				_, _ = a.UndoEmailChange(context.Background(), token)
			}()
			<-reached
		case 2: // of the undo
			close(reached)
			<-release
		}
		return nil
	}, nil)
	var codes []string
	err := a.do(func(ctx context.Context) (err error) { codes, err = a.NewRecoveryCodes(ctx, "spare"); return err })
	close(release)
	<-undone
	if left, _ := a.spare.Left(t.Context(), a.susan.ID); !errors.Is(err, auth.ErrConflict) || codes != nil || left != 0 {
		t.Errorf("%v; %d codes are shown, %d are left", err, len(codes), left)
	}
}

// From the fifth wrong answer on, the errors say how long to wait, at the login and where the
// factor is set up. A disabled factor has no end of the wait.
func TestWaitError(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	want := func(what string, err, target error, seconds int) {
		t.Helper()
		var wait *auth.WaitError
		if errors.As(err, &wait) != (seconds > 0) || !errors.Is(err, target) || wait != nil && wait.RetryAfter != time.Duration(seconds)*time.Second {
			t.Errorf("%s: %v", what, err)
		}
	}
	enroll := func() error {
		return a.do(func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", url.Values{"code": {"x"}}) })
	}
	for i := range 4 {
		want(fmt.Sprint("wrong answer ", i+1), enroll(), auth.ErrWrongFactor, 0)
	}
	want("the fifth", enroll(), auth.ErrWrongFactor, 30)
	a.Clock.Advance(1500 * time.Millisecond)
	want("while it waits", enroll(), auth.ErrLocked, 29)
	a.Clock.Advance(time.Hour)
	a.factor.enrolled[a.susan.ID] = true
	want("the sixth, at a login", a.answer(a.pending(t), "code", "x"), auth.ErrWrongFactor, 60)
	c := a.pending(t)
	want("while it waits, at a login", a.answer(c, "code", "x"), auth.ErrLocked, 60)
	r := a.Act(c, nil, func(w http.ResponseWriter, r *http.Request) {
		a.Error(w, r, a.ContinueLogin(r.Context(), "code", url.Values{"code": {"x"}}))
	})
	if r.StatusCode != http.StatusUnauthorized || r.Header.Get("Retry-After") != "60" {
		t.Errorf("Core.Error: %s, Retry-After %q", r.Status, r.Header.Get("Retry-After"))
	}
	for range 93 {
		a.Clock.Advance(time.Hour)
		_ = a.answer(a.pending(t), "code", "x")
	}
	a.Clock.Advance(time.Hour)
	want("the hundredth", a.answer(a.pending(t), "code", "x"), auth.ErrWrongFactor, 0)
	want("a disabled factor", a.answer(a.pending(t), "code", "x"), auth.ErrLocked, 0)
}
