package storetest

import (
	"testing"

	"github.com/go-login/auth"
)

func (s userSuite[U]) copies(t *testing.T) {
	const mend = "when storing and when returning, copy the account with Clone and the user by assignment"
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
		works(t.TB, "CreateUser", err)
		want := t.account("mike")
		want.ID = accountOf(t.TB, "CreateUser", user).ID
		scribble(&a)
		t.holds("after the test wrote to the Account it had passed", want, mend)
		scribble(user.AuthAccount())
		t.holds("after the test wrote to the returned user", want, mend)
	})
	s.run(t, "what UpdateAccount was given may be changed", func(t *userTest[U]) {
		a := t.create(t.account("mike"))
		a.Roles = []string{"one", "two"}
		works(t.TB, "UpdateAccount", t.store.UpdateAccount(t.Context(), a))
		want := a.Clone()
		want.Version++
		scribble(&a)
		t.holds("after the test wrote to the Account it had passed", want, mend)
	})
	s.run(t, "what LoadUser and FindUser returned may be changed", func(t *userTest[U]) {
		a := t.create(t.account("mike"))
		user, err := t.store.LoadUser(t.Context(), a.ID)
		works(t.TB, "LoadUser", err)
		accountOf(t.TB, "LoadUser", user)
		scribble(user.AuthAccount())
		t.holds("after the test wrote to the user from LoadUser", a, mend)
		for _, key := range t.keysOf(a) {
			user, err = t.store.FindUser(t.Context(), key)
			works(t.TB, "FindUser", err)
			accountOf(t.TB, "FindUser", user)
			scribble(user.AuthAccount())
			t.holds("after the test wrote to the user from FindUser", a, mend)
		}
	})
	s.run(t, "what was returned does not change with the store", func(t *userTest[U]) {
		a := t.create(t.account("mike"))
		user, err := t.store.LoadUser(t.Context(), a.ID)
		works(t.TB, "LoadUser", err)
		changed := a.Clone()
		changed.Stamp = auth.NewSecret("new")
		for i := range changed.Roles {
			changed.Roles[i] = "new"
		}
		works(t.TB, "UpdateAccount", t.store.UpdateAccount(t.Context(), changed))
		t.returned("LoadUser before UpdateAccount", user, nil, a, mend)
	})
}
