package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// After an account was disabled and enabled again, no older session, device or token
// works, whether or not it was used while the account was disabled.
func TestDisabledAndEnabledAgain(t *testing.T) {
	t.Parallel()
	for name, disable := range map[string]func(*mailApp, *testapp.User) error{
		"Disable": func(m *mailApp, u *testapp.User) error { return m.Disable(t.Context(), u.ID) },
		"the application, and Enable": func(m *mailApp, u *testapp.User) error {
			a := stored(t, m.App, u.ID).Account
			a.Disabled = true
			return m.Store.UpdateAccount(t.Context(), a)
		},
	} {
		for _, used := range []bool{false, true} {
			m := newMailApp(t, func(c *auth.Config) { c.Credentials = []auth.Credential{auth.Bearer()} })
			u := member(t, m.App, "susan", testapp.Password)
			browser, device := m.Client(t), m.Client(t)
			browser.Login("susan")
			if r := device.Post("/enter", "login", "susan", "remember", "y"); r.StatusCode != http.StatusOK {
				t.Fatal(r.Status)
			}
			device.Restart()
			token := bearerFor(t, m.App, u)
			bearer := func() string {
				return m.Client(t).Do(http.MethodGet, "/who", nil, http.Header{"Authorization": {"Bearer " + token}}).Text
			}
			reset, err := m.ResetToken(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			verify := m.verifyToken(t, u)
			if who := bearer(); who != "susan" {
				t.Fatalf("the token is %q's", who)
			}
			m.Events()

			if err := disable(m, u); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Authenticate(t.Context(), "susan", testapp.Password); !errors.Is(err, auth.ErrDisabled) {
				t.Errorf("%s: while it is disabled: %v", name, err)
			}
			if used {
				for what, who := range map[string]string{"browser": browser.Clone().Who(), "device": device.Clone().Who(), "token": bearer()} {
					if who != "nobody" {
						t.Errorf("%s: a %s is %q while it is disabled", name, what, who)
					}
				}
			}
			if err := m.Enable(t.Context(), u.ID); err != nil {
				t.Fatal(err)
			}
			for what, who := range map[string]string{"browser": browser.Who(), "device": device.Who(), "token": bearer()} {
				if who != "nobody" {
					t.Errorf("%s, used %t: a %s is %q when it is enabled again", name, used, what, who)
				}
			}
			if _, err := m.ResetPassword(t.Context(), reset, "another good password"); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s: a reset token: %v", name, err)
			}
			if _, err := m.VerifyEmail(t.Context(), verify); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s: a link that verifies: %v", name, err)
			}
			if _, err := m.Authenticate(t.Context(), "susan", testapp.Password); err != nil {
				t.Errorf("%s: the password: %v", name, err)
			}
		}
	}
}

func TestDisableAndEnable(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u := member(t, m.App, "susan", testapp.Password)
	c := m.Client(t)
	c.Login("susan")
	m.Events()
	if err := m.Enable(t.Context(), u.ID); err != nil || c.Who() != "susan" || len(m.Events()) > 0 {
		t.Errorf("enabling an account that is not disabled: %v, %q", err, c.Who())
	}
	for range 2 {
		if err := m.Disable(t.Context(), u.ID); err != nil || !stored(t, m.App, u.ID).Disabled {
			t.Fatal(err)
		}
	}
	if err := m.Enable(t.Context(), u.ID); err != nil || stored(t, m.App, u.ID).Disabled {
		t.Fatal(err)
	}
	if got, want := kinds(m.Events()), []auth.EventKind{auth.EventAccountDisabled, auth.EventAccountDisabled, auth.EventAccountEnabled}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	for name, f := range map[string]func(string) error{
		"Disable": func(id string) error { return m.Disable(t.Context(), id) },
		"Enable":  func(id string) error { return m.Enable(t.Context(), id) },
		"Unlock":  func(id string) error { return m.Unlock(t.Context(), id) },
	} {
		for _, id := range []string{"", "unknown", "\x00"} {
			if err := f(id); !errors.Is(err, auth.ErrUserNotFound) {
				t.Errorf("%s(%q): %v", name, id, err)
			}
		}
	}

	// An administrator who disables their own account is logged out.
	c.Login("susan")
	m.In(c, func(ctx context.Context) {
		if err := m.Disable(ctx, u.ID); err != nil {
			t.Error(err)
		}
		if _, ok := m.CurrentUser(ctx); ok {
			t.Error("the request goes on as a disabled user's")
		}
	})
	if err := m.Enable(t.Context(), u.ID); err != nil || c.Who() != "nobody" {
		t.Errorf("%v, %q", err, c.Who())
	}
}

