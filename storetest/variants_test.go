package storetest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/storetest"
)

// These are tables that applications have: without some columns, with IDs of a
// fixed form, with columns that cannot be empty. A correct store on such a
// table passes the whole suite, and a broken one fails as on any other table.

// A variant is a kind of table.
type variant struct {
	name    string
	table   table
	options []storetest.Option
}

// A table changes the accounts that a correct store gets.
type table struct {
	omitted []auth.AccountField
	newID   func() string        // nil: the store makes the IDs
	isID    func(id string) bool // whether the column accepts the ID
	column  string               // a field of the form that cannot be empty
}

func variants() []variant {
	form := func() url.Values { return url.Values{"plan": {"gold"}} }
	email := []auth.AccountField{auth.FieldUsername, auth.FieldDisabled, auth.FieldRoles}
	var last atomic.Int64
	number := table{
		newID: func() string { return strconv.FormatInt(last.Add(1), 10) },
		isID: func(id string) bool {
			n, err := strconv.ParseInt(id, 10, 32)
			return err == nil && n > 0 && strconv.FormatInt(n, 10) == id
		},
	}
	uuids := table{newID: newUUID, isID: isUUID}
	all := table{email, newUUID, isUUID, "plan"}
	return []variant{
		{"without usernames, Disabled and Roles", table{omitted: email}, nil},
		{"without addresses", table{omitted: []auth.AccountField{auth.FieldEmail}}, nil},
		{"without passwords and verification", table{omitted: []auth.AccountField{auth.FieldPasswordHash, auth.FieldEmailVerified}}, nil},
		{"with UUIDs", uuids, []storetest.Option{storetest.WithIDs(newUUID)}},
		{"with integers of 32 bits", number, []storetest.Option{storetest.WithIDs(newNumber)}},
		{"with a mandatory column", table{column: "plan"}, []storetest.Option{storetest.WithForm(form)}},
		{"with all of it", all, []storetest.Option{storetest.WithForm(form), storetest.WithIDs(newUUID)}},
	}
}

// newNumber returns a number of 32 bits that no sequence has reached.
func newNumber() string {
	n, _ := rand.Int(rand.Reader, big.NewInt(1<<29))
	return strconv.FormatInt(1<<30+n.Int64(), 10)
}

func newUUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func isUUID(id string) bool {
	parts := strings.Split(id, "-")
	return len(id) == 36 && len(parts) == 5 && len(parts[0]) == 8 && len(parts[1]) == 4 && len(parts[2]) == 4 && len(parts[3]) == 4 &&
		strings.Trim(id, "0123456789abcdef-") == ""
}

// A tableStore is a store on such a table.
type tableStore struct {
	*users
	table table
}

func (s tableStore) OmittedFields() []auth.AccountField { return s.table.omitted }

// on makes a correct store behave like one on this table.
func (tab table) on(s *users) tableStore {
	drop := func(a *auth.Account) {
		for _, field := range tab.omitted {
			switch field {
			case auth.FieldUsername:
				a.Username = ""
			case auth.FieldEmail:
				a.Email, a.EmailVerified = "", false
			case auth.FieldEmailVerified:
				a.EmailVerified = false
			case auth.FieldPasswordHash:
				a.PasswordHash = auth.Secret{}
			case auth.FieldDisabled:
				a.Disabled = false
			case auth.FieldRoles:
				a.Roles = nil
			}
		}
	}
	takes := func(id string) bool { return tab.isID == nil || tab.isID(id) }
	load, create, update, remove := s.load, s.create, s.update, s.remove
	s.create = func(ctx context.Context, a auth.Account, form url.Values) (*storetest.User, error) {
		if tab.column != "" && form.Get(tab.column) == "" {
			return nil, errors.New("NOT NULL constraint failed: users." + tab.column)
		}
		switch {
		case a.ID == "" && tab.newID != nil:
			a.ID = tab.newID()
		case a.ID != "" && !takes(a.ID):
			return nil, errors.New("invalid input syntax for the ID")
		}
		a = a.Clone()
		drop(&a)
		return create(ctx, a, form)
	}
	s.load = func(ctx context.Context, id string) (*storetest.User, error) {
		if !takes(id) && ctx.Err() == nil {
			return nil, auth.ErrUserNotFound
		}
		return load(ctx, id)
	}
	s.update = func(ctx context.Context, a auth.Account) error {
		if !takes(a.ID) && ctx.Err() == nil {
			return auth.ErrUserNotFound
		}
		a = a.Clone()
		drop(&a)
		return update(ctx, a)
	}
	s.remove = func(ctx context.Context, id string) error {
		if !takes(id) && ctx.Err() == nil {
			return auth.ErrUserNotFound
		}
		return remove(ctx, id)
	}
	return tableStore{s, tab}
}

// A correct store passes on every table.
func TestTables(t *testing.T) {
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			storetest.TestUserStore(t, func(*testing.T, func() time.Time) auth.UserStore[*storetest.User] {
				return v.table.on(rightUsers())
			}, v.options...)
		})
	}
}

// tableBreakages returns broken stores that must be caught on every table.
func tableBreakages() (some []userBreakage) {
	names := []string{
		"updates without comparing the Version", "reads and compares the Version, then updates", "returns nil for an unknown user", "does not increment the Version",
		"replaces the user who has the given ID", "finds by LIKE", "cuts stamps at 65 535 bytes", "creates with a cancelled context",
		"looks the user up, then deletes", "ignores trailing spaces of IDs",
	}
	for _, b := range brokenUsers() {
		if slices.Contains(names, b.name) {
			some = append(some, b)
		}
	}
	return some
}

const brokenTable = "STORETEST_TABLE"

