package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// TestUserStoreProcesses checks a store of users whose database several
// processes share. See [TestRecordStoreProcesses] for create and open, and
// [TestUserStore] for the options.
func TestUserStoreProcesses[U auth.User](t *testing.T, create func(t *testing.T) (name string),
	open func(t *testing.T, name string, clock func() time.Time) auth.UserStore[U], opts ...Option) {
	const suite = "users"
	c := newClock()
	o := optionsOf(opts)
	if name, ok := processOf(t, suite); ok {
		store := fill(open(t, name, c.Now), o)
		serve(t, c, func(ctx context.Context, one call) answer { return ofUsers(ctx, one, store) })
		return
	}
	name := create(t)
	store := open(t, name, c.Now)
	crew := start(t, suite, name)
	run := func(name string, f func(t *userTest[U])) {
		t.Run(name, func(t *testing.T) { f(newUserTest(t, store, o)) })
	}

	const mend = "make it one step for the database, with a UNIQUE index, one statement or one transaction: a lock of this process does not stop the other processes"

	for _, one := range []struct {
		name  string
		field auth.AccountField
		taken error
		of    func(t *userTest[U], round, i int) auth.Account
	}{
		{"username", auth.FieldUsername, auth.ErrUsernameTaken, func(t *userTest[U], round, i int) auth.Account {
			names := spellings(t.name(fmt.Sprint("josé-", round)))
			return auth.Account{Username: names[i%len(names)], Email: t.email(fmt.Sprintf("racer-%d-%d", round, i))}
		}},
		{"address", auth.FieldEmail, auth.ErrEmailTaken, func(t *userTest[U], round, i int) auth.Account {
			return auth.Account{Username: t.name(fmt.Sprintf("racer-%d-%d", round, i)), Email: t.email(fmt.Sprint("mike-", round))}
		}},
	} {
		run("of 48 racers with one "+one.name+", one wins", func(t *userTest[U]) {
			t.needs(one.field)
			repeat(t, meetings, func(round int) {
				answers, errs := crew.race(t, c, func(i int) call {
					return call{Verb: "CreateUser", Account: personOf(one.of(t, round, i))}
				})
				winner := oneWins(t, "CreateUser of one "+one.name+" by 48 racers in 4 processes", errs, one.taken, mend)
				a := one.of(t, round, winner)
				a.ID = answers[winner].Account.ID
				t.holds("after the race", a, mend)
			})
		})
	}
	run("of 48 racers with one Version, one wins", func(t *userTest[U]) {
		repeat(t, meetings, func(round int) {
			a := t.create(t.named(fmt.Sprint("mike-", round)))
			racer := func(i int) auth.Account {
				mine := a
				mine.Stamp = auth.NewSecret(fmt.Sprint("racer ", i))
				return mine
			}
			_, errs := crew.race(t, c, func(i int) call { return call{Verb: "UpdateAccount", Account: personOf(racer(i))} })
			winner := oneWins(t, "UpdateAccount by 48 racers in 4 processes with one Version", errs, auth.ErrConflict, mend)
			a = racer(winner)
			a.Version++
			t.holds("after the race", a, "the account must hold what the winner wrote; "+mend)
		})
	})
	run("of 48 racers who want one username, one wins", func(t *userTest[U]) {
		t.needs(auth.FieldUsername)
		all := make([]auth.Account, processes*perProcess)
		for i := range all {
			all[i] = t.create(auth.Account{Username: t.name(fmt.Sprint("racer-", i))})
		}
		repeat(t, meetings, func(round int) {
			wanted := t.name(fmt.Sprint("wanted-", round))
			_, errs := crew.race(t, c, func(i int) call {
				mine := all[i]
				mine.Username = wanted
				return call{Verb: "UpdateAccount", Account: personOf(mine)}
			})
			winner := oneWins(t, "UpdateAccount to one username by 48 racers in 4 processes", errs, auth.ErrUsernameTaken, mend)
			all[winner].Username, all[winner].Version = wanted, all[winner].Version+1
			t.holds("after the race", all[winner], mend)
		})
	})
	run("give every account a different ID", func(t *userTest[U]) {
		answers, errs := crew.race(t, c, func(i int) call {
			return call{Verb: "CreateUser", Account: personOf(t.named(fmt.Sprint("racer-", i)))}
		})
		var ids []string
		for i, err := range errs {
			works(t, fmt.Sprintf("CreateUser by racer %d in 4 processes, with a name of its own", i), err)
			ids = append(ids, answers[i].Account.ID)
		}
		slices.Sort(ids)
		if n := len(slices.Compact(ids)); n != len(errs) {
			fail(t, "CreateUser by 48 racers in 4 processes", fmt.Sprintf("%d different IDs", n), len(errs), "give each ID out once: let the database count, or use random IDs")
		}
	})
	run("lose no count of 48 racers", func(t *userTest[U]) {
		const each = 2
		a := t.create(t.named("mike"))
		all := processes * perProcess * each
		_, errs := crew.race(t, c, func(int) call { return call{Verb: "count", Name: a.ID, All: all, Times: each} })
		for _, err := range errs {
			works(t, "LoadUser and UpdateAccount until it does not conflict", err)
		}
		a.Stamp, a.Version = auth.NewSecret(strings.Repeat("+", all)), a.Version+int64(all)
		t.holds(fmt.Sprintf("after 48 racers in 4 processes counted %d times each", each), a, mend)
	})
	run("see at once what another process has written", func(t *userTest[U]) {
		for round := range processes {
			by := func(n int, verb string, a auth.Account) answer {
				t.Helper()
				got, err := crew[(round+n)%processes].ask(t, c, call{Verb: verb, Account: personOf(a), Name: a.ID})
				works(t, verb+" in one process of four", err)
				return got
			}
			a := auth.Account{Version: 5}
			t.rename(&a, fmt.Sprint("mike-", round))
			t.seenByAll(crew, c, "before CreateUser", a, false)
			a.ID = by(0, "CreateUser", a).Account.ID
			t.seenByAll(crew, c, "after CreateUser in one of them", a, true)
			old := a
			t.rename(&a, fmt.Sprint("anna-", round))
			a.Stamp = auth.NewSecret("new")
			by(1, "UpdateAccount", a)
			a.Version++
			t.seenByAll(crew, c, "after UpdateAccount in one of them", a, true)
			t.seenByAll(crew, c, "after UpdateAccount in one of them, by the old names", auth.Account{Username: old.Username, Email: old.Email}, false)
			if _, ok := bare(t.store).(auth.UserDeleter); ok {
				by(2, "DeleteUser", a)
				t.seenByAll(crew, c, "after DeleteUser in one of them", a, false)
			}
		}
	})
}

