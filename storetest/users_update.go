package storetest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

func (s userSuite[U]) updateAccount(t *testing.T) {
	const (
		compare = "compare and write in one statement: UPDATE … SET version = version + 1 WHERE id = ? AND version = ?, and check that one row changed"
		atomic  = "change nothing if UpdateAccount returns an error"
		rename  = "change the canonical forms together with the names"
	)
	// update saves an account and returns it as the store must now hold it.
	update := func(t *userTest[U], a auth.Account) auth.Account {
		t.Helper()
		works(t.TB, "UpdateAccount with the stored Version", t.store.UpdateAccount(t.Context(), a))
		a.Version++
		return a
	}

	s.run(t, "replaces every field and counts the Version up", func(t *userTest[U]) {
		a, other := t.create(t.account("mike")), t.create(t.account("other"))
		t.rename(&a, "anna")
		a.EmailVerified, a.Disabled = false, false
		a.PasswordHash, a.Stamp = auth.NewSecret("new hash"), auth.NewSecret("new stamp")
		a.Roles = []string{"new, role"}
		a = update(t, a)
		t.holds("after UpdateAccount", a, "save every field as given, except the Version, which is one more")
		t.holds("after UpdateAccount of another user", other, "change this account only")

		a.EmailVerified, a.Disabled = true, true
		a.PasswordHash, a.Stamp, a.Roles = auth.Secret{}, auth.Secret{}, nil
		a = update(t, a)
		t.holds("after UpdateAccount that empties fields", a, "save empty fields as well")
	})
	s.run(t, "of the same contents counts the Version up", func(t *userTest[U]) {
		a := t.create(t.account("mike"))
		t.holds("after UpdateAccount of what is there", update(t, a), "increment the Version even if nothing else changes (MySQL counts only changed rows, unless clientFoundRows is set)")
	})
	s.run(t, "counts any Version up", func(t *userTest[U]) {
		for i, version := range []int64{0, -1, 1 << 53, math.MaxInt64 - 1} {
			a := t.account(fmt.Sprint("version-", i))
			a.Version = version
			t.holds(fmt.Sprint("after CreateUser with the Version ", version), t.create(a), "store the Version as given, as a signed integer of 64 bits")
			a = t.named(fmt.Sprint("update-", i))
			a.Version = version
			a = update(t, t.create(a))
			t.holds("after UpdateAccount", a, "store the Version as a signed integer of 64 bits")
		}
	})
	s.run(t, "with a stale Version changes nothing", func(t *userTest[U]) {
		old := t.create(t.account("mike"))
		now := old
		now.Stamp = auth.NewSecret("now")
		now = update(t, now)
		stale := t.account("stale")
		stale.ID, stale.Stamp = old.ID, auth.NewSecret("stale")
		for _, version := range []int64{old.Version, now.Version + 1, 0, -now.Version} {
			stale.Version = version
			fails(t.TB, fmt.Sprintf("UpdateAccount with the Version %d, while %d is stored", version, now.Version),
				t.store.UpdateAccount(t.Context(), stale), auth.ErrConflict, compare)
			t.holds("after a refused UpdateAccount", now, compare)
		}
		t.vacant("after a refused UpdateAccount", stale.Username, stale.Email, atomic)
		t.free("after a refused UpdateAccount", auth.Account{Username: stale.Username, Email: stale.Email}, atomic)
	})
	s.run(t, "of 50 racers with one Version, one wins", func(t *userTest[U]) {
		again(t.TB, func(round int) {
			a := t.create(t.account(fmt.Sprint("mike-", round)))
			errs := race(t.Context(), racers, func(ctx context.Context, i int) error {
				mine := a.Clone()
				mine.Stamp = auth.NewSecret(fmt.Sprint("racer ", i))
				return t.store.UpdateAccount(ctx, mine)
			})
			winner := oneWins(t.TB, "UpdateAccount by 50 racers with one Version", errs, auth.ErrConflict, compare)
			a.Stamp, a.Version = auth.NewSecret(fmt.Sprint("racer ", winner)), a.Version+1
			t.holds("after the race", a, "the account must hold what the winner wrote; "+compare)
		})
	})
	s.run(t, "loses no count of 10 racers", func(t *userTest[U]) {
		const counters, each = 10, 5
		a := t.create(t.named("mike"))
		errs := race(t.Context(), counters, func(ctx context.Context, _ int) error {
			return count(counters*each, each, func() error {
				user, err := t.store.LoadUser(ctx, a.ID)
				if err != nil {
					return err
				}
				mine, err := copyAccount(user)
				if err != nil {
					return err
				}
				mine.Stamp = auth.NewSecret(mine.Stamp.Reveal() + "+")
				return t.store.UpdateAccount(ctx, mine)
			})
		})
		for _, err := range errs {
			works(t.TB, "LoadUser and UpdateAccount until it does not conflict", err)
		}
		a.Stamp, a.Version = auth.NewSecret(strings.Repeat("+", counters*each)), a.Version+counters*each
		t.holds("after 10 racers counted 5 times each", a, compare)
	})
	for _, wanted := range []struct {
		name  string
		field auth.AccountField
		taken error
		set   func(t *userTest[U], a *auth.Account, round, i int)
	}{
		{"username", auth.FieldUsername, auth.ErrUsernameTaken, func(t *userTest[U], a *auth.Account, round, i int) {
			names := spellings(t.name(fmt.Sprint("josé-", round)))
			a.Username = names[i%len(names)]
		}},
		{"address", auth.FieldEmail, auth.ErrEmailTaken, func(t *userTest[U], a *auth.Account, round, i int) {
			a.Email = t.email(fmt.Sprint("wanted-", round))
			if i%2 == 1 {
				a.Email = strings.ToUpper(a.Email)
			}
		}},
	} {
		s.run(t, "of 50 racers who want one "+wanted.name+", one wins", func(t *userTest[U]) {
			t.needs(wanted.field)
			all := make([]auth.Account, racers)
			for i := range all {
				t.rename(&all[i], fmt.Sprint("racer-", i))
				all[i] = t.create(all[i])
			}
			again(t.TB, func(round int) {
				errs := race(t.Context(), racers, func(ctx context.Context, i int) error {
					mine := all[i]
					wanted.set(t, &mine, round, i)
					return t.store.UpdateAccount(ctx, mine)
				})
				const mend = "let a UNIQUE index on the canonical name refuse, or hold one lock over the look-up and the write"
				winner := oneWins(t.TB, "UpdateAccount to one "+wanted.name+", in several spellings, by 50 racers", errs, wanted.taken, mend)
				wanted.set(t, &all[winner], round, winner)
				all[winner].Version++
				for _, a := range all {
					t.holds("after the race", a, atomic+"; "+mend)
				}
			})
		})
	}
	s.run(t, "of an unknown ID", func(t *userTest[U]) {
		const mend = "use UPDATE and check that one row changed; never insert. If none changed, look for the user: ErrUserNotFound without one, and ErrConflict otherwise"
		t.create(t.account("somebody"))
		for i, id := range t.unknownIDs() {
			a := t.account(fmt.Sprint("unknown-", i))
			a.ID = id
			fails(t.TB, "UpdateAccount of the ID "+brief(id), t.store.UpdateAccount(t.Context(), a), auth.ErrUserNotFound, mend)
			t.noUser("after UpdateAccount of an unknown ID", t.keyOf(a), mend)
		}
	})
	s.run(t, "refuses names that are taken and changes nothing", func(t *userTest[U]) {
		first, second := t.create(t.account("first")), t.create(t.account("second"))
		changed := t.account("free")
		changed.ID, changed.Version = second.ID, second.Version

		if t.keeps(auth.FieldUsername) {
			changed.Username = strings.ToUpper(first.Username)
			fails(t.TB, "UpdateAccount to a username that is taken", t.store.UpdateAccount(t.Context(), changed), auth.ErrUsernameTaken, "return the same errors as CreateUser")
			t.holds("after a refused UpdateAccount", second, atomic)
			t.vacant("after a refused UpdateAccount", "", changed.Email, atomic)
		}
		if t.keeps(auth.FieldEmail) {
			t.rename(&changed, "free")
			changed.Email = first.Email
			fails(t.TB, "UpdateAccount to an address that is taken", t.store.UpdateAccount(t.Context(), changed), auth.ErrEmailTaken, "return the same errors as CreateUser")
			t.holds("after a refused UpdateAccount", second, atomic)
			t.vacant("after a refused UpdateAccount", changed.Username, "", atomic)
		}
		t.holds("after a refused UpdateAccount of another user", first, atomic)
		t.free("after a refused UpdateAccount", t.account("free"), atomic)
		second.Disabled = false
		t.holds("after refused UpdateAccounts", update(t, second), atomic+", including the Version")
	})
	s.run(t, "refuses an invalid name", func(t *userTest[U]) {
		a := t.create(t.account("mike"))
		if bad := a; t.keeps(auth.FieldUsername) {
			bad.Username = t.email("anna")
			fails(t.TB, "UpdateAccount to a username with an @", t.store.UpdateAccount(t.Context(), bad), auth.ErrInvalidUsername, "return the same errors as CreateUser")
		}
		if bad := a; t.keeps(auth.FieldEmail) {
			bad.Email = "anna@users.example\u200b"
			fails(t.TB, "UpdateAccount to an invalid address", t.store.UpdateAccount(t.Context(), bad), auth.ErrInvalidEmail, "return the same errors as CreateUser")
		}
		t.holds("after a refused UpdateAccount", a, atomic)
	})
	s.run(t, "frees the old names", func(t *userTest[U]) {
		a := t.create(t.account("old"))
		t.rename(&a, "new")
		a = update(t, a)
		t.holds("after UpdateAccount to other names", a, rename)
		t.noUser("after UpdateAccount to other names", t.name("old"), rename)
		t.noUser("after UpdateAccount to other names", t.email("old"), rename)
		t.free("after UpdateAccount to other names", t.account("old"), rename)
		t.holds("after another user got the old names", a, rename)
	})
	s.run(t, "can drop a name and set it again", func(t *userTest[U]) {
		t.needs(auth.FieldUsername, auth.FieldEmail)
		a, b := t.create(t.account("a")), t.create(t.account("b"))
		full := a
		a.Username = ""
		b.Username = ""
		a, b = update(t, a), update(t, b)
		t.holds("after UpdateAccount without a username", a, rename+"; an empty name means no name")
		t.holds("after UpdateAccount without a username", b, rename+"; an empty name means no name")
		t.noUser("after UpdateAccount without a username", full.Username, rename)
		a.Username, a.Email = full.Username, ""
		a = update(t, a)
		t.holds("after UpdateAccount without an address", a, rename+"; an empty name means no name")
		t.noUser("after UpdateAccount without an address", full.Email, rename)
	})
	s.run(t, "can change the letter case of the account's own names", func(t *userTest[U]) {
		a := t.create(t.account("mike"))
		a.Username, a.Email = strings.ToUpper(a.Username), strings.ToUpper(a.Email)
		t.holds("after UpdateAccount to the same names in capitals", update(t, a), "an account may keep its own names in another spelling: exclude it when looking for taken names")
	})
}
