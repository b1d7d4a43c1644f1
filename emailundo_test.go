package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// An account has at most ten undo links, so that their number does not grow without
// limit. The first ones stay good.
func TestAtMostTenUndoLinks(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, func(c *auth.Config) { c.Limits.Mails = -1 })
	_, c := m.susan(t)
	first := ""
	for i := range 10 {
		if _, err := m.confirm(c, m.askEmail(t, c, fmt.Sprintf("new%d@app.example", i))); err != nil {
			t.Fatal(i, err)
		}
		if first == "" {
			first = m.token(t, auth.MailAddressChanged, "susan@app.example")
		}
	}
	_, err := m.confirm(c, m.askEmail(t, c, "new10@app.example"))
	if limited := (*auth.RateLimitError)(nil); !errors.As(err, &limited) || limited.RetryAfter < 72*time.Hour || limited.RetryAfter > 73*time.Hour {
		t.Errorf("the eleventh: %v", err)
	}
	if u, err := m.UndoEmailChange(t.Context(), first); err != nil || u.Email != "susan@app.example" {
		t.Errorf("the first undo link: %v, %v", u, err)
	}
}

// An address that was never verified may be an attacker's, so no undo link is sent
// there.
func TestNoUndoLinkToUnverifiedAddress(t *testing.T) {
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

// While an undo link is good, no other account can take the old address.
func TestOldAddressIsReserved(t *testing.T) {
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
		m.Spy().Reset()
		if _, err := m.Register(t.Context(), registration); !errors.Is(err, auth.ErrEmailTaken) {
			t.Errorf("Register: %v", err)
		}
		if err := m.hiding(t).registerHidden(t.Context(), auth.Registration{Username: "another", Email: u.Email, Password: resetTo}); err != nil {
			t.Errorf("Register, with HideAccounts: %v", err)
		}
		if err := m.SendEmailChange(t.Context(), mikes, u.Email); err != nil {
			t.Errorf("SendEmailChange: %v", err)
		}
		m.wantMails(t, "for a kept address")
		if slices.Contains(m.Spy().Calls(), "CreateUser") {
			t.Error("for a moment the new account had the address")
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
			if _, _, err := m.CheckEmailUndo(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("after 72 hours: %v", err)
			}
		case "undone":
			if _, err := m.UndoEmailChange(t.Context(), undo); err != nil {
				t.Fatal(err)
			}
			// The account has its old address back, so the other one is free at once.
			registration.Email = "new@app.example"
		case "closed":
			if err := m.CloseAccount(t.Context(), stored(t, m.App, u.ID)); err != nil {
				t.Fatal(err)
			}
			if _, err := m.UndoEmailChange(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("of a closed account: %v", err)
			}
		}
		if _, err := m.Register(t.Context(), registration); err != nil {
			t.Errorf("%s: %v", end, err)
		}
	}
	// The account itself may return to the address. If it gives the address up again,
	// the time starts again.
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
	// The confirmation mail was sent before the address was taken or reserved.
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

// Whatever the thief of an account changes, the owner gets it back with the undo link.
func TestUndoEmailChange(t *testing.T) {
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
		if err := m.SendEmailChange(t.Context(), enabled(before), "pending@app.example"); err == nil {
			mails := m.box.Take()
			pending = tokenIn(t, mails[len(mails)-1])
		}
		m.box.Take()
		m.Events()
		for range 2 {
			if got, address, err := m.CheckEmailUndo(t.Context(), undo); err != nil || got.ID != u.ID || address != u.Email {
				t.Errorf("%s: %v, %q, %v", what, got, address, err)
			}
		}
		var got *testapp.User
		var err error
		owner := m.Client(t) // an anonymous browser
		m.In(owner, func(ctx context.Context) { got, err = m.UndoEmailChange(ctx, undo) })
		now := stored(t, m.App, u.ID)
		if err != nil || got.Email != u.Email || now.Email != u.Email || !now.EmailVerified || !now.PasswordHash.IsZero() ||
			now.Stamp.Equal(before.Stamp) || now.Disabled != before.Disabled || len(owner.Cookies) != 0 {
			t.Errorf("%s: %+v, %v; stored %+v", what, got, err, now)
			continue
		}
		m.wantMails(t, what, "address-undone to "+before.Email)
		if e := m.Events(); len(e) != 1 || e[0].Kind != auth.EventEmailChangeUndone || e[0].UserID != u.ID {
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
		thief.Login("susan") // even if the owner logs in there
		if _, err := m.confirm(thief, pending); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: the pending change: %v", what, err)
		}
		for range 2 {
			if _, err := m.UndoEmailChange(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s: a second time: %v", what, err)
			}
		}
		// The owner sets a new password.
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

// enabled returns a copy of the user for which tokens can be made.
func enabled(u *testapp.User) *testapp.User {
	other := *u
	other.Disabled = false
	return &other
}

func TestUndoEmailChangeRefused(t *testing.T) {
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
		_, _, checked := m.CheckEmailUndo(t.Context(), undo)
		_, err := m.UndoEmailChange(t.Context(), undo)
		if !errors.Is(checked, auth.ErrInvalidToken) || !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: %v, %v", what, checked, err)
		}
		if after, _ := m.Store.LoadUser(t.Context(), u.ID); before != nil && after.Version != before.Version {
			t.Errorf("%s: changed", what)
		}
	}
	// If the application gave the old address to another account, that account keeps
	// it. The undo link stays good.
	m := newMailApp(t, nil)
	u, browser := m.susan(t)
	undo := m.changeEmail(t, browser, "new@app.example")
	other := member(t, m.App, "other", "", func(a *auth.Account) { a.Email = u.Email })
	for range 2 {
		if _, err := m.UndoEmailChange(t.Context(), undo); !errors.Is(err, auth.ErrEmailTaken) {
			t.Errorf("taken: %v", err)
		}
	}
	change(t, m.App, other.ID, func(a *auth.Account) { a.Email = "" })
	if _, err := m.UndoEmailChange(t.Context(), undo); err != nil {
		t.Errorf("free again: %v", err)
	}
}

