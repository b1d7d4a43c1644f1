package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/go-login/auth"
)

// A fault is the first thing that is wrong with a store that fails at the
// basics. It would make most other tests fail, too, and so hide the cause.
type fault struct {
	group, subtest string // the subtest that covers it in detail
	what           string // one line
	got, want      string
	mend           string
}

// report fails the test with the fault, and the subtest that covers it.
func (f *fault) report(t *testing.T) {
	t.Helper()
	t.Errorf("%s\n\tgot:  %.500s\n\twant: %.500s\n\tfix:  %s\n\tNo other test runs until this is fixed.",
		printable(f.what), printable(f.got), printable(f.want), f.mend)
	t.Run(f.group, func(t *testing.T) {
		t.Run(f.subtest, func(t *testing.T) { t.Error("the store fails at the basics; see above") })
	})
}

// wrongError returns a fault if a call did not return the error it should have.
func wrongError(group, subtest, what string, err, want error, mend string) *fault {
	if errors.Is(err, want) || err == nil && want == nil {
		return nil
	}
	f := &fault{group, subtest, what, fmt.Sprint(err), fmt.Sprint(want), mend}
	if err == nil {
		f.got = "no error"
	}
	if want == nil {
		f.want = "no error"
	} else if err != nil && answerOf(err) == nil {
		f.mend += " (errors.Is must find the error of package auth)"
	}
	return f
}

// basics creates a user, loads it, finds it and updates it. It returns the
// first fault it finds, or nil.
func (s userSuite[U]) basics(t *testing.T) (found *fault) {
	t.Helper()
	c := newUserTest(t, s.open(t, newClock().Now), s.options)
	for _, step := range []func(context.Context, *userTest[U]) *fault{
		basicCreate[U], basicUnknown[U], basicTaken[U], basicCopies[U], basicUpdate[U], basicVersion[U],
	} {
		if found := step(t.Context(), c); found != nil {
			return found
		}
	}
	return nil
}

// saved creates a user and returns the account as the store must now hold it.
func (t *userTest[U]) saved(ctx context.Context, base string) (auth.Account, *fault) {
	a := t.account(base)
	user, err := t.store.CreateUser(ctx, a, url.Values{}) // a nil form has a subtest of its own
	if err == nil {
		created, err := copyAccount(user)
		if a.ID = created.ID; a.ID == "" {
			f := &fault{"CreateUser", keepsEveryField, "CreateUser returned a user without an ID", "an empty ID", "an ID",
				"give the new row an ID, and return the user as it is saved"}
			if err != nil {
				f.what, f.got, f.want = "CreateUser returned a nil user and no error", "nil", "the new user"
			}
			return a, f
		}
		return a, t.compared("CreateUser", keepsEveryField, "CreateUser", user, nil, a)
	}
	return a, wrongError("CreateUser", keepsEveryField, "CreateUser of a new user failed", err, nil,
		"this call is valid and must succeed; if a column cannot be empty, use WithForm; if a field of Account has no column, implement auth.FieldOmitter")
}

const keepsEveryField = "keeps every field and gives an ID"

// compared returns a fault that names every field which differs, or nil.
func (t *userTest[U]) compared(group, subtest, did string, user U, err error, want auth.Account) *fault {
	if f := wrongError(group, subtest, did+" failed", err, nil, "the user exists and must be returned"); f != nil {
		return f
	}
	got, err := copyAccount(user)
	if err != nil {
		return &fault{group, subtest, did + " returned a nil user and no error", "nil", "the user", "return auth.ErrUserNotFound for a user who does not exist"}
	}
	all := t.differences(got, want)
	if len(all) == 0 {
		return nil
	}
	var names, is, was []string
	for _, d := range all {
		name, _, _ := strings.Cut(d.name, ".")
		names, is, was = append(names, name), append(is, d.got), append(was, d.want)
	}
	if subtest == keepsEveryField && got.Stamp.Reveal() != "" && strings.Contains(strings.Join(names, " "), "Stamp") { // the Stamp is there, but changed
		group, subtest = "CreateUser", "keeps the texts of secrets"
	}
	return &fault{group, subtest, fmt.Sprintf("%s returned a user whose %s differs from the Account that was saved", did, strings.Join(names, ", ")),
		strings.Join(is, ", "), strings.Join(was, ", "),
		"save and read every field of auth.Account; if the table has no column for a field, list it with auth.FieldOmitter (ID, Stamp and Version must have one)"}
}

