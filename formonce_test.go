package auth_test

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// A once submits a form, and counts how often the operation ran.
type once struct {
	core  *auth.Core
	done  atomic.Int32
	nonce string
}

func newOnce(ctx context.Context, core *auth.Core) *once {
	return &once{core: core, nonce: core.FormNonce(ctx, "form")}
}

func someFields() url.Values {
	return url.Values{"password": {testapp.Password}, "name": {"Susan", "Anna"}}
}

func (o *once) do(context.Context) (string, error) {
	o.done.Add(1)
	return "/page", nil
}

// repeats submits the form and reports whether FormOnce took it for a repetition.
func (o *once) repeats(ctx context.Context, t *testing.T, form, nonce string, fields url.Values) bool {
	t.Helper()
	before := o.done.Load()
	outcome, repeated, err := o.core.FormOnce(ctx, form, nonce, fields, o.do)
	if outcome != "/page" || err != nil || repeated == (o.done.Load() > before) {
		t.Errorf("%q, %t, %v", outcome, repeated, err)
	}
	return repeated
}

func (o *once) again(ctx context.Context, t *testing.T) bool {
	t.Helper()
	return o.repeats(ctx, t, "form", o.nonce, someFields())
}

func TestFormOnce(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	ctx := t.Context()
	o := newOnce(ctx, app.Core)
	if o.again(ctx, t) || !o.again(ctx, t) || !o.again(ctx, t) {
		t.Error("the operation must run the first time, and no other time")
	}
	fewer, more, swapped := someFields(), someFields(), someFields()
	fewer.Del("name")
	more.Set("next", "/")
	swapped["name"] = []string{"Anna", "Susan"}
	for what, repeats := range map[string]bool{
		"fewer fields":    o.repeats(ctx, t, "form", o.nonce, fewer),
		"no fields":       o.repeats(ctx, t, "form", o.nonce, nil),
		"more fields":     o.repeats(ctx, t, "form", o.nonce, more),
		"swapped fields":  o.repeats(ctx, t, "form", o.nonce, swapped),
		"another form":    o.repeats(ctx, t, "forms", o.nonce, someFields()),
		"no form":         o.repeats(ctx, t, "", o.nonce, someFields()),
		"another nonce":   o.repeats(ctx, t, "form", app.FormNonce(ctx, "form"), someFields()),
		"no nonce":        o.repeats(ctx, t, "form", "", someFields()),
		"garbage":         o.repeats(ctx, t, "form", "garbage", someFields()),
		"a long text":     o.repeats(ctx, t, "form", strings.Repeat("A", 10_000), someFields()),
		"a longer nonce":  o.repeats(ctx, t, "form", o.nonce+"A", someFields()),
		"a shorter nonce": o.repeats(ctx, t, "form", o.nonce[1:], someFields()),
	} {
		if repeats {
			t.Errorf("%s: taken for a repetition", what)
		}
	}
	app.Clock.Advance(10*time.Minute - time.Second)
	if !o.again(ctx, t) {
		t.Error("no repetition after almost ten minutes")
	}
	app.Clock.Advance(time.Second)
	for range 2 {
		if o.again(ctx, t) {
			t.Error("a repetition after ten minutes")
		}
	}
}

// TestFormOnceFails: if the operation failed, the form can be sent again, even with
// other fields.
func TestFormOnceFails(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	ctx := t.Context()
	o := newOnce(ctx, app.Core)
	refused := errors.New("refused")
	for range 2 {
		_, repeated, err := app.FormOnce(ctx, "form", o.nonce, nil, func(context.Context) (string, error) { return "/no", refused })
		if repeated || !errors.Is(err, refused) {
			t.Errorf("%t, %v", repeated, err)
		}
	}
	func() {
		defer func() { _ = recover() }()
		_, _, _ = app.FormOnce(ctx, "form", o.nonce, nil, func(context.Context) (string, error) { panic("no") })
	}()
	if o.again(ctx, t) || !o.again(ctx, t) {
		t.Error("it cannot be sent again")
	}
	if app.TurnsTaken() != 0 {
		t.Error("a turn is still taken")
	}
}

// TestFormOnceAtOnce: if a form is sent many times at the same moment, the operation
// runs once, and the other requests wait for it.
func TestFormOnceAtOnce(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	o := newOnce(t.Context(), app.Core)
	var sending sync.WaitGroup
	for range 30 {
		sending.Go(func() { o.again(t.Context(), t) })
	}
	sending.Wait()
	if o.done.Load() != 1 {
		t.Errorf("done %d times", o.done.Load())
	}
}

// TestFormOnceInAnotherProcess: while another process runs the operation, FormOnce
// returns ErrBusy, until that process has finished, failed or died.
func TestFormOnceInAnotherProcess(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	one, two := testapp.New(t, store, clock, nil).Core, testapp.New(t, store, clock, nil).Core
	ctx, refused := t.Context(), errors.New("refused")
	busy := func(o *once, nonce string) {
		t.Helper()
		if outcome, repeated, err := two.FormOnce(ctx, "form", nonce, someFields(), o.do); outcome != "" || repeated || !errors.Is(err, auth.ErrFormBusy) {
			t.Errorf("%q, %t, %v", outcome, repeated, err)
		}
	}
	for _, result := range []error{nil, refused} {
		o := newOnce(ctx, two)
		_, _, err := one.FormOnce(ctx, "form", o.nonce, someFields(), func(context.Context) (string, error) {
			busy(o, o.nonce)
			clock.Advance(time.Minute - time.Second)
			busy(o, o.nonce)
			return "/page", result
		})
		if !errors.Is(err, result) {
			t.Error(err)
		}
		if o.again(ctx, t) != (result == nil) || !o.again(ctx, t) {
			t.Errorf("after %v it is not known what it came to", result)
		}
	}
	o := newOnce(ctx, two)
	_, _, err := one.FormOnce(ctx, "form", o.nonce, someFields(), func(context.Context) (string, error) {
		clock.Advance(time.Minute)
		if o.again(ctx, t) {
			t.Error("a process that has died has done it")
		}
		return "/other", nil // the process was still alive
	})
	if err != nil || !o.again(ctx, t) {
		t.Errorf("%v, or not done", err)
	}
}

