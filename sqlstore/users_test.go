package sqlstore_test

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

func newStore(t *testing.T, e engine) *sqlstore.Store[User, *User] {
	t.Helper()
	return sqlstore.New[User](e.newDB(t), e.dialect, sqlstore.WithClock(clock))
}

func TestProfile(t *testing.T) { each(t, testProfile) }

func testProfile(t *testing.T, e engine) {
	s := newStore(t, e)
	a := auth.Account{
		Username: "Ada", Email: "Ada@Example.com", EmailVerified: true,
		PasswordHash: auth.NewSecret("$argon2id$…"), Stamp: auth.NewSecret("stamp"), Roles: []string{"admin", ""}, Version: 41,
	}
	created, err := s.CreateUser(t.Context(), a, url.Values{"name": {"Ada"}, "role": {"root"}})
	check(t, err)
	if len(created.ID) < 26 || created.Name != "Ada" || len(created.Roles) != 2 {
		t.Fatalf("created %+v", created)
	}

	changed := *created
	changed.Born = 1815
	changed.Settings = map[string]string{"theme": "<dark>", "\x00": "ä"}
	changed.Dirty = true          // not in JSON
	changed.Username = "countess" // not in the profile
	check(t, s.UpdateProfile(t.Context(), &changed))
	if changed.Version != 41 {
		t.Errorf("UpdateProfile wrote to the user: version %d", changed.Version)
	}
	wantError(t, s.UpdateProfile(t.Context(), &changed), auth.ErrConflict)

	want := *created
	want.Born, want.Settings, want.Version = changed.Born, changed.Settings, 42
	for _, find := range []func() (*User, error){
		func() (*User, error) { return s.LoadUser(t.Context(), created.ID) },
		func() (*User, error) { return s.FindUser(t.Context(), "ada") },
		func() (*User, error) { return s.FindUser(t.Context(), "ada@example.com") },
	} {
		got, err := find()
		check(t, err)
		if !got.PasswordHash.Equal(a.PasswordHash) || !got.Stamp.Equal(a.Stamp) {
			t.Error("the secrets have changed")
		}
		got.PasswordHash, got.Stamp = want.PasswordHash, want.Stamp
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("got %+v, want %+v", *got, want)
		}
	}

	// UpdateAccount leaves the profile alone.
	next := want.Clone()
	next.Username, next.Disabled, next.Roles = "", true, nil
	check(t, s.UpdateAccount(t.Context(), next))
	got, err := s.LoadUser(t.Context(), next.ID)
	check(t, err)
	if got.Born != 1815 || got.Username != "" || !got.Disabled || got.Roles != nil || got.Version != 43 {
		t.Errorf("got %+v", got)
	}

	changed.ID = "nobody's"
	wantError(t, s.UpdateProfile(t.Context(), &changed), auth.ErrUserNotFound)
}

func TestProfileHoldsNoAccount(t *testing.T) { each(t, testProfileHoldsNoAccount) }

func testProfileHoldsNoAccount(t *testing.T, e engine) {
	db := e.newDB(t)
	s := sqlstore.New[User](db, e.dialect)
	_, err := s.CreateUser(t.Context(), auth.Account{
		Username: "ada", PasswordHash: auth.NewSecret("hash"), Roles: []string{"admin"},
	}, url.Values{"name": {"Ada"}})
	check(t, err)
	var profile string
	check(t, db.QueryRowContext(t.Context(), `SELECT profile FROM auth_users`).Scan(&profile))
	if want := `{"Name":"Ada","born":0}`; profile != want {
		t.Errorf("got %s, want %s", profile, want)
	}
}

// TestIgnoresForm: the store says whether its users read the form.
func TestIgnoresForm(t *testing.T) {
	type plain struct{ auth.Account }
	if !sqlstore.New[plain](nil, sqlstore.SQLite).IgnoresForm() || sqlstore.New[User](nil, sqlstore.SQLite).IgnoresForm() {
		t.Error("IgnoresForm is wrong")
	}
}

func TestReadForm(t *testing.T) { each(t, testReadForm) }

func testReadForm(t *testing.T, e engine) {
	s := newStore(t, e)
	_, err := s.CreateUser(t.Context(), auth.Account{Username: "ada"}, url.Values{"name": {"nobody"}})
	if err != errNoName { //nolint:errorlint // the error itself, not wrapped
		t.Errorf("got the error %v", err)
	}
	_, err = s.FindUser(t.Context(), "ada")
	wantError(t, err, auth.ErrUserNotFound)
}

// A value that JSON cannot read back is refused before it is saved.
func TestProfileWithSecret(t *testing.T) { each(t, testProfileWithSecret) }

func testProfileWithSecret(t *testing.T, e engine) {
	type user struct {
		auth.Account
		PIN auth.Secret `json:",omitzero"`
	}
	s := sqlstore.New[user](e.newDB(t), e.dialect)
	u, err := s.CreateUser(t.Context(), auth.Account{Username: "ada"}, nil)
	check(t, err)
	u.PIN = auth.NewSecret("1234")
	wantFailure(t, "UpdateProfile", s.UpdateProfile(t.Context(), u))
	got, err := s.LoadUser(t.Context(), u.ID)
	check(t, err)
	if got.Version != u.Version {
		t.Error("it was saved")
	}
}

