package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-login/auth"
)

func (s userSuite[U]) deleteUser(t *testing.T) {
	remove := func(t *userTest[U], id string) error {
		d, ok := t.store.(auth.UserDeleter)
		if !ok {
			t.Skip("the store has no DeleteUser")
		}
		return d.DeleteUser(t.Context(), id)
	}

	s.run(t, "deletes the user and frees the names", func(t *userTest[U]) {
		a, other := t.create(t.account("mike")), t.create(t.account("other"))
		works(t.T, "DeleteUser", remove(t, a.ID))
		const mend = "nothing of the user is left in the store of users"
		_, err := t.store.LoadUser(t.Context(), a.ID)
		fails(t.T, "LoadUser after DeleteUser", err, auth.ErrUserNotFound, mend)
		t.noUser("after DeleteUser", a.Username, mend)
		t.noUser("after DeleteUser", a.Email, mend)
		fails(t.T, "UpdateAccount after DeleteUser", t.store.UpdateAccount(t.Context(), a), auth.ErrUserNotFound, mend)
		t.noUser("after UpdateAccount after DeleteUser", a.Username, mend)
		t.holds("after DeleteUser of somebody else", other, "one user goes, and no other")
		a.ID = ""
		t.free("after DeleteUser", a, mend)
	})
	s.run(t, "never gives an ID out again", func(t *userTest[U]) {
		ids := map[string]bool{}
		for i := range 5 {
			a := t.create(t.account(fmt.Sprint("user-", i)))
			if ids[a.ID] {
				fail(t.T, "CreateUser after DeleteUser", "the ID of the deleted user, "+a.ID, "an ID that nobody had",
					"records and cookies may still name it: use random IDs, a sequence, or SQLite's AUTOINCREMENT")
			}
			ids[a.ID] = true
			works(t.T, "DeleteUser", remove(t, a.ID))
		}
	})
	s.run(t, "of an unknown ID deletes nobody", func(t *userTest[U]) {
		a := t.create(t.account("somebody"))
		for _, id := range strange() {
			if err := remove(t, id); err != nil && !errors.Is(err, auth.ErrUserNotFound) {
				fail(t.T, "DeleteUser of the ID "+brief(id), err, auth.ErrUserNotFound, "an ID that is not of the store's own form is one that is not found")
			}
		}
		t.holds("after DeleteUser of unknown IDs", a, "compare the bytes of IDs")
	})
}
