package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// askEmail lets the browser's user ask for a new address, and returns the token that is
// mailed there.
func (m *mailApp) askEmail(t *testing.T, c *testapp.Client, address string) string {
	t.Helper()
	m.box.Take()
	m.In(c, func(ctx context.Context) {
		u, err := m.User(ctx)
		if err == nil {
			err = m.SendEmailChange(ctx, u, address)
		}
		if err != nil {
			t.Errorf("SendEmailChange: %v", err)
		}
	})
	return m.token(t, auth.MailNewAddress, address)
}

// confirm calls ConfirmEmailChange in the browser.
func (m *mailApp) confirm(c *testapp.Client, token string) (u *testapp.User, err error) {
	m.In(c, func(ctx context.Context) { u, err = m.ConfirmEmailChange(ctx, token) })
	return u, err
}

// changeEmail lets the browser's user change their verified address, and returns the
// undo token that is mailed to the old address.
func (m *mailApp) changeEmail(t *testing.T, c *testapp.Client, address string) string {
	t.Helper()
	token := m.askEmail(t, c, address)
	if _, err := m.confirm(c, token); err != nil {
		t.Fatalf("ConfirmEmailChange: %v", err)
	}
	mails := m.box.Take()
	if len(mails) != 1 || mails[0].Kind != auth.MailAddressChanged {
		t.Fatalf("the mails are %v", labels(mails))
	}
	return tokenIn(t, mails[0])
}

// susan returns a logged-in user with a verified address.
func (m *mailApp) susan(t *testing.T) (*testapp.User, *testapp.Client) {
	t.Helper()
	u := member(t, m.App, "susan", testapp.Password, verified)
	c := m.Client(t)
	c.Login("susan")
	return u, c
}

func TestChangeEmail(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, func(c *auth.Config) { withBearer(c); c.BaseURL = "https://app.example" })
	u, browser := m.susan(t)
	other, device := m.Client(t), remembered(t, m.App, "susan")
	other.Login("susan")
	api, reset := newToken(t, m.App, u), resetToken(t, m.App, u)
	m.box.Take()
	m.Events()
	m.In(browser, func(ctx context.Context) {
		if err := m.SendEmailChange(ctx, u, " New@app.Example "); err != nil {
			t.Error(err)
		}
	})
	mails := m.box.Take()
	if len(mails) != 1 || mails[0].Kind != auth.MailNewAddress || mails[0].To != "New@app.Example" || mails[0].Lifetime != time.Hour ||
		!strings.HasPrefix(mails[0].Link.Reveal(), "https://app.example/account/email?token=") {
		t.Fatalf("%+v, link to %s", mails, mails[0].Link.Reveal())
	}
	token := tokenIn(t, mails[0])
	if now := stored(t, m.App, u.ID); now.Email != u.Email || now.Version != u.Version {
		t.Errorf("it is changed already: %+v", now)
	}
	for range 2 {
		if got, address, err := m.CheckEmailChange(t.Context(), token); err != nil || got.ID != u.ID || address != "New@app.Example" {
			t.Errorf("%v, %q, %v", got, address, err)
		}
	}
	before := browser.Clone()
	got, err := m.confirm(browser, token)
	now := stored(t, m.App, u.ID)
	if err != nil || got.Email != "New@app.Example" || !got.EmailVerified || now.Email != got.Email || now.Stamp.Equal(u.Stamp) || !opens(t, m.App, u.ID, testapp.Password) {
		t.Fatalf("%+v, %v", got, err)
	}
	mails = m.box.Take()
	if len(mails) != 1 || mails[0].Kind != auth.MailAddressChanged || mails[0].To != u.Email || mails[0].Lifetime != 72*time.Hour ||
		!strings.HasPrefix(mails[0].Link.Reveal(), "https://app.example/undo-email?token=") {
		t.Fatalf("%+v", mails)
	}
	if who := browser.Who(); who != "susan" {
		t.Errorf("the login that changed it is %q", who)
	}
	before.Issued = nil
	gone(t, "a change of address", before, other, device)
	if who := bearer(m.App, t, api); who != "nobody" {
		t.Errorf("the API token is %q", who)
	}
	if usable(t, m.App, reset) {
		t.Error("a reset that was mailed to the old address is good")
	}
	if _, err := m.confirm(browser, token); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("a second time: %v", err)
	}
	if e := kinds(m.Events()); !slices.Contains(e, auth.EventEmailChangeIssued) || !slices.Contains(e, auth.EventEmailChangeDone) || !slices.Contains(e, auth.EventEmailChangeFailed) {
		t.Errorf("the events are %v", e)
	}
	if logs := m.Logs(); strings.Contains(logs, token) || strings.Contains(logs, tokenIn(t, mails[0])) {
		t.Error("a token is in the log")
	}
}