// UndoEmailChange notices changes of the account between reading the record and using
// it.
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
		m.Spy().Hook(on("UpdateAccount", func() error {
			m.Spy().Reset()
			do(m, u)
			return nil
		}), nil)
		if _, err := m.UndoEmailChange(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := m.Store.FindUser(t.Context(), u.Email); !errors.Is(err, auth.ErrUserNotFound) {
			t.Errorf("%s: the address is taken: %v", what, err)
		}
	}
	// The owner uses an undo link while the thief uses another one.
	testapp.EachCall(t, 1, func(k int) bool {
		m := newMailApp(t, nil)
		u, thief := m.susan(t)
		owners := m.changeEmail(t, thief, "b@evil.example")
		thiefs := m.changeEmail(t, thief, "c@evil.example")
		crossed := m.Spy().At(k, func() {
			if _, err := m.UndoEmailChange(t.Context(), owners); err != nil {
				t.Errorf("call %d: the owner: %v", k, err)
			}
		})
		_, err := m.UndoEmailChange(t.Context(), thiefs)
		m.Spy().Reset()
		if now := stored(t, m.App, u.ID); crossed() && now.Email != u.Email || err != nil && !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("call %d: %v, and it is %s", k, err, now.Email)
		}
		return crossed()
	})
	// If the account has the old address already, no mail is sent.
	m := newMailApp(t, nil)
	_, browser := m.susan(t)
	undo := m.changeEmail(t, browser, "new@app.example")
	m.changeEmail(t, browser, "susan@app.example")
	if _, err := m.UndoEmailChange(t.Context(), undo); err != nil {
		t.Error(err)
	}
	m.wantMails(t, "back already")
}

