package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// A lossyStore loses something of every account that it saves.
type lossyStore struct {
	testapp.Store
	lose     func(a *auth.Account)
	after    func(a auth.Account) error // makes UpdateAccount fail after the change
	truthful bool                       // CreateUser returns what it was given, not what it saved
	updates  int
}

func (s *lossyStore) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*testapp.User, error) {
	given := a.Clone()
	s.lose(&a)
	u, err := s.Store.CreateUser(ctx, a, form)
	if err == nil && s.truthful {
		given.ID = u.ID
		u.Account = given
	}
	return u, err
}

func (s *lossyStore) UpdateAccount(ctx context.Context, a auth.Account) error {
	s.updates++
	a = a.Clone()
	s.lose(&a)
	if err := s.Store.UpdateAccount(ctx, a); err != nil || s.after == nil {
		return err
	}
	return s.after(a)
}

// A lossyDeleter can delete users, too.
type lossyDeleter struct{ *lossyStore }

func (s lossyDeleter) DeleteUser(ctx context.Context, id string) error {
	d, ok := s.Store.(auth.UserDeleter)
	if !ok {
		return errors.New("no DeleteUser")
	}
	return d.DeleteUser(ctx, id)
}

// cutHashes is like a column of 64 bytes in a database that cuts longer texts.
func cutHashes(a *auth.Account) {
	if hash := a.PasswordHash.Reveal(); len(hash) > 64 {
		a.PasswordHash = auth.NewSecret(hash[:64])
	}
}

func keepAll(*auth.Account) {}

// losses are ways to lose a field that Register sets.
func losses() map[string]func(a *auth.Account) {
	return map[string]func(a *auth.Account){
		"Username":     func(a *auth.Account) { a.Username = "" },
		"Email":        func(a *auth.Account) { a.Email = "" },
		"PasswordHash": func(a *auth.Account) { a.PasswordHash = auth.Secret{} },
		"Stamp":        func(a *auth.Account) { a.Stamp = auth.Secret{} },
		"Version":      func(a *auth.Account) { a.Version = 0 },
	}
}

// lossyApp returns an application on a lossyStore that loses nothing yet.
func lossyApp(t *testing.T, deletes bool) (*testapp.App, *lossyStore) {
	t.Helper()
	clock := testapp.NewClock()
	lossy := &lossyStore{Store: memstore.New[testapp.User](memstore.WithClock(clock.Now)), lose: keepAll}
	var store testapp.Store = lossy
	if deletes {
		store = lossyDeleter{lossy}
	}
	return testapp.New(t, store, clock, nil), lossy
}

// If the store loses a field, the first registration fails. The error names the field.
// The new row is deleted, or the error names it.
func TestRegisterReportsALostField(t *testing.T) {
	t.Parallel()
	all := losses()
	all["PasswordHash was cut from 95 to 64 bytes; its column needs room for 400"] = cutHashes
	for _, deletes := range []bool{true, false} {
		for _, truthful := range []bool{false, true} {
			for field, lose := range all {
				app, store := lossyApp(t, deletes)
				store.lose, store.truthful = lose, truthful
				_, err := app.Register(t.Context(), auth.Registration{Username: "ann", Email: "ann@app.example", Password: testapp.Password})
				name, _, cut := strings.Cut(field, " ")
				did := "CreateUser returned a user whose "
				if truthful {
					did = "LoadUser, after CreateUser, returned a user whose "
				}
				if err == nil || !strings.HasPrefix(err.Error(), "auth: "+did+name+" differs from the Account it was given") ||
					cut && !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), "storetest.TestUserStore") {
					t.Errorf("%s (deletes: %v): %v", field, deletes, err)
					continue
				}
				var left *testapp.User
				for _, key := range []string{"ann", "ann@app.example"} {
					if u, err := store.FindUser(t.Context(), key); err == nil {
						left = u
					}
				}
				switch {
				case deletes && left != nil:
					t.Errorf("%s: a row is left", field)
				case !deletes && (left == nil || !strings.Contains(err.Error(), `the user with the ID "`+left.ID+`" is left`)):
					t.Errorf("%s: the row %v is left, and the error is %v", field, left, err)
				}
			}
		}
	}
}