// Only the user who asked for the change can confirm it. If another user clicks the
// link in the mail, their account does not get the address, and neither does the one
// that asked.
func TestConfirmEmailChangeNeedsTheUser(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u, browser := m.susan(t)
	member(t, m.App, "victim", "")
	victim := m.Client(t)
	victim.Login("victim")
	token := m.askEmail(t, browser, "victims-other@app.example")
	if _, err := m.confirm(victim, token); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("another user: %v", err)
	}
	if _, err := m.confirm(m.Client(t), token); !errors.Is(err, auth.ErrNotLoggedIn) {
		t.Errorf("without a login: %v", err)
	}
	if _, err := m.ConfirmEmailChange(t.Context(), token); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("outside: %v", err)
	}
	// The login ended while the request was under way.
	m.In(browser, func(ctx context.Context) {
		_, _ = m.User(ctx)
		for _, l := range logins(t, m.App, u.ID) {
			if err := m.EndLogin(t.Context(), u.ID, l.ID); err != nil {
				t.Error(err)
			}
		}
		if _, err := m.ConfirmEmailChange(ctx, token); !errors.Is(err, auth.ErrLoggedOut) {
			t.Errorf("a login that has ended: %v", err)
		}
	})
	browser.Login("susan")
	if now := stored(t, m.App, u.ID); now.Version != u.Version {
		t.Errorf("changed: %+v", now)
	}
	m.wantMails(t, "nothing has changed")
	if _, err := m.confirm(browser, token); err != nil {
		t.Errorf("the user: %v", err)
	}
}

func TestSendEmailChangeErrors(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u, _ := m.susan(t)
	disabled := member(t, m.App, "disabled", "", func(a *auth.Account) { a.Disabled = true })
	for _, c := range []struct {
		user    *testapp.User
		address string
		want    error
	}{
		{u, "", auth.ErrInvalidEmail},
		{u, "susan", auth.ErrInvalidEmail},
		{u, " SUSAN@App.Example", auth.ErrInvalidEmail},
		{u, "a@app.example,b@app.example", auth.ErrInvalidEmail},
		{u, "a@app.example\r\nBcc: b@app.example", auth.ErrInvalidEmail},
		{u, "mıke@app.example", auth.ErrInvalidEmail},
		{disabled, "new@app.example", auth.ErrDisabled},
		{nil, "new@app.example", auth.ErrUserNotFound},
	} {
		err := m.SendEmailChange(t.Context(), c.user, c.address)
		if !errors.Is(err, c.want) {
			t.Errorf("%q: %v", c.address, err)
		}
	}
	m.wantMails(t, "nothing")
	// The login ended while the request was under way.
	browser := m.Client(t)
	browser.Login("susan")
	m.In(browser, func(ctx context.Context) {
		_, _ = m.User(ctx)
		for _, l := range logins(t, m.App, u.ID) {
			_ = m.EndLogin(t.Context(), u.ID, l.ID)
		}
		if err := m.SendEmailChange(ctx, u, "new@app.example"); !errors.Is(err, auth.ErrLoggedOut) {
			t.Errorf("a login that has ended: %v", err)
		}
	})
	m.wantMails(t, "still nothing")
	without, _ := newApp(t, nil)
	if err := without.SendEmailChange(t.Context(), u, "new@app.example"); !errors.Is(err, auth.ErrNoMailer) {
		t.Error(err)
	}
	// A user without an address may get one. Nobody is told, because no old address
	// exists.
	bare := member(t, m.App, "bare", "", func(a *auth.Account) { a.Email = "" })
	browser.Login("bare")
	if _, err := m.confirm(browser, m.askEmail(t, browser, "bare@app.example")); err != nil {
		t.Error(err)
	}
	m.wantMails(t, "the first address")
	if now := stored(t, m.App, bare.ID); now.Email != "bare@app.example" || !now.EmailVerified {
		t.Errorf("%+v", now)
	}
}

