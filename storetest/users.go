package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// TestUserStore checks a store of users. The package comment says what open
// must do. If U is an [auth.FormReader], its ReadForm must accept an empty
// form. If U is *[User], the suite checks more.
//
// If the store is an [auth.UserDeleter], DeleteUser is checked as well, and if it is an
// [auth.UserLister], ListUsers. Fields
// that the store omits as an [auth.FieldOmitter] are not checked. The options
// are for tables whose IDs have a fixed form, and for tables with mandatory
// columns.
//
// If the store fails at the basics, TestUserStore reports the first fault and
// runs no other test.
func TestUserStore[U auth.User](t *testing.T, open func(t *testing.T, clock func() time.Time) auth.UserStore[U], opts ...Option) {
	s := userSuite[U]{open, optionsOf(opts)}
	if fault := s.basics(t); fault != nil {
		fault.report(t)
		return
	}
	t.Run("CreateUser", s.createUser)
	t.Run("LoadUser", s.loadUser)
	t.Run("FindUser", s.findUser)
	t.Run("UpdateAccount", s.updateAccount)
	t.Run("Races", s.races)
	t.Run("Names", s.names)
	t.Run("FormReader", s.formReader)
	t.Run("DeleteUser", s.deleteUser)
	t.Run("ListUsers", s.listUsers)
	t.Run("Copies", s.copies)
	t.Run("Context", s.context)
}

type userSuite[U auth.User] struct {
	open    func(t *testing.T, clock func() time.Time) auth.UserStore[U]
	options options
}

// A userTest is a subtest with a store. Its tag makes its names and addresses
// differ from those of other subtests.
type userTest[U auth.User] struct {
	testing.TB
	store   auth.UserStore[U]
	tag     string
	options options
}

func newUserTest[U auth.User](t testing.TB, store auth.UserStore[U], o options) *userTest[U] {
	return &userTest[U]{t, fill(store, o), unique(), o}
}

func (s userSuite[U]) run(t *testing.T, name string, f func(t *userTest[U])) {
	t.Run(name, func(t *testing.T) {
		f(newUserTest(t, s.open(t, newClock().Now), s.options))
	})
}

// keeps reports whether the store keeps a field of the account.
func (t *userTest[U]) keeps(field auth.AccountField) bool {
	o, ok := bare(t.store).(auth.FieldOmitter)
	return !ok || !slices.Contains(o.OmittedFields(), field)
}

// needs skips a subtest about fields that the store leaves out.
func (t *userTest[U]) needs(fields ...auth.AccountField) {
	t.Helper()
	for _, field := range fields {
		if !t.keeps(field) {
			t.Skipf("the store leaves out %s", field)
		}
	}
}

// deleter returns the store if it can delete users, and otherwise skips the
// subtest.
func (t *userTest[U]) deleter() auth.UserDeleter {
	t.Helper()
	d, ok := bare(t.store).(auth.UserDeleter)
	if !ok {
		t.Skip("the store has no DeleteUser")
	}
	return d
}

// name returns a username, and email an address, in canonical form.
func (t *userTest[U]) name(base string) string  { return base + "-" + t.tag }
func (t *userTest[U]) email(base string) string { return base + "-" + t.tag + "@users.example" }

// named returns an account with one name and nothing else.
func (t *userTest[U]) named(base string) auth.Account {
	if t.keeps(auth.FieldUsername) {
		return auth.Account{Username: t.name(base)}
	}
	return auth.Account{Email: t.email(base)}
}

// rename gives an account the names that the store keeps.
func (t *userTest[U]) rename(a *auth.Account, base string) {
	a.Username, a.Email = "", ""
	if t.keeps(auth.FieldUsername) {
		a.Username = t.name(base)
	}
	if t.keeps(auth.FieldEmail) {
		a.Email = t.email(base)
	}
}

// keyOf returns a key by which an account with canonical names is found.
func (t *userTest[U]) keyOf(a auth.Account) string {
	if t.keeps(auth.FieldUsername) && a.Username != "" {
		return a.Username
	}
	return a.Email
}