// A type with its own MarshalJSON can return bytes that are not valid text,
// which some databases refuse.
func TestProfileIsText(t *testing.T) { each(t, testProfileIsText) }

func testProfileIsText(t *testing.T, e engine) {
	type user struct {
		auth.Account
		Raw json.RawMessage
	}
	s := sqlstore.New[user](e.newDB(t), e.dialect)
	u, err := s.CreateUser(t.Context(), auth.Account{Username: "ada"}, nil)
	check(t, err)
	for raw, want := range map[string]bool{`"é\u0000\ud800"`: true, "\"\xe9\"": false, "\"\x00\"": false} {
		u.Raw = json.RawMessage(raw)
		if err := s.UpdateProfile(t.Context(), u); (err == nil) != want {
			t.Errorf("%q: %v", raw, err)
		}
		u, err = s.LoadUser(t.Context(), u.ID)
		check(t, err)
	}
	if want := `"é\u0000\ud800"`; string(u.Raw) != want {
		t.Errorf("got %q, want %q", u.Raw, want)
	}
}

// A type may keep its account in any field, but by value.
type member struct {
	Login auth.Account `json:"-"`
	Nick  string
}

func (m *member) AuthAccount() *auth.Account { return &m.Login }

type borrowed struct{ account *auth.Account }

func (b *borrowed) AuthAccount() *auth.Account {
	if b.account == nil {
		b.account = &auth.Account{}
	}
	return b.account
}

func TestAccountInAField(t *testing.T) { each(t, testAccountInAField) }

func testAccountInAField(t *testing.T, e engine) {
	s := sqlstore.New[member](e.newDB(t), e.dialect)
	m, err := s.CreateUser(t.Context(), auth.Account{Username: "ada"}, nil)
	check(t, err)
	m.Nick = "A"
	check(t, s.UpdateProfile(t.Context(), m))
	if m.Login.Username != "ada" {
		t.Error("UpdateProfile emptied the account")
	}
	m, err = s.LoadUser(t.Context(), m.Login.ID)
	check(t, err)
	if m.Nick != "A" || m.Login.Username != "ada" || m.Login.Version != 1 {
		t.Errorf("got %+v", m)
	}

	b := &borrowed{&auth.Account{ID: m.Login.ID, Version: 1}}
	wantFailure(t, "UpdateProfile", sqlstore.New[borrowed](e.newDB(t), e.dialect).UpdateProfile(t.Context(), b))
	if b.account.ID == "" {
		t.Error("UpdateProfile emptied the account")
	}
}

func TestHostileNames(t *testing.T) { each(t, testHostileNames) }

func testHostileNames(t *testing.T, e engine) {
	db := e.newDB(t)
	s := sqlstore.New[User](db, e.dialect)
	populate(t, s)
	for _, name := range append(hostile[4:], "", "1\x00", "' OR '1'='1", "1' --", "ADA", "ada@EXAMPLE.com", "ada ") {
		if name == "1" {
			continue
		}
		_, err := s.LoadUser(t.Context(), name)
		wantError(t, err, auth.ErrUserNotFound)
		_, err = s.FindUser(t.Context(), name)
		wantError(t, err, auth.ErrUserNotFound)
		wantError(t, s.DeleteUser(t.Context(), name), auth.ErrUserNotFound)
		wantError(t, s.UpdateAccount(t.Context(), auth.Account{ID: name, Username: "eve"}), auth.ErrUserNotFound)
		wantError(t, s.UpdateProfile(t.Context(), &User{Account: auth.Account{ID: name}}), auth.ErrUserNotFound)
	}
	_, err := s.CreateUser(t.Context(), auth.Account{Username: "' OR 1=1 --"}, nil)
	wantError(t, err, auth.ErrInvalidUsername)
	_, err = s.CreateUser(t.Context(), auth.Account{Username: "bob", Email: "' OR 1=1 --"}, nil)
	wantError(t, err, auth.ErrInvalidEmail)
	wantError(t, s.UpdateAccount(t.Context(), auth.Account{ID: "1", Version: 1, Username: "' OR 1=1 --"}), auth.ErrInvalidUsername)

	// This text is a valid address.
	injection := "'or'1'='1'--@x.example"
	u, err := s.CreateUser(t.Context(), auth.Account{Email: injection}, url.Values{"name": {"'; DROP TABLE auth_users; --"}})
	check(t, err)
	got, err := s.FindUser(t.Context(), injection)
	check(t, err)
	if got.ID != u.ID || got.Name != "'; DROP TABLE auth_users; --" {
		t.Errorf("got %+v", got)
	}
	check(t, s.DeleteUser(t.Context(), u.ID))
	_, err = s.LoadUser(t.Context(), "1")
	check(t, err)

	for _, a := range []auth.Account{
		{ID: "\xff", Username: "eve"},
		{ID: "\x00", Username: "eve"},
		{Username: "eve", Roles: []string{"\xff"}},
		{Username: "eve", Stamp: auth.NewSecret("\x00")},
	} {
		_, err := s.CreateUser(t.Context(), a, nil)
		wantFailure(t, "CreateUser", err)
	}
}