// If the new address is taken, the caller does not learn that. The owner of the address
// is told.
func TestSendEmailChangeTellsNothing(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u, browser := m.susan(t)
	for name, do := range accountStates() {
		member(t, m.App, name, testapp.Password, do)
	}
	// An address that its owner has given up, and can still take back.
	member(t, m.App, "mover", "", verified)
	mover := m.Client(t)
	mover.Login("mover")
	m.changeEmail(t, mover, "moved@app.example")
	asked := alike{app: m.App, by: browser, ask: func(ctx context.Context, address string) error {
		return m.SendEmailChange(ctx, u, address)
	}}
	asked.about(t, "free", "free@app.example")
	m.wantMails(t, "free", "new-address to free@app.example")
	for name, do := range accountStates() {
		var a auth.Account
		do(&a)
		asked.about(t, name, strings.ToUpper(name)+"@app.example")
		mails := m.box.Take()
		if got := labels(mails); a.Disabled && len(got) != 0 || !a.Disabled && !slices.Equal(got, []string{"address-taken to " + name + "@app.example"}) {
			t.Errorf("%s: %v", name, got)
		}
		for _, mail := range mails {
			if mail.Link.Reveal() != m.Config().BaseURL+"/forgot-password" || mail.User.AuthAccount().Username != name {
				t.Errorf("%s: %+v", name, mail)
			}
		}
	}
	asked.about(t, "given up", "mover@app.example")
	m.wantMails(t, "given up")
	m.box.Fail(errStore)
	asked.about(t, "the mailer is down", "free@app.example")
}

// Which changes void the token that confirms an address.
func TestEmailTokenIsBound(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		change func(t *testing.T, m *mailApp, u *testapp.User)
		want   error
	}{
		"nothing": {func(*testing.T, *mailApp, *testapp.User) {}, nil},
		"roles": {func(t *testing.T, m *mailApp, u *testapp.User) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Roles = []string{"x"} })
		}, nil},
		"the old address": {func(t *testing.T, m *mailApp, u *testapp.User) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Email = "x@app.example" })
		}, auth.ErrInvalidToken},
		"password": {func(t *testing.T, m *mailApp, u *testapp.User) {
			if err := m.SetPassword(t.Context(), u, resetTo); err != nil {
				t.Error(err)
			}
		}, auth.ErrInvalidToken},
		"disabled": {func(t *testing.T, m *mailApp, u *testapp.User) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Disabled = true })
		}, auth.ErrInvalidToken},
		"deleted": {func(t *testing.T, m *mailApp, u *testapp.User) { deleteUser(t, m.App, u.ID) }, auth.ErrInvalidToken},
		"taken": {func(t *testing.T, m *mailApp, _ *testapp.User) {
			member(t, m.App, "other", "", func(a *auth.Account) { a.Email = "NEW@app.example" })
		}, auth.ErrEmailTaken},
		"59:59.999": {func(_ *testing.T, m *mailApp, _ *testapp.User) { m.Clock.Advance(time.Hour - time.Millisecond) }, nil},
		"an hour":   {func(_ *testing.T, m *mailApp, _ *testapp.User) { m.Clock.Advance(time.Hour) }, auth.ErrInvalidToken},
		"another change": {func(t *testing.T, m *mailApp, _ *testapp.User) {
			c := m.Client(t)
			c.Login("susan")
			m.changeEmail(t, c, "another@app.example")
		}, auth.ErrInvalidToken},
	} {
		m := newMailApp(t, nil)
		u, browser := m.susan(t)
		token := m.askEmail(t, browser, "new@app.example")
		c.change(t, m, u)
		before, _ := m.Store.LoadUser(t.Context(), u.ID)
		if before != nil && !before.Disabled {
			browser.Login("susan")
		}
		m.box.Take()
		_, err := m.confirm(browser, token)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", what, err)
		}
		if c.want == nil {
			continue
		}
		m.wantMails(t, what)
		if after, _ := m.Store.LoadUser(t.Context(), u.ID); after != nil && after.Version != before.Version {
			t.Errorf("%s: changed", what)
		}
		if list, err := m.Store.ListRecords(t.Context(), "email-undo", u.ID); what != "another change" && (err != nil || len(list) != 0) {
			t.Errorf("%s: %d undo links are left, %v", what, len(list), err)
		}
	}
}

