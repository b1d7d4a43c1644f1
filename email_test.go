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
	"github.com/go-login/auth/memstore"
)

// askEmail has the browser's user ask for an address, and returns the token that
// is mailed there.
func (m *mailApp) askEmail(t *testing.T, c *testapp.Client, address string) string {
	t.Helper()
	m.box.take()
	m.in(c, func(ctx context.Context) {
		u, err := m.User(ctx)
		if err == nil {
			err = m.SendNewEmail(ctx, u, address, "/account/email")
		}
		if err != nil {
			t.Errorf("SendNewEmail: %v", err)
		}
	})
	return m.token(t, auth.MailNewAddress, address)
}

// confirm is ConfirmEmail in the browser.
func (m *mailApp) confirm(c *testapp.Client, token string) (u *testapp.User, err error) {
	m.in(c, func(ctx context.Context) { u, err = m.ConfirmEmail(ctx, token, "/account/email/undo") })
	return u, err
}

// changeEmail has the browser's user change their address, which is verified, and
// returns the token that goes to the old one.
func (m *mailApp) changeEmail(t *testing.T, c *testapp.Client, address string) string {
	t.Helper()
	token := m.askEmail(t, c, address)
	if _, err := m.confirm(c, token); err != nil {
		t.Fatalf("ConfirmEmail: %v", err)
	}
	mails := m.box.take()
	if len(mails) != 1 || mails[0].Kind != auth.MailAddressChanged {
		t.Fatalf("the mails are %v", labels(mails))
	}
	return tokenIn(t, mails[0])
}

// susan is a user whose address is verified, logged in.
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
	m.box.take()
	m.Events()
	m.in(browser, func(ctx context.Context) {
		if err := m.SendNewEmail(ctx, u, " New@app.Example ", "/account/email"); err != nil {
			t.Error(err)
		}
	})
	mails := m.box.take()
	if len(mails) != 1 || mails[0].Kind != auth.MailNewAddress || mails[0].To != "New@app.Example" || mails[0].Lifetime != time.Hour ||
		!strings.HasPrefix(mails[0].Link.Reveal(), "https://app.example/account/email?token=") {
		t.Fatalf("%+v, link to %s", mails, mails[0].Link.Reveal())
	}
	token := tokenIn(t, mails[0])
	if now := stored(t, m.App, u.ID); now.Email != u.Email || now.Version != u.Version {
		t.Errorf("it is changed already: %+v", now)
	}
	for range 2 {
		if got, address, err := m.CheckEmailToken(t.Context(), token); err != nil || got.ID != u.ID || address != "New@app.Example" {
			t.Errorf("%v, %q, %v", got, address, err)
		}
	}
	before := browser.Clone()
	got, err := m.confirm(browser, token)
	now := stored(t, m.App, u.ID)
	if err != nil || got.Email != "New@app.Example" || !got.EmailVerified || now.Email != got.Email || now.Stamp.Equal(u.Stamp) || !opens(t, m.App, u.ID, testapp.Password) {
		t.Fatalf("%+v, %v", got, err)
	}
	mails = m.box.take()
	if len(mails) != 1 || mails[0].Kind != auth.MailAddressChanged || mails[0].To != u.Email || mails[0].Lifetime != 72*time.Hour ||
		!strings.HasPrefix(mails[0].Link.Reveal(), "https://app.example/account/email/undo?token=") {
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
	if e := kinds(m.Events()); !slices.Contains(e, auth.EventEmailAsked) || !slices.Contains(e, auth.EventEmailChanged) || !slices.Contains(e, auth.EventEmailFailed) {
		t.Errorf("the events are %v", e)
	}
	if logs := m.Logs(); strings.Contains(logs, token) || strings.Contains(logs, tokenIn(t, mails[0])) {
		t.Error("a token is in the log")
	}
}

// Only the user who asked can confirm: who clicks in somebody else's mail gives
// nobody their address.
func TestConfirmEmailNeedsTheUser(t *testing.T) {
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
		t.Errorf("nobody: %v", err)
	}
	if _, err := m.ConfirmEmail(t.Context(), token, "/undo"); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("outside: %v", err)
	}
	// A login that was ended while it held the request.
	m.in(browser, func(ctx context.Context) {
		_, _ = m.User(ctx)
		for _, l := range logins(t, m.App, u.ID) {
			if err := m.EndLogin(t.Context(), u.ID, l.ID); err != nil {
				t.Error(err)
			}
		}
		if _, err := m.ConfirmEmail(ctx, token, "/undo"); !errors.Is(err, auth.ErrLoggedOut) {
			t.Errorf("a login that has ended: %v", err)
		}
	})
	for _, page := range []string{"", "undo", "//evil.example", "/undo?x=y", "https://evil.example/"} {
		browser.Login("susan")
		m.in(browser, func(ctx context.Context) {
			if _, err := m.ConfirmEmail(ctx, token, page); err == nil || errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("the page %q: %v", page, err)
			}
		})
	}
	if now := stored(t, m.App, u.ID); now.Version != u.Version {
		t.Errorf("changed: %+v", now)
	}
	m.wantMails(t, "nothing has changed")
	if _, err := m.confirm(browser, token); err != nil {
		t.Errorf("the user: %v", err)
	}
}

