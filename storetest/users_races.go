package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/go-login/auth"
)

// races tests races between different verbs, and between names that cross.
// Races of a verb with itself are in the verb's own tests.
func (s userSuite[U]) races(t *testing.T) {
	const reserves = "let a UNIQUE index on the canonical name refuse, in CreateUser and in UpdateAccount, or hold one lock over the look-up and the write"

	s.run(t, "of CreateUser and UpdateAccount for one username, one wins", func(t *userTest[U]) {
		t.needs(auth.FieldUsername)
		all := make([]auth.Account, racers)
		for i := range all {
			all[i] = t.create(auth.Account{Username: t.name(fmt.Sprint("racer-", i))})
		}
		again(t.TB, func(round int) {
			wanted := t.name(fmt.Sprint("wanted-", round))
			errs := race(t.Context(), racers, func(ctx context.Context, i int) error {
				if i%2 == 0 {
					_, err := t.tryCreate(ctx, auth.Account{Username: wanted})
					return err
				}
				mine := all[i]
				mine.Username = wanted
				return t.store.UpdateAccount(ctx, mine)
			})
			winner := oneWins(t.TB, "CreateUser of a username and UpdateAccount to it by 50 racers", errs, auth.ErrUsernameTaken, reserves)
			for i := range all {
				if i == winner && i%2 == 1 {
					all[i].Username, all[i].Version = wanted, all[i].Version+1
				}
				if i%2 == 1 {
					t.holds("after the race", all[i], reserves)
				}
			}
		})
	})
	s.run(t, "of CreateUser whose usernames and addresses cross, every refusal is true", func(t *userTest[U]) {
		t.needs(auth.FieldUsername, auth.FieldEmail)
		again(t.TB, func(round int) {
			account := func(i int) auth.Account {
				return auth.Account{Username: t.name(fmt.Sprintf("name-%d-%d", round, i%7)), Email: t.email(fmt.Sprintf("address-%d-%d", round, i%5))}
			}
			t.create(auth.Account{Email: account(0).Email}) // so that some are refused for their address
			errs := race(t.Context(), racers, func(ctx context.Context, i int) error {
				_, err := t.tryCreate(ctx, account(i))
				return err
			})
			for i, err := range errs {
				a := account(i)
				did := fmt.Sprintf("CreateUser of %.100q <%.100s>, racing others with one of these names", a.Username, a.Email)
				refused := a.Username
				switch {
				case err == nil:
					user, err := t.store.FindUser(t.Context(), a.Username)
					works(t.TB, did+", which returned nil: FindUser", err)
					if got := accountOf(t.TB, "FindUser", user).Email; got != a.Email {
						fail(t.TB, did+", which returned nil: FindUser of the username: Email", got, a.Email, reserves)
					}
					continue
				case errors.Is(err, auth.ErrEmailTaken):
					refused = a.Email
				case !errors.Is(err, auth.ErrUsernameTaken):
					fail(t.TB, did, err, "no error, ErrUsernameTaken or ErrEmailTaken", "if the database was busy or saw a deadlock, retry inside the store")
					return
				}
				if _, findErr := t.store.FindUser(t.Context(), refused); findErr != nil {
					fail(t.TB, did, err, fmt.Sprintf("another error: no user has %q (%v)", refused, findErr),
						"a refused call must not make a name taken: reserve both names in one transaction, and let other calls wait for it")
				}
			}
		})
	})
	s.run(t, "of UpdateAccount and 49 readers, the user is always there, whole, and never older than before", func(t *userTest[U]) {
		again(t.TB, func(round int) { t.read(fmt.Sprint("mike-", round)) })
	})
	s.run(t, "of FindUser and a name that changes hands, only its owner is found", func(t *userTest[U]) {
		a, b, free := t.create(t.named("first")), t.create(t.named("second")), t.named("third")
		names := []string{t.keyOf(a), t.keyOf(b), t.keyOf(free)}
		again(t.TB, func(int) {
			for _, err := range race(t.Context(), racers, func(ctx context.Context, i int) error {
				if i > 0 {
					key := names[i%3]
					user, err := t.store.FindUser(ctx, key)
					if err != nil {
						return unless(err, auth.ErrUserNotFound)
					}
					if got, err := copyAccount(user); err != nil || t.keyOf(got) != key {
						return fmt.Errorf("FindUser(%q) returned the user %q (error: %w)", key, t.keyOf(got), err)
					}
					return nil
				}
				for range 6 { // the two users take turns: each takes the name that is free
					old := a
					a.Username, a.Email = free.Username, free.Email
					if err := t.store.UpdateAccount(ctx, a); err != nil {
						return fmt.Errorf("UpdateAccount to a name that is free: %w", err)
					}
					a.Version++
					a, b, free = b, a, old
				}
				return nil
			}) {
				if err != nil {
					fail(t.TB, "FindUser while names change hands", err, "the user who has the name now, or ErrUserNotFound",
						"find the user by name in one query, or under one lock; do not look the ID up first and load the user afterwards")
					t.FailNow()
				}
			}
		})
	})
}

// stamped sets the Version, and the Stamp that belongs to it.
func stamped(a auth.Account, version int64) auth.Account {
	a.Version = version
	a.Stamp = auth.NewSecret(fmt.Sprint("stamp of the Version ", version))
	return a
}

// read checks what 49 racers read while one racer changes an account.
func (t *userTest[U]) read(base string) {
	t.Helper()
	const updates, reads = 10, 2
	first := t.create(stamped(t.account(base), 1))
	keys := t.keysOf(first)
	const did = "reading a user while the account is updated"
	for i, err := range race(t.Context(), racers, func(ctx context.Context, i int) error {
		if i == 0 {
			for version := range int64(updates) {
				a := stamped(first, version+2)
				a.Version = version + 1
				if err := t.store.UpdateAccount(ctx, a); err != nil {
					return fmt.Errorf("UpdateAccount by the only racer that updates: %w", err)
				}
			}
			return nil
		}
		last := int64(0)
		for j := range reads {
			var user U
			var err error
			if way := (i + j) % (1 + len(keys)); way == 0 {
				user, err = t.store.LoadUser(ctx, first.ID)
			} else {
				user, err = t.store.FindUser(ctx, keys[way-1])
			}
			if err != nil {
				return fmt.Errorf("LoadUser or FindUser: %w", err)
			}
			a, err := copyAccount(user)
			switch {
			case err != nil:
				return err
			case a.Stamp.Reveal() != stamped(a, a.Version).Stamp.Reveal():
				return fmt.Errorf("read the Version %d with the Stamp %q of another Version", a.Version, a.Stamp.Reveal())
			case a.Version < last:
				return fmt.Errorf("read the Version %d after the Version %d", a.Version, last)
			}
			last = a.Version
		}
		return nil
	}) {
		if err != nil {
			fail(t.TB, fmt.Sprintf("%s: racer %d", did, i), err, "the user as one of the updates left it, and never an older one than read before",
				"change the row in place, in one statement; read from the same server that is written to, and not from a cache or replica")
			t.FailNow()
		}
	}
	t.holds("after "+did, stamped(first, updates+1), "keep every update that returned nil")
}