// If CreateUser returns another user, that user is not deleted.
func TestRegisterDeletesNoOtherUser(t *testing.T) {
	t.Parallel()
	app, store := lossyApp(t, true)
	susan := app.Create(t, "susan", true)
	other := &strangeStore{lossyDeleter{store}, susan}
	manager, err := auth.New[*testapp.User](other, auth.Config{
		BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = manager.Register(t.Context(), auth.Registration{Username: "ann", Email: "ann@app.example", NoPassword: true})
	if err == nil || !strings.Contains(err.Error(), "Username, Email, ") || !strings.Contains(err.Error(), susan.ID) {
		t.Error(err)
	}
	if u := stored(t, app, susan.ID); u.Version != susan.Version {
		t.Errorf("%+v", u)
	}
	other.returned = nil
	_, err = manager.Register(t.Context(), auth.Registration{Username: "bob", Email: "bob@app.example", NoPassword: true})
	if err == nil || !strings.Contains(err.Error(), "CreateUser returned no user") {
		t.Error(err)
	}
	if u, err := store.FindUser(t.Context(), "bob"); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("left: %v, %v", u, err)
	}
	other.returned = &testapp.User{Account: auth.Account{Username: "eve"}}
	_, err = manager.Register(t.Context(), auth.Registration{Username: "eve", NoPassword: true})
	if err == nil || !strings.Contains(err.Error(), "without an ID") {
		t.Error(err)
	}
	if u, err := store.FindUser(t.Context(), "eve"); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("left: %v, %v", u, err)
	}
}

// A strangeStore creates one user and returns another.
type strangeStore struct {
	lossyDeleter
	returned *testapp.User
}

func (s strangeStore) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*testapp.User, error) {
	_, err := s.lossyDeleter.CreateUser(ctx, a, form)
	return s.returned, err
}

// If the store does not save a change, the error names the field, and the account stays
// as it was, with its password, reset token and logins.
func TestChangeReportsALostField(t *testing.T) {
	t.Parallel()
	const next = "another fine sentence"
	for _, c := range []struct {
		name, want string
		lose       func(a *auth.Account)
		after      error
		change     func(t *testing.T, app *testapp.App, u *testapp.User) error
	}{
		{"SetPassword", "PasswordHash was cut from 95 to 64 bytes", cutHashes, nil, func(t *testing.T, app *testapp.App, u *testapp.User) error {
			return app.SetPassword(t.Context(), u, next)
		}},
		{"SetPassword that fails having cut it", "PasswordHash was cut from 95 to 64 bytes", cutHashes, errStore, func(t *testing.T, app *testapp.App, u *testapp.User) error {
			return app.SetPassword(t.Context(), u, next)
		}},
		{"ResetPassword", "PasswordHash was cut from 95 to 64 bytes", cutHashes, nil, func(t *testing.T, app *testapp.App, u *testapp.User) error {
			_, err := app.ResetPassword(t.Context(), resetToken(t, app, u), next)
			return err
		}},
		{"LogoutEverywhere", "Stamp", func(a *auth.Account) { a.Stamp = auth.NewSecret("always the same") }, nil, func(t *testing.T, app *testapp.App, u *testapp.User) error {
			return app.LogoutEverywhere(t.Context(), u)
		}},
		{"CloseAccount", "Disabled", func(a *auth.Account) { a.Disabled = false }, nil, func(t *testing.T, app *testapp.App, u *testapp.User) error {
			return app.CloseAccount(t.Context(), u)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			app, store := lossyApp(t, false)
			u := member(t, app, "alice", testapp.Password, func(a *auth.Account) { a.Stamp = auth.NewSecret("always the same") })
			token := resetToken(t, app, u)
			hash := stored(t, app, u.ID).PasswordHash

			store.lose = c.lose
			if c.after != nil {
				once := true
				store.after = func(auth.Account) error {
					if once {
						once = false
						return c.after
					}
					return nil
				}
			}
			err := c.change(t, app, u)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "storetest.TestUserStore") {
				t.Errorf("%v, want %q", err, c.want)
			}
			store.lose, store.after = keepAll, nil
			now := stored(t, app, u.ID)
			if !now.PasswordHash.Equal(hash) || !now.Stamp.Equal(u.Stamp) || now.Disabled {
				t.Errorf("left %+v", now.Account)
			}
			if _, err := app.ResetPassword(t.Context(), token, next); err != nil {
				t.Errorf("the reset token is lost: %v", err)
			}
		})
	}
}

