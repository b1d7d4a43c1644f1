package storetest

import (
	"fmt"
	"testing"

	"github.com/go-login/auth"
)

func (s userSuite[U]) names(t *testing.T) {
	const canonical = "compare the canonical forms that auth.UsernameKey and auth.EmailKey return, and store them beside the names as typed"

	s.run(t, "of one username in other cases, widths and compositions are the same", func(t *userTest[U]) {
		t.needs(auth.FieldUsername)
		for i, variants := range [][]string{
			{"mike", "MIKE", "Mike", "\uff4d\uff49\uff4b\uff45", "\uff2d\uff29\uff2b\uff25"},
			{"jos\u00e9", "JOS\u00c9", "jose\u0301", "JOSE\u0301"},
			{"\u03ac\u03bd\u03bd\u03b1", "\u0386\u039d\u039d\u0391"},
			{"\u00e5sa", "\u00c5SA", "\u212bsa", "a\u030asa"},
		} {
			first := t.create(auth.Account{Username: t.name(variants[0])})
			other := t.named(fmt.Sprint("other-", i))
			if t.keeps(auth.FieldEmail) {
				other = auth.Account{Email: t.email(fmt.Sprint("other-", i))}
			}
			other = t.create(other)
			for _, variant := range variants[1:] {
				const mend = canonical + "; lower-casing and EqualFold are not enough"
				t.createFails(fmt.Sprintf("there is %q", first.Username), auth.Account{Username: t.name(variant)}, auth.ErrUsernameTaken, mend)
				t.updateFails(fmt.Sprintf("there is %q", first.Username), other, auth.Account{Username: t.name(variant)}, auth.ErrUsernameTaken, mend)
			}
			t.holds("after CreateUser and UpdateAccount of variants", first, canonical)
		}
	})
	s.run(t, "of one address in other cases and alphabets are the same", func(t *userTest[U]) {
		t.needs(auth.FieldEmail)
		tag := t.tag
		for i, variants := range [][]string{
			{"mike" + tag + "@x.example", "MIKE" + tag + "@x.example", "mike" + tag + "@X.EXAMPLE"},
			{tag + "@\u00e4.example", tag + "@xn--4ca.example", tag + "@\u00c4.example", tag + "@a\u0308.example", tag + "@XN--4CA.EXAMPLE"},
		} {
			first := t.create(auth.Account{Email: variants[0]})
			other := t.create(t.named(fmt.Sprint("other-", i)))
			for _, variant := range variants[1:] {
				const mend = canonical + "; the domain has an ASCII form"
				t.createFails(fmt.Sprintf("there is <%s>", first.Email), auth.Account{Email: variant}, auth.ErrEmailTaken, mend)
				t.updateFails(fmt.Sprintf("there is <%s>", first.Email), other, auth.Account{Email: variant}, auth.ErrEmailTaken, mend)
			}
			t.holds("after CreateUser and UpdateAccount of variants", first, canonical)
		}
	})
	s.run(t, "that only look alike are different", func(t *userTest[U]) {
		const mend = "give the columns of canonical forms a binary collation, in which texts are equal only if their bytes are"
		var all []auth.Account
		for _, base := range []string{"jose", "jos\u00e9", "jos\u00e8", "strasse", "stra\u00dfe", "dil", "d\u0131l", "asa", "\u00e5sa", "\u00e4sa",
			"ol", "\u00f8l", "\u00f6l", "paypal", "p\u0430yp\u0430l", "a.b", "ab", "a_b", "axb", "a-b", "1", "01", "𠮷", "𠮸"} {
			if t.keeps(auth.FieldUsername) {
				all = append(all, auth.Account{Username: t.name(base)})
			}
		}
		for _, email := range []string{t.tag + "@x.example", t.tag + "+a@x.example", t.tag + "+b@x.example", "a." + t.tag + "@x.example", "a" + t.tag + "@x.example",
			"a_" + t.tag + "@x.example", t.tag + "@strasse.example", t.tag + "@stra\u00dfe.example", t.tag + "@\u00e4.example", t.tag + "@a.example", t.tag + "@\u00e5.example"} {
			if t.keeps(auth.FieldEmail) {
				all = append(all, auth.Account{Email: email})
			}
		}
		for i, a := range all {
			user, err := t.store.CreateUser(t.Context(), a, nil)
			if err != nil {
				fail(t.TB, fmt.Sprintf("CreateUser of %.100q <%.100s>, which no user has", a.Username, a.Email), err, "no error", mend)
				continue
			}
			all[i].ID = accountOf(t.TB, "CreateUser", user).ID
		}
		for _, a := range all {
			if a.ID != "" {
				t.holds("among names that look alike", a, mend)
			}
		}
	})
	s.run(t, "are unique among usernames and among addresses, but not across both", func(t *userTest[U]) {
		t.needs(auth.FieldUsername, auth.FieldEmail)
		// A local part of an address is also a valid username.
		a := t.create(auth.Account{Username: t.name("mike"), Email: t.email("anna")})
		b := t.create(auth.Account{Username: t.name("anna"), Email: t.email("mike")})
		t.holds("with names crossed", a, canonical)
		t.holds("with names crossed", b, canonical)
	})
}