// If the store fails at any call of Disable, the account is either unchanged, or
// disabled with no session left that works.
func TestDisableWithAFailingStore(t *testing.T) {
	t.Parallel()
	testapp.EachCall(t, 1, func(k int) bool {
		m := newMailApp(t, nil)
		u := member(t, m.App, "susan", testapp.Password)
		c := m.Client(t)
		c.Login("susan")
		m.Spy().FailAt(k, false)
		err := m.Disable(t.Context(), u.ID)
		calls := m.Spy().Calls()
		m.Spy().Reset()
		if disabled := stored(t, m.App, u.ID).Disabled; disabled == (err != nil) {
			t.Errorf("call %d failed: %v, and disabled is %t", k, err, disabled)
		} else if disabled {
			if err := m.Enable(t.Context(), u.ID); err != nil || c.Who() != "nobody" {
				t.Errorf("call %d failed: %v, %q", k, err, c.Who())
			}
		}
		return len(calls) >= k
	})
}

// Unlock deletes the counts of an account, in every browser.
func TestUnlock(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, noLimits)
	u := member(t, m.App, "susan", testapp.Password)
	known, other := m.Visitor(t.Context(), "192.0.2.1"), m.Visitor(t.Context(), "192.0.2.2")
	if status := known.Login("susan", testapp.Password); status != http.StatusOK {
		t.Fatal(status)
	}
	u = stored(t, m.App, u.ID)
	for round := range 2 {
		for _, v := range []*testapp.Visitor{known, other} {
			lock(t, v, "susan")
			if status := v.Login("susan", testapp.Password); status != http.StatusUnauthorized {
				t.Fatalf("a locked account is opened: %d", status)
			}
		}
		m.Events()
		if err := m.Unlock(t.Context(), u.ID); err != nil {
			t.Fatal(err)
		}
		if e := m.Events(); len(e) != 1 || e[0].Kind != auth.EventAccountUnlocked || e[0].UserID != u.ID {
			t.Errorf("events %v", e)
		}
		for i, v := range []*testapp.Visitor{known, other} {
			if status := v.Login("susan", testapp.Password); status != http.StatusOK {
				t.Errorf("round %d: browser %d after Unlock: %d", round, i, status)
			}
		}
	}
	if err := m.Unlock(t.Context(), u.ID); err != nil {
		t.Errorf("Unlock of an account that is not locked: %v", err)
	}
	m.Spy().Hook(on("DeleteRecords", func() error { return errStore }), nil)
	if err := m.Unlock(t.Context(), u.ID); !errors.Is(err, errStore) {
		t.Errorf("a store that fails: %v", err)
	}
}