// A store may save names in lower case, even names that today's rules would refuse.
func TestStoreMayLowerNames(t *testing.T) {
	t.Parallel()
	lower := func(a *auth.Account) { a.Username, a.Email = strings.ToLower(a.Username), strings.ToLower(a.Email) }
	store := &lossyStore{Store: memstore.New[testapp.User](), lose: lower}
	app := testapp.New(t, store, testapp.NewClock(), func(c *auth.Config) { c.LocalDomains = true })
	u, err := app.Register(t.Context(), auth.Registration{Username: "Admin", Email: "Admin@LocalHost", Password: testapp.Password})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.SetPassword(t.Context(), u, "another good password"); err != nil {
		t.Error(err)
	}
	for _, name := range []auth.Account{{Username: "Susan Smith"}, {Email: "A%B@app.example"}, {Email: "Admin@localhost"}} {
		table := &oldTable{Store: memstore.New[testapp.User]()}
		table.user.Account = auth.Account{
			ID: "7", Username: name.Username, Email: name.Email, Stamp: auth.NewSecret("stamp"), Version: 1, PasswordHash: cheapHash(testapp.Password),
		}
		app := testapp.New(t, &lossyStore{Store: table, lose: lower}, testapp.NewClock(), nil)
		if err := app.SetPassword(t.Context(), stored(t, app, "7"), "another good password"); err != nil {
			t.Errorf("%+v: %v", name, err)
		}
	}
}

// An uncountedStore does not save Version: it always returns 1.
type uncountedStore struct{ testapp.Store }

func (s uncountedStore) LoadUser(ctx context.Context, id string) (*testapp.User, error) {
	u, err := s.Store.LoadUser(ctx, id)
	if err == nil {
		u.Version = 1
	}
	return u, err
}

func (s uncountedStore) UpdateAccount(ctx context.Context, a auth.Account) error {
	u, err := s.Store.LoadUser(ctx, a.ID)
	if err != nil {
		return err
	}
	a.Version = u.Version
	return s.Store.UpdateAccount(ctx, a)
}

// A store that does not increase Version would lose changes. The first change reports
// that.
func TestChangeReportsAnUncountedVersion(t *testing.T) {
	t.Parallel()
	app := testapp.New(t, uncountedStore{memstore.New[testapp.User]()}, testapp.NewClock(), nil)
	u := member(t, app, "alice", testapp.Password)
	err := app.SetPassword(t.Context(), u, "another fine sentence")
	if err == nil || !strings.Contains(err.Error(), "a user whose Version differs") {
		t.Error(err)
	}
	if !stored(t, app, u.ID).PasswordHash.Equal(u.PasswordHash) {
		t.Error("the old password is gone")
	}
}

// A partialStore leaves fields out.
type partialStore struct {
	testapp.Store
	omitted []auth.AccountField
}

func (s partialStore) OmittedFields() []auth.AccountField { return s.omitted }

func (s partialStore) drop(a auth.Account) auth.Account {
	for _, field := range s.omitted {
		switch field {
		case auth.FieldUsername:
			a.Username = ""
		case auth.FieldEmail:
			a.Email = ""
		case auth.FieldEmailVerified:
			a.EmailVerified = false
		case auth.FieldPasswordHash:
			a.PasswordHash = auth.Secret{}
		case auth.FieldDisabled:
			a.Disabled = false
		case auth.FieldRoles:
			a.Roles = nil
		}
	}
	return a
}

func (s partialStore) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*testapp.User, error) {
	return s.Store.CreateUser(ctx, s.drop(a), form)
}

