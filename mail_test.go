package auth_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// If a mailer gives up on a mail later, an event is sent, too.
func TestMailGivenUpLater(t *testing.T) {
	box := &testapp.Outbox{}
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer = box })
	u := app.Create(t, "susan", false)
	if err := app.SendReset(t.Context(), "susan@app.example"); err != nil {
		t.Fatal(err)
	}
	app.Events()
	box.Take()[0].Failed(errStore)
	events := app.Events()
	if len(events) != 1 || events[0].Kind != auth.EventMailFailed || events[0].UserID != u.ID || !errors.Is(events[0].Err, errStore) {
		t.Errorf("events %v", events)
	}
}

// A panicBox is a Mailer that panics.
type panicBox struct{}

func (panicBox) Send(context.Context, auth.Mail) error { panic("no mail today") }

// If the Mailer panics, the answers for existing and missing accounts are still the
// same.
func TestMailerPanics(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer = panicBox{} })
	app.Create(t, "susan", false)
	for _, address := range []string{"susan@app.example", "nobody@app.example"} {
		if err := app.SendReset(t.Context(), address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	failed := 0
	for _, e := range app.Events() {
		if e.Kind == auth.EventMailFailed {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d events of a mail that failed", failed)
	}
}

// A hangingStore makes the client hang up during UpdateAccount. The change is made all
// the same, but the store returns the error of the cancelled context, if it was
// cancelled.
type hangingStore struct {
	*testapp.Spy
	hangUp func()
}

func (s *hangingStore) UpdateAccount(ctx context.Context, a auth.Account) error {
	err := s.Spy.UpdateAccount(context.WithoutCancel(ctx), a)
	if s.hangUp != nil {
		s.hangUp()
	}
	return errors.Join(err, ctx.Err())
}

// The owner gets a mail about every change of a credential, at the address that the
// account had. The change is kept even if the mail cannot be sent or the client hangs
// up.
func TestOwnerGetsMails(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		do   func(ctx context.Context, m *mailApp, u *testapp.User) error
		want string
	}{
		"SetPassword": {func(ctx context.Context, m *mailApp, u *testapp.User) error { return m.SetPassword(ctx, u, resetTo) }, "password-changed"},
		"ResetPassword": {func(ctx context.Context, m *mailApp, u *testapp.User) error {
			token, err := m.ResetToken(ctx, u)
			if err == nil {
				_, err = m.ResetPassword(ctx, token, resetTo)
			}
			return err
		}, "password-changed"},
		"NewAPIToken": {func(ctx context.Context, m *mailApp, u *testapp.User) error {
			_, _, err := m.NewAPIToken(ctx, u, auth.APIToken{Scopes: []string{"*"}, Expires: m.Clock.Now().AddDate(1, 0, 0)})
			return err
		}, "api-token"},
		"CloseAccount": {func(ctx context.Context, m *mailApp, u *testapp.User) error { return m.CloseAccount(ctx, u) }, "closed"},
	} {
		for _, with := range []string{"a mailer", "a mailer that is down", "no mailer", "no address", "a client that hangs up"} {
			if what == "ResetPassword" && with == "no address" {
				continue
			}
			box := &testapp.Outbox{}
			clock := testapp.NewClock()
			hooked := testapp.NewSpy(clock)
			store := &hangingStore{Spy: hooked}
			m := &mailApp{testapp.New(t, store, clock, func(c *auth.Config) {
				if with != "no mailer" {
					c.Mailer = box
				}
			}), box}
			u, browser := m.susan(t)
			switch with {
			case "no address":
				change(t, m.App, u.ID, func(a *auth.Account) { a.Email = "" })
				u = stored(t, m.App, u.ID)
			case "a mailer that is down":
				box.Fail(errStore)
			}
			m.Events()
			m.In(browser, func(ctx context.Context) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				if with == "a client that hangs up" {
					store.hangUp = cancel
				}
				if err := c.do(ctx, m, u); err != nil {
					t.Errorf("%s with %s: %v", what, with, err)
				}
				store.hangUp = nil
			})
			var want []string
			if with == "a mailer" || with == "a client that hangs up" {
				want = append(want, c.want+" to susan@app.example")
			}
			m.wantMails(t, what+" with "+with, want...)
			if failed := slices.Contains(kinds(m.Events()), auth.EventMailFailed); failed != (with == "a mailer that is down") {
				t.Errorf("%s with %s: failed %v", what, with, failed)
			}
		}
	}
	// The same for a change of the address and its undo.
	for _, undone := range []bool{false, true} {
		box := &testapp.Outbox{}
		clock := testapp.NewClock()
		hooked := testapp.NewSpy(clock)
		store := &hangingStore{Spy: hooked}
		m := &mailApp{testapp.New(t, store, clock, func(c *auth.Config) { c.Mailer = box }), box}
		_, browser := m.susan(t)
		token, want := m.askEmail(t, browser, "new@app.example"), "address-changed to susan@app.example"
		if undone {
			if _, err := m.confirm(browser, token); err != nil {
				t.Fatal(err)
			}
			token, want = m.token(t, auth.MailAddressChanged, "susan@app.example"), "address-undone to new@app.example"
		}
		m.In(browser, func(ctx context.Context) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			store.hangUp = cancel
			var err error
			if undone {
				_, err = m.UndoEmailChange(ctx, token)
			} else {
				_, err = m.ConfirmEmailChange(ctx, token)
			}
			if err != nil {
				t.Errorf("undone %v: %v", undone, err)
			}
			store.hangUp = nil
		})
		m.wantMails(t, "an address", want)
	}
}
