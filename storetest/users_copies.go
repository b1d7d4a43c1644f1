package storetest

import (
	"testing"

	"github.com/go-login/auth"
)

func (s userSuite[U]) copies(t *testing.T) {
	const mend = "copy the account by Clone on its way in and on its way out, and the user by assignment"
	scribble := func(a *auth.Account) {
		for i := range a.Roles {
			a.Roles[i] = "#"
		}
		a.Username, a.Disabled, a.Stamp = "#", !a.Disabled, auth.NewSecret("#")
		a.Version += 100
	}

	s.run(t, "what CreateUser was given and returned may be changed", func(t *userTest[U]) {
		a := t.account("mike")
		user, err := t.store.CreateUser(t.Context(), a, nil)
		works(t.T, "CreateUser", err)
		want := t.account("mike")
		want.ID = accountOf(t.T, "CreateUser", user).ID
		scribble(&a)
		t.holds("after writing to what was given", want, mend)
		scribble(user.AuthAccount())
		t.holds("after writing to what was returned", want, mend)
	})
	s.run(t, "what UpdateAccount was given may be changed", func(t *userTest[U]) {
		a := t.create(t.account("mike"))
		a.Roles = []string{"one", "two"}
		works(t.T, "UpdateAccount", t.store.UpdateAccount(t.Context(), a))
		want := a.Clone()
		want.Version++
		scribble(&a)
		t.holds("after writing to what was given", want, mend)
	})
	s.run(t, "what LoadUser and FindUser returned may be changed", func(t *userTest[U]) {
		a := t.create(t.account("mike"))
		user, err := t.store.LoadUser(t.Context(), a.ID)
		works(t.T, "LoadUser", err)
		accountOf(t.T, "LoadUser", user)
		scribble(user.AuthAccount())
		t.holds("after writing to what LoadUser returned", a, mend)
		for _, key := range []string{a.Username, a.Email} {
			user, err = t.store.FindUser(t.Context(), key)
			works(t.T, "FindUser", err)
			accountOf(t.T, "FindUser", user)
			scribble(user.AuthAccount())
			t.holds("after writing to what FindUser returned", a, mend)
		}
	})
	s.run(t, "what was returned does not change with the store", func(t *userTest[U]) {
		a := t.create(t.account("mike"))
		user, err := t.store.LoadUser(t.Context(), a.ID)
		works(t.T, "LoadUser", err)
		changed := a.Clone()
		changed.Stamp, changed.Roles[0] = auth.NewSecret("new"), "new"
		works(t.T, "UpdateAccount", t.store.UpdateAccount(t.Context(), changed))
		t.returned("LoadUser before UpdateAccount", user, nil, a, mend)
	})
}

func (s userSuite[U]) context(t *testing.T) {
	answers := []error{auth.ErrUserNotFound, auth.ErrUsernameTaken, auth.ErrEmailTaken, auth.ErrConflict, auth.ErrInvalidUsername, auth.ErrInvalidEmail}
	const mend = "a call that returns an error has done nothing"

	s.run(t, "cancelled, CreateUser does nothing", func(t *userTest[U]) {
		a := t.account("mike")
		_, err := t.store.CreateUser(cancelled(t.T), a, nil)
		refusesCancelled(t.T, "CreateUser", err, answers...)
		t.noUser("after CreateUser with a cancelled context", a.Username, mend)
		t.noUser("after CreateUser with a cancelled context", a.Email, mend)
		if err != nil {
			t.free("after CreateUser with a cancelled context", a, mend)
		}
	})
	s.run(t, "cancelled, LoadUser and FindUser fail", func(t *userTest[U]) {
		a := t.create(t.account("mike"))
		_, err := t.store.LoadUser(cancelled(t.T), a.ID)
		refusesCancelled(t.T, "LoadUser", err, answers...)
		for _, key := range []string{a.Username, a.Email, t.name("unknown")} {
			_, err = t.store.FindUser(cancelled(t.T), key)
			refusesCancelled(t.T, "FindUser", err, answers...)
		}
	})
	s.run(t, "cancelled, UpdateAccount does nothing", func(t *userTest[U]) {
		a := t.create(t.account("mike"))
		changed := a.Clone()
		changed.Stamp = auth.NewSecret("new")
		refusesCancelled(t.T, "UpdateAccount", t.store.UpdateAccount(cancelled(t.T), changed), answers...)
		t.holds("after UpdateAccount with a cancelled context", a, mend)
	})
	s.run(t, "cancelled, DeleteUser does nothing", func(t *userTest[U]) {
		d, ok := t.store.(auth.UserDeleter)
		if !ok {
			t.Skip("the store has no DeleteUser")
		}
		a := t.create(t.account("mike"))
		refusesCancelled(t.T, "DeleteUser", d.DeleteUser(cancelled(t.T), a.ID), answers...)
		t.holds("after DeleteUser with a cancelled context", a, mend)
	})
}