func (s partialStore) UpdateAccount(ctx context.Context, a auth.Account) error {
	return s.Store.UpdateAccount(ctx, s.drop(a))
}

// A partialDeleter can delete users, too.
type partialDeleter struct{ partialStore }

func (s partialDeleter) DeleteUser(ctx context.Context, id string) error {
	d, ok := s.Store.(auth.UserDeleter)
	if !ok {
		return errors.New("no DeleteUser")
	}
	return d.DeleteUser(ctx, id)
}

func partial(fields ...auth.AccountField) partialStore {
	return partialStore{memstore.New[testapp.User](), fields}
}

// New refuses settings that need a field which the store leaves out, and stores that
// leave out an indispensable field.
func TestOmittedFieldsAndSettings(t *testing.T) {
	t.Parallel()
	basic := []auth.Credential{auth.Basic("app")}
	for _, c := range []struct {
		omitted auth.AccountField
		set     func(c *auth.Config)
		want    string // the error; empty for none
	}{
		{"ID", nil, "OmittedFields has ID, which no user store can leave out"},
		{"Stamp", nil, "OmittedFields has Stamp, which no user store can leave out"},
		{"Version", nil, "OmittedFields has Version, which no user store can leave out"},
		{"Nickname", nil, `OmittedFields has "Nickname", which is not a field of Account`},
		{auth.FieldUsername, nil, ""},
		{auth.FieldUsername, func(c *auth.Config) { c.Identifiers = auth.EmailOnly }, ""},
		{auth.FieldUsername, func(c *auth.Config) { c.Identifiers = auth.UsernameOnly }, "Config.Identifiers: UsernameOnly needs Account.Username"},
		{auth.FieldUsername, func(c *auth.Config) { requireVerified(c); c.Mailer = &testapp.Outbox{} }, ""},
		{auth.FieldEmail, nil, ""},
		{auth.FieldEmail, func(c *auth.Config) { c.Identifiers = auth.UsernameOnly }, ""},
		{auth.FieldEmail, func(c *auth.Config) { c.Identifiers = auth.EmailOnly }, "Config.Identifiers: EmailOnly needs Account.Email"},
		{auth.FieldEmail, func(c *auth.Config) { c.Mailer = &testapp.Outbox{} }, "Config.Mailer needs Account.Email"},
		{auth.FieldEmail, requireVerified, "Config.RequireVerified needs Account.EmailVerified"},
		{auth.FieldEmail, func(c *auth.Config) { c.URLs.Verify = "/verify" }, "Config.URLs.Verify needs Account.EmailVerified"},
		{auth.FieldEmailVerified, func(c *auth.Config) { c.Mailer = &testapp.Outbox{} }, ""},
		{auth.FieldEmailVerified, requireVerified, "Config.RequireVerified needs Account.EmailVerified"},
		{auth.FieldEmailVerified, func(c *auth.Config) { c.URLs.Verify = "/verify" }, "Config.URLs.Verify needs Account.EmailVerified"},
		{auth.FieldPasswordHash, nil, ""},
		{auth.FieldPasswordHash, func(c *auth.Config) { c.Password.Min = 15 }, "Config.Password.Min needs Account.PasswordHash"},
		{auth.FieldPasswordHash, func(c *auth.Config) { c.Password.Words = []string{"app"} }, "Config.Password.Words needs Account.PasswordHash"},
		{auth.FieldPasswordHash, func(c *auth.Config) { c.Password.Breaches = leakyChecker{} }, "Config.Password.Breaches needs Account.PasswordHash"},
		{auth.FieldPasswordHash, func(c *auth.Config) {
			c.Password.Check = func(context.Context, string, auth.Account) error { return nil }
		}, "Config.Password.Check needs Account.PasswordHash"},
		{auth.FieldPasswordHash, func(c *auth.Config) { c.Password.HashParams = hashParams(19456, 2, 1, 16, 32) }, "Config.Password.HashParams needs Account.PasswordHash"},
		{auth.FieldPasswordHash, func(c *auth.Config) { c.Password.HashMemory = 64 << 20 }, "Config.Password.HashMemory needs Account.PasswordHash"},
		{auth.FieldPasswordHash, func(c *auth.Config) { c.Password.ResetLifetime = time.Hour }, "Config.Password.ResetLifetime needs Account.PasswordHash"},
		{auth.FieldPasswordHash, func(c *auth.Config) { c.Password.Peppers = []auth.Pepper{{}} }, "Config.Password.Peppers needs Account.PasswordHash"},
		{auth.FieldPasswordHash, func(c *auth.Config) { c.Credentials = basic }, "Config.Credentials with Basic needs Account.PasswordHash"},
		{auth.FieldDisabled, nil, ""},
		{auth.FieldRoles, nil, ""},
	} {
		cfg := auth.Config{BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}}
		if c.set != nil {
			c.set(&cfg)
		}
		_, err := auth.New[*testapp.User](partial(c.omitted), cfg)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "auth: "+c.want)) {
			t.Errorf("without %s: %v, want %q", c.omitted, err, c.want)
		}
	}
	_, err := auth.New[*testapp.User](partial(auth.FieldUsername, auth.FieldEmail), auth.Config{})
	if err == nil || !strings.Contains(err.Error(), "keep one of them") {
		t.Error(err)
	}
}