// keysOf returns all keys by which an account with canonical names is found.
func (t *userTest[U]) keysOf(a auth.Account) (keys []string) {
	if t.keeps(auth.FieldUsername) && a.Username != "" {
		keys = append(keys, a.Username)
	}
	if t.keeps(auth.FieldEmail) && a.Email != "" {
		keys = append(keys, a.Email)
	}
	return keys
}

// account returns an account with something in every field but the ID and those
// that the store leaves out.
func (t *userTest[U]) account(base string) auth.Account {
	a := auth.Account{
		Username:      t.name(base),
		Email:         t.email(base),
		EmailVerified: true,
		PasswordHash:  auth.NewSecret("$argon2id$v=19$m=19456,t=2,p=1$c2FsdCBvZiAxNiBieXQ$" + base),
		Stamp:         auth.NewSecret("stamp of " + base),
		Disabled:      true,
		Roles:         []string{"editor", "admin"},
		Version:       7,
	}
	t.rename(&a, base)
	if !t.keeps(auth.FieldRoles) {
		a.Roles = nil
	}
	return a
}

// create saves an account and returns it as the store must now hold it.
func (t *userTest[U]) create(a auth.Account) auth.Account {
	t.Helper()
	user, err := t.store.CreateUser(t.Context(), a, nil)
	works(t.TB, fmt.Sprintf("CreateUser of %.100q <%.100s>", a.Username, a.Email), err)
	created := accountOf(t.TB, "CreateUser", user)
	if created.ID == "" {
		fail(t.TB, "CreateUser: ID of the user that is returned", "empty", "an ID", "give an ID to an account that has none")
		t.FailNow()
	}
	if a.ID == "" {
		a.ID = created.ID
	}
	a.Roles = slices.Clone(a.Roles)
	return a
}

// tryCreate saves an account and returns its ID. A racer may call it.
func (t *userTest[U]) tryCreate(ctx context.Context, a auth.Account) (id string, err error) {
	user, err := t.store.CreateUser(ctx, a, nil)
	if err != nil {
		return "", err
	}
	a, err = copyAccount(user)
	return a.ID, err
}

// accountOf returns a copy of a user's account. A nil user ends the test.
func accountOf[U auth.User](t testing.TB, did string, user U) auth.Account {
	t.Helper()
	a, err := copyAccount(user)
	if err != nil {
		fail(t, did+", without an error: AuthAccount of the user that is returned", err, "an account",
			"never return a nil user with a nil error; return ErrUserNotFound if there is no such user")
		t.FailNow()
	}
	return a
}

// copyAccount copies a user's account. If the user is nil, it returns the panic
// as an error.
func copyAccount[U auth.User](user U) (a auth.Account, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("AuthAccount panicked: %v", p)
		}
	}()
	return user.AuthAccount().Clone(), nil
}

// holds checks that the store has this account under its ID and under its
// names.
func (t *userTest[U]) holds(after string, want auth.Account, mend string) {
	t.Helper()
	t.loads(after, want, mend)
	if want.Username != "" && t.keeps(auth.FieldUsername) {
		key, err := auth.UsernameKey(want.Username)
		works(t.TB, "UsernameKey", err)
		t.finds(after, key, want, mend)
	}
	if want.Email != "" && t.keeps(auth.FieldEmail) {
		key, err := auth.EmailKey(want.Email)
		works(t.TB, "EmailKey", err)
		t.finds(after, key, want, mend)
	}
}

func (t *userTest[U]) loads(after string, want auth.Account, mend string) {
	t.Helper()
	user, err := t.store.LoadUser(t.Context(), want.ID)
	t.returned(after+": LoadUser", user, err, want, mend)
}

func (t *userTest[U]) finds(after, key string, want auth.Account, mend string) {
	t.Helper()
	user, err := t.store.FindUser(t.Context(), key)
	t.returned(fmt.Sprintf("%s: FindUser(%s)", after, brief(key)), user, err, want, mend)
}

func (t *userTest[U]) returned(did string, user U, err error, want auth.Account, mend string) {
	t.Helper()
	if err != nil {
		fail(t.TB, did, err, "the user", mend)
		return
	}
	got := accountOf(t.TB, did, user)
	for _, field := range t.differences(got, want) {
		fail(t.TB, did+": "+field.name, field.got, field.want, mend)
	}
}

