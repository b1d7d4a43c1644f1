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
		asGiven  = "store every field as given, and read every field"
		reserves = "do not look the name up and then insert, because two calls may look before either inserts: let a UNIQUE index on the canonical name refuse, or hold one lock over both steps (in a map: one Mutex around both)"
		atomic   = "write everything in one transaction, and roll back if any part is refused"
	)

	s.run(t, "keeps every field and gives an ID", func(t *userTest[U]) {
		full := t.account("full")
		user, err := t.store.CreateUser(t.Context(), full, nil)
		works(t.TB, "CreateUser", err)
		full.ID = accountOf(t.TB, "CreateUser", user).ID
		if full.ID == "" {
			fail(t.TB, "CreateUser: ID", "empty", "an ID", "give an ID to an account that has none")
		}
		t.returned("CreateUser", user, nil, full, "return the user as stored")
		t.holds("after CreateUser", full, asGiven)

		if t.keeps(auth.FieldUsername) {
			sparse := t.create(auth.Account{Username: t.name("sparse")})
			t.holds("after CreateUser of an account with a username alone", sparse, asGiven)
		}
		if t.keeps(auth.FieldEmail) {
			sparse := t.create(auth.Account{Email: t.email("sparse")})
			t.holds("after CreateUser of an account with an address alone", sparse, asGiven)
		}
	})
	s.run(t, "keeps each flag by itself", func(t *userTest[U]) {
		verified, disabled := t.named("verified"), t.named("disabled")
		if t.keeps(auth.FieldEmail) {
			verified, disabled = auth.Account{Email: t.email("verified")}, auth.Account{Email: t.email("disabled")}
		}
		verified.EmailVerified, disabled.Disabled = true, true
		t.holds("after CreateUser", t.create(verified), asGiven)
		t.holds("after CreateUser", t.create(disabled), asGiven)
	})
	s.run(t, "keeps the texts of secrets", func(t *userTest[U]) {
		for i, text := range []string{"", "plain", " spaces ", `"quoted" 'text' \ %s`, "ünï 𠮷 cödé", "[redacted]", strings.Repeat("x", 254)} {
			a := t.account(fmt.Sprint("secret-", i))
			a.PasswordHash, a.Stamp = auth.NewSecret(text), auth.NewSecret(text+"s")
			t.holds("after CreateUser", t.create(a), "a Secret encodes as a placeholder in JSON and text: store what Reveal returns, and restore it with NewSecret")
		}
	})
	s.run(t, "keeps a hash of 400 bytes", func(t *userTest[U]) {
		a := t.account("long")
		a.PasswordHash = auth.NewSecret(strings.Repeat("$argon2id", 44) + "$end")
		t.holds("after CreateUser", t.create(a), "make room for 400 bytes: a wrapped hash has up to that many")
	})
	s.run(t, "keeps or refuses texts with a NUL, invalid UTF-8 or 1 MB", func(t *userTest[U]) {
		const mend = "keep the whole text, or refuse it with an error; never cut it or replace a character"
		long, _, _ := huge()
		for name, text := range map[string]string{"with a NUL": "a\x00b", "with invalid UTF-8": "a\xffb", "of 1 MB": long} {
			for field, set := range map[string]func(a *auth.Account){
				"PasswordHash": func(a *auth.Account) { a.PasswordHash = auth.NewSecret(text) },
				"Stamp":        func(a *auth.Account) { a.Stamp = auth.NewSecret(text) },
				"Roles":        func(a *auth.Account) { a.Roles = []string{"one", text, "three"} },
				"ID":           func(a *auth.Account) { a.ID = text + t.tag },
			} {
				if !t.keeps(auth.AccountField(field)) {
					continue
				}
				if field == "Roles" && text != long {
					continue // encoding/json replaces invalid UTF-8, which does no harm: roles are set by the application
				}
				did := fmt.Sprintf("CreateUser with %s %s", field, name)
				a := t.account(unique())
				set(&a)
				user, err := t.store.CreateUser(t.Context(), a, nil)
				if err != nil {
					if answer := answerOf(err); answer != nil {
						fail(t.TB, did, err, "no error, or an error of the store's own", mend)
					}
					t.vacant("after "+did+" was refused", a.Username, a.Email, atomic)
					t.free("after "+did+" was refused", auth.Account{Username: a.Username, Email: a.Email}, atomic)
					continue
				}
				a.ID = accountOf(t.TB, did, user).ID
				t.loads("after "+did, a, mend)
				if field == "ID" {
					continue
				}
				before := t.create(t.account(unique()))
				changed := before
				set(&changed)
				works(t.TB, "UpdateAccount with a text that CreateUser accepted, "+field+" "+name, t.store.UpdateAccount(t.Context(), changed))
				changed.Version++
				t.loads("after UpdateAccount with "+field+" "+name, changed, mend)
			}
		}
	})
	s.run(t, "keeps roles of any text, in their order", func(t *userTest[U]) {
		t.needs(auth.FieldRoles)
		for i, roles := range [][]string{
			nil, {"one"}, {"b", "a", "c", "a"}, {"with space", "comma,comma", `"quotes'`, "new\nline", "{brace}", "[bracket]", "semi;colon", "ünï 𠮷", "NULL"},
			{strings.Repeat("r", 255)},
		} {
			a := t.account(fmt.Sprint("roles-", i))
			a.Roles = roles
			t.holds("after CreateUser", t.create(a), "store roles as a list of texts, such as a JSON array; a role may contain a comma")
		}
	})
	s.run(t, "keeps names as they were typed", func(t *userTest[U]) {
		for _, a := range []auth.Account{
			{Username: "MiKe-" + t.tag, Email: "MiKe-" + t.tag + "@Users.EXAMPLE"},
			{Username: "\uff4d\uff49\uff4b\uff45\uff12-" + t.tag, Email: t.tag + "+tag@\u00e4.example"},
			{Username: "𠮷野-" + t.tag, Email: t.tag + "@b\u00fccher.example"},
		} {
			t.holds("after CreateUser", t.create(a), "return Username and Email as given, and keep their canonical forms in other columns")
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
		t.holds(fmt.Sprintf("after CreateUser with a username of %d bytes and an address of %d", len(username), len(email)), a, "make the columns longer: the package comment lists what a store must have room for")
	})
	s.run(t, "keeps a given ID", func(t *userTest[U]) {
		a := t.account("given")
		a.ID = t.options.newID()
		user, err := t.store.CreateUser(t.Context(), a, nil)
		works(t.TB, "CreateUser with the ID "+a.ID, err)
		t.returned("CreateUser", user, nil, a, "make an ID only for an account that has none")
		t.holds("after CreateUser with an ID", a, "make an ID only for an account that has none")
		if other := t.create(t.account("other")); other.ID == a.ID {
			fail(t.TB, "CreateUser without an ID", "the ID of another user: "+a.ID, "a new ID", "give each ID out once")
		}
	})
	s.run(t, "refuses an ID that is in use", func(t *userTest[U]) {
		first := t.create(t.account("first"))
		second := t.account("second")
		second.ID = first.ID
		const mend = "use INSERT, and never INSERT OR REPLACE"
		if _, err := t.store.CreateUser(t.Context(), second, nil); err == nil {
			fail(t.TB, "CreateUser with an ID that is in use", "no error", "an error, which may be any", mend)
		}
		t.holds("after CreateUser with the ID of another", first, mend)
		t.noUser("after CreateUser with the ID of another", t.keyOf(second), atomic)
		second.ID = ""
		t.free("after CreateUser with the ID of another", second, atomic)
	})
	s.run(t, "gives every account a different ID", func(t *userTest[U]) {
		ids := make([]string, racers)
		errs := race(t.Context(), racers, func(ctx context.Context, i int) (err error) {
			ids[i], err = t.tryCreate(ctx, t.named(fmt.Sprint("racer-", i)))
			return err
		})
		for i, err := range errs {
			works(t.TB, fmt.Sprintf("CreateUser by racer %d, with a name of its own", i), err)
		}
		slices.Sort(ids)
		if n := len(slices.Compact(ids)); n != racers {
			fail(t.TB, "CreateUser by 50 racers", fmt.Sprintf("%d different IDs", n), racers, "give each ID out once; do not compute it from the rows that exist")
		}
	})
	s.run(t, "refuses an invalid username", func(t *userTest[U]) {
		t.needs(auth.FieldUsername)
		for _, username := range []string{t.email("mike"), "a@b", "@", "with space", "\x00", "a\x00b", "\xff", "tab\t", "\u200b", strings.Repeat("x", 65), strings.Repeat("x", 1<<20)} {
			t.createFails("not a username", auth.Account{Username: username, Email: t.email("mike")}, auth.ErrInvalidUsername,
				"call auth.UsernameKey and return its error")
		}
		t.noUser("after CreateUser was refused", t.email("mike"), atomic)
		if t.keeps(auth.FieldEmail) {
			t.free("after CreateUser was refused", auth.Account{Email: t.email("mike")}, atomic)
		}
	})
	s.run(t, "refuses an invalid address", func(t *userTest[U]) {
		t.needs(auth.FieldEmail)
		for _, email := range []string{"mike", "@", "mike@", "@users.example", "a@b@users.example", "mike@users.example\u200b", "mi ke@users.example",
			"mike@users.example\r\nBcc: x@y.example", "mike@[127.0.0.1]", "\xff@users.example", "mike@users.example\x00", strings.Repeat("x", 65) + "@users.example", strings.Repeat("x", 1<<20) + "@users.example"} {
			t.createFails("not an address", auth.Account{Username: t.name("mike"), Email: email}, auth.ErrInvalidEmail,
				"call auth.EmailKey and return its error")
		}
		t.noUser("after CreateUser was refused", t.name("mike"), atomic)
		if t.keeps(auth.FieldUsername) {
			t.free("after CreateUser was refused", auth.Account{Username: t.name("mike")}, atomic)
		}
	})
	s.run(t, "refuses a username that is taken", func(t *userTest[U]) {
		t.needs(auth.FieldUsername)
		first := t.create(t.account("first"))
		second := t.account("second")
		second.Username = first.Username
		t.createFails("the username is taken", second, auth.ErrUsernameTaken, reserves)
		t.holds("after CreateUser was refused", first, atomic)
		t.noUser("after CreateUser was refused", second.Email, atomic)
		second.Username = t.name("second")
		t.free("after CreateUser was refused for the username", second, atomic+"; the refused call must not leave the address reserved")
	})
	s.run(t, "refuses an address that is taken", func(t *userTest[U]) {
		t.needs(auth.FieldEmail)
		first := t.create(t.account("first"))
		second := t.account("second")
		second.Email = first.Email
		t.createFails("the address is taken", second, auth.ErrEmailTaken, reserves)
		t.holds("after CreateUser was refused", first, atomic)
		t.noUser("after CreateUser was refused", second.Username, atomic)
		second.Email = t.email("second")
		t.free("after CreateUser was refused for the address", second, atomic+"; the refused call must not leave the username reserved")
	})
	s.run(t, "accepts any number of accounts without a username or without an address", func(t *userTest[U]) {
		t.needs(auth.FieldUsername, auth.FieldEmail)
		const mend = "an empty name means no name, and any number of accounts may have none; store its canonical form as NULL"
		var all []auth.Account
		for i := range 3 {
			username, email := t.account(fmt.Sprint("username-", i)), t.account(fmt.Sprint("email-", i))
			username.Email, email.Username = "", ""
			for _, a := range []auth.Account{username, email} {
				user, err := t.store.CreateUser(t.Context(), a, nil)
				if err != nil {
					fail(t.TB, fmt.Sprintf("CreateUser of %.100q <%.100s>", a.Username, a.Email), err, "no error", mend)
					return
				}
				a.ID = accountOf(t.TB, "CreateUser", user).ID
				all = append(all, a)
			}
		}
		for _, a := range all {
			t.holds("after CreateUser of six accounts that lack one name", a, mend)
		}
	})
	s.run(t, "of 50 racers with one username, one wins", func(t *userTest[U]) {
		t.needs(auth.FieldUsername)
		again(t.TB, func(round int) {
			account := func(i int) auth.Account {
				names := spellings(t.name(fmt.Sprint("josé-", round)))
				return auth.Account{Username: names[i%len(names)], Email: t.email(fmt.Sprintf("racer-%d-%d", round, i))}
			}
			ids := make([]string, racers)
			errs := race(t.Context(), racers, func(ctx context.Context, i int) (err error) {
				ids[i], err = t.tryCreate(ctx, account(i))
				return err
			})
			winner := oneWins(t.TB, "CreateUser of one username, in several spellings, by 50 racers", errs, auth.ErrUsernameTaken, reserves)
			a := account(winner)
			a.ID = ids[winner]
			t.holds("after the race", a, reserves)
			for i := range racers {
				if i != winner {
					t.vacant("after the race, for a loser", "", account(i).Email, atomic)
				}
			}
		})
	})
	s.run(t, "of 50 racers with one address, one wins", func(t *userTest[U]) {
		t.needs(auth.FieldEmail)
		again(t.TB, func(round int) {
			account := func(i int) auth.Account {
				addresses := []string{t.email(fmt.Sprint("mike-", round)), strings.ToUpper(t.email(fmt.Sprint("mike-", round)))}
				return auth.Account{Username: t.name(fmt.Sprintf("racer-%d-%d", round, i)), Email: addresses[i%len(addresses)]}
			}
			ids := make([]string, racers)
			errs := race(t.Context(), racers, func(ctx context.Context, i int) (err error) {
				ids[i], err = t.tryCreate(ctx, account(i))
				return err
			})
			winner := oneWins(t.TB, "CreateUser of one address, in two spellings, by 50 racers", errs, auth.ErrEmailTaken, reserves)
			a := account(winner)
			a.ID = ids[winner]
			t.holds("after the race", a, reserves)
			for i := range racers {
				if i != winner {
					t.vacant("after the race, for a loser", account(i).Username, "", atomic)
				}
			}
		})
	})
}

// spellings returns other spellings of a username that contains an é. All have
// the same canonical form.
func spellings(name string) []string {
	return []string{name, strings.ToUpper(name), strings.ReplaceAll(name, "é", "e\u0301"), strings.ReplaceAll(strings.ToUpper(name), "É", "E\u0301")}
}

// givenID returns an ID that stores with numeric IDs can keep, too.
func givenID() string {
	digits := []byte("7")
	for _, c := range []byte(unique() + unique())[:14] {
		digits = append(digits, '0'+c%10)
	}
	return string(digits)
}