func TestBrokenStoresAreCaughtOnEveryTable(t *testing.T) {
	if underRace {
		t.Skip("TestBrokenStoresAreCaught runs them under the race detector")
	}
	for _, v := range variants() {
		for _, b := range tableBreakages() {
			t.Run(v.name+"/"+b.name, func(t *testing.T) {
				t.Parallel()
				runBroken(t, "^TestBrokenTable$", b.name, b.caught, brokenTable+"="+v.name)
			})
		}
	}
}

// TestBrokenTable runs in such a process. It fails.
func TestBrokenTable(t *testing.T) {
	broken := wantedUsers(t, brokenUsers())
	for _, v := range variants() {
		if v.name != os.Getenv(brokenTable) {
			continue
		}
		storetest.TestUserStore(t, func(t *testing.T, _ func() time.Time) auth.UserStore[*storetest.User] {
			s := rightUsers()
			s.racing = isSubtest(t.Name(), broken.caught)
			store := v.table.on(s)
			broken.bend(s)
			return store
		}, v.options...)
	}
}

// naive returns stores by people who have not read the contract yet: a map, and
// only the parts of the contract that are obvious.
func naive() map[string]struct {
	caught  string   // what the first line must say
	subtest string   // the subtest that must fail
	store   naiveMap // the store
} {
	type want = struct {
		caught  string
		subtest string
		store   naiveMap
	}
	const keepsAll = "CreateUser/keeps every field and gives an ID"
	return map[string]want{
		"drops fields":           {"CreateUser returned a user whose EmailVerified, Stamp, Disabled, Version, Roles differs", keepsAll, naiveMap{drops: true}},
		"has no unique names":    {"CreateUser of a username that another user has", "CreateUser/refuses a username that is taken", naiveMap{}},
		"says sql: no rows":      {"LoadUser of an unknown ID", "LoadUser/of an ID that no store gives out", naiveMap{none: errors.New("sql: no rows\x00in result set")}},
		"returns its own user":   {"wrote to", "Copies/what LoadUser and FindUser returned may be changed", naiveMap{unique: true, shares: true}},
		"does not count Version": {"LoadUser, after UpdateAccount, returned a user whose Version differs", "UpdateAccount/replaces every field and counts the Version up", naiveMap{unique: true}},
		"overwrites":             {"UpdateAccount with the Version 6, while 7 is stored,", "UpdateAccount/with a stale Version changes nothing", naiveMap{unique: true, counts: true}},
		"returns no user":        {"CreateUser returned a nil user and no error", keepsAll, naiveMap{nothing: true}},
	}
}

// naiveMap is a map; its fields say which parts of the contract it keeps.
type naiveMap struct {
	drops, unique, shares, counts, nothing bool
	none                                   error
	users                                  *sync.Map
	last                                   *atomic.Int64
}

func (m naiveMap) LoadUser(_ context.Context, id string) (*plainUser, error) {
	return m.first(func(u *plainUser) bool { return u.ID == id })
}

func (m naiveMap) FindUser(_ context.Context, name string) (*plainUser, error) {
	return m.first(func(u *plainUser) bool { return key(u.Username) == name || key(u.Email) == name })
}

func (m naiveMap) first(is func(u *plainUser) bool) (found *plainUser, err error) {
	m.users.Range(func(_, v any) bool {
		if u, _ := v.(*plainUser); is(u) {
			found = u
		}
		return found == nil
	})
	switch {
	case found != nil && m.shares:
		return found, nil
	case found != nil:
		u := *found
		return &u, nil
	case m.none != nil:
		return nil, m.none
	}
	return nil, auth.ErrUserNotFound
}

func (m naiveMap) CreateUser(ctx context.Context, a auth.Account, _ url.Values) (*plainUser, error) {
	if m.nothing {
		return nil, nil
	}
	if _, err := m.FindUser(ctx, key(a.Username)); m.unique && err == nil {
		return nil, auth.ErrUsernameTaken
	}
	if _, err := m.FindUser(ctx, key(a.Email)); m.unique && err == nil {
		return nil, auth.ErrEmailTaken
	}
	a.ID = strconv.FormatInt(m.last.Add(1), 10)
	if m.drops {
		a = auth.Account{ID: a.ID, Username: a.Username, Email: a.Email, PasswordHash: a.PasswordHash}
	}
	m.users.Store(a.ID, &plainUser{a})
	return m.LoadUser(ctx, a.ID)
}

func (m naiveMap) UpdateAccount(_ context.Context, a auth.Account) error {
	if m.counts {
		a.Version++
	}
	m.users.Store(a.ID, &plainUser{a})
	return nil
}

// The output for a naive store fits on a screen and begins with the cause.
func TestNaiveStoresAreToldTheCause(t *testing.T) {
	for name, want := range naive() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output := runBroken(t, "^TestNaiveUsers$", name, want.subtest)
			var lines []string
			for line := range strings.Lines(output) {
				if !strings.HasPrefix(line, "=== ") {
					lines = append(lines, line)
				}
			}
			if len(lines) > 20 {
				t.Errorf("%d lines:\n%s", len(lines), output)
			}
			if !strings.Contains(lines[0], want.caught) {
				t.Errorf("the first line is %q, want %q", lines[0], want.caught)
			}
			if strings.ContainsFunc(output, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }) {
				t.Errorf("control characters in %q", output)
			}
		})
	}
}

// TestNaiveUsers runs in such a process. It fails.
func TestNaiveUsers(t *testing.T) {
	want, ok := naive()[os.Getenv(brokenStore)]
	if !ok {
		t.Skip("TestNaiveStoresAreToldTheCause runs this")
	}
	storetest.TestUserStore(t, func(*testing.T, func() time.Time) auth.UserStore[*plainUser] {
		store := want.store
		store.users, store.last = &sync.Map{}, &atomic.Int64{}
		return store
	})
}