// Each token confirms the address that it was mailed to, even if two requests cross. Of
// many confirmations one succeeds.
func TestEmailTokensCross(t *testing.T) {
	t.Parallel()
	for range 20 {
		m := newMailApp(t, nil)
		u, browser := m.susan(t)
		var wg sync.WaitGroup
		for _, address := range []string{"attacker@app.example", "victim@app.example"} {
			wg.Go(func() {
				if err := m.SendEmailChange(t.Context(), u, address); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		tokens := map[string]string{}
		for _, mail := range m.box.Take() {
			tokens[mail.To] = tokenIn(t, mail)
		}
		var won atomic.Int32
		browsers := []*testapp.Client{browser, browser.Clone()}
		for range 8 {
			c := m.Client(t)
			c.Login("susan")
			browsers = append(browsers, c)
		}
		for _, c := range browsers {
			wg.Go(func() {
				switch got, err := m.confirm(c, tokens["attacker@app.example"]); {
				case err == nil && got.Email == "attacker@app.example":
					won.Add(1)
				case !errors.Is(err, auth.ErrInvalidToken) && !errors.Is(err, auth.ErrNotLoggedIn):
					t.Errorf("%v, %v", got, err)
				}
			})
		}
		wg.Wait()
		if now := stored(t, m.App, u.ID); now.Email != "attacker@app.example" || won.Load() != 1 {
			t.Errorf("%d confirmations succeeded, and the address is %s", won.Load(), now.Email)
		}
		// One undo link exists, for the one mail.
		if list, err := m.Store.ListRecords(t.Context(), "email-undo", u.ID); err != nil || len(list) != 1 {
			t.Errorf("%d undo links, %v", len(list), err)
		}
		m.wantMails(t, "changed once", "address-changed to susan@app.example")
	}
}

// If any call of ConfirmEmailChange fails, the account has the old address and the
// token is good; or it has the new address and the undo link was mailed.
func TestConfirmEmailChangeIsAllOrNothing(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 7, func(t *testing.T, f *testapp.Fault) {
		m := newMailApp(t, nil)
		u, browser := m.susan(t)
		token := m.askEmail(t, browser, "new@app.example")
		var err error
		m.In(browser, func(ctx context.Context) {
			err = f.During(ctx, m.Spy(), func(ctx context.Context) error {
				_, err := m.ConfirmEmailChange(ctx, token)
				return err
			})
		})
		now := stored(t, m.App, u.ID)
		mails := m.box.Take()
		what := fmt.Sprintf("%s; it is %s, and the mails are %v", f, now.Email, labels(mails))
		list, listErr := m.Store.ListRecords(t.Context(), "email-undo", u.ID)
		if listErr != nil {
			t.Fatal(listErr)
		}
		switch {
		case now.Email == u.Email:
			if err == nil || len(mails) != 0 || f.Mode != testapp.StoreGone && len(list) != 0 {
				t.Errorf("%s, and %d undo links", what, len(list))
			}
			browser.Login("susan")
			if _, err := m.confirm(browser, token); err != nil {
				t.Errorf("%s, and once more: %v", what, err)
			}
			if undo := m.token(t, auth.MailAddressChanged, u.Email); undo != "" {
				if _, err := m.UndoEmailChange(t.Context(), undo); err != nil {
					t.Errorf("%s, and the undo: %v", what, err)
				}
			}
		case len(mails) == 0 && f.Mode == testapp.StoreGone && err != nil:
			// The store is down, so the test cannot find out what has happened.
		case len(mails) != 1 || len(list) != 1:
			t.Errorf("%s, and %d undo links", what, len(list))
		default:
			if _, err := m.UndoEmailChange(t.Context(), tokenIn(t, mails[0])); err != nil {
				t.Errorf("%s, and the undo: %v", what, err)
			}
		}
	})
}

// A change of address needs no browser: a request with its own credentials may confirm
// it. No login has to be kept then.
func TestConfirmEmailChangeByCredential(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, func(c *auth.Config) { c.Credentials = []auth.Credential{byHeader()} })
	u, browser := m.susan(t)
	m.Mux.HandleFunc("POST /confirm", func(w http.ResponseWriter, r *http.Request) {
		if _, err := m.ConfirmEmailChange(r.Context(), r.PostFormValue("token")); err != nil {
			m.Error(w, r, err)
		}
	})
	token := m.askEmail(t, browser, "new@app.example")
	r := m.Client(t).Do(http.MethodPost, "/confirm", map[string][]string{"token": {token}}, as(u))
	if r.StatusCode != http.StatusOK || stored(t, m.App, u.ID).Email != "new@app.example" || len(r.Cookies()) != 0 {
		t.Errorf("%s: %s", r.Status, r.Text)
	}
	gone(t, "confirmed elsewhere", browser)
}