func TestSendNewEmailNeeds(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u, _ := m.susan(t)
	disabled := member(t, m.App, "disabled", "", func(a *auth.Account) { a.Disabled = true })
	for _, c := range []struct {
		user          *testapp.User
		address, page string
		want          error
	}{
		{u, "", "/e", auth.ErrInvalidEmail},
		{u, "susan", "/e", auth.ErrInvalidEmail},
		{u, " SUSAN@App.Example", "/e", auth.ErrInvalidEmail},
		{u, "a@app.example,b@app.example", "/e", auth.ErrInvalidEmail},
		{u, "a@app.example\r\nBcc: b@app.example", "/e", auth.ErrInvalidEmail},
		{u, "mıke@app.example", "/e", auth.ErrInvalidEmail},
		{disabled, "new@app.example", "/e", auth.ErrDisabled},
		{nil, "new@app.example", "/e", auth.ErrUserNotFound},
		{u, "new@app.example", "//evil.example/e", nil},
		{u, "new@app.example", "", nil},
		{u, "new@app.example", "/e?x=y", nil},
	} {
		err := m.SendNewEmail(t.Context(), c.user, c.address, c.page)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%q, %q: %v", c.address, c.page, err)
		}
	}
	m.wantMails(t, "nothing")
	// A login that was ended while it held the request.
	browser := m.Client(t)
	browser.Login("susan")
	m.in(browser, func(ctx context.Context) {
		_, _ = m.User(ctx)
		for _, l := range logins(t, m.App, u.ID) {
			_ = m.EndLogin(t.Context(), u.ID, l.ID)
		}
		if err := m.SendNewEmail(ctx, u, "new@app.example", "/e"); !errors.Is(err, auth.ErrLoggedOut) {
			t.Errorf("a login that has ended: %v", err)
		}
	})
	m.wantMails(t, "still nothing")
	without, _ := hookedApp(t, nil)
	if err := without.SendNewEmail(t.Context(), u, "new@app.example", "/e"); !errors.Is(err, auth.ErrNoMailer) {
		t.Error(err)
	}
	// Who has no address may get one; nobody is told, for there is no old one.
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

// Who asks for an address that somebody has learns nothing, and that one is told.
func TestSendNewEmailTellsNothing(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u, browser := m.susan(t)
	for name, do := range accountStates() {
		member(t, m.App, name, testapp.Password, do)
	}
	// An address that somebody has given up, and may want back.
	member(t, m.App, "mover", "", verified)
	mover := m.Client(t)
	mover.Login("mover")
	m.changeEmail(t, mover, "moved@app.example")
	ask := func(address string) string {
		before := m.Core.PasswordHashes()
		var err error
		var calls []string
		r := m.in(browser, func(ctx context.Context) {
			if _, err := m.User(ctx); err != nil {
				t.Error(err)
			}
			m.hooked.hook(nil, nil)
			err = m.SendNewEmail(ctx, u, address, "/e")
			calls = counted(m.hooked.made())
		})
		r.Header.Del("Date")
		return fmt.Sprint(err, r.Status, r.Header, r.Text, calls, m.Core.PasswordHashes()-before)
	}
	want := ask("free@app.example")
	m.wantMails(t, "free", "new-address to free@app.example")
	for name, do := range accountStates() {
		var a auth.Account
		do(&a)
		if got := ask(strings.ToUpper(name) + "@app.example"); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		mails := m.box.take()
		if got := labels(mails); a.Disabled && len(got) != 0 || !a.Disabled && !slices.Equal(got, []string{"address-taken to " + name + "@app.example"}) {
			t.Errorf("%s: %v", name, got)
		}
		for _, mail := range mails {
			if !mail.Link.IsZero() || mail.User.AuthAccount().Username != name {
				t.Errorf("%s: %+v", name, mail)
			}
		}
	}
	if got := ask("mover@app.example"); got != want {
		t.Errorf("given up: %s, want %s", got, want)
	}
	m.wantMails(t, "given up")
	m.box.err = errDown
	if got := ask("free@app.example"); got != want {
		t.Errorf("the mailer is down: %s, want %s", got, want)
	}
}

// What makes the token void that confirms an address, and what does not.
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
		m.box.take()
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
			t.Errorf("%s: %d ways back are left, %v", what, len(list), err)
		}
	}
}