// A1: the next request of each login, device and API token of a disabled account is refused,
// in another process, too, and streams end.
func TestDisableEndsEverything(t *testing.T) {
	t.Parallel()
	apps, _ := processes(t, 2, withRoles)
	apps[1].WatchEvery(time.Millisecond)
	u := member(t, apps[0], "susan", testapp.Password)
	browser, device := apps[1].Client(t), apps[1].Client(t)
	browser.Login("susan")
	device.Post("/enter", "login", "susan", "remember", "y")
	device.Restart()
	token := bearerFor(t, apps[0], u)
	stream := newWatcher(t, apps[1]).open(browser, nil)
	if err := apps[0].Disable(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	who := apps[1].Client(t).Do(http.MethodGet, "/who", nil, http.Header{"Authorization": {"Bearer " + token}})
	if browser.Who() != "nobody" || device.Who() != "nobody" || who.StatusCode == http.StatusOK && who.Text == "susan" {
		t.Errorf("%s, %s, %s %s", browser.Who(), device.Who(), who.Status, who.Text)
	}
	finish(t, func() { <-stream.Done() })
}

// A3: ForceReset voids the password and mails a link. Authenticate says so only after the
// right password, and one hash is computed in each case.
func TestForceReset(t *testing.T) {
	t.Parallel()
	s := newStaff(t, nil)
	u := s.users["ed"]
	if err := s.ForceReset(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	token := s.token(t, auth.MailReset, u.Email)
	if s.browsers["ed"].Who() != "nobody" {
		t.Error("a login goes on")
	}
	for range 8 { // more often than wrong passwords are allowed
		before := s.PasswordHashes()
		if _, err := s.Authenticate(t.Context(), "ed", testapp.Password); !errors.Is(err, auth.ErrResetRequired) || !errors.Is(err, auth.ErrLoginRefused) {
			t.Errorf("the right password: %v", err)
		}
		if n := s.PasswordHashes() - before; n != 1 {
			t.Errorf("%d hashes", n)
		}
	}
	if _, err := s.Authenticate(t.Context(), "ed", "a wrong password"); !errors.Is(err, auth.ErrInvalidCredentials) || errors.Is(err, auth.ErrResetRequired) {
		t.Errorf("a wrong password: %v", err)
	}
	if ok, err := s.CheckPassword(t.Context(), stored(t, s.App, u.ID), testapp.Password); ok || err != nil {
		t.Errorf("CheckPassword: %v, %v", ok, err)
	}
	if err := s.ForceReset(t.Context(), u.ID); err != nil { // once more: the hash is not voided twice
		t.Fatal(err)
	}
	if _, err := s.ResetPassword(t.Context(), token, "another good horse"); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("the link of before: %v", err)
	}
	if _, err := s.Authenticate(t.Context(), "ed", testapp.Password); !errors.Is(err, auth.ErrResetRequired) {
		t.Errorf("after the second one: %v", err)
	}
	if _, err := s.ResetPassword(t.Context(), s.token(t, auth.MailReset, u.Email), "another good horse"); err != nil {
		t.Error(err)
	}
	if _, err := s.Authenticate(t.Context(), "ed", "another good horse"); err != nil {
		t.Error(err)
	}
	if err := s.ForceReset(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	change(t, s.App, u.ID, func(a *auth.Account) { a.Disabled = true })
	for range 2 { // the right password of an account that may not log in says nothing
		if _, err := s.Authenticate(t.Context(), "ed", "another good horse"); !errors.Is(err, auth.ErrInvalidCredentials) || errors.Is(err, auth.ErrResetRequired) {
			t.Errorf("disabled: %v", err)
		}
	}
	for name, c := range map[string]struct {
		change func(*auth.Account)
		want   error
	}{
		"disabled":   {func(a *auth.Account) { a.Disabled = true }, auth.ErrDisabled},
		"no address": {func(a *auth.Account) { a.Email = "" }, auth.ErrInvalidEmail},
	} {
		s := newStaff(t, nil)
		change(t, s.App, s.users["ed"].ID, c.change)
		before := stored(t, s.App, s.users["ed"].ID)
		if err := s.ForceReset(t.Context(), before.ID); !errors.Is(err, c.want) || stored(t, s.App, before.ID).Version != before.Version {
			t.Errorf("%s: %v", name, err)
		}
	}
	app, _ := newApp(t, nil)
	if err := app.ForceReset(t.Context(), app.Create(t, "susan", true).ID); !errors.Is(err, auth.ErrNoMailer) {
		t.Error(err)
	}
}

// A4: Unlock clears the counters of this account only.
func TestUnlockOfOneAccount(t *testing.T) {
	t.Parallel()
	s := newStaff(t, nil)
	for _, name := range []string{"ed", "eve"} {
		for range 6 {
			_, _ = s.Authenticate(t.Context(), name, "wrong password")
		}
	}
	if err := s.by(t, "boss", func(ctx context.Context) error { return s.Unlock(ctx, s.users["ed"].ID) }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(t.Context(), "ed", testapp.Password); err != nil {
		t.Errorf("unlocked: %v", err)
	}
	if _, err := s.Authenticate(t.Context(), "eve", testapp.Password); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("the other one: %v", err)
	}
}

// A5: to take away another user's factors, a user needs a fresh login with a factor. The
// owner gets a mail, and all logins end.
func TestResetFactorsNeedsAFactor(t *testing.T) {
	t.Parallel()
	factor := newCodes()
	s := newStaff(t, func(c *auth.Config) { c.Factors = []auth.Factor{factor} })
	ed, reset := s.users["ed"], func(ctx context.Context) error { return s.ResetFactors(ctx, s.users["ed"].ID) }
	enroll := func(name string) {
		t.Helper()
		if err := s.by(t, name, func(ctx context.Context) error {
			return s.EnrollFactor(ctx, "code", map[string][]string{"code": {"setup"}})
		}); err != nil {
			t.Fatal(err)
		}
	}
	enroll("ed")
	if err := s.by(t, "boss", reset); !errors.Is(err, auth.ErrNoFactor) {
		t.Errorf("without a factor: %v", err)
	}
	enroll("boss")
	s.box.Take()
	s.Clock.Advance(11 * time.Minute)
	if err := s.by(t, "boss", reset); !errors.Is(err, auth.ErrNotFresh) {
		t.Errorf("a stale login: %v", err)
	}
	if has, err := factor.Enrolled(t.Context(), ed.ID); !has || err != nil {
		t.Error("the factor is gone")
	}
	s.Clock.Advance(-10 * time.Minute)
	if err := s.by(t, "boss", reset); err != nil {
		t.Errorf("fresh, with a factor: %v", err)
	}
	s.wantMails(t, "afterwards", "factor-removed to ed@app.example")
	if s.browsers["ed"].Who() != "nobody" {
		t.Error("a login goes on")
	}
	if err := s.by(t, "", reset); err != nil { // a command
		t.Error(err)
	}
}

// A9: closing an account deletes its records of all kinds, and its seat among the
// administrators. Its ID is not used again.
func TestCloseByAnAdministrator(t *testing.T) {
	t.Parallel()
	s := newStaff(t, nil)
	ed := s.users["ed"]
	token := bearerFor(t, s.App, ed)
	if err := s.by(t, "boss", func(ctx context.Context) error { return s.CloseAccount(ctx, ed) }); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"session", "remember", "api-token", "attempts", "used", "reserved", "enrolled", "feature"} {
		if left, err := s.Store.ListRecords(t.Context(), kind, ed.ID); err != nil || len(left) != 0 {
			t.Errorf("%d records of kind %s, %v", len(left), kind, err)
		}
	}
	again, err := s.CreateUser(t.Context(), auth.Registration{Username: "ed", Email: "ed@app.example"})
	if err != nil || again.ID == ed.ID || len(again.Roles) != 0 {
		t.Errorf("%v, %v", again, err)
	}
	r := s.Client(t).Do(http.MethodGet, "/who", nil, http.Header{"Authorization": {"Bearer " + token}})
	if s.browsers["ed"].Who() != "nobody" || r.Text == "ed" {
		t.Error("a login or a token of the old account works")
	}
}

// An administrator creates users without passwords. They get a link, which sets the password
// and verifies the address.
func TestCreateUser(t *testing.T) {
	t.Parallel()
	s := newStaff(t, func(c *auth.Config) { c.RequireVerified, c.HideAccounts, c.Limits.Registrations = true, true, 1 })
	create := func(ctx context.Context, name string, roles ...string) (*testapp.User, error) {
		return s.CreateUser(auth.WithReason(ctx, "hired"), auth.Registration{Username: name, Email: name + "@app.example"}, roles...)
	}
	for _, name := range []string{"ann", "bob", "cid"} {
		if err := s.by(t, "ed", func(ctx context.Context) error { _, err := create(ctx, name, "editor"); return err }); err != nil {
			t.Fatal(err)
		}
		e := s.Events()
		i := slices.IndexFunc(e, func(e auth.Event) bool { return e.Kind == auth.EventAccountRegistered })
		if i < 0 || e[i].ActorID != s.users["ed"].ID || e[i].UserID == "" || e[i].Reason != "hired" || e[i].Roles != "editor" {
			t.Errorf("%v", e)
		}
		token := s.token(t, auth.MailInvitation, name+"@app.example")
		s.Clock.Advance(23 * time.Hour)
		for _, c := range s.browsers {
			c.Login("ed") // keep the clock from ending the logins
		}
		u, err := s.ResetPassword(t.Context(), token, "a good horse of "+name)
		if err != nil || !u.EmailVerified || !slices.Equal(u.Roles, []string{"editor"}) {
			t.Errorf("%+v, %v", u, err)
		}
		s.box.Take()
	}
	for what, c := range map[string]struct {
		do   func(ctx context.Context) error
		want error
	}{
		"more than the actor has": {func(ctx context.Context) error { _, err := create(ctx, "dan", "admin"); return err }, auth.ErrForbidden},
		"unknown role":            {func(ctx context.Context) error { _, err := create(ctx, "dan", "boss"); return err }, auth.ErrUnknownRole},
		"taken":                   {func(ctx context.Context) error { _, err := create(ctx, "ed"); return err }, auth.ErrUsernameTaken},
	} {
		if err := s.by(t, "ed", c.do); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
		s.wantMails(t, what)
	}
	if _, err := s.CreateUser(t.Context(), auth.Registration{Username: "dan", Email: "dan@app.example", Password: "a good horse here"}); err == nil || errors.Is(err, auth.ErrForbidden) {
		t.Errorf("with a password: %v", err)
	}
	if _, err := s.FindUser(t.Context(), "dan"); !errors.Is(err, auth.ErrUserNotFound) {
		t.Error(err)
	}
	admin, err := create(t.Context(), "dan", "admin") // counts as the other administrator
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root", "boss"} {
		if err := s.Disable(t.Context(), s.users[name].ID); err != nil {
			t.Error(err)
		}
	}
	if err := s.Disable(t.Context(), admin.ID); !errors.Is(err, auth.ErrLastAdmin) {
		t.Error(err)
	}
}