func basicCreate[U auth.User](ctx context.Context, t *userTest[U]) *fault {
	a, f := t.saved(ctx, "first")
	if f != nil {
		return f
	}
	user, err := t.store.LoadUser(ctx, a.ID)
	if f := t.compared("CreateUser", keepsEveryField, "LoadUser, after CreateUser,", user, err, a); f != nil {
		return f
	}
	for _, key := range t.keysOf(a) {
		user, err = t.store.FindUser(ctx, key)
		if f := t.compared("CreateUser", keepsEveryField, fmt.Sprintf("FindUser(%q), after CreateUser,", key), user, err, a); f != nil {
			return f
		}
	}
	return nil
}

func basicUnknown[U auth.User](ctx context.Context, t *userTest[U]) *fault {
	const mend = "return auth.ErrUserNotFound if there is no such user (for sql.ErrNoRows, say), and never a nil user without an error"
	_, err := t.store.LoadUser(ctx, t.options.newID())
	if f := wrongError("LoadUser", "of an ID that no store gives out", "LoadUser of an unknown ID", err, auth.ErrUserNotFound, mend); f != nil {
		return f
	}
	_, err = t.store.FindUser(ctx, t.keyOf(t.named("unknown")))
	return wrongError("FindUser", "of an unknown key", "FindUser of an unknown key", err, auth.ErrUserNotFound, mend)
}

func basicTaken[U auth.User](ctx context.Context, t *userTest[U]) *fault {
	const mend = "let a UNIQUE index on the column of canonical names refuse it, and return the error of package auth in place of the database's; in a map, look up and insert under one lock"
	first, f := t.saved(ctx, "second")
	if f != nil {
		return f
	}
	if t.keeps(auth.FieldUsername) {
		a := t.account("third")
		a.Username = first.Username
		_, err := t.store.CreateUser(ctx, a, url.Values{})
		if f := wrongError("CreateUser", "refuses a username that is taken", "CreateUser of a username that another user has", err, auth.ErrUsernameTaken, mend); f != nil {
			return f
		}
	}
	if t.keeps(auth.FieldEmail) {
		a := t.account("fourth")
		a.Email = first.Email
		_, err := t.store.CreateUser(ctx, a, url.Values{})
		return wrongError("CreateUser", "refuses an address that is taken", "CreateUser of an address that another user has", err, auth.ErrEmailTaken, mend)
	}
	return nil
}

func basicCopies[U auth.User](ctx context.Context, t *userTest[U]) *fault {
	a, f := t.saved(ctx, "fifth")
	if f != nil {
		return f
	}
	const did = "LoadUser, after the test wrote to a user it had returned,"
	user, err := t.store.LoadUser(ctx, a.ID)
	if f := t.compared("CreateUser", keepsEveryField, "LoadUser, after CreateUser,", user, err, a); f != nil {
		return f
	}
	user.AuthAccount().Disabled, user.AuthAccount().Version = !a.Disabled, a.Version+100
	user, err = t.store.LoadUser(ctx, a.ID)
	f = t.compared("Copies", "what LoadUser and FindUser returned may be changed", did, user, err, a)
	if f != nil {
		f.mend = "return a copy of the user, made under the lock: copy *user by assignment and its account with Clone"
	}
	return f
}

func basicUpdate[U auth.User](ctx context.Context, t *userTest[U]) *fault {
	const group, subtest = "UpdateAccount", "replaces every field and counts the Version up"
	a, f := t.saved(ctx, "sixth")
	if f != nil {
		return f
	}
	t.rename(&a, "seventh")
	a.EmailVerified, a.Disabled, a.PasswordHash, a.Stamp = false, false, auth.NewSecret("new hash"), auth.NewSecret("new stamp")
	if f := wrongError(group, subtest, "UpdateAccount with the stored Version failed", t.store.UpdateAccount(ctx, a), nil, "this call is valid and must succeed"); f != nil {
		return f
	}
	user, err := t.store.LoadUser(ctx, a.ID)
	if got, failed := copyAccount(user); err == nil && failed == nil && got.Version > a.Version {
		a.Version = got.Version // the suite checks by how much it is incremented
	} else {
		a.Version++
	}
	return t.compared(group, subtest, "LoadUser, after UpdateAccount,", user, err, a)
}

func basicVersion[U auth.User](ctx context.Context, t *userTest[U]) *fault {
	a, f := t.saved(ctx, "eighth")
	if f != nil {
		return f
	}
	a.Version--
	return wrongError("UpdateAccount", "with a stale Version changes nothing", fmt.Sprintf("UpdateAccount with the Version %d, while %d is stored,", a.Version, a.Version+1),
		t.store.UpdateAccount(ctx, a), auth.ErrConflict, "compare and write in one statement: UPDATE … SET version = version + 1 WHERE id = ? AND version = ?, and check that one row changed")
}
