package auth_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// An outbox takes mails, or refuses them: also for a client that does not wait.
type outbox struct {
	mu    sync.Mutex
	mails []auth.Mail
	err   error
}

func (o *outbox) Send(ctx context.Context, m auth.Mail) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := cmp.Or(o.err, ctx.Err()); err != nil {
		return err
	}
	o.mails = append(o.mails, m)
	return nil
}

func (o *outbox) take() []auth.Mail {
	o.mu.Lock()
	defer o.mu.Unlock()
	mails := o.mails
	o.mails = nil
	return mails
}

// forgot is a page that asks for a reset.
func forgot(app *testapp.App) {
	app.Mux.HandleFunc("POST /forgot", func(w http.ResponseWriter, r *http.Request) {
		if err := app.SendReset(r.Context(), r.PostFormValue("email"), "/reset"); err != nil {
			app.Error(w, r, err)
		}
	})
}

func TestSendReset(t *testing.T) {
	box := &outbox{}
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer, c.BaseURL = box, "https://app.example" })
	forgot(app)
	u := app.Create(t, "susan", false)
	a := u.Clone()
	a.Email = "Susan@App.example" // mail goes to what is stored
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	form := url.Values{"email": {" susan@APP.EXAMPLE "}}
	r := c.Do(http.MethodPost, "/forgot", form, http.Header{
		"X-Forwarded-Host": {"evil.example"}, "Forwarded": {"host=evil.example"}, "X-Forwarded-Proto": {"http"},
	})
	mails := box.take()
	if r.StatusCode != http.StatusOK || len(mails) != 1 {
		t.Fatalf("%s, %d mails", r.Status, len(mails))
	}
	m := mails[0]
	link, token, ok := strings.Cut(m.Link.Reveal(), "?token=")
	if !ok || link != "https://app.example/reset" || m.To != "Susan@App.example" || m.Kind != auth.MailReset ||
		m.User.AuthAccount().ID != u.ID || m.Lifetime != 30*time.Minute {
		t.Errorf("%+v, link to %s", m, link)
	}
	if _, err := app.ResetPassword(t.Context(), token, "another good password"); err != nil {
		t.Errorf("the mailed token: %v", err)
	}
	if strings.Contains(app.Logs(), token) {
		t.Error("the token is in the log")
	}
}

// Whoever asks learns nothing: not from the answer, nor from the work that it
// takes, nor from a mailer that fails.
func TestSendResetTellsNothing(t *testing.T) {
	box := &outbox{}
	app, spy := newApp(t, func(c *auth.Config) { c.Mailer = box })
	forgot(app)
	app.Create(t, "susan", false)
	disabled := app.Create(t, "disabled", false)
	a := disabled.Clone()
	a.Disabled = true
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	ask := func(address string) (answer string, calls []string) {
		t.Helper()
		spy.reset(0, false)
		r := app.Client(t).Post("/forgot", "email", address)
		r.Header.Del("Date")
		var b strings.Builder
		b.WriteString(r.Status)
		if err := r.Header.Write(&b); err != nil {
			t.Fatal(err)
		}
		return b.String() + r.Text, spy.Calls()
	}
	ask("warm-up@app.example") // the first of an hour begins the address's count
	want, wantCalls := ask("susan@app.example")
	if len(box.take()) != 1 {
		t.Fatal("no mail to a known address")
	}
	for _, address := range []string{"nobody@app.example", "disabled@app.example"} {
		if got, calls := ask(address); got != want || !slices.Equal(calls, wantCalls) || len(box.take()) != 0 {
			t.Errorf("%s: %s after %v, want %s after %v", address, got, calls, want, wantCalls)
		}
	}
	box.err = errDown
	app.Events()
	if got, _ := ask("susan@app.example"); got != want {
		t.Errorf("with a mailer that fails: %s", got)
	}
	kinds := []auth.EventKind{}
	for _, e := range app.Events() {
		kinds = append(kinds, e.Kind)
	}
	if !slices.Equal(kinds, []auth.EventKind{auth.EventResetIssued, auth.EventMailFailed}) {
		t.Errorf("events %v", kinds)
	}
}

func TestSendResetErrors(t *testing.T) {
	box := &outbox{}
	app, spy := newApp(t, func(c *auth.Config) { c.Mailer = box })
	app.Create(t, "susan", false)
	ctx := t.Context()
	for _, address := range []string{"", "susan", "susan@localhost", "a@b.example,susan@app.example", "susan@app.example\r\nBcc: x@y.example", "<susan@app.example>"} {
		if err := app.SendReset(ctx, address, "/reset"); !errors.Is(err, auth.ErrInvalidEmail) {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, page := range []string{"", "reset", "//evil.example", "https://evil.example/", `/\evil.example`, "/reset?x=1", "/reset#x"} {
		if err := app.SendReset(ctx, "susan@app.example", page); err == nil {
			t.Errorf("the page %q is taken", page)
		}
	}
	spy.reset(1, false)
	if err := app.SendReset(ctx, "susan@app.example", "/reset"); !errors.Is(err, errDown) {
		t.Errorf("a store that fails: %v", err)
	}
	if mails := box.take(); len(mails) > 0 {
		t.Errorf("%d mails", len(mails))
	}
	without, _ := newApp(t, nil)
	if err := without.SendReset(ctx, "susan@app.example", "/reset"); !errors.Is(err, auth.ErrNoMailer) {
		t.Errorf("without a mailer: %v", err)
	}
}

func TestCookie(t *testing.T) {
	for base, want := range map[string]string{
		"https://app.example":   "__Host-session-reset=x; Path=/; HttpOnly; Secure; SameSite=Lax",
		"http://localhost:5000": "session-5000-reset=x; Path=/; HttpOnly; SameSite=Lax",
	} {
		app, _ := newApp(t, func(c *auth.Config) { c.BaseURL = base })
		cookie := app.Core().Cookie("reset")
		cookie.Value = "x"
		if got := cookie.String(); got != want {
			t.Errorf("%s: %s", base, got)
		}
	}
}

// A mail that is given up later is an event as well.
func TestMailFailsLater(t *testing.T) {
	box := &outbox{}
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer = box })
	u := app.Create(t, "susan", false)
	if err := app.SendReset(t.Context(), "susan@app.example", "/reset"); err != nil {
		t.Fatal(err)
	}
	app.Events()
	box.take()[0].Failed(errDown)
	events := app.Events()
	if len(events) != 1 || events[0].Kind != auth.EventMailFailed || events[0].UserID != u.ID || !errors.Is(events[0].Err, errDown) {
		t.Errorf("events %v", events)
	}
}

// A panicBox is a Mailer that panics.
type panicBox struct{}

func (panicBox) Send(context.Context, auth.Mail) error { panic("no mail today") }

// A Mailer that panics tells nobody whom it had a mail for.
func TestMailerPanics(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer = panicBox{} })
	app.Create(t, "susan", false)
	for _, address := range []string{"susan@app.example", "nobody@app.example"} {
		if err := app.SendReset(t.Context(), address, "/reset"); err != nil {
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
