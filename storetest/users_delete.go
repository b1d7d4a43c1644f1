package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/go-login/auth"
)

func (s userSuite[U]) deleteUser(t *testing.T) {
	remove := func(t *userTest[U], id string) error { return t.deleter().DeleteUser(t.Context(), id) }

	s.run(t, "deletes the user and frees the names", func(t *userTest[U]) {
		a, other := t.create(t.account("mike")), t.create(t.account("other"))
		works(t.TB, "DeleteUser", remove(t, a.ID))
		const mend = "delete everything that the user store has about the user"
		_, err := t.store.LoadUser(t.Context(), a.ID)
		fails(t.TB, "LoadUser after DeleteUser", err, auth.ErrUserNotFound, mend)
		t.vacant("after DeleteUser", a.Username, a.Email, mend)
		fails(t.TB, "UpdateAccount after DeleteUser", t.store.UpdateAccount(t.Context(), a), auth.ErrUserNotFound, mend)
		t.noUser("after UpdateAccount after DeleteUser", t.keyOf(a), mend)
		t.holds("after DeleteUser of another user", other, "delete this user only")
		a.ID = ""
		t.free("after DeleteUser", a, mend)
	})
	s.run(t, "never reuses an ID", func(t *userTest[U]) {
		ids := map[string]bool{}
		for i := range 5 {
			a := t.create(t.account(fmt.Sprint("user-", i)))
			if ids[a.ID] {
				fail(t.TB, "CreateUser after DeleteUser", "the ID of the deleted user, "+a.ID, "an ID that no user had before",
					"records and cookies may still contain it: use random IDs, a sequence, or SQLite's AUTOINCREMENT")
			}
			ids[a.ID] = true
			works(t.TB, "DeleteUser", remove(t, a.ID))
		}
	})
	s.run(t, "of an unknown ID deletes nobody", func(t *userTest[U]) {
		a := t.create(t.account("somebody"))
		for _, id := range t.unknownIDs() {
			if err := remove(t, id); err != nil && !errors.Is(err, auth.ErrUserNotFound) {
				fail(t.TB, "DeleteUser of the ID "+brief(id), err, auth.ErrUserNotFound, "return ErrUserNotFound for an ID that does not have the store's form")
			}
		}
		t.holds("after DeleteUser of unknown IDs", a, "compare the bytes of IDs")
	})
	s.run(t, "of 50 racers, one wins", func(t *userTest[U]) {
		d := t.deleter()
		again(t.TB, func(round int) {
			a := t.create(t.account(fmt.Sprint("mike-", round)))
			errs := race(t.Context(), racers, func(ctx context.Context, _ int) error { return d.DeleteUser(ctx, a.ID) })
			const mend = "do not look the user up and then delete; use DELETE and check that one row changed, or hold one lock over both steps"
			oneWins(t.TB, "DeleteUser by 50 racers", errs, auth.ErrUserNotFound, mend)
			t.vacant("after the race", a.Username, a.Email, mend)
		})
	})
	s.run(t, "racing UpdateAccount never brings the user back", func(t *userTest[U]) {
		d := t.deleter()
		again(t.TB, func(round int) {
			a := t.create(t.account(fmt.Sprint("mike-", round)))
			errs := race(t.Context(), 4, func(ctx context.Context, i int) error {
				if i == 2 {
					return d.DeleteUser(ctx, a.ID)
				}
				return t.store.UpdateAccount(ctx, a)
			})
			works(t.TB, "DeleteUser, racing UpdateAccount", errs[2])
			for _, i := range []int{0, 1, 3} {
				if err := errs[i]; err != nil && !errors.Is(err, auth.ErrConflict) {
					fails(t.TB, "UpdateAccount, racing DeleteUser", err, auth.ErrUserNotFound, "after the deletion, an update must return ErrUserNotFound")
				}
			}
			const after, mend = "after UpdateAccount raced DeleteUser", "write only if the user still exists, in one statement; do not read the row, change it and insert it again"
			_, err := t.store.LoadUser(t.Context(), a.ID)
			fails(t.TB, after+": LoadUser", err, auth.ErrUserNotFound, mend)
			t.vacant(after, a.Username, a.Email, mend)
		})
	})
}