// A token carries the address that it proves, however requests for two cross; and
// of many confirmations one succeeds.
func TestEmailTokensCross(t *testing.T) {
	t.Parallel()
	for range 20 {
		m := newMailApp(t, nil)
		u, browser := m.susan(t)
		var wg sync.WaitGroup
		for _, address := range []string{"attacker@app.example", "victim@app.example"} {
			wg.Go(func() {
				if err := m.SendNewEmail(t.Context(), u, address, "/e"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		tokens := map[string]string{}
		for _, mail := range m.box.take() {
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
			t.Errorf("%d have won, and it is %s", won.Load(), now.Email)
		}
		// One way back, to the one mail.
		if list, err := m.Store.ListRecords(t.Context(), "email-undo", u.ID); err != nil || len(list) != 1 {
			t.Errorf("%d ways back, %v", len(list), err)
		}
		m.wantMails(t, "changed once", "address-changed to susan@app.example")
	}
}

// An address that was never proved may be a stranger's: no link goes there.
func TestNoUndoForUnverified(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u := member(t, m.App, "susan", testapp.Password)
	browser := m.Client(t)
	browser.Login("susan")
	if _, err := m.confirm(browser, m.askEmail(t, browser, "new@app.example")); err != nil {
		t.Fatal(err)
	}
	m.wantMails(t, "an address that was not verified")
	if list, err := m.Store.ListRecords(t.Context(), "email-undo", u.ID); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := m.Register(t.Context(), auth.Registration{Username: "x", Email: u.Email, Password: resetTo}); err != nil {
		t.Errorf("the address is kept: %v", err)
	}
}

// Nobody else gets an address that can be gone back to, until it cannot.
func TestOldAddressIsKept(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"72 hours", "undone", "closed"} {
		m := newMailApp(t, requireVerified)
		u, browser := m.susan(t)
		undo := m.changeEmail(t, browser, "new@app.example")
		member(t, m.App, "mike", "", verified)
		mike := m.Client(t)
		mike.Login("mike")
		mikes := stored(t, m.App, find(t, m.App, "mike").ID)
		registration := auth.Registration{Username: "other", Email: "Susan@APP.example", Password: resetTo}
		m.hooked.hook(nil, nil)
		if _, err := m.Register(t.Context(), registration); !errors.Is(err, auth.ErrEmailTaken) {
			t.Errorf("Register: %v", err)
		}
		if err := m.RegisterByMail(t.Context(), auth.Registration{Username: "another", Email: u.Email, Password: resetTo}, ""); err != nil {
			t.Errorf("RegisterByMail: %v", err)
		}
		if err := m.SendNewEmail(t.Context(), mikes, u.Email, "/e"); err != nil {
			t.Errorf("SendNewEmail: %v", err)
		}
		m.wantMails(t, "for a kept address")
		if slices.Contains(m.hooked.made(), "CreateUser") {
			t.Error("somebody had the address for a moment")
		}
		for _, name := range []string{"other", "another"} {
			if _, err := m.Store.FindUser(t.Context(), name); !errors.Is(err, auth.ErrUserNotFound) {
				t.Errorf("there is an account %s: %v", name, err)
			}
		}
		switch end {
		case "72 hours":
			m.Clock.Advance(72*time.Hour - time.Microsecond)
			if _, err := m.Register(t.Context(), registration); !errors.Is(err, auth.ErrEmailTaken) {
				t.Errorf("Register just before: %v", err)
			}
			m.Clock.Advance(time.Microsecond)
			if _, _, err := m.CheckUndoToken(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("after 72 hours: %v", err)
			}
		case "undone":
			if _, err := m.UndoEmail(t.Context(), undo); err != nil {
				t.Fatal(err)
			}
			// It is the account's: the other one is free at once.
			registration.Email = "new@app.example"
		case "closed":
			if err := m.CloseAccount(t.Context(), stored(t, m.App, u.ID)); err != nil {
				t.Fatal(err)
			}
			if _, err := m.UndoEmail(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("of a closed account: %v", err)
			}
		}
		if _, err := m.Register(t.Context(), registration); err != nil {
			t.Errorf("%s: %v", end, err)
		}
	}
	// The account itself may go back; and for an address that it gives up once more
	// the time begins anew.
	m := newMailApp(t, nil)
	u, browser := m.susan(t)
	m.changeEmail(t, browser, "new@app.example")
	m.changeEmail(t, browser, "susan@app.example")
	if now := stored(t, m.App, u.ID); now.Email != "susan@app.example" {
		t.Errorf("%+v", now)
	}
	m.Clock.Advance(71 * time.Hour)
	browser.Login("susan")
	m.changeEmail(t, browser, "newer@app.example")
	m.Clock.Advance(71 * time.Hour)
	browser.Login("susan")
	if _, err := m.Register(t.Context(), auth.Registration{Username: "x", Email: u.Email, Password: resetTo}); !errors.Is(err, auth.ErrEmailTaken) {
		t.Errorf("given up twice: %v", err)
	}
	// A confirmation that was asked for before the address was somebody's, or kept.
	member(t, m.App, "mike", "", verified)
	mike := m.Client(t)
	mike.Login("mike")
	token := m.askEmail(t, mike, "third@app.example")
	m.changeEmail(t, browser, "third@app.example")
	m.changeEmail(t, browser, "fourth@app.example")
	if _, err := m.confirm(mike, token); !errors.Is(err, auth.ErrEmailTaken) {
		t.Errorf("a kept address: %v", err)
	}
}

func find(t *testing.T, app *testapp.App, name string) *testapp.User {
	t.Helper()
	u, err := app.Store.FindUser(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// An address that is given up while somebody registers it is the old owner's, and
// what was registered is gone.
func TestRegisterCrossesChange(t *testing.T) {
	t.Parallel()
	for _, deletes := range []bool{false, true} {
		box := &outbox{}
		clock := testapp.NewClock()
		hooked := &hookedStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
		var store testapp.Store = hooked
		if deletes {
			store = deletingStore{hooked}
		}
		app := testapp.New(t, store, clock, func(c *auth.Config) {
			c.HashParams, c.Mailer = hashParams(7168, 5, 1, 16, 32), box
		})
		m := &mailApp{newInsider(app), hooked, box}
		u, browser := m.susan(t)
		token := m.askEmail(t, browser, "new@app.example")
		undo := ""
		hooked.hook(on("CreateUser", func() error { // the address was looked at
			_, err := m.confirm(browser, token)
			undo = m.token(t, auth.MailAddressChanged, u.Email)
			return err
		}), nil)
		_, err := m.Register(t.Context(), auth.Registration{Username: "thief", Email: u.Email, Password: resetTo})
		hooked.hook(nil, nil)
		if !errors.Is(err, auth.ErrEmailTaken) {
			t.Errorf("%v", err)
		}
		if found, err := m.Store.FindUser(t.Context(), u.Email); !errors.Is(err, auth.ErrUserNotFound) {
			t.Errorf("the address is %v's, %v", found, err)
		}
		if found, err := m.Store.FindUser(t.Context(), "thief"); !errors.Is(err, auth.ErrUserNotFound) {
			t.Errorf("there is %v, %v", found, err)
		}
		if got, err := m.UndoEmail(t.Context(), undo); err != nil || got.Email != u.Email {
			t.Errorf("%v, %v", got, err)
		}
	}
}

// A deletingStore can delete users, too.
type deletingStore struct{ *hookedStore }

func (s deletingStore) DeleteUser(ctx context.Context, id string) error {
	d, ok := s.Store.(auth.UserDeleter)
	if !ok {
		return errors.New("no DeleteUser")
	}
	return s.do("DeleteUser", func() error { return d.DeleteUser(ctx, id) })
}

// Whatever the thief of an account changes, its owner gets it back.
func TestUndoEmail(t *testing.T) {
	t.Parallel()
	for what, meanwhile := range map[string]func(t *testing.T, m *mailApp, u *testapp.User, thief *testapp.Client){
		"nothing": func(*testing.T, *mailApp, *testapp.User, *testapp.Client) {},
		"password": func(t *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) {
			if err := m.SetPassword(t.Context(), stored(t, m.App, u.ID), resetTo); err != nil {
				t.Error(err)
			}
		},
		"reset": func(t *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) {
			if _, err := m.ResetPassword(t.Context(), resetToken(t, m.App, stored(t, m.App, u.ID)), resetTo); err != nil {
				t.Error(err)
			}
		},
		"logout everywhere": func(t *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) {
			if err := m.LogoutEverywhere(t.Context(), stored(t, m.App, u.ID)); err != nil {
				t.Error(err)
			}
		},
		"address": func(t *testing.T, m *mailApp, _ *testapp.User, thief *testapp.Client) {
			m.changeEmail(t, thief, "thief2@app.example")
		},
		"address, by the application": func(t *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Email, a.EmailVerified = "x@app.example", false })
		},
		"71:59:59.999": func(_ *testing.T, m *mailApp, _ *testapp.User, _ *testapp.Client) {
			m.Clock.Advance(72*time.Hour - time.Millisecond)
		},
		"a clock that was put back": func(_ *testing.T, m *mailApp, _ *testapp.User, _ *testapp.Client) {
			m.Clock.Advance(-time.Hour)
		},
		"disabled": func(t *testing.T, m *mailApp, u *testapp.User, _ *testapp.Client) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Disabled = true })
		},
	} {
		m := newMailApp(t, withBearer)
		u, thief := m.susan(t)
		undo := m.changeEmail(t, thief, "thief@app.example")
		device := remembered(t, m.App, "susan")
		api := newToken(t, m.App, stored(t, m.App, u.ID))
		meanwhile(t, m, u, thief)
		before := stored(t, m.App, u.ID)
		pending, verify := "", resetToken(t, m.App, enabled(before))
		if err := m.SendNewEmail(t.Context(), enabled(before), "pending@app.example", "/e"); err == nil {
			mails := m.box.take()
			pending = tokenIn(t, mails[len(mails)-1])
		}
		m.box.take()
		m.Events()
		for range 2 {
			if got, address, err := m.CheckUndoToken(t.Context(), undo); err != nil || got.ID != u.ID || address != u.Email {
				t.Errorf("%s: %v, %q, %v", what, got, address, err)
			}
		}
		var got *testapp.User
		var err error
		owner := m.Client(t) // nobody
		m.in(owner, func(ctx context.Context) { got, err = m.UndoEmail(ctx, undo) })
		now := stored(t, m.App, u.ID)
		if err != nil || got.Email != u.Email || now.Email != u.Email || !now.EmailVerified || !now.PasswordHash.IsZero() ||
			now.Stamp.Equal(before.Stamp) || now.Disabled != before.Disabled || len(owner.Cookies) != 0 {
			t.Errorf("%s: %+v, %v; stored %+v", what, got, err, now)
			continue
		}
		m.wantMails(t, what, "address-undone to "+before.Email)
		if e := m.Events(); len(e) != 1 || e[0].Kind != auth.EventEmailUndone || e[0].UserID != u.ID {
			t.Errorf("%s: %v", what, e)
		}
		change(t, m.App, u.ID, func(a *auth.Account) { a.Disabled = false })
		gone(t, what, thief, device)
		if who := bearer(m.App, t, api); who != "nobody" {
			t.Errorf("%s: the API token is %q", what, who)
		}
		if usable(t, m.App, verify) {
			t.Errorf("%s: the thief's reset is good", what)
		}
		for _, kind := range []string{"session", "remember", "api-token", "email-undo"} {
			if list, err := m.Store.ListRecords(t.Context(), kind, u.ID); err != nil || len(list) != 0 {
				t.Errorf("%s: %d records of kind %s, %v", what, len(list), kind, err)
			}
		}
		thief.Login("susan") // in the owner's stead, even
		if _, err := m.confirm(thief, pending); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: the pending change: %v", what, err)
		}
		for range 2 {
			if _, err := m.UndoEmail(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s: a second time: %v", what, err)
			}
		}
		// And the owner sets a new password.
		if !before.Disabled {
			if _, err := m.ResetPassword(t.Context(), resetToken(t, m.App, got), "the owner's own one"); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if strings.Contains(m.Logs(), undo) {
			t.Errorf("%s: the token is in the log", what)
		}
	}
}