func TestUndoParallelRedemptions(t *testing.T) {
	t.Parallel()
	// The link is used a second time at each step of the first use.
	testapp.EachCall(t, 1, func(k int) bool {
		m := newMailApp(t, nil)
		u, browser := m.susan(t)
		undo := m.changeEmail(t, browser, "new@app.example")
		before := stored(t, m.App, u.ID).Version
		second := auth.ErrInvalidToken
		crossed := m.Spy().At(k, func() { _, second = m.UndoEmailChange(t.Context(), undo) })
		_, first := m.UndoEmailChange(t.Context(), undo)
		m.Spy().Reset()
		if (first == nil) == (second == nil) || first != nil && !errors.Is(first, auth.ErrInvalidToken) || second != nil && !errors.Is(second, auth.ErrInvalidToken) {
			t.Errorf("at call %d: %v, %v", k, first, second)
		}
		if now := stored(t, m.App, u.ID); now.Version != before+1 || now.Email != u.Email {
			t.Errorf("at call %d: %+v", k, now)
		}
		return crossed()
	})
	m := newMailApp(t, nil)
	u, browser := m.susan(t)
	undo := m.changeEmail(t, browser, "new@app.example")
	before := stored(t, m.App, u.ID).Version
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch _, err := m.UndoEmailChange(t.Context(), undo); {
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

// The thief changes the address twice, and so gets an undo link, too. The owner's link
// wins, whichever is used first, and also if both are used at the same moment.
func TestUndoChain(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"owner", "owner, thief", "thief, owner", "thief, owner, thief", "both"} {
		rounds := 1
		if order == "both" {
			rounds = testapp.Rounds(t, 20, 60)
		}
		for range rounds {
			m := newMailApp(t, nil)
			u, thief := m.susan(t)
			owners := m.changeEmail(t, thief, "b@evil.example")
			thiefs := m.changeEmail(t, thief, "c@evil.example")
			third := m.changeEmail(t, thief, "b@evil.example") // back to b@evil.example
			undo := func(who string) {
				token := map[string]string{"owner": owners, "thief": thiefs}[who]
				if _, err := m.UndoEmailChange(t.Context(), token); err != nil && (who == "owner" || !errors.Is(err, auth.ErrInvalidToken)) {
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
			// Nor do they work later, when the owner has another address.
			thief.Login("susan")
			moved := m.changeEmail(t, thief, "owners-new@app.example")
			for name, token := range map[string]string{"the thief's": thiefs, "the third": third, "the owner's, used": owners} {
				if _, err := m.UndoEmailChange(t.Context(), token); !errors.Is(err, auth.ErrInvalidToken) {
					t.Errorf("%s: %s, later: %v", order, name, err)
				}
			}
			if now := stored(t, m.App, u.ID); now.Email != "owners-new@app.example" {
				t.Errorf("%s: later it is %s", order, now.Email)
			}
			if _, err := m.UndoEmailChange(t.Context(), moved); err != nil {
				t.Errorf("%s: the owner's next undo link: %v", order, err)
			}
		}
	}
}

// The thief changes the address again at each step of the owner's undo.
func TestUndoCrossesChange(t *testing.T) {
	t.Parallel()
	testapp.EachCall(t, 5, func(k int) bool {
		m := newMailApp(t, nil)
		u, thief := m.susan(t)
		undo := m.changeEmail(t, thief, "b@evil.example")
		second := m.askEmail(t, thief, "c@evil.example")
		thiefs := ""
		crossed := m.Spy().At(k, func() {
			if _, err := m.confirm(thief, second); err == nil {
				for _, mail := range m.box.Take() {
					if mail.To == "b@evil.example" && mail.Kind == auth.MailAddressChanged {
						thiefs = tokenIn(t, mail)
					}
				}
			}
		})
		_, err := m.UndoEmailChange(t.Context(), undo)
		m.Spy().Reset()
		if now := stored(t, m.App, u.ID); err != nil || now.Email != u.Email {
			t.Errorf("call %d: %v, and it is %s", k, err, now.Email)
		}
		if thiefs != "" {
			if _, err := m.UndoEmailChange(t.Context(), thiefs); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("call %d: then the thief uses an undo link: %v", k, err)
			}
			thief.Login("susan")
			m.changeEmail(t, thief, "owners-new@app.example")
			if _, err := m.UndoEmailChange(t.Context(), thiefs); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("call %d: the thief uses an undo link later: %v", k, err)
			}
		}
		return crossed()
	})
}

// The same, with both requests at the same moment.
func TestUndoRacesChange(t *testing.T) {
	t.Parallel()
	for range 60 {
		m := newMailApp(t, nil)
		u, thief := m.susan(t)
		undo := m.changeEmail(t, thief, "b@evil.example")
		second := m.askEmail(t, thief, "c@evil.example")
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := m.UndoEmailChange(t.Context(), undo); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := m.confirm(thief, second); err != nil && !errors.Is(err, auth.ErrInvalidToken) && !errors.Is(err, auth.ErrNotLoggedIn) {
				t.Error(err)
			}
		})
		wg.Wait()
		for _, mail := range m.box.Take() {
			if mail.Kind == auth.MailAddressChanged {
				if _, err := m.UndoEmailChange(t.Context(), tokenIn(t, mail)); !errors.Is(err, auth.ErrInvalidToken) {
					t.Errorf("then the thief uses an undo link: %v", err)
				}
			}
		}
		if now := stored(t, m.App, u.ID); now.Email != u.Email {
			t.Fatalf("it is %s", now.Email)
		}
		gone(t, "undone", thief)
	}
}