// An application works on a table without usernames, Disabled and Roles. Functions that
// need these fields return an error that says so.
func TestApplicationWithOmittedFields(t *testing.T) {
	t.Parallel()
	store := partial(auth.FieldUsername, auth.FieldDisabled, auth.FieldRoles)
	app := testapp.New(t, store, testapp.NewClock(), nil)
	if got := app.Config().Identifiers; got != auth.EmailOnly {
		t.Errorf("Identifiers: %v", got)
	}
	_, err := app.Register(t.Context(), auth.Registration{Username: "ann", Email: "ann@app.example", Password: testapp.Password})
	if !errors.Is(err, auth.ErrInvalidUsername) || !strings.Contains(err.Error(), "which the user store leaves out") {
		t.Errorf("with a username: %v", err)
	}
	if _, err := app.Register(t.Context(), auth.Registration{Password: testapp.Password}); !errors.Is(err, auth.ErrInvalidEmail) {
		t.Errorf("without an address: %v", err)
	}
	u, err := app.Register(t.Context(), auth.Registration{Email: "ann@app.example", Password: testapp.Password})
	if err != nil {
		t.Fatal(err)
	}
	browser := app.Client(t)
	if r := browser.Post("/login", "login", "ann@app.example", "password", testapp.Password); r.StatusCode != http.StatusOK {
		t.Errorf("%s %s", r.Status, r.Text)
	}
	const next = "another fine sentence"
	if err := app.SetPassword(t.Context(), u, next); err != nil {
		t.Error(err)
	}
	u = stored(t, app, u.ID)
	if _, err := app.ResetPassword(t.Context(), resetToken(t, app, u), testapp.Password); err != nil {
		t.Error(err)
	}
	u = stored(t, app, u.ID)
	err = app.CloseAccount(t.Context(), u)
	if err == nil || !strings.Contains(err.Error(), "UserDeleter, needs Account.Disabled") {
		t.Errorf("CloseAccount: %v", err)
	}
	if now := stored(t, app, u.ID); now.Version != u.Version {
		t.Errorf("it has changed %+v", now.Account)
	}
	deleting := testapp.New(t, partialDeleter{store}, testapp.NewClock(), nil)
	if err := deleting.CloseAccount(t.Context(), u); err != nil {
		t.Errorf("CloseAccount: %v", err)
	}
	if _, err := store.LoadUser(t.Context(), u.ID); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("after it: %v", err)
	}
}

