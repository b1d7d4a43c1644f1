package movein

import (
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/storetest"
)

func TestUsers(t *testing.T) {
	storetest.TestUserStore(t, func(t *testing.T, _ func() time.Time) auth.UserStore[*User] { return newUsers(t) })
}

// TestORM: a row that is saved as it was read brings an old password back. A profile does not.
func TestORM(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		save func(Users, *User) error
		back bool
	}{
		"the profile": {func(u Users, user *User) error { return u.SaveProfile(t.Context(), user) }, false},
		"the row":     {func(u Users, user *User) error { return u.SaveRow(t.Context(), user) }, true},
	} {
		m := newMove(t, bcryptOf(t, "the old sentence"), nil)
		read, err := m.users.LoadUser(t.Context(), "7") // by a handler of the application
		check(t, err)
		check(t, m.manager.SetPassword(t.Context(), read, "quite another sentence"))
		read.Name = "Sue"
		check(t, test.save(m.users, read))
		if _, err := m.manager.Authenticate(t.Context(), "susan@app.example", "the old sentence"); (err == nil) != test.back {
			t.Errorf("%s: with the old password: %v", name, err)
		}
		if user, err := m.users.LoadUser(t.Context(), "7"); err != nil || user.Name != "Sue" {
			t.Errorf("%s: %+v, %v", name, user, err)
		}
	}
}