// Once the account has an old address again, all undo links that are newer than that
// address are void. Older links and those of other users stay good.
func TestUndoVoidsNewerLinks(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u, browser := m.susan(t)
	member(t, m.App, "mike", "", verified)
	mike := m.Client(t)
	mike.Login("mike")
	mikes := m.changeEmail(t, mike, "mikes@app.example")
	undo := func(token, want string) {
		t.Helper()
		got, err := m.UndoEmailChange(t.Context(), token)
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
	b = m.changeEmail(t, browser, "susan@app.example") // by an ordinary change
	undo(b, "")
	again := m.changeEmail(t, browser, "e@app.example")
	undo(b, "")
	// Two undo links lead to the same address. A failure uses up neither.
	m.Spy().Hook(on("UpdateAccount", func() error { return errStore }), nil)
	if _, err := m.UndoEmailChange(t.Context(), again); !errors.Is(err, errStore) {
		t.Error(err)
	}
	m.Spy().Reset()
	undo(again, "susan@app.example")
	undo(a, "")
	a = m.changeEmail(t, browser, "b@app.example")
	m.changeEmail(t, browser, "susan@app.example")
	again = m.changeEmail(t, browser, "e@app.example")
	if got, err := m.UndoEmailChange(t.Context(), mikes); err != nil || got.Username != "mike" {
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

// The login of the request ends, too, if it is the user's, but not another user's.
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
		m.In(c, func(ctx context.Context) {
			if _, err := m.UndoEmailChange(ctx, undo); err != nil {
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

// If any call of UndoEmailChange fails, the change is undone or the token stays good.
// If the store is gone, the token works again a minute later.
func TestUndoEmailChangeIsAllOrNothing(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 7, func(t *testing.T, f *testapp.Fault) {
		m := newMailApp(t, nil)
		u, thief := m.susan(t)
		undo := m.changeEmail(t, thief, "b@evil.example")
		thiefs := m.changeEmail(t, thief, "c@evil.example")
		err := f.During(t.Context(), m.Spy(), func(ctx context.Context) error {
			_, err := m.UndoEmailChange(ctx, undo)
			return err
		})
		now := stored(t, m.App, u.ID)
		what := fmt.Sprintf("%s; it is %s", f, now.Email)
		if err == nil && now.Email != u.Email || errors.Is(err, auth.ErrInvalidToken) {
			t.Error(what)
		}
		if err != nil {
			if f.Mode == testapp.StoreGone {
				m.Clock.Advance(time.Minute)
			}
			if got, err := m.UndoEmailChange(t.Context(), undo); err != nil || got.Email != u.Email {
				t.Errorf("%s, and once more: %v, %v", what, got, err)
			}
		} else if _, err := m.UndoEmailChange(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s, and once more: %v", what, err)
		}
		if _, err := m.UndoEmailChange(t.Context(), thiefs); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s, and the thief: %v", what, err)
		}
		if now := stored(t, m.App, u.ID); now.Email != u.Email || !now.PasswordHash.IsZero() {
			t.Errorf("%s, and then %s", what, now.Email)
		}
		if who := thief.Who(); who != "nobody" {
			t.Errorf("%s, and the thief is %q", what, who)
		}
	})
}

// A damaged record, or one of another kind, is no undo link.
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
		// A shortened record is refused, too: its list of newer links may be cut.
		if got, _, err := m.CheckEmailUndo(t.Context(), undo); got != nil || !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%d bytes: %v, %v", n, got, err)
		}
		if _, err := m.UndoEmailChange(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%d bytes: %v", n, err)
		}
		// Nor does the damaged record prevent a change of address.
		if n == 0 {
			m.changeEmail(t, browser, "newer@app.example")
		}
	}
}

// If the owner undoes a change of the address, a second factor and recovery codes that an
// attacker has set up since then are gone. Those that the owner had before stay.
func TestUndoRemovesFactors(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		before, since func(*enrollApp, *testing.T)
		factor        bool // the user has it afterwards
		left          int  // recovery codes
	}{
		"a factor": {since: (*enrollApp).enroll},
		"a factor and codes": {since: func(a *enrollApp, t *testing.T) {
			a.enroll(t)
			a.recoveryCodes(t)
		}},
		"nothing": {factor: true, left: 3, before: func(a *enrollApp, t *testing.T) {
			a.enroll(t)
			a.recoveryCodes(t)
		}},
		"codes": {factor: true, before: func(a *enrollApp, t *testing.T) {
			a.enroll(t)
			a.recoveryCodes(t)
		}, since: func(a *enrollApp, t *testing.T) { a.recoveryCodes(t) }},
		"a factor in place of the owner's": {before: (*enrollApp).enroll, since: (*enrollApp).enroll},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := newEnrollApp(t)
			if test.before != nil {
				test.before(a, t)
			}
			a.Clock.Advance(2 * time.Minute)
			undo := a.changeEmail(t, a.own, "attacker@app.example")
			if test.since != nil {
				test.since(a, t)
			}
			a.Clock.Advance(time.Hour)
			a.Events()
			if _, err := a.UndoEmailChange(t.Context(), undo); err != nil {
				t.Fatal(err)
			}
			gone := slices.ContainsFunc(a.Events(), func(e auth.Event) bool { return e.Kind == auth.EventFactorRemoved })
			states, err := a.FactorsOf(t.Context(), a.susan)
			if err != nil || len(states) != 2 || states[0].Enrolled != test.factor || states[1].Left != test.left || gone != (test.since != nil) {
				t.Errorf("the factors are %+v, %v; an event: %v", states, err, gone)
			}
			if _, err := a.ResetPassword(t.Context(), resetToken(t, a.App, stored(t, a.App, a.susan.ID)), testapp.Password); err != nil {
				t.Fatal(err)
			}
			c := a.Client(t)
			to := c.Post("/login", "login", "susan", "password", testapp.Password).Header.Get("Location")
			if strings.HasPrefix(to, "/login/verify") != test.factor {
				t.Errorf("the owner's login goes to %q", to)
			}
		})
	}
}

