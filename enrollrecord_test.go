package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/totp"
)

// otherwise starts a process of the same application that has other Factors.
func (a *enrollApp) otherwise(t *testing.T, factors ...auth.Factor) *enrollApp {
	t.Helper()
	box := &testapp.Outbox{}
	app := testapp.New(t, a.Store, a.Clock, func(c *auth.Config) {
		c.Mailer, c.Factors, c.Credentials = box, factors, []auth.Credential{auth.Basic("test")}
	})
	return &enrollApp{mailApp: &mailApp{app, box}, factor: a.factor, spare: a.spare, susan: a.susan}
}

// wantOwed checks that a login of susan's owes a factor in a process that does not have it.
func (a *enrollApp) wantOwed(t *testing.T, what string) {
	t.Helper()
	c := a.otherwise(t).Client(t)
	if r := c.Post("/enter", "login", "susan"); r.StatusCode != http.StatusUnauthorized || c.Who() != "nobody" {
		t.Errorf("%s: a login without the factor: %s, %q", what, r.Status, c.Who())
	}
}

// renamed is a factor under another name, in which nobody is enrolled.
type renamed struct{ *codes }

func (renamed) Name() string { return "another" }

// unaware runs f while the store has no names.
func (a *enrollApp) unaware(f func()) {
	a.Spy().HookCalls(func(_ context.Context, c testapp.Call) error {
		if c.Kind == "enrolled" {
			return auth.ErrRecordNotFound
		}
		return nil
	}, nil)
	f()
	a.Spy().Reset()
}

// refusals are the events but for those of a hash that was upgraded.
func (a *enrollApp) refusals() []auth.Event {
	return slices.DeleteFunc(a.Events(), func(e auth.Event) bool { return e.Kind == auth.EventHashUpgraded })
}

// A user whose factor was taken out of Config.Factors still owes one. Recovery codes work.
func TestFactorTakenOutIsOwed(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.enroll(t)
	again := a.otherwise(t, a.factor)
	member(t, a.App, "david", testapp.Password, verified)
	begin := func(b *enrollApp) (*testapp.Client, auth.Pending, error) {
		david := b.Client(t)
		david.Login("david")
		if david.Who() != "david" {
			t.Error("a user who has set up nothing owes a factor")
		}
		b.Events()
		c := b.pending(t)
		var p auth.Pending
		var err error
		b.In(c, func(ctx context.Context) { p, err = b.Pending(ctx) })
		if who := c.Who(); who != "nobody" {
			t.Errorf("the login is %q", who)
		}
		return c, p, err
	}

	b := a.otherwise(t, renamed{newCodes()}, a.spare)
	c, p, err := begin(b)
	if err != nil || len(p.Missing) != 0 {
		t.Errorf("without recovery codes: %v, %v", p.Missing, err)
	}
	if e := b.refusals(); len(e) != 1 || e[0].Kind != auth.EventLoginPending || !strings.Contains(e[0].Err.Error(), `"code"`) || !strings.Contains(e[0].Err.Error(), "Config.Factors") {
		t.Errorf("the events are %+v", e)
	}
	for _, factor := range []string{"code", "another", "spare", ""} {
		if err := b.answer(c, factor, "123"); !errors.Is(err, auth.ErrNoPending) {
			t.Errorf("an answer to %q: %v", factor, err)
		}
		b.In(c, func(ctx context.Context) {
			if _, err := b.PromptFactor(ctx, factor); !errors.Is(err, auth.ErrNoPending) {
				t.Errorf("the prompt of %q: %v", factor, err)
			}
		})
	}

	a.recoveryCodes(t)
	c, p, err = begin(b)
	if err != nil || !slices.Equal(p.Missing, []string{"spare"}) {
		t.Errorf("with recovery codes: %v, %v", p.Missing, err)
	}
	if err := b.answer(c, "spare", "spare3"); err != nil || c.Who() != "susan" {
		t.Errorf("a recovery code: %v", err)
	}
	if err := again.answer(again.pending(t), "code", "wrong"); !errors.Is(err, auth.ErrWrongFactor) {
		t.Errorf("a process that has the factor: %v", err)
	}
	if err := a.do(func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") }); err != nil {
		t.Fatal(err)
	}
	c = b.Client(t)
	if c.Login("susan"); c.Who() != "susan" {
		t.Error("a removed factor is owed")
	}
}