// Each function that needs a field which the store leaves out names the field in its
// error.
func TestOmittedFieldsAndFunctions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field auth.AccountField
		name  string
		do    func(ctx context.Context, app *testapp.App, u *testapp.User) error
	}{
		{auth.FieldEmail, "Register", func(ctx context.Context, app *testapp.App, _ *testapp.User) error {
			_, err := app.Register(ctx, auth.Registration{Username: "ann", Email: "ann@app.example", NoPassword: true})
			return err
		}},
		{auth.FieldEmailVerified, "SendVerification", func(ctx context.Context, app *testapp.App, u *testapp.User) error {
			return app.SendVerification(ctx, u.Email)
		}},
		{auth.FieldEmailVerified, "VerifyEmail", func(ctx context.Context, app *testapp.App, _ *testapp.User) error {
			_, err := app.VerifyEmail(ctx, "token")
			return err
		}},
		{auth.FieldDisabled, "Disable", func(ctx context.Context, app *testapp.App, u *testapp.User) error {
			return app.Disable(ctx, u.ID)
		}},
		{auth.FieldDisabled, "Enable", func(ctx context.Context, app *testapp.App, u *testapp.User) error {
			return app.Enable(ctx, u.ID)
		}},
		{auth.FieldPasswordHash, "Register", func(ctx context.Context, app *testapp.App, _ *testapp.User) error {
			_, err := app.Register(ctx, auth.Registration{Username: "ann", Password: testapp.Password})
			return err
		}},
		{auth.FieldPasswordHash, "SetPassword", func(ctx context.Context, app *testapp.App, u *testapp.User) error {
			return app.SetPassword(ctx, u, testapp.Password)
		}},
		{auth.FieldPasswordHash, "CheckPassword", func(ctx context.Context, app *testapp.App, u *testapp.User) error {
			_, err := app.CheckPassword(ctx, u, testapp.Password)
			return err
		}},
		{auth.FieldPasswordHash, "Authenticate", func(ctx context.Context, app *testapp.App, u *testapp.User) error {
			_, err := app.Authenticate(ctx, u.Username, testapp.Password)
			return err
		}},
		{auth.FieldPasswordHash, "SendReset", func(ctx context.Context, app *testapp.App, u *testapp.User) error {
			return app.SendReset(ctx, u.Email)
		}},
		{auth.FieldPasswordHash, "ResetToken", func(ctx context.Context, app *testapp.App, u *testapp.User) error {
			_, err := app.ResetToken(ctx, u)
			return err
		}},
		{auth.FieldEmailVerified, "VerificationToken", func(ctx context.Context, app *testapp.App, u *testapp.User) error {
			_, err := app.VerificationToken(ctx, u)
			return err
		}},
		{auth.FieldPasswordHash, "ResetPassword", func(ctx context.Context, app *testapp.App, _ *testapp.User) error {
			_, err := app.ResetPassword(ctx, "token", testapp.Password)
			return err
		}},
	} {
		app := testapp.New(t, partial(c.field), testapp.NewClock(), func(cfg *auth.Config) {
			if c.field != auth.FieldEmail {
				cfg.Mailer = &testapp.Outbox{}
			}
		})
		u := member(t, app, "alice", "")
		err := c.do(t.Context(), app, u)
		if want := fmt.Sprintf("needs Account.%s, which the user store leaves out", c.field); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", c.name, err, want)
		}
	}
}