// seenByAll checks, with one call to each process, that every process finds exactly
// this account by its ID and by its names, or does not find it.
func (t *userTest[U]) seenByAll(crew crew, clock *clock, when string, want auth.Account, there bool) {
	t.Helper()
	const mend = "after a call has returned, every other process must see its effect: do not cache what another process may change, and do not read from a replica"
	for i, p := range crew {
		for _, c := range []call{{Verb: "LoadUser", Name: want.ID}, {Verb: "FindUser", Name: want.Username}, {Verb: "FindUser", Name: want.Email}} {
			if c.Name == "" {
				continue
			}
			did := fmt.Sprintf("%s: %s in process %d of 4", when, c.Verb, i+1)
			got, err := p.ask(t, clock, c)
			switch {
			case !there:
				fails(t, did, err, auth.ErrUserNotFound, mend)
			case err != nil:
				fail(t, did, err, "the user", mend)
			case got.Account != personOf(want):
				fail(t, did, fmt.Sprintf("%+v", got.Account), fmt.Sprintf("%+v", personOf(want)), mend)
			}
		}
	}
	if there {
		t.holds(when+", in a fifth process", want, mend)
	}
}

// ofUsers makes a call to a store of users.
func ofUsers[U auth.User](ctx context.Context, c call, store auth.UserStore[U]) (a answer) {
	var user U
	var err error
	returns := false
	switch c.Verb {
	case "CreateUser":
		user, err = store.CreateUser(ctx, c.Account.account(), nil)
		returns = true
	case "LoadUser":
		user, err = store.LoadUser(ctx, c.Name)
		returns = true
	case "FindUser":
		user, err = store.FindUser(ctx, c.Name)
		returns = true
	case "UpdateAccount":
		err = store.UpdateAccount(ctx, c.Account.account())
	case "DeleteUser":
		err = errors.ErrUnsupported
		if d, ok := bare(store).(auth.UserDeleter); ok {
			err = d.DeleteUser(ctx, c.Name)
		}
	case "count":
		err = count(c.All, c.Times, func() error {
			user, err := store.LoadUser(ctx, c.Name)
			if err != nil {
				return err
			}
			mine, err := copyAccount(user)
			if err != nil {
				return err
			}
			mine.Stamp = auth.NewSecret(mine.Stamp.Reveal() + "+")
			return store.UpdateAccount(ctx, mine)
		})
	default:
		err = errors.ErrUnsupported
	}
	if err == nil && returns {
		var account auth.Account
		account, err = copyAccount(user)
		a.Account = personOf(account)
	}
	a.failed(err)
	return a
}
