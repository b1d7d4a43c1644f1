package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// While another user registers an address, its owner changes to another one. The old
// address stays reserved for the owner, and the new account is deleted.
func TestRegisterCrossesChange(t *testing.T) {
	t.Parallel()
	for _, deletes := range []bool{false, true} {
		box := &testapp.Outbox{}
		clock := testapp.NewClock()
		hooked := testapp.NewSpy(clock)
		var store testapp.Store = hooked
		if deletes {
			store = testapp.DeletingSpy{Spy: hooked}
		}
		app := testapp.New(t, store, clock, func(c *auth.Config) { c.Mailer = box })
		m := &mailApp{app, box}
		u, browser := m.susan(t)
		token := m.askEmail(t, browser, "new@app.example")
		undo := ""
		hooked.Hook(on("CreateUser", func() error { // after Register has looked for the address
			_, err := m.confirm(browser, token)
			undo = m.token(t, auth.MailAddressChanged, u.Email)
			return err
		}), nil)
		_, err := m.Register(t.Context(), auth.Registration{Username: "thief", Email: u.Email, Password: resetTo})
		hooked.Reset()
		if !errors.Is(err, auth.ErrEmailTaken) {
			t.Errorf("%v", err)
		}
		if found, err := m.Store.FindUser(t.Context(), u.Email); !errors.Is(err, auth.ErrUserNotFound) {
			t.Errorf("the address is %v's, %v", found, err)
		}
		if found, err := m.Store.FindUser(t.Context(), "thief"); !errors.Is(err, auth.ErrUserNotFound) {
			t.Errorf("there is %v, %v", found, err)
		}
		if got, err := m.UndoEmailChange(t.Context(), undo); err != nil || got.Email != u.Email {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestIdentifiers(t *testing.T) {
	t.Parallel()
	for _, mode := range []auth.Identifiers{auth.UsernameOrEmail, auth.UsernameOnly, auth.EmailOnly} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			t.Parallel()
			app, store := newApp(t, func(c *auth.Config) { c.Identifiers = mode })
			hash, err := app.HashPassword(t.Context(), testapp.Password)
			if err != nil {
				t.Fatal(err)
			}
			current := func(a *auth.Account) { a.PasswordHash = hash }
			member(t, app, "Alice", "", current)
			member(t, app, "nomail", "", current, func(a *auth.Account) { a.Email = "" })
			member(t, app, "noname", "", current, func(a *auth.Account) { a.Username = "" })
			username, email := mode != auth.EmailOnly, mode != auth.UsernameOnly
			for _, c := range []struct {
				login string
				want  bool
			}{
				{"Alice", username}, {"alice", username}, {"ALICE", username}, {"ａlice", username},
				{"Alice@app.example", email}, {"alice@APP.EXAMPLE", email},
				{"nomail", username}, {"noname@app.example", email},
				{"noname", false}, {"nomail@app.example", false},
				{" alice", username}, {"alice\t\n", username}, {"\u00a0alice@app.example ", email},
				{"", false}, {"  ", false}, {"@", false}, {"al ice", false}, {"alice@", false}, {"alice\x00", false}, {"alice\u200b", false},
				{"alice @app.example", false}, {"<alice@app.example>", false},
				{"alice@app.example,nomail", false}, {"a*", false}, {"%", false},
			} {
				store.Reset()
				before := app.PasswordHashes()
				u, err := app.Authenticate(t.Context(), c.login, testapp.Password)
				if (err == nil) != c.want || err != nil && err.Error() != auth.ErrInvalidCredentials.Error() || err == nil && u == nil {
					t.Errorf("%q: %v, %v", c.login, u, err)
				}
				if n := app.PasswordHashes() - before; n != 1 {
					t.Errorf("%q: %d hashes", c.login, n)
				}
				if strings.TrimSpace(c.login) == "" && slices.Contains(store.Calls(), "FindUser") {
					t.Errorf("the store was asked for the empty login: %v", store.Calls())
				}
			}
			for _, c := range []struct {
				what            string
				username, email string
				want            error
			}{
				{"both", "bob", "bob@app.example", nil},
				{"username alone", "carol", "", map[bool]error{true: auth.ErrInvalidEmail}[mode == auth.EmailOnly]},
				{"address alone", "", "dave@app.example", map[bool]error{true: auth.ErrInvalidUsername}[mode == auth.UsernameOnly]},
				{"neither", "", "", map[bool]error{true: auth.ErrInvalidEmail, false: auth.ErrInvalidUsername}[mode == auth.EmailOnly]},
				{"bad username", "e e", "erin@app.example", auth.ErrInvalidUsername},
				{"bad address", "erin", "erin@", auth.ErrInvalidEmail},
				{"address as username", "alice@app.example", "erin@app.example", auth.ErrInvalidUsername},
				{"username as address", "erin", "alice", auth.ErrInvalidEmail},
			} {
				u, err := app.Register(t.Context(), auth.Registration{Username: c.username, Email: c.email, NoPassword: true})
				if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || (u != nil) != (err == nil) {
					// If both names are missing, either error is right.
					if c.what != "neither" || !errors.Is(err, auth.ErrInvalidUsername) && !errors.Is(err, auth.ErrInvalidEmail) {
						t.Errorf("%s: %v, want %v", c.what, err, c.want)
					}
				}
			}
		})
	}
}