// If the store cuts the upgraded hash or does not save it, the old hash is restored.
// This login and all later ones succeed.
func TestCutHashIsRestored(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		lose     func(a *auth.Account)
		after    error
		upgraded bool
		want     string // of the event
	}{
		{"cuts", cutHashes, nil, false, "PasswordHash was cut from 95 to 64 bytes; its column needs room for 400"},
		{"cuts and fails", cutHashes, errStore, false, "PasswordHash was cut from 95 to 64 bytes; its column needs room for 400"},
		{"fails having done it", keepAll, errStore, true, ""},
		{"empties it", func(a *auth.Account) {
			if len(a.PasswordHash.Reveal()) > 64 {
				a.PasswordHash = auth.Secret{}
			}
		}, nil, false, "PasswordHash differs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			app, store := lossyApp(t, false)
			alice := member(t, app, "alice", testapp.Password) // a hash of 61 bytes
			store.lose = c.lose
			store.after = func(a auth.Account) error {
				if a.PasswordHash.Equal(alice.PasswordHash) {
					return nil
				}
				return c.after
			}
			browser := app.Client(t)
			if r := browser.Post("/login", "login", "alice", "password", testapp.Password); r.StatusCode != http.StatusOK || browser.Who() != "alice" {
				t.Errorf("%s %s", r.Status, r.Text)
			}
			var events []auth.Event
			for _, e := range app.Events() {
				if e.Kind == auth.EventHashNotUpgraded || e.Kind == auth.EventHashUpgraded {
					events = append(events, e)
				}
			}
			kind := auth.EventHashNotUpgraded
			if c.upgraded {
				kind = auth.EventHashUpgraded
			}
			if len(events) != 1 || events[0].Kind != kind || events[0].UserID != alice.ID ||
				!c.upgraded && (events[0].Err == nil || !strings.Contains(events[0].Err.Error(), c.want) || !strings.Contains(events[0].Err.Error(), "has the old one again")) {
				t.Errorf("%+v", events)
			}
			u := stored(t, app, alice.ID)
			if c.upgraded == u.PasswordHash.Equal(alice.PasswordHash) || !u.Stamp.Equal(alice.Stamp) {
				t.Errorf("left %q", u.PasswordHash.Reveal())
			}
			// The upgrade is tried again after an hour, and not at each login, where it
			// would cost a second hash.
			updates, hashes := store.updates, app.PasswordHashes()
			for range 3 {
				if _, err := app.Authenticate(t.Context(), "alice", testapp.Password); err != nil {
					t.Error(err)
				}
			}
			if store.updates != updates || app.PasswordHashes() != hashes+3 {
				t.Errorf("tried again: %d updates, %d hashes", store.updates-updates, app.PasswordHashes()-hashes)
			}
			app.Clock.Advance(time.Hour)
			store.lose, store.after = keepAll, nil // the column is long enough now
			if _, err := app.Authenticate(t.Context(), "alice", testapp.Password); err != nil {
				t.Error(err)
			}
			if u := stored(t, app, alice.ID); len(u.PasswordHash.Reveal()) != 95 || !opens(t, app, alice.ID, testapp.Password) {
				t.Errorf("after an hour: %q", u.PasswordHash.Reveal())
			}
		})
	}
}

// If the store refuses the upgraded hash, as MySQL does in strict mode, the login still
// succeeds.
func TestRefusedHashUpgrade(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	alice := member(t, app, "alice", testapp.Password)
	store.Hook(func(call string) error {
		if call == "UpdateAccount" {
			return errors.New("data too long for column 'pass'")
		}
		return nil
	}, nil)
	browser := app.Client(t)
	for range 2 {
		if r := browser.Post("/login", "login", "alice", "password", testapp.Password); r.StatusCode != http.StatusOK || browser.Who() != "alice" {
			t.Errorf("%s %s", r.Status, r.Text)
		}
	}
	events := app.Events()
	i := slices.IndexFunc(events, func(e auth.Event) bool { return e.Kind == auth.EventHashNotUpgraded })
	if n := count(events, auth.EventHashNotUpgraded, alice.ID); n != 1 || !strings.Contains(events[i].Err.Error(), "data too long") {
		t.Errorf("%d events: %+v", n, events)
	}
	if !stored(t, app, alice.ID).PasswordHash.Equal(alice.PasswordHash) {
		t.Error("the hash was changed")
	}
}

// If the old hash cannot be restored either, the event says so.
func TestHashUpgradeThatCannotBeUndone(t *testing.T) {
	t.Parallel()
	app, store := lossyApp(t, false)
	alice := member(t, app, "alice", testapp.Password)
	store.lose = func(a *auth.Account) { a.PasswordHash = auth.NewSecret("$cut") }
	if _, err := app.Authenticate(t.Context(), "alice", testapp.Password); err != nil {
		t.Error(err)
	}
	events := app.Events()
	i := slices.IndexFunc(events, func(e auth.Event) bool { return e.Kind == auth.EventHashNotUpgraded })
	if i < 0 || events[i].UserID != alice.ID || !strings.Contains(events[i].Err.Error(), "could not be put back") {
		t.Errorf("%+v", events)
	}
}