// enabled is a copy that may have tokens.
func enabled(u *testapp.User) *testapp.User {
	other := *u
	other.Disabled = false
	return &other
}

func TestUndoEmailRefused(t *testing.T) {
	t.Parallel()
	for what, meanwhile := range map[string]func(t *testing.T, m *mailApp, u *testapp.User){
		"72 hours": func(_ *testing.T, m *mailApp, _ *testapp.User) { m.Clock.Advance(72 * time.Hour) },
		"deleted":  func(t *testing.T, m *mailApp, u *testapp.User) { deleteUser(t, m.App, u.ID) },
		"closed": func(t *testing.T, m *mailApp, u *testapp.User) {
			if err := m.CloseAccount(t.Context(), stored(t, m.App, u.ID)); err != nil {
				t.Error(err)
			}
		},
		"emptied": func(t *testing.T, m *mailApp, u *testapp.User) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Email, a.Disabled = "", true })
		},
	} {
		m := newMailApp(t, nil)
		u, browser := m.susan(t)
		undo := m.changeEmail(t, browser, "new@app.example")
		meanwhile(t, m, u)
		before, _ := m.Store.LoadUser(t.Context(), u.ID)
		_, _, checked := m.CheckUndoToken(t.Context(), undo)
		_, err := m.UndoEmail(t.Context(), undo)
		if !errors.Is(checked, auth.ErrInvalidToken) || !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: %v, %v", what, checked, err)
		}
		if after, _ := m.Store.LoadUser(t.Context(), u.ID); before != nil && after.Version != before.Version {
			t.Errorf("%s: changed", what)
		}
	}
	// Whom the application has given the address keeps it; the way back stays open.
	m := newMailApp(t, nil)
	u, browser := m.susan(t)
	undo := m.changeEmail(t, browser, "new@app.example")
	other := member(t, m.App, "other", "", func(a *auth.Account) { a.Email = u.Email })
	for range 2 {
		if _, err := m.UndoEmail(t.Context(), undo); !errors.Is(err, auth.ErrEmailTaken) {
			t.Errorf("taken: %v", err)
		}
	}
	change(t, m.App, other.ID, func(a *auth.Account) { a.Email = "" })
	if _, err := m.UndoEmail(t.Context(), undo); err != nil {
		t.Errorf("free again: %v", err)
	}
}