func TestRegisterErrors(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	member(t, app, "alice", "")
	ok := auth.Registration{Username: "bob", Email: "bob@app.example", Password: "zq8 vbx1 mn4"}
	with := func(f func(*auth.Registration)) auth.Registration {
		r := ok
		f(&r)
		return r
	}
	fail := func(call string, err error) func(string) error { return on(call, func() error { return err }) }
	var policy *auth.PasswordError
	for _, c := range []struct {
		what   string
		r      auth.Registration
		before func(string) error
		is     error // nil: a PasswordError
	}{
		{"nothing", auth.Registration{}, nil, auth.ErrInvalidUsername},
		{"spaces", auth.Registration{Username: " ", Email: "\t"}, nil, auth.ErrInvalidUsername},
		{"a password only", auth.Registration{Password: ok.Password}, nil, auth.ErrInvalidUsername},
		{"bad username", with(func(r *auth.Registration) { r.Username = "b ob" }), nil, auth.ErrInvalidUsername},
		{"NUL in the username", with(func(r *auth.Registration) { r.Username = "b\x00ob" }), nil, auth.ErrInvalidUsername},
		{"bad address", with(func(r *auth.Registration) { r.Email = "bob@localhost" }), nil, auth.ErrInvalidEmail},
		{"address with a header", with(func(r *auth.Registration) { r.Email = "bob@app.example\r\nBcc: e@e.example" }), nil, auth.ErrInvalidEmail},
		{"two addresses", with(func(r *auth.Registration) { r.Email = "bob@app.example,e@e.example" }), nil, auth.ErrInvalidEmail},
		{"no password", with(func(r *auth.Registration) { r.Password = "" }), nil, nil},
		{"short password", with(func(r *auth.Registration) { r.Password = "x" }), nil, nil},
		{"common password", with(func(r *auth.Registration) { r.Password = "password1" }), nil, nil},
		{"username taken", with(func(r *auth.Registration) { r.Username = "alice" }), nil, auth.ErrUsernameTaken},
		{"username taken in upper case", with(func(r *auth.Registration) { r.Username = "ALICE" }), nil, auth.ErrUsernameTaken},
		{"username taken in full width", with(func(r *auth.Registration) { r.Username = "ａlice" }), nil, auth.ErrUsernameTaken},
		{"address taken", with(func(r *auth.Registration) { r.Email = "alice@app.example" }), nil, auth.ErrEmailTaken},
		{"address taken in upper case", with(func(r *auth.Registration) { r.Email = "Alice@APP.example" }), nil, auth.ErrEmailTaken},
		{"form refused", with(func(r *auth.Registration) { r.Form = url.Values{"name": {"refuse"}} }), nil, testapp.ErrRefused},
		{"store failed", ok, fail("CreateUser", errStore), errStore},
		{"store out of time", ok, fail("CreateUser", context.DeadlineExceeded), context.DeadlineExceeded},
		{"store says taken, wrapped", ok, fail("CreateUser", fmt.Errorf("unique: %w", auth.ErrUsernameTaken)), auth.ErrUsernameTaken},
	} {
		app.Events()
		store.Hook(c.before, nil)
		u, err := app.Register(t.Context(), c.r)
		store.Reset()
		switch {
		case u != nil || err == nil:
			t.Errorf("%s: %v, %v", c.what, u, err)
		case c.is != nil && !errors.Is(err, c.is), c.is == nil && !errors.As(err, &policy):
			t.Errorf("%s: %v, want %v", c.what, err, c.is)
		}
		for _, key := range []string{"bob", "bob@app.example"} {
			if _, err := app.Store.FindUser(t.Context(), key); !errors.Is(err, auth.ErrUserNotFound) {
				t.Errorf("%s: %s was saved: %v", c.what, key, err)
			}
		}
		events := app.Events()
		if len(events) != 1 || events[0].Kind != auth.EventAccountRegisterFailed || events[0].Err == nil {
			t.Errorf("%s: events %+v", c.what, events)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := app.Register(ctx, ok); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// None of the refused attempts has taken the name. Spaces around a name are
	// dropped.
	u, err := app.Register(t.Context(), with(func(r *auth.Registration) { r.Username, r.Email = " bob\t", "\nbob@app.example " }))
	if err != nil {
		t.Fatal(err)
	}
	if u.Username != "bob" || u.Email != "bob@app.example" || u.EmailVerified || u.Disabled || len(u.Roles) > 0 || u.Stamp.IsZero() || u.ID == "" || !opens(t, app, u.ID, ok.Password) {
		t.Errorf("%+v", u.Account)
	}
}

// Only NoPassword makes an account without a password. Otherwise an empty password by
// mistake would block the address.
func TestEmptyPasswords(t *testing.T) {
	t.Parallel()
	m, hidden := newMailApp(t, requireVerified), newMailApp(t, hideAccounts)
	u := member(t, m.App, "susan", testapp.Password)
	token, err := m.ResetToken(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	anna := auth.Registration{Username: "anna", Email: "anna@app.example"}
	for name, try := range map[string]func() error{
		"Register":         func() error { _, err := m.Register(t.Context(), anna); return err },
		"hidden":           func() error { return hidden.registerHidden(t.Context(), anna) },
		"SetPassword":      func() error { return m.SetPassword(t.Context(), u, "") },
		"ResetPassword":    func() error { _, err := m.ResetPassword(t.Context(), token, ""); return err },
		"HashPassword":     func() error { _, err := m.HashPassword(t.Context(), ""); return err },
		"ValidatePassword": func() error { return m.ValidatePassword(t.Context(), "", auth.Account{}) },
	} {
		var refused *auth.PasswordError
		if err := try(); !errors.As(err, &refused) {
			t.Errorf("%s: %v, want a PasswordError", name, err)
		}
	}
	if !opens(t, m.App, u.ID, testapp.Password) {
		t.Error("an empty password replaced one")
	}
	if _, err := m.Store.FindUser(t.Context(), "anna@app.example"); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("an empty password made an account: %v", err)
	}

	both := anna
	both.Password, both.NoPassword = testapp.Password, true
	if _, err := m.Register(t.Context(), both); err == nil {
		t.Error("Register took a password that it was told not to expect")
	}
	if err := hidden.registerHidden(t.Context(), both); err == nil {
		t.Error("hidden: Register took a password that it was told not to expect")
	}
	anna.NoPassword = true
	if err := hidden.registerHidden(t.Context(), anna); err != nil {
		t.Fatal(err)
	}
	if u := find(t, hidden.App, "anna"); !u.PasswordHash.IsZero() {
		t.Error("NoPassword made a hash")
	}
}

// A form cannot set the account's fields.
func TestRegisterAssignsNoPrivileges(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	form := url.Values{"name": {"Bob"}}
	for _, field := range []string{"ID", "id", "Username", "Email", "EmailVerified", "email_verified", "Roles", "roles", "Disabled", "Stamp", "PasswordHash", "Version"} {
		form.Set(field, "1")
	}
	var stamps []string
	for _, name := range []string{"bob", "carol"} {
		u, err := app.Register(t.Context(), auth.Registration{Username: name, Form: form, NoPassword: true})
		if err != nil {
			t.Fatal(err)
		}
		if u.Name != "Bob" || u.Username != name || u.Email != "" || u.ID == "1" || u.EmailVerified || u.Disabled || len(u.Roles) > 0 ||
			u.Stamp.Reveal() == "1" || len(u.Stamp.Reveal()) < 32 || !u.PasswordHash.IsZero() || slices.Contains(stamps, u.Stamp.Reveal()) {
			t.Errorf("%+v", u)
		}
		stamps = append(stamps, u.Stamp.Reveal())
		for _, password := range []string{"", " ", "1", "password1"} {
			if _, err := app.Authenticate(t.Context(), name, password); !errors.Is(err, auth.ErrInvalidCredentials) {
				t.Errorf("no password opens it, but %q does: %v", password, err)
			}
		}
	}
}

func TestParallelRegistrations(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	for _, c := range []struct {
		what string
		of   func(i int) auth.Registration
		lost error
	}{
		{"one name", func(i int) auth.Registration {
			return auth.Registration{Username: []string{"mike", "Mike", "MIKE", "ｍike", "mi\u212ae"}[i%5], Email: fmt.Sprintf("mike%d@app.example", i), NoPassword: true}
		}, auth.ErrUsernameTaken},
		{"one address", func(i int) auth.Registration {
			return auth.Registration{Username: fmt.Sprintf("sam%d", i), Email: []string{"sam@app.example", "SAM@app.example", "sam@APP.example"}[i%3], NoPassword: true}
		}, auth.ErrEmailTaken},
		{"one name and password", func(i int) auth.Registration {
			if i >= 10 {
				return auth.Registration{Username: "Kim", NoPassword: true}
			}
			return auth.Registration{Username: "kim", Password: fmt.Sprintf("the password of %d", i)}
		}, auth.ErrUsernameTaken},
	} {
		var wg sync.WaitGroup
		var won, lost atomic.Int32
		var winner atomic.Pointer[testapp.User]
		var number atomic.Int32
		for i := range 50 {
			wg.Go(func() {
				switch u, err := app.Register(t.Context(), c.of(i)); {
				case err == nil:
					won.Add(1)
					winner.Store(u)
					number.Store(int32(i))
				case errors.Is(err, c.lost):
					lost.Add(1)
				default:
					t.Errorf("%s: %v", c.what, err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 49 {
			t.Errorf("%s: %d registered, %d were told %v", c.what, won.Load(), lost.Load(), c.lost)
			continue
		}
		if r := c.of(int(number.Load())); r.Password != "" && !opens(t, app, winner.Load().ID, r.Password) {
			t.Errorf("%s: the winner's password does not open the account", c.what)
		}
	}
}

// With RequireVerified, Register requires an address and mails the link, so that every
// new user can get in.
func TestRegisterMails(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, requireVerified)
	for _, email := range []string{"", " ", "no address"} {
		if _, err := m.Register(t.Context(), auth.Registration{Username: "ann", Email: email, Password: resetTo}); !errors.Is(err, auth.ErrInvalidEmail) {
			t.Errorf("%q: %v", email, err)
		}
	}
	u, err := m.Register(t.Context(), auth.Registration{Username: "ann", Email: " Ann@app.example ", Password: resetTo})
	if err != nil || u.EmailVerified {
		t.Fatalf("%v, %v", u, err)
	}
	if _, err := m.VerifyEmail(t.Context(), m.token(t, auth.MailVerify, "Ann@app.example")); err != nil {
		t.Error(err)
	}
	m.box.Fail(errStore)
	m.Events()
	if _, err := m.Register(t.Context(), auth.Registration{Username: "joe", Email: "joe@app.example", Password: resetTo}); err != nil {
		t.Error(err)
	}
	if e := m.Events(); !slices.Equal(kinds(e), []auth.EventKind{auth.EventAccountRegistered, auth.EventVerificationIssued, auth.EventMailFailed}) {
		t.Errorf("%v", e)
	}
	without := newMailApp(t, nil)
	if _, err := without.Register(t.Context(), auth.Registration{Username: "ann", Email: "ann@app.example", Password: resetTo}); err != nil {
		t.Error(err)
	}
	without.wantMails(t, "without RequireVerified")
}

// hiding returns an application with the same store and mailbox, and with HideAccounts.
func (m *mailApp) hiding(t *testing.T) *mailApp {
	t.Helper()
	cfg := goodConfig()
	cfg.Mailer, cfg.Now, cfg.RequireVerified, cfg.HideAccounts = m.box, m.Clock.Now, true, true
	manager, err := auth.New[*testapp.User](m.Store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &mailApp{&testapp.App{Manager: manager}, m.box}
}

// registerHidden registers with HideAccounts. It returns nil for ErrCheckMail.
func (m *mailApp) registerHidden(ctx context.Context, r auth.Registration) error {
	u, err := m.Register(ctx, r)
	switch {
	case err == nil:
		return fmt.Errorf("Register returned the user %s", u.ID)
	case errors.Is(err, auth.ErrCheckMail):
		return nil
	}
	return err
}

func TestHiddenRegistration(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, hideAccounts)
	m.Events()
	browser := m.Client(t)
	var err error
	r := m.In(browser, func(ctx context.Context) {
		err = m.registerHidden(ctx, auth.Registration{
			Username: " ann ", Email: " Ann@app.example ", Password: resetTo, Form: map[string][]string{"name": {"Ann"}},
		})
	})
	if err != nil || len(r.Cookies()) != 0 || browser.Who() != "nobody" {
		t.Fatalf("%v, %v", err, r.Cookies())
	}
	u := find(t, m.App, "ann@app.example")
	if u.Username != "ann" || u.Email != "Ann@app.example" || u.Name != "Ann" || u.EmailVerified || !opens(t, m.App, u.ID, resetTo) {
		t.Errorf("%+v", u)
	}
	if e := m.Events(); !slices.Equal(kinds(e), []auth.EventKind{auth.EventAccountRegistered, auth.EventVerificationIssued}) || e[0].UserID != u.ID {
		t.Errorf("%v", e)
	}
	if _, err := m.Authenticate(t.Context(), "ann", resetTo); !errors.Is(err, auth.ErrUnverified) {
		t.Errorf("before it is verified: %v", err)
	}
	if _, err := m.VerifyEmail(t.Context(), m.token(t, auth.MailVerify, "Ann@app.example")); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Authenticate(t.Context(), "ann", resetTo); err != nil || got.ID != u.ID {
		t.Errorf("%v, %v", got, err)
	}
	// A second registration creates nothing, and the owner is told.
	m.Events()
	if err := m.registerHidden(t.Context(), auth.Registration{Username: "ann2", Email: "ANN@app.example", Password: resetTo}); err != nil {
		t.Error(err)
	}
	mails := m.box.Take()
	if len(mails) != 1 || mails[0].Kind != auth.MailAddressTaken || mails[0].To != "Ann@app.example" || mails[0].Lifetime != 0 ||
		mails[0].Link.Reveal() != m.Config().BaseURL+"/forgot-password" || mails[0].User.AuthAccount().ID != u.ID {
		t.Errorf("%+v", mails)
	}
	if e := m.Events(); len(e) != 1 || e[0].Kind != auth.EventAccountRegisterFailed || e[0].UserID != u.ID || !errors.Is(e[0].Err, auth.ErrEmailTaken) {
		t.Errorf("%v", e)
	}
	if now := stored(t, m.App, u.ID); now.Version != 2 || !opens(t, m.App, u.ID, resetTo) {
		t.Errorf("%+v", now)
	}
	if _, err := m.Store.FindUser(t.Context(), "ann2"); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("there is an account: %v", err)
	}
}

// Neither the answer nor the work shows whether an address has an account, and in which
// state.
func TestHiddenRegistrationTellsNothing(t *testing.T) {
	t.Parallel()
	for _, with := range []string{"a username", "no username", "no password", "a short password", "a form that is refused", "a name that is taken", "no text"} {
		m := newMailApp(t, hideAccounts)
		for name, do := range accountStates() {
			member(t, m.App, name, testapp.Password, do)
		}
		member(t, m.App, "taken", "")
		n := 0
		var asking atomic.Pointer[string] // the address asked for
		// CreateUser refuses the form. After CreateUser the two cases store different
		// records, with the same number of calls.
		howOften := func(calls []string) any { return len(calls) }
		asked := alike{app: m.App, by: m.Client(t), work: howOften, ask: func(ctx context.Context, address string) error {
			n++
			r := auth.Registration{Username: fmt.Sprintf("new%d", n), Email: address, Password: resetTo, Form: map[string][]string{"name": {"x"}}}
			switch with {
			case "no username":
				r.Username = ""
			case "no password":
				r.Password = ""
			case "a short password":
				r.Password = "short"
			case "a form that is refused":
				r.Form["name"] = []string{"refuse"}
			case "a name that is taken":
				r.Username = "TAKEN"
			case "no text":
				r.Username = "\xff"
			}
			asking.Store(&address)
			return m.registerHidden(ctx, r)
		}}
		m.Spy().Hook(func(call string) error {
			// A store may also look for the address first.
			if call == "CreateUser" && with == "a name that is taken" && !strings.HasPrefix(*asking.Load(), "free") {
				return auth.ErrEmailTaken
			}
			return nil
		}, nil)
		asked.about(t, with, "free@app.example")
		m.box.Take()
		for name, do := range accountStates() {
			var a auth.Account
			do(&a)
			asked.about(t, with+", "+name, name+"@app.example")
			if mailed := len(m.box.Take()) == 1; mailed != (!a.Disabled && strings.HasPrefix(asked.first, "<nil>")) {
				t.Errorf("%s, %s: mailed %v", with, name, mailed)
			}
		}
		m.box.Fail(errStore)
		for _, address := range []string{"free2@app.example", "verified@app.example"} {
			asked.about(t, with+", the mailer is down", address)
		}
	}
}

// It refuses the same input as without HideAccounts, with the same error.
func TestHiddenRegistrationRefuses(t *testing.T) {
	t.Parallel()
	m, plain := newMailApp(t, hideAccounts), newMailApp(t, requireVerified)
	member(t, m.App, "taken", "")
	member(t, plain.App, "taken", "")
	for _, r := range []auth.Registration{
		{Email: "a@app.example", Username: "x y", Password: resetTo},
		{Email: "a@app.example", Username: "a@b.example", Password: resetTo},
		{Email: "", Username: "ann", Password: resetTo},
		{Email: "no address", Username: "ann", Password: resetTo},
		{Email: "no address", Username: "x y", Password: resetTo},
		{Email: "a@app.example", Username: "ann", Password: "short"},
		{Email: "a@app.example", Username: "ann", Password: "a@app.example"},
		{Email: "a@app.example", Username: "ann", Password: "\xff\xfe\xff\xfe\xff\xfe\xff\xfe"},
		{Email: "a@app.example", Username: "Taken", Password: resetTo},
		{Email: "a@app.example", Username: "ann", Password: resetTo, Form: map[string][]string{"name": {"refuse"}}},
	} {
		hashes, plainHashes := m.PasswordHashes(), plain.PasswordHashes()
		_, want := plain.Register(t.Context(), r)
		got := m.registerHidden(t.Context(), r)
		if want == nil || got == nil || got.Error() != want.Error() || m.PasswordHashes()-hashes != plain.PasswordHashes()-plainHashes {
			t.Errorf("%+v: %v, and without HideAccounts %v", r, got, want)
		}
	}
	m.wantMails(t, "nothing")
}

// A username requested together with a taken address becomes unavailable, just as if
// the address had been free.
func TestHiddenRegistrationKeepsUsernames(t *testing.T) {
	t.Parallel()
	ask := func(m *mailApp, name, address string) error {
		return m.registerHidden(t.Context(), auth.Registration{Username: name, Email: address, NoPassword: true})
	}
	for _, first := range []string{"free@app.example", "susan@app.example", "disabled@app.example", "moved@app.example"} {
		m := newMailApp(t, hideAccounts)
		_, browser := m.susan(t)
		member(t, m.App, "disabled", "", func(a *auth.Account) { a.Disabled = true })
		member(t, m.App, "mover", "", func(a *auth.Account) { verified(a); a.Email = "moved@app.example" })
		browser.Login("mover")
		m.changeEmail(t, browser, "elsewhere@app.example")
		if err := ask(m, "Probe", first); err != nil {
			t.Errorf("%s: %v", first, err)
		}
		for _, second := range []string{"another@app.example", "susan@app.example", first} {
			if err := ask(m, "pROBE", second); !errors.Is(err, auth.ErrUsernameTaken) {
				t.Errorf("%s, then %s: %v", first, second, err)
			}
		}
		if err := m.registerHidden(t.Context(), auth.Registration{Username: "ｐrobe", Email: "x@app.example", Password: resetTo}); !errors.Is(err, auth.ErrUsernameTaken) {
			t.Errorf("%s, then Register: %v", first, err)
		}
		m.Clock.Advance(30*24*time.Hour - time.Millisecond)
		if err := ask(m, "probe", "another@app.example"); !errors.Is(err, auth.ErrUsernameTaken) {
			t.Errorf("%s, after 30 days but a moment: %v", first, err)
		}
		m.Clock.Advance(time.Millisecond)
		if err := ask(m, "probe", "another@app.example"); first != "free@app.example" && err != nil {
			t.Errorf("%s, after 30 days: %v", first, err)
		}
		// Without a username, the registration may be repeated.
		for range 3 {
			if err := ask(m, "", "susan@app.example"); err != nil {
				t.Error(err)
			}
		}
	}
}

// If one address is registered many times at the same moment, one account is made, and
// all callers get the same answer.
func TestHiddenRegistrationRace(t *testing.T) {
	t.Parallel()
	for _, same := range []bool{false, true} {
		m := newMailApp(t, hideAccounts)
		var wg sync.WaitGroup
		var mu sync.Mutex
		answers := map[string]int{}
		for i := range 30 {
			wg.Go(func() {
				name := "probe"
				if !same {
					name = fmt.Sprintf("probe%d", i)
				}
				err := m.registerHidden(t.Context(), auth.Registration{Username: name, Email: "free@app.example", NoPassword: true})
				mu.Lock()
				defer mu.Unlock()
				answers[fmt.Sprint(err)]++
			})
		}
		wg.Wait()
		u := find(t, m.App, "free@app.example")
		if want := map[string]int{"<nil>": 30}; !same && fmt.Sprint(answers) != fmt.Sprint(want) {
			t.Errorf("%v", answers)
		}
		if same && answers["<nil>"]+answers[auth.ErrUsernameTaken.Error()] != 30 || answers["<nil>"] == 0 {
			t.Errorf("%v", answers)
		}
		verify := 0
		for _, mail := range m.box.Take() {
			if mail.Kind == auth.MailVerify {
				verify++
			}
			if mail.User.AuthAccount().ID != u.ID {
				t.Errorf("%+v", mail)
			}
		}
		if verify != 1 {
			t.Errorf("%d mails that verify", verify)
		}
	}
}

// If any call fails, the account can be verified; or no account exists that would block
// the names.
func TestHiddenRegistrationIsAllOrNothing(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"free@app.example", "susan@app.example"} {
		t.Run(address, func(t *testing.T) {
			testapp.AllOrNothing(t, 1, func(t *testing.T, f *testapp.Fault) { // if the store finds nothing, that call cannot fail
				m := newMailApp(t, hideAccounts)
				m.susan(t)
				r := auth.Registration{Username: "ann", Email: address, NoPassword: true} // faster without a hash
				err := f.During(t.Context(), m.Spy(), func(ctx context.Context) error { return m.registerHidden(ctx, r) })
				_, found := m.Store.FindUser(t.Context(), "ann")
				mails := labels(m.box.Take())
				sent := 1
				if slices.Contains(kinds(m.Events()), auth.EventMailFailed) { // the count of the mail failed; it can be asked for again
					sent = 0
				}
				switch {
				case errors.Is(err, auth.ErrEmailTaken), errors.Is(err, auth.ErrUsernameTaken),
					err == nil && (found == nil) != (address == "free@app.example"), err == nil && len(mails) != sent, err != nil && len(mails) != 0:
					t.Errorf("%s, found %v, mails %v", f, found, mails)
				case err != nil && found == nil && f.Mode != testapp.CallFailsAfter && f.Mode != testapp.StoreGone:
					t.Errorf("%s, and there is an account", f)
				}
				// The user still gets an account: by registering again, or by the link.
				if found == nil && address == "free@app.example" {
					if err := m.SendVerification(t.Context(), address); err != nil {
						t.Error(err)
					}
					if _, err := m.VerifyEmail(t.Context(), m.token(t, auth.MailVerify, address)); err != nil {
						t.Errorf("%s, and then %v", f, err)
					}
				} else if r.Username = "ann2"; m.registerHidden(t.Context(), r) != nil {
					t.Errorf("%s, and once more it fails", f)
				}
			})
		})
	}
}

// With HideAccounts a page that hands every error to Error answers 202, whether the address is
// free or taken, and no user comes with the error.
func TestHiddenRegistrationIsAccepted(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, hideAccounts)
	member(t, m.App, "taken", "")
	m.Mux.HandleFunc("POST /register", func(w http.ResponseWriter, r *http.Request) {
		user, err := m.Core.Register(r.Context(), auth.Registration{Email: r.PostFormValue("email"), NoPassword: true})
		if user != nil {
			t.Errorf("there is a user: %v", user)
		}
		m.Error(w, r, err)
	})
	for _, address := range []string{"free@app.example", "taken@app.example"} {
		c := m.Client(t)
		if r := c.Post("/register", "email", address); r.StatusCode != http.StatusAccepted {
			t.Errorf("%s: %s", address, r.Status)
		}
		r := c.Do("POST", "/register", url.Values{"email": {"another-" + address}}, http.Header{"Accept": {"application/json"}})
		if r.StatusCode != http.StatusAccepted || r.Text != `{"status":"Accepted"}` {
			t.Errorf("a program, %s: %s %q", address, r.Status, r.Text)
		}
	}
}