// If Config.Factors is empty, no page could ask for the factor: the login is refused. So are
// a device that has shown no factor, HTTP Basic, and the confirmation of an older login.
func TestLoginIsRefusedWithoutFactors(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	b := a.otherwise(t)
	a.enroll(t)
	older, device := b.Client(t), b.Client(t)
	a.unaware(func() {
		older.Login("susan")
		device = remembered(t, b.App, "susan")
	})
	device.Restart()
	b.Events()
	for _, path := range []string{"/login", "/enter"} {
		c := b.Client(t)
		if r := c.Post(path, "login", "susan", "password", testapp.Password); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", path, r.Status)
		}
		for name := range c.Cookies {
			t.Errorf("%s has set the cookie %s", path, name)
		}
		if e := b.refusals(); len(e) != 1 || e[0].Kind != auth.EventLoginRefused || !errors.Is(e[0].Err, auth.ErrLoginRefused) || !strings.Contains(e[0].Err.Error(), "Config.Factors") {
			t.Errorf("%s: the events are %+v", path, e)
		}
	}
	if who := device.Who(); who != "nobody" {
		t.Errorf("a device is %q", who)
	}
	if r := b.Client(t).Do(http.MethodGet, "/guarded", nil, basicHeader("susan", testapp.Password)); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("HTTP Basic: %s", r.Status)
	}
	if err := b.Confirm(t, older, testapp.Password); !errors.Is(err, auth.ErrLoginRefused) {
		t.Errorf("the confirmation of an older login: %v", err)
	}
	if who := a.pending(t).Who(); who != "nobody" {
		t.Errorf("with the factor the login is %q", who)
	}
}

// A user whose factor was taken out changes no factors without showing one.
func TestFactorTakenOutGuardsTheOthers(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	other := renamed{newCodes()}
	b := a.otherwise(t, other, a.spare)
	b.Mux.Handle("GET /second", b.Require(auth.SecondFactor())(http.HandlerFunc(hello)))
	a.enroll(t)
	a.recoveryCodes(t)
	older := b.Client(t)
	a.unaware(func() { older.Login("susan") })
	enroll := func(c *testapp.Client) (err error) {
		b.In(c, func(ctx context.Context) { err = b.EnrollFactor(ctx, "another", setup) })
		return err
	}
	if err := enroll(older); !errors.Is(err, auth.ErrNotFresh) {
		t.Errorf("a login that has shown no factor: %v", err)
	}
	if to := older.Get("/second").Header.Get("Location"); !strings.HasPrefix(to, "/refresh") {
		t.Errorf("a page that needs a factor leads to %q", to)
	}
	c := b.pending(t)
	if err := b.answer(c, "spare", "spare3"); err != nil {
		t.Fatal(err)
	}
	if err := enroll(c); err != nil {
		t.Errorf("after a recovery code: %v", err)
	}
	// The factor that was taken out is still there, so the recovery codes stay.
	var err error
	b.In(c, func(ctx context.Context) { err = b.RemoveFactor(ctx, "another") })
	if left, _ := a.spare.Left(t.Context(), a.susan.ID); err != nil || left != 2 {
		t.Errorf("%v; %d recovery codes are left", err, left)
	}
	a.wantOwed(t, "after the removal of another factor")
}