// TestFormOnceAfterHangUp: if the user clicks twice, the browser cancels the first request.
// The operation goes on.
func TestFormOnceAfterHangUp(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	o := newOnce(ctx, app.Core)
	_, _, err := app.FormOnce(ctx, "form", o.nonce, someFields(), func(ctx context.Context) (string, error) {
		hangUp()
		deadline, ok := ctx.Deadline()
		if ctx.Err() != nil || !ok || time.Until(deadline) > 30*time.Second {
			t.Errorf("%v, until %v", ctx.Err(), deadline)
		}
		return "/page", nil
	})
	if err != nil || !o.again(t.Context(), t) {
		t.Errorf("%v, or not done", err)
	}
}

// TestFormOnceStoreFails: if the store fails, the form can be sent again to the same
// process. If the store had saved that the operation is done, it does not run again.
func TestFormOnceStoreFails(t *testing.T) {
	t.Parallel()
	for k := 1; k <= 4; k++ {
		for _, late := range []bool{false, true} {
			app, store := newApp(t, nil)
			o := newOnce(t.Context(), app.Core)
			calls := 0
			fail := func(string) error {
				if calls++; calls == k {
					return errors.New("the disk is full")
				}
				return nil
			}
			if late {
				store.Hook(nil, fail)
			} else {
				store.Hook(fail, nil)
			}
			_, _, err := app.FormOnce(t.Context(), "form", o.nonce, someFields(), o.do)
			store.Reset()
			if (err == nil) != (o.done.Load() == 1) {
				t.Errorf("call %d, late %t: %v", k, late, err)
			}
			stored := err == nil && (k > 2 || late)
			if o.again(t.Context(), t) != stored || !o.again(t.Context(), t) {
				t.Errorf("call %d, late %t: whether the form can be sent again is wrong", k, late)
			}
		}
	}
}

// TestFormOnceKeepsNoFields: the stored record tells nothing about the fields, not even
// that two submissions have the same fields.
func TestFormOnceKeepsNoFields(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	for range 2 {
		newOnce(t.Context(), app.Core).again(t.Context(), t)
	}
	inserted := store.Given("InsertRecord")
	if len(inserted) != 2 || inserted[0].Kind != "form" || inserted[0].UserID != "" || !inserted[0].Expires.Equal(app.Clock.Now().Add(10*time.Minute)) {
		t.Fatalf("%v", inserted)
	}
	for _, r := range inserted {
		if bytes.Contains(r.Data, []byte(testapp.Password)) || bytes.Contains(r.Data, []byte("Susan")) {
			t.Errorf("the record is %q", r.Data)
		}
	}
	if mac := func(r auth.Record) []byte { return r.Data[len(r.Data)-48-32 : len(r.Data)-48] }; bytes.Equal(mac(inserted[0]), mac(inserted[1])) {
		t.Error("the same fields have the same hash")
	}
}

// TestFormOnceIsBoundToTheBrowser: to its login, also after a rotation; without a login
// to its session; without a session to the cookie of the known browser.
func TestFormOnceIsBoundToTheBrowser(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", true)
	app.Create(t, "jacob", true)
	none, login, otherLogin, jacob, visitor, known := app.Client(t), app.Client(t), app.Client(t), app.Client(t), app.Client(t), app.Client(t)
	login.Post("/login", "login", "susan", "password", testapp.Password)
	known.Post("/login", "login", "susan", "password", testapp.Password)
	known.Post("/logout")
	otherLogin.Login("susan")
	jacob.Login("jacob")
	app.In(visitor, func(ctx context.Context) { app.SessionData().Put(ctx, "cart", 1) })
	browsers := map[string]*testapp.Client{
		"none": none, "login": login, "other login": otherLogin, "jacob": jacob, "visitor": visitor, "known": known,
	}
	again := func(o *once, c *testapp.Client) (repeats bool) {
		t.Helper()
		app.In(c, func(ctx context.Context) { repeats = o.again(ctx, t) })
		return repeats
	}
	for shown, browser := range browsers {
		var o *once
		app.In(browser, func(ctx context.Context) { o = newOnce(ctx, app.Core) })
		if again(o, browser) || !again(o, browser) {
			t.Errorf("%s: in the browser that opened the form, the second submission is no repetition", shown)
		}
		for sent, other := range browsers {
			if repeats := again(o, other); repeats != (sent == shown || shown == "none") {
				t.Errorf("shown to %s and sent by %s: a repetition is %t", shown, sent, repeats)
			}
		}
	}
	var o *once
	app.In(login, func(ctx context.Context) { o = newOnce(ctx, app.Core) })
	again(o, login)
	app.In(login, func(ctx context.Context) {
		if err := app.SessionData().RenewToken(ctx); err != nil {
			t.Error(err)
		}
	})
	if !again(o, login) {
		t.Error("not repeated after a rotation")
	}
	login.Post("/logout")
	if !again(o, login) {
		t.Error("not repeated in a browser that is known still")
	}
	login.Login("susan")
	if again(o, login) {
		t.Error("repeated in another login")
	}
}
