package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

func (s userSuite[U]) createUser(t *testing.T) {
	const (
		asGiven  = "store every field as it is given, and read every field"
		reserves = "do not look first and insert then; a UNIQUE index on the canonical name must refuse, or one lock be held over both"
		atomic   = "do all of it in one transaction, and roll back when any of it is refused"
	)

	s.run(t, "keeps every field and gives an ID", func(t *userTest[U]) {
		full := t.account("full")
		user, err := t.store.CreateUser(t.Context(), full, nil)
		works(t.T, "CreateUser", err)
		full.ID = accountOf(t.T, "CreateUser", user).ID
		if full.ID == "" {
			fail(t.T, "CreateUser: ID", "empty", "an ID", "the store gives an ID to an account that has none")
		}
		t.returned("CreateUser", user, nil, full, "return the user as it is stored")
		t.holds("after CreateUser", full, asGiven)

		sparse := t.create(auth.Account{Username: t.name("sparse")})
		t.holds("after CreateUser of an account with a username alone", sparse, asGiven)
		sparse = t.create(auth.Account{Email: t.email("sparse")})
		t.holds("after CreateUser of an account with an address alone", sparse, asGiven)
	})
	s.run(t, "keeps each flag by itself", func(t *userTest[U]) {
		verified := t.create(auth.Account{Email: t.email("verified"), EmailVerified: true})
		t.holds("after CreateUser", verified, asGiven)
		disabled := t.create(auth.Account{Email: t.email("disabled"), Disabled: true})
		t.holds("after CreateUser", disabled, asGiven)
	})
	s.run(t, "keeps the texts of secrets", func(t *userTest[U]) {
		for i, text := range []string{"", "plain", " spaces ", `"quoted" 'text' \ %s`, "ünï 𠮷 cödé", "[redacted]", strings.Repeat("x", 255)} {
			a := t.account(fmt.Sprint("secret-", i))
			a.PasswordHash, a.Stamp = auth.NewSecret(text), auth.NewSecret(text+"s")
			t.holds("after CreateUser", t.create(a), "encoding a Secret as JSON or text gives a placeholder; store what Reveal returns, and make it a Secret by NewSecret")
		}
	})
	s.run(t, "keeps roles of any text, in their order", func(t *userTest[U]) {
		for i, roles := range [][]string{
			nil, {"one"}, {"b", "a", "c", "a"}, {"with space", "comma,comma", `"quotes'`, "new\nline", "{brace}", "[bracket]", "semi;colon", "ünï 𠮷", "NULL"},
			{strings.Repeat("r", 255)},
		} {
			a := t.account(fmt.Sprint("roles-", i))
			a.Roles = roles
			t.holds("after CreateUser", t.create(a), "roles are a list of texts, such as a JSON array; joined by commas they do not come apart again")
		}
	})
	s.run(t, "keeps names as they were typed", func(t *userTest[U]) {
		for _, a := range []auth.Account{
			{Username: "MiKe-" + t.tag, Email: "MiKe-" + t.tag + "@Users.EXAMPLE"},
			{Username: "\uff4d\uff49\uff4b\uff45\uff12-" + t.tag, Email: t.tag + "+tag@\u00e4.example"},
			{Username: "𠮷野-" + t.tag, Email: t.tag + "@b\u00fccher.example"},
		} {
			t.holds("after CreateUser", t.create(a), "Username and Email come back as they were given; their canonical forms have columns of their own")
		}
	})
	s.run(t, "keeps the longest names there are", func(t *userTest[U]) {
		username := strings.Repeat("\U00020bb7", 64-len(t.tag))
		for _, c := range t.tag {
			username += string(0x20000 + c) // also four bytes
		}
		domain := strings.Repeat("d", 63) + "." + strings.Repeat("e", 63) + "." + strings.Repeat("f", 53) + ".example"
		email := t.tag + strings.Repeat("l", 64-len(t.tag)) + "@" + domain
		a := t.create(auth.Account{Username: username, Email: email})
		t.holds(fmt.Sprintf("after CreateUser with a username of %d bytes and an address of %d", len(username), len(email)), a, "see the package comment for what a store must have room for")
	})
	s.run(t, "keeps an ID that is given", func(t *userTest[U]) {
		a := t.account("given")
		a.ID = givenID()
		user, err := t.store.CreateUser(t.Context(), a, nil)
		works(t.T, "CreateUser with the ID "+a.ID, err)
		t.returned("CreateUser", user, nil, a, "the store makes an ID only for an account that has none")
		t.holds("after CreateUser with an ID", a, "the store makes an ID only for an account that has none")
		if other := t.create(t.account("other")); other.ID == a.ID {
			fail(t.T, "CreateUser without an ID", "the ID of another: "+a.ID, "an ID of its own", "an ID is given out once")
		}
	})
	s.run(t, "refuses an ID that is in use", func(t *userTest[U]) {
		first := t.create(t.account("first"))
		second := t.account("second")
		second.ID = first.ID
		const mend = "INSERT, and never insert or replace"
		if _, err := t.store.CreateUser(t.Context(), second, nil); err == nil {
			fail(t.T, "CreateUser with an ID that is in use", "no error", "an error, which may be any", mend)
		}
		t.holds("after CreateUser with the ID of another", first, mend)
		t.noUser("after CreateUser with the ID of another", second.Username, atomic)
		second.ID = ""
		t.free("after CreateUser with the ID of another", second, atomic)
	})
	s.run(t, "gives every account an ID of its own", func(t *userTest[U]) {
		ids := make([]string, racers)
		errs := race(t.Context(), racers, func(ctx context.Context, i int) (err error) {
			ids[i], err = t.tryCreate(ctx, auth.Account{Username: t.name(fmt.Sprint("racer-", i))})
			return err
		})
		for i, err := range errs {
			works(t.T, fmt.Sprintf("CreateUser by racer %d, with a name of its own", i), err)
		}
		slices.Sort(ids)
		if n := len(slices.Compact(ids)); n != racers {
			fail(t.T, "CreateUser by 50 racers", fmt.Sprintf("%d different IDs", n), racers, "an ID is given out once; do not compute it from what is there")
		}
	})
	s.run(t, "refuses what is no username", func(t *userTest[U]) {
		for _, username := range []string{t.email("mike"), "a@b", "@", "with space", "\x00", "a\x00b", "\xff", "tab\t", "\u200b", strings.Repeat("x", 65)} {
			t.createFails("not a username", auth.Account{Username: username, Email: t.email("mike")}, auth.ErrInvalidUsername,
				"ask auth.UsernameKey, whose error is the one to return")
		}
		t.noUser("after CreateUser was refused", t.email("mike"), atomic)
		t.free("after CreateUser was refused", auth.Account{Email: t.email("mike")}, atomic)
	})
	s.run(t, "refuses what is no address", func(t *userTest[U]) {
		for _, email := range []string{"mike", "@", "mike@", "@users.example", "a@b@users.example", "mike@localhost", "mi ke@users.example",
			"mike@users.example\r\nBcc: x@y.example", "mike@[127.0.0.1]", "\xff@users.example", "mike@users.example\x00", strings.Repeat("x", 65) + "@users.example"} {
			t.createFails("not an address", auth.Account{Username: t.name("mike"), Email: email}, auth.ErrInvalidEmail,
				"ask auth.EmailKey, whose error is the one to return")
		}
		t.noUser("after CreateUser was refused", t.name("mike"), atomic)
		t.free("after CreateUser was refused", auth.Account{Username: t.name("mike")}, atomic)
	})
	s.run(t, "refuses a username that is taken", func(t *userTest[U]) {
		first := t.create(t.account("first"))
		second := t.account("second")
		second.Username = first.Username
		t.createFails("the username is taken", second, auth.ErrUsernameTaken, reserves)
		t.holds("after CreateUser was refused", first, atomic)
		t.noUser("after CreateUser was refused", second.Email, atomic)
		second.Username = t.name("second")
		t.free("after CreateUser was refused for the username", second, atomic+"; the address must not stay reserved")
	})
	s.run(t, "refuses an address that is taken", func(t *userTest[U]) {
		first := t.create(t.account("first"))
		second := t.account("second")
		second.Email = first.Email
		t.createFails("the address is taken", second, auth.ErrEmailTaken, reserves)
		t.holds("after CreateUser was refused", first, atomic)
		t.noUser("after CreateUser was refused", second.Username, atomic)
		second.Email = t.email("second")
		t.free("after CreateUser was refused for the address", second, atomic+"; the username must not stay reserved")
	})
	s.run(t, "takes any number of accounts without a username, or an address", func(t *userTest[U]) {
		const mend = "an empty name is none and collides with nothing; store its canonical form as NULL"
		var all []auth.Account
		for i := range 3 {
			username, email := t.account(fmt.Sprint("username-", i)), t.account(fmt.Sprint("email-", i))
			username.Email, email.Username = "", ""
			for _, a := range []auth.Account{username, email} {
				user, err := t.store.CreateUser(t.Context(), a, nil)
				if err != nil {
					fail(t.T, fmt.Sprintf("CreateUser of %q <%s>", a.Username, a.Email), err, "no error", mend)
					return
				}
				a.ID = accountOf(t.T, "CreateUser", user).ID
				all = append(all, a)
			}
		}
		for _, a := range all {
			t.holds("after CreateUser of six accounts that lack one name", a, mend)
		}
	})
	s.run(t, "of 50 racers with one username, one wins", func(t *userTest[U]) {
		name := func(i int) string {
			if i%2 == 0 {
				return strings.ToUpper(t.name("mike"))
			}
			return t.name("mike")
		}
		ids := make([]string, racers)
		errs := race(t.Context(), racers, func(ctx context.Context, i int) (err error) {
			ids[i], err = t.tryCreate(ctx, auth.Account{Username: name(i), Email: t.email(fmt.Sprint("racer-", i))})
			return err
		})
		winner := oneWins(t.T, "CreateUser of one username by 50 racers", errs, auth.ErrUsernameTaken, reserves)
		t.holds("after the race", auth.Account{ID: ids[winner], Username: name(winner), Email: t.email(fmt.Sprint("racer-", winner))}, reserves)
		for i := range racers {
			if i != winner {
				t.noUser("after the race, for a loser", t.email(fmt.Sprint("racer-", i)), atomic)
			}
		}
	})
	s.run(t, "of 50 racers with one address, one wins", func(t *userTest[U]) {
		ids := make([]string, racers)
		errs := race(t.Context(), racers, func(ctx context.Context, i int) (err error) {
			ids[i], err = t.tryCreate(ctx, auth.Account{Username: t.name(fmt.Sprint("racer-", i)), Email: t.email("mike")})
			return err
		})
		winner := oneWins(t.T, "CreateUser of one address by 50 racers", errs, auth.ErrEmailTaken, reserves)
		t.holds("after the race", auth.Account{ID: ids[winner], Username: t.name(fmt.Sprint("racer-", winner)), Email: t.email("mike")}, reserves)
		for i := range racers {
			if i != winner {
				t.noUser("after the race, for a loser", t.name(fmt.Sprint("racer-", i)), atomic)
			}
		}
	})
}

// givenID returns an ID that stores of numbers can keep, too.
func givenID() string {
	digits := []byte("7")
	for _, c := range []byte(unique() + unique())[:14] {
		digits = append(digits, '0'+c%10)
	}
	return string(digits)
}