// An administrator resets factors that are not in Config.Factors any more. Nothing of them is
// left.
func TestResetOfFactorsTakenOut(t *testing.T) {
	t.Parallel()
	app, recovery := totp.New(totp.Issuer("test")), totp.RecoveryCodes()
	a := &enrollApp{factor: newCodes(), spare: newSpares()}
	a.mailApp = newMailApp(t, func(c *auth.Config) { c.Factors = []auth.Factor{app, recovery} })
	a.susan = member(t, a.App, "susan", testapp.Password, verified)
	a.own = a.Client(t)
	a.own.Login("susan")
	err := a.do(func(ctx context.Context) error {
		s, err := a.BeginFactor(ctx, "totp")
		if err != nil {
			return err
		}
		code, err := totp.Code(s.Secret.Reveal(), a.Clock.Now())
		if err != nil {
			return err
		}
		return a.EnrollFactor(ctx, "totp", url.Values{"code": {code}})
	})
	if err != nil {
		t.Fatal(err)
	}
	b := a.otherwise(t)
	a.wantOwed(t, "before")
	if err := b.ResetFactors(t.Context(), a.susan.ID); err != nil {
		t.Fatal(err)
	}
	c := b.Client(t)
	if c.Login("susan"); c.Who() != "susan" {
		t.Error("the factor is owed")
	}
	for _, kind := range []string{"enrolled", "feature", "feature-attempts"} {
		if left, err := a.Store.ListRecords(t.Context(), kind, a.susan.ID); err != nil || len(left) != 0 {
			t.Errorf("%d records of kind %s are left: %v", len(left), kind, err)
		}
	}
	if has, err := app.Enrolled(t.Context(), a.susan.ID); has || err != nil {
		t.Errorf("with the factor back, the user has it: %v, %v", has, err)
	}
}

// Whatever call of the store fails, no factor is stored without its name.
func TestNoFactorWithoutItsName(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(*enrollApp) func(context.Context) error{
		"EnrollFactor": func(a *enrollApp) func(context.Context) error {
			return func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) }
		},
		"RemoveFactor": func(a *enrollApp) func(context.Context) error {
			return func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") }
		},
		"ResetFactors": func(a *enrollApp) func(context.Context) error {
			return func(ctx context.Context) error { return a.ResetFactors(ctx, a.susan.ID) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testapp.AllOrNothing(t, 4, func(t *testing.T, f *testapp.Fault) {
				a := newEnrollApp(t)
				if name != "EnrollFactor" {
					a.enroll(t)
				}
				err := a.do(func(ctx context.Context) error { return f.During(ctx, a.Spy(), act(a)) })
				has := a.factor.enrolled[a.susan.ID]
				if has {
					a.wantOwed(t, f.String())
				}
				if name == "ResetFactors" {
					if err == nil && has {
						t.Errorf("%s: the factor is there", f)
					}
					if err := a.ResetFactors(t.Context(), a.susan.ID); err != nil {
						t.Errorf("%s: once more: %v", f, err)
					}
					c := a.otherwise(t).Client(t)
					if c.Login("susan"); c.Who() != "susan" {
						t.Errorf("%s: once more, and the factor is owed", f)
					}
				}
			})
		})
	}
}

// A crash while a factor is set up leaves its name without the factor. A process that has the
// factor asks it, and lets the user in.
func TestNameWithoutItsFactor(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	a.factor.saving = errStore
	_ = a.do(func(ctx context.Context) error { return a.EnrollFactor(ctx, "code", setup) })
	a.wantOwed(t, "a process without the factor")
	c := a.Client(t)
	if c.Login("susan"); c.Who() != "susan" {
		t.Error("a user without the factor is asked for it")
	}
	a.factor.saving = nil
	a.own.Login("susan")
	a.enroll(t)
	if err := a.do(func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") }); err != nil {
		t.Fatal(err)
	}
	c = a.otherwise(t).Client(t)
	if c.Login("susan"); c.Who() != "susan" {
		t.Error("after the removal there is still the name of the first try")
	}
}

// crossed is a factor with hooks: after it has removed, and before it stores.
type crossed struct {
	*codes
	removed, stores func()
}

func (f *crossed) Remove(ctx context.Context, userID string) error {
	err := f.codes.Remove(ctx, userID)
	if hook := f.removed; hook != nil {
		f.removed = nil
		hook()
	}
	return err
}

func (f *crossed) Finish(ctx context.Context, user auth.User, answer url.Values) (func(context.Context) error, error) {
	save, err := f.codes.Finish(ctx, user, answer)
	return func(ctx context.Context) error {
		if hook := f.stores; hook != nil {
			f.stores = nil
			hook()
		}
		return save(ctx)
	}, err
}