// A difference is a field that is not as it should be.
type difference struct{ name, got, want string }

// differences compares the fields that the store keeps.
func (t *userTest[U]) differences(got, want auth.Account) (all []difference) {
	omitted := func(field auth.AccountField) bool {
		return !t.keeps(field) || field == auth.FieldEmailVerified && !t.keeps(auth.FieldEmail)
	}
	for _, field := range []struct {
		name      string
		field     auth.AccountField
		got, want any
	}{
		{"ID", "ID", got.ID, want.ID},
		{"Username", auth.FieldUsername, got.Username, want.Username},
		{"Email", auth.FieldEmail, got.Email, want.Email},
		{"EmailVerified", auth.FieldEmailVerified, got.EmailVerified, want.EmailVerified},
		{"PasswordHash.Reveal()", auth.FieldPasswordHash, got.PasswordHash.Reveal(), want.PasswordHash.Reveal()},
		{"Stamp.Reveal()", "Stamp", got.Stamp.Reveal(), want.Stamp.Reveal()},
		{"Disabled", auth.FieldDisabled, got.Disabled, want.Disabled},
		{"Version", "Version", got.Version, want.Version},
	} {
		if field.got != field.want && !omitted(field.field) {
			all = append(all, difference{field.name, fmt.Sprintf("%#v", field.got), fmt.Sprintf("%#v", field.want)})
		}
	}
	if !slices.Equal(got.Roles, want.Roles) && !omitted(auth.FieldRoles) {
		all = append(all, difference{"Roles", fmt.Sprintf("%q", got.Roles), fmt.Sprintf("%q", want.Roles)})
	}
	return all
}

// noUser checks that a name finds no user. free checks that a new user can have
// it.
func (t *userTest[U]) noUser(after, key, mend string) {
	t.Helper()
	_, err := t.store.FindUser(t.Context(), key)
	fails(t.TB, fmt.Sprintf("%s: FindUser(%s)", after, brief(key)), err, auth.ErrUserNotFound, mend)
}

func (t *userTest[U]) free(after string, a auth.Account, mend string) {
	t.Helper()
	if _, err := t.store.CreateUser(t.Context(), a, nil); err != nil {
		fail(t.TB, fmt.Sprintf("%s: CreateUser of %.100q <%.100s>", after, a.Username, a.Email), err, "no error: nobody has these names", mend)
	}
}

func (t *userTest[U]) createFails(did string, a auth.Account, want error, mend string) {
	t.Helper()
	_, err := t.store.CreateUser(t.Context(), a, nil)
	fails(t.TB, fmt.Sprintf("CreateUser of %.100q <%.100s>: %s", a.Username, a.Email, did), err, want, mend)
}

// updateFails checks that UpdateAccount refuses the names of want, and that the
// account keeps its own.
func (t *userTest[U]) updateFails(did string, a, want auth.Account, wanted error, mend string) {
	t.Helper()
	want.ID, want.Version = a.ID, a.Version
	fails(t.TB, fmt.Sprintf("UpdateAccount to %.100q <%.100s>: %s", want.Username, want.Email, did), t.store.UpdateAccount(t.Context(), want), wanted, mend)
	t.holds("after a refused UpdateAccount", a, mend)
}

// unknownIDs returns IDs that no user has: malformed ones, and one of the
// store's own form.
func (t *userTest[U]) unknownIDs() []string { return append(strange(), t.options.newID()) }

// strange returns IDs and keys that no store has. Some make a careless store
// fail.
func strange() []string {
	return []string{
		"", "unknown", "0", "-1", "1.5", "18446744073709551616", "00000000-0000-0000-0000-000000000000", "null", "NULL",
		" ", "\x00", "a\x00b", "\xff", "\xed\xa0\x80", "\ufffd", "%", "_", "*", "?", "'", `"`, `\`, "' OR 1=1 --", "1; DROP TABLE users",
		"@", "a@", "@example.com", "a@b@c", "😀", "../../etc/passwd", strings.Repeat("x", 1<<20), strings.Repeat("9", 1<<20),
	}
}