// What happens to the account between the look at the record and its use counts.
func TestUndoCrossesEnd(t *testing.T) {
	t.Parallel()
	for what, do := range map[string]func(m *mailApp, u *testapp.User){
		"deleted": func(m *mailApp, u *testapp.User) { deleteUser(t, m.App, u.ID) },
		"closed": func(m *mailApp, u *testapp.User) {
			if err := m.CloseAccount(t.Context(), stored(t, m.App, u.ID)); err != nil {
				t.Error(err)
			}
		},
	} {
		m := newMailApp(t, nil)
		u, browser := m.susan(t)
		undo := m.changeEmail(t, browser, "new@app.example")
		m.hooked.hook(on("UpdateAccount", func() error {
			m.hooked.hook(nil, nil)
			do(m, u)
			return nil
		}), nil)
		if _, err := m.UndoEmail(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := m.Store.FindUser(t.Context(), u.Email); !errors.Is(err, auth.ErrUserNotFound) {
			t.Errorf("%s: the address is somebody's: %v", what, err)
		}
	}
	// The owner goes back while the thief does.
	for k := 1; ; k++ {
		m := newMailApp(t, nil)
		u, thief := m.susan(t)
		owners := m.changeEmail(t, thief, "b@evil.example")
		thiefs := m.changeEmail(t, thief, "c@evil.example")
		n := 0
		m.hooked.hook(func(string) error {
			if n++; n == k {
				if _, err := m.UndoEmail(t.Context(), owners); err != nil {
					t.Errorf("call %d: the owner: %v", k, err)
				}
			}
			return nil
		}, nil)
		_, err := m.UndoEmail(t.Context(), thiefs)
		m.hooked.hook(nil, nil)
		if now := stored(t, m.App, u.ID); n >= k && now.Email != u.Email || err != nil && !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("call %d: %v, and it is %s", k, err, now.Email)
		}
		if n < k {
			break
		}
	}
	// Who is back already is not told about it.
	m := newMailApp(t, nil)
	_, browser := m.susan(t)
	undo := m.changeEmail(t, browser, "new@app.example")
	m.changeEmail(t, browser, "susan@app.example")
	if _, err := m.UndoEmail(t.Context(), undo); err != nil {
		t.Error(err)
	}
	m.wantMails(t, "back already")
}