// SetUsername changes the name, and nothing else; logins go on.
func TestSetUsername(t *testing.T) {
	t.Parallel()
	s := newStaff(t, nil)
	ed := s.users["ed"]
	for name, want := range map[string]error{"eve": auth.ErrUsernameTaken, "": auth.ErrInvalidUsername, "a@b": auth.ErrInvalidUsername, "EVE": auth.ErrUsernameTaken} {
		if err := s.SetUsername(t.Context(), ed.ID, name); !errors.Is(err, want) || stored(t, s.App, ed.ID).Version != ed.Version {
			t.Errorf("%q: %v", name, err)
		}
	}
	s.Events()
	if err := s.by(t, "boss", func(ctx context.Context) error { return s.SetUsername(ctx, ed.ID, " edward ") }); err != nil {
		t.Fatal(err)
	}
	if e := s.Events(); len(e) != 1 || e[0].Kind != auth.EventUsernameChanged || e[0].UserID != ed.ID || e[0].ActorID != s.users["boss"].ID {
		t.Errorf("%v", e)
	}
	if now := stored(t, s.App, ed.ID); now.Username != "edward" || now.Stamp != ed.Stamp || s.browsers["ed"].Who() != "edward" {
		t.Errorf("%+v", now)
	}
	if u, err := s.FindUser(t.Context(), " EDWARD"); err != nil || u.ID != ed.ID {
		t.Error(err)
	}
}