func TestTaken(t *testing.T) { each(t, testTaken) }

func testTaken(t *testing.T, e engine) {
	s := newStore(t, e)
	populate(t, s)
	bob, err := s.CreateUser(t.Context(), auth.Account{ID: "2", Username: "bob", Email: "bob@example.com", Version: 1}, nil)
	check(t, err)
	for _, c := range []struct {
		a    auth.Account
		want error
	}{
		{auth.Account{Username: "ADA"}, auth.ErrUsernameTaken},
		{auth.Account{Email: "ADA@example.COM"}, auth.ErrEmailTaken},
		{auth.Account{Username: "ada", Email: "ada@example.com"}, auth.ErrUsernameTaken},
		{auth.Account{Username: "ada", Email: "bob@example.com"}, auth.ErrUsernameTaken},
	} {
		_, err := s.CreateUser(t.Context(), c.a, nil)
		wantError(t, err, c.want)
		c.a.ID, c.a.Version = bob.ID, bob.Version
		wantError(t, s.UpdateAccount(t.Context(), c.a), c.want)
		c.a.Version++
		wantError(t, s.UpdateAccount(t.Context(), c.a), auth.ErrConflict)
		c.a.ID = "3"
		wantError(t, s.UpdateAccount(t.Context(), c.a), auth.ErrUserNotFound)
	}
	_, err = s.CreateUser(t.Context(), auth.Account{ID: "2", Username: "eve"}, nil)
	wantFailure(t, "an ID that is taken", err)

	// Nothing collides with an empty name, and no account with itself.
	for range 2 {
		_, err = s.CreateUser(t.Context(), auth.Account{Username: strings.Repeat("x", 1+len(bob.ID))}, nil)
		check(t, err)
		bob.ID += "x"
	}
	check(t, s.UpdateAccount(t.Context(), auth.Account{ID: "2", Username: "BOB", Version: 1}))
}

func TestDeleteUser(t *testing.T) { each(t, testDeleteUser) }

func testDeleteUser(t *testing.T, e engine) {
	s := newStore(t, e)
	populate(t, s)
	check(t, s.DeleteUser(t.Context(), "1"))
	wantError(t, s.DeleteUser(t.Context(), "1"), auth.ErrUserNotFound)
	_, err := s.GetRecord(t.Context(), "session", "a") // CloseAccount deletes the session
	check(t, err)
	_, err = s.CreateUser(t.Context(), auth.Account{Username: "ada", Email: "ada@example.com"}, nil)
	check(t, err)
}

// A stored name that today's rules refuse keeps its key when another field of
// its account changes. A new name must follow the rules.
func TestOldNames(t *testing.T) { each(t, testOldNames) }

func testOldNames(t *testing.T, e engine) {
	db := e.newDB(t)
	s := sqlstore.New[User](db, e.dialect, sqlstore.WithClock(clock))
	u, err := s.CreateUser(t.Context(), auth.Account{Username: "susan", Email: "susan@app.example", Stamp: auth.NewSecret("stamp"), Version: 1}, nil)
	check(t, err)
	const username, email = "Susan Smith", "a..b@app.example"
	_, err = db.ExecContext(t.Context(), `UPDATE auth_users SET username = '`+username+`', username_key = 'susan smith', email = '`+email+`', email_key = '`+email+`'`)
	check(t, err)
	u, err = s.LoadUser(t.Context(), u.ID)
	check(t, err)

	change := u.Clone()
	change.Disabled = true
	check(t, s.UpdateAccount(t.Context(), change))
	wantError(t, s.UpdateAccount(t.Context(), change), auth.ErrConflict)
	for _, key := range []string{"susan smith", email} {
		got, err := s.FindUser(t.Context(), key)
		check(t, err)
		if !got.Disabled || got.Username != username || got.Email != email {
			t.Errorf("%s finds %+v", key, got)
		}
	}
	change.Version++
	for want, f := range map[error]func(*auth.Account){
		auth.ErrInvalidUsername: func(a *auth.Account) { a.Username = "Susan  Smith" },
		auth.ErrInvalidEmail:    func(a *auth.Account) { a.Email = "A..B@app.example" },
	} {
		other := change.Clone()
		f(&other)
		wantError(t, s.UpdateAccount(t.Context(), other), want)
	}
	// Username and Email can change independently.
	change.Username = "Susan"
	check(t, s.UpdateAccount(t.Context(), change))
	for _, key := range []string{"susan", email} {
		_, err := s.FindUser(t.Context(), key)
		check(t, err)
	}
}