func TestUndoParallelRedemptions(t *testing.T) {
	t.Parallel()
	// A second use at each step of the first.
	for k := 1; ; k++ {
		m := newMailApp(t, nil)
		u, browser := m.susan(t)
		undo := m.changeEmail(t, browser, "new@app.example")
		before := stored(t, m.App, u.ID).Version
		n := 0
		second := auth.ErrInvalidToken
		m.hooked.hook(func(string) error {
			if n++; n == k {
				_, second = m.UndoEmail(t.Context(), undo)
			}
			return nil
		}, nil)
		_, first := m.UndoEmail(t.Context(), undo)
		m.hooked.hook(nil, nil)
		if (first == nil) == (second == nil) || first != nil && !errors.Is(first, auth.ErrInvalidToken) || second != nil && !errors.Is(second, auth.ErrInvalidToken) {
			t.Errorf("at call %d: %v, %v", k, first, second)
		}
		if now := stored(t, m.App, u.ID); now.Version != before+1 || now.Email != u.Email {
			t.Errorf("at call %d: %+v", k, now)
		}
		if n < k {
			break
		}
	}
	m := newMailApp(t, nil)
	u, browser := m.susan(t)
	undo := m.changeEmail(t, browser, "new@app.example")
	before := stored(t, m.App, u.ID).Version
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch _, err := m.UndoEmail(t.Context(), undo); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, auth.ErrInvalidToken):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if now := stored(t, m.App, u.ID); won.Load() != 1 || now.Version != before+1 || now.Email != u.Email {
		t.Errorf("%d have won, and it is %+v", won.Load(), now)
	}
}

// A thief changes the address twice, to have a link to go back, too. The owner's
// has the last word, whichever is used first, and both at the same moment.
func TestUndoChain(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"owner", "owner, thief", "thief, owner", "thief, owner, thief", "both"} {
		rounds := 1
		if order == "both" {
			rounds = 60
		}
		for range rounds {
			m := newMailApp(t, nil)
			u, thief := m.susan(t)
			owners := m.changeEmail(t, thief, "b@evil.example")
			thiefs := m.changeEmail(t, thief, "c@evil.example")
			third := m.changeEmail(t, thief, "b@evil.example") // round in a circle
			undo := func(who string) {
				token := map[string]string{"owner": owners, "thief": thiefs}[who]
				if _, err := m.UndoEmail(t.Context(), token); err != nil && (who == "owner" || !errors.Is(err, auth.ErrInvalidToken)) {
					t.Errorf("%s: %s: %v", order, who, err)
				}
			}
			if order == "both" {
				var wg sync.WaitGroup
				for _, who := range []string{"thief", "owner"} {
					wg.Go(func() { undo(who) })
				}
				wg.Wait()
			} else {
				for who := range strings.SplitSeq(order, ", ") {
					undo(who)
				}
			}
			now := stored(t, m.App, u.ID)
			if now.Email != u.Email || !now.PasswordHash.IsZero() {
				t.Fatalf("%s: it is %s", order, now.Email)
			}
			// Nor later, when the owner has moved.
			thief.Login("susan")
			moved := m.changeEmail(t, thief, "owners-new@app.example")
			for name, token := range map[string]string{"the thief's": thiefs, "the third": third, "the owner's, used": owners} {
				if _, err := m.UndoEmail(t.Context(), token); !errors.Is(err, auth.ErrInvalidToken) {
					t.Errorf("%s: %s, later: %v", order, name, err)
				}
			}
			if now := stored(t, m.App, u.ID); now.Email != "owners-new@app.example" {
				t.Errorf("%s: later it is %s", order, now.Email)
			}
			if _, err := m.UndoEmail(t.Context(), moved); err != nil {
				t.Errorf("%s: the owner's next way back: %v", order, err)
			}
		}
	}
}

// The thief changes the address once more while the owner goes back: at every step
// of it.
func TestUndoCrossesChange(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ {
		m := newMailApp(t, nil)
		u, thief := m.susan(t)
		undo := m.changeEmail(t, thief, "b@evil.example")
		second := m.askEmail(t, thief, "c@evil.example")
		n, thiefs := 0, ""
		m.hooked.hook(func(string) error {
			if n++; n == k {
				if _, err := m.confirm(thief, second); err == nil {
					for _, mail := range m.box.take() {
						if mail.To == "b@evil.example" && mail.Kind == auth.MailAddressChanged {
							thiefs = tokenIn(t, mail)
						}
					}
				}
			}
			return nil
		}, nil)
		_, err := m.UndoEmail(t.Context(), undo)
		m.hooked.hook(nil, nil)
		if now := stored(t, m.App, u.ID); err != nil || now.Email != u.Email {
			t.Errorf("call %d: %v, and it is %s", k, err, now.Email)
		}
		if thiefs != "" {
			if _, err := m.UndoEmail(t.Context(), thiefs); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("call %d: the thief goes back in turn: %v", k, err)
			}
			thief.Login("susan")
			m.changeEmail(t, thief, "owners-new@app.example")
			if _, err := m.UndoEmail(t.Context(), thiefs); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("call %d: the thief goes back later: %v", k, err)
			}
		}
		if n < k {
			if k < 6 {
				t.Errorf("%d calls", n)
			}
			break
		}
	}
}