// SetEmail changes the address, which is then not verified. Logins end, the old address can
// undo it, and the new one gets a link.
func TestSetEmail(t *testing.T) {
	t.Parallel()
	s := newStaff(t, nil)
	ed := s.users["ed"]
	for address, want := range map[string]error{"eve@app.example": auth.ErrEmailTaken, "no": auth.ErrInvalidEmail, "ED@app.example": auth.ErrInvalidEmail} {
		if err := s.SetEmail(t.Context(), ed.ID, address); !errors.Is(err, want) || stored(t, s.App, ed.ID).Version != ed.Version {
			t.Errorf("%q: %v", address, err)
		}
		if undos, err := s.Store.ListRecords(t.Context(), "email-undo", ed.ID); err != nil || len(undos) != 0 {
			t.Errorf("%q: %d undos, %v", address, len(undos), err)
		}
	}
	s.Events()
	if err := s.by(t, "boss", func(ctx context.Context) error { return s.SetEmail(ctx, ed.ID, " new@app.example ") }); err != nil {
		t.Fatal(err)
	}
	if e := s.Events(); len(e) != 2 || e[0].Kind != auth.EventEmailChangeDone || e[0].ActorID != s.users["boss"].ID || e[1].Kind != auth.EventVerificationIssued {
		t.Errorf("%v", e)
	}
	if now := stored(t, s.App, ed.ID); now.Email != "new@app.example" || now.EmailVerified || s.browsers["ed"].Who() != "nobody" {
		t.Errorf("%+v", now)
	}
	mails := s.box.Take()
	if got := labels(mails); !slices.Equal(got, []string{"address-changed to ed@app.example", "verify to new@app.example"}) {
		t.Fatalf("%q", got)
	}
	if _, err := s.VerifyEmail(t.Context(), tokenIn(t, mails[1])); err != nil {
		t.Error(err)
	}
	if _, err := s.UndoEmailChange(t.Context(), tokenIn(t, mails[0])); err != nil || stored(t, s.App, ed.ID).Email != "ed@app.example" {
		t.Error(err)
	}
}