// A removal in one process and an enrolment in another cross. If the factor is there at the
// end, its name is.
func TestRemovalCrossesEnrolment(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(*enrollApp) error{
		"RemoveFactor": func(a *enrollApp) error {
			return a.do(func(ctx context.Context) error { return a.RemoveFactor(ctx, "code") })
		},
		"ResetFactors": func(a *enrollApp) error { return a.ResetFactors(context.Background(), a.susan.ID) },
	} {
		t.Run(name+" first", func(t *testing.T) {
			t.Parallel()
			a := newEnrollApp(t)
			here, there := &crossed{codes: a.factor}, &crossed{codes: a.factor}
			a = a.otherwise(t, here)
			a.own = a.Client(t)
			b := a.otherwise(t, there)
			a.own.Login("susan")
			a.enroll(t)
			here.removed = func() {
				b.own = b.Client(t)
				b.own.Login("susan")
				b.enroll(t)
			}
			if err := remove(a); err != nil {
				t.Fatal(err)
			}
			if !a.factor.enrolled[a.susan.ID] {
				t.Fatal("the enrolment did not come last")
			}
			a.wantOwed(t, "the enrolment came last")
		})
	}
	t.Run("the enrolment stores after a whole reset", func(t *testing.T) {
		t.Parallel()
		a := newEnrollApp(t)
		f := &crossed{codes: a.factor}
		b := a.otherwise(t, f)
		b.own = b.Client(t)
		b.own.Login("susan")
		f.stores = func() {
			if err := a.ResetFactors(context.Background(), a.susan.ID); err != nil {
				t.Error(err)
			}
		}
		_ = b.do(func(ctx context.Context) error { return b.EnrollFactor(ctx, "code", setup) })
		if a.factor.enrolled[a.susan.ID] {
			a.wantOwed(t, "the enrolment came last")
		}
	})
	t.Run("the reset ends after the enrolment has stored", func(t *testing.T) {
		t.Parallel()
		a := newEnrollApp(t)
		f, g := &crossed{codes: a.factor}, &crossed{codes: a.factor}
		b, c := a.otherwise(t, f), a.otherwise(t, g)
		b.own = b.Client(t)
		b.own.Login("susan")
		removed, stored, reset := make(chan struct{}), make(chan struct{}), make(chan struct{})
		g.removed = func() {
			close(removed)
			<-stored
		}
		f.stores = func() { // the name is written: the reset reads it
			go func() {
				defer close(reset)
				if err := c.ResetFactors(context.Background(), a.susan.ID); err != nil {
					t.Error(err)
				}
			}()
			<-removed
		}
		_ = b.do(func(ctx context.Context) error { return b.EnrollFactor(ctx, "code", setup) })
		close(stored)
		<-reset
		if a.factor.enrolled[a.susan.ID] {
			a.wantOwed(t, "the reset came last")
		}
	})
}

// If the names cannot be read, nobody is let in.
func TestNamesCannotBeRead(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	b := a.otherwise(t)
	a.Spy().HookCalls(func(_ context.Context, c testapp.Call) error {
		if c.Kind == "enrolled" {
			return errStore
		}
		return nil
	}, nil)
	c := b.Client(t)
	if r := c.Post("/login", "login", "susan", "password", testapp.Password); r.StatusCode != http.StatusServiceUnavailable || len(c.Cookies) != 0 {
		t.Errorf("the store fails: %s", r.Status)
	}
	a.Spy().Reset()
	a.enroll(t)
	records, err := a.Store.ListRecords(t.Context(), "enrolled", a.susan.ID)
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	for _, data := range []string{"", "\x03", "\x02\x04code\x01", "\x01\x09code", "\x01\x04code\xff"} {
		r := records[0]
		if now, err := a.Store.GetRecord(t.Context(), r.Kind, r.Key); err == nil {
			r.Version = now.Version
		}
		r.Data = []byte(data)
		if err := a.Store.UpdateRecord(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		c := b.Client(t)
		if r := c.Post("/login", "login", "susan", "password", testapp.Password); r.StatusCode != http.StatusInternalServerError || len(c.Cookies) != 0 {
			t.Errorf("the record is %q: %s", data, r.Status)
		}
	}
	if err := b.ResetFactors(t.Context(), a.susan.ID); err != nil {
		t.Fatal(err)
	}
	if c.Login("susan"); c.Who() != "susan" {
		t.Error("after ResetFactors the damaged record is there")
	}
}