// The same at the same moment.
func TestUndoRacesChange(t *testing.T) {
	t.Parallel()
	for range 60 {
		m := newMailApp(t, nil)
		u, thief := m.susan(t)
		undo := m.changeEmail(t, thief, "b@evil.example")
		second := m.askEmail(t, thief, "c@evil.example")
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := m.UndoEmail(t.Context(), undo); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := m.confirm(thief, second); err != nil && !errors.Is(err, auth.ErrInvalidToken) && !errors.Is(err, auth.ErrNotLoggedIn) {
				t.Error(err)
			}
		})
		wg.Wait()
		for _, mail := range m.box.take() {
			if mail.Kind == auth.MailAddressChanged {
				if _, err := m.UndoEmail(t.Context(), tokenIn(t, mail)); !errors.Is(err, auth.ErrInvalidToken) {
					t.Errorf("the thief goes back in turn: %v", err)
				}
			}
		}
		if now := stored(t, m.App, u.ID); now.Email != u.Email {
			t.Fatalf("it is %s", now.Email)
		}
		gone(t, "undone", thief)
	}
}

// Ways back that rank below the address that the account has lead nowhere; those
// of other users, and above, stay.
func TestUndoRanks(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u, browser := m.susan(t)
	member(t, m.App, "mike", "", verified)
	mike := m.Client(t)
	mike.Login("mike")
	mikes := m.changeEmail(t, mike, "mikes@app.example")
	undo := func(token, want string) {
		t.Helper()
		got, err := m.UndoEmail(t.Context(), token)
		if want == "" {
			if !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%v, %v", got, err)
			}
			return
		}
		if err != nil || got.Email != want {
			t.Errorf("%v, %v, want %s", got, err, want)
		}
		browser.Login("susan")
	}
	a := m.changeEmail(t, browser, "b@app.example")
	b := m.changeEmail(t, browser, "c@app.example")
	c := m.changeEmail(t, browser, "d@app.example")
	undo(b, "b@app.example") // d → b
	undo(c, "")
	undo(a, "susan@app.example") // and from there
	a = m.changeEmail(t, browser, "b@app.example")
	b = m.changeEmail(t, browser, "susan@app.example") // by hand
	undo(b, "")
	again := m.changeEmail(t, browser, "e@app.example")
	undo(b, "")
	// One of two ways back to the same address; a failure spends neither.
	m.hooked.hook(on("UpdateAccount", func() error { return errDown }), nil)
	if _, err := m.UndoEmail(t.Context(), again); !errors.Is(err, errDown) {
		t.Error(err)
	}
	m.hooked.hook(nil, nil)
	undo(again, "susan@app.example")
	undo(a, "")
	a = m.changeEmail(t, browser, "b@app.example")
	m.changeEmail(t, browser, "susan@app.example")
	again = m.changeEmail(t, browser, "e@app.example")
	if got, err := m.UndoEmail(t.Context(), mikes); err != nil || got.Username != "mike" {
		t.Errorf("mike's: %v, %v", got, err)
	}
	m.Clock.Advance(71 * time.Hour)
	browser.Login("susan")
	e := m.changeEmail(t, browser, "f@app.example")
	m.Clock.Advance(2 * time.Hour)
	undo(a, "")
	undo(again, "")
	undo(e, "e@app.example")
	if now := stored(t, m.App, u.ID); now.Email != "e@app.example" {
		t.Errorf("%+v", now)
	}
}

// The request's own login ends, too, when it is the user's, and no other.
func TestUndoEndsOwnLogin(t *testing.T) {
	t.Parallel()
	for _, as := range []string{"susan", "mike", "nobody"} {
		m := newMailApp(t, nil)
		_, browser := m.susan(t)
		member(t, m.App, "mike", "")
		undo := m.changeEmail(t, browser, "new@app.example")
		c := m.Client(t)
		if as != "nobody" {
			c.Login(as)
		}
		m.in(c, func(ctx context.Context) {
			if _, err := m.UndoEmail(ctx, undo); err != nil {
				t.Error(err)
			}
			if who, ok := m.CurrentUser(ctx); ok != (as == "mike") {
				t.Errorf("as %s it is %v", as, who)
			}
		})
		want := map[string]string{"susan": "nobody", "mike": "mike", "nobody": "nobody"}[as]
		if who := c.Who(); who != want || as == "susan" && len(c.Cookies) != 0 {
			t.Errorf("as %s: %q, %v", as, who, c.Cookies)
		}
	}
}