// A10: the cursor finds each user who exists all the time exactly once, while others are
// created and deleted.
func TestListUsers(t *testing.T) {
	t.Parallel()
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	app := testapp.New(t, store, clock, nil)
	stays := map[string]int{}
	var goes []string
	for i := range 100 {
		u := app.Create(t, fmt.Sprint("user", i), false)
		if i%3 == 0 {
			goes = append(goes, u.ID)
		} else {
			stays[u.ID] = 0
		}
	}
	cursor, pages := "", 0
	for {
		users, next, err := app.ListUsers(t.Context(), cursor, 7)
		if err != nil || len(users) == 0 || len(users) > 7 {
			t.Fatalf("%d users, %v", len(users), err)
		}
		for _, u := range users {
			if _, ok := stays[u.ID]; ok {
				stays[u.ID]++
			}
		}
		if pages++; next == "" {
			break
		}
		cursor = next
		app.Create(t, fmt.Sprint("new", pages), false)
		for range 2 {
			if len(goes) > 0 {
				_ = store.DeleteUser(t.Context(), goes[0]) // it may be gone already
				goes = goes[1:]
			}
		}
		_ = store.DeleteUser(t.Context(), cursor) // the last user of the page
		delete(stays, cursor)
	}
	for id, n := range stays {
		if n != 1 {
			t.Errorf("%s was found %d times", id, n)
		}
	}
	if pages < 10 {
		t.Errorf("%d pages", pages)
	}
	for _, limit := range []int{0, -1, 1001} {
		if _, _, err := app.ListUsers(t.Context(), "", limit); err == nil {
			t.Errorf("limit %d", limit)
		}
	}
	other, _ := newApp(t, nil) // a Spy is no UserLister
	if _, _, err := other.ListUsers(t.Context(), "", 1); err == nil || !strings.Contains(err.Error(), "UserLister") {
		t.Error(err)
	}
}
