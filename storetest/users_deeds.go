package storetest

import (
	"context"
	"errors"
	"net/url"

	"github.com/go-login/auth"
)

// A userDeed makes a deed for users of its own; see recordDeed.
type userDeed[U auth.User] struct {
	name    string
	prepare func(t *userTest[U], through auth.UserStore[U], own string) deed
}

func (d userDeed[U]) make(t *userTest[U], through auth.UserStore[U], own string) deed {
	made := d.prepare(t, fill(through, t.options), own)
	made.verb, made.test = d.name, &t.TB
	return made
}

// userDeeds returns a deed for every verb.
func userDeeds[U auth.User]() []userDeed[U] {
	// unchanged is for a call that must leave the user a as it is, and the
	// names of other free.
	unchanged := func(t *userTest[U], a, other auth.Account, answer error, call func(ctx context.Context) error) deed {
		return deed{
			call: call, answer: answer,
			happened: func() outcome { return undone },
			whole: func(after string, _ outcome) {
				const mend = "change nothing in a call that is refused or only reads"
				t.holds(after, a, mend)
				t.vacant(after, other.Username, other.Email, mend)
			},
		}
	}
	// none is an account without names, for a call that wants no names.
	none := auth.Account{}

	return []userDeed[U]{
		{"CreateUser", func(t *userTest[U], through auth.UserStore[U], own string) deed {
			a := t.account(own)
			const mend = "write the user and the index of names in one statement or transaction; after a failed insert check the error before looking the name up"
			return deed{
				call: func(ctx context.Context) error {
					user, err := through.CreateUser(ctx, a, url.Values{"name": {"name of " + own}})
					if err == nil {
						stored := a
						stored.ID = accountOf(t.TB, "CreateUser", user).ID
						t.returned("CreateUser that returned no error", user, nil, stored, mend)
						t.loads("after CreateUser that returned no error", stored, mend)
					}
					return err
				},
				already: []error{auth.ErrUsernameTaken, auth.ErrEmailTaken},
				happened: func() outcome {
					_, err := t.store.FindUser(t.Context(), t.keyOf(a))
					if err != nil && !errors.Is(err, auth.ErrUserNotFound) {
						works(t.TB, "FindUser", err)
					}
					return doneIf(err == nil)
				},
				whole: func(after string, o outcome) {
					if o == undone {
						t.vacant(after, a.Username, a.Email, mend)
						return
					}
					user, err := t.store.FindUser(t.Context(), t.keyOf(a))
					works(t.TB, after+": FindUser", err)
					stored := a
					stored.ID = accountOf(t.TB, after+": FindUser", user).ID
					t.holds(after, stored, mend)
					if u, ok := any(user).(*User); ok && u.Name != "name of "+own {
						fail(t.TB, after+": Name", u.Name, "name of "+own, mend)
					}
				},
			}
		}},
		{"CreateUser of a username that is taken", func(t *userTest[U], through auth.UserStore[U], own string) deed {
			t.needs(auth.FieldUsername)
			a, other := t.create(t.account(own)), t.account(own+"-other")
			wanted := other
			wanted.Username, other.Username = a.Username, ""
			return unchanged(t, a, other, auth.ErrUsernameTaken, func(ctx context.Context) error {
				_, err := through.CreateUser(ctx, wanted, nil)
				return err
			})
		}},
		{"CreateUser of an address that is taken", func(t *userTest[U], through auth.UserStore[U], own string) deed {
			t.needs(auth.FieldEmail)
			a, other := t.create(t.account(own)), t.account(own+"-other")
			wanted := other
			wanted.Email, other.Email = a.Email, ""
			return unchanged(t, a, other, auth.ErrEmailTaken, func(ctx context.Context) error {
				_, err := through.CreateUser(ctx, wanted, nil)
				return err
			})
		}},
		{"LoadUser", func(t *userTest[U], through auth.UserStore[U], own string) deed {
			a := t.create(t.account(own))
			return unchanged(t, a, none, nil, func(ctx context.Context) error {
				user, err := through.LoadUser(ctx, a.ID)
				if err == nil {
					t.returned("LoadUser that returned no error", user, nil, a, "return the whole user or an error")
				}
				return err
			})
		}},
		{"LoadUser of an unknown ID", func(t *userTest[U], through auth.UserStore[U], own string) deed {
			a := t.create(t.account(own))
			return unchanged(t, a, none, auth.ErrUserNotFound, func(ctx context.Context) error {
				_, err := through.LoadUser(ctx, t.options.newID())
				return err
			})
		}},
		{"FindUser", func(t *userTest[U], through auth.UserStore[U], own string) deed {
			a := t.create(t.account(own))
			return unchanged(t, a, none, nil, func(ctx context.Context) error {
				user, err := through.FindUser(ctx, t.keyOf(a))
				if err == nil {
					t.returned("FindUser that returned no error", user, nil, a, "return the whole user or an error")
				}
				return err
			})
		}},
		{"FindUser of an unknown key", func(t *userTest[U], through auth.UserStore[U], own string) deed {
			a := t.create(t.account(own))
			return unchanged(t, a, none, auth.ErrUserNotFound, func(ctx context.Context) error {
				_, err := through.FindUser(ctx, t.name(own+"-unknown"))
				return err
			})
		}},
		{"UpdateAccount", func(t *userTest[U], through auth.UserStore[U], own string) deed {
			old := t.create(t.account(own))
			next := t.account(own + "-new")
			next.ID, next.Disabled, next.Roles = old.ID, false, []string{"new"}
			after := next
			after.Version++
			return deed{
				call:    func(ctx context.Context) error { return through.UpdateAccount(ctx, next) },
				already: []error{auth.ErrConflict},
				happened: func() outcome {
					user, err := t.store.LoadUser(t.Context(), old.ID)
					works(t.TB, "LoadUser of a user that was updated", err)
					return doneIf(accountOf(t.TB, "LoadUser", user).Version != old.Version)
				},
				whole: func(did string, o outcome) {
					const mend = "change all fields, the Version and the index of names in one statement or transaction"
					is, was := old, next
					if o == done {
						is, was = after, old
					}
					t.holds(did, is, mend)
					t.vacant(did, was.Username, was.Email, mend)
				},
			}
		}},
		{"UpdateAccount with a stale Version", func(t *userTest[U], through auth.UserStore[U], own string) deed {
			a, other := t.create(t.account(own)), t.account(own+"-other")
			stale := other
			stale.ID, stale.Version = a.ID, a.Version-1
			return unchanged(t, a, other, auth.ErrConflict, func(ctx context.Context) error { return through.UpdateAccount(ctx, stale) })
		}},
		{"UpdateAccount to a username that is taken", func(t *userTest[U], through auth.UserStore[U], own string) deed {
			t.needs(auth.FieldUsername)
			owner, a, other := t.create(t.account(own+"-owner")), t.create(t.account(own)), t.account(own+"-other")
			wanted := other
			wanted.ID, wanted.Username, other.Username = a.ID, owner.Username, ""
			return unchanged(t, a, other, auth.ErrUsernameTaken, func(ctx context.Context) error { return through.UpdateAccount(ctx, wanted) })
		}},
		{"DeleteUser", func(t *userTest[U], through auth.UserStore[U], own string) deed {
			t.deleter()
			d, _ := bare(through).(auth.UserDeleter)
			a := t.create(t.account(own))
			return deed{
				call:    func(ctx context.Context) error { return d.DeleteUser(ctx, a.ID) },
				already: []error{auth.ErrUserNotFound},
				happened: func() outcome {
					_, err := t.store.LoadUser(t.Context(), a.ID)
					if err != nil && !errors.Is(err, auth.ErrUserNotFound) {
						works(t.TB, "LoadUser", err)
					}
					return doneIf(err != nil)
				},
				whole: func(after string, o outcome) {
					const mend = "the user and the index of names are deleted in one statement or transaction"
					if o == undone {
						t.holds(after, a, mend)
						return
					}
					_, err := t.store.LoadUser(t.Context(), a.ID)
					fails(t.TB, after+": LoadUser", err, auth.ErrUserNotFound, mend)
					t.vacant(after, a.Username, a.Email, mend)
				},
			}
		}},
	}
}

// vacant checks that no user has these names. An empty name is ignored.
func (t *userTest[U]) vacant(after, username, email, mend string) {
	t.Helper()
	if username != "" {
		t.noUser(after, username, mend)
	}
	if email != "" {
		t.noUser(after, email, mend)
	}
}