// An attacker's factor is gone also if the process that undoes the change does not have it.
func TestUndoRemovesFactorTakenOut(t *testing.T) {
	t.Parallel()
	a := newEnrollApp(t)
	undo := a.changeEmail(t, a.own, "attacker@app.example")
	a.enroll(t)
	a.wantOwed(t, "before")
	b := a.otherwise(t)
	if _, err := b.UndoEmailChange(t.Context(), undo); err != nil {
		t.Fatal(err)
	}
	c := b.Client(t)
	if c.Post("/enter", "login", "susan"); c.Who() != "susan" {
		t.Error("the owner still owes the factor")
	}
}

// An attacker sets a factor or a passkey up at the moment in which the owner undoes the change
// of the address. The account has its new Stamp by then, and nothing is stored yet.
func TestUndoCrossesEnrolment(t *testing.T) {
	t.Parallel()
	t.Run("factor", func(t *testing.T) {
		t.Parallel()
		a := newEnrollApp(t)
		f := &crossed{codes: a.factor}
		undo := a.changeEmail(t, a.own, "attacker@app.example")
		b := a.otherwise(t, f)
		b.own = b.Client(t)
		b.own.Login("susan")
		f.stores = func() { // all of the undo
			if _, err := a.UndoEmailChange(context.Background(), undo); err != nil {
				t.Error(err)
			}
		}
		err := b.do(func(ctx context.Context) error { return b.EnrollFactor(ctx, "code", setup) })
		if a.factor.enrolled[a.susan.ID] || !errors.Is(err, auth.ErrConflict) {
			t.Errorf("the attacker's factor is %v, %v", a.factor.enrolled[a.susan.ID], err)
		}
	})
	// The attacker's process stores the factor when the undo has removed it, and has not
	// deleted its name yet.
	t.Run("factor in between", func(t *testing.T) {
		t.Parallel()
		a := newEnrollApp(t)
		f, g := &crossed{codes: a.factor}, &crossed{codes: a.factor}
		undo := a.changeEmail(t, a.own, "attacker@app.example")
		b, c := a.otherwise(t, f), a.otherwise(t, g)
		b.own = b.Client(t)
		b.own.Login("susan")
		saving, removed, enrolled := make(chan struct{}), make(chan struct{}), make(chan struct{})
		f.stores = func() {
			close(saving)
			<-removed
		}
		g.removed = func() {
			close(removed)
			<-enrolled
		}
		var begun atomic.Bool
		a.Spy().Hook(func(method string) error {
			if method == "UpdateAccount" && begun.CompareAndSwap(false, true) {
				go func() {
					defer close(enrolled)
					_ = b.do(func(ctx context.Context) error { return b.EnrollFactor(ctx, "code", setup) })
				}()
				<-saving
			}
			return nil
		}, nil)
		finish(t, func() {
			if _, err := c.UndoEmailChange(context.Background(), undo); err != nil {
				t.Error(err)
			}
		})
		a.Spy().Reset()
		if a.factor.enrolled[a.susan.ID] {
			t.Error("the attacker's factor is there")
		}
	})
	t.Run("passkey", func(t *testing.T) {
		t.Parallel()
		a := newPasskeyApp(t)
		undo := a.changeEmail(t, a.own, "attacker@app.example")
		a.keys.adding = func() {
			if _, err := a.UndoEmailChange(context.Background(), undo); err != nil {
				t.Error(err)
			}
		}
		if err := a.add(a.own, "attackers"); !errors.Is(err, auth.ErrConflict) {
			t.Errorf("the attacker's passkey: %v", err)
		}
		if all, err := a.Passkeys(t.Context(), a.susan); err != nil || len(all) != 0 {
			t.Errorf("the passkeys are %v, %v", all, err)
		}
	})
}
