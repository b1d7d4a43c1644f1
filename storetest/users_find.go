package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

func (s userSuite[U]) loadUser(t *testing.T) {
	const notFound = "return ErrUserNotFound for an ID that does not have the store's form; check the form before querying, and compare bytes (for a number or UUID its text, too: WHERE id = $1 AND CAST(id AS TEXT) = $1)"

	s.run(t, "of an ID that no store gives out", func(t *userTest[U]) {
		t.create(t.account("somebody"))
		for _, id := range t.unknownIDs() {
			_, err := t.store.LoadUser(t.Context(), id)
			fails(t.TB, "LoadUser of the ID "+brief(id), err, auth.ErrUserNotFound, notFound)
		}
	})
	s.run(t, "of an ID that is almost another user's ID", func(t *userTest[U]) {
		a := t.create(t.account("given"))
		for _, id := range []string{a.ID + " ", " " + a.ID, a.ID + "\x00", a.ID + "a", a.ID + ".0", "+" + a.ID, "0" + a.ID, a.ID + "' --", a.ID + "%", a.ID[1:], a.ID + "\n"} {
			user, err := t.store.LoadUser(t.Context(), id)
			if err == nil && accountOf(t.TB, "LoadUser", user).ID == id {
				continue // a user left by an earlier subtest
			}
			fails(t.TB, fmt.Sprintf("LoadUser of the ID %q, while there is %q", id, a.ID), err, auth.ErrUserNotFound, notFound)
		}
		for _, id := range []string{strings.ToUpper(a.ID), strings.ToLower(a.ID)} {
			if id != a.ID {
				_, err := t.store.LoadUser(t.Context(), id)
				fails(t.TB, fmt.Sprintf("LoadUser of the ID %q, while there is %q", id, a.ID), err, auth.ErrUserNotFound, notFound)
			}
		}
		t.loads("after all that", a, notFound)
	})
	s.run(t, "does not look for names", func(t *userTest[U]) {
		a := t.create(t.account("somebody"))
		for _, name := range t.keysOf(a) {
			_, err := t.store.LoadUser(t.Context(), name)
			fails(t.TB, "LoadUser of the name "+brief(name), err, auth.ErrUserNotFound, "let LoadUser compare only the ID")
		}
	})
}

func (s userSuite[U]) findUser(t *testing.T) {
	s.run(t, "of an unknown key", func(t *userTest[U]) {
		t.create(t.account("somebody"))
		for _, key := range append(strange()[1:], t.name("unknown"), t.email("unknown"), t.name("somebod"), t.name("somebody")+"x", "%"+t.tag, t.name("somebody")+"\x00") {
			t.noUser("among others", key, "return ErrUserNotFound for a key that cannot be a canonical name; do not treat wildcards specially, and do not return the database's error")
		}
	})
	s.run(t, "of the empty key finds nobody", func(t *userTest[U]) {
		t.create(t.named("with-one-name"))
		if t.keeps(auth.FieldEmail) {
			t.create(auth.Account{Email: t.email("without-username")})
		}
		t.noUser("among users who lack a name", "", "an empty name means no name; store its canonical form as NULL, and check for an empty key before querying")
	})
	s.run(t, "takes canonical keys only", func(t *userTest[U]) {
		a := t.create(auth.Account{Username: "MiKe-" + t.tag, Email: "MiKe-" + t.tag + "@\u00c4.example"})
		t.holds("after CreateUser", a, "compare the canonical forms")
		for _, key := range []string{a.Username, strings.ToUpper(a.Username), a.Email, "mike-" + t.tag + "@\u00e4.example", "MIKE-" + t.tag + "@xn--4ca.example",
			" mike-" + t.tag, "mike-" + t.tag + " ", "mike-" + t.tag + "@xn--4ca.example "} {
			t.noUser("of a key that is not canonical", key, "the key is already canonical; compare its bytes with the column of canonical forms")
		}
	})
	s.run(t, "does not look for IDs", func(t *userTest[U]) {
		a := t.create(t.account("somebody"))
		t.noUser("of an ID", a.ID, "let FindUser compare only canonical names")
	})
}