// A failure at any call of ConfirmEmail leaves the old address and a good token, or
// the new address and a way back that was mailed.
func TestConfirmEmailIsAllOrNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range failures() {
		for k := 1; ; k++ {
			m := newMailApp(t, nil)
			u, browser := m.susan(t)
			token := m.askEmail(t, browser, "new@app.example")
			var err error
			failed := ""
			m.in(browser, func(ctx context.Context) {
				ctx, end := m.failing(ctx, mode, k)
				_, err = m.ConfirmEmail(ctx, token, "/undo")
				failed = end()
			})
			now := stored(t, m.App, u.ID)
			mails := m.box.take()
			what := fmt.Sprintf("%s, call %d (%s): %v; it is %s, and the mails are %v", mode, k, failed, err, now.Email, labels(mails))
			list, listErr := m.Store.ListRecords(t.Context(), "email-undo", u.ID)
			if listErr != nil {
				t.Fatal(listErr)
			}
			switch {
			case now.Email == u.Email:
				if err == nil || len(mails) != 0 || mode != "store is gone from then on" && len(list) != 0 {
					t.Errorf("%s, and %d ways back", what, len(list))
				}
				browser.Login("susan")
				if _, err := m.confirm(browser, token); err != nil {
					t.Errorf("%s, and once more: %v", what, err)
				}
				if undo := m.token(t, auth.MailAddressChanged, u.Email); undo != "" {
					if _, err := m.UndoEmail(t.Context(), undo); err != nil {
						t.Errorf("%s, and back: %v", what, err)
					}
				}
			case len(mails) == 0 && mode == "store is gone from then on" && err != nil:
				// Not even what has become of it can be found out.
			case len(mails) != 1 || len(list) != 1:
				t.Errorf("%s, and %d ways back", what, len(list))
			default:
				if _, err := m.UndoEmail(t.Context(), tokenIn(t, mails[0])); err != nil {
					t.Errorf("%s, and back: %v", what, err)
				}
			}
			if failed == "" {
				if err != nil || k < 8 {
					t.Error(what)
				}
				break
			}
		}
	}
}

// A failure at any call of UndoEmail leaves a token that is good, at once or, if
// the store is gone, in a minute, unless it has done its work.
func TestUndoEmailIsAllOrNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range failures() {
		for k := 1; ; k++ {
			m := newMailApp(t, nil)
			u, thief := m.susan(t)
			undo := m.changeEmail(t, thief, "b@evil.example")
			thiefs := m.changeEmail(t, thief, "c@evil.example")
			ctx, end := m.failing(t.Context(), mode, k)
			_, err := m.UndoEmail(ctx, undo)
			failed := end()
			now := stored(t, m.App, u.ID)
			what := fmt.Sprintf("%s, call %d (%s): %v; it is %s", mode, k, failed, err, now.Email)
			if err == nil && now.Email != u.Email || errors.Is(err, auth.ErrInvalidToken) {
				t.Error(what)
			}
			if err != nil {
				if mode == "store is gone from then on" {
					m.Clock.Advance(time.Minute)
				}
				if got, err := m.UndoEmail(t.Context(), undo); err != nil || got.Email != u.Email {
					t.Errorf("%s, and once more: %v, %v", what, got, err)
				}
			} else if _, err := m.UndoEmail(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s, and once more: %v", what, err)
			}
			if _, err := m.UndoEmail(t.Context(), thiefs); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s, and the thief: %v", what, err)
			}
			if now := stored(t, m.App, u.ID); now.Email != u.Email || !now.PasswordHash.IsZero() {
				t.Errorf("%s, and then %s", what, now.Email)
			}
			if who := thief.Who(); who != "nobody" {
				t.Errorf("%s, and the thief is %q", what, who)
			}
			if failed == "" {
				if err != nil || k < 8 {
					t.Error(what)
				}
				break
			}
		}
	}
}

// A damaged record, or one of another kind, is no way back.
func TestUndoDamaged(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u, browser := m.susan(t)
	undo := m.changeEmail(t, browser, "new@app.example")
	list, err := m.Store.ListRecords(t.Context(), "email-undo", u.ID)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if strings.Contains(list[0].Key+string(list[0].Data), undo) {
		t.Error("the token is in the store")
	}
	good := slices.Clone(list[0].Data)
	r := list[0]
	for n := range good {
		r.Data = good[:n]
		if err := m.Store.UpdateRecord(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		r.Version++
		// A shorter list of what ranks above is one that was written so.
		if got, _, err := m.CheckUndoToken(t.Context(), undo); got != nil || !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%d bytes: %v, %v", n, got, err)
		}
		if _, err := m.UndoEmail(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%d bytes: %v", n, err)
		}
		// Nor does it keep anybody from changing the address.
		if n == 0 {
			m.changeEmail(t, browser, "newer@app.example")
		}
	}
}

// A change of address does not need a browser: who comes with Basic may, and has no
// login to be kept.
func TestConfirmEmailByLoader(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, func(c *auth.Config) { c.RequestLoaders = []auth.RequestLoader{byHeader()} })
	u, browser := m.susan(t)
	m.Mux.HandleFunc("POST /confirm", func(w http.ResponseWriter, r *http.Request) {
		if _, err := m.ConfirmEmail(r.Context(), r.PostFormValue("token"), "/undo"); err != nil {
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
