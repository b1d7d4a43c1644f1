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

// TestUserStore checks a store of users. The package comment says what open must
// do. If U is an [auth.FormReader], its ReadForm must take an empty form; see
// [User] for a U that is checked more closely.
//
// If the store is an [auth.UserDeleter], that is checked as well.
func TestUserStore[U auth.User](t *testing.T, open func(t *testing.T, clock func() time.Time) auth.UserStore[U]) {
	s := userSuite[U]{open}
	t.Run("CreateUser", s.createUser)
	t.Run("LoadUser", s.loadUser)
	t.Run("FindUser", s.findUser)
	t.Run("UpdateAccount", s.updateAccount)
	t.Run("Races", s.races)
	t.Run("Names", s.names)
	t.Run("FormReader", s.formReader)
	t.Run("DeleteUser", s.deleteUser)
	t.Run("Copies", s.copies)
	t.Run("Context", s.context)
}

type userSuite[U auth.User] struct {
	open func(t *testing.T, clock func() time.Time) auth.UserStore[U]
}

// A userTest is a subtest with a store, and with a tag that makes its names and
// addresses its own.
type userTest[U auth.User] struct {
	testing.TB
	store auth.UserStore[U]
	tag   string
}

func (s userSuite[U]) run(t *testing.T, name string, f func(t *userTest[U])) {
	t.Run(name, func(t *testing.T) {
		f(&userTest[U]{t, s.open(t, newClock().Now), unique()})
	})
}

// name returns a username, and email an address, in canonical form.
func (t *userTest[U]) name(base string) string  { return base + "-" + t.tag }
func (t *userTest[U]) email(base string) string { return base + "-" + t.tag + "@users.example" }

// account returns an account with something in every field but the ID.
func (t *userTest[U]) account(base string) auth.Account {
	return auth.Account{
		Username:      t.name(base),
		Email:         t.email(base),
		EmailVerified: true,
		PasswordHash:  auth.NewSecret("$argon2id$v=19$m=19456,t=2,p=1$c2FsdCBvZiAxNiBieXQ$" + base),
		Stamp:         auth.NewSecret("stamp of " + base),
		Disabled:      true,
		Roles:         []string{"editor", "admin"},
		Version:       7,
	}
}

// create saves an account and returns it as the store then must have it.
func (t *userTest[U]) create(a auth.Account) auth.Account {
	t.Helper()
	user, err := t.store.CreateUser(t.Context(), a, nil)
	works(t.TB, fmt.Sprintf("CreateUser of %.100q <%.100s>", a.Username, a.Email), err)
	created := accountOf(t.TB, "CreateUser", user)
	if created.ID == "" {
		fail(t.TB, "CreateUser: ID of the user that is returned", "empty", "an ID", "the store gives an ID to an account that has none")
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
			"never return a nil user with a nil error; a user that is not there is ErrUserNotFound")
		t.FailNow()
	}
	return a
}

// copyAccount returns the panic of a nil user as an error.
func copyAccount[U auth.User](user U) (a auth.Account, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return user.AuthAccount().Clone(), nil
}

// holds checks that the store has this account, by every way there is to it.
func (t *userTest[U]) holds(after string, want auth.Account, mend string) {
	t.Helper()
	t.loads(after, want, mend)
	if want.Username != "" {
		key, err := auth.UsernameKey(want.Username)
		works(t.TB, "UsernameKey", err)
		t.finds(after, key, want, mend)
	}
	if want.Email != "" {
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
	for _, field := range []struct {
		name      string
		got, want any
	}{
		{"ID", got.ID, want.ID},
		{"Username", got.Username, want.Username},
		{"Email", got.Email, want.Email},
		{"EmailVerified", got.EmailVerified, want.EmailVerified},
		{"PasswordHash.Reveal()", got.PasswordHash.Reveal(), want.PasswordHash.Reveal()},
		{"Stamp.Reveal()", got.Stamp.Reveal(), want.Stamp.Reveal()},
		{"Disabled", got.Disabled, want.Disabled},
		{"Version", got.Version, want.Version},
	} {
		if field.got != field.want {
			fail(t.TB, did+": "+field.name, fmt.Sprintf("%#v", field.got), fmt.Sprintf("%#v", field.want), mend)
		}
	}
	if !slices.Equal(got.Roles, want.Roles) {
		fail(t.TB, did+": Roles", fmt.Sprintf("%q", got.Roles), fmt.Sprintf("%q", want.Roles), mend)
	}
}

// noUser checks that a name finds nobody, free that somebody may have it too.
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

// updateFails checks that an account cannot have the names of want, and keeps
// its own.
func (t *userTest[U]) updateFails(did string, a, want auth.Account, wanted error, mend string) {
	t.Helper()
	want.ID, want.Version = a.ID, a.Version
	fails(t.TB, fmt.Sprintf("UpdateAccount to %.100q <%.100s>: %s", want.Username, want.Email, did), t.store.UpdateAccount(t.Context(), want), wanted, mend)
	t.holds("after a refused UpdateAccount", a, mend)
}

// strange are IDs and keys that no store has, though some stumble over them.
func strange() []string {
	return []string{
		"", "unknown", "0", "-1", "1.5", "18446744073709551616", "00000000-0000-0000-0000-000000000000", "null", "NULL",
		" ", "\x00", "a\x00b", "\xff", "\xed\xa0\x80", "\ufffd", "%", "_", "*", "?", "'", `"`, `\`, "' OR 1=1 --", "1; DROP TABLE users",
		"@", "a@", "@example.com", "a@b@c", "😀", "../../etc/passwd", strings.Repeat("x", 1<<20), strings.Repeat("9", 1<<20),
	}
}
