package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/go-login/auth"
)

// lister returns the store if it can list users, and otherwise skips the subtest.
func (t *userTest[U]) lister() auth.UserLister[U] {
	t.Helper()
	l, ok := bare(t.store).(auth.UserLister[U])
	if !ok {
		t.Skip("the store has no ListUsers")
	}
	return l
}

const (
	pageOfUsers = 3
	maxPages    = 10_000 // rows of earlier subtests are listed, too
)

// list lists all users, page by page. between, if not nil, runs after each page, with the
// last ID and how often each one was found until then. list returns the latter, and the
// accounts as they were found.
func (t *userTest[U]) list(between func(last string, times map[string]int)) (times map[string]int, found map[string]auth.Account) {
	t.Helper()
	l := t.lister()
	times, found = map[string]int{}, map[string]auth.Account{}
	after := ""
	for page := range maxPages {
		did := fmt.Sprintf("ListUsers, page %d", page+1)
		users, err := l.ListUsers(t.Context(), after, pageOfUsers)
		works(t.TB, did, err)
		if len(users) > pageOfUsers {
			fail(t.TB, did, fmt.Sprint(len(users), " users"), fmt.Sprint("at most ", pageOfUsers), "stop at limit")
			t.FailNow()
		}
		if len(users) == 0 {
			return times, found
		}
		for _, user := range users {
			a := accountOf(t.TB, did, user)
			times[a.ID]++
			found[a.ID] = a
			after = a.ID
		}
		if between != nil {
			between(after, times)
		}
	}
	fail(t.TB, "ListUsers", fmt.Sprint("still users after ", maxPages, " pages"), "an end", "return only users whose IDs come after the given one")
	t.FailNow()
	return nil, nil
}

// once checks that each of these accounts was found once.
func (t *userTest[U]) once(what string, times map[string]int, accounts []auth.Account) {
	t.Helper()
	for _, a := range accounts {
		if n := times[a.ID]; n != 1 {
			fail(t.TB, what+": how often the user "+brief(a.ID)+" was found", n, 1,
				"order the users by ID, always in the same way, and go on after the given ID; never skip a number of rows (OFFSET)")
		}
	}
}

func (s userSuite[U]) listUsers(t *testing.T) {
	some := func(t *userTest[U], n int) (accounts []auth.Account) {
		t.Helper()
		t.lister()
		for i := range n {
			accounts = append(accounts, t.create(t.account(fmt.Sprint("user-", i))))
		}
		return accounts
	}
	s.run(t, "finds every user once, as they are saved", func(t *userTest[U]) {
		accounts := some(t, 2*pageOfUsers+1)
		times, found := t.list(nil)
		t.once("ListUsers", times, accounts)
		for _, want := range accounts {
			for _, field := range t.differences(found[want.ID], want) {
				fail(t.TB, "ListUsers: "+field.name, field.got, field.want, "return users as LoadUser does")
			}
		}
	})
	s.run(t, "goes on while users come and go", func(t *userTest[U]) {
		accounts := some(t, 3*pageOfUsers)
		// One after the other: a user who comes could make up for one who goes.
		if d, deletes := bare(t.store).(auth.UserDeleter); deletes {
			times, _ := t.list(func(last string, times map[string]int) {
				i := slices.IndexFunc(accounts, func(a auth.Account) bool { return a.ID == last })
				if i < 0 { // a user of another subtest
					i = slices.IndexFunc(accounts, func(a auth.Account) bool { return times[a.ID] > 0 })
				}
				if i < 0 {
					return
				}
				works(t.TB, "DeleteUser", d.DeleteUser(t.Context(), accounts[i].ID))
				accounts = slices.Delete(accounts, i, i+1)
			})
			t.once("ListUsers, while others go", times, accounts)
		}
		n := 0
		times, _ := t.list(func(string, map[string]int) {
			if n++; n <= pageOfUsers { // else the users who come are listed for ever
				t.create(t.account(fmt.Sprint("meanwhile-", n)))
			}
		})
		t.once("ListUsers, while others come", times, accounts)
	})
	s.run(t, "after an ID that no user has is no error", func(t *userTest[U]) {
		some(t, 1)
		for _, id := range t.unknownIDs() {
			_, err := t.lister().ListUsers(t.Context(), id, pageOfUsers)
			works(t.TB, "ListUsers after the ID "+brief(id), err)
		}
	})
}
