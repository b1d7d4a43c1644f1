package storetest

import (
	"errors"
	"testing"
)

func (s userSuite[U]) formReader(t *testing.T) {
	skip := func(t *userTest[U]) {
		var user U
		if _, ok := any(user).(*User); !ok {
			t.Skipf("the suite can check this only for users of type *storetest.User; these are %T", user)
		}
	}
	nameOf := func(user U) string {
		if u, ok := any(user).(*User); ok {
			return u.Name
		}
		return ""
	}
	form := func(name string) map[string][]string { return map[string][]string{"name": {name}} }

	s.run(t, "reads the form of CreateUser", func(t *userTest[U]) {
		skip(t)
		const mend = "call ReadForm on the new user before saving it, and save the fields it sets"
		user, err := t.store.CreateUser(t.Context(), t.account("mike"), form("Mike Müller"))
		works(t.TB, "CreateUser with a form", err)
		if got := nameOf(user); got != "Mike Müller" {
			fail(t.TB, "CreateUser with a form: Name", got, "Mike Müller", mend)
		}
		user, err = t.store.FindUser(t.Context(), t.keyOf(t.account("mike")))
		works(t.TB, "FindUser", err)
		if got := nameOf(user); got != "Mike Müller" {
			fail(t.TB, "FindUser after CreateUser with a form: Name", got, "Mike Müller", mend)
		}
	})
	s.run(t, "gets an empty form for a nil one", func(t *userTest[U]) {
		skip(t)
		if t.options.form != nil {
			t.Skip("with WithForm there is always a form")
		}
		_, err := t.store.CreateUser(t.Context(), t.account("mike"), nil)
		works(t.TB, "CreateUser with a nil form", err)
	})
	s.run(t, "that refuses the form leaves nothing behind", func(t *userTest[U]) {
		skip(t)
		const mend = "call ReadForm before writing anything, and return its error"
		_, err := t.store.CreateUser(t.Context(), t.account("mike"), form(refusedName))
		if !errors.Is(err, errRefused) {
			fail(t.TB, "CreateUser with a form that ReadForm refuses", err, errRefused, mend)
		}
		t.vacant("after ReadForm refused", t.name("mike"), t.email("mike"), mend)
		t.free("after ReadForm refused", t.account("mike"), mend)
	})
	s.run(t, "refuses the form before a taken name is reported", func(t *userTest[U]) {
		skip(t)
		a := t.create(t.account("mike"))
		a.ID = ""
		_, err := t.store.CreateUser(t.Context(), a, form(refusedName))
		if !errors.Is(err, errRefused) {
			fail(t.TB, "CreateUser of a taken name with a form that ReadForm refuses", err, errRefused,
				"call ReadForm before looking for taken names: otherwise an invalid form would tell an attacker whether an address is taken")
		}
	})
	s.run(t, "fields are left alone by UpdateAccount", func(t *userTest[U]) {
		skip(t)
		user, err := t.store.CreateUser(t.Context(), t.account("mike"), form("Mike Müller"))
		works(t.TB, "CreateUser with a form", err)
		a := accountOf(t.TB, "CreateUser", user)
		t.rename(&a, "renamed")
		works(t.TB, "UpdateAccount", t.store.UpdateAccount(t.Context(), a))
		user, err = t.store.LoadUser(t.Context(), a.ID)
		works(t.TB, "LoadUser", err)
		if got := nameOf(user); got != "Mike Müller" {
			fail(t.TB, "LoadUser after UpdateAccount: Name", got, "Mike Müller", "let UpdateAccount write only the columns of the account")
		}
	})
}
